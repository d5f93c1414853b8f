//! Sources of sample blocks, live and replayed, behind one trait.
//!
//! In: a recording, a radio, or a generator. Out: [`IqBlock`](cellwarden_types::IqBlock)s in the source's own
//! format, through a bounded lock-free channel, from a thread that allocates nothing once it runs. Samples that
//! are lost on the way are counted and marked on the block that follows.
//!
//! ```
//! use cellwarden_capture::{ReaderConfig, ReaderMode, SyntheticSource, spawn_reader};
//! let source = SyntheticSource::new("test".into(), 1_000_000.0, 7).with_length(100_000);
//! let config = ReaderConfig { block_samples: 4096, pool_blocks: 4, mode: ReaderMode::Replay };
//! let mut reader = spawn_reader(Box::new(source), config).unwrap();
//! let mut samples = 0;
//! while let Some(block) = reader.recv().unwrap() {
//!     samples += block.samples();
//!     reader.recycle(block);
//! }
//! assert_eq!(samples, 100_000);
//! ```

mod clock;
pub mod config;
mod file;
mod hop;
mod outlet;
pub mod probe;
pub mod process;
mod reader;
pub mod receiver;
mod rtl_tcp;
#[cfg(feature = "soapy")]
mod soapy;
mod source;
mod stream;
mod synthetic;

pub use file::{FileSource, Pace};
pub use outlet::ReaderCounters;
pub use reader::{ReaderConfig, ReaderHandle, ReaderMode, Waiting, spawn_reader};
pub use source::{Source, SourceError, SourceStatus};
pub use synthetic::{SplitMix64, SyntheticSource};
