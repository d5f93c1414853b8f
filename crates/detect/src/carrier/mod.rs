//! What is remembered of the base stations that phones were heard to call: where, when and with which preambles.
//!
//! Nothing of it says who called. A base station takes preambles on one place of its carrier, at some subframes of each frame, of
//! a few neighbouring roots (TS 36.211 5.7); each preamble that is heard says all three. With them the next one is sought where
//! and when it may be, by a correlator that needs 7 dB less than a search of everything.

mod shared;

pub use shared::{GridNear, HeardShared, SharedPlace};

use cellwarden_standards::lte::{PRACH_FORMATS, PRACH_ROOTS_839, SUBFRAME_TS, TS_PER_SECOND};
use cellwarden_types::Hertz;
use cellwarden_types::units::hertz_or_text;
use serde::{Deserialize, Serialize};
use std::rc::Rc;

const SUBFRAME_S: f64 = SUBFRAME_TS as f64 / TS_PER_SECOND;
/// Occasions repeat after two frames at the latest (TS 36.211 table 5.7.1-2).
pub const SUBFRAMES: usize = 20;
/// Base stations that are remembered for a tuning.
const MOST: usize = 16;
/// Roots of a base station's 64 preambles: one a root at the most (TS 36.211 5.7.2).
const ROOTS_MOST: usize = 64;
/// Places this far apart are two: a preamble's place is known to some subcarriers.
const SAME_PLACE_HZ: f64 = 90e3;
/// A base station is forgotten when so many preambles were others' at its place since it was last heard.
const OTHERS_MOST: u32 = 24;
/// What a preamble's start varies by, one standard deviation: distances within a prison.
const START_S: f64 = 1e-6;
/// A receiver's clock before anything is known of it, and how that wanders, in seconds a second and that by the root of a second.
const RATE_ERROR: f64 = 1e-6;
const RATE_WANDER: f64 = 2e-9;
/// Known to this, a time tells the subframe.
const LOCKED_S: f64 = 0.15e-3;
/// A start that is farther off than so many deviations of both is another base station's; but one that is known no better than this
/// may be of noise, and farther off.
const OUTLIER_SIGMAS: f64 = 3.0;
const UNSURE_S: f64 = 8e-6;
const UNSURE_TAILS: f64 = 9.0;
const OFF_MOST_S: f64 = 200e-6;
/// Wider than a carrier no uplink reaches from its preambles.
const CARRIER_HZ: f64 = 20e6;
/// Base stations whose grids are tried on an emission: the nearest ones.
const GRIDS_MOST: usize = 4;
/// A grid that is known no better helps little.
const GRID_S: f64 = 60e-6;

/// A base station's preambles, as this receiver hears them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedPrach {
    /// Middle of the six resource blocks, absolute, in hertz, with the receiver's own offset.
    pub center_hz: f64,
    /// Preamble format, 0 to 3.
    pub format: u8,
    /// Roots that were heard, and how often.
    pub roots: Vec<LearnedRoot>,
    /// Preambles by subframe of two frames; which of them is a frame's first is not known.
    pub subframes: [u32; SUBFRAMES],
    /// Others' preambles at this place since the last of its own.
    pub others: u32,
    /// Whether it was configured: then its roots are all, and it is not forgotten.
    #[serde(default)]
    pub is_configured: bool,
    /// Where phones near here send all else.
    #[serde(default)]
    pub shared: SharedPlace,
    /// When its subframes begin, by the receiver's clock; not known after a restart until a preamble is heard.
    #[serde(skip)]
    pub timing: Option<Timing>,
}

/// A base station of which the network's plan, or a survey, tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownPrach {
    /// Middle of the six resource blocks of its preambles.
    #[serde(deserialize_with = "hertz_or_text")]
    pub center: Hertz,
    /// Preamble format, 0 to 3.
    #[serde(default)]
    pub format: u8,
    /// Physical roots, 1 to 838, of its 64 preambles.
    pub roots: Vec<u16>,
}

