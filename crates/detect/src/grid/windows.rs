//! Windows of one size all over the band: which of them stand out, of noise and of what is usual at their place.

use super::again::LEAST_EXCESS;
use super::chance::{correlation, excess_at, independent};
use std::cmp::Ordering;

const BUDGET_HZ: f64 = 20e6;
/// Windows overlap: so many times more are tried than there are independent ones, as far as chance is concerned. Measured:
/// at ten thousand times the budget 30 s of noise at 10 Msps hold 298 boxes, 22 times those of independent windows.
const OVERLAP: f64 = 25.0;
/// A window's, above which the segmenter shows the emission.
pub(crate) const MOST_RATIO: f32 = 24.0;
/// What is usual at a place follows the last second; at the start, the later half of what there was.
const USUAL_S: f64 = 1.0;
/// The floor of the first chunks may be wrong by so much; after so many seconds, half of that is known to be usual.
const FLOOR_ERROR: f32 = 0.08;
const FLOOR_S: f64 = 0.2;
/// It follows what is off by so many deviations below and above at the most, and is corrected for what noise loses by
/// that: the mean of values that are cut so is lower. Bursts do not make themselves usual.
const CLIP_SIGMAS: (f32, f32) = (2.0, 0.5);
/// The floor moves by some hundredths while it learns, and wide windows with it: they follow at least by so much.
const CLIP_LEAST: f32 = 0.01;
/// Share of the time above which what is over the noise is usual itself, and counts in how much the level there moves.
const MOST_OFTEN: f32 = 0.4;

/// Windows of one size.
#[derive(Debug)]
pub(crate) struct Size {
    /// Which length.
    pub(crate) length: usize,
    /// Bins from place to place, and places in a window.
    pub(crate) stride: usize,
    pub(crate) wide: usize,
    /// Cells in a window.
    pub(super) cells: f32,
    /// Independent values.
    values: f32,
    sigma: f32,
    /// At how many deviations what is above is cut, and what noise loses by both cuts: `L(c) - L(2)` with
    /// `L(c) = phi(c) - c Q(c)`, the mean of what is beyond `c`.
    clip: (f32, f32),
    /// Of one window.
    chance: f64,
    /// Excess over the noise that the budget allows, and that of windows that come in pairs.
    limit: f32,
    pair_limit: f32,
    /// By place: excess that is usual, its mean square about that, the sum above which a window is hot (as one of a pair),
    /// and how often it is more than noise.
    pub(crate) usual: Vec<f32>,
    square: Vec<f32>,
    pub(super) bound: Vec<f32>,
    often: Vec<f32>,
    /// Windows that were taken in as usual, and by how much the floor may be wrong still.
    seen: f64,
    error: f32,
    /// By half a window's width: what was found last, as half a window's length and index.
    last: Vec<(u64, usize)>,
    half: (u64, usize),
}

/// A window that is hot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Log likelihood of its level against the usual one.
    pub(super) gain: f32,
    /// When it is: the step behind its last, of a pulse its first frame.
    pub(crate) end: u64,
    pub(crate) size: usize,
    pub(crate) place: usize,
    /// Whether the budget allows it alone; else it counts where another one is at its place.
    pub(super) is_sure: bool,
}

impl Window {
    pub(crate) fn clearest_first(a: &Self, b: &Self) -> Ordering {
        b.gain.total_cmp(&a.gain).then((a.end, a.size, a.place).cmp(&(b.end, b.size, b.place)))
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
        let chance = false_per_hour / (windows * OVERLAP);
        let (cells, limit) = ((frames * width) as f32, excess_at(values, chance) as f32);
        let sigma = (1.0 / values.sqrt()) as f32;
        let above = (CLIP_LEAST / sigma).clamp(CLIP_SIGMAS.1, CLIP_SIGMAS.0);
        Some(Self {
            length: 0,
            stride,
            wide,
            cells,
            values: values as f32,
            sigma,
            clip: (above, beyond(above) - beyond(CLIP_SIGMAS.0)),
            chance,
            limit,
            pair_limit: limit,
            usual: vec![0.0; places],
            square: vec![0.0; places],
            bound: vec![cells * (1.0 + limit); places],
            often: vec![0.0; places],
            seen: 0.0,
            error: FLOOR_ERROR,
            last: vec![(u64::MAX, 0); places / (wide / 2).max(1) + 1],
            half: ((steps / 2).max(1) as u64, (wide / 2).max(1)),
        })
    }

    /// The same for windows of the length with index `length`, where the cells that are summed are means of several.
    pub(crate) fn of_means(mut self, length: usize, scale: f32) -> Self {
        self.length = length;
        self.cells *= scale;
        self.bound.iter_mut().for_each(|b| *b *= scale);
        self
    }

