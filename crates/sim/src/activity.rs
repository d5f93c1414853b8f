//! What a phone sends in the course of an activity, and when.

use crate::cell::{self, Occupancy};
use crate::channel::normal;
use crate::frontend::stream;
use crate::scene::{Interferer, InterfererKind, Phone, PhoneActivity, RadioMode, Scene};
use crate::wave::other::{DqpskBurst, FmVoice, TETRA_SLOT_S, TETRA_SYMBOL_RATE};
use crate::wave::{Wave, gsm as gsm_wave, lte as lte_wave};
use cellwarden_standards::{gsm, lte};
use cellwarden_types::{Activity, db};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Who sends an emission: an index into the scene's phones, interferers or base stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A phone.
    Phone(usize),
    /// An interferer.
    Interferer(usize),
    /// A base station whose downlink lies in the phones' band.
    BaseStation(usize),
}

/// Makes a wave when its time comes: minutes of them would not fit into memory.
pub type MakeWave = Box<dyn Fn() -> Wave + Send + Sync>;

/// One burst, or one continuous signal.
pub struct Emission {
    /// Who sends it.
    pub sender: Sender,
    /// `standard/kind` in the truth.
    pub label: &'static str,
    /// Start in seconds of the scene, ramps left out.
    pub start_s: f64,
    /// Length, ramps left out.
    pub duration_s: f64,
    /// Carrier of the wave with its error, absolute, in hertz.
    pub carrier_hz: f64,
    /// Lower edge of the occupied band, absolute, in hertz.
    pub lower_hz: f64,
    /// Upper edge of the occupied band, absolute, in hertz.
    pub upper_hz: f64,
    /// Radiated power.
    pub eirp_dbm: f64,
    /// Phase of the carrier at the start, in turns.
    pub turns: f64,
    /// ARFCN or EARFCN.
    pub channel: Option<u32>,
    /// More of the truth: keys without their prefix.
    pub notes: Vec<(&'static str, Value)>,
    /// The wave itself; the same at every call.
    pub wave: MakeWave,
}

/// Streams of the scene's seed, apart for each purpose so that adding a phone changes no other.
pub(crate) mod streams {
    pub const PHONE: u64 = 1 << 32;
    pub const INTERFERER: u64 = 2 << 32;
    pub const CELL: u64 = 3 << 32;
    pub const LINK: u64 = 4 << 32;
    pub const NOISE: u64 = 5 << 32;
    pub const STATION: u64 = 6 << 32;
    pub const DOWNLINK: u64 = 7 << 32;
}

/// Radiated power of a GSM handset with a small antenna, where the scene says nothing.
const GSM_EIRP_DBM: f64 = 28.0;
/// Radiated power of an LTE phone's PRACH indoors, where the scene says nothing.
pub(crate) const LTE_EIRP_DBM: f64 = 18.0;
/// Maximum of power class 3. TS 36.101 clause 6.2.2.
pub(crate) const LTE_MAX_DBM: f64 = 23.0;

/// The contract's word for what a phone does.
pub fn activity_of(phone: &Phone) -> Activity {
    match phone.activity.get_ref() {
        PhoneActivity::GsmAccess
        | PhoneActivity::GsmLocationUpdate
        | PhoneActivity::LteAttach
        | PhoneActivity::LteTau
        | PhoneActivity::LteAccess
        | PhoneActivity::NrAccess
        | PhoneActivity::NrRegistration => Activity::Registration,
        PhoneActivity::GsmSms => Activity::Short,
        PhoneActivity::GsmCall | PhoneActivity::LteVoice | PhoneActivity::NrVoice => Activity::Voice,
        PhoneActivity::LteData
        | PhoneActivity::LteUpload
        | PhoneActivity::LtePusch
        | PhoneActivity::LtePucch
        | PhoneActivity::LteSrs
        | PhoneActivity::NrData
        | PhoneActivity::NrPusch
        | PhoneActivity::NrPucch
        | PhoneActivity::NrSrs
        | PhoneActivity::LtemAccess
        | PhoneActivity::LtemReport
        | PhoneActivity::NbiotAccess
        | PhoneActivity::NbiotReport => Activity::Data,
    }
}

/// Everything that a scene's phones and interferers send, by start.
pub fn emissions(scene: &Scene) -> Vec<Emission> {
    let mut all = Vec::new();
    let mut taken: Vec<Occupancy> = scene.stations.iter().map(|_| Occupancy::default()).collect();
    for (index, phone) in scene.file.phone.iter().enumerate() {
        let carrier_hz = scene.phone_carriers[index];
        if let Some(station) = scene.phone_stations[index] {
            cell::send(scene, index, station, &mut taken[station], &mut all);
        } else if phone.activity.get_ref().is_gsm() {
            GsmPhone::new(scene, index, phone, carrier_hz).send(&mut all);
        } else {
            LtePhone::new(scene, index, phone, carrier_hz).send(&mut all);
        }
    }
    for (index, interferer) in scene.file.interferer.iter().enumerate() {
        send_interferer(scene, index, interferer, &mut all);
    }
    for index in 0..scene.stations.len() {
        cell::send_station(scene, index, &mut all);
    }
    all.retain(|e| e.start_s < scene.file.duration_s && e.start_s + e.duration_s > 0.0);
    all.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    all
}

/// A GSM phone and its cell's clock.
struct GsmPhone<'a, R> {
    phone: &'a Phone,
    sender: Sender,
    carrier_hz: f64,
    rng: R,
    /// Nothing after it is made.
    scene_end_s: f64,
    /// When frame 0 of the cell starts: the same for all phones on a carrier.
    frame_zero_s: f64,
    /// Where this phone's bursts lie about the cell's grid: quantised timing advance.
    timing_s: f64,
}

