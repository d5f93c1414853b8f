//! NR waveforms: uplink, and a base station's downlink as far as its shape goes.

use super::lte::{Modulation, OfdmBurst, OfdmSymbol, scaled, zadoff_chu};
use cellwarden_standards::lte::{dmrs_n_zc, dmrs_root};
use cellwarden_standards::nr::{self, NrPreamble, Spacing};
use cellwarden_standards::pseudo_random;
use num_complex::{Complex, Complex32};
use rand::Rng;
use rustfft::FftPlanner;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4, PI, TAU};

/// Frequency of the first subcarrier of a block from the carrier, in hertz. TS 38.211 clauses 5.3.1 and 4.4.2.
pub fn block_first_hz(spacing: Spacing, block: u16, carrier_blocks: u16) -> f64 {
    (12.0 * f64::from(block) - 6.0 * f64::from(carrier_blocks)) * spacing.hz()
}

/// Lower edge of a block from the carrier, in hertz: half a subcarrier below its first.
pub fn block_edge_hz(spacing: Spacing, block: u16, carrier_blocks: u16) -> f64 {
    block_first_hz(spacing, block, carrier_blocks) - spacing.hz() / 2.0
}

/// A preamble with a cyclic prefix of `cp_ts`: root `u` shifted cyclically by `shift`, its first subcarrier at
/// `first_hz` from the carrier. TS 38.211 clauses 5.3.2 and 6.3.3.
pub fn prach(preamble: &NrPreamble, cp_ts: u32, (u, shift): (usize, usize), first_hz: f64) -> OfdmBurst {
    let n_zc = usize::from(preamble.n_zc);
    let mut sequence = zadoff_chu(u, n_zc);
    sequence.rotate_left(shift % n_zc);
    let fft = FftPlanner::<f64>::new().plan_fft_forward(n_zc);
    let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
    fft.process_with_scratch(&mut sequence, &mut scratch);
    let amplitudes = scaled(&sequence, Complex::new(1.0 / (n_zc as f64).sqrt(), 0.0));
    let grid = (first_hz, preamble.spacing_hz);
    OfdmBurst { symbols: vec![OfdmSymbol::new(0, cp_ts, preamble.body_ts(), grid, amplitudes)] }
}

/// How a PUSCH's subcarriers carry their data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum PuschWaveform {
    /// A symbol on each.
    #[default]
    #[serde(rename = "cp-ofdm")]
    CpOfdm,
    /// A Fourier transform of the symbols: lower peaks.
    #[serde(rename = "dft-s-ofdm")]
    DftSOfdm,
}

/// Where a PUSCH or a sounding lies and what its reference signals come from.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Subcarrier spacing.
    pub spacing: Spacing,
    /// Blocks of the carrier.
    pub carrier_blocks: u16,
    /// Centre of the carrier, absolute, in hertz: symbols begin with its phase. TS 38.211 clause 5.4.
    pub carrier_hz: f64,
    /// N_ID.
    pub cell_id: u16,
    /// Slot within the frame.
    pub slot: u32,
}

impl Grid {
    /// Symbol `l` of the slot, which begins at `slot_s` of the burst, on subcarriers from `first_hz` on.
    fn symbol(
        &self,
        slot_s: f64,
        l: u32,
        (first_hz, spacing_hz): (f64, f64),
        amplitudes: Vec<Complex32>,
    ) -> OfdmSymbol {
        let first = self.slot % self.spacing.slots() * nr::SLOT_SYMBOLS as u32;
        let start = self.spacing.symbol_start_ts(first + l) - self.spacing.symbol_start_ts(first);
        let cp_ts = self.spacing.cp_ts(first + l);
        let grid = (first_hz, spacing_hz);
        let mut symbol = OfdmSymbol::new(start, cp_ts, self.spacing.symbol_ts(), grid, amplitudes);
        symbol.shift(slot_s);
        let turn = Complex::cis(-TAU * (self.carrier_hz * symbol.reference_s).rem_euclid(1.0));
        let turn = Complex32::new(turn.re as f32, turn.im as f32);
        symbol.amplitudes.iter_mut().for_each(|a| *a *= turn);
        symbol
    }
}

