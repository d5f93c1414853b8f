//! HDF5 recordings in cellwarden's own layout.
//!
//! One data set `/iq`: one dimension, unlimited, chunks of 65,536 samples, no filter, of a compound
//! `{r, i}` (as h5py and Julia store complex numbers) of `u8`, `i8`, `i16` or `f32`. Attributes of
//! the root group:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `cellwarden_layout` | u32 | 1 |
//! | `datatype` | string | SigMF's `core:datatype`: `cu8`, `ci8`, `ci16_le`, `cf32_le` |
//! | `sample_rate_hz` | f64 | |
//! | `center_hz` | f64 | |
//! | `datetime` | string | RFC 3339 UTC of the first sample; may be missing |
//! | `sensor` | string | may be missing |
//! | `description`, `recorder` | string | may be missing |
//!
//! A string has the fixed length 1024, UTF-8, padded with NUL.
//!
//! One file holds one capture: after a gap or a retune begins another file.
//!
//! The writer keeps to what survived 190 kills: the default file format, a flush right after the
//! data set is made and then about every second, `.part` until it is closed. What was flushed can be
//! read from the `.part` file. SWMR files did not survive.
//!
//! Limit: of 80,000 files with up to four bytes changed, libhdf5 1.10.8 (C, no checksums in this file
//! format) crashed the process on one. Files from strangers belong into SigMF.

use crate::IqError;
use crate::open::{OpenOptions, append, checked_center, checked_rate, open_file, overrule, whole_samples};
use crate::recording::{Capture, Recording, RecordingInfo, Source};
use crate::sigmf::SigmfHeader;
use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use hdf5::types::{FixedUnicode, TypeDescriptor};
use hdf5::{Dataset, File, H5Type};
use num_complex::Complex;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Samples of one HDF5 chunk, and the most that is read at once.
const CHUNK: usize = 65_536;

/// Version of the layout above.
const LAYOUT: u32 = 1;

/// Bytes of a text attribute.
const TEXT: usize = 1024;

/// Fixed, because libhdf5 (1.10) crashes on variable-length strings of a broken file.
type Text = FixedUnicode<TEXT>;

/// How much a crash may cost.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(hdf5::Error) -> IqError {
    let path = path.to_owned();
    move |source| IqError::Hdf5 { path, doing, source }
}

fn wrong(path: &Path, place: &str, wrong: String, fix: &'static str) -> IqError {
    IqError::Format { path: path.to_owned(), place: place.to_owned(), wrong, fix }
}

/// The compound that a sample format is stored as.
fn descriptor(format: SampleFormat) -> TypeDescriptor {
    match format {
        SampleFormat::Cu8 => Complex::<u8>::type_descriptor(),
        SampleFormat::Cs8 => Complex::<i8>::type_descriptor(),
        SampleFormat::Cs16 => Complex::<i16>::type_descriptor(),
        SampleFormat::Cf32 => Complex::<f32>::type_descriptor(),
    }
}

/// A component of a sample and its little-endian bytes.
trait Part: H5Type + Copy {
    const BYTES: usize;
    fn from_le(bytes: &[u8]) -> Self;
    fn put_le(self, bytes: &mut [u8]);
}

macro_rules! part {
    ($($type:ty),*) => { $(impl Part for $type {
        const BYTES: usize = size_of::<$type>();
        fn from_le(bytes: &[u8]) -> Self {
            let mut array = [0; size_of::<$type>()];
            array.copy_from_slice(bytes);
            Self::from_le_bytes(array)
        }
        fn put_le(self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.to_le_bytes());
        }
    })* };
}
part!(u8, i8, i16, f32);

fn read_slab<T: Part>(iq: &Dataset, start: usize, buf: &mut [u8]) -> hdf5::Result<()> {
    let n = buf.len() / (2 * T::BYTES);
    let samples = iq.read_slice_1d::<Complex<T>, _>(start..start + n)?;
    for (sample, bytes) in samples.iter().zip(buf.chunks_exact_mut(2 * T::BYTES)) {
        let (re, im) = bytes.split_at_mut(T::BYTES);
        sample.re.put_le(re);
        sample.im.put_le(im);
    }
    Ok(())
}

fn write_slab<T: Part>(iq: &Dataset, start: usize, bytes: &[u8]) -> hdf5::Result<()> {
    let mut at = start;
    let mut samples = Vec::with_capacity(CHUNK.min(bytes.len() / (2 * T::BYTES)));
    for slab in bytes.chunks(CHUNK * 2 * T::BYTES) {
        samples.clear();
        samples.extend(slab.chunks_exact(2 * T::BYTES).map(|b| {
            let (re, im) = b.split_at(T::BYTES);
            Complex { re: T::from_le(re), im: T::from_le(im) }
        }));
        iq.resize([at + samples.len()])?;
        iq.write_slice(&samples[..], at..at + samples.len())?;
        at += samples.len();
    }
    Ok(())
}

