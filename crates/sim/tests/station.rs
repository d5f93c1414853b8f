//! Scenes with base stations: what their phones send lies where the cell's configuration puts it.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use cellwarden_sim::Scene;
use cellwarden_sim::activity::{Emission, emissions};
use cellwarden_standards::lte;
use num_complex::{Complex, Complex32};
use serde_json::Value;

const LIGHT: f64 = 299_792_458.0;
const TS: f64 = 1.0 / 30.72e6;

fn load(text: &str) -> Result<Scene, cellwarden_sim::SimError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.toml");
    std::fs::write(&path, text).unwrap();
    Scene::load(&path)
}

fn head(rate: &str, seconds: f64) -> String {
    format!(
        "seed = 3\nrate = \"{rate}\"\ncenter = \"902.5M\"\nduration_s = {seconds}\n\
         [[sensor]]\nname = \"a\"\nposition = [0, 0]\n"
    )
}

fn station(more: &str) -> String {
    format!(
        "[[base_station]]\nname = \"mast\"\nstandard = \"lte\"\nearfcn = 21675\nbandwidth = \"10M\"\ncell_id = 101\n\
         frame_offset_s = -0.0042\n{more}\n"
    )
}

fn phone(name: &str, activity: &str, more: &str) -> String {
    format!(
        "[[phone]]\nname = \"{name}\"\nposition = [3, 4]\nbase_station = \"mast\"\nactivity = \"{activity}\"\n{more}\n"
    )
}

fn sent(text: &str) -> (Scene, Vec<Emission>) {
    let scene = load(text).unwrap();
    let all = emissions(&scene);
    (scene, all)
}

fn note<'a>(e: &'a Emission, key: &str) -> &'a Value {
    &e.notes.iter().find(|(k, _)| *k == key).unwrap_or_else(|| panic!("no {key} in {}", e.label)).1
}

fn int(e: &Emission, key: &str) -> i64 {
    note(e, key).as_i64().unwrap()
}

/// Samples of an emission from `from_s` of its start on, around `hz` from its carrier.
fn samples(e: &Emission, from_s: f64, hz: f64, rate: f64, count: usize) -> Vec<Complex<f64>> {
    let mut x = vec![Complex32::default(); count];
    (e.wave)().render(from_s, 1.0 / rate, e.duration_s, &mut x);
    let turn = |n: usize| Complex::cis(-std::f64::consts::TAU * (hz * (from_s + n as f64 / rate)).rem_euclid(1.0));
    x.iter().enumerate().map(|(n, x)| Complex::new(f64::from(x.re), f64::from(x.im)) * turn(n)).collect()
}

#[test]
fn preambles_lie_on_the_tables_occasions() {
    for (index, rows) in [(0, 20), (4, 10), (9, 10), (14, 1), (22, 10), (36, 10), (63, 20)] {
        let configuration = lte::prach_configuration(index).unwrap();
        let text = head("12M", 3.0)
            + &station(&format!("prach = {{ configuration = {index}, root = 22 }}"))
            + &phone("p", "lte-access", "attempts = 40\nlength_s = 3\ndistance_m = 4200");
        let (scene, all) = sent(&text);
        assert!(all.len() > 20, "{index}: {}", all.len());
        for e in &all {
            assert_eq!(e.label, "lte/prach");
            // Sent without timing advance: late by the way from the base station.
            let subframes = (e.start_s + 0.0042 - 4200.0 / LIGHT) * 1e3;
            assert!((subframes - subframes.round()).abs() < 1e-6, "{index}: {subframes}");
            let at = subframes.round() as i64;
            assert!(configuration.is_occasion(at), "{index}: subframe {at}");
            assert_eq!((int(e, "frame"), int(e, "subframe")), (at / 10 % 1024, at % 10));
            assert_eq!(int(e, "format"), i64::from(index / 16));
            assert!((e.duration_s - configuration.preamble().seconds()).abs() < 1e-9);
            assert!((e.lower_hz - (902.5e6 - 25.0 * 180e3 + 2.0 * 180e3)).abs() < 1.0);
            assert!((e.upper_hz - e.lower_hz - 1.08e6).abs() < 1.0);
        }
        let gaps: Vec<f64> = all.windows(2).map(|w| w[1].start_s - w[0].start_s).collect();
        assert!(gaps.iter().all(|gap| *gap > 0.012 && *gap < 0.034 + f64::from(rows) * 1e-3), "{index}: {gaps:?}");
        assert_eq!(scene.phone_stations, [Some(0)]);
    }
}

