//! GMSK bursts of TS 45.004, from the phase pulse itself.

use super::raised_cosine;
use cellwarden_standards::gsm;
use num_complex::Complex32;
use rand::Rng;
use std::f64::consts::{FRAC_PI_2, PI};
use std::sync::LazyLock;

/// Length of the power ramp outside the burst, inside the 28 us that TS 45.005 annex B allows.
pub const RAMP_S: f64 = 12e-6;

/// Half the width over which the phase pulse turns, in symbols.
const REACH: f64 = 3.0;
/// Steps of the phase pulse's table per symbol.
const STEPS: usize = 1024;

/// Integral of the frequency pulse g from minus infinity, on a grid of `1 / STEPS` symbols from
/// `-REACH` to `REACH`. TS 45.004 clause 2.5: g is a Gaussian of BT 0.3 convolved with a box of one symbol.
static PHASE_PULSE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let delta = 2f64.ln().sqrt() / (2.0 * PI * gsm::GMSK_BT);
    let gaussian = |x: f64| (-x * x / (2.0 * delta * delta)).exp();
    let h = 1.0 / STEPS as f64;
    let n = (2.0 * REACH) as usize * STEPS + 1;
    let running = |values: &[f64]| {
        let mut sum = 0.0;
        let mut out = vec![0.0];
        for pair in values.windows(2) {
            sum += 0.5 * (pair[0] + pair[1]);
            out.push(sum);
        }
        out
    };
    let x = |i: usize| i as f64 * h - REACH;
    let step: Vec<f64> = running(&(0..n).map(|i| gaussian(x(i))).collect::<Vec<_>>());
    let at = |i: i64| step[i.clamp(0, n as i64 - 1) as usize];
    let half = (STEPS / 2) as i64;
    let pulse: Vec<f64> = (0..n as i64).map(|i| at(i + half) - at(i - half)).collect();
    let mut phase = running(&pulse);
    let total = phase[n - 1];
    phase.iter_mut().for_each(|p| *p /= total);
    phase
});

/// The share of its quarter turn that a symbol has done `x` symbols after its centre.
fn phase_pulse(x: f64) -> f64 {
    let at = (x + REACH) * STEPS as f64;
    if at <= 0.0 {
        return 0.0;
    }
    let i = at as usize;
    match PHASE_PULSE.get(i + 1) {
        Some(next) => PHASE_PULSE[i] + (next - PHASE_PULSE[i]) * (at - i as f64),
        None => 1.0,
    }
}

/// One burst: time 0 is the start of bit 0.
#[derive(Clone, Debug)]
pub struct GmskBurst {
    symbols: usize,
    /// `turns[i]`: quarter turns done by all symbols before `i - PAD`.
    turns: Vec<f64>,
    /// Differentially encoded symbols, `PAD` of them before bit 0.
    alpha: Vec<f64>,
}

/// Dummy symbols kept before and after the burst, for the ramps and the pulse's memory.
const PAD: usize = 8;

impl GmskBurst {
    /// A burst of these bits, first transmitted first.
    ///
    /// # Source
    /// TS 45.004 clauses 2.2 and 2.3: ones go before and after, each symbol is the difference of two bits.
    pub fn new(bits: &[u8]) -> Self {
        let padded: Vec<u8> = [1; PAD + 1].iter().chain(bits).chain(&[1; PAD]).copied().collect();
        let alpha: Vec<f64> = padded.windows(2).map(|p| 1.0 - 2.0 * f64::from(p[0] ^ p[1])).collect();
        let mut sum = 0.0;
        let mut turns = vec![0.0];
        for a in &alpha {
            sum += a;
            turns.push(sum);
        }
        Self { symbols: bits.len(), turns, alpha }
    }

    /// Length in seconds, ramps left out.
    pub fn seconds(&self) -> f64 {
        self.symbols as f64 / gsm::SYMBOL_RATE
    }

    /// Phase in radians, `u` symbols after the start of bit 0.
    fn phase(&self, u: f64) -> f64 {
        let at = u + PAD as f64;
        let first = (at - REACH).ceil().clamp(0.0, self.alpha.len() as f64) as usize;
        let last = (at + REACH).ceil().clamp(0.0, self.alpha.len() as f64) as usize;
        let turning: f64 = (first..last).map(|i| self.alpha[i] * phase_pulse(at - i as f64)).sum();
        FRAC_PI_2 * (self.turns[first] + turning)
    }

    /// Writes the burst at `start_s`, `start_s + step_s`, … after the start of bit 0.
    pub fn render(&self, start_s: f64, step_s: f64, out: &mut [Complex32]) {
        let length = self.seconds();
        for (i, x) in out.iter_mut().enumerate() {
            let t = start_s + i as f64 * step_s;
            *x = if t < -RAMP_S || t > length + RAMP_S {
                Complex32::default()
            } else {
                let ramp = raised_cosine(1.0 + t / RAMP_S) * raised_cosine(1.0 + (length - t) / RAMP_S);
                let phase = self.phase(t * gsm::SYMBOL_RATE);
                Complex32::from_polar(ramp as f32, (phase % std::f64::consts::TAU) as f32)
            };
        }
    }
}

fn random_bits(count: usize, rng: &mut impl Rng) -> Vec<u8> {
    (0..count).map(|_| u8::from(rng.random::<bool>())).collect()
}

/// A normal burst with random content. TS 45.002 clause 5.2.3.
pub fn normal_burst(tsc: usize, rng: &mut impl Rng) -> Vec<u8> {
    let mut bits = vec![0; gsm::TAIL_SYMBOLS];
    bits.extend(random_bits(58, rng)); // 57 bits and the stealing flag
    bits.extend(gsm::TSC[tsc % 8]);
    bits.extend(random_bits(58, rng));
    bits.extend([0; gsm::TAIL_SYMBOLS]);
    bits
}

