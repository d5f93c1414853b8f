//! The one writer of a store.

use crate::age::AgeClock;
use crate::limits::Limits;
use crate::link::{Link, NoLink, beside};
use crate::lock::Lock;
use crate::mark::{checked_why, write_event, write_mark};
use crate::outbox::Outbox;
use crate::query::EventLevel;
use crate::reserve::Reserve;
use crate::row::Row;
use crate::{Notice, StoreError, mark};
use cellwarden_types::{BoxHealth, Gap, Hit, UtcNanos};
use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Notices that wait to be taken.
const NOTICES: usize = 64;
/// Longest event, in characters.
const EVENT_CHARS: usize = 1000;
/// Largest stored snapshot of health, in bytes.
const HEALTH_BYTES: usize = 256 << 10;

/// A hit that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The hit's id.
    pub id: String,
    /// The revision that is on disk: the one that was put, or a newer one.
    pub revision: u32,
}

/// What was given up since the disk is full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GivenUp {
    pub health_left_out: u64,
    pub context_left_out: u64,
    pub health_deleted: u64,
    pub context_deleted: u64,
    pub hits_deleted: u64,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} snapshots of health and {} gaps and events were not stored; \
             {} snapshots, {} gaps and events and {} hits were deleted to make room",
            self.health_left_out, self.context_left_out, self.health_deleted, self.context_deleted, self.hits_deleted
        )
    }
}

/// How long the process has run.
type Uptime = Box<dyn Fn() -> Duration + Send>;

