//! Spans shown beside the samples they contributed to (spec/traceql.md §11.10): spread over time, at most one of a trace.
//!
//! Time is cut into slices; of the spans of a slice that with the least rank is taken, then that with the least trace id, so that the
//! answer does not depend on where spans are stored. Slices are whole multiples of the bins by which blocks count their spans, since
//! these know the span of the least rank of each bin, unless the range is too short for that.

use super::buckets::Buckets;
use super::groups::{GroupOf, NO_GROUP};
use super::keys::Spans;
use super::selected::Selected;
use super::series::{Exemplar, Label, LabelValue};
use crate::columns::counting::rank;
use crate::columns::view::{ColumnId, Values};
use crate::model::TraceId;
use crate::traceql::ast::{Attribute, Hint, Intrinsic, Static};
use crate::traceql::eval::result::AttributeReader;
use crate::traceql::eval::{EvalError, each_position};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Most exemplars of a query, and how many there are if it does not say, unless the operator has set another number.
pub const MAX_EXEMPLARS: usize = 100;

/// Widths of slices: multiples of the largest of these that is not above what it takes.
const STEPS: [u64; 3] = [60 * SECOND, 15 * SECOND, 5 * SECOND];

const SECOND: u64 = 1_000_000_000;

/// With fewer slices than this there would be too few exemplars.
const FEW_SLICES: u64 = 20;

/// Of the spans of a slice that start at the same moment, as they do where clocks are coarse, so many are looked at.
const MOST_TIES: usize = 16;

/// How many exemplars are wanted, of `most`: the hint counts, else the request's number, where 0 means the most.
pub fn num_wanted(hints: &[Hint], requested: usize, most: usize) -> usize {
    let of_hint = hints.iter().filter(|hint| hint.name == "exemplars").find_map(|hint| match &hint.value {
        Static::Int(number) => usize::try_from(*number).ok(),
        Static::Bool(false) => Some(0),
        _ => None,
    });
    let default = if requested == 0 { most } else { requested };
    of_hint.unwrap_or(default).min(most)
}

/// A span that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its group.
    pub group: u32,
    /// The exemplar itself.
    pub exemplar: Exemplar,
    rank: u64,
    trace: TraceId,
}

impl Taken {
    fn order(&self, other: &Taken) -> Ordering {
        let labels = || self.exemplar.labels.iter().map(Label::sort_text).cmp(other.exemplar.labels.iter().map(Label::sort_text));
        (self.rank, self.trace).cmp(&(other.rank, other.trace)).then_with(labels)
    }
}

/// The spans that were taken so far.
#[derive(Clone, Debug)]
pub struct Exemplars {
    wanted: usize,
    /// First moment of the first slice, minus 1.
    start: u64,
    width: u64,
    /// One for each slice.
    taken: Vec<Option<Taken>>,
}

/// The spans of a slice that may be taken: indexes of rows with the same, least rank.
#[derive(Clone, Debug, Default)]
struct Candidates {
    rank: u64,
    indexes: Vec<usize>,
}

impl Exemplars {
    /// None yet.
    pub fn new(buckets: &Buckets, wanted: usize) -> Self {
        let (start, end) = buckets.span();
        if wanted == 0 || end <= start {
            return Exemplars { wanted: 0, start, width: 1, taken: Vec::new() };
        }
        let width = slice_width(end - start, wanted);
        // Slices that are multiples of bins begin where bins begin.
        let start = if width.is_multiple_of(STEPS[2]) { start / width * width } else { start };
        let num_slices = (end - start).div_ceil(width);
        Exemplars { wanted, start, width, taken: vec![None; num_slices as usize] }
    }

    /// Whether any span may be taken.
    pub fn are_wanted(&self) -> bool {
        self.wanted > 0
    }

    /// Whether all moments of any stretch that ends at a multiple of this width, and is as long, lie in one slice.
    pub fn fit_bins(&self, bin_nanos: u64) -> bool {
        !self.are_wanted() || self.width.is_multiple_of(bin_nanos) && self.start.is_multiple_of(bin_nanos)
    }

    /// The spans that were taken, by time: of each trace the first.
    pub fn into_taken(self) -> Vec<Taken> {
        let mut traces = HashSet::new();
        self.taken.into_iter().flatten().filter(|taken| traces.insert(taken.trace)).take(self.wanted).collect()
    }

