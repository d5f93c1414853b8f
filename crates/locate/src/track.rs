//! Joins emissions into activities of one phone.
//!
//! What tells phones apart is the channel, the timeslot, and the vector of levels over the sensors:
//! it is one phone's own, because distance, walls and shadowing to each sensor are. The rules look
//! at emissions in order of time and never back, so that a live run gives what a batch gives.

use crate::activity::Pattern;
use crate::associate::{Emission, HOLD_S, differ};
use crate::confidence::{BEST, Grounds, PROOF_LEAST};
use cellwarden_types::{Kind, Standard, db};
use std::collections::VecDeque;

/// A TDMA frame of GSM: 60/13 ms (TS 45.002, 4.3.2).
pub const FRAME_S: f64 = 60e-3 / 13.0;
/// A timeslot: 15/26 ms.
pub const SLOT_S: f64 = 15e-3 / 26.0;
/// Dedicated bursts of one phone hold their timeslot this well, clock error of the sensor included.
const SLOT_TOLERANCE_S: f64 = 60e-6;
/// Access bursts come late by up to the cell's round trip (63 symbols, 233 µs); near phones by little.
const ACCESS_TOLERANCE_S: f64 = 60e-6;
/// A GSM activity ends after so long without a burst: an SDCCH has a block every 0.235 s, some missing.
pub const GSM_GAP_S: f64 = 1.2;
/// From the last access burst to the first burst of the dedicated channel, at most.
const ACCESS_GAP_S: f64 = 1.5;
/// An LTE activity ends after so long without an emission.
pub const LTE_GAP_S: f64 = 0.4;
/// Level measured near full scale: the truth may be anything above.
pub const CLIP_DBFS: f64 = -6.0;
/// Reference width of levels per width: PRACH, 6 resource blocks.
pub const LTE_REFERENCE_HZ: f64 = 1.08e6;
/// Standard deviation of one level measurement of one sensor, beside noise, in dB.
const LEVEL_SIGMA_DB: f64 = 1.0;
/// Standard deviation of levels of unrelated phones, in dB.
const OTHER_SIGMA_DB: f64 = 12.0;
/// A sensor at this SNR hears most emissions; from so many on, one that heard less than this share did not hear the phone.
const SURELY_HEARD_DB: f64 = 15.0;
const MANY_EMISSIONS: u32 = 8;
const HEARD_SHARE: f64 = 0.35;
/// A deviation counts up to so many sigmas: one sensor's wrong level must not decide.
const OUTLIER: f64 = 4.0;
/// Another training sequence: a phone keeps its radio cell's, and it is seldom misread where it is said to be sure.
const OTHER_TRAINING: f64 = -8.0;
/// Sensors that miss what they should hear count to here: one collision can take a burst from several sensors.
const MISSING_MOST: f64 = 2.5;
/// Most tracks that are held: beyond, the oldest is closed.
const TRACKS_MOST: usize = 4096;

/// One sensor's levels over an activity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// Emissions that it heard.
    pub count: u32,
    /// Sum of their powers, in dBFS.
    pub sum_dbfs: f64,
    /// Sum of powers as they place a phone: LTE scaled to [`LTE_REFERENCE_HZ`].
    pub sum_scaled_dbfs: f64,
    /// Sum of their SNR, in dB.
    pub sum_snr_db: f64,
    /// The highest power.
    pub peak_dbfs: f64,
    /// How many were near full scale.
    pub clipped: u32,
    /// Moving mean of the scaled power, and the variance around it.
    recent: f64,
    variance: f64,
}

impl Level {
    /// Whether other phones made it: so strong a phone would be heard in most of its `emissions`, and this sensor heard
    /// few. What it heard are others' emissions that fell on the same time and frequency.
    pub fn is_of_others(&self, emissions: u32) -> bool {
        let count = f64::from(self.count);
        emissions >= MANY_EMISSIONS
            && count < HEARD_SHARE * f64::from(emissions)
            && self.sum_snr_db > SURELY_HEARD_DB * count
    }

    /// Mean level as it places a phone, in dBFS; none where nothing was heard.
    pub fn mean_scaled_dbfs(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_scaled_dbfs / f64::from(self.count))
    }
}

