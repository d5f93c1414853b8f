//! `cellwarden simulate`: recordings with known truth.

use crate::args::SimulateArgs;
use crate::failure::Failure;
use cellwarden_sim::SimError;
use std::io::Write;

/// Renders the scene, with a progress bar on a terminal.
pub fn run(args: &SimulateArgs) -> Result<(), Failure> {
    let bar = indicatif::ProgressBar::new(1000);
    bar.set_style(
        indicatif::ProgressStyle::with_template("simulating [{bar:40}] {percent} % {eta}")
            .map_err(|e| Failure::Run(e.to_string()))?,
    );
    let written = cellwarden_sim::simulate(&args.scene, &args.out, &mut |share| {
        bar.set_position((share.clamp(0.0, 1.0) * 1000.0) as u64);
    });
    bar.finish_and_clear();
    let written = written.map_err(|error| match error {
        SimError::Iq(_) | SimError::Write { .. } => Failure::run(error),
        _ => Failure::usage(error),
    })?;
    let mut out = std::io::stdout().lock();
    for path in written {
        writeln!(out, "{}", path.display())?;
    }
    Ok(())
}
