//! What an operator should be told.

use std::fmt;
use std::path::PathBuf;

/// Something that happened to the store, and that somebody should know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A new database was begun.
    Created {
        /// Where.
        path: PathBuf,
    },
    /// The database was damaged. It was set aside, and a new one is begun.
    SetAside {
        /// Where it was.
        from: PathBuf,
        /// Where it is now; it is never deleted.
        to: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The database was deleted or renamed while we wrote it; a new one is begun.
    Vanished {
        /// Where it was.
        path: PathBuf,
    },
    /// Hits that were open when the last daemon ended: see [`Store::close_orphans`](crate::Store::close_orphans).
    Orphans {
        /// How many.
        count: u64,
    },
    /// The wall clock jumped by more than the age limit. Records do not grow old by that.
    ClockJump {
        /// By how much; negative where it went back.
        seconds: f64,
    },
    /// The store cannot be written. Hits are held in memory.
    Trouble {
        /// Why.
        why: String,
    },
    /// The disk has room again.
    Recovered {
        /// What was lost meanwhile, in words.
        lost: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { path } => write!(f, "a new store was begun at {}", path.display()),
            Self::SetAside { from, to, why } => write!(
                f,
                "the store {} was damaged ({why}): it was set aside as {}, and a new one is begun",
                from.display(),
                to.display()
            ),
            Self::Vanished { path } => {
                write!(
                    f,
                    "the store {} was deleted or renamed while it was written: a new one is begun",
                    path.display()
                )
            }
            Self::Orphans { count } => {
                write!(f, "{count} hits were open when cellwarden ended the last time: nobody heard how they went on")
            }
            Self::ClockJump { seconds } => write!(
                f,
                "the clock jumped by {:.1} days, which is more than records may be old: they do not grow old by that",
                seconds / 86_400.0
            ),
            Self::Trouble { why } => write!(f, "the store cannot be written, hits are held in memory: {why}"),
            Self::Recovered { lost } => write!(f, "the store is whole again: {lost}"),
        }
    }
}
