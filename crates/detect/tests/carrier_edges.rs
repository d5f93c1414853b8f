//! A carrier's centre and bandwidth from hopping control channels, and what they name, on the simulator's waves in
//! Gaussian noise.
//!
//! The SNR is the wave's mean power over the noise in its resource blocks. Shares are refuted where Chernoff's bound says
//! that a detector so good would fall short as often less than once in a thousand runs.

#![allow(clippy::unwrap_used)] // a test may

#[allow(dead_code)] // not every test needs all of it
#[path = "common/air.rs"]
mod air;
#[path = "common/sent.rs"]
mod sent;

use air::{Air, tail_bound};
use cellwarden_detect::carrier::{KnownPrach, LearnedPrach};
use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_sim::wave::{Wave, lte};
use cellwarden_standards::lte as lte_tables;
use cellwarden_types::{Burst, Hertz, Kind, Standard};
use rand::Rng;
use sent::Sent;

const LTE_HZ: f64 = 847e6;
/// The receiver's clock is so much slower, and its tuning so much lower.
const RADIO_ERROR: f64 = 0.8e-6;
const SUBFRAME_S: f64 = 1e-3;
/// How much earlier than their preambles phones send: 1.8 km.
const ADVANCE_S: f64 = 12e-6;
const PREAMBLES: usize = 12;
/// Subframes before what hops.
const BEFORE: usize = 250;

/// A base station.
#[derive(Clone, Copy, Debug)]
struct Cell {
    carrier_hz: f64,
    blocks: u16,
    /// First of the six blocks of its preambles, and their root.
    first: u16,
    root: usize,
    /// When its first subframe begins.
    offset_s: f64,
}

impl Cell {
    fn new(blocks: u16) -> Self {
        Self { carrier_hz: LTE_HZ, blocks, first: 4.min(blocks - 6), root: 129, offset_s: 0.37e-3 }
    }

    fn subframe_s(&self, at: f64) -> f64 {
        (at * SUBFRAME_S + self.offset_s) * (1.0 + RADIO_ERROR)
    }

    fn heard_hz(&self) -> f64 {
        self.carrier_hz * (1.0 + RADIO_ERROR)
    }

    fn preambles(&self, air: &mut Air, from: usize) {
        for i in 0..PREAMBLES {
            let start_s = self.subframe_s((from + 10 * i) as f64);
            let place = (self.first, self.blocks);
            let burst = lte::prach(&lte_tables::PRACH_FORMATS[0], (self.root, 13 * (i % 64)), place);
            let span = (start_s, burst.seconds());
            air.add(&Wave::Ofdm(burst), span, self.heard_hz(), (5.0, lte_tables::PRACH_HZ));
        }
    }

    /// One slot of a PUCCH on a block, `at` subframes after the first one.
    fn slot(&self, air: &mut Air, at: f64, block: u16, snr_db: f64) -> Sent {
        let burst = lte::pucch1_slot((block, self.blocks), (7, air.rng.random_range(0..12), 0), true);
        let (start_s, seconds) = (self.subframe_s(at) - ADVANCE_S, burst.seconds());
        let carrier_hz = self.heard_hz() + air.rng.random_range(-300.0..300.0);
        air.add(&Wave::Ofdm(burst), (start_s, seconds), carrier_hz, (snr_db, lte_tables::RB_HZ));
        let hz = |block| carrier_hz + lte::block_edge_hz(block, self.blocks);
        Sent { start_s, seconds, low_hz: hz(block), high_hz: hz(block + 1) }
    }

    /// Both slots of resource `m` of a PUCCH (TS 36.211 5.4.3).
    fn pucch(&self, air: &mut Air, at: usize, m: u16, snr_db: f64) -> [Sent; 2] {
        let slot = |air: &mut Air, slot: usize| {
            let block = lte_tables::pucch_block(self.blocks, m, slot);
            self.slot(air, at as f64 + 0.5 * slot as f64, block, snr_db)
        };
        [slot(air, 0), slot(air, 1)]
    }

