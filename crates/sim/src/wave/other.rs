//! What a phone detector must not be fooled by.

use num_complex::{Complex, Complex32};
use rand::Rng;
use std::f64::consts::{FRAC_PI_4, PI, TAU};
use std::sync::LazyLock;

/// Frequency modulation by a sum of tones in the voice band, which has a closed form at any instant.
#[derive(Clone, Debug)]
pub struct FmVoice {
    /// (frequency, modulation index, phase) of each tone.
    tones: Vec<(f64, f64, f64)>,
}

impl FmVoice {
    /// Voice-like modulation with a peak deviation near `deviation_hz` (2.5 kHz in a 12.5 kHz channel).
    pub fn new(deviation_hz: f64, rng: &mut impl Rng) -> Self {
        let count = 12;
        let tones = (0..count)
            .map(|_| {
                let hz = rng.random_range(300.0..3000.0);
                (hz, deviation_hz / hz / f64::from(count).sqrt(), rng.random_range(0.0..TAU))
            })
            .collect();
        Self { tones }
    }

    /// Writes the signal at `start_s`, `start_s + step_s`, ….
    pub fn render(&self, start_s: f64, step_s: f64, out: &mut [Complex32]) {
        // The phase is smooth over a voice tone's cycle: every 16th instant exactly, straight lines between.
        const RUN: usize = 16;
        let phase = |t: f64| self.tones.iter().map(|(hz, index, at)| index * (TAU * hz * t + at).sin()).sum::<f64>();
        let mut from = phase(start_s);
        for (run, chunk) in out.chunks_mut(RUN).enumerate() {
            let to = phase(start_s + ((run + 1) * RUN) as f64 * step_s);
            for (i, x) in chunk.iter_mut().enumerate() {
                let angle = from + (to - from) * i as f64 / RUN as f64;
                *x = Complex32::from_polar(1.0, angle as f32);
            }
            from = to;
        }
    }
}

/// TETRA's symbol rate. EN 300 392-2 clause 5.
pub const TETRA_SYMBOL_RATE: f64 = 18e3;
/// Length of a TETRA timeslot: 255 symbols. EN 300 392-2 clause 4.5.1.
pub const TETRA_SLOT_S: f64 = 255.0 / TETRA_SYMBOL_RATE;
/// Time before the first and after the last symbol in which the pulse still rings.
pub const DQPSK_MARGIN_S: f64 = REACH as f64 / TETRA_SYMBOL_RATE;

const REACH: usize = 6;
const STEPS: usize = 128;
const ROLL_OFF: f64 = 0.35;

/// Root raised cosine from 0 to `REACH` symbols, on a grid of `1 / STEPS` symbols; its energy is 1.
static PULSE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    (0..=REACH * STEPS)
        .map(|i| {
            let (x, b) = (i as f64 / STEPS as f64, ROLL_OFF);
            if i == 0 {
                return 1.0 - b + 4.0 * b / PI;
            }
            let poles = 1.0 - (4.0 * b * x).powi(2);
            if poles.abs() < 1e-9 {
                let q = PI / (4.0 * b);
                return b / 2f64.sqrt() * ((1.0 + 2.0 / PI) * q.sin() + (1.0 - 2.0 / PI) * q.cos());
            }
            ((PI * x * (1.0 - b)).sin() + 4.0 * b * x * (PI * x * (1.0 + b)).cos()) / (PI * x * poles)
        })
        .collect()
});

/// A burst of pi/4-DQPSK, as TETRA handsets send it.
#[derive(Clone, Debug)]
pub struct DqpskBurst {
    symbols: Vec<Complex32>,
}

impl DqpskBurst {
    /// `count` symbols with random content.
    pub fn new(count: usize, rng: &mut impl Rng) -> Self {
        let mut phase = 0u32; // in eighths of a turn
        let symbols = (0..count)
            .map(|_| {
                phase = (phase + [1, 3, 5, 7][rng.random_range(0..4)]) % 8;
                let x = Complex::cis(f64::from(phase) * FRAC_PI_4);
                Complex32::new(x.re as f32, x.im as f32)
            })
            .collect();
        Self { symbols }
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.symbols.len() as f64 / TETRA_SYMBOL_RATE
    }

    /// Writes the burst at `start_s`, `start_s + step_s`, … after its start.
    pub fn render(&self, start_s: f64, step_s: f64, out: &mut [Complex32]) {
        for (i, x) in out.iter_mut().enumerate() {
            let u = (start_s + i as f64 * step_s) * TETRA_SYMBOL_RATE - 0.5;
            let first = (u - REACH as f64).ceil().max(0.0) as usize;
            let last = ((u + REACH as f64).floor() + 1.0).clamp(0.0, self.symbols.len() as f64) as usize;
            *x = Complex32::default();
            for k in first..last {
                let at = (u - k as f64).abs() * STEPS as f64;
                let j = (at as usize).min(REACH * STEPS - 1);
                let pulse = PULSE[j] + (PULSE[j + 1] - PULSE[j]) * (at - j as f64);
                *x += self.symbols[k] * pulse as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn dqpsk_has_unit_power() {
        let burst = DqpskBurst::new(2000, &mut ChaCha8Rng::seed_from_u64(1));
        let mut x = vec![Complex32::default(); 200_000];
        burst.render(0.0, burst.seconds() / 200_000.0, &mut x);
        let power = x.iter().map(|x| f64::from(x.norm_sqr())).sum::<f64>() / 200_000.0;
        assert!((power - 1.0).abs() < 0.03, "{power}");
    }
}
