//! The course of the tests of one sensor: when one is due, where it lies, what came of it.

use crate::add::{Rounding, Turn, add};
use crate::band::{Target, targets};
use crate::config::SelfTestConfig;
use crate::place::Place;
use crate::wave::{TestKind, TestWave};
use cellwarden_detect::Detector;
use cellwarden_detect::convert::count_clipped;
use cellwarden_types::request::LevelRequest;
use cellwarden_types::{Burst, Hertz, IqBlock, SampleFormat, SelfTestCount, undb};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::sync::Arc;

/// From one test to the next it takes the configured time, give or take this share: nothing in the air keeps that pace.
const JITTER: f64 = 0.25;
/// After a break the detector is let come in again.
const SETTLE_S: f64 = 0.1;
/// A place is looked at for so long before it is taken, and must be no louder than its floor by this. A call in GSM at 12 dB
/// raises it by 5 dB.
const LOOK_S: f64 = 0.15;
const QUIET_DB: f64 = 1.0;
/// Places that are looked at before the test is put off.
const PLACES: usize = 4;
const PUT_OFF_S: f64 = 0.25;
/// Of a block's samples, no more may be at full scale.
const CLIPPED_MOST: f64 = 1e-3;
/// What the detector has not told of a test burst so long after the time of which it says that nothing more will come, or
/// where it says nothing of that, so long after the burst, will not be told.
const SETTLED_S: f64 = 2e-3;
const DEADLINE_S: f64 = 1.0;
/// Places and bursts that are remembered: places for as long as the history of tiles goes back.
const PLACES_KEPT: usize = 16;
const BURSTS_KEPT: usize = 64;

/// What is known of the stream so far.
#[derive(Clone, Copy, Debug)]
struct Follow {
    center: Hertz,
    rate: Hertz,
    format: SampleFormat,
    /// The sample that comes next if nothing is missing.
    next: u64,
    lost_before: u64,
    /// Nothing is missing since.
    since: u64,
}

impl Follow {
    fn is_tuned_as(&self, block: &IqBlock) -> bool {
        self.center == block.center && self.rate == block.rate && self.format == block.format
    }

    fn continues_with(&self, block: &IqBlock) -> bool {
        block.gaps_before.is_empty() && block.start.0 == self.next && block.lost_before == self.lost_before
    }
}

/// A burst that is added, or of which the detector has not told yet.
#[derive(Clone, Copy, Debug)]
struct Test {
    kind: TestKind,
    /// Its row among the results.
    result: usize,
    place: Place,
    /// The stream's sample to which the wave's first is added.
    first: u64,
    turn: Turn,
    rounding: Option<Rounding>,
    is_void: bool,
    is_found: bool,
    is_named: bool,
    /// Something else was heard there.
    is_disturbed: bool,
}

/// A real burst that was heard.
#[derive(Clone, Copy, Debug)]
struct Heard {
    end: u64,
    band: (f64, f64),
}

/// The tests of one sensor.
pub(crate) struct Course {
    sensor: Arc<str>,
    every_s: f64,
    rng: ChaCha8Rng,
    /// Seconds of samples until the next is due.
    wait_s: f64,
    follow: Option<Follow>,
    targets: Vec<Target>,
    /// Whose turn it is.
    turn: usize,
    /// At the stream's rate, as far as they were needed.
    waves: Vec<TestWave>,
    current: Option<Test>,
    recent: VecDeque<Place>,
    heard: VecDeque<Heard>,
    results: Vec<SelfTestCount>,
    /// The block with a test burst in it.
    pub block: IqBlock,
}

impl Course {
    pub fn new(sensor: Arc<str>, config: SelfTestConfig) -> Self {
        // FNV-1a: each sensor has its own course, and always the same.
        let seed =
            sensor.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self {
            every_s: config.every_s,
            wait_s: config.every_s * rng.random::<f64>(),
            rng,
            follow: None,
            targets: Vec::new(),
            turn: 0,
            waves: Vec::new(),
            current: None,
            recent: VecDeque::with_capacity(PLACES_KEPT),
            heard: VecDeque::with_capacity(BURSTS_KEPT),
            results: Vec::new(),
            block: IqBlock::empty(Arc::clone(&sensor), SampleFormat::Cs16, Hertz(0.0), Hertz(0.0)),
            sensor,
        }
    }

    pub fn results(&self) -> &[SelfTestCount] {
        &self.results
    }

