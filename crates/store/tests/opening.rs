//! What a store is opened on: nothing, a store, somebody else's file, a damaged store.

mod common;

use cellwarden_store::{HitQuery, Limits, Notice, Reader, Store, StoreError};
use common::{all_ids, begin, hit, small_limits, store};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

fn set_aside(notices: &[Notice]) -> PathBuf {
    match notices {
        [Notice::SetAside { to, .. }, Notice::Created { .. }] => to.clone(),
        other => panic!("want a store that was set aside, and a new one: {other:?}"),
    }
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.db");
    for content in [b"hello".to_vec(), vec![0; 5000], b"SQLite format 4\0".repeat(700)] {
        fs::write(&path, &content).expect("writes");
        assert!(matches!(Store::open(&path, small_limits()), Err(StoreError::NotADatabase { .. })));
        assert!(matches!(Reader::open(&path), Err(StoreError::NotADatabase { .. })));
        assert_eq!(fs::read(&path).expect("reads"), content);
    }
    fs::remove_file(&path).expect("removes");
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.execute_batch("CREATE TABLE hits (id)").expect("works");
    drop(other);
    let before = fs::read(&path).expect("reads");
    assert!(matches!(Store::open(&path, small_limits()), Err(StoreError::NotOurs { .. })));
    assert!(matches!(Reader::open(&path), Err(StoreError::NotOurs { .. })));
    assert_eq!(fs::read(&path).expect("reads"), before);
}

/// Found by `scripts/kill-test`.
#[test]
fn a_store_whose_making_was_killed_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let direct = rusqlite::Connection::open(&path).expect("opens");
    direct.execute_batch("PRAGMA auto_vacuum = INCREMENTAL").expect("works");
    drop(direct);
    assert!(path.metadata().expect("is there").len() > 0, "the first page was written, and nothing else");
    let (mut store, notices) = Store::open(&path, small_limits()).expect("a store");
    assert_eq!(notices, [Notice::Created { path: path.clone() }]);
    store.put_hit(&hit("one", 0.0), begin()).expect("stored");
    assert_eq!(all_ids(&path), ["one"]);
    // Somebody else's empty database is not ours.
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other).expect("opens").execute_batch("PRAGMA user_version = 0; VACUUM").expect("works");
    if other.metadata().expect("is there").len() > 0 {
        assert!(matches!(Store::open(&other, small_limits()), Err(StoreError::NotOurs { .. })));
    }
}

#[test]
fn a_newer_schema_is_refused_with_both_numbers() {
    let (_folder, path, store) = store();
    drop(store);
    let direct = rusqlite::Connection::open(&path).expect("opens");
    direct.pragma_update(None, "user_version", 7).expect("works");
    drop(direct);
    let said = Store::open(&path, small_limits()).expect_err("refused").to_string();
    assert!(said.contains("schema 7") && said.contains("up to 1"), "{said}");
    assert!(matches!(Reader::open(&path), Err(StoreError::NewerSchema { found: 7, known: 1, .. })));
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let (_folder, path, mut store) = store();
    store.put_hit(&hit("one", 0.0), begin()).expect("stored");
    let said = Store::open(&path, small_limits()).expect_err("refused").to_string();
    assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
    assert_eq!(all_ids(&path), ["one"]);
    drop(store);
    Store::open(&path, small_limits()).expect("the lock ends with its holder");
}

#[test]
fn the_folder_is_made_but_not_a_whole_path() {
    let folder = tempfile::tempdir().expect("a folder");
    Store::open(&folder.path().join("new/s.db"), small_limits()).expect("a store");
    let error = Store::open(&folder.path().join("a/b/s.db"), small_limits()).expect_err("refused");
    assert!(matches!(error, StoreError::Folder { .. }));
    let wrong = Limits { age_days: 0, ..Limits::default() };
    assert!(matches!(Store::open(&folder.path().join("s.db"), wrong), Err(StoreError::Limit { .. })));
    assert!(matches!(Reader::open(&folder.path().join("none.db")), Err(StoreError::NotFound { .. })));
}

/// A store of 500 hits, closed, of which a page in the middle is then overwritten.
fn damaged() -> (tempfile::TempDir, PathBuf) {
    let (folder, path, mut store) = store();
    let hits: Vec<_> = (0..500).map(|i| hit(&format!("hit-{i:03}"), f64::from(i))).collect();
    store.put_hits(&hits, begin()).expect("stored");
    store.close(begin()).expect("closes");
    scribble(&path);
    (folder, path)
}

