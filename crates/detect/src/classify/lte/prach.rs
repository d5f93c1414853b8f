//! PRACH preambles of any root, at any place of the band.
//!
//! In a transform of 0.8 ms a preamble is 839 neighbouring bins of 1.25 kHz (TS 36.211 5.7). The DFT of a
//! Zadoff–Chu sequence is one again, so X\[k+d\]·X*\[k\] is a pure tone whatever the delay: its frequency d/u mod
//! 839 names the root. A few lags d together propose roots; the correlator with the proposed root decides.

use crate::candidate::{NoiseFloor, Proposal, Snippet};
use crate::channelize::{ChannelBuffers, Channelizer};
use crate::fft;
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use num_complex::Complex32;
use rustfft::Fft;
use std::collections::HashMap;
use std::sync::Arc;

/// Length of the sequence, and its subcarriers (TS 36.211 table 5.7.2-1).
const N_ZC: usize = 839;
/// Length of the sequence without its prefix: the inverse of the subcarriers' 1.25 kHz.
const SEQUENCE_S: f64 = 800e-6;
/// Half of the six resource blocks.
const HALF_WIDTH_HZ: f64 = 540e3;
/// Windows follow each other in so many seconds: at worst 80 % of a format-0 sequence lies in one.
const HOP_S: f64 = 0.25e-3;
/// Lags whose tones are added.
const LAGS: usize = 8;
/// The first lag's strongest tone over the mean of its tones that is worth the other lags. Noise passes 30 once in 10^10
/// places; a preamble at 0 dB reaches 150.
const LEAST_TONE: f32 = 30.0;
/// A cheaper transform, longer than the sequence, is asked first; a tone between its bins shows this much of itself at the
/// least: sin(x)/x squared, x = π/2 · 839/1024.
const GLANCE: usize = 1024;
const GLANCE_LEAST: f32 = 0.55;
/// A bin this far over its neighbourhood is a carrier or the radio's DC, and is cut down to it: noise passes 12 times
/// once in 160,000 bins.
const SPIKE: f32 = 12.0;
const SPIKE_REACH: usize = 16;
/// The same root at the same time, this much weaker (linear), is what the radio makes of a strong preamble.
const ECHO: f64 = 0.01;
/// Roots that are tried with the correlator.
const TRIED: usize = 2;
/// Mean power of the 839 bins over the floor that is worth a test.
const LEAST_RATIO: f64 = 1.8;
/// What a window must share with a stretch in which there is something.
const LEAST_COMMON_S: f64 = 0.5e-3;
/// Correlation peak over the mean of all lags. Noise passes 27.3 once in a million windows over all roots and
/// lags; PUSCH, PUCCH and downlink reach 23. A preamble at 0 dB reaches 200.
const LEAST_PEAK: f32 = 45.0;
/// Share of what a whole preamble of the measured level would put into the peak.
const LEAST_SHARE: f32 = 0.2;
/// Formats 0 to 3: cyclic prefix and sequence, in seconds (TS 36.211 table 5.7.1-1).
const FORMATS_S: [f64; 4] = [903.125e-6, 1_484.375e-6, 1_803.125e-6, 2_284.375e-6];
/// Window in which a preamble's edges are sought: the longest format on both sides of a window.
const EDGE_WINDOW_S: f64 = 6.4e-3;

/// Searches stretches of one stream.
pub struct PrachSearch {
    rate_hz: f64,
    window: usize,
    fft: Arc<dyn Fft<f32>>,
    tones: Arc<dyn Fft<f32>>,
    glance: Arc<dyn Fft<f32>>,
    lags: Arc<dyn Fft<f32>>,
    scratch: Vec<Complex32>,
    spectrum: Vec<Complex32>,
    /// Running sums of |X|² over shifted bins, lowest frequency first.
    energy: Vec<f64>,
    /// The same of the noise floor's density in those bins.
    noise: Vec<f64>,
    power: Vec<f32>,
    product: Vec<Complex32>,
    padded: Vec<Complex32>,
    scores: Vec<f32>,
    references: HashMap<usize, Vec<Complex32>>,
    edges: Channelizer,
    buffers: ChannelBuffers,
    inverse_of: Vec<usize>,
}

