//! A stream's own count of samples against the device's time and the host's clock.

use cellwarden_types::UtcNanos;

/// Device times that differ by no more from the count of samples are the driver's rounding, to microseconds in some. What a
/// driver loses are packets, hundreds of samples at least.
const JITTER_S: f64 = 2e-6;
const JITTER_SAMPLES: f64 = 2.0;
/// Samples may wait so long in the driver's buffers: a gap is no longer than the host waited and this.
const BUFFERED_S: f64 = 0.5;

/// What is known of a read beside its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadInfo {
    /// The device's time of the first sample, where it gives one.
    pub device_ns: Option<i64>,
    /// The host's monotonic clock after the read.
    pub host_ns: i64,
    /// The driver said that it lost samples before.
    pub lost: bool,
}

/// Where a read lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Index of its first sample on the stream's clock: samples read and samples lost before it.
    pub place: u64,
    /// Of those lost, the ones between the read before and this one.
    pub missing: u64,
    /// The device's clock was set: it tells nothing of what is missing.
    pub clock_jumped: bool,
}

/// Finds what a device lost, to the sample where it gives time.
#[derive(Clone, Debug)]
pub struct GapFinder {
    rate_hz: f64,
    place: u64,
    /// A device's time and the place of the sample that had it.
    anchor: Option<(i64, u64)>,
    last_host_ns: Option<i64>,
}

impl GapFinder {
    /// For a stream that begins, at `rate_hz`.
    pub fn new(rate_hz: f64) -> Self {
        Self { rate_hz, place: 0, anchor: None, last_host_ns: None }
    }

    /// Places the next read of `samples` samples.
    pub fn place(&mut self, samples: usize, info: ReadInfo) -> Placed {
        let waited_ns = self.last_host_ns.map_or(0, |last| info.host_ns.saturating_sub(last)).max(0);
        self.last_host_ns = Some(info.host_ns);
        let mut missing = 0;
        let mut clock_jumped = false;
        if let Some(now_ns) = info.device_ns {
            let ahead = self.anchor.map_or(0, |(then_ns, place)| {
                let since = (now_ns.saturating_sub(then_ns)) as f64 * 1e-9 * self.rate_hz;
                (since.round() as i64).saturating_sub((self.place - place) as i64)
            });
            let most = (waited_ns as f64 * 1e-9 + BUFFERED_S) * self.rate_hz;
            let jitter = (JITTER_S * self.rate_hz).max(JITTER_SAMPLES);
            if (ahead as f64) < -jitter || ahead as f64 > most {
                clock_jumped = true;
            } else if ahead as f64 > jitter || (info.lost && ahead > 0) {
                missing = ahead as u64;
            }
            // From near by, so that a rate that is not quite what the device says adds up to nothing.
            if self.anchor.is_none() || clock_jumped || missing > 0 {
                self.anchor = Some((now_ns, self.place + missing));
            }
        }
        // Something is missing, and how much is not known: one sample marks it.
        if info.lost && missing == 0 {
            missing = 1;
            self.anchor = info.device_ns.map(|ns| (ns, self.place + 1));
        }
        let place = self.place + missing;
        self.place = place + samples as u64;
        Placed { place, missing, clock_jumped }
    }
}

/// Length of a window in which the quickest read is sought, in seconds of samples.
const WINDOW_S: f64 = 1.0;
/// The stream's time follows the host's clock by so much of what it is off, and so fast at the most: slots and frames are
/// told by it, so that it must not leap.
const FOLLOWS: f64 = 0.3;
const SLEW_MOST_S: f64 = 25e-6;
/// More than that, and somebody has set the host's clock: that is no drift.
const CLOCK_SET_S: f64 = 0.05;

/// UTC of a stream's samples by the host's clock: of many reads, the quickest tell.
///
/// A read comes late by what the driver buffers and the scheduler takes, never early.
#[derive(Clone, Debug)]
pub struct HostClock {
    rate_hz: f64,
    /// UTC of place 0 in nanoseconds, as it is told.
    zero_ns: Option<i64>,
    /// The earliest that a read of the window told, the latest, and where the window began.
    earliest_ns: i64,
    latest_ns: i64,
    window_from: u64,
    /// The first whole window's: (place, ns).
    first: Option<(u64, i64)>,
    drift_ppm: Option<f64>,
    uncertainty_s: Option<f64>,
}

