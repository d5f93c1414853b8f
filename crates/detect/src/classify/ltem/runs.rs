//! Machines that go on for longer than a piece: up to 2048 subframes (TS 36.213 Table 8.2c).
//!
//! What lasts for more than 10 ms in one place is cut into pieces that begin and end anywhere, and are no whole slots. Of
//! such a piece it is asked whether it is the same a millisecond later, which costs little where it is not; where it is,
//! its slots are sought.

use super::subframes::{MOST_BLOCKS, SubframeComparison, correlation};
use crate::candidate::{NoiseFloor, Proposal, Region, Snippet};
use crate::classify::budget::Budget;
use crate::classify::lte::shared::SharedChannelClassifier;
use crate::classify::prefix::best_fit;
use crate::segment::Segment;
use cellwarden_standards::band;
use cellwarden_standards::lte::{RB_HZ, SLOT_S, SLOT_SYMBOLS, SUBFRAME_S};
use cellwarden_standards::nr::Spacing;
use cellwarden_types::{Detail, Evidence, Kind, Standard, db};

/// A piece that was cut lasts so long. What is left behind the last is as long as the rest, and judged by itself from the
/// second on.
const PIECE_S: std::ops::Range<f64> = 9.5e-3..11e-3;
const LEAST_JUDGED_S: f64 = 6e-3;
/// From this level on, as LTE's shared channels.
const LEAST_SNR_DB: f64 = 7.0;
/// What edges may be off from whole blocks.
const MISFIT_HZ: f64 = 60e3;
/// How well a piece agrees with itself a subframe later at the least. Three of four subframes and six of seven symbols do,
/// but for the noise, which is twice that of its blocks: 0.46 at 7 dB. What does not agrees by 0.02.
const LEAST_AGREEMENT: f64 = 0.25;
/// Slots that show where a subframe begins: of four subframes, two are like the next at the least.
const FIRST_SLOTS: usize = 8;
/// Pieces that were something else, a second, and at once: a window of 12.8 ms takes as long as a shared channel's.
const IN_VAIN_PER_S: f64 = 8.0;
const IN_VAIN_MOST: f64 = 16.0;
/// Machines that are followed; how far edges may move from one piece to the next, how far their ends may lie apart, and
/// their levels.
const RUNS_MOST: usize = 16;
const EDGE_HZ: f64 = 30e3;
const GAP_S: f64 = 0.6e-3;
const LEVEL_DB: f64 = 1.5;

/// Judges pieces of what goes on.
#[derive(Debug)]
pub struct LongRuns {
    subframes: SubframeComparison,
    /// The last pieces of machines.
    machines: Vec<Region>,
    budget: Budget,
}

impl Default for LongRuns {
    fn default() -> Self {
        let budget = Budget::new(IN_VAIN_PER_S, IN_VAIN_MOST);
        Self { subframes: SubframeComparison::default(), machines: Vec::with_capacity(RUNS_MOST), budget }
    }
}

