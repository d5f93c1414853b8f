//! Faint emissions of the size of resource blocks, which no few cells of the spectrogram show.
//!
//! One block for 1 ms holds some 180 independent values, 25 blocks 4,500: their mean stands out at a level at which
//! hardly a cell does. So the means of windows of several sizes are followed at every place of the band, each against
//! a threshold that the gamma distribution gives for a budget of false alarms, and against what is usual at the place.
//! Around the clearest window, the box that fits best is what makes the values in it likeliest. It is energy, and
//! proves nothing.
//!
//! What the segmenter shows is taken out before: strong emissions, and what they cast beside themselves.

use crate::candidate::Region;
use crate::config::FrameGeometry;
use crate::segment::Segment;
use crate::steps::{STEP_S, StepSums};
use std::cmp::Ordering;
use std::f64::consts::TAU;
use std::ops::Range;

/// Windows end with each step; beside each other, they begin this far apart.
const STRIDE_HZ: f64 = 40e3;
/// A resource block (TS 36.211 5.2.3).
const BLOCK_HZ: f64 = 180e3;
/// Lengths of windows in steps: a slot, a subframe.
const LENGTHS: [usize; 2] = [5, 10];
/// Windows: which length, and how many blocks. Sizes between two of them lose 0.8 dB at the most.
const SIZES: [(usize, f64); 11] =
    [(0, 1.0), (0, 3.0), (0, 8.0), (1, 1.0), (1, 2.0), (1, 4.0), (1, 8.0), (1, 16.0), (1, 25.0), (1, 50.0), (1, 96.0)];
/// False alarms of each size in an hour of noise on 20 MHz.
const FALSE_PER_HOUR: f64 = 0.3;
const BUDGET_HZ: f64 = 20e6;
/// Windows overlap: so many times more are tried than there are independent ones, as far as chance is concerned. Measured:
/// at ten thousand times the budget 30 s of noise at 10 Msps hold 298 boxes, 22 times those of independent windows.
const OVERLAP: f64 = 25.0;
/// A cell's power over the floor counts so much at the most: what is stronger shows without this, and sums stay exact.
pub(crate) const MOST_CELL: f32 = 32.0;
/// A window's, above which the segmenter shows the emission.
pub(crate) const MOST_RATIO: f32 = 10.0;
const LEAST_RATIO: f32 = 1.02;
/// What is usual at a place follows the last second; at the start, the later half of what there was. One window in so
/// many that share nothing is asked.
const USUAL_S: f64 = 1.0;
const USUAL_EVERY: u64 = 5;
/// The floor of the first chunks may be wrong by so much; after so many seconds, half of that is known to be usual.
const FLOOR_ERROR: f32 = 0.08;
const FLOOR_S: f64 = 0.05;
/// It follows what is off by so many deviations below and above at the most, and is corrected for what noise loses by
/// that: the mean of values that are cut so is lower. Bursts do not make themselves usual.
const CLIP_SIGMAS: (f32, f32) = (2.0, 0.5);
const CLIP_LOSS: f32 = 0.189;
/// Share of the time above which what is over the noise is usual itself, and counts in how much the level there moves.
const MOST_OFTEN: f32 = 0.4;
/// Steps kept behind a chunk, and how far a box may reach from its window.
const KEEP_STEPS: usize = 140;
const REACH_STEPS: usize = 100;
/// A window is looked at when so much behind it is known.
const AHEAD_STEPS: usize = 15;
/// Log likelihood lost again at which a box ends: in an emission, that happens once in 3,000 times.
const STOP: f32 = 8.0;
/// Log likelihood gained by two levels in place of one at which a box is two, and by how much they must differ.
const SPLIT: f32 = 12.0;
const SPLIT_LEVELS: f32 = 2.0;
/// The least and longest of a phone's: a slot less what an edge takes, and a run of subframes.
const LEAST_S: f64 = 0.25e-3;
const LONGEST_S: f64 = 11e-3;
/// Deviations by which the part of a block that is less filled stands out all the same.
const LEAST_REST: f32 = 3.0;
/// The share of the band above which it is the receiver's gain that changed.
const MOST_BAND: f64 = 0.97;
/// Share of what is over the noise that two steps in a row may hold.
const MOST_IN_TWO: f32 = 0.7;
/// A segment of this level is taken out; a fainter one may be a piece of something larger.
const SHOWN_DB: f64 = 9.0;
/// What a strong emission makes beside itself: (reach in Hz, level below), and sidelobes over so many halves of its width: those of
/// half-sine chips (IEEE 802.15.4) are 23 dB down. And the mirrored image of an unbalanced receiver.
const SKIRTS: [(f64, f32); 3] = [(100e3, 0.1), (300e3, 2e-2), (f64::INFINITY, 1e-3)];
const SIDELOBES: (usize, f32) = (3, 1e-2);
const IMAGE: f32 = 3e-3;
/// Boxes in a chunk of 20 ms, the clearest first; what is not used is saved, up to so many.
const BOXES_A_CHUNK: usize = 16;
const BOXES_SAVED: usize = 64;
/// Share of the last second above which boxes at a place are one emission that is always on and moves; and by how much a
/// carrier that never moves stands out of the floor.
const MOST_LOAD: f32 = 0.25;
const LOAD_S: f64 = 1.0;
pub(crate) const CARRIER: f32 = 4.0;
/// Cells that may be summed again in a chunk.
const EFFORT: usize = 4_000_000;

