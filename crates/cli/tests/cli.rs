//! The command as a user meets it: what it prints, and with which exit status.

mod common;

use common::{cellwarden, good};
use std::fs;
use std::path::Path;

/// The one line on standard error of a run that must fail with `code`.
fn refused(args: &[&str], code: i32) -> String {
    let output = cellwarden(args);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    text
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

/// A SigMF pair of `samples` of near-silence.
fn pair(folder: &Path, name: &str, samples: usize, edit: impl Fn(&mut serde_json::Value)) -> String {
    let mut meta = serde_json::json!({
        "global": {"core:datatype": "ci16_le", "core:version": "1.2.0", "core:sample_rate": 1e6},
        "captures": [{"core:sample_start": 0, "core:frequency": 902.4e6, "core:datetime": "2026-03-01T06:00:00Z"}],
        "annotations": []
    });
    edit(&mut meta);
    fs::write(folder.join(format!("{name}.sigmf-meta")), meta.to_string()).expect("writes");
    let bytes: Vec<u8> = (0..samples * 2).flat_map(|i| ((i * 7919 % 13) as i16 - 6).to_le_bytes()).collect();
    fs::write(folder.join(format!("{name}.sigmf-data")), bytes).expect("writes");
    path(folder, &format!("{name}.sigmf-meta"))
}

const RAW: [&str; 6] = ["--type", "cs16", "--rate", "1M", "--center", "902.4M"];

#[test]
fn bad_recordings_get_one_clear_line_and_status_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    fs::write(at.join("empty.cs16"), b"").expect("writes");
    fs::write(at.join("broken.sigmf-meta"), b"{ not json").expect("writes");
    fs::write(at.join("broken.sigmf-data"), b"1234").expect("writes");
    let kind = pair(at, "kind", 10, |m| m["global"]["core:datatype"] = "cf64_le".into());
    let rate = pair(at, "rate", 10, |m| m["global"]["core:sample_rate"] = 0.into());
    let slow = pair(at, "slow", 10, |m| m["global"]["core:sample_rate"] = 1000.into());
    let fast = pair(at, "fast", 10, |m| m["global"]["core:sample_rate"] = 1e12.into());
    let version = pair(at, "version", 10, |m| m["global"]["core:version"] = "7.0.0".into());
    let overlap = pair(at, "overlap", 10, |m| {
        m["captures"] = serde_json::json!([{"core:sample_start": 5, "core:frequency": 1e9},
                                           {"core:sample_start": 0, "core:frequency": 1e9}]);
    });
    for (file, word) in [
        (path(at, "missing.sigmf-meta"), "missing"),
        (path(at, "empty.cs16"), "no samples"),
        (path(at, "broken.sigmf-meta"), "broken"),
        (path(at, ""), "directory"),
        (kind, "cf64_le"),
        (rate, "rate"),
        (version, "7.0.0"),
        (overlap, "capture"),
        (slow, "240 kHz"),
        (fast, "500 MHz"),
    ] {
        let mut args = vec!["replay", &file];
        // Flags overrule what a SigMF file says: they are for what has no metadata.
        if !file.ends_with("meta") {
            args.extend(RAW);
        }
        let text = refused(&args, 1);
        assert!(text.contains(word), "{file}: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{file}: {text}");
    }
}

#[test]
fn wrong_usage_gets_status_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let recording = pair(at, "one", 1000, |_| {});
    assert!(refused(&["replay"], 2).contains("RECORDING"));
    assert!(refused(&["replay", "--rate", "0", &recording], 2).contains("above zero"));
    assert!(refused(&["replay", "--type", "cs12", &recording], 2).contains("cs12"));
    assert!(refused(&["replay", &recording, &recording], 2).contains("another name"));
    assert!(refused(&["replay", "--format", "xml", &recording], 2).contains("xml"));
    fs::write(at.join("samples.bin"), [0; 4000]).expect("writes");
    assert!(refused(&["replay", &path(at, "samples.bin")], 2).contains("--type"));

    let site = path(at, "site.toml");
    fs::write(&site, "[site]\nname = \"x\"\n\n[[sensor]]\nname = \"a\"\nposition = [0, 0]\ncolour = \"red\"\n")
        .expect("writes");
    let text = refused(&["check", &site], 2);
    assert!(text.contains(":7:") && text.contains("colour"), "{text}");
    let good_site = "[site]\nname = \"x\"\n[[block]]\nname = \"A\"\noutline = [[0,0],[9,0],[9,9]]\n[[sensor]]\nname = \"a\"\nposition = [1, 1]\n";
    fs::write(&site, good_site).expect("writes");
    assert!(good(&["check", &site]).0.contains("good"));
    let text = refused(&["replay", "--site", &site, &recording], 2);
    assert!(text.contains("\"one\"") && text.contains("a="), "{text}");
}

#[test]
fn the_last_line_is_always_the_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = pair(folder.path(), "quiet", 50_000, |_| {});
    let (out, _) = good(&["replay", "--format", "jsonl", "--bursts", &recording]);
    let last: serde_json::Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["type"], "summary");
    assert_eq!(last["samples"], 50_000);
    assert_eq!(last["sensors"]["quiet"]["processed"], 50_000);
    assert_eq!(last["lost_samples"], 0);
}

#[test]
fn a_cut_off_recording_is_used_to_its_last_whole_sample_and_the_loss_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = pair(folder.path(), "cut", 50_000, |_| {});
    let data = folder.path().join("cut.sigmf-data");
    let mut bytes = fs::read(&data).expect("reads");
    bytes.truncate(bytes.len() - 3);
    fs::write(&data, bytes).expect("writes");
    let (out, err) = good(&["replay", "--format", "jsonl", &recording]);
    assert!(out.contains("\"samples\":49999"), "{out}");
    assert!(err.contains("byte"), "{err}");
}

