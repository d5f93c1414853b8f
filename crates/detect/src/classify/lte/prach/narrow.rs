//! A look at one place of a wide stream, at a rate that its six blocks need: whether a known base station was called.

use super::{PrachSearch, SEQUENCE_S};
use crate::candidate::{NoiseFloor, Snippet};
use crate::carrier::LearnedPrach;
use crate::decimate::Decimator;
use cellwarden_standards::lte;
use num_complex::Complex32;
use std::ops::Range;

/// The lowest rate at which what is beside the six blocks stays out of them.
const LEAST_RATE_HZ: f64 = 1.8e6;
/// Around an occasion, for the filter and for a start that is known less well than to a sample.
const AROUND_S: f64 = 20e-6;

/// The search of [`PrachSearch::sight_known`] at a low rate.
pub struct NarrowSearch {
    decimator: Decimator,
    search: PrachSearch,
    iq: Vec<Complex32>,
}

impl NarrowSearch {
    /// For a stream at `rate_hz`; none where a lower rate, of which a sequence is a whole number of samples, is not to be had.
    pub fn new(rate_hz: f64) -> Option<Self> {
        let window = (SEQUENCE_S * rate_hz).round() as usize;
        let most = (rate_hz / LEAST_RATE_HZ) as usize;
        let factor = (2..=most).rev().find(|factor| window % factor == 0)?;
        let decimator = Decimator::new(rate_hz, factor, lte::PRACH_HZ / 2.0);
        Some(Self { decimator, search: PrachSearch::new(rate_hz / factor as f64)?, iq: Vec::new() })
    }

    /// About what an occasion costs, see [`PrachSearch::seconds_of_occasion`].
    pub fn seconds_of_occasion(&self, base_station: &LearnedPrach, roots: usize) -> f64 {
        let samples = (base_station.seconds() + 2.0 * AROUND_S) * self.search.rate_hz * self.decimator.factor() as f64;
        1e-8 * samples + self.search.seconds_of_occasion(base_station, roots)
    }

    /// The samples of the recording that are needed of an occasion that begins at `start`, known to `sigma` samples.
    pub fn needs(&self, base_station: &LearnedPrach, (start, sigma): (f64, f64)) -> Range<f64> {
        let rate_hz = self.search.rate_hz * self.decimator.factor() as f64;
        let around = self.decimator.delay() + 4.0 * sigma + AROUND_S * rate_hz;
        start - around..start + base_station.seconds() * rate_hz + around
    }

    /// Whether the correlator shows a preamble, see [`PrachSearch::sight_known`]; the snippet holds what is needed.
    pub fn sights(
        &mut self,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        base_station: &LearnedPrach,
        (start, sigma): (f64, f64),
        roots: &[u16],
    ) -> bool {
        let cycles = (base_station.center_hz - snippet.center_hz) / snippet.rate_hz;
        self.decimator.run(snippet.iq, cycles, &mut self.iq);
        let factor = self.decimator.factor() as f64;
        let rate_hz = snippet.rate_hz / factor;
        let narrow = Snippet { iq: &self.iq, start: 0, rate_hz, center_hz: base_station.center_hz };
        let place = ((start - snippet.start as f64 - self.decimator.delay()) / factor, sigma / factor);
        self.search.sight_known(&narrow, floor, base_station, place, roots).is_some()
    }
}
