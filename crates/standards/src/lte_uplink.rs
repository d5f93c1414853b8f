//! LTE uplink: what a cell configures. PRACH occasions and preambles, hopping, sounding, control channels.

use crate::lte::{PRACH_FORMATS, PRACH_N_ZC, PRACH_ROOTS_839, PrachFormat, SLOT_SYMBOLS};
use crate::pseudo_random;

/// Preambles of a cell. TS 36.211 clause 5.7.2.
pub const PRACH_PREAMBLES: usize = 64;
/// Slots of a radio frame. TS 36.211 clause 4.1.
pub const FRAME_SLOTS: usize = 20;
/// Highest physical-layer cell identity. TS 36.211 clause 6.11.
pub const MAX_CELL_ID: u16 = 503;

/// When a cell's preambles may begin, in paired spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrachConfiguration {
    /// Preamble format, 0 to 3.
    pub format: u8,
    /// Only in frames of even number.
    pub even_frames_only: bool,
    /// The subframes of such a frame that a preamble may begin in, ascending.
    pub subframes: &'static [u8],
}

impl PrachConfiguration {
    /// Whether a preamble may begin in a subframe, counted from the start of frame 0.
    pub fn is_occasion(&self, subframe: i64) -> bool {
        let (frame, within) = (subframe.div_euclid(10), subframe.rem_euclid(10) as u8);
        (!self.even_frames_only || frame.rem_euclid(2) == 0) && self.subframes.contains(&within)
    }

    /// The preamble's format.
    pub fn preamble(&self) -> &'static PrachFormat {
        &PRACH_FORMATS[usize::from(self.format)]
    }
}

/// The meaning of prach-ConfigurationIndex in paired spectrum; nothing where it has none.
///
/// # Source
/// 3GPP TS 36.211 Table 5.7.1-2.
pub fn prach_configuration(index: u8) -> Option<PrachConfiguration> {
    const SUBFRAMES: [&[u8]; 16] = [
        &[1],
        &[4],
        &[7],
        &[1],
        &[4],
        &[7],
        &[1, 6],
        &[2, 7],
        &[3, 8],
        &[1, 4, 7],
        &[2, 5, 8],
        &[3, 6, 9],
        &[0, 2, 4, 6, 8],
        &[1, 3, 5, 7, 9],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[9],
    ];
    if index > 63 || matches!(index, 30 | 46 | 60 | 61 | 62) {
        return None; // preambles of more subframes than lie between two
    }
    let row = index % 16;
    let even_frames_only = matches!(row, 0..=2 | 15);
    Some(PrachConfiguration { format: index / 16, even_frames_only, subframes: SUBFRAMES[usize::from(row)] })
}

/// Root and cyclic shift of preamble `index` (0..64) of a cell with logical root `root_index` (0..838) and cyclic
/// shift `n_cs`, unrestricted: all shifts of a root first, then the next logical root.
///
/// # Source
/// 3GPP TS 36.211 clause 5.7.2.
pub fn prach_preamble(root_index: usize, n_cs: u16, index: usize) -> (usize, usize) {
    preamble_of(&PRACH_ROOTS_839, PRACH_N_ZC, root_index, n_cs, index)
}

/// The same over any table of roots; TS 38.211 clause 6.3.3.1 counts alike.
pub(crate) fn preamble_of(roots: &[u16], n_zc: u16, root_index: usize, n_cs: u16, index: usize) -> (usize, usize) {
    let shifts = usize::from(n_zc.checked_div(n_cs).unwrap_or(1));
    let root = roots[(root_index + index / shifts) % roots.len()];
    (usize::from(root), index % shifts * usize::from(n_cs))
}

/// Sounding bandwidths m_SRS,b and their numbers N_b, b = 0..4, of one C_SRS.
pub type SrsRow = ([u8; 4], [u8; 4]);

