//! A carrier's centre and bandwidth, from control channels that hop from one of its sides to the other.
//!
//! A PUCCH is one block for one slot and, for the subframe's other slot, the block that lies mirrored about the carrier's
//! centre (TS 36.211 5.4.3): the numbers of both blocks have the same sum for all phones and resources of a carrier. One
//! such pair tells nothing: two phones that send in one subframe make as good a one. So a sum is believed when chance
//! would not give its pairs: it places a second block as second blocks were placed until then, and where a subframe holds
//! two bursts alone, there was one of them alone as often.

use cellwarden_standards::lte::{CARRIERS, PRACH_BLOCKS, RB_HZ};
use serde::{Deserialize, Serialize};

/// So many hops are remembered: what was heard before weighs less and less.
const MEMORY: f64 = 256.0;
/// Sums, second blocks and widths that are told apart.
const SUMS_MOST: usize = 16;
const BLOCKS_MOST: usize = 32;
const WIDTHS_MOST: usize = 32;
/// Chance places a second block where none was before as if one hop had been heard at any of so many blocks: those of the
/// narrowest carrier on one side of its preambles. Of a wider one it is even less likely to be right.
const NEW_PLACES: f64 = CARRIERS[0].1 as f64 / 2.0;
/// Where bursts have nothing to do with each other and two thirds of the subframes or fewer hold one, so many of those
/// with a burst have one in both slots, at the most: shares `a` give `a / (2 - a)`.
const TOGETHER: f64 = 0.5;
/// Shares of the hops whose sum is the carrier's: the others are of two phones each. None is likelier than another.
const SHARES: [f64; 4] = [0.3, 0.6, 0.9, 0.99];
/// A natural logarithm of the Bayes factor: chance gets there for one in 1e6 of the sums that it brings up. Another sum
/// must be a hundred times less likely.
const KNOWN_LN: f64 = 14.0;
const BESIDE_LN: f64 = 4.6;
/// A carrier is as wide as what was heard so often, and as so large a share of its hops.
const WIDTH_LEAST: f64 = 2.5;
const WIDTH_SHARE: f64 = 0.02;
/// Farther from its preambles no carrier's centre is, in sums of two numbers of blocks.
const SUM_MOST: i32 = 2 * CARRIERS[5].1 as i32;

/// What is known of a carrier's edges. Blocks are counted from the middle of the preambles, which is an edge between two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierEdges {
    /// Hops that were heard, and slots without another one.
    heard: f64,
    sums: Vec<Sum>,
    /// Blocks of second slots.
    blocks: Vec<Block>,
    widths: Vec<Width>,
    /// The sum that is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<i32>,
    /// What was configured: the sum, and the carrier's blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configured_sum: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configured_blocks: Option<u16>,
}

/// Hops whose blocks have the same sum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    sum: i32,
    heard: f64,
    /// Logarithm of the likelihood that chance gives the hops since its first.
    ln_chance: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    block: i32,
    heard: f64,
}

/// Blocks that a carrier with a sum has at the least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Width {
    sum: i32,
    blocks: u16,
    heard: f64,
}

/// A carrier whose centre and bandwidth are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Carrier {
    /// Its centre, absolute, in hertz, with the receiver's own offset.
    pub center_hz: f64,
    /// Resource blocks: 6, 15, 25, 50, 75 or 100.
    pub blocks: u16,
}

impl Carrier {
    /// Its bandwidth in hertz, 1.4 to 20 MHz (TS 36.101 table 5.6-1).
    pub fn bandwidth_hz(&self) -> f64 {
        bandwidth_hz(self.blocks)
    }

    /// Whether a band lies within its blocks but for `slack_hz`.
    pub fn holds(&self, low_hz: f64, high_hz: f64, slack_hz: f64) -> bool {
        let reach_hz = f64::from(self.blocks) * RB_HZ / 2.0 + slack_hz;
        low_hz > self.center_hz - reach_hz && high_hz < self.center_hz + reach_hz
    }
}

fn bandwidth_hz(blocks: u16) -> f64 {
    CARRIERS.iter().find(|c| c.1 == blocks).map_or(0.0, |c| c.0)
}

impl CarrierEdges {
    /// Of a carrier that the configuration tells: its blocks, and how much higher than the preambles' middle its centre is.
    pub(super) fn configure(&mut self, blocks: Option<u16>, center_hz: Option<f64>) {
        self.configured_sum = center_hz.map(|hz| (hz / (RB_HZ / 2.0)).round() as i32 - 1);
        self.configured_blocks = blocks;
    }

