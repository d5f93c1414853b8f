//! LTE-M machines on the carrier of an LTE base station: a PUSCH or a preamble sent several times over, within a
//! narrowband of six blocks.

use super::lte::{MOST_ADVANCE, Preamble, push};
use super::{Member, Occupancy};
use crate::activity::{Emission, SUBFRAME_S};
use crate::scene::{CoverageMode, LteStation, PhoneActivity};
use crate::wave::lte as lte_wave;
use crate::wave::lte::OfdmBurst;
use cellwarden_standards::lte;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// An LTE-M machine.
pub(super) struct LtemMember<'a> {
    member: Member<'a>,
    cell: LteStation,
    advance_s: f64,
    repetitions: u16,
    /// First block of its narrowband.
    first_block: u16,
    dmrs_shift: usize,
}

impl<'a> LtemMember<'a> {
    pub(super) fn new(mut member: Member<'a>, cell: LteStation) -> Self {
        let blocks = member.station.blocks;
        // Away from the preambles' blocks where there is such a narrowband.
        let apart = |narrowband: &u16| {
            let first = lte::narrowband_first_block(blocks, *narrowband).unwrap_or(0);
            first + 6 <= cell.prach_block || cell.prach_block + lte::PRACH_BLOCKS <= first
        };
        let all: Vec<u16> = (0..blocks / 6).filter(apart).collect();
        let pick: f64 = member.rng.random();
        let drawn = all.get((pick * all.len() as f64) as usize).copied().unwrap_or(0);
        let narrowband = member.phone.narrowband.unwrap_or(drawn);
        Self {
            advance_s: member.advance_s(16.0, MOST_ADVANCE),
            repetitions: member.phone.repetitions.unwrap_or(4),
            first_block: lte::narrowband_first_block(blocks, narrowband).unwrap_or(0),
            dmrs_shift: member.rng.random_range(0..12),
            member,
            cell,
        }
    }

    pub(super) fn send(mut self, taken: &mut Occupancy, out: &mut Vec<Emission>) {
        let end_s = self.member.end_s(10.0);
        let end = ((end_s - self.member.station.frame_zero_s) / SUBFRAME_S).floor() as i64;
        let attempts = self.member.phone.attempts.unwrap_or(1);
        let mut at = self.member.first_unit(SUBFRAME_S);
        for attempt in 0..attempts {
            at = self.preamble(at, end, (attempt, attempts), out);
            at += 10 + self.member.rng.random_range(0..40);
        }
        if *self.member.phone.activity.get_ref() == PhoneActivity::LtemAccess {
            return;
        }
        for _ in 0..self.member.rng.random_range(6..=10) {
            at = self.pusch(at, end, taken, out);
            at += self.member.rng.random_range(10..60);
        }
    }

    fn start_s(&self, subframe: i64) -> f64 {
        self.member.station.frame_zero_s + subframe as f64 * SUBFRAME_S + self.member.delay_s
    }

    /// The same preamble on so many occasions in a row. Returns when the last ends. TS 36.211 clause 5.7.1.
    fn preamble(&mut self, from: i64, end: i64, (attempt, attempts): (u32, u32), out: &mut Vec<Emission>) -> i64 {
        let preamble = Preamble::draw(&mut self.member, &self.cell);
        let place = (self.cell.prach_block, lte::PRACH_BLOCKS);
        let mut at = from;
        for repetition in 0..self.repetitions {
            while !self.cell.prach.is_occasion(at) {
                at += 1;
            }
            if at >= end {
                return at;
            }
            let mut notes = preamble.notes(&self.member, at, attempt);
            notes.push(("repetition", repetition.into()));
            let make = preamble.wave(place.0, self.member.station.blocks);
            let start = (self.start_s(at), self.member.lower_db(self.cell.ramp_db, attempt, attempts));
            push(&mut self.member, "ltem/prach", start, place, notes, make, out);
            at += i64::from(preamble.format.subframes);
        }
        at
    }

    /// A PUSCH in so many subframes in a row, the first at `from` or later where its blocks are free. Returns when it
    /// ends. TS 36.213 clause 8.0.
    ///
    /// Scrambling and redundancy version change where a subframe since frame 0 is a multiple of N_acc (TS 36.211 clause
    /// 5.3.1, TS 36.213 clause 8.6.1), and all data symbols with them; the reference signal's shift changes with each slot.
    fn pusch(&mut self, from: i64, end: i64, taken: &mut Occupancy, out: &mut Vec<Emission>) -> i64 {
        let carrier = self.member.station.blocks;
        let mode = self.member.phone.coverage_mode;
        let drawn = self.member.rng.random_range(1..=mode.most_blocks());
        let count = self.member.phone.resource_blocks.unwrap_or(drawn);
        // Of mode B's pairs there are two: blocks 0 and 1, 2 and 3.
        let within = match (mode, count) {
            (CoverageMode::B, 2) => 2 * self.member.rng.random_range(0..2),
            _ => self.member.rng.random_range(0..=6 - count),
        };
        let first = self.first_block + within;
        let length = i64::from(self.repetitions);
        let mut at = from;
        loop {
            if at + length > end {
                return at;
            }
            let places: Vec<(i64, u16)> = (2 * at..2 * (at + length)).map(|slot| (slot, first)).collect();
            if taken.take(&places, count, carrier) {
                break;
            }
            at += 1;
        }
        let cell_id = self.member.station.cell_id;
        let (dmrs_shift, hopping, seed) = (self.dmrs_shift, self.cell.group_hopping, self.member.rng.random::<u64>());
        let make = move || {
            let mut symbols = Vec::new();
            for slot in 2 * at..2 * (at + length) {
                let alike = (slot / 2).div_euclid(mode.alike_subframes());
                let content = seed.wrapping_add((2 * alike + slot % 2) as u64);
                let n_s = slot.rem_euclid(lte::FRAME_SLOTS as i64) as usize;
                let shift = (lte::pusch_dmrs_shift(cell_id, n_s) + dmrs_shift) % 12;
                let u = lte::sequence_group(cell_id, n_s, hopping);
                let burst = lte_wave::pusch_slot(
                    (slot - 2 * at) as u32 * lte::SLOT_TS,
                    (first, count, carrier),
                    lte_wave::Modulation::Qpsk,
                    (u, shift),
                    lte::SLOT_SYMBOLS,
                    &mut ChaCha8Rng::seed_from_u64(content),
                );
                symbols.extend(burst.symbols);
            }
            OfdmBurst { symbols }
        };
        let notes = vec![("repetitions", self.repetitions.into())];
        let start_s = self.start_s(at) - self.advance_s;
        push(&mut self.member, "ltem/pusch", (start_s, 0.0), (first, count), notes, Box::new(make), out);
        at + length
    }
}
