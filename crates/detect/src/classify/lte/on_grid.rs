//! Faint uplink energy that a learned base station's grid names.
//!
//! A phone's shared channels begin and end where the subframes and slots of its base station do, and fill whole resource
//! blocks (TS 36.211 4.1, 5.2.3). Where preambles have told when subframes begin and where blocks lie, an emission that is too
//! faint for its prefixes to show is asked how much likelier its four edges are with those of the grid than anywhere else: the
//! Bayes factor of "edges on the grid" against "edges anywhere within a subframe and within a block". What has nothing to do
//! with the grid reaches a factor of `n` in one case of `n` at the most.

use super::shared::SharedChannelClassifier;
use crate::candidate::{NoiseFloor, Proposal, Region, Snippet};
use crate::classify::ltem::subframes::SubframeComparison;
use cellwarden_standards::{band, lte};
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use std::ops::Range;

const SLOT_S: f64 = lte::SLOT_S;
const BLOCK_HZ: f64 = lte::RB_HZ;
/// The last symbol of a subframe with its prefix, left out where the base station lets phones sound (TS 36.211 5.3.4).
const LAST_SYMBOL_S: f64 = (lte::CP_OTHER_TS + lte::SYMBOL_TS) as f64 / lte::TS_PER_SECOND;
/// A region's edges may be so far off: all of a subframe, and of a block, is as likely.
const TIME_REACH_S: f64 = 0.5 * lte::SUBFRAME_S;
const BAND_REACH_HZ: f64 = 0.5 * BLOCK_HZ;
/// What is left of a region between the farthest places of its edges, at the least.
const LEAST_S: f64 = 0.2e-3;
/// Samples before a region's edges and behind them.
const LEAD_S: f64 = 0.6e-3;
/// Steps in which edges are sought in frequency.
const STEP_HZ: f64 = 5e3;
/// What an emission leaves beside its band and around its time, as a share of its density: between it and the noise no edge
/// can be told sharper.
const LEAKAGE: f64 = 0.02;
/// Filters fall over so much beside the band.
const TAPER_HZ: f64 = 40e3;
/// The evidence that is a sign of such a name.
pub const ON_SUBFRAMES: &str = "on_learned_subframes";
/// Edges in time that speak so much against the grid need no look at those in frequency: a natural logarithm.
const HOPELESS_LN: f64 = -2.0;
/// Edges in frequency that were so far off, as a share of the width, have those in time measured again.
const OFF_SHARE: f64 = 0.1;
/// One slot of several blocks is half of a hopping subframe at the best, and rare: by so much less likely, as a logarithm.
const WIDE_SLOT_LN: f64 = 3.0;
/// Evidence of the edges in time, and of those in frequency, counts to here: an emission's neighbours err together with it.
const LLR_MOST: f64 = 2.0;
/// How much of the logarithm counts.
const LLR_SHARE: f64 = 0.6;

/// Where a base station's subframes and resource blocks lie near a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubframeGrid {
    /// A subframe's first sample of the recording, as a preamble without timing advance would begin.
    pub subframe: f64,
    /// How much earlier phones may send, and how much later, in samples, the grid's own uncertainty included.
    pub early: f64,
    /// See `early`.
    pub late: f64,
    /// An edge between two blocks, absolute, and how far off it may be.
    pub block_edge_hz: f64,
    /// See `block_edge_hz`.
    pub edge_slack_hz: f64,
}

/// A region on a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct OnGrid {
    /// What it is.
    pub proposal: Proposal,
    /// Natural logarithm of the Bayes factor.
    pub ln_factor: f64,
    /// Whether it is a subframe's second slot, where it is one slot.
    pub is_second_slot: bool,
    /// How much later than the grid it begins, in samples, and one standard deviation of that.
    pub shift: f64,
    /// See `shift`.
    pub shift_sigma: f64,
    /// How much higher than the grid's its edges are, in hertz, likewise.
    pub shift_hz: f64,
    /// See `shift_hz`.
    pub shift_sigma_hz: f64,
}

