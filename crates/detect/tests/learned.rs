//! Preambles of a base station that was learned from clear ones.

#![allow(clippy::unwrap_used)] // a test may

#[path = "common/air.rs"]
mod air;

use air::{Air, tail_bound};
use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_sim::wave::{Wave, lte};
use cellwarden_standards::lte as lte_tables;
use cellwarden_types::{Burst, Kind};
use rand::Rng;

const RATE_HZ: f64 = 3.84e6;
const LTE_HZ: f64 = 847e6;
/// The receiver's clock is so much slower, and its tuning so much lower.
const RADIO_ERROR: f64 = 0.8e-6;
const OCCASION_S: f64 = 10e-3;
/// An emission every so many occasions, at a random one of the first two of them.
const SPACING: usize = 3;
const CLEAR_DB: f64 = 5.0;

/// A base station: its preamble format, roots, cyclic shifts, and when its first frame's occasion begins.
struct BaseStation {
    format: usize,
    roots: Vec<usize>,
    n_cs: usize,
    offset_s: f64,
}

/// Sends `clear` and then `faint` preambles of the base station, of which one in ten is clear as well: receivers are near to some
/// phones. Gives the starts of the faint ones.
fn send(air: &mut Air, base_station: &BaseStation, (clear, faint): (usize, usize), snr_db: f64) -> Vec<f64> {
    let format = &lte_tables::PRACH_FORMATS[base_station.format];
    let mut starts = Vec::new();
    for i in 0..clear + faint {
        let frame = SPACING * i + 1 + air.rng.random_range(0..SPACING - 1);
        // Within 150 m from each other.
        let late_s = air.rng.random_range(0.0..1e-6);
        let start_s = (frame as f64 * OCCASION_S + base_station.offset_s + late_s) * (1.0 + RADIO_ERROR);
        let root = base_station.roots[air.rng.random_range(0..base_station.roots.len())];
        let shift = base_station.n_cs * air.rng.random_range(0..839 / base_station.n_cs);
        let burst = lte::prach(format, (root, shift), (4, 15));
        let hz = LTE_HZ * (1.0 + RADIO_ERROR) + air.rng.random_range(-300.0..300.0);
        let span = (start_s, burst.seconds());
        let is_clear = i < clear || i % 10 == 0;
        let snr_db = if is_clear { CLEAR_DB } else { snr_db };
        air.add(&Wave::Ofdm(burst), span, hz, (snr_db, lte_tables::PRACH_HZ));
        starts.extend((!is_clear).then_some(start_s));
    }
    starts
}

fn seconds(trials: usize) -> f64 {
    (SPACING * trials + 4) as f64 * OCCASION_S
}

fn preambles(bursts: Vec<Burst>) -> Vec<Burst> {
    bursts.into_iter().filter(|b| b.kind == Kind::Prach).collect()
}

/// Errors of the starts of those that were found, in µs from the least to the greatest.
fn errors_us(starts: &[f64], bursts: &[Burst]) -> Vec<f64> {
    let error = |b: &Burst, s: f64| (b.start_s - s).abs() * 1e6;
    let near = |s: &f64| bursts.iter().map(|b| error(b, *s)).filter(|us| *us < 100.0).min_by(f64::total_cmp);
    let mut errors: Vec<f64> = starts.iter().filter_map(near).collect();
    errors.sort_by(f64::total_cmp);
    errors
}

/// Of 150 at -12 dB, 99 % are found, none where none is, and 95 % of the starts are right to 2 µs.
fn assert_heard(base_station: &BaseStation, clear: usize, seed: u64) {
    let trials = (clear, 150);
    let mut air = Air::noise(RATE_HZ, LTE_HZ, seconds(clear + trials.1), seed);
    let starts = send(&mut air, base_station, trials, -12.0);
    let bursts = preambles(air.detect().1);
    let errors = errors_us(&starts, &bursts);
    println!("{} of {}, 95 % within {:.2} µs", errors.len(), starts.len(), errors[errors.len() * 95 / 100]);
    assert!(tail_bound(errors.len(), starts.len(), 0.99) > 1e-3, "{} found", errors.len());
    let clear = clear + trials.1 - starts.len();
    assert!(bursts.len() <= errors.len() + clear, "{} found, {} right", bursts.len(), errors.len());
    assert!(errors[errors.len() * 95 / 100] < 2.0, "{errors:?}");
    assert!(bursts.iter().all(|b| base_station.roots.contains(&usize::from(b.detail.root.unwrap()))));
}

#[test]
fn preambles_of_a_base_station_with_one_root_are_found_at_minus_12_db() {
    assert_heard(&BaseStation { format: 0, roots: vec![129], n_cs: 13, offset_s: 1.3e-3 }, 24, 1);
}

/// A large one: of its ten roots, some were not heard before.
#[test]
fn preambles_of_a_base_station_with_ten_roots_are_found_at_minus_12_db() {
    let roots = lte_tables::PRACH_ROOTS_839[100..110].iter().map(|r| usize::from(*r)).collect();
    assert_heard(&BaseStation { format: 0, roots, n_cs: 119, offset_s: 6.7e-3 }, 24, 2);
}

#[test]
fn preambles_with_a_long_prefix_are_found_at_minus_12_db() {
    assert_heard(&BaseStation { format: 1, roots: vec![56, 783], n_cs: 26, offset_s: 2.1e-3 }, 24, 3);
}

