//! Native samples to complex floats, full scale = 1.0: the first stage of detection.

use cellwarden_types::SampleFormat;
use num_complex::Complex32;

/// Converts whole samples.
///
/// `bytes` holds `out.len()` samples in `format`. Values that are not finite become zero.
///
/// # Panics
/// If the lengths do not match.
pub fn convert(format: SampleFormat, bytes: &[u8], out: &mut [Complex32]) {
    assert_eq!(bytes.len(), out.len() * format.bytes_per_sample(), "bytes must hold the samples of out");
    match format {
        SampleFormat::Cu8 => {
            for (z, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *z = Complex32::new((f32::from(b[0]) - 128.0) / 128.0, (f32::from(b[1]) - 128.0) / 128.0);
            }
        }
        SampleFormat::Cs8 => {
            for (z, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *z = Complex32::new(f32::from(b[0] as i8) / 128.0, f32::from(b[1] as i8) / 128.0);
            }
        }
        SampleFormat::Cs16 => {
            const STEP: f32 = 1.0 / 32768.0;
            for (z, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                let i = i16::from_le_bytes([b[0], b[1]]);
                let q = i16::from_le_bytes([b[2], b[3]]);
                *z = Complex32::new(f32::from(i) * STEP, f32::from(q) * STEP);
            }
        }
        SampleFormat::Cf32 => {
            for (z, b) in out.iter_mut().zip(bytes.chunks_exact(8)) {
                let i = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                let q = f32::from_le_bytes([b[4], b[5], b[6], b[7]]);
                // Squares of anything larger overflow in the transform's sums: no receiver makes it.
                let good = i.abs() < 1e12 && q.abs() < 1e12;
                *z = if good { Complex32::new(i, q) } else { Complex32::ZERO };
            }
        }
    }
}

/// How many samples of a cf32 block are not finite (or absurdly large), and so were taken as zero.
pub fn count_unusable(format: SampleFormat, bytes: &[u8]) -> u64 {
    if format != SampleFormat::Cf32 {
        return 0;
    }
    let bad = |b: &[u8]| {
        let i = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let q = f32::from_le_bytes([b[4], b[5], b[6], b[7]]);
        !(i.abs() < 1e12 && q.abs() < 1e12)
    };
    bytes.chunks_exact(8).filter(|b| bad(b)).count() as u64
}

/// How many samples have a part at the converter's end: what was louder is not known.
pub fn count_clipped(format: SampleFormat, bytes: &[u8]) -> u64 {
    let count = |size: usize, is_end: fn(&[u8]) -> bool| bytes.chunks_exact(size).filter(|b| is_end(b)).count() as u64;
    match format {
        SampleFormat::Cu8 => count(2, |b| b.iter().any(|&v| v == 0 || v == u8::MAX)),
        SampleFormat::Cs8 => count(2, |b| b.iter().any(|&v| v as i8 == i8::MAX || v as i8 == i8::MIN)),
        // Converters of 12 and 14 bits end some steps below.
        SampleFormat::Cs16 => {
            count(4, |b| b.chunks_exact(2).any(|v| i16::from_le_bytes([v[0], v[1]]).unsigned_abs() >= CS16_END))
        }
        SampleFormat::Cf32 => {
            count(8, |b| b.chunks_exact(4).any(|v| f32::from_le_bytes([v[0], v[1], v[2], v[3]]).abs() >= CF32_END))
        }
    }
}

/// A converter of 12 bits ends at 2047 of 2048, in 16 bits at 32752.
const CS16_END: u16 = 32_752;
const CF32_END: f32 = CS16_END as f32 / 32768.0;

/// The lowest power density that the format can hold, in 1/Hz over full scale: its own rounding.
///
/// A recording padded with zeros has no noise; this is what its floor is taken to be.
pub fn quantisation_density(format: SampleFormat, rate_hz: f64) -> f32 {
    let step: f64 = match format {
        SampleFormat::Cu8 | SampleFormat::Cs8 => 1.0 / 128.0,
        SampleFormat::Cs16 => 1.0 / 32768.0,
        SampleFormat::Cf32 => 1e-7,
    };
    (2.0 * step * step / 12.0 / rate_hz) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_is_one_in_every_format() {
        let mut z = [Complex32::ZERO];
        convert(SampleFormat::Cu8, &[0, 128], &mut z);
        assert_eq!(z[0], Complex32::new(-1.0, 0.0));
        convert(SampleFormat::Cs8, &[0x80, 0x40], &mut z);
        assert_eq!(z[0], Complex32::new(-1.0, 0.5));
        convert(SampleFormat::Cs16, &[0x00, 0x80, 0x00, 0x40], &mut z);
        assert_eq!(z[0], Complex32::new(-1.0, 0.5));
        let mut bytes = Vec::new();
        bytes.extend(1.0f32.to_le_bytes());
        bytes.extend((-0.25f32).to_le_bytes());
        convert(SampleFormat::Cf32, &bytes, &mut z);
        assert_eq!(z[0], Complex32::new(1.0, -0.25));
    }

    #[test]
    fn clipped_samples_are_counted_in_every_format() {
        let cs16: Vec<u8> =
            [0i16, 32_752, 5, 6, -32_768, 0, 32_000, -32_000].iter().flat_map(|v| v.to_le_bytes()).collect();
        let cf32: Vec<u8> =
            [0.0f32, 1.0, 0.5, 0.5, -1.0, 0.0, 0.9, -0.9].iter().flat_map(|v| v.to_le_bytes()).collect();
        let cs8: Vec<u8> = [0i8, 127, 5, 6, -128, 0, 120, -120].iter().map(|v| *v as u8).collect();
        for (format, bytes) in [
            (SampleFormat::Cs16, cs16),
            (SampleFormat::Cf32, cf32),
            (SampleFormat::Cs8, cs8),
            (SampleFormat::Cu8, vec![128, 255, 130, 130, 0, 128, 250, 5]),
        ] {
            assert_eq!(count_clipped(format, &bytes), 2, "{format:?}");
        }
    }

    #[test]
    fn nan_and_infinity_become_zero_and_are_counted() {
        let mut bytes = Vec::new();
        for value in [f32::NAN, 1.0, f32::INFINITY, 0.0, 1.0, 1.0, 0.0, f32::NEG_INFINITY] {
            bytes.extend(value.to_le_bytes());
        }
        let mut z = [Complex32::ONE; 4];
        convert(SampleFormat::Cf32, &bytes, &mut z);
        assert_eq!(z, [Complex32::ZERO, Complex32::ZERO, Complex32::new(1.0, 1.0), Complex32::ZERO]);
        assert_eq!(count_unusable(SampleFormat::Cf32, &bytes), 3);
    }
}
