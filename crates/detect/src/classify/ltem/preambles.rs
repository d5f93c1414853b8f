//! Preambles that are sent several times over.
//!
//! A machine in coverage enhancement sends the same preamble on 2 to 128 occasions of its base station in a row (TS 36.211
//! clause 5.7.1). A phone listens for an answer from the third subframe behind its preamble on, for two to ten subframes
//! (TS 36.321 clause 5.1.4), and then draws another of up to 64 preambles. So what comes again sooner than it can is a
//! machine:
//!
//! - Three times, at most as far apart as the fewest subframes that a phone waits. It would take another phone in each of
//!   the next two occasions, which of 200 a second are taken with 0.005 where one preamble a second is heard, that draws
//!   the same of 54 preambles and is heard at the same level to 3 dB (0.2, guessed): 3·10^-10, or 3·10^-5 a day.
//! - Four times, one frame apart at most and all at one level. That far apart a phone comes back whose base station has a
//!   window of six subframes or fewer (sf10 is usual), with a preamble that it was given and need not draw, no step of
//!   power, and no answer to three; with 0.02, 0.01, 0.2 and 0.1³ (guessed) 4e-8 of all preambles are so, against a
//!   hundredth or more of machines.
//!
//! A base station with an occasion each 20 ms or rarer gives no proof: a phone without an answer may come back at the next.

use crate::candidate::Proposal;
use crate::classify::lte::prach::{N_ZC, SEQUENCE_S, inverse_of_root};
use cellwarden_standards::lte::{PRACH_FORMATS, RB_HZ, SUBFRAME_S};
use cellwarden_types::{Evidence, Kind, Standard, db};

/// Subframes from a preamble's last on in which a phone does not send the next: until the answer's window begins, and the
/// least length of that, less one (TS 36.321 clause 5.1.4; TS 36.331 clause 6.3.2, ra-ResponseWindowSize).
const WAIT_SUBFRAMES: u32 = 3 + 2 - 1;
/// How many so near to each other are proof, and how far their levels may lie apart: an emission is measured to 1 dB.
const NEAR_LEAST: usize = 3;
const NEAR_SPREAD_DB: f64 = 3.0;
/// How many at most a frame apart are, and how far theirs may: a step of power is 2 dB at the least, where it is one.
const FRAME_S: f64 = 10e-3;
const FRAME_LEAST: usize = 4;
const FRAME_SPREAD_DB: f64 = 1.5;
/// A start is known to so much at the worst, and a sequence's beginning to this; cyclic shifts lie 12.4 µs apart or more
/// (TS 36.211 Table 5.7.2-2).
const START_SLACK_S: f64 = 0.3e-3;
const SHIFT_SLACK_S: f64 = 2e-6;
/// Bins that the place of a faint preamble may be off by, and what its frequency may be off besides. By the first its
/// sequence moves.
const BINS_MOST: f64 = 48.0;
const OFF_BINS: f64 = 0.25;
/// A carrier is no wider, wherever its preambles hop to.
const CARRIER_HZ: f64 = 20e6;
/// Runs that are followed at most, and preambles that each holds: more are no better proof.
const RUNS_MOST: usize = 64;
const HELD_MOST: usize = 8;

/// Holds preambles until it is known whether they are one several times over.
#[derive(Debug, Default)]
pub struct RepeatedPreambles {
    runs: Vec<Run>,
}

/// The same preamble, no two farther apart than a frame.
#[derive(Debug)]
struct Run {
    /// First samples of the first and the last.
    first: f64,
    last: f64,
    /// What was added last, by which the next is judged.
    latest: Proposal,
    /// Inverse of the root: how far a bin moves the sequence.
    inverse: usize,
    /// How many there were, and whether they are proof; those that are held until then, in order of time.
    count: usize,
    is_machine: bool,
    held: Vec<Proposal>,
}

impl RepeatedPreambles {
    /// Takes a preamble, and adds to `out` what is known by it: the others it repeats, and itself. Times are samples at
    /// `rate_hz`.
    pub fn hear(&mut self, found: Proposal, rate_hz: f64, out: &mut Vec<Proposal>) {
        let (Some(root), Some(_), Some(_)) = (found.detail.root, found.detail.format, found.sequence_start) else {
            out.push(found);
            return;
        };
        if found.standard != Standard::Lte || found.kind != Kind::Prach {
            out.push(found);
            return;
        }
        let Some(at) = self.runs.iter().position(|r| r.goes_on_with(&found, rate_hz)) else {
            if self.runs.len() == RUNS_MOST {
                out.append(&mut self.runs.remove(0).held);
            }
            let inverse = inverse_of_root(usize::from(root));
            let (first, last) = (found.start, found.start);
            let (latest, held) = (found.clone(), vec![found]);
            self.runs.push(Run { first, last, latest, inverse, count: 1, is_machine: false, held });
            return;
        };
        // One that was found late, because it hardly shows, joins those before and behind it.
        while let Some(next) = self.runs[at + 1..].iter().position(|r| r.goes_on_with(&found, rate_hz)) {
            let other = self.runs.remove(at + 1 + next);
            self.runs[at].join(other);
        }
        self.runs[at].add(found, rate_hz);
        let run = &mut self.runs[at];
        if run.is_machine {
            let count = run.count;
            out.extend(run.held.drain(..).map(|p| named(p, count)));
        } else if run.held.len() > HELD_MOST {
            out.push(run.held.remove(0));
        }
    }

