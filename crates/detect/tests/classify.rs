//! From samples to names, on the simulator's waves in Gaussian noise.
//!
//! The SNR is the wave's mean power over the noise in its band: 200 kHz for GSM, 1.08 MHz for a preamble, 180 kHz for
//! each resource block. A claim of 0.99 is refuted where Chernoff's bound says that a detector so good would miss as
//! often less than once in a million runs.

#![allow(clippy::unwrap_used)] // a test may

#[path = "common/air.rs"]
mod air;

use air::{Air, tail_bound};
use cellwarden_detect::Detector;
use cellwarden_sim::wave::{Wave, gsm, lte, other};
use cellwarden_standards::{gsm as gsm_tables, lte as lte_tables};
use cellwarden_types::{Burst, Evidence, Kind, Standard, db, undb};
use rand::Rng;
use rand::seq::SliceRandom;

/// Middles of a GSM-900 and a band 20 uplink.
const GSM_HZ: f64 = 902.4e6;
const GSM_ARFCN: i32 = 62;
const LTE_HZ: f64 = 847e6;
const GSM_RATE_HZ: f64 = 2.4e6;
/// How often each kind is sent.
const TRIALS: usize = 48;
/// What the project claims at the levels of these tests, and the chance at which the claim is refuted.
const FOUND: f64 = 0.99;
const REFUTED: f64 = 1e-6;

/// What was sent.
struct Sent {
    label: String,
    start_s: f64,
    middle_hz: f64,
    power_dbfs: f64,
    offset_hz: f64,
}

/// How far what is measured may be off.
struct Tolerance {
    start_us: f64,
    power_db: f64,
}

/// What names a burst, in one line.
fn label(burst: &Burst) -> String {
    let (standard, kind, detail) = (burst.standard.name(), burst.kind.name(), &burst.detail);
    let what = match burst.kind {
        Kind::Access | Kind::Normal => {
            format!("{} ARFCN {}", detail.training_sequence.as_deref().unwrap_or("-"), burst.channel.unwrap_or(0))
        }
        Kind::Prach => {
            let format = detail.format.map(|f| f.to_string()).or(detail.short_format.clone());
            format!("root {} format {}", detail.root.unwrap_or(0), format.unwrap_or_default())
        }
        _ => format!("{} blocks", detail.resource_blocks.unwrap_or(0)),
    };
    format!("{standard}/{kind} {what}")
}

/// A recording with room for `trials` waves that begin at random in slots of `slot_s`, and when they do.
fn room(rate_hz: f64, center_hz: f64, (trials, slot_s): (usize, f64), seed: u64) -> (Air, Vec<f64>) {
    let mut air = Air::noise(rate_hz, center_hz, (trials + 2) as f64 * slot_s, seed);
    let starts = (1..=trials).map(|i| (i as f64 + air.rng.random_range(0.0..0.25)) * slot_s).collect();
    (air, starts)
}

/// Sends a GSM burst `channel` channels above the middle.
fn send_gsm(air: &mut Air, start_s: f64, (kind, code): (Kind, usize), channel: i32, snr_db: f64) -> Sent {
    let (bits, name) = match kind {
        Kind::Access => (gsm::access_burst(code, &mut air.rng), gsm_tables::ACCESS_SYNC_NAMES[code]),
        _ => (gsm::normal_burst(code, &mut air.rng), gsm_tables::TSC_NAMES[code]),
    };
    let offset_hz = air.rng.random_range(-300.0..300.0);
    let middle_hz = GSM_HZ + f64::from(channel) * gsm_tables::CHANNEL_HZ;
    let burst = gsm::GmskBurst::new(&bits);
    let span = (start_s, burst.seconds());
    let power = air.add(&Wave::Gmsk(burst), span, middle_hz + offset_hz, (snr_db, gsm_tables::CHANNEL_HZ));
    let label = format!("gsm/{} {name} ARFCN {}", kind.name(), GSM_ARFCN + channel);
    Sent { label, start_s, middle_hz, power_dbfs: db(power), offset_hz }
}