/// What a sensor can hear at best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// Noise density, in dBFS/Hz.
    pub noise_dbfs_per_hz: f64,
}

/// An activity in the making.
#[derive(Clone, Debug)]
pub struct Track {
    /// Counts up; orders tracks that begin together.
    pub number: u64,
    /// Which standard.
    pub standard: Standard,
    /// Band, where known.
    pub band: Option<String>,
    /// Channel of the carrier, where known.
    pub channel: Option<u32>,
    /// The first emission's lower edge, in hertz.
    pub first_lower_hz: f64,
    /// The sensor that heard the first emission best.
    pub first_sensor: usize,
    /// Middle of the latest emission's band, in hertz.
    pub centre_hz: f64,
    /// Start of the first emission.
    pub start_s: f64,
    /// End of the last emission.
    pub end_s: f64,
    /// Emissions.
    pub emissions: u32,
    /// By sensor.
    pub levels: Vec<Level>,
    /// Counts for the activity's name.
    pub pattern: Pattern,
    /// Counts for the confidence.
    pub grounds: Grounds,
    /// Reports so far.
    pub revision: u32,
    /// End of the activity as of the last report.
    pub reported_end_s: f64,
    /// The id, once given.
    pub id: Option<String>,
    training_sequence: Option<u8>,
    last_start_s: f64,
    gsm_key: i64,
    phase_s: f64,
    dedicated_from_s: f64,
    run: u32,
    hops: u32,
    other_slots: u8,
    last_pusch_s: f64,
}

/// Time modulo the frame, from -half to half a frame around `around`.
fn frame_offset(t: f64, around: f64) -> f64 {
    let x = (t - around).rem_euclid(FRAME_S);
    if x > 0.5 * FRAME_S { x - FRAME_S } else { x }
}

fn gsm_key(e: &Emission) -> i64 {
    (e.centre_hz() / 200e3).round() as i64
}

fn is_access(kind: Kind) -> bool {
    matches!(kind, Kind::Access | Kind::Prach)
}

/// What brings levels of emissions of different width to one measure.
fn scale_db(standard: Standard, width_hz: f64) -> f64 {
    match standard {
        Standard::Lte | Standard::Nr => -db(width_hz / LTE_REFERENCE_HZ),
        _ => 0.0,
    }
}

impl Track {
    fn new(number: u64, e: &Emission, sensors: usize) -> Self {
        let first_sensor = e.heard.iter().max_by(|a, b| a.snr_db.total_cmp(&b.snr_db)).map_or(0, |h| h.sensor);
        let mut track = Self {
            number,
            standard: e.standard,
            band: None,
            channel: None,
            first_lower_hz: e.freq_lower_hz,
            first_sensor,
            centre_hz: e.centre_hz(),
            start_s: e.start_s,
            end_s: e.end_s,
            emissions: 0,
            levels: vec![Level::default(); sensors],
            pattern: Pattern::default(),
            grounds: Grounds::default(),
            revision: 0,
            reported_end_s: f64::NEG_INFINITY,
            id: None,
            training_sequence: None,
            last_start_s: e.start_s,
            gsm_key: gsm_key(e),
            phase_s: e.start_s.rem_euclid(FRAME_S),
            dedicated_from_s: f64::NAN,
            run: 0,
            hops: 0,
            other_slots: 0,
            last_pusch_s: f64::NEG_INFINITY,
        };
        track.add(e);
        track
    }

    fn access_only(&self) -> bool {
        self.grounds.dedicated == 0
    }

    /// When the activity is over if nothing more comes.
    pub fn expires_s(&self) -> f64 {
        self.end_s
            + match self.standard {
                Standard::Gsm if self.access_only() => ACCESS_GAP_S,
                Standard::Gsm => GSM_GAP_S,
                _ => LTE_GAP_S,
            }
    }

