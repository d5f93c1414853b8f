//! Test bursts are found by a detector that is whole, in every format, and missed by one that is not; nothing of them gets out.

#![allow(clippy::unwrap_used)] // a test may

mod common;

use cellwarden_detect::{Depth, DetectConfig};
use cellwarden_selftest::{SelfTestConfig, TestedDetector};
use cellwarden_sim::wave::gsm;
use cellwarden_standards::gsm as gsm_tables;
use cellwarden_types::{Burst, Gap, GapReason, Hertz, Kind, SampleFormat, SelfTestCount, Standard};
use common::{CENTER_HZ, EVERY_S, RATE_HZ, Source, detector, noise, run, sum, tail_bound};
use num_complex::Complex32;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Four steps of an 8-bit converter: what a gain that was set well gives.
const DEVIATION: f64 = 4.0 / 128.0;
const TESTS: u64 = 240;

#[test]
fn test_bursts_are_found_in_every_format_and_nothing_gets_out() {
    for format in SampleFormat::ALL {
        let mut tested = detector(DetectConfig::default());
        let out = run(&mut tested, &mut Source::noise(format, DEVIATION), TESTS);
        assert!(out.is_empty(), "{format}: {out:?}");
        assert!(tested.state().base_stations.is_empty(), "a base station is learned from test bursts");
        assert_eq!(tested.results().len(), 3, "GSM and two kinds of LTE");
        for r in tested.results() {
            assert!(r.tests >= TESTS / 3 - 1 && r.void == 0, "{format}: {r:?}");
            let chance = tail_bound(r.named, r.tests, 0.99);
            assert!(chance > 1e-6, "{format}: {r:?} refutes 0.99 ({chance:.0e})");
        }
    }
}

#[test]
fn a_lost_antenna_changes_nothing_and_broken_processing_is_seen() {
    // The antenna gives 15 dB of noise less.
    let mut deaf = detector(DetectConfig::default());
    run(&mut deaf, &mut Source::noise(SampleFormat::Cs16, DEVIATION / 5.6), 90);
    let result = sum(deaf.results());
    assert!(tail_bound(result.named, result.tests, 0.99) > 1e-6, "{result:?}");
    // Preambles are sought apart from what stands out.
    let of_segments = |r: &&SelfTestCount| r.kind != Kind::Prach;
    for (what, config, judged) in [
        ("never sees what stands out", DetectConfig { seed_ratio: 1e6, grid: false, ..DetectConfig::default() }, false),
        ("only sees energy", DetectConfig { depth: Depth::Energy, ..DetectConfig::default() }, true),
    ] {
        let mut broken = detector(config);
        let out = run(&mut broken, &mut Source::noise(SampleFormat::Cs16, DEVIATION), 90);
        let results: Vec<&SelfTestCount> = broken.results().iter().filter(|r| judged || of_segments(r)).collect();
        assert!(!results.is_empty() && results.iter().all(|r| r.tests >= 25 && r.named == 0), "{what}: {results:?}");
        assert!(out.is_empty(), "{what}: {out:?}");
    }
}

#[test]
fn what_is_lost_or_tuned_elsewhere_makes_a_test_void_and_not_wrong() {
    let mut tested = detector(DetectConfig::default());
    let mut source = Source::noise(SampleFormat::Cs8, DEVIATION);
    let mut out = Vec::new();
    for n in 0..6000u64 {
        source.next();
        // Every 0.24 s: a gap, or another centre.
        if n % 120 == 60 {
            source.block.lost_before += 1000;
            let sensor = source.block.sensor.clone();
            let gap =
                Gap { sensor, sample_start: source.block.start.0, sample_count: 1000, reason: GapReason::Overflow };
            source.block.gaps_before.push(gap);
        }
        if n % 120 == 0 {
            source.block.center = Hertz(if n % 240 == 0 { 902.4e6 } else { 847e6 });
        }
        tested.process(&source.block, &mut out);
    }
    tested.finish(&mut out);
    let result = sum(tested.results());
    assert!(out.is_empty(), "{out:?}");
    assert!(result.void >= 3 && result.tests > 50, "{result:?}");
    assert!(tail_bound(result.named, result.tests, 0.99) > 1e-6, "{result:?}");
    assert!(tested.results().iter().any(|r| r.band == "B20" && r.tests > 10), "{:?}", tested.results());
}

