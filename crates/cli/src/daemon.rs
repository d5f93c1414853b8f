//! The life of a run with receivers: devices, detectors, hits as they come, health, signals.

use crate::archive::{self, Archive};
use crate::args::{Format, ListenArgs};
use crate::config::Config;
use crate::engine::Event;
use crate::failure::Failure;
use crate::listen::{Listening, Totals, emit};
use crate::live::{Live, LiveSensor};
use cellwarden_capture::process::supervisor::{CaptureCommand, DeviceHandle, DeviceStatus, spawn_device};
use cellwarden_detect::Detector;
use cellwarden_evidence::{EvidenceWriter, Keys};
use cellwarden_health::{AmbientCarrier, AmbientLevels, Commissioning, Health, HealthConfig};
use cellwarden_locate::{JoinConfig, Joiner, SensorInfo};
use cellwarden_report::Sink;
use cellwarden_store::{EventLevel, Store};
use cellwarden_types::request::LevelRequest;
use cellwarden_types::{BoxHealth, Burst, Hit, Record, SensorHealth, SensorState, Summary, UtcNanos};
use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGHUP, TERM_SIGNALS};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Nobody waits longer for the bell: states change without samples, too.
const TURN: Duration = Duration::from_millis(50);
/// From one snapshot of its health to the next.
const HEALTH_EVERY: Duration = Duration::from_secs(1);
/// The store's file in the folder of data.
const STORE: &str = "cellwarden.db";
/// From one pruning of the store to the next.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// From one look at the carriers that are always in the air to the next, and over how long they are looked at.
const AMBIENT_EVERY: Duration = Duration::from_secs(60);
const AMBIENT_OVER_S: f64 = 0.5;
/// With evidence, the histories reach back over a decision and the half second before a hit, in seconds.
const TILE_HISTORY_S: f64 = 1.0;
/// What is still on its way when the daemon is asked to end is waited for so long.
const ENDS: Duration = Duration::from_millis(1_200);

/// What people and the service manager ask for.
struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// Listens to them from now on. The first that ends the run leaves everything written; the second ends the process.
    fn new() -> Result<Self, Failure> {
        let failed = |e| Failure::Run(format!("asking for signals: {e}"));
        let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in TERM_SIGNALS {
            signal_hook::flag::register_conditional_shutdown(*signal, 1, Arc::clone(&stop)).map_err(failed)?;
            signal_hook::flag::register(*signal, Arc::clone(&stop)).map_err(failed)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&reload)).map_err(failed)?;
        Ok(Self { stop, reload })
    }
}

/// Runs until everything has ended, or a signal comes.
pub fn run(mut config: Config, args: &ListenArgs) -> Result<(), Failure> {
    if args.format == Some(Format::Sigmf) {
        return Err(Failure::Usage("--format sigmf annotates a recording: replay one".to_owned()));
    }
    config.site = args.site.clone().or(config.site);
    let args = ListenArgs { site: config.site.clone(), ..args.clone() };
    let listening = Listening::new(&args, true)?;
    if let Some(site) = &listening.site {
        for sensor in config.sensors() {
            crate::cmd::replay::known_sensor(site, sensor, |known| format!("sensor = {known:?}"))?;
        }
    }
    let signals = Signals::new()?;
    let mut daemon = Daemon::start(&config, &listening)?;
    if let Some(endpoint) = &daemon.endpoint {
        tracing::info!(address = %endpoint.address(), "Health is told.");
    }
    notify(&[sd_notify::NotifyState::Ready]);
    let outcome = daemon.listen(&signals);
    notify(&[sd_notify::NotifyState::Stopping]);
    daemon.finish()?;
    outcome
}

/// Tells the service manager, if there is one.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("Telling the service manager: {error}.");
    }
}

struct Daemon<'a> {
    listening: &'a Listening<'a>,
    devices: Vec<DeviceHandle>,
    live: Live,
    /// Threads for the detectors; capture has its own processes.
    pool: rayon::ThreadPool,
    joiner: Joiner,
    store: Option<Store>,
    /// When the store was last pruned, and what it had to say then.
    pruned: Instant,
    store_said: Option<String>,
    /// What each sensor was doing.
    states: BTreeMap<Arc<str>, SensorState>,
    archive: Option<Archive>,
    endpoint: Option<Health>,
    /// What each sensor heard when it was hung up.
    commissioning: Vec<Commissioning>,
    ambient_looked: Option<Instant>,
    bell: Receiver<()>,
    sink: Box<dyn Sink>,
    show_bursts: bool,
    patient: bool,
    totals: Totals,
    started: UtcNanos,
    /// When health was last looked at, and whether samples moved since the watchdog was fed.
    looked: Instant,
    moved: bool,
}

