//! How many test bursts are found in noise, by format, kind and level of the noise; and what testing costs.
//!
//! `cargo run --release -p cellwarden-selftest --example measure -- 1000`: so many of each.

#![allow(dead_code)] // what it shares with the tests

#[path = "../tests/common/mod.rs"]
mod common;

use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_selftest::{SelfTestConfig, TestedDetector};
use cellwarden_types::SampleFormat;
use common::{Source, detector, run};
use std::time::Instant;

fn main() {
    let tests: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1000);
    println!("format  noise/step  kind    tests  named  found   void  others");
    for (format, steps) in [
        (SampleFormat::Cs16, 1000.0),
        (SampleFormat::Cf32, 4.0),
        (SampleFormat::Cs8, 4.0),
        (SampleFormat::Cu8, 4.0),
        (SampleFormat::Cs8, 1.0),
        (SampleFormat::Cs8, 0.7),
        (SampleFormat::Cs8, 0.5),
        (SampleFormat::Cs8, 0.35),
        (SampleFormat::Cs8, 0.2),
    ] {
        let scale = if format == SampleFormat::Cs16 { 32_768.0 } else { 128.0 };
        let mut tested = detector(DetectConfig::default());
        let others = run(&mut tested, &mut Source::noise(format, steps / scale), 3 * tests).len();
        for r in tested.results() {
            let kind = r.kind.name();
            let counts = format!("{:>6} {:>6} {:>6} {:>6}", r.tests, r.named, r.found, r.void);
            println!("{format:<7} {steps:>10}  {kind:<6} {counts} {others:>7}");
        }
    }
    cost();
}

/// Twenty seconds of noise, untested and tested every ten seconds and every 0.08 s.
fn cost() {
    let every = |every_s: Option<f64>| {
        let mut source = Source::noise(SampleFormat::Cs16, 0.03);
        let (mut plain, mut out) = (Detector::new("cost".into(), DetectConfig::default()), Vec::new());
        let mut tested = every_s.map(|every_s| {
            TestedDetector::new("cost".into(), DetectConfig::default(), Some(SelfTestConfig { every_s }))
        });
        let began = Instant::now();
        for _ in 0..5000 {
            match &mut tested {
                Some(tested) => tested.process(source.next(), &mut out),
                None => plain.process(source.next(), &mut out),
            }
        }
        let tests: u64 = tested.iter().flat_map(|t| t.results()).map(|r| r.tests + r.void).sum();
        println!("20 s at 2.4 Msps, every {every_s:?} s: {:.3} s, {tests} tests", began.elapsed().as_secs_f64());
    };
    [None, Some(10.0), Some(common::EVERY_S), None, Some(10.0), Some(common::EVERY_S)].into_iter().for_each(every);
}
