//! What goes, in which order, and what stays.

mod common;

use cellwarden_store::{EventLevel, Limits, Notice, PAGE_MOST, Pruned, Reader, Span};
use cellwarden_types::{HitState, UtcNanos};
use common::{DAY_S, Uptime, all_hits, all_ids, begin, gap, health, hit, hit_of, large_hit, small_limits};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn place() -> (tempfile::TempDir, PathBuf) {
    // Months go by in here, and every second of them is synced: that takes minutes on a disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let path = folder.path().join("s.db");
    (folder, path)
}

fn count(path: &Path, table: &str) -> i64 {
    let direct = rusqlite::Connection::open(path).expect("opens");
    direct.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("counts")
}

/// Prunes until nothing is left to do.
fn prune(store: &mut cellwarden_store::Store, now: UtcNanos) -> Pruned {
    let mut sum = Pruned::default();
    for _ in 0..100 {
        let pruned = store.prune(now).expect("prunes");
        sum.hits += pruned.hits;
        sum.health += pruned.health;
        sum.context += pruned.context;
        (sum.only_kept, sum.used_bytes) = (pruned.only_kept, pruned.used_bytes);
        if !pruned.more {
            return sum;
        }
    }
    panic!("there is always more");
}

#[test]
fn records_go_after_the_age_limit_but_not_what_is_kept() {
    let (_folder, path) = place();
    let uptime = Uptime::default();
    let (mut store, _) = uptime.open(&path, small_limits());
    for day in 0..120 {
        let now = begin().plus_seconds(f64::from(day) * DAY_S);
        store.put_hit(&hit(&format!("day-{day:03}"), f64::from(day) * DAY_S), now).expect("stored");
        store.put_gap(&gap(1), now).expect("stored");
        store.put_event(now, EventLevel::Info, None, "a day").expect("stored");
        store.put_health(&health(now)).expect("stored");
        if day == 3 {
            store.mark_kept("day-003", true, "a case", now).expect("marked");
        }
        prune(&mut store, now);
        uptime.pass(DAY_S);
    }
    let mut expected = vec!["day-003".to_owned()];
    expected.extend((29..120).map(|day| format!("day-{day:03}")));
    assert_eq!(all_ids(&path), expected);
    assert_eq!((count(&path, "gaps"), count(&path, "events"), count(&path, "health")), (91, 91, 91));
    store.mark_kept("day-003", false, "", begin().plus_seconds(120.0 * DAY_S)).expect("unmarked");
    prune(&mut store, begin().plus_seconds(120.0 * DAY_S));
    assert!(!all_ids(&path).contains(&"day-003".to_owned()), "a mark that is taken away protects no longer");
}

#[test]
fn a_clock_that_says_2099_or_1970_deletes_nothing() {
    let (_folder, path) = place();
    let uptime = Uptime::default();
    let (mut store, _) = uptime.open(&path, small_limits());
    store.put_hit(&hit("right", 0.0), begin()).expect("stored");
    for (id, wrong) in [("late", "2099-01-01T00:00:00Z"), ("early", "1970-01-01T00:00:10Z")] {
        let wrong: UtcNanos = common::utc(wrong);
        for minute in 0..600 {
            uptime.pass(60.0);
            let now = wrong.plus_seconds(f64::from(minute) * 60.0);
            store.put_hit(&hit_of(id, minute + 1, HitState::Updated, now), now).expect("stored");
            let pruned = store.prune(now).expect("prunes");
            assert_eq!(pruned.hits, 0, "{id}, minute {minute}");
        }
        let jumps = store.notices().iter().filter(|n| matches!(n, Notice::ClockJump { .. })).count();
        assert_eq!(jumps, 1, "it is said once");
    }
    // The clock is set right: what was heard under the wrong one grows old like all else.
    let back = begin().plus_seconds(1200.0 * 60.0);
    assert_eq!(prune(&mut store, back).hits, 0);
    assert_eq!(all_ids(&path).len(), 3);
    for day in 1..=91 {
        uptime.pass(DAY_S);
        prune(&mut store, back.plus_seconds(f64::from(day) * DAY_S));
    }
    assert_eq!(all_ids(&path).len(), 0);
}

#[test]
fn a_wrong_clock_at_the_start_of_a_daemon_deletes_nothing_either() {
    let (_folder, path) = place();
    for wrong in ["2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2262-01-01T00:00:00Z", "2026-05-15T00:00:00Z"] {
        let (mut store, _) = Uptime::default().open(&path, small_limits());
        store.put_hit(&hit("one", 0.0), begin()).expect("stored");
        drop(store);
        let (mut store, _) = Uptime::default().open(&path, small_limits());
        assert_eq!(prune(&mut store, common::utc(wrong)).hits, 0, "{wrong}");
        for limit in [i64::MAX, i64::MIN, 0] {
            assert_eq!(prune(&mut store, UtcNanos(limit)).hits, 0);
        }
        assert_eq!(all_ids(&path), ["one"]);
    }
}

