//! Traces as JSON: OTLP's messages, member by member in the order of spec/proto-facts.md §4.

use super::writer::JsonWriter;
use super::{counters_member, key_values_member, partial_members, text};
use crate::proto::otlp::{
    AnyValue, EntityRef, Event, InstrumentationScope, KeyValue, Link, Resource, ResourceSpans, ScopeSpans, Span, SpanKind, Status,
    StatusCode, Value,
};
use crate::proto::tempopb::{TraceByIdMetrics, TraceByIdResponse};

/// Values nest at most so deep; what lies deeper is written as a value without content. The text of a hostile trace can
/// so neither exhaust our stack nor that of a reader.
pub(super) const MAX_VALUE_DEPTH: usize = 64;

/// The answer of `/api/traces/{id}`: an OTLP traces object whose top member is called `batches` (spec/query-api.md §3.2).
pub fn trace_v1(batches: &[ResourceSpans]) -> String {
    text(|w| w.object(|w| w.list_member("batches", batches, resource_spans)))
}

/// The answer of `/api/v2/traces/{id}` (spec/query-api.md §3.3). `trace` is written even when it is missing.
pub fn trace_by_id(response: &TraceByIdResponse) -> String {
    let batches = response.trace.as_ref().map_or(&[] as &[_], |trace| &trace.resource_spans);
    text(|w| {
        w.object(|w| {
            w.key("trace");
            w.object(|w| w.list_member("resourceSpans", batches, resource_spans));
            if let Some(metrics) = &response.metrics {
                w.key("metrics");
                trace_metrics(w, metrics);
            }
            partial_members(w, response.status, &response.message);
        });
    })
}

fn trace_metrics(w: &mut JsonWriter, metrics: &TraceByIdMetrics) {
    w.object(|w| {
        w.quoted_member("inspectedBytes", metrics.inspected_bytes);
        w.quoted_member("backendReads", metrics.backend_reads);
        w.quoted_member("backendBytes", metrics.backend_bytes);
        counters_member(w, &metrics.additional_metrics);
    });
}

fn resource_spans(w: &mut JsonWriter, group: &ResourceSpans) {
    w.object(|w| {
        w.key("resource");
        w.object(|w| {
            if let Some(resource) = &group.resource {
                resource_members(w, resource);
            }
        });
        w.list_member("scopeSpans", &group.scope_spans, scope_spans);
        w.string_member("schemaUrl", &group.schema_url);
    });
}

fn resource_members(w: &mut JsonWriter, resource: &Resource) {
    key_values_member(w, "attributes", &resource.attributes);
    w.number_member("droppedAttributesCount", resource.dropped_attributes_count);
    w.list_member("entityRefs", &resource.entity_refs, entity_ref);
}

