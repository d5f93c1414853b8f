//! Phones that follow a base station: its clock, its occasions, its blocks.

mod lte;
mod ltem;
mod nbiot;
mod nr;

use crate::activity::{Emission, LTE_EIRP_DBM, LTE_MAX_DBM, MakeWave, Sender, streams};
use crate::frontend::stream;
use crate::scene::{Phone, PhoneActivity, Scene, Station, StationKind};
use crate::wave::{MakeOfdm, Wave};
use cellwarden_standards::lte::TS_PER_SECOND;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::HashMap;

/// Speed of light, in metres per second.
const LIGHT: f64 = 299_792_458.0;
/// How far a phone may be from its base station where the scene says nothing, in metres.
const NEAR_M: f64 = 1000.0;

/// Which resource blocks of a carrier are taken, by slot since frame 0: phones of a base station share them.
#[derive(Debug, Default)]
pub(crate) struct Occupancy(HashMap<i64, Vec<bool>>);

impl Occupancy {
    /// Takes blocks `first` to `first + count` in a slot, unless one of them is taken in any of the slots.
    fn take(&mut self, places: &[(i64, u16)], count: u16, carrier_blocks: u16) -> bool {
        let range = |first: u16| usize::from(first)..usize::from(first + count);
        let free = |&(slot, first): &(i64, u16)| {
            first + count <= carrier_blocks
                && self.0.get(&slot).is_none_or(|taken| !taken[range(first)].contains(&true))
        };
        if !places.iter().all(free) {
            return false;
        }
        for &(slot, first) in places {
            let taken = self.0.entry(slot).or_insert_with(|| vec![false; usize::from(carrier_blocks)]);
            taken[range(first)].fill(true);
        }
        true
    }
}

/// A phone and the base station that it follows.
struct Member<'a> {
    phone: &'a Phone,
    sender: Sender,
    station: &'a Station,
    rng: ChaCha8Rng,
    /// Nothing that begins after it is made.
    scene_end_s: f64,
    distance_m: f64,
    /// From the base station to the phone.
    delay_s: f64,
}

impl<'a> Member<'a> {
    fn new(scene: &'a Scene, index: usize, station: &'a Station) -> Self {
        let phone = &scene.file.phone[index];
        let mut rng = stream(scene.file.seed, streams::PHONE + index as u64);
        let drawn_m = rng.random_range(0.0..NEAR_M);
        let at = scene.phone_places[index];
        let measured_m = station.place.map(|place| (place[0] - at[0]).hypot(place[1] - at[1]));
        let distance_m = phone.distance_m.or(measured_m).unwrap_or(drawn_m);
        Self {
            phone,
            sender: Sender::Phone(index),
            station,
            rng,
            scene_end_s: scene.file.duration_s,
            distance_m,
            delay_s: distance_m / LIGHT,
        }
    }

    /// What a timing advance of so many steps of `step_ts` (at most `most` of them) takes off the start of what is
    /// sent: the round trip, rounded.
    fn advance_s(&self, step_ts: f64, most: f64) -> f64 {
        (2.0 * self.delay_s * TS_PER_SECOND / step_ts).round().min(most) * step_ts / TS_PER_SECOND
    }

    /// How many preambles it sends. A train has none; of preambles at a period, as many as fit.
    fn attempts(&self, train: bool, end_s: f64) -> u32 {
        let usual = match self.access_period_ms() {
            Some(period_ms) => ((end_s - self.phone.start_s) * 1e3 / f64::from(period_ms)).ceil().max(1.0) as u32,
            None => u32::from(!train),
        };
        self.phone.attempts.unwrap_or(usual)
    }

    /// How far below the answered preamble, the last, another one lies. Those of a train are alike.
    fn lower_db(&self, ramp_db: f64, attempt: u32, attempts: u32) -> f64 {
        if self.access_period_ms().is_some() { 0.0 } else { ramp_db * f64::from(attempts - 1 - attempt) }
    }

