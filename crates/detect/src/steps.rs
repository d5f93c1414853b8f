//! Rows summed over steps, as power over the floor: what faint emissions are sought in.

/// About the length of a step.
pub const STEP_S: f64 = 0.1e-3;

/// Sums rows to steps, across chunks.
#[derive(Debug)]
pub struct StepSums {
    frames: usize,
    /// A step that is not whole, and how many frames it has.
    begun: Vec<f32>,
    begun_frames: usize,
    /// One over the floor, times what is asked for.
    inverse: Vec<f32>,
}

impl StepSums {
    /// For rows of `bins` bins, `frame_s` seconds apart.
    pub fn new(bins: usize, frame_s: f64) -> Self {
        let frames = ((STEP_S / frame_s).round() as usize).max(1);
        Self { frames, begun: vec![0.0; bins], begun_frames: 0, inverse: vec![0.0; bins] }
    }

    /// Frames in a step.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Begins anew: something is missing before the next row.
    pub fn begin(&mut self) {
        self.begun.fill(0.0);
        self.begun_frames = 0;
    }

    /// Takes the next rows, `[frames][bins]`, and adds the steps that they complete to `out`, `[steps][bins]`: of each bin the
    /// sum of its power over the floor, times `scale`, `most` at the most.
    pub fn take(&mut self, rows: &[f32], floor: &[f32], (scale, most): (f32, f32), out: &mut Vec<f32>) {
        self.inverse.iter_mut().zip(floor).for_each(|(i, f)| *i = scale / f.max(f32::MIN_POSITIVE));
        for row in rows.chunks_exact(self.begun.len()) {
            self.begun.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
            self.begun_frames += 1;
            if self.begun_frames == self.frames {
                out.extend(self.begun.iter().zip(&self.inverse).map(|(sum, i)| (sum * i).min(most)));
                self.begin();
            }
        }
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