fn entity_ref(w: &mut JsonWriter, entity: &EntityRef) {
    w.object(|w| {
        w.string_member("schemaUrl", &entity.schema_url);
        w.string_member("type", &entity.r#type);
        w.list_member("idKeys", &entity.id_keys, |w, key| w.string(key));
        w.list_member("descriptionKeys", &entity.description_keys, |w, key| w.string(key));
    });
}

fn scope_spans(w: &mut JsonWriter, group: &ScopeSpans) {
    w.object(|w| {
        w.key("scope");
        w.object(|w| {
            if let Some(scope) = &group.scope {
                scope_members(w, scope);
            }
        });
        w.list_member("spans", &group.spans, span);
        w.string_member("schemaUrl", &group.schema_url);
    });
}

fn scope_members(w: &mut JsonWriter, scope: &InstrumentationScope) {
    w.string_member("name", &scope.name);
    w.string_member("version", &scope.version);
    key_values_member(w, "attributes", &scope.attributes);
    w.number_member("droppedAttributesCount", scope.dropped_attributes_count);
}

fn span(w: &mut JsonWriter, span: &Span) {
    w.object(|w| {
        w.base64_member("traceId", &span.trace_id);
        w.base64_member("spanId", &span.span_id);
        w.string_member("traceState", &span.trace_state);
        w.base64_member("parentSpanId", &span.parent_span_id);
        w.number_member("flags", span.flags);
        w.string_member("name", &span.name);
        w.enum_member("kind", span.kind, kind_word(span.kind));
        w.quoted_member("startTimeUnixNano", span.start_time_unix_nano);
        w.quoted_member("endTimeUnixNano", span.end_time_unix_nano);
        key_values_member(w, "attributes", &span.attributes);
        w.number_member("droppedAttributesCount", span.dropped_attributes_count);
        w.list_member("events", &span.events, event);
        w.number_member("droppedEventsCount", span.dropped_events_count);
        w.list_member("links", &span.links, link);
        w.number_member("droppedLinksCount", span.dropped_links_count);
        w.key("status");
        w.object(|w| {
            if let Some(status) = &span.status {
                status_members(w, status);
            }
        });
    });
}

fn status_members(w: &mut JsonWriter, status: &Status) {
    w.string_member("message", &status.message);
    w.enum_member("code", status.code, status_word(status.code));
}

fn event(w: &mut JsonWriter, event: &Event) {
    w.object(|w| {
        w.quoted_member("timeUnixNano", event.time_unix_nano);
        w.string_member("name", &event.name);
        key_values_member(w, "attributes", &event.attributes);
        w.number_member("droppedAttributesCount", event.dropped_attributes_count);
    });
}

fn link(w: &mut JsonWriter, link: &Link) {
    w.object(|w| {
        w.base64_member("traceId", &link.trace_id);
        w.base64_member("spanId", &link.span_id);
        w.string_member("traceState", &link.trace_state);
        key_values_member(w, "attributes", &link.attributes);
        w.number_member("droppedAttributesCount", link.dropped_attributes_count);
        w.number_member("flags", link.flags);
    });
}

/// One attribute: `{"key":"…","value":{…}}`. A value that is missing is written like one without content, as the
/// recorded answers have it.
pub(super) fn key_value(w: &mut JsonWriter, attribute: &KeyValue) {
    nested_key_value(w, attribute, 0);
}

fn nested_key_value(w: &mut JsonWriter, attribute: &KeyValue, depth: usize) {
    w.object(|w| {
        w.string_member("key", &attribute.key);
        w.key("value");
        any_value(w, attribute.value.as_ref(), depth);
        w.number_member("keyStrindex", attribute.key_strindex);
    });
}

/// A value under the name of its type, which is written even when it is zero; `{}` if it has no type or lies too deep.
fn any_value(w: &mut JsonWriter, value: Option<&AnyValue>, depth: usize) {
    w.object(|w| {
        if let Some(value) = value.and_then(|value| value.value.as_ref()).filter(|_| depth <= MAX_VALUE_DEPTH) {
            value_member(w, value, depth);
        }
    });
}

fn value_member(w: &mut JsonWriter, value: &Value, depth: usize) {
    w.key(value_type(value));
    match value {
        Value::StringValue(text) => w.string(text),
        Value::BoolValue(bool) => w.bool(*bool),
        Value::IntValue(int) => w.quoted(*int),
        Value::DoubleValue(float) => w.float(*float),
        Value::ArrayValue(array) => w.object(|w| w.list_member("values", &array.values, |w, value| any_value(w, Some(value), depth + 1))),
        Value::KvlistValue(list) => w.object(|w| w.list_member("values", &list.values, |w, entry| nested_key_value(w, entry, depth + 1))),
        Value::BytesValue(bytes) => w.base64(bytes),
        Value::StringValueStrindex(index) => w.number(*index),
    }
}

fn value_type(value: &Value) -> &'static str {
    match value {
        Value::StringValue(_) => "stringValue",
        Value::BoolValue(_) => "boolValue",
        Value::IntValue(_) => "intValue",
        Value::DoubleValue(_) => "doubleValue",
        Value::ArrayValue(_) => "arrayValue",
        Value::KvlistValue(_) => "kvlistValue",
        Value::BytesValue(_) => "bytesValue",
        Value::StringValueStrindex(_) => "stringValueStrindex",
    }
}

/// The name of a span kind, if there is such a number.
pub(super) fn kind_word(kind: i32) -> Option<&'static str> {
    SpanKind::try_from(kind).ok().map(|kind| kind.as_str_name())
}

/// The name of a status code, if there is such a number.
pub(super) fn status_word(code: i32) -> Option<&'static str> {
    StatusCode::try_from(code).ok().map(|code| code.as_str_name())
}
