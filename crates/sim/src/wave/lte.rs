//! LTE uplink waveforms: every symbol is the sum of its subcarriers at the very instant asked for.

use super::raised_cosine;
use cellwarden_standards::lte::{self, DMRS_PHI_12, DMRS_PHI_24, PrachFormat};
use num_complex::{Complex, Complex32};
use rand::Rng;
use rustfft::FftPlanner;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4, PI, TAU};

/// Length of the cross-fade between symbols, and of the ramps: about 1 us, which hides in the cyclic
/// prefix and keeps the skirts below the 30 dB of TS 36.101 clause 6.6.2.3.
pub const FADE_S: f64 = 32.0 / lte::TS_PER_SECOND;

/// Samples computed side by side.
const LANES: usize = 16;

/// One symbol with its cyclic prefix.
#[derive(Clone, Debug)]
pub struct OfdmSymbol {
    /// Start of the cyclic prefix after the burst's start, in seconds.
    pub start_s: f64,
    /// End of the symbol.
    pub end_s: f64,
    /// Where all subcarriers have phase zero: the end of the cyclic prefix.
    pub reference_s: f64,
    /// Frequency of the first subcarrier from the carrier, in hertz.
    pub first_hz: f64,
    /// Spacing of the subcarriers, in hertz.
    pub spacing_hz: f64,
    /// Amplitudes of the subcarriers; their squares sum to 1.
    pub amplitudes: Vec<Complex32>,
}

impl OfdmSymbol {
    pub(crate) fn new(start_ts: u32, cp_ts: u32, body_ts: u32, grid: (f64, f64), amplitudes: Vec<Complex32>) -> Self {
        let s = |ts: u32| f64::from(ts) / lte::TS_PER_SECOND;
        Self {
            start_s: s(start_ts),
            end_s: s(start_ts + cp_ts + body_ts),
            reference_s: s(start_ts + cp_ts),
            first_hz: grid.0,
            spacing_hz: grid.1,
            amplitudes,
        }
    }

    /// Moves the symbol in time.
    pub(crate) fn shift(&mut self, later_s: f64) {
        for time_s in [&mut self.start_s, &mut self.end_s, &mut self.reference_s] {
            *time_s += later_s;
        }
    }

    /// Adds the symbol to the samples at `times`, weighted by its fades.
    fn add(&self, times: &[f64; LANES], out: &mut [Complex32]) {
        // Horner's rule on the subcarriers: sum a[k] z^k, z turning once per symbol.
        let (mut zr, mut zi) = ([0f32; LANES], [0f32; LANES]);
        for (lane, t) in times.iter().enumerate() {
            let (sin, cos) = (TAU * (self.spacing_hz * (t - self.reference_s)).rem_euclid(1.0)).sin_cos();
            (zr[lane], zi[lane]) = (cos as f32, sin as f32);
        }
        let (mut re, mut im) = ([0f32; LANES], [0f32; LANES]);
        for a in self.amplitudes.iter().rev() {
            for l in 0..LANES {
                let next = re[l] * zr[l] - im[l] * zi[l] + a.re;
                im[l] = re[l] * zi[l] + im[l] * zr[l] + a.im;
                re[l] = next;
            }
        }
        for (lane, x) in out.iter_mut().enumerate() {
            let t = times[lane];
            let weight =
                raised_cosine((t - self.start_s) / FADE_S + 0.5) * raised_cosine((self.end_s - t) / FADE_S + 0.5);
            if weight > 0.0 {
                let (sin, cos) = (TAU * (self.first_hz * (t - self.reference_s)).rem_euclid(1.0)).sin_cos();
                let turn = Complex32::new((cos * weight) as f32, (sin * weight) as f32);
                *x += Complex32::new(re[lane], im[lane]) * turn;
            }
        }
    }
}

/// Consecutive symbols; time 0 is the start of the first cyclic prefix.
#[derive(Clone, Debug, Default)]
pub struct OfdmBurst {
    /// In order of time.
    pub symbols: Vec<OfdmSymbol>,
}

impl OfdmBurst {
    /// Length in seconds, fades left out.
    pub fn seconds(&self) -> f64 {
        self.symbols.last().map_or(0.0, |s| s.end_s)
    }