    fn add(&mut self, e: &Emission) {
        let gsm = self.standard == Standard::Gsm;
        let offset = scale_db(self.standard, e.width_hz());
        for h in &e.heard {
            if self.levels.len() <= h.sensor {
                self.levels.resize(h.sensor + 1, Level::default());
            }
            let level = &mut self.levels[h.sensor];
            let scaled = h.power_dbfs + offset;
            if level.count == 0 {
                (level.recent, level.peak_dbfs) = (scaled, h.power_dbfs);
            } else {
                let step = (1.0 / f64::from(level.count + 1)).max(0.1);
                let off = scaled - level.recent;
                level.variance = ((1.0 - step) * (level.variance + step * off * off)).min(36.0);
                level.recent += step * off;
                level.peak_dbfs = level.peak_dbfs.max(h.power_dbfs);
            }
            level.count += 1;
            level.sum_dbfs += h.power_dbfs;
            level.sum_scaled_dbfs += scaled;
            level.sum_snr_db += h.snr_db;
            level.clipped += u32::from(h.power_dbfs > CLIP_DBFS);
        }
        let proof = e.proof();
        if let Some(place) = self.grounds.best.iter().position(|p| proof > *p) {
            self.grounds.best[place..BEST].rotate_right(1);
            self.grounds.best[place] = proof;
        }
        self.grounds.mirrored |= e.is_mirrored();
        self.grounds.proven += u32::from(proof >= PROOF_LEAST);
        self.grounds.sensors = self.levels.iter().filter(|l| l.count > 0).count() as u32;
        if is_access(e.kind) {
            self.grounds.access += 1;
            if gsm && self.access_only() {
                self.phase_s = e.start_s.rem_euclid(FRAME_S);
            }
        } else {
            if self.access_only() {
                self.dedicated_from_s = e.start_s;
                self.phase_s = e.start_s.rem_euclid(FRAME_S);
                self.run = 1;
            } else if gsm {
                let frames = ((e.start_s - self.last_start_s) / FRAME_S).round();
                self.run = if frames == 1.0 { self.run + 1 } else { 1 };
                self.hops += u32::from(self.gsm_key != gsm_key(e));
                // The sensor's clock and the network's drift apart by parts per million.
                self.phase_s = (self.phase_s + 0.2 * frame_offset(e.start_s, self.phase_s)).rem_euclid(FRAME_S);
            }
            self.pattern.longest_run = self.pattern.longest_run.max(self.run);
            self.grounds.dedicated += 1;
            if e.kind == Kind::Pusch {
                let gap_ms = (e.start_s - self.last_pusch_s) * 1e3;
                let off = (gap_ms - 20.0 * (gap_ms / 20.0).round()).abs();
                self.pattern.comb20 += u32::from(gap_ms > 15.0 && gap_ms < 170.0 && off < 1.0);
                self.pattern.pusch += 1;
                self.last_pusch_s = e.start_s;
            }
        }
        self.training_sequence = self.training_sequence.or(e.training_sequence);
        (self.gsm_key, self.centre_hz) = (gsm_key(e), e.centre_hz());
        self.band = self.band.take().or_else(|| e.band.clone());
        self.channel = self.channel.or(e.channel);
        self.emissions += 1;
        self.last_start_s = e.start_s;
        self.end_s = self.end_s.max(e.end_s);
        self.pattern.access = self.grounds.access;
        self.pattern.dedicated = self.grounds.dedicated;
        self.pattern.total_s = self.end_s - self.start_s;
        if !self.dedicated_from_s.is_nan() {
            self.pattern.dedicated_s = self.end_s - self.dedicated_from_s;
        }
        self.grounds.neighbour_slots = self.other_slots.count_ones();
    }

