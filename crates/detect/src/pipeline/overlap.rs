//! When two findings are one emission, and when one is only what another makes beside itself.

use crate::candidate::{Proposal, Region};
use crate::classify::lte::prach;
use crate::segment::Segment;

/// Area that two regions share, in samples and hertz.
pub(super) fn common_area(a: &Region, b: &Region) -> f64 {
    let time = (a.start + a.count).min(b.start + b.count).saturating_sub(a.start.max(b.start));
    time as f64 * (a.high_hz.min(b.high_hz) - a.low_hz.max(b.low_hz)).max(0.0)
}

/// Share of a region's area that lies in a proposal's box, widened by 100 µs-ish rounding of edges.
pub(super) fn share_inside(region: &Region, p: &Proposal) -> f64 {
    let (start, end) = (region.start as f64, (region.start + region.count) as f64);
    let slack = 0.1 * p.count;
    let time = (end.min(p.start + p.count + slack) - start.max(p.start - slack)).max(0.0) / (end - start);
    let band = (region.high_hz.min(p.high_hz + 60e3) - region.low_hz.max(p.low_hz - 60e3)).max(0.0)
        / (region.high_hz - region.low_hz);
    time * band
}

/// Whether a region is a short preamble, or a piece of one, of which frames as long as a symbol blur the edges.
pub(super) fn is_of_short(region: &Region, p: &Proposal) -> bool {
    let time = (p.start + p.count).min((region.start + region.count) as f64) - p.start.max(region.start as f64);
    let band = p.high_hz.min(region.high_hz) - p.low_hz.max(region.low_hz);
    let least = p.count.min(region.count as f64);
    p.detail.short_format.is_some() && time > 0.5 * least && band > 0.5 * (region.high_hz - region.low_hz)
}

/// Whether a faint preamble is what another is or makes: a part of it or beside its band, with its root, or what the radio
/// makes of a much stronger one anywhere, with its root or the mirrored one.
pub(super) fn is_of(faint: &Proposal, of: &Proposal) -> bool {
    let width = of.high_hz - of.low_hz;
    let same = faint.detail.root == of.detail.root;
    let mirrored = faint.detail.root.zip(of.detail.root).is_some_and(|(a, b)| usize::from(a + b) == prach::N_ZC);
    let is_near = same && (faint.low_hz - of.low_hz).abs() < width;
    let is_echo = (same || mirrored) && faint.power < prach::ECHO * of.power;
    (is_near || is_echo)
        && faint.start < of.start + 1.5 * of.count
        && faint.start + faint.count > of.start - 0.5 * of.count
}

pub(super) fn same_emission(a: &Proposal, b: &Proposal) -> bool {
    let time = (a.start + a.count).min(b.start + b.count) - a.start.max(b.start);
    let band = a.high_hz.min(b.high_hz) - a.low_hz.max(b.low_hz);
    time > 0.5 * a.count.min(b.count) && band > 0.5 * (a.high_hz - a.low_hz).min(b.high_hz - b.low_hz)
}

/// What is made where an emission begins or ends lasts no longer: four frames and their rounding.
const SPLASH_S: f64 = 0.4e-3;

/// Whether a region lies where another begins or ends.
fn is_at_an_end(region: &Region, of: &Region, rate_hz: f64) -> bool {
    let slack = (0.1e-3 * rate_hz) as u64;
    let at = region.start.saturating_sub(slack)..region.start + region.count + slack;
    at.contains(&of.start) || at.contains(&(of.start + of.count))
}

/// From edge to edge; the band is a circle, what leaks over one of its ends comes in at the other.
fn apart_hz(a: &Region, b: &Region, rate_hz: f64) -> f64 {
    let apart_hz = (a.low_hz - b.high_hz).max(b.low_hz - a.high_hz);
    apart_hz.min(rate_hz - (a.high_hz.max(b.high_hz) - a.low_hz.min(b.low_hz)))
}

/// Power in a hertz.
pub(super) fn density(r: &Region) -> f64 {
    r.power / (r.high_hz - r.low_hz).max(1.0)
}

/// Whether a region lies where an unbalanced receiver makes another's image, around `center_hz`, and is as weak as one.
pub(super) fn is_image(region: &Region, of: &Region, center_hz: f64) -> bool {
    const MOST: f64 = 3e-3;
    let (low, high) = (2.0 * center_hz - of.high_hz, 2.0 * center_hz - of.low_hz);
    density(region) / density(of) < MOST && region.low_hz < high && low < region.high_hz
}

