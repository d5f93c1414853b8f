//! Reports that are too faint one by one, and come again at one pair of blocks.
//!
//! A phone in a call or with data answers and reports on the PUCCH: one block at one side of the carrier for a slot, and one at the
//! other side for the next (TS 36.211 5.4.3), at the same pair of blocks for as long as its base station does not change that (TS
//! 36.213 clause 10.1). At -4 dB a slot is 4 deviations above the noise; so many blocks reach that by chance that none tells
//! anything. But five at one pair within a second do.
//!
//! Where a learned base station tells when slots begin and where blocks lie, each subframe's likelihood ratio for a PUCCH against
//! noise is followed for each pair of blocks by a cumulative sum (Page 1954): noise alone takes as long on the mean to pass `h` as
//! `exp(h)` subframes (Lorden 1971). It is energy in places and at times that are the base station's; nothing is demodulated.

use crate::carrier::GridNear;
use cellwarden_standards::lte;

/// A carrier's outermost blocks are no farther from its preambles.
const REACH_HZ: f64 = 20e6;
/// Share of the receiver's band that its filters pass.
const PASSED: f64 = 0.9;
/// Base stations that are followed at once.
const MOST_FOLLOWED: usize = 2;
/// Levels over the noise that a report may have: -5, -2, 1 and 5 dB; what is stronger shows by itself.
const LEVELS: [f32; 4] = [0.316, 0.631, 1.26, 3.16];
/// Share of the subframes in which a phone reports at its pair: each 40 ms.
const SHARE: f32 = 1.0 / 40.0;
/// Pairs that pass by chance, in hours of noise for each base station: one in so many.
const FALSE_HOURS: f64 = 20.0;
const SUBFRAMES_AN_HOUR: f64 = 3.6e6;
/// How far the sum goes on above what is asked for: a pair stays in use for a second without reports.
const MORE: f32 = 4.0;
/// So sure is each report that is told: 19 of 20.
const SURE_LN: f32 = 3.0;
/// A block whose likelihood ratio is less in its slot is no half of a report; and so many of them in a slot are something else.
const LEAST_LN: f32 = 1.5;
const MOST_AT_ONCE: usize = 12;
/// A ratio is no more than this, and counts no more than this share of what shows a pair to be in use: however strong two emissions
/// are, they meet by chance now and then.
const MOST_LN: f32 = 30.0;
const MOST_SHARE: f32 = 0.34;
/// In the other slot, and before the subframe, a report's block is left: no more than this share of its excess is there.
const MOST_IN_OTHER: f32 = 0.5;
/// A report is one block wide, and another phone's may be beside it: of more blocks side by side that have this share of its
/// excess at the least, it is a part of something wider.
const AS_MUCH: f32 = 0.3;
const MOST_BESIDE: usize = 2;
/// What a block has less than this of what is beside it, and anywhere in the slot, may be leaked.
const LEAST_OF_NEAR: f32 = 0.1;
const LEAST_OF_ALL: f32 = 3e-3;
const NEAR: usize = 2;
/// What is usual in a block follows so many slots, and is known after so many.
const USUAL_SLOTS: f32 = 2_000.0;
const USUAL_LEAST: u32 = 200;
const USUAL_SIGMAS: f32 = 2.0;
/// Steps of each slot at the least: one may be lost where a subframe's time is corrected.
const LEAST_STEPS: u32 = 4;
/// Two grids are one if no farther apart.
const SAME_HZ: f64 = 90e3;
const SAME_S: f64 = 0.1e-3;

/// A report at a pair that is in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Which of the known base stations it is sent to.
    pub base_station: usize,
    /// When its first slot begins, in seconds of the stream.
    pub start_s: f64,
    /// Lower edges of its two blocks, by slot, absolute.
    pub low_hz: [f64; 2],
    /// Its power over the noise in them.
    pub excess: [f32; 2],
    /// Natural logarithm of its own likelihood ratio.
    pub ln_ratio: f64,
    /// The sum over the last reports at this pair.
    pub ln_in_use: f64,
}

/// A pair's cumulative sum, and the subframe of its last change.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    sum: f32,
    at: u32,
}

