//! Which root a preamble has: tones of products of its bins propose it, the correlator decides.

use super::{GLANCE, GLANCE_LEAST, LAG_POINTS, LEAST_PEAK, N_ZC, PrachSearch};
use num_complex::Complex32;
use rustfft::Fft;
use std::ops::Range;

/// Roots that are tried with the correlator.
const TRIED: usize = 2;
/// Lags whose tones are added.
const LAGS: usize = 8;
/// The first lag's strongest tone over the mean of its tones that is worth the other lags. Noise passes 30 once in 10^10
/// places; a preamble at 0 dB reaches 150.
const LEAST_TONE: f32 = 30.0;

/// Lags before and behind the strongest path in which others come: 8 µs, as a path among houses has 5 (TS 36.101 annex B.2: ETU).
const ECHO_LAGS: (usize, usize) = (20, 20);
/// Parts of a preamble's band in which the power is made the same.
const WHITE_PARTS: usize = 16;

/// A root that correlates with a window's bins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) root: usize,
    /// Its lowest bin.
    pub(super) first: usize,
    /// Where the sequence begins in the window, in [`LAG_POINTS`] of 0.8 ms: its delay and its cyclic shift.
    pub(super) lag: usize,
    /// Peak of the correlation over the mean of all lags.
    pub(super) peak: f32,
    /// Share of the energy that is near the peak: all paths of one phone's signal.
    pub(super) gathered: f32,
}

impl PrachSearch {
    /// The root of a preamble in bins `first .. first + 839`.
    pub(super) fn root_at(&mut self, first: usize) -> Option<Match> {
        if !self.score_roots(first, true) {
            return None;
        }
        self.best_root(first, TRIED)
    }

    /// What correlates best of the `tried` likeliest roots that were scored.
    pub(super) fn best_root(&mut self, first: usize, tried: usize) -> Option<Match> {
        let mut best: Option<Match> = None;
        for _ in 0..tried {
            let root = self.take_likeliest_root()?;
            let found = self.correlate(first, root);
            if found.peak >= LEAST_PEAK && best.is_none_or(|b| found.peak > b.peak) {
                best = Some(found);
            }
        }
        best
    }

    /// The likeliest root by the tones of all lags, which is then out of the race.
    fn take_likeliest_root(&mut self) -> Option<usize> {
        let h = (1..N_ZC).max_by(|&a, &b| self.scores[a].total_cmp(&self.scores[b]))?;
        self.scores[h] = 0.0;
        Some(self.inverse_of[h])
    }

    /// Adds the tones of the lags for each inverse of a root. With `glance`, gives up where the first lag shows no tone.
    pub(super) fn score_roots(&mut self, first: usize, glance: bool) -> bool {
        self.scores.fill(0.0);
        for lag in 1..=LAGS {
            let bins = &self.spectrum[first..first + N_ZC];
            // Only phases: a part of the band that is stronger must not speak for all of it.
            for (p, (a, b)) in self.product.iter_mut().zip(bins[lag..].iter().zip(bins)) {
                let y = a * b.conj();
                *p = y * (1.0 / (y.norm_sqr().sqrt() + 1e-30));
            }
            self.product[N_ZC - lag..].fill(Complex32::ZERO);
            if glance && lag == 1 && !self.shows_a_tone() {
                return false;
            }
            self.tones.process_with_scratch(&mut self.product, &mut self.scratch);
            if glance && lag == 1 {
                // Unit values: the mean of the tones is their number.
                let strongest = self.product.iter().map(Complex32::norm_sqr).fold(0.0, f32::max);
                if strongest < LEAST_TONE * N_ZC as f32 {
                    return false;
                }
            }
            for h in 1..N_ZC {
                self.scores[h] += self.product[h * lag % N_ZC].norm_sqr();
            }
        }
        true
    }

    /// Copies bins `first .. first + 839` with the same power all over: what is stronger in a part of the band must not speak for
    /// all of it. Unlike phases alone, this leaves a preamble that is weaker than the noise as clear as it is.
    pub(super) fn whiten(&mut self, first: usize) {
        let bins = &self.spectrum[first..first + N_ZC];
        self.white.clear();
        for part in 0..WHITE_PARTS {
            let part = &bins[part * N_ZC / WHITE_PARTS..(part + 1) * N_ZC / WHITE_PARTS];
            let power = part.iter().map(Complex32::norm_sqr).sum::<f32>() / part.len() as f32;
            let scale = 1.0 / power.max(f32::MIN_POSITIVE).sqrt();
            self.white.extend(part.iter().map(|z| z * scale));
        }
    }

