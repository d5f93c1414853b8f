//! Keeps what evidence of a hit is made of until the hit is closed: bursts, and the spectrogram around them. No samples.
//!
//! Rows of the spectrogram are kept as they are for the first seconds of a hit and for the last ones; in between, of a call
//! that lasts, each is the mean of a tenth of a second.

mod log;
mod room;
mod writing;

use crate::samples::Samples;
use cellwarden_evidence::{EvidenceInput, EvidenceWriter, SensorTiles};
use cellwarden_locate::SensorInfo;
use cellwarden_locate::hit::REPORTED_LEAST;
use cellwarden_selftest::TestedDetector;
use cellwarden_types::{Burst, Hit, HitState, Standard, UtcNanos};
use log::SensorLog;
use room::COARSE_S;
pub use room::{Room, TilesConfig};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use writing::Writing;

/// From so long before a hit's start.
const BEFORE_S: f64 = 0.5;
/// Rows stay as they are for so long after a hit's start, or as long as the room for recent ones is.
const WHOLE_S: f64 = 3.0;
/// Bursts from so long before the start of what is open: whether emissions are one phone's depends on what was heard before.
const BURSTS_BEFORE_S: f64 = 4.0;
/// Bursts that are kept while a hit is open: half an hour of a call's.
const BURSTS_MOST: usize = 400_000;
/// Beside a hit's bursts, so much of the spectrum shows what else was there.
const BESIDE_HZ: f64 = 400e3;
/// Spectrograms in a file; one with more is none.
const PIECES_MOST: usize = 240;

/// A hit that is open.
#[derive(Debug)]
struct Open {
    standard: Standard,
    band: Option<String>,
    start: UtcNanos,
    beginning: Beginning,
}

/// A hit's first seconds.
#[derive(Debug)]
enum Beginning {
    /// They are not over.
    Awaited,
    /// As they were.
    Kept(Vec<SensorTiles>),
    /// There was no room: what is left of them is in the sensors' logs.
    InTheLog,
}

impl Open {
    fn new(hit: &Hit, start: UtcNanos) -> Self {
        Self { standard: hit.standard, band: hit.band.clone(), start, beginning: Beginning::Awaited }
    }

    fn bytes(&self) -> u64 {
        if let Beginning::Kept(tiles) = &self.beginning { bytes(tiles) } else { 0 }
    }
}

/// Bytes of spectrograms.
fn bytes(tiles: &[SensorTiles]) -> u64 {
    tiles.iter().map(|t| (t.rows.len() * size_of::<f32>()) as u64).sum()
}

/// What is the same in every file.
#[derive(Clone, Debug)]
pub struct About {
    /// The site file as it was.
    pub site_text: Option<String>,
    /// SHA-256 of the configuration.
    pub config_sha256: String,
    /// Name and version.
    pub software: String,
}

/// Collects what evidence is made of.
pub struct Archive {
    about: About,
    names: Vec<Arc<str>>,
    bursts: VecDeque<Burst>,
    logs: Vec<SensorLog>,
    open: BTreeMap<String, Open>,
    room: Room,
    writing: Writing,
}

