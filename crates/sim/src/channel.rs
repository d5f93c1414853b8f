//! Between antenna and antenna: path loss, walls, shadowing, flat fading.

use crate::scene::{FadingKind, Point, Scene, edges};
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
            FadingKind::Rayleigh => (0.0, 1.0),
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
}
