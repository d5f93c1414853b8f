//! What the detector has learned survives a restart.

#![allow(clippy::unwrap_used)] // a test may

mod common;

use cellwarden_detect::state::DetectorState;
use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_types::request::LevelRequest;
use common::{add_burst, block, bytes, noise};

const RATE_HZ: f64 = 2.4e6;

#[test]
fn a_restored_detector_hears_at_once_what_a_fresh_one_takes_for_its_floor() {
    let mut first = Detector::new("test".into(), DetectConfig::default());
    let mut out = Vec::new();
    first.process(&block(bytes(&noise(480_000, 3)), 0, RATE_HZ), &mut out);
    let text = serde_json::to_string(&first.state()).unwrap();
    let state: DetectorState = serde_json::from_str(&text).unwrap();

    // 18 ms of a 20 ms recording are on air: alone, nothing tells it from a raised floor.
    let mut iq = noise(52_000, 4);
    add_burst(&mut iq, RATE_HZ, 2_000, 43_000, 300e3, 300.0);
    let mut heard = Vec::new();
    let mut second = Detector::new("test".into(), DetectConfig::default());
    second.restore(state);
    second.process(&block(bytes(&iq), 0, RATE_HZ), &mut heard);
    second.finish(&mut heard);
    assert!(!heard.is_empty());
    let level = heard.iter().map(|b| b.snr_db).fold(f64::MIN, f64::max);
    assert!(level > 15.0, "{level}");
}

#[test]
fn tile_history_answers_by_time_and_band() {
    let mut detector = Detector::new("test".into(), DetectConfig::default());
    let mut iq = noise(240_000, 6);
    add_burst(&mut iq, RATE_HZ, 120_000, 24_000, 300e3, 400.0);
    detector.process(&block(bytes(&iq), 0, RATE_HZ), &mut Vec::new());
    let start: cellwarden_types::UtcNanos = "2026-03-01T06:00:00Z".parse().unwrap();
    let ask = |at_s: f64| LevelRequest {
        sensor: "test".into(),
        time: start.plus_seconds(at_s),
        duration_s: 5e-3,
        freq_lower_hz: 902.6e6,
        freq_upper_hz: 902.8e6,
    };
    let loud = detector.level(&ask(0.0525));
    let quiet = detector.level(&ask(0.030));
    let expected = 20.0 * (400.0f64 / 32768.0).log10();
    assert!((loud.power_dbfs.unwrap() - expected).abs() < 1.5, "{loud:?}");
    let (power, noise) = (quiet.power_dbfs.unwrap(), quiet.noise_dbfs.unwrap());
    assert!((power - noise).abs() < 1.0, "{quiet:?}");
    assert_eq!(detector.level(&ask(10.0)).power_dbfs, None);
}
