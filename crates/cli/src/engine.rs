//! Drives recordings through the detectors: all sensors in step, and the same result every time.
//!
//! A round advances every sensor by a quarter of a second of its samples, sensors in parallel. What a
//! round finds is held back until no sensor can add anything earlier, then handed on in order of time.

use crate::args::RawArgs;
use crate::failure::Failure;
use cellwarden_capture::{ReaderConfig, ReaderHandle, ReaderMode, Source, spawn_reader};
use cellwarden_detect::config::RATES_HZ;
use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_iq::{IqError, OpenOptions, Recording};
use cellwarden_types::{Burst, Gap, GapReason, Hertz, SensorLedger, UtcNanos};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Seconds of recording in a round.
const ROUND_S: f64 = 0.25;
/// A detector may still report what began so long before its place in the stream: a chunk, a
/// cluster and its margins.
const SETTLED_S: f64 = 0.15;
/// Blocks between reader and detector.
const POOL_BLOCKS: usize = 4;

/// What the command line says of raw samples.
pub fn open_options(raw: &RawArgs) -> OpenOptions {
    OpenOptions { format: raw.sample_type, rate: raw.rate, center: raw.center, time: raw.time }
}

/// Opens a recording; says on standard error what had to be left out of it.
pub fn open_recording(path: &Path, options: &OpenOptions) -> Result<Recording, Failure> {
    let recording = cellwarden_iq::open(path, options).map_err(|error| match error {
        // These are about what was typed, not about the file.
        IqError::Terminal | IqError::Unknown { .. } => Failure::usage(error),
        _ => Failure::run(error),
    })?;
    checked_rate(recording.info.rate, &path.display())?;
    for warning in &recording.info.warnings {
        eprintln!("cellwarden: {}: {warning}", path.display());
    }
    Ok(recording)
}

/// A rate that the detector works at; `what` has it.
pub fn checked_rate(rate: Hertz, what: &dyn std::fmt::Display) -> Result<(), Failure> {
    if RATES_HZ.contains(&rate.0) {
        return Ok(());
    }
    let (low, high) = (Hertz(*RATES_HZ.start()), Hertz(*RATES_HZ.end()));
    Err(Failure::Run(format!("{what}: the sample rate is {rate}: cellwarden works from {low} to {high}")))
}

/// A recording that plays the part of a sensor.
pub struct SensorRun {
    /// The sensor's name.
    pub name: Arc<str>,
    /// UTC of the recording's first sample.
    pub start_time: Option<UtcNanos>,
    /// Length, where it is known, in samples.
    pub samples: Option<u64>,
    /// Complex samples per second.
    pub rate: Hertz,
    /// The detector and what it knows.
    pub detector: Detector,
    reader: ReaderHandle,
    /// Seconds from the earliest recording's first sample to this one's.
    offset_s: f64,
    position_s: f64,
    /// Missing samples that were reported as gaps.
    reported_missing: u64,
    ended: bool,
    /// What was found, and when, in seconds from the recording's first sample.
    found: Vec<(f64, Event)>,
    failure: Option<Failure>,
    bursts: Vec<Burst>,
}

/// Something that a sensor has to say.
#[derive(Debug)]
pub enum Event {
    /// An emission.
    Burst(Box<Burst>),
    /// Missing samples.
    Gap(Gap),
}

impl SensorRun {
    /// Starts reading `source`, of `samples` samples where that is known, in blocks of `block_samples`.
    pub fn start(
        source: Box<dyn Source>,
        samples: Option<u64>,
        config: DetectConfig,
        block_samples: usize,
    ) -> Result<Self, Failure> {
        let template = source.template();
        checked_rate(template.rate, &template.sensor)?;
        let config_of_reader = ReaderConfig { block_samples, pool_blocks: POOL_BLOCKS, mode: ReaderMode::Replay };
        let reader = spawn_reader(source, config_of_reader).map_err(Failure::run)?;
        Ok(Self {
            detector: Detector::new(Arc::clone(&template.sensor), config),
            name: template.sensor,
            start_time: template.time,
            samples,
            rate: template.rate,
            reader,
            offset_s: 0.0,
            position_s: 0.0,
            reported_missing: 0,
            ended: false,
            found: Vec::new(),
            failure: None,
            bursts: Vec::new(),
        })
    }

    /// Works until the sensor's place passes `until_s` (from the earliest recording's first sample).
    fn advance(&mut self, until_s: f64) {
        while !self.ended && self.position_s + self.offset_s < until_s {
            match self.reader.recv() {
                Ok(Some(block)) => {
                    for gap in &block.gaps_before {
                        let at = (block.start.0 + block.lost_before) as f64 / self.rate.0;
                        self.reported_missing += gap.sample_count;
                        self.found.push((at, Event::Gap(gap.clone())));
                    }
                    self.detector.process(&block, &mut self.bursts);
                    let end = block.start.0 + block.lost_before + block.samples() as u64;
                    self.position_s = end as f64 / self.rate.0;
                    self.reader.recycle(block);
                }
                Ok(None) => self.end(),
                Err(error) => {
                    // What was read before the fault counts, and is reported before the fault is.
                    self.end();
                    self.failure = Some(Failure::run(error));
                }
            }
        }
        self.found.extend(self.bursts.drain(..).map(|b| (b.start_s, Event::Burst(Box::new(b)))));
    }

