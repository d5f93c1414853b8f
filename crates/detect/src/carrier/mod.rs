//! What is remembered of the base stations that phones were heard to call: where, when and with which preambles.
//!
//! Nothing of it says who called. A base station takes preambles on one place of its carrier, at some subframes of each frame, of
//! a few neighbouring roots (TS 36.211 5.7); each preamble that is heard says all three. With them the next one is sought where
//! and when it may be, by a correlator that needs 7 dB less than a search of everything.

mod edges;
mod hops;
mod prach;
mod shared;
mod timing;

pub use edges::{Carrier, CarrierEdges};
pub use hops::HeardSlot;
pub use prach::{Believed, HeardPreamble, KnownPrach, LearnedPrach, LearnedRoot};
pub use shared::{GridNear, HeardShared, SharedPlace};
pub use timing::{SUBFRAMES, Timing};

use cellwarden_standards::lte::RB_HZ;
use hops::{Hops, begins_subframe};
use std::rc::Rc;

/// Base stations that are remembered for a tuning.
const MOST: usize = 16;
/// A base station is forgotten when so many preambles were others' at its place since it was last heard.
const OTHERS_MOST: u32 = 24;
/// Wider than a carrier no uplink reaches from its preambles.
const CARRIER_HZ: f64 = 20e6;
/// Base stations whose grids are tried on an emission: the nearest ones, those first that were heard more than once.
const GRIDS_MOST: usize = 2;
/// A grid that is known no better helps little.
const GRID_S: f64 = 60e-6;

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
    hops: Hops,
}

impl Carriers {
    /// What was known before.
    pub fn from_known(known: Vec<LearnedPrach>) -> Self {
        Self { known, hops: Hops::default() }
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
        cores_of: impl Fn(&LearnedPrach, usize) -> f64,
    ) -> (Vec<Occasion<'_>>, u64) {
        let (mut all, mut skipped, mut cores) = (Vec::new(), 0, 0.0);
        let mut best: Vec<&LearnedPrach> = self.known.iter().collect();
        best.sort_by_key(|k| std::cmp::Reverse(k.heard()));
        for base_station in best {
            let Some(timing) = base_station.timing.filter(|t| t.is_known_at(from_s)) else { continue };
            let roots: Rc<[u16]> = base_station.likely_roots().into();
            cores += base_station.occasions_a_second() * cores_of(base_station, roots.len());
            for n in timing.nearest(from_s)..=timing.nearest(to_s) {
                let (start_s, sigma_s) = timing.of(n);
                let subframe = timing.subframe_of(n);
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
    ///
    /// Where a carrier's edges are known, [`GridNear::carrier`] has them: the caller asks whether what it finds lies within.
    pub fn grids(&self, at_s: f64, middle_hz: f64) -> impl Iterator<Item = GridNear> + '_ {
        let distance_hz = move |k: &LearnedPrach| (k.center_hz - middle_hz).abs();
        let mut near: Vec<usize> =
            (0..self.known.len()).filter(|&i| distance_hz(&self.known[i]) < CARRIER_HZ).collect();
        let is_once = |i: usize| self.known[i].heard() < 2;
        near.sort_by(|&a, &b| {
            let order = is_once(a).cmp(&is_once(b));
            order.then(distance_hz(&self.known[a]).total_cmp(&distance_hz(&self.known[b])))
        });
        let grid = move |base_station: usize| {
            let known = &self.known[base_station];
            let timing = known.timing?;
            let nearest = timing.nearest(at_s);
            let (subframe_s, sigma_s) = timing.of(nearest);
            let subframe = timing.subframe_of(nearest);
            let is_occasion = known.is_occasion(subframe);
            (sigma_s < GRID_S).then(|| GridNear {
                carrier_center_hz: known.carrier_center_hz(),
                carrier: known.carrier(),
                ..known.shared.grid(base_station, (subframe_s, sigma_s), known.center_hz, is_occasion)
            })
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

    /// Learns from a control channel's slot where its carrier's centre is, and how wide it is.
    pub fn hear_slot(&mut self, heard: HeardSlot) {
        self.hops.take(heard, &mut self.known);
    }

    /// Learns from the blocks of a phone whose name its waveform proves, and which begins at `start_s`, that a carrier goes
    /// on beyond the edges that were believed.
    pub fn hear_blocks(&mut self, start_s: f64, (low_hz, high_hz): (f64, f64)) {
        for known in self.known.iter_mut().filter(|k| begins_subframe(k, start_s)) {
            let edge_hz = known.center_hz + known.shared.edge_hz;
            let block = |hz: f64| ((hz - edge_hz) / RB_HZ).round() as i32;
            known.edges.hear_astride(block(low_hz), block(high_hz));
        }
    }

    /// Learns from a preamble that was heard, and says what is likeliest of it.
    pub fn hear(&mut self, heard: &HeardPreamble) -> Believed {
        // Of a faint one, the start may be far off: that tells nothing then.
        let near = |k: &LearnedPrach| k.is_at(heard) && k.has_root_near(heard.root) && k.occasion_of(heard).is_some();
        let own = self.known.iter().position(near).or_else(|| self.known.iter().position(|k| k.is_of(heard)));
        if let Some(own) = own {
            return self.known[own].take(heard);
        }
        // It would be a base station of its own, and hide this one.
        if let Some(believed) = self.known.iter().find_map(|k| k.beside(heard)) {
            return believed;
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
        heard.as_measured()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A base station at 847 MHz that was heard in each frame for a second.
    fn heard_often() -> Carriers {
        let mut carriers = Carriers::default();
        for frame in 0..100 {
            carriers.hear(&preamble(f64::from(frame) * 10e-3, 0.2e-6, 847e6, 721));
        }
        carriers
    }

    fn preamble(start_s: f64, sigma_s: f64, center_hz: f64, root: u16) -> HeardPreamble {
        HeardPreamble { start_s, sigma_s, center_hz, root, format: 0 }
    }

    #[test]
    fn a_faint_preamble_beside_its_place_is_its_base_stations() {
        let mut carriers = heard_often();
        let believed = carriers.hear(&preamble(1.0 - 75e-6, 8.5e-6, 847e6 + 143_675.0, 721));
        assert!((believed.start_s - 1.0).abs() < 2e-6, "{believed:?}");
        assert_eq!((believed.center_hz, carriers.known.len()), (847e6, 1));
        assert_eq!(carriers.known[0].heard(), 100, "it teaches nothing");
        // What is clear is another's, and so is another root, another subframe, or one that has hardly a band in common.
        let others = [
            (preamble(1.0, 0.2e-6, 847e6 + 143_675.0, 721), 2),
            (preamble(1.0, 8.5e-6, 847e6 - 200e3, 20), 3),
            (preamble(1.003, 8.5e-6, 847e6 - 300e3, 721), 4),
            (preamble(1.0, 8.5e-6, 847e6 + 900e3, 721), 5),
        ];
        for (heard, known) in others {
            assert_eq!(carriers.hear(&heard).center_hz, heard.center_hz);
            assert_eq!(carriers.known.len(), known, "{heard:?}");
        }
    }
}
