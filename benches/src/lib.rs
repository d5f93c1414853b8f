//! Inputs that the benchmarks share: seeded, quiet or busy, in native samples.

use cellwarden_types::{Hertz, IqBlock, SampleFormat, SampleIndex};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The rate of all benchmarks: 20 Msps.
pub const RATE_HZ: f64 = 20e6;

/// cs16 noise at -60 dBFS, `samples` long; with `busy`, tone bursts of 577 µs on 200 kHz channels
/// fill a fifth of the time on ten of a hundred channels.
pub fn signal(samples: usize, busy: bool, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = Vec::with_capacity(samples * 4);
    let slot = (577e-6 * RATE_HZ) as usize;
    for n in 0..samples {
        let mut value = [0.0f32; 2];
        for v in &mut value {
            *v = (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 0.0012;
        }
        if busy && (n / slot) % 5 == 0 {
            for channel in 0..10 {
                let hz = -8e6 + f64::from(channel) * 1.6e6;
                let turn = (hz / RATE_HZ * n as f64).fract() * std::f64::consts::TAU;
                value[0] += 0.003 * turn.cos() as f32;
                value[1] += 0.003 * turn.sin() as f32;
            }
        }
        for v in value {
            bytes.extend(((v * 32768.0) as i16).to_le_bytes());
        }
    }
    bytes
}

/// A block of cs16 samples at [`RATE_HZ`] in the GSM-900 uplink.
pub fn block(bytes: Vec<u8>, start: u64) -> IqBlock {
    IqBlock {
        start: SampleIndex(start),
        bytes,
        ..IqBlock::empty("bench".into(), SampleFormat::Cs16, Hertz(RATE_HZ), Hertz(897.5e6))
    }
}
