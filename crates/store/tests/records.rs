//! What is put is what is read.

mod common;

use cellwarden_store::{
    ENDED_UNHEARD, EventLevel, HitQuery, Limits, Notice, PAGE_MOST, Reader, Span, Store, StoreError, mark_kept,
};
use cellwarden_types::{Hit, HitState, Standard};
use common::{all_hits, all_ids, begin, gap, health, hit, hit_of, small_limits, store};

#[test]
fn a_hit_is_read_by_another_connection_as_it_was_put() {
    let (_folder, path, mut store) = store();
    let hit = Hit { cell: Some("A-07".to_owned()), ..hit("one", 0.0) };
    let said = store.put_hit(&hit, begin()).expect("stored");
    assert_eq!((said.id.as_str(), said.revision), ("one", 1));
    let mut reader = Reader::open(&path).expect("a reader");
    let read = reader.hit("one").expect("read").expect("there");
    assert_eq!((read.hit, read.kept, read.stored), (hit, false, begin()));
    assert!(reader.hit("another").expect("read").is_none());
}

#[test]
fn an_older_revision_never_replaces_a_newer_one() {
    let (_folder, path, mut store) = store();
    let of = |revision, state| hit_of("one", revision, state, begin());
    store.put_hit(&of(1, HitState::Open), begin()).expect("stored");
    store.put_hit(&of(3, HitState::Closed), begin()).expect("stored");
    for revision in [1, 2, 3] {
        let said = store.put_hit(&of(revision, HitState::Updated), begin()).expect("acknowledged");
        assert_eq!(said.revision, 3, "the newer one is on disk");
    }
    let hits = all_hits(&path);
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].hit, of(3, HitState::Closed));
}

#[test]
fn hits_that_could_not_be_read_back_are_refused() {
    let (_folder, path, mut store) = store();
    let mut bad = vec![hit("", 0.0), hit(&"x".repeat(257), 0.0)];
    bad.push(Hit { confidence: f64::NAN, ..hit("nan", 0.0) });
    bad.push(Hit { block: "b".repeat(300 << 10), ..hit("long", 0.0) });
    for number in [f64::INFINITY, f64::NEG_INFINITY] {
        let mut hit = hit("map", 0.0);
        hit.sensors.insert("a".to_owned(), number);
        bad.push(hit);
    }
    for hit in &bad {
        let together = [common::hit("good", 0.0), hit.clone()];
        assert!(matches!(store.put_hits(&together, begin()), Err(StoreError::BadHit { .. })), "{:.20}", hit.id);
    }
    assert!(all_hits(&path).is_empty(), "all or nothing");
    assert_eq!(store.trouble(), None);
}

#[test]
fn a_hit_without_a_time_gets_its_place_from_the_moment_it_is_stored() {
    let (_folder, path, mut store) = store();
    let hit = Hit { time_start: None, time_end: None, ..hit("timeless", 0.0) };
    store.put_hit(&hit, begin()).expect("stored");
    let query = HitQuery { from: Some(begin()), to: Some(begin().plus_seconds(1.0)), ..HitQuery::default() };
    let page = Reader::open(&path).expect("a reader").hits(&query).expect("a page");
    assert_eq!(page.hits[0].hit, hit);
}

#[test]
fn hits_are_asked_for_by_time_block_standard_confidence_and_mark() {
    let (_folder, path, mut store) = store();
    let mut hits: Vec<Hit> = (0..20).map(|i| hit(&format!("hit-{i:02}"), f64::from(i) * 10.0)).collect();
    for (i, hit) in hits.iter_mut().enumerate() {
        hit.block = if i % 2 == 0 { "A".to_owned() } else { "B'; DROP TABLE hits; --".to_owned() };
        hit.standard = if i < 10 { Standard::Gsm } else { Standard::Lte };
        hit.confidence = i as f64 / 20.0;
    }
    store.put_hits(&hits, begin()).expect("stored");
    store.mark_kept("hit-07", true, "shown to the governor", begin()).expect("marked");
    let mut reader = Reader::open(&path).expect("a reader");
    let mut numbers = |query: HitQuery| -> Vec<usize> {
        let page = reader.hits(&query).expect("a page");
        page.hits.iter().map(|h| h.hit.id[4..].parse().expect("a number")).collect()
    };
    let all = HitQuery::default;
    let at = |s: f64| Some(begin().plus_seconds(s));
    assert_eq!(numbers(all()), (0..20).collect::<Vec<_>>());
    // A hit takes two seconds: what goes on at the time counts.
    assert_eq!(numbers(HitQuery { from: at(51.0), to: at(80.0), ..all() }), [5, 6, 7]);
    assert_eq!(
        numbers(HitQuery { block: Some("B'; DROP TABLE hits; --".to_owned()), to: at(60.0), ..all() }),
        [1, 3, 5]
    );
    assert_eq!(numbers(HitQuery { standard: Some(Standard::Lte), to: at(120.0), ..all() }), [10, 11]);
    assert_eq!(numbers(HitQuery { min_confidence: 0.9, ..all() }), [18, 19]);
    assert_eq!(numbers(HitQuery { kept: Some(true), ..all() }), [7]);
    assert_eq!(numbers(HitQuery { kept: Some(false), limit: PAGE_MOST * 9, ..all() }).len(), 19);
}

