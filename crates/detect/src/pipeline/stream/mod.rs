//! One tuning's samples, from the first to the last, and what is known of them.

mod clusters;
mod history;
mod learning;
mod neighbours;
mod quieten;
mod reports;
mod rows;
mod runs;
mod searches;

pub(super) use history::noise_of;

use crate::candidate::{NoiseFloor, Proposal};
use crate::carrier::{Carriers, LearnedPrach};
use crate::classify::budget::Budget;
use crate::classify::gsm::GsmClassifier;
use crate::classify::lte::prach::PrachSearch;
use crate::classify::lte::prach::deep::DeepSearch;
use crate::classify::lte::prach::narrow::NarrowSearch;
use crate::classify::lte::reports::ReportSearch;
use crate::classify::lte::shared::SharedChannelClassifier;
use crate::classify::ltem::preambles::RepeatedPreambles;
use crate::classify::ltem::runs::LongRuns;
use crate::classify::nbiot::NarrowClassifier;
use crate::classify::nr::downlink::DownlinkFrame;
use crate::classify::nr::prach::ShortPrachSearch;
use crate::classify::nr::uplink::UplinkSlots;
use crate::confidence::burst_confidence;
use crate::config::{Depth, DetectConfig, FrameGeometry};
use crate::convert::quantisation_density;
use crate::floor::FloorTracker;
use crate::gate::{Hint, PreambleGate};
use crate::grid::{BACK_S, GridSearch, independent_step};
use crate::history::{SampleRing, TileRing};
use crate::pulse::PulseSearch;
use crate::segment::{Segment, Segmenter};
use crate::spectrum::PowerSpectrum;
use crate::state::FloorState;
use crate::steps::StepSums;
use cellwarden_standards::band;
use cellwarden_types::{Burst, Hertz, IqBlock, SampleFormat, Standard, UtcNanos, db};
use neighbours::Neighbours;
use num_complex::Complex32;
use quieten::Quietener;
use rows::TASKS;
use runs::Runs;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Samples around a candidate that the classifiers get to see.
const MARGIN_S: f64 = 1.5e-3;
/// Native samples that are kept behind the last chunk: a cluster that waits for twice its greatest length and for the
/// chunk's end, with its margins; and as far as what comes again is looked back for.
const HELD_S: f64 = 0.05 + BACK_S;
/// A chunk, and what a block brings beyond it.
const INCOMING_S: f64 = 0.025;
/// A source that follows another clock moves a stream's time by more than this; what a recording rounds is less.
const CLOCK_STEP_S: f64 = 1e-6;
/// Visits that a stream's tiles may come from: shorter than 20 ms, none has a row worth keeping.
const VISITS_MOST: usize = 64;
/// Shared channels that are remembered, for those who ask whether what stands out is a corner of one.
const RECENT_MOST: usize = 64;
/// Looks at grids that may be in vain, a second at 1 Hz: each takes some transforms of 2 ms, and those of long emissions count
/// for several.
const GRID_LOOKS: f64 = 2.4e9;

