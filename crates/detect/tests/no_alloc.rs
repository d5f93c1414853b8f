//! The hot path allocates nothing once it runs. Alone in its file: a breach aborts the process.

#![allow(clippy::unwrap_used)] // a test may

mod common;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use cellwarden_detect::{DetectConfig, Detector};
use common::{block, bytes, noise};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn a_quiet_stream_allocates_nothing_after_start() {
    const RATE_HZ: f64 = 10e6;
    const BLOCK: usize = 65_536;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let mut detector = Detector::new("test".into(), DetectConfig::default());
        let mut out = Vec::with_capacity(64);
        let mut block = block(bytes(&noise(BLOCK, 1)), 0, RATE_HZ);
        let mut feed = |detector: &mut Detector| {
            detector.process(&block, &mut out);
            block.start.0 += BLOCK as u64;
        };
        // The rings fill, and every branch of the floor's memory has been taken once.
        for _ in 0..60 {
            feed(&mut detector);
        }
        assert_no_alloc(|| {
            for _ in 0..60 {
                feed(&mut detector);
            }
        });
        assert!(out.is_empty(), "the noise was to be quiet: {out:?}");
        assert_eq!(detector.counts().processed, 120 * BLOCK as u64);
    });
}