/// Windows of one size.
#[derive(Debug)]
pub(crate) struct Size {
    /// Which length.
    length: usize,
    /// Strides in a window.
    pub(crate) wide: usize,
    /// Cells in a window.
    cells: f32,
    /// Independent values.
    values: f32,
    sigma: f32,
    /// Excess over the noise that the budget allows.
    limit: f32,
    /// By place: excess that is usual, its mean square about that, the sum above which a window is hot, and how often
    /// it is more than noise.
    pub(crate) usual: Vec<f32>,
    square: Vec<f32>,
    bound: Vec<f32>,
    often: Vec<f32>,
    /// By half a window's width: what was found last, as half a window's length and index.
    last: Vec<(u64, usize)>,
    half: (u64, usize),
}

/// A window that is hot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Log likelihood of its level against the usual one.
    gain: f32,
    /// When it is: the step behind its last, of a pulse its first frame.
    pub(crate) end: u64,
    pub(crate) size: usize,
    pub(crate) place: usize,
}

impl Window {
    pub(crate) fn clearest_first(a: &Self, b: &Self) -> Ordering {
        b.gain.total_cmp(&a.gain).then((a.end, a.size, a.place).cmp(&(b.end, b.size, b.place)))
    }
}

/// Steps and bins.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    from: u64,
    to: u64,
    low: usize,
    high: usize,
}

/// What the segmenter shows.
#[derive(Clone, Copy, Debug)]
struct Shown {
    area: Area,
    excess: f32,
    is_continuous: bool,
}

/// Finds boxes of faint energy in one stream.
#[derive(Debug)]
pub struct GridSearch {
    bins: usize,
    bin_hz: f64,
    center_hz: f64,
    rate_hz: f64,
    hop: usize,
    sums_of_rows: StepSums,
    stride: usize,
    sizes: Vec<Size>,
    /// Power correlation of cells by frames and bins between them.
    correlation: [[f64; 4]; 2],
    /// By step, the oldest first: mean power over the floor of each bin; the first is `first_step`.
    steps: Vec<f32>,
    first_step: u64,
    /// The next step to be judged.
    next: u64,
    /// By length: sums of the bins, and how many windows were taken in as usual.
    sums: [Vec<f32>; LENGTHS.len()],
    seen: [f64; LENGTHS.len()],
    prefix: Vec<f32>,
    hot: Vec<Window>,
    shown: Vec<Shown>,
    /// By stride: share of the last second in which boxes lay there.
    load: Vec<f32>,
    /// Floor in the middle of the band's bins by height.
    middle: f32,
    scores: Vec<f32>,
    boxes: usize,
    overlooked: u64,
}

impl GridSearch {
    /// For rows of `geometry` at `rate_hz`, tuned to `center_hz`.
    pub fn new(geometry: FrameGeometry, rate_hz: f64, center_hz: f64) -> Self {
        let bins = geometry.n_fft;
        let (bin_hz, frame_s) = (rate_hz / bins as f64, geometry.hop as f64 / rate_hz);
        let stride = ((STRIDE_HZ / bin_hz) as usize).max(1);
        let strides = bins / stride;
        let sums_of_rows = StepSums::new(bins, frame_s);
        let step_frames = sums_of_rows.frames();
        let correlation = correlation();
        let size = |&(length, blocks): &(usize, f64)| {
            let wide = ((blocks * BLOCK_HZ / bin_hz / stride as f64).round() as usize).max(1);
            let time = (LENGTHS[length], step_frames, frame_s);
            let size = Size::new(time, (wide, stride, strides, bin_hz), FALSE_PER_HOUR)?;
            // A step's cell is the mean of its frames.
            Some(Size { length, ..size.scaled(1.0 / step_frames as f32) })
        };
        let chunk_steps = geometry.chunk_frames / step_frames + 2;
        Self {
            bins,
            bin_hz,
            center_hz,
            rate_hz,
            hop: geometry.hop,
            sums_of_rows,
            stride,
            sizes: SIZES.iter().filter_map(size).collect(),
            correlation,
            steps: Vec::with_capacity((KEEP_STEPS + chunk_steps) * bins),
            first_step: 0,
            next: 0,
            sums: [vec![0.0; bins], vec![0.0; bins]],
            seen: [0.0; LENGTHS.len()],
            prefix: vec![0.0; strides + 1],
            hot: Vec::with_capacity(32_768),
            shown: Vec::with_capacity(512),
            load: vec![0.0; strides],
            middle: 0.0,
            scores: Vec::with_capacity(bins.max(KEEP_STEPS + chunk_steps)),
            boxes: 0,
            overlooked: 0,
        }
    }

    /// Begins anew with frame 0: something is missing before it. What is usual stays.
    pub fn begin(&mut self) {
        self.steps.clear();
        self.sums_of_rows.begin();
        (self.first_step, self.next) = (0, 0);
        self.hot.clear();
        self.shown.clear();
    }

    /// Boxes that were not looked for because there were too many.
    pub fn overlooked(&self) -> u64 {
        self.overlooked
    }

    /// Takes the next rows, `[frames][bins]`. Of the segments, those from `from` on ended in them, `open_since` is the
    /// first frame that may be part of one that did not. Adds the boxes of which all is known.
    pub fn process(&mut self, rows: &[f32], floor: &[f32], from: usize, open_since: u64, all: &mut Vec<Segment>) {
        self.drop_old();
        let mean = (1.0 / self.sums_of_rows.frames() as f32, MOST_CELL);
        self.sums_of_rows.take(rows, floor, mean, &mut self.steps);
        self.judge();
        let chunk_s = (rows.len() / self.bins * self.hop) as f64 / self.rate_hz;
        let left = (-chunk_s / LOAD_S).exp() as f32;
        self.load.iter_mut().for_each(|l| *l *= left);
        for segment in &all[from..] {
            self.show(segment);
        }
        let end = self.next.saturating_sub(AHEAD_STEPS as u64);
        self.propose(end.min((open_since / self.sums_of_rows.frames() as u64).saturating_sub(1)), floor, all);
    }

