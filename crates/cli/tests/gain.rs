//! `cellwarden gain`, with a receiver whose gain acts on its samples: noise of its own, and a converter that clips.
#![cfg(feature = "soapy")]

mod common;

use common::receiver::{CENTER, Daemon, command};
use serde_json::Value;
use std::path::Path;

/// A recording of a carrier at full scale, 100 kHz above the centre of 1 Msps.
fn carrier(folder: &Path) -> String {
    let sample = |i: i32| {
        let (q, i) = (f64::from(i % 10) * std::f64::consts::TAU / 10.0).sin_cos();
        [(i * 32767.0) as i16, (q * 32767.0) as i16]
    };
    let bytes: Vec<u8> = (0..100_000).flat_map(sample).flat_map(i16::to_le_bytes).collect();
    let path = folder.join("carrier.cs16");
    std::fs::write(&path, bytes).expect("writes");
    path.display().to_string()
}

/// A box with one receiver: the carrier has `dbm` at its input, 10 dBm read full scale at 0 dB of gain.
fn config(folder: &Path, gain: &str, dbm: i32, more: &str) -> String {
    format!(
        "data = 'data'\nhealth = 'off'\n[[device]]\nname = 'west'\nrate = '1M'\ngain = {gain}\n\
         soapy = 'driver=recording,file={},analogue={dbm},full_dbm=10,bits=14,nf=6{more}'\n\
         [[device.channel]]\nsensor = 'corridor'\ncenter = '{CENTER}'\n",
        carrier(folder)
    )
}

/// Output, errors and exit status of the command in `folder` with this configuration.
fn run(folder: &Path, config: &str, args: &[&str]) -> (String, String, Option<i32>) {
    let path = folder.join("box.toml");
    std::fs::write(&path, config).expect("writes");
    let path = path.display().to_string();
    let args: Vec<&str> = args.iter().map(|a| if *a == "FILE" { path.as_str() } else { a }).collect();
    let output = command(&args).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

const MEASURE: [&str; 7] = ["gain", "--config", "FILE", "--seconds", "0.3", "--step", "4"];

/// Numbers of the table: gain, floor, and what the phone reads.
fn rows(out: &str) -> Vec<(f64, f64, f64)> {
    let number = |text: Option<&str>| text.and_then(|t| t.parse().ok());
    let row = |line: &str| {
        let mut words = line.trim_start_matches('>').split_whitespace();
        let (gain, floor) = (number(words.next())?, number(words.next())?);
        Some((gain, floor, number(words.nth(3))?))
    };
    out.lines().filter_map(row).collect()
}

#[test]
fn the_gain_is_the_highest_at_which_the_phone_stays_at_the_target() {
    let folder = tempfile::tempdir().expect("a folder");
    // -20 dBm read -6 dBFS at 24 dB, and noise of -168 dBm/Hz reads -138 dBFS/Hz at 40 dB.
    let (out, err, code) = run(folder.path(), &config(folder.path(), "20", -70, ""), &MEASURE);
    assert_eq!(code, Some(0), "{out}{err}");
    let rows = rows(&out);
    assert_eq!(rows.len(), 16, "{out}");
    let at = |gain_db: f64| rows.iter().find(|r| r.0 == gain_db).expect("a row");
    assert!((at(60.0).1 + 118.0).abs() < 0.5, "{out}");
    assert!((at(24.0).2 + 6.0).abs() < 1.0, "what the floor says of dBm is right: {out}");
    assert!(out.contains("gain = 24.0") || out.contains("gain = 20.0"), "24 dB, or the step below by a hair: {out}");
    let full: f64 = out
        .split("full_scale_dbm = ")
        .nth(1)
        .and_then(|t| t.split_whitespace().next()?.parse().ok())
        .expect("full scale");
    let gain: f64 =
        out.split(": gain = ").nth(1).and_then(|t| t.split_whitespace().next()?.parse().ok()).expect("a gain");
    assert!((full - (10.0 - gain)).abs() < 1.0, "{out}");
    assert!(out.contains("898.10"), "the carrier is named: {out}");
    assert!(!folder.path().join("data/gain.json").exists(), "without --write nothing is written");
}

#[test]
fn what_clips_in_the_air_or_beside_the_sensor_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    // A carrier of -54 dBm clips from 54 dB on where 0 dBm read full scale, and a phone of -90 dBm would still be small.
    let strong = config(folder.path(), "20", -54, "").replace("full_dbm=10", "full_dbm=0");
    let (out, err, code) = run(folder.path(), &strong, &[&MEASURE[..], &["--phone-dbm", "-90"]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("gain = 52.0") && out.contains("in the air clips"), "{out}");
    // One of -34 dBm leaks over the whole band: the floor is not the receiver's own.
    let masked = config(folder.path(), "20", -34, "");
    let (out, _, code) = run(folder.path(), &masked, &MEASURE);
    assert!(code == Some(1) && out.contains("strong signal in the air"), "{out}");
    let (out, _, code) = run(folder.path(), &strong, &[&MEASURE[..], &["--phone-dbm", "20"]].concat());
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("put an attenuator (pad) of at least"), "{out}");
}

