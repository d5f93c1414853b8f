//! Frames of samples become rows of power, of which the floor is followed and what stands out of it is cut.

use super::{Faint, Stream};
use crate::gate::Hint;
use crate::grid::GridSearch;
use crate::history::TileRing;
use crate::pipeline::StageCosts;
use crate::spectrum::PowerSpectrum;
use rayon::prelude::*;
use std::time::Instant;

/// Rows are made in so many tasks.
pub(super) const TASKS: usize = 4;

impl Stream {
    /// The next `frames` frames: rows, floor, segments.
    pub(in crate::pipeline) fn work(&mut self, frames: usize, costs: &mut StageCosts) {
        let began = Instant::now();
        let n = self.geometry.n_fft;
        let hop = self.geometry.hop;
        let size = self.format.bytes_per_sample();
        let from = self.frame_start(self.frames_done);
        let bytes = self.ring.slice(from, from + ((frames - 1) * hop + n) as u64);
        let made = self.segmenter.room(frames);
        let task = frames.div_ceil(TASKS);
        let format = self.format;
        let make = |(index, (rows, worker)): (usize, (&mut [f32], &mut PowerSpectrum))| {
            for (i, row) in rows.chunks_exact_mut(n).enumerate() {
                let at = (index * task + i) * hop * size;
                worker.process(format, &bytes[at..at + n * size], row);
            }
        };
        if rayon::current_num_threads() > 1 {
            made.par_chunks_mut(task * n).zip(self.workers.par_iter_mut()).enumerate().for_each(make);
        } else {
            made.chunks_mut(task * n).zip(self.workers.iter_mut()).enumerate().for_each(make);
        }
        let made = Instant::now();
        costs.spectrum += made - began;
        self.floor.update(self.segmenter.last(frames));
        if frames >= TileRing::FRAMES {
            self.tiles.push(self.floor.sums(), from + (n / 2) as u64, hop);
        }
        self.noise.density.copy_from_slice(self.floor.floor());
        let floored = Instant::now();
        costs.floor += floored - made;
        let before = self.pending.len();
        self.segmenter.process(self.floor.floor(), &mut self.pending);
        self.find_faint(frames, before);
        costs.segment += floored.elapsed();
        self.frames_done += frames as u64;
    }

    /// What no few cells of the last `frames` rows show. Of the segments, those from `before` on ended in them.
    fn find_faint(&mut self, frames: usize, before: usize) {
        if self.gate.is_none() && self.grid.is_none() {
            return;
        }
        let floor = self.floor.floor();
        self.summed.clear();
        let room = self.grid.as_mut().map_or(&mut self.summed, GridSearch::room);
        self.steps.take(self.segmenter.last(frames), floor, room);
        self.follow_reports();
        let floor = self.floor.floor();
        if let Some(pulses) = &mut self.pulses {
            pulses.process(&self.steps, self.segmenter.held(), floor, &mut self.pending);
        }
        if let Some(grid) = &mut self.grid {
            grid.process(&self.steps, floor, before, self.segmenter.open_since(), &mut self.pending);
        }
        self.follow_gate();
    }

    /// Where the gate says that a faint preamble may be.
    fn follow_gate(&mut self) {
        let Some(gate) = &mut self.gate else { return };
        gate.process(&self.steps, &mut self.hints);
        let hop = self.geometry.hop as u64;
        let count = gate.window_frames() as u64 * hop;
        // A frame speaks for the hop in its middle.
        let middle = (self.geometry.n_fft as u64 - hop) / 2;
        let faint =
            |h: Hint| Faint { start: h.frame * hop + middle, count, center_hz: self.center.0 + h.offset_hz, hint: h };
        self.faint.extend(self.hints.drain(..).map(faint));
    }
}
