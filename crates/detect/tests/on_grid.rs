//! What a learned base station's subframes and blocks name, on the simulator's waves in Gaussian noise.
//!
//! The SNR is the wave's mean power over the noise in its resource blocks. Shares are refuted where Chernoff's bound says that
//! a detector so good would fall short as often less than once in a thousand runs.

#![allow(clippy::unwrap_used)] // a test may

#[allow(dead_code)] // not every test needs all of it
#[path = "common/air.rs"]
mod air;
#[path = "common/sent.rs"]
mod sent;

use air::{Air, tail_bound};
use cellwarden_sim::wave::{Wave, lte};
use cellwarden_standards::lte as lte_tables;
use cellwarden_types::{Burst, Kind, Standard};
use rand::Rng;
use sent::Sent;

const LTE_HZ: f64 = 847e6;
const RATE_HZ: f64 = 7.68e6;
const CARRIER: u16 = 25;
/// The receiver's clock is so much slower, and its tuning so much lower.
const RADIO_ERROR: f64 = 0.8e-6;
const SUBFRAME_S: f64 = 1e-3;
/// When the base station's first subframe begins, and how much earlier than its preambles phones near here send: 1.8 km.
const OFFSET_S: f64 = 0.37e-3;
const ADVANCE_S: f64 = 12e-6;
const PREAMBLES: usize = 12;
/// Subframes from one emission to the next.
const SPACING: usize = 4;
/// Of those, what is measured before the advance is known is not counted.
const EARLY: usize = 20;

/// Noise in which a base station's preambles were heard at 5 dB, and room for `trials` emissions.
fn learned(trials: usize, seed: u64) -> Air {
    let seconds = 0.3 + (trials * SPACING) as f64 * SUBFRAME_S;
    let mut air = Air::noise(RATE_HZ, LTE_HZ, seconds, seed);
    for i in 0..PREAMBLES {
        let start_s = ((100 + 10 * i) as f64 * SUBFRAME_S + OFFSET_S) * (1.0 + RADIO_ERROR);
        let burst = lte::prach(&lte_tables::PRACH_FORMATS[0], (129, 13 * (i % 64)), (4, CARRIER));
        let span = (start_s, burst.seconds());
        air.add(&Wave::Ofdm(burst), span, LTE_HZ * (1.0 + RADIO_ERROR), (5.0, lte_tables::PRACH_HZ));
    }
    air
}

/// Sends one emission on `count` blocks: its place in time comes in subframes behind the preambles, in frequency from `first`,
/// and `off_hz` beside the grid.
fn send(air: &mut Air, at: f64, burst: lte::OfdmBurst, (first, count): (u16, u16), off_hz: f64, snr_db: f64) -> Sent {
    let start_s = ((250.0 + at) * SUBFRAME_S + OFFSET_S - ADVANCE_S) * (1.0 + RADIO_ERROR);
    let seconds = burst.seconds();
    let carrier_hz = LTE_HZ * (1.0 + RADIO_ERROR) + off_hz + air.rng.random_range(-300.0..300.0);
    air.add(&Wave::Ofdm(burst), (start_s, seconds), carrier_hz, (snr_db, f64::from(count) * lte_tables::RB_HZ));
    let hz = |block| carrier_hz + lte::block_edge_hz(block, CARRIER);
    Sent { start_s, seconds, low_hz: hz(first), high_hz: hz(first + count) }
}

