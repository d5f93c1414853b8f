//! NB-IoT uplink waveforms, around the centre of the carrier.

use super::lte::{Modulation, OfdmBurst, OfdmSymbol, scaled};
use cellwarden_standards::lte::SLOT_SYMBOLS;
use cellwarden_standards::nbiot::{self, Tones};
use num_complex::Complex;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rustfft::FftPlanner;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, FRAC_PI_4, TAU};

/// Frequency of subcarrier `index` (from the lowest) of `spacing_hz` from the carrier, in hertz. TS 36.211 clauses
/// 10.1.5 and 10.1.6.2.
pub fn subcarrier_hz(spacing_hz: f64, index: u8) -> f64 {
    (f64::from(index) + 0.5) * spacing_hz - nbiot::CARRIER_HZ / 2.0
}

/// Symbol groups of a preamble of `format` (0 or 1) in a row, one on each of these subcarriers of 3.75 kHz. TS 36.211
/// clause 10.1.6.
pub fn nprach(format: u8, subcarriers: &[u8]) -> OfdmBurst {
    let cp_ts = nbiot::nprach_cp_ts(format);
    let symbols = (0..)
        .zip(subcarriers)
        .map(|(i, &n)| {
            let start_ts = i * (cp_ts + nbiot::NPRACH_SEQUENCE_TS);
            let grid = (subcarrier_hz(nbiot::NARROW_HZ, n), nbiot::NARROW_HZ);
            OfdmSymbol::new(start_ts, cp_ts, nbiot::NPRACH_SEQUENCE_TS, grid, scaled(&[Complex::ONE], Complex::ONE))
        })
        .collect();
    OfdmBurst { symbols }
}

/// How a single tone is modulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TonePhase {
    /// pi/2-BPSK.
    Bpsk,
    /// pi/4-QPSK.
    Qpsk,
}

/// One transmission of NPUSCH format 1.
#[derive(Clone, Copy, Debug)]
pub struct Npusch {
    /// How many subcarriers, of which spacing.
    pub tones: Tones,
    /// The lowest of them.
    pub first: u8,
    /// Resource units of a transport block.
    pub units: u16,
    /// How often it is sent.
    pub repetitions: u16,
    /// N_ID^Ncell.
    pub cell_id: u16,
    /// A single tone's modulation; several tones have QPSK.
    pub phase: TonePhase,
    /// Of the content.
    pub seed: u64,
}

impl Npusch {
    /// Slots of the whole transmission.
    pub fn slots(&self) -> u32 {
        u32::from(self.repetitions) * u32::from(self.units) * self.tones.unit_slots()
    }

    /// Slots `from` to `to` of it; time 0 is the start of the first of them. TS 36.211 clauses 10.1.3 to 10.1.5.
    pub fn burst(&self, from: u32, to: u32) -> OfdmBurst {
        match self.tones.count() {
            1 => self.single(from, to),
            _ => self.several(from, to),
        }
    }

    fn symbol(&self, slot: u32, l: usize, values: &[Complex<f64>], turn: Complex<f64>) -> OfdmSymbol {
        let start_ts = slot * self.tones.slot_ts() + self.tones.symbol_start_ts(l);
        let spacing_hz = self.tones.spacing_hz();
        let grid = (subcarrier_hz(spacing_hz, self.first), spacing_hz);
        OfdmSymbol::new(start_ts, self.tones.cp_ts(l), self.tones.symbol_ts(), grid, scaled(values, turn))
    }

    /// One tone: its phase goes on from symbol to symbol, and turns by a quarter or an eighth in every other one.
    fn single(&self, from: u32, to: u32) -> OfdmBurst {
        let signs = nbiot::single_tone_dmrs(self.cell_id, to as usize);
        let hz = subcarrier_hz(self.tones.spacing_hz(), self.first);
        let rho = if self.phase == TonePhase::Bpsk { FRAC_PI_2 } else { FRAC_PI_4 };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let (mut turns, mut symbols) = (0.0f64, Vec::new());
        for slot in 0..to {
            for l in 0..SLOT_SYMBOLS {
                let value = if l == self.tones.dmrs_symbol() {
                    Complex::new(FRAC_1_SQRT_2, FRAC_1_SQRT_2) * f64::from(signs[slot as usize])
                } else {
                    let (a, b) = (Modulation::Qpsk.level(&mut rng), Modulation::Qpsk.level(&mut rng));
                    if self.phase == TonePhase::Bpsk { Complex::new(a, a) } else { Complex::new(a, b) }
                };
                // Slots have an odd number of symbols: the count goes on over them.
                let odd = (slot as usize * SLOT_SYMBOLS + l) % 2 == 1;
                let turn = Complex::cis(TAU * turns + if odd { rho } else { 0.0 });
                if slot >= from {
                    symbols.push(self.symbol(slot - from, l, &[value], turn));
                }
                let length_ts = self.tones.symbol_ts() + self.tones.cp_ts(l);
                turns = (turns + hz * f64::from(length_ts) / cellwarden_standards::lte::TS_PER_SECOND).fract();
            }
        }
        OfdmBurst { symbols }
    }

