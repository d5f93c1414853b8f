//! A recording being read: what it says about itself, and its samples, chunk by chunk.

use crate::{IqError, hdf5_file};
use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What is known of a recording before its samples are read.
#[derive(Clone, Debug)]
pub struct RecordingInfo {
    /// The file that was opened; of a SigMF pair the metadata.
    pub path: PathBuf,
    /// `SigMF`, `WAV`, `raw`, `HDF5` or `stdin`.
    pub container: &'static str,
    /// How one sample is stored.
    pub format: SampleFormat,
    /// Complex samples per second.
    pub rate: Hertz,
    /// The sensor that the recording names.
    pub sensor: Option<String>,
    /// At least one, in order; the first starts where reading starts.
    pub captures: Vec<Capture>,
    /// Whole samples in the file; `None`: unknown (standard input, a pipe).
    pub samples: Option<u64>,
    /// What the recording says is in it, in order.
    pub annotations: Vec<Annotation>,
    /// The SHA-512 of the samples' file as the metadata have it, in hexadecimal.
    pub sha512: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// What is odd about the recording without keeping it from being read, one line each.
    pub warnings: Vec<String>,
}

/// From here on, the radio was set like this.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// First sample, in the file's own samples.
    pub sample_start: u64,
    /// What the radio was tuned to.
    pub center: Hertz,
    /// UTC of the first sample.
    pub time: Option<UtcNanos>,
    /// The first sample's index in the radio's own stream, lost samples included.
    pub global_index: Option<u64>,
}

/// Somebody's word on some of the samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// First sample, in the file's own samples.
    pub sample_start: u64,
    /// How many.
    pub sample_count: u64,
    /// Lower edge, absolute, in hertz.
    pub freq_lower_hz: Option<f64>,
    /// Upper edge, absolute, in hertz.
    pub freq_upper_hz: Option<f64>,
    /// A short name.
    pub label: Option<String>,
    /// A longer text.
    pub comment: Option<String>,
    /// All other keys, with their namespace (`truth:phone`).
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// What [`Recording::next_chunk`] put into the buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chunk {
    /// Bytes at the buffer's start that hold whole samples; never 0.
    pub bytes: usize,
    /// Index of the first sample in the file.
    pub start: u64,
    /// What the radio was tuned to.
    pub center: Hertz,
    /// UTC of the first sample, counted on from its capture's datetime.
    pub time: Option<UtcNanos>,
    /// Samples missing between the chunk before and this one.
    pub gap_before: u64,
    /// Samples missing since the recording began, `gap_before` included.
    pub lost_before: u64,
}

/// Where samples come from.
pub(crate) enum Source {
    /// A file with the samples at each segment's offset.
    File(File),
    /// Bytes that come once.
    Stream(Box<dyn Read + Send>),
    /// A data set.
    Hdf5(hdf5_file::Reader),
}

/// The samples of one capture.
struct Segment {
    start: u64,
    /// One past the last; `u64::MAX` for a stream.
    end: u64,
    /// Byte of the first sample in the file.
    offset: u64,
    /// Samples missing before.
    gap: u64,
    center: Hertz,
    time: Option<UtcNanos>,
}

/// An opened recording.
pub struct Recording {
    /// What is known of it.
    pub info: RecordingInfo,
    /// The file that holds the samples, for errors.
    data_path: PathBuf,
    source: Source,
    segments: Vec<Segment>,
    segment: usize,
    /// Next sample.
    position: u64,
    /// Next byte of the file.
    byte: u64,
    unit: usize,
    rate: f64,
    lost: u64,
    truncated: u64,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("info", &self.info).field("position", &self.position).finish_non_exhaustive()
    }
}

impl Recording {
    /// A recording whose capture k begins at byte `offsets[k]` of its file; `info` has been checked.
    pub(crate) fn new(
        mut info: RecordingInfo,
        data_path: PathBuf,
        source: Source,
        offsets: &[u64],
        truncated: u64,
    ) -> Self {
        let gaps = gaps(&info.captures, info.rate, &mut info.warnings);
        let ends = info.captures.iter().skip(1).map(|c| c.sample_start);
        let ends = ends.chain([info.samples.unwrap_or(u64::MAX)]);
        let segments: Vec<Segment> = info
            .captures
            .iter()
            .zip(ends)
            .zip(offsets.iter().zip(gaps))
            .map(|((c, end), (&offset, gap))| Segment {
                start: c.sample_start,
                end,
                offset,
                gap,
                center: c.center,
                time: c.time,
            })
            .collect();
        Self {
            position: segments.first().map_or(0, |s| s.start),
            segment: 0,
            byte: 0,
            unit: info.format.bytes_per_sample(),
            rate: info.rate.0,
            lost: 0,
            truncated,
            info,
            data_path,
            source,
            segments,
        }
    }

