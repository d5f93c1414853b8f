//! Seeded noise without end: a source for tests and measurements, with nothing to find in it.

use crate::source::{Source, SourceError, SourceStatus};
use cellwarden_types::{Hertz, IqBlock, SampleFormat, SampleIndex};
use std::sync::Arc;

/// splitmix64 (Steele, Lea, Flood 2014), quick and seeded, for noise that nothing depends on; the field is its state.
#[derive(Clone, Debug)]
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// White noise of about -57 dBFS in cs16.
pub struct SyntheticSource {
    sensor: Arc<str>,
    rate: Hertz,
    random: SplitMix64,
    given: u64,
    length: u64,
}

impl SyntheticSource {
    /// Noise for `sensor` at `rate_hz`, the same for the same seed.
    pub fn new(sensor: Arc<str>, rate_hz: f64, seed: u64) -> Self {
        Self {
            sensor,
            rate: Hertz(rate_hz),
            random: SplitMix64(seed ^ 0x9E37_79B9_7F4A_7C15),
            given: 0,
            length: u64::MAX,
        }
    }

    /// Ends after so many samples.
    pub fn with_length(mut self, samples: u64) -> Self {
        self.length = samples;
        self
    }
}

impl Source for SyntheticSource {
    fn template(&self) -> IqBlock {
        IqBlock::empty(Arc::clone(&self.sensor), SampleFormat::Cs16, self.rate, Hertz(897.5e6))
    }

    fn next(&mut self, block: &mut IqBlock, samples: usize) -> Result<SourceStatus, SourceError> {
        let count = (samples as u64).min(self.length - self.given);
        if count == 0 {
            return Ok(SourceStatus::End);
        }
        block.start = SampleIndex(self.given);
        for _ in 0..count {
            // Four bytes added up make a value near enough to normal: variance 4 · 65536/12, scaled to 33 steps.
            for word in [self.random.next_u64(), self.random.next_u64()] {
                let sum: i32 = word.to_le_bytes()[..4].iter().map(|&b| i32::from(b) - 128).sum();
                block.bytes.extend(((sum * 33 / 148) as i16).to_le_bytes());
            }
        }
        self.given += count;
        Ok(SourceStatus::Filled)
    }
}
