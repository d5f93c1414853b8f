//! A sensor's counters, brought together so that they never go back.

use cellwarden_types::{SensorHealth, Standard};

/// Every standard that bursts are counted by, in the order of [`Counts::bursts`].
pub(crate) const STANDARDS: [Standard; 8] = [
    Standard::Gsm,
    Standard::Umts,
    Standard::Lte,
    Standard::Nr,
    Standard::Ltem,
    Standard::Nbiot,
    Standard::Unknown,
    Standard::Other,
];

/// Where a name stands in [`STANDARDS`]; one that this version does not know counts as `unknown`.
pub(crate) fn index_of(standard: &str) -> usize {
    let at = |name: &str| STANDARDS.iter().position(|s| s.name() == name);
    at(standard).or_else(|| at(Standard::Unknown.name())).unwrap_or(0)
}

/// All that is counted of a sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub expected: u64,
    pub processed: u64,
    /// Lost before the samples reached us, with those of [`Counts::disconnected`].
    pub overflow: u64,
    pub disconnected: u64,
    pub dropped: u64,
    pub overload: u64,
    pub retune: u64,
    pub deep_skipped: u64,
    pub places_skipped: u64,
    pub clipped: u64,
    pub unusable: u64,
    pub restarts: u64,
    pub bursts: [u64; STANDARDS.len()],
}

impl Counts {
    pub(crate) fn of(sensor: &SensorHealth) -> Self {
        let ledger = &sensor.ledger;
        let mut bursts = [0u64; STANDARDS.len()];
        for (standard, &n) in &sensor.bursts {
            let sum = &mut bursts[index_of(standard)];
            *sum = sum.saturating_add(n);
        }
        Self {
            expected: ledger.expected,
            processed: ledger.processed,
            overflow: ledger.overflow,
            disconnected: ledger.disconnected,
            dropped: ledger.dropped,
            overload: ledger.overload,
            retune: ledger.retune,
            deep_skipped: ledger.deep_skipped,
            places_skipped: ledger.places_skipped,
            clipped: sensor.clipped,
            unusable: sensor.unusable,
            restarts: sensor.restarts,
            bursts,
        }
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            expected: f(self.expected, other.expected),
            processed: f(self.processed, other.processed),
            overflow: f(self.overflow, other.overflow),
            disconnected: f(self.disconnected, other.disconnected),
            dropped: f(self.dropped, other.dropped),
            overload: f(self.overload, other.overload),
            retune: f(self.retune, other.retune),
            deep_skipped: f(self.deep_skipped, other.deep_skipped),
            places_skipped: f(self.places_skipped, other.places_skipped),
            clipped: f(self.clipped, other.clipped),
            unusable: f(self.unusable, other.unusable),
            restarts: f(self.restarts, other.restarts),
            bursts: std::array::from_fn(|i| f(self.bursts[i], other.bursts[i])),
        }
    }

    /// What was added from `earlier` to `self`. A counter that is lower than before began anew at zero. Others are
    /// believed to go on: a sensor's counters live in different parts, and taking one that went on for days as new
    /// would put days into a window, while the contrary misses what was below the old value once.
    pub(crate) fn since(self, earlier: Self) -> Self {
        self.zip(earlier, since)
    }

    pub(crate) fn plus(self, more: Self) -> Self {
        self.zip(more, u64::saturating_add)
    }

    /// Samples that were never seen.
    pub(crate) fn lost(&self) -> u64 {
        self.overflow.saturating_add(self.dropped)
    }
}

/// What was added to one counter.
pub(crate) fn since(now: u64, earlier: u64) -> u64 {
    if now >= earlier { now - earlier } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_began_anew_counts_from_zero() {
        let earlier = Counts { expected: 100, clipped: 7, ..Counts::default() };
        let now = Counts { expected: 30, clipped: 9, ..Counts::default() };
        let added = now.since(earlier);
        assert_eq!((added.expected, added.clipped), (30, 2));
    }

    #[test]
    fn a_standard_that_is_not_known_is_unknown() {
        assert_eq!(STANDARDS[index_of("gsm")], Standard::Gsm);
        assert_eq!(STANDARDS[index_of("sixth generation")], Standard::Unknown);
    }
}
