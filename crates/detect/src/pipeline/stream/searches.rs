//! Preambles that hardly show or do not at all: where the gate points, at a base station's occasions, everywhere.

use super::{Classifiers, Faint, HELD_S, Stream};
use crate::candidate::{Proposal, Snippet};
use crate::carrier::LearnedPrach;
use crate::classify::nr::prach::{Place, ShortPrachSearch};
use crate::gate::PreambleGate;
use crate::grid::GridSearch;
use crate::pipeline::overlap::{is_of, same_emission};
use crate::pulse::PulseSearch;
use crate::swap::SwapTest;
use cellwarden_standards::lte;
use cellwarden_types::Burst;
use std::sync::Arc;

/// And around a faint preamble: the longest format to both sides of its window.
pub(super) const FAINT_MARGIN_S: f64 = 2.8e-3;

impl Classifiers {
    /// Whether a faint preamble is none that was found before and nothing that one makes; remembers it. What began before sample
    /// `old` is forgotten.
    fn is_new_faint(&mut self, found: &Proposal, old: f64) -> bool {
        self.recent_prach.retain(|p| p.start > old);
        let is_new = !self.recent_prach.iter().any(|p| same_emission(p, found) || is_of(found, p));
        if is_new {
            self.recent_prach.push(found.clone());
        }
        is_new
    }
}

impl Stream {
    /// Looks for the faint preambles of which enough samples are there, and all that stands out around them is judged: what is no more
    /// than a part of that is known then.
    pub(super) fn search_faint(&mut self, sensor: &Arc<str>, swapped: &mut SwapTest, all: bool, out: &mut Vec<Burst>) {
        let margin = (FAINT_MARGIN_S * self.rate.0) as u64;
        let known = self.known(all);
        let judged = self.judged(known);
        let half_hz = self.rate.0 / 2.0;
        let noise = if self.faint.is_empty() {
            0.0
        } else {
            self.noise.power(self.center.0 - half_hz, self.center.0 + half_hz)
        };
        let mut waiting = std::mem::take(&mut self.faint);
        waiting.retain(|&Faint { start, count, center_hz, hint }| {
            let (from, to) = (self.origin + start, self.origin + start + count);
            if to + margin > judged && !all {
                return true;
            }
            let parts = &mut self.classifiers;
            let Some(prach) = &mut parts.prach else { return false };
            let (begin, end) = (from.saturating_sub(margin).max(self.ring.first()), (to + margin).min(known));
            let is_known = |p: &Proposal| {
                p.start < to as f64 && from as f64 <= p.start + p.count && p.low_hz < center_hz && center_hz < p.high_hz
            };
            if begin >= end || parts.recent_prach.iter().any(is_known) {
                return false;
            }
            // A corner of a shared channel that was proven since stands out as well.
            let is_corner = parts.recent_shared.iter().any(|r| {
                let slack = 0.2e-3 * self.rate.0;
                let at_once = r.time.start < to as f64 + slack && from as f64 - slack < r.time.end;
                at_once && r.band_hz.start < center_hz + lte::PRACH_HZ && center_hz - lte::PRACH_HZ < r.band_hz.end
            });
            let frames = hint.frame..hint.frame + count / self.geometry.hop as u64;
            let left = || self.grid.as_ref()?.left_in(frames.clone(), hint.bins);
            if is_corner && left().is_some_and(|mean| mean < hint.least) {
                return false;
            }
            self.ring.load(begin, end, &mut parts.iq);
            self.quietener.quieten(&mut parts.iq, center_hz - self.center.0, noise);
            let snippet = Snippet { iq: &parts.iq, start: begin, rate_hz: self.rate.0, center_hz: self.center.0 };
            let long = prach.search_faint(&snippet, &self.noise, from, center_hz);
            let place = Place { start: from, center_hz };
            let short = || parts.short_prach.as_mut()?.search(&snippet, &self.noise, place);
            let Some(mut found) = long.or_else(short) else { return false };
            if parts.is_new_faint(&found, begin as f64 - 0.1 * self.rate.0) {
                self.learn(&mut found, swapped);
                self.report(found, sensor, out);
            }
            false
        });
        self.faint = waiting;
    }