#[test]
fn numbers_that_are_none_are_counted_not_detected() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(folder.path(), "nan.cf32");
    let bytes: Vec<u8> = (0..100_000).flat_map(|i| if i % 10 == 0 { f32::NAN } else { 1e-4 }.to_le_bytes()).collect();
    fs::write(&file, bytes).expect("writes");
    let (out, err) = good(&["replay", "--rate", "1M", "--center", "902.4M", "--format", "jsonl", &file]);
    assert!(err.contains("not finite"), "{err}");
    assert!(!out.contains("\"type\":\"hit\""), "{out}");
}

#[test]
fn the_same_samples_give_the_same_bytes_for_any_block_size_and_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = pair(folder.path(), "same", 200_000, |_| {});
    let run = |block: &str, threads: &str| {
        let args =
            ["replay", "--format", "jsonl", "--bursts", "--block-samples", block, "--threads", threads, &recording];
        let (out, _) = good(&args);
        let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
        let mut last: serde_json::Value = serde_json::from_str(&lines.pop().expect("a line")).expect("JSON");
        for key in ["wall_s", "msps", "realtime_factor"] {
            last[key] = 0.into();
        }
        lines.push(last.to_string());
        lines
    };
    let first = run("65536", "1");
    assert_eq!(run("1000", "2"), first);
    assert_eq!(run("999983", "4"), first);
}

#[test]
fn help_teaches_and_completions_are_made() {
    for command in ["replay", "simulate", "info", "check", "bench", "completions"] {
        let (out, _) = good(&[command, "--help"]);
        assert!(out.contains("Usage: cellwarden"), "{command}: {out}");
    }
    assert!(good(&["replay", "--help"]).0.contains("Examples:"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(good(&["completions", shell]).0.contains("replay"));
    }
}

#[test]
fn every_subcommand_in_the_help_has_a_manual_page() {
    let folder = tempfile::tempdir().expect("a folder");
    good(&["man", &path(folder.path(), "man")]);
    let page = |name: &str| fs::read_to_string(folder.path().join("man").join(name)).expect(name);
    let (help, _) = good(&["--help"]);
    let commands = help.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next()).expect("a list");
    // What stands further right goes on with the line before.
    let names = commands.lines().filter(|l| l.starts_with("  ") && !l.starts_with("   ")).map(|l| l.trim());
    let names: Vec<&str> = names.filter_map(|l| l.split(' ').next()).filter(|n| *n != "help").collect();
    assert!(names.contains(&"run") && names.contains(&"status") && names.len() > 12, "{names:?}");
    for name in names {
        let text = page(&format!("cellwarden-{name}.1"));
        assert!(text.contains(".SH SYNOPSIS") && text.contains(".SH OPTIONS"), "{name}: {text}");
        assert!(page("cellwarden.1").contains(&format!("cellwarden\\-{name}(1)")), "{name}");
    }
    assert!(page("cellwarden-run.1").contains("driver=rtlsdr"), "the examples are in it");
    assert!(!folder.path().join("man/cellwarden-capture-process.1").exists());
}

#[test]
fn info_says_whether_the_samples_are_those_of_the_metadata() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
    let at = tempfile::tempdir().expect("a folder");
    for half in ["data", "meta"] {
        let name = format!("gsm.sigmf-{half}");
        fs::copy(golden.join(&name), at.path().join(&name)).expect("copies");
    }
    let recording = path(at.path(), "gsm.sigmf-meta");
    assert!(good(&["info", &recording]).0.contains("sha512 fits"));
    let data = at.path().join("gsm.sigmf-data");
    let mut bytes = fs::read(&data).expect("reads");
    bytes.extend([1, 2]);
    fs::write(&data, bytes).expect("writes");
    assert!(good(&["info", &recording]).0.contains("DOES NOT FIT"));
}

#[test]
fn info_draws_a_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = pair(folder.path(), "drawn", 100_000, |_| {});
    let png = path(folder.path(), "drawn.png");
    let (out, _) = good(&["info", &recording, "--png", &png]);
    assert!(out.contains("100000 samples") && out.contains("SigMF"), "{out}");
    assert_eq!(&fs::read(&png).expect("reads")[1..4], b"PNG");
}

/// The preamble of the golden recording is that of root 1: what was learned of it is kept, added to, shown, and refused where it
/// is no such file.
#[test]
fn what_was_learned_is_kept_and_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = path(folder.path(), "learned");
    let recording = format!("a-west={}", common::golden("lte.sigmf-meta").display());
    for heard in 1..=2 {
        good(&["replay", "--state", &state, &recording]);
        let (text, _) = good(&["learned", "--json", &state]);
        let line: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(line["carrier"], serde_json::json!({"center_hz": null, "bandwidth_hz": null}), "{text}");
        assert_eq!(line["base_station"]["roots"], serde_json::json!([{"root": 1, "heard": heard}]), "{text}");
    }
    let (table, _) = good(&["learned", &path(folder.path(), "learned/a-west.json")]);
    assert!(table.contains("902.0") && table.contains("1 subframe"), "{table}");
    assert!(table.contains("CARRIER MHz") && table.contains(" - "), "{table}");
    fs::write(path(folder.path(), "learned/a-west.json"), "{}").expect("writes");
    assert!(refused(&["learned", &state], 1).contains("delete it to start anew"));
    assert!(refused(&["replay", "--state", &state, &recording], 2).contains("delete it to start anew"));
    assert!(refused(&["learned", &path(folder.path(), "none")], 2).contains("--state"));
    assert!(refused(&["replay", "--search-cores", "many", &recording], 2).contains("cores"));
}