    /// The stream is over: its last bursts, and what was lost behind its last block.
    fn end(&mut self) {
        self.ended = true;
        self.detector.finish(&mut self.bursts);
        let ledger = self.ledger();
        let unreported = (ledger.overflow + ledger.dropped).saturating_sub(self.reported_missing);
        if unreported > 0 {
            self.reported_missing += unreported;
            let (sensor, sample_start) = (Arc::clone(&self.name), ledger.processed);
            let gap = Gap { sensor, sample_start, sample_count: unreported, reason: GapReason::Dropped };
            self.found.push((self.position_s, Event::Gap(gap)));
        }
    }

    /// Where all of this sensor's samples went.
    pub fn ledger(&self) -> SensorLedger {
        let (counts, reader) = (self.detector.counts(), self.reader.counters());
        let (missing, dropped) = (reader.missing.load(Ordering::Relaxed), reader.dropped.load(Ordering::Relaxed));
        SensorLedger {
            expected: counts.processed + missing + dropped,
            processed: counts.processed,
            overflow: missing,
            disconnected: reader.disconnected.load(Ordering::Relaxed),
            dropped,
            overload: 0,
            // A recording is tuned already.
            retune: 0,
            deep_skipped: counts.deep_skipped,
            places_skipped: counts.places_skipped,
        }
    }
}

/// All sensors of a run, in step.
pub struct Engine {
    /// The sensors, in the order in which they were named.
    pub sensors: Vec<SensorRun>,
    held: Vec<(i64, Event)>,
    target_s: f64,
}

impl Engine {
    /// Puts the sensors on one clock: by their recordings' times where all have one, else all begin together.
    pub fn new(mut sensors: Vec<SensorRun>) -> Self {
        let times: Option<Vec<UtcNanos>> = sensors.iter().map(|s| s.start_time).collect();
        if let Some(earliest) = times.as_ref().and_then(|t| t.iter().min().copied()) {
            for sensor in &mut sensors {
                sensor.offset_s = sensor.start_time.map_or(0.0, |t| t.seconds_since(earliest));
            }
        }
        Self { sensors, held: Vec::new(), target_s: 0.0 }
    }

    /// Seconds of the longest recording, lost samples included, as far as it was worked on.
    pub fn seconds(&self) -> f64 {
        self.sensors.iter().map(|s| s.position_s).fold(0.0, f64::max)
    }

    /// How far all sensors have come, in seconds from the earliest recording's first sample.
    pub fn settled_s(&self) -> f64 {
        let place = |s: &SensorRun| if s.ended { f64::INFINITY } else { s.position_s + s.offset_s };
        self.sensors.iter().map(place).fold(f64::INFINITY, f64::min) - SETTLED_S
    }

    /// Works one round, and hands over in order of time what can no longer be preceded by anything.
    /// Returns whether there is more.
    pub fn round(&mut self, out: &mut Vec<Event>) -> Result<bool, Failure> {
        self.target_s += ROUND_S;
        let behind = self.sensors.iter().filter(|s| !s.ended).map(|s| s.offset_s + s.position_s);
        // Sensors may begin hours apart: do not walk through the time in between.
        let first = behind.fold(f64::INFINITY, f64::min);
        if first.is_finite() {
            self.target_s = self.target_s.max((first / ROUND_S).floor() * ROUND_S + ROUND_S);
        }
        let until = self.target_s;
        self.sensors.par_iter_mut().for_each(|s| s.advance(until));
        for sensor in &mut self.sensors {
            let key = |s: f64| ((s + sensor.offset_s) * 1e9).round() as i64;
            self.held.extend(sensor.found.drain(..).map(|(at_s, event)| (key(at_s), event)));
        }
        let settled = self.settled_s();
        let settled = if settled.is_finite() { (settled * 1e9) as i64 } else { i64::MAX };
        self.held.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| order(x).cmp(&order(y))));
        let ready = self.held.partition_point(|(at, _)| *at < settled);
        out.extend(self.held.drain(..ready).map(|(_, event)| event));
        if let Some(failure) = self.sensors.iter_mut().find_map(|s| s.failure.take()) {
            out.extend(self.held.drain(..).map(|(_, event)| event));
            return Err(failure);
        }
        Ok(self.sensors.iter().any(|s| !s.ended))
    }
}

/// What comes first of things that begin together: gaps, then by sensor, frequency and width.
fn order(event: &Event) -> (u8, &str, i64, i64) {
    match event {
        Event::Gap(gap) => (0, &gap.sensor, 0, 0),
        Event::Burst(b) => (1, &b.sensor, b.freq_lower_hz.round() as i64, b.freq_upper_hz.round() as i64),
    }
}