#[test]
fn a_receiver_that_hops_is_tested_at_each_centre_within_its_visits() {
    let mut tested = detector(DetectConfig::default());
    let mut source = Source::noise(SampleFormat::Cs8, DEVIATION);
    let mut out = Vec::new();
    // 0.3 s at each, and 65 ms on the way.
    let settle = (0.065 * RATE_HZ) as u64;
    for n in 0..9_000u64 {
        source.next();
        let visit = n / 75;
        source.block.center = Hertz([902.4e6, 847e6, 1747.5e6][visit as usize % 3]);
        if n % 75 == 0 && n > 0 {
            source.block.lost_before += settle;
            source.block.time = source.block.time.map(|t| t.plus_seconds(0.065));
            let (sensor, sample_start) = (source.block.sensor.clone(), source.block.start.0);
            let gap = Gap { sensor, sample_start, sample_count: settle, reason: GapReason::Retune };
            source.block.gaps_before.push(gap);
        }
        tested.process(&source.block, &mut out);
    }
    tested.finish(&mut out);
    let result = sum(tested.results());
    assert!(out.is_empty(), "{out:?}");
    assert!(result.void >= 3, "some fall into a change of centre: {result:?}");
    assert!(tail_bound(result.named, result.tests, 0.99) > 1e-6, "and none of them counts: {result:?}");
    for band in ["GSM900", "B20", "B3"] {
        assert!(tested.results().iter().any(|r| r.band == band && r.tests > 10), "{band}: {:?}", tested.results());
    }
}

#[test]
fn what_is_not_asked_for_or_cannot_be_tested_is_not() {
    let mut untested = TestedDetector::new("test".into(), DetectConfig::default(), None);
    let mut elsewhere = detector(DetectConfig::default());
    let mut timeless = detector(DetectConfig::default());
    let mut source = Source::noise(SampleFormat::Cs16, DEVIATION);
    let mut out = Vec::new();
    for _ in 0..200 {
        source.next();
        untested.process(&source.block, &mut out);
        let mut block = source.block.clone();
        block.time = None;
        timeless.process(&block, &mut out);
        source.block.center = Hertz(433.92e6);
        elsewhere.process(&source.block, &mut out);
    }
    assert!(untested.results().is_empty() && elsewhere.results().is_empty() && out.is_empty());
    let mut coarse = detector(DetectConfig::default());
    let mut faint = Source::noise(SampleFormat::Cs8, 0.3 / 128.0);
    (0..200).for_each(|_| coarse.process(faint.next(), &mut out));
    assert_eq!(sum(coarse.results()).tests, 0, "noise within a step holds no wave");
    assert_eq!(sum(timeless.results()).tests, 0, "without a time nothing is known of the place");
}

/// The golden GSM recording with I and Q exchanged.
fn exchanged() -> Source {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden/gsm.sigmf-data");
    let mut bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact_mut(2).for_each(|iq| iq.swap(0, 1));
    Source::new(SampleFormat::Cs8, 1e6, 898e6, bytes)
}

