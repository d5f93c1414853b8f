//! One tone whose phase steps at symbols' edges.
//!
//! Within a symbol and its prefix a single subcarrier is a carrier: samples half a symbol apart differ by the same turn all the
//! time. From one symbol to the next the phase steps by odd eighths or quarters of a circle (TS 36.211 clause 10.1.5), so that
//! across edges the turns cancel. A carrier, a voice or another modulation does not do both.

use cellwarden_standards::lte::{SLOT_SYMBOLS, TS_PER_SECOND};
use cellwarden_standards::nbiot::Tones;
use num_complex::{Complex32, Complex64};

/// How far apart the samples are, as a share of the useful part.
const APART: f64 = 0.45;
/// Places of a slot's beginning that are tried in each symbol.
const PLACES: usize = 12;
/// What agrees within symbols at the least (noise takes some), and across their edges at the most, as a share of that. Chance
/// leaves 0.2 of 28 symbols.
const LEAST_WITHIN: f64 = 0.55;
const MOST_ACROSS: f64 = 0.5;
/// Symbols that say something.
const LEAST_SYMBOLS: usize = 12;
/// Room at a symbol's edges for filters, in seconds.
const ROOM_S: f64 = 4e-6;

/// What this works in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Running sums of the products of samples so far apart, and of their sizes.
    pub(super) turns: Vec<Complex64>,
    pub(super) sizes: Vec<f64>,
}

impl Scratch {
    /// Sums y(n + apart) y*(n).
    pub(super) fn load(&mut self, y: &[Complex32], apart: usize) {
        self.turns.clear();
        self.sizes.clear();
        self.turns.push(Complex64::new(0.0, 0.0));
        self.sizes.push(0.0);
        let (mut sum, mut size) = (Complex64::new(0.0, 0.0), 0.0);
        for (a, b) in y.iter().zip(y.iter().skip(apart)) {
            let z = b * a.conj();
            let z = Complex64::new(f64::from(z.re), f64::from(z.im));
            sum += z;
            size += z.norm();
            self.turns.push(sum);
            self.sizes.push(size);
        }
    }

    /// The sum over products `from` to `to`, and of their sizes; none where there are not so many.
    pub(super) fn over(&self, from: f64, to: f64) -> Option<(Complex64, f64)> {
        let (from, to) = (from.ceil().max(0.0) as usize, to.floor().max(0.0) as usize);
        (from < to).then_some(())?;
        Some((self.turns.get(to)? - self.turns[from], self.sizes.get(to)? - self.sizes[from]))
    }
}

/// How much better samples agree within symbols of `tones` than across their edges, where it is such a tone. `y` is at `rate` and
/// holds nothing else.
pub(super) fn steps(y: &[Complex32], rate: f64, tones: Tones, scratch: &mut Scratch) -> Option<f64> {
    let unit = rate / TS_PER_SECOND;
    let apart = (APART * f64::from(tones.symbol_ts()) * unit).round() as usize;
    scratch.load(y, apart);
    let room = ROOM_S * rate;
    let slot = f64::from(tones.slot_ts()) * unit;
    let slots = (y.len() as f64 / slot).ceil() as usize + 1;
    let places = PLACES * SLOT_SYMBOLS;
    let mut best: Option<(f64, f64)> = None;
    for place in 0..places {
        let begin = (place as f64 / places as f64 - 1.0) * slot;
        let (mut within, mut across) = ((Complex64::new(0.0, 0.0), 0.0), (Complex64::new(0.0, 0.0), 0.0));
        let mut count = 0;
        for n in 0..slots * SLOT_SYMBOLS {
            let l = n % SLOT_SYMBOLS;
            let at = begin + (n / SLOT_SYMBOLS) as f64 * slot + f64::from(tones.symbol_start_ts(l)) * unit;
            let end = at + f64::from(tones.cp_ts(l) + tones.symbol_ts()) * unit;
            let Some(a) = scratch.over(at + room, end - apart as f64 - room) else { continue };
            within = (within.0 + a.0, within.1 + a.1);
            count += 1;
            // Before the next symbol of the same slot: one of 3.75 kHz ends in silence.
            if l + 1 < SLOT_SYMBOLS {
                if let Some(b) = scratch.over(end - apart as f64 + room, end - room) {
                    across = (across.0 + b.0, across.1 + b.1);
                }
            }
        }
        if count < LEAST_SYMBOLS || within.1 <= 0.0 || across.1 <= 0.0 {
            continue;
        }
        let share = |s: (Complex64, f64)| s.0.norm() / s.1;
        let (inside, over) = (share(within), share(across));
        if best.is_none_or(|b| inside - over > b.0 - b.1) {
            best = Some((inside, over));
        }
    }
    let (inside, over) = best?;
    (inside > LEAST_WITHIN && over < MOST_ACROSS * inside).then_some(inside - over)
}
