//! A tone that hops as a preamble does.

use super::tone::Scratch;
use cellwarden_standards::lte::TS_PER_SECOND;
use cellwarden_standards::nbiot::{NARROW_HZ, NPRACH_GROUPS, NPRACH_SEQUENCE_TS, nprach_cp_ts};
use num_complex::Complex32;
use std::f64::consts::TAU;

/// How far apart samples are whose turn is the frequency: a hop of 22.5 kHz turns by less than half a circle, and tones of 12
/// subcarriers do not mix up.
const APART_S: f64 = 16e-6;
/// Places that are tried in a symbol group.
const PLACES: usize = 28;
/// What agrees within a group at the least, and how far hops may be off, in hertz.
const LEAST_WITHIN: f64 = 0.6;
const HOP_ERROR_HZ: f64 = 300.0;
/// Room at a group's edges for filters.
const ROOM_S: f64 = 20e-6;

/// How many hops of a preamble there are, where it is one: at least the three of a repetition, one, six and one back
/// (TS 36.211 clause 10.1.6.1). `y` is at `rate` and holds nothing else.
pub(super) fn hops(y: &[Complex32], rate: f64, scratch: &mut Scratch) -> Option<usize> {
    let apart = (APART_S * rate).round().max(1.0) as usize;
    scratch.load(y, apart);
    let mut best: Option<usize> = None;
    for format in [0, 1] {
        let group = f64::from(nprach_cp_ts(format) + NPRACH_SEQUENCE_TS) / TS_PER_SECOND * rate;
        let room = ROOM_S * rate;
        for place in 0..PLACES {
            let begin = place as f64 / PLACES as f64 * group;
            // Frequencies of the groups that lie in it, as far as they are tones.
            let mut tones = [None; 9];
            for (i, tone) in tones.iter_mut().enumerate() {
                let at = begin + i as f64 * group;
                let Some((turn, size)) = scratch.over(at + room, at + group - apart as f64 - room) else { break };
                if turn.norm() > LEAST_WITHIN * size {
                    *tone = Some(turn.arg() / TAU * rate / apart as f64);
                }
            }
            let count = repetition_hops(&tones);
            if count >= NPRACH_GROUPS - 1 && best.is_none_or(|b| count > b) {
                best = Some(count);
            }
        }
    }
    best
}

/// Hops of whole repetitions among the frequencies of groups in a row.
fn repetition_hops(tones: &[Option<f64>]) -> usize {
    let is = |hz: f64, steps: f64| (hz.abs() - steps * NARROW_HZ).abs() < HOP_ERROR_HZ;
    let repetition = |w: &&[Option<f64>]| {
        let [Some(a), Some(b), Some(c), Some(d)] = **w else { return false };
        is(b - a, 1.0) && is(c - b, 6.0) && is(d - c, 1.0) && (b - a) * (d - c) < 0.0
    };
    (NPRACH_GROUPS - 1) * tones.windows(NPRACH_GROUPS).filter(repetition).count()
}
