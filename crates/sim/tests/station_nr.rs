//! Scenes with NR base stations: preambles on the tables' occasions, slots up and down, levels.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use cellwarden_sim::Scene;
use cellwarden_sim::activity::{Emission, Sender, emissions};
use cellwarden_standards::nr::{self, NrPrachFormat, Spacing};

const LIGHT: f64 = 299_792_458.0;
const TS: f64 = 1.0 / 30.72e6;
/// When frame 0 of the stations begins.
const ZERO_S: f64 = -0.0317;

fn load(text: &str) -> Result<Scene, cellwarden_sim::SimError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.toml");
    std::fs::write(&path, text).unwrap();
    Scene::load(&path)
}

fn head(center: &str, rate: &str, seconds: f64) -> String {
    format!(
        "seed = 8\nrate = \"{rate}\"\ncenter = \"{center}\"\nduration_s = {seconds}\n\
         [[sensor]]\nname = \"a\"\nposition = [0, 0]\n"
    )
}

fn tdd(more: &str) -> String {
    head("3700.02M", "30.72M", 2.0)
        + &format!(
            "[[base_station]]\nname = \"mast\"\nstandard = \"nr\"\nposition = [0, 600]\nnr_arfcn = 646668\n\
             bandwidth = \"20M\"\ntdd = \"DDDSU\"\ncell_id = 700\nframe_offset_s = {ZERO_S}\n{more}\n"
        )
}

fn fdd(more: &str) -> String {
    head("738M", "15.36M", 2.0)
        + &format!(
            "[[base_station]]\nname = \"mast\"\nstandard = \"nr\"\nnr_arfcn = 147600\nbandwidth = \"10M\"\ncell_id = 5\n\
             frame_offset_s = {ZERO_S}\n{more}\n"
        )
}

fn phone(name: &str, activity: &str, more: &str) -> String {
    format!(
        "[[phone]]\nname = \"{name}\"\nposition = [0, 0]\nbase_station = \"mast\"\nactivity = \"{activity}\"\n{more}\n"
    )
}

fn of_phones(text: &str) -> Vec<Emission> {
    let all = emissions(&load(text).unwrap());
    all.into_iter().filter(|e| matches!(e.sender, Sender::Phone(_))).collect()
}

fn note<'a>(e: &'a Emission, key: &str) -> &'a serde_json::Value {
    &e.notes.iter().find(|(k, _)| *k == key).unwrap().1
}

#[test]
fn preambles_lie_on_the_tables_occasions() {
    let distance_m = 1234.0;
    let cases = [
        (true, 16, Spacing::Khz15, ""),
        (true, 34, Spacing::Khz15, ""),
        (true, 60, Spacing::Khz15, ""),
        (true, 98, Spacing::Khz15, ""),
        (true, 200, Spacing::Khz30, ", spacing = \"30k\""),
        (false, 159, Spacing::Khz30, ""),
        (false, 169, Spacing::Khz30, ""),
        (false, 211, Spacing::Khz30, ""),
        (false, 67, Spacing::Khz15, ", spacing = \"15k\""),
    ];
    for (paired, index, spacing, more) in cases {
        let configuration = nr::prach_configuration(paired, index);
        let prach = format!("prach = {{ configuration = {index}, root = 9, offset = 3{more} }}");
        // A slot of 15 kHz takes two of 30 kHz up.
        let pattern = |text: String| text.replace("DDDSU", if index == 67 { "DDDDDDDSUU" } else { "DDDSU" });
        let text = if paired { fdd(&prach) } else { pattern(tdd(&prach)) }
            + &phone("p", "nr-access", &format!("attempts = 30\nlength_s = 2\ndistance_m = {distance_m}"));
        let all = of_phones(&text);
        assert!(all.len() > 5, "{paired} {index}: {}", all.len());
        let advance_s = if paired { 0.0 } else { 25600.0 / (480e3 * 4096.0) };
        for e in &all {
            assert_eq!(e.label, "nr/prach");
            let ts = (e.start_s - ZERO_S - distance_m / LIGHT + advance_s) / TS;
            assert!((ts - ts.round()).abs() < 1e-3, "{paired} {index}: {ts}");
            let (subframe, within) = ((ts.round() as i64).div_euclid(30720), (ts.round() as i64).rem_euclid(30720));
            assert!(configuration.is_in(subframe), "{paired} {index}: subframe {subframe}");
            assert_eq!(note(e, "subframe").as_i64().unwrap(), subframe % 10);
            let occasion = configuration.occasions(spacing).into_iter().find(|o| i64::from(o.start_ts) == within);
            let occasion = occasion.unwrap_or_else(|| panic!("{paired} {index}: nothing at {within}"));
            assert_eq!(note(e, "format"), occasion.format.name());
            let preamble = occasion.format.preamble(spacing);
            let length_ts = preamble.cp_at_ts(occasion.start_ts) + preamble.body_ts();
            assert!((e.duration_s - f64::from(length_ts) * TS).abs() < 1e-9);
            let carrier = if paired { Spacing::Khz15 } else { Spacing::Khz30 };
            let (blocks, _) = preamble.mapping(carrier);
            assert!((e.upper_hz - e.lower_hz - f64::from(blocks) * 12.0 * carrier.hz()).abs() < 1.0);
        }
    }
}

