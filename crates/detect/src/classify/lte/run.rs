//! A phone that sends subframe after subframe: when each begins, and on which blocks it lies.
//!
//! Subframes of a run touch in time and mostly overlap in frequency, so that energy shows one emission that lasts. The prefixes of
//! all its slots together say when slots begin (TS 36.211 5.6). Windows on the symbols then show each subcarrier without what
//! leaks from its neighbours, and so each slot's blocks. And the reference symbols (5.5.2.1) prove an uplink: they are about as
//! strong on all subcarriers while data, spread by a transform (5.3.3), are not. A downlink that is always on has prefixes as
//! well, but its symbols are all alike.

use super::shared::{SharedChannelClassifier, USEFUL_S};
use crate::candidate::{NoiseFloor, Proposal, Region, Snippet};
use crate::channelize::Channelizer;
use crate::classify::budget::Budget;
use crate::fft;
use cellwarden_standards::lte::{
    PUSCH_DMRS_SYMBOL, RB_HZ, RB_SUBCARRIERS, SLOT_S, SLOT_SYMBOLS, SUBFRAME_S, TS_PER_SECOND, cp_ts, symbol_start_ts,
};
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use num_complex::{Complex32, Complex64};
use rustfft::Fft;
use std::ops::Range;
use std::sync::Arc;

const SUBCARRIER_HZ: f64 = 1.0 / USEFUL_S;
/// Chance that noise, or anything without prefixes, has slots.
const PASS: f64 = 1e-9;
/// A slot is filled from this level over the noise on, in its strongest block.
const LEAST_FILLED: f64 = 3.0;
/// How far below its strongest block an allocation may reach: images and what phones send beside theirs lie lower.
const DEEPEST: f64 = 1e-3;
/// Subcarriers of an allocation that may be weak, in a row, and by how many the edges of one allocation's slots differ at the most.
const BRIDGE: usize = 3;
const SAME_EDGE: usize = 3;
/// The fewest subcarriers whose levels tell reference signals from data: two and a half blocks.
const LEAST_SUBCARRIERS: usize = 30;
/// The variance of the levels of reference symbols over that of data, of all slots together and of two: 0.05 at 15 dB and 0.2 at
/// 10 dB where all subcarriers arrive alike, below a half through paths that differ; 1 of a downlink.
const MOST_VARIED: f64 = 0.6;
const MOST_VARIED_ONE: f64 = 0.75;
/// Looks in vain, a second and at once, at what is always on, and at all else: a window of 12.8 ms takes some 10 ms of a core at
/// 30.72 Msps.
const IN_VAIN: [(f64, f64); 2] = [(4.0, 8.0), (16.0, 32.0)];
/// A beginning of subframes is remembered so long, and fits so exactly.
const ANCHOR_S: f64 = 1.0;
const ANCHOR_SLACK_S: f64 = 30e-6;
/// A slot counts if so much of it lies in the region.
const LEAST_INSIDE: f64 = 0.6;

/// What runs are sought with.
pub(super) struct RunSearch {
    /// A symbol's transform, by channelizer.
    transforms: Vec<Arc<dyn Fft<f32>>>,
    symbol: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// `[slots][symbols][subcarriers]`: power over full scale, the lowest subcarrier first.
    powers: Vec<f32>,
    budgets: [Budget; 2],
    /// When a subframe began, as a sample of the recording, and in which band.
    anchor: Option<(f64, Range<f64>)>,
}

