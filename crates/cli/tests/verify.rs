//! `cellwarden verify` as a court meets it: verdicts, exit status, and files that want to break it.

mod common;

use cellwarden_evidence::{EvidenceFile, EvidenceInput, EvidenceWriter, Keys, Limits, PublicKey};
use cellwarden_locate::{SensorInfo, Site, join};
use cellwarden_types::{Record, UtcNanos};
use common::{cellwarden, golden};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A folder with the evidence of `n` golden hits.
fn evidence(folder: &Path, n: usize) -> (Vec<EvidenceFile>, PublicKey) {
    let text = fs::read_to_string(golden("gsm.jsonl")).expect("the golden records");
    let records = text.lines().map(|line| serde_json::from_str(line).expect("a record"));
    let bursts: Vec<_> = records.filter_map(|r| if let Record::Burst(b) = r { Some(b) } else { None }).collect();
    let start: UtcNanos = "2026-03-01T06:00:00Z".parse().expect("a time");
    let sensors = vec![SensorInfo { name: "corridor".into(), start_time: Some(start), noise_dbfs_per_hz: -116.0 }];
    let site_text = fs::read_to_string(golden("site.toml")).expect("the site");
    let site = Site::parse(&site_text, "site").expect("a good site");
    let hit = join(bursts.clone(), &sensors, Some(&site)).remove(0);
    let keys = Keys::load_or_create(&folder.join("keys")).expect("keys");
    let public = keys.public();
    let mut writer = EvidenceWriter::open(&folder.join("evidence"), keys, Limits::default()).expect("opens");
    let input = EvidenceInput {
        hit,
        bursts,
        sensors,
        site_text: Some(site_text),
        config_sha256: "0".repeat(64),
        software: "cellwarden test".to_owned(),
        tiles: vec![],
        states: Default::default(),
    };
    let files = (0..n).map(|i| writer.write(&input, start.plus_seconds(i as f64)).expect("writes")).collect();
    (files, public)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Standard output of a run that ends with `code`, in time and without a panic.
fn said(args: &[&str], code: i32) -> String {
    let begun = Instant::now();
    let output = cellwarden(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    assert!(!errors.contains("panicked"), "{args:?}: {errors}");
    assert!(begun.elapsed() < Duration::from_secs(65), "{args:?} took {:?}", begun.elapsed());
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn good_evidence_fits_and_the_limits_of_that_are_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, public) = evidence(folder.path(), 2);
    let (file, dir) = (text(&files[0].path), text(&folder.path().join("evidence")));
    let key_file = text(&folder.path().join("keys/evidence.pub"));
    let out = said(&["verify", &file, "--key", &public.to_string()], 0);
    for words in ["fits", "the same to the last digit", "does not prove", &public.name(), "takes --chain"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(said(&["verify", &file], 0).contains("NOT shown"));
    let head = files[1].head.to_string();
    let out = said(&["verify", &file, "--chain", &dir, "--key", &key_file, "--head", &head], 0);
    assert!(out.contains("2 files were written, 2 are here, 0 were deleted"), "{out}");
    let json: serde_json::Value =
        serde_json::from_str(&said(&["verify", "--chain", &dir, "--key", &key_file, "--format", "json"], 0))
            .expect("JSON");
    assert_eq!(
        (&json["fits"], &json["chain"]["written"], &json["chain"]["head"]),
        (&true.into(), &2.into(), &head.into())
    );
}

#[test]
fn what_does_not_fit_ends_with_status_1_and_names_the_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, public) = evidence(folder.path(), 2);
    let (path, key) = (&files[0].path, public.to_string());
    let dir = text(&folder.path().join("evidence"));
    // The hit's block, in the bytes of the file.
    let good = fs::read(path).expect("the file");
    let needle = b"\"block\":\"A\"";
    let at = good.windows(needle.len()).position(|w| w == needle).expect("the hit is stored as text");
    let mut bad = good.clone();
    bad[at + 9] = b'B';
    fs::write(path, &bad).expect("writes");
    for args in [vec!["verify", path.to_str().expect("UTF-8"), "--key", &key], vec!["verify", "--chain", &dir]] {
        let out = said(&args, 1);
        assert!(out.contains("DOES NOT FIT  /hit: ") && out.contains("DOES NOT FIT: do not rely"), "{out}");
    }
    fs::write(path, &good).expect("writes");
    fs::remove_file(&files[1].path).expect("removes");
    assert!(said(&["verify", "--chain", &dir, "--key", &key], 1).contains("is missing, and no rule deleted it"));
    let other = Keys::load_or_create(&folder.path().join("other")).expect("keys").public().to_string();
    assert!(said(&["verify", &text(path), "--key", &other], 1).contains("DOES NOT FIT  key"));
    said(&["verify", &text(&folder.path().join("nothing.h5"))], 1);
    said(&["verify", "/dev/zero"], 1);
}

