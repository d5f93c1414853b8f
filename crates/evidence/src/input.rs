//! What an evidence file is made of, and how much of it is kept.

use crate::content::{Item, TOTAL_BYTES_MOST};
use crate::error::EvidenceError;
use cellwarden_locate::SensorInfo;
use cellwarden_types::{Burst, Hertz, Hit, Record, UtcNanos};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Power densities of one sensor around a hit: a spectrogram, and no samples. Phase is gone, so nothing can be decoded
/// from it.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorTiles {
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// Middle of the bins: bin `i` covers `bin_hz` from `center + (i - bins / 2) * bin_hz` on.
    pub center: Hertz,
    /// Complex samples per second of the stream.
    pub rate: Hertz,
    /// Width of a bin.
    pub bin_hz: f64,
    /// Middle of the first row.
    pub first: UtcNanos,
    /// From one row to the next, in seconds.
    pub row_s: f64,
    /// Bins in a row.
    pub bins: usize,
    /// Middle of each row, where they do not follow each other every `row_s`: of a sensor that hops, from visit to visit. Empty
    /// where they do.
    pub times: Vec<UtcNanos>,
    /// `[rows][bins]`, linear over full scale and hertz.
    pub rows: Vec<f32>,
    /// `[bins]`, the noise floor, likewise.
    pub floor: Vec<f32>,
}

impl SensorTiles {
    /// The middle of `n` rows from `row` on.
    fn middle(&self, row: usize, n: usize) -> UtcNanos {
        match (self.times.get(row), self.times.get(row + n - 1)) {
            (Some(first), Some(last)) => first.plus_seconds(last.seconds_since(*first) / 2.0),
            _ => self.first.plus_seconds((row as f64 + 0.5 * (n - 1) as f64) * self.row_s),
        }
    }

    /// The bins that touch `low_hz..high_hz`; an empty range where none does.
    pub fn bins_within(&self, low_hz: f64, high_hz: f64) -> Range<usize> {
        let bin = |hz: f64| (hz - self.center.0) / self.bin_hz + (self.bins / 2) as f64;
        let low = (bin(low_hz).floor().max(0.0) as usize).min(self.bins);
        low..(bin(high_hz).ceil().max(0.0) as usize).clamp(low, self.bins)
    }

    /// Only the bins that touch `low_hz..high_hz`: what lies beside a hit is others' business, and costs room.
    pub fn cropped(&self, low_hz: f64, high_hz: f64) -> Self {
        let Range { start: low, end: high } = self.bins_within(low_hz, high_hz);
        let bins = high - low;
        // Of the new row's middle bin, by the same rule.
        let shift = low as f64 + (bins / 2) as f64 - (self.bins / 2) as f64;
        let rows = if self.bins == 0 { [].chunks_exact(1) } else { self.rows.chunks_exact(self.bins) };
        Self {
            sensor: Arc::clone(&self.sensor),
            center: Hertz(self.center.0 + shift * self.bin_hz),
            bins,
            times: self.times.clone(),
            rows: rows.flat_map(|row| &row[low..high]).copied().collect(),
            floor: self.floor.get(low..high).unwrap_or_default().to_vec(),
            ..*self
        }
    }
}

/// Everything that a closed hit came from.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceInput {
    /// The hit, closed.
    pub hit: Hit,
    /// The bursts of all sensors from before its start to after its end. Those of others at the same time belong to it:
    /// whether emissions are one phone's depends on what else was heard.
    pub bursts: Vec<Burst>,
    /// Every sensor that took part, with the noise floors that the joiner worked with.
    pub sensors: Vec<SensorInfo>,
    /// The site file as it was, where there was one.
    pub site_text: Option<String>,
    /// SHA-256 of the configuration, as in summaries.
    pub config_sha256: String,
    /// Name and version.
    pub software: String,
    /// Around the hit: 500 ms before to its end. A sensor may come more than once.
    pub tiles: Vec<SensorTiles>,
    /// By sensor: the detector's state at the time, as its state file has it.
    pub states: BTreeMap<String, serde_json::Value>,
}

/// Most bytes of burst records in a file: well below what a reader takes.
const BURST_BYTES_MOST: usize = 48 << 20;

/// How much of evidence is kept, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most bytes of tiles in a file, over all sensors.
    pub tile_bytes: u64,
    /// Tiles that exceed that are kept whole for so long, in seconds, as far as half of the room goes; the rest is
    /// thinned: as many rows as it takes become one, their mean.
    pub whole_s: f64,
    /// Most burst records in a file. Beyond, the first are kept, and the file says that its hit cannot be made again.
    pub bursts: usize,
    /// Files older than this are deleted, in days.
    pub keep_days: f64,
    /// Beyond so many bytes the oldest files are deleted.
    pub folder_bytes: u64,
}

