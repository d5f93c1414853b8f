//! Evidence without identities.
//!
//! In comes a closed hit with what it came from; out comes one HDF5 file that proves three things on any machine, with
//! no more than the box's public key: nothing in it was changed since the box wrote it, no file of the box is missing
//! beside it, and its burst records give its hit. What it does not prove is that the box was right, or its clock.
//!
//! Raw samples of a registration can hold a subscriber's identity in clear, so there are none in it: only power densities,
//! which cannot be decoded, and records. Samples go to a [`SampleVault`], under a [`Permit`], and encrypted.
//!
//! # The file
//!
//! | name | type | what |
//! |---|---|---|
//! | `/about` | JSON line | layout (1), software, SHA-256 of the configuration, bursts given and kept, how tiles were thinned, why its bursts did not give its hit (if so) |
//! | `/hit` | JSON line | the hit, as `--format jsonl` prints records |
//! | `/bursts` | JSON lines | the bursts of all sensors around it, likewise |
//! | `/sensors` | JSON lines | `name`, `start_time`, `noise_dbfs_per_hz` of each sensor, as the joiner needs them |
//! | `/site` | text | the site file; missing where there was none |
//! | `/states` | JSON line | by sensor, the detector's state at the time |
//! | `/tiles/N/power` | f32 `[rows][bins]` | power density, linear over full scale and hertz |
//! | `/tiles/N/row_time` | i64 `[rows]` | the row's middle, nanoseconds since 1970, UTC |
//! | `/tiles/N/row_count` | u32 `[rows]` | how many rows the row is the mean of |
//! | `/tiles/N/floor` | f32 `[bins]` | the noise floor |
//! | `/tiles/N/sensor` | text | whose tiles they are |
//! | `/tiles/N` attributes | f64, u64 | `center_hz`, `rate_hz`, `bin_hz`, `row_s`, `rows_given` |
//! | `/manifest` | text | a line for each of the above: kind, name, type, shape, SHA-256 |
//! | `/seal` | JSON line | number, file name, time, head of the file before, SHA-256 of the manifest, key, signature |
//!
//! A text is a row of u8, in UTF-8: `bytes(f["hit"][:]).decode()` in h5py. Texts are not HDF5 strings, because libhdf5
//! (1.10) crashes on some of those in a broken file, and because a byte that no reader shows could hide in one.
//!
//! Tiles take at most [`Limits::tile_bytes`] (32 MiB). Where they would take more, they are whole for the first
//! [`Limits::whole_s`] (3 s, or half of the room), then means of as many rows as it takes. Bursts are at most
//! [`Limits::bursts`] (80,000) and 48 MiB; with fewer than there were, the hit cannot be made again, and `verify` says so.
//!
//! # What is hashed and signed
//!
//! The content: of each data set and attribute its name, type, shape, and elements in row-major order, little endian.
//! Not the bytes of the HDF5 file: `h5repack` and copying leave the seal whole. Anything that HDF5 shows and the manifest
//! does not list is refused: links, comments, other types, a user block.
//!
//! The **head** is the SHA-256 of the seal's text, which holds the number, the file's name, the time, the head of the file
//! before, and the manifest's SHA-256. The signature (Ed25519) is over that text. `chain.jsonl` has the seal of every
//! file, and a signed tombstone of each that retention deleted, so the chain stays whole without them.
//!
//! Limit: whoever can write the folder can cut off its newest files together with their lines. Only a head that was
//! noted elsewhere shows that: send it out as each file is written.
//!
//! # Files of strangers
//!
//! libhdf5 can crash on a hostile file. [`verify`] therefore reads in a [process of its own](ReadIn::Child), with bounded
//! memory and time, and checks here what that process sends.
//!
//! ```
//! use cellwarden_evidence::{EvidenceInput, EvidenceWriter, Keys, Limits, ReadIn, verify};
//! use cellwarden_locate::{SensorInfo, join};
//! use cellwarden_types::{Record, UtcNanos};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let bursts: Vec<_> = include_str!("../../../testdata/golden/gsm.jsonl")
//!     .lines()
//!     .filter_map(|line| match serde_json::from_str(line) {
//!         Ok(Record::Burst(burst)) => Some(burst),
//!         _ => None,
//!     })
//!     .collect();
//! let start = "2026-03-01T06:00:00Z".parse::<UtcNanos>()?;
//! let sensors = vec![SensorInfo { name: "corridor".into(), start_time: Some(start), noise_dbfs_per_hz: -116.0 }];
//! let hit = join(bursts.clone(), &sensors, None).remove(0);
//!
//! let keys = Keys::load_or_create(&folder.path().join("keys"))?;
//! let public = keys.public();
//! let mut writer = EvidenceWriter::open(&folder.path().join("evidence"), keys, Limits::default())?;
//! let input = EvidenceInput {
//!     hit,
//!     bursts,
//!     sensors,
//!     site_text: None,
//!     config_sha256: String::new(),
//!     software: "cellwarden".into(),
//!     tiles: vec![],
//!     states: Default::default(),
//! };
//! let file = writer.write(&input, start.plus_seconds(60.0))?;
//!
//! // A file of a stranger belongs into ReadIn::Child.
//! let verified = verify(&file.path, Some(&public), &ReadIn::ThisProcess)?;
//! assert!(verified.fits(), "{:?}", verified.checks);
//! assert_eq!(verified.head, Some(file.head));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod chain;
mod content;
mod error;
mod input;
mod isolate;
mod keep;
mod keys;
mod permission;
mod remake;
mod seal;
mod sheet;
mod store;
mod vault;
mod verify;
mod writer;

pub use chain::{CHAIN_FILE, EXTENSION, KEEP};
pub use content::Hash;
pub use error::EvidenceError;
pub use input::{About, EvidenceInput, Limits, SensorTiles};
pub use isolate::{ReadIn, serve};
pub use keep::keep_hit;
pub use keys::{KEY_FILE, Keys, PUBLIC_FILE, PublicKey, SignatureText};
pub use permission::{BandRange, DAYS_MOST, Grant, Permission, PermissionError, Permit, VaultEvent};
pub use remake::Remade;
pub use seal::{Seal, Tombstone};
pub use sheet::{SHEET_EXTENSION, Sheet, SheetHit, SheetPlace, SheetVerified, SignedSheet, verify_sheet};
pub use vault::{SampleFile, SampleVault, VaultError};
pub use verify::{ChainVerified, Check, Outcome, Verified, verify, verify_chain};
pub use writer::{EvidenceFile, EvidenceWriter, Pruned};