/// Sends resource blocks `first .. first + count` of a carrier of `carrier` blocks in the middle.
fn send_lte(
    air: &mut Air,
    start_s: f64,
    (label, burst): (String, lte::OfdmBurst),
    (first, count, carrier): (u16, u16, u16),
    snr_db: f64,
) -> Sent {
    let span = (start_s, burst.seconds());
    let power = air.add(&Wave::Ofdm(burst), span, LTE_HZ, (snr_db, f64::from(count) * lte_tables::RB_HZ));
    let edges = lte::block_edge_hz(first, carrier) + lte::block_edge_hz(first + count, carrier);
    Sent { label, start_s, middle_hz: LTE_HZ + edges / 2.0, power_dbfs: db(power), offset_hz: 0.0 }
}

/// Asserts that what was sent is found and named, nothing more is, and that it is measured well. Gives pairs of what
/// was sent and what was found.
fn assert_found(air: &Air, sent: Vec<Sent>, tolerance: &Tolerance) -> Vec<(Sent, Burst)> {
    let (_, bursts) = air.detect();
    let near = |b: &Burst, s: &Sent| (b.start_s - s.start_s).abs() < 100e-6;
    let named: Vec<&Burst> = bursts.iter().filter(|b| b.standard.is_phone()).collect();
    let trials = sent.len();
    let mut pairs = Vec::new();
    for s in sent {
        match named.iter().find(|b| near(b, &s) && label(b) == s.label) {
            Some(b) => pairs.push((s, (*b).clone())),
            None => {
                let instead: Vec<String> = bursts.iter().filter(|b| near(b, &s)).map(label).collect();
                println!("missed {} at {:.6}: {instead:?}", s.label, s.start_s);
            }
        }
    }
    let bound = tail_bound(pairs.len(), trials, FOUND);
    assert!(bound > REFUTED, "{} of {trials}: {bound:.1e}", pairs.len());
    assert!(named.len() <= trials, "{} phones' bursts for {trials}: {named:#?}", named.len());
    for (s, b) in &pairs {
        let start_us = (b.start_s - s.start_s) * 1e6;
        let power_db = b.power_dbfs - s.power_dbfs;
        let middle_hz = (b.freq_lower_hz + b.freq_upper_hz) / 2.0 - s.middle_hz;
        assert!(start_us.abs() < tolerance.start_us, "{}: {start_us} µs off", s.label);
        assert!(power_db.abs() < tolerance.power_db, "{}: {power_db} dB off", s.label);
        assert!(middle_hz.abs() < 20e3, "{}: {middle_hz} Hz off", s.label);
    }
    pairs
}

/// GSM bursts of every training sequence of a kind.
fn gsm_bursts(kind: Kind, snr_db: f64, seed: u64) -> Vec<(Sent, Burst)> {
    let (mut air, starts) = room(GSM_RATE_HZ, GSM_HZ, (TRIALS, 4e-3), seed);
    let codes = if kind == Kind::Access { 3 } else { 8 };
    let sent = starts
        .iter()
        .enumerate()
        .map(|(i, &start_s)| {
            let channel = air.rng.random_range(-4..=4);
            send_gsm(&mut air, start_s, (kind, i % codes), channel, snr_db)
        })
        .collect();
    assert_found(&air, sent, &Tolerance { start_us: 1.5, power_db: 1.0 })
}

/// Mean and root mean square of what the carrier offsets are off, in hertz.
fn offset_errors(pairs: &[(Sent, Burst)]) -> (f64, f64) {
    let off: Vec<f64> = pairs.iter().map(|(s, b)| b.carrier_offset_hz.unwrap() - s.offset_hz).collect();
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / off.len() as f64;
    (mean(&mut off.iter().copied()), mean(&mut off.iter().map(|e| e * e)).sqrt())
}

/// The least standard deviation of a frequency that is measured on `symbols` known symbols: Cramér and Rao's bound.
fn least_deviation_hz(symbols: usize, snr_db: f64) -> f64 {
    let seconds = symbols as f64 / gsm_tables::SYMBOL_RATE;
    let energy_over_density = undb(snr_db) * gsm_tables::CHANNEL_HZ * seconds;
    (6.0 / energy_over_density).sqrt() / (std::f64::consts::TAU * seconds)
}

