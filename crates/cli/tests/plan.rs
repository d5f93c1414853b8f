//! `cellwarden plan`: its words, the parts list that cites them, and a phone that a hopping receiver hears.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use cellwarden_plan::activity::Activity;
use cellwarden_plan::catch::probability;
use cellwarden_plan::demand::{Band, bands};
use cellwarden_plan::schedule::{Range, Schedule};
use common::{cellwarden, good, hits, records};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn planned(path: &Path, more: &[&str]) -> Value {
    let path = path.to_string_lossy().into_owned();
    let (out, _) = good(&[&["plan", &path, "--format", "json"], more].concat());
    serde_json::from_str(&out).unwrap()
}

fn refused(path: &Path, more: &[&str]) -> String {
    let path = path.to_string_lossy().into_owned();
    let output = cellwarden(&[&["plan", &path], more].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    text
}

/// The three sizes of `docs/parts.md`: what it quotes is what the command prints.
#[test]
fn the_parts_list_quotes_what_is_printed() {
    let document = std::fs::read_to_string(repository("docs/parts.md")).unwrap();
    for size in ["small", "medium", "large"] {
        let path = repository(&format!("configs/plan-{size}.toml")).to_string_lossy().into_owned();
        let (out, _) = good(&["plan", &path]);
        let quoted = format!("```\n$ cellwarden plan configs/plan-{size}.toml\n{out}```\n");
        assert!(document.contains(&quoted), "docs/parts.md does not quote this:\n{quoted}");
        assert!(out.lines().all(|l| l.chars().count() <= 100), "{out}");
        good(&["check", &path]);
    }
}

/// What is recommended fits: receivers that stay hear all of the most important bands, and nothing warns.
#[test]
fn the_parts_list_fits() {
    for (size, watched) in [("small", &["B20", "B8"][..]), ("medium", &["B8", "B20"]), ("large", &["B8", "B20", "B28"])]
    {
        let plan = planned(&repository(&format!("configs/plan-{size}.toml")), &[]);
        assert_eq!(plan["warnings"], serde_json::json!([]), "{size}");
        assert_eq!(plan["load"]["depth_share"], 1.0, "{size}");
        for band in plan["places"][0]["bands"].as_array().unwrap() {
            let stays = &band["watching"];
            let all = watched.contains(&band["band"].as_str().unwrap());
            assert_eq!(stays["depth_share"] == 1.0, all, "{size} {band}");
            let caught = stays["caught"].as_array().unwrap();
            assert!(caught.iter().all(|c| (c["probability"] == 1.0) == all), "{size} {band}");
        }
    }
}

#[test]
fn a_configuration_is_planned_place_by_place() {
    let plan = planned(&repository("configs/box.toml"), &["--cores", "2"]);
    let places = plan["places"].as_array().unwrap();
    assert_eq!(places.iter().map(|p| p["name"].as_str().unwrap()).collect::<Vec<_>>(), ["a-west", "b-east"]);
    let band = &places[0]["bands"][0];
    assert_eq!(band["band"], "B8");
    // 80 % of 2.4 Msps in the 34.8 MHz of the country that its site file names.
    let share = band["watching"]["spectrum_share"].as_f64().unwrap();
    assert!((share - 1.92 / 34.8).abs() < 1e-9, "{share}");
    assert_eq!(band["hopping"]["spectrum_share"], 1.0);
    assert_eq!((&plan["load"]["msps"], &plan["host"]["cores"]), (&4.8.into(), &2.0.into()));
    assert!(plan["warnings"][0].as_str().unwrap().contains("8 bits"), "{}", plan["warnings"]);
}

#[test]
fn a_configuration_that_hops_is_planned_as_it_is_set() {
    let path = repository("configs/hopping.toml");
    let plan = planned(&path, &["--cores", "2"]);
    let place = &plan["places"][0];
    let round = &place["radios"][0]["round"];
    assert_eq!((&round["dwell_s"], &round["settle_s"]), (&0.3.into(), &0.065.into()));
    assert!((round["cycle_s"].as_f64().unwrap() - 3.0 * 0.365).abs() < 1e-9, "{round}");
    assert_eq!(place["radios"][0]["watching_centers_hz"].as_array().unwrap().len(), 3);
    // Of its windows it hears each for 0.3 s of 1.095, and a call lasts longer than that.
    let band = &place["bands"].as_array().unwrap().iter().find(|b| b["band"] == "B8").unwrap()["watching"];
    let (spectrum, time) = (band["spectrum_share"].as_f64().unwrap(), band["time_share"].as_f64().unwrap());
    assert!((time / spectrum - 0.3 / 1.095).abs() < 1e-6, "{band}");
    // The dwell of the configuration counts: with another one other phones are caught.
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let site = repository("configs/corridor-site.toml").display().to_string();
    let short = folder.path().join("short.toml");
    std::fs::write(&short, text.replace("dwell_s = 0.3", "dwell_s = 0.02").replace("corridor-site.toml", &site))
        .unwrap();
    let caught = |plan: &Value| {
        let bands = plan["places"][0]["bands"].as_array().unwrap().clone();
        let of_band =
            bands.iter().find(|b| b["band"] == "B8").unwrap()["watching"]["caught"].as_array().unwrap().clone();
        of_band.iter().map(|c| c["probability"].as_f64().unwrap()).sum::<f64>()
    };
    let (as_set, shorter) = (caught(&plan), caught(&planned(&short, &["--cores", "2"])));
    assert!(as_set > 0.0 && as_set != shorter, "{as_set} {shorter}");
    let (table, _) = good(&["plan", &path.display().to_string()]);
    let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("as it is set: 300 ms at each centre (deaf 65 ms after each change), round in 1.09 s"),
        "{table}"
    );
    assert!(table.contains(" set ") && table.contains(" hop "), "{table}");
}

