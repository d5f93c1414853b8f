//! Subframes whose data is sent several times over.
//!
//! In coverage enhancement mode B the data of up to four subframes in a row is the same, redundancy version and scrambling
//! included: those that lie between multiples of N_acc = 4 (TS 36.211 clause 5.3.1, TS 36.213 clause 8.6.1). The reference
//! signal's cyclic shift is drawn anew for each slot all the same (TS 36.211 clause 5.5.2.1.1). A phone's scrambling begins
//! anew in each subframe, whatever it repeats (TTI bundling, HARQ). NR's does not (TS 38.211 clause 6.3.1.1), and a phone
//! with a configured grant may repeat a slot as it is (TS 38.214 clause 6.1.2.3.1); but none of its slots has reference
//! symbols where both of LTE's are (TS 38.211 Table 6.4.1.1.3-3), so that one of these would repeat.

use crate::classify::lte::reference::subcarriers_of;
use cellwarden_standards::lte::{self, PUSCH_DMRS_SYMBOL, RB_SUBCARRIERS, SLOT_SYMBOLS, SLOT_TS, TS_PER_SECOND};
use cellwarden_types::{Evidence, undb};
use num_complex::Complex32;

/// Mode B has one block or two: three bits of its grant are left for them (TS 36.212 clause 5.3.3.1.11).
pub const MOST_BLOCKS: u32 = 2;
/// Slots and symbols of a subframe.
const SLOTS: usize = 2;
const SYMBOLS: usize = SLOTS * SLOT_SYMBOLS;
const DATA_SYMBOLS: usize = SYMBOLS - SLOTS;
/// Chance that data which is not the same agrees so well: of 10^8 pairs a day, 10^-4.
///
/// Symbols' normalised correlations r over n subcarriers have E|r|² = 1/n where the data is independent, as scrambling
/// makes it; the mean of m of them exceeds s with exp(-m n s²) (Rayleigh), m n = 144 for each block.
const PASS: f64 = 1e-12;
/// Share of what the noise leaves of the agreement (S / (S + N)) that is there at the least. It is this that rules out the
/// rest: a PUCCH of format 1 repeats a symbol where its cyclic shift, one of twelve, comes again (TS 36.211 clause 5.4),
/// nine of twelve times so with 4e-8 even if the same phone sends twice; and what is always there is part of the floor.
const LEAST_SHARE: f64 = 0.7;
/// And share of it that the reference symbol of each slot stays below at least once: its shift is one of twelve.
const MOST_REFERENCE: f64 = 0.5;

/// How one subframe agrees with the next.
#[derive(Clone, Copy, Debug)]
struct Agreement {
    /// Of the data: mean correlation of symbols and of subcarriers, the lesser one, so that neither a pulse nor a tone
    /// makes it.
    data: f64,
    /// Of both reference symbols.
    references: [f64; SLOTS],
}

/// Compares the subframes of a burst.
#[derive(Debug, Default)]
pub struct SubframeComparison {
    /// Subcarriers of all symbols of one subframe and of the next.
    values: [Vec<Complex32>; 2],
}

impl SubframeComparison {
    /// Whether an allocation is one of mode B's, and long enough to repeat itself.
    pub fn may_tell((slots, blocks): (usize, u32)) -> bool {
        slots >= 2 * SLOTS && (1..=MOST_BLOCKS).contains(&blocks)
    }

