//! Faint emissions of the size of resource blocks, which no few cells of the spectrogram show.
//!
//! One block for 1 ms holds some 180 independent values, 25 blocks 4,500: their mean stands out at a level at which
//! hardly a cell does. So the means of windows of several sizes are followed at every place of the band, each against
//! a threshold that the gamma distribution gives for a budget of false alarms, and against what is usual at the place.
//! Around the clearest window, the box that fits best is what makes the values in it likeliest. It is energy, and
//! proves nothing.
//!
//! What the segmenter shows is taken out before: strong emissions, and what they cast beside themselves.

mod again;
mod boxes;
mod chance;
mod past;
mod shown;
mod windows;

pub(crate) use again::BACK_S;
pub(crate) use boxes::best_run;
pub(crate) use chance::{correlation, independent_cell, independent_step};
pub(crate) use windows::{MOST_RATIO, Size, Window};

use crate::candidate::Region;
use crate::config::FrameGeometry;
use crate::segment::Segment;
use crate::steps::{LINES_KEPT, STEP_S, StepSums, running_sums};
use again::{Again, PAIRED_BLOCKS, PARTNERS};
use boxes::{Fitter, REACH_STEPS, lasts};
use cellwarden_standards::lte;
use past::{Area, Past};
use shown::{Scale, ShownEmissions};

/// Windows end with each step; beside each other, they begin a stride apart, those of so many blocks so many strides: a few
/// hundredths of their width.
pub(crate) const COARSE: usize = 4;
const COARSE_BLOCKS: f64 = 12.0;
const BLOCK_HZ: f64 = lte::RB_HZ;
/// Lengths of windows in steps: a slot, a subframe.
const LENGTHS: [usize; 2] = [5, 10];
/// Windows: which length, and how many blocks. Sizes between two of them lose 0.8 dB at the most.
const SIZES: [(usize, f64); 11] =
    [(0, 1.0), (0, 3.0), (0, 8.0), (1, 1.0), (1, 2.0), (1, 4.0), (1, 8.0), (1, 16.0), (1, 25.0), (1, 50.0), (1, 96.0)];
/// False alarms of each size in an hour of noise on 20 MHz.
const FALSE_PER_HOUR: f64 = 0.3;
const LEAST_RATIO: f32 = 1.02;
/// One window in so many that share nothing says what is usual.
const USUAL_EVERY: u64 = 5;
/// A window is looked at when so much behind it is known.
const AHEAD_STEPS: usize = 15;
/// The least and longest of a phone's: a slot less what an edge takes, and a run of subframes.
const LEAST_S: f64 = 0.25e-3;
const LONGEST_S: f64 = 11e-3;
/// The share of the band above which it is the receiver's gain that changed.
const MOST_BAND: f64 = 0.97;
/// Boxes in a chunk of 20 ms, the clearest first; what is not used is saved, up to so many.
const BOXES_A_CHUNK: usize = 16;
const BOXES_SAVED: usize = 64;
/// Share of the last second above which boxes at a place are one emission that is always on and moves; and by how much a
/// carrier that never moves stands out of the floor.
const MOST_LOAD: f32 = 0.25;
const LOAD_S: f64 = 1.0;
pub(crate) const CARRIER: f32 = 4.0;
/// Share of a box's bins in which there may be one: the receiver's own DC offset lies in the middle of many an allocation.
const MOST_CARRIERS: f32 = 0.15;
/// Cells that may be summed again in a chunk.
const EFFORT: usize = 4_000_000;

/// Finds boxes of faint energy in one stream.
#[derive(Debug)]
pub struct GridSearch {
    bins: usize,
    bin_hz: f64,
    center_hz: f64,
    rate_hz: f64,
    hop: usize,
    step_frames: usize,
    /// Independent values of a bin in a step.
    value: f32,
    stride: usize,
    sizes: Vec<Size>,
    past: Past,
    /// The next step to be judged.
    next: u64,
    /// `[steps][strides + 1]`: running sums of the last steps before the new ones, without what was found in them.
    lines: Vec<f32>,
    /// By length: running sums of windows.
    sums: [Vec<f32>; LENGTHS.len()],
    /// Every so many of them.
    coarse: Vec<f32>,
    hot: Vec<Window>,
    shown: ShownEmissions,
    again: Again,
    /// By stride: share of the last second in which boxes lay there.
    load: Vec<f32>,
    /// Floor in the middle of the band's bins by height.
    middle: f32,
    scores: Vec<f32>,
    boxes: usize,
    overlooked: u64,
}