impl KnownPrach {
    /// That such a base station can be.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let Self { center, format, roots } = self;
        if !(center.0.is_finite() && center.0 > 0.0) {
            return Err(format!("center: {center} is no frequency"));
        }
        if *format > 3 {
            return Err(format!("format: {format}: LTE's long preambles have formats 0 to 3"));
        }
        if roots.is_empty() || roots.len() > ROOTS_MOST {
            return Err(format!("roots: {}: a base station has 1 to {ROOTS_MOST}", roots.len()));
        }
        match roots.iter().find(|root| place_of(**root).is_none()) {
            Some(root) => Err(format!("roots: {root} is not from 1 to 838")),
            None => Ok(()),
        }
    }

    /// As one of which nothing was heard yet.
    fn learned(&self) -> LearnedPrach {
        LearnedPrach {
            center_hz: self.center.0,
            format: self.format,
            roots: self.roots.iter().map(|&root| LearnedRoot { root, heard: 0 }).collect(),
            subframes: [0; SUBFRAMES],
            others: 0,
            is_configured: true,
            shared: SharedPlace::default(),
            timing: None,
        }
    }

    /// Adds it to what was learned, or marks what was learned of it.
    pub fn teach(&self, learned: &mut Vec<LearnedPrach>) {
        let is_it = |l: &&mut LearnedPrach| {
            l.format == self.format
                && (l.center_hz - self.center.0).abs() < SAME_PLACE_HZ
                && l.roots.iter().all(|r| self.roots.contains(&r.root))
        };
        match learned.iter_mut().find(is_it) {
            Some(known) => {
                known.is_configured = true;
                for &root in &self.roots {
                    if !known.roots.iter().any(|r| r.root == root) {
                        known.roots.push(LearnedRoot { root, heard: 0 });
                    }
                }
            }
            None => learned.push(self.learned()),
        }
    }
}

/// A root sequence (TS 36.211 5.7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedRoot {
    /// Physical root, 1 to 838.
    pub root: u16,
    /// How often it was heard.
    pub heard: u32,
}

/// When subframes begin: an offset and a rate, followed by a Kalman filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// When the last preamble began, in seconds of the stream, and its subframe of [`SUBFRAMES`].
    pub at_s: f64,
    /// See `at_s`.
    pub subframe: usize,
    /// How much longer a base station's second is by the receiver's clock.
    rate: f64,
    /// Covariance: of the offset, of both, of the rate.
    variance: [f64; 3],
}

/// A preamble that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeardPreamble {
    /// Its first sample, in seconds of the stream, and one standard deviation of that measurement.
    pub start_s: f64,
    /// See `start_s`.
    pub sigma_s: f64,
    /// Middle of its band, absolute.
    pub center_hz: f64,
    /// Physical root.
    pub root: u16,
    /// Format.
    pub format: u8,
}

/// What is likeliest of a preamble: by its own measurement, and by its base station's occasions where they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Believed {
    /// When it begins, in seconds of the stream.
    pub start_s: f64,
    /// Its format.
    pub format: u8,
}

impl Timing {
    fn new(heard: &HeardPreamble) -> Self {
        let variance = [variance_of(heard), 0.0, RATE_ERROR * RATE_ERROR];
        Self { at_s: heard.start_s, subframe: 0, rate: 0.0, variance }
    }

    /// The time of the `n`-th subframe after the last preamble's, and its standard deviation.
    pub fn of(&self, n: i64) -> (f64, f64) {
        let after_s = n as f64 * SUBFRAME_S;
        let [offset, both, rate] = self.variance;
        let wander = RATE_WANDER * RATE_WANDER * after_s.abs().powi(3) / 3.0;
        let variance = offset + 2.0 * after_s * both + after_s * after_s * rate + wander;
        (self.at_s + after_s * (1.0 + self.rate), variance.max(0.0).sqrt())
    }

    /// The subframe, counted from the last preamble's, that begins nearest to a time.
    pub fn nearest(&self, at_s: f64) -> i64 {
        ((at_s - self.at_s) / (SUBFRAME_S * (1.0 + self.rate))).round() as i64
    }

    /// Whether the subframes at a time are told apart.
    pub fn is_known_at(&self, at_s: f64) -> bool {
        self.of(self.nearest(at_s)).1 < LOCKED_S
    }

    /// Takes a start that fits, whose variance is that.
    fn follow(&mut self, start_s: f64, variance: f64) {
        let n = self.nearest(start_s);
        let (expected, sigma) = self.of(n);
        let after_s = n as f64 * SUBFRAME_S;
        let [_, both, rate] = self.variance;
        let wandered = RATE_WANDER * RATE_WANDER * after_s.abs();
        let (offset, both, rate) = (sigma * sigma, both + after_s * rate, rate + wandered);
        let gain = offset + variance;
        let (by_offset, by_rate) = (offset / gain, both / gain);
        let off_s = start_s - expected;
        self.at_s = expected + by_offset * off_s;
        self.rate += by_rate * off_s;
        self.variance = [offset * (1.0 - by_offset), both * (1.0 - by_offset), rate - by_rate * both];
        self.subframe = (self.subframe as i64 + n).rem_euclid(SUBFRAMES as i64) as usize;
    }
}

