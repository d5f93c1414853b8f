//! GSM access and normal bursts, by their training sequences at their own places.
//!
//! A region gives the place to within some ten microseconds. There the channel is brought to four samples a symbol
//! and compared with the 41-symbol synchronisation sequences of the access burst and the 26-symbol training
//! sequences of the normal burst (TS 45.002 5.2). What the burst must also show is its power: constant over
//! its symbols and gone in the guard periods on both sides, which a downlink carrier never is.
//! Training sequences are broadcast structure: no payload bit is looked at.

use crate::candidate::{Classifier, NoiseFloor, Proposal, Region, Snippet};
use crate::channelize::{ChannelBuffers, Channelizer, Window};
use cellwarden_standards::{band, gsm};
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use num_complex::Complex32;
use std::ops::RangeInclusive;

/// Samples per symbol after channelisation.
const SPS: usize = 4;
/// Window of the channelizer: a slot and its surroundings.
const WINDOW_S: f64 = 1.6e-3;
/// The window begins at least so long before the place that is looked at, on a grid of [`GRID_S`]: places near each
/// other, on any channel, share a transform.
const LEAD_S: f64 = 0.25e-3;
const GRID_S: f64 = 0.25e-3;
/// A burst may begin so far from where the region's edge says.
const SEARCH_S: f64 = 60e-6;
/// Least normalised correlation. Other sequences reach 0.46 with 41 symbols; with 26 they reach 0.6 at the burst's
/// place (`detection-gsm`, 3b). A burst at 8 dB reaches about 0.8.
const ACCESS_RHO: f32 = 0.5;
const NORMAL_RHO: f32 = 0.6;
/// Around a burst the carrier is off, for 8.25 symbols between normal bursts, with ramps of 2 to 4 symbols within: so many
/// symbols away, its power is at most this share of the burst's.
const GUARD: (f64, f64) = (2.6, 5.6);
const GUARD_MOST: f64 = 0.4;
/// The weakest eighth of a burst: its envelope is constant, so never far below the mean.
const WEAKEST_LEAST: f64 = 0.3;
/// Nothing follows an access burst for long.
const AFTER_ACCESS: (f64, f64) = (8.0, 50.0);
const AFTER_ACCESS_MOST: f64 = 0.3;
/// Where a burst begins is first known to half a symbol: limits are wider by this until it is known better.
const SLACK: f64 = 1.25;
/// The name of the evidence that tells how well the training sequence fits, 0 to 1.
pub const TRAINING_CORRELATION: &str = "training_correlation";
/// The name of the evidence that tells which way the phase turns over the tail bits, -1 to 1.
pub const TAIL_TURN: &str = "tail_turn";
const GMSK: &str = "GMSK";
const PSK8: &str = "8PSK";
/// Steps of carrier offset that are tried: the radio may be 2 ppm off, the phone 0.1 ppm.
const OFFSET_STEP_HZ: f64 = 1_400.0;
const OFFSET_PPM: f64 = 2.2;

/// A known stretch of a burst, modulated.
struct Template {
    kind: Kind,
    name: &'static str,
    modulation: &'static str,
    /// First symbol of the stretch in its burst.
    first_symbol: usize,
    burst_symbols: usize,
    by_offset: Vec<Reference>,
}

/// A template's stretch as a carrier offset turns it.
struct Reference {
    offset_hz: f64,
    /// Conjugated, unit amplitude.
    samples: Vec<Complex32>,
    /// Every other sample, for the search.
    coarse: Split,
}

/// Complex values as two rows: plain loops over them become vector code.
#[derive(Clone, Debug, Default)]
struct Split {
    re: Vec<f32>,
    im: Vec<f32>,
}

/// Judges regions of one stream.
pub struct GsmClassifier {
    channelizer: Channelizer,
    windows: Windows,
    templates: Vec<Template>,
    /// Every other sample of the channel that is looked at, and running sums of their power.
    even: Split,
    energy: Vec<f32>,
    /// Where an access and a normal burst may begin by its power, as every other sample.
    places: [Vec<usize>; 2],
}

