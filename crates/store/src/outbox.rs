//! Hits that wait in memory for the disk.

use crate::row::Row;
use cellwarden_types::HitState;
use std::collections::{BTreeMap, HashMap};

/// The newest report of each hit that is not on disk, oldest first, bounded by number and bytes.
#[derive(Debug)]
pub(crate) struct Outbox {
    rows: BTreeMap<u64, Row>,
    places: HashMap<String, u64>,
    next: u64,
    bytes: usize,
    most_rows: usize,
    most_bytes: usize,
}

impl Outbox {
    pub fn new(most_rows: usize, most_bytes: usize) -> Self {
        Self { rows: BTreeMap::new(), places: HashMap::new(), next: 0, bytes: 0, most_rows, most_bytes }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The oldest `count`.
    pub fn oldest(&self, count: usize) -> impl Iterator<Item = &Row> {
        self.rows.values().take(count)
    }

    pub fn holds(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// Takes a report; a newer one of the same hit replaces the older in its place. Returns what is dropped for it.
    pub fn push(&mut self, row: Row) -> Vec<Row> {
        if let Some(place) = self.places.get(&row.id) {
            let held = self.rows.get_mut(place).expect("invariant: every place holds a row");
            if row.revision > held.revision {
                self.bytes = self.bytes - held.json.len() + row.json.len();
                *held = row;
            }
        } else {
            self.bytes += row.json.len();
            self.places.insert(row.id.clone(), self.next);
            self.rows.insert(self.next, row);
            self.next += 1;
        }
        let mut dropped = Vec::new();
        while self.rows.len() > self.most_rows || (self.bytes > self.most_bytes && self.rows.len() > 1) {
            dropped.extend(self.drop_one());
        }
        dropped
    }

    /// Removes what was written, unless something newer has come.
    pub fn remove(&mut self, id: &str) {
        if let Some(row) = self.places.remove(id).and_then(|place| self.rows.remove(&place)) {
            self.bytes -= row.json.len();
        }
    }

    /// The oldest update, else the oldest first report, else the oldest end.
    fn drop_one(&mut self) -> Option<Row> {
        let rank = |row: &Row| match row.state {
            HitState::Updated => 0,
            HitState::Open => 1,
            HitState::Closed => 2,
        };
        let place = *self.rows.iter().min_by_key(|(place, row)| (rank(row), **place))?.0;
        let row = self.rows.remove(&place)?;
        self.places.remove(&row.id);
        self.bytes -= row.json.len();
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::hit_of;
    use cellwarden_types::UtcNanos;
    use proptest::prelude::*;

    fn row(id: u32, revision: u32, state: HitState) -> Row {
        Row::new(&hit_of(&format!("hit-{id}"), revision, state, UtcNanos(0)), UtcNanos(0)).unwrap()
    }

    #[test]
    fn updates_go_before_first_reports_and_those_before_ends() {
        let mut outbox = Outbox::new(3, 1 << 20);
        for (id, state) in [(0, HitState::Closed), (1, HitState::Open), (2, HitState::Updated)] {
            assert!(outbox.push(row(id, 1, state)).is_empty());
        }
        let mut gone = Vec::new();
        for id in 3..7 {
            gone.extend(outbox.push(row(id, 1, HitState::Closed)).into_iter().map(|r| r.id));
        }
        assert_eq!(gone, ["hit-2", "hit-1", "hit-0", "hit-3"]);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let size = row(0, 1, HitState::Closed).json.len();
        let mut outbox = Outbox::new(100, size * 4);
        let dropped: usize = (0..10).map(|id| outbox.push(row(id, 1, HitState::Closed)).len()).sum();
        assert_eq!((outbox.len(), dropped), (4, 6));
    }

    proptest! {
        #[test]
        fn it_stays_bounded_and_drops_no_end_while_it_holds_anything_else(
            pushes in prop::collection::vec((0u32..40, 1u32..5, 0u8..3), 1..200)
        ) {
            let mut outbox = Outbox::new(8, 1 << 20);
            for (id, revision, state) in pushes {
                let state = [HitState::Open, HitState::Updated, HitState::Closed][usize::from(state)];
                for dropped in outbox.push(row(id, revision, state)) {
                    if dropped.state == HitState::Closed {
                        prop_assert!(outbox.rows.values().all(|r| r.state == HitState::Closed));
                    }
                }
                prop_assert!(outbox.len() <= 8);
                prop_assert_eq!(outbox.places.len(), outbox.rows.len());
                prop_assert_eq!(outbox.bytes, outbox.rows.values().map(|r| r.json.len()).sum::<usize>());
            }
        }
    }
}