impl LearnedPrach {
    fn new(heard: &HeardPreamble) -> Self {
        let mut subframes = [0; SUBFRAMES];
        subframes[0] = 1;
        Self {
            center_hz: heard.center_hz,
            format: heard.format,
            roots: vec![LearnedRoot { root: heard.root, heard: 1 }],
            subframes,
            others: 0,
            is_configured: false,
            shared: SharedPlace::default(),
            timing: Some(Timing::new(heard)),
        }
    }

    /// Preambles that were heard of it.
    pub fn heard(&self) -> u32 {
        self.roots.iter().fold(0, |sum: u32, r| sum.saturating_add(r.heard))
    }

    /// Duration of its preambles.
    pub fn seconds(&self) -> f64 {
        PRACH_FORMATS[usize::from(self.format)].seconds()
    }

    /// Whether there can be such a base station: what was written by hand may say anything.
    pub fn is_possible(&self) -> bool {
        self.format <= 3
            && self.center_hz.is_finite()
            && self.shared.is_possible()
            && self.roots.len() <= PRACH_ROOTS_839.len()
    }

    /// The roots that its preambles may have: those that were heard, what lies between them in the standard's order, and, as
    /// long as few were heard, some on both sides.
    pub fn likely_roots(&self) -> Vec<u16> {
        let count = PRACH_ROOTS_839.len();
        let mut places: Vec<usize> = self.roots.iter().filter_map(|r| place_of(r.root)).collect();
        places.sort_unstable();
        // The longest stretch without any, round the end, is what it does not use.
        let after = |i: usize| {
            let next = places.get(i + 1).copied().unwrap_or(places[0] + count);
            next - places[i]
        };
        let Some(last) = (0..places.len()).max_by_key(|&i| after(i)) else { return Vec::new() };
        let first = places[(last + 1) % places.len()];
        let span = (places[last] + count - first) % count + 1;
        let slack = if self.is_configured { 0 } else { (10 / self.heard().max(1)) as usize };
        let total = (span + 2 * slack).min(ROOTS_MOST).min(count);
        (0..total).map(|i| PRACH_ROOTS_839[(first + count - slack + i) % count]).collect()
    }

    /// Whether a preamble may be sent at a subframe: one was, in this frame or the other of two.
    pub fn is_occasion(&self, subframe: usize) -> bool {
        let frame = SUBFRAMES / 2;
        self.subframes[subframe % SUBFRAMES] > 0 || self.subframes[(subframe + frame) % SUBFRAMES] > 0
    }

    /// Subframes a second at which a preamble may be sent.
    pub fn occasions_a_second(&self) -> f64 {
        let each = (0..SUBFRAMES).filter(|&s| self.is_occasion(s)).count();
        each as f64 / (SUBFRAMES as f64 * SUBFRAME_S)
    }

    /// Whether a preamble may be one of its own, by place, format and root, where its subframes are not known.
    fn is_of(&self, heard: &HeardPreamble) -> bool {
        let is_timed = self.timing.is_some_and(|t| t.is_known_at(heard.start_s));
        !is_timed && self.is_at(heard) && self.has_root_near(heard.root)
    }

    /// The subframe, counted from the last preamble's, at which a preamble is; none where it is at none.
    fn occasion_of(&self, heard: &HeardPreamble) -> Option<i64> {
        let timing = self.timing.filter(|t| t.is_known_at(heard.start_s))?;
        let nearest = timing.nearest(heard.start_s);
        let off = |n: i64| {
            let (expected_s, sigma_s) = timing.of(n);
            (heard.start_s - expected_s, OUTLIER_SIGMAS * (sigma_s * sigma_s + variance_of(heard)).sqrt())
        };
        let is_there = |n: &i64| {
            let (off_s, reach_s) = off(*n);
            off_s.abs() < reach_s
        };
        // Of a faint one neither start nor format are sure: it lies somewhere in an occasion.
        let longer_s = self.seconds() - PRACH_FORMATS[0].sequence_seconds();
        let may_be_there = |n: &i64| {
            let subframe = (timing.subframe as i64 + n).rem_euclid(SUBFRAMES as i64) as usize;
            let (off_s, reach_s) = off(*n);
            let slack_s = reach_s.max(OFF_MOST_S);
            self.is_occasion(subframe) && -slack_s < off_s && off_s < longer_s + slack_s
        };
        let unsure = || (nearest - 1..=nearest + 1).find(may_be_there).filter(|_| heard.sigma_s > UNSURE_S);
        Some(nearest).filter(is_there).or_else(unsure)
    }