impl Archive {
    /// For these sensors, in the order of their detectors, with `room` for their spectrograms; files go to `writer`.
    /// `samples` are deleted with old evidence.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn new(
        about: About,
        sensors: Vec<Arc<str>>,
        room: Room,
        writer: EvidenceWriter,
        samples: Samples,
    ) -> std::io::Result<Self> {
        let logs = sensors.iter().map(|_| SensorLog::default()).collect();
        let (bursts, open) = (VecDeque::new(), BTreeMap::new());
        Ok(Self { about, names: sensors, bursts, logs, open, room, writing: Writing::start(writer, samples)? })
    }

    /// What later files say of the configuration.
    pub fn set_about(&mut self, about: About) {
        self.about = about;
    }

    /// Hits of which there is no evidence.
    pub fn missed(&self) -> u64 {
        self.writing.missed()
    }

    /// Takes a burst.
    pub fn burst(&mut self, burst: &Burst) {
        if burst.standard != Standard::Other && burst.time.is_some() {
            self.bursts.push_back(burst.clone());
        }
        if self.bursts.len() > BURSTS_MOST {
            self.bursts.pop_front();
        }
    }

    /// Takes what was said of a hit. `sensors` are those that the joiner knows, with their floors.
    pub fn hit(&mut self, hit: &Hit, detectors: &[&TestedDetector], sensors: &[SensorInfo]) {
        let Some(start) = hit.time_start else { return };
        if hit.state == HitState::Closed && hit.confidence < REPORTED_LEAST {
            // It came to nothing.
            self.open.remove(&hit.id);
            return;
        }
        if hit.state != HitState::Closed {
            if self.open.is_empty() {
                // What the histories still hold from before.
                self.follow(detectors, start.plus_seconds(-BEFORE_S));
            }
            self.open.entry(hit.id.clone()).or_insert_with(|| Open::new(hit, start));
            return;
        }
        if self.open.is_empty() {
            self.follow(detectors, start.plus_seconds(-BEFORE_S));
        }
        let open = self.open.remove(&hit.id).unwrap_or_else(|| Open::new(hit, start));
        let end = hit.time_end.unwrap_or(start);
        let from = start.plus_seconds(-BEFORE_S);
        let range = self.range(&open, end);
        let (mut tiles, rest_from) = match open.beginning {
            Beginning::Kept(tiles) => (tiles, start.plus_seconds(self.whole_s())),
            Beginning::Awaited | Beginning::InTheLog => (Vec::new(), from),
        };
        tiles.extend(self.cut(range, rest_from, end));
        // Who did not hear it shows nothing of it.
        tiles.retain(|t| hit.sensors.contains_key(t.sensor.as_ref()));
        self.fit(&mut tiles, &hit.id);
        let in_time = |b: &&Burst| b.time.is_some_and(|t| t >= from && t <= end.plus_seconds(BEFORE_S));
        let input = EvidenceInput {
            hit: hit.clone(),
            bursts: self.bursts.iter().filter(in_time).cloned().collect(),
            sensors: sensors.to_vec(),
            site_text: self.about.site_text.clone(),
            config_sha256: self.about.config_sha256.clone(),
            software: self.about.software.clone(),
            tiles,
            states: self.names.iter().zip(detectors).map(state_of).collect(),
        };
        self.writing.write(input);
    }

    /// A hit's first seconds, as they are kept: no longer than rows are there to be cut.
    fn whole_s(&self) -> f64 {
        WHOLE_S.min(self.room.recent_s - BEFORE_S - COARSE_S)
    }

    /// Bytes that are left for what was cut out for hits.
    fn left_bytes(&self) -> u64 {
        let held = self.open.values().map(Open::bytes).sum::<u64>() + self.writing.waiting_bytes();
        self.room.hits_bytes.saturating_sub(held)
    }

    /// Leaves out what there is no room for: the pieces in the middle.
    fn fit(&self, tiles: &mut Vec<SensorTiles>, hit: &str) {
        let (given, left) = (tiles.len(), self.left_bytes());
        tiles.sort_by(|a, b| (a.first, &a.sensor).cmp(&(b.first, &b.sensor)));
        while tiles.len() > PIECES_MOST || bytes(tiles) > left {
            tiles.remove(tiles.len() / 2);
        }
        if tiles.len() < given {
            let kept = tiles.len();
            tracing::warn!(hit, given, kept, "Evidence: there is no room for some pieces of the spectrogram.");
        }
    }

    /// Follows the detectors, once in every turn. `now` is their time.
    pub fn turn(&mut self, detectors: &[&TestedDetector], now: UtcNanos) {
        let oldest = self.open.values().map(|o| o.start).min();
        let keep_from = oldest.unwrap_or(now).plus_seconds(-BEFORE_S);
        // Before a hit opens its decision takes time, too.
        let bursts_from = keep_from.plus_seconds(-BURSTS_BEFORE_S);
        while self.bursts.front().is_some_and(|b| b.time.is_none_or(|t| t < bursts_from)) {
            self.bursts.pop_front();
        }
        if oldest.is_none() {
            self.logs.iter_mut().for_each(|log| *log = SensorLog::default());
            return;
        }
        self.follow(detectors, keep_from);
        let whole_s = self.whole_s();
        let over =
            |o: &Open| matches!(o.beginning, Beginning::Awaited) && now.seconds_since(o.start) > whole_s + COARSE_S;
        let ready: Vec<String> = self.open.iter().filter(|(_, o)| over(o)).map(|(id, _)| id.clone()).collect();
        for id in ready {
            let Some(open) = self.open.get(&id) else { continue };
            let (from, to) = (open.start.plus_seconds(-BEFORE_S), open.start.plus_seconds(whole_s));
            let tiles = self.cut(self.range(open, now), from, to);
            let is_room = bytes(&tiles) <= self.left_bytes();
            if let Some(open) = self.open.get_mut(&id) {
                open.beginning = if is_room { Beginning::Kept(tiles) } else { Beginning::InTheLog };
            }
        }
        for log in &mut self.logs {
            log.thin(now, keep_from, &self.room);
        }
    }

    fn follow(&mut self, detectors: &[&TestedDetector], from: UtcNanos) {
        for (log, detector) in self.logs.iter_mut().zip(detectors) {
            for tiles in detector.tiles_of_all(|center| log.last(center).or(Some(from))) {
                log.push(tiles);
            }
        }
    }

    /// The frequencies that a hit's bursts took until `to`, and what lies beside them.
    fn range(&self, hit: &Open, to: UtcNanos) -> (f64, f64) {
        let of_hit = |b: &&Burst| {
            b.standard == hit.standard && b.band == hit.band && b.time.is_some_and(|t| t >= hit.start && t <= to)
        };
        let (low_hz, high_hz) =
            self.bursts.iter().filter(of_hit).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), b| {
                (low.min(b.freq_lower_hz), high.max(b.freq_upper_hz))
            });
        (low_hz - BESIDE_HZ, high_hz + BESIDE_HZ)
    }

    /// The spectrogram between two frequencies from one time to another, of the sensors that are tuned to them.
    fn cut(&self, (low_hz, high_hz): (f64, f64), from: UtcNanos, to: UtcNanos) -> Vec<SensorTiles> {
        let of = |(log, sensor): (&SensorLog, &Arc<str>)| log.cut(sensor, (low_hz, high_hz), from, to);
        self.logs.iter().zip(&self.names).flat_map(of).collect()
    }
}

/// What a detector had learned.
fn state_of((name, detector): (&Arc<str>, &&TestedDetector)) -> (String, serde_json::Value) {
    (name.to_string(), serde_json::to_value(detector.state()).unwrap_or_default())
}
