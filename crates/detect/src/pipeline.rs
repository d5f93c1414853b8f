//! The whole path of one sensor's samples: block → rows → floor → segments → proposals → bursts.

use crate::candidate::{Classifier, NoiseFloor, Proposal, Region, Snippet};
use crate::carrier::{Carriers, HeardPreamble, KnownPrach, LearnedPrach};
use crate::classify::gsm::GsmClassifier;
use crate::classify::leftover;
use crate::classify::lte::prach::deep::DeepSearch;
use crate::classify::lte::prach::timing::start_sigma_s;
use crate::classify::lte::prach::{self, PrachSearch};
use crate::classify::lte::shared::SharedChannelClassifier;
use crate::confidence::burst_confidence;
use crate::config::{Depth, DetectConfig, FrameGeometry};
use crate::convert::{convert, count_unusable, quantisation_density};
use crate::floor::FloorTracker;
use crate::gate::{Hint, PreambleGate};
use crate::grid::GridSearch;
use crate::history::{SampleRing, TileRing};
use crate::pulse::PulseSearch;
use crate::segment::{Segment, Segmenter};
use crate::spectrum::PowerSpectrum;
use crate::state::{DetectorState, FloorState};
use crate::swap::SwapTest;
use cellwarden_standards::lte::PRACH_FORMATS;
use cellwarden_standards::{band, gsm};
use cellwarden_types::request::{LevelAnswer, LevelRequest};
use cellwarden_types::{Burst, Hertz, IqBlock, SampleFormat, Standard, UtcNanos, db};
use num_complex::Complex32;
use rayon::prelude::*;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Samples around a candidate that the classifiers get to see.
const MARGIN_S: f64 = 1.5e-3;
/// And around a faint preamble: the longest format to both sides of its window.
const FAINT_MARGIN_S: f64 = 2.8e-3;
/// Segments that end within this time of each other are looked at together.
const CLUSTER_GAP_S: f64 = 1.0e-3;
/// A cluster longer than this is looked at in pieces.
const CLUSTER_LONGEST_S: f64 = 12e-3;
/// Native samples that are kept behind the last chunk: a cluster that waits for twice its greatest length and for the
/// chunk's end, with its margins.
const HELD_S: f64 = 0.05;
/// A chunk, and what a block brings beyond it.
const INCOMING_S: f64 = 0.025;
/// A source that follows another clock moves a stream's time by more than this; what a recording rounds is less.
const CLOCK_STEP_S: f64 = 1e-6;
/// Evidence of a preamble from which is learned.
const LEARNED_LLR: f64 = 2.0;
/// Tunings whose streams are kept while the receiver is elsewhere; of more, the floor alone is remembered.
const PARKED_MOST: usize = 16;
/// Visits that a stream's tiles may come from: shorter than 20 ms, none has a row worth keeping.
const VISITS_MOST: usize = 64;
/// Level from which a segment is what it is, whole; what is fainter may be a piece.
const CLEAR_DB: f64 = 6.0;
/// Rows are made in so many tasks.
const TASKS: usize = 4;

/// Time spent by stage, for `bench` and health.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageCosts {
    /// Conversion, window, transform, power.
    pub spectrum: Duration,
    /// Noise floor and tile history.
    pub floor: Duration,
    /// Segmentation.
    pub segment: Duration,
    /// Classification.
    pub classify: Duration,
}

/// A stretch of a sensor's tile history.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiles {
    /// Middle of bin `n / 2` of `n`.
    pub center: Hertz,
    /// Complex samples per second of the stream.
    pub rate: Hertz,
    /// From one bin to the next.
    pub bin_hz: f64,
    /// From one row to the next where nothing is missing, in seconds.
    pub row_s: f64,
    /// Noise floor by bin, linear over full scale and hertz.
    pub floor: Vec<f32>,
    /// Middle and power density by bin of each row, likewise.
    pub rows: Vec<(UtcNanos, Vec<f32>)>,
}

/// What happened to the samples of one sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Samples that came in.
    pub processed: u64,
    /// Of those, not finite: judged as silence.
    pub unusable: u64,
    /// Of those, only looked at for energy.
    pub deep_skipped: u64,
    /// Places at which a faint preamble may have been, and that were not searched because others were likelier.
    pub places_skipped: u64,
}

/// Detects bursts in one sensor's stream. Give it blocks in order; it keeps what it needs.
///
/// The result does not depend on how the stream is cut into blocks, nor on the number of threads.
pub struct Detector {
    config: DetectConfig,
    sensor: Arc<str>,
    stream: Option<Stream>,
    /// Streams of other tunings, each worked off to its end; the one that was left last is the last.
    parked: Vec<Stream>,
    remembered: Vec<FloorState>,
    /// Base stations at tunings that have no stream.
    base_stations: Vec<LearnedPrach>,
    costs: StageCosts,
    counts: SampleCounts,
    swapped: SwapTest,
}

/// What depends on rate, centre and format.
struct Stream {
    format: SampleFormat,
    rate: Hertz,
    center: Hertz,
    geometry: FrameGeometry,
    /// Recording's index of frame 0's first sample.
    origin: u64,
    /// Samples lost before `origin`.
    lost_before: u64,
    /// UTC of `origin`.
    origin_time: Option<UtcNanos>,
    /// The same of visits before, of which there are tiles still: a receiver that hops was elsewhere in between.
    visits: VecDeque<(u64, UtcNanos)>,
    frames_done: u64,
    /// All that it holds was worked on: what comes next begins anew.
    is_at_rest: bool,
    ring: SampleRing,
    tiles: TileRing,
    workers: Vec<PowerSpectrum>,
    rows: Vec<f32>,
    floor: FloorTracker,
    noise: NoiseFloor,
    segmenter: Segmenter,
    pending: Vec<Segment>,
    /// Where a preamble may lie that no segment shows; none where none is sought.
    gate: Option<PreambleGate>,
    hints: Vec<Hint>,
    faint: Vec<Faint>,
    /// The search of every place, and the first sample, from the origin, at which it goes on; none unless asked for.
    deep: Option<DeepSearch>,
    deep_next: u64,
    /// Base stations of this band, and the first sample, from the origin, at which their occasions were not looked at.
    carriers: Carriers,
    occasions_next: u64,
    /// Places that were not searched because others were likelier.
    places_skipped: u64,
    /// What no few cells show; none where it is not sought, and what waits for a preamble that may lie there.
    grid: Option<GridSearch>,
    pulses: Option<PulseSearch>,
    held: Vec<Proposal>,
    classifiers: Classifiers,
}

/// Where a faint preamble may be.
#[derive(Clone, Copy, Debug)]
struct Faint {
    /// First sample and length, from the stream's origin.
    start: u64,
    count: u64,
    center_hz: f64,
}

struct Classifiers {
    gsm: GsmClassifier,
    prach: Option<PrachSearch>,
    shared: SharedChannelClassifier,
    iq: Vec<Complex32>,
    recent_prach: Vec<Proposal>,
}

