//! One subcommand a file.

pub mod accept;
pub mod bench;
pub mod capture;
pub mod check;
pub mod devices;
pub mod gain;
pub mod hits;
pub mod info;
mod learned;
pub mod man;
pub mod plan;
pub mod record;
pub mod replay;
pub mod run;
pub mod simulate;
pub mod status;
pub mod verify;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use clap::CommandFactory;

/// Runs what was typed.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Replay(args) => replay::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Accept(args) => accept::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Gain(args) => gain::run(&args),
        Command::Hits(args) => hits::run(&args),
        Command::Learned(args) => learned::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Capture(args) => capture::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cellwarden", &mut std::io::stdout());
            Ok(())
        }
        Command::Man { out } => man::run(&out),
    }
}
