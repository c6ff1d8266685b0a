//! Requests become durable, searchable recent data, then blocks.
//!
//! ```text
//! push:  WAL append (fsync) ─ decode into a chunk of the tenant's head ─ reply: durable and visible
//! flush: seal chunks ─ choose traces ─ encode block ─ data files ─ ledger ─ meta.json ─ swap head for block ─ release WAL
//! start: ledgers and the end of the log looked at ─ WAL opened behind it ─ segments replayed into heads, while pushes come
//! ```
//!
//! - [`wal`]: what is acknowledged survives;
//! - [`head`]: recent spans of one tenant as chunks;
//! - [`cut`]: which traces leave the head;
//! - `unseen`: rows that nobody has made metrics of yet;
//! - `flush`: from the head to a block, in an order that a crash at any moment does no harm to;
//! - `recovery`: what a start finds;
//! - `loading`: what the last process logged becomes the head again.

mod cut;
#[cfg(test)]
mod faulty_bucket;
mod flush;
pub mod head;
pub mod instruments;
mod loading;
mod recovery;
mod unseen;
pub mod wal;

use crate::columns::wire::Malformed;
use crate::model::TenantId;
use crate::runtime::memory::{Memory, Use};
use crate::runtime::offload::{Stopping, offload};
use crate::store::{BlockLists, Store};
use bytes::Bytes;
use head::Head;
use instruments::IngesterInstruments;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;
use wal::{Frame, Wal, WalError};

pub use flush::{FlushError, Taking};
pub use recovery::OpenError;
pub use unseen::SeeRows;

/// Settings of the ingester.
#[derive(Clone, Debug)]
pub struct IngesterConfig {
    /// Where the WAL lies.
    pub wal_dir: std::path::PathBuf,
    /// How it is written.
    pub wal: wal::Options,
    /// A trace without new spans for this long may leave the head.
    pub max_trace_idle: Duration,
    /// A head whose oldest span arrived this long ago is cut.
    pub max_block_duration: Duration,
    /// A head that holds this many bytes of memory is cut; all tenants together may hold twice as many.
    pub max_head_bytes: usize,
    /// How often heads are looked at.
    pub check_period: Duration,
    /// What memory there is, and who holds how much of it.
    pub memory: Memory,
}

/// Why spans were not stored.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The WAL refused; trying again later makes sense.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The heads are full and blocks are not written fast enough.
    #[error("the ingester holds {held_bytes} bytes of recent spans, its limit is {limit_bytes}: blocks cannot be written fast enough")]
    Overloaded {
        /// Bytes held now.
        held_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// A request that was validated cannot be decoded: a defect of ours.
    #[error("a validated request could not be decoded: {0}")]
    Decode(#[from] Malformed),
    /// The server is going down.
    #[error("the ingester is shutting down")]
    Closed,
}

impl From<Stopping> for IngestError {
    fn from(_: Stopping) -> Self {
        IngestError::Closed
    }
}

/// Recent data of all tenants.
pub struct Ingester {
    config: IngesterConfig,
    wal: Wal,
    store: Store,
    blocks: Arc<BlockLists>,
    heads: RwLock<HashMap<TenantId, Arc<Head>>>,
    /// Whether heads keep new rows for somebody; read and set under the lock of `heads`.
    is_watched: AtomicBool,
    loading: loading::Loading,
    instruments: Arc<IngesterInstruments>,
    /// Rung when a head is over its size, and when a flush has made room.
    work: Notify,
    room: Notify,
}

/// How long a push waits for room before it is refused.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);

impl Ingester {
    /// Stores a validated request; on return it is durable and visible. Not cancelled by dropping the future.
    pub async fn push(self: &Arc<Self>, tenant: TenantId, request: Bytes) -> Result<(), IngestError> {
        let ingester = Arc::clone(self);
        // What has reached the log must reach the head too, also when the client has gone.
        tokio::spawn(async move { ingester.push_uncancelled(tenant, request).await }).await.map_err(|_| IngestError::Closed)?
    }

    async fn push_uncancelled(self: &Arc<Self>, tenant: TenantId, request: Bytes) -> Result<(), IngestError> {
        self.wait_for_room().await?;
        let head = self.head(&tenant);
        let num_bytes = request.len();
        let (framed, name) = (request.clone(), tenant.clone());
        let frame = offload(num_bytes, move || Frame::encode(&name, &framed)).await??;
        let receipt = self.wal.append(frame).await?;
        let appending = Arc::clone(&head);
        let num_spans = offload(num_bytes, move || appending.append(&request, receipt)).await??;
        if num_spans == 0 {
            let ingester = Arc::clone(self);
            let released = move || ingester.wal.release(&[(receipt.segment, 1)]);
            return tokio::task::spawn_blocking(released).await.map_err(|_| IngestError::Closed);
        }
        head.received().spans.inc(num_spans);
        head.received().bytes.inc(num_bytes);
        if head.bytes() >= self.config.max_head_bytes {
            self.work.notify_one();
        }
        Ok(())
    }

    async fn wait_for_room(&self) -> Result<(), IngestError> {
        let limit_bytes = 2 * self.config.max_head_bytes;
        let wait = async {
            loop {
                let room = self.room.notified();
                let held_bytes = self.held_bytes();
                self.config.memory.set(Use::Heads, held_bytes as u64);
                if held_bytes < limit_bytes {
                    return;
                }
                self.work.notify_one();
                room.await;
            }
        };
        let overloaded = |_| IngestError::Overloaded { held_bytes: self.held_bytes(), limit_bytes };
        tokio::time::timeout(WAIT_FOR_ROOM, wait).await.map_err(overloaded)
    }

    /// The head of a tenant, which is made if it is missing.
    pub fn head(&self, tenant: &TenantId) -> Arc<Head> {
        if let Some(head) = self.heads.read().get(tenant) {
            return Arc::clone(head);
        }
        let make = || {
            let head = Head::new(self.blocks.of(tenant));
            if self.is_watched.load(Relaxed) {
                head.watch();
            }
            Arc::new(head)
        };
        Arc::clone(self.heads.write().entry(tenant.clone()).or_insert_with(make))
    }

    /// From now on heads keep new rows for [`Head::visit_new`]. What is there already, the replayed log, is not new.
    pub fn watch(&self) {
        let heads = self.heads.write();
        self.is_watched.store(true, Relaxed);
        heads.values().for_each(|head| head.watch());
    }

    /// The head of a tenant, if it has one.
    pub fn existing_head(&self, tenant: &TenantId) -> Option<Arc<Head>> {
        self.heads.read().get(tenant).cloned()
    }

    /// Bytes of memory that all heads hold.
    pub fn held_bytes(&self) -> usize {
        self.heads.read().values().map(|head| head.bytes()).sum()
    }

    /// Counters of the ingester and its log.
    pub fn instruments(&self) -> &Arc<IngesterInstruments> {
        &self.instruments
    }

    /// The write-ahead log.
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// All tenants with a head.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.heads.read().keys().cloned().collect()
    }
}
