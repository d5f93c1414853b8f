//! `cellwarden status` against a health endpoint in this process.

mod common;

use cellwarden_health::{Health, HealthConfig};
use cellwarden_types::{BoxHealth, Hertz, SensorHealth, SensorLedger, SensorState, UtcNanos};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn snapshot(state: SensorState) -> BoxHealth {
    let time = UtcNanos(1_772_344_800_000_000_000);
    BoxHealth {
        time,
        started: time,
        software: "cellwarden 0.1.0".to_owned(),
        config_sha256: "ab".repeat(32),
        sensors: vec![SensorHealth {
            sensor: "a-west".into(),
            device: "west".to_owned(),
            state,
            since: time,
            center: Hertz(897.5e6),
            rate: Hertz(10e6),
            gain_db: Some(30.0),
            ledger: SensorLedger::default(),
            drift_ppm: None,
            time_uncertainty_s: None,
            floor_dbfs_per_hz: Some(-148.0),
            clipped: 0,
            unusable: 0,
            bursts: BTreeMap::new(),
            restarts: 0,
            last_error: None,
            temperature_celsius: None,
            self_test: Vec::new(),
        }],
        hits: BTreeMap::new(),
        processor_s: 0.0,
        memory_bytes: 1 << 20,
        store_trouble: None,
    }
}

fn endpoint(state: SensorState) -> (Health, String) {
    let health = Health::start("127.0.0.1:0".parse().expect("an address"), HealthConfig::default()).expect("starts");
    health.publish(snapshot(state));
    let address = health.address().to_string();
    (health, address)
}

fn status(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = common::cellwarden(&[&["status"], args].concat());
    (status.code(), String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"))
}

#[test]
fn all_is_well_is_0_and_something_wrong_is_1() {
    let (health, address) = endpoint(SensorState::Listening);
    let (code, out, err) = status(&["--address", &address]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("a-west      listens  GSM900") && out.ends_with("All is well.\n"), "{out}");
    assert!(!out.contains('\x1b'), "no colours without a terminal");
    health.publish(snapshot(SensorState::Down));
    let (code, out, err) = status(&["--address", &address]);
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(out.contains("- sensor a-west: down since 2026-03-01T06:00:00"), "{out}");
}

#[test]
fn json_is_what_the_daemon_tells() {
    let (_health, address) = endpoint(SensorState::Down);
    let (code, out, _) = status(&["--json", "--address", &address]);
    assert_eq!((code, out.lines().count()), (Some(1), 1));
    let told: cellwarden_health::Status = serde_json::from_str(&out).unwrap();
    assert_eq!(told.health.unwrap().sensors[0].state, SensorState::Down);
}

#[test]
fn no_daemon_and_a_wrong_one_get_a_clear_line() {
    let (health, address) = endpoint(SensorState::Listening);
    health.stop();
    let (code, out, err) = status(&["--address", &address]);
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
    assert!(err.contains(&address) && err.contains("does it run"), "{err}");
    // Something that answers, and is no cellwarden.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let answers = std::thread::spawn(move || {
        for body in ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"] {
            let (mut stream, _) = other.accept().unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            stream.write_all(body.as_bytes()).unwrap();
        }
    });
    for words in ["no cellwarden of this version", "answered 404"] {
        let (code, _, err) = status(&["--address", &address]);
        assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
        assert!(err.contains(words), "{err}");
    }
    answers.join().unwrap();
}

#[test]
fn wrong_addresses_are_wrong_usage() {
    for address in ["", "9464", ":9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "a b:1", "host/path:80"] {
        let (code, _, err) = status(&["--address", address]);
        assert_eq!(code, Some(2), "{address:?}: {err}");
    }
}

#[test]
fn a_watch_goes_on_without_the_daemon_and_stops_when_nobody_reads() {
    let (health, address) = endpoint(SensorState::Listening);
    let mut child = Command::new(env!("CARGO_BIN_EXE_cellwarden"))
        .args(["status", "--watch", "--address", &address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |words: &str| lines.by_ref().map(|l| l.unwrap()).take(100).any(|l| l.contains(words));
    assert!(until("All is well."));
    health.stop();
    assert!(until("does not answer"));
    drop(lines);
    let began = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() > Duration::from_secs(10) => {
                child.kill().unwrap();
                panic!("it goes on for nobody");
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    assert_eq!(status.code(), Some(1));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "", "a broken pipe is no news");
}

#[test]
fn help_teaches_by_example() {
    let (code, out, _) = status(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("Examples:") && out.contains("status --watch"), "{out}");
}
