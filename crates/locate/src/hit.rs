//! From bursts to hits, in one go or as they come.

use crate::activity;
use crate::associate::{Associator, Emission, may_be_a_phone};
use crate::confidence;
use crate::place::{Placement, Placer, Reading, nowhere};
use crate::site::Site;
use crate::track::{CLIP_DBFS, Floor, LAG_S, LTE_REFERENCE_HZ, Track, Tracker};
use cellwarden_types::{Burst, Hit, HitState, Standard, UtcNanos, db};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Hits below this confidence are not reported, but for the end of one that was reported before.
pub const REPORTED_LEAST: f64 = 0.3;
/// Sent GSM power is spread over about this much.
const GSM_WIDTH_HZ: f64 = 200e3;
/// For so long an id is remembered, to keep it unique.
const ID_MEMORY: usize = 1024;

/// A sensor that took part in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorInfo {
    /// Its name, as bursts carry it.
    pub name: Arc<str>,
    /// UTC of its recording's first sample, where known.
    pub start_time: Option<UtcNanos>,
    /// Its noise floor, in dBFS/Hz; not a number where it is not known: then its bursts tell. Infinite where it does not listen
    /// all the time: what it does not hear then says nothing.
    pub noise_dbfs_per_hz: f64,
}

/// How a [`Joiner`] works.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinConfig {
    /// Every sensor that takes part, whether it hears something or not.
    pub sensors: Vec<SensorInfo>,
    /// Least time between two reports of one hit, in seconds of signal.
    pub update_s: f64,
}

impl JoinConfig {
    /// The usual configuration for these sensors.
    pub fn new(sensors: impl Into<Vec<SensorInfo>>) -> Self {
        Self { sensors: sensors.into(), update_s: 1.0 }
    }
}

/// Joins bursts to hits as they come. Its memory holds what may still go on, not what was.
///
/// The hits that it closes do not depend on the order of bursts between two calls of
/// [`advance`](Self::advance), nor on how often that is called, as long as no burst comes that is
/// older than `up_to_s`.
#[derive(Debug)]
pub struct Joiner {
    placer: Option<Placer>,
    /// Index of each sensor in the site.
    placed: Vec<Option<usize>>,
    config: JoinConfig,
    floors: Vec<Floor>,
    base: Option<UtcNanos>,
    associator: Associator,
    tracker: Tracker,
    ids: VecDeque<String>,
    emissions: Vec<Emission>,
    over: Vec<Track>,
}

impl Joiner {
    /// Starts with no burst heard.
    pub fn new(site: Option<&Site>, config: JoinConfig) -> Self {
        let placer = site.map(Placer::new);
        let mut joiner = Self {
            placed: Vec::new(),
            floors: Vec::new(),
            base: config.sensors.iter().filter_map(|s| s.start_time).min_by_key(|t| t.0),
            placer,
            config: JoinConfig { sensors: Vec::new(), ..config },
            associator: Associator::default(),
            tracker: Tracker::default(),
            ids: VecDeque::new(),
            emissions: Vec::new(),
            over: Vec::new(),
        };
        for sensor in config.sensors {
            joiner.add_sensor(sensor);
        }
        joiner
    }

    fn add_sensor(&mut self, sensor: SensorInfo) -> usize {
        self.placed.push(self.placer.as_ref().and_then(|p| p.sensor(&sensor.name)));
        self.floors.push(Floor { noise_dbfs_per_hz: sensor.noise_dbfs_per_hz });
        self.config.sensors.push(sensor);
        self.floors.len() - 1
    }

    /// Places from now on by another site, or not at all. Sensors keep their names.
    pub fn set_site(&mut self, site: Option<&Site>) {
        self.placer = site.map(Placer::new);
        let sensor = |s: &SensorInfo| self.placer.as_ref().and_then(|p| p.sensor(&s.name));
        self.placed = self.config.sensors.iter().map(sensor).collect();
    }

    /// Sets what a sensor can hear at best, in dBFS/Hz: its floor when it is known, not a number while it does not listen,
    /// infinite if it listens now and then. What a sensor did not hear then says nothing.
    pub fn set_noise(&mut self, sensor: usize, noise_dbfs_per_hz: f64) {
        if let Some(floor) = self.floors.get_mut(sensor) {
            floor.noise_dbfs_per_hz = noise_dbfs_per_hz;
        }
    }

