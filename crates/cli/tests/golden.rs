//! Recordings whose answer is known to the byte. `scripts/golden` makes them anew after a change that was meant.

mod common;

use cellwarden_types::SampleFormat;
use common::{golden, hits};
use serde_json::Value;
use std::path::Path;

fn same_as_golden(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(golden(&format!("{name}.jsonl"))).expect("the golden answer");
    let site = golden("site.toml").display().to_string();
    let recording = format!("corridor={}", golden(&format!("{name}.sigmf-meta")).display());
    let (got, want) = (common::replay(&["--site", &site, &recording]), common::records(&text));
    for (g, w) in got.iter().zip(&want) {
        for key in ["type", "sensor", "standard", "kind", "block", "activity", "bursts", "hits", "samples"] {
            assert_eq!(g.get(key), w.get(key), "{name}: {g}\nwanted {w}");
        }
        for (key, slack) in [
            ("start_s", 3e-6),
            ("duration_s", 3e-6),
            ("power_dbfs", 0.11),
            ("snr_db", 0.11),
            ("freq_lower_hz", 1.0),
            ("freq_upper_hz", 1.0),
            ("confidence", 0.011),
        ] {
            let number = |v: &Value| v.get(key).and_then(Value::as_f64);
            match (number(g), number(w)) {
                (Some(a), Some(b)) => assert!((a - b).abs() <= slack, "{name}: {key} {a} for {b}\n{g}"),
                (a, b) => assert_eq!(a, b, "{name}: {key}\n{g}"),
            }
        }
    }
    assert_eq!(got.len(), want.len(), "{name}");
    got
}

#[test]
fn a_gsm_call_beside_a_staff_radio_is_one_hit_in_its_block() {
    let records = same_as_golden("gsm");
    let hits = hits(&records);
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert_eq!((&hits[0]["standard"], &hits[0]["block"]), (&"gsm".into(), &"A".into()));
    let normal = records.iter().filter(|r| r["kind"] == "normal" && r["detail"]["training_sequence"] == "TSC3").count();
    assert!(normal >= 30, "{normal}");
}

#[test]
fn an_lte_attach_is_one_hit_in_its_block() {
    let records = same_as_golden("lte");
    let hits = hits(&records);
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert_eq!((&hits[0]["standard"], &hits[0]["block"]), (&"lte".into(), &"A".into()));
    let roots: Vec<&Value> = records.iter().filter(|r| r["kind"] == "prach").map(|r| &r["detail"]["root"]).collect();
    // The scene's logical root 22 is the sequence's root 1 (TS 36.211 table 5.7.2-4).
    assert!(!roots.is_empty() && roots.iter().all(|r| **r == 1), "{roots:?}");
}

/// The golden recording `name` with I and Q exchanged, in `to`.
fn exchanged(name: &str, to: &Path) -> String {
    let path = |folder: &Path, half: &str| folder.join(format!("{name}.sigmf-{half}"));
    let text = std::fs::read_to_string(path(&golden(""), "meta")).expect("the golden recording");
    let mut meta: Value = serde_json::from_str(&text).expect("JSON");
    let format: SampleFormat = meta["global"]["core:datatype"].as_str().expect("a name").parse().expect("a format");
    let mut bytes = std::fs::read(path(&golden(""), "data")).expect("the golden recording");
    for sample in bytes.chunks_exact_mut(format.bytes_per_sample()) {
        sample.rotate_left(format.bytes_per_sample() / 2);
    }
    std::fs::write(path(to, "data"), bytes).expect("writes");
    meta["global"].as_object_mut().expect("an object").remove("core:sha512");
    std::fs::write(path(to, "meta"), meta.to_string()).expect("writes");
    path(to, "meta").display().to_string()
}

#[test]
fn exchanged_i_and_q_are_said_and_not_detected() {
    let to = tempfile::tempdir().expect("a folder");
    for name in ["gsm", "lte"] {
        let recording = exchanged(name, to.path());
        let (out, err) = common::good(&["replay", "--bursts", "--format", "jsonl", &recording]);
        assert!(err.contains("I and Q are swapped"), "{name}: {err}");
        assert!(hits(&common::records(&out)).is_empty(), "{name}: {out}");
    }
}