/// A preamble that one window shows.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    /// First sample of the window.
    window_start: u64,
    center_hz: f64,
    root: usize,
    peak: f32,
    /// Mean power of its bins over the floor, and above it (density).
    ratio: f64,
    excess: f64,
}

impl PrachSearch {
    /// For a stream at `rate_hz`; none where a preamble does not fit into the band.
    pub fn new(rate_hz: f64) -> Option<Self> {
        if rate_hz < 1.15e6 {
            return None;
        }
        let window = (SEQUENCE_S * rate_hz).round() as usize;
        let edges = Channelizer::new(rate_hz, EDGE_WINDOW_S, 1.92e6, HALF_WIDTH_HZ, 640e3);
        let (fft, tones, lags) = (fft::forward(window), fft::forward(N_ZC), fft::inverse(2048));
        let glance = fft::forward(GLANCE);
        let scratch = [&fft, &tones, &glance, &lags].iter().map(|f| f.get_inplace_scratch_len()).max().unwrap_or(0);
        let mut inverse_of = vec![0; N_ZC];
        for (u, inverse) in inverse_of.iter_mut().enumerate().skip(1) {
            *inverse = (1..N_ZC).find(|h| u * h % N_ZC == 1).unwrap_or(1);
        }
        Some(Self {
            rate_hz,
            window,
            fft,
            tones,
            glance,
            lags,
            scratch: vec![Complex32::ZERO; scratch],
            spectrum: vec![Complex32::ZERO; window],
            energy: vec![0.0; window + 1],
            noise: vec![0.0; window + 1],
            power: vec![0.0; window],
            product: vec![Complex32::ZERO; N_ZC],
            padded: vec![Complex32::ZERO; 2048],
            scores: vec![0.0; N_ZC],
            references: HashMap::new(),
            buffers: ChannelBuffers::new([&edges]),
            edges,
            inverse_of,
        })
    }

    /// Adds the preambles that the snippet holds and that lie, for a good part, in one of `busy`: stretches of the
    /// recording (first sample and the one after the last) in which there is something.
    pub fn search(&mut self, snippet: &Snippet<'_>, floor: &NoiseFloor, busy: &[(u64, u64)], out: &mut Vec<Proposal>) {
        let hop = (HOP_S * self.rate_hz).round() as usize;
        let least = (LEAST_COMMON_S * self.rate_hz) as u64;
        self.sum_noise(snippet.center_hz, floor);
        let mut sightings: Vec<Sighting> = Vec::new();
        let mut at = 0;
        while at + self.window <= snippet.iq.len() {
            let start = snippet.start + at as u64;
            let end = start + self.window as u64;
            if busy.iter().any(|&(from, to)| to.min(end).saturating_sub(from.max(start)) >= least) {
                self.look(snippet, at, &mut sightings);
            }
            at += hop;
        }
        // The window that puts the most energy into the peak speaks for its preamble.
        let energy = |s: &Sighting| f64::from(s.peak) * s.excess;
        sightings.sort_by(|a, b| {
            energy(b)
                .total_cmp(&energy(a))
                .then(a.window_start.cmp(&b.window_start))
                .then(a.center_hz.total_cmp(&b.center_hz))
        });
        let mut found: Vec<(f64, Proposal)> = Vec::new();
        for sighting in sightings {
            let middle = (sighting.window_start + self.window as u64 / 2) as f64;
            let known = found.iter().any(|(excess, p)| {
                let center = (p.low_hz + p.high_hz) / 2.0;
                // A part of a preamble, in bins beside its own, shows the same root. Images and products of a strong one
                // do so anywhere, or its mirrored root.
                let same = p.detail.root == Some(sighting.root as u16);
                let mirrored = p.detail.root == Some((N_ZC - sighting.root) as u16);
                let reach = match sighting.excess < ECHO * excess {
                    true if same || mirrored => f64::INFINITY,
                    _ if same => 2.0 * HALF_WIDTH_HZ,
                    _ => HALF_WIDTH_HZ,
                };
                (center - sighting.center_hz).abs() < reach
                    && middle > p.start - 0.5 * self.window as f64
                    && middle < p.start + p.count + 0.5 * self.window as f64
            });
            if !known {
                found.extend(self.propose(&sighting, snippet, floor).map(|p| (sighting.excess, p)));
            }
        }
        out.extend(found.into_iter().map(|(_, p)| p));
    }

