//! What does not fit, in sentences: what, where, and what to do.

use crate::demand::Band;
use crate::host::Load;
use crate::radio::Bus;
use crate::request::{Request, Station};
use crate::schedule::Range;
use cellwarden_types::Hertz;

/// A phone at 3 m against one at 100 m or behind walls, as strong as they are heard in 200 kHz, in dBm.
const NEAR_DBM: f64 = -20.0;
const FAR_DBM: f64 = -100.0;
/// A wing in the evening: fewer phones at once would be a bottleneck.
const PHONES_LEAST: f64 = 4.0;

/// All that does not fit.
pub(crate) fn warnings(request: &Request, load: &Load) -> Vec<String> {
    let mut found = Vec::new();
    for place in &request.places {
        for station in &place.stations {
            let who =
                if place.stations.iter().filter(|s| s.name == station.name).count() > 1 || request.places.len() > 1 {
                    format!("{} ({})", station.name, place.name)
                } else {
                    station.name.clone()
                };
            of_station(&who, station, &request.bands, &mut found);
        }
    }
    of_buses(request, &mut found);
    of_machine(request, load, &mut found);
    of_bands(request, &mut found);
    found
}

fn of_station(who: &str, station: &Station, bands: &[Band], found: &mut Vec<String>) {
    let (rate, usable_hz, tuning) = (station.rate_hz, station.usable_hz(), station.tuning());
    match station.radio {
        None => found.push(format!(
            "{who}: the radio is not known: tuning, bus and converter are not checked, and {:.0} % of the rate is taken to be usable",
            100.0 * crate::radio::USUAL_SHARE
        )),
        Some(radio) => {
            let most = radio.rates.get(station.channels as usize - 1).or(radio.rates.last()).copied().unwrap_or(rate);
            if rate > most * 1.001 {
                found.push(format!(
                    "{who}: {:.1} Msps is more than {} sustains ({:.1} Msps with {} channel{}): samples will be lost, lower the rate",
                    rate / 1e6,
                    radio.name,
                    most / 1e6,
                    station.channels,
                    if station.channels == 1 { "" } else { "s" }
                ));
            }
            if station.torn {
                found.push(format!(
                    "{who}: {} tunes to {} frequency at once: its channels cannot have different centres",
                    radio.name, radio.tuners
                ));
            }
            let range_db = radio.range_db(rate);
            if range_db < NEAR_DBM - FAR_DBM {
                found.push(format!(
                    "{who}: {} bits show {range_db:.0} dB at once: while a phone at {NEAR_DBM:.0} dBm talks in the window, those \
                     below {:.0} dBm are not heard. A phone beside the sensor hides far ones: use 12 bits, or more sensors with pads",
                    radio.bits_at(rate),
                    NEAR_DBM - range_db
                ));
            }
        }
    }
    for &hz in &station.centers_hz {
        if hz < tuning.lower_hz || hz > tuning.upper_hz {
            found.push(format!(
                "{who}: it cannot be tuned to {}: it goes from {} to {}",
                Hertz(hz),
                Hertz(tuning.lower_hz),
                Hertz(tuning.upper_hz)
            ));
        }
    }
    let reach = Range::new(tuning.lower_hz - usable_hz / 2.0, tuning.upper_hz + usable_hz / 2.0);
    for band in station.bands.iter().filter_map(|&i| bands.get(i)) {
        let heard = |range: Range| band.range.and(range).width_hz() / band.range.width_hz();
        let part = |share: f64| {
            if share > 0.0 {
                format!("only {:.0} % of {}", share * 100.0, band.name)
            } else {
                format!("nothing of {}", band.name)
            }
        };
        if heard(reach) < 0.999 {
            found.push(format!(
                "{who}: its tuning ends at {}: it reaches {}",
                Hertz(tuning.upper_hz),
                part(heard(reach))
            ));
        } else if let Some(passband) = station.passband.filter(|p| heard(*p) < 0.999) {
            let (low, high) = (passband.lower_hz / 1e6, passband.upper_hz / 1e6);
            found.push(format!(
                "{who}: its filter ({low:.1} to {high:.1} MHz) passes {}: name its bands with bands = […]",
                part(heard(passband))
            ));
        }
    }
    if station.centers_hz.is_empty() {
        let windows = station.hopping(bands).windows.len();
        if windows < station.receivers as usize {
            found.push(format!(
                "{who}: {} receivers, and {windows} centres are enough for its bands: {} would be idle",
                station.receivers,
                station.receivers as usize - windows
            ));
        }
    }
}