    /// Writes the burst at `start_s`, `start_s + step_s`, … after its start.
    pub fn render(&self, start_s: f64, step_s: f64, out: &mut [Complex32]) {
        out.fill(Complex32::default());
        let samples = out.len();
        for symbol in &self.symbols {
            let index = |t: f64| (((t - start_s) / step_s).ceil().max(0.0) as usize).min(samples);
            let (first, last) = (index(symbol.start_s - FADE_S / 2.0), index(symbol.end_s + FADE_S / 2.0));
            for (run, chunk) in out[first..last].chunks_mut(LANES).enumerate() {
                let times = std::array::from_fn(|l| start_s + (first + run * LANES + l) as f64 * step_s);
                symbol.add(&times, chunk);
            }
        }
    }
}

/// The Zadoff-Chu sequence of root `u` and odd length `n_zc`. TS 36.211 clauses 5.5.1.1 and 5.7.2.
pub fn zadoff_chu(u: usize, n_zc: usize) -> Vec<Complex<f64>> {
    // u n (n + 1) modulo 2 n_zc keeps the angle exact.
    (0..n_zc).map(|n| Complex::cis(-PI * ((u * n * (n + 1)) % (2 * n_zc)) as f64 / n_zc as f64)).collect()
}

/// The reference signal of group `u`, number 0, turned by `shift` twelfths. TS 36.211 clause 5.5.1.
pub fn reference_signal(u: usize, subcarriers: usize, shift: usize) -> Vec<Complex<f64>> {
    let qpsk = |phi: &[i8]| phi.iter().map(|&p| Complex::cis(f64::from(p) * FRAC_PI_4)).collect::<Vec<_>>();
    let base = match subcarriers {
        12 => qpsk(&DMRS_PHI_12[u % 30]),
        24 => qpsk(&DMRS_PHI_24[u % 30]),
        _ => {
            let n_zc = lte::dmrs_n_zc(subcarriers);
            zadoff_chu(lte::dmrs_root(n_zc, u % 30, 0), n_zc).into_iter().cycle().take(subcarriers).collect()
        }
    };
    base.iter().enumerate().map(|(n, x)| x * Complex::cis(TAU * ((shift * n) % 12) as f64 / 12.0)).collect()
}

/// To single precision, with the squares summing to 1 where every input has magnitude 1.
pub(crate) fn scaled(values: &[Complex<f64>], turn: Complex<f64>) -> Vec<Complex32> {
    let scale = 1.0 / (values.len() as f64).sqrt();
    values.iter().map(|x| x * turn * scale).map(|x| Complex32::new(x.re as f32, x.im as f32)).collect()
}

/// Frequency of the first subcarrier of a resource block, from the carrier, in hertz. TS 36.211 clause 5.6.
pub fn block_first_hz(block: u16, carrier_blocks: u16) -> f64 {
    block_edge_hz(block, carrier_blocks) + lte::HALF_CARRIER_HZ
}

/// Lower edge of a resource block from the carrier, in hertz.
pub fn block_edge_hz(block: u16, carrier_blocks: u16) -> f64 {
    (f64::from(block) - f64::from(carrier_blocks) / 2.0) * lte::RB_HZ
}

/// How data symbols of a PUSCH are modulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modulation {
    /// Two bits.
    Qpsk,
    /// Four bits.
    Qam16,
}

impl Modulation {
    /// Real or imaginary part of a symbol of mean power 1.
    pub(crate) fn level(self, rng: &mut impl Rng) -> f64 {
        match self {
            Self::Qpsk => {
                if rng.random::<bool>() {
                    FRAC_1_SQRT_2
                } else {
                    -FRAC_1_SQRT_2
                }
            }
            Self::Qam16 => [-3.0, -1.0, 1.0, 3.0][rng.random_range(0..4)] / 10f64.sqrt(),
        }
    }
}

/// A PUSCH of one subframe on blocks `first` to `first + count`, in a carrier of `carrier` blocks;
/// reference signals of group `u`.
pub fn pusch(blocks: (u16, u16, u16), modulation: Modulation, signal: (usize, usize), rng: &mut impl Rng) -> OfdmBurst {
    let mut burst = pusch_slot(0, blocks, modulation, signal, lte::SLOT_SYMBOLS, rng);
    burst.symbols.extend(pusch_slot(lte::SLOT_TS, blocks, modulation, signal, lte::SLOT_SYMBOLS, rng).symbols);
    burst
}

