//! The daemon's configuration: a file, and what `conf.d` beside it adds or overrides.

use crate::archive::TilesConfig;
use crate::engine::checked_rate;
use crate::failure::Failure;
use cellwarden_capture::config::DeviceConfig;
use cellwarden_detect::carrier::KnownPrach;
use cellwarden_evidence::{DAYS_MOST, Hash, Permission};
use cellwarden_plan::Section;
use cellwarden_selftest::SelfTestConfig;
use cellwarden_store::{StoreError, nobody_writes};
use cellwarden_types::text::line_column;
use cellwarden_types::{Hertz, UtcNanos};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the daemon looks when it is not told where.
pub const PATH: &str = "/etc/cellwarden/cellwarden.toml";
const DATA: &str = "/var/lib/cellwarden";
/// The store's file in the folder of data.
pub const STORE: &str = "cellwarden.db";
/// The folder of evidence, likewise.
pub const EVIDENCE: &str = "evidence";

/// What a box does.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The site file.
    pub site: Option<PathBuf>,
    /// Where hits, evidence and what the detectors learned are kept; nothing is kept where it is left out.
    pub data: Option<PathBuf>,
    /// How much the store of hits and health may hold, and how long.
    pub store: cellwarden_store::Limits,
    /// How much evidence is kept, and how long.
    pub evidence: cellwarden_evidence::Limits,
    /// The spectrograms in memory that evidence is cut from.
    pub tiles: TilesConfig,
    /// The permission to keep samples, if there is one.
    pub permission: Option<Permission>,
    /// From the recording of samples to their deletion, in days.
    pub samples_keep_days: f64,
    /// Where the health endpoint listens, if it does.
    pub health: Option<SocketAddr>,
    /// How often known bursts are added to the samples of each sensor, in memory, to see whether they are found; never where
    /// it is left out.
    pub self_test: Option<SelfTestConfig>,
    /// For `cellwarden plan`: which bands are wanted, and which machine it is.
    pub plan: Option<Section>,
    /// The devices.
    pub devices: Vec<DeviceConfig>,
    /// Base stations that are known before a phone calls them.
    pub base_stations: Vec<KnownPrach>,
    /// Seconds of samples that may wait for the detectors.
    pub queue_s: f64,
    /// Whether a device that cannot be opened is waited for: in a corridor yes, on the command line no.
    pub patient: bool,
}

/// One file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    site: Option<PathBuf>,
    data: Option<PathBuf>,
    queue_s: Option<f64>,
    store: Option<StoreLimits>,
    evidence: Option<cellwarden_evidence::Limits>,
    tiles: Option<TilesConfig>,
    permission: Option<Permission>,
    samples: Option<SamplesKept>,
    health: Option<Endpoint>,
    self_test: Option<SelfTests>,
    #[serde(default, rename = "plan")]
    _plan: Option<serde::de::IgnoredAny>,
    /// What `plan` says, which has a reader of its own.
    #[serde(skip)]
    section: Option<Section>,
    #[serde(default)]
    device: Vec<DeviceConfig>,
    #[serde(default)]
    base_station: Vec<KnownPrach>,
}

/// How much the store may hold.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreLimits {
    age_days: Option<u32>,
    size_mb: Option<u32>,
}

/// How long samples are kept that a permission allows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplesKept {
    keep_days: f64,
}

/// Seconds from one test burst to the next, or `"off"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SelfTests {
    every_s: EverySeconds,
}

#[derive(Clone, Copy, Debug)]
enum EverySeconds {
    At(f64),
    Off,
}

impl<'de> Deserialize<'de> for EverySeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let seconds = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
        let range = SelfTestConfig::EVERY_S;
        match (value.as_str(), seconds) {
            (Some("off"), _) => Ok(Self::Off),
            (_, Some(s)) if range.contains(&s) => Ok(Self::At(s)),
            _ => Err(D::Error::custom(format!(
                "{value} is neither a number of seconds from {} to {} nor \"off\"",
                range.start(),
                range.end()
            ))),
        }
    }
}

impl StoreLimits {
    fn limits(self) -> cellwarden_store::Limits {
        let usual = cellwarden_store::Limits::default();
        cellwarden_store::Limits {
            age_days: self.age_days.unwrap_or(usual.age_days),
            size_bytes: self.size_mb.map_or(usual.size_bytes, |mb| u64::from(mb) << 20),
            ..usual
        }
    }
}