impl<'a> GsmPhone<'a, ()> {
    fn new(scene: &Scene, index: usize, phone: &'a Phone, carrier_hz: f64) -> GsmPhone<'a, impl Rng + use<>> {
        let seed = scene.file.seed;
        let mut cell = stream(seed, streams::CELL + (carrier_hz / 100e3) as u64);
        // Whole multiframes before the scene, so that it begins anywhere in them.
        let frame_zero_s = -cell.random_range(0.0..102.0 * gsm::FRAME_SECONDS);
        let mut rng = stream(seed, streams::PHONE + index as u64);
        let timing_s = rng.random_range(-0.5..0.5) / gsm::SYMBOL_RATE;
        GsmPhone {
            phone,
            sender: Sender::Phone(index),
            carrier_hz,
            rng,
            scene_end_s: scene.file.duration_s,
            frame_zero_s,
            timing_s,
        }
    }
}

impl<R: Rng> GsmPhone<'_, R> {
    fn send(&mut self, out: &mut Vec<Emission>) {
        let activity = *self.phone.activity.get_ref();
        let usual_s = match activity {
            PhoneActivity::GsmLocationUpdate => 2.0,
            PhoneActivity::GsmSms => 3.5,
            PhoneActivity::GsmCall => 30.0,
            _ => 1.0,
        };
        let end_s = (self.phone.start_s + self.phone.length_s.unwrap_or(usual_s)).min(self.scene_end_s);
        let attempts = self.phone.attempts.unwrap_or(if activity == PhoneActivity::GsmAccess { 3 } else { 1 });
        let mut frame = ((self.phone.start_s - self.frame_zero_s) / gsm::FRAME_SECONDS).ceil() as u32;
        for attempt in 0..attempts {
            if attempt > 0 {
                // T and S of TS 44.018 clause 3.3.1.1.2, for T = 32 and S = 109 in a cell without combined SDCCH.
                frame += 109 + self.rng.random_range(0..32);
            }
            if self.frame_start_s(frame) < end_s {
                self.access(frame, out);
            }
        }
        if activity == PhoneActivity::GsmAccess {
            return;
        }
        // The answer takes a couple of control multiframes.
        frame += self.rng.random_range(30..60);
        let sdcch_end_s = if activity == PhoneActivity::GsmCall {
            self.phone.start_s + (0.3 * (end_s - self.phone.start_s)).min(2.5)
        } else {
            end_s
        };
        while self.frame_start_s(frame + 1) <= sdcch_end_s {
            if gsm::sdcch8_transmits(frame, self.phone.subchannel) {
                self.normal(frame, 1, out);
            }
            frame += 1;
        }
        if activity == PhoneActivity::GsmCall {
            frame += 8; // the phone retunes and takes up the new channel
            while self.frame_start_s(frame + 1) <= end_s {
                if gsm::tch_full_transmits(frame, self.phone.timeslot) {
                    self.normal(frame, self.phone.timeslot, out);
                }
                frame += 1;
            }
        }
    }

    fn frame_start_s(&self, frame: u32) -> f64 {
        self.frame_zero_s + f64::from(frame) * gsm::FRAME_SECONDS
    }