/// An access burst with random content. TS 45.002 clause 5.2.7.
pub fn access_burst(sync: usize, rng: &mut impl Rng) -> Vec<u8> {
    let mut bits = gsm::EXTENDED_TAIL.to_vec();
    bits.extend(gsm::ACCESS_SYNC[sync % 3]);
    bits.extend(random_bits(gsm::ACCESS_DATA_SYMBOLS, rng));
    bits.extend([0; gsm::TAIL_SYMBOLS]);
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn rendered(bits: &[u8], rate: f64, start_s: f64, count: usize) -> Vec<Complex32> {
        let mut out = vec![Complex32::default(); count];
        GmskBurst::new(bits).render(start_s, 1.0 / rate, &mut out);
        out
    }

    #[test]
    fn envelope_is_constant_and_ramps_stay_in_the_mask() {
        let bits = normal_burst(3, &mut ChaCha8Rng::seed_from_u64(1));
        for rate in [1e6, 2.4e6, 10e6] {
            let inside = (bits.len() as f64 / gsm::SYMBOL_RATE * rate) as usize;
            assert!(rendered(&bits, rate, 0.0, inside).iter().all(|x| (x.norm() - 1.0).abs() < 1e-5), "{rate}");
        }
        let lead = rendered(&bits, 10e6, -40e-6, 400);
        assert!(lead[..120].iter().all(|x| x.norm() == 0.0), "nothing earlier than 28 us");
        assert!(lead[120..220].iter().all(|x| x.norm() < 0.0317), "-30 dB until 18 us before");
        assert!(lead[220..300].iter().all(|x| x.norm() < 0.5), "-6 dB until 10 us before");
    }

    #[test]
    fn all_equal_bits_are_a_tone_67_7_khz_up() {
        let x = rendered(&[1; 148], 10e6, 50e-6, 1000);
        let turn = (x[999] * x[0].conj()).arg(); // 999 samples: 6.76 turns
        let expected = (1625e3 / 24.0 * 999.0 / 10e6_f64).fract() * std::f64::consts::TAU;
        assert!((Complex::cis(f64::from(turn)) - Complex::cis(expected)).norm() < 1e-2);
    }

    /// The linear view of GMSK: in the middle of bit i, turned back by i quarter turns, stands the bit.
    fn soft_bits(bits: &[u8], offset: f64) -> Vec<Complex32> {
        let symbol_s = 1.0 / gsm::SYMBOL_RATE;
        let x = rendered(bits, gsm::SYMBOL_RATE, (0.5 + offset) * symbol_s, bits.len());
        x.iter()
            .enumerate()
            .map(|(i, x)| x * Complex32::from_polar(1.0, -(i as f32) * std::f32::consts::FRAC_PI_2))
            .collect()
    }

    #[test]
    fn training_sequence_stands_where_the_standard_puts_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for code in 0..8 {
            let soft = soft_bits(&normal_burst(code, &mut rng), 0.0);
            let score = |at: usize| {
                let sum: Complex32 =
                    gsm::TSC[code].iter().enumerate().map(|(i, b)| soft[at + i] * (1.0 - 2.0 * f32::from(*b))).sum();
                sum.norm() / 26.0
            };
            let peak = score(gsm::NORMAL_TSC_START);
            assert!(peak > 0.8, "TSC{code}: {peak}"); // the rest is GMSK's own intersymbol interference
            assert!((1..6).all(|d| score(61 - d) < 0.6 * peak && score(61 + d) < 0.6 * peak), "TSC{code}");
        }
        let soft = soft_bits(&access_burst(0, &mut rng), 0.0);
        let sum: Complex32 =
            gsm::ACCESS_SYNC[0].iter().enumerate().map(|(i, b)| soft[8 + i] * (1.0 - 2.0 * f32::from(*b))).sum();
        assert!(sum.norm() / 41.0 > 0.8);
    }

    #[test]
    fn training_sequence_correlates_to_one_with_its_own_waveform() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (a, b) = (normal_burst(5, &mut rng), normal_burst(5, &mut rng));
        let span = (65.0 / gsm::SYMBOL_RATE, (17.0 / gsm::SYMBOL_RATE * 4e6) as usize); // memory left out
        let (x, y) = (rendered(&a, 4e6, span.0, span.1), rendered(&b, 4e6, span.0, span.1));
        let sum: Complex32 = x.iter().zip(&y).map(|(x, y)| x * y.conj()).sum();
        assert!((sum.norm() / span.1 as f32 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn spectrum_falls_as_gmsk_does() {
        let bits = normal_burst(0, &mut ChaCha8Rng::seed_from_u64(4));
        let rate = 2e6;
        let x = rendered(&bits, rate, -20e-6, 1200);
        let power = |hz: f64| -> f64 {
            let sum: Complex<f64> = x
                .iter()
                .enumerate()
                .map(|(i, x)| {
                    let hann = 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / 1200.0).cos();
                    Complex::new(f64::from(x.re), f64::from(x.im))
                        * Complex::cis(-std::f64::consts::TAU * hz * i as f64 / rate)
                        * hann
                })
                .sum();
            sum.norm_sqr()
        };
        let band = |low: f64, high: f64| (0..20).map(|i| power(low + (high - low) * f64::from(i) / 20.0)).sum::<f64>();
        assert!(
            10.0 * (band(380e3, 420e3) / band(-20e3, 20e3)).log10() < -50.0,
            "TS 45.005 4.2.1 asks for -60 at 400 kHz"
        );
    }
}
