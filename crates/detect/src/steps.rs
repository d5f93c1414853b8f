//! Rows summed over steps, as power over the floor: what faint emissions are sought in, summed once for all who seek.

use crate::config::FrameGeometry;
use std::ops::Range;

/// About the length of a step.
pub const STEP_S: f64 = 0.1e-3;
/// Running sums of a step are taken this far apart in frequency.
pub const STRIDE_HZ: f64 = 40e3;
/// A cell's power over the floor counts so much at the most: what is stronger shows without these sums, and they stay exact.
pub const MOST_CELL: f32 = 32.0;
/// Lines that are kept of the chunks before: as long as the longest window.
pub const LINES_KEPT: usize = 10;

/// Sums rows to steps, across chunks, and each step over the band.
#[derive(Debug)]
pub struct StepSums {
    frames: usize,
    stride: usize,
    strides: usize,
    /// A step that is not whole, and how many frames it has.
    begun: Vec<f32>,
    begun_frames: usize,
    /// One over the floor and the step's frames.
    inverse: Vec<f32>,
    /// `[steps][strides + 1]`: running sums of each step; the last ones from before, then those of the last rows.
    lines: Vec<f32>,
    first_line: u64,
    /// Of the last rows, the first step, and the one behind the last.
    first_new: u64,
    next: u64,
}

impl StepSums {
    /// For rows of `geometry` at `rate_hz`.
    pub fn new(geometry: FrameGeometry, rate_hz: f64) -> Self {
        let bins = geometry.n_fft;
        let frames = ((STEP_S * rate_hz / geometry.hop as f64).round() as usize).max(1);
        let stride = ((STRIDE_HZ * bins as f64 / rate_hz) as usize).max(1);
        let strides = bins / stride;
        Self {
            frames,
            stride,
            strides,
            begun: vec![0.0; bins],
            begun_frames: 0,
            inverse: vec![0.0; bins],
            lines: Vec::with_capacity((LINES_KEPT + geometry.chunk_frames / frames + 2) * (strides + 1)),
            first_line: 0,
            first_new: 0,
            next: 0,
        }
    }

    /// Frames in a step.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Bins in a stride.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Strides in the band.
    pub fn strides(&self) -> usize {
        self.strides
    }

    /// Begins anew with step 0: something is missing before the next row.
    pub fn begin(&mut self) {
        self.begun.fill(0.0);
        self.begun_frames = 0;
        self.lines.clear();
        (self.first_line, self.first_new, self.next) = (0, 0, 0);
    }

    /// Takes the next rows, `[frames][bins]`, and adds the steps that they complete to `out`, `[steps][bins]`: of each bin
    /// its mean power over the floor, [`MOST_CELL`] at the most.
    pub fn take(&mut self, rows: &[f32], floor: &[f32], out: &mut Vec<f32>) {
        let line = self.strides + 1;
        let kept = (self.lines.len() / line).min(LINES_KEPT);
        self.lines.drain(..self.lines.len() - kept * line);
        self.first_line = self.next - kept as u64;
        self.first_new = self.next;
        let scale = 1.0 / self.frames as f32;
        self.inverse.iter_mut().zip(floor).for_each(|(i, f)| *i = scale / f.max(f32::MIN_POSITIVE));
        for row in rows.chunks_exact(self.begun.len()) {
            self.begun.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
            self.begun_frames += 1;
            if self.begun_frames == self.frames {
                let at = out.len();
                out.extend(self.begun.iter().zip(&self.inverse).map(|(sum, i)| (sum * i).min(MOST_CELL)));
                self.begun.fill(0.0);
                self.begun_frames = 0;
                let from = self.lines.len();
                self.lines.resize(from + line, 0.0);
                running_sums(&out[at..], self.stride, &mut self.lines[from..]);
                self.next += 1;
            }
        }
    }

    /// Steps that the last rows completed: the first, and the one behind the last.
    pub fn new_steps(&self) -> Range<u64> {
        self.first_new..self.next
    }

    /// Running sums of a step over its strides, `[strides + 1]`: of those that the last rows completed, and of
    /// [`LINES_KEPT`] before.
    ///
    /// # Panics
    /// If it is none of those.
    pub fn line(&self, step: u64) -> &[f32] {
        let at = (step - self.first_line) as usize * (self.strides + 1);
        &self.lines[at..at + self.strides + 1]
    }
}

/// Running sums of a step's bins over strides of so many, from 0 on.
pub fn running_sums(step: &[f32], stride: usize, line: &mut [f32]) {
    // Eight parts of the band side by side: one sum waits for the one before it, eight do not.
    const PARTS: usize = 8;
    let strides = line.len() - 1;
    let part = strides / PARTS;
    let (line, rest) = line[1..].split_at_mut(PARTS * part);
    let mut sums = [0.0f32; PARTS];
    for i in 0..part {
        for (p, sum) in sums.iter_mut().enumerate() {
            let at = p * part + i;
            *sum += step[at * stride..(at + 1) * stride].iter().sum::<f32>();
            line[at] = *sum;
        }
    }
    let mut before = 0.0;
    for (part, sum) in line.chunks_exact_mut(part.max(1)).zip(sums) {
        part.iter_mut().for_each(|s| *s += before);
        before += sum;
    }
    for (s, bins) in rest.iter_mut().zip(step[PARTS * part * stride..].chunks_exact(stride)) {
        before += bins.iter().sum::<f32>();
        *s = before;
    }
}

/// Rows of noise whose values are as independent as those of half-overlapping Hann windows: pairs of bins are summed.
#[cfg(test)]
pub fn noise_rows(rng: &mut impl rand::Rng, frames: usize, bins: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(frames * bins);
    for _ in 0..frames {
        let mut value = || -rng.random::<f32>().max(1e-9).ln();
        let mut before = value();
        rows.extend((0..bins).map(|_| {
            let next = value();
            let sum = 0.5 * (before + next);
            before = next;
            sum
        }));
    }
    rows
}