impl RunSearch {
    pub(super) fn new<'a>(channelizers: impl Iterator<Item = &'a Channelizer>) -> Self {
        let transforms: Vec<_> =
            channelizers.map(|c| fft::forward((c.out_rate_hz() * USEFUL_S).round() as usize)).collect();
        let most = |f: &dyn Fn(&Arc<dyn Fft<f32>>) -> usize| transforms.iter().map(f).max().unwrap_or(0);
        let (symbol, scratch) = (most(&|t| t.len()), most(&|t| t.get_inplace_scratch_len()));
        Self {
            symbol: vec![Complex32::ZERO; symbol],
            scratch: vec![Complex32::ZERO; scratch],
            transforms,
            powers: Vec::new(),
            budgets: IN_VAIN.map(|(per_s, most)| Budget::new(per_s, most)),
            anchor: None,
        }
    }

    /// Regions that were not looked at.
    pub(super) fn skipped(&self) -> u64 {
        self.budgets.iter().map(Budget::skipped).sum()
    }

    /// Forgets when subframes began: samples are numbered anew.
    pub(super) fn begin(&mut self) {
        self.anchor = None;
    }

    /// The powers of the subcarriers in the slots that begin at `starts` of `y`, whose prefixes turn by `angle`.
    fn measure(&mut self, transform: usize, y: &[Complex32], rate: f64, starts: &[f64], angle: f64) -> usize {
        let transform = &self.transforms[transform];
        let useful = transform.len();
        let unit = rate / TS_PER_SECOND;
        let turn = Complex64::from_polar(1.0, -angle / useful as f64);
        self.powers.clear();
        for start in starts {
            for l in 0..SLOT_SYMBOLS {
                // A quarter of a prefix early: what comes by several paths is still whole.
                let early = f64::from(cp_ts(1)) / 4.0;
                let at = (start + (f64::from(symbol_start_ts(l) + cp_ts(l)) - early) * unit).round().max(0.0) as usize;
                let symbol = &mut self.symbol[..useful];
                symbol.fill(Complex32::ZERO);
                let mut phase = Complex64::new(1.0, 0.0);
                for (z, x) in symbol.iter_mut().zip(y.iter().skip(at)) {
                    *z = x * Complex32::new(phase.re as f32, phase.im as f32);
                    phase *= turn;
                }
                transform.process_with_scratch(symbol, &mut self.scratch);
                let scale = 1.0 / (useful * useful) as f32;
                let (upper, lower) = symbol.split_at(useful.div_ceil(2));
                self.powers.extend(lower.iter().chain(upper).map(|z| z.norm_sqr() * scale));
            }
        }
        useful
    }
}

/// When slots begin in a stretch.
struct Slots {
    /// From the stretch's first sample on.
    phase: usize,
    /// Angle between a prefix and what it is a copy of.
    angle: f64,
    /// See [`PrefixFit::coherence`](crate::classify::prefix::PrefixFit).
    coherence: f64,
}

/// When slots begin whose prefixes agree best, in so many slots of `y`.
fn slots_in(y: &[Complex32], rate: f64, slots: usize) -> Option<Slots> {
    let (slot, useful) = ((SLOT_S * rate).round() as usize, (USEFUL_S * rate).round() as usize);
    let unit = rate / TS_PER_SECOND;
    // Folded to one slot, and its running sums over two.
    let mut folded = vec![(Complex64::ZERO, 0.0); slot];
    for (n, (a, b)) in y.iter().zip(y.get(useful..)?).take(slots * slot).enumerate() {
        let (product, energy) = &mut folded[n % slot];
        let turned = b * a.conj();
        *product += Complex64::new(f64::from(turned.re), f64::from(turned.im));
        *energy += 0.5 * f64::from(a.norm_sqr() + b.norm_sqr());
    }
    let mut sums = Vec::with_capacity(2 * slot + 1);
    sums.push((Complex64::ZERO, 0.0));
    for (product, energy) in folded.iter().chain(&folded) {
        let (p, e) = sums[sums.len() - 1];
        sums.push((p + product, e + energy));
    }
    let prefix = |l: usize| {
        let from = (f64::from(symbol_start_ts(l)) * unit).round() as usize;
        from..from + (f64::from(cp_ts(l)) * unit).round() as usize
    };
    let at = |phase: usize| {
        let (mut product, mut energy) = (Complex64::ZERO, 0.0);
        for Range { start, end } in (0..SLOT_SYMBOLS).map(prefix) {
            product += sums[phase + end].0 - sums[phase + start].0;
            energy += sums[phase + end].1 - sums[phase + start].1;
        }
        let coherence = if energy > 0.0 { product.norm_sqr() / (energy * energy) } else { 0.0 };
        Slots { phase, angle: product.arg(), coherence }
    };
    (0..slot).map(at).max_by(|a, b| a.coherence.total_cmp(&b.coherence))
}

