//! A plan for people. 100 columns are enough.

use cellwarden_plan::Plan;
use cellwarden_plan::activity::Activity;
use cellwarden_plan::plan::{BandPlan, HoppingPlan, PlacePlan, RadioPlan, RoundPlan, Watched};
use std::fmt::Write;

const WIDTH: usize = 100;

/// The whole plan, each line ended.
pub fn render(plan: &Plan, colour: bool) -> String {
    let (bold, plain) = if colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let mut out = String::new();
    for place in &plan.places {
        let alike = if place.alike > 1 { format!(" ({} of them)", place.alike) } else { String::new() };
        let _ = writeln!(out, "{bold}{}{alike}{plain}\n", place.name);
        let _ = writeln!(
            out,
            "{bold}{:<16} {:<26} {:>3} {:>9} {:>10} {:>13} {:>6} {:>7}{plain}",
            "RADIO", "", "RX", "RATE Msps", "USABLE MHz", "BUS MB/s", "dB", "CENTRES"
        );
        place.radios.iter().for_each(|r| radio(r, &mut out));
        place.radios.iter().filter_map(|r| Some((r, r.round?))).for_each(|(r, round)| as_set(r, round, &mut out));
        place.radios.iter().filter_map(|r| Some((r, r.hopping.as_ref()?))).for_each(|(r, h)| hopping(r, h, &mut out));
        bands(place, (bold, plain), &mut out);
    }
    let (host, load) = (&plan.host, &plan.load);
    let text = format!(
        "machine: {:.1} Msps in all; {} cores at {:.0} Msps each ({:.0} energy alone): {:.2} cores on quiet bands; {} of the samples in \
         energy, {} in depth; room for {:.0} phones on the air at once ({} cores each)",
        load.msps,
        host.cores,
        host.depth_msps_per_core,
        host.energy_msps_per_core,
        load.cores_needed,
        share(load.energy_share),
        share(load.depth_share),
        load.phones_at_once,
        host.cores_per_phone
    );
    wrapped(&text, &mut out);
    if !plan.warnings.is_empty() {
        let _ = writeln!(out, "\n{bold}does not fit, or is to be known:{plain}");
        plan.warnings.iter().for_each(|w| wrapped(w, &mut out));
    }
    out
}

fn radio(r: &RadioPlan, out: &mut String) {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let bus = r.bus.zip(r.bus_mb_per_s).map(|(bus, mb)| format!("{bus} {mb:.1}"));
    let _ = writeln!(
        out,
        "{:<16} {:<26} {:>3} {:>9.2} {:>10.2} {:>13} {:>6} {:>7}",
        cut(&r.name, 16),
        r.radio.unwrap_or("not known"),
        r.receivers,
        r.rate_hz / 1e6,
        r.usable_hz / 1e6,
        or_dash(bus),
        or_dash(r.range_db.map(|db| format!("{db:.0}"))),
        r.hopping_centers_hz.len()
    );
}

fn as_set(r: &RadioPlan, round: RoundPlan, out: &mut String) {
    let (dwell, settle) = (milliseconds(round.dwell_s), milliseconds(round.settle_s));
    let (name, cycle_s) = (&r.name, round.cycle_s);
    out.push('\n');
    wrapped(
        &format!(
            "{name} as it is set: {dwell} at each centre (deaf {settle} after each change), round in {cycle_s:.2} s"
        ),
        out,
    );
}

fn hopping(r: &RadioPlan, h: &HoppingPlan, out: &mut String) {
    let (dwell, retune) = (milliseconds(h.dwell_s), milliseconds(h.retune_s));
    let mut text = format!(
        "{} to hop: stay {dwell} at each centre (deaf {retune} after each change), round in {:.2} s",
        r.name, h.cycle_s
    );
    let each: Vec<String> = h
        .best
        .iter()
        .map(|b| format!("{} {} ({})", b.title, milliseconds(b.dwell_s), percent(b.probability)))
        .collect();
    if !each.is_empty() {
        let _ = write!(text, "; best for one alone: {}", each.join("; "));
    }
    out.push('\n');
    wrapped(&text, out);
}

/// Milliseconds for people: two digits tell dwells apart.
fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}

fn bands(place: &PlacePlan, (bold, plain): (&str, &str), out: &mut String) {
    let _ = writeln!(out, "\n{bold}{:<53}{:^11}  {:>16}{plain}", "", "GSM CAUGHT", "LTE CAUGHT");
    let _ = writeln!(
        out,
        "{bold}{:<6} {:<15} {:<5} {:>8} {:>6} {:>6}  {:>5} {:>5}  {:>5} {:>5} {:>5} {:>5}{plain}",
        "BAND", "MHz", "", "SPECTRUM", "ENERGY", "DEPTH", "LU", "CALL", "ATT", "TAU", "CALL", "DATA"
    );
    let now = if place.radios.iter().any(|r| r.round.is_some()) { "set" } else { "stay" };
    for band in &place.bands {
        line(band, if band.hopping.is_some() { now } else { "" }, &band.watching, true, out);
        if let Some(hopping) = &band.hopping {
            line(band, "hop", hopping, false, out);
        }
    }
    out.push('\n');
}

fn line(band: &BandPlan, mode: &str, watched: &Watched, first: bool, out: &mut String) {
    let range = format!("{:.1}-{:.1}", band.lower_hz / 1e6, band.upper_hz / 1e6);
    let (name, range) = if first { (band.band.as_str(), range.as_str()) } else { ("", "") };
    let caught = |a: Activity| {
        let found = watched.caught.iter().find(|c| c.activity == a.name());
        found.map_or("-".to_owned(), |c| percent(c.probability))
    };
    let [lu, call, attach, tau, lte_call, data] = Activity::ALL.map(caught);
    let (spectrum, energy, depth) =
        (share(watched.coverage.spectrum_share), share(watched.energy_share), share(watched.depth_share));
    let _ = writeln!(
        out,
        "{name:<6} {range:<15} {mode:<5} {spectrum:>8} {energy:>6} {depth:>6}  {lu:>5} {call:>5}  {attach:>5} {tau:>5} {lte_call:>5} {data:>5}"
    );
}

/// A share that is known exactly.
fn share(share: f64) -> String {
    let percent = 100.0 * share;
    if percent > 0.0 && percent < 9.95 { format!("{percent:.1}%") } else { format!("{percent:.0}%") }
}

/// A probability for people, to whom nothing is certain; but what is not listened to is not caught.
fn percent(p: f64) -> String {
    if p <= 0.0 { "0%".to_owned() } else { cellwarden_report::percent(p) }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(most).collect()
}

/// A sentence over as many lines as it takes, the later ones indented.
fn wrapped(text: &str, out: &mut String) {
    let mut column = 0;
    for word in cut(text, usize::MAX).split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push_str("\n  ");
            column = 2;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}
