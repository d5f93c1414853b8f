//! `cellwarden info`: what is in a recording, in words and as a picture.

use crate::args::InfoArgs;
use crate::engine::{open_options, open_recording};
use crate::failure::Failure;
use cellwarden_detect::config::FrameGeometry;
use cellwarden_detect::spectrum::PowerSpectrum;
use cellwarden_detect::{DetectConfig, Detector};
use cellwarden_iq::Recording;
use cellwarden_types::{Burst, Hertz, IqBlock, SampleIndex, db};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::path::Path;

/// Prints what the recording says of itself and, with `--png`, draws it.
pub fn run(args: &InfoArgs) -> Result<(), Failure> {
    let recording = open_recording(&args.recording, &open_options(&args.raw))?;
    describe(&recording)?;
    check_hash(&recording)?;
    if let Some(png) = &args.png {
        let picture = Picture::of(recording)?;
        picture.write(png)?;
        writeln!(
            std::io::stdout(),
            "picture      {} ({} x {}, {} bursts framed)",
            png.display(),
            picture.width,
            picture.height,
            picture.bursts.len()
        )?;
    }
    Ok(())
}

fn describe(recording: &Recording) -> Result<(), Failure> {
    let info = &recording.info;
    let mut out = std::io::stdout().lock();
    writeln!(out, "recording    {} ({})", info.path.display(), info.container)?;
    writeln!(out, "sensor       {}", info.sensor.as_deref().unwrap_or("not named"))?;
    writeln!(out, "samples      {} at {}", info.format, info.rate)?;
    match info.samples {
        Some(n) => writeln!(out, "length       {n} samples, {:.6} s", n as f64 / info.rate.0)?,
        None => writeln!(out, "length       not known before the end")?,
    }
    for capture in &info.captures {
        let time = capture.time.map_or("no time".to_owned(), |t| t.to_string());
        writeln!(out, "capture      from sample {}, centre {}, {time}", capture.sample_start, capture.center)?;
    }
    let geometry = FrameGeometry::for_rate(info.rate.0);
    writeln!(
        out,
        "detector     {} bins of {}, a row every {:.1} µs",
        geometry.n_fft,
        Hertz((info.rate.0 / geometry.n_fft as f64).round()),
        geometry.hop as f64 / info.rate.0 * 1e6
    )?;
    if let Some(text) = &info.description {
        writeln!(out, "description  {}", text.replace('\n', " "))?;
    }
    writeln!(out, "annotations  {}", info.annotations.len())?;
    for warning in &info.warnings {
        writeln!(out, "warning      {warning}")?;
    }
    Ok(())
}