#[test]
fn after_a_month_without_power_old_records_go_within_days() {
    let (_folder, path) = place();
    let (mut store, _) = Uptime::default().open(&path, small_limits());
    store.put_hit(&hit("before", 0.0), begin()).expect("stored");
    drop(store);
    let uptime = Uptime::default();
    let (mut store, _) = uptime.open(&path, small_limits());
    let mut day = 60;
    while !all_ids(&path).is_empty() {
        day += 1;
        uptime.pass(DAY_S);
        prune(&mut store, begin().plus_seconds(f64::from(day) * DAY_S));
        assert!(day < 100);
    }
    assert_eq!(day, 91, "90 days after it was heard, although the daemon ran for 31 only");
}

#[test]
fn health_is_thinned_as_it_ages() {
    let (_folder, path) = place();
    let uptime = Uptime::default();
    let limits = Limits { health_minute_s: 2 * 3600, age_days: 1, ..small_limits() };
    let (mut store, _) = uptime.open(&path, limits);
    let seconds = 30 * 3600;
    for second in 0..seconds {
        if second % 5 == 0 {
            let now = begin().plus_seconds(f64::from(second));
            store.put_health(&health(now)).expect("stored");
            if second % 600 == 0 {
                prune(&mut store, now);
            }
        }
        uptime.pass(1.0);
    }
    let end = begin().plus_seconds(f64::from(seconds));
    prune(&mut store, end);
    let mut reader = Reader::open(&path).expect("a reader");
    let mut between = |from_h: f64, to_h: f64| {
        let at = |hours: f64| Some(end.plus_seconds(-hours * 3600.0));
        reader
            .health(&Span { from: at(from_h), to: at(to_h), limit: PAGE_MOST, after: None })
            .expect("a page")
            .records
            .len()
    };
    assert_eq!(between(1.0, 0.0), 720, "every one of the last hour");
    assert_eq!(between(2.0, 1.0), 60, "then one a minute");
    assert_eq!(between(24.0, 2.0), 22 * 4, "then one in a quarter of an hour");
    assert_eq!(between(30.0, 24.0), 0, "then none");
}

#[test]
fn a_store_that_is_too_large_shrinks_on_disk_and_gives_up_hits_last_and_oldest_first() {
    let (_folder, path) = place();
    let uptime = Uptime::default();
    let (mut store, _) = uptime.open(&path, Limits { health_every_s: 0, ..small_limits() });
    for i in 0..1500 {
        store.put_health(&health(begin())).expect("stored");
        store.put_gap(&gap(i), begin()).expect("stored");
    }
    for batch in 0..30 {
        let hits: Vec<_> = (0..100).map(|i| large_hit(&format!("{batch:02}-{i:02}"), f64::from(batch))).collect();
        store.put_hits(&hits, begin()).expect("stored");
        uptime.pass(1.0);
    }
    for id in ["00-00", "00-50", "05-07"] {
        store.mark_kept(id, true, "a case", begin()).expect("marked");
    }
    let before = path.metadata().expect("is there").len();
    assert!(before > 20 << 20, "{before}");
    let mut calls = 0;
    loop {
        let pruned = store.prune(begin()).expect("prunes");
        assert!(pruned.hits <= 4000 && pruned.health <= 4000, "{pruned:?}");
        calls += 1;
        if !pruned.more && path.metadata().expect("is there").len() <= 16 << 20 {
            assert!(!pruned.only_kept);
            break;
        }
        assert!(calls < 20, "{pruned:?}");
    }
    assert_eq!(store.trouble(), None);
    let ids = all_ids(&path);
    assert_eq!(ids[..3], ["00-00", "00-50", "05-07"]);
    let newest: Vec<_> =
        (0..3000).rev().take(ids.len() - 3).map(|i| format!("{:02}-{:02}", i / 100, i % 100)).collect();
    assert!(newest.iter().rev().eq(&ids[3..]), "the newest are left");
    assert_eq!(count(&path, "health"), 600, "the newest of health stay");
    assert_eq!(count(&path, "gaps"), 1500, "few enough to stay");
}

