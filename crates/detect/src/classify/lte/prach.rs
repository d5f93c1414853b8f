//! PRACH preambles of any root, at any place of the band.
//!
//! In a transform of 0.8 ms a preamble is 839 neighbouring bins of 1.25 kHz (TS 36.211 5.7). The DFT of a
//! Zadoff–Chu sequence is one again, so X\[k+d\]·X*\[k\] is a pure tone whatever the delay: its frequency d/u mod
//! 839 names the root. A few lags d together propose roots; the correlator with the proposed root decides.

use crate::candidate::{NoiseFloor, Proposal, Snippet};
use crate::channelize::{ChannelBuffers, Channelizer};
use crate::fft;
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use num_complex::{Complex32, Complex64};
use rustfft::Fft;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Length of the sequence, and its subcarriers (TS 36.211 table 5.7.2-1).
pub const N_ZC: usize = 839;
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
pub const ECHO: f64 = 0.01;
/// Roots that are tried with the correlator, and of a faint one.
const TRIED: usize = 2;
const FAINT_TRIED: usize = 4;
/// Where windows of a faint one begin, from where the gate has it; and how many subcarriers it may be off.
const FAINT_STARTS_S: [f64; 3] = [0.0, -0.12e-3, 0.12e-3];
const FAINT_OFFSETS: [f64; 2] = [0.0, 0.5];
/// The strongest sum of tones over the mean of one that is worth more than a first try. Noise passes 30 once in 2,000 tries; a
/// preamble at -5 dB reaches 300, one at -8.5 dB 80.
const LEAST_SCORE: f32 = 30.0;
/// Energy in its bins over the floor's above which a preamble is not faint.
const FAINT_MOST_RATIO: f64 = 5.0;
/// Roots whose preambles are so many lines in time and frequency look like what sweeps over the band (a magnetron, a jammer). That
/// has this share of its density beside the band where it is surely not noise; where that is not seen, it counts against it.
const SWEEP_LINES: usize = 3;
const SWEEP_SHARE: f64 = 0.5;
const SWEEP_SIGMAS: f64 = 2.5;
const SWEEP_LLR: f64 = -3.0;
/// Points of a short transform, and the strongest of its bins over their mean in what is spread as a preamble is: 4.2 in noise, 5 of a
/// root of four lines at 5 dB; a sweep has 7 at -5 dB and 13 at 0 dB.
const SHORT: usize = 64;
const MOST_CREST: f64 = 6.0;
/// Bins to both sides of where the gate has it, in steps, in which its place is sought by the correlation: a bin that is not its own
/// takes 1/839 of the peak's amplitude.
const FAINT_REACH: usize = 48;
const FAINT_STEP: usize = 8;
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
    short: Arc<dyn Fft<f32>>,
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
        let (glance, short) = (fft::forward(GLANCE), fft::forward(SHORT));
        let scratch =
            [&fft, &tones, &glance, &lags, &short].iter().map(|f| f.get_inplace_scratch_len()).max().unwrap_or(0);
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
            short,
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

    /// The preamble that begins near `start` of the recording and lies about `center_hz`, where hardly more than its energy shows.
    pub fn search_faint(
        &mut self,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        start: u64,
        center_hz: f64,
    ) -> Option<Proposal> {
        self.sum_noise(snippet.center_hz, floor);
        let bin_hz = self.rate_hz / self.window as f64;
        let middle = ((center_hz - snippet.center_hz) / bin_hz).round() as i64 + (self.window / 2) as i64;
        let first = usize::try_from(middle - (N_ZC / 2) as i64).ok().filter(|f| f + N_ZC <= self.window)?;
        let mut best: Option<Sighting> = None;
        let mut shows = [true; FAINT_OFFSETS.len()];
        for (i, shift_s) in FAINT_STARTS_S.into_iter().enumerate() {
            let at = start as i64 - snippet.start as i64 + (shift_s * self.rate_hz).round() as i64;
            let Some(at) = usize::try_from(at).ok().filter(|at| at + self.window <= snippet.iq.len()) else { continue };
            for (offset, shows) in FAINT_OFFSETS.into_iter().zip(&mut shows).filter(|(_, shows)| **shows) {
                self.load(&snippet.iq[at..at + self.window], offset);
                self.score_roots(first, false);
                if i == 0 {
                    *shows = self.scores.iter().copied().fold(0.0, f32::max) >= LEAST_SCORE * N_ZC as f32;
                }
                let found = if *shows { self.faint_root(first) } else { None };
                if let Some((root, peak, first)) = found.filter(|f| best.is_none_or(|b| f.1 > b.peak)) {
                    let of = |sums: &[f64]| sums[first + N_ZC] - sums[first];
                    let (energy, noise) = (of(&self.energy), of(&self.noise));
                    let bin = first as f64 + (N_ZC / 2) as f64 - (self.window / 2) as f64 + offset;
                    best = Some(Sighting {
                        window_start: snippet.start + at as u64,
                        center_hz: snippet.center_hz + bin * bin_hz,
                        root,
                        peak,
                        ratio: energy / noise,
                        excess: energy - noise,
                    });
                }
            }
        }
        // What is not faint shows its edges, by which it is judged.
        self.propose_faint(&best.filter(|b| b.ratio < FAINT_MOST_RATIO)?, snippet, floor)
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

    /// The spectrum of a window, shifted down by a part of a bin, and its running sums.
    fn load(&mut self, iq: &[Complex32], bins_down: f64) {
        let n = self.window;
        self.spectrum.copy_from_slice(iq);
        if bins_down != 0.0 {
            let step = -std::f64::consts::TAU * bins_down / n as f64;
            let turn = Complex64::from_polar(1.0, step);
            let mut phase = Complex64::new(1.0, 0.0);
            for z in &mut self.spectrum {
                *z *= Complex32::new(phase.re as f32, phase.im as f32);
                phase *= turn;
            }
        }
        self.fft.process_with_scratch(&mut self.spectrum, &mut self.scratch);
        self.spectrum.rotate_right(n / 2); // lowest frequency first
        self.sum_energy();
    }

    /// Looks at the window that begins at `at` of the snippet.
    fn look(&mut self, snippet: &Snippet<'_>, at: usize, sightings: &mut Vec<Sighting>) {
        let n = self.window;
        self.load(&snippet.iq[at..at + n], 0.0);
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
        if !self.score_roots(first, true) {
            return None;
        }
        let mut best: Option<(usize, f32)> = None;
        for _ in 0..TRIED {
            let root = self.take_likeliest_root()?;
            let peak = self.correlate(first, root);
            if peak >= LEAST_PEAK && best.is_none_or(|(_, p)| peak > p) {
                best = Some((root, peak));
            }
        }
        best
    }

    /// The same of a faint one about there whose roots were scored, and its first bin.
    fn faint_root(&mut self, first: usize) -> Option<(usize, f32, usize)> {
        let mut best: Option<(usize, f32, usize)> = None;
        for _ in 0..FAINT_TRIED {
            let root = self.take_likeliest_root()?;
            let peak = self.correlate(first, root);
            if peak >= LEAST_PEAK && best.is_none_or(|(_, p, _)| peak > p) {
                best = Some((root, peak, first));
            }
        }
        let (root, ..) = best?;
        let low = first.saturating_sub(FAINT_REACH);
        for near in (low..=(first + FAINT_REACH).min(self.window - N_ZC)).step_by(FAINT_STEP) {
            let peak = self.correlate(near, root);
            if best.is_none_or(|(_, p, _)| peak > p) {
                best = Some((root, peak, near));
            }
        }
        best
    }

    /// The likeliest root by the tones of all lags, which is then out of the race.
    fn take_likeliest_root(&mut self) -> Option<usize> {
        let h = (1..N_ZC).max_by(|&a, &b| self.scores[a].total_cmp(&self.scores[b]))?;
        self.scores[h] = 0.0;
        Some(self.inverse_of[h])
    }

    /// Adds the tones of the lags for each inverse of a root. With `glance`, gives up where the first lag shows no tone.
    fn score_roots(&mut self, first: usize, glance: bool) -> bool {
        self.scores.fill(0.0);
        for lag in 1..=LAGS {
            let bins = &self.spectrum[first..first + N_ZC];
            // Only phases: a part of the band that is stronger must not speak for all of it.
            for (p, (a, b)) in self.product.iter_mut().zip(bins[lag..].iter().zip(bins)) {
                let y = a * b.conj();
                *p = y * (1.0 / (y.norm_sqr().sqrt() + 1e-30));
            }
            self.product[N_ZC - lag..].fill(Complex32::ZERO);
            if glance && lag == 1 && !self.shows_a_tone() {
                return false;
            }
            self.tones.process_with_scratch(&mut self.product, &mut self.scratch);
            if glance && lag == 1 {
                // Unit values: the mean of the tones is their number.
                let strongest = self.product.iter().map(Complex32::norm_sqr).fold(0.0, f32::max);
                if strongest < LEAST_TONE * N_ZC as f32 {
                    return false;
                }
            }
            for h in 1..N_ZC {
                self.scores[h] += self.product[h * lag % N_ZC].norm_sqr();
            }
        }
        true
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

    /// A preamble with the edges that the power in its band shows.
    fn propose(&mut self, sighting: &Sighting, snippet: &Snippet<'_>, floor: &NoiseFloor) -> Option<Proposal> {
        let around = self.power_around(sighting, snippet, floor)?;
        let (start, end) = around.edges();
        let seconds = (end - start) / around.rate_hz;
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
        let misfit = Evidence::new("duration_misfit_us", (seconds - nominal) * 1e6, if fits { 1.0 } else { -1.0 });
        Some(self.proposal(sighting, &around, (start, end, length), format, Some(misfit)))
    }

    /// A faint preamble: of which format, and from where, most of the power speaks for. Its edges do not show.
    fn propose_faint(&mut self, sighting: &Sighting, snippet: &Snippet<'_>, floor: &NoiseFloor) -> Option<Proposal> {
        let around = self.power_around(sighting, snippet, floor)?;
        if !around.is_steady() {
            return None;
        }
        let (format, start, end) = around.likeliest_format()?;
        let is_a_line = self.is_a_line(sighting.root);
        if !is_a_line && self.crest(sighting, snippet, &around) > MOST_CREST {
            return None;
        }
        if is_a_line && [-1.0, 1.0].into_iter().any(|side| self.goes_on_beside(sighting, &around, snippet, floor, side))
        {
            return None;
        }
        let length = (end - start) / around.rate_hz;
        let sweep = is_a_line.then(|| Evidence::new("sweeps_as_others_do", 1.0, SWEEP_LLR));
        let proposal = self.proposal(sighting, &around, (start, end, length), format, sweep);
        // One line is no proof of a standard.
        Some(if is_a_line {
            Proposal { standard: Standard::Unknown, kind: Kind::Unknown, ..proposal }
        } else {
            proposal
        })
    }

    /// Whether a preamble of the root is one line or a few across its band, as what sweeps is.
    fn is_a_line(&self, root: usize) -> bool {
        [root, self.inverse_of[root]].into_iter().any(|u| u.min(N_ZC - u) <= SWEEP_LINES)
    }

    /// The strongest of the 30 kHz of a preamble's band over their mean, in the mean of stretches of 33 µs. What sweeps is in one of them
    /// at a time, and correlates with part of many a root.
    fn crest(&mut self, sighting: &Sighting, snippet: &Snippet<'_>, around: &PowerAround) -> f64 {
        let half = (HALF_WIDTH_HZ / around.rate_hz * SHORT as f64) as usize;
        let mut window = self.edges.loaded(&mut self.buffers);
        let y = window.channel(sighting.center_hz - snippet.center_hz);
        let stretches = around.inside();
        let (mut crests, mut count) = (0.0, 0.0);
        for stretch in y[stretches].chunks_exact_mut(SHORT) {
            self.short.process_with_scratch(stretch, &mut self.scratch);
            let power = stretch[..half].iter().chain(&stretch[SHORT - half..]).map(Complex32::norm_sqr);
            let (sum, most) = power.fold((0.0, 0.0f32), |(sum, most), p| (sum + p, p.max(most)));
            crests += f64::from(most / sum.max(f32::MIN_POSITIVE)) * 2.0 * half as f64;
            count += 1.0;
        }
        crests / f64::max(count, 1.0)
    }

    /// Whether energy lies beside the band of a sighting, on one `side` (-1 or 1), as dense as in it: what sweeps comes from there, or
    /// goes on there.
    fn goes_on_beside(
        &mut self,
        sighting: &Sighting,
        around: &PowerAround,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        side: f64,
    ) -> bool {
        const WIDTH_HZ: f64 = 200e3;
        const MORE_S: f64 = 0.4e-3;
        let middle_hz = sighting.center_hz + side * (HALF_WIDTH_HZ + WIDTH_HZ / 2.0 + 20e3);
        let noise = floor.power(middle_hz - WIDTH_HZ / 2.0, middle_hz + WIDTH_HZ / 2.0);
        let mut window = self.edges.loaded(&mut self.buffers);
        let y = window.band(middle_hz - snippet.center_hz, 0.45 * WIDTH_HZ, 0.55 * WIDTH_HZ);
        let (from, to) =
            (around.at(PowerAround::LEAD_S - MORE_S), around.at(PowerAround::LEAD_S + SEQUENCE_S + MORE_S));
        let power = y[from..to].iter().map(|z| f64::from(z.norm_sqr())).sum::<f64>() / (to - from) as f64;
        let seconds = SEQUENCE_S + 2.0 * MORE_S;
        let inside = around.level * FORMATS_S[0] / (2.0 * HALF_WIDTH_HZ);
        let share = (power - noise) * seconds / WIDTH_HZ / inside;
        let deviation = noise / (WIDTH_HZ * seconds).sqrt() * seconds / WIDTH_HZ / inside;
        share > SWEEP_SHARE.max(SWEEP_SIGMAS * deviation)
    }

    /// The power in a preamble's band around its window.
    fn power_around(&mut self, sighting: &Sighting, snippet: &Snippet<'_>, floor: &NoiseFloor) -> Option<PowerAround> {
        let window_start = sighting.window_start as i64 - (PowerAround::LEAD_S * self.rate_hz) as i64;
        let rate_hz = self.edges.out_rate_hz();
        let mut window = self.edges.load(&mut self.buffers, snippet, window_start);
        let y = window.channel(sighting.center_hz - snippet.center_hz);
        let noise = floor.power(sighting.center_hz - 590e3, sighting.center_hz + 590e3);
        let power: Vec<f64> = y.iter().map(|z| f64::from(z.norm_sqr())).collect();
        let mut around = PowerAround { window_start, rate_hz, power, noise, level: 0.0 };
        let inside = around.inside();
        around.level = around.mean(inside.start, inside.end) - noise;
        (around.level > 0.0).then_some(around)
    }

    /// What is said of a preamble from `start` to `end` of the power around it, `length` seconds long.
    fn proposal(
        &self,
        sighting: &Sighting,
        around: &PowerAround,
        (start, end, length): (f64, f64, f64),
        format: u8,
        more: Option<Evidence>,
    ) -> Proposal {
        let used = start as usize..(end as usize).min(around.power.len());
        let emitted = (around.mean(used.start, used.end) - around.noise).max(around.level * 0.1);
        let peak = f64::from(sighting.peak);
        // Of peaks above 45, none was of anything else in 4,300 windows of other LTE signals.
        let mut evidence =
            vec![Evidence::new("preamble_correlation", peak, (3.0 + (peak / f64::from(LEAST_PEAK)).ln()).min(6.0))];
        evidence.extend(more);
        evidence.push(Evidence::new("band_power_ratio", sighting.ratio, 0.0));
        Proposal {
            standard: Standard::Lte,
            kind: Kind::Prach,
            start: around.window_start as f64 + start / around.rate_hz * self.rate_hz,
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
                evidence,
                ..Detail::default()
            },
        }
    }
}

