//! What stands between operators outside of braces, and what two of them make (spec/traceql.md §3.1 and §3.3).
//!
//! Spansets, parenthesised pipelines, scalars and metrics arithmetic share their operators and begin alike, with an open
//! parenthesis or a number. They are therefore read by one climbing loop, and the kinds of both operands decide what an operator
//! means, or that it does not fit.

use super::super::ast::{Aggregate, AggregateOp, BinaryOp, MathExpr, ScalarExpr, ScalarFilter, SpansetExpr, SpansetOp, Static};
use super::super::error::{Error, ErrorKind};
use super::super::fold;
use super::super::lexer::TokenKind;
use super::super::operators::{COMPARISON_LEVEL, Operator};
use super::pipeline::Sequence;
use super::{Built, OPERATION_WEIGHT, Parser};

const AGGREGATE_WORDS: [(&str, AggregateOp); 4] =
    [("max", AggregateOp::Max), ("min", AggregateOp::Min), ("avg", AggregateOp::Avg), ("sum", AggregateOp::Sum)];

/// An operand, by the kinds the grammar tells apart.
#[derive(Debug)]
pub(super) enum Operand {
    /// Spansets without pipelines in them. In parentheses they can also be the right side of a [`Operand::Wrapped`].
    Spansets { expr: Built<SpansetExpr>, is_parenthesised: bool },
    /// A parenthesised pipeline, or operators between such and parenthesised spansets.
    Wrapped(Built<SpansetExpr>),
    /// A constant: int, float or duration; next to a [`Operand::WrappedScalar`] any literal.
    Number(Static),
    /// An aggregate or arithmetic with one.
    Scalar(Built<ScalarExpr>),
    /// A comparison with an aggregate: a stage.
    ScalarFilter(Built<ScalarFilter>),
    /// A parenthesised pipeline that ends in an aggregate.
    WrappedScalar(Built<ScalarExpr>),
    /// A comparison of such: a whole query.
    ScalarComparison(Built<ScalarFilter>),
    /// A parenthesised metrics query, or arithmetic with one.
    Math(Built<MathExpr>),
}

/// Whether the operand stands to the right of a wrapped pipeline, where everything has to be in parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Free,
    RightOfWrapped,
}

