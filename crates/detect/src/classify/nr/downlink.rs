//! When the base station of an unpaired band sends, by its timing and level: uplink and downlink share its frequencies.
//!
//! All operators of a country keep one frame, whose slots repeat after 5 or 10 ms at the latest (TS 38.213 clause 11.1: periods
//! divide 20 ms; those in use divide 10). In it a base station sends for some slots in a row, which is longer than phones may:
//! what is there in most frames, for longer than two slots of 30 kHz together, at about one level, is the downlink. What lies
//! elsewhere is a phone's.

use crate::candidate::{Proposal, Region};
use cellwarden_types::{Detail, Evidence, Kind, Standard};
use std::ops::Range;

/// The frame, and the cells in which it is followed.
const FRAME_S: f64 = 10e-3;
const CELLS: usize = 400;
/// How many frames count: a fifth of a second.
const FRAMES: f64 = 20.0;
/// Frames after which something is known of it.
const LEAST_FRAMES: f64 = 6.0;
/// Share of the frames in which a cell of the downlink is filled, at the least.
const LEAST_OFTEN: f64 = 0.5;
/// Cells in a row that are more than phones fill, and how many may be missing within: what a base station sends is not always as
/// wide. Three slots down and a piece of the fourth are 74 cells; two slots up and a sounding 46.
const LEAST_RUN: usize = 52;
const BRIDGE: usize = 4;
/// Density over or under that of the cells before at which somebody else begins, as a ratio: phones send right before it.
const OTHER_LEVEL: f64 = 2.0;
/// Frames after which the downlink stays what it was, and cells of it that are empty, beyond which it is sought anew.
const SETTLED_FRAMES: f64 = 12.0;
const MOST_LOST: usize = 6;
/// Density over or under what is usual in a cell beyond which it is somebody else, as a ratio: load and fading.
const LEVELS: f64 = 10.0;
/// Share of a region's cells that must be the downlink's.
const LEAST_SHARE: f64 = 0.7;
/// Cells of it that a phone's edges may touch.
const MOST_TOUCHED: usize = 2;
/// Time between two runs that is worth a look, in cells: from a slot of 30 kHz less a prefix to three.
const GAP: std::ops::RangeInclusive<i64> = 18..=62;
/// Cells of it that an emission fills.
const LEAST_INSIDE: i64 = 8;
/// What is less wide or clear is not followed.
const LEAST_HZ: f64 = 300e3;
const LEAST_SNR_DB: f64 = 3.0;

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// Frames in which it was filled, weighted, and the last of them.
    filled: f64,
    last: i64,
    /// Sum of the logarithms of the density, as weighted.
    level: f64,
    is_down: bool,
}

/// Follows the frame of one stream.
#[derive(Clone, Debug)]
pub struct DownlinkFrame {
    cells: Vec<Cell>,
    /// Frames that were seen, weighted, and the one that is.
    seen: f64,
    frame: Option<i64>,
    /// The last time between that was looked at.
    gap_s: f64,
}

impl Cell {
    fn new() -> Self {
        Self { last: i64::MIN, ..Self::default() }
    }
}

impl DownlinkFrame {
    /// For a stream that begins at `start_s` of the receiver's clock.
    pub fn new(start_s: f64) -> Self {
        let mut frame = Self { cells: vec![Cell::new(); CELLS], seen: 0.0, frame: None, gap_s: f64::NEG_INFINITY };
        frame.begin(start_s);
        frame
    }

    /// Whether enough was seen to tell phones from a base station.
    pub fn is_known(&self) -> bool {
        self.seen >= LEAST_FRAMES
    }

    /// The stream begins, or goes on behind a break: what was seen before counts no more.
    pub fn begin(&mut self, start_s: f64) {
        self.cells.fill(Cell::new());
        self.seen = 0.0;
        self.gap_s = f64::NEG_INFINITY;
        self.frame = cells(start_s, 0.0).next().map(|at| at.div_euclid(CELLS as i64));
    }

    /// Time goes on to `start_s`: what is silent was seen as well.
    pub fn watch(&mut self, start_s: f64) {
        if let Some(at) = cells(start_s, 0.0).next() {
            self.go_on_to(at.div_euclid(CELLS as i64));
        }
    }

    /// Takes a region that lasts from `start_s` for `seconds` of the receiver's clock; those of a stream come about in order.
    pub fn observe(&mut self, region: &Region, start_s: f64, seconds: f64) {
        if region.high_hz - region.low_hz < LEAST_HZ || region.snr_db < LEAST_SNR_DB || !(start_s + seconds).is_finite()
        {
            return;
        }
        let density = density_ln(region);
        for at in cells(start_s, seconds) {
            let frame = at.div_euclid(CELLS as i64);
            self.go_on_to(frame);
            let cell = &mut self.cells[at.rem_euclid(CELLS as i64) as usize];
            if cell.last < frame {
                cell.last = frame;
                cell.filled += 1.0;
                cell.level += density;
            }
        }
    }

