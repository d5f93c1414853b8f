//! LTE phones of a base station. How often what is sent follows real captures and the usual configurations of
//! networks; each schedule says which.

use super::{Member, Occupancy};
use crate::activity::{Emission, SUBFRAME_S};
use crate::scene::{LteStation, PhoneActivity};
use crate::wave::MakeOfdm;
use crate::wave::lte as lte_wave;
use cellwarden_standards::lte::{self, Srs};
use cellwarden_types::db;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;

/// Steps of 16 Ts that a timing advance has at most. TS 36.213 clause 4.2.3.
pub(super) const MOST_ADVANCE: f64 = 1282.0;
/// From the first to the second transmission of a block: eight subframes. TS 36.213 clause 8.
const HARQ_SUBFRAMES: i64 = 8;
/// Share of blocks that are sent again.
const RETRANSMITTED: f64 = 0.1;
/// Random places that are tried for a PUSCH before it is made smaller.
const TRIES: usize = 40;

/// A control channel's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pucch {
    /// Scheduling requests, acknowledgements.
    Format1,
    /// Channel quality.
    Format2,
}

/// What is to be sent, by subframe since frame 0.
#[derive(Debug, Default)]
struct Plan {
    /// Blocks and number of the transmission.
    pusch: BTreeMap<i64, (u16, u32)>,
    pucch: BTreeMap<i64, Pucch>,
    /// First and last subframe between which the phone sounds.
    sounding: Option<(i64, i64)>,
}

/// An LTE phone.
pub(super) struct LteMember<'a> {
    member: Member<'a>,
    cell: LteStation,
    advance_s: f64,
    /// Cyclic shift of the PUSCH's reference signal, beside the cell's.
    dmrs_shift: usize,
    /// PUCCH resources m of formats 1 and 2.
    pucch_m: [u16; 2],
    pucch_shift: usize,
    cover: usize,
    srs_shift: usize,
    /// How it sounds, with the subframe within the period; nothing where it does not.
    srs: Option<(Srs, i64, i64)>,
}

/// Adds what fills `count` resource blocks from `first` on.
pub(super) fn push(
    member: &mut Member<'_>,
    label: &'static str,
    (start_s, lower_db): (f64, f64),
    (first, count): (u16, u16),
    notes: Vec<(&'static str, Value)>,
    make: MakeOfdm,
    out: &mut Vec<Emission>,
) {
    let edge = |block| lte_wave::block_edge_hz(block, member.station.blocks);
    let edges = (edge(first), edge(first + count));
    let eirp_dbm = member.eirp_dbm(db(f64::from(count) / f64::from(lte::PRACH_BLOCKS)), lower_db);
    out.push(member.ofdm(label, start_s, edges, eirp_dbm, notes, make));
}

/// One of a base station's 64 preambles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preamble {
    pub(super) format: lte::PrachFormat,
    index: usize,
    root: usize,
    shift: usize,
}

impl Preamble {
    /// The one that the scene names, or any.
    pub(super) fn draw(member: &mut Member<'_>, cell: &LteStation) -> Self {
        let drawn = member.rng.random_range(0..lte::PRACH_PREAMBLES);
        let index = member.phone.preamble.map_or(drawn, usize::from);
        let (root, shift) = lte::prach_preamble(cell.root_index, cell.n_cs, index);
        Self { format: *cell.prach.preamble(), index, root, shift }
    }

    /// What the truth says of it.
    pub(super) fn notes(&self, member: &Member<'_>, subframe: i64, attempt: u32) -> Vec<(&'static str, Value)> {
        vec![
            ("format", self.format.format.into()),
            ("preamble", self.index.into()),
            ("root", self.root.into()),
            ("cyclic_shift", self.shift.into()),
            ("frame", subframe.div_euclid(10).rem_euclid(1024).into()),
            ("subframe", subframe.rem_euclid(10).into()),
            ("attempt", attempt.into()),
            ("distance_m", (member.distance_m.round() as i64).into()),
        ]
    }

    /// Its wave, from resource block `first` of a carrier of `carrier` on.
    pub(super) fn wave(self, first: u16, carrier: u16) -> MakeOfdm {
        Box::new(move || lte_wave::prach(&self.format, (self.root, self.shift), (first, carrier)))
    }
}

