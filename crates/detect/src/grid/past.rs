//! The steps that are kept of a stream, and areas of them.

/// Steps that a box may reach over, and a chunk of them that waits for it.
const KEEP_STEPS: usize = 140;

/// What is taken out becomes the mean of noise: to the bit, no other cell is.
const TAKEN: f32 = 1.0;

/// Steps and bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) low: usize,
    pub(super) high: usize,
}

/// By step, the oldest first: mean power over the floor of each bin.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) bins: usize,
    pub(super) steps: Vec<f32>,
    /// The oldest step that is held.
    pub(super) first: u64,
    /// So many are kept behind a chunk; and as many as that come in at once.
    keep: usize,
    chunk: usize,
}

impl Past {
    /// With `back` steps behind those that boxes are sought in, `chunk` of which come in at once.
    pub(super) fn new(bins: usize, back: usize, chunk: usize) -> Self {
        let keep = KEEP_STEPS + back;
        let past = Self { bins, steps: Vec::new(), first: 0, keep, chunk };
        Self { steps: Vec::with_capacity(past.most_steps() * bins), ..past }
    }

    /// The most that are held at once.
    pub(super) fn most_steps(&self) -> usize {
        2 * self.keep + self.chunk
    }

    /// Begins anew with step 0.
    pub(super) fn begin(&mut self) {
        self.steps.clear();
        self.first = 0;
    }

    /// The step behind the last.
    pub(super) fn end(&self) -> u64 {
        self.first + (self.steps.len() / self.bins) as u64
    }

    pub(super) fn step(&self, step: u64) -> &[f32] {
        let at = (step - self.first) as usize * self.bins;
        &self.steps[at..at + self.bins]
    }

    /// Lets go of all but the last, once they are as many as those that are kept: they are moved less often so.
    pub(super) fn drop_old(&mut self) {
        let held = self.steps.len() / self.bins;
        if held > 2 * self.keep {
            self.steps.drain(..(held - self.keep) * self.bins);
            self.first += (held - self.keep) as u64;
        }
    }

    pub(super) fn mean(&self, area: Area) -> f32 {
        let width = area.high - area.low;
        let sum: f32 = (area.from..area.to).map(|s| self.step(s)[area.low..area.high].iter().sum::<f32>()).sum();
        sum / (width as u64 * (area.to - area.from)) as f32
    }

    /// The mean of what was not taken out of an area; none where that is less than half of it.
    pub(super) fn mean_of_left(&self, area: Area) -> Option<f32> {
        let cells = (area.high - area.low) * (area.to - area.from) as usize;
        let rows = (area.from..area.to).map(|s| &self.step(s)[area.low..area.high]);
        let left = rows.flatten().filter(|&&p| p != TAKEN).fold((0.0, 0), |(sum, n), p| (sum + p, n + 1));
        (2 * left.1 >= cells).then(|| left.0 / left.1 as f32)
    }

    /// Puts what noise would be in place of an area.
    pub(super) fn blank(&mut self, area: Area) {
        let (bins, held) = (self.bins, (self.steps.len() / self.bins) as u64);
        let from = area.from.saturating_sub(self.first).min(held) as usize;
        let to = area.to.saturating_sub(self.first).min(held) as usize;
        for row in self.steps[from * bins..to.max(from) * bins].chunks_exact_mut(bins) {
            row[area.low..area.high].fill(TAKEN);
        }
    }
}