#[test]
fn pages_go_on_where_the_last_ended_even_when_that_hit_is_gone() {
    let (_folder, path, mut store) = store();
    let hits: Vec<Hit> = (0..25).map(|i| hit(&format!("hit-{i:02}"), f64::from(i / 5))).collect();
    store.put_hits(&hits, begin()).expect("stored");
    let mut reader = Reader::open(&path).expect("a reader");
    let mut query = HitQuery { limit: 10, ..HitQuery::default() };
    let mut ids = Vec::new();
    loop {
        let page = reader.hits(&query).expect("a page");
        assert!(page.hits.len() <= 10);
        ids.extend(page.hits.into_iter().map(|h| h.hit.id));
        let Some(next) = page.next else { break };
        let direct = rusqlite::Connection::open(&path).expect("opens");
        assert_eq!(direct.execute("DELETE FROM hits WHERE id = ?1", [&next.id]).expect("deletes"), 1);
        query.after = Some(next);
    }
    assert_eq!(ids, hits.iter().map(|h| h.id.clone()).collect::<Vec<_>>());
}

#[test]
fn one_record_that_cannot_be_read_does_not_hide_the_others() {
    let (_folder, path, mut store) = store();
    store.put_hits(&[hit("a", 0.0), hit("b", 1.0), hit("c", 2.0)], begin()).expect("stored");
    let direct = rusqlite::Connection::open(&path).expect("opens");
    direct.execute("UPDATE hits SET json = '{}' WHERE id = 'b'", []).expect("updates");
    let mut reader = Reader::open(&path).expect("a reader");
    let page = reader.hits(&HitQuery::default()).expect("a page");
    assert_eq!((page.hits.len(), page.unreadable), (2, vec!["b".to_owned()]));
    assert!(matches!(reader.hit("b"), Err(StoreError::Unreadable { .. })));
}

#[test]
fn hits_that_a_dead_daemon_left_open_are_listed_and_closed() {
    let (_folder, path, mut store) = store();
    store.put_hit(&hit_of("open", 1, HitState::Open, begin()), begin()).expect("stored");
    store.put_hit(&hit_of("updated", 4, HitState::Updated, begin()), begin()).expect("stored");
    store.put_hit(&hit("closed", 0.0), begin()).expect("stored");
    assert!(store.orphans().expect("read").is_empty(), "its own hits are no orphans");
    drop(store);
    let (mut store, notices) = Store::open(&path, small_limits()).expect("a store");
    assert_eq!(notices, [Notice::Orphans { count: 2 }]);
    store.put_hit(&hit_of("new", 1, HitState::Open, begin()), begin()).expect("stored");
    assert_eq!(store.orphans().expect("read").len(), 2);
    let closed = store.close_orphans(begin()).expect("closed");
    let told: Vec<_> = closed.iter().map(|h| (h.id.as_str(), h.revision, h.state)).collect();
    assert_eq!(told, [("open", 2, HitState::Closed), ("updated", 5, HitState::Closed)]);
    assert!(closed.iter().all(|h| h.evidence.iter().any(|e| e.name == ENDED_UNHEARD && e.llr == 0.0)));
    assert!(closed.iter().all(|h| h.time_end == Some(begin().plus_seconds(2.0))), "it ends when it was heard last");
    assert!(store.orphans().expect("read").is_empty());
    let on_disk: Vec<Hit> = all_hits(&path).into_iter().map(|h| h.hit).collect();
    assert!(closed.iter().all(|h| on_disk.contains(h)));
    assert_eq!(on_disk.iter().filter(|h| h.state == HitState::Open).count(), 1);
}

