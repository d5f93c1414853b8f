//! Verdicts on one sensor, case by case.

mod common;

use cellwarden_health::{AmbientCarrier, AmbientLevels, Commissioning, Judge, Judgement, Verdict};
use cellwarden_types::{BoxHealth, Hertz, SensorState};
use common::{sensor, snapshot};
use std::collections::BTreeMap;

fn carrier(i: usize, level_dbfs: f64) -> AmbientCarrier {
    AmbientCarrier { center_hz: 935.2e6 + i as f64 * 1e6, width_hz: 200e3, level_dbfs }
}

struct One {
    judge: Judge,
    health: BoxHealth,
    levels: Vec<f64>,
    at_s: f64,
    bursts_per_hour: f64,
    bursts: f64,
}

impl One {
    fn new(edit: impl Fn(&mut Commissioning)) -> Self {
        let mut commissioning = Commissioning {
            sensor: "a".to_owned(),
            floor_dbfs_per_hz: -148.2,
            center_hz: Some(897.5e6),
            gain_db: Some(30.0),
            ..Commissioning::default()
        };
        edit(&mut commissioning);
        let levels = commissioning.ambient.iter().map(|c| c.level_dbfs).collect();
        let health = snapshot(vec![sensor("a")]);
        Self { judge: Judge::new([commissioning]), health, levels, at_s: 0.0, bursts_per_hour: 0.0, bursts: 0.0 }
    }

    fn minutes(&mut self, minutes: u32) -> Verdict {
        for i in 0..minutes * 12 {
            self.at_s += 5.0;
            self.bursts += self.bursts_per_hour * 5.0 / 3600.0;
            self.health.sensors[0].bursts = BTreeMap::from([("gsm".to_owned(), self.bursts as u64)]);
            self.judge.push_at(&self.health, self.at_s);
            if i % 60 == 0 && !self.levels.is_empty() {
                let levels = self.levels.iter().enumerate().map(|(i, &l)| carrier(i, l)).collect();
                self.judge.ambient(&AmbientLevels(BTreeMap::from([("a".to_owned(), levels)])));
            }
        }
        self.judge.verdicts().remove(0)
    }

    fn floor(&mut self, floor: f64) {
        self.health.sensors[0].floor_dbfs_per_hz = Some(floor);
    }
}

#[track_caller]
fn assert_says(verdict: &Verdict, judgement: Judgement, words: &[&str]) {
    assert_eq!(verdict.judgement, judgement, "{verdict:?}");
    words.iter().for_each(|w| assert!(verdict.reason.contains(w), "{w:?}: {verdict:?}"));
}

#[test]
fn floor_and_carriers_together_say_what_is_lost() {
    let five = |c: &mut Commissioning| c.ambient = (0..5).map(|i| carrier(i, -70.0)).collect();
    let mut one = One::new(five);
    let fine = one.minutes(20);
    assert_says(&fine, Judgement::Fine, &["floor +0.0 dB", "0 of 5 ambient carriers lost"]);
    assert!(fine.compared);
    // The antenna: all carriers, hardly any floor.
    one.levels = vec![-85.0; 5];
    one.floor(-148.9);
    let verdict = one.minutes(20);
    assert_says(&verdict, Judgement::Deaf, &["antenna", "5 of 5", "-15.0 dB"]);
    assert_eq!((verdict.carriers, verdict.carriers_lost, verdict.ambient_change_db), (5, 5, Some(-15.0)));
    // All well again.
    one.levels = vec![-70.0; 5];
    one.floor(-148.2);
    assert_says(&one.minutes(20), Judgement::Fine, &[]);
    // The amplifier: both alike.
    one.levels = vec![-75.0; 5];
    one.floor(-153.2);
    assert_says(&one.minutes(20), Judgement::Deaf, &["amplifier", "-5.0 dB"]);
    // A source of noise that went away is no loss of hearing.
    one.levels = vec![-70.0; 5];
    assert_says(&one.minutes(20), Judgement::Suspect, &["source of noise", "commission anew"]);
    // A machine beside it.
    one.floor(-140.0);
    assert_says(&one.minutes(60), Judgement::Suspect, &["noise", "+8.2 dB"]);
    // Two operators' masts are off: three of five.
    one.floor(-148.2);
    one.levels = vec![-70.0, -70.0, -95.0, -95.0, -95.0];
    assert_says(&one.minutes(20), Judgement::Suspect, &["base station", "3 of 5"]);
    one.levels = vec![-70.0, -70.0, -70.0, -95.0, -95.0];
    assert_says(&one.minutes(20), Judgement::Fine, &["2 of 5"]);
}

#[test]
fn weak_carriers_and_missing_readings_tell_nothing() {
    // Noise in 200 kHz is -95.2 dBFS: a carrier of -85 could not be seen to fall by 10 dB.
    let mut weak = One::new(|c| c.ambient = vec![carrier(0, -85.0), carrier(1, -85.0)]);
    weak.minutes(20);
    weak.levels = vec![-95.2; 2];
    let verdict = weak.minutes(30);
    assert_says(&verdict, Judgement::Fine, &["no ambient carrier"]);
    let mut silent = One::new(|c| c.ambient = vec![carrier(0, -60.0), carrier(1, -60.0)]);
    silent.minutes(20);
    silent.levels.clear();
    assert_eq!(silent.minutes(60).carriers, 0);
}

