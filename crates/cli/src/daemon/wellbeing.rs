//! How the box is doing: a snapshot of every sensor, told to whoever asks.

use super::keeping::Keeping;
use crate::config::Config;
use crate::failure::Failure;
use crate::live::{Live, LiveSensor};
use cellwarden_capture::process::supervisor::{DeviceHandle, DeviceStatus};
use cellwarden_detect::ambient::carriers;
use cellwarden_health::{AmbientCarrier, AmbientLevels, CARRIERS_MOST, Commissioning, Health, HealthConfig};
use cellwarden_store::EventLevel;
use cellwarden_types::request::LevelRequest;
use cellwarden_types::{BoxHealth, SensorHealth, SensorState, UtcNanos};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From one look at the carriers that are always in the air to the next, and over how long they are looked at.
const AMBIENT_EVERY: Duration = Duration::from_secs(60);
const AMBIENT_OVER_S: f64 = 0.5;
/// What the sensors heard when they were hung up, in the folder of data.
pub const COMMISSIONING: &str = "commissioning.json";

/// Tells how the box is doing.
pub struct Wellbeing {
    endpoint: Option<Health>,
    /// What each sensor heard when it was hung up.
    commissioning: Vec<Commissioning>,
    ambient_looked: Option<Instant>,
    /// The most that was told.
    processor_s: f64,
    /// What each sensor was doing.
    states: BTreeMap<Arc<str>, SensorState>,
}

impl Wellbeing {
    /// Starts the endpoint, where the configuration wants one.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        let path = config.data.as_ref().map(|data| data.join(COMMISSIONING)).filter(|path| path.exists());
        let commissioning = match path {
            Some(path) => Commissioning::load(&path).map_err(Failure::usage)?,
            None => Vec::new(),
        };
        let start = |address| {
            let config = HealthConfig { commissioning: commissioning.clone(), ..HealthConfig::default() };
            Health::start(address, config).map_err(Failure::run)
        };
        let endpoint = config.health.map(start).transpose()?;
        if let Some(endpoint) = &endpoint {
            tracing::info!(address = %endpoint.address(), "Health is told.");
        }
        Ok(Self { endpoint, commissioning, ambient_looked: None, processor_s: 0.0, states: BTreeMap::new() })
    }

    /// Tells a snapshot.
    pub fn tell(&mut self, mut health: BoxHealth, live: &Live, keeping: &mut Keeping) {
        // A process that has just ended is in no sum until it was waited for.
        self.processor_s = self.processor_s.max(health.processor_s);
        health.processor_s = self.processor_s;
        self.note_states(&health, keeping);
        keeping.health(&health);
        let Some(endpoint) = &self.endpoint else { return };
        endpoint.publish(health);
        let listens = live.sensors.iter().any(LiveSensor::listens);
        if listens && self.ambient_looked.is_none_or(|at| at.elapsed() >= AMBIENT_EVERY) {
            self.ambient_looked = Some(Instant::now());
            endpoint.publish_ambient(self.ambient(live));
        }
    }

    /// Ends the endpoint.
    pub fn stop(self) {
        if let Some(endpoint) = self.endpoint {
            endpoint.stop();
        }
    }

    /// Keeps when a sensor begins or ceases to listen.
    fn note_states(&mut self, health: &BoxHealth, keeping: &mut Keeping) {
        for sensor in &health.sensors {
            let before = self.states.insert(Arc::clone(&sensor.sensor), sensor.state);
            if before == Some(sensor.state) {
                continue;
            }
            let is_down = sensor.state == SensorState::Down;
            let level = if is_down { EventLevel::Error } else { EventLevel::Info };
            let why = sensor.last_error.as_deref().filter(|_| is_down).map_or(String::new(), |w| format!(": {w}"));
            keeping.event(level, &sensor.sensor, &format!("{}{why}", sensor.state.name()));
        }
    }

    /// Levels of the carriers that are always in the air, as they are now: those of the commissioning, and those that stand out
    /// of the floor beside them. Of a sensor that hops each counts as it was heard on the last visit.
    fn ambient(&self, live: &Live) -> AmbientLevels {
        let now = UtcNanos::now();
        let of = |sensor: &LiveSensor| {
            let detector = &sensor.detector;
            let known = self.commissioning.iter().find(|c| *c.sensor == *sensor.name).map_or(&[][..], |c| &c.ambient);
            // Floors alone are asked for, no rows.
            let mut tunings = detector.tiles_of_all(|_| Some(now));
            if !sensor.hops() {
                tunings.drain(..tunings.len().saturating_sub(1));
            }
            // Where two overlap, a carrier is always measured at the same.
            tunings.sort_by(|a, b| a.center.0.total_cmp(&b.center.0));
            let level = |carrier: &AmbientCarrier| {
                let (low_hz, high_hz) = edges(carrier);
                if sensor.hops() {
                    return tunings.iter().find_map(|t| detector.level_of_last_visit(t.center, low_hz, high_hz));
                }
                let request = LevelRequest {
                    sensor: Arc::clone(&sensor.name),
                    time: now.plus_seconds(-AMBIENT_OVER_S),
                    duration_s: AMBIENT_OVER_S,
                    freq_lower_hz: low_hz,
                    freq_upper_hz: high_hz,
                };
                detector.level(&request).power_dbfs
            };
            let mut all = known.to_vec();
            for found in tunings.iter().flat_map(|t| carriers(t, CARRIERS_MOST)) {
                let beside =
                    |k: &AmbientCarrier| (k.center_hz - found.center_hz).abs() > (k.width_hz + found.width_hz) / 2.0;
                if all.iter().all(beside) {
                    all.push(found);
                }
            }
            let read = |c: &AmbientCarrier| Some(AmbientCarrier { level_dbfs: level(c)?, ..*c });
            (sensor.name.to_string(), all.iter().filter_map(read).collect())
        };
        AmbientLevels(live.sensors.iter().filter(|s| s.listens()).map(of).collect())
    }
}

