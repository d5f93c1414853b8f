//! Short preambles of any root: 139 subcarriers of 15 or 30 kHz, one to twelve times the same symbol.
//!
//! What repeats after the inverse of the subcarriers' spacing, over 139 subcarriers, is looked for first: samples one period
//! apart agree, whatever the root, the shift and the frequency. The periods then add up to one symbol, of which each repetition
//! makes a signal stronger than the noise. From there it goes as with the long ones: X\[k+d\]·X*\[k\] is a tone that names the
//! root, and the correlator decides. TS 38.211 clauses 6.3.3.1 and 5.3.2.

mod roots;
mod span;

use self::roots::{Match, Roots};
use self::span::Span;
use crate::candidate::{NoiseFloor, Proposal, Region, Snippet};
use crate::channelize::{ChannelBuffers, Channelizer};
use crate::classify::budget::Budget;
use crate::fft;
use cellwarden_standards::band;
use cellwarden_standards::nr::{NrPrachFormat, SHORT_PRACH_BELOW, SHORT_PRACH_N_ZC, SHORT_PRACH_SUBCARRIERS, Spacing};
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use num_complex::{Complex32, Complex64};
use rustfft::Fft;
use std::sync::Arc;

const N_ZC: usize = SHORT_PRACH_N_ZC as usize;
/// What is looked at around a place: so long, from so long before it.
const WINDOW_S: f64 = 2.0e-3;
const LEAD_S: f64 = 0.6e-3;
/// Rate at which it is: 256 points to a period of 30 kHz, 512 to one of 15 kHz.
const OUT_HZ: f64 = 7.68e6;
/// How far from where it is said to be its middle may lie, in hertz: the gate's window is a quarter of it.
const REACH_HZ: f64 = 1.7e6;
/// Subcarriers from place to place.
const STEP: usize = 6;
/// Pairs of periods that are added: those of one, two, four, six and twelve repetitions, and a prefix.
const PAIRS: [usize; 5] = [1, 2, 4, 6, 12];
/// |Σ X(r+1) X*(r)|² over what noise makes of it on average, which it passes e^-x times. A preamble of twelve repetitions at
/// -4 dB has 100, one of two at 1 dB 40.
const LEAST_REPEATED: f32 = 16.0;
/// Mean power over the floor where the correlation is greatest.
const LEAST_RATIO: f64 = 1.1;
/// Correlation peak over the mean of all lags. Noise passes 30 once in ten million places: 138 roots, 300 lags, 20 places.
const LEAST_PEAK: f32 = 30.0;
/// Share of what a whole preamble of the measured level would put into the peak; several paths leave less of it.
const LEAST_SHARE: f32 = 0.3;
/// Share of the power in its band and time that is the sequence.
const LEAST_OWN: f64 = 0.3;
/// Power just before and behind one of one or two repetitions, as a share of its own: a reference symbol has its PUSCH there.
const MOST_BESIDE: f64 = 0.5;
/// Level from which a region's edges are its own.
const CLEAR_DB: f64 = 6.0;
/// Places that are looked at in vain in a second, in paired and in unpaired bands: each takes about a millisecond.
const IN_VAIN_PER_S: [f64; 2] = [60.0, 300.0];
/// Places so near to each other are one.
const NEAR_S: f64 = 0.1e-3;
const NEAR_HZ: f64 = 0.8e6;
/// A frequency within a band of NR, and places of a cluster for which there is room.
const UNPAIRED_HZ: f64 = 3.55e9;
const PLACES: usize = 64;
/// A faint symbol is seen whole, or hardly: most of the 4.3 MHz that 144 subcarriers of 30 kHz have.
const WHOLE_HZ: f64 = 3e6;
/// A bin so far over its neighbours is a carrier or the radio's DC.
const SPIKE: f32 = 12.0;
const SPIKE_REACH: usize = 8;

/// Searches places of one stream.
pub struct ShortPrachSearch {
    rate_hz: f64,
    channel: Channelizer,
    buffers: ChannelBuffers,
    scratch: Vec<Complex32>,
    y: Vec<Complex32>,
    grids: Vec<Grid>,
    roots: Roots,
    span: span::Scratch,
    sums: Vec<Complex64>,
    energies: Vec<f64>,
    /// By period, of one place: running sums of the agreement, and of what noise makes of it.
    runs: Vec<(Complex64, f64)>,
    places: Vec<Place>,
    /// In paired bands, where most of what looks like a preamble is LTE's, and in unpaired ones.
    budgets: [Budget; 2],
}

