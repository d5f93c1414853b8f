//! `cellwarden gain`: steps through a device's gains, and says which one it has to be.

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::gain::choose::{Aim, Choice, Limit, Step, choose, rises};
use crate::gain::kept::{self, MeasuredGain};
use crate::gain::measure;
use cellwarden_capture::config::{DeviceConfig, Origin};
use cellwarden_capture::receiver::probe_device;
use cellwarden_types::UtcNanos;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::TERM_SIGNALS;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Measure which gain a receiver has to be set to, so that a phone beside it does not clip
///
/// Listens at each gain that the device has, through the same capture process as the daemon (which must not hold it: end it
/// first). At low gain the noise floor is the converter's and stays; at high gain it is the receiver's own and rises dB for dB.
/// There it is thermal noise (-174 dBm/Hz) plus the noise figure, which tells what a dBm at the input reads in dBFS. Chosen is
/// the highest gain at which the loudest phone stays at the target, and nothing in the air clips.
///
/// --phone-dbm is that phone at the receiver's input, behind cable, filter and attenuator. A GSM phone at full power (33 dBm)
/// 3 m away gives about -14 dBm at an antenna of 0 dBi, an LTE phone (23 dBm) -24 dBm; the default is -20 dBm, the most that
/// common receivers should get: with less, put a pad in. At the target of -6 dBFS an LTE signal's peaks still fit.
///
/// A device that hops is measured at the first of its centres, and its gain is the same at all: put the loudest band first.
///
/// Nobody should use a phone nearby meanwhile. It is right to about 3 dB: the noise figure is a data sheet's, and what comes
/// in by the antenna counts as noise, which errs on the side of too little gain.
///
/// With --write the gain goes to gain.json in the folder of data, for a device with gain = "measured" in the configuration.
/// The daemon then uses that number, fixed, and refuses to start if device, rate, centre, antenna or bandwidth are others.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  systemctl stop cellwarden
  cellwarden gain                                         # every device of /etc/cellwarden/cellwarden.toml
  cellwarden gain --device usb-1 --phone-dbm -30 --write  # a pad of 16 dB, and the daemon is to use it
  cellwarden gain --config box.toml --device gatehouse --gains 0,9,14,27,37,49.6")]
pub struct GainArgs {
    /// The configuration
    #[arg(long, value_name = "FILE.toml", default_value = config::PATH)]
    config: PathBuf,
    /// Only this device of the configuration
    #[arg(long, short = 'd', value_name = "NAME")]
    device: Option<String>,
    /// From one gain to the next, in dB
    #[arg(long, value_name = "DB", default_value_t = 3.0)]
    step: f64,
    /// These gains, in dB, instead of all that the device has (rtl_tcp cannot say which it has)
    #[arg(long, value_name = "DB,DB,…", value_delimiter = ',', allow_negative_numbers = true, conflicts_with = "step")]
    gains: Vec<f64>,
    /// Seconds to listen at each gain
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// The receiver's noise figure, in dB; with a preamplifier, that of both together
    #[arg(long, value_name = "DB", default_value_t = 6.0)]
    noise_figure: f64,
    /// The loudest phone, at the receiver's input, in dBm
    #[arg(long, value_name = "DBM", default_value_t = -20.0, allow_negative_numbers = true)]
    phone_dbm: f64,
    /// Where that phone is to read at most, in dBFS
    #[arg(long, value_name = "DBFS", default_value_t = -6.0, allow_negative_numbers = true)]
    target_dbfs: f64,
    /// Keep the gain for the daemon
    #[arg(long)]
    write: bool,
}

/// Measures the devices one after the other.
pub fn run(args: &GainArgs) -> Result<(), Failure> {
    let aim = checked(args)?;
    let config = Config::load(&args.config)?;
    config.no_daemon()?;
    let devices = config.chosen(args.device.as_deref())?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        let register = signal_hook::flag::register(*signal, Arc::clone(&stop));
        register.map_err(|e| Failure::Run(format!("asking for signals: {e}")))?;
    }
    let mut refused = Vec::new();
    for device in devices {
        let mut measured = Vec::new();
        for (channel, steps) in device.channels.iter().zip(listen(args, device, &stop)?) {
            let sensor = format!("device {:?}, sensor {:?}", device.name, channel.sensor);
            let found = choose(&steps, &aim);
            print(&sensor, &steps, found.as_ref().ok())?;
            if device.hop.is_some() {
                let (center, all) = (channel.center, channel.centers.len());
                writeln!(
                    std::io::stdout(),
                    "Measured at {center}, the first of {all} centres: the gain is that of all."
                )?;
            }
            match found {
                Ok(choice) => {
                    say(&choice, &aim)?;
                    measured.push(MeasuredGain {
                        gain_db: choice.gain_db,
                        full_scale_dbm: choice.full_scale_dbm,
                        floor_dbfs_per_hz: choice.floor_dbfs_per_hz,
                        cost_db: choice.cost_db,
                        ..MeasuredGain::of(device, channel, UtcNanos::now())
                    });
                }
                Err(why) => {
                    writeln!(std::io::stdout(), "No gain: {why}.\n")?;
                    refused.push(sensor);
                }
            }
        }
        configure(args, &config, device, measured)?;
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(Failure::Run(format!("no gain for {}: see above", refused.join("; "))))
    }
}

