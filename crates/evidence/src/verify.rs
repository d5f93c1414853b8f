//! Checks evidence files and their chain. What does not fit is a verdict, never an error.

use crate::chain::{self, CHAIN_FILE, Chain, EXTENSION, Entry, PART};
use crate::content::{Hash, Item, Type};
use crate::error::{EvidenceError, io_at};
use crate::input::{About, SensorLine};
use crate::isolate::{self, ReadIn};
use crate::keys::PublicKey;
use crate::remake::{Remade, compare_guarded};
use crate::seal::{MANIFEST, SEAL, Seal};
use cellwarden_locate::SensorInfo;
use cellwarden_types::{Burst, Hit, Record};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is as it was when the box signed it.
    Fits,
    /// It is not.
    DoesNotFit,
    /// It was not checked, or is worth knowing and nothing worse.
    NotChecked,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked: `content`, `/bursts`, `signature`, …
    pub part: String,
    /// What came of it.
    pub outcome: Outcome,
    /// In words.
    pub said: String,
}

impl Check {
    pub(crate) fn new(part: impl Into<String>, outcome: Outcome, said: impl Into<String>) -> Self {
        Self { part: part.into(), outcome, said: said.into() }
    }
}

/// The verdict on a file.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The file.
    pub path: PathBuf,
    /// Every check.
    pub checks: Vec<Check>,
    /// Its place in the chain, as it says; believe it if everything fits.
    pub seal: Option<Seal>,
    /// SHA-256 that stands for it and all files before it, likewise.
    pub head: Option<Hash>,
    /// The hit that it holds, likewise.
    pub hit: Option<Hit>,
    /// What it says of itself, likewise.
    pub about: Option<About>,
    /// Whether its bursts give its hit.
    pub remade: Option<Remade>,
}

impl Verified {
    fn new(path: &Path) -> Self {
        let path = path.to_owned();
        Self { path, checks: Vec::new(), seal: None, head: None, hit: None, about: None, remade: None }
    }

    fn say(&mut self, part: &str, outcome: Outcome, said: impl Into<String>) {
        self.checks.push(Check::new(part, outcome, said));
    }

    /// Whether nothing speaks against the file.
    pub fn fits(&self) -> bool {
        self.checks.iter().all(|c| c.outcome != Outcome::DoesNotFit)
    }
}

/// Checks a file: the hash of every part, the signature, and that its bursts give its hit.
///
/// With `key`, it must be that key's signature; without, the file only proves that it was not changed since somebody
/// signed it.
///
/// # Errors
/// If the file cannot be opened at all.
pub fn verify(path: &Path, key: Option<&PublicKey>, how: &ReadIn) -> Result<Verified, EvidenceError> {
    let info = std::fs::metadata(path).map_err(io_at("opening", path))?;
    let mut verified = Verified::new(path);
    // A device or a pipe could be read without an end.
    if !info.is_file() {
        verified.say("file", Outcome::DoesNotFit, "it is no file");
        return Ok(verified);
    }
    std::fs::File::open(path).map_err(io_at("opening", path))?;
    match isolate::read(path, how) {
        Ok(items) => judge(&mut verified, items, key),
        Err(error) => verified.say("file", Outcome::DoesNotFit, words(&error)),
    }
    Ok(verified)
}

/// Why a file could not be read.
fn words(error: &EvidenceError) -> String {
    let said = match error {
        EvidenceError::Reader { what, .. } => what.clone(),
        EvidenceError::Foreign { what, .. } => format!("it holds {what}: no file as cellwarden writes it"),
        other => other.to_string(),
    };
    match std::error::Error::source(error) {
        Some(source) => format!("{said}: {source}"),
        None => said,
    }
}

