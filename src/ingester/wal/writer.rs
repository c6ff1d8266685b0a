//! The log as its users see it: append, release, ledgers, close.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::committer::{Committer, CommitterParts, Job, Message, UnclaimedPin};
use super::error::WalError;
use super::files::{Disk, WalFiles};
use super::frame::{Frame, NUMBER_LIMIT};
use super::instruments::WalInstruments;
use super::ledger::Standing;
use super::ledger::{self, Ledger};
use super::registry::{HeldLedger, HeldSegment, Registry};
use super::replay::{Applied, BoxError, Progress, Replay, ReplayError, ReplayedRecord};
use crate::model::BlockId;
use crate::runtime::failpoints::Failpoints;

/// What may wait for the writer thread, the round that it is writing included: four rounds of 4 MiB.
const QUEUE_BYTES: usize = 16 << 20;
/// The queue is measured in these; every record takes at least one, so the number of queued records is bounded, too.
const QUEUE_UNIT_BYTES: usize = 4 << 10;
const QUEUE_UNITS: usize = QUEUE_BYTES / QUEUE_UNIT_BYTES;
/// Slots that records never fill, for [`Wal::close`].
const CLOSE_SLOTS: usize = 4;

/// When written records become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// Before they are acknowledged; one fdatasync for all that wait. The only mode that keeps the promise of the server.
    #[default]
    Group,
    /// At most this long after they were acknowledged. A power loss takes what came in between; a killed process nothing.
    Interval(Duration),
    /// When the system pleases, and when a segment is full or the log is closed.
    None,
}

/// Settings of the log.
#[derive(Debug, Clone)]
pub struct Options {
    /// A segment that has reached this size, in bytes, is closed after the round that filled it.
    pub segment_bytes: u64,
    /// When records become durable.
    pub sync: SyncMode,
    /// Where a test has the process die.
    pub failpoints: Failpoints,
}

impl Default for Options {
    fn default() -> Self {
        Options { segment_bytes: 64 << 20, sync: SyncMode::Group, failpoints: Failpoints::default() }
    }
}

/// Where a log goes on: what replay found, or [`Start::default`] for an empty directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The next record gets this number; above all that were ever given, from 1 on.
    pub next_sequence: u64,
    /// The next segment gets this number, or a higher one.
    pub next_segment: u64,
    /// Segments that exist, mostly still to be replayed. Those that are not and have no pins are dropped by `open`.
    pub segments: Vec<HeldSegment>,
    /// Ledgers that exist.
    pub ledgers: Vec<HeldLedger>,
}

impl Default for Start {
    fn default() -> Self {
        Start { next_sequence: 1, next_segment: 1, segments: Vec::new(), ledgers: Vec::new() }
    }
}

/// Proof that a record is in the log, as durable as the mode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The record's number: ascending in the order of the log, with gaps. Not given twice as long as any file of the log mentions it.
    pub sequence: u64,
    /// The segment that the record pins until [`Wal::release`].
    pub segment: u64,
}

/// The write-ahead log of the process. Shared behind an `Arc`.
///
/// Dropping it without [`Wal::close`] loses nothing that was acknowledged: the thread syncs and ends on its own.
pub struct Wal {
    dir: PathBuf,
    files: Arc<dyn WalFiles>,
    registry: Arc<Registry>,
    instruments: Arc<WalInstruments>,
    /// Bounded by `space`: who holds a permit finds a free slot.
    queue: SyncSender<Message>,
    /// The back-pressure: free units of the queue. Closed when the log is.
    space: Arc<Semaphore>,
    /// Taken by the first who closes.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Wal {
    /// Opens the log in `dir`, which is made if it is missing, with a new segment, and starts the writer thread. Blocking.
    ///
    /// # Errors
    /// [`WalError::Storage`] if the directory or the segment cannot be created, or if a segment of that number exists:
    /// then `start` is not from a replay of this directory.
    pub fn open(dir: impl Into<PathBuf>, options: Options, start: Start) -> Result<Wal, WalError> {
        Self::open_with(Arc::new(Disk), dir.into(), options, start)
    }

    pub(super) fn open_with(files: Arc<dyn WalFiles>, dir: PathBuf, options: Options, start: Start) -> Result<Wal, WalError> {
        if start.next_sequence > NUMBER_LIMIT || start.next_segment > NUMBER_LIMIT {
            return Err(WalError::storage("open")(std::io::Error::other("its numbers are used up")));
        }
        files.create_dir(&dir).map_err(WalError::storage("create its directory"))?;
        let instruments = Arc::new(WalInstruments::default());
        let shared = (Arc::clone(&files), Arc::clone(&instruments));
        let registry =
            Arc::new(Registry::new(dir.clone(), shared.0, shared.1, &start.segments, &start.ledgers).with_failpoints(&options.failpoints));
        let committer = Committer::new(CommitterParts {
            files: Arc::clone(&files),
            dir: dir.clone(),
            registry: Arc::clone(&registry),
            instruments: Arc::clone(&instruments),
            segment_bytes: options.segment_bytes,
            sync: options.sync,
            failpoints: options.failpoints,
            next_sequence: start.next_sequence,
            next_segment: start.next_segment,
        })?;
        // After the new segment: its name keeps the numbers of the deleted ones from being used again.
        registry.sweep();
        let (queue, receiver) = mpsc::sync_channel(QUEUE_UNITS + CLOSE_SLOTS);
        let thread = std::thread::Builder::new().name("wal-writer".to_string());
        let thread = thread.spawn(move || committer.run(&receiver)).map_err(WalError::storage("start its thread"))?;
        let space = Arc::new(Semaphore::new(QUEUE_UNITS));
        Ok(Wal { dir, files, registry, instruments, queue, space, thread: Mutex::new(Some(thread)) })
    }

