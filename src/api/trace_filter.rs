//! The filter of traces by id, version 2: matching spans, and as much of the tree around them as is asked for
//! (spec/query-api.md §3.3).

use super::ApiError;
use super::params::Params;
use super::times::signed;
use crate::frontend::matching_spans;
use crate::model::trace::{retain_spans, spans};
use crate::proto::otlp::ResourceSpans;
use crate::traceql;
use crate::traceql::ast::{Body, FieldExpr, Query, SpansetExpr, Stage, Static};
use std::collections::{HashMap, HashSet};

/// What an answer says whose filter has dropped spans.
pub(super) const FILTERED: &str = "Trace filtered, only a subset of spans matching the filter is returned";

/// Which spans of a trace are asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TraceFilter {
    filter: FieldExpr,
    /// Levels of descendants that stay below a match; `None` for all.
    match_depth: Option<usize>,
    /// Levels of ancestors that stay above a match; `None` for all.
    ancestor_depth: Option<usize>,
}

impl TraceFilter {
    /// Of a URL; `None` if all spans are asked for.
    pub(super) fn of_params(params: &Params) -> Result<Option<Self>, ApiError> {
        let Some(text) = params.get("q").filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let keep_hierarchy = params.read("keep_hierarchy", boolean)?.unwrap_or(false);
        let match_depth = depth(params, "match_depth", 0)?;
        let ancestor_depth = if keep_hierarchy { depth(params, "ancestor_depth", -1)? } else { Some(0) };
        let filter = only_filter(text)?;
        let keeps_all = filter == FieldExpr::Static(Static::Bool(true));
        Ok((!keeps_all).then_some(TraceFilter { filter, match_depth, ancestor_depth }))
    }

    /// Drops the other spans; true if there were any. Computes.
    pub(super) fn apply(&self, trace: &mut Vec<ResourceSpans>) -> Result<bool, ApiError> {
        let matching = matching_spans(trace, &self.filter)?;
        let tree = Tree::of(trace);
        let mut kept: HashSet<Vec<u8>> = HashSet::new();
        for span in spans(trace).filter(|span| matching.contains(span)) {
            tree.add_ancestors(&span.span_id, self.ancestor_depth, &mut kept);
        }
        let matched: Vec<Vec<u8>> = spans(trace).filter(|span| matching.contains(span)).map(|span| span.span_id.clone()).collect();
        if self.match_depth != Some(0) {
            tree.add_descendants(&matched, self.match_depth, &mut kept);
        }
        let num_before = spans(trace).count();
        // Two spans may share an id; what is kept for the sake of the tree is kept by id.
        retain_spans(trace, |span| matching.contains(span) || kept.contains(&span.span_id));
        Ok(spans(trace).count() < num_before)
    }
}

