//! What can be wrong with a recording, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a recording cannot be read or written: where, what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IqError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing has that name.
    #[error("{} does not exist{fix}", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// What to do, with its own separator; may be empty.
        fix: String,
    },
    /// A folder was named.
    #[error("{} is a directory: name a recording inside it", path.display())]
    Directory {
        /// Which folder.
        path: PathBuf,
    },
    /// There is not one whole sample.
    #[error("{} holds no samples ({bytes} bytes)", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
    },
    /// A SigMF archive was named.
    #[error("{} is a SigMF archive: extract it (tar -xf) and name the .sigmf-meta file inside", path.display())]
    Archive {
        /// Which file.
        path: PathBuf,
    },
    /// Neither the file, its name nor the options say something that is needed.
    #[error("{}: {what} is not known: {fix}", path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// What is not known.
        what: &'static str,
        /// How to say it.
        fix: &'static str,
    },
    /// A value that makes no sense.
    #[error("{}: {what} is {value}: {fix}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        fix: &'static str,
    },
    /// Metadata or a header that says something wrong.
    #[error("{}: {place}: {wrong}: {fix}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What is wrong.
        wrong: String,
        /// What to do.
        fix: &'static str,
    },
    /// Standard input is a keyboard.
    #[error("standard input is a terminal: pipe samples into it, or name a file instead of -")]
    Terminal,
    /// Reading failed on the way.
    #[error("cannot read {} at byte {offset}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The HDF5 library failed.
    #[error("{}: {doing} failed", path.display())]
    Hdf5 {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: hdf5::Error,
    },
    /// A writer was given part of a sample.
    #[error("{}: {bytes} bytes are no whole samples of {unit} bytes: write whole samples", path.display())]
    PartialSample {
        /// Which file.
        path: PathBuf,
        /// How many bytes were given.
        bytes: usize,
        /// Bytes of one sample.
        unit: usize,
    },
}
