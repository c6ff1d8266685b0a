//! Which blocks a tenant has, as immutable snapshots.

use super::client::{Store, StoreError};
use super::files::Opening;
use super::paths;
use crate::block::BlockMeta;
use crate::block::reader::Block;
use crate::model::{BlockId, TenantId};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Blocks opened at the same time. Opening one from a bucket takes about ten requests, one after the other.
const OPENED_AT_ONCE: usize = 32;

/// The blocks of one tenant.
#[derive(Default)]
pub struct BlockList {
    /// Each as for a reader who has not looked at anything: what a query loads goes with it, and the cache decides what stays.
    blocks: RwLock<Arc<Vec<Block>>>,
    /// Blocks that exist and could not be opened, with the reason: answers may lack their spans.
    unreadable: RwLock<BTreeMap<BlockId, String>>,
    /// Blocks that could be opened and in which something made no sense later. They are left out until the next start or
    /// until they are gone: to open them once more would tell nothing, and to try their pages costs queries.
    damaged: RwLock<BTreeSet<BlockId>>,
}

impl BlockList {
    /// The blocks as they are now; later changes do not touch it. What its reader loads of them stays until it is dropped.
    pub fn snapshot(&self) -> Arc<Vec<Arc<Block>>> {
        let blocks = Arc::clone(&self.blocks.read());
        Arc::new(blocks.iter().map(|block| Arc::new(block.for_reader())).collect())
    }

    /// Adds a block that has just come to exist. A poll may have seen it before.
    pub fn add(&self, block: Arc<Block>) {
        self.change(|blocks| {
            blocks.retain(|known| known.id() != block.id());
            blocks.push(block.for_reader());
        });
    }

    /// Takes blocks out and puts another in their place, in one step for every snapshot.
    pub fn replace(&self, removed: &[BlockId], added: Option<Arc<Block>>) {
        self.change(|blocks| {
            // None of the removed ones is before the first of them.
            let place = blocks.iter().position(|block| removed.contains(&block.id())).unwrap_or(blocks.len());
            blocks.retain(|block| !removed.contains(&block.id()));
            blocks.splice(place..place, added.map(|block| block.for_reader()));
        });
    }

    /// Number of blocks that exist and cannot be read.
    pub fn num_unreadable(&self) -> usize {
        self.unreadable.read().len() + self.damaged.read().len()
    }

    /// Leaves those of the blocks out from now on in which something made no sense. True if there were any.
    pub fn leave_out_damaged(&self, tenant: &TenantId, blocks: &[Arc<Block>]) -> bool {
        let mut any = false;
        for (block, reason) in blocks.iter().filter_map(|block| Some((block, block.damage()?))) {
            any = true;
            // In this order: the block is always in one of the two.
            if self.damaged.write().insert(block.id()) {
                tracing::error!(%tenant, block = %block.id(), %reason, "a block is damaged and is left out of answers");
            }
            self.replace(&[block.id()], None);
        }
        any
    }

    /// Every change of the list: readers see all of it or nothing.
    fn change(&self, change: impl FnOnce(&mut Vec<Block>)) {
        let mut blocks = self.blocks.write();
        let mut next = blocks.iter().map(Block::for_reader).collect();
        change(&mut next);
        *blocks = Arc::new(next);
    }

    /// Takes over what a reading of the store found.
    fn update(&self, tenant: &TenantId, found: Found) {
        let Found { mut added, gone, unreadable, listed } = found;
        let mut damaged = self.damaged.write();
        damaged.retain(|id| listed.contains(id));
        added.retain(|block| !damaged.contains(&block.id()));
        drop(damaged);
        if !added.is_empty() || !gone.is_empty() {
            self.change(|blocks| {
                // One that was added here meanwhile is not added again.
                let known: HashSet<BlockId> = blocks.iter().map(|block| block.id()).collect();
                blocks.retain(|block| !gone.contains(&block.id()));
                blocks.extend(added.into_iter().filter(|block| !known.contains(&block.id())));
                // One that was merged, here or elsewhere, and whose deletion has not come through yet.
                let replaced = replaced_by(blocks);
                blocks.retain(|block| replaced.get(&block.id()).is_none_or(|level| *level <= block.meta().level));
            });
        }
        let mut left_out = self.unreadable.write();
        for (id, reason) in unreadable.iter().filter(|(id, _)| !left_out.contains_key(id)) {
            tracing::error!(%tenant, block = %id, %reason, "a block cannot be read and is left out of answers");
        }
        for id in left_out.keys().filter(|id| !unreadable.contains_key(id)) {
            tracing::info!(%tenant, block = %id, "a block that could not be read can be read again, or is gone");
        }
        *left_out = unreadable;
    }
}

/// What a reading of the store found out about a tenant's blocks.
#[derive(Default)]
struct Found {
    added: Vec<Block>,
    gone: HashSet<BlockId>,
    unreadable: BTreeMap<BlockId, String>,
    /// All blocks in the store.
    listed: HashSet<BlockId>,
}