#[test]
fn preambles_are_those_of_the_cells_roots_and_zone() {
    let (root_index, zone) = (100, 8);
    let n_cs = usize::from(lte::PRACH_N_CS[zone]);
    let text = head("12M", 2.0)
        + &station(&format!("prach = {{ root = {root_index}, zone = {zone}, offset = 7 }}"))
        + &phone("p", "lte-access", "attempts = 12\nlength_s = 2");
    let (_, all) = sent(&text);
    let mut seen = std::collections::BTreeSet::new();
    for e in &all {
        let preamble = int(e, "preamble") as usize;
        seen.insert(preamble);
        let per_root = 839 / n_cs;
        let root = usize::from(lte::PRACH_ROOTS_839[root_index + preamble / per_root]);
        assert_eq!((int(e, "root") as usize, int(e, "cyclic_shift") as usize), (root, preamble % per_root * n_cs));
        // One chip a sample, from the end of the cyclic prefix on.
        let first_hz = (7.0 - 25.0) * 180e3 + lte::PRACH_FORMATS[0].first_subcarrier_hz();
        let x = samples(e, 3168.0 * TS, first_hz, 839.0 * 1250.0, 837);
        let score = |shift: usize| {
            let chip = |n: usize| {
                let n = (n + shift) % 839;
                Complex::cis(-std::f64::consts::PI * ((root * n * (n + 1)) % 1678) as f64 / 839.0)
            };
            let sum: Complex<f64> = x.iter().enumerate().map(|(n, x)| x * chip(n).conj()).sum();
            sum.norm() / x.len() as f64
        };
        assert!(score(preamble % per_root * n_cs) > 0.99, "{preamble}");
        assert!(score(preamble % per_root * n_cs + 1) < 0.1);
    }
    assert!(seen.len() > 6, "drawn anew each time: {seen:?}");
    let asked = text.replace("attempts = 12", "attempts = 3\npreamble = 41");
    assert!(sent(&asked).1.iter().all(|e| int(e, "preamble") == 41));
}

#[test]
fn preambles_grow_by_the_ramp_up_to_what_was_asked() {
    let text = head("12M", 1.0)
        + &station("prach = { ramp_db = 4 }")
        + &phone("p", "lte-access", "attempts = 4\nlength_s = 1\neirp_dbm = 17");
    let levels: Vec<f64> = sent(&text).1.iter().map(|e| e.eirp_dbm).collect();
    assert_eq!(levels, [5.0, 9.0, 13.0, 17.0]);
}

#[test]
fn all_but_preambles_keep_the_subframes_with_timing_advance() {
    for (place, metres) in [("distance_m = 9130", 9130.0), ("", 1503.0)] {
        let text = head("12M", 1.0)
            + &station("position = [1503, 4]\nsrs = {}").replace("1503", "1506")
            + &phone("p", "lte-attach", place);
        let (_, all) = sent(&text);
        let delay_s = metres / LIGHT;
        for e in all.iter().filter(|e| e.label != "lte/prach") {
            let unit_s = 0.5e-3;
            let (since, length) = match e.label {
                "lte/srs" => (e.start_s - (15360.0 - 2192.0) * TS, "symbol"),
                _ => (e.start_s, "slot"),
            };
            // At the base station they arrive with its slots: they leave the phone early by the way.
            let slots = (since + 0.0042 + delay_s) / unit_s;
            assert!(((slots - slots.round()) * unit_s).abs() <= 8.001 * TS, "{} {length}: {slots}", e.label);
            let late = (since + 0.0042 - delay_s) / TS;
            let steps = (late - (late / 15360.0).round() * 15360.0) / 16.0;
            assert!((steps - steps.round()).abs() < 1e-3, "an advance counts in 16 Ts: {steps}");
        }
    }
}

