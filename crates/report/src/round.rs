//! Rounding, so that a result does not depend on the last bits of a machine's arithmetic.

use cellwarden_types::{Burst, Evidence, Hit, Record};

fn to(value: &mut f64, step: f64) {
    // Dividing by a whole number of steps prints short; multiplying by 0.1 does not.
    let per_unit = (1.0 / step).round();
    *value = (*value * per_unit).round() / per_unit;
}

fn evidence(list: &mut [Evidence]) {
    for e in list {
        to(&mut e.value, 1e-3);
        to(&mut e.llr, 0.01);
    }
}

fn burst(b: &mut Burst) {
    for level in [&mut b.power_dbfs, &mut b.snr_db, &mut b.freq_lower_hz, &mut b.freq_upper_hz] {
        to(level, 0.1);
    }
    if let Some(offset) = &mut b.carrier_offset_hz {
        to(offset, 1.0);
    }
    to(&mut b.confidence, 0.01);
    to(&mut b.standard_confidence, 0.01);
    to(&mut b.start_s, 1e-9);
    to(&mut b.duration_s, 1e-9);
    evidence(&mut b.detail.evidence);
}

fn hit(h: &mut Hit) {
    to(&mut h.peak_power_dbfs, 0.1);
    to(&mut h.snr_db, 0.1);
    to(&mut h.confidence, 0.01);
    to(&mut h.start_s, 1e-9);
    to(&mut h.end_s, 1e-9);
    h.sensors.values_mut().for_each(|v| to(v, 0.1));
    h.block_probability.values_mut().for_each(|v| to(v, 0.001));
    evidence(&mut h.evidence);
}

/// The record as it is printed: levels to 0.1 dB, probabilities to 0.01, times to the nanosecond.
pub fn rounded(record: &Record) -> Record {
    let mut record = record.clone();
    match &mut record {
        Record::Burst(b) => burst(b),
        Record::Hit(h) => hit(h),
        Record::Gap(_) | Record::Summary(_) => {}
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn rounding_moves_by_half_a_step_at_most_and_only_once(value in -1e10f64..1e10, digits in 0i32..4) {
            let step = 10f64.powi(-digits);
            let mut once = value;
            to(&mut once, step);
            proptest::prop_assert!((once - value).abs() <= step / 2.0 + value.abs() * 1e-15);
            let mut twice = once;
            to(&mut twice, step);
            proptest::prop_assert_eq!(once, twice);
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let mut value = f64::NAN;
        to(&mut value, 0.1);
        assert!(value.is_nan());
    }
}
