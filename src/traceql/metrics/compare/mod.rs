//! `compare`: how often each value of each attribute occurs in a selection of spans, and in the others (spec/traceql.md §11.7).
//!
//! First it is found out which rows of each source are compared, and what for ([`ComparedRows`]); then one subject after the other is
//! counted over all sources, so that only the values of one attribute are in memory at a time. Attributes of resources and scopes are
//! counted once per resource and scope of a source.

mod occurrences;
mod tally;

pub use occurrences::Counted;

use super::buckets::Buckets;
use super::function::{Function, Kind};
use super::keys::Spans;
use super::selected::Selected;
use super::series::Series;
use crate::columns::view::{ColumnId, SourceError, Values};
use crate::traceql::ast::{Attribute, Compare, Intrinsic, Scope};
use crate::traceql::eval::{Bitmap, EvalError, Filter, OnFailure, each_position};
use std::collections::BTreeSet;
use tally::Tally;

/// The intrinsics that are compared.
const INTRINSICS: [Intrinsic; 9] = [
    Intrinsic::ChildCount,
    Intrinsic::RootName,
    Intrinsic::RootServiceName,
    Intrinsic::Name,
    Intrinsic::Status,
    Intrinsic::StatusMessage,
    Intrinsic::Kind,
    Intrinsic::InstrumentationName,
    Intrinsic::InstrumentationVersion,
];

/// A side of the comparison with the values of its `__meta_type`.
const SIDES: [(&str, &str); 2] = [("baseline", "baseline_total"), ("selection", "selection_total")];

/// A `compare(…)`, compiled.
#[derive(Clone, Debug)]
pub struct Comparison {
    filter: Filter,
    window: Option<(u64, u64)>,
    top_n: usize,
}

/// A side and a bucket: `side * num_buckets + bucket`.
type Slot = u32;

/// Rows of a source that are compared.
pub struct ComparedRows {
    /// Ascending.
    rows: Vec<u32>,
    /// Side and bucket of each.
    slots: Vec<Slot>,
    /// Keys of the attributes that they have, perhaps of others besides.
    keys: BTreeSet<String>,
}

/// What is counted at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An intrinsic.
    Intrinsic(usize),
    /// All attributes of resources.
    Resources,
    /// All attributes of instrumentation scopes.
    Scopes,
    /// An attribute of spans.
    Span(String),
}

impl ComparedRows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What is counted on these rows.
    pub fn subjects(&self) -> impl Iterator<Item = Subject> + '_ {
        let of_all = (0..INTRINSICS.len()).map(Subject::Intrinsic).chain([Subject::Resources, Subject::Scopes]);
        of_all.chain(self.keys.iter().cloned().map(Subject::Span))
    }
}

impl Function {
    /// The comparison, if it is one.
    pub fn comparison(&self) -> Option<&Comparison> {
        if let Kind::Compare(comparison) = &self.kind { Some(comparison) } else { None }
    }

    /// The rows of a source that are compared; `None` if it compares nothing.
    pub fn compared_rows(&self, spans: Spans<'_>, kept: &Bitmap) -> Result<Option<ComparedRows>, EvalError> {
        let Some(comparison) = self.comparison() else { return Ok(None) };
        let selected = Selected::of(spans, kept, &self.buckets, false)?;
        comparison.rows(spans, &selected, self.buckets.len()).map(Some)
    }
}

impl Comparison {
    /// Compiles a comparison that validation has accepted; fails as [`Filter::compile`] does.
    pub fn compile(compare: &Compare) -> Result<Self, EvalError> {
        let nanos = |at: i64| u64::try_from(at).unwrap_or(0);
        Ok(Comparison {
            filter: Filter::compile(&compare.selection)?.with(OnFailure::SkipSpan),
            window: compare.window.map(|window| (nanos(window.start_unix_nanos), nanos(window.end_unix_nanos))),
            top_n: usize::try_from(compare.top_n).unwrap_or(1),
        })
    }

