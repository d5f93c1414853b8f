//! What a device is, and how it is set: the same words in the configuration file, on the command line and between processes.

use cellwarden_types::Hertz;
use cellwarden_types::units::hertz_or_text;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

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
    /// Listens at several centres in turn; stays at one where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<HopConfig>,
    /// Ends after so many seconds of samples; runs for ever where it is left out.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// Its channels.
    #[serde(rename = "channel")]
    pub channels: Vec<ChannelConfig>,
}

/// How a device goes from centre to centre. All its channels go in step: most radios have one tuner for several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopConfig {
    /// How long it listens at each centre, in seconds of samples; `cellwarden plan` says how long is best.
    pub dwell_s: f64,
    /// From the command to retune to settled samples at the host, in milliseconds, with what the driver's buffers still hold
    /// from before: so much is thrown away after each change.
    #[serde(default = "usual_settle_ms")]
    pub settle_ms: f64,
}

impl HopConfig {
    /// Dwells that are allowed, in seconds: below, the detector gets no whole chunk of a visit; above, it is another plan.
    pub const DWELL_S: RangeInclusive<f64> = 0.02..=60.0;
    /// Times to settle that are allowed, in milliseconds: a device that gives nothing for much longer counts as silent.
    pub const SETTLE_MS: RangeInclusive<f64> = 0.0..=1000.0;

    /// The slowest radio that is known, an RTL-SDR with its driver's buffers.
    pub const USUAL_SETTLE_MS: f64 = 65.0;

    /// The time to settle, in seconds.
    pub fn settle_s(&self) -> f64 {
        self.settle_ms / 1e3
    }
}

fn usual_settle_ms() -> f64 {
    HopConfig::USUAL_SETTLE_MS
}

/// One receive channel: a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ChannelText", into = "ChannelText")]
pub struct ChannelConfig {
    /// The sensor's name, as the site file has it.
    pub sensor: String,
    /// The channel's number on the device.
    pub number: usize,
    /// Centre frequency: of several, the first.
    pub center: Hertz,
    /// Where it listens in turn; empty where it stays.
    pub centers: Vec<Hertz>,
    /// The antenna's name; the driver's choice where it is left out.
    pub antenna: Option<String>,
    /// Gain; the device's where it is left out.
    pub gain: Option<Gain>,
}

impl ChannelConfig {
    /// Every centre that it listens at, in their order.
    pub fn tunings(&self) -> &[Hertz] {
        if self.centers.is_empty() { std::slice::from_ref(&self.center) } else { &self.centers }
    }
}

/// A channel as it is written: either `center` or `centers`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelText {
    sensor: String,
    #[serde(default)]
    number: usize,
    #[serde(default, deserialize_with = "some_hertz", skip_serializing_if = "Option::is_none")]
    center: Option<Hertz>,
    #[serde(default, deserialize_with = "several_hertz", skip_serializing_if = "Option::is_none")]
    centers: Option<Vec<Hertz>>,
    #[serde(default)]
    antenna: Option<String>,
    #[serde(default)]
    gain: Option<Gain>,
}

impl TryFrom<ChannelText> for ChannelConfig {
    type Error = String;

    fn try_from(text: ChannelText) -> Result<Self, String> {
        let ChannelText { sensor, number, center, centers, antenna, gain } = text;
        let (center, centers) = match (center, centers) {
            (Some(center), None) => (center, Vec::new()),
            (None, Some(centers)) => match centers.first() {
                Some(&first) => (first, centers),
                None => return Err(format!("sensor {sensor:?}: centers is empty: name two or more, or one as center")),
            },
            (Some(_), Some(_)) => {
                return Err(format!("sensor {sensor:?} has both center and centers: keep centers if it is to hop"));
            }
            (None, None) => return Err(format!("sensor {sensor:?}: missing field `center`: add center = \"902.4M\"")),
        };
        Ok(Self { sensor, number, center, centers, antenna, gain })
    }
}

impl From<ChannelConfig> for ChannelText {
    fn from(channel: ChannelConfig) -> Self {
        let ChannelConfig { sensor, number, center, centers, antenna, gain } = channel;
        let stays = centers.is_empty();
        let (center, centers) = (stays.then_some(center), (!stays).then_some(centers));
        Self { sensor, number, center, centers, antenna, gain }
    }
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
            if let Some(center) = channel.tunings().iter().find(|c| !(c.0 > 0.0 && c.0.is_finite())) {
                return Err(self.wrong(format!("center: {center} is not above zero")));
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
        self.check_hop(&origin)
    }

