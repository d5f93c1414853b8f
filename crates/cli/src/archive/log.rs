//! One sensor's spectrogram while hits are open: the last seconds row by row, what is older as means.

use super::room::{COARSE_S, Room};
use cellwarden_detect::Tiles;
use cellwarden_evidence::SensorTiles;
use cellwarden_types::{Hertz, UtcNanos};
use std::collections::VecDeque;
use std::sync::Arc;

/// Power density by bin, a row of a spectrogram.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Its middle.
    pub at: UtcNanos,
    /// From one to the next where nothing is missing, in seconds.
    pub row_s: f64,
    /// By bin.
    pub power: Vec<f32>,
}

impl Row {
    fn bytes(&self) -> u64 {
        (self.power.len() * size_of::<f32>()) as u64
    }

    /// Whether `next` comes next and is as long.
    pub fn goes_on_with(&self, next: &Self) -> bool {
        self.row_s == next.row_s && next.at.seconds_since(self.at) < 1.5 * self.row_s
    }
}

/// A sensor's spectrogram since the first hit that is open: one for each of its tunings, because rows of two do not fit
/// into one picture.
#[derive(Debug, Default)]
pub(super) struct SensorLog {
    tunings: Vec<TuningLog>,
}

impl SensorLog {
    /// The spectrograms between two frequencies from one time to another, of the tunings that they lie in: for each one as
    /// rows are, and one for means of each length.
    pub fn cut(&self, sensor: &Arc<str>, band: (f64, f64), from: UtcNanos, to: UtcNanos) -> Vec<SensorTiles> {
        self.tunings.iter().flat_map(|log| log.cut(sensor, band, from, to)).collect()
    }

    /// The latest row at a centre, after which the next is to be asked for.
    pub fn last(&self, center: Hertz) -> Option<UtcNanos> {
        self.tunings.iter().find(|t| t.about.center == center).and_then(|t| t.last)
    }

    /// Takes rows that follow those that it has.
    pub fn push(&mut self, mut tiles: Tiles) {
        let rows = std::mem::take(&mut tiles.rows);
        let same = |a: &Tiles| (a.center, a.rate, a.floor.len()) == (tiles.center, tiles.rate, tiles.floor.len());
        let at = self.tunings.iter().position(|t| same(&t.about)).unwrap_or_else(|| {
            self.tunings.push(TuningLog::new(tiles.clone()));
            self.tunings.len() - 1
        });
        let log = &mut self.tunings[at];
        log.last = rows.last().map(|(at, _)| *at).or(log.last);
        log.recent.extend(rows.into_iter().map(|(at, power)| Row { at, row_s: tiles.row_s, power }));
        log.about = tiles;
    }

    /// Makes rows means that are older than the room has for them, and forgets those before `keep_from`.
    pub fn thin(&mut self, now: UtcNanos, keep_from: UtcNanos, room: &Room) {
        let coarse_bytes = room.coarse_bytes / self.tunings.len().max(1) as u64;
        for log in &mut self.tunings {
            log.thin(now.plus_seconds(-room.recent_s - COARSE_S), keep_from, coarse_bytes);
        }
    }
}

/// A sensor's spectrogram at one tuning.
#[derive(Debug)]
pub(super) struct TuningLog {
    /// What the rows have in common; has none itself.
    about: Tiles,
    recent: VecDeque<Row>,
    coarse: VecDeque<Row>,
    last: Option<UtcNanos>,
}

impl TuningLog {
    fn new(about: Tiles) -> Self {
        Self { about, recent: VecDeque::new(), coarse: VecDeque::new(), last: None }
    }

    /// Makes rows before `recent_from` means, and forgets those before `keep_from`.
    fn thin(&mut self, recent_from: UtcNanos, keep_from: UtcNanos, coarse_bytes: u64) {
        while self.recent.front().is_some_and(|row| row.at < recent_from) {
            let end = self.recent[0].at.plus_seconds(COARSE_S);
            let count = self.recent.partition_point(|row| row.at < end).max(1);
            let mut mean = vec![0.0; self.recent[0].power.len()];
            let middle = self.recent[0].at.plus_seconds(COARSE_S / 2.0);
            for row in self.recent.drain(..count) {
                mean.iter_mut().zip(row.power).for_each(|(m, p)| *m += p / count as f32);
            }
            self.coarse.push_back(Row { at: middle, row_s: COARSE_S, power: mean });
        }
        let old = self.coarse.partition_point(|row| row.at < keep_from);
        self.coarse.drain(..old);
        while self.coarse.iter().map(Row::bytes).sum::<u64>() > coarse_bytes {
            self.halve();
        }
    }

    /// Makes one of two rows, so that what is older, and was halved before, is the coarsest. Where none go together the
    /// oldest goes.
    fn halve(&mut self) {
        let before = self.coarse.len();
        let mut halved: VecDeque<Row> = VecDeque::with_capacity(before / 2 + 1);
        let mut rows = std::mem::take(&mut self.coarse).into_iter().peekable();
        while let Some(mut row) = rows.next() {
            if let Some(next) = rows.next_if(|next| row.goes_on_with(next)) {
                row.at = row.at.plus_seconds(next.at.seconds_since(row.at) / 2.0);
                row.row_s *= 2.0;
                row.power.iter_mut().zip(next.power).for_each(|(a, b)| *a = (*a + b) / 2.0);
            }
            halved.push_back(row);
        }
        if halved.len() == before {
            halved.pop_front();
        }
        self.coarse = halved;
    }

