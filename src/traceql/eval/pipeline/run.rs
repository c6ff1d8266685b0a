//! The stages at work.

use super::aggregate::{GroupKey, aggregate};
use super::{Aggregate, Operand, Pipeline, SpanSet, Stage, TraceRows};
use crate::traceql::ast::{BinaryOp, Relation, SpansetOp};
use crate::traceql::eval::relations::{inverse, related};
use crate::traceql::eval::{Bitmap, EvalError, Scalar, scalar};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// What a pipeline found.
#[derive(Clone, Debug)]
pub enum Found {
    /// One spanset for each trace that has rows in it.
    Rows(Bitmap),
    /// Spansets in the order of their traces.
    Sets(Vec<SpanSet>),
}

impl Found {
    /// The positions of the traces that have a spanset, ascending.
    pub fn traces(&self, traces: &[Range<usize>]) -> Vec<u32> {
        match self {
            Found::Rows(rows) => {
                if rows.is_empty() {
                    return Vec::new();
                }
                (0..traces.len() as u32).filter(|trace| rows.any_in(traces[*trace as usize].clone())).collect()
            }
            Found::Sets(sets) => {
                let mut found: Vec<u32> = sets.iter().map(|set| set.trace).collect();
                found.dedup();
                found
            }
        }
    }

    /// The spansets of a trace.
    pub fn sets_of(&self, trace: u32, traces: &[Range<usize>]) -> Vec<SpanSet> {
        match self {
            Found::Rows(rows) => set_of(rows, trace, &traces[trace as usize]).into_iter().collect(),
            Found::Sets(sets) => {
                let first = sets.partition_point(|set| set.trace < trace);
                sets[first..].iter().take_while(|set| set.trace == trace).cloned().collect()
            }
        }
    }

    /// All rows of all spansets, of `num_rows`.
    pub fn rows(&self, num_rows: usize) -> Bitmap {
        match self {
            Found::Rows(rows) => rows.clone(),
            Found::Sets(sets) => {
                let mut rows = Bitmap::empty(num_rows);
                sets.iter().flat_map(|set| &set.rows).for_each(|row| rows.insert(*row));
                rows
            }
        }
    }
}

fn set_of(rows: &Bitmap, trace: u32, range: &Range<usize>) -> Option<SpanSet> {
    let rows: Vec<u32> = rows.iter_in(range.clone()).collect();
    (!rows.is_empty()).then(|| SpanSet { trace, rows, attributes: Vec::new() })
}

impl Pipeline {
    /// Runs all stages.
    pub fn run(&self, rows: &dyn TraceRows) -> Result<Found, EvalError> {
        run_stages(&self.stages, rows, Found::Rows(Bitmap::full(rows.num_rows())))
    }
}

fn run_stages(stages: &[Stage], rows: &dyn TraceRows, mut state: Found) -> Result<Found, EvalError> {
    for stage in stages {
        state = match stage {
            Stage::Spansets(operand) => spansets(operand, rows, state)?,
            Stage::Aggregate { key, aggregate, op, value } => {
                ScalarStage { key: key.as_str().into(), aggregate: *aggregate, op: *op, value }.apply(rows, state)?
            }
            Stage::GroupBy { key, expression } => group_by(key, *expression, rows, sets(state, rows))?,
            Stage::Coalesce => Found::Rows(state.rows(rows.num_rows())),
        };
    }
    Ok(state)
}

fn sets(state: Found, rows: &dyn TraceRows) -> Vec<SpanSet> {
    match state {
        Found::Rows(bitmap) => {
            let each = rows.traces().iter().enumerate();
            each.filter_map(|(trace, range)| set_of(&bitmap, trace as u32, range)).collect()
        }
        Found::Sets(sets) => sets,
    }
}

fn spansets(operand: &Operand, rows: &dyn TraceRows, state: Found) -> Result<Found, EvalError> {
    match (state, operand) {
        (Found::Rows(incoming), _) => Ok(Found::Rows(apply(operand, rows, &incoming)?.rows)),
        (Found::Sets(mut sets), Operand::Filter(filter)) => {
            let kept = rows.matches(*filter)?;
            sets.iter_mut().for_each(|set| set.rows.retain(|row| kept.contains(*row)));
            sets.retain(|set| !set.rows.is_empty());
            Ok(Found::Sets(sets))
        }
        (Found::Sets(sets), _) => each_round(operand, rows, sets),
    }
}

/// Each spanset is judged for itself, so those of one trace go through one after the other: the first of every trace, then the
/// second of every trace, and so on.
fn each_round(operand: &Operand, rows: &dyn TraceRows, mut sets: Vec<SpanSet>) -> Result<Found, EvalError> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut round = 0;
    for at in 0..sets.len() {
        round = if at > 0 && sets[at].trace == sets[at - 1].trace { round + 1 } else { 0 };
        if round == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[round].push(at);
    }
    for members in rounds {
        let mut incoming = Bitmap::empty(rows.num_rows());
        members.iter().flat_map(|at| &sets[*at].rows).for_each(|row| incoming.insert(*row));
        let kept = apply(operand, rows, &incoming)?.rows;
        members.into_iter().for_each(|at| sets[at].rows.retain(|row| kept.contains(*row)));
    }
    sets.retain(|set| !set.rows.is_empty());
    Ok(Found::Sets(sets))
}

