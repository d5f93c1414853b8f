//! `cellwarden accept`: leads a technician with an authorised phone from place to place, and writes a signed sheet per sensor.

use crate::accept::ask::Daemon;
use crate::accept::progress::Progress;
use crate::accept::text;
use crate::args::host_and_port;
use crate::client::DaemonClient;
use crate::config::{self, Config, STORE};
use crate::daemon::wellbeing::COMMISSIONING;
use crate::failure::Failure;
use cellwarden_evidence::{Keys, Sheet, SheetPlace, SignedSheet};
use cellwarden_health::{CARRIERS_MOST, Commissioning};
use cellwarden_locate::Site;
use cellwarden_store::{EventLevel, note};
use cellwarden_types::UtcNanos;
use clap::Args;
use std::io::{BufRead, Write};
use std::path::PathBuf;

/// The sheets' folder in the folder of data.
const FOLDER: &str = "commissioning";
/// Where a corridor is to be heard, unless other places are named.
const PLACES: [&str; 2] = ["near end of the corridor", "far end of the corridor"];

/// Accept a box: is an authorised phone heard from every end of every corridor?
///
/// Asks the running daemon. For each sensor and each place it says where to go and what to do, listens, and says whether the
/// phone was heard and how loud. Then it writes a sheet for the sensor to commissioning/ in the folder of data: heard or not,
/// level, margin to full scale, clipping, losses, floor, gain, versions, hash of the configuration; signed with the box's key
/// (`cellwarden verify SHEET`). Floor, gain and ambient carriers go to commissioning.json there, which the daemon compares with
/// from its next start on, to see a sensor that went deaf.
///
/// Nothing of the phone is kept but that it was heard. Its hits are real ones: they are noted as the acceptance's in the
/// store's events, and their ids are in the sheet. Tell the control room first.
///
/// Ctrl-C at any time keeps what was done; --resume goes on with it. Ends with 0 if every place was heard, else with 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cellwarden accept                                         # every sensor, both ends of its corridor
  cellwarden accept --sensor a-west --place 'A west, door' --place 'A west, shower' --by 'M. Doe'
  cellwarden accept --resume
  cellwarden verify /var/lib/cellwarden/commissioning/a-west-20260301T060000Z.json --key evidence.pub")]
pub struct AcceptArgs {
    /// The configuration of the daemon
    #[arg(long, value_name = "FILE.toml", default_value = config::PATH)]
    config: PathBuf,
    /// The daemon's health endpoint [default: as configured]
    #[arg(long, short = 'a', value_name = "HOST:PORT", value_parser = host_and_port)]
    address: Option<String>,
    /// Only this sensor; may come again
    #[arg(long, value_name = "NAME")]
    sensor: Vec<String>,
    /// A place to go to, instead of both ends; may come again
    #[arg(long, value_name = "TEXT")]
    place: Vec<String>,
    /// Seconds to listen at each place
    #[arg(long, value_name = "S", default_value_t = 45.0)]
    seconds: f64,
    /// Who does it; it is written on the sheets
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Go on with an acceptance that was ended early
    #[arg(long)]
    resume: bool,
    /// Do not wait for Enter: somebody else sees to the phone (scripts)
    #[arg(long)]
    yes: bool,
}

/// Goes from sensor to sensor.
pub fn run(args: &AcceptArgs) -> Result<(), Failure> {
    if !(1.0..=3600.0).contains(&args.seconds) {
        return Err(Failure::Usage(format!("--seconds {}: want 1 to 3600", args.seconds)));
    }
    let config = Config::load(&args.config)?;
    let site = config.site.as_deref().map(Site::load).transpose().map_err(Failure::usage)?;
    let sensors = sensors(args, &config)?;
    let data =
        config.data.clone().ok_or_else(|| Failure::Usage("the configuration has no folder of data".to_owned()))?;
    let address = args.address.clone().or(config.health.map(|a| a.to_string()));
    let address = address.ok_or_else(|| {
        Failure::Usage(
            "health = \"off\" in the configuration: the daemon cannot be asked; give it an address".to_owned(),
        )
    })?;
    // Before the first place, not after the last.
    let keys = Keys::load_or_create(&data.join("keys")).map_err(Failure::run)?;
    let daemon = Daemon { client: DaemonClient::new(&address), store: data.join(STORE) };
    daemon.status()?;
    let mut acceptance =
        Acceptance { progress: Progress::open(&data.join(FOLDER), args.resume)?, args, site, data, daemon, keys };
    let mut unheard = Vec::new();
    for sensor in sensors {
        if acceptance.progress.written.contains(sensor) {
            println!("Sensor {sensor}: its sheet is written.");
        } else if !acceptance.sensor(sensor)? {
            unheard.push(sensor);
        }
    }
    acceptance.progress.delete()?;
    println!("\nStart the daemon anew when all is done: it compares with these values from then on.");
    if unheard.is_empty() {
        return Ok(());
    }
    Err(Failure::Run(format!("not heard from every place: {}", unheard.join(", "))))
}