#[test]
fn preambles_correlate_with_their_root_where_the_carrier_has_them() {
    let text =
        tdd("prach = { root = 30, zone = 13, offset = 11 }") + &phone("p", "nr-access", "attempts = 9\nlength_s = 2");
    let preamble = NrPrachFormat::B4.preamble(Spacing::Khz30);
    for e in of_phones(&text) {
        let (root, shift) =
            (note(&e, "root").as_u64().unwrap() as usize, note(&e, "cyclic_shift").as_u64().unwrap() as usize);
        let index = note(&e, "preamble").as_u64().unwrap() as usize;
        assert_eq!(preamble.root_and_shift(30, 34, index), (root, shift));
        // 38.211 clause 5.3.2: block 11 of 51, and k-bar 2 of 30 kHz.
        let first_hz = (12.0 * 11.0 - 6.0 * 51.0 + 2.0) * 30e3;
        let (rate, n) = (139.0 * 30e3, 139);
        let from_s = (e.duration_s / TS).round() * TS - f64::from(preamble.body_ts()) * TS;
        let mut x = vec![num_complex::Complex32::default(); 11 * n];
        (e.wave)().render(from_s, 1.0 / rate, e.duration_s, &mut x);
        let score = |shift: usize| {
            let sum: num_complex::Complex<f64> = x
                .iter()
                .enumerate()
                .map(|(i, x)| {
                    let m = (i + shift) % n;
                    let chip = std::f64::consts::PI * ((root * m * (m + 1)) % (2 * n)) as f64 / n as f64;
                    let turn = std::f64::consts::TAU * first_hz * (from_s + i as f64 / rate);
                    num_complex::Complex::new(f64::from(x.re), f64::from(x.im)) * num_complex::Complex::cis(chip - turn)
                })
                .sum();
            sum.norm() / x.len() as f64
        };
        assert!(score(shift) > 0.99 && score(shift + 1) < 0.1, "{index}: {}", score(shift));
    }
}

#[test]
fn phones_and_base_station_take_turns() {
    // The third is France's, whose slots up are subframes 2 and 7: few configurations have them.
    for (pattern, up, prach) in
        [("DDDSU", 0.2, 159), ("DDDDDDDSUU", 0.2, 159), ("DDDSUUDDDD", 0.2, 158), ("DSUU", 0.5, 159)]
    {
        let text = tdd(&format!("prach = {{ configuration = {prach} }}")).replace("DDDSU", pattern)
            + &phone("p", "nr-data", "length_s = 1.9")
            + &phone("q", "nr-registration", "start_s = 0.2");
        let all = emissions(&load(&text).unwrap());
        let (down, rest): (Vec<_>, Vec<_>) = all.iter().partition(|e| e.label == "other/downlink");
        let slots = pattern.len() as f64;
        let periods = 2.0 / (slots * 0.5e-3);
        let runs = if pattern == "DDDSUUDDDD" { 2.0 } else { 1.0 };
        assert!((down.len() as f64 - periods * runs).abs() <= 2.0, "{pattern}: {}", down.len());
        let delay_s = 600.0 / LIGHT;
        for e in &down {
            let at = (e.start_s - ZERO_S - delay_s) / 0.5e-3;
            assert!((at - at.round()).abs() < 1e-6, "{pattern}");
            let slot = (at.round() as i64).rem_euclid(slots as i64) as usize;
            assert_eq!(pattern.as_bytes()[slot], b'D');
            assert!((e.upper_hz - e.lower_hz - 51.0 * 360e3).abs() < 1.0 && e.eirp_dbm == 55.0);
        }
        // Two hands never speak at once.
        let mut spans: Vec<(f64, f64)> = down.iter().map(|e| (e.start_s, e.start_s + e.duration_s)).collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        for e in &rest {
            let clash = spans.iter().find(|(from, to)| e.start_s < *to && e.start_s + e.duration_s > *from);
            assert!(clash.is_none(), "{pattern}: {} at {} and {clash:?}", e.label, e.start_s);
        }
        let pusch: Vec<_> = rest.iter().filter(|e| e.label == "nr/pusch" && e.sender == Sender::Phone(0)).collect();
        assert!((pusch.len() as f64 - 4000.0 * up * 0.9).abs() < 4000.0 * up * 0.08, "{pattern}: {}", pusch.len());
        for e in &pusch {
            assert!((e.duration_s - 0.5e-3).abs() < 1e-9);
            let early_s = delay_s + 400.0 * TS;
            let slot = (e.start_s - ZERO_S + early_s) / 0.5e-3;
            // As early as the advance says, in steps of 8 Ts.
            assert!((slot - slot.round()).abs() * 0.5e-3 < 4.1 * TS, "{pattern}: {slot}");
            assert_eq!(pattern.as_bytes()[(slot.round() as i64).rem_euclid(slots as i64) as usize], b'U');
        }
        assert!(rest.iter().any(|e| e.label == "nr/srs"), "{pattern}");
        for e in rest.iter().filter(|e| e.label == "nr/srs") {
            assert!((e.duration_s - 1096.0 * TS).abs() < 1e-9 && (e.upper_hz - e.lower_hz - 48.0 * 360e3).abs() < 1.0);
        }
    }
}

