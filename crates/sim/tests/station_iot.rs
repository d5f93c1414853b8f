//! Scenes with machines: NB-IoT on a carrier of its own, LTE-M on an LTE carrier.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use cellwarden_sim::Scene;
use cellwarden_sim::activity::{Emission, emissions};
use cellwarden_standards::{lte, nbiot};
use num_complex::{Complex, Complex32};

const LIGHT: f64 = 299_792_458.0;
const TS: f64 = 1.0 / 30.72e6;
const ZERO_S: f64 = -0.3333;

fn load(text: &str) -> Result<Scene, cellwarden_sim::SimError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.toml");
    std::fs::write(&path, text).unwrap();
    Scene::load(&path)
}

fn sent(text: &str) -> Vec<Emission> {
    emissions(&load(text).unwrap())
}

fn head(rate: &str, seconds: f64) -> String {
    format!(
        "seed = 4\nrate = \"{rate}\"\ncenter = \"902.5M\"\nduration_s = {seconds}\n\
         [[sensor]]\nname = \"a\"\nposition = [0, 0]\n"
    )
}

fn nb(more: &str) -> String {
    head("1.92M", 20.0)
        + &format!(
            "[[base_station]]\nname = \"mast\"\nstandard = \"nbiot\"\ncenter = \"902.7M\"\ncell_id = 77\n\
             frame_offset_s = {ZERO_S}\n{more}\n"
        )
}

fn lte_cell(more: &str) -> String {
    head("7.68M", 5.0)
        + &format!(
            "[[base_station]]\nname = \"mast\"\nstandard = \"lte\"\nearfcn = 21675\nbandwidth = \"5M\"\ncell_id = 9\n\
             frame_offset_s = {ZERO_S}\n{more}\n"
        )
}

fn machine(activity: &str, more: &str) -> String {
    format!(
        "[[phone]]\nname = \"meter\"\nposition = [3, 0]\nbase_station = \"mast\"\nactivity = \"{activity}\"\n{more}\n"
    )
}

fn int(e: &Emission, key: &str) -> i64 {
    e.notes.iter().find(|(k, _)| *k == key).unwrap().1.as_i64().unwrap()
}

#[test]
fn narrowband_preambles_begin_where_they_may_and_hop_as_they_should() {
    for (format, repetitions, period_ms, offset) in
        [(0, 1u16, 40, 0), (1, 4, 80, 36), (0, 32, 320, 12), (1, 128, 2560, 2)]
    {
        let text = nb(&format!(
            "nprach = {{ format = {format}, repetitions = {repetitions}, period_ms = {period_ms}, offset = {offset}, \
             start_ms = 16 }}"
        )) + &machine("nbiot-access", "attempts = 4\nlength_s = 20\ndistance_m = 3000");
        let all = sent(&text);
        let parts = if repetitions > 64 { 2 } else { 1 };
        assert_eq!(all.len(), 4 * parts, "{repetitions}");
        for (i, e) in all.iter().enumerate() {
            assert_eq!(e.label, "nbiot/prach");
            let ms = (e.start_s - ZERO_S - 3000.0 / LIGHT) * 1e3;
            if i % parts == 0 {
                assert!((ms - ms.round()).abs() < 1e-6, "{ms}");
                assert_eq!((ms.round() as i64 - 16) % i64::from(period_ms), 0, "{ms}");
            } else {
                let since = e.start_s - all[i - 1].start_s - all[i - 1].duration_s;
                assert!((since - 0.04).abs() < 1e-9, "a gap after 64 repetitions: {since}");
            }
            let group_ts = if format == 0 { 43_008.0 } else { 49_152.0 };
            let groups = (e.duration_s / group_ts / TS).round() as usize;
            assert_eq!(groups, 4 * usize::from(repetitions) / parts);
            // The tones, by ear.
            let first = if i % parts == 0 { int(e, "subcarrier") } else { int(&all[i - 1], "subcarrier") } as u8;
            let expected = nbiot::nprach_subcarriers(77, offset, first - offset, usize::from(repetitions));
            let wave = (e.wave)();
            for g in [0, 1, 2, 3, groups - 1] {
                let mut x = vec![Complex32::default(); 400];
                wave.render(g as f64 * group_ts * TS + 50e-6, 1.0 / 1.92e6, e.duration_s, &mut x);
                let sum: Complex32 = x.windows(2).map(|w| w[0].conj() * w[1]).sum();
                let hz = f64::from(sum.arg()) / std::f64::consts::TAU * 1.92e6;
                let tone = ((hz + 90e3) / 3750.0 - 0.5).round() as u8;
                assert_eq!(tone, expected[i % parts * 256 + g], "{format} {repetitions} group {g}");
                let at_hz = 902.7e6 + hz;
                assert!(e.lower_hz < at_hz && at_hz < e.upper_hz && (e.upper_hz - e.lower_hz - 45e3).abs() < 1.0);
            }
        }
    }
}

