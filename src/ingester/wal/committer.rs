//! The writer thread: turns what is queued into rounds, each made durable at once.
//!
//! A round is all records that wait, up to 4 MiB. It is written with one `writev` loop, made durable with one fdatasync,
//! pinned, and only then acknowledged. If a step fails, the whole round is refused:
//!
//! | failed | done |
//! |---|---|
//! | write | file cut back to the end of the last good round; if that fails, too, it is retired |
//! | fdatasync | file retired: the kernel may have dropped the pages, a later fdatasync would lie |
//! | creation of a segment | when full: the old one grows on; when retired: round refused, next round tries again |
//!
//! A retired file is cut back to its last good length as far as possible and never written again. A sequence number that
//! was given to a refused record is not used again.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::WalError;
use super::files::{WalFile, WalFiles, write_fully};
use super::frame::Frame;
use super::instruments::WalInstruments;
use super::registry::Registry;
use super::segment;
use super::writer::{Receipt, SyncMode};
use crate::runtime::failpoints::Failpoints;

/// Enough to make the fdatasync cheap per byte, small enough not to keep the first waiter.
const ROUND_BYTES: usize = 4 << 20;

/// What callers send to the thread.
pub(super) enum Message {
    Append(Job),
    Close(oneshot::Sender<Result<(), WalError>>),
}

/// One record that waits to be written.
pub(super) struct Job {
    pub(super) frame: Frame,
    pub(super) reply: oneshot::Sender<Result<UnclaimedPin, WalError>>,
    /// The record's share of the queue, given back when it is written or refused.
    pub(super) _space: OwnedSemaphorePermit,
}

/// A receipt on its way to the caller. If the caller has gone, nobody was promised anything and nobody will ever release
/// the record's pin, so it is given back here. A receipt that has been claimed is the caller's affair alone.
pub(super) struct UnclaimedPin {
    registry: Option<Arc<Registry>>,
    receipt: Receipt,
}

impl UnclaimedPin {
    /// A pin that `registry` holds already.
    pub(super) fn new(registry: Arc<Registry>, receipt: Receipt) -> Self {
        UnclaimedPin { registry: Some(registry), receipt }
    }

    /// Makes the pin the caller's.
    pub(super) fn claim(mut self) -> Receipt {
        self.registry = None;
        self.receipt
    }
}

impl Drop for UnclaimedPin {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.take() {
            // Only the count: this may run on an async thread, and files are deleted by the next sweep.
            registry.unpin(&[(self.receipt.segment, 1)]);
        }
    }
}

/// The segment that is written.
struct Active {
    number: u64,
    file: Box<dyn WalFile>,
    /// Where the last good round ends: what replay would find. With [`SyncMode::Group`] all of it is durable.
    good_bytes: u64,
    /// What of it is known to be durable.
    synced_bytes: u64,
}

#[derive(Default)]
struct Round {
    jobs: Vec<Job>,
    stored_bytes: usize,
    closers: Vec<oneshot::Sender<Result<(), WalError>>>,
}

impl Round {
    fn add(&mut self, message: Message) {
        match message {
            Message::Close(done) => self.closers.push(done),
            // The caller gave up while the record was queued.
            Message::Append(job) if job.reply.is_closed() => {}
            Message::Append(job) => {
                self.stored_bytes += job.frame.stored_bytes();
                self.jobs.push(job);
            }
        }
    }
}

/// The state of the writer thread.
pub(super) struct Committer {
    files: Arc<dyn WalFiles>,
    dir: PathBuf,
    registry: Arc<Registry>,
    instruments: Arc<WalInstruments>,
    segment_bytes: u64,
    sync: SyncMode,
    failpoints: Failpoints,
    active: Option<Active>,
    next_sequence: u64,
    next_segment: u64,
    /// When the oldest write that is not yet durable happened; only with [`SyncMode::Interval`].
    unsynced_since: Option<Instant>,
    /// The last round was refused, and that has been logged.
    is_refusing: bool,
    /// The active segment is over its size because its successor could not be created, and that has been logged.
    is_crowded: bool,
}

/// What a [`Committer`] is made of.
pub(super) struct CommitterParts {
    pub(super) files: Arc<dyn WalFiles>,
    pub(super) dir: PathBuf,
    pub(super) registry: Arc<Registry>,
    pub(super) instruments: Arc<WalInstruments>,
    pub(super) segment_bytes: u64,
    pub(super) sync: SyncMode,
    pub(super) failpoints: Failpoints,
    pub(super) next_sequence: u64,
    pub(super) next_segment: u64,
}