/// The base sequence of group `u`, number 0. TS 38.211 clauses 5.2.2.1 and 5.2.2.2.
pub fn base_sequence(u: usize, length: usize) -> Vec<Complex<f64>> {
    let qpsk = |phi: &[i8]| phi.iter().map(|&p| Complex::cis(f64::from(p) * FRAC_PI_4)).collect();
    let u = u % 30;
    match length {
        6 => qpsk(&nr::PHI_6[u]),
        12 => qpsk(&nr::PHI_12[u]),
        18 => qpsk(&nr::PHI_18[u]),
        24 => qpsk(&nr::PHI_24[u]),
        30 => (0..30).map(|n| Complex::cis(-PI * ((u + 1) * (n + 1) * (n + 2)) as f64 / 31.0)).collect(),
        _ => {
            let n_zc = dmrs_n_zc(length);
            zadoff_chu(dmrs_root(n_zc, u, 0), n_zc).into_iter().cycle().take(length).collect()
        }
    }
}

/// The reference signal of a PUSCH on blocks `first` to `first + count` in symbol `l`, one value for every second
/// subcarrier. TS 38.211 clauses 6.4.1.1.1.1 and 6.4.1.1.1.2.
pub fn pusch_reference(grid: &Grid, (first, count): (u16, u16), waveform: PuschWaveform, l: u32) -> Vec<Complex<f64>> {
    let length = 6 * usize::from(count);
    match waveform {
        PuschWaveform::DftSOfdm => base_sequence(usize::from(grid.cell_id), length),
        PuschWaveform::CpOfdm => {
            // Counted from the carrier's first block.
            let skipped = 6 * usize::from(first);
            let c_init = nr::pusch_dmrs_c_init(grid.cell_id, grid.slot, l);
            let bits = pseudo_random::bits(c_init, 2 * (skipped + length));
            let part = |bit: u8| if bit == 0 { FRAC_1_SQRT_2 } else { -FRAC_1_SQRT_2 };
            bits[2 * skipped..].chunks(2).map(|pair| Complex::new(part(pair[0]), part(pair[1]))).collect()
        }
    }
}

/// A slot of a PUSCH on blocks `first` to `first + count`, mapping type A; reference signals of type 1 in the symbols
/// `dmrs`, on every other subcarrier, with nothing between them. TS 38.211 clauses 6.3.1 and 6.4.1.1.3.
pub fn pusch_slot(
    grid: &Grid,
    (first, count): (u16, u16),
    waveform: PuschWaveform,
    modulation: Modulation,
    dmrs: &[usize],
    rng: &mut impl Rng,
) -> OfdmBurst {
    let subcarriers = usize::from(count) * nr::RB_SUBCARRIERS;
    let fft = FftPlanner::<f64>::new().plan_fft_forward(subcarriers);
    let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
    let place = (block_first_hz(grid.spacing, first, grid.carrier_blocks), grid.spacing.hz());
    let symbols = (0..nr::SLOT_SYMBOLS)
        .map(|l| {
            let values: Vec<Complex<f64>> = if dmrs.contains(&l) {
                let signal = pusch_reference(grid, (first, count), waveform, l as u32);
                // The power of the empty subcarriers goes to the others. TS 38.214 clause 6.2.2.
                signal.iter().flat_map(|x| [x * 2f64.sqrt(), Complex::ZERO]).collect()
            } else {
                let mut data: Vec<Complex<f64>> =
                    (0..subcarriers).map(|_| Complex::new(modulation.level(rng), modulation.level(rng))).collect();
                if waveform == PuschWaveform::DftSOfdm {
                    fft.process_with_scratch(&mut data, &mut scratch);
                    data.iter_mut().for_each(|x| *x /= (subcarriers as f64).sqrt());
                }
                data
            };
            grid.symbol(0.0, l as u32, place, scaled(&values, Complex::ONE))
        })
        .collect();
    OfdmBurst { symbols }
}