    fn access(&mut self, frame: u32, out: &mut Vec<Emission>) {
        let bits = gsm_wave::access_burst(0, &mut self.rng);
        // Sent without timing advance: late by the round trip to a cell up to 1 km off (TS 45.010 clause 5).
        let late_s = self.rng.random_range(0.0..2.0) / gsm::SYMBOL_RATE;
        self.burst("gsm/access", frame, 0, late_s, bits, out);
    }

    fn normal(&mut self, frame: u32, timeslot: u8, out: &mut Vec<Emission>) {
        let bits = gsm_wave::normal_burst(usize::from(self.phone.tsc), &mut self.rng);
        let timing_s = self.timing_s;
        self.burst("gsm/normal", frame, timeslot, timing_s, bits, out);
    }

    fn burst(
        &mut self,
        label: &'static str,
        frame: u32,
        timeslot: u8,
        late_s: f64,
        bits: Vec<u8>,
        out: &mut Vec<Emission>,
    ) {
        let carrier_hz = self.carrier_hz + self.phone.cfo_hz;
        out.push(Emission {
            sender: self.sender,
            label,
            start_s: self.frame_start_s(frame) + f64::from(timeslot) * gsm::SLOT_SYMBOLS / gsm::SYMBOL_RATE + late_s,
            duration_s: bits.len() as f64 / gsm::SYMBOL_RATE,
            carrier_hz,
            lower_hz: carrier_hz - gsm::CHANNEL_HZ / 2.0,
            upper_hz: carrier_hz + gsm::CHANNEL_HZ / 2.0,
            eirp_dbm: self.phone.eirp_dbm.unwrap_or(GSM_EIRP_DBM),
            turns: self.rng.random(),
            channel: self.phone.arfcn.as_ref().map(|n| u32::from(*n.get_ref())),
            notes: Vec::new(),
            wave: Box::new(move || Wave::Gmsk(gsm_wave::GmskBurst::new(&bits))),
        });
    }
}

/// An LTE phone and its cell's clock.
struct LtePhone<'a, R> {
    phone: &'a Phone,
    sender: Sender,
    carrier_hz: f64,
    carrier_blocks: u16,
    rng: R,
    /// Nothing after it is made.
    scene_end_s: f64,
    /// When subframe 0 of the cell starts: the same for all phones on a carrier.
    subframe_zero_s: f64,
    timing_s: f64,
    shift: usize,
    cover: usize,
}

/// Seconds of a subframe.
pub(crate) const SUBFRAME_S: f64 = 1e-3;

impl<'a> LtePhone<'a, ()> {
    fn new(scene: &Scene, index: usize, phone: &'a Phone, carrier_hz: f64) -> LtePhone<'a, impl Rng + use<>> {
        let seed = scene.file.seed;
        let mut cell = stream(seed, streams::CELL + (1 << 24) + (carrier_hz / 100e3) as u64);
        let subframe_zero_s = -cell.random_range(0.0..10.0) * SUBFRAME_S;
        let mut rng = stream(seed, streams::PHONE + index as u64);
        LtePhone {
            phone,
            sender: Sender::Phone(index),
            carrier_hz,
            carrier_blocks: lte::carrier_blocks(phone.bandwidth.0).unwrap_or(25),
            // Timing advance counts in 16 Ts. TS 36.213 clause 4.2.3.
            timing_s: rng.random_range(-8.0..8.0) / lte::TS_PER_SECOND,
            shift: rng.random_range(0..12),
            cover: rng.random_range(0..3),
            scene_end_s: scene.file.duration_s,
            subframe_zero_s,
            rng,
        }
    }
}

impl<R: Rng> LtePhone<'_, R> {
    fn send(&mut self, out: &mut Vec<Emission>) {
        let activity = *self.phone.activity.get_ref();
        let usual_s = match activity {
            PhoneActivity::LteAttach => 1.2,
            PhoneActivity::LteTau => 0.4,
            _ => 5.0,
        };
        let end_s = (self.phone.start_s + self.phone.length_s.unwrap_or(usual_s)).min(self.scene_end_s);
        let format = &lte::PRACH_FORMATS[usize::from(self.phone.prach_format.min(3))];
        let mut subframe = ((self.phone.start_s - self.subframe_zero_s) / SUBFRAME_S).ceil() as u32;
        for _ in 0..self.phone.attempts.unwrap_or(1) {
            // PRACH configuration 3 (and 19, 35, 51): subframe 1 of every frame. TS 36.211 Table 5.7.1-2.
            subframe += (11 - subframe % 10) % 10;
            self.prach(format, subframe, out);
            subframe += format.subframes + 12 + self.rng.random_range(0..20);
        }
        // Message 3, six subframes or more after the answer. TS 36.213 clause 6.1.1.
        subframe += 6;
        self.pusch(subframe, 2, out);
        subframe += 8;
        let load = if activity == PhoneActivity::LteData { self.phone.load.unwrap_or(0.5) } else { 0.08 };
        let largest = match activity {
            PhoneActivity::LteData => self.carrier_blocks.saturating_sub(2).max(1),
            _ => 6.min(self.carrier_blocks.saturating_sub(2)).max(1),
        };
        while self.subframe_start_s(subframe + 1) <= end_s {
            if self.rng.random::<f64>() < load {
                let sizes: Vec<u16> = lte::pusch_sizes(largest).collect();
                let size = sizes[self.rng.random_range(0..sizes.len())];
                self.pusch(subframe, size, out);
            } else if subframe % 20 == 7 {
                self.srs(subframe, out);
            } else if subframe % 20 == 3 || self.rng.random::<f64>() < load {
                self.pucch(subframe, out);
            }
            subframe += 1;
        }
    }

