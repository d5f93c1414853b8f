//! PUSCH, PUCCH and SRS.