    /// Running sums of the floor's density over the bins of a window.
    fn sum_noise(&mut self, center_hz: f64, floor: &NoiseFloor) {
        let n = self.window;
        let bin_hz = self.rate_hz / n as f64;
        let mut sum = 0.0;
        for (k, s) in self.noise[1..].iter_mut().enumerate() {
            let hz = center_hz + (k as f64 - (n / 2) as f64) * bin_hz;
            sum += f64::from(floor.density[floor.bin(hz)]);
            *s = sum;
        }
    }

    /// Cuts bins that stand alone down to their neighbourhood, and sums the power over the bins.
    fn sum_energy(&mut self) {
        let n = self.window;
        for (p, z) in self.power.iter_mut().zip(&self.spectrum) {
            *p = z.norm_sqr();
        }
        let scale = 1.0 / (n as f64 * self.rate_hz);
        let width = 2 * SPIKE_REACH + 1;
        let mut near: f32 = self.power[..width.min(n)].iter().sum();
        let mut sum = 0.0;
        for k in 0..n {
            if k > SPIKE_REACH && k + SPIKE_REACH < n {
                // Summed anew now and then: a running difference would keep the rounding of what was strong.
                if k % 64 == 0 {
                    near = self.power[k - SPIKE_REACH..=k + SPIKE_REACH].iter().sum();
                } else {
                    near += self.power[k + SPIKE_REACH] - self.power[k - SPIKE_REACH - 1];
                }
            }
            let limit = SPIKE * (near - self.power[k]).max(0.0) / (width - 1) as f32;
            let mut p = self.power[k];
            if p > limit {
                self.spectrum[k] *= (limit / p).sqrt();
                p = limit;
            }
            sum += f64::from(p) * scale;
            self.energy[k + 1] = sum;
        }
    }

    /// Looks at the window that begins at `at` of the snippet.
    fn look(&mut self, snippet: &Snippet<'_>, at: usize, sightings: &mut Vec<Sighting>) {
        let n = self.window;
        self.spectrum.copy_from_slice(&snippet.iq[at..at + n]);
        self.fft.process_with_scratch(&mut self.spectrum, &mut self.scratch);
        self.spectrum.rotate_right(n / 2); // lowest frequency first
        self.sum_energy();
        let bin_hz = self.rate_hz / n as f64;
        let hz_of = |bin: f64| snippet.center_hz + (bin - (n / 2) as f64) * bin_hz;
        // Places where 839 bins hold more than the floor, those with the most energy first: the ratio would draw them away
        // from where the floor is high, as it is at the radio's DC.
        let step = 4;
        let mut places: Vec<(f64, f64, usize)> = Vec::new();
        let mut first = 0;
        while first + N_ZC <= n {
            let of = |sums: &[f64]| sums[first + N_ZC] - sums[first];
            let (energy, noise) = (of(&self.energy), of(&self.noise));
            let ratio = energy / noise;
            if ratio > LEAST_RATIO {
                places.push((energy - noise, ratio, first));
            }
            first += step;
        }
        places.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
        let mut tried: Vec<usize> = Vec::new();
        for (excess, ratio, first) in places {
            if tried.iter().any(|t| t.abs_diff(first) < N_ZC * 7 / 10) || tried.len() >= 24 {
                continue;
            }
            tried.push(first);
            if !self.is_filled(first) {
                continue;
            }
            // A whole preamble puts 839 times its share of the power into the peak; a chirp or a part does not.
            let least = LEAST_SHARE * (N_ZC as f64 * (ratio - 1.0) / ratio) as f32;
            if let Some((root, peak)) = self.root_at(first).filter(|(_, peak)| *peak >= least) {
                let center_hz = hz_of(first as f64 + (N_ZC / 2) as f64);
                sightings.push(Sighting {
                    window_start: snippet.start + at as u64,
                    center_hz,
                    root,
                    peak,
                    ratio,
                    excess,
                });
            }
        }
    }

