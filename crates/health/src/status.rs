//! What `/status.json` says: the last snapshot, the windows, the verdicts, and what is wrong in words.

use crate::commissioning::AmbientLevels;
use crate::deaf::{Judgement, Verdict};
use crate::processing::{Processing, ProcessingVerdict};
use crate::window::{SensorWindow, Windows};
use cellwarden_types::{BoxHealth, SensorHealth, SensorState};
use serde::{Deserialize, Serialize};

/// Version of the format.
pub const SCHEMA: u32 = 1;
/// Lost in five minutes, so much is more than a hiccup: one short burst in a hundred goes unheard.
pub const LOST_SHARE: f64 = 0.01;
/// A phone beside the sensor clips for its own bursts, a call in GSM an eighth of the time. Over a quarter of an hour,
/// so much clips only if the gain is too high for what is always there.
pub const CLIP_SHARE: f64 = 0.01;
/// Started anew so often in a quarter of an hour, a device does not recover by itself.
pub const RESTARTS: u64 = 3;

/// A box as `/status.json` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of this format: 1.
    pub schema: u32,
    /// Age of the snapshot, in seconds; none before the first.
    pub age_s: Option<f64>,
    /// Whether the daemon still makes snapshots.
    pub fresh: bool,
    /// The last snapshot.
    pub health: Option<BoxHealth>,
    /// The windows of 1, 5 and 15 minutes.
    pub windows: Windows,
    /// How well each sensor hears.
    pub verdicts: Vec<Verdict>,
    /// Whether each sensor's processing finds test bursts, which says nothing of its antenna.
    #[serde(default)]
    pub processing: Vec<ProcessingVerdict>,
    /// Levels of carriers that are always in the air, as they were measured last.
    #[serde(default)]
    pub ambient: AmbientLevels,
    /// What somebody should look at, in words; empty if all is well.
    pub wrong: Vec<String>,
}

impl Status {
    /// A sensor's windows, the shortest first; none where nothing is known of it.
    pub fn windows_of(&self, sensor: &str) -> &[SensorWindow] {
        self.windows.sensors.get(sensor).map_or(&[], Vec::as_slice)
    }

    /// A sensor's verdict.
    pub fn verdict_of(&self, sensor: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|v| v.sensor == sensor)
    }
}

/// What keeps the box from listening: what `/healthz` says.
pub(crate) fn not_listening(age_s: Option<f64>, fresh: bool, health: Option<&BoxHealth>) -> Vec<String> {
    let Some(health) = health else {
        return vec!["the daemon has made no snapshot yet".to_owned()];
    };
    let mut wrong = Vec::new();
    if !fresh {
        let age = age_s.unwrap_or(0.0);
        wrong.push(format!("the last snapshot is {age:.0} s old: the daemon hangs; look at its log and start it anew"));
    }
    if health.sensors.is_empty() {
        wrong.push("there is no sensor: nothing listens".to_owned());
    }
    wrong.extend(health.sensors.iter().filter(|s| s.state != SensorState::Listening).map(|s| {
        let error = s.last_error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
        format!("sensor {}: {} since {}{error}", s.sensor, s.state.name(), s.since)
    }));
    wrong
}

/// What is wrong beyond that.
pub(crate) fn degraded(health: &BoxHealth, windows: &Windows, verdicts: &[Verdict]) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(health.store_trouble.as_ref().map(|t| format!("the store: {t}")));
    for sensor in &health.sensors {
        let of_sensor = windows.sensors.get(&*sensor.sensor).map_or(&[][..], Vec::as_slice);
        let verdict = verdicts.iter().find(|v| *v.sensor == *sensor.sensor);
        of_one(sensor, of_sensor, verdict, &mut wrong);
    }
    wrong
}

/// Sensors whose processing fails.
pub(crate) fn failing(processing: &[ProcessingVerdict]) -> impl Iterator<Item = String> + '_ {
    let fails = processing.iter().filter(|p| p.judgement == Processing::Failing);
    fails.map(|p| format!("sensor {}: processing {}: it {}", p.sensor, p.judgement.name(), p.reason))
}

fn of_one(sensor: &SensorHealth, windows: &[SensorWindow], verdict: Option<&Verdict>, wrong: &mut Vec<String>) {
    let name = &sensor.sensor;
    let listens = sensor.state == SensorState::Listening;
    // Of one that does not listen, the cause is already told.
    if let Some(v) = verdict.filter(|v| listens && v.judgement != Judgement::Fine) {
        wrong.push(format!("sensor {name}: {}: {}", v.judgement.name(), v.reason));
    }
    let [_, five, fifteen] = windows else { return };
    if let Some(share) = five.lost_share.filter(|&s| s >= LOST_SHARE) {
        let lost = &five.lost;
        wrong.push(format!(
            "sensor {name}: {:.1} % of its samples of the last 5 minutes were lost ({} overflow, {} disconnected, {} dropped): \
             look at the USB port, the processor's load, and the sample rate",
            share * 100.0,
            lost.overflow,
            lost.disconnected,
            lost.dropped
        ));
    }
    if let Some(share) = fifteen.clip_share.filter(|&s| s >= CLIP_SHARE) {
        wrong.push(format!(
            "sensor {name}: {:.1} % of its samples of the last 15 minutes were at full scale: lower the gain, or filter",
            share * 100.0
        ));
    }
    if fifteen.restarts >= RESTARTS {
        let error = sensor.last_error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
        wrong.push(format!(
            "sensor {name}: its device was started anew {} times in 15 minutes{error}: look at cable and power",
            fifteen.restarts
        ));
    }
}
