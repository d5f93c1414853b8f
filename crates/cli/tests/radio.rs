//! A radio through the real SoapySDR library: `soapy/recording_device.cpp` plays a golden recording.
#![cfg(feature = "soapy")]

mod common;

use common::receiver::{CENTER, RATE_HZ, command, device, recording};
use common::{golden, hits, records};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// `cellwarden run` on the device with `more` arguments, for `seconds`.
fn run(more: &str, seconds: &str) -> Output {
    let site = golden("site.toml").display().to_string();
    let tuned = ["--center", CENTER, "--rate", "1M", "--gain", "20", "--seconds", seconds];
    let listen = ["--bursts", "--format", "jsonl", "--site", &site, "corridor"];
    command(&[&["run", "--device", &device(more)], &tuned[..], &listen].concat()).output().expect("the binary runs")
}

fn read(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    records(std::str::from_utf8(&output.stdout).expect("UTF-8"))
}

fn bursts(records: &[Value]) -> Vec<(Value, Value, Value)> {
    let all = records.iter().filter(|r| r["type"] == "burst");
    all.map(|b| (b["sample_start"].clone(), b["standard"].clone(), b["kind"].clone())).collect()
}

#[test]
fn a_radio_hears_what_a_replay_of_the_same_samples_hears() {
    let live = read(&run("", "0.5"));
    let file = recording().display().to_string();
    let site = golden("site.toml").display().to_string();
    let recording = format!("corridor={file}");
    let replayed = common::replay(&["--rate", "1M", "--center", CENTER, "--site", &site, &recording]);
    assert_eq!(bursts(&live), bursts(&replayed));
    let closed: Vec<&Value> = hits(&live).into_iter().filter(|h| h["state"] == "closed").collect();
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!((&closed[0]["block"], &closed[0]["standard"]), (&"A".into(), &"gsm".into()));
    assert!(closed[0]["time_start"].is_string(), "a radio's hits have a time: {}", closed[0]);
    let opened = hits(&live).iter().filter(|h| h["state"] == "open").count();
    assert_eq!(opened, 1, "a hit is reported when it opens");
}

#[test]
fn lost_samples_are_counted_where_they_were_lost_and_times_go_on() {
    for more in [",faults=lose@300000:10007", ",faults=overflow@300000:10007"] {
        let records = read(&run(more, "0.5"));
        let gaps: Vec<&Value> = records.iter().filter(|r| r["type"] == "gap").collect();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0]["sample_start"], 300_000);
        assert_eq!(gaps[0]["sample_count"], 10_007);
        assert_eq!(gaps[0]["reason"], "overflow");
        let summary = records.last().expect("a summary");
        assert_eq!(summary["lost_samples"], 10_007);
        let ledger = &summary["sensors"]["corridor"];
        assert_eq!(ledger["expected"], RATE_HZ / 2);
        assert_eq!(ledger["processed"], RATE_HZ / 2 - 10_007);
        let after = records.iter().find(|r| r["type"] == "burst" && r["sample_start"].as_u64() > Some(300_000));
        let after = after.expect("a burst after the gap");
        let late_s =
            after["start_s"].as_f64().expect("s") - after["sample_start"].as_f64().expect("n") / RATE_HZ as f64;
        assert!((late_s - 0.010_007).abs() < 2e-6, "{after}");
    }
}

#[test]
fn without_hardware_time_an_overflow_is_a_gap_of_at_least_one_sample() {
    let records = read(&run(",faults=overflow@300000:10007,timeless=1", "0.4"));
    let gap = records.iter().find(|r| r["type"] == "gap").expect("a gap");
    assert_eq!((&gap["sample_start"], &gap["reason"]), (&300_000.into(), &"overflow".into()));
    assert!(gap["sample_count"].as_u64() >= Some(1));
}

#[test]
fn what_a_device_refuses_is_one_clear_line() {
    let radio = device("");
    for (args, word, code) in [
        (&["--device", "driver=nothing", "--rate", "1M"][..], "opening", 1),
        (&["--device", "driver=recording,file=/nonexistent", "--rate", "1M"], "cannot read /nonexistent", 1),
        (&["--device", &radio, "--rate", "200M"], "rate 200 MHz: it has 0.1 to 100 Msps", 1),
        (&["--device", &radio, "--rate", "100k"], "works from 240 kHz", 2),
        (&["--device", &radio, "--rate", "1M", "--channel", "3"], "channel 3 of 1", 1),
        (&["--device", &radio, "--rate", "1M", "--seconds", "-1"], "seconds: want more than 0", 2),
        (&["--device", &radio, "--rate", "1M", "--format", "sigmf"], "replay", 2),
    ] {
        let output = command(&[&["run", "--center", CENTER, "--gain", "20"], args].concat()).output().expect("runs");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        // SoapySDR's own log may stand before it.
        let line = text.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(line.starts_with("cellwarden: ") || code == 2, "{args:?}: {text}");
        assert!(text.contains(word), "{args:?}: {text}");
    }
}

#[test]
fn a_signal_ends_a_silent_radio_with_everything_written() {
    let radio = device(",faults=timeout@0:3600000");
    let args = ["run", "--device", &radio, "--center", CENTER, "--rate", "1M", "--gain", "20", "--format", "jsonl"];
    let child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // It catches signals from a moment after its start on; until then one would just end it.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let records = read(&child.wait_with_output().expect("ends"));
    assert_eq!(records.last().expect("a summary")["type"], "summary");
}

#[test]
fn devices_are_listed_and_probed_and_settings_held_against_what_they_can_do() {
    let text = |output: Output| {
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        (out, String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
    };
    let (out, err, code) = text(command(&["devices", "--probe", &device("")]).output().expect("runs"));
    assert_eq!(code, Some(0), "{err}");
    for words in ["driver=recording", "RX, RX2", "0.1 to 100 Msps", "gain LNA", "0 to 30 dB", "10 to 6000 MHz", "CS16"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (_, err, code) = text(command(&["devices", "driver=nothing"]).output().expect("runs"));
    assert!(code == Some(1) && err.contains("no device that is driver=nothing"), "{err}");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("box.toml");
    let config = format!(
        "[[device]]\nname = 'west'\nsoapy = '{}'\nrate = '1M'\ngain = {{ LNA = 20 }}\n\
         [[device.channel]]\nsensor = 'one'\ncenter = '{CENTER}'\n",
        device("")
    );
    for (change, with, words, expected) in [
        ("", "", "can do what is asked", 0),
        ("LNA = 20", "LNA = 40", "gain LNA 40 dB: it has 0 to 30 dB", 2),
        ("LNA = 20", "TIA = 20", "gain \"TIA\": it has LNA, VGA", 2),
        ("'1M'", "'200M'", "rate 200 MHz", 2),
        ("center", "antenna = 'TX'\ncenter", "antenna \"TX\": it has RX, RX2", 2),
        ("driver=recording", "driver=nothing", "opening", 1),
    ] {
        let config = if change.is_empty() { config.clone() } else { config.replace(change, with) };
        std::fs::write(&path, config).expect("writes");
        let arguments = ["check", "--device", &path.display().to_string()];
        let (out, err, code) = text(command(&arguments).output().expect("runs"));
        assert_eq!(code, Some(expected), "{with}: {err}");
        assert!(format!("{out}{err}").contains(words), "{words}: {out}{err}");
    }
}
