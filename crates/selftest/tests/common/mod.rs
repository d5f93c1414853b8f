//! A sensor's samples: noise in every format, and a tested detector that hears it.
#![allow(dead_code)] // each test file uses its part

use cellwarden_detect::DetectConfig;
use cellwarden_selftest::{SelfTestConfig, TestedDetector};
use cellwarden_sim::channel::normal;
use cellwarden_types::{Burst, Hertz, IqBlock, SampleFormat, SampleIndex, SelfTestCount, UtcNanos};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub const RATE_HZ: f64 = 2.4e6;
/// GSM 900 and band 8.
pub const CENTER_HZ: f64 = 902.4e6;
/// A test is over after less: a chunk of the detector, a cluster's margins, and the jitter of the pace.
pub const EVERY_S: f64 = 0.08;
/// 2026-03-01T06:00:00Z.
const STARTED: UtcNanos = UtcNanos(1_772_344_800_000_000_000);

/// Samples that come again and again, in blocks of 4 ms.
pub struct Source {
    pub block: IqBlock,
    bytes: Vec<u8>,
    samples: usize,
}

impl Source {
    pub fn new(format: SampleFormat, rate_hz: f64, center_hz: f64, bytes: Vec<u8>) -> Self {
        let block = IqBlock::empty("test".into(), format, Hertz(rate_hz), Hertz(center_hz));
        Self { block, bytes, samples: (rate_hz * 4e-3) as usize }
    }

    /// Half a second of noise with this standard deviation of I and of Q, over full scale.
    pub fn noise(format: SampleFormat, deviation: f64) -> Self {
        Self::new(format, RATE_HZ, CENTER_HZ, noise(format, deviation, (0.5 * RATE_HZ) as usize, 1))
    }

    /// The next block.
    pub fn next(&mut self) -> &IqBlock {
        let size = self.block.format.bytes_per_sample();
        let start = self.block.start.0 + self.block.samples() as u64;
        self.block.start = SampleIndex(start);
        let lost = start + self.block.lost_before;
        self.block.time = Some(STARTED.plus_seconds(lost as f64 / self.block.rate.0));
        self.block.gaps_before.clear();
        self.block.bytes.clear();
        let held = self.bytes.len() / size;
        let from = start as usize % held;
        let to = (from + self.samples).min(held);
        self.block.bytes.extend_from_slice(&self.bytes[from * size..to * size]);
        &self.block
    }
}

/// Native samples of Gaussian noise.
pub fn noise(format: SampleFormat, deviation: f64, samples: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = Vec::with_capacity(samples * format.bytes_per_sample());
    for _ in 0..2 * samples {
        let value = normal(&mut rng) * deviation;
        match format {
            SampleFormat::Cu8 => bytes.push((value * 128.0).round().clamp(-128.0, 127.0) as i16 as u8 ^ 0x80),
            SampleFormat::Cs8 => bytes.push((value * 128.0).round().clamp(-128.0, 127.0) as i8 as u8),
            SampleFormat::Cs16 => bytes.extend(((value * 32_768.0).round() as i16).to_le_bytes()),
            SampleFormat::Cf32 => bytes.extend((value as f32).to_le_bytes()),
        }
    }
    bytes
}

pub fn detector(config: DetectConfig) -> TestedDetector {
    TestedDetector::new("test".into(), config, Some(SelfTestConfig { every_s: EVERY_S }))
}

/// The sum over bands and kinds.
pub fn sum(results: &[SelfTestCount]) -> SelfTestCount {
    let mut sum = SelfTestCount { tests: 0, found: 0, named: 0, void: 0, ..results[0].clone() };
    for r in results {
        (sum.tests, sum.found) = (sum.tests + r.tests, sum.found + r.found);
        (sum.named, sum.void) = (sum.named + r.named, sum.void + r.void);
    }
    sum
}

/// Lets the detector hear the source until there were so many tests; gives what came out beside them.
pub fn run(detector: &mut TestedDetector, source: &mut Source, tests: u64) -> Vec<Burst> {
    let mut out = Vec::new();
    // Twice the time that the pace takes.
    let blocks = (2.0 * tests as f64 * EVERY_S / 4e-3) as u64 + 500;
    for _ in 0..blocks {
        detector.process(source.next(), &mut out);
        let so_far = sum(detector.results());
        if so_far.tests + so_far.void >= tests {
            break;
        }
    }
    out
}

/// Chernoff's bound on the chance of no more than `hits` in `trials`, each with a probability of `rate`.
pub fn tail_bound(hits: u64, trials: u64, rate: f64) -> f64 {
    let share = hits as f64 / trials as f64;
    if share >= rate {
        return 1.0;
    }
    let part = |q: f64, p: f64| if q > 0.0 { q * (q / p).ln() } else { 0.0 };
    (-(trials as f64) * (part(share, rate) + part(1.0 - share, 1.0 - rate))).exp()
}
