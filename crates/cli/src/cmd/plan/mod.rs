//! `cellwarden plan`: what can a box watch, and what would it catch?

mod request;
mod table;

use crate::failure::Failure;
use crate::listen::colour_wanted;
use cellwarden_plan::host::{CORES_PER_PHONE, DEPTH_MSPS_PER_CORE, ENERGY_MSPS_PER_CORE, Host};
use clap::{Args, ValueEnum};
pub use request::{check_section, section};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Lines of up to 98 characters: clap breaks what is longer once more.
const LONG_HELP: &str = r#"Say what a box can watch, and what it would catch

Reads a configuration ([[device]]: what is there) or a file with a [plan] section (what may be
bought). For each band: what share of its spectrum and time is watched, in energy and in depth,
and the probability to catch each kind of activity of one phone that the place hears well, for
receivers as they are set (at one centre, or hopping with their own dwell), and for receivers that
hop over all of their bands, with the dwell that catches most.
Then what does not fit: bus, tuning, filters, converter, machine.

A [plan] section, in a site file or a configuration:

  [plan]
  country = "fr"                  # what of each band is in use there (fr, gb)
  bands = [20, 8, 28]             # first the most important; left out: all of the country
  places = 2                      # served by one box; left out: places of the site's sensors
  [plan.host]
  cores = 4
  [[plan.radio]]                  # hang at every place
  model = "bladerf-micro"         # a wrong one lists what is known
  count = 1
  rate = "50M"                    # left out: the most that it sustains
  bands = [20, 8]                 # what these are for; left out: all
  filter = ["832M", "915M"]       # of a filter before them
  retune_ms = 10                  # where it was measured"#;

/// Say what a box can watch, and what it would catch
#[derive(Debug, Args)]
#[command(
    long_about = LONG_HELP,
    after_help = "Examples:
  cellwarden plan configs/plan-small.toml
  cellwarden bench >bench.json; cellwarden plan --bench bench.json /etc/cellwarden/cellwarden.toml
  cellwarden plan site.toml --format json | jq '.places[].bands[] | {band, watching}'"
)]
pub struct PlanArgs {
    /// A configuration, or a site file with a `[plan]` section
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,
    /// Cores for detection [default: plan.host.cores, else this machine's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub cores: Option<u16>,
    /// What `cellwarden bench` measured on the machine [default: plan.host, else about 100 Msps a core]
    #[arg(long, value_name = "FILE.json")]
    pub bench: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: PlanFormat,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Table,
    /// One JSON object
    Json,
}

/// Computes and prints.
pub fn run(args: &PlanArgs) -> Result<(), Failure> {
    let mut request = request::load(&args.file, usual_host())?;
    if let Some(path) = &args.bench {
        let (energy, depth) = measured(path)?;
        (request.host.energy_msps_per_core, request.host.depth_msps_per_core) = (energy, depth);
    }
    if let Some(cores) = args.cores {
        request.host.cores = f64::from(cores);
    }
    let plan = cellwarden_plan::plan(&request);
    let stdout = std::io::stdout();
    let text = match args.format {
        PlanFormat::Table => table::render(&plan, stdout.is_terminal() && colour_wanted()),
        PlanFormat::Json => format!("{:#}\n", serde_json::to_value(&plan).map_err(Failure::run)?),
    };
    stdout.lock().write_all(text.as_bytes())?;
    Ok(())
}

/// This machine, at the speed that the README measured.
fn usual_host() -> Host {
    let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    Host {
        cores,
        energy_msps_per_core: ENERGY_MSPS_PER_CORE,
        depth_msps_per_core: DEPTH_MSPS_PER_CORE,
        cores_per_phone: CORES_PER_PHONE,
    }
}

/// Million samples a second and core, for energy and in depth, of what `cellwarden bench` printed.
fn measured(path: &Path) -> Result<(f64, f64), Failure> {
    let wrong =
        |what: String| Failure::Usage(format!("{}: {what}: give what `cellwarden bench` printed", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::Usage(format!("reading the measurement {}: {e}", path.display())))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let number = |at: &str| {
        let found = value.pointer(at).and_then(serde_json::Value::as_f64).filter(|n| *n > 0.0);
        found.ok_or_else(|| wrong(format!("it has no {}", at.trim_start_matches('/').replace('/', "."))))
    };
    let threads = number("/threads")?;
    let whole = number("/msps/whole")?;
    let energy =
        1.0 / (1.0 / number("/msps/spectrum")? + 1.0 / number("/msps/floor")? + 1.0 / number("/msps/segment")?);
    Ok((energy.max(whole) / threads, whole / threads))
}
