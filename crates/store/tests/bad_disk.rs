//! Disks that are full, cannot be written, or go away. The small ones are real, where this user may mount them.

mod common;

use cellwarden_store::{EventLevel, Limits, Notice, Reader, Store, StoreError};
use cellwarden_types::{Hit, HitState};
use common::{SmallDisk, all_ids, begin, gap, health, hit, hit_of, large_hit, small_limits};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many snapshots, gaps with events, and hits there are, and how many of the old ones.
fn counts(path: &Path) -> [usize; 4] {
    let direct =
        rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opens");
    ["health", "(SELECT 1 FROM gaps UNION ALL SELECT 1 FROM events)", "hits", "hits WHERE id LIKE 'old-%'"]
        .map(|what| direct.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).expect("counts"))
}

/// A store on a small disk, with some of everything; hit `old-000` is kept.
fn furnished(disk: &SmallDisk) -> (std::path::PathBuf, Store) {
    let path = disk.path().join("cellwarden.db");
    let limits = Limits { health_every_s: 0, ..small_limits() };
    let (mut store, _) = Store::open(&path, limits).expect("a store");
    let hits: Vec<_> = (0..200).map(|i| large_hit(&format!("old-{i:03}"), f64::from(i))).collect();
    store.put_hits(&hits, begin()).expect("stored");
    store.mark_kept("old-000", true, "a case", begin()).expect("marked");
    for i in 0..300 {
        store.put_health(&health(begin())).expect("stored");
        store.put_gap(&gap(i), begin()).expect("stored");
        store.put_event(begin(), EventLevel::Info, None, "something").expect("stored");
    }
    (path, store)
}

#[test]
fn a_full_disk_costs_health_first_then_context_then_the_oldest_hits_and_no_acknowledged_new_one() {
    let Some(disk) = SmallDisk::of_mib(40) else { return };
    let (path, mut store) = furnished(&disk);
    assert_eq!(store.trouble(), None);
    disk.fill();
    let before = counts(&path);
    let (mut acknowledged, mut n) = (Vec::new(), 0);
    // Until hits have to go.
    while counts(&path)[3] == 200 {
        let id = format!("new-{n:04}");
        store.put_hit(&large_hit(&id, 1000.0 + f64::from(n)), begin()).expect("stored, whatever that costs");
        acknowledged.push(id);
        n += 1;
        assert!(n < 3000);
        let now = counts(&path);
        if now[1] < before[1] {
            assert_eq!(now[0], 0, "gaps and events go after health");
        }
        if now[2] < before[2] + acknowledged.len() {
            assert_eq!(now[..2], [0, 0], "hits go after gaps and events");
        }
    }
    for _ in 0..100 {
        let id = format!("new-{n:04}");
        store.put_hit(&large_hit(&id, 1000.0 + f64::from(n)), begin()).expect("stored");
        acknowledged.push(id);
        n += 1;
    }
    let ids = all_ids(&path);
    assert_eq!(ids[0], "old-000", "kept");
    assert!(acknowledged.iter().all(|id| ids.contains(id)), "all that was acknowledged is there");
    let old: Vec<_> = ids.iter().filter(|id| id.starts_with("old")).skip(1).cloned().collect();
    let newest: Vec<_> = (200 - old.len()..200).map(|i| format!("old-{i:03}")).collect();
    assert_eq!(old, newest, "the oldest went");
    assert!(matches!(store.put_health(&health(begin())), Err(StoreError::LeftOut { .. })));
    let said = store.trouble().expect("it is said");
    assert!(said.contains("no room on the disk") && said.contains("1 snapshots of health"), "{said}");
    assert!(!disk.path().join("cellwarden.db.reserve").exists(), "the reserve was given up");
    // Room comes back.
    fs::remove_file(disk.path().join("somebody-elses")).expect("removes");
    store.prune(begin()).expect("prunes");
    assert_eq!(store.trouble(), None);
    assert!(store.notices().iter().any(|n| matches!(n, Notice::Recovered { .. })));
    assert!(disk.path().join("cellwarden.db.reserve").exists(), "and is taken again");
    assert!(store.put_health(&health(begin())).expect("stored"));
}