#[test]
fn access_bursts_are_found_and_named_at_12_db() {
    gsm_bursts(Kind::Access, 12.0, 1);
}

#[test]
fn normal_bursts_are_found_and_named_at_12_db() {
    gsm_bursts(Kind::Normal, 12.0, 2);
}

#[test]
fn carrier_offsets_at_12_db_are_nearly_as_good_as_the_training_sequences_allow() {
    for (kind, symbols) in [(Kind::Access, gsm_tables::ACCESS_SYNC_SYMBOLS), (Kind::Normal, gsm_tables::TSC_SYMBOLS)] {
        let (mean, rms) = offset_errors(&gsm_bursts(kind, 12.0, 3));
        let least = least_deviation_hz(symbols, 12.0);
        assert!(rms < 1.8 * least && mean.abs() < 0.6 * least, "{kind:?}: {mean} ± {rms} Hz, at best ± {least} Hz");
    }
}

#[test]
fn preambles_are_found_with_their_root_and_format_at_8_db() {
    for format in &lte_tables::PRACH_FORMATS[..4] {
        let (mut air, starts) = room(3.84e6, LTE_HZ, (TRIALS, 7e-3), 10 + u64::from(format.format));
        let sent = starts
            .iter()
            .map(|&start_s| {
                let (root, shift) = (air.rng.random_range(1..839), air.rng.random_range(0..839));
                let first = air.rng.random_range(0..=9);
                let label = format!("lte/prach root {root} format {}", format.format);
                let burst = lte::prach(format, (root, shift), (first, 15));
                send_lte(&mut air, start_s, (label, burst), (first, 6, 15), 8.0)
            })
            .collect();
        assert_found(&air, sent, &Tolerance { start_us: 3.0, power_db: 1.0 });
    }
}

#[test]
fn every_root_is_found_at_8_db() {
    let format = &lte_tables::PRACH_FORMATS[0];
    let (mut air, starts) = room(1.92e6, LTE_HZ, (838, 4e-3), 17);
    let sent = (1..=838)
        .zip(starts)
        .map(|(root, start_s)| {
            let burst = lte::prach(format, (root, air.rng.random_range(0..839)), (0, 6));
            send_lte(&mut air, start_s, (format!("lte/prach root {root} format 0"), burst), (0, 6, 6), 8.0)
        })
        .collect();
    assert_found(&air, sent, &Tolerance { start_us: 3.0, power_db: 1.0 });
}

/// Among houses a signal comes by many paths, which cancel each other in a third of the band or more: those of TS 36.101 annex B.2,
/// ETU, with phases at random.
#[test]
fn preambles_that_come_by_several_paths_are_found_at_15_db() {
    const PATHS: [(f64, f64); 9] = [
        (0.0, -1.0),
        (0.05e-6, -1.0),
        (0.12e-6, -1.0),
        (0.2e-6, 0.0),
        (0.23e-6, 0.0),
        (0.5e-6, 0.0),
        (1.6e-6, -3.0),
        (2.3e-6, -5.0),
        (5.0e-6, -7.0),
    ];
    let format = &lte_tables::PRACH_FORMATS[0];
    let (mut air, starts) = room(3.84e6, LTE_HZ, (100, 4e-3), 19);
    let sent = starts
        .iter()
        .map(|&start_s| {
            let (root, shift) = (air.rng.random_range(20..400), air.rng.random_range(0..839));
            for (late_s, db) in PATHS {
                let burst = lte::prach(format, (root, shift), (4, 15));
                send_lte(&mut air, start_s + late_s, (String::new(), burst), (4, 6, 15), 8.0 + db);
            }
            root
        })
        .collect::<Vec<usize>>();
    let (_, bursts) = air.detect();
    let is_found = |start_s: f64, root: usize| {
        let near = |b: &&Burst| (b.start_s - start_s).abs() < 30e-6 && b.detail.root == Some(root as u16);
        bursts.iter().filter(near).count() == 1
    };
    let found = starts.iter().zip(&sent).filter(|(s, r)| is_found(**s, **r)).count();
    assert!(tail_bound(found, starts.len(), FOUND) > REFUTED, "{found} of {}", starts.len());
    let named = bursts.iter().filter(|b| b.standard.is_phone()).count();
    assert!(named <= starts.len(), "{named} phones' bursts for {}", starts.len());
}