    /// Whether it can be so: what was written by hand may say anything.
    pub fn is_possible(&self) -> bool {
        let is_count = |heard: f64| (0.0..=MEMORY + 1.0).contains(&heard);
        let is_sum = |sum: i32| sum.abs() <= SUM_MOST;
        let carrier = |blocks: u16| CARRIERS.iter().any(|c| c.1 == blocks);
        is_count(self.heard)
            && self.sums.len() <= SUMS_MOST
            && self.sums.iter().all(|s| is_sum(s.sum) && is_count(s.heard) && (-1e4..=0.0).contains(&s.ln_chance))
            && self.blocks.len() <= BLOCKS_MOST
            && self.blocks.iter().all(|b| b.block.abs() <= SUM_MOST && is_count(b.heard))
            && self.widths.len() <= WIDTHS_MOST
            && self.widths.iter().all(|w| is_sum(w.sum) && w.blocks <= CARRIERS[5].1 && is_count(w.heard))
            && self.known.is_none_or(is_sum)
            && self.configured_sum.is_none_or(is_sum)
            && self.configured_blocks.is_none_or(carrier)
    }

    /// How much higher than the middle of the preambles the carrier's centre is, in hertz, once it is known.
    pub fn center_offset_hz(&self) -> Option<f64> {
        self.sum().map(|sum| f64::from(sum + 1) * RB_HZ / 2.0)
    }

    /// The carrier's resource blocks, once they are known: of the carriers that have a block, or the edge of two, at
    /// their centre as this one has, the narrowest that holds its preambles and what hopped.
    pub fn blocks(&self) -> Option<u16> {
        self.configured_blocks.or_else(|| {
            let sum = self.sum()?;
            let agreeing = self.heard_of(sum);
            let least = WIDTH_LEAST.max(WIDTH_SHARE * agreeing);
            let heard = self.widths.iter().filter(|w| w.sum == sum && w.heard >= least).map(|w| w.blocks).max()?;
            narrowest(sum, heard.max(preambles_need(sum)))
        })
    }

    /// The carrier's bandwidth in hertz, once it is known.
    pub fn bandwidth_hz(&self) -> Option<f64> {
        self.blocks().map(bandwidth_hz)
    }

    fn sum(&self) -> Option<i32> {
        self.configured_sum.or(self.known)
    }

    fn heard_of(&self, sum: i32) -> f64 {
        self.sums.iter().find(|s| s.sum == sum).map_or(0.0, |s| s.heard)
    }

    /// Learns from a hop, of which `weight` is one phone's where each is: of several phones in the same subframe all of
    /// the first slots may belong to all of the second ones. `is_alone` says that nobody else was heard in the subframe.
    pub(super) fn hear_hop(&mut self, first: i32, second: i32, weight: f64, is_alone: bool) {
        let sum = first + second;
        let blocks = first.abs_diff(second) as u16 + 1;
        // The preambles lie between, and no carrier is so wide: else it is a pair of two phones.
        let is_around = (first < 0) != (second < 0);
        let Some(carrier) = narrowest(sum, blocks.max(preambles_need(sum))) else { return };
        if !is_around || self.configured_blocks.is_some_and(|n| (n ^ carrier) & 1 == 1 || n < blocks) {
            return;
        }
        // The preambles lie between: which side the second block is on follows from the first one.
        let seconds = self.blocks.iter().filter(|b| (b.block < 0) != (first < 0));
        let (blocks_there, chance_of_new) = (seconds.clone().map(|b| b.heard).sum::<f64>(), 1.0 / NEW_PLACES);
        let here = |block: i32| seconds.clone().find(|b| b.block == block).map_or(0.0, |b| b.heard);
        let together = if is_alone { TOGETHER } else { 1.0 };
        let chance =
            |block: i32| (together * (here(block) + chance_of_new) / (blocks_there + 1.0)).clamp(1e-6, 1.0 - 1e-6);
        for s in &mut self.sums {
            let chance = chance(s.sum - first);
            s.ln_chance += weight * if s.sum == sum { chance.ln() } else { (1.0 - chance).ln() };
        }
        count(
            &mut self.blocks,
            BLOCKS_MOST,
            weight,
            |b| (&mut b.heard, b.block == second),
            |heard| Block { block: second, heard },
        );
        count(
            &mut self.widths,
            WIDTHS_MOST,
            weight,
            |w| (&mut w.heard, (w.sum, w.blocks) == (sum, blocks)),
            |heard| Width { sum, blocks, heard },
        );
        // What brings a sum up says nothing for it.
        count(
            &mut self.sums,
            SUMS_MOST,
            weight,
            |s| (&mut s.heard, s.sum == sum),
            |heard| Sum { sum, heard, ln_chance: 0.0 },
        );
        self.forget(weight);
        self.believe();
    }

