//! The chain of a folder: what is removed, changed, exchanged or cut is found, lawful deletion is told from it, and a
//! crash leaves it whole.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use cellwarden_evidence::{
    CHAIN_FILE, ChainVerified, EvidenceError, EvidenceFile, EvidenceWriter, Hash, KEEP, Limits, Outcome, ReadIn,
    keep_hit, verify_chain,
};
use common::{Bench, input, start};
use std::fs;
use std::path::PathBuf;

fn check(bench: &Bench, heads: &[Hash]) -> ChainVerified {
    verify_chain(&bench.dir(), Some(&bench.public), heads, &ReadIn::ThisProcess).expect("it can be listed")
}

fn wrong(verified: &ChainVerified) -> Vec<String> {
    let checks = verified.checks.iter().chain(verified.files.iter().flat_map(|f| &f.checks));
    checks.filter(|c| c.outcome == Outcome::DoesNotFit).map(|c| format!("{}: {}", c.part, c.said)).collect()
}

fn name(file: &EvidenceFile) -> String {
    file.path.file_name().unwrap().to_string_lossy().into_owned()
}

fn lines(bench: &Bench) -> Vec<String> {
    fs::read_to_string(bench.dir().join(CHAIN_FILE)).unwrap().lines().map(|l| format!("{l}\n")).collect()
}

fn put(bench: &Bench, lines: &[String]) {
    fs::write(bench.dir().join(CHAIN_FILE), lines.concat()).unwrap();
}

#[test]
fn a_hit_is_kept_from_beside_the_writer() {
    let bench = Bench::new();
    let hit = input("gsm").hit.id;
    let files = bench.write(2);
    let mut writer = bench.open(Limits { keep_days: 0.0, ..Limits::default() });
    assert_eq!(keep_hit(&bench.dir(), "another", Some("case 7")).unwrap(), [""; 0]);
    let kept = keep_hit(&bench.dir(), &hit, Some("case 7")).unwrap();
    assert!(!kept.is_empty() && kept.iter().all(|k| files.iter().any(|f| name(f) == *k)), "{kept:?}");
    let later = start().plus_seconds(9e9);
    let pruned = writer.prune(later).unwrap();
    assert_eq!((pruned.kept, pruned.deleted.len()), (kept.clone(), 2 - kept.len()));
    assert_eq!(wrong(&check(&bench, &[])), Vec::<String>::new());
    assert_eq!(keep_hit(&bench.dir(), &hit, None).unwrap(), kept);
    assert_eq!(writer.prune(later).unwrap().deleted.len(), kept.len());
    assert_eq!(wrong(&check(&bench, &[])), Vec::<String>::new());
}