/// The best match of one template.
#[derive(Clone, Copy)]
struct Match {
    template: usize,
    offset_hz: f64,
    /// Where bit 0 begins, in channel samples.
    start: f64,
    rho: f32,
}

impl GsmClassifier {
    /// For a stream at `rate_hz` tuned to `center_hz`.
    pub fn new(rate_hz: f64, center_hz: f64) -> Self {
        let out_rate = SPS as f64 * gsm::SYMBOL_RATE;
        let channelizer = Channelizer::new(rate_hz, WINDOW_S, out_rate, 95e3, 145e3);
        let steps = (center_hz * OFFSET_PPM * 1e-6 / OFFSET_STEP_HZ).round().max(1.0) as i32;
        let offsets: Vec<f64> = (-steps..=steps).map(|k| f64::from(k) * OFFSET_STEP_HZ).collect();
        let rate = channelizer.out_rate_hz();
        let template = |kind, name, modulation, first_symbol, burst_symbols, bits: &[u8]| {
            let reference = if modulation == GMSK { modulate_gmsk(bits) } else { modulate_8psk(bits) };
            let by_offset = offsets
                .iter()
                .map(|&offset_hz| {
                    let turned = reference.iter().enumerate().map(|(n, z)| {
                        let turn = std::f64::consts::TAU * offset_hz * n as f64 / rate;
                        (z * Complex32::new(turn.cos() as f32, turn.sin() as f32)).conj()
                    });
                    let samples: Vec<Complex32> = turned.collect();
                    let mut coarse = Split::default();
                    coarse.fill(samples.iter().step_by(2));
                    Reference { offset_hz, samples, coarse }
                })
                .collect();
            Template { kind, name, modulation, first_symbol, burst_symbols, by_offset }
        };
        let mut templates = Vec::new();
        for (bits, name) in gsm::ACCESS_SYNC.iter().zip(gsm::ACCESS_SYNC_NAMES) {
            templates.push(template(Kind::Access, name, GMSK, gsm::ACCESS_SYNC_START, gsm::ACCESS_BURST_SYMBOLS, bits));
        }
        for (bits, name) in gsm::TSC.iter().zip(gsm::TSC_NAMES) {
            for modulation in [GMSK, PSK8] {
                let (first, symbols) = (gsm::NORMAL_TSC_START, gsm::NORMAL_BURST_SYMBOLS);
                templates.push(template(Kind::Normal, name, modulation, first, symbols, bits));
            }
        }
        let windows = Windows::new(&channelizer);
        Self {
            channelizer,
            windows,
            templates,
            even: Split::default(),
            energy: Vec::new(),
            places: [Vec::new(), Vec::new()],
        }
    }

    /// Says that the next region is of another snippet than the last.
    pub fn begin(&mut self) {
        self.windows.forget();
    }