/// Every example file can be planned with, and is as good as `check` says.
#[test]
fn every_example_is_planned() {
    let mut n = 0;
    for entry in std::fs::read_dir(repository("configs")).unwrap() {
        let path = entry.unwrap().path();
        let bands = planned(&path, &[])["places"][0]["bands"].as_array().map_or(0, Vec::len);
        assert!(bands > 0, "{}", path.display());
        good(&["check", &path.to_string_lossy()]);
        n += 1;
    }
    assert!(n >= 5, "{n}");
}

#[test]
fn what_does_not_fit_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    let site = "[site]\nname = \"x\"\n[[sensor]]\nname = \"a\"\nposition = [0, 0]\n";
    for (section, more, word) in [
        ("bands = [7]\n[[plan.radio]]\nmodel = \"rtl-sdr\"\n", &[][..], "reaches nothing of B7"),
        ("bands = [3]\n[[plan.radio]]\nmodel = \"rtl-sdr\"\n", &[], "reaches only 76 % of B3"),
        (
            "bands = [8]\n[[plan.radio]]\nmodel = \"rtl-sdr\"\nrate = \"3.2M\"\n",
            &[],
            "more than RTL-SDR Blog V3/V4 sustains",
        ),
        ("bands = [8]\n[[plan.radio]]\nmodel = \"hackrf\"\n", &[], "8 bits show 64 dB"),
        ("bands = [8]\n[[plan.radio]]\nmodel = \"hackrf\"\ncount = 3\n", &[], "spread them over 3 controllers"),
        (
            "bands = [8, 20]\n[[plan.radio]]\nmodel = \"b200\"\nfilter = [\"832M\", \"862M\"]\n",
            &[],
            "passes nothing of B8",
        ),
        ("bands = [8]\n[[plan.radio]]\nmodel = \"b200\"\ncount = 2\n", &[], "1 would be idle"),
        ("bands = [8]\n[[plan.radio]]\nmodel = \"b200\"\n[plan.host]\ncores = 0.5\n", &[], "dropped"),
        (
            "bands = [8]\nplaces = 2\n[[plan.radio]]\nmodel = \"b200\"\n",
            &["--cores", "2"],
            "there is room for 1 at once",
        ),
        ("country = \"fr\"\nbands = [\"n78\"]\n[[plan.radio]]\nmodel = \"b200\"\n", &[], "energy only"),
    ] {
        std::fs::write(&path, format!("{site}[plan]\n{section}")).unwrap();
        let plan = planned(&path, more);
        let warnings = plan["warnings"].to_string();
        assert!(warnings.contains(word), "{section}: {warnings}");
    }
}

#[test]
fn what_cannot_be_planned_gets_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    let site = "[site]\nname = \"x\"\n[[sensor]]\nname = \"a\"\nposition = [0, 0]\n";
    let radio = "[[plan.radio]]\nmodel = \"hackrf\"\n";
    for (text, word) in [
        (site.to_owned(), "no radio is named"),
        (format!("{site}[plan]\ncountry = \"xx\"\n{radio}"), "fr, gb"),
        (format!("{site}[plan]\nbands = [99]\n{radio}"), "B99"),
        (format!("{site}[plan]\n{radio}"), "no band"),
        (format!("{site}[plan]\nbands = [8]\n{radio}bands = [20]\n"), "not among those of the plan (B8)"),
        (format!("{site}[plan]\nbands = [8]\n{radio}colour = 1\n"), "site.toml:10:1: unknown field `colour`"),
        (format!("{site}[plan]\nbands = [8]\n[[plan.radio]]\nmodel = \"x\"\n"), "name one of rtl-sdr"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let error = refused(&path, &[]);
        assert!(error.contains(word) && error.trim_end().lines().count() == 1, "{text}: {error}");
        // What is wrong in a plan is seen by check as well; that there is none is not wrong.
        let checked = cellwarden(&["check", &path.to_string_lossy()]);
        assert_eq!(checked.status.code(), Some(if text == site { 0 } else { 2 }), "{text}");
    }
    let bench = folder.path().join("bench.json");
    std::fs::write(&bench, "{\"threads\": 1}").unwrap();
    let small = repository("configs/plan-small.toml");
    assert!(refused(&small, &["--bench", &bench.to_string_lossy()]).contains("msps.whole"));
    std::fs::write(
        &bench,
        "{\"threads\": 2, \"msps\": {\"spectrum\": 240, \"floor\": 1200, \"segment\": 1200, \"classify\": 800, \"whole\": 120}}",
    )
    .unwrap();
    let plan = planned(&small, &["--bench", &bench.to_string_lossy()]);
    assert_eq!(plan["host"]["depth_msps_per_core"], 60.0);
    assert!((plan["host"]["energy_msps_per_core"].as_f64().unwrap() - 1200.0 / 7.0 / 2.0).abs() < 1e-9);
}

