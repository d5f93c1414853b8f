//! The sheet of a sensor's acceptance: what it heard of an authorised phone from where, signed with the box's key.
//!
//! A JSON file. The signature is over its `sheet` part as compact JSON, behind a line that says what it is. No identity of the
//! phone is in it: what was heard is an authorised phone's.

use crate::error::{EvidenceError, io_at, sync_folder};
use crate::keys::{Keys, PublicKey, SignatureText};
use crate::verify::{Check, Outcome, key_check};
use cellwarden_types::{Activity, Hertz, Standard, UtcNanos};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// How a sheet's file ends.
pub const SHEET_EXTENSION: &str = "json";
/// Version of the format.
const SCHEMA: u32 = 1;
/// A sheet of a hundred places is below 100 kB.
const SHEET_BYTES_MOST: u64 = 4 << 20;
const SIGNED: &str = "cellwarden-commissioning-sheet 1\n";

/// A hit that the authorised phone made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetHit {
    /// As in the store.
    pub id: String,
    /// Which standard.
    pub standard: Standard,
    /// What the phone did.
    pub activity: Activity,
    /// Mean level at this sensor, in dBFS.
    pub level_dbfs: f64,
    /// The block that it was placed in.
    pub block: String,
    /// Probability that it is a phone.
    pub confidence: f64,
}

/// What a sensor heard while the phone was at one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetPlace {
    /// Where the phone was.
    pub place: String,
    /// From when it was listened for, by the box's clock.
    pub from: UtcNanos,
    /// Until when.
    pub to: UtcNanos,
    /// Whether a hit came of it at this sensor.
    pub heard: bool,
    /// Those hits.
    pub hits: Vec<SheetHit>,
    /// Bursts at this sensor by standard, whoever's.
    pub bursts: BTreeMap<String, u64>,
    /// The loudest hit's mean level at this sensor, in dBFS.
    pub level_dbfs: Option<f64>,
    /// From that level to full scale, in dB.
    pub clipping_margin_db: Option<f64>,
    /// Share of the samples at full scale.
    pub clip_share: Option<f64>,
    /// Share of the samples that were lost.
    pub lost_share: Option<f64>,
    /// Noise density at its end, in dBFS/Hz.
    pub floor_dbfs_per_hz: Option<f64>,
}

/// A sensor at its acceptance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// Version of this format: 1.
    pub schema: u32,
    /// The sensor.
    pub sensor: String,
    /// Its device in the configuration.
    pub device: String,
    /// The site's name.
    pub site: Option<String>,
    /// Who did it, in their own words.
    pub by: Option<String>,
    /// When it was written, by the box's clock.
    pub written: UtcNanos,
    /// The daemon's name and version.
    pub software: String,
    /// SHA-256 of what the daemon listens with: detection and site file.
    pub config_sha256: String,
    /// SHA-256 of the configuration file, and of each part in `conf.d`.
    pub files_sha256: BTreeMap<String, String>,
    /// What the radio is tuned to.
    pub center_hz: Hertz,
    /// Complex samples per second.
    pub rate_hz: Hertz,
    /// Overall gain, where the driver tells.
    pub gain_db: Option<f64>,
    /// Noise density, in dBFS/Hz.
    pub floor_dbfs_per_hz: Option<f64>,
    /// Place by place.
    pub places: Vec<SheetPlace>,
}

impl Sheet {
    /// The version of the format.
    pub const SCHEMA: u32 = SCHEMA;

    /// Whether the sensor heard the phone from every place.
    pub fn accepted(&self) -> bool {
        !self.places.is_empty() && self.places.iter().all(|p| p.heard)
    }

    fn signed_text(&self) -> String {
        SIGNED.to_owned() + &serde_json::to_string(self).expect("invariant: numbers and texts are JSON")
    }
}

/// A sheet and the box's signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedSheet {
    /// The sheet.
    pub sheet: Sheet,
    /// Whose signature it is.
    pub key: PublicKey,
    /// Over the sheet.
    pub signature: SignatureText,
}

impl SignedSheet {
    /// Signs a sheet.
    pub fn new(sheet: Sheet, keys: &Keys) -> Self {
        let signature = keys.sign(sheet.signed_text().as_bytes());
        Self { sheet, key: keys.public(), signature }
    }

    /// Whether the signature is that of the key that it names.
    pub fn is_signed(&self) -> bool {
        self.key.fits(self.sheet.signed_text().as_bytes(), &self.signature)
    }

    fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("invariant: numbers and texts are JSON") + "\n"
    }

    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvidenceError> {
        let part = path.with_extension("part");
        let written = File::create(&part).and_then(|mut file| {
            file.write_all(self.text().as_bytes())?;
            file.sync_all()
        });
        written.and_then(|()| std::fs::rename(&part, path)).map_err(io_at("writing", path))?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))
    }
}

/// What is to be said of a sheet's file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SheetVerified {
    /// The file.
    pub path: PathBuf,
    /// The sheet, where there is one.
    pub sheet: Option<Sheet>,
    /// What was checked.
    pub checks: Vec<Check>,
}

impl SheetVerified {
    /// Whether nothing speaks against it.
    pub fn fits(&self) -> bool {
        self.sheet.is_some() && self.checks.iter().all(|c| c.outcome != Outcome::DoesNotFit)
    }
}

/// Checks the sheet at `path`; with `key`, it must be that key's.
///
/// # Errors
/// If the file cannot be read.
pub fn verify_sheet(path: &Path, key: Option<&PublicKey>) -> Result<SheetVerified, EvidenceError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io_at("opening", path))?;
    file.take(SHEET_BYTES_MOST).read_to_end(&mut bytes).map_err(io_at("reading", path))?;
    let mut verified = SheetVerified { path: path.to_owned(), sheet: None, checks: Vec::new() };
    let signed = match serde_json::from_slice::<SignedSheet>(&bytes) {
        Ok(signed) => signed,
        Err(error) => {
            let said = format!("it is no sheet as cellwarden writes it: {error}");
            verified.checks.push(Check::new("sheet", Outcome::DoesNotFit, said));
            return Ok(verified);
        }
    };
    let mut say = |part: &str, fits: bool, good: String, bad: &str| {
        let outcome = if fits { Outcome::Fits } else { Outcome::DoesNotFit };
        verified.checks.push(Check::new(part, outcome, if fits { good } else { bad.to_owned() }));
    };
    // What no reader of the sheet sees must not hide in its file.
    let whole = signed.text().as_bytes() == bytes && signed.sheet.schema == SCHEMA;
    say(
        "sheet",
        whole,
        "it is written as cellwarden writes it".to_owned(),
        "it is not written as cellwarden writes it",
    );
    let name = signed.key.name();
    say(
        "signature",
        signed.is_signed(),
        format!("the sheet is signed by {name}"),
        "the signature is not that of the key that the sheet names: it was changed",
    );
    verified.checks.push(key_check(&signed.key, key));
    verified.sheet = Some(signed.sheet);
    Ok(verified)
}
