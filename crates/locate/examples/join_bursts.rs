//! Joins burst records to hits: `join_bursts BURSTS.jsonl SENSORS.json [SITE.toml] > hits.jsonl`
//!
//! SENSORS.json: `[{"name": …, "start_time": RFC 3339 or null, "noise_dbfs_per_hz": …}, …]`

use cellwarden_locate::{SensorInfo, Site, join};
use cellwarden_types::{Record, UtcNanos};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

#[derive(serde::Deserialize)]
struct Sensor {
    name: Arc<str>,
    start_time: Option<UtcNanos>,
    noise_dbfs_per_hz: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [bursts, sensors, site @ ..] = args.as_slice() else {
        return Err("usage: join_bursts BURSTS.jsonl SENSORS.json [SITE.toml]".into());
    };
    let site = site.first().map(|p| Site::load(Path::new(p))).transpose()?;
    let sensors: Vec<Sensor> = serde_json::from_str(&std::fs::read_to_string(sensors)?)?;
    let sensors: Vec<SensorInfo> = sensors
        .into_iter()
        .map(|s| SensorInfo { name: s.name, start_time: s.start_time, noise_dbfs_per_hz: s.noise_dbfs_per_hz })
        .collect();
    let mut heard = Vec::new();
    for line in std::fs::read_to_string(bursts)?.lines() {
        if let Record::Burst(burst) = serde_json::from_str(line)? {
            heard.push(burst);
        }
    }
    for hit in join(heard, &sensors, site.as_ref()) {
        println!("{}", serde_json::to_string(&Record::Hit(hit))?);
    }
    Ok(())
}