#[test]
fn allocations_of_a_cell_do_not_collide() {
    let mut text = fdd("prach = { configuration = 27, offset = 20 }"); // a preamble in every subframe
    for i in 0..3 {
        let waveform = ["cp-ofdm", "dft-s-ofdm", "cp-ofdm"][i];
        text += &phone(
            &format!("p{i}"),
            "nr-data",
            &format!("waveform = \"{waveform}\"\nresource_blocks = {}", [25, 20, 52][i]),
        );
    }
    let all: Vec<_> = of_phones(&text).into_iter().filter(|e| e.label == "nr/pusch").collect();
    assert!(all.len() > 3000);
    for (i, a) in all.iter().enumerate() {
        let blocks = ((a.upper_hz - a.lower_hz) / 180e3).round() as u16;
        if note(a, "waveform") == "dft-s-ofdm" {
            assert!(cellwarden_standards::lte::is_pusch_size(blocks));
        }
        let first = ((a.lower_hz - 738e6 + 7.5e3) / 180e3 + 26.0).round() as u16;
        assert!(first + blocks <= 20 || first >= 26, "{first} and {blocks}: the preambles' blocks are free");
        for b in all[i + 1..].iter().take_while(|b| b.start_s < a.start_s + 0.9e-3) {
            assert!(a.upper_hz <= b.lower_hz + 1.0 || b.upper_hz <= a.lower_hz + 1.0, "at {}", a.start_s);
        }
    }
}

#[test]
fn control_channels_hop_in_the_middle_of_their_slot() {
    let text = tdd("")
        + &phone("a", "nr-pucch", "period_ms = 10")
        + &phone("b", "nr-registration", "")
        + &phone("c", "nr-voice", "")
        + &phone("d", "nr-data", "");
    let all = of_phones(&text);
    for i in 0..4 {
        let own: Vec<_> = all.iter().filter(|e| e.label == "nr/pucch" && e.sender == Sender::Phone(i)).collect();
        assert!(own.len() >= 10 && own.len() % 2 == 0, "{i}: {}", own.len());
        assert!(i > 0 || own.len() == 400, "{}", own.len());
        for pair in own.chunks(2) {
            let centre = |e: &Emission| (e.lower_hz + e.upper_hz) / 2.0 - 3700.02e6;
            // About the carrier, whose own subcarrier is half a spacing above the middle of its blocks.
            assert!((centre(pair[0]) + centre(pair[1]) + 30e3).abs() < 1.0);
            assert!(
                centre(pair[0]).abs() > (25.5 - 2.0) * 360e3
                    && (pair[0].upper_hz - pair[0].lower_hz - 360e3).abs() < 1.0
            );
            assert!((pair[1].start_s - pair[0].start_s - pair[0].duration_s).abs() < 1e-9);
            assert!((pair[0].duration_s + pair[1].duration_s - 0.5e-3).abs() < 1e-9);
        }
        // One phone sends one thing at a time.
        let mut spans: Vec<_> = all.iter().filter(|e| e.sender == Sender::Phone(i)).collect();
        spans.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
        assert!(spans.windows(2).all(|w| w[0].start_s + w[0].duration_s < w[1].start_s + 1e-6), "{i}");
    }
    // No PUSCH on their blocks.
    for e in all.iter().filter(|e| e.label == "nr/pusch") {
        assert!(e.lower_hz > 3700.02e6 - 23.6 * 360e3 && e.upper_hz < 3700.02e6 + 23.6 * 360e3);
    }
}

