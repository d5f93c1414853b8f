//! Writes evidence by a thread of its own: the detectors do not wait for a disk.

use super::bytes;
use crate::samples::Samples;
use cellwarden_evidence::{EvidenceInput, EvidenceWriter};
use cellwarden_types::UtcNanos;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Old evidence is deleted this often, also while nothing is heard.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How much later than the detectors the thread that writes has its turn.
const NICE: i32 = 10;
/// Files that wait to be written.
const QUEUE: usize = 16;

/// What is shared with the thread.
#[derive(Debug, Default)]
struct Counts {
    /// Hits of which there is no evidence, because the disk did not keep up or failed.
    missed: AtomicU64,
    /// Bytes of tiles that wait.
    waiting_bytes: AtomicU64,
}

/// The thread, and what waits for it.
pub(super) struct Writing {
    to_writer: Option<Sender<Box<EvidenceInput>>>,
    inputs: Receiver<Box<EvidenceInput>>,
    writer: Arc<Mutex<EvidenceWriter>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

impl Writing {
    /// Files go to `writer`; `samples` are deleted with old evidence.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(writer: EvidenceWriter, samples: Samples) -> std::io::Result<Self> {
        let (to_writer, inputs) = bounded::<Box<EvidenceInput>>(QUEUE);
        let (counts, writer) = (Arc::new(Counts::default()), Arc::new(Mutex::new(writer)));
        let (own, its_inputs, its_counts) = (Arc::clone(&writer), inputs.clone(), Arc::clone(&counts));
        let thread = std::thread::Builder::new().name("evidence".to_owned()).spawn(move || {
            // The detectors go first; on Linux this concerns the thread alone.
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::warn!("Evidence is written at the detectors' priority: {error}.");
            }
            samples.expire();
            loop {
                match its_inputs.recv_timeout(PRUNE_EVERY) {
                    Ok(input) => write(&own, &input, &its_counts),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if let Err(error) = own.lock().unwrap_or_else(PoisonError::into_inner).prune(UtcNanos::now()) {
                    tracing::error!("Deleting old evidence: {error}.");
                }
                samples.expire();
            }
        })?;
        Ok(Self { to_writer: Some(to_writer), inputs, writer, thread: Some(thread), counts })
    }

    /// Hits of which there is no evidence.
    pub fn missed(&self) -> u64 {
        self.counts.missed.load(Ordering::Relaxed)
    }

    /// Bytes of tiles that wait to be written.
    pub fn waiting_bytes(&self) -> u64 {
        self.counts.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Has it written.
    pub fn write(&self, input: EvidenceInput) {
        let (id, bytes) = (input.hit.id.clone(), bytes(&input.tiles));
        // Before it is sent, so that it is there to be taken off.
        self.counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = self.to_writer.as_ref().map(|w| w.try_send(Box::new(input)));
        let why = match sent {
            Some(Ok(())) => return,
            Some(Err(TrySendError::Full(_))) => "the disk does not keep up",
            Some(Err(TrySendError::Disconnected(_))) | None => "the thread that writes it has ended",
        };
        self.counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.counts.missed.fetch_add(1, Ordering::Relaxed);
        tracing::error!(hit = id, "No evidence is kept: {why}.");
    }
}

/// Writes a file, and says so.
fn write(writer: &Mutex<EvidenceWriter>, input: &EvidenceInput, counts: &Counts) {
    // A writer that panicked in the middle of a file left what a crash leaves: it repairs that when it is opened.
    let written = writer.lock().unwrap_or_else(PoisonError::into_inner).write(input, UtcNanos::now());
    counts.waiting_bytes.fetch_sub(bytes(&input.tiles), Ordering::Relaxed);
    match written {
        Ok(file) if file.remade.fits() => {
            tracing::info!(hit = input.hit.id, file = %file.path.display(), head = %file.head, "Evidence is kept.");
        }
        Ok(file) => {
            tracing::warn!(hit = input.hit.id, file = %file.path.display(), remade = ?file.remade, "Evidence is kept; its bursts alone do not give the hit.");
        }
        Err(error) => {
            counts.missed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(hit = input.hit.id, "No evidence is kept: {error}.");
        }
    }
}

impl Drop for Writing {
    /// What was closed is written before the daemon ends, and by the one who waits for it as well: the thread may not get
    /// much of a processor that others are busy with.
    fn drop(&mut self) {
        self.to_writer = None;
        for input in &self.inputs {
            write(&self.writer, &input, &self.counts);
        }
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so.
            let _ = thread.join();
        }
    }
}