/// The first `symbols` symbols of a slot of a PUSCH on blocks `first` to `first + count`, in a carrier of `carrier`
/// blocks; the slot begins at `start_ts` of the burst. Reference signal of group `u`, turned by `shift` twelfths.
/// TS 36.211 clauses 5.3 and 5.5.2.1.
pub fn pusch_slot(
    start_ts: u32,
    (first, count, carrier): (u16, u16, u16),
    modulation: Modulation,
    (u, shift): (usize, usize),
    symbols: usize,
    rng: &mut impl Rng,
) -> OfdmBurst {
    let subcarriers = usize::from(count) * lte::RB_SUBCARRIERS;
    let fft = FftPlanner::<f64>::new().plan_fft_forward(subcarriers);
    let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
    let grid = (block_first_hz(first, carrier), lte::SUBCARRIER_HZ);
    let symbols = (0..symbols)
        .map(|l| {
            let amplitudes = if l == lte::PUSCH_DMRS_SYMBOL {
                scaled(&reference_signal(u, subcarriers, shift), Complex::ONE)
            } else {
                let mut block: Vec<Complex<f64>> =
                    (0..subcarriers).map(|_| Complex::new(modulation.level(rng), modulation.level(rng))).collect();
                fft.process_with_scratch(&mut block, &mut scratch);
                let unitary = 1.0 / (subcarriers as f64).sqrt();
                scaled(&block, Complex::new(unitary, 0.0))
            };
            let start = start_ts + lte::symbol_start_ts(l);
            OfdmSymbol::new(start, lte::cp_ts(l), lte::SYMBOL_TS, grid, amplitudes)
        })
        .collect();
    OfdmBurst { symbols }
}

/// One slot of a PUCCH format 1 or 1a on one block, with cover code `cover` (0..3) and one cyclic shift.
pub fn pucch1_slot(place: (u16, u16), (u, shift, cover): (usize, usize, usize), ack: bool) -> OfdmBurst {
    pucch1_hopping_slot(place, u, [shift; lte::SLOT_SYMBOLS], cover, ack)
}

/// One slot of a PUCCH format 1 or 1a on one block, with cover code `cover` (0..3); its reference sequence of group
/// `u` is turned by so many twelfths in each symbol. TS 36.211 clauses 5.4.1 and 5.5.2.2.
pub fn pucch1_hopping_slot(
    (block, carrier): (u16, u16),
    u: usize,
    shifts: [usize; lte::SLOT_SYMBOLS],
    cover: usize,
    ack: bool,
) -> OfdmBurst {
    const COVER: [[f64; 4]; 3] = [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, -1.0, -1.0, 1.0]];
    let data = if ack { -1.0 } else { 1.0 };
    pucch_symbols((block, carrier), u, shifts, |l| match l {
        2..=4 => Complex::cis(TAU * ((l - 2) * (cover % 3)) as f64 / 3.0),
        _ => Complex::new(data * COVER[cover % 3][if l < 2 { l } else { l - 3 }], 0.0),
    })
}

/// One slot of a PUCCH format 2 on one block: QPSK in five symbols, reference signals in the second and the sixth.
/// TS 36.211 clauses 5.4.2 and 5.5.2.2.
pub fn pucch2_slot(
    (block, carrier): (u16, u16),
    u: usize,
    shifts: [usize; lte::SLOT_SYMBOLS],
    rng: &mut impl Rng,
) -> OfdmBurst {
    pucch_symbols((block, carrier), u, shifts, |l| match l {
        1 | 5 => Complex::ONE,
        _ => Complex::new(Modulation::Qpsk.level(rng), Modulation::Qpsk.level(rng)),
    })
}

fn pucch_symbols(
    (block, carrier): (u16, u16),
    u: usize,
    shifts: [usize; lte::SLOT_SYMBOLS],
    mut turn: impl FnMut(usize) -> Complex<f64>,
) -> OfdmBurst {
    let grid = (block_first_hz(block, carrier), lte::SUBCARRIER_HZ);
    let symbols = (0..lte::SLOT_SYMBOLS)
        .map(|l| {
            let base = reference_signal(u, lte::RB_SUBCARRIERS, shifts[l]);
            let amplitudes = scaled(&base, turn(l));
            OfdmSymbol::new(lte::symbol_start_ts(l), lte::cp_ts(l), lte::SYMBOL_TS, grid, amplitudes)
        })
        .collect();
    OfdmBurst { symbols }
}

