//! The reader thread: from a source into a bounded channel, with blocks from a pool.

use crate::source::{Source, SourceError, SourceStatus};
use cellwarden_types::{Gap, GapReason, IqBlock};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// What the reader does when nobody takes its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderMode {
    /// Drops the block it holds, counts it, and marks the gap on the next: a radio does not wait.
    Live,
    /// Waits: a recording loses nothing.
    Replay,
}

/// How a reader works.
#[derive(Clone, Copy, Debug)]
pub struct ReaderConfig {
    /// Samples in a block.
    pub block_samples: usize,
    /// Blocks in the pool, and so the most that wait in the channel.
    pub pool_blocks: usize,
    /// What to do when nobody takes them.
    pub mode: ReaderMode,
}

/// What the reader has counted.
#[derive(Debug, Default)]
pub struct ReaderCounters {
    /// Samples handed over.
    pub delivered: AtomicU64,
    /// Samples dropped because the channel was full.
    pub dropped: AtomicU64,
    /// Samples that the source itself says are missing.
    pub missing: AtomicU64,
}

/// The receiving end of a reader thread. Dropping it ends the thread.
pub struct ReaderHandle {
    filled: Option<Receiver<Result<IqBlock, SourceError>>>,
    free: Option<Sender<IqBlock>>,
    counters: Arc<ReaderCounters>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ReaderHandle {
    /// Waits for the next block; `None` at the end.
    ///
    /// # Errors
    /// What the source failed with; after it comes the end.
    pub fn recv(&mut self) -> Result<Option<IqBlock>, SourceError> {
        let Some(filled) = &self.filled else { return Ok(None) };
        match filled.recv() {
            Ok(block) => block.map(Some),
            Err(_) => {
                // The channel is closed: the thread came to its end, or it died.
                let ended = self.thread.take().is_none_or(|t| t.join().is_ok());
                self.filled = None;
                if ended {
                    Ok(None)
                } else {
                    let what = "the reader thread died: this is a fault in cellwarden".to_owned();
                    Err(SourceError::Thread { what, source: None })
                }
            }
        }
    }

    /// Gives a block back to the pool.
    pub fn recycle(&self, block: IqBlock) {
        if let Some(free) = &self.free {
            // The pool has room for every block there is; a block from elsewhere is just let go.
            let _ = free.try_send(block);
        }
    }

    /// Set it, and the reader ends: what it has read can still be received, then comes the end.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// What the reader has counted so far.
    pub fn counters(&self) -> &ReaderCounters {
        &self.counters
    }
}

impl Drop for ReaderHandle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.filled = None;
        self.free = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts a thread that reads `source`.
///
/// # Errors
/// If the thread cannot be started.
pub fn spawn_reader(source: Box<dyn Source>, config: ReaderConfig) -> Result<ReaderHandle, SourceError> {
    let pool = config.pool_blocks.max(2);
    // The channel has room for every block there is: handing one over never waits.
    let (to_filled, filled) = bounded(pool);
    let (to_free, free) = bounded(pool);
    let template = source.template();
    let bytes = config.block_samples * template.format.bytes_per_sample();
    for _ in 0..pool {
        let block = IqBlock { bytes: Vec::with_capacity(bytes), ..template.clone() };
        // The channel was made with this many places.
        let _ = to_free.try_send(block);
    }
    let counters = Arc::new(ReaderCounters::default());
    let stop = Arc::new(AtomicBool::new(false));
    let worker = Worker {
        source,
        config,
        to_filled,
        free,
        counters: Arc::clone(&counters),
        stop: Arc::clone(&stop),
        spare: IqBlock { bytes: Vec::with_capacity(bytes), ..template },
        dropped_since: 0,
        dropped_total: 0,
    };
    let thread = std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || worker.run())
        .map_err(|e| SourceError::Thread { what: "cannot start the reader thread".to_owned(), source: Some(e) })?;
    Ok(ReaderHandle { filled: Some(filled), free: Some(to_free), counters, stop, thread: Some(thread) })
}

struct Worker {
    source: Box<dyn Source>,
    config: ReaderConfig,
    to_filled: Sender<Result<IqBlock, SourceError>>,
    free: Receiver<IqBlock>,
    counters: Arc<ReaderCounters>,
    stop: Arc<AtomicBool>,
    /// Takes what is dropped.
    spare: IqBlock,
    dropped_since: u64,
    dropped_total: u64,
}