/// An address, or `"off"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
enum Endpoint {
    At(SocketAddr),
    Off,
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let wrong = |_| format!("{text:?} is no address and port: want one like \"127.0.0.1:9464\", or \"off\"");
        text.parse().map(Self::At).map_err(wrong)
    }
}

impl Config {
    /// A configuration of one device and nothing else.
    pub fn of(device: DeviceConfig) -> Self {
        Self {
            site: None,
            data: None,
            store: Default::default(),
            evidence: Default::default(),
            tiles: TilesConfig::default(),
            permission: None,
            samples_keep_days: SAMPLES_KEEP_DAYS,
            health: None,
            self_test: None,
            plan: None,
            devices: vec![device],
            base_stations: Vec::new(),
            queue_s: QUEUE_S,
            patient: false,
        }
    }

    /// Reads `path`, then the files of `conf.d` beside it in the order of their names: what a later one says counts, and
    /// its devices are added.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let mut whole = read(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
        for part in parts(&folder)? {
            let more = read(&part)?;
            whole.site = more.site.or(whole.site);
            whole.data = more.data.or(whole.data);
            whole.queue_s = more.queue_s.or(whole.queue_s);
            whole.store = more.store.or(whole.store);
            whole.evidence = more.evidence.or(whole.evidence);
            whole.tiles = more.tiles.or(whole.tiles);
            whole.permission = more.permission.or(whole.permission);
            whole.samples = more.samples.or(whole.samples);
            whole.health = more.health.or(whole.health);
            whole.self_test = more.self_test.or(whole.self_test);
            whole.section = more.section.or(whole.section);
            whole.device.extend(more.device);
            whole.base_station.extend(more.base_station);
        }
        // Paths are seen from where the file lies.
        let seen = |p: PathBuf| path.parent().map_or(p.clone(), |folder| folder.join(&p));
        let config = Self {
            site: whole.site.map(seen),
            data: Some(whole.data.map_or_else(|| PathBuf::from(DATA), seen)),
            store: whole.store.map(StoreLimits::limits).unwrap_or_default(),
            evidence: whole.evidence.unwrap_or_default(),
            tiles: whole.tiles.unwrap_or_default(),
            permission: whole.permission,
            samples_keep_days: whole.samples.map_or(SAMPLES_KEEP_DAYS, |s| s.keep_days),
            health: match whole.health {
                Some(Endpoint::At(address)) => Some(address),
                Some(Endpoint::Off) => None,
                None => Some(cellwarden_health::DEFAULT_ADDRESS),
            },
            self_test: match whole.self_test.map(|s| s.every_s) {
                Some(EverySeconds::At(every_s)) => Some(SelfTestConfig { every_s }),
                Some(EverySeconds::Off) => None,
                None => Some(SelfTestConfig::default()),
            },
            plan: whole.section,
            devices: whole.device,
            base_stations: whole.base_station,
            queue_s: whole.queue_s.unwrap_or(QUEUE_S),
            patient: true,
        };
        config.check().map_err(|what| Failure::Usage(format!("{}: {what}", path.display())))?;
        Ok(config)
    }

    /// That it makes sense by itself.
    pub fn check(&self) -> Result<(), String> {
        if self.devices.is_empty() {
            return Err("there is no device: add a [[device]] with name, soapy, rate and [[device.channel]]".to_owned());
        }
        if !(QUEUE_LEAST_S..=QUEUE_MOST_S).contains(&self.queue_s) {
            return Err(format!("queue_s: {} is not from {QUEUE_LEAST_S} to {QUEUE_MOST_S} s", self.queue_s));
        }
        for (i, base_station) in self.base_stations.iter().enumerate() {
            base_station.check().map_err(|what| format!("[[base_station]] {}: {what}", i + 1))?;
        }
        self.tiles.check(&self.rates_hz())?;
        if let Some(permission) = &self.permission {
            permission.clone().check(UtcNanos::now()).map_err(|e| e.to_string())?;
        }
        if !(SAMPLES_KEEP_LEAST_DAYS..=DAYS_MOST).contains(&self.samples_keep_days) {
            let days = self.samples_keep_days;
            return Err(format!("samples: keep_days: {days} is not from {SAMPLES_KEEP_LEAST_DAYS} to {DAYS_MOST}"));
        }
        self.store.check().map_err(|e| e.to_string())?;
        let (mut devices, mut sensors) = (BTreeSet::new(), BTreeSet::new());
        for device in &self.devices {
            device.check().map_err(|e| e.to_string())?;
            checked_rate(device.rate, &format!("device {:?}", device.name)).map_err(|e| e.to_string())?;
            if !devices.insert(&device.name) {
                return Err(format!("two devices are named {:?}: give each its own name", device.name));
            }
            for channel in &device.channels {
                if !sensors.insert(&channel.sensor) {
                    return Err(format!("sensor {:?} is there twice: each channel is its own sensor", channel.sensor));
                }
            }
        }
        if self.devices.iter().filter(|d| d.stdin.is_some()).count() > 1 {
            return Err("two devices read standard input: there is only one".to_owned());
        }
        Ok(())
    }

    /// Its device of that name, or all.
    pub fn chosen(&self, device: Option<&str>) -> Result<Vec<&DeviceConfig>, Failure> {
        let chosen: Vec<&DeviceConfig> =
            self.devices.iter().filter(|d| device.is_none_or(|name| name == d.name)).collect();
        match device {
            Some(name) if chosen.is_empty() => {
                let known: Vec<&str> = self.devices.iter().map(|d| d.name.as_str()).collect();
                Err(Failure::Usage(format!("--device {name:?}: the configuration has {}", known.join(", "))))
            }
            _ => Ok(chosen),
        }
    }

    /// That no daemon runs which holds the receivers.
    pub fn no_daemon(&self) -> Result<(), Failure> {
        let Some(data) = &self.data else { return Ok(()) };
        nobody_writes(&data.join(STORE)).map_err(|error| match error {
            StoreError::InUse { .. } => Failure::Run(format!(
                "{error}: the daemon runs and holds the receivers: end it first (systemctl stop cellwarden), and start it after"
            )),
            error => Failure::run(error),
        })
    }

    /// The sample rate of each sensor, in hertz, in the order of their names.
    pub fn rates_hz(&self) -> Vec<f64> {
        self.devices.iter().flat_map(|d| d.channels.iter().map(|_| d.rate.0)).collect()
    }

    /// The sample rate of each centre that a sensor listens at, in hertz: what is kept for each.
    pub fn rings_hz(&self) -> Vec<f64> {
        let different =
            |centers: &[Hertz]| (1..=centers.len()).filter(|&n| !centers[..n - 1].contains(&centers[n - 1])).count();
        let channels = self.devices.iter().flat_map(|d| d.channels.iter().map(|c| (c, d.rate.0)));
        channels.flat_map(|(c, rate_hz)| std::iter::repeat_n(rate_hz, different(c.tunings()))).collect()
    }

    /// The names of its sensors, in order.
    pub fn sensors(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().flat_map(|d| d.channels.iter().map(|c| c.sensor.as_str()))
    }
}