    /// Several tones: as a PUSCH.
    fn several(&self, from: u32, to: u32) -> OfdmBurst {
        let count = usize::from(self.tones.count());
        let fft = FftPlanner::<f64>::new().plan_fft_forward(count);
        let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
        let dmrs: Vec<Complex<f64>> = nbiot::multi_tone_dmrs(self.cell_id, self.tones.count())
            .iter()
            .map(|&p| Complex::cis(f64::from(p) * FRAC_PI_4))
            .collect();
        let (row, times) = self.tones.identical(self.repetitions);
        let mut symbols = Vec::new();
        for slot in from..to {
            // Two slots are sent several times over before the next two.
            let content = u64::from(slot / (row * times)) * u64::from(row) + u64::from(slot % row);
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(content));
            for l in 0..SLOT_SYMBOLS {
                if l == self.tones.dmrs_symbol() {
                    symbols.push(self.symbol(slot - from, l, &dmrs, Complex::ONE));
                    continue;
                }
                let mut data: Vec<Complex<f64>> = (0..count)
                    .map(|_| Complex::new(Modulation::Qpsk.level(&mut rng), Modulation::Qpsk.level(&mut rng)))
                    .collect();
                fft.process_with_scratch(&mut data, &mut scratch);
                let unitary = Complex::new(1.0 / (count as f64).sqrt(), 0.0);
                symbols.push(self.symbol(slot - from, l, &data, unitary));
            }
        }
        OfdmBurst { symbols }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wave::rendered;

    const TS: f64 = 1.0 / 30.72e6;

    /// Frequency by the turn from sample to sample.
    fn frequency_hz(x: &[Complex<f64>], rate: f64) -> f64 {
        let sum: Complex<f64> = x.windows(2).map(|w| w[0].conj() * w[1]).sum();
        sum.arg() / TAU * rate
    }

    #[test]
    fn preambles_are_tones_that_hop() {
        for format in [0, 1] {
            let tones = nbiot::nprach_subcarriers(55, 12, 3, 4);
            let burst = nprach(format, &tones);
            let group_s = f64::from(nbiot::nprach_cp_ts(format) + nbiot::NPRACH_SEQUENCE_TS) * TS;
            assert!((burst.seconds() - 16.0 * group_s).abs() < 1e-9);
            assert!((group_s - if format == 0 { 1.4e-3 } else { 1.6e-3 }).abs() < 1e-6);
            for (i, &n) in tones.iter().enumerate() {
                let x = rendered(&burst, i as f64 * group_s + 2e-6, 1.92e6, 2600);
                let expected = -90e3 + (f64::from(n) + 0.5) * 3750.0;
                assert!((frequency_hz(&x, 1.92e6) - expected).abs() < 1.0, "{format} {i}");
                assert!(x.iter().all(|x| (x.norm() - 1.0).abs() < 1e-3));
                // Prefix and five symbols are one tone, whose phase is zero at the prefix's end.
                let at = rendered(&burst, i as f64 * group_s + f64::from(nbiot::nprach_cp_ts(format)) * TS, 1.92e6, 1);
                assert!((at[0] - Complex::ONE).norm() < 1e-3, "{format} {i}: {}", at[0]);
            }
        }
    }

