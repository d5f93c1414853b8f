//! What the segmenter shows: it is taken out, and what a strong emission makes beside itself is none of its own.

use super::past::{Area, Past};
use crate::segment::Segment;
use std::collections::VecDeque;

/// A segment of this level is taken out; a fainter one may be a piece of something larger.
const SHOWN_DB: f64 = 9.0;
/// What a strong emission makes beside itself, whatever its shape: (reach in Hz, level below). And the mirrored image of an
/// unbalanced receiver.
const SKIRTS: [(f64, f32); 2] = [(100e3, 0.1), (300e3, 2e-2)];
const IMAGE: f32 = 3e-3;
/// Sidelobes over so many halves of its width: those of half-sine chips (IEEE 802.15.4) are 23 dB down and have edges, until
/// they are lost.
const SIDELOBES: (usize, f32) = (3, 1e-2);
const DEEPEST_SIDELOBE: f32 = 1e-4;
/// What leaks all over the band where symbols meet, and where it begins and ends: that has no edges.
const LEAKAGE: f32 = 1e-3;
/// Beside an edge, so many bins after so many are asked.
const EDGE_BINS: usize = 6;
const EDGE_GAP: usize = 2;
/// So many are remembered at once, the latest.
const MOST_SHOWN: usize = 2_048;

/// What the segmenter shows.
#[derive(Clone, Copy, Debug)]
struct Shown {
    area: Area,
    excess: f32,
    is_continuous: bool,
}

/// Where steps and bins are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) bins: usize,
    pub(super) bin_hz: f64,
    pub(super) center_hz: f64,
    /// Samples from frame to frame, and frames in a step.
    pub(super) hop: usize,
    pub(super) step_frames: usize,
}

/// What was shown of the steps that are held.
#[derive(Debug)]
pub(super) struct ShownEmissions {
    scale: Scale,
    all: VecDeque<Shown>,
}

impl ShownEmissions {
    pub(super) fn new(scale: Scale) -> Self {
        Self { scale, all: VecDeque::with_capacity(MOST_SHOWN) }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    pub(super) fn forget_before(&mut self, first: u64) {
        self.all.retain(|s| s.area.to > first);
    }

    /// Takes a segment in, and says what is to be taken out with it; nothing where it may be a piece of something larger.
    pub(super) fn show(&mut self, segment: &Segment) -> Option<Area> {
        let region = &segment.region;
        if region.snr_db < SHOWN_DB && !segment.is_continuous() {
            return None;
        }
        let Scale { bins, bin_hz, center_hz, hop, step_frames } = self.scale;
        // Frames that see something of it, and one more step where it is strong.
        let is_strong = region.snr_db > 20.0;
        let (more, wider) = if is_strong { (1.0, 4.0) } else { (0.0, 2.0) };
        let frame = |sample: u64| (sample as f64 - hop as f64 / 2.0) / hop as f64;
        let step = |frame: f64| frame / step_frames as f64;
        let bin = |hz: f64| (hz - center_hz) / bin_hz + bins as f64 / 2.0 + 0.5;
        let area = Area {
            from: (step(frame(region.start) - 1.0) - more).max(0.0) as u64,
            to: (step(frame(region.start + region.count) + 1.0) + more).max(0.0).ceil() as u64,
            low: (bin(region.low_hz) - wider).max(0.0) as usize,
            high: ((bin(region.high_hz) + wider).max(0.0) as usize).min(bins),
        };
        if self.all.len() == MOST_SHOWN {
            self.all.pop_front();
        }
        let excess = 10f32.powf(region.snr_db as f32 / 10.0);
        self.all.push_back(Shown { area, excess, is_continuous: segment.is_continuous() });
        Some(area)
    }

    /// Whether this is what a strong emission makes beside itself. `past` holds what is around it; of a seed that is to grow yet,
    /// `is_whole` is false.
    pub(super) fn is_part(&self, past: &Past, area: Area, excess: f32, is_whole: bool) -> bool {
        let mut alone = None;
        self.all.iter().any(|shown| {
            let Shown { area: of, excess: strong, is_continuous } = shown;
            let common = area.to.min(of.to).saturating_sub(area.from.max(of.from));
            if 10 * common < 3 * (area.to - area.from) {
                return false;
            }
            let apart = area.low.saturating_sub(of.high).max(of.low.saturating_sub(area.high));
            let apart_hz = apart as f64 * self.scale.bin_hz;
            // What is always on moves in its band, and its edges come and go.
            if *is_continuous && apart_hz < SKIRTS[1].0 {
                return true;
            }
            let (low, high) = (self.scale.bins - of.high.min(self.scale.bins), self.scale.bins - of.low);
            if excess < IMAGE * strong && area.low < high && low < area.high {
                return true;
            }
            if SKIRTS.iter().any(|&(reach_hz, level)| apart_hz < reach_hz && excess < level * strong) {
                return true;
            }
            let is_sidelobe = 2 * apart < SIDELOBES.0 * (of.high - of.low) && excess < SIDELOBES.1 * strong;
            let is_far = excess < LEAKAGE * strong;
            (is_sidelobe || is_far)
                && (excess > DEEPEST_SIDELOBE * strong && is_sidelobe
                    || !*alone.get_or_insert_with(|| self.stands_alone(past, area, excess, is_whole)))
        })
    }

    /// Whether an area has edges: what leaks falls slowly, away from what it leaks from. Beside it, to both sides, is no more
    /// than half of what is in it, measured on what is not taken out; beside a seed, that is asked as far away as it is wide.
    fn stands_alone(&self, past: &Past, area: Area, excess: f32, is_whole: bool) -> bool {
        let at_once = |s: &&Shown| s.area.from < area.to && area.from < s.area.to;
        let others = || self.all.iter().filter(at_once).map(|s| s.area);
        // Up to the next that was taken out, there is no saying what is below it.
        let below = others().filter(|o| o.low < area.low).map(|o| o.high.min(area.low)).max().unwrap_or(0);
        let above = others().filter(|o| o.high > area.high).map(|o| o.low.max(area.high)).min();
        let above = above.unwrap_or(self.scale.bins);
        let is_quiet = |room: usize, at: &dyn Fn(usize) -> (usize, usize)| {
            let gap = if is_whole { EDGE_GAP } else { (area.high - area.low).min(room / 2) };
            let wide = EDGE_BINS.min(room.saturating_sub(gap));
            if wide < EDGE_BINS / 2 {
                return false;
            }
            let (low, high) = at(gap + wide);
            let (low, high) = if low < area.low { (low, low + wide) } else { (high - wide, high) };
            past.mean_of_left(Area { low, high, ..area }).is_some_and(|mean| mean - 1.0 < 0.5 * excess)
        };
        is_quiet(area.low - below, &|reach| (area.low - reach, area.low))
            && is_quiet(above - area.high, &|reach| (area.high, area.high + reach))
    }
}
