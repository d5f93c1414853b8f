//! A level against its value at commissioning, slow change told from loss.

use std::collections::VecDeque;

/// Minutes that a median is taken over: short bursts of noise and single readings do not move it, and a loss
/// moves it after six.
const MEDIAN_MINUTES: u64 = 10;
/// Of those, so many must have a value.
const VALUES_LEAST: usize = 8;

/// So much more noise halves the distance at which a phone is heard.
const NOISE_DB: f64 = 6.0;
/// A machine that runs for some minutes, or twice in ten, is no lasting noise: the median above is so for this long.
const NOISE_MINUTES: u32 = 20;

/// How a level is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Fallen by so much against commissioning, it is lost, in dB.
    pub fall_db: f64,
    /// Fallen by so much against what it slowly came to be, it is lost, in dB.
    pub step_db: f64,
    /// Slow change is followed up to so much, in dB.
    pub follow_db: f64,
    /// Once lost, it must come back by so much beyond the limit, in dB.
    pub back_db: f64,
}

/// The time in which slow change is followed by 63 %, in minutes.
const FOLLOW_MINUTES: f64 = 60.0;

/// One level over the last minutes.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    commissioned: f64,
    rule: Rule,
    /// Minute and mean.
    minutes: VecDeque<(u64, f64)>,
    /// What it slowly came to be, against commissioning.
    followed_db: f64,
    lost: bool,
    /// For so many minutes running it has been above commissioning by [`NOISE_DB`].
    risen: u32,
}

impl Level {
    pub(crate) fn new(commissioned: f64, rule: Rule) -> Self {
        Self { commissioned, rule, minutes: VecDeque::new(), followed_db: 0.0, lost: false, risen: 0 }
    }

    /// The mean of a minute that is over. Minutes come in ascending order.
    pub(crate) fn push(&mut self, minute: u64, value: f64) {
        self.minutes.push_back((minute, value));
        if self.minutes.len() > MEDIAN_MINUTES as usize {
            self.minutes.pop_front();
        }
        let Some(change) = self.change_db(minute) else {
            return;
        };
        self.risen = if change >= NOISE_DB { self.risen.saturating_add(1) } else { 0 };
        let step = change - self.followed_db;
        let slack = if self.lost { self.rule.back_db } else { 0.0 };
        self.lost = change <= -self.rule.fall_db + slack || step <= -self.rule.step_db + slack;
        // What is nearly a loss is no slow change any more, and is not followed.
        if step.abs() < self.rule.step_db * 0.8 {
            let follow = self.followed_db + step / FOLLOW_MINUTES;
            self.followed_db = follow.clamp(-self.rule.follow_db, self.rule.follow_db);
        }
    }

    /// Median change against commissioning over the minutes up to `minute`, in dB.
    pub(crate) fn change_db(&self, minute: u64) -> Option<f64> {
        let mut recent: Vec<f64> =
            self.minutes.iter().filter(|&&(m, _)| m + MEDIAN_MINUTES > minute).map(|&(_, v)| v).collect();
        if recent.len() < VALUES_LEAST {
            return None;
        }
        recent.sort_by(f64::total_cmp);
        Some(recent[recent.len() / 2] - self.commissioned)
    }

    /// Change against what it slowly came to be, in dB.
    pub(crate) fn step_db(&self, minute: u64) -> Option<f64> {
        self.change_db(minute).map(|c| c - self.followed_db)
    }

    /// Whether it is lost, as far as the last minutes tell.
    pub(crate) fn lost(&self, minute: u64) -> bool {
        self.lost && self.change_db(minute).is_some()
    }

    /// Whether it has risen, and for long.
    pub(crate) fn risen(&self, minute: u64) -> bool {
        self.risen >= NOISE_MINUTES && self.change_db(minute).is_some()
    }

    /// Forgets the minutes: the radio was tuned, or set to another gain.
    pub(crate) fn forget(&mut self) {
        self.minutes.clear();
        (self.lost, self.risen) = (false, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { fall_db: 3.0, step_db: 2.4, follow_db: 1.5, back_db: 1.0 };

    #[test]
    fn slow_change_is_followed_and_a_step_is_a_loss() {
        let mut level = Level::new(-150.0, RULE);
        // 1.4 dB up in ten hours, then 3 dB down at once: 1.6 dB below commissioning is lost all the same.
        for minute in 0..600 {
            level.push(minute, -150.0 + 1.4 * minute as f64 / 600.0);
            assert!(!level.lost(minute), "{minute}");
        }
        // Seen within ten minutes, it stays lost for a day, and comes back when the level does.
        for minute in 600..2140 {
            level.push(minute, -151.6);
            assert!(level.lost(minute) || minute < 610, "{minute}");
        }
        (2140..2160).for_each(|m| level.push(m, -148.8));
        assert!(!level.lost(2159));
    }

    #[test]
    fn a_creeping_fall_is_a_loss_in_the_end_and_few_values_are_none() {
        let mut level = Level::new(-150.0, RULE);
        for minute in 0..6000 {
            level.push(minute, -150.0 - minute as f64 / 6000.0 * 3.5);
        }
        assert!(level.lost(5999));
        assert!(!level.lost(6100), "an hour without a value says nothing");
        let mut level = Level::new(-150.0, RULE);
        (0..7).for_each(|m| level.push(m, -190.0));
        assert_eq!((level.lost(6), level.change_db(6)), (false, None));
    }
}