/// Place and subframes are known, the root is none that was heard: at -8.5 dB.
#[test]
fn a_strange_root_at_a_known_place_is_found_at_minus_8_5_db() {
    let base_station = BaseStation { format: 0, roots: vec![129], n_cs: 13, offset_s: 1.3e-3 };
    let mut air = Air::noise(RATE_HZ, LTE_HZ, seconds(112), 8);
    send(&mut air, &base_station, (12, 0), 0.0);
    let format = &lte_tables::PRACH_FORMATS[0];
    let mut starts = Vec::new();
    for i in 12..112 {
        let start_s = ((SPACING * i + 1) as f64 * OCCASION_S + base_station.offset_s) * (1.0 + RADIO_ERROR);
        // Far from the one that is known, and none that is a line or two across its band.
        let root = 30 + 7 * i % 350;
        let burst = lte::prach(format, (root, air.rng.random_range(0..839)), (4, 15));
        let hz = LTE_HZ * (1.0 + RADIO_ERROR) + air.rng.random_range(-300.0..300.0);
        let span = (start_s, burst.seconds());
        air.add(&Wave::Ofdm(burst), span, hz, (-8.5, lte_tables::PRACH_HZ));
        starts.push(start_s);
    }
    let bursts = preambles(air.detect().1);
    let found = errors_us(&starts, &bursts).len();
    println!("{found} of {}", starts.len());
    assert!(tail_bound(found, starts.len(), 0.99) > 1e-3, "{found}");
    assert!(bursts.len() <= starts.len() + 12, "{}", bursts.len());
}

/// What tells the figures above from those of a detector that learned nothing.
#[test]
fn without_a_clear_one_hardly_any_is_found() {
    let base_station = BaseStation { format: 0, roots: vec![129], n_cs: 13, offset_s: 1.3e-3 };
    let mut air = Air::noise(RATE_HZ, LTE_HZ, seconds(60), 4);
    let format = &lte_tables::PRACH_FORMATS[0];
    let mut starts = Vec::new();
    for i in 1..=60 {
        let start_s = i as f64 * 2.0 * OCCASION_S + base_station.offset_s;
        let burst = lte::prach(format, (129, 13 * (i % 64)), (4, 15));
        let span = (start_s, burst.seconds());
        air.add(&Wave::Ofdm(burst), span, LTE_HZ, (-12.0, lte_tables::PRACH_HZ));
        starts.push(start_s);
    }
    let bursts = preambles(air.detect().1);
    assert!(errors_us(&starts, &bursts).len() < 12, "{bursts:#?}");
}

/// What is learned outlives the detector, but for the time: one clear preamble brings that back.
#[test]
fn a_restarted_detector_knows_its_base_stations() {
    let base_station = BaseStation { format: 0, roots: vec![129, 710], n_cs: 26, offset_s: 1.3e-3 };
    let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
    let mut air = Air::noise(RATE_HZ, LTE_HZ, seconds(12), 5);
    send(&mut air, &base_station, (12, 0), 0.0);
    detector.process(&air.block(), &mut out);
    detector.finish(&mut out);
    let text = serde_json::to_string(&detector.state()).unwrap();
    let state: cellwarden_detect::state::DetectorState = serde_json::from_str(&text).unwrap();
    let known = &state.base_stations[0];
    assert_eq!((known.heard(), known.format, state.base_stations.len()), (12, 0, 1), "{known:?}");
    assert!((known.center_hz - LTE_HZ + 90e3).abs() < 10e3, "{known:?}");

    let mut air = Air::noise(RATE_HZ, LTE_HZ, seconds(61), 6);
    let starts = send(&mut air, &base_station, (1, 60), -11.0);
    let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
    detector.restore(state);
    detector.process(&air.block(), &mut out);
    detector.finish(&mut out);
    let found = errors_us(&starts, &preambles(out)).len();
    assert!(tail_bound(found, starts.len(), 0.99) > 1e-3, "{found}");
    let known = &detector.state().base_stations[0];
    assert_eq!(known.heard() as usize, 12 + (61 - starts.len()) + found, "{known:?}");
}

/// Noise at the occasions of a base station whose preambles were heard is none of its preambles.
#[test]
fn silence_of_a_known_base_station_is_none() {
    let base_station = BaseStation { format: 0, roots: vec![129], n_cs: 13, offset_s: 1.3e-3 };
    let mut air = Air::noise(RATE_HZ, LTE_HZ, 10.0, 7);
    send(&mut air, &base_station, (4, 0), 0.0);
    assert_eq!(preambles(air.detect().1).len(), 4);
}

/// A state is a file: what cannot be is left out, and counts that are at their end stay there.
#[test]
fn a_state_that_somebody_wrote_does_no_harm() {
    let base_station = BaseStation { format: 0, roots: vec![129], n_cs: 13, offset_s: 1.3e-3 };
    let mut air = Air::noise(RATE_HZ, LTE_HZ, seconds(3), 9);
    send(&mut air, &base_station, (3, 0), 0.0);
    let written = |format: u8, heard: u32| {
        serde_json::json!({"center_hz": LTE_HZ - 90e3, "format": format, "roots": [{"root": 129, "heard": heard},
            {"root": 60_000, "heard": heard}], "subframes": vec![heard; 20], "others": heard})
    };
    let all = [written(200, 1), written(0, u32::MAX)];
    let state = serde_json::json!({"version": 1, "sensor": "test", "floors": [], "base_stations": all});
    let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
    detector.restore(serde_json::from_value(state).unwrap());
    detector.process(&air.block(), &mut out);
    detector.finish(&mut out);
    let known = detector.state().base_stations;
    assert_eq!((preambles(out).len(), known.len(), known[0].heard()), (3, 1, u32::MAX), "{known:?}");
}
