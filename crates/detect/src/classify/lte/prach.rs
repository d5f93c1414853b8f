//! PRACH preambles by any root.
