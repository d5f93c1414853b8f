//! Preambles of which hardly more than their energy shows.

use super::around::PowerAround;
use super::roots::Match;
use super::timing::Span;
use super::{FORMATS_S, HALF_WIDTH_HZ, N_ZC, PrachSearch, SEQUENCE_S, SHORT, Sighting};
use crate::candidate::{NoiseFloor, Proposal, Snippet};
use cellwarden_types::{Evidence, Kind, Standard};
use num_complex::Complex32;

/// Where windows of a faint one begin, from where the gate has it; and how many subcarriers it may be off.
const FAINT_STARTS_S: [f64; 3] = [0.0, -0.12e-3, 0.12e-3];
pub(super) const FAINT_OFFSETS: [f64; 2] = [0.0, 0.5];
/// The strongest sum of tones over the mean of one that is worth more than a first try. Noise passes 30 once in 2,000 tries; a
/// preamble at -5 dB reaches 300, one at -8.5 dB 80.
const LEAST_SCORE: f32 = 30.0;
/// Roots that are tried with the correlator.
const FAINT_TRIED: usize = 4;
/// Energy in its bins over the floor's above which a preamble is not faint.
pub(super) const FAINT_MOST_RATIO: f64 = 5.0;
/// Roots whose preambles are so many lines in time and frequency look like what sweeps over the band (a magnetron, a jammer). That
/// has this share of its density beside the band where it is surely not noise; where that is not seen, it counts against it.
const SWEEP_LINES: usize = 3;
const SWEEP_SHARE: f64 = 0.5;
const SWEEP_SIGMAS: f64 = 2.5;
const SWEEP_LLR: f64 = -3.0;
/// Bins to both sides of where the gate has it, in steps, in which its place is sought by the correlation: a bin that is not its own
/// takes 1/839 of the peak's amplitude.
const FAINT_REACH: usize = 48;
const FAINT_STEP: usize = 8;

/// The strongest of a short transform's bins over their mean in what is spread as a preamble is: 4.2 in noise, 5 of a root of
/// four lines at 5 dB; a sweep has 7 at -5 dB and 13 at 0 dB.
const MOST_CREST: f64 = 6.0;

impl PrachSearch {
    /// The preamble that begins near `start` of the recording and lies about `center_hz`, where hardly more than its energy shows.
    pub fn search_faint(
        &mut self,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        start: u64,
        center_hz: f64,
    ) -> Option<Proposal> {
        self.sum_noise(snippet.center_hz, floor);
        let bin_hz = self.rate_hz / self.window as f64;
        let middle = ((center_hz - snippet.center_hz) / bin_hz).round() as i64 + (self.window / 2) as i64;
        let first = usize::try_from(middle - (N_ZC / 2) as i64).ok().filter(|f| f + N_ZC <= self.window)?;
        let mut best: Option<Sighting> = None;
        let mut shows = [true; FAINT_OFFSETS.len()];
        for (i, shift_s) in FAINT_STARTS_S.into_iter().enumerate() {
            let at = start as i64 - snippet.start as i64 + (shift_s * self.rate_hz).round() as i64;
            let Some(at) = usize::try_from(at).ok().filter(|at| at + self.window <= snippet.iq.len()) else { continue };
            for (offset, shows) in FAINT_OFFSETS.into_iter().zip(&mut shows).filter(|(_, shows)| **shows) {
                self.load(&snippet.iq[at..at + self.window], offset);
                self.score_roots(first, false);
                if i == 0 {
                    *shows = self.scores.iter().copied().fold(0.0, f32::max) >= LEAST_SCORE * N_ZC as f32;
                }
                let found = if *shows { self.faint_root(first) } else { None };
                if let Some(found) = found.filter(|f| best.is_none_or(|b| f.peak > b.peak)) {
                    best = Some(self.sighting(found, snippet, at, offset));
                }
            }
        }
        // What is not faint shows its edges, by which it is judged.
        self.propose_faint(&best.filter(|b| b.ratio < FAINT_MOST_RATIO)?, snippet, floor)
    }

    /// What a match in the window at `at` of the snippet, loaded with `offset`, shows.
    pub(super) fn sighting(&self, found: Match, snippet: &Snippet<'_>, at: usize, offset: f64) -> Sighting {
        let Match { root, first, lag, peak, .. } = found;
        let of = |sums: &[f64]| sums[first + N_ZC] - sums[first];
        let (energy, noise) = (of(&self.energy), of(&self.noise));
        let bin = first as f64 + (N_ZC / 2) as f64 - (self.window / 2) as f64 + offset;
        Sighting {
            window_start: snippet.start + at as u64,
            center_hz: snippet.center_hz + bin * self.rate_hz / self.window as f64,
            root,
            lag,
            peak,
            ratio: energy / noise,
            excess: energy - noise,
        }
    }

