//! LTE-M machines on the simulator's waves in Gaussian noise: what repeats is named, and no phone is taken for one.
//!
//! The SNR is the wave's mean power over the noise in its own blocks.

#![allow(clippy::unwrap_used)] // a test may

#[allow(dead_code)] // not every test needs all of it
#[path = "common/air.rs"]
mod air;

use air::Air;
use cellwarden_sim::wave::Wave;
use cellwarden_sim::wave::lte::{self as wave, Modulation, OfdmBurst};
use cellwarden_standards::lte::{self, PRACH_FORMATS};
use cellwarden_types::{Burst, Kind, Standard};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RATE_HZ: f64 = 1.92e6;
const CENTER_HZ: f64 = 847e6;
const CARRIER_BLOCKS: u16 = 6;
/// Subframes of a number that is a multiple of this begin with other data: a phone's, and a machine's in mode A and mode B.
const PHONE: usize = 1;
const MODE_A: usize = 1;
const MODE_B: usize = 4;

/// A PUSCH of so many subframes anywhere in a frame and in the carrier; data changes where the subframe's number is a
/// multiple of `alike`.
fn pusch(air: &mut Air, subframes: usize, alike: usize, blocks: u16) -> OfdmBurst {
    let rng = &mut air.rng;
    let (at, seed): (usize, u64) = (rng.random_range(0..10_240), rng.random());
    let first = rng.random_range(0..=CARRIER_BLOCKS - blocks);
    let (cell_id, dmrs_shift, hopping) = (rng.random_range(0..504), rng.random_range(0..12), rng.random());
    let modulation = if alike == PHONE && rng.random() { Modulation::Qam16 } else { Modulation::Qpsk };
    let mut symbols = Vec::new();
    for slot in 2 * at..2 * (at + subframes) {
        let content = seed.wrapping_add((2 * (slot / 2 / alike) + slot % 2) as u64);
        let n_s = slot % lte::FRAME_SLOTS;
        let shift = (lte::pusch_dmrs_shift(cell_id, n_s) + dmrs_shift) % 12;
        let burst = wave::pusch_slot(
            (slot - 2 * at) as u32 * lte::SLOT_TS,
            (first, blocks, CARRIER_BLOCKS),
            modulation,
            (lte::sequence_group(cell_id, n_s, hopping), shift),
            lte::SLOT_SYMBOLS,
            &mut ChaCha8Rng::seed_from_u64(content),
        );
        symbols.extend(burst.symbols);
    }
    OfdmBurst { symbols }
}

/// Sends `trials` of what `make` makes, each at `snr_db` in so many blocks, and gives when, and all bursts that are found.
fn send(
    seed: u64,
    (trials, each_s): (usize, f64),
    (snr_db, blocks): (f64, u16),
    make: impl Fn(&mut Air) -> OfdmBurst,
) -> (Vec<(f64, f64)>, Vec<Burst>) {
    let mut air = Air::noise(RATE_HZ, CENTER_HZ, 0.2 + trials as f64 * each_s, seed);
    let mut sent = Vec::new();
    for i in 0..trials {
        let burst = make(&mut air);
        let seconds = burst.seconds();
        let start_s = 0.15 + i as f64 * each_s + air.rng.random_range(0.0..0.5) * (each_s - seconds);
        let carrier_hz = CENTER_HZ + air.rng.random_range(-500.0..500.0);
        air.add(&Wave::Ofdm(burst), (start_s, seconds), carrier_hz, (snr_db, f64::from(blocks) * lte::RB_HZ));
        sent.push((start_s, seconds));
    }
    (sent, air.detect().1)
}

/// Of what was sent, how many have for nine tenths of their time the name.
fn named(sent: &[(f64, f64)], bursts: &[Burst], standard: Standard) -> usize {
    let share = |&&(start_s, seconds): &&(f64, f64)| {
        let common = |b: &Burst| (b.start_s + b.duration_s).min(start_s + seconds) - b.start_s.max(start_s);
        let of = bursts.iter().filter(|b| b.standard == standard && b.kind == Kind::Pusch);
        of.map(|b| common(b).max(0.0)).sum::<f64>() / seconds
    };
    sent.iter().filter(|s| share(s) > 0.9).count()
}