impl Found {
    /// Deletes the blocks that another one, which can be read, replaces: a merge was interrupted after its output had come to
    /// exist. A block may replace one and be replaced itself; it goes last, since it tells of the other.
    async fn finish_swaps(&mut self, store: &Store, tenant: &TenantId) -> Result<(), StoreError> {
        let replaced = replaced_by(&self.added);
        let is_replaced = |block: &mut Block| replaced.get(&block.id()).is_some_and(|level| *level > block.meta().level);
        let opened = self.added.extract_if(.., is_replaced).map(|block| (block.meta().level, block.id()));
        let unreadable = self.unreadable.extract_if(.., |id, _| replaced.contains_key(id)).map(|(id, _)| (0, id));
        let mut rests: Vec<(u32, BlockId)> = unreadable.chain(opened).collect();
        rests.sort_unstable();
        for (_, id) in rests {
            tracing::info!(%tenant, block = %id, "a block that was merged into another is deleted");
            store.delete_block(tenant, &id).await?;
        }
        Ok(())
    }
}

/// The blocks that some of `blocks` replace, with the highest level of these. An output is above its inputs, so that a damaged list
/// does not replace the block that it is in.
fn replaced_by(blocks: &[Block]) -> HashMap<BlockId, u32> {
    let mut replaced: HashMap<BlockId, u32> = HashMap::new();
    for block in blocks {
        for id in block.meta().replaces.iter().filter_map(|id| BlockId::parse(id)) {
            let level = replaced.entry(id).or_default();
            *level = block.meta().level.max(*level);
        }
    }
    replaced
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
            let mut found = Found::default();
            for (id, opened) in open_all(store, &tenant, store.blocks(&tenant).await?).await? {
                match opened {
                    Ok(Some(block)) => found.added.push(block),
                    Ok(None) => store.sweep(&tenant, &id).await?,
                    Err(reason) => drop(found.unreadable.insert(id, reason)),
                }
            }
            found.finish_swaps(store, &tenant).await?;
            num_blocks += found.added.len();
            // In the order in which they came while the server ran.
            found.added.sort_by_key(|block| (block.meta().created_unix_nano, block.id()));
            self.of(&tenant).update(&tenant, found);
        }
        Ok(num_blocks)
    }

    /// Reads the store again: blocks that others have written are added, those that others have deleted dropped, and those
    /// that could not be read tried once more. While it reads, blocks may be written and deleted here.
    pub async fn poll(&self, store: &Store) -> Result<(), StoreError> {
        let mut tenants: HashSet<TenantId> = self.tenants().into_iter().collect();
        tenants.extend(store.tenants().await?);
        for tenant in tenants {
            let list = self.of(&tenant);
            let damaged = list.damaged.read().clone();
            let found = reread(store, &tenant, &list.snapshot(), &damaged).await?;
            list.update(&tenant, found);
        }
        Ok(())
    }
}

/// Compares the store with a list that was taken before.
async fn reread(store: &Store, tenant: &TenantId, before: &[Arc<Block>], damaged: &BTreeSet<BlockId>) -> Result<Found, StoreError> {
    let known: HashSet<BlockId> = before.iter().map(|block| block.id()).collect();
    let listed = store.blocks(tenant).await?;
    let mut found = Found { listed: listed.iter().copied().collect(), ..Found::default() };
    for id in known.iter().filter(|id| !listed.contains(id)) {
        if !store.block_exists(tenant, id).await? {
            found.gone.insert(*id);
        }
    }
    let new = listed.into_iter().filter(|id| !known.contains(id) && !damaged.contains(id)).collect();
    for (id, opened) in open_all(store, tenant, new).await? {
        match opened {
            Ok(Some(block)) => found.added.push(block),
            // Somebody is writing it, or has deleted it just now.
            Ok(None) => {}
            Err(reason) => drop(found.unreadable.insert(id, reason)),
        }
    }
    Ok(found)
}

/// A block; `None` if it does not exist; or why it cannot be read.
type Opened = Result<Option<Block>, String>;

/// Opens blocks, some at a time; in the order of their ids.
async fn open_all(store: &Store, tenant: &TenantId, ids: Vec<BlockId>) -> Result<BTreeMap<BlockId, Opened>, StoreError> {
    let permits = Arc::new(Semaphore::new(OPENED_AT_ONCE));
    let mut tasks = JoinSet::new();
    for id in ids {
        let (store, tenant, permits) = (store.clone(), tenant.clone(), Arc::clone(&permits));
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await;
            (id, open(&store, &tenant, &id).await.map(|block| block.map(|block| block.for_reader())))
        });
    }
    let mut opened = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let (id, block) = done.map_err(|_| StoreError::Interrupted)?;
        opened.insert(id, block);
    }
    Ok(opened)
}

/// Opens a block; `None` if it does not exist.
pub async fn open(store: &Store, tenant: &TenantId, id: &BlockId) -> Result<Option<Block>, String> {
    let meta = match store.get_meta(tenant, id).await {
        Ok(bytes) => BlockMeta::parse(&bytes).map_err(|error| error.to_string())?,
        Err(StoreError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if meta.block_id != id.to_string() {
        return Err(format!("{} is that of block {}", paths::meta(tenant, id), meta.block_id));
    }
    let files = Arc::new(store.block_files(tenant, id).of(&meta));
    let (id, parts) = (*id, Some(store.parts()));
    let opened = tokio::task::spawn_blocking(move || Block::open_with(id, meta, &Opening(Arc::clone(&files)), files, parts)).await;
    opened.map_err(|error| error.to_string())?.map(Some).map_err(|error| error.to_string())
}
