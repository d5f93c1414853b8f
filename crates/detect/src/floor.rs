//! The noise floor of each bin, which bursts do not lift.
//!
//! Two order statistics, one inside the other. Within a chunk of 20 ms, frames are averaged by
//! eights and the 30 % quantile of the averages is taken: bursts that fill less than 70 % of a bin's
//! time leave it alone. Over chunks, the 25 % quantile of the last 2.5 s is taken, so that an upload
//! of a second does not lift it either, and what stays becomes floor: a carrier that is always
//! on is no burst. The bias of the first quantile follows from the gamma distribution.

/// Frames averaged before the quantile is taken.
pub const GROUP: usize = 8;
/// Which quantile of the averages, and the normal one that belongs to it. Where a base station itself sends for three quarters of
/// the time, what is left of it decides.
const QUANTILE: (f64, f64) = (0.3, -0.524_400_5);
const QUANTILE_UNPAIRED: (f64, f64) = (0.1, -1.281_551_6);
/// Chunks remembered: about 2.5 s.
const MEMORY: usize = 128;
/// Which quantile over the chunks.
const CHUNK_QUANTILE: f64 = 0.25;

/// Tracks the floor of one stream.
#[derive(Clone, Debug)]
pub struct FloorTracker {
    bins: usize,
    quantile: (f64, f64),
    /// `[MEMORY][bins]`, a ring.
    history: Vec<f32>,
    filled: usize,
    next: usize,
    floor: Vec<f32>,
    least: f32,
    column: Vec<f32>,
    sums: Vec<f32>,
}

impl FloorTracker {
    /// A tracker over `bins` bins whose floor never falls below `least` (density, 1/Hz).
    pub fn new(bins: usize, least: f32) -> Self {
        Self {
            bins,
            quantile: QUANTILE,
            history: vec![0.0; MEMORY * bins],
            filled: 0,
            next: 0,
            floor: vec![least; bins],
            least,
            column: Vec::with_capacity(MEMORY.max(4096)),
            sums: Vec::new(),
        }
    }

    /// The same for a band that the base station uses as well, for up to four fifths of the time.
    pub fn unpaired(bins: usize, least: f32) -> Self {
        Self { quantile: QUANTILE_UNPAIRED, ..Self::new(bins, least) }
    }

    /// Takes in a chunk of rows, `[frames][bins]`, and updates the floor.
    ///
    /// Allocates only when a chunk is longer than all before it.
    pub fn update(&mut self, rows: &[f32]) {
        let frames = rows.len() / self.bins;
        let group = GROUP.min(frames.max(1));
        let groups = frames / group;
        if groups == 0 {
            return;
        }
        self.sums.clear();
        self.sums.resize(groups * self.bins, 0.0);
        for (sum, eight) in self.sums.chunks_exact_mut(self.bins).zip(rows.chunks_exact(group * self.bins)) {
            for row in eight.chunks_exact(self.bins) {
                for (s, &p) in sum.iter_mut().zip(row) {
                    *s += p;
                }
            }
        }
        let scale = 1.0 / (group as f32 * quantile_bias(group, self.quantile.1));
        let rank = ((groups as f64 * self.quantile.0) as usize).min(groups - 1);
        for bin in 0..self.bins {
            self.column.clear();
            self.column.extend(self.sums[bin..].iter().step_by(self.bins));
            let (_, value, _) = self.column.select_nth_unstable_by(rank, f32::total_cmp);
            self.history[self.next * self.bins + bin] = *value * scale;
        }
        self.next = (self.next + 1) % MEMORY;
        self.filled = (self.filled + 1).min(MEMORY);
        // What 2.5 s say does not change within 160 ms; at the start every chunk counts.
        if self.filled > 16 && self.next % 8 != 0 {
            return;
        }
        let rank = ((self.filled as f64 * CHUNK_QUANTILE) as usize).min(self.filled - 1);
        for bin in 0..self.bins {
            self.column.clear();
            self.column.extend(self.history[bin..].iter().step_by(self.bins).take(self.filled));
            let (_, value, _) = self.column.select_nth_unstable_by(rank, f32::total_cmp);
            self.floor[bin] = value.max(self.least);
        }
    }