    /// Natural log-likelihood ratio of "the same phone" against "another", from levels and training sequence.
    ///
    /// The same phone's levels differ by one offset over all sensors (its power changes by
    /// `power_sigma_db`) and by each measurement's error.
    fn alike(&self, e: &Emission, floors: &[Floor], power_sigma_db: f64) -> f64 {
        let training = if differ(self.training_sequence, e.training_sequence) { OTHER_TRAINING } else { 0.0 };
        let offset = scale_db(self.standard, e.width_hz());
        let (mut n, mut wsum, mut wd, mut wd2, mut logdet, mut other) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        let mut terms = [(0.0, 0.0); 64];
        let mut missing: f64 = 0.0;
        for h in &e.heard {
            let Some(level) = self.levels.get(h.sensor).filter(|l| l.count > 0) else {
                // Heard well here, never heard by the track: an argument against, but sensors do miss.
                missing += if h.snr_db > 14.0 && self.emissions > 2 { 2.0 } else { 0.3 };
                continue;
            };
            let own = match h.snr_db {
                s if s < 5.0 => 2.5,
                s if s < 10.0 => 1.5,
                _ => 0.5,
            };
            let clip = if h.power_dbfs > CLIP_DBFS { 6.0 } else { 0.0 };
            let settled = level.variance + LEVEL_SIGMA_DB * LEVEL_SIGMA_DB * (1.0 + 1.0 / f64::from(level.count));
            let var = settled + own * own + clip * clip;
            let d = h.power_dbfs + offset - level.recent;
            if (n as usize) < terms.len() {
                terms[n as usize] = (d, var);
            }
            n += 1.0;
        }
        let count = (n as usize).min(terms.len());
        // The common offset: its posterior mean under the prior, with outliers held down once.
        let tau2 = power_sigma_db * power_sigma_db;
        let mut deltas: Vec<f64> = terms[..count].iter().map(|t| t.0).collect();
        deltas.sort_by(f64::total_cmp);
        let middle = deltas.get(count / 2).copied().unwrap_or(0.0);
        for (d, var) in &terms[..count] {
            let reach = OUTLIER * var.sqrt();
            let d = if count > 2 { d.clamp(middle - reach, middle + reach) } else { *d };
            wsum += 1.0 / var;
            wd += d / var;
            wd2 += d * d / var;
            logdet += var.ln();
            other += d * d / (OTHER_SIGMA_DB * OTHER_SIGMA_DB);
        }
        let same = wd2 - wd * wd * tau2 / (1.0 + tau2 * wsum) + logdet + (1.0 + tau2 * wsum).ln();
        let unlike = other + count as f64 * (OTHER_SIGMA_DB * OTHER_SIGMA_DB).ln();
        for (sensor, level) in self.levels.iter().enumerate() {
            if level.count == 0 || e.heard.iter().any(|h| h.sensor == sensor) {
                continue;
            }
            let floor = floors.get(sensor).map_or(f64::NAN, |f| f.noise_dbfs_per_hz);
            let snr = level.recent - offset - floor - db(e.width_hz());
            missing += if snr > 25.0 {
                2.0
            } else if snr > 14.0 {
                1.0
            } else {
                0.0
            };
        }
        0.5 * (unlike - same) - missing.min(MISSING_MOST) + training
    }
}

/// Holds the activities that still go on.
#[derive(Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track>,
    begun: u64,
    /// Activities that ended a short time ago.
    ended: VecDeque<Track>,
}

/// For so long after its end an activity may explain a leftover, and so many are kept.
const ENDED_S: f64 = 2.0;
const ENDED_MOST: usize = 256;
/// An activity lies beside a leftover if it covers it to within this.
const BESIDE_S: f64 = 0.1;
/// How far the levels of a leftover may lie from what explains it.
const LEFTOVER_DB: f64 = 8.0;
const PRODUCT_DB: f64 = 25.0;
/// Below, even the right channel and timeslot do not make it the same phone.
const SAME_SLOT_LEAST: f64 = -7.0;
/// Access bursts of one phone, and access to dedicated channel.
const ACCESS_LEAST: f64 = 0.5;
/// Another carrier than the access bursts': the network gives it, but less often here.
const OTHER_CARRIER: f64 = -3.0;
/// A hopping phone's other carriers.
const HOP_LEAST: f64 = 1.0;
/// LTE emissions, with the gap's cost.
const LTE_LEAST: f64 = -1.0;
/// Cost of an LTE gap, per second: connected phones send every few tens of milliseconds.
const LTE_GAP_COST_PER_S: f64 = 6.0;

impl Tracker {
    /// The activities that go on.
    pub fn tracks_mut(&mut self) -> impl Iterator<Item = &mut Track> {
        self.tracks.iter_mut()
    }

