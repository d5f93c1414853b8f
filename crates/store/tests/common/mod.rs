//! Records, a clock that tests turn, and small disks.
#![allow(dead_code)] // each test file uses its part

mod records;

pub use records::hit_of;

use cellwarden_store::{HitQuery, Limits, Notice, Reader, Store, StoredHit};
use cellwarden_types::{
    BoxHealth, Evidence, Gap, GapReason, Hertz, Hit, HitState, SensorHealth, SensorLedger, SensorState, UtcNanos,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub const DAY_S: f64 = 86_400.0;

pub fn utc(text: &str) -> UtcNanos {
    text.parse().expect("a time")
}

/// When the tests begin.
pub fn begin() -> UtcNanos {
    utc("2026-03-01T06:00:00Z")
}

/// A closed hit that starts `at_s` seconds after the beginning.
pub fn hit(id: &str, at_s: f64) -> Hit {
    hit_of(id, 1, HitState::Closed, begin().plus_seconds(at_s))
}

/// A hit whose record takes some kilobytes.
pub fn large_hit(id: &str, at_s: f64) -> Hit {
    let evidence = (0..100).map(|i| Evidence::new(format!("reason_{i:03}"), f64::from(i) / 7.0, 0.125)).collect();
    Hit { evidence, ..hit(id, at_s) }
}

pub fn gap(sample_start: u64) -> Gap {
    Gap { sensor: "a-west".into(), sample_start, sample_count: 100, reason: GapReason::Overflow }
}

pub fn health(time: UtcNanos) -> BoxHealth {
    let sensor = SensorHealth {
        sensor: "a-west".into(),
        device: "first".to_owned(),
        state: SensorState::Listening,
        since: begin(),
        center: Hertz(902.4e6),
        rate: Hertz(2.4e6),
        gain_db: Some(30.0),
        ledger: SensorLedger { expected: 10, processed: 10, ..SensorLedger::default() },
        drift_ppm: Some(1.5),
        time_uncertainty_s: Some(0.002),
        floor_dbfs_per_hz: Some(-140.0),
        clipped: 0,
        unusable: 0,
        bursts: BTreeMap::new(),
        restarts: 0,
        last_error: None,
        temperature_celsius: None,
        self_test: Vec::new(),
    };
    BoxHealth {
        time,
        started: begin(),
        software: "cellwarden 0.1.0".to_owned(),
        config_sha256: "0".repeat(64),
        sensors: vec![sensor],
        hits: BTreeMap::new(),
        processor_s: 1.0,
        memory_bytes: 1 << 20,
        store_trouble: None,
    }
}

/// How long the process has run, as a test says.
#[derive(Clone, Default)]
pub struct Uptime(Arc<AtomicU64>);

impl Uptime {
    pub fn pass(&self, seconds: f64) {
        self.0.fetch_add((seconds * 1e9) as u64, Ordering::Relaxed);
    }

    pub fn open(&self, path: &Path, limits: Limits) -> (Store, Vec<Notice>) {
        let clock = self.clone();
        let uptime = move || Duration::from_nanos(clock.0.load(Ordering::Relaxed));
        Store::open_with_uptime(path, limits, uptime).expect("a store")
    }
}

/// A store of its own folder, with the usual limits.
pub fn store() -> (tempfile::TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cellwarden.db");
    let (store, notices) = Store::open(&path, small_limits()).expect("a store");
    assert_eq!(notices, [Notice::Created { path: path.clone() }]);
    (folder, path, store)
}

/// The smallest store.
pub fn small_limits() -> Limits {
    Limits { size_bytes: 16 << 20, reserve_bytes: 4 << 20, ..Limits::default() }
}

/// All hits, by their start.
pub fn all_hits(path: &Path) -> Vec<StoredHit> {
    let mut reader = Reader::open(path).expect("a reader");
    let mut query = HitQuery { limit: 700, ..HitQuery::default() };
    let mut hits = Vec::new();
    loop {
        let page = reader.hits(&query).expect("a page");
        assert!(page.unreadable.is_empty());
        hits.extend(page.hits);
        query.after = page.next;
        if query.after.is_none() {
            return hits;
        }
    }
}

pub fn all_ids(path: &Path) -> Vec<String> {
    all_hits(path).into_iter().map(|h| h.hit.id).collect()
}

/// A disk of its own, in memory.
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, and a line that says so, where this process may not mount one.
    pub fn of_mib(mib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={mib}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            println!("SKIPPED: this user may not mount a small disk");
            return None;
        }
        Some(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()).status();
        assert!(status.expect("mount runs").success(), "remount,{how}");
    }

    /// Fills it to the last byte, and says with which file.
    pub fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.path().join("somebody-elses");
        let mut file = std::fs::File::create(&path).expect("a file");
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}
