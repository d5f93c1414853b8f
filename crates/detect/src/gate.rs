//! Where a preamble may lie that no single cell of the spectrogram shows.
//!
//! A preamble fills 1.05 MHz for 0.9 ms (TS 36.211 5.7): some 860 independent values, whose mean is known to 3.5 %. One at
//! -5 dB raises it by a third, though hardly a cell stands out of the noise. So the mean over a window of that size is
//! followed at every place of the band, against what it was there before: a floor that is a little wrong is so all the time.
//! What stands out is a hint where to look, and proves nothing. Windows begin at each step and each stride: a preamble loses
//! 7 % of itself at worst.

use crate::config::FrameGeometry;
use crate::steps::{STEP_S, StepSums};

/// Width of the 839 subcarriers, and length of the sequence without its prefix.
const WIDTH_HZ: f64 = 839.0 * 1250.0;
const LENGTH_S: f64 = 0.8e-3;
/// Standard deviations over what is usual at a place that are worth a look: on 20 MHz noise passes that ten times a second, 4 a
/// hundred times.
const LEAST_SIGMAS: f32 = 4.55;
/// Mean over the noise above which every cell shows: other stages see it.
const MOST_EXCESS: f32 = 3.0;
/// Of what is over the noise, no two neighbouring eighths of the band hold more than this share (and three deviations): a
/// resource block is a sixth of it, and a preamble has a quarter there.
const MOST_SHARE: f32 = 0.55;
const PARTS: usize = 8;
/// So much in a chunk that stands out is a crowd: of that, a place is looked at if none so near is clearer.
const CROWD: usize = 1024;
const CROWD_PLACES: usize = 3;
/// Strides beside a window that are asked whether it is the skirt of what is there.
const BESIDE: usize = 4;
/// What is usual is the mean over so long, in seconds; at the start, over what there was, with the floor's word for so long.
const USUAL_S: f64 = 5.0;
const FLOOR_S: f64 = 0.05;
/// The usual follows what is so many deviations off at the most: bursts do not lift it.
const CLIP_SIGMAS: f32 = 2.0;
/// Places that may be looked at in a chunk of 20 ms, the clearest first; what is not used is saved, up to so many.
const LOOKS_A_CHUNK: usize = 8;
const LOOKS_SAVED: usize = 32;
/// Places without a look that are counted in a chunk.
const PASSED_OVER_MOST: usize = 256;

/// A place that is worth a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hint {
    /// The first frame of the window, counted as the rows are.
    pub frame: u64,
    /// Middle of the window, from the stream's centre, in hertz.
    pub offset_hz: f64,
    /// By how many standard deviations it stands out.
    pub sigmas: f32,
    /// The window's lowest bin, and how many it has.
    pub bins: (usize, usize),
    /// The mean over the floor that makes it worth a look.
    pub least: f32,
}

/// Follows the mean of windows of a preamble's size over the whole band.
pub struct PreambleGate {
    bins: usize,
    bin_hz: f64,
    /// Frames in a step, steps in a window.
    step_frames: usize,
    window_steps: usize,
    /// Bins from one window to the next, strides in a window, and how many windows lie side by side.
    stride: usize,
    wide: usize,
    places: usize,
    /// Standard deviation of a window's mean in noise.
    sigma: f32,
    /// What is usual at each place, and of how many windows it is the mean.
    usual: Vec<f32>,
    seen: f64,
    /// Of the window that is judged: power over the floor, summed over its steps and from stride to stride, and how much each
    /// place is over what is usual.
    sums: Vec<f32>,
    over: Vec<f32>,
    /// Deviations, first step and place of what stands out, and whether something stronger is beside it.
    found: Vec<(f32, u64, usize, bool)>,
    /// What was hinted at last.
    last: Vec<(u64, usize)>,
    looks: usize,
    /// What was not, in this chunk, and how many there were in all.
    passed_over: Vec<(u64, usize)>,
    skipped: u64,
}

