//! Joins what several sensors heard of the same emission.

use cellwarden_types::{Burst, Evidence, Kind, Standard};
use std::collections::{BTreeMap, VecDeque};

/// Bursts of one emission start within this at all sensors: 10 km of path difference are 33 µs,
/// the rest is each sensor's timing error.
const START_TOLERANCE_S: f64 = 120e-6;
/// A burst whose standard is as sure as this has its training sequence read right.
const SURE: f64 = 0.9;
/// A GSM burst at this SNR is named.
const NAMED_SNR_DB: f64 = 12.0;
/// An emission takes more bursts until this long after its start, and not longer than [`HOLD_S`].
const SETTLE_S: f64 = 1e-3;
/// The longest that an unfinished emission holds back those after it.
pub(crate) const HOLD_S: f64 = 0.1;

/// One sensor's part of an emission.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Index of the sensor.
    pub sensor: usize,
    /// Mean power, in dBFS.
    pub power_dbfs: f64,
    /// Mean power over noise power, in dB.
    pub snr_db: f64,
    /// Probability that a phone of the named standard sent it.
    pub proof: f64,
    /// Whether this sensor's I and Q are exchanged: then nothing that it says of the emission holds.
    pub mirrored: bool,
}

/// One emission, as all sensors together heard it.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// Start on the common clock, in seconds.
    pub start_s: f64,
    /// End on the common clock, in seconds.
    pub end_s: f64,
    /// Which standard; [`Standard::Unknown`] where no sensor could tell.
    pub standard: Standard,
    /// Which kind.
    pub kind: Kind,
    /// Band, where known.
    pub band: Option<String>,
    /// Channel number of the carrier, where known.
    pub channel: Option<u32>,
    /// Lower edge at the sensor that tells most, in hertz.
    pub freq_lower_hz: f64,
    /// Upper edge there, in hertz.
    pub freq_upper_hz: f64,
    /// GSM: number of the normal burst's training sequence, where one was surely read. A phone's is its radio cell's.
    pub training_sequence: Option<u8>,
    /// One entry for each sensor that heard it.
    pub heard: Vec<Heard>,
    /// How telling the burst was that gave the common fields.
    weight: f64,
}

impl Emission {
    /// An emission that one sensor heard.
    pub fn new(burst: &Burst, sensor: usize, start_s: f64) -> Self {
        Self {
            start_s,
            end_s: start_s + burst.duration_s,
            standard: burst.standard,
            kind: burst.kind,
            band: burst.band.clone(),
            channel: burst.channel,
            freq_lower_hz: burst.freq_lower_hz,
            freq_upper_hz: burst.freq_upper_hz,
            training_sequence: training_sequence(burst),
            heard: vec![heard(burst, sensor)],
            weight: weight(burst),
        }
    }

    /// Middle of the band, in hertz.
    pub fn centre_hz(&self) -> f64 {
        0.5 * (self.freq_lower_hz + self.freq_upper_hz)
    }

    /// Width of the band, in hertz, at least 1.
    pub fn width_hz(&self) -> f64 {
        (self.freq_upper_hz - self.freq_lower_hz).max(1.0)
    }

    /// The best proof among the sensors.
    pub fn proof(&self) -> f64 {
        self.heard.iter().fold(0.0, |p, h| p.max(h.proof))
    }

    /// Whether only sensors with I and Q exchanged heard it.
    pub fn is_mirrored(&self) -> bool {
        self.heard.iter().all(|h| h.mirrored)
    }

    /// Whether the burst may be another sensor's view of this emission.
    fn fits(&self, burst: &Burst, sensor: usize, start_s: f64) -> bool {
        let known = |s: Standard| s != Standard::Unknown;
        if known(self.standard) && known(burst.standard) && self.standard != burst.standard {
            return false;
        }
        if self.heard.iter().any(|h| h.sensor == sensor) {
            return false;
        }
        // A clear GSM burst is always named: what is not is another's edge, and has another's level.
        let unnamed_but_clear = |standard: Standard, snr_db: f64| !known(standard) && snr_db > NAMED_SNR_DB;
        let gsm = self.standard == Standard::Gsm || burst.standard == Standard::Gsm;
        let own_snr_db = self.heard.iter().fold(f64::NEG_INFINITY, |s, h| s.max(h.snr_db));
        if gsm && (unnamed_but_clear(burst.standard, burst.snr_db) || unnamed_but_clear(self.standard, own_snr_db)) {
            return false;
        }
        // Phones of two radio cells in one timeslot: each sensor hears the one that is nearer.
        if differ(self.training_sequence, training_sequence(burst)) {
            return false;
        }
        let shared = burst.freq_upper_hz.min(self.freq_upper_hz) - burst.freq_lower_hz.max(self.freq_lower_hz);
        // A control channel inside another phone's wide allocation is not the same emission.
        if shared < 0.5 * self.width_hz().max(burst.freq_upper_hz - burst.freq_lower_hz) {
            return false;
        }
        if (start_s - self.start_s).abs() <= START_TOLERANCE_S {
            return true;
        }
        // A long allocation may be cut differently at each sensor; GSM bursts are never cut.
        let length = burst.duration_s.min(self.end_s - self.start_s);
        let overlap = (start_s + burst.duration_s).min(self.end_s) - start_s.max(self.start_s);
        self.standard != Standard::Gsm && burst.standard != Standard::Gsm && overlap >= 0.5 * length
    }

