//! Questions about levels that the floor and the tile history answer.

use super::Stream;
use crate::history::TileRing;
use crate::pipeline::Tiles;
use crate::state::FloorState;
use cellwarden_types::request::LevelRequest;
use cellwarden_types::{UtcNanos, db};

impl Stream {
    pub(in crate::pipeline) fn noise_dbfs_per_hz(&self) -> Option<f64> {
        self.floor.is_known().then(|| middle_dbfs_per_hz(self.floor.floor()))
    }

    pub(in crate::pipeline) fn tiles_after(&self, after: Option<UtcNanos>) -> Option<Tiles> {
        let (now, rate_hz) = ((self.origin, self.origin_time?), self.rate.0);
        let visits = || self.visits.iter().copied().chain([now]).rev();
        let first = self.visits.front().copied().unwrap_or(now);
        // A time between two visits is before the later one's first sample, whatever the count of samples says.
        let mut until = u64::MAX;
        let mut within = |after: UtcNanos, (origin, time): (u64, UtcNanos)| {
            let sample = origin + (after.seconds_since(time).max(0.0) * rate_hz).round() as u64;
            let found = (time <= after).then_some(sample.min(until));
            until = origin;
            found
        };
        let sample = after.and_then(|after| visits().find_map(|v| within(after, v))).unwrap_or(first.0);
        let utc = |at: u64| {
            let (origin, time) = visits().find(|(origin, _)| *origin <= at).unwrap_or(first);
            time.plus_seconds(at.saturating_sub(origin) as f64 / rate_hz)
        };
        Some(Tiles {
            center: self.center,
            rate: self.rate,
            bin_hz: rate_hz / self.geometry.n_fft as f64,
            row_s: (TileRing::FRAMES * self.geometry.hop) as f64 / rate_hz,
            floor: self.floor.floor().to_vec(),
            rows: self.tiles.rows_after(Some(sample)).map(|(at, row)| (utc(at), row)).collect(),
        })
    }

    fn bin_hz(&self) -> f64 {
        self.rate.0 / self.geometry.n_fft as f64
    }

    /// The bin that a frequency begins, 0 for all below.
    fn bin(&self, hz: f64) -> usize {
        ((hz - self.center.0) / self.bin_hz() + self.geometry.n_fft as f64 / 2.0 + 0.5).max(0.0) as usize
    }

    pub(in crate::pipeline) fn level_of_last_visit(&self, low_hz: f64, high_hz: f64) -> Option<f64> {
        let reach_hz = self.rate.0 / 2.0;
        if low_hz < self.center.0 - reach_hz || high_hz > self.center.0 + reach_hz {
            return None;
        }
        let (low, high) = (self.bin(low_hz), self.bin(high_hz));
        self.tiles.level(self.origin, u64::MAX, low, high, self.bin_hz()).map(|level| db(level.power))
    }

    pub(in crate::pipeline) fn level(&self, request: &LevelRequest) -> Option<(f64, f64)> {
        let rate = self.rate.0;
        let since = request.time.seconds_since(self.origin_time?);
        let at = |s: f64| (self.origin as f64 + s * rate).max(0.0) as u64;
        let (low, high) = (self.bin(request.freq_lower_hz), self.bin(request.freq_upper_hz));
        let bin_hz = self.bin_hz();
        // Before this visit the count of samples is no clock.
        let from = at(since).max(self.origin);
        let level = self.tiles.level(from, at(since + request.duration_s), low, high, bin_hz)?;
        Some((level.power, self.noise.power(request.freq_lower_hz, request.freq_upper_hz)))
    }
}

pub(in crate::pipeline) fn noise_of(state: &FloorState) -> f64 {
    middle_dbfs_per_hz(&state.density)
}

/// Off the carrier's own leakage at zero, and off the filter's edges.
fn middle_dbfs_per_hz(density: &[f32]) -> f64 {
    db(f64::from(density[density.len() / 4]))
}
