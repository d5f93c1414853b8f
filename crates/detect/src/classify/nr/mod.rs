//! NR uplink: short preambles, data, and what the base station of an unpaired band sends itself.

pub mod comb;
pub mod downlink;
pub mod prach;
pub mod uplink;