/// The sounding bandwidths of a carrier of `carrier_blocks` (6..=110) for C_SRS 0..8.
///
/// # Source
/// 3GPP TS 36.211 Tables 5.5.3.2-1 to -4.
pub fn srs_row(carrier_blocks: u16, c_srs: u8) -> SrsRow {
    #[rustfmt::skip]
    const WIDTHS: [[[u8; 8]; 4]; 4] = [
        [[36, 32, 24, 20, 16, 12, 8, 4], [12, 16, 4, 4, 4, 4, 4, 4], [4, 8, 4, 4, 4, 4, 4, 4], [4; 8]],
        [[48, 48, 40, 36, 32, 24, 20, 16], [24, 16, 20, 12, 16, 4, 4, 4], [12, 8, 4, 4, 8, 4, 4, 4], [4; 8]],
        [[72, 64, 60, 48, 48, 40, 36, 32], [24, 32, 20, 24, 16, 20, 12, 16], [12, 16, 4, 12, 8, 4, 4, 8], [4; 8]],
        [[96, 96, 80, 72, 64, 60, 48, 48], [48, 32, 40, 24, 32, 20, 24, 16], [24, 16, 20, 12, 16, 4, 12, 8], [4; 8]],
    ];
    let table = match carrier_blocks {
        0..=40 => 0,
        41..=60 => 1,
        61..=80 => 2,
        _ => 3,
    };
    let c = usize::from(c_srs % 8);
    let widths: [u8; 4] = std::array::from_fn(|b| WIDTHS[table][b][c]);
    let counts = std::array::from_fn(|b| if b == 0 { 1 } else { widths[b - 1] / widths[b] });
    (widths, counts)
}

/// Subframes in which the cell's phones may sound: period and offsets, in subframes, of srs-SubframeConfig 0..15.
///
/// # Source
/// 3GPP TS 36.211 Table 5.5.3.3-1.
pub fn srs_subframes(index: u8) -> Option<(u8, &'static [u8])> {
    const ROWS: [(u8, &[u8]); 15] = [
        (1, &[0]),
        (2, &[0]),
        (2, &[1]),
        (5, &[0]),
        (5, &[1]),
        (5, &[2]),
        (5, &[3]),
        (5, &[0, 1]),
        (5, &[2, 3]),
        (10, &[0]),
        (10, &[1]),
        (10, &[2]),
        (10, &[3]),
        (10, &[0, 1, 2, 3, 4, 6, 8]),
        (10, &[0, 1, 2, 3, 4, 5, 6, 8]),
    ];
    ROWS.get(usize::from(index)).copied()
}

/// Sounding periods in milliseconds. TS 36.213 Table 8.2-1.
pub const SRS_PERIODS_MS: [u16; 8] = [2, 5, 10, 20, 40, 80, 160, 320];

/// How one phone sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Srs {
    /// The cell's C_SRS, 0..8.
    pub c_srs: u8,
    /// The phone's B_SRS, 0..4: the larger, the narrower.
    pub b_srs: u8,
    /// b_hop, 0..4: the sounding hops where it is below B_SRS.
    pub b_hop: u8,
    /// Frequency-domain position n_RRC, 0..24.
    pub position: u8,
    /// Transmission comb, 0 or 1.
    pub comb: u8,
}

impl Srs {
    /// First resource block and number of them of the phone's sounding number `count` on a carrier.
    ///
    /// # Source
    /// 3GPP TS 36.211 clause 5.5.3.2.
    pub fn blocks(&self, carrier_blocks: u16, count: u64) -> (u16, u16) {
        let (widths, numbers) = srs_row(carrier_blocks, self.c_srs);
        // k'_0 of the clause, in blocks, on a carrier that is not narrower than the widest sounding.
        let mut first = carrier_blocks / 2 - (u16::from(widths[0]) / 2).min(carrier_blocks / 2);
        for b in 0..=usize::from(self.b_srs.min(3)) {
            let (width, n_b) = (u64::from(widths[b]), u64::from(numbers[b]));
            let still = 4 * u64::from(self.position) / width;
            let hop = if b <= usize::from(self.b_hop) { 0 } else { self.hop(&numbers, b, count) };
            first += (width * ((still + hop) % n_b)) as u16;
        }
        (first, u16::from(widths[usize::from(self.b_srs.min(3))]))
    }

