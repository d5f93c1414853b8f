//! What a detector has learned, in a form that can be written out and read back.

use crate::carrier::LearnedPrach;
use cellwarden_types::Hertz;
use serde::{Deserialize, Serialize};

/// A detector's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorState {
    /// Version of this form.
    pub version: u32,
    /// Whose it is.
    pub sensor: String,
    /// Noise floors by centre and rate, the newest last.
    pub floors: Vec<FloorState>,
    /// Base stations whose phones were heard.
    #[serde(default)]
    pub base_stations: Vec<LearnedPrach>,
}

impl DetectorState {
    /// The version that this code writes.
    pub const VERSION: u32 = 1;
}

/// The noise floor at one tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloorState {
    /// What the radio was tuned to.
    pub center: Hertz,
    /// Complex samples per second.
    pub rate: Hertz,
    /// Power density of each bin, 1/Hz over full scale, the lowest frequency first.
    pub density: Vec<f32>,
}

impl FloorState {
    /// Whether it counts for a stream at this tuning.
    pub fn fits(&self, center: Hertz, rate: Hertz, bins: usize) -> bool {
        self.center == center && self.rate == rate && self.density.len() == bins
    }
}
