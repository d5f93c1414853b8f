//! Adds a wave to native samples, as if the converter had seen both.
//!
//! What a converter gave is rounded already, and a wave below half a step would be rounded away whatever the noise was. So each
//! value gets back what it may have been before: a draw from the noise's distribution within its step. Then the sum is rounded,
//! and ends at full scale. Where the noise stays within a step, there is nothing to give back: a wave would come out with its products
//! all over the band, and even draws would be a noise that is louder than the floor. Nothing is added there.

use cellwarden_types::SampleFormat;
use num_complex::{Complex, Complex32};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// What samples look like without the wave, in steps of the converter: what one has been before rounding follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rounding {
    /// Means of I and of Q.
    means: [f32; 2],
    /// Standard deviation of each, before rounding.
    deviation: f32,
}

/// Below this, in steps, a wave cannot be added. At 0.5, none of 1,020 left anything beside its place; at 0.35, one did, at 0.2 twenty.
const NARROW_DEVIATION: f32 = 0.45;
/// From here on a step is too narrow for the noise's shape to matter: 0.5 % over half a step.
const FLAT_DEVIATION: f32 = 5.0;
/// Draws within a step before the likeliest value is taken.
const DRAWS: usize = 32;

impl Rounding {
    /// Of a block's samples; none where they are not rounded.
    pub fn of(format: SampleFormat, bytes: &[u8]) -> Option<Self> {
        let size = format.bytes_per_sample();
        let (mut sums, mut squares) = ([0.0f64; 2], 0.0f64);
        for sample in bytes.chunks_exact(size) {
            for (sum, part) in sums.iter_mut().zip(sample.chunks_exact(size / 2)) {
                let value = f64::from(steps(format, part)?);
                *sum += value;
                squares += value * value;
            }
        }
        let n = (bytes.len() / size).max(1) as f64;
        let means = sums.map(|s| s / n);
        let variance = squares / n / 2.0 - means.iter().map(|m| m * m).sum::<f64>() / 2.0;
        // Sheppard's correction: rounding adds a twelfth of a step squared.
        let deviation = (variance - 1.0 / 12.0).max(0.0).sqrt() as f32;
        Some(Self { means: means.map(|m| m as f32), deviation })
    }

    /// Whether the noise is too little, next to a step, for a wave to be added to it.
    pub fn is_too_coarse(&self) -> bool {
        self.deviation < NARROW_DEVIATION
    }

    /// What `value` of I (0) or Q (1) may have been before it was rounded.
    fn before(&self, value: f32, part: usize, rng: &mut impl Rng) -> f32 {
        if self.deviation > FLAT_DEVIATION {
            return value + rng.random::<f32>() - 0.5;
        }
        let off = value - self.means[part];
        let likeliest = (-off).clamp(-0.5, 0.5);
        let exponent = |u: f32| (off + u) * (off + u) / (2.0 * self.deviation * self.deviation);
        let most = exponent(likeliest);
        for _ in 0..DRAWS {
            let u = rng.random::<f32>() - 0.5;
            if rng.random::<f32>() < (most - exponent(u)).exp() {
                return value + u;
            }
        }
        value + likeliest
    }
}

/// A part of a rounded sample, in steps from zero.
fn steps(format: SampleFormat, part: &[u8]) -> Option<f32> {
    match (format, part) {
        (SampleFormat::Cu8, &[v]) => Some(f32::from(v) - 128.0),
        (SampleFormat::Cs8, &[v]) => Some(f32::from(v as i8)),
        (SampleFormat::Cs16, &[low, high]) => Some(f32::from(i16::from_le_bytes([low, high]))),
        _ => None,
    }
}

/// How a wave is turned and scaled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Amplitude; full scale is 1.
    pub amplitude: f32,
    /// Turns at the wave's first sample, and from each sample to the next.
    pub first: f64,
    pub step: f64,
}

