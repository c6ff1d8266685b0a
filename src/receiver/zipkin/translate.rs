//! v2 spans to OTLP: grouping, and the fields of a span (spec/ingest.md §4.4).

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::attributes::TagTypes;
use super::model::{Endpoint, Tags, ZipkinSpan, micros_to_nanos};
use super::{piped, resource, status};
use crate::proto::otlp::SpanKind;
use crate::receiver::error::DecodeError;
use crate::receiver::otlp_writer::{OtlpWriter, Value};

/// The bytes of an `ExportTraceServiceRequest` with `spans` grouped by service and, within it, by instrumentation library,
/// both in the order of their names.
///
/// # Errors
///
/// [`DecodeError::Invalid`] when a span carries a malformed link; none of the spans is translated then.
pub(super) fn to_otlp(mut spans: Vec<ZipkinSpan<'_>>, types: TagTypes) -> Result<Bytes, DecodeError> {
    // Stable: the spans of a service stay in their order.
    spans.sort_by(|one, other| one.local_endpoint.service_name.cmp(&other.local_endpoint.service_name));
    let mut request = OtlpWriter::default();
    for of_service in spans.chunk_by_mut(|one, other| one.local_endpoint.service_name == other.local_endpoint.service_name) {
        write_service(&mut request, of_service, types)?;
    }
    Ok(Bytes::from(request.finish()))
}

/// Fields of spans by name and version of their library.
type SpansByLibrary<'a> = BTreeMap<(Cow<'a, str>, Cow<'a, str>), OtlpWriter>;

fn write_service(request: &mut OtlpWriter, spans: &mut [ZipkinSpan<'_>], types: TagTypes) -> Result<(), DecodeError> {
    let resource = resource::take(spans).encode_to_vec();
    let mut by_library = SpansByLibrary::default();
    for span in spans {
        let name = span.tags.remove("otel.library.name").unwrap_or_default();
        let version = span.tags.remove("otel.library.version").unwrap_or_default();
        write_span(by_library.entry((name, version)).or_default(), span, types)?;
    }
    request.message(1, |resource_spans| {
        resource_spans.raw(1, &resource);
        for ((name, version), spans) in &by_library {
            resource_spans.message(2, |scope_spans| {
                scope_spans.message(1, |scope| {
                    scope.bytes(1, name.as_bytes());
                    scope.bytes(2, version.as_bytes());
                });
                scope_spans.append(spans.as_bytes());
            });
        }
    });
    Ok(())
}

/// Writes one field `spans` of a `ScopeSpans`.
fn write_span(spans: &mut OtlpWriter, span: &mut ZipkinSpan<'_>, types: TagTypes) -> Result<(), DecodeError> {
    let start = micros_to_nanos(span.timestamp_micros);
    let kind = take_kind(span.kind, &mut span.tags);
    let status = status::take_v2(&mut span.tags);
    let trace_state = span.tags.remove("w3c.tracestate").unwrap_or_default();
    let links = piped::take_links(&mut span.tags)?;
    spans.message(2, |out| {
        out.raw(1, &span.trace_id.to_be_bytes());
        out.raw(2, &span.id.to_be_bytes());
        out.bytes(3, trace_state.as_bytes());
        // A span that names itself as its parent is a root.
        if span.parent_id != 0 && span.parent_id != span.id {
            out.raw(4, &span.parent_id.to_be_bytes());
        }
        out.bytes(5, span.name.as_bytes());
        out.varint(6, (kind as i32).cast_unsigned().into());
        out.fixed64(7, start);
        out.fixed64(8, start.saturating_add(micros_to_nanos(span.duration_micros)));
        write_attributes(out, span, types);
        span.annotations.iter().for_each(|annotation| piped::write_event(out, annotation));
        links.iter().for_each(|link| out.raw(13, &link.encode_to_vec()));
        out.status(status.code(), status.message.as_bytes());
    });
    Ok(())
}

/// Zipkin has no internal spans and no name for them; exporters say so in a tag, which is looked at for such spans only.
fn take_kind(kind: SpanKind, tags: &mut Tags<'_>) -> SpanKind {
    if kind != SpanKind::Unspecified {
        return kind;
    }
    match tags.remove("span.kind").as_deref() {
        Some("internal") => SpanKind::Internal,
        _ => SpanKind::Unspecified,
    }
}

/// The field `attributes` of a span.
const ATTRIBUTES: u32 = 9;

/// Says that the sender gave no start time.
pub(super) const ABSENT_START: &str = "otel.zipkin.absentField.startTime";

/// The endpoints and the tags that are left; where both speak of the same key the endpoint is right.
fn write_attributes(out: &mut OtlpWriter, span: &mut ZipkinSpan<'_>, types: TagTypes) {
    let (local, remote) = (&span.local_endpoint, &span.remote_endpoint);
    let (local_address, remote_address) = (address(local), address(remote));
    let has_no_start = span.mark_absent_start && span.timestamp_micros == 0;
    let candidates = [
        ("network.local.address", text(&local_address)),
        ("net.host.port", port(local)),
        ("service.peer.name", text(&remote.service_name)),
        ("network.peer.address", text(&remote_address)),
        ("net.peer.port", port(remote)),
        (ABSENT_START, has_no_start.then_some(Value::Bool(true))),
    ];
    for (key, value) in candidates {
        if let Some(value) = value {
            span.tags.remove(key);
            out.attribute(ATTRIBUTES, key.as_bytes(), value);
        }
    }
    span.tags.iter().for_each(|(key, text)| out.attribute(ATTRIBUTES, key.as_bytes(), types.value(text)));
}

fn text(text: &str) -> Option<Value<'_>> {
    (!text.is_empty()).then_some(Value::Text(text.as_bytes()))
}

fn port(endpoint: &Endpoint<'_>) -> Option<Value<'static>> {
    (endpoint.port != 0).then(|| Value::Int(endpoint.port.into()))
}

/// The address as text: IPv6 if both are known, an IPv4 address mapped into IPv6 as IPv4; empty if unknown.
fn address(endpoint: &Endpoint<'_>) -> String {
    endpoint.ipv6.or(endpoint.ipv4).map(|address| address.to_canonical().to_string()).unwrap_or_default()
}
