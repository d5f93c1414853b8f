//! Whether a stream's I and Q are exchanged, which mirrors its spectrum.
//!
//! A mirrored GSM burst often is one of another training sequence: the mirror inverts each differential bit, and so
//! turns TSC3 into TSC0 but for its last bit and a symbol's shift. So the bursts are compared: whichever of the
//! stream and its mirror fits the training sequences and the tail bits better, summed over bursts, is the stream as it
//! was sent. A mirrored PRACH preamble of root u is, exactly, one of root 839 − u (TS 36.211 5.7.2): by itself it says nothing. In
//! LTE the reference signals of one and two resource blocks tell, which are tables; wider ones are Zadoff–Chu again.

use crate::candidate::{Classifier, NoiseFloor, Proposal, Region, Snippet};
use crate::classify::gsm::{GsmClassifier, TAIL_TURN, TRAINING_CORRELATION};
use crate::classify::lte::reference::ReferenceFit;
use cellwarden_standards::{band, gsm};
use cellwarden_types::{Evidence, Standard};
use num_complex::Complex32;
use std::ops::Range;

/// Independent values in a training sequence.
const VALUES: f64 = gsm::TSC_SYMBOLS as f64;
/// What the tail bits weigh: four transitions that turn the right way or the wrong one. They part even what is nearly its
/// own mirror; noise that turned all of them would have hidden the burst.
const TAIL_LLR: f64 = 4.0;
/// Correlation of what was not accepted as a burst: less than that, and no better.
const NOT_FOUND: f64 = 0.55;
/// Noise, echoes and the transmitter's own errors leave no more than this.
const BEST: f64 = 0.98;
/// Sum of log-likelihood ratios from which a stream may count as mirrored.
const SETTLED: f64 = 20.0;
/// What a burst's ratio must exceed to count as one that says something.
const TELLING: f64 = 3.0;
/// So many bursts must say that the stream is mirrored, and more than say the contrary: the verdict makes a sensor deaf,
/// so an interferer's chance likeness must not bring it about.
const MIRRORED_LEAST: u32 = 3;
/// Beyond this no further burst can change the answer, once so many were compared.
const BEYOND_DOUBT: f64 = 200.0;
const ENOUGH: u32 = 16;
/// Regions that are tried at most: a band full of something else must not pay for the test for ever.
const TRIED_MOST: u32 = 512;
/// What a mirrored stream's bursts are worth: frequency, name and place would all be wrong.
const MIRRORED_LLR: f64 = -12.0;
/// A reference signal that fits worse than this both ways is none: another symbol, or two phones at once.
const REFERENCE_LEAST: f64 = 0.75;

/// Compares the stream's bursts with their mirrors.
#[derive(Debug, Default)]
pub struct SwapTest {
    buffer: Vec<Complex32>,
    found: Vec<Proposal>,
    /// Positive where the mirror fits better.
    llr: f64,
    mirrored: u32,
    straight: u32,
    compared: u32,
    tried: u32,
    /// Samples of the recording in which nothing is compared.
    excepted: Range<u64>,
}

impl SwapTest {
    /// What lies in these samples says nothing: somebody put it there who never exchanges I and Q.
    pub fn except(&mut self, samples: Range<u64>) {
        self.excepted = samples;
    }

    /// Whether `count` samples from `start` on say something.
    pub fn takes(&self, start: u64, count: u64) -> bool {
        start >= self.excepted.end || start + count <= self.excepted.start
    }

    /// Compares the GSM bursts of one cluster. `straight` is what GSM classification made of them as they are.
    pub fn observe_gsm(
        &mut self,
        gsm: &mut GsmClassifier,
        regions: impl Iterator<Item = Region>,
        straight: &[Proposal],
        snippet: &Snippet<'_>,
        noise: &NoiseFloor,
        margin: u64,
    ) {
        for region in regions {
            if self.is_settled() {
                return;
            }
            let seconds = region.count as f64 / snippet.rate_hz;
            let mirror = |hz: f64| 2.0 * snippet.center_hz - hz;
            let flipped = Region { low_hz: mirror(region.high_hz), high_hz: mirror(region.low_hz), ..region };
            if !(0.25e-3..0.7e-3).contains(&seconds)
                || flipped.high_hz - flipped.low_hz > 400e3
                || !self.takes(region.start, region.count)
                || band::gsm_channel((flipped.low_hz + flipped.high_hz) / 2.0).is_none()
            {
                continue;
            }
            self.tried += 1;
            let (start, end) = (region.start as f64, (region.start + region.count) as f64);
            let middle = (region.low_hz + region.high_hz) / 2.0;
            let here = |p: &&Proposal| {
                p.low_hz < middle
                    && p.high_hz > middle
                    && p.start.max(start) < (p.start + p.count).min(end) - 0.5 * p.count
            };
            let as_it_is = GsmFit::best(straight.iter().filter(here));
            let near = snippet.around(&region, margin);
            self.buffer.clear();
            self.buffer.extend(near.iq.iter().map(Complex32::conj));
            self.found.clear();
            gsm.begin();
            gsm.classify(&flipped, &Snippet { iq: &self.buffer, ..near }, noise, &mut self.found);
            self.compare(as_it_is, GsmFit::best(self.found.iter()));
        }
    }