impl<'a> Daemon<'a> {
    fn start(config: &Config, listening: &'a Listening<'a>) -> Result<Self, Failure> {
        let started = UtcNanos::now();
        if let Some(data) = &config.data {
            std::fs::create_dir_all(data).map_err(|e| Failure::Run(format!("making {}: {e}", data.display())))?;
        }
        let archive = config.data.as_deref().map(|data| open_archive(data, config, listening)).transpose()?;
        let commissioning = config.data.as_deref().map(load_commissioning).transpose()?.unwrap_or_default();
        let endpoint = config.health.map(|address| {
            Health::start(address, HealthConfig { commissioning: commissioning.clone(), ..HealthConfig::default() })
        });
        let mut detect = listening.config;
        if archive.is_some() {
            detect.tile_history_s = detect.tile_history_s.max(TILE_HISTORY_S);
        }
        let (ring, bell) = bounded(1);
        let command = CaptureCommand {
            // The very program that runs, even if its file was replaced since.
            program: PathBuf::from("/proc/self/exe"),
            arguments: vec![crate::cmd::capture::NAME.into()],
        };
        let mut devices = Vec::new();
        let mut sensors = Vec::new();
        for (d, device) in config.devices.iter().enumerate() {
            let mut handle =
                spawn_device(device.clone(), command.clone(), config.queue_s, ring.clone()).map_err(Failure::run)?;
            for (c, (reader, channel)) in handle.readers.drain(..).zip(&device.channels).enumerate() {
                sensors.push(LiveSensor::new(Arc::from(channel.sensor.as_str()), (d, c), reader, detect));
            }
            devices.push(handle);
        }
        // A sensor that has not listened yet has no floor: what it does not hear says nothing.
        let info = |s: &LiveSensor| SensorInfo {
            name: Arc::clone(&s.name),
            start_time: Some(started),
            noise_dbfs_per_hz: f64::NAN,
        };
        let infos: Vec<SensorInfo> = sensors.iter().map(info).collect();
        let (mut sink, show_bursts) = listening.sink(Vec::new());
        let mut store = config.data.as_deref().map(|data| open_store(data, config)).transpose()?;
        close_orphans(store.as_mut(), sink.as_mut())?;
        Ok(Self {
            joiner: Joiner::new(listening.site.as_ref(), JoinConfig::new(infos)),
            listening,
            devices,
            live: Live { sensors },
            pool: listening.pool()?,
            store,
            pruned: Instant::now(),
            store_said: None,
            states: BTreeMap::new(),
            archive,
            endpoint: endpoint.transpose().map_err(Failure::run)?,
            commissioning,
            ambient_looked: None,
            bell,
            sink,
            show_bursts,
            patient: config.patient,
            totals: Totals::default(),
            started,
            looked: Instant::now(),
            moved: false,
        })
    }

    /// Takes turns until all has ended, or `signals` say so.
    fn listen(&mut self, signals: &Signals) -> Result<(), Failure> {
        let mut asked: Option<Instant> = None;
        loop {
            let _ = self.bell.recv_timeout(TURN);
            if signals.stop.load(Ordering::Relaxed) && asked.is_none() {
                asked = Some(Instant::now());
                self.devices.iter().for_each(|d| d.stop().store(true, Ordering::Relaxed));
            }
            if signals.reload.swap(false, Ordering::Relaxed) {
                tracing::warn!("SIGHUP: nothing is reloaded yet: restart the service for a new configuration.");
            }
            if !self.patient {
                self.all_could_be_opened()?;
            }
            let over = self.turn()?;
            if over || asked.is_some_and(|a| a.elapsed() > ENDS) {
                return Ok(());
            }
            if self.looked.elapsed() >= HEALTH_EVERY {
                self.looked = Instant::now();
                self.feed_watchdog();
                self.publish_health();
            }
        }
    }

