//! Scenes with known truth: waveforms, channels, receivers.
//!
//! In goes a scene file: phones and other transmitters at their places, sensors at theirs, one seed.
//! Out comes one SigMF recording per sensor, whose annotations say what was sent, when, by whom, and how
//! strongly it arrived. Nothing is ever transmitted: the simulator writes files.
//!
//! ```
//! let dir = tempfile::tempdir().unwrap();
//! let scene = dir.path().join("scene.toml");
//! std::fs::write(&scene, r#"
//! seed = 1
//! rate = "1M"
//! center = "898M"
//! duration_s = 0.01
//! sensor = [{ name = "a", position = [0, 0] }]
//! phone = [{ name = "p", position = [5, 5], activity = "gsm-access", arfcn = 40 }]
//! "#).unwrap();
//! let recordings = cellwarden_sim::simulate(&scene, dir.path(), &mut |_| {}).unwrap();
//! assert!(recordings[0].ends_with("a.sigmf-meta"));
//! ```
//!
//! What a scene file may say stands in `docs/scenes.md`.
//!
//! Limits: sensors share clock and centre, and what they hear has no propagation delay between them; LTE phones
//! without a base station do not share a scheduler, so their blocks may collide.

pub mod activity;
mod cell;
pub mod channel;
pub mod frontend;
pub mod render;
pub mod scene;
pub mod wave;

pub use render::simulate;
pub use scene::Scene;

use std::io;
use std::path::PathBuf;

/// Why a scene could not be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A scene or site file cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A scene or site file is not in its format; the source says where.
    #[error("reading {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        source: Box<toml::de::Error>,
    },
    /// A scene asks for what cannot be simulated.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Scene {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The folder for the recordings cannot be made.
    #[error("creating {}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A recording cannot be written.
    #[error(transparent)]
    Iq(#[from] cellwarden_iq::IqError),
}
