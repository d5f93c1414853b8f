//! Snapshots of the last quarter of an hour, as much of them as the windows need.

use crate::counts::{Counts, since};
use crate::window::{self, BoxWindow, SensorWindow, WINDOWS_S, Windows};
use cellwarden_types::{BoxHealth, SensorHealth, SensorState, UtcNanos};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Sensors that are watched; a box has fewer plugs.
pub const SENSORS_MOST: usize = 64;
/// Blocks whose hits are counted.
pub(crate) const BLOCKS_MOST: usize = 1024;
/// Snapshots that follow faster share a frame: memory does not depend on the caller's pace.
const FRAME_LEAST_S: f64 = 0.5;
/// Between two snapshots further apart than this nobody knows what the sensors did.
pub(crate) const SEEN_MOST_S: f64 = 10.0;
/// A step of UTC below this may be the jitter of the caller.
const STEP_LEAST_S: f64 = 2.0;

/// A sensor at one snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// On the history's own clock.
    pub at_s: f64,
    /// Since the history began, never less than in the frame before.
    pub total: Counts,
    pub floor_dbfs_per_hz: Option<f64>,
    pub drift_ppm: Option<f64>,
    /// How long it listened since the frame before, as far as that is known.
    pub listened_s: f64,
}

/// The box at one snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoxFrame {
    pub at_s: f64,
    /// Since the history began, never less than in the frame before.
    pub processor_s: f64,
    pub memory_bytes: u64,
}

pub(crate) trait At {
    fn at_s(&self) -> f64;
    /// Takes over what only `older` holds, which this one takes the place of.
    fn absorb(&mut self, older: &Self);
}

impl At for Frame {
    fn at_s(&self) -> f64 {
        self.at_s
    }

    fn absorb(&mut self, older: &Self) {
        self.listened_s += older.listened_s;
    }
}

impl At for BoxFrame {
    fn at_s(&self) -> f64 {
        self.at_s
    }

    fn absorb(&mut self, older: &Self) {
        self.memory_bytes = self.memory_bytes.max(older.memory_bytes);
    }
}

/// Frames of the longest window, and one before it.
#[derive(Clone, Debug)]
pub(crate) struct Ring<T>(VecDeque<T>);

impl<T: At> Ring<T> {
    fn new() -> Self {
        Self(VecDeque::new())
    }

    fn push(&mut self, mut frame: T) {
        let n = self.0.len();
        if n >= 2 && frame.at_s() - self.0[n - 2].at_s() < FRAME_LEAST_S {
            if let Some(older) = self.0.pop_back() {
                frame.absorb(&older);
            }
        }
        let begin_s = frame.at_s() - WINDOWS_S[WINDOWS_S.len() - 1];
        self.0.push_back(frame);
        while self.0.len() >= 2 && self.0[1].at_s() <= begin_s {
            self.0.pop_front();
        }
    }

    /// The frame that a window of `length_s` is counted from, and those in it.
    pub(crate) fn window(&self, length_s: f64) -> Option<(&T, impl Iterator<Item = &T> + Clone)> {
        let begin_s = self.0.back()?.at_s() - length_s;
        let first = self.0.partition_point(|f| f.at_s() <= begin_s).saturating_sub(1);
        Some((self.0.get(first)?, self.0.range(first + 1..)))
    }
}

/// One sensor's past.
#[derive(Clone, Debug)]
struct Track {
    /// The counters as the last snapshot had them.
    raw: Counts,
    total: Counts,
    frames: Ring<Frame>,
}

