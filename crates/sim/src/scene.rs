//! The scene file: who transmits what, where, and who listens.

mod station;

pub use station::{
    BaseStation, HoppingKind, LteStation, NprachFile, NrStation, PrachFile, PuschFile, SrsFile, Station, StationKind,
    StationStandard, Tdd,
};

use crate::SimError;
use crate::channel::path_loss_db;
use crate::frontend::THERMAL_DBM_PER_HZ;
use crate::wave::nr::PuschWaveform;
use cellwarden_standards::band;
use cellwarden_standards::{gsm, lte, nbiot, nr};
use cellwarden_types::text::line_column;
use cellwarden_types::{Hertz, SampleFormat, UtcNanos, db};
use serde::{Deserialize, Deserializer};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// A point in metres.
pub type Point = [f64; 2];

/// The scene file as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneFile {
    /// All randomness comes from it.
    pub seed: u64,
    /// Complex samples per second of every sensor.
    #[serde(deserialize_with = "hertz")]
    pub rate: Hertz,
    /// What all sensors are tuned to.
    #[serde(deserialize_with = "hertz")]
    pub center: Hertz,
    /// Length.
    pub duration_s: f64,
    /// UTC of the first sample.
    pub datetime: Option<Spanned<String>>,
    /// Sample format of the recordings.
    #[serde(default = "cs16")]
    pub format: SampleFormat,
    /// A site file, relative to the scene file.
    pub site: Option<PathBuf>,
    /// Of every receiver.
    #[serde(default = "noise_figure")]
    pub noise_figure_db: f64,
    /// Path loss.
    #[serde(default)]
    pub propagation: Propagation,
    /// Blocks beside those of the site file.
    #[serde(default)]
    pub block: Vec<Area>,
    /// Walls beside those of the site file.
    #[serde(default)]
    pub wall: Vec<Wall>,
    /// Sensors beside those of the site file.
    #[serde(default)]
    pub sensor: Vec<Sensor>,
    /// Whom phones follow; phones that name none keep a clock of their carrier's own.
    #[serde(default)]
    pub base_station: Vec<BaseStation>,
    /// Who is to be found.
    #[serde(default)]
    pub phone: Vec<Phone>,
    /// Who is not.
    #[serde(default)]
    pub interferer: Vec<Interferer>,
}

/// Log-distance path loss with walls and shadowing.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Propagation {
    /// Of the distance beyond 1 m; free space is 2.
    pub exponent: f64,
    /// Of a wall that names no loss, and of block outlines where there is no wall.
    pub wall_db: f64,
    /// All walls together lose no more: the rest goes through doors and windows.
    pub max_walls_db: f64,
    /// Standard deviation of the log-normal shadowing of each link.
    pub shadowing_db: f64,
}

impl Default for Propagation {
    fn default() -> Self {
        Self { exponent: 3.0, wall_db: 10.0, max_walls_db: 40.0, shadowing_db: 0.0 }
    }
}

/// A block's, or another area's, name and outline.
#[derive(Clone, Debug, Deserialize)]
pub struct Area {
    /// Name.
    pub name: String,
    /// Corners in order.
    pub outline: Vec<Point>,
}

/// A straight wall.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Wall {
    /// One end.
    pub from: Point,
    /// The other.
    pub to: Point,
    /// What a signal loses through it.
    pub loss_db: Option<f64>,
}

/// One receiver.
#[derive(Clone, Debug, Deserialize)]
pub struct Sensor {
    /// Name, and the stem of its recording.
    pub name: String,
    /// Where it hangs. A height, where given, is not used.
    #[serde(deserialize_with = "point")]
    pub position: Point,
    /// Input level that reads 0 dBFS.
    pub full_scale_dbm: Option<f64>,
    /// Error of its oscillator, which makes centre and rate alike, in parts per million: fast if positive.
    #[serde(default)]
    pub ppm: f64,
}

/// The keys of a site file that matter for propagation; it may hold more.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct SiteFile {
    block: Vec<Area>,
    wall: Vec<Wall>,
    sensor: Vec<Sensor>,
}

/// A point, or the name of a block for its centre.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// Coordinates.
    At(Point),
    /// A block's name.
    Block(String),
}

