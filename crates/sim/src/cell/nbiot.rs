//! NB-IoT machines of a base station.

use super::{Member, Occupancy};
use crate::activity::Emission;
use crate::scene::{NprachFile, PhoneActivity};
use crate::wave::MakeOfdm;
use crate::wave::nbiot as nbiot_wave;
use crate::wave::nbiot::{Npusch, TonePhase};
use cellwarden_standards::lte::TS_PER_SECOND;
use cellwarden_standards::nbiot::{self, Tones};
use rand::Rng;
use serde_json::Value;

/// Seconds of the unit that the schedule counts in.
const MS: f64 = 1e-3;
/// Steps of 16 Ts that a timing advance has at most. TS 36.213 clause 16.1.2.
const MOST_ADVANCE: f64 = 1536.0;

/// An NB-IoT machine.
pub(super) struct NbiotMember<'a> {
    member: Member<'a>,
    cell: NprachFile,
    advance_s: f64,
}

impl<'a> NbiotMember<'a> {
    pub(super) fn new(member: Member<'a>, cell: NprachFile) -> Self {
        let advance_s = member.advance_s(16.0, MOST_ADVANCE);
        Self { member, cell, advance_s }
    }

    pub(super) fn send(mut self, taken: &mut Occupancy, out: &mut Vec<Emission>) {
        let first = self.member.first_unit(MS);
        let end_s = self.member.end_s(60.0);
        let end = ((end_s - self.member.station.frame_zero_s) / MS).floor() as i64;
        let attempts = self.member.phone.attempts.unwrap_or(1);
        let mut at = first;
        for attempt in 0..attempts {
            at = self.cell.next_start(at);
            if at >= end {
                return;
            }
            at = self.nprach(at, (attempt, attempts), out);
            // The answer's window, then back-off. TS 36.321 clause 5.1.4.
            at += self.member.rng.random_range(20..120);
        }
        if *self.member.phone.activity.get_ref() == PhoneActivity::NbiotAccess {
            return;
        }
        // Message 3, then what a beacon's attach had: about ten NPUSCH in a second, 20 to 160 ms apart.
        for _ in 0..self.member.rng.random_range(6..=10) {
            if at >= end {
                return;
            }
            at = self.npusch(at, taken, out);
            at += self.member.rng.random_range(20..160);
        }
    }

    /// Start of a millisecond at the machine, without timing advance.
    fn start_s(&self, ms: i64) -> f64 {
        self.member.station.frame_zero_s + ms as f64 * MS + self.member.delay_s
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
        // Its few subcarriers have all of it.
        let eirp_dbm = self.member.eirp_dbm(0.0, lower_db);
        out.push(self.member.ofdm(label, start_s, edges, eirp_dbm, notes, make));
    }

    /// A preamble with its repetitions, as many emissions as it has parts between gaps. Returns when it ends.
    fn nprach(&mut self, at: i64, (attempt, attempts): (u32, u32), out: &mut Vec<Emission>) -> i64 {
        let (format, offset) = (self.cell.format, self.cell.offset);
        let drawn = self.member.rng.random_range(0..self.cell.subcarriers);
        let first = self.member.phone.preamble.map_or(drawn, |n| n % self.cell.subcarriers);
        let repetitions = usize::from(self.cell.repetitions);
        let all = nbiot::nprach_subcarriers(self.member.station.cell_id, offset, first, repetitions);
        let lowest = offset + first / nbiot::NPRACH_HOP_SUBCARRIERS * nbiot::NPRACH_HOP_SUBCARRIERS;
        let edge = |n: u8| f64::from(n) * nbiot::NARROW_HZ - nbiot::CARRIER_HZ / 2.0;
        let edges = (edge(lowest), edge(lowest + nbiot::NPRACH_HOP_SUBCARRIERS));
        let lower_db = self.member.lower_db(self.cell.ramp_db, attempt, attempts);
        let mut start_s = self.start_s(at);
        for part in all.chunks(nbiot::NPRACH_GROUPS * nbiot::NPRACH_GAP_AFTER) {
            let notes = vec![
                ("format", format.into()),
                ("subcarrier", part[0].into()),
                ("repetitions", (part.len() / nbiot::NPRACH_GROUPS).into()),
                ("attempt", attempt.into()),
                ("distance_m", (self.member.distance_m.round() as i64).into()),
            ];
            let part = part.to_vec();
            let make = move || nbiot_wave::nprach(format, &part);
            let duration_s = make().seconds();
            self.push("nbiot/prach", (start_s, lower_db), edges, notes, Box::new(make), out);
            start_s += duration_s + f64::from(nbiot::GAP_MS) * MS;
        }
        at + self.cell.length_ms()
    }

