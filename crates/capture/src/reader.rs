//! The reader thread: from a source into a bounded channel, with blocks from a pool.

use crate::outlet::{Inlet, Offered, Outlet, Patience, ReaderCounters, channel};
use crate::source::{Source, SourceError};
use cellwarden_types::IqBlock;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// What waits for its receiver.
#[derive(Debug)]
pub enum Waiting {
    /// A block.
    Block(IqBlock),
    /// Nothing by now.
    Nothing,
    /// There will be no more.
    End,
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
    /// The end that takes what `inlet` gives; setting `stop` ends `thread`, or whoever else fills it.
    pub(crate) fn new(inlet: Inlet, stop: Arc<AtomicBool>, thread: Option<JoinHandle<()>>) -> Self {
        Self { filled: Some(inlet.filled), free: Some(inlet.free), counters: inlet.counters, stop, thread }
    }

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

    /// The next block, if there is one by now.
    ///
    /// # Errors
    /// What the source failed with; after it comes the end.
    pub fn try_recv(&mut self) -> Result<Waiting, SourceError> {
        let Some(filled) = &self.filled else { return Ok(Waiting::End) };
        match filled.try_recv() {
            Ok(block) => block.map(Waiting::Block),
            Err(TryRecvError::Empty) => Ok(Waiting::Nothing),
            Err(TryRecvError::Disconnected) => {
                self.filled = None;
                Ok(Waiting::End)
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
    let template = source.template();
    let bytes = config.block_samples * template.format.bytes_per_sample();
    let (outlet, inlet) = channel(&template, bytes, config.pool_blocks);
    let stop = Arc::new(AtomicBool::new(false));
    let worker = Worker { source, config, outlet, stop: Arc::clone(&stop) };
    let thread = std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || worker.run())
        .map_err(|e| SourceError::Thread { what: "cannot start the reader thread".to_owned(), source: Some(e) })?;
    Ok(ReaderHandle::new(inlet, stop, Some(thread)))
}

struct Worker {
    source: Box<dyn Source>,
    config: ReaderConfig,
    outlet: Outlet,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self) {
        let patience = match self.config.mode {
            ReaderMode::Replay => Patience::Waits,
            ReaderMode::Live => Patience::Drops,
        };
        while !self.stop.load(Ordering::Relaxed) {
            let offered = self.outlet.offer(patience, |block| self.source.next(block, self.config.block_samples));
            match offered {
                Ok(Offered::Delivered | Offered::Dropped | Offered::Nothing) => {}
                Ok(Offered::Closed | Offered::End) => return,
                Err(error) => {
                    self.outlet.fail(error);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::SyntheticSource;
    use cellwarden_types::GapReason;

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
            assert_eq!(block.gaps_before, []);
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
            for gap in &block.gaps_before {
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
        block.gaps_before.iter().map(|g| g.sample_count).sum()
    }
}
