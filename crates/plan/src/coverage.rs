//! What share of a band is watched, in spectrum and in time.

use crate::schedule::{Range, Schedule};
use serde::Serialize;

/// What share of a band is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Share of the band that any receiver ever listens to.
    pub spectrum_share: f64,
    /// Share of the time that a frequency of the band is listened to, on average over the band; receivers that hop know
    /// nothing of each other.
    pub time_share: f64,
}

/// What `receivers` at one place watch of `band`.
pub fn coverage(band: Range, receivers: &[Schedule]) -> Coverage {
    let windows = || receivers.iter().flat_map(|r| r.windows().iter().map(move |w| (w.and(band), r.time_share())));
    let mut edges: Vec<f64> = windows().flat_map(|(w, _)| [w.lower_hz, w.upper_hz]).collect();
    edges.retain(|hz| (band.lower_hz..=band.upper_hz).contains(hz));
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let (mut spectrum_hz, mut time_hz) = (0.0, 0.0);
    for pair in edges.windows(2) {
        let piece = Range::new(pair[0], pair[1]);
        let shares = windows().filter(|(w, _)| w.holds(piece)).map(|(_, share)| share);
        let (n, deaf) = shares.fold((0, 1.0), |(n, deaf), share| (n + 1, deaf * (1.0 - share.min(1.0))));
        if n > 0 {
            spectrum_hz += piece.width_hz();
            time_hz += piece.width_hz() * (1.0 - deaf);
        }
    }
    let whole = band.width_hz().max(1.0);
    Coverage { spectrum_share: spectrum_hz / whole, time_share: time_hz / whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let band = Range::new(880e6, 915e6);
        assert_eq!(coverage(band, &[]), Coverage::default());
        let half = Schedule::Watch(Range::new(870e6, 897.5e6));
        assert_eq!(coverage(band, std::slice::from_ref(&half)), Coverage { spectrum_share: 0.5, time_share: 0.5 });
        let hop = Schedule::over(&[Range::new(870e6, 920e6), Range::new(1e9, 1.1e9)], 0.09, 0.01).unwrap();
        let alone = coverage(band, std::slice::from_ref(&hop));
        assert!((alone.time_share - 0.45).abs() < 1e-12 && alone.spectrum_share == 1.0);
        let both = coverage(band, &[half, hop]);
        assert!((both.time_share - (0.5 + 0.5 * 0.45)).abs() < 1e-12 && both.spectrum_share == 1.0);
    }
}