/// Rectangles of all but control channels and soundings, which share blocks by code.
fn overlapping(all: &[Emission]) -> Option<(&Emission, &Emission)> {
    let own: Vec<&Emission> =
        all.iter().filter(|e| matches!(e.label, "lte/pusch" | "lte/prach" | "ltem/pusch")).collect();
    let margin_s = 240e-6; // timing advance and delay
    own.iter().enumerate().find_map(|(i, a)| {
        // By start, and none is longer than three subframes.
        own[..i].iter().rev().take_while(|b| b.start_s > a.start_s - 4e-3).find_map(|b| {
            let time =
                a.start_s + margin_s < b.start_s + b.duration_s && b.start_s + margin_s < a.start_s + a.duration_s;
            let both_preambles = a.label == "lte/prach" && b.label == "lte/prach";
            (time && !both_preambles && a.lower_hz + 1.0 < b.upper_hz && b.lower_hz + 1.0 < a.upper_hz)
                .then_some((*a, *b))
        })
    })
}

#[test]
fn phones_of_a_cell_share_its_blocks_and_leave_its_prach_and_edges_free() {
    let mut text = head("12M", 1.5)
        + &station(
            "prach = { configuration = 6, offset = 20 }\npucch_resources = 4\n\
             pusch = { hopping = \"inter\", subbands = 2, hopping_offset = 4 }",
        );
    for (i, activity) in ["lte-upload", "lte-data", "lte-voice", "lte-attach", "lte-upload"].iter().enumerate() {
        text +=
            &phone(&format!("p{i}"), activity, &format!("start_s = {}\nlength_s = 1.4\ncfo_hz = 0", 0.03 * i as f64));
    }
    let (_, all) = sent(&text);
    assert!(all.iter().filter(|e| e.label == "lte/pusch").count() > 800);
    if let Some((a, b)) = overlapping(&all) {
        panic!("{} at {} and {} at {}", a.label, a.start_s, b.label, b.start_s);
    }
    for e in all.iter().filter(|e| e.label == "lte/pusch") {
        let (first, last) = ((e.lower_hz - 898e6) / 180e3, (e.upper_hz - 898e6) / 180e3);
        assert!((first - first.round()).abs() < 1e-6 && first > 1.99 && last < 48.01, "{first} to {last}");
        assert!(lte::is_pusch_size((last - first).round() as u16));
        // Nothing else on the PRACH's blocks in its subframes.
        let subframe = ((e.start_s + 0.0042) * 1e3).round() as i64;
        if matches!(subframe % 10, 1 | 6) {
            assert!(last < 20.01 || first > 25.99, "{first} to {last} in subframe {subframe}");
        }
    }
}

#[test]
fn pusch_hops_as_the_cell_says() {
    let text = |hopping: &str| {
        head("12M", 1.0)
            + &station(&format!("pusch = {{ {hopping} }}"))
            + &phone("p", "lte-pusch", "period_ms = 1\nresource_blocks = 6\nlength_s = 1")
    };
    let runs = |text: &str| -> (usize, usize) {
        let (_, all) = sent(text);
        (all.len(), all.iter().filter(|e| (e.duration_s - 0.5e-3).abs() < 1e-9).count())
    };
    let (all, halves) = runs(&text("hopping = \"none\""));
    assert!(all > 990 && halves == 0);
    assert_eq!(runs(&text("hopping = \"inter\", subbands = 2")).1, 0);
    let (all, halves) = runs(&text("hopping = \"intra\", subbands = 1"));
    assert!(halves > 1800 && all - halves < 100, "mirrored in every other slot: {halves} of {all}");
    let (_, all) = sent(&text("hopping = \"intra\", subbands = 1"));
    for pair in all.windows(2).filter(|w| w[1].start_s - w[0].start_s < 0.51e-3) {
        let slot = ((pair[0].start_s + 0.0042) * 2e3).round() as i64;
        if slot % 2 == 0 && pair[0].duration_s < 0.6e-3 {
            let centre = |e: &Emission| (e.lower_hz + e.upper_hz) / 2.0 - 902.5e6;
            assert!((centre(&pair[0]) + centre(&pair[1])).abs() < 1.0, "about the carrier's centre");
        }
    }
}