/// Parents and children of a trace by span id.
#[derive(Default)]
struct Tree {
    parents: HashMap<Vec<u8>, Vec<u8>>,
    children: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Tree {
    fn of(trace: &[ResourceSpans]) -> Self {
        let mut tree = Tree::default();
        for span in spans(trace).filter(|span| !span.parent_span_id.is_empty() && span.parent_span_id != span.span_id) {
            tree.parents.insert(span.span_id.clone(), span.parent_span_id.clone());
            tree.children.entry(span.parent_span_id.clone()).or_default().push(span.span_id.clone());
        }
        tree
    }

    /// A cycle of parents ends at its first repetition.
    fn add_ancestors(&self, id: &[u8], levels: Option<usize>, kept: &mut HashSet<Vec<u8>>) {
        let (mut at, mut left) = (id, levels.unwrap_or(usize::MAX));
        let mut passed = HashSet::from([id]);
        while left > 0
            && let Some(parent) = self.parents.get(at)
            && passed.insert(parent)
        {
            kept.insert(parent.clone());
            (at, left) = (parent, left - 1);
        }
    }

    fn add_descendants(&self, from: &[Vec<u8>], levels: Option<usize>, kept: &mut HashSet<Vec<u8>>) {
        let (mut level, mut left) = (from.to_vec(), levels.unwrap_or(usize::MAX));
        let mut passed: HashSet<Vec<u8>> = HashSet::new();
        while left > 0 && !level.is_empty() {
            let children = level.iter().filter_map(|id| self.children.get(id)).flatten();
            level = children.filter(|id| passed.insert((*id).clone())).cloned().collect();
            kept.extend(level.iter().cloned());
            left -= 1;
        }
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// Levels; -1 is all of them.
fn depth(params: &Params, name: &str, default: i64) -> Result<Option<usize>, ApiError> {
    match params.read(name, signed)?.unwrap_or(default) {
        -1 => Ok(None),
        levels => match usize::try_from(levels) {
            Ok(levels) => Ok(Some(levels)),
            Err(_) => Err(ApiError::invalid(format!("invalid value for {name}: must be >= -1"))),
        },
    }
}

/// The one filter that a query consists of.
fn only_filter(text: &str) -> Result<FieldExpr, ApiError> {
    let invalid = |reason: &dyn std::fmt::Display| ApiError::invalid(format!("invalid TraceQL filter: {reason}"));
    let Query { body, .. } = traceql::compile(text).map_err(|error| invalid(&error))?;
    if let Body::Pipeline(pipeline) = body
        && let [Stage::Spansets(SpansetExpr::Filter(filter))] = pipeline.stages.as_slice()
    {
        return Ok(filter.clone());
    }
    Err(invalid(&"only a single spanset filter is supported"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{ScopeSpans, Span};

    /// 1 has 2 and 3, 2 has 4, 4 has 5; 8 and 9 are each other's parents.
    const TREE: [(u64, u64); 7] = [(1, 0), (2, 1), (3, 1), (4, 2), (5, 4), (8, 9), (9, 8)];

    fn trace() -> Vec<ResourceSpans> {
        let id = |number: u64| if number == 0 { Vec::new() } else { number.to_be_bytes().to_vec() };
        let span = |(number, parent): (u64, u64)| Span {
            trace_id: vec![1; 16],
            span_id: id(number),
            parent_span_id: id(parent),
            name: number.to_string(),
            start_time_unix_nano: 1,
            end_time_unix_nano: 2,
            ..Span::default()
        };
        let scope = ScopeSpans { spans: TREE.into_iter().map(span).collect(), ..Default::default() };
        vec![ResourceSpans { scope_spans: vec![scope], ..Default::default() }]
    }

    fn names(query: &str) -> Result<String, String> {
        let params = Params::of(&format!("/x?{query}").parse().expect("a URI"));
        let mut trace = trace();
        let filter = TraceFilter::of_params(&params).map_err(|error| error.to_string())?;
        let dropped = filter.map(|filter| filter.apply(&mut trace).expect("evaluated")).unwrap_or_default();
        let names: String = spans(&trace).map(|span| span.name.as_str()).collect();
        assert_eq!(dropped, names.len() < TREE.len(), "{query}");
        Ok(names)
    }

    #[test]
    fn as_much_of_the_tree_as_is_asked_for() {
        let of_4 = "q=%7Bname=%224%22%7D";
        for (query, kept) in [
            ("", "1234589"),
            ("q=%20", "1234589"),
            ("q={}", "1234589"),
            (of_4, "4"),
            (&format!("{of_4}&match_depth=1"), "45"),
            (&format!("{of_4}&match_depth=-1"), "45"),
            (&format!("{of_4}&ancestor_depth=1"), "4"),
            (&format!("{of_4}&keep_hierarchy=true"), "124"),
            (&format!("{of_4}&keep_hierarchy=1&ancestor_depth=1"), "24"),
            (&format!("{of_4}&keep_hierarchy=1&ancestor_depth=0&match_depth=9"), "45"),
            ("q=%7Bname=%221%22%7D&match_depth=1", "123"),
            ("q=%7Bname=%228%22%7D&match_depth=-1&keep_hierarchy=true", "89"),
            ("q=%7Bname=%22x%22%7D&keep_hierarchy=true", ""),
        ] {
            assert_eq!(names(query).as_deref(), Ok(kept), "{query}");
        }
    }

    #[test]
    fn errors() {
        for (query, error) in [
            ("q={}%26%26{}", "invalid TraceQL filter: only a single spanset filter is supported"),
            ("q={}&match_depth=-2", "invalid value for match_depth: must be >= -1"),
            ("q={}&keep_hierarchy=true&ancestor_depth=-2", "invalid value for ancestor_depth: must be >= -1"),
            ("q={}&keep_hierarchy=x", "invalid keep_hierarchy: strconv.ParseBool: parsing \"x\": invalid syntax"),
        ] {
            assert_eq!(names(query), Err(error.to_string()), "{query}");
        }
        assert!(names("q={").is_err_and(|error| error.starts_with("invalid TraceQL filter: parse error at")));
        assert!(names("match_depth=-2&ancestor_depth=x").is_ok(), "not read without a filter");
        assert!(names("q={}&ancestor_depth=-9").is_ok(), "not read without the hierarchy");
    }
}