/// Adds `wave[from..]` to as many samples as there are. Full scale is where it ends.
pub(crate) fn add(
    format: SampleFormat,
    bytes: &mut [u8],
    (wave, from): (&[Complex32], usize),
    turn: Turn,
    rounding: Option<&Rounding>,
    rng: &mut ChaCha8Rng,
) {
    let mut phasor = Complex::cis(TAU * (turn.first + turn.step * from as f64).rem_euclid(1.0));
    let step = Complex::cis(TAU * turn.step.rem_euclid(1.0));
    let size = format.bytes_per_sample();
    for (sample, x) in bytes.chunks_exact_mut(size).zip(&wave[from..]) {
        let added = x * Complex32::new(phasor.re as f32, phasor.im as f32) * turn.amplitude;
        phasor *= step;
        for (i, (part, more)) in sample.chunks_exact_mut(size / 2).zip([added.re, added.im]).enumerate() {
            let mut rounded = |scale: f32| {
                let value = steps(format, part).unwrap_or(0.0);
                let before = rounding.map_or(value, |r| r.before(value, i, rng));
                (before + more * scale).round().clamp(-scale, scale - 1.0)
            };
            match format {
                SampleFormat::Cu8 => part[0] = (rounded(128.0) + 128.0) as u8,
                SampleFormat::Cs8 => part[0] = rounded(128.0) as i8 as u8,
                SampleFormat::Cs16 => part.copy_from_slice(&(rounded(32_768.0) as i16).to_le_bytes()),
                SampleFormat::Cf32 => {
                    if let &mut [a, b, c, d] = part {
                        let value = f32::from_le_bytes([a, b, c, d]);
                        let most = value.abs().max(1.0);
                        // What is no number stays none.
                        let sum = if most.is_finite() { (value + more).clamp(-most, most) } else { value };
                        part.copy_from_slice(&sum.to_le_bytes());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_detect::convert::convert;
    use rand::SeedableRng;

    const TURN: Turn = Turn { amplitude: 0.5, first: 0.0, step: 0.0 };

    fn read(format: SampleFormat, bytes: &[u8]) -> Vec<Complex32> {
        let mut out = vec![Complex32::ZERO; bytes.len() / format.bytes_per_sample()];
        convert(format, bytes, &mut out);
        out
    }

    /// Values as a converter with two steps of noise gives them.
    fn noisy(format: SampleFormat, samples: usize, deviation: f64) -> Vec<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut value = || (cellwarden_sim::channel::normal(&mut rng) * deviation).round();
        (0..2 * samples)
            .flat_map(|_| match format {
                SampleFormat::Cu8 => vec![(value() + 128.0) as u8],
                SampleFormat::Cs8 => vec![value() as i8 as u8],
                SampleFormat::Cs16 => (value() as i16).to_le_bytes().to_vec(),
                SampleFormat::Cf32 => ((value() / 128.0) as f32).to_le_bytes().to_vec(),
            })
            .collect()
    }

    #[test]
    fn what_is_added_is_there_in_every_format_and_nothing_else_changes() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for format in SampleFormat::ALL {
            let before = noisy(format, 4000, 2.0);
            let mut after = before.clone();
            let wave = vec![Complex32::new(0.6, -0.2); 1500];
            let part = 500 * format.bytes_per_sample()..;
            add(format, &mut after[part], (&wave, 500), TURN, Rounding::of(format, &before).as_ref(), &mut rng);
            let (x, y) = (read(format, &before), read(format, &after));
            let changed: Vec<Complex32> = x.iter().zip(&y).map(|(x, y)| y - x).collect();
            assert!(changed[..500].iter().chain(&changed[1500..]).all(|z| *z == Complex32::ZERO), "{format}");
            let mean = changed[500..1500].iter().sum::<Complex32>() / 1000.0;
            assert!((mean - Complex32::new(0.3, -0.1)).norm() < 2e-3, "{format}: {mean}");
        }
    }

    #[test]
    fn a_wave_of_a_quarter_step_survives() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let wave = vec![Complex32::new(1.0, 0.0); 200_000];
        let turn = Turn { amplitude: 0.25 / 128.0, ..TURN };
        for (deviation, least, most) in [(2.0, 0.23, 0.27), (0.7, 0.22, 0.28)] {
            let before = noisy(SampleFormat::Cs8, wave.len(), deviation);
            let rounding = Rounding::of(SampleFormat::Cs8, &before);
            let mut after = before.clone();
            add(SampleFormat::Cs8, &mut after, (&wave, 0), turn, rounding.as_ref(), &mut rng);
            let sum =
                |bytes: &[u8]| read(SampleFormat::Cs8, bytes).iter().map(|z| f64::from(z.re)).sum::<f64>() * 128.0;
            let mean = (sum(&after) - sum(&before)) / wave.len() as f64;
            assert!((least..most).contains(&mean), "deviation {deviation}: {mean} steps");
            // Nor does the noise grow: what is given back was taken away before.
            let deviation_after = Rounding::of(SampleFormat::Cs8, &after).unwrap().deviation;
            let grown = deviation_after / rounding.unwrap().deviation;
            assert!(
                !rounding.unwrap().is_too_coarse() && (0.95..1.05).contains(&grown),
                "deviation {deviation}: times {grown}"
            );
        }
    }

    #[test]
    fn noise_within_a_step_is_too_coarse() {
        for (deviation, coarse) in [(0.05, true), (0.2, true), (0.35, true), (0.5, false), (2.0, false)] {
            let rounding = Rounding::of(SampleFormat::Cs8, &noisy(SampleFormat::Cs8, 100_000, deviation)).unwrap();
            assert_eq!(rounding.is_too_coarse(), coarse, "{deviation}: {rounding:?}");
        }
    }

    #[test]
    fn full_scale_is_the_end_and_what_is_no_number_stays_none() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let wave = [Complex32::new(9.0, -9.0)];
        for (format, bytes, end) in [
            (SampleFormat::Cu8, vec![200, 100], vec![255, 0]),
            (SampleFormat::Cs8, vec![100, 0x90], vec![127, 0x80]),
            (SampleFormat::Cs16, vec![0, 1, 0, 1], vec![0xff, 0x7f, 0x00, 0x80]),
            (
                SampleFormat::Cf32,
                [0.5f32, -0.5].map(f32::to_le_bytes).concat(),
                [1.0f32, -1.0].map(f32::to_le_bytes).concat(),
            ),
        ] {
            let mut after = bytes.clone();
            add(format, &mut after, (&wave, 0), TURN, Rounding::of(format, &bytes).as_ref(), &mut rng);
            assert_eq!(after, end, "{format}");
        }
        let mut nan = [f32::NAN, f32::INFINITY].map(f32::to_le_bytes).concat();
        add(SampleFormat::Cf32, &mut nan, (&wave, 0), TURN, None, &mut rng);
        assert_eq!(cellwarden_detect::convert::count_unusable(SampleFormat::Cf32, &nan), 1);
    }
}