#[test]
fn where_nothing_may_be_deleted_hits_wait_in_memory_and_are_acknowledged_later() {
    let Some(disk) = SmallDisk::of_mib(40) else { return };
    let (path, mut store) = furnished(&disk);
    let direct = rusqlite::Connection::open(&path).expect("opens");
    direct
        .execute_batch(
            "UPDATE hits SET kept = 1;
             CREATE TRIGGER keep AFTER INSERT ON hits BEGIN UPDATE hits SET kept = 1 WHERE id = new.id; END;",
        )
        .expect("works");
    drop(direct);
    disk.fill();
    let mut n = 0;
    let mut acknowledged = Vec::new();
    let held = loop {
        let id = format!("new-{n:04}");
        match store.put_hit(&large_hit(&id, 1000.0), begin()) {
            Ok(_) => acknowledged.push(id),
            Err(StoreError::Held { id, .. }) => break id,
            Err(other) => panic!("{other}"),
        }
        n += 1;
        assert!(n < 5000);
    };
    assert!(acknowledged.len() > 200, "what is left of the disk is for hits: {}", acknowledged.len());
    let ids = all_ids(&path);
    assert!(acknowledged.iter().all(|id| ids.contains(id)) && !ids.contains(&held));
    assert_eq!(store.held_hits(), 1);
    let said = store.trouble().expect("it is said");
    assert!(said.contains("1 hits are in memory only"), "{said}");
    assert!(store.flush(begin()).is_empty(), "what is not on disk is not acknowledged");
    fs::remove_file(disk.path().join("somebody-elses")).expect("removes");
    let late = store.flush(begin());
    assert_eq!(late.iter().map(|a| a.id.as_str()).collect::<Vec<_>>(), [held.as_str()]);
    let ids = all_ids(&path);
    assert!(ids.contains(&held) && (0..200).all(|i| ids.contains(&format!("old-{i:03}"))));
    store.prune(begin()).expect("prunes");
    assert_eq!(store.trouble(), None);
    store.close(begin()).expect("closes");
}

#[test]
fn a_store_opens_on_a_full_disk() {
    let Some(disk) = SmallDisk::of_mib(40) else { return };
    let (path, store) = furnished(&disk);
    drop(store);
    disk.fill();
    let (mut store, _) = Store::open(&path, small_limits()).expect("a store");
    store.put_hit(&hit("new", 1e4), begin()).expect("stored");
    assert!(store.trouble().is_some());
    assert!(all_ids(&path).contains(&"new".to_owned()));
}

#[test]
fn a_disk_that_cannot_be_written_is_read_and_hits_wait_for_it() {
    let Some(disk) = SmallDisk::of_mib(40) else { return };
    let (path, store) = furnished(&disk);
    store.close(begin()).expect("closes");
    disk.remount("ro");
    assert_eq!(all_ids(&path).len(), 200, "a reader needs no right to write");
    let (mut store, notices) = Store::open(&path, small_limits()).expect("a store, though in trouble");
    assert!(matches!(&notices[..], [Notice::Trouble { .. }]), "{notices:?}");
    for revision in 1..4 {
        let update = hit_of("one", revision, HitState::Updated, begin());
        assert!(matches!(store.put_hit(&update, begin()), Err(StoreError::Held { .. })));
    }
    assert!(matches!(store.put_gap(&gap(1), begin()), Err(StoreError::LeftOut { .. })));
    assert!(matches!(store.put_health(&health(begin())), Err(StoreError::LeftOut { .. })));
    assert!(matches!(store.prune(begin()), Err(StoreError::Unavailable { .. })));
    let said = store.trouble().expect("it is said");
    assert!(said.contains("nothing can be written") && said.contains("Read-only"), "{said}");
    disk.remount("rw");
    let late = store.flush(begin());
    assert_eq!((late[0].id.as_str(), late[0].revision), ("one", 3), "the newest report of each hit");
    assert_eq!(store.trouble(), None);
    assert_eq!(all_ids(&path).len(), 201);
}