#[test]
fn narrowband_reports_keep_their_tones_and_lengths() {
    for (more, unit_ms, width_hz) in [
        ("tones = 1\nspacing = \"3.75k\"", 32.0, 3750.0),
        ("tones = 1", 8.0, 15e3),
        ("tones = 3", 4.0, 45e3),
        ("tones = 6", 2.0, 90e3),
        ("tones = 12", 1.0, 180e3),
    ] {
        let text =
            nb("") + &machine("nbiot-report", &format!("{more}\nresource_units = 2\nrepetitions = 2\nlength_s = 20"));
        let all: Vec<_> = sent(&text).into_iter().filter(|e| e.label == "nbiot/pusch").collect();
        assert!((6..=10).contains(&all.len()), "{more}: {}", all.len());
        for e in &all {
            assert!((e.upper_hz - e.lower_hz - width_hz).abs() < 1e-6, "{more}");
            assert!(e.lower_hz > 902.7e6 - 90e3 - 1.0 && e.upper_hz < 902.7e6 + 90e3 + 1.0);
            let silent_s = if unit_ms == 32.0 { 2304.0 * TS } else { 0.0 };
            assert!((e.duration_s - (4.0 * unit_ms * 1e-3 - silent_s)).abs() < 1e-9, "{more}: {}", e.duration_s);
            // Nobody says where the base station is: up to a kilometre, and the advance that makes up for it.
            let ms = (e.start_s - ZERO_S) * 1e3;
            assert!((ms - ms.round()).abs() < 0.0045, "{more}: {ms}");
            if unit_ms == 32.0 {
                assert_eq!(ms.round() as i64 % 2, 0);
            }
        }
    }
    // Long ones have a gap of 40 ms each 256 ms.
    let text = nb("nprach = { repetitions = 2 }")
        + &machine("nbiot-report", "tones = 1\nresource_units = 10\nrepetitions = 8\nlength_s = 20");
    let all: Vec<_> = sent(&text).into_iter().filter(|e| e.label == "nbiot/pusch").collect();
    assert!((all[0].duration_s - 0.256).abs() < 1e-9 && (all[2].duration_s - 0.128).abs() < 1e-9);
    assert!((all[1].start_s - all[0].start_s - 0.296).abs() < 1e-9);
}

#[test]
fn machines_of_a_carrier_do_not_collide() {
    let mut text = nb("nprach = { subcarriers = 12, offset = 36, period_ms = 40 }");
    for i in 0..5 {
        text += &machine("nbiot-report", &format!("start_s = {}\nlength_s = 15", 0.1 * f64::from(i)))
            .replace("meter", &format!("m{i}"));
    }
    let all: Vec<_> = sent(&text).into_iter().filter(|e| e.label == "nbiot/pusch").collect();
    assert!(all.len() > 25);
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            let time = a.start_s + 2e-5 < b.start_s + b.duration_s && b.start_s + 2e-5 < a.start_s + a.duration_s;
            assert!(!time || a.upper_hz <= b.lower_hz + 1.0 || b.upper_hz <= a.lower_hz + 1.0);
        }
        // The upper quarter is the preambles' from 8 to 14 ms of each 40.
        let ms = (a.start_s - ZERO_S) * 1e3;
        if a.upper_hz > 902.7e6 + 45e3 + 1.0 {
            let since = (ms.round() as i64 - 8).rem_euclid(40);
            assert!(since >= 6, "{since}");
        }
    }
}

