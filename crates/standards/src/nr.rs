//! NR in frequency range 1: timing, carriers, PRACH, reference signals.

pub use crate::low_papr::{PHI_6, PHI_12, PHI_18, PHI_24};
use crate::lte;
use crate::lte_uplink::preamble_of;
use crate::nr_prach::{PAIRED, UNPAIRED};
use crate::prach_roots::{PRACH_ROOTS_139, PRACH_ROOTS_839};
use crate::pseudo_random;

/// Symbols of a slot with normal cyclic prefix. TS 38.211 Table 4.3.2-1.
pub const SLOT_SYMBOLS: usize = 14;
/// Subcarriers of a resource block. TS 38.211 clause 4.4.4.1.
pub const RB_SUBCARRIERS: usize = 12;
/// Ts (1/30.72 MHz, kappa Tc) of a subframe. TS 38.211 clause 4.3.1.
pub const SUBFRAME_TS: u32 = 30720;
/// Ts of half a subframe, at whose ends cyclic prefixes are longer. TS 38.211 clause 5.3.1.
const HALF_TS: u32 = SUBFRAME_TS / 2;
/// What cyclic prefixes are longer there, in Ts. TS 38.211 clause 5.3.1.
const LONGER_TS: u32 = 16;
/// How much earlier than the downlink's frame a phone's begins in unpaired spectrum, in Ts: 25600 Tc. TS 38.133 Table
/// 7.1.2-2. Where LTE has the band too it is 0 (paired) or 39936 Tc (unpaired).
pub const TDD_ADVANCE_TS: u32 = 400;
/// Highest physical-layer cell identity. TS 38.211 clause 7.4.2.1.
pub const MAX_CELL_ID: u16 = 1007;

/// Subcarrier spacing of a carrier, or of a short preamble. TS 38.211 Table 4.2-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// 15 kHz.
    Khz15,
    /// 30 kHz.
    Khz30,
}

impl Spacing {
    /// The spacing nearest to `hz`, if it is one.
    pub fn of_hz(hz: f64) -> Option<Self> {
        [Self::Khz15, Self::Khz30].into_iter().find(|spacing| (spacing.hz() - hz).abs() < 1.0)
    }

    /// In hertz.
    pub const fn hz(self) -> f64 {
        match self {
            Self::Khz15 => 15e3,
            Self::Khz30 => 30e3,
        }
    }

    /// Slots of a subframe; also by how much symbols are shorter than those of 15 kHz.
    pub const fn slots(self) -> u32 {
        match self {
            Self::Khz15 => 1,
            Self::Khz30 => 2,
        }
    }

    /// Ts of a slot.
    pub const fn slot_ts(self) -> u32 {
        SUBFRAME_TS / self.slots()
    }

    /// Ts of a symbol without its cyclic prefix. TS 38.211 clause 5.3.1.
    pub const fn symbol_ts(self) -> u32 {
        lte::SYMBOL_TS / self.slots()
    }

    /// Ts of the cyclic prefix of symbol `index`, counted from the start of the subframe. TS 38.211 clause 5.3.1.
    pub const fn cp_ts(self, index: u32) -> u32 {
        let usual = lte::CP_OTHER_TS / self.slots();
        if index % (7 * self.slots()) == 0 { usual + LONGER_TS } else { usual }
    }

    /// Start of symbol `index` (at its cyclic prefix), counted from the start of the subframe, in Ts.
    pub const fn symbol_start_ts(self, index: u32) -> u32 {
        let usual = self.symbol_ts() + lte::CP_OTHER_TS / self.slots();
        index * usual + LONGER_TS * index.div_ceil(7 * self.slots())
    }

    /// Resource blocks of a channel bandwidth in hertz. TS 38.101-1 Table 5.3.2-1.
    pub fn carrier_blocks(self, bandwidth_hz: f64) -> Option<u16> {
        const KHZ15: [(u16, u16); 8] =
            [(5, 25), (10, 52), (15, 79), (20, 106), (25, 133), (30, 160), (40, 216), (50, 270)];
        #[rustfmt::skip]
        const KHZ30: [(u16, u16); 12] = [
            (5, 11), (10, 24), (15, 38), (20, 51), (30, 78), (40, 106), (50, 133), (60, 162), (70, 189), (80, 217),
            (90, 245), (100, 273),
        ];
        let rows: &[(u16, u16)] = match self {
            Self::Khz15 => &KHZ15,
            Self::Khz30 => &KHZ30,
        };
        rows.iter().find(|(mhz, _)| (f64::from(*mhz) * 1e6 - bandwidth_hz).abs() < 1e3).map(|&(_, blocks)| blocks)
    }
}

