//! `cellwarden hits`: what the store holds, and marks on it.

use crate::config::EVIDENCE;
use crate::failure::Failure;
use crate::listen::colour_wanted;
use cellwarden_evidence::keep_hit;
use cellwarden_report::{OutputFormat, sink};
use cellwarden_store::{HitQuery, Reader, StoreError, mark_kept};
use cellwarden_types::{Record, UtcNanos};
use clap::{Args, ValueEnum};
use std::io::{BufWriter, IsTerminal};
use std::path::{Path, PathBuf};

/// Hits that are read at once.
const PAGE: usize = 1000;

/// List the hits that the daemon has stored, and mark those to be kept
///
/// Reads the store while the daemon writes it, or without one. Hits go after some time (90 days, if the daemon's
/// configuration says nothing else); those that are marked as kept stay until the mark is taken away, and so does their evidence in the
/// folder evidence/ beside the store.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden hits
  cellwarden hits --from 24h --block A
  cellwarden hits --from 2026-03-01 --to 2026-03-08 --format csv > week.csv
  cellwarden hits --format jsonl | jq 'select(.confidence > 0.9).id'
  cellwarden hits --keep 20260301T060000.123456Z-a-west-902400k --why 'case 17'
  cellwarden hits --kept")]
pub struct HitsArgs {
    /// The store
    #[arg(long, value_name = "PATH", default_value = "/var/lib/cellwarden/cellwarden.db")]
    store: PathBuf,
    /// From when: 2026-03-01T06:00:00Z, 2026-03-01 (its beginning, in UTC), or so long ago (90m, 24h, 7d)
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<UtcNanos>,
    /// Up to when, likewise
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<UtcNanos>,
    /// Only of this block (or outside, or unknown)
    #[arg(long, value_name = "NAME")]
    block: Option<String>,
    /// Only those that are kept
    #[arg(long)]
    kept: bool,
    /// How to print; a table on a terminal, else JSON Lines
    #[arg(long, value_enum)]
    format: Option<HitsFormat>,
    /// Mark this hit: it is never deleted, nor is its evidence
    #[arg(long, value_name = "ID", requires = "why", conflicts_with_all = ["unkeep", "from", "to", "block", "kept", "format"])]
    keep: Option<String>,
    /// Take the mark away
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "to", "block", "kept", "format"])]
    unkeep: Option<String>,
    /// Why; it is stored with the mark
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    why: String,
}

/// How stored hits are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HitsFormat {
    /// For people: one a line, with time and id
    Table,
    /// JSON Lines, one hit a line
    Jsonl,
    /// Comma-separated, with a header
    Csv,
}

/// Lists, or marks.
pub fn run(args: &HitsArgs) -> Result<(), Failure> {
    if let (Some(id), keep) = (args.keep.as_ref().or(args.unkeep.as_ref()), args.keep.is_some()) {
        mark_kept(&args.store, id, keep, &args.why, UtcNanos::now()).map_err(failure)?;
        eprintln!("hit {id} is {}", if keep { "kept" } else { "no longer kept" });
        return keep_evidence(args, id, keep);
    }
    if let (Some(from), Some(to)) = (args.from, args.to) {
        if from >= to {
            return Err(Failure::Usage(format!("--from {from} is not before --to {to}")));
        }
    }
    list(args)
}

/// Marks the evidence as well, which lies beside the store.
fn keep_evidence(args: &HitsArgs, id: &str, keep: bool) -> Result<(), Failure> {
    let folder = args.store.parent().unwrap_or(Path::new("")).join(EVIDENCE);
    let files = if folder.is_dir() {
        let marked = keep_hit(&folder, id, keep.then_some(args.why.as_str()));
        marked.map_err(|e| Failure::Run(format!("but not its evidence: {}", Failure::run(e))))?
    } else {
        Vec::new()
    };
    if keep && files.is_empty() {
        eprintln!(
            "There is no evidence of it in {}; of an open hit, mark it again when it is closed.",
            folder.display()
        );
    }
    files.iter().for_each(|f| eprintln!("evidence {f} is {}", if keep { "kept" } else { "no longer kept" }));
    Ok(())
}