fn scribble(path: &Path) {
    let pages = path.metadata().expect("is there").len() / 4096;
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("opens");
    for page in 1..pages {
        file.seek(SeekFrom::Start(page * 4096)).expect("seeks");
        file.write_all(&[0xA5; 100]).expect("writes");
    }
}

#[test]
fn a_damaged_store_is_set_aside_byte_for_byte_and_a_new_one_begun() {
    let (_folder, path) = damaged();
    let before = fs::read(&path).expect("reads");
    let (mut store, notices) = Store::open(&path, small_limits()).expect("a store");
    let to = set_aside(&notices);
    assert!(to.to_string_lossy().contains(".corrupt-20"), "{}", to.display());
    assert_eq!(fs::read(&to).expect("reads"), before);
    let said = notices[0].to_string();
    assert!(said.contains("damaged") && said.contains(&to.display().to_string()), "{said}");
    store.put_hit(&hit("new", 0.0), begin()).expect("stored");
    assert_eq!(all_ids(&path), ["new"]);
    drop(store);
    // The next is damaged in the same second: neither is overwritten.
    scribble(&path);
    let (_store, notices) = Store::open(&path, small_limits()).expect("a store");
    assert_ne!(set_aside(&notices), to);
    assert_eq!(fs::read(&to).expect("reads"), before);
}

#[test]
fn damage_that_shows_while_it_runs_costs_no_acknowledged_hit_from_then_on() {
    let (_folder, path, mut store) = store();
    store.put_hits(&(0..500).map(|i| hit(&format!("h-{i:03}"), 0.0)).collect::<Vec<_>>(), begin()).expect("stored");
    // What was written goes from the log to the file, and the file is overwritten under the writer's feet.
    let direct = rusqlite::Connection::open(&path).expect("opens");
    direct.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("works");
    scribble(&path);
    // The page cache of the writer is only as good as nobody else has written.
    direct.pragma_update(None, "writable_schema", true).expect("works");
    let _ = direct.execute_batch("UPDATE meta SET value = value");
    drop(direct);
    for i in 0..50 {
        store.put_hit(&hit(&format!("new-{i:02}"), f64::from(i)), begin()).expect("stored");
    }
    let notices = store.notices();
    assert!(notices.iter().any(|n| matches!(n, Notice::SetAside { .. })), "{notices:?}");
    let ids = all_ids(&path);
    assert!((0..50).all(|i| ids.contains(&format!("new-{i:02}"))), "{ids:?}");
}

#[test]
fn a_store_that_is_deleted_while_it_runs_is_begun_anew_and_readers_follow() {
    let (_folder, path, mut store) = store();
    store.put_hit(&hit("old", 0.0), begin()).expect("stored");
    let mut reader = Reader::open(&path).expect("a reader");
    fs::remove_file(&path).expect("removes");
    store.put_hit(&hit("new", 1.0), begin()).expect("stored");
    assert!(store.notices().iter().any(|n| matches!(n, Notice::Vanished { .. })));
    let page = reader.hits(&HitQuery::default()).expect("a page");
    assert_eq!(page.hits.iter().map(|h| h.hit.id.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[test]
fn a_backup_that_takes_its_place_while_it_runs_stays_whole() {
    let (folder, path, mut store) = store();
    store.put_hits(&(0..200).map(|i| hit(&format!("old-{i}"), 0.0)).collect::<Vec<_>>(), begin()).expect("stored");
    let direct = rusqlite::Connection::open(&path).expect("opens");
    direct.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("works");
    drop(direct);
    let backup = folder.path().join("backup.db");
    fs::copy(&path, &backup).expect("copies");
    // These are in the log when the backup gets the name.
    store.put_hits(&(0..200).map(|i| hit(&format!("late-{i}"), 1.0)).collect::<Vec<_>>(), begin()).expect("stored");
    fs::rename(&backup, &path).expect("renames");
    store.put_hit(&hit("new", 2.0), begin()).expect("stored");
    let direct = rusqlite::Connection::open(&path).expect("opens");
    let whole: String = direct.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
    assert_eq!(whole, "ok");
    let ids = all_ids(&path);
    assert!(ids.len() == 201 && ids.iter().all(|id| id == "new" || id.starts_with("old-")), "{}", ids.len());
}

#[test]
fn a_path_with_a_question_mark_is_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("what? 100%#1.db");
    let (mut store, _) = Store::open(&path, small_limits()).expect("a store");
    store.put_hit(&hit("one", 0.0), begin()).expect("stored");
    assert_eq!(all_ids(&path), ["one"]);
}
