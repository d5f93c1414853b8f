//! `cellwarden check`: are these site files and configurations good?

use crate::args::CheckArgs;
use crate::cmd::plan;
use crate::cmd::replay::known_sensor;
use crate::config::Config;
use crate::failure::Failure;
use crate::gain::kept::{self, MeasuredGain};
use cellwarden_capture::config::{DeviceConfig, Origin};
use cellwarden_capture::probe::misfits;
use cellwarden_capture::receiver::probe_device;
use cellwarden_evidence::Permission;
use cellwarden_locate::Site;
use cellwarden_types::{Hertz, UtcNanos};
use std::io::Write;
use std::path::Path;

/// Checks each file; the first bad one ends the run.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    for path in &args.files {
        if is_configuration(path) { check_configuration(path, args.device)? } else { check_site(path)? }
    }
    Ok(())
}

/// Whether the file names devices: else it is a site file, or nothing good.
pub fn is_configuration(path: &Path) -> bool {
    let table: Option<toml::Table> = std::fs::read_to_string(path).ok().and_then(|text| text.parse().ok());
    table.is_some_and(|t| t.contains_key("device") && !t.contains_key("block"))
}

fn check_site(path: &Path) -> Result<(), Failure> {
    let site = Site::load(path).map_err(Failure::usage)?;
    if let Some(section) = plan::section(path)? {
        plan::check_section(&section, path)?;
    }
    writeln!(
        std::io::stdout(),
        "{}: good: {} blocks, {} cells, {} zones outside, {} sensors",
        path.display(),
        site.blocks.len(),
        site.cells.len(),
        site.outside.len(),
        site.sensors.len()
    )?;
    Ok(())
}

fn check_configuration(path: &Path, with_devices: bool) -> Result<(), Failure> {
    let mut config = Config::load(path)?;
    if let Some(section) = &config.plan {
        plan::check_section(section, path)?;
    }
    if let Some(path) = &config.site {
        let site = Site::load(path).map_err(Failure::usage)?;
        for sensor in config.sensors() {
            known_sensor(&site, sensor, |known| format!("sensor = {known:?}"))?;
        }
    }
    let mut out = std::io::stdout().lock();
    for gain in kept::resolve(&mut config)? {
        let MeasuredGain { sensor, gain_db, measured, .. } = gain;
        writeln!(out, "sensor {sensor:?}: its gain is {gain_db:.1} dB, measured {measured}")?;
    }
    for device in config.devices.iter().filter(|_| with_devices) {
        writeln!(out, "{}", check_device(device)?)?;
    }
    writeln!(out, "{}", permission(&config, UtcNanos::now()))?;
    writeln!(out, "{}", config.tiles.describe(&config.rates_hz(), &config.rings_hz()))?;
    let (devices, sensors) = (config.devices.len(), config.sensors().count());
    writeln!(out, "{}: good: {devices} devices, {sensors} sensors", path.display())?;
    Ok(())
}

/// That the device is there and can do what is asked of it; says so.
fn check_device(config: &DeviceConfig) -> Result<String, Failure> {
    let Origin::Soapy(args) = config.origin().map_err(|e| Failure::Usage(e.to_string()))? else {
        return Ok(format!("device {:?}: is asked when it is used", config.name));
    };
    let probe = probe_device(args).map_err(|e| Failure::Run(format!("device {:?}: {e}", config.name)))?;
    let found = misfits(config, &probe);
    if found.is_empty() {
        return Ok(format!("device {:?}: can do what is asked ({}, {})", config.name, probe.driver, probe.hardware));
    }
    Err(Failure::Usage(format!("device {:?}: {}", config.name, found.join("; "))))
}

/// Whether samples may be recorded, in words.
fn permission(config: &Config, now: UtcNanos) -> String {
    let Some(permission) = &config.permission else {
        return "permission: none: samples cannot be recorded".to_owned();
    };
    let Permission { reason, granted_by, from, until, recipients, bands } = permission;
    let state = if now < *from {
        format!("samples may be recorded from {from} on, until {until}")
    } else if now < *until {
        format!("SAMPLES MAY BE RECORDED until {until}")
    } else {
        format!("over since {until}: samples cannot be recorded")
    };
    let bands: Vec<String> = bands.iter().map(|b| format!("{} to {}", Hertz(b.low_hz), Hertz(b.high_hz))).collect();
    format!(
        "permission: {state}; {reason:?}, granted by {granted_by:?}; {}; {} may read them; deleted after {} days",
        bands.join(", "),
        if recipients.len() == 1 { "1 key".to_owned() } else { format!("{} keys", recipients.len()) },
        config.samples_keep_days
    )
}