impl GridSearch {
    /// For the steps of rows of `geometry` at `rate_hz`, tuned to `center_hz`.
    pub fn new(steps: &StepSums, geometry: FrameGeometry, rate_hz: f64, center_hz: f64) -> Self {
        let bins = geometry.n_fft;
        let (bin_hz, frame_s) = (rate_hz / bins as f64, geometry.hop as f64 / rate_hz);
        let (stride, strides, step_frames) = (steps.stride(), steps.strides(), steps.frames());
        let value = independent_step(step_frames);
        let scale = Scale { bins, bin_hz, center_hz, hop: geometry.hop, step_frames };
        let size = |&(length, blocks): &(usize, f64)| {
            let coarse = if blocks < COARSE_BLOCKS { 1 } else { COARSE };
            let (stride, strides) = (coarse * stride, strides / coarse);
            let wide = ((blocks * BLOCK_HZ / bin_hz / stride as f64).round() as usize).max(1);
            let time = (LENGTHS[length], step_frames, frame_s);
            let size = Size::new(time, (wide, stride, strides, bin_hz), FALSE_PER_HOUR)?;
            // A step's cell is the mean of its frames.
            let size = size.of_means(length, 1.0 / step_frames as f32);
            Some(if blocks > PAIRED_BLOCKS { size } else { size.of_pairs(PARTNERS) })
        };
        let chunk_steps = geometry.chunk_frames / step_frames + 2;
        let again = Again::new(step_frames as f64 * frame_s);
        let past = Past::new(bins, again.back_steps() as usize, chunk_steps);
        Self {
            bins,
            bin_hz,
            center_hz,
            rate_hz,
            hop: geometry.hop,
            step_frames,
            value,
            stride,
            sizes: SIZES.iter().filter_map(size).collect(),
            scores: Vec::with_capacity(bins.max(past.most_steps())),
            past,
            next: 0,
            lines: vec![0.0; LINES_KEPT * (strides + 1)],
            sums: [vec![0.0; strides + 1], vec![0.0; strides + 1]],
            coarse: vec![0.0; strides / COARSE + 1],
            hot: Vec::with_capacity(32_768),
            shown: ShownEmissions::new(scale),
            load: vec![0.0; strides],
            middle: 0.0,
            again,
            boxes: 0,
            overlooked: 0,
        }
    }

    /// Begins anew with frame 0: something is missing before it. What is usual stays.
    pub fn begin(&mut self) {
        self.past.begin();
        self.next = 0;
        self.hot.clear();
        self.shown.clear();
        self.again.begin();
    }

    /// Boxes that were not looked for because there were too many.
    pub fn overlooked(&self) -> u64 {
        self.overlooked + self.again.overlooked()
    }

    /// Where the next steps are to be added, `[steps][bins]`.
    pub fn room(&mut self) -> &mut Vec<f32> {
        self.drop_old();
        &mut self.past.steps
    }

    /// The last so many steps that were added, `[steps][bins]`.
    pub fn newest(&self, steps: usize) -> &[f32] {
        &self.past.steps[self.past.steps.len() - steps * self.bins..]
    }

    /// Takes the steps that were added. Of the segments, those from `from` on ended in them, `open_since` is the first frame that
    /// may be part of one that did not. Adds the boxes of which all is known.
    pub fn process(&mut self, steps: &StepSums, floor: &[f32], from: usize, open_since: u64, all: &mut Vec<Segment>) {
        self.judge(steps);
        let new = steps.new_steps();
        let chunk_s = ((new.end - new.start) as usize * self.step_frames * self.hop) as f64 / self.rate_hz;
        let left = (-chunk_s / LOAD_S).exp() as f32;
        self.load.iter_mut().for_each(|l| *l *= left);
        for segment in &all[from..] {
            self.show(segment);
        }
        let end = self.next.saturating_sub(AHEAD_STEPS as u64);
        self.propose(end.min((open_since / self.step_frames as u64).saturating_sub(1)), floor, all);
    }

