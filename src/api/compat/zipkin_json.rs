//! Traces as Zipkin's page reads them: a list of spans.

use super::{hex, micros, service_name, text_of};
use crate::proto::otlp::{KeyValue, ResourceSpans, Span, SpanKind, StatusCode};
use serde_json::{Map, Value as Json, json};

/// All spans of a trace.
pub(super) fn spans(batches: &[ResourceSpans]) -> Vec<Json> {
    let of_batch = |batch| {
        let service = service_name(batch);
        crate::model::trace::spans(std::slice::from_ref(batch)).map(move |one| span(one, service, batch))
    };
    batches.iter().flat_map(of_batch).collect()
}

fn span(span: &Span, service: &str, batch: &ResourceSpans) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| drop(out.insert(key.to_string(), value));
    put("traceId", hex(&span.trace_id).into());
    put("id", hex(&span.span_id).into());
    if !span.parent_span_id.is_empty() {
        put("parentId", hex(&span.parent_span_id).into());
    }
    if let Some(kind) = kind(span.kind()) {
        put("kind", kind.into());
    }
    put("name", span.name.as_str().into());
    put("timestamp", micros(span.start_time_unix_nano).into());
    // Zipkin has no duration of nothing; what is shorter than a microsecond counts as one.
    put("duration", micros(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)).max(1).into());
    put("localEndpoint", json!({"serviceName": service}));
    if let Some(peer) = span.attributes.iter().find(|attribute| attribute.key == "peer.service") {
        put("remoteEndpoint", json!({"serviceName": text_of(peer.value.as_ref())}));
    }
    let annotations: Vec<Json> =
        span.events.iter().map(|event| json!({"timestamp": micros(event.time_unix_nano), "value": event.name})).collect();
    if !annotations.is_empty() {
        put("annotations", annotations.into());
    }
    put("tags", tags(span, batch).into());
    Json::Object(out)
}

fn kind(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Server => Some("SERVER"),
        SpanKind::Client => Some("CLIENT"),
        SpanKind::Producer => Some("PRODUCER"),
        SpanKind::Consumer => Some("CONSUMER"),
        SpanKind::Internal | SpanKind::Unspecified => None,
    }
}

/// Attributes of span and resource, and the status as OpenTelemetry writes it for Zipkin. The span's own go before the resource's.
fn tags(span: &Span, batch: &ResourceSpans) -> Map<String, Json> {
    let of_resource = batch.resource.iter().flat_map(|resource| &resource.attributes).filter(|attribute| attribute.key != "service.name");
    let mut tags = Map::new();
    for KeyValue { key, value, .. } in of_resource.chain(&span.attributes) {
        tags.insert(key.clone(), text_of(value.as_ref()).into());
    }
    let status = span.status.clone().unwrap_or_default();
    match status.code() {
        StatusCode::Unset => {}
        StatusCode::Ok => drop(tags.insert("otel.status_code".to_string(), "OK".into())),
        StatusCode::Error => {
            tags.insert("otel.status_code".to_string(), "ERROR".into());
            tags.insert("error".to_string(), status.message.into());
        }
    }
    tags
}
