//! When a receiver that listens at several centres changes: a count of samples, no clock.

use crate::config::HopConfig;

/// What becomes of samples that were read, in their order: `thrown` of them, then `kept`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// They came while the receiver was on its way to its centre.
    pub(crate) thrown: u64,
    /// They are of its centre.
    pub(crate) kept: u64,
    /// The number of the centre to go to now, counted from 0: the dwell is over.
    pub(crate) retune: Option<usize>,
}

/// Where a receiver is in its round of centres. It begins settled, at the first: a receiver that opens settles as it always did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    centers: usize,
    dwell: u64,
    settle: u64,
    /// The centre that it is tuned to.
    step: usize,
    /// Samples until it has settled, and that it is still to listen to from there on.
    to_settle: u64,
    to_listen: u64,
}

impl Hop {
    /// A round of `centers` centres at `rate_hz` samples a second.
    pub(crate) fn new(config: &HopConfig, centers: usize, rate_hz: f64) -> Self {
        let samples = |seconds: f64| (seconds * rate_hz).round() as u64;
        let dwell = samples(config.dwell_s).max(1);
        Self { centers, dwell, settle: samples(config.settle_s()), step: 0, to_settle: 0, to_listen: dwell }
    }

    /// The most samples that the next read may give: what lies behind the end of a dwell is not of its centre.
    pub(crate) fn most(&self) -> u64 {
        self.to_settle + self.to_listen
    }

    /// Takes a read of at most [`most`](Self::most) samples, before which `missing` were lost. What was lost on the way to a
    /// centre need not be thrown away; a dwell is as long as was listened. Where a loss brings the end of a dwell into the
    /// middle of a read, the rest is still of its centre, and kept.
    pub(crate) fn take(&mut self, missing: u64, samples: u64) -> Split {
        self.to_settle = self.to_settle.saturating_sub(missing);
        let thrown = samples.min(self.to_settle);
        self.to_settle -= thrown;
        let kept = samples - thrown;
        self.to_listen = self.to_listen.saturating_sub(kept);
        let retune = (self.to_listen == 0).then(|| {
            self.step = (self.step + 1) % self.centers.max(1);
            (self.to_settle, self.to_listen) = (self.settle, self.dwell);
            self.step
        });
        Split { thrown, kept, retune }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hop(dwell: u64, settle: u64, centers: usize) -> Hop {
        let config = HopConfig { dwell_s: dwell as f64 / 1e6, settle_ms: settle as f64 / 1e3 };
        Hop::new(&config, centers, 1e6)
    }

    #[test]
    fn samples_become_the_dwell_and_the_time_to_settle() {
        let mut hop = hop(20_000, 7, 3);
        assert_eq!((hop.most(), hop.dwell, hop.settle), (20_000, 20_000, 7));
        assert_eq!(hop.take(0, 19_999), Split { kept: 19_999, ..Split::default() });
        assert_eq!(hop.take(0, 1), Split { kept: 1, retune: Some(1), ..Split::default() });
        assert_eq!(hop.most(), 20_007);
        assert_eq!(hop.take(0, 10), Split { thrown: 7, kept: 3, retune: None });
    }

    proptest! {
        /// Against every sample's own fate: each place on the device's count is of a dwell, thrown away or lost.
        #[test]
        fn every_sample_is_kept_thrown_away_or_lost(
            dwell in 1u64..300,
            settle in 0u64..120,
            centers in 2usize..5,
            reads in prop::collection::vec((prop_oneof![4 => Just(0u64), 1 => 1u64..200], 1u64..90), 1..300),
        ) {
            let mut hop = hop(dwell, settle, centers);
            let (mut settling, mut listened, mut step, mut lost) = (0, 0, 0, 0);
            for (missing, samples) in reads {
                let samples = samples.min(hop.most());
                // One at a time.
                let mut want = Split::default();
                for _ in 0..missing {
                    settling = u64::max(settling, 1) - 1;
                }
                for _ in 0..samples {
                    if settling > 0 {
                        settling -= 1;
                        want.thrown += 1;
                    } else {
                        want.kept += 1;
                        listened += 1;
                    }
                }
                lost += missing;
                if listened >= dwell {
                    prop_assert!(listened == dwell || (lost > 0 && listened <= dwell + lost), "{listened}");
                    step = (step + 1) % centers;
                    (settling, listened, lost) = (settle, 0, 0);
                    want.retune = Some(step);
                }
                prop_assert_eq!(hop.take(missing, samples), want);
            }
        }
    }
}
