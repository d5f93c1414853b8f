//! Which segments are one phone's subframes in a row, and which are no more than what those make beside themselves.

use super::MARGIN_S;
use super::clusters::{CLEAR_DB, SPLINTER_BEFORE_S};
use crate::candidate::{NoiseFloor, Proposal, Region, Snippet};
use crate::classify::lte::shared::SharedChannelClassifier;
use crate::pipeline::overlap::{density, is_image};
use crate::segment::Segment;
use cellwarden_standards::{band, lte};

/// A run lasts for more than a subframe.
const LEAST_S: f64 = 1.4e-3;
/// What goes on is cut into pieces so long; a subframe that is cut in two belongs to the next one, which may be short.
const PIECE_S: f64 = 9.8e-3;
const LEAST_REST_S: f64 = 0.4e-3;
/// Between a run's allocations there is no more than this; room beside them shows their edges.
const TOUCHES_HZ: f64 = 200e3;
const ROOM_HZ: f64 = 360e3;
/// What is part of a run is no weaker, in a hertz.
const AS_STRONG: f64 = 0.1;
/// What it makes where symbols meet: so far from its band, no denser than this share of it. Farther off than the first two it has no
/// edges.
const LEAKAGE: [(f64, f64); 4] = [(0.0, 3.0), (0.2e6, 0.3), (1e6, 0.03), (3e6, 3e-3)];
const WITH_EDGES: usize = 2;

/// The runs of late.
pub(super) struct Runs {
    all: Vec<Region>,
    rate_hz: f64,
    center_hz: f64,
}

impl Runs {
    pub(super) fn new(rate_hz: f64, center_hz: f64) -> Self {
        Self { all: Vec::new(), rate_hz, center_hz }
    }

    /// Looks for runs in a cluster, adds their subframes to `out`, and claims them with all that is a piece of one or what one makes
    /// beside itself.
    pub(super) fn claim(
        &mut self,
        shared: &mut SharedChannelClassifier,
        cluster: &[Segment],
        claimed: &mut [bool],
        (snippet, noise): (&Snippet<'_>, &NoiseFloor),
        seconds_at: impl Fn(u64) -> f64,
        out: &mut Vec<Proposal>,
    ) {
        // The strongest first: what they make beside themselves is none.
        let mut order: Vec<usize> = (0..cluster.len()).filter(|&i| self.may_be_one(&cluster[i])).collect();
        order.sort_by(|&a, &b| cluster[b].region.snr_db.total_cmp(&cluster[a].region.snr_db));
        for at in order {
            let segment = &cluster[at];
            if claimed[at] || self.hold(segment) {
                continue;
            }
            let region = with_what_touches(&segment.region, cluster);
            let seconds = region.count as f64 / self.rate_hz;
            let begins = segment.age_s < seconds + lte::SLOT_S;
            // The subframe in which a piece begins that is not its emission's first may begin before.
            let before = if begins { 0 } else { (1.2 * lte::SLOT_S * self.rate_hz) as u64 };
            let whole = Region { start: region.start.saturating_sub(before), count: region.count + before, ..region };
            let ends = (begins, region.count as f64 <= PIECE_S * self.rate_hz);
            let clock = (segment.is_continuous(), seconds_at(region.start));
            let near = snippet.around(&whole, (MARGIN_S * self.rate_hz) as u64);
            claimed[at] = shared.run(&whole, ends, clock, &near, noise, out);
            if claimed[at] {
                self.all.push(region);
            }
        }
        for (segment, claimed) in cluster.iter().zip(claimed) {
            *claimed |= self.hold(segment);
        }
    }

    fn may_be_one(&self, segment: &Segment) -> bool {
        let Segment { region, .. } = segment;
        let (seconds, width) = (region.count as f64 / self.rate_hz, region.high_hz - region.low_hz);
        let middle = (region.low_hz + region.high_hz) / 2.0;
        let is_uplink = !band::is_unpaired(middle) && band::lte_band(middle).is_some();
        let is_rest = segment.age_s > seconds + PIECE_S && seconds > LEAST_REST_S;
        let is_long = seconds > LEAST_S || is_rest;
        !segment.is_faint && region.snr_db >= CLEAR_DB && is_long && width > lte::PRACH_HZ && is_uplink
    }

    /// What ended before a sample is forgotten.
    pub(super) fn forget_before(&mut self, sample: u64) {
        self.all.retain(|r| r.start + r.count > sample);
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// Whether a segment is a piece of one, or what one makes beside itself.
    pub(super) fn hold(&self, segment: &Segment) -> bool {
        let Segment { region: s, .. } = segment;
        let slack = (SPLINTER_BEFORE_S * self.rate_hz) as u64;
        self.all.iter().any(|run| {
            let (from, to) = (run.start.saturating_sub(slack), run.start + run.count + slack);
            let common = (s.start + s.count).min(to).saturating_sub(s.start.max(from));
            let apart_hz = (s.low_hz - run.high_hz).max(run.low_hz - s.high_hz).max(0.0);
            let share = density(s) / density(run);
            let reach = if segment.is_alone { &LEAKAGE[..WITH_EDGES] } else { &LEAKAGE };
            let is_leakage = reach.iter().any(|&(reach_hz, most)| apart_hz <= reach_hz && share < most);
            10 * common > 7 * s.count && (is_image(s, run, self.center_hz) || is_leakage)
        })
    }
}

/// A region and what is about as strong and touches it: subframes of one run that lie elsewhere; and some room.
fn with_what_touches(region: &Region, cluster: &[Segment]) -> Region {
    let mut whole = *region;
    for _ in 0..2 {
        for Segment { region: s, is_faint, .. } in cluster {
            let at_once = s.start < whole.start + whole.count && whole.start < s.start + s.count;
            let touches = s.low_hz < whole.high_hz + TOUCHES_HZ && whole.low_hz - TOUCHES_HZ < s.high_hz;
            if at_once && touches && !is_faint && density(s) > AS_STRONG * density(region) {
                (whole.low_hz, whole.high_hz) = (whole.low_hz.min(s.low_hz), whole.high_hz.max(s.high_hz));
            }
        }
    }
    Region { low_hz: whole.low_hz - ROOM_HZ, high_hz: whole.high_hz + ROOM_HZ, ..whole }
}
