//! Machines on the simulator's waves in Gaussian noise: they are named, and none is taken for a phone.
//!
//! The SNR is the wave's mean power over the noise in the carrier's 180 kHz.

#![allow(clippy::unwrap_used)] // a test may

#[allow(dead_code)] // not every test needs all of it
#[path = "common/air.rs"]
mod air;

use air::Air;
use cellwarden_sim::wave::nbiot::{Npusch, TonePhase, nprach};
use cellwarden_sim::wave::{Wave, gsm};
use cellwarden_standards::nbiot::{self, Tones};
use cellwarden_types::{Burst, Kind, Standard};
use rand::Rng;

const RATE_HZ: f64 = 1.92e6;
const CENTER_HZ: f64 = 847e6;
const TRIALS: usize = 24;
const SLOT_S: f64 = 60e-3;
const SNR_DB: f64 = 8.0;

/// Sends what `make` makes, each 60 ms, and gives what was found of each, as a share of its time, and all bursts.
fn send(seed: u64, make: impl Fn(&mut Air) -> Wave) -> (Vec<f64>, Vec<Burst>) {
    let mut air = Air::noise(RATE_HZ, CENTER_HZ, 0.2 + TRIALS as f64 * SLOT_S, seed);
    let mut sent = Vec::new();
    for i in 0..TRIALS {
        let wave = make(&mut air);
        let seconds = match &wave {
            Wave::Ofdm(burst) => burst.seconds(),
            Wave::Gmsk(burst) => burst.seconds(),
            _ => 20e-3,
        };
        let start_s = 0.15 + (i as f64 + air.rng.random_range(0.0..0.2)) * SLOT_S;
        let carrier_hz = CENTER_HZ + air.rng.random_range(-600e3..600e3);
        air.add(&wave, (start_s, seconds), carrier_hz, (SNR_DB, nbiot::CARRIER_HZ));
        sent.push((start_s, seconds));
    }
    let (_, bursts) = air.detect();
    let machines: Vec<&Burst> = bursts.iter().filter(|b| b.standard == Standard::Nbiot).collect();
    let share = |&(start_s, seconds): &(f64, f64)| {
        let common = |b: &&&Burst| (b.start_s + b.duration_s).min(start_s + seconds) - b.start_s.max(start_s);
        machines.iter().map(|b| common(&b).max(0.0)).sum::<f64>() / seconds
    };
    let shares = sent.iter().map(share).collect();
    (shares, bursts)
}

#[test]
fn shared_channels_of_one_three_and_six_tones_are_named() {
    for (i, (tones, units)) in
        [(Tones::Narrow, 1), (Tones::Wide(1), 1), (Tones::Wide(1), 4), (Tones::Wide(3), 2), (Tones::Wide(6), 4)]
            .into_iter()
            .enumerate()
    {
        for phase in [TonePhase::Bpsk, TonePhase::Qpsk] {
            let (shares, bursts) = send(500 + i as u64, |air| {
                let first = air.rng.random_range(0..=tones.carrier_subcarriers() - tones.count());
                let seed = air.rng.random();
                let npusch = Npusch { tones, first, units, repetitions: 1, cell_id: 9, phase, seed };
                Wave::Ofdm(npusch.burst(0, npusch.slots()))
            });
            let found = shares.iter().filter(|&&s| s > 0.5).count();
            let phones = bursts.iter().filter(|b| b.standard.is_phone()).count();
            let preambles = bursts.iter().filter(|b| b.kind == Kind::Prach).count();
            let what = format!("{tones:?} {phase:?}: {found} of {TRIALS}, {phones} phones, {preambles} preambles");
            println!("{what}");
            assert!(found + 2 >= TRIALS && phones == 0 && preambles == 0, "{what}");
        }
    }
}

#[test]
fn preambles_are_named() {
    for (format, repetitions) in [(0, 1), (1, 1), (0, 4), (1, 4)] {
        let (shares, bursts) = send(520 + u64::from(format), |air| {
            let first = air.rng.random_range(0..12);
            Wave::Ofdm(nprach(format, &nbiot::nprach_subcarriers(air.rng.random_range(0..504), 12, first, repetitions)))
        });
        let found = shares.iter().filter(|&&s| s > 0.5).count();
        let phones = bursts.iter().filter(|b| b.standard.is_phone()).count();
        let shared = bursts.iter().filter(|b| b.standard == Standard::Nbiot && b.kind != Kind::Prach).count();
        let what = format!("{format} {repetitions}: {found} of {TRIALS}, {phones} phones, {shared} shared");
        println!("{what}");
        assert!(found + 3 >= TRIALS && phones == 0 && shared == 0, "{what}");
    }
}

#[test]
fn carriers_and_gsm_are_no_machines() {
    let (_, bursts) = send(530, |_| Wave::Cw);
    assert!(bursts.iter().all(|b| b.standard != Standard::Nbiot), "{bursts:?}");
    let (_, bursts) = send(531, |air| Wave::Gmsk(gsm::GmskBurst::new(&gsm::normal_burst(2, &mut air.rng))));
    assert!(bursts.iter().all(|b| b.standard != Standard::Nbiot), "{bursts:?}");
}
