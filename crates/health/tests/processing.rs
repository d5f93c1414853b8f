//! Test bursts tell whether the processing works, apart from what the air tells of the antenna.

#![allow(clippy::unwrap_used)] // a test may

mod common;

use cellwarden_health::{
    Commissioning, Health, HealthConfig, Judge, Judgement, Processing, ProcessingJudge, Status, table,
};
use cellwarden_types::{BoxHealth, Kind, SelfTestCount, Standard};
use common::{advance, sensor, snapshot};

fn counts(kind: Kind, band: &str, snr_db: f64) -> SelfTestCount {
    let standard = if kind == Kind::Normal { Standard::Gsm } else { Standard::Lte };
    SelfTestCount { band: band.to_owned(), standard, kind, snr_db, tests: 0, found: 0, named: 0, void: 0 }
}

/// A box whose one sensor is tested.
fn tested() -> BoxHealth {
    let mut sensor = sensor("a-west");
    sensor.self_test = vec![counts(Kind::Normal, "GSM900", 12.0), counts(Kind::Prach, "B8", 8.0)];
    snapshot(vec![sensor])
}

/// Seconds in which each kind is tested every 20 s; `found` says which of those tests are.
fn pass(
    health: &mut BoxHealth,
    (judge, deaf): (&mut ProcessingJudge, &mut Judge),
    seconds: std::ops::Range<u32>,
    found: impl Fn(u32, Kind) -> bool,
) {
    for s in seconds {
        advance(health, 1.0);
        if s % 20 == 0 {
            for test in &mut health.sensors[0].self_test {
                test.tests += 1;
                test.found += u64::from(found(s / 20, test.kind));
                test.named += u64::from(found(s / 20, test.kind));
            }
        }
        judge.push_at(health, f64::from(s));
        deaf.push_at(health, f64::from(s));
    }
}

#[test]
fn processing_that_breaks_is_failing_within_the_hour_and_the_antenna_is_not_blamed() {
    let (mut health, mut judge) = (tested(), ProcessingJudge::default());
    let mut deaf = Judge::new([Commissioning {
        sensor: "a-west".to_owned(),
        floor_dbfs_per_hz: -148.2,
        ..Commissioning::default()
    }]);
    pass(&mut health, (&mut judge, &mut deaf), 0..100, |_, _| true);
    assert_eq!(judge.verdicts()[0].judgement, Processing::Untested, "five are too few");
    pass(&mut health, (&mut judge, &mut deaf), 100..7200, |n, _| n % 60 != 0);
    let verdict = &judge.verdicts()[0];
    assert_eq!(verdict.judgement, Processing::Working, "{verdict:?}");
    assert_eq!(verdict.bands[0].hour.tests, 180, "an hour is an hour");
    assert_eq!(verdict.bands[0].day.tests, 360);
    assert!(verdict.reason.contains("finds 177 of 180 test bursts at 12 dB (GSM900 normal)"), "{}", verdict.reason);
    // The preambles' search breaks; GSM goes on.
    let mut seen = None;
    for minute in 0..60 {
        let from = 7200 + 60 * minute;
        pass(&mut health, (&mut judge, &mut deaf), from..from + 60, |_, kind| kind == Kind::Normal);
        if judge.verdicts()[0].judgement == Processing::Failing {
            seen = Some(minute);
            break;
        }
    }
    let verdict = &judge.verdicts()[0];
    assert!(seen.is_some_and(|m| m < 15), "seen after {seen:?} minutes");
    assert!(verdict.reason.contains("(B8 prach)") && !verdict.reason.contains("GSM900"), "{}", verdict.reason);
    assert_eq!(deaf.verdicts()[0].judgement, Judgement::Fine);
}

