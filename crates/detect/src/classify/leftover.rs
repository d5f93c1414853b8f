//! What no standard claims: a phone by its shape, or something else.

use crate::candidate::{Proposal, Region};
use crate::segment::Segment;
use cellwarden_standards::band;
use cellwarden_types::{Detail, Evidence, Kind, Standard};

/// The name of a segment that no classifier proved, or nothing where it is too little to speak of.
///
/// `unknown` needs a phone's shape in an uplink band: 0.25 to 12 ms, one GSM channel to 100
/// resource blocks wide (TS 45.002 5.2, TS 36.101 5.6). Everything else is `other`.
pub fn judge(segment: &Segment, rate_hz: f64) -> Option<Proposal> {
    let region = segment.region;
    let seconds = region.count as f64 / rate_hz;
    let width = region.high_hz - region.low_hz;
    if region.snr_db < 3.0 || (seconds < 150e-6 && width < 500e3) {
        return None;
    }
    let middle = (region.low_hz + region.high_hz) / 2.0;
    let uplink = band::is_uplink(middle);
    let (standard, kind, llr) = if segment.is_continuous() {
        let kind = match width {
            w if w < 60e3 => Kind::Cw,
            w if w < 500e3 => Kind::Narrowband,
            _ => Kind::Wideband,
        };
        (Standard::Other, kind, -6.0)
    } else if seconds < 200e-6 && width > 1e6 {
        (Standard::Other, Kind::Impulse, -4.0)
    } else if uplink && (250e-6..12e-3).contains(&seconds) && (120e3..20e6).contains(&width) {
        (Standard::Unknown, Kind::Unknown, -0.5)
    } else {
        (Standard::Other, if width < 500e3 { Kind::Narrowband } else { Kind::Wideband }, -3.0)
    };
    Some(unproven(region, standard, kind, Evidence::new("shape", seconds * 1e3, llr)))
}

/// The same for energy that only the mean over a large window shows: `unknown` where it has a phone's shape, or nothing.
pub fn judge_faint(segment: &Segment, rate_hz: f64) -> Option<Proposal> {
    let region = segment.region;
    let seconds = region.count as f64 / rate_hz;
    let middle = (region.low_hz + region.high_hz) / 2.0;
    let is_phone_like = band::is_uplink(middle) && (250e-6..12e-3).contains(&seconds);
    is_phone_like
        .then(|| unproven(region, Standard::Unknown, Kind::Unknown, Evidence::new("shape", seconds * 1e3, -0.5)))
}

fn unproven(region: Region, standard: Standard, kind: Kind, evidence: Evidence) -> Proposal {
    Proposal {
        standard,
        kind,
        start: region.start as f64,
        count: region.count as f64,
        low_hz: region.low_hz,
        high_hz: region.high_hz,
        power: region.power,
        channel: None,
        carrier_offset_hz: None,
        standard_confidence: 0.5,
        sequence_start: None,
        detail: Detail { evidence: vec![evidence], ..Detail::default() },
    }
}
