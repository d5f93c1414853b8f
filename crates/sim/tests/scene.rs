//! Whole scenes, from file to file.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use cellwarden_types::db;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn simulate(scene: &str, folder: &Path) -> Vec<PathBuf> {
    let path = folder.join("scene.toml");
    std::fs::write(&path, scene).unwrap();
    let mut last = 0.0;
    let made = cellwarden_sim::simulate(&path, folder, &mut |done| {
        assert!(done > last);
        last = done;
    });
    assert_eq!(last, 1.0);
    made.unwrap()
}

fn truth(meta: &Path) -> Vec<Value> {
    let meta: Value = serde_json::from_slice(&std::fs::read(meta).unwrap()).unwrap();
    meta["annotations"].as_array().unwrap().clone()
}

fn samples(meta: &Path) -> Vec<(f64, f64)> {
    let bytes = std::fs::read(meta.with_extension("sigmf-data")).unwrap();
    let part = |b: &[u8]| f64::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0;
    bytes.chunks_exact(4).map(|b| (part(b), part(&b[2..]))).collect()
}

fn power(x: &[(f64, f64)]) -> f64 {
    x.iter().map(|(i, q)| i * i + q * q).sum::<f64>() / x.len() as f64
}

fn number(note: &Value, key: &str) -> f64 {
    note[key].as_f64().unwrap_or_else(|| panic!("{key} in {note}"))
}

const HEAD: &str = "seed = 5\nrate = \"6M\"\ncenter = \"902.5M\"\nduration_s = 0.3\ndatetime = \"2026-03-01T06:00:00Z\"\n\
    [[sensor]]\nname = \"near\"\nposition = [0, 0]\n[[sensor]]\nname = \"far\"\nposition = [40, 0]\n";

#[test]
fn levels_are_what_the_link_budget_says() {
    let dir = tempfile::tempdir().unwrap();
    let phones = "[[phone]]\nname = \"g\"\nposition = [10, 0]\nactivity = \"gsm-location-update\"\narfcn = 60\neirp_dbm = 20\n\
        start_s = 0.01\nlength_s = 0.9\n[[phone]]\nname = \"l\"\nposition = [10, 0]\nactivity = \"lte-data\"\nearfcn = 21675\n\
        bandwidth = \"3M\"\neirp_dbm = 10\nstart_s = 0.02\nload = 0.6\n";
    for only in ["gsm", "lte"] {
        let one: String = phones.split_inclusive("[[phone]]").filter(|p| p.contains(only)).collect();
        let one = one.trim_end_matches("[[phone]]");
        let made = simulate(&format!("{HEAD}[[phone]]\n{one}"), dir.path());
        let (mut kinds, mut strong) = (std::collections::BTreeSet::new(), 0);
        for (meta, metres) in made.iter().zip([10f64, 30.0]) {
            let x = samples(meta);
            let noise = 10f64.powf((-174.0 + 12.0 + 25.0) / 10.0) * 6e6;
            for note in truth(meta) {
                let (at, n) = (number(&note, "core:sample_start"), number(&note, "core:sample_count"));
                let heard = power(&x[at as usize..(at + n) as usize]) - noise;
                let stated = number(&note, "truth:power_dbfs");
                let label = note["core:label"].as_str().unwrap();
                kinds.insert(label.to_owned());
                if stated - db(noise) > 10.0 {
                    strong += 1;
                    assert!((db(heard) - stated).abs() < 0.2, "{label}: {} heard, {stated} stated", db(heard));
                }
                if label.starts_with("gsm") || label == "lte/prach" {
                    let eirp = if label.starts_with("gsm") { 20.0 } else { 10.0 };
                    let hz = if label.starts_with("gsm") { 902.0e6 } else { 902.5e6 };
                    let loss = 20.0 * (4.0 * std::f64::consts::PI * hz / 299_792_458.0).log10() + 30.0 * metres.log10();
                    assert!((eirp - loss + 25.0 - stated).abs() < 0.2, "{label} at {metres} m: {stated}");
                }
                let width = number(&note, "core:freq_upper_edge") - number(&note, "core:freq_lower_edge");
                let floor = -174.0 + 12.0 + 25.0 + db(width);
                assert!((number(&note, "truth:snr_db") - (stated - floor)).abs() < 0.02);
                assert_eq!(note["truth:block"], "outside");
            }
        }
        assert!(strong > 5, "{only}");
        let expected: &[&str] = if only == "gsm" {
            &["gsm/access", "gsm/normal"]
        } else {
            &["lte/prach", "lte/pucch", "lte/pusch", "lte/srs"]
        };
        assert!(kinds.iter().map(String::as_str).eq(expected.iter().copied()), "{kinds:?}");
    }
}

#[test]
fn same_seed_same_bytes_and_another_seed_others() {
    let scene = format!(
        "{HEAD}[[phone]]\nname = \"p\"\nposition = [5, 5]\nactivity = \"gsm-call\"\narfcn = 60\nfading = \"rayleigh\"\n\
         [[interferer]]\nkind = \"staff-radio\"\nmode = \"fm\"\nposition = [1, 1]\nfreq = \"903M\"\neirp_dbm = 0\n"
    );
    let bytes = |scene: &str| -> Vec<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let made = simulate(scene, dir.path());
        let data = made.iter().map(|meta| meta.with_extension("sigmf-data"));
        made.iter().cloned().chain(data).map(|p| std::fs::read(p).unwrap()).collect()
    };
    let first = bytes(&scene);
    assert_eq!(first, bytes(&scene));
    assert_ne!(first[2], bytes(&scene.replace("seed = 5", "seed = 6"))[2]);
}

