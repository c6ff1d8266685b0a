//! The seams between stages, in process.

use crate::block::reader::Block;
use crate::columns::export::export;
use crate::distributor::{Push, PushError, PushFuture, PushTarget};
use crate::generator::{NewRows, SpanFeed};
use crate::ingester::{IngestError, Ingester};
use crate::model::{TenantId, TraceId};
use crate::querier::{Gaps, RecentSource, RecentTrace, Snapshot};
use crate::store::BlockLists;
use std::sync::Arc;
use std::time::Duration;

/// When a sender should try again (`distributor.retry_after_on_resource_exhausted`).
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Pushes go to the ingester of this process.
pub(super) struct InProcessTarget(pub Arc<Ingester>);

impl PushTarget for InProcessTarget {
    fn push(&self, push: Push) -> PushFuture<'_> {
        Box::pin(async move { self.0.push(push.tenant, push.request).await.map_err(push_error) })
    }
}

fn push_error(error: IngestError) -> PushError {
    match &error {
        IngestError::Overloaded { .. } => PushError::Overloaded { message: error.to_string(), retry_after: RETRY_AFTER },
        IngestError::Wal(_) | IngestError::Decode(_) | IngestError::Closed => PushError::Unavailable(error.to_string()),
    }
}

/// Recent data of the ingester of this process, and the blocks.
pub(super) struct InProcessRecent {
    pub ingester: Arc<Ingester>,
    pub blocks: Arc<BlockLists>,
}

impl InProcessRecent {
    /// The blocks of a tenant that sends nothing now; a tenant that nobody knows gets no list by being asked for.
    fn blocks_of(&self, tenant: &TenantId) -> Arc<Vec<Arc<Block>>> {
        self.blocks.existing(tenant).map(|list| list.snapshot()).unwrap_or_default()
    }
}

impl RecentSource for InProcessRecent {
    fn gaps(&self, tenant: &TenantId) -> Gaps {
        Gaps {
            unreadable_blocks: self.blocks.existing(tenant).map_or(0, |list| list.num_unreadable()),
            damaged_segments: usize::try_from(self.ingester.wal().instruments().damaged_segments.get()).unwrap_or(usize::MAX),
            is_loading: self.ingester.is_loading(),
        }
    }

    fn leave_out_damaged(&self, tenant: &TenantId, blocks: &[Arc<Block>]) -> bool {
        blocks.iter().any(|block| block.damage().is_some()) && self.blocks.of(tenant).leave_out_damaged(tenant, blocks)
    }

    fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        match self.ingester.existing_head(tenant) {
            Some(head) => {
                let snapshot = head.snapshot();
                Snapshot { chunks: snapshot.chunks, blocks: snapshot.blocks, ..Snapshot::default() }
            }
            None => Snapshot { blocks: self.blocks_of(tenant), ..Snapshot::default() },
        }
    }

    fn find_trace(&self, tenant: &TenantId, id: &TraceId, max_spans: usize) -> RecentTrace {
        let Some(head) = self.ingester.existing_head(tenant) else {
            return RecentTrace { blocks: self.blocks_of(tenant), ..RecentTrace::default() };
        };
        let (mut pieces, mut num_spans) = (Vec::new(), 0);
        let blocks = head.visit_trace(id, |chunk, trace| {
            num_spans += chunk.rows_of(trace).count();
            if num_spans <= max_spans {
                pieces.push(export(chunk, chunk.rows_of(trace)));
            }
        });
        RecentTrace { pieces, num_spans, blocks }
    }
}

/// New spans of the ingester of this process.
pub(super) struct InProcessFeed(pub Arc<Ingester>);

impl SpanFeed for InProcessFeed {
    fn tenants(&self) -> Vec<TenantId> {
        self.0.tenants()
    }

    fn visit(&self, tenant: &TenantId, visit: &mut dyn FnMut(NewRows<'_>)) {
        if let Some(head) = self.0.existing_head(tenant) {
            head.visit_new(&mut |chunk, serial, rows, is_last| visit(NewRows { chunk, serial, rows, is_last }));
        }
    }

    fn num_missed(&self, tenant: &TenantId) -> u64 {
        self.0.existing_head(tenant).map_or(0, |head| head.num_unseen())
    }
}