    /// How many go on.
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether none goes on.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Moves activities that are over at `now_s` to `out`.
    pub fn expire(&mut self, now_s: f64, out: &mut Vec<Track>) {
        if !self.tracks.iter().any(|t| t.expires_s() < now_s) {
            return;
        }
        let (over, on) = self.tracks.drain(..).partition(|t: &Track| t.expires_s() < now_s);
        self.tracks = on;
        let over: Vec<Track> = over;
        self.ended.extend(over.iter().cloned());
        self.ended.retain(|t| t.end_s + ENDED_S > now_s);
        while self.ended.len() > ENDED_MOST {
            self.ended.pop_front();
        }
        for mut track in over {
            track.grounds.leftover = self.is_leftover(&track);
            out.push(track);
        }
    }

    /// Whether an LTE activity is what its neighbours in time left over: emissions of two phones at once, or of one at an
    /// odd level, are joined to nobody and begin an activity of their own.
    ///
    /// It has no preamble, less than half of the emissions of another that goes on around it, its strongest
    /// sensor hears that other one at about the same level, and no sensor hears it louder than what others explain.
    fn is_leftover(&self, track: &Track) -> bool {
        if track.standard == Standard::Gsm || track.grounds.access > 0 {
            return false;
        }
        let beside = |t: &&Track| {
            t.number != track.number
                && t.standard == track.standard
                && t.emissions > 2 * track.emissions
                && t.start_s < track.start_s + BESIDE_S
                && t.end_s > track.end_s - BESIDE_S
        };
        let others: Vec<&Track> = self.tracks.iter().chain(&self.ended).filter(beside).collect();
        let mean = |t: &Track, sensor: usize| t.levels.get(sensor)?.mean_scaled_dbfs();
        let own: Vec<(usize, f64)> = (0..track.levels.len()).filter_map(|i| Some((i, mean(track, i)?))).collect();
        let Some(&(strongest, level)) = own.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else { return false };
        let same = |t: &&Track| {
            // A few odd ones beside many may be products of those: weaker.
            let below = if t.emissions > 10 * track.emissions { PRODUCT_DB } else { LEFTOVER_DB };
            mean(t, strongest).is_some_and(|l| (-LEFTOVER_DB..below).contains(&(l - level)))
        };
        others.iter().any(same)
            && own.iter().all(|&(i, l)| others.iter().any(|t| mean(t, i).is_some_and(|o| l < o + LEFTOVER_DB)))
    }

    /// Takes an emission; they come in order of their start.
    pub fn add(&mut self, e: &Emission, floors: &[Floor], out: &mut Vec<Track>) {
        self.expire(e.start_s, out);
        let found = match e.standard {
            Standard::Gsm if e.kind == Kind::Access => self.gsm_access(e, floors),
            Standard::Gsm => self.gsm_dedicated(e, floors),
            Standard::Unknown => self.unproven(e, floors),
            _ => self.lte(e, floors),
        };
        match found {
            Some(i) => self.tracks[i].add(e),
            // What is not proven starts nothing.
            None if e.standard.is_phone() => {
                if self.tracks.len() >= TRACKS_MOST {
                    out.push(self.tracks.remove(0));
                }
                self.begun += 1;
                self.tracks.push(Track::new(self.begun, e, floors.len()));
            }
            None => {}
        }
    }

