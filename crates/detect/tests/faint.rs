//! Emissions that no few cells of the spectrogram show, found by their energy alone, on the simulator's waves in
//! Gaussian noise.
//!
//! The SNR is the wave's mean power over the noise in its resource blocks, or in a sounding's whole band. A claim of
//! 0.99 is refuted where Chernoff's bound says that a detector so good would miss as often less than once in a million
//! runs.

#![allow(clippy::unwrap_used)] // a test may

#[allow(dead_code)] // not every test needs all of it
#[path = "common/air.rs"]
mod air;
#[path = "common/sent.rs"]
mod sent;

use air::{Air, tail_bound};
use cellwarden_detect::DetectConfig;
use cellwarden_sim::wave::{Wave, lte};
use cellwarden_standards::lte as lte_tables;
use cellwarden_types::{Burst, Kind, Standard};
use rand::Rng;
use sent::Sent;

/// Middle of a band 20 uplink.
const LTE_HZ: f64 = 847e6;
const RATE_HZ: f64 = 10e6;
const CARRIER: u16 = 50;
const TRIALS: usize = 60;
const FOUND: f64 = 0.99;
const REFUTED: f64 = 1e-6;

/// Sends a wave on `count` blocks from `first` on, at `snr_db` in them.
fn send(air: &mut Air, start_s: f64, burst: lte::OfdmBurst, (first, count): (u16, u16), snr_db: f64) -> Sent {
    let seconds = burst.seconds();
    air.add(&Wave::Ofdm(burst), (start_s, seconds), LTE_HZ, (snr_db, f64::from(count) * lte_tables::RB_HZ));
    let hz = |block| LTE_HZ + lte::block_edge_hz(block, CARRIER);
    Sent { start_s, seconds, low_hz: hz(first), high_hz: hz(first + count) }
}

/// Noise before, so that the floor is known, and room for the trials.
fn room(seed: u64) -> (Air, Vec<f64>) {
    let mut air = Air::noise(RATE_HZ, LTE_HZ, 0.25 + TRIALS as f64 * 5e-3, seed);
    let starts = (0..TRIALS).map(|i| 0.2 + (i as f64 + air.rng.random_range(0.0..0.5)) * 5e-3).collect();
    (air, starts)
}

/// Asserts that what was sent is found as `standard`, once each, and nothing else is.
fn assert_found(air: &Air, sent: &[Sent], standard: Standard) {
    let (_, bursts) = air.detect_with(DetectConfig::default());
    let found = sent.iter().filter(|s| bursts.iter().any(|b| b.standard == standard && s.is_found_by(b))).count();
    let bound = tail_bound(found, sent.len(), FOUND);
    assert!(bound > REFUTED, "{found} of {}: {bound:.1e}", sent.len());
    let named = |b: &&Burst| b.standard.is_phone() || b.standard == Standard::Unknown;
    let wrong: Vec<&Burst> = bursts.iter().filter(named).filter(|b| !sent.iter().any(|s| s.is_under(b))).collect();
    // A sounding and chance together look like something longer now and then.
    let named = wrong.iter().filter(|b| b.standard.is_phone()).count();
    assert!(named == 0 && wrong.len() <= 1, "{wrong:#?}");
    let twice = sent.iter().filter(|s| bursts.iter().filter(|b| s.is_found_by(b)).count() > 1).count();
    assert_eq!(twice, 0);
    let proven = bursts.iter().filter(|b| b.standard.is_phone()).count();
    assert!(standard != Standard::Unknown || proven == 0, "energy proves nothing: {proven}");
}

