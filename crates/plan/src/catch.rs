//! The probability to catch an activity.

use crate::activity::{Activity, Burst, Carrier, send};
use crate::demand::Band;
use crate::draw::Draw;
use crate::schedule::{Range, Schedule};
use cellwarden_locate::confidence::{BEST, Grounds, judge};
use cellwarden_locate::track::{GSM_GAP_S, LTE_GAP_S};
use cellwarden_types::Standard;
use std::ops::ControlFlow::{Break, Continue};

/// What must be heard of an activity so that it becomes a hit which is more likely a phone than not.
///
/// The bursts are counted as `cellwarden-locate` counts them, with its own judgement: bursts heard whole, at a good
/// level, at one place, none of them further from the one before than it joins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Bursts on a dedicated channel that are needed with no, one, two access bursts; none where no number is enough.
    least: [Option<u32>; 3],
    /// What is further apart is not joined, in seconds.
    gap_s: f64,
}

/// Proof of a burst at a good level.
const PROOF: f64 = 0.9;
/// More likely a phone than not: above what a single access burst is worth.
const SURE: f64 = 0.5;
const DEDICATED_MOST: u32 = 100;

impl Rule {
    /// The rule for a standard.
    pub fn of(standard: Standard) -> Self {
        let enough = |access: u32, dedicated: u32| {
            let proven = access + dedicated;
            let mut best = [0.0; BEST];
            best.iter_mut().take(proven as usize).for_each(|p| *p = PROOF);
            let grounds = Grounds { best, proven, access, dedicated, sensors: 1, ..Grounds::default() };
            judge(standard, &grounds).0 > SURE
        };
        let least = [0, 1, 2].map(|access| (0..DEDICATED_MOST).find(|&dedicated| enough(access, dedicated)));
        Self { least, gap_s: if standard == Standard::Gsm { GSM_GAP_S } else { LTE_GAP_S } }
    }

    /// Whether so many are enough.
    pub fn is_enough(&self, access: u32, dedicated: u32) -> bool {
        self.least[access.min(2) as usize].is_some_and(|least| dedicated >= least)
    }
}

/// Counts what was heard of one activity.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    rule: Rule,
    access: u32,
    dedicated: u32,
    last_s: f64,
}

impl Heard {
    /// Nothing yet.
    pub fn nothing(rule: Rule) -> Self {
        Self { rule, access: 0, dedicated: 0, last_s: f64::NEG_INFINITY }
    }

    /// Takes a burst that was heard, later than those before; whether they are enough now.
    pub fn take(&mut self, start_s: f64, access: bool) -> bool {
        if start_s - self.last_s > self.rule.gap_s {
            (self.access, self.dedicated) = (0, 0);
        }
        self.last_s = start_s;
        if access {
            self.access += 1
        } else {
            self.dedicated += 1
        }
        self.rule.is_enough(self.access, self.dedicated)
    }
}

/// The probability that one activity somewhere in the band is caught by receivers at one place that begin their cycles
/// at random: a mean over `trials` (phase of each receiver, carrier, the course's own chances), error about
/// 1/`trials`^0.8.
pub fn probability(activity: Activity, band: &Band, receivers: &[Schedule], trials: u32) -> f64 {
    let rule = Rule::of(activity.standard());
    // Who never comes near the band hears nothing of it.
    let near = |r: &&Schedule| r.windows().iter().any(|w| w.and(band.range).width_hz() > 0.0);
    let receivers: Vec<&Schedule> = receivers.iter().filter(near).collect();
    if receivers.is_empty() || trials == 0 {
        return 0.0;
    }
    let caught = (0..trials).filter(|&trial| {
        let mut draw = Draw::of(trial);
        let carrier = carrier(activity, band, draw.fraction());
        let phases: Vec<f64> = receivers.iter().map(|r| phase(r, &mut draw)).collect();
        let mut heard = Heard::nothing(rule);
        let end = send(activity, carrier, &mut draw, &mut |burst: Burst| {
            let range = Range::new(burst.lower_hz, burst.upper_hz);
            let hears = |(r, phase_s): (&&Schedule, &f64)| r.hears(range, burst.start_s + phase_s, burst.duration_s);
            let any = receivers.iter().zip(&phases).any(hears);
            if any && heard.take(burst.start_s, burst.access) { Break(()) } else { Continue(()) }
        });
        end == Break(())
    });
    caught.count() as f64 / f64::from(trials)
}