/// Most resource blocks of a carrier in frequency range 1.
pub const MOST_BLOCKS: u16 = 275;

/// Frequency of an NR-ARFCN, in hertz. TS 38.104 Table 5.4.2.1-1.
pub fn arfcn_hz(number: u32) -> Option<f64> {
    match number {
        0..600_000 => Some(f64::from(number) * 5e3),
        600_000..2_016_667 => Some(3e9 + f64::from(number - 600_000) * 15e3),
        _ => None,
    }
}

/// A preamble format, or a pair of them of which the last occasion of a slot has the second. TS 38.211 Tables 6.3.3.1-1
/// and -2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // they are called so
pub enum NrPrachFormat {
    Long0,
    Long1,
    Long2,
    Long3,
    A1,
    A2,
    A3,
    B1,
    B2,
    B3,
    B4,
    C0,
    C2,
    A1B1,
    A2B2,
    A3B3,
}

/// Length L_RA of a short preamble's sequence. TS 38.211 Table 6.3.3.1-2.
pub const SHORT_PRACH_N_ZC: u16 = 139;
/// Subcarriers of the blocks that a short preamble lies in, of its own spacing. TS 38.211 Table 6.3.3.2-1.
pub const SHORT_PRACH_SUBCARRIERS: u16 = 144;
/// Subcarriers of those below its first (k-bar). TS 38.211 Table 6.3.3.2-1.
pub const SHORT_PRACH_BELOW: u16 = 2;

impl NrPrachFormat {
    /// The short formats. TS 38.211 Table 6.3.3.1-2.
    pub const SHORT: [Self; 9] =
        [Self::A1, Self::A2, Self::A3, Self::B1, Self::B2, Self::B3, Self::B4, Self::C0, Self::C2];

    /// The standard's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Long0 => "0",
            Self::Long1 => "1",
            Self::Long2 => "2",
            Self::Long3 => "3",
            Self::A1 => "A1",
            Self::A2 => "A2",
            Self::A3 => "A3",
            Self::B1 => "B1",
            Self::B2 => "B2",
            Self::B3 => "B3",
            Self::B4 => "B4",
            Self::C0 => "C0",
            Self::C2 => "C2",
            Self::A1B1 => "A1/B1",
            Self::A2B2 => "A2/B2",
            Self::A3B3 => "A3/B3",
        }
    }

    /// The format on the last occasion of a slot, or on another one.
    pub const fn on_occasion(self, last: bool) -> Self {
        match (self, last) {
            (Self::A1B1, false) => Self::A1,
            (Self::A1B1, true) => Self::B1,
            (Self::A2B2, false) => Self::A2,
            (Self::A2B2, true) => Self::B2,
            (Self::A3B3, false) => Self::A3,
            (Self::A3B3, true) => Self::B3,
            _ => self,
        }
    }

    /// Whether it has 839 subcarriers rather than 139.
    pub const fn is_long(self) -> bool {
        matches!(self, Self::Long0 | Self::Long1 | Self::Long2 | Self::Long3)
    }

    /// What it looks like; short ones at `spacing`. Of a pair, the first.
    ///
    /// # Source
    /// 3GPP TS 38.211 Tables 6.3.3.1-1 and 6.3.3.1-2.
    pub const fn preamble(self, spacing: Spacing) -> NrPreamble {
        let (cp_ts, repeats) = match self {
            Self::Long0 => (3168, 1),
            Self::Long1 => (21024, 2),
            Self::Long2 => (4688, 4),
            Self::Long3 => (3168, 4),
            Self::A1 | Self::A1B1 => (288, 2),
            Self::A2 | Self::A2B2 => (576, 4),
            Self::A3 | Self::A3B3 => (864, 6),
            Self::B1 => (216, 2),
            Self::B2 => (360, 4),
            Self::B3 => (504, 6),
            Self::B4 => (936, 12),
            Self::C0 => (1240, 1),
            Self::C2 => (2048, 4),
        };
        match self {
            Self::Long0 | Self::Long1 | Self::Long2 => {
                NrPreamble { cp_ts, sequence_ts: 24576, repeats, n_zc: 839, spacing_hz: 1250.0 }
            }
            Self::Long3 => NrPreamble { cp_ts, sequence_ts: 6144, repeats, n_zc: 839, spacing_hz: 5000.0 },
            _ => {
                let (cp_ts, sequence_ts) = (cp_ts / spacing.slots(), spacing.symbol_ts());
                NrPreamble { cp_ts, sequence_ts, repeats, n_zc: 139, spacing_hz: spacing.hz() }
            }
        }
    }
}

