//! Sample positions and absolute time: an instant, a span, and UTC are three types.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Index of a complex sample in its recording or stream; the first is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleIndex(pub u64);

/// A number of complex samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleCount(pub u64);

impl SampleIndex {
    /// The index `n` samples later, or `None` past the end of `u64`.
    pub const fn checked_add(self, n: SampleCount) -> Option<Self> {
        match self.0.checked_add(n.0) {
            Some(i) => Some(Self(i)),
            None => None,
        }
    }
}

/// UTC as nanoseconds since 1970-01-01, good from 1678 to 2262.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcNanos(pub i64);

impl UtcNanos {
    /// The host's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// This instant and `seconds` more, rounded to the nanosecond; stays inside the range.
    pub fn plus_seconds(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds * 1e9).round() as i64))
    }

    /// Seconds from `earlier` to this instant.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 * 1e-9
    }
}

impl fmt::Display for UtcNanos {
    /// RFC 3339 with nanoseconds, `2026-03-01T06:00:00.000000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(self.0)).map_err(|_| fmt::Error)?;
        write!(f, "{stamp:.9}")
    }
}

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no RFC 3339 time: want one like 2026-03-01T06:00:00.000Z")]
pub struct ParseTimeError {
    text: String,
}

impl FromStr for UtcNanos {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseTimeError { text: text.to_owned() };
        let stamp: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        i64::try_from(stamp.as_nanosecond()).map(Self).map_err(|_| wrong())
    }
}

impl Serialize for UtcNanos {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcNanos {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_keeps_its_nanoseconds() {
        let text = "2026-03-01T06:00:00.123456789Z";
        let time: UtcNanos = text.parse().unwrap();
        assert_eq!(time.to_string(), text);
        assert_eq!("2026-03-01T07:00:00.123456789+01:00".parse::<UtcNanos>().unwrap(), time);
        assert!((time.plus_seconds(1.5).seconds_since(time) - 1.5).abs() < 1e-9);
        assert!("yesterday".parse::<UtcNanos>().is_err());
        assert!("9999-01-01T00:00:00Z".parse::<UtcNanos>().is_err());
    }
}