/// Where in its cycle a receiver is when the activity begins. One that never leaves has none, and takes no dimension.
fn phase(receiver: &Schedule, draw: &mut Draw) -> f64 {
    match receiver {
        Schedule::Watch(_) => 0.0,
        Schedule::Hop { .. } => draw.fraction() * receiver.cycle_s(),
    }
}

/// A carrier on the standard's raster of the band, `at` from 0 to 1 between the lowest and the highest.
fn carrier(activity: Activity, band: &Band, at: f64) -> Carrier {
    let (width_hz, raster_hz) = match activity.standard() {
        Standard::Gsm => (200e3, 200e3),
        _ => (band.lte_carrier_hz, 100e3),
    };
    let lowest_hz = band.range.lower_hz + width_hz / 2.0;
    let steps = ((band.range.width_hz() - width_hz).max(0.0) / raster_hz + 1e-6).floor();
    Carrier { center_hz: lowest_hz + (at * (steps + 1.0)).floor().min(steps) * raster_hz, width_hz }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::bands;

    fn band(name: &str) -> Band {
        bands(&[name.to_owned()], Some("fr")).expect("a band").remove(0)
    }

    fn hop(windows: usize, dwell_s: f64, retune_s: f64) -> Schedule {
        // The band and others far away.
        let all: Vec<Range> = (0..windows).map(|i| Range::about(897.5e6 + i as f64 * 1e9, 60e6)).collect();
        Schedule::over(&all, dwell_s, retune_s).expect("windows")
    }

    /// What `locate` says of patterns: an access burst and one more, or three of a dedicated channel.
    #[test]
    fn the_rule_is_that_of_the_judge() {
        for standard in [Standard::Gsm, Standard::Lte] {
            let rule = Rule::of(standard);
            assert!(!rule.is_enough(1, 0) && rule.is_enough(1, 1), "{standard:?} {rule:?}");
            assert!(!rule.is_enough(0, 2) && rule.is_enough(0, 3) && rule.is_enough(0, 50), "{standard:?} {rule:?}");
        }
    }

    #[test]
    fn bursts_too_far_apart_are_not_one_activity() {
        let mut heard = Heard::nothing(Rule::of(Standard::Lte));
        assert!(!heard.take(0.0, false) && !heard.take(0.3, false));
        assert!(!heard.take(0.8, false) && !heard.take(0.9, false) && heard.take(1.0, false));
    }

    #[test]
    fn what_is_watched_is_caught_and_what_is_not_is_not() {
        let (gsm, lte) = (band("B8"), band("B20"));
        let watch = [Schedule::Watch(Range::new(879e6, 916e6))];
        for activity in Activity::ALL {
            assert_eq!(probability(activity, &gsm, &watch, 200), 1.0, "{activity:?}");
            assert_eq!(probability(activity, &lte, &watch, 200), 0.0, "{activity:?}");
            assert_eq!(probability(activity, &gsm, &[], 200), 0.0, "{activity:?}");
        }
    }

    /// A quarter of the GSM carriers lies in a quarter of the band.
    #[test]
    fn part_of_the_band_catches_its_part() {
        let b8 = band("B8");
        let quarter = b8.range.lower_hz + b8.range.width_hz() / 4.0;
        let watch = [Schedule::Watch(Range::new(b8.range.lower_hz - 1e6, quarter))];
        let p = probability(Activity::LocationUpdate, &b8, &watch, 4096);
        assert!((p - 0.25).abs() < 0.01, "{p}");
    }

    /// A call has a burst every 5 ms for 30 s: in a cycle of 4 s it is always there; in one of 120 s a visit of 10 s
    /// meets (30 + 10) s of it.
    #[test]
    fn long_activities_meet_a_visit_by_their_length() {
        let b8 = band("B8");
        let p = probability(Activity::GsmCall, &b8, &[hop(4, 1.0, 0.01)], 1000);
        assert_eq!(p, 1.0);
        let p = probability(Activity::GsmCall, &b8, &[hop(12, 10.0, 0.0)], 4096);
        assert!((p - 40.0 / 120.0).abs() < 0.01, "{p}");
    }

    /// Two receivers that know nothing of each other: 1 - (1 - p)².
    #[test]
    fn a_second_receiver_helps_as_chance_has_it() {
        let b8 = band("B8");
        let one = probability(Activity::TrackingAreaUpdate, &b8, &[hop(4, 0.5, 0.01)], 4096);
        let two = probability(Activity::TrackingAreaUpdate, &b8, &[hop(4, 0.5, 0.01), hop(4, 0.5, 0.01)], 4096);
        assert!((two - (1.0 - (1.0 - one).powi(2))).abs() < 0.02, "{one} {two}");
    }
}
