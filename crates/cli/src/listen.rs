//! From sensors to what is printed: bursts are joined to hits and written, and the run is summed up at its end.

use crate::args::{DepthArg, Format, ListenArgs};
use crate::engine::{Engine, Event};
use crate::failure::Failure;
use crate::learned;
use crate::sigmf_sink::{Document, SigmfSink};
use cellwarden_detect::{Depth, DetectConfig};
use cellwarden_evidence::Hash;
use cellwarden_locate::hit::REPORTED_LEAST;
use cellwarden_locate::{JoinConfig, Joiner, SensorInfo, Site};
use cellwarden_report::{OutputFormat, Sink};
use cellwarden_types::{Hit, Record, SensorLedger, Summary};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// How a run listens and prints; made before its sensors are opened, so that a wrong configuration opens none.
pub struct Listening {
    /// The site file, read.
    pub site: Option<Site>,
    site_text: Option<String>,
    /// How the detectors work.
    pub config: DetectConfig,
    /// SHA-256 of the configuration that makes the result.
    pub config_sha256: String,
    args: ListenArgs,
    live: bool,
    began: Instant,
}

impl Listening {
    /// Reads the site file. With `live`, hits are printed as they open and change as well.
    pub fn new(args: &ListenArgs, live: bool) -> Result<Self, Failure> {
        let began = Instant::now();
        // Read once: what is hashed, and kept as evidence, is what places.
        let site_text = args.site.as_deref().map(Site::read).transpose().map_err(Failure::usage)?;
        let site = match (&args.site, &site_text) {
            (Some(path), Some(text)) => Some(Site::parse(text, &path.display().to_string()).map_err(Failure::usage)?),
            _ => None,
        };
        let depth = match args.depth {
            DepthArg::Energy => Depth::Energy,
            DepthArg::Live => Depth::Live,
            DepthArg::Full => Depth::Full,
        };
        let search_cores = args.search_cores;
        let config = DetectConfig { depth, search_cores, ..DetectConfig::default() };
        let config_sha256 = config_hash(&config, site_text.as_deref())?;
        Ok(Self { site, site_text, config, config_sha256, args: args.clone(), live, began })
    }

    /// Listens to the end. `documents` are the recordings' own metadata, to which SigMF output adds the bursts.
    pub fn run(self, mut engine: Engine, documents: Vec<Document>) -> Result<(), Failure> {
        let Self { site, args, live, .. } = &self;
        restore_states(args.state.as_deref(), &mut engine)?;
        // Made after the first round: placing needs each sensor's noise floor.
        let mut joiner: Option<Joiner> = None;
        let pool = self.pool()?;
        let (mut sink, show_bursts) = self.sink(documents);
        let (terminal, live) = (std::io::stdout().is_terminal(), *live);
        // Lines that come as it goes would break the bar.
        let bar = if terminal && (live || show_bursts) { ProgressBar::hidden() } else { progress_bar(&engine) };
        let mut totals = Totals::default();
        let mut events = Vec::new();
        let mut hits = Vec::new();
        let outcome = loop {
            let more = pool.install(|| engine.round(&mut events));
            let joiner =
                joiner.get_or_insert_with(|| Joiner::new(site.as_ref(), JoinConfig::new(sensor_infos(&engine))));
            for event in events.drain(..) {
                match event {
                    Event::Gap(gap) => sink.record(&Record::Gap(gap))?,
                    Event::Burst(burst) => {
                        *totals.bursts.entry(burst.standard.name().to_owned()).or_default() += 1;
                        if show_bursts {
                            let record = Record::Burst(*burst);
                            sink.record(&record)?;
                            let Record::Burst(burst) = record else { continue };
                            joiner.push(burst);
                        } else {
                            joiner.push(*burst);
                        }
                    }
                }
            }
            joiner.advance(engine.settled_s(), &mut hits);
            emit(&mut hits, live, &mut totals, sink.as_mut())?;
            // What was found is out, whatever becomes of the run.
            sink.flush()?;
            bar.set_position((engine.seconds() * 1000.0) as u64);
            match more {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        hits.extend(joiner.map(Joiner::finish).unwrap_or_default());
        emit(&mut hits, live, &mut totals, sink.as_mut())?;
        bar.finish_and_clear();
        let ledgers = engine.sensors.iter().map(|s| (s.name.to_string(), s.ledger())).collect();
        sink.record(&Record::Summary(self.summary(ledgers, engine.seconds(), totals)))?;
        sink.finish()?;
        say_what_was_odd(&engine);
        write_states(args.state.as_deref(), &engine)?;
        outcome
    }

    /// How it listens and prints.
    pub fn args(&self) -> &ListenArgs {
        &self.args
    }

    /// The text of the site file.
    pub fn site_text(&self) -> Option<&str> {
        self.site_text.as_deref()
    }

    /// Threads for the detectors.
    pub fn pool(&self) -> Result<rayon::ThreadPool, Failure> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.args.threads.map_or(0, usize::from))
            .build()
            .map_err(|e| Failure::Run(format!("starting threads: {e}")))
    }

