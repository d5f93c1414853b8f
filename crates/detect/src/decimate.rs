//! One narrow band at a low rate, by a filter in time: of a stretch of a millisecond a transform would cost several times as much.

use num_complex::{Complex32, Complex64};
use std::f64::consts::{PI, TAU};

/// Output samples that the filter reaches to each side: with Kaiser's window of this shape 60 dB and more are kept out of a band
/// of 0.56 of the output's rate.
const REACH: usize = 5;
const BETA: f64 = 6.8;
/// Sums that are independent of each other, so that the processor adds several at once.
const LANES: usize = 8;
/// Samples that are turned by one table.
const BLOCK: usize = 64;

/// Takes every `factor`-th sample of a band.
pub struct Decimator {
    factor: usize,
    /// Each tap twice: samples are pairs.
    taps: Vec<f32>,
    turned: Vec<f32>,
}

impl Decimator {
    /// For a band of `pass_hz` on each side of its middle, out of samples at `rate_hz` of which every `factor`-th is kept.
    pub fn new(rate_hz: f64, factor: usize, pass_hz: f64) -> Self {
        let out_hz = rate_hz / factor as f64;
        // Half way from what is to pass to what would fold onto it.
        let cut = out_hz / 2.0 / rate_hz;
        debug_assert!(pass_hz < out_hz / 2.0);
        let half = (REACH * factor) as f64;
        let bessel = |x: f64| {
            (1..30)
                .fold((1.0, 1.0), |(sum, term), k| {
                    let term: f64 = term * (x / 2.0 / f64::from(k)).powi(2);
                    (sum + term, term)
                })
                .0
        };
        let tap = |n: f64| {
            let sinc = if n == 0.0 { 2.0 * cut } else { (TAU * cut * n).sin() / (PI * n) };
            sinc * bessel(BETA * (1.0 - (n / half).powi(2)).max(0.0).sqrt()) / bessel(BETA)
        };
        let taps: Vec<f64> = (0..2 * REACH * factor).map(|n| tap(n as f64 + 0.5 - half)).collect();
        let sum: f64 = taps.iter().sum();
        let taps = taps.iter().flat_map(|t| [(t / sum) as f32; 2]).collect();
        Self { factor, taps, turned: Vec::new() }
    }

    /// Which samples are kept of how many.
    pub fn factor(&self) -> usize {
        self.factor
    }

    /// The time of the first output sample, in samples after the first input sample.
    pub fn delay(&self) -> f64 {
        (REACH * self.factor) as f64 - 0.5
    }

    /// The band around `cycles` a sample, brought to zero, of as many samples as the filter fits into. Amplitudes are kept.
    pub fn run(&mut self, iq: &[Complex32], cycles: f64, out: &mut Vec<Complex32>) {
        // Turned block by block: within one by a table, from one to the next in double precision.
        let angle = -TAU * cycles;
        let table: [Complex32; BLOCK] = std::array::from_fn(|k| {
            let (sin, cos) = (angle * k as f64).sin_cos();
            Complex32::new(cos as f32, sin as f32)
        });
        let turn = Complex64::from_polar(1.0, angle * BLOCK as f64);
        let mut phase = Complex64::new(1.0, 0.0);
        self.turned.resize(2 * iq.len(), 0.0);
        for (block, turned) in iq.chunks(BLOCK).zip(self.turned.chunks_mut(2 * BLOCK)) {
            let begins = Complex32::new(phase.re as f32, phase.im as f32);
            for ((z, turn), pair) in block.iter().zip(&table).zip(turned.chunks_exact_mut(2)) {
                let z = z * (turn * begins);
                pair[0] = z.re;
                pair[1] = z.im;
            }
            phase *= turn;
        }
        out.clear();
        let step = 2 * self.factor;
        let windows = self.turned.windows(self.taps.len()).step_by(step);
        for window in windows {
            let mut sums = [0.0f32; LANES];
            for (x, t) in window.chunks_exact(LANES).zip(self.taps.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    sums[lane] += x[lane] * t[lane];
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            out.push(Complex32::new((a + c) + (e + g), (b + d) + (f + h)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(cycles: f64, samples: usize) -> Vec<Complex32> {
        (0..samples)
            .map(|n| {
                let (sin, cos) = (TAU * (cycles * n as f64).fract()).sin_cos();
                Complex32::new(cos as f32, sin as f32)
            })
            .collect()
    }

    #[test]
    fn what_passes_keeps_its_power_and_time_and_what_would_fold_goes() {
        let (rate_hz, factor) = (30.72e6, 16);
        let mut decimator = Decimator::new(rate_hz, factor, 0.54e6);
        let middle_hz = 7.1e6;
        let mut out = Vec::new();
        for (hz, passes) in
            [(0.0, true), (0.4e6, true), (-0.53e6, true), (1.4e6, false), (-1.92e6, false), (-9e6, false)]
        {
            let iq = tone((middle_hz + hz) / rate_hz, 40_000);
            decimator.run(&iq, middle_hz / rate_hz, &mut out);
            assert_eq!(out.len(), (40_000 - 2 * REACH * factor) / factor + 1);
            let power = out.iter().map(|z| f64::from(z.norm_sqr())).sum::<f64>() / out.len() as f64;
            if passes {
                assert!((power - 1.0).abs() < 0.01, "{hz}: {power}");
                let n = 100;
                let at = decimator.delay() + (n * factor) as f64;
                let expected = Complex64::from_polar(1.0, TAU * hz / rate_hz * at);
                let found = Complex64::new(f64::from(out[n].re), f64::from(out[n].im));
                assert!((found - expected).norm() < 0.02, "{hz}: {found} for {expected}");
            } else {
                assert!(power < 1e-6, "{hz}: {power}");
            }
        }
        decimator.run(&[], 0.1, &mut out);
        assert!(out.is_empty());
    }
}
