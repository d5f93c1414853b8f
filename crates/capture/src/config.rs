//! What a device is, and how it is set: the same words in the configuration file, on the command line and between processes.

use cellwarden_types::Hertz;
use cellwarden_types::units::hertz_or_text;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A receiver with one or more channels, each of which is a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// The device's name in logs and reports.
    pub name: String,
    /// A SoapySDR device, `key=value,key=value`; empty for the first that is found.
    #[serde(default)]
    pub soapy: Option<String>,
    /// An `rtl_tcp` server, `host:port`.
    #[serde(default)]
    pub rtl_tcp: Option<String>,
    /// Standard input, in this sample type: `cu8`, `cs8`, `cs16`, `cf32`.
    #[serde(default)]
    pub stdin: Option<cellwarden_types::SampleFormat>,
    /// Complex samples per second, of every channel.
    #[serde(deserialize_with = "hertz_or_text")]
    pub rate: Hertz,
    /// Gain of every channel that has none of its own.
    #[serde(default)]
    pub gain: Option<Gain>,
    /// What the device's oscillator is too fast, in parts per million.
    #[serde(default)]
    pub ppm: f64,
    /// Bandwidth of the analogue filter; the driver's choice where it is left out.
    #[serde(default, deserialize_with = "some_hertz", skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Hertz>,
    /// Where the device's clock comes from, in the driver's words (`internal`, `external`, `gpsdo`).
    #[serde(default)]
    pub clock_source: Option<String>,
    /// Where its time comes from, in the driver's words.
    #[serde(default)]
    pub time_source: Option<String>,
    /// Further arguments for the stream, `key=value,key=value`.
    #[serde(default)]
    pub stream: String,
    /// Ends after so many seconds of samples; runs for ever where it is left out.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// Its channels.
    #[serde(rename = "channel")]
    pub channels: Vec<ChannelConfig>,
}

/// One receive channel: a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// The sensor's name, as the site file has it.
    pub sensor: String,
    /// The channel's number on the device.
    #[serde(default)]
    pub number: usize,
    /// Centre frequency.
    #[serde(deserialize_with = "hertz_or_text")]
    pub center: Hertz,
    /// The antenna's name; the driver's choice where it is left out.
    #[serde(default)]
    pub antenna: Option<String>,
    /// Gain; the device's where it is left out.
    #[serde(default)]
    pub gain: Option<Gain>,
}

/// Gain in dB: overall, or by the names of the device's stages. It is fixed: a gain that changes by itself would move the
/// levels by which phones are placed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Gain {
    /// Spread over the stages as the driver does.
    Overall(f64),
    /// By stage.
    Stages(BTreeMap<String, f64>),
    /// As a procedure measured it once: whoever opens the device puts the number in its place.
    Measured(Measured),
}

/// The word `measured`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// `gain = "measured"`.
    Measured,
}

