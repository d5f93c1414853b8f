//! `gain.json` in the folder of data: gains that were measured, and for which settings of which device they hold.

use crate::config::Config;
use crate::failure::Failure;
use cellwarden_capture::config::{ChannelConfig, DeviceConfig, Gain};
use cellwarden_types::{Hertz, UtcNanos};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The file's name.
const NAME: &str = "gain.json";
/// A device is asked for whole hertz.
const SAME_HZ: f64 = 1.0;

/// A gain, and what it was measured with: with anything else, it is not that gain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredGain {
    /// The sensor.
    pub sensor: String,
    /// Its device: name, and `soapy` or `rtl_tcp` as configured.
    pub device: String,
    /// Likewise.
    pub source: String,
    /// The device's channel.
    pub channel: usize,
    /// The antenna, where one is configured.
    pub antenna: Option<String>,
    /// The device's sample rate.
    pub rate_hz: Hertz,
    /// Its filter, where one is configured.
    pub bandwidth_hz: Option<Hertz>,
    /// The channel's centre.
    pub center_hz: Hertz,
    /// The overall gain, in dB.
    pub gain_db: f64,
    /// Input level that reads 0 dBFS, in dBm.
    pub full_scale_dbm: f64,
    /// Noise density at that gain, in dBFS/Hz.
    pub floor_dbfs_per_hz: f64,
    /// What is lost against the gain at which most is heard, in dB.
    pub cost_db: f64,
    /// When it was measured.
    pub measured: UtcNanos,
    /// With which cellwarden.
    pub software: String,
}

impl MeasuredGain {
    /// The settings of `device` and `channel`, with nothing measured yet.
    pub fn of(device: &DeviceConfig, channel: &ChannelConfig, measured: UtcNanos) -> Self {
        Self {
            sensor: channel.sensor.clone(),
            device: device.name.clone(),
            source: source(device),
            channel: channel.number,
            antenna: channel.antenna.clone(),
            rate_hz: device.rate,
            bandwidth_hz: device.bandwidth,
            center_hz: channel.center,
            gain_db: f64::NAN,
            full_scale_dbm: f64::NAN,
            floor_dbfs_per_hz: f64::NAN,
            cost_db: f64::NAN,
            measured,
            software: crate::listen::software(),
        }
    }

    /// What of the settings is another than it was, in words.
    fn differs(&self, device: &DeviceConfig, channel: &ChannelConfig) -> Option<String> {
        let now = Self::of(device, channel, self.measured);
        let other = |what: &str, then: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            Some(format!("for {what} {then}, and it is {now} now"))
        };
        let far = |a: Hertz, b: Hertz| (a.0 - b.0).abs() > SAME_HZ;
        let text = |a: &Option<String>| a.clone().unwrap_or_else(|| "of the driver's choice".to_owned());
        let width = |a: Option<Hertz>| a.map_or_else(|| "of the driver's choice".to_owned(), |h| h.to_string());
        if (&self.device, &self.source) != (&now.device, &now.source) {
            let named = |m: &Self| format!("{:?} ({})", m.device, m.source);
            return other("the device", &named(self), &named(&now));
        }
        if self.channel != now.channel {
            return other("channel", &self.channel, &now.channel);
        }
        if self.antenna != now.antenna {
            return other("an antenna", &text(&self.antenna), &text(&now.antenna));
        }
        if far(self.rate_hz, now.rate_hz) {
            return other("a rate of", &self.rate_hz, &now.rate_hz);
        }
        if far(self.center_hz, now.center_hz) {
            return other("a centre of", &self.center_hz, &now.center_hz);
        }
        if self.bandwidth_hz != now.bandwidth_hz {
            return other("a bandwidth", &width(self.bandwidth_hz), &width(now.bandwidth_hz));
        }
        (!self.gain_db.is_finite()).then(|| "as no number".to_owned())
    }
}

fn source(device: &DeviceConfig) -> String {
    let named = |kind: &str, text: &Option<String>| text.as_ref().map(|t| format!("{kind}: {t}"));
    named("soapy", &device.soapy).or_else(|| named("rtl_tcp", &device.rtl_tcp)).unwrap_or_else(|| "stdin".to_owned())
}

/// Where the gains of a configuration are kept.
pub fn path(config: &Config) -> Result<PathBuf, Failure> {
    let data = config.data.as_ref();
    data.map(|data| data.join(NAME))
        .ok_or_else(|| Failure::Usage("gain = \"measured\" needs a folder of data".to_owned()))
}

