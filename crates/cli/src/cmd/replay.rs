//! `cellwarden replay`: recordings in, hits per cell block out.

use crate::args::ReplayArgs;
use crate::engine::{Engine, SensorRun, open_options, open_recording};
use crate::failure::Failure;
use crate::listen::Listening;
use crate::sigmf_sink::Document;
use cellwarden_capture::{FileSource, Pace};
use cellwarden_iq::Recording;
use cellwarden_locate::Site;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs the whole path.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let listening = Listening::new(&args.listen, args.live)?;
    let recordings = open_all(args, listening.site.as_ref())?;
    let documents = recordings.iter().map(|(recording, name)| Document::new(name, &recording.info)).collect();
    let pace = if args.realtime { Pace::RealTime } else { Pace::FlatOut };
    let start = |(recording, name): (Recording, String)| {
        let samples = recording.info.samples;
        let source = FileSource::new(recording, Arc::from(name), pace);
        SensorRun::start(Box::new(source), samples, listening.config, args.block_samples as usize)
    };
    let sensors = recordings.into_iter().map(start).collect::<Result<_, _>>()?;
    listening.run(Engine::new(sensors), documents)
}

/// `NAME=PATH`, or a path that may itself hold an equals sign.
fn split_name(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !name.contains(['/', '\\']) && !Path::new(text).exists() => {
            (Some(name), path)
        }
        _ => (None, text),
    }
}

/// Opens every recording, and says which sensor's it is.
fn open_all(args: &ReplayArgs, site: Option<&Site>) -> Result<Vec<(Recording, String)>, Failure> {
    let options = open_options(&args.raw);
    let mut names = BTreeSet::new();
    let mut opened = Vec::new();
    for text in &args.recordings {
        let (name, path) = split_name(text);
        let path = PathBuf::from(path);
        let recording = open_recording(&path, &options)?;
        let stem = || path.file_stem().map_or("stdin".to_owned(), |s| s.to_string_lossy().into_owned());
        let name = match (name, &recording.info.sensor) {
            (Some(name), _) => name.to_owned(),
            (None, Some(name)) => name.clone(),
            (None, None) if path == Path::new("-") => "stdin".to_owned(),
            (None, None) => stem(),
        };
        if !names.insert(name.clone()) {
            return Err(Failure::Usage(format!(
                "two recordings are of sensor {name:?}: give one another name, as in west={}",
                path.display()
            )));
        }
        if let Some(site) = site {
            known_sensor(site, &name, |known| format!("{known}={}", path.display()))?;
        }
        opened.push((recording, name));
    }
    Ok(opened)
}

/// That the site file knows a sensor of this name; `hint` shows how one that it knows is typed.
pub fn known_sensor(site: &Site, name: &str, hint: impl Fn(&str) -> String) -> Result<(), Failure> {
    if site.sensor(name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = site.sensors.iter().map(|s| s.name.as_str()).collect();
    let hint = hint(names.first().copied().unwrap_or("NAME"));
    Err(Failure::Usage(format!(
        "the site file knows no sensor {name:?} (it knows {}): name the sensor, as in {hint}",
        names.join(", "),
    )))
}
