//! The records that leave cellwarden: burst, hit, gap, summary. Their fields are a contract with
//! everything that reads them; units are in the names.

use crate::{Gap, UtcNanos};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which radio standard an emission belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standard {
    /// GSM, GPRS, EDGE.
    Gsm,
    /// UMTS.
    Umts,
    /// LTE.
    Lte,
    /// 5G NR.
    Nr,
    /// LTE-M: a machine.
    Ltem,
    /// NB-IoT: a machine.
    Nbiot,
    /// Its shape fits a phone in an uplink band, its standard is not proven.
    Unknown,
    /// No phone.
    Other,
}

impl Standard {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gsm => "gsm",
            Self::Umts => "umts",
            Self::Lte => "lte",
            Self::Nr => "nr",
            Self::Ltem => "ltem",
            Self::Nbiot => "nbiot",
            Self::Unknown => "unknown",
            Self::Other => "other",
        }
    }

    /// Whether phones speak it.
    pub const fn is_phone(self) -> bool {
        matches!(self, Self::Gsm | Self::Umts | Self::Lte | Self::Nr)
    }
}

/// What kind of emission within its standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the standards' own
pub enum Kind {
    Access,
    Normal,
    Prach,
    Pusch,
    Pucch,
    Srs,
    Dpch,
    Cw,
    Narrowband,
    Wideband,
    Downlink,
    Dect,
    Tetra,
    Wifi,
    Jammer,
    Impulse,
    Unknown,
}

impl Kind {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Normal => "normal",
            Self::Prach => "prach",
            Self::Pusch => "pusch",
            Self::Pucch => "pucch",
            Self::Srs => "srs",
            Self::Dpch => "dpch",
            Self::Cw => "cw",
            Self::Narrowband => "narrowband",
            Self::Wideband => "wideband",
            Self::Downlink => "downlink",
            Self::Dect => "dect",
            Self::Tetra => "tetra",
            Self::Wifi => "wifi",
            Self::Jammer => "jammer",
            Self::Impulse => "impulse",
            Self::Unknown => "unknown",
        }
    }
}

/// One reason for or against, with its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was measured, `snake_case`.
    pub name: String,
    /// The measured value.
    pub value: f64,
    /// Natural log-likelihood ratio of phone against no phone: positive speaks for a phone.
    pub llr: f64,
}

impl Evidence {
    /// The name of what speaks against a burst of a stream whose I and Q are exchanged: its frequency, its name and its
    /// place are all wrong.
    pub const IQ_SWAPPED: &str = "iq_swapped_bursts";

    /// A piece of evidence.
    pub fn new(name: impl Into<String>, value: f64, llr: f64) -> Self {
        Self { name: name.into(), value, llr }
    }
}

/// What was measured on a burst beyond the common fields. None of it is content or identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// GSM: `TSC0`..`TSC7`, `TS0`..`TS2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_sequence: Option<String>,
    /// GSM: `GMSK` or `8PSK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modulation: Option<String>,
    /// PRACH: physical root sequence u.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<u16>,
    /// PRACH: preamble format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<u8>,
    /// Short NR preambles: format, `A1`..`C2`; `format` is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_format: Option<String>,
    /// NR, NB-IoT: spacing of the subcarriers in hertz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spacing_hz: Option<f64>,
    /// Width in resource blocks: of 180 kHz, NR: of twelve subcarriers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_blocks: Option<u16>,
    /// The reasons for the name and the confidence.
    pub evidence: Vec<Evidence>,
}

/// One emission, as one sensor hears it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// Absolute start, where the recording has a datetime.
    pub time: Option<UtcNanos>,
    /// Start from the recording's first sample, lost samples included, in seconds.
    pub start_s: f64,
    /// Length in seconds.
    pub duration_s: f64,
    /// Start in the recording's own samples.
    pub sample_start: u64,
    /// Length in samples.
    pub sample_count: u64,
    /// Lower edge of the occupied band, absolute, in hertz.
    pub freq_lower_hz: f64,
    /// Upper edge of the occupied band, absolute, in hertz.
    pub freq_upper_hz: f64,
    /// Which standard.
    pub standard: Standard,
    /// Which kind of emission.
    pub kind: Kind,
    /// Band, for example `GSM900` or `B20`.
    pub band: Option<String>,
    /// ARFCN, UARFCN, EARFCN or NR-ARFCN of the carrier.
    pub channel: Option<u32>,
    /// Offset from the channel's nominal frequency, in hertz, where it was measured.
    pub carrier_offset_hz: Option<f64>,
    /// Mean power of the emission, full-scale complex tone = 0 dBFS.
    pub power_dbfs: f64,
    /// Mean power over noise power in the same band, in dB.
    pub snr_db: f64,
    /// Probability that a phone sent it.
    pub confidence: f64,
    /// Probability that `standard` is right, given that.
    pub standard_confidence: f64,
    /// What else was measured.
    pub detail: Detail,
}

