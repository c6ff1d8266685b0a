//! The spans of a trace by their paths.

use crate::proto::otlp::{KeyValue, ResourceSpans, Span};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A span in its place.
pub(super) struct Node<'t> {
    pub(super) span: &'t Span,
    pub(super) service: &'t str,
    pub(super) resource: &'t [KeyValue],
    /// The path of its parent; empty for a root.
    pub(super) parent: String,
    /// Its position among the children of its parent.
    pub(super) index: usize,
}

impl Node<'_> {
    /// Nanoseconds; a span does not end before it starts.
    pub(super) fn duration(&self) -> u64 {
        self.span.end_time_unix_nano.saturating_sub(self.span.start_time_unix_nano)
    }

    /// Whether its status is an error.
    pub(super) fn has_failed(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code == 2)
    }
}

/// A trace. A span's path is that of its parent, a slash, then `service:name`, and from the second sibling with the same service, name
/// and kind on its number in brackets. Siblings are in the order of their start.
pub(super) struct Tree<'t> {
    /// By path.
    pub(super) nodes: BTreeMap<String, Node<'t>>,
    /// Path of the first root.
    pub(super) root: String,
}

/// A span with its resource.
type Placed<'t> = (&'t Span, &'t ResourceSpans);

impl<'t> Tree<'t> {
    /// Of a whole trace.
    pub(super) fn of(batches: &'t [ResourceSpans]) -> Self {
        let mut all: Vec<Placed<'t>> = Vec::new();
        for batch in batches {
            all.extend(batch.scope_spans.iter().flat_map(|scope| &scope.spans).map(|span| (span, batch)));
        }
        all.sort_by(|(a, _), (b, _)| (a.start_time_unix_nano, &a.span_id).cmp(&(b.start_time_unix_nano, &b.span_id)));
        let ids: HashSet<&[u8]> = all.iter().map(|(span, _)| &*span.span_id).collect();
        let mut children: HashMap<&[u8], Vec<Placed<'t>>> = HashMap::new();
        let mut roots = Vec::new();
        for placed in &all {
            let parent: &[u8] = &placed.0.parent_span_id;
            if ids.contains(parent) && parent != placed.0.span_id {
                children.entry(parent).or_default().push(*placed);
            } else {
                roots.push(*placed);
            }
        }
        let mut tree = Tree { nodes: BTreeMap::new(), root: String::new() };
        let mut seen: HashSet<*const Span> = HashSet::new();
        tree.add("", &roots, &children, &mut seen);
        // What hangs together in a circle has no root; it begins where it started first.
        for placed in &all {
            if !seen.contains(&std::ptr::from_ref(placed.0)) {
                tree.add("", &[*placed], &children, &mut seen);
            }
        }
        tree
    }

    fn add(&mut self, parent: &str, siblings: &[Placed<'t>], children: &HashMap<&[u8], Vec<Placed<'t>>>, seen: &mut HashSet<*const Span>) {
        let mut waiting: Vec<(String, Vec<Placed<'t>>)> = vec![(parent.to_string(), siblings.to_vec())];
        while let Some((parent, siblings)) = waiting.pop() {
            for (index, (span, batch)) in siblings.into_iter().enumerate() {
                if !seen.insert(std::ptr::from_ref(span)) {
                    continue;
                }
                let service = crate::api::compat::service_name(batch);
                let path = self.free_path(&parent, service, span);
                if self.root.is_empty() {
                    self.root.clone_from(&path);
                }
                waiting.push((path.clone(), children.get(&*span.span_id).cloned().unwrap_or_default()));
                let resource = batch.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
                self.nodes.insert(path, Node { span, service, resource, parent: parent.clone(), index });
            }
        }
    }

    fn free_path(&self, parent: &str, service: &str, span: &Span) -> String {
        let kind = super::patch::kind(span);
        let path = format!("{parent}/{service}:{}:{kind}", span.name);
        let numbered = (2..).map(|number| format!("{path}[{number}]"));
        std::iter::once(path.clone()).chain(numbered).find(|path| !self.nodes.contains_key(path)).unwrap_or(path)
    }

    /// From the first start to the last end, nanoseconds.
    pub(super) fn duration(&self) -> u64 {
        let start = self.nodes.values().map(|node| node.span.start_time_unix_nano).min().unwrap_or_default();
        let end = self.nodes.values().map(|node| node.span.end_time_unix_nano).max().unwrap_or_default();
        end.saturating_sub(start)
    }

    /// The trace's id as hex digits.
    pub(super) fn id(&self) -> String {
        self.nodes.values().next().map(|node| crate::api::compat::hex(&node.span.trace_id)).unwrap_or_default()
    }
}
