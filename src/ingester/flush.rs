//! From the head to a block.
//!
//! Order, and what a crash after each step leaves: the block's files (garbage, swept at the next start) → ledger (void without its
//! block) → `meta.json` (the block exists; replay skips what the ledger covers) → swap in memory → pins released (segments
//! go). A flush that fails leaves the head as it was and is tried again.

use super::Ingester;
use super::cut::traces_left;
use super::head::{Head, Sealed, now_millis};
use super::wal::{Ledger, Receipt, WalError};
use crate::block::output::FilesInMemory;
use crate::block::parts::PartCache;
use crate::block::reader::{Block, RangeRead};
use crate::block::schema::META_FILE;
use crate::block::writer::WriteError;
use crate::block::{BlockInput, NewBlock, write_block};
use crate::columns::wire::Malformed;
use crate::columns::{Chunk, copy};
use crate::model::{BlockId, TenantId, TraceId, UnixNanos};
use crate::runtime::memory::Use;
use crate::store::{StoreError, paths};
use crate::telemetry::spans::own_span;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::Instrument;

/// A head of this age fills slowly.
const SLOW_HEAD: Duration = Duration::from_secs(10);
/// Such a head is cut when it holds this part of what a full one may.
const SLOW_HEAD_SHARE: usize = 3;

/// Which traces a flush takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// All of them.
    Everything,
    /// Those that are idle; see [`super::cut`].
    Idle,
}

