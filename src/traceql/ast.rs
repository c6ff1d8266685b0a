//! The syntax tree of a TraceQL query (spec/traceql.md §3).
//!
//! The tree is plain data without source positions. The parser builds it in *folded* form: parentheses are gone, operations on
//! constants are replaced by their value (§6.8), comparisons with `nil` are nodes of their own. Its canonical text
//! ([`std::fmt::Display`], chapter 14) parses back to an equal tree, and no tree that the parser returns is deeper than
//! [`crate::traceql::MAX_DEPTH`], so recursion over it is safe.

pub use super::attribute::{Attribute, Intrinsic, Scope, Type};
pub use super::statics::{Kind, Static, Status};

/// A whole query: what to compute, and the hints at its very end.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What the query computes.
    pub body: Body,
    /// The hints of the last `with(…)` list, in written order; earlier lists have no meaning (§12).
    pub hints: Vec<Hint>,
}

/// One `name=value` of a `with(…)` list (§12). Unknown names and unfit values are for the reader to ignore.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// The name as written.
    pub name: String,
    /// The value; never [`Static::Nil`].
    pub value: Static,
}

/// The four families of queries (§3.1).
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A search: `{…} | …`, also `({…} | …) && ({…} | …)`.
    Pipeline(Pipeline),
    /// `({…} | count()) > 1`: parses, but validation always refuses it (§3.1, `scalarPipelineFilter`).
    ScalarComparison(ScalarFilter),
    /// One metrics query.
    Metrics(MetricsQuery),
    /// Arithmetic between metrics queries (§11.9), also a single one in parentheses.
    Math(MathQuery),
}

/// Stages that hand a list of spansets from left to right (§9). Holds at least one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The stages in written order.
    pub stages: Vec<Stage>,
}

/// One stage of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// A filter or an operation between spansets.
    Spansets(SpansetExpr),
    /// `count() > 2`: keeps the spansets whose aggregate compares so.
    ScalarFilter(ScalarFilter),
    /// `by(expression)`: splits every spanset by value.
    GroupBy(FieldExpr),
    /// `coalesce()`: all spansets become one.
    Coalesce,
    /// `select(a, b)`: makes attributes available in the answer. Holds at least one.
    Select(Vec<Attribute>),
}

/// A spanset expression (§3.1, `spansetExpr` and `spansetPipelineExpr`).
#[derive(Debug, Clone, PartialEq)]
pub enum SpansetExpr {
    /// `{ expression }`; `{ }` is the constant true.
    Filter(FieldExpr),
    /// Two operands, each evaluated on the same incoming spanset.
    Binary {
        /// The operator.
        op: SpansetOp,
        /// The operand on the left.
        left: Box<SpansetExpr>,
        /// The operand on the right.
        right: Box<SpansetExpr>,
    },
    /// A parenthesised pipeline that is more than one spanset expression.
    Wrapped(Pipeline),
}

/// How two spans of one trace are related (§8.2); named by what the span of the right operand is to that of the left one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `>`
    Child,
    /// `<`
    Parent,
    /// `>>`
    Descendant,
    /// `<<`
    Ancestor,
    /// `~`
    Sibling,
}

/// Operators between spansets (§8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpansetOp {
    /// `&&`: the union, if both sides hold spans.
    And,
    /// `||`: the union.
    Or,
    /// `>`, `<`, `>>`, `<<`, `~`: spans of the right operand that have a related span on the left.
    Related(Relation),
    /// `!>`, `!<`, `!>>`, `!<<`, `!~`: spans of the right operand that have no related span on the left.
    NotRelated(Relation),
    /// `&>`, `&<`, `&>>`, `&<<`, `&~`: the spans of every related pair.
    UnionRelated(Relation),
}

/// `left op right` with at least one aggregate in it. Validation accepts only `aggregate op constant` (§9).
#[derive(Debug, Clone, PartialEq)]
pub struct ScalarFilter {
    /// The comparison.
    pub op: CompareOp,
    /// The operand on the left.
    pub left: ScalarExpr,
    /// The operand on the right.
    pub right: ScalarExpr,
}

