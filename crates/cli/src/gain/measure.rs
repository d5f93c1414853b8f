//! Steps through the gains of a device, and listens at each as the daemon would: the same capture process, the same floor.

use super::choose::Step;
use crate::failure::Failure;
use cellwarden_capture::config::{DeviceConfig, Gain};
use cellwarden_capture::probe::{DeviceProbe, Range};
use cellwarden_capture::process::supervisor::{DeviceHandle, spawn_device};
use cellwarden_capture::{ReaderHandle, Waiting};
use cellwarden_detect::config::FrameGeometry;
use cellwarden_detect::convert::{convert, count_clipped};
use cellwarden_detect::{Depth, DetectConfig, Detector, ambient};
use cellwarden_types::{IqBlock, db};
use crossbeam_channel::bounded;
use num_complex::Complex32;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A device that was just set is not yet what it will be: so much is let go.
const SETTLES_S: f64 = 0.2;
/// Samples that may wait: they are worked on faster than they come.
const QUEUE_S: f64 = 1.0;
/// From the device's opening to its last sample, over what it takes by itself.
const PATIENCE: Duration = Duration::from_secs(40);
const TURN: Duration = Duration::from_millis(50);

/// Gains that every channel of `device` has, from the lowest to the highest by `step_db`.
pub fn gains(device: &DeviceConfig, probe: &DeviceProbe, step_db: f64) -> Result<Vec<f64>, Failure> {
    let mut all: Option<Range> = None;
    for channel in &device.channels {
        let range = probe.channels.get(channel.number).and_then(|c| c.gain_db).ok_or_else(|| {
            Failure::Run(format!(
                "device {:?}: its driver does not say which gains sensor {:?} has: name them, as in --gains 0,10,20,30",
                device.name, channel.sensor
            ))
        })?;
        all = Some(all.map_or(range, |(low, high)| (low.max(range.0), high.min(range.1))));
    }
    let (low, high) = all.unwrap_or((0.0, 0.0));
    let steps = ((high - low) / step_db).floor().clamp(0.0, 1000.0) as usize;
    let mut gains: Vec<f64> = (0..=steps).map(|i| low + i as f64 * step_db).collect();
    // The highest is where the receiver's own noise is surest to be heard.
    if high - gains[steps] > step_db / 4.0 {
        gains.push(high);
    }
    Ok(gains)
}

/// Listens to every channel of `device` at this gain for `seconds`, at the first of its centres; `stopped` ends it early.
pub fn step(
    device: &DeviceConfig,
    gain_db: f64,
    seconds: f64,
    stopped: &dyn Fn() -> bool,
) -> Result<Vec<Step>, Failure> {
    let mut config = DeviceConfig { gain: Some(Gain::Overall(gain_db)), ..device.staying() };
    config.channels.iter_mut().for_each(|c| c.gain = None);
    config.seconds = Some(seconds + SETTLES_S);
    let (ring, bell) = bounded(1);
    let mut handle = spawn_device(config, crate::cmd::capture::command(), QUEUE_S, ring).map_err(Failure::run)?;
    let name = |c: usize| Arc::from(device.channels[c].sensor.as_str());
    let readers = std::mem::take(&mut handle.readers);
    let mut channels: Vec<Channel> = readers.into_iter().enumerate().map(|(c, r)| Channel::new(name(c), r)).collect();
    let until = Instant::now() + PATIENCE + Duration::from_secs_f64(seconds);
    while channels.iter().any(|c| !c.ended) {
        let _ = bell.recv_timeout(TURN);
        channels.iter_mut().for_each(Channel::turn);
        if let Some(why) = handle.status().last_error {
            return Err(Failure::Run(format!("{why}{BUSY}")));
        }
        if stopped() {
            return Err(Failure::Run("interrupted: nothing was written".to_owned()));
        }
        if Instant::now() > until {
            return Err(Failure::Run(format!("device {:?} gives no samples: is it in order?", device.name)));
        }
    }
    channels.into_iter().enumerate().map(|(c, channel)| channel.result(&handle, c, gain_db)).collect()
}