/// Recorded samples are deleted after so many days.
const SAMPLES_KEEP_DAYS: f64 = 14.0;
const SAMPLES_KEEP_LEAST_DAYS: f64 = 0.01;
/// Seconds of samples that wait while the detectors are busy.
const QUEUE_S: f64 = 1.0;
const QUEUE_LEAST_S: f64 = 0.05;
const QUEUE_MOST_S: f64 = 30.0;

fn read(path: &Path) -> Result<File, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::Usage(format!("reading the configuration {}: {e}", path.display())))?;
    let mut file: File = toml::from_str(&text).map_err(|e| {
        let (line, column) = line_column(&text, e.span().map_or(0, |s| s.start));
        let message = e.message().trim().replace('\n', " ");
        Failure::Usage(format!("{}:{line}:{column}: {message}", path.display()))
    })?;
    file.section = Section::parse(&text, &path.display().to_string()).map_err(Failure::usage)?;
    Ok(file)
}

/// SHA-256 of a configuration's file and of each of its parts, by path.
pub fn files_sha256(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut files = vec![path.to_owned()];
    files.extend(parts(&path.parent().unwrap_or(Path::new("")).join("conf.d"))?);
    let hash = |file: &PathBuf| {
        let bytes = std::fs::read(file).map_err(|e| Failure::Usage(format!("reading {}: {e}", file.display())))?;
        Ok((file.display().to_string(), Hash::of(&bytes).to_string()))
    };
    files.iter().map(hash).collect()
}

