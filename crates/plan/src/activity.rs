//! When a phone transmits in the course of an activity, and where in its carrier.
//!
//! Typical courses, networks differ. The simulator has its own (`cellwarden-sim`): a test holds the two against each
//! other.

use crate::draw::Draw;
use cellwarden_standards::{gsm, lte};
use cellwarden_types::Standard;
use std::ops::ControlFlow::{self, Continue};

/// What a phone does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// GSM: one location update.
    LocationUpdate,
    /// GSM: a call of 30 s.
    GsmCall,
    /// LTE: one attach.
    Attach,
    /// LTE: one tracking-area update.
    TrackingAreaUpdate,
    /// LTE: a call of 30 s.
    LteCall,
    /// LTE: 10 s of data.
    Data,
}

use Activity::{Attach, Data, GsmCall, LocationUpdate, LteCall, TrackingAreaUpdate};

impl Activity {
    /// All.
    pub const ALL: [Self; 6] = [LocationUpdate, GsmCall, Attach, TrackingAreaUpdate, LteCall, Data];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            LocationUpdate => "gsm_location_update",
            GsmCall => "gsm_call_30_s",
            Attach => "lte_attach",
            TrackingAreaUpdate => "lte_tracking_area_update",
            LteCall => "lte_call_30_s",
            Data => "lte_data_10_s",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            LocationUpdate => "GSM location update",
            GsmCall => "GSM call, 30 s",
            Attach => "LTE attach",
            TrackingAreaUpdate => "LTE tracking area",
            LteCall => "LTE call, 30 s",
            Data => "LTE data, 10 s",
        }
    }

    /// Its standard.
    pub fn standard(self) -> Standard {
        if matches!(self, LocationUpdate | GsmCall) { Standard::Gsm } else { Standard::Lte }
    }

    /// From its first burst to about its last, in seconds.
    ///
    /// Location update: an SDCCH is held 1 to 5 s. Attach: 450 to 650 ms. Tracking-area update: 150 to 300 ms (bursts
    /// of real dongles, and a protocol stack's log). The tail of channel reports until the network releases the
    /// connection is left out, since networks differ: what is computed is at the safe side of it.
    pub fn length_s(self) -> f64 {
        match self {
            LocationUpdate => 2.0,
            GsmCall | LteCall => 30.0,
            Attach => 0.5,
            TrackingAreaUpdate => 0.22,
            Data => 10.0,
        }
    }
}

/// One burst of an activity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Start, in seconds from the activity's.
    pub start_s: f64,
    /// Length, in seconds.
    pub duration_s: f64,
    /// Lower edge, absolute, in hertz.
    pub lower_hz: f64,
    /// Upper edge, absolute, in hertz.
    pub upper_hz: f64,
    /// Access burst or preamble, rather than a burst of a dedicated channel.
    pub access: bool,
}

/// A carrier that the phone is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Carrier {
    /// Its middle, in hertz.
    pub center_hz: f64,
    /// Its width, in hertz; of one of LTE's widths, or a GSM channel's.
    pub width_hz: f64,
}

/// Takes bursts in order of time; `Break` when it has enough.
pub type Take<'a> = dyn FnMut(Burst) -> ControlFlow<()> + 'a;

/// Hands the activity's bursts to `take`, in order of time, until it breaks or the activity ends.
pub fn send(activity: Activity, carrier: Carrier, draw: &mut Draw, take: &mut Take<'_>) -> ControlFlow<()> {
    match activity.standard() {
        Standard::Gsm => send_gsm(activity, carrier, draw, take),
        _ => send_lte(activity, carrier, draw, take),
    }
}

/// Frames from an access burst to the first chance on the SDCCH that answers it: about two control multiframes at most.
const ANSWER_FRAMES: (u32, u32) = (30, 30);
/// A call's SDCCH, in seconds.
const CALL_SETUP_S: f64 = 2.5;
/// Frames that a phone takes to change to its traffic channel.
const ASSIGNMENT_FRAMES: u32 = 8;

