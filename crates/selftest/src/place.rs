//! Where a test burst lies, and which of the detector's bursts are of it.

use cellwarden_types::{Burst, UtcNanos};

/// An edge that was measured lies this near to the true one, in seconds and hertz.
const SLACK_S: f64 = 100e-6;
const SLACK_HZ: f64 = 100e3;
/// What is beside a burst on either side belongs to its neighbours.
pub(crate) const BESIDE_HZ: f64 = 400e3;
/// What lies in a place with so much of itself is of the test burst. Splinters of one lie in it with all they have.
const SHARE: f64 = 0.5;

/// The time and the band of a test burst, ramps left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Samples of the stream, as a burst counts them.
    pub start: u64,
    pub count: u64,
    pub rate_hz: f64,
    pub low_hz: f64,
    pub high_hz: f64,
    /// UTC of `start`.
    pub time: UtcNanos,
}

fn overlap((a, b): (f64, f64), (c, d): (f64, f64)) -> f64 {
    (b.min(d) - a.max(c)).max(0.0)
}

fn times(burst: &Burst) -> (f64, f64) {
    let start = burst.sample_start as f64;
    (start, start + burst.sample_count as f64)
}

impl Place {
    fn times(&self, slack_s: f64) -> (f64, f64) {
        let slack = slack_s * self.rate_hz;
        (self.start as f64 - slack, (self.start + self.count) as f64 + slack)
    }

    /// Whether at least half of a burst, in time and in frequency, lies in the place: it is the test burst or a piece of it.
    pub fn holds(&self, burst: &Burst) -> bool {
        let (start, end) = times(burst);
        let (low, high) = (burst.freq_lower_hz, burst.freq_upper_hz);
        overlap((start, end), self.times(SLACK_S)) >= SHARE * (end - start)
            && overlap((low, high), (self.low_hz - SLACK_HZ, self.high_hz + SLACK_HZ)) >= SHARE * (high - low)
    }

    /// Whether a burst touches the place or what is right beside it.
    pub fn is_touched_by(&self, burst: &Burst) -> bool {
        overlap(times(burst), self.times(SLACK_S)) > 0.0 && self.is_beside((burst.freq_lower_hz, burst.freq_upper_hz))
    }

    /// Whether a band touches this one.
    pub fn is_in(&self, band: (f64, f64)) -> bool {
        overlap(band, (self.low_hz, self.high_hz)) > 0.0
    }

    /// Whether a band touches this one or what is right beside it.
    pub fn is_beside(&self, band: (f64, f64)) -> bool {
        overlap(band, (self.low_hz - BESIDE_HZ, self.high_hz + BESIDE_HZ)) > 0.0
    }

    /// UTC of its end.
    pub fn end_time(&self) -> UtcNanos {
        self.time.plus_seconds(self.count as f64 / self.rate_hz)
    }
}
