//! The connection to the database: made, checked, written through, and set aside when the database is damaged.

use crate::age::AgeClock;
use crate::error::Fault;
use crate::limits::LOG_BYTES;
use crate::{StoreError, error};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// In the header of every store: "CWRD".
pub(crate) const APPLICATION_ID: i64 = 0x4357_5244;
/// What this code writes.
pub(crate) const SCHEMA: i64 = 1;
/// Pages in the log after which they go to the database: 1 MiB. On a full disk the reserve has to hold them.
const LOG_PAGES: i64 = 256;
/// SQLite's own limit.
const MOST_PAGES: i64 = 0xffff_fffe;
/// So long a writer waits for another: a mark from the command line takes milliseconds.
pub(crate) const BUSY: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum NoLink {
    /// The file is not for us.
    Refused(StoreError),
    /// The database is damaged; why, in words.
    Corrupt(String),
    /// The disk does not let us.
    Failed(Fault, StoreError),
}

#[derive(Debug)]
pub(crate) struct Link {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the file that is written.
    file: Option<(u64, u64)>,
    full_sync: bool,
    /// What the clock showed when it was saved last.
    saved_age_ns: i64,
}

/// What a transaction writes into each record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// `None` before anybody has said what time it is.
    pub clock: Option<AgeClock>,
    pub run: i64,
}

impl Stamp {
    pub fn age_ns(&self) -> i64 {
        self.clock.map_or(0, |clock| clock.age_ns)
    }
}

/// Whether a database is ours, and one that we can read.
pub(crate) fn verify(connection: &Connection, path: &Path) -> Result<(), NoLink> {
    let value = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = value("application_id").map_err(|source| no_link("opening", path, source))?;
    if application != APPLICATION_ID {
        return Err(NoLink::Refused(StoreError::NotOurs { path: path.to_owned() }));
    }
    let found = value("user_version").map_err(|source| no_link("opening", path, source))?;
    if !(1..=SCHEMA).contains(&found) {
        return Err(NoLink::Refused(StoreError::NewerSchema { path: path.to_owned(), found, known: SCHEMA }));
    }
    Ok(())
}

fn no_link(doing: &'static str, path: &Path, source: rusqlite::Error) -> NoLink {
    if source.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
        return NoLink::Refused(StoreError::NotADatabase { path: path.to_owned() });
    }
    match Fault::of(&source) {
        Fault::Corrupt => NoLink::Corrupt(source.to_string()),
        fault => NoLink::Failed(fault, StoreError::Database { doing, path: path.to_owned(), source }),
    }
}