/// What a phone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhoneActivity {
    /// Access bursts alone.
    GsmAccess,
    /// Access, then some seconds on an SDCCH.
    GsmLocationUpdate,
    /// The same, longer.
    GsmSms,
    /// Access, SDCCH, then a TCH/F.
    GsmCall,
    /// PRACH, then about a second of signalling.
    LteAttach,
    /// PRACH, then a short exchange.
    LteTau,
    /// PRACH, then packet data.
    LteData,
    /// Preambles alone, as if nobody answered. This and the following want a base station.
    LteAccess,
    /// PRACH, then a VoLTE call.
    LteVoice,
    /// PRACH, then nearly every subframe a wide PUSCH.
    LteUpload,
    /// A PUSCH every so often and nothing else.
    LtePusch,
    /// A PUCCH every so often and nothing else.
    LtePucch,
    /// Sounding and nothing else.
    LteSrs,
    /// NR: preambles alone. This and the following want a base station.
    NrAccess,
    /// NR: preamble, then about half a second of signalling.
    NrRegistration,
    /// NR: preamble, then a PUSCH each 20 ms.
    NrVoice,
    /// NR: preamble, then a PUSCH in nearly every slot.
    NrData,
    /// NR: a PUSCH every so often and nothing else.
    NrPusch,
    /// NR: a PUCCH every so often and nothing else.
    NrPucch,
    /// NR: sounding and nothing else.
    NrSrs,
    /// LTE-M: preambles alone.
    LtemAccess,
    /// LTE-M: a machine reports: preambles, then some PUSCH, all several times over.
    LtemReport,
    /// NB-IoT: preambles alone.
    NbiotAccess,
    /// NB-IoT: a machine reports: a preamble, then some NPUSCH.
    NbiotReport,
}

impl PhoneActivity {
    /// Whether its channel is an ARFCN rather than an EARFCN.
    pub fn is_gsm(self) -> bool {
        matches!(self, Self::GsmAccess | Self::GsmLocationUpdate | Self::GsmSms | Self::GsmCall)
    }

    /// Whether it is known only of phones that follow a base station.
    pub fn wants_station(self) -> bool {
        !self.is_gsm() && !matches!(self, Self::LteAttach | Self::LteTau | Self::LteData)
    }

    /// Whether a machine does it, which is no phone.
    pub fn is_machine(self) -> bool {
        self.is_ltem() || matches!(self, Self::NbiotAccess | Self::NbiotReport)
    }

    /// Whether a machine of LTE-M does it.
    pub fn is_ltem(self) -> bool {
        matches!(self, Self::LtemAccess | Self::LtemReport)
    }

    /// The standard that its base station must speak.
    fn of_station(self) -> &'static str {
        match self {
            _ if self.is_gsm() => "GSM",
            Self::NrAccess
            | Self::NrRegistration
            | Self::NrVoice
            | Self::NrData
            | Self::NrPusch
            | Self::NrPucch
            | Self::NrSrs => "NR",
            Self::NbiotAccess | Self::NbiotReport => "NB-IoT",
            _ => "LTE",
        }
    }
}

/// How far the repetitions of an LTE-M machine are to reach. TS 36.213 clause 8.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoverageMode {
    /// CE mode A: up to 32 repetitions, each scrambled anew.
    #[default]
    A,
    /// CE mode B: up to 2048, of one block or two, of which four subframes are alike.
    B,
}

impl CoverageMode {
    /// N_acc: subframes of one redundancy version and one scrambling sequence, in paired spectrum. TS 36.211 clause 5.3.1,
    /// TS 36.213 clause 8.6.1.
    pub fn alike_subframes(self) -> i64 {
        match self {
            Self::A => 1,
            Self::B => 4,
        }
    }

    /// The most blocks of a PUSCH. Of mode B's grants three bits are left for them: one of six, or one of two pairs
    /// (TS 36.212 clause 5.3.3.1.11, TS 36.213 clause 8.1.3).
    pub fn most_blocks(self) -> u16 {
        match self {
            Self::A => 6,
            Self::B => 2,
        }
    }
}

