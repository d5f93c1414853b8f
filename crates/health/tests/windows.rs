//! Windows over hours of snapshots, with hostile clocks and counters.

mod common;

use cellwarden_health::{History, SensorWindow, WINDOWS_S};
use cellwarden_types::{SensorState, UtcNanos};
use common::{RATE, advance, sensor, snapshot};

fn windows(history: &History) -> Vec<SensorWindow> {
    history.windows().sensors["a"].clone()
}

#[test]
fn windows_hold_what_happened_in_them() {
    let (mut history, mut health) = (History::new(), snapshot(vec![sensor("a")]));
    // Twenty minutes; the floor falls by 10 dB for the last 90 s, and the device is away for seconds 600 to 660.
    for second in 0..=1200 {
        let one = &mut health.sensors[0];
        one.state = if (600..660).contains(&second) { SensorState::Down } else { SensorState::Listening };
        one.floor_dbfs_per_hz = Some(if second > 1110 { -158.0 } else { -148.0 });
        one.drift_ppm = Some(if second > 1140 { 2.0 } else { 1.0 });
        history.push_at(&health, f64::from(second));
        advance(&mut health, 1.0);
        let one = &mut health.sensors[0];
        *one.bursts.entry("gsm".to_owned()).or_default() += u64::from(second >= 1140);
        if one.state == SensorState::Down {
            one.ledger.expected += RATE;
            one.ledger.overflow += RATE;
            one.ledger.disconnected += RATE;
        }
        one.restarts += u64::from(second == 655);
        one.ledger.dropped += if second == 1190 { 1000 } else { 0 };
        one.ledger.retune += if second == 1195 { 500 } else { 0 };
        one.ledger.processed -= if second == 1190 { 1000 } else { 0 };
        one.clipped += if second == 1190 { 60 } else { 0 };
    }
    let [one, five, fifteen] = windows(&history).try_into().unwrap();
    assert_eq!((one.covered_s, five.covered_s, fifteen.covered_s), (60.0, 300.0, 900.0));
    assert_eq!((one.expected, five.expected, fifteen.expected), (60 * RATE, 300 * RATE, 900 * RATE));
    assert_eq!((one.lost.dropped, one.lost.overflow, one.lost.disconnected), (1000, 0, 0));
    assert_eq!(one.retune, 500, "as intended, and not lost");
    assert_eq!((fifteen.lost.disconnected, fifteen.lost.overflow, fifteen.restarts), (60 * RATE, 0, 1));
    assert_eq!((one.restarts, five.lost.disconnected), (0, 0));
    assert!((one.lost_share.unwrap() - 1000.0 / 60.0 / RATE as f64).abs() < 1e-12);
    assert!((fifteen.lost_share.unwrap() - 60.0 / 900.0).abs() < 1e-6);
    assert!((one.clip_share.unwrap() - 60.0 / (60.0 * RATE as f64)).abs() < 1e-9);
    assert!((fifteen.listening_share.unwrap() - 840.0 / 900.0).abs() < 1e-9, "{fifteen:?}");
    assert_eq!((one.bursts_per_hour["gsm"], five.bursts_per_hour["gsm"]), (3600.0, 720.0));
    let (floor, short) = (five.floor.unwrap(), one.floor.unwrap());
    assert_eq!((floor.min_dbfs_per_hz, floor.max_dbfs_per_hz), (-158.0, -148.0));
    assert!((floor.mean_dbfs_per_hz - -151.0).abs() < 1e-9, "{floor:?}");
    assert_eq!((short.min_dbfs_per_hz, short.max_dbfs_per_hz), (-158.0, -158.0));
    assert!((one.drift_ppm.unwrap() - 2.0).abs() < 1e-9 && (five.drift_ppm.unwrap() - 1.2).abs() < 1e-9);
    let whole = history.windows().whole;
    assert!(whole.iter().all(|w| (w.processor_share.unwrap() - 0.8).abs() < 1e-9), "{whole:?}");
}

#[test]
fn counters_that_begin_anew_do_not_tear_a_hole() {
    let (mut history, mut health) = (History::new(), snapshot(vec![sensor("a")]));
    for second in 0..=900 {
        history.push_at(&health, f64::from(second));
        advance(&mut health, 1.0);
        let one = &mut health.sensors[0];
        // The device is started anew after 400 s, and its ledger begins at zero; the daemon itself after 700 s.
        if second == 400 || second == 700 {
            one.ledger = cellwarden_types::SensorLedger::default();
        }
        if second == 700 {
            health.started = health.started.plus_seconds(700.0);
            health.processor_s = 0.0;
        }
    }
    let [_, five, fifteen] = windows(&history).try_into().unwrap();
    // A second is lost to each restart, not a window.
    assert_eq!((five.expected, fifteen.expected), (299 * RATE, 898 * RATE));
    let whole = history.windows().whole[2];
    assert!((whole.processor_share.unwrap() - 0.8 * 899.0 / 900.0).abs() < 1e-6, "{whole:?}");
}