/// The data set of an opened file.
pub(crate) struct Reader {
    path: PathBuf,
    // Kept open as long as its data set is read.
    _file: File,
    iq: Dataset,
    format: SampleFormat,
}

impl Reader {
    /// Fills `buf`, whole samples from sample `start` on, which the data set is known to hold.
    pub(crate) fn read(&mut self, start: u64, buf: &mut [u8]) -> Result<usize, IqError> {
        let unit = self.format.bytes_per_sample();
        let mut at = start as usize;
        let mut filled = 0;
        while filled < buf.len() {
            // Whole HDF5 chunks: a chunk that is read in two pieces may be read twice.
            let n = (CHUNK - at % CHUNK).min((buf.len() - filled) / unit);
            let slab = &mut buf[filled..filled + n * unit];
            match self.format {
                SampleFormat::Cu8 => read_slab::<u8>(&self.iq, at, slab),
                SampleFormat::Cs8 => read_slab::<i8>(&self.iq, at, slab),
                SampleFormat::Cs16 => read_slab::<i16>(&self.iq, at, slab),
                SampleFormat::Cf32 => read_slab::<f32>(&self.iq, at, slab),
            }
            .map_err(failed(&self.path, "reading /iq"))?;
            at += n;
            filled += n * unit;
        }
        Ok(filled)
    }
}

/// A number that must be there.
fn number(path: &Path, file: &File, name: &'static str) -> Result<Option<f64>, IqError> {
    // Not by attr_names: it aborts the process where a name is no UTF-8.
    let Ok(attribute) = file.attr(name) else { return Ok(None) };
    let value = attribute.as_reader().read_scalar::<f64>();
    value.map(Some).map_err(|e| wrong(path, &format!("attribute {name}"), e.to_string(), "it must be one f64"))
}

/// A text that may be there.
fn text(path: &Path, file: &File, name: &'static str) -> Result<Option<String>, IqError> {
    let Ok(attribute) = file.attr(name) else { return Ok(None) };
    let read = || -> hdf5::Result<Text> {
        if attribute.dtype()?.to_descriptor()? != Text::type_descriptor() {
            return Err("of another type".into());
        }
        attribute.as_reader().read_scalar::<Text>()
    };
    // Not as_str: it takes what a broken file holds for UTF-8.
    let value = read().map(|t| String::from_utf8_lossy(t.as_bytes()).into_owned());
    let fix = "it must be one UTF-8 string of fixed length 1024";
    value.map(Some).map_err(|e| wrong(path, &format!("attribute {name}"), e.to_string(), fix))
}

/// Opens an HDF5 file that cellwarden wrote.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Recording, IqError> {
    let (_, bytes) = open_file(path)?;
    if bytes == 0 {
        return Err(IqError::Empty { path: path.to_owned(), bytes });
    }
    let file = File::open(path).map_err(failed(path, "opening the HDF5 file"))?;
    let layout = "cellwarden reads only HDF5 files of its own layout: convert it to SigMF";
    let name = text(path, &file, "datatype")?;
    let name = name.ok_or_else(|| wrong(path, "root group", "no attribute datatype".into(), layout))?;
    let format = SampleFormat::ALL.into_iter().find(|f| f.sigmf_name() == name);
    let format = format.ok_or_else(|| wrong(path, "attribute datatype", format!("{name:?} is not known"), layout))?;
    let iq = file.dataset("iq").map_err(|_| wrong(path, "root group", "no data set iq".into(), layout))?;
    let stored = iq.dtype().and_then(|t| t.to_descriptor()).map_err(failed(path, "reading the type of /iq"))?;
    if stored != descriptor(format) {
        return Err(wrong(path, "/iq", format!("holds {stored}, datatype says {name}"), layout));
    }
    let &[length] = iq.get_shape().map_err(failed(path, "reading the shape of /iq"))?.as_slice() else {
        return Err(wrong(path, "/iq", "does not have one dimension".into(), layout));
    };
    let mut warnings = Vec::new();
    let unit = format.bytes_per_sample() as u64;
    let (samples, odd) = whole_samples(path, (length as u64).saturating_mul(unit), format, &mut warnings)?;
    if iq.storage_size() < samples.saturating_mul(unit) && iq.filters().is_empty() {
        warnings.push("fewer samples are stored than the data set is long: the rest reads as zero".to_owned());
    }
    let unknown = |what, fix| IqError::Unknown { path: path.to_owned(), what, fix };
    let rate = number(path, &file, "sample_rate_hz")?.map(Hertz).or(options.rate);
    let center = number(path, &file, "center_hz")?.map(Hertz).or(options.center);
    let time = match text(path, &file, "datetime")? {
        None => None,
        Some(t) => Some(t.parse::<UtcNanos>().map_err(|e| {
            wrong(path, "attribute datetime", e.to_string(), "correct it, or delete it and use --time")
        })?),
    };
    let mut info = RecordingInfo {
        path: path.to_owned(),
        container: "HDF5",
        format,
        rate: rate.ok_or_else(|| unknown("the sample rate", "add --rate HZ"))?,
        sensor: text(path, &file, "sensor")?,
        captures: vec![Capture {
            sample_start: 0,
            center: center.ok_or_else(|| unknown("the centre frequency", "add --center HZ"))?,
            time,
            global_index: None,
        }],
        samples: Some(samples),
        annotations: Vec::new(),
        sha512: None,
        description: text(path, &file, "description")?,
        warnings,
    };
    overrule(&mut info, options);
    checked_rate(path, info.rate)?;
    checked_center(path, info.captures[0].center)?;
    let reader = Reader { path: path.to_owned(), _file: file, iq, format };
    Ok(Recording::new(info, path.to_owned(), Source::Hdf5(reader), &[0], odd))
}

