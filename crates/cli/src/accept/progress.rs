//! What was done of an acceptance, kept place by place: whoever ends it, or loses power, goes on where they were.

use crate::failure::Failure;
use cellwarden_evidence::SheetPlace;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

const NAME: &str = "progress.unfinished";

/// Places that are done, by sensor, and sensors whose sheet is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Places, in the order in which they were done.
    pub places: BTreeMap<String, Vec<SheetPlace>>,
    /// Sensors that are done.
    pub written: BTreeSet<String>,
    #[serde(skip)]
    path: PathBuf,
}

impl Progress {
    /// In `folder`: what is there with `resume`, else nothing.
    pub fn open(folder: &Path, resume: bool) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let failed = |e: std::io::Error| Failure::Run(format!("reading {}: {e}", path.display()));
        std::fs::create_dir_all(folder).map_err(|e| Failure::Run(format!("making {}: {e}", folder.display())))?;
        let there = path.try_exists().map_err(failed)?;
        if !resume {
            return Ok(Self { path, ..Self::default() });
        }
        if !there {
            return Err(Failure::Usage(format!(
                "there is no acceptance to go on with in {}: leave --resume out",
                folder.display()
            )));
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let wrong = |e| Failure::Run(format!("{}: {e}: begin anew, without --resume", path.display()));
        let read: Self = serde_json::from_str(&text).map_err(wrong)?;
        Ok(Self { path, ..read })
    }

    /// What was heard at a place of a sensor, if it was done.
    pub fn done(&self, sensor: &str, place: &str) -> bool {
        self.places.get(sensor).is_some_and(|places| places.iter().any(|p| p.place == place))
    }

    /// Keeps it, in one step.
    pub fn save(&self) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::Run(format!("writing {}: {e}", self.path.display()));
        let part = self.path.with_extension("new");
        let text = serde_json::to_string_pretty(self).map_err(Failure::run)?;
        let mut file = std::fs::File::create(&part).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&part, &self.path).map_err(failed)
    }

    /// All is done.
    pub fn delete(self) -> Result<(), Failure> {
        std::fs::remove_file(&self.path).map_err(|e| Failure::Run(format!("deleting {}: {e}", self.path.display())))
    }
}
