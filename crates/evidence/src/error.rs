//! What can go wrong here. A file that does not fit is no error but a verdict: see [`crate::verify`].

use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The operating system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// HDF5 refused.
    #[error("{}: {doing}", path.display())]
    Hdf5 {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        doing: String,
        /// Why not.
        #[source]
        source: hdf5::Error,
    },
    /// The file holds what no evidence file holds.
    #[error("{}: {what}: this is no evidence file as cellwarden writes it", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        what: String,
    },
    /// A key cannot be used.
    #[error("key {}: {what}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// A text is no public key.
    #[error("{text:?} is no public key: want one like `cellwarden-ed25519 BASE64 NAME`")]
    PublicKey {
        /// The beginning of the text.
        text: String,
    },
    /// The chain of a folder cannot be continued.
    #[error("{} line {line}: {what}", path.display())]
    Chain {
        /// The chain file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what to do.
        what: String,
    },
    /// What was given for a file makes no sense, or is too large.
    #[error("evidence of hit {hit}: {what}")]
    Input {
        /// Which hit.
        hit: String,
        /// What is wrong.
        what: String,
    },
    /// Another process writes in this folder.
    #[error("{} is in use by another process: one box, one folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The process that reads files of strangers did not come to an end.
    #[error("{}: {what}", path.display())]
    Reader {
        /// The file that it read.
        path: PathBuf,
        /// What happened.
        what: String,
    },
    /// Samples cannot be kept as asked.
    #[error("samples for {}: {what}", path.display())]
    Samples {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Says what was done to which file when the operating system refuses.
pub(crate) fn io_at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> EvidenceError + 'a {
    move |source| EvidenceError::Io { doing, path: path.to_owned(), source }
}

/// Makes a rename or a deletion in this folder last over a loss of power.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), EvidenceError> {
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(io_at("writing the folder", folder))
}
