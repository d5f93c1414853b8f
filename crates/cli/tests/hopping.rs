//! A daemon whose receiver listens at several centres in turn, through the real SoapySDR library: what it hears, and where every
//! sample went.
#![cfg(feature = "soapy")]

mod common;

use cellwarden_types::UtcNanos;
use common::receiver::{Daemon, RATE_HZ, assert_closed, command, folder, gaps, ledger, recording};
use common::{golden, hits};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The device settles in so many samples.
const SETTLE: u64 = 10_000;
const SETTLE_MS: u64 = 1_000 * SETTLE / RATE_HZ;
/// From here on, for a multiframe of 120 ms, the golden recording is in the middle of a call: played again and again, it is one
/// call without an end.
const CALL_FROM: u64 = 300_000;
const CALL: u64 = 120_000;

/// The call as cs16, written once: a device of another test may have it mapped.
fn call() -> &'static Path {
    static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = folder().join("call.cs16");
        let bytes = std::fs::read(recording()).expect("the recording");
        let part = CALL_FROM as usize * 4..(CALL_FROM + CALL) as usize * 4;
        std::fs::write(&path, &bytes[part]).expect("writes");
        path
    });
    &PATH
}

/// A box whose receiver hears the call at 898 MHz alone, and is at full scale while it settles.
fn config(dwell_s: f64, settle_ms: u64, centers: &str, more: &str) -> String {
    format!(
        "queue_s = 10.0\nself_test = {{ every_s = 'off' }}\nsite = '{}'\n[[device]]\nname = 'west'\n\
         soapy = 'driver=recording,file={},tuned=898000000,settle={SETTLE_MS}{more}'\nrate = '1M'\ngain = 20\n\
         [device.hop]\ndwell_s = {dwell_s}\nsettle_ms = {settle_ms}\n\
         [[device.channel]]\nsensor = 'corridor'\ncenters = [{centers}]\n",
        golden("site.toml").display(),
        call().display()
    )
}

fn bursts(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|r| r["type"] == "burst" && r["standard"] == "gsm").collect()
}

/// Where a burst begins on the device's count of samples.
fn place(burst: &Value) -> f64 {
    burst["start_s"].as_f64().expect("a start") * RATE_HZ as f64
}

/// Visits of 898 MHz in which bursts were heard, of a round that takes `cycle` samples.
fn visits(records: &[Value], cycle: u64) -> usize {
    bursts(records).iter().map(|b| place(b) as u64 / cycle).collect::<BTreeSet<_>>().len()
}

/// Samples thrown away of `expected`, by dwell and time to settle alone.
fn thrown(expected: u64, dwell: u64) -> u64 {
    let behind = expected.saturating_sub(dwell);
    behind / (SETTLE + dwell) * SETTLE + (behind % (SETTLE + dwell)).min(SETTLE)
}

#[test]
fn a_call_over_several_visits_is_one_hit_and_every_sample_is_accounted_for() {
    let (dwell, centers) = (300_000, "'898.0M', 847e6, '1.7475G'");
    let cycle = 3 * (dwell + SETTLE);
    let daemon = Daemon::start(&config(dwell as f64 / RATE_HZ as f64, SETTLE_MS, centers, ",utc=1"));
    daemon.wait_for("four visits", |r| visits(r, cycle) >= 4);
    let (records, log) = daemon.end_with_log();
    assert!(log.contains("Evidence is kept.") && !log.contains("do not give the hit"), "{log}");
    // The ledger: nothing was lost, and what was thrown away is what dwell and settle say.
    assert_closed(&records, &["corridor"]);
    let entry = |name: &str| ledger(&records, "corridor", name);
    assert_eq!((entry("overflow"), entry("overload")), (0, 0), "{log}");
    assert_eq!(entry("retune"), thrown(entry("expected"), dwell), "{}", records[records.len() - 1]);
    assert_eq!(gaps(&records, "corridor", "retune"), [0; 0], "a change of centre is nothing to be told each time");
    // One phone.
    let of_phones: Vec<&Value> = hits(&records).into_iter().filter(|h| h["standard"] == "gsm").collect();
    let ids: BTreeSet<&str> = of_phones.iter().filter_map(|h| h["id"].as_str()).collect();
    let last = of_phones.last().expect("a hit");
    assert_eq!((ids.len(), &last["state"], &last["block"]), (1, &"closed".into(), &"A".into()), "{of_phones:#?}");
    // What a change of centre cuts off may be a burst without a name that is taken for its own.
    let unnamed = records.iter().filter(|r| r["type"] == "burst" && r["standard"] == "unknown").count();
    let (named, all) = (bursts(&records).len() as u64, last["bursts"].as_u64().expect("a count"));
    assert!((named..=named + unnamed as u64).contains(&all), "{named}, {unnamed}: {last}");
    // Each burst lies in a visit of its centre, and where the recording has it, to two samples; so do the device's times.
    let text = std::fs::read_to_string(golden("gsm.jsonl")).expect("the golden answer");
    let known: Vec<f64> = common::records(&text)
        .iter()
        .filter(|r| r["type"] == "burst" && r["kind"] == "normal")
        .map(|r| r["sample_start"].as_f64().expect("a place") - CALL_FROM as f64)
        .collect();
    let nanoseconds = |b: &Value| {
        let time: UtcNanos = b["time"].as_str().expect("a time").parse().expect("UTC");
        time.0 - (place(b) * 1e9 / RATE_HZ as f64).round() as i64
    };
    let zero = nanoseconds(bursts(&records)[0]);
    for burst in bursts(&records) {
        let (at, hz) = (place(burst), burst["freq_lower_hz"].as_f64().expect("a frequency"));
        assert!(at % (cycle as f64) < dwell as f64, "{at}");
        assert!((hz - 897.9e6).abs() < 1e3, "{burst}");
        let off = known.iter().map(|k| (at % CALL as f64 - k).abs()).fold(f64::INFINITY, f64::min);
        assert!(off <= 2.0, "{off} samples from where the recording has it: {burst}");
        assert!((nanoseconds(burst) - zero).abs() < 1_000, "{burst}");
    }
}