/// How the level of a link varies in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FadingKind {
    /// Not at all.
    #[default]
    None,
    /// Many paths and no strongest.
    Rayleigh,
    /// Many paths and one strongest.
    Rician,
    /// Extended pedestrian A: seven delays up to 0.41 us. TS 36.101 Table B.2.1-2.
    Epa,
    /// Extended vehicular A: nine delays up to 2.51 us. TS 36.101 Table B.2.1-3.
    Eva,
    /// Extended typical urban: nine delays up to 5 us. TS 36.101 Table B.2.1-4.
    Etu,
}

/// One phone doing one thing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phone {
    /// Name in the truth.
    pub name: String,
    /// Where it is.
    pub position: Spanned<Place>,
    /// What it does.
    pub activity: Spanned<PhoneActivity>,
    /// When it starts.
    #[serde(default)]
    pub start_s: f64,
    /// For how long; each activity has its usual length.
    pub length_s: Option<f64>,
    /// GSM carrier.
    pub arfcn: Option<Spanned<u16>>,
    /// GSM band of the ARFCN.
    #[serde(default = "gsm900")]
    pub band: String,
    /// The base station that it follows; carrier, clock, preambles and reference signals then come from that.
    pub base_station: Option<Spanned<String>>,
    /// From the base station, in metres; from the two positions, or drawn up to 1 km, if left out.
    pub distance_m: Option<f64>,
    /// Preamble that it sends, 0 to 63; drawn for each attempt if left out.
    pub preamble: Option<u8>,
    /// How it sounds; drawn if left out.
    #[serde(default)]
    pub srs: PhoneSrs,
    /// NR: how its PUSCH are made.
    #[serde(default)]
    pub waveform: PuschWaveform,
    /// Of a train of PUSCH: blocks of each; else drawn. An upload's: at most.
    pub resource_blocks: Option<u16>,
    /// LTE-M: narrowband; drawn if left out.
    pub narrowband: Option<u16>,
    /// LTE-M: how its PUSCH repeat.
    #[serde(default)]
    pub coverage_mode: CoverageMode,
    /// LTE-M, NB-IoT: how often each PUSCH is sent (and each preamble of LTE-M); 4 and 1 if left out.
    pub repetitions: Option<u16>,
    /// NB-IoT: resource units of each NPUSCH; 1 to 4 if left out.
    pub resource_units: Option<u16>,
    /// NB-IoT: tones of each NPUSCH; drawn if left out.
    pub tones: Option<u8>,
    /// NB-IoT: spacing of its tones, 3.75 or 15 kHz.
    #[serde(default, deserialize_with = "optional_hertz")]
    pub spacing: Option<Hertz>,
    /// Of a train, and of preambles alone: from one to the next.
    pub period_ms: Option<u16>,
    /// LTE uplink carrier.
    pub earfcn: Option<Spanned<u32>>,
    /// LTE carrier's width.
    #[serde(default = "five_megahertz", deserialize_with = "hertz")]
    pub bandwidth: Hertz,
    /// Radiated power; LTE: of six resource blocks, others in proportion up to 23 dBm (or this, if above).
    pub eirp_dbm: Option<f64>,
    /// Instead: level over the noise in its own band at the first sensor, without shadowing and fading. LTE, NR: of all
    /// alike, since power control keeps the density; NB-IoT: as if it filled 180 kHz.
    pub snr_db: Option<f64>,
    /// Following a base station: how far off each emission may begin, early or late.
    #[serde(default)]
    pub jitter_us: f64,
    /// Error of the carrier.
    #[serde(default)]
    pub cfo_hz: f64,
    /// GSM: of the TCH.
    #[serde(default = "two")]
    pub timeslot: u8,
    /// GSM: training sequence code.
    #[serde(default)]
    pub tsc: u8,
    /// GSM: subchannel of the SDCCH/8.
    #[serde(default)]
    pub subchannel: u8,
    /// Access bursts or preambles before the answer.
    pub attempts: Option<u32>,
    /// LTE: preamble format.
    #[serde(default)]
    pub prach_format: u8,
    /// LTE: logical root index of the cell.
    #[serde(default)]
    pub prach_root: u16,
    /// LTE: sequence group u of the cell's reference signals.
    #[serde(default)]
    pub group: u8,
    /// LTE data, upload: share of subframes with a PUSCH; half of them, or nine of ten in an upload, if left out.
    pub load: Option<f64>,
    /// Fading of each link.
    #[serde(default)]
    pub fading: FadingKind,
    /// Doppler spread of the fading.
    #[serde(default = "doppler")]
    pub doppler_hz: f64,
}

