//! When a short preamble begins and ends, by its own sequence.
//!
//! Taken off the samples, the sequence leaves a constant while the preamble lasts, prefix and all its repetitions: which format
//! it is, and when it begins, is where the sum of the likelihood ratios is greatest.

use super::N_ZC;
use crate::fft;
use cellwarden_standards::lte::TS_PER_SECOND;
use cellwarden_standards::nr::{NrPrachFormat, Spacing};
use num_complex::{Complex32, Complex64};
use rustfft::Fft;
use std::ops::Range;
use std::sync::Arc;

/// Points of one period of the sequence, between which is interpolated: 29 to a value of the sequence.
const PERIOD: usize = 4096;
/// Values whose phase is taken for one while the offset is sought.
const TOGETHER: usize = 16;
/// Offsets from what the repetition says that are tried, as a share of the spacing: three deviations of what is hardly clear.
const OFFSETS: f64 = 0.085;
const OFFSET_STEPS: i32 = 18;
/// How far around what repeats its edges may lie, in periods: windows that it fills in part do not agree.
const SLACK_PERIODS: f64 = 2.6;
/// Share of the mean power that each quarter has at the least.
const LEAST_QUARTER: f64 = 0.4;
/// What is asked just before and behind: from so far off to so far.
const BESIDE_S: (f64, f64) = (4e-6, 30e-6);

/// When a preamble is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) format: NrPrachFormat,
    /// First value and the one after the last.
    pub(super) start: f64,
    pub(super) end: f64,
    /// Share of the power in it that is the sequence.
    pub(super) own: f64,
    /// Mean power, noise taken off, linear over full scale; and the same just before or behind, as a share of it.
    pub(super) power: f64,
    pub(super) beside: f64,
    /// Whether each quarter of it holds its part of the power, as far as noise lets tell: half of what is longer does not.
    pub(super) is_filled: bool,
    /// How far it is from where the repetition has it.
    pub(super) offset_hz: f64,
}

