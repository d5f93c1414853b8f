//! Where a receiver listens, and when.

/// A stretch of spectrum, in hertz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Lower edge.
    pub lower_hz: f64,
    /// Upper edge.
    pub upper_hz: f64,
}

impl Range {
    /// From `lower_hz` to `upper_hz`.
    pub fn new(lower_hz: f64, upper_hz: f64) -> Self {
        Self { lower_hz, upper_hz }
    }

    /// As wide as `width_hz` about `center_hz`.
    pub fn about(center_hz: f64, width_hz: f64) -> Self {
        Self::new(center_hz - width_hz / 2.0, center_hz + width_hz / 2.0)
    }

    /// Its middle.
    pub fn center_hz(self) -> f64 {
        (self.lower_hz + self.upper_hz) / 2.0
    }

    /// Its width, 0 if it is empty.
    pub fn width_hz(self) -> f64 {
        (self.upper_hz - self.lower_hz).max(0.0)
    }

    /// What both have.
    pub fn and(self, other: Self) -> Self {
        Self::new(self.lower_hz.max(other.lower_hz), self.upper_hz.min(other.upper_hz))
    }

    /// Whether the other lies wholly in it.
    pub fn holds(self, other: Self) -> bool {
        self.lower_hz <= other.lower_hz && other.upper_hz <= self.upper_hz
    }
}

/// How one receiver spends its time.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Always at one centre.
    Watch(Range),
    /// From one to the next, each for the same dwell, and deaf for a while after each change.
    Hop {
        /// What it hears at each, in order.
        windows: Vec<Range>,
        /// How long it listens at each, in seconds.
        dwell_s: f64,
        /// How long it is deaf before each, in seconds.
        retune_s: f64,
    },
}

impl Schedule {
    /// Listening at each window in turn; at one alone there is nothing to change. None without a window.
    pub fn over(windows: &[Range], dwell_s: f64, retune_s: f64) -> Option<Self> {
        match windows {
            [] => None,
            [one] => Some(Self::Watch(*one)),
            many => Some(Self::Hop { windows: many.to_vec(), dwell_s, retune_s }),
        }
    }

    /// What it hears, each once.
    pub fn windows(&self) -> &[Range] {
        match self {
            Self::Watch(window) => std::slice::from_ref(window),
            Self::Hop { windows, .. } => windows,
        }
    }

    /// Share of the time that it listens at each of its windows.
    pub fn time_share(&self) -> f64 {
        match self {
            Self::Watch(_) => 1.0,
            Self::Hop { windows, dwell_s, retune_s } => dwell_s / (windows.len() as f64 * (dwell_s + retune_s)),
        }
    }

    /// From one visit of a window to the next, in seconds; 0 where it never leaves.
    pub fn cycle_s(&self) -> f64 {
        match self {
            Self::Watch(_) => 0.0,
            Self::Hop { windows, dwell_s, retune_s } => windows.len() as f64 * (dwell_s + retune_s),
        }
    }

    /// Whether it hears all of what occupies `range` from `start_s` for `duration_s`. The first cycle begins at 0, its
    /// first change before its first dwell.
    pub fn hears(&self, range: Range, start_s: f64, duration_s: f64) -> bool {
        match self {
            Self::Watch(window) => window.holds(range),
            Self::Hop { windows, dwell_s, retune_s } => {
                let visit_s = dwell_s + retune_s;
                let into_cycle_s = start_s.rem_euclid(self.cycle_s());
                let visit = ((into_cycle_s / visit_s) as usize).min(windows.len() - 1);
                let into_visit_s = into_cycle_s - visit as f64 * visit_s;
                windows[visit].holds(range) && into_visit_s >= *retune_s && into_visit_s + duration_s <= visit_s
            }
        }
    }
}

/// Windows overlap by a GSM channel, so that none is cut.
pub const OVERLAP_HZ: f64 = 200e3;
/// No receiver goes round so many centres in a useful time.
const WINDOWS_MOST: usize = 4096;