/// How a phone sounds, where its base station has it sound.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PhoneSrs {
    /// From one sounding to the next, one of the eight periods; 0: never.
    pub period_ms: Option<u16>,
    /// Transmission comb, 0 or 1.
    pub comb: Option<u8>,
    /// B_SRS, 0 to 3: the larger, the narrower. 0 if left out.
    pub bandwidth: u8,
    /// b_hop, 0 to 3: it hops where this is below `bandwidth`; it stays if left out.
    pub hopping: Option<u8>,
    /// n_RRC, 0 to 23.
    pub position: u8,
}

/// Kinds of interferer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfererKind {
    /// An officer's handset: TETRA-like bursts or, with `mode = "fm"`, an analogue voice channel.
    StaffRadio,
    /// An unmodulated carrier.
    Cw,
}

/// How a staff radio modulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RadioMode {
    /// pi/4-DQPSK in one of four timeslots.
    #[default]
    Tetra,
    /// Narrow-band FM.
    Fm,
}

/// Something that is no phone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interferer {
    /// Name in the truth.
    pub name: Option<String>,
    /// What it is.
    pub kind: InterfererKind,
    /// Where it is.
    pub position: Spanned<Place>,
    /// Carrier, absolute.
    #[serde(deserialize_with = "spanned_hertz")]
    pub freq: Spanned<Hertz>,
    /// Radiated power.
    pub eirp_dbm: f64,
    /// When it starts.
    #[serde(default)]
    pub start_s: f64,
    /// For how long; to the end if left out.
    pub length_s: Option<f64>,
    /// Of a staff radio.
    #[serde(default)]
    pub mode: RadioMode,
    /// Of FM.
    #[serde(default = "deviation")]
    pub deviation_hz: f64,
}

fn cs16() -> SampleFormat {
    SampleFormat::Cs16
}
fn noise_figure() -> f64 {
    12.0
}
fn gsm900() -> String {
    "GSM900".to_owned()
}
fn five_megahertz() -> Hertz {
    Hertz(5e6)
}
fn two() -> u8 {
    2
}
fn doppler() -> f64 {
    3.0
}
fn deviation() -> f64 {
    2500.0
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(f64),
    Text(String),
}

impl Number {
    fn hertz<E: serde::de::Error>(self) -> Result<Hertz, E> {
        match self {
            Self::Plain(hz) => Ok(Hertz(hz)),
            Self::Text(text) => text.parse().map_err(E::custom),
        }
    }
}

fn hertz<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hertz, D::Error> {
    Number::deserialize(deserializer)?.hertz()
}

fn optional_hertz<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hertz>, D::Error> {
    Number::deserialize(deserializer)?.hertz().map(Some)
}

fn spanned_hertz<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<Hertz>, D::Error> {
    let number = Spanned::<Number>::deserialize(deserializer)?;
    let span = number.span();
    Ok(Spanned::new(span, number.into_inner().hertz()?))
}

fn point<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Point, D::Error> {
    let numbers = Vec::<f64>::deserialize(deserializer)?;
    match numbers[..] {
        [x, y] | [x, y, _] => Ok([x, y]),
        _ => Err(serde::de::Error::custom("want a position [x, y] or [x, y, z] in metres")),
    }
}

/// A scene with its site, checked.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The file's own fields. Blocks, walls and sensors are those of the site file and its own together.
    pub file: SceneFile,
    /// UTC of the first sample.
    pub time: Option<UtcNanos>,
    /// Where each phone is.
    pub phone_places: Vec<Point>,
    /// Each phone's carrier, in hertz.
    pub phone_carriers: Vec<f64>,
    /// The base station that each phone follows, if any.
    pub phone_stations: Vec<Option<usize>>,
    /// The base stations.
    pub stations: Vec<Station>,
    /// Where each interferer is.
    pub interferer_places: Vec<Point>,
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn wrong(&self, span: std::ops::Range<usize>, message: impl Into<String>) -> SimError {
        let (line, column) = line_column(self.text, span.start);
        SimError::Scene { path: self.path.to_owned(), line, column, message: message.into() }
    }
}

