//! Whether a sensor's processing finds what it should: by test bursts that are added to its samples in memory (crate
//! `selftest`). It says nothing of the antenna, of which [`deaf`](crate::deaf) judges, nor does that one of the processing.

use crate::counts::since;
use crate::history::SENSORS_MOST;
use cellwarden_types::{BoxHealth, Kind, SelfTestCount, Standard};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Kinds and bands of one sensor that are judged: no receiver covers more bands.
pub(crate) const TESTED_MOST: usize = 32;
/// Where the upper bound of what is found lies below this, the processing fails.
const FOUND_LEAST: f64 = 0.9;
/// So many tests are a judgement: with 0.99 found, four misses in the first twelve are chance once in 220,000 starts.
const TESTS_LEAST: u64 = 12;
/// Normal quantile of a two-sided interval of 95 %.
const Z: f64 = 1.959_964;

/// What test bursts say of the processing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Processing {
    /// Nothing: there were too few.
    #[default]
    Untested,
    /// It finds them.
    Working,
    /// It does not.
    Failing,
}

impl Processing {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Untested => "untested",
            Self::Working => "working",
            Self::Failing => "failing",
        }
    }
}

/// Test bursts of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestWindow {
    /// Bursts that should have been found.
    pub tests: u64,
    /// Of those, at whose place something was found.
    pub found: u64,
    /// Of those, that were found by their standard and kind: this is what the processing is judged by.
    pub named: u64,
    /// Bursts that say nothing.
    pub void: u64,
    /// Interval of 95 % about `named` / `tests`; from 0 to 1 where there are none.
    pub pd_lower: f64,
    /// Its upper bound.
    pub pd_upper: f64,
}

/// Test bursts of one kind in one band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandTests {
    /// The band.
    pub band: String,
    /// The standard.
    pub standard: Standard,
    /// The kind.
    pub kind: Kind,
    /// Mean power over the noise in its band, in dB.
    pub snr_db: f64,
    /// The last hour.
    pub hour: TestWindow,
    /// The last day.
    pub day: TestWindow,
}

/// A sensor's processing, and what the judgement stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessingVerdict {
    /// The sensor.
    pub sensor: String,
    /// What the last hour says.
    pub judgement: Processing,
    /// It in words.
    pub reason: String,
    /// By band and kind.
    pub bands: Vec<BandTests>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts([u64; 4]);

