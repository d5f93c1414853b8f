//! What a device can do, and whether it can do what is asked of it.

use crate::config::{ChannelConfig, DeviceConfig, Gain};
use std::collections::BTreeMap;

/// Least and greatest value, both possible.
pub type Range = (f64, f64);

/// What one receive channel can do, in the driver's words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelProbe {
    /// Antennas.
    pub antennas: Vec<String>,
    /// Centre frequencies, in hertz.
    pub centers_hz: Vec<Range>,
    /// Sample rates, in hertz.
    pub rates_hz: Vec<Range>,
    /// Filter bandwidths, in hertz.
    pub bandwidths_hz: Vec<Range>,
    /// Overall gain, in dB.
    pub gain_db: Option<Range>,
    /// Gain by stage, in dB.
    pub stages_db: BTreeMap<String, Range>,
    /// Whether it has an automatic gain, which is always switched off.
    pub has_automatic_gain: bool,
    /// Native sample format and its full scale.
    pub native_format: String,
    /// Channel sensors.
    pub sensors: Vec<String>,
}

/// What a device is and can do, in the driver's words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceProbe {
    /// Driver.
    pub driver: String,
    /// Hardware.
    pub hardware: String,
    /// Serial number, firmware and the like.
    pub info: BTreeMap<String, String>,
    /// Clock sources.
    pub clock_sources: Vec<String>,
    /// Time sources.
    pub time_sources: Vec<String>,
    /// Whether it tells hardware time.
    pub has_hardware_time: bool,
    /// Device sensors.
    pub sensors: Vec<String>,
    /// Receive channels.
    pub channels: Vec<ChannelProbe>,
}

/// A driver that lists nothing does not say that nothing is possible.
fn allows(ranges: &[Range], value: f64) -> bool {
    // Drivers write 2.4e6 as 2399999.99.
    let near = value.abs() * 1e-6 + 0.5;
    ranges.is_empty() || ranges.iter().any(|&(low, high)| value >= low - near && value <= high + near)
}

