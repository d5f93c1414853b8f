//! What can be asked of a store, and in which form the answers come.

use cellwarden_types::{Gap, Hit, Standard, UtcNanos};

/// Records in one answer at most.
pub const PAGE_MOST: usize = 10_000;

/// Which hits are wanted; the default is all, a thousand at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct HitQuery {
    /// Hits that end at this time or later.
    pub from: Option<UtcNanos>,
    /// Hits that start before this time.
    pub to: Option<UtcNanos>,
    /// Only of this block.
    pub block: Option<String>,
    /// Only of this standard.
    pub standard: Option<Standard>,
    /// Only hits that are a phone with at least this probability.
    pub min_confidence: f64,
    /// Only those that are kept, or only those that are not.
    pub kept: Option<bool>,
    /// So many at once, at most [`PAGE_MOST`].
    pub limit: usize,
    /// Go on behind this one: [`HitPage::next`] of the page before.
    pub after: Option<HitCursor>,
}

impl Default for HitQuery {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            block: None,
            standard: None,
            min_confidence: 0.0,
            kept: None,
            limit: 1000,
            after: None,
        }
    }
}

/// A place in the list of hits; it stays good when hits are deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HitCursor {
    /// Start of the hit before.
    pub time_start: UtcNanos,
    /// Its id.
    pub id: String,
}

/// A hit, and what the store knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHit {
    /// The hit.
    pub hit: Hit,
    /// Whether it is kept.
    pub kept: bool,
    /// Why, if it is.
    pub kept_why: Option<String>,
    /// Since when, if it is.
    pub kept_time: Option<UtcNanos>,
    /// When this report of it was stored, by the wall clock.
    pub stored: UtcNanos,
}

/// Some hits, by their start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HitPage {
    /// The hits.
    pub hits: Vec<StoredHit>,
    /// Where to go on; `None` at the end.
    pub next: Option<HitCursor>,
    /// Ids of hits on this page that cannot be read.
    pub unreadable: Vec<String>,
}

/// A time from which, and one before which; and how many records at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// This time and later.
    pub from: Option<UtcNanos>,
    /// Before this time.
    pub to: Option<UtcNanos>,
    /// So many at once, at most [`PAGE_MOST`].
    pub limit: usize,
    /// Go on behind this one: [`Page::next`] of the page before.
    pub after: Option<(UtcNanos, i64)>,
}

impl Default for Span {
    fn default() -> Self {
        Self { from: None, to: None, limit: 1000, after: None }
    }
}

/// Some records, by time.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The records.
    pub records: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<(UtcNanos, i64)>,
    /// How many records on this page cannot be read.
    pub unreadable: usize,
}

/// A gap, and when it was.
#[derive(Clone, Debug, PartialEq)]
pub struct GapRecord {
    /// When.
    pub time: UtcNanos,
    /// What is missing.
    pub gap: Gap,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventLevel {
    /// For the record.
    Info,
    /// Something went wrong and was mended.
    Warning,
    /// Something is lost, or somebody is needed.
    Error,
}

impl EventLevel {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Error].into_iter().find(|level| level.name() == name)
    }
}

/// Something that happened to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: UtcNanos,
    /// How much it matters.
    pub level: EventLevel,
    /// To which sensor, if to one.
    pub sensor: Option<String>,
    /// What.
    pub text: String,
}