/// Judges content, wherever it came from.
fn judge(verified: &mut Verified, items: Vec<Item>, key: Option<&PublicKey>) {
    let (special, items): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|i| i.name == MANIFEST || i.name == SEAL);
    let text = |name: &str| {
        let item = special.iter().find(|i| i.name == name)?;
        (item.element == Some(Type::U8) && item.shape.len() == 1).then(|| item.as_text()).flatten()
    };
    let Some(manifest) = text(MANIFEST) else {
        verified.say(MANIFEST, Outcome::DoesNotFit, "the list of parts is missing or no text");
        return;
    };
    check_content(verified, &items, manifest);
    let Some(seal) = text(SEAL).and_then(Seal::parse) else {
        verified.say(SEAL, Outcome::DoesNotFit, "the signed seal is missing or not as cellwarden writes it");
        return;
    };
    check_seal(verified, &seal, manifest, key);
    verified.head = Some(seal.head());
    verified.seal = Some(seal);
    remake(verified, &items);
}

fn check_content(verified: &mut Verified, items: &[Item], manifest: &str) {
    let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
    for line in manifest.lines() {
        listed.insert(line.split(' ').nth(1).unwrap_or(line), line);
    }
    let mut wrong = Vec::new();
    for item in items {
        match listed.remove(item.name.as_str()) {
            Some(line) if line == item.manifest_line() => {}
            Some(_) => wrong.push((item.name.clone(), "it is not what was there when the file was made")),
            None => wrong.push((item.name.clone(), "it was added: the list of parts does not have it")),
        }
    }
    wrong.extend(listed.keys().map(|name| (name.chars().take(100).collect(), "it is missing")));
    if wrong.is_empty() {
        let n = items.len();
        verified.say("content", Outcome::Fits, format!("all {n} parts have the SHA-256 that the list of parts has"));
    }
    // A file of another maker may have thousands.
    for (name, what) in wrong.into_iter().take(100) {
        verified.say(&name, Outcome::DoesNotFit, what);
    }
}

fn check_seal(verified: &mut Verified, seal: &Seal, manifest: &str, key: Option<&PublicKey>) {
    if seal.manifest == Hash::of(manifest.as_bytes()) {
        verified.say(MANIFEST, Outcome::Fits, "the list of parts is the one that was signed");
    } else {
        verified.say(MANIFEST, Outcome::DoesNotFit, "the list of parts is not the one that was signed");
    }
    if seal.is_signed() {
        let said = format!("the seal is signed by {} as file number {}", seal.key.name(), seal.sequence);
        verified.say("signature", Outcome::Fits, said);
    } else {
        verified.say("signature", Outcome::DoesNotFit, "the signature is not that of the key that the seal names");
    }
    verified.checks.push(key_check(&seal.key, key));
    let name = verified.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if name != seal.file && name != format!("{}{PART}", seal.file) {
        let said = format!("the box called it {:?}; a file may be renamed", seal.file);
        verified.say("name", Outcome::NotChecked, said);
    }
}

/// Whether `signer` is the key that was given.
pub(crate) fn key_check(signer: &PublicKey, given: Option<&PublicKey>) -> Check {
    match given {
        None => {
            let said =
                "no key was given to hold it against: whoever changes a file can sign it with a key of their own";
            Check::new("key", Outcome::NotChecked, said)
        }
        Some(key) if key == signer => Check::new("key", Outcome::Fits, format!("it is {}, as given", key.name())),
        Some(key) => {
            let said = format!("it is signed by {}, and not by {}, which was given", signer.name(), key.name());
            Check::new("key", Outcome::DoesNotFit, said)
        }
    }
}

/// What the joiner needs, from the parts.
struct Records {
    hit: Hit,
    about: About,
    bursts: Vec<Burst>,
    sensors: Vec<SensorInfo>,
    site: Option<String>,
}

fn records(items: &[Item]) -> Result<Records, String> {
    let text = |name: &str| {
        let item = items.iter().find(|i| i.name == name).ok_or_else(|| format!("{name} is missing"))?;
        item.as_text().ok_or_else(|| format!("{name} is no text"))
    };
    fn lines<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<Vec<T>, String> {
        let parse = |(i, line)| serde_json::from_str(line).map_err(|e| format!("{name} line {}: {e}", i + 1));
        text.lines().enumerate().map(parse).collect()
    }
    let one = |name: &str, text: &str| format!("{name} does not hold what it must: {} lines", text.lines().count());
    let (hit, about) = (text("/hit")?, text("/about")?);
    let about: About = lines("/about", about)?.pop().ok_or_else(|| one("/about", about))?;
    if about.layout != 1 {
        return Err(format!("layout {} is newer than this cellwarden: use that which wrote it", about.layout));
    }
    let burst = |record| match record {
        Record::Burst(burst) => Ok(burst),
        _ => Err("/bursts holds a record that is no burst".to_owned()),
    };
    let Some(Record::Hit(hit)) = lines("/hit", hit)?.pop() else { return Err(one("/hit", hit)) };
    Ok(Records {
        hit,
        bursts: lines("/bursts", text("/bursts")?)?.into_iter().map(burst).collect::<Result<_, _>>()?,
        sensors: lines::<SensorLine>("/sensors", text("/sensors")?)?.into_iter().map(SensorInfo::from).collect(),
        site: items.iter().any(|i| i.name == "/site").then(|| text("/site").map(str::to_owned)).transpose()?,
        about,
    })
}