fn edges(carrier: &AmbientCarrier) -> (f64, f64) {
    (carrier.center_hz - carrier.width_hz / 2.0, carrier.center_hz + carrier.width_hz / 2.0)
}

/// One sensor at this moment.
pub fn sensor_health(sensor: &LiveSensor, device: &DeviceHandle, status: &DeviceStatus) -> SensorHealth {
    let channel = sensor.device.1;
    let (config, info) = (&device.config, status.channels.get(channel));
    let state = match status.state {
        // Its device is open, and nothing comes.
        SensorState::Listening if !sensor.listens() => SensorState::Starting,
        state => state,
    };
    // Of several centres the first speaks for the sensor: like is to be compared with like.
    let center = info.map_or(config.channels[channel].center, |i| i.center);
    SensorHealth {
        sensor: Arc::clone(&sensor.name),
        device: config.name.clone(),
        state,
        since: status.since,
        center,
        rate: info.map_or(config.rate, |i| i.rate),
        gain_db: info.and_then(|i| i.gain_db),
        ledger: sensor.ledger(),
        drift_ppm: status.drift_ppm[channel],
        time_uncertainty_s: status.uncertainty_s[channel],
        floor_dbfs_per_hz: match config.hop {
            Some(_) => sensor.detector.noise_dbfs_per_hz_at(center),
            None => sensor.detector.noise_dbfs_per_hz(),
        },
        clipped: sensor.clipped,
        unusable: sensor.detector.counts().unusable,
        bursts: sensor.counted.clone(),
        restarts: status.restarts,
        last_error: status.last_error.clone(),
        temperature_celsius: status.temperature_celsius,
        self_test: sensor.detector.results().to_vec(),
    }
}

/// Processor time in seconds, that of children that ended included, and resident memory in bytes of processes; nothing of
/// those that are gone.
pub fn usage(processes: impl Iterator<Item = u32>) -> (f64, u64) {
    processes.map(usage_of).fold((0.0, 0), |(s, m), (a, b)| (s + a, m + b))
}

fn usage_of(process: u32) -> (f64, u64) {
    let stat = i32::try_from(process).ok().and_then(|p| procfs::process::Process::new(p).ok()?.stat().ok());
    stat.map_or((0.0, 0), |s| {
        let ended = u64::try_from(s.cutime + s.cstime).unwrap_or(0);
        ((s.utime + s.stime + ended) as f64 / procfs::ticks_per_second() as f64, s.rss * procfs::page_size())
    })
}
