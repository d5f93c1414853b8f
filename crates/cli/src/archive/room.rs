//! How much memory the spectrograms take that evidence is cut from.

use serde::Deserialize;

/// Rows stay as they are for so long before now, where there is room for it.
const RECENT_S: f64 = 4.0;
/// And no less, whatever room there is: the bursts that decide on a hit are in it.
const RECENT_LEAST_S: f64 = 1.5;
/// Older rows are means over this.
pub(super) const COARSE_S: f64 = 0.1;
/// Of what is for the sensors' logs, so much is for rows as they are; the rest for older ones.
const RECENT_SHARE: f64 = 0.8;
/// Of all, so much is for what is cut out for hits, until it is written; the rest for the sensors' logs.
const HITS_SHARE: f64 = 1.0 / 3.0;
/// No box needs less for its hits: two files' tiles.
const LEAST_BYTES: f64 = 192e6;
/// Half a second before a hit, and until it is decided that it is one: the usual length of the ring.
const RING_S: f64 = 1.0;
/// Half a second has to be in it, and some time to decide.
const RING_RANGE_S: std::ops::RangeInclusive<f64> = 0.75..=10.0;
/// A row of tiles has as many bins as it is samples long, over eight frames that half overlap, each a number of four bytes:
/// a byte for each sample.
const BYTES_PER_SAMPLE: f64 = 1.0;

/// `[tiles]`: the spectrogram in memory that evidence is cut from.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TilesConfig {
    /// How far back each sensor's ring of tiles reaches while no hit is open, in seconds: half a second before a hit, and
    /// what its decision takes.
    pub ring_s: f64,
    /// Most megabytes for what is kept besides while hits are open and until their evidence is written; by the sensors'
    /// rates where it is left out.
    pub memory_mb: Option<u32>,
}

impl Default for TilesConfig {
    fn default() -> Self {
        Self { ring_s: RING_S, memory_mb: None }
    }
}

/// The room for spectrograms while hits are open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// Rows of each sensor stay as they are for so long, in seconds.
    pub(super) recent_s: f64,
    /// Most bytes of a sensor's older rows.
    pub(super) coarse_bytes: u64,
    /// Most bytes of what was cut out for hits and is not written yet.
    pub(super) hits_bytes: u64,
}

impl TilesConfig {
    /// That it is enough for sensors of these rates, in samples per second.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self, rates_hz: &[f64]) -> Result<(), String> {
        if !RING_RANGE_S.contains(&self.ring_s) {
            let (least, most) = (RING_RANGE_S.start(), RING_RANGE_S.end());
            return Err(format!("[tiles] ring_s: {} is not from {least} to {most} s", self.ring_s));
        }
        let least = RECENT_LEAST_S / RECENT_SHARE * bytes_per_s(rates_hz) / (1.0 - HITS_SHARE);
        match self.memory_mb {
            Some(mb) if f64::from(mb) * 1e6 < least => Err(format!(
                "[tiles] memory_mb: {mb} is too little for these sensors: want {:.0} or more, or leave it out for {:.0}",
                (least / 1e6).ceil(),
                Self::default().most_bytes(rates_hz) / 1e6
            )),
            _ => Ok(()),
        }
    }

    /// The room for sensors of these rates.
    pub fn room(&self, rates_hz: &[f64]) -> Room {
        let (most, each_s) = (self.most_bytes(rates_hz), bytes_per_s(rates_hz).max(1.0));
        let logs = most * (1.0 - HITS_SHARE);
        Room {
            recent_s: (RECENT_SHARE * logs / each_s).clamp(RECENT_LEAST_S, RECENT_S),
            coarse_bytes: ((1.0 - RECENT_SHARE) * logs / rates_hz.len().max(1) as f64) as u64,
            hits_bytes: (most * HITS_SHARE) as u64,
        }
    }

    /// What it takes, in words. `rings_hz` are the rates of the rings: a sensor that hops has one at each of its centres.
    pub fn describe(&self, rates_hz: &[f64], rings_hz: &[f64]) -> String {
        format!(
            "spectrograms for evidence: rings of {} s take {:.0} MB; up to {:.0} MB more while hits are open",
            self.ring_s,
            self.ring_s * bytes_per_s(rings_hz) / 1e6,
            self.most_bytes(rates_hz) / 1e6
        )
    }

    fn most_bytes(&self, rates_hz: &[f64]) -> f64 {
        let usual = RECENT_S / RECENT_SHARE * bytes_per_s(rates_hz) / (1.0 - HITS_SHARE);
        self.memory_mb.map_or(usual.max(LEAST_BYTES), |mb| f64::from(mb) * 1e6)
    }
}

fn bytes_per_s(rates_hz: &[f64]) -> f64 {
    rates_hz.iter().sum::<f64>() * BYTES_PER_SAMPLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_shared_out_and_no_more() {
        for (config, rates) in [
            (TilesConfig::default(), vec![10e6; 4]),
            (TilesConfig::default(), vec![2.4e6]),
            (TilesConfig { memory_mb: Some(150), ..TilesConfig::default() }, vec![10e6; 4]),
            (TilesConfig { memory_mb: Some(6), ..TilesConfig::default() }, vec![1e6]),
        ] {
            assert_eq!(config.check(&rates), Ok(()), "{config:?}");
            let room = config.room(&rates);
            let sum: f64 = rates.iter().map(|rate| rate * room.recent_s + room.coarse_bytes as f64).sum();
            let all = sum + room.hits_bytes as f64;
            assert!(all <= config.most_bytes(&rates) + 1.0, "{config:?} {room:?}: {all}");
            assert!((RECENT_LEAST_S..=RECENT_S).contains(&room.recent_s), "{room:?}");
        }
    }

    #[test]
    fn too_little_is_refused_with_what_it_takes() {
        let config = TilesConfig { memory_mb: Some(10), ..TilesConfig::default() };
        let error = config.check(&[10e6; 4]).expect_err("too little");
        assert!(error.contains("want 113 or more") && error.contains("for 300"), "{error}");
        let config = TilesConfig { ring_s: 0.1, ..TilesConfig::default() };
        assert!(config.check(&[1e6]).expect_err("too short").contains("0.75"));
    }

    #[test]
    fn a_row_of_tiles_is_a_byte_for_each_sample() {
        for rate_hz in [1e6, 10e6, 61.44e6] {
            let geometry = cellwarden_detect::config::FrameGeometry::for_rate(rate_hz);
            let samples = cellwarden_detect::history::TileRing::FRAMES * geometry.hop;
            let bytes = geometry.n_fft * size_of::<f32>();
            assert_eq!(bytes as f64 / samples as f64, BYTES_PER_SAMPLE, "{rate_hz}");
        }
    }
}