/// The rows of one side of an operator.
struct Side {
    rows: Bitmap,
    /// Traces with more than one spanset here, ascending.
    several: Vec<u32>,
}

impl From<Bitmap> for Side {
    fn from(rows: Bitmap) -> Self {
        Side { rows, several: Vec::new() }
    }
}

fn apply(operand: &Operand, rows: &dyn TraceRows, incoming: &Bitmap) -> Result<Side, EvalError> {
    match operand {
        Operand::Filter(filter) => {
            let mut kept = Bitmap::clone(&*rows.matches(*filter)?);
            kept.and_with(incoming);
            Ok(kept.into())
        }
        Operand::Pipeline(stages) => {
            let found = run_stages(stages, rows, Found::Rows(incoming.clone()))?;
            let several = match &found {
                Found::Rows(_) => Vec::new(),
                Found::Sets(sets) => sets.windows(2).filter(|pair| pair[0].trace == pair[1].trace).map(|pair| pair[0].trace).collect(),
            };
            Ok(Side { rows: found.rows(rows.num_rows()), several })
        }
        Operand::Binary { op, left, right } => binary(*op, left, right, rows, incoming),
    }
}

fn binary(op: SpansetOp, left: &Operand, right: &Operand, rows: &dyn TraceRows, incoming: &Bitmap) -> Result<Side, EvalError> {
    let left = apply(left, rows, incoming)?;
    let needs_left = matches!(op, SpansetOp::And | SpansetOp::Related(_) | SpansetOp::UnionRelated(_));
    if needs_left && left.rows.is_empty() {
        return Ok(left);
    }
    // Where the left side has nothing the right one is not even tried, so that it cannot fail there.
    let tried = (needs_left && right.can_fail()).then(|| in_traces_of(&left.rows, incoming, rows.traces()));
    let right = apply(right, rows, tried.as_ref().unwrap_or(incoming))?;
    if op != SpansetOp::Or && right.rows.is_empty() {
        return Ok(right);
    }
    check_single(&left, &right, rows)?;
    let (left, right) = (left.rows, right.rows);
    Ok(match op {
        SpansetOp::And => both(&left, &right, rows.traces()).into(),
        SpansetOp::Or => union(left, &right).into(),
        SpansetOp::Related(relation) => related(relation, &left, &right, rows.tree()?).into(),
        SpansetOp::NotRelated(_) if left.is_empty() => right.into(),
        SpansetOp::NotRelated(relation) => {
            let mut unrelated = right.clone();
            unrelated.and_not_with(&related(relation, &left, &right, rows.tree()?));
            unrelated.into()
        }
        SpansetOp::UnionRelated(relation) => pairs(relation, &left, &right, rows)?.into(),
    })
}

/// The rows of `incoming` in traces that have some of `rows`.
fn in_traces_of(rows: &Bitmap, incoming: &Bitmap, traces: &[Range<usize>]) -> Bitmap {
    let mut found = Bitmap::empty(incoming.len());
    traces.iter().filter(|range| rows.any_in((*range).clone())).for_each(|range| found.insert_range(range.clone()));
    found.and_with(incoming);
    found
}

/// Spec/traceql.md §8.3: an operator cannot work on several spansets of a trace; where the right side is empty it does not try.
fn check_single(left: &Side, right: &Side, rows: &dyn TraceRows) -> Result<(), EvalError> {
    let is_tried = |trace: &&u32| right.rows.any_in(rows.traces()[**trace as usize].clone());
    if left.several.iter().chain(&right.several).any(|trace| is_tried(&trace)) {
        let message = "spanset operators are not supported for multiple spansets per trace. consider using coalesce()";
        return Err(EvalError::Runtime(message.to_owned()));
    }
    Ok(())
}

fn union(mut left: Bitmap, right: &Bitmap) -> Bitmap {
    left.or_with(right);
    left
}

fn both(left: &Bitmap, right: &Bitmap, traces: &[Range<usize>]) -> Bitmap {
    let mut found = Bitmap::empty(left.len());
    for range in traces {
        if left.any_in(range.clone()) && right.any_in(range.clone()) {
            left.iter_in(range.clone()).chain(right.iter_in(range.clone())).for_each(|row| found.insert(row));
        }
    }
    found
}

/// Every span of every related pair.
fn pairs(relation: Relation, left: &Bitmap, right: &Bitmap, rows: &dyn TraceRows) -> Result<Bitmap, EvalError> {
    let tree = rows.tree()?;
    let below = related(relation, left, right, tree);
    if below.is_empty() {
        return Ok(below);
    }
    Ok(union(below, &related(inverse(relation), right, left, tree)))
}

