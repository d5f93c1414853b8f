//! Faint emissions that last one symbol and fill several megahertz: where a sounding may be.
//!
//! An SRS of 20 blocks or more lasts 71 µs (TS 36.211 5.5.3): 250 independent values, as many as a narrow allocation
//! has in a subframe, though in three frames. So the means of one step and of two over parts of the band are followed: it
//! lies in one, or in two. Where they stand out, the frames say where it begins and whether it is one symbol. A spark of
//! ignition looks the same by its energy: what is found is a hint, and counts where the classifier proves the comb.

use crate::candidate::Region;
use crate::config::FrameGeometry;
use crate::grid::{CARRIER, COARSE, MOST_RATIO, Size, Window, best_run, correlation, independent_cell};
use crate::segment::{HeldRows, Segment};
use crate::steps::{MOST_CELL, StepSums};
use std::ops::Range;

/// A symbol with its prefix.
const LENGTH_S: f64 = 2_192.0 / 30.72e6;
/// Lengths of windows in steps.
const LENGTHS: [usize; 2] = [1, 2];
/// Widths of windows: 12, 20, 40 and 80 resource blocks.
const WIDTHS_HZ: [f64; 4] = [2.16e6, 3.6e6, 7.2e6, 14.4e6];
/// Around a window, the frames are summed over parts of this width.
const PART_HZ: f64 = 300e3;
/// False alarms of each width in an hour of noise on 20 MHz: each costs a look.
const FALSE_PER_HOUR: f64 = 360.0;
/// One window in so many says what is usual: a hundred in a few chunks.
const USUAL_EVERY: u64 = 10;
/// Just before and after, no more than this share of it is there, and three deviations.
const MOST_AROUND: f32 = 0.4;
/// Looks in a chunk of 20 ms, the clearest first; what is not used is saved, up to so many. And windows whose frames are
/// summed for them.
const LOOKS_A_CHUNK: usize = 8;
const LOOKS_SAVED: usize = 32;
const TRIES_A_CHUNK: usize = 64;

/// Finds pulses in one stream.
#[derive(Debug)]
pub struct PulseSearch {
    bins: usize,
    hop: usize,
    rate_hz: f64,
    center_hz: f64,
    step_frames: usize,
    /// Frames in a symbol, bins in a part, parts in the band, independent values of a part in a frame.
    length: usize,
    part: usize,
    parts: usize,
    values: f32,
    sizes: Vec<Size>,
    /// By length: every so many of the running sums.
    coarse: [Vec<f32>; LENGTHS.len()],
    /// `[frames][parts]`: power over the floor summed over each part, around the window that is looked at.
    frames: Vec<f32>,
    hot: Vec<Window>,
    last: Vec<Window>,
    /// The floor by height.
    order: Vec<f32>,
    looks: usize,
    overlooked: u64,
}

impl PulseSearch {
    /// For the steps of rows of `geometry` at `rate_hz`, tuned to `center_hz`; none where no sounding of that width fits.
    pub fn new(steps: &StepSums, geometry: FrameGeometry, rate_hz: f64, center_hz: f64) -> Option<Self> {
        let bins = geometry.n_fft;
        let (bin_hz, frame_s) = (rate_hz / bins as f64, geometry.hop as f64 / rate_hz);
        let part = ((PART_HZ / bin_hz).round() as usize).max(1);
        let length = ((LENGTH_S / frame_s).round() as usize).max(1);
        let (stride, strides, step_frames) = (COARSE * steps.stride(), steps.strides() / COARSE, steps.frames());
        let size = |(index, width_hz): (usize, f64)| {
            let wide = (width_hz / (stride as f64 * bin_hz)).round() as usize;
            let time = (LENGTHS[index], step_frames, frame_s);
            let size = Size::new(time, (wide, stride, strides, bin_hz), FALSE_PER_HOUR)?;
            Some(size.of_means(index, 1.0 / step_frames as f32))
        };
        let sizes = (0..LENGTHS.len()).flat_map(|index| WIDTHS_HZ.map(|width_hz| (index, width_hz)));
        let sizes: Vec<Size> = sizes.filter_map(size).collect();
        if sizes.is_empty() {
            return None;
        }
        let around = 2 * step_frames + 7 * length;
        Some(Self {
            bins,
            hop: geometry.hop,
            rate_hz,
            center_hz,
            step_frames,
            length,
            part,
            parts: bins / part,
            values: (part as f64 * independent_cell(&correlation())) as f32,
            sizes,
            coarse: [vec![0.0; strides + 1], vec![0.0; strides + 1]],
            frames: Vec::with_capacity(around * (bins / part)),
            hot: Vec::with_capacity(2048),
            last: Vec::with_capacity(2 * LOOKS_SAVED),
            order: Vec::with_capacity(bins),
            looks: 0,
            overlooked: 0,
        })
    }

