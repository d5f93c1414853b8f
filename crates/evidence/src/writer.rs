//! Writes evidence files, keeps their chain, and deletes them when it is time.

use crate::chain::{self, CHAIN_FILE, Chain, EXTENSION, Entry, PART};
use crate::content::{Hash, Item};
use crate::error::{EvidenceError, io_at, sync_folder};
use crate::input::{EvidenceInput, Limits};
use crate::keep;
use crate::keys::Keys;
use crate::remake::{self, Remade};
use crate::seal::{MANIFEST, SEAL, Seal, Tombstone, manifest};
use crate::store;
use cellwarden_locate::Site;
use cellwarden_types::{HitState, UtcNanos};
use rustix::fs::FlockOperation;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its number.
    pub sequence: u64,
    /// It stands for this file and all before it: noted elsewhere (a log on another machine), it proves later that
    /// nothing was cut off.
    pub head: Hash,
    /// Whether the hit follows from the bursts that the file holds. If it does not, more of the bursts around it are
    /// needed.
    pub remade: Remade,
}

/// What [`EvidenceWriter::prune`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What is gone.
    pub deleted: Vec<Tombstone>,
    /// Bytes of evidence files that are left.
    pub bytes_left: u64,
    /// Files that are over their time, or too many, but marked to be kept.
    pub kept: Vec<String>,
}

/// Why a file was deleted.
const BY_AGE: &str = "older than evidence is kept";
const BY_SIZE: &str = "room for newer evidence";

/// The one writer of an evidence folder.
#[derive(Debug)]
pub struct EvidenceWriter {
    dir: PathBuf,
    keys: Keys,
    limits: Limits,
    /// Open for appending, and locked.
    file: File,
    chain_bytes: u64,
    sequence: u64,
    head: Hash,
    /// Files that are not deleted, oldest first.
    present: Vec<Seal>,
    repairs: Vec<String>,
}

