//! From columns back to OTLP messages.

use super::attributes::AttributeTable;
use super::chunk::Chunk;
use super::value::ValueRef;
use crate::model::TraceId;
use crate::proto::otlp::{AnyValue, Event, InstrumentationScope, KeyValue, Link, Resource, ResourceSpans, ScopeSpans, Span, Status, Value};
use prost::Message;

/// Values by key, in order of first appearance.
type Groups<T> = Vec<(u32, T)>;

/// The spans of `rows`, grouped by resource and scope in order of first appearance.
///
/// Bytes that were checked when they were stored are decoded again here; should that fail, the part reads as empty.
pub fn export(chunk: &Chunk, rows: impl Iterator<Item = u32>) -> Vec<ResourceSpans> {
    let mut groups: Groups<Groups<Vec<Span>>> = Vec::new();
    for row in rows {
        let (resource, scope) = (chunk.resource[row as usize], chunk.scope[row as usize]);
        let scopes = entry(&mut groups, resource);
        entry(scopes, scope).push(span(chunk, row));
    }
    groups.into_iter().map(|(resource, scopes)| resource_spans(chunk, resource, scopes)).collect()
}

fn entry<T: Default>(groups: &mut Groups<T>, key: u32) -> &mut T {
    let at = groups.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
        groups.push((key, T::default()));
        groups.len() - 1
    });
    &mut groups[at].1
}

fn resource_spans(chunk: &Chunk, resource: u32, scopes: Groups<Vec<Span>>) -> ResourceSpans {
    let (message, schema_url) = chunk.resources.message(resource);
    ResourceSpans {
        resource: Some(Resource::decode(message).unwrap_or_default()),
        scope_spans: scopes.into_iter().map(|(scope, spans)| scope_spans(chunk, scope, spans)).collect(),
        schema_url: text(schema_url),
    }
}

fn scope_spans(chunk: &Chunk, scope: u32, spans: Vec<Span>) -> ScopeSpans {
    let (message, schema_url) = chunk.scopes.message(scope);
    ScopeSpans { scope: Some(InstrumentationScope::decode(message).unwrap_or_default()), spans, schema_url: text(schema_url) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn span(chunk: &Chunk, row: u32) -> Span {
    let at = row as usize;
    Span {
        trace_id: chunk.traces.summaries()[chunk.trace[at] as usize].id.0.to_vec(),
        span_id: chunk.span_id[at].to_be_bytes().to_vec(),
        trace_state: chunk.trace_state.get(row).map(text).unwrap_or_default(),
        parent_span_id: id_bytes(chunk.parent_id[at]),
        flags: chunk.flags.get(row).unwrap_or(0),
        name: text(chunk.names.get(chunk.name[at])),
        kind: chunk.kind[at],
        start_time_unix_nano: chunk.start[at],
        end_time_unix_nano: chunk.end(row),
        attributes: attributes(&chunk.attributes, row),
        dropped_attributes_count: chunk.dropped_attributes.get(row).unwrap_or(0),
        events: chunk.events.rows_of(row).map(|event_row| event(chunk, event_row)).collect(),
        dropped_events_count: chunk.dropped_events.get(row).unwrap_or(0),
        links: chunk.links.rows_of(row).map(|link_row| link(chunk, link_row)).collect(),
        dropped_links_count: chunk.dropped_links.get(row).unwrap_or(0),
        status: Some(Status { message: chunk.status_message.get(row).map(text).unwrap_or_default(), code: chunk.status[at] }),
    }
}

fn event(chunk: &Chunk, row: u32) -> Event {
    let events = &chunk.events;
    Event {
        time_unix_nano: events.time[row as usize],
        name: text(events.names.get(events.name[row as usize])),
        attributes: attributes(&events.attributes, row),
        dropped_attributes_count: events.dropped_attributes.get(row).unwrap_or(0),
    }
}

fn link(chunk: &Chunk, row: u32) -> Link {
    let links = &chunk.links;
    let trace_id = links.trace_id[row as usize];
    Link {
        trace_id: if trace_id == TraceId::default() { Vec::new() } else { trace_id.0.to_vec() },
        span_id: id_bytes(links.span_id[row as usize]),
        trace_state: links.trace_state.get(row).map(text).unwrap_or_default(),
        attributes: attributes(&links.attributes, row),
        dropped_attributes_count: links.dropped_attributes.get(row).unwrap_or(0),
        flags: links.flags.get(row).unwrap_or(0),
    }
}

fn id_bytes(id: u64) -> Vec<u8> {
    if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() }
}

fn attributes(table: &AttributeTable, row: u32) -> Vec<KeyValue> {
    let mut residual = table.residual_of(row);
    table
        .order_of(row)
        .filter_map(|element| match element {
            Some(ordinal) => {
                let column = &table.columns()[ordinal];
                column.get(row).map(|value| key_value(column.key(), value))
            }
            None => residual.next().map(|message| KeyValue::decode(message).unwrap_or_default()),
        })
        .collect()
}

fn key_value(key: &str, value: ValueRef<'_>) -> KeyValue {
    KeyValue { key: key.to_string(), value: Some(any_value(value)), ..KeyValue::default() }
}

/// The `AnyValue` message of a value.
pub fn any_value(value: ValueRef<'_>) -> AnyValue {
    let value = match value {
        ValueRef::Str(bytes) => Value::StringValue(text(bytes)),
        ValueRef::Int(int) => Value::IntValue(int),
        ValueRef::Double(double) => Value::DoubleValue(double),
        ValueRef::Bool(bit) => Value::BoolValue(bit),
        ValueRef::Any(message) => return AnyValue::decode(message).unwrap_or_default(),
    };
    AnyValue { value: Some(value) }
}