    fn has_learned_it(&self, known: &[LearnedPrach]) -> bool {
        let own = known.iter().find(|k| usize::from(k.roots[0].root) == self.root);
        own.and_then(LearnedPrach::carrier)
            .is_some_and(|c| c.blocks == self.blocks && (c.center_hz - self.heard_hz()).abs() < 10e3)
    }
}

/// Noise with a base station's preambles, and room for `subframes` after them.
fn air(cell: &Cell, rate_hz: f64, subframes: usize, seed: u64) -> Air {
    let mut air = Air::noise(rate_hz, LTE_HZ, (BEFORE + subframes) as f64 * SUBFRAME_S + 20e-3, seed);
    cell.preambles(&mut air, 100);
    air
}

/// Sends a PUCCH of any of six resources in each of these subframes.
fn hops(air: &mut Air, cell: &Cell, at: impl Iterator<Item = usize>, snr_db: f64) -> Vec<Sent> {
    let sent = at.flat_map(|at| {
        let m = air.rng.random_range(0..6.min(cell.blocks - 2));
        cell.pucch(air, at, m, snr_db)
    });
    sent.collect()
}

/// One of three subframes, `count` of them.
fn each_third(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(|i| BEFORE + 3 * i)
}

fn known(air: &Air) -> Vec<LearnedPrach> {
    air.detect().0.state().base_stations
}

#[test]
fn the_six_bandwidths_are_learned_from_what_hops() {
    for (i, (bandwidth_hz, blocks)) in lte_tables::CARRIERS.into_iter().enumerate() {
        let cell = Cell::new(blocks);
        let rate_hz = [1.92e6, 3.84e6, 7.68e6, 15.36e6, 23.04e6, 30.72e6][i];
        let count = 60;
        let mut air = air(&cell, rate_hz, 3 * count, 40 + i as u64);
        hops(&mut air, &cell, each_third(count), 8.0);
        let known = known(&air);
        println!("{} MHz: {:?}", bandwidth_hz / 1e6, known.first().and_then(LearnedPrach::carrier));
        assert!(known.len() == 1 && cell.has_learned_it(&known), "{blocks}: {known:#?}");
        assert_eq!(known[0].edges.bandwidth_hz(), Some(bandwidth_hz));
    }
}

/// Two carriers side by side, of one clock.
#[test]
fn the_carriers_of_two_base_stations_are_told_apart() {
    let low = Cell { carrier_hz: LTE_HZ - 4.5e6, ..Cell::new(25) };
    let high = Cell { carrier_hz: LTE_HZ + 2.5e6, root: 300, ..Cell::new(50) };
    for high in [high, Cell { offset_s: 0.71e-3, ..high }] {
        let count = 60;
        let mut air = air(&low, 15.36e6, 3 * count, 50);
        high.preambles(&mut air, 103);
        hops(&mut air, &low, each_third(count), 8.0);
        // Now and then both at once.
        hops(&mut air, &high, each_third(count).map(|at| at + usize::from(at % 4 > 0)), 8.0);
        let known = known(&air);
        let carriers: Vec<_> = known.iter().map(|k| (k.roots[0].root, k.heard(), k.carrier())).collect();
        assert!(low.has_learned_it(&known) && high.has_learned_it(&known), "{carriers:?}");
    }
}

/// Slots of control channels' shape and time, on blocks that have nothing to do with each other.
#[test]
fn blocks_by_chance_teach_no_centre() {
    let cell = Cell::new(25);
    let count = 150;
    let mut air = air(&cell, 7.68e6, 3 * count, 60);
    for i in 0..count {
        for slot in 0..2 {
            let block = air.rng.random_range(0..cell.blocks);
            cell.slot(&mut air, (BEFORE + 3 * i) as f64 + 0.5 * f64::from(slot), block, 8.0);
        }
    }
    let known = known(&air);
    assert!(known.len() == 1 && known[0].carrier_center_hz().is_none(), "{known:#?}");
}

