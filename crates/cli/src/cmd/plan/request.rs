//! From files to what is to be planned.

use crate::cmd::check::is_configuration;
use crate::config::Config;
use crate::failure::Failure;
use cellwarden_capture::config::{ChannelConfig, DeviceConfig, HopConfig, Origin};
use cellwarden_locate::Site;
use cellwarden_locate::site::Point;
use cellwarden_plan::demand::{Band, bands, bands_at};
use cellwarden_plan::host::Host;
use cellwarden_plan::radio::{Radio, USUAL_RETUNE_S, by_arguments, by_model};
use cellwarden_plan::request::Round;
use cellwarden_plan::schedule::Range;
use cellwarden_plan::section::{RadioSection, Section};
use cellwarden_plan::{Place, Request, Station};
use std::path::Path;

// What is planned is what is run: neither crate may use the other, so that this is where they are held together.
const _: () = assert!(USUAL_RETUNE_S * 1e3 == HopConfig::USUAL_SETTLE_MS);

/// What the file asks for; `host` where it does not say which machine.
pub fn load(path: &Path, host: Host) -> Result<Request, Failure> {
    if is_configuration(path) { of_configuration(path, host) } else { of_site(path, host) }
}

/// That a `[plan]` can be used: its bands are known, and each radio's are among them.
pub fn check_section(section: &Section, path: &Path) -> Result<(), Failure> {
    if section.bands.is_empty() && section.country.is_none() && section.radio.is_empty() {
        return Ok(()); // the radios that are there tell the bands
    }
    let bands = demanded(section, &[], path)?;
    section.radio.iter().try_for_each(|radio| own_bands(radio.get_ref(), &bands, path).map(drop))
}

/// The `[plan]` of a site file.
pub fn section(path: &Path) -> Result<Option<Section>, Failure> {
    let text = Site::read(path).map_err(Failure::usage)?;
    Section::parse(&text, &path.display().to_string()).map_err(Failure::usage)
}

/// The bands that are wanted: those named, else the country's, else those where `windows` are.
fn demanded(section: &Section, windows: &[Range], path: &Path) -> Result<Vec<Band>, Failure> {
    let country = section.country.as_deref();
    let mut names: Vec<String> = section.bands.iter().map(|b| b.0.clone()).collect();
    if names.is_empty() && !windows.is_empty() {
        names = bands_at(windows, country);
    }
    bands(&names, country).map_err(|what| Failure::Usage(format!("{}: plan: {what}", path.display())))
}

fn of_site(path: &Path, host: Host) -> Result<Request, Failure> {
    let site = Site::load(path).map_err(Failure::usage)?;
    let Some(section) = section(path)?.filter(|s| !s.radio.is_empty()) else {
        return Err(Failure::Usage(format!(
            "{}: no radio is named: add [plan] with [[plan.radio]] (see --help), or give the box's configuration",
            path.display()
        )));
    };
    let bands = demanded(&section, &[], path)?;
    let radios = section.radio.iter().map(|r| r.get_ref());
    let stations = radios.map(|r| station(r, &bands, path)).collect::<Result<Vec<_>, _>>()?;
    let mut positions: Vec<Point> = site.sensors.iter().map(|s| s.position).collect();
    positions.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    positions.dedup();
    let alike = section.places.unwrap_or(positions.len() as u32);
    let name = if alike == 1 { "the place".to_owned() } else { "each place".to_owned() };
    let places = vec![Place { name, alike, stations }];
    Ok(Request { places, bands, host: section.host(host), usb_controllers: usb_controllers(&section) })
}

fn usb_controllers(section: &Section) -> u32 {
    section.host.and_then(|h| h.usb_controllers).unwrap_or(1)
}

/// Indices of the bands that an entry's radios are for.
fn own_bands(radio: &RadioSection, bands: &[Band], path: &Path) -> Result<Vec<usize>, Failure> {
    let index = |name: &str| {
        bands.iter().position(|b| b.name == name).ok_or_else(|| {
            let known: Vec<&str> = bands.iter().map(|b| b.name.as_str()).collect();
            let model = &radio.model;
            Failure::Usage(format!(
                "{}: plan.radio {model:?}: the band {name:?} is not among those of the plan ({})",
                path.display(),
                known.join(", ")
            ))
        })
    };
    if radio.bands.is_empty() {
        Ok((0..bands.len()).collect())
    } else {
        radio.bands.iter().map(|b| index(&b.0)).collect()
    }
}

