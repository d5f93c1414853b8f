//! What stands out at the same time is judged together: the surest proof first, and what nothing proves is what its shape says.

use super::{Extent, MARGIN_S, RECENT_MOST, Stream};
use crate::candidate::{Classifier, NoiseFloor, Proposal, Region, Snippet};
use crate::classify::gsm::GsmClassifier;
use crate::classify::leftover;
use crate::classify::lte::shared::SharedChannelClassifier;
use crate::classify::nr::downlink::{self, DownlinkFrame};
use crate::config::{Depth, DetectConfig};
use crate::pipeline::StageCosts;
use crate::pipeline::overlap::{
    common_area, drop_doubles, drop_skirts, in_a_skirt, is_of_short, is_splash, same_emission, share_inside,
};
use crate::segment::Segment;
use crate::swap::SwapTest;
use cellwarden_standards::{band, gsm, lte};
use cellwarden_types::{Burst, Kind, Standard};
use std::sync::Arc;
use std::time::Instant;

/// Segments that end within this time of each other are looked at together.
const CLUSTER_GAP_S: f64 = 1.0e-3;
/// A cluster longer than this is looked at in pieces.
const CLUSTER_LONGEST_S: f64 = 12e-3;
/// Level from which a segment is what it is, whole; what is fainter may be a piece.
pub(super) const CLEAR_DB: f64 = 6.0;
/// Level from which several are what they are, together.
const STRONG_DB: f64 = 9.0;
/// What splits off an emission at its beginning may begin so long before it; and it may reach so far out of its band.
pub(super) const SPLINTER_BEFORE_S: f64 = 0.3e-3;
const SPLINTER_BESIDE_HZ: f64 = 40e3;
/// A base station's emission that runs on into a phone's time lasts so long in its own.
const LEAST_PART_S: f64 = 0.1e-3;

impl Stream {
    /// Judges the clusters of segments that are complete.
    pub(in crate::pipeline) fn classify(
        &mut self,
        sensor: &Arc<str>,
        config: &DetectConfig,
        costs: &mut StageCosts,
        swapped: &mut SwapTest,
        all: bool,
        out: &mut Vec<Burst>,
    ) {
        let began = Instant::now();
        let rate = self.rate.0;
        let gap = (CLUSTER_GAP_S * rate) as u64;
        let margin = (MARGIN_S * rate) as u64;
        let longest = (CLUSTER_LONGEST_S * rate) as u64;
        self.pending.sort_by(|a, b| {
            (a.region.start, a.region.count)
                .cmp(&(b.region.start, b.region.count))
                .then(a.region.low_hz.total_cmp(&b.region.low_hz))
        });
        let seen = self.frame_start(self.frames_done) - self.origin;
        // What goes on may be a run, of which others are pieces.
        let run_since = self.segmenter.wide_since(lte::PRACH_HZ).map(|frame| self.frame_start(frame) - self.origin);
        let mut from = 0;
        while from < self.pending.len() {
            let mut to = from;
            let mut end = self.pending[from].region.start;
            let start = end;
            while to < self.pending.len()
                && self.pending[to].region.start <= end + gap
                && self.pending[to].region.start - start <= longest
            {
                end = end.max(self.pending[to].region.start + self.pending[to].region.count);
                to += 1;
            }
            // A segment that is still going on may belong to the cluster: wait a margin for it.
            let is_over = end + 2 * margin <= seen && run_since.is_none_or(|since| since > end);
            let complete = all || is_over || (seen - start) > 2 * longest;
            if !complete {
                break;
            }
            let cluster: Vec<Segment> = self.pending[from..to].to_vec();
            self.classify_cluster(&cluster, sensor, config, swapped, all, out);
            from = to;
        }
        self.pending.drain(..from);
        self.search_faint(sensor, swapped, all, out);
        self.search_everywhere(sensor, swapped, all, out);
        self.search_occasions(sensor, config.search_cores, swapped, all, out);
        self.tell_reports(sensor, swapped, all, out);
        self.release_held(sensor, all, out);
        self.release_preambles(sensor, all, out);
        costs.classify += began.elapsed();
    }