/// A phone in a call at 25 dB: a normal burst in each TDMA frame, 0.6 MHz below the centre.
fn phone() -> Source {
    let (samples, amplitude) =
        ((0.5 * RATE_HZ) as usize, DEVIATION * (2.0 * 316.0 * gsm_tables::CHANNEL_HZ / RATE_HZ).sqrt());
    let mut bytes = noise(SampleFormat::Cs16, DEVIATION, samples, 3);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut wave = vec![Complex32::ZERO; (0.62e-3 * RATE_HZ) as usize];
    for frame in 0..107 {
        let burst = gsm::GmskBurst::new(&gsm::normal_burst(2, &mut rng));
        burst.render(-20e-6, 1.0 / RATE_HZ, &mut wave);
        let start = ((5e-3 + f64::from(frame) * gsm_tables::FRAME_SECONDS) * RATE_HZ) as usize;
        for (n, x) in wave.iter().enumerate() {
            let z = x * Complex32::cis(-std::f32::consts::TAU * (0.25 * n as f32)) * amplitude as f32 * 32_768.0;
            for (i, more) in [z.re, z.im].into_iter().enumerate() {
                let at = 4 * (start + n) + 2 * i;
                let value = i16::from_le_bytes([bytes[at], bytes[at + 1]]) + more as i16;
                bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    Source::new(SampleFormat::Cs16, RATE_HZ, CENTER_HZ, bytes)
}

fn hear(tested: &mut TestedDetector, mut source: Source, seconds: f64) -> Vec<Burst> {
    let mut out = Vec::new();
    for _ in 0..(seconds / 4e-3) as u64 {
        tested.process(source.next(), &mut out);
    }
    tested.finish(&mut out);
    out
}

#[test]
fn the_bursts_of_a_phone_stay_the_same() {
    let mut untested = TestedDetector::new("test".into(), DetectConfig::default(), None);
    let before = hear(&mut untested, phone(), 8.0);
    let mut tested = detector(DetectConfig::default());
    let after = hear(&mut tested, phone(), 8.0);
    let result = sum(tested.results());
    assert!(result.tests > 20, "{result:?}");
    let same = |a: &Burst, b: &Burst| {
        a.sample_start.abs_diff(b.sample_start) < 20
            && (a.standard, a.kind, a.channel) == (b.standard, b.kind, b.channel)
    };
    let of_phone = |b: &&Burst| b.standard == Standard::Gsm;
    let missing = before.iter().filter(of_phone).filter(|b| !after.iter().any(|a| same(a, b))).count();
    let more: Vec<&Burst> = after.iter().filter(|a| !before.iter().any(|b| same(a, b))).collect();
    let whole = before.iter().filter(of_phone).count();
    println!("{missing} of {whole} bursts are missing beside {result:?}");
    assert!(whole > 500 && missing as f64 <= 0.01 * whole as f64, "{missing} of {whole}");
    assert!(more.iter().all(|b| !b.standard.is_phone()) && more.len() <= 2, "{more:?}");
}

#[test]
fn test_bursts_do_not_vouch_for_i_and_q() {
    let mut tested = detector(DetectConfig::default());
    // What is added is as it should be; what the receiver gives is not.
    let bytes = noise(SampleFormat::Cs8, 2.0 / 128.0, 500_000, 2);
    let mut out = Vec::new();
    let mut quiet = Source::new(SampleFormat::Cs8, 1e6, 898e6, bytes);
    for _ in 0..(80.0 * EVERY_S / 4e-3) as u64 {
        tested.process(quiet.next(), &mut out);
    }
    tested.finish(&mut out);
    assert!(sum(tested.results()).named > 30, "{:?}", tested.results());
    hear(&mut tested, exchanged(), 2.0);
    assert!(tested.iq_swapped().is_some());
}

#[test]
fn each_sensor_has_its_own_course_and_always_the_same() {
    let places = |name: &str| {
        let config = SelfTestConfig { every_s: EVERY_S };
        let mut tested = TestedDetector::new(name.into(), DetectConfig::default(), Some(config));
        let mut source = Source::noise(SampleFormat::Cs8, DEVIATION);
        let mut counts = Vec::new();
        for _ in 0..300 {
            tested.process(source.next(), &mut Vec::new());
            counts.push(sum(tested.results()).tests);
        }
        counts
    };
    assert_eq!(places("west"), places("west"));
    assert_ne!(places("west"), places("east"));
}

#[test]
fn tiles_show_the_floor_where_a_test_burst_was() {
    let config = DetectConfig { tile_history_s: 1.0, ..DetectConfig::default() };
    let mut tested = detector(config);
    run(&mut tested, &mut Source::noise(SampleFormat::Cs16, DEVIATION), 9);
    let (shown, held) =
        (tested.tiles_after(None).unwrap(), cellwarden_detect::Detector::tiles_after(&tested, None).unwrap());
    let loudest = |tiles: &cellwarden_detect::Tiles| {
        let ratios = tiles.rows.iter().flat_map(|(_, row)| row.iter().zip(&tiles.floor).map(|(p, f)| p / f));
        ratios.fold(0.0f32, f32::max)
    };
    assert!(loudest(&held) > 8.0 && loudest(&shown) < 5.0, "{} {}", loudest(&held), loudest(&shown));
}
