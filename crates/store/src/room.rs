//! Making room on a full disk, in the order that the crate's documentation gives.

use crate::Store;
use rusqlite::Connection;

/// Records that are deleted at once: many of the small ones, few hits.
const SMALL: i64 = 500;
const HITS: i64 = 20;

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
        let given_up = self.reserve.give_up();
        if let Some(link) = &self.link {
            link.checkpoint();
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
                return given_up;
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
        given_up
    }
}