/// Reads the file; one that is not there holds nothing.
fn load(path: &Path) -> Result<Vec<MeasuredGain>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Failure::Usage(format!("reading {}: {e}", path.display()))),
    };
    let wrong =
        |e| Failure::Usage(format!("{}: {e}: delete it, and measure with `cellwarden gain --write`", path.display()));
    serde_json::from_str(&text).map_err(wrong)
}

/// Adds gains to the file, in place of older ones of the same sensors, in one step.
pub fn save(path: &Path, new: Vec<MeasuredGain>) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Run(format!("writing {}: {e}", path.display()));
    let mut all = load(path)?;
    all.retain(|old| new.iter().all(|n| n.sensor != old.sensor));
    all.extend(new);
    let text = serde_json::to_string_pretty(&all).map_err(Failure::run)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let part = path.with_extension("json.part");
    let mut file = std::fs::File::create(&part).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)
}

/// Puts the number in the place of each `gain = "measured"`, and returns what was put where.
///
/// # Errors
/// If a gain was not measured, or with other settings: a wrong gain would move every level unseen.
pub fn resolve(config: &mut Config) -> Result<Vec<MeasuredGain>, Failure> {
    if config.devices.iter().all(|d| d.unmeasured().next().is_none()) {
        return Ok(Vec::new());
    }
    let path = path(config)?;
    let known = load(&path)?;
    let mut used = Vec::new();
    for device in &mut config.devices {
        let shape = device.clone();
        for channel in &mut device.channels {
            if !matches!(shape.gain_of(channel), Some(Gain::Measured(_))) {
                continue;
            }
            let found = known.iter().find(|k| k.sensor == channel.sensor);
            let why = match found {
                None => Some(format!("was not measured: {} does not have it", path.display())),
                Some(found) => found.differs(&shape, channel).map(|what| format!("was measured {what}")),
            };
            if let Some(why) = why {
                return Err(Failure::Usage(format!(
                    "device {:?}, sensor {:?}: its gain {why}. End the daemon, and run cellwarden gain --device {:?} --write",
                    shape.name, channel.sensor, shape.name
                )));
            }
            if let Some(found) = found {
                channel.gain = Some(Gain::Overall(found.gain_db));
                used.push(found.clone());
            }
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path, change: impl FnOnce(&mut DeviceConfig)) -> Config {
        let text = "name = 'west'\nsoapy = 'driver=x'\nrate = '2.4M'\ngain = 'measured'\n\
                    [[channel]]\nsensor = 'a'\ncenter = '902.4M'\n[[channel]]\nsensor = 'b'\nnumber = 1\ncenter = '902.4M'\ngain = 7";
        let mut device: DeviceConfig = toml::from_str(text).expect("a device");
        change(&mut device);
        Config { data: Some(folder.to_owned()), ..Config::of(device) }
    }

    #[test]
    fn a_measured_gain_holds_for_its_settings_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = config(folder.path(), |_| {});
        let error = resolve(&mut first).expect_err("nothing measured").to_string();
        assert!(error.contains("\"a\"") && error.contains("not measured") && error.contains("--write"), "{error}");
        let device = first.devices[0].clone();
        let gain = |gain_db| MeasuredGain {
            gain_db,
            full_scale_dbm: -14.0,
            floor_dbfs_per_hz: -140.0,
            cost_db: 3.0,
            ..MeasuredGain::of(&device, &device.channels[0], UtcNanos(0))
        };
        let path = path(&first).expect("a path");
        save(&path, vec![gain(10.0)]).expect("saves");
        save(&path, vec![gain(24.0)]).expect("saves in its place");
        assert_eq!(resolve(&mut first).expect("resolves"), [gain(24.0)]);
        assert_eq!(first.devices[0].unmeasured().next(), None);
        assert_eq!(
            first.devices[0].channels.iter().map(|c| c.gain.clone()).collect::<Vec<_>>(),
            [Some(Gain::Overall(24.0)), Some(Gain::Overall(7.0))]
        );
        type Change = fn(&mut DeviceConfig);
        let changes: [(&str, Change); 6] = [
            ("driver=y", |d| d.soapy = Some("driver=y".to_owned())),
            ("2.5 MHz", |d| d.rate = Hertz(2.5e6)),
            ("897.4 MHz", |d| d.channels[0].center = Hertz(897.4e6)),
            ("RX2", |d| d.channels[0].antenna = Some("RX2".to_owned())),
            ("channel 0, and it is 3", |d| d.channels[0].number = 3),
            ("bandwidth", |d| d.bandwidth = Some(Hertz(2e6))),
        ];
        for (words, change) in changes {
            let error = resolve(&mut config(folder.path(), change)).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
        std::fs::write(&path, "{").expect("writes");
        assert!(resolve(&mut config(folder.path(), |_| {})).expect_err("broken").to_string().contains("gain.json"));
    }
}
