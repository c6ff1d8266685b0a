//! Boolean expressions as sets of rows.

use super::bitmap::Bitmap;
use super::details;
use super::expression::Expr;
use super::leaf::Leaf;
use super::place::Context;
use super::{EvalError, OnFailure};
use crate::columns::view::Detail;
use std::cell::{OnceCell, RefCell};

/// An expression that is true or false on every span.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// The same on every span.
    Const(bool),
    /// One condition on one attribute.
    Leaf(Leaf),
    /// One and the same event (or link) of the span fulfils all conditions, which are told in the terms of its own source.
    SameDetail(Detail, Vec<Leaf>),
    /// All of them; cheapest first.
    And(Vec<Node>),
    /// Some of them.
    Or(Vec<Node>),
    /// Not this one, which cannot be anything but true or false.
    Not(Box<Node>),
    /// Where the value is the bool true.
    Computed(Expr),
}

/// More than the cost of any other node.
const COMPUTED_COST: u32 = 10_000;

/// One evaluation over one source.
pub(super) struct Run<'a> {
    pub(super) context: Context<'a>,
    /// The conditions of which a span has to fulfil one in order to be looked at by [`Node::Computed`]; see [`super::compile`].
    conditions: &'a [Leaf],
    seen: OnceCell<Bitmap>,
    on_failure: OnFailure,
    /// Rows on which an operator failed, where that is no failure of the query.
    skipped: RefCell<Option<Bitmap>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(context: Context<'a>, conditions: &'a [Leaf], on_failure: OnFailure) -> Self {
        Run { context, conditions, seen: OnceCell::new(), on_failure, skipped: RefCell::new(None) }
    }

    /// The rows on which an operator failed; `None` if there are none.
    pub(super) fn skipped(self) -> Option<Bitmap> {
        self.skipped.into_inner()
    }

    /// Notes that an operator failed on a row; gives the error back if the query fails with it.
    pub(super) fn skip(&self, row: u32, error: EvalError) -> Result<(), EvalError> {
        if !self.may_skip(&error) {
            return Err(error);
        }
        self.skipped.borrow_mut().get_or_insert_with(|| Bitmap::empty(self.num_rows())).insert(row);
        Ok(())
    }

    /// Whether only the span is lost on which this happened.
    pub(super) fn may_skip(&self, error: &EvalError) -> bool {
        self.on_failure == OnFailure::SkipSpan && matches!(error, EvalError::Runtime(_))
    }

    pub(super) fn num_rows(&self) -> usize {
        self.context.source.num_rows()
    }

    /// The rows of `question` that a computed expression looks at.
    fn seen_of(&self, question: &Bitmap) -> Result<Bitmap, EvalError> {
        let mut rows = question.clone();
        if self.conditions.is_empty() {
            return Ok(rows);
        }
        let seen = match self.seen.get() {
            Some(seen) => seen,
            None => {
                let mut seen = Bitmap::empty(self.num_rows());
                for leaf in self.conditions {
                    seen.or_with(&leaf.select(self.context)?);
                }
                self.seen.get_or_init(|| seen)
            }
        };
        rows.and_with(seen);
        Ok(rows)
    }
}

impl Node {
    /// The rows of `question` where the expression is true.
    pub(super) fn select(&self, run: &Run<'_>, question: &Bitmap) -> Result<Bitmap, EvalError> {
        match self {
            Node::Const(true) => Ok(question.clone()),
            Node::Const(false) => Ok(Bitmap::empty(question.len())),
            Node::Leaf(leaf) => {
                let mut rows = leaf.select(run.context)?;
                rows.and_with(question);
                Ok(rows)
            }
            Node::SameDetail(of, conditions) => {
                let mut rows = details::spans_with(*of, run.context, |details| details::fulfilling(conditions, details))?;
                rows.and_with(question);
                Ok(rows)
            }
            Node::And(operands) => {
                let mut rows = question.clone();
                for operand in operands {
                    if rows.is_empty() {
                        break;
                    }
                    rows = operand.select(run, &rows)?;
                }
                Ok(rows)
            }
            Node::Or(operands) => {
                let (mut rows, mut open) = (Bitmap::empty(question.len()), question.clone());
                for operand in operands {
                    if open.is_empty() {
                        break;
                    }
                    let more = operand.select(run, &open)?;
                    open.and_not_with(&more);
                    rows.or_with(&more);
                }
                Ok(rows)
            }
            Node::Not(operand) => {
                let mut rows = question.clone();
                rows.and_not_with(&operand.select(run, question)?);
                Ok(rows)
            }
            Node::Computed(expression) => {
                let rows = run.seen_of(question)?.to_rows();
                Ok(Bitmap::from_rows(question.len(), &expression.true_rows(run, &rows)?))
            }
        }
    }

    /// About how much work it is, relative to other nodes.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Node::Const(_) => 0,
            Node::Leaf(leaf) => leaf.cost(),
            Node::SameDetail(_, conditions) => conditions.iter().map(Leaf::cost).fold(4, u32::saturating_add),
            Node::And(operands) | Node::Or(operands) => operands.iter().map(Node::cost).fold(0, u32::saturating_add),
            Node::Not(operand) => operand.cost(),
            Node::Computed(_) => COMPUTED_COST,
        }
    }

    /// Whether evaluation can fail on a value; then operands of `||` keep their order.
    pub(super) fn can_fail(&self) -> bool {
        self.cost() >= COMPUTED_COST
    }
}
