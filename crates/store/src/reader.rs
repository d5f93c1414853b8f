//! Reading a store, from any process, while it is written or not.

use crate::link::{NoLink, beside, inode, verify};
use crate::query::{Event, EventLevel, GapRecord, HitCursor, HitPage, HitQuery, PAGE_MOST, Page, Span, StoredHit};
use crate::{StoreError, link};
use cellwarden_types::{BoxHealth, UtcNanos};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Rows, named_params};
use std::path::{Path, PathBuf};

/// Reads a store. It never writes, and needs no right to.
///
/// Each question is answered from one moment, and holds nothing up: a daemon goes on writing meanwhile.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    file: Option<(u64, u64)>,
    /// Nobody can write where it lies, so it is read without locks; each question opens it anew.
    still: bool,
}

impl Reader {
    /// Opens the store at `path` for reading.
    ///
    /// # Errors
    /// If there is none, if it is not ours or a newer cellwarden's, or if it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::NotFound { path: path.to_owned() });
        }
        let file = inode(path);
        let first = match connect(path, false) {
            Ok(connection) => return Ok(Self { connection, path: path.to_owned(), file, still: false }),
            Err(NoLink::Refused(error)) => return Err(error),
            Err(NoLink::Corrupt(why)) => {
                return Err(StoreError::Unavailable { why: format!("{} is damaged: {why}", path.display()) });
            }
            Err(NoLink::Failed(_, error)) => error,
        };
        // Where the folder cannot be written, SQLite cannot make the index of a log. Without a log it needs none.
        let cannot_make = match &first {
            StoreError::Database { source, .. } => {
                matches!(source.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
            }
            _ => false,
        };
        if !cannot_make {
            return Err(first);
        }
        if beside(path, "-wal").metadata().is_ok_and(|m| m.len() > 0) {
            return Err(StoreError::LogUnreadable { path: path.to_owned() });
        }
        let connection = connect(path, true).map_err(|_| first)?;
        Ok(Self { connection, path: path.to_owned(), file, still: true })
    }

    /// Follows the path where it leads to another file than before: the store was set aside.
    fn renew(&mut self) -> Result<(), StoreError> {
        if self.still || (self.path.is_file() && inode(&self.path) != self.file) {
            *self = Self::open(&self.path)?;
        }
        Ok(())
    }

    fn wrong(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { doing: "reading", path: self.path.clone(), source }
    }

    /// Hits, by their start.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn hits(&mut self, query: &HitQuery) -> Result<HitPage, StoreError> {
        self.renew()?;
        self.query_hits(query).map_err(|source| self.wrong(source))
    }

    fn query_hits(&self, query: &HitQuery) -> rusqlite::Result<HitPage> {
        let limit = query.limit.clamp(1, PAGE_MOST);
        let mut statement = self.connection.prepare_cached(
            "SELECT json, kept, kept_why, kept_time, stored, time_start, id FROM hits
             WHERE (:from IS NULL OR time_end >= :from) AND (:to IS NULL OR time_start < :to)
               AND (:block IS NULL OR block = :block) AND (:standard IS NULL OR standard = :standard)
               AND confidence >= :confidence AND (:kept IS NULL OR kept = :kept)
               AND (time_start, id) > (:after_time, :after_id)
             ORDER BY time_start, id LIMIT :limit",
        )?;
        let after = query.after.as_ref();
        let rows = statement.query(named_params! {
            ":from": query.from.map(|t| t.0), ":to": query.to.map(|t| t.0), ":block": query.block,
            ":standard": query.standard.map(|s| s.name()), ":confidence": query.min_confidence, ":kept": query.kept,
            ":after_time": after.map_or(i64::MIN, |c| c.time_start.0), ":after_id": after.map_or("", |c| c.id.as_str()),
            ":limit": limit as i64 + 1,
        })?;
        let mut page = HitPage::default();
        page.next = read_page(rows, limit, |row| {
            let id: String = row.get(6)?;
            match stored_hit(row)? {
                Ok(hit) => page.hits.push(hit),
                Err(_) => page.unreadable.push(id.clone()),
            }
            Ok(HitCursor { time_start: UtcNanos(row.get(5)?), id })
        })?;
        Ok(page)
    }

    /// One hit; `None` if there is none of this id.
    ///
    /// # Errors
    /// If the store or the record cannot be read.
    pub fn hit(&mut self, id: &str) -> Result<Option<StoredHit>, StoreError> {
        self.renew()?;
        let sql = "SELECT json, kept, kept_why, kept_time, stored FROM hits WHERE id = ?1";
        let found = self.connection.query_row(sql, [id], stored_hit).optional();
        match found.map_err(|source| self.wrong(source))? {
            None => Ok(None),
            Some(Ok(hit)) => Ok(Some(hit)),
            Some(Err(source)) => Err(StoreError::Unreadable { id: id.to_owned(), source }),
        }
    }

    /// Snapshots of health, by time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn health(&mut self, span: &Span) -> Result<Page<BoxHealth>, StoreError> {
        self.page("SELECT time, number, json FROM health", span, |row| {
            Ok(serde_json::from_str(&row.get::<_, String>(2)?).ok())
        })
    }

    /// Gaps, by time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn gaps(&mut self, span: &Span) -> Result<Page<GapRecord>, StoreError> {
        self.page("SELECT time, number, json FROM gaps", span, |row| {
            let time = UtcNanos(row.get(0)?);
            Ok(serde_json::from_str(&row.get::<_, String>(2)?).ok().map(|gap| GapRecord { time, gap }))
        })
    }

    /// Events, by time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn events(&mut self, span: &Span) -> Result<Page<Event>, StoreError> {
        self.page("SELECT time, number, level, sensor, text FROM events", span, |row| {
            let level = EventLevel::from_name(&row.get::<_, String>(2)?);
            let (time, sensor, text) = (UtcNanos(row.get(0)?), row.get(3)?, row.get(4)?);
            Ok(level.map(|level| Event { time, level, sensor, text }))
        })
    }

    fn page<T>(
        &mut self,
        select: &str,
        span: &Span,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Page<T>, StoreError> {
        self.renew()?;
        self.query_page(select, span, read).map_err(|source| self.wrong(source))
    }

    fn query_page<T>(
        &self,
        select: &str,
        span: &Span,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> rusqlite::Result<Page<T>> {
        let limit = span.limit.clamp(1, PAGE_MOST);
        let sql = format!(
            "{select} WHERE time >= ?1 AND time < ?2 AND (time, number) > (?3, ?4) ORDER BY time, number LIMIT ?5"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let (from, to) = (span.from.map_or(i64::MIN, |t| t.0), span.to.map_or(i64::MAX, |t| t.0));
        let (time, number) = span.after.map_or((i64::MIN, i64::MIN), |(t, n)| (t.0, n));
        let rows = statement.query((from, to, time, number, limit as i64 + 1))?;
        let mut page = Page { records: Vec::new(), next: None, unreadable: 0 };
        page.next = read_page(rows, limit, |row| {
            match read(row)? {
                Some(record) => page.records.push(record),
                None => page.unreadable += 1,
            }
            Ok((UtcNanos(row.get(0)?), row.get(1)?))
        })?;
        Ok(page)
    }
}

/// Reads up to `limit` rows of one more; gives where the last one was, if there are more.
fn read_page<C>(
    mut rows: Rows<'_>,
    limit: usize,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<C>,
) -> rusqlite::Result<Option<C>> {
    let mut last = None;
    for _ in 0..limit {
        let Some(row) = rows.next()? else { return Ok(None) };
        last = Some(read(row)?);
    }
    Ok(if rows.next()?.is_some() { last } else { None })
}

fn stored_hit(row: &Row<'_>) -> rusqlite::Result<Result<StoredHit, serde_json::Error>> {
    let hit = serde_json::from_str(&row.get::<_, String>(0)?);
    let (kept, kept_why) = (row.get(1)?, row.get(2)?);
    let (kept_time, stored) = (row.get::<_, Option<i64>>(3)?.map(UtcNanos), UtcNanos(row.get(4)?));
    Ok(hit.map(|hit| StoredHit { hit, kept, kept_why, kept_time, stored }))
}

fn connect(path: &Path, still: bool) -> Result<Connection, NoLink> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let wrong = |source| {
        let fault = crate::error::Fault::of(&source);
        NoLink::Failed(fault, StoreError::Database { doing: "opening", path: path.to_owned(), source })
    };
    let connection = Connection::open_with_flags(uri(path, still), flags).map_err(wrong)?;
    connection.busy_timeout(link::BUSY).map_err(wrong)?;
    verify(&connection, path)?;
    Ok(connection)
}

/// The path as SQLite's URI; `still` promises that nobody writes the file.
fn uri(path: &Path, still: bool) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut text = if path.is_absolute() { b"file://".to_vec() } else { b"file:".to_vec() };
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => text.extend(format!("%{byte:02X}").bytes()),
            _ => text.push(byte),
        }
    }
    if still {
        text.extend(b"?immutable=1");
    }
    PathBuf::from(std::ffi::OsString::from_vec(text))
}