impl Detector {
    /// A detector for the stream of `sensor`.
    pub fn new(sensor: Arc<str>, config: DetectConfig) -> Self {
        Self {
            config,
            sensor,
            stream: None,
            parked: Vec::new(),
            remembered: Vec::new(),
            base_stations: Vec::new(),
            costs: StageCosts::default(),
            counts: SampleCounts::default(),
            swapped: SwapTest::default(),
        }
    }

    /// Takes the next block and adds the bursts that it completes, in the order in which they end.
    pub fn process(&mut self, block: &IqBlock, out: &mut Vec<Burst>) {
        match &mut self.stream {
            Some(stream) if !stream.is_tuned_as(block) => {
                self.work_off(out);
                self.tune(block);
            }
            Some(stream) if stream.continues_with(block) => stream.keep_time(block),
            Some(stream) if stream.goes_on_from_rest_with(block) => stream.come_back_at(block),
            Some(_) => {
                self.work_off(out);
                self.stream.iter_mut().for_each(|s| s.begin_at(block));
            }
            None => self.tune(block),
        }
        self.counts.processed += block.samples() as u64;
        self.counts.unusable += count_unusable(block.format, &block.bytes);
        if self.config.depth == Depth::Energy {
            self.counts.deep_skipped += block.samples() as u64;
        }
        let Some(stream) = &mut self.stream else { return };
        stream.ring.push(&block.bytes);
        let chunk = stream.geometry.chunk_frames;
        while stream.frames_available() >= chunk as u64 {
            stream.work(chunk, &mut self.costs);
            stream.classify(&self.sensor, &self.config, &mut self.costs, &mut self.swapped, false, out);
            stream.forget();
        }
    }

    /// Works on what it holds and adds its bursts, because nothing more comes for the moment: whoever waits for them would
    /// wait until the stream goes on. An emission that lasts until now and goes on then comes in two bursts.
    pub fn rest(&mut self, out: &mut Vec<Burst>) {
        if self.stream.as_ref().is_some_and(|s| !s.is_at_rest) {
            self.work_off(out);
            self.stream.iter_mut().for_each(|s| s.is_at_rest = true);
        }
    }

    /// Ends the stream: works on what is left and adds its bursts.
    pub fn finish(&mut self, out: &mut Vec<Burst>) {
        self.work_off(out);
        for stream in std::mem::take(&mut self.parked).into_iter().chain(self.stream.take()) {
            self.retire(stream);
        }
    }

    /// Keeps what a stream counted and learned.
    fn retire(&mut self, stream: Stream) {
        self.counts.places_skipped += stream.places_skipped();
        stream.remember(&mut self.remembered);
        self.base_stations.extend(stream.carriers.into_known());
    }

    /// Parks the stream, which is worked off, and goes on with that of the block's tuning. One that was parked knows its
    /// floor, and nothing is made anew: a receiver that hops comes by several times a second.
    fn tune(&mut self, block: &IqBlock) {
        let known = self.parked.iter().position(|s| s.is_tuned_as(block)).map(|i| self.parked.remove(i));
        if let Some(left) = self.stream.take() {
            if self.parked.len() == PARKED_MOST {
                let oldest = self.parked.remove(0);
                self.retire(oldest);
            }
            self.parked.push(left);
        }
        self.stream = Some(match known {
            Some(mut stream) => {
                stream.come_back_at(block);
                stream
            }
            None => Stream::new(block, &self.config, &self.remembered, &mut self.base_stations),
        });
    }

    /// Works on what is left before an end or a break, and adds its bursts.
    fn work_off(&mut self, out: &mut Vec<Burst>) {
        let Some(stream) = &mut self.stream else { return };
        let left = stream.frames_available() as usize;
        if left > 0 {
            stream.work(left, &mut self.costs);
        }
        let before = stream.pending.len();
        stream.segmenter.finish(stream.floor.floor(), &mut stream.pending);
        if let Some(grid) = &mut stream.grid {
            grid.finish(stream.floor.floor(), before, &mut stream.pending);
        }
        stream.classify(&self.sensor, &self.config, &mut self.costs, &mut self.swapped, true, out);
    }

    /// Time spent by stage so far.
    pub fn costs(&self) -> StageCosts {
        self.costs
    }

    /// What happened to the samples so far.
    pub fn counts(&self) -> SampleCounts {
        let streams = self.parked.iter().chain(&self.stream);
        let places_skipped = self.counts.places_skipped + streams.map(Stream::places_skipped).sum::<u64>();
        SampleCounts { places_skipped, ..self.counts }
    }

    /// Noise density in the middle of the band that is watched now, in dBFS/Hz, once there is a floor.
    pub fn noise_dbfs_per_hz(&self) -> Option<f64> {
        self.stream.as_ref().and_then(Stream::noise_dbfs_per_hz).or_else(|| self.remembered.last().map(noise_of))
    }

    /// The same for the tuning at `center`, also while the receiver is elsewhere; none if it was never there.
    pub fn noise_dbfs_per_hz_at(&self, center: Hertz) -> Option<f64> {
        let streams = self.stream.iter().chain(self.parked.iter().rev());
        streams.filter(|s| s.center == center).find_map(Stream::noise_dbfs_per_hz).or_else(|| {
            let known = self.remembered.iter().rev().find(|f| f.center == center);
            known.map(noise_of)
        })
    }

    /// How many bursts fit better with I and Q exchanged, where together they say that the stream is so.
    /// Its bursts are then not believed.
    pub fn iq_swapped(&self) -> Option<u32> {
        self.swapped.mirrored_bursts()
    }

    /// Nothing is learned of the receiver and of base stations from what lies in these samples of the recording: it was added to
    /// them.
    pub fn except_from_learning(&mut self, samples: Range<u64>) {
        self.swapped.except(samples);
    }

    /// UTC before which nothing more will be reported to begin; none without samples or where they have no time.
    pub fn settled(&self) -> Option<UtcNanos> {
        let stream = self.stream.as_ref()?;
        let sample = stream.settled_sample().saturating_sub(stream.origin) as f64;
        Some(stream.origin_time?.plus_seconds(sample / stream.rate.0))
    }

    /// What the tile history of the present tuning holds after `after`, oldest first: a spectrogram, from which no content
    /// can be had.
    pub fn tiles_after(&self, after: Option<UtcNanos>) -> Option<Tiles> {
        self.stream.as_ref()?.tiles_after(after)
    }

    /// The same for every tuning, the present one last, over as many visits as the history is long. `after` is asked with
    /// each centre.
    pub fn tiles_of_all(&self, after: impl Fn(Hertz) -> Option<UtcNanos>) -> Vec<Tiles> {
        let streams = self.parked.iter().chain(&self.stream);
        streams.filter_map(|s| s.tiles_after(after(s.center))).collect()
    }

    /// What the detector has learned, to be written out.
    pub fn state(&self) -> DetectorState {
        let (mut floors, mut base_stations) = (self.remembered.clone(), self.base_stations.clone());
        for stream in self.parked.iter().chain(&self.stream) {
            stream.remember(&mut floors);
            base_stations.extend_from_slice(stream.carriers.known());
        }
        DetectorState { version: DetectorState::VERSION, sensor: self.sensor.to_string(), floors, base_stations }
    }

