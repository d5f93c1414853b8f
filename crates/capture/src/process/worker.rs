//! The capture process: reads a device for ever, writes its samples into the ring, and says so.

use super::frame::{Block, Frame, FrameWriter, short};
use super::ring::Ring;
use crate::clock::{GapFinder, ReadInfo};
use crate::config::DeviceConfig;
use crate::hop::{Hop, Split};
use crate::receiver::{self, Read, Receiver};
use cellwarden_types::UtcNanos;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where the daemon puts the ring and the pipe for frames. Standard output is left to drivers, which print to it.
pub(super) const RING_FD: i32 = 3;
pub(super) const FRAMES_FD: i32 = 4;
/// Samples go on after so long at the most: a hit is to be announced while its phone is still in use.
const BLOCK_S: f64 = 4e-3;
/// How often the device's temperature is asked.
const TEMPERATURE_EVERY: Duration = Duration::from_secs(30);
/// Beats are no more frequent than this, if a driver returns at once with nothing.
const IDLE: Duration = Duration::from_millis(2);

/// What a capture process is to do; JSON on its command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) device: DeviceConfig,
    pub(super) slots: u64,
    pub(super) slot_bytes: u64,
}

/// Samples in a block of a stream at `rate_hz`.
pub(super) fn block_samples(rate_hz: f64) -> usize {
    ((rate_hz * BLOCK_S) as usize).clamp(256, 1 << 18)
}

/// Runs the capture process that the daemon started with `task`. Ends when `stop` is set, the daemon is gone, or the device
/// is at its end or fails, which is said to the daemon.
///
/// # Errors
/// If it was not started by a daemon.
pub fn run(task: &str, stop: &AtomicBool) -> io::Result<()> {
    let task: Task = serde_json::from_str(task)?;
    // A driver that hangs must not outlive the daemon.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let again = |fd: i32, read: bool| File::options().read(read).write(true).open(format!("/proc/self/fd/{fd}"));
    let ring = Ring::open(again(RING_FD, true)?, task.slots, task.slot_bytes)?;
    let mut frames = FrameWriter::new(again(FRAMES_FD, false)?);
    let said = match receiver::open(&task.device) {
        Ok(receiver) => Capture::new(receiver, &ring, &mut frames, &task.device).run(stop),
        Err(error) => Err(Ended::Device(error.to_string())),
    };
    let last = match said {
        Ok(()) => Frame::End,
        Err(Ended::Device(text)) => Frame::Failed(short(&text)),
        Err(Ended::Daemon) => return Ok(()),
    };
    // If the daemon is gone, nobody is to be told.
    let _ = frames.send(&last);
    Ok(())
}

/// Why it is over before its end.
enum Ended {
    /// The device failed.
    Device(String),
    /// Nobody listens.
    Daemon,
}

struct Capture<'a> {
    receiver: Box<dyn Receiver>,
    ring: &'a Ring,
    frames: &'a mut FrameWriter,
    finder: GapFinder,
    /// Where it is in its round, if it goes round.
    hop: Option<Hop>,
    block_samples: usize,
    /// Samples of every channel that wait until the block is full, and those of one read.
    waiting: Vec<Vec<u8>>,
    fresh: Vec<Vec<u8>>,
    /// When the first that waits came.
    since: Instant,
    bytes_per_sample: usize,
    rate_hz: f64,
    turn: u64,
    given_back: u64,
    /// Not yet told of, by channel.
    lost: Vec<u64>,
    dropped: Vec<u64>,
    retuned: Vec<u64>,
    host_utc_ns: i64,
    /// The device's time of the first sample that waits.
    device_ns: Option<i64>,
    /// Samples that are still wanted.
    left: u64,
}

