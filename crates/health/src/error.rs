//! What can go wrong here, and what to do about it.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why health cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else listens there.
    #[error("{address} is in use, perhaps by another cellwarden: stop that one, or give the endpoint another address")]
    AddressInUse {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("the endpoint cannot listen on {address}: give it an address of this machine and a free port")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The endpoint's thread could not be made.
    #[error("the endpoint's thread cannot start: look at the limits of threads and open files")]
    Thread {
        /// The system's word.
        source: std::io::Error,
    },
    /// A file cannot be read or written.
    #[error("{path}: the file of the commissioning cannot be {what}")]
    File {
        /// Which file.
        path: PathBuf,
        /// "read" or "written".
        what: &'static str,
        /// The system's word.
        source: std::io::Error,
    },
    /// A file is no JSON of a commissioning.
    #[error("{path}: this is no file of a commissioning: make it anew")]
    Json {
        /// Which file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// A value of a commissioning cannot be.
    #[error("{path}: sensor {sensor:?}: {what}: commission this sensor anew")]
    Value {
        /// Which file.
        path: PathBuf,
        /// Whose value.
        sensor: String,
        /// What is wrong.
        what: String,
    },
    /// More than is believed.
    #[error("{path}: {what} of a commissioning are more than {most}: make the file anew")]
    Limit {
        /// Which file.
        path: PathBuf,
        /// What there is too much of.
        what: &'static str,
        /// The most that is taken.
        most: usize,
    },
}
