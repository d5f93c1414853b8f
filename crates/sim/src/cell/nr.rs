//! NR phones of a base station, and what the base station itself sends where it shares their band.

use super::{LIGHT, Member, Occupancy};
use crate::activity::{Emission, Sender, streams};
use crate::frontend::stream;
use crate::scene::{NrStation, PhoneActivity, Scene, Station};
use crate::wave::lte::{Modulation, OfdmBurst};
use crate::wave::nr as nr_wave;
use crate::wave::nr::{Grid, PuschWaveform};
use crate::wave::{MakeOfdm, Wave};
use cellwarden_standards::lte::{self, TS_PER_SECOND};
use cellwarden_standards::nr;
use cellwarden_types::db;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;

/// Preambles of a cell. TS 38.211 clause 6.3.3.1.
const PREAMBLES: usize = 64;
/// Most steps of a timing advance in the answer to a preamble. TS 38.213 clause 4.2.
const MOST_ADVANCE: f64 = 3846.0;
/// Random places that are tried for a PUSCH before it is made smaller.
const TRIES: usize = 40;
/// Blocks at each edge of the carrier that the PUCCH has, of carriers that have more than a few.
const EDGE_BLOCKS: u16 = 2;
/// Width that `eirp_dbm` fills, in hertz: that of LTE's preamble.
const REFERENCE_HZ: f64 = lte::PRACH_HZ;

/// An NR phone.
pub(super) struct NrMember<'a> {
    member: Member<'a>,
    cell: &'a NrStation,
    /// Of all but preambles.
    advance_s: f64,
    /// Of all, in unpaired spectrum.
    tdd_advance_s: f64,
    /// PUCCH resource, and its initial cyclic shift.
    pucch_m: u16,
    pucch_shift: usize,
    srs_shift: usize,
    srs_comb: u8,
    /// Slot of its sounding within the period.
    srs_offset: i64,
}

impl<'a> NrMember<'a> {
    pub(super) fn new(mut member: Member<'a>, cell: &'a NrStation) -> Self {
        let step_ts = 16.0 / f64::from(cell.spacing.slots());
        let tdd_advance_ts = if cell.tdd.is_some() { nr::TDD_ADVANCE_TS } else { 0 };
        Self {
            advance_s: member.advance_s(step_ts, MOST_ADVANCE),
            tdd_advance_s: f64::from(tdd_advance_ts) / TS_PER_SECOND,
            pucch_m: member.rng.random_range(0..2 * EDGE_BLOCKS),
            pucch_shift: member.rng.random_range(0..12),
            srs_shift: member.rng.random_range(0..8),
            srs_comb: member.phone.srs.comb.unwrap_or(member.rng.random_range(0..2)),
            srs_offset: member.rng.random_range(0..10_000),
            member,
            cell,
        }
    }

    fn slot_ts(&self) -> i64 {
        i64::from(self.cell.spacing.slot_ts())
    }

    /// Slots of a millisecond.
    fn slots(&self) -> i64 {
        i64::from(self.cell.spacing.slots())
    }

