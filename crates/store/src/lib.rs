//! Hits and sensor health on disk: nothing that was acknowledged is lost.
//!
//! In: [`Hit`]s, [`Gap`]s, [`BoxHealth`] and events, from one daemon. Out: the same, to any number of readers. The
//! store is one SQLite file with its log beside it; [`Store`] writes it, a [`Reader`] (in any process) reads it.
//!
//! ```
//! use cellwarden_store::{HitQuery, Limits, Reader, Store};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("cellwarden.db");
//! # let hit: cellwarden_types::Hit = serde_json::from_str(r#"{"id":"x","state":"open","revision":1,"block":"A",
//! #   "cell":null,"block_probability":{"A":1.0},"standard":"gsm","band":null,"activity":"voice","start_s":0.0,
//! #   "end_s":1.0,"time_start":null,"time_end":null,"bursts":3,"peak_power_dbfs":-30.0,"snr_db":20.0,
//! #   "sensors":{},"confidence":0.9,"evidence":[]}"#)?;
//! let now = "2026-03-01T06:00:00Z".parse()?;
//! let (mut store, notices) = Store::open(&path, Limits::default())?;
//! for notice in notices {
//!     eprintln!("{notice}");
//! }
//! store.put_hit(&hit, now)?; // it is on disk: now it may be announced
//! let page = Reader::open(&path)?.hits(&HitQuery::default())?;
//! assert_eq!(page.hits[0].hit, hit);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What may be lost
//!
//! *A process that is killed* loses nothing that was acknowledged: its transaction is in the kernel's hands.
//!
//! *A power cut* or a kernel that dies takes what was not on the disk itself. First and last reports of hits are synced
//! before they are acknowledged. Updates of hits, health, gaps and events are synced with the next write after a second:
//! with a daemon that stores health every second, a power cut loses one second of them, two at most. A disk that lies
//! about its cache may lose more. The database stays whole: it is written through a log.
//!
//! # A full or failing disk
//!
//! What is given up, in this order:
//! 1. Health is no longer stored, and the reserve (a file of [`Limits::reserve_bytes`]) is deleted. Stored health makes
//!    room: snapshots of seconds first, then of minutes, then all; oldest first.
//! 2. Gaps and events make room, oldest first. New ones are stored while older ones, or health, make room for them.
//! 3. The oldest hits make room, but never one that is marked as kept.
//! 4. Hits are held in memory, the newest report of each, and are written when that works again. They are not
//!    acknowledged before. When there are too many, the oldest updates are dropped first, then the oldest first
//!    reports, and ends of hits only when there is nothing else.
//!
//! A disk that fails otherwise (read-only, input/output errors) cannot be helped by deleting: there health, gaps and
//! events are left out, and hits are held in memory. [`Store::trouble`] says at any time what cannot be done.
//!
//! # Age
//!
//! Records grow old by the store's own clock. It goes while a daemon runs, at least as fast as time, and follows the
//! wall clock: after a time without power it catches up at ten times the speed of time. A jump of the wall clock
//! by more than the age limit, forward or back, is not believed and ages nothing. So a clock that says 2099 deletes
//! nothing, and a hit that was heard while the clock said 1970 is not deleted when it is set right. The price: a box
//! that was off for longer than the age limit keeps what it had for up to the age limit more.
//!
//! # What is never stored
//!
//! Content, and identities of subscribers or devices: the records have no field for them.
//!
//! [`Hit`]: cellwarden_types::Hit
//! [`Gap`]: cellwarden_types::Gap
//! [`BoxHealth`]: cellwarden_types::BoxHealth

mod age;
mod attempt;
mod error;
mod limits;
mod link;
mod lock;
mod mark;
mod notice;
mod orphan;
mod outbox;
mod query;
mod reader;
#[cfg(test)]
#[path = "../tests/common/records.rs"]
mod records;
mod reserve;
mod retention;
mod room;
mod row;

mod store;

pub use error::StoreError;
pub use limits::Limits;
pub use lock::nobody_writes;
pub use mark::{WHY_CHARS, mark_kept, note};
pub use notice::Notice;
pub use orphan::ENDED_UNHEARD;
pub use query::{Event, EventLevel, GapRecord, HitCursor, HitPage, HitQuery, PAGE_MOST, Page, Span, StoredHit};
pub use reader::Reader;
pub use retention::Pruned;
pub use store::{Acknowledged, Store};