/// What depends on rate, centre and format.
pub(super) struct Stream {
    format: SampleFormat,
    pub(super) rate: Hertz,
    pub(super) center: Hertz,
    geometry: FrameGeometry,
    /// Recording's index of frame 0's first sample.
    pub(super) origin: u64,
    /// Samples lost before `origin`.
    lost_before: u64,
    /// UTC of `origin`.
    pub(super) origin_time: Option<UtcNanos>,
    /// The same of visits before, of which there are tiles still: a receiver that hops was elsewhere in between.
    visits: VecDeque<(u64, UtcNanos)>,
    frames_done: u64,
    /// All that it holds was worked on: what comes next begins anew.
    pub(super) is_at_rest: bool,
    ring: SampleRing,
    tiles: TileRing,
    workers: Vec<PowerSpectrum>,
    floor: FloorTracker,
    noise: NoiseFloor,
    segmenter: Segmenter,
    pending: Vec<Segment>,
    /// What the rows are summed to for all who seek what is faint; the steps' room where the grid has none.
    steps: StepSums,
    summed: Vec<f32>,
    /// Where a preamble may lie that no segment shows; none where none is sought.
    gate: Option<PreambleGate>,
    hints: Vec<Hint>,
    quietener: Quietener,
    faint: Vec<Faint>,
    /// The search of every place, and the first sample, from the origin, at which it goes on; none unless asked for.
    deep: Option<DeepSearch>,
    deep_next: u64,
    /// Base stations of this band, and the first sample, from the origin, at which their occasions were not looked at.
    pub(super) carriers: Carriers,
    /// Looks at their grids that name nothing.
    grid_looks: Budget,
    occasions_next: u64,
    /// What the names of long preambles go by.
    neighbours: Neighbours,
    /// Places that were not searched because others were likelier.
    places_skipped: u64,
    /// What no few cells show; none where it is not sought, and what waits for a preamble that may lie there.
    grid: Option<GridSearch>,
    pulses: Option<PulseSearch>,
    held: Vec<Proposal>,
    /// Reports that only their place shows, and the first sample, from the origin, at which they were not told.
    reports: Option<ReportSearch>,
    reports_next: u64,
    /// Preambles that may come again, what is to be told by now, and what was told of late.
    preambles: RepeatedPreambles,
    ready: Vec<Proposal>,
    told: VecDeque<Proposal>,
    classifiers: Classifiers,
}

/// Where a faint preamble may be.
#[derive(Clone, Copy, Debug)]
struct Faint {
    /// First sample and length, from the stream's origin.
    start: u64,
    count: u64,
    center_hz: f64,
    hint: Hint,
}

/// Where an emission lies: samples of the recording, and hertz.
struct Extent {
    time: Range<f64>,
    band_hz: Range<f64>,
}

struct Classifiers {
    gsm: GsmClassifier,
    prach: Option<PrachSearch>,
    /// Where the stream is wide, a cheaper look at known places.
    known_places: Option<NarrowSearch>,
    short_prach: Option<ShortPrachSearch>,
    shared: SharedChannelClassifier,
    narrow: NarrowClassifier,
    runs: LongRuns,
    downlink: DownlinkFrame,
    slots: UplinkSlots,
    iq: Vec<Complex32>,
    recent_prach: Vec<Proposal>,
    /// What was proven a shared channel or sounding of late.
    recent_shared: VecDeque<Extent>,
    phones_runs: Runs,
}

fn new_reports(geometry: FrameGeometry, step_frames: usize, (rate_hz, center_hz): (f64, f64)) -> ReportSearch {
    let bin_hz = rate_hz / geometry.n_fft as f64;
    let step_s = (step_frames * geometry.hop) as f64 / rate_hz;
    ReportSearch::new((geometry.n_fft, bin_hz, center_hz), step_s, independent_step(step_frames))
}

