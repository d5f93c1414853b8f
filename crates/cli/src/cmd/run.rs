//! `cellwarden run`: a radio in, hits per cell block out, as they come.

use crate::args::RunArgs;
use crate::failure::Failure;

/// Listens until the radio ends, the time is over, or a signal comes.
#[cfg(feature = "soapy")]
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    soapy::run(args)
}

/// Says how to get radios.
#[cfg(not(feature = "soapy"))]
pub fn run(_: &RunArgs) -> Result<(), Failure> {
    Err(Failure::Usage(
        "this cellwarden was built without radios: install libsoapysdr-dev, then \
         cargo build --release -p cellwarden-cli --features soapy"
            .to_owned(),
    ))
}

#[cfg(feature = "soapy")]
mod soapy {
    use crate::args::{Format, RunArgs};
    use crate::cmd::replay::known_sensor;
    use crate::engine::{Engine, SensorRun};
    use crate::failure::Failure;
    use crate::listen::Listening;
    use cellwarden_capture::ReaderMode;
    use cellwarden_capture::soapy::{SoapyConfig, SoapySource};
    use signal_hook::consts::TERM_SIGNALS;
    use std::sync::Arc;

    /// Samples in a block: 2 to 30 ms at the rates of radios.
    const BLOCK_SAMPLES: usize = 65_536;

    pub fn run(args: &RunArgs) -> Result<(), Failure> {
        if args.seconds.is_some_and(|s| !(s > 0.0 && s.is_finite())) {
            return Err(Failure::Usage("--seconds: want more than 0".to_owned()));
        }
        if args.listen.format == Some(Format::Sigmf) {
            return Err(Failure::Usage("--format sigmf annotates a recording: replay one".to_owned()));
        }
        let listening = Listening::new(&args.listen, true)?;
        if let Some(site) = &listening.site {
            known_sensor(site, &args.sensor, |known| format!("cellwarden run … {known}"))?;
        }
        let config = SoapyConfig {
            device: args.device.clone(),
            channel: args.channel,
            rate: args.rate,
            center: args.center,
            gain_db: args.gain,
            antenna: args.antenna.clone(),
            seconds: args.seconds,
        };
        let source = SoapySource::open(config, Arc::from(args.sensor.as_str())).map_err(Failure::run)?;
        let sensor = SensorRun::start(Box::new(source), None, listening.config, BLOCK_SAMPLES, ReaderMode::Live)?;
        for signal in TERM_SIGNALS {
            // The first ends the run, with everything written; the second ends the process.
            let stop = sensor.stop();
            let failed = |e| Failure::Run(format!("asking for signals: {e}"));
            signal_hook::flag::register_conditional_shutdown(*signal, 1, Arc::clone(&stop)).map_err(failed)?;
            signal_hook::flag::register(*signal, stop).map_err(failed)?;
        }
        listening.run(Engine::new(vec![sensor]), Vec::new())
    }
}