/// Whether a segment is likely the skirt of an emission at least 20 dB denser: all of it lies within that one's time. What has
/// edges far from that one is none, unless it is its image around `center_hz` or as wide as it. Only asked of what no classifier proved.
pub(super) fn in_a_skirt(segment: &Segment, cluster: &[Segment], (center_hz, rate_hz): (f64, f64)) -> bool {
    /// Skirts reach so far; sidelobes, of what is no wider than this (IEEE 802.15.4), as far as it is wide and half of that, and lower.
    const REACH_HZ: f64 = 300e3;
    const WIDEST_HZ: f64 = 3.5e6;
    const DEEPEST: f64 = 1e-4;
    /// A copy is no stronger; its width is the same but for what edges are measured to.
    const COPY: f64 = 3e-4;
    const COPY_HZ: f64 = 45e3;
    let region = &segment.region;
    let is_short = region.count as f64 <= SPLASH_S * rate_hz;
    let (start, end) = (region.start as f64, (region.start + region.count) as f64);
    cluster.iter().map(|s| &s.region).any(|of| {
        let slack = 0.25 * (end - start) + 0.1 * of.count as f64;
        let (share, width) = (density(region) / density(of), of.high_hz - of.low_hz);
        let apart_hz = apart_hz(region, of, rate_hz);
        let has_sidelobes = width < WIDEST_HZ && apart_hz < 1.5 * width && share > DEEPEST;
        let is_near = apart_hz < REACH_HZ || has_sidelobes;
        let is_within = start > of.start as f64 - slack && end < (of.start + of.count) as f64 + slack;
        // Where it begins or ends, it is all over the band for a moment.
        let is_splash = is_short && share < DEEPEST && is_at_an_end(region, of, rate_hz);
        // A receiver's own mixing puts copies of a strong one elsewhere, as wide as that.
        let is_copy = share < COPY && (region.high_hz - region.low_hz - width).abs() < COPY_HZ;
        is_splash
            || share < 0.01 && is_within && (!segment.is_alone || is_near || is_image(region, of, center_hz) || is_copy)
    })
}

/// Whether a segment is what a strong emission makes where it begins or ends, or a piece of its edge: it lasts a few frames, which
/// are summed, and is weaker. What has edges far from that one is none.
pub(super) fn is_splash(segment: &Segment, of: &Segment, rate_hz: f64) -> bool {
    /// What is strong, and how much weaker the others are: at its ends, and beside it.
    const STRONG_DB: f64 = 25.0;
    const WEAKER_DB: (f64, f64) = (3.0, 10.0);
    const REACH_HZ: (f64, f64) = (300e3, 100e3);
    let (s, of) = (&segment.region, &of.region);
    if of.snr_db < STRONG_DB || s.snr_db > of.snr_db - WEAKER_DB.0 || s.count as f64 > SPLASH_S * rate_hz {
        return false;
    }
    let apart_hz = apart_hz(s, of, rate_hz);
    let is_beside = of.start < s.start + s.count && s.start < of.start + of.count && s.snr_db < of.snr_db - WEAKER_DB.1;
    is_at_an_end(s, of, rate_hz) && (!segment.is_alone || apart_hz < REACH_HZ.0) || is_beside && apart_hz < REACH_HZ.1
}

/// Drops proposals that are a stronger one's skirt on a neighbouring channel: the same burst at the
/// same time (5 % of its length), at least 20 dB weaker, within 600 kHz.
pub(super) fn drop_skirts(proposals: &mut Vec<Proposal>) {
    let all = proposals.clone();
    proposals.retain(|p| {
        !all.iter().any(|q| {
            let apart = ((p.low_hz + p.high_hz) - (q.low_hz + q.high_hz)).abs() / 2.0;
            q.power > 100.0 * p.power && apart < 600e3 && (p.start - q.start).abs() < 0.05 * q.count
        })
    });
}

/// Keeps the better-proven one of proposals that describe the same emission, of equals the larger.
pub(super) fn drop_doubles(proposals: &mut Vec<Proposal>) {
    proposals.sort_by(|a, b| {
        let area = |p: &Proposal| p.count * (p.high_hz - p.low_hz);
        let order = b.llr().total_cmp(&a.llr()).then(area(b).total_cmp(&area(a)));
        order.then(a.start.total_cmp(&b.start)).then(a.low_hz.total_cmp(&b.low_hz))
    });
    let mut kept: Vec<Proposal> = Vec::with_capacity(proposals.len());
    for p in proposals.drain(..) {
        if !kept.iter().any(|q| same_emission(&p, q)) {
            kept.push(p);
        }
    }
    *proposals = kept;
}
