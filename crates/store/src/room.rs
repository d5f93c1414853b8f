//! Making room on a full disk, in the order that the crate's documentation gives.

use crate::Store;
use crate::limits::LOG_BYTES;
use crate::reserve::free_bytes;
use rusqlite::Connection;

/// Records that are deleted at once: many of the small ones, few hits.
const SMALL: i64 = 500;
const HITS: i64 = 20;
/// Of the database.
const PAGE_BYTES: u64 = 4096;

/// Deletes the first `most` rows of `table` that `filter` leaves, in this order.
pub(crate) fn delete(
    connection: &Connection,
    table: &str,
    filter: &str,
    order: &str,
    most: i64,
) -> rusqlite::Result<usize> {
    let sql = format!(
        "DELETE FROM {table} WHERE number IN (SELECT number FROM {table} WHERE {filter} ORDER BY {order} LIMIT ?1)"
    );
    connection.prepare_cached(&sql)?.execute([most])
}

impl Store {
    /// Deletes some of what is worth least; whether there is more room than before. Hits go only for hits.
    pub(crate) fn make_room(&mut self, for_hits: bool) -> bool {
        // First: what follows has to be written to the log, and that takes room.
        self.reserve.give_up();
        if let Some(link) = &self.link {
            link.checkpoint();
            link.may_grow(0);
        }
        let steps = [
            ("health", "true", "level, aged, number", SMALL),
            ("gaps", "true", "aged, number", SMALL),
            ("events", "true", "aged, number", SMALL),
            ("hits", "kept = 0", "aged, number", HITS),
        ];
        for (table, filter, order, most) in steps {
            if table == "hits" && !for_hits {
                continue;
            }
            let Ok(gone) = self.attempt(false, |connection, _| delete(connection, table, filter, order, most)) else {
                return false;
            };
            if gone == 0 {
                continue;
            }
            let counts = self.full.get_or_insert_default();
            *match table {
                "health" => &mut counts.health_deleted,
                "hits" => &mut counts.hits_deleted,
                _ => &mut counts.context_deleted,
            } += gone as u64;
            return true;
        }
        // Nothing is left to delete: what is left of the disk is for hits, but for what the log may need.
        let pages = free_bytes(&self.path).map_or(0, |free| free.saturating_sub(LOG_BYTES / 2) / PAGE_BYTES);
        match &self.link {
            Some(link) if for_hits && pages > 0 => {
                link.may_grow(pages);
                true
            }
            _ => false,
        }
    }
}
