//! What a daemon keeps in its folder of data: the store of hits and health, and evidence. Nothing where it has no folder.

use crate::archive::{About, Archive};
use crate::config::{Config, EVIDENCE, STORE};
use crate::failure::Failure;
use crate::listen::{Listening, software};
use crate::samples::Samples;
use cellwarden_evidence::{EvidenceWriter, Keys};
use cellwarden_locate::SensorInfo;
use cellwarden_selftest::TestedDetector;
use cellwarden_store::{EventLevel, Store};
use cellwarden_types::{BoxHealth, Burst, Gap, Hit, UtcNanos};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From one pruning of the store to the next.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// The store and the archive, where there is a folder for them.
pub struct Keeping {
    kept: Option<Kept>,
}

struct Kept {
    store: Store,
    archive: Archive,
    /// When the store was last pruned, and what it had to say then.
    pruned: Instant,
    said: Option<String>,
}

impl Keeping {
    /// Opens the folder of data that the configuration names. Gives, besides, hits that were open when the daemon died, and
    /// are closed now: nobody will ever hear how they went on.
    pub fn open(config: &Config, listening: &Listening) -> Result<(Self, Vec<Hit>), Failure> {
        let Some(data) = &config.data else { return Ok((Self { kept: None }, Vec::new())) };
        std::fs::create_dir_all(data).map_err(|e| Failure::Run(format!("making {}: {e}", data.display())))?;
        let archive = open_archive(data, config, listening)?;
        let (mut store, notices) = Store::open(&data.join(STORE), config.store.clone()).map_err(Failure::run)?;
        notices.iter().for_each(|notice| tracing::warn!("{notice}"));
        let orphans = close_orphans(&mut store);
        Ok((Self { kept: Some(Kept { store, archive, pruned: Instant::now(), said: None }) }, orphans))
    }

    /// Whether evidence is kept: then the histories have to reach back over a decision.
    pub fn keeps_evidence(&self) -> bool {
        self.kept.is_some()
    }

    /// Keeps that samples are missing.
    pub fn gap(&mut self, gap: &Gap) {
        if let Some(kept) = &mut self.kept {
            // What is left out is in what the store says of its trouble.
            let _ = kept.store.put_gap(gap, UtcNanos::now());
        }
    }

    /// Notes a burst, for evidence.
    pub fn burst(&mut self, burst: &Burst) {
        if let Some(kept) = &mut self.kept {
            kept.archive.burst(burst);
        }
    }

    /// Keeps what is to be said of hits: on disk before anybody hears of it. Where the disk fails it is said all the same.
    pub fn hits(&mut self, hits: &[Hit], detectors: &[&TestedDetector], sensors: &[SensorInfo]) {
        let Some(kept) = &mut self.kept else { return };
        hits.iter().for_each(|hit| kept.archive.hit(hit, detectors, sensors));
        if let Err(error) = kept.store.put_hits(hits, UtcNanos::now()) {
            tracing::error!("{error}.");
        }
    }

    /// Follows the detectors; `now` is their time.
    pub fn turn(&mut self, detectors: &[&TestedDetector], now: UtcNanos) {
        if let Some(kept) = &mut self.kept {
            kept.archive.turn(detectors, now);
        }
    }

    /// The site file has become another.
    pub fn site_changed(&mut self, listening: &Listening) {
        if let Some(kept) = &mut self.kept {
            kept.archive.set_about(about(listening));
        }
    }

    /// Keeps that a sensor began or ceased to listen.
    pub fn event(&mut self, level: EventLevel, sensor: &str, text: &str) {
        if let Some(kept) = &mut self.kept {
            // As for gaps.
            let _ = kept.store.put_event(UtcNanos::now(), level, Some(sensor), text);
        }
    }

    /// Keeps health, and lets the store keep itself in order.
    pub fn health(&mut self, health: &BoxHealth) {
        let Some(kept) = &mut self.kept else { return };
        let store = &mut kept.store;
        // As for gaps.
        let _ = store.put_health(health);
        store.flush(health.time);
        if kept.pruned.elapsed() >= PRUNE_EVERY {
            kept.pruned = Instant::now();
            if let Err(error) = store.prune(health.time) {
                tracing::error!("{error}.");
            }
        }
        store.notices().iter().for_each(|notice| tracing::warn!("{notice}"));
        let trouble = store.trouble();
        if trouble.is_some() && trouble != kept.said {
            tracing::error!("The store: {}.", trouble.as_deref().unwrap_or_default());
        }
        kept.said = trouble;
    }

    /// What cannot be kept at the moment.
    pub fn trouble(&self) -> Option<String> {
        let kept = self.kept.as_ref()?;
        let missed = kept.archive.missed();
        let unproven = (missed > 0).then(|| format!("{missed} hits have no evidence: the log says why"));
        let parts: Vec<String> = kept.store.trouble().into_iter().chain(unproven).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Writes what is left.
    pub fn close(self) -> Result<(), Failure> {
        let Some(kept) = self.kept else { return Ok(()) };
        drop(kept.archive);
        kept.store.close(UtcNanos::now()).map_err(Failure::run)
    }
}

/// Opens the folder of evidence, and says what a crash had left in it.
fn open_archive(data: &Path, config: &Config, listening: &Listening) -> Result<Archive, Failure> {
    let keys = Keys::load_or_create(&data.join("keys")).map_err(Failure::run)?;
    let sensors = config.sensors().map(Arc::from).collect();
    let writer = EvidenceWriter::open(&data.join(EVIDENCE), keys, config.evidence.clone()).map_err(Failure::run)?;
    writer.repairs().iter().for_each(|repair| tracing::warn!("Evidence: {repair}."));
    let rates_hz = config.rates_hz();
    tracing::info!("Memory: {}.", config.tiles.describe(&rates_hz, &config.rings_hz()));
    Archive::new(about(listening), sensors, config.tiles.room(&rates_hz), writer, Samples::new(config, data))
        .map_err(|e| Failure::Run(format!("starting the evidence thread: {e}")))
}

fn about(listening: &Listening) -> About {
    About {
        site_text: listening.site_text().map(str::to_owned),
        config_sha256: listening.config_sha256.clone(),
        software: software(),
    }
}

fn close_orphans(store: &mut Store) -> Vec<Hit> {
    let mut all = Vec::new();
    loop {
        match store.close_orphans(UtcNanos::now()) {
            Ok(hits) if hits.is_empty() => break,
            Ok(hits) => all.extend(hits),
            Err(error) => {
                tracing::error!("{error}.");
                break;
            }
        }
    }
    if !all.is_empty() {
        tracing::warn!(hits = all.len(), "Hits were open when the daemon ended the last time: closed.");
    }
    all
}
