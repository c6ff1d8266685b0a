//! Values of expressions that no single condition can answer: attribute against attribute, arithmetic, `!` and `-` on values.
//!
//! First the columns are read, then an operand is evaluated for a batch of rows before the next one is looked at. This is the rare
//! path: filters send only those rows here that their other conditions left in question.

use super::EvalError;
use super::bitmap::Bitmap;
use super::column::AttributeColumns;
use super::condition::TextTest;
use super::node::{Node, Run};
use super::place::Place;
use super::scalar::{self, Scalar};
use crate::columns::view::Wanted;
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

/// Rows whose values are computed together: few enough to stay in a core's own cache. Small in tests, which have few rows.
const BATCH: usize = if cfg!(test) { 3 } else { 2048 };

/// An expression with the columns that it needs.
enum Bound<'a> {
    Const(&'a Scalar),
    Attribute(AttributeColumns<'a>),
    Condition(Bitmap),
    Regex(Box<Bound<'a>>, &'a TextTest),
    NotNil(Box<Bound<'a>>),
    Unary(UnaryOp, Box<Bound<'a>>),
    Binary(BinaryOp, Box<Bound<'a>>, Box<Bound<'a>>),
}

/// The values of some rows.
enum Values<'a> {
    Same(&'a Scalar),
    Each(Vec<Scalar>),
}

impl Values<'_> {
    fn at(&self, index: usize) -> &Scalar {
        match self {
            Values::Same(value) => value,
            Values::Each(values) => &values[index],
        }
    }

    /// Applies an operation to every row's value.
    fn map<'b>(self, num_rows: usize, operation: impl Fn(&Scalar) -> Result<Scalar, EvalError>) -> Result<Values<'b>, EvalError> {
        (0..num_rows).map(|index| operation(self.at(index))).collect::<Result<_, _>>().map(Values::Each)
    }

    fn into_vec(self, num_rows: usize) -> Vec<Scalar> {
        match self {
            Values::Same(value) => vec![value.clone(); num_rows],
            Values::Each(values) => values,
        }
    }
}

impl Expr {
    /// The values of ascending rows.
    pub(super) fn values(&self, run: &Run<'_>, rows: &[u32]) -> Result<Vec<Scalar>, EvalError> {
        let bound = self.bind(run, rows)?;
        let mut values = Vec::with_capacity(rows.len());
        for batch in rows.chunks(BATCH) {
            values.append(&mut bound.values(batch)?.into_vec(batch.len()));
        }
        Ok(values)
    }

    /// Those of ascending rows whose value is the bool true.
    pub(super) fn true_rows(&self, run: &Run<'_>, rows: &[u32]) -> Result<Vec<u32>, EvalError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let bound = self.bind(run, rows)?;
        let mut out = Vec::new();
        for batch in rows.chunks(BATCH) {
            match bound.values(batch) {
                Ok(values) => out.extend(batch.iter().enumerate().filter(|&(index, _)| values.at(index).is_true()).map(|(_, &row)| row)),
                Err(error) if run.may_skip(&error) => bound.add_true_rows(run, batch, &mut out)?,
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }

    /// Reads the columns for the values of some rows.
    fn bind<'a>(&'a self, run: &'a Run<'_>, rows: &[u32]) -> Result<Bound<'a>, EvalError> {
        let bind = |operand: &'a Expr| operand.bind(run, rows).map(Box::new);
        Ok(match self {
            Expr::Const(value) => Bound::Const(value),
            Expr::Attribute(place) => Bound::Attribute(AttributeColumns::read(place, run.context, Wanted::Some(rows))?),
            Expr::Condition(node) => Bound::Condition(node.select(run, &Bitmap::from_rows(run.num_rows(), rows))?),
            Expr::Regex(operand, test) => Bound::Regex(bind(operand)?, test),
            Expr::NotNil(operand) => Bound::NotNil(bind(operand)?),
            Expr::Unary(op, operand) => Bound::Unary(*op, bind(operand)?),
            Expr::Binary(op, left, right) => Bound::Binary(*op, bind(left)?, bind(right)?),
        })
    }
}

impl Bound<'_> {
    /// Row by row, because an operator fails on some of them.
    fn add_true_rows(&self, run: &Run<'_>, rows: &[u32], out: &mut Vec<u32>) -> Result<(), EvalError> {
        for row in rows {
            match self.values(std::slice::from_ref(row)) {
                Ok(values) => out.extend(values.at(0).is_true().then_some(*row)),
                Err(error) => run.skip(*row, error)?,
            }
        }
        Ok(())
    }

    fn values(&self, rows: &[u32]) -> Result<Values<'_>, EvalError> {
        match self {
            Bound::Const(value) => Ok(Values::Same(value)),
            Bound::Attribute(columns) => Ok(Values::Each(columns.values(rows))),
            Bound::Condition(holds) => Ok(Values::Each(rows.iter().map(|&row| Scalar::Bool(holds.contains(row))).collect())),
            Bound::Regex(operand, test) => operand.values(rows)?.map(rows.len(), |value| Ok(Scalar::Bool(regex_holds(test, value)))),
            Bound::NotNil(operand) => operand.values(rows)?.map(rows.len(), |value| Ok(Scalar::Bool(!value.is_nil()))),
            Bound::Unary(op, operand) => operand.values(rows)?.map(rows.len(), |value| scalar::unary(*op, value)),
            Bound::Binary(op, left, right) if op.is_logical() => logical(*op, left, right, rows),
            Bound::Binary(op, left, right) => {
                let (left, right) = (left.values(rows)?, right.values(rows)?);
                let apply = |index| scalar::binary(*op, left.at(index), right.at(index));
                (0..rows.len()).map(apply).collect::<Result<_, _>>().map(Values::Each)
            }
        }
    }
}

/// The right operand is evaluated only for the rows that the left one leaves open (§6.2 rule 1).
fn logical<'a>(op: BinaryOp, left: &'a Bound<'_>, right: &'a Bound<'_>, rows: &[u32]) -> Result<Values<'a>, EvalError> {
    let mut values = left.values(rows)?.into_vec(rows.len());
    let decisive = Scalar::Bool(op == BinaryOp::Or);
    let open: Vec<usize> = (0..rows.len()).filter(|&index| values[index] != decisive).collect();
    let rest: Vec<u32> = open.iter().map(|&index| rows[index]).collect();
    let right = right.values(&rest)?;
    for (nth, index) in open.into_iter().enumerate() {
        values[index] = scalar::binary(op, &values[index], right.at(nth))?;
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
