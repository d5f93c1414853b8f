//! What can be typed.

use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Finds contraband phones by what they transmit, and says in which cell block.
///
/// cellwarden only listens: it never transmits, never decodes content, and never reads or
/// keeps a subscriber's or a device's identity.
#[derive(Debug, Parser)]
#[command(name = "cellwarden", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Replay(ReplayArgs),
    Run(RunArgs),
    Simulate(SimulateArgs),
    Info(InfoArgs),
    Check(CheckArgs),
    Devices(DevicesArgs),
    Accept(crate::cmd::accept::AcceptArgs),
    Record(crate::cmd::record::RecordArgs),
    Gain(crate::cmd::gain::GainArgs),
    Hits(crate::cmd::hits::HitsArgs),
    Learned(LearnedArgs),
    Plan(crate::cmd::plan::PlanArgs),
    Bench(BenchArgs),
    #[command(hide = true, name = crate::cmd::capture::NAME)]
    Capture(CaptureArgs),
    Verify(VerifyArgs),
    Status(StatusArgs),
    /// Print a completion script for your shell
    ///
    /// cellwarden completions bash > /etc/bash_completion.d/cellwarden
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages: cellwarden.1, and one for each subcommand
    #[command(hide = true)]
    Man {
        /// The folder to write to; it is made if it does not exist
        #[arg(value_name = "DIR")]
        out: PathBuf,
    },
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: hits per cell block, and what each sensor heard and lost
    Table,
    /// JSON Lines, one record a line, the summary last
    Jsonl,
    /// Comma-separated: hits, or bursts with --bursts
    Csv,
    /// SigMF metadata with the bursts as annotations
    Sigmf,
}

/// How raw samples are to be read, where the file does not say it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Raw samples")]
pub struct RawArgs {
    /// Sample type: cu8, cs8, cs16 or cf32 (little endian)
    #[arg(long = "type", value_name = "TYPE")]
    pub sample_type: Option<SampleFormat>,
    /// Sample rate in hertz, with k, M or G (10M)
    #[arg(long, value_name = "HZ", value_parser = positive)]
    pub rate: Option<Hertz>,
    /// Centre frequency in hertz, with k, M or G (902.4M)
    #[arg(long, value_name = "HZ", value_parser = positive)]
    pub center: Option<Hertz>,
    /// Time of the first sample (2026-03-01T06:00:00Z)
    #[arg(long, value_name = "RFC3339")]
    pub time: Option<UtcNanos>,
}

fn positive(text: &str) -> Result<Hertz, String> {
    let hertz: Hertz = text.parse().map_err(|e: cellwarden_types::units::ParseHertzError| e.to_string())?;
    if hertz.0 > 0.0 { Ok(hertz) } else { Err(format!("{text:?} is not above zero")) }
}

/// Find phones in recordings
///
/// Several recordings in one run are sensors that listened at the same time. With a site file,
/// each hit names the cell block.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden replay corridor.sigmf-meta
  cellwarden replay --site site.toml a-west=w.sigmf-meta a-east=e.sigmf-meta
  cellwarden replay --bursts --format jsonl gqrx_20260301_060000_902400000_2400000_fc.raw
  rx_sdr -f 902.4M -s 2.4M - | cellwarden replay --type cs16 --rate 2.4M --center 902.4M -")]
pub struct ReplayArgs {
    /// A recording: SigMF, raw, WAV, HDF5, or - for standard input; NAME= before it names the sensor
    #[arg(required = true, value_name = "[NAME=]RECORDING")]
    pub recordings: Vec<String>,
    /// Print hits as they open and change, not only closed ones
    #[arg(long)]
    pub live: bool,
    /// Play at the recording's own pace
    #[arg(long)]
    pub realtime: bool,
    /// Samples in a block; the result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub block_samples: u32,
    #[command(flatten)]
    pub listen: ListenArgs,
    #[command(flatten)]
    pub raw: RawArgs,
}

/// How to listen, and how to print.
#[derive(Clone, Debug, Args)]
pub struct ListenArgs {
    /// The site file: blocks, sensors, outside
    #[arg(long, value_name = "SITE.toml")]
    pub site: Option<PathBuf>,
    /// How to print; a table on a terminal, else JSON Lines
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Print every burst as well
    #[arg(long)]
    pub bursts: bool,
    /// How deep to look
    #[arg(long, value_enum, default_value = "live")]
    pub depth: DepthArg,
    /// Threads to work on; the result is the same for any number [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Read what the detectors have learned from DIR before, and write it there after; `cellwarden learned` shows it
    /// [default: for the daemon, the folder "learned" of its data]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// What the search for preambles of base stations that are known may cost each sensor, in cores; what that leaves
    /// out is counted
    #[arg(long, value_name = "CORES", default_value_t = 0.5, value_parser = cores)]
    pub search_cores: f64,
}

