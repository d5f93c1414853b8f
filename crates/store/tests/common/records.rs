//! Records for the tests, those within the crate as well.

use cellwarden_types::{Activity, Evidence, Hit, HitState, Standard, UtcNanos};
use std::collections::BTreeMap;

pub fn hit_of(id: &str, revision: u32, state: HitState, time: UtcNanos) -> Hit {
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
        time_start: Some(time),
        time_end: Some(time.plus_seconds(2.0)),
        bursts: 12,
        peak_power_dbfs: -30.5,
        snr_db: 18.0,
        sensors: BTreeMap::from([("a-west".to_owned(), -31.0)]),
        confidence: 0.9,
        evidence: vec![Evidence::new("training_sequence", 0.93, 4.5)],
    }
}