impl<'a> LteMember<'a> {
    pub(super) fn new(mut member: Member<'a>, cell: LteStation) -> Self {
        let phone = member.phone;
        let advance_s = member.advance_s(16.0, MOST_ADVANCE);
        let rng = &mut member.rng;
        let dmrs_shift = rng.random_range(0..12);
        let pucch_m = [rng.random_range(0..cell.pucch_resources), rng.random_range(0..cell.pucch_resources)];
        let (pucch_shift, cover, srs_shift) = (rng.random_range(0..12), rng.random_range(0..3), rng.random_range(0..8));
        let usual_ms = match phone.activity.get_ref() {
            PhoneActivity::LteVoice | PhoneActivity::LteUpload | PhoneActivity::LteSrs => 20,
            _ => 40,
        };
        let comb = phone.srs.comb.unwrap_or(rng.random_range(0..2));
        let period_ms = phone.srs.period_ms.unwrap_or(usual_ms);
        // Of the offsets within the period, those that the cell sounds in.
        let offsets = cell.sounding_offsets(period_ms);
        let pick: f64 = rng.random();
        let offset = offsets.get((pick * offsets.len() as f64) as usize);
        let srs = cell.srs.zip(offset).map(|((c_srs, _), &offset)| {
            let b_hop = phone.srs.hopping.unwrap_or(3);
            let srs = Srs { c_srs, b_srs: phone.srs.bandwidth, b_hop, position: phone.srs.position, comb };
            (srs, i64::from(period_ms), offset)
        });
        Self { member, cell, advance_s, dmrs_shift, pucch_m, pucch_shift, cover, srs_shift, srs }
    }

    pub(super) fn send(mut self, taken: &mut Occupancy, out: &mut Vec<Emission>) {
        let first = self.member.first_unit(SUBFRAME_S);
        let activity = *self.member.phone.activity.get_ref();
        let usual_s = match activity {
            PhoneActivity::LteAttach | PhoneActivity::LteAccess => 1.2,
            PhoneActivity::LteTau => 0.5,
            _ => 5.0,
        };
        let end_s = self.member.end_s(usual_s);
        let end = ((end_s - self.member.station.frame_zero_s) / SUBFRAME_S).floor() as i64;
        let train = matches!(activity, PhoneActivity::LtePusch | PhoneActivity::LtePucch | PhoneActivity::LteSrs);
        let attempts = self.member.attempts(train, end_s);
        let from = self.access(first, end, attempts, taken, out);
        let mut plan = Plan::default();
        match activity {
            PhoneActivity::LteAccess => {}
            PhoneActivity::LteAttach => self.attach(from, &mut plan),
            PhoneActivity::LteTau => _ = self.exchange(from, (5, 7), (8, 12), (150, 300), &mut plan),
            PhoneActivity::LteVoice => self.voice(from, end, attempts > 0, &mut plan),
            PhoneActivity::LteUpload => self.upload(from, end, attempts > 0, &mut plan),
            PhoneActivity::LteData => self.data(from, end, attempts > 0, &mut plan),
            _ => self.train(from, end, activity, &mut plan),
        }
        self.carry_out(&plan, end, taken, out);
    }

    /// Start of a subframe at the phone, without timing advance.
    fn start_s(&self, subframe: i64) -> f64 {
        self.member.station.frame_zero_s + subframe as f64 * SUBFRAME_S + self.member.delay_s
    }

    /// The preambles, and message 3 where something follows. Returns the first subframe for what does.
    ///
    /// After a preamble ends, the answer may come for ten subframes from the third on (TS 36.321 clause 5.1.4) and
    /// message 3 six subframes after it (TS 36.213 clause 6.1.1): 11 ms from preamble to message 3 in a capture.
    fn access(&mut self, first: i64, end: i64, attempts: u32, taken: &mut Occupancy, out: &mut Vec<Emission>) -> i64 {
        let mut at = first;
        for attempt in 0..attempts {
            while !self.cell.prach.is_occasion(at) {
                at += 1;
            }
            if at >= end {
                return end;
            }
            self.prach(at, attempt, attempts, out);
            at += i64::from(self.cell.prach.preamble().subframes);
            if let Some(period_ms) = self.member.access_period_ms() {
                at = at.max(first + (i64::from(attempt) + 1) * i64::from(period_ms));
            } else if attempt + 1 < attempts {
                at += 12 + self.member.rng.random_range(0..20);
            }
        }
        if attempts > 0 && *self.member.phone.activity.get_ref() != PhoneActivity::LteAccess {
            at += self.member.rng.random_range(3..9) + 6;
            self.pusch(at, 2, 0, taken, end, out);
            at += 1;
        }
        at
    }

