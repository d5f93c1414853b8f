//! The sample formats that devices and files use, kept as they are until detection converts them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How one complex sample is stored: I first, then Q, little endian. Full scale reads 1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleFormat {
    /// Unsigned 8-bit offset binary: zero at 128, full scale = 128 steps (SigMF `cu8`).
    Cu8,
    /// Signed 8-bit: full scale = 128 steps (SigMF `ci8`, SoapySDR CS8).
    Cs8,
    /// Signed 16-bit: full scale = 32768 steps (SigMF `ci16_le`, SoapySDR CS16).
    Cs16,
    /// 32-bit float: full scale = 1.0 (SigMF `cf32_le`, SoapySDR CF32).
    Cf32,
}

impl SampleFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Cu8, Self::Cs8, Self::Cs16, Self::Cf32];

    /// Bytes of one complex sample.
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Cu8 | Self::Cs8 => 2,
            Self::Cs16 => 4,
            Self::Cf32 => 8,
        }
    }

    /// The name that `--type` takes, and the usual file extension.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cu8 => "cu8",
            Self::Cs8 => "cs8",
            Self::Cs16 => "cs16",
            Self::Cf32 => "cf32",
        }
    }

    /// SigMF's `core:datatype`.
    pub const fn sigmf_name(self) -> &'static str {
        match self {
            Self::Cu8 => "cu8",
            Self::Cs8 => "ci8",
            Self::Cs16 => "ci16_le",
            Self::Cf32 => "cf32_le",
        }
    }
}

impl fmt::Display for SampleFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text names no sample format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown sample type {text:?}: cellwarden reads cu8, cs8, cs16 and cf32 (little endian)")]
pub struct ParseFormatError {
    text: String,
}

impl FromStr for SampleFormat {
    type Err = ParseFormatError;

    /// Reads the names of [`name`](Self::name) and [`sigmf_name`](Self::sigmf_name).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|f| text.eq_ignore_ascii_case(f.name()) || text.eq_ignore_ascii_case(f.sigmf_name()))
            .or_else(|| text.eq_ignore_ascii_case("cfile").then_some(Self::Cf32))
            .ok_or_else(|| ParseFormatError { text: text.to_owned() })
    }
}
