//! How a stream is cut into blocks, and on how many threads it is worked, changes nothing.

#![allow(clippy::unwrap_used)] // a test may

mod common;

use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_types::Burst;
use common::{add_burst, block, bytes, noise};
use proptest::prelude::*;

const RATE_HZ: f64 = 2.4e6;

fn recording() -> Vec<u8> {
    let mut iq = noise(360_000, 5);
    for (i, offset) in [-800e3, 200e3, 600e3, -200e3].iter().enumerate() {
        add_burst(&mut iq, RATE_HZ, 30_000 + i * 71_111, 1385, *offset, 400.0);
    }
    // A faint one, 3 dB over the noise in 200 kHz.
    add_burst(&mut iq, RATE_HZ, 200_000, 2400, -500e3, 19.0);
    bytes(&iq)
}

fn detect(data: &[u8], cuts: &[usize], threads: usize) -> Vec<Burst> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut detector = Detector::new("test".into(), DetectConfig::default());
        let (mut out, mut at, mut cuts) = (Vec::new(), 0, cuts.iter().cycle());
        let time = |at: usize| {
            let start: cellwarden_types::UtcNanos = "2026-03-01T06:00:00Z".parse().unwrap();
            start.plus_seconds(at as f64 / 4.0 / RATE_HZ)
        };
        while at < data.len() {
            let end = (at + cuts.next().unwrap() * 4).min(data.len());
            let mut block = block(data[at..end].to_vec(), at as u64 / 4, RATE_HZ);
            block.time = Some(time(at));
            detector.process(&block, &mut out);
            at = end;
        }
        detector.finish(&mut out);
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn chunking_never_changes_output(cuts in prop::collection::vec(1usize..90_000, 1..8), threads in 1usize..4) {
        let data = recording();
        let whole = detect(&data, &[usize::MAX / 8], 1);
        prop_assert!(whole.len() >= 5, "{} bursts", whole.len());
        // A thousand one-sample blocks in a row only cost time.
        let cuts: Vec<usize> = cuts.iter().map(|c| c.max(&500)).copied().collect();
        prop_assert_eq!(detect(&data, &cuts, threads), whole);
    }
}

#[test]
fn edges_and_level_of_a_burst_are_measured() {
    let found = detect(&recording(), &[65_536], 1);
    let burst = found.iter().find(|b| (b.sample_start as i64 - 30_000).abs() < 60).expect("the first burst");
    assert!((b_us(burst) - 577.0).abs() < 30.0, "{burst:?}");
    let middle = (burst.freq_lower_hz + burst.freq_upper_hz) / 2.0;
    assert!((middle - 901.6e6).abs() < 25e3, "{middle}");
    let level = 20.0 * (400.0f64 / 32768.0).log10();
    assert!((burst.power_dbfs - level).abs() < 1.0, "{} for {level}", burst.power_dbfs);
    let time = burst.time.expect("the stream has a clock").to_string();
    assert!(time.starts_with("2026-03-01T06:00:00.0124") || time.starts_with("2026-03-01T06:00:00.0125"), "{time}");
}

fn b_us(burst: &Burst) -> f64 {
    burst.duration_s * 1e6
}
