//! Whether a sensor still hears, from what is in the air: its floor, carriers that are always there, bursts.
//!
//! An antenna, a filter or a cable that is lost takes something away from all of these, while samples go on to move.
//! Each is compared with its value at commissioning. Silence of phones alone never makes a sensor deaf, and makes it
//! suspect only where it cannot be chance: quiet nights are quiet.

mod level;
mod silence;
mod verdict;
mod watch;

pub use verdict::{Judgement, Silence, Verdict};

use crate::commissioning::{AmbientLevels, Commissioning};
use crate::history::SENSORS_MOST;
use cellwarden_types::BoxHealth;
use std::collections::BTreeMap;
use std::sync::Arc;
use watch::Watch;

/// Judges the sensors of a box.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    commissioned: BTreeMap<String, Commissioning>,
    watches: BTreeMap<Arc<str>, Watch>,
    at_s: f64,
}

impl Judge {
    /// Compares with what was heard at commissioning.
    pub fn new(commissioned: impl IntoIterator<Item = Commissioning>) -> Self {
        let by_name = commissioned.into_iter().map(|c| (c.sensor.clone(), c)).take(SENSORS_MOST).collect();
        Self { commissioned: by_name, ..Self::default() }
    }

    /// Takes a snapshot that was made `at_s` seconds after the start, on a clock that does not step.
    pub fn push_at(&mut self, snapshot: &BoxHealth, at_s: f64) {
        self.at_s = if at_s.is_finite() { at_s.max(self.at_s) } else { self.at_s };
        let sensors = &snapshot.sensors[..snapshot.sensors.len().min(SENSORS_MOST)];
        self.watches.retain(|name, _| sensors.iter().any(|s| s.sensor == *name));
        for (i, sensor) in sensors.iter().enumerate() {
            if sensors[..i].iter().any(|s| s.sensor == sensor.sensor) {
                continue;
            }
            if !self.watches.contains_key(&sensor.sensor) {
                let watch = Watch::new(self.commissioned.get(&*sensor.sensor).cloned());
                self.watches.insert(Arc::clone(&sensor.sensor), watch);
            }
            if let Some(watch) = self.watches.get_mut(&sensor.sensor) {
                watch.push(sensor, self.at_s);
            }
        }
    }

    /// Takes levels of ambient carriers as they are now.
    pub fn ambient(&mut self, levels: &AmbientLevels) {
        for (sensor, carriers) in &levels.0 {
            if let Some(watch) = self.watches.get_mut(sensor.as_str()) {
                watch.ambient(carriers);
            }
        }
    }

    /// What is to be said of each sensor, by name.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.watches.iter().map(|(name, watch)| watch.verdict(name)).collect()
    }
}