fn read(path: &Path) -> Result<String, SimError> {
    std::fs::read_to_string(path).map_err(|source| SimError::Read { path: path.to_owned(), source })
}

impl Scene {
    /// Reads and checks a scene file and the site file it names.
    ///
    /// # Errors
    /// If a file cannot be read, or says something that cannot be simulated; with line and column.
    pub fn load(path: &Path) -> Result<Self, SimError> {
        let text = read(path)?;
        let parse = |path: &Path, source| SimError::Parse { path: path.to_owned(), source: Box::new(source) };
        let mut file: SceneFile = toml::from_str(&text).map_err(|e| parse(path, e))?;
        if let Some(site) = &file.site {
            let site_path = path.parent().unwrap_or(Path::new(".")).join(site);
            let site: SiteFile = toml::from_str(&read(&site_path)?).map_err(|e| parse(&site_path, e))?;
            file.block.splice(0..0, site.block);
            file.wall.splice(0..0, site.wall);
            file.sensor.splice(0..0, site.sensor);
        }
        let source = Source { path, text: &text };
        Self::check(file, &source)
    }

    fn check(file: SceneFile, source: &Source<'_>) -> Result<Self, SimError> {
        let key = |name: &str| {
            let at = source.text.find(name).unwrap_or(0);
            at..at
        };
        if !(file.rate.0 >= 1e3 && file.rate.0 <= 1e9) {
            return Err(source.wrong(key("rate"), "rate must lie between 1 kHz and 1 GHz"));
        }
        if !(file.duration_s > 0.0 && file.duration_s <= 86_400.0) {
            return Err(source.wrong(key("duration_s"), "duration_s must be positive and at most a day"));
        }
        if file.sensor.is_empty() {
            return Err(source.wrong(0..0, "nobody listens: name a site file with sensors, or give a [[sensor]]"));
        }
        for (i, sensor) in file.sensor.iter().enumerate() {
            let plain = !sensor.name.is_empty()
                && !sensor.name.starts_with('.')
                && sensor.name.chars().all(|c| c.is_alphanumeric() || "-_. ".contains(c));
            if !plain {
                let message =
                    format!("sensor {:?}: its name becomes a file's name, so letters, digits, - and _", sensor.name);
                return Err(source.wrong(0..0, message));
            }
            if !sensor.ppm.is_finite() || sensor.ppm.abs() > 100.0 {
                return Err(source.wrong(0..0, format!("sensor {:?}: ppm must be within 100", sensor.name)));
            }
            if file.sensor[..i].iter().any(|other| other.name == sensor.name) {
                return Err(source.wrong(0..0, format!("two sensors are called {:?}", sensor.name)));
            }
        }
        let time = match &file.datetime {
            None => None,
            Some(text) => {
                let time = text.get_ref().parse().map_err(|e| source.wrong(text.span(), format!("{e}")))?;
                Some(time)
            }
        };
        let place = |place: &Spanned<Place>| match place.get_ref() {
            Place::At(point) => Ok(*point),
            Place::Block(name) => match file.block.iter().find(|block| block.name == *name) {
                Some(block) if !block.outline.is_empty() => Ok(centre(&block.outline)),
                _ => Err(source.wrong(place.span(), format!("there is no block {name:?}"))),
            },
        };
        let inside = |hz: f64, width: f64| (hz - file.center.0).abs() + width / 2.0 <= file.rate.0 / 2.0;
        let outside = |span, hz: f64| {
            let message = format!(
                "{} with its width lies outside the recording ({} wide around {})",
                Hertz(hz),
                file.rate,
                file.center
            );
            Err(source.wrong(span, message))
        };
        let stations = station::check(&file, source, &place)?;
        for (station, written) in stations.iter().zip(&file.base_station) {
            if !inside(station.carrier_hz, station.width_hz) {
                return outside(written.name.span(), station.carrier_hz);
            }
        }
        let mut phone_places = Vec::new();
        let mut phone_carriers = Vec::new();
        let mut phone_stations = Vec::new();
        for phone in &file.phone {
            phone_places.push(place(&phone.position)?);
            let activity = &phone.activity;
            let span = activity.span();
            let followed = follows(phone, &stations, source)?;
            phone_stations.push(followed);
            let (hz, width, span) = if let Some(index) = followed {
                (stations[index].carrier_hz, stations[index].width_hz, span)
            } else {
                match (activity.get_ref().is_gsm(), &phone.arfcn, &phone.earfcn) {
                    (true, Some(arfcn), None) => {
                        let Some(hz) = band::gsm_uplink_hz(*arfcn.get_ref(), &phone.band) else {
                            let message = format!("{} has no ARFCN {}", phone.band, arfcn.get_ref());
                            return Err(source.wrong(arfcn.span(), message));
                        };
                        (hz, 200e3, arfcn.span())
                    }
                    (false, None, Some(earfcn)) => {
                        let Some((hz, _)) = band::earfcn_uplink_hz(*earfcn.get_ref()) else {
                            let message = format!("{} is no uplink EARFCN", earfcn.get_ref());
                            return Err(source.wrong(earfcn.span(), message));
                        };
                        let Some(blocks) = lte::carrier_blocks(phone.bandwidth.0) else {
                            return Err(source.wrong(span, "LTE carriers are 1.4, 3, 5, 10, 15 or 20 MHz wide"));
                        };
                        (hz, f64::from(blocks) * lte::RB_HZ, earfcn.span())
                    }
                    (true, ..) => return Err(source.wrong(span, "a GSM activity wants an arfcn, and no earfcn")),
                    (false, ..) => return Err(source.wrong(span, "an LTE activity wants an earfcn, and no arfcn")),
                }
            };
            if !inside(hz, width) {
                return outside(span, hz);
            }
            let limits = [
                (phone.tsc < 8, "tsc must be 0 to 7"),
                (phone.timeslot < 8, "timeslot must be 0 to 7"),
                (phone.subchannel < 8, "subchannel must be 0 to 7"),
                (phone.prach_format < 4, "prach_format must be 0 to 3"),
                (phone.prach_root < 838, "prach_root must be 0 to 837"),
                (phone.group < 30, "group must be 0 to 29"),
                (phone.load.is_none_or(|load| (0.0..=1.0).contains(&load)), "load must lie between 0 and 1"),
                (phone.start_s >= 0.0, "start_s must not be negative"),
                (phone.length_s.is_none_or(|s| s > 0.0), "length_s must be positive"),
                ((0.0..=500.0).contains(&phone.doppler_hz), "doppler_hz must lie between 0 and 500"),
                (phone.cfo_hz.abs() <= 10e3, "cfo_hz must be within 10 kHz"),
                (phone.snr_db.is_none() || phone.eirp_dbm.is_none(), "snr_db and eirp_dbm: one is enough"),
                (phone.snr_db.is_none_or(|snr| snr.abs() <= 100.0), "snr_db must be within 100"),
                ((0.0..=1000.0).contains(&phone.jitter_us), "jitter_us must lie between 0 and 1000"),
                (phone.preamble.is_none_or(|n| n < 64), "preamble must be 0 to 63"),
                (
                    phone.distance_m.is_none_or(|m| (0.0..=100e3).contains(&m)),
                    "distance_m must lie between 0 and 100 km",
                ),
                (phone.period_ms.is_none_or(|ms| ms > 0), "period_ms must be positive"),
                (phone.repetitions.is_none_or(|n| (1..=2048).contains(&n)), "repetitions must be 1 to 2048"),
                (
                    activity.get_ref().of_station() != "NB-IoT"
                        || phone.repetitions.is_none_or(|n| nbiot::REPETITIONS.contains(&n)),
                    "repetitions of NB-IoT must be a power of two up to 128",
                ),
                (
                    phone.resource_units.is_none_or(|n| matches!(n, 1..=6 | 8 | 10)),
                    "resource_units must be 1 to 6, 8 or 10",
                ),
                (phone.tones.is_none_or(|n| matches!(n, 1 | 3 | 6 | 12)), "tones must be 1, 3, 6 or 12"),
                (
                    phone.spacing.is_none_or(|hz| hz.0 == 15e3 || (hz.0 == 3750.0 && phone.tones.unwrap_or(1) == 1)),
                    "spacing must be 15 kHz, or 3.75 kHz with one tone",
                ),
                (
                    followed.is_none_or(|i| phone.narrowband.is_none_or(|n| n < stations[i].blocks / 6)),
                    "narrowband must be one that the carrier has: of six blocks each",
                ),
                (
                    !activity.get_ref().is_ltem()
                        || phone.resource_blocks.is_none_or(|n| n <= phone.coverage_mode.most_blocks()),
                    "resource_blocks of LTE-M must be up to 6, in coverage_mode \"b\" 1 or 2",
                ),
                (
                    phone.resource_blocks.is_none_or(|n| match (activity.get_ref().of_station(), phone.waveform) {
                        ("NR", PuschWaveform::CpOfdm) => (1..=nr::MOST_BLOCKS).contains(&n),
                        _ => lte::is_pusch_size(n),
                    }),
                    "resource_blocks must be a size of PUSCH",
                ),
                (phone.srs.comb.is_none_or(|n| n < 2), "srs.comb must be 0 or 1"),
                (phone.srs.bandwidth < 4, "srs.bandwidth must be 0 to 3"),
                (phone.srs.hopping.is_none_or(|n| n < 4), "srs.hopping must be 0 to 3"),
                (phone.srs.position < 24, "srs.position must be 0 to 23"),
                (
                    phone.srs.period_ms.is_none_or(|ms| ms == 0 || lte::SRS_PERIODS_MS.contains(&ms)),
                    "srs.period_ms must be 0, 2, 5, 10, 20, 40, 80, 160 or 320",
                ),
            ];
            if let Some((_, message)) = limits.iter().find(|(good, _)| !good) {
                return Err(source.wrong(activity.span(), format!("phone {:?}: {message}", phone.name)));
            }
            phone_carriers.push(hz);
        }
        let mut interferer_places = Vec::new();
        for interferer in &file.interferer {
            interferer_places.push(place(&interferer.position)?);
            if !inside(interferer.freq.get_ref().0, 25e3) {
                return outside(interferer.freq.span(), interferer.freq.get_ref().0);
            }
        }
        let mut scene = Self { time, phone_places, phone_carriers, phone_stations, stations, interferer_places, file };
        for index in 0..scene.file.phone.len() {
            scene.file.phone[index].eirp_dbm = scene.eirp_of(index);
        }
        Ok(scene)
    }