    /// Ends the stream, or what there is of it before a break.
    pub fn finish(&mut self, floor: &[f32], from: usize, all: &mut Vec<Segment>) {
        for segment in &all[from..] {
            self.show(segment);
        }
        self.propose(u64::MAX, floor, all);
    }

    /// The first frame at which a box may begin that was not reported yet.
    pub fn open_since(&self) -> u64 {
        let oldest = self.hot.iter().map(|w| w.end).min().unwrap_or(self.next);
        let reach = (REACH_STEPS + LENGTHS[LENGTHS.len() - 1]) as u64;
        oldest.saturating_sub(reach).max(self.first_step) * self.sums_of_rows.frames() as u64
    }

    fn drop_old(&mut self) {
        let held = self.steps.len() / self.bins;
        if held > KEEP_STEPS {
            self.steps.drain(..(held - KEEP_STEPS) * self.bins);
            self.first_step += (held - KEEP_STEPS) as u64;
        }
        let first = self.first_step;
        self.shown.retain(|s| s.area.to > first);
        // A segment that lasts longer than what is kept held them up.
        let least = first + LENGTHS[LENGTHS.len() - 1] as u64;
        self.hot.retain(|w| w.end > least);
    }

    fn step(&self, step: u64) -> &[f32] {
        let at = (step - self.first_step) as usize * self.bins;
        &self.steps[at..at + self.bins]
    }

    /// All windows that end in the steps that were not judged.
    fn judge(&mut self) {
        let (bins, first) = (self.bins, self.next);
        self.sizes.iter_mut().for_each(Size::forget_last);
        let end = self.first_step + (self.steps.len() / bins) as u64;
        while self.next < end {
            let step = self.next;
            self.next += 1;
            for (index, &length) in LENGTHS.iter().enumerate() {
                let Some(begin) = self.next.checked_sub(length as u64).filter(|&b| b >= self.first_step) else {
                    continue;
                };
                let at = (begin - self.first_step) as usize * bins;
                let window = &self.steps[at..at + length * bins];
                let sums = &mut self.sums[index];
                if step == first || begin == self.first_step {
                    // Summed anew: what was found since is not in it any more.
                    sums.fill(0.0);
                    for row in window.chunks_exact(bins) {
                        sums.iter_mut().zip(row).for_each(|(s, p)| *s += p);
                    }
                } else {
                    let (new, old) = (&window[(length - 1) * bins..], &self.steps[at - bins..at]);
                    sums.iter_mut().zip(new.iter().zip(old)).for_each(|(s, (new, old))| *s += new - old);
                }
                let mut sum = 0.0;
                for (p, part) in self.prefix[1..].iter_mut().zip(sums.chunks_exact(self.stride)) {
                    sum += part.iter().sum::<f32>();
                    *p = sum;
                }
                let is_next = step % (USUAL_EVERY * length as u64) == 0;
                self.seen[index] += f64::from(u8::from(is_next));
                let window_s = (USUAL_EVERY * length as u64) as f64 * STEP_S;
                let seen_s = self.seen[index] * window_s;
                for (at, size) in self.sizes.iter_mut().enumerate().filter(|(_, s)| s.length == index) {
                    self.overlooked += size.find_hot(&self.prefix, at, self.next, &mut self.hot);
                    if is_next {
                        size.follow(&self.prefix, seen_s, window_s);
                    }
                }
            }
        }
    }

    /// Takes out what the segmenter shows.
    fn show(&mut self, segment: &Segment) {
        let region = &segment.region;
        if region.snr_db < SHOWN_DB && !segment.is_continuous() {
            return;
        }
        // Frames that see something of it, and one more step where it is strong.
        let is_strong = region.snr_db > 20.0;
        let (more, wider) = if is_strong { (1.0, 4.0) } else { (0.0, 2.0) };
        let frame = |sample: u64| (sample as f64 - self.hop as f64 / 2.0) / self.hop as f64;
        let step = |frame: f64| frame / self.sums_of_rows.frames() as f64;
        let bin = |hz: f64| (hz - self.center_hz) / self.bin_hz + self.bins as f64 / 2.0 + 0.5;
        let area = Area {
            from: (step(frame(region.start) - 1.0) - more).max(0.0) as u64,
            to: (step(frame(region.start + region.count) + 1.0) + more).max(0.0).ceil() as u64,
            low: (bin(region.low_hz) - wider).max(0.0) as usize,
            high: ((bin(region.high_hz) + wider).max(0.0) as usize).min(self.bins),
        };
        self.blank(area);
        if self.shown.len() < self.shown.capacity() {
            let excess = 10f32.powf(region.snr_db as f32 / 10.0);
            self.shown.push(Shown { area, excess, is_continuous: segment.is_continuous() });
        }
    }

    /// Puts what noise would be in place of an area.
    fn blank(&mut self, area: Area) {
        let (bins, held) = (self.bins, (self.steps.len() / self.bins) as u64);
        let from = area.from.saturating_sub(self.first_step).min(held) as usize;
        let to = area.to.saturating_sub(self.first_step).min(held) as usize;
        for row in self.steps[from * bins..to.max(from) * bins].chunks_exact_mut(bins) {
            row[area.low..area.high].fill(1.0);
        }
    }

