//! A base station's preambles: their place, format, roots and subframes (TS 36.211 5.7).

use super::edges::{Carrier, CarrierEdges};
use super::shared::SharedPlace;
use super::timing::{SUBFRAMES, Timing};
use cellwarden_standards::lte::{
    CARRIERS, PRACH_FORMATS, PRACH_HZ, PRACH_ROOTS_839, RB_HZ, SUBFRAME_S, carrier_blocks,
};
use cellwarden_types::Hertz;
use cellwarden_types::units::hertz_or_text;
use serde::{Deserialize, Deserializer, Serialize};

/// Roots of a base station's 64 preambles: one a root at the most (TS 36.211 5.7.2).
const ROOTS_MOST: usize = 64;
/// An occasion is none where another was used by so many times as many.
const MISTAKEN: u32 = 25;
/// Places this far apart are two: a preamble's place is known to some subcarriers.
const SAME_PLACE_HZ: f64 = 90e3;
/// What a preamble's start varies by, one standard deviation: distances within a prison.
const START_S: f64 = 1e-6;
/// A start that is farther off than so many deviations of both is another base station's; but one that is known no better than this
/// may be of noise, and farther off.
const OUTLIER_SIGMAS: f64 = 3.0;
const UNSURE_S: f64 = 8e-6;
const UNSURE_TAILS: f64 = 9.0;
const OFF_MOST_S: f64 = 200e-6;
/// One that is known better than this is where it seems; of another, some of what may seem a different place or time is the same
/// sequence, so far away at the most.
const CLEAR_S: f64 = 2e-6;
const DISPLACED_S: f64 = 0.5e-3;

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
    /// Where its carrier's centre and edges are.
    #[serde(default)]
    pub edges: CarrierEdges,
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
    /// Bandwidth of its carrier: 1.4, 3, 5, 10, 15 or 20 MHz. What is left out is learned.
    #[serde(default, deserialize_with = "some_hertz_or_text")]
    pub bandwidth: Option<Hertz>,
    /// Centre of its uplink carrier.
    #[serde(default, deserialize_with = "some_hertz_or_text")]
    pub carrier_center: Option<Hertz>,
}

fn some_hertz_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hertz>, D::Error> {
    hertz_or_text(deserializer).map(Some)
}