#[test]
fn wrong_usage_gets_status_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = text(&evidence(folder.path(), 1).0[0].path);
    said(&["verify"], 2);
    said(&["verify", &file, "--key", "nonsense"], 2);
    said(&["verify", &file, "--head", "00"], 2);
    said(&["verify", &file, "--chain", "x", "--head", "00"], 2);
    assert!(!said(&["verify", "--help"], 0).contains("read-apart"));
}

/// Numbers that are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn hostile_files_get_a_verdict_and_no_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = fs::read(&evidence(folder.path(), 1).0[0].path).expect("the file");
    let mut dice = Dice(0x5eed);
    // CELLWARDEN_TEST_FILES=5000 for a longer run.
    let cases = std::env::var("CELLWARDEN_TEST_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(120);
    let (mut fits, mut crashes) = (0, 0);
    let mut batch: Vec<PathBuf> = Vec::new();
    for case in 0..cases {
        let mut bytes = good.clone();
        match case % 4 {
            // Anywhere.
            0 => (0..1 + dice.below(4)).for_each(|_| {
                let at = dice.below(bytes.len());
                bytes[at] = dice.below(256) as u8;
            }),
            // In the structures that HDF5 keeps before the first data, where most crashes are.
            1 | 2 => (0..1 + dice.below(4)).for_each(|_| {
                let at = dice.below(4096.min(bytes.len()));
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, dice.below(256) as u8][dice.below(6)];
            }),
            _ => {
                bytes.truncate(dice.below(bytes.len()));
                if dice.below(2) == 0 {
                    bytes = (0..dice.below(4096)).map(|_| dice.below(256) as u8).collect();
                }
            }
        }
        let path = folder.path().join(format!("case{case}.h5"));
        fs::write(&path, bytes).expect("writes");
        batch.push(path);
        if batch.len() == 40 || case + 1 == cases {
            let names: Vec<String> = batch.iter().map(|p| text(p)).collect();
            let mut args = vec!["verify", "--format", "json"];
            args.extend(names.iter().map(String::as_str));
            let output = cellwarden(&args);
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 1)) && !errors.contains("panicked"), "{names:?}: {errors}");
            let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let files = verdict["files"].as_array().expect("files");
            assert_eq!(files.len(), names.len());
            for file in files {
                let bad = file["checks"].as_array().expect("checks").iter().any(|c| c["outcome"] == "does_not_fit");
                fits += usize::from(!bad);
                crashes += usize::from(file.to_string().contains("cannot bear"));
                // A byte that is no content (a time stamp, free space) may change: then the hit is still the same.
                assert!(bad || file["remade"]["remade"] == "exactly", "{file}");
            }
            batch.drain(..).for_each(|p| fs::remove_file(p).expect("removes"));
        }
    }
    println!("{fits} of {cases} still fit, {crashes} ended the process that read them");
    assert!(fits < cases / 2, "{fits} of {cases} fit");
}
