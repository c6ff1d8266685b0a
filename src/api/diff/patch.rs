//! Every difference between two traces.

use super::tree::{Node, Tree};
use crate::api::compat::json_of;
use crate::proto::otlp::{KeyValue, Span, SpanKind, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The patch that makes `compare` of `base`.
pub(super) fn patch(base: &Tree<'_>, compare: &Tree<'_>) -> Value {
    let mut modified = Vec::new();
    let mut counts = [0; 3];
    let mut num_matched = 0;
    for (path, before) in &base.nodes {
        let Some(after) = compare.nodes.get(path) else { continue };
        num_matched += 1;
        let changes = changes(before, after, &mut counts);
        if !changes.is_empty() {
            modified.push(json!({"span": about(path, after), "changes": changes}));
        }
    }
    let only_in = |one: &Tree<'_>, other: &Tree<'_>| -> Vec<Value> {
        one.nodes.iter().filter(|(path, _)| !other.nodes.contains_key(*path)).map(|(path, node)| placed(path, node)).collect()
    };
    let (added, removed) = (only_in(compare, base), only_in(base, compare));
    let [field_changes, attribute_changes, event_changes] = counts;
    json!({
        "version": "trace-patch-v0",
        "base": {"traceId": base.id(), "spanCount": base.nodes.len()},
        "compare": {"traceId": compare.id(), "spanCount": compare.nodes.len()},
        "stats": {
            "spanCountA": base.nodes.len(),
            "spanCountB": compare.nodes.len(),
            "matchedSpans": num_matched,
            "modifiedSpans": modified.len(),
            "addedSpans": added.len(),
            "removedSpans": removed.len(),
            "fieldChanges": field_changes,
            "attributeChanges": attribute_changes,
            "eventChanges": event_changes,
            "truncated": false,
        },
        "modified": modified,
        "added": added,
        "removed": removed,
        "warnings": [],
    })
}

/// The kind of a span in one word.
pub(super) fn kind(span: &Span) -> &'static str {
    match span.kind() {
        SpanKind::Unspecified => "unspecified",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// The status of a span in one word.
fn status(span: &Span) -> &'static str {
    match span.status.clone().unwrap_or_default().code() {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    }
}

fn about(path: &str, node: &Node<'_>) -> Value {
    json!({"path": path, "service": node.service, "name": node.span.name, "kind": kind(node.span)})
}

fn placed(path: &str, node: &Node<'_>) -> Value {
    let mut span = about(path, node);
    span["duration_nanos"] = node.duration().into();
    span["status"] = status(node.span).into();
    json!({"target": {"type": "span", "path": path, "parentPath": node.parent, "index": node.index}, "span": span})
}

/// What differs between two spans in one place; counts changes of fields, attributes and events.
fn changes(before: &Node<'_>, after: &Node<'_>, counts: &mut [usize; 3]) -> Vec<Value> {
    let message = |node: &Node<'_>| node.span.status.as_ref().map(|status| status.message.clone()).unwrap_or_default();
    let fields = [
        ("duration_nanos", json!(before.duration()), json!(after.duration())),
        ("status", json!(status(before.span)), json!(status(after.span))),
        ("status_message", json!(message(before)), json!(message(after))),
    ];
    let fields = fields.into_iter().filter(|(_, before, after)| before != after);
    let mut changes: Vec<Value> = fields
        .map(|(name, before, after)| json!({"op": "replace", "target": {"type": "field", "name": name}, "before": before, "after": after}))
        .collect();
    counts[0] += changes.len();
    let mut attributes = attribute_changes("span", &before.span.attributes, &after.span.attributes);
    attributes.extend(attribute_changes("resource", before.resource, after.resource));
    counts[1] += attributes.len();
    changes.extend(attributes);
    let events = event_changes(before.span, after.span);
    counts[2] += events.len();
    changes.extend(events);
    changes
}

fn change(target: Value, before: Option<Value>, after: Option<Value>) -> Value {
    let op = match (&before, &after) {
        (None, _) => "add",
        (_, None) => "remove",
        _ => "replace",
    };
    let mut change = json!({"op": op, "target": target});
    before.into_iter().for_each(|value| change["before"] = value);
    after.into_iter().for_each(|value| change["after"] = value);
    change
}

fn attribute_changes(scope: &str, before: &[KeyValue], after: &[KeyValue]) -> Vec<Value> {
    let values = |attributes: &[KeyValue]| -> BTreeMap<String, Value> {
        attributes.iter().map(|attribute| (attribute.key.clone(), json_of(attribute.value.as_ref()))).collect()
    };
    let (mut before, after) = (values(before), values(after));
    let target = |key: &str| json!({"type": "attribute", "scope": scope, "key": key});
    let mut changes = Vec::new();
    for (key, value) in after {
        let old = before.remove(&key);
        if old.as_ref() != Some(&value) {
            changes.push(change(target(&key), old, Some(value)));
        }
    }
    changes.extend(before.into_iter().map(|(key, old)| change(target(&key), Some(old), None)));
    changes
}

/// Events are told apart by name, and counted.
fn event_changes(before: &Span, after: &Span) -> Vec<Value> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    before.events.iter().for_each(|event| counts.entry(&event.name).or_default().0 += 1);
    after.events.iter().for_each(|event| counts.entry(&event.name).or_default().1 += 1);
    let some = |count: u64| (count > 0).then(|| json!(count));
    let differing = counts.into_iter().filter(|(_, (before, after))| before != after);
    differing.map(|(name, (before, after))| change(json!({"type": "event", "name": name}), some(before), some(after))).collect()
}
