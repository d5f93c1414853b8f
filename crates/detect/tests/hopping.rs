//! A receiver that goes from centre to centre: each has its own stream, and keeps it.

#![allow(clippy::unwrap_used)] // a test may

mod common;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_types::{Burst, Hertz, IqBlock};
use common::{add_burst, block, bytes, noise};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

const RATE_HZ: f64 = 2.4e6;
const CENTERS: [Hertz; 2] = [Hertz(902.4e6), Hertz(847e6)];
/// Samples of a visit, and those that are thrown away before each but the first.
const VISIT: usize = 240_000;
const SETTLE: u64 = 12_000;

/// Ten visits of two centres in turn, with bursts in each at another offset, in blocks of 4 ms.
fn visits() -> Vec<IqBlock> {
    let mut out = Vec::new();
    for visit in 0..10u64 {
        let mut iq = noise(VISIT, visit);
        for burst in 1..20 {
            let offset_hz = if visit % 2 == 0 { 200e3 } else { -400e3 };
            add_burst(&mut iq, RATE_HZ, burst * 12_000, 1_385, offset_hz, 400.0);
        }
        for (n, piece) in bytes(&iq).chunks(4 * 9_600).enumerate() {
            let start = visit * VISIT as u64 + n as u64 * 9_600;
            let mut block = block(piece.to_vec(), start, RATE_HZ);
            block.lost_before = visit * SETTLE;
            block.time = block.time.map(|t| t.plus_seconds((start + block.lost_before) as f64 / RATE_HZ));
            block.center = CENTERS[visit as usize % 2];
            out.push(block);
        }
    }
    out
}

fn detect<'a>(blocks: impl Iterator<Item = &'a IqBlock>) -> Vec<Burst> {
    let (mut detector, mut out) = (Detector::new("test".into(), DetectConfig::default()), Vec::new());
    blocks.for_each(|b| detector.process(b, &mut out));
    detector.finish(&mut out);
    out
}

#[test]
fn interleaved_centres_give_the_bursts_that_each_gives_alone() {
    let blocks = visits();
    let hopping = detect(blocks.iter());
    for center in CENTERS {
        let here = |b: &&Burst| ((b.freq_lower_hz + b.freq_upper_hz) / 2.0 - center.0).abs() < RATE_HZ / 2.0;
        let found: Vec<&Burst> = hopping.iter().filter(here).collect();
        let alone = detect(blocks.iter().filter(|b| b.center == center));
        assert!(alone.len() >= 5 * 18, "{}", alone.len());
        assert_eq!(found, alone.iter().collect::<Vec<_>>(), "{center}");
    }
    let place = |b: &Burst| (b.start_s * RATE_HZ).round() as u64;
    let visit = |b: &Burst| place(b) / (VISIT as u64 + SETTLE);
    assert!(hopping.iter().all(|b| (visit(b) % 2 == 0) == (b.freq_lower_hz > 900e6)), "each in a visit of its centre");
}

#[test]
fn a_centre_that_was_left_keeps_its_floor_and_its_tiles() {
    let mut detector = Detector::new("test".into(), DetectConfig::default());
    // Each centre's noise is louder than the one's before; there are more of them than streams are kept.
    let centers: Vec<Hertz> = (0..20).map(|i| Hertz(800e6 + f64::from(i) * 5e6)).collect();
    for (i, &center) in centers.iter().enumerate() {
        let iq: Vec<i16> = noise(VISIT, 1).iter().map(|v| v * (i as i16 + 1)).collect();
        let visit = IqBlock { center, ..block(bytes(&iq), (i * VISIT) as u64, RATE_HZ) };
        detector.process(&visit, &mut Vec::new());
    }
    let state = detector.state();
    let mut known: Vec<f64> = state.floors.iter().map(|f| f.center.0).collect();
    known.sort_by(f64::total_cmp);
    assert_eq!(known, centers.iter().map(|c| c.0).collect::<Vec<_>>());
    let first = detector.noise_dbfs_per_hz_at(centers[0]).unwrap();
    for (i, &center) in centers.iter().enumerate() {
        let louder = detector.noise_dbfs_per_hz_at(center).unwrap() - first;
        assert!((louder - 20.0 * (i as f64 + 1.0).log10()).abs() < 0.5, "{center}: {louder}");
    }
    assert_eq!(detector.noise_dbfs_per_hz(), detector.noise_dbfs_per_hz_at(centers[19]));
    assert_eq!(detector.noise_dbfs_per_hz_at(Hertz(433e6)), None);
    let tiles = detector.tiles_of_all(|_| None);
    let held: Vec<f64> = tiles.iter().map(|t| t.center.0).collect();
    assert_eq!(held, centers[3..].iter().map(|c| c.0).collect::<Vec<_>>(), "16 that were left, and the present one");
    assert!(tiles.iter().all(|t| t.rows.len() > 50));
}

