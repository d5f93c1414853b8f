//! Recordings of IQ samples, in and out.
//!
//! In comes a path (SigMF, raw, WAV, HDF5, or `-` for standard input), out come chunks of whole
//! samples in the file's own format, with their place, centre frequency, time, and the samples that
//! are missing before them. Writing goes to SigMF and HDF5. Files of any length take constant memory.
//!
//! ```
//! use cellwarden_iq::{OpenOptions, SigmfHeader, SigmfWriter, open};
//! use cellwarden_types::{Hertz, SampleFormat};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let header = SigmfHeader {
//!     format: SampleFormat::Cs16,
//!     rate: Hertz(1e6),
//!     center: Hertz(902.4e6),
//!     time: None,
//!     sensor: Some("north".into()),
//!     description: "an example".into(),
//!     recorder: "cellwarden".into(),
//! };
//! let mut writer = SigmfWriter::create(&folder.path().join("example"), header)?;
//! writer.write(&[0; 4000])?;
//! let meta = writer.finish()?;
//!
//! let mut recording = open(&meta, &OpenOptions::default())?;
//! let mut buf = [0; 1024];
//! let mut samples = 0;
//! while let Some(chunk) = recording.next_chunk(&mut buf)? {
//!     samples += chunk.bytes / recording.info.format.bytes_per_sample();
//! }
//! assert_eq!(samples, 1000);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod error;
mod hdf5_file;
mod open;
mod raw;
mod recording;
mod sigmf;
mod stdin;
mod wav;

pub use error::IqError;
pub use hdf5_file::Hdf5Writer;
pub use open::{OpenOptions, open};
pub use recording::{Annotation, Capture, Chunk, Recording, RecordingInfo};
pub use sigmf::{SigmfHeader, SigmfWriter, sha512_fits, sigmf_meta_json, write_annotations_only};
