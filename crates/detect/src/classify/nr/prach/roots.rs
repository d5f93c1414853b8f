//! The root of a folded symbol: tones propose, the correlator decides.

use super::{LEAST_PEAK, LEAST_SHARE, N_ZC};
use crate::fft;
use num_complex::Complex32;
use rustfft::Fft;
use std::sync::Arc;

/// Lags of the spectrum whose products are added.
const TONES: usize = 16;
/// Roots that are tried with the correlator.
const TRIED: usize = 4;
/// Lags at which the correlation is sampled: 3.7 to a value of the sequence.
const LAG_POINTS: usize = 512;
/// Subcarriers to both sides in which its place is sought.
const REACH: usize = 66;
/// Parts of the band that count the same.
const PARTS: usize = 8;
/// Parts that hold a twelfth of the mean at the least.
const FILLED: usize = 5;

/// A root that fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) root: usize,
    /// The first of its bins.
    pub(super) first: usize,
    lag: usize,
    /// Over the mean of all lags.
    pub(super) peak: f32,
}

impl Match {
    /// How late the sequence begins in the folded symbol, in periods.
    pub(super) fn delay(&self) -> f64 {
        self.lag as f64 / LAG_POINTS as f64
    }
}

/// Finds the root of a symbol. Tone d·h of lag d is of root 1/h mod 139: the DFT of a sequence is one of the inverse root.
pub(super) struct Roots {
    tones: Arc<dyn Fft<f32>>,
    lags: Arc<dyn Fft<f32>>,
    scratch: Vec<Complex32>,
    folded: Vec<Complex32>,
    white: Vec<Complex32>,
    product: Vec<Complex32>,
    padded: Vec<Complex32>,
    scores: Vec<f32>,
    inverse_of: Vec<usize>,
    /// Conjugated spectrum of each root, the lowest frequency first.
    references: Vec<Complex32>,
}

impl Roots {
    pub(super) fn new() -> Self {
        let (tones, lags) = (fft::forward(N_ZC), fft::inverse(LAG_POINTS));
        let scratch = tones.get_inplace_scratch_len().max(lags.get_inplace_scratch_len());
        let mut roots = Self {
            tones,
            lags,
            scratch: vec![Complex32::ZERO; scratch],
            folded: Vec::new(),
            white: Vec::with_capacity(N_ZC),
            product: vec![Complex32::ZERO; N_ZC],
            padded: vec![Complex32::ZERO; LAG_POINTS],
            scores: vec![0.0; N_ZC],
            inverse_of: (0..N_ZC).map(|h| (1..N_ZC).find(|u| u * h % N_ZC == 1).unwrap_or(1)).collect(),
            references: vec![Complex32::ZERO; N_ZC * N_ZC],
        };
        for root in 1..N_ZC {
            roots.make_reference(root);
        }
        roots
    }

    /// Conjugated spectrum of x(n) = exp(-jπ u n(n+1) / 139), of unit modulus. TS 38.211 clause 6.3.3.1.
    fn make_reference(&mut self, root: usize) {
        let bins = &mut self.references[root * N_ZC..(root + 1) * N_ZC];
        for (n, z) in bins.iter_mut().enumerate() {
            let turn = (root * n * (n + 1)) % (2 * N_ZC);
            let angle = -std::f64::consts::PI * turn as f64 / N_ZC as f64;
            *z = Complex32::new(angle.cos() as f32, angle.sin() as f32);
        }
        self.tones.process_with_scratch(bins, &mut self.scratch);
        let scale = 1.0 / (N_ZC as f32).sqrt();
        bins.iter_mut().for_each(|z| *z = z.conj() * scale);
    }

    pub(super) fn reference(&self, root: usize) -> &[Complex32] {
        &self.references[root * N_ZC..(root + 1) * N_ZC]
    }

    /// Room for a symbol of `n` values, empty.
    pub(super) fn folded(&mut self, n: usize) -> &mut [Complex32] {
        self.folded.clear();
        self.folded.resize(n, Complex32::ZERO);
        &mut self.folded
    }

