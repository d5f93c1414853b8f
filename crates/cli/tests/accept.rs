//! `cellwarden accept`: a daemon that hears the golden recording again and again, and a technician.
#![cfg(feature = "soapy")]

mod common;

use common::golden;
use common::receiver::{CENTER, Daemon, device};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn config(more: &str) -> String {
    format!(
        "site = '{}'\n[[device]]\nname = 'west'\nsoapy = '{}'\nrate = '1M'\ngain = 20\n\
         [[device.channel]]\nsensor = 'corridor'\ncenter = '{CENTER}'\n",
        golden("site.toml").display(),
        device(more)
    )
}

/// Runs `accept` on the daemon; `typed` is what the technician types.
fn accept(daemon: &Daemon, more: &[&str], typed: &str) -> (String, String, Option<i32>) {
    daemon.wait_for_log("address=");
    let log = daemon.log();
    let address = log.split("address=").nth(1).expect("an address").split_whitespace().next().expect("an address");
    let address: String = address.chars().filter(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    let file = daemon.path("box.toml").display().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cellwarden"))
        .args(["accept", "--config", &file, "--address", &address, "--seconds", "2"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("writes");
    let Output { stdout, stderr, status } = child.wait_with_output().expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), text(stderr), status.code())
}

fn sheets(daemon: &Daemon) -> Vec<PathBuf> {
    let names = std::fs::read_dir(daemon.path("data/commissioning")).expect("a folder");
    let paths = names.map(|e| e.expect("an entry").path());
    paths.filter(|p| p.extension().is_some_and(|e| e == "json")).collect()
}

fn verify(sheet: &str, key: Option<&str>) -> (String, Option<i32>) {
    let key: Vec<&str> = key.into_iter().flat_map(|k| ["--key", k]).collect();
    let output = common::cellwarden(&[&["verify", sheet][..], &key].concat());
    (String::from_utf8(output.stdout).expect("UTF-8"), output.status.code())
}

#[test]
fn a_phone_that_is_heard_from_everywhere_gives_a_signed_sheet_and_commissioning_values() {
    let daemon = Daemon::start(&config(""));
    daemon.wait_for("a hit", |r| !common::hits(r).is_empty());
    // The first place, and then the technician has to leave.
    let (out, err, code) = accept(&daemon, &["--place", "door", "--place", "A west, shower"], "\n");
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("--resume") && out.contains("door: heard"), "{out}{err}");
    let (out, err, code) =
        accept(&daemon, &["--place", "door", "--place", "A west, shower", "--resume", "--yes", "--by", "M. Doe"], "");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("door: done before") && out.contains("A west, shower: heard"), "{out}");
    let [sheet] = &sheets(&daemon)[..] else { panic!("one sheet: {:?}", sheets(&daemon)) };
    let text = std::fs::read_to_string(sheet).expect("reads");
    let signed: Value = serde_json::from_str(&text).expect("JSON");
    let sheet_of = &signed["sheet"];
    assert_eq!(
        (&sheet_of["sensor"], &sheet_of["gain_db"], &sheet_of["by"]),
        (&"corridor".into(), &20.0.into(), &"M. Doe".into())
    );
    let places = sheet_of["places"].as_array().expect("places");
    assert_eq!(places.len(), 2, "{text}");
    for place in places {
        let (level, margin) =
            (place["level_dbfs"].as_f64().expect("dBFS"), place["clipping_margin_db"].as_f64().expect("dB"));
        assert!(place["heard"] == true && level < 0.0 && level + margin == 0.0, "{place}");
        assert!(place["bursts"]["gsm"].as_u64() > Some(0) && place["lost_share"].is_number(), "{place}");
    }
    assert_eq!(sheet_of["files_sha256"].as_object().expect("files").len(), 1);

    let (path, key) = (sheet.display().to_string(), daemon.path("data/keys/evidence.pub").display().to_string());
    let (said, code) = verify(&path, Some(&key));
    assert!(
        code == Some(0) && said.contains("accepted: heard from every place") && said.contains("this sheet fits"),
        "{said}"
    );
    let changed = daemon.path("changed.json").display().to_string();
    for (from, to) in
        [("\"heard\": true", "\"heard\": false"), ("M. Doe", "N. Doe"), ("\n}", ",\n  \"x\": 1\n}"), ("{\n", "{ \n")]
    {
        std::fs::write(&changed, text.replace(from, to)).expect("writes");
        let (said, code) = verify(&changed, Some(&key));
        assert!(code == Some(1) && said.contains("DOES NOT FIT"), "{from}: {said}");
    }

    let values = std::fs::read_to_string(daemon.path("data/commissioning.json")).expect("values");
    let values: Value = serde_json::from_str(&values).expect("JSON");
    assert_eq!(
        (&values[0]["sensor"], &values[0]["gain_db"], &values[0]["center_hz"]),
        (&"corridor".into(), &20.0.into(), &898e6.into())
    );
    assert!(values[0]["floor_dbfs_per_hz"].as_f64() < Some(-80.0), "{values}");
    let again = daemon.kill_and_start_again(&config(""));
    again.wait_for("a hit", |r| !common::hits(r).is_empty());
    let store = again.path("data/cellwarden.db");
    let events = cellwarden_store::Reader::open(&store).expect("opens").events(&Default::default()).expect("reads");
    assert!(events.records.iter().any(|e| e.text.contains("the authorised phone made hits")), "{events:?}");
}

#[test]
fn a_phone_that_is_not_heard_is_tried_again_and_then_not_accepted() {
    // The channel is tuned to where nothing is sent, and the device gives silence.
    let folder = tempfile::tempdir().expect("a folder");
    let silence = folder.path().join("silence.cs16");
    std::fs::write(&silence, vec![0; 400_000]).expect("writes");
    let golden = common::receiver::recording().display().to_string();
    let config = config(",analogue=-60,bits=14").replace(&golden, &silence.display().to_string());
    let daemon = Daemon::start(&config);
    daemon.wait_for_log("address=");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (out, err, code) = accept(&daemon, &["--place", "far end"], "\n\n\nn\n");
    assert_eq!(code, Some(1), "{out}{err}");
    assert_eq!(out.matches("far end: NOT HEARD").count(), 2, "{out}");
    assert!(err.contains("not heard from every place: corridor"), "{err}");
    let [sheet] = &sheets(&daemon)[..] else { panic!("one sheet: {:?}", sheets(&daemon)) };
    let (said, code) = verify(&sheet.display().to_string(), None);
    assert!(code == Some(0) && said.contains("NOT ACCEPTED") && said.contains("no key was given"), "{said}");
}

#[test]
fn without_a_daemon_and_with_wrong_names_it_is_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("box.toml");
    std::fs::write(&path, format!("data = 'data'\nhealth = '127.0.0.1:1'\n{}", config(""))).expect("writes");
    let path = path.display().to_string();
    for (args, words, expected) in [
        (&["--yes"][..], "the daemon does not answer on 127.0.0.1:1", 1),
        (&["--sensor", "roof"], "the configuration has corridor", 2),
        (&["--seconds", "0"], "--seconds 0", 2),
    ] {
        let output = common::cellwarden(&[&["accept", "--config", &path], args].concat());
        let err = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.code() == Some(expected) && err.contains(words), "{words}: {err}");
    }
}