impl<'a> Capture<'a> {
    fn new(receiver: Box<dyn Receiver>, ring: &'a Ring, frames: &'a mut FrameWriter, config: &DeviceConfig) -> Self {
        let channels = receiver.channels();
        let count = channels.len();
        let (rate_hz, bytes_per_sample) =
            channels.first().map_or((1.0, 1), |c| (c.rate.0, c.format.bytes_per_sample()));
        // A device that took another rate or format than was asked still fits into the slots.
        let block_samples = block_samples(rate_hz).min(ring.slot_bytes() as usize / bytes_per_sample);
        let buffers = || vec![Vec::with_capacity(2 * block_samples * bytes_per_sample); count];
        Self {
            ring,
            frames,
            finder: GapFinder::new(rate_hz),
            hop: config
                .hop
                .map(|hop| Hop::new(&hop, config.channels.first().map_or(1, |c| c.tunings().len()), rate_hz)),
            block_samples,
            waiting: buffers(),
            fresh: buffers(),
            since: Instant::now(),
            bytes_per_sample,
            rate_hz,
            turn: 0,
            given_back: 0,
            lost: vec![0; count],
            dropped: vec![0; count],
            retuned: vec![0; count],
            host_utc_ns: 0,
            device_ns: None,
            left: config.seconds.map_or(u64::MAX, |s| (s * rate_hz) as u64),
            receiver,
        }
    }

    fn run(mut self, stop: &AtomicBool) -> Result<(), Ended> {
        self.send(&Frame::Ready { channels: self.receiver.channels().to_vec() })?;
        let began = Instant::now();
        let mut lost = false;
        let mut warmed = Instant::now();
        while !stop.load(Ordering::Relaxed) && self.left > 0 {
            self.fresh.iter_mut().for_each(Vec::clear);
            let most = self.hop.as_ref().map_or(u64::MAX, Hop::most).min(self.left);
            let want = self.block_samples.min(usize::try_from(most).unwrap_or(usize::MAX));
            let read = self.receiver.read(want, &mut self.fresh).map_err(|e| Ended::Device(e.to_string()))?;
            match read {
                Read::Samples { device_ns } => {
                    let host_ns = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
                    self.take(ReadInfo { device_ns, host_ns, lost })?;
                    lost = false;
                }
                Read::Idle => {
                    self.flush()?;
                    self.send(&Frame::Beat)?;
                    std::thread::sleep(IDLE);
                }
                Read::Lost => {
                    lost = true;
                    self.send(&Frame::Beat)?;
                }
                Read::End => break,
            }
            if warmed.elapsed() > TEMPERATURE_EVERY {
                warmed = Instant::now();
                if let Some(celsius) = self.receiver.temperature_celsius() {
                    self.send(&Frame::Temperature(celsius))?;
                }
            }
        }
        self.flush()?;
        for channel in 0..self.waiting.len() {
            self.tell_of_what_is_missing(channel)?;
        }
        Ok(())
    }

    /// What is missing behind the last block.
    fn tell_of_what_is_missing(&mut self, channel: usize) -> Result<(), Ended> {
        if self.lost[channel] + self.dropped[channel] + self.retuned[channel] == 0 {
            return Ok(());
        }
        let block = self.block(channel, 0, (self.host_utc_ns, None));
        self.send(&Frame::Block(block))
    }

    fn block(&mut self, channel: usize, samples: usize, (host_utc_ns, device_ns): (i64, Option<i64>)) -> Block {
        Block {
            channel,
            turn: self.turn,
            samples,
            lost: std::mem::take(&mut self.lost[channel]),
            dropped: std::mem::take(&mut self.dropped[channel]),
            retuned: std::mem::take(&mut self.retuned[channel]),
            center: self.receiver.channels()[channel].center,
            host_utc_ns,
            device_ns,
        }
    }

