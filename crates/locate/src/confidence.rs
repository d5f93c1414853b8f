//! How sure it is that an activity is a phone's: the evidence of single bursts and of their pattern,
//! added as log-odds, then mapped by a table.

use cellwarden_types::table::interpolate;
use cellwarden_types::{Evidence, Standard};

/// Constants of the sum; changed only together with [`TABLE`].
struct Fit {
    /// Log-odds before anything was heard: most energy in a band is no phone's.
    prior: f64,
    /// Weights of the best bursts' log-odds, best first: bursts of one sender err together.
    bursts: [f64; BEST],
    /// A burst's own log-odds count to here.
    burst_most: f64,
    /// For each factor e of bursts on the time grid.
    grid: f64,
    /// The grid counts to here.
    grid_most: f64,
    /// Access, then a dedicated channel.
    access_then_dedicated: f64,
    /// Several sensors heard it.
    sensors: f64,
    /// Adjacent timeslots with the same levels: a carrier, no phone.
    carrier: f64,
    /// What others left over, no phone of its own.
    leftover: f64,
    /// From a stream whose I and Q are exchanged.
    mirrored: f64,
}

/// How many of the best bursts count.
pub const BEST: usize = 5;

const FIT: Fit = Fit {
    prior: -2.0,
    bursts: [1.0, 0.5, 0.3, 0.2, 0.1],
    burst_most: 4.0,
    grid: 1.0,
    grid_most: 4.0,
    access_then_dedicated: 2.0,
    sensors: 0.5,
    carrier: -12.0,
    leftover: -12.0,
    mirrored: -12.0,
};

/// Log-odds to confidence, straight lines between. Monotone; to be fitted on hits with known truth:
/// until then it is the logistic function, drawn in at both ends.
const TABLE: [(f64, f64); 9] = [
    (-6.0, 0.005),
    (-3.0, 0.05),
    (-1.5, 0.18),
    (-0.5, 0.38),
    (0.5, 0.6),
    (1.5, 0.8),
    (3.0, 0.93),
    (6.0, 0.98),
    (10.0, 0.995),
];

/// A burst's proof below this proves nothing.
pub const PROOF_LEAST: f64 = 0.4;
/// A single access burst or PRACH is worth no more (the contract).
const SINGLE_MOST: f64 = 0.5;
/// Several, but nothing on a dedicated channel.
const ACCESS_ONLY_MOST: f64 = 0.8;
/// Fewer emissions without an access are no pattern.
const DEDICATED_LEAST: u32 = 3;
/// Timeslots beside its own, at the same levels, that make a carrier of it: handsets send in 4 of 8
/// timeslots at most (TS 45.002, annex B, class 12).
const NEIGHBOUR_SLOTS_CARRIER: u32 = 4;

/// What is known of an activity to judge it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grounds {
    /// Proof of the best emissions, best first.
    pub best: [f64; BEST],
    /// Emissions whose proof is at least [`PROOF_LEAST`].
    pub proven: u32,
    /// Access bursts or PRACH.
    pub access: u32,
    /// Emissions on a dedicated channel.
    pub dedicated: u32,
    /// Sensors that heard it.
    pub sensors: u32,
    /// Other timeslots of the same channel with the same levels.
    pub neighbour_slots: u32,
    /// Whether others around it explain it.
    pub leftover: bool,
    /// Whether the sensors that heard it have I and Q exchanged.
    pub mirrored: bool,
}

/// The confidence that a phone made the activity, and the reasons.
pub fn judge(standard: Standard, g: &Grounds) -> (f64, Vec<Evidence>) {
    let mut evidence = Vec::new();
    let mut sum = FIT.prior;
    let mut add = |name: &str, value: f64, llr: f64| {
        if llr != 0.0 {
            sum += llr;
            evidence.push(Evidence::new(name, round(value), round(llr)));
        }
    };
    let count = (g.access + g.dedicated) as usize;
    let bursts: f64 = g
        .best
        .iter()
        .zip(FIT.bursts)
        .take(count)
        .map(|(p, w)| w * (p / (1.0 - p).max(1e-9)).max(1e-9).ln().clamp(-FIT.burst_most, FIT.burst_most))
        .sum();
    add("burst_proof", g.best[0], bursts);
    let on_grid = if standard == Standard::Gsm { g.dedicated } else { g.dedicated.min(8) };
    add("bursts_on_grid", f64::from(on_grid), (FIT.grid * f64::from(on_grid.max(1)).ln()).min(FIT.grid_most));
    if g.access > 0 && g.dedicated > 0 {
        add("access_then_dedicated", f64::from(g.access), FIT.access_then_dedicated);
    }
    if g.sensors > 1 {
        add("sensors", f64::from(g.sensors), FIT.sensors);
    }
    if g.neighbour_slots >= NEIGHBOUR_SLOTS_CARRIER {
        add("same_level_in_other_timeslots", f64::from(g.neighbour_slots), FIT.carrier);
    }
    if g.leftover {
        add("left_over_by_others", 1.0, FIT.leftover);
    }
    if g.mirrored {
        add(Evidence::IQ_SWAPPED, 1.0, FIT.mirrored);
    }
    let proven =
        if g.access > 0 { g.proven >= 1 } else { g.dedicated >= DEDICATED_LEAST && g.proven >= DEDICATED_LEAST };
    if !proven || !standard.is_phone() {
        return (0.0, evidence);
    }
    let most = match (g.access, g.dedicated) {
        (0 | 1, 0) => SINGLE_MOST,
        (_, 0) => ACCESS_ONLY_MOST,
        _ => 1.0,
    };
    (interpolate(&TABLE, sum).min(most), evidence)
}

fn round(v: f64) -> f64 {
    (v * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grounds(access: u32, dedicated: u32, proof: f64) -> Grounds {
        Grounds { best: [proof; BEST], proven: access + dedicated, access, dedicated, sensors: 2, ..Grounds::default() }
    }

    #[test]
    fn a_single_access_burst_is_worth_half_at_most() {
        assert!(judge(Standard::Gsm, &grounds(1, 0, 0.999)).0 <= 0.5);
        assert!(judge(Standard::Lte, &grounds(1, 0, 0.999)).0 <= 0.5);
    }

    #[test]
    fn a_pattern_is_worth_more_and_a_carrier_nothing() {
        let call = grounds(2, 200, 0.8);
        assert!(judge(Standard::Gsm, &call).0 > 0.9);
        assert!(judge(Standard::Gsm, &Grounds { neighbour_slots: 7, ..call }).0 < 0.3);
        assert!(judge(Standard::Lte, &Grounds { leftover: true, ..grounds(0, 20, 0.9) }).0 < 0.1);
        assert!(judge(Standard::Gsm, &Grounds { mirrored: true, ..call }).0 < 0.3);
        assert_eq!(judge(Standard::Gsm, &grounds(0, 1, 0.99)).0, 0.0);
        assert_eq!(judge(Standard::Lte, &Grounds { proven: 0, ..grounds(0, 50, 0.2) }).0, 0.0);
    }

    proptest::proptest! {
        #[test]
        fn more_proof_never_lowers_it(p in 0.0f64..1.0, more in 0.0f64..1.0, n in 3u32..50) {
            let high = p + (1.0 - p) * more;
            let low = judge(Standard::Gsm, &grounds(1, n, p)).0;
            proptest::prop_assert!(judge(Standard::Gsm, &grounds(1, n, high)).0 >= low - 1e-12);
        }
    }
}