    /// The best track by `score`, if one reaches `least`; the earlier of equals.
    fn best(&self, least: f64, score: impl Fn(&Track) -> Option<f64>) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (i, track) in self.tracks.iter().enumerate() {
            let better = |s: &f64| *s > best.map_or(least, |(_, b)| b);
            if let Some(s) = score(track).filter(better) {
                best = Some((i, s));
            }
        }
        best.map(|(i, _)| i)
    }

    fn gsm_access(&self, e: &Emission, floors: &[Floor]) -> Option<usize> {
        let key = gsm_key(e);
        self.best(ACCESS_LEAST, |t| {
            let retry = t.standard == Standard::Gsm
                && t.access_only()
                && t.gsm_key == key
                && e.start_s - t.last_start_s > FRAME_S
                && frame_offset(e.start_s, t.phase_s).abs() < ACCESS_TOLERANCE_S;
            retry.then(|| t.alike(e, floors, 1.0))
        })
    }

    fn gsm_dedicated(&mut self, e: &Emission, floors: &[Floor]) -> Option<usize> {
        let key = gsm_key(e);
        let in_slot = |t: &Track, tolerance: f64| {
            t.standard == Standard::Gsm
                && !t.access_only()
                && e.start_s - t.last_start_s > 0.5 * FRAME_S
                && frame_offset(e.start_s, t.phase_s).abs() < tolerance
        };
        self.note_carrier(e, floors);
        self.best(SAME_SLOT_LEAST, |t| {
            (t.gsm_key == key && in_slot(t, SLOT_TOLERANCE_S)).then(|| t.alike(e, floors, 2.0))
        })
        .or_else(|| {
            // Hopping shows from the second burst on; a phone that stayed on its carrier does not begin to hop.
            self.best(HOP_LEAST, |t| {
                let gap = e.start_s - t.last_start_s;
                let n = t.grounds.dedicated;
                let hops = (n == 1 && gap < 1.5 * FRAME_S) || (t.hops > 0 && t.hops * 2 + 2 > n && gap < GSM_GAP_S);
                (hops && in_slot(t, 0.5 * SLOT_TOLERANCE_S) && t.band == e.band).then(|| t.alike(e, floors, 2.0))
            })
        })
        .or_else(|| {
            self.best(ACCESS_LEAST, |t| {
                let slots = frame_offset(e.start_s, t.phase_s) / SLOT_S;
                let granted = t.standard == Standard::Gsm
                    && t.access_only()
                    && t.band == e.band
                    && e.start_s - t.last_start_s > 2.0 * FRAME_S
                    && (slots - slots.round()).abs() * SLOT_S < ACCESS_TOLERANCE_S;
                let carrier = if t.gsm_key == key { 0.0 } else { OTHER_CARRIER };
                granted.then(|| t.alike(e, floors, 2.0) + carrier)
            })
        })
    }

    /// Notes, on tracks of the same channel, that another timeslot is in use at the same levels.
    fn note_carrier(&mut self, e: &Emission, floors: &[Floor]) {
        let key = gsm_key(e);
        for t in &mut self.tracks {
            if t.standard != Standard::Gsm || t.access_only() || t.gsm_key != key {
                continue;
            }
            let slot = (frame_offset(e.start_s, t.phase_s) / SLOT_S).round() as i64;
            let near = e.start_s - t.last_start_s < FRAME_S;
            if near && slot != 0 && t.alike(e, floors, 0.5) > 0.5 {
                t.other_slots |= 1 << slot.rem_euclid(8);
            }
        }
    }

    fn lte(&self, e: &Emission, floors: &[Floor]) -> Option<usize> {
        self.best(LTE_LEAST, |t| {
            let carrier = match (t.channel, e.channel) {
                (Some(a), Some(b)) => a == b,
                _ => (t.centre_hz - e.centre_hz()).abs() < 20e6,
            };
            let gap = (e.start_s - t.end_s).max(0.0);
            // After data, PRACH is more likely another phone's than this one's.
            let anew = if e.kind == Kind::Prach && !t.access_only() { 2.0 } else { 0.0 };
            (t.standard == e.standard && carrier).then(|| t.alike(e, floors, 3.0) - LTE_GAP_COST_PER_S * gap - anew)
        })
    }

    /// A burst that no sensor could name joins an activity, if one fits well.
    fn unproven(&self, e: &Emission, floors: &[Floor]) -> Option<usize> {
        let key = gsm_key(e);
        let narrow = e.width_hz() < 400e3;
        self.best(1.0, |t| match t.standard {
            Standard::Gsm => {
                let fits = narrow
                    && t.gsm_key == key
                    && !t.access_only()
                    && e.start_s - t.last_start_s > 0.5 * FRAME_S
                    && frame_offset(e.start_s, t.phase_s).abs() < SLOT_TOLERANCE_S;
                fits.then(|| t.alike(e, floors, 2.0) + 1.0)
            }
            Standard::Lte | Standard::Nr => {
                let gap = (e.start_s - t.end_s).max(0.0);
                let near = (t.centre_hz - e.centre_hz()).abs() < 20e6 && gap < 0.1;
                near.then(|| t.alike(e, floors, 3.0) - LTE_GAP_COST_PER_S * gap)
            }
            _ => None,
        })
    }
}

/// How far behind the newest burst an activity may still change its past: nothing is final before.
pub const LAG_S: f64 = HOLD_S;