    /// Goes on from what was written out. Floors count for streams at the same centre and rate, base stations wherever they are
    /// heard.
    pub fn restore(&mut self, state: DetectorState) {
        self.remembered = state.floors;
        self.base_stations = state.base_stations.into_iter().filter(LearnedPrach::is_possible).collect();
    }

    /// Tells it of base stations, before samples come.
    pub fn teach(&mut self, base_stations: &[KnownPrach]) {
        base_stations.iter().for_each(|b| b.teach(&mut self.base_stations));
    }

    /// Mean level between two frequencies over the last visit of the tuning at `center`, noise included, in dBFS; none if
    /// it was never there, or hears only a part of that.
    pub fn level_of_last_visit(&self, center: Hertz, low_hz: f64, high_hz: f64) -> Option<f64> {
        let mut streams = self.stream.iter().chain(self.parked.iter().rev());
        streams.find(|s| s.center == center)?.level_of_last_visit(low_hz, high_hz)
    }

    /// Answers a question about the level in a band over a time, from the tile history.
    pub fn level(&self, request: &LevelRequest) -> LevelAnswer {
        let found = self.stream.as_ref().and_then(|s| s.level(request));
        LevelAnswer {
            request: request.clone(),
            power_dbfs: found.map(|(power, _)| db(power)),
            noise_dbfs: found.map(|(_, noise)| db(noise)),
        }
    }
}

impl Classifiers {
    /// Whether a faint preamble is none that was found before and nothing that one makes; remembers it. What began before sample
    /// `old` is forgotten.
    fn is_new_faint(&mut self, found: &Proposal, old: f64) -> bool {
        self.recent_prach.retain(|p| p.start > old);
        let is_new = !self.recent_prach.iter().any(|p| same_emission(p, found) || is_of(found, p));
        if is_new {
            self.recent_prach.push(found.clone());
        }
        is_new
    }
}

impl Stream {
    fn new(
        block: &IqBlock,
        config: &DetectConfig,
        remembered: &[FloorState],
        base_stations: &mut Vec<LearnedPrach>,
    ) -> Self {
        let (rate, center) = (block.rate.0, block.center.0);
        let geometry = FrameGeometry::for_rate(rate);
        let n = geometry.n_fft;
        let tile_s = (TileRing::FRAMES * geometry.hop) as f64 / rate;
        let mut floor = FloorTracker::new(n, quantisation_density(block.format, rate));
        if let Some(known) = remembered.iter().find(|f| f.fits(block.center, block.rate, n)) {
            floor.restore(&known.density);
        }
        let has_grid = config.grid && config.depth != Depth::Energy;
        let reach_hz = rate / 2.0;
        let is_inside = |b: &LearnedPrach| (b.center_hz - center).abs() < reach_hz;
        let (own, others) = std::mem::take(base_stations).into_iter().partition(is_inside);
        *base_stations = others;
        Self {
            format: block.format,
            rate: block.rate,
            center: block.center,
            geometry,
            origin: block.start.0,
            lost_before: block.lost_before,
            origin_time: block.time,
            visits: VecDeque::with_capacity(VISITS_MOST),
            frames_done: 0,
            is_at_rest: false,
            ring: SampleRing::new(block.format, block.start.0, ((HELD_S + INCOMING_S) * rate) as usize),
            tiles: TileRing::new(n, (config.tile_history_s / tile_s) as usize),
            workers: vec![PowerSpectrum::new(n, rate); TASKS],
            rows: Vec::with_capacity(geometry.chunk_frames * n),
            floor,
            noise: NoiseFloor { center_hz: center, rate_hz: rate, density: vec![0.0; n] },
            segmenter: Segmenter::new(geometry, rate, center, config),
            pending: Vec::with_capacity(256),
            gate: if config.depth == Depth::Energy { None } else { PreambleGate::new(geometry, rate) },
            hints: Vec::with_capacity(16),
            faint: Vec::with_capacity(64),
            deep: if config.depth == Depth::Full { DeepSearch::new(rate) } else { None },
            deep_next: 0,
            carriers: Carriers::from_known(own),
            occasions_next: 0,
            places_skipped: 0,
            grid: has_grid.then(|| GridSearch::new(geometry, rate, center)),
            pulses: if has_grid { PulseSearch::new(geometry, rate, center) } else { None },
            held: Vec::new(),
            classifiers: Classifiers {
                gsm: GsmClassifier::new(rate, center),
                prach: PrachSearch::new(rate),
                shared: SharedChannelClassifier::new(rate),
                iq: Vec::new(),
                recent_prach: Vec::new(),
            },
        }
    }

    fn noise_dbfs_per_hz(&self) -> Option<f64> {
        self.floor.is_known().then(|| middle_dbfs_per_hz(self.floor.floor()))
    }

    fn tiles_after(&self, after: Option<UtcNanos>) -> Option<Tiles> {
        let (now, rate_hz) = ((self.origin, self.origin_time?), self.rate.0);
        let visits = || self.visits.iter().copied().chain([now]).rev();
        let first = self.visits.front().copied().unwrap_or(now);
        // A time between two visits is before the later one's first sample, whatever the count of samples says.
        let mut until = u64::MAX;
        let mut within = |after: UtcNanos, (origin, time): (u64, UtcNanos)| {
            let sample = origin + (after.seconds_since(time).max(0.0) * rate_hz).round() as u64;
            let found = (time <= after).then_some(sample.min(until));
            until = origin;
            found
        };
        let sample = after.and_then(|after| visits().find_map(|v| within(after, v))).unwrap_or(first.0);
        let utc = |at: u64| {
            let (origin, time) = visits().find(|(origin, _)| *origin <= at).unwrap_or(first);
            time.plus_seconds(at.saturating_sub(origin) as f64 / rate_hz)
        };
        Some(Tiles {
            center: self.center,
            rate: self.rate,
            bin_hz: rate_hz / self.geometry.n_fft as f64,
            row_s: (TileRing::FRAMES * self.geometry.hop) as f64 / rate_hz,
            floor: self.floor.floor().to_vec(),
            rows: self.tiles.rows_after(Some(sample)).map(|(at, row)| (utc(at), row)).collect(),
        })
    }

    fn is_tuned_as(&self, block: &IqBlock) -> bool {
        block.rate == self.rate && block.center == self.center && block.format == self.format
    }

    /// Whether nothing is missing before a block that is tuned alike.
    fn continues_with(&self, block: &IqBlock) -> bool {
        !self.is_at_rest && self.comes_before(block)
    }

    fn goes_on_from_rest_with(&self, block: &IqBlock) -> bool {
        self.is_at_rest && self.comes_before(block)
    }

    fn comes_before(&self, block: &IqBlock) -> bool {
        block.gaps_before.is_empty() && block.start.0 == self.ring.end() && block.lost_before == self.lost_before
    }

    /// Goes on behind a break with the same floor. Nothing is made anew: whoever loses samples because it is too slow must
    /// not become slower by it.
    fn begin_at(&mut self, block: &IqBlock) {
        self.tiles.clear();
        self.visits.clear();
        self.begin(block);
    }

