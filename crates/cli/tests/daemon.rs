//! The life of a daemon: what it keeps, what it tells, and what is left when it is killed.
#![cfg(feature = "soapy")]

mod common;

use common::receiver::{CENTER, Daemon, device};
use common::{golden, hits, records};
use serde_json::Value;
use std::process::Command;

/// One device, in the golden site.
fn config() -> String {
    format!(
        "site = '{}'\n[[device]]\nname = 'west'\nsoapy = '{}'\nrate = '1M'\ngain = 20\n\
         [[device.channel]]\nsensor = 'corridor'\ncenter = '{CENTER}'\n",
        golden("site.toml").display(),
        device("")
    )
}

fn closed(records: &[Value]) -> Vec<String> {
    let is_closed = |h: &&&Value| h["state"] == "closed";
    hits(records).iter().filter(is_closed).map(|h| h["id"].as_str().expect("an id").to_owned()).collect()
}

/// Standard output and exit status of another command.
fn cellwarden(args: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_cellwarden")).args(args).output().expect("the binary runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn hits_are_stored_with_evidence_and_health_is_told() {
    let daemon = Daemon::start(&config());
    daemon.wait_for("three closed hits", |r| closed(r).len() >= 3);
    let store = daemon.path("data/cellwarden.db").display().to_string();
    let (listed, code) = cellwarden(&["hits", "--store", &store, "--format", "jsonl"]);
    assert_eq!(code, Some(0));
    let stored = records(&listed);
    for id in closed(&daemon.records()) {
        assert!(
            stored.iter().any(|h| h["id"] == id.as_str() && h["state"] == "closed"),
            "{id} is announced and not stored"
        );
    }
    let log = daemon.log();
    let address = log.split("address=").nth(1).expect("an address").split_whitespace().next().expect("an address");
    let address: String = address.chars().filter(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    let (status, code) = cellwarden(&["status", "--address", &address]);
    assert!(status.contains("corridor") && status.contains("listens") && status.contains("times right to"), "{status}");
    assert_eq!(code, Some(0), "{status}");
    let evidence = daemon.path("data/evidence").display().to_string();
    let key = daemon.path("data/keys/evidence.pub").display().to_string();
    let announced = closed(&daemon.records());
    let (log_path, folder) = (daemon.path("err"), daemon.path("data"));
    let kept = std::fs::read_dir(&evidence).expect("a folder").count();
    assert!(kept >= announced.len().min(3), "{kept}: {}", std::fs::read_to_string(log_path).expect("a log"));
    let (verdict, code) = cellwarden(&["verify", "--chain", &evidence, "--key", &key]);
    assert_eq!(code, Some(0), "{verdict}");
    // A mark of a hit is one of its evidence, set while the daemon has the folder.
    let marks = || {
        let names = std::fs::read_dir(&evidence).expect("a folder").map(|e| e.expect("an entry").file_name());
        names.map(|n| n.to_string_lossy().into_owned()).filter(|n| n.ends_with(".keep")).collect::<Vec<_>>()
    };
    let (_, code) = cellwarden(&["hits", "--store", &store, "--keep", &announced[0], "--why", "case 17"]);
    assert_eq!(code, Some(0));
    assert!(marks().len() == 1 && marks()[0].contains(&announced[0]), "{:?}", marks());
    let (verdict, code) = cellwarden(&["verify", "--chain", &evidence, "--key", &key]);
    assert_eq!(code, Some(0), "{verdict}");
    let (_, code) = cellwarden(&["hits", "--store", &store, "--unkeep", &announced[0]]);
    assert_eq!((code, marks()), (Some(0), Vec::new()));
    assert!(verdict.contains("the same"), "{verdict}");
    // No sample is kept anywhere.
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").file_name());
    let names: Vec<String> = entries.map(|n| n.to_string_lossy().into_owned()).collect();
    let known = |n: &String| n.starts_with("cellwarden.db") || n == "evidence" || n == "keys" || n == "learned";
    assert!(names.iter().all(known), "{names:?}");
    let (all, _) = daemon.end();
    let drift_ppm = &all.last().expect("a summary")["drift_ppm"]["corridor"];
    assert!(drift_ppm.is_f64(), "{drift_ppm}");
}

#[test]
fn a_daemon_that_is_killed_loses_no_hit_that_it_announced_and_closes_those_that_were_open() {
    let daemon = Daemon::start(&config());
    daemon.wait_for("a closed hit", |r| !closed(r).is_empty());
    let before = daemon.records();
    let announced = closed(&before);
    let open: Vec<String> = hits(&before)
        .iter()
        .map(|h| h["id"].as_str().expect("an id").to_owned())
        .filter(|id| !announced.contains(id))
        .collect();
    assert!(!open.is_empty(), "a call is always going on");
    let daemon = daemon.kill_and_start_again(&config());
    daemon.wait_for("those that were open", |r| open.iter().all(|id| closed(r).contains(id)));
    let store = daemon.path("data/cellwarden.db").display().to_string();
    daemon.wait_for("a new hit", |r| closed(r).iter().any(|id| !open.contains(id)));
    let stored = records(&cellwarden(&["hits", "--store", &store, "--format", "jsonl"]).0);
    for id in announced.iter().chain(&open) {
        assert!(stored.iter().any(|h| h["id"] == id.as_str() && h["state"] == "closed"), "{id}");
    }
    daemon.end();
}

#[test]
fn the_watchdog_is_fed_while_samples_move_and_only_then() {
    let config = config().replace("gsm.cs16", "gsm.cs16,state=STATE,faults=timeout@2500000:3600000");
    let daemon = Daemon::start(&config);
    let mut told = Vec::new();
    let seconds = |s: f64| std::thread::sleep(std::time::Duration::from_secs_f64(s));
    seconds(2.2);
    told.extend(daemon.told());
    assert_eq!(told.first().map(String::as_str), Some("READY=1"), "{told:?}");
    assert!(told.iter().any(|t| t == "WATCHDOG=1"), "{told:?}");
    // The receiver falls silent; what moved before is told once more.
    seconds(2.0);
    daemon.told();
    seconds(2.5);
    assert_eq!(daemon.told(), [""; 0]);
    daemon.end();
}

#[test]
fn sighup_takes_over_a_new_site_and_says_what_waits() {
    let site = std::fs::read_to_string(golden("site.toml")).expect("the site");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("site.toml");
    std::fs::write(&path, &site).expect("writes");
    let own = config().replace(&golden("site.toml").display().to_string(), &path.display().to_string());
    let daemon = Daemon::start(&own);
    let in_block = |r: &[Value], name: &str| hits(r).iter().any(|h| h["block"] == name && h["state"] == "closed");
    daemon.wait_for("a hit in A", |r| in_block(r, "A"));
    std::fs::write(&path, site.replace("\"A\"", "\"east wing\"")).expect("writes");
    let box_path = daemon.path("box.toml");
    let text = std::fs::read_to_string(&box_path).expect("its configuration");
    std::fs::write(&box_path, text.replace("gain = 20", "gain = 22")).expect("writes");
    daemon.signal("HUP");
    daemon.wait_for("a hit in the east wing", |r| in_block(r, "east wing"));
    assert!(daemon.log().contains("restart the service for what else is new: device"), "{}", daemon.log());
    std::fs::write(&path, "colour = 1").expect("writes");
    daemon.signal("HUP");
    let before = daemon.records().len();
    daemon.wait_for("more hits in the east wing", |r| r.len() > before + 200 && in_block(&r[before..], "east wing"));
    assert!(daemon.log().contains("nothing was taken over"), "{}", daemon.log());
    daemon.end();
}

#[test]
fn a_sensor_in_another_band_takes_no_evidence_away() {
    let device = |name: &str, center: &str| {
        format!(
            "[[device]]\nname = '{name}'\nsoapy = '{}'\nrate = '1M'\ngain = 20\n\
             [[device.channel]]\nsensor = '{name}'\ncenter = '{center}'\n",
            device("")
        )
    };
    let daemon = Daemon::start(&format!("{}{}", device("near", CENTER), device("far", "847M")));
    daemon.wait_for("three closed hits", |r| closed(r).len() >= 3);
    let log = daemon.log();
    assert!(log.contains("Evidence is kept") && !log.contains("No evidence is kept"), "{log}");
    daemon.end();
}

/// What is configured is known from the start, and kept with what is learned.
#[test]
fn base_stations_that_are_configured_are_known_and_kept() {
    let known = "[[base_station]]\ncenter = '902.05M'\nroots = [129, 710]\nbandwidth = '10M'\n";
    let daemon = Daemon::start(&format!("{}{known}", config()));
    daemon.wait_for("a closed hit", |r| !closed(r).is_empty());
    let (text, code) = daemon.end_and(|d| {
        let file = d.path("data/learned/corridor.json").display().to_string();
        cellwarden(&["learned", "--json", &file])
    });
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\"bandwidth_hz\":10000000.0"), "{text}");
    assert!(text.contains("\"is_configured\":true") && text.contains("\"root\":710"), "{text}");
}
