//! One trace from head and blocks.

use super::{QueryError, RecentTrace};
use crate::columns::export::export;
use crate::model::{TimeRange, TraceId};
use crate::proto::otlp::ResourceSpans;

/// A trace's pieces with what it cost to find them.
#[derive(Clone, Debug, Default)]
pub struct TracePieces {
    /// Spans piece by piece; a span may be in several.
    pub pieces: Vec<Vec<ResourceSpans>>,
    /// Bytes of the blocks that it was read from, about.
    pub inspected_bytes: u64,
}

/// Adds the pieces in blocks to the recent ones. Blocks outside `range` are left out. Waits for the store.
pub fn find_trace(recent: RecentTrace, id: &TraceId, range: Option<TimeRange>) -> Result<TracePieces, QueryError> {
    let mut found = TracePieces { pieces: recent.pieces, inspected_bytes: 0 };
    for block in recent.blocks.iter() {
        if range.is_some_and(|range| !range.overlaps(&block.meta().range())) {
            continue;
        }
        if let Some(trace) = block.find(id)? {
            let chunk = block.read_trace(trace)?;
            found.inspected_bytes += block.meta().total_bytes() * chunk.num_rows() as u64 / block.meta().num_spans.max(1);
            found.pieces.push(export(&chunk, 0..chunk.num_rows() as u32));
        }
    }
    Ok(found)
}