fn pusch(air: &mut Air, blocks: (u16, u16)) -> lte::OfdmBurst {
    lte::pusch((blocks.0, blocks.1, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng)
}

fn bursts(air: &Air) -> Vec<Burst> {
    air.detect().1
}

/// Of those that are found, the share that `kind` of LTE names; and the named ones' errors of start, in µs, the least first.
fn named(sent: &[Sent], bursts: &[Burst], kind: Kind) -> (usize, usize, Vec<f64>) {
    let found: Vec<(&Sent, &Burst)> =
        sent.iter().filter_map(|s| Some((s, bursts.iter().find(|b| s.is_found_by(b))?))).collect();
    let right: Vec<_> = found.iter().filter(|(_, b)| b.standard == Standard::Lte && b.kind == kind).collect();
    let mut errors: Vec<f64> = right.iter().map(|(s, b)| (b.start_s - s.start_s).abs() * 1e6).collect();
    errors.sort_by(f64::total_cmp);
    for (s, b) in &right {
        let off_hz = (b.freq_lower_hz - s.low_hz).abs().max((b.freq_upper_hz - s.high_hz).abs());
        assert!(off_hz < lte_tables::RB_HZ, "{off_hz}: {b:?}");
    }
    (found.len(), right.len(), errors)
}

#[test]
fn allocations_of_few_blocks_are_named_at_3_db_and_begin_right() {
    for (count, seed) in [(1, 11), (2, 12), (5, 13)] {
        let mut air = learned(EARLY + 200, seed);
        let sent: Vec<Sent> = (0..EARLY + 200)
            .map(|i| {
                let blocks = (air.rng.random_range(0..=CARRIER - count), count);
                let burst = pusch(&mut air, blocks);
                send(&mut air, (i * SPACING) as f64, burst, blocks, 0.0, 3.0)
            })
            .collect();
        let (found, right, errors) = named(&sent[EARLY..], &bursts(&air), Kind::Pusch);
        println!("{count} blocks: {found} found, {right} named, 95 % within {:.1} µs", errors[right * 95 / 100]);
        assert!(tail_bound(found, 200, 0.99) > 1e-3 && tail_bound(right, found, 0.97) > 1e-3, "{found}, {right}");
        assert!(errors[right * 95 / 100] < 20.0, "{errors:?}");
    }
}

#[test]
fn control_slots_are_named_at_6_db() {
    let mut air = learned(EARLY + 100, 21);
    let mut sent = Vec::new();
    for i in 0..EARLY + 100 {
        for (slot, place) in [(0, 0), (1, CARRIER - 1)] {
            let burst = lte::pucch1_slot((place, CARRIER), (7, i % 12, 0), true);
            let at = (i * SPACING) as f64 + 0.5 * f64::from(slot);
            sent.push(send(&mut air, at, burst, (place, 1), 0.0, 6.0));
        }
    }
    let (found, right, _) = named(&sent[2 * EARLY..], &bursts(&air), Kind::Pucch);
    println!("{found} found, {right} named");
    assert!(tail_bound(found, 200, 0.99) > 1e-3 && tail_bound(right, found, 0.97) > 1e-3, "{found}, {right}");
}

/// What lies anywhere is on the grid by chance in one case of 150 at the most, whatever its strength.
#[test]
fn what_lies_anywhere_is_not_named_by_the_grid() {
    let (mut found, mut named) = (0, 0);
    for (snr_db, seed) in [(-1.0, 31), (2.0, 32), (6.0, 33)] {
        let mut air = learned(300, seed);
        let mut sent = Vec::new();
        for i in 0..300 {
            let count = air.rng.random_range(2..=6);
            let blocks = (air.rng.random_range(1..CARRIER - count), count);
            let burst = pusch(&mut air, blocks);
            let (at, off_hz) = ((i * SPACING) as f64 + air.rng.random::<f64>(), air.rng.random_range(-90e3..90e3));
            sent.push(send(&mut air, at, burst, blocks, off_hz, snr_db));
        }
        for burst in bursts(&air).iter().filter(|b| sent.iter().any(|s| s.is_found_by(b))) {
            found += 1;
            named += usize::from(burst.detail.evidence.iter().any(|e| e.name == "on_learned_subframes"));
        }
    }
    println!("{named} of {found} named");
    assert!(found > 700 && tail_bound(found - named, found, 1.0 - 1.0 / 150.0) > 1e-3, "{named} of {found}");
}

/// A phone in a call is heard by its reports: -4 dB in their blocks, one each 40 ms. Of the first ones of its two seconds nothing tells.
#[test]
fn reports_are_told_by_their_pair_at_minus_4_db() {
    let (mut found, mut told, mut wrong) = (0, 0, 0);
    for seed in 41..44 {
        let mut air = learned(500, seed);
        let mut sent = Vec::new();
        for i in 0..50 {
            for (slot, place) in [(0, 1), (1, CARRIER - 2)] {
                let burst = lte::pucch1_slot((place, CARRIER), (7, i % 12, 0), true);
                sent.push(send(&mut air, (40 * i) as f64 + 0.5 * f64::from(slot), burst, (place, 1), 0.0, -4.0));
            }
        }
        let bursts = bursts(&air);
        let is_report = |b: &&Burst| b.detail.evidence.iter().any(|e| e.name == "report_at_its_pair");
        let late = &sent[20..];
        found += late.iter().filter(|s| bursts.iter().any(|b| b.kind == Kind::Pucch && s.is_found_by(b))).count();
        told += bursts.iter().filter(is_report).count();
        wrong += bursts.iter().filter(is_report).filter(|b| !sent.iter().any(|s| s.is_found_by(b))).count();
        let twice = sent.iter().filter(|s| bursts.iter().filter(|b| s.is_found_by(b)).count() > 1).count();
        assert_eq!(twice, 0);
    }
    println!("{found} of 240 found; {told} told, {wrong} of them wrong");
    assert!(tail_bound(found, 240, 0.4) > 1e-3 && wrong * 50 < told, "{found} of 240, {wrong} of {told} wrong");
}
