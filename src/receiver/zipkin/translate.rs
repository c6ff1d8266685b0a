//! v2 spans to OTLP: grouping, and the fields of a span (spec/ingest.md §4.4).

use std::collections::BTreeMap;

use super::attributes::{TagTypes, attribute};
use super::ids::optional_id_bytes;
use super::model::{Endpoint, Tags, ZipkinSpan, micros_to_nanos};
use super::{piped, resource, status};
use crate::proto::otlp::{ExportTraceServiceRequest, InstrumentationScope, KeyValue, ResourceSpans, ScopeSpans, Span, SpanKind, Value};
use crate::receiver::error::DecodeError;

/// Groups `spans` by service and, within it, by instrumentation library, both in the order of their names.
///
/// # Errors
///
/// [`DecodeError::Invalid`] when a span carries a malformed link; none of the spans is translated then.
pub(super) fn to_otlp(spans: Vec<ZipkinSpan>, types: TagTypes) -> Result<ExportTraceServiceRequest, DecodeError> {
    let mut by_service: BTreeMap<String, Vec<ZipkinSpan>> = BTreeMap::new();
    for span in spans {
        by_service.entry(span.local_endpoint.service_name.clone()).or_default().push(span);
    }
    let batches = by_service.into_iter().map(|(service_name, spans)| service_to_otlp(&service_name, spans, types));
    Ok(ExportTraceServiceRequest { resource_spans: batches.collect::<Result<_, _>>()? })
}

fn service_to_otlp(service_name: &str, mut spans: Vec<ZipkinSpan>, types: TagTypes) -> Result<ResourceSpans, DecodeError> {
    let resource = resource::take(service_name, &mut spans);
    let mut by_library: BTreeMap<(String, String), Vec<Span>> = BTreeMap::new();
    for mut span in spans {
        let name = span.tags.remove("otel.library.name").unwrap_or_default();
        let version = span.tags.remove("otel.library.version").unwrap_or_default();
        by_library.entry((name, version)).or_default().push(span_to_otlp(span, types)?);
    }
    let scope_spans = by_library.into_iter().map(|((name, version), spans)| ScopeSpans {
        scope: Some(InstrumentationScope { name, version, ..InstrumentationScope::default() }),
        spans,
        ..ScopeSpans::default()
    });
    Ok(ResourceSpans { resource: Some(resource), scope_spans: scope_spans.collect(), ..ResourceSpans::default() })
}

fn span_to_otlp(mut span: ZipkinSpan, types: TagTypes) -> Result<Span, DecodeError> {
    let start_time_unix_nano = micros_to_nanos(span.timestamp_micros);
    // A span that names itself as its parent is a root.
    let parent_id = if span.parent_id == span.id { 0 } else { span.parent_id };
    let kind = take_kind(span.kind, &mut span.tags);
    let status = status::take_v2(&mut span.tags);
    let trace_state = span.tags.remove("w3c.tracestate").unwrap_or_default();
    let links = piped::take_links(&mut span.tags)?;
    Ok(Span {
        trace_id: span.trace_id.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        parent_span_id: optional_id_bytes(parent_id),
        trace_state,
        kind: kind.into(),
        start_time_unix_nano,
        end_time_unix_nano: start_time_unix_nano.saturating_add(micros_to_nanos(span.duration_micros)),
        attributes: attributes(&mut span, types),
        name: span.name,
        events: span.annotations.into_iter().map(piped::event).collect(),
        links,
        status: Some(status),
        ..Span::default()
    })
}

/// Zipkin has no internal spans and no name for them; exporters say so in a tag, which is looked at for such spans only.
fn take_kind(kind: SpanKind, tags: &mut Tags) -> SpanKind {
    if kind != SpanKind::Unspecified {
        return kind;
    }
    match tags.remove("span.kind").as_deref() {
        Some("internal") => SpanKind::Internal,
        _ => SpanKind::Unspecified,
    }
}

/// The tags that are left, and the endpoints; where both speak of the same key the endpoint is right.
fn attributes(span: &mut ZipkinSpan, types: TagTypes) -> Vec<KeyValue> {
    let mut attributes = endpoint_attributes(&span.local_endpoint, &span.remote_endpoint);
    if span.mark_absent_start && span.timestamp_micros == 0 {
        attributes.push(attribute(ABSENT_START, Value::BoolValue(true)));
    }
    for attribute in &attributes {
        span.tags.remove(&attribute.key);
    }
    let tags = std::mem::take(&mut span.tags);
    attributes.extend(tags.into_iter().map(|(key, text)| types.attribute(key, text)));
    attributes
}

/// Says that the sender gave no start time.
pub(super) const ABSENT_START: &str = "otel.zipkin.absentField.startTime";

fn endpoint_attributes(local: &Endpoint, remote: &Endpoint) -> Vec<KeyValue> {
    let port = |port: u16| (port != 0).then(|| Value::IntValue(port.into()));
    let text = |text: String| (!text.is_empty()).then_some(Value::StringValue(text));
    let candidates = [
        ("network.local.address", text(address(local))),
        ("net.host.port", port(local.port)),
        ("service.peer.name", text(remote.service_name.clone())),
        ("network.peer.address", text(address(remote))),
        ("net.peer.port", port(remote.port)),
    ];
    candidates.into_iter().filter_map(|(key, value)| value.map(|value| attribute(key, value))).collect()
}

/// The address as text: IPv6 if both are known, an IPv4 address mapped into IPv6 as IPv4; empty if unknown.
fn address(endpoint: &Endpoint) -> String {
    endpoint.ipv6.or(endpoint.ipv4).map(|address| address.to_canonical().to_string()).unwrap_or_default()
}