    /// The burst that begins near sample `near` of the recording in the channel at `channel_hz`, if there is one.
    fn burst_at(
        &mut self,
        near: f64,
        channel: &band::GsmChannel,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
    ) -> Option<Proposal> {
        let grid = GRID_S * snippet.rate_hz;
        let window_start = (((near - LEAD_S * snippet.rate_hz) / grid).floor() * grid).round() as i64;
        let mut window = self.windows.load(&self.channelizer, snippet, window_start);
        let rate = self.channelizer.out_rate_hz();
        let y: &[Complex32] = window.channel(channel.center_hz - snippet.center_hz);
        let expected = (near - window_start as f64) / snippet.rate_hz * rate;
        let reach = SEARCH_S * rate;
        let samples_per_symbol = rate / gsm::SYMBOL_RATE;
        self.even.fill(y.iter().step_by(2));
        self.energy.clear();
        self.energy.push(0.0);
        let mut sum = 0.0;
        self.energy.extend(self.even.re.iter().zip(&self.even.im).map(|(re, im)| {
            sum += re * re + im * im;
            sum
        }));
        let noise = floor.power(channel.center_hz - 120e3, channel.center_hz + 120e3);
        let near = ((expected - reach).max(0.0) / 2.0) as usize..=((expected + reach) / 2.0) as usize;
        let kinds = [(Kind::Access, gsm::ACCESS_BURST_SYMBOLS), (Kind::Normal, gsm::NORMAL_BURST_SYMBOLS)];
        for (places, (kind, symbols)) in self.places.iter_mut().zip(kinds) {
            let shape = Shape { kind, symbols: symbols as f64, noise };
            shape.places(&self.energy, near.clone(), samples_per_symbol / 2.0, places);
        }
        if self.places.iter().all(Vec::is_empty) {
            return None;
        }
        let mut best: Option<Match> = None;
        for (index, template) in self.templates.iter().enumerate() {
            let lead = template.first_symbol as f64 * samples_per_symbol;
            let (places, least) = match template.kind {
                Kind::Access => (&self.places[0], ACCESS_RHO),
                _ => (&self.places[1], NORMAL_RHO),
            };
            let coarse_lead = (lead / 2.0).round() as usize;
            // Every other place and sample, and every third offset, first: the signal is half as wide as half the
            // rate, and a step of 1.4 kHz costs 41 symbols 15 %.
            for group in template.by_offset.chunks(3) {
                let coarse = &group[group.len() / 2].coarse;
                let (peak, place) = search(&self.even, &self.energy, coarse, places, coarse_lead);
                if peak < 0.8 * (least - 0.1) || best.is_some_and(|b| peak < 0.8 * (b.rho - 0.1)) {
                    continue;
                }
                for reference in group {
                    let length = reference.samples.len();
                    let exact = |at: usize| y.get(at..at + length).map_or(0.0, |x| correlation(x, &reference.samples));
                    let first = (2 * place).saturating_sub(3);
                    let (at, rho) = (first..=2 * place + 3)
                        .map(|at| (at, exact(at)))
                        .fold((0, 0.0f32), |m, v| if v.1 > m.1 { v } else { m });
                    if rho >= least && best.is_none_or(|b| rho > b.rho) {
                        let (a, c) = (exact(at.saturating_sub(1)), exact(at + 1));
                        let bend = a - 2.0 * rho + c;
                        let fraction = if bend < 0.0 { 0.5 * (a - c) / bend } else { 0.0 };
                        let start = at as f64 + f64::from(fraction.clamp(-0.5, 0.5)) - lead;
                        best = Some(Match { template: index, offset_hz: reference.offset_hz, start, rho });
                    }
                }
            }
        }
        let found = best?;
        let template = &self.templates[found.template];
        let mean = |from_symbol: f64, to_symbol: f64| {
            let at = |s: f64| ((found.start + s * samples_per_symbol).round().max(0.0) as usize).min(y.len());
            let part = &y[at(from_symbol)..at(to_symbol).max(at(from_symbol))];
            part.iter().map(|z| f64::from(z.norm_sqr())).sum::<f64>() / part.len().max(1) as f64
        };
        let symbols = template.burst_symbols as f64;
        let (power, guard) = Shape { kind: template.kind, symbols, noise }.measure(mean, 1.0)?;
        let rho = f64::from(found.rho);
        // At zero correlation this says nothing; from 0.85 on, no other emission has been seen to reach it.
        let rho_llr = (rho - 0.45) / 0.05;
        let guard_llr = (GUARD_MOST - guard) * 4.0;
        let carrier_offset_hz = found.offset_hz + residual_offset_hz(y, &found, template, rate);
        let mut evidence = vec![
            Evidence::new(TRAINING_CORRELATION, rho, rho_llr.clamp(0.0, 8.0)),
            Evidence::new("guard_period_power", guard, guard_llr),
        ];
        if template.modulation == GMSK {
            let turn = tail_turn(y, found.start, samples_per_symbol, template);
            evidence.push(Evidence::new(TAIL_TURN, turn, turn));
        }
        let surely = if rho > 0.8 { 0.2 } else { 0.0 };
        Some(Proposal {
            standard: Standard::Gsm,
            kind: template.kind,
            start: window_start as f64 + found.start / rate * snippet.rate_hz,
            count: symbols / gsm::SYMBOL_RATE * snippet.rate_hz,
            low_hz: channel.center_hz - gsm::CHANNEL_HZ / 2.0,
            high_hz: channel.center_hz + gsm::CHANNEL_HZ / 2.0,
            power,
            channel: Some(u32::from(channel.arfcn)),
            carrier_offset_hz: Some(carrier_offset_hz),
            standard_confidence: ((0.5 + 0.6 * (rho - 0.45)).clamp(0.5, 0.99) + surely).min(0.99),
            sequence_start: None,
            detail: Detail {
                training_sequence: Some(template.name.to_owned()),
                modulation: Some(template.modulation.to_owned()),
                evidence,
                ..Detail::default()
            },
        })
    }
}

