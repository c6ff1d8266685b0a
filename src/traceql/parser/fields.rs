//! Expressions on one span, and the filter around them (spec/traceql.md §3.1, `fieldExpr`).

use super::super::ast::{Attribute, BinaryOp, FieldExpr, Static, UnaryOp};
use super::super::error::{Error, ErrorKind};
use super::super::fold;
use super::super::lexer::TokenKind;
use super::super::operators::{COMPARISON_LEVEL, LOGICAL_LEVEL, NOT_LEVEL, SUM_LEVEL};
use super::{Built, FIELD_WEIGHT, Parser};

/// Runs of `&&` or `||` beyond this many operands become a balanced tree, so that long lists of alternatives stay shallow.
const MAX_LEFT_DEEP_RUN: usize = 64;

impl Parser<'_> {
    /// `{ expression }`; an empty one means true.
    pub(super) fn filter(&mut self) -> Result<Built<FieldExpr>, Error> {
        self.expect_symbol("{")?;
        if self.eat_symbol("}") {
            return Ok(Built::leaf(FieldExpr::Static(Static::Bool(true))));
        }
        let expr = self.field_expr()?;
        self.expect_symbol("}")?;
        Ok(expr)
    }

    /// A whole expression.
    pub(super) fn field_expr(&mut self) -> Result<Built<FieldExpr>, Error> {
        self.nested(FIELD_WEIGHT, Self::logical_chain)
    }

    /// Operands joined by `&&` and `||`, which share one level: each run of the same operator becomes the left operand of the next.
    fn logical_chain(&mut self) -> Result<Built<FieldExpr>, Error> {
        let mut run = vec![self.operation(COMPARISON_LEVEL)?];
        let mut run_op = BinaryOp::And;
        while let Some(operator) = self.peek_operator()
            && operator.level == LOGICAL_LEVEL
            && let Some(op) = operator.field
        {
            self.advance();
            if op != run_op {
                run = vec![self.joined(run_op, run)?];
                run_op = op;
            }
            run.push(self.operation(COMPARISON_LEVEL)?);
        }
        self.joined(run_op, run)
    }

    /// Joins the operands of a run from left to right.
    ///
    /// A long run of comparisons is grouped in halves instead. That changes nothing: their values are always bools, for which both
    /// operators are associative, and the order of evaluation stays. With other operands the grouping could be seen (§6.2).
    fn joined(&self, op: BinaryOp, mut run: Vec<Built<FieldExpr>>) -> Result<Built<FieldExpr>, Error> {
        if run.len() > MAX_LEFT_DEEP_RUN && run.iter().all(|operand| is_always_bool(&operand.tree)) {
            let right = run.split_off(run.len() / 2);
            let (left, right) = (self.joined(op, run)?, self.joined(op, right)?);
            return self.binary(op, left, right);
        }
        let mut operands = run.into_iter();
        let first = operands.next().ok_or_else(|| self.unexpected(&[]))?;
        operands.try_fold(first, |left, right| self.binary(op, left, right))
    }

    /// Precedence climbing over every operator above the logical ones.
    fn operation(&mut self, min_level: u8) -> Result<Built<FieldExpr>, Error> {
        let mut left = self.operand()?;
        while let Some(operator) = self.peek_operator()
            && operator.level >= min_level
            && let Some(op) = operator.field
        {
            self.advance();
            left = match nil_test(op) {
                Some(test) if self.eat_word("nil") => self.node(test(Box::new(left.tree)), left.depth)?,
                _ => {
                    let right = self.nested(FIELD_WEIGHT, |parser| parser.operation(operator.right_level()))?;
                    self.binary(op, left, right)?
                }
            };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Built<FieldExpr>, Error> {
        if self.eat_symbol("(") {
            let inner = self.field_expr()?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        if self.eat_symbol("!") {
            return self.unary(UnaryOp::Not, NOT_LEVEL + 1);
        }
        if self.eat_symbol("-") {
            return self.unary(UnaryOp::Neg, SUM_LEVEL + 1);
        }
        if self.eat_word("nil") {
            return self.nil_first();
        }
        if let Some(value) = self.literal() {
            return Ok(Built::leaf(FieldExpr::Static(value)));
        }
        match self.peek() {
            TokenKind::Identifier(_) | TokenKind::Attribute(_) | TokenKind::ScopeColon(_) | TokenKind::Word(_) => {
                self.attribute().map(FieldExpr::Attribute).map(Built::leaf)
            }
            _ => Err(self.unexpected(&[])),
        }
    }

    /// The operand takes every operator that binds tighter than the sign.
    fn unary(&mut self, op: UnaryOp, operand_level: u8) -> Result<Built<FieldExpr>, Error> {
        let operand = self.nested(FIELD_WEIGHT, |parser| parser.operation(operand_level))?;
        let depth_below = operand.depth;
        let tree = fold::unary(op, operand.tree);
        if matches!(tree, FieldExpr::Static(_)) {
            return Ok(Built::leaf(tree));
        }
        self.node(tree, depth_below)
    }

    /// What follows a `nil` on the left: it stands only in a comparison.
    fn nil_first(&mut self) -> Result<Built<FieldExpr>, Error> {
        let Some(operator) = self.peek_operator() else {
            return Err(self.unexpected(&["=", "!="]));
        };
        let Some(test) = operator.field.and_then(nil_test) else {
            return Err(self.unexpected(&["=", "!="]));
        };
        self.advance();
        // Nil does not even equal nil, and neither does it differ (§6.2).
        if self.eat_word("nil") {
            return Ok(Built::leaf(FieldExpr::Static(Static::Bool(false))));
        }
        let operand = self.nested(FIELD_WEIGHT, |parser| parser.operation(operator.right_level()))?;
        self.node(test(Box::new(operand.tree)), operand.depth)
    }

    fn binary(&self, op: BinaryOp, left: Built<FieldExpr>, right: Built<FieldExpr>) -> Result<Built<FieldExpr>, Error> {
        let depth_below = left.depth.max(right.depth);
        let tree = fold::binary(op, left.tree, right.tree);
        if matches!(tree, FieldExpr::Static(_)) {
            return Ok(Built::leaf(tree));
        }
        self.node(tree, depth_below)
    }

    /// A filter of one attribute that is the whole text.
    pub(super) fn sole_attribute(&mut self) -> Result<Attribute, Error> {
        let filter = self.filter()?;
        match (filter.tree, self.peek()) {
            (FieldExpr::Attribute(attribute), TokenKind::End) => Ok(attribute),
            (_, TokenKind::End) => Err(self.error(ErrorKind::NotAnAttribute)),
            _ => Err(self.unexpected(&["$end"])),
        }
    }
}

/// The node for a comparison with nil, if the operator has one.
fn nil_test(op: BinaryOp) -> Option<fn(Box<FieldExpr>) -> FieldExpr> {
    match op {
        BinaryOp::Eq => Some(FieldExpr::IsNil),
        BinaryOp::Ne => Some(FieldExpr::NotNil),
        _ => None,
    }
}

/// Whether the value is a bool on every span, so that grouping a run of such operands cannot be observed.
fn is_always_bool(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Static(Static::Bool(_)) | FieldExpr::IsNil(_) | FieldExpr::NotNil(_) => true,
        FieldExpr::Unary { op, .. } => *op == UnaryOp::Not,
        FieldExpr::Binary { op, .. } => op.is_boolean(),
        FieldExpr::Static(_) | FieldExpr::Attribute(_) => false,
    }
}