    /// Goes on where the receiver comes back to, with the tiles of its visits before.
    fn come_back_at(&mut self, block: &IqBlock) {
        if self.visits.len() == VISITS_MOST {
            self.visits.pop_front();
        }
        self.visits.extend(self.origin_time.map(|time| (self.origin, time)));
        self.begin(block);
        let oldest = self.tiles.first().unwrap_or(self.origin);
        while self.visits.get(1).map_or(self.origin, |next| next.0) <= oldest && self.visits.pop_front().is_some() {}
    }

    fn begin(&mut self, block: &IqBlock) {
        self.origin = block.start.0;
        self.lost_before = block.lost_before;
        self.origin_time = block.time;
        self.frames_done = 0;
        self.is_at_rest = false;
        self.ring.begin_at(block.start.0);
        self.gate.iter_mut().for_each(PreambleGate::begin);
        self.grid.iter_mut().for_each(GridSearch::begin);
        self.pulses.iter_mut().for_each(PulseSearch::begin);
        self.faint.clear();
        (self.deep_next, self.occasions_next) = (0, 0);
        self.classifiers.recent_prach.clear();
    }

    /// The clock of a stream that lasts for weeks is set anew by its source; what a recording rounds is no such step.
    fn keep_time(&mut self, block: &IqBlock) {
        if let (Some(origin), Some(time)) = (self.origin_time, block.time) {
            let expected = origin.plus_seconds((block.start.0 - self.origin) as f64 / self.rate.0);
            let off_s = time.seconds_since(expected);
            if off_s.abs() > CLOCK_STEP_S {
                self.origin_time = Some(origin.plus_seconds(off_s));
            }
        }
    }

    /// The first sample of the recording at which something may begin that was not reported yet.
    fn settled_sample(&self) -> u64 {
        let grid = self.grid.as_ref().map_or(u64::MAX, GridSearch::open_since);
        let open = self.frame_start(self.segmenter.open_since().min(grid));
        let waiting = self.waiting().map_or(u64::MAX, |s| s + self.origin);
        let held = self.held.iter().map(|p| p.start as u64).min().unwrap_or(u64::MAX);
        // A preamble is found from pieces that begin after it.
        open.min(waiting).min(held).saturating_sub((MARGIN_S * self.rate.0) as u64)
    }

    fn frame_start(&self, frame: u64) -> u64 {
        self.origin + frame * self.geometry.hop as u64
    }

    /// The sample of the recording before which what came in may be looked at: `all` of it, or what was worked on.
    fn known(&self, all: bool) -> u64 {
        if all { self.ring.end() } else { self.frame_start(self.frames_done) }
    }

    /// Whole frames that the ring holds and that were not worked on.
    fn frames_available(&self) -> u64 {
        let from = self.frame_start(self.frames_done);
        let n = self.geometry.n_fft as u64;
        let held = self.ring.end().saturating_sub(from);
        if held < n { 0 } else { (held - n) / self.geometry.hop as u64 + 1 }
    }

    /// The next `frames` frames: rows, floor, segments.
    fn work(&mut self, frames: usize, costs: &mut StageCosts) {
        let began = Instant::now();
        let n = self.geometry.n_fft;
        let hop = self.geometry.hop;
        let size = self.format.bytes_per_sample();
        let from = self.frame_start(self.frames_done);
        let bytes = self.ring.slice(from, from + ((frames - 1) * hop + n) as u64);
        self.rows.resize(frames * n, 0.0);
        let task = frames.div_ceil(TASKS);
        let format = self.format;
        let make = |(index, (rows, worker)): (usize, (&mut [f32], &mut PowerSpectrum))| {
            for (i, row) in rows.chunks_exact_mut(n).enumerate() {
                let at = (index * task + i) * hop * size;
                worker.process(format, &bytes[at..at + n * size], row);
            }
        };
        if rayon::current_num_threads() > 1 {
            self.rows.par_chunks_mut(task * n).zip(self.workers.par_iter_mut()).enumerate().for_each(make);
        } else {
            self.rows.chunks_mut(task * n).zip(self.workers.iter_mut()).enumerate().for_each(make);
        }
        let made = Instant::now();
        costs.spectrum += made - began;
        self.tiles.push(&self.rows, from + (n / 2) as u64, hop);
        self.floor.update(&self.rows);
        self.noise.density.copy_from_slice(self.floor.floor());
        let floored = Instant::now();
        costs.floor += floored - made;
        let before = self.pending.len();
        self.segmenter.process(&self.rows, self.floor.floor(), &mut self.pending);
        if let Some(pulses) = &mut self.pulses {
            pulses.process(&self.rows, self.floor.floor(), &mut self.pending);
        }
        if let Some(grid) = &mut self.grid {
            grid.process(&self.rows, self.floor.floor(), before, self.segmenter.open_since(), &mut self.pending);
        }
        self.follow_gate();
        costs.segment += floored.elapsed();
        self.frames_done += frames as u64;
    }

    /// Where the gate says that a faint preamble may be.
    fn follow_gate(&mut self) {
        let Some(gate) = &mut self.gate else { return };
        gate.process(&self.rows, self.floor.floor(), &mut self.hints);
        let hop = self.geometry.hop as u64;
        let count = gate.window_frames() as u64 * hop;
        // A frame speaks for the hop in its middle.
        let middle = (self.geometry.n_fft as u64 - hop) / 2;
        let faint = |h: Hint| Faint { start: h.frame * hop + middle, count, center_hz: self.center.0 + h.offset_hz };
        self.faint.extend(self.hints.drain(..).map(faint));
    }

    /// Looks for the faint preambles of which enough samples are there, and all that stands out around them is judged: what is no more
    /// than a part of that is known then.
    fn search_faint(&mut self, sensor: &Arc<str>, swapped: &mut SwapTest, all: bool, out: &mut Vec<Burst>) {
        let margin = (FAINT_MARGIN_S * self.rate.0) as u64;
        let known = self.known(all);
        let judged = self.judged(known);
        let mut waiting = std::mem::take(&mut self.faint);
        waiting.retain(|&Faint { start, count, center_hz }| {
            let (from, to) = (self.origin + start, self.origin + start + count);
            if to + margin > judged && !all {
                return true;
            }
            let parts = &mut self.classifiers;
            let Some(prach) = &mut parts.prach else { return false };
            let (begin, end) = (from.saturating_sub(margin).max(self.ring.first()), (to + margin).min(known));
            let is_known = |p: &Proposal| {
                p.start < to as f64 && from as f64 <= p.start + p.count && p.low_hz < center_hz && center_hz < p.high_hz
            };
            if begin >= end || parts.recent_prach.iter().any(is_known) {
                return false;
            }
            parts.iq.resize((end - begin) as usize, Complex32::ZERO);
            convert(self.format, self.ring.slice(begin, end), &mut parts.iq);
            let snippet = Snippet { iq: &parts.iq, start: begin, rate_hz: self.rate.0, center_hz: self.center.0 };
            let Some(mut found) = prach.search_faint(&snippet, &self.noise, from, center_hz) else { return false };
            if parts.is_new_faint(&found, begin as f64 - 0.1 * self.rate.0) {
                self.learn(&mut found, swapped);
                out.push(self.burst(found, sensor));
            }
            false
        });
        self.faint = waiting;
    }