    /// F_b of the clause, of which N_b for b = b_hop counts as 1.
    fn hop(&self, numbers: &[u8; 4], b: usize, count: u64) -> u64 {
        let from = usize::from(self.b_hop) + 1;
        let below: u64 = numbers[from..b].iter().map(|&n| u64::from(n)).product();
        let n_b = u64::from(numbers[b]);
        if n_b % 2 == 0 {
            let at = count % (below * n_b);
            n_b / 2 * (at / below) + at / (2 * below)
        } else {
            n_b / 2 * (count / below)
        }
    }
}

/// When a PUSCH changes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoppingMode {
    /// From subframe to subframe.
    InterSubframe,
    /// From slot to slot.
    IntraAndInterSubframe,
}

/// A cell's predefined hopping pattern of the PUSCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PuschHopping {
    /// When.
    pub mode: HoppingMode,
    /// Number of subbands N_sb, 1 to 4.
    pub subbands: u16,
    /// N_RB^HO: what of the carrier is left out, in resource blocks.
    pub offset: u16,
    /// The cell's identity.
    pub cell_id: u16,
}

impl PuschHopping {
    /// Blocks of a subband on a carrier of `carrier_blocks`. TS 36.211 clause 5.3.4.
    pub fn subband_blocks(&self, carrier_blocks: u16) -> u16 {
        if self.subbands == 1 {
            return carrier_blocks;
        }
        (carrier_blocks - self.offset - self.offset % 2) / self.subbands
    }

    /// First block of the first subband.
    pub fn first_block(&self) -> u16 {
        if self.subbands == 1 { 0 } else { self.offset.div_ceil(2) }
    }

    /// The physical block in slot `slot` (0..20) of a frame that virtual block `block` lies on; `transmission` counts
    /// the transmissions of a transport block from 0. The virtual block must lie in one of the subbands.
    ///
    /// # Source
    /// 3GPP TS 36.211 clause 5.3.4, frame structure type 1.
    pub fn physical_block(&self, carrier_blocks: u16, block: u16, slot: usize, transmission: u32) -> u16 {
        let i = match self.mode {
            HoppingMode::InterSubframe => slot / 2,
            HoppingMode::IntraAndInterSubframe => slot,
        };
        let c = pseudo_random::bits(u32::from(self.cell_id), 10 * (i + 1));
        let n_sb = u32::from(self.subbands);
        let hop = match n_sb {
            1 => 0,
            _ => (0..=i).fold(0, |f, i| {
                let sum = pseudo_random::number(&c[10 * i + 1..10 * i + 10]);
                if n_sb == 2 { (f + sum) % 2 } else { (f + sum % (n_sb - 1) + 1) % n_sb }
            }),
        };
        let mirror = match (n_sb, self.mode) {
            (1, HoppingMode::IntraAndInterSubframe) => i % 2 == 1,
            (1, HoppingMode::InterSubframe) => transmission % 2 == 1,
            _ => c[10 * i] == 1,
        };
        let width = u32::from(self.subband_blocks(carrier_blocks));
        let virtual_block = u32::from(block - self.first_block());
        let (subband, within) = (virtual_block / width, virtual_block % width);
        let within = if mirror { width - 1 - within } else { within };
        self.first_block() + ((subband + hop) % n_sb * width + within) as u16
    }
}

/// The physical block of PUCCH resource `m` in a slot: mirrored from slot to slot. TS 36.211 clause 5.4.3.
pub fn pucch_block(carrier_blocks: u16, m: u16, slot: usize) -> u16 {
    if (m as usize + slot % 2) % 2 == 0 { m / 2 } else { carrier_blocks - 1 - m / 2 }
}

/// Cyclic shifts n_cs^cell(n_s, l) of a cell's PUCCH in a slot (0..20) of a frame. TS 36.211 clause 5.4.
pub fn pucch_shifts(cell_id: u16, slot: usize) -> [usize; SLOT_SYMBOLS] {
    let c = pseudo_random::bits(u32::from(cell_id), 8 * SLOT_SYMBOLS * FRAME_SLOTS);
    let at = |l: usize| 8 * SLOT_SYMBOLS * slot + 8 * l;
    std::array::from_fn(|l| pseudo_random::number(&c[at(l)..at(l) + 8]) as usize % 12)
}

