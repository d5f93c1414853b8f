//! Seeded signals in native samples.

use cellwarden_types::{Hertz, IqBlock, SampleFormat, SampleIndex};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// cs16 noise of -57 dBFS, `samples` long.
pub fn noise(samples: usize, seed: u64) -> Vec<i16> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..2 * samples).map(|_| ((0..8).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 40.0) as i16).collect()
}

/// Adds a burst of a band-limited carrier: a tone with a little frequency wobble, 200 kHz wide.
#[allow(dead_code)] // not every test sends something
pub fn add_burst(iq: &mut [i16], rate_hz: f64, start: usize, count: usize, offset_hz: f64, amplitude: f64) {
    let mut phase = 0.0f64;
    for n in 0..count {
        let wobble = 60e3 * (std::f64::consts::TAU * 67_708.0 * n as f64 / rate_hz).sin();
        phase += std::f64::consts::TAU * (offset_hz + wobble) / rate_hz;
        iq[2 * (start + n)] += (amplitude * phase.cos()) as i16;
        iq[2 * (start + n) + 1] += (amplitude * phase.sin()) as i16;
    }
}

/// Little-endian bytes of cs16 samples.
pub fn bytes(iq: &[i16]) -> Vec<u8> {
    iq.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A block in the GSM-900 uplink.
pub fn block(bytes: Vec<u8>, start: u64, rate_hz: f64) -> IqBlock {
    IqBlock {
        start: SampleIndex(start),
        time: "2026-03-01T06:00:00Z".parse().ok(),
        bytes,
        ..IqBlock::empty("test".into(), SampleFormat::Cs16, Hertz(rate_hz), Hertz(902.4e6))
    }
}
