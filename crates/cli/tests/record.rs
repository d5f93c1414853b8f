//! `cellwarden record`: samples under a permission, encrypted on the box, a SigMF recording for who holds the key.
#![cfg(feature = "soapy")]

mod common;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use cellwarden_types::UtcNanos;
use common::receiver::{CENTER, Daemon, command, device};
use common::records;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A configuration with a permission of these days from now, for this key.
fn config(folder: &Path, days: (f64, f64), key: &Identity, more: &str) -> String {
    let at = |days: f64| UtcNanos::now().plus_seconds(days * 86_400.0);
    format!(
        "data = '{}'\nhealth = 'off'\n\
         [permission]\nreason = 'order 12/2026'\ngranted_by = 'the governor'\nfrom = '{}'\nuntil = '{}'\n\
         recipients = ['{}']\nbands = [{{ low_hz = 880e6, high_hz = 915e6 }}]\n\
         [[device]]\nname = 'west'\nsoapy = '{}'\nrate = '1M'\ngain = 20\n\
         [[device.channel]]\nsensor = 'corridor'\ncenter = '{CENTER}'\n",
        folder.join("data").display(),
        at(days.0),
        at(days.1),
        key.to_public(),
        device(more)
    )
}

fn arguments(folder: &Path, config: &str, seconds: &str) -> Vec<String> {
    let path = folder.join("box.toml");
    std::fs::write(&path, config).expect("writes");
    let path = path.display().to_string();
    ["record", "--config", &path, "--device", "west", "--seconds", seconds].map(str::to_owned).to_vec()
}

fn record(folder: &Path, config: &str, seconds: &str) -> (String, String, Option<i32>) {
    let args = arguments(folder, config, seconds);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    text(command(&args).output().expect("runs"))
}

fn text(output: Output) -> (String, String, Option<i32>) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// Decrypted by the command that the documentation names, where the machine has it.
fn decrypted_by_age(path: &Path, key: &Identity) -> Option<Vec<u8>> {
    let Some(age) = std::env::var_os("CELLWARDEN_AGE") else {
        eprintln!("SKIPPED: $CELLWARDEN_AGE names no age");
        return None;
    };
    let mut key_file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(key_file, "{}", key.to_string().expose_secret()).expect("writes");
    let output = Command::new(age).arg("-d").arg("-i").arg(key_file.path()).arg(path).output().expect("age runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// Decrypted, as `age -d -i KEY` does it.
fn decrypted(path: &Path, key: &Identity) -> Vec<u8> {
    let key: &dyn age::Identity = key;
    let decryptor = age::Decryptor::new(std::fs::File::open(path).expect("opens")).expect("of age");
    let mut plain = Vec::new();
    decryptor.decrypt(std::iter::once(key)).expect("for this key").read_to_end(&mut plain).expect("reads");
    plain
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join("data/samples")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "age"));
    files.sort();
    files
}

/// What the holder of the key has then: the recording's metadata file.
fn opened(folder: &Path, key: &Identity) -> PathBuf {
    for file in files(folder) {
        std::fs::write(file.with_extension(""), decrypted(&file, key)).expect("writes");
    }
    let data = files(folder).remove(0).with_extension("");
    data.with_extension("sigmf-meta")
}

fn logged(folder: &Path) -> Vec<Value> {
    records(&std::fs::read_to_string(folder.join("data/samples.jsonl")).expect("a log"))
}

#[test]
fn the_holder_of_the_key_replays_what_the_box_recorded_and_cannot_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = Identity::generate();
    let (out, err, code) = record(folder.path(), &config(folder.path(), (-1.0, 1.0), &key, ""), "0.5");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("500000 samples, 0.500 s; 0 samples were lost"), "{out}");
    let files = files(folder.path());
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(std::fs::read(&files[0]).expect("reads").starts_with(b"age-encryption.org/v1"));
    for file in &files {
        let by_age = decrypted_by_age(file, &key);
        assert!(by_age.is_none_or(|plain| plain == decrypted(file, &key)), "{}", file.display());
    }
    let events = logged(folder.path());
    assert_eq!(
        events.iter().map(|e| e["event"].as_str().expect("a name")).collect::<Vec<_>>(),
        ["permitted", "written"]
    );
    assert_eq!((&events[0]["granted_by"], &events[1]["samples"]), (&"the governor".into(), &500_000.into()));
    assert!(err.contains("permitted") && err.contains("order 12/2026"), "it is said as well: {err}");

    let meta = opened(folder.path(), &key);
    let bursts = |records: &[Value]| -> Vec<(Value, Value)> {
        let all = records.iter().filter(|r| r["type"] == "burst");
        all.map(|b| (b["sample_start"].clone(), b["kind"].clone())).collect()
    };
    let replayed = common::replay(&[&meta.display().to_string()]);
    let played = common::receiver::recording().display().to_string();
    let original = common::replay(&["--rate", "1M", "--center", CENTER, &played]);
    assert!(!bursts(&original).is_empty());
    assert_eq!(bursts(&replayed), bursts(&original));
}

