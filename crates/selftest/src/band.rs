//! What can be tested where a receiver is tuned to, and where in a band a test burst may lie.

use crate::wave::TestKind;
use cellwarden_standards::band::{Region, bands_of, gsm_channel, lte_band};
use cellwarden_standards::lte::CARRIERS;
use cellwarden_types::{Hertz, Standard};
use rand::Rng;

/// Of the sample rate, on each side of the centre: beyond it a receiver's filter falls.
const USABLE: f64 = 0.4;
/// Beside a receiver's offset at the centre.
const BESIDE_CENTER_HZ: f64 = 30e3;
/// Where a carrier of LTE may be. TS 36.101 clause 5.7.2.
const RASTER_HZ: f64 = 100e3;
/// The detector looks for preambles from this rate on.
const PRACH_RATE_HZ: f64 = CARRIERS[0].0;

/// A kind of burst in a band, as far as the receiver hears it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub band: &'static str,
    pub kind: TestKind,
    low_hz: f64,
    high_hz: f64,
    center_hz: f64,
}

/// What a receiver that is tuned so can be tested with, by band; bands of the Americas where there is none of Europe.
pub(crate) fn targets(center: Hertz, rate: Hertz) -> Vec<Target> {
    let of = |region| targets_in(region, center, rate);
    let found = of(Region::Europe);
    if found.is_empty() { of(Region::Americas) } else { found }
}

fn targets_in(region: Region, center: Hertz, rate: Hertz) -> Vec<Target> {
    let (low, high) = (center.0 - USABLE * rate.0, center.0 + USABLE * rate.0);
    let mut found: Vec<Target> = Vec::new();
    for kind in TestKind::ALL {
        if kind == TestKind::Prach && rate.0 < PRACH_RATE_HZ {
            continue;
        }
        for row in bands_of(kind.standard()).filter(|row| row.region == region) {
            let (low_hz, high_hz) = (low.max(row.ul_lower_hz), high.min(row.ul_upper_hz));
            let middle = (low_hz + high_hz) / 2.0;
            // Of bands that share their frequencies, detection names one.
            let named = match kind.standard() {
                Standard::Gsm => gsm_channel(middle).map(|c| c.band),
                _ => lte_band(middle),
            };
            if high_hz - low_hz < kind.width_hz() || named != Some(row.name) {
                continue;
            }
            // The rows of GSM 900 lie side by side.
            match found.iter_mut().find(|t| t.kind == kind && t.band == row.name) {
                Some(t) => (t.low_hz, t.high_hz) = (t.low_hz.min(low_hz), t.high_hz.max(high_hz)),
                None => found.push(Target { band: row.name, kind, low_hz, high_hz, center_hz: center.0 }),
            }
        }
    }
    found.retain(|t| t.holds_a_place());
    found
}

impl Target {
    /// The carriers that a burst may have, in steps of the raster.
    fn carriers(&self) -> (f64, i64) {
        let half = self.kind.width_hz() / 2.0;
        match self.kind.standard() {
            Standard::Gsm => {
                let first = gsm_channel(self.low_hz).map_or(self.low_hz, |c| c.center_hz);
                let first = if first - half < self.low_hz { first + 2.0 * half } else { first };
                (first, ((self.high_hz - half - first) / (2.0 * half)).floor() as i64)
            }
            _ => {
                let first = ((self.low_hz + half) / RASTER_HZ).ceil() * RASTER_HZ;
                (first, ((self.high_hz - half - first) / RASTER_HZ).floor() as i64)
            }
        }
    }

    fn carrier(&self, number: i64) -> f64 {
        let step = if self.kind.standard() == Standard::Gsm { self.kind.width_hz() } else { RASTER_HZ };
        self.carriers().0 + number as f64 * step
    }

    fn is_beside_center(&self, carrier_hz: f64) -> bool {
        (carrier_hz - self.center_hz).abs() > self.kind.width_hz() / 2.0 + BESIDE_CENTER_HZ
    }

    fn holds_a_place(&self) -> bool {
        self.carriers().1 >= 0
    }

    /// The middle of a burst somewhere in the band, beside the receiver's centre where there is room for it.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        let last = self.carriers().1;
        let mut any = || self.carrier(rng.random_range(0..=last));
        let first = any();
        std::iter::once(first)
            .chain(std::iter::repeat_with(any).take(8))
            .find(|&hz| self.is_beside_center(hz))
            .unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn names(center: f64, rate: f64) -> Vec<(&'static str, TestKind)> {
        targets(Hertz(center), Hertz(rate)).iter().map(|t| (t.band, t.kind)).collect()
    }

    #[test]
    fn bands_are_those_that_detection_names() {
        use TestKind::{GsmNormal, Prach, Pusch};
        assert_eq!(names(902.4e6, 2.4e6), [("GSM900", GsmNormal), ("B8", Prach), ("B8", Pusch)]);
        assert_eq!(names(898e6, 1e6), [("GSM900", GsmNormal), ("B8", Pusch)]);
        assert_eq!(names(847e6, 10e6), [("B20", Prach), ("B20", Pusch)]);
        assert_eq!(names(1747.5e6, 61.44e6), [("DCS1800", GsmNormal), ("B3", Prach), ("B3", Pusch)]);
        assert_eq!(names(829e6, 2.4e6), [("GSM850", GsmNormal), ("B5", Prach), ("B5", Pusch)]);
        assert_eq!(names(433.92e6, 2.4e6), []);
        let wide = names(889.9e6, 20e6);
        assert_eq!(wide.iter().filter(|(band, _)| *band == "GSM900").count(), 1, "its two rows are one band");
    }

    #[test]
    fn places_vary_and_lie_inside_beside_the_center() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for target in targets(Hertz(889.9e6), Hertz(10e6)) {
            let drawn: Vec<f64> = (0..200).map(|_| target.draw(&mut rng)).collect();
            let half = target.kind.width_hz() / 2.0;
            for &hz in &drawn {
                assert!(hz - half > 885.89e6 && hz + half < 893.91e6, "{target:?}: {hz}");
                assert!(target.is_beside_center(hz), "{target:?}: {hz}");
                if target.kind == TestKind::GsmNormal {
                    assert!((gsm_channel(hz).unwrap().center_hz - hz).abs() < 1.0, "{hz}");
                }
            }
            let mut different = drawn.iter().map(|hz| *hz as i64).collect::<Vec<_>>();
            different.sort_unstable();
            different.dedup();
            assert!(different.len() > 10, "{different:?}");
        }
    }
}
