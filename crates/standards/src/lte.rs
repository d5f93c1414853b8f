//! LTE uplink: timing, resource grid, PRACH, reference signals.

pub use crate::lte_phi::{DMRS_PHI_12, DMRS_PHI_24};
pub use crate::lte_uplink::*;
pub use crate::prach_roots::{PRACH_ROOTS_139, PRACH_ROOTS_839};

/// Basic time units per second; Ts = 1/30.72 MHz. TS 36.211 clause 4.
pub const TS_PER_SECOND: f64 = 30.72e6;
/// Subcarrier spacing in hertz. TS 36.211 Table 5.2.3-1.
pub const SUBCARRIER_HZ: f64 = 15e3;
/// The uplink grid lies half a subcarrier above the carrier. TS 36.211 clause 5.6.
pub const HALF_CARRIER_HZ: f64 = 7.5e3;
/// Ts of a symbol without its cyclic prefix. TS 36.211 clause 5.6.
pub const SYMBOL_TS: u32 = 2048;
/// Ts of the cyclic prefix of a slot's first symbol. TS 36.211 Table 5.6-1.
pub const CP_FIRST_TS: u32 = 160;
/// Ts of the cyclic prefix of a slot's other symbols. TS 36.211 Table 5.6-1.
pub const CP_OTHER_TS: u32 = 144;
/// Ts of the extended cyclic prefix. TS 36.211 Table 5.6-1.
pub const CP_EXTENDED_TS: u32 = 512;
/// Symbols of a slot with normal cyclic prefix. TS 36.211 Table 5.2.3-1.
pub const SLOT_SYMBOLS: usize = 7;
/// Ts of a slot. TS 36.211 clause 4.1.
pub const SLOT_TS: u32 = 15360;
/// Ts of a subframe. TS 36.211 clause 4.1.
pub const SUBFRAME_TS: u32 = 30720;
/// A slot in seconds.
pub const SLOT_S: f64 = SLOT_TS as f64 / TS_PER_SECOND;
/// A subframe in seconds.
pub const SUBFRAME_S: f64 = SUBFRAME_TS as f64 / TS_PER_SECOND;
/// Subcarriers of a resource block. TS 36.211 Table 5.2.3-1.
pub const RB_SUBCARRIERS: usize = 12;
/// Width of a resource block in hertz.
pub const RB_HZ: f64 = 180e3;
/// The symbol of each slot that carries the PUSCH's reference signal. TS 36.211 clause 5.5.2.1.2.
pub const PUSCH_DMRS_SYMBOL: usize = 3;
/// The symbols of each slot that carry the reference signal of PUCCH format 1. TS 36.211 Table 5.5.2.2.2-1.
pub const PUCCH1_DMRS_SYMBOLS: [usize; 3] = [2, 3, 4];
/// Resource blocks of each channel bandwidth, in hertz. TS 36.101 Table 5.6-1.
pub const CARRIERS: [(f64, u16); 6] = [(1.4e6, 6), (3e6, 15), (5e6, 25), (10e6, 50), (15e6, 75), (20e6, 100)];

/// Start of symbol `index` (0..7, at its cyclic prefix) within a slot, in Ts. TS 36.211 clause 5.6.
pub const fn symbol_start_ts(index: usize) -> u32 {
    let extra = if index > 0 { CP_FIRST_TS - CP_OTHER_TS } else { 0 };
    index as u32 * (SYMBOL_TS + CP_OTHER_TS) + extra
}

/// Cyclic prefix of symbol `index` (0..7) of a slot, in Ts. TS 36.211 Table 5.6-1.
pub const fn cp_ts(index: usize) -> u32 {
    if index == 0 { CP_FIRST_TS } else { CP_OTHER_TS }
}

/// Resource blocks a carrier of this width has, if it is one of LTE's.
pub fn carrier_blocks(bandwidth_hz: f64) -> Option<u16> {
    CARRIERS.iter().find(|(hz, _)| (hz - bandwidth_hz).abs() < 1e3).map(|&(_, blocks)| blocks)
}

