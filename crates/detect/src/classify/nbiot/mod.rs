//! NB-IoT uplink: meters and alarms, which are not to be taken for phones.
//!
//! What is narrower than a resource block and lasts for milliseconds is asked for three things: one tone whose phase steps at the
//! symbols' edges and nowhere else (NPUSCH of one subcarrier, 3.75 or 15 kHz), a few subcarriers with cyclic prefixes (three or
//! six), and a tone that hops by one and six subcarriers of 3.75 kHz after each 1.4 or 1.6 ms (NPRACH). TS 36.211 clause 10.1.
//! Twelve subcarriers look like an LTE block, and are named so.

mod preamble;
mod tone;

use crate::candidate::{NoiseFloor, Proposal, Region, Snippet};
use crate::classify::budget::Budget;
use crate::classify::lte::shared::SharedChannelClassifier;
use crate::classify::prefix::best_fit;
use cellwarden_standards::band;
use cellwarden_standards::lte::{SLOT_SYMBOLS, SLOT_TS, TS_PER_SECOND};
use cellwarden_standards::nbiot::{NARROW_HZ, Tones};
use cellwarden_standards::nr::Spacing;
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use num_complex::Complex32;

/// A piece is asked from this length on, to what the segmenter cuts, up to this width, and from this level on. One tone that is
/// strong is seen four bins wide.
const LENGTH_S: std::ops::Range<f64> = 1.9e-3..11e-3;
const MOST_HZ: f64 = 135e3;
const LEAST_SNR_DB: f64 = 8.0;
/// Where so many were something else within so long, nothing is asked: what is always on must not cost for ever.
const AGAIN_S: f64 = 0.5;
const TRIES: usize = 3;
/// And so many in vain in a second altogether: a window of 12.8 ms takes as long.
const IN_VAIN_PER_S: f64 = 8.0;
const IN_VAIN_MOST: f64 = 16.0;
const PLACES_MOST: usize = 64;
/// Chance that what has no prefix passes as a few subcarriers.
const PASS: f64 = 1e-5;
/// Share of the prefixes' energy that agrees, squared: the filter passes noise of several times the tones' width.
const LEAST_COHERENCE: f64 = 0.25;
/// A carrier agrees with itself wherever prefixes are sought: more than so much of it is none of several tones.
const MOST_OFF_GRID: f64 = 0.5;
/// So many samples of the shared classifier's are added to one, 8.3 us: what is farther than 60 kHz off counts less.
const TOGETHER: usize = 16;

/// Judges narrow regions of one stream.
#[derive(Debug)]
pub struct NarrowClassifier {
    y: Vec<Complex32>,
    scratch: tone::Scratch,
    /// Places that were something else: edges, and until when.
    others: Vec<(f64, f64, f64)>,
    budget: Budget,
}

impl Default for NarrowClassifier {
    fn default() -> Self {
        let budget = Budget::new(IN_VAIN_PER_S, IN_VAIN_MOST);
        Self { y: Vec::new(), scratch: tone::Scratch::default(), others: Vec::new(), budget }
    }
}

impl NarrowClassifier {
    /// Adds what a region is, if it is NB-IoT's. `start_s` is its start by the receiver's clock.
    pub fn classify(
        &mut self,
        shared: &mut SharedChannelClassifier,
        region: &Region,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        start_s: f64,
    ) -> Option<Proposal> {
        let seconds = region.count as f64 / snippet.rate_hz;
        let (width, middle) = (region.high_hz - region.low_hz, (region.low_hz + region.high_hz) / 2.0);
        if !LENGTH_S.contains(&seconds) || width > MOST_HZ || region.snr_db < LEAST_SNR_DB {
            return None;
        }
        band::lte_band(middle)?;
        self.others.retain(|o| o.2 > start_s);
        if self.others.iter().filter(|o| o.0 < middle && middle < o.1).count() >= TRIES {
            return None;
        }
        if !self.budget.allows(start_s) {
            return None;
        }
        let found = self.judge(shared, region, snippet, floor);
        if found.is_none() {
            self.budget.spend(1.0);
        }
        if found.is_none() && self.others.len() < PLACES_MOST {
            self.others.push((region.low_hz, region.high_hz, start_s + AGAIN_S));
        }
        found
    }

