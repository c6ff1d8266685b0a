//! Spans shown beside the samples they contributed to (spec/traceql.md §11.10): spread over time, at most one of a trace.
//!
//! Which spans are taken depends on nothing but the order in which sources are observed.

use super::buckets::Buckets;
use super::groups::{GroupOf, NO_GROUP};
use super::keys::Spans;
use super::selected::{Sampling, Selected};
use super::series::{Exemplar, Label, LabelValue};
use crate::columns::view::{ColumnId, Values};
use crate::model::TraceId;
use crate::traceql::ast::{Attribute, Hint, Intrinsic, Static};
use crate::traceql::eval::EvalError;
use crate::traceql::eval::result::AttributeReader;
use std::collections::HashSet;

/// Most exemplars of a query, and how many there are if it does not say.
pub const MAX_EXEMPLARS: usize = 100;

/// Most exemplars of a slice of time.
const PER_SLICE: u8 = 2;

/// How many exemplars are wanted: the hint counts, else the request's number, where 0 means the most.
pub fn num_wanted(hints: &[Hint], requested: usize) -> usize {
    let of_hint = hints.iter().filter(|hint| hint.name == "exemplars").find_map(|hint| match &hint.value {
        Static::Int(number) => usize::try_from(*number).ok(),
        Static::Bool(false) => Some(0),
        _ => None,
    });
    let default = if requested == 0 { MAX_EXEMPLARS } else { requested };
    of_hint.unwrap_or(default).min(MAX_EXEMPLARS)
}

/// A span that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its group.
    pub group: u32,
    /// The exemplar itself.
    pub exemplar: Exemplar,
    trace: TraceId,
}

impl Sampling for Exemplars {
    fn wants(&self, min: u64, max: u64) -> bool {
        let slices = self.slice_of(min)..=self.slice_of(max);
        self.taken.len() < self.wanted && self.num_in_slice[slices].iter().any(|taken| *taken < PER_SLICE)
    }
}

/// The spans that were taken so far.
#[derive(Clone, Debug)]
pub struct Exemplars {
    start: u64,
    slice: u64,
    num_in_slice: Vec<u8>,
    wanted: usize,
    traces: HashSet<TraceId>,
    taken: Vec<Taken>,
}

impl Exemplars {
    /// None yet.
    pub fn new(buckets: &Buckets, wanted: usize) -> Self {
        let num_slices = (wanted / usize::from(PER_SLICE)).max(1);
        let (start, end) = buckets.span();
        let slice = ((end - start) / num_slices as u64).max(1);
        Exemplars { start, slice, num_in_slice: vec![0; num_slices], wanted, traces: HashSet::new(), taken: Vec::new() }
    }

    /// The spans that were taken, in no particular order.
    pub fn into_taken(self) -> Vec<Taken> {
        self.taken
    }

    fn slice_of(&self, start: u64) -> usize {
        let slice = start.saturating_sub(self.start + 1) / self.slice;
        (slice as usize).min(self.num_in_slice.len() - 1)
    }

    /// Takes spans of a source. `value` measures the span at an index; `None` says that there is nothing to measure.
    pub fn observe(
        &mut self,
        spans: Spans<'_>,
        attributes: &[Attribute],
        selected: &Selected,
        groups: &GroupOf,
        value: impl Fn(usize) -> Option<f64>,
    ) -> Result<(), EvalError> {
        if self.taken.len() >= self.wanted || selected.is_empty() {
            return Ok(());
        }
        let is_open = |sample: &&(usize, u64)| self.num_in_slice[self.slice_of(sample.1)] < PER_SLICE;
        let candidates: Vec<(usize, u64)> = selected.samples.iter().filter(is_open).copied().collect();
        if candidates.is_empty() {
            return Ok(());
        }
        let Some(column) = spans.source.column(ColumnId::Trace)? else { return Ok(()) };
        let Values::U32(ordinals) = &column.values else { return Ok(()) };
        let first = self.taken.len();
        let mut rows = Vec::new();
        for (index, start) in candidates {
            let (group, row) = (groups.get(index), selected.row(index));
            // Asking for the trace's id is the dear part, and the candidates before may have filled the slice.
            if self.num_in_slice[self.slice_of(start)] >= PER_SLICE {
                continue;
            }
            let Some(value) = value(index).filter(|_| group != NO_GROUP) else { continue };
            let exemplar = Exemplar { labels: Vec::new(), value, unix_nanos: start };
            if self.take(Taken { group, exemplar, trace: spans.traces.id(ordinals[row as usize]) }) {
                rows.push(row);
            }
        }
        self.read_labels(spans, attributes, first, &rows)
    }

