//! The answer of a search: late reading of what it shows, for its traces only.

use super::QueryError;
use super::facts::UnitFacts;
use super::search::{FoundSet, FoundTrace, Search, SearchParams};
use super::unit::UnitId;
use crate::columns::view::{Column, ColumnId, SpanSource, Values};
use crate::model::{SpanId, TraceId};
use crate::proto::otlp::{AnyValue, ArrayValue, KeyValue, Value};
use crate::proto::tempopb::{SearchMetrics, SearchResponse, ServiceStats, Span, SpanSet, TraceSearchMetadata};
use crate::traceql::eval::Scalar;
use crate::traceql::eval::result::{Answer, AnswerReader, ResultValue};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Shown where the root span has not come, or has no service (spec/query-api.md §4.3).
const NO_ROOT: &str = "<root span not yet received>";

/// The answer under construction.
pub(super) struct Results<'r, 'u, 's> {
    search: &'r Search<'u, 's>,
    answer: Option<Answer>,
    traces: Vec<(TraceId, &'r FoundTrace)>,
}

/// Where a shown span goes: trace, spanset, position.
type Place = (usize, usize, usize);

impl<'r, 'u, 's> Results<'r, 'u, 's> {
    /// Of traces that a search has found.
    pub fn of(search: &'r Search<'u, 's>, params: &SearchParams, traces: Vec<(TraceId, &'r FoundTrace)>) -> Result<Self, QueryError> {
        let answer = params.query.as_ref().map(Answer::compile).transpose()?;
        Ok(Results { search, answer, traces })
    }

    /// The response.
    pub fn response(&self) -> Result<SearchResponse, QueryError> {
        let mut by_unit: HashMap<UnitId, Vec<(Place, u32)>> = HashMap::new();
        for (trace, (_, found)) in self.traces.iter().enumerate() {
            for (set, shown) in found.sets.iter().enumerate() {
                for (at, (unit, row)) in shown.shown.iter().enumerate() {
                    by_unit.entry(*unit).or_default().push(((trace, set, at), *row));
                }
            }
        }
        let empty = |set: &FoundSet| vec![Span::default(); set.shown.len()];
        let mut spans: Vec<Vec<Vec<Span>>> = self.traces.iter().map(|(_, found)| found.sets.iter().map(empty).collect()).collect();
        for (unit, wanted) in by_unit {
            self.read_spans(unit, &wanted, &mut spans)?;
        }
        let traces = self.traces.iter().zip(spans).map(|((id, found), spans)| self.metadata(*id, found, spans));
        Ok(SearchResponse { traces: traces.collect::<Result<_, _>>()?, metrics: Some(self.metrics()) })
    }

    fn read_spans(&self, unit: UnitId, wanted: &[(Place, u32)], spans: &mut [Vec<Vec<Span>>]) -> Result<(), QueryError> {
        let Some(answer) = &self.answer else { return Ok(()) };
        let source = self.search.units.source(unit)?.as_source();
        let facts = UnitFacts::of(self.search.joined, unit);
        let mut rows: Vec<u32> = wanted.iter().map(|(_, row)| *row).collect();
        rows.sort_unstable();
        rows.dedup();
        let reader = answer.reader(source, &facts, &rows)?;
        let dense = |id| dense(source, id, &rows);
        let (ids, starts, durations) = (dense(ColumnId::SpanId)?, dense(ColumnId::Start)?, dense(ColumnId::Duration)?);
        for ((trace, set, at), row) in wanted {
            spans[*trace][*set][*at] = Span {
                span_id: SpanId(number(&ids, *row)).to_string(),
                name: reader.name(*row).unwrap_or_default(),
                start_time_unix_nano: number(&starts, *row),
                duration_nanos: number(&durations, *row),
                attributes: attributes(&reader, *row),
            };
        }
        Ok(())
    }

    fn metadata(&self, id: TraceId, found: &FoundTrace, spans: Vec<Vec<Span>>) -> Result<TraceSearchMetadata, QueryError> {
        let info = self.search.units.info(&found.pieces)?;
        let (root_service, root_name) = info.root.unwrap_or_default();
        let span_sets: Vec<SpanSet> = match self.answer {
            Some(_) => found.sets.iter().zip(spans).map(span_set).collect(),
            None => Vec::new(),
        };
        Ok(TraceSearchMetadata {
            trace_id: id.to_short_hex(),
            root_service_name: if root_service.is_empty() { NO_ROOT } else { root_service }.to_string(),
            root_trace_name: root_name.to_string(),
            start_time_unix_nano: info.start,
            duration_ms: (info.end.wrapping_sub(info.start) / 1_000_000) as u32,
            span_set: span_sets.first().cloned(),
            span_sets,
            service_stats: if self.answer.is_some() { self.service_stats(found)? } else { BTreeMap::new() },
        })
    }

    fn service_stats(&self, found: &FoundTrace) -> Result<BTreeMap<String, ServiceStats>, QueryError> {
        let stats = self.search.units.service_stats(&found.pieces)?;
        let entry = |(service, (span_count, error_count))| (service, ServiceStats { span_count, error_count });
        Ok(stats.into_iter().map(entry).collect())
    }

    fn metrics(&self) -> SearchMetrics {
        let blocks = &self.search.units.snapshot().blocks;
        let num_units = self.search.units.snapshot().chunks.len() + blocks.iter().map(|block| block.row_groups().len()).sum::<usize>();
        SearchMetrics {
            inspected_traces: self.traces.len() as u32,
            total_blocks: blocks.len() as u32,
            total_block_bytes: blocks.iter().map(|block| block.meta().total_bytes()).sum(),
            // What was not searched did not have to be.
            completed_jobs: num_units as u32,
            total_jobs: num_units as u32,
            inspected_spans: self.search.num_inspected() as u64,
            ..SearchMetrics::default()
        }
    }
}

fn span_set((set, spans): (&FoundSet, Vec<Span>)) -> SpanSet {
    let nil = || Value::StringValue("nil".to_string());
    let attribute = |(key, value): &(Arc<str>, Scalar)| KeyValue {
        key: key.to_string(),
        value: Some(ResultValue::of(value).map_or_else(|| AnyValue { value: Some(nil()) }, any_value)),
        ..KeyValue::default()
    };
    SpanSet { spans, matched: set.matched as u32, attributes: set.attributes.iter().map(attribute).collect() }
}

fn dense<'c>(source: &'c dyn SpanSource, id: ColumnId<'_>, rows: &[u32]) -> Result<Column<'c>, QueryError> {
    source.column_of(id, rows)?.ok_or_else(|| QueryError::Internal(format!("column {id:?} is missing")))
}

fn number(column: &Column<'_>, row: u32) -> u64 {
    match (&column.values, column.position(row)) {
        (Values::U64(values), Some(at)) => values[at],
        _ => 0,
    }
}

fn attributes(reader: &AnswerReader<'_>, row: u32) -> Vec<KeyValue> {
    let pair = |(key, value): (&str, ResultValue)| KeyValue { key: key.to_string(), value: Some(any_value(value)), ..KeyValue::default() };
    reader.attributes(row).into_iter().map(pair).collect()
}

fn any_value(value: ResultValue) -> AnyValue {
    let value = match value {
        ResultValue::Str(text) => Value::StringValue(text),
        ResultValue::Int(int) => Value::IntValue(int),
        ResultValue::Double(double) => Value::DoubleValue(double),
        ResultValue::Bool(bit) => Value::BoolValue(bit),
        ResultValue::Array(values) => Value::ArrayValue(ArrayValue { values: values.into_iter().map(any_value).collect() }),
    };
    AnyValue { value: Some(value) }
}