/// A sounding symbol on every other subcarrier of blocks `first` to `first + count`. TS 36.211 clause 5.5.3.
///
/// Time 0 is the start of its cyclic prefix, the last symbol of a subframe.
pub fn srs((first, count, carrier): (u16, u16, u16), comb: u8, (u, shift): (usize, usize)) -> OfdmBurst {
    let length = usize::from(count) * lte::RB_SUBCARRIERS / 2;
    let grid = (block_first_hz(first, carrier) + f64::from(comb % 2) * lte::SUBCARRIER_HZ, 2.0 * lte::SUBCARRIER_HZ);
    // Eight shifts, not twelve. TS 36.211 clause 5.5.3.1.
    let sequence: Vec<Complex<f64>> = reference_signal(u, length, 0)
        .iter()
        .enumerate()
        .map(|(n, x)| x * Complex::cis(TAU * ((shift * n) % 8) as f64 / 8.0))
        .collect();
    let symbol = OfdmSymbol::new(0, lte::CP_OTHER_TS, lte::SYMBOL_TS, grid, scaled(&sequence, Complex::ONE));
    OfdmBurst { symbols: vec![symbol] }
}

/// A PRACH preamble: root `u` shifted cyclically by `shift`, on six blocks from `first`. TS 36.211 clause 5.7.
pub fn prach(format: &PrachFormat, (u, shift): (usize, usize), (first, carrier): (u16, u16)) -> OfdmBurst {
    let n_zc = usize::from(format.n_zc);
    let mut sequence = zadoff_chu(u, n_zc);
    sequence.rotate_left(shift % n_zc);
    let fft = FftPlanner::<f64>::new().plan_fft_forward(n_zc);
    let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
    fft.process_with_scratch(&mut sequence, &mut scratch);
    let unitary = Complex::new(1.0 / (n_zc as f64).sqrt(), 0.0);
    let grid = (block_edge_hz(first, carrier) + format.first_subcarrier_hz(), format.spacing_hz);
    let body = format.sequence_ts * format.repeats;
    OfdmBurst { symbols: vec![OfdmSymbol::new(0, format.cp_ts, body, grid, scaled(&sequence, unitary))] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn rendered(burst: &OfdmBurst, start_s: f64, rate: f64, count: usize) -> Vec<Complex32> {
        let mut out = vec![Complex32::default(); count];
        burst.render(start_s, 1.0 / rate, &mut out);
        out
    }

    fn power(x: &[Complex32]) -> f64 {
        x.iter().map(|x| f64::from(x.norm_sqr())).sum::<f64>() / x.len() as f64
    }

    #[test]
    fn zadoff_chu_autocorrelation_is_one_peak() {
        let x = zadoff_chu(129, 839);
        for lag in 0..839 {
            let sum: Complex<f64> = (0..839).map(|n| x[n] * x[(n + lag) % 839].conj()).sum();
            assert!((sum.norm() - if lag == 0 { 839.0 } else { 0.0 }).abs() < 1e-6, "{lag}");
        }
    }

    #[test]
    fn preamble_repeats_after_its_period_and_peaks_at_its_shift() {
        let format = &lte::PRACH_FORMATS[0];
        let burst = prach(format, (129, 26), (0, 6));
        let rate = 839.0 * 1250.0; // critically sampled: one chip per sample
        let cp_s = f64::from(format.cp_ts) / lte::TS_PER_SECOND;
        // The grid is not around 0 Hz: bring its first subcarrier there.
        let mut x = rendered(&burst, cp_s, rate, 839 - 2);
        let first = burst.symbols[0].first_hz;
        super::super::mix(&mut x, -first, 1.0 / rate, 0.0);
        let root = zadoff_chu(129, 839);
        let score = |shift: usize| {
            let sum: Complex<f64> = x
                .iter()
                .enumerate()
                .map(|(n, x)| Complex::new(f64::from(x.re), f64::from(x.im)) * root[(n + shift) % 839].conj())
                .sum();
            sum.norm() / x.len() as f64
        };
        assert!(score(26) > 0.99, "{}", score(26));
        assert!((0..839).filter(|&s| s != 26).all(|s| score(s) < 0.1));
        let whole = rendered(&burst, 5e-6, 2.4e6, 200);
        let later = rendered(&burst, 5e-6 + 800e-6, 2.4e6, 200);
        let sum: Complex32 = whole.iter().zip(&later).map(|(a, b)| a * b.conj()).sum();
        assert!((f64::from(sum.norm()) / 200.0 / power(&whole) - 1.0).abs() < 1e-3, "the prefix is cyclic");
    }

    #[test]
    fn channels_have_unit_power_and_their_blocks() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rate = 7.68e6;
        for (name, burst, blocks) in [
            ("pusch", pusch((3, 8, 25), Modulation::Qpsk, (4, 0), &mut rng), (3, 8)),
            ("pusch 16qam", pusch((20, 1, 25), Modulation::Qam16, (4, 0), &mut rng), (20, 1)),
            ("pucch", pucch1_slot((24, 25), (7, 3, 1), true), (24, 1)),
            ("srs", srs((5, 12, 25), 1, (7, 2)), (5, 12)),
            ("prach", prach(&lte::PRACH_FORMATS[0], (140, 0), (10, 25)), (10, 6)),
        ] {
            let count = (burst.seconds() * rate) as usize;
            let mut x = rendered(&burst, 0.0, rate, count);
            let whole = power(&x);
            assert!((10.0 * whole.log10()).abs() < 0.2, "{name}: {whole}");
            let fft = FftPlanner::<f32>::new().plan_fft_forward(count);
            let mut scratch = vec![Complex32::default(); fft.get_inplace_scratch_len()];
            fft.process_with_scratch(&mut x, &mut scratch);
            let (low, high) = (block_edge_hz(blocks.0, 25), block_edge_hz(blocks.0 + blocks.1, 25));
            let inside: f64 = x
                .iter()
                .enumerate()
                .filter(|(i, _)| {
                    let hz = *i as f64 * rate / count as f64;
                    let hz = if hz > rate / 2.0 { hz - rate } else { hz };
                    (low..high).contains(&hz)
                })
                .map(|(_, x)| f64::from(x.norm_sqr()))
                .sum();
            let share = inside / (count as f64).powi(2) / whole;
            assert!(share > 0.93, "{name}: {share} inside its blocks");
        }
    }

    #[test]
    fn cyclic_prefix_shows_66_7_us_apart() {
        let burst = pusch((0, 25, 25), Modulation::Qpsk, (0, 0), &mut ChaCha8Rng::seed_from_u64(2));
        let a = rendered(&burst, 72e-6, 7.68e6, 30);
        let b = rendered(&burst, 72e-6 + 2048.0 / lte::TS_PER_SECOND, 7.68e6, 30);
        let sum: Complex32 = a.iter().zip(&b).map(|(a, b)| a.conj() * b).sum();
        assert!(f64::from(sum.norm()) / 30.0 / power(&a) > 0.99);
        // ... and turned by half a circle, since no subcarrier completes a whole number of turns.
        assert!((f64::from(sum.arg().abs()) - PI).abs() < 0.05);
    }

    #[test]
    fn symbols_are_the_sums_of_their_subcarriers() {
        let burst = pusch((0, 100, 100), Modulation::Qam16, (21, 1), &mut ChaCha8Rng::seed_from_u64(4));
        let (rate, symbol) = (20e6, &burst.symbols[3]);
        let start_s = symbol.start_s + 3e-6;
        let x = rendered(&burst, start_s, rate, 1200);
        let (mut error, mut whole) = (0.0, 0.0);
        for (n, x) in x.iter().enumerate() {
            let since = start_s + n as f64 / rate - symbol.reference_s;
            let oracle: Complex<f64> = symbol
                .amplitudes
                .iter()
                .enumerate()
                .map(|(k, a)| {
                    let turns = (symbol.first_hz + symbol.spacing_hz * k as f64) * since;
                    Complex::new(f64::from(a.re), f64::from(a.im)) * Complex::cis(TAU * turns)
                })
                .sum();
            error += (oracle - Complex::new(f64::from(x.re), f64::from(x.im))).norm_sqr();
            whole += oracle.norm_sqr();
        }
        assert!(error / whole < 1e-7, "{}", error / whole);
    }

    #[test]
    fn pieces_join_without_a_seam() {
        let burst = pusch((2, 3, 6), Modulation::Qpsk, (1, 0), &mut ChaCha8Rng::seed_from_u64(3));
        let whole = rendered(&burst, -1e-5, 2e6, 2040);
        let (first, rest) = (rendered(&burst, -1e-5, 2e6, 777), rendered(&burst, -1e-5 + 777.0 / 2e6, 2e6, 2040 - 777));
        for (a, b) in whole.iter().zip(first.iter().chain(&rest)) {
            assert!((a - b).norm() < 1e-4);
        }
    }
}
