//! What tells a PUSCH of NR from one of LTE at 15 kHz: its reference symbols.
//!
//! Those of configuration type 1 fill every other subcarrier and leave the rest empty (TS 38.211 clause 6.4.1.1.3), so such a
//! symbol is a half and, up to a sign, the same half again. LTE's fill all subcarriers (TS 36.211 clause 5.5.2.1), and so do
//! data. The half subcarrier by which LTE's carriers are shifted would tell as well, but only a radio that is off by less than
//! 1.25 kHz sees it.

use crate::classify::prefix::coherence_of;
use cellwarden_standards::lte::TS_PER_SECOND;
use cellwarden_standards::nr::{PUSCH_DMRS_PATTERNS, SLOT_SYMBOLS, Spacing};
use num_complex::Complex32;

/// Chance that symbols which are no comb pass as one.
const PASS: f64 = 1e-4;
/// The same of a single symbol: of LTE's data some hold a half and nearly the same half again (a block that is padded), which
/// two do not do at the places of two references.
const PASS_SINGLE: f64 = 1e-12;

/// How well the halves of a PUSCH's reference symbols agree, where it surely is NR's. `y` is at `rate` samples a second, `start`
/// the first symbol's prefix of a slot of `spacing`, and `width_hz` what is filled.
pub fn coherence(y: &[Complex32], rate: f64, start: f64, spacing: Spacing, width_hz: f64) -> Option<f64> {
    let half = (0.5 * rate / spacing.hz()).round() as usize;
    let halves = |l: usize| {
        // From the middle of the prefix on: the start is not known to a sample.
        let at = f64::from(spacing.symbol_start_ts(l as u32)) + 0.5 * f64::from(spacing.cp_ts(l as u32));
        let from = (start + at / TS_PER_SECOND * rate).max(0.0).round() as usize;
        (l < SLOT_SYMBOLS).then_some(())?;
        Some((y.get(from..from + half)?, y.get(from + half..from + 2 * half)?))
    };
    let mut best: Option<(f64, f64)> = None;
    for symbols in PUSCH_DMRS_PATTERNS {
        let (coherence, _) = coherence_of(symbols.iter().filter_map(|&l| halves(l)));
        // Independent values of the halves.
        let values = symbols.len() as f64 * half as f64 / rate * width_hz;
        let chance = PUSCH_DMRS_PATTERNS.len() as f64 * (1.0 - coherence).powf((values - 1.0).max(1.0));
        let pass = if symbols.len() == 1 { PASS_SINGLE } else { PASS };
        if chance < pass && best.is_none_or(|b| chance < b.0) {
            best = Some((chance, coherence));
        }
    }
    best.map(|b| b.1)
}