impl Default for Limits {
    /// Files below about 90 MB before compression; 90 days; 20 GB.
    fn default() -> Self {
        Self { tile_bytes: 32 << 20, whole_s: 3.0, bursts: 80_000, keep_days: 90.0, folder_bytes: 20 << 30 }
    }
}

impl Limits {
    /// Most bytes of tiles, whatever is configured: a reader refuses more.
    const TILE_BYTES_MOST: u64 = TOTAL_BYTES_MOST / 4;

    pub(crate) fn keep(&self) -> Duration {
        // What is no number keeps nothing longer than the default; ages beyond 100 years are not needed.
        let days = if self.keep_days.is_finite() { self.keep_days.clamp(0.0, 36_525.0) } else { 90.0 };
        Duration::from_secs_f64(days * 86_400.0)
    }
}

/// One sensor of the list that a joiner needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorLine {
    pub name: Arc<str>,
    pub start_time: Option<UtcNanos>,
    /// None where it is not known: then its bursts tell.
    pub noise_dbfs_per_hz: Option<f64>,
    /// It hops: what it does not hear says nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hops: bool,
}

impl From<&SensorInfo> for SensorLine {
    fn from(s: &SensorInfo) -> Self {
        let floor = s.noise_dbfs_per_hz;
        Self {
            name: Arc::clone(&s.name),
            start_time: s.start_time,
            noise_dbfs_per_hz: floor.is_finite().then_some(floor),
            hops: floor == f64::INFINITY,
        }
    }
}

impl From<SensorLine> for SensorInfo {
    fn from(s: SensorLine) -> Self {
        let unknown = if s.hops { f64::INFINITY } else { f64::NAN };
        Self { name: s.name, start_time: s.start_time, noise_dbfs_per_hz: s.noise_dbfs_per_hz.unwrap_or(unknown) }
    }
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Version of the layout: 1.
    pub layout: u32,
    /// Name and version of what wrote it.
    pub software: String,
    /// SHA-256 of its configuration.
    pub config_sha256: String,
    /// Burst records that there were.
    pub bursts_given: u64,
    /// Burst records that the file holds.
    pub bursts_kept: u64,
    /// In words: whether tiles were thinned, and how.
    pub tiles: String,
    /// In words: why its bursts did not give its hit already when it was written, as where bursts came when the hit was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_remade: Option<String>,
}

impl About {
    /// Its place in the file.
    pub(crate) fn item(&self, input: &EvidenceInput) -> Result<Item, EvidenceError> {
        Ok(Item::text("/about", &input.line(self, "what it says of itself")?))
    }
}

/// A spectrogram as it is kept.
struct Kept {
    rows: Vec<f32>,
    times: Vec<i64>,
    /// Rows that were averaged into each.
    counts: Vec<u32>,
}

fn keep(tiles: &SensorTiles, whole_s: f64, room_rows: usize) -> Kept {
    let given = tiles.rows.len() / tiles.bins;
    if room_rows == 0 {
        return Kept { rows: Vec::new(), times: Vec::new(), counts: Vec::new() };
    }
    let whole =
        if given <= room_rows { given } else { ((whole_s / tiles.row_s).clamp(0.0, 1e9) as usize).min(room_rows / 2) };
    let room = (room_rows - whole).max(1);
    let step = (given - whole).div_ceil(room).max(1);
    let mut kept = Kept { rows: Vec::new(), times: Vec::new(), counts: Vec::new() };
    let mut sum = vec![0.0f64; tiles.bins];
    let mut row = 0;
    while row < given {
        let n = if row < whole { 1 } else { step.min(given - row) };
        let rows = &tiles.rows[row * tiles.bins..(row + n) * tiles.bins];
        if n == 1 {
            kept.rows.extend_from_slice(rows);
        } else {
            sum.fill(0.0);
            for one in rows.chunks_exact(tiles.bins) {
                sum.iter_mut().zip(one).for_each(|(s, &p)| *s += f64::from(p));
            }
            kept.rows.extend(sum.iter().map(|s| (s / n as f64) as f32));
        }
        kept.times.push(tiles.middle(row, n).0);
        kept.counts.push(n as u32);
        row += n;
    }
    kept
}

impl EvidenceInput {
    fn wrong(&self, what: impl Into<String>) -> EvidenceError {
        EvidenceError::Input { hit: self.hit.id.clone(), what: what.into() }
    }