    /// A phone's radiated power, if the scene says anything of its level.
    fn eirp_of(&self, index: usize) -> Option<f64> {
        let phone = &self.file.phone[index];
        let Some(snr_db) = phone.snr_db else { return phone.eirp_dbm };
        let width_hz = match phone.activity.get_ref().of_station() {
            "GSM" => gsm::CHANNEL_HZ,
            "NB-IoT" => nbiot::CARRIER_HZ,
            _ => lte::PRACH_HZ,
        };
        let noise_dbm = THERMAL_DBM_PER_HZ + self.file.noise_figure_db + db(width_hz);
        let listener = self.file.sensor[0].position;
        Some(snr_db + noise_dbm + path_loss_db(self, self.phone_places[index], listener, self.phone_carriers[index]))
    }

    /// The block that holds a point, or `outside`.
    pub fn block_at(&self, at: Point) -> &str {
        self.file.block.iter().find(|b| contains(&b.outline, at)).map_or("outside", |b| &b.name)
    }
}

/// The index of the base station that a phone names.
fn follows(phone: &Phone, stations: &[Station], source: &Source<'_>) -> Result<Option<usize>, SimError> {
    let activity = *phone.activity.get_ref();
    let Some(name) = &phone.base_station else {
        if activity.wants_station() {
            let message = format!("phone {:?}: this activity wants a base_station", phone.name);
            return Err(source.wrong(phone.activity.span(), message));
        }
        return Ok(None);
    };
    let Some(index) = stations.iter().position(|station| station.name == *name.get_ref()) else {
        return Err(source.wrong(name.span(), format!("there is no base station {:?}", name.get_ref())));
    };
    let spoken = stations[index].kind.name();
    if activity.of_station() != spoken {
        let message = format!("{:?} speaks {spoken}, which this activity does not", name.get_ref());
        return Err(source.wrong(phone.activity.span(), message));
    }
    if let StationKind::Lte(cell) = &stations[index].kind {
        let asked = phone.srs.period_ms.filter(|&ms| ms > 0);
        let wants = asked.is_some() || activity == PhoneActivity::LteSrs;
        if wants && cell.srs.is_none() {
            let message =
                format!("phone {:?}: nobody sounds in the cell of {:?}: give it srs", phone.name, name.get_ref());
            return Err(source.wrong(name.span(), message));
        }
        if asked.is_some_and(|ms| cell.sounding_offsets(ms).is_empty()) {
            let message = format!("phone {:?}: srs.period_ms does not fit the cell's srs.subframes", phone.name);
            return Err(source.wrong(name.span(), message));
        }
    }
    let own = [
        (phone.arfcn.is_some(), "arfcn"),
        (phone.earfcn.is_some(), "earfcn"),
        (phone.bandwidth != five_megahertz(), "bandwidth"),
        (phone.prach_format != 0, "prach_format"),
        (phone.prach_root != 0, "prach_root"),
        (phone.group != 0, "group"),
    ];
    if let Some((_, key)) = own.iter().find(|(given, _)| *given) {
        let message = format!("phone {:?}: {key} is the base station's, leave it out", phone.name);
        return Err(source.wrong(name.span(), message));
    }
    Ok(Some(index))
}

