//! `chain.jsonl`: one line for each evidence file that was ever written in a folder, and one for each that was deleted.

use crate::content::Hash;
use crate::error::{EvidenceError, io_at};
use crate::seal::{Seal, Tombstone};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The chain's file name.
pub const CHAIN_FILE: &str = "chain.jsonl";
/// How evidence files end.
pub const EXTENSION: &str = ".h5";
/// How a file ends that is being written.
pub const PART: &str = ".part";
/// Beside an evidence file: it is not deleted as long as this is there. It may hold the reason.
pub const KEEP: &str = ".keep";
/// A line is a few hundred bytes.
const LINE_BYTES_MOST: u64 = 16 << 10;
/// Nobody writes more files in a folder: one a second for four months.
pub(crate) const LINES_MOST: usize = 10_000_000;

/// A line of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "lowercase")]
pub enum Entry {
    /// A file was written. Its head follows from the rest, so a deleted file leaves no hole in the chain.
    File(Seal),
    /// A file was deleted.
    Deleted(Tombstone),
}

impl Entry {
    pub(crate) fn to_line(&self) -> String {
        serde_json::to_string(self).expect("invariant: numbers and texts are JSON") + "\n"
    }

    fn parse(line: &str) -> Option<Self> {
        let entry: Self = serde_json::from_str(line).ok()?;
        (entry.to_line() == line).then_some(entry)
    }
}

/// What is left of a chain's file.
pub(crate) struct Lines {
    /// The good ones, with their number.
    pub entries: Vec<(usize, Entry)>,
    /// Numbers of those that are none.
    pub bad: Vec<usize>,
    /// Where the last whole line ends.
    pub whole_bytes: u64,
    /// Bytes after it: a line that was cut.
    pub cut_bytes: u64,
}

/// Reads a chain's file; one that is not there is empty.
pub(crate) fn read(path: &Path) -> Result<Lines, EvidenceError> {
    let mut lines = Lines { entries: Vec::new(), bad: Vec::new(), whole_bytes: 0, cut_bytes: 0 };
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(lines),
        opened => opened.map_err(io_at("opening", path))?,
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let n = reader.by_ref().take(LINE_BYTES_MOST).read_until(b'\n', &mut line).map_err(io_at("reading", path))?;
        if n == 0 {
            break;
        }
        let too_long = n as u64 == LINE_BYTES_MOST && line.last() != Some(&b'\n');
        if too_long || number > LINES_MOST {
            let what =
                "longer than any line or chain that cellwarden writes: restore the file, or move the folder away";
            return Err(EvidenceError::Chain { path: path.to_owned(), line: number, what: what.to_owned() });
        }
        if line.last() != Some(&b'\n') {
            lines.cut_bytes = n as u64;
            break;
        }
        lines.whole_bytes += n as u64;
        match std::str::from_utf8(&line).ok().and_then(Entry::parse) {
            Some(entry) => lines.entries.push((number, entry)),
            None => lines.bad.push(number),
        }
    }
    Ok(lines)
}

/// A chain, checked line by line.
pub(crate) struct Chain {
    /// Every file that was written, by sequence from 1.
    pub seals: Vec<Seal>,
    /// Their tombstones.
    pub deleted: Vec<Option<Tombstone>>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self { seals: Vec::new(), deleted: Vec::new() }
    }

    /// Head of the newest file.
    pub(crate) fn head(&self) -> Hash {
        self.seals.last().map_or(Hash::NONE, Seal::head)
    }

    /// Takes the next line; says what does not fit. With `signatures`, checks those as well.
    pub(crate) fn push(&mut self, entry: Entry, signatures: bool) -> Result<(), String> {
        match entry {
            Entry::File(seal) => {
                let wrong = self.wrong_with(&seal, signatures);
                // What comes after is held against this one, so that one fault is told once.
                self.seals.push(seal);
                self.deleted.push(None);
                wrong.map_or(Ok(()), Err)
            }
            Entry::Deleted(stone) => {
                let at = self.seals.iter().rposition(|s| s.sequence == stone.sequence);
                let Some(at) = at else { return Err(format!("deletes file {}, which was never written", stone.file)) };
                let seal = &self.seals[at];
                if (seal.file.as_str(), seal.head()) != (&stone.file, stone.head) {
                    return Err(format!("deletes another file than number {} was", stone.sequence));
                }
                if signatures && !stone.fits(seal) {
                    return Err(format!("the deletion of {} is not signed by the box", stone.file));
                }
                if self.deleted[at].is_some() {
                    return Err(format!("deletes {} a second time", stone.file));
                }
                self.deleted[at] = Some(stone);
                Ok(())
            }
        }
    }

    fn wrong_with(&self, seal: &Seal, signatures: bool) -> Option<String> {
        let before = self.seals.last();
        let expected = before.map_or(1, |s| s.sequence.saturating_add(1));
        if seal.sequence != expected {
            return Some(format!("file number {} where number {expected} belongs", seal.sequence));
        }
        if seal.previous != self.head() {
            return Some(format!("file number {} does not follow on the one before it", seal.sequence));
        }
        if before.is_some_and(|s| s.key != seal.key) {
            return Some(format!("file number {} is signed with another key than the one before", seal.sequence));
        }
        if !is_file_name(&seal.file) {
            return Some(format!("{:?} is no name of an evidence file", seal.file));
        }
        if before.is_some_and(|s| s.file == seal.file) {
            return Some(format!("{} was there already", seal.file));
        }
        (signatures && !seal.is_signed()).then(|| format!("the signature of file number {} is wrong", seal.sequence))
    }
}

/// Whether it is a bare name that the writer gives; anything else could point anywhere.
pub(crate) fn is_file_name(name: &str) -> bool {
    name.len() <= 200
        && name.ends_with(EXTENSION)
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The name of file `sequence`, of this hit.
pub(crate) fn file_name(sequence: u64, hit: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let id: String = hit.chars().take(120).map(plain).collect();
    format!("{sequence:08}-{id}{EXTENSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_hit_gives_a_bare_name() {
        for id in ["20260301T060000.051050Z-corridor-897900k", "../../etc/passwd", "", "\0\n", &"ä".repeat(500)] {
            let name = file_name(7, id);
            assert!(is_file_name(&name), "{name}");
            assert!(!name.contains('/') && name.starts_with("00000007-"), "{name}");
        }
        for bad in ["", "a", "../a.h5", ".a.h5", "a/b.h5", "a\n.h5"] {
            assert!(!is_file_name(bad), "{bad}");
        }
    }
}
