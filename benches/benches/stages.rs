//! The hot loop, stage by stage, and whole, with bare `rustfft` of the same size beside it.
#![allow(missing_docs)] // criterion's macros make public functions

use cellwarden_benches::{Heard, RATE_HZ, block, signal};
use cellwarden_detect::candidate::{Classifier, NoiseFloor, Proposal, Snippet};
use cellwarden_detect::carrier::{Carrier, CarrierEdges, GridNear, LearnedPrach, LearnedRoot, SUBFRAMES, SharedPlace};
use cellwarden_detect::classify::gsm::GsmClassifier;
use cellwarden_detect::classify::lte::prach::PrachSearch;
use cellwarden_detect::classify::lte::prach::narrow::NarrowSearch;
use cellwarden_detect::classify::lte::reports::ReportSearch;
use cellwarden_detect::classify::lte::shared::SharedChannelClassifier;
use cellwarden_detect::config::FrameGeometry;
use cellwarden_detect::convert::convert;
use cellwarden_detect::floor::FloorTracker;
use cellwarden_detect::gate::PreambleGate;
use cellwarden_detect::grid::GridSearch;
use cellwarden_detect::pulse::PulseSearch;
use cellwarden_detect::segment::{HeldRows, Segmenter};
use cellwarden_detect::spectrum::PowerSpectrum;
use cellwarden_detect::steps::StepSums;
use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_types::SampleFormat;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use num_complex::Complex32;
use rustfft::FftPlanner;
use std::hint::black_box;
use std::time::Duration;

const CHUNK: usize = 1 << 18;

fn rows(bytes: &[u8], geometry: FrameGeometry, rate_hz: f64) -> Vec<f32> {
    let n = geometry.n_fft;
    let mut spectrum = PowerSpectrum::new(n, rate_hz);
    let frames = (bytes.len() / 4 - n) / geometry.hop + 1;
    let mut rows = vec![0.0; frames * n];
    for (i, row) in rows.chunks_exact_mut(n).enumerate() {
        let at = i * geometry.hop * 4;
        spectrum.process(SampleFormat::Cs16, &bytes[at..at + n * 4], row);
    }
    rows
}

fn stages(c: &mut Criterion) {
    let geometry = FrameGeometry::for_rate(RATE_HZ);
    let n = geometry.n_fft;
    let quiet = signal(CHUNK, false, 1);
    let mut group = c.benchmark_group("stage");
    group.throughput(Throughput::Elements(CHUNK as u64)).measurement_time(Duration::from_secs(2)).sample_size(20);

    let fft = FftPlanner::new().plan_fft_forward(n);
    let mut scratch = vec![Complex32::ZERO; fft.get_inplace_scratch_len()];
    let mut iq = vec![Complex32::ZERO; CHUNK];
    convert(SampleFormat::Cs16, &quiet, &mut iq);
    group.bench_function("reference: rustfft", |b| {
        b.iter_batched_ref(
            || iq.clone(),
            |iq| iq.chunks_exact_mut(n).for_each(|frame| fft.process_with_scratch(frame, &mut scratch)),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("convert cs16", |b| b.iter(|| convert(SampleFormat::Cs16, black_box(&quiet), &mut iq)));
    let mut spectrum = PowerSpectrum::new(n, RATE_HZ);
    let mut row = vec![0.0; n];
    group.bench_function("convert + window + FFT + power, half overlap", |b| {
        b.iter(|| {
            let mut at = 0;
            while at + n * 4 <= quiet.len() {
                spectrum.process(SampleFormat::Cs16, &quiet[at..at + n * 4], &mut row);
                at += geometry.hop * 4;
            }
            black_box(row[0])
        });
    });
    let quiet_rows = rows(&quiet, geometry, RATE_HZ);
    let mut floor = FloorTracker::new(n, 0.0);
    group.bench_function("floor", |b| b.iter(|| floor.update(black_box(&quiet_rows))));
    let busy_rows = rows(&signal(CHUNK, true, 2), geometry, RATE_HZ);
    for (name, rows) in [("segmentation, quiet", &quiet_rows), ("segmentation, busy", &busy_rows)] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || {
                    let mut segmenter = Segmenter::new(geometry, RATE_HZ, 897.5e6, &DetectConfig::default());
                    segmenter.room(rows.len() / n).copy_from_slice(rows);
                    (segmenter, Vec::new())
                },
                |(segmenter, out)| segmenter.process(floor.floor(), out),
                BatchSize::LargeInput,
            );
        });
    }
    // Each goes on with the same rows: what is usual is learned, as in a stream that has run for a while.
    for (name, rows) in [("quiet", &quiet_rows), ("busy", &busy_rows)] {
        let mut steps = StepSums::new(geometry, RATE_HZ);
        let mut grid = GridSearch::new(&steps, geometry, RATE_HZ, 897.5e6);
        let mut pulses =
            PulseSearch::new(&steps, geometry, RATE_HZ, 897.5e6).expect("invariant: a sounding fits into 20 MHz");
        let mut gate = PreambleGate::new(&steps, geometry, RATE_HZ).expect("invariant: a preamble fits into 20 MHz");
        let (mut room, mut segments, mut hints) = (Vec::new(), Vec::new(), Vec::new());
        group.bench_function(format!("steps for all that is faint, {name}"), |b| {
            b.iter(|| {
                room.clear();
                steps.take(black_box(rows), floor.floor(), &mut room);
            });
        });
        // With the steps, which it keeps; the others share them.
        let mut own = StepSums::new(geometry, RATE_HZ);
        group.bench_function(format!("steps and grid of faint blocks, {name}"), |b| {
            b.iter(|| {
                segments.clear();
                own.take(black_box(rows), floor.floor(), grid.room());
                grid.process(&own, floor.floor(), 0, u64::MAX, &mut segments);
            });
        });
        group.bench_function(format!("faint pulses, {name}"), |b| {
            b.iter(|| {
                segments.clear();
                let held = HeldRows { rows: black_box(rows), first: 0 };
                pulses.process(black_box(&steps), held, floor.floor(), &mut segments);
            });
        });
        group.bench_function(format!("gate of preambles, {name}"), |b| {
            b.iter(|| {
                hints.clear();
                gate.process(black_box(&steps), &mut hints);
            });
        });
    }
    group.finish();
}

