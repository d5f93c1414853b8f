//! Where a base station's phones send all that is no preamble, and how much of what is found there is theirs.

use super::edges::Carrier;
use serde::{Deserialize, Serialize};

/// How much earlier than preambles phones send all else, before that is known: twice the way to a base station at up to 7 km
/// (TS 36.213 4.2.3, TS 36.211 8.1), and one standard deviation of it.
const ADVANCE_MOST_S: f64 = 47e-6;
const ADVANCE_S: f64 = 10e-6;
const ADVANCE_SIGMA_S: f64 = 15e-6;
/// Known to this, an emission tells when subframes begin.
const ADVANCE_KNOWN_S: f64 = 4e-6;
/// What it varies by, one standard deviation: ways within a prison, steps of 16 Ts, and a phone's own error (TS 36.133 7.1.2).
const ADVANCE_VARIES_S: f64 = 2e-6;
/// How far off the blocks' edges may be that a preamble's place tells, some subcarriers of 1.25 kHz; a phone errs by 0.3 kHz.
const EDGE_SIGMA_HZ: f64 = 5e3;
const EDGE_VARIES_HZ: f64 = 300.0;
const EDGE_LEAST_HZ: f64 = 1e3;
/// An edge is measured so well at the best.
const EDGE_MEASURED_HZ: f64 = 3e3;
/// Deviations that are searched, and what is searched in any case.
const SIGMAS: f64 = 2.5;
const SLACK_S: f64 = 3e-6;
const SLACK_HZ: f64 = 5e3;
/// Share of the energy within a base station's carrier that is its phones', as long as nothing tells more, and at the most; and how
/// fast it follows what was found lately.
const OWN_LEAST: f64 = 0.05;
const OWN_MOST: f64 = 0.5;
const OWN_STEP: f64 = 1.0 / 16.0;
/// So sure has it to be that a grid names what lies on it.
const OWN_SURE: f64 = 0.9;

/// How a base station's shared channels lie against its preambles: a distance's timing advance and a carrier's blocks, nothing of
/// a phone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedPlace {
    /// How much earlier than preambles phones near here send to it, in seconds, and one standard deviation of what is known.
    pub advance_s: f64,
    /// See `advance_s`.
    pub advance_sigma_s: f64,
    /// How much higher than the preambles' middle an edge between blocks lies, in hertz, likewise.
    pub edge_hz: f64,
    /// See `edge_hz`.
    pub edge_sigma_hz: f64,
    /// Above [`OWN_LEAST`]: the share of what was found lately in its carrier that lay on its grid.
    #[serde(skip)]
    more_own: f64,
}

impl Default for SharedPlace {
    fn default() -> Self {
        Self {
            advance_s: ADVANCE_S,
            advance_sigma_s: ADVANCE_SIGMA_S,
            edge_hz: 0.0,
            edge_sigma_hz: EDGE_SIGMA_HZ,
            more_own: 0.0,
        }
    }
}

/// Where a base station's subframes and blocks lie near a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GridNear {
    /// Which of the known ones it is.
    pub base_station: usize,
    /// A preamble in the subframe would begin then, in seconds of the stream, and one standard deviation of that.
    pub subframe_s: f64,
    /// See `subframe_s`.
    pub sigma_s: f64,
    /// How much earlier and later all else may begin.
    pub early_s: f64,
    /// See `early_s`.
    pub late_s: f64,
    /// An edge between two resource blocks, absolute, and how far off it may be.
    pub block_edge_hz: f64,
    /// See `block_edge_hz`.
    pub edge_slack_hz: f64,
    /// Middle of the preambles' band.
    pub preamble_hz: f64,
    /// Whether a preamble may begin in the subframe.
    pub is_occasion: bool,
    /// The carrier's centre, absolute, and the carrier, where they are known.
    pub carrier_center_hz: Option<f64>,
    /// See `carrier_center_hz`.
    pub carrier: Option<Carrier>,
}

/// What was heard on a base station's grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeardShared {
    /// How much later than a preamble it begins, in seconds, and one standard deviation of that measurement.
    pub shift_s: f64,
    /// See `shift_s`.
    pub sigma_s: f64,
    /// How much higher than the grid's its blocks' edges are, in hertz, likewise.
    pub off_hz: f64,
    /// See `off_hz`.
    pub off_sigma_hz: f64,
}

impl SharedPlace {
    /// Whether it can be so: what was written by hand may say anything.
    pub fn is_possible(&self) -> bool {
        let is_within = |value: f64, most: f64| value.is_finite() && value.abs() <= most;
        let is_deviation = |sigma: f64, most: f64| sigma > 0.0 && sigma <= most;
        is_within(self.advance_s, ADVANCE_MOST_S)
            && is_deviation(self.advance_sigma_s, ADVANCE_SIGMA_S)
            && is_within(self.edge_hz, 4.0 * EDGE_SIGMA_HZ)
            && is_deviation(self.edge_sigma_hz, EDGE_SIGMA_HZ)
    }

    /// The timing advance of phones near here, in seconds, once emissions on the grid have told it.
    pub fn known_advance_s(&self) -> Option<f64> {
        (self.advance_sigma_s < ADVANCE_KNOWN_S).then_some(self.advance_s)
    }