/// A slot's allocation, in subcarriers.
#[derive(Clone, Copy, Debug)]
struct Filled {
    low: usize,
    high: usize,
}

impl Filled {
    fn is_same(&self, other: &Self) -> bool {
        self.low.abs_diff(other.low) <= SAME_EDGE && self.high.abs_diff(other.high) <= SAME_EDGE
    }
}

/// Powers of the symbols of slots.
struct Powers<'a> {
    /// `[slots][symbols][subcarriers]`
    all: &'a [f32],
    subcarriers: usize,
}

impl Powers<'_> {
    fn symbol(&self, slot: usize, symbol: usize) -> &[f32] {
        let at = (slot * SLOT_SYMBOLS + symbol) * self.subcarriers;
        &self.all[at..at + self.subcarriers]
    }

    /// The widest allocation of a slot within some subcarriers, whose noise is so strong each.
    fn filled(&self, slot: usize, within: Range<usize>, noise: f32) -> Option<Filled> {
        let mut mean = vec![0.0f32; within.len()];
        for symbol in 0..SLOT_SYMBOLS {
            let powers = &self.symbol(slot, symbol)[within.clone()];
            mean.iter_mut().zip(powers).for_each(|(m, p)| *m += p / SLOT_SYMBOLS as f32);
        }
        let block = |values: &[f32]| values.iter().sum::<f32>() / RB_SUBCARRIERS as f32;
        let level = mean.windows(RB_SUBCARRIERS).map(block).fold(0.0, f32::max);
        if level < (1.0 + LEAST_FILLED as f32) * noise {
            return None;
        }
        let least = (noise * level).sqrt().max(level * DEEPEST as f32);
        let mut widest: Option<Filled> = None;
        let mut at = 0;
        while at < mean.len() {
            if mean[at] < least {
                at += 1;
                continue;
            }
            let low = at;
            let mut high = at + 1;
            while at < mean.len() && at < high + BRIDGE {
                if mean[at] >= least {
                    high = at + 1;
                }
                at += 1;
            }
            if widest.is_none_or(|w| high - low > w.high - w.low) {
                widest = Some(Filled { low, high });
            }
        }
        let found = widest.filter(|w| w.high - w.low >= LEAST_SUBCARRIERS)?;
        Some(Filled { low: found.low + within.start, high: found.high + within.start })
    }

    /// How much the levels of the reference symbols vary over how much those of data do, in slots with their allocations.
    fn varied(&self, slots: impl Iterator<Item = (usize, Filled)>) -> f64 {
        let (mut reference, mut data) = ((0.0, 0.0), (0.0, 0.0));
        for (slot, Filled { low, high }) in slots {
            for symbol in 0..SLOT_SYMBOLS {
                let powers = &self.symbol(slot, symbol)[low..high];
                let mean = powers.iter().sum::<f32>() / powers.len() as f32;
                let variance = powers.iter().map(|p| (p - mean).powi(2)).sum::<f32>() / powers.len() as f32;
                let into = if symbol == PUSCH_DMRS_SYMBOL { &mut reference } else { &mut data };
                into.0 += f64::from(variance / (mean * mean).max(f32::MIN_POSITIVE));
                into.1 += 1.0;
            }
        }
        (reference.0 / f64::max(reference.1, 1.0)) / (data.0 / f64::max(data.1, 1.0)).max(1e-9)
    }
}