    /// Learns that a slot's burst had no other one in its subframe. What a faint phone's other slot leaves out speaks against no
    /// centre that is known.
    pub(super) fn hear_lone(&mut self) {
        if self.known.is_none() {
            self.forget(1.0);
        }
    }

    /// Counts so many more hops, and lets go of as many.
    fn forget(&mut self, weight: f64) {
        self.heard += weight;
        let kept = 1.0 - weight / MEMORY;
        self.heard *= kept;
        self.blocks.iter_mut().for_each(|b| b.heard *= kept);
        self.widths.iter_mut().for_each(|w| w.heard *= kept);
        self.sums.iter_mut().for_each(|s| (s.heard, s.ln_chance) = (s.heard * kept, s.ln_chance * kept));
    }

    /// Learns that the carrier goes on where it was thought to end: from the edges of a sure emission's blocks that lie
    /// astride of one of its own.
    pub(super) fn hear_astride(&mut self, low: i32, high: i32) {
        let (Some(sum), Some(blocks)) = (self.sum(), self.blocks()) else { return };
        let needs = |edge: i32| (2 * edge - (sum + 1)).unsigned_abs() as u16;
        let (inner, outer) = (needs(low).min(needs(high)), needs(low).max(needs(high)));
        // Both edges on one side of the centre, one inside.
        let is_astride = inner < blocks && outer > blocks;
        if is_astride && narrowest(sum, outer).is_some() {
            let blocks = outer;
            count(
                &mut self.widths,
                WIDTHS_MOST,
                1.0,
                |w| (&mut w.heard, (w.sum, w.blocks) == (sum, blocks)),
                |heard| Width { sum, blocks, heard },
            );
        }
    }

    /// Natural logarithm of the Bayes factor of a sum against chance.
    fn ln_factor(&self, s: &Sum) -> f64 {
        let others = (self.heard - s.heard).max(0.0);
        let ln = |share: f64| s.heard * share.ln() + others * (1.0 - share).ln();
        let most = SHARES.into_iter().map(ln).fold(f64::NEG_INFINITY, f64::max);
        let mean = SHARES.into_iter().map(|share| (ln(share) - most).exp()).sum::<f64>() / SHARES.len() as f64;
        most + mean.ln() - s.ln_chance
    }

    /// Which sum is known: one that chance does not give, until what was heard since speaks against it. Then all begins
    /// anew.
    fn believe(&mut self) {
        let by_chance = |sum: i32| self.sums.iter().find(|s| s.sum == sum).is_none_or(|s| self.ln_factor(s) < 0.0);
        if self.known.is_some_and(by_chance) {
            *self = Self {
                configured_sum: self.configured_sum,
                configured_blocks: self.configured_blocks,
                ..Self::default()
            };
            return;
        }
        let (mut best, mut next) = ((f64::NEG_INFINITY, 0), f64::NEG_INFINITY);
        for s in &self.sums {
            let ln = self.ln_factor(s);
            if ln > best.0 {
                (best, next) = ((ln, s.sum), best.0);
            } else {
                next = next.max(ln);
            }
        }
        if best.0 > KNOWN_LN && best.0 - next > BESIDE_LN {
            self.known = Some(best.1);
        }
    }
}

/// Blocks that a carrier with a sum needs for its preambles, three on each side of where blocks are counted from.
fn preambles_need(sum: i32) -> u16 {
    PRACH_BLOCKS + (sum + 1).unsigned_abs().min(u32::from(CARRIERS[5].1)) as u16
}

/// Blocks of the narrowest carrier that has `least` of them, and an edge at its centre where the sum is odd, a block
/// where it is even.
fn narrowest(sum: i32, least: u16) -> Option<u16> {
    CARRIERS.iter().map(|c| c.1).find(|&n| n >= least && (n % 2 == 0) == (sum % 2 != 0))
}

