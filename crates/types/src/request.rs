//! What flows against the data: questions, put into a queue and answered from the histories.

use crate::UtcNanos;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Asks a sensor's tile history for the level in a band over a time.
///
/// The stage that places phones asks this of sensors that did not hear a burst by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelRequest {
    /// Which sensor.
    pub sensor: Arc<str>,
    /// From when.
    pub time: UtcNanos,
    /// For how long, in seconds.
    pub duration_s: f64,
    /// Lower edge, absolute, in hertz.
    pub freq_lower_hz: f64,
    /// Upper edge, absolute, in hertz.
    pub freq_upper_hz: f64,
}

/// The answer to a [`LevelRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelAnswer {
    /// What was asked.
    pub request: LevelRequest,
    /// Mean power in the band, noise included, in dBFS; `None` where the history no longer holds it.
    pub power_dbfs: Option<f64>,
    /// The noise floor's power in the same band, in dBFS.
    pub noise_dbfs: Option<f64>,
}