fn checked(args: &GainArgs) -> Result<Aim, Failure> {
    let within = |name: &str, value: f64, low: f64, high: f64| {
        let good = (low..=high).contains(&value);
        if good { Ok(()) } else { Err(Failure::Usage(format!("{name} {value}: want {low} to {high}"))) }
    };
    within("--step", args.step, 0.5, 20.0)?;
    within("--seconds", args.seconds, 0.2, 60.0)?;
    within("--noise-figure", args.noise_figure, 0.0, 40.0)?;
    within("--phone-dbm", args.phone_dbm, -120.0, 30.0)?;
    within("--target-dbfs", args.target_dbfs, -60.0, 0.0)?;
    args.gains.iter().try_for_each(|&g| within("--gains", g, -100.0, 200.0))?;
    Ok(Aim { phone_dbm: args.phone_dbm, target_dbfs: args.target_dbfs, noise_figure_db: args.noise_figure })
}

/// Steps through the gains; for each channel what was heard at each, from the lowest on.
fn listen(args: &GainArgs, device: &DeviceConfig, stop: &AtomicBool) -> Result<Vec<Vec<Step>>, Failure> {
    let mut gains = args.gains.clone();
    if gains.is_empty() {
        let Origin::Soapy(address) = device.origin().map_err(|e| Failure::Usage(e.to_string()))? else {
            let text = "only SoapySDR says which gains a device has: name them, as in --gains 0,9,20,30,40,49.6";
            return Err(Failure::Usage(format!("device {:?}: {text}", device.name)));
        };
        let failed = |e| Failure::Run(format!("device {:?}: {e}{}", device.name, measure::BUSY));
        gains = measure::gains(device, &probe_device(address).map_err(failed)?, args.step)?;
    }
    gains.sort_by(f64::total_cmp);
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos} of {len} gains, {eta} left");
    let bar = ProgressBar::new(gains.len() as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(device.name.clone());
    let mut channels = vec![Vec::new(); device.channels.len()];
    for gain_db in gains {
        let steps = measure::step(device, gain_db, args.seconds, &|| stop.load(Ordering::Relaxed))?;
        for (all, step) in channels.iter_mut().zip(steps) {
            // A driver that has no such gain takes the next one: it is not measured twice.
            if all.last().is_none_or(|last: &Step| step.gain_db > last.gain_db + 0.01) {
                all.push(step);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(channels)
}

fn print(sensor: &str, steps: &[Step], choice: Option<&Choice>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{sensor}")?;
    writeln!(out, "   gain      floor  its own    clipped       peak    phone     lost  strongest carrier")?;
    writeln!(out, "     dB    dBFS/Hz        %          %       dBFS     dBFS       dB  dBFS, MHz")?;
    let best = steps.iter().map(|s| s.floor_dbfs_per_hz - s.gain_db).fold(f64::INFINITY, f64::min);
    for (step, rise) in steps.iter().zip(rises(steps)) {
        let mark = if choice.is_some_and(|c| c.gain_db == step.gain_db) { '>' } else { ' ' };
        let own = rise.map_or("-".to_owned(), |r| format!("{:.0}", 100.0 * r));
        let phone = choice.map_or("-".to_owned(), |c| format!("{:.1}", c.phone_dbfs + step.gain_db - c.gain_db));
        let lost = step.floor_dbfs_per_hz - step.gain_db - best;
        let strongest =
            step.strongest.map_or("-".to_owned(), |c| format!("{:.1}, {:.3}", c.level_dbfs, c.center_hz / 1e6));
        writeln!(
            out,
            "{mark} {:5.1} {:10.1} {own:>8} {:>10.4} {:10.1} {phone:>8} {lost:8.1}  {strongest}",
            step.gain_db,
            step.floor_dbfs_per_hz,
            100.0 * step.clip_share,
            step.peak_dbfs
        )?;
    }
    Ok(())
}

fn say(choice: &Choice, aim: &Aim) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let limit = match choice.limit {
        Limit::Phone => "more would take the phone above the target",
        Limit::Ambient => "with more, what is in the air clips",
        Limit::Device => "the device has no more",
    };
    writeln!(
        out,
        "{:.1} dB: a phone of {} dBm reads {:.1} dBFS, noise is {:.1} dBm/Hz at the input; {limit}. It costs {:.1} dB of sensitivity \
         against the best gain. A dBm is known from the floor at {:.1} dB and a noise figure of {} dB.",
        choice.gain_db,
        aim.phone_dbm,
        choice.phone_dbfs,
        choice.floor_dbm_per_hz,
        choice.cost_db,
        choice.reference_db,
        aim.noise_figure_db
    )?;
    Ok(writeln!(out, "In the site file: full_scale_dbm = {:.1}\n", choice.full_scale_dbm)?)
}

/// Says what to write into the configuration, or keeps the gains for the daemon.
fn configure(args: &GainArgs, config: &Config, device: &DeviceConfig, gains: Vec<MeasuredGain>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if gains.is_empty() {
        return Ok(());
    }
    let from_file = device.unmeasured().next().is_some();
    if !args.write {
        for gain in &gains {
            writeln!(out, "In the configuration, sensor {:?}: gain = {:.1}", gain.sensor, gain.gain_db)?;
        }
        return Ok(writeln!(out, "Or gain = \"measured\" there, and --write here.\n")?);
    }
    let path = kept::path(config)?;
    kept::save(&path, gains)?;
    writeln!(out, "Written to {}.", path.display())?;
    if !from_file {
        writeln!(out, "The configuration of {:?} does not use it yet: set gain = \"measured\" there.", device.name)?;
    }
    Ok(writeln!(out)?)
}