    /// What its gate, its grid and its base stations pointed at beyond their budgets.
    fn places_skipped(&self) -> u64 {
        let gate = self.gate.as_ref().map_or(0, PreambleGate::skipped);
        let grid = self.grid.as_ref().map_or(0, GridSearch::overlooked);
        self.places_skipped + gate + grid + self.pulses.as_ref().map_or(0, PulseSearch::overlooked)
    }

    /// Where the searches of every place and of base stations' occasions go on, from the origin.
    fn searches_next(&self) -> impl Iterator<Item = u64> + '_ {
        let deep = self.deep.iter().map(|_| self.deep_next);
        deep.chain(self.carriers.is_any_timed().then_some(self.occasions_next))
    }

    /// The first sample, from the origin, of what waits to be judged or searched.
    fn waiting(&self) -> Option<u64> {
        let segments = self.pending.iter().map(|s| s.region.start);
        segments.chain(self.faint.iter().map(|f| f.start)).chain(self.searches_next()).min()
    }

    /// Seconds of the stream at a sample of the recording, what was lost included: the receiver's own clock.
    fn seconds_at(&self, sample: f64) -> f64 {
        (sample + self.lost_before as f64) / self.rate.0
    }

    /// Looks at the occasions of base stations whose subframes are known, as far as all that stands out is judged.
    fn search_occasions(
        &mut self,
        sensor: &Arc<str>,
        search_cores: f64,
        swapped: &mut SwapTest,
        all: bool,
        out: &mut Vec<Burst>,
    ) {
        let rate = self.rate.0;
        let margin = (FAINT_MARGIN_S * rate) as u64;
        let known = self.known(all);
        let end = if all { known } else { self.judged_or_old(known).saturating_sub(2 * margin) };
        let begin = (self.origin + self.occasions_next).max(self.ring.first() + margin);
        if end <= begin {
            return;
        }
        self.occasions_next = end - self.origin;
        let (from_s, to_s) = (self.seconds_at(begin as f64), self.seconds_at(end as f64));
        let Some(prach) = &self.classifiers.prach else { return };
        let cores_of = |roots: usize| prach.seconds_of_occasion(roots);
        // Put back before anything is learned.
        let carriers = std::mem::take(&mut self.carriers);
        let (occasions, skipped) = carriers.occasions((from_s, to_s), search_cores, cores_of);
        self.places_skipped += skipped;
        let mut heard: Vec<Proposal> = Vec::new();
        for occasion in occasions {
            let start = occasion.start_s * rate - self.lost_before as f64;
            let base_station = occasion.base_station;
            let parts = &mut self.classifiers;
            let is_known = |p: &Proposal| {
                (p.start - start).abs() < 0.9e-3 * rate && (p.low_hz..p.high_hz).contains(&base_station.center_hz)
            };
            let Some(prach) = &mut parts.prach else { break };
            if parts.recent_prach.iter().any(is_known) {
                continue;
            }
            let first = (start as u64).saturating_sub(margin).max(self.ring.first());
            let last = (start as u64 + 2 * margin).min(known);
            parts.iq.resize((last - first) as usize, Complex32::ZERO);
            convert(self.format, self.ring.slice(first, last), &mut parts.iq);
            let snippet = Snippet { iq: &parts.iq, start: first, rate_hz: rate, center_hz: self.center.0 };
            let place = (start, occasion.sigma_s * rate);
            let sighting = prach.sight_known(&snippet, &self.noise, base_station, place, &occasion.roots);
            let found = sighting.and_then(|s| prach.propose_known(&s, &snippet, &self.noise, base_station));
            heard.extend(found.filter(|f| parts.is_new_faint(f, first as f64 - 0.1 * rate)));
        }
        self.carriers = carriers;
        for mut found in heard {
            self.learn(&mut found, swapped);
            out.push(self.burst(found, sensor));
        }
    }

    /// What a proposal says of the stream, and the stream of it.
    fn learn(&mut self, found: &mut Proposal, swapped: &SwapTest) {
        swapped.doubt(found);
        if swapped.takes(found.start.max(0.0) as u64, found.count as u64) {
            self.hear(found);
        }
    }

    /// Learns from a preamble, and takes what was learned before to its start.
    fn hear(&mut self, found: &mut Proposal) {
        let (Some(root), Some(format)) = (found.detail.root, found.detail.format) else { return };
        if found.standard != Standard::Lte || found.llr() < LEARNED_LLR {
            return;
        }
        let noise = self.noise.power(found.low_hz, found.high_hz).max(f64::MIN_POSITIVE);
        let (start_s, sigma_s) = (self.seconds_at(found.start), start_sigma_s(found.power / noise));
        let center_hz = (found.low_hz + found.high_hz) / 2.0;
        let believed = self.carriers.hear(&HeardPreamble { start_s, sigma_s, center_hz, root, format });
        found.start += (believed.start_s - start_s) * self.rate.0;
        if believed.format != format {
            found.detail.format = Some(believed.format);
            found.count = PRACH_FORMATS[usize::from(believed.format)].seconds() * self.rate.0;
        }
    }

    /// The sample of the recording before which all that stands out is judged, of those that are `known`.
    fn judged(&self, known: u64) -> u64 {
        let pending = self.pending.iter().map(|s| s.region.start + self.origin).min().unwrap_or(u64::MAX);
        self.frame_start(self.segmenter.open_since()).min(pending).min(known)
    }

    /// The same; but what is open for long is waited for no longer than its samples are kept.
    fn judged_or_old(&self, known: u64) -> u64 {
        self.judged(known).max(known.saturating_sub((HELD_S * self.rate.0) as u64 / 2))
    }

    /// Looks everywhere for preambles that hardly show, as far as all that stands out is judged.
    fn search_everywhere(&mut self, sensor: &Arc<str>, swapped: &mut SwapTest, all: bool, out: &mut Vec<Burst>) {
        let Some(deep) = &self.deep else { return };
        let (step, window, margin) = (deep.step(), deep.window(), (FAINT_MARGIN_S * self.rate.0) as u64);
        let known = self.known(all);
        let end = if all { known } else { self.judged_or_old(known).saturating_sub(margin) };
        let first = (self.origin + self.deep_next).max(self.ring.first().next_multiple_of(step));
        let count = (end + step).saturating_sub(first + window) / step;
        if count == 0 {
            return;
        }
        let (from, to) = (first.saturating_sub(margin).max(self.ring.first()), (end + margin).min(known));
        let parts = &mut self.classifiers;
        parts.iq.resize((to - from) as usize, Complex32::ZERO);
        convert(self.format, self.ring.slice(from, to), &mut parts.iq);
        let snippet = Snippet { iq: &parts.iq, start: from, rate_hz: self.rate.0, center_hz: self.center.0 };
        let mut found = Vec::new();
        if let Some(deep) = &mut self.deep {
            deep.search(&snippet, &self.noise, (first, count as usize), &mut found);
        }
        self.deep_next = first + count * step - self.origin;
        for mut proposal in found {
            if self.classifiers.is_new_faint(&proposal, from as f64 - 0.1 * self.rate.0) {
                self.learn(&mut proposal, swapped);
                out.push(self.burst(proposal, sensor));
            }
        }
    }

    /// Lets go of faint energy where no preamble is sought any more, unless it is one.
    fn release_held(&mut self, sensor: &Arc<str>, all: bool, out: &mut Vec<Burst>) {
        let searched = self.searches_next().min().unwrap_or(u64::MAX);
        let waits = |p: &Proposal| {
            let (start, end) = (p.start - self.origin as f64, p.start + p.count - self.origin as f64);
            let is_hinted = |f: &Faint| (f.start as f64) < end && start < (f.start + f.count) as f64;
            !all && (end > searched as f64 || self.faint.iter().any(is_hinted))
        };
        let (waiting, free): (Vec<_>, Vec<_>) = self.held.drain(..).partition(waits);
        self.held = waiting;
        let known = &self.classifiers.recent_prach;
        let free = free.into_iter().filter(|p| !known.iter().any(|q| same_emission(p, q)));
        for p in free.collect::<Vec<_>>() {
            out.push(self.burst(p, sensor));
        }
    }

    /// Judges the clusters of segments that are complete.
    fn classify(
        &mut self,
        sensor: &Arc<str>,
        config: &DetectConfig,
        costs: &mut StageCosts,
        swapped: &mut SwapTest,
        all: bool,
        out: &mut Vec<Burst>,
    ) {
        let began = Instant::now();
        let rate = self.rate.0;
        let gap = (CLUSTER_GAP_S * rate) as u64;
        let margin = (MARGIN_S * rate) as u64;
        let longest = (CLUSTER_LONGEST_S * rate) as u64;
        self.pending.sort_by(|a, b| {
            (a.region.start, a.region.count)
                .cmp(&(b.region.start, b.region.count))
                .then(a.region.low_hz.total_cmp(&b.region.low_hz))
        });
        let seen = self.frame_start(self.frames_done) - self.origin;
        let mut from = 0;
        while from < self.pending.len() {
            let mut to = from;
            let mut end = self.pending[from].region.start;
            let start = end;
            while to < self.pending.len()
                && self.pending[to].region.start <= end + gap
                && self.pending[to].region.start - start <= longest
            {
                end = end.max(self.pending[to].region.start + self.pending[to].region.count);
                to += 1;
            }
            // A segment that is still going on may belong to the cluster: wait a margin for it.
            let complete = all || end + 2 * margin <= seen || (seen - start) > 2 * longest;
            if !complete {
                break;
            }
            let cluster: Vec<Segment> = self.pending[from..to].to_vec();
            self.classify_cluster(&cluster, sensor, config, swapped, all, out);
            from = to;
        }
        self.pending.drain(..from);
        self.search_faint(sensor, swapped, all, out);
        self.search_everywhere(sensor, swapped, all, out);
        self.search_occasions(sensor, config.search_cores, swapped, all, out);
        self.release_held(sensor, all, out);
        costs.classify += began.elapsed();
    }

    fn classify_cluster(
        &mut self,
        cluster: &[Segment],
        sensor: &Arc<str>,
        config: &DetectConfig,
        swapped: &mut SwapTest,
        all: bool,
        out: &mut Vec<Burst>,
    ) {
        let margin = (MARGIN_S * self.rate.0) as u64;
        // Regions count from the stream's origin; samples and proposals from the recording's start.
        let moved = |s: &Segment| Segment { region: Region { start: s.region.start + self.origin, ..s.region }, ..*s };
        let (glimpses, cluster): (Vec<Segment>, Vec<Segment>) = cluster.iter().map(moved).partition(|s| s.is_glimpse);
        let pieces: Vec<Segment> = cluster.iter().filter(|s| !s.is_faint).copied().collect();
        let cluster = whole_ones(&cluster, self.rate.0);
        let all_of_it = || cluster.iter().chain(&glimpses).map(|s| &s.region);
        let first = all_of_it().map(|r| r.start).min().unwrap_or(self.origin);
        let last = all_of_it().map(|r| r.start + r.count).max().unwrap_or(first);
        let from = first.saturating_sub(margin).max(self.ring.first());
        let known = self.known(all);
        let to = (last + margin).min(known);
        let mut proposals: Vec<Proposal> = Vec::new();
        let energy_only = config.depth == Depth::Energy || from >= to;
        let mut claimed = vec![energy_only; cluster.len()];
        if !energy_only {
            let format = self.format;
            let bytes = self.ring.slice(from, to);
            let parts = &mut self.classifiers;
            parts.iq.resize((to - from) as usize, Complex32::ZERO);
            convert(format, bytes, &mut parts.iq);
            let snippet = Snippet { iq: &parts.iq, start: from, rate_hz: self.rate.0, center_hz: self.center.0 };
            classify_gsm(&mut parts.gsm, &cluster, &mut claimed, &snippet, &self.noise, &mut proposals);
            let regions = cluster.iter().filter(|s| !s.is_continuous()).map(|s| s.region);
            swapped.observe_gsm(&mut parts.gsm, regions, &proposals, &snippet, &self.noise, margin);
            // A preamble of which no piece shows is the gate's to find.
            let shows = |s: &Segment| pieces.iter().any(|p| common_area(&p.region, &s.region) > 0.0);
            let open = cluster.iter().zip(&claimed).filter(|(s, c)| !**c && !s.is_continuous());
            let open = open.map(|(s, _)| s).filter(|s| !s.is_faint || shows(s));
            let busy = busy_stretches(open.chain(&glimpses), self.rate.0);
            if let Some(prach) = parts.prach.as_mut().filter(|_| !busy.is_empty()) {
                let before = proposals.len();
                prach.search(&snippet, &self.noise, &busy, &mut proposals);
                let found = proposals.split_off(before);
                for p in found {
                    let again = parts.recent_prach.iter().any(|q| same_emission(&p, q));
                    if !again {
                        parts.recent_prach.push(p.clone());
                        proposals.push(p);
                    }
                }
                let old = from as f64 - 0.1 * self.rate.0;
                parts.recent_prach.retain(|p| p.start > old);
                for (segment, claimed) in cluster.iter().zip(&mut claimed) {
                    *claimed |= parts.recent_prach.iter().any(|p| share_inside(&segment.region, p) > 0.6);
                }
            }
            for (segment, claimed) in cluster.iter().zip(&mut claimed) {
                // A copy of a strong neighbour's prefix is in its skirt as well.
                if *claimed || segment.is_continuous() || in_a_skirt(&segment.region, &cluster) {
                    continue;
                }
                let before = proposals.len();
                let near = snippet.around(&segment.region, margin);
                let counts = swapped.takes(segment.region.start, segment.region.count);
                parts.shared.compare_references(!swapped.is_settled() && counts);
                parts.shared.classify(&segment.region, &near, &self.noise, &mut proposals);
                *claimed = proposals.len() > before;
            }
            parts.shared.take_references().for_each(|fit| swapped.observe_reference(&fit));
        }
        drop_doubles(&mut proposals);
        drop_skirts(&mut proposals);
        let is_known = |s: &Segment| proposals.iter().any(|p| share_inside(&s.region, p) > 0.3);
        let faint = cluster.iter().zip(&claimed).filter(|(s, c)| s.is_faint && !**c && !is_known(s));
        // The grid left out what is a skirt: a strong phone hides no faint one elsewhere.
        self.held.extend(faint.filter_map(|(s, _)| leftover::judge_faint(s, self.rate.0)).map(|mut p| {
            swapped.doubt(&mut p);
            p
        }));
        for (segment, &claimed) in cluster.iter().zip(&claimed).filter(|(s, _)| !s.is_faint) {
            if (energy_only || !claimed) && !in_a_skirt(&segment.region, &cluster) {
                proposals.extend(leftover::judge(segment, self.rate.0));
            }
        }
        proposals.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.low_hz.total_cmp(&b.low_hz)));
        for mut proposal in proposals {
            self.learn(&mut proposal, swapped);
            out.push(self.burst(proposal, sensor));
        }
    }

    /// A proposal with the stream's clock and floor put to it.
    fn burst(&self, p: Proposal, sensor: &Arc<str>) -> Burst {
        let rate = self.rate.0;
        let start = p.start.max(self.origin as f64);
        let offset_s = (start - self.origin as f64) / rate;
        let middle = (p.low_hz + p.high_hz) / 2.0;
        let band = match p.standard {
            Standard::Gsm => band::gsm_channel(middle).map(|c| c.band),
            _ => band::lte_band(middle),
        };
        let noise = self.noise.power(p.low_hz, p.high_hz).max(1e-30);
        let confidence = if p.standard == Standard::Other { 0.01 } else { burst_confidence(p.llr()) };
        Burst {
            sensor: Arc::clone(sensor),
            time: self.origin_time.map(|t| t.plus_seconds(offset_s)),
            start_s: (start + self.lost_before as f64) / rate,
            duration_s: p.count / rate,
            sample_start: start.round() as u64,
            sample_count: p.count.round().max(1.0) as u64,
            freq_lower_hz: p.low_hz,
            freq_upper_hz: p.high_hz,
            standard: p.standard,
            kind: p.kind,
            band: band.map(str::to_owned),
            channel: p.channel,
            carrier_offset_hz: p.carrier_offset_hz,
            power_dbfs: db(p.power),
            snr_db: db(p.power / noise),
            confidence,
            standard_confidence: p.standard_confidence,
            detail: p.detail,
        }
    }

    /// Lets go of samples that nothing can ask for any more.
    fn forget(&mut self) {
        let margin = ((MARGIN_S + 14e-3) * self.rate.0) as u64;
        let next = self.frame_start(self.frames_done);
        let oldest = self.waiting().map_or(next, |start| start + self.origin).min(next);
        let bound = next.saturating_sub((HELD_S * self.rate.0) as u64);
        self.ring.forget_before(oldest.saturating_sub(margin).max(bound));
    }

    fn remember(&self, floors: &mut Vec<FloorState>) {
        if !self.floor.is_known() {
            return;
        }
        floors.retain(|f| !f.fits(self.center, self.rate, self.geometry.n_fft));
        floors.push(FloorState { center: self.center, rate: self.rate, density: self.floor.floor().to_vec() });
    }

    fn bin_hz(&self) -> f64 {
        self.rate.0 / self.geometry.n_fft as f64
    }

    /// The bin that a frequency begins, 0 for all below.
    fn bin(&self, hz: f64) -> usize {
        ((hz - self.center.0) / self.bin_hz() + self.geometry.n_fft as f64 / 2.0 + 0.5).max(0.0) as usize
    }

    fn level_of_last_visit(&self, low_hz: f64, high_hz: f64) -> Option<f64> {
        let reach_hz = self.rate.0 / 2.0;
        if low_hz < self.center.0 - reach_hz || high_hz > self.center.0 + reach_hz {
            return None;
        }
        let (low, high) = (self.bin(low_hz), self.bin(high_hz));
        self.tiles.level(self.origin, u64::MAX, low, high, self.bin_hz()).map(|level| db(level.power))
    }

    fn level(&self, request: &LevelRequest) -> Option<(f64, f64)> {
        let rate = self.rate.0;
        let since = request.time.seconds_since(self.origin_time?);
        let at = |s: f64| (self.origin as f64 + s * rate).max(0.0) as u64;
        let (low, high) = (self.bin(request.freq_lower_hz), self.bin(request.freq_upper_hz));
        let bin_hz = self.bin_hz();
        // Before this visit the count of samples is no clock.
        let from = at(since).max(self.origin);
        let level = self.tiles.level(from, at(since + request.duration_s), low, high, bin_hz)?;
        Some((level.power, self.noise.power(request.freq_lower_hz, request.freq_upper_hz)))
    }
}

