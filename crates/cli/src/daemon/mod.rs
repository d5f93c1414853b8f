//! The life of a run with receivers: devices, detectors, hits as they come, health, signals.

mod keeping;
pub mod wellbeing;

use crate::args::{Format, ListenArgs};
use crate::config::Config;
use crate::engine::Event;
use crate::failure::Failure;
use crate::gain::kept;
use crate::learned::{self, Memory};
use crate::listen::{Listening, Totals, emit, software};
use crate::live::{Live, LiveSensor};
use cellwarden_capture::process::supervisor::{DEVICE_CLOCK_SET_S, DeviceHandle, DeviceStatus, spawn_device};
use cellwarden_detect::state::DetectorState;
use cellwarden_locate::{JoinConfig, Joiner, SensorInfo};
use cellwarden_report::Sink;
use cellwarden_selftest::TestedDetector;
use cellwarden_types::{BoxHealth, Burst, Hit, Record, Summary, UtcNanos};
use crossbeam_channel::{Receiver, Sender, bounded};
use keeping::Keeping;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, TERM_SIGNALS};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wellbeing::Wellbeing;

/// Nobody waits longer for the bell: states change without samples, too.
const TURN: Duration = Duration::from_millis(50);
/// From one snapshot of its health to the next.
const HEALTH_EVERY: Duration = Duration::from_secs(1);
/// A full queue of samples is worked off so many times slower than it came; while it is, nothing more is queued.
const SLOWEST: f64 = 4.0;
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

/// Runs until everything has ended, or a signal comes. `file` is where the configuration came from.
pub fn run(mut config: Config, file: Option<&Path>, args: &ListenArgs) -> Result<(), Failure> {
    if args.format == Some(Format::Sigmf) {
        return Err(Failure::Usage("--format sigmf annotates a recording: replay one".to_owned()));
    }
    config.site = args.site.clone().or(config.site);
    for gain in kept::resolve(&mut config)? {
        let (sensor, gain_db, measured) = (&gain.sensor, gain.gain_db, gain.measured);
        tracing::info!(sensor, gain_db, %measured, "The gain is the one that was measured.");
    }
    let listening = listening(&config, args)?;
    let signals = Signals::new()?;
    let mut daemon = Daemon::start(config, file, listening)?;
    daemon.manager.tell(Told::Ready);
    let outcome = daemon.listen(&signals);
    daemon.manager.tell(Told::Stopping);
    daemon.finish()?;
    outcome
}

/// The site of a configuration, read, and that it knows all sensors.
fn listening(config: &Config, args: &ListenArgs) -> Result<Listening, Failure> {
    let args = ListenArgs { site: config.site.clone(), ..args.clone() };
    let listening = Listening::new(&args, true)?;
    if let Some(site) = &listening.site {
        for sensor in config.sensors() {
            crate::cmd::replay::known_sensor(site, sensor, |known| format!("sensor = {known:?}"))?;
        }
    }
    Ok(listening)
}

/// What the service manager is told.
#[derive(Clone, Copy, Debug)]
enum Told {
    Ready,
    Alive,
    Stopping,
}

/// Tells the service manager, if there is one, by a thread of its own: one that does not listen must not stop the daemon.
struct Manager(Sender<Told>);

impl Manager {
    fn new() -> Result<Self, Failure> {
        let (to, told) = bounded(4);
        let tell = move || {
            for told in told {
                let state = match told {
                    Told::Ready => NotifyState::Ready,
                    Told::Alive => NotifyState::Watchdog,
                    Told::Stopping => NotifyState::Stopping,
                };
                if let Err(error) = sd_notify::notify(&[state]) {
                    tracing::warn!("Telling the service manager: {error}.");
                }
            }
        };
        let thread = std::thread::Builder::new().name("service manager".to_owned()).spawn(tell);
        thread.map_err(|e| Failure::Run(format!("starting threads: {e}")))?;
        Ok(Self(to))
    }

    fn tell(&self, told: Told) {
        // Where it is full, nobody listens.
        let _ = self.0.try_send(told);
    }
}

struct Daemon {
    config: Config,
    file: Option<PathBuf>,
    listening: Listening,
    devices: Vec<DeviceHandle>,
    live: Live,
    /// Threads for the detectors; capture has its own processes.
    pool: rayon::ThreadPool,
    joiner: Joiner,
    keeping: Keeping,
    memory: Option<Memory>,
    wellbeing: Wellbeing,
    manager: Manager,
    bell: Receiver<()>,
    sink: Box<dyn Sink>,
    show_bursts: bool,
    totals: Totals,
    started: UtcNanos,
    /// When health was last looked at, and whether samples moved since the watchdog was fed.
    looked: Instant,
    moved: bool,
}

