//! Traces as Jaeger's page reads them.

use super::super::{ApiError, ErrorKind};
use super::{hex, json_of, micros, service_name, text_of};
use crate::proto::otlp::{AnyValue, InstrumentationScope, KeyValue, ResourceSpans, Span, SpanKind, StatusCode, Value};
use serde::Serialize;
use serde_json::{Value as Json, json};

/// What is around every answer.
#[derive(Serialize)]
pub(super) struct Envelope<T> {
    data: Vec<T>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Json,
}

impl<T> Envelope<T> {
    pub(super) fn of(data: Vec<T>) -> Self {
        Envelope { total: data.len(), data, limit: 0, offset: 0, errors: Json::Null }
    }
}

fn failure(kind: ErrorKind, code: u16, message: &str) -> ApiError {
    let errors = json!([{"code": code, "msg": message}]);
    let body = Envelope::<()> { data: Vec::new(), total: 0, limit: 0, offset: 0, errors };
    // What is made of our own texts can be written.
    ApiError::new(kind, serde_json::to_string(&body).unwrap_or_default())
}

/// There is no such trace.
pub(super) fn not_found() -> ApiError {
    failure(ErrorKind::NotFound, 404, "trace not found")
}

/// A parameter is missing or wrong.
pub(super) fn bad_parameter(name: &str, reason: &str) -> ApiError {
    failure(ErrorKind::Invalid, 400, &format!("unable to parse param '{name}': {reason}"))
}

/// A trace: spans, and the processes they refer to, one for each resource.
pub(super) fn trace(batches: &[ResourceSpans]) -> Json {
    let mut spans = Vec::new();
    let mut processes = serde_json::Map::new();
    let mut id = String::new();
    for (at, batch) in batches.iter().enumerate() {
        let process = format!("p{}", at + 1);
        for scope in &batch.scope_spans {
            for one in &scope.spans {
                id = hex(&one.trace_id);
                spans.push(span(one, scope.scope.as_ref(), &process));
            }
        }
        let attributes =
            batch.resource.iter().flat_map(|resource| &resource.attributes).filter(|attribute| attribute.key != "service.name");
        processes.insert(process, json!({"serviceName": service_name(batch), "tags": attributes.map(tag).collect::<Vec<_>>()}));
    }
    json!({"traceID": id, "spans": spans, "processes": processes, "warnings": null})
}

fn span(span: &Span, scope: Option<&InstrumentationScope>, process: &str) -> Json {
    let logs = span.events.iter().map(|event| {
        let named = (!event.name.is_empty()).then(|| text_tag("event", &event.name));
        let fields: Vec<Json> = named.into_iter().chain(event.attributes.iter().map(tag)).collect();
        json!({"timestamp": micros(event.time_unix_nano), "fields": fields})
    });
    json!({
        "traceID": hex(&span.trace_id),
        "spanID": hex(&span.span_id),
        "flags": span.flags & 0xff,
        "operationName": span.name,
        "references": references(span),
        "startTime": micros(span.start_time_unix_nano),
        "duration": micros(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)),
        "tags": span.attributes.iter().map(tag).chain(fields_as_tags(span, scope)).collect::<Vec<_>>(),
        "logs": logs.collect::<Vec<_>>(),
        "processID": process,
        "warnings": null,
    })
}

fn references(span: &Span) -> Vec<Json> {
    let parent = (!span.parent_span_id.is_empty())
        .then(|| json!({"refType": "CHILD_OF", "traceID": hex(&span.trace_id), "spanID": hex(&span.parent_span_id)}));
    let links =
        span.links.iter().map(|link| json!({"refType": "FOLLOWS_FROM", "traceID": hex(&link.trace_id), "spanID": hex(&link.span_id)}));
    parent.into_iter().chain(links).collect()
}

/// What OTLP has as fields and Jaeger as tags, under the names of OpenTelemetry's specification for such translations.
fn fields_as_tags(span: &Span, scope: Option<&InstrumentationScope>) -> Vec<Json> {
    let mut tags = Vec::new();
    let kind = match span.kind() {
        SpanKind::Unspecified => None,
        SpanKind::Internal => Some("internal"),
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    };
    tags.extend(kind.map(|word| text_tag("span.kind", word)));
    let status = span.status.clone().unwrap_or_default();
    match status.code() {
        StatusCode::Unset => {}
        StatusCode::Ok => tags.push(text_tag("otel.status_code", "OK")),
        StatusCode::Error => {
            tags.push(text_tag("otel.status_code", "ERROR"));
            tags.push(json!({"key": "error", "type": "bool", "value": true}));
        }
    }
    let texts = [
        ("otel.status_description", status.message.as_str()),
        ("w3c.tracestate", &span.trace_state),
        ("otel.scope.name", scope.map_or("", |scope| &scope.name)),
        ("otel.scope.version", scope.map_or("", |scope| &scope.version)),
    ];
    tags.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| text_tag(key, text)));
    tags
}

fn text_tag(key: &str, text: &str) -> Json {
    json!({"key": key, "type": "string", "value": text})
}

fn tag(attribute: &KeyValue) -> Json {
    let value: Option<&AnyValue> = attribute.value.as_ref();
    let (kind, value) = match value.and_then(|value| value.value.as_ref()) {
        Some(Value::BoolValue(_)) => ("bool", json_of(value)),
        Some(Value::IntValue(_)) => ("int64", json_of(value)),
        Some(Value::DoubleValue(_)) => ("float64", json_of(value)),
        Some(Value::BytesValue(_)) => ("binary", json_of(value)),
        _ => ("string", text_of(value).into()),
    };
    json!({"key": attribute.key, "type": kind, "value": value})
}
