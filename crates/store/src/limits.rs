//! How much a store may hold.

use crate::StoreError;

/// Of the size limit, what the log beside the database takes.
pub(crate) const LOG_BYTES: u64 = 4 << 20;

/// How much a store may hold, on disk and in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records go after so many days, by the [store's own clock](crate#age).
    pub age_days: u32,
    /// The database with its log takes about so many bytes at most.
    pub size_bytes: u64,
    /// Health is stored once in so many seconds, 0 for every snapshot.
    pub health_every_s: u32,
    /// For so long every stored snapshot of health stays, in seconds.
    pub health_full_s: u32,
    /// For so long one a minute stays, in seconds; after that one a quarter of an hour.
    pub health_minute_s: u32,
    /// Hits that may wait in memory for a disk that fails.
    pub outbox_hits: usize,
    /// Bytes that these may take.
    pub outbox_bytes: usize,
    /// Size of the file that is given up to make room when the disk is full: 4 MiB or more; 0 for none.
    pub reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            age_days: 90,
            size_bytes: 512 << 20,
            health_every_s: 1,
            health_full_s: 3600,
            health_minute_s: 7 * 86_400,
            outbox_hits: 10_000,
            outbox_bytes: 32 << 20,
            reserve_bytes: 8 << 20,
        }
    }
}

impl Limits {
    /// That every limit can be kept.
    ///
    /// # Errors
    /// On the first that cannot.
    pub fn check(&self) -> Result<(), StoreError> {
        let within = |name, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) { Ok(()) } else { Err(StoreError::Limit { name, value, least, most }) }
        };
        within("age_days", u64::from(self.age_days), 1, 36_500)?;
        within("size_bytes", self.size_bytes, 4 * LOG_BYTES, 1 << 44)?;
        within("health_every_s", u64::from(self.health_every_s), 0, 3600)?;
        within("health_full_s", u64::from(self.health_full_s), 0, 366 * 86_400)?;
        within("health_minute_s", u64::from(self.health_minute_s), u64::from(self.health_full_s), 366 * 86_400)?;
        within("outbox_hits", self.outbox_hits as u64, 1, 1_000_000)?;
        within("outbox_bytes", self.outbox_bytes as u64, 1 << 20, 1 << 30)?;
        if self.reserve_bytes == 0 {
            return Ok(());
        }
        // What is in the log has to fit into the database, before anything can be deleted from that.
        within("reserve_bytes", self.reserve_bytes, LOG_BYTES, 1 << 30)
    }

    pub(crate) fn age_ns(&self) -> i64 {
        i64::from(self.age_days) * 86_400 * 1_000_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_cannot_be_kept_are_named() {
        Limits::default().check().unwrap();
        for (limits, name) in [
            (Limits { age_days: 0, ..Limits::default() }, "age_days"),
            (Limits { size_bytes: 1000, ..Limits::default() }, "size_bytes"),
            (Limits { health_every_s: 3601, ..Limits::default() }, "health_every_s"),
            (Limits { health_minute_s: 5, ..Limits::default() }, "health_minute_s"),
            (Limits { outbox_hits: 0, ..Limits::default() }, "outbox_hits"),
            (Limits { outbox_bytes: usize::MAX, ..Limits::default() }, "outbox_bytes"),
            (Limits { reserve_bytes: 1000, ..Limits::default() }, "reserve_bytes"),
            (Limits { reserve_bytes: u64::MAX, ..Limits::default() }, "reserve_bytes"),
        ] {
            let said = limits.check().unwrap_err().to_string();
            assert!(said.contains(name), "{said}");
        }
    }
}
