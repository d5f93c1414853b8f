//! The daemon's side of a device: starts its capture process, takes its samples, and starts it anew when it fails or hangs.

use super::frame::{Block, Frame, FrameReader, Heard};
use super::ring::Ring;
use super::worker::{FRAMES_FD, RING_FD, Task, block_samples};
use crate::clock::HostClock;
use crate::config::DeviceConfig;
use crate::outlet::{Offered, Outlet, Patience, channel};
use crate::reader::ReaderHandle;
use crate::receiver::ChannelInfo;
use crate::source::{SourceError, SourceStatus};
use cellwarden_types::{Gap, GapReason, IqBlock, SampleFormat, SampleIndex, SensorState, UtcNanos};
use command_fds::{CommandFdExt, FdMapping};
use crossbeam_channel::Sender;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Seconds of samples that the ring holds, and that wait for the detector.
const RING_S: f64 = 0.1;
/// A process that says nothing for so long hangs in its driver: a read that works returns after a fifth of a second.
const HANGS: Duration = Duration::from_secs(2);
/// A device that gives nothing for so long is opened anew: a server that is gone leaves readers that wait for ever.
const SILENT: Duration = Duration::from_secs(3);
/// Opening may take so long: some devices load their firmware first.
const OPENS: Duration = Duration::from_secs(30);
/// From a failure to the next attempt: a device that is back is heard again within this and what it takes to open.
const RETRY: Duration = Duration::from_millis(1_000);
/// From being asked to end to being killed.
const ENDS: Duration = Duration::from_millis(700);
/// A device's clock that is so near to the host's, in seconds, tells UTC; others count from when they were switched on.
pub const DEVICE_CLOCK_SET_S: f64 = 2.0;
/// Lines of a driver that are logged in a window; the others are counted.
const LOG_LINES: u32 = 20;
const LOG_WINDOW: Duration = Duration::from_secs(60);

/// How a capture process is started; the task follows as the last argument.
#[derive(Clone, Debug)]
pub struct CaptureCommand {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
}

/// How a device is doing.
#[derive(Clone, Debug)]
pub struct DeviceStatus {
    /// What it is doing.
    pub state: SensorState,
    /// Since when.
    pub since: UtcNanos,
    /// How often it was started anew.
    pub restarts: u64,
    /// What went wrong the last time.
    pub last_error: Option<String>,
    /// What its channels are set to, once it was open.
    pub channels: Vec<ChannelInfo>,
    /// By channel: how much faster samples come than the host's clock says, in parts per million.
    pub drift_ppm: Vec<Option<f64>>,
    /// By channel: what times by the host's clock are right to, in seconds, once a window of reads has told.
    pub uncertainty_s: Vec<Option<f64>>,
    /// Degrees Celsius.
    pub temperature_celsius: Option<f64>,
    /// The capture process at the moment.
    pub process: Option<u32>,
}

/// A device that is listened to. Dropping it ends its capture process.
pub struct DeviceHandle {
    /// Its configuration.
    pub config: DeviceConfig,
    /// The receiving ends of its channels, in the order of the configuration.
    pub readers: Vec<ReaderHandle>,
    status: Arc<Mutex<DeviceStatus>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DeviceHandle {
    /// How it is doing.
    pub fn status(&self) -> DeviceStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Set it, and the device ends.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }
}

impl Drop for DeviceHandle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Their threads are this one: it ends when nobody takes blocks any more, too.
        self.readers.clear();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Listens to a device from now on. `pool_s` seconds of samples of each channel may wait for the detector; `bell` is rung