    /// PUSCH and PUCCH as often as `pusch` and `pucch` say, spread over so many subframes. Returns the last.
    fn exchange(
        &mut self,
        from: i64,
        pusch: (i64, i64),
        pucch: (i64, i64),
        (least, most): (i64, i64),
        plan: &mut Plan,
    ) -> i64 {
        let rng = &mut self.member.rng;
        let (count, length) = (rng.random_range(pusch.0..=pusch.1), rng.random_range(least..=most));
        let sizes: Vec<u16> = lte::pusch_sizes(6).collect();
        for k in 0..count {
            let within = rng.random_range(0.25..0.75);
            let at = from + 8 + ((k as f64 + within) * (length - 8) as f64 / count as f64) as i64;
            plan.pusch.insert(at, (sizes[rng.random_range(0..sizes.len())], 0));
            if rng.random::<f64>() < RETRANSMITTED {
                plan.again(at);
            }
        }
        for _ in 0..rng.random_range(pucch.0..=pucch.1) {
            let format = if rng.random::<f64>() < 0.7 { Pucch::Format1 } else { Pucch::Format2 };
            plan.pucch.insert(from + 6 + rng.random_range(0..length - 6), format);
        }
        from + length
    }

    /// 16 to 21 PUSCH with repetitions, one of them of 20 to 30 blocks, and 20 to 40 PUCCH in 450 to 650 ms.
    fn attach(&mut self, from: i64, plan: &mut Plan) {
        let last = self.exchange(from + 25, (15, 19), (20, 40), (425, 625), plan);
        let wide = self.member.rng.random_range(20..=30);
        let at = self.member.rng.random_range(0..plan.pusch.len());
        if let Some((count, _)) = plan.pusch.values_mut().nth(at) {
            *count = wide;
        }
        plan.sounding = Some((from + 150, last));
    }

    /// Set up; then in talk a PUSCH of 1 to 4 blocks each 20 ms (or 4 to 6 each 40 ms), in silence 1 or 2 blocks each
    /// 160 ms; acknowledgements of the other side's talk; channel quality each 40 ms; sounding.
    fn voice(&mut self, from: i64, end: i64, set_up: bool, plan: &mut Plan) {
        let from = if set_up { self.exchange(from, (8, 12), (10, 20), (250, 350), plan) } else { from };
        let rng = &mut self.member.rng;
        let (period, least, most) = if rng.random::<f64>() < 0.7 { (20, 1, 4) } else { (40, 4, 6) };
        // Our side talks first.
        let (mut talks, mut left) = ([true, false], [spurt_ms(true, rng), spurt_ms(false, rng)]);
        let (grant, answer, quality) = (from, from + 7, from + 3);
        for at in from..end {
            for side in 0..2 {
                left[side] -= 1;
                if left[side] <= 0 {
                    talks[side] = !talks[side];
                    left[side] = spurt_ms(talks[side], rng);
                }
            }
            let (step, least, most) = if talks[0] { (period, least, most) } else { (160, 1, 2) };
            if (at - grant) % step == 0 {
                plan.pusch.insert(at, (rng.random_range(least..=most), 0));
            }
            if (at - answer) % (if talks[1] { 20 } else { 160 }) == 0 {
                plan.pucch.insert(at, Pucch::Format1);
            }
            if (at - quality) % 40 == 0 {
                plan.pucch.insert(at, Pucch::Format2);
            }
        }
        plan.sounding = Some((from, end));
    }

    /// Set up; then a wide PUSCH in nearly every subframe.
    fn upload(&mut self, from: i64, end: i64, set_up: bool, plan: &mut Plan) {
        let from = if set_up { self.exchange(from, (4, 6), (4, 8), (80, 120), plan) } else { from };
        let load = self.member.phone.load.unwrap_or(0.9);
        let inner = self.inner_blocks().min(self.member.phone.resource_blocks.unwrap_or(100));
        let sizes: Vec<u16> = lte::pusch_sizes(inner).filter(|&n| n >= 10 || n == inner).collect();
        let rng = &mut self.member.rng;
        let mut size = sizes.last().copied().unwrap_or(inner);
        for at in from..end {
            if rng.random::<f64>() < 0.02 && !sizes.is_empty() {
                size = sizes[rng.random_range(0..sizes.len())];
            }
            if rng.random::<f64>() < load {
                plan.pusch.insert(at, (size, 0));
            }
        }
        plan.sounding = Some((from, end));
    }

