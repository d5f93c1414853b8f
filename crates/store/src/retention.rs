//! What goes with time, and what goes because there is too much.

use crate::error::Fault;
use crate::limits::LOG_BYTES;
use crate::link::beside;
use crate::room::delete;
use crate::{Notice, Store, StoreError};
use cellwarden_types::UtcNanos;
use rusqlite::Connection;

/// Records of a kind that one call deletes at most, and how many in one transaction.
const MOST: usize = 4000;
const BATCH: i64 = 200;
/// Pages that one call gives back to the disk: 16 MiB.
const VACUUM_PAGES: u32 = 4096;
/// These newest records stay however much there is: kept hits shall not drive out what is new.
const FLOORS: [(&str, &str, &str, i64); 4] = [
    ("health", "true", "level, aged, number", 600),
    ("gaps", "true", "aged, number", 5000),
    ("events", "true", "aged, number", 5000),
    ("hits", "kept = 0", "aged, number", 1000),
];

/// What one call of [`Store::prune`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Hits that were deleted.
    pub hits: u64,
    /// Snapshots of health that were deleted.
    pub health: u64,
    /// Gaps and events that were deleted.
    pub context: u64,
    /// There is more to delete: call again soon.
    pub more: bool,
    /// The store is larger than it may be, and holds only what is kept and the newest records.
    pub only_kept: bool,
    /// What the records take, in bytes.
    pub used_bytes: u64,
}

/// Bytes of the pages that hold something.
fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let value = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok((value("page_count")? - value("freelist_count")?).max(0).unsigned_abs() * value("page_size")?.unsigned_abs())
}

/// Gives some pages back. Each row of the answer is a page: it has to be read to its end.
fn vacuum(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

impl Store {
    /// Deletes what is too old, and the oldest where there is too much; tries again what did not work before. Cheap
    /// enough for once a minute: the work of one call is bounded.
    ///
    /// Age comes from the [store's own clock](crate#age). By size, health goes first, then gaps and events, then hits;
    /// each oldest first. What is marked as kept stays, and so do the newest 600 snapshots, 5000 gaps, 5000 events and
    /// 1000 hits: where the store is too large even so, that is [said](Self::trouble).
    ///
    /// # Errors
    /// If the store cannot be written at the moment.
    pub fn prune(&mut self, now: UtcNanos) -> Result<Pruned, StoreError> {
        self.tick(Some(now));
        let written = self.drain(true);
        self.remember(written);
        let mut pruned = Pruned::default();
        let done = self.by_age(&mut pruned).and_then(|()| self.by_size(&mut pruned)).and_then(|()| self.shrink());
        if done.is_err() {
            return Err(StoreError::Unavailable { why: self.why() });
        }
        if self.reserve.take() && self.outbox.is_empty() {
            if let Some(given_up) = self.full.take() {
                if let Some(link) = &self.link {
                    link.may_grow(u64::MAX);
                }
                self.notice(Notice::Recovered { lost: given_up.to_string() });
            }
        }
        Ok(pruned)
    }

    fn by_age(&mut self, pruned: &mut Pruned) -> Result<(), Fault> {
        let age_ns = self.clock.map_or(0, |c| c.age_ns);
        let before_s = |seconds: u32| age_ns.saturating_sub(i64::from(seconds) * 1_000_000_000);
        let oldest = age_ns.saturating_sub(self.limits.age_ns());
        let (seconds, minutes) = (before_s(self.limits.health_full_s), before_s(self.limits.health_minute_s));
        for (table, filter) in [
            ("health", format!("level = 0 AND aged < {}", seconds.max(oldest))),
            ("health", format!("level = 1 AND aged < {}", minutes.max(oldest))),
            ("health", format!("level = 2 AND aged < {oldest}")),
            ("gaps", format!("aged < {oldest}")),
            ("events", format!("aged < {oldest}")),
            ("hits", format!("kept = 0 AND aged < {oldest}")),
        ] {
            self.delete_some(table, pruned, |connection| {
                delete(connection, table, &filter, "aged, number", BATCH).map(|gone| (gone, gone < BATCH as usize))
            })?;
        }
        Ok(())
    }

    fn by_size(&mut self, pruned: &mut Pruned) -> Result<(), Fault> {
        let most_bytes = self.limits.size_bytes - LOG_BYTES;
        for (table, filter, order, floor) in FLOORS {
            self.delete_some(table, pruned, |connection| {
                if used_bytes(connection)? <= most_bytes {
                    return Ok((0, true));
                }
                let sql = format!("SELECT count(*) FROM {table} WHERE {filter}");
                let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
                let most = (count - floor).clamp(0, BATCH);
                delete(connection, table, filter, order, most).map(|gone| (gone, gone < BATCH as usize))
            })?;
        }
        let used = self.attempt(false, |connection, _| used_bytes(connection))?;
        pruned.used_bytes = used;
        pruned.only_kept = used > most_bytes && !pruned.more;
        self.oversize = pruned.only_kept.then(|| {
            format!(
                "the store takes {} MiB and may take {}, but holds only what is kept and the newest records",
                (used + LOG_BYTES) >> 20,
                self.limits.size_bytes >> 20
            )
        });
        Ok(())
    }

    /// Deletes batch by batch until `step` says that there is no more, or it is enough for once.
    fn delete_some(
        &mut self,
        table: &str,
        pruned: &mut Pruned,
        step: impl Fn(&Connection) -> rusqlite::Result<(usize, bool)>,
    ) -> Result<(), Fault> {
        let mut deleted = 0;
        loop {
            let (gone, over) = match self.attempt(false, |connection, _| step(connection)) {
                Ok(done) => done,
                // To delete takes room, too.
                Err(Fault::Full) if self.reserve.give_up() => continue,
                Err(fault) => return Err(fault),
            };
            deleted += gone;
            *match table {
                "hits" => &mut pruned.hits,
                "health" => &mut pruned.health,
                _ => &mut pruned.context,
            } += gone as u64;
            if over {
                return Ok(());
            }
            if deleted >= MOST {
                pruned.more = true;
                return Ok(());
            }
        }
    }

    /// Gives free pages back to the disk, but not while it is full: then they are what hits are written to.
    fn shrink(&mut self) -> Result<(), Fault> {
        let Some(link) = self.link.as_ref().filter(|_| self.full.is_none()) else { return Ok(()) };
        // A failure is no harm: the pages stay free.
        let _ = vacuum(link.connection());
        link.checkpoint();
        let log_bytes = beside(&self.path, "-wal").metadata().map_or(0, |m| m.len());
        if log_bytes > 4 * LOG_BYTES && self.oversize.is_none() {
            let log_mib = log_bytes >> 20;
            self.oversize = Some(format!("the log takes {log_mib} MiB: a reader holds on to what it reads"));
        }
        Ok(())
    }
}