/// Timing and width of a preamble.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NrPreamble {
    /// Cyclic prefix N_CP^RA, in Ts, not lengthened.
    pub cp_ts: u32,
    /// One repetition of the sequence, in Ts.
    pub sequence_ts: u32,
    /// How often the sequence repeats.
    pub repeats: u32,
    /// Length L_RA of the Zadoff-Chu sequence.
    pub n_zc: u16,
    /// Subcarrier spacing in hertz.
    pub spacing_hz: f64,
}

impl NrPreamble {
    /// N_u, in Ts.
    pub const fn body_ts(&self) -> u32 {
        self.sequence_ts * self.repeats
    }

    /// Cyclic prefix of a preamble that begins `start_ts` into a subframe: longer where a short one meets the start or
    /// the middle of the subframe. TS 38.211 clause 5.3.2.
    pub const fn cp_at_ts(&self, start_ts: u32) -> u32 {
        if self.n_zc == 839 {
            return self.cp_ts;
        }
        let end_ts = start_ts + self.cp_ts + self.body_ts();
        // The instants are 0 and half a subframe; a short preamble never reaches the next subframe's.
        let meets = (start_ts == 0) as u32 + (start_ts <= HALF_TS && HALF_TS < end_ts) as u32;
        self.cp_ts + LONGER_TS * meets
    }

    /// Resource blocks on a carrier of `spacing`, and k-bar: subcarriers of the preamble that stay empty below it.
    ///
    /// # Source
    /// 3GPP TS 38.211 Table 6.3.3.2-1.
    pub fn mapping(&self, spacing: Spacing) -> (u16, u16) {
        match (self.n_zc, self.spacing_hz as u32, spacing) {
            (839, 1250, Spacing::Khz15) => (6, 7),
            (839, 1250, Spacing::Khz30) => (3, 1),
            (839, _, Spacing::Khz15) => (24, 12),
            (839, _, Spacing::Khz30) => (12, 10),
            (_, 15_000, Spacing::Khz15) => (12, 2),
            (_, 15_000, Spacing::Khz30) => (6, 2),
            (_, _, Spacing::Khz15) => (24, 2),
            (_, _, Spacing::Khz30) => (12, 2),
        }
    }

    /// Root and cyclic shift of preamble `index` (0..64) of a cell. TS 38.211 clause 6.3.3.1.
    pub fn root_and_shift(&self, root_index: usize, n_cs: u16, index: usize) -> (usize, usize) {
        let roots: &[u16] = if self.n_zc == 839 { &PRACH_ROOTS_839 } else { &PRACH_ROOTS_139 };
        preamble_of(roots, self.n_zc, root_index, n_cs, index)
    }

    /// N_CS of the unrestricted set by zeroCorrelationZoneConfig. TS 38.211 Tables 6.3.3.1-5 to -7.
    pub const fn n_cs(&self) -> &'static [u16; 16] {
        const KHZ5: [u16; 16] = [0, 13, 26, 33, 38, 41, 49, 55, 64, 76, 93, 119, 139, 209, 279, 419];
        const SHORT: [u16; 16] = [0, 2, 4, 6, 8, 10, 12, 13, 15, 17, 19, 23, 27, 34, 46, 69];
        match (self.n_zc, self.sequence_ts) {
            (839, 24576) => &lte::PRACH_N_CS,
            (839, _) => &KHZ5,
            _ => &SHORT,
        }
    }
}

