//! The power in a preamble's band around it, and the edges that it shows.

use super::{EDGE_WINDOW_S, PrachSearch, SEQUENCE_S, Sighting};
use crate::candidate::{NoiseFloor, Snippet};
use std::ops::Range;

/// Power in a preamble's band, from before the window in which it was seen to behind it.
pub(super) struct PowerAround {
    /// First sample, of the recording.
    pub(super) window_start: i64,
    pub(super) rate_hz: f64,
    pub(super) power: Vec<f64>,
    /// The floor's power in the band, and the preamble's, linear over full scale.
    pub(super) noise: f64,
    pub(super) level: f64,
}

impl PowerAround {
    /// From its start to that of the window.
    pub(super) const LEAD_S: f64 = (EDGE_WINDOW_S - SEQUENCE_S) / 2.0;

    pub(super) fn at(&self, seconds: f64) -> usize {
        (seconds * self.rate_hz) as usize
    }

    pub(super) fn mean(&self, from: usize, to: usize) -> f64 {
        self.power[from..to].iter().sum::<f64>() / (to - from).max(1) as f64
    }

    /// Surely in the preamble.
    pub(super) fn inside(&self) -> Range<usize> {
        self.at(Self::LEAD_S + 0.15e-3)..self.at(Self::LEAD_S + SEQUENCE_S - 0.15e-3)
    }

    /// Whether no quarter of its window holds most of the power, as it does of what is shorter (a sounding symbol).
    pub(super) fn is_steady(&self) -> bool {
        const MOST: f64 = 1.8;
        // Three deviations of noise in 0.2 ms of the band.
        const SLACK: f64 = 0.2;
        let (start, quarter) = (self.at(Self::LEAD_S), self.at(SEQUENCE_S / 4.0));
        let over = |from: usize, to: usize| self.mean(from, to) - self.noise;
        let most = MOST * over(start, start + 4 * quarter) + SLACK * self.noise;
        (0..4).all(|i| over(start + i * quarter, start + (i + 1) * quarter) < most)
    }

    pub(super) fn half(&self) -> f64 {
        self.noise + 0.5 * self.level
    }

    /// Outwards in steps of 10 µs until 40 µs are below half, then the likeliest edge near there.
    pub(super) fn edges(&self) -> (f64, f64) {
        let (inside, half, power) = (self.inside(), self.half(), &self.power);
        let (span, step) = (self.at(40e-6), self.at(10e-6));
        let mut from = inside.start;
        while from > span + step && self.mean(from - span, from) > half {
            from -= step;
        }
        let mut to = inside.end;
        while to + span + step < power.len() && self.mean(to, to + span) > half {
            to += step;
        }
        let edge = |at: usize, rising: bool| {
            let reach = self.at(70e-6);
            let low = at.saturating_sub(reach);
            let high = (at + reach).min(power.len());
            let (mut sum, mut best, mut place) = (0.0, f64::NEG_INFINITY, at);
            for i in 0..high - low {
                let n = if rising { high - 1 - i } else { low + i };
                sum += power[n] - half;
                if sum > best {
                    (best, place) = (sum, n);
                }
            }
            place as f64 + if rising { 0.0 } else { 1.0 }
        };
        (edge(from, true), edge(to, false))
    }
}

impl PrachSearch {
    /// The power in a preamble's band around its window.
    pub(super) fn power_around(
        &mut self,
        sighting: &Sighting,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
    ) -> PowerAround {
        let window_start = sighting.window_start as i64 - (PowerAround::LEAD_S * self.rate_hz) as i64;
        let rate_hz = self.edges.out_rate_hz();
        let mut window = self.edges.load(&mut self.buffers, snippet, window_start);
        let y = window.channel(sighting.center_hz - snippet.center_hz);
        let noise = floor.power(sighting.center_hz - 590e3, sighting.center_hz + 590e3);
        let power: Vec<f64> = y.iter().map(|z| f64::from(z.norm_sqr())).collect();
        let mut around = PowerAround { window_start, rate_hz, power, noise, level: 0.0 };
        let inside = around.inside();
        around.level = around.mean(inside.start, inside.end) - noise;
        around
    }
}
