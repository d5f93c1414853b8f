//! What was, for those who ask later: native samples, and tile powers, by time and band.

use crate::convert::convert;
use cellwarden_types::SampleFormat;
use num_complex::Complex32;
use std::collections::VecDeque;

/// The last native samples of a stream, addressed by sample index.
#[derive(Debug)]
pub struct SampleRing {
    /// What is held lies at the end, behind what was forgotten: it is moved to the front no sooner than it is less than
    /// that, so that a byte is moved once at the most, and lies in one piece always.
    bytes: Vec<u8>,
    forgotten: usize,
    first: u64,
    format: SampleFormat,
}

impl SampleRing {
    /// An empty ring with room for `samples`, whose next sample has index `first`.
    pub fn new(format: SampleFormat, first: u64, samples: usize) -> Self {
        Self { bytes: Vec::with_capacity(2 * samples * format.bytes_per_sample()), forgotten: 0, first, format }
    }

    /// Empties it; the next sample has index `first`.
    pub fn begin_at(&mut self, first: u64) {
        self.bytes.clear();
        self.forgotten = 0;
        self.first = first;
    }

    /// Adds samples at the end.
    pub fn push(&mut self, bytes: &[u8]) {
        let held = self.bytes.len() - self.forgotten;
        if self.forgotten > held {
            self.bytes.copy_within(self.forgotten.., 0);
            self.bytes.truncate(held);
            self.forgotten = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets everything before sample `keep_from`.
    pub fn forget_before(&mut self, keep_from: u64) {
        let drop = keep_from.saturating_sub(self.first).min(self.end() - self.first);
        self.forgotten += drop as usize * self.format.bytes_per_sample();
        self.first += drop;
    }

    /// Index of the oldest sample held.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Index after the newest sample.
    pub fn end(&self) -> u64 {
        self.first + ((self.bytes.len() - self.forgotten) / self.format.bytes_per_sample()) as u64
    }

    /// Samples `start..end` as one slice.
    ///
    /// # Panics
    /// If the ring does not hold them.
    pub fn slice(&self, start: u64, end: u64) -> &[u8] {
        assert!(self.first <= start && start <= end && end <= self.end(), "the ring must hold what is asked for");
        let size = self.format.bytes_per_sample();
        let at = |sample: u64| self.forgotten + (sample - self.first) as usize * size;
        &self.bytes[at(start)..at(end)]
    }

    /// The samples from `start` until before `end`, full scale = 1.0, in `iq`: as many as it has then.
    ///
    /// # Panics
    /// As [`slice`](Self::slice).
    pub fn load(&self, start: u64, end: u64, iq: &mut Vec<Complex32>) {
        iq.resize((end - start) as usize, Complex32::ZERO);
        convert(self.format, self.slice(start, end), iq);
    }
}

/// Mean power densities of tiles (8 frames by one bin), a bounded time back.
#[derive(Debug)]
pub struct TileRing {
    bins: usize,
    rows: VecDeque<f32>,
    /// Sample index of the middle of each row.
    at: VecDeque<u64>,
    capacity: usize,
}

/// What a [`TileRing`] knows about a band over a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TileLevel {
    /// Mean power in the band, noise included, linear over full scale.
    pub power: f64,
    /// How many tiles were averaged.
    pub tiles: usize,
}

impl TileRing {
    /// Frames in a tile.
    pub const FRAMES: usize = crate::floor::GROUP;