/// The one writer of a store.
pub struct Store {
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) lock: Option<Lock>,
    pub(crate) link: Option<Link>,
    pub(crate) reserve: Reserve,
    pub(crate) outbox: Outbox,
    /// Acknowledged after their `put_hit` had failed, and not told to anybody yet.
    pub(crate) late: VecDeque<Acknowledged>,
    notices: Vec<Notice>,
    pub(crate) clock: Option<AgeClock>,
    pub(crate) uptime: Uptime,
    seen: Duration,
    pub(crate) synced: Duration,
    pub(crate) retry_at: Duration,
    /// Of this daemon's life; hits of an earlier one are orphans.
    pub(crate) run: Option<i64>,
    /// Why nothing can be written.
    pub(crate) failing: Option<String>,
    pub(crate) full: Option<GivenUp>,
    /// Reports of hits that were dropped from the outbox.
    pub(crate) dropped: u64,
    /// What retention cannot do.
    pub(crate) oversize: Option<String>,
    pub(crate) health_age_ns: Option<i64>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).field("trouble", &self.trouble()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store at `path`, or makes it; says what an operator should know.
    ///
    /// The whole database is checked: that takes about a second for 500 MB from memory, and as long as reading it takes
    /// from a disk. A damaged database is set aside and a new one begun. A disk that is full or cannot be written is no
    /// error: the store then holds hits in memory, [says so](Self::trouble), and tries again.
    ///
    /// # Errors
    /// If a limit makes no sense, if there is no folder for it, if another daemon writes it, or if the file is no store
    /// or that of a newer cellwarden.
    pub fn open(path: &Path, limits: Limits) -> Result<(Self, Vec<Notice>), StoreError> {
        let began = Instant::now();
        Self::open_with_uptime(path, limits, move || began.elapsed())
    }

    /// Like [`open`](Self::open), with another way to tell how long the process has run: for simulated time.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with_uptime(
        path: &Path,
        limits: Limits,
        uptime: impl Fn() -> Duration + Send + 'static,
    ) -> Result<(Self, Vec<Notice>), StoreError> {
        limits.check()?;
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            std::fs::create_dir(folder).map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
        }
        let mut store = Self {
            path: path.to_owned(),
            lock: None,
            link: None,
            reserve: Reserve::new(beside(path, ".reserve"), limits.reserve_bytes),
            outbox: Outbox::new(limits.outbox_hits, limits.outbox_bytes),
            late: VecDeque::new(),
            notices: Vec::new(),
            clock: None,
            seen: uptime(),
            synced: Duration::ZERO,
            retry_at: Duration::ZERO,
            uptime: Box::new(uptime),
            run: None,
            failing: None,
            full: None,
            dropped: 0,
            oversize: None,
            health_age_ns: None,
            limits,
        };
        match store.connect(true) {
            Ok(()) => {
                store.reserve.take();
            }
            Err(NoLink::Refused(error)) => return Err(error),
            Err(no) => {
                let why = store.failed(no);
                store.notice(Notice::Trouble { why });
            }
        }
        let notices = store.notices();
        Ok((store, notices))
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores a report of a hit. When this returns, the hit is on disk.
    ///
    /// An older revision never replaces a newer one. A hit that has no absolute time gets `now` for its place among
    /// the others; its id has to be unique all the same.
    ///
    /// # Errors
    /// [`Held`](StoreError::Held) if it is only in memory so far; [`Lost`](StoreError::Lost) if not even that;
    /// [`BadHit`](StoreError::BadHit) if nothing could ever store it.
    pub fn put_hit(&mut self, hit: &Hit, now: UtcNanos) -> Result<Acknowledged, StoreError> {
        let mut written = self.put_hits(std::slice::from_ref(hit), now)?;
        written.pop().ok_or_else(|| self.held(&hit.id))
    }

    /// Stores reports of several hits, which costs one transaction instead of many. All are on disk when this returns.
    ///
    /// # Errors
    /// As [`put_hit`](Self::put_hit), about the first that is not on disk; nothing is stored if one of them is bad.
    pub fn put_hits(&mut self, hits: &[Hit], now: UtcNanos) -> Result<Vec<Acknowledged>, StoreError> {
        let rows = hits.iter().map(|hit| Row::new(hit, now)).collect::<Result<Vec<_>, _>>()?;
        self.tick(Some(now));
        let mut lost = None;
        for row in rows {
            for gone in self.outbox.push(row) {
                self.dropped += 1;
                if hits.iter().any(|h| h.id == gone.id) {
                    lost.get_or_insert((gone.id, gone.revision));
                }
            }
        }
        let (mine, late): (Vec<_>, Vec<_>) =
            self.drain(false).into_iter().partition(|a| hits.iter().any(|h| h.id == a.id));
        self.remember(late);
        if let Some((id, revision)) = lost {
            self.remember(mine);
            return Err(StoreError::Lost { id, revision, why: self.why() });
        }
        if let Some(held) = hits.iter().find(|h| self.outbox.holds(&h.id)) {
            self.remember(mine);
            return Err(self.held(&held.id));
        }
        Ok(mine)
    }

    /// Tries to write what is held in memory; returns what is on disk now and was not when it was put.
    pub fn flush(&mut self, now: UtcNanos) -> Vec<Acknowledged> {
        self.tick(Some(now));
        let written = self.drain(true);
        self.remember(written);
        self.late.drain(..).collect()
    }

    /// How many hits are held in memory.
    pub fn held_hits(&self) -> usize {
        self.outbox.len()
    }

    /// Stores that samples are missing.
    ///
    /// # Errors
    /// [`LeftOut`](StoreError::LeftOut) if it could not be stored.
    pub fn put_gap(&mut self, gap: &Gap, time: UtcNanos) -> Result<(), StoreError> {
        self.tick(None);
        let left_out = |why| StoreError::LeftOut { what: "a gap", why };
        let json = serde_json::to_string(gap).map_err(|e| left_out(e.to_string()))?;
        self.put_context(|connection, stamp| {
            let sql = "INSERT INTO gaps (time, aged, json) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(sql)?.execute((time.0, stamp.age_ns(), &json)).map(|_| ())
        })
        .map_err(left_out)
    }

    /// Stores an event for operators; a text of more than 1000 characters is cut.
    ///
    /// # Errors
    /// [`LeftOut`](StoreError::LeftOut) if it could not be stored.
    pub fn put_event(
        &mut self,
        time: UtcNanos,
        level: EventLevel,
        sensor: Option<&str>,
        text: &str,
    ) -> Result<(), StoreError> {
        self.tick(None);
        let text: String = text.chars().take(EVENT_CHARS).collect();
        let sensor: Option<String> = sensor.map(|s| s.chars().take(EVENT_CHARS).collect());
        self.put_context(|connection, stamp| {
            write_event(connection, time, stamp.age_ns(), level, sensor.as_deref(), &text)
        })
        .map_err(|why| StoreError::LeftOut { what: "an event", why })
    }

    /// Stores a snapshot of health, or leaves it out because one was stored just before; whether it was stored.
    ///
    /// # Errors
    /// [`LeftOut`](StoreError::LeftOut) if it could not be stored.
    pub fn put_health(&mut self, health: &BoxHealth) -> Result<bool, StoreError> {
        self.tick(Some(health.time));
        let left_out = |why| StoreError::LeftOut { what: "a snapshot of health", why };
        let age_ns = self.clock.map_or(0, |c| c.age_ns);
        // Half a period: snapshots come about once in a period, not exactly.
        let least_ns = i64::from(self.limits.health_every_s) * 500_000_000;
        if self.health_age_ns.is_some_and(|last| age_ns.saturating_sub(last) < least_ns) {
            return Ok(false);
        }
        if let Some(given_up) = &mut self.full {
            given_up.health_left_out += 1;
            return Err(left_out(self.why()));
        }
        let json = serde_json::to_string(health).map_err(|e| left_out(e.to_string()))?;
        if json.len() > HEALTH_BYTES {
            return Err(left_out(format!("it takes {} bytes, more than {HEALTH_BYTES}", json.len())));
        }
        let first_of = |seconds: i64| {
            let bucket = |age_ns: i64| age_ns.div_euclid(seconds * 1_000_000_000);
            self.health_age_ns.is_none_or(|last| bucket(last) != bucket(age_ns))
        };
        let level = i64::from(first_of(60)) + i64::from(first_of(900));
        let stored = self.attempt(false, |connection, stamp| {
            let sql = "INSERT INTO health (time, level, aged, json) VALUES (?1, ?2, ?3, ?4)";
            connection.prepare_cached(sql)?.execute((health.time.0, level, stamp.age_ns(), &json)).map(|_| ())
        });
        match stored {
            Ok(()) => {
                self.health_age_ns = Some(age_ns);
                Ok(true)
            }
            Err(_) => {
                if let Some(given_up) = &mut self.full {
                    given_up.health_left_out += 1;
                }
                Err(left_out(self.why()))
            }
        }
    }

    /// Marks a hit as kept, or takes the mark away; see [`mark_kept`](crate::mark_kept).
    ///
    /// # Errors
    /// If there is no such hit, no reason, or no disk to write to.
    pub fn mark_kept(&mut self, id: &str, keep: bool, why: &str, now: UtcNanos) -> Result<(), StoreError> {
        let why = checked_why(keep, why)?;
        self.tick(Some(now));
        match self.attempt_with_room(true, |connection, _| write_mark(connection, id, keep, why, now)) {
            Ok(true) => {
                // The mark is what counts; that there may be no room for the event is in what `trouble` says.
                let _ = self.put_event(now, EventLevel::Info, None, &mark::event(id, keep, why));
                Ok(())
            }
            Ok(false) => Err(StoreError::NoSuchHit { id: id.to_owned() }),
            Err(_) => Err(StoreError::Unavailable { why: self.why() }),
        }
    }

    /// What the store cannot do at the moment; `None` if all is well.
    pub fn trouble(&self) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(why) = &self.failing {
            parts.push(format!("nothing can be written: {why}"));
        }
        if let Some(given_up) = &self.full {
            parts.push(format!("there is no room on the disk: {given_up}"));
        }
        parts.extend(self.oversize.clone());
        if !self.outbox.is_empty() {
            parts.push(format!("{} hits are in memory only", self.outbox.len()));
        }
        if self.dropped > 0 {
            parts.push(format!("{} reports of hits are lost", self.dropped));
        }
        if parts.is_empty() { None } else { Some(parts.join("; ")) }
    }

    /// What an operator should know and was not told yet.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Ends in order: writes what is held in memory, and leaves one file.
    ///
    /// # Errors
    /// If hits could not be written; they are lost then.
    pub fn close(mut self, now: UtcNanos) -> Result<(), StoreError> {
        self.flush(now);
        let first = self.outbox.oldest(1).next().map(|row| (row.id.clone(), row.revision));
        match first {
            Some((id, revision)) => Err(StoreError::Lost { id, revision, why: self.why() }),
            None => Ok(()),
        }
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        if self.notices.len() < NOTICES {
            self.notices.push(notice);
        }
    }

    /// Moves the store's clock on.
    pub(crate) fn tick(&mut self, now: Option<UtcNanos>) {
        let uptime = (self.uptime)();
        let elapsed = uptime.saturating_sub(self.seen);
        self.seen = self.seen.max(uptime);
        match (&mut self.clock, now) {
            (Some(clock), Some(now)) => {
                if let Some(seconds) = clock.advance(now, elapsed, self.limits.age_ns()) {
                    self.notice(Notice::ClockJump { seconds });
                }
            }
            (Some(clock), None) => clock.pass(elapsed),
            (clock @ None, Some(now)) => *clock = Some(AgeClock::new(now)),
            (None, None) => {}
        }
    }
}
