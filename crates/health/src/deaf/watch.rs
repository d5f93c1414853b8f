//! One sensor's minutes, and the verdict on them.

use super::level::{Level, Rule};
use super::silence::{cautious_dispersion, chance};
use super::verdict::{Judgement, Silence, Verdict};
use crate::commissioning::{CARRIERS_MOST, Commissioning};
use crate::counts::{Counts, STANDARDS, index_of};
use crate::history::SEEN_MOST_S;
use crate::window::Mean;
use cellwarden_types::{AmbientCarrier, Hertz, SensorHealth, SensorState, db};
use std::collections::VecDeque;

/// A lost antenna takes at least 3 dB of floor. A floor of ten minutes' median wanders by about 0.5 dB over hours
/// (temperature: 0.02 dB/K of gain and 20 K; noise of the house), within 1.5 dB over days: 3 dB below commissioning is not
/// reached by wandering, nor 2.4 dB below what it was in the last hour, in which it moves by 0.3 dB (eight of them).
/// The second finds a fall of 3 dB also where the floor had come up before.
const FLOOR: Rule = Rule { fall_db: 3.0, step_db: 2.4, follow_db: 1.5, back_db: 1.0 };
/// A carrier of a base station breathes with its load (an empty LTE cell sends 5 dB less than half a full one) and with
/// doors and people by about 2 dB. 10 dB below commissioning, or 7 below the last hour, is more than both.
const CARRIER: Rule = Rule { fall_db: 10.0, step_db: 7.0, follow_db: 4.0, back_db: 2.0 };
/// One alone has none beside it to agree: within an hour it moves by 2 dB, of which 8.5 are four.
const LONE_CARRIER: Rule = Rule { step_db: 8.5, ..CARRIER };
/// A carrier that fell by less than this has kept its level.
const HELD_DB: f64 = -4.0;
/// A carrier can be seen to fall by 10 dB if it stands 13 dB above the noise in its width: 3 dB are left then.
const CARRIER_OVER_NOISE_DB: f64 = 13.0;
/// A fall of the floor by half of what is a loss supports another sign.
const SUPPORT_DB: f64 = -1.5;
/// Bursts that stay away with less than this chance are missed. It is looked at anew each minute, over windows that are
/// new after an hour: for 8 standards in a month 8 * 720 * 1e-6, a false word in 170 months of a sensor.
const CHANCE: f64 = 1e-6;
/// Whatever the chance, a sensor that hears more than this share of what was usual is not silent.
const SILENT_SHARE: f64 = 0.5;
/// Windows of bursts in minutes, and how much of them must have been listened to, in hours.
const HOUR: (usize, f64) = (60, 0.75);
const DAY: (usize, f64) = (1440, 20.0);
/// A reading of a carrier holds for so many minutes.
const READING_MINUTES: u64 = 10;
/// A minute's floor is one from so many seconds of listening.
const LISTENED_LEAST_S: f32 = 5.0;
/// A device is started anew in a few seconds.
const AWAY_S: f64 = 60.0;
/// Gain steps of radios are not finer.
const SAME_GAIN_DB: f64 = 0.5;
const SAME_CENTER_HZ: f64 = 1e3;

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    listened_s: f32,
    bursts: [u32; STANDARDS.len()],
}

#[derive(Clone, Debug)]
struct Carrier {
    ambient: AmbientCarrier,
    level: Level,
    now: Mean,
    reading: Option<(u64, f64)>,
}

#[derive(Clone, Debug)]
struct Comparison {
    commissioning: Commissioning,
    floor: Level,
    carriers: Vec<Carrier>,
}

/// One sensor under watch.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    comparison: Option<Comparison>,
    minute: Option<u64>,
    now: Minute,
    floor_now: Mean,
    minutes: VecDeque<Minute>,
    raw: Option<(f64, Counts)>,
    at_s: f64,
    state: SensorState,
    state_since_s: f64,
    last_error: Option<String>,
    center: Hertz,
    gain_db: Option<f64>,
}