/// Keeps snapshots for the windows. Its clock is one that only goes forward: UTC may step as it likes.
#[derive(Clone, Debug)]
pub struct History {
    origin: Instant,
    at_s: Option<f64>,
    time: Option<UtcNanos>,
    started: Option<UtcNanos>,
    tracks: BTreeMap<Arc<str>, Track>,
    frames: Ring<BoxFrame>,
    processor_raw_s: f64,
    processor_s: f64,
    hits: BTreeMap<String, (u64, u64)>,
    clock_steps: u64,
    last_step_s: f64,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// Starts with nothing known.
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
            at_s: None,
            time: None,
            started: None,
            tracks: BTreeMap::new(),
            frames: Ring::new(),
            processor_raw_s: 0.0,
            processor_s: 0.0,
            hits: BTreeMap::new(),
            clock_steps: 0,
            last_step_s: 0.0,
        }
    }

    /// Takes a snapshot that was made just now.
    pub fn push(&mut self, snapshot: BoxHealth) {
        self.push_at(&snapshot, self.origin.elapsed().as_secs_f64());
    }

    /// Takes a snapshot that was made `at_s` seconds after the start, on a clock that does not step. A time before the
    /// last one, or none at all, counts as the last one.
    pub fn push_at(&mut self, snapshot: &BoxHealth, at_s: f64) {
        let before_s = self.at_s;
        let at_s = if at_s.is_finite() { at_s.max(before_s.unwrap_or(at_s)) } else { before_s.unwrap_or(0.0) };
        let elapsed_s = before_s.map_or(0.0, |b| at_s - b);
        if let Some(time) = self.time {
            let step_s = snapshot.time.seconds_since(time) - elapsed_s;
            if step_s.abs() > STEP_LEAST_S {
                self.clock_steps = self.clock_steps.saturating_add(1);
                self.last_step_s = step_s;
            }
        }
        // The daemon is another one only if its counters say so too: `started` may be moved by a step of the clock.
        let processor_s = if snapshot.processor_s.is_finite() { snapshot.processor_s.max(0.0) } else { 0.0 };
        let anew = self.started.is_some_and(|s| s != snapshot.started) && processor_s < self.processor_raw_s;
        self.processor_s += match processor_s - self.processor_raw_s {
            more if more >= 0.0 && !anew => more,
            _ => processor_s,
        };
        self.processor_raw_s = processor_s;
        self.frames.push(BoxFrame { at_s, processor_s: self.processor_s, memory_bytes: snapshot.memory_bytes });
        self.count_hits(&snapshot.hits, anew);
        self.tracks.retain(|name, _| snapshot.sensors.iter().take(SENSORS_MOST).any(|s| s.sensor == *name));
        for (i, sensor) in snapshot.sensors.iter().take(SENSORS_MOST).enumerate() {
            // Of two by one name, the first is the sensor.
            if !snapshot.sensors[..i].iter().any(|s| s.sensor == sensor.sensor) {
                self.push_sensor(sensor, at_s, elapsed_s, anew);
            }
        }
        (self.at_s, self.time, self.started) = (Some(at_s), Some(snapshot.time), Some(snapshot.started));
    }

    fn push_sensor(&mut self, sensor: &SensorHealth, at_s: f64, elapsed_s: f64, anew: bool) {
        let raw = Counts::of(sensor);
        let listens = sensor.state == SensorState::Listening;
        let finite = |v: Option<f64>| v.filter(|v| v.is_finite());
        let (track, elapsed_s) = match self.tracks.get_mut(&sensor.sensor) {
            Some(track) => {
                let added = if anew { raw } else { raw.since(track.raw) };
                track.total = track.total.plus(added);
                track.raw = raw;
                (track, elapsed_s)
            }
            None => {
                let track = Track { raw, total: raw, frames: Ring::new() };
                (self.tracks.entry(Arc::clone(&sensor.sensor)).or_insert(track), 0.0)
            }
        };
        track.frames.push(Frame {
            at_s,
            total: track.total,
            // What a device that is away reads is no floor.
            floor_dbfs_per_hz: finite(sensor.floor_dbfs_per_hz).filter(|_| listens),
            drift_ppm: finite(sensor.drift_ppm).filter(|_| listens),
            listened_s: if listens && elapsed_s <= SEEN_MOST_S { elapsed_s } else { 0.0 },
        });
    }

    fn count_hits(&mut self, hits: &BTreeMap<String, u64>, anew: bool) {
        for (block, &n) in hits {
            if let Some((raw, total)) = self.hits.get_mut(block) {
                let added = if anew { n } else { since(n, *raw) };
                (*raw, *total) = (n, total.saturating_add(added));
            } else if self.hits.len() < BLOCKS_MOST {
                self.hits.insert(block.clone(), (n, n));
            }
        }
    }

    /// What the windows of 1, 5 and 15 minutes hold, up to the last snapshot.
    pub fn windows(&self) -> Windows {
        let of_box = WINDOWS_S.iter().filter_map(|&w| BoxWindow::of(&self.frames, w));
        let of_sensor = |track: &Track| WINDOWS_S.iter().filter_map(|&w| SensorWindow::of(&track.frames, w)).collect();
        Windows {
            whole: of_box.collect(),
            sensors: self.tracks.iter().map(|(name, track)| (name.to_string(), of_sensor(track))).collect(),
            clock_steps: self.clock_steps,
            last_clock_step_s: (self.clock_steps > 0).then_some(window::finite(self.last_step_s)),
        }
    }

    /// A sensor's counters since the history began: they never go back.
    pub(crate) fn total(&self, sensor: &str) -> Option<&Counts> {
        self.tracks.get(sensor).map(|t| &t.total)
    }

    pub(crate) fn processor_s(&self) -> f64 {
        self.processor_s
    }

    pub(crate) fn hits(&self) -> impl Iterator<Item = (&str, u64)> {
        self.hits.iter().map(|(block, &(_, total))| (block.as_str(), total))
    }

    pub(crate) fn clock_steps(&self) -> u64 {
        self.clock_steps
    }
}