    /// Whether the power lies all over bins `first .. first + 839`, as a preamble's does: at least six of eight parts
    /// hold a quarter of the mean. A resource block or two of something strong do not.
    fn is_filled(&self, first: usize) -> bool {
        const PARTS: usize = 8;
        let part = N_ZC / PARTS;
        let mean = (self.energy[first + N_ZC] - self.energy[first]) / PARTS as f64;
        let full = |i: &usize| self.energy[first + (i + 1) * part] - self.energy[first + i * part] > 0.25 * mean;
        (0..PARTS).filter(full).count() >= 6
    }

    /// The root of a preamble in bins `first .. first + 839`, and its correlation peak over the mean.
    fn root_at(&mut self, first: usize) -> Option<(usize, f32)> {
        self.scores.fill(0.0);
        for lag in 1..=LAGS {
            let bins = &self.spectrum[first..first + N_ZC];
            // Only phases: a part of the band that is stronger must not speak for all of it.
            for (p, (a, b)) in self.product.iter_mut().zip(bins[lag..].iter().zip(bins)) {
                let y = a * b.conj();
                *p = y * (1.0 / (y.norm_sqr().sqrt() + 1e-30));
            }
            self.product[N_ZC - lag..].fill(Complex32::ZERO);
            if lag == 1 && !self.shows_a_tone() {
                return None;
            }
            self.tones.process_with_scratch(&mut self.product, &mut self.scratch);
            if lag == 1 {
                // Unit values: the mean of the tones is their number.
                let strongest = self.product.iter().map(Complex32::norm_sqr).fold(0.0, f32::max);
                if strongest < LEAST_TONE * N_ZC as f32 {
                    return None;
                }
            }
            for h in 1..N_ZC {
                self.scores[h] += self.product[h * lag % N_ZC].norm_sqr();
            }
        }
        let mut best: Option<(usize, f32)> = None;
        for _ in 0..TRIED {
            let h = (1..N_ZC).max_by(|&a, &b| self.scores[a].total_cmp(&self.scores[b]))?;
            self.scores[h] = 0.0;
            let root = self.inverse_of[h];
            let peak = self.correlate(first, root);
            if peak >= LEAST_PEAK && best.is_none_or(|(_, p)| peak > p) {
                best = Some((root, peak));
            }
        }
        best
    }

    /// Whether the product may hold a tone that is worth the rest.
    fn shows_a_tone(&mut self) -> bool {
        let padded = &mut self.padded[..GLANCE];
        padded[..N_ZC].copy_from_slice(&self.product);
        padded[N_ZC..].fill(Complex32::ZERO);
        self.glance.process_with_scratch(padded, &mut self.scratch);
        let strongest = padded.iter().map(Complex32::norm_sqr).fold(0.0, f32::max);
        strongest >= GLANCE_LEAST * LEAST_TONE * N_ZC as f32
    }

    /// Peak over mean of the correlation with a root over all lags, sampled 2.4 times as densely as the sequence.
    fn correlate(&mut self, first: usize, root: usize) -> f32 {
        let reference = self.references.entry(root).or_insert_with(|| spectrum_of_root(root, self.tones.as_ref()));
        self.padded.fill(Complex32::ZERO);
        let mut energy = 0.0;
        for ((p, x), r) in self.padded.iter_mut().zip(&self.spectrum[first..first + N_ZC]).zip(reference.iter()) {
            *p = x * r;
            energy += p.norm_sqr();
        }
        self.lags.process_with_scratch(&mut self.padded, &mut self.scratch);
        let peak = self.padded.iter().map(Complex32::norm_sqr).fold(0.0, f32::max);
        // By Parseval, the mean over the 2048 lags is the energy itself.
        if energy > 0.0 { peak / energy } else { 0.0 }
    }