    /// Test bursts of the last time.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.recent.iter()
    }

    /// Takes note of a block before the detector gets it, and adds to a copy of it what is due. Gives whether there is one.
    pub fn begin(&mut self, block: &IqBlock, detector: &mut Detector) -> bool {
        self.keep_up(block);
        if self.is_due(block) {
            self.wait_s = match self.plan(block, detector) {
                Some(test) => {
                    detector.except_from_learning(test.place.start..test.place.start + test.place.count);
                    self.current = Some(test);
                    self.turn += 1;
                    self.every_s * self.rng.random_range(1.0 - JITTER..=1.0 + JITTER)
                }
                None => PUT_OFF_S,
            };
        }
        self.add(block)
    }

    /// Whatever is missing or is tuned anew makes the test void that is going on.
    fn keep_up(&mut self, block: &IqBlock) {
        let is_tuned_anew = !self.follow.is_some_and(|f| f.is_tuned_as(block));
        let goes_on = !is_tuned_anew && self.follow.is_some_and(|f| f.continues_with(block));
        if !goes_on {
            self.void();
        }
        if is_tuned_anew {
            self.targets = targets(block.center, block.rate);
            if self.follow.is_none_or(|f| f.rate != block.rate) {
                self.waves.clear();
            }
            self.targets.iter().for_each(|t| _ = row(&mut self.results, t));
        }
        let since = self.follow.filter(|_| goes_on).map_or(block.start.0, |f| f.since);
        let samples = block.samples() as u64;
        self.follow = Some(Follow {
            center: block.center,
            rate: block.rate,
            format: block.format,
            next: block.start.0 + samples,
            lost_before: block.lost_before,
            since,
        });
        self.wait_s -= samples as f64 / block.rate.0;
    }

    fn is_due(&self, block: &IqBlock) -> bool {
        let settled = self.follow.is_some_and(|f| (block.start.0 - f.since) as f64 > SETTLE_S * block.rate.0);
        self.wait_s <= 0.0 && settled && self.current.is_none() && !self.targets.is_empty() && block.samples() > 0
    }

    /// The next test, which begins in this block; none where no place is quiet.
    fn plan(&mut self, block: &IqBlock, detector: &Detector) -> Option<Test> {
        let (block_time, rate_hz) = (block.time?, block.rate.0);
        if count_clipped(block.format, &block.bytes) as f64 > CLIPPED_MOST * block.samples() as f64 {
            return None;
        }
        let rounding = Rounding::of(block.format, &block.bytes);
        if rounding.is_some_and(|r| r.is_too_coarse()) {
            return None;
        }
        let target = &self.targets[self.turn % self.targets.len()];
        let kind = target.kind;
        if !self.waves.iter().any(|w| w.kind == kind) {
            self.waves.push(TestWave::new(kind, rate_hz));
        }
        let wave = self.waves.iter().find(|w| w.kind == kind)?;
        let offset = self.rng.random_range(0..block.samples() as u64);
        let start = block.start.0 + offset + wave.lead;
        for _ in 0..PLACES {
            let middle_hz = target.draw(&mut self.rng);
            let place = Place {
                start,
                count: wave.count,
                rate_hz,
                low_hz: middle_hz - kind.width_hz() / 2.0,
                high_hz: middle_hz + kind.width_hz() / 2.0,
                time: block_time.plus_seconds((offset + wave.lead) as f64 / rate_hz),
            };
            let look = (LOOK_S * rate_hz) as u64;
            if self.heard.iter().any(|h| h.end + look > start && place.is_in(h.band)) {
                continue;
            }
            let answer = detector.level(&LevelRequest {
                sensor: Arc::clone(&self.sensor),
                time: block_time.plus_seconds(-LOOK_S),
                duration_s: LOOK_S,
                freq_lower_hz: place.low_hz,
                freq_upper_hz: place.high_hz,
            });
            let (Some(power_dbfs), Some(noise_dbfs)) = (answer.power_dbfs, answer.noise_dbfs) else { continue };
            if power_dbfs > noise_dbfs + QUIET_DB {
                continue;
            }
            let turn = Turn {
                amplitude: undb(noise_dbfs + kind.snr_db()).sqrt() as f32,
                first: self.rng.random(),
                step: (middle_hz - block.center.0) / rate_hz,
            };
            if self.recent.len() == PLACES_KEPT {
                self.recent.pop_front();
            }
            self.recent.push_back(place);
            return Some(Test {
                kind,
                result: row(&mut self.results, target),
                place,
                first: block.start.0 + offset,
                turn,
                rounding,
                is_void: false,
                is_found: false,
                is_named: false,
                is_disturbed: false,
            });
        }
        None
    }

    /// Adds what of the test burst lies in `block` to a copy of it. Gives whether there is a copy.
    fn add(&mut self, block: &IqBlock) -> bool {
        let Some(test) = self.current.filter(|t| !t.is_void) else { return false };
        let Some(wave) = self.waves.iter().find(|w| w.kind == test.kind) else { return false };
        let (begin, end) = (block.start.0, block.start.0 + block.samples() as u64);
        let (from, to) = (test.first.max(begin), (test.first + wave.samples.len() as u64).min(end));
        if from >= to {
            return false;
        }
        let Self { block: copy, rng, .. } = self;
        copy.bytes.clear();
        copy.bytes.extend_from_slice(&block.bytes);
        copy.gaps_before.clone_from(&block.gaps_before);
        (copy.start, copy.lost_before, copy.time) = (block.start, block.lost_before, block.time);
        (copy.center, copy.rate, copy.format) = (block.center, block.rate, block.format);
        let size = block.format.bytes_per_sample();
        let part = (from - begin) as usize * size..(to - begin) as usize * size;
        let wave = (&wave.samples[..], (from - test.first) as usize);
        add(block.format, &mut copy.bytes[part], wave, test.turn, test.rounding.as_ref(), rng);
        true
    }

    /// Parts what the detector found: test bursts stay here, all else goes to `out`.
    pub fn part(&mut self, found: &mut Vec<Burst>, out: &mut Vec<Burst>) {
        for burst in found.drain(..) {
            match self.recent.iter().find(|place| place.holds(&burst)) {
                Some(place) => {
                    if let Some(test) = self.current.as_mut().filter(|t| t.place == *place) {
                        test.is_found = true;
                        test.is_named |= (burst.standard, burst.kind) == (test.kind.standard(), test.kind.kind());
                    }
                }
                None => {
                    if let Some(test) = self.current.as_mut().filter(|t| t.place.is_touched_by(&burst)) {
                        test.is_disturbed = true;
                    }
                    if self.heard.len() == BURSTS_KEPT {
                        self.heard.pop_front();
                    }
                    let end = burst.sample_start + burst.sample_count;
                    self.heard.push_back(Heard { end, band: (burst.freq_lower_hz, burst.freq_upper_hz) });
                    out.push(burst);
                }
            }
        }
    }

    /// Counts what came of the test that is going on, once nothing more can come of it.
    pub fn judge(&mut self, detector: &Detector) {
        let Some(test) = self.current else { return };
        let told = detector.settled().is_some_and(|t| t.seconds_since(test.place.end_time()) > SETTLED_S);
        let end = test.place.start + test.place.count;
        let late = self.follow.is_some_and(|f| f.next as f64 > end as f64 + DEADLINE_S * f.rate.0);
        if test.is_void || told || late {
            self.count(test);
        }
    }

    /// The stream has ended, and with it the test that is going on.
    pub fn end(&mut self) {
        self.void();
        if let Some(test) = self.current {
            self.count(test);
        }
        self.follow = None;
    }

    /// What is going on says nothing.
    pub fn void(&mut self) {
        if let Some(test) = &mut self.current {
            test.is_void = true;
        }
    }

    fn count(&mut self, test: Test) {
        let result = &mut self.results[test.result];
        // Where something else was heard, a miss says nothing.
        if test.is_void || (test.is_disturbed && !test.is_named) {
            result.void += 1;
        } else {
            result.tests += 1;
            result.found += u64::from(test.is_found);
            result.named += u64::from(test.is_named);
        }
        self.current = None;
    }
}

/// The row of a target's results.
fn row(results: &mut Vec<SelfTestCount>, target: &Target) -> usize {
    let kind = target.kind.kind();
    if let Some(at) = results.iter().position(|r| r.band == target.band && r.kind == kind) {
        return at;
    }
    results.push(SelfTestCount {
        band: target.band.to_owned(),
        standard: target.kind.standard(),
        kind,
        snr_db: target.kind.snr_db(),
        tests: 0,
        found: 0,
        named: 0,
        void: 0,
    });
    results.len() - 1
}
