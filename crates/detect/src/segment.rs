//! Rows of power densities to regions of excess energy, with edges in time and frequency.
//!
//! Power over the floor is summed over 4 frames and 3 bins. Where the sum passes a threshold, and is
//! not the skirt of something much stronger beside it, cells are hot; hot cells that touch make a
//! run; runs that continue from frame to frame make a track; an ended track, measured again on
//! the unsmoothed rows, is a region. An allocation that changes its width or place begins a new one.

use crate::candidate::{Region, is_carrier};
use crate::config::{DetectConfig, FrameGeometry};
use std::ops::Range;

/// Frames and bins over which power is summed before it is compared.
const SUM_FRAMES: usize = 4;
const SUM_BINS: f32 = 3.0;
/// Rows kept from the chunk before, so that edges can be measured again.
const KEEP_S: f64 = 14e-3;
/// A track longer than this is cut, and goes on as a new region.
const LONGEST_S: f64 = 10e-3;
/// Cut pieces that have gone on without a break for so long are continuous: no phone's burst does.
const CONTINUOUS_S: f64 = 40e-3;
/// Bins that may be cold within a run.
const BRIDGE_BINS: usize = 2;
/// Frames that may be cold within a track.
const BRIDGE_FRAMES: u64 = 2;
/// Time times bandwidth below which a region is a spike of the noise: the least of a phone's, an access
/// burst of 325 µs by 150 kHz, has 49.
const LEAST_CELLS: f64 = 12.0;
/// Level under the strongest bin at which a band ends in any case, -25 dB: blocks of one allocation differ by less.
const SPLASH: f32 = 3e-3;
/// A smaller one that is so clear is no noise: a glimpse of something that moves on in frequency. A preamble whose root or
/// its inverse is small is made of such: it sweeps the band as one or two lines.
const GLIMPSE_LEAST_CELLS: f64 = 2.0;
const GLIMPSE_LEAST_SNR_DB: f64 = 12.0;
/// Frames around a track in which its edges are sought.
const EDGE_FRAMES: u64 = 4;
/// Level in its own edges below which a region is what is left of a chance peak.
const LEAST_SNR_DB: f64 = 2.0;
/// Bins from an edge to where it is asked what lies beside it, and the share of what is inside that an edge leaves there.
const BESIDE: (usize, usize) = (2, 8);
const LEAST_EDGE: f32 = 0.15;
/// Skirts of a strong emission: (reach in Hz, level below its peak). GMSK is 30 dB down at 200 kHz
/// (TS 45.005 4.2.1), SC-FDMA's sidelobes fall to 35 dB within 2 MHz.
const SKIRTS: [(f64, f32); 3] = [(300e3, 1e-2), (2e6, 2.5e-4), (f64::INFINITY, 2e-6)];

/// A region and whether it is part of something that never ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Where the energy is.
    pub region: Region,
    /// How long the emission had already lasted when this piece ended, in seconds.
    pub age_s: f64,
    /// Whether it is too small for an emission of its own: a hint of where to look for one that is spread.
    pub is_glimpse: bool,
    /// Whether no few cells show it, only the mean over a large window.
    pub is_faint: bool,
    /// Whether it has edges, beside which there is little of it: what leaks from something stronger has none. What lies at the
    /// band's edge may go on behind it, or be the other edge's.
    pub is_alone: bool,
}

impl Segment {
    /// Whether the emission is longer than any burst of a phone in one place.
    pub fn is_continuous(&self) -> bool {
        self.age_s > CONTINUOUS_S
    }
}

/// Rows of the last frames.
#[derive(Clone, Copy, Debug)]
pub struct HeldRows<'a> {
    /// `[frames][bins]`, the oldest first.
    pub rows: &'a [f32],
    /// The frame of the first row.
    pub first: u64,
}

impl<'a> HeldRows<'a> {
    /// The frame behind the last.
    pub fn end(&self, bins: usize) -> u64 {
        self.first + (self.rows.len() / bins) as u64
    }