impl Committer {
    /// Creates the first segment, so that a directory that cannot be written is noticed at start.
    pub(super) fn new(parts: CommitterParts) -> Result<Self, WalError> {
        let CommitterParts { files, dir, registry, instruments, segment_bytes, sync, failpoints, next_sequence, next_segment } = parts;
        let mut committer = Committer {
            files,
            dir,
            registry,
            instruments,
            segment_bytes,
            sync,
            failpoints,
            active: None,
            next_sequence,
            next_segment,
            unsynced_since: None,
            is_refusing: false,
            is_crowded: false,
        };
        committer.active = Some(committer.create_segment()?);
        Ok(committer)
    }

    /// Serves `queue` until it is closed; everything that was accepted before is written first.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        let mut round = Round::default();
        loop {
            match self.wait(queue) {
                Ok(message) => round.add(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.fill(&mut round, queue);
            self.commit(&mut round);
            self.sync_when_due();
            if !round.closers.is_empty() {
                break;
            }
        }
        self.drain(round, queue);
    }

    fn wait(&self, queue: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match self.time_to_sync() {
            Some(left) => queue.recv_timeout(left),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn fill(&self, round: &mut Round, queue: &Receiver<Message>) {
        while round.stored_bytes < ROUND_BYTES
            && let Ok(message) = queue.try_recv()
        {
            round.add(message);
        }
    }

    /// Writes what is left in the queue, syncs, and tells those who closed the log.
    fn drain(&mut self, mut round: Round, queue: &Receiver<Message>) {
        loop {
            self.fill(&mut round, queue);
            if round.jobs.is_empty() {
                break;
            }
            self.commit(&mut round);
        }
        let outcome = self.sync_active();
        for closer in round.closers {
            // Nobody waits for a closer that was dropped.
            let _ = closer.send(outcome.clone());
        }
    }

    fn commit(&mut self, round: &mut Round) {
        round.stored_bytes = 0;
        let jobs = &mut round.jobs;
        if jobs.is_empty() {
            return;
        }
        match self.store(jobs) {
            Ok((segment, first_sequence)) => self.acknowledge(jobs, segment, first_sequence),
            Err(error) => self.refuse(jobs, &error),
        }
        self.rotate_when_full();
    }

    fn refuse(&mut self, jobs: &mut Vec<Job>, error: &WalError) {
        // Every waiter is told; the log of the server is told once, a full disk would fill it with thousands of lines.
        if !std::mem::replace(&mut self.is_refusing, true) {
            tracing::warn!(%error, records = jobs.len(), "write-ahead log refuses records");
        }
        self.instruments.append_errors.add(jobs.len() as u64);
        for job in jobs.drain(..) {
            // A caller that has gone needs no answer.
            let _ = job.reply.send(Err(error.clone()));
        }
    }

    /// Makes the round as durable as the mode demands. Gives the segment and the first sequence number.
    fn store(&mut self, jobs: &mut [Job]) -> Result<(u64, u64), WalError> {
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.create_segment()?,
        };
        let first_sequence = self.next_sequence;
        for job in jobs.iter_mut() {
            job.frame.seal(self.next_sequence);
            self.next_sequence += 1;
        }
        let mut slices: Vec<IoSlice<'_>> = jobs.iter().map(|job| IoSlice::new(job.frame.as_bytes())).collect();
        let round_bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        self.die_while_writing(&mut active, &slices);
        if let Err(error) = write_fully(active.file.as_mut(), &mut slices) {
            self.instruments.write_errors.add(1);
            self.undo_write(active);
            return Err(WalError::storage("write records")(error));
        }
        self.failpoints.hit("wal.written");
        if self.sync == SyncMode::Group
            && let Err(error) = self.timed_sync(&mut active)
        {
            self.retire(active);
            return Err(WalError::storage("make records durable")(error));
        }
        self.failpoints.hit("wal.synced");
        active.good_bytes += round_bytes;
        self.note_synced(&mut active);
        self.instruments.rounds.add(1);
        let number = active.number;
        self.active = Some(active);
        Ok((number, first_sequence))
    }

    /// Where a test has the process die before a round is in the file, or in the middle of it.
    fn die_while_writing(&self, active: &mut Active, slices: &[IoSlice<'_>]) {
        self.failpoints.hit("wal.write");
        if self.failpoints.is_due("wal.write.half") {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            // It dies either way.
            let _ = write_fully(active.file.as_mut(), &mut [IoSlice::new(&bytes[..bytes.len() / 2])]);
            self.failpoints.die();
        }
    }

    fn note_synced(&mut self, active: &mut Active) {
        match self.sync {
            SyncMode::Group => active.synced_bytes = active.good_bytes,
            SyncMode::Interval(_) => {
                self.unsynced_since.get_or_insert_with(Instant::now);
            }
            SyncMode::None => {}
        }
    }

    fn acknowledge(&mut self, jobs: &mut Vec<Job>, segment: u64, first_sequence: u64) {
        if std::mem::take(&mut self.is_refusing) {
            tracing::info!("write-ahead log accepts records again");
        }
        // Before anyone can release one of them.
        self.registry.pin(segment, first_sequence, jobs.len() as u64);
        self.instruments.appends.add(jobs.len() as u64);
        for (job, sequence) in jobs.drain(..).zip(first_sequence..) {
            self.instruments.append_raw_bytes.add(job.frame.raw_bytes() as u64);
            self.instruments.append_stored_bytes.add(job.frame.stored_bytes() as u64);
            let pin = UnclaimedPin::new(Arc::clone(&self.registry), Receipt { sequence, segment });
            // If the caller has gone, the pin comes back and undoes itself.
            let _ = job.reply.send(Ok(pin));
        }
    }

    /// After a failed write: removes what got into the file of a round that is refused.
    fn undo_write(&mut self, mut active: Active) {
        match active.file.set_len(active.good_bytes) {
            Ok(()) => self.active = Some(active),
            Err(error) => {
                tracing::warn!(segment = active.number, %error, "a refused round could not be removed, the segment is retired");
                self.retire(active);
            }
        }
    }

    /// Never writes this file again. Whatever else fails, what was acknowledged stays readable in it.
    fn retire(&mut self, mut active: Active) {
        let cut = active.file.set_len(active.good_bytes);
        // Also if it could not be cut: with modes other than `Group` there may be acknowledged records to be synced.
        let synced = active.file.sync_data();
        if let Err(error) = cut.and(synced) {
            tracing::warn!(segment = active.number, %error, "refused records may be left at the end of a retired segment");
        }
        self.unsynced_since = None;
        self.registry.close(active.number);
    }

    fn create_segment(&mut self) -> Result<Active, WalError> {
        let number = self.next_segment;
        // Also after a failure: what is left under the old number must not be in the way.
        self.next_segment += 1;
        let file = segment::create(self.files.as_ref(), &self.dir, number).map_err(|error| {
            self.instruments.segment_errors.add(1);
            WalError::storage("create a segment")(error)
        })?;
        self.instruments.segments_created.add(1);
        self.registry.add_active(number);
        Ok(Active { number, file, good_bytes: segment::FILE_HEADER_BYTES, synced_bytes: segment::FILE_HEADER_BYTES })
    }

    fn rotate_when_full(&mut self) {
        if self.active.as_ref().is_none_or(|active| active.good_bytes < self.segment_bytes) {
            return;
        }
        // Replay takes damage in any but the last segment for lost data, so a segment is durable before it has a successor.
        if self.sync_active().is_err() {
            return;
        }
        self.failpoints.hit("wal.rotate");
        match self.create_segment() {
            Ok(next) => {
                self.failpoints.hit("wal.rotated");
                self.is_crowded = false;
                if let Some(full) = self.active.replace(next) {
                    self.registry.close(full.number);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_crowded, true) {
                    tracing::warn!(%error, "write-ahead log goes on in a segment that is full");
                }
            }
        }
    }

    fn time_to_sync(&self) -> Option<Duration> {
        match (self.sync, self.unsynced_since) {
            (SyncMode::Interval(interval), Some(since)) => Some(interval.saturating_sub(since.elapsed())),
            _ => None,
        }
    }

    fn sync_when_due(&mut self) {
        if self.time_to_sync() == Some(Duration::ZERO) {
            // An error is counted, logged, and has retired the segment; there is no waiter to tell.
            let _ = self.sync_active();
        }
    }

    /// Makes durable what is not. After an error there is no active segment.
    fn sync_active(&mut self) -> Result<(), WalError> {
        self.unsynced_since = None;
        let Some(mut active) = self.active.take_if(|active| active.synced_bytes < active.good_bytes) else {
            return Ok(());
        };
        if let Err(error) = self.timed_sync(&mut active) {
            tracing::error!(segment = active.number, %error, "acknowledged records may not be durable");
            self.retire(active);
            return Err(WalError::storage("make records durable")(error));
        }
        active.synced_bytes = active.good_bytes;
        self.active = Some(active);
        Ok(())
    }

    fn timed_sync(&self, active: &mut Active) -> io::Result<()> {
        let started = Instant::now();
        match active.file.sync_data() {
            Ok(()) => {
                self.instruments.syncs.add(1);
                self.instruments.sync_nanos.add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
                Ok(())
            }
            Err(error) => {
                self.instruments.sync_errors.add(1);
                Err(error)
            }
        }
    }
}