    /// Start, length and level of a preamble, from the power in its band around the window.
    fn propose(&mut self, sighting: &Sighting, snippet: &Snippet<'_>, floor: &NoiseFloor) -> Option<Proposal> {
        let lead = (EDGE_WINDOW_S - SEQUENCE_S) / 2.0;
        let window_start = sighting.window_start as i64 - (lead * self.rate_hz) as i64;
        let rate = self.edges.out_rate_hz();
        let mut window = self.edges.load(&mut self.buffers, snippet, window_start);
        let y = window.channel(sighting.center_hz - snippet.center_hz);
        let noise = floor.power(sighting.center_hz - 590e3, sighting.center_hz + 590e3);
        let power: Vec<f64> = y.iter().map(|z| f64::from(z.norm_sqr())).collect();
        let mean = |from: usize, to: usize| power[from..to].iter().sum::<f64>() / (to - from).max(1) as f64;
        let inside = ((lead + 0.15e-3) * rate) as usize..((lead + SEQUENCE_S - 0.15e-3) * rate) as usize;
        let level = mean(inside.start, inside.end) - noise;
        if level <= 0.0 {
            return None;
        }
        let half = noise + 0.5 * level;
        // Outwards in steps of 10 µs until 40 µs are below half, then the likeliest edge near there.
        let span = (40e-6 * rate) as usize;
        let step = (10e-6 * rate) as usize;
        let mut from = inside.start;
        while from > span + step && mean(from - span, from) > half {
            from -= step;
        }
        let mut to = inside.end;
        while to + span + step < power.len() && mean(to, to + span) > half {
            to += step;
        }
        let edge = |at: usize, rising: bool| {
            let reach = (70e-6 * rate) as usize;
            let low = at.saturating_sub(reach);
            let high = (at + reach).min(power.len());
            let (mut sum, mut best, mut place) = (0.0, f64::NEG_INFINITY, at);
            for i in 0..high - low {
                let n = if rising { high - 1 - i } else { low + i };
                sum += power[n] - half;
                if sum > best {
                    (best, place) = (sum, n);
                }
            }
            place as f64 + if rising { 0.0 } else { 1.0 }
        };
        let (start, end) = (edge(from, true), edge(to, false));
        let seconds = (end - start) / rate;
        // The duration that the standard has; what is neither is no preamble, whatever correlates.
        let (format, nominal) = FORMATS_S
            .iter()
            .enumerate()
            .min_by(|a, b| (a.1 - seconds).abs().total_cmp(&(b.1 - seconds).abs()))
            .map(|(i, s)| (i as u8, *s))?;
        if seconds < 0.7e-3 || (seconds - nominal).abs() > 0.35e-3 {
            return None;
        }
        let fits = (seconds - nominal).abs() < 40e-6;
        let length = if fits { nominal } else { seconds };
        let used = start as usize..(end as usize).min(power.len());
        let emitted = (mean(used.start, used.end) - noise).max(level * 0.1);
        let peak = f64::from(sighting.peak);
        Some(Proposal {
            standard: Standard::Lte,
            kind: Kind::Prach,
            start: window_start as f64 + start / rate * self.rate_hz,
            count: length * self.rate_hz,
            low_hz: sighting.center_hz - HALF_WIDTH_HZ,
            high_hz: sighting.center_hz + HALF_WIDTH_HZ,
            power: emitted,
            channel: None,
            carrier_offset_hz: None,
            standard_confidence: 0.95,
            detail: Detail {
                root: Some(sighting.root as u16),
                format: Some(format),
                resource_blocks: Some(6),
                evidence: vec![
                    // Of peaks above 45, none was of anything else in 4,300 windows of other LTE signals.
                    Evidence::new("preamble_correlation", peak, (3.0 + (peak / f64::from(LEAST_PEAK)).ln()).min(6.0)),
                    Evidence::new("duration_misfit_us", (seconds - nominal) * 1e6, if fits { 1.0 } else { -1.0 }),
                    Evidence::new("band_power_ratio", sighting.ratio, 0.0),
                ],
                ..Detail::default()
            },
        })
    }
}

