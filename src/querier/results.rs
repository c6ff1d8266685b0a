//! The answer of a search: late reading of what it shows, for its traces only.

use super::QueryError;
use super::facts::UnitFacts;
use super::search::{Search, SearchParams};
use super::unit::{Piece, UnitId};
use crate::columns::view::{Column, ColumnId, SpanSource, Values};
use crate::model::{SpanId, TraceId};
use crate::proto::otlp::{AnyValue, ArrayValue, KeyValue, Value};
use crate::proto::tempopb::{SearchMetrics, SearchResponse, ServiceStats, Span, SpanSet, TraceSearchMetadata};
use crate::traceql::eval::result::{Answer, AnswerReader, ResultValue};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Shown where the root span has not come, or has no service (spec/query-api.md §4.3).
const NO_ROOT: &str = "<root span not yet received>";

/// Matching spans of one trace.
struct Hit {
    id: TraceId,
    pieces: Vec<Piece>,
    /// Unit and row of the spans that are shown.
    shown: Vec<(UnitId, u32)>,
    matched: usize,
}

/// The answer under construction.
pub(super) struct Results<'u, 's> {
    search: &'u Search<'u, 's>,
    answer: Option<Answer>,
    hits: Vec<Hit>,
}

impl<'u, 's> Results<'u, 's> {
    /// Collects the spans to be shown.
    pub fn of(search: &'u Search<'u, 's>, params: &SearchParams) -> Result<Self, QueryError> {
        let answer = params.query.as_ref().map(Answer::compile).transpose()?;
        let mut results = Results { search, answer, hits: Vec::new() };
        for ranked in search.ranked() {
            let pieces = match search.homes.get(&ranked.id) {
                Some(home) => vec![*home],
                None => search.units.pieces_of(&ranked.id)?,
            };
            let hit = results.collect(ranked.id, pieces, params.spans_per_span_set)?;
            results.hits.push(hit);
        }
        Ok(results)
    }

    fn collect(&self, id: TraceId, pieces: Vec<Piece>, spans_per_span_set: usize) -> Result<Hit, QueryError> {
        let mut shown: Vec<(UnitId, u32)> = Vec::new();
        let mut seen = HashSet::new();
        let mut matched = 0;
        for piece in &pieces {
            let rows = self.search.matching_rows(*piece)?;
            // The head has every span as often as it was sent; a block has identical ones once.
            let may_repeat = pieces.len() > 1 || matches!(piece.unit, UnitId::Chunk(_));
            let twins = if may_repeat { self.span_keys(piece.unit, &rows)? } else { Vec::new() };
            for (at, row) in rows.into_iter().enumerate() {
                // The same span may have been stored in two pieces by a sender that tried again.
                if twins.get(at).is_none_or(|twin| seen.insert(*twin)) {
                    matched += 1;
                    shown.push((piece.unit, row));
                }
            }
        }
        self.sort_head_rows(&mut shown);
        shown.truncate(spans_per_span_set);
        Ok(Hit { id, pieces, shown, matched })
    }

    /// In a block the order of rows is the trace's own; in the head it is that of arrival, which says nothing.
    fn sort_head_rows(&self, shown: &mut [(UnitId, u32)]) {
        let chunks = &self.search.units.snapshot().chunks;
        shown.sort_by_key(|(unit, row)| match unit {
            UnitId::Chunk(at) => (chunks[*at].start[*row as usize], chunks[*at].span_id[*row as usize]),
            UnitId::Group(..) => (0, 0),
        });
    }

    /// Span id and kind of rows: what makes two spans of a trace the same (spec/query-api.md §3.4).
    fn span_keys(&self, unit: UnitId, rows: &[u32]) -> Result<Vec<(u64, i32)>, QueryError> {
        let source = self.search.units.source(unit)?.as_source();
        let (ids, kinds) = (dense(source, ColumnId::SpanId)?, source.column(ColumnId::Kind)?);
        let kind = |row: u32| match kinds.as_ref().map(|column| &column.values) {
            Some(Values::Enum(kinds)) => kinds[row as usize],
            _ => 0,
        };
        Ok(rows.iter().map(|&row| (number(&ids, row), kind(row))).collect())
    }

