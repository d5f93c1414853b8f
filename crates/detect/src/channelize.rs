//! One channel out of a stretch of samples: shift, low-pass and resample by a pair of FFTs.

use crate::candidate::Snippet;
use crate::fft;
use num_complex::Complex32;
use rustfft::Fft;
use std::sync::Arc;

/// Takes windows of a fixed length out of a stream and gives one channel of them at a lower (or higher) rate.
///
/// The band is passed flat to `pass_hz` on each side of the channel's centre and falls as a raised cosine to
/// nothing at `stop_hz`. Amplitudes are kept: a tone inside keeps its power.
pub struct Channelizer {
    rate_hz: f64,
    window: usize,
    out_len: usize,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    pass_hz: f64,
    stop_hz: f64,
}

/// What a channelizer works in. Several that are used one after the other share one: they are most of a stream's memory.
pub struct ChannelBuffers {
    scratch: Vec<Complex32>,
    spectrum: Vec<Complex32>,
    out: Vec<Complex32>,
}

impl ChannelBuffers {
    /// Room for any of these.
    pub fn new<'a>(channelizers: impl IntoIterator<Item = &'a Channelizer>) -> Self {
        let (mut scratch, mut spectrum, mut out) = (0, 0, 0);
        for c in channelizers {
            scratch = c.forward.get_inplace_scratch_len().max(c.inverse.get_inplace_scratch_len()).max(scratch);
            spectrum = c.window.max(spectrum);
            out = c.out_len.max(out);
        }
        let zeros = |n| vec![Complex32::ZERO; n];
        Self { scratch: zeros(scratch), spectrum: zeros(spectrum), out: zeros(out) }
    }
}

/// A window of which channels are taken.
pub struct Window<'a> {
    channelizer: &'a Channelizer,
    buffers: &'a mut ChannelBuffers,
}

impl Channelizer {
    /// For windows of `seconds` at `rate_hz`, brought to about `out_rate_hz` (see [`out_rate_hz`](Self::out_rate_hz)).
    pub fn new(rate_hz: f64, seconds: f64, out_rate_hz: f64, pass_hz: f64, stop_hz: f64) -> Self {
        let (window, out_len) = lengths((seconds * rate_hz).ceil() as usize, out_rate_hz / rate_hz);
        let (forward, inverse) = (fft::forward(window), fft::inverse(out_len));
        Self { rate_hz, window, out_len, forward, inverse, pass_hz, stop_hz }
    }

    /// The rate of what [`Window::channel`] gives.
    pub fn out_rate_hz(&self) -> f64 {
        self.rate_hz * self.out_len as f64 / self.window as f64
    }

    /// The window that begins at sample `start` of the recording; beyond the snippet lies silence.
    pub fn load<'a>(&'a self, buffers: &'a mut ChannelBuffers, snippet: &Snippet<'_>, start: i64) -> Window<'a> {
        let spectrum = &mut buffers.spectrum[..self.window];
        spectrum.fill(Complex32::ZERO);
        let offset = start - snippet.start as i64;
        let from = offset.max(0);
        let to = (offset + self.window as i64).min(snippet.iq.len() as i64);
        if from < to {
            let at = (from - offset) as usize;
            let part = &snippet.iq[from as usize..to as usize];
            spectrum[at..at + part.len()].copy_from_slice(part);
        }
        self.forward.process_with_scratch(spectrum, &mut buffers.scratch);
        self.loaded(buffers)
    }

    /// The window that this channelizer loaded into `buffers` before, where nothing else was since.
    pub fn loaded<'a>(&'a self, buffers: &'a mut ChannelBuffers) -> Window<'a> {
        Window { channelizer: self, buffers }
    }
}

