//! `cellwarden record`: whole-band samples under a permission, encrypted for somebody else to read.

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::gain::{kept, measure};
use crate::samples::Samples;
use cellwarden_capture::config::DeviceConfig;
use cellwarden_capture::process::supervisor::spawn_device;
use cellwarden_capture::{ReaderHandle, Waiting};
use cellwarden_evidence::{Grant, Permit, SampleFile, SampleVault, VaultError};
use cellwarden_iq::{Capture, SigmfHeader};
use cellwarden_types::{IqBlock, UtcNanos};
use clap::Args;
use crossbeam_channel::{Receiver, bounded};
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::TERM_SIGNALS;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Samples that may wait for the disk, in seconds.
const QUEUE_S: f64 = 2.0;
/// A device that is away is waited for so long, over the recording's own length.
const PATIENCE: Duration = Duration::from_secs(40);
const TURN: Duration = Duration::from_millis(50);

/// Record all of a receiver's band, encrypted, if the configuration has a permission for it
///
/// Samples of a registration can hold a subscriber's identity in clear. So they are kept only under a permission in the
/// configuration that says why, who allowed it, from when until when (31 days at most), which bands, and for whose public keys.
/// The box cannot read what it records: private keys belong on another machine.
///
/// Each channel of the device becomes NAME.sigmf-data.age and NAME.sigmf-meta.age in samples/ in the folder of data. What is
/// permitted, written and deleted is logged to samples.jsonl there. The files are deleted after 14 days, or what keep_days says
/// in the configuration's samples. A device that hops stays at the first of its centres. The daemon must not run: it holds the receivers. Ctrl-C ends the recording and keeps what was
/// recorded.
#[derive(Debug, Args)]
#[command(after_help = "In the configuration:
  [permission]
  reason = \"court order 12/2026\"
  granted_by = \"the governor\"
  from = \"2026-03-01T00:00:00Z\"
  until = \"2026-03-08T00:00:00Z\"
  recipients = [\"age1…\"]                         # from age-keygen
  bands = [{ low_hz = 880e6, high_hz = 915e6 }]    # each recording lies in one of them as a whole
  [samples]
  keep_days = 14

Example:
  systemctl stop cellwarden
  cellwarden record --device usb-1 --seconds 60

Who holds the private key makes a SigMF recording of it, on their machine:
  age -d -i key.txt NAME.sigmf-data.age > NAME.sigmf-data
  age -d -i key.txt NAME.sigmf-meta.age > NAME.sigmf-meta
  cellwarden replay NAME.sigmf-meta")]
pub struct RecordArgs {
    /// The configuration
    #[arg(long, value_name = "FILE.toml", default_value = config::PATH)]
    config: PathBuf,
    /// The device of the configuration
    #[arg(long, short = 'd', value_name = "NAME")]
    device: String,
    /// How long
    #[arg(long, value_name = "S")]
    seconds: f64,
}

/// Records.
pub fn run(args: &RecordArgs) -> Result<(), Failure> {
    if !(args.seconds > 0.0 && args.seconds <= 86_400.0) {
        return Err(Failure::Usage(format!("--seconds {}: want more than 0 and at most 86400", args.seconds)));
    }
    let mut config = Config::load(&args.config)?;
    let data =
        config.data.clone().ok_or_else(|| Failure::Usage("the configuration has no folder of data".to_owned()))?;
    let grant = config.permission.clone().ok_or_else(|| {
        let path = args.config.display();
        Failure::Usage(format!(
            "{path} has no [permission] to keep samples: `cellwarden record --help` says what it takes"
        ))
    })?;
    let grant = grant.check(UtcNanos::now()).map_err(Failure::usage)?;
    config.no_daemon()?;
    kept::resolve(&mut config)?;
    // Samples of several centres are not one recording, and each centre would take a permission of its own.
    let device = &config.chosen(Some(&args.device))?[0].staying();
    for channel in &device.channels {
        // Refused before a device is opened. What is logged is what the device then takes.
        let _ = grant.permit(UtcNanos::now(), channel.center, device.rate).map_err(Failure::usage)?;
    }
    let samples = Samples::new(&config, &data);
    let vault = samples.open()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        let register = signal_hook::flag::register(*signal, Arc::clone(&stop));
        register.map_err(|e| Failure::Run(format!("asking for signals: {e}")))?;
    }
    Recording { grant: &grant, samples: &samples, vault: &vault, stop: &stop, seconds: args.seconds }.run(device)
}