/// What this works in.
pub(super) struct Scratch {
    inverse: Arc<dyn Fft<f32>>,
    fft: Vec<Complex32>,
    period: Vec<Complex32>,
    rest: Vec<Complex32>,
    gains: Vec<f64>,
    sums: Vec<Complex64>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        let inverse = fft::inverse(PERIOD);
        let fft = vec![Complex32::ZERO; inverse.get_inplace_scratch_len()];
        let (period, rest, gains, sums) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { inverse, fft, period, rest, gains, sums }
    }

    /// `y` times the conjugated sequence, which begins `delay` periods behind value `at` and has periods of `period` values.
    pub(super) fn take_off(&mut self, y: &[Complex32], reference: &[Complex32], (at, period): (f64, f64), delay: f64) {
        self.period.clear();
        self.period.resize(PERIOD, Complex32::ZERO);
        let scale = 1.0 / (N_ZC as f32).sqrt();
        for (k, conj) in reference.iter().enumerate() {
            self.period[(k + PERIOD - N_ZC / 2) % PERIOD] = conj.conj() * scale;
        }
        self.inverse.process_with_scratch(&mut self.period, &mut self.fft);
        self.rest.clear();
        self.rest.extend(y.iter().enumerate().map(|(n, z)| {
            let turns = ((n as f64 - at) / period - delay).rem_euclid(1.0) * PERIOD as f64;
            let (low, part) = (turns as usize % PERIOD, turns.fract() as f32);
            let r = self.period[low] * (1.0 - part) + self.period[(low + 1) % PERIOD] * part;
            z * r.conj()
        }));
    }

    /// The span that speaks for one of `formats` most; `rough` surely overlaps it for the most part. `y` is at `rate_hz` and has
    /// `noise` of its own.
    pub(super) fn likeliest(
        &mut self,
        y: &[Complex32],
        rough: Range<usize>,
        formats: &[NrPrachFormat],
        spacing: Spacing,
        (rate_hz, noise): (f64, f64),
    ) -> Option<Span> {
        let rough = rough.start..rough.end.min(self.rest.len());
        let offset_hz = self.steady(&rough, spacing.hz(), rate_hz);
        let slack = (SLACK_PERIODS * rate_hz / spacing.hz()) as usize;
        let mut inside = rough.clone();
        let mut best: Option<(f64, NrPrachFormat, usize, usize)> = None;
        // What is known roughly at first has another level than the whole.
        for _ in 0..2 {
            let level = mean(&self.rest[inside.clone()]);
            let amplitude = level.norm().max(f64::MIN_POSITIVE);
            let (direction, half) = (level.conj() / amplitude, 0.5 * amplitude);
            self.gains.clear();
            self.gains.push(0.0);
            let mut sum = 0.0;
            for z in &self.rest {
                sum += (Complex64::new(f64::from(z.re), f64::from(z.im)) * direction).re - half;
                self.gains.push(sum);
            }
            best = None;
            for &format in formats {
                let preamble = format.preamble(spacing);
                let count = f64::from(preamble.cp_ts + preamble.body_ts()) / TS_PER_SECOND * rate_hz;
                let count = count.round() as usize;
                let earliest = rough.start.saturating_sub(slack.max(count));
                for start in earliest..rough.end.min(self.gains.len().saturating_sub(count)) {
                    let gain = self.gains[start + count] - self.gains[start];
                    if best.is_none_or(|b| gain > b.0) {
                        best = Some((gain, format, start, start + count));
                    }
                }
            }
            let (_, _, start, end) = best?;
            inside = start..end;
        }
        let (gain, format, start, end) = best.filter(|b| b.0 > 0.0 && b.0.is_finite())?;
        debug_assert!(gain > 0.0);
        let over = |from: usize, to: usize| {
            let part = y.get(from..to.min(y.len())).unwrap_or(&[]);
            part.iter().map(|z| f64::from(z.norm_sqr())).sum::<f64>() / part.len().max(1) as f64 - noise
        };
        let power = over(start, end).max(f64::MIN_POSITIVE);
        let own = (mean(&self.rest[inside]).norm_sqr() / power).min(1.0);
        let (near, far) = ((BESIDE_S.0 * rate_hz) as usize, (BESIDE_S.1 * rate_hz) as usize);
        let before = over(start.saturating_sub(far), start.saturating_sub(near));
        let beside = before.max(over(end + near, end + far)) / power;
        let quarter = (end - start) / 4;
        let values = quarter as f64 / rate_hz * N_ZC as f64 * spacing.hz();
        let least = LEAST_QUARTER * power - 2.0 * (noise + power) / values.max(1.0).sqrt();
        let is_filled = (0..4).all(|i| over(start + i * quarter, start + (i + 1) * quarter) >= least);
        Some(Span { is_filled, format, start: start as f64, end: end as f64, own, power, beside, offset_hz })
    }

    /// Turns what is left by the offset that shows most of a constant in `inside`, and gives it.
    fn steady(&mut self, inside: &Range<usize>, spacing_hz: f64, rate_hz: f64) -> f64 {
        self.sums.clear();
        self.sums.extend(self.rest[inside.clone()].chunks(TOGETHER).map(|c| {
            let sum: Complex32 = c.iter().sum();
            Complex64::new(f64::from(sum.re), f64::from(sum.im))
        }));
        let turned = |hz: f64| {
            let turn = Complex64::from_polar(1.0, -std::f64::consts::TAU * hz * TOGETHER as f64 / rate_hz);
            // Horner, from the last on.
            self.sums.iter().rev().fold(Complex64::new(0.0, 0.0), |sum, z| sum * turn + z).norm_sqr()
        };
        let step_hz = OFFSETS * spacing_hz / f64::from(OFFSET_STEPS);
        let offsets = (-OFFSET_STEPS..=OFFSET_STEPS).map(|i| f64::from(i) * step_hz);
        let hz = offsets.max_by(|a, b| turned(*a).total_cmp(&turned(*b))).unwrap_or(0.0);
        let step = Complex64::from_polar(1.0, -std::f64::consts::TAU * hz / rate_hz);
        let mut turn = Complex64::new(1.0, 0.0);
        for z in &mut self.rest {
            *z *= Complex32::new(turn.re as f32, turn.im as f32);
            turn *= step;
        }
        hz
    }
}

fn mean(values: &[Complex32]) -> Complex64 {
    let sum =
        values.iter().fold(Complex64::new(0.0, 0.0), |sum, z| sum + Complex64::new(f64::from(z.re), f64::from(z.im)));
    sum / values.len().max(1) as f64
}
