//! Symbols of many subcarriers at equally spaced instants, by Bluestein's chirp transform: the same sums as one by one,
//! but with an effort that grows with N log N.

use super::lte::{FADE_S, OfdmBurst, OfdmSymbol};
use super::raised_cosine;
use num_complex::{Complex, Complex32};
use rustfft::{Fft, FftPlanner};
use std::f64::consts::TAU;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Subcarriers from which on it is worth while.
const WORTH: usize = 36;

static PLANNER: LazyLock<Mutex<FftPlanner<f32>>> = LazyLock::new(|| Mutex::new(FftPlanner::new()));

fn single(x: Complex<f64>) -> Complex32 {
    Complex32::new(x.re as f32, x.im as f32)
}

/// Sums a[k] exp(j 2 pi w k m) over k for m = 0, 1, ….
struct Chirp {
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    scratch: Vec<Complex32>,
    work: Vec<Complex32>,
    /// exp(j pi w i²).
    chirp: Vec<Complex32>,
    /// Transform of its conjugate around zero, over the length.
    kernel: Vec<Complex32>,
}

impl Chirp {
    /// For up to `terms` terms and `values` values.
    fn new(turns: f64, terms: usize, values: usize) -> Self {
        let length = (terms + values - 1).next_power_of_two();
        let mut planner = PLANNER.lock().unwrap_or_else(PoisonError::into_inner);
        let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
        drop(planner);
        let phase = |i: usize| TAU * (turns * (i * i) as f64 / 2.0).rem_euclid(1.0);
        let chirp: Vec<Complex32> = (0..terms.max(values)).map(|i| single(Complex::cis(phase(i)))).collect();
        let mut kernel = vec![Complex32::default(); length];
        for (i, x) in chirp.iter().enumerate() {
            if i < values {
                kernel[i] = x.conj();
            }
            if i > 0 && i < terms {
                kernel[length - i] = x.conj();
            }
        }
        let scratch = forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len());
        let mut scratch = vec![Complex32::default(); scratch];
        forward.process_with_scratch(&mut kernel, &mut scratch);
        kernel.iter_mut().for_each(|x| *x /= length as f32);
        Self { work: vec![Complex32::default(); length], forward, inverse, scratch, chirp, kernel }
    }

    /// The first values, for terms that the iterator gives.
    fn values(&mut self, terms: impl Iterator<Item = Complex32>) -> impl Iterator<Item = Complex32> + '_ {
        self.work.fill(Complex32::default());
        for ((work, chirp), term) in self.work.iter_mut().zip(&self.chirp).zip(terms) {
            *work = term * chirp;
        }
        self.forward.process_with_scratch(&mut self.work, &mut self.scratch);
        self.work.iter_mut().zip(&self.kernel).for_each(|(x, k)| *x *= k);
        self.inverse.process_with_scratch(&mut self.work, &mut self.scratch);
        self.work.iter().zip(&self.chirp).map(|(x, chirp)| x * chirp)
    }
}

