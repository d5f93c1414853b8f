//! When a preamble begins and ends, by its own sequence.
//!
//! The root and the lag of its correlation say what the preamble is at each moment, but not when it begins: its cyclic shift is
//! not known, and the sequence repeats itself in its prefix. Taken off the samples, the sequence leaves a constant while the
//! preamble lasts, and noise before and behind: the edges are where the sum of the likelihood ratios is greatest.

use super::around::PowerAround;
use super::{FORMATS_S, LAG_POINTS, N_ZC, PrachSearch, SEQUENCE_S, Sighting};
use crate::candidate::Snippet;
use num_complex::{Complex32, Complex64};

/// Points of one period of the sequence, between which is interpolated: twenty to a value of the sequence.
pub(super) const PERIOD: usize = 16_384;
/// How far the window of a sighting may reach beyond its preamble.
const SLACK_S: f64 = 0.2e-3;
/// Offsets from the sighting's frequency that are tried, in hertz: half a subcarrier.
const OFFSETS_HZ: i32 = 650;
const OFFSET_STEP_HZ: usize = 25;
/// Values whose phase is taken for one while the offset is sought: 17 µs, in which 650 Hz turn it by 1/90.
const TOGETHER: usize = 32;

/// One standard deviation of a start that is measured so, in seconds, at a signal `snr` times the noise in 1.08 MHz.
///
/// Of a change of the mean by δ deviations a value, 95 % are placed within 11/δ² values (Yao 1987, Ann. Statist. 15, 1321); of two
/// changes a known time apart, half of that. Measured: 8.9 µs at -5 dB.
pub fn start_sigma_s(snr: f64) -> f64 {
    1.4e-6 / snr.max(1e-3)
}

/// When a preamble is sent, by its sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) format: u8,
    /// First value and the one after the last, of the power around.
    pub(super) start: f64,
    pub(super) end: f64,
    /// Power of what is the sequence in its middle, linear over full scale.
    pub(super) power: f64,
    /// How far it is from the sighting's frequency.
    pub(super) offset_hz: f64,
}

impl PrachSearch {
    /// The span that a sighting's sequence speaks for most.
    pub(super) fn likeliest_span(
        &mut self,
        sighting: &Sighting,
        snippet: &Snippet<'_>,
        around: &PowerAround,
    ) -> Option<Span> {
        self.take_off_sequence(sighting, snippet, around);
        let (level, offset_hz) = self.steady_level(around);
        // The real part along the level, less half of it: the likelihood ratio but for a factor.
        let amplitude = level.norm().max(f64::MIN_POSITIVE);
        let (direction, half) = (level.conj() / amplitude, 0.5 * amplitude);
        self.gains.clear();
        self.gains.push(0.0);
        let mut sum = 0.0;
        for z in &self.rest {
            let z = Complex64::new(f64::from(z.re), f64::from(z.im));
            sum += (z * direction).re - half;
            self.gains.push(sum);
        }
        let latest = around.at(PowerAround::LEAD_S + SLACK_S);
        let mut best: Option<(f64, u8, usize, usize)> = None;
        for (format, seconds) in (0..).zip(FORMATS_S) {
            let count = (seconds * around.rate_hz).round() as usize;
            let earliest = around.at(PowerAround::LEAD_S + SEQUENCE_S - seconds - SLACK_S);
            for start in earliest..=latest {
                let gain = self.gains.get(start + count)? - self.gains[start];
                if best.is_none_or(|b| gain > b.0) {
                    best = Some((gain, format, start, start + count));
                }
            }
        }
        best.map(|(_, format, start, end)| Span {
            format,
            start: start as f64,
            end: end as f64,
            power: amplitude * amplitude,
            offset_hz,
        })
    }

    /// The samples around a sighting times its conjugated sequence, in `rest`.
    fn take_off_sequence(&mut self, sighting: &Sighting, snippet: &Snippet<'_>, around: &PowerAround) {
        self.load_period(sighting.root);
        let mut window = self.edges.loaded(&mut self.buffers);
        let y = window.channel(sighting.center_hz - snippet.center_hz);
        // Periods from the beginning of the sequence to the first value.
        let lead = (sighting.window_start as i64 - around.window_start) as f64 / self.rate_hz / SEQUENCE_S;
        let first = -lead - sighting.lag as f64 / LAG_POINTS as f64;
        let step = 1.0 / (around.rate_hz * SEQUENCE_S);
        self.rest.clear();
        self.rest.extend(y.iter().enumerate().map(|(n, z)| {
            let at = (first + n as f64 * step).rem_euclid(1.0) * PERIOD as f64;
            let (low, part) = (at as usize % PERIOD, at.fract() as f32);
            let r = self.period[low] * (1.0 - part) + self.period[(low + 1) % PERIOD] * part;
            z * r.conj()
        }));
    }

    /// One period of a root's sequence as it is sent, its middle at 0 Hz, of power 1.
    fn load_period(&mut self, root: usize) {
        let mut period = std::mem::take(&mut self.period);
        let reference = self.reference(root);
        period.clear();
        period.resize(PERIOD, Complex32::ZERO);
        let scale = 1.0 / (N_ZC as f32).sqrt();
        for (k, conj) in reference.iter().enumerate() {
            period[(k + PERIOD - N_ZC / 2) % PERIOD] = conj.conj() * scale;
        }
        self.periods.process_with_scratch(&mut period, &mut self.scratch);
        self.period = period;
    }

    /// What is constant where the preamble surely is, with `rest` turned by the offset that shows the most of it, and that offset
    /// in hertz.
    fn steady_level(&mut self, around: &PowerAround) -> (Complex64, f64) {
        let inside = around.inside();
        let step_s = TOGETHER as f64 / around.rate_hz;
        let sums: Vec<Complex32> = self.rest[inside.clone()].chunks(TOGETHER).map(|c| c.iter().sum()).collect();
        let turned = |hz: f64| {
            let turn = |i: usize| Complex64::from_polar(1.0, -std::f64::consts::TAU * hz * step_s * i as f64);
            let one = |(i, z): (usize, &Complex32)| Complex64::new(f64::from(z.re), f64::from(z.im)) * turn(i);
            sums.iter().enumerate().map(one).sum::<Complex64>()
        };
        let offsets = (-OFFSETS_HZ..=OFFSETS_HZ).step_by(OFFSET_STEP_HZ).map(f64::from);
        let hz = offsets.max_by(|a, b| turned(*a).norm_sqr().total_cmp(&turned(*b).norm_sqr())).unwrap_or(0.0);
        let mut sum = Complex64::new(0.0, 0.0);
        for (n, z) in self.rest.iter_mut().enumerate() {
            let angle = -std::f64::consts::TAU * hz * (n as f64 - inside.start as f64) / around.rate_hz;
            *z *= Complex32::new(angle.cos() as f32, angle.sin() as f32);
            if inside.contains(&n) {
                sum += Complex64::new(f64::from(z.re), f64::from(z.im));
            }
        }
        (sum / inside.len() as f64, hz)
    }
}
