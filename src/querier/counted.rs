//! Blocks that tell how many spans they have, so that their data need not be read.
//!
//! The counts are those of all spans of a block. Where a query counts a span that is stored in several places once, the
//! others are taken back afterwards: see `metrics`.

use super::QueryError;
use super::unit::{UnitId, Units};
use crate::block::catalogue::SpanRows;
use crate::block::reader::Block;
use crate::columns::view::SourceError;
use crate::model::TraceId;
use crate::traceql::eval::pipeline::Pipeline;
use crate::traceql::eval::{Bitmap, TraceFacts, TreeNumber};
use crate::traceql::metrics::{Buckets, Function, Observed, Spans};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The blocks whose spans were observed without reading them.
pub(super) struct CountedBlocks(BTreeSet<usize>);

impl CountedBlocks {
    /// Observes the blocks that the units lie in, as far as their counts tell all that the query asks.
    pub fn observe(
        function: &Function,
        pipeline: &Pipeline,
        units: (&Units<'_>, &[UnitId]),
        buckets: &Buckets,
        observed: &mut Observed,
    ) -> Result<Self, QueryError> {
        let mut counted = BTreeSet::new();
        let Some(filters) = pipeline.filters_only().filter(|_| function.is_countable(1)) else { return Ok(CountedBlocks(counted)) };
        let (units, ids) = units;
        let blocks: BTreeSet<usize> = ids.iter().filter_map(block_of).collect();
        let (after, until) = buckets.span();
        for at in blocks {
            units.check_budget()?;
            let block = &units.snapshot().blocks[at];
            let Some(counts) = block.span_counts()?.filter(|counts| function.is_countable(counts.bin_nanos())) else { continue };
            let rows = counts.counted(after, until, function.needs_durations());
            let spans = Spans { source: &rows, traces: &IdsOnly(block) };
            function.observe_counted(spans, &kept(pipeline, &filters, spans)?, rows.weights(), observed)?;
            if function.wants_exemplars() {
                let samples: SpanRows<'_> = counts.samples(after, until);
                let spans = Spans { source: &samples, traces: &IdsOnly(block) };
                function.observe_samples(spans, &kept(pipeline, &filters, spans)?, observed)?;
            }
            counted.insert(at);
        }
        Ok(CountedBlocks(counted))
    }

    /// Whether the spans of a unit were observed.
    pub fn have(&self, unit: UnitId) -> bool {
        block_of(&unit).is_some_and(|block| self.0.contains(&block))
    }
}

fn block_of(unit: &UnitId) -> Option<usize> {
    match unit {
        UnitId::Chunk(_) => None,
        UnitId::Group(block, _) => Some(*block),
    }
}

/// The rows that all these filters keep.
fn kept(pipeline: &Pipeline, filters: &[usize], spans: Spans<'_>) -> Result<Bitmap, QueryError> {
    let mut kept = Bitmap::full(spans.source.num_rows());
    for filter in filters {
        kept.and_with(&pipeline.filters()[*filter].select(spans.source, spans.traces)?);
    }
    Ok(kept)
}

/// What is asked of the traces of counted spans: their ids, by the ordinals of the block.
struct IdsOnly<'b>(&'b Block);

impl TraceFacts for IdsOnly<'_> {
    fn duration(&self, _ordinal: u32) -> u64 {
        0
    }

    fn root_name(&self, _ordinal: u32) -> &str {
        ""
    }

    fn root_service(&self, _ordinal: u32) -> &str {
        ""
    }

    fn id(&self, ordinal: u32) -> TraceId {
        self.0.trace_id(ordinal).unwrap_or_default()
    }

    fn tree(&self, _number: TreeNumber) -> Result<Cow<'_, [i64]>, SourceError> {
        Err(SourceError("spans are not counted by their place in a tree".to_owned()))
    }
}
