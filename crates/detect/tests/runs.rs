//! A phone that sends subframe after subframe, on the simulator's waves in Gaussian noise.
//!
//! The SNR is the wave's mean power over the noise in its resource blocks.

#![allow(clippy::unwrap_used)] // a test may

#[allow(dead_code)] // not every test needs all of it
#[path = "common/air.rs"]
mod air;
#[path = "common/sent.rs"]
mod sent;

use air::Air;
use cellwarden_sim::wave::{Wave, lte};
use cellwarden_standards::lte as lte_tables;
use cellwarden_types::{Burst, Kind, Standard};
use num_complex::Complex32;
use rand::Rng;
use sent::Sent;

/// Middle of a band 20 uplink.
const LTE_HZ: f64 = 847e6;
const RATE_HZ: f64 = 15.36e6;
const CARRIER: u16 = 50;
const SUBFRAMES: usize = 75;

/// Sends so many subframes in a row, each on `count` blocks from what `first` gives on.
fn send_run(
    air: &mut Air,
    start_s: f64,
    (count, snr_db): (u16, f64),
    mut first: impl FnMut(&mut Air) -> u16,
    change: impl Fn(&mut lte::OfdmBurst, &mut Air),
) -> Vec<Sent> {
    (0..SUBFRAMES)
        .map(|i| {
            let first = first(air);
            let mut burst = lte::pusch((first, count, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
            change(&mut burst, air);
            let (at_s, seconds) = (start_s + i as f64 * 1e-3, burst.seconds());
            air.add(&Wave::Ofdm(burst), (at_s, seconds), LTE_HZ, (snr_db, f64::from(count) * lte_tables::RB_HZ));
            let hz = |block| LTE_HZ + lte::block_edge_hz(block, CARRIER);
            Sent { start_s: at_s, seconds, low_hz: hz(first), high_hz: hz(first + count) }
        })
        .collect()
}

fn room(seed: u64) -> Air {
    Air::noise(RATE_HZ, LTE_HZ, 0.5, seed)
}

fn is_pusch(b: &Burst) -> bool {
    (b.standard, b.kind) == (Standard::Lte, Kind::Pusch)
}

/// Subframes that one burst of their own length names, and bursts besides that are none or a phone's.
fn named(sent: &[Sent], bursts: &[Burst]) -> (usize, Vec<Burst>) {
    let of = |s: &Sent, b: &&Burst| is_pusch(b) && s.is_found_by(b) && b.duration_s < 1.2 * s.seconds;
    let named = sent.iter().filter(|s| bursts.iter().filter(|b| of(s, b)).count() == 1).count();
    let is_claimed = |b: &Burst| b.standard.is_phone() || b.standard == Standard::Unknown;
    let others = bursts.iter().filter(|b| is_claimed(b) && !sent.iter().any(|s| of(s, b)));
    (named, others.cloned().collect())
}

#[test]
fn each_subframe_of_a_run_is_named_and_its_leakage_is_no_burst() {
    for (count, snr_db, seed) in [(20, 12.0, 91), (20, 30.0, 92), (40, 45.0, 93)] {
        let mut air = room(seed);
        // As networks do: a few blocks to and fro.
        let sent = send_run(&mut air, 0.2, (count, snr_db), |air| air.rng.random_range(3..5), |_, _| ());
        let (_, bursts) = air.detect();
        let (found, others) = named(&sent, &bursts);
        println!("{count} blocks at {snr_db} dB: {found} of {SUBFRAMES}, {} others", others.len());
        let wrong: Vec<&Burst> = others.iter().filter(|b| b.standard.is_phone()).collect();
        assert!(found >= SUBFRAMES - 3 && wrong.len() <= 1 && others.len() <= SUBFRAMES / 10, "{found}: {others:#?}");
    }
}

#[test]
fn subframes_that_move_all_over_the_carrier_come_apart() {
    let mut air = room(94);
    let sent = send_run(&mut air, 0.2, (16, 15.0), |air| air.rng.random_range(0..=CARRIER - 16), |_, _| ());
    let (_, bursts) = air.detect();
    let (found, others) = named(&sent, &bursts);
    let wrong = others.iter().filter(|b| b.standard.is_phone()).count();
    println!("{found} of {SUBFRAMES}; {} others, {wrong} named", others.len());
    assert!(found >= SUBFRAMES * 8 / 10 && wrong <= 3, "{found}, {wrong}");
}

/// OFDM has prefixes in both directions. What carries data on each subcarrier by itself is as level in all its symbols.
#[test]
fn a_downlink_that_is_always_on_is_no_run() {
    let mut air = room(95);
    let downlink = |burst: &mut lte::OfdmBurst, air: &mut Air| {
        for symbol in &mut burst.symbols {
            let level = (1.0 / symbol.amplitudes.len() as f32).sqrt();
            for a in &mut symbol.amplitudes {
                *a = Complex32::from_polar(level, air.rng.random_range(0..4) as f32 * std::f32::consts::FRAC_PI_2);
            }
        }
    };
    send_run(&mut air, 0.2, (25, 20.0), |_| 10, downlink);
    let (_, bursts) = air.detect();
    let named: Vec<&Burst> = bursts.iter().filter(|b| b.standard.is_phone()).collect();
    assert!(named.len() <= 1, "{named:#?}");
}

/// PUSCH of so many blocks, each over the receiver's own DC offset, which lies in the middle of its band and of many an allocation.
fn send_over_dc(air: &mut Air, (count, snr_db): (u16, f64)) -> Vec<Sent> {
    air.add(&Wave::Cw, (0.0, 0.5), LTE_HZ, (33.0, 15e3));
    (0..50)
        .map(|i| {
            let first = CARRIER / 2 - air.rng.random_range(1..count);
            let burst = lte::pusch((first, count, CARRIER), lte::Modulation::Qpsk, (7, 2), &mut air.rng);
            let (start_s, seconds) = (0.2 + f64::from(i) * 5e-3, burst.seconds());
            let width_hz = f64::from(count) * lte_tables::RB_HZ;
            air.add(&Wave::Ofdm(burst), (start_s, seconds), LTE_HZ, (snr_db, width_hz));
            let hz = |block| LTE_HZ + lte::block_edge_hz(block, CARRIER);
            Sent { start_s, seconds, low_hz: hz(first), high_hz: hz(first + count) }
        })
        .collect()
}

#[test]
fn an_allocation_over_the_receivers_dc_offset_is_one() {
    for (count, snr_db, seed) in [(4, 15.0, 96), (24, 12.0, 97)] {
        let mut air = room(seed);
        let sent = send_over_dc(&mut air, (count, snr_db));
        let (_, bursts) = air.detect();
        let (found, others) = named(&sent, &bursts);
        println!("{count} blocks: {found} of 50, {} others", others.len());
        let off_hz = |s: &Sent, b: &Burst| (s.low_hz - b.freq_lower_hz).abs().max((s.high_hz - b.freq_upper_hz).abs());
        let whole = |s: &&Sent| bursts.iter().any(|b| s.is_found_by(b) && off_hz(s, b) < lte_tables::RB_HZ);
        let whole = sent.iter().filter(whole).count();
        assert!(found >= 47 && whole >= 48 && others.len() <= 3, "{found}, {whole}, {others:#?}");
    }
}

#[test]
fn a_faint_allocation_over_the_receivers_dc_offset_is_found() {
    let mut air = room(98);
    let sent = send_over_dc(&mut air, (12, -1.0));
    let (_, bursts) = air.detect();
    let level = |s: &Sent| bursts.iter().find(|b| s.is_found_by(b)).map(|b| b.snr_db);
    let levels: Vec<f64> = sent.iter().filter_map(level).collect();
    let mean_db = levels.iter().sum::<f64>() / levels.len() as f64;
    println!("{} of 50 at {mean_db} dB", levels.len());
    // Its level is not the offset's.
    assert!(levels.len() >= 44 && (mean_db + 1.0).abs() < 1.0, "{levels:?}");
}
