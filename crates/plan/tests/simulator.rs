//! The simulator's phones, heard through a schedule: do they come out as often as computed?
//!
//! The two share tables of the standards and nothing else: courses of activities, schedules and counting are written
//! twice.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use cellwarden_plan::activity::Activity;
use cellwarden_plan::catch::probability;
use cellwarden_plan::demand::{Band, bands};
use cellwarden_plan::radio::by_model;
use cellwarden_plan::schedule::{Range, Schedule, windows};
use cellwarden_sim::Scene;
use cellwarden_sim::activity::{Emission, emissions};
use cellwarden_types::Hertz;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// A scene of one phone in an 80 MHz wide recording that holds the band.
fn scene(folder: &Path, activity: Activity, band: &Band) -> Scene {
    let word = match activity {
        Activity::LocationUpdate => "gsm-location-update",
        Activity::GsmCall => "gsm-call",
        Activity::Attach => "lte-attach",
        Activity::TrackingAreaUpdate => "lte-tau",
        Activity::Data => "lte-data",
        // Its calls send soundings as well, which a plan leaves out.
        Activity::LteCall => panic!("an LTE call is not compared"),
    };
    let channel = if word.starts_with("gsm") { "arfcn = 40" } else { "earfcn = 21625\nbandwidth = \"5M\"" };
    // Of a real phone's subframes in the web, 15 % had a PUSCH.
    let text = format!(
        "seed = 1\nrate = \"80M\"\ncenter = {}\nduration_s = 60\n[[sensor]]\nname = \"s\"\nposition = [0, 0]\n[[phone]]\n\
         name = \"p\"\nposition = [3, 0]\nactivity = \"{word}\"\n{channel}\nlength_s = {}\nload = 0.15\n",
        band.range.center_hz(),
        activity.length_s()
    );
    let path = folder.join("scene.toml");
    std::fs::write(&path, text).unwrap();
    Scene::load(&path).unwrap()
}

/// Another phone: another seed, carrier, timeslot, subchannel.
fn change(scene: &mut Scene, band: &Band, rng: &mut ChaCha8Rng) {
    scene.file.seed = rng.random();
    let phone = &mut scene.file.phone[0];
    (phone.timeslot, phone.subchannel) = (rng.random_range(0..8), rng.random_range(0..8));
    let (width_hz, raster_hz) = if phone.arfcn.is_some() { (200e3, 200e3) } else { (band.lte_carrier_hz, 100e3) };
    phone.bandwidth = Hertz(width_hz);
    let steps = ((band.range.width_hz() - width_hz) / raster_hz + 1e-6).floor() as u32;
    scene.phone_carriers[0] = band.range.lower_hz + width_hz / 2.0 + f64::from(rng.random_range(0..=steps)) * raster_hz;
}

/// Whether a receiver that goes round hears all of an emission: by walking from change to change.
fn hears(windows: &[Range], dwell_s: f64, retune_s: f64, begin_s: f64, e: &Emission) -> bool {
    let mut clock_s = -begin_s;
    loop {
        for window in windows {
            let (from_s, to_s) = (clock_s + retune_s, clock_s + retune_s + dwell_s);
            let in_time = from_s <= e.start_s && e.start_s + e.duration_s <= to_s;
            if in_time && window.lower_hz <= e.lower_hz && e.upper_hz <= window.upper_hz {
                return true;
            }
            if from_s > e.start_s {
                return false;
            }
            clock_s = to_s;
        }
    }
}

/// Whether they are a hit: an access burst and another, or three of a dedicated channel; joined over 1.2 s in GSM, 0.4
/// in LTE.
fn caught<'a>(heard: impl Iterator<Item = &'a Emission>) -> bool {
    let (mut access, mut dedicated, mut last_s) = (0, 0, f64::NEG_INFINITY);
    for e in heard {
        let gap_s = if e.label.starts_with("gsm") { 1.2 } else { 0.4 };
        if e.start_s - last_s > gap_s {
            (access, dedicated) = (0, 0);
        }
        last_s = e.start_s;
        if matches!(e.label, "gsm/access" | "lte/prach") {
            access += 1
        } else {
            dedicated += 1
        }
        if dedicated >= 3 || access >= 1 && access + dedicated >= 2 {
            return true;
        }
    }
    false
}

struct Case {
    name: &'static str,
    windows: Vec<Range>,
    dwell_s: f64,
    retune_s: f64,
}