impl Window<'_> {
    /// Input samples in it.
    pub fn samples(&self) -> usize {
        self.channelizer.window
    }

    /// Energy between two offsets from the stream's centre: the sum of |x|² over the window's samples, as far as it lies
    /// there.
    pub fn energy(&self, low_hz: f64, high_hz: f64) -> f64 {
        let bins = self.bins(low_hz, high_hz).map(|k| self.buffers.spectrum[k]);
        bins.map(|z| f64::from(z.norm_sqr())).sum::<f64>() / self.channelizer.window as f64
    }

    /// The spectrum's bins between two offsets from the stream's centre.
    fn bins(&self, low_hz: f64, high_hz: f64) -> impl Iterator<Item = usize> + use<> {
        let window = self.channelizer.window;
        let bin_hz = self.channelizer.rate_hz / window as f64;
        let (low, high) = ((low_hz / bin_hz).round() as i64, (high_hz / bin_hz).round() as i64);
        (low..high).map(move |k| k.rem_euclid(window as i64) as usize)
    }

    /// Takes out what lies between two offsets from the stream's centre.
    pub fn mute(&mut self, low_hz: f64, high_hz: f64) {
        for k in self.bins(low_hz, high_hz) {
            self.buffers.spectrum[k] = Complex32::ZERO;
        }
    }

    /// The channel `offset_hz` from the stream's centre.
    ///
    /// Its first value is the window's first sample.
    pub fn channel(&mut self, offset_hz: f64) -> &mut [Complex32] {
        self.band(offset_hz, self.channelizer.pass_hz, self.channelizer.stop_hz)
    }

    /// Like [`channel`](Self::channel), with another filter.
    pub fn band(&mut self, offset_hz: f64, pass_hz: f64, stop_hz: f64) -> &mut [Complex32] {
        let &Channelizer { rate_hz, window, out_len, .. } = self.channelizer;
        let spectrum = &self.buffers.spectrum[..window];
        let out = &mut self.buffers.out[..out_len];
        let bin_hz = rate_hz / window as f64;
        // Shifted by whole bins; what is left of the offset is turned back in time.
        let middle = (offset_hz / bin_hz).round();
        let rest_hz = offset_hz - middle * bin_hz;
        let reach = ((stop_hz / bin_hz) as i64).min(out_len as i64 / 2 - 1).min(window as i64 / 2 - 1);
        let scale = 1.0 / window as f32;
        out.fill(Complex32::ZERO);
        for k in -reach..=reach {
            let hz = (k as f64 * bin_hz).abs();
            let gain = if hz <= pass_hz {
                1.0
            } else {
                let x = (hz - pass_hz) / (stop_hz - pass_hz);
                (0.5 + 0.5 * (std::f64::consts::PI * x).cos()) as f32
            };
            let from = (middle as i64 + k).rem_euclid(window as i64) as usize;
            let to = k.rem_euclid(out_len as i64) as usize;
            out[to] = spectrum[from] * gain * scale;
        }
        self.channelizer.inverse.process_with_scratch(out, &mut self.buffers.scratch);
        if rest_hz != 0.0 {
            let step = -std::f64::consts::TAU * rest_hz / self.channelizer.out_rate_hz();
            for (n, z) in out.iter_mut().enumerate() {
                let turn = step * n as f64;
                *z *= Complex32::new(turn.cos() as f32, turn.sin() as f32);
            }
        }
        out
    }
}

/// Lengths of a window of at least `least` samples and of its resampled form, both quick to transform (no prime factor
/// above 7), whose ratio is `ratio` within 3e-4 where there are such; else as near as whole samples come.
fn lengths(least: usize, ratio: f64) -> (usize, usize) {
    let is_quick = |n: usize| {
        let mut rest = n;
        for prime in [2, 3, 5, 7] {
            while rest % prime == 0 {
                rest /= prime;
            }
        }
        rest == 1
    };
    let least = least.max(64);
    let out = |window: usize| ((window as f64 * ratio).round() as usize).max(8);
    let mut both = (least..least + least / 3).filter(|&w| is_quick(w) && is_quick(out(w)));
    let true_enough = |w: &usize| (out(*w) as f64 / (*w as f64 * ratio) - 1.0).abs() < 3e-4;
    let window = both.find(true_enough).or_else(|| (least..2 * least).find(|&w| is_quick(w))).unwrap_or(least);
    (window, out(window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_quick_and_true_to_the_ratio() {
        for rate in [0.5e6, 13e6 / 12.0, 2.4e6, 7.68e6, 10e6, 20e6, 30.72e6, 61.44e6] {
            for (seconds, out_rate) in [(1.6e-3, 13e6 / 12.0), (2.4e-3, 1.92e6), (12.8e-3, 30.72e6)] {
                let least = (seconds * rate) as usize;
                let (window, out) = lengths(least, out_rate / rate);
                assert!(window >= least.max(64) && window <= least.max(64) * 4 / 3, "{rate}: {window}");
                let error = out as f64 / window as f64 * rate / out_rate - 1.0;
                assert!(error.abs() < 1e-3, "{rate} to {out_rate}: {window}, {out}: {error}");
            }
        }
    }

    #[test]
    fn a_tone_in_the_channel_keeps_its_power_and_one_outside_goes() {
        let rate = 10e6;
        let tone = |hz: f64| -> Vec<Complex32> {
            (0..24_000)
                .map(|n| {
                    let turn = std::f64::consts::TAU * (hz / rate * n as f64).fract();
                    Complex32::new(turn.cos() as f32, turn.sin() as f32)
                })
                .collect()
        };
        let channelizer = Channelizer::new(rate, 2.4e-3, 13e6 / 12.0, 100e3, 160e3);
        // Left over from a larger one.
        let mut buffers = ChannelBuffers::new([&channelizer, &Channelizer::new(rate, 4e-3, 2e6, 100e3, 160e3)]);
        buffers.spectrum.fill(Complex32::ONE);
        for (hz, expected) in [(1.23e6, 1.0), (1.45e6, 0.0)] {
            let iq = tone(hz);
            let snippet = Snippet { iq: &iq, start: 0, rate_hz: rate, center_hz: 0.0 };
            let mut window = channelizer.load(&mut buffers, &snippet, 0);
            let energy = window.energy(1.2e6, 1.26e6) / window.samples() as f64;
            assert!((energy - f64::from(expected)).abs() < 0.02, "{hz}: {energy}");
            let out = window.channel(1.2e6);
            let middle = &out[200..out.len() - 200];
            let power = middle.iter().map(|z| z.norm_sqr()).sum::<f32>() / middle.len() as f32;
            assert!((power - expected).abs() < 0.02, "{hz}: {power}");
        }
    }
}