    /// A frame's row, if it is held.
    pub fn row(&self, frame: u64, bins: usize) -> Option<&'a [f32]> {
        let at = usize::try_from(frame.checked_sub(self.first)?).ok()? * bins;
        self.rows.get(at..at + bins)
    }
}

#[derive(Clone, Copy, Debug)]
struct Run {
    low: usize,
    high: usize,
    taken: bool,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    low: f32,
    high: f32,
    outer_low: usize,
    outer_high: usize,
    /// First frame of this piece, and of the whole emission.
    first: u64,
    born: u64,
    last: u64,
}

/// Finds regions in one stream.
#[derive(Debug)]
pub struct Segmenter {
    geometry: FrameGeometry,
    rate_hz: f64,
    center_hz: f64,
    seed_ratio: f32,
    grow_ratio: f32,
    /// Rows of the last frames and of this chunk, so many; the first is frame `rows_first`.
    rows: Vec<f32>,
    held: usize,
    rows_first: u64,
    /// Next frame whose sum is to be judged.
    next: u64,
    tracks: Vec<Track>,
    ended: Vec<Track>,
    runs: Vec<Run>,
    sum: Vec<f32>,
    smooth: Vec<f32>,
    grow: Vec<f32>,
    masked: Vec<f32>,
    /// Bins in which a carrier is always on: what lies on both sides may be one.
    carriers: Vec<bool>,
    profile: Vec<f32>,
    series: Vec<f32>,
    order: Vec<f32>,
    cut_after: u64,
}

impl Segmenter {
    /// A segmenter for rows of a stream at `rate_hz` tuned to `center_hz`.
    pub fn new(geometry: FrameGeometry, rate_hz: f64, center_hz: f64, config: &DetectConfig) -> Self {
        let n = geometry.n_fft;
        let frame_s = geometry.hop as f64 / rate_hz;
        let keep = (KEEP_S / frame_s) as usize;
        Self {
            geometry,
            rate_hz,
            center_hz,
            seed_ratio: config.seed_ratio,
            grow_ratio: config.grow_ratio,
            rows: Vec::with_capacity((keep + geometry.chunk_frames) * n),
            held: 0,
            rows_first: 0,
            next: 0,
            tracks: Vec::with_capacity(256),
            ended: Vec::with_capacity(256),
            runs: Vec::with_capacity(256),
            sum: vec![0.0; n],
            smooth: vec![0.0; n],
            grow: vec![0.0; n],
            masked: vec![0.0; n],
            carriers: vec![false; n],
            profile: Vec::with_capacity(n),
            series: Vec::with_capacity(keep + geometry.chunk_frames),
            order: Vec::with_capacity(keep + geometry.chunk_frames + n),
            cut_after: (LONGEST_S / frame_s) as u64,
        }
    }

    /// Where the next `frames` rows are to be written, `[frames][bins]`: whoever makes them need not copy them.
    pub fn room(&mut self, frames: usize) -> &mut [f32] {
        let n = self.geometry.n_fft;
        let keep = (KEEP_S * self.rate_hz / self.geometry.hop as f64) as usize;
        if self.held > keep {
            self.rows.copy_within((self.held - keep) * n..self.held * n, 0);
            self.rows_first += (self.held - keep) as u64;
            self.held = keep;
        }
        let from = self.held * n;
        self.held += frames;
        if self.rows.len() < self.held * n {
            self.rows.resize(self.held * n, 0.0);
        }
        &mut self.rows[from..self.held * n]
    }

    /// The last `frames` rows.
    pub fn last(&self, frames: usize) -> &[f32] {
        let n = self.geometry.n_fft;
        &self.rows[(self.held - frames) * n..self.held * n]
    }

