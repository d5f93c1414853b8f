//! Recordings of real devices made by others, read from `../shared/corpus/real` where that is present (or `$SHARED`).

mod common;

use common::hits;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where the recordings lie; says so and gives nothing where they are not.
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("SHARED").map_or(beside, PathBuf::from);
    let real = shared.join("corpus/real");
    if !real.is_dir() {
        eprintln!("SKIPPED: no {}", real.display());
        return None;
    }
    Some(real)
}

/// What `replay --bursts` prints for a recording, with `more` arguments.
fn replay(folder: &Path, name: &str, more: &[&str]) -> Vec<Value> {
    let recording = folder.join(format!("{name}.sigmf-meta")).display().to_string();
    common::replay(&[more, &[&recording]].concat())
}

fn named<'a>(records: &'a [Value], standard: &str, kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|r| r["type"] == "burst" && r["standard"] == standard && r["kind"] == kind).collect()
}

fn middle_hz(burst: &Value) -> f64 {
    (burst["freq_lower_hz"].as_f64().expect("Hz") + burst["freq_upper_hz"].as_f64().expect("Hz")) / 2.0
}

#[test]
fn the_dongles_preamble_and_its_three_allocations_are_found_and_named() {
    let Some(folder) = folder() else { return };
    let records = replay(&folder, "lte_dongle_access_30.72M", &[]);
    let prach = named(&records, "lte", "prach");
    assert_eq!(prach.len(), 1, "{prach:?}");
    assert_eq!(prach[0]["detail"]["root"], 129);
    assert!((middle_hz(prach[0]) - 842e6).abs() < 20e3);
    let pusch = named(&records, "lte", "pusch");
    assert_eq!(pusch.len(), 3, "{pusch:?}");
    for burst in &pusch {
        assert_eq!(burst["detail"]["resource_blocks"], 8);
        assert!((middle_hz(burst) - 838.25e6).abs() < 100e3, "{burst}");
    }
    let start = |i: usize| pusch[i]["start_s"].as_f64().expect("seconds");
    assert!((start(1) - start(0) - 8e-3).abs() < 20e-6 && (start(2) - start(1) - 8e-3).abs() < 20e-6);
    assert_eq!(hits(&records).len(), 1);
}

#[test]
fn the_preamble_of_root_140_is_found_once() {
    let Some(folder) = folder() else { return };
    let prach = replay(&folder, "lte_prach_root140_30.72M", &[]);
    let prach = named(&prach, "lte", "prach");
    assert_eq!(prach.len(), 1, "{prach:?}");
    assert_eq!(prach[0]["detail"]["root"], 140);
}

#[test]
fn the_gsm_phones_four_bursts_are_found_and_named() {
    let Some(folder) = folder() else { return };
    let records = replay(&folder, "gsm_phone_4bursts_1.083M", &[]);
    let bursts = named(&records, "gsm", "normal");
    assert_eq!(bursts.len(), 4, "{bursts:?}");
    for pair in bursts.windows(2) {
        let apart = pair[1]["start_s"].as_f64().expect("s") - pair[0]["start_s"].as_f64().expect("s");
        assert!((apart - 60e-3 / 13.0).abs() < 5e-6, "{apart}");
    }
    for burst in bursts {
        assert_eq!(burst["detail"]["training_sequence"], "TSC1");
        let offset_hz = burst["carrier_offset_hz"].as_f64().expect("Hz");
        assert!((offset_hz + 750.0).abs() < 400.0, "{offset_hz}");
    }
}

#[test]
fn downlinks_and_a_machine_are_no_phone() {
    let Some(folder) = folder() else { return };
    for name in ["gsm_downlink_c0_500k", "gsm_downlink_wide_4M", "nbiot_beacon_640k"] {
        let records = replay(&folder, name, &[]);
        assert_eq!(hits(&records).len(), 0, "{name}");
        assert!(named(&records, "gsm", "normal").is_empty() && named(&records, "gsm", "access").is_empty(), "{name}");
    }
    let records = replay(&folder, "nbiot_beacon_640k", &[]);
    let of = |standard: &str| records.iter().filter(|r| r["type"] == "burst" && r["standard"] == standard).count();
    assert!(of("nbiot") >= 10, "{records:?}");
    assert_eq!(of("lte") + of("nr") + of("gsm") + of("umts"), 0, "{records:?}");
    // Said to lie in an uplink band, a downlink is still none.
    for name in ["gsm_downlink_c0_500k", "gsm_downlink_wide_4M"] {
        let records = replay(&folder, name, &["--center", "900M"]);
        assert_eq!(hits(&records).len(), 0, "{name} at 900 MHz");
    }
}