    /// The boxes of the hot windows that end before `horizon`, the clearest first.
    fn propose(&mut self, horizon: u64, floor: &[f32], out: &mut Vec<Segment>) {
        self.boxes = (self.boxes + BOXES_A_CHUNK).min(BOXES_SAVED);
        let mut hot = std::mem::take(&mut self.hot);
        hot.sort_unstable_by(Window::clearest_first);
        if !hot.is_empty() {
            self.scores.clear();
            self.scores.extend_from_slice(floor);
            self.middle = *self.scores.select_nth_unstable_by(self.bins / 2, f32::total_cmp).1;
        }
        let mut effort = EFFORT;
        for window in hot.iter().filter(|w| w.end <= horizon) {
            let size = &self.sizes[window.size];
            let low = window.place * self.stride;
            let from = window.end - LENGTHS[size.length] as u64;
            let seed = Area { from, to: window.end, low, high: low + size.wide * self.stride };
            let (usual, bound) = (size.usual[window.place], size.bound[window.place] / size.cells);
            let Some(left) = effort.checked_sub(size.cells as usize) else {
                self.overlooked += 1;
                continue;
            };
            effort = left;
            let ratio = self.mean(seed);
            if ratio <= bound || self.is_shown(seed, ratio - 1.0) {
                continue;
            }
            if self.boxes == 0 {
                self.overlooked += 1;
                self.blank(seed);
                continue;
            }
            let (found, ratio) = self.fit(seed, 1.0 / (1.0 + usual));
            let segment = self.segment(found, ratio, floor);
            let (from, low) = (found.from.saturating_sub(1), found.low.saturating_sub(1));
            self.blank(Area { from, to: found.to + 1, low, high: (found.high + 1).min(self.bins) });
            if let Some(segment) = segment.filter(|_| !self.is_busy(found)) {
                self.boxes -= 1;
                out.push(segment);
            }
        }
        hot.retain(|w| w.end > horizon);
        self.hot = hot;
    }

    fn mean(&self, area: Area) -> f32 {
        let width = area.high - area.low;
        let sum: f32 = (area.from..area.to).map(|s| self.step(s)[area.low..area.high].iter().sum::<f32>()).sum();
        sum / (width as u64 * (area.to - area.from)) as f32
    }

    /// Whether this is what a strong emission makes beside itself.
    fn is_shown(&self, area: Area, excess: f32) -> bool {
        self.shown.iter().any(|Shown { area: of, excess: strong, is_continuous }| {
            let common = area.to.min(of.to).saturating_sub(area.from.max(of.from));
            if 10 * common < 3 * (area.to - area.from) {
                return false;
            }
            let apart = area.low.saturating_sub(of.high).max(of.low.saturating_sub(area.high));
            let apart_hz = apart as f64 * self.bin_hz;
            // What is always on moves in its band, and its edges come and go.
            if *is_continuous && apart_hz < SKIRTS[1].0 {
                return true;
            }
            let is_skirt = SKIRTS.iter().any(|&(reach_hz, level)| apart_hz < reach_hz && excess < level * strong);
            let is_sidelobe = 2 * apart < SIDELOBES.0 * (of.high - of.low) && excess < SIDELOBES.1 * strong;
            let (low, high) = (self.bins - of.high.min(self.bins), self.bins - of.low);
            is_skirt || is_sidelobe || (excess < IMAGE * strong && area.low < high && low < area.high)
        })
    }

    /// The box around `seed` in which the values are likeliest, and its mean; nothing where it is too narrow. `scale`
    /// makes what is usual 1.
    fn fit(&mut self, seed: Area, scale: f32) -> (Area, f32) {
        // Independent values of a bin in a step.
        let value = self.sums_of_rows.frames() as f32 * independent_cell(&self.correlation) as f32;
        let mut scores = std::mem::take(&mut self.scores);
        let mut area = self.edges(seed, scale, value, &mut scores);
        for _ in 0..3 {
            let Some(part) = self.part(area, scale, value, &mut scores) else { break };
            area = part;
            // What was found around both is not what is around the part.
            let within = self.edges(part, scale, value, &mut scores);
            if part.low <= within.low && within.high <= part.high && part.from <= within.from && within.to <= part.to {
                area = within;
            }
        }
        self.scores = scores;
        match self.block_at_least(area, (scale, value)) {
            Some(area) => (area, self.mean(area) * scale),
            None => (area, 0.0),
        }
    }

    /// Moves the edges of `area` to where the values are likeliest.
    fn edges(&self, mut area: Area, scale: f32, value: f32, scores: &mut Vec<f32>) -> Area {
        let reach = REACH_STEPS as u64;
        let held = self.first_step + (self.steps.len() / self.bins) as u64;
        let most = (area.from.saturating_sub(reach).max(self.first_step), (area.to + reach).min(held));
        for _ in 0..4 {
            let before = area;
            let level = (self.mean(area) * scale).clamp(1.1, MOST_CELL);
            let (gain, loss) = (1.0 - 1.0 / level, level.ln());
            // Time.
            let (low, high) = (area.low, area.high);
            let weight = value * (high - low) as f32;
            let score = |i: usize| {
                let row = &self.step(most.0 + i as u64)[low..high];
                weight * (row.iter().sum::<f32>() / (high - low) as f32 * scale * gain - loss)
            };
            let inside = (area.from - most.0) as usize..(area.to - most.0) as usize;
            let run = best_run(inside, (most.1 - most.0) as usize, score);
            (area.from, area.to) = (most.0 + run.start as u64, most.0 + run.end as u64);
            // Frequency.
            scores.clear();
            scores.resize(self.bins, 0.0);
            for step in area.from..area.to {
                scores.iter_mut().zip(self.step(step)).for_each(|(s, p)| *s += p);
            }
            let length = (area.to - area.from) as f32;
            let weight = value * length;
            let run = best_run(low..high, self.bins, |i| weight * (scores[i] / length * scale * gain - loss));
            (area.low, area.high) = (run.start, run.end);
            if area == before {
                break;
            }
        }
        area
    }