fn centre(outline: &[Point]) -> Point {
    let n = outline.len() as f64;
    [outline.iter().map(|p| p[0]).sum::<f64>() / n, outline.iter().map(|p| p[1]).sum::<f64>() / n]
}

/// Whether a polygon holds a point, by counting the edges that a ray to the right crosses.
fn contains(outline: &[Point], at: Point) -> bool {
    edges(outline)
        .filter(|([ax, ay], [bx, by])| {
            (ay > &at[1]) != (by > &at[1]) && at[0] < (bx - ax) * (at[1] - ay) / (by - ay) + ax
        })
        .count()
        % 2
        == 1
}

/// A polygon's edges.
pub(crate) fn edges(outline: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    outline.iter().copied().zip(outline.iter().copied().cycle().skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Scene, SimError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scene.toml");
        std::fs::write(&path, text).unwrap();
        Scene::load(&path)
    }

    const HEAD: &str =
        "seed = 1\nrate = \"2M\"\ncenter = \"898M\"\nduration_s = 1\n[[sensor]]\nname = \"a\"\nposition = [0, 0]\n";

    /// The message and its causes, as the binary prints them.
    fn wrong(text: &str) -> String {
        let error = load(text).unwrap_err();
        let cause = std::error::Error::source(&error).map(|e| e.to_string()).unwrap_or_default();
        format!("{error} {cause}")
    }

    #[test]
    fn errors_name_line_and_column() {
        assert!(load(HEAD).is_ok());
        let phone = format!("{HEAD}[[phone]]\nname = \"p\"\nposition = [1, 1]\nactivity = \"gsm-call\"\n");
        let text = wrong(&format!("{phone}arfcn = 300\n"));
        assert!(text.contains("12:9") && text.contains("300"), "{text}");
        let text = wrong(&format!("{phone}arfcn = 100\n"));
        assert!(text.contains("outside the recording"), "{text}");
        let text = wrong(&phone);
        assert!(text.contains("11:12") && text.contains("arfcn"), "{text}");
        let text = wrong(&format!("{phone}volume = 11\n"));
        assert!(text.contains("line 12") && text.contains("volume"), "{text}");
        let text =
            wrong(&format!("{HEAD}[[phone]]\nname = \"p\"\nposition = \"Z\"\nactivity = \"gsm-call\"\narfcn = 40\n"));
        assert!(text.contains("10:12") && text.contains("no block"), "{text}");
    }

    #[test]
    fn points_know_their_block() {
        let square = [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]];
        assert!(contains(&square, [1.0, 1.0]));
        assert!(!contains(&square, [5.0, 1.0]) && !contains(&square, [1.0, 3.0]));
        assert_eq!(centre(&square), [2.0, 1.0]);
    }
}