/// Two edges of the grid.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: f64,
    end: f64,
    slots: u32,
    /// Whether it begins with a subframe's second slot.
    is_second: bool,
    /// Log of the Bayes factor, and the shift of both edges: mean and one standard deviation.
    ln_factor: f64,
    shift: f64,
    sigma: f64,
}

impl SharedChannelClassifier {
    /// What a region is if its edges are those of `grid`, and how much likelier that makes them; none where it cannot be.
    pub fn on_grid(
        &mut self,
        region: &Region,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        grid: &SubframeGrid,
    ) -> Option<OnGrid> {
        let seconds = region.count as f64 / snippet.rate_hz;
        let width = region.high_hz - region.low_hz;
        if !(0.3e-3..10.5e-3).contains(&seconds) || !(100e3..20.3e6).contains(&width) || !grid.subframe.is_finite() {
            return None;
        }
        let rough = self.spans(region, (region.low_hz, region.high_hz), snippet, floor, grid)?;
        let is_hopeless = rough.ln_factor < HOPELESS_LN;
        let (low_hz, high_hz, ln_band, (shift_hz, shift_sigma_hz)) = if is_hopeless {
            (region.low_hz, region.high_hz, 0.0, (0.0, BAND_REACH_HZ))
        } else {
            self.blocks_on_grid(region, &rough, snippet, floor, grid)?
        };
        let (low_hz, high_hz) = (low_hz + shift_hz, high_hz + shift_hz);
        let blocks = ((high_hz - low_hz) / BLOCK_HZ).round().max(1.0) as u16;
        let off_hz = (low_hz - region.low_hz).abs() + (high_hz - region.high_hz).abs();
        let span = if is_hopeless || off_hz < OFF_SHARE * width {
            rough
        } else {
            self.spans(region, (low_hz, high_hz), snippet, floor, grid)?
        };
        let unlikely = if span.slots == 1 && blocks > 1 { WIDE_SLOT_LN } else { 0.0 };
        let ln_factor = span.ln_factor + ln_band - unlikely;
        if ln_factor.is_nan() || band::lte_band((low_hz + high_hz) / 2.0).is_none() {
            return None;
        }
        let llr = |ln: f64| (LLR_SHARE * ln).clamp(-1.0, LLR_MOST);
        let mut evidence = vec![
            Evidence::new(ON_SUBFRAMES, span.ln_factor, llr(span.ln_factor)),
            Evidence::new("on_learned_blocks", ln_band, llr(ln_band)),
        ];
        let repeats = if is_hopeless {
            None
        } else {
            self.repeats(&Region { low_hz, high_hz, ..*region }, snippet, floor, (&span, blocks))
        };
        let standard = if repeats.is_some() { Standard::Ltem } else { Standard::Lte };
        evidence.extend(repeats);
        let proposal = Proposal {
            standard,
            kind: if span.slots == 1 && blocks == 1 { Kind::Pucch } else { Kind::Pusch },
            start: span.start + span.shift,
            count: span.end - span.start,
            low_hz,
            high_hz,
            power: region.power,
            channel: None,
            carrier_offset_hz: None,
            standard_confidence: 1.0 - 0.5 * (-ln_factor).exp().min(1.0).sqrt(),
            sequence_start: None,
            detail: Detail { resource_blocks: Some(blocks), evidence, ..Detail::default() },
        };
        let (is_second_slot, shift, shift_sigma) = (span.is_second, span.shift, span.sigma);
        Some(OnGrid { proposal, ln_factor, is_second_slot, shift, shift_sigma, shift_hz, shift_sigma_hz })
    }

