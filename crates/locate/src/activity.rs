//! Names what a phone did, from the pattern of its emissions.

use cellwarden_types::{Activity, Standard};

/// What is counted along an activity to name it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pattern {
    /// GSM access bursts, or PRACH.
    pub access: u32,
    /// Emissions on a dedicated channel.
    pub dedicated: u32,
    /// From the first dedicated emission to the end of the last, in seconds.
    pub dedicated_s: f64,
    /// From the first emission to the end of the last, in seconds.
    pub total_s: f64,
    /// GSM: the longest run of consecutive frames.
    pub longest_run: u32,
    /// LTE: how many PUSCH follow another by a multiple of 20 ms.
    pub comb20: u32,
    /// LTE: PUSCH emissions.
    pub pusch: u32,
}

/// Bursts a second above which it is no SDCCH: SDCCH/8 has 4 bursts in 51 frames and as many again
/// in every second (TS 45.002, table 5), 25.5 a second.
const SDCCH_MOST_PER_S: f64 = 40.0;
/// A TCH/F is sent in 25 of 26 frames, packet blocks leave out every 13th frame: a run that is
/// longer than 12 is speech. One more for a misjudged frame.
const PACKET_LONGEST_RUN: u32 = 13;
/// Location updates take less on the SDCCH, messages more.
const REGISTRATION_MOST_S: f64 = 2.6;
/// An attach or tracking-area update is over after this.
const LTE_REGISTRATION_MOST_S: f64 = 0.7;

/// Names the activity of one phone.
pub fn name(standard: Standard, p: &Pattern) -> Activity {
    match standard {
        Standard::Gsm => gsm(p),
        Standard::Lte | Standard::Nr => lte(p),
        _ => Activity::Unknown,
    }
}

fn gsm(p: &Pattern) -> Activity {
    if p.dedicated < 4 {
        return Activity::Unknown;
    }
    let per_s = f64::from(p.dedicated) / p.dedicated_s.max(0.05);
    if p.longest_run > PACKET_LONGEST_RUN {
        Activity::Voice
    } else if per_s > SDCCH_MOST_PER_S && p.dedicated > 8 {
        Activity::Data
    } else if p.dedicated_s < REGISTRATION_MOST_S {
        Activity::Registration
    } else {
        Activity::Short
    }
}

fn lte(p: &Pattern) -> Activity {
    if p.dedicated == 0 {
        Activity::Unknown
    } else if p.total_s > 1.0 && p.pusch >= 10 && p.comb20 * 2 > p.pusch {
        Activity::Voice
    } else if p.access > 0 && p.total_s < LTE_REGISTRATION_MOST_S && p.pusch >= 4 {
        Activity::Registration
    } else {
        Activity::Data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gsm_patterns_have_their_names() {
        let p = |dedicated, dedicated_s, longest_run| Pattern {
            access: 1,
            dedicated,
            dedicated_s,
            longest_run,
            total_s: dedicated_s + 0.5,
            ..Pattern::default()
        };
        for (pattern, want) in [
            (p(600, 3.0, 25), Activity::Voice),
            (p(150, 1.5, 12), Activity::Data),
            (p(40, 1.8, 4), Activity::Registration),
            (p(80, 3.6, 4), Activity::Short),
            (p(1, 0.0, 1), Activity::Unknown),
        ] {
            assert_eq!(name(Standard::Gsm, &pattern), want, "{pattern:?}");
        }
    }

    #[test]
    fn lte_patterns_have_their_names() {
        let p = |access, pusch, comb20, total_s| Pattern {
            access,
            dedicated: pusch,
            pusch,
            comb20,
            total_s,
            ..Pattern::default()
        };
        for (pattern, want) in [
            (p(1, 12, 0, 0.4), Activity::Registration),
            (p(1, 100, 80, 4.0), Activity::Voice),
            (p(0, 100, 3, 2.0), Activity::Data),
            (p(1, 0, 0, 0.001), Activity::Unknown),
        ] {
            assert_eq!(name(Standard::Lte, &pattern), want, "{pattern:?}");
        }
    }
}
