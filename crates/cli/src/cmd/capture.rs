//! The hidden subcommand with which the daemon starts a device's capture process.

use crate::args::CaptureArgs;
use crate::failure::Failure;
use cellwarden_capture::process::supervisor::CaptureCommand;
use signal_hook::consts::TERM_SIGNALS;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Its name.
pub const NAME: &str = "capture-process";

/// How a capture process is started: with the very program that runs, even if its file was replaced since.
pub fn command() -> CaptureCommand {
    CaptureCommand { program: PathBuf::from("/proc/self/exe"), arguments: vec![NAME.into()] }
}

/// Reads a device for the daemon.
pub fn run(args: &CaptureArgs) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        signal_hook::flag::register(*signal, Arc::clone(&stop))
            .map_err(|e| Failure::Run(format!("asking for signals: {e}")))?;
    }
    cellwarden_capture::process::worker::run(&args.task, &stop)
        .map_err(|e| Failure::Usage(format!("only cellwarden itself starts a capture process: {e}")))
}
