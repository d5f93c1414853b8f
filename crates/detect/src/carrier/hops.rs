//! Control channels that hop at the edge between a subframe's slots: two bursts that may be one phone's.

use super::prach::LearnedPrach;
use cellwarden_standards::lte::{RB_HZ, SLOT_S, SUBFRAME_S};

/// Bursts that wait for their other slot, and how long: what is faint is named later than its neighbours.
const WAITING_MOST: usize = 64;
const WAITS_S: f64 = 0.1;
/// The start of one burst is known to this, one standard deviation, and so is when the next one begins.
const START_S: f64 = 20e-6;
const SIGMAS: f64 = 2.5;
/// Both slots of a phone are about as strong: each side of a carrier fades for itself.
const LEVELS_MOST: f64 = 10.0;
/// Blocks are told apart where a burst's middle is no farther than this off one's: a share of a block.
const OFF_BLOCK: f64 = 0.25;

/// A burst of one block and one slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeardSlot {
    /// When it begins, in seconds of the stream.
    pub start_s: f64,
    /// Middle of its block, absolute.
    pub middle_hz: f64,
    /// Its power over full scale.
    pub power: f64,
}

/// Bursts of one block and one slot, until those of a subframe are together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Hops {
    waiting: Vec<HeardSlot>,
    /// When the last slot began of which base stations were told.
    told_s: f64,
}

impl Hops {
    /// Takes one more, and tells the base stations of those that are complete by it.
    pub(super) fn take(&mut self, heard: HeardSlot, known: &mut [LearnedPrach]) {
        let is_due = |s: &HeardSlot| s.start_s < heard.start_s - WAITS_S || s.start_s > heard.start_s + WAITS_S;
        while self.waiting.len() == WAITING_MOST || self.waiting.iter().any(is_due) {
            self.tell_first(known);
        }
        self.waiting.push(heard);
    }

    /// Tells of the slot that began first, and of the one after it.
    fn tell_first(&mut self, known: &mut [LearnedPrach]) {
        let Some(first_s) = self.waiting.iter().map(|s| s.start_s).reduce(f64::min) else { return };
        let reach_s = SIGMAS * START_S;
        let is_first = |s: &&HeardSlot| s.start_s - first_s < reach_s;
        let is_second = |s: &&HeardSlot| (s.start_s - first_s - SLOT_S).abs() < reach_s;
        let firsts = self.waiting.iter().filter(is_first).count();
        let seconds = self.waiting.iter().filter(is_second).count();
        let has_before = (first_s - self.told_s - SLOT_S).abs() < reach_s;
        // Of several phones at once, so many pairs are one each.
        let weight = 1.0 / firsts.max(seconds).max(1) as f64;
        let is_alone = firsts == 1 && seconds == 1;
        for base_station in known.iter_mut() {
            if !begins_subframe(base_station, first_s) {
                if !has_before && begins_subframe(base_station, first_s - SLOT_S) {
                    base_station.edges.hear_lone();
                }
                continue;
            }
            if seconds == 0 {
                base_station.edges.hear_lone();
            }
            let edge_hz = base_station.center_hz + base_station.shared.edge_hz;
            let block = |s: &HeardSlot| block_at(s.middle_hz, edge_hz);
            for first in self.waiting.iter().filter(is_first) {
                for second in self.waiting.iter().filter(is_second) {
                    let ratio = first.power / second.power;
                    let is_alike = (1.0 / LEVELS_MOST..LEVELS_MOST).contains(&ratio);
                    if let (Some(a), Some(b), true) = (block(first), block(second), is_alike) {
                        base_station.edges.hear_hop(a, b, weight, is_alone);
                    }
                }
            }
        }
        self.told_s = first_s;
        self.waiting.retain(|s| !is_first(&s));
    }
}

/// The number of the block around a frequency, counted from an edge; none where it lies between two, or farther off than
/// any carrier reaches.
fn block_at(middle_hz: f64, edge_hz: f64) -> Option<i32> {
    let place = (middle_hz - edge_hz) / RB_HZ - 0.5;
    let block = place.round();
    ((place - block).abs() < OFF_BLOCK && block.abs() < super::CARRIER_HZ / RB_HZ).then_some(block as i32)
}

/// Whether a base station's phones begin a subframe at `start_s`.
pub(super) fn begins_subframe(base_station: &LearnedPrach, start_s: f64) -> bool {
    base_station.timing.is_some_and(|timing| {
        let shared = &base_station.shared;
        let as_preamble_s = start_s + shared.advance_s;
        let (subframe_s, sigma_s) = timing.of(timing.nearest(as_preamble_s));
        let sigma_s = sigma_s.hypot(shared.advance_sigma_s).hypot(START_S);
        sigma_s < 0.1 * SUBFRAME_S && (as_preamble_s - subframe_s).abs() < SIGMAS * sigma_s
    })
}