/// One hop of a PUCCH format 1 that fills a slot: symbols 0 to 6 (`second` false) or 7 to 13, on one block; time 0 is
/// the start of the slot's first or eighth symbol. Its base sequence is turned by so many twelfths in each symbol of the
/// slot; reference signals are in those of even number. Orthogonal sequence 0. TS 38.211 clauses 6.3.2.4 and 6.4.1.3.1.
pub fn pucch1_hop(grid: &Grid, block: u16, second: bool, shifts: [usize; nr::SLOT_SYMBOLS], ack: bool) -> OfdmBurst {
    let place = (block_first_hz(grid.spacing, block, grid.carrier_blocks), grid.spacing.hz());
    let base = base_sequence(usize::from(grid.cell_id), nr::RB_SUBCARRIERS);
    let data = if ack { -FRAC_1_SQRT_2 } else { FRAC_1_SQRT_2 };
    let half = nr::SLOT_SYMBOLS / 2;
    let mut symbols: Vec<OfdmSymbol> = (0..half)
        .map(|l| if second { l + half } else { l })
        .map(|l| {
            let value = if l % 2 == 0 { Complex::ONE } else { Complex::new(data, data) };
            let turned: Vec<Complex<f64>> = base
                .iter()
                .enumerate()
                .map(|(n, x)| x * Complex::cis(TAU * ((shifts[l] * n) % 12) as f64 / 12.0))
                .collect();
            grid.symbol(0.0, l as u32, place, scaled(&turned, value))
        })
        .collect();
    let start_s = symbols[0].start_s;
    symbols.iter_mut().for_each(|symbol| symbol.shift(-start_s));
    OfdmBurst { symbols }
}

/// A sounding in symbol `l` of a slot on every other subcarrier (from the `comb`th on) of blocks `first` to
/// `first + count`, turned by `shift` eighths; time 0 is its start. TS 38.211 clause 6.4.1.4.
pub fn srs(grid: &Grid, (first, count): (u16, u16), l: u32, comb: u8, shift: usize) -> OfdmBurst {
    let length = usize::from(count) * nr::RB_SUBCARRIERS / 2;
    let hz = grid.spacing.hz();
    let place = (block_first_hz(grid.spacing, first, grid.carrier_blocks) + f64::from(comb % 2) * hz, 2.0 * hz);
    let turned = |(n, x): (usize, &Complex<f64>)| x * Complex::cis(TAU * ((shift * n) % 8) as f64 / 8.0);
    let sequence: Vec<Complex<f64>> =
        base_sequence(usize::from(grid.cell_id), length).iter().enumerate().map(turned).collect();
    let mut symbol = grid.symbol(0.0, l, place, scaled(&sequence, Complex::ONE));
    symbol.shift(-symbol.start_s);
    OfdmBurst { symbols: vec![symbol] }
}