/// The `.toml` files of a folder, sorted; none where there is no folder.
fn parts(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e: std::io::Error| Failure::Usage(format!("reading {}: {e}", folder.display()));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "[[device]]\nname = 'west'\nsoapy = 'driver=x'\nrate = '2.4M'\ngain = 20\n\
                          [[device.channel]]\nsensor = 'a-west'\ncenter = '902.4M'\n";

    const PERMISSION: &str = "[permission]\nreason = 'a'\ngranted_by = 'b'\nfrom = '2026-01-01T00:00:00Z'\n\
                              until = '2026-01-02T00:00:00Z'\n\
                              recipients = ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p']\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("writes");
        }
        folder
    }

    fn load(files: &[(&str, &str)]) -> Result<Config, String> {
        let folder = folder(files);
        Config::load(&folder.path().join("c.toml"))
            .map(|mut c| {
                // As it was written.
                for path in [&mut c.site, &mut c.data] {
                    *path = path.take().map(|p| p.strip_prefix(folder.path()).map_or(p.clone(), Path::to_owned));
                }
                c
            })
            .map_err(|e| e.to_string())
    }

    #[test]
    fn files_of_conf_d_override_in_order_and_add_devices() {
        let east = DEVICE.replace("west", "east");
        let config = load(&[
            ("c.toml", &format!("site = 's.toml'\nqueue_s = 2.0\n{DEVICE}")),
            ("conf.d/20.toml", "queue_s = 0.5"),
            ("conf.d/10.toml", &format!("queue_s = 0.2\ndata = 'here'\n{east}")),
            ("conf.d/no.txt", "nonsense"),
        ])
        .expect("a configuration");
        assert_eq!((config.site, config.data), (Some("s.toml".into()), Some("here".into())));
        assert_eq!(config.queue_s, 0.5);
        assert_eq!(config.devices.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["west", "east"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, words) in [
            (format!("colour = 1\n{DEVICE}"), vec!["c.toml:1:1", "colour"]),
            (DEVICE.replace("gain", "gian"), vec!["c.toml:5:1", "gian"]),
            (DEVICE.replace("'2.4M'", "'fast'"), vec!["c.toml:4:", "frequency"]),
            (String::new(), vec!["no device"]),
            (format!("{DEVICE}{DEVICE}"), vec!["two devices"]),
            (format!("{DEVICE}{}", DEVICE.replacen("west", "east", 1)), vec!["a-west", "twice"]),
            (format!("queue_s = 99\n{DEVICE}"), vec!["queue_s"]),
            (DEVICE.replace("gain = 20\n", ""), vec!["west", "gain"]),
            (format!("{DEVICE}[plan]\nbands = 8\n"), vec!["c.toml:10:9", "sequence"]),
            (format!("[samples]\nkeep_days = 99\n{DEVICE}"), vec!["keep_days", "99"]),
            (format!("{PERMISSION}bands = []\n{DEVICE}"), vec!["permission", "bands"]),
            (format!("[tiles]\nmemory_mb = 1\n{DEVICE}"), vec!["memory_mb: 1", "want 7"]),
            (format!("[tiles]\nring_s = 60\n{DEVICE}"), vec!["ring_s: 60", "0.75 to 10"]),
            (format!("health = 'here'\n{DEVICE}"), vec!["c.toml:1:", "address"]),
            (format!("[self_test]\nevery_s = 0\n{DEVICE}"), vec!["c.toml:2:", "0.2", "off"]),
            (format!("[self_test]\nevery_s = 'never'\n{DEVICE}"), vec!["c.toml:2:", "never", "off"]),
        ] {
            let error = load(&[("c.toml", &text)]).expect_err(&text);
            assert!(words.iter().all(|w| error.contains(w)), "{error} for {text}");
        }
        assert!(load(&[]).expect_err("no file").contains("c.toml"));
    }
}