/// When a cell's preambles may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NrPrachConfiguration {
    /// Format, or pair of formats.
    pub format: NrPrachFormat,
    /// Every so many frames (x),
    pub period: u8,
    /// those whose number has this rest (y).
    pub frame: u8,
    /// Bit n: subframe n.
    pub subframes: u16,
    /// Starting symbol.
    pub start: u8,
    /// PRACH slots within a subframe.
    pub slots: u8,
    /// Occasions within a PRACH slot.
    pub occasions: u8,
    /// Symbols from one occasion to the next.
    pub symbols: u8,
}

/// One place in a subframe where a preamble may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NrOccasion {
    /// From the start of the subframe, in Ts.
    pub start_ts: u32,
    /// Which format: never a pair.
    pub format: NrPrachFormat,
}

/// The meaning of prach-ConfigurationIndex in frequency range 1. TS 38.211 Tables 6.3.3.2-2 (paired) and -3 (unpaired).
pub const fn prach_configuration(paired: bool, index: u8) -> NrPrachConfiguration {
    if paired { PAIRED[index as usize] } else { UNPAIRED[index as usize] }
}

impl NrPrachConfiguration {
    /// Whether a subframe, counted from the start of frame 0, has occasions.
    pub fn is_in(&self, subframe: i64) -> bool {
        let (frame, within) = (subframe.div_euclid(10), subframe.rem_euclid(10));
        frame.rem_euclid(i64::from(self.period)) == i64::from(self.frame) && self.subframes >> within & 1 == 1
    }

    /// The occasions in such a subframe; `spacing` is that of short preambles. TS 38.211 clause 5.3.2.
    pub fn occasions(&self, spacing: Spacing) -> Vec<NrOccasion> {
        let start = u32::from(self.start);
        if self.format.is_long() {
            return vec![NrOccasion { start_ts: Spacing::Khz15.symbol_start_ts(start), format: self.format }];
        }
        let slots = match (spacing, self.slots) {
            (Spacing::Khz15, _) => 0..1,
            (Spacing::Khz30, 1) => 1..2,
            (Spacing::Khz30, _) => 0..2,
        };
        let count = u32::from(self.occasions);
        slots
            .flat_map(|slot| (0..count).map(move |n| (slot, n)))
            .map(|(slot, n)| {
                let symbol = start + n * u32::from(self.symbols) + SLOT_SYMBOLS as u32 * slot;
                NrOccasion {
                    start_ts: spacing.symbol_start_ts(symbol),
                    format: self.format.on_occasion(n + 1 == count),
                }
            })
            .collect()
    }
}

/// The first symbols of a 14-symbol slot that carry the PUSCH's reference signal, of those that a carrier may have
/// (dmrs-TypeA-Position 2 or 3), alone and with the additional ones. TS 38.211 Table 6.4.1.1.3-3, mapping type A.
pub const PUSCH_DMRS_PATTERNS: [&[usize]; 5] = [&[2], &[3], &[2, 11], &[3, 11], &[2, 7, 11]];

/// Symbols of a 14-symbol slot that carry the PUSCH's reference signal, by dmrs-AdditionalPosition 0 to 3; mapping type
/// A, first one in symbol 2. TS 38.211 Table 6.4.1.1.3-3.
pub const PUSCH_DMRS_SYMBOLS: [&[usize]; 4] = [&[2], &[2, 11], &[2, 7, 11], &[2, 5, 8, 11]];

/// c_init of the PUSCH's reference signal without transform precoding, n_SCID 0; `slot` counts within the frame,
/// `symbol` within the slot. TS 38.211 clause 6.4.1.1.1.1.
pub const fn pusch_dmrs_c_init(cell_id: u16, slot: u32, symbol: u32) -> u32 {
    let id = cell_id as u64;
    let value = (1 << 17) * (SLOT_SYMBOLS as u64 * slot as u64 + symbol as u64 + 1) * (2 * id + 1) + 2 * id;
    (value % (1 << 31)) as u32
}