    /// The last rows summed by [`GROUP`], `[groups][bins]`: those that were whole.
    pub fn sums(&self) -> &[f32] {
        &self.sums
    }

    /// Noise power density of each bin, in 1/Hz over full scale.
    pub fn floor(&self) -> &[f32] {
        &self.floor
    }

    /// Whether it was measured, or restored.
    pub fn is_known(&self) -> bool {
        self.filled > 0
    }

    /// Starts from a floor that was written out before; the first chunks then confirm or replace it.
    ///
    /// # Panics
    /// If `floor` has another number of bins.
    pub fn restore(&mut self, floor: &[f32]) {
        assert_eq!(floor.len(), self.bins, "a floor has one value per bin");
        for (f, &value) in self.floor.iter_mut().zip(floor) {
            *f = value.max(self.least);
        }
        self.history[..self.bins].copy_from_slice(&self.floor);
        self.filled = 1;
        self.next = 1;
    }
}

/// A quantile, given by the normal one, of the mean of `group` Hann frames of noise, over the mean.
///
/// Wilson–Hilferty for a gamma distribution. Half-overlapped Hann frames have a power correlation
/// of 1/36, which takes 5 % off the degrees of freedom (Welch 1967).
fn quantile_bias(group: usize, z: f64) -> f32 {
    let n = group as f64;
    let dof = n / (1.0 + 2.0 * (n - 1.0) / n / 36.0);
    let spread = 1.0 / (9.0 * dof);
    (1.0 - spread + z * spread.sqrt()).powi(3) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn noise(rng: &mut ChaCha8Rng, frames: usize, bins: usize) -> Vec<f32> {
        (0..frames * bins).map(|_| -(1.0 - rng.random::<f32>()).ln()).collect()
    }

    #[test]
    fn noise_of_known_level_is_read_within_a_quarter_decibel() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut tracker = FloorTracker::new(64, 0.0);
        for _ in 0..40 {
            tracker.update(&noise(&mut rng, 800, 64));
        }
        for &f in tracker.floor() {
            assert!((10.0 * f.log10()).abs() < 0.35, "{f}");
        }
        let mean = tracker.floor().iter().sum::<f32>() / 64.0;
        assert!((10.0 * mean.log10()).abs() < 0.25, "{mean}");
    }

    #[test]
    fn unpaired_floor_ignores_what_is_there_for_four_fifths_of_the_time() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut tracker = FloorTracker::unpaired(64, 0.0);
        for _ in 0..20 {
            let mut rows = noise(&mut rng, 1200, 64);
            for row in rows.chunks_exact_mut(64).enumerate().filter(|(i, _)| i % 150 < 120).map(|(_, r)| r) {
                row.iter_mut().for_each(|p| *p *= 30.0);
            }
            tracker.update(&rows);
        }
        let mean = tracker.floor().iter().sum::<f32>() / 64.0;
        // A tenth of all is the upper half of what is left: the floor is too high by so much, and 15 dB without this.
        assert!((0.0..3.0).contains(&(10.0 * mean.log10())), "{mean}");
    }

    #[test]
    fn floor_ignores_bursts_that_fill_half_of_the_time() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut tracker = FloorTracker::new(8, 0.0);
        for _ in 0..20 {
            let mut rows = noise(&mut rng, 800, 8);
            for row in rows.chunks_exact_mut(8 * 40).step_by(2) {
                row.iter_mut().for_each(|p| *p *= 1000.0);
            }
            tracker.update(&rows);
        }
        for &f in tracker.floor() {
            assert!(f < 1.5, "{f}");
        }
    }
}
