//! Faint emissions that last one symbol and fill several megahertz: where a sounding may be.
//!
//! An SRS of 20 blocks or more lasts 71 µs (TS 36.211 5.5.3): 250 independent values, as many as a narrow allocation
//! has in a subframe, though in three frames. So the means of windows of that length are followed over parts of the
//! band. A spark of ignition looks the same by its energy: what is found is a hint, and counts where the classifier
//! proves the comb.

use crate::candidate::Region;
use crate::config::FrameGeometry;
use crate::grid::{CARRIER, MOST_CELL, MOST_RATIO, Size, Window, best_run, correlation, independent_cell};
use crate::segment::Segment;

/// A symbol with its prefix.
const LENGTH_S: f64 = 2_192.0 / 30.72e6;
/// The band is summed over parts of this width.
const PART_HZ: f64 = 300e3;
/// Widths of windows: 12, 20, 40 and 80 resource blocks.
const WIDTHS_HZ: [f64; 4] = [2.16e6, 3.6e6, 7.2e6, 14.4e6];
/// False alarms of each width in an hour of noise on 20 MHz: each costs a look.
const FALSE_PER_HOUR: f64 = 360.0;
/// Just before and after, no more than this share of it is there, and three deviations.
const MOST_AROUND: f32 = 0.4;
/// Looks in a chunk of 20 ms, the clearest first; what is not used is saved, up to so many.
const LOOKS_A_CHUNK: usize = 8;
const LOOKS_SAVED: usize = 32;

/// Finds pulses in one stream.
#[derive(Debug)]
pub struct PulseSearch {
    bins: usize,
    hop: usize,
    rate_hz: f64,
    center_hz: f64,
    /// Frames in a window, bins in a part, parts in the band, independent values of a part in a frame.
    length: usize,
    part: usize,
    parts: usize,
    values: f32,
    sizes: Vec<Size>,
    /// By frame, the oldest first: power over the floor summed over each part; the first is `first_frame`.
    frames: Vec<f32>,
    first_frame: u64,
    inverse: Vec<f32>,
    prefix: Vec<f32>,
    seen: u64,
    hot: Vec<Window>,
    last: Vec<Window>,
    /// The floor by height.
    order: Vec<f32>,
    looks: usize,
    overlooked: u64,
}

impl PulseSearch {
    /// For rows of `geometry` at `rate_hz`, tuned to `center_hz`; none where no sounding of that width fits.
    pub fn new(geometry: FrameGeometry, rate_hz: f64, center_hz: f64) -> Option<Self> {
        let bins = geometry.n_fft;
        let (bin_hz, frame_s) = (rate_hz / bins as f64, geometry.hop as f64 / rate_hz);
        let part = ((PART_HZ / bin_hz).round() as usize).max(1);
        let parts = bins / part;
        let length = ((LENGTH_S / frame_s).round() as usize).max(1);
        let size = |width_hz: &f64| {
            let wide = (width_hz / (part as f64 * bin_hz)).round() as usize;
            Size::new((length, 1, frame_s), (wide, part, parts, bin_hz), FALSE_PER_HOUR)
        };
        let sizes: Vec<Size> = WIDTHS_HZ.iter().filter_map(size).collect();
        if sizes.is_empty() {
            return None;
        }
        Some(Self {
            bins,
            hop: geometry.hop,
            rate_hz,
            center_hz,
            length,
            part,
            parts,
            values: (part as f64 * independent_cell(&correlation())) as f32,
            sizes,
            frames: Vec::with_capacity((geometry.chunk_frames + 8 * length) * parts),
            first_frame: 0,
            inverse: vec![0.0; bins],
            prefix: vec![0.0; parts + 1],
            seen: 0,
            hot: Vec::with_capacity(2048),
            last: Vec::with_capacity(2 * LOOKS_SAVED),
            order: Vec::with_capacity(bins),
            looks: 0,
            overlooked: 0,
        })
    }

    /// Begins anew with frame 0: something is missing before it. What is usual stays.
    pub fn begin(&mut self) {
        self.frames.clear();
        self.first_frame = 0;
        self.last.clear();
    }

    /// Pulses that were not looked at because there were too many.
    pub fn overlooked(&self) -> u64 {
        self.overlooked
    }

    /// Takes the next rows, `[frames][bins]`, and adds the pulses in them.
    pub fn process(&mut self, rows: &[f32], floor: &[f32], out: &mut Vec<Segment>) {
        self.inverse.iter_mut().zip(floor).for_each(|(i, f)| *i = 1.0 / f.max(f32::MIN_POSITIVE));
        let most = MOST_CELL * self.part as f32;
        for row in rows.chunks_exact(self.bins) {
            let parts = row.chunks_exact(self.part).zip(self.inverse.chunks_exact(self.part));
            self.frames.extend(parts.map(|(p, i)| sum_of_products(p, i).min(most)));
        }
        // What lies around a window is asked as well.
        let (length, around) = (self.length, 2 * self.length + 1);
        let held = self.frames.len() / self.parts;
        self.hot.clear();
        self.sizes.iter_mut().for_each(Size::forget_last);
        let judged = around..(held + 1).saturating_sub(length + around).max(around);
        for first in judged.clone() {
            self.judge(first);
        }
        self.choose(floor, out);
        let left = judged.end - around;
        self.frames.drain(..left * self.parts);
        self.first_frame += left as u64;
    }