/// `count` symbols of a downlink from the start of `grid.slot` on, which may go on through the next slots: QPSK on
/// blocks `first` to `first + blocks` of each slot, and on none elsewhere. Power is 1 where the carrier is full.
pub fn downlink(grid: &Grid, count: u32, loads: &[(u16, u16)], rng: &mut impl Rng) -> OfdmBurst {
    let full = (f64::from(grid.carrier_blocks) * nr::RB_SUBCARRIERS as f64).sqrt();
    let slot_s = f64::from(grid.spacing.slot_ts()) / cellwarden_standards::lte::TS_PER_SECOND;
    let symbols = (0..count)
        .map(|n| {
            let (slot, l) = (n / nr::SLOT_SYMBOLS as u32, n % nr::SLOT_SYMBOLS as u32);
            let (first, blocks) = loads[slot as usize % loads.len()];
            let mut amplitude = || (Modulation::Qpsk.level(rng) / full) as f32;
            let subcarriers = usize::from(blocks) * nr::RB_SUBCARRIERS;
            let amplitudes = (0..subcarriers).map(|_| Complex32::new(amplitude(), amplitude())).collect();
            let place = (block_first_hz(grid.spacing, first, grid.carrier_blocks), grid.spacing.hz());
            Grid { slot: grid.slot + slot, ..*grid }.symbol(f64::from(slot) * slot_s, l, place, amplitudes)
        })
        .collect();
    OfdmBurst { symbols }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wave::rendered;
    use cellwarden_standards::nr::NrPrachFormat;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const TS: f64 = 1.0 / 30.72e6;

    fn power(x: &[Complex<f64>]) -> f64 {
        x.iter().map(|x| x.norm_sqr()).sum::<f64>() / x.len() as f64
    }

    /// Subcarriers of a symbol by a Fourier transform over its body, 1024 of 30 kHz from the carrier's lower edge up.
    fn subcarriers(burst: &OfdmBurst, l: usize, carrier_blocks: u16) -> Vec<Complex<f64>> {
        let (rate, n) = (30.72e6, 1024);
        let symbol = &burst.symbols[l];
        let edge_hz = block_first_hz(Spacing::Khz30, 0, carrier_blocks);
        // Not into the fade at the end: the body is periodic, so half the prefix earlier does as well.
        let early = 16;
        let mut x = rendered(burst, symbol.reference_s - f64::from(early) * TS, rate, n);
        for (i, x) in x.iter_mut().enumerate() {
            *x *= Complex::cis(-TAU * (edge_hz * (i as f64 - f64::from(early)) / rate).rem_euclid(1.0));
        }
        x.rotate_left(early as usize);
        let fft = FftPlanner::<f64>::new().plan_fft_forward(n);
        let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
        fft.process_with_scratch(&mut x, &mut scratch);
        x.iter().map(|x| x / n as f64).collect()
    }

    fn grid(carrier_blocks: u16) -> Grid {
        Grid { spacing: Spacing::Khz30, carrier_blocks, carrier_hz: 3.5e9 + 12_345.0, cell_id: 321, slot: 9 }
    }

    #[test]
    fn short_preambles_repeat_and_correlate_with_their_root() {
        for (format, spacing) in [
            (NrPrachFormat::B4, Spacing::Khz30),
            (NrPrachFormat::A1, Spacing::Khz15),
            (NrPrachFormat::C0, Spacing::Khz30),
            (NrPrachFormat::C2, Spacing::Khz15),
            (NrPrachFormat::Long3, Spacing::Khz30),
            (NrPrachFormat::Long2, Spacing::Khz15),
        ] {
            let preamble = format.preamble(spacing);
            let (root, shift) = (17, 46);
            let burst = prach(&preamble, preamble.cp_ts, (root, shift), -500e3);
            assert!((burst.seconds() - f64::from(preamble.cp_ts + preamble.body_ts()) * TS).abs() < 1e-12);
            let n_zc = usize::from(preamble.n_zc);
            let rate = n_zc as f64 * preamble.spacing_hz;
            for repeat in 0..preamble.repeats {
                let from_s = f64::from(preamble.cp_ts + repeat * preamble.sequence_ts) * TS;
                let x = rendered(&burst, from_s, rate, n_zc - 4);
                let score = |shift: usize| {
                    let sum: Complex<f64> = x
                        .iter()
                        .enumerate()
                        .map(|(i, x)| {
                            let n = (i + shift) % n_zc;
                            let chip = Complex::cis(-PI * ((root * n * (n + 1)) % (2 * n_zc)) as f64 / n_zc as f64);
                            x * chip.conj() * Complex::cis(TAU * 500e3 * (from_s + i as f64 / rate))
                        })
                        .sum();
                    sum.norm() / x.len() as f64
                };
                assert!(score(shift) > 0.98, "{format:?} {repeat}: {}", score(shift));
                assert!(score(shift + 1) < 0.15, "{format:?} {repeat}");
            }
            assert!((power(&rendered(&burst, 0.0, 4.0 * rate, 4 * n_zc)) - 1.0).abs() < 0.05);
        }
    }

    #[test]
    fn symbols_and_prefixes_have_their_lengths() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (spacing, slot, lengths) in
            [(Spacing::Khz30, 3, [88, 72]), (Spacing::Khz15, 3, [160, 144]), (Spacing::Khz15, 0, [160, 144])]
        {
            let grid = Grid { spacing, slot, ..grid(24) };
            let burst = pusch_slot(&grid, (3, 5), PuschWaveform::CpOfdm, Modulation::Qpsk, &[2], &mut rng);
            assert!((burst.seconds() - f64::from(spacing.slot_ts()) * TS).abs() < 1e-12);
            for (l, symbol) in burst.symbols.iter().enumerate() {
                let longer = l == 0 || (spacing == Spacing::Khz15 && l == 7);
                let cp_s = f64::from(lengths[usize::from(!longer)]) * TS;
                assert!((symbol.reference_s - symbol.start_s - cp_s).abs() < 1e-12, "{spacing:?} {l}");
                assert!((symbol.end_s - symbol.reference_s - 1.0 / spacing.hz()).abs() < 1e-12);
                // The prefix is cyclic, and not turned: NR has no half subcarrier.
                let a = rendered(&burst, symbol.start_s + 1e-6, 30.72e6, 24);
                let b = rendered(&burst, symbol.start_s + 1e-6 + 1.0 / spacing.hz(), 30.72e6, 24);
                let sum: Complex<f64> = a.iter().zip(&b).map(|(a, b)| a.conj() * b).sum();
                assert!(sum.re / 24.0 / power(&a) > 0.99, "{spacing:?} {l}");
            }
        }
    }

    #[test]
    fn reference_signals_lie_on_every_other_subcarrier() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let grid = grid(51);
        for (waveform, blocks) in [
            (PuschWaveform::CpOfdm, (7, 11)),
            (PuschWaveform::DftSOfdm, (7, 1)),
            (PuschWaveform::DftSOfdm, (20, 5)),
            (PuschWaveform::DftSOfdm, (0, 50)),
        ] {
            let dmrs = nr::PUSCH_DMRS_SYMBOLS[1];
            let burst = pusch_slot(&grid, blocks, waveform, Modulation::Qam16, dmrs, &mut rng);
            let (first, count) = (12 * usize::from(blocks.0), 12 * usize::from(blocks.1));
            for l in 0..14 {
                let all = subcarriers(&burst, l, 51);
                let inside: f64 = all[first..first + count].iter().map(|x| x.norm_sqr()).sum();
                let whole: f64 = all.iter().map(|x| x.norm_sqr()).sum();
                assert!(inside / whole > 0.999, "{waveform:?} {l}: {}", inside / whole);
                assert!((whole - 1.0).abs() < if dmrs.contains(&l) { 1e-3 } else { 0.5 }, "{waveform:?} {l}: {whole}");
                if dmrs.contains(&l) {
                    let signal = pusch_reference(&grid, blocks, waveform, l as u32);
                    let odd: f64 = all[first + 1..first + count].iter().step_by(2).map(|x| x.norm_sqr()).sum();
                    let even = all[first..first + count].iter().step_by(2);
                    let sum: Complex<f64> = even.zip(&signal).map(|(x, r)| x * r.conj()).sum();
                    let expected = (signal.len() as f64).sqrt();
                    assert!(odd < 1e-4 && (sum.norm() - expected).abs() < 1e-3 * expected, "{waveform:?} {l}");
                }
            }
        }
    }

    #[test]
    fn uplink_waveforms_differ_in_their_peaks() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let high = |waveform, rng: &mut ChaCha8Rng| {
            let mut over = 0;
            for _ in 0..20 {
                let burst = pusch_slot(&grid(51), (0, 50), waveform, Modulation::Qpsk, &[], rng);
                let x = rendered(&burst, 0.0, 61.44e6, 30_000);
                over += x.iter().filter(|x| x.norm_sqr() > 4.5).count();
            }
            over
        };
        let (ofdm, spread) = (high(PuschWaveform::CpOfdm, &mut rng), high(PuschWaveform::DftSOfdm, &mut rng));
        // Of a normal signal, exp(-4.5) of the samples.
        assert!((5500..7900).contains(&ofdm) && spread < ofdm / 5, "{ofdm} and {spread} of 600,000");
    }

    #[test]
    fn soundings_are_one_symbol_on_a_comb() {
        let burst = srs(&grid(51), (0, 48), 13, 1, 3);
        assert!((burst.seconds() - (72.0 + 1024.0) * TS).abs() < 1e-12);
        let all = subcarriers(&burst, 0, 51);
        assert!(all.iter().take(576).step_by(2).all(|x| x.norm_sqr() < 1e-7));
        let own: Vec<f64> = all.iter().take(576).skip(1).step_by(2).map(|x| x.norm_sqr() * 288.0).collect();
        assert!(own.iter().all(|p| (p - 1.0).abs() < 0.01), "{own:?}");
    }

    #[test]
    fn control_channels_are_one_block_of_a_turned_sequence() {
        let grid = grid(51);
        let shifts = nr::pucch_shifts(grid.cell_id, grid.slot);
        for (second, block) in [(false, 3), (true, 47)] {
            let burst = pucch1_hop(&grid, block, second, shifts, true);
            let lengths = if second { 7.0 * 1096.0 } else { 7.0 * 1096.0 + 16.0 };
            assert!((burst.seconds() - lengths * TS).abs() < 1e-9);
            for l in 0..7 {
                let all = subcarriers(&burst, l, 51);
                let first = 12 * usize::from(block);
                let own: Vec<Complex<f64>> = all[first..first + 12].to_vec();
                assert!((own.iter().map(|x| x.norm_sqr()).sum::<f64>() - 1.0).abs() < 1e-3, "{second} {l}");
                // The base sequence and the symbol's own shift, and no other.
                let base = base_sequence(usize::from(grid.cell_id), 12);
                let score = |shift: usize| {
                    let turn = |n: usize| Complex::cis(-TAU * ((shift * n) % 12) as f64 / 12.0);
                    own.iter().zip(&base).enumerate().map(|(n, (x, r))| x * r.conj() * turn(n)).sum::<Complex<f64>>()
                };
                let symbol = if second { l + 7 } else { l };
                assert!(score(shifts[symbol]).norm() > 3.46, "{second} {l}: {}", score(shifts[symbol]).norm());
                assert!(score(shifts[symbol] + 1).norm() < 0.01);
            }
        }
    }

    #[test]
    fn downlinks_fill_what_is_loaded() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let grid = Grid { slot: 0, ..grid(51) };
        let burst = downlink(&grid, 3 * 14 + 10, &[(0, 51), (10, 20), (0, 51), (0, 25)], &mut rng);
        assert!((burst.seconds() - (3.0 * 15360.0 + f64::from(Spacing::Khz30.symbol_start_ts(10))) * TS).abs() < 1e-9);
        let level = |from_s: f64| power(&rendered(&burst, from_s, 61.44e6, 20_000));
        assert!((level(50e-6) - 1.0).abs() < 0.05 && (level(550e-6) - 20.0 / 51.0).abs() < 0.05);
        // Slots join where they should: the third begins with a longer prefix.
        assert!((burst.symbols[28].start_s - 1e-3).abs() < 1e-12);
        assert!((burst.symbols[28].reference_s - 1e-3 - 88.0 * TS).abs() < 1e-12);
    }
}