    /// The block that holds a box which is narrower, if the rest of it is filled as well: a block's subcarriers are
    /// not all as strong.
    fn block_at_least(&self, area: Area, (scale, value): (f32, f32)) -> Option<Area> {
        let block = ((BLOCK_HZ / self.bin_hz).round() as usize).min(self.bins);
        let width = area.high - area.low;
        if width >= block {
            return Some(area);
        }
        let at = |low: usize| Area { low, high: low + block, ..area };
        let all =
            (area.high.saturating_sub(block)..=area.low.min(self.bins - block)).map(|low| (self.mean(at(low)), low));
        let (mean, low) = all.max_by(|a, b| a.0.total_cmp(&b.0))?;
        if block - width <= 2 {
            return Some(at(low));
        }
        let rest = (mean * block as f32 - self.mean(area) * width as f32) * scale / (block - width) as f32 - 1.0;
        let values = value * ((block - width) as u64 * (area.to - area.from)) as f32;
        (rest * values.sqrt() > LEAST_REST).then(|| at(low))
    }

    /// The stronger part of a box that two levels fit much better than one: allocations that touch.
    fn part(&self, area: Area, scale: f32, value: f32, lines: &mut Vec<f32>) -> Option<Area> {
        let (width, length) = (area.high - area.low, (area.to - area.from) as usize);
        // Frequency, a block at the least and three beside the edge; then time.
        lines.clear();
        lines.resize(width, 0.0);
        for step in area.from..area.to {
            lines
                .iter_mut()
                .zip(&self.step(step)[area.low..area.high])
                .for_each(|(s, p)| *s += p * scale / length as f32);
        }
        let near = (3.0 * BLOCK_HZ / self.bin_hz) as usize;
        if let Some((at, upper)) = step_in(lines, value * length as f32, (0.9 * BLOCK_HZ / self.bin_hz) as usize, near)
        {
            return Some(if upper {
                Area { low: area.low + at, ..area }
            } else {
                Area { high: area.low + at, ..area }
            });
        }
        lines.clear();
        let mean = |step: u64| self.step(step)[area.low..area.high].iter().sum::<f32>() * scale / width as f32;
        lines.extend((area.from..area.to).map(mean));
        let (at, later) = step_in(lines, value * width as f32, 4, 10)?;
        let at = area.from + at as u64;
        Some(if later { Area { from: at, ..area } } else { Area { to: at, ..area } })
    }

    /// Whether no two steps hold most of what is over the noise, but for what two deviations of noise hold.
    fn lasts(&self, area: Area, excess: f32) -> bool {
        let width = area.high - area.low;
        let over = |s: u64| self.step(s)[area.low..area.high].iter().sum::<f32>() / width as f32 - 1.0;
        let values = (self.sums_of_rows.frames() * width) as f32 * independent_cell(&self.correlation) as f32;
        let slack = 2.0 * (1.0 + excess) * (2.0 / values).sqrt();
        let most = MOST_IN_TWO * excess * (area.to - area.from) as f32 + slack;
        (area.from..area.to - 1).all(|s| over(s) + over(s + 1) < most)
    }

    /// Whether boxes lie there all the time, this one counted.
    fn is_busy(&mut self, area: Area) -> bool {
        let strides = area.low / self.stride..(area.high / self.stride).min(self.load.len());
        let step_s = (self.sums_of_rows.frames() * self.hop) as f64 / self.rate_hz;
        let more = ((area.to - area.from) as f64 * step_s / LOAD_S) as f32;
        let load = &mut self.load[strides];
        load.iter_mut().for_each(|l| *l += more);
        load.iter().sum::<f32>() > MOST_LOAD * load.len() as f32
    }

    fn segment(&self, area: Area, ratio: f32, floor: &[f32]) -> Option<Segment> {
        let excess = ratio - 1.0;
        let frame_s = self.hop as f64 / self.rate_hz;
        let step_s = self.sums_of_rows.frames() as f64 * frame_s;
        let seconds = (area.to - area.from) as f64 * step_s;
        let width = area.high - area.low;
        if !(LEAST_S..LONGEST_S).contains(&seconds)
            || !(LEAST_RATIO..MOST_RATIO).contains(&ratio)
            || width as f64 > MOST_BAND * self.bins as f64
            || floor[area.low..area.high].iter().any(|&f| f > CARRIER * self.middle)
            || self.is_shown(area, excess)
            || !self.lasts(area, excess)
        {
            return None;
        }
        // A frame speaks for the hop in its middle.
        let sample = |step: u64| step * (self.sums_of_rows.frames() * self.hop) as u64 + (self.hop / 2) as u64;
        let hz = |bin: usize| self.center_hz + (bin as f64 - self.bins as f64 / 2.0 - 0.5) * self.bin_hz;
        let noise: f32 = floor[area.low..area.high].iter().sum();
        let region = Region {
            start: sample(area.from),
            count: sample(area.to) - sample(area.from),
            low_hz: hz(area.low),
            high_hz: hz(area.high),
            power: f64::from(excess * noise) * self.bin_hz,
            snr_db: 10.0 * f64::from(excess).log10(),
        };
        Some(Segment { region, age_s: seconds, is_glimpse: false, is_faint: true })
    }
}

