//! How fast this machine's disk takes hits, and what opening and pruning cost: `measure FOLDER [HITS]`.
//!
//! Writes a store into FOLDER (which should lie on the disk in question), and deletes it at the end.

use cellwarden_store::{Limits, Store};
use cellwarden_types::{Hit, HitState, UtcNanos};
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

const HIT: &str = r#"{"id":"x","state":"open","revision":1,"block":"A","cell":null,
 "block_probability":{"A":0.7,"B":0.2,"outside":0.1},"standard":"gsm","band":"GSM900","activity":"voice",
 "start_s":0.0,"end_s":1.0,"time_start":"2026-03-01T06:00:00Z","time_end":"2026-03-01T06:00:01Z","bursts":300,
 "peak_power_dbfs":-30.0,"snr_db":20.0,"sensors":{"a-west":-31.0,"a-east":-44.0},"confidence":0.9,
 "evidence":[{"name":"training_sequence","value":0.9,"llr":4.0},{"name":"bursts","value":300.0,"llr":2.0}]}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: measure FOLDER [HITS]")?);
    let count: u32 = arguments.next().map_or(Ok(200_000), |n| n.to_string_lossy().parse())?;
    let folder = folder.join(format!("cellwarden-measure-{}", std::process::id()));
    let path = folder.join("cellwarden.db");
    let template: Hit = serde_json::from_str(HIT)?;
    let now: UtcNanos = "2026-03-01T06:00:00Z".parse()?;
    let hit = |n: u32, revision, state| Hit { id: format!("{n:08}"), revision, state, ..template.clone() };
    let (mut store, _) = Store::open(&path, Limits { size_bytes: 1 << 32, ..Limits::default() })?;
    let rate = |name: &str, count: u32, began: Instant| {
        println!("{name:<40} {:>10.0} a second", f64::from(count) / began.elapsed().as_secs_f64());
    };
    let began = Instant::now();
    for n in 0..500 {
        store.put_hit(&hit(n, 1, HitState::Closed), now)?;
    }
    rate("ends of hits, each synced", 500, began);
    let began = Instant::now();
    for n in 0..5000 {
        store.put_hit(&hit(0, n + 2, HitState::Updated), now)?;
    }
    rate("updates of hits", 5000, began);
    let began = Instant::now();
    for first in (500..count).step_by(100) {
        let hits: Vec<Hit> = (first..first + 100).map(|n| hit(n, 1, HitState::Closed)).collect();
        store.put_hits(&hits, now)?;
    }
    rate("ends of hits, a hundred at once", count.saturating_sub(500), began);
    store.close(now)?;
    println!("{:<40} {:>10} MiB", format!("{count} hits take"), path.metadata()?.len() >> 20);
    let began = Instant::now();
    let (mut store, _) = Store::open(&path, Limits::default())?;
    println!("{:<40} {:>10.0} ms", "opening, all of it checked", began.elapsed().as_secs_f64() * 1e3);
    let began = Instant::now();
    store.prune(now)?;
    println!("{:<40} {:>10.1} ms", "pruning where there is nothing to do", began.elapsed().as_secs_f64() * 1e3);
    drop(store);
    let (mut store, _) = Store::open(&path, Limits { size_bytes: 16 << 20, ..Limits::default() })?;
    let began = Instant::now();
    let pruned = store.prune(now)?;
    println!("{:<40} {:>10.0} ms", format!("deleting {} hits", pruned.hits), began.elapsed().as_secs_f64() * 1e3);
    drop(store);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
