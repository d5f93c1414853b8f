//! Waves of the simulator in Gaussian noise, and what the detector makes of them.

use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_sim::channel::normal;
use cellwarden_sim::wave::Wave;
use cellwarden_types::{Burst, Hertz, IqBlock, SampleFormat, undb};
use num_complex::{Complex, Complex32};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Noise power over the whole rate, over full scale: -50 dBFS.
const NOISE: f64 = 1e-5;

/// What a sensor receives.
pub struct Air {
    pub rate_hz: f64,
    pub center_hz: f64,
    iq: Vec<Complex32>,
    /// Draws what is random about a test, after the noise.
    pub rng: ChaCha8Rng,
}

#[allow(dead_code)] // not every test needs all of it
impl Air {
    /// `seconds` of noise.
    pub fn noise(rate_hz: f64, center_hz: f64, seconds: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let part = (NOISE / 2.0).sqrt();
        let mut value = || (part * normal(&mut rng)) as f32;
        let iq = (0..(seconds * rate_hz) as usize).map(|_| Complex32::new(value(), value())).collect();
        Self { rate_hz, center_hz, iq, rng }
    }

    /// Noise power in a band, over full scale.
    pub fn noise_power(&self, width_hz: f64) -> f64 {
        NOISE / self.rate_hz * width_hz
    }

    /// Adds a wave on the carrier `carrier_hz`, `snr_db` over the noise in `width_hz`. Gives its power over full scale.
    pub fn add(
        &mut self,
        wave: &Wave,
        (start_s, duration_s): (f64, f64),
        carrier_hz: f64,
        (snr_db, width_hz): (f64, f64),
    ) -> f64 {
        let power = undb(snr_db) * self.noise_power(width_hz);
        let step_s = 1.0 / self.rate_hz;
        let margin_s = wave.margin_s();
        let from = ((start_s - margin_s) * self.rate_hz).ceil().max(0.0) as usize;
        let to = (((start_s + duration_s + margin_s) * self.rate_hz).ceil() as usize).min(self.iq.len());
        let mut samples = vec![Complex32::ZERO; to - from];
        wave.render(from as f64 * step_s - start_s, step_s, duration_s, &mut samples);
        let turns: f64 = self.rng.random();
        let hz = carrier_hz - self.center_hz;
        for (n, (sum, x)) in (from..).zip(self.iq[from..to].iter_mut().zip(samples)) {
            let turn = Complex::from_polar(
                power.sqrt(),
                std::f64::consts::TAU * (turns + hz * n as f64 * step_s).rem_euclid(1.0),
            );
            *sum += x * Complex32::new(turn.re as f32, turn.im as f32);
        }
        power
    }

    /// Adds a pulse as long as a stroke of ignition: Gaussian values that decay. `peak_db` is its first value's mean power
    /// over the noise in the whole band; the same `shape` gives the same pulse.
    pub fn add_spark(&mut self, at_s: f64, shape: u64, peak_db: f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(shape);
        let samples = (rng.random_range(0.3e-6..2e-6) * self.rate_hz).ceil().max(3.0);
        let amplitude = (NOISE / 2.0 * undb(peak_db)).sqrt();
        for (n, z) in self.iq[(at_s * self.rate_hz) as usize..].iter_mut().take(samples as usize).enumerate() {
            let mut value = || (amplitude * (-4.0 * n as f64 / samples).exp() * normal(&mut rng)) as f32;
            *z += Complex32::new(value(), value());
        }
    }

    /// Exchanges I and Q.
    pub fn swap_iq(&mut self) {
        for z in &mut self.iq {
            *z = Complex32::new(z.im, z.re);
        }
    }

    /// All of it, as a receiver gives it.
    pub fn block(&self) -> IqBlock {
        let mut block = IqBlock::empty("test".into(), SampleFormat::Cf32, Hertz(self.rate_hz), Hertz(self.center_hz));
        block.bytes = self.iq.iter().flat_map(|z| [z.re.to_le_bytes(), z.im.to_le_bytes()].concat()).collect();
        block
    }

    /// The detector after all of it, and the bursts that it found.
    pub fn detect(&self) -> (Detector, Vec<Burst>) {
        self.detect_with(DetectConfig::default())
    }

    /// The same of a detector that is told how to work.
    pub fn detect_with(&self, config: DetectConfig) -> (Detector, Vec<Burst>) {
        let mut detector = Detector::new("test".into(), config);
        let mut out = Vec::new();
        detector.process(&self.block(), &mut out);
        detector.finish(&mut out);
        (detector, out)
    }
}

/// Chernoff's bound on the chance of no more than `hits` in `trials`, each with a probability of `rate`.
pub fn tail_bound(hits: usize, trials: usize, rate: f64) -> f64 {
    let share = hits as f64 / trials as f64;
    if share >= rate {
        return 1.0;
    }
    let part = |q: f64, p: f64| if q > 0.0 { q * (q / p).ln() } else { 0.0 };
    (-(trials as f64) * (part(share, rate) + part(1.0 - share, 1.0 - rate))).exp()
}