    /// Begins anew with frame 0: something is missing before it. What is usual stays.
    pub fn begin(&mut self) {
        self.hot.clear();
        self.last.clear();
    }

    /// Pulses that were not looked at because there were too many.
    pub fn overlooked(&self) -> u64 {
        self.overlooked
    }

    /// Takes what the last rows gave, which `rows` hold as well, and adds the pulses that are known whole.
    pub fn process(&mut self, steps: &StepSums, rows: HeldRows<'_>, floor: &[f32], out: &mut Vec<Segment>) {
        self.sizes.iter_mut().for_each(Size::forget_last);
        for step in steps.new_steps() {
            self.judge(steps, step);
        }
        self.choose(rows, floor, out);
    }

    /// All windows that end with one step.
    fn judge(&mut self, steps: &StepSums, step: u64) {
        let [one, two] = &mut self.coarse;
        let line = steps.line(step);
        one.iter_mut().zip(line.iter().step_by(COARSE)).for_each(|(c, s)| *c = *s);
        if let Some(before) = step.checked_sub(1) {
            let both = line.iter().zip(steps.line(before)).step_by(COARSE);
            two.iter_mut().zip(both).for_each(|(c, (a, b))| *c = a + b);
        }
        for (at, size) in self.sizes.iter_mut().enumerate() {
            let length = LENGTHS[size.length] as u64;
            if step + 1 < length {
                continue;
            }
            let sums = &self.coarse[size.length];
            self.overlooked += size.find_hot(sums, at, step + 1, &mut self.hot);
            let every = USUAL_EVERY * length;
            if step % every == 0 {
                let window_s = (every as usize * self.step_frames * self.hop) as f64 / self.rate_hz;
                size.follow(sums, window_s);
            }
        }
    }

    /// Mean over the frames and parts that were summed, as power over the floor.
    fn mean(&self, frames: Range<usize>, parts: Range<usize>) -> f32 {
        let cells = (frames.len() * parts.len() * self.part) as f32;
        let sum = |f: usize| self.frames[f * self.parts + parts.start..f * self.parts + parts.end].iter().sum::<f32>();
        frames.map(sum).sum::<f32>() / cells
    }

    /// The clearest of what was found, none near another.
    fn choose(&mut self, rows: HeldRows<'_>, floor: &[f32], out: &mut Vec<Segment>) {
        self.looks = (self.looks + LOOKS_A_CHUNK).min(LOOKS_SAVED);
        let mut hot = std::mem::take(&mut self.hot);
        hot.sort_unstable_by(Window::clearest_first);
        let said = self.last.len();
        self.order.clear();
        if !hot.is_empty() {
            self.order.extend_from_slice(floor);
            self.order.select_nth_unstable_by(self.bins / 2, f32::total_cmp);
        }
        // What lies around a window is asked as well.
        let held = rows.end(self.bins);
        let (reach, step_frames) = ((4 * self.length) as u64, self.step_frames as u64);
        let is_known = |w: &Window| w.end * step_frames + reach <= held;
        let mut tries = TRIES_A_CHUNK;
        for window in hot.iter().filter(|w| is_known(w)) {
            let bins_of = |w: &Window| {
                let size = &self.sizes[w.size];
                w.place * size.stride..(w.place + size.wide) * size.stride
            };
            let band = bins_of(window);
            let is_near = |a: &Window| {
                let other = bins_of(a);
                a.end.abs_diff(window.end) < 3 && band.start < other.end && other.start < band.end
            };
            if self.last.iter().any(is_near) {
                continue;
            }
            if self.looks == 0 || tries == 0 {
                self.overlooked += 1;
                continue;
            }
            tries -= 1;
            self.last.push(*window);
            if let Some(segment) = self.segment(window, band, rows, floor) {
                self.looks -= 1;
                out.push(segment);
            }
        }
        self.last.drain(..said);
        hot.retain(|w| !is_known(w));
        self.hot = hot;
    }

