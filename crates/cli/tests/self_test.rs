//! A daemon that tests its processing: test bursts are counted, and are in nothing else that it says, stores or keeps.
#![cfg(feature = "soapy")]

mod common;

use common::receiver::Daemon;
use common::{golden, good, hits};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A box with the device that plays `file`.
fn config(file: &Path, self_test: &str) -> String {
    let file = file.display();
    format!(
        "site = '{}'\n[self_test]\nevery_s = {self_test}\n[[device]]\nname = 'west'\nsoapy = 'driver=recording,file={file}'\n\
         rate = '2.4M'\ngain = 20\n[[device.channel]]\nsensor = 'corridor'\ncenter = '902.4M'\n",
        golden("site.toml").display()
    )
}

fn status(daemon: &Daemon, more: &[&str]) -> String {
    daemon.wait_for_log("address=");
    let log = daemon.log();
    let address = log.split("address=").nth(1).expect("an address").split_whitespace().next().expect("an address");
    let address: String = address.chars().filter(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    let args = [&["status", "--address", &address], more].concat();
    let output = Command::new(env!("CARGO_BIN_EXE_cellwarden")).args(args).output().expect("the binary runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Tests and those that were found, once there were so many.
fn tested(daemon: &Daemon, least: u64) -> (u64, u64) {
    for _ in 0..120 {
        let status: Value = serde_json::from_str(&status(daemon, &["--json"])).unwrap_or_default();
        let counts = status["health"]["sensors"][0]["self_test"].as_array().cloned().unwrap_or_default();
        let sum = |name: &str| counts.iter().filter_map(|c| c[name].as_u64()).sum::<u64>();
        if sum("tests") >= least {
            return (sum("tests"), sum("named"));
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    panic!("no {least} tests in a minute: {}", daemon.log());
}

/// Noise with a standard deviation of about 130 steps.
fn noise(path: &Path) {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    let mut value = || ((0..8).map(|_| uniform()).sum::<f64>() * 160.0) as i16;
    let bytes: Vec<u8> = (0..4_800_000).flat_map(|_| value().to_le_bytes()).collect();
    std::fs::write(path, bytes).expect("writes");
}

#[test]
fn on_noise_many_test_bursts_are_found_and_nothing_is_said_of_any() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("noise.cs16");
    noise(&path);
    let daemon = Daemon::start(&config(&path, "0.2"));
    let (tests, named) = tested(&daemon, 40);
    assert!(named + 2 >= tests, "{named} of {tests}");
    let text = status(&daemon, &[]);
    assert!(text.contains("processing of corridor: finds") && text.contains("GSM900 normal"), "{text}");
    let evidence = std::fs::read_dir(daemon.path("data/evidence")).expect("a folder");
    let kept = evidence.filter(|e| e.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|x| x == "h5"))).count();
    let (records, _) = daemon.end();
    let said: Vec<&Value> = records.iter().filter(|r| r["type"] == "burst" || r["type"] == "hit").collect();
    assert!(said.is_empty() && kept == 0, "{kept}: {said:?}");
}

/// What a closed hit says beside ids and times.
fn said(records: &[Value]) -> BTreeSet<String> {
    let closed = hits(records).into_iter().filter(|h| h["state"] == "closed");
    closed.map(|h| format!("{} {} {}", h["block"], h["standard"], h["band"])).collect()
}

/// A second with a call of 0.6 s, in the golden site.
fn call(folder: &Path) -> PathBuf {
    let scene = folder.join("scene.toml");
    let site = golden("site.toml");
    let text = format!(
        "seed = 5\nrate = '2.4M'\ncenter = '902.4M'\nduration_s = 1.0\nformat = 'cs16'\nsite = '{}'\n[[phone]]\n\
         name = 'call'\nposition = [12, 6]\nactivity = 'gsm-call'\narfcn = 59\ntimeslot = 2\nsubchannel = 1\ntsc = 3\n\
         start_s = 0.1\nlength_s = 0.6\neirp_dbm = 10\n",
        site.display()
    );
    std::fs::write(&scene, text).expect("writes");
    good(&["simulate", &scene.display().to_string(), "--out", &folder.display().to_string()]);
    folder.join("corridor.sigmf-data")
}

#[test]
fn the_hits_of_a_phone_stay_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = call(folder.path());
    let heard = |self_test: &str, tests: u64| {
        let daemon = Daemon::start(&config(&file, self_test));
        let enough = |r: &[Value]| hits(r).iter().filter(|h| h["state"] == "closed").count() >= 4;
        daemon.wait_for("four closed hits", enough);
        if tests > 0 {
            tested(&daemon, tests);
        }
        said(&daemon.end().0)
    };
    assert_eq!(heard("0.3", 15), heard("'off'", 0));
}
