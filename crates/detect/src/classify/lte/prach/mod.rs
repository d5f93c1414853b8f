//! PRACH preambles of any root, at any place of the band.
//!
//! In a transform of 0.8 ms a preamble is 839 neighbouring bins of 1.25 kHz (TS 36.211 5.7). The DFT of a
//! Zadoff–Chu sequence is one again, so X\[k+d\]·X*\[k\] is a pure tone whatever the delay: its frequency d/u mod
//! 839 names the root. A few lags d together propose roots; the correlator with the proposed root decides.

mod around;
pub mod deep;
mod faint;
mod known;
pub mod narrow;
mod roots;
mod spectrum;
pub mod timing;

use self::around::PowerAround;
use self::roots::Match;
use self::timing::Span;
use crate::candidate::{NoiseFloor, Proposal, Snippet};
use crate::channelize::{ChannelBuffers, Channelizer};
use crate::fft;
use cellwarden_standards::lte::{PRACH_FORMATS, PRACH_HZ, PRACH_N_ZC};
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use num_complex::Complex32;
use rustfft::Fft;
use std::collections::HashMap;
use std::sync::Arc;

/// Length of the sequence, and its subcarriers.
pub const N_ZC: usize = PRACH_N_ZC as usize;
/// Length of the sequence without its prefix: the inverse of the subcarriers' 1.25 kHz.
pub const SEQUENCE_S: f64 = PRACH_FORMATS[0].sequence_seconds();
/// Half of the six resource blocks.
const HALF_WIDTH_HZ: f64 = PRACH_HZ / 2.0;
/// Windows follow each other in so many seconds: at worst 80 % of a format-0 sequence lies in one.
const HOP_S: f64 = 0.25e-3;
/// A cheaper transform, longer than the sequence, is asked first; a tone between its bins shows this much of itself at the
/// least: sin(x)/x squared, x = π/2 · 839/1024.
const GLANCE: usize = 1024;
const GLANCE_LEAST: f32 = 0.55;
/// The same root at the same time, this much weaker (linear), is what the radio makes of a strong preamble.
pub const ECHO: f64 = 0.01;
/// Mean power of the 839 bins over the floor that is worth a test.
const LEAST_RATIO: f64 = 1.8;
/// What a window must share with a stretch in which there is something.
const LEAST_COMMON_S: f64 = 0.5e-3;
/// Correlation peak over the mean of all lags. Noise passes 27.3 once in a million windows over all roots and
/// lags; PUSCH, PUCCH and downlink reach 23. A preamble at 0 dB reaches 200.
const LEAST_PEAK: f32 = 45.0;
/// Share of what a whole preamble of the measured level would put into the peak, and near it.
const LEAST_SHARE: f32 = 0.1;
const LEAST_GATHERED: f32 = 0.5;
/// Formats 0 to 3: cyclic prefix and sequence, in seconds (TS 36.211 table 5.7.1-1).
const FORMATS_S: [f64; 4] =
    [PRACH_FORMATS[0].seconds(), PRACH_FORMATS[1].seconds(), PRACH_FORMATS[2].seconds(), PRACH_FORMATS[3].seconds()];
/// Lags at which the correlation is sampled.
const LAG_POINTS: usize = 2048;
/// Points of a short transform.
const SHORT: usize = 64;
/// Edges by the sequence that are farther from those of the power are not its own.
const NEAR_EDGES_S: f64 = 250e-6;
/// Window in which a preamble's edges are sought: the longest format on both sides of a window.
const EDGE_WINDOW_S: f64 = 6.4e-3;

/// Searches stretches of one stream.
pub struct PrachSearch {
    rate_hz: f64,
    window: usize,
    fft: Arc<dyn Fft<f32>>,
    tones: Arc<dyn Fft<f32>>,
    glance: Arc<dyn Fft<f32>>,
    lags: Arc<dyn Fft<f32>>,
    short: Arc<dyn Fft<f32>>,
    scratch: Vec<Complex32>,
    spectrum: Vec<Complex32>,
    /// Running sums of |X|² over shifted bins, lowest frequency first.
    energy: Vec<f64>,
    /// The same of the noise floor's density in those bins.
    noise: Vec<f64>,
    power: Vec<f32>,
    product: Vec<Complex32>,
    padded: Vec<Complex32>,
    white: Vec<Complex32>,
    scores: Vec<f32>,
    references: HashMap<usize, Vec<Complex32>>,
    /// One period of a sequence, what is left of samples without it, and running sums of what that gains.
    period: Vec<Complex32>,
    periods: Arc<dyn Fft<f32>>,
    rest: Vec<Complex32>,
    gains: Vec<f64>,
    edges: Channelizer,
    buffers: ChannelBuffers,
    inverse_of: Vec<usize>,
}