    /// All windows that begin in one frame.
    fn judge(&mut self, first: usize) {
        let (parts, length) = (self.parts, self.length);
        let window = &self.frames[first * parts..(first + length) * parts];
        let mut sum = 0.0;
        for (part, p) in self.prefix[1..].iter_mut().enumerate() {
            sum += window[part..].iter().step_by(parts).sum::<f32>();
            *p = sum;
        }
        self.seen += 1;
        // A hundred windows that share nothing in a few chunks tell what is usual.
        let is_next = self.seen % (10 * length as u64) == 0;
        let window_s = (10 * length * self.hop) as f64 / self.rate_hz;
        let frame = self.first_frame + first as u64;
        for (index, size) in self.sizes.iter_mut().enumerate() {
            self.overlooked += size.find_hot(&self.prefix, index, frame, &mut self.hot);
            if is_next {
                size.follow(&self.prefix, (self.seen / (10 * length as u64)) as f64 * window_s, window_s);
            }
        }
    }

    /// Mean over frames and parts, as power over the floor.
    fn mean(&self, frames: std::ops::Range<usize>, (low, high): (usize, usize)) -> f32 {
        let cells = (frames.len() * (high - low) * self.part) as f32;
        let sum = |f: usize| self.frames[f * self.parts + low..f * self.parts + high].iter().sum::<f32>();
        frames.map(sum).sum::<f32>() / cells
    }

    /// The clearest of what was found, none near another.
    fn choose(&mut self, floor: &[f32], out: &mut Vec<Segment>) {
        self.looks = (self.looks + LOOKS_A_CHUNK).min(LOOKS_SAVED);
        let mut hot = std::mem::take(&mut self.hot);
        hot.sort_unstable_by(Window::clearest_first);
        let said = self.last.len();
        self.order.clear();
        if !hot.is_empty() {
            self.order.extend_from_slice(floor);
            self.order.select_nth_unstable_by(self.bins / 2, f32::total_cmp);
        }
        for window in &hot {
            let wide = self.sizes[window.size].wide;
            let is_near = |a: &Window| {
                let (low, high) =
                    (window.place.max(a.place), (window.place + wide).min(a.place + self.sizes[a.size].wide));
                a.end.abs_diff(window.end) < 2 * self.length as u64 && low < high
            };
            if self.last.iter().any(is_near) {
                continue;
            }
            if self.looks == 0 {
                self.overlooked += 1;
                continue;
            }
            self.last.push(*window);
            if let Some(segment) = self.segment(window, wide, floor) {
                self.looks -= 1;
                out.push(segment);
            }
        }
        self.last.drain(..said);
        self.hot = hot;
    }

    fn segment(&self, window: &Window, wide: usize, floor: &[f32]) -> Option<Segment> {
        let (length, usual) = (self.length, self.sizes[window.size].usual[window.place]);
        let first = (window.end - self.first_frame) as usize;
        let inside = window.place..window.place + wide;
        let scale = 1.0 / (1.0 + usual);
        let level = (self.mean(first..first + length, (inside.start, inside.end)) * scale).clamp(1.1, MOST_CELL);
        let (gain, loss, weight) = (1.0 - 1.0 / level, level.ln(), self.values * length as f32);
        let score = |p: usize| weight * (self.mean(first..first + length, (p, p + 1)) * scale * gain - loss);
        let run = best_run(inside, self.parts, score);
        let band = (run.start, run.end);
        let excess = self.mean(first..first + length, band) * scale - 1.0;
        // It is a pulse: neither before nor after is there as much.
        let most = MOST_AROUND * excess + 3.0 / (weight * run.len() as f32).sqrt();
        let before = self.mean(first - 2 * length..first - length, band) * scale - 1.0;
        let after = self.mean(first + length + 1..first + 2 * length + 1, band) * scale - 1.0;
        let bin_hz = self.rate_hz / self.bins as f64;
        if before > most || after > most || excess + 1.0 >= MOST_RATIO || excess <= 0.0 {
            return None;
        }
        // A frame speaks for the hop in its middle.
        let start = window.end * self.hop as u64 + (self.hop / 2) as u64;
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
        Some(Segment { region, age_s: 0.0, is_glimpse: false, is_faint: true })
    }
}

/// Eight sums side by side, which the compiler makes into one.
fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(s, (x, y))| *s += x * y);
    }
    sums.iter().sum::<f32>() + rest
}