#[test]
fn machines_on_an_lte_carrier_repeat() {
    for (mode, blocks) in [("a", 4), ("b", 2)] {
        let text = lte_cell("prach = { configuration = 6, offset = 0 }")
            + &machine(
                "ltem-report",
                &format!(
                    "repetitions = 8\nattempts = 2\nresource_blocks = {blocks}\nnarrowband = 3\ndistance_m = 0\n\
                     coverage_mode = \"{mode}\""
                ),
            );
        let all = sent(&text);
        let preambles: Vec<_> = all.iter().filter(|e| e.label == "ltem/prach").collect();
        assert_eq!(preambles.len(), 16);
        for attempt in preambles.chunks(8) {
            assert!(attempt.iter().all(|e| int(e, "preamble") == int(attempt[0], "preamble")));
            assert!(
                attempt.windows(2).all(|w| (w[1].start_s - w[0].start_s - 5e-3).abs() < 1e-9),
                "occasions in a row"
            );
        }
        let pusch: Vec<_> = all.iter().filter(|e| e.label == "ltem/pusch").collect();
        assert!((6..=10).contains(&pusch.len()));
        let first = f64::from(lte::narrowband_first_block(25, 3).unwrap());
        for e in &pusch {
            let (low, high) = ((e.lower_hz - 902.5e6) / 180e3 + 12.5, (e.upper_hz - 902.5e6) / 180e3 + 12.5);
            assert!(low > first - 1e-6 && high < first + 6.0 + 1e-6, "{low} to {high}");
            assert!((high - low - f64::from(blocks)).abs() < 1e-6, "{low} to {high}");
            assert!((e.duration_s - 8e-3).abs() < 1e-9);
            // A slot's first symbol is alike in the subframes that lie between multiples of four, in mode B.
            let wave = (e.wave)();
            let part = |subframe: i64| {
                let mut x = vec![Complex32::default(); 300];
                wave.render(subframe as f64 * 1e-3 + 5e-6, 1.0 / 7.68e6, e.duration_s, &mut x);
                x.iter().map(|x| Complex::new(f64::from(x.re), f64::from(x.im))).collect::<Vec<_>>()
            };
            let absolute = ((e.start_s - ZERO_S) * 1e3).round() as i64;
            assert!(((e.start_s - ZERO_S) * 1e3 - absolute as f64).abs() < 1e-6);
            for k in 0..7 {
                let (a, b) = (part(k), part(k + 1));
                let alike = a.iter().zip(&b).all(|(a, b)| (a - b).norm() < 1e-3);
                let expected = mode == "b" && (absolute + k) / 4 == (absolute + k + 1) / 4;
                assert_eq!(alike, expected, "{mode}: subframes {k} and {}, the first at {absolute}", k + 1);
            }
        }
    }
    assert!(sent(&(lte_cell("") + &machine("ltem-access", "repetitions = 4"))).iter().all(|e| e.label == "ltem/prach"));
}

#[test]
fn recordings_name_machines_and_no_phone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.toml");
    let text =
        nb("").replace("duration_s = 20", "duration_s = 1") + &machine("nbiot-report", "eirp_dbm = 10\ntones = 3");
    std::fs::write(&path, text).unwrap();
    let made = cellwarden_sim::simulate(&path, dir.path(), &mut |_| {}).unwrap();
    let meta: serde_json::Value = serde_json::from_slice(&std::fs::read(&made[0]).unwrap()).unwrap();
    let notes = meta["annotations"].as_array().unwrap();
    assert!(notes.len() > 3);
    for note in notes {
        assert!(note["core:label"].as_str().unwrap().starts_with("nbiot/"));
        assert_eq!((note["truth:emitter"].as_str(), note.get("truth:phone")), (Some("meter"), None));
        // All have the power that was asked for: there is no density to keep.
        let loss = 20.0 * (4.0 * std::f64::consts::PI * 902.7e6 / LIGHT).log10() + 30.0 * 3f64.log10();
        assert!((note["truth:power_dbfs"].as_f64().unwrap() - (10.0 - loss + 25.0)).abs() < 0.3, "{note}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let wrong = |text: &str| load(text).unwrap_err().to_string();
    for (text, expected) in [
        (nb("resource_blocks = 6"), "it is 180 kHz"),
        (nb("nprach = { format = 2 }"), "nprach.format"),
        (nb("nprach = { period_ms = 50 }"), "nprach.period_ms"),
        (nb("nprach = { offset = 36, subcarriers = 24 }"), "within the carrier's 48"),
        (nb("nprach = { repetitions = 3 }"), "nprach.repetitions"),
        (nb("nprach = { repetitions = 128, period_ms = 640 }"), "too short"),
        (nb("") + &machine("nbiot-report", "tones = 2"), "tones must be"),
        (nb("") + &machine("nbiot-report", "tones = 3\nspacing = \"3.75k\""), "3.75 kHz with one tone"),
        (nb("") + &machine("nbiot-report", "repetitions = 5"), "power of two"),
        (nb("") + &machine("lte-tau", ""), "speaks NB-IoT"),
        (lte_cell("") + &machine("nbiot-report", ""), "speaks LTE"),
        (lte_cell("") + &machine("ltem-report", "narrowband = 4"), "narrowband"),
        (lte_cell("") + &machine("ltem-report", "resource_blocks = 8"), "up to 6"),
        (lte_cell("") + &machine("ltem-report", "resource_blocks = 3\ncoverage_mode = \"b\""), "1 or 2"),
    ] {
        let text = wrong(&text);
        assert!(text.contains(expected), "{text} for {expected}");
    }
}