    /// From one preamble to the next, where preambles are all it sends and the scene says so.
    fn access_period_ms(&self) -> Option<u16> {
        let alone = matches!(self.phone.activity.get_ref(), PhoneActivity::LteAccess | PhoneActivity::NrAccess);
        self.phone.period_ms.filter(|_| alone)
    }

    /// When the activity ends.
    fn end_s(&self, usual_s: f64) -> f64 {
        (self.phone.start_s + self.phone.length_s.unwrap_or(usual_s)).min(self.scene_end_s)
    }

    /// The first unit of length `unit_s` since frame 0 that begins, at the phone, when the activity has.
    fn first_unit(&self, unit_s: f64) -> i64 {
        ((self.phone.start_s - self.station.frame_zero_s - self.delay_s) / unit_s).ceil() as i64
    }

    /// What it sends with, `lower_db` below its level, which counts for six resource blocks: power control keeps the density, `share_db`
    /// is how much more is filled. TS 36.213 clause 5.1.1, TS 38.213 clause 7.1.1.
    fn eirp_dbm(&self, share_db: f64, lower_db: f64) -> f64 {
        let level_dbm = self.phone.eirp_dbm.unwrap_or(LTE_EIRP_DBM);
        (level_dbm + share_db).min(level_dbm.max(LTE_MAX_DBM)) - lower_db
    }

    /// An emission of this phone that OFDM makes.
    fn ofdm(
        &mut self,
        label: &'static str,
        start_s: f64,
        edges: (f64, f64),
        eirp_dbm: f64,
        notes: Vec<(&'static str, Value)>,
        make: MakeOfdm,
    ) -> Emission {
        let duration_s = make().seconds();
        self.emission(label, (start_s, duration_s), edges, eirp_dbm, notes, Box::new(move || Wave::Ofdm(make())))
    }

    /// An emission of this phone.
    fn emission(
        &mut self,
        label: &'static str,
        (start_s, duration_s): (f64, f64),
        (lower_hz, upper_hz): (f64, f64),
        eirp_dbm: f64,
        notes: Vec<(&'static str, Value)>,
        wave: MakeWave,
    ) -> Emission {
        let carrier_hz = self.station.carrier_hz + self.phone.cfo_hz;
        let jitter_s = self.phone.jitter_us * 1e-6;
        let off_s = if jitter_s > 0.0 { self.rng.random_range(-jitter_s..jitter_s) } else { 0.0 };
        let mut all = vec![("base_station", self.station.name.as_str().into())];
        all.extend(notes);
        Emission {
            sender: self.sender,
            label,
            start_s: start_s + off_s,
            duration_s,
            carrier_hz,
            lower_hz: carrier_hz + lower_hz,
            upper_hz: carrier_hz + upper_hz,
            eirp_dbm,
            turns: self.rng.random(),
            channel: self.station.channel,
            notes: all,
            wave,
        }
    }
}

/// Adds what a phone of base station `station` sends.
pub(crate) fn send(scene: &Scene, index: usize, station: usize, taken: &mut Occupancy, out: &mut Vec<Emission>) {
    let station = &scene.stations[station];
    let member = Member::new(scene, index, station);
    match &station.kind {
        StationKind::Lte(cell) if member.phone.activity.get_ref().is_machine() => {
            ltem::LtemMember::new(member, *cell).send(taken, out);
        }
        StationKind::Lte(cell) => lte::LteMember::new(member, *cell).send(taken, out),
        StationKind::Nr(cell) => nr::NrMember::new(member, cell).send(taken, out),
        StationKind::Nbiot(cell) => nbiot::NbiotMember::new(member, *cell).send(taken, out),
    }
}

/// Adds what a base station sends itself in the band.
pub(crate) fn send_station(scene: &Scene, index: usize, out: &mut Vec<Emission>) {
    let station = &scene.stations[index];
    if let StationKind::Nr(cell) = &station.kind {
        nr::send_downlink(scene, index, station, cell, out);
    }
}