fn remake(verified: &mut Verified, items: &[Item]) {
    let records = match records(items) {
        Ok(records) => records,
        Err(what) => {
            verified.say("hit", Outcome::DoesNotFit, format!("it cannot be made again: {what}"));
            return;
        }
    };
    verified.hit = Some(records.hit.clone());
    verified.about = Some(records.about.clone());
    // What was changed proves nothing, and a stranger's records may take long.
    if !verified.fits() {
        verified.say("hit", Outcome::NotChecked, "not made again, because the file does not fit");
        return;
    }
    let (kept, given) = (records.about.bursts_kept, records.about.bursts_given);
    if kept < given {
        let why = format!("the file holds the first {kept} of {given} bursts");
        verified.say("hit", Outcome::NotChecked, format!("it cannot be made again: {why}"));
        verified.remade = Some(Remade::NotTried { why });
        return;
    }
    let n = records.bursts.len();
    let remade = compare_guarded(records.hit, records.bursts, records.sensors, records.site);
    let (outcome, said) = match &remade {
        // Nobody has changed it since: that is told apart from a hit that somebody made up.
        not if !not.fits() && records.about.not_remade.is_some() => {
            let why = not.why_not().unwrap_or_default();
            (Outcome::NotChecked, format!("as the box noted when it wrote the file, {why}"))
        }
        Remade::Exactly => (Outcome::Fits, format!("made again from its {n} bursts, it is the same to the last digit")),
        Remade::WithinRounding => {
            (Outcome::Fits, format!("made again from its {n} bursts, it is the same but for last digits of numbers"))
        }
        not => (Outcome::DoesNotFit, not.why_not().unwrap_or_default()),
    };
    verified.say("hit", outcome, said);
    verified.remade = Some(remade);
}

/// The verdict on a folder.
#[derive(Clone, Debug, Serialize)]
pub struct ChainVerified {
    /// The folder.
    pub dir: PathBuf,
    /// Every check of the chain itself.
    pub checks: Vec<Check>,
    /// The files that are there, by number.
    pub files: Vec<Verified>,
    /// Files that were ever written.
    pub written: u64,
    /// Of those, deleted by the rules, with a signed tombstone.
    pub deleted: u64,
    /// Head of the newest. Whoever has noted it elsewhere knows that nothing was cut off.
    pub head: Hash,
}

impl ChainVerified {
    /// Whether nothing speaks against the folder.
    pub fn fits(&self) -> bool {
        self.checks.iter().all(|c| c.outcome != Outcome::DoesNotFit) && self.files.iter().all(Verified::fits)
    }
}