#[test]
fn recordings_hold_strong_slots_and_silent_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.toml");
    let text = tdd("eirp_dbm = 50\nload = 1.0").replace("duration_s = 2", "duration_s = 0.02")
        + &phone("p", "nr-pusch", "period_ms = 5\nresource_blocks = 20\neirp_dbm = 0").replace("[0, 0]", "[10, 0]");
    std::fs::write(&path, text).unwrap();
    let made = cellwarden_sim::simulate(&path, dir.path(), &mut |_| {}).unwrap();
    let meta: serde_json::Value = serde_json::from_slice(&std::fs::read(&made[0]).unwrap()).unwrap();
    let bytes = std::fs::read(made[0].with_extension("sigmf-data")).unwrap();
    let part = |b: &[u8]| f64::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0;
    let x: Vec<f64> = bytes.chunks_exact(4).map(|b| part(b).powi(2) + part(&b[2..]).powi(2)).collect();
    let noise = 10f64.powf((-174.0 + 12.0 + 25.0) / 10.0) * 30.72e6;
    let mut kinds = std::collections::BTreeSet::new();
    for note in meta["annotations"].as_array().unwrap() {
        let label = note["core:label"].as_str().unwrap();
        kinds.insert(label.to_owned());
        let at = note["core:sample_start"].as_u64().unwrap() as usize;
        let n = note["core:sample_count"].as_u64().unwrap() as usize;
        let heard = x[at..at + n].iter().sum::<f64>() / n as f64 - noise;
        let stated = note["truth:power_dbfs"].as_f64().unwrap();
        assert!((10.0 * heard.log10() - stated).abs() < 0.3, "{label}: {} for {stated}", 10.0 * heard.log10());
        let loss = 20.0 * (4.0 * std::f64::consts::PI * 3700.02e6 / LIGHT).log10();
        let expected = match label {
            "other/downlink" => {
                assert_eq!((note["truth:emitter"].as_str(), note.get("truth:phone")), (Some("mast"), None));
                50.0 - loss - 30.0 * 600f64.log10() + 25.0
            }
            _ => 10.0 * (20.0 * 360e3 / 1.08e6f64).log10() - loss - 30.0 + 25.0,
        };
        assert!((stated - expected).abs() < 0.4 || label == "nr/srs", "{label}: {stated} for {expected}");
    }
    assert!(kinds.contains("other/downlink") && kinds.contains("nr/pusch"), "{kinds:?}");
}

#[test]
fn errors_say_what_is_wrong_with_a_station() {
    let wrong = |text: &str| load(text).unwrap_err().to_string();
    assert!(load(&(tdd("") + &phone("p", "nr-data", ""))).is_ok());
    assert!(load(&(fdd("") + &phone("p", "nr-data", ""))).is_ok());
    for (text, expected) in [
        (tdd("earfcn = 1"), "no use for earfcn"),
        (tdd("").replace("DDDSU", "DDX"), "slots D, S and U"),
        (tdd("").replace("DDDSU", "DDD"), "slots D, S and U"),
        (tdd("special = [10, 2, 3]"), "sum to 14"),
        (tdd("").replace("position = [0, 600]", ""), "position"),
        (tdd("prach = { configuration = 0 }"), "lies in the uplink"),
        (tdd("prach = { offset = 40 }"), "prach.offset"),
        (tdd("prach = { root = 138 }"), "prach.root"),
        (tdd("spacing = \"60k\""), "15 or 30 kHz"),
        (tdd("").replace("20M", "22M"), "no carrier of this width"),
        (fdd("srs = {}"), "no use for srs"),
        (fdd("") + &phone("p", "lte-tau", ""), "speaks NR"),
        (fdd("") + &phone("p", "nr-data", "waveform = \"dft-s-ofdm\"\nresource_blocks = 7"), "resource_blocks"),
        (fdd("") + &phone("p", "nr-data", "earfcn = 1"), "earfcn is the base station's"),
    ] {
        let text = wrong(&text);
        assert!(text.contains(expected), "{text} for {expected}");
    }
}