impl KnownPrach {
    /// That such a base station can be.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let Self { center, format, roots, bandwidth, carrier_center } = self;
        if !(center.0.is_finite() && center.0 > 0.0) {
            return Err(format!("center: {center} is no frequency"));
        }
        if *format > 3 {
            return Err(format!("format: {format}: LTE's long preambles have formats 0 to 3"));
        }
        if roots.is_empty() || roots.len() > ROOTS_MOST {
            return Err(format!("roots: {}: a base station has 1 to {ROOTS_MOST}", roots.len()));
        }
        if let Some(root) = roots.iter().find(|root| place_of(**root).is_none()) {
            return Err(format!("roots: {root} is not from 1 to 838"));
        }
        if let Some(bandwidth) = bandwidth.filter(|b| carrier_blocks(b.0).is_none()) {
            return Err(format!("bandwidth: {bandwidth}: LTE's carriers have 1.4, 3, 5, 10, 15 or 20 MHz"));
        }
        // Half a block of room: either place may be rounded.
        let blocks = bandwidth.and_then(|b| carrier_blocks(b.0)).unwrap_or(CARRIERS[5].1);
        let reach_hz = (f64::from(blocks) * RB_HZ - PRACH_HZ + RB_HZ) / 2.0;
        match carrier_center.filter(|c| !(-reach_hz..=reach_hz).contains(&(c.0 - center.0))) {
            Some(c) => {
                Err(format!("carrier_center: the preambles around {center} are not within a carrier around {c}"))
            }
            None => Ok(()),
        }
    }

    /// What it says of the carrier's edges, for a base station whose preambles were heard around `preambles_hz`.
    fn configure(&self, edges: &mut CarrierEdges, preambles_hz: f64) {
        let blocks = self.bandwidth.and_then(|b| carrier_blocks(b.0));
        edges.configure(blocks, self.carrier_center.map(|c| c.0 - preambles_hz));
    }

    /// As one of which nothing was heard yet.
    fn learned(&self) -> LearnedPrach {
        let mut edges = CarrierEdges::default();
        self.configure(&mut edges, self.center.0);
        LearnedPrach {
            center_hz: self.center.0,
            format: self.format,
            roots: self.roots.iter().map(|&root| LearnedRoot { root, heard: 0 }).collect(),
            subframes: [0; SUBFRAMES],
            others: 0,
            is_configured: true,
            shared: SharedPlace::default(),
            edges,
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
                self.configure(&mut known.edges, self.center.0);
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
    /// Middle of its band, absolute.
    pub center_hz: f64,
}

impl LearnedPrach {
    pub(super) fn new(heard: &HeardPreamble) -> Self {
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
            edges: CarrierEdges::default(),
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
            && self.edges.is_possible()
            && self.roots.len() <= PRACH_ROOTS_839.len()
    }

    /// Its carrier's centre, absolute, in hertz, once it is known.
    pub fn carrier_center_hz(&self) -> Option<f64> {
        self.edges.center_offset_hz().map(|offset_hz| self.center_hz + self.shared.edge_hz + offset_hz)
    }

    /// Its carrier, once centre and bandwidth are known.
    pub fn carrier(&self) -> Option<Carrier> {
        let (center_hz, blocks) = (self.carrier_center_hz()?, self.edges.blocks()?);
        Some(Carrier { center_hz, blocks })
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

    /// Whether a preamble may be sent at a subframe: one was, in this frame or the other of two; but of many hardly one alone, which
    /// was a faint one's mistake.
    pub fn is_occasion(&self, subframe: usize) -> bool {
        let frame = SUBFRAMES / 2;
        let heard = |s: usize| self.subframes[s % SUBFRAMES].saturating_add(self.subframes[(s + frame) % SUBFRAMES]);
        let most = (0..frame).map(heard).max().unwrap_or(0);
        heard(subframe) > most / MISTAKEN
    }

    /// Subframes a second at which a preamble may be sent.
    pub fn occasions_a_second(&self) -> f64 {
        let each = (0..SUBFRAMES).filter(|&s| self.is_occasion(s)).count();
        each as f64 / (SUBFRAMES as f64 * SUBFRAME_S)
    }

    /// Whether a preamble may be one of its own, by place, format and root, where its subframes are not known.
    pub(super) fn is_of(&self, heard: &HeardPreamble) -> bool {
        let is_timed = self.timing.is_some_and(|t| t.is_known_at(heard.start_s));
        !is_timed && self.is_at(heard) && self.has_root_near(heard.root)
    }

    /// The subframe, counted from the last preamble's, at which a preamble is; none where it is at none.
    pub(super) fn occasion_of(&self, heard: &HeardPreamble) -> Option<i64> {
        let timing = self.timing.filter(|t| t.is_known_at(heard.start_s))?;
        let nearest = timing.nearest(heard.start_s);
        let off = |n: i64| {
            let (expected_s, sigma_s) = timing.of(n);
            (heard.start_s - expected_s, OUTLIER_SIGMAS * (sigma_s * sigma_s + heard.variance()).sqrt())
        };
        let is_there = |n: &i64| {
            let (off_s, reach_s) = off(*n);
            off_s.abs() < reach_s
        };
        // Of a faint one neither start nor format are sure: it lies somewhere in an occasion.
        let longer_s = self.seconds() - PRACH_FORMATS[0].sequence_seconds();
        let may_be_there = |n: &i64| {
            let (off_s, reach_s) = off(*n);
            let slack_s = reach_s.max(OFF_MOST_S);
            self.is_occasion(timing.subframe_of(*n)) && -slack_s < off_s && off_s < longer_s + slack_s
        };
        let unsure = || (nearest - 1..=nearest + 1).find(may_be_there).filter(|_| heard.sigma_s > UNSURE_S);
        // A faint one that is near a subframe at which none was heard is rather a part of one at an occasion.
        let fits = Some(nearest).filter(is_there);
        fits.filter(|&n| self.is_occasion(timing.subframe_of(n))).or_else(unsure).or(fits)
    }

    pub(super) fn is_at(&self, heard: &HeardPreamble) -> bool {
        let is_format = self.format == heard.format || heard.sigma_s > UNSURE_S;
        (self.center_hz - heard.center_hz).abs() < SAME_PLACE_HZ && is_format
    }

    /// What a faint preamble is that seems to lie beside its place, with one of its roots, at an occasion: one of its own. Some
    /// subcarriers away, a root's sequence is the same one, earlier or later (TS 36.211 5.7.2), less what lies beside it.
    pub(super) fn beside(&self, heard: &HeardPreamble) -> Option<Believed> {
        let off_hz = (self.center_hz - heard.center_hz).abs();
        let may_be = heard.sigma_s > CLEAR_S && (SAME_PLACE_HZ..PRACH_HZ / 2.0).contains(&off_hz);
        let timing = self.timing.filter(|t| may_be && t.is_known_at(heard.start_s))?;
        let nearest = timing.nearest(heard.start_s);
        let is_there =
            |n: &i64| self.is_occasion(timing.subframe_of(*n)) && (timing.of(*n).0 - heard.start_s).abs() < DISPLACED_S;
        let n =
            (nearest - 1..=nearest + 1).find(is_there).filter(|_| self.roots.iter().any(|r| r.root == heard.root))?;
        Some(Believed { start_s: timing.of(n).0, format: self.format, center_hz: self.center_hz })
    }

    /// Whether all its roots and this one could be those of 64 preambles.
    pub(super) fn has_root_near(&self, root: u16) -> bool {
        let Some(place) = place_of(root) else { return false };
        let count = PRACH_ROOTS_839.len();
        let apart = |other: usize| other.abs_diff(place).min(count - other.abs_diff(place));
        self.roots.iter().filter_map(|r| place_of(r.root)).all(|other| apart(other) < ROOTS_MOST)
    }

    /// Learns from one of its own, and gives its likeliest start.
    pub(super) fn take(&mut self, heard: &HeardPreamble) -> Believed {
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
            return heard.as_measured();
        };
        let count = &mut self.subframes[timing.subframe_of(n)];
        *count = count.saturating_add(1);
        let (expected_s, sigma_s) = timing.of(n);
        let (variance, own) = (sigma_s * sigma_s, heard.variance());
        let off_s = heard.start_s - expected_s;
        let expected = (variance + heard.sigma_s * heard.sigma_s + START_S * START_S).sqrt();
        let is_measured = self.format == heard.format && off_s.abs() < OUTLIER_SIGMAS * expected;
        if is_measured {
            timing.follow(heard.start_s, heard.variance());
        }
        let share = if is_measured { variance / (variance + own) } else { 0.0 };
        Believed { start_s: expected_s + share * off_s, format: self.format, center_hz: heard.center_hz }
    }
}

impl HeardPreamble {
    /// What is believed of one of which nothing else is known.
    pub(super) fn as_measured(&self) -> Believed {
        Believed { start_s: self.start_s, format: self.format, center_hz: self.center_hz }
    }

    /// Variance of its start against its subframe's. What is faint errs more than noise lets expect, now and then.
    pub(super) fn variance(&self) -> f64 {
        let tails = if self.sigma_s > UNSURE_S { UNSURE_TAILS } else { 1.0 };
        tails * self.sigma_s * self.sigma_s + START_S * START_S
    }
}

/// The place of a root in the standard's order (TS 36.211 table 5.7.2-4).
fn place_of(root: u16) -> Option<usize> {
    PRACH_ROOTS_839.iter().position(|&r| r == root)
}