impl Worker {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let block = match self.config.mode {
                ReaderMode::Replay => match self.free.recv() {
                    Ok(block) => Some(block),
                    Err(_) => return,
                },
                ReaderMode::Live => match self.free.try_recv() {
                    Ok(block) => Some(block),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                },
            };
            let go_on = match block {
                Some(block) => self.fill(block),
                None => self.drop_one(),
            };
            if !go_on {
                return;
            }
        }
    }

    /// Fills a block and hands it over. Returns whether to go on.
    fn fill(&mut self, mut block: IqBlock) -> bool {
        loop {
            reset(&mut block);
            match self.source.next(&mut block, self.config.block_samples) {
                Ok(SourceStatus::Filled) => break,
                Ok(SourceStatus::Idle) if !self.stop.load(Ordering::Relaxed) => {}
                Ok(SourceStatus::Idle | SourceStatus::End) => return false,
                Err(error) => {
                    let _ = self.to_filled.send(Err(error));
                    return false;
                }
            }
        }
        block.lost_before += self.dropped_total;
        block.start.0 -= self.dropped_total;
        let own = block.gap_before.as_ref().map_or(0, |g| g.sample_count);
        self.counters.missing.fetch_add(own, Ordering::Relaxed);
        if let Some(gap) = &mut block.gap_before {
            gap.sample_start = block.start.0;
        }
        if self.dropped_since > 0 {
            // What the source itself lost in between is part of the same gap.
            block.gap_before = Some(Gap {
                sensor: Arc::clone(&block.sensor),
                sample_start: block.start.0,
                sample_count: self.dropped_since + own,
                reason: GapReason::Dropped,
            });
            self.dropped_since = 0;
        }
        self.counters.delivered.fetch_add(block.samples() as u64, Ordering::Relaxed);
        self.to_filled.send(Ok(block)).is_ok()
    }

    /// Takes a block's worth of samples out of the source, for nobody. Returns whether to go on.
    fn drop_one(&mut self) -> bool {
        reset(&mut self.spare);
        match self.source.next(&mut self.spare, self.config.block_samples) {
            Ok(SourceStatus::Filled) => {
                let lost = self.spare.samples() as u64;
                let gap = self.spare.gap_before.take().map_or(0, |g| g.sample_count);
                self.dropped_since += lost + gap;
                self.counters.missing.fetch_add(gap, Ordering::Relaxed);
                self.dropped_total += lost;
                self.counters.dropped.fetch_add(lost, Ordering::Relaxed);
                true
            }
            Ok(SourceStatus::Idle) => true,
            Ok(SourceStatus::End) => false,
            Err(error) => {
                let _ = self.to_filled.send(Err(error));
                false
            }
        }
    }
}

/// Forgets what a block from the pool told the last time; its memory stays.
fn reset(block: &mut IqBlock) {
    block.bytes.clear();
    block.gap_before = None;
    block.lost_before = 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::SyntheticSource;

    fn reader(mode: ReaderMode, samples: u64) -> ReaderHandle {
        let source = SyntheticSource::new("test".into(), 1e6, 1).with_length(samples);
        spawn_reader(Box::new(source), ReaderConfig { block_samples: 1000, pool_blocks: 4, mode }).expect("a thread")
    }

    #[test]
    fn a_replay_loses_nothing_however_slow_its_reader() {
        let mut reader = reader(ReaderMode::Replay, 50_500);
        let mut next = 0;
        while let Some(block) = reader.recv().expect("no error") {
            assert_eq!(block.start.0, next);
            assert_eq!(block.gap_before, None);
            next += block.samples() as u64;
            if next % 10_000 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            reader.recycle(block);
        }
        assert_eq!(next, 50_500);
        assert_eq!(reader.counters().dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn live_every_sample_is_delivered_or_counted_as_dropped_and_gaps_say_where() {
        const SAMPLES: u64 = 200_000;
        let mut reader = reader(ReaderMode::Live, SAMPLES);
        // Nobody listens: the pool empties, and what follows is dropped.
        while reader.counters().dropped.load(Ordering::Relaxed) < 20_000 {
            std::thread::yield_now();
        }
        let (mut delivered, mut marked, mut place) = (0, 0, 0);
        while let Some(block) = reader.recv().expect("no error") {
            if let Some(gap) = &block.gap_before {
                assert_eq!(gap.reason, GapReason::Dropped);
                assert_eq!(gap.sample_start, delivered);
                marked += gap.sample_count;
            }
            assert_eq!(block.start.0, delivered, "samples are counted as delivered");
            assert_eq!(block.start.0 + block.lost_before, place + marked_since(&block), "and the clock goes on");
            delivered += block.samples() as u64;
            place = block.start.0 + block.lost_before + block.samples() as u64;
            reader.recycle(block);
        }
        let dropped = reader.counters().dropped.load(Ordering::Relaxed);
        assert!(dropped >= 20_000);
        assert_eq!(delivered + dropped, SAMPLES);
        assert!(marked <= dropped, "what is dropped at the very end has no block to be marked on");
    }

    fn marked_since(block: &IqBlock) -> u64 {
        block.gap_before.as_ref().map_or(0, |g| g.sample_count)
    }
}