    /// One NPUSCH on free subcarriers, as many emissions as it has parts between gaps. Returns when it ends.
    fn npusch(&mut self, from: i64, taken: &mut Occupancy, out: &mut Vec<Emission>) -> i64 {
        let phone = self.member.phone;
        let rng = &mut self.member.rng;
        let drawn = [1, 1, 3, 6, 12][rng.random_range(0..5)];
        let narrow = phone.spacing.is_some_and(|hz| hz.0 < 10e3);
        let tones = if narrow { Tones::Narrow } else { Tones::Wide(phone.tones.unwrap_or(drawn)) };
        let npusch = Npusch {
            tones,
            first: rng.random_range(0..tones.carrier_subcarriers() / tones.count()) * tones.count(),
            units: phone.resource_units.unwrap_or(rng.random_range(1..=4)),
            repetitions: phone.repetitions.unwrap_or(1),
            cell_id: self.member.station.cell_id,
            phase: if rng.random() { TonePhase::Bpsk } else { TonePhase::Qpsk },
            seed: rng.random(),
        };
        // In units of 3.75 kHz.
        let width = (tones.spacing_hz() / nbiot::NARROW_HZ).round() as u16;
        let (slots_ms, all_ms) =
            (f64::from(tones.slot_ts()) / 30720.0, f64::from(npusch.slots() * tones.slot_ts()) / 30720.0);
        let step = if narrow { 2 } else { 1 };
        // Runs of milliseconds from its start, with gaps.
        let longest_ms = i64::from(nbiot::NPUSCH_GAP_AFTER_MS);
        let whole_ms = all_ms.ceil() as i64;
        let runs: Vec<(i64, i64)> = (0..whole_ms)
            .step_by(longest_ms as usize)
            .map(|ms| (ms + ms / longest_ms * i64::from(nbiot::GAP_MS), (whole_ms - ms).min(longest_ms)))
            .collect();
        let mut at = from + (from.rem_euclid(step) != 0) as i64;
        loop {
            let all = runs.iter().flat_map(|(from, length)| *from..from + length);
            let first = u16::from(npusch.first) * width;
            let places: Vec<(i64, u16)> = all.map(|ms| (at + ms, first)).collect();
            places.iter().for_each(|&(ms, _)| self.cell.reserve(ms, taken));
            let (count, carrier) = (u16::from(tones.count()) * width, u16::from(nbiot::NARROW_SUBCARRIERS));
            if taken.take(&places, count, carrier) {
                break;
            }
            at += step;
            if at > from + 10_000 {
                return at; // a carrier full of others for ten seconds
            }
        }
        let edge = |n: u8| f64::from(n) * tones.spacing_hz() - nbiot::CARRIER_HZ / 2.0;
        let edges = (edge(npusch.first), edge(npusch.first + tones.count()));
        let mut slot = 0;
        for &(from, length) in &runs {
            let to = slot + (length as f64 / slots_ms).round() as u32;
            let notes = vec![
                ("tones", tones.count().into()),
                ("spacing_hz", tones.spacing_hz().into()),
                ("repetitions", npusch.repetitions.into()),
            ];
            let start_s = self.start_s(at + from) - self.advance_s;
            let make = move || npusch.burst(slot, to);
            self.push("nbiot/pusch", (start_s, 0.0), edges, notes, Box::new(make), out);
            slot = to;
        }
        let end = runs.last().map_or(0, |(from, length)| from + length);
        debug_assert!(f64::from(slot * tones.slot_ts()) / TS_PER_SECOND <= all_ms * MS + 1e-9);
        at + end
    }
}

impl NprachFile {
    /// The first millisecond from `from` on that a preamble may begin in. TS 36.211 clause 10.1.6.1.
    pub(super) fn next_start(&self, from: i64) -> i64 {
        let period = i64::from(self.period_ms);
        from + (i64::from(self.start_ms) - from).rem_euclid(period)
    }

    /// Keeps the subcarriers of the random access free in a millisecond that may hold some.
    fn reserve(&self, ms: i64, taken: &mut Occupancy) {
        let since = (ms - i64::from(self.start_ms)).rem_euclid(i64::from(self.period_ms));
        if since < self.length_ms() {
            let place = [(ms, u16::from(self.offset))];
            taken.take(&place, u16::from(self.subcarriers), u16::from(nbiot::NARROW_SUBCARRIERS));
        }
    }
}