/// Cyclic shifts n_cs(n_s, l) of the PUCCH in the symbols of a slot, which counts within the frame.
/// TS 38.211 clause 6.3.2.2.2.
pub fn pucch_shifts(cell_id: u16, slot: u32) -> [usize; SLOT_SYMBOLS] {
    let first = 8 * SLOT_SYMBOLS * slot as usize;
    let c = pseudo_random::bits(u32::from(cell_id), first + 8 * SLOT_SYMBOLS);
    std::array::from_fn(|l| pseudo_random::number(&c[first + 8 * l..first + 8 * l + 8]) as usize % 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [NrPrachFormat; 13] = {
        use NrPrachFormat::*;
        [Long0, Long1, Long2, Long3, A1, A2, A3, B1, B2, B3, B4, C0, C2]
    };

    #[test]
    fn symbols_fill_the_subframe() {
        for spacing in [Spacing::Khz15, Spacing::Khz30] {
            let n = 14 * spacing.slots();
            for i in 0..n {
                let next = spacing.symbol_start_ts(i) + spacing.cp_ts(i) + spacing.symbol_ts();
                assert_eq!(next, if i + 1 < n { spacing.symbol_start_ts(i + 1) } else { SUBFRAME_TS }, "{i}");
            }
            assert_eq!(spacing.symbol_start_ts(7 * spacing.slots()), HALF_TS);
        }
        assert_eq!((Spacing::Khz30.cp_ts(0), Spacing::Khz30.cp_ts(1), Spacing::Khz30.cp_ts(14)), (88, 72, 88));
        assert_eq!(Spacing::of_hz(30e3), Some(Spacing::Khz30));
    }

    #[test]
    fn carriers_fit_their_channels() {
        assert_eq!(Spacing::Khz30.carrier_blocks(20e6), Some(51));
        assert_eq!(Spacing::Khz15.carrier_blocks(10e6), Some(52));
        assert_eq!(Spacing::Khz30.carrier_blocks(7e6), None);
        assert_eq!(arfcn_hz(651_667), Some(3_775_005_000.0));
        assert_eq!((arfcn_hz(386_000), arfcn_hz(2_016_667)), (Some(1_930e6), None));
    }

    #[test]
    fn preambles_last_as_long_as_the_tables_say() {
        let us = |f: NrPrachFormat, spacing| {
            let p = f.preamble(spacing);
            f64::from(p.cp_ts + p.body_ts()) / 30.72
        };
        assert!((us(NrPrachFormat::Long0, Spacing::Khz15) - 903.125).abs() < 1e-3);
        assert!((us(NrPrachFormat::Long2, Spacing::Khz15) - 3352.6).abs() < 0.1);
        assert!((us(NrPrachFormat::Long3, Spacing::Khz15) - 903.125).abs() < 1e-3);
        assert!((us(NrPrachFormat::B4, Spacing::Khz30) - 415.23).abs() < 0.01);
        for format in ALL {
            for spacing in [Spacing::Khz15, Spacing::Khz30] {
                let p = format.preamble(spacing);
                assert!((p.spacing_hz * f64::from(p.sequence_ts) / 30.72e6 - 1.0).abs() < 1e-12, "{format:?}");
                for carrier in [Spacing::Khz15, Spacing::Khz30] {
                    // The sequence lies within its resource blocks, near their middle.
                    let (blocks, k_bar) = p.mapping(carrier);
                    let width_hz = f64::from(blocks) * 12.0 * carrier.hz();
                    let above_hz = width_hz - f64::from(k_bar + p.n_zc) * p.spacing_hz;
                    assert!(above_hz > 0.0, "{format:?} {carrier:?}: {above_hz}");
                }
            }
        }
    }

    #[test]
    fn preambles_that_take_whole_symbols_end_where_a_symbol_does() {
        // A format of so many symbols, its prefix lengthened where the half subframe is met, fills them exactly where
        // it has no guard of its own.
        for spacing in [Spacing::Khz15, Spacing::Khz30] {
            for (format, symbols) in [(NrPrachFormat::A1, 2), (NrPrachFormat::A2, 4), (NrPrachFormat::A3, 6)] {
                let p = format.preamble(spacing);
                for l in (0..14 * spacing.slots() - symbols).step_by(symbols as usize) {
                    let start = spacing.symbol_start_ts(l);
                    let end = start + p.cp_at_ts(start) + p.body_ts();
                    assert_eq!(end, spacing.symbol_start_ts(l + symbols), "{format:?} {spacing:?} {l}");
                }
            }
        }
    }

    #[test]
    fn configurations_hold_what_the_tables_do() {
        let b4 = prach_configuration(false, 159);
        assert_eq!((b4.format, b4.period, b4.frame, b4.subframes), (NrPrachFormat::B4, 1, 0, 1 << 9));
        assert_eq!(b4.occasions(Spacing::Khz30), [NrOccasion { start_ts: 15360, format: NrPrachFormat::B4 }]);
        assert!(b4.is_in(9) && b4.is_in(-1) && !b4.is_in(8));
        assert_eq!(prach_configuration(true, 16).format, NrPrachFormat::Long0);
        let pair = prach_configuration(false, 211);
        let formats: Vec<_> = pair.occasions(Spacing::Khz30).iter().map(|o| o.format).collect();
        assert_eq!(formats.len(), 6);
        assert!(formats[..5].iter().all(|f| *f == NrPrachFormat::A1) && formats[5] == NrPrachFormat::B1);
        for paired in [true, false] {
            for index in 0..=255 {
                let c = prach_configuration(paired, index);
                assert!(c.frame < c.period && c.subframes > 0 && c.subframes < 1 << 10, "{paired} {index}");
                for spacing in [Spacing::Khz15, Spacing::Khz30] {
                    let all = c.occasions(spacing);
                    let end = |o: &NrOccasion| {
                        let p = o.format.preamble(spacing);
                        o.start_ts + p.cp_at_ts(o.start_ts) + p.body_ts()
                    };
                    let apart = all.windows(2).all(|w| end(&w[0]) <= w[1].start_ts);
                    assert!(apart, "{paired} {index} {spacing:?}: {all:?}");
                    if !c.format.is_long() {
                        assert!(end(all.last().unwrap()) <= SUBFRAME_TS, "{paired} {index} {spacing:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn preambles_have_their_roots() {
        let b4 = NrPrachFormat::B4.preamble(Spacing::Khz30);
        assert_eq!(b4.n_cs()[11], 23);
        assert_eq!(b4.root_and_shift(4, 23, 7), (usize::from(PRACH_ROOTS_139[5]), 23));
        assert_eq!(NrPrachFormat::Long3.preamble(Spacing::Khz15).n_cs()[15], 419);
    }

    /// The published sequences have a low peak: a wrong value shows as a high one.
    #[test]
    fn short_sequences_are_distinct_and_flat_in_time() {
        fn check<const N: usize>(table: &[[i8; N]; 30]) {
            for (u, row) in table.iter().enumerate() {
                assert!(row.iter().all(|p| matches!(p.abs(), 1 | 3)) && !table[..u].contains(row), "{N} {u}");
                let peak = (0..16 * N)
                    .map(|t| {
                        let angle = |k: usize| {
                            let turn = (k * t % (16 * N)) as f64 / (16 * N) as f64;
                            std::f64::consts::TAU * turn + f64::from(row[k]) * std::f64::consts::FRAC_PI_4
                        };
                        let (re, im) =
                            (0..N).fold((0.0, 0.0), |(re, im), k| (re + angle(k).cos(), im + angle(k).sin()));
                        (re * re + im * im) / N as f64
                    })
                    .fold(0.0, f64::max);
                assert!(10.0 * peak.log10() < if N == 6 { 3.8 } else { 2.9 }, "{N} {u}: {}", 10.0 * peak.log10());
            }
        }
        check(&PHI_6);
        check(&PHI_12);
        check(&PHI_18);
        check(&PHI_24);
    }

    #[test]
    fn reference_signals_have_their_seeds() {
        assert_eq!(pusch_dmrs_c_init(0, 0, 2), 3 << 17);
        assert_eq!(pusch_dmrs_c_init(1, 0, 0), 3 * (1 << 17) + 2);
    }
}
