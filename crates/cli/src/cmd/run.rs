//! `cellwarden run`: receivers in, hits per cell block out, as they come.

use crate::args::RunArgs;
use crate::config::{self, Config};
use crate::daemon;
use crate::failure::Failure;
use cellwarden_capture::config::{ChannelConfig, DeviceConfig, Gain};
use cellwarden_types::Hertz;
use std::path::Path;

/// Listens until the receivers end, the time is over, or a signal comes.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let described = device(args)?;
    if args.config.is_some() && described.is_some() {
        return Err(Failure::Usage("--config names the devices: leave the other options out".to_owned()));
    }
    if let Some(device) = described {
        let config = Config::of(device);
        config.check().map_err(Failure::Usage)?;
        return daemon::run(config, None, &args.listen);
    }
    let file = args.config.as_deref().unwrap_or(Path::new(config::PATH));
    daemon::run(Config::load(file)?, Some(file), &args.listen)
}

/// The device that the command line describes, if it does.
fn device(args: &RunArgs) -> Result<Option<DeviceConfig>, Failure> {
    let described = args.device.is_some()
        || args.rtl_tcp.is_some()
        || args.stdin.is_some()
        || args.rate.is_some()
        || args.center.is_some()
        || args.gain.is_some();
    if !described {
        return Ok(None);
    }
    let wanted = |what: Option<Hertz>, name: &str| {
        what.ok_or_else(|| Failure::Usage(format!("{name} is missing: a receiver needs it, as in {name} 10M")))
    };
    let other = args.rtl_tcp.is_some() || args.stdin.is_some();
    let soapy = args.device.clone().or_else(|| (!other).then(String::new));
    Ok(Some(DeviceConfig {
        name: args.sensor.clone(),
        soapy,
        rtl_tcp: args.rtl_tcp.clone(),
        stdin: args.stdin,
        rate: wanted(args.rate, "--rate")?,
        gain: args.gain.map(Gain::Overall),
        ppm: args.ppm,
        bandwidth: args.bandwidth,
        clock_source: None,
        time_source: None,
        stream: String::new(),
        hop: None,
        seconds: args.seconds,
        channels: vec![ChannelConfig {
            sensor: args.sensor.clone(),
            number: args.channel,
            center: wanted(args.center, "--center")?,
            centers: Vec::new(),
            antenna: args.antenna.clone(),
            gain: None,
        }],
    }))
}
