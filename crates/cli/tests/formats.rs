//! What `replay --format` prints, on the golden recordings.

mod common;

use common::{golden, good};
use serde_json::Value;
use std::process::Command;

/// Standard output of `replay` on the golden GSM recording, in which sensor `corridor` hears one call in block A.
fn replay(args: &[&str]) -> String {
    let (site, recording) = (golden("site.toml").display().to_string(), golden("gsm.sigmf-meta").display().to_string());
    good(&[&["replay", "--site", &site], args, &[&format!("corridor={recording}")]].concat()).0
}

#[test]
fn the_table_lists_hits_by_block_and_what_each_sensor_lost() {
    let table = replay(&["--format", "table"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("BLOCK"), "{table}");
    let fields: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!((fields[0], fields[3], fields[5]), ("A", "gsm", "voice"), "{table}");
    assert!(table.contains("sensor corridor: 500000 samples, nothing lost"), "{table}");
    assert!(!table.contains('\x1b'), "colours are for terminals");
    assert!(!table.contains("100%"), "nothing is certain: {table}");
}

#[test]
fn a_live_table_shows_a_hit_open_and_close() {
    let table = replay(&["--format", "table", "--live"]);
    let states: Vec<&str> = table.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(states[..2], ["STATE", "open"], "{table}");
    assert_eq!(states.iter().filter(|s| **s == "closed").count(), 1, "{table}");
}

#[test]
fn csv_has_a_header_and_as_many_fields_in_each_line() {
    for (args, lines) in [(&["--format", "csv"][..], 2..=2), (&["--format", "csv", "--bursts"], 30..=1000)] {
        let text = replay(args);
        let fields = |line: &str| line.split(',').count();
        let header = fields(text.lines().next().expect("a header"));
        assert!(text.lines().all(|l| fields(l) == header), "{text}");
        assert!(lines.contains(&text.lines().count()), "{text}");
    }
}

#[test]
fn sigmf_is_a_whole_document_that_the_public_validator_takes() {
    let text = replay(&["--format", "sigmf"]);
    let meta: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(meta["global"]["core:datatype"], "ci8");
    assert_eq!(meta["global"]["core:sample_rate"], 1e6);
    assert_eq!(meta["captures"][0]["core:frequency"], 898e6);
    let annotations = meta["annotations"].as_array().expect("an array");
    let starts: Vec<u64> = annotations.iter().filter_map(|a| a["core:sample_start"].as_u64()).collect();
    assert!(starts.len() == annotations.len() && starts.is_sorted());
    let normal = annotations.iter().filter(|a| a["core:label"] == "gsm/normal").count();
    assert!(normal >= 30, "{normal}");

    let Some(validator) = std::env::var_os("CELLWARDEN_SIGMF_VALIDATE") else {
        eprintln!("SKIPPED: $CELLWARDEN_SIGMF_VALIDATE names no sigmf_validate");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("gsm.sigmf-meta");
    std::fs::write(&saved, &text).expect("writes");
    std::fs::copy(golden("gsm.sigmf-data"), folder.path().join("gsm.sigmf-data")).expect("copies");
    let output = Command::new(validator).arg(&saved).output().expect("the validator runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn several_recordings_are_an_array_of_documents() {
    let recording = golden("gsm.sigmf-meta").display().to_string();
    let (out, _) = good(&["replay", "--format", "sigmf", &format!("a={recording}"), &format!("b={recording}")]);
    let documents: Value = serde_json::from_str(&out).expect("JSON");
    let sensors: Vec<&Value> =
        documents.as_array().expect("an array").iter().map(|d| &d["global"]["cellwarden:sensor"]).collect();
    assert_eq!(sensors, ["a", "b"]);
}