    /// Whether a region lies in the downlink's time and has its level.
    pub fn holds(&self, region: &Region, start_s: f64, seconds: f64) -> bool {
        if !self.is_known() {
            return false;
        }
        let (mut all, mut down) = (0, 0);
        for at in cells(start_s, seconds) {
            let cell = &self.cells[at.rem_euclid(CELLS as i64) as usize];
            let usual = cell.level / cell.filled.max(f64::MIN_POSITIVE);
            all += 1;
            down += usize::from(cell.is_down && (density_ln(region) - usual).abs() < LEVELS.ln());
        }
        f64::from(down as u32) > LEAST_SHARE * f64::from(all.max(1))
    }

    /// Whether a part of a region may be the base station's: nothing is known yet, or more than an edge lies in its time.
    pub fn may_be_in(&self, start_s: f64, seconds: f64) -> bool {
        let is_down = |at: &i64| self.cells[at.rem_euclid(CELLS as i64) as usize].is_down;
        !self.is_known() || cells(start_s, seconds).filter(is_down).count() > MOST_TOUCHED
    }

    /// The times between the downlink's within `start_s` and `seconds` behind it, of which either end may lie beyond, in seconds
    /// of the receiver's clock; none but those that a phone may fill.
    pub fn gaps(&self, start_s: f64, seconds: f64, out: &mut Vec<(f64, f64)>) {
        if !self.is_known() || !self.cells.iter().any(|c| c.is_down) {
            return;
        }
        let is_down = |at: i64| self.cells[at.rem_euclid(CELLS as i64) as usize].is_down;
        let cell_s = FRAME_S / CELLS as f64;
        let mut done = i64::MIN;
        let inside = cells(start_s, seconds);
        for at in inside.clone() {
            // What only its edge reaches is not looked at.
            if at < done || is_down(at) || !inside.contains(&(at + LEAST_INSIDE)) || is_down(at + LEAST_INSIDE) {
                continue;
            }
            let from = (at - CELLS as i64..at).rev().find(|&i| is_down(i)).map_or(at, |i| i + 1);
            let to = (at..at + CELLS as i64).find(|&i| is_down(i)).unwrap_or(at);
            done = to.max(at + 1);
            if GAP.contains(&(to - from)) {
                out.push((from as f64 * cell_s, to as f64 * cell_s));
            }
        }
    }

    /// Whether a time between was not looked at yet; from then on it was.
    pub fn is_new_gap(&mut self, from_s: f64) -> bool {
        let is_new = from_s > self.gap_s;
        self.gap_s = self.gap_s.max(from_s);
        is_new
    }

    /// The longest part of a time that is the downlink's.
    pub fn part_down(&self, start_s: f64, seconds: f64) -> Option<(f64, f64)> {
        let cell_s = FRAME_S / CELLS as f64;
        let (mut best, mut from): (Option<(i64, i64)>, Option<i64>) = (None, None);
        for at in cells(start_s, seconds) {
            if !self.cells[at.rem_euclid(CELLS as i64) as usize].is_down {
                from = None;
                continue;
            }
            let from = *from.get_or_insert(at);
            if best.is_none_or(|b| at + 1 - from > b.1 - b.0) {
                best = Some((from, at + 1));
            }
        }
        best.map(|(from, to)| ((from as f64 * cell_s).max(start_s), (to as f64 * cell_s).min(start_s + seconds)))
    }

    /// Lets what was seen count less from frame to frame, and says again what is the downlink.
    fn go_on_to(&mut self, frame: i64) {
        let passed = self.frame.map_or(1, |last| frame - last);
        if passed <= 0 {
            return;
        }
        let keep = (1.0 - 1.0 / FRAMES).powi(passed.min(10_000) as i32);
        // What passes without anything counts as well.
        self.seen = self.seen * keep + (1.0 - keep) * FRAMES;
        self.frame = Some(frame);
        for cell in &mut self.cells {
            cell.filled *= keep;
            cell.level *= keep;
        }
        self.find_runs();
    }