/// Ranges in words, divided by `scale`: `0.25 Msps, 1 to 3.2 Msps`.
pub fn told(ranges: &[Range], scale: f64, unit: &str) -> String {
    let one = |&(low, high): &Range| {
        if low == high {
            format!("{} {unit}", low / scale)
        } else {
            format!("{} to {} {unit}", low / scale, high / scale)
        }
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn named(what: &str, wanted: &str, offered: &[String]) -> Option<String> {
    let known = offered.is_empty() || offered.iter().any(|o| o == wanted);
    (!known).then(|| format!("{what} {wanted:?}: it has {}", offered.join(", ")))
}

/// What of a configuration the device cannot do, each in one sentence; nothing if it can do all.
pub fn misfits(config: &DeviceConfig, probe: &DeviceProbe) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(config.clock_source.as_ref().and_then(|s| named("clock_source", s, &probe.clock_sources)));
    found.extend(config.time_source.as_ref().and_then(|s| named("time_source", s, &probe.time_sources)));
    for channel in &config.channels {
        let of = |text: String| format!("sensor {:?}: {text}", channel.sensor);
        match probe.channels.get(channel.number) {
            Some(can) => found.extend(channel_misfits(config, channel, can).into_iter().map(of)),
            None => found.push(of(format!(
                "channel {} of {}: they are numbered from 0",
                channel.number,
                probe.channels.len()
            ))),
        }
    }
    found
}

fn channel_misfits(config: &DeviceConfig, channel: &ChannelConfig, can: &ChannelProbe) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(channel.antenna.as_ref().and_then(|a| named("antenna", a, &can.antennas)));
    if !allows(&can.rates_hz, config.rate.0) {
        found.push(format!("rate {}: it has {}", config.rate, told(&can.rates_hz, 1e6, "Msps")));
    }
    for center in channel.tunings().iter().filter(|c| !allows(&can.centers_hz, c.0)) {
        found.push(format!("center {center}: it tunes {}", told(&can.centers_hz, 1e6, "MHz")));
    }
    if let Some(bandwidth) = config.bandwidth.filter(|b| !allows(&can.bandwidths_hz, b.0)) {
        found.push(format!("bandwidth {bandwidth}: it has {}", told(&can.bandwidths_hz, 1e6, "MHz")));
    }
    let in_range = |db: f64, range: Range| db >= range.0 - 0.01 && db <= range.1 + 0.01;
    match config.gain_of(channel) {
        Some(Gain::Overall(db)) => {
            if let Some(range) = can.gain_db.filter(|range| !in_range(*db, *range)) {
                found.push(format!("gain {db} dB: it has {}", told(&[range], 1.0, "dB")));
            }
        }
        Some(Gain::Stages(stages)) => {
            for (stage, db) in stages {
                match can.stages_db.get(stage) {
                    Some(range) if in_range(*db, *range) => {}
                    Some(range) => found.push(format!("gain {stage} {db} dB: it has {}", told(&[*range], 1.0, "dB"))),
                    None => found.extend(named("gain", stage, &can.stages_db.keys().cloned().collect::<Vec<_>>())),
                }
            }
        }
        Some(Gain::Measured(_)) | None => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_types::Hertz;

    fn probe() -> DeviceProbe {
        let channel = ChannelProbe {
            antennas: vec!["RX".to_owned(), "RX2".to_owned()],
            centers_hz: vec![(24e6, 1.766e9)],
            rates_hz: vec![(2.5e5, 2.5e5), (1e6, 3.2e6)],
            gain_db: Some((0.0, 49.6)),
            stages_db: BTreeMap::from([("LNA".to_owned(), (0.0, 40.0))]),
            ..ChannelProbe::default()
        };
        DeviceProbe { clock_sources: vec!["internal".to_owned()], channels: vec![channel], ..DeviceProbe::default() }
    }

    fn config(change: impl FnOnce(&mut DeviceConfig)) -> DeviceConfig {
        let text =
            "name = 'west'\nsoapy = ''\nrate = '2.4M'\ngain = 20\n[[channel]]\nsensor = 'a-west'\ncenter = '902.4M'";
        let mut config = toml::from_str(text).expect("a device");
        change(&mut config);
        config
    }

    #[test]
    fn what_a_device_cannot_do_is_said_with_what_it_can() {
        assert_eq!(misfits(&config(|_| {}), &probe()), [""; 0]);
        let stage = |name: &str, db| Some(Gain::Stages(BTreeMap::from([(name.to_owned(), db)])));
        let cases: [(DeviceConfig, &[&str]); 8] = [
            (config(|c| c.rate = Hertz(10e6)), &["a-west", "10 MHz", "0.25 Msps, 1 to 3.2 Msps"]),
            (config(|c| c.channels[0].center = Hertz(2.5e9)), &["2.5 GHz", "24 to 1766 MHz"]),
            (config(|c| c.channels[0].antenna = Some("TX".to_owned())), &["antenna", "RX, RX2"]),
            (config(|c| c.channels[0].number = 1), &["channel 1 of 1"]),
            (config(|c| c.gain = Some(Gain::Overall(60.0))), &["gain 60 dB", "49.6"]),
            (config(|c| c.gain = stage("VGA", 3.0)), &["VGA", "LNA"]),
            (config(|c| c.gain = stage("LNA", 50.0)), &["LNA 50 dB", "40"]),
            (config(|c| c.clock_source = Some("gpsdo".to_owned())), &["clock_source", "internal"]),
        ];
        for (config, words) in cases {
            let found = misfits(&config, &probe());
            assert!(found.len() == 1 && words.iter().all(|w| found[0].contains(w)), "{words:?}: {found:?}");
        }
    }

    #[test]
    fn every_centre_of_a_hopping_device_is_held_against_what_it_tunes_to() {
        let hops = config(|c| c.channels[0].centers = [902.4e6, 1747e6, 2.5e9, 1767e6].map(Hertz).to_vec());
        let found = misfits(&hops, &probe());
        assert!(found.len() == 2 && found[0].contains("2.5 GHz") && found[1].contains("1.767 GHz"), "{found:?}");
    }

    #[test]
    fn a_driver_that_lists_nothing_allows_everything() {
        let probe = DeviceProbe { channels: vec![ChannelProbe::default()], ..DeviceProbe::default() };
        let config = config(|c| {
            c.clock_source = Some("external".to_owned());
            c.channels[0].antenna = Some("A".to_owned());
        });
        assert_eq!(misfits(&config, &probe), [""; 0]);
    }
}
