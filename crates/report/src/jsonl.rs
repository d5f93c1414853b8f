//! JSON Lines: one record a line, nothing else.

use crate::Sink;
use crate::round::rounded;
use cellwarden_types::Record;
use std::io::{self, Write};

pub struct Jsonl<W> {
    out: W,
}

impl<W: Write> Jsonl<W> {
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Sink for Jsonl<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, &rounded(record))?;
        self.out.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_types::{Gap, GapReason};

    #[test]
    fn a_record_is_a_line() {
        let mut bytes = Vec::new();
        let mut sink = Jsonl::new(&mut bytes);
        let gap = Gap { sensor: "a".into(), sample_start: 5, sample_count: 7, reason: GapReason::Overflow };
        sink.record(&Record::Gap(gap)).unwrap();
        sink.finish().unwrap();
        let expected =
            "{\"type\":\"gap\",\"sensor\":\"a\",\"sample_start\":5,\"sample_count\":7,\"reason\":\"overflow\"}\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