/// Periods of one spacing.
struct Grid {
    spacing: Spacing,
    /// Values of a period, with their fraction, and points of its transform.
    period: f64,
    points: usize,
    fft: Arc<dyn Fft<f32>>,
    /// By period: its transform, the lowest frequency first; and the mean energy of each bin.
    spectra: Vec<Complex32>,
    mean: Vec<f32>,
}

/// Periods that agree.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    /// The first of the bins, the first period, pairs.
    first: usize,
    from: usize,
    pairs: usize,
    /// How clear it is, and by how much a period turns.
    clear: f32,
    angle: f32,
}

/// Where one may be: from the first sample of the recording on, around a frequency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// First sample, of the recording.
    pub start: u64,
    /// Absolute, in hertz.
    pub center_hz: f64,
}

impl ShortPrachSearch {
    /// For a stream at `rate_hz`; none where a preamble of 15 kHz does not fit into the band.
    pub fn new(rate_hz: f64) -> Option<Self> {
        if rate_hz < 1.1 * N_ZC as f64 * Spacing::Khz15.hz() {
            return None;
        }
        let channel = Channelizer::new(rate_hz, WINDOW_S, OUT_HZ, 3.4e6, 3.8e6);
        let buffers = ChannelBuffers::new([&channel]);
        let out_hz = channel.out_rate_hz();
        let fits = |s: &Spacing| rate_hz > 1.1 * N_ZC as f64 * s.hz();
        let grids: Vec<Grid> = [Spacing::Khz30, Spacing::Khz15]
            .into_iter()
            .filter(fits)
            .map(|spacing| {
                let period = out_hz / spacing.hz();
                let points = period.round() as usize;
                Grid { spacing, period, points, fft: fft::forward(points), spectra: Vec::new(), mean: Vec::new() }
            })
            .collect();
        let roots = Roots::new();
        let span = span::Scratch::new();
        let scratch = grids.iter().map(|g| g.fft.get_inplace_scratch_len()).max().unwrap_or(0);
        let (y, scratch) = (Vec::new(), vec![Complex32::ZERO; scratch]);
        let (sums, energies, runs, places) = (Vec::new(), Vec::new(), Vec::new(), Vec::with_capacity(PLACES));
        let budgets = IN_VAIN_PER_S.map(|per_s| Budget::new(per_s, per_s / 2.0));
        let mut search =
            Self { rate_hz, channel, buffers, scratch, y, grids, roots, span, sums, energies, runs, places, budgets };
        search.grow();
        Some(search)
    }

    /// Room for what a look takes, by a look at silence: nothing is allocated while samples flow.
    fn grow(&mut self) {
        let silence = Snippet { iq: &[], start: 0, rate_hz: self.rate_hz, center_hz: UNPAIRED_HZ };
        self.y.extend_from_slice(self.channel.load(&mut self.buffers, &silence, 0).channel(0.0));
        for i in 0..self.grids.len() {
            self.grids[i].load(&self.y, &mut self.scratch);
            self.repeated(i, UNPAIRED_HZ);
            self.roots.folded(self.grids[i].points);
        }
    }

    /// Adds the preambles where regions are as wide and long as one, or as a piece of a faint one.
    pub fn search_all(
        &mut self,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        regions: impl Iterator<Item = Region>,
        out: &mut Vec<Proposal>,
    ) {
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        for region in regions {
            if !self.may_hold(&region) {
                continue;
            }
            let place = Place { start: region.start, center_hz: (region.low_hz + region.high_hz) / 2.0 };
            let is_near = |p: &Place| {
                p.start.abs_diff(place.start) as f64 <= NEAR_S * self.rate_hz
                    && (p.center_hz - place.center_hz).abs() < NEAR_HZ
            };
            if places.iter().any(is_near) {
                continue;
            }
            places.push(place);
            let found = self.search(snippet, floor, place);
            out.extend(found.filter(|f| !out.iter().any(|p| is_same(f, p))));
        }
        self.places = places;
    }