    fn find_runs(&mut self) {
        // The frame that is has just begun.
        let least = LEAST_OFTEN * (self.seen - 1.0).max(1.0);
        // A base station stays what it was: a phone that fills the slots up before its own does not become a part of it.
        let lost = self.cells.iter().filter(|c| c.is_down && c.filled < 0.5 * least).count();
        if self.seen >= SETTLED_FRAMES && lost <= MOST_LOST && self.cells.iter().any(|c| c.is_down) {
            return;
        }
        self.cells.iter_mut().for_each(|c| c.is_down = false);
        let level = |c: &Cell| (c.filled >= least).then(|| c.level / c.filled);
        let Some(first) = (0..CELLS).find(|&i| level(&self.cells[i]).is_none()) else { return };
        // The run that is: its first cell, the one behind its last, and the sum of its levels and how many.
        let mut run: Option<(usize, usize, f64, f64)> = None;
        for i in first..=first + CELLS + BRIDGE + 1 {
            let here = if i < first + CELLS { level(&self.cells[i % CELLS]) } else { None };
            let ends = run.is_some_and(|(_, to, sum, count)| match here {
                None => i - to > BRIDGE,
                Some(level) => (level - sum / count).abs() > OTHER_LEVEL.ln(),
            });
            if let Some((from, to, ..)) = run.filter(|_| ends) {
                if to - from >= LEAST_RUN {
                    (from..to).for_each(|i| self.cells[i % CELLS].is_down = true);
                }
                run = None;
            }
            if let Some(level) = here {
                let (from, _, sum, count) = run.unwrap_or((i, i, 0.0, 0.0));
                run = Some((from, i + 1, sum + level, count + 1.0));
            }
        }
    }
}

/// The cells that a time fills for the most part, counted from the beginning of the receiver's clock.
fn cells(start_s: f64, seconds: f64) -> Range<i64> {
    let cell_s = FRAME_S / CELLS as f64;
    let (from, to) = ((start_s / cell_s).round() as i64, ((start_s + seconds) / cell_s).round() as i64);
    from..to.clamp(from + 1, from + 2 * CELLS as i64)
}

fn density_ln(region: &Region) -> f64 {
    (region.power / (region.high_hz - region.low_hz).max(1.0)).max(f64::MIN_POSITIVE).ln()
}

/// What a region of the downlink is.
pub fn proposal(region: &Region) -> Proposal {
    Proposal {
        standard: Standard::Other,
        kind: Kind::Downlink,
        start: region.start as f64,
        count: region.count as f64,
        low_hz: region.low_hz,
        high_hz: region.high_hz,
        power: region.power,
        channel: None,
        carrier_offset_hz: None,
        standard_confidence: 0.9,
        sequence_start: None,
        detail: Detail { evidence: vec![Evidence::new("in_downlink_slots", 1.0, -6.0)], ..Detail::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(power: f64) -> Region {
        Region { start: 0, count: 1, low_hz: 3.70e9, high_hz: 3.71e9, power, snr_db: 15.0 }
    }

    /// DDDSU: three slots and ten symbols of 2.5 ms, of which a tenth is left out, and a phone that sends in every slot up.
    fn followed(phone: bool) -> DownlinkFrame {
        let mut frame = DownlinkFrame::new(0.0);
        for n in 0..100 {
            let begin_s = f64::from(n) * 2.5e-3 + 0.4e-3;
            frame.watch(begin_s);
            if n % 10 != 3 {
                frame.observe(&region(1.0), begin_s, 1.857e-3);
            }
            if phone {
                frame.observe(&region(3.0), begin_s + 2.0e-3, 0.47e-3);
            }
        }
        frame
    }

    #[test]
    fn a_base_stations_slots_are_told_from_a_busy_phones() {
        let frame = followed(true);
        assert!(frame.is_known());
        let late = 0.3 + 0.4e-3;
        assert!(frame.holds(&region(1.0), late, 1.857e-3) && frame.holds(&region(1.5), late + 0.5e-3, 0.5e-3));
        assert!(!frame.holds(&region(3.0), late + 2.0e-3, 0.47e-3), "the phone's");
        assert!(!frame.holds(&region(100.0), late + 0.5e-3, 0.5e-3), "20 dB above is somebody else");
        assert!(!frame.may_be_in(late + 2.0e-3, 0.45e-3) && frame.may_be_in(late + 1.7e-3, 0.5e-3));
        let mut gaps = Vec::new();
        frame.gaps(late + 1.9e-3, 0.6e-3, &mut gaps);
        assert!(gaps.len() == 1 && (gaps[0].1 - late - 2.5e-3).abs() < 40e-6, "{gaps:?} {late}");
    }

    #[test]
    fn nothing_is_known_at_first_and_behind_a_break() {
        let mut frame = followed(false);
        frame.begin(7.0);
        assert!(!frame.is_known() && frame.may_be_in(7.0, 1e-4));
        frame.watch(7.1);
        assert!(frame.is_known() && !frame.holds(&region(1.0), 7.1004, 1e-3));
    }
}