    /// The same, where windows are hot as well of which two are at one place: each may have its partner at so many others,
    /// so that as many pairs as single windows pass by chance.
    pub(crate) fn of_pairs(mut self, partners: f64) -> Self {
        let limit = excess_at(f64::from(self.values), (self.chance / partners).sqrt()) as f32;
        self.pair_limit = limit.max(LEAST_EXCESS).min(self.limit);
        let scale = (1.0 + self.pair_limit) / (1.0 + self.limit);
        self.bound.iter_mut().for_each(|b| *b *= scale);
        self
    }

    /// The share of the time in which a place holds more than noise.
    pub(super) fn often(&self, place: usize) -> f32 {
        self.often[place]
    }

    /// By how much the floor may be wrong.
    pub(super) fn error(&self) -> f32 {
        self.error
    }

    /// Whether a sum at a place is more than the budget allows one window.
    pub(super) fn is_sure(&self, place: usize, sum: f32) -> bool {
        sum > self.bound[place] + self.cells * (self.limit - self.pair_limit) * self.scale(place)
    }

    /// How much more the place's level moves than noise of one does.
    pub(super) fn scale(&self, place: usize) -> f32 {
        (1.0 + self.usual[place]).max(self.square[place].sqrt() / self.sigma)
    }

    /// The windows that were found are not to be touched any more.
    pub(crate) fn forget_last(&mut self) {
        self.last.fill((u64::MAX, 0));
    }

    /// Adds the places of `prefix` that are hot and no less than those beside them, the clearest of half a window's length and
    /// width: a large emission makes many windows hot. Gives how many found no room.
    pub(crate) fn find_hot(&mut self, prefix: &[f32], size: usize, end: u64, hot: &mut Vec<Window>) -> u64 {
        let wide = self.wide;
        let sums = || prefix[wide..].iter().zip(prefix).map(|(high, low)| high - low);
        if sums().zip(&self.bound).fold(0, |any, (sum, bound)| any | u32::from(sum > *bound)) == 0 {
            return 0;
        }
        let (mut before, mut overlooked) = (0.0, 0);
        for (place, sum) in sums().enumerate() {
            let next = prefix.get(place + 1 + wide).map_or(0.0, |high| high - prefix[place + 1]);
            if sum > self.bound[place] && sum >= before && sum > next && sum < MOST_RATIO * self.cells {
                let ratio = sum / self.cells / (1.0 + self.usual[place]);
                let values = self.values * ((1.0 + self.usual[place]) / self.scale(place)).powi(2);
                let gain = values * (ratio - 1.0 - ratio.ln());
                let window = Window { gain, end, size, place, is_sure: self.is_sure(place, sum) };
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

    /// Takes a window in as usual, of which there is one `every_s`.
    pub(crate) fn follow(&mut self, prefix: &[f32], every_s: f64) {
        self.seen += 1.0;
        let seen_s = self.seen * every_s;
        let weight = (every_s / (0.5 * (seen_s + FLOOR_S)).min(USUAL_S)).min(1.0) as f32;
        self.error = FLOOR_ERROR / (1.0 + seen_s / FLOOR_S) as f32;
        let error = self.error;
        let (scale, (above, loss)) = (1.0 / self.cells, self.clip);
        let sums = prefix[self.wide..].iter().zip(prefix).map(|(high, low)| high - low);
        let places = self.usual.iter_mut().zip(&mut self.square).zip(&mut self.bound).zip(&mut self.often);
        for (sum, (((usual, square), bound), often)) in sums.zip(places) {
            let off = sum * scale - 1.0 - *usual;
            let noise = self.sigma * (1.0 + *usual);
            let deviation = square.sqrt().max(noise);
            let is_over = off > self.limit * (1.0 + *usual);
            *often += weight * (f32::from(u8::from(is_over)) - *often);
            let (least, most) = (-CLIP_SIGMAS.0 * deviation, above * deviation);
            // What is below tells how much noise moves, unless more than noise is usual.
            let (below, within) = (off.max(least).min(0.0), off.max(least).min(-least));
            let moved = if *often < MOST_OFTEN { 2.0 * below * below } else { within * within };
            *square += weight * (moved - *square);
            *usual += weight * (off.max(least).min(most) + loss * noise);
            let moves = (1.0 + *usual).max(square.sqrt() / self.sigma);
            *bound = self.cells * (1.0 + *usual + self.pair_limit * moves + error);
        }
    }
}

/// The mean of what a normal value of deviation 1 has beyond `c`, 0 where it is less (`Q` by Abramowitz and Stegun 26.2.17).
fn beyond(c: f32) -> f32 {
    let c = f64::from(c);
    let t = 1.0 / (1.0 + 0.231_641_9 * c);
    let density = (-c * c / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let tail = density * terms.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    (density - c * tail) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_noise_loses_where_it_is_cut() {
        // Tables of the unit normal loss function.
        for (c, loss) in [(0.5, 0.197_8), (1.0, 0.083_3), (2.0, 0.008_49)] {
            assert!((beyond(c) - loss).abs() < 1e-4, "{c}: {}", beyond(c));
        }
    }
}