/// A preamble that one window shows.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// First sample of the window.
    window_start: u64,
    center_hz: f64,
    root: usize,
    /// Where its sequence begins in the window, in [`LAG_POINTS`] of 0.8 ms.
    lag: usize,
    peak: f32,
    /// Mean power of its bins over the floor, and above it (density).
    ratio: f64,
    excess: f64,
}

impl Sighting {
    /// The same at a frequency that is known better.
    fn moved(&self, by_hz: f64) -> Self {
        Self { center_hz: self.center_hz + by_hz, ..*self }
    }
}

/// The number whose product with a root, 1 to 838, is 1 modulo 839: how far a subcarrier moves the root's sequence.
pub fn inverse_of_root(root: usize) -> usize {
    (1..N_ZC).find(|h| root * h % N_ZC == 1).unwrap_or(1)
}

impl PrachSearch {
    /// For a stream at `rate_hz`; none where a preamble does not fit into the band.
    pub fn new(rate_hz: f64) -> Option<Self> {
        if rate_hz < 1.15e6 {
            return None;
        }
        let window = (SEQUENCE_S * rate_hz).round() as usize;
        let edges = Channelizer::new(rate_hz, EDGE_WINDOW_S, 1.92e6, HALF_WIDTH_HZ, 640e3);
        let (fft, tones, lags) = (fft::forward(window), fft::forward(N_ZC), fft::inverse(LAG_POINTS));
        let (glance, short, periods) = (fft::forward(GLANCE), fft::forward(SHORT), fft::inverse(timing::PERIOD));
        let scratch = [&fft, &tones, &glance, &lags, &short, &periods]
            .iter()
            .map(|f| f.get_inplace_scratch_len())
            .max()
            .unwrap_or(0);
        let mut inverse_of = vec![0; N_ZC];
        for (u, inverse) in inverse_of.iter_mut().enumerate().skip(1) {
            *inverse = inverse_of_root(u);
        }
        Some(Self {
            rate_hz,
            window,
            fft,
            tones,
            glance,
            lags,
            short,
            scratch: vec![Complex32::ZERO; scratch],
            spectrum: vec![Complex32::ZERO; window],
            energy: vec![0.0; window + 1],
            noise: vec![0.0; window + 1],
            power: vec![0.0; window],
            product: vec![Complex32::ZERO; N_ZC],
            padded: vec![Complex32::ZERO; LAG_POINTS],
            white: Vec::with_capacity(N_ZC),
            scores: vec![0.0; N_ZC],
            references: HashMap::new(),
            period: Vec::new(),
            periods,
            rest: Vec::new(),
            gains: Vec::new(),
            buffers: ChannelBuffers::new([&edges]),
            edges,
            inverse_of,
        })
    }

    /// Adds the preambles that the snippet holds and that lie, for a good part, in one of `busy`: stretches of the
    /// recording (first sample and the one after the last) in which there is something.
    pub fn search(&mut self, snippet: &Snippet<'_>, floor: &NoiseFloor, busy: &[(u64, u64)], out: &mut Vec<Proposal>) {
        let hop = (HOP_S * self.rate_hz).round() as usize;
        let least = (LEAST_COMMON_S * self.rate_hz) as u64;
        self.sum_noise(snippet.center_hz, floor);
        let mut sightings: Vec<Sighting> = Vec::new();
        let mut at = 0;
        while at + self.window <= snippet.iq.len() {
            let start = snippet.start + at as u64;
            let end = start + self.window as u64;
            if busy.iter().any(|&(from, to)| to.min(end).saturating_sub(from.max(start)) >= least) {
                self.look(snippet, at, &mut sightings);
            }
            at += hop;
        }
        // The window that puts the most energy into the peak speaks for its preamble.
        let energy = |s: &Sighting| f64::from(s.peak) * s.excess;
        sightings.sort_by(|a, b| {
            energy(b)
                .total_cmp(&energy(a))
                .then(a.window_start.cmp(&b.window_start))
                .then(a.center_hz.total_cmp(&b.center_hz))
        });
        let mut found: Vec<(f64, Proposal)> = Vec::new();
        for sighting in sightings {
            let middle = (sighting.window_start + self.window as u64 / 2) as f64;
            let known = found.iter().any(|(excess, p)| {
                let center = (p.low_hz + p.high_hz) / 2.0;
                // A part of a preamble, in bins beside its own, shows the same root. Images and products of a strong one
                // do so anywhere, or its mirrored root.
                let same = p.detail.root == Some(sighting.root as u16);
                let mirrored = p.detail.root == Some((N_ZC - sighting.root) as u16);
                let reach = match sighting.excess < ECHO * excess {
                    true if same || mirrored => f64::INFINITY,
                    _ if same => 2.0 * HALF_WIDTH_HZ,
                    _ => HALF_WIDTH_HZ,
                };
                (center - sighting.center_hz).abs() < reach
                    && middle > p.start - 0.5 * self.window as f64
                    && middle < p.start + p.count + 0.5 * self.window as f64
            });
            if !known {
                // The power of what is hardly stronger than the noise has no edges to go by.
                let is_faint = sighting.ratio < faint::FAINT_MOST_RATIO && !self.is_a_line(sighting.root);
                let by_sequence = if is_faint { self.propose_faint(&sighting, snippet, floor) } else { None };
                let proposal = by_sequence.or_else(|| self.propose(&sighting, snippet, floor));
                found.extend(proposal.map(|p| (sighting.excess, p)));
            }
        }
        out.extend(found.into_iter().map(|(_, p)| p));
    }