/// Where a hit is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HitState {
    /// First report.
    Open,
    /// More was heard.
    Updated,
    /// Nothing more will come.
    Closed,
}

impl HitState {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// What a phone was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// It made itself known to the network: attach, location or tracking-area update.
    Registration,
    /// A short exchange, such as a text message.
    Short,
    /// A call.
    Voice,
    /// Packet data.
    Data,
    /// Not told apart.
    Unknown,
}

impl Activity {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Short => "short",
            Self::Voice => "voice",
            Self::Data => "data",
            Self::Unknown => "unknown",
        }
    }
}

/// One phone's activity, in one cell block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Unique; sorts by time. Made of time, sensor and frequency, never of chance.
    pub id: String,
    /// Where it is in its life.
    pub state: HitState,
    /// Counts up with each report of the same hit, from 1.
    pub revision: u32,
    /// The block's name, `outside`, or `unknown`.
    pub block: String,
    /// The cell's name where it is resolved.
    pub cell: Option<String>,
    /// Over all blocks and `outside`; sums to 1.
    pub block_probability: BTreeMap<String, f64>,
    /// Which standard.
    pub standard: Standard,
    /// Which band.
    pub band: Option<String>,
    /// What the phone did.
    pub activity: Activity,
    /// Start of the whole activity, from the earliest recording's first sample, in seconds.
    pub start_s: f64,
    /// End, likewise.
    pub end_s: f64,
    /// Absolute start.
    pub time_start: Option<UtcNanos>,
    /// Absolute end.
    pub time_end: Option<UtcNanos>,
    /// How many emissions it is made of (one heard by several sensors counts once).
    pub bursts: u32,
    /// Peak burst power at the strongest sensor.
    pub peak_power_dbfs: f64,
    /// Mean SNR at the strongest sensor.
    pub snr_db: f64,
    /// Mean power by sensor, in dBFS.
    pub sensors: BTreeMap<String, f64>,
    /// Probability that this is a phone.
    pub confidence: f64,
    /// For and against.
    pub evidence: Vec<Evidence>,
}

/// One sensor's samples, accounted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorLedger {
    /// What the recording or the device's clock says there should have been.
    pub expected: u64,
    /// What the detector worked on.
    pub processed: u64,
    /// Lost before the samples reached us.
    pub overflow: u64,
    /// Of those, while the device was away.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disconnected: u64,
    /// Lost at the channel to the detector.
    pub dropped: u64,
    /// Seen, but not to be judged.
    pub overload: u64,
    /// Thrown away while the receiver was on its way to another centre.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retune: u64,
    /// Looked at for energy, not in depth.
    pub deep_skipped: u64,
    /// Not samples: places at which a faint preamble may have been, and that were not searched because others were likelier.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub places_skipped: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The last line of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of this format: 1.
    pub schema: u32,
    /// Name and version.
    pub software: String,
    /// SHA-256 of the configuration that made the result.
    pub config_sha256: String,
    /// Samples over all sensors.
    pub samples: u64,
    /// Length of the longest recording.
    pub seconds: f64,
    /// Samples that are missing, over all sensors.
    pub lost_samples: u64,
    /// Bursts by standard.
    pub bursts: BTreeMap<String, u64>,
    /// Hits by block.
    pub hits: BTreeMap<String, u64>,
    /// Each sensor's ledger.
    pub sensors: BTreeMap<String, SensorLedger>,
    /// By receiver's sensor: how much faster its samples came than the host's clock says, in parts per million.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drift_ppm: BTreeMap<String, f64>,
    /// How long the run took.
    pub wall_s: f64,
    /// Million samples per second over all sensors.
    pub msps: f64,
    /// Seconds of recording per second of run.
    pub realtime_factor: f64,
}

/// One line of `--format jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Record {
    /// One emission.
    Burst(Burst),
    /// One activity.
    Hit(Hit),
    /// Samples that are missing.
    Gap(Gap),
    /// The end.
    Summary(Summary),
}