    /// The root of the folded symbol, whose transform is there, about the bins from `first` on, tried in steps; `noise` is the mean
    /// energy of a bin that holds nothing else.
    pub(super) fn find(&mut self, first: usize, step: usize, noise: f64) -> Option<Match> {
        if !self.is_filled(first) {
            return None;
        }
        self.whiten(first);
        self.score();
        let last = self.folded.len() - N_ZC;
        let mut best: Option<(f32, Match)> = None;
        for _ in 0..TRIED {
            let better = |b: (usize, f32), (h, &s): (usize, &f32)| if s > b.1 { (h, s) } else { b };
            let (h, score) = self.scores.iter().enumerate().skip(1).fold((0, 0.0), better);
            if score <= 0.0 {
                break;
            }
            self.scores[h] = 0.0;
            let found = self.correlate(first, self.inverse_of[h]);
            if best.is_none_or(|b| found.0 > b.0) {
                best = Some(found);
            }
        }
        // A clear preamble agrees with itself where only a part of it is looked at.
        let root = best?.1.root;
        for (reach, step) in [(REACH, step), (step, 1)] {
            let middle = best?.1.first;
            for first in (middle.saturating_sub(reach)..=(middle + reach).min(last)).step_by(step) {
                let found = self.correlate(first, root);
                if best.is_none_or(|b| found.0 > b.0) {
                    best = Some(found);
                }
            }
        }
        let (_, found) = best?;
        let energy: f32 = self.folded[found.first..found.first + N_ZC].iter().map(Complex32::norm_sqr).sum();
        let share = (1.0 - noise * N_ZC as f64 / f64::from(energy).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0) as f32;
        (found.peak >= LEAST_PEAK && found.peak >= LEAST_SHARE * N_ZC as f32 * share).then_some(found)
    }

    /// Whether the power lies all over the bins.
    fn is_filled(&self, first: usize) -> bool {
        let bins = &self.folded[first..first + N_ZC];
        let part = N_ZC / PARTS;
        let mean = bins.iter().map(Complex32::norm_sqr).sum::<f32>() / N_ZC as f32 * part as f32;
        let full = |part: &&[Complex32]| part.iter().map(Complex32::norm_sqr).sum::<f32>() > mean / 12.0;
        bins.chunks_exact(part).filter(full).count() >= FILLED
    }

    /// Copies the bins with the same power all over: what is stronger in a part of the band must not speak for all of it.
    fn whiten(&mut self, first: usize) {
        let bins = &self.folded[first..first + N_ZC];
        self.white.clear();
        for part in 0..PARTS {
            let part = &bins[part * N_ZC / PARTS..(part + 1) * N_ZC / PARTS];
            let power = part.iter().map(Complex32::norm_sqr).sum::<f32>() / part.len() as f32;
            let scale = 1.0 / power.max(f32::MIN_POSITIVE).sqrt();
            self.white.extend(part.iter().map(|z| z * scale));
        }
    }

    /// Adds the tones of the lags, by the inverse of the root.
    fn score(&mut self) {
        self.scores.fill(0.0);
        for lag in 1..=TONES {
            for (p, (a, b)) in self.product.iter_mut().zip(self.white[lag..].iter().zip(&self.white)) {
                *p = a * b.conj();
            }
            self.product[N_ZC - lag..].fill(Complex32::ZERO);
            self.tones.process_with_scratch(&mut self.product, &mut self.scratch);
            let scale = 1.0 / (N_ZC - lag) as f32;
            for h in 1..N_ZC {
                self.scores[h] += self.product[h * lag % N_ZC].norm_sqr() * scale;
            }
        }
    }

    /// The correlation with a root over all lags: its greatest power, and that over the mean.
    fn correlate(&mut self, first: usize, root: usize) -> (f32, Match) {
        self.padded.fill(Complex32::ZERO);
        let reference = &self.references[root * N_ZC..(root + 1) * N_ZC];
        let mut energy = 0.0;
        for ((p, x), r) in self.padded.iter_mut().zip(&self.folded[first..first + N_ZC]).zip(reference) {
            *p = x * r;
            energy += p.norm_sqr();
        }
        self.lags.process_with_scratch(&mut self.padded, &mut self.scratch);
        let powers = self.padded.iter().map(Complex32::norm_sqr).enumerate();
        let (lag, power) = powers.fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best });
        // By Parseval, the mean over the lags is the energy itself.
        let peak = if energy > 0.0 { power / energy } else { 0.0 };
        (power, Match { root, first, lag, peak })
    }
}