#[test]
fn empty_scene_holds_noise_of_the_right_level() {
    let dir = tempfile::tempdir().unwrap();
    for meta in simulate(HEAD, dir.path()) {
        assert!(truth(&meta).is_empty());
        let x = samples(&meta);
        assert_eq!(x.len(), 1_800_000);
        assert!((db(power(&x)) - (-174.0 + 12.0 + 25.0 + db(6e6))).abs() < 0.05);
    }
}

#[test]
fn walls_and_blocks_come_from_the_site_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("site.toml"),
        "[site]\nname = \"s\"\n[[block]]\nname = \"A\"\noutline = [[-5, -5], [5, -5], [5, 5], [-5, 5]]\n\
         [[sensor]]\nname = \"in\"\nposition = [0, 1, 2.5]\nblock = \"A\"\n[[sensor]]\nname = \"out\"\nposition = [10, 0]\n",
    )
    .unwrap();
    let made = simulate(
        "seed = 1\nrate = 1e6\ncenter = 898e6\nduration_s = 0.2\nsite = \"site.toml\"\n[propagation]\nwall_db = 13\n\
         [[phone]]\nname = \"p\"\nposition = \"A\"\nactivity = \"gsm-access\"\narfcn = 40\nattempts = 1\n",
        dir.path(),
    );
    let level = |meta: &Path| {
        let notes = truth(meta);
        assert_eq!((notes.len(), notes[0]["truth:block"].as_str()), (1, Some("A")));
        assert_eq!(notes[0]["truth:activity"], "registration");
        number(&notes[0], "truth:power_dbfs")
    };
    let lost = level(&made[0]) - level(&made[1]);
    assert!((lost - 30.0 - 13.0).abs() < 0.05, "{lost}: 1 m against 10 m and a wall");
}

#[test]
fn an_oscillator_that_is_fast_hears_lower_and_later() {
    let dir = tempfile::tempdir().unwrap();
    let scene = "seed = 5\nrate = \"1M\"\ncenter = \"902.5M\"\nduration_s = 2\n\
        sensor = [{ name = \"good\", position = [0, 0] }, { name = \"fast\", position = [0, 1], ppm = 20 }]\n\
        interferer = [\n\
        { kind = \"cw\", position = [3, 0], freq = \"902.6M\", eirp_dbm = 0, start_s = 1.5, length_s = 0.1 }]\n";
    let made = simulate(scene, dir.path());
    let (good, fast) = (truth(&made[0]), truth(&made[1]));
    assert_eq!(number(&good[0], "core:sample_start"), 1_500_000.0);
    assert_eq!(number(&fast[0], "core:sample_start"), 1_500_030.0);
    let tone_hz = |meta: &Path| {
        let x = &samples(meta)[1_510_000..1_590_000];
        let (re, im) = x.windows(2).fold((0.0, 0.0), |(re, im), w| {
            let ((a, b), (c, d)) = (w[0], w[1]);
            (re + a * c + b * d, im + a * d - b * c)
        });
        im.atan2(re) / std::f64::consts::TAU * 1e6
    };
    assert!((tone_hz(&made[0]) - 100e3).abs() < 1.0, "{}", tone_hz(&made[0]));
    assert!((tone_hz(&made[1]) - (100e3 - 902.5e6 * 20e-6)).abs() < 4.0, "{}", tone_hz(&made[1]));
    // Before the emission, and after it, there is noise alone.
    let x = samples(&made[1]);
    assert!(power(&x[1_500_033..1_500_500]) > 100.0 * power(&x[1_499_000..1_500_028]));
}

#[test]
fn golden_recordings_come_out_byte_for_byte() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
    for name in ["gsm", "lte"] {
        let dir = tempfile::tempdir().unwrap();
        let scene = golden.join(format!("{name}.scene.toml"));
        let made = cellwarden_sim::simulate(&scene, dir.path(), &mut |_| {}).unwrap();
        let kept = golden.join(format!("{name}.sigmf-data"));
        assert!(std::fs::read(made[0].with_extension("sigmf-data")).unwrap() == std::fs::read(kept).unwrap(), "{name}");
        assert_eq!(truth(&made[0]), truth(&golden.join(format!("{name}.sigmf-meta"))), "{name}");
    }
}

#[test]
fn the_corridor_is_a_scene() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corridor/scene.toml");
    let scene = cellwarden_sim::Scene::load(&path).unwrap();
    assert_eq!(scene.phone_places.iter().map(|&at| scene.block_at(at)).collect::<Vec<_>>(), ["A", "B", "outside"]);
    let labels: std::collections::BTreeSet<_> =
        cellwarden_sim::activity::emissions(&scene).iter().map(|e| e.label).collect();
    for label in ["gsm/access", "gsm/normal", "lte/prach", "lte/pusch", "lte/pucch", "lte/srs", "other/tetra"] {
        assert!(labels.contains(label), "{label}");
    }
}