/// n_PRS(n_s): the cell's part of the cyclic shift of the PUSCH's reference signal in a slot (0..20) of a frame.
/// TS 36.211 clause 5.5.2.1.1, with Delta_ss 0.
pub fn pusch_dmrs_shift(cell_id: u16, slot: usize) -> usize {
    let c_init = ((u32::from(cell_id) / 30) << 5) + u32::from(cell_id) % 30;
    let c = pseudo_random::bits(c_init, 8 * SLOT_SYMBOLS * FRAME_SLOTS);
    let at = 8 * SLOT_SYMBOLS * slot;
    pseudo_random::number(&c[at..at + 8]) as usize
}

/// Sequence group u of a cell's reference signals in a slot (0..20) of a frame, with group hopping or without.
/// TS 36.211 clause 5.5.1.3, with Delta_ss 0.
pub fn sequence_group(cell_id: u16, slot: usize, hopping: bool) -> usize {
    let shift = usize::from(cell_id % 30);
    if !hopping {
        return shift;
    }
    let c = pseudo_random::bits(u32::from(cell_id / 30), 8 * FRAME_SLOTS);
    (pseudo_random::number(&c[8 * slot..8 * slot + 8]) as usize % 30 + shift) % 30
}

/// First resource block of a narrowband of LTE-M on a carrier, and how many there are. TS 36.211 clause 5.2.4.
pub fn narrowband_first_block(carrier_blocks: u16, narrowband: u16) -> Option<u16> {
    let count = carrier_blocks / 6;
    let edge = carrier_blocks / 2 - 6 * count / 2;
    // The middle block of an odd carrier belongs to none.
    let middle = u16::from(carrier_blocks % 2 == 1 && narrowband >= count.div_ceil(2));
    (narrowband < count).then_some(6 * narrowband + edge + middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prach_configurations_are_the_tables() {
        let of = |index| prach_configuration(index).unwrap();
        assert_eq!(of(3), PrachConfiguration { format: 0, even_frames_only: false, subframes: &[1] });
        assert_eq!(of(0), PrachConfiguration { format: 0, even_frames_only: true, subframes: &[1] });
        assert_eq!(of(15).subframes, [9]);
        assert!(of(15).even_frames_only && of(63).even_frames_only && !of(14).even_frames_only);
        assert_eq!((of(22).format, of(22).subframes), (1, &[1u8, 6][..]));
        assert_eq!((of(57).format, of(57).subframes), (3, &[1u8, 4, 7][..]));
        assert_eq!((0..=255).filter(|&i| prach_configuration(i).is_some()).count(), 59);
        assert!(of(14).is_occasion(-1) && of(1).is_occasion(4) && !of(1).is_occasion(14) && of(1).is_occasion(-16));
        // No preamble runs into the next one.
        for index in 0..64 {
            let Some(c) = prach_configuration(index) else { continue };
            let at: Vec<i64> = (0..40).filter(|&n| c.is_occasion(n)).collect();
            assert!(at.windows(2).all(|w| w[1] - w[0] >= i64::from(c.preamble().subframes)), "{index}");
        }
    }

    #[test]
    fn preambles_take_all_shifts_of_a_root_first() {
        assert_eq!(prach_preamble(22, 26, 0), (usize::from(PRACH_ROOTS_839[22]), 0));
        assert_eq!(prach_preamble(22, 26, 31), (usize::from(PRACH_ROOTS_839[22]), 31 * 26));
        assert_eq!(prach_preamble(22, 26, 32), (usize::from(PRACH_ROOTS_839[23]), 0));
        assert_eq!(prach_preamble(837, 0, 1), (usize::from(PRACH_ROOTS_839[0]), 0));
        assert_eq!(prach_preamble(0, 419, 63), (usize::from(PRACH_ROOTS_839[31]), 419));
    }

    #[test]
    fn soundings_fit_their_carrier_and_cover_it_by_hopping() {
        for (blocks, c_srs) in [(25, 7), (25, 2), (50, 0), (75, 3), (100, 1)] {
            let (widths, numbers) = srs_row(blocks, c_srs);
            for b in 1..4 {
                assert_eq!(widths[b] * numbers[b], widths[b - 1], "{blocks} {c_srs} {b}");
            }
            let srs = Srs { c_srs, b_srs: 3, b_hop: 0, position: 0, comb: 0 };
            let all = u64::from(widths[0] / widths[3]);
            let mut at: Vec<u16> = (0..all).map(|n| srs.blocks(blocks, n).0).collect();
            assert!(at.iter().all(|first| first + u16::from(widths[3]) <= blocks));
            at.sort_unstable();
            at.dedup();
            assert_eq!(at.len() as u64, all, "{blocks} {c_srs}: every part once");
            let still = Srs { b_hop: 3, ..srs };
            assert!((0..all).all(|n| still.blocks(blocks, n) == still.blocks(blocks, 0)));
        }
        assert_eq!(srs_subframes(7), Some((5, &[0, 1][..])));
        assert_eq!(srs_subframes(15), None);
    }

    #[test]
    fn hopping_permutes_the_blocks_of_all_subbands() {
        for mode in [HoppingMode::InterSubframe, HoppingMode::IntraAndInterSubframe] {
            for (subbands, offset) in [(1, 0), (2, 0), (3, 3), (4, 6)] {
                let hopping = PuschHopping { mode, subbands, offset, cell_id: 101 };
                let (first, width) = (hopping.first_block(), hopping.subband_blocks(50));
                let (mut moved, span) = (0, first..first + width * subbands);
                for slot in 0..20 {
                    let mut at: Vec<u16> =
                        span.clone().map(|block| hopping.physical_block(50, block, slot, slot as u32)).collect();
                    moved += usize::from(at[0] != first);
                    if mode == HoppingMode::InterSubframe && slot % 2 == 1 && subbands > 1 {
                        assert_eq!(at[3], hopping.physical_block(50, first + 3, slot - 1, 0), "same in both slots");
                    }
                    // What lies side by side in a subband stays side by side.
                    assert!(at[..usize::from(width)].windows(2).all(|w| w[0].abs_diff(w[1]) == 1));
                    at.sort_unstable();
                    assert!(at.into_iter().eq(span.clone()), "{subbands} subbands, slot {slot}");
                }
                assert!(moved >= 5, "{subbands}: {moved}");
            }
        }
    }

    #[test]
    fn control_channels_mirror_at_the_slots_edge() {
        assert_eq!((pucch_block(25, 0, 6), pucch_block(25, 0, 7)), (0, 24));
        assert_eq!((pucch_block(25, 1, 6), pucch_block(25, 1, 7)), (24, 0));
        assert_eq!((pucch_block(50, 4, 0), pucch_block(50, 4, 1)), (2, 47));
        let shifts: Vec<_> = (0..20).map(|slot| pucch_shifts(7, slot)).collect();
        assert!(shifts.windows(2).all(|w| w[0] != w[1]));
        assert!((0..20).any(|slot| pusch_dmrs_shift(7, slot) % 12 != pusch_dmrs_shift(8, slot) % 12));
    }

    #[test]
    fn groups_hop_over_all_thirty() {
        assert!((0..20).all(|slot| sequence_group(101, slot, false) == 101 % 30));
        let seen: std::collections::BTreeSet<_> =
            (0..17).flat_map(|n| (0..20).map(move |slot| sequence_group(30 * n, slot, true))).collect();
        assert_eq!(seen.len(), 30);
        // Cells of one hopping pattern differ by their shift alone.
        assert!((0..20).all(|s| (sequence_group(61, s, true) + 4) % 30 == sequence_group(65, s, true)));
    }

    #[test]
    fn narrowbands_lie_in_the_middle() {
        assert_eq!((narrowband_first_block(6, 0), narrowband_first_block(6, 1)), (Some(0), None));
        // Table of sizes: 15 blocks hold 2 narrowbands with blocks 0 and 14 and the middle one left over.
        assert_eq!((narrowband_first_block(15, 0), narrowband_first_block(15, 1)), (Some(1), Some(8)));
        assert_eq!((narrowband_first_block(50, 0), narrowband_first_block(50, 7)), (Some(1), Some(43)));
        assert_eq!((narrowband_first_block(25, 1), narrowband_first_block(25, 2)), (Some(6), Some(13)));
        assert_eq!(narrowband_first_block(100, 15), Some(92));
    }
}
