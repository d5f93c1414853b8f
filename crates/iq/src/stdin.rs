//! Samples from standard input or a pipe: nothing in the bytes says what they are.

use crate::IqError;
use crate::open::{OpenOptions, checked_center, checked_rate};
use crate::recording::{Capture, Recording, RecordingInfo, Source};
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Standard input as a recording.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Recording, IqError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(IqError::Terminal);
    }
    stream(path, "stdin", Box::new(stdin), options)
}

/// Any stream of bare samples as a recording.
pub(crate) fn stream(
    path: &Path,
    container: &'static str,
    stream: Box<dyn Read + Send>,
    options: &OpenOptions,
) -> Result<Recording, IqError> {
    let unknown = |what, fix| IqError::Unknown { path: path.to_owned(), what, fix };
    let format = options.format.ok_or_else(|| unknown("the sample type", "add --type cu8, cs8, cs16 or cf32"))?;
    let rate = options.rate.ok_or_else(|| unknown("the sample rate", "add --rate HZ"))?;
    let center = options.center.ok_or_else(|| unknown("the centre frequency", "add --center HZ"))?;
    let info = RecordingInfo {
        path: path.to_owned(),
        container,
        format,
        rate: checked_rate(path, rate)?,
        sensor: None,
        captures: vec![Capture {
            sample_start: 0,
            center: checked_center(path, center)?,
            time: options.time,
            global_index: None,
        }],
        samples: None,
        annotations: Vec::new(),
        sha512: None,
        description: None,
        warnings: Vec::new(),
    };
    Ok(Recording::new(info, path.to_owned(), Source::Stream(stream), &[0], 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_types::{Hertz, SampleFormat, UtcNanos};

    /// Gives a byte or two at a time, as pipes may.
    struct Dribble(Vec<u8>);
    impl Read for Dribble {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let n = buf.len().min(self.0.len()).min(3);
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(n)
        }
    }

    #[test]
    fn a_dribbling_pipe_gives_full_chunks_and_counts_the_odd_bytes() {
        let options = OpenOptions {
            format: Some(SampleFormat::Cs16),
            rate: Some(Hertz(1e6)),
            center: Some(Hertz(9e8)),
            time: Some(UtcNanos(0)),
        };
        let bytes: Vec<u8> = (0..43).collect();
        let mut recording = stream(Path::new("-"), "stdin", Box::new(Dribble(bytes.clone())), &options).unwrap();
        assert_eq!(recording.info.samples, None);
        let mut buf = [0; 18];
        let mut seen = Vec::new();
        let mut starts = Vec::new();
        while let Some(chunk) = recording.next_chunk(&mut buf).unwrap() {
            seen.extend_from_slice(&buf[..chunk.bytes]);
            starts.push((chunk.start, chunk.time.unwrap().0));
        }
        assert_eq!(seen, bytes[..40]);
        assert_eq!(starts, [(0, 0), (4, 4000), (8, 8000)]);
        assert_eq!(recording.truncated_bytes(), 3);
        assert!(recording.next_chunk(&mut buf).unwrap().is_none());
    }

    #[test]
    fn a_stream_must_be_told_type_rate_and_centre() {
        let full = OpenOptions {
            format: Some(SampleFormat::Cu8),
            rate: Some(Hertz(1e6)),
            center: Some(Hertz(9e8)),
            time: None,
        };
        let error = |options: OpenOptions| {
            stream(Path::new("-"), "stdin", Box::new(std::io::empty()), &options).unwrap_err().to_string()
        };
        assert!(error(OpenOptions { format: None, ..full.clone() }).contains("--type"));
        assert!(error(OpenOptions { rate: None, ..full.clone() }).contains("--rate"));
        assert!(error(OpenOptions { center: None, ..full.clone() }).contains("--center"));
        assert!(error(OpenOptions { rate: Some(Hertz(f64::NAN)), ..full }).contains("NaN"));
    }
}
