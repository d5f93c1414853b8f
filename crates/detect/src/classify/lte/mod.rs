//! LTE uplink: random access, data, control and sounding.

pub mod prach;
pub mod reference;
pub mod shared;