    /// What the data of a burst says of repetition, 0 to 1, where that proves a machine: most of it is sent again a
    /// subframe later.
    ///
    /// `y` holds the burst at `rate_hz`, the middle of its `blocks` at `offset_hz`; its first slot begins at sample
    /// `start`. `snr_db` is its level over the noise in its blocks. A subframe more than the first two is not looked at
    /// unless they agree with their neighbours.
    pub fn repetition(
        &mut self,
        y: &[Complex32],
        rate_hz: f64,
        start: f64,
        (slots, blocks): (usize, u32),
        offset_hz: f64,
        snr_db: f64,
    ) -> Option<Evidence> {
        if !Self::may_tell((slots, blocks)) {
            return None;
        }
        let subcarriers = blocks as usize * RB_SUBCARRIERS;
        let values = (DATA_SYMBOLS * subcarriers) as f64;
        let share = 1.0 - 1.0 / (1.0 + undb(snr_db));
        let least = (LEAST_SHARE * share).max((-PASS.ln() / values).sqrt());
        let subframe = f64::from(lte::SUBFRAME_TS) / TS_PER_SECOND * rate_hz;
        let (mut agreeing, mut sum, mut references) = (0, 0.0, [f64::INFINITY; SLOTS]);
        let mut is_last_alike = true;
        self.load(0, y, rate_hz, start, subcarriers, offset_hz)?;
        for i in 1..slots / SLOTS {
            let from = start + i as f64 * subframe;
            // The last may lie beyond the samples.
            if self.load(1, y, rate_hz, from, subcarriers, offset_hz).is_none() {
                break;
            }
            let agreement = self.agreement(subcarriers);
            let is_alike = agreement.data >= least;
            // One in four is the last of its kind: where two in a row are, another's subframes may follow.
            if !is_alike && !is_last_alike {
                return None;
            }
            if is_alike {
                agreeing += 1;
                sum += agreement.data;
                references = std::array::from_fn(|slot| references[slot].min(agreement.references[slot]));
            }
            is_last_alike = is_alike;
            self.values.swap(0, 1);
        }
        let mean = sum / f64::from(agreeing.max(1));
        let differ = references.iter().all(|&r| r < MOST_REFERENCE * mean);
        (agreeing > 0 && differ).then(|| Evidence::new("subframes_repeat", mean, -8.0))
    }

    /// The subcarriers of the subframe that begins at sample `start`; none where it does not lie in the samples.
    fn load(
        &mut self,
        which: usize,
        y: &[Complex32],
        rate_hz: f64,
        start: f64,
        subcarriers: usize,
        offset_hz: f64,
    ) -> Option<()> {
        let useful = (f64::from(lte::SYMBOL_TS) / TS_PER_SECOND * rate_hz).round() as usize;
        self.values[which].clear();
        for n in 0..SYMBOLS {
            let l = n % SLOT_SYMBOLS;
            // Half of the prefix is room for what the start is off.
            let at_ts = (n / SLOT_SYMBOLS) as u32 * SLOT_TS + lte::symbol_start_ts(l) + lte::cp_ts(l) / 2;
            let at = (start + f64::from(at_ts) / TS_PER_SECOND * rate_hz).round().max(0.0) as usize;
            let symbol = y.get(at..at + useful)?;
            self.values[which].extend(subcarriers_of(symbol, rate_hz, subcarriers, 0, offset_hz));
        }
        Some(())
    }

    /// How the two subframes agree that are loaded.
    fn agreement(&self, subcarriers: usize) -> Agreement {
        let [a, b] = &self.values;
        let mut data = Complex32::ZERO;
        let mut references = [0.0; SLOTS];
        for (n, (a, b)) in a.chunks_exact(subcarriers).zip(b.chunks_exact(subcarriers)).enumerate() {
            let r = correlation(a.iter().zip(b));
            if n % SLOT_SYMBOLS == PUSCH_DMRS_SYMBOL {
                references[n / SLOT_SYMBOLS] = f64::from(r.norm());
            } else {
                data += r;
            }
        }
        let of_subcarrier = |k: usize| {
            let symbols = (0..SYMBOLS).filter(|n| n % SLOT_SYMBOLS != PUSCH_DMRS_SYMBOL);
            correlation(symbols.map(|n| n * subcarriers + k).map(|at| (&a[at], &b[at])))
        };
        let by_band: Complex32 = (0..subcarriers).map(of_subcarrier).sum();
        let by_time = f64::from(data.norm()) / DATA_SYMBOLS as f64;
        Agreement { data: by_time.min(f64::from(by_band.norm()) / subcarriers as f64), references }
    }
}

/// Σ b a* over the root of both energies: its size is 0 to 1.
pub(super) fn correlation<'a>(pairs: impl Iterator<Item = (&'a Complex32, &'a Complex32)>) -> Complex32 {
    let start = (Complex32::ZERO, 0.0f32, 0.0f32);
    let (sum, of_a, of_b) =
        pairs.fold(start, |(sum, of_a, of_b), (a, b)| (sum + b * a.conj(), of_a + a.norm_sqr(), of_b + b.norm_sqr()));
    sum / (of_a * of_b).sqrt().max(f32::MIN_POSITIVE)
}