    /// The web: small PUSCH 5 ms apart and runs of 16 to 25 in a row, with gaps of 60 to 200 ms; acknowledgements
    /// between them. Of one real phone there were 154 PUSCH a second.
    fn data(&mut self, from: i64, end: i64, set_up: bool, plan: &mut Plan) {
        let from = if set_up { self.exchange(from, (4, 6), (4, 8), (80, 120), plan) } else { from };
        let largest = self.inner_blocks().min(self.member.phone.resource_blocks.unwrap_or(24));
        let sizes: Vec<u16> = lte::pusch_sizes(largest).collect();
        let small = sizes.len().min(4);
        let rng = &mut self.member.rng;
        let mut at = from;
        while at < end {
            if rng.random::<f64>() < 0.2 {
                let size = sizes[rng.random_range(0..sizes.len())];
                for _ in 0..rng.random_range(16..=25) {
                    plan.pusch.insert(at, (size, 0));
                    at += 1;
                }
            } else {
                for _ in 0..rng.random_range(8..=40) {
                    plan.pusch.insert(at, (sizes[rng.random_range(0..small)], 0));
                    for k in 1..5 {
                        if rng.random::<f64>() < 0.6 {
                            plan.pucch.insert(at + k, Pucch::Format1);
                        }
                    }
                    at += 5;
                }
            }
            at += if rng.random::<f64>() < 0.3 { rng.random_range(60..=200) } else { 5 };
        }
        for at in (from..end).step_by(40) {
            plan.pucch.insert(at, Pucch::Format2);
        }
        plan.sounding = Some((from, end));
    }

    fn train(&mut self, from: i64, end: i64, activity: PhoneActivity, plan: &mut Plan) {
        let period = usize::from(self.member.phone.period_ms.unwrap_or(20));
        let sizes: Vec<u16> = lte::pusch_sizes(self.inner_blocks()).collect();
        if activity == PhoneActivity::LteSrs {
            plan.sounding = Some((from, end));
            return;
        }
        for at in (from..end).step_by(period) {
            if activity == PhoneActivity::LtePusch {
                let drawn = sizes[self.member.rng.random_range(0..sizes.len())];
                plan.pusch.insert(at, (self.member.phone.resource_blocks.unwrap_or(drawn), 0));
            } else {
                plan.pucch.insert(at, Pucch::Format1);
            }
        }
    }

    /// Sequence group in a slot since frame 0.
    fn group(&self, slot: i64) -> usize {
        let n_s = slot.rem_euclid(lte::FRAME_SLOTS as i64) as usize;
        lte::sequence_group(self.member.station.cell_id, n_s, self.cell.group_hopping)
    }

    /// Blocks between those of the PUCCH.
    fn inner_blocks(&self) -> u16 {
        self.member.station.blocks.saturating_sub(2 * self.cell.edge_blocks()).max(1)
    }

    /// Sends the plan until `end`: a PUCCH that meets a PUSCH travels in it (TS 36.213 clause 10.1), a sounding that
    /// meets a PUCCH is left out (clause 8.2).
    fn carry_out(&mut self, plan: &Plan, end: i64, taken: &mut Occupancy, out: &mut Vec<Emission>) {
        let sounding = plan.sounding.map_or(0..0, |(from, to)| from..to.min(end));
        let soundings: Vec<i64> = match self.srs {
            Some((_, period, offset)) => sounding.filter(|at| (at - offset).rem_euclid(period) == 0).collect(),
            None => Vec::new(),
        };
        let mut all: Vec<i64> = plan.pusch.keys().chain(plan.pucch.keys()).chain(&soundings).copied().collect();
        all.sort_unstable();
        all.dedup();
        for at in all.into_iter().filter(|&at| at < end) {
            let pusch = plan.pusch.get(&at);
            if let Some(&(count, transmission)) = pusch {
                self.pusch(at, count, transmission, taken, end, out);
            } else if let Some(&format) = plan.pucch.get(&at) {
                self.pucch(at, format, out);
                continue;
            }
            if soundings.binary_search(&at).is_ok() {
                self.srs(at, out);
            }
        }
    }

