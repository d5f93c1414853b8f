//! The command `cellwarden`: listens to recordings (and radios), finds phones, says where.

mod accept;
mod archive;
mod args;
mod client;
mod cmd;
mod config;
mod daemon;
mod engine;
mod failure;
mod gain;
mod learned;
mod listen;
mod live;
mod samples;
mod sigmf_sink;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Cli::parse();
    start_log();
    match cmd::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_broken_pipe() {
                eprintln!("cellwarden: {failure}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The log goes to standard error: what `CELLWARDEN_LOG` lets through, for people, or as JSON where `CELLWARDEN_LOG_FORMAT` is
/// `json`. The journal has its own times.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CELLWARDEN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    if std::env::var("CELLWARDEN_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().init();
    } else {
        log.without_time().init();
    }
}