    /// That no device failed before it was open for the first time.
    fn all_could_be_opened(&self) -> Result<(), Failure> {
        let never_open = |s: &DeviceStatus| s.channels.is_empty();
        let failed = self.devices.iter().map(DeviceHandle::status).filter(never_open).find_map(|s| s.last_error);
        failed.map_or(Ok(()), |why| Err(Failure::Run(why)))
    }

    /// One turn of every sensor, and what comes of it. Returns whether all is over.
    fn turn(&mut self) -> Result<bool, Failure> {
        let mut events = Vec::new();
        let turn = self.pool.install(|| self.live.turn(&mut events));
        self.moved |= turn.samples > 0;
        for event in events {
            match event {
                Event::Gap(gap, _) => {
                    if let Some(store) = &mut self.store {
                        // What is left out is in what the store says of its trouble.
                        let _ = store.put_gap(&gap, UtcNanos::now());
                    }
                    self.sink.record(&Record::Gap(gap))?;
                }
                Event::Burst(burst) => {
                    *self.totals.bursts.entry(burst.standard.name().to_owned()).or_default() += 1;
                    if self.show_bursts {
                        let record = Record::Burst(*burst);
                        self.sink.record(&record)?;
                        let Record::Burst(burst) = record else { continue };
                        self.push(burst);
                    } else {
                        self.push(*burst);
                    }
                }
            }
        }
        for (i, info) in self.infos().into_iter().enumerate() {
            self.joiner.set_noise(i, info.noise_dbfs_per_hz);
        }
        let mut hits = Vec::new();
        self.joiner.advance(turn.settled.seconds_since(self.started), &mut hits);
        self.announce(&mut hits)?;
        if let Some(archive) = &mut self.archive {
            let detectors: Vec<&Detector> = self.live.sensors.iter().map(|s| &s.detector).collect();
            archive.turn(&detectors, turn.settled);
        }
        Ok(turn.over)
    }

    fn push(&mut self, burst: Burst) {
        if let Some(archive) = &mut self.archive {
            archive.burst(&burst);
        }
        self.joiner.push(burst);
    }

    /// What is known of each sensor: its floor while it listens. What one does not hear that does not listen says nothing.
    fn infos(&self) -> Vec<SensorInfo> {
        let floor = |s: &LiveSensor| s.detector.noise_dbfs_per_hz().filter(|_| s.listens()).unwrap_or(f64::NAN);
        let info = |s: &LiveSensor| SensorInfo {
            name: Arc::clone(&s.name),
            start_time: Some(self.started),
            noise_dbfs_per_hz: floor(s),
        };
        self.live.sensors.iter().map(info).collect()
    }

    fn announce(&mut self, hits: &mut Vec<Hit>) -> Result<(), Failure> {
        if let Some(mut archive) = self.archive.take_if(|_| !hits.is_empty()) {
            let detectors: Vec<&Detector> = self.live.sensors.iter().map(|s| &s.detector).collect();
            let infos = self.infos();
            hits.iter().for_each(|hit| archive.hit(hit, &detectors, &infos));
            self.archive = Some(archive);
        }
        if let Some(store) = self.store.as_mut().filter(|_| !hits.is_empty()) {
            // On disk before anybody hears of it; but a phone is announced even where the disk fails.
            if let Err(error) = store.put_hits(hits, UtcNanos::now()) {
                tracing::error!("{error}.");
            }
        }
        emit(hits, true, &mut self.totals, self.sink.as_mut())?;
        // Somebody waits for it.
        Ok(self.sink.flush()?)
    }

