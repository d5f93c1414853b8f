//! Preambles of a base station that is known: one place, some moments, a few roots.
//!
//! What is sought is so little that a correlation peak of 25 times the mean is proof, where a search of everything needs 45 to be
//! told apart from what else correlates, and an energy that shows it where to look.

use super::faint::FAINT_MOST_RATIO;
use super::{N_ZC, PrachSearch, Sighting};
use crate::candidate::{NoiseFloor, Proposal, Snippet};
use crate::carrier::LearnedPrach;
use cellwarden_types::Evidence;

/// Parts of a subcarrier that the phone may be off to both sides of what was learned: its own ±300 Hz, and those of the one or two
/// phones of which it was learned; of so many phones the mean is that of all.
const OFFSETS: [f64; 4] = [-0.12, 0.12, -0.36, 0.36];
const WELL_KNOWN: u32 = 8;
/// Peaks of noise that may pass in an hour, over all occasions of a base station.
const FALSE_AN_HOUR: f64 = 0.1;
/// A start that is known to this part of a tenth of a sequence loses nothing at a preamble's ends.
const SURE: f64 = 0.25;
/// Lags that are independent of each other in noise.
const LAGS: f64 = 1.5 * N_ZC as f64;
/// Peak over mean below which there is nothing, however few places are searched: other signals reach 23.
const LEAST_KNOWN_PEAK: f64 = 24.0;

fn offsets(base_station: &LearnedPrach) -> &'static [f64] {
    if base_station.heard() < WELL_KNOWN { &OFFSETS } else { &OFFSETS[..2] }
}

impl PrachSearch {
    /// About what an occasion with so many roots costs, in seconds of a core: for each offset a transform, the tones of an unknown
    /// root, and a correlation for each root. The same on every machine, so that a replay gives the same answer; what it is on
    /// one, the benchmark `a learned base station` tells.
    pub fn seconds_of_occasion(&self, base_station: &LearnedPrach, roots: usize) -> f64 {
        offsets(base_station).len() as f64 * (1e-8 * self.window as f64 + 1e-4 + 1.2e-5 * roots as f64)
    }

    /// What the correlator shows of a known base station at the occasion that begins at sample `start` of the recording, known to
    /// `sigma` samples. The snippet holds that occasion.
    pub fn sight_known(
        &mut self,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        base_station: &LearnedPrach,
        (start, sigma): (f64, f64),
        roots: &[u16],
    ) -> Option<Sighting> {
        let bin_hz = self.rate_hz / self.window as f64;
        let lowest =
            (base_station.center_hz - snippet.center_hz) / bin_hz + (self.window / 2) as f64 - (N_ZC / 2) as f64;
        let first = usize::try_from(lowest.round() as i64).ok().filter(|f| f + N_ZC <= self.window)?;
        let part = lowest - lowest.round();
        let peaks =
            3600.0 * base_station.occasions_a_second() * offsets(base_station).len() as f64 * roots.len() as f64 * LAGS;
        let least = (peaks / FALSE_AN_HOUR).ln().max(LEAST_KNOWN_PEAK) as f32;
        self.sum_noise(snippet.center_hz, floor);
        let seconds = base_station.seconds();
        let whole = (seconds * self.rate_hz) as usize;
        let prefix = whole % self.window;
        // All of it where it is known to a part of its prefix; else windows of which one lies in it.
        let is_sure = 3.0 * sigma < 0.1 * self.window as f64 * SURE;
        let step = 0.8 * prefix as f64;
        let reach = if is_sure { 0 } else { (3.0 * sigma / step - 0.5).ceil().max(0.0) as i64 };
        let mut best: Option<Sighting> = None;
        for shift in -reach..=reach {
            let lead = if is_sure { 0.0 } else { 0.5 * prefix as f64 };
            let at = (start + lead + shift as f64 * step).round() - snippet.start as f64;
            let length = if is_sure { whole } else { self.window };
            let inside = |at: &usize| at + length <= snippet.iq.len();
            let Some(at) = (at >= 0.0).then_some(at as usize).filter(inside) else { continue };
            for &offset in offsets(base_station) {
                let iq = &snippet.iq[at..at + length];
                // Where the window begins to which all is added.
                let window_at = if is_sure { at + prefix } else { at };
                self.load_folded(iq, window_at - at, part + offset);
                for &root in roots {
                    let found = self.correlate(first, usize::from(root));
                    if found.peak >= least && best.is_none_or(|b| found.peak > b.peak) {
                        best = Some(self.sighting(found, snippet, window_at, part + offset));
                    }
                }
                if best.is_none() && shift == 0 && self.scores_deep(first) {
                    best = self.faint_root(first).map(|found| self.sighting(found, snippet, window_at, part + offset));
                }
            }
        }
        best.filter(|b| b.ratio < FAINT_MOST_RATIO)
    }

    /// A preamble of a known base station; the snippet holds what lies around it.
    pub fn propose_known(
        &mut self,
        sighting: &Sighting,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        base_station: &LearnedPrach,
    ) -> Option<Proposal> {
        let around = self.power_around(sighting, snippet, floor);
        let seconds = base_station.seconds();
        let span = self.likeliest_span(sighting, snippet, &around)?;
        let evidence = Evidence::new("known_base_station", f64::from(base_station.heard()), 2.0);
        let edges = (span.start, span.start + seconds * around.rate_hz, seconds);
        let proposal =
            self.proposal(&sighting.moved(span.offset_hz), &around, edges, base_station.format, Some(evidence));
        // Its energy hardly shows; its sequence does.
        Some(Proposal { power: span.power, ..proposal })
    }
}
