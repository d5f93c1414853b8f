//! Evidence of the golden hits.
#![allow(dead_code)]

use cellwarden_evidence::{EvidenceFile, EvidenceInput, EvidenceWriter, Keys, Limits, PublicKey, SensorTiles};
use cellwarden_locate::{SensorInfo, Site, join};
use cellwarden_types::{Burst, Hertz, Record, UtcNanos};
use std::path::{Path, PathBuf};

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden").join(name)
}

pub fn start() -> UtcNanos {
    "2026-03-01T06:00:00Z".parse().expect("a time")
}

pub fn bursts(name: &str) -> Vec<Burst> {
    let text = std::fs::read_to_string(golden(&format!("{name}.jsonl"))).expect("the golden records");
    let records = text.lines().map(|line| serde_json::from_str(line).expect("a record"));
    records.filter_map(|record| if let Record::Burst(burst) = record { Some(burst) } else { None }).collect()
}

pub fn tiles(rows: usize, bins: usize) -> SensorTiles {
    SensorTiles {
        sensor: "corridor".into(),
        center: Hertz(897.5e6),
        rate: Hertz(1e6),
        bin_hz: 1e6 / bins as f64,
        first: start().plus_seconds(-0.5),
        row_s: 2e-4,
        bins,
        times: Vec::new(),
        rows: (0..rows * bins).map(|i| 1e-12 * (1.0 + (i * 7919 % 1009) as f32)).collect(),
        floor: vec![2e-12; bins],
    }
}

/// Evidence of the one hit of a golden recording, joined as its run joined it.
pub fn input(name: &str) -> EvidenceInput {
    let site_text = std::fs::read_to_string(golden("site.toml")).expect("the site");
    let site = Site::parse(&site_text, "site.toml").expect("a good site");
    let sensors = vec![SensorInfo { name: "corridor".into(), start_time: Some(start()), noise_dbfs_per_hz: -116.0 }];
    let bursts = bursts(name);
    let mut hits = join(bursts.clone(), &sensors, Some(&site));
    assert_eq!(hits.len(), 1, "{hits:?}");
    EvidenceInput {
        hit: hits.remove(0),
        bursts,
        sensors,
        site_text: Some(site_text),
        config_sha256: "00".repeat(32),
        software: "cellwarden test".into(),
        tiles: vec![tiles(50, 8)],
        states: [("corridor".to_owned(), serde_json::json!({"floor_dbfs_per_hz": -116.0}))].into(),
    }
}

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub public: PublicKey,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let public = Keys::load_or_create(&folder.path().join("keys")).expect("keys").public();
        Self { folder, public }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("evidence")
    }

    pub fn keys(&self) -> Keys {
        Keys::load_or_create(&self.folder.path().join("keys")).expect("keys")
    }

    pub fn open(&self, limits: Limits) -> EvidenceWriter {
        EvidenceWriter::open(&self.dir(), self.keys(), limits).expect("opens")
    }

    /// `n` files, a minute apart.
    pub fn write(&self, n: usize) -> Vec<EvidenceFile> {
        let mut writer = self.open(Limits::default());
        let input = input("gsm");
        (0..n).map(|i| writer.write(&input, start().plus_seconds(60.0 * i as f64)).expect("writes")).collect()
    }
}
