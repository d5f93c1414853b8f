//! What the detector can be told.

use serde::{Deserialize, Serialize};

/// How the detector works. All lengths are set once; nothing here changes while samples flow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectConfig {
    /// Power over the floor at which a region begins to exist: a ratio over 4 frames and 3 bins.
    ///
    /// About 7.5 independent values are summed; at 4.5 noise passes 4e-9 of the cells, one in
    /// 6 s at 20 Msps, and none of those has a phone's shape.
    pub seed_ratio: f32,
    /// Power over the floor at which a region that exists ends.
    pub grow_ratio: f32,
    /// How long tile powers are remembered, in seconds.
    pub tile_history_s: f64,
    /// How much the detectors after the energy stage may do.
    pub depth: Depth,
    /// What the search of known base stations' occasions may cost, in cores.
    pub search_cores: f64,
    /// Whether the energy of windows up to a whole carrier is looked at, for PUSCH, PUCCH and SRS that no few cells show. No user
    /// turns it off, it costs a few hundredths of the quiet path; a benchmark does, to say so.
    pub grid: bool,
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self {
            seed_ratio: 4.5,
            grow_ratio: 2.4,
            tile_history_s: 0.25,
            depth: Depth::Live,
            search_cores: 0.5,
            grid: true,
        }
    }
}

/// How deep the detector looks. Energy is always looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Energy only: bursts stay `unknown`, and the samples count as `deep_skipped`.
    Energy,
    /// What keeps up with a receiver: where a faint preamble may be is looked at as far as a budget allows.
    Live,
    /// Every place, however long it takes.
    Full,
}

/// The sample rates that the detector works at: from 16 bins of 15 kHz, a little more than one GSM channel, to what no
/// receiver of today passes; its rings grow with the rate.
pub const RATES_HZ: std::ops::RangeInclusive<f64> = 240e3..=500e6;

/// The transform's size and hop for a sample rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameGeometry {
    /// Points of the FFT.
    pub n_fft: usize,
    /// Samples from frame to frame: half a frame.
    pub hop: usize,
    /// Frames that are worked on together: 20 ms of them, a multiple of 8.
    pub chunk_frames: usize,
}

impl FrameGeometry {
    /// The largest power of two whose bins are at least 15 kHz wide (15 to 30 kHz).
    ///
    /// 15 to 30 kHz by 33 to 67 µs matches what is sought: a GSM channel is about 9 bins, a
    /// resource block as many, an access burst 6 to 12 hops. With a Hann window and half overlap
    /// no burst falls between frames, and neighbouring frames are nearly independent (3 %).
    pub fn for_rate(rate_hz: f64) -> Self {
        let mut n_fft = 16;
        while rate_hz / (2 * n_fft) as f64 >= 15e3 && n_fft < 1 << 16 {
            n_fft *= 2;
        }
        let hop = n_fft / 2;
        let chunk_frames = ((0.020 * rate_hz / hop as f64 / 8.0).ceil() as usize).max(1) * 8;
        Self { n_fft, hop, chunk_frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_15_to_40_khz_wide_at_the_rates_of_common_radios() {
        for rate in
            [*RATES_HZ.start(), 0.5e6, 13e6 / 12.0, 2.4e6, 7.68e6, 10e6, 20e6, 30.72e6, 61.44e6, *RATES_HZ.end()]
        {
            let bin = rate / FrameGeometry::for_rate(rate).n_fft as f64;
            assert!((15e3..40e3).contains(&bin), "{rate}: {bin}");
        }
    }
}
