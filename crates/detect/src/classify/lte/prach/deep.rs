//! Preambles whose energy hardly shows: every place is looked at, however long it takes.
//!
//! A preamble at -8.5 dB raises the energy of its window by four standard deviations, which noise does in a third of the places
//! somewhere. So whatever is over the usual energy is scored: a few lags first, then sixteen, then the correlator on the
//! likeliest roots. Each stage passes a tenth of the noise or less, and nearly all preambles.

use super::faint::{FAINT_MOST_RATIO, FAINT_OFFSETS};
use super::{N_ZC, PrachSearch, Sighting};
use crate::candidate::{NoiseFloor, Proposal, Snippet};
use rayon::prelude::*;

/// Windows begin this often: with a prefix of 0.1 ms, one at least holds 95 % of a sequence.
const STEP_S: f64 = 0.2e-3;
/// Bins from place to place: one at least holds 95 % of a sequence.
const STEP_BINS: usize = 72;
/// Energy over what is usual at its place that is worth a look, in standard deviations of noise: a quarter of noise passes.
const LEAST_SIGMAS: f64 = 0.7;
/// What is usual is the mean over so long, no burst lifts it by more than so many deviations at once, and the floor's word
/// counts for so long.
const USUAL_S: f64 = 5.0;
const CLIP_SIGMAS: f64 = 2.0;
const FLOOR_S: f64 = 0.05;
/// The greatest sum of the tones of so many lags, over the mean of one, that is worth more: a tenth of noise passes the first
/// (the upper tail of a Gamma distribution of as many degrees, times 838 roots), one in twenty the second.
const STAGES: [(usize, f32); 2] = [(4, 14.5), (16, 36.0)];
/// Windows that are searched by one thread after the other.
const TASKS: usize = 8;

/// Searches a stream's every window.
pub struct DeepSearch {
    workers: Vec<PrachSearch>,
    step: u64,
    /// By place: energy over the floor's, less one, that is usual there; and of how many windows.
    usual: Vec<f64>,
    seen: f64,
    sigma: f64,
}

impl DeepSearch {
    /// For a stream at `rate_hz`; none where a preamble does not fit into the band.
    pub fn new(rate_hz: f64) -> Option<Self> {
        let workers: Vec<PrachSearch> = (0..TASKS).map_while(|_| PrachSearch::new(rate_hz)).collect();
        let window = workers.first()?.window;
        let places = (window - N_ZC) / STEP_BINS + 1;
        let step = (STEP_S * rate_hz).round() as u64;
        Some(Self { workers, step, usual: vec![0.0; places], seen: 0.0, sigma: 1.0 / (N_ZC as f64).sqrt() })
    }

    /// Samples from window to window.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Samples in a window.
    pub fn window(&self) -> u64 {
        self.workers[0].window as u64
    }

    /// Looks at the `count` windows of which the first begins at sample `first` of the recording, and adds the preambles that
    /// they hold, the clearest first.
    pub fn search(
        &mut self,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        (first, count): (u64, usize),
        out: &mut Vec<Proposal>,
    ) {
        let (step, sigma, usual) = (self.step, self.sigma, &self.usual);
        let task = count.div_ceil(TASKS).max(1);
        let starts: Vec<u64> = (0..count as u64).map(|i| first + i * step).collect();
        let work = |(starts, worker): (&[u64], &mut PrachSearch)| {
            worker.sum_noise(snippet.center_hz, floor);
            let (mut sightings, mut clipped) = (Vec::new(), vec![0.0; usual.len()]);
            for start in starts {
                worker.look_deep(snippet, *start, (usual, sigma), &mut clipped, &mut sightings);
            }
            (sightings, clipped)
        };
        let found: Vec<(Vec<Sighting>, Vec<f64>)> =
            starts.par_chunks(task).zip(self.workers.par_iter_mut()).map(work).collect();
        let mut sightings: Vec<Sighting> = Vec::new();
        self.seen = (self.seen + count as f64).min(USUAL_S / STEP_S);
        let weight = 1.0 / (self.seen + FLOOR_S / STEP_S);
        for (more, clipped) in found {
            sightings.extend(more);
            self.usual.iter_mut().zip(clipped).for_each(|(usual, over)| *usual += weight * over);
        }
        sightings.sort_by(|a, b| {
            let place = a.window_start.cmp(&b.window_start).then(a.center_hz.total_cmp(&b.center_hz));
            b.peak.total_cmp(&a.peak).then(place)
        });
        let half = self.window() as f64 / 2.0;
        for sighting in sightings {
            let middle = sighting.window_start as f64 + half;
            let is_known = |p: &Proposal| {
                p.start - half < middle
                    && middle < p.start + p.count + half
                    && (p.low_hz..p.high_hz).contains(&sighting.center_hz)
            };
            if !out.iter().any(is_known) {
                out.extend(self.workers[0].propose_faint(&sighting, snippet, floor));
            }
        }
    }
}

impl PrachSearch {
    /// Adds what the window at sample `start` of the recording shows at any place, and to `clipped` how much each place is over
    /// what is usual there.
    fn look_deep(
        &mut self,
        snippet: &Snippet<'_>,
        start: u64,
        (usual, sigma): (&[f64], f64),
        clipped: &mut [f64],
        sightings: &mut Vec<Sighting>,
    ) {
        let window = self.window;
        let at = start.checked_sub(snippet.start).map(|at| at as usize);
        let Some(at) = at.filter(|at| at + window <= snippet.iq.len()) else { return };
        let mut places: Vec<usize> = Vec::new();
        for (i, offset) in FAINT_OFFSETS.into_iter().enumerate() {
            if i > 0 && places.is_empty() {
                break;
            }
            self.load(&snippet.iq[at..at + window], offset);
            if i == 0 {
                for (place, (usual, clipped)) in usual.iter().zip(clipped.iter_mut()).enumerate() {
                    let first = place * STEP_BINS;
                    let of = |sums: &[f64]| sums[first + N_ZC] - sums[first];
                    let ratio = of(&self.energy) / of(&self.noise);
                    let over = ratio - 1.0 - usual;
                    *clipped += over.clamp(-CLIP_SIGMAS * sigma, CLIP_SIGMAS * sigma);
                    if over > LEAST_SIGMAS * sigma && ratio < FAINT_MOST_RATIO {
                        places.push(first);
                    }
                }
            }
            for &first in &places {
                let found = if self.scores_deep(first) { self.faint_root(first) } else { None };
                sightings.extend(found.map(|f| self.sighting(f, snippet, at, offset)));
            }
        }
    }

    /// Scores the roots of a preamble in bins `first .. first + 839`; whether one may be there.
    pub(super) fn scores_deep(&mut self, first: usize) -> bool {
        self.whiten(first);
        self.scores.fill(0.0);
        let mut from = 1;
        STAGES.iter().all(|&(lags, least)| {
            let score = self.add_lags(from..lags + 1);
            from = lags + 1;
            score >= least
        })
    }
}