/// The least windows of `width_hz` that cover the ranges, ascending, each centred on what it is to cover. Centres stay
/// within `tuning`; what is out of reach is left out.
pub fn windows(ranges: &[Range], width_hz: f64, tuning: Range) -> Vec<Range> {
    let reach = Range::new(tuning.lower_hz - width_hz / 2.0, tuning.upper_hz + width_hz / 2.0);
    let mut wanted: Vec<Range> = ranges.iter().map(|r| r.and(reach)).filter(|r| r.width_hz() > 0.0).collect();
    wanted.sort_by(|a, b| a.lower_hz.total_cmp(&b.lower_hz));
    let mut found = Vec::new();
    // All below is covered.
    let mut from_hz = f64::NEG_INFINITY;
    let step_hz = (width_hz - OVERLAP_HZ).max(width_hz / 2.0);
    while let Some(first) = wanted.iter().find(|r| r.upper_hz > from_hz) {
        let lower_hz = first.lower_hz.max(from_hz);
        let limit = Range::new(lower_hz, lower_hz + width_hz);
        // The highest that is wanted within reach of one window.
        let upper_hz = wanted.iter().map(|r| r.and(limit)).filter(|r| r.width_hz() > 0.0);
        let upper_hz = upper_hz.fold(lower_hz, |most, r| most.max(r.upper_hz));
        let cut = wanted.iter().any(|r| r.lower_hz < limit.upper_hz && limit.upper_hz < r.upper_hz);
        let center_hz = Range::new(lower_hz, upper_hz).center_hz().clamp(tuning.lower_hz, tuning.upper_hz);
        found.push(Range::about(center_hz, width_hz));
        from_hz = if cut { lower_hz + step_hz } else { upper_hz };
        if wanted.iter().all(|r| r.upper_hz <= limit.upper_hz) || found.len() >= WINDOWS_MOST {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRANCE: [(f64, f64); 6] =
        [(703e6, 733e6), (832e6, 862e6), (880.1e6, 914.9e6), (1710e6, 1785e6), (1920.5e6, 1979.7e6), (2500e6, 2570e6)];

    fn france() -> Vec<Range> {
        FRANCE.iter().map(|&(l, u)| Range::new(l, u)).collect()
    }

    /// The domain's facts: seven or eight channels of 56 MHz watch France's paired bands (those at 800 and 900 MHz
    /// together are 83 MHz, so each has its own).
    #[test]
    fn france_takes_eight_or_nine_windows_of_56_mhz() {
        let found = windows(&france(), 56e6, Range::new(70e6, 6e9));
        assert_eq!(found.len(), 9, "{found:?}");
        assert_eq!(windows(&france()[1..2], 56e6, Range::new(70e6, 6e9)), [Range::about(847e6, 56e6)]);
    }

    #[test]
    fn what_is_out_of_reach_is_left_out() {
        let found = windows(&france(), 2e6, Range::new(24e6, 1766e6));
        assert!(found.iter().all(|w| w.center_hz() <= 1766e6));
        assert!(found.iter().any(|w| w.upper_hz > 1766e6));
        assert!(windows(&france()[5..], 2e6, Range::new(24e6, 1766e6)).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn every_channel_is_whole_in_a_window(width in 0.5e6f64..80e6, at in 0.0f64..1.0, which in 0usize..6) {
            let found = windows(&france(), width, Range::new(70e6, 6e9));
            let (lower, upper) = FRANCE[which];
            let channel = Range::about(lower + 100e3 + at * (upper - lower - 200e3), 200e3);
            proptest::prop_assert!(found.iter().any(|w| w.holds(channel)), "{channel:?} {found:?}");
        }

        #[test]
        fn a_schedule_hears_as_its_clock_says(dwell in 0.01f64..1.0, retune in 0.0f64..0.1, start in 0.0f64..50.0) {
            let windows = [Range::new(0.0, 1.0), Range::new(1.0, 2.0), Range::new(2.0, 3.0)];
            let schedule = Schedule::over(&windows, dwell, retune).expect("three windows");
            // The same by walking: change, listen, change, listen.
            let (mut clock, mut heard) = (0.0, [false; 3]);
            'walk: loop {
                for (i, heard) in heard.iter_mut().enumerate() {
                    let (from, to) = (clock + retune, clock + retune + dwell);
                    if start >= from && start + 1e-3 <= to {
                        *heard = true;
                    }
                    clock = to;
                    if clock > 60.0 && i == 2 {
                        break 'walk;
                    }
                }
            }
            for (window, heard) in windows.iter().zip(heard) {
                proptest::prop_assert_eq!(schedule.hears(*window, start, 1e-3), heard);
            }
        }
    }
}