    /// Adds what was read to what waits.
    fn take(&mut self, info: ReadInfo) -> Result<(), Ended> {
        let samples = self.fresh.iter().map(Vec::len).min().unwrap_or(0) / self.bytes_per_sample;
        let placed = self.finder.place(samples, info);
        if placed.clock_jumped {
            self.send(&Frame::Notice("the device's clock was set: no samples are missing by it".to_owned()))?;
        }
        let missing = placed.missing.min(self.left);
        self.left = self.left.saturating_sub(missing);
        if missing > 0 {
            self.flush()?;
            self.lost.iter_mut().for_each(|l| *l += missing);
        }
        let samples = (samples as u64).min(self.left);
        self.left -= samples;
        let all = Split { kept: samples, ..Split::default() };
        let Split { thrown, kept, retune } = self.hop.as_mut().map_or(all, |hop| hop.take(missing, samples));
        self.retuned.iter_mut().for_each(|r| *r += thrown);
        self.keep(thrown as usize..(thrown + kept) as usize, info.device_ns);
        let full = self.waiting[0].len() >= self.block_samples * self.bytes_per_sample;
        if full || retune.is_some() || self.since.elapsed().as_secs_f64() > BLOCK_S {
            self.flush()?;
        }
        match retune {
            Some(step) => self.receiver.retune(step).map_err(|e| Ended::Device(e.to_string())),
            // On its way it has nothing to say but that it lives.
            None if kept == 0 => self.send(&Frame::Beat),
            None => Ok(()),
        }
    }

    /// Lets a part of what was read wait. `device_ns` is the device's time of the read's first sample.
    fn keep(&mut self, part: Range<usize>, device_ns: Option<i64>) {
        self.host_utc_ns = UtcNanos::now().0;
        if part.is_empty() {
            return;
        }
        if self.waiting[0].is_empty() {
            let before_s = part.start as f64 / self.rate_hz;
            self.since = Instant::now();
            self.device_ns = device_ns.map(|ns| UtcNanos(ns).plus_seconds(before_s).0);
        }
        let bytes = part.start * self.bytes_per_sample..part.end * self.bytes_per_sample;
        for (waiting, fresh) in self.waiting.iter_mut().zip(&self.fresh) {
            waiting.extend_from_slice(&fresh[bytes.clone()]);
        }
    }

    /// Puts what waits into the ring.
    fn flush(&mut self) -> Result<(), Ended> {
        let whole = self.waiting[0].len();
        let most = self.block_samples * self.bytes_per_sample;
        for from in (0..whole).step_by(most) {
            let to = (from + most).min(whole);
            // What comes behind the piece was not yet read when its last sample came.
            let behind_s = (whole - to) as f64 / self.bytes_per_sample as f64 / self.rate_hz;
            let host_utc_ns = UtcNanos(self.host_utc_ns).plus_seconds(-behind_s).0;
            let before_s = from as f64 / self.bytes_per_sample as f64 / self.rate_hz;
            let device_ns = self.device_ns.map(|ns| UtcNanos(ns).plus_seconds(before_s).0);
            for channel in 0..self.waiting.len() {
                self.put(channel, from..to, (host_utc_ns, device_ns))?;
            }
        }
        self.waiting.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    fn put(&mut self, channel: usize, part: Range<usize>, times: (i64, Option<i64>)) -> Result<(), Ended> {
        let samples = part.len() / self.bytes_per_sample;
        if self.turn - self.given_back >= self.ring.slots() {
            self.given_back = self.ring.given_back().map_err(|_| Ended::Daemon)?.min(self.turn);
        }
        if self.turn - self.given_back >= self.ring.slots() {
            self.dropped[channel] += samples as u64;
            return Ok(());
        }
        self.ring
            .write(self.turn, &self.waiting[channel][part])
            .map_err(|e| Ended::Device(format!("writing samples: {e}")))?;
        let block = self.block(channel, samples, times);
        self.turn += 1;
        self.send(&Frame::Block(block))
    }

    fn send(&mut self, frame: &Frame) -> Result<(), Ended> {
        self.frames.send(frame).map_err(|_| Ended::Daemon)
    }
}