    fn classify_cluster(
        &mut self,
        cluster: &[Segment],
        sensor: &Arc<str>,
        config: &DetectConfig,
        swapped: &mut SwapTest,
        all: bool,
        out: &mut Vec<Burst>,
    ) {
        let margin = (MARGIN_S * self.rate.0) as u64;
        // Regions count from the stream's origin; samples and proposals from the recording's start.
        let moved = |s: &Segment| Segment { region: Region { start: s.region.start + self.origin, ..s.region }, ..*s };
        let (glimpses, cluster): (Vec<Segment>, Vec<Segment>) = cluster.iter().map(moved).partition(|s| s.is_glimpse);
        let pieces: Vec<Segment> = cluster.iter().filter(|s| !s.is_faint).copied().collect();
        let cluster = whole_ones(&cluster, self.rate.0);
        let all_of_it = || cluster.iter().chain(&glimpses).map(|s| &s.region);
        let first = all_of_it().map(|r| r.start).min().unwrap_or(self.origin);
        let last = all_of_it().map(|r| r.start + r.count).max().unwrap_or(first);
        let from = first.saturating_sub(margin).max(self.ring.first());
        let known = self.known(all);
        let to = (last + margin).min(known);
        let mut proposals: Vec<Proposal> = Vec::new();
        let energy_only = config.depth == Depth::Energy || from >= to;
        let mut claimed = vec![energy_only; cluster.len()];
        if !energy_only {
            let parts = &mut self.classifiers;
            self.ring.load(from, to, &mut parts.iq);
            let snippet = Snippet { iq: &parts.iq, start: from, rate_hz: self.rate.0, center_hz: self.center.0 };
            let seconds_at = |sample: u64| (sample + self.lost_before) as f64 / self.rate.0;
            parts.downlink.watch(seconds_at(from));
            let clock = (&seconds_at, self.rate.0);
            let gaps = claim_downlink(&mut parts.downlink, &cluster, &mut claimed, clock, &mut proposals);
            for (from_s, to_s) in gaps {
                let sample = |s: f64| ((s - seconds_at(0)) * self.rate.0).max(0.0) as u64;
                let mut found = Vec::new();
                parts.slots.regions(&(sample(from_s)..sample(to_s)), &snippet, &self.noise, &mut found);
                for region in found.iter().filter(|r| is_unpaired(r)) {
                    let near = snippet.around(region, margin);
                    parts.shared.classify(region, &near, &self.noise, &mut proposals);
                }
            }
            classify_gsm(&mut parts.gsm, &cluster, &mut claimed, &snippet, &self.noise, &mut proposals);
            let regions = cluster.iter().filter(|s| !s.is_continuous()).map(|s| s.region);
            swapped.observe_gsm(&mut parts.gsm, regions, &proposals, &snippet, &self.noise, margin);
            let runs = &mut parts.phones_runs;
            runs.forget_before(from);
            runs.claim(&mut parts.shared, &cluster, &mut claimed, (&snippet, &self.noise), seconds_at, &mut proposals);
            // What is clearly wider than a preamble and proven is no reason to look for one in all of the band.
            let is_wide = |s: &Segment| is_wide_subframe(s, self.rate.0) && !is_unpaired(&s.region);
            for (segment, claimed) in cluster.iter().zip(&mut claimed).filter(|(s, c)| !**c && is_wide(s)) {
                if in_a_skirt(segment, &cluster, (self.center.0, self.rate.0)) {
                    continue;
                }
                *claimed = classify_shared(&mut parts.shared, segment, &snippet, &self.noise, swapped, &mut proposals);
            }
            let of_wide: Vec<Region> =
                cluster.iter().zip(&claimed).filter(|(s, c)| **c && is_wide(s)).map(|(s, _)| s.region).collect();
            let is_piece =
                |s: &Segment| runs.hold(s) || of_wide.iter().any(|of| is_piece_of(&s.region, of, self.rate.0));
            let glimpses: Vec<Segment> = glimpses.into_iter().filter(|s| !is_piece(s)).collect();
            // A preamble of which no piece shows is the gate's to find.
            let shows = |s: &Segment| pieces.iter().any(|p| common_area(&p.region, &s.region) > 0.0);
            let open = cluster.iter().zip(&claimed).filter(|(s, c)| !**c && !s.is_continuous());
            let open = open.map(|(s, _)| s).filter(|s| !s.is_faint || shows(s));
            let busy = busy_stretches(open.chain(&glimpses), self.rate.0);
            let before = proposals.len();
            if let Some(prach) = parts.prach.as_mut().filter(|_| !busy.is_empty()) {
                prach.search(&snippet, &self.noise, &busy, &mut proposals);
            }
            if let Some(short) = &mut parts.short_prach {
                let regions = cluster.iter().zip(&claimed).filter(|(s, c)| !**c && !s.is_continuous());
                short.search_all(&snippet, &self.noise, regions.map(|(s, _)| s.region), &mut proposals);
            }
            for p in proposals.split_off(before) {
                let again = parts.recent_prach.iter().any(|q| same_emission(&p, q));
                if !again {
                    parts.recent_prach.push(p.clone());
                    proposals.push(p);
                }
            }
            let old = from as f64 - 0.1 * self.rate.0;
            parts.recent_prach.retain(|p| p.start > old);
            for (segment, claimed) in cluster.iter().zip(&mut claimed) {
                let is_of = |p: &Proposal| share_inside(&segment.region, p) > 0.6 || is_of_short(&segment.region, p);
                *claimed |= parts.recent_prach.iter().any(is_of);
            }
            for (segment, claimed) in cluster.iter().zip(&mut claimed) {
                if *claimed || segment.is_faint || in_a_skirt(segment, &cluster, (self.center.0, self.rate.0)) {
                    continue;
                }
                // Unlike a phone's, a machine's transmission may last for a quarter of a second.
                let near = snippet.around(&segment.region, margin);
                let at_s = seconds_at(segment.region.start);
                let narrow = parts.narrow.classify(&mut parts.shared, &segment.region, &near, &self.noise, at_s);
                let long = || parts.runs.classify(&mut parts.shared, segment, &near, &self.noise, at_s);
                let found = narrow.or_else(long);
                *claimed = found.is_some();
                proposals.extend(found);
            }
            for (segment, claimed) in cluster.iter().zip(&mut claimed) {
                // A copy of a strong neighbour's prefix is in its skirt as well.
                if *claimed || segment.is_continuous() || in_a_skirt(segment, &cluster, (self.center.0, self.rate.0)) {
                    continue;
                }
                let before = proposals.len();
                *claimed = classify_shared(&mut parts.shared, segment, &snippet, &self.noise, swapped, &mut proposals);
                let seconds = segment.region.count as f64 / self.rate.0;
                if is_unpaired(&segment.region) && parts.downlink.may_be_in(seconds_at(segment.region.start), seconds) {
                    // As well the base station itself.
                    proposals[before..].iter_mut().for_each(unname);
                }
            }
            parts.shared.take_references().for_each(|fit| swapped.observe_reference(&fit));
        }
        for p in proposals.iter().filter(|p| matches!(p.kind, Kind::Pusch | Kind::Pucch | Kind::Srs)) {
            let recent = &mut self.classifiers.recent_shared;
            if recent.len() == RECENT_MOST {
                recent.pop_front();
            }
            recent.push_back(Extent { time: p.start..p.start + p.count, band_hz: p.low_hz..p.high_hz });
        }
        drop_doubles(&mut proposals);
        drop_skirts(&mut proposals);
        let is_known = |s: &Segment| proposals.iter().any(|p| share_inside(&s.region, p) > 0.3);
        let faint = cluster.iter().zip(&claimed).filter(|(s, c)| s.is_faint && !**c && !is_known(s));
        let faint: Vec<Segment> = faint.map(|(s, _)| *s).collect();
        let left = cluster.iter().zip(&claimed).filter(|(s, c)| !s.is_faint && (energy_only || !**c));
        let left: Vec<Segment> =
            left.map(|(s, _)| *s).filter(|s| !in_a_skirt(s, &cluster, (self.center.0, self.rate.0))).collect();
        let at_s = self.seconds_at(first as f64);
        self.classifiers.shared.count_unproven(left.len() + faint.len(), at_s);
        for segment in &left {
            let on_grid = if energy_only { None } else { self.on_learned_grid(segment, from, swapped) };
            proposals.extend(on_grid.or_else(|| leftover::judge(segment, self.rate.0)));
        }
        // The grid left out what is a skirt: a strong phone hides no faint one elsewhere.
        for segment in &faint {
            let on_grid = if energy_only { None } else { self.on_learned_grid(segment, from, swapped) };
            let named = on_grid.or_else(|| leftover::judge_faint(segment, self.rate.0));
            self.held.extend(named.map(|mut p| {
                swapped.doubt(&mut p);
                p
            }));
        }
        proposals.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.low_hz.total_cmp(&b.low_hz)));
        for mut proposal in proposals {
            self.learn(&mut proposal, swapped);
            self.report(proposal, sensor, out);
        }
    }
}