    fn subframe_start_s(&self, subframe: u32) -> f64 {
        self.subframe_zero_s + f64::from(subframe) * SUBFRAME_S
    }

    fn push(
        &mut self,
        label: &'static str,
        start_s: f64,
        (first, count): (u16, u16),
        make: impl Fn() -> lte_wave::OfdmBurst + Send + Sync + 'static,
        out: &mut Vec<Emission>,
    ) {
        let carrier_hz = self.carrier_hz + self.phone.cfo_hz;
        let eirp_dbm = self.phone.eirp_dbm.unwrap_or(LTE_EIRP_DBM);
        // Power control keeps the density: TS 36.213 clause 5.1.1.
        let scaled_dbm = eirp_dbm + db(f64::from(count) / f64::from(lte::PRACH_BLOCKS));
        out.push(Emission {
            sender: self.sender,
            label,
            start_s,
            duration_s: make().seconds(),
            carrier_hz,
            lower_hz: carrier_hz + lte_wave::block_edge_hz(first, self.carrier_blocks),
            upper_hz: carrier_hz + lte_wave::block_edge_hz(first + count, self.carrier_blocks),
            eirp_dbm: scaled_dbm.min(eirp_dbm.max(LTE_MAX_DBM)),
            turns: self.rng.random(),
            channel: self.phone.earfcn.as_ref().map(|n| *n.get_ref()),
            notes: Vec::new(),
            wave: Box::new(move || Wave::Ofdm(make())),
        });
    }

    fn prach(&mut self, format: &lte::PrachFormat, subframe: u32, out: &mut Vec<Emission>) {
        let first = if self.carrier_blocks > 8 { 2 } else { 0 };
        // N_CS 26 (configuration 5): 32 preambles of each of two roots. TS 36.211 clause 5.7.2.
        let n_cs = usize::from(lte::PRACH_N_CS[5]);
        let per_root = usize::from(lte::PRACH_N_ZC) / n_cs;
        let preamble = self.rng.random_range(0..64);
        let logical = (usize::from(self.phone.prach_root) + preamble / per_root) % lte::PRACH_ROOTS_839.len();
        let root = usize::from(lte::PRACH_ROOTS_839[logical]);
        let (format, carrier) = (*format, self.carrier_blocks);
        let make = move || lte_wave::prach(&format, (root, preamble % per_root * n_cs), (first, carrier));
        // Sent without timing advance: late by the round trip to a cell up to 1 km off.
        let late_s = self.rng.random_range(0.0..6.7e-6);
        let start_s = self.subframe_start_s(subframe) + late_s;
        self.push("lte/prach", start_s, (first, lte::PRACH_BLOCKS), make, out);
    }

    fn pusch(&mut self, subframe: u32, count: u16, out: &mut Vec<Emission>) {
        // The outermost blocks belong to the PUCCH.
        let edge = u16::from(self.carrier_blocks > count + 1);
        let first = edge + self.rng.random_range(0..=self.carrier_blocks - count - 2 * edge);
        let modulation =
            if self.rng.random::<f64>() < 0.7 { lte_wave::Modulation::Qpsk } else { lte_wave::Modulation::Qam16 };
        let signal = (usize::from(self.phone.group), self.shift);
        let (blocks, seed) = ((first, count, self.carrier_blocks), self.rng.random());
        let make = move || lte_wave::pusch(blocks, modulation, signal, &mut ChaCha8Rng::seed_from_u64(seed));
        let start_s = self.subframe_start_s(subframe) + self.timing_s;
        self.push("lte/pusch", start_s, (first, count), make, out);
    }

