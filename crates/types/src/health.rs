//! How a box is doing: one snapshot of every sensor, made about once a second. Counters count from the daemon's start.

use crate::{Hertz, Kind, SensorLedger, Standard, UtcNanos};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a sensor is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SensorState {
    /// Its device is being opened.
    Starting,
    /// Samples move.
    Listening,
    /// Its device is away, or was given up and is started anew.
    Down,
}

impl SensorState {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Listening => "listening",
            Self::Down => "down",
        }
    }
}

/// One sensor at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensorHealth {
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// The name of its device in the configuration.
    pub device: String,
    /// What it is doing.
    pub state: SensorState,
    /// Since when.
    pub since: UtcNanos,
    /// What the radio is tuned to; of several centres the first.
    pub center: Hertz,
    /// Complex samples per second.
    pub rate: Hertz,
    /// Overall gain, where the driver tells.
    pub gain_db: Option<f64>,
    /// Where all samples went.
    pub ledger: SensorLedger,
    /// How much faster the device's count of samples goes than the host's clock, in parts per million.
    pub drift_ppm: Option<f64>,
    /// What times of its samples are right to, in seconds: the host's clock tells them by when reads come, and this is their spread.
    #[serde(default)]
    pub time_uncertainty_s: Option<f64>,
    /// Noise density in the middle of the band, in dBFS/Hz; of several centres at the first.
    pub floor_dbfs_per_hz: Option<f64>,
    /// Samples at full scale.
    pub clipped: u64,
    /// Samples that were no finite numbers.
    pub unusable: u64,
    /// Bursts by standard.
    pub bursts: BTreeMap<String, u64>,
    /// How often its device was started anew.
    pub restarts: u64,
    /// What went wrong the last time.
    pub last_error: Option<String>,
    /// Of the device, where it is known.
    pub temperature_celsius: Option<f64>,
    /// How its processing did on test bursts; empty where it is not tested.
    #[serde(default)]
    pub self_test: Vec<SelfTestCount>,
}

/// Test bursts of one kind in one band, and what became of them. They are added to the samples in memory, never sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfTestCount {
    /// The band.
    pub band: String,
    /// The standard of the burst.
    pub standard: Standard,
    /// Its kind.
    pub kind: Kind,
    /// Its mean power over the noise in its band, in dB.
    pub snr_db: f64,
    /// Bursts that should have been found.
    pub tests: u64,
    /// Of those, at whose place something was found.
    pub found: u64,
    /// Of those, that were found by their standard and kind.
    pub named: u64,
    /// Bursts that say nothing: samples were lost, the receiver was tuned anew, or something else was heard there.
    pub void: u64,
}

/// A carrier that is always in the air, such as a base station's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmbientCarrier {
    /// Its middle, in hertz.
    pub center_hz: f64,
    /// The width that its level is measured in, in hertz.
    pub width_hz: f64,
    /// Its level, noise included, in dBFS.
    pub level_dbfs: f64,
}

/// A box at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxHealth {
    /// When the snapshot was made.
    pub time: UtcNanos,
    /// When the daemon started.
    pub started: UtcNanos,
    /// Name and version.
    pub software: String,
    /// SHA-256 of the configuration.
    pub config_sha256: String,
    /// Every sensor of the configuration, by name.
    pub sensors: Vec<SensorHealth>,
    /// Closed hits by block.
    pub hits: BTreeMap<String, u64>,
    /// Processor time that the daemon and its capture processes have used, in seconds.
    pub processor_s: f64,
    /// Their resident memory, in bytes.
    pub memory_bytes: u64,
    /// What the store cannot do at the moment, if anything.
    pub store_trouble: Option<String>,
}
