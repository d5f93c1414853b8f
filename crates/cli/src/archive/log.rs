//! One sensor's spectrogram while hits are open: the last seconds row by row, what is older as means.

use super::room::{COARSE_S, Room};
use cellwarden_detect::Tiles;
use cellwarden_types::UtcNanos;
use std::collections::VecDeque;

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

/// A sensor's spectrogram since the first hit that is open.
#[derive(Debug, Default)]
pub(super) struct SensorLog {
    about: Option<Tiles>,
    recent: VecDeque<Row>,
    coarse: VecDeque<Row>,
    last: Option<UtcNanos>,
}

impl SensorLog {
    /// What the rows have in common; none before the first.
    pub fn about(&self) -> Option<&Tiles> {
        self.about.as_ref()
    }

    /// The latest row, after which the next is to be asked for.
    pub fn last(&self) -> Option<UtcNanos> {
        self.last
    }

    /// Takes rows that follow those that it has.
    pub fn push(&mut self, mut tiles: Tiles) {
        let rows = std::mem::take(&mut tiles.rows);
        let other = |a: &Tiles| (a.center, a.rate, a.floor.len()) != (tiles.center, tiles.rate, tiles.floor.len());
        if self.about.as_ref().is_some_and(other) {
            // Tuned to another place: rows of both do not fit into one picture.
            *self = Self::default();
        }
        self.last = rows.last().map(|(at, _)| *at).or(self.last);
        self.recent.extend(rows.into_iter().map(|(at, power)| Row { at, row_s: tiles.row_s, power }));
        self.about = Some(tiles);
    }

    /// Makes rows means that are older than the room has for them, and forgets those before `keep_from`.
    pub fn thin(&mut self, now: UtcNanos, keep_from: UtcNanos, room: &Room) {
        let recent_from = now.plus_seconds(-room.recent_s - COARSE_S);
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
        while self.coarse.iter().map(Row::bytes).sum::<u64>() > room.coarse_bytes {
            self.halve();
        }
    }

    /// Makes one of two rows, so that what is older, and was halved before, is the coarsest. Where none go together the oldest goes.
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

    /// The rows of that time, oldest first.
    pub fn rows(&self, from: UtcNanos, to: UtcNanos) -> Vec<&Row> {
        self.coarse.iter().chain(&self.recent).filter(|row| row.at >= from && row.at <= to).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_types::Hertz;

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

    /// However long a hit is open, its sensor's spectrogram takes no more than its room, and shows all of it: the last seconds whole,
    /// what is older coarser and coarser, and no row twice or none.
    #[test]
    fn a_long_hit_takes_no_more_room_and_shows_all_of_it() {
        let room = Room { recent_s: 2.0, coarse_bytes: 64 * BINS as u64 * 4, hits_bytes: 0 };
        let mut log = SensorLog::default();
        for second in 0..300 {
            log.push(tiles(second * 1000, 1000));
            log.thin(at(second as f64 + 1.0), at(0.0), &room);
            assert!(log.coarse.len() <= 64 && log.recent.len() <= 3100, "{} {}", log.coarse.len(), log.recent.len());
        }
        let rows = log.rows(at(0.0), at(300.0));
        let covered: f64 = rows.iter().map(|r| r.row_s).sum();
        assert!((covered - 300.0).abs() < 0.2, "{covered}");
        assert!(rows.windows(2).all(|w| w[0].at < w[1].at && w[0].row_s >= w[1].row_s), "older is coarser");
        // Each row's number is its time: a mean's is that of its middle.
        for row in rows {
            let middle_s = row.at.seconds_since(at(0.0));
            assert!((f64::from(row.power[0]) * ROW_S - middle_s).abs() < 2.0 * ROW_S + 1e-3 * middle_s, "{row:?}");
        }
        log.thin(at(300.0), at(290.0), &room);
        assert!(log.coarse.iter().all(|r| r.at >= at(290.0)));
    }

    #[test]
    fn rows_with_gaps_between_them_are_not_made_one() {
        let mut log = SensorLog::default();
        for piece in 0..10 {
            log.push(tiles(piece * 1000, 100));
        }
        let room = Room { recent_s: 0.0, coarse_bytes: 4 * BINS as u64 * 4, hits_bytes: 0 };
        log.thin(at(20.0), at(0.0), &room);
        let left: Vec<f64> = log.coarse.iter().map(|r| r.at.seconds_since(at(0.0))).collect();
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(left[0] > 5.9 && log.coarse.iter().all(|r| r.row_s == COARSE_S), "the oldest went: {left:?}");
    }
}