    /// What its gate, its grid and its base stations pointed at beyond their budgets.
    pub(in crate::pipeline) fn places_skipped(&self) -> u64 {
        let gate = self.gate.as_ref().map_or(0, PreambleGate::skipped);
        let grid = self.grid.as_ref().map_or(0, GridSearch::overlooked);
        let short = self.classifiers.short_prach.as_ref().map_or(0, ShortPrachSearch::skipped);
        self.places_skipped
            + self.grid_looks.skipped()
            + self.classifiers.shared.skipped()
            + short
            + gate
            + grid
            + self.pulses.as_ref().map_or(0, PulseSearch::overlooked)
    }

    /// Where the searches of every place, of base stations' occasions and of reports go on, from the origin.
    pub(super) fn searches_next(&self) -> impl Iterator<Item = u64> + '_ {
        let deep = self.deep.iter().map(|_| self.deep_next);
        let reports = self.reports.iter().filter(|r| r.is_following()).map(|_| self.reports_next);
        deep.chain(self.carriers.is_any_timed().then_some(self.occasions_next)).chain(reports)
    }

    /// Looks at the occasions of base stations whose subframes are known, as far as all that stands out is judged.
    pub(super) fn search_occasions(
        &mut self,
        sensor: &Arc<str>,
        search_cores: f64,
        swapped: &mut SwapTest,
        all: bool,
        out: &mut Vec<Burst>,
    ) {
        let rate = self.rate.0;
        let margin = (FAINT_MARGIN_S * rate) as u64;
        let known = self.known(all);
        let end = if all { known } else { self.judged_or_old(known).saturating_sub(2 * margin) };
        let begin = (self.origin + self.occasions_next).max(self.ring.first() + margin);
        if end <= begin {
            return;
        }
        self.occasions_next = end - self.origin;
        let (from_s, to_s) = (self.seconds_at(begin as f64), self.seconds_at(end as f64));
        let Classifiers { prach: Some(prach), known_places, .. } = &self.classifiers else { return };
        let cores_of = |base_station: &LearnedPrach, roots: usize| match known_places {
            Some(narrow) => narrow.seconds_of_occasion(base_station, roots),
            None => prach.seconds_of_occasion(base_station, roots),
        };
        // Put back before anything is learned.
        let carriers = std::mem::take(&mut self.carriers);
        let (occasions, skipped) = carriers.occasions((from_s, to_s), search_cores, cores_of);
        self.places_skipped += skipped;
        let mut heard: Vec<Proposal> = Vec::new();
        for occasion in occasions {
            let start = occasion.start_s * rate - self.lost_before as f64;
            let base_station = occasion.base_station;
            let parts = &mut self.classifiers;
            let is_known = |p: &Proposal| {
                (p.start - start).abs() < 0.9e-3 * rate && (p.low_hz..p.high_hz).contains(&base_station.center_hz)
            };
            let Some(prach) = &mut parts.prach else { break };
            if parts.recent_prach.iter().any(is_known) {
                continue;
            }
            let place = (start, occasion.sigma_s * rate);
            if let Some(narrow) = &mut parts.known_places {
                let needs = narrow.needs(base_station, place);
                let last = (needs.end.ceil() as u64).min(known);
                let first = (needs.start.floor().max(0.0) as u64).max(self.ring.first()).min(last);
                self.ring.load(first, last, &mut parts.iq);
                let snippet = Snippet { iq: &parts.iq, start: first, rate_hz: rate, center_hz: self.center.0 };
                if !narrow.sights(&snippet, &self.noise, base_station, place, &occasion.roots) {
                    continue;
                }
            }
            let first = (start as u64).saturating_sub(margin).max(self.ring.first());
            let last = (start as u64 + 2 * margin).min(known);
            self.ring.load(first, last, &mut parts.iq);
            let snippet = Snippet { iq: &parts.iq, start: first, rate_hz: rate, center_hz: self.center.0 };
            let sighting = prach.sight_known(&snippet, &self.noise, base_station, place, &occasion.roots);
            let found = sighting.and_then(|s| prach.propose_known(&s, &snippet, &self.noise, base_station));
            heard.extend(found.filter(|f| parts.is_new_faint(f, first as f64 - 0.1 * rate)));
        }
        self.carriers = carriers;
        for mut found in heard {
            self.learn(&mut found, swapped);
            self.report(found, sensor, out);
        }
    }

    /// The sample of the recording before which all that stands out is judged, of those that are `known`.
    fn judged(&self, known: u64) -> u64 {
        let pending = self.pending.iter().map(|s| s.region.start + self.origin).min().unwrap_or(u64::MAX);
        self.frame_start(self.segmenter.open_since()).min(pending).min(known)
    }

    /// The same; but what is open for long is waited for no longer than its samples are kept.
    pub(super) fn judged_or_old(&self, known: u64) -> u64 {
        self.judged(known).max(known.saturating_sub((HELD_S * self.rate.0) as u64 / 2))
    }

    /// Looks everywhere for preambles that hardly show, as far as all that stands out is judged.
    pub(super) fn search_everywhere(
        &mut self,
        sensor: &Arc<str>,
        swapped: &mut SwapTest,
        all: bool,
        out: &mut Vec<Burst>,
    ) {
        let Some(deep) = &self.deep else { return };
        let (step, window, margin) = (deep.step(), deep.window(), (FAINT_MARGIN_S * self.rate.0) as u64);
        let known = self.known(all);
        let end = if all { known } else { self.judged_or_old(known).saturating_sub(margin) };
        let first = (self.origin + self.deep_next).max(self.ring.first().next_multiple_of(step));
        let count = (end + step).saturating_sub(first + window) / step;
        if count == 0 {
            return;
        }
        let (from, to) = (first.saturating_sub(margin).max(self.ring.first()), (end + margin).min(known));
        let parts = &mut self.classifiers;
        self.ring.load(from, to, &mut parts.iq);
        let snippet = Snippet { iq: &parts.iq, start: from, rate_hz: self.rate.0, center_hz: self.center.0 };
        let mut found = Vec::new();
        if let Some(deep) = &mut self.deep {
            deep.search(&snippet, &self.noise, (first, count as usize), &mut found);
        }
        self.deep_next = first + count * step - self.origin;
        for mut proposal in found {
            if self.classifiers.is_new_faint(&proposal, from as f64 - 0.1 * self.rate.0) {
                self.learn(&mut proposal, swapped);
                self.report(proposal, sensor, out);
            }
        }
    }

    /// Lets go of faint energy where no preamble is sought any more, unless it is one.
    pub(super) fn release_held(&mut self, sensor: &Arc<str>, all: bool, out: &mut Vec<Burst>) {
        let searched = self.searches_next().min().unwrap_or(u64::MAX);
        let waits = |p: &Proposal| {
            let (start, end) = (p.start - self.origin as f64, p.start + p.count - self.origin as f64);
            let is_hinted = |f: &Faint| (f.start as f64) < end && start < (f.start + f.count) as f64;
            !all && (end > searched as f64 || self.faint.iter().any(is_hinted))
        };
        let (waiting, free): (Vec<_>, Vec<_>) = self.held.drain(..).partition(waits);
        self.held = waiting;
        let known = &self.classifiers.recent_prach;
        let free = free.into_iter().filter(|p| !known.iter().any(|q| same_emission(p, q)));
        for p in free.collect::<Vec<_>>() {
            self.report(p, sensor, out);
        }
    }

    /// Adds to the bursts the preambles that none repeats any more.
    pub(super) fn release_preambles(&mut self, sensor: &Arc<str>, all: bool, out: &mut Vec<Burst>) {
        let searched = if all { f64::INFINITY } else { self.found_until() as f64 };
        self.preambles.release(searched, self.rate.0, &mut self.ready);
        self.tell(sensor, out);
    }
}
