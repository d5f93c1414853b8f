//! `cellwarden check`: is this site file good?

use crate::args::CheckArgs;
use crate::failure::Failure;
use cellwarden_locate::Site;
use std::io::Write;

/// Checks each file; the first bad one ends the run.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for path in &args.sites {
        let site = Site::load(path).map_err(Failure::usage)?;
        writeln!(
            out,
            "{}: good: {} blocks, {} cells, {} zones outside, {} sensors",
            path.display(),
            site.blocks.len(),
            site.cells.len(),
            site.outside.len(),
            site.sensors.len()
        )?;
    }
    Ok(())
}
