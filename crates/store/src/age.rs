//! The clock by which records grow old: it follows the wall clock, but never at its word.

use cellwarden_types::UtcNanos;
use std::time::Duration;

/// Where the wall clock is ahead, age makes up for it at most so many times as fast as time passes.
const CATCH_UP: i64 = 10;

/// The store's own clock, in nanoseconds of the store's life.
///
/// It never goes back, and while a process runs it goes at least as fast as time. Where the wall clock has gone further
/// (the box was off for a month), it catches up at ten times that speed. A jump of the wall clock by more than the age
/// limit, forward or back, is not believed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AgeClock {
    /// What it shows.
    pub age_ns: i64,
    /// Wall clock less age, where both agree.
    pub skew_ns: i64,
}

impl AgeClock {
    /// A clock that begins now.
    pub fn new(wall: UtcNanos) -> Self {
        Self { age_ns: 0, skew_ns: wall.0 }
    }

    /// `elapsed` has passed, and the wall clock shows `wall`. Returns a jump of the wall clock that was not believed,
    /// in seconds. `most_ns` is the largest jump that is.
    pub fn advance(&mut self, wall: UtcNanos, elapsed: Duration, most_ns: i64) -> Option<f64> {
        let before_ns = self.age_ns;
        self.pass(elapsed);
        let elapsed_ns = self.age_ns - before_ns;
        let ahead_ns = wall.0.saturating_sub(self.skew_ns).saturating_sub(self.age_ns);
        if ahead_ns > most_ns || ahead_ns < -most_ns {
            self.skew_ns = wall.0.saturating_sub(self.age_ns);
            return Some(ahead_ns as f64 * 1e-9);
        }
        let more_ns = ahead_ns.clamp(0, elapsed_ns.saturating_mul(CATCH_UP - 1));
        self.age_ns = self.age_ns.saturating_add(more_ns);
        None
    }

    /// `elapsed` has passed; what the wall clock shows is not known.
    pub fn pass(&mut self, elapsed: Duration) {
        self.age_ns = self.age_ns.saturating_add(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_S: u64 = 86_400;
    const DAY_NS: i64 = 86_400_000_000_000;
    const MOST_NS: i64 = 90 * DAY_NS;
    const BEGIN: UtcNanos = UtcNanos(1_772_000_000_000_000_000);

    #[test]
    fn it_follows_a_wall_clock_that_is_right() {
        let mut clock = AgeClock::new(BEGIN);
        for day in 1..=100 {
            assert_eq!(clock.advance(UtcNanos(BEGIN.0 + day * DAY_NS), Duration::from_secs(DAY_S), MOST_NS), None);
        }
        assert_eq!(clock.age_ns, 100 * DAY_NS);
    }

    #[test]
    fn a_leap_to_2099_and_back_ages_nothing() {
        let mut clock = AgeClock::new(BEGIN);
        let leap = UtcNanos(BEGIN.0 + 73 * 365 * DAY_NS);
        assert!(clock.advance(leap, Duration::from_secs(60), MOST_NS).is_some());
        assert_eq!(clock.advance(leap.plus_seconds(60.0), Duration::from_secs(60), MOST_NS), None, "said once");
        assert!(clock.advance(BEGIN.plus_seconds(180.0), Duration::from_secs(60), MOST_NS).is_some());
        assert_eq!(clock.age_ns, 180_000_000_000);
    }

    #[test]
    fn a_month_without_power_is_made_up_for_slowly() {
        let mut clock = AgeClock::new(BEGIN);
        let mut days = 0;
        while clock.age_ns < (30 + days) * DAY_NS {
            days += 1;
            clock.advance(UtcNanos(BEGIN.0 + (30 + days) * DAY_NS), Duration::from_secs(DAY_S), MOST_NS);
            assert!(clock.age_ns <= days * CATCH_UP * DAY_NS);
        }
        assert_eq!(days, 4);
    }

    proptest! {
        #[test]
        fn it_never_goes_back_nor_faster_than_ten_times(steps in prop::collection::vec((any::<i64>(), 0u64..1_000_000), 1..50)) {
            let mut clock = AgeClock::new(BEGIN);
            for (wall, seconds) in steps {
                let before = clock.age_ns;
                clock.advance(UtcNanos(wall), Duration::from_secs(seconds), MOST_NS);
                let elapsed_ns = seconds as i64 * 1_000_000_000;
                prop_assert!(clock.age_ns >= before + elapsed_ns);
                prop_assert!(clock.age_ns <= before + CATCH_UP * elapsed_ns);
            }
        }
    }
}