/// `aggregate op value`.
struct ScalarStage<'a> {
    key: Arc<str>,
    aggregate: Aggregate,
    op: BinaryOp,
    value: &'a Scalar,
}

impl ScalarStage<'_> {
    fn apply(&self, rows: &dyn TraceRows, state: Found) -> Result<Found, EvalError> {
        match self.aggregate {
            Aggregate::Count => self.apply_count(rows, state),
            Aggregate::Over(op, expression) => {
                let sets = sets(state, rows);
                let all: Vec<u32> = sets.iter().flat_map(|set| &set.rows).copied().collect();
                let values = values_of(rows, expression, &all)?;
                let mut first = 0;
                self.keep(sets, |set| {
                    first += set.rows.len();
                    Ok(aggregate(op, &values[first - set.rows.len()..first]))
                })
            }
        }
    }

    /// Rows are counted before they are listed.
    fn apply_count(&self, rows: &dyn TraceRows, state: Found) -> Result<Found, EvalError> {
        let sets = match state {
            Found::Sets(sets) => sets,
            Found::Rows(bitmap) => {
                let mut sets = Vec::new();
                for (trace, range) in rows.traces().iter().enumerate() {
                    let count = Scalar::Int(bitmap.count_in(range.clone()) as i64);
                    if scalar::binary(self.op, &count, self.value)?.is_true() {
                        sets.extend(set_of(&bitmap, trace as u32, range));
                    }
                }
                sets
            }
        };
        self.keep(sets, |set| Ok(Some(Scalar::Int(set.rows.len() as i64))))
    }

    fn keep(&self, sets: Vec<SpanSet>, mut value: impl FnMut(&SpanSet) -> Result<Option<Scalar>, EvalError>) -> Result<Found, EvalError> {
        let mut kept = Vec::new();
        for mut set in sets {
            let Some(value) = value(&set)? else { continue };
            if scalar::binary(self.op, &value, self.value)?.is_true() {
                set.attributes.push((Arc::clone(&self.key), value));
                kept.push(set);
            }
        }
        Ok(Found::Sets(kept))
    }
}

/// The values of rows that may be in any order.
fn values_of(rows: &dyn TraceRows, expression: usize, wanted: &[u32]) -> Result<Vec<Scalar>, EvalError> {
    if wanted.is_sorted() {
        return rows.values(expression, wanted);
    }
    let order = ascending(wanted);
    let sorted: Vec<u32> = order.iter().map(|at| wanted[*at as usize]).collect();
    let mut values = vec![Scalar::Nil; wanted.len()];
    order.into_iter().zip(rows.values(expression, &sorted)?).for_each(|(at, value)| values[at as usize] = value);
    Ok(values)
}

/// If there are fewer rows than one of so many, sorting takes less time than going through all.
const ROWS_OF_ONE_WANTED: usize = 16;

/// The positions of rows in the rows' order.
fn ascending(wanted: &[u32]) -> Vec<u32> {
    let sorted = || {
        let mut order: Vec<u32> = (0..wanted.len() as u32).collect();
        order.sort_unstable_by_key(|at| wanted[*at as usize]);
        order
    };
    let num_rows = wanted.iter().max().map_or(0, |last| *last as usize + 1);
    if num_rows / ROWS_OF_ONE_WANTED > wanted.len() {
        return sorted();
    }
    // Mostly every row is there once.
    let mut position_of = vec![u32::MAX; num_rows];
    for (row, position) in wanted.iter().zip(0..) {
        if std::mem::replace(&mut position_of[*row as usize], position) != u32::MAX {
            return sorted();
        }
    }
    position_of.retain(|position| *position != u32::MAX);
    position_of
}

fn group_by(key: &str, expression: usize, rows: &dyn TraceRows, sets: Vec<SpanSet>) -> Result<Found, EvalError> {
    let key: Arc<str> = key.into();
    let all: Vec<u32> = sets.iter().flat_map(|set| &set.rows).copied().collect();
    let mut values = values_of(rows, expression, &all)?.into_iter();
    let mut grouped: Vec<SpanSet> = Vec::new();
    let mut groups: HashMap<GroupKey, usize, RandomState> = HashMap::default();
    for set in sets {
        groups.clear();
        for (row, value) in set.rows.iter().zip(values.by_ref()) {
            let at = *groups.entry(GroupKey(value)).or_insert_with_key(|value| {
                let mut attributes = set.attributes.clone();
                attributes.push((Arc::clone(&key), value.0.clone()));
                grouped.push(SpanSet { trace: set.trace, rows: Vec::new(), attributes });
                grouped.len() - 1
            });
            grouped[at].rows.push(*row);
        }
    }
    Ok(Found::Sets(grouped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn positions_follow_the_order_of_rows(rows in prop::collection::vec(0u32..300, 0..60)) {
            let mut order = ascending(&rows);
            prop_assert!(order.is_sorted_by_key(|at| rows[*at as usize]));
            order.sort_unstable();
            prop_assert!(order.into_iter().eq(0..rows.len() as u32));
        }
    }
}
