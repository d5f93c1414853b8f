//! `cellwarden hits`: stored hits are listed and marked, by whoever may read the store.

mod common;

use cellwarden_store::{Limits, Store};
use cellwarden_types::Hit;
use common::{cellwarden, good, records};
use std::path::{Path, PathBuf};

fn hit(id: &str, block: &str, time: &str) -> Hit {
    serde_json::from_value(serde_json::json!({
        "id": id, "state": "closed", "revision": 2, "block": block, "cell": null,
        "block_probability": {block: 0.8, "outside": 0.2}, "standard": "lte", "band": "B20", "activity": "data",
        "start_s": 1.0, "end_s": 4.5, "time_start": time, "time_end": time, "bursts": 30, "peak_power_dbfs": -40.0,
        "snr_db": 12.0, "sensors": {"a-west": -41.0}, "confidence": 0.93, "evidence": []
    }))
    .expect("a hit")
}

/// A store that a daemon has open.
fn stored() -> (tempfile::TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cellwarden.db");
    let (mut store, _) = Store::open(&path, Limits::default()).expect("a store");
    let hits = [
        hit("h1", "A", "2026-03-01T06:00:00Z"),
        hit("h2", "B\u{1b}[2J", "2026-03-02T06:00:00Z"),
        hit("h3", "A", "2026-03-03T06:00:00Z"),
    ];
    store.put_hits(&hits, "2026-03-03T06:00:00Z".parse().expect("a time")).expect("stored");
    (folder, path, store)
}

fn ids(path: &Path, more: &[&str]) -> Vec<String> {
    let (out, _) = good(&[&["hits", "--store", path.to_str().expect("UTF-8")], more].concat());
    records(&out).iter().map(|r| r["id"].as_str().expect("an id").to_owned()).collect()
}

fn refused(path: &Path, more: &[&str], code: i32) -> String {
    let output = cellwarden(&[&["hits", "--store", path.to_str().expect("UTF-8")], more].concat());
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{more:?}: {said}");
    said
}

#[test]
fn stored_hits_are_listed_while_a_daemon_has_the_store() {
    let (_folder, path, store) = stored();
    let text = path.to_str().expect("UTF-8");
    assert_eq!(ids(&path, &[]), ["h1", "h2", "h3"]);
    assert_eq!(ids(&path, &["--from", "2026-03-02", "--to", "2026-03-03T06:00:00Z"]), ["h2"]);
    assert_eq!(ids(&path, &["--block", "A", "--format", "jsonl"]), ["h1", "h3"]);
    let (out, _) = good(&["hits", "--store", text, "--format", "jsonl", "--to", "2026-03-02"]);
    let expected = serde_json::to_value(hit("h1", "A", "2026-03-01T06:00:00Z")).expect("JSON");
    let mut record = records(&out).remove(0);
    record.as_object_mut().expect("an object").remove("type");
    assert_eq!(record, expected);
    let (table, _) = good(&["hits", "--store", text, "--format", "table"]);
    assert_eq!(table.lines().count(), 4);
    let line = table.lines().nth(1).expect("a hit");
    assert!(line.starts_with("2026-03-01T06:00:00Z      3.5 closed   A ") && line.ends_with("h1"), "{line}");
    assert!(!table.contains('\u{1b}'), "a block's name does not command the terminal");
    let (csv, _) = good(&["hits", "--store", text, "--format", "csv"]);
    assert!(csv.starts_with("id,block,") && csv.lines().count() == 4, "{csv}");
    drop(store);
    assert_eq!(ids(&path, &[]).len(), 3, "without a daemon, too");
}

#[test]
fn a_hit_is_kept_for_a_reason_and_no_longer_kept() {
    let (_folder, path, _store) = stored();
    let text = path.to_str().expect("UTF-8");
    good(&["hits", "--store", text, "--keep", "h2", "--why", "case 17"]);
    assert_eq!(ids(&path, &["--kept"]), ["h2"]);
    good(&["hits", "--store", text, "--unkeep", "h2"]);
    assert!(ids(&path, &["--kept"]).is_empty());
    assert!(refused(&path, &["--keep", "h1"], 2).contains("--why"));
    assert!(refused(&path, &["--keep", "h1", "--why", " "], 2).contains("reason"));
    assert!(refused(&path, &["--keep", "h9", "--why", "x"], 2).contains("h9"));
    assert!(refused(&path, &["--keep", "h1", "--unkeep", "h1", "--why", "x"], 2).contains("cannot be used with"));
}

#[test]
fn what_is_no_store_is_said_in_one_line() {
    let (folder, path, store) = stored();
    drop(store);
    let missing = folder.path().join("none.db");
    assert!(refused(&missing, &[], 2).contains("no store at"));
    assert!(!missing.exists(), "reading makes nothing");
    let text = folder.path().join("text");
    std::fs::write(&text, "hello").expect("writes");
    assert!(refused(&text, &[], 2).contains("no database"));
    assert!(refused(&path, &["--from", "yesterday"], 2).contains("2026-03-01"));
    assert!(refused(&path, &["--from", "2026-03-02", "--to", "2026-03-01"], 2).contains("not before"));
}
