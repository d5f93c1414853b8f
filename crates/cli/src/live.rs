//! Drives receivers through the detectors: each sensor as its samples come, none waits for another.

use crate::engine::Event;
use cellwarden_capture::config::HopConfig;
use cellwarden_capture::{ReaderHandle, Waiting};
use cellwarden_detect::DetectConfig;
use cellwarden_detect::config::RATES_HZ;
use cellwarden_detect::convert::count_clipped;
use cellwarden_selftest::{SelfTestConfig, TestedDetector};
use cellwarden_types::{Burst, Gap, GapReason, IqBlock, SensorLedger, UtcNanos};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A sensor of which nothing came for so long holds nobody up: what it sends later is judged later.
const LATE: Duration = Duration::from_millis(300);
/// A sensor is worked on for so long, then what was found is joined, and the others have their turn.
const TURN: Duration = Duration::from_millis(25);
/// Of a block's samples, so many at the converter's end make it one that cannot be judged.
const OVERLOADED_SHARE: f64 = 0.3;
/// An overload that lasts is told so often.
const OVERLOAD_TOLD_S: f64 = 1.0;

/// A channel of a receiver that plays the part of a sensor.
pub struct LiveSensor {
    /// The sensor's name.
    pub name: Arc<str>,
    /// Which device of the configuration it belongs to, and which of its channels it is.
    pub device: (usize, usize),
    /// The detector and what it knows. Test bursts do not come out of it.
    pub detector: TestedDetector,
    /// Samples at the converter's end.
    pub clipped: u64,
    /// Bursts by standard.
    pub counted: BTreeMap<String, u64>,
    reader: ReaderHandle,
    /// How long it gives nothing when it goes to another centre; none where it stays.
    settle: Option<Duration>,
    overload: u64,
    /// Samples of which a gap told: lost and dropped.
    told: (u64, u64),
    /// Overloaded samples that were not told of, and where they end.
    overloaded: Option<Gap>,
    came: Option<Instant>,
    /// UTC of the end of the latest block.
    ends: Option<UtcNanos>,
    ended: bool,
    /// Blocks wait that were not worked on in its last turn.
    behind: bool,
    /// Nothing came for long, as of its last turn: all that it held was told.
    silent: bool,
    events: Vec<(UtcNanos, Event)>,
    bursts: Vec<Burst>,
}

impl LiveSensor {
    /// What `reader` gives is what `name` hears; its processing is tested where `tests` say so. `hop` is how it goes from centre
    /// to centre.
    pub fn new(
        name: Arc<str>,
        device: (usize, usize),
        (reader, hop): (ReaderHandle, Option<HopConfig>),
        config: DetectConfig,
        tests: Option<SelfTestConfig>,
    ) -> Self {
        Self {
            detector: TestedDetector::new(Arc::clone(&name), config, tests),
            name,
            device,
            clipped: 0,
            counted: BTreeMap::new(),
            reader,
            settle: hop.map(|hop| Duration::from_secs_f64(hop.settle_s())),
            overload: 0,
            told: (0, 0),
            overloaded: None,
            came: None,
            ends: None,
            ended: false,
            behind: false,
            silent: true,
            events: Vec::new(),
            bursts: Vec::new(),
        }
    }

    /// Works on what waits. Returns how many samples that were.
    fn turn(&mut self) -> u64 {
        let mut samples = 0;
        let began = Instant::now();
        self.behind = true;
        while !self.ended && began.elapsed() < TURN {
            match self.reader.try_recv() {
                Ok(Waiting::Block(block)) => {
                    samples += block.samples() as u64;
                    self.take(&block);
                    self.reader.recycle(block);
                }
                Ok(Waiting::Nothing) => {
                    self.behind = false;
                    break;
                }
                Ok(Waiting::End) => self.end(),
                Err(error) => {
                    tracing::error!(sensor = %self.name, "{error}");
                    self.end();
                }
            }
        }
        self.silent = !self.behind && !self.listens();
        if self.silent {
            self.tell_overload();
            // Bursts of its last milliseconds would come when the joiner has long gone on, and be another hit.
            self.detector.rest(&mut self.bursts);
        }
        self.hand_over();
        samples
    }

    fn take(&mut self, block: &IqBlock) {
        self.came = Some(Instant::now());
        let time = block.time.unwrap_or_else(UtcNanos::now);
        self.ends = Some(time.plus_seconds(block.samples() as f64 / block.rate.0));
        for gap in &block.gaps_before {
            match gap.reason {
                GapReason::Dropped => self.told.1 += gap.sample_count,
                // At every change of centre, as it was told to: the ledger has it, and the detector knows by the block.
                GapReason::Retune => continue,
                _ => self.told.0 += gap.sample_count,
            }
            self.events.push((time, Event::Gap(gap.clone())));
        }
        let clipped = count_clipped(block.format, &block.bytes);
        self.clipped += clipped;
        // A device may take another rate than was asked.
        let works = RATES_HZ.contains(&block.rate.0);
        if !works || clipped as f64 > OVERLOADED_SHARE * block.samples() as f64 {
            self.skip(block);
        } else {
            self.tell_overload();
            self.detector.process(block, &mut self.bursts);
        }
    }