/// Looks for what proves a shared channel or sounding in a segment, and says whether it did.
fn classify_shared(
    shared: &mut SharedChannelClassifier,
    segment: &Segment,
    snippet: &Snippet<'_>,
    noise: &NoiseFloor,
    swapped: &SwapTest,
    proposals: &mut Vec<Proposal>,
) -> bool {
    let before = proposals.len();
    let near = snippet.around(&segment.region, (MARGIN_S * snippet.rate_hz) as u64);
    let counts = swapped.takes(segment.region.start, segment.region.count);
    shared.compare_references(!swapped.is_settled() && counts);
    shared.classify(&segment.region, &near, noise, proposals);
    proposals.len() > before
}

/// Whether a segment is clear, a subframe long and clearly wider than a preamble.
fn is_wide_subframe(segment: &Segment, rate_hz: f64) -> bool {
    const LEAST_HZ: f64 = lte::PRACH_HZ + 2.0 * lte::RB_HZ;
    let Segment { region, .. } = segment;
    let is_subframe = (0.9e-3..1.15e-3).contains(&(region.count as f64 / rate_hz));
    !segment.is_faint && region.snr_db >= STRONG_DB && is_subframe && region.high_hz - region.low_hz > LEAST_HZ
}

/// Whether a region lies in another, but for what its edges are blurred.
fn is_piece_of(region: &Region, of: &Region, rate_hz: f64) -> bool {
    let slack = (SPLINTER_BEFORE_S * rate_hz) as u64;
    region.start + slack >= of.start
        && region.start + region.count <= of.start + of.count + slack
        && region.low_hz > of.low_hz - SPLINTER_BESIDE_HZ
        && region.high_hz < of.high_hz + SPLINTER_BESIDE_HZ
}

