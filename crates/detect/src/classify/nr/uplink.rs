//! What phones send in the slots between a base station's own.
//!
//! A slot up ends where the base station's next begins, but for 13 µs (TS 38.133 Table 7.1.2-2): energy alone shows both as one
//! emission. Where the frame is known, each slot up is measured by itself.

use crate::candidate::{NoiseFloor, Region, Snippet};
use crate::fft;
use cellwarden_standards::lte::TS_PER_SECOND;
use cellwarden_standards::nr::{Spacing, TDD_ADVANCE_TS};
use cellwarden_types::db;
use num_complex::Complex32;
use rustfft::Fft;
use std::ops::Range;
use std::sync::Arc;

/// A slot of 30 kHz, and how much earlier than the base station's frame phones send.
const SLOT_S: f64 = Spacing::Khz30.slot_ts() as f64 / TS_PER_SECOND;
const ADVANCE_S: f64 = TDD_ADVANCE_TS as f64 / TS_PER_SECOND;
/// The frame's edges are known to this; what is measured keeps so far away from them.
const EDGE_S: f64 = 30e-6;
/// A slot up may reach so far into what is said to be the base station's.
const SLACK_S: f64 = 60e-6;
/// Mean power over the floor in a bin that is a phone's; 18 independent values pass it once in 10,000 times.
const LEAST_RATIO: f32 = 2.2;
/// Bins that may be missing within, the share of the plateau at which it ends, and the least width: one block of 30 kHz.
const BRIDGE: usize = 2;
const EDGE_SHARE: f32 = 0.3;
const LEAST_HZ: f64 = 250e3;

/// Measures slots of one stream.
pub struct UplinkSlots {
    fft: Arc<dyn Fft<f32>>,
    window: Vec<f32>,
    buffer: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// Mean power over the floor of each bin.
    ratio: Vec<f32>,
}

impl UplinkSlots {
    /// With transforms of `n` points.
    pub fn new(n: usize) -> Self {
        let fft = fft::forward(n);
        let scratch = vec![Complex32::ZERO; fft.get_inplace_scratch_len()];
        let hann = |i: usize| (0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n as f64).cos()) as f32;
        let window = (0..n).map(hann).collect();
        Self { fft, window, buffer: vec![Complex32::ZERO; n], scratch, ratio: vec![0.0; n] }
    }

    /// Adds what is over the noise in each slot of `gap`, a time between the base station's, in samples of the recording.
    pub fn regions(&mut self, gap: &Range<u64>, snippet: &Snippet<'_>, floor: &NoiseFloor, out: &mut Vec<Region>) {
        let rate = snippet.rate_hz;
        let mut end = gap.end as f64 - ADVANCE_S * rate;
        while end - SLOT_S * rate > gap.start as f64 - SLACK_S * rate {
            let start = end - SLOT_S * rate;
            self.slot(start, end, snippet, floor, out);
            end = start;
        }
    }

    fn slot(&mut self, start: f64, end: f64, snippet: &Snippet<'_>, floor: &NoiseFloor, out: &mut Vec<Region>) {
        let (n, rate) = (self.buffer.len(), snippet.rate_hz);
        let first = snippet.start as f64;
        let (from, to) = (start + EDGE_S * rate - first, end - EDGE_S * rate - first);
        if from < 0.0 || to > snippet.iq.len() as f64 || to - from < n as f64 {
            return;
        }
        let iq = &snippet.iq[from as usize..to as usize];
        self.ratio.fill(0.0);
        let mut frames = 0.0;
        for at in (0..=iq.len() - n).step_by(n / 2) {
            for ((b, z), w) in self.buffer.iter_mut().zip(&iq[at..at + n]).zip(&self.window) {
                *b = z * w;
            }
            self.fft.process_with_scratch(&mut self.buffer, &mut self.scratch);
            for (k, z) in self.buffer.iter().enumerate() {
                self.ratio[(k + n / 2) % n] += z.norm_sqr();
            }
            frames += 1.0;
        }
        let energy: f32 = self.window.iter().map(|w| w * w).sum();
        let scale = 1.0 / (frames * f64::from(energy) * rate);
        let bin_hz = rate / n as f64;
        let hz = |k: usize| snippet.center_hz + (k as f64 - n as f64 / 2.0) * bin_hz;
        for (k, r) in self.ratio.iter_mut().enumerate() {
            let noise = floor.density[floor.bin(hz(k))].max(f32::MIN_POSITIVE);
            *r = (f64::from(*r) * scale) as f32 / noise;
        }
        let mut k = 0;
        while k < n {
            if self.ratio[k] < LEAST_RATIO {
                k += 1;
                continue;
            }
            let (low, mut high) = (k, k);
            while k < n && k - high <= BRIDGE {
                if self.ratio[k] >= LEAST_RATIO {
                    high = k;
                }
                k += 1;
            }
            let bins = &self.ratio[low..=high];
            let plateau = bins.iter().sum::<f32>() / bins.len() as f32 - 1.0;
            let is_in = |r: &f32| *r - 1.0 >= EDGE_SHARE * plateau;
            let (Some(a), Some(b)) = (bins.iter().position(is_in), bins.iter().rposition(is_in)) else { continue };
            let (low_hz, high_hz) = (hz(low + a) - bin_hz / 2.0, hz(low + b) + bin_hz / 2.0);
            let over = f64::from(bins[a..=b].iter().map(|r| r - 1.0).sum::<f32>()) / (b - a + 1) as f64;
            if high_hz - low_hz >= LEAST_HZ && over > 0.0 {
                let power = over * floor.power(low_hz, high_hz);
                let (start, count) = (start.round() as u64, (end - start).round() as u64);
                out.push(Region { start, count, low_hz, high_hz, power, snr_db: db(over) });
            }
        }
    }
}