    /// Whether a region may be a preamble, or a piece of one that is faint.
    fn may_hold(&self, region: &Region) -> bool {
        let (seconds, width) = (region.count as f64 / self.rate_hz, region.high_hz - region.low_hz);
        // One or two symbols of a root that is few lines in time and frequency come in pieces; in paired bands that is what LTE's
        // soundings look like.
        let is_unpaired = || band::is_unpaired((region.low_hz + region.high_hz) / 2.0);
        if region.snr_db >= CLEAR_DB {
            let least = if seconds < 0.25e-3 && is_unpaired() { 0.6e6 } else { 1.4e6 };
            (40e-6..0.93e-3).contains(&seconds) && (least..5.5e6).contains(&width)
        } else if seconds < 0.09e-3 {
            seconds > 40e-6 && (WHOLE_HZ..5.5e6).contains(&width) && is_unpaired()
        } else {
            (0.09e-3..1.2e-3).contains(&seconds) && (0.7e6..6e6).contains(&width)
        }
    }

    /// The preamble that begins near a place, within 0.5 ms, and lies not far from it in frequency.
    pub fn search(&mut self, snippet: &Snippet<'_>, floor: &NoiseFloor, place: Place) -> Option<Proposal> {
        let is_unpaired = band::nr_band(place.center_hz)?.is_tdd();
        let at_s = place.start as f64 / self.rate_hz;
        if !self.budgets[usize::from(is_unpaired)].allows(at_s) {
            return None;
        }
        let found = self.search_place(snippet, floor, (place, is_unpaired));
        if found.is_none() {
            self.budgets[usize::from(is_unpaired)].spend(1.0);
        }
        found
    }

    /// Places that were left out because others took the time.
    pub fn skipped(&self) -> u64 {
        self.budgets.iter().map(Budget::skipped).sum()
    }

    fn search_place(
        &mut self,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        (place, is_unpaired): (Place, bool),
    ) -> Option<Proposal> {
        let start = place.start as i64 - (LEAD_S * self.rate_hz) as i64;
        // Whole bins of the window: nothing has to be turned back in time.
        let bin_hz = self.rate_hz / self.channel.load(&mut self.buffers, snippet, start).samples() as f64;
        let offset_hz = ((place.center_hz - snippet.center_hz) / bin_hz).round() * bin_hz;
        self.y.clear();
        self.y.extend_from_slice(self.channel.loaded(&mut self.buffers).channel(offset_hz));
        let mut best: Option<(usize, Repeated)> = None;
        for i in 0..self.grids.len() {
            self.grids[i].load(&self.y, &mut self.scratch);
            let repeated = self.repeated(i, snippet.center_hz + offset_hz);
            if let Some(found) = repeated.filter(|r| best.is_none_or(|(_, b)| r.clear > b.clear)) {
                best = Some((i, found));
            }
        }
        let (i, repeated) = best.filter(|(_, b)| b.clear >= LEAST_REPEATED)?;
        let found = self.fold(i, &repeated, snippet.center_hz + offset_hz, floor)?;
        self.propose(i, &repeated, &found, (start, snippet.center_hz, offset_hz), is_unpaired, floor)
    }

    /// The periods and bins of a grid that agree most.
    fn repeated(&mut self, grid: usize, center_hz: f64) -> Option<Repeated> {
        let grid = &self.grids[grid];
        let (n, hz) = (grid.points, grid.spacing.hz());
        let periods = grid.spectra.len() / n;
        let pairs = periods.saturating_sub(1);
        // Running sums over the bins of each period: of its energy, and of its agreement with the one before.
        self.energies.clear();
        self.sums.clear();
        for r in 0..periods {
            let own = &grid.spectra[r * n..(r + 1) * n];
            let before = &grid.spectra[r.saturating_sub(1) * n..][..n];
            let (mut energy, mut sum) = (0.0, Complex64::new(0.0, 0.0));
            self.energies.push(energy);
            self.sums.push(sum);
            for (b, a) in own.iter().zip(before) {
                let z = b * a.conj();
                energy += f64::from(b.norm_sqr());
                sum += Complex64::new(f64::from(z.re), f64::from(z.im));
                self.energies.push(energy);
                self.sums.push(sum);
            }
        }
        let reach = ((REACH_HZ / hz) as usize).min((n - N_ZC) / 2 - 1);
        let mut best: Option<Repeated> = None;
        for first in (0..=2 * reach / STEP).map(|i| (n - N_ZC) / 2 - reach + i * STEP) {
            // Within the band that phones may use.
            let middle_hz = center_hz + (first as f64 + (N_ZC / 2) as f64 - n as f64 / 2.0) * hz;
            if band::nr_band(middle_hz).is_none() {
                continue;
            }
            let (low, high) = (first, first + N_ZC);
            let energy = |r: usize| self.energies[r * (n + 1) + high] - self.energies[r * (n + 1) + low];
            let agreement = |r: usize| self.sums[r * (n + 1) + high] - self.sums[r * (n + 1) + low];
            self.runs.clear();
            self.runs.push((Complex64::new(0.0, 0.0), 0.0));
            let (mut sum, mut expected) = (Complex64::new(0.0, 0.0), 0.0);
            for r in 1..periods {
                sum += agreement(r);
                expected += energy(r) * energy(r - 1);
                self.runs.push((sum, expected));
            }
            for count in PAIRS.into_iter().filter(|&count| count <= pairs) {
                for from in 0..=pairs - count {
                    let (start, end) = (self.runs[from], self.runs[from + count]);
                    let (sum, expected) = (end.0 - start.0, end.1 - start.1);
                    let clear = if expected > 0.0 { (sum.norm_sqr() * N_ZC as f64 / expected) as f32 } else { 0.0 };
                    if best.is_none_or(|b| clear > b.clear) {
                        best = Some(Repeated { first, from, pairs: count, clear, angle: sum.arg() as f32 });
                    }
                }
            }
        }
        best
    }

