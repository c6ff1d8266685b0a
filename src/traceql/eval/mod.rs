//! Filters over columns: which spans does the inside of `{ … }` keep? (spec/traceql.md chapters 5, 6, 7 and 17)
//!
//! ```text
//! FieldExpr ─ compile ─▶ Node ─ select ─▶ Bitmap
//!                         ├ Leaf: one attribute, one typed test; asked of the source, which may answer from a dictionary
//!                         ├ And, Or, Not: on bitmaps, cheapest first, only rows still in question
//!                         └ Computed: everything else, column by column over the rows still in question
//! ```
//!
//! - [`bitmap`]: sets of rows;
//! - `place`: where the value of an attribute lies; `column`: its values for many rows; `scalar`: one value, and the operators;
//! - `condition`, `literal`: typed tests; `leaf`: a test on a place; `details`: conditions on events and links;
//! - `expression`: computed values; `node`: booleans; `compile`: the way from the syntax tree to all of these;
//! - [`result`]: which attributes an answer shows, and their values.
//!
//! - `pruning`: what a catalogue rules out;
//! - [`pipeline`]: the stages of a search over the spans of many traces; `relations`, [`tree`]: operators between spansets.
//!
//! Nothing here does IO by itself or knows what a source is made of.

pub mod bitmap;
mod column;
mod compile;
mod condition;
mod details;
mod expression;
mod leaf;
mod literal;
mod node;
pub mod pipeline;
mod place;
mod pruning;
mod relations;
pub mod result;
mod scalar;
#[cfg(test)]
pub(crate) mod tests;
pub mod tree;

pub use bitmap::Bitmap;
pub(in crate::traceql) use column::each_position;
pub use compile::Correlation;
pub use place::{TraceFacts, TreeNumber};
pub(in crate::traceql) use place::{resource_value, scope_value};
pub use scalar::Scalar;

use crate::columns::known::Catalogue;
use crate::columns::view::{SourceError, SpanSource};
use crate::traceql::ast::FieldExpr;
use expression::Expr;
use leaf::Leaf;
use node::{Node, Run};
use place::Context;

/// Why an expression has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EvalError {
    /// A part of the language that this evaluator does not know yet.
    #[error("{0} are not supported")]
    Unsupported(&'static str),
    /// A value that an operator cannot work on; fails the whole search (spec/traceql.md §13.4).
    #[error("{0}")]
    Runtime(String),
    /// A pattern that is no regular expression; validation refuses it before.
    #[error("invalid regex: `{0}`")]
    Pattern(String),
    /// The data could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl EvalError {
    fn array_pair() -> Self {
        EvalError::Runtime("array operators must consist of a scalar and an array operand".to_owned())
    }

    fn array_arithmetic() -> Self {
        EvalError::Runtime("arithmetic is not defined for arrays".to_owned())
    }
}

/// The inside of `{ … }`, compiled once per query and used for any number of sources.
#[derive(Clone, Debug)]
pub struct Filter {
    node: Node,
    conditions: Vec<Leaf>,
    on_failure: OnFailure,
}

/// What becomes of a span on which an operator fails, as `!` and `-` on an unfit value or a division by zero do (spec/traceql.md
/// §13.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The whole query fails with it: a search.
    FailQuery,
    /// The filter does not keep it: metrics.
    SkipSpan,
}

impl Filter {
    /// Compiles a filter that validation has accepted and that is the whole query. Fails on what is not supported, and on patterns
    /// that are no regex.
    pub fn compile(expression: &FieldExpr) -> Result<Self, EvalError> {
        Self::compile_part(expression, Correlation::SameDetail)
    }

    /// As [`compile`](Self::compile), for a filter that may be one of several in a query.
    pub fn compile_part(expression: &FieldExpr, correlation: Correlation) -> Result<Self, EvalError> {
        let (node, conditions) = compile::filter(expression, correlation)?;
        Ok(Filter { node, conditions, on_failure: OnFailure::FailQuery })
    }

    /// The same filter with another answer to operators that fail.
    pub fn with(self, on_failure: OnFailure) -> Self {
        Filter { on_failure, ..self }
    }

    /// The filter that keeps every span.
    pub fn everything() -> Self {
        Filter { node: Node::Const(true), conditions: Vec::new(), on_failure: OnFailure::FailQuery }
    }

    /// The answer that needs no data: `Some(false)` for a filter that keeps nothing, `Some(true)` for one that keeps every span.
    pub fn constant(&self) -> Option<bool> {
        match self.node {
            Node::Const(bit) => Some(bit),
            _ => None,
        }
    }

    /// False if it certainly keeps no span of the data that a catalogue describes, and does not fail on it either.
    pub fn may_match(&self, catalogue: &dyn Catalogue) -> bool {
        self.node.may_match(catalogue)
    }

    /// The rows of a source that the filter keeps. `traces` knows the traces of the same source.
    pub fn select(&self, source: &dyn SpanSource, traces: &dyn TraceFacts) -> Result<Bitmap, EvalError> {
        let run = Run::new(Context { source, traces }, &self.conditions, self.on_failure);
        let mut rows = self.node.select(&run, &Bitmap::full(source.num_rows()))?;
        // Under `!` and `||` a span on which an operand failed may have been kept.
        run.skipped().iter().for_each(|skipped| rows.and_not_with(skipped));
        Ok(rows)
    }
}

/// An expression whose value on each span is wanted, as in `by(…)` and aggregates (spec/traceql.md §9).
///
/// Other than in a [`Filter`], literals do not select columns here: `by(span.amount > 450)` compares doubles with 450 too (§7 item 3).
#[derive(Clone, Debug)]
pub struct Expression {
    computed: Expr,
}

impl Expression {
    /// Compiles an expression that validation has accepted; fails as [`Filter::compile`] does.
    pub fn compile(expression: &FieldExpr) -> Result<Self, EvalError> {
        Ok(Expression { computed: compile::value(expression)? })
    }

    /// The values of ascending rows, nil where there is none.
    pub fn values(&self, source: &dyn SpanSource, traces: &dyn TraceFacts, rows: &[u32]) -> Result<Vec<Scalar>, EvalError> {
        self.computed.values(&Run::new(Context { source, traces }, &[], OnFailure::FailQuery), rows)
    }
}
