//! A new block takes the place of those it was merged from.
//!
//! Order, and what a crash after each step leaves:
//!
//! 1. The new block's files are written: garbage without `meta.json`, swept at the next start.
//! 2. Its `meta.json` is written. Both exist now. The next start sees that the new block can be opened and that its `replaces`
//!    names the old ones; it deletes them before it serves anything (`store::blocklist`). If the new block could not be
//!    opened, the old ones would be served.
//! 3. In memory the list of blocks changes in one step. A query has taken its snapshot before, and reads the old blocks to
//!    its end, or takes it later, and reads the new one. It never sees both or none.
//! 4. `meta.json` of the old blocks is deleted, then their files when no query reads them ([`super::remains`]). A crash between
//!    leaves folders without `meta.json`, which are swept, or complete old blocks, which `replaces` still names: a block is not
//!    merged on while a block that it replaces has its `meta.json`, so the one who tells of it cannot go first.
//!
//! `split` of the new block must name every trace that has pieces in other blocks, unless these name it. Of two blocks with
//! pieces of a trace, at least one lists it: the later one does when it is cut, and a merge keeps it so. Proof: if no input lists a
//! trace that another block has, that one is later than each input that has a piece, and lists it itself. If an input
//! lists it, [`traces_split`] looks whether any block outside of the merge has it, at a time when all inputs were in the list. A
//! block that came later saw the inputs or what they became, and lists it. So a trace may be listed too long, which costs
//! time, and is never missing.

use super::Compactor;
use crate::block::BlockMeta;
use crate::block::reader::Block;
use crate::model::{BlockId, TenantId, TraceId};
use crate::store::{BlockList, StoreError, paths};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The traces that inputs list as split and that blocks outside of the merge have.
pub(super) fn traces_split(list: &BlockList, inputs: &[Arc<Block>]) -> Vec<String> {
    let listed: BTreeSet<TraceId> = inputs.iter().flat_map(|block| block.split()).copied().collect();
    let blocks = list.snapshot();
    let is_input = |block: &Block| inputs.iter().any(|input| input.id() == block.id());
    let others: Vec<&Arc<Block>> = blocks.iter().filter(|block| !is_input(block)).collect();
    // A block that cannot be read may have it.
    let is_elsewhere = |id: &TraceId| others.iter().any(|block| !matches!(block.find(id), Ok(None)));
    listed.into_iter().filter(is_elsewhere).map(|id| id.to_string()).collect()
}

/// A swap did not happen.
pub(super) enum Refused {
    /// The new block does not exist.
    Not(StoreError),
    /// It is not known whether it exists, and the server stops: the next start will see.
    Unknown(StoreError),
}

impl Compactor {
    /// Steps 2 to 4.
    pub(super) async fn swap(&self, tenant: &TenantId, inputs: Vec<Arc<Block>>, output: Block, meta: &BlockMeta) -> Result<(), Refused> {
        let failpoints = self.store.failpoints();
        failpoints.hit("compact.files");
        self.make_exist(tenant, &output.id(), meta).await?;
        failpoints.hit("compact.meta");
        let ids: Vec<BlockId> = inputs.iter().map(|block| block.id()).collect();
        self.remains.add(tenant, &inputs);
        self.blocks.of(tenant).replace(&ids, Some(Arc::new(output)));
        drop(inputs);
        failpoints.hit("compact.swapped");
        self.remains.sweep().await;
        Ok(())
    }

    /// Writes `meta.json` until it is certain whether it is there: an answer that was lost must not make inputs and output
    /// be taken for each other.
    async fn make_exist(&self, tenant: &TenantId, id: &BlockId, meta: &BlockMeta) -> Result<(), Refused> {
        let (path, bytes) = (paths::meta(tenant, id), bytes::Bytes::from(meta.to_json()));
        loop {
            let Err(error) = self.store.put(&path, bytes.clone()).await else { return Ok(()) };
            if let Ok(false) = self.store.block_exists(tenant, id).await {
                return Err(Refused::Not(error));
            }
            if self.is_stopping.load(Relaxed) {
                return Err(Refused::Unknown(error));
            }
            tracing::error!(%tenant, block = %id, %error, "it is not certain whether the block exists; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