fn station(section: &RadioSection, bands: &[Band], path: &Path) -> Result<Station, Failure> {
    let radio = section.radio();
    let most = radio.and_then(|r| r.rates.get(section.channels as usize - 1)).copied();
    Ok(Station {
        name: section.model.clone(),
        radio,
        receivers: section.count * section.channels,
        channels: section.channels,
        rate_hz: section.rate.map(|r| r.0).or(most).unwrap_or(1e6),
        bandwidth_hz: None,
        centers_hz: Vec::new(),
        round: None,
        torn: false,
        bands: own_bands(section, bands, path)?,
        passband: section.passband(),
        retune_s: section.retune_ms.map(|ms| ms / 1e3),
    })
}

fn of_configuration(path: &Path, host: Host) -> Result<Request, Failure> {
    let config = Config::load(path)?;
    if config.plan.as_ref().is_some_and(|s| !s.radio.is_empty()) {
        return Err(Failure::Usage(format!(
            "{}: the radios of a configuration are its devices: put [[plan.radio]], for what may be bought, into a site file",
            path.display()
        )));
    }
    let site = config.site.as_deref().map(|p| Site::load(p).map_err(Failure::usage)).transpose()?;
    // What the configuration says counts, else what its site file says.
    let section = match config.plan {
        Some(section) => section,
        None => config.site.as_deref().map(section).transpose()?.flatten().unwrap_or_default(),
    };
    // Sensors at one point are one place; so are those of which nothing is known.
    let mut places: Vec<(Option<Point>, Place)> = Vec::new();
    for device in &config.devices {
        for channel in &device.channels {
            let sensor = channel.sensor.as_str();
            let at = site.as_ref().and_then(|s| s.sensor(sensor)).map(|s| s.position);
            let place = match places.iter().position(|(point, _)| *point == at) {
                Some(i) => i,
                None => {
                    places.push((at, Place { name: String::new(), alike: 1, stations: Vec::new() }));
                    places.len() - 1
                }
            };
            let place = &mut places[place].1;
            place.name += if place.name.is_empty() { "" } else { ", " };
            place.name += sensor;
            match place.stations.iter_mut().find(|s| s.name == device.name) {
                Some(station) => {
                    station.receivers += 1;
                    let more = centers_hz(channel);
                    station.centers_hz.extend(&more);
                    station.round.iter_mut().for_each(|r| r.centers_hz.push(more.clone()));
                }
                None => place.stations.push(tuned(device, channel)),
            }
        }
    }
    let mut places: Vec<Place> = places.into_iter().map(|(_, place)| place).collect();
    let windows = |s: &Station| s.centers_hz.iter().map(|&hz| Range::about(hz, s.usable_hz())).collect::<Vec<_>>();
    let all: Vec<Range> = places.iter().flat_map(|p| p.stations.iter().flat_map(windows)).collect();
    let bands = demanded(&section, &all, path)?;
    places.iter_mut().flat_map(|p| &mut p.stations).for_each(|s| s.bands = (0..bands.len()).collect());
    Ok(Request { places, bands, host: section.host(host), usb_controllers: usb_controllers(&section) })
}

fn centers_hz(channel: &ChannelConfig) -> Vec<f64> {
    channel.tunings().iter().map(|c| c.0).collect()
}

/// A device as it is set, with this channel of it.
fn tuned(device: &DeviceConfig, channel: &ChannelConfig) -> Station {
    let radio: Option<&'static Radio> = match device.origin() {
        Ok(Origin::Soapy(arguments)) => by_arguments(arguments, device.rate.0),
        Ok(Origin::RtlTcp(_)) => by_model("rtl-sdr"),
        _ => None,
    };
    // How many different centres there are at once, at worst.
    let at_once = |step: usize| {
        let mut at: Vec<f64> = device.channels.iter().filter_map(|c| c.tunings().get(step)).map(|c| c.0).collect();
        at.sort_by(f64::total_cmp);
        at.dedup();
        at.len()
    };
    let most = (0..channel.tunings().len()).map(at_once).max().unwrap_or(0);
    let torn = radio.is_some_and(|r| most > r.tuners as usize);
    let own = centers_hz(channel);
    Station {
        name: device.name.clone(),
        radio,
        receivers: 1,
        channels: device.channels.len() as u32,
        rate_hz: device.rate.0,
        bandwidth_hz: device.bandwidth.map(|b| b.0),
        round: device.hop.map(|hop| Round {
            dwell_s: hop.dwell_s,
            settle_s: hop.settle_s(),
            centers_hz: vec![own.clone()],
        }),
        centers_hz: own,
        torn,
        bands: Vec::new(),
        passband: None,
        retune_s: device.hop.map(|hop| hop.settle_s()),
    }
}
