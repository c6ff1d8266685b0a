//! One trace from head and blocks.

use super::budget::{Budget, Charge};
use super::{QueryError, RecentTrace};
use crate::columns::export::export;
use crate::model::{TimeRange, TraceId};
use crate::proto::otlp::ResourceSpans;

/// What a span takes as an OTLP message and while it is written, about.
const SPAN_BYTES: usize = 1024;

/// A trace's pieces with what it cost to find them.
#[derive(Debug, Default)]
pub struct TracePieces {
    /// Spans piece by piece; a span may be in several.
    pub pieces: Vec<Vec<ResourceSpans>>,
    /// Bytes of the blocks that it was read from, about.
    pub inspected_bytes: u64,
    /// Counts until they go.
    pub charge: Charge,
}

/// Most spans of a trace that a query may hold.
pub fn max_spans(budget: &Budget) -> usize {
    usize::try_from(budget.allowance.max_bytes()).unwrap_or(usize::MAX) / SPAN_BYTES
}

/// Adds the pieces in blocks to the recent ones. Blocks outside `range` are left out. Waits for the store.
pub fn find_trace(recent: RecentTrace, id: &TraceId, range: Option<TimeRange>, budget: &Budget) -> Result<TracePieces, QueryError> {
    let (mut num_spans, mut column_bytes) = (recent.num_spans, 0);
    let mut found = TracePieces { pieces: recent.pieces, inspected_bytes: 0, charge: budget.charge() };
    found.charge.set(num_spans * SPAN_BYTES)?;
    for block in recent.blocks.iter() {
        budget.check()?;
        if range.is_some_and(|range| !range.overlaps(&block.meta().range())) {
            continue;
        }
        if let Some(trace) = block.find(id)? {
            num_spans += block.traces()?.rows(trace).len();
            found.charge.set(num_spans * SPAN_BYTES + column_bytes)?;
            let chunk = block.read_trace(trace)?;
            // Long texts are in the columns, in the messages, and in what is written of them.
            column_bytes += 3 * chunk.memory();
            found.charge.set(num_spans * SPAN_BYTES + column_bytes)?;
            found.inspected_bytes += block.meta().total_bytes() * chunk.num_rows() as u64 / block.meta().num_spans.max(1);
            found.pieces.push(export(&chunk, 0..chunk.num_rows() as u32));
        }
    }
    Ok(found)
}
