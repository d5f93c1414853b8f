//! How long a hopping receiver should stay at each centre.

use crate::activity::Activity;
use crate::catch::probability;
use crate::demand::Band;
use crate::schedule::{Range, Schedule};
use rayon::prelude::*;

/// Receivers that share windows out among themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Hopping {
    /// What they are to hear, ascending.
    pub windows: Vec<Range>,
    /// How many they are.
    pub receivers: usize,
    /// Deaf after each change of centre, in seconds.
    pub retune_s: f64,
}

impl Hopping {
    /// Each receiver's schedule for a dwell. Neighbours in frequency go to one receiver; one that gets a single window
    /// never leaves it.
    pub fn schedules(&self, dwell_s: f64) -> Vec<Schedule> {
        let n = self.windows.len();
        let share = |i: usize| i * n / self.receivers.max(1);
        let parts = (0..self.receivers).map(|i| &self.windows[share(i)..share(i + 1)]);
        parts.filter_map(|windows| Schedule::over(windows, dwell_s, self.retune_s)).collect()
    }

    /// Whether any receiver has to leave a window.
    pub fn hops(&self) -> bool {
        self.receivers > 0 && self.windows.len() > self.receivers
    }
}

/// The best dwell, and what it gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// In seconds.
    pub dwell_s: f64,
    /// Mean probability to catch.
    pub probability: f64,
}

/// Shortest and longest dwell that is looked at, in seconds: below, a receiver is asked more often than it is heard;
/// above, every cycle is longer than a registration.
pub const DWELL_S: (f64, f64) = (0.02, 5.0);
/// Dwells that are looked at first: 12 % from one to the next.
const STEPS: u32 = 50;
/// Trials for each: an error of some percent.
const TRIALS: u32 = 256;
/// What is caught depends on how a cycle falls on a phone's own periods, so that near dwells differ by more than that
/// error: around so many of the best of the first look, so many dwells to a step are looked at again, in more trials.
const CANDIDATES: usize = 4;
const PARTS: u32 = 4;
const TRIALS_AGAIN: u32 = 2048;

/// For each of `wanted`, and for all of them (their mean, each counting the same), the dwell that catches most. All is
/// last; the shorter dwell wins where two catch the same.
pub fn best(hopping: &Hopping, bands: &[&Band], wanted: &[Activity]) -> Vec<Best> {
    let steps: Vec<f64> = (0..STEPS).map(f64::from).collect();
    let first = look(hopping, bands, wanted, &steps, TRIALS);
    let mut again: Vec<f64> = (0..=wanted.len()).flat_map(|goal| around_the_best(&steps, &first, goal)).collect();
    again.sort_by(f64::total_cmp);
    again.dedup();
    let found = look(hopping, bands, wanted, &again, TRIALS_AGAIN);
    let most = |goal: usize| {
        let worst = Best { dwell_s: DWELL_S.0, probability: -1.0 };
        again.iter().zip(&found).fold(worst, |best, (&step, caught)| {
            let better = caught[goal] > best.probability + 1e-9;
            if better { Best { dwell_s: dwell_s(step), probability: caught[goal] } } else { best }
        })
    };
    (0..=wanted.len()).map(most).collect()
}

/// The dwell of a step; steps may be parted.
fn dwell_s(step: f64) -> f64 {
    DWELL_S.0 * (DWELL_S.1 / DWELL_S.0).powf(step / f64::from(STEPS - 1))
}

/// What is caught at each step: of each that is wanted, and the mean of all.
fn look(hopping: &Hopping, bands: &[&Band], wanted: &[Activity], steps: &[f64], trials: u32) -> Vec<Vec<f64>> {
    let at = |&step: &f64| {
        let schedules = hopping.schedules(dwell_s(step));
        let mut caught: Vec<f64> = wanted.iter().map(|&a| over(bands, a, &schedules, trials)).collect();
        caught.push(caught.iter().sum::<f64>() / caught.len().max(1) as f64);
        caught
    };
    steps.par_iter().map(at).collect()
}

/// The steps around those that catch most of `goal`.
fn around_the_best(steps: &[f64], caught: &[Vec<f64>], goal: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by(|&a, &b| caught[b][goal].total_cmp(&caught[a][goal]));
    let parts = i64::from(PARTS);
    let around = |&i: &usize| (1 - parts..parts).map(move |part| steps[i] + part as f64 / f64::from(PARTS));
    let all = order.iter().take(CANDIDATES).flat_map(around);
    all.map(|step| step.clamp(0.0, f64::from(STEPS - 1))).collect()
}

/// Mean over the bands that have the activity, each by its spectrum.
pub fn over(bands: &[&Band], activity: Activity, schedules: &[Schedule], trials: u32) -> f64 {
    let having = bands.iter().filter(|b| b.activities().any(|a| a == activity));
    let (sum, width) = having.fold((0.0, 0.0), |(sum, width), band| {
        let hz = band.range.width_hz();
        (sum + hz * probability(activity, band, schedules, trials), width + hz)
    });
    if width > 0.0 { sum / width } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::bands;

    fn hopping(windows: usize, retune_s: f64) -> Hopping {
        let windows = (0..windows).map(|i| Range::about(897.5e6 + i as f64 * 1e9, 60e6)).collect();
        Hopping { windows, receivers: 1, retune_s }
    }

    #[test]
    fn windows_are_shared_out() {
        let five = Hopping { receivers: 2, ..hopping(5, 0.01) };
        let schedules = five.schedules(0.1);
        assert_eq!(schedules.iter().map(|s| s.windows().len()).collect::<Vec<_>>(), [2, 3]);
        assert!(five.hops() && (schedules[0].cycle_s() - 0.22).abs() < 1e-12);
        let none = Hopping { receivers: 3, ..hopping(2, 0.01) };
        assert!(!none.hops() && none.schedules(0.1).iter().all(|s| matches!(s, Schedule::Watch(_))));
    }

    /// No dwell that the search did not look at is better by more than its error, and both ends are worse.
    #[test]
    fn the_best_dwell_is_the_best() {
        let b8 = bands(&["B8".to_owned()], Some("fr")).unwrap();
        let all = [&b8[0]];
        for (windows, retune_s) in [(6, 0.03), (3, 0.065), (9, 0.02)] {
            let hopping = hopping(windows, retune_s);
            let found = best(&hopping, &all, &[Activity::LocationUpdate]);
            let at = |dwell_s: f64| over(&all, Activity::LocationUpdate, &hopping.schedules(dwell_s), 4096);
            let most = at(found[0].dwell_s);
            assert!((most - found[0].probability).abs() < 0.02, "{found:?}: {most}");
            for i in 0..200 {
                let dwell_s = 0.02 * 250.0f64.powf(f64::from(i) / 199.0);
                assert!(at(dwell_s) <= most + 0.02, "{windows}, {retune_s} s: {dwell_s} s: {} > {most}", at(dwell_s));
            }
            assert!(at(DWELL_S.0) < most - 0.1 && at(DWELL_S.1) < most - 0.1, "{windows}, {retune_s} s");
            assert_eq!(found[0], found[1], "there is only one activity");
        }
    }

    #[test]
    fn slower_radios_catch_less() {
        let b8 = bands(&["B8".to_owned()], Some("fr")).unwrap();
        let p = |retune_s| best(&hopping(6, retune_s), &[&b8[0]], &[Activity::TrackingAreaUpdate])[0].probability;
        assert!(p(0.001) > p(0.03) && p(0.03) > p(0.3), "{} {} {}", p(0.001), p(0.03), p(0.3));
    }
}
