//! Arithmetic between the results of metrics queries (spec/traceql.md §11.9).

use super::series::{Label, LabelValue, Series};
use crate::traceql::ast::MathOp;
use std::collections::HashMap;
use std::sync::Arc;

const NAME: &str = "__name__";

/// Arithmetic over the results of queries.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A constant.
    Scalar(f64),
    /// The result of a query, by its position.
    Query(usize),
    /// Arithmetic on two operands.
    Binary(MathOp, Box<Expr>, Box<Expr>),
}

/// What an expression yields.
enum Operand {
    Scalar(f64),
    Series(Vec<Series>),
}

impl Expr {
    /// The series of the expression; a constant alone has none.
    pub fn evaluate(&self, results: Vec<Vec<Series>>) -> Vec<Series> {
        if let Expr::Query(at) = self {
            return results.into_iter().nth(*at).unwrap_or_default();
        }
        match self.operand(&results) {
            Operand::Series(series) => series,
            Operand::Scalar(_) => Vec::new(),
        }
    }

    fn operand(&self, results: &[Vec<Series>]) -> Operand {
        let (op, left, right) = match self {
            Expr::Scalar(value) => return Operand::Scalar(*value),
            Expr::Query(at) => return Operand::Series(results.get(*at).cloned().unwrap_or_default()),
            Expr::Binary(op, left, right) => (*op, left.operand(results), right.operand(results)),
        };
        match (left, right) {
            (Operand::Scalar(left), Operand::Scalar(right)) => Operand::Scalar(compute(op, left, right)),
            (Operand::Series(series), Operand::Scalar(right)) => Operand::Series(mapped(series, |left| compute(op, left, right))),
            (Operand::Scalar(left), Operand::Series(series)) => Operand::Series(mapped(series, |right| compute(op, left, right))),
            (Operand::Series(left), Operand::Series(right)) => Operand::Series(joined(op, &left, &right)),
        }
    }
}

/// NaN where there is no result.
fn compute(op: MathOp, left: f64, right: f64) -> f64 {
    match op {
        MathOp::Add => left + right,
        MathOp::Sub => left - right,
        MathOp::Mul => left * right,
        MathOp::Div if right == 0.0 => f64::NAN,
        MathOp::Div => left / right,
    }
}

fn mapped(mut series: Vec<Series>, operation: impl Fn(f64) -> f64) -> Vec<Series> {
    for series in &mut series {
        series.samples.iter_mut().for_each(|sample| *sample = operation(*sample));
        series.exemplars.iter_mut().for_each(|exemplar| exemplar.value = operation(exemplar.value));
    }
    series
}

/// What two series have to agree on: names, types and values of all labels but the name of the function, in their order.
fn identity(series: &Series) -> String {
    let labels = series.labels.iter().filter(|label| &*label.name != NAME);
    labels.map(|label| format!("{:?}={:?},", label.name, label.value)).collect()
}

/// Joins series with the same labels. One without labels is joined with all that have no partner.
fn joined(op: MathOp, left: &[Series], right: &[Series]) -> Vec<Series> {
    let by_identity = |series: &[Series]| series.iter().enumerate().map(|(at, series)| (identity(series), at)).collect();
    let (lefts, rights): (HashMap<String, usize>, HashMap<String, usize>) = (by_identity(left), by_identity(right));
    let (left_for_all, right_for_all) = (lefts.get(""), rights.get(""));
    let mut out = Vec::new();
    for series in left {
        match (rights.get(&identity(series)), right_for_all) {
            (Some(partner), _) => out.push(combined(op, series, &right[*partner], &[series, &right[*partner]])),
            (None, Some(partner)) => out.push(combined(op, series, &right[*partner], &[series])),
            (None, None) => {}
        }
    }
    if let Some(partner) = left_for_all {
        let alone = right.iter().filter(|series| !lefts.contains_key(&identity(series)));
        out.extend(alone.map(|series| combined(op, &left[*partner], series, &[series])));
    }
    out
}