    /// The pulse that makes a window hot, if it is one.
    fn segment(&mut self, window: &Window, bins: Range<usize>, rows: HeldRows<'_>, floor: &[f32]) -> Option<Segment> {
        let (length, size) = (self.length, &self.sizes[window.size]);
        let scale = 1.0 / (1.0 + size.usual[window.place]);
        let end = window.end * self.step_frames as u64;
        // It begins within the window or a symbol before, and as much again is asked before and after.
        let steps = LENGTHS[size.length] * self.step_frames;
        let from = end.checked_sub((steps + 3 * length) as u64).filter(|&f| f >= rows.first)?;
        let most = MOST_CELL * self.part as f32;
        self.frames.clear();
        for frame in from..end + 4 * length as u64 {
            let row = rows.row(frame, self.bins)?;
            let parts = row.chunks_exact(self.part).zip(floor.chunks_exact(self.part));
            let over =
                |(p, f): (&[f32], &[f32])| p.iter().zip(f).map(|(p, f)| p / f.max(f32::MIN_POSITIVE)).sum::<f32>();
            self.frames.extend(parts.map(|part| over(part).min(most)));
        }
        let inside = bins.start / self.part..(bins.end.div_ceil(self.part)).min(self.parts);
        let level_at = |first: usize| self.mean(first..first + length, inside.clone());
        let starts = 2 * length..steps + 3 * length;
        let (level, first) = starts.map(|f| (level_at(f), f)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
        let level = (level * scale).clamp(1.1, MOST_CELL);
        let (gain, loss, weight) = (1.0 - 1.0 / level, level.ln(), self.values * length as f32);
        let score = |p: usize| weight * (self.mean(first..first + length, p..p + 1) * scale * gain - loss);
        let run = best_run(inside, self.parts, score);
        let mean = |frames: Range<usize>| self.mean(frames, run.clone()) * scale - 1.0;
        let excess = mean(first..first + length);
        // It is a pulse: neither before nor after is there as much.
        let most = MOST_AROUND * excess + 3.0 / (weight * run.len() as f32).sqrt();
        let (before, after) =
            (mean(first - 2 * length..first - length), mean(first + length + 1..first + 2 * length + 1));
        let bin_hz = self.rate_hz / self.bins as f64;
        if before > most || after > most || excess + 1.0 >= MOST_RATIO || excess <= 0.0 {
            return None;
        }
        // A frame speaks for the hop in its middle.
        let start = (from + first as u64) * self.hop as u64 + (self.hop / 2) as u64;
        let hz = |bin: usize| self.center_hz + (bin as f64 - self.bins as f64 / 2.0 - 0.5) * bin_hz;
        let (low, high) = (run.start * self.part, run.end * self.part);
        // The halves of a symbol agree as well where a carrier stands.
        let most = CARRIER * self.order[self.bins / 2];
        if floor[low..high].iter().any(|&f| f > most) {
            return None;
        }
        let noise: f32 = floor[low..high].iter().sum();
        let region = Region {
            start,
            count: (length * self.hop) as u64,
            low_hz: hz(low),
            high_hz: hz(high),
            power: f64::from(excess * noise) * bin_hz,
            snr_db: 10.0 * f64::from(excess).log10(),
        };
        Some(Segment { region, age_s: 0.0, is_glimpse: false, is_faint: true, is_alone: false })
    }
}
