//! Marking hits as kept, from the daemon or from beside it.

use crate::StoreError;
use crate::error::Fault;
use crate::link::{NoLink, verify};
use crate::query::EventLevel;
use cellwarden_types::UtcNanos;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// Longest reason, in characters.
pub const WHY_CHARS: usize = 1000;
/// A person waits so long for a daemon that deletes much.
const PATIENCE: Duration = Duration::from_secs(10);

/// Marks a hit of the store at `path` as kept, or takes the mark away; a daemon may run meanwhile.
///
/// Kept hits are never deleted. That a mark was set or taken away, and why, is stored as an event.
///
/// # Errors
/// If there is no such store or hit, if `why` is empty or too long (it may be empty to take a mark away), or if the
/// store cannot be written.
pub fn mark_kept(path: &Path, id: &str, keep: bool, why: &str, now: UtcNanos) -> Result<(), StoreError> {
    let why = checked_why(keep, why)?;
    let mut connection = open(path)?;
    let wrong = |source| StoreError::Database { doing: "marking a hit in", path: path.to_owned(), source };
    // Somebody decided that: it shall survive a power cut.
    connection.pragma_update(None, "synchronous", "FULL").map_err(wrong)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
    let found = write_mark(&transaction, id, keep, why, now).map_err(wrong)?;
    transaction.commit().map_err(wrong)?;
    if !found {
        return Err(StoreError::NoSuchHit { id: id.to_owned() });
    }
    // On a full disk there may be no room for the event: the mark itself is what counts.
    let _ = say(&connection, EventLevel::Info, None, &event(id, keep, why), now);
    Ok(())
}

/// Notes an event in the store at `path`, with a sensor where it is one's; a daemon may run meanwhile.
///
/// # Errors
/// If there is no such store, or it cannot be written.
pub fn note(path: &Path, level: EventLevel, sensor: Option<&str>, text: &str, now: UtcNanos) -> Result<(), StoreError> {
    let connection = open(path)?;
    let wrong = |source| StoreError::Database { doing: "noting an event in", path: path.to_owned(), source };
    say(&connection, level, sensor, text, now).map_err(wrong)
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    if !path.is_file() {
        return Err(StoreError::NotFound { path: path.to_owned() });
    }
    let wrong = |source| StoreError::Database { doing: "opening", path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(wrong)?;
    connection.busy_timeout(PATIENCE).map_err(wrong)?;
    verify(&connection, path).map_err(|no| match no {
        NoLink::Refused(error) | NoLink::Failed(_, error) => error,
        NoLink::Corrupt(why) => StoreError::Unavailable { why: format!("{} is damaged: {why}", path.display()) },
    })?;
    Ok(connection)
}

fn say(
    connection: &Connection,
    level: EventLevel,
    sensor: Option<&str>,
    text: &str,
    now: UtcNanos,
) -> rusqlite::Result<()> {
    let age = "SELECT coalesce(max(value), 0) FROM meta WHERE name = 'age_ns'";
    let age_ns = connection.query_row(age, [], |row| row.get(0))?;
    write_event(connection, now, age_ns, level, sensor, text)
}

/// The reason, if it is one.
pub(crate) fn checked_why(keep: bool, why: &str) -> Result<&str, StoreError> {
    let why = why.trim();
    if (keep && why.is_empty()) || why.chars().count() > WHY_CHARS {
        return Err(StoreError::NoReason { most: WHY_CHARS });
    }
    Ok(why)
}

/// Sets or takes a mark; whether there is such a hit.
pub(crate) fn write_mark(
    connection: &Connection,
    id: &str,
    keep: bool,
    why: &str,
    now: UtcNanos,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE hits SET kept = ?2, kept_why = ?3, kept_time = ?4 WHERE id = ?1";
    let (reason, time) = if keep { (Some(why), Some(now.0)) } else { (None, None) };
    Ok(connection.execute(sql, (id, keep, reason, time))? > 0)
}

/// What is said about a mark.
pub(crate) fn event(id: &str, keep: bool, why: &str) -> String {
    let done = if keep { "kept" } else { "no longer kept" };
    if why.is_empty() { format!("hit {id} is {done}") } else { format!("hit {id} is {done}: {why}") }
}

pub(crate) fn write_event(
    connection: &Connection,
    time: UtcNanos,
    age_ns: i64,
    level: EventLevel,
    sensor: Option<&str>,
    text: &str,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events (time, aged, level, sensor, text) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute((time.0, age_ns, level.name(), sensor, text)).map(|_| ())
}

impl From<NoLink> for (Fault, String) {
    fn from(no: NoLink) -> Self {
        match no {
            NoLink::Refused(error) => (Fault::Disk, crate::error::chain(&error)),
            NoLink::Corrupt(why) => (Fault::Corrupt, why),
            NoLink::Failed(fault, error) => (fault, crate::error::chain(&error)),
        }
    }
}
