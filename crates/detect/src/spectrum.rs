//! Power density over time and frequency: window, transform, square.

use crate::convert::convert;
use crate::fft;
use cellwarden_types::SampleFormat;
use num_complex::Complex32;
use rustfft::Fft;
use std::sync::Arc;

/// Makes one frame of samples into one row of power densities.
#[derive(Clone)]
pub struct PowerSpectrum {
    fft: Arc<dyn Fft<f32>>,
    /// Hann, scaled so that |X|² of the windowed frame is a density in 1/Hz.
    window: Box<[f32]>,
    frame: Box<[Complex32]>,
    scratch: Box<[Complex32]>,
}

impl PowerSpectrum {
    /// Plans transforms of `n_fft` points for samples at `rate_hz`.
    pub fn new(n_fft: usize, rate_hz: f64) -> Self {
        let fft = fft::forward(n_fft);
        let hann: Vec<f64> =
            (0..n_fft).map(|i| 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n_fft as f64).cos()).collect();
        let energy: f64 = hann.iter().map(|w| w * w).sum();
        let scale = 1.0 / (energy * rate_hz).sqrt();
        Self {
            scratch: vec![Complex32::ZERO; fft.get_inplace_scratch_len()].into(),
            fft,
            window: hann.iter().map(|w| (w * scale) as f32).collect(),
            frame: vec![Complex32::ZERO; n_fft].into(),
        }
    }

    /// Points of the transform.
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Never: a transform has points.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// Writes the power density of one frame, in 1/Hz over full scale.
    ///
    /// `bytes` holds [`len`](Self::len) samples in `format`, `row` as many bins, the lowest
    /// frequency first. White noise of power p reads p / rate in every bin. Allocates nothing.
    ///
    /// # Panics
    /// If a slice has another length.
    pub fn process(&mut self, format: SampleFormat, bytes: &[u8], row: &mut [f32]) {
        let n = self.window.len();
        assert_eq!(row.len(), n, "row must hold one value per bin");
        convert(format, bytes, &mut self.frame);
        for (z, &w) in self.frame.iter_mut().zip(&self.window) {
            *z *= w;
        }
        self.fft.process_with_scratch(&mut self.frame, &mut self.scratch);
        let (positive, negative) = self.frame.split_at(n / 2);
        let (low, high) = row.split_at_mut(n / 2);
        for (p, z) in low.iter_mut().zip(negative) {
            *p = z.norm_sqr();
        }
        for (p, z) in high.iter_mut().zip(positive) {
            *p = z.norm_sqr();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_scale_tone_carries_its_whole_power_in_its_bins() {
        let (n, rate) = (256, 1e6);
        let mut spectrum = PowerSpectrum::new(n, rate);
        let mut bytes = Vec::new();
        for i in 0..n {
            let z = Complex32::from_polar(1.0, std::f32::consts::TAU * 40.0 * i as f32 / n as f32);
            bytes.extend(z.re.to_le_bytes());
            bytes.extend(z.im.to_le_bytes());
        }
        let mut row = vec![0.0; n];
        spectrum.process(SampleFormat::Cf32, &bytes, &mut row);
        let peak = (0..n).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        assert_eq!(peak, n / 2 + 40);
        let power: f32 = row.iter().sum::<f32>() * (rate / n as f64) as f32;
        assert!((power - 1.0).abs() < 1e-3, "{power}");
    }
}