    /// The watchdog starts the daemon anew when no sample moves any more, whatever the reason.
    fn feed_watchdog(&mut self) {
        if std::mem::take(&mut self.moved) {
            notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }

    fn publish_health(&mut self) {
        let health = self.health();
        self.note_states(&health);
        self.keep(&health);
        let Some(endpoint) = &self.endpoint else { return };
        endpoint.publish(health);
        if self.ambient_looked.is_none_or(|at| at.elapsed() >= AMBIENT_EVERY) {
            self.ambient_looked = Some(Instant::now());
            endpoint.publish_ambient(self.ambient());
        }
    }

    /// Stores health, and lets the store keep itself in order.
    fn keep(&mut self, health: &BoxHealth) {
        let Some(store) = &mut self.store else { return };
        // What is left out is in what the store says of its trouble.
        let _ = store.put_health(health);
        store.flush(health.time);
        if self.pruned.elapsed() >= PRUNE_EVERY {
            self.pruned = Instant::now();
            if let Err(error) = store.prune(health.time) {
                tracing::error!("{error}.");
            }
        }
        for notice in store.notices() {
            tracing::warn!("{notice}");
        }
        let trouble = store.trouble();
        if trouble.is_some() && trouble != self.store_said {
            tracing::error!("The store: {}.", trouble.as_deref().unwrap_or_default());
        }
        self.store_said = trouble;
    }

    /// Stores when a sensor begins or ceases to listen.
    fn note_states(&mut self, health: &BoxHealth) {
        for sensor in &health.sensors {
            let before = self.states.insert(Arc::clone(&sensor.sensor), sensor.state);
            if before == Some(sensor.state) {
                continue;
            }
            let level = if sensor.state == SensorState::Down { EventLevel::Error } else { EventLevel::Info };
            let why = sensor.last_error.as_deref().filter(|_| sensor.state == SensorState::Down);
            let text = format!("{}{}", sensor.state.name(), why.map_or(String::new(), |w| format!(": {w}")));
            if let Some(store) = &mut self.store {
                // As above.
                let _ = store.put_event(health.time, level, Some(&sensor.sensor), &text);
            }
        }
    }

    /// Levels of the carriers that are always in the air, as they are now.
    fn ambient(&self) -> AmbientLevels {
        let now = UtcNanos::now();
        let of = |known: &Commissioning| {
            let sensor = self.live.sensors.iter().find(|s| *s.name == *known.sensor).filter(|s| s.listens())?;
            let level = |carrier: &AmbientCarrier| {
                let request = LevelRequest {
                    sensor: Arc::clone(&sensor.name),
                    time: now.plus_seconds(-AMBIENT_OVER_S),
                    duration_s: AMBIENT_OVER_S,
                    freq_lower_hz: carrier.center_hz - carrier.width_hz / 2.0,
                    freq_upper_hz: carrier.center_hz + carrier.width_hz / 2.0,
                };
                let level_dbfs = sensor.detector.level(&request).power_dbfs?;
                Some(AmbientCarrier { level_dbfs, ..*carrier })
            };
            Some((known.sensor.clone(), known.ambient.iter().filter_map(level).collect()))
        };
        AmbientLevels(self.commissioning.iter().filter_map(of).collect())
    }

    fn health(&self) -> BoxHealth {
        let statuses: Vec<DeviceStatus> = self.devices.iter().map(DeviceHandle::status).collect();
        let sensors = self.live.sensors.iter().map(|s| self.sensor_health(s, &statuses[s.device.0])).collect();
        let processes = std::iter::once(std::process::id()).chain(statuses.iter().filter_map(|s| s.process));
        let (processor_s, memory_bytes) = processes.map(usage).fold((0.0, 0), |(s, m), (a, b)| (s + a, m + b));
        BoxHealth {
            time: UtcNanos::now(),
            started: self.started,
            software: crate::listen::software(),
            config_sha256: self.listening.config_sha256.clone(),
            sensors,
            hits: self.totals.hits.clone(),
            processor_s,
            memory_bytes,
            store_trouble: self.trouble(),
        }
    }

    /// What cannot be kept.
    fn trouble(&self) -> Option<String> {
        let missed = self.archive.as_ref().map_or(0, Archive::missed);
        let unproven = (missed > 0).then(|| format!("{missed} hits have no evidence: the log says why"));
        let parts: Vec<String> = self.store.as_ref().and_then(Store::trouble).into_iter().chain(unproven).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn sensor_health(&self, sensor: &LiveSensor, status: &DeviceStatus) -> SensorHealth {
        let (device, channel) = sensor.device;
        let config = &self.devices[device].config;
        let info = status.channels.get(channel);
        let state = match status.state {
            // Its device is open, and nothing comes.
            SensorState::Listening if !sensor.listens() => SensorState::Starting,
            state => state,
        };
        SensorHealth {
            sensor: Arc::clone(&sensor.name),
            device: config.name.clone(),
            state,
            since: status.since,
            center: info.map_or(config.channels[channel].center, |i| i.center),
            rate: info.map_or(config.rate, |i| i.rate),
            gain_db: info.and_then(|i| i.gain_db),
            ledger: sensor.ledger(),
            drift_ppm: status.drift_ppm[channel],
            floor_dbfs_per_hz: sensor.detector.noise_dbfs_per_hz(),
            clipped: sensor.clipped,
            unusable: sensor.detector.counts().unusable,
            bursts: sensor.counted.clone(),
            restarts: status.restarts,
            last_error: status.last_error.clone(),
            temperature_celsius: status.temperature_celsius,
        }
    }

    /// Closes what is open, and sums up.
    fn finish(mut self) -> Result<(), Failure> {
        let statuses: Vec<DeviceStatus> = self.devices.iter().map(DeviceHandle::status).collect();
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.stop();
        }
        self.devices.clear();
        let joiner = std::mem::replace(&mut self.joiner, Joiner::new(None, JoinConfig::new(Vec::new())));
        let mut hits = joiner.finish();
        self.announce(&mut hits)?;
        let ledgers = self.live.sensors.iter().map(|s| (s.name.to_string(), s.ledger())).collect();
        let rate = |s: &LiveSensor| statuses[s.device.0].channels.get(s.device.1).map_or(f64::INFINITY, |c| c.rate.0);
        let seconds = self.live.sensors.iter().map(|s| s.ledger().expected as f64 / rate(s)).fold(0.0, f64::max);
        let totals = std::mem::take(&mut self.totals);
        let summary: Summary = self.listening.summary(ledgers, seconds, totals);
        self.sink.record(&Record::Summary(summary))?;
        if let Some(store) = self.store.take() {
            store.close(UtcNanos::now()).map_err(Failure::run)?;
        }
        Ok(self.sink.finish()?)
    }
}

/// Opens the store, and says what was found in it.
fn open_store(data: &Path, config: &Config) -> Result<Store, Failure> {
    let (store, notices) = Store::open(&data.join(STORE), config.store.clone()).map_err(Failure::run)?;
    for notice in notices {
        tracing::warn!("{notice}");
    }
    Ok(store)
}

/// Hits that were open when the daemon died: nobody will ever hear how they went on.
fn close_orphans(store: Option<&mut Store>, sink: &mut dyn Sink) -> Result<(), Failure> {
    let Some(store) = store else { return Ok(()) };
    loop {
        let hits = match store.close_orphans(UtcNanos::now()) {
            Ok(hits) => hits,
            Err(error) => {
                tracing::error!("{error}.");
                return Ok(());
            }
        };
        if hits.is_empty() {
            return Ok(());
        }
        tracing::warn!(hits = hits.len(), "Hits were open when the daemon ended the last time: closed.");
        for hit in hits {
            sink.record(&Record::Hit(hit))?;
        }
    }
}

/// What the sensors heard when they were hung up, where somebody wrote it down.
fn load_commissioning(data: &Path) -> Result<Vec<Commissioning>, Failure> {
    let path = data.join("commissioning.json");
    if path.exists() { Commissioning::load(&path).map_err(Failure::usage) } else { Ok(Vec::new()) }
}

/// Opens the folder of evidence, and says what a crash had left in it.
fn open_archive(data: &Path, config: &Config, listening: &Listening<'_>) -> Result<Archive, Failure> {
    let keys = Keys::load_or_create(&data.join("keys")).map_err(Failure::run)?;
    let sensors = config.sensors().map(Arc::from).collect();
    let writer = EvidenceWriter::open(&data.join("evidence"), keys, config.evidence.clone()).map_err(Failure::run)?;
    for repair in writer.repairs() {
        tracing::warn!("Evidence: {repair}.");
    }
    let about = archive::About {
        site_text: listening.site_text()?,
        config_sha256: listening.config_sha256.clone(),
        software: crate::listen::software(),
    };
    Archive::new(about, sensors, writer).map_err(|e| Failure::Run(format!("starting the evidence thread: {e}")))
}

/// Processor time in seconds and resident memory in bytes of a process; nothing of one that is gone.
fn usage(process: u32) -> (f64, u64) {
    let stat = i32::try_from(process).ok().and_then(|p| procfs::process::Process::new(p).ok()?.stat().ok());
    stat.map_or((0.0, 0), |s| {
        ((s.utime + s.stime) as f64 / procfs::ticks_per_second() as f64, s.rss * procfs::page_size())
    })
}
