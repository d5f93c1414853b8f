//! NB-IoT uplink in paired spectrum: random access, resource units, reference signals.

use crate::lte_phi::DMRS_PHI_12;
use crate::pseudo_random;

/// Width of the carrier in hertz.
pub const CARRIER_HZ: f64 = 180e3;
/// Spacing of the subcarriers of the random access, and of a narrow single tone, in hertz. TS 36.211 Table 10.1.6.2-1.
pub const NARROW_HZ: f64 = 3750.0;
/// Subcarriers of 3.75 kHz in the carrier. TS 36.211 Table 10.1.2.1-1.
pub const NARROW_SUBCARRIERS: u8 = 48;
/// Ts of a symbol group's five symbols. TS 36.211 Table 10.1.6.1-1.
pub const NPRACH_SEQUENCE_TS: u32 = 5 * 8192;
/// Symbol groups of a repetition. TS 36.211 Table 10.1.6.1-1.
pub const NPRACH_GROUPS: usize = 4;
/// Subcarriers that a preamble hops over. TS 36.211 clause 10.1.6.1.
pub const NPRACH_HOP_SUBCARRIERS: u8 = 12;
/// Repetitions after which a gap comes. TS 36.211 clause 10.1.6.1.
pub const NPRACH_GAP_AFTER: usize = 64;
/// The gap, in milliseconds, of preambles and of NPUSCH alike. TS 36.211 clauses 10.1.3.6 and 10.1.6.1.
pub const GAP_MS: u32 = 40;
/// Milliseconds of NPUSCH after which a gap comes. TS 36.211 clause 10.1.3.6.
pub const NPUSCH_GAP_AFTER_MS: u32 = 256;

/// nprach-Periodicity in milliseconds. TS 36.331 clause 6.7.3.2.
pub const NPRACH_PERIODS_MS: [u16; 8] = [40, 80, 160, 240, 320, 640, 1280, 2560];
/// nprach-StartTime in milliseconds. TS 36.331 clause 6.7.3.2.
pub const NPRACH_STARTS_MS: [u16; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];
/// nprach-SubcarrierOffset. TS 36.331 clause 6.7.3.2.
pub const NPRACH_OFFSETS: [u8; 7] = [0, 12, 24, 36, 2, 18, 34];
/// nprach-NumSubcarriers. TS 36.331 clause 6.7.3.2.
pub const NPRACH_SUBCARRIERS: [u8; 4] = [12, 24, 36, 48];
/// Repetitions of a preamble or an NPUSCH. TS 36.331 clause 6.7.3.2, TS 36.213 Table 16.5.1.1-3.
pub const REPETITIONS: [u16; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Ts of a symbol group's cyclic prefix, preamble format 0 or 1. TS 36.211 Table 10.1.6.1-1.
pub const fn nprach_cp_ts(format: u8) -> u32 {
    if format == 0 { 2048 } else { 8192 }
}

/// Subcarriers (0..48) of the symbol groups of `repetitions` of a preamble that begins on subcarrier `first` of those
/// that lie from `offset` on.
///
/// # Source
/// 3GPP TS 36.211 clause 10.1.6.1, preamble formats 0 and 1 of frame structure 1.
pub fn nprach_subcarriers(cell_id: u16, offset: u8, first: u8, repetitions: usize) -> Vec<u8> {
    const N: u32 = NPRACH_HOP_SUBCARRIERS as u32;
    let c = pseudo_random::bits(u32::from(cell_id), 10 * (repetitions + 1));
    let start = u32::from(offset) + u32::from(first) / N * N;
    let mut out: Vec<u32> = Vec::with_capacity(NPRACH_GROUPS * repetitions);
    let mut f = 0;
    for t in 0..repetitions {
        f = (f + pseudo_random::number(&c[10 * t + 1..10 * t + 10]) % (N - 1) + 1) % N;
        // The first group of the first repetition does not hop.
        let a = if t == 0 { u32::from(first) % N } else { (u32::from(first) % N + f) % N };
        let step = |n: u32| if n % 2 == 0 { n + 1 } else { n - 1 };
        let b = step(a);
        let c = if b < 6 { b + 6 } else { b - 6 };
        out.extend([a, b, c, step(c)]);
    }
    out.into_iter().map(|n| (start + n) as u8).collect()
}

/// What an NPUSCH lies on: so many subcarriers of one spacing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tones {
    /// One of 3.75 kHz.
    Narrow,
    /// One, three, six or twelve of 15 kHz.
    Wide(u8),
}

impl Tones {
    /// Subcarriers.
    pub const fn count(self) -> u8 {
        match self {
            Self::Narrow => 1,
            Self::Wide(count) => count,
        }
    }