impl SharedChannelClassifier {
    /// Adds the subframes of a run that a region holds, and says whether there are any. Of an emission's first piece it is known that
    /// it begins with a subframe, and of its last that it ends with one; a slot that another piece goes on from is left to that. What
    /// is always on is looked at less often. `at_s` is its start by the receiver's clock.
    pub fn run(
        &mut self,
        region: &Region,
        ends: (bool, bool),
        (is_always_on, at_s): (bool, f64),
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        out: &mut Vec<Proposal>,
    ) -> bool {
        let budget = usize::from(!is_always_on);
        if !self.run_search.budgets[budget].allows(at_s) {
            return false;
        }
        let before = out.len();
        self.subframes_of_run(region, ends, snippet, floor, out);
        if out.len() == before {
            self.run_search.budgets[budget].spend(1.0);
        }
        out.len() > before
    }

    fn subframes_of_run(
        &mut self,
        region: &Region,
        (begins, is_last): (bool, bool),
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        out: &mut Vec<Proposal>,
    ) -> Option<()> {
        let (seconds, width) = (region.count as f64 / snippet.rate_hz, region.high_hz - region.low_hz);
        let transform = self.channelizer(seconds, width)?;
        let (y, rate, window_start, _) = self.load(region, snippet, floor)?;
        let slot = (SLOT_S * rate).round();
        let from = (region.start as f64 - window_start) / snippet.rate_hz * rate;
        let slots = (seconds / SLOT_S).round() as usize;
        let found = slots_in(&y[(from as usize).min(y.len())..], rate, slots)?;
        let prefixes_s = slots as f64 * SLOT_SYMBOLS as f64 * f64::from(cp_ts(1)) / TS_PER_SECOND;
        let chance = slot * (1.0 - found.coherence).powf((prefixes_s * width - 1.0).max(1.0));
        if chance > PASS {
            return None;
        }
        let first = from.floor() + found.phase as f64;
        let is_inside = |start: &f64| {
            let common = (start + slot).min(from + seconds * rate) - start.max(from);
            *start >= 0.0 && start + slot < y.len() as f64 && common > LEAST_INSIDE * slot
        };
        let starts: Vec<f64> = (-1..=slots as i64).map(|k| first + k as f64 * slot).filter(is_inside).collect();
        let subcarriers = self.run_search.measure(transform, &y, rate, &starts, found.angle);
        let powers = Powers { all: &self.run_search.powers, subcarriers };
        let noise = floor.quiet_density(region.low_hz, region.high_hz) * SUBCARRIER_HZ;
        let reach = ((width / 2.0 + 45e3) / SUBCARRIER_HZ) as usize;
        let middle = subcarriers / 2;
        let within = middle.saturating_sub(reach)..(middle + reach).min(subcarriers);
        let filled: Vec<Option<Filled>> =
            (0..starts.len()).map(|k| powers.filled(k, within.clone(), noise as f32)).collect();
        let all = filled.iter().enumerate().filter_map(|(k, f)| Some((k, (*f)?)));
        let (varied, count) = (powers.varied(all.clone()), all.clone().count());
        if count < 2 || varied > MOST_VARIED {
            return None;
        }
        // An allocation changes where a subframe begins; what hops in its middle does as well, but not alone.
        let changes = |odd: usize| {
            let pairs = filled.windows(2).enumerate().filter(|(k, _)| k % 2 == odd);
            pairs.filter(|(_, f)| !matches!((f[0], f[1]), (Some(a), Some(b)) if a.is_same(&b))).count()
        };
        let sample = |at: f64| window_start + at / rate * snippet.rate_hz;
        let subframe = SUBFRAME_S * snippet.rate_hz;
        let by_anchor = self.run_search.anchor.as_ref().and_then(|(at, band)| {
            let after = sample(starts[0]) - at;
            let off = (after / subframe).fract().rem_euclid(1.0);
            let slack = ANCHOR_SLACK_S / SUBFRAME_S;
            let is_near = after.abs() < ANCHOR_S * snippet.rate_hz;
            let is_same = is_near && band.start < region.high_hz && region.low_hz < band.end;
            let fits = [off.min(1.0 - off) < slack, (off - 0.5).abs() < slack];
            fits.iter().position(|&f| f && is_same)
        });
        let first_filled = all.clone().map(|(k, _)| k % 2).next()?;
        let (even, odd) = (changes(0), changes(1));
        let (parity, is_sure) = match even.cmp(&odd) {
            std::cmp::Ordering::Less => (0, true),
            std::cmp::Ordering::Greater => (1, true),
            std::cmp::Ordering::Equal => (by_anchor.unwrap_or(first_filled), begins),
        };
        if is_sure {
            self.run_search.anchor =
                Some((sample(starts[parity.min(starts.len() - 1)]), region.low_hz..region.high_hz));
        }
        let center_hz = (region.low_hz + region.high_hz) / 2.0 + found.angle / std::f64::consts::TAU * SUBCARRIER_HZ;
        let mut emit = |slots: Range<usize>, Filled { low, high }: Filled| {
            let varied = powers.varied(slots.clone().map(|k| (k, Filled { low, high })));
            if varied > MOST_VARIED_ONE {
                return;
            }
            let sum = |k: usize| -> f64 {
                let symbols = (0..SLOT_SYMBOLS).flat_map(|l| &powers.symbol(k, l)[low..high]);
                symbols.map(|&p| f64::from(p)).sum::<f64>() / SLOT_SYMBOLS as f64
            };
            let total = slots.clone().map(sum).sum::<f64>() / slots.len() as f64;
            let blocks = ((high - low) as f64 / RB_SUBCARRIERS as f64).round().max(1.0);
            let hz = |subcarrier: f64| center_hz + (subcarrier - middle as f64) * SUBCARRIER_HZ;
            let middle_hz = hz((low + high - 1) as f64 / 2.0);
            let (low_hz, high_hz) = (middle_hz - blocks * RB_HZ / 2.0, middle_hz + blocks * RB_HZ / 2.0);
            out.push(Proposal {
                standard: Standard::Lte,
                kind: Kind::Pusch,
                start: sample(starts[slots.start]),
                count: slots.len() as f64 * SLOT_S * snippet.rate_hz,
                low_hz,
                high_hz,
                power: (total - (high - low) as f64 * noise).max(total * 1e-3),
                channel: None,
                carrier_offset_hz: None,
                standard_confidence: 0.97,
                sequence_start: None,
                detail: Detail {
                    resource_blocks: Some(blocks as u16),
                    evidence: vec![
                        Evidence::new("prefix_coherence", found.coherence, 2.5),
                        Evidence::new("reference_symbols_vary", varied, 3.0),
                        Evidence::new("slots", slots.len() as f64, 0.5),
                    ],
                    ..Detail::default()
                },
            });
        };
        let mut k = 0;
        while k < filled.len() {
            let pair = (k % 2 == parity).then(|| filled[k].zip(filled.get(k + 1).copied().flatten())).flatten();
            match (pair, filled[k]) {
                (Some((a, b)), _) if a.is_same(&b) => {
                    emit(k..k + 2, Filled { low: a.low.min(b.low), high: a.high.max(b.high) });
                    k += 2;
                }
                (_, Some(alone)) => {
                    // Half of what another piece holds, or held, the whole of.
                    let goes_on = !is_last && k + 1 == filled.len() && k % 2 == parity;
                    let went_on = !begins && k == 0 && k % 2 != parity;
                    if !goes_on && !went_on {
                        emit(k..k + 1, alone);
                    }
                    k += 1;
                }
                _ => k += 1,
            }
        }
        Some(())
    }
}
