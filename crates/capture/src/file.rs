//! A recording as a source: flat out, or at the pace at which it was made.

use crate::source::{Source, SourceError, SourceStatus};
use cellwarden_iq::Recording;
use cellwarden_types::{Gap, GapReason, Hertz, IqBlock, SampleIndex};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it is taken.
    FlatOut,
    /// One second of samples a second.
    RealTime,
}

/// Plays a recording.
pub struct FileSource {
    recording: Recording,
    sensor: Arc<str>,
    pace: Pace,
    began: Option<Instant>,
}

impl FileSource {
    /// Plays `recording` as what `sensor` heard.
    pub fn new(recording: Recording, sensor: Arc<str>, pace: Pace) -> Self {
        Self { recording, sensor, pace, began: None }
    }
}

impl Source for FileSource {
    fn template(&self) -> IqBlock {
        let info = &self.recording.info;
        let first = info.captures.first();
        let center = first.map_or(Hertz(0.0), |c| c.center);
        IqBlock {
            time: first.and_then(|c| c.time),
            ..IqBlock::empty(Arc::clone(&self.sensor), info.format, info.rate, center)
        }
    }

    fn next(&mut self, block: &mut IqBlock, samples: usize) -> Result<SourceStatus, SourceError> {
        let size = self.recording.info.format.bytes_per_sample();
        block.bytes.resize(samples * size, 0);
        let Some(chunk) = self.recording.next_chunk(&mut block.bytes)? else {
            block.bytes.clear();
            return Ok(SourceStatus::End);
        };
        block.bytes.truncate(chunk.bytes);
        block.start = SampleIndex(chunk.start);
        block.lost_before = chunk.lost_before;
        block.center = chunk.center;
        block.time = chunk.time;
        if chunk.gap_before > 0 {
            block.gaps_before.push(Gap {
                sensor: Arc::clone(&self.sensor),
                sample_start: chunk.start,
                sample_count: chunk.gap_before,
                reason: GapReason::Discontinuity,
            });
        }
        if self.pace == Pace::RealTime {
            let began = *self.began.get_or_insert_with(Instant::now);
            let place = (chunk.start + chunk.lost_before + block.samples() as u64) as f64 / block.rate.0;
            // A block is due when its last sample would have been heard.
            let due = began + Duration::from_secs_f64(place.min(1e9));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(SourceStatus::Filled)
    }
}
