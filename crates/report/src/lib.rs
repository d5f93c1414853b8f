//! What people and machines read: JSON Lines, CSV, a table.
//!
//! In: [`Record`]s. Out: bytes, to any writer. Levels are rounded to 0.1 dB and probabilities to 0.01, so
//! that the same recordings print the same on every machine.

mod csv;
mod jsonl;
mod list;
pub mod round;
mod table;

pub use list::plain;
pub use table::percent;

use cellwarden_types::Record;
use std::io::{self, Write};

/// Takes records one by one.
pub trait Sink {
    /// Writes or keeps a record.
    ///
    /// # Errors
    /// If the writer fails.
    fn record(&mut self, record: &Record) -> io::Result<()>;

    /// Hands on what was written: somebody is watching.
    ///
    /// # Errors
    /// If the writer fails.
    fn flush(&mut self) -> io::Result<()>;

    /// Writes what is left.
    ///
    /// # Errors
    /// If the writer fails.
    fn finish(&mut self) -> io::Result<()>;
}

/// How records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people.
    Table {
        /// Whether the terminal shows colours.
        colour: bool,
        /// Whether hits are to be seen as they come, not sorted by block at the end.
        live: bool,
    },
    /// For people: stored hits, one a line, with time and id.
    List {
        /// Whether the terminal shows colours.
        colour: bool,
    },
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header: hits, or bursts.
    Csv {
        /// Bursts instead of hits.
        bursts: bool,
    },
}

/// A sink of this format.
pub fn sink<'a>(format: OutputFormat, out: impl Write + 'a) -> Box<dyn Sink + 'a> {
    match format {
        OutputFormat::Table { colour, live } => Box::new(table::Table::new(out, colour, live)),
        OutputFormat::List { colour } => Box::new(list::List::new(out, colour)),
        OutputFormat::Jsonl => Box::new(jsonl::Jsonl::new(out)),
        OutputFormat::Csv { bursts } => Box::new(csv::Csv::new(out, bursts)),
    }
}
