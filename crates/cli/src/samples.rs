//! Samples under a permission: where they are kept, what is logged of them, and that they go when it is time.

use crate::config::Config;
use crate::failure::Failure;
use cellwarden_evidence::{EvidenceError, SampleVault, VaultEvent};
use cellwarden_types::UtcNanos;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The vault's folder, and the log of what happened with samples, in the folder of data.
const FOLDER: &str = "samples";
const LOG: &str = "samples.jsonl";
const DAY_S: f64 = 86_400.0;

/// Where samples are kept, and how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// The folder of data.
    data: PathBuf,
    /// From their recording to their deletion.
    keep: Duration,
}

impl Samples {
    /// Of a configuration with a folder of data.
    pub fn new(config: &Config, data: &Path) -> Self {
        Self { data: data.to_owned(), keep: Duration::from_secs_f64(config.samples_keep_days * DAY_S) }
    }

    /// Opens the vault. Nobody else has it open then.
    pub fn open(&self) -> Result<SampleVault, Failure> {
        let (vault, events) =
            SampleVault::open(&self.data.join(FOLDER), self.keep, UtcNanos::now()).map_err(Failure::run)?;
        self.log(&events)?;
        Ok(vault)
    }

    /// Logs what happened with samples, on disk and in the daemon's log. Nothing is to happen that cannot be logged.
    pub fn log(&self, events: &[VaultEvent]) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        let path = self.data.join(LOG);
        let failed = |e: std::io::Error| Failure::Run(format!("writing {}: {e}", path.display()));
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        for event in events {
            let line = serde_json::to_string(event).map_err(Failure::run)?;
            tracing::warn!("Samples: {line}");
            writeln!(file, "{line}").map_err(failed)?;
        }
        file.sync_all().map_err(failed)
    }

    /// Deletes samples whose time is over. While somebody records, that is left to whoever opens the vault next.
    pub fn expire(&self) {
        let folder = self.data.join(FOLDER);
        if !folder.exists() {
            return;
        }
        let logged = match SampleVault::open(&folder, self.keep, UtcNanos::now()) {
            Ok((_, events)) => self.log(&events),
            Err(EvidenceError::InUse { .. }) => Ok(()),
            Err(error) => Err(Failure::run(error)),
        };
        if let Err(failure) = logged {
            tracing::error!("Deleting old samples: {failure}.");
        }
    }
}