    pub(super) fn send(mut self, taken: &mut Occupancy, out: &mut Vec<Emission>) {
        let activity = *self.member.phone.activity.get_ref();
        let usual_s = match activity {
            PhoneActivity::NrAccess | PhoneActivity::NrRegistration => 1.2,
            _ => 5.0,
        };
        let end_s = self.member.end_s(usual_s);
        let end = ((end_s - self.member.station.frame_zero_s) * TS_PER_SECOND) as i64 / self.slot_ts();
        let train = matches!(activity, PhoneActivity::NrPusch | PhoneActivity::NrPucch | PhoneActivity::NrSrs);
        let attempts = self.member.attempts(train, end_s);
        let from = self.access(end, attempts, taken, out);
        if activity == PhoneActivity::NrAccess {
            return;
        }
        // Slots that the phone would like, and blocks of a PUSCH; none: a PUCCH.
        let mut plan: BTreeMap<i64, u16> = BTreeMap::new();
        // Milliseconds from one acknowledgement or request to the next, on average.
        let mut control_ms = 0.0;
        let mut last = end;
        let phone = self.member.phone;
        let blocks = self.member.station.blocks;
        let most = phone.resource_blocks.unwrap_or(blocks).min(blocks);
        let (from_ms, end_ms) = (from / self.slots(), end / self.slots());
        let slots = self.slots();
        let rng = &mut self.member.rng;
        match activity {
            PhoneActivity::NrRegistration => {
                let (count, length_ms) = (rng.random_range(10..=16), rng.random_range(300..=500));
                for k in 0..count {
                    let within = rng.random_range(0.25..0.75);
                    let at_ms = (f64::from(k) + within) * f64::from(length_ms) / f64::from(count);
                    plan.insert(from + (at_ms * slots as f64) as i64, rng.random_range(1..=6).min(most));
                }
                last = from + i64::from(length_ms) * slots;
                control_ms = 15.0;
            }
            PhoneActivity::NrVoice => {
                control_ms = 20.0;
                for at_ms in (from_ms..end_ms).step_by(20) {
                    plan.insert(at_ms * slots, rng.random_range(1..=4).min(most));
                }
            }
            PhoneActivity::NrPusch => {
                for at_ms in (from_ms..end_ms).step_by(usize::from(phone.period_ms.unwrap_or(20))) {
                    let drawn = rng.random_range(1..=blocks);
                    plan.insert(at_ms * slots, phone.resource_blocks.unwrap_or(drawn));
                }
            }
            PhoneActivity::NrPucch => {
                for at_ms in (from_ms..end_ms).step_by(usize::from(phone.period_ms.unwrap_or(20))) {
                    plan.insert(at_ms * slots, 0);
                }
            }
            PhoneActivity::NrData => {
                control_ms = 10.0;
                let load = phone.load.unwrap_or(0.9);
                let mut size = rng.random_range(1..=most);
                for slot in from..end {
                    if rng.random::<f64>() < 0.02 {
                        size = rng.random_range(1..=most);
                    }
                    if self.cell.is_up(slot) && rng.random::<f64>() < load {
                        plan.insert(slot, size);
                    }
                }
            }
            _ => {}
        }
        let last = last.min(end);
        if control_ms > 0.0 {
            let mut at_ms = 0.0;
            loop {
                let mut slot = from + (at_ms * slots as f64) as i64;
                while !self.cell.is_up(slot) {
                    slot += 1;
                }
                if slot >= last {
                    break;
                }
                // Where there is a PUSCH it travels in that. TS 38.213 clause 9.
                plan.entry(slot).or_insert(0);
                at_ms += control_ms * rng.random_range(0.5..1.5);
            }
        }
        let mut busy = std::collections::BTreeSet::new();
        for (slot, count) in plan {
            let mut slot = slot;
            while !self.cell.is_up(slot) || busy.contains(&slot) {
                slot += 1;
            }
            if slot < last {
                match count {
                    0 => self.pucch(slot, out),
                    _ => self.pusch(slot, count, taken, out),
                }
                busy.insert(slot);
            }
        }
        self.sound(from, last, &busy, out);
    }

    /// When something begins at the phone that begins `ts` after frame 0 at the base station, without timing advance.
    fn start_s(&self, ts: i64) -> f64 {
        self.member.station.frame_zero_s + ts as f64 / TS_PER_SECOND + self.member.delay_s - self.tdd_advance_s
    }

    /// The preambles, and message 3 where something follows. Returns the first slot for what does.
    fn access(&mut self, end: i64, attempts: u32, taken: &mut Occupancy, out: &mut Vec<Emission>) -> i64 {
        let begin_s = self.member.phone.start_s - self.start_s(0);
        let first_ts = (begin_s * TS_PER_SECOND).ceil() as i64;
        let mut at_ts = first_ts;
        let ms = i64::from(nr::SUBFRAME_TS);
        for attempt in 0..attempts {
            let (start_ts, format) = self.cell.next_occasion(at_ts);
            if start_ts >= end * self.slot_ts() {
                return end;
            }
            let preamble = format.preamble(self.cell.prach_spacing);
            self.prach(start_ts, format, (attempt, attempts), out);
            at_ts = start_ts + i64::from(preamble.cp_ts + preamble.body_ts());
            if let Some(period_ms) = self.member.access_period_ms() {
                at_ts = at_ts.max(first_ts + (i64::from(attempt) + 1) * i64::from(period_ms) * ms);
            } else if attempt + 1 < attempts {
                // The answer's window, then back-off. TS 38.321 clauses 5.1.4 and 5.1.5.
                at_ts += ms * (10 + self.member.rng.random_range(0..20));
            }
        }
        let mut slot = at_ts.div_euclid(self.slot_ts()) + 1;
        if attempts > 0 && *self.member.phone.activity.get_ref() != PhoneActivity::NrAccess {
            slot += self.slots() * self.member.rng.random_range(5..12);
            while !self.cell.is_up(slot) {
                slot += 1;
            }
            if slot < end {
                self.pusch(slot, 2, taken, out);
            }
            slot += 1 + 8 * self.slots();
        }
        slot
    }

