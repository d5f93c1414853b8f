//! Waveforms: functions of continuous time, so that a sample falls wherever the scene's clock puts it.
//!
//! Every wave has mean power 1 over its length and lies around 0 Hz or, for LTE, around its carrier.

pub mod gsm;
pub mod lte;
pub mod nbiot;
pub mod nr;
pub mod other;
mod quick;

use num_complex::{Complex, Complex32};

/// Makes the symbols of a burst when they are wanted.
pub(crate) type MakeOfdm = Box<dyn Fn() -> lte::OfdmBurst + Send + Sync>;

/// A waveform of any standard.
#[derive(Clone, Debug)]
pub enum Wave {
    /// A GMSK burst.
    Gmsk(gsm::GmskBurst),
    /// A run of OFDM symbols, PRACH preambles among them.
    Ofdm(lte::OfdmBurst),
    /// An unmodulated carrier.
    Cw,
    /// A voice channel's frequency modulation.
    Fm(other::FmVoice),
    /// A burst of pi/4-DQPSK symbols.
    Dqpsk(other::DqpskBurst),
}

impl Wave {
    /// Seconds before the start and after the end in which the wave ramps up and down.
    pub fn margin_s(&self) -> f64 {
        match self {
            Self::Gmsk(_) => gsm::RAMP_S,
            Self::Ofdm(_) => lte::FADE_S / 2.0,
            Self::Cw | Self::Fm(_) => 0.0,
            Self::Dqpsk(_) => other::DQPSK_MARGIN_S,
        }
    }

    /// The same as [`Self::render`] but for rounding, and many times as fast where a wave has hundreds of subcarriers.
    pub fn render_quick(&self, start_s: f64, step_s: f64, duration_s: f64, out: &mut [Complex32]) {
        match self {
            Self::Ofdm(burst) => quick::render(burst, start_s, step_s, out),
            _ => self.render(start_s, step_s, duration_s, out),
        }
    }

    /// Writes the wave at `start_s`, `start_s + step_s`, … after its start.
    pub fn render(&self, start_s: f64, step_s: f64, duration_s: f64, out: &mut [Complex32]) {
        match self {
            Self::Gmsk(burst) => burst.render(start_s, step_s, out),
            Self::Ofdm(burst) => burst.render(start_s, step_s, out),
            Self::Fm(voice) => voice.render(start_s, step_s, out),
            Self::Dqpsk(burst) => burst.render(start_s, step_s, out),
            Self::Cw => out.fill(Complex32::new(1.0, 0.0)),
        }
        if matches!(self, Self::Cw | Self::Fm(_)) {
            for (i, x) in out.iter_mut().enumerate() {
                let t = start_s + i as f64 * step_s;
                if t < 0.0 || t >= duration_s {
                    *x = Complex32::default();
                }
            }
        }
    }
}

/// Turns `samples` by `hz`, with phase `turns` at the first.
pub(crate) fn mix(samples: &mut [Complex32], hz: f64, step_s: f64, turns: f64) {
    const RUN: usize = 256; // the recurrence starts afresh so that its rounding cannot grow
    let step = Complex::cis(std::f64::consts::TAU * (hz * step_s).rem_euclid(1.0));
    for (run, chunk) in samples.chunks_mut(RUN).enumerate() {
        let at = turns + hz * step_s * (run * RUN) as f64;
        let mut phasor = Complex::cis(std::f64::consts::TAU * at.rem_euclid(1.0));
        for x in chunk {
            *x *= Complex32::new(phasor.re as f32, phasor.im as f32);
            phasor *= step;
        }
    }
}

/// Raised cosine from 0 at `x <= 0` to 1 at `x >= 1`.
pub(crate) fn raised_cosine(x: f64) -> f64 {
    0.5 - 0.5 * (std::f64::consts::PI * x.clamp(0.0, 1.0)).cos()
}

/// What a burst is at `count` moments from `start_s` on, `rate` a second.
#[cfg(test)]
fn rendered(burst: &lte::OfdmBurst, start_s: f64, rate: f64, count: usize) -> Vec<num_complex::Complex<f64>> {
    let mut out = vec![Complex32::default(); count];
    burst.render(start_s, 1.0 / rate, &mut out);
    out.iter().map(|x| num_complex::Complex::new(f64::from(x.re), f64::from(x.im))).collect()
}
