//! The hidden subcommand with which the daemon starts a device's capture process.

use crate::args::CaptureArgs;
use crate::failure::Failure;
use signal_hook::consts::TERM_SIGNALS;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Its name.
pub const NAME: &str = "capture-process";

/// Reads a device for the daemon.
pub fn run(args: &CaptureArgs) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        signal_hook::flag::register(*signal, Arc::clone(&stop))
            .map_err(|e| Failure::Run(format!("asking for signals: {e}")))?;
    }
    cellwarden_capture::process::worker::run(&args.task, &stop)
        .map_err(|e| Failure::Usage(format!("only `cellwarden run` starts a capture process: {e}")))
}