impl Watch {
    pub(crate) fn new(commissioning: Option<Commissioning>) -> Self {
        let comparison = commissioning.map(|c| {
            let tells =
                |a: &&AmbientCarrier| a.level_dbfs >= c.floor_dbfs_per_hz + db(a.width_hz) + CARRIER_OVER_NOISE_DB;
            let rule = if c.ambient.iter().filter(tells).count() == 1 { LONE_CARRIER } else { CARRIER };
            let carrier = |a: &AmbientCarrier| Carrier {
                ambient: *a,
                level: Level::new(a.level_dbfs, rule),
                now: Mean::default(),
                reading: None,
            };
            Comparison {
                floor: Level::new(c.floor_dbfs_per_hz, FLOOR),
                carriers: c.ambient.iter().take(CARRIERS_MOST).filter(tells).map(carrier).collect(),
                commissioning: c,
            }
        });
        Self {
            comparison,
            minute: None,
            now: Minute::default(),
            floor_now: Mean::default(),
            minutes: VecDeque::new(),
            raw: None,
            at_s: 0.0,
            state: SensorState::Starting,
            state_since_s: 0.0,
            last_error: None,
            center: Hertz(0.0),
            gain_db: None,
        }
    }

    pub(crate) fn push(&mut self, sensor: &SensorHealth, at_s: f64) {
        let minute = (at_s / 60.0) as u64;
        match self.minute {
            Some(before) if before < minute => self.close(before, minute),
            _ => {}
        }
        self.minute = Some(minute);
        // A device that opens, gives nothing and is given up has not listened all the while.
        let listens = |state: SensorState| state == SensorState::Listening;
        if self.raw.is_none() || listens(self.state) != listens(sensor.state) {
            self.state_since_s = at_s;
        }
        self.state = sensor.state;
        if sensor.last_error != self.last_error {
            self.last_error.clone_from(&sensor.last_error);
        }
        (self.center, self.gain_db) = (sensor.center, sensor.gain_db.filter(|g| g.is_finite()));
        let counts = Counts::of(sensor);
        let (before_s, before) = self.raw.unwrap_or((at_s, counts));
        (self.raw, self.at_s) = (Some((at_s, counts)), at_s);
        if sensor.state != SensorState::Listening || self.elsewhere().is_some() {
            return;
        }
        if at_s - before_s <= SEEN_MOST_S {
            self.now.listened_s += (at_s - before_s) as f32;
        }
        for (sum, added) in self.now.bursts.iter_mut().zip(counts.since(before).bursts) {
            *sum = sum.saturating_add(u32::try_from(added).unwrap_or(u32::MAX));
        }
        if self.other_gain().is_none() {
            sensor.floor_dbfs_per_hz.filter(|v| v.is_finite()).into_iter().for_each(|v| self.floor_now.add(v));
        }
    }

    pub(crate) fn ambient(&mut self, readings: &[AmbientCarrier]) {
        if self.elsewhere().is_some() || self.other_gain().is_some() {
            return;
        }
        let Some(comparison) = &mut self.comparison else { return };
        for carrier in &mut comparison.carriers {
            let near = |r: &&AmbientCarrier| {
                r.level_dbfs.is_finite()
                    && (r.center_hz - carrier.ambient.center_hz).abs() <= carrier.ambient.width_hz / 2.0
            };
            if let Some(reading) = readings.iter().take(4 * CARRIERS_MOST).find(near) {
                carrier.now.add(reading.level_dbfs);
            }
        }
    }