/// One base station's carrier.
#[derive(Debug)]
struct Followed {
    base_station: usize,
    preamble_hz: f64,
    /// Lower edge of the first block, and the bins at which blocks begin and end.
    low_hz: f64,
    bins: Vec<usize>,
    /// When the subframe begins that is summed, and by slot: steps of it, power over the floor by block.
    start_s: f64,
    steps: [u32; 2],
    sums: [Vec<f32>; 2],
    /// The same of the slot before the subframe, 1 where nothing is known of it.
    before: Vec<f32>,
    /// Excess that is usual, by block, of so many slots.
    usual: Vec<f32>,
    seen: u32,
    /// `[blocks][blocks]`: by the block of the first slot, and that of the second.
    pairs: Vec<Pair>,
    subframe: u32,
    /// The sum from which on a pair is in use.
    in_use: f32,
    is_current: bool,
}

/// A block that stands out in a slot.
#[derive(Clone, Copy, Debug)]
struct Standing {
    block: usize,
    ln: [f32; LEVELS.len()],
}

/// Follows the reports of one stream.
#[derive(Debug)]
pub struct ReportSearch {
    bins: usize,
    bin_hz: f64,
    center_hz: f64,
    step_s: f64,
    /// Independent values of a bin in a step.
    value: f32,
    followed: Vec<Followed>,
    standing: [Vec<Standing>; 2],
    found: Vec<Report>,
}

impl ReportSearch {
    /// For steps of `step_s` with `bins` bins of `bin_hz` around `center_hz`, each of them `value` independent values.
    pub fn new((bins, bin_hz, center_hz): (usize, f64, f64), step_s: f64, value: f32) -> Self {
        let standing = [Vec::with_capacity(MOST_AT_ONCE + 1), Vec::with_capacity(MOST_AT_ONCE + 1)];
        let followed = Vec::with_capacity(MOST_FOLLOWED);
        Self { bins, bin_hz, center_hz, step_s, value, followed, standing, found: Vec::with_capacity(64) }
    }

    /// Something is missing before the next step. What is in use stays.
    pub fn begin(&mut self) {
        self.followed.iter_mut().for_each(Followed::drop_subframe);
        self.found.clear();
    }

    /// Takes steps, `[steps][bins]` of power over the floor, the first of which begins at `start_s`, in seconds of the stream;
    /// `grids` are those of the base stations near there.
    pub fn take(&mut self, steps: &[f32], start_s: f64, grids: impl Iterator<Item = GridNear>) {
        self.followed.iter_mut().for_each(|f| f.is_current = false);
        for grid in grids.take(MOST_FOLLOWED) {
            let origin_s = grid.subframe_s - 0.5 * (grid.early_s - grid.late_s);
            let Some(at) = self.follow(&grid, origin_s) else { continue };
            let Self { followed, standing, found, step_s, value, .. } = self;
            let followed = &mut followed[at];
            for (i, row) in steps.chunks_exact(self.bins).enumerate() {
                let middle_s = start_s + (i as f64 + 0.5) * *step_s;
                let subframes = ((middle_s - origin_s) / lte::SUBFRAME_S).floor();
                let subframe_s = origin_s + subframes * lte::SUBFRAME_S;
                if (subframe_s - followed.start_s).abs() > 0.5 * lte::SUBFRAME_S {
                    followed.end_subframe(*value, standing, found);
                    followed.start_s = subframe_s;
                }
                followed.add(row, usize::from(middle_s - subframe_s >= lte::SLOT_S));
            }
        }
        // What is not heard of any more is left.
        self.followed.iter_mut().filter(|f| !f.is_current).for_each(Followed::drop_subframe);
    }

    /// Whether any base station is followed.
    pub fn is_following(&self) -> bool {
        !self.followed.is_empty()
    }

