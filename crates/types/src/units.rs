//! Frequencies and levels. Conversion between decibels and linear power happens here only.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A frequency or a rate in hertz.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hertz(pub f64);

/// Why a text is no frequency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no frequency: want a number in hertz, with k, M or G where it helps (902.4M)")]
pub struct ParseHertzError {
    text: String,
}

impl FromStr for Hertz {
    type Err = ParseHertzError;

    /// Reads `902400000`, `902.4e6`, `902.4M`, `20k`, `1.8GHz`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseHertzError { text: text.to_owned() };
        let body = text.trim();
        let body = body.strip_suffix("Hz").or_else(|| body.strip_suffix("hz")).unwrap_or(body).trim_end();
        let (number, scale) = match body.chars().last() {
            Some('k' | 'K') => (&body[..body.len() - 1], 1e3),
            Some('M') => (&body[..body.len() - 1], 1e6),
            Some('G') => (&body[..body.len() - 1], 1e9),
            _ => (body, 1.0),
        };
        let value: f64 = number.trim_end().parse().map_err(|_| wrong())?;
        // 902.4 * 1e6 is not exactly 902400000: below a microhertz there is nothing to say.
        let hertz = (value * scale * 1e6).round() / 1e6;
        if hertz.is_finite() { Ok(Self(hertz)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Hertz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        let (scale, unit) = if magnitude >= 1e9 {
            (1e9, "GHz")
        } else if magnitude >= 1e6 {
            (1e6, "MHz")
        } else if magnitude >= 1e3 {
            (1e3, "kHz")
        } else {
            (1.0, "Hz")
        };
        let text = format!("{:.6}", self.0 / scale);
        write!(f, "{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Reads a frequency from a number in hertz or a text with a suffix: `deserialize_with` of configuration files.
///
/// # Errors
/// If it is neither.
pub fn hertz_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hertz, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Hertz;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a frequency in hertz, or a text like \"902.4M\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Hertz, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_f64<E: de::Error>(self, hz: f64) -> Result<Hertz, E> {
            Ok(Hertz(hz))
        }

        fn visit_i64<E: de::Error>(self, hz: i64) -> Result<Hertz, E> {
            Ok(Hertz(hz as f64))
        }

        fn visit_u64<E: de::Error>(self, hz: u64) -> Result<Hertz, E> {
            Ok(Hertz(hz as f64))
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// A power ratio in decibels; nothing below -300 dB, so that silence stays a number.
pub fn db(power_ratio: f64) -> f64 {
    10.0 * power_ratio.max(1e-30).log10()
}

/// The power ratio of a value in decibels.
pub fn undb(decibel: f64) -> f64 {
    10f64.powf(decibel / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_scale() {
        for (text, hertz) in [("20k", 20e3), ("902.4M", 902.4e6), ("1.8GHz", 1.8e9), ("2e6", 2e6), ("847 MHz", 847e6)] {
            assert_eq!(text.parse::<Hertz>().unwrap(), Hertz(hertz), "{text}");
        }
        for text in ["", "M", "12x", "nan", "infinity"] {
            assert!(text.parse::<Hertz>().is_err(), "{text}");
        }
    }

    #[test]
    fn decibels_go_both_ways() {
        for value in [-120.0, -3.0, 0.0, 17.5] {
            assert!((db(undb(value)) - value).abs() < 1e-9);
        }
        assert!(db(0.0).is_finite());
    }
}