    /// Looks at the window that begins at `at` of the snippet.
    fn look(&mut self, snippet: &Snippet<'_>, at: usize, sightings: &mut Vec<Sighting>) {
        let n = self.window;
        self.load(&snippet.iq[at..at + n], 0.0);
        // Places where 839 bins hold more than the floor, those with the most energy first: the ratio would draw them away
        // from where the floor is high, as it is at the radio's DC.
        let step = 4;
        let mut places: Vec<(f64, f64, usize)> = Vec::new();
        let mut first = 0;
        while first + N_ZC <= n {
            let of = |sums: &[f64]| sums[first + N_ZC] - sums[first];
            let (energy, noise) = (of(&self.energy), of(&self.noise));
            let ratio = energy / noise;
            if ratio > LEAST_RATIO {
                places.push((energy - noise, ratio, first));
            }
            first += step;
        }
        places.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
        let mut tried: Vec<usize> = Vec::new();
        for (excess, ratio, first) in places {
            if tried.iter().any(|t| t.abs_diff(first) < N_ZC * 7 / 10) || tried.len() >= 24 {
                continue;
            }
            tried.push(first);
            if !self.is_filled(first) {
                continue;
            }
            // A whole preamble puts 839 times its share of the power into the peak, or what several paths leave of that, and all of it
            // near there; a chirp or a part does not.
            let share = ((ratio - 1.0) / ratio) as f32;
            let is_whole =
                |m: &Match| m.peak >= LEAST_SHARE * N_ZC as f32 * share && m.gathered >= LEAST_GATHERED * share;
            let Some(found) = self.root_at(first) else { continue };
            let (found, offset) = if is_whole(&found) || found.peak < LEAST_SHARE * N_ZC as f32 * share {
                (found, 0.0)
            } else {
                // Half a subcarrier off, it is two peaks: looked at from there, one.
                self.load(&snippet.iq[at..at + n], 0.5);
                let moved = [first.saturating_sub(1), first].map(|first| self.correlate(first, found.root));
                self.load(&snippet.iq[at..at + n], 0.0);
                (if moved[0].peak > moved[1].peak { moved[0] } else { moved[1] }, 0.5)
            };
            if is_whole(&found) {
                sightings.push(Sighting { ratio, excess, ..self.sighting(found, snippet, at, offset) });
            }
        }
    }

    /// Whether the power lies all over bins `first .. first + 839`, as a preamble's does: at least five of eight parts
    /// hold a twelfth of the mean. Paths that cancel each other take three of them away; a resource block or two of something
    /// strong leave more empty.
    fn is_filled(&self, first: usize) -> bool {
        const PARTS: usize = 8;
        let part = N_ZC / PARTS;
        let mean = (self.energy[first + N_ZC] - self.energy[first]) / PARTS as f64;
        let full = |i: &usize| self.energy[first + (i + 1) * part] - self.energy[first + i * part] > mean / 12.0;
        (0..PARTS).filter(full).count() >= 5
    }