/// A mixer makes weak copies of a strong signal, and an I/Q imbalance its mirror image, whose root is the mirrored one.
#[test]
fn what_the_radio_makes_of_a_strong_preamble_is_no_other_phone() {
    let format = &lte_tables::PRACH_FORMATS[0];
    let (mut air, starts) = room(10e6, LTE_HZ, (12, 7e-3), 18);
    let mut sent = Vec::new();
    for (i, &start_s) in starts.iter().enumerate() {
        let (root, shift) = (air.rng.random_range(10..829), air.rng.random_range(0..839));
        let (first, weak_first, weak_root) = if i % 2 == 0 { (4, 30, root) } else { (4, 40, 839 - root) };
        let strong = lte::prach(format, (root, shift), (first, 50));
        let weak = lte::prach(format, (weak_root, shift), (weak_first, 50));
        sent.push(send_lte(
            &mut air,
            start_s,
            (format!("lte/prach root {root} format 0"), strong),
            (first, 6, 50),
            58.0,
        ));
        send_lte(&mut air, start_s, (String::new(), weak), (weak_first, 6, 50), -3.0);
    }
    assert_found(&air, sent, &Tolerance { start_us: 12.0, power_db: 1.0 });
}

#[test]
fn shared_channels_of_1_to_50_blocks_are_found_with_their_width_at_10_db() {
    for (count, carrier) in [(1, 25), (2, 25), (6, 25), (25, 50), (50, 50)] {
        let rate_hz = if carrier == 25 { 7.68e6 } else { 15.36e6 };
        let (mut air, starts) = room(rate_hz, LTE_HZ, (TRIALS, 4e-3), 20 + u64::from(count));
        let sent = starts
            .iter()
            .map(|&start_s| {
                let blocks = (air.rng.random_range(0..=carrier - count), count, carrier);
                let modulation = if air.rng.random() { lte::Modulation::Qpsk } else { lte::Modulation::Qam16 };
                let signal = (air.rng.random_range(0..30), air.rng.random_range(0..12));
                let burst = lte::pusch(blocks, modulation, signal, &mut air.rng);
                send_lte(&mut air, start_s, (format!("lte/pusch {count} blocks"), burst), blocks, 10.0)
            })
            .collect();
        assert_found(&air, sent, &Tolerance { start_us: 2.0, power_db: 1.0 });
    }
}

#[test]
fn sounding_symbols_are_found_with_their_width_at_15_db() {
    for count in [4, 8, 24] {
        let (mut air, starts) = room(7.68e6, LTE_HZ, (TRIALS, 4e-3), 80 + u64::from(count));
        let sent = starts
            .iter()
            .map(|&start_s| {
                let blocks = (air.rng.random_range(0..=25 - count), count, 25);
                let signal = (air.rng.random_range(0..30), air.rng.random_range(0..8));
                let burst = lte::srs(blocks, air.rng.random_range(0..2), signal);
                send_lte(&mut air, start_s, (format!("lte/srs {count} blocks"), burst), blocks, 15.0)
            })
            .collect();
        // One dB, as for the others, does not hold: so short a symbol is measured up to 1.8 dB low.
        assert_found(&air, sent, &Tolerance { start_us: 4.0, power_db: 2.2 });
    }
}

/// Slots of PUCCH format 1 at an edge of a carrier of 25 blocks, at 15 dB.
fn control_channel_slots() -> (Air, Vec<Sent>) {
    let (mut air, starts) = room(7.68e6, LTE_HZ, (TRIALS, 4e-3), 120);
    let sent = starts
        .iter()
        .map(|&start_s| {
            let signal = (air.rng.random_range(0..30), air.rng.random_range(0..12), air.rng.random_range(0..3));
            let block = if air.rng.random() { 0 } else { 24 };
            let burst = lte::pucch1_slot((block, 25), signal, air.rng.random());
            send_lte(&mut air, start_s, ("lte/pucch 1 blocks".to_owned(), burst), (block, 1, 25), 15.0)
        })
        .collect();
    (air, sent)
}