#[test]
fn allocations_of_1_4_and_25_blocks_are_found_in_one_subframe() {
    for (count, snr_db, seed) in [(1, 1.5, 71), (4, -2.0, 72), (25, -6.0, 73)] {
        let (mut air, starts) = room(seed);
        let sent: Vec<Sent> = starts
            .into_iter()
            .map(|start_s| {
                let first = air.rng.random_range(0..=CARRIER - count);
                let burst = lte::pusch((first, count, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
                send(&mut air, start_s, burst, (first, count), snr_db)
            })
            .collect();
        assert_found(&air, &sent, Standard::Unknown);
    }
}

/// Of `TRIALS` PUSCH of `count` blocks, how many are named; without reference signals, data is in their place.
fn named_shared_channels(count: u16, snr_db: f64, seed: u64, has_reference: bool) -> usize {
    let (mut air, starts) = room(seed);
    let sent: Vec<Sent> = starts
        .into_iter()
        .map(|start_s| {
            let first = air.rng.random_range(0..=CARRIER - count);
            let mut burst = lte::pusch((first, count, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
            for slot in burst.symbols.chunks_exact_mut(lte_tables::SLOT_SYMBOLS).filter(|_| !has_reference) {
                let data = slot[lte_tables::PUSCH_DMRS_SYMBOL - 1].amplitudes.clone();
                slot[lte_tables::PUSCH_DMRS_SYMBOL].amplitudes = data;
            }
            send(&mut air, start_s, burst, (first, count), snr_db)
        })
        .collect();
    let (_, bursts) = air.detect_with(DetectConfig::default());
    let is_named =
        |s: &&Sent| bursts.iter().any(|b| (b.standard, b.kind) == (Standard::Lte, Kind::Pusch) && s.is_found_by(b));
    sent.iter().filter(is_named).count()
}

#[test]
fn one_or_two_blocks_are_named_at_8_db_by_their_prefixes_and_reference_signals() {
    for (count, seed) in [(1, 74), (2, 75)] {
        let named = named_shared_channels(count, 8.0, seed, true);
        assert!(tail_bound(named, TRIALS, 0.97) > REFUTED, "{count} blocks: {named} of {TRIALS}");
    }
    // Where prefixes are no proof, reference signals are: of those that are clear enough.
    let named = [true, false].map(|has_reference| named_shared_channels(1, 6.0, 76, has_reference));
    println!("at 6 dB, with and without reference signals: {named:?} of {TRIALS}");
    assert!(named[0] >= TRIALS / 5 && named[1] <= TRIALS / 30, "{named:?}");
}

/// Found together: half of them at the least.
#[test]
fn ten_subframes_of_4_blocks_within_40_ms_are_found_at_minus_6_db() {
    let (mut groups, mut all, mut wrong) = (0, 0, 0);
    for seed in 81..84 {
        let mut air = Air::noise(RATE_HZ, LTE_HZ, 0.2 + 20.0 * 0.1, seed);
        let sent: Vec<Vec<Sent>> = (0..20)
            .map(|group| {
                let start_s = 0.2 + f64::from(group) * 0.1 + air.rng.random_range(0.0..1e-3);
                let first = air.rng.random_range(0..=CARRIER - 4);
                let mut subframes = rand::seq::index::sample(&mut air.rng, 40, 10).into_vec();
                subframes.sort_unstable();
                let one = |at: usize| {
                    let burst = lte::pusch((first, 4, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
                    send(&mut air, start_s + at as f64 * 1e-3, burst, (first, 4), -6.0)
                };
                subframes.into_iter().map(one).collect()
            })
            .collect();
        let (_, bursts) = air.detect_with(DetectConfig::default());
        let found = |group: &Vec<Sent>| group.iter().filter(|s| bursts.iter().any(|b| s.is_found_by(b))).count();
        groups += sent.iter().filter(|g| 2 * found(g) >= g.len()).count();
        all += sent.iter().map(found).sum::<usize>();
        wrong += bursts.iter().filter(|b| !sent.iter().flatten().any(|s| s.share(b) > 0.0)).count();
    }
    println!("{groups} of 60 groups, {all} of 600 subframes; {wrong} of noise");
    assert!(tail_bound(groups, 60, FOUND) > REFUTED && tail_bound(all, 600, 0.85) > REFUTED, "{groups}, {all}");
    assert!(wrong <= 6, "{wrong}");
}

#[test]
fn both_slots_of_a_control_channel_are_found_at_3_db() {
    let (mut air, starts) = room(74);
    let mut sent = Vec::new();
    for start_s in starts {
        let first = air.rng.random_range(0..4);
        for (slot, block) in [(0.0, first), (1.0, CARRIER - 1 - first)] {
            let burst = lte::pucch1_slot((block, CARRIER), (5, 3, 1), air.rng.random());
            sent.push(send(&mut air, start_s + slot * 0.5e-3, burst, (block, 1), 3.0));
        }
    }
    assert_found(&air, &sent, Standard::Unknown);
}

#[test]
fn soundings_of_20_blocks_are_found_and_proven_at_2_db() {
    let (mut air, starts) = room(75);
    let sent: Vec<Sent> = starts
        .into_iter()
        .map(|start_s| {
            let first = air.rng.random_range(0..=CARRIER - 20);
            let burst = lte::srs((first, 20, CARRIER), air.rng.random_range(0..2), (3, 4));
            send(&mut air, start_s, burst, (first, 20), 2.0)
        })
        .collect();
    assert_found(&air, &sent, Standard::Lte);
    let (_, bursts) = air.detect_with(DetectConfig::default());
    assert!(bursts.iter().filter(|b| b.standard == Standard::Lte).all(|b| b.kind == Kind::Srs), "{bursts:#?}");
}

#[test]
fn two_seconds_of_noise_hold_nothing() {
    let (_, bursts) = Air::noise(RATE_HZ, LTE_HZ, 2.0, 76).detect_with(DetectConfig::default());
    let unproven = bursts.iter().filter(|b| b.standard != Standard::Other).count();
    assert_eq!(unproven, 0, "{bursts:#?}");
}

#[test]
fn allocations_that_touch_come_apart_where_their_levels_differ() {
    let (mut air, starts) = room(77);
    let mut sent = Vec::new();
    for start_s in starts {
        let first = air.rng.random_range(0..=CARRIER - 8);
        for (first, snr_db) in [(first, 5.0), (first + 4, -1.0)] {
            let burst = lte::pusch((first, 4, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
            sent.push(send(&mut air, start_s, burst, (first, 4), snr_db));
        }
    }
    assert_found(&air, &sent, Standard::Unknown);
}

#[test]
fn beside_a_strong_phone_a_faint_one_is_found_and_nothing_else() {
    let (mut air, starts) = room(78);
    let mut sent = Vec::new();
    for start_s in starts {
        for (first, count, snr_db) in [(2, 10, 25.0), (30, 4, 0.0)] {
            let burst = lte::pusch((first, count, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
            sent.push(send(&mut air, start_s, burst, (first, count), snr_db));
        }
    }
    let (_, bursts) = air.detect_with(DetectConfig::default());
    let faint: Vec<&Sent> = sent.iter().skip(1).step_by(2).collect();
    let found =
        faint.iter().filter(|s| bursts.iter().any(|b| b.standard == Standard::Unknown && s.is_found_by(b))).count();
    assert!(tail_bound(found, faint.len(), FOUND) > REFUTED, "{found} of {}", faint.len());
    // What is clearer, the segmenter splits off at the strong one's edges.
    let other = bursts.iter().filter(|b| b.snr_db < 4.0 && !sent.iter().any(|s| s.is_under(b)));
    let wrong: Vec<&Burst> = other.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Blocks of a strong phone, and of a weak one some 3 MHz away.
const STRONG: (u16, u16) = (2, 10);
const WEAK: (u16, u16) = (30, 4);

#[test]
fn a_phone_60_db_above_hides_no_weak_one_and_its_leakage_is_no_burst() {
    for (snr_db, above_db, seed) in [(12.0, 40.0, 84), (0.0, 50.0, 85), (3.0, 60.0, 81), (12.0, 60.0, 82)] {
        let (mut air, starts) = room(seed);
        let mut weak = Vec::new();
        let mut strong = Vec::new();
        for start_s in starts {
            for (blocks, snr_db, sent) in [(STRONG, snr_db + above_db, &mut strong), (WEAK, snr_db, &mut weak)] {
                let allocation = (blocks.0, blocks.1, CARRIER);
                let burst = lte::pusch(allocation, lte::Modulation::Qpsk, (7, 2), &mut air.rng);
                sent.push(send(&mut air, start_s, burst, blocks, snr_db));
            }
        }
        let (_, bursts) = air.detect_with(DetectConfig::default());
        for sent in [&strong, &weak] {
            let found = sent.iter().filter(|s| bursts.iter().any(|b| s.is_found_by(b))).count();
            assert!(tail_bound(found, sent.len(), FOUND) > REFUTED, "{found} of {} at {snr_db}", sent.len());
        }
        let is_sent = |b: &Burst| strong.iter().chain(&weak).any(|s| s.is_under(b));
        let leaked: Vec<&Burst> = bursts.iter().filter(|b| b.standard != Standard::Other && !is_sent(b)).collect();
        assert!(leaked.len() <= 1, "{} at {snr_db}: {leaked:#?}", leaked.len());
    }
}

#[test]
fn a_preamble_is_found_beside_a_phone_60_db_above() {
    let (mut air, starts) = room(83);
    let mut sent = Vec::new();
    for start_s in starts {
        let burst = lte::pusch((STRONG.0, STRONG.1, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
        send(&mut air, start_s, burst, STRONG, 60.0);
        let (root, shift) = (air.rng.random_range(1..=838), air.rng.random_range(0..839));
        let preamble = lte::prach(&lte_tables::PRACH_FORMATS[0], (root, shift), (30, CARRIER));
        let seconds = preamble.seconds();
        air.add(&Wave::Ofdm(preamble), (start_s, seconds), LTE_HZ, (0.0, 6.0 * lte_tables::RB_HZ));
        let hz = |block| LTE_HZ + lte::block_edge_hz(block, CARRIER);
        sent.push(Sent { start_s, seconds, low_hz: hz(30), high_hz: hz(36) });
    }
    let (_, bursts) = air.detect_with(DetectConfig::default());
    let is_preamble = |b: &&Burst| b.kind == Kind::Prach;
    let found = sent.iter().filter(|s| bursts.iter().filter(is_preamble).any(|b| s.is_found_by(b))).count();
    assert!(tail_bound(found, sent.len(), FOUND) > REFUTED, "{found} of {}", sent.len());
}

#[test]
fn what_is_always_on_is_no_burst() {
    // A faint carrier of 200 kHz that is on for 60 % of the time, in pieces of 1 ms, and one that never stops.
    let mut air = Air::noise(RATE_HZ, LTE_HZ, 3.0, 79);
    let mut at_s = 0.2;
    while at_s < 2.95 {
        let burst = lte::pusch((10, 2, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
        send(&mut air, at_s, burst, (10, 2), 3.0);
        at_s += 1e-3 * if air.rng.random_bool(0.6) { 1.0 } else { 2.7 };
    }
    let (_, bursts) = air.detect_with(DetectConfig::default());
    let late = bursts.iter().filter(|b| b.standard == Standard::Unknown && b.start_s > 1.5).count();
    let early = bursts.iter().filter(|b| b.standard == Standard::Unknown && b.start_s < 1.5).count();
    assert!(early > 20, "{early}");
    assert!(late < early / 2, "{late} after {early}");
}
