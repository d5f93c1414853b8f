//! The reference signals of one or two resource blocks, as they are and mirrored.
//!
//! Their 30 base sequences are tables (TS 36.211 5.5.1.2). All but two of the shorter ones differ from each other's
//! mirrors. The longer ones are Zadoff–Chu sequences, and the mirror of one is one again.

use super::shared::USEFUL_S;
use cellwarden_standards::lte;
use num_complex::Complex32;

/// Delays that are tried within a symbol: eight for each of twelve subcarriers.
const DELAYS: usize = 96;

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
    let subcarriers = lte::RB_SUBCARRIERS * blocks;
    let tables: Vec<&[i8]> = match blocks {
        1 => lte::DMRS_PHI_12.iter().map(|row| &row[..]).collect(),
        2 => lte::DMRS_PHI_24.iter().map(|row| &row[..]).collect(),
        _ => return None,
    };
    // One subcarrier more on each side: the blocks' place is known to about one.
    let values: Vec<Complex32> = (0..subcarriers + 2)
        .map(|k| {
            let hz = (k as f64 - 1.0 - subcarriers as f64 / 2.0 + 0.5) / USEFUL_S + offset_hz;
            let step = -std::f64::consts::TAU * hz / rate_hz;
            symbol.iter().enumerate().map(|(n, z)| z * Complex32::from_polar(1.0, (step * n as f64) as f32)).sum()
        })
        .collect();
    let mirrored: Vec<Complex32> = values.iter().rev().map(Complex32::conj).collect();
    let best = |values: &[Complex32]| {
        let places = values.windows(subcarriers);
        places.flat_map(|x| tables.iter().map(|phi| correlation(x, phi))).fold(0.0, f64::max)
    };
    Some(ReferenceFit { values: subcarriers, straight: best(&values), mirrored: best(&mirrored) })
}

/// The greatest |Σ x r* e^{j2πkd}|² / (|x|² |r|²) over the delays d.
fn correlation(x: &[Complex32], phi: &[i8]) -> f64 {
    let turned: Vec<Complex32> = x
        .iter()
        .zip(phi)
        .map(|(z, &p)| z * Complex32::from_polar(1.0, -std::f32::consts::FRAC_PI_4 * f32::from(p)))
        .collect();
    let energy: f32 = x.iter().map(Complex32::norm_sqr).sum();
    if energy <= 0.0 {
        return 0.0;
    }
    let peak = (0..DELAYS)
        .map(|d| {
            let step = Complex32::from_polar(1.0, std::f32::consts::TAU * d as f32 / DELAYS as f32);
            // Horner: Σ turned[k] step^k.
            turned.iter().rev().fold(Complex32::ZERO, |sum, z| sum * step + z).norm_sqr()
        })
        .fold(0.0, f32::max);
    f64::from(peak / (energy * x.len() as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_subcarrier_beside_is_found() {
        let y = symbol(&lte::DMRS_PHI_12[7], 0.0, 15e3);
        assert!(fit(&y, RATE, 1, 0.0).unwrap().straight > 0.97);
        assert_eq!(fit(&y, RATE, 3, 0.0), None, "three blocks are no table's");
    }
}
