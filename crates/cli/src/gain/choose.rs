//! Which gain: as much as there may be, by the noise that was measured.
//!
//! At low gain the floor is the converter's and does not move; at high gain it is the receiver's own and rises dB for dB. In
//! between, the rise in dB per dB is the receiver's share of the noise. Where that share is nearly all, the floor in dBFS/Hz
//! is thermal noise (-174 dBm/Hz at 290 K) plus the noise figure, which says what a dBm at the antenna reads in dBFS.

use cellwarden_types::AmbientCarrier;

/// Thermal noise at 290 K, in dBm/Hz.
pub const THERMAL_DBM_PER_HZ: f64 = -174.0;
/// The floor rises by so much in dB per dB where it is the receiver's own; what rises faster is a driver whose figures of gain are
/// not those of the device.
const OWN_RISE: std::ops::RangeInclusive<f64> = 0.8..=1.2;
/// With more samples at the converter's end, a floor is not what it would be.
const FLOOR_CLIP_MOST: f64 = 1e-3;
/// So far above what a strong signal leaks, a floor is right to 1 dB.
const FLOOR_OVER_LEAK_DB: f64 = 6.0;
/// Noise alone passes 0 dBFS in a sample of 10 million where it is 12 dB below: more is a signal that clips.
const CLIP_MOST: f64 = 1e-6;

/// What was measured of a channel at one gain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Overall gain as the driver tells it, in dB.
    pub gain_db: f64,
    /// Noise density, in dBFS/Hz.
    pub floor_dbfs_per_hz: f64,
    /// Share of the samples at the converter's end.
    pub clip_share: f64,
    /// Largest part of a sample, in dBFS.
    pub peak_dbfs: f64,
    /// What the largest signal leaves of itself in the bins beside it, in dBFS/Hz: a floor near that is none.
    pub leak_dbfs_per_hz: f64,
    /// Strongest carrier that was there all the time.
    pub strongest: Option<AmbientCarrier>,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// The loudest phone, at the receiver's input, in dBm.
    pub phone_dbm: f64,
    /// Where it is to read at most, in dBFS.
    pub target_dbfs: f64,
    /// The receiver's, in dB.
    pub noise_figure_db: f64,
}

/// A gain, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// In dB.
    pub gain_db: f64,
    /// Input level that reads 0 dBFS, in dBm: `full_scale_dbm` of the site file.
    pub full_scale_dbm: f64,
    /// What the loudest phone reads, in dBFS.
    pub phone_dbfs: f64,
    /// Noise density there, in dBFS/Hz and at the input in dBm/Hz.
    pub floor_dbfs_per_hz: f64,
    /// Likewise, in dBm/Hz.
    pub floor_dbm_per_hz: f64,
    /// What is lost against the gain at which most is heard, in dB.
    pub cost_db: f64,
    /// The gain at which the floor was taken for the receiver's own, in dB.
    pub reference_db: f64,
    /// What keeps it from being higher.
    pub limit: Limit,
}

/// What keeps a gain from being higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The phone beside the sensor.
    Phone,
    /// What is in the air at the moment.
    Ambient,
    /// The device has no more.
    Device,
}

/// Why there is no gain to be had.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NoChoice {
    /// The floor says nothing of dBm.
    #[error(
        "the noise floor never rises dB for dB with the gain ({most:.2} dB per dB at most): the receiver's own noise is not heard \
         above the converter's, nor above a strong signal in the air, so it cannot tell what a dBm reads. Do the steps go up to the \
         highest gain (--gains)? Try again when the air is quiet, or with the antenna replaced by a 50-ohm load; else set the \
         gain by hand"
    )]
    NeverItsOwn {
        /// The steepest rise.
        most: f64,
    },
    /// Even the lowest gain is too much.
    #[error(
        "even at {gain_db} dB a phone of {phone_dbm} dBm would read {phone_dbfs:+.1} dBFS: put an attenuator (pad) of at least \
         {pad_db:.0} dB before the receiver, and measure again with --phone-dbm {:.0}", phone_dbm - pad_db
    )]
    TooLoud {
        /// The lowest gain.
        gain_db: f64,
        /// The phone.
        phone_dbm: f64,
        /// What it reads there.
        phone_dbfs: f64,
        /// What is needed, in whole dB.
        pad_db: f64,
    },
    /// Something in the air clips at the lowest gain.
    #[error(
        "{:.3} % of the samples clip at {gain_db} dB, the lowest gain: something strong is in the air. Is a phone or a radio near? \
         Else put a filter or an attenuator (pad) before the receiver", 100.0 * clip_share
    )]
    AmbientClips {
        /// The lowest gain.
        gain_db: f64,
        /// How much clips.
        clip_share: f64,
    },
}

