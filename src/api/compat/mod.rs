//! The query APIs of Jaeger and Zipkin over the same engine, so that their pages, and Grafana's data sources for them, work.
//!
//! [`jaeger`] is below `/jaeger`, [`zipkin`] below `/zipkin`. Both translate a search to a filter, find traces, and write them
//! in their own form; what they have in common is here.

pub(super) mod jaeger;
mod jaeger_json;
pub(super) mod zipkin;
mod zipkin_json;

use super::answer::Answer;
use super::filters::{any_of, compare, query};
use super::times::RangeRules;
use super::{ApiConfig, ApiError, ApiState, ErrorKind};
use crate::frontend::{Caller, FoundTrace, SearchParams, TagParams};
use crate::model::trace::spans;
use crate::model::{TimeRange, TraceId, UnixNanos};
use crate::proto::otlp::{AnyValue, KeyValue, ResourceSpans, Value};
use crate::traceql::ast::{Attribute, BinaryOp, FieldExpr, Intrinsic, Scope, Static};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Most traces of an answer: each is read whole.
const MAX_TRACES: usize = 1500;

/// Traces that dependencies are made of, the newest ones of the range.
const DEPENDENCY_TRACES: usize = 1000;

/// Calls from one service to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    parent: String,
    child: String,
    call_count: u64,
}

/// JSON of anything that is ours.
fn json(value: &impl Serialize) -> Result<Answer, ApiError> {
    serde_json::to_string(value).map(Answer::json).map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))
}

/// The service of a span.
fn service() -> Attribute {
    Attribute::scoped(Scope::Resource, "service.name")
}

/// `service = name`.
fn of_service(name: &str) -> FieldExpr {
    compare(BinaryOp::Eq, service(), Static::Str(name.to_string()))
}

/// `name = name`.
fn of_name(name: &str) -> FieldExpr {
    compare(BinaryOp::Eq, Attribute::Intrinsic(Intrinsic::Name), Static::Str(name.to_string()))
}

/// An attribute of that key, on span or resource, whose value reads like the text: these clients know texts only.
fn tagged(key: &str, text: &str) -> FieldExpr {
    let mut values = vec![Static::Str(text.to_string())];
    if let Ok(int) = text.parse::<i64>() {
        values.push(Static::Int(int));
    } else if let Some(float) = text.parse::<f64>().ok().filter(|float| float.is_finite()) {
        values.push(Static::Float(float));
    } else if let Ok(bit) = text.parse::<bool>() {
        values.push(Static::Bool(bit));
    }
    let equals = values.into_iter().map(|value| compare(BinaryOp::Eq, Attribute::scoped(Scope::None, key), value)).collect();
    any_of(equals).unwrap_or(FieldExpr::Static(Static::Bool(true)))
}

/// Texts of the values of a tag, sorted, of the spans that a filter keeps.
async fn values(state: &ApiState, caller: &Caller, tag: Attribute, filter: Option<FieldExpr>) -> Result<Vec<String>, ApiError> {
    let params = TagParams { filter, ..TagParams::default() };
    let found = state.frontend.tag_values(caller, &tag, params).await?;
    Ok(found.into_iter().map(|value| value.value).collect())
}

/// What a search of these clients asks for.
struct Asked {
    /// `None` for all traces.
    filter: Option<FieldExpr>,
    range: TimeRange,
    limit: usize,
}

/// The traces that match, whole, newest first.
async fn traces(state: &ApiState, caller: &Caller, asked: Asked) -> Result<Vec<FoundTrace>, ApiError> {
    let config = state.config_for(&caller.tenants);
    check_length(&asked.range, &config)?;
    let params =
        SearchParams { query: asked.filter.map(query), limit: asked.limit.clamp(1, MAX_TRACES), spans_per_span_set: 1, range: asked.range };
    let found = state.frontend.search(caller, params).await?;
    let mut traces = Vec::with_capacity(found.traces.len());
    for trace in found.traces {
        let id = TraceId::parse(&trace.trace_id).map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
        traces.push(state.frontend.find_trace(caller, id, None).await?);
    }
    Ok(traces)
}

fn check_length(range: &TimeRange, config: &ApiConfig) -> Result<(), ApiError> {
    let rules = RangeRules { now: UnixNanos::now(), cutoff: config.query_end_cutoff, max_duration: config.limits.max_search_duration };
    super::times::RangeArgs::check_length(range, &rules)
}

/// Which services called which, in the newest traces of a range.
async fn dependencies(state: &ApiState, caller: &Caller, range: TimeRange) -> Result<Vec<Dependency>, ApiError> {
    let traces = traces(state, caller, Asked { filter: None, range, limit: DEPENDENCY_TRACES }).await?;
    let mut calls: BTreeMap<(String, String), u64> = BTreeMap::new();
    for trace in &traces {
        count_calls(&trace.resource_spans, &mut calls);
    }
    Ok(calls.into_iter().map(|((parent, child), call_count)| Dependency { parent, child, call_count }).collect())
}

/// A call is a span whose parent belongs to another service.
fn count_calls(trace: &[ResourceSpans], calls: &mut BTreeMap<(String, String), u64>) {
    let mut service_of: HashMap<&[u8], &str> = HashMap::new();
    for batch in trace {
        service_of.extend(spans(std::slice::from_ref(batch)).map(|span| (&*span.span_id, service_name(batch))));
    }
    for batch in trace {
        let child = service_name(batch);
        for span in spans(std::slice::from_ref(batch)) {
            if let Some(parent) = service_of.get(&*span.parent_span_id).filter(|parent| **parent != child) {
                *calls.entry(((*parent).to_string(), child.to_string())).or_default() += 1;
            }
        }
    }
}

/// `service.name` of a resource, or nothing.
pub(super) fn service_name(batch: &ResourceSpans) -> &str {
    let attributes = batch.resource.iter().flat_map(|resource| &resource.attributes);
    let named =
        attributes.filter(|attribute| attribute.key == "service.name").filter_map(|attribute| attribute.value.as_ref()?.value.as_ref());
    named.filter_map(|value| if let Value::StringValue(name) = value { Some(name.as_str()) } else { None }).next().unwrap_or_default()
}

/// A value as text.
fn text_of(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        _ => json_of(value).to_string(),
    }
}

/// A value as plain JSON; bytes are hex digits.
pub(super) fn json_of(value: Option<&AnyValue>) -> serde_json::Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.as_str().into(),
        Some(Value::BoolValue(bit)) => (*bit).into(),
        Some(Value::IntValue(int)) => (*int).into(),
        Some(Value::DoubleValue(double)) => (*double).into(),
        Some(Value::ArrayValue(array)) => array.values.iter().map(|value| json_of(Some(value))).collect(),
        Some(Value::KvlistValue(list)) => {
            list.values.iter().map(|KeyValue { key, value, .. }| (key.clone(), json_of(value.as_ref()))).collect()
        }
        Some(Value::BytesValue(bytes)) => hex(bytes).into(),
        _ => serde_json::Value::Null,
    }
}

/// Hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Microseconds of a moment.
fn micros(nanos: u64) -> u64 {
    nanos / 1000
}
