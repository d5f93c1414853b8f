//! How often a sensor is tested.

use std::ops::RangeInclusive;

/// How often a sensor is tested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelfTestConfig {
    /// Mean seconds of samples from one test burst to the next. Bands and kinds take turns.
    pub every_s: f64,
}

impl SelfTestConfig {
    /// What [`every_s`](Self::every_s) may be: a test is over after a tenth of a second.
    pub const EVERY_S: RangeInclusive<f64> = 0.2..=3600.0;
}

impl Default for SelfTestConfig {
    /// Ten seconds: 120 bursts of each of three kinds in an hour, which tells 0.84 from 0.9, and 1e-4 of the time.
    fn default() -> Self {
        Self { every_s: 10.0 }
    }
}
