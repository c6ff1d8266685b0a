//! Which blocks a tenant has, as immutable snapshots.

use super::client::{Store, StoreError};
use super::paths;
use crate::block::BlockMeta;
use crate::block::reader::Block;
use crate::model::{BlockId, TenantId};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The blocks of one tenant.
#[derive(Default)]
pub struct BlockList {
    blocks: RwLock<Arc<Vec<Arc<Block>>>>,
    /// Blocks that exist and could not be opened: answers may lack their spans.
    num_unreadable: AtomicUsize,
}

impl BlockList {
    /// The blocks as they are now; later changes do not touch it.
    pub fn snapshot(&self) -> Arc<Vec<Arc<Block>>> {
        Arc::clone(&self.blocks.read())
    }

    /// Adds a block that has just come to exist.
    pub fn add(&self, block: Arc<Block>) {
        let mut blocks = self.blocks.write();
        let mut next = Vec::clone(&blocks);
        next.push(block);
        *blocks = Arc::new(next);
    }

    /// Takes blocks out and puts another in their place, in one step for every snapshot.
    pub fn replace(&self, removed: &[BlockId], added: Option<Arc<Block>>) {
        let mut blocks = self.blocks.write();
        let place = blocks.iter().position(|block| removed.contains(&block.id())).unwrap_or(blocks.len());
        let is_kept = |block: &&Arc<Block>| !removed.contains(&block.id());
        let mut next: Vec<Arc<Block>> = blocks[..place].iter().cloned().chain(added).collect();
        next.extend(blocks[place..].iter().filter(is_kept).cloned());
        *blocks = Arc::new(next);
    }

    /// Number of blocks that exist and cannot be read.
    pub fn num_unreadable(&self) -> usize {
        self.num_unreadable.load(Relaxed)
    }
}

/// The block lists of all tenants.
#[derive(Default)]
pub struct BlockLists {
    tenants: RwLock<HashMap<TenantId, Arc<BlockList>>>,
}

impl BlockLists {
    /// The list of a tenant, which is made if it is missing.
    pub fn of(&self, tenant: &TenantId) -> Arc<BlockList> {
        if let Some(list) = self.tenants.read().get(tenant) {
            return Arc::clone(list);
        }
        Arc::clone(self.tenants.write().entry(tenant.clone()).or_default())
    }

    /// The list of a tenant, if it has one.
    pub fn existing(&self, tenant: &TenantId) -> Option<Arc<BlockList>> {
        self.tenants.read().get(tenant).cloned()
    }

    /// All tenants that have a list.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.tenants.read().keys().cloned().collect()
    }

    /// Opens every block in the store and sweeps what unfinished flushes and merges left. A block that cannot be opened is
    /// left out and reported, not deleted. To be called before anything is written. Returns the number of blocks served.
    pub async fn load(&self, store: &Store) -> Result<usize, StoreError> {
        let mut num_blocks = 0;
        for tenant in store.tenants().await? {
            let list = self.of(&tenant);
            let mut found = Found::default();
            for id in store.blocks(&tenant).await? {
                match open(store, &tenant, &id).await {
                    Ok(Some(block)) => found.opened.push(block),
                    // Files of a block whose writer died before meta.json. Nobody else writes here: the caller holds the
                    // lock of the data directory.
                    Ok(None) => {
                        tracing::info!(%tenant, block = %id, "the rest of an unfinished block is deleted");
                        store.delete_block(&tenant, &id).await?;
                    }
                    Err(reason) => found.unreadable.push((id, reason)),
                }
            }
            found.finish_swaps(store, &tenant).await?;
            for (id, reason) in &found.unreadable {
                list.num_unreadable.fetch_add(1, Relaxed);
                tracing::error!(%tenant, block = %id, %reason, "a block cannot be read and is left out of answers");
            }
            num_blocks += found.opened.len();
            // In the order in which they came while the server ran.
            found.opened.sort_by_key(|block| (block.meta().created_unix_nano, block.id()));
            found.opened.into_iter().for_each(|block| list.add(Arc::new(block)));
        }
        Ok(num_blocks)
    }
}

/// The blocks of a tenant that a start has found.
#[derive(Default)]
struct Found {
    opened: Vec<Block>,
    unreadable: Vec<(BlockId, String)>,
}

impl Found {
    /// Deletes the blocks that another one, which can be read, replaces: a merge was interrupted after its output had come to
    /// exist. A block may replace one and be replaced itself; it goes last, since it tells of the other.
    async fn finish_swaps(&mut self, store: &Store, tenant: &TenantId) -> Result<(), StoreError> {
        let mut replaced: HashMap<BlockId, u32> = HashMap::new();
        for block in &self.opened {
            for id in block.meta().replaces.iter().filter_map(|id| BlockId::parse(id)) {
                let level = replaced.entry(id).or_default();
                *level = block.meta().level.max(*level);
            }
        }
        // An output is above its inputs; a damaged list must not delete the block that it is in.
        let is_replaced = |block: &Block| replaced.get(&block.id()).is_some_and(|level| *level > block.meta().level);
        let opened = self.opened.extract_if(.., |block| is_replaced(block)).map(|block| (block.meta().level, block.id()));
        let unreadable = self.unreadable.extract_if(.., |(id, _)| replaced.contains_key(id)).map(|(id, _)| (0, id));
        let mut rests: Vec<(u32, BlockId)> = unreadable.chain(opened).collect();
        rests.sort_unstable();
        for (_, id) in rests {
            tracing::info!(%tenant, block = %id, "a block that was merged into another is deleted");
            store.delete_block(tenant, &id).await?;
        }
        Ok(())
    }
}

/// Opens a block; `None` if it does not exist.
pub async fn open(store: &Store, tenant: &TenantId, id: &BlockId) -> Result<Option<Block>, String> {
    let meta = match store.get(&paths::meta(tenant, id)).await {
        Ok(bytes) => BlockMeta::parse(&bytes).map_err(|error| error.to_string())?,
        Err(StoreError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if meta.block_id != id.to_string() {
        return Err(format!("meta.json is that of block {}", meta.block_id));
    }
    let files = store.block_files(tenant, id);
    let id = *id;
    let opened = tokio::task::spawn_blocking(move || Block::open(id, meta, Arc::new(files))).await;
    opened.map_err(|error| error.to_string())?.map(Some).map_err(|error| error.to_string())
}
