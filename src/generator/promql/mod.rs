//! The few queries that Grafana's service graph and panels of rates, errors and durations ask (spec/metrics-generator.md §13),
//! answered from the history of a tenant. Everything else is refused, with the list of what is not.
//!
//! `lexer` and `parser` make an [`Expr`] (`ast`) of a text; `past` is what a tenant hands
//! out of its series, `select` finds some of them and their samples; `eval` computes, for each moment of
//! a query, what Prometheus would: `rate` with its extrapolation, `histogram_quantile` with its interpolation.

mod ast;
mod eval;
mod functions;
mod lexer;
mod parser;
mod past;
mod select;

pub use ast::{Aggregation, Call, Expr, Grouping, MatchOp, Matcher, Operator, Selector};
pub use eval::{Outcome, Sample, evaluate};
pub use lexer::duration_millis;
pub use parser::{parse, parse_selector};
pub use past::Past;
pub use select::{Labels, Lookup, Moments, label_names, label_values, series_labels};

/// What is not refused.
pub const SUPPORTED: &str = "supported are selectors of generated series, rate, increase, sum, avg, min, max, count, group and topk with by or \
                             without, histogram_quantile, numbers, + - * / and `or`";

/// Series times moments that one query may have.
const MAX_POINTS: usize = 2_000_000;

/// How far back a moment looks for a sample, milliseconds.
const LOOKBACK_MILLIS: i64 = 300_000;

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromqlError {
    /// It is no PromQL.
    #[error("parse error at char {position}: {message}")]
    Syntax {
        /// Counted from 1.
        position: usize,
        /// What is wrong there.
        message: String,
    },
    /// It is PromQL, or may be, and not of the part that is answered here.
    #[error(
        "{0} is not supported by this server's query API for generated metrics; {SUPPORTED}. Use remote write to a Prometheus for the rest"
    )]
    Unsupported(String),
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It would look at too much.
    #[error("the query has more than {MAX_POINTS} points: ask for fewer series, a shorter range or a longer step")]
    TooLarge,
}

#[cfg(test)]
mod tests;