#[test]
fn steps_of_the_clock_are_told_and_change_nothing() {
    let (mut history, mut health) = (History::new(), snapshot(vec![sensor("a")]));
    for second in 0..=300 {
        history.push_at(&health, f64::from(second));
        advance(&mut health, 1.0);
        match second {
            100 => health.time = health.time.plus_seconds(-86_400.0),
            200 => health.time = UtcNanos(i64::MAX),
            201 => health.time = UtcNanos(i64::MIN),
            202 => health.time = health.started.plus_seconds(202.0),
            _ => {}
        }
    }
    let all = history.windows();
    assert_eq!(all.clock_steps, 4);
    assert!(all.last_clock_step_s.is_some_and(|s| s > 1e9));
    assert_eq!((all.sensors["a"][1].expected, all.sensors["a"][1].covered_s), (300 * RATE, 300.0));
}

#[test]
fn a_caller_without_a_pace_or_a_clock_costs_no_memory_and_no_sense() {
    let (mut history, mut health) = (History::new(), snapshot(vec![sensor("a")]));
    // Twenty minutes at 100 snapshots a second: nothing of the listened time is lost.
    for i in 0..120_000u32 {
        history.push_at(&health, f64::from(i) * 0.01);
        advance(&mut health, 0.01);
    }
    let fifteen = windows(&history)[2].clone();
    assert!((fifteen.listening_share.unwrap() - 1.0).abs() < 1e-6, "{fifteen:?}");
    assert!((fifteen.expected as f64 / RATE as f64 - 900.0).abs() < 1.0, "{fifteen:?}");
    let size = format!("{history:?}").len();
    for i in 0..60_000u32 {
        history.push_at(&health, 1200.0 + f64::from(i) * 0.01);
    }
    assert!(format!("{history:?}").len() < size + size / 5);
    // Times that are none, and one far ahead.
    for at_s in [f64::NAN, f64::NEG_INFINITY, -5.0, f64::INFINITY, 1e300] {
        history.push_at(&health, at_s);
    }
    assert_eq!(windows(&history).len(), WINDOWS_S.len());
}

#[test]
fn hostile_counters_and_numbers_stay_numbers() {
    let (mut history, mut health) = (History::new(), snapshot(vec![sensor("a"), sensor("a"), sensor("b")]));
    for (second, n) in [5, u64::MAX, 0, u64::MAX, 7].into_iter().enumerate() {
        let one = &mut health.sensors[0];
        (one.ledger.expected, one.ledger.overflow, one.ledger.dropped, one.clipped) = (n, n, n, n);
        one.bursts = (0..1000).map(|i| (format!("standard {i}"), n)).collect();
        (one.floor_dbfs_per_hz, one.drift_ppm) = (Some(f64::NAN), Some(f64::INFINITY));
        health.processor_s = [f64::NAN, -1.0, f64::INFINITY, 1e308, 3.0][second];
        history.push_at(&health, second as f64);
    }
    let all = history.windows();
    assert_eq!(all.sensors.len(), 2);
    let text = serde_json::to_string(&all).unwrap();
    let back: cellwarden_health::Windows = serde_json::from_str(&text).expect("every number is one in JSON");
    assert!(back.sensors["a"][0].lost_share.unwrap() <= 1.0);
    // A thousand sensors are a mistake.
    let many = snapshot((0..1000).map(|i| sensor(&format!("s{i}"))).collect());
    history.push_at(&many, 10.0);
    assert_eq!(history.windows().sensors.len(), 64);
}

#[test]
fn nobody_knows_what_a_sensor_did_while_the_daemon_hung() {
    let (mut history, mut health) = (History::new(), snapshot(vec![sensor("a")]));
    for at_s in (0..=60).chain(180..=300).map(f64::from) {
        history.push_at(&health, at_s);
        advance(&mut health, 1.0);
    }
    let five = windows(&history)[1].clone();
    assert!((five.listening_share.unwrap() - 180.0 / 300.0).abs() < 1e-9, "{five:?}");
}

#[test]
fn a_sensor_that_is_overloaded_all_the_time_is_clipped_all_the_time() {
    let (mut history, mut health) = (History::new(), snapshot(vec![sensor("a")]));
    for second in 0..=900 {
        history.push_at(&health, f64::from(second));
        let one = &mut health.sensors[0];
        (one.ledger.expected, one.ledger.overload) = (one.ledger.expected + RATE, one.ledger.overload + RATE);
        one.clipped += RATE;
    }
    let fifteen = windows(&history)[2].clone();
    assert_eq!((fifteen.processed, fifteen.clip_share), (0, Some(1.0)));
}