    #[test]
    fn single_tones_go_on_without_a_jump() {
        for (tones, phase, step) in [
            (Tones::Narrow, TonePhase::Bpsk, FRAC_PI_2),
            (Tones::Narrow, TonePhase::Qpsk, FRAC_PI_4),
            (Tones::Wide(1), TonePhase::Bpsk, FRAC_PI_2),
            (Tones::Wide(1), TonePhase::Qpsk, FRAC_PI_4),
        ] {
            let npusch = Npusch { tones, first: 5, units: 1, repetitions: 2, cell_id: 9, phase, seed: 4 };
            assert_eq!(npusch.slots(), 32);
            let burst = npusch.burst(0, 32);
            let hz = subcarrier_hz(tones.spacing_hz(), 5);
            for pair in burst.symbols.windows(2) {
                // Turned back by the tone over its own length, the step is a multiple of the rotation and data.
                let length_s = pair[0].end_s - pair[0].start_s;
                let a = Complex::new(f64::from(pair[0].amplitudes[0].re), f64::from(pair[0].amplitudes[0].im));
                let b = Complex::new(f64::from(pair[1].amplitudes[0].re), f64::from(pair[1].amplitudes[0].im));
                let turn = (b * a.conj() * Complex::cis(-TAU * (hz * length_s).rem_euclid(1.0))).arg();
                let odd = turn / step;
                assert!((odd - odd.round()).abs() < 1e-3 && odd.round() as i64 % 2 != 0, "{tones:?} {phase:?}: {odd}");
            }
            // Phases never step by half a circle, so that the envelope stays: that is what the rotation is for.
            let whole = npusch.burst(0, 4);
            let rest = npusch.burst(2, 4);
            let slot_s = f64::from(tones.slot_ts()) * TS;
            let (a, b) = (rendered(&whole, 2.0 * slot_s + 1e-5, 1.92e6, 900), rendered(&rest, 1e-5, 1.92e6, 900));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).norm() < 1e-3), "{tones:?}: parts join");
        }
    }

    #[test]
    fn narrow_slots_end_in_silence() {
        let npusch = Npusch {
            tones: Tones::Narrow,
            first: 47,
            units: 1,
            repetitions: 1,
            cell_id: 0,
            phase: TonePhase::Qpsk,
            seed: 1,
        };
        let burst = npusch.burst(0, 16);
        let silent = rendered(&burst, (7.0 * 8448.0 + 100.0) * TS, 1.92e6, 130);
        assert!(silent.iter().all(|x| x.norm() < 1e-6));
        assert!((rendered(&burst, 2e-3 + 5e-6, 1.92e6, 10)[0].norm() - 1.0).abs() < 1e-3);
        assert!((subcarrier_hz(3750.0, 47) - 88_125.0).abs() < 1e-9);
    }

    #[test]
    fn several_tones_fill_their_subcarriers() {
        for (count, first) in [(3, 9), (6, 0), (12, 0)] {
            let npusch = Npusch {
                tones: Tones::Wide(count),
                first,
                units: 2,
                repetitions: 4,
                cell_id: 17,
                phase: TonePhase::Qpsk,
                seed: 7,
            };
            let burst = npusch.burst(0, npusch.slots());
            let ms = f64::from(2 * 4)
                * match count {
                    3 => 4.0,
                    6 => 2.0,
                    _ => 1.0,
                };
            assert!((burst.seconds() - ms * 1e-3).abs() < 1e-9);
            let mut power = 0.0;
            for symbol in burst.symbols.iter().take(70) {
                // 128 samples over the body.
                let mut x = rendered(&burst, symbol.reference_s - 3e-6, 1.92e6, 128);
                for (n, x) in x.iter_mut().enumerate() {
                    *x *= Complex::cis(TAU * (90e3 - 7.5e3) * (n as f64 / 1.92e6));
                }
                let fft = FftPlanner::<f64>::new().plan_fft_forward(128);
                let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
                fft.process_with_scratch(&mut x, &mut scratch);
                let own = usize::from(first)..usize::from(first + count);
                let inside: f64 = x[own].iter().map(|x| x.norm_sqr()).sum();
                let whole: f64 = x.iter().map(|x| x.norm_sqr()).sum();
                assert!(inside / whole > 0.999, "{count}: {}", inside / whole);
                power += whole / 128.0 / 128.0 / 70.0;
            }
            assert!((power - 1.0).abs() < 0.1, "{count}: {power}");
            // Two slots come twice over, then others.
            let same = |a: usize, b: usize| burst.symbols[7 * a].amplitudes == burst.symbols[7 * b].amplitudes;
            assert!(same(0, 2) && same(1, 3) && !same(0, 1) && !same(0, 4), "{count}");
        }
    }
}
