//! What a sensor heard when it was hung up, to compare with.

use crate::error::Error;
use crate::history::SENSORS_MOST;
use cellwarden_types::AmbientCarrier;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Carriers that are compared at a sensor.
pub const CARRIERS_MOST: usize = 32;
/// A file of 64 sensors with 32 carriers each is below 300 kB.
const FILE_MOST_BYTES: u64 = 4 << 20;

/// Levels of ambient carriers as they are now, by sensor. The daemon measures them as often as it comes by: once in a
/// minute is enough, and carriers that were not measured anew may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AmbientLevels(pub BTreeMap<String, Vec<AmbientCarrier>>);

/// One sensor at its commissioning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Commissioning {
    /// The sensor's name.
    pub sensor: String,
    /// Noise density in the middle of the band, in dBFS/Hz.
    pub floor_dbfs_per_hz: f64,
    /// What the radio was tuned to, in hertz: tuned elsewhere, it is not compared. Left out: compared everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub center_hz: Option<f64>,
    /// The gain, in dB: with another one, levels are not compared. Left out: compared with any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_db: Option<f64>,
    /// Carriers that were always there.
    #[serde(default)]
    pub ambient: Vec<AmbientCarrier>,
    /// Bursts in an hour by standard, over whole days.
    #[serde(default)]
    pub bursts_per_hour: BTreeMap<String, f64>,
    /// Bursts in the quietest hour by standard: what a night may look like. Left out: one hour's silence says nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quietest_bursts_per_hour: BTreeMap<String, f64>,
    /// Variance over mean of the bursts in an hour, by standard: bursts come in calls. Left out: a cautious guess.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub burst_dispersion: BTreeMap<String, f64>,
}

impl Commissioning {
    /// Reads a JSON file: an array with an entry for each sensor.
    ///
    /// # Errors
    /// If the file cannot be read, is no such array, or holds values that cannot be.
    pub fn load(path: &Path) -> Result<Vec<Self>, Error> {
        let unread = |source| Error::File { path: path.to_owned(), what: "read", source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(unread)?;
        file.take(FILE_MOST_BYTES + 1).read_to_string(&mut text).map_err(unread)?;
        if text.len() as u64 > FILE_MOST_BYTES {
            return Err(Error::Limit { path: path.to_owned(), what: "bytes", most: FILE_MOST_BYTES as usize });
        }
        let all: Vec<Self> =
            serde_json::from_str(&text).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        if all.len() > SENSORS_MOST {
            return Err(Error::Limit { path: path.to_owned(), what: "sensors", most: SENSORS_MOST });
        }
        for (i, one) in all.iter().enumerate() {
            let twice = all[..i].iter().any(|o| o.sensor == one.sensor).then(|| "it is there twice".to_owned());
            if let Some(what) = twice.or_else(|| one.wrong()) {
                return Err(Error::Value { path: path.to_owned(), sensor: one.sensor.clone(), what });
            }
        }
        Ok(all)
    }

    /// Writes what [`load`](Self::load) reads, and puts it in place of the old file in one step.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn save(all: &[Self], path: &Path) -> Result<(), Error> {
        let unwritten = |source| Error::File { path: path.to_owned(), what: "written", source };
        let text = serde_json::to_string_pretty(all).map_err(|e| unwritten(e.into()))?;
        let part = path.with_extension("part");
        std::fs::write(&part, text).map_err(unwritten)?;
        std::fs::rename(&part, path).map_err(unwritten)
    }

    /// What cannot be, if anything.
    fn wrong(&self) -> Option<String> {
        // No receiver's level in dBFS, or in dBFS/Hz, is outside of this.
        let level = |v: f64| (-300.0..=60.0).contains(&v);
        let positive = |v: f64| v > 0.0 && v <= 1e12;
        let rate = |v: f64| (0.0..=1e9).contains(&v);
        let bad_carrier = |c: &&AmbientCarrier| !(level(c.level_dbfs) && positive(c.center_hz) && positive(c.width_hz));
        if !level(self.floor_dbfs_per_hz) {
            return Some(format!("a floor of {} dBFS/Hz cannot be", self.floor_dbfs_per_hz));
        }
        if self.center_hz.is_some_and(|v| !positive(v)) || self.gain_db.is_some_and(|v| !(-200.0..=200.0).contains(&v))
        {
            return Some("its centre or its gain cannot be".to_owned());
        }
        if self.ambient.len() > CARRIERS_MOST {
            return Some(format!("{} ambient carriers are more than {CARRIERS_MOST}", self.ambient.len()));
        }
        if let Some(c) = self.ambient.iter().find(bad_carrier) {
            return Some(format!(
                "an ambient carrier at {} Hz, {} Hz wide, {} dBFS cannot be",
                c.center_hz, c.width_hz, c.level_dbfs
            ));
        }
        let rates = [&self.bursts_per_hour, &self.quietest_bursts_per_hour, &self.burst_dispersion];
        let (standard, value) = rates.iter().flat_map(|m| m.iter()).find(|&(_, &v)| !rate(v))?;
        Some(format!("{value} bursts of {standard} cannot be"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Commissioning {
        Commissioning {
            sensor: "a-west".to_owned(),
            floor_dbfs_per_hz: -148.0,
            ambient: vec![AmbientCarrier { center_hz: 947.4e6, width_hz: 200e3, level_dbfs: -60.0 }],
            bursts_per_hour: BTreeMap::from([("gsm".to_owned(), 1200.0)]),
            ..Commissioning::default()
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commissioning.json");
        Commissioning::save(&[one()], &path).unwrap();
        assert_eq!(Commissioning::load(&path).unwrap(), [one()]);
    }

    #[test]
    fn wrong_files_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commissioning.json");
        let told = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let text = Commissioning::load(&path).unwrap_err().to_string();
            assert!(text.contains("commissioning.json"), "{text}");
            text
        };
        assert!(told("{").contains("no file of a commissioning"));
        assert!(told(r#"[{"sensor":"a","floor_dbfs_per_hz":1e9}]"#).contains("1000000000 dBFS/Hz"));
        assert!(
            told(r#"[{"sensor":"a","floor_dbfs_per_hz":-150,"bursts_per_hour":{"gsm":-1}}]"#).contains("-1 bursts")
        );
        let twice = r#"{"sensor":"a","floor_dbfs_per_hz":-150}"#;
        assert!(told(&format!("[{twice},{twice}]")).contains("twice"));
        assert!(told(&format!("[{}]", vec![twice; 65].join(","))).contains("more than 64"));
        let missing = Commissioning::load(&folder.path().join("none.json")).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"), "{missing}");
    }
}