    /// Takes out the reports whose subframe ended before `end_s`, in seconds of the stream, in order.
    pub fn take_found(&mut self, end_s: f64) -> impl Iterator<Item = Report> + '_ {
        self.found.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
        let due = self.found.partition_point(|r| r.start_s + lte::SUBFRAME_S <= end_s);
        self.found.drain(..due)
    }

    /// Where a grid is followed; none where no carrier's blocks are heard.
    fn follow(&mut self, grid: &GridNear, origin_s: f64) -> Option<usize> {
        let reach_hz = 0.5 * PASSED * self.bins as f64 * self.bin_hz;
        let block_hz = lte::RB_HZ;
        let lowest_hz = (self.center_hz - reach_hz).max(grid.preamble_hz - REACH_HZ);
        let highest_hz = (self.center_hz + reach_hz).min(grid.preamble_hz + REACH_HZ);
        let below = ((grid.block_edge_hz - lowest_hz) / block_hz).floor();
        let low_hz = grid.block_edge_hz - below * block_hz;
        let blocks = ((highest_hz - low_hz) / block_hz).floor().max(0.0) as usize;
        if blocks < usize::from(lte::CARRIERS[0].1) {
            return None;
        }
        let phase = |s: f64| (s / lte::SUBFRAME_S - (s / lte::SUBFRAME_S).round()).abs() * lte::SUBFRAME_S;
        let is_it = |f: &Followed| {
            let is_near = (f.preamble_hz - grid.preamble_hz).abs() < SAME_HZ && f.bins.len() == blocks + 1;
            !f.is_current && is_near && phase(origin_s - f.start_s) < SAME_S
        };
        let at = self.followed.iter().position(is_it).unwrap_or_else(|| {
            if self.followed.len() == MOST_FOLLOWED {
                let old = self.followed.iter().position(|f| !f.is_current).unwrap_or(0);
                self.followed.remove(old);
            }
            self.followed.push(Followed::new(blocks));
            self.followed.len() - 1
        });
        let (bins, bin_hz, center_hz) = (self.bins, self.bin_hz, self.center_hz);
        let bin =
            |hz: f64| ((hz - center_hz) / bin_hz + bins as f64 / 2.0 + 0.5).round().clamp(0.0, bins as f64) as usize;
        let followed = &mut self.followed[at];
        followed.bins.iter_mut().enumerate().for_each(|(i, edge)| *edge = bin(low_hz + i as f64 * block_hz));
        (followed.base_station, followed.preamble_hz, followed.low_hz) = (grid.base_station, grid.preamble_hz, low_hz);
        followed.is_current = true;
        Some(at)
    }
}

impl Followed {
    fn new(blocks: usize) -> Self {
        let pairs = (blocks * blocks) as f64;
        Self {
            base_station: 0,
            preamble_hz: 0.0,
            low_hz: 0.0,
            bins: vec![0; blocks + 1],
            start_s: f64::NEG_INFINITY,
            steps: [0; 2],
            sums: [vec![0.0; blocks], vec![0.0; blocks]],
            before: vec![1.0; blocks],
            usual: vec![0.0; blocks],
            seen: 0,
            pairs: vec![Pair::default(); blocks * blocks],
            subframe: 0,
            in_use: (pairs * SUBFRAMES_AN_HOUR * FALSE_HOURS).ln() as f32,
            is_current: false,
        }
    }

    fn blocks(&self) -> usize {
        self.usual.len()
    }

    fn add(&mut self, row: &[f32], slot: usize) {
        self.steps[slot] += 1;
        for (sum, edges) in self.sums[slot].iter_mut().zip(self.bins.windows(2)) {
            *sum += row[edges[0]..edges[1]].iter().sum::<f32>();
        }
    }

    /// Lets go of the subframe that is summed.
    fn drop_subframe(&mut self) {
        self.steps = [0; 2];
        self.sums.iter_mut().for_each(|s| s.fill(0.0));
        self.start_s = f64::NEG_INFINITY;
    }

    /// Judges the subframe that is summed.
    fn end_subframe(&mut self, value: f32, standing: &mut [Vec<Standing>; 2], found: &mut Vec<Report>) {
        self.subframe = self.subframe.wrapping_add(1);
        let steps = self.steps;
        if steps.iter().all(|&n| n >= LEAST_STEPS) {
            // Sums become powers over what is usual.
            for (sums, &steps) in self.sums.iter_mut().zip(&steps) {
                let edges = self.bins.windows(2);
                for ((sum, usual), edges) in sums.iter_mut().zip(&mut self.usual).zip(edges) {
                    let cells = (edges[1] - edges[0]) as f32 * steps as f32;
                    let (sigma, off) = ((value * cells).sqrt().recip(), *sum / cells - 1.0 - *usual);
                    *sum = *sum / cells / (1.0 + *usual);
                    let weight = 1.0 / (self.seen as f32 + 1.0).min(USUAL_SLOTS);
                    *usual += weight * off.clamp(-USUAL_SIGMAS * sigma, USUAL_SIGMAS * sigma);
                }
                self.seen = self.seen.saturating_add(1);
            }
            if self.seen > USUAL_LEAST {
                self.judge(value, standing, found);
            }
            self.before.copy_from_slice(&self.sums[1]);
        } else {
            self.before.fill(1.0);
        }
        self.drop_subframe();
    }