#[test]
fn kept_hits_that_are_too_much_are_said_not_deleted() {
    let (_folder, path) = place();
    let (mut store, _) = Uptime::default().open(&path, small_limits());
    let hits: Vec<_> = (0..3000).map(|i| large_hit(&format!("{i:04}"), f64::from(i))).collect();
    store.put_hits(&hits, begin()).expect("stored");
    let direct = rusqlite::Connection::open(&path).expect("opens");
    direct.execute("UPDATE hits SET kept = 1, kept_why = 'all of them'", []).expect("works");
    let pruned = prune(&mut store, begin());
    assert!(pruned.only_kept && pruned.hits == 0, "{pruned:?}");
    let said = store.trouble().expect("it is said");
    assert!(said.contains("may take 16") && said.contains("kept"), "{said}");
    assert_eq!(all_ids(&path).len(), 3000);
    // New hits are not the price of old ones.
    store.put_hit(&hit("new", 9e5), begin()).expect("stored");
    assert_eq!(prune(&mut store, begin()).hits, 0);
    assert!(all_ids(&path).contains(&"new".to_owned()));
    direct.execute("DELETE FROM hits WHERE id > '0100' AND id < '4'", []).expect("works");
    prune(&mut store, begin());
    assert_eq!(store.trouble(), None, "it is no longer said when it is no longer so");
}

#[test]
fn one_call_does_a_bounded_amount_of_work() {
    let (_folder, path) = place();
    let uptime = Uptime::default();
    let (mut store, _) = uptime.open(&path, Limits { size_bytes: 1 << 30, ..small_limits() });
    let hits: Vec<_> = (0..10_000).map(|i| hit(&format!("{i:05}"), 0.0)).collect();
    for some in hits.chunks(1000) {
        store.put_hits(some, begin()).expect("stored");
    }
    uptime.pass(91.0 * DAY_S);
    let pruned = store.prune(begin().plus_seconds(91.0 * DAY_S)).expect("prunes");
    assert!(pruned.more && (4000..4400).contains(&pruned.hits), "{pruned:?}");
    assert_eq!(prune(&mut store, begin().plus_seconds(91.0 * DAY_S)).hits, 10_000 - pruned.hits);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn retention_never_deletes_a_kept_hit_and_always_the_oldest_first(
        // Seconds between, whether it is kept, whether it takes much, whether it is an update of the one before.
        puts in prop::collection::vec((0u32..20_000, prop::bool::weighted(0.2), any::<bool>(), prop::bool::weighted(0.1)), 1..150),
        prune_every in 1usize..20,
        copies in 1usize..40,
    ) {
        let (_folder, path) = place();
        let uptime = Uptime::default();
        let (mut store, _) = uptime.open(&path, Limits { age_days: 2, ..small_limits() });
        let mut kept = Vec::new();
        // Id and when it was written last, in order.
        let mut written: Vec<String> = Vec::new();
        let mut clock_s = 0.0;
        let mut revision = 1;
        for (n, (seconds, keep, large, update)) in puts.into_iter().enumerate() {
            clock_s += f64::from(seconds);
            uptime.pass(f64::from(seconds));
            let now = begin().plus_seconds(clock_s);
            let make = if large { large_hit } else { hit };
            let again = written.len().checked_sub(3).filter(|_| update).map(|i| written[i].clone());
            if let Some(id) = again {
                revision += 1;
                written.retain(|w| *w != id);
                store.put_hit(&cellwarden_types::Hit { revision, ..make(&id, clock_s) }, now).expect("stored");
                written.push(id);
            } else {
                let ids: Vec<_> = (0..copies).map(|copy| format!("{n:03}-{copy:02}")).collect();
                let hits: Vec<_> = ids.iter().map(|id| make(id, clock_s)).collect();
                store.put_hits(&hits, now).expect("stored");
                if keep {
                    store.mark_kept(&ids[0], true, "drawn", now).expect("marked");
                    kept.push(ids[0].clone());
                }
                written.extend(ids);
            }
            if n % prune_every == 0 {
                prune(&mut store, now);
                let there = all_ids(&path);
                for id in &kept {
                    prop_assert!(there.contains(id), "kept {} is gone", id);
                }
                // Of those that are not kept, what is left is the end of what was written.
                let left: Vec<_> = written.iter().filter(|w| !kept.contains(w)).map(|w| there.contains(w)).collect();
                prop_assert!(left.is_sorted(), "{:?}", left);
            }
        }
    }
}

#[test]
fn the_time_of_a_record_says_when_it_was_and_not_how_old_it_is() {
    let (_folder, path) = place();
    let (mut store, _) = Uptime::default().open(&path, small_limits());
    // An old recording, replayed into the store today.
    store.put_hit(&hit("old", -1000.0 * DAY_S), begin()).expect("stored");
    assert_eq!(prune(&mut store, begin()).hits, 0);
    assert_eq!(all_hits(&path)[0].hit.time_start, Some(begin().plus_seconds(-1000.0 * DAY_S)));
}
