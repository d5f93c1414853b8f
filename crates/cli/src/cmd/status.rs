//! `cellwarden status`: how the box is doing, asked of the daemon.

use crate::args::StatusArgs;
use crate::client::DaemonClient;
use crate::failure::Failure;
use crate::listen::colour_wanted;
use cellwarden_health::table;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// The daemon makes a snapshot every second.
const WATCH_PAUSE: Duration = Duration::from_secs(2);
/// To the upper left corner, and all below is gone.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Asks once, or until nobody reads any more.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let daemon = DaemonClient::new(&args.address);
    let terminal = std::io::stdout().is_terminal();
    let colour = terminal && colour_wanted();
    let mut out = std::io::stdout().lock();
    loop {
        let answer = daemon.status();
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
