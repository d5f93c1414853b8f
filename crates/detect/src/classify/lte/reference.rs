//! The reference signals of one or two resource blocks, as they are and mirrored.
//!
//! Their 30 base sequences are tables (TS 36.211 5.5.1.2). All but two of the shorter ones differ from each other's
//! mirrors. The longer ones are Zadoff–Chu sequences, and the mirror of one is one again.

use super::shared::USEFUL_S;
use cellwarden_standards::lte;
use num_complex::Complex32;

/// Delays that are tried within a symbol: eight for each of twelve subcarriers, four where none is mirrored, and two where many
/// symbols are to agree.
const DELAYS: usize = 96;
const FEWER_DELAYS: usize = 48;
const COARSE_DELAYS: usize = 24;
/// Subcarriers beside its own, on each side, in which a control channel is sought: an edge is known to about a bin.
const BESIDE: usize = 2;

/// How well a symbol fits the base sequences: the normalised correlation with the best one, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceFit {
    /// Subcarriers: independent values.
    pub values: usize,
    /// As the stream is.
    pub straight: f64,
    /// With I and Q exchanged.
    pub mirrored: f64,
}

/// Fits the base sequences to a symbol's useful part of `blocks` (1 or 2) resource blocks, centred on them at `rate_hz`.
/// `offset_hz` is their carrier's, known but for whole subcarriers.
pub fn fit(symbol: &[Complex32], rate_hz: f64, blocks: usize, offset_hz: f64) -> Option<ReferenceFit> {
    let values = values_of(symbol, rate_hz, blocks, offset_hz);
    let mirrored: Vec<Complex32> = values.iter().rev().map(Complex32::conj).collect();
    let (straight, mirrored) = (best(&values, blocks, DELAYS)?, best(&mirrored, blocks, DELAYS)?);
    Some(ReferenceFit { values: lte::RB_SUBCARRIERS * blocks, straight, mirrored })
}

/// How well each of `symbols`, as [`fit`] takes them, fits the base sequence that it fits best: the mean of their normalised
/// correlations, 0 to 1. Sequences may hop from slot to slot (TS 36.211 5.5.1.3).
pub fn mean_fit(symbols: &[&[Complex32]], rate_hz: f64, blocks: usize, offset_hz: f64) -> Option<f64> {
    let fits = symbols.iter().map(|s| best(&values_of(s, rate_hz, blocks, offset_hz), blocks, FEWER_DELAYS));
    let sum = fits.sum::<Option<f64>>()?;
    (!symbols.is_empty()).then(|| sum / symbols.len() as f64)
}

/// A symbol's subcarriers, and one more on each side: the blocks' place is known to about one.
fn values_of(symbol: &[Complex32], rate_hz: f64, blocks: usize, offset_hz: f64) -> Vec<Complex32> {
    subcarriers_of(symbol, rate_hz, lte::RB_SUBCARRIERS * blocks, 1, offset_hz).collect()
}

/// The correlation of values with the base sequence of `blocks` (1 or 2) that fits best.
fn best(values: &[Complex32], blocks: usize, delays: usize) -> Option<f64> {
    let tables: Vec<&[i8]> = match blocks {
        1 => lte::DMRS_PHI_12.iter().map(|row| &row[..]).collect(),
        2 => lte::DMRS_PHI_24.iter().map(|row| &row[..]).collect(),
        _ => return None,
    };
    let places = values.windows(lte::RB_SUBCARRIERS * blocks);
    Some(places.flat_map(|x| tables.iter().map(|phi| correlation(x, phi, delays))).fold(0.0, f64::max))
}

/// How well a slot's symbols fit one base sequence of one resource block, each at a delay of its own: the mean of their
/// normalised correlations, 0 to 1. All symbols of PUCCH format 1 are its base sequence, turned and shifted (TS 36.211 5.4.1).
///
/// `symbols` are useful parts at `rate_hz`, centred on the block but for two subcarriers.
pub fn common_fit(symbols: &[&[Complex32]], rate_hz: f64, offset_hz: f64) -> f64 {
    let values: Vec<Vec<Complex32>> =
        symbols.iter().map(|s| subcarriers_of(s, rate_hz, lte::RB_SUBCARRIERS, BESIDE, offset_hz).collect()).collect();
    let mean = |place: usize, phi: &[i8]| {
        let of = |x: &Vec<Complex32>| correlation(&x[place..place + lte::RB_SUBCARRIERS], phi, COARSE_DELAYS);
        values.iter().map(of).sum::<f64>() / values.len().max(1) as f64
    };
    let places = 0..=2 * BESIDE;
    places
        .flat_map(|p| lte::DMRS_PHI_12.iter().map(move |phi| (p, phi)))
        .map(|(p, phi)| mean(p, phi))
        .fold(0.0, f64::max)
}

