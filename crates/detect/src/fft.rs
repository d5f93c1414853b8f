//! Plans of transforms, one of each length for all streams: their twiddles would be a third of a stream's memory.
//!
//! The lock is taken when a stream begins, never while samples flow.

use rustfft::{Fft, FftDirection, FftPlanner};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

static PLANNER: LazyLock<Mutex<FftPlanner<f32>>> = LazyLock::new(|| Mutex::new(FftPlanner::new()));

/// The forward transform of `n` points.
pub fn forward(n: usize) -> Arc<dyn Fft<f32>> {
    plan(n, FftDirection::Forward)
}

/// The inverse transform of `n` points, not scaled.
pub fn inverse(n: usize) -> Arc<dyn Fft<f32>> {
    plan(n, FftDirection::Inverse)
}

fn plan(n: usize, direction: FftDirection) -> Arc<dyn Fft<f32>> {
    // A planner holds plans, each of them whole: whoever panicked while it had the lock broke none.
    PLANNER.lock().unwrap_or_else(PoisonError::into_inner).plan_fft(n, direction)
}
