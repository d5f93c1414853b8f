//! The sending end of a bounded channel of blocks from a pool. Samples that nobody takes are counted here, and marked as a
//! gap on the next block that somebody does.

use crate::source::{SourceError, SourceStatus};
use cellwarden_types::{Gap, GapReason, IqBlock};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was counted on the way from a source to its detector.
#[derive(Debug, Default)]
pub struct ReaderCounters {
    /// Samples handed over.
    pub delivered: AtomicU64,
    /// Samples dropped because the channel was full.
    pub dropped: AtomicU64,
    /// Samples that the source itself says are missing.
    pub missing: AtomicU64,
    /// Of those, while the device was away.
    pub disconnected: AtomicU64,
    /// Samples thrown away while the receiver was on its way to another centre; not among the missing.
    pub retuned: AtomicU64,
}

/// The receiving end.
pub(crate) struct Inlet {
    pub(crate) filled: Receiver<Result<IqBlock, SourceError>>,
    pub(crate) free: Sender<IqBlock>,
    pub(crate) counters: Arc<ReaderCounters>,
}

/// What to do when nobody takes the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Wait: a recording loses nothing.
    Waits,
    /// Fill a spare block and drop it: a radio does not wait. Once it must, it goes on until a good part of the pool is
    /// free: one long gap costs fewer bursts than many short ones, and the detector fewer beginnings.
    Drops,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is on its way.
    Delivered,
    /// Nobody took the blocks before it: its samples are counted.
    Dropped,
    /// There was nothing to offer.
    Nothing,
    /// There will be nothing any more.
    End,
    /// Nobody will take anything any more.
    Closed,
}

/// The sending end.
pub(crate) struct Outlet {
    filled: Sender<Result<IqBlock, SourceError>>,
    free: Receiver<IqBlock>,
    counters: Arc<ReaderCounters>,
    /// A block from the pool that was taken for nothing.
    held: Option<IqBlock>,
    /// Takes what is dropped.
    spare: IqBlock,
    /// Blocks that must be free before anything is handed over again, once something was dropped.
    enough: usize,
    /// Dropped since the last block that was handed over, and since the beginning.
    dropped_since: u64,
    dropped_total: u64,
    /// What the source said was missing before blocks that were dropped: its own gaps are not lost with them.
    gaps_since: Vec<Gap>,
}

/// A channel with a pool of `blocks` blocks of `template`'s kind, each with room for `bytes`.
pub(crate) fn channel(template: &IqBlock, bytes: usize, blocks: usize) -> (Outlet, Inlet) {
    let blocks = blocks.max(2);
    // The channel has room for every block there is: handing one over never waits.
    let (to_filled, filled) = bounded(blocks);
    let (to_free, free) = bounded(blocks);
    let block =
        || IqBlock { bytes: Vec::with_capacity(bytes), gaps_before: Vec::with_capacity(GAPS), ..template.clone() };
    for _ in 0..blocks {
        // The channel was made with this many places.
        let _ = to_free.try_send(block());
    }
    let counters = Arc::new(ReaderCounters::default());
    let outlet = Outlet {
        filled: to_filled,
        free,
        counters: Arc::clone(&counters),
        held: None,
        spare: block(),
        enough: blocks.div_ceil(ENOUGH),
        dropped_since: 0,
        dropped_total: 0,
        gaps_since: Vec::with_capacity(GAPS),
    };
    (outlet, Inlet { filled, free: to_free, counters })
}

/// A gap has at most one entry for each [`GapReason`].
const GAPS: usize = 6;
/// One part in so many of the pool.
const ENOUGH: usize = 4;

impl Outlet {
    /// Lets `fill` fill a block, and hands it over or counts it as dropped.
    ///
    /// `fill` finds the block as a [`Source`](crate::Source) does, and counts as one.
    pub(crate) fn offer(
        &mut self,
        patience: Patience,
        fill: impl FnOnce(&mut IqBlock) -> Result<SourceStatus, SourceError>,
    ) -> Result<Offered, SourceError> {
        let block = match (self.held.take(), patience) {
            (Some(block), _) => Some(block),
            (None, Patience::Waits) => match self.free.recv() {
                Ok(block) => Some(block),
                Err(_) => return Ok(Offered::Closed),
            },
            (None, Patience::Drops) if self.dropped_since > 0 && self.free.len() < self.enough => None,
            (None, Patience::Drops) => match self.free.try_recv() {
                Ok(block) => Some(block),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return Ok(Offered::Closed),
            },
        };
        match block {
            Some(mut block) => {
                reset(&mut block);
                match fill(&mut block)? {
                    SourceStatus::Filled => Ok(self.deliver(block)),
                    SourceStatus::Idle => {
                        self.held = Some(block);
                        Ok(Offered::Nothing)
                    }
                    SourceStatus::End => Ok(Offered::End),
                }
            }
            None => {
                reset(&mut self.spare);
                match fill(&mut self.spare)? {
                    SourceStatus::Filled => Ok(self.drop_spare()),
                    SourceStatus::Idle => Ok(Offered::Nothing),
                    SourceStatus::End => Ok(Offered::End),
                }
            }
        }
    }

