//! Values of expressions that no single condition can answer: attribute against attribute, arithmetic, `!` and `-` on values.
//!
//! An operand is evaluated for all rows before the next one is looked at, so every attribute is read as a column. This is the rare
//! path: filters send only those rows here that their other conditions left in question.

use super::EvalError;
use super::bitmap::Bitmap;
use super::column::AttributeColumns;
use super::condition::TextTest;
use super::node::{Node, Run};
use super::place::Place;
use super::scalar::{self, Scalar};
use crate::traceql::ast::{BinaryOp, UnaryOp};

/// An expression with a value on every span.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    /// The same on every span.
    Const(Scalar),
    /// The value of an attribute or intrinsic.
    Attribute(Place),
    /// The bool of a condition.
    Condition(Box<Node>),
    /// A text against a regex.
    Regex(Box<Expr>, TextTest),
    /// `x != nil`.
    NotNil(Box<Expr>),
    /// `!x`, `-x`.
    Unary(UnaryOp, Box<Expr>),
    /// All other operators.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
}

/// The values of some rows.
enum Values {
    Same(Scalar),
    Each(Vec<Scalar>),
}

impl Values {
    fn at(&self, index: usize) -> &Scalar {
        match self {
            Values::Same(value) => value,
            Values::Each(values) => &values[index],
        }
    }

    /// Applies an operation to every row's value.
    fn map(&self, num_rows: usize, operation: impl Fn(&Scalar) -> Result<Scalar, EvalError>) -> Result<Values, EvalError> {
        match self {
            // Without rows nothing is evaluated, so that nothing can fail.
            Values::Same(value) if num_rows > 0 => operation(value).map(Values::Same),
            Values::Same(_) => Ok(Values::Each(Vec::new())),
            Values::Each(values) => values.iter().map(operation).collect::<Result<_, _>>().map(Values::Each),
        }
    }

    fn into_vec(self, num_rows: usize) -> Vec<Scalar> {
        match self {
            Values::Same(value) => vec![value; num_rows],
            Values::Each(values) => values,
        }
    }
}

impl Expr {
    /// The values of ascending rows.
    pub(super) fn values(&self, run: &Run<'_>, rows: &[u32]) -> Result<Vec<Scalar>, EvalError> {
        Ok(self.evaluate(run, rows)?.into_vec(rows.len()))
    }

    fn evaluate(&self, run: &Run<'_>, rows: &[u32]) -> Result<Values, EvalError> {
        match self {
            Expr::Const(value) => Ok(Values::Same(value.clone())),
            Expr::Attribute(place) => Ok(Values::Each(AttributeColumns::read(place, run.context)?.values(rows))),
            Expr::Condition(node) => {
                let question = Bitmap::from_rows(run.num_rows(), rows);
                let answer = node.select(run, &question)?;
                Ok(Values::Each(rows.iter().map(|&row| Scalar::Bool(answer.contains(row))).collect()))
            }
            Expr::Regex(operand, test) => operand.evaluate(run, rows)?.map(rows.len(), |value| Ok(Scalar::Bool(regex_holds(test, value)))),
            Expr::NotNil(operand) => operand.evaluate(run, rows)?.map(rows.len(), |value| Ok(Scalar::Bool(!value.is_nil()))),
            Expr::Unary(op, operand) => operand.evaluate(run, rows)?.map(rows.len(), |value| scalar::unary(*op, value)),
            Expr::Binary(op, left, right) if op.is_logical() => logical(*op, left, right, run, rows),
            Expr::Binary(op, left, right) => {
                let (left, right) = (left.evaluate(run, rows)?, right.evaluate(run, rows)?);
                if let (Values::Same(left), Values::Same(_)) = (&left, &right) {
                    return Values::Same(left.clone()).map(rows.len(), |left| scalar::binary(*op, left, right.at(0)));
                }
                let apply = |index| scalar::binary(*op, left.at(index), right.at(index));
                (0..rows.len()).map(apply).collect::<Result<_, _>>().map(Values::Each)
            }
        }
    }
}

/// The right operand is evaluated only for the rows that the left one leaves open (§6.2 rule 1).
fn logical(op: BinaryOp, left: &Expr, right: &Expr, run: &Run<'_>, rows: &[u32]) -> Result<Values, EvalError> {
    let mut values = left.values(run, rows)?;
    let decisive = Scalar::Bool(op == BinaryOp::Or);
    let open: Vec<usize> = (0..rows.len()).filter(|&index| values[index] != decisive).collect();
    let rest: Vec<u32> = open.iter().map(|&index| rows[index]).collect();
    for (index, right) in open.into_iter().zip(right.values(run, &rest)?) {
        values[index] = scalar::binary(op, &values[index], &right)?;
    }
    Ok(Values::Each(values))
}

/// §6.3 with the arrays of §6.6: some element for `=~`, every element for `!~`; what is no text never passes.
fn regex_holds(test: &TextTest, value: &Scalar) -> bool {
    let passes = |value: &Scalar| matches!(value, Scalar::Str(text) if test.passes(text.as_bytes()));
    match (value, test) {
        (Scalar::Array(elements), TextTest::MatchesNone(_)) => elements.iter().all(passes),
        (Scalar::Array(elements), _) => elements.iter().any(passes),
        (value, _) => passes(value),
    }
}
