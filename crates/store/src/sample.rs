//! Records for the tests of this crate.

use cellwarden_types::{Activity, Hit, HitState, Standard};
use std::collections::BTreeMap;

pub fn hit(id: &str, revision: u32, state: HitState) -> Hit {
    let start = "2026-03-01T06:00:00Z".parse().ok();
    Hit {
        id: id.to_owned(),
        state,
        revision,
        block: "A".to_owned(),
        cell: None,
        block_probability: BTreeMap::from([("A".to_owned(), 0.75), ("outside".to_owned(), 0.25)]),
        standard: Standard::Gsm,
        band: Some("GSM900".to_owned()),
        activity: Activity::Voice,
        start_s: 0.5,
        end_s: 2.5,
        time_start: start,
        time_end: start.map(|t: cellwarden_types::UtcNanos| t.plus_seconds(2.0)),
        bursts: 12,
        peak_power_dbfs: -30.5,
        snr_db: 18.0,
        sensors: BTreeMap::from([("a-west".to_owned(), -31.0)]),
        confidence: 0.9,
        evidence: Vec::new(),
    }
}
