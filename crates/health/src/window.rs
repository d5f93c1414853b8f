//! What happened in the last 1, 5 and 15 minutes.

use crate::counts::{Counts, STANDARDS};
use crate::history::{BoxFrame, Frame, Ring};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lengths of the windows, in seconds, ascending.
pub const WINDOWS_S: [f64; 3] = [60.0, 300.0, 900.0];

/// All windows of a box.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    /// Of the box as a whole, the shortest first.
    pub whole: Vec<BoxWindow>,
    /// Of each sensor, the shortest first.
    pub sensors: BTreeMap<String, Vec<SensorWindow>>,
    /// How often UTC stepped since the daemon's start.
    pub clock_steps: u64,
    /// By how much the last time, in seconds; forward is positive.
    pub last_clock_step_s: Option<f64>,
}

/// Samples that were never seen, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Between the radio and us, with the device there.
    pub overflow: u64,
    /// While the device was away.
    pub disconnected: u64,
    /// At the channel to the detector.
    pub dropped: u64,
}

/// Lowest, mean and highest noise floor, in dBFS/Hz. The mean is one of decibels, so that a second of noise from outside
/// does not make it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloorRange {
    /// Lowest.
    pub min_dbfs_per_hz: f64,
    /// Mean.
    pub mean_dbfs_per_hz: f64,
    /// Highest.
    pub max_dbfs_per_hz: f64,
}

/// A sensor in one window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SensorWindow {
    /// The window's length, in seconds.
    pub length_s: f64,
    /// How much of it there are snapshots of, in seconds.
    pub covered_s: f64,
    /// Share of the covered time in which the sensor is known to have listened.
    pub listening_share: Option<f64>,
    /// Samples that there should have been.
    pub expected: u64,
    /// Samples that the detector worked on.
    pub processed: u64,
    /// Samples that were never seen.
    pub lost: Lost,
    /// Share of the expected samples that were never seen.
    pub lost_share: Option<f64>,
    /// Samples that were seen in an overload, and not judged.
    pub overload: u64,
    /// Samples that were thrown away while the receiver was on its way to another centre.
    #[serde(default)]
    pub retune: u64,
    /// Samples that were looked at for energy only.
    pub deep_skipped: u64,
    /// Samples that were no finite numbers.
    pub unusable: u64,
    /// Samples at full scale.
    pub clipped: u64,
    /// Share of the processed samples that were at full scale.
    pub clip_share: Option<f64>,
    /// The noise floor.
    pub floor: Option<FloorRange>,
    /// Bursts in an hour of listening, by standard; those of which there were none are left out.
    pub bursts_per_hour: BTreeMap<String, f64>,
    /// How often the device was started anew.
    pub restarts: u64,
    /// Mean drift of the device's clock against the host's, in parts per million.
    pub drift_ppm: Option<f64>,
}

/// A box in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoxWindow {
    /// The window's length, in seconds.
    pub length_s: f64,
    /// How much of it there are snapshots of, in seconds.
    pub covered_s: f64,
    /// Processor time by time: 1 is one core at work all the time.
    pub processor_share: Option<f64>,
    /// Greatest resident memory, in bytes.
    pub memory_max_bytes: u64,
}

/// A share of 0 to 1, where there is something to share.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).min(1.0))
}

/// JSON knows no other numbers.
pub(crate) fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

impl SensorWindow {
    pub(crate) fn of(frames: &Ring<Frame>, length_s: f64) -> Option<Self> {
        let (base, inside) = frames.window(length_s)?;
        let last = inside.clone().last().unwrap_or(base);
        let counts: Counts = last.total.since(base.total);
        let covered_s = (last.at_s - base.at_s).max(0.0);
        let listened_s: f64 = inside.clone().map(|f| f.listened_s).sum();
        let mut drift = Mean::default();
        inside.clone().filter_map(|f| f.drift_ppm).for_each(|v| drift.add(v));
        let mut floor: Option<FloorRange> = None;
        let mut floor_mean = Mean::default();
        for value in inside.filter_map(|f| f.floor_dbfs_per_hz) {
            floor_mean.add(value);
            let range = floor.get_or_insert(FloorRange {
                min_dbfs_per_hz: value,
                mean_dbfs_per_hz: value,
                max_dbfs_per_hz: value,
            });
            range.min_dbfs_per_hz = range.min_dbfs_per_hz.min(value);
            range.max_dbfs_per_hz = range.max_dbfs_per_hz.max(value);
        }
        if let (Some(range), Some(mean)) = (&mut floor, floor_mean.get()) {
            range.mean_dbfs_per_hz = mean;
        }
        let bursts = STANDARDS.iter().zip(counts.bursts).filter(|&(_, n)| n > 0 && listened_s > 0.0);
        Some(Self {
            length_s,
            covered_s,
            listening_share: (covered_s > 0.0).then(|| (listened_s / covered_s).min(1.0)),
            expected: counts.expected,
            processed: counts.processed,
            lost: Lost {
                overflow: counts.overflow.saturating_sub(counts.disconnected),
                disconnected: counts.disconnected,
                dropped: counts.dropped,
            },
            lost_share: share(counts.lost(), counts.expected),
            overload: counts.overload,
            retune: counts.retune,
            deep_skipped: counts.deep_skipped,
            unusable: counts.unusable,
            clipped: counts.clipped,
            clip_share: share(counts.clipped, counts.processed.saturating_add(counts.overload)),
            floor,
            bursts_per_hour: bursts.map(|(s, n)| (s.name().to_owned(), n as f64 * 3600.0 / listened_s)).collect(),
            restarts: counts.restarts,
            drift_ppm: drift.get(),
        })
    }
}

impl BoxWindow {
    pub(crate) fn of(frames: &Ring<BoxFrame>, length_s: f64) -> Option<Self> {
        let (base, inside) = frames.window(length_s)?;
        let last = inside.clone().last().unwrap_or(base);
        let covered_s = (last.at_s - base.at_s).max(0.0);
        Some(Self {
            length_s,
            covered_s,
            processor_share: (covered_s > 0.0).then(|| finite((last.processor_s - base.processor_s) / covered_s)),
            memory_max_bytes: inside.map(|f| f.memory_bytes).max().unwrap_or(base.memory_bytes),
        })
    }
}

/// A mean of finite numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    sum: f64,
    n: u32,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.sum += value;
        self.n += 1;
    }

    pub(crate) fn get(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / f64::from(self.n)).filter(|m| m.is_finite())
    }
}
