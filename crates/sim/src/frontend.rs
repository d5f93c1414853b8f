//! The receiver: thermal noise, then clipping and quantising.

use crate::scene::Sensor;
use cellwarden_types::{SampleFormat, undb};
use num_complex::Complex32;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Input level that reads 0 dBFS where the site file says nothing.
pub const DEFAULT_FULL_SCALE_DBM: f64 = -25.0;
/// Thermal noise at 290 K, per hertz.
pub(crate) const THERMAL_DBM_PER_HZ: f64 = -174.0;

/// One sensor's receiver.
#[derive(Debug)]
pub struct Frontend {
    noise: ChaCha8Rng,
    amplitude: f32,
    format: SampleFormat,
    noise_dbfs_per_hz: f64,
}

impl Frontend {
    /// The receiver of a sensor; its noise is stream `stream` of the scene's seed.
    pub fn new(
        sensor: &Sensor,
        noise_figure_db: f64,
        rate_hz: f64,
        format: SampleFormat,
        (seed, stream): (u64, u64),
    ) -> Self {
        let mut noise = ChaCha8Rng::seed_from_u64(seed);
        noise.set_stream(stream);
        let noise_dbfs_per_hz = THERMAL_DBM_PER_HZ + noise_figure_db - full_scale_dbm(sensor);
        // Mean power of a complex sample is twice the variance of its parts.
        let amplitude = (undb(noise_dbfs_per_hz) * rate_hz / 2.0).sqrt() as f32;
        Self { noise, amplitude, format, noise_dbfs_per_hz }
    }

    /// Noise power per hertz.
    pub fn noise_dbfs_per_hz(&self) -> f64 {
        self.noise_dbfs_per_hz
    }

    /// Adds noise to consecutive samples, clips and quantises them into `bytes`.
    pub fn convert(&mut self, samples: &mut [Complex32], bytes: &mut Vec<u8>) {
        for x in samples.iter_mut() {
            *x += self.noise_sample();
        }
        bytes.clear();
        bytes.reserve(samples.len() * self.format.bytes_per_sample());
        for part in samples.iter().flat_map(|x| [x.re, x.im]) {
            match self.format {
                SampleFormat::Cu8 => bytes.push(((part * 128.0).round().clamp(-128.0, 127.0) + 128.0) as u8),
                SampleFormat::Cs8 => bytes.extend(((part * 128.0).round().clamp(-128.0, 127.0) as i8).to_le_bytes()),
                SampleFormat::Cs16 => {
                    bytes.extend(((part * 32768.0).round().clamp(-32768.0, 32767.0) as i16).to_le_bytes());
                }
                SampleFormat::Cf32 => bytes.extend(part.clamp(-1.0, 1.0).to_le_bytes()),
            }
        }
    }

    /// Two normal values by Marsaglia's polar method.
    fn noise_sample(&mut self) -> Complex32 {
        loop {
            let bits = self.noise.next_u64();
            let part = |b: u32| (b as i32 as f32 + 0.5) * (1.0 / 2_147_483_648.0);
            let (u, v) = (part(bits as u32), part((bits >> 32) as u32));
            let s = u * u + v * v;
            if s < 1.0 && s > 0.0 {
                let scale = self.amplitude * (-2.0 * s.ln() / s).sqrt();
                return Complex32::new(u * scale, v * scale);
            }
        }
    }
}

/// Input level that reads 0 dBFS at a sensor.
pub fn full_scale_dbm(sensor: &Sensor) -> f64 {
    sensor.full_scale_dbm.unwrap_or(DEFAULT_FULL_SCALE_DBM)
}

/// A generator for stream `stream` of a seed.
pub(crate) fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_types::db;

    fn sensor() -> Sensor {
        Sensor { name: "a".into(), position: [0.0, 0.0], full_scale_dbm: Some(-20.0), ppm: 0.0 }
    }

    #[test]
    fn noise_has_its_level() {
        let mut frontend = Frontend::new(&sensor(), 12.0, 2.4e6, SampleFormat::Cf32, (1, 1));
        let mut bytes = Vec::new();
        let mut samples = vec![Complex32::default(); 400_000];
        frontend.convert(&mut samples, &mut bytes);
        let power = samples.iter().map(|x| f64::from(x.norm_sqr())).sum::<f64>() / 400_000.0;
        assert!((db(power) - (-174.0 + 12.0 + 20.0 + db(2.4e6))).abs() < 0.05);
        let fourth = samples.iter().map(|x| f64::from(x.norm_sqr()).powi(2)).sum::<f64>() / 400_000.0;
        assert!((fourth / power.powi(2) - 2.0).abs() < 0.03, "complex normal");
    }

    #[test]
    fn converter_clips_and_rounds() {
        for (format, expected) in [
            (SampleFormat::Cs16, vec![0xff, 0x7f, 0x00, 0x80]),
            (SampleFormat::Cs8, vec![0x7f, 0x80]),
            (SampleFormat::Cu8, vec![255, 0]),
        ] {
            let mut frontend = Frontend::new(&sensor(), -300.0, 1e6, format, (1, 1));
            let mut bytes = Vec::new();
            frontend.convert(&mut [Complex32::new(3.0, -3.0)], &mut bytes);
            assert_eq!(bytes, expected);
            frontend.convert(&mut [Complex32::new(0.25, -0.25)], &mut bytes);
            let read = match format {
                SampleFormat::Cs16 => f64::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32768.0,
                SampleFormat::Cs8 => f64::from(bytes[0] as i8) / 128.0,
                _ => (f64::from(bytes[0]) - 128.0) / 128.0,
            };
            assert!((read - 0.25).abs() < 1e-9);
        }
    }
}