/// An operand of a scalar filter.
#[derive(Debug, Clone, PartialEq)]
pub enum ScalarExpr {
    /// A constant: int, float or duration (any literal in a [`Body::ScalarComparison`]).
    Static(Static),
    /// An aggregate over the spans of a spanset.
    Aggregate(Aggregate),
    /// Arithmetic with an aggregate in it; validation always refuses it.
    Binary {
        /// One of the arithmetic operators.
        op: BinaryOp,
        /// The operand on the left.
        left: Box<ScalarExpr>,
        /// The operand on the right.
        right: Box<ScalarExpr>,
    },
    /// `(pipeline | aggregate)`; validation always refuses it.
    Wrapped {
        /// The stages before the aggregate.
        pipeline: Pipeline,
        /// The aggregate at the end.
        aggregate: Box<Aggregate>,
    },
}

/// An aggregate of a scalar filter (§9).
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregate {
    /// `count()`
    Count,
    /// `max(expression)` and its like.
    Over {
        /// Which one.
        op: AggregateOp,
        /// Evaluated on every span.
        operand: FieldExpr,
    },
}

/// The aggregates that look at a value of every span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    /// `max`
    Max,
    /// `min`
    Min,
    /// `avg`
    Avg,
    /// `sum`
    Sum,
}

/// An expression on one span (§6).
#[derive(Debug, Clone, PartialEq)]
pub enum FieldExpr {
    /// A constant; never [`Static::Nil`] when it comes from the parser.
    Static(Static),
    /// The value of an attribute or intrinsic, nil when absent.
    Attribute(Attribute),
    /// `!x` or `-x`.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its operand.
        operand: Box<FieldExpr>,
    },
    /// `left op right`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// The operand on the left.
        left: Box<FieldExpr>,
        /// The operand on the right.
        right: Box<FieldExpr>,
    },
    /// `x = nil`, also written `nil = x`.
    IsNil(Box<FieldExpr>),
    /// `x != nil`, also written `nil != x`.
    NotNil(Box<FieldExpr>),
}

/// Operators with one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `!`
    Not,
    /// `-`
    Neg,
}

/// Operators with two operands in a field expression (§6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
}

/// Comparisons of scalar filters and of metrics second stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// `pipeline | function second-stages` (§11).
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsQuery {
    /// Decides which spans are observed.
    pub pipeline: Pipeline,
    /// What is computed from them.
    pub function: MetricsFunction,
    /// Applied on the merged result, left to right (§11.8).
    pub second_stages: Vec<SecondStage>,
}

/// The first-stage functions of a metrics query (§11.4).
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsFunction {
    /// `rate()`, `count_over_time()`
    Counting {
        /// Which one.
        op: CountingOp,
        /// Labels of the series; empty without `by`.
        by: Vec<Attribute>,
    },
    /// `min_over_time(a)` and its like.
    OverTime {
        /// Which one.
        op: OverTimeOp,
        /// The observed value.
        attribute: Attribute,
        /// Labels of the series; empty without `by`.
        by: Vec<Attribute>,
    },
    /// `quantile_over_time(a, q, …)`
    Quantile {
        /// The observed value.
        attribute: Attribute,
        /// The quantiles as written, at least one; validation keeps them in 0…1.
        quantiles: Vec<f64>,
        /// Labels of the series; empty without `by`.
        by: Vec<Attribute>,
    },
    /// `compare({…}, …)`
    Compare(Compare),
}

/// Functions that count spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CountingOp {
    /// `rate`: spans per second.
    Rate,
    /// `count_over_time`: spans.
    CountOverTime,
}

/// Functions that observe one value of every span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverTimeOp {
    /// `min_over_time`
    Min,
    /// `max_over_time`
    Max,
    /// `avg_over_time`
    Avg,
    /// `sum_over_time`
    Sum,
    /// `histogram_over_time`
    Histogram,
}

/// `compare({selection}, top_n, start, end)` (§11.7).
#[derive(Debug, Clone, PartialEq)]
pub struct Compare {
    /// The filter that splits the spans into selection and baseline.
    pub selection: FieldExpr,
    /// How many values are kept per attribute and side; 10 when not written.
    pub top_n: i64,
    /// The selection's time window; `None` when not written or written as `0, 0`.
    pub window: Option<CompareWindow>,
}