    /// Fills `buf` with the next whole samples; `None` at the end.
    ///
    /// A chunk never crosses from one capture into the next, and is shorter than `buf` only before
    /// such a border or the end. Allocates nothing for SigMF, raw, WAV and standard input.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If `buf` holds less than one sample.
    pub fn next_chunk(&mut self, buf: &mut [u8]) -> Result<Option<Chunk>, IqError> {
        assert!(buf.len() >= self.unit, "buf must hold a whole sample");
        while self.segments.get(self.segment).is_some_and(|s| self.position >= s.end) {
            self.segment += 1;
            if let Some(next) = self.segments.get(self.segment) {
                self.position = next.start;
            }
        }
        let Some(segment) = self.segments.get(self.segment) else { return Ok(None) };
        let samples = (segment.end - self.position).min((buf.len() / self.unit) as u64);
        let buf = &mut buf[..samples as usize * self.unit];

        let filled = match &mut self.source {
            Source::File(file) => {
                let want = segment.offset + (self.position - segment.start) * self.unit as u64;
                if want != self.byte {
                    file.seek(SeekFrom::Start(want)).map_err(|source| IqError::Read {
                        path: self.data_path.clone(),
                        offset: want,
                        source,
                    })?;
                    self.byte = want;
                }
                fill(file, buf).map_err(|e| (self.byte, e))
            }
            Source::Stream(stream) => fill(stream.as_mut(), buf).map_err(|e| (self.byte, e)),
            Source::Hdf5(reader) => Ok(reader.read(self.position, buf)?),
        };
        let filled =
            filled.map_err(|(offset, source)| IqError::Read { path: self.data_path.clone(), offset, source })?;
        self.byte += filled as u64;

        let bytes = filled - filled % self.unit;
        let at_border = self.segment > 0 && self.position == segment.start;
        let gap_before = if at_border { segment.gap } else { 0 };
        let chunk = Chunk {
            bytes,
            start: self.position,
            center: segment.center,
            time: segment.time.map(|t| t.plus_seconds((self.position - segment.start) as f64 / self.rate)),
            gap_before,
            lost_before: self.lost.saturating_add(gap_before),
        };
        self.lost = chunk.lost_before;
        self.position += (bytes / self.unit) as u64;
        if filled < buf.len() {
            // The stream ended, or the file became shorter since it was opened.
            self.truncated += (filled - bytes) as u64;
            self.segment = self.segments.len();
        }
        Ok((bytes > 0).then_some(chunk))
    }

    /// The file that holds the samples.
    pub fn data_path(&self) -> &Path {
        &self.data_path
    }

    /// Bytes at the end that make no whole sample and were left out; of a stream, known at its end.
    pub fn truncated_bytes(&self) -> u64 {
        self.truncated
    }
}

/// Reads until `buf` is full or nothing more comes.
fn fill(source: &mut (impl Read + ?Sized), buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match source.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Samples missing before each capture, from the radio's own count, else from the clock.
fn gaps(captures: &[Capture], rate: Hertz, warnings: &mut Vec<String>) -> Vec<u64> {
    let mut gaps = vec![0];
    let mut backwards = 0u64;
    for pair in captures.windows(2) {
        let [before, after] = pair else { continue };
        let held = after.sample_start - before.sample_start;
        let counted = match (before.global_index, after.global_index) {
            (None, None) => None,
            // SigMF: a missing global_index is to be taken as the sample_start.
            (a, b) => Some(
                i128::from(b.unwrap_or(after.sample_start))
                    - i128::from(a.unwrap_or(before.sample_start))
                    - i128::from(held),
            ),
        };
        let clocked = || {
            let (a, b) = (before.time?, after.time?);
            // In whole nanoseconds, so that what is exact stays exact.
            let missing_ns = (i128::from(b.0) - i128::from(a.0)) as f64 - (held as f64 / rate.0 * 1e9).round();
            // One sample and a microsecond is what rounding explains.
            let slack_ns = 1e9 / rate.0 + 1e3;
            Some(if missing_ns.abs() > slack_ns { (missing_ns * 1e-9 * rate.0).round() as i128 } else { 0 })
        };
        let missing = counted.filter(|&n| n >= 0).or_else(clocked).or(counted).unwrap_or(0);
        if missing < 0 {
            backwards += 1;
        }
        gaps.push(u64::try_from(missing.max(0)).unwrap_or(u64::MAX));
    }
    if backwards > 0 {
        warnings
            .push(format!("at {backwards} captures the count of samples or the clock runs backwards: taken as no gap"));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(sample_start: u64, time_ns: Option<i64>, global_index: Option<u64>) -> Capture {
        Capture { sample_start, center: Hertz(9e8), time: time_ns.map(UtcNanos), global_index }
    }

    #[test]
    fn gaps_come_from_the_count_then_from_the_clock() {
        let mut warnings = Vec::new();
        let rate = Hertz(1e6);
        let count = [capture(0, None, Some(7)), capture(500, None, Some(1007)), capture(600, None, Some(1107))];
        assert_eq!(gaps(&count, rate, &mut warnings), [0, 500, 0]);
        // 2 µs are rounding, 3 µs are not.
        let clock = [capture(0, Some(0), None), capture(500, Some(502_000), None), capture(600, Some(605_000), None)];
        assert_eq!(gaps(&clock, rate, &mut warnings), [0, 0, 3]);
        assert_eq!(gaps(&[capture(0, Some(0), None), capture(5, None, None)], rate, &mut warnings), [0, 0]);
        assert!(warnings.is_empty());
        let back = [capture(0, None, Some(900)), capture(10, None, Some(20))];
        assert_eq!(gaps(&back, rate, &mut warnings), [0, 0]);
        assert_eq!(warnings.len(), 1);
    }
}