/// Whether a PUSCH may have this many resource blocks: 2^a 3^b 5^c. TS 36.211 clause 5.3.3.
pub const fn is_pusch_size(blocks: u16) -> bool {
    let mut rest = blocks;
    if rest == 0 || rest > 110 {
        return false;
    }
    while rest % 2 == 0 {
        rest /= 2;
    }
    while rest % 3 == 0 {
        rest /= 3;
    }
    while rest % 5 == 0 {
        rest /= 5;
    }
    rest == 1
}

/// Every PUSCH size of at most `carrier_blocks` resource blocks, ascending.
pub fn pusch_sizes(carrier_blocks: u16) -> impl Iterator<Item = u16> {
    (1..=carrier_blocks).filter(|&n| is_pusch_size(n))
}

/// One PRACH preamble format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrachFormat {
    /// Number of the format.
    pub format: u8,
    /// Cyclic prefix, in Ts.
    pub cp_ts: u32,
    /// One repetition of the sequence, in Ts.
    pub sequence_ts: u32,
    /// How often the sequence repeats.
    pub repeats: u32,
    /// Length of the Zadoff-Chu sequence.
    pub n_zc: u16,
    /// Subcarrier spacing in hertz.
    pub spacing_hz: f64,
    /// Offset phi of the first subcarrier, in subcarriers.
    pub phi: u32,
    /// Subframes the preamble takes with its guard time.
    pub subframes: u32,
}

impl PrachFormat {
    /// Length on air, guard time left out, in seconds.
    pub const fn seconds(&self) -> f64 {
        (self.cp_ts + self.sequence_ts * self.repeats) as f64 / TS_PER_SECOND
    }

    /// Duration of its sequence, once, in seconds.
    pub const fn sequence_seconds(&self) -> f64 {
        self.sequence_ts as f64 / TS_PER_SECOND
    }

    /// Frequency of the sequence's first subcarrier above the lower edge of the six resource blocks, in
    /// hertz: phi subcarriers and the half-carrier shift. TS 36.211 clause 5.7.3.
    pub fn first_subcarrier_hz(&self) -> f64 {
        f64::from(self.phi) * self.spacing_hz + HALF_CARRIER_HZ
    }
}

/// Preamble formats 0-4. TS 36.211 Tables 5.7.1-1, 5.7.2-1 and 5.7.3-1.
#[rustfmt::skip]
pub const PRACH_FORMATS: [PrachFormat; 5] = [
    PrachFormat { format: 0, cp_ts: 3168, sequence_ts: 24576, repeats: 1, n_zc: 839, spacing_hz: 1250.0, phi: 7, subframes: 1 },
    PrachFormat { format: 1, cp_ts: 21024, sequence_ts: 24576, repeats: 1, n_zc: 839, spacing_hz: 1250.0, phi: 7, subframes: 2 },
    PrachFormat { format: 2, cp_ts: 6240, sequence_ts: 24576, repeats: 2, n_zc: 839, spacing_hz: 1250.0, phi: 7, subframes: 2 },
    PrachFormat { format: 3, cp_ts: 21024, sequence_ts: 24576, repeats: 2, n_zc: 839, spacing_hz: 1250.0, phi: 7, subframes: 3 },
    PrachFormat { format: 4, cp_ts: 448, sequence_ts: 4096, repeats: 1, n_zc: 139, spacing_hz: 7500.0, phi: 2, subframes: 1 },
];

/// Length of the Zadoff-Chu sequence of formats 0-3. TS 36.211 Table 5.7.2-1.
pub const PRACH_N_ZC: u16 = 839;
/// Resource blocks of a PRACH. TS 36.211 clause 5.7.1.
pub const PRACH_BLOCKS: u16 = 6;
/// Width that is kept for a PRACH, in hertz.
pub const PRACH_HZ: f64 = 1.08e6;
/// Cyclic shift N_CS of the unrestricted set by zeroCorrelationZoneConfig. TS 36.211 Table 5.7.2-2.
pub const PRACH_N_CS: [u16; 16] = [0, 13, 15, 18, 22, 26, 32, 38, 46, 59, 76, 93, 119, 167, 279, 419];
/// Cyclic shift N_CS of the restricted set. TS 36.211 Table 5.7.2-2.
pub const PRACH_N_CS_RESTRICTED: [u16; 15] = [15, 18, 22, 26, 32, 38, 46, 55, 68, 82, 100, 128, 158, 202, 237];
/// Cyclic shift N_CS of preamble format 4. TS 36.211 Table 5.7.2-3.
pub const PRACH_N_CS_4: [u16; 7] = [2, 4, 6, 8, 10, 12, 15];