    fn push(
        &mut self,
        label: &'static str,
        (start_s, lower_db): (f64, f64),
        edges: (f64, f64),
        notes: Vec<(&'static str, Value)>,
        make: MakeOfdm,
        out: &mut Vec<Emission>,
    ) {
        let eirp_dbm = self.member.eirp_dbm(db((edges.1 - edges.0) / REFERENCE_HZ), lower_db);
        out.push(self.member.ofdm(label, start_s, edges, eirp_dbm, notes, make));
    }

    fn edges(&self, first: u16, count: u16) -> (f64, f64) {
        let edge = |block| nr_wave::block_edge_hz(self.cell.spacing, block, self.member.station.blocks);
        (edge(first), edge(first + count))
    }

    fn prach(
        &mut self,
        start_ts: i64,
        format: nr::NrPrachFormat,
        (attempt, attempts): (u32, u32),
        out: &mut Vec<Emission>,
    ) {
        let preamble = format.preamble(self.cell.prach_spacing);
        let (width, k_bar) = preamble.mapping(self.cell.spacing);
        let drawn = self.member.rng.random_range(0..PREAMBLES);
        let index = self.member.phone.preamble.map_or(drawn, usize::from);
        let (root, shift) = preamble.root_and_shift(self.cell.root_index, self.cell.n_cs, index);
        let (carrier, spacing) = (self.member.station.blocks, self.cell.spacing);
        let first_hz =
            nr_wave::block_first_hz(spacing, self.cell.prach_block, carrier) + f64::from(k_bar) * preamble.spacing_hz;
        let in_subframe = start_ts.rem_euclid(i64::from(nr::SUBFRAME_TS)) as u32;
        let subframe = start_ts.div_euclid(i64::from(nr::SUBFRAME_TS));
        let cp_ts = preamble.cp_at_ts(in_subframe);
        let notes = vec![
            ("format", format.name().into()),
            ("spacing_hz", preamble.spacing_hz.into()),
            ("preamble", index.into()),
            ("root", root.into()),
            ("cyclic_shift", shift.into()),
            ("frame", subframe.div_euclid(10).rem_euclid(1024).into()),
            ("subframe", subframe.rem_euclid(10).into()),
            ("attempt", attempt.into()),
            ("distance_m", (self.member.distance_m.round() as i64).into()),
        ];
        let make = move || nr_wave::prach(&preamble, cp_ts, (root, shift), first_hz);
        let lower_db = self.member.lower_db(self.cell.ramp_db, attempt, attempts);
        let edges = self.edges(self.cell.prach_block, width);
        self.push("nr/prach", (self.start_s(start_ts), lower_db), edges, notes, Box::new(make), out);
    }

    /// Keeps the blocks of the PRACH free in a slot.
    fn reserve(&self, slot: i64, taken: &mut Occupancy) {
        let (from_ts, to_ts) = (slot * self.slot_ts(), (slot + 1) * self.slot_ts());
        let subframe_ts = i64::from(nr::SUBFRAME_TS);
        let subframe = from_ts.div_euclid(subframe_ts);
        for subframe in (subframe - 4..=subframe).filter(|&subframe| self.cell.prach.is_in(subframe)) {
            for occasion in self.cell.prach.occasions(self.cell.prach_spacing) {
                let preamble = occasion.format.preamble(self.cell.prach_spacing);
                let start_ts = subframe * subframe_ts + i64::from(occasion.start_ts);
                let end_ts = start_ts + i64::from(preamble.cp_at_ts(occasion.start_ts) + preamble.body_ts());
                if start_ts < to_ts && from_ts < end_ts {
                    let (width, _) = preamble.mapping(self.cell.spacing);
                    taken.take(&[(slot, self.cell.prach_block)], width, self.member.station.blocks);
                }
            }
        }
    }

    fn allocate(&mut self, slot: i64, count: u16, taken: &mut Occupancy) -> Option<(u16, u16)> {
        self.reserve(slot, taken);
        let carrier = self.member.station.blocks;
        let spread = self.member.phone.waveform == PuschWaveform::DftSOfdm;
        let edge = self.edge_blocks();
        let inner = carrier - 2 * edge;
        for size in (1..=count.min(inner)).rev().filter(|&n| !spread || lte::is_pusch_size(n)) {
            for _ in 0..TRIES {
                let first = edge + self.member.rng.random_range(0..=inner - size);
                if taken.take(&[(slot, first)], size, carrier) {
                    return Some((first, size));
                }
            }
        }
        None
    }

    /// Blocks at each edge that are the PUCCH's.
    fn edge_blocks(&self) -> u16 {
        if self.member.station.blocks >= 4 * EDGE_BLOCKS { EDGE_BLOCKS } else { 0 }
    }

    fn grid(&self, slot: i64) -> Grid {
        Grid {
            spacing: self.cell.spacing,
            carrier_blocks: self.member.station.blocks,
            carrier_hz: self.member.station.carrier_hz,
            cell_id: self.member.station.cell_id,
            slot: slot.rem_euclid(10 * self.slots()) as u32,
        }
    }

    fn pusch(&mut self, slot: i64, count: u16, taken: &mut Occupancy, out: &mut Vec<Emission>) {
        let Some(blocks) = self.allocate(slot, count, taken) else { return };
        let (grid, waveform) = (self.grid(slot), self.member.phone.waveform);
        let qpsk = self.member.rng.random::<f64>() < 0.6;
        let modulation = if qpsk { Modulation::Qpsk } else { Modulation::Qam16 };
        let seed = self.member.rng.random();
        let make = move || {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            nr_wave::pusch_slot(&grid, blocks, waveform, modulation, nr::PUSCH_DMRS_SYMBOLS[1], &mut rng)
        };
        let name = if waveform == PuschWaveform::CpOfdm { "cp-ofdm" } else { "dft-s-ofdm" };
        let notes = vec![("waveform", name.into())];
        let start_s = self.start_s(slot * self.slot_ts()) - self.advance_s;
        let edges = self.edges(blocks.0, blocks.1);
        self.push("nr/pusch", (start_s, 0.0), edges, notes, Box::new(make), out);
    }

    /// A PUCCH format 1 over the slot, which hops from one edge to the mirrored block in the middle of it.
    fn pucch(&mut self, slot: i64, out: &mut Vec<Emission>) {
        let grid = self.grid(slot);
        let shifts = nr::pucch_shifts(grid.cell_id, grid.slot).map(|shift| (shift + self.pucch_shift) % 12);
        let (low, ack) = (self.pucch_m / 2 % self.member.station.blocks, self.member.rng.random());
        let high = self.member.station.blocks - 1 - low;
        let blocks = if self.pucch_m % 2 == 0 { [low, high] } else { [high, low] };
        let base = nr::SLOT_SYMBOLS as u32 * (grid.slot % self.cell.spacing.slots());
        let symbol = |l| self.cell.spacing.symbol_start_ts(base + l);
        let half_ts = i64::from(symbol(nr::SLOT_SYMBOLS as u32 / 2) - symbol(0));
        for (second, block) in [(false, blocks[0]), (true, blocks[1])] {
            let make = move || nr_wave::pucch1_hop(&grid, block, second, shifts, ack);
            let start_ts = slot * self.slot_ts() + if second { half_ts } else { 0 };
            let start_s = self.start_s(start_ts) - self.advance_s;
            let notes = vec![("format", "1".into())];
            self.push("nr/pucch", (start_s, 0.0), self.edges(block, 1), notes, Box::new(make), out);
        }
    }

    /// Soundings over the widest multiple of four blocks, in the last symbol of a special slot that has one up, else of
    /// a slot up; none in a slot with a PUSCH of this phone.
    fn sound(&mut self, from: i64, end: i64, busy: &std::collections::BTreeSet<i64>, out: &mut Vec<Emission>) {
        let period = self.slots() * i64::from(self.member.phone.srs.period_ms.unwrap_or(20));
        let count = self.member.station.blocks / 4 * 4;
        if period == 0 || count == 0 {
            return;
        }
        let special = self.cell.tdd.as_ref().filter(|tdd| tdd.special[2] > 0 && tdd.slots.contains(&b'S'));
        let sounds = |slot: i64| match special {
            Some(tdd) => tdd.slots[slot.rem_euclid(tdd.slots.len() as i64) as usize] == b'S',
            None => self.cell.is_up(slot),
        };
        let first = (self.member.station.blocks - count) / 2;
        let mut at = from + (self.srs_offset - from).rem_euclid(period);
        let mut places = Vec::new();
        while at < end {
            places.extend(
                (at..at + period).find(|&slot| sounds(slot) && !busy.contains(&slot)).filter(|&slot| slot < end),
            );
            at += period;
        }
        for slot in places {
            let grid = self.grid(slot);
            let (comb, shift) = (self.srs_comb, self.srs_shift);
            let last = nr::SLOT_SYMBOLS as u32 - 1;
            let make = move || nr_wave::srs(&grid, (first, count), last, comb, shift);
            let base = nr::SLOT_SYMBOLS as u32 * (grid.slot % self.cell.spacing.slots());
            let symbol = |l| self.cell.spacing.symbol_start_ts(base + l);
            let start_ts = slot * self.slot_ts() + i64::from(symbol(last) - symbol(0));
            let start_s = self.start_s(start_ts) - self.advance_s;
            let edges = self.edges(first, count);
            let notes = vec![("comb", comb.into())];
            self.push("nr/srs", (start_s, 0.0), edges, notes, Box::new(make), out);
        }
    }
}

/// Adds what an NR base station in unpaired spectrum sends itself. It reaches the site as late as its distance to the
/// first sensor says.
pub(super) fn send_downlink(scene: &Scene, index: usize, station: &Station, cell: &NrStation, out: &mut Vec<Emission>) {
    let (Some(tdd), Some(place)) = (&cell.tdd, station.place) else { return };
    let listener = scene.file.sensor[0].position;
    let delay_s = (place[0] - listener[0]).hypot(place[1] - listener[1]) / LIGHT;
    let slot_s = f64::from(cell.spacing.slot_ts()) / TS_PER_SECOND;
    let period = tdd.slots.len() as i64;
    let mut rng = stream(scene.file.seed, streams::DOWNLINK + index as u64);
    let begin_s = station.frame_zero_s + delay_s;
    let first = ((-begin_s) / slot_s / period as f64).floor() as i64;
    let last = ((scene.file.duration_s - begin_s) / slot_s / period as f64).ceil() as i64;
    for (from, count) in (first..last)
        .flat_map(|n| tdd.downs().into_iter().map(move |(slot, count)| (n * period + i64::from(slot), count)))
    {
        let loads: Vec<(u16, u16)> = (0..count.div_ceil(nr::SLOT_SYMBOLS as u32))
            .map(|_| {
                // Around the mean, as far as the carrier goes.
                let spread = tdd.load.min(1.0 - tdd.load);
                let share = tdd.load + rng.random_range(-1.0..1.0) * spread;
                let blocks = ((f64::from(station.blocks) * share).round() as u16).clamp(1, station.blocks);
                (rng.random_range(0..=station.blocks - blocks), blocks)
            })
            .collect();
        let grid = Grid {
            spacing: cell.spacing,
            carrier_blocks: station.blocks,
            carrier_hz: station.carrier_hz,
            cell_id: station.cell_id,
            slot: from.rem_euclid(10 * i64::from(cell.spacing.slots())) as u32,
        };
        let seed = rng.random();
        let whole = count / nr::SLOT_SYMBOLS as u32;
        // Odd slots of 15 kHz do not exist and all slots of 30 kHz are alike: symbols of the last, from its start.
        let rest_ts = cell.spacing.symbol_start_ts(count % nr::SLOT_SYMBOLS as u32);
        let duration_s = f64::from(whole) * slot_s + f64::from(rest_ts) / TS_PER_SECOND;
        let edge = |block| nr_wave::block_edge_hz(cell.spacing, block, station.blocks);
        let make =
            move || -> OfdmBurst { nr_wave::downlink(&grid, count, &loads, &mut ChaCha8Rng::seed_from_u64(seed)) };
        out.push(Emission {
            sender: Sender::BaseStation(index),
            label: "other/downlink",
            start_s: begin_s + from as f64 * slot_s,
            duration_s,
            carrier_hz: station.carrier_hz,
            lower_hz: station.carrier_hz + edge(0),
            upper_hz: station.carrier_hz + edge(station.blocks),
            eirp_dbm: tdd.eirp_dbm,
            turns: rng.random(),
            channel: station.channel,
            notes: vec![("base_station", station.name.as_str().into())],
            wave: Box::new(move || Wave::Ofdm(make())),
        });
    }
}