    /// Ends the stream, or what there is of it before a break.
    pub fn finish(&mut self, floor: &[f32], from: usize, all: &mut Vec<Segment>) {
        for segment in &all[from..] {
            self.show(segment);
        }
        self.propose(u64::MAX, floor, all);
    }

    /// The first frame at which a box may begin that was not reported yet.
    pub fn open_since(&self) -> u64 {
        let oldest = self.hot.iter().map(|w| w.end).min().unwrap_or(self.next);
        let reach = (REACH_STEPS + LENGTHS[LENGTHS.len() - 1]) as u64 + self.again.back_steps();
        oldest.saturating_sub(reach).max(self.past.first) * self.step_frames as u64
    }

    fn drop_old(&mut self) {
        self.past.drop_old();
        let first = self.past.first;
        self.shown.forget_before(first);
        // A segment that lasts longer than what is kept held them up.
        let least = first + LENGTHS[LENGTHS.len() - 1] as u64;
        self.hot.retain(|w| w.end > least);
    }

    /// The mean over the floor that is left in so many `frames` and bins without what the segmenter shows; none where that is
    /// not held.
    pub fn left_in(&self, frames: std::ops::Range<u64>, (low, width): (usize, usize)) -> Option<f32> {
        let step = |frame: u64| frame / self.step_frames as u64;
        let area = Area { from: step(frames.start), to: step(frames.end), low, high: low + width };
        let is_held = self.past.first <= area.from && area.from < area.to && area.to <= self.past.end();
        (is_held && area.high <= self.bins).then(|| self.past.mean(area))
    }

    /// Takes out what the segmenter shows.
    fn show(&mut self, segment: &Segment) {
        if let Some(area) = self.shown.show(segment) {
            self.past.blank(area);
        }
    }

    /// All windows that end in the steps that were not judged.
    fn judge(&mut self, steps: &StepSums) {
        let (new, line) = (steps.new_steps(), steps.strides() + 1);
        self.sizes.iter_mut().for_each(Size::forget_last);
        // What was found since in the steps before is not in them any more.
        let oldest = new.start.saturating_sub(LINES_KEPT as u64).max(self.past.first);
        for (step, old) in (oldest..new.start).zip(self.lines.chunks_exact_mut(line)) {
            running_sums(self.past.step(step), self.stride, old);
        }
        let (lines, sums) = (&self.lines, &mut self.sums);
        let line_of = |step: u64| match step.checked_sub(new.start) {
            Some(_) => steps.line(step),
            None => &lines[(step - oldest) as usize * line..][..line],
        };
        for step in new.clone() {
            for (index, &length) in LENGTHS.iter().enumerate() {
                let Some(begin) = (step + 1).checked_sub(length as u64).filter(|&b| b >= self.past.first) else {
                    continue;
                };
                let sums = &mut sums[index];
                if step == new.start || begin == self.past.first {
                    // Summed anew once a chunk: a running sum keeps the rounding of what was strong.
                    sums.fill(0.0);
                    for at in begin..=step {
                        sums.iter_mut().zip(line_of(at)).for_each(|(s, p)| *s += p);
                    }
                } else {
                    let (new, old) = (line_of(step), line_of(begin - 1));
                    sums.iter_mut().zip(new.iter().zip(old)).for_each(|(s, (new, old))| *s += new - old);
                }
                let is_next = step % (USUAL_EVERY * length as u64) == 0;
                let window_s = (USUAL_EVERY * length as u64) as f64 * STEP_S;
                self.coarse.iter_mut().zip(sums.iter().step_by(COARSE)).for_each(|(c, s)| *c = *s);
                for (at, size) in self.sizes.iter_mut().enumerate().filter(|(_, s)| s.length == index) {
                    let sums: &[f32] = if size.stride == self.stride { sums } else { &self.coarse };
                    self.overlooked += size.find_hot(sums, at, step + 1, &mut self.hot);
                    if is_next {
                        size.follow(sums, window_s);
                    }
                }
            }
        }
        self.next = new.end;
    }

