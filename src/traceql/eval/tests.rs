//! Tests of the evaluator as a whole: recorded answers, a table of cases, and a row-by-row evaluator to compare with.

mod cases;
pub(crate) mod random;
mod reference;

use super::{TraceFacts, TreeNumber};
use crate::columns::Chunk;
use crate::columns::chunk::NO_ROW;
use crate::columns::decode;
use crate::columns::view::SourceError;
use crate::model::TraceId;
use crate::proto::otlp::{
    AnyValue, ArrayValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, Value,
};
use crate::traceql::ast::{Body, FieldExpr, SpansetExpr, Stage};
use prost::Message;
use std::borrow::Cow;

/// The facts of a chunk's traces, taken from their summaries.
pub(in crate::traceql) struct Facts<'a>(pub(in crate::traceql) &'a Chunk);

impl TraceFacts for Facts<'_> {
    fn duration(&self, ordinal: u32) -> u64 {
        let summary = &self.0.traces.summaries()[ordinal as usize];
        summary.end.wrapping_sub(summary.start)
    }

    fn root_name(&self, ordinal: u32) -> &str {
        match self.0.traces.summaries()[ordinal as usize].root_row {
            NO_ROW => "",
            row => self.0.names.text(self.0.name[row as usize]),
        }
    }

    fn root_service(&self, ordinal: u32) -> &str {
        match self.0.traces.summaries()[ordinal as usize].root_row {
            NO_ROW => "",
            row => self.0.service_name(row),
        }
    }

    fn id(&self, ordinal: u32) -> TraceId {
        self.0.traces.summaries()[ordinal as usize].id
    }

    fn tree(&self, _number: TreeNumber) -> Result<Cow<'_, [i64]>, SourceError> {
        // As in traces without a root; the trees of chunks are known to the querier only.
        Ok(Cow::Owned(vec![0; self.0.num_rows()]))
    }
}

/// The condition of a query that is one filter.
fn filter_of(query: &str) -> FieldExpr {
    let query = crate::traceql::compile(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    match single_filter(&query) {
        Some(expression) => expression.clone(),
        None => panic!("more than one filter"),
    }
}

/// The condition of a query whose only stage that drops spans is one filter.
fn single_filter(query: &crate::traceql::ast::Query) -> Option<&FieldExpr> {
    let Body::Pipeline(pipeline) = &query.body else { return None };
    match &pipeline.stages[..] {
        [Stage::Spansets(SpansetExpr::Filter(expression))] => Some(expression),
        [Stage::Spansets(SpansetExpr::Filter(expression)), Stage::Select(_)] => Some(expression),
        _ => None,
    }
}

pub(crate) fn append(chunk: &mut Chunk, request: &[u8]) {
    decode::append(chunk, request, 0, None).expect("well-formed request");
}

pub(in crate::traceql) fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(in crate::traceql) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn array(values: impl IntoIterator<Item = Value>) -> Value {
    Value::ArrayValue(ArrayValue { values: values.into_iter().map(|value| AnyValue { value: Some(value) }).collect() })
}

/// A request with one resource and scope for all spans.
pub(crate) fn request(resource: Vec<KeyValue>, scope: InstrumentationScope, spans: Vec<Span>) -> Vec<u8> {
    let resource = Resource { attributes: resource, ..Resource::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}
