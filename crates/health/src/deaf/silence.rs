//! Whether so few bursts can be chance.

/// Bursts of one activity, where the commissioning does not say how unevenly they come: those of a call of three minutes at
/// the standard's pace. GSM sends one burst in a TDMA frame of 4.615 ms, 39,000 in three minutes; UMTS may start
/// one in each frame of 10 ms, 18,000; LTE and NR one in each subframe of 1 ms, 180,000.
pub(crate) fn cautious_dispersion(standard: &str) -> f64 {
    match standard {
        "gsm" => 39_000.0,
        "umts" => 18_000.0,
        _ => 180_000.0,
    }
}

/// The probability of at most `heard` bursts where `expected` are the mean, and these come in activities of
/// `dispersion` bursts (the variance over the mean of their number): a Poisson distribution of the activities. What was
/// heard is rounded up to whole activities, which never makes silence look less like chance than it is.
pub(crate) fn chance(heard: u64, expected: f64, dispersion: f64) -> f64 {
    let dispersion = dispersion.max(1.0);
    poisson_at_most((heard as f64 / dispersion).ceil() as u64, expected / dispersion)
}

/// P(N <= n) of a Poisson distribution below its mean; 1 at its mean and above, where nothing is to be said.
fn poisson_at_most(n: u64, mean: f64) -> f64 {
    let k = n as f64;
    if !mean.is_finite() || k >= mean {
        return 1.0;
    }
    let log_pmf = k * mean.ln() - mean - ln_factorial(n);
    // Downwards each term is k / mean of the one above it: a sum that converges like a geometric one.
    let (mut term, mut sum) = (1.0, 1.0);
    for i in 0..n.min(100_000) {
        term *= (k - i as f64) / mean;
        sum += term;
        if term < sum * 1e-12 {
            break;
        }
    }
    (log_pmf + f64::ln(sum)).exp().min(1.0)
}

/// ln(n!), by Stirling's series above 20, where it is good to 1e-9.
fn ln_factorial(n: u64) -> f64 {
    if n <= 20 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64 + 1.0;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_that_of_the_tables() {
        // Closed forms: e^-m, e^-m (1 + m), e^-m (1 + m + m²/2).
        assert!((poisson_at_most(0, 5.0) - (-5f64).exp()).abs() < 1e-12);
        assert!((poisson_at_most(1, 5.0) - 6.0 * (-5f64).exp()).abs() < 1e-12);
        assert!((poisson_at_most(2, 5.0) - 18.5 * (-5f64).exp()).abs() < 1e-12);
        // Against the sum from below, term by term.
        let mean = 100.0f64;
        let mut term = (-mean).exp();
        let mut sum = term;
        for i in 1..=70 {
            term *= mean / f64::from(i);
            sum += term;
        }
        assert!((poisson_at_most(70, mean) / sum - 1.0).abs() < 1e-9);
        assert_eq!(poisson_at_most(0, 0.0), 1.0);
        assert_eq!(poisson_at_most(9, f64::NAN), 1.0);
        assert!(poisson_at_most(u64::MAX - 1, 1e300) < 1e-12);
    }

    #[test]
    fn bursts_of_few_calls_are_no_proof() {
        // 40,000 bursts of GSM an hour are a call or two: an hour without one is nothing.
        assert!(chance(0, 40_000.0, cautious_dispersion("gsm")) > 0.2);
        // As single bursts, 20 that stay away are not chance.
        assert!(chance(0, 20.0, 1.0) < 1e-8);
    }
}