/// The windows of a snippet that were loaded last: neighbouring channels, and the places that a region gives, share them.
struct Windows {
    /// Their starts, if they hold something, and what they hold.
    held: [(Option<i64>, ChannelBuffers); Self::COUNT],
    next: usize,
}

impl Windows {
    /// A region asks for up to four places, and its neighbours for the same.
    const COUNT: usize = 6;

    fn new(channelizer: &Channelizer) -> Self {
        Self { held: std::array::from_fn(|_| (None, ChannelBuffers::new([channelizer]))), next: 0 }
    }

    fn forget(&mut self) {
        self.held.iter_mut().for_each(|(start, _)| *start = None);
    }

    fn load<'a>(&'a mut self, channelizer: &'a Channelizer, snippet: &Snippet<'_>, start: i64) -> Window<'a> {
        if let Some(at) = self.held.iter().position(|(held, _)| *held == Some(start)) {
            return channelizer.loaded(&mut self.held[at].1);
        }
        let (held, buffers) = &mut self.held[self.next];
        self.next = (self.next + 1) % Self::COUNT;
        *held = Some(start);
        channelizer.load(buffers, snippet, start)
    }
}

impl Classifier for GsmClassifier {
    fn classify(&mut self, region: &Region, snippet: &Snippet<'_>, floor: &NoiseFloor, out: &mut Vec<Proposal>) {
        let seconds = region.count as f64 / snippet.rate_hz;
        let width = region.high_hz - region.low_hz;
        if !(200e-6..12e-3).contains(&seconds) || !(50e3..450e3).contains(&width) {
            return;
        }
        let Some(channel) = band::gsm_channel((region.low_hz + region.high_hz) / 2.0) else {
            return;
        };
        let slot = gsm::SLOT_SYMBOLS / gsm::SYMBOL_RATE * snippet.rate_hz;
        let (start, end) = (region.start as f64, (region.start + region.count) as f64);
        // Bursts in neighbouring slots run together into one region: walk it slot by slot. A region's
        // start is blurred where something stood before it, so its end gives a place to try as well.
        let slots = ((end - start) / slot).round().max(1.0) as usize;
        let mut found = 0;
        let mut at = start;
        for _ in 0..slots {
            match self.burst_at(at, &channel, snippet, floor) {
                Some(p) => {
                    at = p.start + slot;
                    out.push(p);
                    found += 1;
                }
                None => at += slot,
            }
        }
        if found == 0 {
            for symbols in [gsm::NORMAL_BURST_SYMBOLS, gsm::ACCESS_BURST_SYMBOLS] {
                let at = end - symbols as f64 / gsm::SYMBOL_RATE * snippet.rate_hz;
                if let Some(p) = self.burst_at(at, &channel, snippet, floor) {
                    out.push(p);
                    return;
                }
            }
        }
    }
}

impl Split {
    fn fill<'a>(&mut self, values: impl Iterator<Item = &'a Complex32>) {
        self.re.clear();
        self.im.clear();
        for z in values {
            self.re.push(z.re);
            self.im.push(z.im);
        }
    }
}