#[test]
fn another_gain_or_another_band_is_not_compared() {
    let mut one = One::new(|_| {});
    one.minutes(20);
    one.health.sensors[0].gain_db = Some(20.0);
    one.floor(-158.2);
    assert_says(&one.minutes(20), Judgement::Suspect, &["20.0 dB", "30.0 dB", "commission anew"]);
    one.health.sensors[0].gain_db = Some(30.0);
    one.floor(-148.2);
    assert_says(&one.minutes(20), Judgement::Fine, &["floor +0.0 dB"]);
    one.health.sensors[0].center = Hertz(1747e6);
    one.floor(-160.0);
    let verdict = one.minutes(60);
    assert_says(&verdict, Judgement::Fine, &["1.747 GHz", "897.5 MHz", "not compared"]);
    assert!(!verdict.compared);
}

#[test]
fn a_device_that_is_away_is_suspect_and_then_deaf() {
    let mut one = One::new(|_| {});
    one.minutes(20);
    one.health.sensors[0].state = SensorState::Down;
    one.health.sensors[0].last_error = Some("no device with serial 7".to_owned());
    one.judge.push_at(&one.health, one.at_s + 1.0);
    assert_says(&one.judge.verdicts()[0], Judgement::Suspect, &["down", "serial 7"]);
    assert_says(&one.minutes(2), Judgement::Deaf, &["down"]);
}

#[test]
fn quiet_nights_are_quiet_and_a_silence_beyond_chance_is_missed() {
    let busy = |c: &mut Commissioning| {
        c.bursts_per_hour = BTreeMap::from([("gsm".to_owned(), 60_000.0)]);
    };
    // A night of eight hours without a burst, after a day with many.
    let mut one = One::new(busy);
    one.bursts_per_hour = 90_000.0;
    one.minutes(16 * 60);
    one.bursts_per_hour = 0.0;
    for _ in 0..8 {
        assert_says(&one.minutes(60), Judgement::Fine, &[]);
    }
    // A whole day without one is no night: 37 long calls stay away.
    let verdict = one.minutes(24 * 60);
    assert_says(&verdict, Judgement::Suspect, &["0 bursts of gsm", "24.0 h", "chance"]);
    assert!(verdict.silences[0].chance < 1e-6 && verdict.silences[0].expected > 1.4e6, "{verdict:?}");
    // Where few are usual, nothing is to be said, ever.
    let mut rare = One::new(|c| c.bursts_per_hour = BTreeMap::from([("gsm".to_owned(), 1000.0)]));
    assert_says(&rare.minutes(3 * 24 * 60), Judgement::Fine, &[]);
    // Where even the quietest hour has many, an hour is enough.
    let mut street = One::new(|c| {
        busy(c);
        c.quietest_bursts_per_hour = BTreeMap::from([("gsm".to_owned(), 20_000.0)]);
        c.burst_dispersion = BTreeMap::from([("gsm".to_owned(), 500.0)]);
    });
    street.bursts_per_hour = 25_000.0;
    assert_says(&street.minutes(120), Judgement::Fine, &[]);
    street.bursts_per_hour = 0.0;
    assert_says(&street.minutes(59), Judgement::Suspect, &["of gsm in 1.0 h"]);
}

#[test]
fn without_a_commissioning_nothing_is_claimed() {
    let mut judge = Judge::default();
    let mut health = snapshot(vec![sensor("a")]);
    health.sensors[0].floor_dbfs_per_hz = Some(-250.0);
    (0..7200).for_each(|s| judge.push_at(&health, f64::from(s)));
    let verdict = judge.verdicts().remove(0);
    assert_says(&verdict, Judgement::Fine, &["not commissioned"]);
    assert!(!verdict.compared);
}

#[test]
fn hostile_numbers_do_no_harm() {
    let mut one = One::new(|c| c.ambient = vec![carrier(0, -70.0)]);
    for (i, v) in [f64::NAN, f64::INFINITY, -1e308, 1e308].into_iter().cycle().take(5000).enumerate() {
        one.health.sensors[0].floor_dbfs_per_hz = Some(v);
        one.health.sensors[0].gain_db = Some(v);
        one.health.sensors[0].bursts = BTreeMap::from([("gsm".to_owned(), if i % 2 == 0 { u64::MAX } else { 0 })]);
        one.judge.push_at(&one.health, [i as f64 * 5.0, f64::NAN, -1.0][i % 3]);
        one.judge.ambient(&AmbientLevels(BTreeMap::from([("a".to_owned(), vec![carrier(0, v); 1000])])));
        let verdict = one.judge.verdicts().remove(0);
        serde_json::from_str::<Verdict>(&serde_json::to_string(&verdict).unwrap())
            .expect("every number is one in JSON");
    }
    one.judge.push_at(&one.health, 1e300);
    assert_eq!(one.judge.verdicts().len(), 1);
}

#[test]
fn a_device_that_opens_gives_nothing_and_is_given_up_has_not_listened_all_the_while() {
    let mut one = One::new(|_| ());
    one.minutes(5);
    for i in 0..24 {
        one.health.sensors[0].state = if i % 2 == 0 { SensorState::Down } else { SensorState::Starting };
        one.at_s += 3.0;
        one.judge.push_at(&one.health, one.at_s);
    }
    assert_says(&one.judge.verdicts()[0], Judgement::Deaf, &["for 69 s"]);
    one.health.sensors[0].state = SensorState::Listening;
    assert_eq!(one.minutes(1).judgement, Judgement::Fine);
}