    /// Takes the rows that were written, and adds the regions that ended in them.
    pub fn process(&mut self, floor: &[f32], out: &mut Vec<Segment>) {
        let n = self.geometry.n_fft;
        for (k, g) in self.grow.iter_mut().enumerate() {
            let near = floor[k.saturating_sub(1)] + floor[k] + floor[(k + 1).min(n - 1)];
            *g = near * SUM_FRAMES as f32;
        }
        for (bin, is_one) in self.carriers.iter_mut().enumerate() {
            // The sum of three bins reaches beyond it.
            *is_one = (bin.saturating_sub(1)..(bin + 2).min(n)).any(|near| is_carrier(floor, near));
        }
        let end = self.rows_first + self.held as u64;
        while self.next + SUM_FRAMES as u64 <= end {
            self.judge_frame();
            self.next += 1;
            if !self.ended.is_empty() {
                self.measure_ended(floor, out);
            }
        }
    }

    /// The rows of the last chunk, and of some time before.
    pub fn held(&self) -> HeldRows<'_> {
        HeldRows { rows: &self.rows[..self.held * self.geometry.n_fft], first: self.rows_first }
    }

    /// The first frame that may be part of a region that was not reported yet.
    pub fn open_since(&self) -> u64 {
        // A region is measured from some frames before its track.
        self.tracks.iter().map(|t| t.first).min().unwrap_or(self.next).min(self.next).saturating_sub(EDGE_FRAMES)
    }

    /// The first frame of the emissions so wide that are going on.
    pub fn wide_since(&self, width_hz: f64) -> Option<u64> {
        let bins = (width_hz * self.geometry.n_fft as f64 / self.rate_hz) as f32;
        self.tracks.iter().filter(|t| t.high - t.low > bins).map(|t| t.first).min()
    }

    /// Ends all tracks: the stream is over, or broken.
    pub fn finish(&mut self, floor: &[f32], out: &mut Vec<Segment>) {
        self.ended.append(&mut self.tracks);
        self.measure_ended(floor, out);
        (self.held, self.rows_first) = (0, 0);
        self.next = 0;
    }

    /// Hot runs of frames `next .. next + SUM_FRAMES`, joined to the tracks.
    fn judge_frame(&mut self) {
        let n = self.geometry.n_fft;
        let at = (self.next - self.rows_first) as usize * n;
        let four = &self.rows[at..at + SUM_FRAMES * n];
        let (a, rest) = four.split_at(n);
        let (b, rest) = rest.split_at(n);
        let (c, d) = rest.split_at(n);
        for ((((s, a), b), c), d) in self.sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *s = (a + b) + (c + d);
        }
        for (o, w) in self.smooth[1..n - 1].iter_mut().zip(self.sum.windows(3)) {
            *o = w[0] + w[1] + w[2];
        }
        self.smooth[0] = self.sum[0] * SUM_BINS;
        self.smooth[n - 1] = self.sum[n - 1] * SUM_BINS;
        let seed = self.seed_ratio;
        let hot = self.smooth.iter().zip(&self.grow).fold(false, |any, (s, g)| any | (*s > g * seed));
        self.runs.clear();
        if hot || !self.tracks.is_empty() {
            self.mask_skirts();
            self.find_runs();
        }
        self.join_runs();
    }

    /// Zeroes in `masked` what is cold, or only the skirt of a stronger neighbour.
    fn mask_skirts(&mut self) {
        let n = self.geometry.n_fft;
        let bin_hz = self.rate_hz / n as f64;
        for ((m, &s), &g) in self.masked.iter_mut().zip(&self.smooth).zip(&self.grow) {
            *m = if s > g * self.grow_ratio { s } else { 0.0 };
        }
        // Every bin that is a peak of its neighbourhood casts its skirt; those below drop out.
        let strongest = self.smooth.iter().fold(0.0f32, |m, &s| m.max(s));
        for (reach_hz, ratio) in SKIRTS {
            if reach_hz.is_infinite() {
                for m in &mut self.masked {
                    if *m < strongest * ratio {
                        *m = 0.0;
                    }
                }
                continue;
            }
            let reach = (reach_hz / bin_hz) as usize;
            // Only bins so strong that their skirt could be hot need to be looked at.
            for peak in 0..n {
                let level = self.smooth[peak] * ratio;
                if level <= self.grow[peak] * self.grow_ratio * 0.5 {
                    continue;
                }
                let left = if peak > 0 { self.smooth[peak - 1] } else { 0.0 };
                let right = if peak + 1 < n { self.smooth[peak + 1] } else { 0.0 };
                if self.smooth[peak] < left || self.smooth[peak] < right {
                    continue;
                }
                for m in &mut self.masked[peak.saturating_sub(reach)..(peak + reach + 1).min(n)] {
                    if *m < level {
                        *m = 0.0;
                    }
                }
            }
        }
    }

    fn find_runs(&mut self) {
        let n = self.geometry.n_fft;
        let mut bin = 0;
        while bin < n {
            if self.masked[bin] == 0.0 {
                bin += 1;
                continue;
            }
            let low = bin;
            let mut high = bin;
            let (mut seeded, mut cold) = (false, 0);
            while bin < n && cold <= BRIDGE_BINS {
                if self.masked[bin] > 0.0 {
                    (high, cold) = (bin, 0);
                    seeded |= self.masked[bin] > self.grow[bin] * self.seed_ratio;
                }
                bin += 1;
                cold += usize::from(!self.carriers.get(bin).is_some_and(|&c| c));
            }
            let known = seeded || self.tracks.iter().any(|t| t.low <= high as f32 && t.high >= low as f32);
            if known && high > low {
                self.runs.push(Run { low, high, taken: false });
            }
        }
    }

    fn join_runs(&mut self) {
        let frame = self.next;
        for track in &mut self.tracks {
            let mut best: Option<(f32, usize)> = None;
            for (i, run) in self.runs.iter().enumerate().filter(|(_, r)| !r.taken) {
                let (low, high) = (run.low as f32, run.high as f32 + 1.0);
                let common = track.high.min(high) - track.low.max(low);
                let union = track.high.max(high) - track.low.min(low);
                if common / union >= 0.5 && best.is_none_or(|(share, _)| common / union > share) {
                    best = Some((common / union, i));
                }
            }
            if let Some((_, i)) = best {
                let run = &mut self.runs[i];
                run.taken = true;
                track.low += 0.25 * (run.low as f32 - track.low);
                track.high += 0.25 * (run.high as f32 + 1.0 - track.high);
                track.outer_low = track.outer_low.min(run.low);
                track.outer_high = track.outer_high.max(run.high);
                track.last = frame;
            }
        }
        let mut i = 0;
        while i < self.tracks.len() {
            let track = self.tracks[i];
            if frame - track.last > BRIDGE_FRAMES {
                self.ended.push(self.tracks.swap_remove(i));
                continue;
            }
            if frame - track.first >= self.cut_after {
                self.ended.push(track);
                let next = &mut self.tracks[i];
                next.first = frame + 1;
                // `high` is the edge behind the last bin, which may be the spectrum's own.
                next.outer_low = track.low as usize;
                next.outer_high = (track.high.ceil() as usize - 1).max(track.low as usize);
            }
            i += 1;
        }
        for run in self.runs.iter().filter(|r| !r.taken) {
            self.tracks.push(Track {
                low: run.low as f32,
                high: run.high as f32 + 1.0,
                outer_low: run.low,
                outer_high: run.high,
                first: frame,
                born: frame,
                last: frame,
            });
        }
    }

    fn measure_ended(&mut self, floor: &[f32], out: &mut Vec<Segment>) {
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_by_key(|t| (t.first, t.outer_low));
        for track in ended.drain(..) {
            if let Some((region, is_glimpse, is_alone)) = self.measure(&track, floor) {
                let age_s = (track.last - track.born) as f64 * self.geometry.hop as f64 / self.rate_hz;
                out.push(Segment { region, age_s, is_glimpse, is_faint: false, is_alone });
            }
        }
        self.ended = ended;
    }

    /// Edges and level of a track, from the unsmoothed rows, and whether it is a glimpse, and has edges.
    fn measure(&mut self, track: &Track, floor: &[f32]) -> Option<(Region, bool, bool)> {
        let n = self.geometry.n_fft;
        let held = self.rows_first..self.rows_first + self.held as u64;
        // A sum that begins at frame f is centred on f + 1.5: the emission's core begins one later.
        let from = track.first.saturating_sub(EDGE_FRAMES).max(held.start);
        let to = (track.last + SUM_FRAMES as u64 + EDGE_FRAMES).min(held.end);
        if track.last < track.first || from >= to {
            return None;
        }
        let core_from = (track.first + 2).min(track.last + 1).max(from);
        let core_to = (track.last + 2).max(core_from + 1).min(to);
        let row = |frame: u64| {
            let at = (frame - held.start) as usize * n;
            &self.rows[at..at + n]
        };
        // Frequency: mean excess over the core, edges where it falls to 30 % of its plateau.
        let margin = 4;
        let low = track.outer_low.saturating_sub(margin);
        let high = (track.outer_high + margin + 1).min(n);
        self.profile.clear();
        self.profile.resize(high - low, 0.0);
        for frame in core_from..core_to {
            for (p, &x) in self.profile.iter_mut().zip(&row(frame)[low..high]) {
                *p += x;
            }
        }
        let frames = (core_to - core_from) as f32;
        for (p, &f) in self.profile.iter_mut().zip(&floor[low..high]) {
            *p = *p / frames - f;
        }
        // Where a carrier is, what it does with the emission's own power is all that shows.
        let carriers = &self.carriers[low..high];
        self.profile.iter_mut().zip(carriers).filter(|(_, c)| **c).for_each(|(p, _)| *p = 0.0);
        self.order.clear();
        self.order.extend_from_slice(&self.profile[track.outer_low - low..=track.outer_high - low]);
        let rank = self.order.len() * 7 / 10;
        let (_, plateau, _) = self.order.select_nth_unstable_by(rank, f32::total_cmp);
        if *plateau <= 0.0 {
            return None;
        }
        // Where most of what was hot is the splash of a short and strong one, the plateau is the splash's.
        let highest = self.profile.iter().fold(0.0f32, |m, &p| m.max(p));
        let level = (*plateau * 0.3).max(highest * SPLASH);
        let first = self.profile.iter().position(|&p| p >= level)?;
        let last = self.profile.iter().rposition(|&p| p >= level)?;
        let beside = |bins: Range<usize>| {
            let sum: f32 = (core_from..core_to).map(|f| row(f)[bins.clone()].iter().sum::<f32>()).sum();
            sum / frames - floor[bins].iter().sum::<f32>()
        };
        let (begin, end) = (low + first, low + last + 1);
        let inside = beside(begin..end) / (end - begin) as f32;
        let is_alone = [
            begin.saturating_sub(BESIDE.1)..begin.saturating_sub(BESIDE.0),
            (end + BESIDE.0).min(n)..(end + BESIDE.1).min(n),
        ]
        .into_iter()
        .all(|bins| bins.len() > 2 && beside(bins.clone()) < LEAST_EDGE * inside * bins.len() as f32);
        // Time: power in that band, edges where it crosses half of its median.
        let band = low + first..low + last + 1;
        let quiet = |values: &[f32]| -> f32 {
            let carriers = &self.carriers[band.clone()];
            values[band.clone()].iter().zip(carriers).filter(|(_, c)| !**c).map(|(v, _)| *v).sum()
        };
        let share = band.len() as f32 / self.carriers[band.clone()].iter().filter(|c| !**c).count().max(1) as f32;
        let noise = share * quiet(floor);
        self.series.clear();
        for frame in from..to {
            self.series.push(share * quiet(row(frame)) - noise);
        }
        self.order.clear();
        self.order.extend_from_slice(&self.series[(core_from - from) as usize..(core_to - from) as usize]);
        let middle = self.order.len() / 2;
        let (_, plateau, _) = self.order.select_nth_unstable_by(middle, f32::total_cmp);
        let half = *plateau * 0.5;
        if half <= 0.0 {
            return None;
        }
        let begin = self.series.iter().position(|&p| p >= half)?;
        let end = self.series.iter().rposition(|&p| p >= half)?;
        let crossing = |inside: usize, outside: Option<f32>| {
            // Share of a hop that the edge lies outside of frame `inside`.
            let p = self.series[inside];
            outside.map_or(0.5, |q| ((p - half) / (p - q).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0))
        };
        let before = crossing(begin, begin.checked_sub(1).map(|i| self.series[i]));
        let after = crossing(end, self.series.get(end + 1).copied());
        let hop = self.geometry.hop as f64;
        let middle_of = |index: usize| (from + index as u64) as f64 * hop + n as f64 / 2.0;
        // A piece cut from a longer emission ends at its cut.
        let cut_from = if track.born < track.first { track.first as f64 * hop + n as f64 / 2.0 } else { f64::MIN };
        let start = (middle_of(begin) - f64::from(before) * hop).max(cut_from).max(0.0);
        let stop = (middle_of(end) + f64::from(after) * hop).max(start + 1.0);
        let bin_hz = self.rate_hz / n as f64;
        let hz = |bin: usize| self.center_hz + (bin as f64 - n as f64 / 2.0 - 0.5) * bin_hz;
        let excess = self.series[begin..=end].iter().sum::<f32>() / (end - begin + 1) as f32;
        let power = f64::from(excess) * bin_hz;
        let cells = (stop - start) / self.rate_hz * (hz(band.end) - hz(band.start));
        let snr_db = cellwarden_types::db(power / (f64::from(noise) * bin_hz));
        let is_glimpse = cells < LEAST_CELLS;
        let (least_cells, least_snr_db) =
            if is_glimpse { (GLIMPSE_LEAST_CELLS, GLIMPSE_LEAST_SNR_DB) } else { (LEAST_CELLS, LEAST_SNR_DB) };
        if cells < least_cells || snr_db < least_snr_db {
            return None;
        }
        let region = Region {
            start: start.round() as u64,
            count: (stop - start).round().max(1.0) as u64,
            low_hz: hz(band.start),
            high_hz: hz(band.end),
            power,
            snr_db,
        };
        Some((region, is_glimpse, is_alone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE_HZ: f64 = 2e6;
    const CENTER_HZ: f64 = 900e6;

    proptest! {
        /// Boxes of energy anywhere, the spectrum's edges and the cut after 10 ms among them.
        #[test]
        fn regions_lie_in_the_band_and_in_time(
            boxes in prop::collection::vec((0usize..1200, 1usize..900, 0usize..64, 1usize..64, 1.0f32..1e6), 1..6),
            chunk in 1usize..700,
        ) {
            let geometry = FrameGeometry::for_rate(RATE_HZ);
            let n = geometry.n_fft;
            let frames = 1_500;
            let mut rows = vec![1.0f32; frames * n];
            for (from, length, low, width, level) in boxes {
                for row in rows.chunks_exact_mut(n).skip(from).take(length) {
                    row[low * n / 64..((low + width) * n / 64).min(n)].iter_mut().for_each(|p| *p += level);
                }
            }
            let floor = vec![1.0; n];
            let mut segmenter = Segmenter::new(geometry, RATE_HZ, CENTER_HZ, &DetectConfig::default());
            let mut found = Vec::new();
            for part in rows.chunks(chunk * n) {
                segmenter.room(part.len() / n).copy_from_slice(part);
                segmenter.process(&floor, &mut found);
            }
            segmenter.finish(&floor, &mut found);
            let seconds = frames as f64 * geometry.hop as f64 / RATE_HZ;
            for Segment { region, age_s, .. } in found {
                let bin_hz = RATE_HZ / n as f64;
                prop_assert!(region.low_hz >= CENTER_HZ - RATE_HZ / 2.0 - bin_hz, "{region:?}");
                prop_assert!(region.high_hz <= CENTER_HZ + RATE_HZ / 2.0, "{region:?}");
                prop_assert!(region.low_hz < region.high_hz && region.count > 0 && region.power > 0.0, "{region:?}");
                prop_assert!((region.start + region.count) as f64 / RATE_HZ <= seconds + 1e-3, "{region:?}");
                prop_assert!((0.0..=seconds).contains(&age_s), "{age_s}");
            }
        }
    }
}