    /// Adds what one burst says: its best fit as it is, and mirrored.
    fn compare(&mut self, straight: Option<GsmFit>, mirrored: Option<GsmFit>) {
        if straight.is_none() && mirrored.is_none() {
            return;
        }
        let (s, m) = (straight.unwrap_or(GsmFit::NONE), mirrored.unwrap_or(GsmFit::NONE));
        let training = residual_llr(VALUES, s.training.max(NOT_FOUND), m.training.max(NOT_FOUND));
        self.add(training + TAIL_LLR * (m.tail - s.tail));
    }

    /// Adds what an LTE reference signal says.
    pub fn observe_reference(&mut self, fit: &ReferenceFit) {
        self.tried += 1;
        if fit.straight.max(fit.mirrored) > REFERENCE_LEAST {
            self.add(residual_llr(fit.values as f64, fit.straight, fit.mirrored));
        }
    }

    /// Adds a ratio: positive where the mirror fits better.
    fn add(&mut self, llr: f64) {
        self.llr += llr;
        self.compared += 1;
        self.mirrored += u32::from(llr > TELLING);
        self.straight += u32::from(llr < -TELLING);
    }

    /// Whether further bursts cannot change the answer.
    pub fn is_settled(&self) -> bool {
        self.tried >= TRIED_MOST || (self.compared >= ENOUGH && self.llr.abs() > BEYOND_DOUBT)
    }

    /// How many bursts and reference signals fit better mirrored, where all of them together say that I and Q are exchanged.
    pub fn mirrored_bursts(&self) -> Option<u32> {
        let clear = self.mirrored >= MIRRORED_LEAST && self.mirrored > self.straight;
        (clear && self.llr > SETTLED).then_some(self.mirrored)
    }

    /// Puts the reason against it to a burst of a stream whose I and Q are exchanged: that is no detection.
    pub fn doubt(&self, proposal: &mut Proposal) {
        if let Some(bursts) = self.mirrored_bursts().filter(|_| proposal.standard != Standard::Other) {
            proposal.detail.evidence.push(Evidence::new(Evidence::IQ_SWAPPED, f64::from(bursts), MIRRORED_LLR));
        }
    }
}

/// How a burst fits what is known of it.
#[derive(Clone, Copy, Debug)]
struct GsmFit {
    /// Correlation with the training sequence, 0 to 1.
    training: f64,
    /// Which way the tail bits turn, -1 to 1.
    tail: f64,
}

impl GsmFit {
    const NONE: Self = Self { training: 0.0, tail: 0.0 };

    /// The proposal that fits its training sequence best.
    fn best<'a>(proposals: impl Iterator<Item = &'a Proposal>) -> Option<Self> {
        let value = |p: &Proposal, name: &str| p.detail.evidence.iter().find(|e| e.name == name).map(|e| e.value);
        proposals
            .filter_map(|p| {
                let training = value(p, TRAINING_CORRELATION)?;
                Some(Self { training, tail: value(p, TAIL_TURN).unwrap_or(0.0) })
            })
            .max_by(|a, b| a.training.total_cmp(&b.training))
    }
}

/// The likelihoods of what two correlations leave over, as Gaussian noise of unknown power: positive where `mirrored` is
/// the better one.
fn residual_llr(values: f64, straight: f64, mirrored: f64) -> f64 {
    values * ((1.0 - straight.min(BEST)) / (1.0 - mirrored.min(BEST))).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(training: f64) -> Option<GsmFit> {
        Some(GsmFit { training, tail: 0.0 })
    }

    #[test]
    fn the_better_fit_decides_over_bursts() {
        let mut test = SwapTest::default();
        for _ in 0..MIRRORED_LEAST {
            assert_eq!(test.mirrored_bursts(), None, "a few could be chance");
            test.compare(fit(0.84), fit(0.97));
        }
        assert_eq!(test.mirrored_bursts(), Some(MIRRORED_LEAST));
        for _ in 0..MIRRORED_LEAST {
            test.compare(fit(0.97), fit(0.84));
        }
        assert_eq!(test.mirrored_bursts(), None, "others can say that it was not");
    }

    #[test]
    fn bursts_that_fit_either_way_say_nothing() {
        let mut test = SwapTest::default();
        for _ in 0..1_000 {
            test.compare(fit(0.9), fit(0.9));
            test.compare(None, None);
        }
        assert_eq!(test.mirrored_bursts(), None);
    }
}
