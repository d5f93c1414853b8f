//! Writing, whatever the disk does: connecting, transactions, and what follows when one fails.

use crate::age::AgeClock;
use crate::error::Fault;
use crate::link::{Link, NoLink, Stamp, beside, said, save_meta, set_aside};
use crate::lock::Lock;
use crate::reserve::free_bytes;
use crate::row::Row;
use crate::store::{Acknowledged, Store};
use crate::{Notice, StoreError};
use cellwarden_types::HitState;
use rusqlite::Connection;
use std::time::Duration;

/// All that was written is on the disk itself after so long.
const SYNC: Duration = Duration::from_secs(1);
/// A disk that failed is tried again after so long.
const RETRY: Duration = Duration::from_secs(2);
/// Hits in one transaction, and about how many bytes: the log shall stay small.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
/// So often room is made for one write.
const ROUNDS: usize = 64;
/// Below that, a disk that refuses to write is taken for full.
const FULL_BYTES: u64 = 256 << 10;

impl Store {
    /// Takes the lock and opens the database.
    pub(crate) fn connect(&mut self, thorough: bool) -> Result<(), NoLink> {
        if self.lock.is_none() {
            self.lock = Some(Lock::take(&self.path, &beside(&self.path, ".lock")).map_err(|error| match error {
                StoreError::InUse { .. } => NoLink::Refused(error),
                _ => NoLink::Failed(Fault::Disk, error),
            })?);
        }
        let mut opened = Link::open(&self.path, thorough);
        let no_room = match &opened {
            Err(NoLink::Failed(fault, _)) => *fault == Fault::Full || self.is_full(),
            _ => false,
        };
        if no_room {
            // To open a database takes room, too.
            self.full.get_or_insert_default();
            if self.reserve.give_up() {
                opened = Link::open(&self.path, thorough);
            }
        }
        if let Err(NoLink::Corrupt(why)) = opened {
            let to = set_aside(&self.path).map_err(|error| NoLink::Failed(Fault::Disk, error))?;
            self.notice(Notice::SetAside { from: self.path.clone(), to, why });
            opened = Link::open(&self.path, false);
        }
        let (mut link, created) = opened?;
        if created {
            self.notice(Notice::Created { path: self.path.clone() });
        }
        let wrong = |source| {
            let fault = Fault::of(&source);
            NoLink::Failed(fault, StoreError::Database { doing: "reading", path: self.path.clone(), source })
        };
        let stored = stored_clock(&link).map_err(wrong)?;
        if let Some(stored) = stored.filter(|s| self.clock.is_none_or(|c| s.age_ns > c.age_ns)) {
            self.clock = Some(stored);
        }
        self.health_age_ns = link
            .connection()
            .query_row("SELECT aged FROM health ORDER BY number DESC LIMIT 1", [], |row| row.get(0))
            .ok();
        let before = link.meta("run").map_err(wrong)?;
        let first = self.run.is_none();
        let run = *self.run.get_or_insert(before.unwrap_or(0).saturating_add(1));
        if before != Some(run) {
            let stamp = Stamp { clock: self.clock, run };
            link.write(true, stamp, |connection, _| save_meta(connection, "run", run)).map_err(wrong)?;
        }
        if first {
            let sql = "SELECT count(*) FROM hits WHERE state <> 'closed' AND run < ?1";
            let count: i64 = link.connection().query_row(sql, [run], |row| row.get(0)).map_err(wrong)?;
            if count > 0 {
                self.notice(Notice::Orphans { count: count.unsigned_abs() });
            }
        }
        if self.full.is_some() {
            link.may_grow(0);
        }
        self.link = Some(link);
        self.failing = None;
        Ok(())
    }

    /// Notes why there is no link, and returns it.
    pub(crate) fn failed(&mut self, no: NoLink) -> String {
        let (_, why) = no.into();
        self.link = None;
        self.failing = Some(why.clone());
        self.retry_at = (self.uptime)() + RETRY;
        why
    }

