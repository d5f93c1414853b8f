//! GSM access and normal bursts.