#[test]
fn control_channel_slots_are_heard_and_taken_for_nothing_else_at_15_db() {
    let (air, sent) = control_channel_slots();
    let (_, bursts) = air.detect();
    let wrong: Vec<String> = bursts.iter().filter(|b| b.standard.is_phone()).map(label).collect();
    assert!(wrong.iter().all(|l| l == "lte/pucch 1 blocks"), "{wrong:?}");
    let heard = |s: &&Sent| {
        let may_be = |b: &Burst| b.standard.is_phone() || b.standard == Standard::Unknown;
        bursts.iter().any(|b| may_be(b) && (b.start_s - s.start_s).abs() < 20e-6)
    };
    let hits = sent.iter().filter(heard).count();
    assert!(tail_bound(hits, sent.len(), FOUND) > REFUTED, "{hits} of {}", sent.len());
}

#[test]
fn control_channel_slots_are_named_at_15_db() {
    let (air, sent) = control_channel_slots();
    // So narrow a band has no sharp edges: its prefixes place a slot no better than the region does.
    assert_found(&air, sent, &Tolerance { start_us: 12.0, power_db: 1.0 });
}

#[test]
fn noise_holds_no_phone() {
    for (rate_hz, center_hz, seconds) in [(GSM_RATE_HZ, GSM_HZ, 2.0), (7.68e6, LTE_HZ, 0.6)] {
        let (detector, bursts) = Air::noise(rate_hz, center_hz, seconds, 30).detect();
        assert_eq!(detector.counts().processed, (seconds * rate_hz) as u64);
        assert!(bursts.is_empty(), "{:?}", bursts.iter().map(label).collect::<Vec<_>>());
    }
}

#[test]
fn a_staircase_of_gsm_bursts_is_no_lte() {
    // One slot after the other, on neighbouring channels: together they have a resource block's edges.
    const STEPS: [(i32, f64); 3] = [(2, 40.0), (4, 25.0), (3, 50.0)];
    let slot_s = gsm_tables::SLOT_SYMBOLS / gsm_tables::SYMBOL_RATE;
    let (mut air, starts) = room(GSM_RATE_HZ, GSM_HZ, (2 * TRIALS, 6e-3), 31);
    let mut strongest = Vec::new();
    for (trial, &start_s) in starts.iter().enumerate() {
        // As it was seen first, then in any order.
        let mut steps = STEPS;
        if trial % 2 == 1 {
            steps.shuffle(&mut air.rng);
        }
        for (slot, (channel, snr_db)) in steps.into_iter().enumerate() {
            let code = air.rng.random_range(0..8);
            let at_s = start_s + slot as f64 * slot_s;
            let sent = send_gsm(&mut air, at_s, (Kind::Normal, code), channel, snr_db);
            if snr_db == 50.0 {
                strongest.push(sent);
            }
        }
    }
    let (_, bursts) = air.detect();
    let named: Vec<String> = bursts.iter().filter(|b| b.standard.is_phone()).map(label).collect();
    assert!(named.iter().all(|l| l.starts_with("gsm/normal")), "{named:?}");
    let found = |s: &&Sent| bursts.iter().any(|b| (b.start_s - s.start_s).abs() < 2e-6 && label(b) == s.label);
    let hits = strongest.iter().filter(found).count();
    assert!(tail_bound(hits, strongest.len(), FOUND) > REFUTED, "{hits} of {}", strongest.len());
}

