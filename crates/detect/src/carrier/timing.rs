//! When a base station's subframes begin, by the receiver's clock.

use super::prach::HeardPreamble;
use cellwarden_standards::lte::SUBFRAME_S;

/// Occasions repeat after two frames at the latest (TS 36.211 table 5.7.1-2).
pub const SUBFRAMES: usize = 20;
/// A receiver's clock before anything is known of it, and how that wanders, in seconds a second and that by the root of a second.
const RATE_ERROR: f64 = 1e-6;
const RATE_WANDER: f64 = 2e-9;
/// Known to this, a time tells the subframe.
const LOCKED_S: f64 = 0.15e-3;

/// When subframes begin: an offset and a rate, followed by a Kalman filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// When the last preamble began, in seconds of the stream, and its subframe of [`SUBFRAMES`].
    pub at_s: f64,
    /// See `at_s`.
    pub subframe: usize,
    /// How much longer a base station's second is by the receiver's clock.
    rate: f64,
    /// Covariance: of the offset, of both, of the rate.
    variance: [f64; 3],
}

impl Timing {
    pub(super) fn new(heard: &HeardPreamble) -> Self {
        let variance = [heard.variance(), 0.0, RATE_ERROR * RATE_ERROR];
        Self { at_s: heard.start_s, subframe: 0, rate: 0.0, variance }
    }

    /// The time of the `n`-th subframe after the last preamble's, and its standard deviation.
    pub fn of(&self, n: i64) -> (f64, f64) {
        let after_s = n as f64 * SUBFRAME_S;
        let [offset, both, rate] = self.variance;
        let wander = RATE_WANDER * RATE_WANDER * after_s.abs().powi(3) / 3.0;
        let variance = offset + 2.0 * after_s * both + after_s * after_s * rate + wander;
        (self.at_s + after_s * (1.0 + self.rate), variance.max(0.0).sqrt())
    }

    /// The subframe, counted from the last preamble's, that begins nearest to a time.
    pub fn nearest(&self, at_s: f64) -> i64 {
        ((at_s - self.at_s) / (SUBFRAME_S * (1.0 + self.rate))).round() as i64
    }

    /// Which of [`SUBFRAMES`] the `n`-th subframe after the last preamble's is.
    pub fn subframe_of(&self, n: i64) -> usize {
        (self.subframe as i64 + n).rem_euclid(SUBFRAMES as i64) as usize
    }

    /// Whether the subframes at a time are told apart.
    pub fn is_known_at(&self, at_s: f64) -> bool {
        self.of(self.nearest(at_s)).1 < LOCKED_S
    }

    /// Takes a start that fits, whose variance is that.
    pub(super) fn follow(&mut self, start_s: f64, variance: f64) {
        let n = self.nearest(start_s);
        let (expected, sigma) = self.of(n);
        let after_s = n as f64 * SUBFRAME_S;
        let [_, both, rate] = self.variance;
        let wandered = RATE_WANDER * RATE_WANDER * after_s.abs();
        let (offset, both, rate) = (sigma * sigma, both + after_s * rate, rate + wandered);
        let gain = offset + variance;
        let (by_offset, by_rate) = (offset / gain, both / gain);
        let off_s = start_s - expected;
        self.at_s = expected + by_offset * off_s;
        self.rate += by_rate * off_s;
        self.variance = [offset * (1.0 - by_offset), both * (1.0 - by_offset), rate - by_rate * both];
        self.subframe = self.subframe_of(n);
    }
}