#[test]
fn the_daemon_takes_the_measured_gain_and_refuses_another_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let measured = config(folder.path(), "'measured'", -70, "");
    let (_, err, code) = run(folder.path(), &measured, &["run", "--config", "FILE"]);
    assert!(code == Some(2) && err.contains("not measured") && err.contains("cellwarden gain"), "{err}");
    let (out, err, code) = run(folder.path(), &measured, &[&MEASURE[..], &["--write"]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    let (out, err, code) = run(folder.path(), &measured, &["check", "--device", "FILE"]);
    assert!(
        code == Some(0) && out.contains("its gain is 24.0 dB") || out.contains("its gain is 20.0 dB"),
        "{out}{err}"
    );
    let moved = measured.replace(CENTER, "899.0M");
    let (_, err, code) = run(folder.path(), &moved, &["check", "FILE"]);
    assert!(code == Some(2) && err.contains("898 MHz") && err.contains("899 MHz"), "{err}");

    let text = std::fs::read_to_string(folder.path().join("data/gain.json")).expect("gain.json");
    let known: Value = serde_json::from_str(&text).expect("JSON");
    // A daemon in its own folder, with the data of this one.
    let data = format!("data = '{}'\n", folder.path().join("data").display());
    let daemon = Daemon::start_bare(&measured.replace("data = 'data'\n", &data));
    daemon.wait_for_log("The gain is the one that was measured");
    let while_it_runs = measured.replace("data = 'data'\n", &data);
    let (_, err, code) = run(folder.path(), &while_it_runs, &MEASURE);
    assert!(code == Some(1) && err.contains("end it first"), "{err}");
    assert!(daemon.log().contains(&format!("gain_db={}", known[0]["gain_db"])), "{}", daemon.log());
}

#[test]
fn wrong_usage_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = config(folder.path(), "20", -70, "");
    let other = good.replace("soapy = 'driver=recording", "rtl_tcp = '127.0.0.1:1").replace("nf=6'", "'");
    for (config, more, words, expected) in [
        (&good, &["--device", "east"][..], "the configuration has west", 2),
        (&good, &["--step", "0"], "--step 0", 2),
        (&good, &["--seconds", "nan"], "--seconds NaN", 2),
        (&good.replace("file=", "file=/no"), &[], "cannot read", 1),
        (&other, &[], "--gains", 2),
    ] {
        let (out, err, code) = run(folder.path(), config, &[&["gain", "--config", "FILE"], more].concat());
        assert_eq!(code, Some(expected), "{more:?}: {out}{err}");
        assert!(err.contains(words), "{words}: {err}");
    }
}
