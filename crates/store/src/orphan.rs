//! Hits that were open when the daemon ended.

use crate::row::Row;
use crate::{Store, StoreError};
use cellwarden_types::{Evidence, Hit, HitState, UtcNanos};

/// The name of the evidence in a hit that the store closed: nobody heard how it went on.
pub const ENDED_UNHEARD: &str = "ended_unheard";
/// Hits in one call.
const MOST: usize = 1000;

impl Store {
    /// Up to 1000 hits of earlier lives of the daemon that were never closed, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn orphans(&mut self) -> Result<Vec<Hit>, StoreError> {
        let sql = "SELECT json FROM hits WHERE state <> 'closed' AND run < ?1 ORDER BY aged, number LIMIT ?2";
        let found = self.attempt(false, |connection, stamp| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((stamp.run, MOST as i64), |row| row.get(0))?;
            rows.collect::<Result<Vec<String>, _>>()
        });
        let Ok(found) = found else {
            return Err(StoreError::Unavailable { why: self.why() });
        };
        // One that a newer cellwarden wrote shall not keep the others open.
        Ok(found.iter().filter_map(|json| serde_json::from_str(json).ok()).collect())
    }

    /// Closes all of [`orphans`](Self::orphans), and returns them as they are on disk now, to be announced. They end when
    /// they were heard last, and carry the evidence [`ENDED_UNHEARD`] with weight 0. Call until nothing is returned.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn close_orphans(&mut self, now: UtcNanos) -> Result<Vec<Hit>, StoreError> {
        let mut hits = self.orphans()?;
        for hit in &mut hits {
            hit.state = HitState::Closed;
            hit.revision = hit.revision.saturating_add(1);
            hit.evidence.push(Evidence::new(ENDED_UNHEARD, 1.0, 0.0));
        }
        let rows = hits.iter().map(|hit| Row::new(hit, now)).collect::<Result<Vec<_>, _>>()?;
        self.tick(Some(now));
        let done = self.attempt_with_room(true, |connection, stamp| {
            rows.iter().try_for_each(|row| row.write(connection, stamp.age_ns(), stamp.run).map(|_| ()))
        });
        match done {
            Ok(()) => Ok(hits),
            Err(_) => Err(StoreError::Unavailable { why: self.why() }),
        }
    }
}