/// The values of `count` subcarriers around the middle, and of `beside` more on each side, the lowest first.
///
/// `symbol` is a useful part at `rate_hz`, its blocks' middle at `offset_hz`.
pub(in crate::classify) fn subcarriers_of(
    symbol: &[Complex32],
    rate_hz: f64,
    count: usize,
    beside: usize,
    offset_hz: f64,
) -> impl Iterator<Item = Complex32> + '_ {
    (0..count + 2 * beside).map(move |k| {
        let hz = (k as f64 - beside as f64 - count as f64 / 2.0 + 0.5) / USEFUL_S + offset_hz;
        let turn = Complex32::from_polar(1.0, (-std::f64::consts::TAU * hz / rate_hz) as f32);
        // Horner: Σ symbol[n] turn^n.
        symbol.iter().rev().fold(Complex32::ZERO, |sum, z| sum * turn + z)
    })
}

/// The greatest |Σ x r* e^{j2πkd}|² / (|x|² |r|²) over `delays` delays d.
fn correlation(x: &[Complex32], phi: &[i8], delays: usize) -> f64 {
    let turned: Vec<Complex32> = x
        .iter()
        .zip(phi)
        .map(|(z, &p)| z * Complex32::from_polar(1.0, -std::f32::consts::FRAC_PI_4 * f32::from(p)))
        .collect();
    let energy: f32 = x.iter().map(Complex32::norm_sqr).sum();
    if energy <= 0.0 {
        return 0.0;
    }
    let peak = (0..delays)
        .map(|d| {
            let step = Complex32::from_polar(1.0, std::f32::consts::TAU * d as f32 / delays as f32);
            // Horner: Σ turned[k] step^k.
            turned.iter().rev().fold(Complex32::ZERO, |sum, z| sum * step + z).norm_sqr()
        })
        .fold(0.0, f32::max);
    f64::from(peak / (energy * x.len() as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const RATE: f64 = 1.92e6;

    /// The symbol of base sequence `phi`, `delay` samples late and `offset_hz` off.
    fn symbol(phi: &[i8], delay: f64, offset_hz: f64) -> Vec<Complex32> {
        let n = (RATE * USEFUL_S).round() as usize;
        let half = phi.len() as f64 / 2.0;
        (0..n)
            .map(|i| {
                let t = (i as f64 - delay) / RATE;
                phi.iter()
                    .enumerate()
                    .map(|(k, &p)| {
                        let hz = (k as f64 - half + 0.5) / USEFUL_S;
                        let phase = std::f64::consts::TAU * (hz * t + offset_hz * i as f64 / RATE)
                            + std::f64::consts::FRAC_PI_4 * f64::from(p);
                        Complex32::from_polar(1.0, phase as f32)
                    })
                    .sum()
            })
            .collect()
    }

    #[test]
    fn base_sequences_are_told_from_their_mirrors() {
        let one = lte::DMRS_PHI_12.iter().map(|p| (1, &p[..]));
        let two = lte::DMRS_PHI_24.iter().map(|p| (2, &p[..]));
        let mut alike = 0;
        for (blocks, phi) in one.chain(two) {
            let y = symbol(phi, 2.3, 3_100.0);
            let straight = fit(&y, RATE, blocks, 3_100.0).unwrap();
            let exchanged: Vec<Complex32> = y.iter().map(Complex32::conj).collect();
            let mirrored = fit(&exchanged, RATE, blocks, -3_100.0).unwrap();
            assert!(straight.straight > 0.97 && mirrored.mirrored > 0.97, "{phi:?}: {straight:?} {mirrored:?}");
            if straight.mirrored > 0.97 {
                alike += 1;
            } else {
                assert!(straight.mirrored < 0.92 && mirrored.straight < 0.92, "{phi:?}: {straight:?} {mirrored:?}");
            }
        }
        assert_eq!(alike, 2, "two sequences of one block mirror each other");
    }

    #[test]
    fn seven_symbols_of_one_sequence_are_told_from_noise() {
        let phi = &lte::DMRS_PHI_12[11];
        let slot: Vec<Vec<Complex32>> = (0..7).map(|l| symbol(phi, f64::from(l) * 5.3, 2_000.0)).collect();
        let fit = common_fit(&slot.iter().map(Vec::as_slice).collect::<Vec<_>>(), RATE, 2_000.0);
        assert!(fit > 0.9, "{fit}");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let highest = (0..300).map(|_| {
            let mut part = || (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
            let slot: Vec<Vec<Complex32>> =
                (0..7).map(|_| (0..128).map(|_| Complex32::new(part(), part())).collect()).collect();
            common_fit(&slot.iter().map(Vec::as_slice).collect::<Vec<_>>(), RATE, 0.0)
        });
        let highest = highest.fold(0.0, f64::max);
        assert!(highest < 0.5, "{highest}");
    }

    #[test]
    fn a_subcarrier_beside_is_found() {
        let y = symbol(&lte::DMRS_PHI_12[7], 0.0, 15e3);
        assert!(fit(&y, RATE, 1, 0.0).unwrap().straight > 0.97);
        assert_eq!(fit(&y, RATE, 3, 0.0), None, "three blocks are no table's");
    }
}