    /// The root of a faint one about there whose roots were scored.
    pub(super) fn faint_root(&mut self, first: usize) -> Option<Match> {
        let mut best = self.best_root(first, FAINT_TRIED)?;
        let low = first.saturating_sub(FAINT_REACH);
        for near in (low..=(first + FAINT_REACH).min(self.window - N_ZC)).step_by(FAINT_STEP) {
            let found = self.correlate(near, best.root);
            if found.peak > best.peak {
                best = found;
            }
        }
        Some(best)
    }

    /// A faint preamble: of which format, and from where, most of the power speaks for. Its edges do not show.
    pub(super) fn propose_faint(
        &mut self,
        sighting: &Sighting,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
    ) -> Option<Proposal> {
        let around = self.power_around(sighting, snippet, floor);
        if around.level <= 0.0 || !around.is_steady() {
            return None;
        }
        let Span { format, start, end, offset_hz, .. } = self.likeliest_span(sighting, snippet, &around)?;
        let is_a_line = self.is_a_line(sighting.root);
        if !is_a_line && self.crest(sighting, snippet, &around) > MOST_CREST {
            return None;
        }
        if is_a_line && [-1.0, 1.0].into_iter().any(|side| self.goes_on_beside(sighting, &around, snippet, floor, side))
        {
            return None;
        }
        let length = (end - start) / around.rate_hz;
        let sweep = is_a_line.then(|| Evidence::new("sweeps_as_others_do", 1.0, SWEEP_LLR));
        let proposal = self.proposal(&sighting.moved(offset_hz), &around, (start, end, length), format, sweep);
        // One line is no proof of a standard.
        Some(if is_a_line {
            Proposal { standard: Standard::Unknown, kind: Kind::Unknown, ..proposal }
        } else {
            proposal
        })
    }

    /// Whether a preamble of the root is one line or a few across its band, as what sweeps is.
    pub(super) fn is_a_line(&self, root: usize) -> bool {
        [root, self.inverse_of[root]].into_iter().any(|u| u.min(N_ZC - u) <= SWEEP_LINES)
    }

    /// The strongest of the 30 kHz of a preamble's band over their mean, in the mean of stretches of 33 µs. What sweeps is in one of them
    /// at a time, and correlates with part of many a root.
    fn crest(&mut self, sighting: &Sighting, snippet: &Snippet<'_>, around: &PowerAround) -> f64 {
        let half = (HALF_WIDTH_HZ / around.rate_hz * SHORT as f64) as usize;
        let mut window = self.edges.loaded(&mut self.buffers);
        let y = window.channel(sighting.center_hz - snippet.center_hz);
        let stretches = around.inside();
        let (mut crests, mut count) = (0.0, 0.0);
        for stretch in y[stretches].chunks_exact_mut(SHORT) {
            self.short.process_with_scratch(stretch, &mut self.scratch);
            let power = stretch[..half].iter().chain(&stretch[SHORT - half..]).map(Complex32::norm_sqr);
            let (sum, most) = power.fold((0.0, 0.0f32), |(sum, most), p| (sum + p, p.max(most)));
            crests += f64::from(most / sum.max(f32::MIN_POSITIVE)) * 2.0 * half as f64;
            count += 1.0;
        }
        crests / f64::max(count, 1.0)
    }

    /// Whether energy lies beside the band of a sighting, on one `side` (-1 or 1), as dense as in it: what sweeps comes from there, or
    /// goes on there.
    fn goes_on_beside(
        &mut self,
        sighting: &Sighting,
        around: &PowerAround,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        side: f64,
    ) -> bool {
        const WIDTH_HZ: f64 = 200e3;
        const MORE_S: f64 = 0.4e-3;
        let middle_hz = sighting.center_hz + side * (HALF_WIDTH_HZ + WIDTH_HZ / 2.0 + 20e3);
        let noise = floor.power(middle_hz - WIDTH_HZ / 2.0, middle_hz + WIDTH_HZ / 2.0);
        let mut window = self.edges.loaded(&mut self.buffers);
        let y = window.band(middle_hz - snippet.center_hz, 0.45 * WIDTH_HZ, 0.55 * WIDTH_HZ);
        let (from, to) =
            (around.at(PowerAround::LEAD_S - MORE_S), around.at(PowerAround::LEAD_S + SEQUENCE_S + MORE_S));
        let power = y[from..to].iter().map(|z| f64::from(z.norm_sqr())).sum::<f64>() / (to - from) as f64;
        let seconds = SEQUENCE_S + 2.0 * MORE_S;
        let inside = around.level * FORMATS_S[0] / (2.0 * HALF_WIDTH_HZ);
        let share = (power - noise) * seconds / WIDTH_HZ / inside;
        let deviation = noise / (WIDTH_HZ * seconds).sqrt() * seconds / WIDTH_HZ / inside;
        share > SWEEP_SHARE.max(SWEEP_SIGMAS * deviation)
    }
}
