//! What the last process left in the log becomes the head again, while this one serves.
//!
//! Blocks are cut meanwhile as heads fill, so memory is bounded however long the log is: reading waits where heads hold what they may,
//! and requests only at twice that, so that senders are not refused for what is read. Answers given before the end may lack spans,
//! and say so. If the server stops before the end, the rest is in the log as before.

use super::Ingester;
use super::wal::{Applied, BoxError, Receipt, Replay, ReplayError, ReplayedRecord};
use crate::columns::validate::validate;
use crate::model::TraceId;
use crate::runtime::memory::Use;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How long a segment that cannot be read is left alone; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How far the log has been read.
pub(super) struct Loading(watch::Sender<Stage>);

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Reading,
    /// Nothing is left but what cannot be read for now, or by this version.
    Stuck,
    Over,
}

impl Default for Loading {
    fn default() -> Self {
        Loading(watch::Sender::new(Stage::Reading))
    }
}

/// The server stops: reading ends where it is.
#[derive(Debug, thiserror::Error)]
#[error("the server is shutting down")]
struct Stopped;

impl Ingester {
    /// Whether spans that were acknowledged before the start may be in the log only: answers may lack them.
    pub fn is_loading(&self) -> bool {
        *self.loading.0.borrow() != Stage::Over
    }

    /// Waits until the log has been read as far as it can be.
    pub async fn loaded(&self) {
        // The sender is a part of this, so it is there.
        let _ = self.loading.0.subscribe().wait_for(|stage| *stage != Stage::Reading).await;
    }

    /// Reads the log into heads until its end, or until `stop` is dropped.
    pub async fn load(self: Arc<Self>, replay: Replay, stop: watch::Receiver<()>) {
        let ingester = Arc::clone(&self);
        let loaded = tokio::task::spawn_blocking(move || ingester.load_blocking(replay, &stop)).await;
        if loaded.is_err() {
            tracing::error!("reading the log has failed; what was not read is in the log, and answers say that they are partial");
        }
    }

    fn load_blocking(&self, mut replay: Replay, stop: &watch::Receiver<()>) {
        let (began, mut num_spans, mut pause) = (Instant::now(), 0, FIRST_PAUSE);
        let (mut num_told, mut num_failed, mut end) = (0, 0, Stage::Over);
        loop {
            self.wal.instruments().replay_bytes_left.set(replay.bytes_left());
            let went_on = self.wal.replay_segment(&mut replay, |record| self.apply(record, stop, &mut num_spans));
            for damaged in &replay.report().damaged[num_told..] {
                let (segment, bytes, reason) = (damaged.segment, damaged.lost_bytes, damaged.damage);
                tracing::error!(segment, bytes, %reason, "a log segment is damaged; acknowledged spans may be lost");
            }
            num_told = replay.report().damaged.len();
            match went_on {
                Ok(true) => {
                    (num_failed, pause) = (0, FIRST_PAUSE);
                    self.store.failpoints().hit("replay.segment");
                }
                Ok(false) => break,
                Err(ReplayError::Apply { .. }) => return,
                Err(error @ ReplayError::UnknownVersion { .. }) => {
                    end = Stage::Stuck;
                    tracing::error!(%error, "the rest of a log segment is not read; answers say that they are partial");
                }
                Err(error) => {
                    tracing::error!(%error, "a log segment could not be read, trying again; until then answers say that they are partial");
                    num_failed += 1;
                    if num_failed >= replay.num_left() {
                        self.loading.0.send_replace(Stage::Stuck);
                    }
                    if !sleep(pause, stop) {
                        return;
                    }
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
        let (records, seconds) = (replay.report().records, began.elapsed().as_secs_f64());
        self.loading.0.send_replace(end);
        tracing::info!(records, spans = num_spans, seconds, is_whole = end == Stage::Over, "log loaded");
    }

    fn apply(&self, record: ReplayedRecord<'_>, stop: &watch::Receiver<()>, num_spans: &mut usize) -> Result<Applied, BoxError> {
        if record.skip.skips_all() {
            return Ok(Applied::Covered);
        }
        self.wait_to_load(stop)?;
        self.store.failpoints().hit("replay.record");
        // The log's checksum says that these are the bytes that were validated; they are looked at once more so that
        // a defect here can be told from one there, and because a chunk is lost if decoding fails half-way.
        if validate(record.payload).is_err() {
            return Ok(Applied::Undecodable);
        }
        let head = self.head(record.tenant);
        let receipt = Receipt { sequence: record.sequence, segment: record.segment };
        let takes = |trace: &TraceId| !record.skip.skips(trace);
        let filter = (!record.skip.skips_nothing()).then_some(&takes as &dyn Fn(&TraceId) -> bool);
        let Ok(held) = head.append_replayed(record.payload, receipt, filter) else { return Ok(Applied::Undecodable) };
        *num_spans += held;
        Ok(if held > 0 { Applied::Held } else { Applied::Covered })
    }

    /// Waits until heads hold less than they may.
    fn wait_to_load(&self, stop: &watch::Receiver<()>) -> Result<(), Stopped> {
        let mut stop = stop.clone();
        let wait = async {
            loop {
                let room = self.room.notified();
                let held_bytes = self.held_bytes();
                self.config.memory.set(Use::Heads, held_bytes as u64);
                if stop.has_changed().is_err() {
                    return Err(Stopped);
                }
                if held_bytes < self.config.max_head_bytes {
                    return Ok(());
                }
                self.work.notify_one();
                tokio::select! {
                    () = room => {}
                    _ = stop.changed() => {}
                }
            }
        };
        Handle::current().block_on(wait)
    }
}

/// Waits for so long; false if the server stops meanwhile.
fn sleep(pause: Duration, stop: &watch::Receiver<()>) -> bool {
    let mut stop = stop.clone();
    Handle::current().block_on(async { tokio::time::timeout(pause, stop.changed()).await.is_err() })
}