    fn cut(&self, sensor: &Arc<str>, (low_hz, high_hz): (f64, f64), from: UtcNanos, to: UtcNanos) -> Vec<SensorTiles> {
        let about = &self.about;
        let frame = SensorTiles {
            sensor: Arc::clone(sensor),
            // Bins begin where the file says that they do; the transform's lie around their middle.
            center: Hertz(about.center.0 - about.bin_hz / 2.0),
            rate: about.rate,
            bin_hz: about.bin_hz,
            first: from,
            row_s: about.row_s,
            bins: about.floor.len(),
            times: Vec::new(),
            rows: Vec::new(),
            floor: about.floor.clone(),
        };
        let bins = frame.bins_within(low_hz, high_hz);
        let frame = frame.cropped(low_hz, high_hz);
        let rows = if bins.is_empty() { Vec::new() } else { self.rows(from, to) };
        rows.chunk_by(|a, b| a.row_s == b.row_s)
            .map(|rows| {
                let power = rows.iter().flat_map(|row| &row.power[bins.clone()]).copied().collect();
                // Rows between which others are missing, as where a sensor was elsewhere in between, have their own times.
                let is_whole = rows.windows(2).all(|pair| pair[0].goes_on_with(pair[1]));
                let times = if is_whole { Vec::new() } else { rows.iter().map(|row| row.at).collect() };
                SensorTiles { first: rows[0].at, row_s: rows[0].row_s, times, rows: power, ..frame.clone() }
            })
            .collect()
    }

    /// The rows of that time, oldest first.
    fn rows(&self, from: UtcNanos, to: UtcNanos) -> Vec<&Row> {
        self.coarse.iter().chain(&self.recent).filter(|row| row.at >= from && row.at <= to).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW_S: f64 = 1e-3;
    const BINS: usize = 16;

    fn tiles(from: usize, count: usize) -> Tiles {
        let row = |i: usize| (at(i as f64 * ROW_S), vec![i as f32; BINS]);
        Tiles {
            center: Hertz(9e8),
            rate: Hertz(1e6),
            bin_hz: 62.5e3,
            row_s: ROW_S,
            floor: vec![1.0; BINS],
            rows: (from..from + count).map(row).collect(),
        }
    }

    fn at(seconds: f64) -> UtcNanos {
        UtcNanos(1_700_000_000_000_000_000).plus_seconds(seconds)
    }

    /// However long a hit is open, its sensor's spectrogram takes no more than its room, and shows all of it: the last
    /// seconds whole, what is older coarser and coarser, and no row twice or none.
    #[test]
    fn a_long_hit_takes_no_more_room_and_shows_all_of_it() {
        let room = Room { recent_s: 2.0, coarse_bytes: 64 * BINS as u64 * 4, hits_bytes: 0 };
        let mut log = SensorLog::default();
        for second in 0..300 {
            log.push(tiles(second * 1000, 1000));
            log.thin(at(second as f64 + 1.0), at(0.0), &room);
            let tuning = &log.tunings[0];
            assert!(
                tuning.coarse.len() <= 64 && tuning.recent.len() <= 3100,
                "{} {}",
                tuning.coarse.len(),
                tuning.recent.len()
            );
        }
        let rows = log.tunings[0].rows(at(0.0), at(300.0));
        let covered: f64 = rows.iter().map(|r| r.row_s).sum();
        assert!((covered - 300.0).abs() < 0.2, "{covered}");
        assert!(rows.windows(2).all(|w| w[0].at < w[1].at && w[0].row_s >= w[1].row_s), "older is coarser");
        // Each row's number is its time: a mean's is that of its middle.
        for row in rows {
            let middle_s = row.at.seconds_since(at(0.0));
            assert!((f64::from(row.power[0]) * ROW_S - middle_s).abs() < 2.0 * ROW_S + 1e-3 * middle_s, "{row:?}");
        }
        log.thin(at(300.0), at(290.0), &room);
        assert!(log.tunings[0].coarse.iter().all(|r| r.at >= at(290.0)));
    }

    #[test]
    fn each_tuning_has_its_own_picture_and_rows_with_gaps_their_own_times() {
        let mut log = SensorLog::default();
        let elsewhere = |t: Tiles| Tiles { center: Hertz(8e8), ..t };
        for visit in 0..6 {
            let here = tiles(visit * 100, 100);
            log.push(if visit % 2 == 0 { here } else { elsewhere(here) });
        }
        assert_eq!((log.last(Hertz(9e8)), log.last(Hertz(8e8))), (Some(at(0.499)), Some(at(0.599))));
        let cut = log.cut(&"s".into(), (9e8 - 1e5, 9e8 + 1e5), at(0.0), at(1.0));
        assert_eq!(cut.len(), 1, "of the tuning that it lies in");
        let picture = &cut[0];
        assert_eq!((picture.times.len(), picture.rows.len()), (300, 300 * picture.bins));
        assert_eq!((picture.times[99], picture.times[100]), (at(0.099), at(0.2)));
        let whole = log.cut(&"s".into(), (9e8 - 1e5, 9e8 + 1e5), at(0.0), at(0.15));
        assert!(whole[0].times.is_empty() && whole[0].first == at(0.0), "rows that follow each other need none");
        assert!(log.cut(&"s".into(), (1e9, 1.1e9), at(0.0), at(1.0)).is_empty());
    }

    #[test]
    fn rows_with_gaps_between_them_are_not_made_one() {
        let mut log = SensorLog::default();
        for piece in 0..10 {
            log.push(tiles(piece * 1000, 100));
        }
        let room = Room { recent_s: 0.0, coarse_bytes: 4 * BINS as u64 * 4, hits_bytes: 0 };
        log.thin(at(20.0), at(0.0), &room);
        let left: Vec<f64> = log.tunings[0].coarse.iter().map(|r| r.at.seconds_since(at(0.0))).collect();
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(
            left[0] > 5.9 && log.tunings[0].coarse.iter().all(|r| r.row_s == COARSE_S),
            "the oldest went: {left:?}"
        );
    }
}
