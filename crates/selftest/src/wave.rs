//! The bursts that are added: one of each kind, rendered once for a sample rate.

use cellwarden_sim::wave::{Wave, gsm, lte};
use cellwarden_standards::{gsm as gsm_tables, lte as lte_tables};
use cellwarden_types::{Kind, Standard};
use num_complex::Complex32;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The bits of the bursts are always the same.
const SEED: u64 = 0x7e57;
/// A training sequence, a root and a group of reference signals that detection finds as well as any other.
const TSC: usize = 5;
const ROOT: usize = 129;
const GROUP: usize = 4;
/// Resource blocks of the PUSCH.
const PUSCH_BLOCKS: u16 = 3;

/// What is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKind {
    /// A normal burst of GSM.
    GsmNormal,
    /// A random-access preamble of LTE, format 0.
    Prach,
    /// A subframe of LTE's shared channel on three resource blocks.
    Pusch,
}

impl TestKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::GsmNormal, Self::Prach, Self::Pusch];

    /// Mean power over the noise in [`width_hz`](Self::width_hz), in dB: the levels at which the scored sweeps find at least
    /// 0.99 of the bursts (README, Measured).
    pub const fn snr_db(self) -> f64 {
        match self {
            Self::GsmNormal => 12.0,
            Self::Prach => 8.0,
            Self::Pusch => 10.0,
        }
    }

    /// The band it occupies, in hertz.
    pub const fn width_hz(self) -> f64 {
        match self {
            Self::GsmNormal => gsm_tables::CHANNEL_HZ,
            Self::Prach => 6.0 * lte_tables::RB_HZ,
            Self::Pusch => PUSCH_BLOCKS as f64 * lte_tables::RB_HZ,
        }
    }

    /// Its name in records.
    pub const fn standard(self) -> Standard {
        match self {
            Self::GsmNormal => Standard::Gsm,
            Self::Prach | Self::Pusch => Standard::Lte,
        }
    }

    /// Likewise.
    pub const fn kind(self) -> Kind {
        match self {
            Self::GsmNormal => Kind::Normal,
            Self::Prach => Kind::Prach,
            Self::Pusch => Kind::Pusch,
        }
    }

    fn wave(self) -> (Wave, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        match self {
            Self::GsmNormal => {
                let burst = gsm::GmskBurst::new(&gsm::normal_burst(TSC, &mut rng));
                let seconds = burst.seconds();
                (Wave::Gmsk(burst), seconds)
            }
            Self::Prach => of_lte(lte::prach(&lte_tables::PRACH_FORMATS[0], (ROOT, 0), (0, 6))),
            Self::Pusch => {
                let blocks = (0, PUSCH_BLOCKS, PUSCH_BLOCKS);
                of_lte(lte::pusch(blocks, lte::Modulation::Qpsk, (GROUP, 0), &mut rng))
            }
        }
    }
}

fn of_lte(burst: lte::OfdmBurst) -> (Wave, f64) {
    let seconds = burst.seconds();
    (Wave::Ofdm(burst), seconds)
}

/// A burst at a sample rate: mean power 1 while it lasts, around 0 Hz.
#[derive(Clone, Debug)]
pub(crate) struct TestWave {
    pub kind: TestKind,
    /// With its ramps.
    pub samples: Vec<Complex32>,
    /// Samples before the burst begins: the ramp.
    pub lead: u64,
    /// Samples of the burst, ramps left out.
    pub count: u64,
}

impl TestWave {
    /// Renders it: some milliseconds of work for each megahertz and kind.
    pub fn new(kind: TestKind, rate_hz: f64) -> Self {
        let (wave, seconds) = kind.wave();
        let lead = (wave.margin_s() * rate_hz).ceil();
        let count = (seconds * rate_hz).ceil();
        let mut samples = vec![Complex32::ZERO; (2.0 * lead + count) as usize];
        wave.render(-lead / rate_hz, 1.0 / rate_hz, seconds, &mut samples);
        Self { kind, samples, lead: lead as u64, count: count as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_have_unit_power_at_every_rate() {
        for kind in TestKind::ALL {
            for rate in [1.92e6, 2.4e6, 10e6] {
                let wave = TestWave::new(kind, rate);
                let whole: f64 = wave.samples.iter().map(|z| f64::from(z.norm_sqr())).sum();
                let db = 10.0 * (whole / wave.count as f64).log10();
                assert!(db.abs() < 0.2, "{kind:?} at {rate}: {db} dB");
            }
        }
    }
}
