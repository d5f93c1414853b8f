//! What is searched for something faint is rid of what is strong elsewhere in the band.
//!
//! A transform's window that begins and ends while a strong phone sends holds its leakage all over the band: 1 over (pi times
//! distance times length) squared, 46 dB below an allocation of ten blocks at 3 MHz for 0.8 ms. Filtered before, it does not.

use crate::fft;
use num_complex::Complex32;
use rustfft::Fft;
use std::f64::consts::PI;
use std::sync::Arc;

/// Half of the band that is kept whole, and of what is kept at all.
const PASS_HZ: f64 = 0.75e6;
const STOP_HZ: f64 = 1.25e6;
/// Mean power over the noise of the whole band from which it is worth the effort: what leaks of less is below the noise.
const STRONG: f64 = 100.0;

/// Band-passes stretches of samples.
pub(super) struct Quietener {
    rate_hz: f64,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    /// Empty until something strong comes.
    buffer: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Quietener {
    /// For stretches of up to `seconds` at `rate_hz`.
    pub(super) fn new(rate_hz: f64, seconds: f64) -> Self {
        let n = ((seconds * rate_hz) as usize + 1).next_power_of_two();
        Self { rate_hz, forward: fft::forward(n), inverse: fft::inverse(n), buffer: Vec::new(), scratch: Vec::new() }
    }

    /// Leaves of `iq` what lies around `offset_hz` from its middle, if it is much stronger than `noise`, the noise's power in the
    /// whole band. Longer stretches than it is made for stay as they are.
    pub(super) fn quieten(&mut self, iq: &mut [Complex32], offset_hz: f64, noise: f64) {
        let n = self.forward.len();
        let energy: f64 = iq.iter().map(|z| f64::from(z.norm_sqr())).sum();
        if energy <= STRONG * noise * iq.len() as f64 || iq.len() > n {
            return;
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(iq);
        self.buffer.resize(n, Complex32::ZERO);
        let scratch = self.forward.get_inplace_scratch_len().max(self.inverse.get_inplace_scratch_len());
        self.scratch.resize(scratch, Complex32::ZERO);
        self.forward.process_with_scratch(&mut self.buffer, &mut self.scratch);
        for (k, z) in self.buffer.iter_mut().enumerate() {
            let hz = k as f64 * self.rate_hz / n as f64 - offset_hz;
            let off_hz = (hz - (hz / self.rate_hz).round() * self.rate_hz).abs();
            let fade = ((off_hz - PASS_HZ) / (STOP_HZ - PASS_HZ)).clamp(0.0, 1.0);
            *z *= ((0.5 + 0.5 * (PI * fade).cos()) / n as f64) as f32;
        }
        self.inverse.process_with_scratch(&mut self.buffer, &mut self.scratch);
        iq.copy_from_slice(&self.buffer[..iq.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE_HZ: f64 = 10e6;

    fn tone(hz: f64, amplitude: f64) -> impl Fn(usize) -> Complex32 {
        move |i| {
            let turn = num_complex::Complex::cis(std::f64::consts::TAU * (hz * i as f64 / RATE_HZ).fract()) * amplitude;
            Complex32::new(turn.re as f32, turn.im as f32)
        }
    }

    #[test]
    fn a_strong_tone_3_mhz_away_is_gone_and_a_weak_one_stays() {
        let (weak, strong) = (tone(-2e6, 1e-3), tone(1e6, 1.0));
        let mut quietener = Quietener::new(RATE_HZ, 2e-3);
        let mut iq: Vec<Complex32> = (0..20_000).map(|i| weak(i) + strong(i)).collect();
        quietener.quieten(&mut iq, -2.1e6, 1e-6);
        // Off the ends, where the strong one is cut.
        let error = (2_000..18_000).map(|i| (iq[i] - weak(i)).norm()).fold(0.0, f32::max);
        assert!(error < 5e-5, "{error}");
        let mut quiet: Vec<Complex32> = (0..20_000).map(&weak).collect();
        quietener.quieten(&mut quiet, 3e6, 1e-6);
        assert_eq!(quiet[7], weak(7), "nothing is strong");
    }
}