    fn is_at(&self, heard: &HeardPreamble) -> bool {
        let is_format = self.format == heard.format || heard.sigma_s > UNSURE_S;
        (self.center_hz - heard.center_hz).abs() < SAME_PLACE_HZ && is_format
    }

    /// Whether all its roots and this one could be those of 64 preambles.
    fn has_root_near(&self, root: u16) -> bool {
        let Some(place) = place_of(root) else { return false };
        let count = PRACH_ROOTS_839.len();
        let apart = |other: usize| other.abs_diff(place).min(count - other.abs_diff(place));
        self.roots.iter().filter_map(|r| place_of(r.root)).all(|other| apart(other) < ROOTS_MOST)
    }

    /// Learns from one of its own, and gives its likeliest start.
    fn take(&mut self, heard: &HeardPreamble) -> Believed {
        self.others = 0;
        // Places are known but for whole subcarriers, offsets within one far better.
        let off_hz = heard.center_hz - self.center_hz;
        let subcarrier_hz = PRACH_FORMATS[0].spacing_hz;
        let rest_hz = off_hz - (off_hz / subcarrier_hz).round() * subcarrier_hz;
        self.center_hz += rest_hz / f64::from(self.heard().min(50) + 1);
        match self.roots.iter_mut().find(|r| r.root == heard.root) {
            Some(known) => known.heard = known.heard.saturating_add(1),
            None => self.roots.push(LearnedRoot { root: heard.root, heard: 1 }),
        }
        let occasion = self.occasion_of(heard);
        let Some((timing, n)) = self.timing.as_mut().zip(occasion) else {
            // Which subframe is which begins anew.
            self.timing = Some(Timing::new(heard));
            self.subframes = [0; SUBFRAMES];
            self.subframes[0] = 1;
            return Believed { start_s: heard.start_s, format: heard.format };
        };
        let subframe = (timing.subframe as i64 + n).rem_euclid(SUBFRAMES as i64);
        let count = &mut self.subframes[subframe as usize];
        *count = count.saturating_add(1);
        let (expected_s, sigma_s) = timing.of(n);
        let (variance, own) = (sigma_s * sigma_s, variance_of(heard));
        let off_s = heard.start_s - expected_s;
        let expected = (variance + heard.sigma_s * heard.sigma_s + START_S * START_S).sqrt();
        let is_measured = self.format == heard.format && off_s.abs() < OUTLIER_SIGMAS * expected;
        if is_measured {
            timing.follow(heard.start_s, variance_of(heard));
        }
        let share = if is_measured { variance / (variance + own) } else { 0.0 };
        Believed { start_s: expected_s + share * off_s, format: self.format }
    }
}

/// Variance of a start against its subframe's. What is faint errs more than noise lets expect, now and then.
fn variance_of(heard: &HeardPreamble) -> f64 {
    let tails = if heard.sigma_s > UNSURE_S { UNSURE_TAILS } else { 1.0 };
    tails * heard.sigma_s * heard.sigma_s + START_S * START_S
}

/// The place of a root in the standard's order (TS 36.211 table 5.7.2-4).
fn place_of(root: u16) -> Option<usize> {
    PRACH_ROOTS_839.iter().position(|&r| r == root)
}

/// A moment at which a preamble may begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Occasion<'a> {
    /// Whose preambles.
    pub base_station: &'a LearnedPrach,
    /// When, in seconds of the stream, and one standard deviation of that.
    pub start_s: f64,
    /// See `start_s`.
    pub sigma_s: f64,
    /// Roots that they may have.
    pub roots: Rc<[u16]>,
}

/// The base stations that are known at one tuning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carriers {
    known: Vec<LearnedPrach>,
}

impl Carriers {
    /// What was known before.
    pub fn from_known(known: Vec<LearnedPrach>) -> Self {
        Self { known }
    }

    /// All of them.
    pub fn known(&self) -> &[LearnedPrach] {
        &self.known
    }

    /// The same, taken out.
    pub fn into_known(self) -> Vec<LearnedPrach> {
        self.known
    }

    /// Whether the subframes of any are known.
    pub fn is_any_timed(&self) -> bool {
        self.known.iter().any(|k| k.timing.is_some())
    }