impl LongRuns {
    /// What a piece is, if it is a machine's that goes on: a long one by its own subframes, a short rest behind it because
    /// it is a part of the same emission, at the same level. `start_s` is its start by the receiver's clock.
    pub fn classify(
        &mut self,
        shared: &mut SharedChannelClassifier,
        segment: &Segment,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        start_s: f64,
    ) -> Option<Proposal> {
        let region = &segment.region;
        let seconds = region.count as f64 / snippet.rate_hz;
        let (width, middle) = (region.high_hz - region.low_hz, (region.low_hz + region.high_hz) / 2.0);
        let blocks = (width / RB_HZ).round() as u32;
        let fits = (1..=MOST_BLOCKS).contains(&blocks) && (width - f64::from(blocks) * RB_HZ).abs() < MISFIT_HZ;
        if !fits || region.snr_db < LEAST_SNR_DB || band::is_unpaired(middle) || band::lte_band(middle).is_none() {
            return None;
        }
        let is_rest = segment.age_s > seconds + SUBFRAME_S;
        let before =
            if is_rest { self.machines.iter().position(|m| goes_on(m, region, snippet.rate_hz)) } else { None };
        let is_whole = PIECE_S.contains(&seconds);
        let evidence = match before {
            Some(_) if seconds < LEAST_JUDGED_S => Some(Evidence::new("goes_on_from_repeated", segment.age_s, -8.0)),
            Some(_) => self.repetition(shared, region, snippet, floor, blocks),
            None if is_whole && !segment.is_continuous() && self.budget.allows(start_s) => {
                let found = self.repetition(shared, region, snippet, floor, blocks);
                if found.is_none() {
                    self.budget.spend(1.0);
                }
                found
            }
            None => None,
        };
        if let Some(known) = before {
            self.machines.swap_remove(known);
        }
        let evidence = evidence?;
        if self.machines.len() == RUNS_MOST {
            self.machines.remove(0);
        }
        self.machines.push(*region);
        Some(Proposal {
            standard: Standard::Ltem,
            kind: Kind::Pusch,
            start: region.start as f64,
            count: region.count as f64,
            low_hz: middle - f64::from(blocks) * RB_HZ / 2.0,
            high_hz: middle + f64::from(blocks) * RB_HZ / 2.0,
            power: region.power,
            channel: None,
            carrier_offset_hz: None,
            standard_confidence: 0.95,
            sequence_start: None,
            detail: Detail { resource_blocks: Some(blocks as u16), evidence: vec![evidence], ..Detail::default() },
        })
    }

    /// What a whole piece's subframes say of repetition, where that proves a machine.
    fn repetition(
        &mut self,
        shared: &mut SharedChannelClassifier,
        region: &Region,
        snippet: &Snippet<'_>,
        floor: &NoiseFloor,
        blocks: u32,
    ) -> Option<Evidence> {
        let (y, rate, window_start, _) = shared.load(region, snippet, floor)?;
        let expected = (region.start as f64 - window_start) / snippet.rate_hz * rate;
        let seconds = region.count as f64 / snippet.rate_hz;
        let inside = y.get(expected.max(0.0) as usize..)?;
        let inside = &inside[..inside.len().min((seconds * rate) as usize)];
        let later = inside.get((SUBFRAME_S * rate).round() as usize..)?;
        if f64::from(correlation(inside.iter().zip(later)).norm()) < LEAST_AGREEMENT {
            return None;
        }
        let reach_s = SLOT_S / 2.0;
        let slots = (seconds / SLOT_S) as usize - 1;
        let fit = best_fit(&y, rate, expected + reach_s * rate, reach_s, (Spacing::Khz15, slots * SLOT_SYMBOLS))?;
        let offset_hz = fit.offset_hz(Spacing::Khz15);
        // Prefixes hardly tell one symbol from the next; what does not repeat does, the reference symbols.
        let symbol = SLOT_S / SLOT_SYMBOLS as f64 * rate;
        let mut judge = |start: f64, slots: usize| {
            self.subframes.repetition(&y, rate, start, (slots, blocks), offset_hz, region.snr_db)
        };
        let mut starts = (0..2 * SLOT_SYMBOLS).map(|later| fit.start + later as f64 * symbol);
        // From a subframe's second slot on, the first few look alike as well: all of it decides.
        starts.find_map(|start| judge(start, FIRST_SLOTS).and_then(|_| judge(start, slots - 2)))
    }
}

/// Whether a region follows at once on a machine's piece, in its place and at its level.
fn goes_on(of: &Region, region: &Region, rate_hz: f64) -> bool {
    let gap_s = (region.start as f64 - (of.start + of.count) as f64) / rate_hz;
    let same = (of.low_hz - region.low_hz).abs() < EDGE_HZ && (of.high_hz - region.high_hz).abs() < EDGE_HZ;
    same && gap_s.abs() < GAP_S && db(region.power / of.power).abs() < LEVEL_DB
}