    fn judge(
        &mut self,
        shared: &mut SharedChannelClassifier,
        region: &Region,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
    ) -> Option<Proposal> {
        let seconds = region.count as f64 / snippet.rate_hz;
        let (y, rate, window_start, _) = shared.load(region, snippet, floor)?;
        // Its edges are a frame's, and may hold what is beside.
        let inside = |s: f64| ((region.start as f64 - window_start) / snippet.rate_hz + s) * rate;
        let from = inside(0.0).max(0.0) as usize;
        let to = (inside(seconds) as usize).min(y.len());
        self.y.clear();
        self.y.extend(y.get(from..to)?.chunks_exact(TOGETHER).map(|c| c.iter().sum::<Complex32>()));
        let slow = rate / TOGETHER as f64;
        if let Some(found) = preamble::hops(&self.y, slow, &mut self.scratch) {
            let evidence = Evidence::new("tone_hops", found as f64, -4.0);
            return Some(proposal(region, Kind::Prach, NARROW_HZ, evidence));
        }
        for tones in [Tones::Wide(1), Tones::Narrow] {
            if let Some(steps) = tone::steps(&self.y, slow, tones, &mut self.scratch) {
                let evidence = Evidence::new("phase_steps_at_symbols", steps, -4.0);
                return Some(proposal(region, Kind::Pusch, tones.spacing_hz(), evidence));
            }
        }
        self.several(region, &y, rate, (from as f64, seconds))
    }

    /// Three or six subcarriers with prefixes.
    fn several(
        &self,
        region: &Region,
        y: &[Complex32],
        rate: f64,
        (expected, seconds): (f64, f64),
    ) -> Option<Proposal> {
        let slot_s = f64::from(SLOT_TS) / TS_PER_SECOND;
        let slots = (seconds / slot_s + 0.1) as usize;
        // Whole slots after an edge that may be anywhere in one, where the region is a piece.
        let symbols = slots.saturating_sub(1) * SLOT_SYMBOLS;
        let reach_s = slot_s / 2.0;
        let start = expected + reach_s * rate;
        let fit = best_fit(y, rate, start, reach_s, (Spacing::Khz15, symbols))?;
        let prefix_s = f64::from(Tones::Wide(3).cp_ts(1)) / TS_PER_SECOND;
        let width = (region.high_hz - region.low_hz).min(6.0 * Tones::Wide(6).spacing_hz());
        let values = (symbols as f64 * prefix_s * width * fit.filled).max(3.0);
        let chance = (1.0 + 2.0 * reach_s * width) * (1.0 - fit.coherence).powf(values - 1.0);
        // Half a symbol off there is no prefix.
        let off = fit.start + 0.5 * rate / Spacing::Khz15.hz();
        let beside = best_fit(y, rate, off, 0.0, (Spacing::Khz15, symbols))?;
        let is_prefixed = fit.coherence > LEAST_COHERENCE && beside.coherence < MOST_OFF_GRID * fit.coherence;
        (chance < PASS && is_prefixed).then(|| {
            let evidence = Evidence::new("prefix_coherence", fit.coherence, -4.0);
            proposal(region, Kind::Pusch, Spacing::Khz15.hz(), evidence)
        })
    }
}

fn proposal(region: &Region, kind: Kind, spacing_hz: f64, evidence: Evidence) -> Proposal {
    Proposal {
        standard: Standard::Nbiot,
        kind,
        start: region.start as f64,
        count: region.count as f64,
        low_hz: region.low_hz,
        high_hz: region.high_hz,
        power: region.power,
        channel: None,
        carrier_offset_hz: None,
        standard_confidence: 0.9,
        sequence_start: None,
        detail: Detail { spacing_hz: Some(spacing_hz), evidence: vec![evidence], ..Detail::default() },
    }
}