/// Power in a preamble's band, from before the window in which it was seen to behind it.
struct PowerAround {
    /// First sample, of the recording.
    window_start: i64,
    rate_hz: f64,
    power: Vec<f64>,
    /// The floor's power in the band, and the preamble's, linear over full scale.
    noise: f64,
    level: f64,
}

impl PowerAround {
    /// From its start to that of the window.
    const LEAD_S: f64 = (EDGE_WINDOW_S - SEQUENCE_S) / 2.0;

    fn at(&self, seconds: f64) -> usize {
        (seconds * self.rate_hz) as usize
    }

    fn mean(&self, from: usize, to: usize) -> f64 {
        self.power[from..to].iter().sum::<f64>() / (to - from).max(1) as f64
    }

    /// Surely in the preamble.
    fn inside(&self) -> Range<usize> {
        self.at(Self::LEAD_S + 0.15e-3)..self.at(Self::LEAD_S + SEQUENCE_S - 0.15e-3)
    }

    /// Whether no quarter of its window holds most of the power, as it does of what is shorter (a sounding symbol).
    fn is_steady(&self) -> bool {
        const MOST: f64 = 1.8;
        // Three deviations of noise in 0.2 ms of the band.
        const SLACK: f64 = 0.2;
        let (start, quarter) = (self.at(Self::LEAD_S), self.at(SEQUENCE_S / 4.0));
        let over = |from: usize, to: usize| self.mean(from, to) - self.noise;
        let most = MOST * over(start, start + 4 * quarter) + SLACK * self.noise;
        (0..4).all(|i| over(start + i * quarter, start + (i + 1) * quarter) < most)
    }