impl EvidenceWriter {
    /// Opens the folder, makes it if it is not there, and puts in order what a crash left.
    ///
    /// # Errors
    /// If another process has it open, its chain is not whole, or it was written with another key. Nothing is changed
    /// then: look with `cellwarden verify --chain`, and begin a new folder to go on.
    pub fn open(dir: &Path, keys: Keys, limits: Limits) -> Result<Self, EvidenceError> {
        fs::create_dir_all(dir).map_err(io_at("making the folder", dir))?;
        let path = dir.join(CHAIN_FILE);
        let new = !path.exists();
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(io_at("opening", &path))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(EvidenceError::InUse { path: dir.to_owned() });
        }
        if new {
            sync_folder(dir)?;
        }
        let lines = chain::read(&path)?;
        let wrong = |line, what: &str| EvidenceError::Chain {
            path: path.clone(),
            line,
            what: format!("{what}: look with `cellwarden verify --chain`, and begin a new folder to go on"),
        };
        if let Some(&line) = lines.bad.first() {
            return Err(wrong(line, "no entry of a chain"));
        }
        let mut chain = Chain::new();
        for (line, entry) in lines.entries {
            // Not each signature: a year's chain would hold up the start. Verifying does.
            chain.push(entry, false).map_err(|what| wrong(line, &what))?;
        }
        if chain.seals.last().is_some_and(|s| s.key != keys.public() || !s.is_signed()) {
            return Err(wrong(chain.seals.len(), "the last file is signed with another key than this box's"));
        }
        let mut writer = Self {
            dir: dir.to_owned(),
            keys,
            limits,
            file,
            chain_bytes: lines.whole_bytes,
            sequence: chain.seals.last().map_or(0, |s| s.sequence),
            head: chain.head(),
            present: Vec::new(),
            repairs: Vec::new(),
        };
        if lines.cut_bytes > 0 {
            writer.cut_chain()?;
            writer.repairs.push(format!("a line of {} bytes that was not whole was cut off", lines.cut_bytes));
        }
        writer.repair(chain)?;
        Ok(writer)
    }

    /// What a crash had left and opening put in order, for the log.
    pub fn repairs(&self) -> &[String] {
        &self.repairs
    }

    /// Head of the newest file.
    pub fn head(&self) -> Hash {
        self.head
    }

    fn repair(&mut self, chain: Chain) -> Result<(), EvidenceError> {
        for (seal, stone) in chain.seals.into_iter().zip(chain.deleted) {
            let (path, part) = self.paths(&seal.file);
            match stone {
                None => {
                    // A line is written when its file is safe under its .part name.
                    if !path.exists() && part.exists() {
                        fs::rename(&part, &path).map_err(io_at("naming", &path))?;
                        self.repairs.push(format!("{} was written and gets its name", seal.file));
                    }
                    self.present.push(seal);
                }
                Some(_) if path.exists() => {
                    self.remove(&seal)?;
                    self.repairs.push(format!("{} was to be deleted and is", seal.file));
                }
                Some(_) => {}
            }
        }
        for entry in fs::read_dir(&self.dir).map_err(io_at("listing", &self.dir))? {
            let path = entry.map_err(io_at("listing", &self.dir))?.path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if name.ends_with(&format!("{EXTENSION}{PART}")) {
                fs::remove_file(&path).map_err(io_at("deleting", &path))?;
                self.repairs.push(format!("{name} was not whole and is deleted"));
            }
        }
        sync_folder(&self.dir)
    }

    fn paths(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.dir.join(name), self.dir.join(format!("{name}{PART}")))
    }

    fn cut_chain(&mut self) -> Result<(), EvidenceError> {
        let path = self.dir.join(CHAIN_FILE);
        self.file.set_len(self.chain_bytes).and_then(|()| self.file.sync_all()).map_err(io_at("cutting", &path))
    }

    /// Appends to the chain, whole or not at all.
    fn append(&mut self, entry: &Entry) -> Result<(), EvidenceError> {
        let path = self.dir.join(CHAIN_FILE);
        let line = entry.to_line();
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_all());
        if let Err(source) = written {
            self.cut_chain()?;
            return Err(EvidenceError::Io { doing: "writing", path, source });
        }
        self.chain_bytes += line.len() as u64;
        Ok(())
    }

    /// Writes the evidence of a closed hit, `now` by the box's clock.
    ///
    /// # Errors
    /// If the input makes no sense or the file cannot be written; the chain is then as before.
    pub fn write(&mut self, input: &EvidenceInput, now: UtcNanos) -> Result<EvidenceFile, EvidenceError> {
        let wrong = |what: String| EvidenceError::Input { hit: input.hit.id.clone(), what };
        if input.hit.state != HitState::Closed {
            return Err(wrong(format!("it is {:?}: only closed hits are kept", input.hit.state)));
        }
        let (mut items, mut about) = input.items(&self.limits)?;
        let remade = if about.bursts_kept < about.bursts_given {
            Remade::NotTried { why: format!("only {} of {} bursts are kept", about.bursts_kept, about.bursts_given) }
        } else {
            let site = input.site_text.as_deref().map(|text| Site::parse(text, "the site file")).transpose();
            let site = site.map_err(|e| wrong(format!("the site file is not good: {e}")))?;
            remake::compare(&input.hit, input.bursts.clone(), &input.sensors, site.as_ref())
        };
        about.not_remade = remade.why_not();
        items.push(about.item(input)?);
        items.sort_by(|a, b| a.name.cmp(&b.name));
        let sequence = self.sequence + 1;
        let name = chain::file_name(sequence, &input.hit.id);
        let manifest = manifest(&items);
        let seal = Seal::new(&self.keys, sequence, &name, now, self.head, Hash::of(manifest.as_bytes()));
        items.push(Item::text(MANIFEST, &manifest));
        items.push(Item::text(SEAL, &seal.to_line()));
        let (path, part) = self.paths(&name);
        if let Err(error) = store::write(&part, &items) {
            // The disk may be full: what is not whole only takes room.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        sync_folder(&self.dir)?;
        self.append(&Entry::File(seal.clone()))?;
        self.sequence = sequence;
        self.head = seal.head();
        self.present.push(seal);
        fs::rename(&part, &path).map_err(io_at("naming", &path))?;
        sync_folder(&self.dir)?;
        Ok(EvidenceFile { path, sequence, head: self.head, remade })
    }

    /// Marks a file to be kept whatever its age, with a reason, for as long as a case is open.
    ///
    /// # Errors
    /// If there is no such file, or the mark cannot be written.
    pub fn keep(&self, sequence: u64, reason: &str) -> Result<(), EvidenceError> {
        keep::set(&self.dir, self.name(sequence)?, Some(reason))
    }

    /// Takes such a mark away.
    ///
    /// # Errors
    /// If there is no such file, or the mark cannot be deleted.
    pub fn release(&self, sequence: u64) -> Result<(), EvidenceError> {
        keep::set(&self.dir, self.name(sequence)?, None)
    }

    fn name(&self, sequence: u64) -> Result<&str, EvidenceError> {
        let seal = self.present.iter().find(|s| s.sequence == sequence);
        seal.map(|s| s.file.as_str()).ok_or_else(|| EvidenceError::Input {
            hit: format!("number {sequence}"),
            what: "there is no such file, or it was deleted".to_owned(),
        })
    }

    fn remove(&self, seal: &Seal) -> Result<(), EvidenceError> {
        let (path, _) = self.paths(&seal.file);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_at("deleting", &path)(e)),
            _ => Ok(()),
        }
    }

    /// Deletes what is over its time, and the oldest where there is too much. Each leaves a signed tombstone in the
    /// chain, before it goes. A clock that was set back deletes nothing early; one set ahead does.
    ///
    /// # Errors
    /// If a file or the chain cannot be changed; what was done until then holds.
    pub fn prune(&mut self, now: UtcNanos) -> Result<Pruned, EvidenceError> {
        let keep_s = self.limits.keep().as_secs_f64();
        let size = |seal: &Seal| fs::metadata(self.dir.join(&seal.file)).map_or(None, |m| Some(m.len()));
        let sizes: Vec<Option<u64>> = self.present.iter().map(size).collect();
        let mut pruned = Pruned { bytes_left: sizes.iter().flatten().sum(), ..Pruned::default() };
        let mut left = Vec::with_capacity(self.present.len());
        let mut failed = None;
        for (seal, bytes) in std::mem::take(&mut self.present).into_iter().zip(sizes) {
            // A file that somebody else removed gets no tombstone: that would make it lawful.
            let reason = match bytes {
                _ if failed.is_some() => None,
                None => None,
                Some(_) if now.seconds_since(seal.written) > keep_s => Some(BY_AGE),
                Some(_) if pruned.bytes_left > self.limits.folder_bytes => Some(BY_SIZE),
                Some(_) => None,
            };
            let Some(reason) = reason else {
                left.push(seal);
                continue;
            };
            if keep::mark_of(&self.dir, &seal.file).exists() {
                pruned.kept.push(seal.file.clone());
                left.push(seal);
                continue;
            }
            let stone = Tombstone::new(&self.keys, &seal, now, reason);
            if let Err(error) = self.append(&Entry::Deleted(stone.clone())) {
                failed = Some(error);
                left.push(seal);
                continue;
            }
            // From here it counts as deleted; a file that will not go is deleted at the next start.
            pruned.bytes_left = pruned.bytes_left.saturating_sub(bytes.unwrap_or(0));
            pruned.deleted.push(stone);
            failed = self.remove(&seal).err();
        }
        self.present = left;
        if !pruned.deleted.is_empty() {
            sync_folder(&self.dir)?;
        }
        failed.map_or(Ok(pruned), Err)
    }
}