    /// What the subframes of a span say of repetition, where that proves a machine.
    fn repeats(
        &mut self,
        region: &Region,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        (span, blocks): (&Span, u16),
    ) -> Option<Evidence> {
        let (slots, blocks) = (span.slots as usize, u32::from(blocks));
        if !SubframeComparison::may_tell((slots, blocks)) {
            return None;
        }
        let (y, rate, window_start, _) = self.load(region, snippet, floor)?;
        let start = (span.start + span.shift - window_start) / snippet.rate_hz * rate;
        // How far the phone's carrier is off is not known, nor needed: both subframes are off alike.
        self.subframes.repetition(&y, rate, start, (slots, blocks), 0.0, region.snr_db)
    }

    /// The likeliest stretch of slots: samples of the recording.
    fn spans(
        &mut self,
        region: &Region,
        (low_hz, high_hz): (f64, f64),
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        grid: &SubframeGrid,
    ) -> Option<Span> {
        let seconds = region.count as f64 / snippet.rate_hz;
        let width = high_hz - low_hz;
        let channelizer = self.channelizer(seconds, width)?;
        let window_start = region.start as i64 - (LEAD_S * snippet.rate_hz) as i64;
        let (channelizer, buffers) = (&self.channelizers[channelizer].2, &mut self.buffers);
        let mut loaded = channelizer.load(buffers, snippet, window_start);
        let middle = (low_hz + high_hz) / 2.0 - snippet.center_hz;
        let y = loaded.band(middle, width / 2.0, width / 2.0 + TAPER_HZ);
        let rate = channelizer.out_rate_hz();
        // A raised cosine passes three eighths of its width.
        let passed_hz = width + 0.75 * TAPER_HZ;
        let noise = floor.power(low_hz, high_hz) / width * passed_hz;
        let shape = Excess::new(region.power, noise);
        self.sums.clear();
        self.sums.push(0.0);
        let values = passed_hz / rate;
        let mut sum = 0.0;
        for z in y.iter() {
            sum += values * shape.ln_ratio(f64::from(z.norm_sqr()));
            self.sums.push(sum);
        }
        let edges = Edges { sums: &self.sums };
        // All in samples of the channel from here.
        let scale = rate / snippet.rate_hz;
        let at = |sample: f64| (sample - window_start as f64) * scale;
        let (start, end) = (at(region.start as f64), at((region.start + region.count) as f64));
        let (reach, least) = (TIME_REACH_S * rate, LEAST_S * rate);
        let starts = start - reach..(start + reach).min(end - least);
        let ends = (end - reach).max(start + least)..end + reach;
        let ln_free = edges.ln_mean(&starts, -1.0)? + edges.ln_mean(&ends, 1.0)?;
        let (subframe, slot) = (at(grid.subframe), SLOT_S * rate);
        let shifts = -grid.early * scale..grid.late * scale;
        let slots_from = |from: f64| ((from - subframe) / slot).ceil() as i64;
        let mut best: Option<Span> = None;
        let (mut total, mut count) = (0.0, 0.0);
        for a in slots_from(starts.start)..slots_from(starts.end) {
            for b in slots_from(ends.start).max(a + 1)..slots_from(ends.end + LAST_SYMBOL_S * rate) {
                let is_whole = a.rem_euclid(2) == 0 && b.rem_euclid(2) == 0;
                if b - a != 1 && !is_whole {
                    continue;
                }
                for missing in [0.0, LAST_SYMBOL_S * rate].into_iter().take(if is_whole { 2 } else { 1 }) {
                    let (from, to) = (subframe + a as f64 * slot, subframe + b as f64 * slot - missing);
                    if !ends.contains(&to) {
                        continue;
                    }
                    let Some((ln_joint, shift, sigma)) = edges.ln_joint(from, to, &shifts) else { continue };
                    let ln_factor = ln_joint - ln_free;
                    total += ln_factor.min(600.0).exp();
                    count += 1.0;
                    let slots = (b - a) as u32;
                    if best.is_none_or(|s| ln_factor > s.ln_factor) {
                        let is_second = a.rem_euclid(2) == 1;
                        best = Some(Span { start: from, end: to, slots, is_second, ln_factor, shift, sigma });
                    }
                }
            }
        }
        let back = |v: f64| v / scale;
        best.map(|s| Span {
            start: window_start as f64 + back(s.start),
            end: window_start as f64 + back(s.end),
            shift: back(s.shift),
            sigma: back(s.sigma),
            ln_factor: (total / count).ln(),
            ..s
        })
    }

