//! `cellwarden devices`: which receivers are there, and what can they do?

use crate::args::DevicesArgs;
use crate::failure::Failure;
use cellwarden_capture::probe::{ChannelProbe, DeviceProbe, told};
use cellwarden_capture::receiver::{find_devices, probe_device};
use std::io::Write;

/// Lists the devices; with `--probe`, opens each.
pub fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let found = find_devices(&args.device).map_err(Failure::run)?;
    let mut out = std::io::stdout().lock();
    if found.is_empty() {
        let of = if args.device.is_empty() { String::new() } else { format!(" that is {}", args.device) };
        return Err(Failure::Run(format!(
            "no device{of}: is it plugged in, may this user open it (udev rules, group plugdev), is its driver \
             (soapysdr-module-…) installed?"
        )));
    }
    let mut failed = Vec::new();
    for device in &found {
        let pairs: Vec<String> = device.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let address = pairs.join(",");
        writeln!(out, "{address}")?;
        if args.probe {
            match probe_device(&address) {
                Ok(probe) => write_probe(&mut out, &probe)?,
                Err(error) => {
                    writeln!(out, "  {error}")?;
                    failed.push(address);
                }
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Run(format!("could not be opened: {}", failed.join("; ")))) }
}

fn write_probe(out: &mut impl Write, probe: &DeviceProbe) -> std::io::Result<()> {
    let info: Vec<String> = probe.info.iter().map(|(k, v)| format!("{k}={v}")).collect();
    writeln!(out, "  driver         {} ({})", probe.driver, probe.hardware)?;
    line(out, "info", &info.join(", "))?;
    line(out, "clock_source", &probe.clock_sources.join(", "))?;
    line(out, "time_source", &probe.time_sources.join(", "))?;
    line(out, "sensors", &probe.sensors.join(", "))?;
    let time = if probe.has_hardware_time { "yes" } else { "no: losses are counted by what the driver says" };
    writeln!(out, "  hardware time  {time}")?;
    for (number, channel) in probe.channels.iter().enumerate() {
        writeln!(out, "  channel {number}")?;
        write_channel(out, channel)?;
    }
    Ok(())
}

fn write_channel(out: &mut impl Write, channel: &ChannelProbe) -> std::io::Result<()> {
    line(out, "  antenna", &channel.antennas.join(", "))?;
    line(out, "  center", &told(&channel.centers_hz, 1e6, "MHz"))?;
    line(out, "  rate", &told(&channel.rates_hz, 1e6, "Msps"))?;
    line(out, "  bandwidth", &told(&channel.bandwidths_hz, 1e6, "MHz"))?;
    line(out, "  gain", &told(channel.gain_db.as_slice(), 1.0, "dB"))?;
    for (stage, range) in &channel.stages_db {
        line(out, &format!("  gain {stage}"), &told(&[*range], 1.0, "dB"))?;
    }
    let automatic = if channel.has_automatic_gain { "has one: it is switched off" } else { "has none" };
    line(out, "  automatic gain", automatic)?;
    line(out, "  native format", &channel.native_format)?;
    line(out, "  sensors", &channel.sensors.join(", "))
}

fn line(out: &mut impl Write, name: &str, value: &str) -> std::io::Result<()> {
    if value.is_empty() { Ok(()) } else { writeln!(out, "  {name:<17}{value}") }
}