    /// Takes a span if there is room for it.
    fn take(&mut self, taken: Taken) -> bool {
        let slice = self.slice_of(taken.exemplar.unix_nanos);
        if self.num_in_slice[slice] >= PER_SLICE || self.taken.len() >= self.wanted || !self.traces.insert(taken.trace) {
            return false;
        }
        self.num_in_slice[slice] += 1;
        self.taken.push(taken);
        true
    }

    /// Reads the labels of the spans taken from `first` on.
    fn read_labels(&mut self, spans: Spans<'_>, attributes: &[Attribute], first: usize, rows: &[u32]) -> Result<(), EvalError> {
        for taken in &mut self.taken[first..] {
            taken.exemplar.labels.push(Label::text("trace:id", taken.trace.to_short_hex()));
        }
        let shown = attributes.iter().filter(|attribute| **attribute != Attribute::Intrinsic(Intrinsic::TraceId));
        for attribute in shown.filter(|_| !rows.is_empty()) {
            let reader = match AttributeReader::open(spans.source, spans.traces, attribute) {
                // What the evaluator does not know cannot be shown.
                Err(EvalError::Unsupported(_)) => continue,
                reader => reader?,
            };
            let name: std::sync::Arc<str> = attribute.canonical_text().into();
            for (taken, row) in self.taken[first..].iter_mut().zip(rows) {
                let value = LabelValue::of(&reader.value(*row));
                taken.exemplar.labels.extend(value.map(|value| Label { name: name.clone(), value }));
            }
        }
        Ok(())
    }

    /// Takes what fits of another list; `groups` has the number here of each group there.
    pub fn merge(&mut self, other: Exemplars, groups: &[u32]) {
        for taken in other.taken {
            let group = groups[taken.group as usize];
            if group != NO_GROUP {
                self.take(Taken { group, ..taken });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixNanos;

    #[test]
    fn the_hint_counts_then_the_request() {
        let hint = |value| vec![Hint { name: "exemplars".to_owned(), value }];
        assert_eq!(num_wanted(&[], 0), 100);
        assert_eq!(num_wanted(&[], 7), 7);
        assert_eq!(num_wanted(&[], 700), 100);
        assert_eq!(num_wanted(&hint(Static::Int(5)), 7), 5);
        assert_eq!(num_wanted(&hint(Static::Bool(false)), 7), 0);
        assert_eq!(num_wanted(&hint(Static::Bool(true)), 7), 7);
        assert_eq!(num_wanted(&hint(Static::Str("x".to_owned())), 0), 100);
    }

    #[test]
    fn spans_are_spread_over_time_and_traces() {
        let buckets = Buckets::of_instant(UnixNanos(100), UnixNanos(200)).expect("not empty");
        let mut exemplars = Exemplars::new(&buckets, 4);
        let taken = |at: u64, trace: u8| Taken {
            group: 0,
            exemplar: Exemplar { labels: Vec::new(), value: 0.0, unix_nanos: at },
            trace: TraceId([trace; 16]),
        };
        // Two slices: (100, 150] and (150, 200].
        let offered = [(101, 1), (102, 1), (150, 2), (149, 3), (151, 1), (151, 4), (200, 5), (200, 6)];
        let kept: Vec<bool> = offered.iter().map(|(at, trace)| exemplars.take(taken(*at, *trace))).collect();
        assert_eq!(kept, [true, false, true, false, false, true, true, false]);
    }
}