    fn slice_of(&self, start: u64) -> usize {
        let slice = start.saturating_sub(self.start.saturating_add(1)) / self.width;
        (slice as usize).min(self.taken.len().saturating_sub(1))
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
        if !self.are_wanted() || selected.is_empty() {
            return Ok(());
        }
        let is_fit = |index: usize| groups.get(index) != NO_GROUP && value(index).is_some();
        let mut candidates = self.candidates(&selected.starts, is_fit);
        candidates.retain(|of_slice| !of_slice.indexes.is_empty());
        if candidates.is_empty() {
            return Ok(());
        }
        let mut indexes: Vec<usize> = candidates.iter().flat_map(|of_slice| of_slice.indexes.iter().copied()).collect();
        indexes.sort_unstable();
        let rows: Vec<u32> = indexes.iter().map(|index| selected.row(*index)).collect();
        let traces = trace_ids(spans, &rows)?;
        let has_ties = candidates.len() < indexes.len();
        let durations = if has_ties { durations(spans, &rows)? } else { vec![0; rows.len()] };
        let place = |index: usize| indexes.partition_point(|other| *other < index);
        // Of those that start at the same moment the least id counts, then the shortest, then their labels.
        let key = |index: usize| (traces[place(index)], durations[place(index)]);
        let least = |of: &Candidates| of.indexes.iter().map(|index| key(*index)).min();
        let are_least = candidates.iter().filter_map(|of| Some((of, least(of)?)));
        let mut chosen: Vec<usize> =
            are_least.flat_map(|(of, least)| of.indexes.iter().copied().filter(move |index| key(*index) == least)).collect();
        chosen.sort_unstable();
        let mut found: Vec<Taken> = Vec::with_capacity(chosen.len());
        for index in &chosen {
            let (start, trace) = (selected.starts[*index], traces[place(*index)]);
            let exemplar = Exemplar {
                labels: vec![Label::text("trace:id", trace.to_short_hex())],
                value: value(*index).unwrap_or(f64::NAN),
                unix_nanos: start,
            };
            found.push(Taken { group: groups.get(*index), exemplar, rank: rank(start), trace });
        }
        let rows: Vec<u32> = chosen.iter().map(|index| selected.row(*index)).collect();
        read_labels(spans, attributes, &rows, &mut found)?;
        found.into_iter().for_each(|taken| self.take(taken));
        Ok(())
    }

    /// For each slice, what may be taken in place of what was.
    fn candidates(&self, starts: &[u64], is_fit: impl Fn(usize) -> bool) -> Vec<Candidates> {
        let none = |taken: &Option<Taken>| Candidates { rank: taken.as_ref().map_or(u64::MAX, |taken| taken.rank), indexes: Vec::new() };
        let mut candidates: Vec<Candidates> = self.taken.iter().map(none).collect();
        // Most spans lie in the slice of the one before.
        let (mut slice, mut first) = (0, self.start.saturating_add(1));
        for (index, start) in starts.iter().enumerate() {
            if start.wrapping_sub(first) >= self.width {
                slice = self.slice_of(*start);
                first = self.start + slice as u64 * self.width + 1;
            }
            let rank = rank(*start);
            let of_slice = &mut candidates[slice];
            if rank > of_slice.rank || !is_fit(index) {
                continue;
            }
            if rank < of_slice.rank {
                *of_slice = Candidates { rank, indexes: Vec::new() };
            }
            if of_slice.indexes.len() < MOST_TIES {
                of_slice.indexes.push(index);
            }
        }
        candidates
    }

    /// Takes a span if there is none in its slice that comes first.
    fn take(&mut self, taken: Taken) {
        let slice = self.slice_of(taken.exemplar.unix_nanos);
        let Some(known) = self.taken.get_mut(slice) else { return };
        if known.as_ref().is_none_or(|known| taken.order(known).is_lt()) {
            *known = Some(taken);
        }
    }

    /// Takes what comes first of another list; `groups` has the number here of each group there.
    pub fn merge(&mut self, other: Exemplars, groups: &[u32]) {
        for taken in other.taken.into_iter().flatten() {
            let group = groups[taken.group as usize];
            if group != NO_GROUP {
                self.take(Taken { group, ..taken });
            }
        }
    }
}

/// The width of so many slices of a range, or of somewhat fewer.
fn slice_width(range: u64, wanted: usize) -> u64 {
    let least = range.div_ceil(wanted as u64).max(1);
    let step = STEPS.into_iter().find(|step| *step <= least).unwrap_or(STEPS[2]);
    let aligned = least.next_multiple_of(step);
    if range / aligned < FEW_SLICES.min(wanted as u64) { least } else { aligned }
}

fn trace_ids(spans: Spans<'_>, rows: &[u32]) -> Result<Vec<TraceId>, EvalError> {
    let mut ids = vec![TraceId::default(); rows.len()];
    if let Some(column) = spans.source.column_of(ColumnId::Trace, rows)?
        && let Values::U32(ordinals) = &column.values
    {
        each_position(rows, &column, |index, at| ids[index] = spans.traces.id(ordinals[at]));
    }
    Ok(ids)
}

fn durations(spans: Spans<'_>, rows: &[u32]) -> Result<Vec<u64>, EvalError> {
    let mut durations = vec![0; rows.len()];
    if let Some(column) = spans.source.column_of(ColumnId::Duration, rows)?
        && let Values::U64(nanos) = &column.values
    {
        each_position(rows, &column, |index, at| durations[index] = nanos[at]);
    }
    Ok(durations)
}