    fn half(&self) -> f64 {
        self.noise + 0.5 * self.level
    }

    /// Outwards in steps of 10 µs until 40 µs are below half, then the likeliest edge near there.
    fn edges(&self) -> (f64, f64) {
        let (inside, half, power) = (self.inside(), self.half(), &self.power);
        let (span, step) = (self.at(40e-6), self.at(10e-6));
        let mut from = inside.start;
        while from > span + step && self.mean(from - span, from) > half {
            from -= step;
        }
        let mut to = inside.end;
        while to + span + step < power.len() && self.mean(to, to + span) > half {
            to += step;
        }
        let edge = |at: usize, rising: bool| {
            let reach = self.at(70e-6);
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
        (edge(from, true), edge(to, false))
    }

    /// The format and place that have the most power over half of the level in them, and the least beside them.
    fn likeliest_format(&self) -> Option<(u8, f64, f64)> {
        let half = self.half();
        let sums: Vec<f64> = std::iter::once(0.0)
            .chain(self.power.iter().scan(0.0, |sum, p| {
                *sum += p - half;
                Some(*sum)
            }))
            .collect();
        // The window lies in the preamble, but for what the gate errs.
        let slack = 0.2e-3;
        let mut best: Option<(f64, u8, usize, usize)> = None;
        for (format, seconds) in (0..).zip(FORMATS_S) {
            let count = self.at(seconds);
            let earliest = self.at(Self::LEAD_S + SEQUENCE_S - seconds - slack);
            for start in earliest..=self.at(Self::LEAD_S + slack) {
                let end = start + count;
                let sum = sums.get(end)? - sums[start];
                if best.is_none_or(|b| sum > b.0) {
                    best = Some((sum, format, start, end));
                }
            }
        }
        best.map(|(_, format, start, end)| (format, start as f64, end as f64))
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

    /// SNR in 1.08 MHz; the gate errs in time and frequency, the receiver by up to half a subcarrier.
    #[test]
    fn faint_preambles_are_found_where_the_gate_points() {
        let mut search = PrachSearch::new(RATE_HZ).unwrap();
        let (mut found, mut rightly, mut trials) = (0, 0, 0);
        for seed in 0..200u64 {
            let root = 1 + (seed * 37 % 838) as usize;
            let (mut iq, density) = recording(root, (seed * 101 % 839) as usize, -6.0, 1_000 + seed);
            let off_hz = (seed % 11) as f64 * 125.0 - 625.0;
            for (n, z) in iq.iter_mut().enumerate() {
                let turn = std::f64::consts::TAU * off_hz * n as f64 / RATE_HZ;
                *z *= Complex32::new(turn.cos() as f32, turn.sin() as f32);
            }
            let snippet = Snippet { iq: &iq, start: 1_000, rate_hz: RATE_HZ, center_hz: 847e6 };
            let truth_hz = 847e6 + (419.0 - 300.0) * 1250.0 + off_hz;
            let (start, hz) = (7_200 + (seed * 53 % 384), truth_hz + (seed % 7) as f64 * 10e3 - 30e3);
            trials += 1;
            if let Some(p) = search.search_faint(&snippet, &floor(density), start, hz) {
                found += 1;
                let near = (p.start - 7_000.0).abs() < 150e-6 * RATE_HZ
                    && ((p.low_hz + p.high_hz) / 2.0 - truth_hz).abs() < 60e3;
                rightly += usize::from(near && p.detail.root == Some(root as u16) && p.detail.format == Some(0));
            }
            // The same place in noise alone.
            let (iq, density) = recording(root, 0, -200.0, 5_000 + seed);
            let snippet = Snippet { iq: &iq, ..snippet };
            assert!(search.search_faint(&snippet, &floor(density), start, hz).is_none());
        }
        assert!(found >= trials - 2 && rightly >= found - 15, "{rightly} of {found} of {trials}");
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
