//! A detector whose test bursts cannot get out.

use crate::config::SelfTestConfig;
use crate::course::Course;
use crate::place::Place;
use cellwarden_detect::carrier::KnownPrach;
use cellwarden_detect::state::DetectorState;
use cellwarden_detect::{DetectConfig, Detector, Tiles};
use cellwarden_types::{Burst, Hertz, IqBlock, SelfTestCount, UtcNanos};
use std::ops::Deref;
use std::sync::Arc;

/// Beside a test burst, tiles show its skirts.
const SKIRT_HZ: f64 = 100e3;

/// A [`Detector`] that is tested while it works.
///
/// It can be asked whatever a detector can. It can be fed here only, and what is found is parted from test bursts here: there
/// is no way for one to a hit, a record or a counter of bursts.
pub struct TestedDetector {
    detector: Detector,
    course: Option<Course>,
    found: Vec<Burst>,
}

impl TestedDetector {
    /// A detector for the stream of `sensor`; without `tests` nothing is ever added to it.
    pub fn new(sensor: Arc<str>, config: DetectConfig, tests: Option<SelfTestConfig>) -> Self {
        Self {
            detector: Detector::new(Arc::clone(&sensor), config),
            course: tests.map(|tests| Course::new(sensor, tests)),
            found: Vec::new(),
        }
    }

    /// As [`Detector::restore`] and [`Detector::teach`], before samples come.
    pub fn begin_with(&mut self, state: Option<DetectorState>, base_stations: &[KnownPrach]) {
        if let Some(state) = state {
            self.detector.restore(state);
        }
        self.detector.teach(base_stations);
    }

    /// Takes the next block and adds the bursts that it completes, as [`Detector::process`] does. Test bursts are added to a
    /// copy of the block, and taken out of what is found.
    pub fn process(&mut self, block: &IqBlock, out: &mut Vec<Burst>) {
        let Some(course) = &mut self.course else { return self.detector.process(block, out) };
        let block = if course.begin(block, &mut self.detector) { &course.block } else { block };
        self.detector.process(block, &mut self.found);
        course.part(&mut self.found, out);
        course.judge(&self.detector);
    }

    /// Works on what it holds, as [`Detector::rest`] does. A test burst of which there is only a part says nothing.
    pub fn rest(&mut self, out: &mut Vec<Burst>) {
        let Some(course) = &mut self.course else { return self.detector.rest(out) };
        course.void();
        self.detector.rest(&mut self.found);
        course.part(&mut self.found, out);
        course.judge(&self.detector);
    }

    /// Ends the stream, as [`Detector::finish`] does.
    pub fn finish(&mut self, out: &mut Vec<Burst>) {
        let Some(course) = &mut self.course else { return self.detector.finish(out) };
        self.detector.finish(&mut self.found);
        course.part(&mut self.found, out);
        course.end();
    }

    /// What came of the tests so far, by band and kind; empty where there are none.
    pub fn results(&self) -> &[SelfTestCount] {
        self.course.as_ref().map_or(&[], Course::results)
    }

    /// As [`Detector::tiles_after`] does. Where a test burst was, the floor is shown: evidence holds what was in the air.
    pub fn tiles_after(&self, after: Option<UtcNanos>) -> Option<Tiles> {
        Some(self.without_tests(self.detector.tiles_after(after)?))
    }

    /// As [`Detector::tiles_of_all`] does, with the floor where a test burst was.
    pub fn tiles_of_all(&self, after: impl Fn(Hertz) -> Option<UtcNanos>) -> Vec<Tiles> {
        self.detector.tiles_of_all(after).into_iter().map(|tiles| self.without_tests(tiles)).collect()
    }

    fn without_tests(&self, mut tiles: Tiles) -> Tiles {
        self.course.iter().flat_map(Course::places).for_each(|place| hide(&mut tiles, place));
        tiles
    }
}

impl Deref for TestedDetector {
    type Target = Detector;

    /// To be asked, not to be fed.
    fn deref(&self) -> &Detector {
        &self.detector
    }
}

fn hide(tiles: &mut Tiles, place: &Place) {
    let bin = |hz: f64| (hz - tiles.center.0) / tiles.bin_hz + tiles.floor.len() as f64 / 2.0;
    let (low, high) = (bin(place.low_hz - SKIRT_HZ).floor(), bin(place.high_hz + SKIRT_HZ).ceil() + 1.0);
    let bins = low.max(0.0) as usize..(high.max(0.0) as usize).min(tiles.floor.len());
    let (from, to) = (place.time.plus_seconds(-tiles.row_s), place.end_time().plus_seconds(tiles.row_s));
    for (_, row) in tiles.rows.iter_mut().filter(|(at, _)| (from..=to).contains(at)) {
        if let (Some(row), Some(floor)) = (row.get_mut(bins.clone()), tiles.floor.get(bins.clone())) {
            row.copy_from_slice(floor);
        }
    }
}