    fn line<T: Serialize>(&self, value: &T, what: &str) -> Result<String, EvidenceError> {
        let line = serde_json::to_string(value).map_err(|e| self.wrong(format!("{what} is no JSON: {e}")))?;
        Ok(line + "\n")
    }

    fn check(&self) -> Result<(), EvidenceError> {
        for (i, t) in self.tiles.iter().enumerate() {
            let sound = [t.center.0, t.rate.0, t.bin_hz, t.row_s].iter().all(|v| v.is_finite());
            if !sound || t.bin_hz <= 0.0 || t.row_s <= 0.0 || t.bins == 0 {
                return Err(self.wrong(format!("tiles {i} of {:?}: bins and rows must have a width", t.sensor)));
            }
            if t.rows.len() % t.bins != 0 || t.floor.len() != t.bins {
                let (rows, floor, bins) = (t.rows.len(), t.floor.len(), t.bins);
                let what = format!("tiles {i} of {:?}: {rows} values and a floor of {floor} for {bins} bins", t.sensor);
                return Err(self.wrong(what));
            }
            let (rows, times) = (t.rows.len() / t.bins, t.times.len());
            if times > 0 && times != rows {
                return Err(self.wrong(format!("tiles {i} of {:?}: {times} times for {rows} rows", t.sensor)));
            }
        }
        // Six items a spectrogram: a reader's limit is far above.
        if self.tiles.len() > 256 {
            return Err(self.wrong(format!("{} spectrograms, at most 256", self.tiles.len())));
        }
        Ok(())
    }