impl Daemon {
    fn start(config: Config, file: Option<&Path>, listening: Listening) -> Result<Self, Failure> {
        let started = UtcNanos::now();
        let (keeping, orphans) = Keeping::open(&config, &listening)?;
        let wellbeing = Wellbeing::start(&config)?;
        let mut detect = listening.config;
        if keeping.keeps_evidence() {
            detect.tile_history_s = detect.tile_history_s.max(config.tiles.ring_s);
        }
        let folder =
            listening.args().state.clone().or_else(|| config.data.as_ref().map(|data| data.join(learned::FOLDER)));
        let memory = folder.map(Memory::new).transpose().map_err(|e| Failure::Run(format!("starting threads: {e}")))?;
        let (ring, bell) = bounded(1);
        let command = crate::cmd::capture::command();
        let mut devices = Vec::new();
        let mut sensors = Vec::new();
        for (d, device) in config.devices.iter().enumerate() {
            let mut handle =
                spawn_device(device.clone(), command.clone(), config.queue_s, ring.clone()).map_err(Failure::run)?;
            for (c, (reader, channel)) in handle.readers.drain(..).zip(&device.channels).enumerate() {
                let name = Arc::from(channel.sensor.as_str());
                let known = memory.as_ref().and_then(|m| m.of(&channel.sensor));
                let mut sensor = LiveSensor::new(name, (d, c), (reader, device.hop), detect, config.self_test);
                sensor.detector.begin_with(known, &config.base_stations);
                sensors.push(sensor);
            }
            devices.push(handle);
        }
        let behind = Duration::from_secs_f64(config.queue_s * SLOWEST + DEVICE_CLOCK_SET_S);
        let live = Live { sensors, behind };
        let (mut sink, show_bursts) = listening.sink(Vec::new());
        for hit in orphans {
            sink.record(&Record::Hit(hit))?;
        }
        Ok(Self {
            joiner: Joiner::new(listening.site.as_ref(), JoinConfig::new(infos(&live, started))),
            pool: listening.pool()?,
            file: file.map(Path::to_owned),
            config,
            listening,
            devices,
            live,
            keeping,
            memory,
            wellbeing,
            manager: Manager::new()?,
            bell,
            sink,
            show_bursts,
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
                self.reload();
            }
            if !self.config.patient {
                self.all_could_be_opened()?;
            }
            let over = self.turn()?;
            if over || asked.is_some_and(|a| a.elapsed() > ENDS) {
                return Ok(());
            }
            if self.looked.elapsed() >= HEALTH_EVERY {
                self.looked = Instant::now();
                self.feed_watchdog();
                let health = self.health();
                self.wellbeing.tell(health, &self.live, &mut self.keeping);
                let live = &self.live;
                self.memory.iter_mut().for_each(|m| m.turn(|| states(live)));
            }
        }
    }

    /// Reads the configuration again: takes over what can be, says what cannot. A bad one changes nothing.
    fn reload(&mut self) {
        match self.try_reload() {
            Ok(wait) if wait.is_empty() => tracing::warn!("SIGHUP: the site file was read again."),
            Ok(wait) => tracing::warn!(
                "SIGHUP: the site file was read again; restart the service for what else is new: {}.",
                wait.join(", ")
            ),
            Err(failure) => tracing::error!("SIGHUP: nothing was taken over: {failure}."),
        }
    }