    /// The likeliest blocks' edges, the logarithm of their Bayes factor, and how much higher than the grid's they are: mean and
    /// one standard deviation.
    fn blocks_on_grid(
        &mut self,
        region: &Region,
        span: &Span,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        grid: &SubframeGrid,
    ) -> Option<(f64, f64, f64, (f64, f64))> {
        let from = ((span.start + span.shift).round() as i64 - snippet.start as i64).clamp(0, snippet.iq.len() as i64);
        let to = ((span.end + span.shift).round() as i64 - snippet.start as i64).clamp(from, snippet.iq.len() as i64);
        // Of its own time alone.
        let own =
            Snippet { iq: &snippet.iq[from as usize..to as usize], start: snippet.start + from as u64, ..*snippet };
        let seconds = own.iq.len() as f64 / snippet.rate_hz;
        if seconds < LEAST_S {
            return None;
        }
        let channelizer = self.channelizer(seconds, region.high_hz - region.low_hz)?;
        let (channelizer, buffers) = (&self.channelizers[channelizer].2, &mut self.buffers);
        let loaded = channelizer.load(buffers, &own, own.start as i64);
        let step_of = |hz: f64| (hz - grid.block_edge_hz) / STEP_HZ;
        let reach = BAND_REACH_HZ / STEP_HZ;
        let first = (step_of(region.low_hz) - reach).floor() as i64 - 1;
        let last = (step_of(region.high_hz) + reach).ceil() as i64 + 1;
        let edge_hz = |step: i64| grid.block_edge_hz + step as f64 * STEP_HZ;
        let density = region.power / (region.high_hz - region.low_hz);
        let samples = own.iq.len() as f64;
        let values = seconds * STEP_HZ;
        let half_hz = snippet.rate_hz / 2.0;
        self.sums.clear();
        self.sums.push(0.0);
        let mut sum = 0.0;
        for step in first..last {
            let (low, high) = (edge_hz(step), edge_hz(step + 1));
            // Beyond what the receiver hears there is nothing to tell.
            let is_heard = (low - snippet.center_hz).abs().max((high - snippet.center_hz).abs()) < half_hz;
            if is_heard {
                let shape = Excess::new(density * STEP_HZ, floor.power(low, high));
                let power = loaded.energy(low - snippet.center_hz, high - snippet.center_hz) / samples;
                sum += values * shape.ln_ratio(power);
            }
            self.sums.push(sum);
        }
        let edges = Edges { sums: &self.sums };
        let (low, high) = (step_of(region.low_hz) - first as f64, step_of(region.high_hz) - first as f64);
        let least = 1.0f64.max(0.3 * BLOCK_HZ / STEP_HZ);
        let lows = low - reach..(low + reach).min(high - least);
        let highs = (high - reach).max(low + least)..high + reach;
        let ln_free = edges.ln_mean(&lows, -1.0)? + edges.ln_mean(&highs, 1.0)?;
        let block = (BLOCK_HZ / STEP_HZ).round() as i64;
        let off = (grid.edge_slack_hz / STEP_HZ).clamp(1.0, 0.3 * block as f64);
        let mut best: Option<(f64, i64, i64, (f64, f64))> = None;
        let (mut total, mut count) = (0.0, 0.0);
        let blocks_from = |step: f64| ((step + first as f64) / block as f64).ceil() as i64;
        for a in blocks_from(lows.start)..blocks_from(lows.end) {
            for b in blocks_from(highs.start).max(a + 1)..blocks_from(highs.end) {
                let (from, to) = ((a * block - first) as f64, (b * block - first) as f64);
                let Some((ln_joint, shift, sigma)) = edges.ln_joint(from, to, &(-off..off)) else { continue };
                let ln_factor = ln_joint - ln_free;
                total += ln_factor.min(600.0).exp();
                count += 1.0;
                if best.is_none_or(|(ln, ..)| ln_factor > ln) {
                    best = Some((ln_factor, a, b, (shift * STEP_HZ, sigma * STEP_HZ)));
                }
            }
        }
        best.map(|(_, a, b, shift)| (edge_hz(a * block), edge_hz(b * block), (total / count).ln(), shift))
    }
}