    /// Adds what was counted elsewhere; both together may take `max_bytes`.
    pub fn merge(&self, counted: &mut Counted, other: Counted, max_bytes: usize) {
        counted.merge(other, max_bytes, self.top_n);
    }

    /// Counts all subjects on rows of a source.
    pub(super) fn observe(
        &self,
        spans: Spans<'_>,
        selected: &Selected,
        num_buckets: usize,
        counted: &mut Counted,
    ) -> Result<(), EvalError> {
        let rows = self.rows(spans, selected, num_buckets)?;
        rows.subjects().try_for_each(|subject| self.count(&subject, spans, &rows, num_buckets, counted))
    }

    /// Counts one subject on rows of a source.
    pub fn count(
        &self,
        subject: &Subject,
        spans: Spans<'_>,
        rows: &ComparedRows,
        num_buckets: usize,
        counted: &mut Counted,
    ) -> Result<(), EvalError> {
        if rows.is_empty() {
            return Ok(());
        }
        let tally = Tally { rows, num_slots: 2 * num_buckets, top_n: self.top_n };
        match subject {
            Subject::Intrinsic(at) => match tally.attribute(spans, &Attribute::Intrinsic(INTRINSICS[*at]), counted) {
                Err(EvalError::Unsupported(_)) => Ok(()),
                result => result,
            },
            Subject::Resources => tally.origins(spans, ColumnId::Resource, Scope::Resource, spans.source.resources(), counted),
            Subject::Scopes => tally.origins(spans, ColumnId::Scope, Scope::Instrumentation, spans.source.scopes(), counted),
            Subject::Span(key) if !rows.keys.contains(key) => Ok(()),
            Subject::Span(key) => tally.attribute(spans, &Attribute::Scoped { scope: Scope::Span, key: key.clone() }, counted),
        }
    }

    /// Of what is complete, forgets all that the answer will not show.
    pub fn keep_frequent(&self, counted: &mut Counted, num_buckets: usize) {
        counted.keep_frequent(self.top_n, num_buckets);
    }

    fn rows(&self, spans: Spans<'_>, selected: &Selected, num_buckets: usize) -> Result<ComparedRows, EvalError> {
        if selected.is_empty() {
            return Ok(ComparedRows { rows: Vec::new(), slots: Vec::new(), keys: BTreeSet::new() });
        }
        let chosen = self.filter.select(spans.source, spans.traces)?;
        let slots = self.slots(spans, selected, &chosen, num_buckets)?;
        let rows = selected.rows().to_vec();
        let keys = spans.source.attribute_keys_of(&rows)?.into_iter().collect();
        Ok(ComparedRows { rows, slots, keys })
    }

    fn slots(&self, spans: Spans<'_>, selected: &Selected, chosen: &Bitmap, num_buckets: usize) -> Result<Vec<Slot>, EvalError> {
        let side = num_buckets as u32;
        let rows = selected.rows();
        let mut is_chosen: Vec<bool> = rows.iter().map(|row| chosen.contains(*row)).collect();
        if let Some((start, end)) = self.window {
            let column = spans.source.column_of(ColumnId::Start, rows)?;
            let missing = || EvalError::from(SourceError("the column of span starts is missing".to_owned()));
            let column = column.ok_or_else(missing)?;
            let Values::U64(starts) = &column.values else { return Err(missing()) };
            each_position(rows, &column, |index, at| is_chosen[index] &= start < starts[at] && starts[at] <= end);
        }
        Ok(is_chosen.into_iter().zip(&selected.buckets).map(|(is_chosen, bucket)| u32::from(is_chosen) * side + bucket).collect())
    }

    /// The series of what was counted: the most frequent values of each attribute and side, and the totals.
    pub fn finish(&self, counted: &Counted, buckets: &Buckets) -> Vec<Series> {
        counted.finish(self.top_n, buckets.len())
    }
}
