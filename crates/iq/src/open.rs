//! Opens whatever a path names. Nothing else in cellwarden guesses what a file is.

use crate::recording::{Recording, RecordingInfo};
use crate::{IqError, hdf5_file, raw, sigmf, stdin, wav};
use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What the user says about recordings, which counts for more than what files say or are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenOptions {
    /// Sample type of raw files and standard input; SigMF, WAV and HDF5 keep their own.
    pub format: Option<SampleFormat>,
    /// Sample rate.
    pub rate: Option<Hertz>,
    /// Centre frequency, of all captures.
    pub center: Option<Hertz>,
    /// UTC of the first sample.
    pub time: Option<UtcNanos>,
}

/// Opens the recording that `path` names.
///
/// `-` is standard input, `cs16:path` a raw file of that type whatever it is called. Otherwise the
/// extension decides, then the first bytes.
///
/// # Errors
/// If there is nothing, a directory, nothing in it, or something that cannot be made sense of; the
/// error says what to do.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Recording, IqError> {
    if path == Path::new("-") {
        return stdin::open(path, options);
    }
    if !path.exists() {
        if let Some((format, rest)) = prefixed(path) {
            let options = OpenOptions { format: Some(format), ..options.clone() };
            return open_raw(&rest, &options);
        }
        // A SigMF recording may be named without its extension.
        if sigmf::with_suffix(path, ".sigmf-meta").is_file() {
            return sigmf::open(path, options);
        }
        if matches!(extension(path).as_str(), "sigmf-meta" | "sigmf-data") {
            return sigmf::open(path, options);
        }
        return Err(IqError::Missing { path: path.to_owned(), fix: String::new() });
    }
    match extension(path).as_str() {
        _ if path.is_dir() => {
            // A stem may share its name with a folder.
            if sigmf::with_suffix(path, ".sigmf-meta").is_file() {
                return sigmf::open(path, options);
            }
            Err(IqError::Directory { path: path.to_owned() })
        }
        "sigmf-meta" | "sigmf-data" => sigmf::open(path, options),
        "sigmf" => Err(IqError::Archive { path: path.to_owned() }),
        "wav" => wav::open(path, options),
        "h5" | "hdf5" => hdf5_file::open(path, options),
        other if options.format.is_some() || raw::format_of_extension(other).is_some() => open_raw(path, options),
        _ if !path.is_file() => open_raw(path, options),
        _ => {
            let mut magic = Vec::with_capacity(12);
            let (file, _) = open_file(path)?;
            file.take(12).read_to_end(&mut magic).map_err(|source| IqError::Read {
                path: path.to_owned(),
                offset: 0,
                source,
            })?;
            if magic.starts_with(b"\x89HDF\r\n\x1a\n") {
                hdf5_file::open(path, options)
            } else if matches!(magic.get(..4), Some(b"RIFF" | b"RF64")) && magic.get(8..) == Some(b"WAVE") {
                wav::open(path, options)
            } else {
                open_raw(path, options)
            }
        }
    }
}

/// A file of bare samples, or a pipe of them.
fn open_raw(path: &Path, options: &OpenOptions) -> Result<Recording, IqError> {
    let is_pipe = path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir());
    if is_pipe {
        let stream = File::open(path).map_err(|source| IqError::Open { path: path.to_owned(), source })?;
        return stdin::stream(path, "raw", Box::new(stream), options);
    }
    raw::open(path, options)
}

/// Splits `cs16:path`.
fn prefixed(path: &Path) -> Option<(SampleFormat, PathBuf)> {
    let (prefix, rest) = path.to_str()?.split_once(':')?;
    Some((prefix.parse().ok()?, PathBuf::from(rest)))
}

/// The extension in lower case.
fn extension(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}

/// Opens a regular file and says how long it is.
pub(crate) fn open_file(path: &Path) -> Result<(File, u64), IqError> {
    let failed = |source: std::io::Error| {
        if source.kind() == std::io::ErrorKind::NotFound {
            IqError::Missing { path: path.to_owned(), fix: String::new() }
        } else {
            IqError::Open { path: path.to_owned(), source }
        }
    };
    let metadata = path.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(IqError::Directory { path: path.to_owned() });
    }
    Ok((File::open(path).map_err(failed)?, metadata.len()))
}

/// A sample rate that can be worked with.
pub(crate) fn checked_rate(path: &Path, rate: Hertz) -> Result<Hertz, IqError> {
    // 1e12 is SigMF's own limit.
    if rate.0 > 0.0 && rate.0 <= 1e12 {
        return Ok(rate);
    }
    Err(IqError::Value {
        path: path.to_owned(),
        what: "the sample rate",
        value: rate.0.to_string(),
        fix: "give --rate in hertz, more than 0",
    })
}

/// A centre frequency that can be worked with.
pub(crate) fn checked_center(path: &Path, center: Hertz) -> Result<Hertz, IqError> {
    if center.0 >= 0.0 && center.0 <= 1e12 {
        return Ok(center);
    }
    Err(IqError::Value {
        path: path.to_owned(),
        what: "the centre frequency",
        value: center.0.to_string(),
        fix: "give --center in hertz, not below 0",
    })
}

/// Lets the user's word stand over that of a file that describes itself, and says so.
pub(crate) fn overrule(info: &mut RecordingInfo, options: &OpenOptions) {
    if let Some(format) = options.format.filter(|&f| f != info.format) {
        let own = info.format;
        info.warnings.push(format!("--type {format} does not hold here: the {} file says {own}", info.container));
    }
    if let Some(rate) = options.rate.filter(|&r| r != info.rate) {
        info.warnings.push(format!("--rate {rate} overrules the file's {}", info.rate));
        info.rate = rate;
    }
    if let Some(center) = options.center {
        if let Some(other) = info.captures.iter().find(|c| c.center != center) {
            info.warnings.push(format!("--center {center} overrules the file's {}", other.center));
        }
        info.captures.iter_mut().for_each(|c| c.center = center);
    }
    if let (Some(time), Some(first)) = (options.time, info.captures.first().map(|c| c.time)) {
        // Later captures keep their distance from the first.
        let shift = first.map_or(0, |t| time.0.saturating_sub(t.0));
        for capture in &mut info.captures {
            capture.time = capture.time.filter(|_| first.is_some()).map(|t| UtcNanos(t.0.saturating_add(shift)));
        }
        if let Some(first) = info.captures.first_mut() {
            first.time = Some(time);
        }
    }
}

/// Splits a data length into whole samples and odd bytes, which get a warning.
///
/// # Errors
/// If there is not one sample.
pub(crate) fn whole_samples(
    path: &Path,
    bytes: u64,
    format: SampleFormat,
    warnings: &mut Vec<String>,
) -> Result<(u64, u64), IqError> {
    let unit = format.bytes_per_sample() as u64;
    let (samples, odd) = (bytes / unit, bytes % unit);
    if samples == 0 {
        return Err(IqError::Empty { path: path.to_owned(), bytes });
    }
    if odd > 0 {
        warnings.push(format!("{odd} bytes at the end are no whole {format} sample: left out"));
    }
    Ok((samples, odd))
}

/// `path` with `suffix` behind its whole name.
pub(crate) fn append(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