fn cores(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(cores) if (0.0..=64.0).contains(&cores) => Ok(cores),
        _ => Err(format!("{text:?} is no number of cores from 0 to 64")),
    }
}

/// Show what detectors have learned: the base stations whose phones were heard
///
/// Where a base station takes preambles, of which roots, how often they were heard, and its carrier's centre and
/// bandwidth. Nothing of it says who called. A daemon writes this every five minutes and when it ends; a replay with --state when it ends.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden learned
  cellwarden learned --json /var/lib/cellwarden/learned/a-west.json")]
pub struct LearnedArgs {
    /// The folder, or one sensor's file of it
    #[arg(value_name = "PATH", default_value = "/var/lib/cellwarden/learned")]
    pub path: PathBuf,
    /// Print JSON Lines, a base station a line
    #[arg(long)]
    pub json: bool,
}

/// Find phones with receivers, until Ctrl-C
///
/// Reports hits as they open, change and close. Without options the devices are those of
/// /etc/cellwarden/cellwarden.toml and conf.d beside it; --config names another file; with --rate,
/// --center and a source it is one receiver, for a quick look. cellwarden only receives. Automatic
/// gain is switched off: levels place phones.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden run --config box.toml
  cellwarden run --device driver=rtlsdr --center 902.4M --rate 2.4M --gain 30
  cellwarden run --device driver=airspy,serial=1 --center 897.5M --rate 10M --gain 12 --site site.toml a-west
  cellwarden run --rtl-tcp 10.0.0.7:1234 --center 902.4M --rate 2.4M --gain 30
  rx_sdr -f 902.4M -s 2.4M -F CS16 - | cellwarden run --stdin cs16 --center 902.4M --rate 2.4M")]
pub struct RunArgs {
    /// The sensor's name, as the site file has it
    #[arg(value_name = "SENSOR", default_value = "radio")]
    pub sensor: String,
    /// The configuration [default: /etc/cellwarden/cellwarden.toml]
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// A SoapySDR device, key=value,key=value; empty for the first that is found
    #[arg(long, short = 'd', value_name = "ARGS", conflicts_with_all = ["rtl_tcp", "stdin"])]
    pub device: Option<String>,
    /// A server of rtl_tcp
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "stdin")]
    pub rtl_tcp: Option<String>,
    /// Samples from standard input: cu8, cs8, cs16 or cf32
    #[arg(long, value_name = "TYPE")]
    pub stdin: Option<SampleFormat>,
    /// Receive channel
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub channel: usize,
    /// Centre frequency in hertz, with k, M or G (902.4M)
    #[arg(long, value_name = "HZ", value_parser = positive)]
    pub center: Option<Hertz>,
    /// Sample rate in hertz, with k, M or G (10M)
    #[arg(long, value_name = "HZ", value_parser = positive)]
    pub rate: Option<Hertz>,
    /// Overall gain in dB
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    pub gain: Option<f64>,
    /// The antenna's name [default: the driver's choice]
    #[arg(long, value_name = "NAME")]
    pub antenna: Option<String>,
    /// Bandwidth of the analogue filter [default: the driver's choice]
    #[arg(long, value_name = "HZ", value_parser = positive)]
    pub bandwidth: Option<Hertz>,
    /// What the receiver's oscillator is too fast, in parts per million
    #[arg(long, value_name = "PPM", default_value_t = 0.0, allow_negative_numbers = true)]
    pub ppm: f64,
    /// End after so many seconds of samples
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// What the daemon tells its capture process.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// JSON
    pub task: String,
}

/// The detector's depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DepthArg {
    /// Energy only: nothing is named, so there are no hits
    Energy,
    /// What a daemon does: all that keeps up with a receiver
    Live,
    /// Everywhere, for the faintest preambles: many times slower than real time
    Full,
}