fn send_gsm(activity: Activity, carrier: Carrier, draw: &mut Draw, take: &mut Take<'_>) -> ControlFlow<()> {
    // Where in two control multiframes it begins, and which subchannel and timeslot it is given.
    let first = draw.below(2 * gsm::CONTROL_MULTIFRAME);
    let (subchannel, timeslot) = (draw.below(8) as u8, draw.below(8) as u8);
    let mut burst = |frame: u32, timeslot: u8, access: bool| {
        let symbols = if access { gsm::ACCESS_BURST_SYMBOLS } else { gsm::NORMAL_BURST_SYMBOLS };
        take(Burst {
            start_s: f64::from(frame - first) * gsm::FRAME_SECONDS
                + f64::from(timeslot) * gsm::SLOT_SYMBOLS / gsm::SYMBOL_RATE,
            duration_s: symbols as f64 / gsm::SYMBOL_RATE,
            lower_hz: carrier.center_hz - gsm::CHANNEL_HZ / 2.0,
            upper_hz: carrier.center_hz + gsm::CHANNEL_HZ / 2.0,
            access,
        })
    };
    burst(first, 0, true)?;
    let answer = first + ANSWER_FRAMES.0 + draw.below(ANSWER_FRAMES.1);
    let frame_at = |seconds: f64| first + (seconds / gsm::FRAME_SECONDS) as u32;
    let end = frame_at(activity.length_s());
    let setup_end = if activity == GsmCall { frame_at(CALL_SETUP_S) } else { end };
    for frame in (answer..setup_end).filter(|&f| gsm::sdcch8_transmits(f, subchannel)) {
        burst(frame, 1, false)?;
    }
    // Without discontinuous transmission. With it 25 bursts a second are left in silence: still many in any dwell.
    for frame in (setup_end + ASSIGNMENT_FRAMES..end).filter(|&f| gsm::tch_full_transmits(f, timeslot)) {
        burst(frame, timeslot, false)?;
    }
    Continue(())
}

/// From a preamble's start to message 3: measured at a dongle, twice.
const MESSAGE_3_S: f64 = 0.011;
/// From there to the first signalling: a protocol stack's log.
const SIGNALLING_S: f64 = 0.037;
/// Signalling in an attach, one PUSCH in so long: the same log.
const ATTACH_PUSCH_S: f64 = 0.0207;
/// In a tracking-area update: 5 to 7 in 150 to 300 ms.
const UPDATE_PUSCH_S: f64 = 0.035;
/// PUCCH in signalling: 20 to 40 in an attach, 10 in an update.
const SIGNALLING_PUCCH_S: f64 = 0.020;
/// Speech frames, and descriptions of silence. TS 26.093.
const SPEECH_S: f64 = 0.020;
const SILENCE_S: f64 = 0.160;
/// A speaker talks half of the time, in turns of so long.
const TURN_S: f64 = 2.0;
/// Channel reports of a call: 12 to 50 a second.
const CALL_PUCCH_S: f64 = 0.040;
/// Data: small grants 5 ms apart, in runs, with pauses of 60 to 200 ms (one real phone's hour in the web: 154 a
/// second).
const DATA_PUSCH_S: f64 = 0.005;
const DATA_RUN_S: f64 = 0.1;
/// Acknowledgements of the downlink in a run.
const DATA_PUCCH_S: f64 = 0.010;
const SUBFRAME_S: f64 = 1e-3;

