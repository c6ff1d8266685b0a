//! Which spans of one whole trace a filter keeps.

use super::facts::{JoinedTraces, UnitFacts};
use super::unit::{UnitId, Units};
use super::{QueryError, Snapshot};
use crate::columns::Chunk;
use crate::columns::decode::append;
use crate::columns::view::{ColumnId, Values};
use crate::model::SpanId;
use crate::proto::otlp::{ExportTraceServiceRequest, ResourceSpans, Span};
use crate::traceql::ast::FieldExpr;
use crate::traceql::eval::Filter;
use prost::Message;
use std::collections::HashSet;
use std::sync::Arc;

/// Spans of one trace, each told by its id and kind as in every answer (spec/query-api.md §3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanKeys(HashSet<(u64, i32)>);

impl SpanKeys {
    /// Whether a span is among them.
    pub fn contains(&self, span: &Span) -> bool {
        SpanId::from_slice(&span.span_id).is_some_and(|id| self.0.contains(&(id.0, span.kind)))
    }
}

/// The spans that a filter keeps of a trace, which is looked at as if it were all there is. Computes.
pub fn matching_spans(trace: &[ResourceSpans], filter: &FieldExpr) -> Result<SpanKeys, QueryError> {
    let filter = Filter::compile(filter)?;
    let request = ExportTraceServiceRequest { resource_spans: trace.to_vec() }.encode_to_vec();
    let mut chunk = Chunk::default();
    append(&mut chunk, &request, 0, None).map_err(|error| QueryError::Internal(format!("a stored trace cannot be read: {error}")))?;
    let snapshot = Snapshot { chunks: vec![Arc::new(chunk)], ..Snapshot::default() };
    let units = Units::of(&snapshot);
    let joined = JoinedTraces::of(&units);
    let (unit, chunk) = (UnitId::Chunk(0), &snapshot.chunks[0]);
    let source = units.source(unit)?.as_source();
    let kept = filter.select(source, &UnitFacts::of(&joined, unit))?;
    let column = |id: ColumnId<'_>| source.column(id)?.ok_or_else(|| QueryError::Internal("a column is missing".to_string()));
    let (ids, kinds) = (column(ColumnId::SpanId)?.values, column(ColumnId::Kind)?.values);
    let (Values::U64(ids), Values::Enum(kinds)) = (ids, kinds) else {
        return Err(QueryError::Internal("a column has another type".to_string()));
    };
    let rows = (0..chunk.num_rows()).filter(|row| kept.contains(*row as u32));
    Ok(SpanKeys(rows.map(|row| (ids[row], kinds[row])).collect()))
}