#[test]
fn marks_stay_through_updates_and_say_why() {
    let (_folder, path, mut store) = store();
    store.put_hit(&hit_of("one", 1, HitState::Open, begin()), begin()).expect("stored");
    // From beside the daemon, while it has the store open.
    mark_kept(&path, "one", true, "  case 17 ", begin()).expect("marked");
    store.put_hit(&hit_of("one", 2, HitState::Closed, begin()), begin()).expect("stored");
    let mut reader = Reader::open(&path).expect("a reader");
    let read = reader.hit("one").expect("read").expect("there");
    assert_eq!((read.kept, read.kept_why.as_deref(), read.kept_time), (true, Some("case 17"), Some(begin())));
    store.mark_kept("one", false, "", begin()).expect("unmarked");
    let read = reader.hit("one").expect("read").expect("there");
    assert_eq!((read.kept, read.kept_why), (false, None));
    let texts: Vec<_> = reader.events(&Span::default()).expect("a page").records.into_iter().map(|e| e.text).collect();
    assert_eq!(texts, ["hit one is kept: case 17", "hit one is no longer kept"]);
    assert!(matches!(store.mark_kept("one", true, " ", begin()), Err(StoreError::NoReason { .. })));
    assert!(matches!(store.mark_kept("one", true, &"x".repeat(1001), begin()), Err(StoreError::NoReason { .. })));
    assert!(matches!(mark_kept(&path, "none", true, "why", begin()), Err(StoreError::NoSuchHit { .. })));
    assert!(matches!(mark_kept(&path.join("x"), "one", true, "why", begin()), Err(StoreError::NotFound { .. })));
}

#[test]
fn gaps_events_and_health_are_read_by_time() {
    let (_folder, path, mut store) = store();
    for i in 0..30 {
        let time = begin().plus_seconds(f64::from(i) * 2.0);
        store.put_gap(&gap(u64::MAX - i as u64), time).expect("stored");
        store.put_event(time, EventLevel::Warning, Some("a-west"), &"é".repeat(5000)).expect("stored");
    }
    let span = Span { from: Some(begin().plus_seconds(10.0)), to: Some(begin().plus_seconds(20.0)), ..Span::default() };
    let mut reader = Reader::open(&path).expect("a reader");
    let gaps = reader.gaps(&span).expect("a page");
    assert_eq!(gaps.records.iter().map(|g| u64::MAX - g.gap.sample_start).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
    let events = reader.events(&Span { limit: 7, ..Span::default() }).expect("a page");
    assert_eq!((events.records.len(), events.records[0].level), (7, EventLevel::Warning));
    assert_eq!(events.records[0].text.chars().count(), 1000, "a long text is cut");
    let rest = reader.events(&Span { after: events.next, ..Span::default() }).expect("a page");
    assert_eq!((rest.records.len(), rest.next), (23, None));
    assert!(store.put_health(&health(begin())).expect("stored"));
    assert_eq!(reader.health(&Span::default()).expect("a page").records, [health(begin())]);
}

#[test]
fn health_is_stored_once_a_period() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.db");
    let uptime = common::Uptime::default();
    let (mut store, _) = uptime.open(&path, Limits { health_every_s: 10, ..Limits::default() });
    let mut stored = 0;
    for i in 0..100 {
        stored += u32::from(store.put_health(&health(begin().plus_seconds(f64::from(i)))).expect("works"));
        uptime.pass(1.0);
    }
    assert!((10..=20).contains(&stored), "{stored}");
}

#[test]
fn a_reader_sees_what_is_written_after_it_was_opened_and_while_it_is_written() {
    let (_folder, path, mut store) = store();
    let mut reader = Reader::open(&path).expect("a reader");
    let writer = std::thread::spawn(move || {
        for i in 0..300 {
            store.put_hit(&hit(&format!("hit-{i:03}"), f64::from(i)), begin()).expect("stored");
        }
        store
    });
    let mut seen = 0;
    while seen < 300 {
        let now = reader.hits(&HitQuery::default()).expect("a page").hits.len();
        assert!(now >= seen);
        seen = now;
    }
    let store = writer.join().expect("the writer ends well");
    store.close(begin()).expect("closes");
    assert_eq!(all_ids(&path).len(), 300);
}