    /// The common clock, in seconds from the earliest recording's first sample.
    pub fn clock_s(&self, time: Option<UtcNanos>, start_s: f64) -> f64 {
        match (time, self.base) {
            (Some(t), Some(base)) => t.seconds_since(base),
            _ => start_s,
        }
    }

    /// Bursts, emissions and activities that are held at the moment.
    pub fn held(&self) -> usize {
        self.associator.held() + self.tracker.len()
    }

    /// Takes a burst, in any order with those since the last [`advance`](Self::advance).
    pub fn push(&mut self, burst: Burst) {
        if !may_be_a_phone(&burst) {
            return;
        }
        if self.base.is_none() {
            self.base = burst.time.map(|t| t.plus_seconds(-burst.start_s));
        }
        let start_s = self.clock_s(burst.time, burst.start_s);
        let known = self.config.sensors.iter().position(|s| s.name == burst.sensor);
        let sensor = known.unwrap_or_else(|| {
            let name = Arc::clone(&burst.sensor);
            self.add_sensor(SensorInfo { name, start_time: None, noise_dbfs_per_hz: f64::NAN })
        });
        let floor = &mut self.floors[sensor].noise_dbfs_per_hz;
        if floor.is_nan() {
            let told = burst.power_dbfs - burst.snr_db - db((burst.freq_upper_hz - burst.freq_lower_hz).max(1.0));
            if told.is_finite() {
                *floor = told;
            }
        }
        self.associator.push(burst, sensor, start_s);
    }

    /// Works on all bursts that start before `up_to_s` on the [common clock](Self::clock_s), and adds
    /// what is new to `out`: hits that open, that have more to say, and that close.
    pub fn advance(&mut self, up_to_s: f64, out: &mut Vec<Hit>) {
        self.work(up_to_s);
        self.tracker.expire(up_to_s - LAG_S, &mut self.over);
        self.close(out);
        let mut tracks: Vec<Track> = Vec::new();
        for track in self.tracker.tracks_mut() {
            if track.end_s >= track.reported_end_s + self.config.update_s || track.revision == 0 {
                tracks.push(track.clone());
            }
        }
        let mut reported = BTreeMap::new();
        for mut track in tracks {
            let state = if track.revision == 0 { HitState::Open } else { HitState::Updated };
            if let Some(hit) = self.hit(&mut track, state) {
                reported.insert(track.number, track.id);
                out.push(hit);
            }
        }
        for track in self.tracker.tracks_mut() {
            if let Some(id) = reported.remove(&track.number) {
                track.id = id;
                track.revision += 1;
                track.reported_end_s = track.end_s;
            }
        }
    }

    /// Closes everything: the hits that were not closed yet, sorted by time.
    pub fn finish(mut self) -> Vec<Hit> {
        self.work(f64::INFINITY);
        self.tracker.expire(f64::INFINITY, &mut self.over);
        let mut out = Vec::new();
        self.close(&mut out);
        out
    }

    fn work(&mut self, up_to_s: f64) {
        let mut emissions = std::mem::take(&mut self.emissions);
        self.associator.take(up_to_s, &mut emissions);
        for e in emissions.drain(..) {
            self.tracker.add(&e, &self.floors, &mut self.over);
        }
        self.emissions = emissions;
    }

    /// Reports the tracks that are over, in order of their start.
    fn close(&mut self, out: &mut Vec<Hit>) {
        let mut over = std::mem::take(&mut self.over);
        over.sort_by(|a, b| a.start_s.total_cmp(&b.start_s).then(a.number.cmp(&b.number)));
        for mut track in over.drain(..) {
            out.extend(self.hit(&mut track, HitState::Closed));
        }
        self.over = over;
    }