    fn pucch(&mut self, subframe: u32, out: &mut Vec<Emission>) {
        let ack = self.rng.random();
        let signal = (usize::from(self.phone.group), self.shift, self.cover);
        for slot in 0..2 {
            // Mirrored between the slots. TS 36.211 clause 5.4.3.
            let block = if slot == 0 { 0 } else { self.carrier_blocks - 1 };
            let carrier = self.carrier_blocks;
            let make = move || lte_wave::pucch1_slot((block, carrier), signal, ack);
            let start_s = self.subframe_start_s(subframe) + self.timing_s + f64::from(slot) * SUBFRAME_S / 2.0;
            self.push("lte/pucch", start_s, (block, 1), make, out);
        }
    }

    fn srs(&mut self, subframe: u32, out: &mut Vec<Emission>) {
        // As much as four blocks' steps leave. TS 36.211 Tables 5.5.3.2-1 to -4.
        let count = (self.carrier_blocks - 1) / 4 * 4;
        let first = (self.carrier_blocks - count) / 2;
        let signal = (usize::from(self.phone.group), self.shift % 8);
        let (blocks, comb) = ((first, count, self.carrier_blocks), (self.shift % 2) as u8);
        let make = move || lte_wave::srs(blocks, comb, signal);
        let last_symbol_ts = lte::SLOT_TS + lte::symbol_start_ts(lte::SLOT_SYMBOLS - 1);
        let start_s = self.subframe_start_s(subframe) + self.timing_s + f64::from(last_symbol_ts) / lte::TS_PER_SECOND;
        self.push("lte/srs", start_s, (first, count), make, out);
    }
}

/// Symbols of a TETRA normal uplink burst. EN 300 392-2 clause 9.4.4.
const TETRA_BURST: usize = 231;

fn send_interferer(scene: &Scene, index: usize, interferer: &Interferer, out: &mut Vec<Emission>) {
    let mut rng = stream(scene.file.seed, streams::INTERFERER + index as u64);
    let carrier_hz = interferer.freq.get_ref().0;
    let length_s = interferer.length_s.unwrap_or(scene.file.duration_s - interferer.start_s).max(0.0);
    let emission = |label, start_s, duration_s, half_hz: f64, turns, wave: MakeWave| Emission {
        sender: Sender::Interferer(index),
        label,
        start_s,
        duration_s,
        carrier_hz,
        lower_hz: carrier_hz - half_hz,
        upper_hz: carrier_hz + half_hz,
        eirp_dbm: interferer.eirp_dbm,
        turns,
        channel: None,
        notes: Vec::new(),
        wave,
    };
    match (interferer.kind, interferer.mode) {
        (InterfererKind::Cw, _) => {
            out.push(emission("other/cw", interferer.start_s, length_s, 500.0, rng.random(), Box::new(|| Wave::Cw)));
        }
        (InterfererKind::StaffRadio, RadioMode::Fm) => {
            let voice = FmVoice::new(interferer.deviation_hz, &mut rng);
            let wave: MakeWave = Box::new(move || Wave::Fm(voice.clone()));
            out.push(emission("other/fm_voice", interferer.start_s, length_s, 6.25e3, rng.random(), wave));
        }
        (InterfererKind::StaffRadio, RadioMode::Tetra) => {
            // One slot of four. EN 300 392-2 clause 4.5.1.
            let mut start_s = interferer.start_s + normal(&mut rng).abs() * 1e-3;
            while start_s + TETRA_SLOT_S < interferer.start_s + length_s {
                let seed = rng.random();
                let wave: MakeWave =
                    Box::new(move || Wave::Dqpsk(DqpskBurst::new(TETRA_BURST, &mut ChaCha8Rng::seed_from_u64(seed))));
                let duration_s = TETRA_BURST as f64 / TETRA_SYMBOL_RATE;
                out.push(emission("other/tetra", start_s, duration_s, 12.5e3, rng.random(), wave));
                start_s += 4.0 * TETRA_SLOT_S;
            }
        }
    }
}
