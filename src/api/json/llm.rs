//! The answers for `Accept: application/vnd.grafana.llm` (spec/query-api.md §3.3, §5.6): fewer words, ids as hex,
//! attributes as plain objects. Only trace by id and tag values have such a form, both in version 2.
//!
//! Where the descriptions leave a choice, the recorded answer decides: counters are numbers, times are texts, `status`
//! of the answer and of a span is always there, and lists, maps and parents that are empty are left out.

use std::collections::BTreeMap;

use super::otlp::{MAX_VALUE_DEPTH, kind_word, status_word};
use super::writer::JsonWriter;
use super::{partial_word, text};
use crate::proto::otlp::{AnyValue, Event, KeyValue, Link, ResourceSpans, ScopeSpans, Span, Value};
use crate::proto::tempopb::{SearchTagValuesV2Response, TraceByIdResponse};

const SERVICE_NAME: &str = "service.name";

/// The answer of `/api/v2/traces/{id}` for language models. `trace` is `{}` when nothing was found.
pub fn trace_by_id_llm(response: &TraceByIdResponse) -> String {
    let batches = response.trace.as_ref().map_or(&[] as &[_], |trace| &trace.resource_spans);
    text(|w| {
        w.object(|w| {
            w.key("trace");
            trace(w, batches);
            if let Some(metrics) = &response.metrics {
                w.key("metrics");
                let costs = [metrics.inspected_bytes, metrics.backend_reads, metrics.backend_bytes];
                counters(w, costs, &metrics.additional_metrics);
            }
            w.key("status");
            w.enum_value(response.status, partial_word(response.status));
            w.string_member("message", &response.message);
        });
    })
}

/// The answer of `/api/v2/search/tag/{tag}/values` for language models: the values by type.
pub fn tag_values_llm(response: &SearchTagValuesV2Response) -> String {
    let mut by_type: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for value in &response.tag_values {
        by_type.entry(&value.r#type).or_default().push(&value.value);
    }
    text(|w| {
        w.object(|w| {
            w.key("tagValues");
            w.object(|w| {
                for (name, values) in &by_type {
                    w.full_list_member(name, values, |w, value| w.string(value));
                }
            });
            if let Some(metrics) = &response.metrics {
                w.key("metrics");
                let costs = [metrics.inspected_bytes, metrics.backend_reads, metrics.backend_bytes];
                counters(w, costs, &metrics.additional_metrics);
            }
        });
    })
}

fn counters(w: &mut JsonWriter, costs: [u64; 3], additional: &BTreeMap<String, i64>) {
    w.object(|w| {
        for (name, cost) in ["inspectedBytes", "backendReads", "backendBytes"].into_iter().zip(costs) {
            w.number_member(name, cost);
        }
        if !additional.is_empty() {
            w.key("additionalMetrics");
            w.object(|w| {
                for (name, count) in additional {
                    w.key(name);
                    w.number(*count);
                }
            });
        }
    });
}

fn trace(w: &mut JsonWriter, batches: &[ResourceSpans]) {
    let first_span = batches.iter().flat_map(|batch| &batch.scope_spans).flat_map(|scope| &scope.spans).next();
    w.object(|w| {
        if let Some(span) = first_span {
            w.key("traceId");
            w.hex(&span.trace_id);
            w.full_list_member("services", batches, service);
        }
    });
}

/// One entry per group of spans, also if groups share a service: their resources may differ.
fn service(w: &mut JsonWriter, batch: &ResourceSpans) {
    let attributes = batch.resource.as_ref().map_or(&[] as &[_], |resource| &resource.attributes);
    let name = attributes.iter().rfind(|attribute| attribute.key == SERVICE_NAME);
    let name = name.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    w.object(|w| {
        w.key("serviceName");
        match name {
            Some(Value::StringValue(name)) => w.string(name),
            _ => w.string(""),
        }
        attributes_member(w, "resource", attributes.iter().filter(|attribute| attribute.key != SERVICE_NAME));
        w.full_list_member("scopes", &batch.scope_spans, scope);
    });
}

fn scope(w: &mut JsonWriter, group: &ScopeSpans) {
    w.object(|w| {
        if let Some(scope) = &group.scope {
            w.string_member("name", &scope.name);
            w.string_member("version", &scope.version);
        }
        w.full_list_member("spans", &group.spans, span);
    });
}

fn span(w: &mut JsonWriter, span: &Span) {
    w.object(|w| {
        w.key("spanId");
        w.hex(&span.span_id);
        w.key("name");
        w.string(&span.name);
        if !span.parent_span_id.is_empty() {
            w.key("parentSpanId");
            w.hex(&span.parent_span_id);
        }
        w.key("kind");
        w.enum_value(span.kind, kind_word(span.kind));
        w.key("startTimeUnixNano");
        w.quoted(span.start_time_unix_nano);
        w.key("endTimeUnixNano");
        w.quoted(span.end_time_unix_nano);
        w.key("durationMs");
        w.float(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) as f64 / 1e6);
        attributes_member(w, "attributes", span.attributes.iter());
        w.list_member("events", &span.events, event);
        w.list_member("links", &span.links, link);
        w.key("status");
        status(w, span);
    });
}