#[test]
fn control_channels_hop_between_mirrored_blocks() {
    let text = head("12M", 0.5)
        + &station("pucch_resources = 6")
        + &(0..6).map(|i| phone(&format!("p{i}"), "lte-pucch", "period_ms = 10\nlength_s = 0.4")).collect::<String>();
    let (_, all) = sent(&text);
    let mut first = std::collections::BTreeSet::new();
    for i in 0..6 {
        let own: Vec<&Emission> =
            all.iter().filter(|e| e.sender == cellwarden_sim::activity::Sender::Phone(i)).collect();
        assert_eq!(own.len(), 80);
        for pair in own.chunks(2) {
            let centre = |e: &Emission| (e.lower_hz + e.upper_hz) / 2.0 - 902.5e6;
            assert!(
                (centre(pair[0]) + centre(pair[1])).abs() < 1.0
                    && (pair[0].upper_hz - pair[0].lower_hz - 180e3).abs() < 1.0
            );
            assert!((pair[1].start_s - pair[0].start_s - 0.5e-3).abs() < 1e-9);
            assert!(centre(pair[0]).abs() > (25.0 - 3.0) * 180e3);
            first.insert(centre(pair[0]) as i64);
        }
    }
    assert!(first.len() >= 3, "phones have different resources: {first:?}");
}

#[test]
fn soundings_keep_comb_period_and_the_last_symbol() {
    let text = head("12M", 1.0)
        + &station("srs = { bandwidth = 2, subframes = 3 }")
        + &phone("p", "lte-srs", "srs = { period_ms = 10, comb = 1, bandwidth = 1, hopping = 0 }\nlength_s = 1");
    let (_, all) = sent(&text);
    assert!((99..=101).contains(&all.len()), "{}", all.len());
    let mut places = std::collections::BTreeSet::new();
    for pair in all.windows(2) {
        assert!((pair[1].start_s - pair[0].start_s - 0.01).abs() < 1e-9);
    }
    for e in &all {
        let (first, count) = ((e.lower_hz - 898e6) / 180e3, (e.upper_hz - e.lower_hz) / 180e3);
        assert!((count - 20.0).abs() < 1e-6, "m_SRS,1 of C_SRS 2 at 50 blocks: {count}");
        assert!((e.duration_s - 2192.0 * TS).abs() < 1e-12);
        places.insert(first.round() as i64);
        let subframe = (e.start_s + 0.0042) * 1e3;
        assert_eq!(subframe.floor() as i64 % 5, 0, "a subframe that the cell sounds in");
        // The other comb is empty: over half a symbol the second half repeats the first, turned by its offset.
        let comb_hz = (first - 25.0) * 180e3 + 7.5e3 + 15e3;
        let x = samples(e, 144.0 * TS, comb_hz, 15.36e6, 1024);
        let error: f64 = (0..512).map(|n| (x[n] - x[n + 512]).norm_sqr()).sum();
        assert!(error / 512.0 < 0.05, "{error}");
    }
    assert_eq!(places.into_iter().collect::<Vec<_>>(), [5, 25], "both halves of the 40 blocks");
    // A PUSCH under soundings is a symbol shorter.
    let text = head("12M", 0.3)
        + &station("srs = { subframes = 0 }")
        + &phone("p", "lte-pusch", "period_ms = 1\nresource_blocks = 8\nlength_s = 0.2");
    let (_, all) = sent(&text);
    assert!(all.iter().all(|e| (e.duration_s - (30720.0 - 2192.0) * TS).abs() < 1e-9));
}