    /// A block that cannot be judged.
    fn skip(&mut self, block: &IqBlock) {
        self.detector.rest(&mut self.bursts);
        let samples = block.samples() as u64;
        self.overload += samples;
        let gap = self.overloaded.get_or_insert_with(|| Gap {
            sensor: Arc::clone(&block.sensor),
            sample_start: 0,
            sample_count: 0,
            reason: GapReason::Overload,
        });
        gap.sample_count += samples;
        gap.sample_start = block.start.0 + samples;
        if gap.sample_count as f64 > OVERLOAD_TOLD_S * block.rate.0 {
            self.tell_overload();
        }
    }

    fn tell_overload(&mut self) {
        if let (Some(gap), Some(time)) = (self.overloaded.take(), self.ends) {
            self.events.push((time, Event::Gap(gap)));
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.tell_overload();
        self.detector.finish(&mut self.bursts);
        // What was lost behind the last block.
        let ledger = self.ledger();
        let sample_start = ledger.processed + ledger.overload;
        for (lost, told, reason) in
            [(ledger.overflow, self.told.0, GapReason::Overflow), (ledger.dropped, self.told.1, GapReason::Dropped)]
        {
            if lost > told {
                let gap = Gap { sensor: Arc::clone(&self.name), sample_start, sample_count: lost - told, reason };
                self.events.push((self.ends.unwrap_or_else(UtcNanos::now), Event::Gap(gap)));
            }
        }
        self.told = (ledger.overflow, ledger.dropped);
    }

    fn hand_over(&mut self) {
        for burst in self.bursts.drain(..) {
            *self.counted.entry(burst.standard.name().to_owned()).or_default() += 1;
            let time = burst.time.unwrap_or_else(UtcNanos::now);
            self.events.push((time, Event::Burst(Box::new(burst))));
        }
    }

    /// Whether samples come.
    pub fn listens(&self) -> bool {
        !self.ended && self.came.is_some_and(|c| c.elapsed() <= self.patience())
    }

    /// Whether it listens at several centres in turn: what it does not hear then says nothing.
    pub fn hops(&self) -> bool {
        self.settle.is_some()
    }

    /// One on its way to another centre is not late.
    fn patience(&self) -> Duration {
        LATE + self.settle.unwrap_or_default()
    }

    /// UTC before which it has nothing more to say. `behind` is the longest that samples may have waited for it.
    fn settled(&self, now: UtcNanos, behind: Duration) -> UtcNanos {
        let late = now.plus_seconds(-self.patience().as_secs_f64());
        // As it was when it was its turn: one that fell silent since still holds bursts.
        if self.ended || self.silent {
            return late;
        }
        // While all it hears is overload, its detector stands still.
        match (self.detector.settled(), &self.overloaded) {
            (Some(settled), None) => settled.max(late.plus_seconds(-behind.as_secs_f64())),
            _ => late,
        }
    }

    /// Where all of this sensor's samples went.
    pub fn ledger(&self) -> SensorLedger {
        let (counts, reader) = (self.detector.counts(), self.reader.counters());
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (missing, dropped, retune) = (read(&reader.missing), read(&reader.dropped), read(&reader.retuned));
        SensorLedger {
            expected: counts.processed + missing + dropped + self.overload + retune,
            processed: counts.processed,
            overflow: missing,
            disconnected: read(&reader.disconnected),
            dropped,
            overload: self.overload,
            retune,
            deep_skipped: counts.deep_skipped,
            places_skipped: counts.places_skipped,
        }
    }
}

/// All sensors of a box.
pub struct Live {
    /// The sensors, in the order of the configuration.
    pub sensors: Vec<LiveSensor>,
    /// The longest that a sensor's samples wait, by the host's clock: in the queue, and because its own clock is late.
    pub behind: Duration,
}

/// What a turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Samples that were worked on.
    pub samples: u64,
    /// UTC before which no sensor that listens has anything more to say.
    pub settled: UtcNanos,
    /// No sensor will ever say anything more.
    pub over: bool,
}

impl Live {
    /// Works on what waits, sensors in parallel; adds what was found, in order of time.
    pub fn turn(&mut self, out: &mut Vec<Event>) -> Turn {
        let samples = self.sensors.par_iter_mut().map(LiveSensor::turn).sum();
        self.take_events(out);
        let now = UtcNanos::now();
        let settled = self.sensors.iter().map(|s| s.settled(now, self.behind)).min().unwrap_or(now);
        Turn { samples, settled, over: self.sensors.iter().all(|s| s.ended) }
    }

    /// Ends every sensor that has not ended: what waits for it is not worked on any more.
    pub fn end(&mut self, out: &mut Vec<Event>) {
        for sensor in self.sensors.iter_mut().filter(|s| !s.ended) {
            sensor.end();
            sensor.hand_over();
        }
        self.take_events(out);
    }

    fn take_events(&mut self, out: &mut Vec<Event>) {
        let mut events: Vec<(UtcNanos, Event)> = self.sensors.iter_mut().flat_map(|s| s.events.drain(..)).collect();
        events.sort_by_key(|(time, _)| *time);
        out.extend(events.into_iter().map(|(_, event)| event));
    }
}