/// The window of a `compare`: spans with start < span start ≤ end can be in the selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareWindow {
    /// Exclusive bound in nanoseconds since the Unix epoch.
    pub start_unix_nanos: i64,
    /// Inclusive bound in nanoseconds since the Unix epoch.
    pub end_unix_nanos: i64,
}

/// What follows a metrics function (§11.8).
#[derive(Debug, Clone, PartialEq)]
pub enum SecondStage {
    /// `| topk(n)`
    TopK(i64),
    /// `| bottomk(n)`
    BottomK(i64),
    /// `> value`: keeps the samples that compare so. A duration stands for seconds.
    Compare {
        /// The comparison.
        op: CompareOp,
        /// Int, float or duration.
        value: Static,
    },
}

/// Arithmetic between metrics queries, then stages on its result (§11.9).
#[derive(Debug, Clone, PartialEq)]
pub struct MathQuery {
    /// The arithmetic; holds at least one metrics query.
    pub expr: MathExpr,
    /// Applied on the result of the arithmetic, left to right.
    pub second_stages: Vec<SecondStage>,
}

/// An operand of metrics arithmetic.
#[derive(Debug, Clone, PartialEq)]
pub enum MathExpr {
    /// A constant: int or float.
    Scalar(Static),
    /// A parenthesised metrics query with its own second stages.
    Query(Box<MetricsQuery>),
    /// Arithmetic on two operands, at least one of them no constant.
    Binary {
        /// The operator.
        op: MathOp,
        /// The operand on the left.
        left: Box<MathExpr>,
        /// The operand on the right.
        right: Box<MathExpr>,
    },
}

/// The operators of metrics arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MathOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
}

impl MetricsFunction {
    /// The function's name as written, also the `__name__` label of ungrouped series (§11.5).
    pub fn name(&self) -> &'static str {
        match self {
            Self::Counting { op: CountingOp::Rate, .. } => "rate",
            Self::Counting { op: CountingOp::CountOverTime, .. } => "count_over_time",
            Self::OverTime { op, .. } => match op {
                OverTimeOp::Min => "min_over_time",
                OverTimeOp::Max => "max_over_time",
                OverTimeOp::Avg => "avg_over_time",
                OverTimeOp::Sum => "sum_over_time",
                OverTimeOp::Histogram => "histogram_over_time",
            },
            Self::Quantile { .. } => "quantile_over_time",
            Self::Compare(_) => "compare",
        }
    }

    /// The labels of the series in written order; empty without `by`.
    pub fn group_by(&self) -> &[Attribute] {
        match self {
            Self::Counting { by, .. } | Self::OverTime { by, .. } | Self::Quantile { by, .. } => by,
            Self::Compare(_) => &[],
        }
    }

    /// The attribute whose value is observed, if the function has one.
    pub fn attribute(&self) -> Option<&Attribute> {
        match self {
            Self::OverTime { attribute, .. } | Self::Quantile { attribute, .. } => Some(attribute),
            Self::Counting { .. } | Self::Compare(_) => None,
        }
    }
}

impl FieldExpr {
    /// Calls `visit` with every attribute in the expression, from left to right.
    pub fn each_attribute(&self, visit: &mut impl FnMut(&Attribute)) {
        match self {
            Self::Static(_) => {}
            Self::Attribute(attribute) => visit(attribute),
            Self::Unary { operand, .. } | Self::IsNil(operand) | Self::NotNil(operand) => operand.each_attribute(visit),
            Self::Binary { left, right, .. } => {
                left.each_attribute(visit);
                right.each_attribute(visit);
            }
        }
    }
}

impl BinaryOp {
    /// Whether this is `+ - * / % ^`.
    pub fn is_arithmetic(self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Mod | Self::Pow)
    }

    /// Whether this is `&&` or `||`.
    pub fn is_logical(self) -> bool {
        matches!(self, Self::And | Self::Or)
    }

    /// Whether the result is a bool: every operator that is not arithmetic (§4).
    pub fn is_boolean(self) -> bool {
        !self.is_arithmetic()
    }
}