/// How a burst's power goes.
struct Shape {
    kind: Kind,
    symbols: f64,
    /// Of the noise, in the channel.
    noise: f64,
}

impl Shape {
    /// Where in `near` such a burst may begin: off before it and behind it, and never far below its mean in between. Cheaper
    /// than a correlation, and less strict than what is asked after it. `energy` are running sums over every other sample, of
    /// which a symbol has `per_symbol`.
    fn places(&self, energy: &[f32], near: RangeInclusive<usize>, per_symbol: f64, out: &mut Vec<usize>) {
        out.clear();
        let mut next = *near.start();
        for place in near.clone() {
            let at =
                |symbol: f64| ((place as f64 + symbol * per_symbol).round().max(0.0) as usize).min(energy.len() - 1);
            let mean = |from: f64, to: f64| {
                let (from, to) = (at(from), at(to));
                f64::from(energy[to] - energy[from]) / to.saturating_sub(from).max(1) as f64
            };
            if self.measure(mean, SLACK).is_some() {
                // The neighbours too: what is exact is looked for between them.
                let last = (place + 1).min(*near.end());
                out.extend(place.saturating_sub(1).max(next)..=last);
                next = last + 1;
            }
        }
    }

    /// The burst's power above the noise and the larger share of it that is left in its guard periods, where its power goes as
    /// it must, with limits `slack` times as wide. `mean` gives the mean power from one symbol to another.
    fn measure(&self, mean: impl Fn(f64, f64) -> f64, slack: f64) -> Option<(f64, f64)> {
        let symbols = self.symbols;
        let power = mean(1.0, symbols - 1.0) - self.noise;
        let relative = |from: f64, to: f64| (mean(from, to) - self.noise).max(0.0) / power;
        let most = GUARD_MOST * slack;
        // Each is asked only where those before it fit.
        let before = Some(power).filter(|&p| p > 0.0).map(|_| relative(-GUARD.1, -GUARD.0)).filter(|&g| g <= most)?;
        let after = Some(relative(symbols + GUARD.0, symbols + GUARD.1)).filter(|&g| g <= most)?;
        let eighth = symbols / 8.0;
        let part = |i: i32| relative(f64::from(i) * eighth + 0.5, f64::from(i + 1) * eighth - 0.5);
        let is_constant = (0..8).all(|i| part(i) >= WEAKEST_LEAST / slack);
        let quiet_after = || {
            self.kind != Kind::Access
                || relative(symbols + AFTER_ACCESS.0, symbols + AFTER_ACCESS.1) < AFTER_ACCESS_MOST * slack
        };
        (is_constant && quiet_after()).then(|| (power, before.max(after)))
    }
}

/// The best of `places`, moved by `lead`, for a coarse reference, and |⟨x, r⟩|² / (|x|² |r|²) there.
fn search(x: &Split, energy: &[f32], reference: &Split, places: &[usize], lead: usize) -> (f32, usize) {
    const LANES: usize = 8;
    let length = reference.re.len();
    let mut best = (0.0f32, lead);
    for at in places.iter().map(|place| place + lead) {
        let (Some(re), Some(im)) = (x.re.get(at..at + length), x.im.get(at..at + length)) else { break };
        let (mut sum_re, mut sum_im) = ([0.0f32; LANES], [0.0f32; LANES]);
        let rows = re.chunks_exact(LANES).zip(im.chunks_exact(LANES));
        let references = reference.re.chunks_exact(LANES).zip(reference.im.chunks_exact(LANES));
        for ((a, b), (c, d)) in rows.zip(references) {
            for i in 0..LANES {
                sum_re[i] += a[i] * c[i] - b[i] * d[i];
                sum_im[i] += a[i] * d[i] + b[i] * c[i];
            }
        }
        // The rest of the reference, less than eight of fifty values, is left out on both sides.
        let used = length - length % LANES;
        let (p, q): (f32, f32) = (sum_re.iter().sum(), sum_im.iter().sum());
        let own = (energy[at + used] - energy[at]) * used as f32;
        let rho = if own > 0.0 { (p * p + q * q) / own } else { 0.0 };
        if rho > best.0 {
            best = (rho, at);
        }
    }
    best
}