    fn judge(&mut self, value: f32, standing: &mut [Vec<Standing>; 2], found: &mut Vec<Report>) {
        for (slot, standing) in standing.iter_mut().enumerate() {
            self.stand_out(slot, value, standing);
            if standing.is_empty() || standing.len() > MOST_AT_ONCE {
                return;
            }
        }
        let blocks = self.blocks();
        for first in &standing[0] {
            for second in &standing[1] {
                if first.block == second.block {
                    continue;
                }
                let of_level = first.ln.iter().zip(&second.ln).map(|(a, b)| (a + b).min(MOST_LN).exp());
                let ratio = of_level.sum::<f32>() / LEVELS.len() as f32;
                let pair = &mut self.pairs[first.block * blocks + second.block];
                let since = self.subframe.wrapping_sub(pair.at) as f32;
                let more = (SHARE * ratio).ln_1p().min(MOST_SHARE * self.in_use);
                pair.sum = (pair.sum - SHARE * since).max(0.0) + more;
                pair.sum = pair.sum.min(self.in_use + MORE);
                pair.at = self.subframe;
                if pair.sum < self.in_use || ratio.ln() + SHARE.ln() < SURE_LN {
                    continue;
                }
                let at = [first.block, second.block];
                let is_room = found.len() < found.capacity();
                if is_room {
                    found.push(Report {
                        base_station: self.base_station,
                        start_s: self.start_s,
                        low_hz: at.map(|block| self.low_hz + block as f64 * lte::RB_HZ),
                        excess: [self.sums[0][at[0]] - 1.0, self.sums[1][at[1]] - 1.0],
                        ln_ratio: f64::from(ratio.ln()),
                        ln_in_use: f64::from(pair.sum),
                    });
                }
            }
        }
    }

