//! `cellwarden learned`: the base stations that detectors know.

use crate::args::LearnedArgs;
use crate::failure::Failure;
use crate::learned::read_file;
use cellwarden_detect::carrier::LearnedPrach;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Prints what is in a folder's files, or in one.
pub fn run(args: &LearnedArgs) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut all: Vec<(String, LearnedPrach)> = Vec::new();
    for path in files(args)? {
        let state = read_file(&path).map_err(Failure::Run)?;
        let state = state.ok_or_else(|| Failure::Usage(format!("{}: there is no such file", path.display())))?;
        all.extend(state.base_stations.into_iter().map(|b| (state.sensor.clone(), b)));
    }
    if args.json {
        for (sensor, base_station) in &all {
            let known = serde_json::to_value(base_station).map_err(Failure::run)?;
            let carrier = json!({"center_hz": base_station.carrier_center_hz(), "bandwidth_hz": base_station.edges.bandwidth_hz()});
            writeln!(out, "{}", json!({"sensor": sensor, "base_station": known, "carrier": carrier}))?;
        }
        return Ok(());
    }
    if all.is_empty() {
        writeln!(out, "no base station was heard to be called yet")?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<16} {:>12} {:>11} {:>9} {:>6} {:>6} {:>9}  {:<13} ROOTS",
        "SENSOR", "PRACH MHz", "CARRIER MHz", "WIDTH MHz", "FORMAT", "HEARD", "ADVANCE", "A FRAME"
    )?;
    for (sensor, b) in &all {
        let frame = b.subframes.len() / 2;
        let occasions = (0..frame).filter(|&s| b.is_occasion(s)).count();
        let mut roots: Vec<String> = b.roots.iter().map(|r| r.root.to_string()).collect();
        if roots.len() > 10 {
            let more = roots.len() - 10;
            roots.truncate(10);
            roots.push(format!("and {more} more"));
        }
        let often = match occasions {
            0 => "-".to_owned(),
            1 => "1 subframe".to_owned(),
            n => format!("{n} subframes"),
        };
        // Twice the way to the base station.
        let advance = match b.shared.known_advance_s() {
            Some(advance_s) => format!("{:.1} µs", advance_s * 1e6),
            None => "-".to_owned(),
        };
        let megahertz = |hz: Option<f64>, digits| hz.map_or("-".to_owned(), |hz| format!("{:.digits$}", hz / 1e6));
        let (carrier, width) = (megahertz(b.carrier_center_hz(), 2), megahertz(b.edges.bandwidth_hz(), 1));
        let origin = if b.is_configured { " (configured)" } else { "" };
        writeln!(
            out,
            "{sensor:<16} {:>12.4} {carrier:>11} {width:>9} {:>6} {:>6} {advance:>9}  {often:<13} {}{origin}",
            b.center_hz / 1e6,
            b.format,
            b.heard(),
            roots.join(" ")
        )?;
    }
    Ok(())
}

fn files(args: &LearnedArgs) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e: std::io::Error| {
        let hint = "the daemon writes it every five minutes; replay with --state";
        Failure::Usage(format!("reading {}: {e} ({hint})", args.path.display()))
    };
    let about = std::fs::metadata(&args.path).map_err(failed)?;
    if !about.is_dir() {
        return Ok(vec![args.path.clone()]);
    }
    let entries = std::fs::read_dir(&args.path).map_err(failed)?;
    let mut files = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    files.retain(|p| p.extension().is_some_and(|e| e == "json"));
    files.sort();
    Ok(files)
}