/// when there are new ones.
///
/// # Errors
/// If the configuration makes no sense, or there is no thread to be had. A device that is away is waited for.
pub fn spawn_device(
    config: DeviceConfig,
    command: CaptureCommand,
    pool_s: f64,
    bell: Sender<()>,
) -> Result<DeviceHandle, SourceError> {
    config.check().map_err(|e| SourceError::Device {
        device: e.device,
        doing: "reading its configuration",
        reason: e.what,
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let samples = block_samples(config.rate.0);
    let blocks = (pool_s * config.rate.0 / samples as f64).ceil().clamp(4.0, 4096.0) as usize;
    let (mut channels, mut readers) = (Vec::new(), Vec::new());
    for c in &config.channels {
        // What the device gives is known when it is open: blocks carry it.
        let template = IqBlock::empty(Arc::from(c.sensor.as_str()), SampleFormat::Cs16, config.rate, c.center);
        let bytes = samples * template.format.bytes_per_sample();
        let (outlet, inlet) = channel(&template, bytes, blocks);
        readers.push(ReaderHandle::new(inlet, Arc::clone(&stop), None));
        channels.push(Channel::new(outlet, template));
    }
    let status = Arc::new(Mutex::new(DeviceStatus {
        state: SensorState::Starting,
        since: UtcNanos::now(),
        restarts: 0,
        last_error: None,
        channels: Vec::new(),
        drift_ppm: vec![None; channels.len()],
        uncertainty_s: vec![None; channels.len()],
        temperature_celsius: None,
        process: None,
    }));
    let supervisor = Supervisor {
        config: config.clone(),
        command,
        channels,
        status: Arc::clone(&status),
        stop: Arc::clone(&stop),
        bell,
        said: None,
    };
    let thread = std::thread::Builder::new()
        .name(format!("device {}", config.name))
        .spawn(move || supervisor.run())
        .map_err(|e| SourceError::Thread { what: "cannot start a device's thread".to_owned(), source: Some(e) })?;
    Ok(DeviceHandle { config, readers, status, stop, thread: Some(thread) })
}

/// A channel's way to its detector.
struct Channel {
    outlet: Outlet,
    template: IqBlock,
    /// Samples received, and samples missing, since the daemon began.
    received: u64,
    lost: u64,
    clock: HostClock,
    /// UTC at which the last block ended, by its own clock: from there on the device was away.
    ended: Option<UtcNanos>,
    /// The device was away before the next block.
    was_away: bool,
}

impl Channel {
    fn new(outlet: Outlet, template: IqBlock) -> Self {
        let clock = HostClock::new(template.rate.0);
        Self { outlet, template, received: 0, lost: 0, clock, ended: None, was_away: false }
    }

    /// The device is open again, perhaps with another rate.
    fn begin(&mut self, info: &ChannelInfo) {
        self.template.format = info.format;
        self.template.rate = info.rate;
        self.template.center = info.center;
        self.clock = HostClock::new(info.rate.0);
        self.was_away = self.ended.is_some();
    }

    /// Samples are missing before the next block: time goes on without them.
    fn miss(&mut self, sample_count: u64, reason: GapReason) {
        if sample_count > 0 {
            self.lost += sample_count;
            self.ended = self.ended.map(|t| t.plus_seconds(sample_count as f64 / self.template.rate.0));
            let sensor = Arc::clone(&self.template.sensor);
            self.outlet.miss(Gap { sensor, sample_start: self.received, sample_count, reason });
        }
    }

    /// Takes a block out of the ring and hands it on.
    fn take(&mut self, ring: &Ring, block: Block) -> io::Result<Offered> {
        self.miss(block.lost, GapReason::Overflow);
        self.miss(block.dropped, GapReason::Dropped);
        self.miss(block.retuned, GapReason::Retune);
        let size = self.template.format.bytes_per_sample();
        if block.samples == 0 {
            return Ok(Offered::Nothing);
        }
        self.template.center = block.center;
        if (block.samples * size) as u64 > ring.slot_bytes() {
            return Err(io::Error::other("a block is larger than its slot"));
        }
        let rate_hz = self.template.rate.0;
        let samples = block.samples as u64;
        let host = UtcNanos(block.host_utc_ns);
        if let Some(ended) = self.ended.filter(|_| self.was_away) {
            let began = host.plus_seconds(-(samples as f64) / rate_hz);
            let away = (began.seconds_since(ended).max(0.0) * rate_hz).round() as u64;
            self.miss(away, GapReason::Disconnect);
        }
        self.was_away = false;
        let place = self.received + self.lost;
        let time = self.clock.time(place, place + samples, host);
        // A device whose clock was set, by a GPS receiver say, knows better than the host.
        let set = |ns: &i64| UtcNanos(*ns).seconds_since(host).abs() < DEVICE_CLOCK_SET_S;
        let time = block.device_ns.filter(set).map_or(time, UtcNanos);
        let (start, lost_before) = (self.received, self.lost);
        self.received += samples;
        self.ended = Some(time.plus_seconds(samples as f64 / rate_hz));
        let template = &self.template;
        let mut failed = None;
        let offered = self.outlet.offer(Patience::Drops, |out| {
            (out.format, out.rate, out.center) = (template.format, template.rate, template.center);
            out.bytes.resize(block.samples * size, 0);
            failed = ring.read(block.turn, &mut out.bytes).err();
            (out.start, out.lost_before, out.time) = (SampleIndex(start), lost_before, Some(time));
            Ok(SourceStatus::Filled)
        });
        match (failed, offered) {
            (Some(error), _) => Err(error),
            (None, Ok(offered)) => Ok(offered),
            (None, Err(error)) => Err(io::Error::other(error.to_string())),
        }
    }
}

/// Why a capture process is over.
enum Over {
    /// Nobody wants samples any more.
    Stopped,
    /// The stream came to its end.
    End,
    /// The device, its driver or its process failed.
    Failed(String),
}

struct Supervisor {
    config: DeviceConfig,
    command: CaptureCommand,
    channels: Vec<Channel>,
    status: Arc<Mutex<DeviceStatus>>,
    stop: Arc<AtomicBool>,
    bell: Sender<()>,
    /// The failure that was logged last, when, and how often it came since.
    said: Option<(String, Instant, u32)>,
}

impl Supervisor {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let over = match self.start() {
                Ok(mut process) => {
                    let over = self.listen(&mut process);
                    self.update(|s| s.process = None);
                    process.end();
                    over
                }
                Err(error) => Over::Failed(format!("starting its capture process: {error}")),
            };
            match over {
                Over::Stopped | Over::End => break,
                Over::Failed(why) => self.failed(why),
            }
            let until = Instant::now() + RETRY;
            while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.update(|s| s.restarts += 1);
        }
        self.enter(SensorState::Down);
        self.channels.clear();
        let _ = self.bell.try_send(());
    }

    /// Starts the capture process.
    fn start(&self) -> io::Result<Process> {
        // Whatever format the device will give.
        let slot_bytes = (block_samples(self.config.rate.0) * SampleFormat::Cf32.bytes_per_sample()) as u64;
        let per_channel = (RING_S * self.config.rate.0 / block_samples(self.config.rate.0) as f64).ceil().max(4.0);
        let slots = per_channel as u64 * self.channels.len() as u64;
        let ring = Ring::create(slots, slot_bytes)?;
        let (frames, to_frames) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (log, to_log) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let task = Task { device: self.config.clone(), slots, slot_bytes };
        let mut command = Command::new(&self.command.program);
        command
            .args(&self.command.arguments)
            .arg(serde_json::to_string(&task)?)
            .stdin(if self.config.stdin.is_some() { Stdio::inherit() } else { Stdio::null() })
            .stdout(to_log.try_clone()?)
            .stderr(to_log)
            .fd_mappings(vec![
                FdMapping { parent_fd: ring.file().try_clone()?.into(), child_fd: RING_FD },
                FdMapping { parent_fd: to_frames, child_fd: FRAMES_FD },
            ])
            .map_err(io::Error::other)?;
        let child = command.spawn()?;
        // The command holds the pipes' other ends: they are to close with the process.
        drop(command);
        let device = self.config.name.clone();
        std::thread::Builder::new()
            .name("driver's log".to_owned())
            .spawn(move || log_lines(&device, File::from(log)))?;
        Ok(Process { child, ring, frames: FrameReader::new(File::from(frames)) })
    }

    /// Takes what the process sends, to its end.
    fn listen(&mut self, process: &mut Process) -> Over {
        self.update(|s| s.process = Some(process.child.id()));
        let began = Instant::now();
        let (mut heard, mut moved) = (began, began);
        let mut open = false;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Over::Stopped;
            }
            let frame = match process.frames.next(Duration::from_millis(100)) {
                Ok(Heard::Frame(frame)) => frame,
                Ok(Heard::Nothing) if !open && began.elapsed() < OPENS => continue,
                Ok(Heard::Nothing) if !open => {
                    return Over::Failed(format!("its driver did not open it within {} s: given up", OPENS.as_secs()));
                }
                Ok(Heard::Nothing) if heard.elapsed() < HANGS => continue,
                Ok(Heard::Nothing) => {
                    return Over::Failed(format!("its driver hangs: no answer for {} s", HANGS.as_secs()));
                }
                Ok(Heard::Closed) => return Over::Failed(process.died()),
                Err(error) => return Over::Failed(error.to_string()),
            };
            heard = Instant::now();
            match frame {
                Frame::Ready { channels } => {
                    if channels.len() != self.channels.len() {
                        return Over::Failed("its capture process speaks of other channels".to_owned());
                    }
                    self.ready(channels);
                    (open, moved) = (true, heard);
                }
                Frame::Block(block) => {
                    moved = heard;
                    match self.block(&process.ring, block) {
                        Ok(true) => {}
                        Ok(false) => return Over::Stopped,
                        Err(error) => return Over::Failed(format!("taking samples: {error}")),
                    }
                }
                Frame::Beat if moved.elapsed() > SILENT => {
                    return Over::Failed(format!("it gave no samples for {} s", SILENT.as_secs()));
                }
                Frame::Beat => {}
                Frame::Notice(text) => tracing::warn!(device = self.config.name, "{text}"),
                Frame::Temperature(celsius) => self.update(|s| s.temperature_celsius = Some(celsius)),
                Frame::End => return Over::End,
                Frame::Failed(why) => return Over::Failed(why),
            }
        }
    }

    fn ready(&mut self, infos: Vec<ChannelInfo>) {
        for (channel, info) in self.channels.iter_mut().zip(&infos) {
            let before = channel.template.rate;
            channel.begin(info);
            if channel.was_away && before != info.rate {
                tracing::warn!(device = self.config.name, sensor = info.sensor, %before, rate = %info.rate, "It came back with another sample rate.");
            }
        }
        if let Some((_, _, times)) = self.said.take() {
            tracing::warn!(device = self.config.name, failures = times + 1, "It is back.");
        }
        self.update(|s| s.channels = infos);
        self.enter(SensorState::Listening);
    }

    /// Hands a block on. Returns whether somebody still wants one.
    fn block(&mut self, ring: &Ring, block: Block) -> io::Result<bool> {
        let Some(channel) = self.channels.get_mut(block.channel) else {
            return Err(io::Error::other(format!("there is no channel {}", block.channel)));
        };
        let before = (channel.clock.drift_ppm(), channel.clock.uncertainty_s());
        let offered = channel.take(ring, block)?;
        if block.samples > 0 {
            ring.give_back(block.turn + 1)?;
        }
        let (drift_ppm, uncertainty_s) = (channel.clock.drift_ppm(), channel.clock.uncertainty_s());
        if before != (drift_ppm, uncertainty_s) {
            self.update(|s| {
                s.drift_ppm[block.channel] = drift_ppm;
                s.uncertainty_s[block.channel] = uncertainty_s;
            });
        }
        // Somebody who has been rung for before will look.
        let _ = self.bell.try_send(());
        Ok(offered != Offered::Closed)
    }

    /// Notes a failure; logs it when it is new, and now and then while it lasts.
    fn failed(&mut self, why: String) {
        let repeated = match &mut self.said {
            Some((said, when, times)) if *said == why && when.elapsed() < LOG_WINDOW => {
                *times += 1;
                true
            }
            _ => false,
        };
        if !repeated {
            let times = self.said.as_ref().map_or(0, |(_, _, times)| *times);
            tracing::error!(
                device = self.config.name,
                attempts_before = times,
                "{why}; it is tried anew every {} s.",
                RETRY.as_secs()
            );
            self.said = Some((why.clone(), Instant::now(), times));
        }
        self.update(|s| s.last_error = Some(why));
        self.enter(SensorState::Down);
    }

    fn enter(&self, state: SensorState) {
        self.update(|s| {
            if s.state != state {
                (s.state, s.since) = (state, UtcNanos::now());
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut DeviceStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A capture process that runs.
struct Process {
    child: Child,
    ring: Ring,
    frames: FrameReader,
}

impl Process {
    /// Asks it to end, and kills it if it does not.
    fn end(&mut self) {
        // One that has ended by itself and was waited for has no number any more: it may be another's.
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let process = rustix::process::Pid::from_child(&self.child);
        // It may end just now.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        if self.ended().is_some() {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Why the pipe closed.
    fn died(&mut self) -> String {
        match self.ended() {
            Some(status) => format!("its capture process died ({status})"),
            None => "its capture process closed its pipe".to_owned(),
        }
    }

    /// How it ended, if it does so soon.
    fn ended(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + ENDS;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                ended => return ended.ok().flatten(),
            }
        }
        None
    }
}

/// Logs what a driver prints, a bounded number of lines a minute.
fn log_lines(device: &str, pipe: File) {
    let (mut lines, mut since) = (0, Instant::now());
    for line in BufReader::new(pipe).split(b'\n') {
        let Ok(line) = line else { return };
        if since.elapsed() > LOG_WINDOW {
            if lines > LOG_LINES {
                tracing::info!(device, lines = lines - LOG_LINES, "The driver printed more than is logged.");
            }
            (lines, since) = (0, Instant::now());
        }
        lines += 1;
        if lines <= LOG_LINES {
            let text = String::from_utf8_lossy(&line[..line.len().min(500)]);
            tracing::info!(device, "{}", text.trim_end());
        }
    }
}
