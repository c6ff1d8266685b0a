//! The stages of a search over the spans of many traces at once (spec/traceql.md chapters 8 and 9).
//!
//! As long as every trace has one spanset, the state between two stages is one bitmap over the rows of all traces; filters and
//! operators between spansets are set operations on it. Only `by`, `coalesce` and scalar filters make lists of spansets.
//!
//! - `compile`: from the syntax tree to stages that name filters and expressions by number;
//! - `run`: the stages; `aggregate`: `count()`, `max(…)` and their like, and the values of `by(…)`.

mod aggregate;
mod compile;
mod run;
#[cfg(test)]
mod tests;

use super::tree::Tree;
use super::{Bitmap, EvalError, Expression, Filter, Scalar};
use crate::traceql::ast::{AggregateOp, BinaryOp, SpansetOp};
use std::ops::Range;
use std::sync::Arc;

pub use run::Found;

/// A search, compiled once per query. Its filters and expressions are named by their numbers.
#[derive(Clone, Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    filters: Vec<Filter>,
    expressions: Vec<Expression>,
}

#[derive(Clone, Debug)]
enum Stage {
    Spansets(Operand),
    Aggregate { key: String, aggregate: Aggregate, op: BinaryOp, value: Scalar },
    GroupBy { key: String, expression: usize },
    Coalesce,
}

#[derive(Clone, Debug)]
enum Operand {
    Filter(usize),
    Binary { op: SpansetOp, left: Box<Operand>, right: Box<Operand> },
    Pipeline(Vec<Stage>),
}

#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Count,
    /// Over the values of an expression.
    Over(AggregateOp, usize),
}

/// The spans of some traces, trace by trace and each depth-first: what a pipeline runs over.
pub trait TraceRows {
    /// Number of rows.
    fn num_rows(&self) -> usize;

    /// The rows of each trace, in order; together all rows.
    fn traces(&self) -> &[Range<usize>];

    /// The rows that a filter of the pipeline keeps.
    fn matches(&self, filter: usize) -> Result<Arc<Bitmap>, EvalError>;

    /// The values of an expression of the pipeline for ascending rows.
    fn values(&self, expression: usize, rows: &[u32]) -> Result<Vec<Scalar>, EvalError>;

    /// The trees of the traces.
    fn tree(&self) -> Result<&Tree, EvalError>;
}

/// Spans of one trace that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanSet {
    /// Position of the trace among those that were searched.
    pub trace: u32,
    /// Its rows, ascending, at least one.
    pub rows: Vec<u32>,
    /// What stages have added, by key: values of `by` and of aggregates, nil included.
    pub attributes: Vec<(Arc<str>, Scalar)>,
}

impl Pipeline {
    /// The filters, by number.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The expressions, by number.
    pub fn expressions(&self) -> &[Expression] {
        &self.expressions
    }

    /// The filters of a pipeline that is nothing but filters one after the other, at least one: a span is kept by what it is
    /// itself, whatever else is in its trace.
    pub fn filters_only(&self) -> Option<Vec<usize>> {
        let filter = |stage: &Stage| match stage {
            Stage::Spansets(Operand::Filter(filter)) => Some(*filter),
            _ => None,
        };
        self.stages.iter().map(filter).collect::<Option<Vec<_>>>().filter(|filters| !filters.is_empty())
    }

    /// False for a query that finds nothing whatever the data (spec/traceql.md §6.8).
    pub fn can_match(&self) -> bool {
        self.may_match(&|filter| self.filters[filter].constant() != Some(false))
    }

    /// Whether a trace can be found, given for each filter whether it keeps any of the trace's spans.
    pub fn may_match(&self, has_match: &dyn Fn(usize) -> bool) -> bool {
        self.stages.iter().all(|stage| stage.may_match(has_match))
    }
}

impl Stage {
    fn may_match(&self, has_match: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Stage::Spansets(operand) => operand.may_match(has_match),
            Stage::Aggregate { .. } | Stage::GroupBy { .. } | Stage::Coalesce => true,
        }
    }
}

impl Operand {
    /// Whether there may be several spansets on a side of an operator within.
    fn can_fail(&self) -> bool {
        match self {
            Operand::Filter(_) => false,
            Operand::Pipeline(_) => true,
            Operand::Binary { left, right, .. } => left.can_fail() || right.can_fail(),
        }
    }

    fn may_match(&self, has_match: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Operand::Filter(filter) => has_match(*filter),
            Operand::Pipeline(stages) => stages.iter().all(|stage| stage.may_match(has_match)),
            Operand::Binary { op, left, right } => match op {
                SpansetOp::Or => left.may_match(has_match) || right.may_match(has_match),
                SpansetOp::NotRelated(_) => right.may_match(has_match),
                SpansetOp::And | SpansetOp::Related(_) | SpansetOp::UnionRelated(_) => {
                    left.may_match(has_match) && right.may_match(has_match)
                }
            },
        }
    }
}