    /// The boxes of the hot windows that end before `horizon`, the clearest first.
    fn propose(&mut self, horizon: u64, floor: &[f32], out: &mut Vec<Segment>) {
        self.boxes = (self.boxes + BOXES_A_CHUNK).min(BOXES_SAVED);
        let mut hot = std::mem::take(&mut self.hot);
        hot.sort_unstable_by(Window::clearest_first);
        if !hot.is_empty() {
            self.scores.clear();
            self.scores.extend_from_slice(floor);
            self.middle = *self.scores.select_nth_unstable_by(self.bins / 2, f32::total_cmp).1;
        }
        let due = hot.iter().filter(|w| w.end <= horizon);
        self.again.take(due.copied(), self.next);
        let mut effort = EFFORT;
        for window in hot.iter().filter(|w| w.end <= horizon) {
            let size = &self.sizes[window.size];
            // Where there is often more than noise, chance is no measure.
            let has_partner = || size.often(window.place) <= MOST_LOAD && self.again.has_partner(window);
            if !window.is_sure && !has_partner() {
                continue;
            }
            let low = window.place * size.stride;
            let from = window.end - LENGTHS[size.length] as u64;
            let seed = Area { from, to: window.end, low, high: low + size.wide * size.stride };
            let (usual, bound) = (size.usual[window.place], size.bound[window.place] / size.cells);
            let Some(left) = effort.checked_sub(size.cells as usize) else {
                self.overlooked += 1;
                continue;
            };
            effort = left;
            let ratio = self.past.mean(seed);
            // What was taken out of it since may be what made it sure.
            let is_enough = window.is_sure && size.is_sure(window.place, ratio * size.cells) || has_partner();
            if ratio <= bound || !is_enough || self.shown.is_part(&self.past, seed, ratio - 1.0, false) {
                continue;
            }
            if self.boxes == 0 {
                self.overlooked += 1;
                self.past.blank(seed);
                continue;
            }
            let (past, scores) = (&self.past, &mut self.scores);
            let mut fitter =
                Fitter { past, bin_hz: self.bin_hz, value: self.value, scale: 1.0 / (1.0 + usual), scores };
            let (found, ratio) = fitter.fit(seed);
            let segment = self.segment(found, ratio, floor);
            self.take_out(found);
            if let Some(segment) = segment.filter(|_| !self.is_busy(found)) {
                self.boxes -= 1;
                out.push(segment);
                self.follow(found, ratio - 1.0);
            }
        }
        self.look_again(horizon, effort, floor, out);
        hot.retain(|w| w.end > horizon);
        self.hot = hot;
    }

    /// Takes a box out, and what the windows of the rows see of it beside it.
    fn take_out(&mut self, area: Area) {
        let (from, low) = (area.from.saturating_sub(1), area.low.saturating_sub(1));
        self.past.blank(Area { from, to: area.to + 1, low, high: (area.high + 1).min(self.bins) });
    }

    /// Whether boxes lie there all the time, this one counted.
    fn is_busy(&mut self, area: Area) -> bool {
        let strides = area.low / self.stride..(area.high / self.stride).min(self.load.len());
        let step_s = (self.step_frames * self.hop) as f64 / self.rate_hz;
        let more = ((area.to - area.from) as f64 * step_s / LOAD_S) as f32;
        let load = &mut self.load[strides];
        load.iter_mut().for_each(|l| *l += more);
        load.iter().sum::<f32>() > MOST_LOAD * load.len() as f32
    }

