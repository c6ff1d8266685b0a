//! TraceQL metrics: series over time from the spans that a pipeline keeps (spec/traceql.md chapter 11).
//!
//! ```text
//! MetricsQuery ─ compile ─▶ Function ─ observe: source by source ─▶ Observed ─ finish ─▶ Series ─ math, stages ─▶ Outcome
//!                            rows ─▶ time bucket ┐
//!                            by(…) ─▶ group code ┴▶ dense cells
//! ```
//!
//! - `buckets`: time; `selected`: the observed rows of a source with their buckets;
//! - `keys`: an attribute as codes; `values`: distinct values; `groups`: groups of spans over all sources;
//! - `numbers`: observed values; `cells`: counts, extremes, sums; `quantile`: what a histogram says;
//! - `function`: one metrics query; `counted`: spans of which blocks know how many there are; `compare`: the function that looks at all attributes; `exemplars`;
//! - `second_stages`, `math`: on finished series; `series`: labels, and the order of the answer.
//!
//! A source is read a column at a time, only the columns named, and a string is looked at once for each distinct value of a
//! source. What is kept grows with the groups, not with the spans, up to [`MAX_BYTES`].

mod buckets;
mod cells;
mod compare;
mod counted;
mod exemplars;
mod function;
mod groups;
mod keys;
mod math;
mod numbers;
mod quantile;
mod second_stages;
mod selected;
mod series;
mod values;

#[cfg(test)]
mod tests;

pub use buckets::{Buckets, NO_BUCKET, default_step};
pub use compare::{ComparedRows, Comparison, Counted, Subject};
pub use exemplars::{MAX_EXEMPLARS, num_wanted};
pub use function::{Function, Observed};
pub use keys::Spans;
pub use series::{Exemplar, Label, LabelValue, Series};

use super::ast::{Body, MathExpr, MetricsQuery, Query, SecondStage};
use super::eval::EvalError;
use math::Expr;

/// Most bytes that the groups, samples and counts of a query take, all its threads together. Series beyond that are left out and the
/// answer says so; of a comparison the rarest values are forgotten.
pub const MAX_BYTES: usize = 128 << 20;

/// Most buckets of a query.
pub const MAX_BUCKETS: usize = 1 << 22;

/// What is asked besides the query itself.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The buckets of the answer.
    pub buckets: Buckets,
    /// Exemplars that are wanted, if the query does not say: 0 for the most. An instant query has none.
    pub exemplars: Option<usize>,
    /// Most series in the answer; 0 for no bound.
    pub max_series: usize,
}

/// What the operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most exemplars of an answer, and how many there are if nobody asks for a number.
    pub max_exemplars: usize,
    /// Most series of an answer; 0 for no bound.
    pub max_series: usize,
    /// Most bytes that groups, samples and counts take, at most [`MAX_BYTES`].
    pub max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_exemplars: MAX_EXEMPLARS, max_series: 0, max_bytes: MAX_BYTES }
    }
}

impl Limits {
    /// The bound that a request for so many series has; 0 for none.
    fn num_series(&self, requested: usize) -> usize {
        match (self.max_series, requested) {
            (0, bound) | (bound, 0) => bound,
            (most, bound) => most.min(bound),
        }
    }
}

/// A metrics query of any form, compiled: queries, and what is made of their results.
#[derive(Clone, Debug)]
pub struct Plan {
    functions: Vec<Function>,
    expr: Expr,
    stages: Vec<SecondStage>,
    request: Request,
}

/// The series of an answer, in its order.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Each has at least one sample.
    pub series: Vec<Series>,
    /// If series were left out, the bound that they exceeded.
    pub exceeded: Option<usize>,
}

impl Plan {
    /// Compiles a query that validation has accepted; `None` if it is no metrics query.
    ///
    /// # Errors
    /// What the evaluator does not support.
    pub fn compile(query: &Query, request: Request, limits: Limits) -> Result<Option<Self>, EvalError> {
        let mut queries: Vec<&MetricsQuery> = Vec::new();
        let (expr, stages) = match &query.body {
            Body::Metrics(metrics) => {
                queries.push(metrics);
                (Expr::Query(0), Vec::new())
            }
            Body::Math(math) => (collect(&math.expr, &mut queries), math.second_stages.clone()),
            Body::Pipeline(_) | Body::ScalarComparison(_) => return Ok(None),
        };
        let wanted = request.exemplars.map_or(0, |requested| num_wanted(&query.hints, requested, limits.max_exemplars));
        let request = Request { max_series: limits.num_series(request.max_series), ..request };
        // Several queries share the exemplars, but each has at least one (§11.9).
        let num_exemplars = if wanted == 0 { 0 } else { (wanted / queries.len().max(1)).max(1) };
        let max_bytes = limits.max_bytes.min(MAX_BYTES) / queries.len().max(1);
        let compiled = queries.iter().map(|query| Function::compile(query, request.buckets, num_exemplars, max_bytes));
        Ok(Some(Plan { functions: compiled.collect::<Result<_, _>>()?, expr, stages, request }))
    }

    /// The queries, each to be run once.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The buckets of the answer.
    pub fn buckets(&self) -> &Buckets {
        &self.request.buckets
    }

    /// The answer from what each query has observed, in their order. `has_data` says for each that there was something to look at.
    pub fn finish(&self, observed: Vec<(Observed, bool)>) -> Outcome {
        let is_partial = observed.iter().any(|(observed, _)| observed.is_partial());
        let results: Vec<Vec<Series>> =
            self.functions.iter().zip(observed).map(|(function, (observed, has_data))| function.finish(observed, has_data)).collect();
        let mut series = second_stages::apply(&self.stages, self.expr.evaluate(results));
        series.retain(Series::has_samples);
        series.iter_mut().for_each(|series| self.settle_exemplars(series));
        series::sort(&mut series);
        let mut exceeded = is_partial.then_some(series.len());
        if self.request.max_series > 0 && series.len() >= self.request.max_series {
            series.truncate(self.request.max_series);
            exceeded = Some(self.request.max_series);
        }
        Outcome { series, exceeded }
    }

    /// Exemplars in the order of time; those without a value of their own have that of their bucket, and go where it has none.
    fn settle_exemplars(&self, series: &mut Series) {
        let Series { samples, exemplars, .. } = series;
        exemplars.retain_mut(|exemplar| {
            let sample = samples.get(self.request.buckets.of(exemplar.unix_nanos) as usize).copied().unwrap_or(f64::NAN);
            if exemplar.value.is_nan() {
                exemplar.value = sample;
            }
            !sample.is_nan() && !exemplar.value.is_nan()
        });
        exemplars.sort_by_key(|exemplar| exemplar.unix_nanos);
    }
}

/// The arithmetic over queries, each of which is listed once however often it is written.
fn collect<'q>(expr: &'q MathExpr, queries: &mut Vec<&'q MetricsQuery>) -> Expr {
    match expr {
        MathExpr::Scalar(value) => Expr::Scalar(value.as_f64().unwrap_or(f64::NAN)),
        MathExpr::Query(query) => Expr::Query(queries.iter().position(|other| *other == &**query).unwrap_or_else(|| {
            queries.push(query);
            queries.len() - 1
        })),
        MathExpr::Binary { op, left, right } => {
            let left = collect(left, queries);
            Expr::Binary(*op, Box::new(left), Box::new(collect(right, queries)))
        }
    }
}