/// Follows the frame of an unpaired band, and takes out what the base station itself sends. Gives the times between, where one
/// of its emissions runs on into them.
fn claim_downlink(
    downlink: &mut DownlinkFrame,
    cluster: &[Segment],
    claimed: &mut [bool],
    (seconds_at, rate_hz): (impl Fn(u64) -> f64, f64),
    proposals: &mut Vec<Proposal>,
) -> Vec<(f64, f64)> {
    let unpaired = |s: &&Segment| !s.is_continuous() && is_unpaired(&s.region);
    let time = |r: &Region| (seconds_at(r.start), r.count as f64 / rate_hz);
    for Segment { region, .. } in cluster.iter().filter(unpaired) {
        let (start_s, seconds) = time(region);
        downlink.observe(region, start_s, seconds);
    }
    let mut gaps: Vec<(f64, f64)> = Vec::new();
    for (segment, claimed) in cluster.iter().zip(claimed).filter(|(s, _)| unpaired(s)) {
        let region = &segment.region;
        let (start_s, seconds) = time(region);
        let part = downlink.part_down(start_s, seconds).filter(|p| p.1 - p.0 > LEAST_PART_S);
        if downlink.holds(region, start_s, seconds) {
            *claimed = true;
            proposals.push(downlink::proposal(region));
        } else if let Some((from_s, to_s)) = part {
            *claimed = true;
            let start = region.start + ((from_s - start_s).max(0.0) * rate_hz) as u64;
            proposals.push(downlink::proposal(&Region { start, count: ((to_s - from_s) * rate_hz) as u64, ..*region }));
        }
        if part.is_some() {
            downlink.gaps(start_s, seconds, &mut gaps);
        }
    }
    gaps.sort_by(|a, b| a.0.total_cmp(&b.0));
    gaps.dedup();
    gaps.retain(|&(from_s, _)| downlink.is_new_gap(from_s));
    gaps
}