fn list(args: &HitsArgs) -> Result<(), Failure> {
    let mut reader = Reader::open(&args.store).map_err(failure)?;
    let stdout = std::io::stdout();
    let terminal = stdout.is_terminal();
    let colour = terminal && colour_wanted();
    let format = args.format.unwrap_or(if terminal { HitsFormat::Table } else { HitsFormat::Jsonl });
    let format = match format {
        HitsFormat::Table => OutputFormat::List { colour },
        HitsFormat::Jsonl => OutputFormat::Jsonl,
        HitsFormat::Csv => OutputFormat::Csv { bursts: false },
    };
    let mut out = sink(format, BufWriter::new(stdout));
    let kept = args.kept.then_some(true);
    let mut query =
        HitQuery { from: args.from, to: args.to, block: args.block.clone(), kept, limit: PAGE, ..HitQuery::default() };
    let (mut count, mut unreadable) = (0, Vec::new());
    loop {
        let page = reader.hits(&query).map_err(failure)?;
        count += page.hits.len();
        for stored in page.hits {
            out.record(&Record::Hit(stored.hit))?;
        }
        unreadable.extend(page.unreadable);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    out.finish()?;
    if let Some(first) = unreadable.first() {
        return Err(Failure::Run(format!(
            "{} hits of {} cannot be read, the first is {first:?}: were they written by a newer cellwarden?",
            unreadable.len(),
            args.store.display()
        )));
    }
    if count == 0 && terminal {
        eprintln!("No hit is stored that fits.");
    }
    Ok(())
}

/// What was typed is wrong, or the run failed.
fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound { .. }
        | StoreError::NotADatabase { .. }
        | StoreError::NotOurs { .. }
        | StoreError::NoSuchHit { .. }
        | StoreError::NoReason { .. } => Failure::usage(error),
        _ => Failure::run(error),
    }
}

fn time(text: &str) -> Result<UtcNanos, String> {
    time_before(text, UtcNanos::now())
}

/// A time, a day, or so long before `now`.
fn time_before(text: &str, now: UtcNanos) -> Result<UtcNanos, String> {
    let number = |unit: char| text.strip_suffix(unit).and_then(|n| n.parse::<u32>().ok()).map(f64::from);
    for (unit, seconds) in [('m', 60.0), ('h', 3600.0), ('d', 86_400.0)] {
        if let Some(n) = number(unit) {
            return Ok(now.plus_seconds(-n * seconds));
        }
    }
    let whole_day = text.len() == "2026-03-01".len();
    let parsed = if whole_day { format!("{text}T00:00:00Z").parse() } else { text.parse() };
    parsed.map_err(|_| format!("{text:?} is no time: want one like 2026-03-01T06:00:00Z, 2026-03-01, 90m, 24h or 7d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_days_or_so_long_ago() {
        let at = |text: &str| text.parse::<UtcNanos>().unwrap();
        let now = at("2026-03-08T12:00:00Z");
        for (text, meant) in [
            ("2026-03-01T06:00:00+01:00", "2026-03-01T05:00:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("90m", "2026-03-08T10:30:00Z"),
            ("24h", "2026-03-07T12:00:00Z"),
            ("7d", "2026-03-01T12:00:00Z"),
        ] {
            assert_eq!(time_before(text, now), Ok(at(meant)), "{text}");
        }
        for text in ["", "d", "-1h", "yesterday", "2026-13-01", "9999999999d", "2026-03-011", "éééééh"] {
            assert!(time_before(text, now).is_err(), "{text}");
        }
        assert!(time_before("4000000000d", now).is_ok_and(|t| t < now), "far, but no panic");
    }
}