impl Size {
    /// For windows of so many times so many frames, and of `wide` of the `strides` strides of `stride` bins; none
    /// where that is too wide. `false_per_hour` of them may be hot in noise on 20 MHz.
    pub(crate) fn new(
        (steps, step_frames, frame_s): (usize, usize, f64),
        (wide, stride, strides, bin_hz): (usize, usize, usize, f64),
        false_per_hour: f64,
    ) -> Option<Self> {
        let (frames, wide) = (steps * step_frames, wide.max(1));
        let places = (strides + 1).checked_sub(wide).filter(|&p| p > 0)?;
        let width = wide * stride;
        let values = independent(&correlation(), frames, width);
        let windows = 3600.0 / (frames as f64 * frame_s) * (BUDGET_HZ / (width as f64 * bin_hz));
        let (cells, limit) = ((frames * width) as f32, excess_at(values, false_per_hour / (windows * OVERLAP)) as f32);
        Some(Self {
            length: 0,
            wide,
            cells,
            values: values as f32,
            sigma: (1.0 / values.sqrt()) as f32,
            limit,
            usual: vec![0.0; places],
            square: vec![0.0; places],
            bound: vec![cells * (1.0 + limit); places],
            often: vec![0.0; places],
            last: vec![(u64::MAX, 0); places / (wide / 2).max(1) + 1],
            half: ((steps / 2).max(1) as u64, (wide / 2).max(1)),
        })
    }

    /// The same where the cells that are summed are means of several.
    fn scaled(mut self, scale: f32) -> Self {
        self.cells *= scale;
        self.bound.iter_mut().for_each(|b| *b *= scale);
        self
    }

    /// How much more the place's level moves than noise of one does.
    fn scale(&self, place: usize) -> f32 {
        (1.0 + self.usual[place]).max(self.square[place].sqrt() / self.sigma)
    }

    /// The windows that were found are not to be touched any more.
    pub(crate) fn forget_last(&mut self) {
        self.last.fill((u64::MAX, 0));
    }

    /// Adds the places that are hot and no less than those beside them, the clearest of half a window's length and
    /// width: a large emission makes many windows hot. Gives how many found no room.
    pub(crate) fn find_hot(&mut self, prefix: &[f32], size: usize, end: u64, hot: &mut Vec<Window>) -> u64 {
        let wide = self.wide;
        let sums = || prefix[wide..].iter().zip(prefix).map(|(high, low)| high - low);
        if !sums().zip(&self.bound).fold(false, |any, (sum, bound)| any | (sum > *bound)) {
            return 0;
        }
        let (mut before, mut overlooked) = (0.0, 0);
        for (place, sum) in sums().enumerate() {
            let next = prefix.get(place + 1 + wide).map_or(0.0, |high| high - prefix[place + 1]);
            if sum > self.bound[place] && sum >= before && sum > next && sum < MOST_RATIO * self.cells {
                let ratio = sum / self.cells / (1.0 + self.usual[place]);
                let values = self.values * ((1.0 + self.usual[place]) / self.scale(place)).powi(2);
                let window = Window { gain: values * (ratio - 1.0 - ratio.ln()), end, size, place };
                let (time, last) = (end / self.half.0, &mut self.last[place / self.half.1]);
                if last.0 == time {
                    let known = &mut hot[last.1];
                    if window.gain > known.gain {
                        *known = window;
                    }
                } else if hot.len() < hot.capacity() {
                    *last = (time, hot.len());
                    hot.push(window);
                } else {
                    overlooked += 1;
                }
            }
            before = sum;
        }
        overlooked
    }

    /// Takes a window in as usual, of which there is one `every_s`, `seen_s` after the first.
    pub(crate) fn follow(&mut self, prefix: &[f32], seen_s: f64, every_s: f64) {
        let weight = (every_s / (0.5 * (seen_s + FLOOR_S)).min(USUAL_S)).min(1.0) as f32;
        let error = FLOOR_ERROR / (1.0 + seen_s / FLOOR_S) as f32;
        let scale = 1.0 / self.cells;
        let sums = prefix[self.wide..].iter().zip(prefix).map(|(high, low)| high - low);
        let places = self.usual.iter_mut().zip(&mut self.square).zip(&mut self.bound).zip(&mut self.often);
        for (sum, (((usual, square), bound), often)) in sums.zip(places) {
            let off = sum * scale - 1.0 - *usual;
            let noise = self.sigma * (1.0 + *usual);
            let deviation = square.sqrt().max(noise);
            let is_over = off > self.limit * (1.0 + *usual);
            *often += weight * (f32::from(u8::from(is_over)) - *often);
            let (least, most) = (-CLIP_SIGMAS.0 * deviation, CLIP_SIGMAS.1 * deviation);
            // What is below tells how much noise moves, unless more than noise is usual.
            let (below, within) = (off.max(least).min(0.0), off.max(least).min(-least));
            let moved = if *often < MOST_OFTEN { 2.0 * below * below } else { within * within };
            *square += weight * (moved - *square);
            *usual += weight * (off.max(least).min(most) + CLIP_LOSS * noise);
            let moves = (1.0 + *usual).max(square.sqrt() / self.sigma);
            *bound = self.cells * (1.0 + *usual + self.limit * moves + error);
        }
    }
}

