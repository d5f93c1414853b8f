//! `cellwarden bench`: how fast is this machine, by stage, and against a bare FFT in the same run.

use crate::args::BenchArgs;
use crate::engine::checked_rate;
use crate::failure::Failure;
use cellwarden_capture::SplitMix64;
use cellwarden_detect::config::FrameGeometry;
use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_types::{Hertz, IqBlock, SampleFormat, SampleIndex};
use num_complex::Complex32;
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

/// Samples in a block.
const BLOCK: usize = 65_536;
/// Runs of which the best counts: other work on the machine only ever slows a run down.
const RUNS: usize = 3;

/// Measures and prints JSON.
pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    if !(args.seconds > 0.0 && args.seconds <= 600.0) {
        return Err(Failure::Usage(format!("--seconds {}: want more than 0 and at most 600", args.seconds)));
    }
    checked_rate(args.rate, &"--rate")?;
    let rate = args.rate.0;
    let total = ((args.seconds * rate) as usize).max(BLOCK).div_ceil(BLOCK) * BLOCK;
    let loop_blocks = (total / BLOCK).min(64);
    let blocks: Vec<Vec<u8>> = (0..loop_blocks as u64).map(|seed| quiet(args.format, BLOCK, seed)).collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(args.threads))
        .build()
        .map_err(|e| Failure::Run(format!("making {} threads: {e}", args.threads)))?;
    let bare = bare_fft_msps(rate);
    let mut best: Option<(Duration, cellwarden_detect::pipeline::StageCosts, usize)> = None;
    for _ in 0..RUNS {
        let mut detector = Detector::new("bench".into(), DetectConfig::default());
        let mut bursts = Vec::new();
        let mut block = IqBlock::empty("bench".into(), args.format, args.rate, Hertz(897.5e6));
        let began = Instant::now();
        pool.install(|| {
            for i in 0..total / BLOCK {
                block.bytes.clear();
                block.bytes.extend_from_slice(&blocks[i % loop_blocks]);
                block.start = SampleIndex((i * BLOCK) as u64);
                detector.process(&block, &mut bursts);
            }
            detector.finish(&mut bursts);
        });
        let took = began.elapsed();
        if best.as_ref().is_none_or(|(t, ..)| took < *t) {
            best = Some((took, detector.costs(), bursts.len()));
        }
    }
    let Some((took, costs, bursts)) = best else { return Ok(()) };
    let msps = |d: Duration| total as f64 / d.as_secs_f64().max(1e-9) / 1e6;
    let whole = msps(took);
    let geometry = FrameGeometry::for_rate(rate);
    let report = json!({
        "rate_hz": rate, "seconds": total as f64 / rate, "type": args.format.name(), "threads": args.threads,
        "n_fft": geometry.n_fft, "hop": geometry.hop, "bursts": bursts,
        "msps": {"spectrum": msps(costs.spectrum), "floor": msps(costs.floor), "segment": msps(costs.segment),
                 "classify": msps(costs.classify), "whole": whole},
        "rustfft_msps": bare, "whole_over_rustfft": whole / bare, "realtime_factor": whole * 1e6 / rate,
    });
    writeln!(std::io::stdout(), "{report:#}")?;
    Ok(())
}

/// Noise of a quiet band, -60 dBFS, in the format. The generator is splitmix64: any white bits do.
fn quiet(format: SampleFormat, samples: usize, seed: u64) -> Vec<u8> {
    let mut random = SplitMix64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D);
    let mut normal = || {
        // Sum of twelve uniforms: variance one.
        let mut sum = -6.0f64;
        for _ in 0..12 {
            sum += (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        }
        sum
    };
    let sigma = if matches!(format, SampleFormat::Cu8 | SampleFormat::Cs8) { 0.02 } else { 0.0007 };
    let mut bytes = Vec::with_capacity(samples * format.bytes_per_sample());
    for _ in 0..2 * samples {
        let value = normal() * sigma;
        match format {
            SampleFormat::Cu8 => bytes.push((value * 128.0 + 128.0).round().clamp(0.0, 255.0) as u8),
            SampleFormat::Cs8 => bytes.push((value * 128.0).round().clamp(-128.0, 127.0) as i8 as u8),
            SampleFormat::Cs16 => bytes.extend(((value * 32768.0).round() as i16).to_le_bytes()),
            SampleFormat::Cf32 => bytes.extend((value as f32).to_le_bytes()),
        }
    }
    bytes
}

/// Bare in-place `rustfft` of the detector's size on one thread, in million samples a second.
fn bare_fft_msps(rate: f64) -> f64 {
    let n = FrameGeometry::for_rate(rate).n_fft;
    let fft = rustfft::FftPlanner::new().plan_fft_forward(n);
    let mut scratch = vec![Complex32::ZERO; fft.get_inplace_scratch_len()];
    let frames = (1 << 18) / n;
    let mut buffer: Vec<Complex32> =
        (0..n * frames).map(|i| Complex32::new((i % 17) as f32 - 8.0, (i % 23) as f32 - 11.0) * 1e-3).collect();
    let mut best = f64::MAX;
    for _ in 0..20 * RUNS {
        let began = Instant::now();
        for frame in buffer.chunks_exact_mut(n) {
            fft.process_with_scratch(frame, &mut scratch);
        }
        best = best.min(began.elapsed().as_secs_f64());
        // Scaled back, so that the values neither grow without bound nor become denormal.
        let scale = 1.0 / (n as f32).sqrt();
        buffer.iter_mut().for_each(|z| *z *= scale);
    }
    (n * frames) as f64 / best / 1e6
}