fn status(w: &mut JsonWriter, span: &Span) {
    let (code, message) = span.status.as_ref().map_or((0, ""), |status| (status.code, &status.message));
    w.object(|w| {
        w.key("code");
        w.enum_value(code, status_word(code));
        w.key("message");
        w.string(message);
    });
}

fn event(w: &mut JsonWriter, event: &Event) {
    w.object(|w| {
        w.key("name");
        w.string(&event.name);
        w.key("timeUnixNano");
        w.quoted(event.time_unix_nano);
        attributes_member(w, "attributes", event.attributes.iter());
    });
}

fn link(w: &mut JsonWriter, link: &Link) {
    w.object(|w| {
        w.key("traceId");
        w.hex(&link.trace_id);
        w.key("spanId");
        w.hex(&link.span_id);
        attributes_member(w, "attributes", link.attributes.iter());
    });
}

/// Attributes as an object, left out when there are none.
fn attributes_member<'a>(w: &mut JsonWriter, name: &str, attributes: impl Iterator<Item = &'a KeyValue>) {
    let mut attributes = attributes.peekable();
    if attributes.peek().is_some() {
        w.key(name);
        plain_object(w, attributes, 0);
    }
}

/// Names in order; of several attributes with one name the last one counts, since an object has room for one.
fn plain_object<'a>(w: &mut JsonWriter, attributes: impl Iterator<Item = &'a KeyValue>, depth: usize) {
    let by_name: BTreeMap<&str, Option<&AnyValue>> = attributes.map(|a| (a.key.as_str(), a.value.as_ref())).collect();
    w.object(|w| {
        for (name, value) in by_name {
            w.key(name);
            plain_value(w, value, depth);
        }
    });
}

/// A value as plain JSON; `null` if it has no content or lies too deep.
fn plain_value(w: &mut JsonWriter, value: Option<&AnyValue>, depth: usize) {
    match value.and_then(|value| value.value.as_ref()).filter(|_| depth <= MAX_VALUE_DEPTH) {
        None => w.null(),
        Some(Value::StringValue(text)) => w.string(text),
        Some(Value::BoolValue(bool)) => w.bool(*bool),
        Some(Value::IntValue(int)) => w.number(*int),
        Some(Value::DoubleValue(float)) => w.float(*float),
        Some(Value::ArrayValue(array)) => w.array(|w| array.values.iter().for_each(|value| plain_value(w, Some(value), depth + 1))),
        Some(Value::KvlistValue(list)) => plain_object(w, list.values.iter(), depth + 1),
        Some(Value::BytesValue(bytes)) => w.base64(bytes),
        Some(Value::StringValueStrindex(index)) => w.number(*index),
    }
}