    fn prach(&mut self, subframe: i64, attempt: u32, attempts: u32, out: &mut Vec<Emission>) {
        let preamble = Preamble::draw(&mut self.member, &self.cell);
        let lower_db = self.member.lower_db(self.cell.ramp_db, attempt, attempts);
        let place = (self.cell.prach_block, lte::PRACH_BLOCKS);
        let notes = preamble.notes(&self.member, subframe, attempt);
        let make = preamble.wave(place.0, self.member.station.blocks);
        let start = (self.start_s(subframe), lower_db);
        push(&mut self.member, "lte/prach", start, place, notes, make, out);
    }

    /// First blocks in both slots of a free place for a PUSCH; a smaller one where there is none.
    fn allocate(
        &mut self,
        subframe: i64,
        count: u16,
        transmission: u32,
        taken: &mut Occupancy,
    ) -> Option<(u16, [u16; 2])> {
        let carrier = self.member.station.blocks;
        reserve_prach(&self.cell, carrier, subframe, taken);
        let edge = self.cell.edge_blocks();
        let slots = [0, 1].map(|slot| (2 * subframe + slot).rem_euclid(lte::FRAME_SLOTS as i64) as usize);
        let mut sizes: Vec<u16> = lte::pusch_sizes(count.min(self.inner_blocks())).collect();
        while let Some(size) = sizes.pop() {
            let hopping = self.cell.hopping.filter(|hopping| hopping.subband_blocks(carrier) >= size);
            for _ in 0..TRIES {
                let firsts = match hopping {
                    None => [self.member.rng.random_range(0..=carrier - size); 2],
                    Some(hopping) => {
                        let width = hopping.subband_blocks(carrier);
                        let subband = self.member.rng.random_range(0..hopping.subbands);
                        let within = self.member.rng.random_range(0..=width - size);
                        let first = hopping.first_block() + subband * width + within;
                        let at = |block, slot| hopping.physical_block(carrier, block, slot, transmission);
                        slots.map(|slot| at(first, slot).min(at(first + size - 1, slot)))
                    }
                };
                let inside = |&first: &u16| {
                    first >= edge.min(carrier - size) && first + size <= carrier - edge.min(carrier - size)
                };
                let places = [(2 * subframe, firsts[0]), (2 * subframe + 1, firsts[1])];
                if firsts.iter().all(inside) && taken.take(&places, size, carrier) {
                    return Some((size, firsts));
                }
            }
        }
        None
    }

    fn pusch(
        &mut self,
        subframe: i64,
        count: u16,
        transmission: u32,
        taken: &mut Occupancy,
        end: i64,
        out: &mut Vec<Emission>,
    ) {
        if subframe >= end {
            return;
        }
        let Some((count, firsts)) = self.allocate(subframe, count, transmission, taken) else { return };
        let qpsk = self.member.rng.random::<f64>() < 0.7;
        let modulation = if qpsk { lte_wave::Modulation::Qpsk } else { lte_wave::Modulation::Qam16 };
        // The last symbol is left to the soundings of the cell that overlap. TS 36.211 clause 5.3.4.
        let overlaps = self.cell.srs.is_some_and(|(c_srs, _)| {
            let cell_wide = Srs { c_srs, b_srs: 0, b_hop: 3, position: 0, comb: 0 };
            let (first, width) = cell_wide.blocks(self.member.station.blocks, 0);
            firsts[1] < first + width && first < firsts[1] + count
        });
        let shortened = overlaps && self.cell.sounds_in(subframe);
        let lengths = [lte::SLOT_SYMBOLS, lte::SLOT_SYMBOLS - usize::from(shortened)];
        let cell_id = self.member.station.cell_id;
        let shifts = [0, 1].map(|slot| {
            let n_s = (2 * subframe + slot).rem_euclid(lte::FRAME_SLOTS as i64) as usize;
            (lte::pusch_dmrs_shift(cell_id, n_s) + self.dmrs_shift) % 12
        });
        let groups = [0, 1].map(|slot| self.group(2 * subframe + slot));
        let (carrier, seed) = (self.member.station.blocks, self.member.rng.random());
        let slot = move |slot: usize, start_ts: u32, rng: &mut ChaCha8Rng| {
            let blocks = (firsts[slot], count, carrier);
            lte_wave::pusch_slot(start_ts, blocks, modulation, (groups[slot], shifts[slot]), lengths[slot], rng)
        };
        let notes = vec![("transmission", transmission.into())];
        let start_s = self.start_s(subframe) - self.advance_s;
        if firsts[0] == firsts[1] {
            let make = move || {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut whole = slot(0, 0, &mut rng);
                whole.symbols.extend(slot(1, lte::SLOT_TS, &mut rng).symbols);
                whole
            };
            push(&mut self.member, "lte/pusch", (start_s, 0.0), (firsts[0], count), notes, Box::new(make), out);
        } else {
            for (half, first) in firsts.into_iter().enumerate() {
                let seed = seed ^ half as u64;
                let make = move || slot(half, 0, &mut ChaCha8Rng::seed_from_u64(seed));
                let at = (start_s + half as f64 * SUBFRAME_S / 2.0, 0.0);
                push(&mut self.member, "lte/pusch", at, (first, count), notes.clone(), Box::new(make), out);
            }
        }
    }