fn of(bursts: &[Burst], standard: Standard) -> usize {
    bursts.iter().filter(|b| b.standard == standard).count()
}

#[test]
fn subframes_that_repeat_are_named() {
    for (i, (blocks, repetitions, snr_db)) in
        [(1, 4, 12.0), (2, 4, 10.0), (1, 8, 10.0), (2, 8, 30.0), (1, 32, 10.0), (2, 128, 10.0)].into_iter().enumerate()
    {
        let trials = if repetitions > 8 { 6 } else { 20 };
        let each_s = (repetitions + 20) as f64 * 1e-3;
        let make = |air: &mut Air| pusch(air, repetitions, MODE_B, blocks);
        let (sent, bursts) = send(800 + i as u64, (trials, each_s), (snr_db, blocks), make);
        let (found, lte) = (named(&sent, &bursts, Standard::Ltem), of(&bursts, Standard::Lte));
        let what =
            format!("{blocks} blocks {repetitions} times at {snr_db} dB: {found} of {trials}, {lte} bursts named lte");
        println!("{what}");
        assert!(found + 1 >= trials && lte <= 1, "{what}");
        let machines = bursts.iter().filter(|b| b.standard == Standard::Ltem);
        assert!(machines.clone().all(|b| b.confidence < 0.05 && b.kind == Kind::Pusch), "{what}");
    }
}

/// Full buffers and TTI bundles, of four redundancy versions, stay LTE; so does mode A, of which nothing is proven.
#[test]
fn phones_that_go_on_in_the_same_blocks_are_none() {
    for (i, (blocks, subframes)) in [(1, 2), (1, 4), (2, 4), (1, 8), (2, 10), (2, 30)].into_iter().enumerate() {
        let trials = if subframes > 10 { 12 } else { 80 };
        let each_s = (subframes + 6) as f64 * 1e-3;
        let alike = if i % 2 == 0 { PHONE } else { MODE_A };
        let make = |air: &mut Air| pusch(air, subframes, alike, blocks);
        let (sent, bursts) = send(820 + i as u64, (trials, each_s), (15.0, blocks), make);
        let (machines, phones) = (of(&bursts, Standard::Ltem), named(&sent, &bursts, Standard::Lte));
        let what = format!("{blocks} blocks {subframes} subframes: {phones} of {trials}, {machines} bursts named ltem");
        println!("{what}");
        // Pieces of more than 10 ms are no whole slots, and stay unknown.
        assert!(machines == 0 && (subframes > 10 || phones + 5 >= trials), "{what}");
    }
}

/// Of NR, what repeats as a whole (a configured grant with one redundancy version) does so where LTE's reference symbols
/// would be as well.
#[test]
fn slots_of_nr_that_repeat_are_none() {
    let (trials, each_s) = (40, 12e-3);
    let (_, bursts) = send(840, (trials, each_s), (15.0, 2), |air| {
        let mut one = pusch(air, 1, PHONE, 2);
        let symbols = one.symbols.clone();
        for later in 1..4 {
            one.symbols.extend(symbols.iter().cloned().map(|mut s| {
                let by_s = f64::from(later) * lte::SUBFRAME_S;
                (s.start_s, s.end_s, s.reference_s) = (s.start_s + by_s, s.end_s + by_s, s.reference_s + by_s);
                s
            }));
        }
        one
    });
    let machines = of(&bursts, Standard::Ltem);
    println!("{machines} named ltem of {} bursts", bursts.len());
    assert!(machines == 0 && of(&bursts, Standard::Lte) + 4 >= trials);
}

/// Sends preambles, (start, (root, shift), dB lower) each, and gives those that are found.
fn preambles(seed: u64, snr_db: f64, format: usize, sent: &[(f64, (usize, usize), f64)]) -> Vec<Burst> {
    let last_s = sent.iter().map(|s| s.0).fold(0.0, f64::max);
    let mut air = Air::noise(RATE_HZ, CENTER_HZ, last_s + 0.1, seed);
    for &(start_s, preamble, lower_db) in sent {
        let burst = wave::prach(&PRACH_FORMATS[format], preamble, (0, CARRIER_BLOCKS));
        let seconds = burst.seconds();
        air.add(&Wave::Ofdm(burst), (start_s, seconds), CENTER_HZ + 210.0, (snr_db - lower_db, lte::PRACH_HZ));
    }
    air.detect().1.into_iter().filter(|b| b.kind == Kind::Prach).collect()
}

