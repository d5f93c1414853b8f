//! From blocks of samples to classified bursts.

pub mod candidate;
pub mod classify;
