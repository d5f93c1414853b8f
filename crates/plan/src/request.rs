//! What is asked: radios at places, the bands they are for, a machine.

use crate::demand::Band;
use crate::dwell::Hopping;
use crate::host::Host;
use crate::radio::{Radio, USUAL_RETUNE_S, USUAL_SHARE};
use crate::schedule::{Range, Schedule, windows};

/// A box: what it listens with, and what computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Where its antennas hang.
    pub places: Vec<Place>,
    /// What is to be watched, first the most important.
    pub bands: Vec<Band>,
    /// The machine.
    pub host: Host,
    /// USB controllers that its radios are spread over.
    pub usb_controllers: u32,
}

/// A place: what hangs there hears the same phones.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its name: that of its sensors.
    pub name: String,
    /// How many such places the box serves.
    pub alike: u32,
    /// Its radios.
    pub stations: Vec<Station>,
}

/// Radios of one kind at one place, set alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Its name: the device's, or the model's.
    pub name: String,
    /// What is known of it.
    pub radio: Option<&'static Radio>,
    /// Receivers here: radios times channels.
    pub receivers: u32,
    /// Channels of one radio that are in use, here and elsewhere.
    pub channels: u32,
    /// Samples per second of each.
    pub rate_hz: f64,
    /// Width of the analogue filter, where it is set.
    pub bandwidth_hz: Option<f64>,
    /// What they are tuned to now, one each, or all of each one's round; none where they are free.
    pub centers_hz: Vec<f64>,
    /// How they go round as they are set; none where they stay or are free.
    pub round: Option<Round>,
    /// Whether other channels of the radio are tuned elsewhere, and it cannot do that.
    pub torn: bool,
    /// Indices of the bands they are for.
    pub bands: Vec<usize>,
    /// The filter before them.
    pub passband: Option<Range>,
    /// From a change of frequency to settled samples, in seconds, where it was measured.
    pub retune_s: Option<f64>,
}

/// A round that receivers are set to.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// How long they listen at each centre, in seconds.
    pub dwell_s: f64,
    /// How long they are deaf after each change, in seconds.
    pub settle_s: f64,
    /// Each receiver's centres, in order.
    pub centers_hz: Vec<Vec<f64>>,
}

impl Station {
    /// Width that it hears at once, in hertz.
    pub fn usable_hz(&self) -> f64 {
        let share = self.radio.map_or(USUAL_SHARE, |r| r.usable_share);
        (self.rate_hz * share).min(self.bandwidth_hz.unwrap_or(f64::INFINITY))
    }

    /// Centre frequencies that it can be tuned to.
    pub fn tuning(&self) -> Range {
        self.radio.map_or(Range::new(0.0, f64::INFINITY), |r| Range::new(r.tuning_hz.0, r.tuning_hz.1))
    }

    /// Deaf after a change of frequency, in seconds.
    pub fn retune_s(&self) -> f64 {
        self.retune_s.unwrap_or_else(|| self.radio.map_or(USUAL_RETUNE_S, |r| r.retune_s))
    }

    /// What of a window passes the filter.
    fn filtered(&self, window: Range) -> Range {
        self.passband.map_or(window, |passband| window.and(passband))
    }

    /// What it can hear of its bands.
    fn reachable(&self, bands: &[Band]) -> Vec<Range> {
        let ranges = self.bands.iter().filter_map(|&i| bands.get(i)).map(|b| self.filtered(b.range));
        ranges.filter(|r| r.width_hz() > 0.0).collect()
    }

    /// How it goes round all of its bands.
    pub fn hopping(&self, bands: &[Band]) -> Hopping {
        let found = windows(&self.reachable(bands), self.usable_hz(), self.tuning());
        let windows = found.into_iter().map(|w| self.filtered(w)).collect();
        Hopping { windows, receivers: self.receivers as usize, retune_s: self.retune_s() }
    }

    /// What it hears when each receiver does as it is set, and stays where it is if nothing else is said: where it is tuned to,
    /// or at the most important of its windows.
    pub fn watching(&self, bands: &[Band]) -> Vec<Schedule> {
        if let Some(round) = &self.round {
            let window = |&hz: &f64| self.filtered(Range::about(hz, self.usable_hz()));
            let schedule = |centers_hz: &Vec<f64>| {
                let windows: Vec<Range> = centers_hz.iter().map(window).collect();
                Schedule::over(&windows, round.dwell_s, round.settle_s)
            };
            return round.centers_hz.iter().filter_map(schedule).collect();
        }
        let stays: Vec<Range> = if self.centers_hz.is_empty() {
            let mut windows = self.hopping(bands).windows;
            let rank = |w: &Range| self.bands.iter().position(|&i| bands[i].range.and(*w).width_hz() > 1e6);
            windows.sort_by_key(|w| rank(w).unwrap_or(usize::MAX));
            windows.into_iter().take(self.receivers as usize).collect()
        } else {
            self.centers_hz.iter().map(|&hz| self.filtered(Range::about(hz, self.usable_hz()))).collect()
        };
        stays.into_iter().map(Schedule::Watch).collect()
    }
}
