//! Boxes in time and frequency that were sent, and which bursts found them.

use cellwarden_types::Burst;

/// A box in time and frequency.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub start_s: f64,
    pub seconds: f64,
    pub low_hz: f64,
    pub high_hz: f64,
}

#[allow(dead_code)] // not every test needs all of it
impl Sent {
    /// Area that a burst shares with it, as a share of this.
    pub fn share(&self, b: &Burst) -> f64 {
        let time = (self.start_s + self.seconds).min(b.start_s + b.duration_s) - self.start_s.max(b.start_s);
        let band = self.high_hz.min(b.freq_upper_hz) - self.low_hz.max(b.freq_lower_hz);
        time.max(0.0) * band.max(0.0) / (self.seconds * (self.high_hz - self.low_hz))
    }

    /// As the project counts what is found: half of the area, and a middle within a quarter of the width or 100 kHz.
    pub fn is_found_by(&self, b: &Burst) -> bool {
        let off_hz = (self.low_hz + self.high_hz - b.freq_lower_hz - b.freq_upper_hz) / 2.0;
        self.share(b) >= 0.5 && off_hz.abs() <= (0.25 * (self.high_hz - self.low_hz)).max(100e3)
    }

    /// Whether most of a burst lies on it.
    pub fn is_under(&self, b: &Burst) -> bool {
        let area = (self.seconds * (self.high_hz - self.low_hz)) / (b.duration_s * (b.freq_upper_hz - b.freq_lower_hz));
        self.share(b) * area > 0.3
    }
}