    /// That it can hop, where it is to.
    fn check_hop(&self, origin: &Origin<'_>) -> Result<(), ConfigError> {
        let Some(hop) = &self.hop else {
            return match self.channels.iter().find(|c| !c.centers.is_empty()) {
                Some(channel) => Err(self.wrong(format!(
                    "sensor {:?} has centers, and the device does not hop: add [device.hop] with dwell_s, or give one center",
                    channel.sensor
                ))),
                None => Ok(()),
            };
        };
        if matches!(origin, Origin::Stdin(_)) {
            return Err(self.wrong("hop: standard input cannot be tuned: leave [device.hop] out"));
        }
        let within = |what: &str, value: f64, range: &RangeInclusive<f64>| {
            let (low, high) = (range.start(), range.end());
            let wrong = || self.wrong(format!("hop: {what}: {value} is not within {low} to {high}"));
            if range.contains(&value) { Ok(()) } else { Err(wrong()) }
        };
        within("dwell_s", hop.dwell_s, &HopConfig::DWELL_S)?;
        within("settle_ms", hop.settle_ms, &HopConfig::SETTLE_MS)?;
        let count = self.channels[0].tunings().len();
        for channel in &self.channels {
            let (sensor, centers) = (&channel.sensor, &channel.centers);
            if centers.is_empty() {
                return Err(self.wrong(format!(
                    "sensor {sensor:?} has one center, and the device hops: give centers = [\"847M\", …], or leave \
                     [device.hop] out"
                )));
            }
            if centers.iter().all(|c| *c == centers[0]) {
                return Err(
                    self.wrong(format!("sensor {sensor:?}: centers is one centre only: there is nowhere to hop to"))
                );
            }
            if centers.len() != count {
                return Err(self.wrong(format!(
                    "sensor {sensor:?} has {} centers and {:?} has {count}: channels of a device hop in step, give each as many",
                    centers.len(),
                    self.channels[0].sensor
                )));
            }
        }
        Ok(())
    }

    /// The same device when it stays at the first of its centres.
    pub fn staying(&self) -> Self {
        let mut device = Self { hop: None, ..self.clone() };
        device.channels.iter_mut().for_each(|c| c.centers.clear());
        device
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

fn several_hertz<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Hertz>>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "hertz_or_text")] Hertz);
    Ok(Some(Vec::<One>::deserialize(deserializer)?.into_iter().map(|one| one.0).collect()))
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

    /// Two channels of a device that may hop.
    fn hopping(hop: &str, first: &str, second: &str) -> Result<DeviceConfig, String> {
        let text = format!(
            "name = 'west'\nsoapy = ''\nrate = 1e6\ngain = 20\n{hop}\n\
             [[channel]]\nsensor = 'a'\n{first}\n[[channel]]\nnumber = 1\nsensor = 'b'\n{second}"
        );
        let device: DeviceConfig = toml::from_str(&text).map_err(|e| e.to_string())?;
        device.check().map_err(|e| e.to_string())?;
        Ok(device)
    }

    #[test]
    fn a_device_hops_over_several_centres() {
        const TWO: &str = "centers = ['847M', 897400000]";
        let device = hopping("hop = { dwell_s = 0.3 }", TWO, TWO).expect("good");
        let hop = device.hop.expect("it hops");
        assert_eq!((hop.dwell_s, hop.settle_ms, hop.settle_s()), (0.3, 65.0, 0.065));
        let channel = &device.channels[1];
        assert_eq!((channel.center, channel.tunings()), (Hertz(847e6), &[Hertz(847e6), Hertz(897.4e6)][..]));
        let back: DeviceConfig = serde_json::from_str(&serde_json::to_string(&device).unwrap()).unwrap();
        assert_eq!(back, device, "it goes to another process and back");
        let stays = device.staying();
        assert_eq!((stays.check(), stays.channels[1].tunings()), (Ok(()), &[Hertz(847e6)][..]));
        for (hop, first, second, words) in [
            ("", TWO, TWO, &["\"a\"", "[device.hop]"][..]),
            ("hop = { dwell_s = 0.3 }", TWO, "center = '847M'", &["\"b\"", "one center"]),
            ("hop = { dwell_s = 0.3 }", "centers = ['847M', '847M']", TWO, &["\"a\"", "one centre only"]),
            ("hop = { dwell_s = 0.3 }", "centers = []", TWO, &["\"a\"", "empty"]),
            ("hop = { dwell_s = 0.3 }", TWO, "centers = ['1G', '2G', '3G']", &["\"b\" has 3", "\"a\" has 2"]),
            ("hop = { dwell_s = 0.3 }", "centers = ['847M', '0']", TWO, &["not above zero"]),
            ("hop = { dwell_s = 0.3 }", "center = 9e8\ncenters = ['847M', '9e8']", TWO, &["\"a\"", "both"]),
            ("hop = { dwell_s = 0.3 }", "", TWO, &["\"a\"", "missing field `center`"]),
            ("hop = { dwell_s = 0.019 }", TWO, TWO, &["dwell_s", "0.02 to 60"]),
            ("hop = { dwell_s = nan }", TWO, TWO, &["dwell_s"]),
            ("hop = { dwell_s = 0.3, settle_ms = -1 }", TWO, TWO, &["settle_ms", "0 to 1000"]),
            ("hop = { dwell_s = 0.3, settle_ms = 1001 }", TWO, TWO, &["settle_ms"]),
            ("hop = { settle_ms = 10 }", TWO, TWO, &["dwell_s"]),
            ("hop = { dwell_s = 0.3, order = 'random' }", TWO, TWO, &["order"]),
        ] {
            let error = hopping(hop, first, second).expect_err(hop);
            assert!(words.iter().all(|w| error.contains(w)), "{hop} {first} {second}: {error}");
        }
        let input = DeviceConfig { soapy: None, stdin: Some(cellwarden_types::SampleFormat::Cs8), ..device };
        let one = DeviceConfig { channels: vec![input.channels[0].clone()], ..input };
        assert!(one.check().expect_err("no tuner").to_string().contains("standard input"));
    }
}