/// Groups of reference sequences, u = 0..30. TS 36.211 clause 5.5.1.
pub const DMRS_GROUPS: usize = 30;

/// Length of the Zadoff-Chu sequence under a reference signal of `subcarriers` (36 or more): the
/// largest prime below. TS 36.211 clause 5.5.1.1.
pub fn dmrs_n_zc(subcarriers: usize) -> usize {
    let is_prime = |n: usize| n > 1 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0);
    (2..subcarriers).rev().find(|&n| is_prime(n)).unwrap_or(2)
}

/// Root q of the base sequence of group `u` and number `v`. TS 36.211 clause 5.5.1.1.
pub fn dmrs_root(n_zc: usize, u: usize, v: usize) -> usize {
    let q_bar = n_zc as f64 * (u as f64 + 1.0) / 31.0;
    let sign = if (2.0 * q_bar).floor() as i64 % 2 == 0 { 1 } else { -1 };
    ((q_bar + 0.5).floor() as i64 + sign * v as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_permutations() {
        for (table, n) in [(&PRACH_ROOTS_839[..], 839u16), (&PRACH_ROOTS_139[..], 139)] {
            let mut sorted = table.to_vec();
            sorted.sort_unstable();
            assert!(sorted.iter().copied().eq(1..n));
        }
        assert_eq!(PRACH_ROOTS_839[..4], [129, 710, 140, 699]);
    }

    #[test]
    fn logical_roots_come_in_conjugate_pairs() {
        for pair in PRACH_ROOTS_839.chunks(2) {
            assert_eq!(pair[0] + pair[1], 839);
        }
    }

    #[test]
    fn slots_add_up() {
        assert_eq!(symbol_start_ts(6) + CP_OTHER_TS + SYMBOL_TS, SLOT_TS);
        assert_eq!(symbol_start_ts(1), CP_FIRST_TS + SYMBOL_TS);
        assert!((PRACH_FORMATS[0].seconds() - 903.125e-6).abs() < 1e-9);
        for f in PRACH_FORMATS {
            assert!((f.spacing_hz * f64::from(f.sequence_ts) / TS_PER_SECOND - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn preambles_sit_in_the_middle_of_their_blocks() {
        for f in PRACH_FORMATS {
            let last = f.first_subcarrier_hz() + f64::from(f.n_zc - 1) * f.spacing_hz;
            assert!((f.first_subcarrier_hz() + last - PRACH_HZ).abs() < 1e-6, "format {}", f.format);
        }
    }

    #[test]
    fn pusch_sizes_are_the_known_ones() {
        let sizes: Vec<u16> = pusch_sizes(100).collect();
        assert_eq!(sizes[..12], [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16]);
        assert_eq!(sizes.len(), 34);
        assert!(!is_pusch_size(7) && !is_pusch_size(98));
        assert_eq!(carrier_blocks(5e6), Some(25));
    }

    /// Short sequences must be nearly white in time: a wrong digit shows as a side lobe.
    #[test]
    fn short_reference_sequences_are_distinct_and_qpsk() {
        for u in 0..30 {
            assert!(DMRS_PHI_12[u].iter().chain(&DMRS_PHI_24[u]).all(|p| matches!(p.abs(), 1 | 3)));
            for w in 0..u {
                assert_ne!(DMRS_PHI_12[u], DMRS_PHI_12[w]);
                assert_ne!(DMRS_PHI_24[u], DMRS_PHI_24[w]);
            }
        }
    }

    #[test]
    fn long_reference_sequences_have_their_roots() {
        assert_eq!(dmrs_n_zc(36), 31);
        assert_eq!(dmrs_n_zc(72), 71);
        assert_eq!(dmrs_n_zc(300), 293);
        assert_eq!((dmrs_root(31, 0, 0), dmrs_root(31, 29, 0)), (1, 30));
        assert!((0..30).all(|u| (1..71).contains(&dmrs_root(71, u, 1))));
    }
}