#[test]
fn channels_go_in_step_and_what_is_lost_on_the_way_is_not_thrown_away() {
    // In the first change of centre, which is at 200,000, the driver loses samples; in the second dwell, too.
    let (dwell, lost) = (200_000, [4_000, 7_000]);
    let faults = format!(",channels=2,faults=lose@203000:{};lose@300000:{}", lost[0], lost[1]);
    let config = config(dwell as f64 / RATE_HZ as f64, SETTLE_MS, "'898.0M', '847M'", &faults)
        + "[[device.channel]]\nsensor = 'other'\nnumber = 1\ncenters = ['847M', '898M']\n";
    let site = std::fs::read_to_string(golden("site.toml")).expect("the golden site");
    let (_, sensor) = site.split_once("[[sensor]]").expect("a sensor");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.toml");
    std::fs::write(&path, format!("{site}\n[[sensor]]{}", sensor.replace("corridor", "other"))).expect("writes");
    let config = config.replace(&golden("site.toml").display().to_string(), &path.display().to_string());
    let daemon = Daemon::start(&config);
    let of = |r: &[Value], sensor: &str| {
        bursts(r).into_iter().filter(|b| b["sensor"] == sensor).map(place).collect::<Vec<_>>()
    };
    daemon.wait_for("visits of both", |r| ["corridor", "other"].iter().all(|s| of(r, s).last() > Some(&1.3e6)));
    let (records, _) = daemon.end();
    assert_closed(&records, &["corridor", "other"]);
    for (sensor, first) in [("corridor", 0), ("other", 1)] {
        assert_eq!(gaps(&records, sensor, "overflow"), lost, "{sensor}");
        let entry = |name: &str| ledger(&records, sensor, name);
        // Without the second loss each dwell would be over earlier by it.
        assert_eq!(entry("retune"), thrown(entry("expected") - lost[1], dwell) - lost[0], "{sensor}");
        assert_eq!(entry("overload"), 0);
        let visit = |at: f64| (if at < 300_000.0 { at } else { at - lost[1] as f64 }) as u64 / (dwell + SETTLE);
        let places = of(&records, sensor);
        assert!(places.iter().all(|&at| visit(at) % 2 == first), "{sensor}: {places:?}");
    }
}

#[test]
fn what_a_receiver_gives_before_it_has_settled_is_heard_unless_it_is_thrown_away() {
    let overload_and_retune = |settle_ms| {
        let daemon = Daemon::start(&config(0.1, settle_ms, "'898.0M', '847M'", ""));
        daemon.wait_for("six visits", |r| visits(r, 2 * (100_000 + settle_ms * 1_000)) >= 6);
        let (records, _) = daemon.end();
        assert_closed(&records, &["corridor"]);
        (ledger(&records, "corridor", "overload"), ledger(&records, "corridor", "retune"))
    };
    let (overload, retune) = overload_and_retune(0);
    assert!(overload > 5 * SETTLE && retune == 0, "{overload}, {retune}");
    let (overload, retune) = overload_and_retune(SETTLE_MS);
    assert!(overload == 0 && retune >= 10 * SETTLE, "{overload}, {retune}");
}

#[test]
fn a_receiver_that_cannot_be_tuned_any_more_is_started_anew() {
    let daemon = Daemon::start(&config(0.2, SETTLE_MS, "'898.0M', '847M'", ",stuck=847000000"));
    daemon.wait_for_log("the synthesiser does not lock");
    daemon.wait_for("a second life", |r| !gaps(r, "corridor", "disconnect").is_empty());
    let (records, _) = daemon.end();
    assert_closed(&records, &["corridor"]);
}

#[test]
fn a_configuration_that_cannot_hop_is_refused() {
    let good = config(0.3, SETTLE_MS, "'898.0M', '847M'", "");
    let hop = format!("[device.hop]\ndwell_s = 0.3\nsettle_ms = {SETTLE_MS}\n");
    let folder = tempfile::tempdir().expect("a folder");
    let check = |text: &str, more: &[&str]| {
        let path = folder.path().join("box.toml").display().to_string();
        std::fs::write(&path, text).expect("writes");
        let output = command(&[&["check"], more, &[&path]].concat()).output().expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stderr), text(&output.stdout))
    };
    // A centre that comes twice in a round is one.
    for centers in ["'898.0M', '847M'", "'898.0M', '847M', '898.0M', '847M'"] {
        let (code, said, out) = check(&config(0.3, SETTLE_MS, centers, ""), &["--device"]);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{centers}");
        assert!(out.contains("rings of 1 s take 2 MB"), "a byte for each sample of two centres: {out}");
    }
    for (text, more, words) in [
        (good.replace(&hop, ""), None, "[device.hop]"),
        (good.replace("centers = ['898.0M', '847M']", "center = '898.0M'"), None, "has one center"),
        (good.replace("'847M'", "'898M'"), None, "one centre only"),
        (good.replace("centers =", "center = '898.0M'\ncenters ="), None, "both center and centers"),
        (good.replace("dwell_s = 0.3", "dwell_s = 61"), None, "dwell_s"),
        (good.replace("'847M'", "'7G'"), Some("--device"), "center 7 GHz"),
    ] {
        let (code, said, _) = check(&text, more.as_slice());
        assert!(code == Some(2) && said.contains(words), "{words}: {code:?} {said}");
    }
}