/// How the floor rose from the step before to each, in dB per dB: the receiver's own share of the noise, 0 to 1. None for the
/// first, where samples clip, and where a strong signal hides the floor.
pub fn rises(steps: &[Step]) -> Vec<Option<f64>> {
    let good = |s: &Step| {
        let over_leak_db = s.floor_dbfs_per_hz - s.leak_dbfs_per_hz;
        s.clip_share <= FLOOR_CLIP_MOST && over_leak_db >= FLOOR_OVER_LEAK_DB
    };
    let rise = |pair: &[Step]| {
        let (dx, dy) = (pair[1].gain_db - pair[0].gain_db, pair[1].floor_dbfs_per_hz - pair[0].floor_dbfs_per_hz);
        (good(&pair[0]) && good(&pair[1]) && dx > 0.0).then(|| dy / dx)
    };
    (!steps.is_empty()).then_some(None).into_iter().chain(steps.windows(2).map(rise)).collect()
}

/// Input level that reads 0 dBFS at the reference gain, in dBm, and that gain: the highest one at which the floor is the receiver's.
fn reference(steps: &[Step], aim: &Aim) -> Result<(f64, f64), NoChoice> {
    let rises = rises(steps);
    let own = rises.iter().rposition(|r| r.is_some_and(|r| OWN_RISE.contains(&r)));
    let most = rises.iter().flatten().copied().fold(0.0, f64::max);
    let own = own.ok_or(NoChoice::NeverItsOwn { most })?;
    let share = rises[own].unwrap_or(1.0).min(1.0);
    let its_own_dbfs = steps[own].floor_dbfs_per_hz + cellwarden_types::db(share);
    Ok((THERMAL_DBM_PER_HZ + aim.noise_figure_db - its_own_dbfs, steps[own].gain_db))
}

