//! Blocks that are out of use and still have files.
//!
//! `meta.json` goes at once: nobody reads it from a block that is in memory, and without it the next start does not serve
//! the block but sweeps it. The other files go when no query holds the block any more. Before any of it the log is told
//! ([`Settle`]), which may still have the block's spans.

use super::Settle;
use super::instruments::CompactorInstruments;
use crate::block::reader::{Block, OpenedBlock};
use crate::model::{BlockId, TenantId};
use crate::store::{Store, paths};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

/// A block whose files are to be deleted.
struct Remain {
    tenant: TenantId,
    id: BlockId,
    /// Alive as long as a query reads the block.
    block: Weak<OpenedBlock>,
    has_meta: bool,
}

/// All such blocks.
pub(super) struct Remains {
    store: Store,
    settle: Settle,
    instruments: Arc<CompactorInstruments>,
    blocks: Mutex<Vec<Remain>>,
    /// Those that still have their `meta.json`.
    with_meta: Mutex<HashSet<BlockId>>,
}

impl Remains {
    pub fn new(store: Store, settle: Settle, instruments: Arc<CompactorInstruments>) -> Self {
        Remains { store, settle, instruments, blocks: Mutex::default(), with_meta: Mutex::default() }
    }

    /// Takes over blocks that leave their list now. To be called before they do: from then on nothing is done to the block
    /// that takes their place before their `meta.json` is gone.
    pub fn add(&self, tenant: &TenantId, blocks: &[Arc<Block>]) {
        self.with_meta.lock().extend(blocks.iter().map(|block| block.id()));
        self.instruments.remains.fetch_add(blocks.len() as u64, Relaxed);
        let remain = |block: &Arc<Block>| Remain { tenant: tenant.clone(), id: block.id(), block: block.readers(), has_meta: true };
        self.blocks.lock().extend(blocks.iter().map(remain));
    }

    /// Blocks that the next start would find. A block that replaces one of them must not be merged on.
    pub fn with_meta(&self) -> HashSet<BlockId> {
        self.with_meta.lock().clone()
    }

    /// Deletes what can be deleted by now. What fails is tried again the next time.
    pub async fn sweep(&self) {
        // Others may sweep meanwhile; each block is in the hands of one.
        let mut remains = std::mem::take(&mut *self.blocks.lock());
        for remain in &mut remains {
            if remain.has_meta && self.settle(remain).await {
                remain.has_meta = self.try_step(remain, self.store.delete(&paths::meta(&remain.tenant, &remain.id)).await);
                self.store.failpoints().hit("delete.meta");
                if !remain.has_meta {
                    self.with_meta.lock().remove(&remain.id);
                }
            }
        }
        let mut left = Vec::new();
        for remain in remains {
            let is_read = remain.block.strong_count() > 0;
            if remain.has_meta || is_read || self.try_step(&remain, self.store.delete_block(&remain.tenant, &remain.id).await) {
                left.push(remain);
            } else {
                self.store.failpoints().hit("delete.files");
                self.instruments.remains.fetch_sub(1, Relaxed);
            }
        }
        self.blocks.lock().extend(left);
    }

    /// Whether the log knows that the block goes.
    async fn settle(&self, remain: &Remain) -> bool {
        let (settle, id) = (Arc::clone(&self.settle), remain.id);
        let settled = tokio::task::spawn_blocking(move || settle(&id)).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        !self.try_step(remain, settled)
    }

    /// Reports a failure; true if it has to be tried again.
    fn try_step<E: std::fmt::Display>(&self, remain: &Remain, result: Result<(), E>) -> bool {
        let Err(error) = result else { return false };
        tracing::warn!(tenant = %remain.tenant, block = %remain.id, %error, "a block out of use could not be deleted; trying again");
        true
    }
}