    /// One transaction, with all that can be done to make it work but deleting. `durable`: synced before this returns.
    pub(crate) fn attempt<T>(
        &mut self,
        durable: bool,
        work: impl Fn(&Connection, Stamp) -> rusqlite::Result<T>,
    ) -> Result<T, Fault> {
        for last in [false, true] {
            let uptime = (self.uptime)();
            let sync = durable || uptime.saturating_sub(self.synced) >= SYNC;
            if sync && self.link.as_ref().is_some_and(|link| !link.is_in_place()) {
                self.notice(Notice::Vanished { path: self.path.clone() });
                // The log lies beside whatever has the name now: it belongs into the file that was moved.
                self.link.iter().for_each(Link::empty_log);
                self.abandon();
            }
            if self.link.is_none() {
                if self.failing.is_some() && uptime < self.retry_at {
                    return Err(Fault::Disk);
                }
                if let Err(no) = self.connect(false) {
                    self.failed(no);
                    return Err(Fault::Disk);
                }
            }
            let stamp = Stamp { clock: self.clock, run: self.run.unwrap_or_default() };
            let link = self.link.as_mut().expect("invariant: connected above");
            let source = match link.write(sync, stamp, &work) {
                Ok(done) => {
                    if sync {
                        self.synced = uptime;
                    }
                    return Ok(done);
                }
                Err(source) => source,
            };
            match self.fault(&source) {
                Fault::Corrupt if !last => {
                    self.abandon();
                    match set_aside(&self.path) {
                        Ok(to) => {
                            let why = source.to_string();
                            self.notice(Notice::SetAside { from: self.path.clone(), to, why });
                        }
                        Err(error) => {
                            self.failed(NoLink::Failed(Fault::Disk, error));
                            return Err(Fault::Disk);
                        }
                    }
                }
                Fault::Full => {
                    self.full.get_or_insert_default();
                    return Err(Fault::Full);
                }
                Fault::Busy => {
                    return Err(Fault::Busy);
                }
                Fault::Disk | Fault::Corrupt => {
                    self.failing = Some(said("writing", &self.path, source));
                    self.abandon();
                    self.retry_at = uptime + RETRY;
                    return Err(Fault::Disk);
                }
            }
        }
        Err(Fault::Disk)
    }

    fn fault(&self, error: &rusqlite::Error) -> Fault {
        match Fault::of(error) {
            // SQLite says "disk I/O error" where it could not make its log longer.
            Fault::Disk if self.is_full() => Fault::Full,
            fault => fault,
        }
    }

    fn is_full(&self) -> bool {
        free_bytes(&self.path).is_some_and(|free| free < FULL_BYTES)
    }

    fn abandon(&mut self) {
        if let Some(link) = self.link.take() {
            link.abandon();
        }
    }

    /// Like [`attempt`](Self::attempt), and health, gaps and events make room for it.
    pub(crate) fn attempt_with_room<T>(
        &mut self,
        durable: bool,
        work: impl Fn(&Connection, Stamp) -> rusqlite::Result<T>,
    ) -> Result<T, Fault> {
        for _ in 0..ROUNDS {
            match self.attempt(durable, &work) {
                Err(Fault::Full) if self.make_room(false) => {}
                done => return done,
            }
        }
        Err(Fault::Full)
    }

    /// Writes a gap or an event.
    pub(crate) fn put_context(
        &mut self,
        work: impl Fn(&Connection, Stamp) -> rusqlite::Result<()>,
    ) -> Result<(), String> {
        let done = self.attempt_with_room(false, work);
        if let (Err(_), Some(given_up)) = (&done, &mut self.full) {
            given_up.context_left_out += 1;
        }
        done.map_err(|_| self.why())
    }

    /// Writes what the outbox holds, oldest first; returns what was written. With `now`, a failing disk is tried even if
    /// that was done a moment ago.
    pub(crate) fn drain(&mut self, now: bool) -> Vec<Acknowledged> {
        if now {
            self.retry_at = Duration::ZERO;
        }
        let mut written = Vec::new();
        let mut rounds = 0;
        while !self.outbox.is_empty() {
            let mut bytes = 0;
            let fits = |row: &&Row| {
                bytes += row.json.len();
                bytes <= BATCH_BYTES || bytes == row.json.len()
            };
            let rows: Vec<Row> = self.outbox.oldest(BATCH).take_while(fits).cloned().collect();
            let durable = rows.iter().any(|row| row.state != HitState::Updated);
            let done = self.attempt(durable, |connection, stamp| {
                rows.iter().map(|row| row.write(connection, stamp.age_ns(), stamp.run)).collect::<Result<Vec<_>, _>>()
            });
            match done {
                Ok(revisions) => {
                    for (row, revision) in rows.into_iter().zip(revisions) {
                        self.outbox.remove(&row.id);
                        written.push(Acknowledged { id: row.id, revision });
                    }
                }
                Err(Fault::Full) if rounds < ROUNDS && self.make_room(true) => rounds += 1,
                Err(_) => break,
            }
        }
        written
    }

    pub(crate) fn remember(&mut self, written: Vec<Acknowledged>) {
        self.late.extend(written);
        let excess = self.late.len().saturating_sub(self.limits.outbox_hits);
        self.late.drain(..excess);
    }

    pub(crate) fn held(&self, id: &str) -> StoreError {
        StoreError::Held { id: id.to_owned(), why: self.why() }
    }

    pub(crate) fn why(&self) -> String {
        match (&self.failing, &self.full) {
            (Some(why), _) => why.clone(),
            (None, Some(_)) => format!("there is no room on the disk of {}", self.path.display()),
            (None, None) => format!("another process holds the lock of {}", self.path.display()),
        }
    }
}

fn stored_clock(link: &Link) -> rusqlite::Result<Option<AgeClock>> {
    let (age_ns, skew_ns) = (link.meta("age_ns")?, link.meta("skew_ns")?);
    let (Some(age_ns), Some(skew_ns)) = (age_ns, skew_ns) else { return Ok(None) };
    Ok(Some(AgeClock { age_ns: age_ns.max(link.newest_age_ns()?.unwrap_or(age_ns)), skew_ns }))
}