/// Make recordings with known truth from a scene
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cellwarden simulate testdata/corridor/scene.toml --out /tmp/corridor")]
pub struct SimulateArgs {
    /// The scene file
    #[arg(value_name = "SCENE.toml")]
    pub scene: PathBuf,
    /// The folder to write to; it is made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Say what is in a recording
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden info corridor.sigmf-meta
  cellwarden info corridor.sigmf-meta --png corridor.png")]
pub struct InfoArgs {
    /// The recording
    #[arg(value_name = "RECORDING")]
    pub recording: PathBuf,
    /// Draw its spectrum over time, with the bursts on it
    #[arg(long, value_name = "FILE.png")]
    pub png: Option<PathBuf>,
    #[command(flatten)]
    pub raw: RawArgs,
}

/// Check site files and configurations
///
/// A file with devices is a configuration: its site file and the names of its sensors are checked as
/// well. With --device its devices are opened, and asked whether they can do what is asked of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden check configs/corridor-site.toml
  cellwarden check --device /etc/cellwarden/cellwarden.toml")]
pub struct CheckArgs {
    /// Site files and configurations
    #[arg(value_name = "FILE.toml", required = true)]
    pub files: Vec<PathBuf>,
    /// Open the devices of a configuration, and hold its settings against what they can do
    #[arg(long)]
    pub device: bool,
}

/// List the receivers that SoapySDR finds, and what they can do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden devices
  cellwarden devices --probe driver=rtlsdr")]
pub struct DevicesArgs {
    /// Only devices that match, key=value,key=value
    #[arg(value_name = "ARGS", default_value = "")]
    pub device: String,
    /// Open each, and print its antennas, gains, rates, frequencies, clocks and formats
    #[arg(long)]
    pub probe: bool,
}

/// Measure this machine: million samples a second by stage, and against a bare FFT (JSON)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden bench
  cellwarden bench --rate 10M --type cs8 --threads 2 --seconds 10")]
pub struct BenchArgs {
    /// Sample rate of the signal
    #[arg(long, default_value = "20M", value_parser = positive)]
    pub rate: Hertz,
    /// Seconds of signal
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Sample type of the signal
    #[arg(long = "type", default_value = "cs16")]
    pub format: SampleFormat,
    /// Threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
}

/// How a verdict is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerdictFormat {
    /// For people: what was checked, what it means, and what it does not prove
    Table,
    /// One JSON object
    Json,
}

/// Check evidence files and acceptance sheets: was anything changed, is any missing, do the bursts give the hit?
///
/// A file that ends in .json is a sheet of `cellwarden accept`: its signature is checked. All others are evidence. Works on any machine, without the box that wrote the files. Three things are checked. Content: every part of a file has
/// the SHA-256 that the box signed. Origin: the signature is that of the box's key; the key has to come from
/// somewhere else than the files (ask for the box's evidence.pub, or for the line that it holds). The hit: made again
/// from the burst records in the file, it is the same.
///
/// With --chain, the whole folder is checked: which files the box wrote, in which order, that none is missing, and which
/// were deleted by its own rules.
///
/// Exit status: 0 all fits, 1 something does not, 2 wrong usage.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden verify 00000017-20260301T060000.051050Z-a-west-897900k.h5 --key evidence.pub
  cellwarden verify --chain /var/lib/cellwarden/evidence --key 'cellwarden-ed25519 BASE64 NAME'
  cellwarden verify exported.h5 --chain /mnt/box/evidence --key evidence.pub    # and is it of that chain?
  cellwarden verify exported.h5 --format json
  cellwarden verify a-west-20260301T060000Z.json --key evidence.pub             # the sheet of an acceptance")]
pub struct VerifyArgs {
    /// An evidence file (with --chain, it must belong to that chain), or an acceptance sheet
    #[arg(value_name = "FILE", required_unless_present = "chain")]
    pub files: Vec<PathBuf>,
    /// The box's public key, or a file that holds it; without, a file only proves that it was not changed since
    /// somebody signed it
    #[arg(long, value_name = "KEY|FILE")]
    pub key: Option<String>,
    /// Check the evidence folder DIR as a whole
    #[arg(long, value_name = "DIR")]
    pub chain: Option<PathBuf>,
    /// A head of the chain that was noted elsewhere, such as in a log; it must be in the chain. May come again
    #[arg(long, value_name = "SHA-256", requires = "chain")]
    pub head: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: VerdictFormat,
    /// Read one file and hand it on: this program starts itself so, because HDF5 files of strangers can crash a process
    #[arg(long, hide = true, num_args = 0, conflicts_with_all = ["chain", "key", "head"])]
    pub read_apart: bool,
}

/// Say how the box is doing: is every sensor listening, does it hear what it should, what is lost?
///
/// Asks the running daemon. A line for each sensor: clipped and lost samples of the last 1, 5 and 15 minutes, bursts an
/// hour, noise floor, drift of its clock. Then what is wrong, in words. Ends with 0 if all is well, with 1 if something
/// is wrong or the daemon does not answer.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden status                                  is all well?
  cellwarden status --watch                          look on while an antenna is moved
  cellwarden status --address 10.0.0.7:9464          another box
  cellwarden status --json | jq '.verdicts[] | select(.judgement != \"fine\")'
  cellwarden status >/dev/null || echo 'look at the box'")]
pub struct StatusArgs {
    /// Where the daemon's health endpoint listens: HOST:PORT
    #[arg(long, short = 'a', value_name = "HOST:PORT", default_value = "127.0.0.1:9464", value_parser = host_and_port)]
    pub address: String,
    /// Print all that the daemon tells, as JSON
    #[arg(long)]
    pub json: bool,
    /// Ask again every two seconds, until Ctrl-C
    #[arg(long, short = 'w')]
    pub watch: bool,
}

pub fn host_and_port(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, p)| p.parse::<u16>().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c);
    match port {
        Some(1..) if text.chars().all(plain) => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is no address and port: want one like 127.0.0.1:9464")),
    }
}