/// Radios that go round bands: a fast one with a few centres, a slow one with many, and one that has to go through
/// France.
fn cases() -> Vec<Case> {
    let of = |model: &str, names: &[&str], dwell_s: f64| {
        let radio = by_model(model).unwrap();
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let ranges: Vec<Range> = bands(&names, Some("fr")).unwrap().iter().map(|b| b.range).collect();
        let tuning = Range::new(radio.tuning_hz.0, radio.tuning_hz.1);
        (windows(&ranges, radio.rates[0] * radio.usable_share, tuning), dwell_s, radio.retune_s)
    };
    [
        ("hackrf, B8", of("hackrf", &["B8"], 0.06)),
        ("hackrf, B20 B8", of("hackrf", &["B20", "B8"], 0.15)),
        ("rtl-sdr, B8", of("rtl-sdr", &["B8"], 0.1)),
        ("rtl-sdr, below 1.8 GHz", of("rtl-sdr", &["B28", "B20", "B8", "B3"], 0.5)),
        ("bladerf-micro, all", of("bladerf-micro", &["B28", "B20", "B8", "B3", "B1", "B7"], 0.08)),
    ]
    .into_iter()
    .map(|(name, (windows, dwell_s, retune_s))| Case { name, windows, dwell_s, retune_s })
    .collect()
}

/// What a course that is drawn and one that is typical may differ by.
const COURSE: f64 = 0.01;

/// How far below the simulator the computed probability may be. The simulator's tracking-area update has twice the
/// bursts that real ones have (0.08 of the subframes), of which narrow windows catch more.
fn safe(activity: Activity) -> f64 {
    if activity == Activity::TrackingAreaUpdate { 0.06 } else { COURSE }
}

/// Runs `trials` phones of each activity through each case; each computed probability must be one that the count may
/// come from.
fn confirm(trials: u32, z: f64) {
    let folder = tempfile::tempdir().unwrap();
    let band = &bands(&["B8".to_owned()], Some("fr")).unwrap()[0];
    let mut rng = ChaCha8Rng::seed_from_u64(20261125);
    let simulated =
        [Activity::LocationUpdate, Activity::GsmCall, Activity::Attach, Activity::TrackingAreaUpdate, Activity::Data];
    let mut wrong = Vec::new();
    for activity in simulated {
        let mut scene = scene(folder.path(), activity, band);
        let cases = cases();
        let mut hits = vec![0u32; cases.len()];
        // Long activities take the simulator long, and differ little from one to the next.
        let phones = if activity.length_s() > 5.0 { trials / 20 } else { trials };
        for _ in 0..phones {
            change(&mut scene, band, &mut rng);
            let sent = emissions(&scene);
            for (case, hits) in cases.iter().zip(&mut hits) {
                let cycle_s = case.windows.len() as f64 * (case.dwell_s + case.retune_s);
                let begin_s = rng.random_range(0.0..cycle_s);
                let heard = sent.iter().filter(|e| hears(&case.windows, case.dwell_s, case.retune_s, begin_s, e));
                *hits += u32::from(caught(heard));
            }
        }
        for (case, hits) in cases.iter().zip(hits) {
            let schedule = Schedule::over(&case.windows, case.dwell_s, case.retune_s).unwrap();
            let p = probability(activity, band, &[schedule], 16_384);
            let (n, seen) = (f64::from(phones), f64::from(hits) / f64::from(phones));
            // Wilson's interval about what was seen.
            let middle = (seen + z * z / (2.0 * n)) / (1.0 + z * z / n);
            let half = z / (1.0 + z * z / n) * (seen * (1.0 - seen) / n + z * z / (4.0 * n * n)).sqrt();
            println!(
                "{:<26} {:<24} computed {p:.3}, seen {seen:.3} ± {half:.3} of {phones}",
                activity.name(),
                case.name
            );
            let (lower, upper) = (middle - half - safe(activity), middle + half + COURSE);
            if !(lower..=upper).contains(&p) {
                wrong.push(format!("{activity:?}, {}: computed {p:.3}, seen {seen:.3} ± {half:.3}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// 25 comparisons at 3.5 sigma: by chance, one in a hundred sets of seeds fails, and these do not.
#[test]
fn the_simulator_confirms_the_probabilities() {
    confirm(2_000, 3.5);
}

/// Ten times as many: cargo test -p cellwarden-plan --release --test simulator -- --ignored --nocapture
#[test]
#[ignore = "minutes"]
fn the_simulator_confirms_the_probabilities_to_a_percent() {
    confirm(20_000, 3.5);
}