/// Which kind of source a device is.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin<'a> {
    /// SoapySDR.
    Soapy(&'a str),
    /// `rtl_tcp`.
    RtlTcp(&'a str),
    /// Standard input.
    Stdin(cellwarden_types::SampleFormat),
}

/// Why a device's configuration makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device {device:?}: {what}")]
pub struct ConfigError {
    /// The device's name.
    pub device: String,
    /// What is wrong, and what to do.
    pub what: String,
}

impl DeviceConfig {
    /// Where its samples come from.
    ///
    /// # Errors
    /// Unless exactly one source is named.
    pub fn origin(&self) -> Result<Origin<'_>, ConfigError> {
        match (&self.soapy, &self.rtl_tcp, self.stdin) {
            (Some(args), None, None) => Ok(Origin::Soapy(args)),
            (None, Some(address), None) => Ok(Origin::RtlTcp(address)),
            (None, None, Some(format)) => Ok(Origin::Stdin(format)),
            (None, None, None) => Err(self.wrong("names no source: add soapy = \"driver=…\", rtl_tcp or stdin")),
            _ => Err(self.wrong("names more than one source: keep one of soapy, rtl_tcp and stdin")),
        }
    }

    /// That the configuration makes sense by itself; what the device says to it is another matter.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let origin = self.origin()?;
        if self.channels.is_empty() {
            return Err(self.wrong("has no channel: add [[device.channel]] with sensor and center"));
        }
        if !matches!(origin, Origin::Soapy(_)) && self.channels.len() > 1 {
            return Err(self.wrong("has one channel only: leave the others out"));
        }
        if !(self.rate.0 > 0.0 && self.rate.0.is_finite()) {
            return Err(self.wrong(format!("rate: {} is not above zero", self.rate)));
        }
        if self.ppm.is_nan() || self.ppm.abs() > PPM_MOST {
            return Err(self.wrong(format!("ppm: {} is not within ±{PPM_MOST}", self.ppm)));
        }
        if self.seconds.is_some_and(|s| !(s > 0.0 && s.is_finite())) {
            return Err(self.wrong("seconds: want more than 0"));
        }
        for (i, channel) in self.channels.iter().enumerate() {
            let before = &self.channels[..i];
            if channel.sensor.trim().is_empty() {
                return Err(self.wrong("a channel has no sensor: name one of the site file's"));
            }
            if before.iter().any(|c| c.number == channel.number) {
                return Err(self.wrong(format!("channel {} is there twice: give each its own number", channel.number)));
            }
            if !(channel.center.0 > 0.0 && channel.center.0.is_finite()) {
                return Err(self.wrong(format!("center: {} is not above zero", channel.center)));
            }
            let gain = self.gain_of(channel);
            let numbers: Vec<f64> = match gain {
                Some(Gain::Overall(db)) => vec![*db],
                Some(Gain::Stages(stages)) => stages.values().copied().collect(),
                Some(Gain::Measured(_)) | None => Vec::new(),
            };
            if numbers.iter().any(|db| !db.is_finite()) {
                return Err(self.wrong("gain: not a number"));
            }
            if matches!(origin, Origin::Soapy(_)) && gain.is_none() {
                return Err(self.wrong(format!(
                    "sensor {:?} has no gain: give it in dB, as in gain = 30; levels place phones, so none is guessed",
                    channel.sensor
                )));
            }
        }
        Ok(())
    }

    /// The gain that counts for a channel.
    pub fn gain_of<'a>(&'a self, channel: &'a ChannelConfig) -> Option<&'a Gain> {
        channel.gain.as_ref().or(self.gain.as_ref())
    }

    /// The sensors whose gain is still to be put in the place of `measured`.
    pub fn unmeasured(&self) -> impl Iterator<Item = &str> {
        let is_open = |c: &&ChannelConfig| matches!(self.gain_of(c), Some(Gain::Measured(_)));
        self.channels.iter().filter(is_open).map(|c| c.sensor.as_str())
    }

    fn wrong(&self, what: impl Into<String>) -> ConfigError {
        ConfigError { device: self.name.clone(), what: what.into() }
    }
}

/// No oscillator of a receiver is worse.
const PPM_MOST: f64 = 200.0;

fn some_hertz<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hertz>, D::Error> {
    hertz_or_text(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(more: &str) -> DeviceConfig {
        let text = format!(
            "name = 'west'\nrate = '2.4M'\n{more}\n[[channel]]\nsensor = 'a-west'\ncenter = 902400000\ngain = {{ LNA = 10 }}"
        );
        toml::from_str(&text).expect("a device")
    }

    #[test]
    fn a_device_is_read_and_checked() {
        let good = device("soapy = 'driver=rtlsdr'\nbandwidth = '2M'");
        assert_eq!(good.check(), Ok(()));
        assert_eq!(
            (good.rate, good.bandwidth, good.channels[0].center),
            (Hertz(2.4e6), Some(Hertz(2e6)), Hertz(902.4e6))
        );
        let back: DeviceConfig = serde_json::from_str(&serde_json::to_string(&good).unwrap()).unwrap();
        assert_eq!(back, good, "it goes to another process and back");
        for (more, word) in [
            ("", "names no source"),
            ("soapy = ''\nrtl_tcp = 'a:1'", "more than one source"),
            ("soapy = ''\nppm = 1e4", "ppm"),
            ("soapy = ''\nppm = nan", "ppm"),
            ("soapy = ''\nseconds = 0", "seconds"),
        ] {
            let error = device(more).check().expect_err(more).to_string();
            assert!(error.contains(word) && error.contains("west"), "{error}");
        }
        let mut none = device("soapy = ''");
        none.channels[0].gain = None;
        assert!(none.check().expect_err("no gain").to_string().contains("a-west"));
        none.channels.clear();
        assert!(none.check().is_err());
        let mut measured: DeviceConfig = toml::from_str(
            "name = 'w'\nsoapy = ''\nrate = 1e6\ngain = 'measured'\n[[channel]]\nsensor = 'a'\ncenter = 9e8",
        )
        .expect("a device");
        assert_eq!((measured.check(), measured.unmeasured().collect::<Vec<_>>()), (Ok(()), vec!["a"]));
        measured.channels[0].gain = Some(Gain::Overall(20.0));
        assert_eq!(measured.unmeasured().next(), None);
        assert!(toml::from_str::<DeviceConfig>("name = 'w'\nrate = 1e6\ngain = 'auto'\nchannel = []").is_err());
    }
}
