//! From blocks of samples to classified bursts.
//!
//! In: [`IqBlock`](cellwarden_types::IqBlock)s of one sensor, in order, in the device's own format.
//! Out: [`Burst`](cellwarden_types::Burst)s. The way: [`spectrum`] → [`floor`] → [`segment`] →
//! [`classify`] → [`pipeline`]; beside [`segment`], [`gate`], [`grid`] and [`pulse`] find what is
//! faint. It measures energy, timing, modulation and broadcast structure; nothing is demodulated to
//! content, and nothing identifies a phone's owner.
//!
//! ```
//! use cellwarden_detect::{DetectConfig, Detector};
//! use cellwarden_types::{Hertz, IqBlock, SampleFormat};
//! let mut detector = Detector::new("east".into(), DetectConfig::default());
//! let mut block = IqBlock::empty("east".into(), SampleFormat::Cs16, Hertz(2.4e6), Hertz(902.4e6));
//! block.bytes = vec![0; 4 * 24_000];
//! let mut bursts = Vec::new();
//! detector.process(&block, &mut bursts);
//! detector.finish(&mut bursts);
//! assert!(bursts.is_empty(), "silence holds no phone");
//! ```

pub mod ambient;
pub mod candidate;
pub mod carrier;
pub mod channelize;
pub mod classify;
pub mod confidence;
pub mod config;
pub mod convert;
pub mod decimate;
pub mod fft;
pub mod floor;
pub mod gate;
pub mod grid;
pub mod history;
pub mod pipeline;
pub mod pulse;
pub mod segment;
pub mod spectrum;
pub mod state;
pub mod steps;
pub mod swap;

pub use config::{Depth, DetectConfig};
pub use pipeline::{Detector, Tiles};