/// What was learned outlives the detector; a network that is changed is learned anew.
#[test]
fn a_carrier_is_kept_and_forgotten() {
    let cell = Cell::new(25);
    let mut first = air(&cell, 7.68e6, 180, 70);
    hops(&mut first, &cell, each_third(60), 8.0);
    let (detector, _) = first.detect();
    let text = serde_json::to_string(&detector.state()).unwrap();
    let again = |air: &Air| {
        let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
        detector.restore(serde_json::from_str(&text).unwrap());
        detector.process(&air.block(), &mut out);
        detector.finish(&mut out);
        detector.state().base_stations
    };
    let silent = air(&cell, 7.68e6, 10, 71);
    assert!(cell.has_learned_it(&again(&silent)));
    // Its preambles stay where they were, and its carrier is a narrower one around them.
    let preambles_hz = cell.carrier_hz + lte::block_edge_hz(cell.first, cell.blocks);
    let narrow = Cell { first: 6, blocks: 15, carrier_hz: preambles_hz - lte::block_edge_hz(6, 15), ..cell };
    let mut changed = air(&narrow, 7.68e6, 900, 72);
    hops(&mut changed, &narrow, each_third(300), 8.0);
    let known = again(&changed);
    assert!(known.len() == 1 && narrow.has_learned_it(&known), "{known:#?}");
}

/// Files of before had no carriers.
#[test]
fn what_was_written_before_is_read() {
    let old = serde_json::json!({"center_hz": 847e6, "format": 0, "roots": [{"root": 129, "heard": 3}],
        "subframes": vec![0; 20], "others": 0});
    let read: LearnedPrach = serde_json::from_value(old).unwrap();
    assert!(read.carrier().is_none() && read.is_possible());
}

fn configured(cell: &Cell, bandwidth_hz: Option<f64>, carrier_center: Option<f64>) -> KnownPrach {
    let edge_hz = lte::block_edge_hz(cell.first + 3, cell.blocks);
    KnownPrach {
        center: Hertz(cell.carrier_hz + edge_hz),
        format: 0,
        roots: vec![cell.root as u16],
        bandwidth: bandwidth_hz.map(Hertz),
        carrier_center: carrier_center.map(Hertz),
    }
}

#[test]
fn what_is_configured_of_a_carrier_is_known_or_refused() {
    let cell = Cell::new(50);
    let whole = configured(&cell, Some(10e6), Some(cell.carrier_hz));
    assert_eq!(whole.check(), Ok(()));
    let mut learned = Vec::new();
    whole.teach(&mut learned);
    let carrier = learned[0].carrier().unwrap();
    assert!((carrier.center_hz - cell.carrier_hz).abs() < 1.0 && carrier.bandwidth_hz() == 10e6, "{carrier:?}");
    assert!(configured(&cell, Some(11e6), None).check().unwrap_err().contains("bandwidth"));
    assert!(configured(&cell, Some(3e6), Some(cell.carrier_hz)).check().unwrap_err().contains("carrier_center"));
    let written = serde_json::json!({"center": "847M", "roots": [129]});
    assert_eq!(serde_json::from_value::<KnownPrach>(written).unwrap().bandwidth, None);
    let written = serde_json::json!({"center": "847M", "roots": [129], "bandwidth": "10M"});
    assert_eq!(serde_json::from_value::<KnownPrach>(written).unwrap().bandwidth, Some(Hertz(10e6)));
}

/// Of those that are found, and how many are PUCCHs.
fn named(sent: &[Sent], bursts: &[Burst]) -> (usize, usize) {
    let found: Vec<&Burst> = sent.iter().filter_map(|s| bursts.iter().find(|b| s.is_found_by(b))).collect();
    let right = found.iter().filter(|b| (b.standard, b.kind) == (Standard::Lte, Kind::Pucch)).count();
    (found.len(), right)
}