impl PreambleGate {
    /// For the steps of rows of `geometry` at `rate_hz`; none where a preamble does not fit into the band.
    pub fn new(steps: &StepSums, geometry: FrameGeometry, rate_hz: f64) -> Option<Self> {
        let bins = geometry.n_fft;
        let (bin_hz, frame_s) = (rate_hz / bins as f64, geometry.hop as f64 / rate_hz);
        let (stride, strides) = (steps.stride(), steps.strides());
        let wide = (WIDTH_HZ / bin_hz) as usize / stride;
        if wide < PARTS || wide > strides {
            return None;
        }
        let step_frames = steps.frames();
        let window_steps = (LENGTH_S / (step_frames as f64 * frame_s)).round() as usize;
        let places = strides - wide + 1;
        // Independent values: what half-overlapping Hann windows leave of time and bandwidth.
        let values = (window_steps * step_frames) as f64 * frame_s * (wide * stride) as f64 * bin_hz * 0.97;
        Some(Self {
            bins,
            bin_hz,
            step_frames,
            window_steps,
            stride,
            wide,
            places,
            sigma: (1.0 / values.sqrt()) as f32,
            usual: vec![0.0; places],
            seen: 0.0,
            sums: vec![0.0; strides + 1],
            over: vec![0.0; places],
            found: Vec::with_capacity(8192),
            last: Vec::with_capacity(2 * LOOKS_SAVED),
            looks: 0,
            passed_over: Vec::with_capacity(PASSED_OVER_MOST),
            skipped: 0,
        })
    }

    /// Places that were worth a look and had none, because others were clearer.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Frames in a window.
    pub fn window_frames(&self) -> usize {
        self.window_steps * self.step_frames
    }

    /// Begins anew with frame 0: something is missing before it. What is usual stays.
    pub fn begin(&mut self) {
        self.last.clear();
    }

    /// Takes what the last rows gave, and adds the places that are worth a look.
    pub fn process(&mut self, steps: &StepSums, out: &mut Vec<Hint>) {
        self.found.clear();
        let (new, length) = (steps.new_steps(), self.window_steps as u64);
        for step in new.clone() {
            let Some(first) = (step + 1).checked_sub(length) else { continue };
            if step == new.start || first == 0 {
                // Summed anew once a chunk: a running sum keeps the rounding of what was strong.
                self.sums.fill(0.0);
                for at in first..=step {
                    self.sums.iter_mut().zip(steps.line(at)).for_each(|(s, p)| *s += p);
                }
            } else {
                let edges = steps.line(step).iter().zip(steps.line(first - 1));
                self.sums.iter_mut().zip(edges).for_each(|(s, (new, old))| *s += new - old);
            }
            self.judge(first);
        }
        self.choose(out);
    }

    /// The windows that begin with step `first`.
    fn judge(&mut self, first: u64) {
        let scale = 1.0 / (self.wide * self.stride * self.window_steps) as f32;
        let floor_windows = FLOOR_S / STEP_S;
        self.seen = (self.seen + 1.0).min(USUAL_S / STEP_S);
        let weight = (1.0 / (self.seen + floor_windows)) as f32;
        let most = CLIP_SIGMAS * self.sigma;
        let mut clearest = f32::NEG_INFINITY;
        let edges = self.sums[self.wide..].iter().zip(&self.sums);
        for ((over, usual), (high, low)) in self.over.iter_mut().zip(&mut self.usual).zip(edges) {
            *over = (high - low) * scale - 1.0 - *usual;
            clearest = clearest.max(*over);
            *usual += weight * over.clamp(-most, most);
        }
        if clearest <= LEAST_SIGMAS * self.sigma {
            return;
        }
        for place in 0..self.places {
            let over = self.over[place];
            if over <= LEAST_SIGMAS * self.sigma || self.found.len() == self.found.capacity() {
                continue;
            }
            // Something strong leaks all over the band.
            let around = place.saturating_sub(CROWD_PLACES)..(place + CROWD_PLACES + 1).min(self.places);
            if self.found.len() > CROWD && self.over[around].iter().any(|&o| o > over) {
                continue;
            }
            let excess = (self.sums[place + self.wide] - self.sums[place]) * scale - 1.0;
            if excess < MOST_EXCESS && self.is_spread(place, excess, scale) {
                self.found.push((over / self.sigma, first, place, self.is_beside_stronger(place, excess, scale)));
            }
        }
    }