    /// The root of what the agreeing periods add up to.
    fn fold(&mut self, grid: usize, repeated: &Repeated, center_hz: f64, floor: &NoiseFloor) -> Option<Match> {
        let grid = &self.grids[grid];
        let n = grid.points;
        let low_hz = center_hz + (repeated.first as f64 - (n / 2) as f64) * grid.spacing.hz();
        let width_hz = N_ZC as f64 * grid.spacing.hz();
        // Of each value there is what the rate holds of the noise, and so many values are added.
        let density = floor.power(low_hz, low_hz + width_hz) / width_hz;
        let noise = density * self.channel.out_rate_hz() * (n * (repeated.pairs + 1)) as f64;
        let step = -f64::from(repeated.angle) / grid.period;
        let folded = self.roots.folded(n);
        for r in repeated.from..=repeated.from + repeated.pairs {
            let at = (r as f64 * grid.period).round() as usize;
            for (i, (sum, z)) in folded.iter_mut().zip(&self.y[at..(at + n).min(self.y.len())]).enumerate() {
                let angle = step * (at + i) as f64;
                *sum += z * Complex32::new(angle.cos() as f32, angle.sin() as f32);
            }
        }
        grid.fft.process_with_scratch(folded, &mut self.scratch);
        folded.rotate_right(n / 2);
        self.roots.find(repeated.first, STEP, noise)
    }

