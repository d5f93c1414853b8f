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
    let config = match (&args.config, device(args)?) {
        (Some(path), None) => Config::load(path)?,
        (None, None) => Config::load(Path::new(config::PATH))?,
        (None, Some(device)) => {
            let config = Config::of(device);
            config.check().map_err(Failure::Usage)?;
            config
        }
        (Some(_), Some(_)) => {
            return Err(Failure::Usage("--config names the devices: leave the other options out".to_owned()));
        }
    };
    daemon::run(config, &args.listen)
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
        seconds: args.seconds,
        channels: vec![ChannelConfig {
            sensor: args.sensor.clone(),
            number: args.channel,
            center: wanted(args.center, "--center")?,
            antenna: args.antenna.clone(),
            gain: None,
        }],
    }))
}