    /// Adds to `out` what none can follow any more, because all before sample `searched` is known.
    pub fn release(&mut self, searched: f64, rate_hz: f64, out: &mut Vec<Proposal>) {
        let reach = (FRAME_S + START_SLACK_S) * rate_hz;
        self.runs.retain_mut(|run| {
            let waits = run.last + run.latest.count + reach >= searched;
            if !waits {
                out.append(&mut run.held);
            }
            waits
        });
    }

    /// First sample of what is held.
    pub fn oldest(&self) -> Option<f64> {
        self.runs.iter().flat_map(|r| &r.held).map(|p| p.start).reduce(f64::min)
    }
}

impl Run {
    /// Whether a preamble is the same as those of the run, and comes with them.
    fn goes_on_with(&self, found: &Proposal, rate_hz: f64) -> bool {
        let of = &self.latest;
        let (Some(a), Some(b)) = (of.sequence_start, found.sequence_start) else { return false };
        let reach = (FRAME_S + START_SLACK_S) * rate_hz;
        let same = of.detail.root == found.detail.root && of.detail.format == found.detail.format;
        if !same || found.start < self.first - reach || found.start > self.last + reach {
            return false;
        }
        let subframes = ((found.start - of.start) / rate_hz / SUBFRAME_S).round();
        let is_whole = ((found.start - of.start) / rate_hz - subframes * SUBFRAME_S).abs() < START_SLACK_S;
        let apart_hz = (found.low_hz + found.high_hz - of.low_hz - of.high_hz) / 2.0;
        // A sequence that is so many bins higher is one that begins so much earlier; what hops does so by whole blocks of
        // 144 bins, which are the same sequence there.
        let blocks = (apart_hz / RB_HZ).round();
        let bins = (apart_hz - blocks * RB_HZ) * SEQUENCE_S;
        let is_place = apart_hz.abs() < CARRIER_HZ && bins.abs() < BINS_MOST && (bins - bins.round()).abs() < OFF_BINS;
        if subframes == 0.0 || !is_whole || !is_place {
            return false;
        }
        let moved = bins.round() * self.inverse as f64 / N_ZC as f64;
        let apart = ((b - a) / rate_hz - subframes * SUBFRAME_S) / SEQUENCE_S + moved;
        (apart - apart.round()).abs() * SEQUENCE_S < SHIFT_SLACK_S
    }

    fn join(&mut self, other: Run) {
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        self.count += other.count;
        self.is_machine |= other.is_machine;
        self.held.extend(other.held);
        self.held.sort_by(|a, b| a.start.total_cmp(&b.start));
    }

    fn add(&mut self, found: Proposal, rate_hz: f64) {
        (self.first, self.last) = (self.first.min(found.start), self.last.max(found.start));
        self.latest = found.clone();
        self.count += 1;
        let at = self.held.partition_point(|p| p.start < found.start);
        self.held.insert(at, found);
        self.is_machine |= is_proof(&self.held, rate_hz);
    }
}

/// Whether preambles that are the same, in order of time, are a machine's.
fn is_proof(same: &[Proposal], rate_hz: f64) -> bool {
    let spread_db = |w: &[Proposal]| {
        let (least, most) = w.iter().fold((f64::INFINITY, 0.0f64), |(l, m), p| (l.min(p.power), m.max(p.power)));
        db(most / least)
    };
    let gap_s = |w: &[Proposal]| (w[1].start - w[0].start) / rate_hz;
    let within = |w: &[Proposal], most_s: f64| w.windows(2).all(|w| gap_s(w) < most_s + START_SLACK_S);
    let subframes = |p: &Proposal| {
        let format = p.detail.format.and_then(|f| PRACH_FORMATS.get(usize::from(f)));
        format.map_or(0, |f| f.subframes)
    };
    let wait_s = |w: &[Proposal]| f64::from(subframes(&w[0]) + WAIT_SUBFRAMES) * SUBFRAME_S;
    let near = |w: &[Proposal]| within(w, wait_s(w)) && spread_db(w) < NEAR_SPREAD_DB;
    let far = |w: &[Proposal]| within(w, FRAME_S) && spread_db(w) < FRAME_SPREAD_DB;
    same.windows(NEAR_LEAST).any(near) || same.windows(FRAME_LEAST).any(far)
}

/// A preamble of a machine, the same `count` times by now.
fn named(mut found: Proposal, count: usize) -> Proposal {
    (found.standard, found.standard_confidence) = (Standard::Ltem, 0.95);
    found.detail.evidence.push(Evidence::new("preamble_repeats", count as f64, -8.0));
    found
}