/// Adds the labels of spans after their trace ids.
fn read_labels(spans: Spans<'_>, attributes: &[Attribute], rows: &[u32], found: &mut [Taken]) -> Result<(), EvalError> {
    for attribute in attributes.iter().filter(|attribute| **attribute != Attribute::Intrinsic(Intrinsic::TraceId)) {
        let reader = match AttributeReader::open_for(spans.source, spans.traces, attribute, rows) {
            // What the evaluator does not know cannot be shown.
            Err(EvalError::Unsupported(_)) => continue,
            reader => reader?,
        };
        let name: std::sync::Arc<str> = attribute.canonical_text().into();
        for (taken, row) in found.iter_mut().zip(rows) {
            let value = LabelValue::of(&reader.value(*row));
            taken.exemplar.labels.extend(value.map(|value| Label { name: name.clone(), value }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixNanos;

    #[test]
    fn the_hint_counts_then_the_request() {
        let hint = |value| vec![Hint { name: "exemplars".to_owned(), value }];
        assert_eq!((num_wanted(&[], 0, 100), num_wanted(&[], 0, 7), num_wanted(&[], 9, 7)), (100, 7, 7));
        assert_eq!(num_wanted(&[], 7, 100), 7);
        assert_eq!(num_wanted(&[], 700, 100), 100);
        assert_eq!(num_wanted(&hint(Static::Int(5)), 7, 100), 5);
        assert_eq!(num_wanted(&hint(Static::Bool(false)), 7, 100), 0);
        assert_eq!(num_wanted(&hint(Static::Bool(true)), 7, 100), 7);
        assert_eq!(num_wanted(&hint(Static::Str("x".to_owned())), 0, 100), 100);
    }

    fn buckets(start: u64, end: u64) -> Buckets {
        Buckets::of_instant(UnixNanos(start), UnixNanos(end)).expect("not empty")
    }

    #[test]
    fn slices_are_bins_unless_the_range_is_short() {
        let width = |seconds: u64, wanted| slice_width(seconds * SECOND, wanted);
        // What 100 slices take, rounded up to 5, 15 or 60 seconds.
        for (seconds, expected) in [(99, 1), (100, 5), (615, 10), (1800, 30), (3600, 45), (3 * 3600, 120), (86_400, 900)] {
            let least = if seconds == 99 { 990_000_000 } else { expected * SECOND };
            assert_eq!(width(seconds, 100), least, "{seconds} s");
        }
        assert_eq!((width(600, 1), width(7, 7)), (600 * SECOND, SECOND));
        let exemplars = Exemplars::new(&buckets(1007 * SECOND, 1622 * SECOND), 100);
        assert_eq!((exemplars.start, exemplars.taken.len()), (1000 * SECOND, 63));
        assert!(exemplars.fit_bins(5 * SECOND) && !exemplars.fit_bins(15 * SECOND));
        assert!(Exemplars::new(&buckets(5, 1 << 60), 0).fit_bins(60 * SECOND));
    }

    #[test]
    fn the_span_of_the_least_rank_is_taken_whatever_comes_first() {
        let taken = |at: u64, trace: u8| Taken {
            group: 0,
            exemplar: Exemplar { labels: Vec::new(), value: 0.0, unix_nanos: at },
            rank: rank(at),
            trace: TraceId([trace; 16]),
        };
        // Four slices of 25 ns: (100, 125] and so on.
        let offered = [(101, 1), (102, 2), (125, 3), (126, 3), (130, 9), (150, 2), (160, 8), (160, 7), (200, 7), (199, 6)];
        let run = |offered: &[(u64, u8)]| {
            let mut exemplars = Exemplars::new(&buckets(100, 200), 4);
            offered.iter().for_each(|(at, trace)| exemplars.take(taken(*at, *trace)));
            exemplars.into_taken().iter().map(|taken| (taken.exemplar.unix_nanos, taken.trace.0[0])).collect::<Vec<_>>()
        };
        let least = |range: std::ops::RangeInclusive<u64>| {
            offered.iter().filter(|(at, _)| range.contains(at)).min_by_key(|(at, trace)| (rank(*at), *trace)).copied()
        };
        let mut expected: Vec<(u64, u8)> = Vec::new();
        for range in [101..=125, 126..=150, 151..=175, 176..=200] {
            expected.extend(least(range).filter(|(_, trace)| expected.iter().all(|(_, other)| other != trace)));
        }
        assert_eq!(run(&offered), expected);
        assert_eq!(run(&offered.iter().rev().copied().collect::<Vec<_>>()), expected);
        assert!(expected.len() > 1 && expected.contains(&(160, 7)));
    }
}