fn whole(c: &mut Criterion) {
    let second = RATE_HZ as usize;
    let mut group = c.benchmark_group("whole path, one second at 20 Msps");
    group.throughput(Throughput::Elements(second as u64)).measurement_time(Duration::from_secs(5)).sample_size(10);
    for (name, busy, grid) in [
        ("quiet", false, true),
        ("quiet, without the grid of faint blocks", false, false),
        ("busy: segmentation and classification", true, true),
    ] {
        let bytes = signal(second, busy, 3);
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || {
                    let blocks: Vec<_> = bytes
                        .chunks(65_536 * 4)
                        .enumerate()
                        .map(|(i, part)| block(part.to_vec(), (i * 65_536) as u64))
                        .collect();
                    (
                        Detector::new("bench".into(), DetectConfig { grid, ..DetectConfig::default() }),
                        blocks,
                        Vec::new(),
                    )
                },
                |(detector, blocks, out)| {
                    for block in blocks.iter() {
                        detector.process(block, out);
                    }
                    detector.finish(out);
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// What an occasion of a base station that is known costs in a carrier of 20 MHz that is quiet. One with preambles in every second
/// subframe has 500 of them a second, most have 100 or 200 (TS 36.211 table 5.7.1-2). The reference is a transform of as many samples.
fn learned(c: &mut Criterion) {
    let (rate_hz, center_hz) = (30.72e6, 847e6);
    let samples = (1.2e-3 * rate_hz) as usize;
    let bytes = signal(samples, false, 5);
    let mut iq = vec![Complex32::ZERO; samples];
    convert(SampleFormat::Cs16, &bytes, &mut iq);
    let geometry = FrameGeometry::for_rate(rate_hz);
    let floor = NoiseFloor { center_hz, rate_hz, density: vec![1e-13; geometry.n_fft] };
    let mut group = c.benchmark_group("a learned base station, 30.72 Msps");
    let window = (0.8e-3 * rate_hz) as usize;
    let fft = FftPlanner::new().plan_fft_forward(window);
    let mut scratch = vec![Complex32::ZERO; fft.get_inplace_scratch_len()];
    group.bench_function("reference: rustfft of a preamble's sequence", |b| {
        b.iter_batched_ref(
            || iq[..window].to_vec(),
            |iq| fft.process_with_scratch(iq, &mut scratch),
            BatchSize::LargeInput,
        );
    });
    // What phones report to it, in the steps that all who seek what is faint share: 20 ms at a time.
    let rows = rows(&signal((20e-3 * rate_hz) as usize, false, 6), geometry, rate_hz);
    let (mut sums, mut steps) = (StepSums::new(geometry, rate_hz), Vec::new());
    sums.take(&rows, &[1e-13; 4096][..geometry.n_fft], &mut steps);
    let step_s = (sums.frames() * geometry.hop) as f64 / rate_hz;
    let scale = steps.len() as f32 / steps.iter().sum::<f32>();
    steps.iter_mut().for_each(|s| *s *= scale);
    let grid = |start_s: f64| GridNear {
        base_station: 0,
        subframe_s: start_s + 0.3e-3,
        sigma_s: 1e-6,
        early_s: 0.0,
        late_s: 0.0,
        block_edge_hz: center_hz - 9e6,
        edge_slack_hz: 1e3,
        preamble_hz: center_hz - 8.2e6,
        is_occasion: false,
        carrier_center_hz: Some(center_hz),
        carrier: Some(Carrier { center_hz, blocks: 100 }),
    };
    // A bin has so many independent values in a step of half-overlapping frames; it changes no work.
    let mut reports = ReportSearch::new((geometry.n_fft, rate_hz / geometry.n_fft as f64, center_hz), step_s, 1.5);
    let mut start_s = 0.0;
    group.bench_function("reports in 100 blocks, 20 ms", |b| {
        b.iter(|| {
            reports.take(black_box(&steps), start_s, std::iter::once(grid(start_s)));
            assert!(reports.is_following());
            start_s += (steps.len() / geometry.n_fft) as f64 * step_s;
            reports.take_found(start_s).count()
        });
    });
    let mut search = NarrowSearch::new(rate_hz).expect("invariant: 30.72 Msps has lower rates");
    for count in [1u16, 2, 10] {
        let roots: Vec<u16> = (129..129 + count).collect();
        let mut subframes = [0; SUBFRAMES];
        subframes[1] = 50;
        let base_station = LearnedPrach {
            center_hz: center_hz - 8.2e6,
            format: 0,
            roots: roots.iter().map(|&root| LearnedRoot { root, heard: 50 }).collect(),
            subframes,
            others: 0,
            is_configured: false,
            shared: SharedPlace::default(),
            edges: CarrierEdges::default(),
            timing: None,
        };
        let snippet = Snippet { iq: &iq, start: 0, rate_hz, center_hz };
        let place = (0.15e-3 * rate_hz, 1e-6 * rate_hz);
        group.bench_function(format!("an occasion, {count} roots"), |b| {
            b.iter(|| search.sights(black_box(&snippet), &floor, &base_station, place, &roots));
        });
    }
    group.finish();
}

/// One emission each at 15 dB, found by its energy: what naming it costs. Throughput is its own samples.
fn classification(c: &mut Criterion) {
    let mut group = c.benchmark_group("classify one emission at 20 Msps");
    group.measurement_time(Duration::from_secs(2)).sample_size(20);
    let mut out: Vec<Proposal> = Vec::new();
    let mut measure = |name: &str, heard: &Heard, judge: &mut dyn FnMut(&Snippet<'_>, &mut Vec<Proposal>)| {
        let snippet = Snippet { iq: &heard.iq, start: 0, rate_hz: RATE_HZ, center_hz: heard.center_hz };
        judge(&snippet, &mut out);
        assert_eq!(out.len(), 1, "{name}: a benchmark of what is not recognised would measure something else");
        group.throughput(Throughput::Elements(heard.region.count));
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                judge(black_box(&snippet), &mut out);
            });
        });
        out.clear();
    };
    let heard = Heard::gsm_burst();
    let mut gsm = GsmClassifier::new(RATE_HZ, heard.center_hz);
    measure("GSM normal burst", &heard, &mut |snippet, out| {
        gsm.begin();
        gsm.classify(&heard.region, snippet, &heard.floor, out);
    });
    let heard = Heard::preamble();
    let mut prach = PrachSearch::new(RATE_HZ).expect("invariant: a preamble fits into 20 MHz");
    let busy = [(heard.region.start, heard.region.start + heard.region.count)];
    measure("PRACH, any root", &heard, &mut |snippet, out| prach.search(snippet, &heard.floor, &busy, out));
    let heard = Heard::allocation();
    let mut shared = SharedChannelClassifier::new(RATE_HZ);
    measure("PUSCH, 10 blocks", &heard, &mut |snippet, out| {
        shared.classify(&heard.region, snippet, &heard.floor, out);
    });
    group.finish();
}

criterion_group!(benches, stages, classification, whole, learned);
criterion_main!(benches);