    /// A ring of `capacity` rows of `bins` bins.
    pub fn new(bins: usize, capacity: usize) -> Self {
        Self {
            bins,
            rows: VecDeque::with_capacity(bins * capacity),
            at: VecDeque::with_capacity(capacity),
            capacity: capacity.max(1),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.at.clear();
    }

    /// Adds tiles of [`FRAMES`](Self::FRAMES) rows summed, `[tiles][bins]`; the middle of the first one's first frame is sample
    /// `first_middle`.
    pub fn push(&mut self, sums: &[f32], first_middle: u64, hop: usize) {
        for (i, sum) in sums.chunks_exact(self.bins).enumerate() {
            if self.at.len() == self.capacity {
                self.at.pop_front();
                self.rows.drain(..self.bins);
            }
            self.rows.extend(sum.iter().map(|s| s / Self::FRAMES as f32));
            self.at.push_back(first_middle + (i * Self::FRAMES * hop + (Self::FRAMES - 1) * hop / 2) as u64);
        }
    }

    /// The middle of the oldest tile, as a sample.
    pub fn first(&self) -> Option<u64> {
        self.at.front().copied()
    }

    /// The tiles whose middles lie after sample `after`, oldest first: the middle's sample, and power densities by bin.
    pub fn rows_after(&self, after: Option<u64>) -> impl Iterator<Item = (u64, Vec<f32>)> + '_ {
        let from = after.map_or(0, |after| self.at.partition_point(|&at| at <= after));
        let row = |i: usize| self.rows.range(i * self.bins..(i + 1) * self.bins).copied().collect();
        (from..self.at.len()).map(move |i| (self.at[i], row(i)))
    }

    /// The mean level in bins `low..high` of the tiles whose middles lie in samples `start..end`.
    pub fn level(&self, start: u64, end: u64, low: usize, high: usize, bin_hz: f64) -> Option<TileLevel> {
        let high = high.min(self.bins);
        let (mut sum, mut tiles) = (0.0, 0);
        for (row, &at) in self.at.iter().enumerate() {
            if (start..end).contains(&at) {
                sum += (low..high).map(|bin| f64::from(self.rows[row * self.bins + bin])).sum::<f64>();
                tiles += 1;
            }
        }
        (tiles > 0 && low < high).then(|| TileLevel { power: sum * bin_hz / tiles as f64, tiles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_their_index() {
        let mut ring = SampleRing::new(SampleFormat::Cs8, 100, 8);
        ring.push(&[1, 1, 2, 2, 3, 3]);
        ring.forget_before(101);
        ring.push(&[4, 4, 5, 5]);
        assert_eq!((ring.first(), ring.end()), (101, 105));
        assert_eq!(ring.slice(102, 104), &[3, 3, 4, 4]);
        ring.forget_before(500);
        assert_eq!((ring.first(), ring.end()), (105, 105));
    }

    #[test]
    fn a_ring_that_goes_on_stays_as_large_as_it_was_made() {
        let mut ring = SampleRing::new(SampleFormat::Cs8, 0, 50);
        let room = ring.bytes.capacity();
        for chunk in 0..1_000u64 {
            let samples: Vec<u8> = (chunk * 7..chunk * 7 + 7).flat_map(|n| [n as u8, !(n as u8)]).collect();
            ring.push(&samples);
            ring.forget_before(ring.end().saturating_sub(43));
            let (first, end) = (ring.first(), ring.end());
            assert_eq!((end - first, end), (end.min(43), (chunk + 1) * 7));
            let held: Vec<u8> = (first..end).flat_map(|n| [n as u8, !(n as u8)]).collect();
            assert_eq!(ring.slice(first, end), held);
        }
        assert_eq!(ring.bytes.capacity(), room);
    }

    #[test]
    fn tiles_answer_by_time_and_band() {
        let mut ring = TileRing::new(2, 2);
        let row = |a: f32, b: f32| [8.0 * a, 8.0 * b];
        for (i, rows) in [row(9.0, 9.0), row(1.0, 2.0), row(3.0, 4.0)].iter().enumerate() {
            ring.push(rows, i as u64 * 80, 10);
        }
        assert_eq!(ring.level(0, 80, 0, 2, 1.0), None, "forgotten");
        assert_eq!(ring.level(80, 240, 1, 2, 10.0), Some(TileLevel { power: 30.0, tiles: 2 }));
    }
}