    /// The response.
    pub fn response(&self) -> Result<SearchResponse, QueryError> {
        let mut by_unit: HashMap<UnitId, Vec<(usize, usize, u32)>> = HashMap::new();
        for (hit, found) in self.hits.iter().enumerate() {
            for (place, (unit, row)) in found.shown.iter().enumerate() {
                by_unit.entry(*unit).or_default().push((hit, place, *row));
            }
        }
        let mut spans: Vec<Vec<Span>> = self.hits.iter().map(|hit| vec![Span::default(); hit.shown.len()]).collect();
        for (unit, wanted) in by_unit {
            self.read_spans(unit, &wanted, &mut spans)?;
        }
        let traces = self.hits.iter().zip(spans).map(|(hit, spans)| self.metadata(hit, spans)).collect::<Result<_, _>>()?;
        Ok(SearchResponse { traces, metrics: Some(self.metrics()) })
    }

    fn read_spans(&self, unit: UnitId, wanted: &[(usize, usize, u32)], spans: &mut [Vec<Span>]) -> Result<(), QueryError> {
        let Some(answer) = &self.answer else { return Ok(()) };
        let source = self.search.units.source(unit)?.as_source();
        let facts = UnitFacts::of(self.search.joined, unit);
        let reader = answer.reader(source, &facts)?;
        let (ids, starts) = (dense(source, ColumnId::SpanId)?, dense(source, ColumnId::Start)?);
        let durations = dense(source, ColumnId::Duration)?;
        for (hit, place, row) in wanted {
            spans[*hit][*place] = Span {
                span_id: SpanId(number(&ids, *row)).to_string(),
                name: reader.name(*row).unwrap_or_default(),
                start_time_unix_nano: number(&starts, *row),
                duration_nanos: number(&durations, *row),
                attributes: attributes(&reader, *row),
            };
        }
        Ok(())
    }

    fn metadata(&self, hit: &Hit, spans: Vec<Span>) -> Result<TraceSearchMetadata, QueryError> {
        let info = self.search.units.info(&hit.pieces)?;
        let (root_service, root_name) = info.root.unwrap_or_default();
        let span_set = self.answer.is_some().then(|| SpanSet { spans, matched: hit.matched as u32, attributes: Vec::new() });
        Ok(TraceSearchMetadata {
            trace_id: hit.id.to_short_hex(),
            root_service_name: if root_service.is_empty() { NO_ROOT } else { root_service }.to_string(),
            root_trace_name: root_name.to_string(),
            start_time_unix_nano: info.start,
            duration_ms: (info.end.wrapping_sub(info.start) / 1_000_000) as u32,
            span_sets: span_set.iter().cloned().collect(),
            span_set,
            service_stats: if self.answer.is_some() { self.service_stats(hit)? } else { BTreeMap::new() },
        })
    }

    fn service_stats(&self, hit: &Hit) -> Result<BTreeMap<String, ServiceStats>, QueryError> {
        let stats = self.search.units.service_stats(&hit.pieces)?;
        let entry = |(service, (span_count, error_count))| (service, ServiceStats { span_count, error_count });
        Ok(stats.into_iter().map(entry).collect())
    }

    fn metrics(&self) -> SearchMetrics {
        let blocks = &self.search.units.snapshot().blocks;
        let num_units = self.search.units.snapshot().chunks.len() + blocks.iter().map(|block| block.row_groups().len()).sum::<usize>();
        SearchMetrics {
            inspected_traces: self.hits.len() as u32,
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

fn dense<'c>(source: &'c dyn SpanSource, id: ColumnId<'_>) -> Result<Column<'c>, QueryError> {
    source.column(id)?.ok_or_else(|| QueryError::Internal(format!("column {id:?} is missing")))
}

fn number(column: &Column<'_>, row: u32) -> u64 {
    match &column.values {
        Values::U64(values) => values[row as usize],
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