/// Any of 13 preambles of a root.
fn preamble(rng: &mut ChaCha8Rng) -> (usize, usize) {
    (rng.random_range(10..829), rng.random_range(0..13) * 64)
}

#[test]
fn preambles_that_come_again_at_once_are_named() {
    for (i, (format, gaps_ms, repetitions, snr_db)) in [
        (0, &[5][..], 4, 10.0),
        (0, &[3, 3, 4], 8, 10.0),
        (0, &[2], 4, 5.0),
        (0, &[10], 4, 10.0),
        (0, &[10], 16, 0.0),
        (0, &[5], 8, -3.0),
        (1, &[5], 4, 10.0),
        (2, &[5], 4, 10.0),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rng = ChaCha8Rng::seed_from_u64(850 + i as u64);
        let (mut at_s, mut sent) = (0.15, Vec::new());
        for _ in 0..8 {
            let preamble = preamble(&mut rng);
            for i in 0..repetitions {
                sent.push((at_s, preamble, 0.0));
                at_s += f64::from(gaps_ms[i % gaps_ms.len()]) * 1e-3;
            }
            at_s += 30e-3;
        }
        let found = preambles(860 + i as u64, snr_db, format, &sent);
        let machines = of(&found, Standard::Ltem);
        let what = format!(
            "format {format} each {gaps_ms:?} ms {repetitions} times at {snr_db} dB: {machines} named of {} found of {}",
            found.len(),
            sent.len()
        );
        println!("{what}");
        assert!(machines * 10 >= sent.len() * 9, "{what}");
    }
}

/// Phones that come back with another preamble as soon as they may; several at once; such as were given theirs, and keep
/// it; and what is sent but twice.
#[test]
fn phones_that_try_again_are_none() {
    let mut rng = ChaCha8Rng::seed_from_u64(870);
    type Attempt<'a> = &'a dyn Fn(&mut ChaCha8Rng, usize) -> ((usize, usize), f64);
    // Of 65 preambles, on five roots.
    let drawn = |rng: &mut ChaCha8Rng| (700 + rng.random_range(0..5), rng.random_range(0..13) * 64);
    let given = |trial: usize| (10 + trial * 5, 448);
    let cases: [(&str, &[u32], usize, Attempt<'_>); 5] = [
        ("drawn anew each 10 ms", &[10], 8, &|rng, _| (drawn(rng), 0.0)),
        ("phones on every occasion, 5 ms apart", &[5], 12, &|rng, _| (drawn(rng), rng.random_range(0.0..6.0))),
        ("a given one each 20 ms at one level", &[20], 8, &|_, i| (given(i / 8), 0.0)),
        ("a given one each 10 ms with more power", &[10], 6, &|_, i| (given(i / 6), 10.0 - 2.0 * (i % 6) as f64)),
        ("twice the same", &[5, 30], 2, &|_, i| (given(i / 2), 0.0)),
    ];
    for (case, gaps_ms, attempts, attempt) in cases {
        let (mut at_s, mut sent) = (0.15, Vec::new());
        for i in 0..24 * attempts {
            let (preamble, lower_db) = attempt(&mut rng, i);
            sent.push((at_s, preamble, lower_db));
            at_s += f64::from(gaps_ms[i % attempts % gaps_ms.len()]) * 1e-3;
            at_s += if (i + 1) % attempts == 0 { 20e-3 } else { 0.0 };
        }
        let found = preambles(880, 12.0, 0, &sent);
        let machines = of(&found, Standard::Ltem);
        let what = format!("{case}: {machines} named ltem of {} found of {}", found.len(), sent.len());
        println!("{what}");
        assert!(machines == 0 && found.len() * 10 >= sent.len() * 9, "{what}");
    }
}
