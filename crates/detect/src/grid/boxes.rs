//! The box around a window in which the values are likeliest.

use super::BLOCK_HZ;
use super::past::{Area, Past};
use crate::steps::MOST_CELL;
use std::ops::Range;

/// How far a box may reach from its window, in steps.
pub(super) const REACH_STEPS: usize = 100;
/// Log likelihood lost again at which a box ends: in an emission, that happens once in 3,000 times.
const STOP: f32 = 8.0;
/// Log likelihood gained by two levels in place of one at which a box is two, and by how much they must differ.
const SPLIT: f32 = 12.0;
const SPLIT_LEVELS: f32 = 2.0;
/// Deviations by which the part of a block that is less filled stands out all the same.
const LEAST_REST: f32 = 3.0;
/// Share of what is over the noise that two steps in a row may hold.
const MOST_IN_TWO: f32 = 0.7;

/// Fits boxes to what is held of a stream.
#[derive(Debug)]
pub(super) struct Fitter<'a> {
    pub(super) past: &'a Past,
    pub(super) bin_hz: f64,
    /// Independent values of a bin in a step.
    pub(super) value: f32,
    /// Makes what is usual 1.
    pub(super) scale: f32,
    /// Room for a line of bins or steps.
    pub(super) scores: &'a mut Vec<f32>,
}

impl Fitter<'_> {
    /// The box around `seed` in which the values are likeliest, and its mean; nothing where it is too narrow.
    pub(super) fn fit(&mut self, seed: Area) -> (Area, f32) {
        let mut area = self.edges(seed);
        for _ in 0..3 {
            let Some(part) = self.part(area) else { break };
            area = part;
            // What was found around both is not what is around the part.
            let within = self.edges(part);
            if part.low <= within.low && within.high <= part.high && part.from <= within.from && within.to <= part.to {
                area = within;
            }
        }
        match self.block_at_least(area) {
            Some(area) => (area, self.past.mean(area) * self.scale),
            None => (area, 0.0),
        }
    }

    /// Moves the edges of `area` to where the values are likeliest.
    fn edges(&mut self, mut area: Area) -> Area {
        let (past, scale, value, scores) = (self.past, self.scale, self.value, &mut *self.scores);
        let reach = REACH_STEPS as u64;
        let most = (area.from.saturating_sub(reach).max(past.first), (area.to + reach).min(past.end()));
        for _ in 0..4 {
            let before = area;
            let level = (past.mean(area) * scale).clamp(1.1, MOST_CELL);
            let (gain, loss) = (1.0 - 1.0 / level, level.ln());
            // Time.
            let (low, high) = (area.low, area.high);
            let weight = value * (high - low) as f32;
            let score = |i: usize| {
                let row = &past.step(most.0 + i as u64)[low..high];
                weight * (row.iter().sum::<f32>() / (high - low) as f32 * scale * gain - loss)
            };
            let inside = (area.from - most.0) as usize..(area.to - most.0) as usize;
            let run = best_run(inside, (most.1 - most.0) as usize, score);
            (area.from, area.to) = (most.0 + run.start as u64, most.0 + run.end as u64);
            // Frequency.
            scores.clear();
            scores.resize(past.bins, 0.0);
            for step in area.from..area.to {
                scores.iter_mut().zip(past.step(step)).for_each(|(s, p)| *s += p);
            }
            let length = (area.to - area.from) as f32;
            let weight = value * length;
            let run = best_run(low..high, past.bins, |i| weight * (scores[i] / length * scale * gain - loss));
            (area.low, area.high) = (run.start, run.end);
            if area == before {
                break;
            }
        }
        area
    }

    /// The block that holds a box which is narrower, if the rest of it is filled as well: a block's subcarriers are
    /// not all as strong.
    fn block_at_least(&self, area: Area) -> Option<Area> {
        let (past, scale, value) = (self.past, self.scale, self.value);
        let block = ((BLOCK_HZ / self.bin_hz).round() as usize).min(past.bins);
        let width = area.high - area.low;
        if width >= block {
            return Some(area);
        }
        let at = |low: usize| Area { low, high: low + block, ..area };
        let all =
            (area.high.saturating_sub(block)..=area.low.min(past.bins - block)).map(|low| (past.mean(at(low)), low));
        let (mean, low) = all.max_by(|a, b| a.0.total_cmp(&b.0))?;
        if block - width <= 2 {
            return Some(at(low));
        }
        let rest = (mean * block as f32 - past.mean(area) * width as f32) * scale / (block - width) as f32 - 1.0;
        let values = value * ((block - width) as u64 * (area.to - area.from)) as f32;
        (rest * values.sqrt() > LEAST_REST).then(|| at(low))
    }

    /// The stronger part of a box that two levels fit much better than one: allocations that touch.
    fn part(&mut self, area: Area) -> Option<Area> {
        let (past, scale, value, lines) = (self.past, self.scale, self.value, &mut *self.scores);
        let (width, length) = (area.high - area.low, (area.to - area.from) as usize);
        // Frequency, a block at the least and three beside the edge; then time.
        lines.clear();
        lines.resize(width, 0.0);
        for step in area.from..area.to {
            lines
                .iter_mut()
                .zip(&past.step(step)[area.low..area.high])
                .for_each(|(s, p)| *s += p * scale / length as f32);
        }
        let near = (3.0 * BLOCK_HZ / self.bin_hz) as usize;
        if let Some((at, upper)) = step_in(lines, value * length as f32, (0.9 * BLOCK_HZ / self.bin_hz) as usize, near)
        {
            return Some(if upper {
                Area { low: area.low + at, ..area }
            } else {
                Area { high: area.low + at, ..area }
            });
        }
        lines.clear();
        let mean = |step: u64| past.step(step)[area.low..area.high].iter().sum::<f32>() * scale / width as f32;
        lines.extend((area.from..area.to).map(mean));
        let (at, later) = step_in(lines, value * width as f32, 4, 10)?;
        let at = area.from + at as u64;
        Some(if later { Area { from: at, ..area } } else { Area { to: at, ..area } })
    }
}

