//! From radios, bands and a machine to what they give.

use crate::activity::Activity;
use crate::catch::probability;
use crate::coverage::{Coverage, coverage};
use crate::demand::Band;
use crate::dwell::{Best, Hopping, best};
use crate::host::{Host, Load};
use crate::request::{Place, Request, Station};
use crate::schedule::Schedule;
use crate::warning::warnings;
use serde::Serialize;

/// Trials for a probability that is reported: an error below 0.5 %.
const TRIALS: u32 = 4096;

/// What a box gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Its places.
    pub places: Vec<PlacePlan>,
    /// Its machine.
    pub host: Host,
    /// What the machine computes of all places together.
    pub load: Load,
    /// What does not fit, in sentences.
    pub warnings: Vec<String>,
}

/// What is heard at a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlacePlan {
    /// Its name.
    pub name: String,
    /// How many such places there are.
    pub alike: u32,
    /// Its radios.
    pub radios: Vec<RadioPlan>,
    /// Each band.
    pub bands: Vec<BandPlan>,
}

/// What radios of one kind do at a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RadioPlan {
    /// Its name.
    pub name: String,
    /// The maker's name, where the radio is known.
    pub radio: Option<&'static str>,
    /// Receivers here.
    pub receivers: u32,
    /// Samples per second of each.
    pub rate_hz: f64,
    /// Width that each hears at once.
    pub usable_hz: f64,
    /// The bus, where it is known.
    pub bus: Option<&'static str>,
    /// Megabytes per second of all receivers here.
    pub bus_mb_per_s: Option<f64>,
    /// Strongest over weakest signal at once in 200 kHz.
    pub range_db: Option<f64>,
    /// Where they stay when they watch, or go round as they are set.
    pub watching_centers_hz: Vec<f64>,
    /// How they go round as they are set; none where they stay.
    pub round: Option<RoundPlan>,
    /// Centres that cover all of their bands.
    pub hopping_centers_hz: Vec<f64>,
    /// How to hop, where there are more centres than receivers.
    pub hopping: Option<HoppingPlan>,
}

/// A round that receivers are set to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RoundPlan {
    /// How long they listen at each centre, in seconds.
    pub dwell_s: f64,
    /// How long they are deaf after each change, in seconds.
    pub settle_s: f64,
    /// From one visit of a centre to the next, in seconds.
    pub cycle_s: f64,
}

/// How to hop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HoppingPlan {
    /// Deaf after each change of centre.
    pub retune_s: f64,
    /// The dwell that catches most, each activity counting the same.
    pub dwell_s: f64,
    /// From one visit of a centre to the next with that dwell, of the receiver with most centres.
    pub cycle_s: f64,
    /// The dwell that is best for one activity alone, and what it catches in the bands of these radios.
    pub best: Vec<BestFor>,
}

/// The best dwell for one activity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BestFor {
    /// The activity.
    pub activity: &'static str,
    /// For people.
    #[serde(skip)]
    pub title: &'static str,
    /// The dwell.
    pub dwell_s: f64,
    /// Probability to catch with it.
    pub probability: f64,
}

/// What is watched of a band at a place, and caught.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandPlan {
    /// The band's name.
    pub band: String,
    /// Lower edge of the uplink in use.
    pub lower_hz: f64,
    /// Upper edge.
    pub upper_hz: f64,
    /// When each receiver stays at its centre, or goes round as it is set.
    pub watching: Watched,
    /// When receivers go round, each with the dwell that catches most; none where there is nothing to go round.
    pub hopping: Option<Watched>,
}

/// How well a band is watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watched {
    /// Share of the band that is ever listened to, and of its time.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Share of spectrum and time that the energy detector sees.
    pub energy_share: f64,
    /// Share that is looked at in depth, so that phones are named; 0 where there is no detector for the band.
    pub depth_share: f64,
    /// Probability to catch one activity, somewhere in the band, of a phone that the place hears well.
    pub caught: Vec<Caught>,
}

/// The probability to catch one activity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Caught {
    /// The activity's name.
    pub activity: &'static str,
    /// The probability, while the machine keeps up.
    pub probability: f64,
}