    /// When preambles may begin from `from_s` until before `to_s`, where subframes are known, in order. `cores_of` says what an
    /// occasion a second with so many roots costs; the best known base stations share `most_cores`, and the occasions of others
    /// are only counted.
    pub fn occasions(
        &self,
        (from_s, to_s): (f64, f64),
        most_cores: f64,
        cores_of: impl Fn(usize) -> f64,
    ) -> (Vec<Occasion<'_>>, u64) {
        let (mut all, mut skipped, mut cores) = (Vec::new(), 0, 0.0);
        let mut best: Vec<&LearnedPrach> = self.known.iter().collect();
        best.sort_by_key(|k| std::cmp::Reverse(k.heard()));
        for base_station in best {
            let Some(timing) = base_station.timing.filter(|t| t.is_known_at(from_s)) else { continue };
            let roots: Rc<[u16]> = base_station.likely_roots().into();
            cores += base_station.occasions_a_second() * cores_of(roots.len());
            for n in timing.nearest(from_s)..=timing.nearest(to_s) {
                let (start_s, sigma_s) = timing.of(n);
                let subframe = (timing.subframe as i64 + n).rem_euclid(SUBFRAMES as i64) as usize;
                if !base_station.is_occasion(subframe) || !(from_s..to_s).contains(&start_s) {
                    continue;
                }
                if cores > most_cores {
                    skipped += 1;
                    continue;
                }
                all.push(Occasion { base_station, start_s, sigma_s, roots: Rc::clone(&roots) });
            }
        }
        all.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
        (all, skipped)
    }

    /// The grids that an emission at `at_s` and around `middle_hz` may lie on, the likeliest first: of base stations whose
    /// preambles are no carrier's width away, the nearest.
    pub fn grids(&self, at_s: f64, middle_hz: f64) -> impl Iterator<Item = GridNear> + '_ {
        let distance_hz = move |k: &LearnedPrach| (k.center_hz - middle_hz).abs();
        let mut near: Vec<usize> =
            (0..self.known.len()).filter(|&i| distance_hz(&self.known[i]) < CARRIER_HZ).collect();
        near.sort_by(|&a, &b| distance_hz(&self.known[a]).total_cmp(&distance_hz(&self.known[b])));
        let grid = move |base_station: usize| {
            let known = &self.known[base_station];
            let timing = known.timing?;
            let nearest = timing.nearest(at_s);
            let (subframe_s, sigma_s) = timing.of(nearest);
            let subframe = (timing.subframe as i64 + nearest).rem_euclid(SUBFRAMES as i64) as usize;
            let is_occasion = known.is_occasion(subframe);
            (sigma_s < GRID_S)
                .then(|| known.shared.grid(base_station, (subframe_s, sigma_s), known.center_hz, is_occasion))
        };
        near.into_iter().filter_map(grid).take(GRIDS_MOST)
    }

    /// Whether what lies on a base station's grid is its phones', see [`SharedPlace::is_own`].
    pub fn is_own(&mut self, base_station: usize, ln_factor: f64) -> Option<f64> {
        self.known.get_mut(base_station)?.shared.is_own(ln_factor)
    }

    /// Learns from what is on a base station's grid where others will be, and when its subframes begin.
    pub fn hear_shared(&mut self, grid: &GridNear, heard: &HeardShared) {
        let Some(known) = self.known.get_mut(grid.base_station) else { return };
        let Some(timing) = &mut known.timing else { return };
        if let Some(variance) = known.shared.advance_variance() {
            let start_s = grid.subframe_s + heard.shift_s + known.shared.advance_s;
            timing.follow(start_s, heard.sigma_s * heard.sigma_s + variance);
        }
        known.shared.take(heard, grid.sigma_s);
    }

    /// Learns from a preamble that was heard, and says what is likeliest of it.
    pub fn hear(&mut self, heard: &HeardPreamble) -> Believed {
        // Of a faint one, the start may be far off: that tells nothing then.
        let near = |k: &LearnedPrach| k.is_at(heard) && k.has_root_near(heard.root) && k.occasion_of(heard).is_some();
        let own = self.known.iter().position(near).or_else(|| self.known.iter().position(|k| k.is_of(heard)));
        if let Some(own) = own {
            return self.known[own].take(heard);
        }
        for other in self.known.iter_mut().filter(|k| k.is_at(heard)) {
            other.others = other.others.saturating_add(1);
        }
        self.known.retain(|k| k.is_configured || k.others < OTHERS_MOST);
        if self.known.len() == MOST {
            let least = (0..MOST).min_by_key(|&i| (self.known[i].is_configured, self.known[i].heard())).unwrap_or(0);
            self.known.remove(least);
        }
        self.known.push(LearnedPrach::new(heard));
        Believed { start_s: heard.start_s, format: heard.format }
    }
}