/// Counts one more of `all`, of which there are no more than `most`: a new one takes the place of that which was heard
/// least.
fn count<T>(
    all: &mut Vec<T>,
    most: usize,
    weight: f64,
    mut of: impl FnMut(&mut T) -> (&mut f64, bool),
    new: impl FnOnce(f64) -> T,
) {
    for item in all.iter_mut() {
        if let (heard, true) = of(item) {
            *heard += weight;
            return;
        }
    }
    if all.len() < most {
        all.push(new(weight));
        return;
    }
    let mut least = (f64::INFINITY, 0);
    for (i, item) in all.iter_mut().enumerate() {
        let heard = *of(item).0;
        if heard < least.0 {
            least = (heard, i);
        }
    }
    all[least.1] = new(weight);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// First and second block of resource `m` of a carrier of `blocks`, whose preambles' middle is `middle` blocks from
    /// its lower edge (TS 36.211 5.4.3).
    fn hop_around(middle: i32, blocks: u16, m: i32) -> (i32, i32) {
        let (low, high) = (m / 2 - middle, i32::from(blocks) - 1 - m / 2 - middle);
        if m % 2 == 0 { (low, high) } else { (high, low) }
    }

    fn middle_of(blocks: u16) -> i32 {
        if blocks == 6 { 3 } else { 7 }
    }

    fn hop(blocks: u16, m: i32) -> (i32, i32) {
        hop_around(middle_of(blocks), blocks, m)
    }

    fn learned(blocks: u16, hops: usize) -> CarrierEdges {
        let mut edges = CarrierEdges::default();
        for i in 0..hops {
            let (first, second) = hop(blocks, i as i32 % 4);
            edges.hear_hop(first, second, 1.0, true);
        }
        edges
    }

    #[test]
    fn the_six_carriers_are_told_apart() {
        for (hz, blocks) in CARRIERS {
            let edges = learned(blocks, 24);
            let center_hz = (f64::from(blocks) / 2.0 - f64::from(middle_of(blocks))) * RB_HZ;
            assert_eq!((edges.center_offset_hz(), edges.blocks()), (Some(center_hz), Some(blocks)), "{edges:?}");
            assert_eq!(edges.bandwidth_hz(), Some(hz));
            assert!(edges.is_possible(), "{edges:?}");
        }
    }

    /// The fewer the pairs of blocks are, the more does chance repeat them.
    #[test]
    fn more_pairs_of_blocks_teach_sooner() {
        let hops_of = |resources: i32| {
            let mut edges = CarrierEdges::default();
            let taught = |i: &i32| {
                let (first, second) = hop(25, i % resources);
                edges.hear_hop(first, second, 1.0, true);
                edges.center_offset_hz().is_some()
            };
            (0..100).find(taught).map(|i| i + 1)
        };
        println!("{:?}", [2, 4, 6, 8, 12].map(hops_of));
        let hops = [2, 4, 12].map(|n| hops_of(n).expect("taught"));
        assert!(hops[0] > 15 && hops[0] < 32 && hops[0] > hops[1] && hops[1] > hops[2], "{hops:?}");
    }

    /// Phones whose other slots nobody hears meet in a subframe no more often than not; those that always send together
    /// are not alone there.
    #[test]
    fn one_pair_of_blocks_of_two_phones_teaches_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut meet, mut together) = (CarrierEdges::default(), CarrierEdges::default());
        for _ in 0..20_000 {
            if rng.random::<bool>() {
                meet.hear_hop(-5, 10, 1.0, true);
            } else {
                meet.hear_lone();
            }
            together.hear_hop(-5, 10, 0.5, false);
            assert_eq!((meet.center_offset_hz(), together.center_offset_hz()), (None, None), "{meet:?}");
        }
    }

    /// Places that have nothing to do with each other, in carriers of 6 to 100 blocks, or of few places.
    #[test]
    fn chance_teaches_no_centre() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for reach in [3, 7, 12, 50] {
            for few in [3, 1000] {
                let mut edges = CarrierEdges::default();
                for _ in 0..20_000 {
                    let place = |rng: &mut ChaCha8Rng| rng.random_range(0..few) * 7 % reach;
                    let (low, high) = (-1 - place(&mut rng), place(&mut rng));
                    let (first, second) = if rng.random::<bool>() { (low, high) } else { (high, low) };
                    if rng.random::<bool>() {
                        edges.hear_hop(first, second, 1.0, true);
                    } else {
                        edges.hear_lone();
                    }
                    assert_eq!(edges.center_offset_hz(), None, "{reach}, {few}: {edges:?}");
                }
            }
        }
    }

    /// Of several phones at once each second slot may be any one's.
    #[test]
    fn phones_that_send_together_now_and_then_do_no_harm() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut edges = CarrierEdges::default();
        for _ in 0..150 {
            let phones = rng.random_range(1..=3);
            let hops: Vec<_> = (0..phones).map(|_| hop(50, rng.random_range(0..8))).collect();
            for a in &hops {
                for b in &hops {
                    edges.hear_hop(a.0, b.1, 1.0 / phones as f64, phones == 1);
                }
            }
        }
        assert_eq!((edges.center_offset_hz(), edges.blocks()), (Some(18.0 * RB_HZ), Some(50)), "{edges:?}");
    }

    #[test]
    fn faint_phones_of_which_one_slot_is_heard_take_no_centre_away() {
        let mut edges = learned(25, 40);
        (0..1000).for_each(|_| edges.hear_lone());
        assert_eq!(edges.blocks(), Some(25), "{edges:?}");
    }

    #[test]
    fn a_network_that_changes_is_forgotten_and_learned_anew() {
        let mut edges = learned(25, 1000);
        assert_eq!(edges.blocks(), Some(25));
        let mut forgotten = None;
        for i in 0..400 {
            let (first, second) = hop(50, i % 4);
            edges.hear_hop(first, second, 1.0, true);
            if forgotten.is_none() && edges.blocks() != Some(25) {
                forgotten = Some(i);
            }
        }
        println!("forgotten after {forgotten:?}");
        assert!(
            forgotten.is_some_and(|i| (50..250).contains(&i)) && edges.blocks() == Some(50),
            "{forgotten:?}: {edges:?}"
        );
    }

    /// Resources that begin within the carrier leave its edges open: what lies astride of them tells.
    #[test]
    fn a_carrier_that_goes_on_is_wider() {
        let mut edges = CarrierEdges::default();
        for i in 0..24 {
            let (first, second) = hop_around(12, 25, 10 + i % 4);
            edges.hear_hop(first, second, 1.0, true);
        }
        assert_eq!(edges.blocks(), Some(15), "{edges:?}");
        for _ in 0..3 {
            edges.hear_astride(4, 11);
            edges.hear_astride(8, 30);
            edges.hear_astride(-30, 30);
        }
        assert_eq!(edges.blocks(), Some(25), "{edges:?}");
    }

    #[test]
    fn what_is_configured_is_known() {
        let mut edges = CarrierEdges::default();
        edges.configure(Some(50), Some(18.0 * RB_HZ));
        assert_eq!((edges.center_offset_hz(), edges.blocks()), (Some(18.0 * RB_HZ), Some(50)));
        // The bandwidth alone: the centre is learned, and a sum that it cannot have is not.
        let (mut edges, mut wrong) = (CarrierEdges::default(), CarrierEdges::default());
        edges.configure(Some(50), None);
        wrong.configure(Some(25), None);
        for i in 0..24 {
            let (first, second) = hop(50, 4 + i % 4);
            edges.hear_hop(first, second, 1.0, true);
            wrong.hear_hop(first, second, 1.0, true);
        }
        assert_eq!((edges.center_offset_hz(), edges.blocks()), (Some(18.0 * RB_HZ), Some(50)));
        assert_eq!((wrong.center_offset_hz(), wrong.blocks()), (None, Some(25)));
    }

    #[test]
    fn it_outlives_a_restart_and_what_cannot_be_is_told() {
        let edges = learned(75, 40);
        let text = serde_json::to_string(&edges).expect("JSON");
        let read: CarrierEdges = serde_json::from_str(&text).expect("reads");
        assert_eq!((read.blocks(), read.center_offset_hz()), (edges.blocks(), edges.center_offset_hz()));
        assert!(!CarrierEdges { heard: f64::NAN, ..edges.clone() }.is_possible());
        assert!(!CarrierEdges { known: Some(i32::MAX), ..edges.clone() }.is_possible());
        assert!(!CarrierEdges { configured_blocks: Some(7), ..edges }.is_possible());
    }
}