#[test]
fn tones_and_tetra_are_other() {
    for (rate_hz, center_hz, seed) in [(GSM_RATE_HZ, GSM_HZ, 40), (3.84e6, LTE_HZ, 50)] {
        let mut tone = Air::noise(rate_hz, center_hz, 0.5, seed);
        tone.add(&Wave::Cw, (0.1, 0.3), center_hz + 317e3, (30.0, gsm_tables::CHANNEL_HZ));
        let mut tetra = Air::noise(rate_hz, center_hz, 1.2, seed + 1);
        for slot in 0..20 {
            let burst = other::DqpskBurst::new(255, &mut tetra.rng);
            let span = (0.02 + f64::from(slot) * 4.0 * other::TETRA_SLOT_S, burst.seconds());
            let hz = center_hz + tetra.rng.random_range(-0.8e6..0.8e6);
            let snr_db = tetra.rng.random_range(15.0..40.0);
            tetra.add(&Wave::Dqpsk(burst), span, hz, (snr_db, 25e3));
        }
        for air in [tone, tetra] {
            let (_, bursts) = air.detect();
            let names: Vec<String> = bursts.iter().map(label).collect();
            assert!(bursts.iter().all(|b| !b.standard.is_phone()), "{names:?}");
            assert!(bursts.iter().filter(|b| b.standard == Standard::Other).count() >= 20, "{names:?}");
        }
    }
}

#[test]
fn trains_of_equal_sparks_are_no_phone() {
    for seed in [70, 73] {
        let mut air = Air::noise(7.68e6, LTE_HZ, 2.0, seed);
        for train in 0..80 {
            let mut at_s = (f64::from(train) + air.rng.random::<f64>()) * 24e-3;
            for _ in 0..air.rng.random_range(5..60) {
                at_s -= 60e-6 * (1.0 - air.rng.random::<f64>()).ln();
                let shape = air.rng.random_range(0..12) + 1_000 * seed;
                air.add_spark(at_s, shape, 35.0);
            }
        }
        let (_, bursts) = air.detect();
        assert!(bursts.len() >= 80, "they are heard: {}", bursts.len());
        let named: Vec<String> = bursts.iter().filter(|b| b.standard.is_phone()).map(label).collect();
        assert!(named.is_empty(), "{named:?}");
    }
}

/// What the detector says of `count` normal bursts at 12 dB: as they are, and with I and Q exchanged.
fn swap_verdicts(code: usize, count: usize, seed: u64) -> [(Detector, Vec<Burst>); 2] {
    let (mut air, starts) = room(GSM_RATE_HZ, GSM_HZ, (count, 4e-3), seed);
    for &start_s in &starts {
        send_gsm(&mut air, start_s, (Kind::Normal, code), 1, 12.0);
    }
    let straight = air.detect();
    air.swap_iq();
    [straight, air.detect()]
}

#[test]
fn exchanged_i_and_q_are_told_by_twelve_bursts_of_any_sequence() {
    for code in 0..8 {
        for seed in 60..66 {
            let [_, (detector, bursts)] = swap_verdicts(code, 12, seed);
            assert!(detector.iq_swapped().is_some_and(|n| n >= 3), "TSC{code} {seed}: {:?}", detector.iq_swapped());
            let doubted = |b: &&Burst| b.detail.evidence.iter().any(|e| e.name == Evidence::IQ_SWAPPED);
            let last = bursts.iter().rfind(|b| b.standard != Standard::Other).unwrap();
            assert!(doubted(&last), "{last:?}");
        }
    }
}

#[test]
fn a_stream_as_it_was_sent_is_not_taken_for_exchanged() {
    for code in 0..8 {
        for seed in 60..66 {
            let [(detector, bursts), _] = swap_verdicts(code, 12, seed);
            assert_eq!(detector.iq_swapped(), None, "TSC{code} {seed}");
            assert!(bursts.iter().filter(|b| b.standard == Standard::Gsm).count() >= 11, "TSC{code} {seed}");
        }
    }
}

#[test]
fn the_tail_bound_is_chernoffs() {
    assert_eq!(tail_bound(48, 48, 0.99), 1.0);
    // For none at all it is exact.
    assert!((tail_bound(0, 10, 0.5) - 0.5f64.powi(10)).abs() < 1e-12);
    assert!(tail_bound(43, 48, 0.99) > REFUTED && tail_bound(40, 48, 0.99) < REFUTED);
}