    /// Spacing in hertz.
    pub const fn spacing_hz(self) -> f64 {
        match self {
            Self::Narrow => NARROW_HZ,
            Self::Wide(_) => 15e3,
        }
    }

    /// Subcarriers of its spacing in the carrier.
    pub const fn carrier_subcarriers(self) -> u8 {
        match self {
            Self::Narrow => NARROW_SUBCARRIERS,
            Self::Wide(_) => 12,
        }
    }

    /// Slots of a resource unit, NPUSCH format 1. TS 36.211 Table 10.1.2.3-1.
    pub const fn unit_slots(self) -> u32 {
        match self {
            Self::Narrow | Self::Wide(1) => 16,
            Self::Wide(3) => 8,
            Self::Wide(6) => 4,
            Self::Wide(_) => 2,
        }
    }

    /// Ts of a slot. TS 36.211 Table 10.1.2.1-1.
    pub const fn slot_ts(self) -> u32 {
        match self {
            Self::Narrow => 61440,
            Self::Wide(_) => 15360,
        }
    }

    /// Ts of a symbol without its cyclic prefix. TS 36.211 Table 10.1.5-1.
    pub const fn symbol_ts(self) -> u32 {
        match self {
            Self::Narrow => 8192,
            Self::Wide(_) => 2048,
        }
    }

    /// Ts of the cyclic prefix of symbol `l` of a slot. TS 36.211 Table 10.1.5-1.
    pub const fn cp_ts(self, l: usize) -> u32 {
        match self {
            Self::Narrow => 256,
            Self::Wide(_) => crate::lte::cp_ts(l),
        }
    }

    /// Start of symbol `l` of a slot, in Ts. After the last of 3.75 kHz, 2304 Ts are silent. TS 36.211 clause 10.1.5.
    pub const fn symbol_start_ts(self, l: usize) -> u32 {
        match self {
            Self::Narrow => l as u32 * (8192 + 256),
            Self::Wide(_) => crate::lte::symbol_start_ts(l),
        }
    }

    /// The symbol of a slot with the reference signal, NPUSCH format 1. TS 36.211 Table 10.1.4.2-1.
    pub const fn dmrs_symbol(self) -> usize {
        match self {
            Self::Narrow => 4,
            Self::Wide(_) => 3,
        }
    }

    /// Slots that are sent several times in a row before the next, and how often. TS 36.211 clause 10.1.3.6.
    pub const fn identical(self, repetitions: u16) -> (u32, u32) {
        match self {
            Self::Narrow => (1, 1),
            Self::Wide(1) => (2, 1),
            Self::Wide(_) => {
                let half = repetitions.div_ceil(2) as u32;
                (2, if half < 4 { half } else { 4 })
            }
        }
    }
}

/// Signs of the reference signal of a single tone, one per slot: c(n) w(n mod 16) as +1 or -1. TS 36.211 clause
/// 10.1.4.1.1, without group hopping.
pub fn single_tone_dmrs(cell_id: u16, slots: usize) -> Vec<i8> {
    let u = u32::from(cell_id % 16);
    let c = pseudo_random::bits(35, slots);
    // Row u of the Hadamard matrix: Table 10.1.4.1.1-1.
    let w = |n: u32| (u & n).count_ones() % 2;
    (0..).zip(c).map(|(n, c)| if w(n % 16) == u32::from(c) { 1 } else { -1 }).collect()
}

