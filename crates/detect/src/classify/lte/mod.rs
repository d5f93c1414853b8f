//! LTE uplink: random access, data, control and sounding.

pub mod mirror;
pub mod on_grid;
pub mod prach;
pub mod reference;
pub mod reports;
mod run;
pub mod shared;
