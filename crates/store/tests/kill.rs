//! kill -9 at random moments: the database opens, and no acknowledged hit is missing.
//!
//! This program is both: with `WRITER` set it writes hits as fast as it can, and prints the id and revision of each
//! acknowledged one to standard output; without, it starts itself so, kills it, and looks. `KILLS` says how often (25).

mod common;

use cellwarden_store::{EventLevel, Limits, Notice, Reader, Store};
use cellwarden_types::{HitState, UtcNanos};
use common::{gap, health, hit_of};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WRITER: &str = "CELLWARDEN_STORE_WRITER";
/// Kills on one database; then another is begun, so that its making is hit as well.
const KILLS_A_DATABASE: u64 = 20;
/// The writer is killed at a random moment before this, in microseconds from its start.
const LIFE_US: u64 = 250_000;

/// Health goes at once, so that deleting, vacuuming and checkpoints are under way as well; hits stay.
fn limits() -> Limits {
    Limits { health_every_s: 0, health_full_s: 0, reserve_bytes: 4 << 20, ..Limits::default() }
}

/// Writes for ever: each hit opens, goes on, and closes, among gaps, events, health and retention.
fn write(path: &Path) {
    let (mut store, _) = Store::open(path, limits()).expect("a store");
    let life = UtcNanos::now().0;
    for hit in store.close_orphans(UtcNanos::now()).expect("closed") {
        println!("{} {}", hit.id, hit.revision);
    }
    for n in 0u64.. {
        let id = format!("{life}-{n:06}");
        for (revision, state) in
            [(1, HitState::Open), (2, HitState::Updated), (3, HitState::Updated), (4, HitState::Closed)]
        {
            let said = store.put_hit(&hit_of(&id, revision, state, UtcNanos::now()), UtcNanos::now()).expect("stored");
            println!("{} {}", said.id, said.revision);
        }
        store.put_health(&health(UtcNanos::now())).expect("stored");
        store.put_gap(&gap(n), UtcNanos::now()).expect("stored");
        if n % 8 == 0 {
            let several: Vec<_> =
                (0..20).map(|i| hit_of(&format!("{id}-{i}"), 1, HitState::Closed, UtcNanos::now())).collect();
            for said in store.put_hits(&several, UtcNanos::now()).expect("stored") {
                println!("{} {}", said.id, said.revision);
            }
            store.put_event(UtcNanos::now(), EventLevel::Info, None, "eight").expect("stored");
            store.prune(UtcNanos::now()).expect("prunes");
        }
    }
}

/// Starts a writer, kills it after `life`, and returns what it acknowledged.
fn kill(path: &Path, life: Duration) -> Vec<(String, u32)> {
    let this = std::env::current_exe().expect("this program");
    let mut writer = Command::new(this)
        .env(WRITER, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(writer.stdout.take().expect("a pipe"));
    let reader = std::thread::spawn(move || lines.lines().map_while(Result::ok).collect::<Vec<_>>());
    std::thread::sleep(life);
    assert!(writer.try_wait().expect("works").is_none(), "the writer ended by itself: {:?}", writer.wait_with_output());
    writer.kill().expect("kills");
    writer.wait().expect("it ends");
    let parse = |line: String| {
        let (id, revision) = line.rsplit_once(' ')?;
        Some((id.to_owned(), revision.parse().ok()?))
    };
    reader.join().expect("reads").into_iter().filter_map(parse).collect()
}

/// What is missing of what was acknowledged.
fn missing(path: &Path, acknowledged: &HashMap<String, u32>) -> usize {
    let mut reader = Reader::open(path).expect("a reader");
    let mut missing = 0;
    for (id, revision) in acknowledged {
        let found = reader.hit(id).expect("read");
        missing += usize::from(found.is_none_or(|found| found.hit.revision < *revision));
    }
    missing
}

fn main() {
    if let Some(path) = std::env::var_os(WRITER) {
        return write(Path::new(&path));
    }
    if std::env::args().any(|a| a == "--list") {
        return println!("kill: test");
    }
    let kills: u64 = std::env::var("KILLS").map_or(25, |n| n.parse().expect("KILLS is a number"));
    let seed = UtcNanos::now().0.unsigned_abs();
    let mut random = seed | 1;
    let began = Instant::now();
    let (mut databases, mut before_first, mut with_log, mut total, mut orphans) = (0, 0, 0, 0, 0);
    let mut folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged: HashMap<String, u32> = HashMap::new();
    for n in 0..kills {
        if n % KILLS_A_DATABASE == 0 {
            folder = tempfile::tempdir().expect("a folder");
            acknowledged.clear();
            databases += 1;
        }
        let path = folder.path().join("cellwarden.db");
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let said = kill(&path, Duration::from_micros(random % LIFE_US));
        before_first += u64::from(said.is_empty());
        total += said.len();
        for (id, revision) in said {
            let newest = acknowledged.entry(id).or_default();
            *newest = revision.max(*newest);
        }
        with_log += u64::from(path.with_file_name("cellwarden.db-wal").metadata().is_ok_and(|m| m.len() > 0));
        // Opens it as the next daemon does, which checks all of it.
        let (store, notices) = Store::open(&path, limits()).expect("the database opens");
        let damaged = notices.iter().any(|n| matches!(n, Notice::SetAside { .. } | Notice::Trouble { .. }));
        assert!(!damaged && store.trouble().is_none(), "kill {n}: {notices:?} (seed {seed})");
        orphans += u64::from(notices.iter().any(|n| matches!(n, Notice::Orphans { .. })));
        let direct = rusqlite::Connection::open(&path).expect("opens");
        let check: String = direct.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).expect("checks");
        assert_eq!(check, "ok", "kill {n} (seed {seed})");
        assert_eq!(missing(&path, &acknowledged), 0, "kill {n}: acknowledged hits are missing (seed {seed})");
    }
    assert!(total > 0, "the writers got nothing done");
    println!(
        "kill: {kills} kills of {databases} databases in {:.0} s: {total} reports acknowledged, 0 missing; \
         {before_first} kills before the first one, {with_log} with a log to recover, {orphans} that left open hits",
        began.elapsed().as_secs_f64()
    );
}