/// |⟨x, r⟩|² / (|x|² |r|²); `reference` is conjugated.
fn correlation(x: &[Complex32], reference: &[Complex32]) -> f32 {
    let mut sum = Complex32::ZERO;
    let mut energy = 0.0f32;
    let mut own = 0.0f32;
    for (a, r) in x.iter().zip(reference) {
        sum += a * r;
        energy += a.norm_sqr();
        own += r.norm_sqr();
    }
    if energy > 0.0 { sum.norm_sqr() / (energy * own) } else { 0.0 }
}

/// Which way the phase turns over the tail bits: 1 where it goes forward by a quarter turn a symbol, as it does over bits
/// that are equal (TS 45.004 2.5; three zeros at both ends of a normal burst, at the end of an access burst, TS 45.002
/// 5.2), -1 where it goes back: then I and Q are exchanged.
fn tail_turn(y: &[Complex32], start: f64, samples_per_symbol: f64, template: &Template) -> f64 {
    let symbols = template.burst_symbols as f64;
    // A symbol's turn is centred on its start and blurred over its neighbours: between the tail's bits it is pure.
    let tails: &[f64] = if template.kind == Kind::Normal { &[0.5, symbols - 2.5] } else { &[symbols - 2.5] };
    let (mut sum, mut energy) = (Complex32::ZERO, 0.0f32);
    for &from in tails {
        let place = |symbol: f64| (start + symbol * samples_per_symbol).round().max(0.0) as usize;
        let (early, late) = (place(from)..place(from + 1.0), place(from + 1.0)..place(from + 2.0));
        let (Some(early), Some(late)) = (y.get(early), y.get(late)) else { continue };
        for (a, b) in early.iter().zip(late) {
            sum += b * a.conj();
            energy += a.norm() * b.norm();
        }
    }
    if energy > 0.0 { f64::from(sum.im / energy).clamp(-1.0, 1.0) } else { 0.0 }
}

/// What is left of the carrier offset after the step that matched: the phase between the stretch's halves.
fn residual_offset_hz(y: &[Complex32], found: &Match, template: &Template, rate: f64) -> f64 {
    let Some(reference) = template.by_offset.iter().find(|r| r.offset_hz == found.offset_hz) else {
        return 0.0;
    };
    // The outermost symbols are blurred by their neighbours, which are not known.
    let unsure = 2 * SPS;
    let reference = &reference.samples[unsure..reference.samples.len() - unsure];
    let lead = template.first_symbol as f64 * rate / gsm::SYMBOL_RATE;
    let at = (found.start + lead).round().max(0.0) as usize + unsure;
    let half = reference.len() / 2;
    if at + 2 * half > y.len() {
        return 0.0;
    }
    let sum = |from: usize| -> Complex32 {
        y[at + from..at + from + half].iter().zip(&reference[from..from + half]).map(|(a, r)| a * r).sum()
    };
    let turn = (sum(half) * sum(0).conj()).arg();
    f64::from(turn) / std::f64::consts::TAU * rate / half as f64
}