impl Stream {
    pub(super) fn new(
        block: &IqBlock,
        config: &DetectConfig,
        remembered: &[FloorState],
        base_stations: &mut Vec<LearnedPrach>,
    ) -> Self {
        let (rate, center) = (block.rate.0, block.center.0);
        let geometry = FrameGeometry::for_rate(rate);
        let n = geometry.n_fft;
        let tile_s = (TileRing::FRAMES * geometry.hop) as f64 / rate;
        let new_floor = if band::is_unpaired(center) { FloorTracker::unpaired } else { FloorTracker::new };
        let mut floor = new_floor(n, quantisation_density(block.format, rate));
        if let Some(known) = remembered.iter().find(|f| f.fits(block.center, block.rate, n)) {
            floor.restore(&known.density);
        }
        let steps = StepSums::new(geometry, rate);
        let step_frames = steps.frames();
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
            floor,
            noise: NoiseFloor { center_hz: center, rate_hz: rate, density: vec![0.0; n] },
            segmenter: Segmenter::new(geometry, rate, center, config),
            pending: Vec::with_capacity(256),
            gate: if config.depth == Depth::Energy { None } else { PreambleGate::new(&steps, geometry, rate) },
            hints: Vec::with_capacity(16),
            // A window of steps and their rounding.
            quietener: Quietener::new(rate, 2.0 * searches::FAINT_MARGIN_S + 1e-3),
            faint: Vec::with_capacity(64),
            deep: if config.depth == Depth::Full { DeepSearch::new(rate) } else { None },
            deep_next: 0,
            carriers: Carriers::from_known(own),
            grid_looks: Budget::new(GRID_LOOKS / rate, GRID_LOOKS / rate),
            occasions_next: 0,
            neighbours: Neighbours::default(),
            places_skipped: 0,
            grid: has_grid.then(|| GridSearch::new(&steps, geometry, rate, center)),
            pulses: if has_grid { PulseSearch::new(&steps, geometry, rate, center) } else { None },
            steps,
            summed: Vec::with_capacity((geometry.chunk_frames / step_frames + 2) * n),
            held: Vec::new(),
            reports: has_grid.then(|| new_reports(geometry, step_frames, (rate, center))),
            reports_next: 0,
            preambles: RepeatedPreambles::default(),
            ready: Vec::new(),
            told: VecDeque::new(),
            classifiers: Classifiers {
                gsm: GsmClassifier::new(rate, center),
                prach: PrachSearch::new(rate),
                known_places: NarrowSearch::new(rate),
                short_prach: ShortPrachSearch::new(rate),
                shared: SharedChannelClassifier::new(rate),
                narrow: NarrowClassifier::default(),
                runs: LongRuns::default(),
                downlink: DownlinkFrame::new((block.start.0 + block.lost_before) as f64 / rate),
                slots: UplinkSlots::new(n),
                iq: Vec::new(),
                recent_prach: Vec::new(),
                recent_shared: VecDeque::with_capacity(RECENT_MOST),
                phones_runs: Runs::new(rate, center),
            },
        }
    }

    pub(super) fn is_tuned_as(&self, block: &IqBlock) -> bool {
        block.rate == self.rate && block.center == self.center && block.format == self.format
    }

    /// Whether nothing is missing before a block that is tuned alike.
    pub(super) fn continues_with(&self, block: &IqBlock) -> bool {
        !self.is_at_rest && self.comes_before(block)
    }

    pub(super) fn goes_on_from_rest_with(&self, block: &IqBlock) -> bool {
        self.is_at_rest && self.comes_before(block)
    }

    fn comes_before(&self, block: &IqBlock) -> bool {
        block.gaps_before.is_empty() && block.start.0 == self.ring.end() && block.lost_before == self.lost_before
    }

    /// Goes on behind a break with the same floor. Nothing is made anew: whoever loses samples because it is too slow must
    /// not become slower by it.
    pub(super) fn begin_at(&mut self, block: &IqBlock) {
        self.tiles.clear();
        self.visits.clear();
        self.begin(block);
    }

    /// Goes on where the receiver comes back to, with the tiles of its visits before.
    pub(super) fn come_back_at(&mut self, block: &IqBlock) {
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
        self.steps.begin();
        self.gate.iter_mut().for_each(PreambleGate::begin);
        self.grid.iter_mut().for_each(GridSearch::begin);
        self.pulses.iter_mut().for_each(PulseSearch::begin);
        self.reports.iter_mut().for_each(ReportSearch::begin);
        self.faint.clear();
        (self.deep_next, self.occasions_next, self.reports_next) = (0, 0, 0);
        self.classifiers.recent_prach.clear();
        self.classifiers.recent_shared.clear();
        self.classifiers.phones_runs.clear();
        self.classifiers.shared.begin();
        self.classifiers.downlink.begin(self.seconds_at(self.origin as f64));
    }

    /// The clock of a stream that lasts for weeks is set anew by its source; what a recording rounds is no such step.
    pub(super) fn keep_time(&mut self, block: &IqBlock) {
        if let (Some(origin), Some(time)) = (self.origin_time, block.time) {
            let expected = origin.plus_seconds((block.start.0 - self.origin) as f64 / self.rate.0);
            let off_s = time.seconds_since(expected);
            if off_s.abs() > CLOCK_STEP_S {
                self.origin_time = Some(origin.plus_seconds(off_s));
            }
        }
    }

    /// The first sample of the recording at which something may begin that was not reported yet.
    pub(super) fn settled_sample(&self) -> u64 {
        let held = self.preambles.oldest().map_or(u64::MAX, |start| start as u64);
        self.found_until().min(held.saturating_sub((MARGIN_S * self.rate.0) as u64))
    }

    /// The first sample of the recording at which something may begin that was not found yet.
    fn found_until(&self) -> u64 {
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
    pub(super) fn frames_available(&self) -> u64 {
        let from = self.frame_start(self.frames_done);
        let n = self.geometry.n_fft as u64;
        let held = self.ring.end().saturating_sub(from);
        if held < n { 0 } else { (held - n) / self.geometry.hop as u64 + 1 }
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

    /// Lets go of samples that nothing can ask for any more.
    pub(super) fn forget(&mut self) {
        let margin = ((MARGIN_S + 14e-3 + BACK_S) * self.rate.0) as u64;
        let next = self.frame_start(self.frames_done);
        let oldest = self.waiting().map_or(next, |start| start + self.origin).min(next);
        let bound = next.saturating_sub((HELD_S * self.rate.0) as u64);
        self.ring.forget_before(oldest.saturating_sub(margin).max(bound));
    }

    pub(super) fn remember(&self, floors: &mut Vec<FloorState>) {
        if !self.floor.is_known() {
            return;
        }
        floors.retain(|f| !f.fits(self.center, self.rate, self.geometry.n_fft));
        floors.push(FloorState { center: self.center, rate: self.rate, density: self.floor.floor().to_vec() });
    }

    /// A proposal with the stream's clock and floor put to it.
    fn burst(&self, p: Proposal, sensor: &Arc<str>) -> Burst {
        let rate = self.rate.0;
        let start = p.start.max(self.origin as f64);
        let offset_s = (start - self.origin as f64) / rate;
        let middle = (p.low_hz + p.high_hz) / 2.0;
        let band = match p.standard {
            Standard::Gsm => band::gsm_channel(middle).map(|c| c.band),
            Standard::Nr => band::nr_band(middle).map(|b| b.name),
            _ => band::lte_band(middle),
        };
        let noise = (self.noise.quiet_density(p.low_hz, p.high_hz) * (p.high_hz - p.low_hz)).max(1e-30);
        let is_none = matches!(p.standard, Standard::Other | Standard::Nbiot | Standard::Ltem);
        let confidence = if is_none { 0.01 } else { burst_confidence(p.llr()) };
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

    /// Adds a finding to the bursts, a preamble once it is known whether it is sent several times over.
    fn report(&mut self, found: Proposal, sensor: &Arc<str>, out: &mut Vec<Burst>) {
        self.remember_told(&found);
        self.preambles.hear(found, self.rate.0, &mut self.ready);
        self.tell(sensor, out);
    }

    fn tell(&mut self, sensor: &Arc<str>, out: &mut Vec<Burst>) {
        let mut ready = std::mem::take(&mut self.ready);
        out.extend(ready.drain(..).map(|found| self.burst(found, sensor)));
        self.ready = ready;
    }

    /// Adds samples, in the stream's own format, behind those that it holds.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.ring.push(bytes);
    }

    /// Frames that are worked on at once.
    pub(super) fn chunk_frames(&self) -> usize {
        self.geometry.chunk_frames
    }

    /// What is open ends here, and waits to be judged.
    pub(super) fn end_open(&mut self) {
        let before = self.pending.len();
        self.segmenter.finish(self.floor.floor(), &mut self.pending);
        if let Some(grid) = &mut self.grid {
            grid.finish(self.floor.floor(), before, &mut self.pending);
        }
    }
}
