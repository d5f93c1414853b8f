//! What detectors have learned, on disk: a file for each sensor.
//!
//! Noise floors, and the base stations whose phones were heard: nothing of it says who called.

use cellwarden_detect::state::DetectorState;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The folder in the daemon's folder of data.
pub const FOLDER: &str = "learned";
/// A daemon writes so often, and when it ends.
const EVERY: Duration = Duration::from_secs(300);

fn path_of(folder: &Path, sensor: &str) -> PathBuf {
    folder.join(format!("{}.json", sensor.replace(['/', '\\'], "_")))
}

/// What a sensor's detector had learned; none where there is no file. The error says what to do.
pub fn read(folder: &Path, sensor: &str) -> Result<Option<DetectorState>, String> {
    read_file(&path_of(folder, sensor))
}

/// The same of a file.
pub fn read_file(path: &Path) -> Result<Option<DetectorState>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("reading {}: {error}", path.display())),
    };
    let state: DetectorState = serde_json::from_str(&text)
        .map_err(|e| format!("{}: no detector state: {e}: delete it to start anew", path.display()))?;
    if state.version != DetectorState::VERSION {
        let (path, version, own) = (path.display(), state.version, DetectorState::VERSION);
        return Err(format!("{path}: version {version}, this cellwarden reads {own}: delete it to start anew"));
    }
    Ok(Some(state))
}

/// Writes what a sensor's detector has learned.
pub fn write(folder: &Path, state: &DetectorState) -> Result<(), String> {
    let failed = |path: &Path, e: std::io::Error| format!("writing {}: {e}", path.display());
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let path = path_of(folder, &state.sensor);
    let part = path.with_extension("json.part");
    let text = serde_json::to_vec_pretty(state).map_err(|e| format!("writing {}: {e}", path.display()))?;
    // Renamed when whole, so that a crash leaves the old one.
    let mut file = File::create(&part).map_err(|e| failed(&part, e))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|e| failed(&part, e))?;
    fs::rename(&part, &path).map_err(|e| failed(&path, e))
}

/// A daemon's memory: written by a thread of its own, because a disk may be slow.
pub struct Memory {
    folder: PathBuf,
    to: SyncSender<Vec<DetectorState>>,
    writer: JoinHandle<()>,
    written: Instant,
}

impl Memory {
    /// Keeps it in `folder`.
    pub fn new(folder: PathBuf) -> std::io::Result<Self> {
        let (to, states) = sync_channel::<Vec<DetectorState>>(1);
        let into = folder.clone();
        let write_all = move || {
            for state in states.into_iter().flatten() {
                if let Err(error) = write(&into, &state) {
                    tracing::error!("What was learned is not kept: {error}.");
                }
            }
        };
        let writer = std::thread::Builder::new().name("memory".to_owned()).spawn(write_all)?;
        Ok(Self { folder, to, writer, written: Instant::now() })
    }

    /// What a sensor had learned. A file that cannot be read is put aside: the daemon learns anew rather than not listen.
    pub fn of(&self, sensor: &str) -> Option<DetectorState> {
        read(&self.folder, sensor).unwrap_or_else(|error| {
            let path = path_of(&self.folder, sensor);
            let aside = path.with_extension("json.bad");
            let outcome = fs::rename(&path, &aside).map_or_else(|e| e.to_string(), |()| aside.display().to_string());
            tracing::warn!("{sensor} learns anew: {error} (put aside: {outcome}).");
            None
        })
    }

    /// Writes now and then. One that is still at it is not waited for.
    pub fn turn(&mut self, states: impl FnOnce() -> Vec<DetectorState>) {
        if self.written.elapsed() >= EVERY {
            self.written = Instant::now();
            let _ = self.to.try_send(states());
        }
    }

    /// Writes for the last time.
    pub fn close(self, states: Vec<DetectorState>) {
        let _ = self.to.send(states);
        drop(self.to);
        // It has said what went wrong.
        let _ = self.writer.join();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may

    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_what_is_no_state_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let state = DetectorState {
            version: DetectorState::VERSION,
            sensor: "a/west".to_owned(),
            floors: Vec::new(),
            base_stations: Vec::new(),
        };
        let memory = Memory::new(folder.path().join("learned")).unwrap();
        assert_eq!(memory.of("a/west"), None);
        memory.close(vec![state.clone()]);
        let memory = Memory::new(folder.path().join("learned")).unwrap();
        assert_eq!(memory.of("a/west"), Some(state));
        let file = folder.path().join("learned/a_west.json");
        fs::write(&file, "{\"version\": 99").unwrap();
        assert_eq!(memory.of("a/west"), None);
        assert!(!file.exists() && file.with_extension("json.bad").exists());
        memory.close(Vec::new());
    }
}
