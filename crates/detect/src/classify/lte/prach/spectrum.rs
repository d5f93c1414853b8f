//! The transform of a window of 0.8 ms, and running sums over its bins.

use super::PrachSearch;
use crate::candidate::NoiseFloor;
use num_complex::{Complex32, Complex64};

/// A bin this far over its neighbourhood is a carrier or the radio's DC, and is cut down to it: noise passes 12 times
/// once in 160,000 bins.
const SPIKE: f32 = 12.0;
const SPIKE_REACH: usize = 16;

impl PrachSearch {
    /// Running sums of the floor's density over the bins of a window.
    pub(super) fn sum_noise(&mut self, center_hz: f64, floor: &NoiseFloor) {
        let n = self.window;
        let bin_hz = self.rate_hz / n as f64;
        let mut sum = 0.0;
        for (k, s) in self.noise[1..].iter_mut().enumerate() {
            let hz = center_hz + (k as f64 - (n / 2) as f64) * bin_hz;
            sum += f64::from(floor.density[floor.bin(hz)]);
            *s = sum;
        }
    }

    /// Cuts bins that stand alone down to their neighbourhood, and sums the power over the bins.
    fn sum_energy(&mut self) {
        let n = self.window;
        for (p, z) in self.power.iter_mut().zip(&self.spectrum) {
            *p = z.norm_sqr();
        }
        let scale = 1.0 / (n as f64 * self.rate_hz);
        let width = 2 * SPIKE_REACH + 1;
        let mut near: f32 = self.power[..width.min(n)].iter().sum();
        let mut sum = 0.0;
        for k in 0..n {
            if k > SPIKE_REACH && k + SPIKE_REACH < n {
                // Summed anew now and then: a running difference would keep the rounding of what was strong.
                if k % 64 == 0 {
                    near = self.power[k - SPIKE_REACH..=k + SPIKE_REACH].iter().sum();
                } else {
                    near += self.power[k + SPIKE_REACH] - self.power[k - SPIKE_REACH - 1];
                }
            }
            let limit = SPIKE * (near - self.power[k]).max(0.0) / (width - 1) as f32;
            let mut p = self.power[k];
            if p > limit {
                self.spectrum[k] *= (limit / p).sqrt();
                p = limit;
            }
            sum += f64::from(p) * scale;
            self.energy[k + 1] = sum;
        }
    }

    /// The spectrum of a window, shifted down by a part of a bin, and its running sums.
    pub(super) fn load(&mut self, iq: &[Complex32], bins_down: f64) {
        self.load_folded(iq, 0, bins_down);
    }

    /// The same of a whole preamble, whose prefix of so many samples and repeated sequence are added to the window behind the
    /// prefix: that is 0.5 dB of format 0, and 3.5 of format 2.
    pub(super) fn load_folded(&mut self, iq: &[Complex32], prefix: usize, bins_down: f64) {
        let n = self.window;
        let step = -std::f64::consts::TAU * bins_down / n as f64;
        let turn = Complex64::from_polar(1.0, step);
        let mut phase = Complex64::from_polar(1.0, -step * prefix as f64);
        self.spectrum.fill(Complex32::ZERO);
        let mut at = (n - prefix % n) % n;
        for z in iq {
            let z = if bins_down == 0.0 { *z } else { z * Complex32::new(phase.re as f32, phase.im as f32) };
            self.spectrum[at] += z;
            phase *= turn;
            at = if at + 1 == n { 0 } else { at + 1 };
        }
        self.fft.process_with_scratch(&mut self.spectrum, &mut self.scratch);
        self.spectrum.rotate_right(n / 2); // lowest frequency first
        self.sum_energy();
    }
}
