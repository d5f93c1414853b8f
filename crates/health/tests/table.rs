//! The terminal's view, to the letter.

mod common;

use cellwarden_health::{AmbientLevels, History, Judge, Judgement, Status, Verdict, table};
use cellwarden_types::{BoxHealth, Hertz, SensorState};
use common::{advance, sensor, snapshot};

/// A box of four sensors after sixteen minutes: one is well, one is deaf and loses samples, one has a device that is away,
/// and one hops and has a name from a hostile hand.
fn status() -> Status {
    let mut rich = sensor("b-east");
    rich.center = Hertz(1747.5e6);
    rich.rate = Hertz(30.72e6);
    rich.floor_dbfs_per_hz = Some(-155.04);
    let mut away = sensor("c-yard");
    away.center = Hertz(847e6);
    (away.state, away.last_error) = (SensorState::Down, Some("no device with serial 7".to_owned()));
    (away.gain_db, away.drift_ppm, away.floor_dbfs_per_hz, away.temperature_celsius) = (None, None, None, None);
    let mut hostile = sensor("\x1b[2Jclears-the-screen");
    (hostile.ledger.expected, hostile.ledger.retune) = (1, 1);
    hostile.temperature_celsius = Some(1e12);
    hostile.drift_ppm = Some(-1e9);
    let mut health = snapshot(vec![sensor("a-west"), rich, away, hostile]);
    let (mut history, mut judge) = (History::new(), Judge::default());
    for second in 0..=960 {
        history.push_at(&health, f64::from(second));
        judge.push_at(&health, f64::from(second));
        advance(&mut health, 1.0);
        *health.sensors[0].bursts.entry("gsm".to_owned()).or_default() += 2;
        // In the last two minutes 2.5 % were lost, and a little of it all was clipped.
        if second >= 840 {
            health.sensors[1].ledger.overflow += 250_000;
            health.sensors[1].ledger.processed -= 250_000;
            health.sensors[1].clipped += 40;
        }
    }
    finish(health, &history, &judge)
}

fn finish(health: BoxHealth, history: &History, judge: &Judge) -> Status {
    let mut verdicts = judge.verdicts();
    for verdict in verdicts.iter_mut().filter(|v| v.sensor == "b-east") {
        *verdict = Verdict {
            judgement: Judgement::Deaf,
            reason:
                "the floor fell: look at antenna, cable and amplifier (floor -6.8 dB against commissioning, no ambient \
                     carrier to compare)"
                    .to_owned(),
            ..verdict.clone()
        };
    }
    let wrong = vec![
        "sensor c-yard: down since 2026-03-01T06:00:00.000000000Z: no device with serial 7".to_owned(),
        format!(
            "sensor b-east: deaf: {}",
            verdicts.iter().find(|v| v.sensor == "b-east").expect("it is judged").reason
        ),
    ];
    Status {
        schema: 1,
        age_s: Some(0.4),
        fresh: true,
        windows: history.windows(),
        health: Some(health),
        verdicts,
        processing: Vec::new(),
        ambient: AmbientLevels::default(),
        wrong,
    }
}

#[test]
fn the_table_is_the_golden_one() {
    let text = table::render(&status(), false);
    assert_eq!(text, include_str!("golden/status.txt"), "\n{text}");
    assert!(text.lines().all(|l| l.chars().count() <= table::WIDTH), "{text}");
    assert!(!text.contains('\x1b'), "colours and escapes only when told so");
}

#[test]
fn colours_change_nothing_else() {
    let (status, mut text) = (status(), String::new());
    let coloured = table::render(&status, true);
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        text.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    text.push_str(rest);
    assert_eq!(text, table::render(&status, false));
    assert_ne!(coloured, text);
}

#[test]
fn an_empty_box_and_a_good_one_say_so() {
    let none = Status {
        schema: 1,
        age_s: None,
        fresh: false,
        health: None,
        windows: History::new().windows(),
        verdicts: Vec::new(),
        processing: Vec::new(),
        ambient: AmbientLevels::default(),
        wrong: vec!["the daemon has made no snapshot yet".to_owned()],
    };
    assert_eq!(table::render(&none, false), "no snapshot yet\n\nWrong:\n- the daemon has made no snapshot yet\n");
    let good = Status { wrong: Vec::new(), ..status() };
    assert!(table::render(&good, false).ends_with("\nAll is well.\n"));
}