/// GMSK of a bit sequence at [`SPS`] samples a symbol, `bits.len() * SPS` samples of unit amplitude.
///
/// Differential precoding and a Gaussian frequency pulse of BT 0.3 (TS 45.004 2.3 to 2.6). Bit i lies on
/// samples `i * SPS ..`, and its pulse is centred on its start, as TS 45.004 2.5 has it; the bit before
/// the first counts as one.
fn modulate_gmsk(bits: &[u8]) -> Vec<Complex32> {
    const SPAN: i32 = 3; // symbols on each side after which the pulse is below 1e-4
    let steps_per_symbol = 16 * SPS;
    // Phase of one symbol's pulse at offset t from its centre: the integral of a Gaussian-filtered rectangle.
    let sigma = (2f64.ln()).sqrt() / (std::f64::consts::TAU * gsm::GMSK_BT);
    let gauss_integral = |t: f64| 0.5 * (1.0 + erf(t / (sigma * std::f64::consts::SQRT_2)));
    let pulse: Vec<f64> = {
        let mut sum = 0.0;
        (-SPAN * steps_per_symbol as i32..=SPAN * steps_per_symbol as i32)
            .map(|i| {
                let t = f64::from(i) / steps_per_symbol as f64;
                sum += (gauss_integral(t + 0.5) - gauss_integral(t - 0.5)) / steps_per_symbol as f64;
                sum
            })
            .collect()
    };
    let phase_of = |t: f64| -> f64 {
        let i = (t + f64::from(SPAN)) * steps_per_symbol as f64;
        if i <= 0.0 { 0.0 } else { pulse[(i as usize).min(pulse.len() - 1)] }
    };
    let mut before = 1u8;
    let symbols: Vec<f64> = bits
        .iter()
        .map(|&bit| {
            let a = 1.0 - 2.0 * f64::from(bit ^ before);
            before = bit;
            a
        })
        .collect();
    (0..bits.len() * SPS)
        .map(|n| {
            let t = n as f64 / SPS as f64;
            let phase: f64 =
                symbols.iter().enumerate().map(|(i, a)| a * std::f64::consts::FRAC_PI_2 * phase_of(t - i as f64)).sum();
            Complex32::new(phase.cos() as f32, phase.sin() as f32)
        })
        .collect()
}

/// A training sequence as 8-PSK at [`SPS`] samples a symbol: bit 0 is symbol (1,1,1), bit 1 is (0,0,1), which is
/// its opposite; each symbol turns by 3π/8, and the pulse is GMSK's main Laurent pulse (TS 45.004 3.2 to 3.5,
/// TS 45.002 5.2.3).
fn modulate_8psk(bits: &[u8]) -> Vec<Complex32> {
    // c0(t) on 0..5T: the product of four shifted sines of the phase pulse.
    let q = |x: f64| 0.5 * (1.0 - erf(x / std::f64::consts::SQRT_2));
    let slope = std::f64::consts::TAU * gsm::GMSK_BT / (2f64.ln()).sqrt();
    let g = |t: f64| 0.5 * (q(slope * (t - 2.5)) - q(slope * (t - 1.5)));
    const FINE: usize = 64;
    let mut integral = vec![0.0; 4 * FINE + 1];
    for i in 0..4 * FINE {
        integral[i + 1] = integral[i] + g((i as f64 + 0.5) / FINE as f64) / FINE as f64;
    }
    let turned = |t: f64| std::f64::consts::PI * integral[((t * FINE as f64).round() as usize).min(4 * FINE)];
    let s = |t: f64| match t {
        t if t <= 0.0 || t >= 8.0 => 0.0,
        t if t <= 4.0 => turned(t).sin(),
        t => (std::f64::consts::FRAC_PI_2 - turned(t - 4.0)).sin(),
    };
    let c0 = |t: f64| {
        if (0.0..=5.0).contains(&t) { s(t) * s(t + 1.0) * s(t + 2.0) * s(t + 3.0) } else { 0.0 }
    };
    (0..bits.len() * SPS)
        .map(|n| {
            let t = n as f64 / SPS as f64;
            bits.iter()
                .enumerate()
                .map(|(i, &bit)| {
                    let angle = 3.0 * std::f64::consts::PI / 8.0 * i as f64;
                    let a = (1.0 - 2.0 * f64::from(bit)) * c0(t - i as f64 + 2.0);
                    Complex32::new((a * angle.cos()) as f32, (a * angle.sin()) as f32)
                })
                .sum()
        })
        .collect()
}

/// The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26).
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let poly =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    x.signum() * (1.0 - poly * (-x * x).exp())
}
