//! Samples that a permission allows: encrypted as they come, for somebody else to read, and deleted when it is time.
//!
//! A recording is two files, `NAME.sigmf-data.age` and `NAME.sigmf-meta.age`. Decrypted (`age -d -i KEY`), they are a
//! SigMF recording. Nothing is written before it is encrypted, and the box cannot decrypt what it wrote.

use crate::error::{EvidenceError, io_at, sync_folder};
use crate::permission::{PermissionError, Permit, VaultEvent};
use age::stream::StreamWriter;
use cellwarden_iq::{Capture, SigmfHeader, sigmf_meta_json};
use cellwarden_types::UtcNanos;
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha512};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

const LOCK_FILE: &str = "vault.lock";
const DATA: &str = ".sigmf-data.age";
const META: &str = ".sigmf-meta.age";
const PART: &str = ".part";

/// Why samples were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// They are not permitted.
    #[error(transparent)]
    NotPermitted(#[from] PermissionError),
    /// They cannot be written.
    #[error(transparent)]
    Failed(#[from] EvidenceError),
}

/// A folder of encrypted samples.
#[derive(Debug)]
pub struct SampleVault {
    dir: PathBuf,
    keep: Duration,
    // Locked as long as the vault is open.
    _lock: File,
}

impl SampleVault {
    /// Opens a folder whose files are deleted after `keep`. What a crash left unfinished is deleted at once.
    ///
    /// # Errors
    /// If another process has it open, or it cannot be made.
    pub fn open(dir: &Path, keep: Duration, now: UtcNanos) -> Result<(Self, Vec<VaultEvent>), EvidenceError> {
        fs::create_dir_all(dir).map_err(io_at("making the folder", dir))?;
        let path = dir.join(LOCK_FILE);
        let lock = OpenOptions::new().append(true).create(true).open(&path).map_err(io_at("opening", &path))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(EvidenceError::InUse { path: dir.to_owned() });
        }
        let vault = Self { dir: dir.to_owned(), keep, _lock: lock };
        let mut events = vault.delete(now, "not finished when the box stopped", |name, _| name.ends_with(PART))?;
        events.extend(vault.expire(now)?);
        Ok((vault, events))
    }

    /// Begins a recording under `permit`. The file is `NAME.sigmf-data.age`, where NAME tells time and sensor.
    ///
    /// # Errors
    /// If the permit does not hold now or for this range of frequencies, or the file cannot be made.
    pub fn begin<'a>(
        &self,
        permit: &'a Permit<'a>,
        now: UtcNanos,
        header: SigmfHeader,
    ) -> Result<SampleFile<'a>, VaultError> {
        permit.check_for(now, header.center, header.rate)?;
        let sensor = header.sensor.clone().unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let sensor_name: String = sensor.chars().take(60).map(plain).collect();
        let time: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let stem = self.dir.join(format!("{time}-{sensor_name}"));
        let data = encrypted(permit, &with(&stem, DATA))?;
        let recording =
            SampleFile { permit, stem, data, hash: Sha512::new(), header, captures: Vec::new(), samples: 0 };
        Ok(recording)
    }

    /// Writes one stretch of samples as a whole.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), and if `bytes` does not hold whole samples.
    pub fn write(
        &self,
        permit: &Permit<'_>,
        now: UtcNanos,
        header: SigmfHeader,
        bytes: &[u8],
    ) -> Result<(PathBuf, VaultEvent), VaultError> {
        let mut file = self.begin(permit, now, header)?;
        match file.write(now, bytes) {
            Ok(()) => file.finish(now),
            Err(error) => {
                file.discard();
                Err(error)
            }
        }
    }

    /// Deletes what is over its time.
    ///
    /// # Errors
    /// If a file cannot be deleted.
    pub fn expire(&self, now: UtcNanos) -> Result<Vec<VaultEvent>, EvidenceError> {
        let keep_s = self.keep.as_secs_f64();
        self.delete(now, "its time is over", |name, path| {
            let finished = name.ends_with(DATA) || name.ends_with(META);
            // A name that tells no time is not ours; its file's own time must do.
            let written = || {
                let since = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
                i64::try_from(since.as_nanos()).ok().map(UtcNanos)
            };
            let time = time_of(name).or_else(written);
            finished && time.is_none_or(|t| now.seconds_since(t) >= keep_s)
        })
    }

    fn delete(
        &self,
        now: UtcNanos,
        why: &str,
        is_due: impl Fn(&str, &Path) -> bool,
    ) -> Result<Vec<VaultEvent>, EvidenceError> {
        let mut events = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(io_at("listing", &self.dir))? {
            let path = entry.map_err(io_at("listing", &self.dir))?.path();
            let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if is_due(&file, &path) {
                fs::remove_file(&path).map_err(io_at("deleting", &path))?;
                events.push(VaultEvent::Deleted { time: now, file, why: why.to_owned() });
            }
        }
        if !events.is_empty() {
            sync_folder(&self.dir)?;
        }
        Ok(events)
    }
}