fn send_lte(activity: Activity, carrier: Carrier, draw: &mut Draw, take: &mut Take<'_>) -> ControlFlow<()> {
    let blocks = lte::carrier_blocks(carrier.width_hz).unwrap_or(6);
    let lower_hz = carrier.center_hz - f64::from(blocks) * lte::RB_HZ / 2.0;
    let mut burst = |start_s: f64, duration_s: f64, (first, count): (u16, u16), access: bool| {
        take(Burst {
            start_s,
            duration_s,
            lower_hz: lower_hz + f64::from(first) * lte::RB_HZ,
            upper_hz: lower_hz + f64::from(first + count) * lte::RB_HZ,
            access,
        })
    };
    // Beside the control channel at the lower edge, or at the upper.
    let edge = if blocks > 8 { 2 } else { 0 };
    let top = blocks.saturating_sub(lte::PRACH_BLOCKS + edge);
    let first = if draw.fraction() < 0.5 { edge.min(top) } else { top };
    let preamble_s = lte::PRACH_FORMATS[0].seconds();
    burst(0.0, preamble_s, (first, lte::PRACH_BLOCKS), true)?;
    let mut spread = draw.fraction();
    // Where grants lie: anywhere between the control channels, evenly.
    let mut place = |count: u16| {
        spread = (spread + 0.618_033_988_749_894_9).fract();
        (1 + (spread * f64::from(blocks.saturating_sub(count + 1))) as u16, count)
    };
    let begin_s = MESSAGE_3_S + SIGNALLING_S;
    burst(MESSAGE_3_S, SUBFRAME_S, place(2), false)?;
    let (pusch_s, pucch_s) = match activity {
        Attach => (ATTACH_PUSCH_S, SIGNALLING_PUCCH_S),
        LteCall => (SPEECH_S, CALL_PUCCH_S),
        Data => (DATA_PUSCH_S, DATA_PUCCH_S),
        _ => (UPDATE_PUSCH_S, SIGNALLING_PUCCH_S),
    };
    // Subframes in order: what is due in each. With a PUSCH in it, control goes there. TS 36.213 clause 10.1.
    let (mut next_pusch_s, mut next_pucch_s) = (begin_s, begin_s + 0.004);
    let mut pusch_until_s = 0.0;
    while next_pusch_s.min(next_pucch_s) < activity.length_s() {
        if next_pusch_s <= next_pucch_s {
            burst(next_pusch_s, SUBFRAME_S, place(if activity == LteCall { 2 } else { 4 }), false)?;
            pusch_until_s = next_pusch_s + SUBFRAME_S;
            let silent = activity == LteCall && (next_pusch_s / TURN_S) as u32 % 2 == 1;
            next_pusch_s = paused(activity, next_pusch_s + if silent { SILENCE_S } else { pusch_s });
        } else {
            if next_pucch_s >= pusch_until_s && next_pucch_s + SUBFRAME_S <= next_pusch_s {
                // Half a subframe at the lower edge, half at the upper. TS 36.211 clause 5.4.3.
                burst(next_pucch_s, SUBFRAME_S / 2.0, (0, 1), false)?;
                burst(next_pucch_s + SUBFRAME_S / 2.0, SUBFRAME_S / 2.0, (blocks - 1, 1), false)?;
            }
            next_pucch_s = paused(activity, next_pucch_s + pucch_s);
        }
    }
    Continue(())
}

/// The time itself, or the end of the pause that it lies in.
fn paused(activity: Activity, time_s: f64) -> f64 {
    let runs = time_s / DATA_RUN_S;
    if activity == Data && runs as u64 % 2 == 1 { (runs.floor() + 1.0) * DATA_RUN_S } else { time_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow::Break;

    fn bursts(activity: Activity, trial: u32) -> Vec<Burst> {
        let width_hz = if activity.standard() == Standard::Gsm { 200e3 } else { 10e6 };
        let mut all = Vec::new();
        let carrier = Carrier { center_hz: 900e6, width_hz };
        let whole = send(activity, carrier, &mut Draw::of(trial), &mut |b| {
            all.push(b);
            Continue(())
        });
        assert_eq!(whole, Continue(()));
        all
    }

    /// Bursts of each activity as those who recorded real phones counted them.
    #[test]
    fn activities_have_as_many_bursts_as_real_ones() {
        for trial in 0..50 {
            for (activity, least, most) in [
                (LocationUpdate, 25, 80),
                (GsmCall, 5_000, 6_500),
                (Attach, 36, 80),
                (TrackingAreaUpdate, 15, 35),
                (LteCall, 30 * 60, 30 * 140),
                (Data, 10 * 100, 10 * 400),
            ] {
                let n = bursts(activity, trial).len();
                assert!((least..=most).contains(&n), "{activity:?}: {n}");
            }
        }
    }

    #[test]
    fn bursts_come_in_order_and_inside_the_carrier() {
        for activity in Activity::ALL {
            for trial in 0..20 {
                let all = bursts(activity, trial);
                assert!(all[0].access && all[0].start_s == 0.0);
                assert!(all.windows(2).all(|w| w[0].start_s <= w[1].start_s), "{activity:?}");
                let inside = |b: &Burst| b.lower_hz >= 895e6 && b.upper_hz <= 905e6 && b.lower_hz < b.upper_hz;
                assert!(all.iter().all(inside), "{activity:?}");
                assert!(all.last().is_some_and(|b| b.start_s <= activity.length_s()));
            }
        }
    }

    #[test]
    fn who_has_enough_gets_no_more() {
        let mut n = 0;
        let carrier = Carrier { center_hz: 900e6, width_hz: 200e3 };
        let end = send(GsmCall, carrier, &mut Draw::of(1), &mut |_| {
            n += 1;
            if n == 5 { Break(()) } else { Continue(()) }
        });
        assert_eq!((end, n), (Break(()), 5));
    }
}
