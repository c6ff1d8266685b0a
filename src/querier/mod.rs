//! Runs queries against a moment of head and blocks.
//!
//! A query takes a [`Snapshot`] and works on its units: chunks of the head and row groups of blocks, newest first. All of
//! this waits for storage and computes, so it runs on threads that may block, never in async code.
//!
//! A trace whose spans lie in several units is judged whole: its pieces are found through the indexes and joined before
//! anything is said of the trace (start, duration, root, counts).

pub mod budget;
mod compare;
mod counted;
mod duplicates;
mod facts;
mod forest;
mod gaps;
mod kept;
pub mod metrics;
pub mod progress;
mod results;
mod rows;
pub mod search;
mod series;
pub mod tags;
#[cfg(test)]
mod tests;
pub mod trace_by_id;
pub mod trace_filter;
mod unit;

use crate::block::reader::{Block, BlockError};
use crate::columns::Chunk;
use crate::columns::view::SourceError;
use crate::model::{TenantId, TraceId, gofmt};
use crate::proto::otlp::ResourceSpans;
use crate::runtime::memory::Exhausted;
use crate::traceql::eval::EvalError;
use budget::{Budget, TimeLimit};
pub use gaps::Gaps;
use std::sync::Arc;

/// Everything that one query sees: no span is in it twice, none is missing that was acknowledged before.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Chunks of the head.
    pub chunks: Vec<Arc<Chunk>>,
    /// Blocks.
    pub blocks: Arc<Vec<Arc<Block>>>,
    /// Traces that blocks of several tenants have, if several are asked.
    pub shared: Arc<[TraceId]>,
    /// What the query may cost.
    pub budget: Budget,
}

impl Snapshot {
    /// What several tenants have at one moment each, as if they were one. Waits for the store.
    pub fn joined(snapshots: Vec<Snapshot>, budget: &Budget) -> Result<Snapshot, QueryError> {
        let shared = shared_traces(&snapshots, budget)?;
        let mut joined = Snapshot { shared: shared.into(), ..Snapshot::default() };
        let mut blocks = Vec::new();
        for snapshot in snapshots {
            joined.chunks.extend(snapshot.chunks);
            blocks.extend(snapshot.blocks.iter().cloned());
        }
        joined.blocks = Arc::new(blocks);
        Ok(joined)
    }
}

/// Ids that blocks of more than one of the snapshots have; nothing lists them as split.
fn shared_traces(snapshots: &[Snapshot], budget: &Budget) -> Result<Vec<TraceId>, QueryError> {
    let mut ids: Vec<(TraceId, usize)> = Vec::new();
    let mut charge = budget.charge();
    for (owner, snapshot) in snapshots.iter().enumerate() {
        for block in snapshot.blocks.iter() {
            budget.check()?;
            ids.extend(block.index()?.sorted().map(|(id, _)| (id, owner)));
            charge.set(ids.capacity() * size_of::<(TraceId, usize)>())?;
        }
    }
    ids.sort_unstable();
    ids.dedup();
    let mut shared: Vec<TraceId> = ids.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0).collect();
    shared.dedup();
    Ok(shared)
}

/// Recent spans of a trace, and the blocks to look for more in.
#[derive(Default)]
pub struct RecentTrace {
    /// Spans from the head; a span may be here twice.
    pub pieces: Vec<Vec<ResourceSpans>>,
    /// Number of its spans in the head.
    pub num_spans: usize,
    /// Blocks of the same moment.
    pub blocks: Arc<Vec<Arc<Block>>>,
}

/// Seam: who answers for recent data; in process today, another process in distributed mode.
pub trait RecentSource: Send + Sync + 'static {
    /// A moment of head and blocks.
    fn snapshot(&self, tenant: &TenantId) -> Snapshot;

    /// The recent spans of a trace; cheaper than a snapshot. Of more than `max_spans` the rest is counted only.
    fn find_trace(&self, tenant: &TenantId, id: &TraceId, max_spans: usize) -> RecentTrace;

    /// What snapshots of this moment may lack.
    fn gaps(&self, _tenant: &TenantId) -> Gaps {
        Gaps::default()
    }

    /// Takes the blocks in which something made no sense out of later snapshots; true if there were any among `blocks`.
    fn leave_out_damaged(&self, _tenant: &TenantId, _blocks: &[Arc<Block>]) -> bool {
        false
    }
}

/// Why a query has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The query is at fault: HTTP 400, gRPC InvalidArgument.
    #[error("{0}")]
    Invalid(String),
    /// The language has it, this version does not: HTTP 501, gRPC Unimplemented.
    #[error("{0}")]
    Unsupported(String),
    /// The data or the store is at fault: HTTP 500, gRPC Internal.
    #[error("{0}")]
    Internal(String),
    /// The query took too long: HTTP 504, gRPC DeadlineExceeded.
    #[error("the query took longer than {}: ask for a shorter range or a more selective filter ({})", gofmt::duration(.0.timeout.as_nanos() as i64), .0.key)]
    TimedOut(TimeLimit),
    /// The query would hold more than one query may: HTTP 422, gRPC Unknown.
    #[error("the query needs more than {} MiB of memory: ask for a shorter range, a more selective filter or less in the answer (query_memory_limit_bytes)", .max_bytes >> 20)]
    TooLarge {
        /// What a query may hold.
        max_bytes: u64,
    },
    /// The process has no memory for the query now: HTTP 429, gRPC ResourceExhausted; it may be tried again.
    #[error("no memory for the query now, try again later: {0}")]
    NoMemory(Exhausted),
    /// Too many queries of the tenant wait already: HTTP 429, gRPC ResourceExhausted.
    #[error("job queue full")]
    QueueFull,
    /// Nobody waits for the answer any more: HTTP 499, seen by nobody.
    #[error("context canceled")]
    Abandoned,
}

impl From<EvalError> for QueryError {
    fn from(error: EvalError) -> Self {
        match &error {
            EvalError::Unsupported(_) => QueryError::Unsupported(error.to_string()),
            EvalError::Runtime(_) | EvalError::Pattern(_) => QueryError::Invalid(error.to_string()),
            EvalError::Source(_) => QueryError::Internal(error.to_string()),
        }
    }
}

impl From<BlockError> for QueryError {
    fn from(error: BlockError) -> Self {
        QueryError::Internal(error.to_string())
    }
}

impl From<SourceError> for QueryError {
    fn from(error: SourceError) -> Self {
        QueryError::Internal(error.to_string())
    }
}