    /// Whether no part of the window holds most of what is over the noise.
    fn is_spread(&self, first: usize, excess: f32, scale: f32) -> bool {
        let edge = |i: usize| first + i * self.wide / PARTS;
        let slack = 3.0 * self.sigma * (2.0 / PARTS as f32).sqrt();
        (0..PARTS - 1).all(|i| {
            let sum = self.sums[edge(i + 2)] - self.sums[edge(i)];
            let part = sum * scale - (edge(i + 2) - edge(i)) as f32 / self.wide as f32;
            part < MOST_SHARE * excess + slack
        })
    }

    /// Whether just beside the window is more than half as much over the noise as in it, and more than two deviations of that.
    fn is_beside_stronger(&self, first: usize, excess: f32, scale: f32) -> bool {
        let last = first + self.wide;
        let slack = 2.0 * self.sigma * (self.wide as f32 / BESIDE as f32).sqrt();
        let sides = [first.saturating_sub(BESIDE)..first, last..(last + BESIDE).min(self.sums.len() - 1)];
        sides.into_iter().filter(|s| !s.is_empty()).any(|side| {
            let share = side.len() as f32 / self.wide as f32;
            (self.sums[side.end] - self.sums[side.start]) * scale - share > share * (0.5 * excess + slack)
        })
    }

