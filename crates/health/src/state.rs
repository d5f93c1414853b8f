//! What the endpoint knows, between a snapshot and a question.

use crate::commissioning::{AmbientLevels, CARRIERS_MOST, Commissioning};
use crate::deaf::{Judge, Verdict};
use crate::history::{BLOCKS_MOST, History, SENSORS_MOST};
use crate::processing::{ProcessingJudge, ProcessingVerdict, TESTED_MOST};
use crate::status::{self, SCHEMA, Status};
use crate::window::Windows;
use cellwarden_types::BoxHealth;
use std::time::{Duration, Instant};

/// Characters of a text from outside that are kept.
const TEXT_MOST: usize = 300;
/// Standards a sensor's bursts are counted by.
const STANDARDS_MOST: usize = 32;

/// Snapshots taken in, and what follows from them.
#[derive(Debug)]
pub(crate) struct State {
    origin: Instant,
    stale_after: Duration,
    pub(crate) history: History,
    judge: Judge,
    processing: ProcessingJudge,
    ambient: AmbientLevels,
    latest: Option<(BoxHealth, Instant)>,
    /// Computed once for a snapshot, however often it is asked for.
    known: Option<(Windows, Vec<Verdict>)>,
}

impl State {
    pub(crate) fn new(commissioning: Vec<Commissioning>, stale_after: Duration) -> Self {
        Self {
            origin: Instant::now(),
            stale_after,
            history: History::new(),
            judge: Judge::new(commissioning),
            processing: ProcessingJudge::default(),
            ambient: AmbientLevels::default(),
            latest: None,
            known: None,
        }
    }

    /// Takes a snapshot that was handed over at `at`.
    pub(crate) fn take(&mut self, mut snapshot: BoxHealth, at: Instant) {
        clean(&mut snapshot);
        let at_s = at.saturating_duration_since(self.origin).as_secs_f64();
        self.history.push_at(&snapshot, at_s);
        self.judge.push_at(&snapshot, at_s);
        self.processing.push_at(&snapshot, at_s);
        (self.latest, self.known) = (Some((snapshot, at)), None);
    }

    pub(crate) fn ambient(&mut self, mut levels: AmbientLevels) {
        self.judge.ambient(&levels);
        while levels.0.len() > SENSORS_MOST {
            levels.0.pop_last();
        }
        for carriers in levels.0.values_mut() {
            carriers.retain(|c| [c.center_hz, c.width_hz, c.level_dbfs].iter().all(|v| v.is_finite()));
            carriers.truncate(2 * CARRIERS_MOST);
        }
        self.ambient = levels;
    }

    pub(crate) fn latest(&self) -> Option<&BoxHealth> {
        self.latest.as_ref().map(|(snapshot, _)| snapshot)
    }

    pub(crate) fn age_s(&self) -> Option<f64> {
        self.latest.as_ref().map(|(_, at)| at.elapsed().as_secs_f64())
    }

    fn fresh(&self) -> bool {
        self.latest.as_ref().is_some_and(|(_, at)| at.elapsed() < self.stale_after)
    }

    pub(crate) fn verdicts(&mut self) -> &[Verdict] {
        &self.known().1
    }

    pub(crate) fn processing(&self) -> Vec<ProcessingVerdict> {
        self.processing.verdicts()
    }

    fn known(&mut self) -> &(Windows, Vec<Verdict>) {
        let (history, judge) = (&self.history, &self.judge);
        self.known.get_or_insert_with(|| (history.windows(), judge.verdicts()))
    }

    /// What keeps the box from listening; empty if nothing does.
    pub(crate) fn not_listening(&self) -> Vec<String> {
        status::not_listening(self.age_s(), self.fresh(), self.latest())
    }

    pub(crate) fn status(&mut self) -> Status {
        let (windows, verdicts) = self.known().clone();
        let mut wrong = self.not_listening();
        wrong.extend(self.latest().iter().flat_map(|h| status::degraded(h, &windows, &verdicts)));
        let processing = self.processing();
        wrong.extend(status::failing(&processing));
        Status {
            schema: SCHEMA,
            age_s: self.age_s(),
            fresh: self.fresh(),
            health: self.latest().cloned(),
            windows,
            verdicts,
            processing,
            ambient: self.ambient.clone(),
            wrong,
        }
    }
}

/// Takes out of a snapshot what no reader could take: endless lists and texts, numbers that JSON does not know.
fn clean(snapshot: &mut BoxHealth) {
    let text = |t: &mut String| {
        if let Some((end, _)) = t.char_indices().nth(TEXT_MOST) {
            t.truncate(end);
        }
    };
    let number = |v: &mut Option<f64>| *v = v.filter(|v| v.is_finite());
    snapshot.sensors.truncate(SENSORS_MOST);
    let mut names = std::collections::BTreeSet::new();
    snapshot.sensors.retain(|s| names.insert(s.sensor.clone()));
    for sensor in &mut snapshot.sensors {
        text(&mut sensor.device);
        sensor.last_error.iter_mut().for_each(text);
        for hertz in [&mut sensor.center, &mut sensor.rate] {
            hertz.0 = crate::window::finite(hertz.0);
        }
        for value in [
            &mut sensor.gain_db,
            &mut sensor.drift_ppm,
            &mut sensor.time_uncertainty_s,
            &mut sensor.floor_dbfs_per_hz,
            &mut sensor.temperature_celsius,
        ] {
            number(value);
        }
        sensor.self_test.truncate(TESTED_MOST);
        for test in &mut sensor.self_test {
            text(&mut test.band);
            test.snr_db = crate::window::finite(test.snr_db);
        }
        while sensor.bursts.len() > STANDARDS_MOST {
            sensor.bursts.pop_last();
        }
    }
    while snapshot.hits.len() > BLOCKS_MOST {
        snapshot.hits.pop_last();
    }
    snapshot.processor_s = crate::window::finite(snapshot.processor_s);
    [&mut snapshot.software, &mut snapshot.config_sha256].into_iter().for_each(text);
    snapshot.store_trouble.iter_mut().for_each(text);
}
