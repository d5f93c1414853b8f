//! The list for people: stored hits with their times and ids.

use crate::Sink;
use crate::round::rounded;
use crate::table::percent;
use cellwarden_types::{Hit, Record, UtcNanos};
use std::io::{self, Write};

pub struct List<W> {
    out: W,
    colour: bool,
    begun: bool,
}

impl<W: Write> List<W> {
    pub fn new(out: W, colour: bool) -> Self {
        Self { out, colour, begun: false }
    }

    fn hit(&mut self, h: &Hit) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            let (bold, plain) = if self.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            writeln!(
                self.out,
                "{bold}{:<20} {:>8} {:<8} {:<12} {:<8} {:<8} {:<12} {:>5} {:>5}  ID{plain}",
                "FROM", "LENGTH s", "STATE", "BLOCK", "STANDARD", "BAND", "ACTIVITY", "SURE", "PLACE"
            )?;
        }
        writeln!(
            self.out,
            "{:<20} {:>8.1} {:<8} {:<12} {:<8} {:<8} {:<12} {:>5} {:>5}  {}",
            h.time_start.map_or("-".to_owned(), to_the_second),
            h.end_s - h.start_s,
            h.state.name(),
            plain(h.cell.as_deref().unwrap_or(&h.block)),
            h.standard.name(),
            plain(h.band.as_deref().unwrap_or("-")),
            h.activity.name(),
            percent(h.confidence),
            percent(h.block_probability.get(&h.block).copied().unwrap_or(0.0)),
            plain(&h.id)
        )
    }
}

/// `2026-03-01T06:00:00Z`
fn to_the_second(time: UtcNanos) -> String {
    let text = time.to_string();
    format!("{}Z", text.split('.').next().unwrap_or(&text))
}

/// What comes from a file shall not command a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl<W: Write> Sink for List<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        match rounded(record) {
            Record::Hit(h) => self.hit(&h),
            Record::Burst(_) | Record::Gap(_) | Record::Summary(_) => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