/// The sensors that are to be accepted.
fn sensors<'a>(args: &'a AcceptArgs, config: &'a Config) -> Result<Vec<&'a str>, Failure> {
    let all: Vec<&str> = config.sensors().collect();
    if let Some(unknown) = args.sensor.iter().find(|s| !all.contains(&s.as_str())) {
        return Err(Failure::Usage(format!("--sensor {unknown:?}: the configuration has {}", all.join(", "))));
    }
    let chosen = |s: &&str| args.sensor.is_empty() || args.sensor.iter().any(|c| c == s);
    Ok(all.into_iter().filter(chosen).collect())
}

struct Acceptance<'a> {
    args: &'a AcceptArgs,
    site: Option<Site>,
    data: PathBuf,
    daemon: Daemon,
    keys: Keys,
    progress: Progress,
}

impl Acceptance<'_> {
    /// One sensor, and its sheet. Returns whether it heard the phone from every place.
    fn sensor(&mut self, sensor: &str) -> Result<bool, Failure> {
        self.daemon.sensor(sensor)?;
        let block = self.site.iter().flat_map(|s| &s.sensors).find(|s| s.name == sensor).and_then(|s| s.block.clone());
        println!("\nSensor {sensor}{}", block.map_or(String::new(), |b| format!(", block {b}")));
        let args = self.args;
        let usual: Vec<String> = PLACES.map(str::to_owned).to_vec();
        for place in if args.place.is_empty() { &usual } else { &args.place } {
            if self.progress.done(sensor, place) {
                println!("{place}: done before.");
                continue;
            }
            let heard = self.place(sensor, place)?;
            self.note(sensor, &heard);
            self.progress.places.entry(sensor.to_owned()).or_default().push(heard);
            self.progress.save()?;
        }
        let sheet = self.sheet(sensor)?;
        let accepted = sheet.sheet.accepted();
        let folder = self.data.join(FOLDER);
        let written: String = sheet.sheet.written.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
        let name: String = sensor.chars().map(plain).collect();
        // 20260301T060000Z, without the nanoseconds.
        let path = folder.join(format!("{name}-{}Z.json", written.get(..15).unwrap_or(&written)));
        sheet.write(&path).map_err(Failure::run)?;
        let words = path.with_extension("txt");
        let text = text::lines(&sheet.sheet);
        std::fs::write(&words, &text).map_err(|e| Failure::Run(format!("writing {}: {e}", words.display())))?;
        self.commission(&sheet.sheet)?;
        self.progress.written.insert(sensor.to_owned());
        self.progress.save()?;
        println!("{} {}", if accepted { "Accepted:" } else { "NOT accepted:" }, path.display());
        Ok(accepted)
    }

    /// Goes to a place, as often as it takes.
    fn place(&self, sensor: &str, place: &str) -> Result<SheetPlace, Failure> {
        loop {
            println!("\nGo with the authorised phone to: {place}.");
            if !self.args.yes {
                println!(
                    "Switch its airplane mode on, wait 10 s, and press Enter. Then switch it off, and place a call."
                );
                enter()?;
            }
            let seconds = self.args.seconds;
            let heard = self.daemon.listen(sensor, place, seconds, |left| {
                // A terminal counts down in one line; a log has no use for it.
                if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                    print!(
                        "\r{}",
                        if left > 0 {
                            format!("listening, {left:4} s ")
                        } else {
                            "looking …            \r".to_owned()
                        }
                    );
                    let _ = std::io::stdout().flush();
                }
            })?;
            println!("{}", text::line(&heard));
            if heard.heard || self.args.yes {
                return Ok(heard);
            }
            println!("Not heard. Enter tries again; \"n\" and Enter goes on, and leaves it as not heard.");
            if enter()?.trim() == "n" {
                return Ok(heard);
            }
        }
    }

    /// The authorised phone's hits are real ones: whoever reads the store is to know whose they are.
    fn note(&self, sensor: &str, place: &SheetPlace) {
        if place.hits.is_empty() {
            return;
        }
        let ids: Vec<&str> = place.hits.iter().map(|h| h.id.as_str()).collect();
        let text = format!("acceptance, {}: the authorised phone made hits {}", place.place, ids.join(", "));
        if let Err(error) = note(&self.daemon.store, EventLevel::Info, Some(sensor), &text, UtcNanos::now()) {
            eprintln!("cellwarden: the store does not know that these hits are the authorised phone's: {error}");
        }
    }

    fn sheet(&self, sensor: &str) -> Result<SignedSheet, Failure> {
        let (status, now) = self.daemon.sensor(sensor)?;
        let health = status.health.as_ref().ok_or_else(|| Failure::Run("the daemon made no snapshot".to_owned()))?;
        let minute = status.windows_of(sensor).first().and_then(|w| w.floor).map(|f| f.mean_dbfs_per_hz);
        let sheet = Sheet {
            schema: Sheet::SCHEMA,
            sensor: sensor.to_owned(),
            device: now.device.clone(),
            site: self.site.as_ref().map(|s| s.name.clone()),
            by: self.args.by.clone(),
            written: UtcNanos::now(),
            software: health.software.clone(),
            config_sha256: health.config_sha256.clone(),
            files_sha256: config::files_sha256(&self.args.config)?,
            center_hz: now.center,
            rate_hz: now.rate,
            gain_db: now.gain_db,
            floor_dbfs_per_hz: minute.or(now.floor_dbfs_per_hz),
            places: self.progress.places.get(sensor).cloned().unwrap_or_default(),
        };
        Ok(SignedSheet::new(sheet, &self.keys))
    }

    /// What health compares with from the daemon's next start on.
    fn commission(&self, sheet: &Sheet) -> Result<(), Failure> {
        let Some(floor_dbfs_per_hz) = sheet.floor_dbfs_per_hz else {
            println!("Its floor is not known yet: health has nothing to compare with. Accept it again later.");
            return Ok(());
        };
        let path = self.data.join(COMMISSIONING);
        let mut all = if path.exists() { Commissioning::load(&path).map_err(Failure::usage)? } else { Vec::new() };
        let before = all.iter().position(|c| c.sensor == sheet.sensor).map(|i| all.remove(i));
        let status = self.daemon.status()?;
        let mut ambient = status.ambient.0.get(&sheet.sensor).cloned().unwrap_or_default();
        ambient.truncate(CARRIERS_MOST);
        all.push(Commissioning {
            sensor: sheet.sensor.clone(),
            floor_dbfs_per_hz,
            center_hz: Some(sheet.center_hz.0),
            gain_db: sheet.gain_db,
            ambient,
            // Counted over days, not here.
            ..before.unwrap_or_default()
        });
        Commissioning::save(&all, &path).map_err(Failure::run)
    }
}

/// Waits for Enter; what was typed before it.
fn enter() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    if read == 0 {
        return Err(Failure::Run(
            "nobody presses Enter any more: go on with --resume, or use --yes in scripts".to_owned(),
        ));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_was_done_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Progress::open(folder.path(), true).is_err());
        let mut progress = Progress::open(folder.path(), false).expect("opens");
        progress.written.insert("a".to_owned());
        progress.save().expect("saves");
        assert_eq!(Progress::open(folder.path(), true).expect("opens"), progress);
        assert!(Progress::open(folder.path(), false).expect("opens").written.is_empty());
        progress.delete().expect("deletes");
        assert!(Progress::open(Path::new("/proc/nowhere"), false).is_err());
    }
}
