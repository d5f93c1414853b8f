//! `cellwarden man`, for who makes a package: the manual pages, from the same definition as `--help`.

use crate::args::Cli;
use crate::failure::Failure;
use clap::CommandFactory;
use std::path::Path;

/// Writes `cellwarden.1` and a page for each subcommand that is not hidden to the folder `out`.
pub fn run(out: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Run(format!("writing manual pages to {}: {e}", out.display()));
    std::fs::create_dir_all(out).map_err(failed)?;
    // A page `cellwarden-help` would say what `cellwarden --help` says.
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), out).map_err(failed)
}
