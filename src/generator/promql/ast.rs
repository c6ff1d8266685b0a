//! Expressions of the part of PromQL that is answered.

use regex::Regex;

/// A query.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A number.
    Number(f64),
    /// Series by name and labels.
    Selector(Selector),
    /// A function of the samples of a range, or of a histogram.
    Call(Call),
    /// Many series to few.
    Aggregate {
        /// How.
        how: Aggregation,
        /// Of which labels a group is.
        grouping: Grouping,
        /// What.
        of: Box<Expr>,
    },
    /// Two operands.
    Binary {
        /// What is done.
        operator: Operator,
        /// Left of it.
        left: Box<Expr>,
        /// Right of it.
        right: Box<Expr>,
    },
}

impl Expr {
    /// All selectors in it.
    pub fn selectors(&self) -> Vec<&Selector> {
        match self {
            Expr::Number(_) => Vec::new(),
            Expr::Selector(selector) | Expr::Call(Call::Rate(selector, _) | Call::Increase(selector, _)) => vec![selector],
            Expr::Call(Call::HistogramQuantile(_, of)) | Expr::Aggregate { of, .. } => of.selectors(),
            Expr::Binary { left, right, .. } => left.selectors().into_iter().chain(right.selectors()).collect(),
        }
    }
}

/// Functions.
#[derive(Clone, Debug)]
pub enum Call {
    /// Growth a second over so many milliseconds.
    Rate(Selector, i64),
    /// Growth over so many milliseconds.
    Increase(Selector, i64),
    /// A quantile of classic histograms.
    HistogramQuantile(f64, Box<Expr>),
}

/// Ways to aggregate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregation {
    /// Sum.
    Sum,
    /// Mean.
    Avg,
    /// Least.
    Min,
    /// Largest.
    Max,
    /// Number of series.
    Count,
    /// 1 for each group.
    Group,
    /// So many of the largest.
    TopK(usize),
}

/// The labels of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// These.
    By(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

/// Operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Series of the left, and those of the right with other labels.
    Or,
    /// Sum.
    Add,
    /// Difference.
    Subtract,
    /// Product.
    Multiply,
    /// Quotient.
    Divide,
}

/// Series by their labels; the name is one.
#[derive(Clone, Debug)]
pub struct Selector(pub Vec<Matcher>);

/// A condition on a label.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// How it is compared.
    pub op: MatchOp,
}

/// Ways to compare.
#[derive(Clone, Debug)]
pub enum MatchOp {
    /// `=`
    Equal(String),
    /// `!=`
    NotEqual(String),
    /// `=~`
    Like(Regex),
    /// `!~`
    NotLike(Regex),
}

impl Matcher {
    /// Whether a value is accepted; one that is not there is empty.
    pub fn accepts(&self, value: &str) -> bool {
        match &self.op {
            MatchOp::Equal(wanted) => wanted == value,
            MatchOp::NotEqual(unwanted) => unwanted != value,
            MatchOp::Like(pattern) => pattern.is_match(value),
            MatchOp::NotLike(pattern) => !pattern.is_match(value),
        }
    }
}
