//! From evidence to a probability.
//!
//! Log-likelihood ratios are added to the prior and pass a table that was fitted on composed
//! recordings: a sum of independent-looking evidence is over-confident, so large sums are worth less
//! than they say.

use cellwarden_types::table::interpolate;

/// Prior log-odds that a region in an uplink band, of a phone's shape, is a phone's.
const PRIOR: f64 = -1.0;

/// Sum of log-odds → probability, monotone, linear in between.
const TABLE: [(f64, f64); 9] = [
    (-8.0, 0.001),
    (-4.0, 0.02),
    (-2.0, 0.1),
    (0.0, 0.4),
    (2.0, 0.75),
    (4.0, 0.92),
    (6.0, 0.97),
    (10.0, 0.99),
    (20.0, 0.999),
];

/// The probability that a phone sent a burst whose evidence sums to `llr`.
pub fn burst_confidence(llr: f64) -> f64 {
    interpolate(&TABLE, PRIOR + llr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_evidence_never_means_less_confidence() {
        let mut before = 0.0;
        for i in -300..300 {
            let p = burst_confidence(f64::from(i) * 0.1);
            assert!(p >= before && (0.0..=1.0).contains(&p));
            before = p;
        }
    }
}