    /// Adds the tones of more lags of the whitened bins to the scores, whose mean in noise is the number of lags. Gives the
    /// greatest score.
    pub(super) fn add_lags(&mut self, lags: Range<usize>) -> f32 {
        for lag in lags {
            for (p, (a, b)) in self.product.iter_mut().zip(self.white[lag..].iter().zip(&self.white)) {
                *p = a * b.conj();
            }
            self.product[N_ZC - lag..].fill(Complex32::ZERO);
            self.tones.process_with_scratch(&mut self.product, &mut self.scratch);
            let scale = 1.0 / (N_ZC - lag) as f32;
            let mut at = 0;
            for score in &mut self.scores[1..] {
                at += lag;
                at -= if at >= N_ZC { N_ZC } else { 0 };
                *score += self.product[at].norm_sqr() * scale;
            }
        }
        self.scores[1..].iter().copied().fold(0.0, f32::max)
    }

    /// Whether the product may hold a tone that is worth the rest.
    fn shows_a_tone(&mut self) -> bool {
        let padded = &mut self.padded[..GLANCE];
        padded[..N_ZC].copy_from_slice(&self.product);
        padded[N_ZC..].fill(Complex32::ZERO);
        self.glance.process_with_scratch(padded, &mut self.scratch);
        let strongest = padded.iter().map(Complex32::norm_sqr).fold(0.0, f32::max);
        strongest >= GLANCE_LEAST * LEAST_TONE * N_ZC as f32
    }

    /// Conjugated spectrum of a root, made once.
    pub(super) fn reference(&mut self, root: usize) -> &[Complex32] {
        self.references.entry(root).or_insert_with(|| spectrum_of_root(root, self.tones.as_ref()))
    }

    /// The correlation with a root over all lags, sampled 2.4 times as densely as the sequence.
    pub(super) fn correlate(&mut self, first: usize, root: usize) -> Match {
        self.padded.fill(Complex32::ZERO);
        let mut energy = 0.0;
        self.reference(root);
        let reference = &self.references[&root];
        for ((p, x), r) in self.padded.iter_mut().zip(&self.spectrum[first..first + N_ZC]).zip(reference.iter()) {
            *p = x * r;
            energy += p.norm_sqr();
        }
        self.lags.process_with_scratch(&mut self.padded, &mut self.scratch);
        let powers = self.padded.iter().map(Complex32::norm_sqr).enumerate();
        let (lag, peak) = powers.fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best });
        let near = (0..ECHO_LAGS.0 + ECHO_LAGS.1).map(|i| (lag + LAG_POINTS + i - ECHO_LAGS.0) % LAG_POINTS);
        let gathered: f32 = near.map(|i| self.padded[i].norm_sqr()).sum();
        // By Parseval, the mean over the lags is the energy itself.
        let over = |x: f32| if energy > 0.0 { x / energy } else { 0.0 };
        Match { root, first, lag, peak: over(peak), gathered: over(gathered) / LAG_POINTS as f32 }
    }
}

/// Conjugated spectrum of the root sequence x(n) = exp(-jπ u n(n+1) / 839), lowest frequency first, unit modulus.
pub(super) fn spectrum_of_root(root: usize, fft: &dyn Fft<f32>) -> Vec<Complex32> {
    let mut x: Vec<Complex32> = (0..N_ZC)
        .map(|n| {
            let turn = (root * n * (n + 1)) % (2 * N_ZC);
            let angle = -std::f64::consts::PI * turn as f64 / N_ZC as f64;
            Complex32::new(angle.cos() as f32, angle.sin() as f32)
        })
        .collect();
    let mut scratch = vec![Complex32::ZERO; fft.get_inplace_scratch_len()];
    fft.process_with_scratch(&mut x, &mut scratch);
    // The waveform puts the sequence's bin 0 on the lowest subcarrier (TS 36.211 5.7.3): no shift.
    let scale = 1.0 / (N_ZC as f32).sqrt();
    x.iter().map(|z| z.conj() * scale).collect()
}
