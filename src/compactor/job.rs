//! One merge, from the inputs to the swap.

use super::Compactor;
use super::swap::{Refused, traces_split};
use crate::block::merge::{MergeError, MergeInput, Merged, merge_blocks};
use crate::block::reader::{Block, BlockError};
use crate::model::{BlockId, TenantId};
use crate::runtime::memory::Use;
use crate::store::StoreError;
use crate::telemetry::spans::own_span;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tracing::Instrument;

/// What a merge holds, about (docs/ARCHITECTURE.md, "Where memory goes").
const MERGE_BYTES: u64 = 48 << 20;

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    /// The blocks could not be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The new block cannot be read.
    #[error("the new block cannot be read: {0}")]
    Output(BlockError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread was lost.
    #[error("the merge was interrupted")]
    Interrupted,
}

/// A new block, readable, and not yet in use.
struct Written {
    merged: Merged,
    output: Block,
}

impl Compactor {
    /// Merges blocks of a tenant, which are in its list until the swap.
    pub(super) async fn compact(self: &Arc<Self>, tenant: &TenantId, inputs: Vec<Arc<Block>>) -> Result<(), JobError> {
        let id = BlockId::random();
        let num_inputs = inputs.len();
        let written = self.write(tenant, id, &inputs).instrument(own_span!("merge", %tenant, blocks = num_inputs as u64)).await;
        let swapped = match written {
            Ok(Written { merged, output }) => match self.swap(tenant, inputs, output, &merged.meta).await {
                Ok(()) => Ok(merged),
                Err(Refused::Not(error)) => Err(error.into()),
                // The next start finds both or one, and its rule decides.
                Err(Refused::Unknown(error)) => return Err(error.into()),
            },
            Err(error) => Err(error),
        };
        match swapped {
            Ok(merged) => {
                self.report(tenant, id, num_inputs, &merged);
                Ok(())
            }
            Err(error) => {
                // Best effort; what stays is swept at the next start, as a folder without meta.json.
                let _ = self.store.delete_block(tenant, &id).await;
                Err(error)
            }
        }
    }

    async fn write(self: &Arc<Self>, tenant: &TenantId, id: BlockId, inputs: &[Arc<Block>]) -> Result<Written, JobError> {
        let (compactor, tenant, inputs) = (Arc::clone(self), tenant.clone(), inputs.to_vec());
        let (sink, files) = (self.store.block_sink(&tenant, &id), self.store.block_files(&tenant, &id));
        let parts = Some(self.store.parts());
        let write = move || {
            let _held = compactor.surroundings.memory.hold(Use::Merges, MERGE_BYTES);
            let is_cancelled = || compactor.is_stopping.load(Relaxed);
            compactor.store.failpoints().hit("compact.cut");
            let mut merged = merge_blocks(&MergeInput { id, tenant: &tenant, inputs: &inputs, sink: &sink, is_cancelled: &is_cancelled })?;
            merged.meta.split = traces_split(&compactor.blocks.of(&tenant), &inputs);
            let files = Arc::new(files);
            let output = Block::open_with(id, merged.meta.clone(), &*files, Arc::clone(&files) as _, parts).map_err(JobError::Output)?;
            Ok(Written { merged, output })
        };
        tokio::task::spawn_blocking(write).await.map_err(|_| JobError::Interrupted)?
    }

    fn report(&self, tenant: &TenantId, id: BlockId, num_inputs: usize, merged: &Merged) {
        self.instruments.runs.inc(1);
        self.instruments.input_blocks.inc(num_inputs as u64);
        self.instruments.spans.inc(merged.meta.num_spans);
        self.instruments.bytes.inc(merged.meta.total_bytes());
        self.instruments.joined_traces.inc(merged.num_joined as u64);
        self.instruments.duplicates.inc(merged.num_duplicates as u64);
        tracing::info!(
            %tenant,
            block = %id,
            inputs = num_inputs,
            level = merged.meta.level,
            spans = merged.meta.num_spans,
            traces = merged.meta.num_traces,
            bytes = merged.meta.total_bytes(),
            joined_traces = merged.num_joined,
            duplicate_spans = merged.num_duplicates,
            "blocks merged"
        );
    }
}
