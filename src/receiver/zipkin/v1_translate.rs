//! v1 spans to OTLP (spec/ingest.md §4.6).

use std::collections::BTreeMap;

use super::attributes::{TagTypes, attribute, text_attribute};
use super::ids::optional_id_bytes;
use super::model::{Endpoint, micros_to_nanos};
use super::status;
use super::translate::ABSENT_START;
use super::v1_model::Tags;
use super::v1_model::{V1Annotation, V1Span};
use crate::proto::otlp::{
    Event, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, SpanKind, Value,
};

/// The service of spans that do not name one.
const UNKNOWN_SERVICE: &str = "unknown-service";

/// The key of "local component", the name of the code that made the span.
const LOCAL_COMPONENT: &str = "lc";

/// Groups `spans` by the name and address of their service; `now_unix_nanos` starts spans that have no time.
pub(super) fn to_otlp(spans: Vec<V1Span>, types: TagTypes, now_unix_nanos: u64) -> ExportTraceServiceRequest {
    let mut by_service: BTreeMap<Endpoint<'static>, Vec<Span>> = BTreeMap::new();
    for span in spans {
        by_service.entry(service(&span)).or_default().push(span_to_otlp(span, types, now_unix_nanos));
    }
    let resource_spans = by_service.into_iter().map(|(service, spans)| ResourceSpans {
        resource: Some(resource(service)),
        scope_spans: vec![ScopeSpans { scope: Some(InstrumentationScope::default()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

/// Who made the span: the endpoint of its first core annotation, else that of its last binary annotation, else the local
/// component, else nobody known.
fn service(span: &V1Span) -> Endpoint<'static> {
    let core = span.annotations.iter().filter(|annotation| kind_of_core(&annotation.value).is_some());
    let binary = span.binary_annotations.iter().rev();
    let mut endpoints =
        core.filter_map(|annotation| annotation.endpoint.as_ref()).chain(binary.filter_map(|annotation| annotation.endpoint.as_ref()));
    if let Some(endpoint) = endpoints.find(|endpoint| !endpoint.service_name.is_empty()) {
        return endpoint.clone();
    }
    let component = span.binary_annotations.iter().find(|annotation| annotation.key == LOCAL_COMPONENT);
    let name = component.map(|annotation| annotation.value.as_str()).filter(|name| !name.is_empty());
    Endpoint { service_name: name.unwrap_or(UNKNOWN_SERVICE).to_owned().into(), ..Endpoint::default() }
}

fn resource(service: Endpoint<'_>) -> Resource {
    let mut attributes = vec![text_attribute("service.name", service.service_name.into_owned())];
    attributes.extend(service.ipv4.map(|address| text_attribute("ipv4", address.to_string())));
    attributes.extend(service.ipv6.map(|address| text_attribute("ipv6", address.to_string())));
    attributes.extend((service.port != 0).then(|| text_attribute("port", service.port.to_string())));
    Resource { attributes, ..Resource::default() }
}

/// The kind that a core annotation stands for; `None` for annotations that are events.
fn kind_of_core(value: &str) -> Option<SpanKind> {
    match value {
        "cs" | "cr" => Some(SpanKind::Client),
        "ss" | "sr" => Some(SpanKind::Server),
        "ms" => Some(SpanKind::Producer),
        "mr" => Some(SpanKind::Consumer),
        _ => None,
    }
}

fn span_to_otlp(span: V1Span, types: TagTypes, now_unix_nanos: u64) -> Span {
    let times = times(&span);
    let (start_time_unix_nano, end_time_unix_nano) =
        times.unwrap_or((now_unix_nanos, now_unix_nanos.saturating_add(micros_to_nanos(span.duration_micros))));
    let kind = span.annotations.iter().find_map(|annotation| kind_of_core(&annotation.value)).unwrap_or_default();
    let mut tags = tags(&span);
    let status = status::take_v1(&mut tags);
    let mut typed = typed_tags(&span);
    let attribute_of = |(key, text): (String, String)| match typed.remove(&key) {
        Some(value) => attribute(key, value),
        None => types.attribute(key, text),
    };
    let mut attributes: Vec<KeyValue> = tags.into_iter().map(attribute_of).collect();
    attributes.extend(times.is_none().then(|| attribute(ABSENT_START, Value::BoolValue(true))));
    let events = span.annotations.into_iter().filter(|annotation| kind_of_core(&annotation.value).is_none());
    Span {
        trace_id: span.trace_id.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        parent_span_id: optional_id_bytes(span.parent_id),
        name: span.name,
        kind: kind.into(),
        start_time_unix_nano,
        end_time_unix_nano,
        attributes,
        events: events.map(event).collect(),
        status: Some(status),
        ..Span::default()
    }
}

/// Start and end in nanoseconds: those of the annotations, overridden by the span's own; `None` if nothing has a time.
fn times(span: &V1Span) -> Option<(u64, u64)> {
    let seen = || span.annotations.iter().map(|annotation| annotation.timestamp_micros).filter(|&micros| micros != 0);
    let own_start = Some(span.timestamp_micros).filter(|&micros| micros != 0);
    let start = own_start.or(seen().min())?;
    let end = match span.duration_micros {
        0 => seen().max().unwrap_or(start),
        duration_micros => start.saturating_add(duration_micros),
    };
    Some((micros_to_nanos(start), micros_to_nanos(end)))
}

/// The binary annotations by key; of a repeated key the last one counts.
fn tags(span: &V1Span) -> Tags {
    span.binary_annotations.iter().map(|annotation| (key(&annotation.key), annotation.value.clone())).collect()
}

/// Those of them that are not text.
fn typed_tags(span: &V1Span) -> BTreeMap<String, Value> {
    let mut typed = BTreeMap::new();
    for annotation in &span.binary_annotations {
        match &annotation.typed {
            Some(value) => drop(typed.insert(key(&annotation.key), value.clone())),
            None => drop(typed.remove(&annotation.key)),
        }
    }
    typed
}

fn key(key: &str) -> String {
    if key == LOCAL_COMPONENT { "component".to_owned() } else { key.to_owned() }
}

fn event(annotation: V1Annotation) -> Event {
    Event { time_unix_nano: micros_to_nanos(annotation.timestamp_micros), name: annotation.value, ..Event::default() }
}
