//! A block of samples on its way from a source to the detector.

use crate::{Hertz, SampleFormat, SampleIndex, UtcNanos};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why samples were never seen, or could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// The driver lost them.
    Overflow,
    /// The device was away.
    Disconnect,
    /// The recording says that samples are missing here, or its end was cut off.
    Discontinuity,
    /// The channel to the detector was full.
    Dropped,
    /// The receiver was overloaded: there are samples, but no judgement.
    Overload,
    /// The receiver was on its way to another centre, and its samples were thrown away.
    Retune,
}

/// Samples that are missing, of one sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// Where in the recording's own samples the gap lies (the index of the first sample after it).
    pub sample_start: u64,
    /// How many samples are missing.
    pub sample_count: u64,
    /// Why.
    pub reason: GapReason,
}

/// Consecutive samples of one sensor, in the device's own format.
///
/// Blocks come from a pool: `bytes` and `gaps_before` keep their capacity when a block is used again.
#[derive(Clone, Debug)]
pub struct IqBlock {
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// Index of the first sample among those that the recording or stream holds.
    pub start: SampleIndex,
    /// Samples that were lost since the stream began, up to this block: `start` and `lost_before`
    /// together are the time on the stream's own clock.
    pub lost_before: u64,
    /// UTC of the first sample, where it is known.
    pub time: Option<UtcNanos>,
    /// What the radio was tuned to.
    pub center: Hertz,
    /// Complex samples per second.
    pub rate: Hertz,
    /// How `bytes` are to be read.
    pub format: SampleFormat,
    /// Samples missing between the block before and this one: one entry for each place where they were lost.
    pub gaps_before: Vec<Gap>,
    /// Whole samples.
    pub bytes: Vec<u8>,
}

impl IqBlock {
    /// The block of no samples at the beginning of a stream: nothing lost, no time known.
    pub fn empty(sensor: Arc<str>, format: SampleFormat, rate: Hertz, center: Hertz) -> Self {
        Self {
            sensor,
            start: SampleIndex(0),
            lost_before: 0,
            time: None,
            center,
            rate,
            format,
            gaps_before: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Complex samples in this block.
    pub fn samples(&self) -> usize {
        self.bytes.len() / self.format.bytes_per_sample()
    }
}