    /// The clearest of what was found, none near another.
    fn choose(&mut self, out: &mut Vec<Hint>) {
        // What leaks from something strong is clear as well: it comes last.
        self.found.sort_unstable_by(|a, b| a.3.cmp(&b.3).then(b.0.total_cmp(&a.0)).then((a.1, a.2).cmp(&(b.1, b.2))));
        let reach = self.wide * 7 / 10;
        let near = |a: &(u64, usize), step: u64, place: usize| {
            a.0.abs_diff(step) < self.window_steps as u64 && a.1.abs_diff(place) < reach
        };
        self.looks = (self.looks + LOOKS_A_CHUNK).min(LOOKS_SAVED);
        let said = self.last.len();
        for &(sigmas, step, place, _) in &self.found {
            if self.last.iter().chain(&self.passed_over).any(|a| near(a, step, place)) {
                continue;
            }
            if self.looks == 0 {
                if self.passed_over.len() == PASSED_OVER_MOST {
                    break;
                }
                // Counted once for all that lies near it.
                self.passed_over.push((step, place));
                continue;
            }
            self.looks -= 1;
            self.last.push((step, place));
            let middle = (place * self.stride) as f64 + ((self.wide * self.stride) as f64 - 1.0) / 2.0;
            out.push(Hint {
                frame: step * self.step_frames as u64,
                offset_hz: (middle - (self.bins / 2) as f64) * self.bin_hz,
                sigmas,
                bins: (place * self.stride, self.wide * self.stride),
                least: 1.0 + self.usual[place] + LEAST_SIGMAS * self.sigma,
            });
        }
        self.skipped += self.passed_over.len() as u64;
        self.passed_over.clear();
        // What was said before this chunk is near nothing that comes behind it.
        self.last.drain(..said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::noise_rows;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const RATE_HZ: f64 = 10e6;

    fn geometry() -> FrameGeometry {
        FrameGeometry::for_rate(RATE_HZ)
    }

    #[test]
    fn noise_gives_few_hints_and_a_faint_block_of_its_size_one() {
        let (geometry, mut rng) = (geometry(), ChaCha8Rng::seed_from_u64(3));
        let mut steps = StepSums::new(geometry, RATE_HZ);
        let mut gate = PreambleGate::new(&steps, geometry, RATE_HZ).unwrap();
        // A floor that is 5 % too low.
        let floor = vec![0.95; geometry.n_fft];
        let (mut hints, mut found, mut all) = (Vec::new(), 0, 0);
        for chunk in 0..100 {
            let mut rows = noise_rows(&mut rng, geometry.chunk_frames, geometry.n_fft);
            let is_there = chunk >= 20 && chunk % 4 == 0;
            if is_there {
                // -5 dB over 54 bins and 35 frames.
                for row in rows.chunks_exact_mut(geometry.n_fft).skip(300).take(35) {
                    row[100..154].iter_mut().for_each(|p| *p *= 1.316);
                }
            }
            hints.clear();
            steps.take(&rows, &floor, &mut Vec::new());
            gate.process(&steps, &mut hints);
            let begin = chunk as u64 * geometry.chunk_frames as u64 + 300;
            let hz = (126.5 - 256.0) * RATE_HZ / geometry.n_fft as f64;
            let right = |h: &Hint| h.frame.abs_diff(begin) <= 12 && (h.offset_hz - hz).abs() < 150e3;
            found += usize::from(is_there && hints.iter().any(right));
            all += hints.len();
        }
        assert!(found >= 19, "{found} of 20");
        assert_eq!(gate.skipped(), 0);
        assert!(all < 60, "{all}");
    }

    #[test]
    fn what_is_beyond_the_budget_is_counted() {
        let (geometry, mut rng) = (geometry(), ChaCha8Rng::seed_from_u64(5));
        let mut steps = StepSums::new(geometry, RATE_HZ);
        let mut gate = PreambleGate::new(&steps, geometry, RATE_HZ).unwrap();
        let (floor, mut hints) = (vec![1.0; geometry.n_fft], Vec::new());
        for chunk in 0..20 {
            let mut rows = noise_rows(&mut rng, geometry.chunk_frames, geometry.n_fft);
            // Sixty blocks of a preamble's size, apart from each other.
            for (i, row) in rows.chunks_exact_mut(geometry.n_fft).enumerate().filter(|_| chunk > 2) {
                for low in [20, 160, 300].into_iter().filter(|_| i % 45 < 35) {
                    row[low..low + 54].iter_mut().for_each(|p| *p *= 1.8);
                }
            }
            steps.take(&rows, &floor, &mut Vec::new());
            gate.process(&steps, &mut hints);
        }
        let sent = 17 * 3 * (geometry.chunk_frames / 45) as u64;
        let all = hints.len() as u64 + gate.skipped();
        assert!(hints.len() <= LOOKS_SAVED + 17 * LOOKS_A_CHUNK, "{}", hints.len());
        assert!(gate.skipped() > 0 && all.abs_diff(sent) < sent / 4, "{all} of {sent}");
    }

    #[test]
    fn one_strong_part_is_no_preamble() {
        let (geometry, mut rng) = (geometry(), ChaCha8Rng::seed_from_u64(4));
        let mut steps = StepSums::new(geometry, RATE_HZ);
        let mut gate = PreambleGate::new(&steps, geometry, RATE_HZ).unwrap();
        let (floor, mut hints) = (vec![1.0; geometry.n_fft], Vec::new());
        for _ in 0..20 {
            let mut rows = noise_rows(&mut rng, geometry.chunk_frames, geometry.n_fft);
            for row in rows.chunks_exact_mut(geometry.n_fft).skip(300).take(40) {
                row[100..109].iter_mut().for_each(|p| *p *= 4.0);
            }
            steps.take(&rows, &floor, &mut Vec::new());
            gate.process(&steps, &mut hints);
        }
        // One of 13 deviations a chunk, without the test of its parts.
        assert!(hints.len() <= 60 && hints.iter().all(|h| h.sigmas < 9.0), "{hints:?}");
        let narrow = FrameGeometry::for_rate(1e6);
        assert!(PreambleGate::new(&StepSums::new(narrow, 1e6), narrow, 1e6).is_none());
    }
}