fn noise_of(state: &FloorState) -> f64 {
    middle_dbfs_per_hz(&state.density)
}

/// Off the carrier's own leakage at zero, and off the filter's edges.
fn middle_dbfs_per_hz(density: &[f32]) -> f64 {
    db(f64::from(density[density.len() / 4]))
}

/// Stretches in which a preamble may lie: unclaimed segments and half a preamble around each. A preamble of some roots is a
/// chirp or several, of which a weak one shows only pieces.
fn busy_stretches<'a>(open: impl Iterator<Item = &'a Segment>, rate_hz: f64) -> Vec<(u64, u64)> {
    let half = (0.45e-3 * rate_hz) as u64;
    let around = |s: &Segment| (s.region.start.saturating_sub(half), s.region.start + s.region.count + half);
    let mut stretches: Vec<(u64, u64)> = open.map(around).collect();
    stretches.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (start, end) in stretches {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// The segments without the splinters of larger ones.
///
/// While an emission fills or leaves the smoothing window, runs split off at its edges. They lie in its
/// band and within 0.35 ms of it, are no stronger, and less than half of it. Of a faint emission, clear segments are
/// pieces where they are less than three quarters of it, else they show it; what is hardly clear is a piece in any case.
fn whole_ones(cluster: &[Segment], rate_hz: f64) -> Vec<Segment> {
    let area = |r: &Region| r.count as f64 * (r.high_hz - r.low_hz);
    let before = 0.2e-3 * rate_hz;
    let after = 0.35e-3 * rate_hz;
    let is_clear = |s: &Segment| !s.is_faint && s.region.snr_db >= CLEAR_DB;
    let is_splinter = |s: &Segment, of: &Segment| {
        let is_piece = of.is_faint && !s.is_faint && !is_clear(s);
        if s.is_faint && !of.is_faint && !is_clear(of) {
            return false;
        }
        let least = if of.is_faint { 4.0 / 3.0 } else { 2.0 };
        let (s, of) = (&s.region, &of.region);
        let (start, end) = (s.start as f64, (s.start + s.count) as f64);
        let (from, to) = (of.start as f64 - before, (of.start + of.count) as f64 + after);
        let band = s.high_hz.min(of.high_hz + 40e3) - s.low_hz.max(of.low_hz - 40e3);
        (is_piece || area(of) > least * area(s))
            && end.min(to) - start.max(from) > 0.9 * (end - start)
            && band > 0.7 * (s.high_hz - s.low_hz)
            && (is_piece || s.snr_db < of.snr_db + 3.0)
    };
    let is_shown = |s: &Segment| {
        let clear = cluster.iter().filter(|of| is_clear(of));
        s.is_faint && clear.map(|of| common_area(&s.region, &of.region)).sum::<f64>() > 0.75 * area(&s.region)
    };
    let whole: Vec<Segment> = cluster.iter().filter(|s| !is_shown(s)).copied().collect();
    whole.iter().filter(|s| !whole.iter().any(|of| is_splinter(s, of))).copied().collect()
}

/// Area that two regions share, in samples and hertz.
fn common_area(a: &Region, b: &Region) -> f64 {
    let time = (a.start + a.count).min(b.start + b.count).saturating_sub(a.start.max(b.start));
    time as f64 * (a.high_hz.min(b.high_hz) - a.low_hz.max(b.low_hz)).max(0.0)
}

/// GSM first: its training sequences are the surest proof, and its bursts the narrowest.
fn classify_gsm(
    gsm: &mut GsmClassifier,
    cluster: &[Segment],
    claimed: &mut [bool],
    snippet: &Snippet<'_>,
    noise: &NoiseFloor,
    proposals: &mut Vec<Proposal>,
) {
    gsm.begin();
    for (segment, claimed) in cluster.iter().zip(claimed) {
        let region = &segment.region;
        let middle = (region.low_hz + region.high_hz) / 2.0;
        if segment.is_continuous() || band::gsm_channel(middle).is_none() {
            continue;
        }
        let before = proposals.len();
        gsm.classify(region, snippet, noise, proposals);
        let width = region.high_hz - region.low_hz;
        let seconds = region.count as f64 / snippet.rate_hz;
        if proposals.len() == before && (280e3..1.3e6).contains(&width) && is_slots_long(seconds) {
            // Neighbouring channels at once look like one region: ask for each of them.
            let mut channel = (region.low_hz / 200e3).floor() * 200e3;
            while channel < region.high_hz {
                if let Some(c) = band::gsm_channel(channel) {
                    let part = Region { low_hz: c.center_hz - 100e3, high_hz: c.center_hz + 100e3, ..*region };
                    gsm.classify(&part, snippet, noise, proposals);
                }
                channel += 200e3;
            }
        }
        *claimed = proposals.len() > before;
    }
}

/// Whether a region's length is that of an access burst, or of whole slots less the guard period.
fn is_slots_long(seconds: f64) -> bool {
    const ACCESS_S: f64 = gsm::ACCESS_BURST_SYMBOLS as f64 / gsm::SYMBOL_RATE;
    const NORMAL_S: f64 = gsm::NORMAL_BURST_SYMBOLS as f64 / gsm::SYMBOL_RATE;
    const SLOT_S: f64 = gsm::SLOT_SYMBOLS / gsm::SYMBOL_RATE;
    let slots = ((seconds - NORMAL_S) / SLOT_S).round().max(0.0);
    (seconds - ACCESS_S).abs() < 35e-6 || (seconds - NORMAL_S - slots * SLOT_S).abs() < 60e-6
}

/// Share of a region's area that lies in a proposal's box, widened by 100 µs-ish rounding of edges.
fn share_inside(region: &Region, p: &Proposal) -> f64 {
    let (start, end) = (region.start as f64, (region.start + region.count) as f64);
    let slack = 0.1 * p.count;
    let time = (end.min(p.start + p.count + slack) - start.max(p.start - slack)).max(0.0) / (end - start);
    let band = (region.high_hz.min(p.high_hz + 60e3) - region.low_hz.max(p.low_hz - 60e3)).max(0.0)
        / (region.high_hz - region.low_hz);
    time * band
}

/// Whether a faint preamble is what another is or makes: a part of it or beside its band, with its root, or what the radio
/// makes of a much stronger one anywhere, with its root or the mirrored one.
fn is_of(faint: &Proposal, of: &Proposal) -> bool {
    let width = of.high_hz - of.low_hz;
    let same = faint.detail.root == of.detail.root;
    let mirrored = faint.detail.root.zip(of.detail.root).is_some_and(|(a, b)| usize::from(a + b) == prach::N_ZC);
    let is_near = same && (faint.low_hz - of.low_hz).abs() < width;
    let is_echo = (same || mirrored) && faint.power < prach::ECHO * of.power;
    (is_near || is_echo)
        && faint.start < of.start + 1.5 * of.count
        && faint.start + faint.count > of.start - 0.5 * of.count
}

fn same_emission(a: &Proposal, b: &Proposal) -> bool {
    let time = (a.start + a.count).min(b.start + b.count) - a.start.max(b.start);
    let band = a.high_hz.min(b.high_hz) - a.low_hz.max(b.low_hz);
    time > 0.5 * a.count.min(b.count) && band > 0.5 * (a.high_hz - a.low_hz).min(b.high_hz - b.low_hz)
}

/// Whether a region is likely the skirt of an emission at least 20 dB denser beside it: all of it lies
/// within that one's time. Only asked of what no classifier proved.
fn in_a_skirt(region: &Region, cluster: &[Segment]) -> bool {
    let density = |r: &Region| r.power / (r.high_hz - r.low_hz).max(1.0);
    let (start, end) = (region.start as f64, (region.start + region.count) as f64);
    cluster.iter().map(|s| &s.region).any(|of| {
        let slack = 0.25 * (end - start) + 0.1 * of.count as f64;
        density(of) > 100.0 * density(region)
            && start > of.start as f64 - slack
            && end < (of.start + of.count) as f64 + slack
    })
}

/// Drops proposals that are a stronger one's skirt on a neighbouring channel: the same burst at the
/// same time (5 % of its length), at least 20 dB weaker, within 600 kHz.
fn drop_skirts(proposals: &mut Vec<Proposal>) {
    let all = proposals.clone();
    proposals.retain(|p| {
        !all.iter().any(|q| {
            let apart = ((p.low_hz + p.high_hz) - (q.low_hz + q.high_hz)).abs() / 2.0;
            q.power > 100.0 * p.power && apart < 600e3 && (p.start - q.start).abs() < 0.05 * q.count
        })
    });
}

/// Keeps the better-proven one of proposals that describe the same emission, of equals the larger.
fn drop_doubles(proposals: &mut Vec<Proposal>) {
    proposals.sort_by(|a, b| {
        let area = |p: &Proposal| p.count * (p.high_hz - p.low_hz);
        let order = b.llr().total_cmp(&a.llr()).then(area(b).total_cmp(&area(a)));
        order.then(a.start.total_cmp(&b.start)).then(a.low_hz.total_cmp(&b.low_hz))
    });
    let mut kept: Vec<Proposal> = Vec::with_capacity(proposals.len());
    for p in proposals.drain(..) {
        if !kept.iter().any(|q| same_emission(&p, q)) {
            kept.push(p);
        }
    }
    *proposals = kept;
}
