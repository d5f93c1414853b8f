//! A hit as it lies in its table.

use crate::StoreError;
use cellwarden_types::{Hit, HitState, UtcNanos};
use rusqlite::{Connection, OptionalExtension, named_params};

/// Longest id, in bytes.
const ID_BYTES: usize = 256;
/// Longest hit, in bytes of JSON.
const JSON_BYTES: usize = 256 << 10;

/// A hit, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub id: String,
    pub revision: u32,
    pub state: HitState,
    time_start: i64,
    time_end: i64,
    block: String,
    standard: &'static str,
    activity: &'static str,
    confidence: f64,
    stored: i64,
    pub json: String,
}

impl Row {
    /// Refuses what could not be read back.
    pub fn new(hit: &Hit, now: UtcNanos) -> Result<Self, StoreError> {
        let bad = |what| Err(StoreError::BadHit { id: hit.id.chars().take(80).collect(), what });
        if hit.id.is_empty() || hit.id.len() > ID_BYTES {
            return bad("its id is empty, or longer than 256 bytes");
        }
        // JSON has no word for these: they would be written as null, and not be read again.
        let numbers = [hit.start_s, hit.end_s, hit.peak_power_dbfs, hit.snr_db, hit.confidence];
        let maps = hit.block_probability.values().chain(hit.sensors.values()).copied();
        let evidence = hit.evidence.iter().flat_map(|e| [e.value, e.llr]);
        if !numbers.into_iter().chain(maps).chain(evidence).all(f64::is_finite) {
            return bad("one of its numbers is none");
        }
        let json = match serde_json::to_string(hit) {
            Ok(json) if json.len() <= JSON_BYTES => json,
            Ok(_) => return bad("it takes more than 256 KiB"),
            Err(_) => return bad("one of its times is out of range"),
        };
        let time_start = hit.time_start.unwrap_or(now).0;
        Ok(Self {
            id: hit.id.clone(),
            revision: hit.revision,
            state: hit.state,
            time_start,
            time_end: hit.time_end.map_or(time_start, |t| t.0).max(time_start),
            block: hit.block.clone(),
            standard: hit.standard.name(),
            activity: hit.activity.name(),
            confidence: hit.confidence,
            stored: now.0,
            json,
        })
    }

    /// Writes it, unless what is there is as new; returns the revision that is there then.
    pub fn write(&self, connection: &Connection, age_ns: i64, run: i64) -> rusqlite::Result<u32> {
        let mut there = connection.prepare_cached("SELECT revision FROM hits WHERE id = ?1")?;
        let found: Option<u32> = there.query_row([&self.id], |row| row.get(0)).optional()?;
        if let Some(revision) = found.filter(|r| *r >= self.revision) {
            return Ok(revision);
        }
        let mut statement = connection.prepare_cached(
            "INSERT INTO hits (id, revision, state, time_start, time_end, block, standard, activity, confidence,
                               stored, aged, run, json)
             VALUES (:id, :revision, :state, :time_start, :time_end, :block, :standard, :activity, :confidence,
                     :stored, :aged, :run, :json)
             ON CONFLICT (id) DO UPDATE SET
                 revision = :revision, state = :state, time_start = :time_start, time_end = :time_end,
                 block = :block, standard = :standard, activity = :activity, confidence = :confidence,
                 stored = :stored, aged = :aged, run = :run, json = :json",
        )?;
        statement.execute(named_params! {
            ":id": self.id, ":revision": self.revision, ":state": self.state.name(),
            ":time_start": self.time_start, ":time_end": self.time_end, ":block": self.block,
            ":standard": self.standard, ":activity": self.activity, ":confidence": self.confidence,
            ":stored": self.stored, ":aged": age_ns, ":run": run, ":json": self.json,
        })?;
        Ok(self.revision)
    }
}
