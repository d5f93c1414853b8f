//! What a sensor heard from one moment to another: from the daemon's counters, and from its store.

use crate::client::DaemonClient;
use crate::failure::Failure;
use cellwarden_evidence::{SheetHit, SheetPlace};
use cellwarden_health::Status;
use cellwarden_store::{HitQuery, Reader};
use cellwarden_types::{SensorHealth, SensorState, UtcNanos};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Hits are stored within so long of their bursts.
const STORED_WITHIN: Duration = Duration::from_secs(2);
/// A daemon that was just started makes its first snapshot within so long.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(5);
/// A phone that was just told what to do may be a little early.
const EARLY_S: f64 = 0.5;
/// One screen of hits and more: nobody makes so many in a minute.
const HITS_MOST: usize = 1000;

/// The daemon and its store.
pub struct Daemon {
    /// By its health endpoint.
    pub client: DaemonClient,
    /// The store's path.
    pub store: PathBuf,
}

impl Daemon {
    /// How it is doing.
    pub fn status(&self) -> Result<Status, Failure> {
        let until = Instant::now() + FIRST_SNAPSHOT;
        loop {
            let (_, status) = self.client.status()?;
            if status.fresh {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(Failure::Run("the daemon makes no snapshots: look at its log".to_owned()));
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// A sensor that listens.
    pub fn sensor(&self, name: &str) -> Result<(Status, SensorHealth), Failure> {
        let status = self.status()?;
        let found = status.health.iter().flat_map(|h| &h.sensors).find(|s| *s.sensor == *name).cloned();
        let found =
            found.ok_or_else(|| Failure::Run(format!("the daemon has no sensor {name:?}: was it started anew?")))?;
        if found.state != SensorState::Listening {
            let why = found.last_error.as_deref().map_or(String::new(), |e| format!(": {e}"));
            return Err(Failure::Run(format!("sensor {name:?} does not listen, it is {}{why}", found.state.name())));
        }
        Ok((status, found))
    }

    /// Listens at `sensor` for `seconds` while the phone is at `place`.
    pub fn listen(
        &self,
        sensor: &str,
        place: &str,
        seconds: f64,
        mut tick: impl FnMut(u64),
    ) -> Result<SheetPlace, Failure> {
        let (_, before) = self.sensor(sensor)?;
        let from = UtcNanos::now();
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
            tick(left.as_secs() + 1);
            sleep(left.min(Duration::from_secs(1)));
        }
        let to = UtcNanos::now();
        tick(0);
        sleep(STORED_WITHIN);
        let (_, after) = self.sensor(sensor)?;
        let hits = self.hits(sensor, from, to)?;
        let level_dbfs = hits.iter().map(|h| h.level_dbfs).reduce(f64::max);
        let since = |of: fn(&SensorHealth) -> u64| of(&after).saturating_sub(of(&before));
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let seen = since(|s| s.ledger.processed + s.ledger.overload);
        let bursts = after.bursts.iter().map(|(standard, n)| {
            (standard.clone(), n.saturating_sub(before.bursts.get(standard).copied().unwrap_or(0)))
        });
        Ok(SheetPlace {
            place: place.to_owned(),
            from,
            to,
            heard: !hits.is_empty(),
            hits,
            bursts: bursts.filter(|(_, n)| *n > 0).collect(),
            level_dbfs,
            clipping_margin_db: level_dbfs.map(|level| -level),
            clip_share: share(since(|s| s.clipped), seen),
            lost_share: share(since(|s| s.ledger.overflow + s.ledger.dropped), since(|s| s.ledger.expected)),
            floor_dbfs_per_hz: after.floor_dbfs_per_hz,
        })
    }

    /// Hits that began in that time and that the sensor heard.
    fn hits(&self, sensor: &str, from: UtcNanos, to: UtcNanos) -> Result<Vec<SheetHit>, Failure> {
        let query = HitQuery { from: Some(from), to: Some(to), limit: HITS_MOST, ..HitQuery::default() };
        let page = Reader::open(&self.store).and_then(|mut r| r.hits(&query)).map_err(Failure::run)?;
        let began = |start: Option<UtcNanos>| start.is_some_and(|t| t >= from.plus_seconds(-EARLY_S));
        let hits = page.hits.into_iter().map(|s| s.hit).filter(|h| began(h.time_start));
        let of_sensor = hits.filter_map(|hit| {
            let level_dbfs = *hit.sensors.get(sensor)?;
            let (id, standard, activity, block, confidence) =
                (hit.id, hit.standard, hit.activity, hit.block, hit.confidence);
            Some(SheetHit { id, standard, activity, level_dbfs, block, confidence })
        });
        Ok(of_sensor.collect())
    }
}