/// Checks a folder: every line of its chain, every file that should be there, and that there is no other.
///
/// `heads` are such as were noted elsewhere: each must be in the chain.
///
/// # Errors
/// If the folder cannot be read at all.
pub fn verify_chain(
    dir: &Path,
    key: Option<&PublicKey>,
    heads: &[Hash],
    how: &ReadIn,
) -> Result<ChainVerified, EvidenceError> {
    let listing = std::fs::read_dir(dir).map_err(io_at("listing", dir))?;
    let mut others = BTreeSet::new();
    for entry in listing {
        let name = entry.map_err(io_at("listing", dir))?.file_name().to_string_lossy().into_owned();
        if name.ends_with(EXTENSION) || name.ends_with(&format!("{EXTENSION}{PART}")) {
            others.insert(name);
        }
    }
    let mut checks = Vec::new();
    let mut bad = |part: &str, said: String| checks.push(Check::new(part, Outcome::DoesNotFit, said));
    let path = dir.join(CHAIN_FILE);
    if !path.exists() {
        bad(CHAIN_FILE, "it is missing: without it nothing tells which files there were".to_owned());
    }
    let lines = chain::read(&path)?;
    let mut chain = Chain::new();
    for line in &lines.bad {
        bad(CHAIN_FILE, format!("line {line} is no entry as cellwarden writes it"));
    }
    let mut signer_said = false;
    for (line, entry) in lines.entries {
        if let (Entry::File(seal), Some(key), false) = (&entry, key, signer_said) {
            if seal.key != *key {
                signer_said = true;
                let (by, given) = (seal.key.name(), key.name());
                bad("key", format!("line {line} is signed by {by}, and not by {given}, which was given"));
            }
        }
        if let Err(what) = chain.push(entry, true) {
            bad(CHAIN_FILE, format!("line {line}: {what}"));
        }
    }
    let known: BTreeSet<Hash> = chain.seals.iter().map(Seal::head).collect();
    for head in heads.iter().filter(|h| !known.contains(h)) {
        bad(CHAIN_FILE, format!("the file of head {head} is not in the chain: it was cut off or never belonged to it"));
    }
    if checks.is_empty() {
        let said = format!("{} files follow one on the other, each signed", chain.seals.len());
        checks.push(Check::new(CHAIN_FILE, Outcome::Fits, said));
    }
    if lines.cut_bytes > 0 {
        let said = "its last line is not whole: the box stopped while it wrote, or the file was cut";
        checks.push(Check::new(CHAIN_FILE, Outcome::NotChecked, said));
    }
    if key.is_none() {
        let said = "no key was given to hold it against: whoever makes a chain can sign it with a key of their own";
        checks.push(Check::new("key", Outcome::NotChecked, said));
    }
    let mut files = Vec::new();
    for (seal, stone) in chain.seals.iter().zip(&chain.deleted) {
        let part = format!("{}{PART}", seal.file);
        // A box that runs may have written or named it since the folder was listed.
        let is_there = |name: &str| chain::is_file_name(&seal.file) && dir.join(name).is_file();
        let unnamed = others.remove(&part) || is_there(&part);
        let named = others.remove(&seal.file) || is_there(&seal.file);
        if let Some(stone) = stone {
            let mut said = format!("deleted on {}: {}", stone.deleted, stone.reason);
            if named || unnamed {
                said += "; the file is still there, and goes at the next start";
            }
            checks.push(Check::new(&seal.file, Outcome::NotChecked, said));
            continue;
        }
        if !chain::is_file_name(&seal.file) || !(named || unnamed) {
            let said = format!("file number {} is missing, and no rule deleted it", seal.sequence);
            checks.push(Check::new(&seal.file, Outcome::DoesNotFit, said));
            continue;
        }
        let mut verified = match verify(&dir.join(if named { &seal.file } else { &part }), key, how) {
            Ok(verified) => verified,
            // The box may have named or deleted it just now.
            Err(error) => {
                checks.push(Check::new(&seal.file, Outcome::DoesNotFit, words(&error)));
                continue;
            }
        };
        match &verified.seal {
            Some(own) if own == seal => {}
            Some(own) => {
                let said = format!("it is file number {} of its chain, and not number {}", own.sequence, seal.sequence);
                verified.say("chain", Outcome::DoesNotFit, said);
            }
            None => verified.say("chain", Outcome::DoesNotFit, "it has no seal to hold against the chain"),
        }
        files.push(verified);
    }
    for name in others {
        let (outcome, said) = if name.ends_with(PART) {
            (Outcome::NotChecked, "it was not whole when the box stopped; it goes at the next start")
        } else {
            (Outcome::DoesNotFit, "the chain does not have it: it was added, or the chain was cut")
        };
        checks.push(Check::new(name, outcome, said));
    }
    let deleted = chain.deleted.iter().flatten().count() as u64;
    let (dir, written, head) = (dir.to_owned(), chain.seals.len() as u64, chain.head());
    Ok(ChainVerified { dir, checks, files, written, deleted, head })
}