/// What a value says for an emission of some level against the noise.
#[derive(Clone, Copy, Debug)]
struct Excess {
    background: f64,
    /// Of both over the background.
    ratio: f64,
}

impl Excess {
    fn new(power: f64, noise: f64) -> Self {
        let power = power.max(0.0);
        let background = (noise + LEAKAGE * power).max(f64::MIN_POSITIVE);
        Self { background, ratio: ((noise + power) / background).max(1.0 + 1e-6) }
    }

    /// Logarithm of the likelihood ratio of one complex Gaussian value of this power.
    fn ln_ratio(&self, power: f64) -> f64 {
        power / self.background * (1.0 - 1.0 / self.ratio) - self.ratio.ln()
    }
}

/// Sums of logarithms of likelihood ratios, from which those of edges are had.
#[derive(Clone, Copy, Debug)]
struct Edges<'a> {
    sums: &'a [f64],
}

impl Edges<'_> {
    /// Whole places within a range that are there.
    fn places(&self, range: &Range<f64>) -> Range<usize> {
        let most = self.sums.len() as f64 - 1.0;
        let from = range.start.ceil().clamp(0.0, most) as usize;
        let to = (range.end.floor().clamp(0.0, most) as usize + 1).max(from);
        from..to
    }

    /// Logarithm of the mean likelihood ratio over the places of one edge: all before it counts for `sign` 1, all after
    /// for -1. None where there is no place.
    fn ln_mean(&self, range: &Range<f64>, sign: f64) -> Option<f64> {
        let places = &self.sums[self.places(range)];
        ln_mean_exp(places.iter().map(|&s| sign * s))
    }

    /// The same for both edges, moved together by `shifts`, and the shift's mean and standard deviation.
    fn ln_joint(&self, from: f64, to: f64, shifts: &Range<f64>) -> Option<(f64, f64, f64)> {
        let (first, last) = (shifts.start.floor() as i64, shifts.end.ceil() as i64);
        let (a, b) = (from.round() as i64, to.round() as i64);
        let sum = |place: i64| usize::try_from(place).ok().and_then(|p| self.sums.get(p)).copied();
        let of = |shift: i64| Some(sum(b + shift)? - sum(a + shift)?);
        let most = (first..=last).filter_map(of).reduce(f64::max)?;
        let (mut total, mut sum_of, mut squares, mut count) = (0.0, 0.0, 0.0, 0.0);
        for shift in first..=last {
            // The room beyond the samples is as likely a place, of which nothing is known.
            count += 1.0;
            if let Some(ln) = of(shift) {
                let weight = (ln - most).exp();
                total += weight;
                sum_of += weight * shift as f64;
                squares += weight * (shift * shift) as f64;
            }
        }
        let rest = a as f64 - from;
        let mean = sum_of / total;
        // A place is as wide as one sample.
        let variance = (squares / total - mean * mean).max(0.0) + 1.0 / 12.0;
        Some((most + (total / count).ln(), mean + rest, variance.sqrt()))
    }
}

fn ln_mean_exp(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let most = values.clone().reduce(f64::max).filter(|m| m.is_finite())?;
    let (sum, count) = values.fold((0.0, 0.0), |(s, n), v| (s + (v - most).exp(), n + 1.0));
    Some(most + (sum / count).ln())
}