    /// A minute is over, and `next` is the one after it; between them nothing was seen.
    fn close(&mut self, minute: u64, next: u64) {
        let (other, floor) = (self.elsewhere().is_some() || self.other_gain().is_some(), self.floor_now.get());
        let floor = floor.filter(|_| self.now.listened_s >= LISTENED_LEAST_S);
        if let Some(c) = &mut self.comparison {
            if other {
                c.floor.forget();
                c.carriers.iter_mut().for_each(|c| {
                    c.level.forget();
                    c.reading = None;
                });
            }
            if let Some(floor) = floor.filter(|_| !other) {
                c.floor.push(minute, floor);
            }
            for carrier in c.carriers.iter_mut().filter(|_| !other) {
                carrier.reading = carrier.now.get().map(|v| (minute, v)).or(carrier.reading);
                carrier.reading = carrier.reading.filter(|&(m, _)| m + READING_MINUTES > minute);
                if let Some((_, value)) = carrier.reading {
                    carrier.level.push(minute, value);
                }
            }
            c.carriers.iter_mut().for_each(|c| c.now = Mean::default());
        }
        self.minutes.push_back(std::mem::take(&mut self.now));
        self.floor_now = Mean::default();
        for _ in (minute + 1..next).take(DAY.0) {
            self.minutes.push_back(Minute::default());
        }
        while self.minutes.len() > DAY.0 {
            self.minutes.pop_front();
        }
    }

    /// What it is commissioned for, where it is tuned elsewhere.
    fn elsewhere(&self) -> Option<f64> {
        let center_hz = self.comparison.as_ref()?.commissioning.center_hz?;
        ((self.center.0 - center_hz).abs() > SAME_CENTER_HZ).then_some(center_hz)
    }

    /// The gain at commissioning and now, where they differ.
    fn other_gain(&self) -> Option<(f64, f64)> {
        let (then, now) = (self.comparison.as_ref()?.commissioning.gain_db?, self.gain_db?);
        ((then - now).abs() > SAME_GAIN_DB).then_some((then, now))
    }

    fn silences(&self, commissioning: &Commissioning) -> Vec<Silence> {
        let of = |(minutes, least_h): (usize, f64), standard: &str, per_hour: Option<&f64>| {
            let recent = self.minutes.iter().rev().take(minutes);
            let hours = recent.clone().map(|m| f64::from(m.listened_s)).sum::<f64>() / 3600.0;
            let heard: u64 = recent.map(|m| u64::from(m.bursts[index_of(standard)])).sum();
            let expected = per_hour? * hours;
            let given = commissioning.burst_dispersion.get(standard).copied();
            let chance = chance(heard, expected, given.unwrap_or_else(|| cautious_dispersion(standard)));
            let standard = standard.to_owned();
            let few = heard as f64 <= expected * SILENT_SHARE;
            (hours >= least_h && few && chance < CHANCE).then_some(Silence { standard, hours, heard, expected, chance })
        };
        let rates = commissioning.bursts_per_hour.iter().take(STANDARDS.len());
        rates
            .filter_map(|(standard, mean)| {
                of(HOUR, standard, commissioning.quietest_bursts_per_hour.get(standard))
                    .or_else(|| of(DAY, standard, Some(mean)))
            })
            .collect()
    }

    pub(crate) fn verdict(&self, sensor: &str) -> Verdict {
        let mut verdict = Verdict {
            sensor: sensor.to_owned(),
            judgement: Judgement::Fine,
            reason: String::new(),
            compared: false,
            floor_change_db: None,
            ambient_change_db: None,
            carriers: 0,
            carriers_lost: 0,
            silences: Vec::new(),
        };
        if self.state != SensorState::Listening {
            let away_s = self.at_s - self.state_since_s;
            let error = self.last_error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
            verdict.judgement = match self.state {
                _ if away_s >= AWAY_S => Judgement::Deaf,
                SensorState::Starting => Judgement::Fine,
                _ => Judgement::Suspect,
            };
            verdict.reason = format!("its device is {} for {away_s:.0} s{error}", self.state.name());
            return verdict;
        }
        let Some(comparison) = &self.comparison else {
            verdict.reason = "not commissioned: there is nothing to compare with".to_owned();
            return verdict;
        };
        if let Some(center_hz) = self.elsewhere() {
            verdict.reason = format!("tuned to {}, commissioned at {}: not compared", self.center, Hertz(center_hz));
            return verdict;
        }
        verdict.silences = self.silences(&comparison.commissioning);
        if let Some((then, now)) = self.other_gain() {
            verdict.judgement = Judgement::Suspect;
            verdict.reason = format!(
                "its gain is {now:.1} dB, and was {then:.1} dB at commissioning: levels cannot be compared; set it back, or \
                 commission anew"
            );
            return verdict;
        }
        comparison.judge(self.minute.map_or(0, |m| m.saturating_sub(1)), &mut verdict);
        verdict
    }
}