    /// The grid near a subframe, of which the time that a preamble would begin at and its standard deviation are given, where
    /// preambles lie around `preamble_hz`.
    pub(super) fn grid(
        &self,
        base_station: usize,
        (subframe_s, sigma_s): (f64, f64),
        preamble_hz: f64,
        is_occasion: bool,
    ) -> GridNear {
        let slack_s = SIGMAS * (self.advance_sigma_s * self.advance_sigma_s + sigma_s * sigma_s).sqrt() + SLACK_S;
        // No phone sends later than its preambles, but for what the grid errs by.
        let late_s = (slack_s - self.advance_s).min(SIGMAS * sigma_s + SLACK_S);
        GridNear {
            base_station,
            subframe_s,
            sigma_s,
            early_s: (slack_s + self.advance_s).min(ADVANCE_MOST_S + SIGMAS * sigma_s + SLACK_S),
            late_s,
            block_edge_hz: preamble_hz + self.edge_hz,
            edge_slack_hz: (SIGMAS * self.edge_sigma_hz).max(SLACK_HZ),
            preamble_hz,
            is_occasion,
            carrier_center_hz: None,
            carrier: None,
        }
    }

    /// What an emission's start varies by against its subframe's, advance left out; none where that is not known well.
    pub(super) fn advance_variance(&self) -> Option<f64> {
        let known = self.known_advance_s().map(|_| self.advance_sigma_s * self.advance_sigma_s);
        known.map(|variance| variance + ADVANCE_VARIES_S * ADVANCE_VARIES_S)
    }

    /// Learns from an emission on the grid, whose subframe was known to `grid_sigma_s`.
    pub(super) fn take(&mut self, heard: &HeardShared, grid_sigma_s: f64) {
        let measured = heard.sigma_s.hypot(grid_sigma_s).hypot(ADVANCE_VARIES_S);
        let off_s = -heard.shift_s - self.advance_s;
        let gain = gain(self.advance_sigma_s, measured);
        self.advance_s = (self.advance_s + gain * off_s).clamp(-ADVANCE_MOST_S, ADVANCE_MOST_S);
        self.advance_sigma_s = (self.advance_sigma_s * (1.0 - gain).sqrt()).max(0.5 * ADVANCE_VARIES_S);
        let measured = heard.off_sigma_hz.max(EDGE_MEASURED_HZ).hypot(EDGE_VARIES_HZ);
        let gain = self::gain(self.edge_sigma_hz, measured);
        self.edge_hz = (self.edge_hz + gain * heard.off_hz).clamp(-4.0 * EDGE_SIGMA_HZ, 4.0 * EDGE_SIGMA_HZ);
        self.edge_sigma_hz = (self.edge_sigma_hz * (1.0 - gain).sqrt()).max(EDGE_LEAST_HZ);
    }

    /// Whether what lies on the grid, by a Bayes factor with this logarithm, is its phones'; and the log-odds that what was found
    /// lately adds to that. It is told of all that is found in the carrier: as long as none of it keeps to the grid, one in 170 is
    /// taken for its phones' by chance; while phones send there, a weaker factor tells theirs.
    pub fn is_own(&mut self, ln_factor: f64) -> Option<f64> {
        let odds = |share: f64| (share / (1.0 - share)).ln();
        let own = (OWN_LEAST + self.more_own).min(OWN_MOST);
        let sure = 1.0 / (1.0 + (-(odds(own) + ln_factor)).exp());
        self.more_own = (self.more_own + OWN_STEP * (sure - own)).clamp(0.0, OWN_MOST - OWN_LEAST);
        (sure > OWN_SURE).then_some(odds(own) - odds(OWN_LEAST))
    }
}

/// How far a value that is known to `known` goes towards one that is measured to `measured`, both one standard deviation.
fn gain(known: f64, measured: f64) -> f64 {
    known * known / (known * known + measured * measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What keeps to the grid is told by less and less; what does not, never.
    #[test]
    fn a_carrier_in_use_makes_weak_evidence_enough() {
        let mut place = SharedPlace::default();
        assert_eq!((0..40).filter(|_| place.is_own(-0.5).is_some()).count(), 0);
        assert!(place.is_own(5.5).is_some(), "a sure one");
        let told = (0..60).map(|_| place.is_own(3.0).is_some()).collect::<Vec<_>>();
        assert!(!told[0] && told[59], "{told:?}");
        assert_eq!((0..60).filter_map(|_| place.is_own(-3.0)).count(), 0);
        assert!(place.is_own(3.0).is_none(), "it is forgotten");
    }

    #[test]
    fn a_timing_advance_and_an_edge_are_learned() {
        let mut place = SharedPlace::default();
        assert!(place.advance_variance().is_none());
        for i in 0..60 {
            let off = if i % 2 == 0 { 1.0 } else { -1.0 };
            let heard = HeardShared {
                shift_s: -22e-6 + off * 6e-6,
                sigma_s: 8e-6,
                off_hz: 4e3 - place.edge_hz + off * 2e3,
                off_sigma_hz: 4e3,
            };
            place.take(&heard, 1e-6);
        }
        assert!((place.advance_s - 22e-6).abs() < 1.5e-6 && (place.edge_hz - 4e3).abs() < 1e3, "{place:?}");
        assert!(place.advance_variance().is_some() && place.is_possible());
        let grid = place.grid(0, (1.0, 1e-6), 847e6, false);
        assert!(grid.early_s < 32e-6 && grid.late_s < -12e-6, "{grid:?}");
    }

    #[test]
    fn what_cannot_be_is_told() {
        let possible = SharedPlace::default();
        assert!(possible.is_possible());
        for wrong in [f64::NAN, f64::INFINITY, 1.0] {
            assert!(!SharedPlace { advance_s: wrong, ..possible }.is_possible());
            assert!(!SharedPlace { advance_sigma_s: wrong, ..possible }.is_possible());
            assert!(!SharedPlace { edge_hz: wrong * 1e6, ..possible }.is_possible());
            assert!(!SharedPlace { edge_sigma_hz: -wrong, ..possible }.is_possible());
        }
    }
}