struct Recording<'a> {
    grant: &'a Grant,
    samples: &'a Samples,
    vault: &'a SampleVault,
    stop: &'a AtomicBool,
    seconds: f64,
}

/// One channel's file, and what became of its samples.
struct Track<'a> {
    file: SampleFile<'a>,
    first: IqBlock,
    /// Index in the stream of the first sample, lost ones included.
    base: u64,
    written: u64,
    lost: u64,
    over: bool,
}

impl Recording<'_> {
    fn run(&self, device: &DeviceConfig) -> Result<(), Failure> {
        let (ring, bell) = bounded(1);
        let mut handle =
            spawn_device(device.clone(), crate::cmd::capture::command(), QUEUE_S, ring).map_err(Failure::run)?;
        let mut readers = std::mem::take(&mut handle.readers);
        let until = Instant::now() + PATIENCE + Duration::from_secs_f64(self.seconds);
        // The permission has to hold for what the device took, which may not be what it was asked for.
        let Some(firsts) = self.first_blocks(&mut readers, &bell, until, || handle.status().last_error)? else {
            return Err(Failure::Run("ended before the first sample: nothing was recorded".to_owned()));
        };
        let mut permits = Vec::new();
        for block in &firsts {
            let (permit, event) = self.grant.permit(UtcNanos::now(), block.center, block.rate).map_err(Failure::run)?;
            self.samples.log(&[event])?;
            permits.push(permit);
        }
        let mut tracks = Vec::new();
        for (block, permit) in firsts.into_iter().zip(&permits) {
            tracks.push(self.begin(permit, block)?);
        }
        let outcome = self.record(&mut tracks, &mut readers, &bell, until);
        if let Err(failure) = &outcome {
            eprintln!("cellwarden: {failure}: what was recorded before is kept");
        }
        let mut all_written = Ok(());
        for track in tracks {
            if let Err(failure) = self.finish(track) {
                eprintln!("cellwarden: {failure}");
                all_written = Err(Failure::Run("not every recording could be written: see above".to_owned()));
            }
        }
        outcome.and(all_written)
    }

    /// The first block of every channel; none if it is to stop.
    fn first_blocks(
        &self,
        readers: &mut [ReaderHandle],
        bell: &Receiver<()>,
        until: Instant,
        failed: impl Fn() -> Option<String>,
    ) -> Result<Option<Vec<IqBlock>>, Failure> {
        let mut firsts: Vec<Option<IqBlock>> = readers.iter().map(|_| None).collect();
        while firsts.iter().any(Option::is_none) {
            let _ = bell.recv_timeout(TURN);
            for (first, reader) in firsts.iter_mut().zip(&mut *readers) {
                if first.is_none() {
                    if let Waiting::Block(block) = reader.try_recv().map_err(Failure::run)? {
                        *first = Some(block);
                    }
                }
            }
            if let Some(why) = failed() {
                return Err(Failure::Run(format!("{why}{}", measure::BUSY)));
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if Instant::now() > until {
                return Err(Failure::Run("the device gives no samples: is it in order?".to_owned()));
            }
        }
        Ok(Some(firsts.into_iter().flatten().collect()))
    }

    fn begin<'p>(&self, permit: &'p Permit<'p>, first: IqBlock) -> Result<Track<'p>, Failure> {
        let header = SigmfHeader {
            format: first.format,
            rate: first.rate,
            center: first.center,
            time: first.time,
            sensor: Some(first.sensor.to_string()),
            description: format!("recorded under permission: {}", permit.permission().reason),
            recorder: crate::listen::software(),
        };
        let now = UtcNanos::now();
        let mut file = self.vault.begin(permit, now, header).map_err(Failure::run)?;
        file.write(now, &first.bytes).map_err(Failure::run)?;
        let (base, written) = (first.start.0 + first.lost_before, first.samples() as u64);
        Ok(Track { file, first, base, written, lost: 0, over: false })
    }

    fn record(
        &self,
        tracks: &mut [Track<'_>],
        readers: &mut [ReaderHandle],
        bell: &Receiver<()>,
        until: Instant,
    ) -> Result<(), Failure> {
        let bar = ProgressBar::new(self.seconds.ceil() as u64);
        let style = ProgressStyle::with_template("recording [{bar:40}] {pos} of {len} s, {msg}");
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        while tracks.iter().any(|t| !t.over) && !self.stop.load(Ordering::Relaxed) {
            let _ = bell.recv_timeout(TURN);
            for (track, reader) in tracks.iter_mut().zip(&mut *readers) {
                while !track.over {
                    match reader.try_recv().map_err(Failure::run)? {
                        Waiting::Block(block) => {
                            track.take(&block, self.seconds)?;
                            reader.recycle(block);
                        }
                        Waiting::Nothing => break,
                        Waiting::End => track.over = true,
                    }
                }
            }
            let slowest = tracks.iter().map(Track::seconds).fold(self.seconds, f64::min);
            bar.set_position(slowest as u64);
            bar.set_message(format!("{} samples lost", tracks.iter().map(|t| t.lost).sum::<u64>()));
            if Instant::now() > until {
                bar.finish_and_clear();
                return Err(Failure::Run("the device gives no more samples".to_owned()));
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn finish(&self, track: Track<'_>) -> Result<(), Failure> {
        let Track { file, first, written, lost, .. } = track;
        let (path, event) = file.finish(UtcNanos::now()).map_err(Failure::run)?;
        self.samples.log(&[event])?;
        let seconds = written as f64 / first.rate.0;
        println!("{}: {written} samples, {seconds:.3} s; {lost} samples were lost", path.display());
        Ok(())
    }
}

impl Track<'_> {
    /// Seconds since its first sample, lost ones included.
    fn seconds(&self) -> f64 {
        (self.written + self.lost) as f64 / self.first.rate.0
    }

    /// Writes a block, up to the recording's end.
    fn take(&mut self, block: &IqBlock, most_s: f64) -> Result<(), Failure> {
        if (block.format, block.rate, block.center) != (self.first.format, self.first.rate, self.first.center) {
            let device = format!("{} at {}, {}", block.rate, block.center, block.format);
            return Err(Failure::Run(format!("the device came back with other settings ({device})")));
        }
        let now = UtcNanos::now();
        let place = (block.start.0 + block.lost_before).saturating_sub(self.base);
        let left = ((most_s * self.first.rate.0) as u64).saturating_sub(self.written + self.lost);
        let missing = place.saturating_sub(self.written + self.lost).min(left);
        let left = left - missing;
        self.lost += missing;
        if missing > 0 && left > 0 {
            let (center, time) = (block.center, block.time);
            let capture = Capture { sample_start: self.written, center, time, global_index: Some(place) };
            self.file.capture(now, capture).map_err(Failure::run)?;
        }
        let samples = left.min(block.samples() as u64);
        let bytes = &block.bytes[..samples as usize * block.format.bytes_per_sample()];
        match self.file.write(now, bytes) {
            Ok(()) => self.written += samples,
            Err(VaultError::NotPermitted(why)) => return Err(Failure::run(why)),
            Err(error) => return Err(Failure::run(error)),
        }
        self.over = samples == left;
        Ok(())
    }
}