/// Conjugated spectrum of the root sequence x(n) = exp(-jπ u n(n+1) / 839), lowest frequency first, unit modulus.
fn spectrum_of_root(root: usize, fft: &dyn Fft<f32>) -> Vec<Complex32> {
    let mut x: Vec<Complex32> = (0..N_ZC)
        .map(|n| {
            let turn = (root * n * (n + 1)) % (2 * N_ZC);
            let angle = -std::f64::consts::PI * turn as f64 / N_ZC as f64;
            Complex32::new(angle.cos() as f32, angle.sin() as f32)
        })
        .collect();
    let mut scratch = vec![Complex32::ZERO; fft.get_inplace_scratch_len()];
    fft.process_with_scratch(&mut x, &mut scratch);
    // The waveform puts the sequence's bin 0 on the lowest subcarrier (TS 36.211 5.7.3): no shift.
    let scale = 1.0 / (N_ZC as f32).sqrt();
    x.iter().map(|z| z.conj() * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const RATE_HZ: f64 = 3.84e6;

    fn floor(density: f32) -> NoiseFloor {
        NoiseFloor { center_hz: 847e6, rate_hz: RATE_HZ, density: vec![density; 128] }
    }

    /// A preamble of format 0 with its prefix, by its definition as a sum of subcarriers, in noise.
    fn recording(root: usize, shift: usize, snr_db: f64, seed: u64) -> (Vec<Complex32>, f32) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut gauss = || {
            let (a, b): (f32, f32) = (rng.random::<f32>().max(1e-9), rng.random());
            let r = (-a.ln()).sqrt();
            Complex32::new(r * (std::f32::consts::TAU * b).cos(), r * (std::f32::consts::TAU * b).sin())
        };
        let mut iq: Vec<Complex32> = (0..16_000).map(|_| gauss()).collect();
        let n = (SEQUENCE_S * RATE_HZ) as usize;
        let mut bins = spectrum_of_root(root, fft::forward(N_ZC).as_ref());
        bins.iter_mut().enumerate().for_each(|(k, z)| {
            let angle = -std::f32::consts::TAU * ((k * shift) % N_ZC) as f32 / N_ZC as f32;
            *z = z.conj() * Complex32::from_polar(1.0, angle);
        });
        let mut grid = vec![Complex32::ZERO; n];
        for (k, z) in bins.iter().enumerate() {
            grid[(k + n - 300) % n] = *z;
        }
        fft::inverse(n).process_with_scratch(&mut grid, &mut vec![Complex32::ZERO; 4 * n]);
        // Noise has power 1 over the rate: in 1.08 MHz it is 1.08 / 3.84.
        let amplitude = (10f64.powf(snr_db / 10.0) * 1.08e6 / RATE_HZ).sqrt() as f32;
        let rms = (grid.iter().map(Complex32::norm_sqr).sum::<f32>() / n as f32).sqrt();
        let prefix = 396;
        for i in 0..prefix + n {
            iq[6_000 + i] += grid[(i + n - prefix) % n] * (amplitude / rms);
        }
        (iq, (1.0 / RATE_HZ) as f32)
    }

    fn search(iq: &[Complex32], density: f32) -> Vec<Proposal> {
        let snippet = Snippet { iq, start: 1_000, rate_hz: RATE_HZ, center_hz: 847e6 };
        let mut out = Vec::new();
        PrachSearch::new(RATE_HZ).unwrap().search(&snippet, &floor(density), &[(0, u64::MAX)], &mut out);
        out
    }

    #[test]
    fn every_kind_of_root_is_found_and_named_at_8_db() {
        for (seed, root) in [1, 2, 5, 25, 129, 140, 419, 420, 700, 837, 838].into_iter().enumerate() {
            for shift in [0, 119, 500] {
                let (iq, density) = recording(root, shift, 8.0, seed as u64);
                let found = search(&iq, density);
                assert_eq!(found.len(), 1, "root {root} shift {shift}: {found:?}");
                assert_eq!(found[0].detail.root, Some(root as u16));
                assert_eq!(found[0].detail.format, Some(0));
                assert!((found[0].start - 7_000.0).abs() < 60.0, "root {root}: {}", found[0].start);
            }
        }
    }

    #[test]
    fn noise_holds_no_preamble() {
        for seed in 0..20 {
            let (iq, density) = recording(129, 0, -200.0, seed);
            // A floor that is 6 dB too low opens the gate: the correlator has to say no.
            assert!(search(&iq, density / 4.0).is_empty());
        }
    }
}
