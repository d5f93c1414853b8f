//! Between antenna and antenna: path loss, walls, shadowing, fading, several paths.

use crate::scene::{FadingKind, Point, Scene, edges};
use cellwarden_types::undb;
use num_complex::Complex;
use rand::Rng;
use std::f64::consts::{PI, TAU};

/// Speed of light, in metres per second.
const LIGHT: f64 = 299_792_458.0;

/// Free-space loss over 1 m.
pub fn free_space_1m_db(hz: f64) -> f64 {
    20.0 * (4.0 * PI * hz / LIGHT).log10()
}

/// Whether two segments cross. Segments that only touch at the end of the first do so too, so that a
/// link along a corner is not free.
fn cross(a: Point, b: Point, c: Point, d: Point) -> bool {
    let side = |p: Point, q: Point, r: Point| (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
    // Half-open, so that a link through a shared corner of two walls meets one of them.
    (side(a, b, c) >= 0.0) != (side(a, b, d) >= 0.0) && (side(c, d, a) >= 0.0) != (side(c, d, b) >= 0.0)
}

/// What the walls between two points lose. Block outlines count where the site has no walls of its own.
pub fn walls_db(scene: &Scene, from: Point, to: Point) -> f64 {
    let propagation = &scene.file.propagation;
    let loss: f64 = if scene.file.wall.is_empty() {
        let all = scene.file.block.iter().flat_map(|block| edges(&block.outline));
        all.filter(|&(c, d)| cross(from, to, c, d)).count() as f64 * propagation.wall_db
    } else {
        let crossed = scene.file.wall.iter().filter(|wall| cross(from, to, wall.from, wall.to));
        crossed.map(|wall| wall.loss_db.unwrap_or(propagation.wall_db)).sum()
    };
    loss.min(propagation.max_walls_db)
}

/// Path loss of a link without shadowing and fading.
pub fn path_loss_db(scene: &Scene, from: Point, to: Point, hz: f64) -> f64 {
    let metres = (from[0] - to[0]).hypot(from[1] - to[1]).max(1.0);
    free_space_1m_db(hz) + 10.0 * scene.file.propagation.exponent * metres.log10() + walls_db(scene, from, to)
}

/// A value of the standard normal distribution, by Box and Muller.
pub fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
}

/// Paths of a fading link; enough for the sum to be nearly normal.
const PATHS: usize = 24;
/// Power of the strongest Rician path over that of all others: 6 dB.
const RICIAN_K: f64 = 4.0;

/// One link's complex gain over time, of mean power 1.
#[derive(Clone, Debug)]
pub struct Fading {
    fixed: Complex<f64>,
    /// (Doppler, phase in turns) of each scattered path.
    paths: Vec<(f64, f64)>,
    scale: f64,
}

impl Fading {
    /// Draws a link.
    pub fn new(kind: FadingKind, doppler_hz: f64, rng: &mut impl Rng) -> Self {
        let direct = Complex::cis(rng.random_range(0.0..TAU));
        let paths = if kind == FadingKind::None { 0 } else { PATHS };
        let paths = (0..paths).map(|_| (doppler_hz * (TAU * rng.random::<f64>()).cos(), rng.random())).collect();
        let (fixed, scattered): (f64, f64) = match kind {
            FadingKind::None => (1.0, 0.0),
            FadingKind::Rayleigh | FadingKind::Epa | FadingKind::Eva | FadingKind::Etu => (0.0, 1.0),
            FadingKind::Rician => (RICIAN_K / (1.0 + RICIAN_K), 1.0 / (1.0 + RICIAN_K)),
        };
        Self { fixed: direct * fixed.sqrt(), paths, scale: (scattered / PATHS as f64).sqrt() }
    }

    /// The gain at a time.
    pub fn gain(&self, time_s: f64) -> Complex<f64> {
        let scattered: Complex<f64> =
            self.paths.iter().map(|(hz, at)| Complex::cis(TAU * (hz * time_s + at).rem_euclid(1.0))).sum();
        self.fixed + scattered * self.scale
    }