/// What a tone of this level leaves in a bin of a Hann window at a fifth of the band from it, in dBFS/Hz.
///
/// Asymptotically 1 / (pi k (k² - 1)) of its amplitude, k bins away; the noise bandwidth is 1.5 bins (Harris 1978).
fn leak_dbfs_per_hz(peak_dbfs: f64, rate_hz: f64) -> f64 {
    let n = FrameGeometry::for_rate(rate_hz).n_fft as f64;
    let k = n / 5.0;
    peak_dbfs - 2.0 * db(std::f64::consts::PI * k * (k * k - 1.0)) - db(1.5 * rate_hz / n)
}

/// The usual reason why a device cannot be opened.
pub const BUSY: &str = " (if another program holds the device, end it first)";

struct Channel {
    reader: ReaderHandle,
    detector: Detector,
    samples: Vec<Complex32>,
    skipped: u64,
    seen: u64,
    clipped: u64,
    peak: f32,
    found: Option<(f64, Option<cellwarden_types::AmbientCarrier>)>,
    ended: bool,
}

impl Channel {
    fn new(name: Arc<str>, reader: ReaderHandle) -> Self {
        let config = DetectConfig { depth: Depth::Energy, ..DetectConfig::default() };
        Self {
            reader,
            detector: Detector::new(name, config),
            samples: Vec::new(),
            skipped: 0,
            seen: 0,
            clipped: 0,
            peak: 0.0,
            found: None,
            ended: false,
        }
    }

    fn turn(&mut self) {
        while !self.ended {
            match self.reader.try_recv() {
                Ok(Waiting::Block(block)) => {
                    self.take(&block);
                    self.reader.recycle(block);
                }
                Ok(Waiting::Nothing) => return,
                // An error is in the device's status as well.
                Ok(Waiting::End) | Err(_) => self.end(),
            }
        }
    }

    fn take(&mut self, block: &IqBlock) {
        let samples = block.samples();
        if (self.skipped as f64) < SETTLES_S * block.rate.0 {
            self.skipped += samples as u64;
            return;
        }
        self.seen += samples as u64;
        self.clipped += count_clipped(block.format, &block.bytes);
        self.samples.resize(samples, Complex32::ZERO);
        convert(block.format, &block.bytes, &mut self.samples);
        self.peak = self.samples.iter().fold(self.peak, |peak, z| peak.max(z.re.abs()).max(z.im.abs()));
        self.detector.process(block, &mut Vec::new());
    }

    fn end(&mut self) {
        self.ended = true;
        let tiles = self.detector.tiles_after(None);
        self.found = tiles.map(|t| (ambient::floor_dbfs_per_hz(&t), ambient::carriers(&t, 1).first().copied()));
    }

    fn result(self, handle: &DeviceHandle, channel: usize, asked_db: f64) -> Result<Step, Failure> {
        let config = &handle.config;
        let sensor = &config.channels[channel].sensor;
        let Some((floor_dbfs_per_hz, strongest)) = self.found.filter(|(floor, _)| floor.is_finite()) else {
            let text = format!("device {:?}, sensor {sensor:?}: too few samples came at {asked_db} dB", config.name);
            return Err(Failure::Run(format!("{text}: try with more --seconds")));
        };
        let told = handle.status().channels.get(channel).cloned();
        let peak_dbfs = 2.0 * db(f64::from(self.peak));
        Ok(Step {
            gain_db: told.as_ref().and_then(|t| t.gain_db).unwrap_or(asked_db),
            floor_dbfs_per_hz,
            clip_share: self.clipped as f64 / self.seen.max(1) as f64,
            peak_dbfs,
            leak_dbfs_per_hz: leak_dbfs_per_hz(peak_dbfs, told.map_or(config.rate.0, |t| t.rate.0)),
            strongest,
        })
    }
}