    /// What prints, and whether bursts are printed as well.
    pub fn sink(&self, documents: Vec<Document>) -> (Box<dyn Sink>, bool) {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let format = self.args.format.unwrap_or(if terminal { Format::Table } else { Format::Jsonl });
        let out = BufWriter::new(stdout);
        let (colour, live) = (terminal && colour_wanted(), self.live);
        let sink: Box<dyn Sink> = match format {
            Format::Table => cellwarden_report::sink(OutputFormat::Table { colour, live }, out),
            Format::Jsonl => cellwarden_report::sink(OutputFormat::Jsonl, out),
            Format::Csv => cellwarden_report::sink(OutputFormat::Csv { bursts: self.args.bursts }, out),
            Format::Sigmf => Box::new(SigmfSink::new(out, documents)),
        };
        (sink, self.args.bursts || format == Format::Sigmf)
    }

    /// The last line of a run over `seconds` of signal.
    pub fn summary(&self, ledgers: BTreeMap<String, SensorLedger>, seconds: f64, totals: Totals) -> Summary {
        let wall_s = self.began.elapsed().as_secs_f64();
        let samples: u64 = ledgers.values().map(|l| l.processed).sum();
        Summary {
            schema: 1,
            software: software(),
            config_sha256: self.config_sha256.clone(),
            samples,
            seconds,
            lost_samples: ledgers.values().map(|l| l.overflow + l.dropped).sum(),
            bursts: totals.bursts,
            hits: totals.hits,
            sensors: ledgers,
            drift_ppm: BTreeMap::new(),
            wall_s,
            msps: samples as f64 / wall_s / 1e6,
            realtime_factor: seconds / wall_s,
        }
    }
}

/// This program and its version.
pub fn software() -> String {
    format!("cellwarden {}", env!("CARGO_PKG_VERSION"))
}

/// What was found, counted.
#[derive(Default)]
pub struct Totals {
    /// Bursts by standard.
    pub bursts: BTreeMap<String, u64>,
    /// Closed hits by block.
    pub hits: BTreeMap<String, u64>,
}

/// Prints hits: those that stand, and with `live` those that open and change.
pub fn emit(hits: &mut Vec<Hit>, live: bool, totals: &mut Totals, sink: &mut dyn Sink) -> Result<(), Failure> {
    for hit in hits.drain(..) {
        let closed = hit.state == cellwarden_types::HitState::Closed;
        // One that was opened and came to nothing is closed for those who saw it open; to others it is none.
        let stands = closed && hit.confidence >= REPORTED_LEAST;
        if stands {
            *totals.hits.entry(hit.block.clone()).or_default() += 1;
        }
        if stands || live {
            sink.record(&Record::Hit(hit))?;
        }
    }
    Ok(())
}

/// Whether the user has nothing against colours.
pub fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn sensor_infos(engine: &Engine) -> Vec<SensorInfo> {
    engine
        .sensors
        .iter()
        .map(|s| SensorInfo {
            name: Arc::clone(&s.name),
            start_time: s.start_time,
            noise_dbfs_per_hz: s.detector.noise_dbfs_per_hz().unwrap_or(-150.0),
        })
        .collect()
}

fn config_hash(config: &DetectConfig, site_text: Option<&str>) -> Result<String, Failure> {
    let mut bytes = serde_json::to_vec(config).map_err(Failure::run)?;
    bytes.extend_from_slice(site_text.unwrap_or_default().as_bytes());
    Ok(Hash::of(&bytes).to_string())
}

fn progress_bar(engine: &Engine) -> ProgressBar {
    let longest = engine.sensors.iter().filter_map(|s| s.samples.map(|n| n as f64 / s.rate.0)).fold(0.0, f64::max);
    let (bar, template) = if longest > 0.0 {
        (ProgressBar::new((longest * 1000.0) as u64), "listening [{bar:40}] {percent} %, {eta} left")
    } else {
        (ProgressBar::new_spinner(), "listening {spinner} {pos} ms of samples in {elapsed}")
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What a person must know to trust the result.
fn say_what_was_odd(engine: &Engine) {
    for sensor in &engine.sensors {
        let counts = sensor.detector.counts();
        if counts.unusable > 0 {
            eprintln!(
                "cellwarden: {}: {} samples are not finite numbers and were taken as silence: check what wrote them",
                sensor.name, counts.unusable
            );
        }
        if let Some(bursts) = sensor.detector.iq_swapped() {
            eprintln!(
                "cellwarden: {}: I and Q are swapped: {bursts} bursts fit their standard's sequences only when mirrored, \
                 and none is believed: exchange I and Q in the recording, or correct the mixer's side",
                sensor.name
            );
        }
    }
}

fn restore_states(folder: Option<&Path>, engine: &mut Engine) -> Result<(), Failure> {
    let Some(folder) = folder else { return Ok(()) };
    for sensor in &mut engine.sensors {
        if let Some(state) = learned::read(folder, &sensor.name).map_err(Failure::Usage)? {
            sensor.detector.restore(state);
        }
    }
    Ok(())
}

fn write_states(folder: Option<&Path>, engine: &Engine) -> Result<(), Failure> {
    let Some(folder) = folder else { return Ok(()) };
    let mut states = engine.sensors.iter().map(|s| s.detector.state());
    states.try_for_each(|state| learned::write(folder, &state)).map_err(Failure::Run)
}
