//! How well the cyclic prefixes of a run of OFDM symbols fit: each begins with a copy of its end, at places that the standards
//! fix (TS 36.211 clause 5.6, TS 38.211 clause 5.3.1).

use cellwarden_standards::lte::TS_PER_SECOND;
use cellwarden_standards::nr::Spacing;
use num_complex::Complex32;

/// How well a grid of symbols fits.
#[derive(Clone, Copy, Debug)]
pub struct PrefixFit {
    /// First symbol's prefix begins here, in channel samples.
    pub start: f64,
    /// |Σ y(n+L) y*(n)|² over the energies: 0 to 1.
    pub coherence: f64,
    /// Angle of Σ y(n+L) y*(n): π where the carrier is where it should be.
    pub angle: f64,
    /// Share of the symbols that hold the energy, (Σe)² / nΣe²: 1 where all are as strong.
    pub spread: f64,
    /// Share of the prefixes' independent values that hold their energy.
    pub filled: f64,
    /// The coherence half a symbol later: what agrees there as well, a carrier, has no prefixes.
    pub beside: f64,
}

impl PrefixFit {
    /// Offset of the subcarriers from where they would be in the band's middle, but for whole subcarriers.
    pub fn offset_hz(&self, spacing: Spacing) -> f64 {
        wrapped(self.angle - std::f64::consts::PI) / std::f64::consts::TAU * spacing.hz()
    }
}

/// An angle brought to -π..π.
fn wrapped(angle: f64) -> f64 {
    angle - (angle / std::f64::consts::TAU).round() * std::f64::consts::TAU
}

/// The grid of `symbols` symbols, from a slot's first on, that fits best, its first prefix within `reach_s` of `expected`.
///
/// `y` is at `rate` samples a second; `expected` counts them.
pub fn best_fit(
    y: &[Complex32],
    rate: f64,
    expected: f64,
    reach_s: f64,
    (spacing, symbols): (Spacing, usize),
) -> Option<PrefixFit> {
    let unit = rate / TS_PER_SECOND;
    let useful = (rate / spacing.hz()).round() as usize;
    // Where each symbol's prefix begins and how long it is, relative to the first.
    let place = |l: u32| (f64::from(spacing.symbol_start_ts(l)) * unit, f64::from(spacing.cp_ts(l)) * unit);
    let prefixes: Vec<(f64, f64)> = (0..symbols as u32).map(place).collect();
    let pairs_at = |start: f64| {
        prefixes.iter().filter_map(move |&(offset, length)| {
            let from = (start + offset).round() as usize;
            let length = (length.round() as usize).max(1);
            Some((y.get(from..from + length)?, y.get(from + useful..from + useful + length)?))
        })
    };
    let reach = reach_s * rate;
    let step = (rate / 1.92e6).round().max(1.0);
    let mut best: Option<PrefixFit> = None;
    let mut start = (expected - reach).max(0.0);
    while start <= expected + reach {
        let (coherence, angle) = coherence_of(pairs_at(start));
        if best.is_none_or(|b| coherence > b.coherence) {
            best = Some(PrefixFit { start, coherence, angle, spread: 1.0, filled: 1.0, beside: 0.0 });
        }
        start += step;
    }
    let mut best = best?;
    let energies = prefixes.iter().filter_map(|&(offset, length)| {
        let from = (best.start + offset).round() as usize;
        let symbol = y.get(from..from + useful + length.round() as usize)?;
        Some(symbol.iter().map(|z| f64::from(z.norm_sqr())).sum::<f64>())
    });
    best.spread = evenness(energies);
    best.filled = filled(pairs_at(best.start));
    best.beside = coherence_of(pairs_at(best.start + 0.5 * useful as f64)).0;
    Some(best)
}

/// (Σe)² / nΣe²: the share of values that would hold the same energy if all others were nothing and these were equal.
pub fn evenness(energies: impl Iterator<Item = f64>) -> f64 {
    let (count, sum, squares) = energies.fold((0.0, 0.0, 0.0), |(n, s, q), e| (n + 1.0, s + e, q + e * e));
    if squares > 0.0 { sum * sum / (count * squares) } else { 0.0 }
}

/// Share of the pairs' samples that hold their energy: 1 for Gaussian values and steadier ones.
pub fn filled<'a>(pairs: impl Iterator<Item = (&'a [Complex32], &'a [Complex32])>) -> f64 {
    /// The evenness of the power of Gaussian values that are the same in both parts of a pair.
    const GAUSSIAN: f64 = 0.5;
    let energies = pairs.flat_map(|(a, b)| a.iter().zip(b).map(|(x, y)| f64::from(x.norm_sqr() + y.norm_sqr())));
    (evenness(energies) / GAUSSIAN).min(1.0)
}

/// |Σ b a*|² / (Σ|a|² Σ|b|²) over all pairs, and the angle of Σ b a*.
pub fn coherence_of<'a>(pairs: impl Iterator<Item = (&'a [Complex32], &'a [Complex32])>) -> (f64, f64) {
    let (mut sum, mut first, mut second) = (Complex32::ZERO, 0.0f32, 0.0f32);
    for (a, b) in pairs {
        for (x, y) in a.iter().zip(b) {
            sum += y * x.conj();
            first += x.norm_sqr();
            second += y.norm_sqr();
        }
    }
    let energy = f64::from(first) * f64::from(second);
    let coherence = if energy > 0.0 { (f64::from(sum.norm_sqr()) / energy).min(1.0) } else { 0.0 };
    (coherence, f64::from(sum.arg()))
}