    /// Appends one record; resolves when it is as durable as the mode says. Waits while 16 MiB are queued.
    ///
    /// The receipt stands for one pin on its segment, which the caller gives back with [`Wal::release`] when the record's
    /// spans are in durable blocks. A caller that drops the future was promised nothing: the record may be in the log or
    /// not, and its pin is given back for it.
    ///
    /// # Errors
    /// [`WalError::Storage`]: the record is not in the log, trying later makes sense. [`WalError::Closed`].
    pub async fn append(&self, frame: Frame) -> Result<Receipt, WalError> {
        let units = frame.stored_bytes().div_ceil(QUEUE_UNIT_BYTES).clamp(1, QUEUE_UNITS) as u32;
        let space = Arc::clone(&self.space).acquire_many_owned(units).await.map_err(|_| WalError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Message::Append(Job { frame, reply, _space: space })).map_err(|_| WalError::Closed)?;
        answer.await.map_err(|_| WalError::Closed)?.map(UnclaimedPin::claim)
    }

    /// Gives back pins, as (segment, count), and deletes the segments and ledgers that nothing needs any more.
    /// Blocking: a few file operations. Failures to delete are logged and tried again at the next call.
    pub fn release(&self, pins: &[(u64, u64)]) {
        self.registry.release(pins);
    }

    /// Writes a flush ledger durably. Blocking. To be called after the block's data files and before its `meta.json`.
    ///
    /// # Errors
    /// [`WalError::Storage`] and [`WalError::TooLarge`]: the block must not be made to exist, and its pins be kept.
    pub fn write_ledger(&self, ledger: &Ledger) -> Result<(), WalError> {
        ledger::write(self.files.as_ref(), &self.dir, ledger)?;
        self.instruments.ledgers_written.add(1);
        self.registry.add_ledger(HeldLedger { block: *ledger.block(), end_sequence: ledger.end_sequence(), standing: Standing::Depends });
        Ok(())
    }

    /// Before a block is deleted: its ledger, if there is one still, holds from now on without it. Blocking.
    ///
    /// # Errors
    /// [`WalError::Storage`]: the block must not be deleted yet.
    pub fn settle(&self, block: &BlockId) -> Result<(), WalError> {
        self.registry.settle(block).map_err(WalError::storage("settle a flush ledger"))
    }

    /// Replays the next segment of what this log was opened behind, and drops it if nothing of it is needed; false if there is
    /// none left. Blocking, while the log takes new records. `apply` gets every good record; what it answers with
    /// [`Applied::Held`] is pinned, as if it had been appended.
    ///
    /// # Errors
    /// As [`ReplayError`] says; it may be called again, and `apply` gets no record twice that it has answered.
    pub fn replay_segment(
        &self,
        replay: &mut Replay,
        mut apply: impl FnMut(ReplayedRecord<'_>) -> Result<Applied, BoxError>,
    ) -> Result<bool, ReplayError> {
        let before = Progress::of(replay.report());
        let went_on = replay.next_segment(Some(&self.registry), &mut apply);
        let after = Progress::of(replay.report());
        self.instruments.replayed_records.add(after.records - before.records);
        self.instruments.replayed_raw_bytes.add(after.raw_bytes - before.raw_bytes);
        self.instruments.damaged_bytes.add(after.damaged_bytes - before.damaged_bytes);
        self.instruments.damaged_segments.add(after.damaged_segments - before.damaged_segments);
        self.registry.sweep();
        went_on
    }

    /// Pins held now, as (segment, count), ascending, the active segment included.
    pub fn pins(&self) -> Vec<(u64, u64)> {
        self.registry.pins()
    }

    /// The counters of this log.
    pub fn instruments(&self) -> Arc<WalInstruments> {
        Arc::clone(&self.instruments)
    }

    /// Refuses new records, writes those that are queued, syncs, and ends the thread. A second call returns at once.
    ///
    /// # Errors
    /// [`WalError::Storage`] if the last sync failed, which only matters to records acknowledged before they were durable.
    pub async fn close(&self) -> Result<(), WalError> {
        self.space.close();
        let thread = self.thread.lock().take();
        let Some(thread) = thread else { return Ok(()) };
        let (done, closed) = oneshot::channel();
        // If the thread is gone, `closed` says so.
        let _ = self.queue.try_send(Message::Close(done));
        let outcome = closed.await.unwrap_or(Err(WalError::Closed));
        // It has nothing left to do but to return, so this does not block. It was a panic if it had died before.
        if thread.join().is_err() { Err(WalError::Closed) } else { outcome }
    }
}

#[cfg(test)]
mod tests;