/// Among twice as many bursts of one block and one slot at any time and place, slots are named at 3 dB where the
/// carrier's centre is known, and chance names no more than it does without.
#[test]
fn what_hops_about_a_known_centre_is_named_at_3_db() {
    let cell = Cell::new(25);
    let count = 150;
    let mut air = air(&cell, 7.68e6, 12 * count, 80);
    let (mut sent, mut other) = (Vec::new(), Vec::new());
    for i in 0..count {
        let at = BEFORE + 12 * i;
        sent.extend(hops(&mut air, &cell, std::iter::once(at), 3.0));
        for j in 0..3 {
            let at = at as f64 + 2.0 + 3.0 * f64::from(j) + air.rng.random_range(0.0..1.0);
            let off = Cell { carrier_hz: LTE_HZ + air.rng.random_range(-90e3..90e3), ..cell };
            let block = air.rng.random_range(1..cell.blocks - 1);
            other.push(off.slot(&mut air, at, block, 3.0));
        }
    }
    let shares = [false, true].map(|is_known| {
        let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
        if is_known {
            detector.teach(&[configured(&cell, Some(5e6), Some(cell.carrier_hz))]);
        }
        detector.process(&air.block(), &mut out);
        detector.finish(&mut out);
        let ((found, right), by_chance) = (named(&sent, &out), named(&other, &out));
        println!("known: {is_known}: {found} found, {right} named; of {} others {} named", by_chance.0, by_chance.1);
        (found, right, by_chance)
    });
    let (found, right, (others, wrong)) = shares[1];
    assert!(tail_bound(right, found, 0.97) > 1e-3, "{right} of {found}");
    assert!(tail_bound(others - wrong, others, 1.0 - 1.0 / 150.0) > 1e-3, "{wrong} of {others}");
}

/// Of the same PUSCHs, whose subframes and blocks are those of the base station, its grid names what lies within its
/// carrier alone.
#[test]
fn what_lies_outside_of_a_carrier_is_not_named_by_its_grid() {
    let cell = Cell::new(25);
    let count = 60;
    let mut air = air(&cell, 7.68e6, 4 * count, 90);
    let mut sent = Vec::new();
    for i in 0..count {
        let (first, blocks) = (if i % 2 == 0 { 11 } else { 0 }, 3);
        let burst = lte::pusch((first, blocks, cell.blocks), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
        let (start_s, seconds) = (cell.subframe_s((BEFORE + 4 * i) as f64) - ADVANCE_S, burst.seconds());
        air.add(&Wave::Ofdm(burst), (start_s, seconds), cell.heard_hz(), (3.0, 3.0 * lte_tables::RB_HZ));
        let hz = |block| cell.heard_hz() + lte::block_edge_hz(block, cell.blocks);
        sent.push(Sent { start_s, seconds, low_hz: hz(first), high_hz: hz(first + blocks) });
    }
    // As if its carrier had the middle 15 of those blocks.
    let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
    let narrow = KnownPrach { bandwidth: Some(Hertz(3e6)), ..configured(&cell, None, Some(cell.carrier_hz)) };
    detector.teach(&[narrow]);
    detector.process(&air.block(), &mut out);
    detector.finish(&mut out);
    let by_grid = |s: &&Sent| {
        let found = out.iter().find(|b| s.is_found_by(b));
        found.is_some_and(|b| b.detail.evidence.iter().any(|e| e.name == "on_learned_subframes"))
    };
    let (inside, outside) = (sent.iter().step_by(2), sent.iter().skip(1).step_by(2));
    let named = (inside.filter(by_grid).count(), outside.filter(by_grid).count());
    assert!(named.0 > 20 && named.1 == 0, "{named:?}");
}
