//! What lies before a gap and behind it is found as if nothing were missing.

#![allow(clippy::unwrap_used)] // a test may

mod common;

use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_types::{Burst, Gap, GapReason, IqBlock};
use common::{add_burst, block, bytes, noise};

const RATE_HZ: f64 = 2.4e6;
/// A GSM slot's length, in samples.
const BURST: usize = 1385;
const EVERY: usize = 24_000;

/// Four tenths of a second with a burst every 10 ms.
fn recording() -> Vec<u8> {
    let mut iq = noise(960_000, 9);
    for i in 1..39 {
        add_burst(&mut iq, RATE_HZ, i * EVERY, BURST, 200e3, 400.0);
    }
    bytes(&iq)
}

/// The recording without the samples of `missing`, each a first sample and a number, as a device gives it that loses them.
fn blocks(missing: &[(usize, usize)]) -> Vec<IqBlock> {
    let (data, mut from, mut lost) = (recording(), 0, 0);
    let mut out = Vec::new();
    for &(to, count) in missing.iter().chain([&(960_000, 0)]) {
        let mut piece = block(data[from * 4..to * 4].to_vec(), (from - lost) as u64, RATE_HZ);
        piece.lost_before = lost as u64;
        if from > 0 {
            let sample_count = (from - out_end(&out)) as u64;
            let sensor = piece.sensor.clone();
            piece.gaps_before =
                vec![Gap { sensor, sample_start: piece.start.0, sample_count, reason: GapReason::Overflow }];
        }
        out.push(piece);
        from = to + count;
        lost += count;
    }
    out
}

/// Where in the recording the last block ends.
fn out_end(blocks: &[IqBlock]) -> usize {
    blocks.last().map_or(0, |b| (b.start.0 + b.lost_before) as usize + b.samples())
}

fn detect(blocks: &[IqBlock]) -> Vec<Burst> {
    let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
    blocks.iter().for_each(|b| detector.process(b, &mut out));
    detector.finish(&mut out);
    out
}

#[test]
fn bursts_on_both_sides_of_gaps_are_found_in_their_places() {
    let whole = detect(&blocks(&[]));
    assert!(whole.len() >= 36, "{}", whole.len());
    // One long gap, and a series of short ones, the first in the middle of a burst.
    for missing in [vec![(100_000, 250_000)], (0..6).map(|i| (240_500 + i * 60_000, 3_000)).collect()] {
        let found = detect(&blocks(&missing));
        let near = |at: f64, begin: usize, count: usize| {
            let margin = 5e-3 * RATE_HZ;
            at > begin as f64 - margin - BURST as f64 && at < (begin + count) as f64 + margin
        };
        for burst in &whole {
            let at = burst.start_s * RATE_HZ;
            if missing.iter().any(|&(begin, count)| near(at, begin, count)) {
                continue;
            }
            let same = found
                .iter()
                .any(|f| (f.start_s - burst.start_s).abs() < 20e-6 && (f.power_dbfs - burst.power_dbfs).abs() < 0.5);
            assert!(same, "{} s is not found beside {missing:?}", burst.start_s);
        }
        let lost = |b: &Burst| {
            let (from, to) = (b.start_s * RATE_HZ, (b.start_s + b.duration_s) * RATE_HZ);
            missing.iter().any(|&(begin, count)| from > begin as f64 + 10.0 && to < (begin + count) as f64 - 10.0)
        };
        assert!(!found.iter().any(lost), "a burst in what is missing");
    }
}

#[test]
fn the_floor_is_known_at_once_behind_a_gap() {
    let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
    let mut pieces = blocks(&[(480_000, 100_000)]);
    detector.process(&pieces[0], &mut out);
    let before = detector.noise_dbfs_per_hz().unwrap();
    // Too little for a transform.
    pieces[1].bytes.truncate(400);
    detector.process(&pieces[1], &mut out);
    assert_eq!(detector.noise_dbfs_per_hz(), Some(before));
}

/// A receiver that hangs leaves a burst in the detector; whoever joins bursts does not wait for it.
#[test]
fn a_stream_that_stands_still_tells_what_it_holds_and_goes_on() {
    let whole = detect(&blocks(&[]));
    let data = recording();
    // Just behind the tenth burst.
    let stop = 10 * EVERY + BURST + 2_000;
    let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
    detector.process(&block(data[..stop * 4].to_vec(), 0, RATE_HZ), &mut out);
    let before = out.len();
    detector.rest(&mut out);
    let begun = |out: &[Burst]| out.iter().map(|b| (b.start_s * RATE_HZ) as usize).max().unwrap();
    assert!(out.len() > before && begun(&out) + 100 > 10 * EVERY, "{before} {}", begun(&out));
    let at_rest = out.clone();
    detector.rest(&mut out);
    assert_eq!(out, at_rest, "there is nothing more to tell");
    detector.process(&block(data[stop * 4..].to_vec(), stop as u64, RATE_HZ), &mut out);
    detector.finish(&mut out);
    assert_eq!(detector.counts().processed, 960_000);
    assert_eq!(out.len(), whole.len());
    for (a, b) in out.iter().zip(&whole) {
        assert!((a.start_s - b.start_s).abs() < 20e-6 && (a.power_dbfs - b.power_dbfs).abs() < 0.5, "{a:?} {b:?}");
    }
}
