//! Stereo WAV files of IQ samples: left is I, right is Q.
//!
//! The RIFF chunks are walked by hand because the centre frequency sits in `auxi`, and because
//! receivers leave sizes of 0 or 0xFFFFFFFF when they are killed or the file outgrows 4 GiB.

use crate::IqError;
use crate::open::{OpenOptions, checked_center, checked_rate, open_file, overrule, whole_samples};
use crate::raw;
use crate::recording::{Capture, Recording, RecordingInfo, Source};
use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// More chunks than any receiver writes; a bound for files made of empty chunks.
const MAX_CHUNKS: usize = 1024;

/// What the chunks say.
#[derive(Debug, Default)]
struct Header {
    format: Option<SampleFormat>,
    rate: f64,
    center: Option<f64>,
    time: Option<UtcNanos>,
    /// Offset and length of the samples.
    data: Option<(u64, u64)>,
    warnings: Vec<String>,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Walks the chunks of a file of `len` bytes.
fn header(path: &Path, file: &mut File, len: u64) -> Result<Header, IqError> {
    let wrong = |place: &str, wrong: String, fix| IqError::Format {
        path: path.to_owned(),
        place: place.to_owned(),
        wrong,
        fix,
    };
    let mut offset = 0;
    let mut take = |file: &mut File, at: u64, n: usize| -> Result<Vec<u8>, IqError> {
        offset = at;
        let mut bytes = Vec::with_capacity(n);
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.take(n as u64).read_to_end(&mut bytes))
            .map_err(|source| IqError::Read { path: path.to_owned(), offset, source })?;
        Ok(bytes)
    };

    let riff = take(file, 0, 12)?;
    if !matches!(riff.get(..4), Some(b"RIFF" | b"RF64")) || riff.get(8..12) != Some(b"WAVE") {
        return Err(wrong("byte 0", "no RIFF/WAVE header".into(), "if it is raw samples, name it cs16:FILE"));
    }
    let mut found = Header::default();
    let mut long_data = None;
    let mut at = 12u64;
    for _ in 0..MAX_CHUNKS {
        let head = take(file, at, 8)?;
        let (Some(id), true) = (head.get(..4), head.len() == 8) else { break };
        if found.data.is_some() && !id.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
            let left = len - at;
            found.warnings.push(format!(
                "{left} bytes behind the data chunk are no chunk: longer than its header says, left out"
            ));
            break;
        }
        let size = u64::from(u32_at(&head, 4));
        let body = at + 8;
        let mut end = body + size;
        match id {
            b"ds64" => long_data = Some(u64_at(&take(file, body, 16)?, 8)),
            b"fmt " => {
                let fmt = take(file, body, 40.min(size as usize))?;
                if fmt.len() < 16 {
                    return Err(wrong("fmt chunk", format!("only {} bytes", fmt.len()), "record it again"));
                }
                let tag = if u16_at(&fmt, 0) == 0xFFFE { u16_at(&fmt, 24) } else { u16_at(&fmt, 0) };
                let (channels, bits) = (u16_at(&fmt, 2), u16_at(&fmt, 14));
                if channels != 2 {
                    let what = format!("{channels} channels");
                    return Err(wrong("fmt chunk", what, "IQ samples need two: I and Q, record baseband and no audio"));
                }
                found.format = match (tag, bits) {
                    (1, 8) => Some(SampleFormat::Cu8),
                    (1, 16) => Some(SampleFormat::Cs16),
                    (3, 32) => Some(SampleFormat::Cf32),
                    _ => {
                        let what = format!("samples of {bits} bits with format tag {tag}");
                        return Err(wrong("fmt chunk", what, "convert it to 16-bit PCM"));
                    }
                };
                found.rate = f64::from(u32_at(&fmt, 4));
            }
            b"auxi" => {
                let auxi = take(file, body, 40.min(size as usize))?;
                auxi_into(&auxi, &mut found);
            }
            b"data" => {
                let rest = len.saturating_sub(body);
                let size = if size == 0xFFFF_FFFF { long_data.unwrap_or(0) } else { size };
                // Some writers let the size wrap at 4 GiB.
                let wrapped = rest > size && (rest - size) % (1 << 32) == 0;
                let held = if size == 0 || wrapped { rest } else { size.min(rest) };
                if size > rest {
                    found.warnings.push(format!("the data chunk should have {size} bytes and has {rest}: cut off"));
                }
                found.data = Some((body, held));
                end = body + held;
            }
            _ => {}
        }
        // Chunks begin at even bytes.
        at = end + (end - body) % 2;
        if at >= len {
            break;
        }
    }
    Ok(found)
}

/// Reads HDSDR's and SDR Console's `auxi`: two SYSTEMTIMEs of 16 bytes, then the centre in hertz.
fn auxi_into(auxi: &[u8], found: &mut Header) {
    let year = u16_at(auxi, 0);
    // Newer files hold XML in here; no year looks like its first letters.
    if auxi.len() < 36 || !(1970..2262).contains(&year) {
        return;
    }
    let [month, day, hour, minute, second, milli] = [2, 6, 8, 10, 12, 14].map(|at| u16_at(auxi, at));
    found.time = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z").parse().ok();
    let center = u32_at(auxi, 32);
    found.center = (center > 0).then_some(f64::from(center));
}

/// Opens a WAV file of IQ samples.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Recording, IqError> {
    let wrong = |place: &str, wrong: &str, fix| IqError::Format {
        path: path.to_owned(),
        place: place.to_owned(),
        wrong: wrong.to_owned(),
        fix,
    };
    let (mut file, len) = open_file(path)?;
    if len == 0 {
        return Err(IqError::Empty { path: path.to_owned(), bytes: 0 });
    }
    let header = header(path, &mut file, len)?;
    let format = header.format.ok_or_else(|| wrong("header", "no fmt chunk", "record it again"))?;
    let (offset, bytes) = header.data.ok_or_else(|| wrong("header", "no data chunk", "record it again"))?;
    let hints = raw::hints(path);
    let mut warnings = header.warnings;
    let (samples, odd) = whole_samples(path, bytes, format, &mut warnings)?;
    let center = header.center.map(Hertz).or(hints.center).or(options.center).ok_or(IqError::Unknown {
        path: path.to_owned(),
        what: "the centre frequency",
        fix: "add --center HZ",
    })?;
    let time = header.time.or(hints.time);
    if options.time.is_none() && header.time.is_none() && time.is_some() && hints.local_time {
        warnings.push(raw::LOCAL_TIME.to_owned());
    }
    let mut info = RecordingInfo {
        path: path.to_owned(),
        container: "WAV",
        format,
        rate: Hertz(header.rate),
        sensor: None,
        captures: vec![Capture { sample_start: 0, center, time, global_index: None }],
        samples: Some(samples),
        annotations: Vec::new(),
        sha512: None,
        description: None,
        warnings,
    };
    overrule(&mut info, options);
    checked_rate(path, info.rate)?;
    checked_center(path, info.captures[0].center)?;
    Ok(Recording::new(info, path.to_owned(), Source::File(file), &[offset], odd))
}