#[test]
fn a_log_that_a_reader_cannot_see_is_said() {
    let Some(disk) = SmallDisk::of_mib(40) else { return };
    let (path, mut store) = furnished(&disk);
    store.put_hit(&hit("in-the-log", 1e4), begin()).expect("stored");
    // As after a crash: a database with its log, without the log's index, on a medium that cannot be written.
    let copy = disk.path().join("copy");
    fs::create_dir(&copy).expect("a folder");
    for end in ["", "-wal"] {
        fs::copy(format!("{}{end}", path.display()), copy.join(format!("c.db{end}"))).expect("copies");
    }
    store.close(begin()).expect("closes");
    disk.remount("ro");
    match Reader::open(&copy.join("c.db")) {
        Err(StoreError::LogUnreadable { .. }) => {}
        Ok(mut reader) => assert!(reader.hit("in-the-log").expect("read").is_some(), "all or nothing"),
        Err(other) => panic!("{other}"),
    }
    disk.remount("rw");
    assert_eq!(all_ids(&copy.join("c.db")).len(), 201);
}

#[test]
fn a_folder_that_goes_away_and_comes_back_costs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (place, away) = (folder.path().join("here"), folder.path().join("away"));
    let path = place.join("s.db");
    let (mut store, _) = Store::open(&path, small_limits()).expect("a store");
    store.put_hit(&hit("first", 0.0), begin()).expect("stored");
    fs::rename(&place, &away).expect("renames");
    assert!(matches!(store.put_hit(&hit("second", 1.0), begin()), Err(StoreError::Held { .. })));
    let began = Instant::now();
    for i in 0..100 {
        let _ = store.put_hit(&hit(&format!("more-{i:02}"), 2.0), begin());
    }
    assert!(began.elapsed() < Duration::from_secs(2), "a bad disk is not tried for every hit");
    assert_eq!(store.held_hits(), 101);
    fs::rename(&away, &place).expect("renames");
    assert_eq!(store.flush(begin()).len(), 101);
    assert_eq!(all_ids(&path).len(), 102);
    assert_eq!(store.trouble(), None);
}

#[test]
fn when_too_many_wait_ends_of_hits_are_the_last_to_be_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (place, away) = (folder.path().join("here"), folder.path().join("away"));
    let path = place.join("s.db");
    let (mut store, _) = Store::open(&path, Limits { outbox_hits: 10, ..small_limits() }).expect("a store");
    fs::rename(&place, &away).expect("renames");
    let put = |store: &mut Store, hit: &Hit| store.put_hit(hit, begin()).expect_err("not on disk");
    put(&mut store, &hit("end-8", 1.0));
    for i in 0..9 {
        put(&mut store, &hit_of(&format!("update-{i}"), 2, HitState::Updated, begin()));
    }
    for i in 0..8 {
        assert!(matches!(put(&mut store, &hit(&format!("end-{i}"), 1.0)), StoreError::Held { .. }));
    }
    fs::rename(&away, &place).expect("renames");
    let said = store.trouble().expect("it is said");
    assert!(said.contains("8 reports of hits are lost"), "{said}");
    let mut ids: Vec<_> = store.flush(begin()).into_iter().map(|a| a.id).collect();
    ids.sort();
    let mut expected: Vec<_> = (0..9).map(|i| format!("end-{i}")).collect();
    expected.push("update-8".to_owned());
    assert_eq!(ids, expected);
}

#[test]
fn closing_with_hits_in_memory_says_that_they_are_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("here");
    let (mut store, _) = Store::open(&place.join("s.db"), small_limits()).expect("a store");
    fs::rename(&place, folder.path().join("away")).expect("renames");
    store.put_hit(&hit("one", 0.0), begin()).expect_err("not on disk");
    assert!(matches!(store.close(begin()), Err(StoreError::Lost { .. })));
}