/// A level as it is told: nothing is no "-0.0".
fn tenth(db: f64) -> f64 {
    (db * 10.0).round() / 10.0 + 0.0
}

impl Comparison {
    /// Puts floor, carriers and silences together.
    fn judge(&self, minute: u64, verdict: &mut Verdict) {
        let floor = self.floor.change_db(minute);
        let mut changes: Vec<f64> = self.carriers.iter().filter_map(|c| c.level.change_db(minute)).collect();
        changes.sort_by(f64::total_cmp);
        let ambient =
            (!changes.is_empty()).then(|| (changes[(changes.len() - 1) / 2] + changes[changes.len() / 2]) / 2.0);
        let (known, lost) = (changes.len(), self.carriers.iter().filter(|c| c.level.lost(minute)).count());
        let steps = self.carriers.iter().filter_map(|c| c.level.step_db(minute));
        let held = steps.filter(|&s| s > HELD_DB).count();
        (verdict.floor_change_db, verdict.ambient_change_db) = (floor, ambient);
        (verdict.carriers, verdict.carriers_lost) = (known, lost);
        verdict.compared = floor.is_some() || known > 0;

        let said_floor =
            floor.map_or("floor not known".to_owned(), |f| format!("floor {:+.1} dB against commissioning", tenth(f)));
        let said_carriers = match ambient {
            Some(a) => format!("{lost} of {known} ambient carriers lost, their median {:+.1} dB", tenth(a)),
            None => "no ambient carrier to compare".to_owned(),
        };
        let said_silences: Vec<String> = verdict.silences.iter().map(Silence::words).collect();
        let silent = !verdict.silences.is_empty();
        let floor_lost = self.floor.lost(minute);
        let supported = floor_lost || silent || floor.is_some_and(|f| f <= SUPPORT_DB);
        // An operator who switches off at night, or works on a mast, takes some carriers; a lost antenna takes all.
        // Of four and more one may be heard by other ways (straight into the box).
        let nearly_all = known > 0 && 2 * lost > known && held <= usize::from(known >= 4);
        let (judgement, cause) = match () {
            () if nearly_all && (known >= 2 || supported) => {
                (Judgement::Deaf, Some("what is always in the air is gone: look at antenna, cable and filter"))
            }
            () if floor_lost && ambient.is_some_and(|a| a > SUPPORT_DB) => (
                Judgement::Suspect,
                Some("the floor fell, the carriers did not: has a source of noise gone? Then commission anew"),
            ),
            () if floor_lost && known > 0 => {
                (Judgement::Deaf, Some("floor and carriers fell: look at amplifier, its supply, and cable"))
            }
            () if floor_lost => (Judgement::Deaf, Some("the floor fell: look at antenna, cable and amplifier")),
            () if nearly_all || (known >= 2 && 2 * lost > known) => {
                (Judgement::Suspect, Some("carriers are gone: look at the antenna, or is a base station off?"))
            }
            () if self.floor.risen(minute) => {
                (Judgement::Suspect, Some("noise: it hears less far; look for what came into use near it"))
            }
            () if silent => {
                (Judgement::Suspect, Some("phones that were always heard are not: look at antenna and filter"))
            }
            () => (Judgement::Fine, None),
        };
        verdict.judgement = judgement;
        let facts = [vec![said_floor, said_carriers], said_silences].concat().join(", ");
        verdict.reason = cause.map_or(facts.clone(), |c| format!("{c} ({facts})"));
    }
}

impl Silence {
    fn words(&self) -> String {
        format!(
            "{} bursts of {} in {:.1} h where {:.0} were usual (chance {:.0e})",
            self.heard, self.standard, self.hours, self.expected, self.chance
        )
    }
}
