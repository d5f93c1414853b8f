//! Keeps what evidence of a hit is made of until the hit is closed: bursts, and the spectrogram around them. No samples.
//!
//! Rows of the spectrogram are kept as they are for the first seconds of a hit and for the last ones; in between, of a call
//! that lasts, each is the mean of a tenth of a second.

use crate::samples::Samples;
use cellwarden_detect::Tiles;
use cellwarden_evidence::{EvidenceInput, EvidenceWriter, SensorTiles};
use cellwarden_locate::SensorInfo;
use cellwarden_locate::hit::REPORTED_LEAST;
use cellwarden_selftest::TestedDetector;
use cellwarden_types::{Burst, Hertz, Hit, HitState, Standard, UtcNanos};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// From so long before a hit's start.
const BEFORE_S: f64 = 0.5;
/// Rows stay as they are for so long after a hit's start.
const WHOLE_S: f64 = 3.0;
/// And for so long before now.
const RECENT_S: f64 = 4.0;
/// Older ones are means over this.
const COARSE_S: f64 = 0.1;
/// Bursts that are kept while a hit is open: those of an hour of calls.
const BURSTS_MOST: usize = 400_000;
/// Beside a hit's bursts, so much of the spectrum shows what else was there.
const BESIDE_HZ: f64 = 400e3;
/// Old evidence is deleted this often, also while nothing is heard.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How much later than the detectors the thread that writes has its turn.
const NICE: i32 = 10;
/// Files that wait to be written.
const QUEUE: usize = 16;

/// One sensor's spectrogram at one tuning since the first hit that is open.
#[derive(Debug)]
struct TuningLog {
    /// Without its rows.
    about: Tiles,
    recent: VecDeque<(UtcNanos, Vec<f32>)>,
    coarse: Vec<(UtcNanos, Vec<f32>)>,
    last: Option<UtcNanos>,
}

impl TuningLog {
    fn new(about: Tiles) -> Self {
        Self { about, recent: VecDeque::new(), coarse: Vec::new(), last: None }
    }
}

/// A hit that is open.
#[derive(Debug)]
struct Open {
    standard: Standard,
    band: Option<String>,
    start: UtcNanos,
    /// Its first seconds, once they are over.
    beginning: Option<Vec<SensorTiles>>,
}

impl Open {
    fn new(hit: &Hit, start: UtcNanos) -> Self {
        Self { standard: hit.standard, band: hit.band.clone(), start, beginning: None }
    }
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

/// Collects what evidence is made of, and has it written by a thread of its own: the detectors do not wait for a disk.
pub struct Archive {
    about: About,
    names: Vec<Arc<str>>,
    bursts: VecDeque<Burst>,
    /// By sensor: one for each of its tunings.
    logs: Vec<Vec<TuningLog>>,
    open: BTreeMap<String, Open>,
    to_writer: Option<Sender<Box<EvidenceInput>>>,
    writer: Option<JoinHandle<()>>,
    /// Hits of which there is no evidence, because the disk did not keep up or failed.
    missed: Arc<AtomicU64>,
}

impl Archive {
    /// For these sensors, in the order of their detectors; files go to `writer`. `samples` are deleted with old evidence.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn new(
        about: About,
        sensors: Vec<Arc<str>>,
        mut writer: EvidenceWriter,
        samples: Samples,
    ) -> std::io::Result<Self> {
        let (to_writer, inputs) = bounded::<Box<EvidenceInput>>(QUEUE);
        let missed = Arc::new(AtomicU64::new(0));
        let failures = Arc::clone(&missed);
        let thread = std::thread::Builder::new().name("evidence".to_owned()).spawn(move || {
            // The detectors go first; on Linux this concerns the thread alone.
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::warn!("Evidence is written at the detectors' priority: {error}.");
            }
            samples.expire();
            loop {
                match inputs.recv_timeout(PRUNE_EVERY) {
                    Ok(input) => write(&mut writer, &input, &failures),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if let Err(error) = writer.prune(UtcNanos::now()) {
                    tracing::error!("Deleting old evidence: {error}.");
                }
                samples.expire();
            }
        })?;
        let logs = sensors.iter().map(|_| Vec::new()).collect();
        let (bursts, open) = (VecDeque::new(), BTreeMap::new());
        Ok(Self { about, names: sensors, bursts, logs, open, to_writer: Some(to_writer), writer: Some(thread), missed })
    }