    fn segment(&self, area: Area, ratio: f32, floor: &[f32]) -> Option<Segment> {
        let excess = ratio - 1.0;
        let frame_s = self.hop as f64 / self.rate_hz;
        let step_s = self.step_frames as f64 * frame_s;
        let seconds = (area.to - area.from) as f64 * step_s;
        let width = area.high - area.low;
        let is_carrier = |f: &&f32| **f > CARRIER * self.middle;
        let carriers = floor[area.low..area.high].iter().filter(is_carrier).count() as f32;
        if !(LEAST_S..LONGEST_S).contains(&seconds)
            || !(LEAST_RATIO..MOST_RATIO).contains(&ratio)
            || width as f64 > MOST_BAND * self.bins as f64
            || carriers > MOST_CARRIERS * width as f32
            || self.shown.is_part(&self.past, area, excess, true)
            || !lasts(&self.past, area, excess, self.value)
        {
            return None;
        }
        // A frame speaks for the hop in its middle.
        let sample = |step: u64| step * (self.step_frames * self.hop) as u64 + (self.hop / 2) as u64;
        let hz = |bin: usize| self.center_hz + (bin as f64 - self.bins as f64 / 2.0 - 0.5) * self.bin_hz;
        let quiet = floor[area.low..area.high].iter().filter(|f| !is_carrier(f));
        let noise = quiet.sum::<f32>() * width as f32 / (width as f32 - carriers);
        let region = Region {
            start: sample(area.from),
            count: sample(area.to) - sample(area.from),
            low_hz: hz(area.low),
            high_hz: hz(area.high),
            power: f64::from(excess * noise) * self.bin_hz,
            snr_db: 10.0 * f64::from(excess).log10(),
        };
        Some(Segment { region, age_s: seconds, is_glimpse: false, is_faint: true, is_alone: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::noise_rows;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const RATE_HZ: f64 = 10e6;
    const CENTER_HZ: f64 = 847e6;

    #[test]
    fn of_too_many_boxes_the_rest_is_counted() {
        let (geometry, mut rng) = (FrameGeometry::for_rate(RATE_HZ), ChaCha8Rng::seed_from_u64(5));
        let (bins, floor) = (geometry.n_fft, vec![1.0; geometry.n_fft]);
        let mut steps = StepSums::new(geometry, RATE_HZ);
        let mut grid = GridSearch::new(&steps, geometry, RATE_HZ, CENTER_HZ);
        let mut found = Vec::new();
        for chunk in 0..12 {
            let mut rows = noise_rows(&mut rng, geometry.chunk_frames, bins);
            if chunk == 10 {
                // Boxes of a block and a millisecond at 3 dB, with 2 blocks and 3 ms between them: 17 by 5 of them.
                for (frame, row) in rows.chunks_exact_mut(bins).enumerate() {
                    let filled = |bin: usize| bin % 29 < 9 && frame % 155 < 39;
                    row.iter_mut().enumerate().filter(|(bin, _)| filled(*bin)).for_each(|(_, p)| *p *= 3.0);
                }
            }
            steps.take(&rows, &floor, grid.room());
            grid.process(&steps, &floor, 0, u64::MAX, &mut found);
            assert!(chunk >= 10 || found.is_empty(), "{chunk}: {found:?}");
        }
        // What was left in the first chunk, and what the next one may have.
        assert!((BOXES_SAVED..=BOXES_SAVED + BOXES_A_CHUNK).contains(&found.len()), "{}", found.len());
        let all = found.len() as u64 + grid.overlooked();
        assert!((85..170).contains(&all), "{all}");
    }

    #[test]
    fn what_the_segmenter_shows_is_no_box_nor_is_its_skirt() {
        let (geometry, mut rng) = (FrameGeometry::for_rate(RATE_HZ), ChaCha8Rng::seed_from_u64(6));
        let (bins, floor) = (geometry.n_fft, vec![1.0; geometry.n_fft]);
        let bin_hz = RATE_HZ / bins as f64;
        for (is_told, boxes) in [(false, 1..9), (true, 0..1)] {
            let mut steps = StepSums::new(geometry, RATE_HZ);
            let mut grid = GridSearch::new(&steps, geometry, RATE_HZ, CENTER_HZ);
            let mut found = Vec::new();
            for chunk in 0..12 {
                let mut rows = noise_rows(&mut rng, geometry.chunk_frames, bins);
                if chunk == 10 {
                    for row in rows.chunks_exact_mut(bins).skip(200).take(40) {
                        row[150..190].iter_mut().for_each(|p| *p *= 9.0);
                        row[192..204].iter_mut().for_each(|p| *p *= 1.6);
                    }
                    let at = chunk as u64 * geometry.chunk_frames as u64 + 200;
                    let hz = |bin: usize| CENTER_HZ + (bin as f64 - bins as f64 / 2.0 - 0.5) * bin_hz;
                    let (start, count) = (at * geometry.hop as u64, 40 * geometry.hop as u64);
                    let (low_hz, high_hz) = (hz(150), hz(190));
                    let region = Region { start, count, low_hz, high_hz, power: 1.0, snr_db: 9.03 };
                    if is_told {
                        found.push(Segment { region, age_s: 1e-3, is_glimpse: false, is_faint: false, is_alone: true });
                    }
                }
                steps.take(&rows, &floor, grid.room());
                grid.process(&steps, &floor, 0, u64::MAX, &mut found);
            }
            let faint = found.iter().filter(|s| s.is_faint).count();
            assert!(boxes.contains(&faint), "{found:?}");
        }
    }
}