impl HostClock {
    /// For a stream at `rate_hz`.
    pub fn new(rate_hz: f64) -> Self {
        Self {
            rate_hz,
            zero_ns: None,
            earliest_ns: i64::MAX,
            latest_ns: i64::MIN,
            window_from: 0,
            first: None,
            drift_ppm: None,
            uncertainty_s: None,
        }
    }

    /// Takes a read that ended at `end_place` and was there at `host`; gives UTC of `place`.
    pub fn time(&mut self, place: u64, end_place: u64, host: UtcNanos) -> UtcNanos {
        let told_ns = host.0.saturating_sub(self.length_ns(end_place));
        if self.zero_ns.is_some_and(|zero| (told_ns.saturating_sub(zero)) as f64 * 1e-9 < -CLOCK_SET_S) {
            // Nothing comes so early: the clock was set back.
            self.restart(end_place);
        }
        self.earliest_ns = self.earliest_ns.min(told_ns);
        self.latest_ns = self.latest_ns.max(told_ns);
        let mut zero_ns = self.zero_ns.unwrap_or(told_ns);
        if (end_place - self.window_from) as f64 >= WINDOW_S * self.rate_hz {
            let off_s = (self.earliest_ns - zero_ns) as f64 * 1e-9;
            if off_s > CLOCK_SET_S {
                (self.first, self.drift_ppm) = (None, None);
            }
            if let Some((place, ns)) = self.first {
                let step_s = (FOLLOWS * off_s).clamp(-SLEW_MOST_S, SLEW_MOST_S);
                zero_ns += (step_s * 1e9).round() as i64;
                let seconds = (end_place - place) as f64 / self.rate_hz;
                self.drift_ppm = Some(-((self.earliest_ns - ns) as f64 * 1e-9 / seconds) * 1e6);
            } else {
                // Of the first reads' time nothing was known: this one leap makes it right.
                zero_ns = self.earliest_ns;
                self.first = Some((end_place, self.earliest_ns));
            }
            self.uncertainty_s = Some((self.latest_ns - self.earliest_ns) as f64 * 1e-9);
            (self.earliest_ns, self.latest_ns, self.window_from) = (i64::MAX, i64::MIN, end_place);
        }
        self.zero_ns = Some(zero_ns);
        UtcNanos(zero_ns.saturating_add(self.length_ns(place)))
    }

    /// How much faster the device's samples come than its rate says by the host's clock, in parts per million; known after
    /// two windows.
    pub fn drift_ppm(&self) -> Option<f64> {
        self.drift_ppm
    }

    /// Spread of the last window's reads: times are right to this, and late by what even the quickest read waited. None
    /// before the first window is over.
    pub fn uncertainty_s(&self) -> Option<f64> {
        self.uncertainty_s
    }

    fn restart(&mut self, place: u64) {
        *self = Self { window_from: place, ..Self::new(self.rate_hz) };
    }