#[test]
fn reference_signals_are_those_of_the_cell() {
    for hopping in [false, true] {
        let text = head("12M", 0.2)
            + &station(&format!("group_hopping = {hopping}"))
            + &phone("p", "lte-pusch", "period_ms = 3\nresource_blocks = 10\nlength_s = 0.15\ndistance_m = 0");
        let mut groups = std::collections::BTreeSet::new();
        for e in sent(&text).1 {
            let subframe = ((e.start_s + 0.0042) * 1e3).round() as i64;
            let first_hz = e.lower_hz - 902.5e6 + 7.5e3;
            for slot in 0..2 {
                // The fourth symbol of the slot, subcarrier by subcarrier.
                let from_s = (15360.0 * slot as f64 + 160.0 + 3.0 * 2192.0 - 40.0) * TS;
                let x = samples(&e, from_s, first_hz, 7.68e6, 512);
                let bin = |k: usize| -> Complex<f64> {
                    let turn = |n: usize| Complex::cis(-std::f64::consts::TAU * ((k * n) % 512) as f64 / 512.0);
                    x.iter().enumerate().map(|(n, x)| x * turn(n)).sum()
                };
                let signal: Vec<Complex<f64>> = (0..120).map(bin).collect();
                // What the shift and the window's place turn from subcarrier to subcarrier is the same everywhere.
                let score = |u: usize| {
                    let base = cellwarden_sim::wave::lte::reference_signal(u, 120, 0);
                    let flat: Vec<Complex<f64>> = signal.iter().zip(&base).map(|(x, r)| x * r.conj()).collect();
                    flat.windows(2).map(|w| w[1] * w[0].conj()).sum::<Complex<f64>>().norm()
                };
                let best = (0..30).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap();
                let n_s = (2 * subframe + slot).rem_euclid(20) as usize;
                assert_eq!(best, lte::sequence_group(101, n_s, hopping), "slot {n_s}");
                groups.insert(best);
            }
        }
        assert!(if hopping { groups.len() > 10 } else { groups.len() == 1 }, "{groups:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

    #[test]
    fn any_cell_keeps_its_preambles_and_its_blocks(
        configuration in 0u8..64,
        carrier in 0usize..6,
        root in 0u16..838,
        zone in 0u8..16,
        distance in 0.0f64..30e3,
        zero in -11.0f64..5.0,
        (subbands, offset, mode) in (1u16..4, 0u16..3, 0usize..3),
    ) {
        let Some(prach) = lte::prach_configuration(configuration) else { return Ok(()) };
        let (hz, blocks) = lte::CARRIERS[carrier];
        let place = root % (blocks - 5);
        let mode = ["none", "inter", "intra"][mode];
        let text = head("24M", 0.4)
            + &station(&format!(
                "prach = {{ configuration = {configuration}, root = {root}, zone = {zone}, offset = {place} }}\n\
                 pusch = {{ hopping = \"{mode}\", subbands = {subbands}, hopping_offset = {offset} }}"
            ))
            .replace("10M", &hz.to_string())
            .replace("-0.0042", &format!("{zero}"))
            + &phone("a", "lte-access", &format!("attempts = 5\ndistance_m = {distance}"))
            + &phone("b", "lte-data", "attempts = 0\ndistance_m = 0");
        let (_, all) = sent(&text);
        for e in all.iter().filter(|e| e.label == "lte/prach") {
            let subframe = (e.start_s - zero - distance / LIGHT) * 1e3;
            proptest::prop_assert!((subframe - subframe.round()).abs() < 1e-5);
            proptest::prop_assert!(prach.is_occasion(subframe.round() as i64));
            let n_cs = i64::from(lte::PRACH_N_CS[usize::from(zone)]);
            let shift = int(e, "cyclic_shift");
            let fits = shift % n_cs.max(1) == 0 && shift + n_cs <= 839 && (n_cs > 0 || shift == 0);
            proptest::prop_assert!(fits, "shift {} of {}", shift, n_cs);
        }
        for e in &all {
            let (first, last) = ((e.lower_hz - 902.5e6) / 180e3, (e.upper_hz - 902.5e6) / 180e3);
            proptest::prop_assert!(first >= -f64::from(blocks) / 2.0 - 1e-6 && last <= f64::from(blocks) / 2.0 + 1e-6);
        }
        proptest::prop_assert!(overlapping(&all).is_none());
    }
}

#[test]
fn activities_send_as_often_as_real_ones() {
    let count = |all: &[Emission], label: &str| all.iter().filter(|e| e.label == label).count();
    for seed in 0..10 {
        let of = |activity: &str, more: &str| {
            let text = head("12M", 12.0).replace("seed = 3", &format!("seed = {seed}"))
                + &station("srs = {}")
                + &phone("p", activity, more);
            sent(&text).1
        };
        let attach = of("lte-attach", "attempts = 2");
        let length_s = attach.last().unwrap().start_s - attach.iter().find(|e| e.label == "lte/pusch").unwrap().start_s;
        assert_eq!(count(&attach, "lte/prach"), 2);
        assert!((14..=26).contains(&count(&attach, "lte/pusch")), "{seed}: {}", count(&attach, "lte/pusch"));
        assert!((24..=80).contains(&count(&attach, "lte/pucch")), "{seed}: two of each");
        assert!((0.35..0.70).contains(&length_s), "{seed}: {length_s}");
        let wide = attach.iter().filter(|e| e.label == "lte/pusch" && e.upper_hz - e.lower_hz > 19.0 * 180e3).count();
        assert!((1..=2).contains(&wide), "{seed}: capabilities, perhaps twice");
        let tau = of("lte-tau", "");
        assert!((5..=10).contains(&count(&tau, "lte/pusch")) && (8..=24).contains(&count(&tau, "lte/pucch")), "{seed}");
        let message_3 = tau.iter().find(|e| e.label == "lte/pusch").unwrap().start_s - tau[0].start_s;
        assert!((0.0095..0.0165).contains(&message_3), "{seed}: {message_3}");
        let voice = of("lte-voice", "attempts = 0\nlength_s = 10");
        let rate = |label: &str| count(&voice, label) as f64 / 10.0;
        assert!((6.0..52.0).contains(&rate("lte/pusch")), "{seed}: {}", rate("lte/pusch"));
        assert!((20.0..100.0).contains(&rate("lte/srs")) && (40.0..160.0).contains(&rate("lte/pucch")), "{seed}");
        let upload = of("lte-upload", "attempts = 0\nlength_s = 2");
        assert!((1700..=1850).contains(&count(&upload, "lte/pusch")), "{seed}");
        let data = of("lte-data", "attempts = 0\nlength_s = 10");
        assert!((900..3000).contains(&count(&data, "lte/pusch")), "{seed}: {}", count(&data, "lte/pusch"));
    }
}

#[test]
fn levels_are_those_asked_for() {
    let text = head("12M", 0.5) + &station("srs = {}") + &phone("p", "lte-attach", "eirp_dbm = 12");
    let (_, all) = sent(&text);
    for e in &all {
        let blocks = (e.upper_hz - e.lower_hz) / 180e3;
        let expected = (12.0 + 10.0 * (blocks / 6.0).log10()).min(23.0);
        assert!((e.eirp_dbm - expected).abs() < 1e-9, "{}", e.label);
        let rate = 15.36e6;
        let x = samples(e, 0.0, 0.0, rate, (e.duration_s * rate) as usize);
        let power = x.iter().map(|x| x.norm_sqr()).sum::<f64>() / x.len() as f64;
        assert!((10.0 * power.log10()).abs() < 0.5, "{}: {power}", e.label);
    }
}

#[test]
fn trains_have_their_period_and_signals_their_snr() {
    // Sixteen seconds of a narrow carrier: preambles each 20 ms, of random fractions of a sample.
    let text = "seed = 3\nrate = \"1.92M\"\ncenter = \"902.5M\"\nduration_s = 2\nnoise_figure_db = 7\n\
        sensor = [{ name = \"a\", position = [0, 0] }]\n\
        [[base_station]]\nname = \"mast\"\nstandard = \"lte\"\ncenter = \"902.5M\"\nbandwidth = \"1.4M\"\n\
        prach = { configuration = 6 }\nframe_offset_s = 0\nsrs = {}\n"
        .to_owned()
        + &phone("p", "lte-access", "length_s = 2\nperiod_ms = 20\nsnr_db = -3\njitter_us = 5\ndistance_m = 0");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.toml");
    std::fs::write(&path, &text).unwrap();
    let made = cellwarden_sim::simulate(&path, dir.path(), &mut |_| {}).unwrap();
    let meta: Value = serde_json::from_slice(&std::fs::read(&made[0]).unwrap()).unwrap();
    let notes = meta["annotations"].as_array().unwrap();
    assert!((99..=101).contains(&notes.len()), "{}", notes.len());
    for note in notes {
        let snr_db = |key: &str| note[key].as_f64().unwrap();
        assert!((snr_db("truth:snr_nominal_db") + 3.0).abs() < 0.02 && (snr_db("truth:snr_db") + 3.0).abs() < 0.3);
    }
    let (_, all) = sent(&text);
    let off: Vec<f64> = all.iter().map(|e| e.start_s * 1e3 - (e.start_s * 1e3).round()).collect();
    assert!(off.iter().all(|ms| ms.abs() < 5e-3));
    let mean_square = off.iter().map(|ms| ms * ms).sum::<f64>() / off.len() as f64;
    assert!((mean_square / (25e-6 / 3.0) - 1.0).abs() < 0.3, "{mean_square}");
    // The same level over the noise for all that a phone sends.
    let text = text
        .replace("lte-access", "lte-attach")
        .replace("period_ms = 20", "")
        .replace("1.4M", "10M")
        .replace("1.92M", "12M");
    std::fs::write(&path, &text).unwrap();
    let made = cellwarden_sim::simulate(&path, dir.path(), &mut |_| {}).unwrap();
    let meta: Value = serde_json::from_slice(&std::fs::read(&made[0]).unwrap()).unwrap();
    let notes = meta["annotations"].as_array().unwrap();
    assert!(notes.len() > 40);
    assert!(notes.iter().all(|note| (note["truth:snr_nominal_db"].as_f64().unwrap() + 3.0).abs() < 0.02));
}

#[test]
fn the_scenes_of_the_documentation_are_scenes() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scenes.md")).unwrap();
    let scenes: Vec<&str> = text.split("```toml\n").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    assert!(!scenes.is_empty());
    for scene in scenes {
        let (_, all) = sent(scene);
        assert!(all.len() > 10, "{scene}");
    }
}

#[test]
fn errors_say_what_is_wrong_with_a_station() {
    let wrong = |text: &str| load(text).unwrap_err().to_string();
    let whole = |station_keys: &str, phone_keys: &str| {
        head("12M", 0.1) + &station(station_keys) + &phone("p", "lte-tau", phone_keys)
    };
    assert!(load(&whole("", "")).is_ok());
    for (station_keys, phone_keys, expected) in [
        ("prach = { configuration = 30 }", "", "prach.configuration 30"),
        ("prach = { offset = 45 }", "", "prach.offset"),
        ("prach = { zone = 16 }", "", "prach.zone"),
        ("srs = { bandwidth = 9 }", "", "srs.bandwidth"),
        ("resource_blocks = 50", "", "not both"),
        ("pusch = { subbands = 0 }", "", "pusch.subbands"),
        ("", "earfcn = 21675", "earfcn is the base station's"),
        ("", "prach_root = 4", "prach_root is the base station's"),
        ("", "preamble = 64", "preamble must be"),
        ("", "snr_db = 3\neirp_dbm = 3", "one is enough"),
        ("srs = {}", "srs = { period_ms = 7 }", "srs.period_ms"),
        ("srs = { subframes = 3 }", "srs = { period_ms = 2 }", "does not fit"),
        ("", "srs = { period_ms = 20 }", "nobody sounds"),
        ("", "resource_blocks = 7", "resource_blocks"),
    ] {
        let text = wrong(&whole(station_keys, phone_keys));
        assert!(text.contains(expected), "{text}");
    }
    let text = wrong(&(head("12M", 0.1) + &phone("p", "lte-tau", "")));
    assert!(text.contains("11:16") && text.contains("no base station \"mast\""), "{text}");
    let text = wrong(&(head("8M", 0.1) + &station("")));
    assert!(text.contains("outside the recording"), "{text}");
    let text = wrong(&(head("12M", 0.1) + &station("") + &phone("p", "gsm-call", "")));
    assert!(text.contains("speaks LTE"), "{text}");
    let alone = phone("p", "lte-voice", "earfcn = 21675").replace("base_station = \"mast\"\n", "");
    assert!(wrong(&(head("12M", 0.1) + &alone)).contains("wants a base_station"));
}