    /// The content of its file, and what the file says of itself, which is to be added.
    pub(crate) fn items(&self, limits: &Limits) -> Result<(Vec<Item>, About), EvidenceError> {
        self.check()?;
        let mut items = Vec::new();
        let (mut bursts, mut bursts_kept) = (String::new(), 0);
        for burst in self.bursts.iter().take(limits.bursts) {
            let line = self.line(&Record::Burst(burst.clone()), "a burst")?;
            if bursts.len() + line.len() > BURST_BYTES_MOST {
                break;
            }
            bursts.push_str(&line);
            bursts_kept += 1;
        }
        let mut sensors = String::new();
        for sensor in &self.sensors {
            sensors.push_str(&self.line(&SensorLine::from(sensor), "a sensor")?);
        }
        let mut thinned = Vec::new();
        let share = limits.tile_bytes.min(Limits::TILE_BYTES_MOST) as usize / self.tiles.len().max(1) / 4;
        items.push(Item::group("/tiles"));
        for (i, t) in self.tiles.iter().enumerate() {
            let room_rows = share / t.bins;
            let kept = keep(t, limits.whole_s, room_rows);
            let (rows, given) = (kept.times.len(), t.rows.len() / t.bins);
            let whole = kept.counts.iter().take_while(|&&n| n == 1).count();
            if rows == 0 && given > 0 {
                thinned.push(format!("/tiles/{i} ({}): there was no room for a row", t.sensor));
            } else if rows < given {
                let step = kept.counts.iter().max().copied().unwrap_or(1);
                thinned.push(format!(
                    "/tiles/{i} ({}): of {given} rows the first {whole} are kept, of the rest the mean of each {step}",
                    t.sensor
                ));
            }
            let at = format!("/tiles/{i}");
            items.push(Item::group(&at));
            items.push(Item::text(format!("{at}/sensor"), &t.sensor));
            items.push(Item::f32(format!("{at}/power"), vec![rows as u64, t.bins as u64], &kept.rows));
            items.push(Item::i64(format!("{at}/row_time"), &kept.times));
            items.push(Item::u32(format!("{at}/row_count"), &kept.counts));
            items.push(Item::f32(format!("{at}/floor"), vec![t.bins as u64], &t.floor));
            items.push(Item::number(format!("{at}@center_hz"), t.center.0));
            items.push(Item::number(format!("{at}@rate_hz"), t.rate.0));
            items.push(Item::number(format!("{at}@bin_hz"), t.bin_hz));
            items.push(Item::number(format!("{at}@row_s"), t.row_s));
            items.push(Item::count(format!("{at}@rows_given"), given as u64));
        }
        let about = About {
            layout: 1,
            software: self.software.clone(),
            config_sha256: self.config_sha256.clone(),
            bursts_given: self.bursts.len() as u64,
            bursts_kept,
            tiles: if thinned.is_empty() { "every row is kept".to_owned() } else { thinned.join("; ") },
            not_remade: None,
        };
        items.push(Item::text("/bursts", &bursts));
        items.push(Item::text("/hit", &self.line(&Record::Hit(self.hit.clone()), "the hit")?));
        items.push(Item::text("/sensors", &sensors));
        items.push(Item::text("/states", &self.line(&self.states, "the detectors' states")?));
        if let Some(site) = &self.site_text {
            items.push(Item::text("/site", site));
        }
        if let Some(large) = items.iter().find(|i| i.bytes.len() as u64 > crate::content::ITEM_BYTES_MOST) {
            return Err(self.wrong(format!("{} has {} bytes: lower the limits", large.name, large.bytes.len())));
        }
        Ok((items, about))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiles(rows: usize) -> SensorTiles {
        SensorTiles {
            sensor: "a".into(),
            center: Hertz(100.0),
            rate: Hertz(40.0),
            bin_hz: 10.0,
            first: UtcNanos(1_000_000_000),
            row_s: 0.5,
            bins: 4,
            times: Vec::new(),
            rows: (0..rows * 4).map(|i| i as f32).collect(),
            floor: vec![1.0; 4],
        }
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let t = tiles(10);
        let kept = keep(&t, 1.0, 10);
        assert_eq!((kept.rows, kept.counts), (t.rows, vec![1; 10]));
        assert_eq!((kept.times[0], kept.times[9]), (1_000_000_000, 5_500_000_000));
    }

    #[test]
    fn what_does_not_fit_is_whole_first_and_then_means() {
        let t = tiles(1001);
        let kept = keep(&t, 1.0, 100);
        assert!(kept.times.len() <= 100, "{}", kept.times.len());
        assert_eq!(kept.counts[..3], [1, 1, 11]);
        assert_eq!(kept.counts.iter().sum::<u32>(), 1001, "every row counts");
        // Rows 2 to 12 begin with 8, 12, … 48.
        assert_eq!(kept.rows[8], 28.0);
        assert_eq!(kept.times[2], 1_000_000_000 + 7 * 500_000_000);
    }

    /// Two visits of a sensor that hops, 10 s apart.
    fn visits() -> SensorTiles {
        let times = (0..10).map(|i| UtcNanos(i / 5 * 10_000_000_000 + i % 5 * 500_000_000)).collect();
        SensorTiles { times, ..tiles(10) }
    }

    #[test]
    fn rows_of_a_sensor_that_hops_keep_their_own_times() {
        let t = visits();
        let kept = keep(&t.cropped(85.0, 105.0), 1.0, 10);
        assert_eq!(kept.times, t.times.iter().map(|at| at.0).collect::<Vec<_>>());
        // A row for each half second of the first, then the mean of both rows that are left of it.
        let kept = keep(&t, 1.0, 6);
        assert_eq!((&kept.counts[..3], &kept.times[..3]), (&[1, 1, 2][..], &[0, 500_000_000, 1_250_000_000][..]));
        assert_eq!(kept.counts.iter().sum::<u32>(), 10);
    }

    #[test]
    fn a_sensor_that_hops_is_one_whose_silence_says_nothing_again() {
        for noise_dbfs_per_hz in [f64::INFINITY, -150.0, f64::NAN] {
            let info = SensorInfo { name: "a".into(), start_time: None, noise_dbfs_per_hz };
            let text = serde_json::to_string(&SensorLine::from(&info)).expect("JSON");
            assert_eq!(text.contains("hops"), noise_dbfs_per_hz.is_infinite(), "{text}");
            let back = SensorInfo::from(serde_json::from_str::<SensorLine>(&text).expect("a line"));
            assert_eq!(back.noise_dbfs_per_hz.to_bits(), noise_dbfs_per_hz.to_bits());
        }
    }

    #[test]
    fn cropping_keeps_the_frequency_of_what_stays() {
        // Bins from 80, 90, 100 and 110 Hz on.
        let t = tiles(2);
        let c = t.cropped(101.0, 109.0);
        assert_eq!((c.bins, c.rows.as_slice(), c.floor.len()), (1, [2.0, 6.0].as_slice(), 1));
        assert_eq!(c.center, Hertz(100.0));
        let c = t.cropped(85.0, 105.0);
        assert_eq!((c.bins, c.center, c.rows.as_slice()), (3, Hertz(90.0), [0.0, 1.0, 2.0, 4.0, 5.0, 6.0].as_slice()));
        assert_eq!(t.cropped(500.0, 600.0).bins, 0);
        assert_eq!(t.cropped(f64::NEG_INFINITY, f64::INFINITY), t);
    }
}