    fn pucch(&mut self, subframe: i64, format: Pucch, out: &mut Vec<Emission>) {
        let (carrier, cell_id) = (self.member.station.blocks, self.member.station.cell_id);
        let (cover, ack, seed) = (self.cover, self.member.rng.random(), self.member.rng.random::<u64>());
        for slot in 0..2u32 {
            let u = self.group(2 * subframe + i64::from(slot));
            let n_s = (2 * subframe + i64::from(slot)).rem_euclid(lte::FRAME_SLOTS as i64) as usize;
            let block = lte::pucch_block(carrier, self.pucch_m[usize::from(format == Pucch::Format2)], n_s);
            let shifts = lte::pucch_shifts(cell_id, n_s).map(|shift| (shift + self.pucch_shift) % 12);
            let make = move || match format {
                Pucch::Format1 => lte_wave::pucch1_hopping_slot((block, carrier), u, shifts, cover, ack),
                Pucch::Format2 => {
                    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ u64::from(slot));
                    lte_wave::pucch2_slot((block, carrier), u, shifts, &mut rng)
                }
            };
            let name = if format == Pucch::Format1 { "1" } else { "2" };
            let start_s = self.start_s(subframe) - self.advance_s + f64::from(slot) * SUBFRAME_S / 2.0;
            push(
                &mut self.member,
                "lte/pucch",
                (start_s, 0.0),
                (block, 1),
                vec![("format", name.into())],
                Box::new(make),
                out,
            );
        }
    }

    fn srs(&mut self, subframe: i64, out: &mut Vec<Emission>) {
        let Some((srs, period, _)) = self.srs else { return };
        let carrier = self.member.station.blocks;
        // n_SRS counts within the 1024 frames. TS 36.211 clause 5.5.3.2.
        let (first, count) = srs.blocks(carrier, (subframe.rem_euclid(10_240) / period) as u64);
        let (u, shift) = (self.group(2 * subframe + 1), self.srs_shift);
        let make = move || lte_wave::srs((first, count, carrier), srs.comb, (u, shift));
        let last_symbol_ts = lte::SLOT_TS + lte::symbol_start_ts(lte::SLOT_SYMBOLS - 1);
        let start_s = self.start_s(subframe) - self.advance_s + f64::from(last_symbol_ts) / lte::TS_PER_SECOND;
        push(
            &mut self.member,
            "lte/srs",
            (start_s, 0.0),
            (first, count),
            vec![("comb", srs.comb.into())],
            Box::new(make),
            out,
        );
    }
}

/// Keeps the blocks of the PRACH free in a subframe that a preamble may lie in.
fn reserve_prach(cell: &LteStation, carrier_blocks: u16, subframe: i64, taken: &mut Occupancy) {
    for back in 0..i64::from(cell.prach.preamble().subframes) {
        if cell.prach.is_occasion(subframe - back) {
            let places = [0, 1].map(|slot| (2 * subframe + slot, cell.prach_block));
            taken.take(&places, lte::PRACH_BLOCKS, carrier_blocks);
        }
    }
}

/// How long a side of a call talks or is silent, in milliseconds: exponential, 1 and 1.35 s on average (from memory of
/// ITU-T P.59: unchecked).
fn spurt_ms(talks: bool, rng: &mut impl Rng) -> i64 {
    let mean_ms = if talks { 1000.0 } else { 1350.0 };
    (-(1.0 - rng.random::<f64>()).ln() * mean_ms) as i64 + 1
}

impl Plan {
    /// Repeats the PUSCH of a subframe eight subframes later.
    fn again(&mut self, at: i64) {
        if let Some(&(count, transmission)) = self.pusch.get(&at) {
            self.pusch.insert(at + HARQ_SUBFRAMES, (count, transmission + 1));
        }
    }
}