/// Why a flush failed.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The block could not be encoded.
    #[error(transparent)]
    Encode(#[from] WriteError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger could not be written.
    #[error(transparent)]
    Ledger(#[from] WalError),
    /// The new block cannot be read.
    #[error("the new block cannot be read: {0}")]
    Block(String),
    /// Rows left behind could not be copied.
    #[error("rows could not be copied: {0}")]
    Copy(#[from] Malformed),
    /// The task that encodes was lost.
    #[error("the flush was interrupted")]
    Interrupted,
}

/// A block encoded from a head, and what stays behind.
struct Encoded {
    new: Option<NewBlock>,
    id: BlockId,
    left: HashSet<TraceId>,
    rest: Option<Sealed>,
    sealed: Vec<Sealed>,
}

impl Ingester {
    /// Cuts a tenant's head and writes a block. Returns once the block exists and is visible. Not cancelled by dropping the
    /// future: between the block's coming to exist and the swap nobody may turn back.
    pub async fn flush(self: &Arc<Self>, tenant: &TenantId, taking: Taking) -> Result<(), FlushError> {
        let (ingester, tenant) = (Arc::clone(self), tenant.clone());
        let span = own_span!("flush", %tenant);
        tokio::spawn(async move { ingester.flush_uncancelled(&tenant, taking).await }.instrument(span))
            .await
            .map_err(|_| FlushError::Interrupted)?
    }

    async fn flush_uncancelled(self: &Arc<Self>, tenant: &TenantId, taking: Taking) -> Result<(), FlushError> {
        let Some(head) = self.existing_head(tenant) else { return Ok(()) };
        let _only = head.flushing.lock().await;
        // The block's files in memory, and a column of them expanded: about a third of what the head holds.
        let _files = self.config.memory.hold(Use::Flushes, head.bytes() as u64 / 3);
        let encoded = self.encode(&head, tenant, taking).instrument(own_span!("flush.encode")).await?;
        let Some(new) = &encoded.new else { return Ok(()) };
        self.store.failpoints().hit("flush.cut");
        let block = self.store_block(tenant, new, &encoded).instrument(own_span!("flush.store")).await?;
        self.store.failpoints().hit("flush.meta");
        head.swap(&encoded.sealed, encoded.rest.clone(), Some(block));
        self.store.failpoints().hit("flush.swapped");
        self.config.memory.set(Use::Heads, self.held_bytes() as u64);
        self.room.notify_waiters();
        let pins = pins_released(&encoded);
        let ingester = Arc::clone(self);
        tokio::task::spawn_blocking(move || ingester.wal.release(&pins)).await.map_err(|_| FlushError::Interrupted)
    }

    async fn encode(&self, head: &Arc<Head>, tenant: &TenantId, taking: Taking) -> Result<Encoded, FlushError> {
        let (head, tenant) = (Arc::clone(head), tenant.clone());
        let idle = self.config.max_trace_idle;
        tokio::task::spawn_blocking(move || encode(&head, &tenant, taking, idle)).await.map_err(|_| FlushError::Interrupted)?
    }

    async fn store_block(self: &Arc<Self>, tenant: &TenantId, new: &NewBlock, encoded: &Encoded) -> Result<Arc<Block>, FlushError> {
        let stored = self.try_store_block(tenant, new, encoded).await;
        if stored.is_err() {
            // Best effort; what stays is swept at the next start, as a folder without meta.json.
            let _ = self.store.for_new_blocks().delete_block(tenant, &encoded.id).await;
        }
        stored
    }

    async fn try_store_block(self: &Arc<Self>, tenant: &TenantId, new: &NewBlock, encoded: &Encoded) -> Result<Arc<Block>, FlushError> {
        let id = encoded.id;
        let store = self.store.for_new_blocks();
        for (name, bytes) in &new.files {
            store.put(&paths::file(tenant, &id, name), bytes.clone()).await?;
            self.store.failpoints().hit("flush.file");
        }
        self.store.failpoints().hit("flush.files");
        let block = open_from_memory(id, new, Arc::new(self.store.block_files(tenant, &id)), self.store.parts()).await?;
        let sequences = encoded.sealed.iter().flat_map(|part| part.records.iter()).map(|receipt| receipt.sequence);
        let ledger = Ledger::new(id, tenant.clone(), sequences, encoded.left.iter().copied());
        let writer = Arc::clone(self);
        tokio::task::spawn_blocking(move || writer.wal.write_ledger(&ledger)).await.map_err(|_| FlushError::Interrupted)??;
        self.store.failpoints().hit("flush.ledger");
        self.make_exist(tenant, &id, new.meta.to_json().into()).await?;
        self.instruments.blocks.inc(1);
        self.instruments.block_spans.inc(new.meta.num_spans as usize);
        self.instruments.block_bytes.inc(new.meta.total_bytes() as usize);
        self.instruments.duplicates.inc(new.num_duplicates);
        tracing::info!(
            %tenant,
            block = %id,
            spans = new.meta.num_spans,
            traces = new.meta.num_traces,
            bytes = new.meta.total_bytes(),
            left_traces = encoded.left.len(),
            "block written"
        );
        Ok(Arc::new(block))
    }

    /// Writes `meta.json` until it is certain whether it is there: a write whose answer was lost may have happened, and a
    /// second block with the same spans must not follow it.
    async fn make_exist(&self, tenant: &TenantId, id: &BlockId, meta: bytes::Bytes) -> Result<(), FlushError> {
        let path = paths::file(tenant, id, META_FILE);
        loop {
            let Err(error) = self.store.for_new_blocks().put(&path, meta.clone()).await else { return Ok(()) };
            if let Ok(false) = self.store.for_new_blocks().block_exists(tenant, id).await {
                return Err(error.into());
            }
            tracing::error!(%tenant, block = %id, %error, "it is not certain whether the block exists; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Flushes every tenant's head whole; one that fails does not keep the others from it.
    pub async fn flush_all(self: &Arc<Self>) -> Result<(), FlushError> {
        let mut result = Ok(());
        for tenant in self.tenants() {
            result = result.and(self.flush(&tenant, Taking::Everything).await);
        }
        result
    }

    /// Looks after the heads until `stop` is dropped: cuts what is old or large.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<()>) {
        loop {
            // A full head rings; otherwise heads are looked at now and then.
            tokio::select! {
                _ = tokio::time::timeout(self.config.check_period, self.work.notified()) => {}
                _ = stop.changed() => return,
            }
            self.make_room().await;
            for tenant in self.tenants() {
                self.report(&tenant, self.look_after(&tenant).await).await;
            }
        }
    }

    /// Flushes the largest heads while all together hold too much.
    async fn make_room(self: &Arc<Self>) {
        while self.held_bytes() >= self.config.max_head_bytes {
            let heads = self.tenants().into_iter().filter_map(|tenant| Some((self.existing_head(&tenant)?.bytes(), tenant)));
            let Some((bytes, tenant)) = heads.max() else { return };
            self.report(&tenant, self.flush(&tenant, Taking::Idle).await).await;
            if self.existing_head(&tenant).is_none_or(|head| head.bytes() >= bytes) {
                return;
            }
        }
    }

    async fn report(&self, tenant: &TenantId, result: Result<(), FlushError>) {
        if let Err(error) = result {
            self.instruments.flush_failures.inc(1);
            tracing::error!(%tenant, %error, "a block could not be written; its spans stay in memory and in the log");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn look_after(self: &Arc<Self>, tenant: &TenantId) -> Result<(), FlushError> {
        let Some(head) = self.existing_head(tenant) else { return Ok(()) };
        let age = Duration::from_millis(head.oldest_millis().map_or(0, |oldest| now_millis().saturating_sub(oldest)));
        if is_due(age, head.bytes(), self.config.max_block_duration, self.config.max_head_bytes) {
            return self.flush(tenant, Taking::Idle).await;
        }
        let _no_flush = head.flushing.lock().await;
        let joining = Arc::clone(&head);
        tokio::task::spawn_blocking(move || joining.join_small()).await.map_err(|_| FlushError::Interrupted)?.map_err(FlushError::Copy)
    }
}

/// Whether a head is cut that is not full. One that fills slowly need not hold as much as one that gives a block a second: its blocks
/// are merged as well, and a flush of it needs as much less. (docs/performance.md, "A steady 10,000 spans/s".)
fn is_due(age: Duration, bytes: usize, max_age: Duration, max_bytes: usize) -> bool {
    age >= max_age || age >= SLOW_HEAD && bytes >= max_bytes / SLOW_HEAD_SHARE
}

fn encode(head: &Head, tenant: &TenantId, taking: Taking, idle: Duration) -> Result<Encoded, FlushError> {
    let sealed = head.seal_for_cut();
    let left = match taking {
        Taking::Everything => HashSet::new(),
        Taking::Idle => traces_left(&sealed, now_millis(), idle.as_millis() as u64),
    };
    let chunks: Vec<&Chunk> = sealed.iter().map(|part| &*part.chunk).collect();
    let id = BlockId::random();
    let takes = |trace: &TraceId| !left.contains(trace);
    let mut new = write_block(&BlockInput { id, tenant, sources: &chunks, takes: &takes, created: UnixNanos::now() })?;
    if let Some(new) = &mut new {
        new.meta.split = split_traces(head, &new.trace_ids);
    }
    let rest = rest_of(&sealed, &left)?;
    Ok(Encoded { new, id, left, rest, sealed })
}

/// The traces of a new block that have spans in earlier blocks.
fn split_traces(head: &Head, traces: &[TraceId]) -> Vec<String> {
    let blocks = head.blocks().snapshot();
    // A block that cannot be read may have it; listing one too many costs time only.
    let is_split = |id: &&TraceId| blocks.iter().any(|block| !matches!(block.find(id), Ok(None)));
    traces.iter().filter(is_split).map(TraceId::to_string).collect()
}

/// The rows of the traces that are left, as one chunk that holds on to the records of every chunk it took rows from.
fn rest_of(sealed: &[Sealed], left: &HashSet<TraceId>) -> Result<Option<Sealed>, Malformed> {
    if left.is_empty() {
        return Ok(None);
    }
    let mut rest = Chunk::default();
    let (mut records, mut carried) = (Vec::new(), 0);
    for part in sealed {
        let before = rest.num_rows();
        let summaries = part.chunk.traces.summaries();
        copy::copy_traces(&part.chunk, &|trace| left.contains(&summaries[trace as usize].id), &mut rest)?;
        if rest.num_rows() > before {
            records.extend(part.records.iter().copied());
            carried = carried.max(part.carried + 1);
        }
    }
    Ok(Some(Sealed::new(rest, records, now_millis(), carried)))
}

/// Pins of all records that the rest does not hold on to, by segment.
fn pins_released(encoded: &Encoded) -> Vec<(u64, u64)> {
    let kept: HashSet<u64> = encoded.rest.iter().flat_map(|rest| rest.records.iter()).map(|receipt| receipt.sequence).collect();
    let mut pins: BTreeMap<u64, u64> = BTreeMap::new();
    let all = encoded.sealed.iter().flat_map(|part| part.records.iter());
    for Receipt { sequence, segment } in all {
        if !kept.contains(sequence) {
            *pins.entry(*segment).or_default() += 1;
        }
    }
    pins.into_iter().collect()
}

/// Opens a block whose files were just written, to see that they can be read before anything relies on them. Its small
/// files are read from memory, so that this costs no requests; later reads go to the store.
async fn open_from_memory(id: BlockId, new: &NewBlock, files: Arc<dyn RangeRead>, parts: Arc<PartCache>) -> Result<Block, FlushError> {
    let (meta, written) = (new.meta.clone(), FilesInMemory(new.files.clone()));
    let opened = tokio::task::spawn_blocking(move || Block::open_with(id, meta, &written, files, Some(parts))).await;
    opened.map_err(|_| FlushError::Interrupted)?.map_err(|error| FlushError::Block(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_heads_are_cut_small_and_small_ones_late() {
        let (minute, mib) = (Duration::from_secs(60), 1 << 20);
        let due = |seconds, bytes| is_due(Duration::from_secs(seconds), bytes, 30 * minute, 64 * mib);
        assert!(!due(9, 63 * mib), "a fast one rings when it is full");
        assert!(due(10, 22 * mib));
        assert!(!due(1799, 21 * mib));
        assert!(due(1800, 1));
    }
}