impl Counts {
    fn of(c: &SelfTestCount) -> Self {
        Self([c.tests, c.found, c.named, c.void])
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

/// Sums over the last `cells` stretches of `cell_s`, the current one included.
#[derive(Clone, Debug)]
struct Sliding {
    cell_s: f64,
    cells: u64,
    sums: VecDeque<(u64, Counts)>,
}

impl Sliding {
    /// An hour by minutes, a day by ten minutes.
    fn hour() -> Self {
        Self { cell_s: 60.0, cells: 60, sums: VecDeque::new() }
    }

    fn day() -> Self {
        Self { cell_s: 600.0, cells: 144, sums: VecDeque::new() }
    }

    fn add(&mut self, at_s: f64, more: Counts) {
        let cell = (at_s / self.cell_s) as u64;
        match self.sums.back_mut().filter(|(c, _)| *c == cell) {
            Some((_, sum)) => *sum = sum.zip(more, u64::saturating_add),
            None => self.sums.push_back((cell, more)),
        }
        while self.sums.front().is_some_and(|(c, _)| c + self.cells <= cell) {
            self.sums.pop_front();
        }
    }

    fn window(&self) -> TestWindow {
        let sum = self.sums.iter().fold(Counts::default(), |sum, (_, c)| sum.zip(*c, u64::saturating_add));
        let [tests, found, named, void] = sum.0;
        let (pd_lower, pd_upper) = wilson(named, tests);
        TestWindow { tests, found, named, void, pd_lower, pd_upper }
    }
}

/// The interval of 95 % about `k` of `n` of Wilson (JASA 22, 1927), from 0 to 1 where `n` is 0.
pub fn wilson(k: u64, n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, k) = (n as f64, k.min(n) as f64);
    let z2 = Z * Z;
    let middle = (k + z2 / 2.0) / (n + z2);
    let half = Z / (n + z2) * (k * (n - k) / n + z2 / 4.0).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[derive(Clone, Debug)]
struct Track {
    about: SelfTestCount,
    hour: Sliding,
    day: Sliding,
}

/// Judges the processing of every sensor of a box.
#[derive(Clone, Debug, Default)]
pub struct ProcessingJudge {
    tracks: BTreeMap<Arc<str>, Vec<Track>>,
    at_s: f64,
}

impl ProcessingJudge {
    /// Takes a snapshot that was made `at_s` seconds after the start, on a clock that does not step.
    pub fn push_at(&mut self, snapshot: &BoxHealth, at_s: f64) {
        self.at_s = if at_s.is_finite() { at_s.max(self.at_s) } else { self.at_s };
        let sensors = &snapshot.sensors[..snapshot.sensors.len().min(SENSORS_MOST)];
        self.tracks.retain(|name, _| sensors.iter().any(|s| s.sensor == *name && !s.self_test.is_empty()));
        for sensor in sensors.iter().filter(|s| !s.self_test.is_empty()) {
            let tracks = self.tracks.entry(Arc::clone(&sensor.sensor)).or_default();
            // What is told no more is judged no more; so there are never more than are told.
            tracks.retain(|t| sensor.self_test.iter().any(|c| c.band == t.about.band && c.kind == t.about.kind));
            for count in sensor.self_test.iter().take(TESTED_MOST) {
                let same = |t: &Track| t.about.band == count.band && t.about.kind == count.kind;
                let at = tracks.iter().position(same).unwrap_or_else(|| {
                    let about = SelfTestCount { tests: 0, found: 0, named: 0, void: 0, ..count.clone() };
                    tracks.push(Track { about, hour: Sliding::hour(), day: Sliding::day() });
                    tracks.len() - 1
                });
                let track = &mut tracks[at];
                let added = Counts::of(count).zip(Counts::of(&track.about), since);
                track.about.clone_from(count);
                track.hour.add(self.at_s, added);
                track.day.add(self.at_s, added);
            }
        }
    }

    /// What is to be said of each sensor that is tested, by name.
    pub fn verdicts(&self) -> Vec<ProcessingVerdict> {
        self.tracks.iter().map(|(name, tracks)| verdict(name, tracks)).collect()
    }
}

fn verdict(sensor: &str, tracks: &[Track]) -> ProcessingVerdict {
    let of = |t: &Track| BandTests {
        band: t.about.band.clone(),
        standard: t.about.standard,
        kind: t.about.kind,
        snr_db: t.about.snr_db,
        hour: t.hour.window(),
        day: t.day.window(),
    };
    let bands: Vec<BandTests> = tracks.iter().map(of).collect();
    let is_judged = |b: &&BandTests| b.hour.tests >= TESTS_LEAST;
    let failing: Vec<&BandTests> = bands.iter().filter(is_judged).filter(|b| b.hour.pd_upper < FOUND_LEAST).collect();
    let (judgement, reason) = if !failing.is_empty() {
        let what: Vec<String> = failing.iter().map(|b| b.words()).collect();
        let why = "the detectors miss what was added to their samples, whatever the antenna hears: look at the log and the \
                   processor's load, start the service anew";
        (Processing::Failing, format!("finds {}, last hour: {why}", what.join(", ")))
    } else if bands.iter().any(|b| is_judged(&b)) {
        (Processing::Working, format!("finds {}, last hour", words(&bands)))
    } else {
        let (tests, void) = bands.iter().fold((0, 0), |(t, v), b| (t + b.hour.tests, v + b.hour.void));
        (
            Processing::Untested,
            format!(
                "{tests} test bursts in the last hour, {void} more were disturbed: too few to tell (busy bands, \
                             or noise below half a step of the converter)"
            ),
        )
    };
    ProcessingVerdict { sensor: sensor.to_owned(), judgement, reason, bands }
}

fn words(bands: &[BandTests]) -> String {
    let tested: Vec<String> = bands.iter().filter(|b| b.hour.tests > 0).map(BandTests::words).collect();
    tested.join(", ")
}

impl BandTests {
    /// "118 of 120 test bursts at 12 dB (GSM900 normal)".
    fn words(&self) -> String {
        let TestWindow { tests, found, named, .. } = self.hour;
        let misnamed = match found.saturating_sub(named) {
            0 => String::new(),
            n => format!(", {n} more by another name"),
        };
        format!("{named} of {tests} test bursts at {} dB ({} {}{misnamed})", self.snr_db, self.band, self.kind.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_is_that_of_the_tables() {
        // Newcombe (Statistics in Medicine 17, 1998), Table I, method 3.
        for (k, n, lower, upper) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (low, high) = wilson(k, n);
            assert!((low - lower).abs() < 1e-4 && (high - upper).abs() < 1e-4, "{k} of {n}: {low} {high}");
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
}
