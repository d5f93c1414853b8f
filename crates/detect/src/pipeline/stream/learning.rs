//! What a found preamble teaches, and what was taught before says of it.

use super::{Classifiers, MARGIN_S, Stream};
use crate::candidate::{Proposal, Snippet};
use crate::carrier::{GridNear, HeardPreamble, HeardShared, HeardSlot};
use crate::classify::lte::mirror::{MIRROR_HOP, MOST_LN};
use crate::classify::lte::on_grid::{ON_SUBFRAMES, OnGrid, SubframeGrid};
use crate::classify::lte::prach::timing::start_sigma_s;
use crate::segment::Segment;
use crate::swap::SwapTest;
use cellwarden_standards::lte::{self, PRACH_FORMATS};
use cellwarden_types::{Evidence, Kind, Standard};

/// Evidence of a preamble from which is learned.
const LEARNED_LLR: f64 = 2.0;
/// How much of what other emissions say counts for one.
const IN_USE_SHARE: f64 = 0.3;
/// How much of a mirrored slot's factor counts, and to where.
const MIRROR_SHARE: f64 = 0.6;
const MIRROR_LLR_MOST: f64 = 2.0;
/// So sure has a mirrored slot to be that what lies outside of its carrier is looked at: a natural logarithm.
const BEYOND_LN: f64 = 3.0;
/// A shared channel so sure says how far its carrier reaches.
const SURE_BLOCKS: f64 = 0.9;
/// What a look at a grid costs where the emission is longer than this.
const LONG_S: f64 = 1.3e-3;
const LONG_LOOKS: f64 = 5.0;

impl Stream {
    /// The name of what nothing else named, where it lies on a learned base station's subframes and blocks. `from` is the sample
    /// of the recording at which the converted ones begin.
    pub(super) fn on_learned_grid(&mut self, segment: &Segment, from: u64, swapped: &SwapTest) -> Option<Proposal> {
        let region = &segment.region;
        if segment.is_continuous() || swapped.mirrored_bursts().is_some() {
            return None;
        }
        let rate = self.rate.0;
        let middle_hz = (region.low_hz + region.high_hz) / 2.0;
        let at_s = self.seconds_at(region.start as f64);
        let mut grids = self.carriers.grids(at_s, middle_hz).peekable();
        if grids.peek().is_none() || !self.grid_looks.allows(at_s) {
            return None;
        }
        let looks = if region.count as f64 > LONG_S * rate { LONG_LOOKS } else { 1.0 };
        let Classifiers { shared, iq, .. } = &mut self.classifiers;
        let snippet = Snippet { iq, start: from, rate_hz: rate, center_hz: self.center.0 };
        let near = snippet.around(region, (MARGIN_S * rate) as u64);
        let mut best: Option<(OnGrid, GridNear)> = None;
        let mut tried = 0;
        for grid in grids {
            tried += 1;
            let subframe = grid.subframe_s * rate - self.lost_before as f64;
            let (early, late) = (grid.early_s * rate, grid.late_s * rate);
            let GridNear { block_edge_hz, edge_slack_hz, .. } = grid;
            let there = SubframeGrid { subframe, early, late, block_edge_hz, edge_slack_hz };
            let found = shared.on_grid(region, &near, &self.noise, &there);
            // A preamble that nobody made out lies on the grid as well.
            let is_preamble = |p: &Proposal| {
                let off_hz = (p.low_hz + p.high_hz) / 2.0 - grid.preamble_hz;
                grid.is_occasion && off_hz.abs() < lte::RB_HZ && p.detail.resource_blocks == Some(lte::PRACH_BLOCKS)
            };
            if found.as_ref().is_some_and(|f| is_preamble(&f.proposal)) {
                return None;
            }
            let found = found.and_then(|mut found| {
                let center_hz = grid.carrier_center_hz.filter(|_| found.ln_factor > -MOST_LN);
                let mirrored = center_hz.and_then(|hz| shared.ln_mirror(&found, &near, &self.noise, hz));
                if let Some(ln) = mirrored {
                    found.ln_factor += ln;
                    let llr = (MIRROR_SHARE * ln).clamp(-1.0, MIRROR_LLR_MOST);
                    found.proposal.detail.evidence.push(Evidence::new(MIRROR_HOP, ln, llr));
                }
                // What mirrors about the centre beyond the edges says that the carrier is wider than was believed.
                let Proposal { low_hz, high_hz, .. } = found.proposal;
                let is_inside = grid.carrier.is_none_or(|c| c.holds(low_hz, high_hz, lte::RB_HZ / 2.0));
                (is_inside || mirrored.is_some_and(|ln| ln > BEYOND_LN)).then_some(found)
            });
            if let Some(found) = found.filter(|f| best.as_ref().is_none_or(|(b, _)| f.ln_factor > b.ln_factor)) {
                best = Some((found, grid));
            }
        }
        let Some((mut found, grid)) = best else {
            self.grid_looks.spend(looks);
            return None;
        };
        // Of several grids one fits by chance so much more often.
        let in_use = self.carriers.is_own(grid.base_station, found.ln_factor - f64::from(tried).ln());
        let Some(in_use) = in_use else {
            self.grid_looks.spend(looks);
            return None;
        };
        found.proposal.detail.evidence.push(Evidence::new("carrier_in_use", in_use, IN_USE_SHARE * in_use));
        let heard = HeardShared {
            shift_s: found.shift / rate,
            sigma_s: found.shift_sigma / rate,
            off_hz: found.shift_hz,
            off_sigma_hz: found.shift_sigma_hz,
        };
        if swapped.takes(region.start, region.count) {
            self.carriers.hear_shared(&grid, &heard);
            self.hear_slot(&found.proposal);
        }
        self.neighbours.name_on_grid(&mut found.proposal, middle_hz, rate);
        Some(found.proposal)
    }

