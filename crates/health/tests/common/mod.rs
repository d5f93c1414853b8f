//! Snapshots as the daemon makes them.

#![allow(dead_code)] // each test file uses some of it

use cellwarden_types::{BoxHealth, Hertz, SensorHealth, SensorLedger, SensorState, UtcNanos};
use std::collections::BTreeMap;

/// 2026-03-01T06:00:00Z.
pub const STARTED: UtcNanos = UtcNanos(1_772_344_800_000_000_000);
pub const RATE: u64 = 10_000_000;

pub fn sensor(name: &str) -> SensorHealth {
    SensorHealth {
        sensor: name.into(),
        device: format!("{name}-radio"),
        state: SensorState::Listening,
        since: STARTED,
        center: Hertz(897.5e6),
        rate: Hertz(RATE as f64),
        gain_db: Some(30.0),
        ledger: SensorLedger::default(),
        drift_ppm: Some(1.25),
        time_uncertainty_s: Some(0.0008),
        floor_dbfs_per_hz: Some(-148.2),
        clipped: 0,
        unusable: 0,
        bursts: BTreeMap::new(),
        restarts: 0,
        last_error: None,
        temperature_celsius: Some(41.0),
        self_test: Vec::new(),
    }
}

pub fn snapshot(sensors: Vec<SensorHealth>) -> BoxHealth {
    BoxHealth {
        time: STARTED,
        started: STARTED,
        software: "cellwarden 0.1.0".to_owned(),
        config_sha256: "ab".repeat(32),
        sensors,
        hits: BTreeMap::from([("A".to_owned(), 3)]),
        processor_s: 0.0,
        memory_bytes: 68 << 20,
        store_trouble: None,
    }
}

/// The box `s` seconds after its start: every sensor that listens has its samples.
pub fn advance(snapshot: &mut BoxHealth, s: f64) {
    snapshot.time = snapshot.time.plus_seconds(s);
    snapshot.processor_s += 0.8 * s;
    for sensor in snapshot.sensors.iter_mut().filter(|s| s.state == SensorState::Listening) {
        let samples = (s * RATE as f64) as u64;
        sensor.ledger.expected += samples;
        sensor.ledger.processed += samples;
    }
}