fn of_buses(request: &Request, found: &mut Vec<String>) {
    for bus in [Bus::Usb2, Bus::Usb3] {
        let of = request.places.iter().flat_map(|p| p.stations.iter().map(move |s| (p.alike, s)));
        let (mut bytes_per_s, mut most_each) = (0.0, 0.0f64);
        for (alike, station) in of {
            let Some(radio) = station.radio.filter(|r| r.bus == bus) else { continue };
            let each = station.rate_hz * radio.bytes_per_sample;
            bytes_per_s += f64::from(alike * station.receivers) * each;
            most_each = most_each.max(each * f64::from(station.channels));
        }
        if most_each > bus.bytes_per_s() * 1.001 {
            found.push(format!(
                "one radio sends {:.0} MB/s, and {} carries about {:.0}: lower its rate",
                most_each / 1e6,
                bus.name(),
                bus.bytes_per_s() / 1e6
            ));
        } else if bytes_per_s > bus.bytes_per_s() * f64::from(request.usb_controllers) * 1.001 {
            let needed = (bytes_per_s / bus.bytes_per_s()).ceil();
            found.push(format!(
                "the radios send {:.0} MB/s over {}, and a controller carries about {:.0}: spread them over {needed:.0} controllers \
                 (plan.host.usb_controllers), or use more boxes",
                bytes_per_s / 1e6,
                bus.name(),
                bus.bytes_per_s() / 1e6
            ));
        }
    }
}

fn of_machine(request: &Request, load: &Load, found: &mut Vec<String>) {
    let cores = request.host.cores;
    if load.energy_share < 1.0 {
        found.push(format!(
            "{:.0} Msps are more than {cores} cores take even for energy: {:.0} % of the samples would be dropped, so more cores, \
             lower rates, or more boxes",
            load.msps,
            100.0 * (1.0 - load.energy_share)
        ));
    } else if load.depth_share < 1.0 {
        found.push(format!(
            "{:.0} Msps take {:.1} cores in depth, and there are {cores}: only {:.0} % of the samples are looked at in depth; the \
             probabilities hold for {:.1} cores",
            load.msps,
            load.cores_needed,
            100.0 * load.depth_share,
            load.cores_needed
        ));
    } else if load.phones_at_once < PHONES_LEAST {
        found.push(format!(
            "quiet bands take {:.1} of {cores} cores, and a phone on the air {} more: there is room for {:.0} at once; beyond, not all \
             is looked at in depth",
            load.cores_needed, request.host.cores_per_phone, load.phones_at_once
        ));
    }
}

fn of_bands(request: &Request, found: &mut Vec<String>) {
    for band in &request.bands {
        if band.tdd {
            found.push(format!(
                "{}: uplink and downlink share it, and there is no detector yet that tells a phone from the network there: energy \
                 only, and receivers that hop lose time on it",
                band.name
            ));
        }
    }
    for place in &request.places {
        let heard = |b: &Band| {
            place
                .stations
                .iter()
                .any(|s| s.hopping(&request.bands).windows.iter().any(|w| w.and(b.range).width_hz() > 0.0))
        };
        let missing: Vec<&str> = request.bands.iter().filter(|b| !heard(b)).map(|b| b.name.as_str()).collect();
        if !missing.is_empty() {
            found.push(format!("{}: no radio hears {}", place.name, missing.join(", ")));
        }
    }
}
