//! What the differences between two traces come to.

use super::tree::Tree;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NANOS_PER_MILLI: f64 = 1e6;

/// What a service contributes.
#[derive(Default)]
struct Service {
    /// Of all its spans: compare minus base, nanoseconds.
    duration: i128,
    modified: u64,
    added: u64,
    removed: u64,
    new_errors: u64,
    resolved_errors: u64,
}

impl Service {
    fn has_changed(&self) -> bool {
        self.modified + self.added + self.removed + self.new_errors + self.resolved_errors > 0
    }
}

/// The summary of two traces and the patch between them.
pub(super) fn summary(base: &Tree<'_>, compare: &Tree<'_>, patch: &Value) -> Value {
    let services = services(base, compare, patch);
    let stats = &patch["stats"];
    let matched = stats["matchedSpans"].as_u64().unwrap_or_default();
    let (durations, sums, errors) = ([base, compare].map(Tree::duration), [base, compare].map(sum), [base, compare].map(num_errors));
    let num_all = base.nodes.len().max(compare.nodes.len()).max(1);
    let num_union = (base.nodes.len() + compare.nodes.len()).saturating_sub(matched as usize).max(1);
    let structure = if matched as usize == num_union { "unchanged" } else { "changed" };
    json!({
        "version": "trace-summary-v0-native",
        "base": about(base, durations[0], sums[0], errors[0]),
        "compare": about(compare, durations[1], sums[1], errors[1]),
        "signals": {
            "traceLatency": word(durations[0] as i128, durations[1] as i128),
            "sumSpanDuration": word(sums[0], sums[1]),
            "errors": word(errors[0] as i128, errors[1] as i128),
            "spanCount": word(base.nodes.len() as i128, compare.nodes.len() as i128),
            "structure": structure,
        },
        "trust": {"matchedSpanRatio": matched as f64 / num_all as f64, "structureOverlap": matched as f64 / num_union as f64},
        "stats": {
            "traceLatencyDeltaMs": millis(durations[1] as i128 - durations[0] as i128),
            "sumSpanDurationDeltaMs": millis(sums[1] - sums[0]),
            "spanCountDelta": compare.nodes.len() as i64 - base.nodes.len() as i64,
            "errorSpanDelta": errors[1] as i64 - errors[0] as i64,
            "matchedSpans": matched,
            "modifiedSpans": stats["modifiedSpans"],
            "addedSpans": stats["addedSpans"],
            "removedSpans": stats["removedSpans"],
            "fieldChanges": stats["fieldChanges"],
            "attributeChanges": stats["attributeChanges"],
        },
        "warnings": [],
        "changedServices": services.iter().filter(|(_, service)| service.has_changed()).map(|(name, _)| *name).collect::<Vec<_>>(),
        "services": services.iter().map(|(name, service)| json!({
            "name": name,
            "sumSpanDurationDeltaMs": millis(service.duration),
            "modified": service.modified,
            "added": service.added,
            "removed": service.removed,
            "newErrors": service.new_errors,
            "resolvedErrors": service.resolved_errors,
        })).collect::<Vec<_>>(),
    })
}

fn about(tree: &Tree<'_>, duration: u64, sum: i128, num_errors: usize) -> Value {
    let root = tree.nodes.get(&tree.root);
    json!({
        "traceId": tree.id(),
        "rootService": root.map_or("", |root| root.service),
        "rootName": root.map_or("", |root| root.span.name.as_str()),
        "spanCount": tree.nodes.len(),
        "errorSpanCount": num_errors,
        "durationMs": millis(i128::from(duration)),
        "sumSpanDurationMs": millis(sum),
    })
}

fn sum(tree: &Tree<'_>) -> i128 {
    tree.nodes.values().map(|node| i128::from(node.duration())).sum()
}

fn num_errors(tree: &Tree<'_>) -> usize {
    tree.nodes.values().filter(|node| node.has_failed()).count()
}

fn millis(nanos: i128) -> f64 {
    nanos as f64 / NANOS_PER_MILLI
}

fn word(before: i128, after: i128) -> &'static str {
    match after.cmp(&before) {
        std::cmp::Ordering::Less => "decreased",
        std::cmp::Ordering::Equal => "unchanged",
        std::cmp::Ordering::Greater => "increased",
    }
}

fn services<'t>(base: &'t Tree<'_>, compare: &'t Tree<'_>, patch: &'t Value) -> BTreeMap<&'t str, Service> {
    let mut services: BTreeMap<&str, Service> = BTreeMap::new();
    for (path, node) in &base.nodes {
        let service = services.entry(node.service).or_default();
        service.duration -= i128::from(node.duration());
        service.removed += u64::from(!compare.nodes.contains_key(path));
        let still_fails = compare.nodes.get(path).is_some_and(|node| node.has_failed());
        service.resolved_errors += u64::from(node.has_failed() && !still_fails);
    }
    for (path, node) in &compare.nodes {
        let service = services.entry(node.service).or_default();
        service.duration += i128::from(node.duration());
        service.added += u64::from(!base.nodes.contains_key(path));
        let has_failed_before = base.nodes.get(path).is_some_and(|node| node.has_failed());
        service.new_errors += u64::from(node.has_failed() && !has_failed_before);
    }
    for modified in patch["modified"].as_array().into_iter().flatten() {
        services.entry(modified["span"]["service"].as_str().unwrap_or_default()).or_default().modified += 1;
    }
    services
}