/// Whether uplink and downlink share a region's frequencies.
fn is_unpaired(region: &Region) -> bool {
    band::is_unpaired((region.low_hz + region.high_hz) / 2.0)
}

/// Takes the name off what may be sent from either side.
fn unname(p: &mut Proposal) {
    (p.standard, p.kind, p.standard_confidence) = (Standard::Unknown, Kind::Unknown, 0.5);
    p.detail.evidence.iter_mut().for_each(|e| e.llr = e.llr.min(0.0));
}

/// Stretches in which a preamble may lie: unclaimed segments and half a preamble around each. A preamble of some roots is a
/// chirp or several, of which a weak one shows only pieces.
fn busy_stretches<'a>(open: impl Iterator<Item = &'a Segment>, rate_hz: f64) -> Vec<(u64, u64)> {
    let half = (0.45e-3 * rate_hz) as u64;
    let around = |s: &Segment| (s.region.start.saturating_sub(half), s.region.start + s.region.count + half);
    let mut stretches: Vec<(u64, u64)> = open.map(around).collect();
    stretches.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (start, end) in stretches {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// The segments without the splinters of larger ones.
///
/// While an emission fills or leaves the smoothing window, runs split off at its edges. They lie in its
/// band and within 0.35 ms of it, are no stronger, and less than half of it. Those that reach into it begin up to 0.3 ms before
/// it: edges are sought four frames away, of 50 us at 30.72 Msps, and a frame sees what begins in it. What ends where it
/// begins may be its own, such as a sounding in the symbol before. Of a faint emission, clear segments are
/// pieces where they are less than three quarters of it, else they show it; what is hardly clear is a piece in any case.
fn whole_ones(cluster: &[Segment], rate_hz: f64) -> Vec<Segment> {
    let area = |r: &Region| r.count as f64 * (r.high_hz - r.low_hz);
    let (before, before_if_into) = (0.2e-3 * rate_hz, SPLINTER_BEFORE_S * rate_hz);
    let (into, after) = (0.1e-3 * rate_hz, 0.35e-3 * rate_hz);
    let is_clear = |s: &Segment| !s.is_faint && s.region.snr_db >= CLEAR_DB;
    let is_splinter = |s: &Segment, of: &Segment| {
        let is_piece = of.is_faint && !s.is_faint && !is_clear(s);
        if s.is_faint && !of.is_faint && !is_clear(of) {
            return false;
        }
        let least = if of.is_faint { 4.0 / 3.0 } else { 2.0 };
        let (s, of) = (&s.region, &of.region);
        let (start, end) = (s.start as f64, (s.start + s.count) as f64);
        let before = if end > of.start as f64 + into { before_if_into } else { before };
        let (from, to) = (of.start as f64 - before, (of.start + of.count) as f64 + after);
        let band = s.high_hz.min(of.high_hz + SPLINTER_BESIDE_HZ) - s.low_hz.max(of.low_hz - SPLINTER_BESIDE_HZ);
        (is_piece || area(of) > least * area(s))
            && end.min(to) - start.max(from) > 0.9 * (end - start)
            && band > 0.7 * (s.high_hz - s.low_hz)
            && (is_piece || s.snr_db < of.snr_db + 3.0)
    };
    let is_shown = |s: &Segment| {
        let common = |of: &Segment| common_area(&s.region, &of.region);
        // What is hardly clear comes in pieces that overlap.
        let strong = cluster.iter().filter(|of| !of.is_faint && of.region.snr_db >= STRONG_DB);
        let clear = cluster.iter().filter(|of| is_clear(of)).map(common);
        s.is_faint && strong.map(common).sum::<f64>().max(clear.fold(0.0, f64::max)) > 0.75 * area(&s.region)
    };
    let is_of_strong = |s: &Segment| cluster.iter().any(|of| is_splash(s, of, rate_hz));
    let whole: Vec<Segment> = cluster.iter().filter(|s| !is_shown(s) && !is_of_strong(s)).copied().collect();
    whole.iter().filter(|s| !whole.iter().any(|of| is_splinter(s, of))).copied().collect()
}

/// GSM first: its training sequences are the surest proof, and its bursts the narrowest.
fn classify_gsm(
    gsm: &mut GsmClassifier,
    cluster: &[Segment],
    claimed: &mut [bool],
    snippet: &Snippet<'_>,
    noise: &NoiseFloor,
    proposals: &mut Vec<Proposal>,
) {
    gsm.begin();
    for (segment, claimed) in cluster.iter().zip(claimed) {
        let region = &segment.region;
        let middle = (region.low_hz + region.high_hz) / 2.0;
        if segment.is_continuous() || band::gsm_channel(middle).is_none() {
            continue;
        }
        let before = proposals.len();
        gsm.classify(region, snippet, noise, proposals);
        let width = region.high_hz - region.low_hz;
        let seconds = region.count as f64 / snippet.rate_hz;
        if proposals.len() == before && (280e3..1.3e6).contains(&width) && is_slots_long(seconds) {
            // Neighbouring channels at once look like one region: ask for each of them.
            let mut channel = (region.low_hz / 200e3).floor() * 200e3;
            while channel < region.high_hz {
                if let Some(c) = band::gsm_channel(channel) {
                    let part = Region { low_hz: c.center_hz - 100e3, high_hz: c.center_hz + 100e3, ..*region };
                    gsm.classify(&part, snippet, noise, proposals);
                }
                channel += 200e3;
            }
        }
        *claimed = proposals.len() > before;
    }
}

/// Whether a region's length is that of an access burst, or of whole slots less the guard period.
fn is_slots_long(seconds: f64) -> bool {
    const ACCESS_S: f64 = gsm::ACCESS_BURST_SYMBOLS as f64 / gsm::SYMBOL_RATE;
    const NORMAL_S: f64 = gsm::NORMAL_BURST_SYMBOLS as f64 / gsm::SYMBOL_RATE;
    const SLOT_S: f64 = gsm::SLOT_SYMBOLS / gsm::SYMBOL_RATE;
    let slots = ((seconds - NORMAL_S) / SLOT_S).round().max(0.0);
    (seconds - ACCESS_S).abs() < 35e-6 || (seconds - NORMAL_S - slots * SLOT_S).abs() < 60e-6
}
