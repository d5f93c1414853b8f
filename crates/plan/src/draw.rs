//! Numbers that are spread evenly instead of thrown: the same ones every time.

/// The dimensions of one trial of a numerical mean, each evenly spread from 0 to 1 over the trials.
///
/// Richtmyer's sequence: trial i has in dimension d the fractional part of i times the square root of the d-th prime.
/// The error of a mean falls nearly with the number of trials, not with its root as with random numbers (Niederreiter,
/// Random Number Generation and Quasi-Monte Carlo Methods, SIAM 1992, chapter 3).
#[derive(Clone, Debug)]
pub struct Draw {
    trial: f64,
    dimension: usize,
}

/// More than any trial draws; beyond they come again.
#[rustfmt::skip]
const PRIMES: [u32; 40] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
    127, 131, 137, 139, 149, 151, 157, 163, 167, 173,
];

impl Draw {
    /// The numbers of trial `trial`.
    pub fn of(trial: u32) -> Self {
        Self { trial: f64::from(trial) + 0.5, dimension: 0 }
    }

    /// The next dimension: from 0, below 1.
    pub fn fraction(&mut self) -> f64 {
        let root = f64::from(PRIMES[self.dimension % PRIMES.len()]).sqrt();
        self.dimension += 1;
        (self.trial * root).fract()
    }

    /// The next dimension as a whole number below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        ((self.fraction() * f64::from(n)) as u32).min(n.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dimension_is_even() {
        for skip in 0..PRIMES.len() {
            let mut counts = [0; 10];
            for trial in 0..1000 {
                let mut draw = Draw::of(trial);
                (0..skip).for_each(|_| assert!(draw.fraction() < 1.0));
                counts[draw.below(10) as usize] += 1;
            }
            assert!(counts.iter().all(|n| (90..=110).contains(n)), "dimension {skip}: {counts:?}");
        }
    }
}
