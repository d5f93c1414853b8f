//! Reports at pairs of blocks that are in use: those that nothing else found are told, and name what nothing else named.

use super::Stream;
use crate::candidate::Proposal;
use crate::classify::lte::reports::{Report, ReportSearch};
use crate::pipeline::overlap::same_emission;
use crate::swap::SwapTest;
use cellwarden_standards::lte;
use cellwarden_types::{Burst, Detail, Evidence, Kind, Standard};
use std::sync::Arc;

/// Evidence of one report counts to here, and how much of its logarithm does.
const LLR_MOST: f64 = 3.0;
const LLR_SHARE: f64 = 0.4;
/// Boxes of faint energy are not found any more so long before what was judged.
const BOXES_S: f64 = 3e-3;
/// What was told so long ago can be no report that is told now.
const TOLD_S: f64 = 0.2;

impl Stream {
    /// Takes the last steps in.
    pub(super) fn follow_reports(&mut self) {
        let (new, hop) = (self.steps.new_steps(), self.geometry.hop as u64);
        // A frame speaks for the hop in its middle.
        let first = self.origin + new.start * self.steps.frames() as u64 * hop + (self.geometry.n_fft as u64 - hop) / 2;
        let start_s = self.seconds_at(first as f64);
        let Some((reports, grid)) = self.reports.as_mut().zip(self.grid.as_ref()) else { return };
        let grids = self.carriers.grids(start_s, self.center.0);
        reports.take(grid.newest((new.end - new.start) as usize), start_s, grids);
    }

    /// Tells the reports of the time that is judged.
    pub(super) fn tell_reports(&mut self, sensor: &Arc<str>, swapped: &SwapTest, all: bool, out: &mut Vec<Burst>) {
        if self.reports.as_ref().is_none_or(|r| !r.is_following()) {
            return;
        }
        let known = self.known(all);
        let end = if all { known } else { self.judged_or_old(known).saturating_sub((BOXES_S * self.rate.0) as u64) };
        self.reports_next = self.reports_next.max(end.saturating_sub(self.origin));
        let end_s = self.seconds_at(end as f64);
        let due: Vec<Report> = self.reports.iter_mut().flat_map(|r: &mut ReportSearch| r.take_found(end_s)).collect();
        for report in due {
            // Phones send in that carrier: less is enough for what else lies on its grid.
            self.carriers.is_own(report.base_station, report.ln_ratio);
            for slot in 0..2 {
                let mut found = self.half_of(&report, slot);
                self.held.retain(|p| p.standard != Standard::Unknown || !same_emission(p, &found));
                let is_told = self.told.iter().chain(&self.held).any(|p| same_emission(p, &found));
                if !is_told {
                    swapped.doubt(&mut found);
                    let middle_hz = (found.low_hz + found.high_hz) / 2.0;
                    self.neighbours.name_on_grid(&mut found, middle_hz, self.rate.0);
                    self.report(found, sensor, out);
                }
            }
        }
    }

    /// One slot of a report.
    fn half_of(&self, report: &Report, slot: usize) -> Proposal {
        let low_hz = report.low_hz[slot];
        let high_hz = low_hz + lte::RB_HZ;
        let start_s = report.start_s + slot as f64 * lte::SLOT_S;
        let evidence = |name, ln: f64| Evidence::new(name, ln, (LLR_SHARE * ln).clamp(0.0, LLR_MOST));
        Proposal {
            standard: Standard::Lte,
            kind: Kind::Pucch,
            start: start_s * self.rate.0 - self.lost_before as f64,
            count: lte::SLOT_S * self.rate.0,
            low_hz,
            high_hz,
            power: f64::from(report.excess[slot].max(0.0)) * self.noise.power(low_hz, high_hz),
            channel: None,
            carrier_offset_hz: None,
            sequence_start: None,
            standard_confidence: 0.95,
            detail: Detail {
                resource_blocks: Some(1),
                evidence: vec![
                    evidence("report_at_its_pair", report.ln_ratio),
                    Evidence::new("pair_in_use", report.ln_in_use, 0.0),
                ],
                ..Detail::default()
            },
        }
    }

    /// Remembers where something was found, as long as a report there may be told.
    pub(super) fn remember_told(&mut self, found: &Proposal) {
        if self.reports.as_ref().is_some_and(ReportSearch::is_following) {
            let old = found.start - TOLD_S * self.rate.0;
            while self.told.front().is_some_and(|t| t.start < old) {
                self.told.pop_front();
            }
            self.told.push_back(found.clone());
        }
    }
}