    /// What a proposal says of the stream, and the stream of it.
    pub(super) fn learn(&mut self, found: &mut Proposal, swapped: &SwapTest) {
        swapped.doubt(found);
        if swapped.takes(found.start.max(0.0) as u64, found.count as u64) {
            self.hear(found);
        }
        self.neighbours.name(found);
        self.neighbours.name_machine(found, self.rate.0);
        if swapped.takes(found.start.max(0.0) as u64, found.count as u64) {
            self.neighbours.hear(found);
            // What lies on a grid was heard when that named it.
            if !found.detail.evidence.iter().any(|e| e.name == ON_SUBFRAMES) {
                self.hear_slot(found);
                self.hear_blocks(found);
            }
        }
    }

    /// Learns from one slot of a control channel.
    fn hear_slot(&mut self, found: &Proposal) {
        let is_block = found.standard == Standard::Lte && found.detail.resource_blocks == Some(1);
        if is_block && found.kind == Kind::Pucch {
            let start_s = self.seconds_at(found.start);
            let middle_hz = (found.low_hz + found.high_hz) / 2.0;
            self.carriers.hear_slot(HeardSlot { start_s, middle_hz, power: found.power });
        }
    }

    /// Learns from a shared channel whose waveform proves it.
    fn hear_blocks(&mut self, found: &Proposal) {
        let is_sure = found.standard == Standard::Lte && found.standard_confidence > SURE_BLOCKS;
        if is_sure && found.kind == Kind::Pusch {
            self.carriers.hear_blocks(self.seconds_at(found.start), (found.low_hz, found.high_hz));
        }
    }

    /// Learns from a preamble, and takes what was learned before to its start.
    fn hear(&mut self, found: &mut Proposal) {
        let (Some(root), Some(format)) = (found.detail.root, found.detail.format) else { return };
        if found.standard != Standard::Lte || found.llr() < LEARNED_LLR {
            return;
        }
        let noise = self.noise.power(found.low_hz, found.high_hz).max(f64::MIN_POSITIVE);
        let (start_s, sigma_s) = (self.seconds_at(found.start), start_sigma_s(found.power / noise));
        let center_hz = (found.low_hz + found.high_hz) / 2.0;
        let believed = self.carriers.hear(&HeardPreamble { start_s, sigma_s, center_hz, root, format });
        found.start += (believed.start_s - start_s) * self.rate.0;
        let off_hz = believed.center_hz - center_hz;
        (found.low_hz, found.high_hz) = (found.low_hz + off_hz, found.high_hz + off_hz);
        if believed.format != format {
            found.detail.format = Some(believed.format);
            found.count = PRACH_FORMATS[usize::from(believed.format)].seconds() * self.rate.0;
        }
    }
}