#[test]
fn a_deaf_antenna_leaves_the_processing_whole() {
    let (mut health, mut judge) = (tested(), ProcessingJudge::default());
    let mut deaf = Judge::new([Commissioning {
        sensor: "a-west".to_owned(),
        floor_dbfs_per_hz: -148.2,
        ..Commissioning::default()
    }]);
    pass(&mut health, (&mut judge, &mut deaf), 0..1200, |_, _| true);
    health.sensors[0].floor_dbfs_per_hz = Some(-154.0);
    pass(&mut health, (&mut judge, &mut deaf), 1200..3600, |_, _| true);
    assert_ne!(deaf.verdicts()[0].judgement, Judgement::Fine);
    assert_eq!(judge.verdicts()[0].judgement, Processing::Working);
}

#[test]
fn a_detector_as_good_as_it_should_be_is_hardly_ever_called_failing() {
    // 0.99 found, by a generator of its own: one in a hundred is missed, in any order.
    let mut state = 1u64;
    let mut missed = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 100 == 0
    };
    let (mut health, mut judge) = (tested(), ProcessingJudge::default());
    for minute in 0..60 * 24 * 20 {
        health.sensors[0].self_test.iter_mut().for_each(|t| {
            for _ in 0..2 {
                let hit = u64::from(!missed());
                (t.tests, t.found, t.named) = (t.tests + 1, t.found + hit, t.named + hit);
            }
        });
        judge.push_at(&health, 60.0 * f64::from(minute));
        assert_ne!(judge.verdicts()[0].judgement, Processing::Failing, "minute {minute}");
    }
}

#[test]
fn counters_that_begin_anew_are_no_misses_and_what_is_not_tested_is_not_told() {
    let (mut health, mut judge, mut deaf) = (tested(), ProcessingJudge::default(), Judge::default());
    pass(&mut health, (&mut judge, &mut deaf), 0..600, |_, _| true);
    health.sensors[0].self_test.iter_mut().for_each(|t| (t.tests, t.found, t.named) = (0, 0, 0));
    pass(&mut health, (&mut judge, &mut deaf), 600..1200, |_, _| true);
    let hour = judge.verdicts()[0].bands[0].hour;
    assert_eq!((hour.tests, hour.named), (60, 60));
    health.sensors[0].self_test.clear();
    judge.push_at(&health, 1201.0);
    assert!(judge.verdicts().is_empty());
}

#[test]
fn status_and_metrics_tell_the_processing_apart_from_the_antenna() {
    let health = Health::start("127.0.0.1:0".parse().unwrap(), HealthConfig::default()).unwrap();
    let (mut broken, mut whole) = (sensor("a-west"), sensor("b-east"));
    let count = |tests, found, named| SelfTestCount { tests, found, named, ..counts(Kind::Normal, "GSM900", 12.0) };
    broken.self_test = vec![count(120, 120, 9)];
    whole.self_test = vec![count(120, 119, 118)];
    health.publish(snapshot(vec![broken, whole]));
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let get = |path: &str| {
        let mut answer = agent.get(format!("http://{}{path}", health.address())).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    let status: Status = serde_json::from_str(&get("/status.json")).unwrap();
    assert_eq!(status.wrong.len(), 1, "{:?}", status.wrong);
    let words =
        "sensor a-west: processing failing: it finds 9 of 120 test bursts at 12 dB (GSM900 normal, 111 more by another";
    assert!(status.wrong[0].starts_with(words), "{}", status.wrong[0]);
    assert!(status.verdicts.iter().all(|v| v.judgement == Judgement::Fine), "the antenna is not blamed");
    let text = table::render(&status, false);
    let line = "- processing of b-east: finds 118 of 120 test bursts at 12 dB (GSM900 normal, 1 more by another";
    assert!(text.contains(line) && text.lines().all(|l| l.chars().count() <= table::WIDTH), "{text}");
    let metrics = get("/metrics");
    for (sensor, failing) in [("a-west", 1), ("b-east", 0)] {
        let line = format!(
            "cellwarden_sensor_processing_failing{{sensor=\"{sensor}\",device=\"{sensor}-radio\"}} {failing}.0"
        );
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    assert!(metrics.contains("band=\"GSM900\",standard=\"gsm\",kind=\"normal\"} 118"), "{metrics}");
}