/// Writes one capture to an HDF5 file, `NAME.part` until [`finish`](Self::finish).
///
/// After a crash the `.part` file holds all but about the last second.
pub struct Hdf5Writer {
    path: PathBuf,
    part: PathBuf,
    file: File,
    iq: Dataset,
    format: SampleFormat,
    samples: usize,
    flushed: Instant,
}

impl std::fmt::Debug for Hdf5Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hdf5Writer").field("path", &self.path).field("samples", &self.samples).finish_non_exhaustive()
    }
}

impl Hdf5Writer {
    /// Begins the file; `path` appears when it is finished, in place of any file of that name.
    ///
    /// # Errors
    /// If the rate or centre makes no sense or the file cannot be made.
    pub fn create(path: &Path, header: &SigmfHeader) -> Result<Self, IqError> {
        checked_rate(path, header.rate)?;
        checked_center(path, header.center)?;
        let part = append(path, ".part");
        let start = || -> hdf5::Result<(File, Dataset)> {
            let file = File::create(&part)?;
            file.new_attr::<u32>().create("cellwarden_layout")?.write_scalar(&LAYOUT)?;
            for (name, value) in [("sample_rate_hz", header.rate), ("center_hz", header.center)] {
                file.new_attr::<f64>().create(name)?.write_scalar(&value.0)?;
            }
            let texts = [
                ("datatype", Some(header.format.sigmf_name().to_owned())),
                ("datetime", header.time.map(|t| t.to_string())),
                ("sensor", header.sensor.clone()),
                ("description", Some(header.description.clone())),
                ("recorder", Some(header.recorder.clone())),
            ];
            for (name, value) in texts {
                let Some(value) = value.filter(|v| !v.is_empty()) else { continue };
                // HDF5 strings end at a NUL; what is longer is cut at a character.
                let value = value.replace('\0', " ");
                let cut = (0..=TEXT.min(value.len())).rev().find(|&n| value.is_char_boundary(n)).unwrap_or(0);
                let value: Text = value[..cut].parse().map_err(|e| format!("{name}: {e}"))?;
                file.new_attr::<Text>().create(name)?.write_scalar(&value)?;
            }
            let builder = file.new_dataset_builder().empty_as(descriptor(header.format));
            let iq = builder.shape([hdf5::Extent::resizable(0)]).chunk([CHUNK]).create("iq")?;
            file.flush()?;
            Ok((file, iq))
        };
        let (file, iq) = start().map_err(failed(&part, "creating the HDF5 file"))?;
        Ok(Self { path: path.to_owned(), part, file, iq, format: header.format, samples: 0, flushed: Instant::now() })
    }

    /// Appends whole samples. Blocks of thousands of samples go fastest.
    ///
    /// # Errors
    /// If `bytes` ends within a sample or the file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), IqError> {
        let unit = self.format.bytes_per_sample();
        if bytes.len() % unit != 0 {
            return Err(IqError::PartialSample { path: self.part.clone(), bytes: bytes.len(), unit });
        }
        let written = match self.format {
            SampleFormat::Cu8 => write_slab::<u8>(&self.iq, self.samples, bytes),
            SampleFormat::Cs8 => write_slab::<i8>(&self.iq, self.samples, bytes),
            SampleFormat::Cs16 => write_slab::<i16>(&self.iq, self.samples, bytes),
            SampleFormat::Cf32 => write_slab::<f32>(&self.iq, self.samples, bytes),
        };
        written.map_err(failed(&self.part, "writing /iq"))?;
        self.samples += bytes.len() / unit;
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.file.flush().map_err(failed(&self.part, "flushing"))?;
            self.flushed = Instant::now();
        }
        Ok(())
    }

    /// Closes the file, gives it its name, and returns that.
    ///
    /// # Errors
    /// If it cannot be written or renamed.
    pub fn finish(self) -> Result<PathBuf, IqError> {
        let Self { path, part, file, iq, .. } = self;
        file.flush().map_err(failed(&part, "flushing"))?;
        drop(iq);
        file.close().map_err(failed(&part, "closing"))?;
        std::fs::rename(&part, &path).map_err(|source| IqError::Write { path: path.clone(), source })?;
        Ok(path)
    }
}
