//! What every source of samples can do.

use cellwarden_types::IqBlock;

/// Whether a source gave samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// The block holds samples.
    Filled,
    /// Nothing came within the source's patience; try again.
    Idle,
    /// There will be no more.
    End,
}

/// Why a source stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The recording could not be read on.
    #[error(transparent)]
    Recording(#[from] cellwarden_iq::IqError),
    /// The reader's thread could not be started, or died.
    #[error("{what}")]
    Thread {
        /// What happened.
        what: String,
        /// Why.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The radio refused something.
    #[error("{device}: {doing}: {reason}")]
    Device {
        /// The device's arguments.
        device: String,
        /// What was being done.
        doing: &'static str,
        /// What the driver said.
        reason: String,
    },
}

/// Gives blocks of samples, one after another.
pub trait Source: Send {
    /// A block whose fields that never change are set; its `bytes` are empty.
    fn template(&self) -> IqBlock;

    /// Fills `block` with at most `samples` samples. `block.bytes` is empty and keeps its capacity:
    /// a source allocates nothing if `samples` fit into it. The block tells of no gap and no loss: a
    /// source that knows of one sets it. All else is as the block was left the last time.
    ///
    /// # Errors
    /// When there can be no more samples because something failed.
    fn next(&mut self, block: &mut IqBlock, samples: usize) -> Result<SourceStatus, SourceError>;
}
