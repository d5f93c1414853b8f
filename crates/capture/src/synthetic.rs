//! Seeded noise without end: a source for tests and measurements, with nothing to find in it.

use crate::source::{Source, SourceError, SourceStatus};
use cellwarden_types::{Hertz, IqBlock, SampleFormat, SampleIndex};
use std::sync::Arc;

/// White noise of about -57 dBFS in cs16.
pub struct SyntheticSource {
    sensor: Arc<str>,
    rate: Hertz,
    state: u64,
    given: u64,
    length: u64,
}

impl SyntheticSource {
    /// Noise for `sensor` at `rate_hz`, the same for the same seed.
    pub fn new(sensor: Arc<str>, rate_hz: f64, seed: u64) -> Self {
        Self { sensor, rate: Hertz(rate_hz), state: seed ^ 0x9E37_79B9_7F4A_7C15, given: 0, length: u64::MAX }
    }

    /// Ends after so many samples.
    pub fn with_length(mut self, samples: u64) -> Self {
        self.length = samples;
        self
    }

    /// splitmix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Source for SyntheticSource {
    fn template(&self) -> IqBlock {
        IqBlock {
            sensor: Arc::clone(&self.sensor),
            start: SampleIndex(0),
            lost_before: 0,
            time: None,
            center: Hertz(897.5e6),
            rate: self.rate,
            format: SampleFormat::Cs16,
            gap_before: None,
            bytes: Vec::new(),
        }
    }

    fn next(&mut self, block: &mut IqBlock, samples: usize) -> Result<SourceStatus, SourceError> {
        let count = (samples as u64).min(self.length - self.given);
        if count == 0 {
            return Ok(SourceStatus::End);
        }
        block.start = SampleIndex(self.given);
        block.gap_before = None;
        for _ in 0..count {
            // Four bytes added up make a value near enough to normal: variance 4 · 65536/12, scaled to 33 steps.
            for word in [self.random(), self.random()] {
                let sum: i32 = word.to_le_bytes()[..4].iter().map(|&b| i32::from(b) - 128).sum();
                block.bytes.extend(((sum * 33 / 148) as i16).to_le_bytes());
            }
        }
        self.given += count;
        Ok(SourceStatus::Filled)
    }
}
