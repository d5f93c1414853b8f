//! Inputs that the benchmarks share: seeded, quiet or busy, in native samples, and waves for the classifiers.

use cellwarden_detect::candidate::{NoiseFloor, Region};
use cellwarden_sim::wave::{Wave, gsm, lte};
use cellwarden_standards::{gsm as gsm_tables, lte as lte_tables};
use cellwarden_types::{Hertz, IqBlock, SampleFormat, SampleIndex, db};
use num_complex::Complex32;
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

/// A wave in noise, and where energy detection would have found it: what a classifier gets.
pub struct Heard {
    /// Samples at [`RATE_HZ`]; the first is sample 0 of the recording.
    pub iq: Vec<Complex32>,
    /// What the radio was tuned to.
    pub center_hz: f64,
    /// The wave's time and band.
    pub region: Region,
    /// The noise.
    pub floor: NoiseFloor,
}

/// SNR of the waves, in their own band.
const SNR_DB: f64 = 15.0;
/// Room before and after the wave.
const MARGIN_S: f64 = 2e-3;

impl Heard {
    /// A wave of `seconds` whose middle lies `offset_hz` from `center_hz`; its band is `low_hz..high_hz` around that.
    fn new(wave: &Wave, seconds: f64, center_hz: f64, offset_hz: f64, (low_hz, high_hz): (f64, f64)) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let samples = ((seconds + 2.0 * MARGIN_S) * RATE_HZ) as usize;
        let mut clean = vec![Complex32::ZERO; samples];
        wave.render(-MARGIN_S, 1.0 / RATE_HZ, seconds, &mut clean);
        let (start, count) = ((MARGIN_S * RATE_HZ) as u64, (seconds * RATE_HZ) as u64);
        let on_air = &clean[start as usize..(start + count) as usize];
        let power = on_air.iter().map(|z| f64::from(z.norm_sqr())).sum::<f64>() / count as f64;
        let density = power / 10f64.powf(SNR_DB / 10.0) / (high_hz - low_hz);
        // Eight uniforms of variance 1/12 in each part, so that the noise's power is `density` times the rate.
        let scale = (density * RATE_HZ / 2.0 * 12.0 / 8.0).sqrt() as f32;
        let mut part = || (0..8).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * scale;
        let iq = clean
            .iter()
            .enumerate()
            .map(|(n, z)| {
                let turn = (offset_hz / RATE_HZ * n as f64).fract() * std::f64::consts::TAU;
                z * Complex32::from_polar(1.0, turn as f32) + Complex32::new(part(), part())
            })
            .collect();
        let middle = center_hz + offset_hz;
        let (low_hz, high_hz) = (middle + low_hz, middle + high_hz);
        let snr_db = db(10f64.powf(SNR_DB / 10.0));
        Self {
            iq,
            center_hz,
            region: Region { start, count, low_hz, high_hz, power, snr_db },
            floor: NoiseFloor { center_hz, rate_hz: RATE_HZ, density: vec![density as f32; 1024] },
        }
    }

    /// A GSM normal burst.
    pub fn gsm_burst() -> Self {
        let burst = gsm::GmskBurst::new(&gsm::normal_burst(3, &mut ChaCha8Rng::seed_from_u64(8)));
        let seconds = burst.seconds();
        let half = gsm_tables::CHANNEL_HZ / 2.0;
        Self::new(&Wave::Gmsk(burst), seconds, 897.6e6, 1.2e6, (-half, half))
    }

    /// An LTE preamble of format 0.
    pub fn preamble() -> Self {
        let burst = lte::prach(&lte_tables::PRACH_FORMATS[0], (129, 60), (22, 50));
        let seconds = burst.seconds();
        Self::new(&Wave::Ofdm(burst), seconds, 847e6, 0.0, (-540e3, 540e3))
    }

    /// An LTE allocation of ten blocks in the middle of a carrier.
    pub fn allocation() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let burst = lte::pusch((20, 10, 50), lte::Modulation::Qpsk, (4, 0), &mut rng);
        let seconds = burst.seconds();
        Self::new(&Wave::Ofdm(burst), seconds, 847e6, 0.0, (-900e3, 900e3))
    }
}