/// Reference signal of several tones: exp(j p pi / 4), no cyclic shift, no group hopping.
///
/// # Source
/// 3GPP TS 36.211 Tables 10.1.4.1.2-1 (three tones), 10.1.4.1.2-2 (six) and 5.5.1.2-1 (twelve).
pub fn multi_tone_dmrs(cell_id: u16, tones: u8) -> &'static [i8] {
    const PHI_3: [[i8; 3]; 12] = [
        [1, -3, -3],
        [1, -3, -1],
        [1, -3, 3],
        [1, -1, -1],
        [1, -1, 1],
        [1, -1, 3],
        [1, 1, -3],
        [1, 1, -1],
        [1, 1, 3],
        [1, 3, -1],
        [1, 3, 1],
        [1, 3, 3],
    ];
    const PHI_6: [[i8; 6]; 14] = [
        [1, 1, 1, 1, 3, -3],
        [1, 1, 3, 1, -3, 3],
        [1, -1, -1, -1, 1, -3],
        [1, -1, 3, -3, -1, -1],
        [1, 3, 1, -1, -1, 3],
        [1, -3, -3, 1, 3, 1],
        [-1, -1, 1, -3, -3, -1],
        [-1, -1, -1, 3, -3, -1],
        [3, -1, 1, -3, -3, 3],
        [3, -1, 3, -3, -1, 1],
        [3, -3, 3, -1, 3, 3],
        [-3, 1, 3, 1, -3, -1],
        [-3, 1, -3, 3, -3, -1],
        [-3, 3, -3, 1, 1, -3],
    ];
    let id = usize::from(cell_id);
    match tones {
        3 => &PHI_3[id % 12],
        6 => &PHI_6[id % 14],
        _ => &DMRS_PHI_12[id % 30],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preambles_hop_by_one_six_and_one() {
        for cell_id in [0, 1, 77, 503] {
            for first in 0..48 {
                let all = nprach_subcarriers(cell_id, 0, first, 64);
                assert_eq!((all.len(), all[0]), (256, first));
                let band = first / 12 * 12..first / 12 * 12 + 12;
                assert!(all.iter().all(|n| band.contains(n)));
                for group in all.chunks(4) {
                    let step = |i: usize| i16::from(group[i]) - i16::from(group[i - 1]);
                    assert!(step(1).abs() == 1 && step(2).abs() == 6 && step(3).abs() == 1, "{group:?}");
                    // The two small steps cancel, so that a receiver can tell delay from offset.
                    assert_eq!(step(1), -step(3), "{group:?}");
                }
                // Never on the same subcarrier in two repetitions that follow each other: f moves by 1 to 11.
                assert!(all.chunks(4).skip(1).map(|g| g[0]).zip(all.chunks(4).skip(2)).all(|(a, b)| a != b[0]));
            }
            // Two preambles never meet: the pattern moves all alike.
            let (a, b) = (nprach_subcarriers(cell_id, 0, 3, 32), nprach_subcarriers(cell_id, 0, 8, 32));
            assert!(a.iter().zip(&b).all(|(a, b)| a != b));
        }
        assert!(nprach_subcarriers(1, 34, 11, 8).iter().all(|n| (34..46).contains(n)));
        assert_ne!(nprach_subcarriers(1, 0, 0, 16), nprach_subcarriers(2, 0, 0, 16));
    }

    #[test]
    fn repetitions_hop_as_the_formula_says() {
        // f(t) by the clause's own recursion, n~(4t) = (n~(0) + f(t)) mod 12.
        let (cell_id, first) = (101, 5);
        let c = pseudo_random::bits(cell_id, 400);
        let f = |t: usize| {
            (0..=t).fold(0u32, |f, t| {
                let sum: u32 = (10 * t + 1..=10 * t + 9).map(|n| u32::from(c[n]) << (n - (10 * t + 1))).sum();
                (f + sum % 11 + 1) % 12
            })
        };
        let all = nprach_subcarriers(cell_id as u16, 0, first, 30);
        for t in 1..30 {
            assert_eq!(u32::from(all[4 * t]), (u32::from(first) + f(t)) % 12, "{t}");
        }
    }

    #[test]
    fn slots_and_units_last_as_long_as_the_tables_say() {
        for (tones, unit_ms) in
            [(Tones::Narrow, 32), (Tones::Wide(1), 8), (Tones::Wide(3), 4), (Tones::Wide(6), 2), (Tones::Wide(12), 1)]
        {
            assert_eq!(tones.unit_slots() * tones.slot_ts(), unit_ms * 30720, "{tones:?}");
            let end = tones.symbol_start_ts(6) + tones.cp_ts(6) + tones.symbol_ts();
            assert_eq!(tones.slot_ts() - end, if tones == Tones::Narrow { 2304 } else { 0 });
            assert!((tones.spacing_hz() * f64::from(tones.symbol_ts()) - 30.72e6).abs() < 1e-6);
        }
        // 5.6 and 6.4 ms a repetition.
        assert_eq!(4 * (nprach_cp_ts(0) + NPRACH_SEQUENCE_TS), 172_032);
        assert_eq!(4 * (nprach_cp_ts(1) + NPRACH_SEQUENCE_TS), 196_608);
        assert_eq!(Tones::Wide(3).identical(8), (2, 4));
        assert_eq!(Tones::Wide(12).identical(2), (2, 1));
    }

    #[test]
    fn reference_signals_are_distinct() {
        let all: Vec<_> = (0..16).map(|id| single_tone_dmrs(id, 32)).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[..i] {
                let sum: i32 = a.iter().zip(b).map(|(a, b)| i32::from(a * b)).sum();
                assert_eq!(sum, 0, "rows of a Hadamard matrix");
            }
        }
        assert_eq!(multi_tone_dmrs(7, 3), [1, 1, -1]);
        assert_eq!(multi_tone_dmrs(15, 6), [1, 1, 3, 1, -3, 3]);
        assert_eq!(multi_tone_dmrs(0, 12).len(), 12);
    }
}
