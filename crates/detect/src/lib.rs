//! From blocks of samples to classified bursts.
//!
//! In: [`IqBlock`](cellwarden_types::IqBlock)s of one sensor, in order, in the device's own format.
//! Out: [`Burst`](cellwarden_types::Burst)s. The way: [`spectrum`] → [`floor`] → [`segment`] →
//! [`classify`] → [`pipeline`]. It measures energy, timing, modulation and broadcast
//! structure; nothing is demodulated to content, and nothing identifies a phone's owner.

pub mod candidate;
pub mod classify;
pub mod confidence;
pub mod config;
pub mod convert;
pub mod floor;
pub mod history;
pub mod segment;
pub mod spectrum;
pub mod state;

pub use config::{Depth, DetectConfig};