/// Whether no two steps hold most of what is over the noise, but for what two deviations of noise hold. `value` is how many
/// independent values a bin has in a step.
pub(super) fn lasts(past: &Past, area: Area, excess: f32, value: f32) -> bool {
    let width = area.high - area.low;
    let over = |s: u64| past.step(s)[area.low..area.high].iter().sum::<f32>() / width as f32 - 1.0;
    let slack = 2.0 * (1.0 + excess) * (2.0 / (value * width as f32)).sqrt();
    let most = MOST_IN_TWO * excess * (area.to - area.from) as f32 + slack;
    (area.from..area.to - 1).all(|s| over(s) + over(s + 1) < most)
}

/// The run in `0..end` that gains most: the best within `inside`, and what it gains on both sides before it loses much.
pub(crate) fn best_run(inside: Range<usize>, end: usize, mut score: impl FnMut(usize) -> f32) -> Range<usize> {
    let (mut best, mut sum, mut most, mut from) = ((f32::NEG_INFINITY, inside.clone()), 0.0, 0.0, inside.start);
    for i in inside {
        if sum <= 0.0 || sum < most - STOP {
            (sum, most, from) = (0.0, 0.0, i);
        }
        sum += score(i);
        most = sum.max(most);
        if sum > best.0 {
            best = (sum, from..i + 1);
        }
    }
    let inside = best.1;
    let (mut low, mut high) = (inside.start, inside.end);
    let (mut sum, mut most) = (0.0, 0.0);
    for i in inside.end..end {
        sum += score(i);
        if sum > most {
            (most, high) = (sum, i + 1);
        } else if sum < most - STOP {
            break;
        }
    }
    (sum, most) = (0.0, 0.0);
    for i in (0..inside.start).rev() {
        sum += score(i);
        if sum > most {
            (most, low) = (sum, i);
        } else if sum < most - STOP {
            break;
        }
    }
    low..high
}

/// Where the level of `lines` steps, and whether the part behind that is the stronger. Each line has `values`
/// independent values; `least` of them make a part, and the levels of `near` on both sides differ clearly: a slope is
/// no step.
fn step_in(lines: &[f32], values: f32, least: usize, near: usize) -> Option<(usize, bool)> {
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let all = mean(lines);
    let (mut best, mut below) = ((SPLIT, None), 0.0);
    let sum: f32 = lines.iter().sum();
    for at in 1..lines.len() {
        below += lines[at - 1];
        if at < least || lines.len() - at < least {
            continue;
        }
        let (n, m) = (at as f32, (lines.len() - at) as f32);
        let (low, high) = ((below / n).max(0.1), ((sum - below) / m).max(0.1));
        let gain = values * ((n + m) * all.max(0.1).ln() - n * low.ln() - m * high.ln());
        if gain > best.0 {
            best = (gain, Some(at));
        }
    }
    let at = best.1?;
    let low = (mean(&lines[at.saturating_sub(near)..at]) - 1.0).max(0.02);
    let high = (mean(&lines[at..(at + near).min(lines.len())]) - 1.0).max(0.02);
    let differs = low.max(high) > SPLIT_LEVELS * low.min(high);
    differs.then_some((at, high > low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_does_not_reach_over_a_gap() {
        let score = |i: usize| if (10..20).contains(&i) || (26..36).contains(&i) { 4.0 } else { -3.0 };
        assert_eq!(best_run(12..15, 50, score), 10..20);
        assert_eq!(best_run(5..40, 50, score), 10..20);
        let score = |i: usize| if (10..20).contains(&i) || (22..36).contains(&i) { 4.0 } else { -3.0 };
        assert_eq!(best_run(12..15, 50, score), 10..36);
    }

    #[test]
    fn levels_step_but_do_not_slope() {
        let step: Vec<f32> = (0..40).map(|i| if i < 18 { 1.8 } else { 3.4 }).collect();
        assert_eq!(step_in(&step, 20.0, 8, 27), Some((18, true)));
        let slope: Vec<f32> = (0..40).map(|i| 1.8 + i as f32 * 0.04).collect();
        assert_eq!(step_in(&slope, 20.0, 8, 9), None);
        assert_eq!(step_in(&step, 1.0, 8, 27), None);
    }
}