#[test]
fn tiles_of_several_visits_have_the_times_at_which_they_were_heard() {
    let mut detector = Detector::new("test".into(), DetectConfig { tile_history_s: 0.25, ..DetectConfig::default() });
    let blocks = visits();
    blocks.iter().for_each(|b| detector.process(b, &mut Vec::new()));
    let began = blocks[0].time.unwrap();
    let visit_s = (VISIT as f64 + SETTLE as f64) / RATE_HZ;
    let tiles = detector.tiles_of_all(|_| None);
    for (tiles, last) in tiles.iter().zip([8.0, 9.0]) {
        let at_s: Vec<f64> = tiles.rows.iter().map(|(at, _)| at.seconds_since(began)).collect();
        assert!(at_s.windows(2).all(|w| w[0] < w[1]), "{at_s:?}");
        // Two visits of 100 ms, and half of the one before them.
        for (back, least_s) in [(0.0, 0.075), (2.0, 0.095), (4.0, 0.045)] {
            let from_s = (last - back) * visit_s;
            let here = at_s.iter().filter(|s| (from_s..from_s + 0.1).contains(*s)).count() as f64 * tiles.row_s;
            assert!(here > least_s && here < 0.101, "{last} {back}: {here}");
        }
        // Where the bursts were, the rows show them: 400 over a noise of 57 dB below full scale.
        let burst_s = (last - 2.0) * visit_s + 12_000.0 / RATE_HZ + 0.25e-3;
        let (_, row) = tiles
            .rows
            .iter()
            .min_by(|a, b| {
                let off = |r: &(cellwarden_types::UtcNanos, Vec<f32>)| (r.0.seconds_since(began) - burst_s).abs();
                off(a).total_cmp(&off(b))
            })
            .unwrap();
        let most = row.iter().zip(&tiles.floor).map(|(p, f)| p / f).fold(0.0, f32::max);
        assert!(most > 30.0, "{most}");
        // And those after a time are those.
        for after_s in [(last - 2.0) * visit_s + 0.05, last * visit_s - 1e-3] {
            let after = began.plus_seconds(after_s);
            let rest = detector.tiles_of_all(|_| Some(after));
            let rest = rest.iter().find(|t| t.center == tiles.center).unwrap();
            let want: Vec<_> = tiles.rows.iter().filter(|(at, _)| *at > after).cloned().collect();
            assert!(rest.rows == want, "{after_s}: {} of {}", rest.rows.len(), want.len());
        }
    }
    // Of each tuning, wherever the receiver is: 19 bursts of 0.58 ms in 100 ms, at 400 over full scale.
    let share = 19.0 * 1_385.0 / VISIT as f64;
    let wanted = 20.0 * (400.0f64 / 32_768.0).log10() + 10.0 * share.log10();
    for (center, offset_hz) in [(CENTERS[0], 200e3), (CENTERS[1], -400e3)] {
        let level = |from_hz: f64| {
            detector.level_of_last_visit(center, center.0 + offset_hz + from_hz, center.0 + offset_hz + from_hz + 300e3)
        };
        assert!((level(-150e3).unwrap() - wanted).abs() < 1.0, "{center}: {:?}, {wanted}", level(-150e3));
        assert!(level(300e3).unwrap() < wanted - 10.0, "{center}: {:?}", level(300e3));
        assert_eq!(level(1.5e6), None, "it hears only a part of that");
    }
    assert_eq!(detector.level_of_last_visit(Hertz(433e6), 433e6, 433.2e6), None);
    // The level is asked of the present visit alone.
    let request = |at_s: f64| cellwarden_types::request::LevelRequest {
        sensor: "test".into(),
        time: began.plus_seconds(at_s),
        duration_s: 0.05,
        freq_lower_hz: CENTERS[1].0 - 500e3,
        freq_upper_hz: CENTERS[1].0 - 300e3,
    };
    assert!(detector.level(&request(9.0 * visit_s + 0.02)).power_dbfs.is_some());
    assert_eq!(detector.level(&request(7.0 * visit_s + 0.02)).power_dbfs, None);
}

#[test]
fn hopping_allocates_nothing_after_the_first_visits() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let mut detector = Detector::new("test".into(), DetectConfig::default());
        let mut out = Vec::with_capacity(64);
        let mut block = block(bytes(&noise(24_000, 1)), 0, RATE_HZ);
        let mut visit = |detector: &mut Detector, n: usize| {
            block.center = CENTERS[n % 2];
            block.lost_before += SETTLE;
            // 90 ms: the last chunk is worked off short of its end.
            for _ in 0..9 {
                detector.process(&block, &mut out);
                block.start.0 += 24_000;
            }
        };
        for n in 0..40 {
            visit(&mut detector, n);
        }
        assert_no_alloc(|| {
            for n in 0..40 {
                visit(&mut detector, n);
            }
        });
        assert!(out.is_empty(), "the noise was to be quiet: {out:?}");
        assert_eq!(detector.counts().processed, 80 * 9 * 24_000);
    });
}