/// Says whether the samples are those for which the metadata were written, where these tell.
fn check_hash(recording: &Recording) -> Result<(), Failure> {
    let bytes = recording.data_path().metadata().map_or(0, |m| m.len());
    let bar = ProgressBar::new(bytes).with_style(
        ProgressStyle::with_template("hashing [{bar:40}] {percent} %, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let fits = cellwarden_iq::sha512_fits(recording, &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    let said = match fits.map_err(Failure::run)? {
        None => return Ok(()),
        Some(true) => "core:sha512 fits the samples",
        Some(false) => {
            "core:sha512 DOES NOT FIT: the samples were changed, cut or added to after the metadata were written"
        }
    };
    writeln!(std::io::stdout(), "hash         {said}")?;
    Ok(())
}

/// Largest picture: columns of time and rows of frequency.
const WIDTH: usize = 1600;
const HEIGHT: usize = 512;

struct Picture {
    width: usize,
    height: usize,
    /// Greatest power density by `[column][bin]`, so that short bursts stay visible.
    peaks: Vec<f32>,
    bursts: Vec<Burst>,
    seconds: f64,
    low_hz: f64,
    high_hz: f64,
}

impl Picture {
    fn of(mut recording: Recording) -> Result<Self, Failure> {
        let info = &recording.info;
        let (rate, format) = (info.rate, info.format);
        let Some(samples) = info.samples else {
            return Err(Failure::Usage("--png needs a file: standard input has no length to draw".to_owned()));
        };
        let center = info.captures.first().map_or(Hertz(0.0), |c| c.center);
        let n = FrameGeometry::for_rate(rate.0).n_fft;
        let size = format.bytes_per_sample();
        let height = n.min(HEIGHT);
        let width = ((samples / n as u64) as usize).clamp(1, WIDTH);
        let mut picture = Self {
            width,
            height,
            peaks: vec![0.0; width * height],
            bursts: Vec::new(),
            seconds: samples as f64 / rate.0,
            low_hz: center.0 - rate.0 / 2.0,
            high_hz: center.0 + rate.0 / 2.0,
        };
        let mut spectrum = PowerSpectrum::new(n, rate.0);
        let mut row = vec![0.0; n];
        let mut detector = Detector::new("info".into(), DetectConfig::default());
        let mut bytes = vec![0; 65_536 * size];
        while let Some(chunk) = recording.next_chunk(&mut bytes).map_err(Failure::run)? {
            let used = &bytes[..chunk.bytes];
            for (i, frame) in used.chunks_exact(n * size).enumerate() {
                spectrum.process(format, frame, &mut row);
                let at = chunk.start + (i * n) as u64;
                let column = ((at as f64 / samples.max(1) as f64 * width as f64) as usize).min(width - 1);
                for (bin, &p) in row.iter().enumerate() {
                    let cell = &mut picture.peaks[column * height + bin * height / n];
                    *cell = cell.max(p);
                }
            }
            let block = IqBlock {
                start: SampleIndex(chunk.start),
                lost_before: chunk.lost_before,
                time: chunk.time,
                bytes: used.to_vec(),
                ..IqBlock::empty("info".into(), format, rate, chunk.center)
            };
            detector.process(&block, &mut picture.bursts);
        }
        detector.finish(&mut picture.bursts);
        Ok(picture)
    }

    fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut sorted: Vec<f32> = self.peaks.iter().copied().filter(|p| *p > 0.0).collect();
        sorted.sort_by(f32::total_cmp);
        let level = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).map_or(0.0, |&p| db(f64::from(p)));
        let (dark, bright) = (level(0.2), level(0.9999).max(level(0.2) + 20.0));
        let mut pixels = vec![0u8; self.width * self.height * 3];
        for column in 0..self.width {
            for bin in 0..self.height {
                let p = db(f64::from(self.peaks[column * self.height + bin]));
                let shade = ((p - dark) / (bright - dark)).clamp(0.0, 1.0);
                self.paint(&mut pixels, column, bin, heat(shade));
            }
        }
        for burst in &self.bursts {
            let colour = match burst.standard {
                s if s.is_phone() => [90, 255, 120],
                cellwarden_types::Standard::Unknown => [255, 220, 60],
                _ => [150, 150, 150],
            };
            self.frame(&mut pixels, burst, colour);
        }
        let file = std::fs::File::create(path).map_err(|e| Failure::Run(format!("writing {}: {e}", path.display())))?;
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut w| w.write_image_data(&pixels));
        written.map_err(|e| Failure::Run(format!("writing {}: {e}", path.display())))
    }

    fn paint(&self, pixels: &mut [u8], column: usize, bin: usize, colour: [u8; 3]) {
        // The highest frequency is at the top.
        let at = ((self.height - 1 - bin) * self.width + column) * 3;
        pixels[at..at + 3].copy_from_slice(&colour);
    }

    fn frame(&self, pixels: &mut [u8], burst: &Burst, colour: [u8; 3]) {
        let x = |s: f64| ((s / self.seconds * self.width as f64).max(0.0) as usize).min(self.width - 1);
        let y = |hz: f64| {
            let share = (hz - self.low_hz) / (self.high_hz - self.low_hz);
            ((share * self.height as f64).max(0.0) as usize).min(self.height - 1)
        };
        let (left, right) = (x(burst.start_s), x(burst.start_s + burst.duration_s));
        let (low, high) = (y(burst.freq_lower_hz), y(burst.freq_upper_hz));
        for column in left..=right {
            self.paint(pixels, column, low, colour);
            self.paint(pixels, column, high, colour);
        }
        for bin in low..=high {
            self.paint(pixels, left, bin, colour);
            self.paint(pixels, right, bin, colour);
        }
    }
}

/// Black through blue, red and yellow to white.
fn heat(shade: f64) -> [u8; 3] {
    let ramp = |from: f64| ((shade - from) / 0.34).clamp(0.0, 1.0);
    let blue = if shade < 0.34 { shade / 0.34 * 0.6 } else { (0.6 - (shade - 0.34) * 2.0).max(0.0) + ramp(0.75) };
    [(ramp(0.2) * 255.0) as u8, (ramp(0.5) * 255.0) as u8, (blue.min(1.0) * 255.0) as u8]
}