    fn add(&mut self, burst: &Burst, sensor: usize, start_s: f64) {
        self.end_s = self.end_s.max(start_s + burst.duration_s);
        self.heard.push(heard(burst, sensor));
        self.training_sequence = self.training_sequence.or(training_sequence(burst));
        if weight(burst) > self.weight {
            self.weight = weight(burst);
            (self.standard, self.kind) = (burst.standard, burst.kind);
            (self.freq_lower_hz, self.freq_upper_hz) = (burst.freq_lower_hz, burst.freq_upper_hz);
            self.band = burst.band.clone().or(self.band.take());
            self.channel = burst.channel.or(self.channel);
        } else {
            self.band = self.band.take().or_else(|| burst.band.clone());
            self.channel = self.channel.or(burst.channel);
        }
    }
}

/// Whether both are known, and not the same.
pub(crate) fn differ(a: Option<u8>, b: Option<u8>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a != b)
}

fn training_sequence(burst: &Burst) -> Option<u8> {
    let name = burst.detail.training_sequence.as_deref().filter(|_| burst.standard_confidence >= SURE)?;
    name.strip_prefix("TSC")?.parse().ok()
}

fn heard(burst: &Burst, sensor: usize) -> Heard {
    // A long preamble is a phone's, whichever of LTE and NR it is.
    let named = if burst.kind == Kind::Prach { 1.0 } else { burst.standard_confidence };
    let proof = burst.confidence * named;
    Heard {
        sensor,
        power_dbfs: burst.power_dbfs,
        snr_db: burst.snr_db,
        proof: if burst.standard.is_phone() { proof.clamp(0.0, 1.0) } else { 0.0 },
        mirrored: burst.detail.evidence.iter().any(|e| e.name == Evidence::IQ_SWAPPED),
    }
}

/// A named standard before an unnamed one, then the surer, then the stronger.
fn weight(burst: &Burst) -> f64 {
    let named = f64::from(u8::from(burst.standard.is_phone()));
    1e3 * named + 100.0 * burst.confidence * burst.standard_confidence + burst.snr_db.clamp(0.0, 60.0)
}

/// Whether a phone may have sent it, and its numbers are such as a receiver can measure: records come from other
/// processes and machines as well.
pub(crate) fn may_be_a_phone(burst: &Burst) -> bool {
    let phone = burst.standard.is_phone() || burst.standard == Standard::Unknown;
    let numbers = [
        (burst.start_s, 1e9),
        (burst.duration_s, 1e3),
        (burst.freq_lower_hz, 1e12),
        (burst.freq_upper_hz, 1e12),
        (burst.power_dbfs, 1e3),
        (burst.snr_db, 1e3),
        (burst.confidence, 1.0),
        (burst.standard_confidence, 1.0),
    ];
    // What is no number is not within anything.
    phone && numbers.iter().all(|(v, most)| v.abs() <= *most) && burst.freq_upper_hz > burst.freq_lower_hz
}

/// Puts bursts in order and joins them; what it gives out does not depend on how they arrived.
#[derive(Debug, Default)]
pub struct Associator {
    waiting: BTreeMap<(i64, usize, i64, u64), (f64, Burst)>,
    arrived: u64,
    open: VecDeque<Emission>,
}

impl Associator {
    /// Takes a burst of a sensor, which starts at `start_s` on the common clock.
    ///
    /// Bursts that no phone sent, and such with a number that no receiver measures, are left out.
    pub fn push(&mut self, burst: Burst, sensor: usize, start_s: f64) {
        if !may_be_a_phone(&burst) {
            return;
        }
        self.arrived += 1;
        let key = ((start_s * 1e9) as i64, sensor, burst.freq_lower_hz as i64, self.arrived);
        self.waiting.insert(key, (start_s, burst));
    }

    /// Bursts and emissions that are held at the moment.
    pub fn held(&self) -> usize {
        self.waiting.len() + self.open.len()
    }

    /// Gives the emissions that start before `up_to_s` and can take no more bursts, in order of their start.
    pub fn take(&mut self, up_to_s: f64, out: &mut Vec<Emission>) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.get().0 > up_to_s {
                break;
            }
            let sensor = entry.key().1;
            let (start_s, burst) = entry.remove();
            self.flush(start_s, out);
            let best = self
                .open
                .iter_mut()
                .filter(|e| e.fits(&burst, sensor, start_s))
                .min_by(|a, b| (start_s - a.start_s).abs().total_cmp(&(start_s - b.start_s).abs()));
            match best {
                Some(emission) => emission.add(&burst, sensor, start_s),
                None => self.open.push_back(Emission::new(&burst, sensor, start_s)),
            }
        }
        self.flush(up_to_s, out);
    }

    fn flush(&mut self, now_s: f64, out: &mut Vec<Emission>) {
        while let Some(first) = self.open.front() {
            let until = first.end_s.clamp(first.start_s + SETTLE_S, first.start_s + HOLD_S);
            if until > now_s {
                break;
            }
            out.extend(self.open.pop_front());
        }
    }
}
