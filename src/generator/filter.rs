//! Which spans count (spec/metrics-generator.md §6).

use super::attributes::{self, SpanValue};
use crate::columns::{Chunk, Value};
use regex::Regex;
use std::sync::Arc;

/// The names of kinds and statuses as policies and labels write them.
const KINDS: [&str; 6] =
    ["SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"];
const STATUSES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/// The name of a kind; a number that OTLP does not know is its own name.
pub(super) fn kind_name(kind: i32) -> String {
    name_of(&KINDS, kind)
}

/// The name of a status code.
pub(super) fn status_name(status: i32) -> String {
    name_of(&STATUSES, status)
}

fn name_of(names: &[&str], number: i32) -> String {
    let name = usize::try_from(number).ok().and_then(|at| names.get(at));
    name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

/// One policy; of its parts those that are there count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterPolicy {
    /// Spans must match this.
    pub include: Option<PolicyMatch>,
    /// Spans that match this count, whatever `include` says.
    pub include_any: Option<PolicyMatch>,
    /// Spans that match this never count.
    pub exclude: Option<PolicyMatch>,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyMatch(pub Vec<Condition>);

/// What one attribute must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Where the value is.
    pub field: Field,
    /// What it must be.
    pub wanted: Wanted,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A resource attribute.
    Resource(String),
    /// A span attribute.
    Span(String),
    /// The kind.
    Kind,
    /// The status code.
    Status,
    /// The name.
    Name,
}

impl Field {
    /// Reads the key of a condition.
    ///
    /// # Errors
    /// A key without `resource.` or `span.` that is no intrinsic.
    pub fn parse(key: &str) -> Result<Self, String> {
        match (key, key.split_once('.')) {
            (_, Some(("resource", attribute))) if !attribute.is_empty() => Ok(Field::Resource(attribute.to_owned())),
            (_, Some(("span", attribute))) if !attribute.is_empty() => Ok(Field::Span(attribute.to_owned())),
            ("kind", _) => Ok(Field::Kind),
            ("status", _) => Ok(Field::Status),
            ("name", _) => Ok(Field::Name),
            _ => Err(format!("{key} is no key of a filter: use resource.<name>, span.<name>, kind, status or name")),
        }
    }
}

/// What a value must be.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Exactly this.
    Exactly(Value),
    /// A text that the expression finds something in.
    Like(Arc<Regex>),
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Wanted::Exactly(one), Wanted::Exactly(other)) => one == other,
            (Wanted::Like(one), Wanted::Like(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

/// Whether a span counts under policies.
pub(super) fn accepts(policies: &[FilterPolicy], chunk: &Chunk, row: u32) -> bool {
    let holds = |wanted: &Option<PolicyMatch>| wanted.as_ref().map(|wanted| wanted.0.iter().all(|one| one.holds(chunk, row)));
    if policies.iter().any(|policy| holds(&policy.exclude) == Some(true)) {
        return false;
    }
    if policies.iter().any(|policy| holds(&policy.include_any) == Some(true)) {
        return true;
    }
    let mut includes = policies.iter().filter_map(|policy| holds(&policy.include)).peekable();
    if includes.peek().is_some() {
        return includes.all(|holds| holds);
    }
    policies.iter().all(|policy| policy.include_any.is_none())
}

impl Condition {
    fn holds(&self, chunk: &Chunk, row: u32) -> bool {
        let at = row as usize;
        match &self.field {
            Field::Resource(key) => {
                let resource = &chunk.resources.entries()[chunk.resource[at] as usize];
                resource.attribute(key).is_some_and(|value| self.wanted.is(value))
            }
            Field::Span(key) => match attributes::of_span(chunk, key, row) {
                Some(SpanValue(value)) => self.wanted.is(&value.to_value()),
                None => false,
            },
            Field::Kind => self.wanted.is_text(&kind_name(chunk.kind[at])),
            Field::Status => self.wanted.is_text(&status_name(chunk.status[at])),
            Field::Name => self.wanted.is_text(chunk.names.text(chunk.name[at])),
        }
    }
}

impl Wanted {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Wanted::Exactly(wanted), value) => wanted == value,
            (Wanted::Like(pattern), Value::Str(text)) => pattern.is_match(text),
            (Wanted::Like(_), _) => false,
        }
    }

    fn is_text(&self, text: &str) -> bool {
        match self {
            Wanted::Exactly(Value::Str(wanted)) => **wanted == *text,
            Wanted::Exactly(_) => false,
            Wanted::Like(pattern) => pattern.is_match(text),
        }
    }
}