    /// A preamble with the format and the edges that its sequence shows.
    fn propose(
        &mut self,
        grid: usize,
        repeated: &Repeated,
        found: &Match,
        (start, center_hz, offset_hz): (i64, f64, f64),
        is_unpaired: bool,
        floor: &NoiseFloor,
    ) -> Option<Proposal> {
        let (spacing, n) = (self.grids[grid].spacing, self.grids[grid].points);
        let hz = spacing.hz();
        let turn_hz = f64::from(repeated.angle) / std::f64::consts::TAU * hz;
        let preamble_hz = offset_hz + (found.first as f64 + (N_ZC / 2) as f64 - n as f64 / 2.0) * hz + turn_hz;
        let (half, beside) = (N_ZC as f64 / 2.0 * hz, 4.0 * hz);
        let out_hz = self.channel.out_rate_hz();
        let noise = floor.power(center_hz + preamble_hz - half, center_hz + preamble_hz + half);
        let mut window = self.channel.loaded(&mut self.buffers);
        let y = window.band(preamble_hz, half, half + beside);
        let folded_at = (repeated.from as f64 * self.grids[grid].period).round();
        let period = self.grids[grid].period;
        let reference = self.roots.reference(found.root);
        self.span.take_off(y, reference, (folded_at, period), found.delay());
        let rough = folded_at as usize..(folded_at + (repeated.pairs + 1) as f64 * period) as usize;
        let formats = formats(spacing, is_unpaired);
        let Span { format, start: from, end: to, own, power, beside, is_filled, offset_hz: more_hz } =
            self.span.likeliest(y, rough, &formats, spacing, (out_hz, noise))?;
        let preamble = format.preamble(spacing);
        let is_alone = preamble.repeats > 2 || beside < MOST_BESIDE;
        let ratio = 1.0 + power / noise.max(f64::MIN_POSITIVE);
        if own < LEAST_OWN || !is_alone || !is_filled || ratio < LEAST_RATIO {
            return None;
        }
        let below = (N_ZC / 2) as f64 + f64::from(SHORT_PRACH_BELOW) + 0.5;
        let low_hz = center_hz + preamble_hz + more_hz - below * hz;
        let peak = f64::from(found.peak);
        let llr = (3.0 + (peak / f64::from(LEAST_PEAK)).ln()).min(6.0);
        Some(Proposal {
            standard: Standard::Nr,
            kind: Kind::Prach,
            start: start as f64 + from / out_hz * self.rate_hz,
            count: (to - from) / out_hz * self.rate_hz,
            low_hz,
            high_hz: low_hz + f64::from(SHORT_PRACH_SUBCARRIERS) * hz,
            power,
            channel: None,
            carrier_offset_hz: None,
            standard_confidence: 0.97,
            sequence_start: None,
            detail: Detail {
                root: Some(found.root as u16),
                short_format: Some(format.name().to_owned()),
                spacing_hz: Some(hz),
                resource_blocks: Some(SHORT_PRACH_SUBCARRIERS / 12),
                evidence: vec![
                    Evidence::new("preamble_correlation", peak, llr),
                    Evidence::new("repetition_clearness", f64::from(repeated.clear), 1.0),
                    Evidence::new("own_share", own, 0.0),
                ],
                ..Detail::default()
            },
        })
    }
}

/// Whether two proposals are of the same preamble.
fn is_same(a: &Proposal, b: &Proposal) -> bool {
    let time = (a.start + a.count).min(b.start + b.count) - a.start.max(b.start);
    time > 0.5 * a.count.min(b.count) && (a.low_hz - b.low_hz).abs() < 0.5 * (a.high_hz - a.low_hz)
}

/// The formats that are told apart. One or two symbols of 30 kHz are also what LTE's soundings of 24 blocks look like: they
/// count where no LTE is.
fn formats(spacing: Spacing, is_unpaired: bool) -> Vec<NrPrachFormat> {
    let all = NrPrachFormat::SHORT.into_iter();
    all.filter(|f| spacing == Spacing::Khz15 || is_unpaired || f.preamble(spacing).repeats > 2).collect()
}

impl Grid {
    /// Transforms the periods of `y`, and cuts what stands alone in frequency.
    fn load(&mut self, y: &[Complex32], scratch: &mut [Complex32]) {
        let n = self.points;
        self.spectra.clear();
        let mut r = 0;
        loop {
            let exact = r as f64 * self.period;
            let at = exact.round() as usize;
            if at + n > y.len() {
                break;
            }
            let from = self.spectra.len();
            self.spectra.extend_from_slice(&y[at..at + n]);
            let spectrum = &mut self.spectra[from..];
            self.fft.process_with_scratch(spectrum, scratch);
            spectrum.rotate_right(n / 2);
            // A period that is no whole number of values: what its beginning is off turns the bins.
            let off = (at as f64 - exact) / self.period;
            if off.abs() > 1e-6 {
                for (k, z) in spectrum.iter_mut().enumerate() {
                    let angle = -std::f64::consts::TAU * off * (k as f64 - (n / 2) as f64);
                    *z *= Complex32::new(angle.cos() as f32, angle.sin() as f32);
                }
            }
            r += 1;
        }
        self.mean.clear();
        self.mean.resize(n, 0.0);
        for spectrum in self.spectra.chunks_exact(n) {
            self.mean.iter_mut().zip(spectrum).for_each(|(m, z)| *m += z.norm_sqr());
        }
        let near = |k: usize| k.saturating_sub(SPIKE_REACH)..(k + SPIKE_REACH + 1).min(n);
        for k in 0..n {
            let around = &self.mean[near(k)];
            let rest = (around.iter().sum::<f32>() - self.mean[k]) / (around.len() - 1) as f32;
            if self.mean[k] > SPIKE * rest {
                let scale = (rest / self.mean[k]).sqrt();
                self.spectra.iter_mut().skip(k).step_by(n).for_each(|z| *z *= scale);
            }
        }
    }
}