    fn hit(&mut self, track: &mut Track, state: HitState) -> Option<Hit> {
        let (confidence, evidence) = confidence::judge(track.standard, &track.grounds);
        // What was reported once is also closed, even if it came to nothing.
        if confidence < REPORTED_LEAST && track.id.is_none() {
            return None;
        }
        let id = match &track.id {
            Some(id) => id.clone(),
            None => self.new_id(track),
        };
        track.id = Some(id.clone());
        let placement = self.place(track);
        let name = |i: usize| self.config.sensors[i].name.to_string();
        let heard = || track.levels.iter().enumerate().filter(|(_, l)| l.count > 0);
        let mean = |sum: f64, count: u32| round(sum / f64::from(count), 100.0);
        let strongest = heard().map(|(_, l)| l).max_by(|a, b| {
            let snr = |l: &crate::track::Level| l.sum_snr_db / f64::from(l.count);
            snr(a).total_cmp(&snr(b))
        })?;
        let utc = |t: f64| self.base.map(|base| base.plus_seconds(t));
        Some(Hit {
            id,
            state,
            revision: track.revision + 1,
            block: placement.block,
            cell: placement.cell,
            block_probability: placement.probability,
            standard: track.standard,
            band: track.band.clone(),
            activity: activity::name(track.standard, &track.pattern),
            start_s: round(track.start_s, 1e9),
            end_s: round(track.end_s, 1e9),
            time_start: utc(track.start_s),
            time_end: utc(track.end_s),
            bursts: track.emissions,
            peak_power_dbfs: round(strongest.peak_dbfs, 100.0),
            snr_db: mean(strongest.sum_snr_db, strongest.count),
            sensors: heard().map(|(i, l)| (name(i), mean(l.sum_dbfs, l.count))).collect(),
            confidence: round(confidence, 1e4),
            evidence,
        })
    }

    fn place(&self, track: &Track) -> Placement {
        let Some(placer) = &self.placer else { return nowhere() };
        let width = if track.standard == Standard::Gsm { GSM_WIDTH_HZ } else { LTE_REFERENCE_HZ };
        let mut readings = Vec::new();
        for (i, floor) in self.floors.iter().enumerate() {
            let Some(sensor) = self.placed[i] else { continue };
            let heard = track.levels.get(i).filter(|l| !l.is_of_others(track.emissions));
            match heard.and_then(|l| Some((l, l.mean_scaled_dbfs()?))) {
                Some((l, _)) if l.clipped * 4 >= l.count => readings.push((sensor, Reading::AtLeast(CLIP_DBFS))),
                Some((l, mean_dbfs)) => readings.push((sensor, Reading::Level(mean_dbfs, l.count))),
                None if floor.noise_dbfs_per_hz.is_finite() => {
                    readings.push((sensor, Reading::Nothing(floor.noise_dbfs_per_hz + db(width))));
                }
                None => {}
            }
        }
        placer.place(track.standard, track.centre_hz, &readings)
    }

    /// Time, sensor and frequency; a number behind where two begin as one.
    fn new_id(&mut self, track: &Track) -> String {
        let sensor = &self.config.sensors[track.first_sensor].name;
        let khz = (track.first_lower_hz / 1e3).round();
        let time = match self.base {
            Some(base) => compact(base.plus_seconds(track.start_s)),
            None => format!("s{:014.6}", track.start_s),
        };
        let plain = format!("{time}-{sensor}-{khz:.0}k");
        let mut id = plain.clone();
        let mut n = 1;
        while self.ids.contains(&id) {
            n += 1;
            id = format!("{plain}-{n}");
        }
        if self.ids.len() >= ID_MEMORY {
            self.ids.pop_front();
        }
        self.ids.push_back(id.clone());
        id
    }
}

/// `20260301T060000.123456Z`
fn compact(time: UtcNanos) -> String {
    let text: String = time.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let micros = text.len().saturating_sub(4); // three digits of nanoseconds, and Z
    format!("{}Z", &text[..micros])
}

fn round(v: f64, steps: f64) -> f64 {
    (v * steps).round() / steps
}

/// Joins the bursts of a whole run to hits, sorted by time, all closed.
///
/// `sensors` are all that took part. Bursts may come in any order; a burst that is no phone's, or
/// that holds a number which is none, is left out.
pub fn join(bursts: Vec<Burst>, sensors: &[SensorInfo], site: Option<&Site>) -> Vec<Hit> {
    let mut joiner = Joiner::new(site, JoinConfig::new(sensors));
    // Where no sensor's start is known, the earliest that the bursts tell: not that of whichever comes first.
    let starts = bursts.iter().filter(|b| may_be_a_phone(b)).filter_map(|b| Some(b.time?.plus_seconds(-b.start_s)));
    joiner.base = joiner.base.or(starts.min_by_key(|t| t.0));
    for burst in bursts {
        joiner.push(burst);
    }
    joiner.finish()
}