/// The run in `0..end` that gains most: the best within `inside`, and what it gains on both sides before it loses much.
pub(crate) fn best_run(inside: Range<usize>, end: usize, mut score: impl FnMut(usize) -> f32) -> Range<usize> {
    let (mut best, mut sum, mut most, mut from) = ((f32::NEG_INFINITY, inside.clone()), 0.0, 0.0, inside.start);
    for i in inside {
        if sum <= 0.0 || sum < most - STOP {
            (sum, most, from) = (0.0, 0.0, i);
        }
        sum += score(i);
        most = sum.max(most);
        if sum > best.0 {
            best = (sum, from..i + 1);
        }
    }
    let inside = best.1;
    let (mut low, mut high) = (inside.start, inside.end);
    let (mut sum, mut most) = (0.0, 0.0);
    for i in inside.end..end {
        sum += score(i);
        if sum > most {
            (most, high) = (sum, i + 1);
        } else if sum < most - STOP {
            break;
        }
    }
    (sum, most) = (0.0, 0.0);
    for i in (0..inside.start).rev() {
        sum += score(i);
        if sum > most {
            (most, low) = (sum, i);
        } else if sum < most - STOP {
            break;
        }
    }
    low..high
}

/// Where the level of `lines` steps, and whether the part behind that is the stronger. Each line has `values`
/// independent values; `least` of them make a part, and the levels of `near` on both sides differ clearly: a slope is
/// no step.
fn step_in(lines: &[f32], values: f32, least: usize, near: usize) -> Option<(usize, bool)> {
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let all = mean(lines);
    let (mut best, mut below) = ((SPLIT, None), 0.0);
    let sum: f32 = lines.iter().sum();
    for at in 1..lines.len() {
        below += lines[at - 1];
        if at < least || lines.len() - at < least {
            continue;
        }
        let (n, m) = (at as f32, (lines.len() - at) as f32);
        let (low, high) = ((below / n).max(0.1), ((sum - below) / m).max(0.1));
        let gain = values * ((n + m) * all.max(0.1).ln() - n * low.ln() - m * high.ln());
        if gain > best.0 {
            best = (gain, Some(at));
        }
    }
    let at = best.1?;
    let low = (mean(&lines[at.saturating_sub(near)..at]) - 1.0).max(0.02);
    let high = (mean(&lines[at..(at + near).min(lines.len())]) - 1.0).max(0.02);
    let differs = low.max(high) > SPLIT_LEVELS * low.min(high);
    differs.then_some((at, high > low))
}

/// Correlation of the powers of noise in Hann frames that overlap by half: by frames apart, by bins apart.
pub(crate) fn correlation() -> [[f64; 4]; 2] {
    const N: usize = 64;
    let window = |i: usize| 0.5 - 0.5 * (TAU * i as f64 / N as f64).cos();
    let energy: f64 = (0..N).map(|i| window(i).powi(2)).sum();
    let of = |frames: usize, bins: usize| {
        let products = (0..N - frames * N / 2).map(|i| (i, window(i) * window(i + frames * N / 2)));
        let turned = products.map(|(i, w)| (w, TAU * (bins * i) as f64 / N as f64));
        let (re, im) = turned.fold((0.0, 0.0), |(re, im), (w, a)| (re + w * a.cos(), im + w * a.sin()));
        (re * re + im * im) / (energy * energy)
    };
    [[of(0, 0), of(0, 1), of(0, 2), of(0, 3)], [of(1, 0), of(1, 1), of(1, 2), of(1, 3)]]
}

/// The sum of correlations over both signs of both distances, each weighed.
fn both_sides(correlation: &[[f64; 4]; 2], weight: impl Fn(usize, usize) -> f64) -> f64 {
    let sides = |distance: usize| if distance == 0 { 1.0 } else { 2.0 };
    let terms = correlation.iter().enumerate().flat_map(|(t, row)| row.iter().enumerate().map(move |(f, c)| (t, f, c)));
    terms.map(|(t, f, c)| sides(t) * sides(f) * weight(t, f) * c).sum()
}

/// Independent values for each of many cells.
pub(crate) fn independent_cell(correlation: &[[f64; 4]; 2]) -> f64 {
    1.0 / both_sides(correlation, |_, _| 1.0)
}

/// Independent values in so many frames and bins.
fn independent(correlation: &[[f64; 4]; 2], frames: usize, bins: usize) -> f64 {
    let left = |distance: usize, of: usize| (1.0 - distance as f64 / of as f64).max(0.0);
    (frames * bins) as f64 / both_sides(correlation, |t, f| left(t, frames) * left(f, bins))
}

