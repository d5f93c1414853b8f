//! Bare samples: the extension is the type, the name may carry rate, centre and time.

use crate::IqError;
use crate::open::{OpenOptions, checked_center, checked_rate, open_file, whole_samples};
use crate::recording::{Capture, Recording, RecordingInfo, Source};
use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use std::path::Path;

/// The sample type that an extension (lower case) stands for.
pub(crate) fn format_of_extension(extension: &str) -> Option<SampleFormat> {
    match extension {
        "cu8" => Some(SampleFormat::Cu8),
        "cs8" => Some(SampleFormat::Cs8),
        "cs16" => Some(SampleFormat::Cs16),
        "cf32" | "cfile" => Some(SampleFormat::Cf32),
        _ => None,
    }
}

/// What a file's name says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NameHints {
    pub format: Option<SampleFormat>,
    pub rate: Option<Hertz>,
    pub center: Option<Hertz>,
    pub time: Option<UtcNanos>,
    /// The name's time has no zone and its writer means local time.
    pub local_time: bool,
}

/// Reads the names that receivers give their files.
///
/// `gqrx_YYYYMMDD_HHMMSS_<Hz>_<rate>_fc.raw`, `SDRSharp_YYYYMMDD_HHMMSSZ_<Hz>Hz_IQ.wav`,
/// `HDSDR_YYYYMMDD_HHMMSSZ_<kHz>kHz_RF.wav`, SDR++ `baseband_<Hz>Hz_HH-MM-SS_DD-MM-YYYY.wav`, and
/// rtl_433's `g001_433.92M_250k.cu8`, where of two numbers with a unit the centre comes first.
pub(crate) fn hints(path: &Path) -> NameHints {
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let tokens: Vec<&str> = stem.split('_').collect();
    let hertz = |text: &str| text.parse::<Hertz>().ok();
    let mut found = NameHints::default();
    match tokens.as_slice() {
        ["gqrx", date, clock, center, rate, "fc", ..] => {
            found.format = Some(SampleFormat::Cf32);
            found.center = hertz(center);
            found.rate = hertz(rate);
            found.time = compact_time(date, clock);
        }
        ["SDRSharp" | "HDSDR", date, clock, center, ..] => {
            found.center = center.strip_suffix("Hz").and_then(hertz);
            found.time = compact_time(date, clock);
            found.local_time = !clock.ends_with('Z');
        }
        ["baseband", center, clock, date, ..] => {
            found.center = center.strip_suffix("Hz").and_then(hertz);
            let day: Vec<&str> = date.split('-').collect();
            if let [d, m, y] = day.as_slice() {
                found.time = format!("{y}-{m}-{d}T{}Z", clock.replace('-', ":")).parse().ok();
            }
            found.local_time = true;
        }
        _ => {
            let with_unit = |t: &&str| {
                t.starts_with(|c: char| c.is_ascii_digit()) && t.trim_end_matches("Hz").ends_with(['k', 'M', 'G'])
            };
            let numbers: Vec<Hertz> = tokens.iter().copied().filter(with_unit).filter_map(hertz).collect();
            // One number alone could be either; a name with more than two follows no known rule.
            if let [center, rate] = numbers.as_slice() {
                (found.center, found.rate) = (Some(*center), Some(*rate));
            }
        }
    }
    found
}

/// `YYYYMMDD` and `HHMMSS` or `HHMMSSZ`.
fn compact_time(date: &str, clock: &str) -> Option<UtcNanos> {
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let digits = |text: &str, n| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(date, 8) || !digits(clock, 6) {
        return None;
    }
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    format!("{year}-{month}-{day}T{}:{}:{}Z", &clock[..2], &clock[2..4], &clock[4..]).parse().ok()
}

/// The warning that goes with a local time.
pub(crate) const LOCAL_TIME: &str = "the time in the file's name has no zone: taken as UTC; --time overrules it";

/// Opens a file of bare samples.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Recording, IqError> {
    let unknown = |what, fix| IqError::Unknown { path: path.to_owned(), what, fix };
    let (file, bytes) = open_file(path)?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let hints = hints(path);
    let format = options
        .format
        .or_else(|| format_of_extension(&extension))
        .or(hints.format)
        .ok_or_else(|| unknown("the sample type", "add --type cu8, cs8, cs16 or cf32, or name it cs16:FILE"))?;
    let mut warnings = Vec::new();
    let (samples, odd) = whole_samples(path, bytes, format, &mut warnings)?;
    let rate = options.rate.or(hints.rate).ok_or_else(|| unknown("the sample rate", "add --rate HZ"))?;
    let center = options.center.or(hints.center).ok_or_else(|| unknown("the centre frequency", "add --center HZ"))?;
    if options.time.is_none() && hints.time.is_some() && hints.local_time {
        warnings.push(LOCAL_TIME.to_owned());
    }
    let info = RecordingInfo {
        path: path.to_owned(),
        container: "raw",
        format,
        rate: checked_rate(path, rate)?,
        sensor: None,
        captures: vec![Capture {
            sample_start: 0,
            center: checked_center(path, center)?,
            time: options.time.or(hints.time),
            global_index: None,
        }],
        samples: Some(samples),
        annotations: Vec::new(),
        sha512: None,
        description: None,
        warnings,
    };
    Ok(Recording::new(info, path.to_owned(), Source::File(file), &[0], odd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_receivers_carry_rate_centre_and_time() {
        let time = |text: &str| Some(text.parse::<UtcNanos>().unwrap());
        let gqrx = hints(Path::new("/x/gqrx_20260301_060708_902400000_1800000_fc.raw"));
        assert_eq!(gqrx.format, Some(SampleFormat::Cf32));
        assert_eq!((gqrx.center, gqrx.rate), (Some(Hertz(902.4e6)), Some(Hertz(1.8e6))));
        assert_eq!(gqrx.time, time("2026-03-01T06:07:08Z"));
        let sharp = hints(Path::new("SDRSharp_20260301_060708Z_902400000Hz_IQ.wav"));
        assert_eq!((sharp.center, sharp.time), (Some(Hertz(902.4e6)), time("2026-03-01T06:07:08Z")));
        assert!(!sharp.local_time);
        assert_eq!(hints(Path::new("HDSDR_20260301_060708Z_902400kHz_RF.wav")).center, Some(Hertz(902.4e6)));
        let plus = hints(Path::new("baseband_902400000Hz_06-07-08_01-03-2026.wav"));
        assert_eq!((plus.center, plus.time), (Some(Hertz(902.4e6)), time("2026-03-01T06:07:08Z")));
        assert!(plus.local_time);
        let rtl = hints(Path::new("g001_433.92M_250k.cu8"));
        assert_eq!((rtl.center, rtl.rate), (Some(Hertz(433.92e6)), Some(Hertz(250e3))));
        for plain in
            ["lte_prach_root140_30.72M.cs16", "gqrx_é_ü_x_y_fc.raw", "baseband_Hz_a_b.wav", "_.cu8", "1k_2k_3k"]
        {
            let found = hints(Path::new(plain));
            assert_eq!((found.center, found.rate, found.time), (None, None, None), "{plain}");
        }
    }
}
