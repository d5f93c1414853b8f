//! What can go wrong with a store.

use std::io;
use std::path::PathBuf;

/// Why something was not stored, read or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A limit that makes no sense.
    #[error("the store's limit {name} is {value}: want {least} to {most}")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// What it is.
        value: u64,
        /// Smallest allowed value.
        least: u64,
        /// Largest allowed value.
        most: u64,
    },
    /// The folder of the store does not exist and could not be made.
    #[error("the store's folder {} cannot be made: make it, or give the store another path", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another daemon writes this store.
    #[error(
        "the store {} is written by another cellwarden{holder}: stop that one, or give this one a store of its own",
        path.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// ` (process 123)`, or nothing where it is not known.
        holder: String,
    },
    /// The file is no SQLite database.
    #[error("{} is no database, and is left alone: give the store another path", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is the database of another program.
    #[error("{} is another program's database, and is left alone: give the store another path", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The database was written by a newer cellwarden.
    #[error(
        "{} has schema {found}, this cellwarden knows up to {known}: use the cellwarden that wrote it, or a newer one",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// There is nothing to read.
    #[error("there is no store at {}: give its path, or start the daemon that makes it", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// A reader cannot see the newest records.
    #[error(
        "{0} cannot be read where it lies: its log {0}-wal holds records, and its folder cannot be written; \
         copy both to a folder that can, and read them there",
        path.display()
    )]
    LogUnreadable {
        /// The file.
        path: PathBuf,
    },
    /// A hit that cannot be stored by any means: a caller's mistake.
    #[error("hit {id:?} cannot be stored: {what}")]
    BadHit {
        /// Its id, shortened.
        id: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A hit is not on disk. It is written as soon as that works, and then among what
    /// [`flush`](crate::Store::flush) returns.
    #[error("hit {id:?} is held in memory, not yet on disk: {why}")]
    Held {
        /// The first hit that is held.
        id: String,
        /// What stands in the way.
        why: String,
    },
    /// A report of a hit is lost: neither on disk nor in memory.
    #[error("hit {id:?}, revision {revision}, is lost: too many are held in memory already, and {why}")]
    Lost {
        /// The hit.
        id: String,
        /// The revision that is lost.
        revision: u32,
        /// What stands in the way of the disk.
        why: String,
    },
    /// Health, a gap or an event is lost.
    #[error("{what} was left out of the store: {why}")]
    LeftOut {
        /// What it was.
        what: &'static str,
        /// What stands in the way.
        why: String,
    },
    /// The store cannot be written at the moment.
    #[error("the store cannot be written at the moment: {why}")]
    Unavailable {
        /// What stands in the way.
        why: String,
    },
    /// No hit of this id.
    #[error("the store holds no hit {id:?}: list the hits to see their ids")]
    NoSuchHit {
        /// The id.
        id: String,
    },
    /// A hit is to be kept for no reason.
    #[error("a hit is kept for a reason: say why, in 1 to {most} characters")]
    NoReason {
        /// Longest reason, in characters.
        most: usize,
    },
    /// A stored record cannot be read.
    #[error("the store's record {id:?} cannot be read: was it written by a newer cellwarden?")]
    Unreadable {
        /// Which.
        id: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A file beside the database.
    #[error("{doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// SQLite failed.
    #[error("{doing} {}", path.display())]
    Database {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: rusqlite::Error,
    },
}

/// An error and its sources on one line, for what is said and not returned.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// What a failure of SQLite means for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no room.
    Full,
    /// The database is damaged.
    Corrupt,
    /// Another connection holds the lock for longer than we wait.
    Busy,
    /// The disk, or the file, cannot be read or written.
    Disk,
}

impl Fault {
    pub fn of(error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase};
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::Full,
            Some(DatabaseCorrupt | NotADatabase) => Self::Corrupt,
            Some(DatabaseBusy | DatabaseLocked) => Self::Busy,
            _ => Self::Disk,
        }
    }
}