    /// What is new and waits for a restart.
    fn try_reload(&mut self) -> Result<Vec<&'static str>, Failure> {
        let mut new = match &self.file {
            Some(file) => Config::load(file)?,
            None => self.config.clone(),
        };
        kept::resolve(&mut new)?;
        let old = &self.config;
        let mut wait = Vec::new();
        for (what, is_new) in [
            ("device", new.devices != old.devices),
            ("data", new.data != old.data),
            ("store", new.store != old.store),
            ("evidence", new.evidence != old.evidence),
            ("tiles", new.tiles != old.tiles),
            ("samples", new.samples_keep_days.to_bits() != old.samples_keep_days.to_bits()),
            ("health", new.health != old.health),
            ("self_test", new.self_test != old.self_test),
            ("base_station", new.base_stations != old.base_stations),
            ("queue_s", new.queue_s.to_bits() != old.queue_s.to_bits()),
        ] {
            if is_new {
                wait.push(what);
            }
        }
        // The sensors stay those that run.
        let config = Config { site: new.site, ..self.config.clone() };
        self.listening = listening(&config, self.listening.args())?;
        self.keeping.site_changed(&self.listening);
        self.joiner.set_site(self.listening.site.as_ref());
        self.config = config;
        Ok(wait)
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
        self.take(events)?;
        for (i, sensor) in self.live.sensors.iter().enumerate() {
            self.joiner.set_noise(i, noise(sensor));
        }
        let mut hits = Vec::new();
        self.joiner.advance(turn.settled.seconds_since(self.started), &mut hits);
        self.announce(&mut hits)?;
        self.keeping.turn(&detectors(&self.live), turn.settled);
        Ok(turn.over)
    }

    fn take(&mut self, events: Vec<Event>) -> Result<(), Failure> {
        for event in events {
            match event {
                Event::Gap(gap) => {
                    self.keeping.gap(&gap);
                    self.sink.record(&Record::Gap(gap))?;
                }
                Event::Burst(burst) => self.burst(*burst)?,
            }
        }
        Ok(())
    }

    fn burst(&mut self, burst: Burst) -> Result<(), Failure> {
        *self.totals.bursts.entry(burst.standard.name().to_owned()).or_default() += 1;
        self.keeping.burst(&burst);
        if self.show_bursts {
            self.sink.record(&Record::Burst(burst.clone()))?;
        }
        self.joiner.push(burst);
        Ok(())
    }

    /// Keeps and says what is new of hits.
    fn announce(&mut self, hits: &mut Vec<Hit>) -> Result<(), Failure> {
        if !hits.is_empty() {
            self.keeping.hits(hits, &detectors(&self.live), &infos(&self.live, self.started));
        }
        emit(hits, true, &mut self.totals, self.sink.as_mut())?;
        // Somebody waits for it.
        Ok(self.sink.flush()?)
    }

    /// The watchdog starts the daemon anew when no sample moves any more, whatever the reason.
    fn feed_watchdog(&mut self) {
        if std::mem::take(&mut self.moved) {
            self.manager.tell(Told::Alive);
        }
    }

    fn health(&self) -> BoxHealth {
        let statuses: Vec<DeviceStatus> = self.devices.iter().map(DeviceHandle::status).collect();
        let of = |s: &LiveSensor| wellbeing::sensor_health(s, &self.devices[s.device.0], &statuses[s.device.0]);
        let processes = std::iter::once(std::process::id()).chain(statuses.iter().filter_map(|s| s.process));
        let (processor_s, memory_bytes) = wellbeing::usage(processes);
        // Every block from the start: an alarm on its first hit compares with 0.
        let blocks = self.listening.site.iter().flat_map(|site| site.blocks.iter().map(|b| (b.name.clone(), 0)));
        let hits = blocks.chain(self.totals.hits.clone()).collect();
        BoxHealth {
            time: UtcNanos::now(),
            started: self.started,
            software: software(),
            config_sha256: self.listening.config_sha256.clone(),
            sensors: self.live.sensors.iter().map(of).collect(),
            hits,
            processor_s,
            memory_bytes,
            store_trouble: self.keeping.trouble(),
        }
    }

    /// Closes what is open, and sums up.
    fn finish(mut self) -> Result<(), Failure> {
        let statuses: Vec<DeviceStatus> = self.devices.iter().map(DeviceHandle::status).collect();
        self.devices.clear();
        let mut events = Vec::new();
        self.live.end(&mut events);
        self.take(events)?;
        let joiner = std::mem::replace(&mut self.joiner, Joiner::new(None, JoinConfig::new(Vec::new())));
        let mut hits = joiner.finish();
        self.announce(&mut hits)?;
        let ledgers = self.live.sensors.iter().map(|s| (s.name.to_string(), s.ledger())).collect();
        let rate = |s: &LiveSensor| statuses[s.device.0].channels.get(s.device.1).map_or(f64::INFINITY, |c| c.rate.0);
        let seconds = self.live.sensors.iter().map(|s| s.ledger().expected as f64 / rate(s)).fold(0.0, f64::max);
        let drift = |s: &LiveSensor| Some((s.name.to_string(), statuses[s.device.0].drift_ppm[s.device.1]?));
        let drift_ppm = self.live.sensors.iter().filter_map(drift).collect();
        let summary = Summary { drift_ppm, ..self.listening.summary(ledgers, seconds, self.totals) };
        self.sink.record(&Record::Summary(summary))?;
        self.sink.finish()?;
        self.wellbeing.stop();
        if let Some(memory) = self.memory {
            memory.close(states(&self.live));
        }
        self.keeping.close()
    }
}

/// A sensor's floor while it listens: what one does not hear that does not listen says nothing, nor what one does not that
/// hops.
fn noise(sensor: &LiveSensor) -> f64 {
    if sensor.hops() {
        return f64::INFINITY;
    }
    sensor.detector.noise_dbfs_per_hz().filter(|_| sensor.listens()).unwrap_or(f64::NAN)
}

fn infos(live: &Live, started: UtcNanos) -> Vec<SensorInfo> {
    let info = |s: &LiveSensor| SensorInfo {
        name: Arc::clone(&s.name),
        start_time: Some(started),
        noise_dbfs_per_hz: noise(s),
    };
    live.sensors.iter().map(info).collect()
}

fn states(live: &Live) -> Vec<DetectorState> {
    live.sensors.iter().map(|s| s.detector.state()).collect()
}

fn detectors(live: &Live) -> Vec<&TestedDetector> {
    live.sensors.iter().map(|s| &s.detector).collect()
}