    fn length_ns(&self, samples: u64) -> i64 {
        (samples as f64 / self.rate_hz * 1e9).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: f64 = 1e7 / 3.0;

    fn device_ns(place: u64) -> i64 {
        1_000_000_007 + (place as f64 / RATE * 1e9).round() as i64
    }

    proptest! {
        #[test]
        fn losses_are_found_to_the_sample_where_the_device_gives_time(
            reads in prop::collection::vec((1usize..70_000, prop_oneof![4 => Just(0u64), 1 => 8u64..1_000_000], any::<bool>()), 1..80),
        ) {
            let mut finder = GapFinder::new(RATE);
            let (mut place, mut host_ns) = (0, 0);
            for (i, (samples, lost, said)) in reads.into_iter().enumerate() {
                // Nothing can be missing before the first.
                let lost = if i == 0 { 0 } else { lost };
                place += lost;
                host_ns += ((lost as f64 + samples as f64) / RATE * 1e9) as i64;
                let info = ReadInfo { device_ns: Some(device_ns(place)), host_ns, lost: said && lost > 0 };
                let placed = finder.place(samples, info);
                prop_assert_eq!(placed, Placed { place, missing: lost, clock_jumped: false });
                place += samples as u64;
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_is_no_gap() {
        for jump_ns in [3_600_000_000_000, -3_600_000_000_000, -50_000_000, 2_000_000_000] {
            let mut finder = GapFinder::new(RATE);
            let (mut place, mut host_ns) = (0, 0);
            for i in 0..50 {
                let set = if i >= 20 { jump_ns } else { 0 };
                host_ns += (10_000.0 / RATE * 1e9) as i64;
                let info = ReadInfo { device_ns: Some(device_ns(place) + set), host_ns, lost: false };
                let placed = finder.place(10_000, info);
                assert_eq!(placed, Placed { place, missing: 0, clock_jumped: i == 20 }, "{jump_ns}");
                place += 10_000;
            }
        }
    }

    #[test]
    fn a_loss_without_a_time_is_one_sample_and_a_driver_that_rounds_loses_nothing() {
        let mut finder = GapFinder::new(RATE);
        assert_eq!(finder.place(100, ReadInfo::default()).missing, 0);
        assert_eq!(finder.place(100, ReadInfo { lost: true, ..ReadInfo::default() }).missing, 1);
        let mut finder = GapFinder::new(RATE);
        for i in 0..1000u64 {
            // Microseconds: 3.3 samples.
            let ns = device_ns(i * 4096) / 1000 * 1000;
            let info = ReadInfo { device_ns: Some(ns), host_ns: i as i64 * 1_000_000, lost: false };
            assert_eq!(finder.place(4096, info).missing, 0, "{i}");
        }
    }

    /// Reads of 10 ms that come 2 to 7 ms late, of a device whose clock is `ppm` fast.
    fn host_clock(ppm: f64, seconds: u64, set: impl Fn(u64) -> i64) -> (HostClock, f64) {
        let mut clock = HostClock::new(RATE);
        let samples = (RATE / 100.0).round() as u64;
        let (mut worst, mut state) = (0.0f64, 1u64);
        for i in 1..seconds * 100 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let late_ns = 2_000_000 + (state >> 33) as i64 % 5_000_000;
            let true_ns =
                |place: u64| 1_700_000_000_000_000_000 + (place as f64 / RATE / (1.0 + ppm * 1e-6) * 1e9) as i64;
            let (from, to) = ((i - 1) * samples, i * samples);
            let told = clock.time(from, to, UtcNanos(true_ns(to) + late_ns + set(i)));
            if i > 200 {
                worst = worst.max(((told.0 - true_ns(from) - set(i)) as f64 * 1e-9 - 2e-3).abs());
            }
        }
        (clock, worst)
    }

    #[test]
    fn the_host_clock_tells_drift_and_keeps_times_right() {
        for ppm in [0.0, 20.0, -20.0, 2.0] {
            let (clock, worst) = host_clock(ppm, 300, |_| 0);
            let drift = clock.drift_ppm().expect("known after 300 s");
            assert!((drift - ppm).abs() < 0.5, "{ppm}: {drift}");
            assert!(worst < 0.3e-3, "{ppm}: {worst}");
            let uncertainty_s = clock.uncertainty_s().expect("known after 300 s");
            assert!((4e-3..6e-3).contains(&uncertainty_s), "{uncertainty_s}");
        }
    }

    #[test]
    fn a_host_clock_that_is_set_sets_the_streams_time_and_is_no_drift() {
        for step_ns in [-3_600_000_000_000, 3_600_000_000_000] {
            let (mut clock, _) = host_clock(0.0, 100, |i| if i > 5_000 { step_ns } else { 0 });
            let samples = (RATE / 100.0).round() as u64;
            let at = 9_999 * samples;
            let now = UtcNanos(1_700_000_000_000_000_000 + step_ns + (at as f64 / RATE * 1e9) as i64 + 2_000_000);
            let told = clock.time(at, at, now);
            assert!((told.0 - now.0).abs() < 3_000_000, "{step_ns}: {}", told.0 - now.0);
            assert!(clock.drift_ppm().is_none_or(|d| d.abs() < 5.0), "{:?}", clock.drift_ppm());
        }
    }
}
