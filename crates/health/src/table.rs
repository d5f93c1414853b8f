//! `/status.json` for people: a line for each sensor, then what is wrong. 100 columns are enough.

use crate::deaf::Judgement;
use crate::processing::Processing;
use crate::status::Status;
use crate::window::SensorWindow;
use cellwarden_standards::band::{Region, UPLINK_BANDS};
use cellwarden_types::{Hertz, SensorHealth, SensorState, Standard};
use std::fmt::Write;

/// Columns that are used at most.
pub const WIDTH: usize = 100;
const SENSOR: usize = 11;
const BAND: usize = 11;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
const BOLD: &str = "\x1b[1m";

/// The whole view, each line ended.
pub fn render(status: &Status, colour: bool) -> String {
    let paint = Paint(colour);
    let mut out = String::new();
    head(status, &mut out);
    if let Some(health) = status.health.as_ref().filter(|h| !h.sensors.is_empty()) {
        let titles = format!(
            "{:<SENSOR$} {:<8} {:<BAND$} {:>6} {:>6} {:>4} {:^14} {:^14} {:>6} {:>5} {:>4}",
            "SENSOR", "STATE", "BAND", "RATE", "FLOOR", "GAIN", "CLIPPED %", "LOST %", "BURSTS", "DRIFT", "TEMP"
        );
        let units = format!(
            "{:<SENSOR$} {:<8} {:<BAND$} {:>6} {:>6} {:>4} {:>4} {:>4} {:>4} {:>4} {:>4} {:>4} {:>6} {:>5} {:>4}",
            "", "", "", "Hz", "dBFS/Hz", "dB", "1", "5", "15", "1", "5", "15", "/hour", "ppm", "C"
        );
        // "dBFS/Hz" is one wider than its column; the rate's unit gives way.
        let units = units.replacen("    Hz dBFS/Hz", "   Hz dBFS/Hz", 1);
        let _ = writeln!(out, "{}", paint.with(BOLD, &titles));
        let _ = writeln!(out, "{}", units.trim_end());
        for sensor in &health.sensors {
            line(status, sensor, &paint, &mut out);
        }
        out.push('\n');
        processing(status, &mut out);
    }
    if status.wrong.is_empty() {
        let _ = writeln!(out, "{}", paint.with(GREEN, "All is well."));
    } else {
        let _ = writeln!(out, "{}", paint.with(RED, "Wrong:"));
        status.wrong.iter().for_each(|text| wrap(&plain(text), &mut out));
    }
    out
}

/// What test bursts say of the processing, beside what the table says of the antenna. What fails is among what is wrong.
fn processing(status: &Status, out: &mut String) {
    let told = status.processing.iter().filter(|p| p.judgement != Processing::Failing);
    for p in told.clone() {
        wrap(&plain(&format!("processing of {}: {}", p.sensor, p.reason)), out);
    }
    if told.count() > 0 {
        out.push('\n');
    }
}

struct Paint(bool);