/// The highest gain at which neither the phone nor what is in the air clips. `steps` go up.
///
/// # Errors
/// If the floor does not say what a dBm reads, or no gain is low enough.
pub fn choose(steps: &[Step], aim: &Aim) -> Result<Choice, NoChoice> {
    let (reference_full_dbm, reference_db) = reference(steps, aim)?;
    let full_dbm = |s: &Step| reference_full_dbm + reference_db - s.gain_db;
    let phone_dbfs = |s: &Step| aim.phone_dbm - full_dbm(s);
    let quiet = steps.iter().take_while(|s| s.clip_share <= CLIP_MOST).count();
    let below = steps.iter().take_while(|s| phone_dbfs(s) <= aim.target_dbfs).count();
    let Some(at) = quiet.min(below).checked_sub(1) else {
        let lowest = &steps[0];
        if below == 0 {
            let (gain_db, phone_dbm, phone_dbfs) = (lowest.gain_db, aim.phone_dbm, phone_dbfs(lowest));
            return Err(NoChoice::TooLoud {
                gain_db,
                phone_dbm,
                phone_dbfs,
                pad_db: (phone_dbfs - aim.target_dbfs).ceil(),
            });
        }
        return Err(NoChoice::AmbientClips { gain_db: lowest.gain_db, clip_share: lowest.clip_share });
    };
    let step = &steps[at];
    let heard = |s: &Step| s.floor_dbfs_per_hz - s.gain_db;
    let usable = steps.iter().filter(|s| s.clip_share <= FLOOR_CLIP_MOST).map(heard);
    Ok(Choice {
        gain_db: step.gain_db,
        full_scale_dbm: full_dbm(step),
        phone_dbfs: phone_dbfs(step),
        floor_dbfs_per_hz: step.floor_dbfs_per_hz,
        floor_dbm_per_hz: step.floor_dbfs_per_hz + full_dbm(step),
        cost_db: heard(step) - usable.fold(heard(step), f64::min),
        reference_db,
        limit: match (quiet, below) {
            _ if at + 1 == steps.len() => Limit::Device,
            (quiet, below) if below <= quiet => Limit::Phone,
            _ => Limit::Ambient,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_types::{db, undb};

    const AIM: Aim = Aim { phone_dbm: -20.0, target_dbfs: -6.0, noise_figure_db: 6.0 };

    /// A receiver whose full scale is `full_dbm` at 0 dB, with a converter of this noise; what is in the air clips from
    /// `clips_db` on.
    fn steps(full_dbm: f64, converter_dbfs_per_hz: f64, clips_db: f64) -> Vec<Step> {
        let step = |gain_db: f64| Step {
            gain_db,
            floor_dbfs_per_hz: db(undb(-168.0 + gain_db - full_dbm) + undb(converter_dbfs_per_hz)),
            clip_share: if gain_db >= clips_db { 1e-2 } else { 0.0 },
            peak_dbfs: -30.0,
            leak_dbfs_per_hz: -200.0,
            strongest: None,
        };
        (0..=30).map(|i| step(2.0 * f64::from(i))).collect()
    }

    #[test]
    fn a_phone_beside_the_sensor_reads_the_target_or_less() {
        let choice = choose(&steps(10.0, -140.0, 99.0), &AIM).expect("a choice");
        // -20 dBm read -6 dBFS where full scale is -14 dBm: 24 dB above 10 dBm.
        assert_eq!((choice.gain_db, choice.limit, choice.reference_db), (24.0, Limit::Phone, 60.0));
        assert!((choice.full_scale_dbm + 14.0).abs() < 0.1 && (choice.phone_dbfs + 6.0).abs() < 0.1, "{choice:?}");
        // The converter's noise is 14 dB above the receiver's there, and 22 dB below it at 60 dB.
        assert!((choice.cost_db - 14.1).abs() < 0.2, "{choice:?}");
        assert!((choice.floor_dbm_per_hz + 168.0 - 14.1).abs() < 0.2, "{choice:?}");
    }

    #[test]
    fn what_is_in_the_air_and_what_the_device_has_are_limits_too() {
        let choice = choose(&steps(10.0, -150.0, 18.0), &AIM);
        // Above 18 dB nothing can be said of the floor; below it the rise is too small to tell.
        assert!(matches!(choice, Err(NoChoice::NeverItsOwn { .. })), "{choice:?}");
        let choice = choose(&steps(10.0, -175.0, 18.0), &AIM).expect("a choice");
        assert_eq!((choice.gain_db, choice.limit), (16.0, Limit::Ambient));
        let choice = choose(&steps(60.0, -190.0, 99.0), &AIM).expect("a choice");
        assert_eq!((choice.gain_db, choice.limit), (60.0, Limit::Device));
        assert!(choice.cost_db.abs() < 0.01);
    }

    #[test]
    fn where_no_gain_is_low_enough_it_says_what_to_do() {
        let loud = choose(&steps(-20.5, -170.0, 99.0), &AIM).expect_err("too loud").to_string();
        assert!(
            loud.contains("+0.5 dBFS") && loud.contains("at least 7 dB") && loud.contains("--phone-dbm -27"),
            "{loud}"
        );
        let mut masked = steps(10.0, -140.0, 99.0);
        masked.iter_mut().for_each(|s| s.leak_dbfs_per_hz = s.floor_dbfs_per_hz - 3.0);
        assert!(matches!(choose(&masked, &AIM), Err(NoChoice::NeverItsOwn { .. })));
        let mut clips = steps(10.0, -140.0, 99.0);
        clips[0].clip_share = 0.02;
        let clips = choose(&clips, &AIM).expect_err("clips").to_string();
        assert!(clips.contains("2.000 %") && clips.contains("filter"), "{clips}");
        let deaf = choose(&steps(90.0, -140.0, 99.0), &AIM).expect_err("deaf").to_string();
        assert!(deaf.contains("never rises"), "{deaf}");
        assert!(choose(&[], &AIM).is_err());
        let nan = Step { gain_db: f64::NAN, floor_dbfs_per_hz: f64::NAN, ..steps(0.0, 0.0, 0.0)[0] };
        assert!(choose(&[nan, nan], &AIM).is_err());
    }

    #[test]
    fn a_rise_is_the_receivers_share_of_the_noise() {
        let steps = steps(10.0, -140.0, 99.0);
        let rises = rises(&steps);
        assert_eq!((rises.len(), rises[0]), (steps.len(), None));
        let at = |gain_db: f64| rises[(gain_db / 2.0) as usize].expect("a rise");
        assert!(at(10.0) < 0.01 && (at(39.0) - 0.5).abs() < 0.1 && at(60.0) > 0.98, "{rises:?}");
    }
}