/// Writes a burst at `start_s`, `start_s + step_s`, … after its start, to about five digits as [`OfdmBurst::render`].
pub(super) fn render(burst: &OfdmBurst, start_s: f64, step_s: f64, out: &mut [Complex32]) {
    let samples = out.len();
    let range = |symbol: &OfdmSymbol| -> Range<usize> {
        let index = |t: f64| (((t - start_s) / step_s).ceil().max(0.0) as usize).min(samples);
        index(symbol.start_s - FADE_S / 2.0)..index(symbol.end_s + FADE_S / 2.0)
    };
    let heard = || burst.symbols.iter().filter(|symbol| !range(symbol).is_empty());
    let Some(first) = heard().next() else {
        out.fill(Complex32::default());
        return;
    };
    let alike = heard().all(|symbol| symbol.spacing_hz == first.spacing_hz);
    let terms = heard().map(|symbol| symbol.amplitudes.len()).max().unwrap_or(0);
    if terms < WORTH || !alike {
        burst.render(start_s, step_s, out);
        return;
    }
    out.fill(Complex32::default());
    let values = heard().map(|symbol| range(symbol).len()).max().unwrap_or(0);
    let mut chirp = Chirp::new(first.spacing_hz * step_s, terms, values);
    for symbol in heard() {
        let at = range(symbol);
        let begin_s = start_s + at.start as f64 * step_s;
        let since_s = begin_s - symbol.reference_s;
        let turn = |hz: f64, seconds: f64| Complex::cis(TAU * (hz * seconds).rem_euclid(1.0));
        let (step, mut phasor) = (turn(symbol.spacing_hz, since_s), Complex::ONE);
        let terms = symbol.amplitudes.iter().map(|a| {
            let term = a * single(phasor);
            phasor *= step;
            term
        });
        let (step, mut phasor) = (turn(symbol.first_hz, step_s), turn(symbol.first_hz, since_s));
        for (i, (x, value)) in out[at].iter_mut().zip(chirp.values(terms)).enumerate() {
            let t = begin_s + i as f64 * step_s;
            let (rise, fall) = ((t - symbol.start_s) / FADE_S + 0.5, (symbol.end_s - t) / FADE_S + 0.5);
            let weight = if rise >= 1.0 && fall >= 1.0 { 1.0 } else { raised_cosine(rise) * raised_cosine(fall) };
            *x += value * single(phasor * weight);
            phasor *= step;
            if i % 1024 == 1023 {
                // Afresh, so that its rounding cannot grow.
                phasor = turn(symbol.first_hz, since_s + (i + 1) as f64 * step_s);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{lte as lte_wave, nr as nr_wave};
    use super::*;
    use cellwarden_standards::nr::{NrPrachFormat, Spacing};
    use cellwarden_standards::{lte, nr};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn quick_is_as_good_as_exact() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let grid =
            nr_wave::Grid { spacing: Spacing::Khz30, carrier_blocks: 51, carrier_hz: 3.7e9, cell_id: 3, slot: 4 };
        let b4 = NrPrachFormat::B4.preamble(Spacing::Khz30);
        let bursts = [
            ("pusch", lte_wave::pusch((2, 90, 100), lte_wave::Modulation::Qam16, (4, 0), &mut rng)),
            ("one block", lte_wave::pusch((2, 1, 100), lte_wave::Modulation::Qpsk, (4, 0), &mut rng)),
            ("prach", lte_wave::prach(&lte::PRACH_FORMATS[2], (129, 26), (10, 50))),
            ("srs", lte_wave::srs((5, 48, 100), 1, (7, 2))),
            ("b4", nr_wave::prach(&b4, b4.cp_at_ts(0), (9, 23), -2e6)),
            ("downlink", nr_wave::downlink(&grid, 38, &[(0, 51), (3, 40), (20, 8)], &mut rng)),
            (
                "nr",
                nr_wave::pusch_slot(
                    &grid,
                    (1, 49),
                    nr_wave::PuschWaveform::CpOfdm,
                    lte_wave::Modulation::Qpsk,
                    nr::PUSCH_DMRS_SYMBOLS[1],
                    &mut rng,
                ),
            ),
        ];
        for (name, burst) in bursts {
            for (rate, start_s) in [(30.72e6, -3.3e-6), (7.68e6, 123.456e-6), (5e6, 401e-6)] {
                let count = 9_000;
                let (mut exact, mut quick) = (vec![Complex32::default(); count], vec![Complex32::ONE; count]);
                burst.render(start_s, 1.0 / rate, &mut exact);
                render(&burst, start_s, 1.0 / rate, &mut quick);
                let power: f32 = exact.iter().map(|x| x.norm_sqr()).sum();
                let error: f32 = exact.iter().zip(&quick).map(|(a, b)| (a - b).norm_sqr()).sum();
                assert!(power == 0.0 && error == 0.0 || error / power < 1e-9, "{name} {rate}: {}", error / power);
            }
        }
    }
}