    /// What later files say of the configuration.
    pub fn set_about(&mut self, about: About) {
        self.about = about;
    }

    /// Hits of which there is no evidence.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
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
        let rest_from = open.beginning.as_ref().map_or(from, |_| start.plus_seconds(WHOLE_S));
        let rest = self.cut(self.range(&open, end), rest_from, end);
        let mut tiles = open.beginning.unwrap_or_default();
        tiles.extend(rest);
        // Who did not hear it shows nothing of it.
        tiles.retain(|t| hit.sensors.contains_key(t.sensor.as_ref()));
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
        if let Some(Err(error)) = self.to_writer.as_ref().map(|w| w.try_send(Box::new(input))) {
            self.missed.fetch_add(1, Ordering::Relaxed);
            let why = if error.is_full() { "the disk does not keep up" } else { "the thread that writes it has ended" };
            tracing::error!(hit = hit.id, "No evidence is kept: {why}.");
        }
    }

    /// Follows the detectors, once in every turn. `now` is their time.
    pub fn turn(&mut self, detectors: &[&TestedDetector], now: UtcNanos) {
        let oldest = self.open.values().map(|o| o.start).min();
        let keep_from = oldest.unwrap_or(now).plus_seconds(-BEFORE_S);
        // Before a hit opens its decision takes time, too.
        let bursts_from = keep_from.plus_seconds(-RECENT_S);
        while self.bursts.front().is_some_and(|b| b.time.is_none_or(|t| t < bursts_from)) {
            self.bursts.pop_front();
        }
        if oldest.is_none() {
            self.logs.iter_mut().for_each(Vec::clear);
            return;
        }
        self.follow(detectors, keep_from);
        let over = |o: &Open| o.beginning.is_none() && now.seconds_since(o.start) > WHOLE_S + COARSE_S;
        let beginning = |o: &Open| {
            let (from, to) = (o.start.plus_seconds(-BEFORE_S), o.start.plus_seconds(WHOLE_S));
            self.cut(self.range(o, now), from, to)
        };
        let ready: Vec<(String, Vec<SensorTiles>)> =
            self.open.iter().filter(|(_, o)| over(o)).map(|(id, o)| (id.clone(), beginning(o))).collect();
        for (id, tiles) in ready {
            if let Some(open) = self.open.get_mut(&id) {
                open.beginning = Some(tiles);
            }
        }
        for log in self.logs.iter_mut().flatten() {
            log.thin(now.plus_seconds(-RECENT_S), keep_from);
        }
    }

    fn follow(&mut self, detectors: &[&TestedDetector], from: UtcNanos) {
        for (logs, detector) in self.logs.iter_mut().zip(detectors) {
            let last = |center| logs.iter().find(|l| l.about.center == center).and_then(|l| l.last).or(Some(from));
            for mut tiles in detector.tiles_of_all(last) {
                let rows = std::mem::take(&mut tiles.rows);
                // Rows of two tunings do not fit into one picture.
                let same =
                    |a: &Tiles| (a.center, a.rate, a.floor.len()) == (tiles.center, tiles.rate, tiles.floor.len());
                let at = logs.iter().position(|l| same(&l.about)).unwrap_or_else(|| {
                    logs.push(TuningLog::new(tiles.clone()));
                    logs.len() - 1
                });
                let log = &mut logs[at];
                log.last = rows.last().map(|(at, _)| *at).or(log.last);
                log.recent.extend(rows);
                log.about = tiles;
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
        let mut out = Vec::new();
        let of_sensors = self.logs.iter().zip(&self.names);
        for (log, sensor, hops) in of_sensors.flat_map(|(l, name)| l.iter().map(move |log| (log, name, l.len() > 1))) {
            let about = &log.about;
            let frame = SensorTiles {
                sensor: Arc::clone(sensor),
                // Bins begin where the file says that they do; the transform's lie around their middle.
                center: Hertz(about.center.0 - about.bin_hz / 2.0),
                rate: about.rate,
                bin_hz: about.bin_hz,
                first: from,
                row_s: about.row_s,
                bins: about.floor.len(),
                times: Vec::new(),
                rows: Vec::new(),
                floor: about.floor.clone(),
            };
            let bins = frame.bins_within(low_hz, high_hz);
            if bins.is_empty() {
                continue;
            }
            let frame = frame.cropped(low_hz, high_hz);
            let within = |(at, _): &&(UtcNanos, Vec<f32>)| *at >= from && *at <= to;
            let coarse: Vec<_> = log.coarse.iter().filter(within).collect();
            let recent: Vec<_> = log.recent.iter().filter(within).collect();
            for (rows, row_s) in [(coarse, COARSE_S), (recent, about.row_s)] {
                // From visit to visit there is a gap; a picture for each would be more than a file holds.
                let reach_s = if hops { f64::INFINITY } else { row_s };
                for run in runs(&rows, reach_s) {
                    let values = run.iter().flat_map(|(_, row)| &row[bins.clone()]).copied().collect();
                    let times = if hops { run.iter().map(|(at, _)| *at).collect() } else { Vec::new() };
                    out.push(SensorTiles { first: run[0].0, row_s, times, rows: values, ..frame.clone() });
                }
            }
        }
        out
    }
}

/// Writes a file, and says so.
fn write(writer: &mut EvidenceWriter, input: &EvidenceInput, failures: &AtomicU64) {
    match writer.write(input, UtcNanos::now()) {
        Ok(file) if file.remade.fits() => {
            tracing::info!(hit = input.hit.id, file = %file.path.display(), head = %file.head, "Evidence is kept.");
        }
        Ok(file) => {
            tracing::warn!(hit = input.hit.id, file = %file.path.display(), remade = ?file.remade, "Evidence is kept; its bursts alone do not give the hit.");
        }
        Err(error) => {
            failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(hit = input.hit.id, "No evidence is kept: {error}.");
        }
    }
}

/// What a detector had learned.
fn state_of((name, detector): (&Arc<str>, &&TestedDetector)) -> (String, serde_json::Value) {
    (name.to_string(), serde_json::to_value(detector.state()).unwrap_or_default())
}

/// Rows that follow each other without a gap.
fn runs<'a>(rows: &'a [&'a (UtcNanos, Vec<f32>)], row_s: f64) -> impl Iterator<Item = &'a [&'a (UtcNanos, Vec<f32>)]> {
    rows.chunk_by(move |a, b| b.0.seconds_since(a.0) < 1.5 * row_s)
}

impl TuningLog {
    /// Makes rows before `recent_from` coarse, and forgets those before `keep_from`.
    fn thin(&mut self, recent_from: UtcNanos, keep_from: UtcNanos) {
        while self.recent.front().is_some_and(|(at, _)| *at < recent_from.plus_seconds(-COARSE_S)) {
            let end = self.recent[0].0.plus_seconds(COARSE_S);
            let count = self.recent.partition_point(|(at, _)| *at < end).max(1);
            let mut mean = vec![0.0; self.recent[0].1.len()];
            let middle = self.recent[0].0.plus_seconds(COARSE_S / 2.0);
            for (_, row) in self.recent.drain(..count) {
                mean.iter_mut().zip(row).for_each(|(m, p)| *m += p / count as f32);
            }
            self.coarse.push((middle, mean));
        }
        let old = self.coarse.partition_point(|(at, _)| *at < keep_from);
        self.coarse.drain(..old);
    }
}

impl Drop for Archive {
    /// What was closed is written before the daemon ends.
    fn drop(&mut self) {
        self.to_writer = None;
        if let Some(thread) = self.writer.take() {
            // A writer that panicked has said so.
            let _ = thread.join();
        }
    }
}