    /// The blocks that may be half of a report in a slot, no more than one beyond those that are too many.
    fn stand_out(&self, slot: usize, value: f32, out: &mut Vec<Standing>) {
        out.clear();
        let (own, other) = (&self.sums[slot], &self.sums[1 - slot]);
        let most = own.iter().fold(0.0f32, |most, y| most.max(y - 1.0));
        for (block, (&y, edges)) in own.iter().zip(self.bins.windows(2)).enumerate() {
            let (excess, values) = (y - 1.0, value * (edges[1] - edges[0]) as f32 * self.steps[slot] as f32);
            if excess <= 0.0 {
                continue;
            }
            let ln = LEVELS.map(|level| values * (y * level / (1.0 + level) - level.ln_1p()));
            let around = other[block].max(self.before[block]) - 1.0;
            if ln.iter().all(|&ln| ln < LEAST_LN) || around > MOST_IN_OTHER * excess {
                continue;
            }
            let has_as_much = |y: &&f32| **y - 1.0 > AS_MUCH * excess;
            let above = own[block..].iter().take_while(has_as_much).count();
            let below = own[..block].iter().rev().take_while(has_as_much).count();
            if above + below > MOST_BESIDE {
                continue;
            }
            let near = &own[block.saturating_sub(NEAR)..(block + NEAR + 1).min(own.len())];
            let nearest = near.iter().fold(0.0f32, |most, y| most.max(y - 1.0));
            if excess < LEAST_OF_NEAR * nearest || excess < LEAST_OF_ALL * most {
                continue;
            }
            out.push(Standing { block, ln });
            if out.len() > MOST_AT_ONCE {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::independent_step;
    use crate::steps::noise_rows;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const BIN_HZ: f64 = 15e3;
    const CENTER_HZ: f64 = 847e6;
    const BINS: usize = 672;
    /// Frames in a step of 0.1 ms.
    const FRAMES: usize = 3;

    fn grid() -> GridNear {
        GridNear {
            base_station: 0,
            subframe_s: 0.0,
            sigma_s: 1e-6,
            early_s: 10e-6,
            late_s: -10e-6,
            block_edge_hz: CENTER_HZ - 0.5 * BIN_HZ,
            edge_slack_hz: 5e3,
            preamble_hz: CENTER_HZ,
            is_occasion: false,
            carrier: None,
            carrier_center_hz: None,
        }
    }

    /// What is told of so many subframes of noise, to the power of which `sent` adds by subframe, slot and block: 0 has the
    /// lowest bin of the grid's edge.
    fn told(subframes: usize, seed: u64, sent: impl Fn(usize, usize, i64) -> f32) -> Vec<Report> {
        let mut search = ReportSearch::new((BINS, BIN_HZ, CENTER_HZ), 0.1e-3, independent_step(FRAMES));
        let (mut rng, mut all) = (ChaCha8Rng::seed_from_u64(seed), Vec::new());
        for chunk in 0..subframes / 20 {
            let rows = noise_rows(&mut rng, 200 * FRAMES, BINS);
            let mut steps = vec![0.0; 200 * BINS];
            for (i, step) in steps.chunks_exact_mut(BINS).enumerate() {
                for row in rows[i * FRAMES * BINS..(i + 1) * FRAMES * BINS].chunks_exact(BINS) {
                    step.iter_mut().zip(row).for_each(|(s, p)| *s += p / FRAMES as f32);
                }
                let (subframe, slot) = (chunk * 20 + i / 10, i % 10 / 5);
                for (bin, power) in step.iter_mut().enumerate() {
                    let block = (bin as i64 - BINS as i64 / 2).div_euclid(12);
                    *power *= 1.0 + sent(subframe, slot, block);
                }
            }
            let start_s = chunk as f64 * 20e-3;
            search.take(&steps, start_s, [grid()].into_iter());
            all.extend(search.take_found(start_s + 19e-3));
        }
        all
    }

    #[test]
    fn reports_at_minus_4_db_are_told_once_a_few_were_sent() {
        let sent = |subframe: usize, slot: usize, block: i64| {
            let is_sent = subframe >= 400 && subframe % 40 == 7 && block == [-20, 19][slot];
            if is_sent { 0.4 } else { 0.0 }
        };
        let reports = told(2_400, 1, sent);
        let is_right = |r: &&Report| {
            let subframe = (r.start_s / lte::SUBFRAME_S).round() as usize;
            let low_hz = [-20.0, 19.0].map(|b| CENTER_HZ - 0.5 * BIN_HZ + b * lte::RB_HZ);
            subframe % 40 == 7 && r.low_hz.iter().zip(low_hz).all(|(a, b)| (a - b).abs() < 1e3)
        };
        let right = reports.iter().filter(is_right).count();
        // Fifty were sent, of which the first show that the pair is in use.
        assert!(right >= 25 && reports.len() - right <= 1, "{right} of {}", reports.len());
    }

    #[test]
    fn ten_seconds_of_noise_tell_nothing() {
        assert_eq!(told(10_000, 2, |_, _, _| 0.0).len(), 0);
    }

    /// Wider ones, whole subframes, and what hops to anywhere.
    #[test]
    fn what_is_no_report_is_not_told() {
        let wide = |subframe: usize, slot: usize, block: i64| {
            let is_sent = subframe % 20 == 3 && ([-20..-16, 16..20][slot].contains(&block));
            if is_sent { 1.0 } else { 0.0 }
        };
        let whole = |subframe: usize, _: usize, block: i64| {
            let is_sent = subframe % 20 == 3 && (block == -20 || block == 19);
            if is_sent { 1.0 } else { 0.0 }
        };
        let anywhere = |subframe: usize, slot: usize, block: i64| {
            let mixed = (2 * subframe + slot + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let at = (mixed >> 40) as i64 % 50 - 25;
            if subframe % 20 == 3 && block == at { 3.0 } else { 0.0 }
        };
        assert_eq!(told(3_000, 3, wide).len(), 0);
        assert_eq!(told(3_000, 4, whole).len(), 0);
        assert_eq!(told(3_000, 5, anywhere).len(), 0);
    }
}