impl Paint {
    fn with(&self, colour: &str, text: &str) -> String {
        if self.0 && !colour.is_empty() { format!("{colour}{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn head(status: &Status, out: &mut String) {
    let age = status.age_s.map_or("no snapshot yet".to_owned(), |a| format!("snapshot {a:.1} s old"));
    let Some(health) = &status.health else {
        let _ = writeln!(out, "{age}\n");
        return;
    };
    let up = duration(health.time.seconds_since(health.started));
    let shares: Vec<String> = status
        .windows
        .whole
        .iter()
        .map(|w| w.processor_share.map_or("-".to_owned(), |s| format!("{:.0}", s * 100.0)))
        .collect();
    let memory =
        status.windows.whole.last().map_or(health.memory_bytes, |w| w.memory_max_bytes.max(health.memory_bytes));
    let uncertainty_s = health.sensors.iter().filter_map(|s| s.time_uncertainty_s).reduce(f64::max);
    let times = uncertainty_s.map_or(String::new(), |s| format!(", times right to {:.1} ms", s * 1e3));
    let _ = writeln!(out, "{}, up {up}, {age}{times}", cut(&plain(&health.software), 40));
    let hits: u64 = health.hits.values().fold(0, |sum, &n| sum.saturating_add(n));
    let _ = writeln!(
        out,
        "processor {} % of a core (1, 5, 15 min), memory {} MiB at most, {hits} hits since the start\n",
        shares.join(", "),
        memory >> 20
    );
}

fn line(status: &Status, sensor: &SensorHealth, paint: &Paint, out: &mut String) {
    let judgement = status.verdict_of(&sensor.sensor).map_or(Judgement::Fine, |v| v.judgement);
    let (state, colour) = match (sensor.state, judgement) {
        (SensorState::Down, _) => ("down", RED),
        (SensorState::Starting, _) => ("starting", YELLOW),
        (SensorState::Listening, Judgement::Deaf) => ("DEAF", RED),
        (SensorState::Listening, Judgement::Suspect) => ("suspect", YELLOW),
        // Its band is the first of several.
        (SensorState::Listening, Judgement::Fine) if sensor.ledger.retune > 0 => ("hops", ""),
        (SensorState::Listening, Judgement::Fine) => ("listens", ""),
    };
    let windows = status.windows_of(&sensor.sensor);
    let shares = |of: fn(&SensorWindow) -> Option<f64>| {
        let share = |i: usize| format!("{:>4}", windows.get(i).and_then(of).map_or("-".to_owned(), percent));
        (0..3).map(share).collect::<Vec<_>>().join(" ")
    };
    let last = windows.last();
    let floor = windows.first().and_then(|w| w.floor).map(|f| f.mean_dbfs_per_hz).or(sensor.floor_dbfs_per_hz);
    let heard = last.filter(|w| w.listening_share.is_some_and(|s| s > 0.0));
    let bursts = heard.map(|w| w.bursts_per_hour.values().fold(0.0, |sum, n| sum + n));
    let drift = last.and_then(|w| w.drift_ppm).or(sensor.drift_ppm);
    let number = |v: Option<f64>, width: usize, digits: usize| {
        let Some(v) = v else { return "-".to_owned() };
        // A number with its end cut off reads as another number.
        let texts = [format!("{v:.digits$}"), format!("{v:.0}")];
        texts.into_iter().find(|t| t.len() <= width).unwrap_or_else(|| "?".to_owned())
    };
    let _ = writeln!(
        out,
        "{:<SENSOR$} {} {:<BAND$} {:>6} {:>6} {:>4} {} {} {:>6} {:>5} {:>4}",
        cut(plain(&sensor.sensor).trim(), SENSOR),
        paint.with(colour, &format!("{state:<8}")),
        bands(sensor.center, sensor.rate),
        cut(&scaled(sensor.rate.0), 6),
        number(floor, 6, 1),
        number(sensor.gain_db, 4, 1),
        shares(|w| w.clip_share),
        shares(|w| w.lost_share),
        cut(&bursts.map_or("-".to_owned(), scaled), 6),
        number(drift, 5, 2),
        number(sensor.temperature_celsius, 4, 0),
    );
}

/// A share in percent, in four characters. What is not nothing never reads as nothing.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p <= 0.0 => "0".to_owned(),
        p if p < 0.01 => "<.01".to_owned(),
        p if p < 9.995 => format!("{p:.2}"),
        p if p < 99.95 => format!("{p:.1}"),
        _ => "100".to_owned(),
    }
}

/// A number with k or M, in six characters.
fn scaled(value: f64) -> String {
    let short = |v: f64, unit: &str| {
        let text = format!("{v:.2}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match value.abs() {
        v if v >= 1e6 => short(value / 1e6, "M"),
        v if v >= 1e4 => short(value / 1e3, "k"),
        _ => format!("{value:.0}"),
    }
}

/// The uplink bands that a radio covers, those of Europe where there are any; else what it is tuned to.
fn bands(center: Hertz, rate: Hertz) -> String {
    let (low, high) = (center.0 - rate.0 / 2.0, center.0 + rate.0 / 2.0);
    let order = [Standard::Gsm, Standard::Lte, Standard::Nr, Standard::Umts];
    let of_region = |region: Region| {
        let mut names: Vec<&str> = Vec::new();
        for standard in order {
            let here = UPLINK_BANDS.iter().filter(|b| b.standard == standard && b.region == region);
            for band in here.filter(|b| b.ul_lower_hz < high && b.ul_upper_hz > low) {
                if !names.contains(&band.name) {
                    names.push(band.name);
                }
            }
        }
        names
    };
    let mut names = of_region(Region::Europe);
    if names.is_empty() {
        names = of_region(Region::Americas);
    }
    // As many as fit, and how many more there are.
    let mut fitting = (1..=names.len()).rev().map(|n| match names.len() - n {
        0 => names.join(","),
        more => format!("{}+{more}", names[..n].join(",")),
    });
    fitting
        .find(|t| t.len() <= BAND)
        .unwrap_or_else(|| format!("{:.2} MHz", center.0 / 1e6))
        .chars()
        .take(BAND)
        .collect()
}

fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

/// Text from outside that cannot steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Writes `text` as an item of a list, broken at blanks.
fn wrap(text: &str, out: &mut String) {
    let (mut line, mut indent) = (String::new(), "- ");
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let room = (WIDTH - 2).saturating_sub(line.chars().count() + usize::from(!line.is_empty()));
            if word.chars().count() <= room {
                line.extend((!line.is_empty()).then_some(' '));
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                let end = word.char_indices().nth(room).map_or(word.len(), |(i, _)| i);
                line.push_str(&word[..end]);
                word = &word[end..];
            }
            let _ = writeln!(out, "{indent}{line}");
            (indent, line) = ("  ", String::new());
        }
    }
    let _ = writeln!(out, "{indent}{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fit_and_are_honest() {
        let cases = [(0.0, "0"), (1e-9, "<.01"), (0.00123, "0.12"), (0.09999, "10.0"), (0.5, "50.0"), (0.9999, "100")];
        for (share, text) in cases {
            assert_eq!(percent(share), text);
        }
        for share in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert!(percent(share).len() <= 4);
        }
    }

    #[test]
    fn bands_fit() {
        assert_eq!(bands(Hertz(897.5e6), Hertz(10e6)), "GSM900,B8+2");
        assert_eq!(bands(Hertz(847e6), Hertz(10e6)), "B20,n20");
        assert_eq!(bands(Hertz(433.92e6), Hertz(2.4e6)), "433.92 MHz");
        assert_eq!(bands(Hertz(836e6), Hertz(100e3)), "B20,n20");
        assert_eq!(bands(Hertz(826e6), Hertz(100e3)), "GSM850,B5+2");
        assert!(bands(Hertz(1e300), Hertz(1e301)).chars().count() <= BAND);
    }

    #[test]
    fn long_words_are_broken() {
        let mut out = String::new();
        wrap(&format!("a {} b", "x".repeat(250)), &mut out);
        assert!(out.lines().all(|l| l.chars().count() <= WIDTH), "{out}");
        assert_eq!(out.matches('x').count(), 250);
    }
}