/// The excess that the mean of `values` exponential values of mean 1 passes with the chance `chance`.
///
/// The tail of the gamma distribution by Lugannani and Rice (1980), whose error is below 1 % from 10 values on.
fn excess_at(values: f64, chance: f64) -> f64 {
    let tail = |excess: f64| {
        let w = (2.0 * values * (excess - excess.ln_1p())).sqrt();
        let density = (-w * w / 2.0).exp() / TAU.sqrt();
        let normal = density / (1..=40).rev().fold(w, |below, k| w + f64::from(k) / below);
        normal + density * (1.0 / (values.sqrt() * excess) - 1.0 / w)
    };
    let (mut low, mut high) = (2.0 / values.sqrt(), 40.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if tail(middle) > chance {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::noise_rows;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const RATE_HZ: f64 = 10e6;
    const CENTER_HZ: f64 = 847e6;

    #[test]
    fn thresholds_are_quantiles_of_the_gamma_distribution() {
        // Chi-square with 20 and 200 degrees of freedom at 1e-3: 45.315 and 267.541 (tables); one value is exponential.
        for (values, chance, ratio) in [(10.0, 1e-3, 2.265_7), (100.0, 1e-3, 1.337_7), (1.0, 1e-9, 20.723)] {
            let excess = excess_at(values, chance);
            assert!((excess + 1.0 - ratio).abs() < 2e-3 * ratio, "{values}: {excess}");
        }
    }

    #[test]
    fn half_overlapping_hann_frames_hold_nearly_their_time_times_bandwidth() {
        // 40 frames by 100 bins: 40 hops of half a frame, 100 bins of one over a frame. Edges hold a little more.
        let values = independent(&correlation(), 40, 100);
        assert!((1900.0..2050.0).contains(&values), "{values}");
        let deviation = |values: f64| (1.0 / values).sqrt();
        assert!(deviation(independent(&correlation(), 1, 1)) == 1.0);
    }

    #[test]
    fn a_run_does_not_reach_over_a_gap() {
        let score = |i: usize| if (10..20).contains(&i) || (26..36).contains(&i) { 4.0 } else { -3.0 };
        assert_eq!(best_run(12..15, 50, score), 10..20);
        assert_eq!(best_run(5..40, 50, score), 10..20);
        let score = |i: usize| if (10..20).contains(&i) || (22..36).contains(&i) { 4.0 } else { -3.0 };
        assert_eq!(best_run(12..15, 50, score), 10..36);
    }

    #[test]
    fn levels_step_but_do_not_slope() {
        let step: Vec<f32> = (0..40).map(|i| if i < 18 { 1.8 } else { 3.4 }).collect();
        assert_eq!(step_in(&step, 20.0, 8, 27), Some((18, true)));
        let slope: Vec<f32> = (0..40).map(|i| 1.8 + i as f32 * 0.04).collect();
        assert_eq!(step_in(&slope, 20.0, 8, 9), None);
        assert_eq!(step_in(&step, 1.0, 8, 27), None);
    }

    #[test]
    fn of_too_many_boxes_the_rest_is_counted() {
        let (geometry, mut rng) = (FrameGeometry::for_rate(RATE_HZ), ChaCha8Rng::seed_from_u64(5));
        let (bins, floor) = (geometry.n_fft, vec![1.0; geometry.n_fft]);
        let mut grid = GridSearch::new(geometry, RATE_HZ, CENTER_HZ);
        let mut found = Vec::new();
        for chunk in 0..12 {
            let mut rows = noise_rows(&mut rng, geometry.chunk_frames, bins);
            if chunk == 10 {
                // Boxes of a block and a millisecond at 3 dB, with 2 blocks and 3 ms between them: 17 by 5 of them.
                for (frame, row) in rows.chunks_exact_mut(bins).enumerate() {
                    let filled = |bin: usize| bin % 29 < 9 && frame % 155 < 39;
                    row.iter_mut().enumerate().filter(|(bin, _)| filled(*bin)).for_each(|(_, p)| *p *= 3.0);
                }
            }
            grid.process(&rows, &floor, 0, u64::MAX, &mut found);
            assert!(chunk >= 10 || found.is_empty(), "{chunk}: {found:?}");
        }
        // What was left in the first chunk, and what the next one may have.
        assert!((BOXES_SAVED..=BOXES_SAVED + BOXES_A_CHUNK).contains(&found.len()), "{}", found.len());
        let all = found.len() as u64 + grid.overlooked();
        assert!((85..170).contains(&all), "{all}");
    }

    #[test]
    fn what_the_segmenter_shows_is_no_box_nor_is_its_skirt() {
        let (geometry, mut rng) = (FrameGeometry::for_rate(RATE_HZ), ChaCha8Rng::seed_from_u64(6));
        let (bins, floor) = (geometry.n_fft, vec![1.0; geometry.n_fft]);
        let bin_hz = RATE_HZ / bins as f64;
        for (is_told, boxes) in [(false, 1..9), (true, 0..1)] {
            let mut grid = GridSearch::new(geometry, RATE_HZ, CENTER_HZ);
            let mut found = Vec::new();
            for chunk in 0..12 {
                let mut rows = noise_rows(&mut rng, geometry.chunk_frames, bins);
                if chunk == 10 {
                    for row in rows.chunks_exact_mut(bins).skip(200).take(40) {
                        row[150..190].iter_mut().for_each(|p| *p *= 9.0);
                        row[192..204].iter_mut().for_each(|p| *p *= 1.6);
                    }
                    let at = chunk as u64 * geometry.chunk_frames as u64 + 200;
                    let hz = |bin: usize| CENTER_HZ + (bin as f64 - bins as f64 / 2.0 - 0.5) * bin_hz;
                    let (start, count) = (at * geometry.hop as u64, 40 * geometry.hop as u64);
                    let (low_hz, high_hz) = (hz(150), hz(190));
                    let region = Region { start, count, low_hz, high_hz, power: 1.0, snr_db: 9.03 };
                    if is_told {
                        found.push(Segment { region, age_s: 1e-3, is_glimpse: false, is_faint: false });
                    }
                }
                grid.process(&rows, &floor, 0, u64::MAX, &mut found);
            }
            let faint = found.iter().filter(|s| s.is_faint).count();
            assert!(boxes.contains(&faint), "{found:?}");
        }
    }
}