/// Whether there is nothing in the file, or what [`create`] leaves there if it is killed in its middle.
fn is_unmade(connection: &Connection) -> rusqlite::Result<bool> {
    let value = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if value("page_count")? == 0 {
        return Ok(true);
    }
    let incremental = value("auto_vacuum")? == 2;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(incremental && tables == 0 && value("application_id")? == 0 && value("user_version")? == 0)
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    // Both are fixed once there is a first page, and the second makes it; all else is one transaction.
    connection.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

impl Link {
    /// Opens the database, or makes it; whether it was made. With `thorough`, all of it is read and checked.
    pub fn open(path: &Path, thorough: bool) -> Result<(Self, bool), NoLink> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let wrong = |source| no_link("opening", path, source);
        let mut connection = Connection::open_with_flags(path, flags).map_err(wrong)?;
        connection.busy_timeout(BUSY).map_err(wrong)?;
        let new = is_unmade(&connection).map_err(wrong)?;
        if new {
            create(&mut connection).map_err(|source| no_link("making", path, source))?;
        }
        verify(&connection, path)?;
        // SQLite falls back to reading alone where it may not write; a store that cannot write is none.
        if connection.is_readonly("main").map_err(wrong)? {
            let source = io::Error::from(io::ErrorKind::PermissionDenied);
            let failed = StoreError::File { doing: "opening for writing", path: path.to_owned(), source };
            return Err(NoLink::Failed(Fault::Disk, failed));
        }
        let settings = |connection: &Connection| {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "journal_size_limit", LOG_BYTES as i64)?;
            connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
            connection.pragma_update(None, "trusted_schema", false)
        };
        settings(&connection).map_err(wrong)?;
        if thorough {
            let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(wrong)?;
            if said != "ok" {
                keep_log(&connection);
                return Err(NoLink::Corrupt(said.replace('\n', " ")));
            }
        }
        let link =
            Self { connection, path: path.to_owned(), file: inode(path), full_sync: false, saved_age_ns: i64::MIN };
        Ok((link, new))
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the path still leads to the file that is written: nobody would find what goes into another.
    pub fn is_in_place(&self) -> bool {
        self.file.is_some() && inode(&self.path) == self.file
    }

    /// A number that the store keeps about itself.
    pub fn meta(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        self.connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
    }

    /// Greatest `aged` of any record.
    pub fn newest_age_ns(&self) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT max(a) FROM (SELECT max(aged) a FROM hits UNION ALL SELECT max(aged) FROM gaps
                   UNION ALL SELECT max(aged) FROM events UNION ALL SELECT max(aged) FROM health)";
        self.connection.query_row(sql, [], |row| row.get(0))
    }

    /// One transaction. With `sync`, it and all before it are on the disk itself when this returns.
    pub fn write<T>(
        &mut self,
        sync: bool,
        stamp: Stamp,
        work: impl FnOnce(&Connection, Stamp) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if sync != self.full_sync {
            self.connection.pragma_update(None, "synchronous", if sync { "FULL" } else { "NORMAL" })?;
            self.full_sync = sync;
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction, stamp)?;
        let save = stamp.clock.filter(|c| c.age_ns.saturating_sub(self.saved_age_ns) >= 1_000_000_000);
        if let Some(clock) = save {
            save_meta(&transaction, "age_ns", clock.age_ns)?;
            save_meta(&transaction, "skew_ns", clock.skew_ns)?;
        }
        transaction.commit()?;
        if let Some(clock) = save {
            self.saved_age_ns = clock.age_ns;
        }
        Ok(done)
    }

    /// Moves the log into the database as far as readers let us. That it does not work is no harm: it is tried again.
    pub fn checkpoint(&self) {
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }

    /// Moves the whole log into the database, and leaves an empty one, if that can be done.
    pub fn empty_log(&self) {
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// From now on the database may grow by so many pages only. On a full disk, what grows it would sit in the log for
    /// ever: then not even deleting works.
    pub fn may_grow(&self, pages: u64) {
        let set = || {
            let now: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = now.saturating_add_unsigned(pages).min(MOST_PAGES);
            self.connection.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))
        };
        let _: rusqlite::Result<()> = set(); // what cannot be read now cannot grow either
    }

    /// Ends with the log as it is: a damaged database is not written to.
    pub fn abandon(self) {
        keep_log(&self.connection);
    }
}

pub(crate) fn save_meta(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
    connection.prepare_cached(sql)?.execute((name, value)).map(|_| ())
}

fn keep_log(connection: &Connection) {
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

pub(crate) fn inode(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|m| (m.dev(), m.ino()))
}

/// `path` with `more` behind its name.
pub(crate) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    PathBuf::from(name)
}

/// Renames a damaged database and what belongs to it, and says to what.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let plain = beside(path, &format!(".corrupt-{time}"));
    let mut to = plain.clone();
    let mut n = 1;
    while to.exists() {
        n += 1;
        to = beside(&plain, &format!("-{n}"));
    }
    let failed = |source| StoreError::File { doing: "setting aside", path: path.to_owned(), source };
    // The database first: if we die in between, nothing is taken for whole that is not.
    std::fs::rename(path, &to).map_err(failed)?;
    for end in ["-wal", "-shm"] {
        match std::fs::rename(beside(path, end), beside(&to, end)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
            _ => {}
        }
    }
    Ok(to)
}

/// What SQLite said, for people.
pub(crate) fn said(doing: &'static str, path: &Path, source: rusqlite::Error) -> String {
    error::chain(&StoreError::Database { doing, path: path.to_owned(), source })
}