/// A phone's activity on a recording that a hopping receiver could have made of it.
struct Heard {
    activity: Activity,
    /// The phone's lines of the scene.
    phone: &'static str,
    rate: usize,
    standard: &'static str,
    trials: u32,
}

/// One receiver's round: dwell, retune, centres.
const DWELL_S: f64 = 0.06;
const RETUNE_S: f64 = 0.02;
const CENTRES: usize = 16;

impl Heard {
    /// In how many trials the phone becomes a hit that is more likely a phone than not, where the samples of all times at which
    /// the receiver is elsewhere are noise.
    fn caught(&self) -> u32 {
        const SECONDS: usize = 4;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let cycle_s = CENTRES as f64 * (DWELL_S + RETUNE_S);
        let one = |trial: u32| {
            let text = format!(
                "seed = {trial}\nrate = {}\ncenter = \"898M\"\nduration_s = {SECONDS}\n[[sensor]]\nname = \"s\"\n\
                 position = [0, 0]\nfull_scale_dbm = -20\n[[phone]]\nname = \"p\"\nposition = [20, 0]\nstart_s = 0.5\n\
                 length_s = {}\nsubchannel = {}\n{}\n",
                self.rate,
                self.activity.length_s(),
                trial % 8,
                self.phone
            );
            std::fs::write(path("scene.toml"), text).unwrap();
            good(&["simulate", &path("scene.toml"), "--out", &path("")]);
            let mut bytes = std::fs::read(path("s.sigmf-data")).unwrap();
            // In the last second there is no phone any more.
            let noise = bytes[(SECONDS - 1) * self.rate * 4..].to_vec();
            // Phases spread evenly, in another order than the seeds.
            let begin_s = cycle_s * ((f64::from(trial) * 0.618_033_988_749_894_9) % 1.0);
            for (i, sample) in bytes.chunks_exact_mut(4).enumerate() {
                let into_cycle_s = (i as f64 / self.rate as f64 + begin_s) % cycle_s;
                if !(RETUNE_S..RETUNE_S + DWELL_S).contains(&into_cycle_s) {
                    let at = i % self.rate * 4;
                    sample.copy_from_slice(&noise[at..at + 4]);
                }
            }
            std::fs::write(path("s.sigmf-data"), bytes).unwrap();
            let (out, _) = good(&["replay", "--format", "jsonl", &path("s.sigmf-meta")]);
            let sure = |h: &&Value| h["standard"] == self.standard && h["confidence"].as_f64().is_some_and(|c| c > 0.5);
            hits(&records(&out)).iter().any(sure)
        };
        (0..self.trials).map(|trial| u32::from(one(trial))).sum()
    }
}

/// The whole path: what is computed is what the detectors find in samples.
#[test]
fn a_hopping_receiver_catches_what_is_computed() {
    let band = Band { lte_carrier_hz: 1.4e6, ..bands(&["B8".to_owned()], Some("fr")).unwrap().remove(0) };
    let windows: Vec<Range> = (0..CENTRES).map(|i| Range::about(897.5e6 + i as f64 * 1e9, 60e6)).collect();
    let schedule = Schedule::over(&windows, DWELL_S, RETUNE_S).unwrap();
    for heard in [
        Heard {
            activity: Activity::LocationUpdate,
            phone: "activity = \"gsm-location-update\"\narfcn = 40",
            rate: 1_000_000,
            standard: "gsm",
            trials: 40,
        },
        Heard {
            activity: Activity::Attach,
            phone: "activity = \"lte-attach\"\nearfcn = 21630\nbandwidth = \"1.4M\"",
            rate: 2_000_000,
            standard: "lte",
            trials: 30,
        },
    ] {
        let p = probability(heard.activity, &band, std::slice::from_ref(&schedule), 16_384);
        let (caught, trials) = (heard.caught(), heard.trials);
        let seen = f64::from(caught) / f64::from(trials);
        println!("{:?}: computed {p:.3}, caught {caught} of {trials}", heard.activity);
        assert!((0.2..0.8).contains(&p), "{p}: no test of anything");
        let sigma = (p * (1.0 - p) / f64::from(trials)).sqrt();
        assert!((seen - p).abs() < 3.0 * sigma, "{:?}: computed {p:.3}, caught {caught} of {trials}", heard.activity);
    }
}
