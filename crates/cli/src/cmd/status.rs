//! `cellwarden status`: how the box is doing, asked of the daemon.

use crate::args::StatusArgs;
use crate::failure::Failure;
use crate::listen::colour_wanted;
use cellwarden_health::{Status, table};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// The daemon is on this machine or on a network beside it: what takes longer will not come.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// 64 sensors are below 200 kB.
const ANSWER_MOST_BYTES: u64 = 16 << 20;
/// The daemon makes a snapshot every second.
const WATCH_PAUSE: Duration = Duration::from_secs(2);
/// To the upper left corner, and all below is gone.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Asks once, or until nobody reads any more.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let url = format!("http://{}/status.json", args.address);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_TIME))
        .max_redirects(0)
        // A proxy of the environment is for the world, not for a box.
        .proxy(None)
        .build()
        .into();
    let terminal = std::io::stdout().is_terminal();
    let colour = terminal && colour_wanted();
    let mut out = std::io::stdout().lock();
    loop {
        let answer = ask(&agent, &url, args);
        if args.watch && terminal && !args.json {
            write!(out, "{CLEAR}")?;
        }
        let wrong = match &answer {
            Ok((text, status)) => {
                let shown = if args.json { format!("{}\n", text.trim_end()) } else { table::render(status, colour) };
                out.write_all(shown.as_bytes())?;
                status.wrong.len()
            }
            Err(why) if args.watch => {
                // The daemon may come back: a watch goes on. What is read as JSON stays JSON.
                if args.json {
                    eprintln!("cellwarden: {why}");
                } else {
                    writeln!(out, "{why}")?;
                }
                0
            }
            Err(_) => 0,
        };
        out.flush()?;
        if !args.watch {
            answer?;
            return match wrong {
                0 => Ok(()),
                1 => Err(Failure::Run("something is wrong with the box".to_owned())),
                n => Err(Failure::Run(format!("{n} things are wrong with the box"))),
            };
        }
        if !terminal && !args.json {
            writeln!(out)?;
        }
        std::thread::sleep(WATCH_PAUSE);
    }
}

/// What the daemon answers, as text and as a status.
fn ask(agent: &ureq::Agent, url: &str, args: &StatusArgs) -> Result<(String, Status), Failure> {
    let address = &args.address;
    let mut response = agent.get(url).call().map_err(|error| match error {
        ureq::Error::StatusCode(code) => Failure::Run(format!(
            "{address} answered {code}: is this the daemon's health endpoint? See `health` in its configuration"
        )),
        error => Failure::Run(format!(
            "the daemon does not answer on {address} ({error}): does it run, and is this its health address?"
        )),
    })?;
    let text = response.body_mut().with_config().limit(ANSWER_MOST_BYTES).read_to_string().map_err(|error| {
        Failure::Run(format!("the daemon's answer on {address} broke off ({error}): ask again, and look at its log"))
    })?;
    let status = serde_json::from_str(&text).map_err(|error| {
        Failure::Run(format!(
            "what answers on {address} is no cellwarden of this version ({error}): is this its health address?"
        ))
    })?;
    Ok((text, status))
}