/// What the box gives.
pub fn plan(request: &Request) -> Plan {
    let each = |p: &Place| f64::from(p.alike) * p.stations.iter().map(samples_per_s).sum::<f64>();
    let load = request.host.load(request.places.iter().map(each).sum::<f64>() / 1e6);
    let places = request.places.iter().map(|p| place(p, &request.bands, &load)).collect();
    Plan { places, host: request.host, load, warnings: warnings(request, &load) }
}

fn samples_per_s(station: &Station) -> f64 {
    f64::from(station.receivers) * station.rate_hz
}

fn place(place: &Place, bands: &[Band], load: &Load) -> PlacePlan {
    let (mut radios, mut watching, mut hopping, mut any_hops) = (Vec::new(), Vec::new(), Vec::new(), false);
    for station in &place.stations {
        let (stays, round) = (station.watching(bands), station.hopping(bands));
        let found = how_to_hop(station, &round, bands);
        // One that is tuned already may be elsewhere than it would go.
        let moves = found.is_some() || (!station.centers_hz.is_empty() && !round.windows.is_empty());
        any_hops |= found.is_some();
        radios.push(radio(station, &stays, &round, found.clone()));
        let schedules = round.schedules(found.map_or(1.0, |h| h.dwell_s));
        hopping.extend(if moves { schedules } else { stays.clone() });
        watching.extend(stays);
    }
    let bands = bands.iter().map(|band| BandPlan {
        band: band.name.clone(),
        lower_hz: band.range.lower_hz,
        upper_hz: band.range.upper_hz,
        watching: watched(band, &watching, load),
        hopping: any_hops.then(|| watched(band, &hopping, load)),
    });
    PlacePlan { name: place.name.clone(), alike: place.alike, bands: bands.collect(), radios }
}

fn how_to_hop(station: &Station, round: &Hopping, bands: &[Band]) -> Option<HoppingPlan> {
    if !round.hops() {
        return None;
    }
    let own: Vec<&Band> = station.bands.iter().filter_map(|&i| bands.get(i)).collect();
    let wanted: Vec<Activity> =
        Activity::ALL.into_iter().filter(|a| own.iter().any(|b| b.activities().any(|x| x == *a))).collect();
    let mut found = best(round, &own, &wanted);
    let Best { dwell_s, .. } = found.pop()?;
    let cycle_s = round.schedules(dwell_s).iter().map(Schedule::cycle_s).fold(0.0, f64::max);
    let of = |(a, b): (&Activity, Best)| BestFor {
        activity: a.name(),
        title: a.title(),
        dwell_s: b.dwell_s,
        probability: b.probability,
    };
    let best = wanted.iter().zip(found).map(of).collect();
    Some(HoppingPlan { retune_s: round.retune_s, dwell_s, cycle_s, best })
}

fn radio(station: &Station, stays: &[Schedule], round: &Hopping, hopping: Option<HoppingPlan>) -> RadioPlan {
    let bytes_per_s = station.radio.map(|r| samples_per_s(station) * r.bytes_per_sample);
    RadioPlan {
        name: station.name.clone(),
        radio: station.radio.map(|r| r.name),
        receivers: station.receivers,
        rate_hz: station.rate_hz,
        usable_hz: station.usable_hz(),
        bus: station.radio.map(|r| r.bus.name()),
        bus_mb_per_s: bytes_per_s.map(|b| b / 1e6),
        range_db: station.radio.map(|r| r.range_db(station.rate_hz)),
        watching_centers_hz: stays.iter().flat_map(|s| s.windows()).map(|w| w.center_hz()).collect(),
        round: station.round.as_ref().map(|r| RoundPlan {
            dwell_s: r.dwell_s,
            settle_s: r.settle_s,
            cycle_s: stays.iter().map(Schedule::cycle_s).fold(0.0, f64::max),
        }),
        hopping_centers_hz: round.windows.iter().map(|w| w.center_hz()).collect(),
        hopping,
    }
}

fn watched(band: &Band, receivers: &[Schedule], load: &Load) -> Watched {
    let coverage = coverage(band.range, receivers);
    let caught =
        band.activities().map(|a| Caught { activity: a.name(), probability: probability(a, band, receivers, TRIALS) });
    let has_detector = band.gsm || band.lte;
    Watched {
        coverage,
        energy_share: coverage.time_share * load.energy_share,
        depth_share: if has_detector { coverage.time_share * load.depth_share } else { 0.0 },
        caught: caught.collect(),
    }
}