/// The time that a name begins with: `20260301T060000.000000000Z-…`.
fn time_of(name: &str) -> Option<UtcNanos> {
    let stamp = name.split_once("Z-")?.0;
    let (date, time) = stamp.split_once('T')?;
    let cut = |text: &str, at: usize| text.get(..at).zip(text.get(at..)).map(|(a, b)| (a.to_owned(), b.to_owned()));
    let (year, rest) = cut(date, 4)?;
    let (month, day) = cut(&rest, 2)?;
    let (hour, rest) = cut(time, 2)?;
    let (minute, second) = cut(&rest, 2)?;
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

fn with(stem: &Path, suffix: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A file whose every byte is encrypted.
type Encrypted = StreamWriter<BufWriter<File>>;

fn encrypted(permit: &Permit<'_>, path: &Path) -> Result<Encrypted, EvidenceError> {
    let part = with(path, PART);
    let wrong = |what: String| EvidenceError::Samples { path: path.to_owned(), what };
    let encryptor = age::Encryptor::with_recipients(permit.recipients());
    let encryptor = encryptor.map_err(|e| wrong(format!("they cannot be encrypted: {e}")))?;
    if path.exists() {
        return Err(wrong("there is a file of this time and sensor already".to_owned()));
    }
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(io_at("making", &part))?;
    encryptor.wrap_output(BufWriter::with_capacity(1 << 17, file)).map_err(io_at("writing", &part))
}

fn close(encrypted: Encrypted, path: &Path) -> Result<(), EvidenceError> {
    let part = with(path, PART);
    let file = encrypted.finish().and_then(|buffer| buffer.into_inner().map_err(|e| e.into_error()));
    file.and_then(|f| f.sync_all()).map_err(io_at("writing", &part))?;
    fs::rename(&part, path).map_err(io_at("naming", path))
}

/// A recording in the making. Dropped without [`finish`](Self::finish), it is a `.part` file that the next opening of
/// the vault deletes.
pub struct SampleFile<'a> {
    permit: &'a Permit<'a>,
    stem: PathBuf,
    data: Encrypted,
    hash: Sha512,
    header: SigmfHeader,
    captures: Vec<Capture>,
    samples: u64,
}

impl std::fmt::Debug for SampleFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SampleFile").field("stem", &self.stem).field("samples", &self.samples).finish_non_exhaustive()
    }
}

impl SampleFile<'_> {
    /// Appends whole samples.
    ///
    /// # Errors
    /// If the permission has ended, `bytes` ends within a sample, or the file cannot be written. What was written before
    /// can still be finished.
    pub fn write(&mut self, now: UtcNanos, bytes: &[u8]) -> Result<(), VaultError> {
        self.permit.check(now)?;
        let data = with(&self.stem, DATA);
        let unit = self.header.format.bytes_per_sample();
        if bytes.len() % unit != 0 {
            let what = format!("{} bytes are not whole samples of {unit}", bytes.len());
            return Err(EvidenceError::Samples { path: data, what }.into());
        }
        self.data.write_all(bytes).map_err(io_at("writing", &data))?;
        self.hash.update(bytes);
        self.samples += (bytes.len() / unit) as u64;
        Ok(())
    }

    /// From its first sample on the radio is set like this: after a gap or a change of frequency.
    ///
    /// # Errors
    /// If the permit does not hold for that range.
    pub fn capture(&mut self, now: UtcNanos, capture: Capture) -> Result<(), VaultError> {
        self.permit.check_for(now, capture.center, self.header.rate)?;
        self.captures.retain(|c| c.sample_start != capture.sample_start);
        self.captures.push(capture);
        Ok(())
    }

    /// Ends the recording, also after the permission's end: nothing is added but what describes it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(self, now: UtcNanos) -> Result<(PathBuf, VaultEvent), VaultError> {
        let Self { permit, stem, data, hash, header, mut captures, samples } = self;
        let (data_path, meta_path) = (with(&stem, DATA), with(&stem, META));
        if !captures.iter().any(|c| c.sample_start == 0) {
            let (center, time) = (header.center, header.time);
            captures.push(Capture { sample_start: 0, center, time, global_index: None });
        }
        let mut sha512 = String::with_capacity(128);
        for byte in hash.finalize() {
            write!(sha512, "{byte:02x}").expect("invariant: a String takes any text");
        }
        let meta = sigmf_meta_json(&header, &captures, &[], Some(sha512));
        let mut out = encrypted(permit, &meta_path)?;
        out.write_all(format!("{meta:#}\n").as_bytes()).map_err(io_at("writing", &meta_path))?;
        close(out, &meta_path)?;
        close(data, &data_path)?;
        sync_folder(stem.parent().unwrap_or(Path::new(".")))?;
        let file = data_path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let event = VaultEvent::Written {
            time: now,
            file,
            sensor: header.sensor.unwrap_or_default(),
            samples,
            reason: permit.permission().reason.clone(),
        };
        Ok((data_path, event))
    }

    /// Deletes what was written.
    pub fn discard(self) {
        let part = with(&with(&self.stem, DATA), PART);
        drop(self.data);
        let _ = fs::remove_file(part);
    }
}