    /// A preamble with the edges that the power in its band shows.
    fn propose(&mut self, sighting: &Sighting, snippet: &Snippet<'_>, floor: &NoiseFloor) -> Option<Proposal> {
        let around = self.power_around(sighting, snippet, floor);
        if around.level <= 0.0 {
            return None;
        }
        let (start, end) = around.edges();
        let seconds = (end - start) / around.rate_hz;
        // The duration that the standard has; what is neither is no preamble, whatever correlates.
        let (format, nominal) = FORMATS_S
            .iter()
            .enumerate()
            .min_by(|a, b| (a.1 - seconds).abs().total_cmp(&(b.1 - seconds).abs()))
            .map(|(i, s)| (i as u8, *s))?;
        if seconds < 0.7e-3 || (seconds - nominal).abs() > 0.35e-3 {
            return None;
        }
        let fits = (seconds - nominal).abs() < 40e-6;
        let misfit = Evidence::new("duration_misfit_us", (seconds - nominal) * 1e6, if fits { 1.0 } else { -1.0 });
        // Its power shows the edges; its sequence shows them better.
        let near = |span: &Span| {
            let reach = NEAR_EDGES_S * around.rate_hz;
            (span.start - start).abs() < reach && (span.end - end).abs() < reach
        };
        let length = if fits { nominal } else { seconds };
        let (offset_hz, format, start, end, length) = match self.likeliest_span(sighting, snippet, &around).filter(near)
        {
            Some(s) => (s.offset_hz, s.format, s.start, s.end, (s.end - s.start) / around.rate_hz),
            None => (0.0, format, start, end, length),
        };
        Some(self.proposal(&sighting.moved(offset_hz), &around, (start, end, length), format, Some(misfit)))
    }