#[test]
fn what_is_lost_is_told_and_is_a_gap_in_the_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = Identity::generate();
    let outer = folder.path().to_owned();
    let config = config(folder.path(), (-1.0, 1.0), &key, ",faults=lose@200000:10007");
    let (out, err, code) = record(folder.path(), &config, "0.5");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("489993 samples") && out.contains("10007 samples were lost"), "{out}");
    let replayed = common::replay(&[&opened(folder.path(), &key).display().to_string()]);
    let gaps: Vec<&Value> = replayed.iter().filter(|r| r["type"] == "gap").collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((&gaps[0]["sample_start"], &gaps[0]["sample_count"]), (&200_000.into(), &10_007.into()));
    // One that begins before the recording's end and ends after it counts up to there.
    let folder = tempfile::tempdir().expect("a folder");
    let config = config.replace("lose@200000:10007", "lose@400000:900000");
    let config = config.replace(&data_of(&outer), &data_of(folder.path()));
    let (out, err, code) = record(folder.path(), &config, "0.5");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("400000 samples") && out.contains("100000 samples were lost"), "{out}");
}

fn data_of(folder: &Path) -> String {
    folder.join("data").display().to_string()
}

#[test]
fn nothing_is_recorded_without_a_permission_that_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = Identity::generate();
    let good = config(folder.path(), (-1.0, 1.0), &key, "");
    let parts = (good.split("[permission]").next(), good.split("[[device]]").nth(1));
    let none = format!("{}[[device]]{}", parts.0.expect("a part"), parts.1.expect("a part"));
    let private = {
        use age::secrecy::ExposeSecret;
        good.replace(&key.to_public().to_string(), key.to_string().expose_secret())
    };
    for (config, words, state) in [
        (none, "no [permission]", "permission: none"),
        (config(folder.path(), (-2.0, -1.0), &key, ""), "the permission is over", "over since"),
        (config(folder.path(), (1.0, 2.0), &key, ""), "not permitted before", "may be recorded from"),
        (good.replace("898.0M", "930.0M"), "no band of the permission holds them all", "SAMPLES MAY BE RECORDED"),
        (config(folder.path(), (-1.0, 60.0), &key, ""), "at most 31 are allowed", ""),
        (private.clone(), "private key", ""),
    ] {
        let (out, err, code) = record(folder.path(), &config, "0.2");
        assert!(code == Some(2) && err.contains(words), "{words}: {out}{err}");
        assert!(!err.contains("AGE-SECRET"), "no secret is printed");
        let (out, _, code) =
            text(command(&["check", &folder.path().join("box.toml").display().to_string()]).output().expect("runs"));
        assert!(out.contains(state) && (code == Some(0)) != state.is_empty(), "{state}: {out}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn ctrl_c_keeps_what_was_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = Identity::generate();
    let args = arguments(folder.path(), &config(folder.path(), (-1.0, 1.0), &key, ""), "600");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs").success());
    let (out, err, code) = text(child.wait_with_output().expect("ends"));
    assert!(code == Some(0) && out.contains("0 samples were lost"), "{out}{err}");
    let written = logged(folder.path()).last().expect("an event")["samples"].as_u64().expect("a number");
    assert!(written > 500_000, "{out}");
    let data = decrypted(&files(folder.path())[0], &key);
    assert_eq!(data.len() as u64, 4 * written);
}

#[test]
fn a_daemon_deletes_what_is_over_its_time_and_is_not_disturbed() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = Identity::generate();
    let config = config(folder.path(), (-1.0, 1.0), &key, "");
    let vault = folder.path().join("data/samples");
    std::fs::create_dir_all(&vault).expect("a folder");
    let old = vault.join("20200301T060000.000000000Z-corridor.sigmf-data.age");
    std::fs::write(&old, "old").expect("writes");
    let daemon = Daemon::start_bare(&config);
    daemon.wait_for_log("its time is over");
    assert!(!old.exists());
    assert_eq!(logged(folder.path())[0]["event"], "deleted");
    let (_, err, code) = record(folder.path(), &config, "0.2");
    assert!(code == Some(1) && err.contains("end it first"), "{err}");
    daemon.wait_for("a hit", |r| !common::hits(r).is_empty());
}