fn combined(op: MathOp, left: &Series, right: &Series, with_exemplars: &[&Series]) -> Series {
    let samples = left.samples.iter().zip(&right.samples).map(|(left, right)| compute(op, *left, *right)).collect();
    let mut exemplars: Vec<_> = with_exemplars.iter().flat_map(|series| series.exemplars.iter().cloned()).collect();
    exemplars.sort_by_key(|exemplar| exemplar.unix_nanos);
    Series { labels: joined_labels(op, &left.labels, &right.labels), samples, exemplars }
}

/// Those of the left, then those of the right that are not there yet; the name says what was joined, if both have one.
fn joined_labels(op: MathOp, left: &[Label], right: &[Label]) -> Vec<Label> {
    let mut labels: Vec<Label> = left.to_vec();
    labels.extend(right.iter().filter(|label| left.iter().all(|other| other.name != label.name)).cloned());
    let name = match (name_of(left), name_of(right)) {
        (Some(left), Some(right)) => Some(format!("({left} {} {right})", op.symbol())),
        _ => None,
    };
    match name {
        Some(name) => labels.iter_mut().filter(|label| &*label.name == NAME).for_each(|label| *label = Label::text(NAME, &*name)),
        None => labels.retain(|label| &*label.name != NAME),
    }
    labels
}

fn name_of(labels: &[Label]) -> Option<Arc<str>> {
    labels.iter().find(|label| &*label.name == NAME).and_then(|label| match &label.value {
        LabelValue::Str(name) => Some(Arc::clone(name)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(labels: &[(&str, &str)], samples: &[f64]) -> Series {
        Series::new(labels.iter().map(|(name, value)| Label::text(*name, *value)).collect(), samples.to_vec())
    }

    fn binary(op: MathOp, left: Expr, right: Expr) -> Expr {
        Expr::Binary(op, Box::new(left), Box::new(right))
    }

    fn quotient(left: Vec<Series>, right: Vec<Series>) -> Vec<Series> {
        binary(MathOp::Div, Expr::Query(0), Expr::Query(1)).evaluate(vec![left, right])
    }

    #[test]
    fn constants_apply_to_every_sample() {
        let rate = vec![series(&[(NAME, "rate")], &[2.0, 4.0])];
        let expr = binary(MathOp::Sub, Expr::Scalar(10.0), binary(MathOp::Mul, Expr::Query(0), Expr::Scalar(2.0)));
        assert_eq!(expr.evaluate(vec![rate.clone()]), [series(&[(NAME, "rate")], &[6.0, 2.0])]);
        let nothing = binary(MathOp::Div, Expr::Query(0), Expr::Scalar(0.0)).evaluate(vec![rate]);
        assert!(!nothing[0].has_samples());
    }

    #[test]
    fn series_are_joined_by_their_labels() {
        let left = vec![series(&[("a", "x"), ("b", "y")], &[6.0, 1.0]), series(&[("a", "z")], &[1.0, 1.0])];
        let right = vec![series(&[("a", "x"), ("b", "y")], &[3.0, 0.0]), series(&[("b", "y"), ("a", "x")], &[1.0, 1.0])];
        let result = quotient(left, right);
        assert_eq!((result.len(), &result[0].labels, result[0].samples[0]), (1, &series(&[("a", "x"), ("b", "y")], &[]).labels, 2.0));
        assert!(result[0].samples[1].is_nan());
    }

    #[test]
    fn names_are_joined() {
        let rate = |value| vec![series(&[(NAME, "rate")], &[value])];
        let sum = binary(MathOp::Add, Expr::Query(0), Expr::Query(1));
        let result = binary(MathOp::Mul, sum, Expr::Query(0)).evaluate(vec![rate(2.0), rate(3.0)]);
        assert_eq!(result, [series(&[(NAME, "((rate + rate) * rate)")], &[10.0])]);
    }

    #[test]
    fn a_series_without_labels_is_joined_with_all() {
        let single = || vec![series(&[(NAME, "rate")], &[2.0])];
        let grouped = || vec![series(&[("a", "x")], &[4.0]), series(&[("a", "y")], &[8.0])];
        assert_eq!(quotient(grouped(), single()), [series(&[("a", "x")], &[2.0]), series(&[("a", "y")], &[4.0])]);
        assert_eq!(quotient(single(), grouped()), [series(&[("a", "x")], &[0.5]), series(&[("a", "y")], &[0.25])]);
    }
}