    /// What is said of a preamble from `start` to `end` of the power around it, `length` seconds long.
    fn proposal(
        &self,
        sighting: &Sighting,
        around: &PowerAround,
        (start, end, length): (f64, f64, f64),
        format: u8,
        more: Option<Evidence>,
    ) -> Proposal {
        let used = start as usize..(end as usize).min(around.power.len());
        let emitted = (around.mean(used.start, used.end) - around.noise).max(around.level * 0.1);
        let peak = f64::from(sighting.peak);
        // Of peaks above 45, none was of anything else in 4,300 windows of other LTE signals.
        let mut evidence =
            vec![Evidence::new("preamble_correlation", peak, (3.0 + (peak / f64::from(LEAST_PEAK)).ln()).min(6.0))];
        evidence.extend(more);
        evidence.push(Evidence::new("band_power_ratio", sighting.ratio, 0.0));
        let lag_s = SEQUENCE_S / LAG_POINTS as f64;
        Proposal {
            standard: Standard::Lte,
            kind: Kind::Prach,
            start: around.window_start as f64 + start / around.rate_hz * self.rate_hz,
            count: length * self.rate_hz,
            low_hz: sighting.center_hz - HALF_WIDTH_HZ,
            high_hz: sighting.center_hz + HALF_WIDTH_HZ,
            power: emitted,
            channel: None,
            carrier_offset_hz: None,
            standard_confidence: 0.95,
            sequence_start: Some(sighting.window_start as f64 + sighting.lag as f64 * lag_s * self.rate_hz),
            detail: Detail {
                root: Some(sighting.root as u16),
                format: Some(format),
                resource_blocks: Some(6),
                evidence,
                ..Detail::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::roots::spectrum_of_root;
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const RATE_HZ: f64 = 3.84e6;

    fn floor(density: f32) -> NoiseFloor {
        NoiseFloor { center_hz: 847e6, rate_hz: RATE_HZ, density: vec![density; 128] }
    }

    /// A preamble of format 0 with its prefix, by its definition as a sum of subcarriers, in noise.
    fn recording(root: usize, shift: usize, snr_db: f64, seed: u64) -> (Vec<Complex32>, f32) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut gauss = || {
            let (a, b): (f32, f32) = (rng.random::<f32>().max(1e-9), rng.random());
            let r = (-a.ln()).sqrt();
            Complex32::new(r * (std::f32::consts::TAU * b).cos(), r * (std::f32::consts::TAU * b).sin())
        };
        let mut iq: Vec<Complex32> = (0..16_000).map(|_| gauss()).collect();
        let n = (SEQUENCE_S * RATE_HZ) as usize;
        let mut bins = spectrum_of_root(root, fft::forward(N_ZC).as_ref());
        bins.iter_mut().enumerate().for_each(|(k, z)| {
            let angle = -std::f32::consts::TAU * ((k * shift) % N_ZC) as f32 / N_ZC as f32;
            *z = z.conj() * Complex32::from_polar(1.0, angle);
        });
        let mut grid = vec![Complex32::ZERO; n];
        for (k, z) in bins.iter().enumerate() {
            grid[(k + n - 300) % n] = *z;
        }
        fft::inverse(n).process_with_scratch(&mut grid, &mut vec![Complex32::ZERO; 4 * n]);
        // Noise has power 1 over the rate: in 1.08 MHz it is 1.08 / 3.84.
        let amplitude = (10f64.powf(snr_db / 10.0) * 1.08e6 / RATE_HZ).sqrt() as f32;
        let rms = (grid.iter().map(Complex32::norm_sqr).sum::<f32>() / n as f32).sqrt();
        let prefix = 396;
        for i in 0..prefix + n {
            iq[6_000 + i] += grid[(i + n - prefix) % n] * (amplitude / rms);
        }
        (iq, (1.0 / RATE_HZ) as f32)
    }

    fn search(iq: &[Complex32], density: f32) -> Vec<Proposal> {
        let snippet = Snippet { iq, start: 1_000, rate_hz: RATE_HZ, center_hz: 847e6 };
        let mut out = Vec::new();
        PrachSearch::new(RATE_HZ).unwrap().search(&snippet, &floor(density), &[(0, u64::MAX)], &mut out);
        out
    }

    #[test]
    fn every_kind_of_root_is_found_and_named_at_8_db() {
        for (seed, root) in [1, 2, 5, 25, 129, 140, 419, 420, 700, 837, 838].into_iter().enumerate() {
            for shift in [0, 119, 500] {
                let (iq, density) = recording(root, shift, 8.0, seed as u64);
                let found = search(&iq, density);
                assert_eq!(found.len(), 1, "root {root} shift {shift}: {found:?}");
                assert_eq!(found[0].detail.root, Some(root as u16));
                assert_eq!(found[0].detail.format, Some(0));
                assert!((found[0].start - 7_000.0).abs() < 60.0, "root {root}: {}", found[0].start);
            }
        }
    }

    /// SNR in 1.08 MHz; the gate errs in time and frequency, the receiver by up to half a subcarrier.
    #[test]
    fn faint_preambles_are_found_where_the_gate_points() {
        let mut search = PrachSearch::new(RATE_HZ).unwrap();
        let (mut found, mut rightly, mut trials) = (0, 0, 0);
        let mut errors = Vec::new();
        for seed in 0..200u64 {
            let root = 1 + (seed * 37 % 838) as usize;
            let (mut iq, density) = recording(root, (seed * 101 % 839) as usize, -6.0, 1_000 + seed);
            let off_hz = (seed % 11) as f64 * 125.0 - 625.0;
            for (n, z) in iq.iter_mut().enumerate() {
                let turn = std::f64::consts::TAU * off_hz * n as f64 / RATE_HZ;
                *z *= Complex32::new(turn.cos() as f32, turn.sin() as f32);
            }
            let snippet = Snippet { iq: &iq, start: 1_000, rate_hz: RATE_HZ, center_hz: 847e6 };
            let truth_hz = 847e6 + (419.0 - 300.0) * 1250.0 + off_hz;
            let (start, hz) = (7_200 + (seed * 53 % 384), truth_hz + (seed % 7) as f64 * 10e3 - 30e3);
            trials += 1;
            if let Some(p) = search.search_faint(&snippet, &floor(density), start, hz) {
                found += 1;
                errors.push((p.start - 7_000.0).abs() / RATE_HZ * 1e6);
                let near = (p.start - 7_000.0).abs() < 40e-6 * RATE_HZ
                    && ((p.low_hz + p.high_hz) / 2.0 - truth_hz).abs() < 60e3;
                rightly += usize::from(near && p.detail.root == Some(root as u16) && p.detail.format == Some(0));
            }
            // The same place in noise alone.
            let (iq, density) = recording(root, 0, -200.0, 5_000 + seed);
            let snippet = Snippet { iq: &iq, ..snippet };
            assert!(search.search_faint(&snippet, &floor(density), start, hz).is_none());
        }
        errors.sort_by(f64::total_cmp);
        assert!(errors[errors.len() * 95 / 100] < 16.0, "µs off: {errors:?}");
        assert!(found >= trials - 2 && rightly >= found - 15, "{rightly} of {found} of {trials}");
    }

    #[test]
    fn noise_holds_no_preamble() {
        for seed in 0..20 {
            let (iq, density) = recording(129, 0, -200.0, seed);
            // A floor that is 6 dB too low opens the gate: the correlator has to say no.
            assert!(search(&iq, density / 4.0).is_empty());
        }
    }
}