impl Parser<'_> {
    /// Everything up to an operator that does not fit, a `|` or a closing parenthesis.
    pub(super) fn operation_of_operands(&mut self) -> Result<Operand, Error> {
        self.operands(0, Side::Free)
    }

    /// A constant arithmetic expression, such as the right side of a comparison after a metrics function.
    pub(super) fn number(&mut self) -> Result<Static, Error> {
        let place = self.next;
        match self.operands(COMPARISON_LEVEL + 1, Side::Free)? {
            Operand::Number(value) => Ok(value),
            _ => Err(self.unexpected_at(place)),
        }
    }

    fn operands(&mut self, min_level: u8, side: Side) -> Result<Operand, Error> {
        self.nested(OPERATION_WEIGHT, |parser| {
            let mut left = parser.first_operand(side)?;
            while let Some(operator) = parser.peek_operator()
                && operator.level >= min_level
                && left.takes(operator)
            {
                parser.advance();
                let place = parser.next;
                let right = parser.right_operand(&left, operator)?;
                left = parser.combined(operator, left, right, place)?;
            }
            Ok(left)
        })
    }

    fn right_operand(&mut self, left: &Operand, operator: &Operator) -> Result<Operand, Error> {
        match left {
            Operand::Wrapped(_) => self.operands(operator.right_level(), Side::RightOfWrapped),
            Operand::WrappedScalar(_) => self.compared_constant(operator),
            _ => self.operands(operator.right_level(), Side::Free),
        }
    }

    fn first_operand(&mut self, side: Side) -> Result<Operand, Error> {
        let place = self.next;
        let operand = self.operand_without_operators()?;
        match side {
            Side::Free => Ok(operand),
            Side::RightOfWrapped => operand.right_of_wrapped().ok_or_else(|| self.unexpected_at(place)),
        }
    }

    fn operand_without_operators(&mut self) -> Result<Operand, Error> {
        match self.peek() {
            TokenKind::Symbol("{") => self.filter_operand(),
            TokenKind::Symbol("(") => self.parenthesised(),
            TokenKind::Symbol("-") => self.negative_number(),
            _ => self.number_or_aggregate(),
        }
    }

    fn filter_operand(&mut self) -> Result<Operand, Error> {
        let filter = self.filter()?;
        let depth_below = filter.depth;
        Ok(Operand::Spansets { expr: self.node(SpansetExpr::Filter(filter.tree), depth_below)?, is_parenthesised: false })
    }

    /// What the content of a pair of parentheses makes.
    fn parenthesised(&mut self) -> Result<Operand, Error> {
        self.expect_symbol("(")?;
        let place = self.next;
        let sequence = self.sequence()?;
        self.expect_symbol(")")?;
        self.operand_of(sequence, place)
    }

    fn number_or_aggregate(&mut self) -> Result<Operand, Error> {
        let aggregate = match *self.peek() {
            TokenKind::Int(value) => return Ok(self.passed(Operand::Number(Static::Int(value)))),
            TokenKind::Float(value) => return Ok(self.passed(Operand::Number(Static::Float(value)))),
            TokenKind::Duration(nanos) => return Ok(self.passed(Operand::Number(Static::Duration(nanos)))),
            TokenKind::Word("count") => None,
            TokenKind::Word(word) => match AGGREGATE_WORDS.iter().find(|(name, _)| *name == word) {
                Some((_, op)) => Some(*op),
                None => return Err(self.unexpected(&[])),
            },
            _ => return Err(self.unexpected(&[])),
        };
        self.advance();
        self.aggregate(aggregate).map(Operand::Scalar)
    }

    /// Moves behind the token that was just read into an operand.
    fn passed(&mut self, operand: Operand) -> Operand {
        self.advance();
        operand
    }

    fn operand_of(&self, sequence: Sequence, place: usize) -> Result<Operand, Error> {
        match sequence {
            Sequence::Pipeline(pipeline) => {
                let depth_below = pipeline.depth;
                self.operation_node(SpansetExpr::Wrapped(pipeline.tree), depth_below).map(Operand::Wrapped)
            }
            Sequence::Scalar { pipeline, aggregate } => {
                let depth_below = pipeline.depth.max(aggregate.depth);
                let tree = ScalarExpr::Wrapped { pipeline: pipeline.tree, aggregate: Box::new(aggregate.tree) };
                self.operation_node(tree, depth_below).map(Operand::WrappedScalar)
            }
            Sequence::Metrics(query) => {
                let depth_below = query.depth;
                self.operation_node(MathExpr::Query(query.tree), depth_below).map(Operand::Math)
            }
            Sequence::Operand(Operand::Spansets { expr, .. }) => Ok(Operand::Spansets { expr, is_parenthesised: true }),
            // These have no second pair of parentheses.
            Sequence::Operand(Operand::WrappedScalar(_) | Operand::ScalarComparison(_)) => Err(self.unexpected_at(place)),
            Sequence::Operand(operand) => Ok(operand),
        }
    }

    /// A minus sign binds tighter than any operator here, and only numbers have one.
    fn negative_number(&mut self) -> Result<Operand, Error> {
        self.expect_symbol("-")?;
        let place = self.next;
        match self.nested(OPERATION_WEIGHT, |parser| parser.first_operand(Side::Free))? {
            Operand::Number(value) => Ok(Operand::Number(fold::negate(value))),
            _ => Err(self.unexpected_at(place)),
        }
    }

    /// The arguments of an aggregate behind its word; without an operation it is `count`.
    fn aggregate(&mut self, op: Option<AggregateOp>) -> Result<Built<ScalarExpr>, Error> {
        self.expect_symbol("(")?;
        let aggregate = match op {
            None => Built::leaf(Aggregate::Count),
            Some(op) => {
                let operand = self.field_expr()?;
                let depth_below = operand.depth;
                let operand = operand.tree;
                self.node(Aggregate::Over { op, operand }, depth_below)?
            }
        };
        self.expect_symbol(")")?;
        Ok(aggregate.map(ScalarExpr::Aggregate))
    }

    /// What a wrapped scalar is compared with: another one, or any literal.
    fn compared_constant(&mut self, operator: &Operator) -> Result<Operand, Error> {
        let is_other_literal = matches!(self.peek(), TokenKind::Str(_) | TokenKind::Word(_) | TokenKind::Identifier(_));
        if is_other_literal && let Some(value) = self.literal() {
            return Ok(Operand::Number(value));
        }
        self.operands(operator.right_level(), Side::Free)
    }

    /// What an operator makes of its operands; the place is where the right one begins.
    fn combined(&self, operator: &Operator, left: Operand, right: Operand, place: usize) -> Result<Operand, Error> {
        match (left, right) {
            (Operand::Number(left), Operand::Number(right)) => self.folded(operator, &left, &right, place),
            (Operand::Spansets { expr: left, .. }, Operand::Spansets { expr: right, .. }) => {
                Ok(Operand::Spansets { expr: self.spansets(operator, left, right, place)?, is_parenthesised: false })
            }
            (Operand::Wrapped(left), Operand::Wrapped(right)) => self.spansets(operator, left, right, place).map(Operand::Wrapped),
            (left @ (Operand::Number(_) | Operand::Math(_)), right @ (Operand::Number(_) | Operand::Math(_))) => {
                self.math(operator, left, right, place)
            }
            (Operand::WrappedScalar(left), Operand::Number(right)) => {
                let right = Built::leaf(ScalarExpr::Static(right));
                self.comparison(operator, left, right, place).map(Operand::ScalarComparison)
            }
            (Operand::WrappedScalar(left), Operand::WrappedScalar(right)) => {
                self.comparison(operator, left, right, place).map(Operand::ScalarComparison)
            }
            (left, right) => self.scalars(operator, left, right, place),
        }
    }

    /// Arithmetic on two constants is computed at once (§3.1, `scalar`): not with durations, nor with `%` and `^`.
    fn folded(&self, operator: &Operator, left: &Static, right: &Static, place: usize) -> Result<Operand, Error> {
        let is_duration = |value: &Static| matches!(value, Static::Duration(_));
        let Some(op) = operator.field.filter(|op| op.as_math().is_some()) else {
            return Err(self.unexpected_at(place - 1));
        };
        if is_duration(left) || is_duration(right) {
            return Err(self.unexpected_at(place));
        }
        match fold::arithmetic(op, left, right) {
            Some(value) => Ok(Operand::Number(value)),
            None => Err(self.error(ErrorKind::ConstantDivisionByZero)),
        }
    }

    fn spansets(
        &self,
        operator: &Operator,
        left: Built<SpansetExpr>,
        right: Built<SpansetExpr>,
        place: usize,
    ) -> Result<Built<SpansetExpr>, Error> {
        let op: SpansetOp = operator.spanset.ok_or_else(|| self.unexpected_at(place))?;
        let depth_below = left.depth.max(right.depth);
        let tree = SpansetExpr::Binary { op, left: Box::new(left.tree), right: Box::new(right.tree) };
        self.operation_node(tree, depth_below)
    }

    /// Arithmetic between metrics queries and constants; at least one side is no constant.
    fn math(&self, operator: &Operator, left: Operand, right: Operand, place: usize) -> Result<Operand, Error> {
        let op = operator.field.and_then(BinaryOp::as_math).ok_or_else(|| self.unexpected_at(place))?;
        let side = |operand: Operand| match operand {
            Operand::Math(expr) => Ok(expr),
            Operand::Number(value @ (Static::Int(_) | Static::Float(_))) => Ok(Built::leaf(MathExpr::Scalar(value))),
            _ => Err(self.unexpected_at(place)),
        };
        let (left, right) = (side(left)?, side(right)?);
        let depth_below = left.depth.max(right.depth);
        let tree = MathExpr::Binary { op, left: Box::new(left.tree), right: Box::new(right.tree) };
        self.operation_node(tree, depth_below).map(Operand::Math)
    }

    /// Arithmetic with an aggregate, or a comparison of it; everything else does not fit together.
    fn scalars(&self, operator: &Operator, left: Operand, right: Operand, place: usize) -> Result<Operand, Error> {
        let side = |operand: Operand| match operand {
            Operand::Scalar(expr) => Ok(expr),
            Operand::Number(value) => Ok(Built::leaf(ScalarExpr::Static(value))),
            _ => Err(self.unexpected_at(place)),
        };
        let (left, right) = (side(left)?, side(right)?);
        match operator.field.filter(|op| op.is_arithmetic()) {
            None => self.comparison(operator, left, right, place).map(Operand::ScalarFilter),
            Some(op) => {
                let depth_below = left.depth.max(right.depth);
                let tree = ScalarExpr::Binary { op, left: Box::new(left.tree), right: Box::new(right.tree) };
                self.operation_node(tree, depth_below).map(Operand::Scalar)
            }
        }
    }

    fn comparison(
        &self,
        operator: &Operator,
        left: Built<ScalarExpr>,
        right: Built<ScalarExpr>,
        place: usize,
    ) -> Result<Built<ScalarFilter>, Error> {
        let op = operator.field.and_then(BinaryOp::as_comparison).ok_or_else(|| self.unexpected_at(place))?;
        let depth_below = left.depth.max(right.depth);
        let tree = ScalarFilter { op, left: left.tree, right: right.tree };
        self.operation_node(tree, depth_below)
    }
}

impl Operand {
    /// The operand as the right side of a wrapped pipeline, where only parentheses can stand.
    fn right_of_wrapped(self) -> Option<Self> {
        match self {
            Self::Spansets { expr, is_parenthesised: true } => Some(Self::Wrapped(expr)),
            Self::Wrapped(_) => Some(self),
            _ => None,
        }
    }

    /// Whether the operator can follow the operand at all.
    fn takes(&self, operator: &Operator) -> bool {
        let field = operator.field;
        let is_comparison = field.is_some_and(|op| op.as_comparison().is_some());
        match self {
            Self::Spansets { .. } | Self::Wrapped(_) => operator.spanset.is_some(),
            Self::Number(_) | Self::Scalar(_) => is_comparison || field.is_some_and(BinaryOp::is_arithmetic),
            Self::WrappedScalar(_) => is_comparison,
            Self::Math(_) => field.is_some_and(|op| op.as_math().is_some()),
            Self::ScalarFilter(_) | Self::ScalarComparison(_) => false,
        }
    }
}