    /// Notes that samples are missing before the next block: it is counted now, and told with that block.
    pub(crate) fn miss(&mut self, gap: Gap) {
        self.count_missing(std::slice::from_ref(&gap));
        add(&mut self.gaps_since, gap);
    }

    /// Ends the channel with an error.
    pub(crate) fn fail(&self, error: SourceError) {
        // If nobody listens, nobody asks why.
        let _ = self.filled.send(Err(error));
    }

    fn deliver(&mut self, mut block: IqBlock) -> Offered {
        self.count_missing(&block.gaps_before);
        block.lost_before += self.dropped_total;
        // The detector counts what it gets.
        block.start.0 -= self.dropped_total;
        for gap in self.gaps_since.drain(..) {
            add(&mut block.gaps_before, gap);
        }
        if self.dropped_since > 0 {
            let sensor = Arc::clone(&block.sensor);
            let sample_count = std::mem::take(&mut self.dropped_since);
            add(&mut block.gaps_before, Gap { sensor, sample_start: 0, sample_count, reason: GapReason::Dropped });
        }
        for gap in &mut block.gaps_before {
            gap.sample_start = block.start.0;
        }
        self.counters.delivered.fetch_add(block.samples() as u64, Ordering::Relaxed);
        if self.filled.send(Ok(block)).is_ok() { Offered::Delivered } else { Offered::Closed }
    }

    fn drop_spare(&mut self) -> Offered {
        self.count_missing(&self.spare.gaps_before);
        for gap in self.spare.gaps_before.drain(..) {
            add(&mut self.gaps_since, gap);
        }
        let samples = self.spare.samples() as u64;
        self.dropped_since += samples;
        self.dropped_total += samples;
        self.counters.dropped.fetch_add(samples, Ordering::Relaxed);
        Offered::Dropped
    }

    fn count_missing(&self, gaps: &[Gap]) {
        for gap in gaps {
            let count = |counter: &AtomicU64| counter.fetch_add(gap.sample_count, Ordering::Relaxed);
            match gap.reason {
                GapReason::Dropped => count(&self.counters.dropped),
                GapReason::Retune => count(&self.counters.retuned),
                GapReason::Disconnect => {
                    count(&self.counters.disconnected);
                    count(&self.counters.missing)
                }
                _ => count(&self.counters.missing),
            };
        }
    }
}

/// Adds a gap to those of other reasons.
fn add(gaps: &mut Vec<Gap>, gap: Gap) {
    match gaps.iter_mut().find(|g| g.reason == gap.reason) {
        Some(same) => same.sample_count += gap.sample_count,
        None => gaps.push(gap),
    }
}

/// Forgets what a block from the pool told the last time; its memory stays.
fn reset(block: &mut IqBlock) {
    block.bytes.clear();
    block.gaps_before.clear();
    block.lost_before = 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_types::{Hertz, SampleFormat};

    #[test]
    fn once_it_must_drop_it_drops_in_one_piece() {
        let template = IqBlock::empty("test".into(), SampleFormat::Cs8, Hertz(1e6), Hertz(9e8));
        let (mut outlet, inlet) = channel(&template, 20, 8);
        let mut place = 0;
        let mut offer = || {
            outlet
                .offer(Patience::Drops, |block| {
                    block.bytes.resize(20, 0);
                    block.start.0 = place;
                    place += 10;
                    Ok(SourceStatus::Filled)
                })
                .expect("no error")
        };
        let take = || {
            let block = inlet.filled.try_recv().expect("a block waits").expect("no error");
            let gap = block.gaps_before.first().map_or(0, |g| g.sample_count);
            inlet.free.try_send(block).expect("has room");
            gap
        };
        assert!((0..8).all(|_| offer() == Offered::Delivered));
        assert_eq!(offer(), Offered::Dropped, "nothing is free");
        take();
        assert_eq!(offer(), Offered::Dropped, "too little is free");
        take();
        assert_eq!(offer(), Offered::Delivered);
        assert_eq!((0..7).map(|_| take()).sum::<u64>(), 20, "one gap of two blocks");
        assert_eq!(inlet.counters.dropped.load(Ordering::Relaxed), 20);
    }
}