    /// Whether the gain changes with time.
    pub fn varies(&self) -> bool {
        !self.paths.is_empty()
    }
}

/// Delays in seconds and shares of the power, which sum to 1, of the paths that a receiver can tell apart. Flat kinds
/// have one.
///
/// # Source
/// 3GPP TS 36.101 Tables B.2.1-2 (EPA), B.2.1-3 (EVA) and B.2.1-4 (ETU).
pub fn delay_profile(kind: FadingKind) -> Vec<(f64, f64)> {
    const EPA: &[(f64, f64)] =
        &[(0.0, 0.0), (30.0, -1.0), (70.0, -2.0), (90.0, -3.0), (110.0, -8.0), (190.0, -17.2), (410.0, -20.8)];
    #[rustfmt::skip]
    const EVA: &[(f64, f64)] = &[
        (0.0, 0.0), (30.0, -1.5), (150.0, -1.4), (310.0, -3.6), (370.0, -0.6), (710.0, -9.1), (1090.0, -7.0),
        (1730.0, -12.0), (2510.0, -16.9),
    ];
    #[rustfmt::skip]
    const ETU: &[(f64, f64)] = &[
        (0.0, -1.0), (50.0, -1.0), (120.0, -1.0), (200.0, 0.0), (230.0, 0.0), (500.0, 0.0), (1600.0, -3.0),
        (2300.0, -5.0), (5000.0, -7.0),
    ];
    let taps = match kind {
        FadingKind::None | FadingKind::Rayleigh | FadingKind::Rician => &[(0.0, 0.0)],
        FadingKind::Epa => EPA,
        FadingKind::Eva => EVA,
        FadingKind::Etu => ETU,
    };
    let total: f64 = taps.iter().map(|&(_, level_db)| undb(level_db)).sum();
    taps.iter().map(|&(delay_ns, level_db)| (delay_ns * 1e-9, undb(level_db) / total)).collect()
}

/// One link's paths, each with a gain of its own over time; their mean powers sum to 1.
#[derive(Clone, Debug)]
pub struct Paths(Vec<(f64, Fading)>);

impl Paths {
    /// Draws a link.
    pub fn new(kind: FadingKind, doppler_hz: f64, rng: &mut impl Rng) -> Self {
        let profile = delay_profile(kind);
        Self(profile.iter().map(|&(_, share)| (share.sqrt(), Fading::new(kind, doppler_hz, rng))).collect())
    }