#[test]
fn a_whole_chain_fits_over_restarts() {
    let bench = Bench::new();
    let first = bench.write(2);
    let more = bench.write(2);
    assert_eq!(first.iter().chain(&more).map(|f| f.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let verified = check(&bench, &[first[0].head, more[1].head]);
    assert_eq!(wrong(&verified), Vec::<String>::new());
    assert_eq!((verified.files.len(), verified.written, verified.head), (4, 4, more[1].head));
}

#[test]
fn a_removed_file_is_found() {
    let bench = Bench::new();
    let files = bench.write(3);
    fs::remove_file(&files[1].path).unwrap();
    let found = wrong(&check(&bench, &[]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&name(&files[1])) && found[0].contains("missing"), "{found:?}");
}

#[test]
fn a_removed_file_with_its_line_is_found() {
    let bench = Bench::new();
    let files = bench.write(3);
    fs::remove_file(&files[1].path).unwrap();
    let mut all = lines(&bench);
    all.remove(1);
    put(&bench, &all);
    let found = wrong(&check(&bench, &[]));
    assert!(found.iter().any(|w| w.contains("number 3 where number 2 belongs")), "{found:?}");
}

#[test]
fn exchanged_files_and_lines_are_found() {
    let bench = Bench::new();
    let files = bench.write(3);
    let other = bench.folder.path().join("other");
    fs::rename(&files[0].path, &other).unwrap();
    fs::rename(&files[1].path, &files[0].path).unwrap();
    fs::rename(&other, &files[1].path).unwrap();
    let found = wrong(&check(&bench, &[]));
    assert!(found.iter().any(|w| w.contains("file number 2 of its chain, and not number 1")), "{found:?}");
    let mut all = lines(&bench);
    all.swap(0, 1);
    put(&bench, &all);
    let found = wrong(&check(&bench, &[]));
    assert!(found.iter().any(|w| w.contains("line 1")), "{found:?}");
}

#[test]
fn a_file_of_another_box_in_its_place_is_found() {
    let (bench, other) = (Bench::new(), Bench::new());
    let (files, foreign) = (bench.write(2), other.write(2));
    fs::copy(&foreign[1].path, &files[1].path).unwrap();
    let found = wrong(&check(&bench, &[]));
    assert!(found.iter().any(|w| w.starts_with("key")), "{found:?}");
    // A whole folder of another box, without and with the key to hold it against.
    fs::copy(other.dir().join(CHAIN_FILE), bench.dir().join(CHAIN_FILE)).unwrap();
    fs::copy(&foreign[0].path, &files[0].path).unwrap();
    assert!(verify_chain(&bench.dir(), None, &[], &ReadIn::ThisProcess).unwrap().fits());
    assert!(!check(&bench, &[]).fits());
}

#[test]
fn a_cut_chain_is_found_by_the_files_or_by_a_noted_head() {
    let bench = Bench::new();
    let files = bench.write(3);
    let all = lines(&bench);
    put(&bench, &all[..2]);
    let found = wrong(&check(&bench, &[]));
    assert!(found.iter().any(|w| w.starts_with(&name(&files[2])) && w.contains("cut")), "{found:?}");
    // Without its file nothing in the folder tells, but a head that was noted does.
    fs::remove_file(&files[2].path).unwrap();
    assert!(check(&bench, &[]).fits());
    let found = wrong(&check(&bench, &[files[2].head]));
    assert!(found.len() == 1 && found[0].contains("cut off"), "{found:?}");
    fs::remove_file(bench.dir().join(CHAIN_FILE)).unwrap();
    assert!(wrong(&check(&bench, &[])).iter().any(|w| w.contains("missing")));
}

#[test]
fn any_changed_byte_of_the_chain_is_found() {
    let bench = Bench::new();
    bench.write(2);
    let mut writer = bench.open(Limits { keep_days: 1.0, ..Limits::default() });
    writer.prune(start().plus_seconds(86_430.0)).unwrap();
    drop(writer);
    let path = bench.dir().join(CHAIN_FILE);
    let good = fs::read(&path).unwrap();
    assert!(check(&bench, &[]).fits());
    for at in (0..good.len()).step_by(3) {
        for change in [1u8, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= change;
            // The last line end cut off is what a crash leaves: then the deletion is undone, and its file is missing.
            fs::write(&path, &bad).unwrap();
            assert!(!check(&bench, &[]).fits(), "byte {at} ^ {change}");
        }
    }
    fs::write(&path, &good).unwrap();
    assert!(check(&bench, &[]).fits());
}

#[test]
fn deletion_by_age_leaves_a_tombstone_and_the_kept_stay() {
    let bench = Bench::new();
    let files = bench.write(3);
    let mut writer = bench.open(Limits { keep_days: 10.0, ..Limits::default() });
    writer.keep(2, "case 7").unwrap();
    assert!(bench.dir().join(format!("{}{KEEP}", name(&files[1]))).exists());
    let late = start().plus_seconds(10.0 * 86_400.0 + 90.0);
    let pruned = writer.prune(late).unwrap();
    assert_eq!(pruned.deleted.iter().map(|t| t.sequence).collect::<Vec<_>>(), [1]);
    assert_eq!(pruned.kept, [name(&files[1])]);
    assert!(!files[0].path.exists() && files[1].path.exists() && files[2].path.exists());
    let verified = check(&bench, &[files[2].head]);
    assert_eq!(wrong(&verified), Vec::<String>::new());
    assert_eq!((verified.deleted, verified.written, verified.files.len()), (1, 3, 2));
    writer.release(2).unwrap();
    assert_eq!(writer.prune(late).unwrap().deleted.len(), 1);
    assert!(writer.keep(2, "too late").is_err());
    // The chain goes on after that, and after a restart.
    assert_eq!(writer.write(&input("gsm"), late).unwrap().sequence, 4);
    drop(writer);
    assert_eq!(bench.open(Limits::default()).write(&input("gsm"), late).unwrap().sequence, 5);
    assert!(check(&bench, &[]).fits());
    // Without its tombstone the same absence is none by the rules.
    let without: Vec<String> = lines(&bench).into_iter().filter(|l| !l.contains("deleted")).collect();
    put(&bench, &without);
    assert_eq!(wrong(&check(&bench, &[])).len(), 2);
}

#[test]
fn a_forged_or_borrowed_tombstone_is_found() {
    let bench = Bench::new();
    let files = bench.write(2);
    let mut writer = bench.open(Limits { keep_days: 0.0, ..Limits::default() });
    writer.keep(2, "case 7").unwrap();
    writer.prune(start().plus_seconds(1000.0)).unwrap();
    drop(writer);
    let good = lines(&bench);
    fs::remove_file(&files[1].path).unwrap();
    let borrowed = good[2].replace("\"sequence\":1", "\"sequence\":2");
    let heads = files.iter().map(|f| f.head.to_string()).collect::<Vec<_>>();
    let forged = borrowed.replace(&heads[0], &heads[1]).replace(&name(&files[0]), &name(&files[1]));
    for (line, word) in [(borrowed, "another file"), (forged, "not signed")] {
        put(&bench, &[&good[..], &[line]].concat());
        let found = wrong(&check(&bench, &[]));
        assert!(found.iter().any(|w| w.contains(word)), "{word}: {found:?}");
        assert!(found.iter().any(|w| w.contains("missing")), "{found:?}");
    }
}

#[test]
fn a_file_that_somebody_removed_gets_no_tombstone() {
    let bench = Bench::new();
    let files = bench.write(2);
    fs::remove_file(&files[0].path).unwrap();
    let mut writer = bench.open(Limits { keep_days: 0.0, ..Limits::default() });
    let pruned = writer.prune(start().plus_seconds(1e6)).unwrap();
    assert_eq!(pruned.deleted.iter().map(|t| t.sequence).collect::<Vec<_>>(), [2]);
    assert!(wrong(&check(&bench, &[]))[0].contains("missing"));
}

#[test]
fn deletion_by_size_takes_the_oldest() {
    let bench = Bench::new();
    let files = bench.write(4);
    let bytes = fs::metadata(&files[0].path).unwrap().len();
    let mut writer = bench.open(Limits { folder_bytes: 2 * bytes + bytes / 2, ..Limits::default() });
    let pruned = writer.prune(start().plus_seconds(1e3)).unwrap();
    assert_eq!(pruned.deleted.iter().map(|t| t.sequence).collect::<Vec<_>>(), [1, 2]);
    assert!(pruned.bytes_left <= 2 * bytes + bytes / 2);
    assert!(check(&bench, &[]).fits());
}

#[test]
fn a_folder_has_one_writer_and_one_key() {
    let (bench, other) = (Bench::new(), Bench::new());
    let writer = bench.open(Limits::default());
    let second = EvidenceWriter::open(&bench.dir(), bench.keys(), Limits::default());
    assert!(matches!(second, Err(EvidenceError::InUse { .. })), "{second:?}");
    drop(writer);
    bench.write(1);
    let error = EvidenceWriter::open(&bench.dir(), other.keys(), Limits::default()).unwrap_err().to_string();
    assert!(error.contains("another key"), "{error}");
    put(&bench, &["{}\n".to_owned()]);
    let error = EvidenceWriter::open(&bench.dir(), bench.keys(), Limits::default()).unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn what_a_crash_leaves_is_put_in_order() {
    let bench = Bench::new();
    let files = bench.write(2);
    let part = |file: &EvidenceFile| PathBuf::from(format!("{}.part", file.path.display()));
    // Between the chain's line and the name.
    fs::rename(&files[1].path, part(&files[1])).unwrap();
    // While a third was written, and its line.
    fs::write(bench.dir().join("00000003-x.h5.part"), b"half").unwrap();
    let whole = lines(&bench).concat();
    fs::write(bench.dir().join(CHAIN_FILE), format!("{whole}{{\"entry\":\"fi")).unwrap();
    assert!(check(&bench, &[files[1].head]).fits(), "a crash is no tampering: {:?}", wrong(&check(&bench, &[])));
    let mut writer = bench.open(Limits::default());
    assert_eq!(writer.repairs().len(), 3, "{:?}", writer.repairs());
    assert!(files[1].path.exists());
    // A name that could not be given, and the box went on.
    fs::rename(&files[0].path, part(&files[0])).unwrap();
    drop(writer);
    writer = bench.open(Limits::default());
    assert_eq!((writer.repairs().len(), files[0].path.exists()), (1, true), "{:?}", writer.repairs());
    assert_eq!(writer.write(&input("gsm"), start()).unwrap().sequence, 3);
    drop(writer);
    assert!(check(&bench, &[]).fits());
    // Between a tombstone and the deletion.
    let bytes = fs::read(&files[0].path).unwrap();
    bench.open(Limits { keep_days: 0.0, ..Limits::default() }).prune(start().plus_seconds(30.0)).unwrap();
    fs::write(&files[0].path, bytes).unwrap();
    assert!(check(&bench, &[]).fits());
    assert_eq!(bench.open(Limits::default()).repairs().len(), 1);
    assert!(!files[0].path.exists());
}