    /// The gain at a time of each path, in the order of their delays.
    pub fn gains(&self, time_s: f64) -> impl Iterator<Item = Complex<f64>> + '_ {
        self.0.iter().map(move |(amplitude, fading)| fading.gain(time_s) * amplitude)
    }

    /// Whether a gain changes with time.
    pub fn varies(&self) -> bool {
        self.0.iter().any(|(_, fading)| fading.varies())
    }

    /// Whether there are several.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn free_space_matches_the_textbook() {
        assert!((free_space_1m_db(900e6) - 31.53).abs() < 0.01);
    }

    #[test]
    fn a_link_meets_each_wall_once() {
        let (a, b) = ([0.0, 0.0], [10.0, 0.0]);
        assert!(cross(a, b, [5.0, -1.0], [5.0, 1.0]));
        assert!(!cross(a, b, [11.0, -1.0], [11.0, 1.0]));
        let corner = [(([5.0, -1.0]), [5.0, 0.0]), ([5.0, 0.0], [5.0, 1.0])];
        assert_eq!(corner.iter().filter(|(c, d)| cross(a, b, *c, *d)).count(), 1);
    }

    #[test]
    fn fading_has_unit_power() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for kind in [FadingKind::None, FadingKind::Rayleigh, FadingKind::Rician] {
            let n = 4000;
            let power = (0..n).map(|i| Fading::new(kind, 5.0, &mut rng).gain(f64::from(i)).norm_sqr()).sum::<f64>();
            assert!((power / f64::from(n) - 1.0).abs() < 0.1, "{kind:?}");
        }
    }

    #[test]
    fn urban_paths_have_the_standards_powers_on_average() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for (kind, levels_db) in [
            (FadingKind::Epa, vec![0.0, -1.0, -2.0, -3.0, -8.0, -17.2, -20.8]),
            (FadingKind::Eva, vec![0.0, -1.5, -1.4, -3.6, -0.6, -9.1, -7.0, -12.0, -16.9]),
            (FadingKind::Etu, vec![-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, -3.0, -5.0, -7.0]),
        ] {
            let n = 6000;
            let mut powers = vec![0.0; levels_db.len()];
            for i in 0..n {
                let paths = Paths::new(kind, 70.0, &mut rng);
                for (power, gain) in powers.iter_mut().zip(paths.gains(f64::from(i) * 0.1)) {
                    *power += gain.norm_sqr() / f64::from(n);
                }
            }
            assert!((powers.iter().sum::<f64>() - 1.0).abs() < 0.03, "{kind:?}: {powers:?}");
            let strongest = powers.iter().sum::<f64>() / levels_db.iter().map(|&db| undb(db)).sum::<f64>();
            for (power, level_db) in powers.iter().zip(&levels_db) {
                let measured_db = 10.0 * (power / strongest).log10();
                assert!((measured_db - level_db).abs() < 0.35, "{kind:?}: {measured_db} for {level_db}");
            }
        }
        let delays: Vec<f64> = delay_profile(FadingKind::Etu).iter().map(|(s, _)| s * 1e9).collect();
        let spread = |kind| {
            let all = delay_profile(kind);
            let mean: f64 = all.iter().map(|(s, share)| s * share).sum();
            all.iter().map(|(s, share)| (s - mean).powi(2) * share).sum::<f64>().sqrt() * 1e9
        };
        assert!((delays[8] - 5000.0).abs() < 1e-6);
        // The delay spreads that the annex names. TS 36.101 Table B.2.1-1.
        for (kind, ns) in [(FadingKind::Epa, 45.0), (FadingKind::Eva, 357.0), (FadingKind::Etu, 991.0)] {
            assert!((spread(kind) - ns).abs() < 3.0, "{kind:?}: {}", spread(kind));
        }
    }

    /// The Bessel function J0, by its integral.
    fn j0(x: f64) -> f64 {
        let n = 2000;
        (0..n).map(|i| (x * (PI * (f64::from(i) + 0.5) / f64::from(n)).sin()).cos()).sum::<f64>() / f64::from(n)
    }

    #[test]
    fn gains_turn_as_fast_as_the_doppler_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let n = 8000;
        for lag_s in [0.5e-3, 2e-3, 4e-3, 5.5e-3] {
            let mut sum = Complex::default();
            for _ in 0..n {
                let paths = Paths::new(FadingKind::Etu, 70.0, &mut rng);
                let at: f64 = rng.random_range(0.0..10.0);
                let (a, b) = (paths.gains(at).nth(3), paths.gains(at + lag_s).nth(3));
                sum += a.unwrap().conj() * b.unwrap() / f64::from(n);
            }
            let share = delay_profile(FadingKind::Etu)[3].1;
            // Jakes' spectrum: the autocorrelation is J0(2 pi f t). TS 36.101 clause B.2.3.
            let expected = j0(TAU * 70.0 * lag_s);
            assert!((sum / share - expected).norm() < 0.05, "{lag_s}: {} for {expected}", sum / share);
        }
    }

    #[test]
    fn gains_are_complex_normal() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let n = 8000;
        let powers: Vec<f64> = (0..n)
            .map(|_| Paths::new(FadingKind::Etu, 70.0, &mut rng).gains(1.0).map(|g| g.norm_sqr()).next().unwrap())
            .collect();
        let mean = powers.iter().sum::<f64>() / f64::from(n);
        // Power is exponential: a tenth of the time it is 9.8 dB below its mean or deeper.
        let deep = powers.iter().filter(|&&p| p < mean * -0.9f64.ln()).count() as f64 / f64::from(n);
        assert!((deep - 0.1).abs() < 0.012, "{deep}");
    }
}
