//! From the syntax tree of a filter to sets of rows and computed values.
//!
//! Most of a filter becomes conditions that a source answers column by column. What is left is *computed*, and there two facts of
//! the first implementation are part of the language's behaviour (spec/traceql.md §7 item 1), because clients see them as results
//! and as failures:
//! - In a filter without `||` and without unscoped attributes, a span has to fulfil every condition inside of a computed
//!   expression: `!span.k` and `-span.k` do not fail on spans without `k`, they leave them out.
//! - In other filters a computed expression looks only at spans that fulfil some condition of the filter.
//!
//! The defects of that implementation are not imitated (§17 advice C): `!` before a comparison is its negation, and `||` holds
//! where either side holds, whatever the other side is.

use super::EvalError;
use super::condition::Test;
use super::expression::Expr;
use super::leaf::{Asks, Leaf};
use super::literal;
use super::node::Node;
use super::place::Place;
use super::scalar::{self, Scalar};
use crate::columns::view::Detail;
use crate::traceql::ast::{Attribute, BinaryOp, Body, FieldExpr, Pipeline, Query, Scope, SpansetExpr, Stage, Static, UnaryOp};

/// Whether the conditions of a filter on events have to hold on one and the same event; links likewise (spec/traceql.md §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correlation {
    /// If the filter is a conjunction: the rule for a query without operators between spansets, aggregates and `by`.
    SameDetail,
    /// Each condition may hold on another one.
    AnyDetail,
}

/// A filter's condition, and what spans have to fulfil to be looked at by its computed parts (none: nothing).
pub(super) fn filter(expression: &FieldExpr, correlation: Correlation) -> Result<(Node, Vec<Leaf>), EvalError> {
    let is_conjunction = is_conjunction(expression);
    let is_correlated = is_conjunction && correlation == Correlation::SameDetail;
    let node = Conditions { is_conjunction, is_correlated }.top(expression)?;
    let mut leaves = Vec::new();
    if !is_conjunction && node.can_fail() {
        collect_leaves(expression, &mut leaves)?;
    }
    Ok((node, leaves))
}

/// An expression whose value is wanted, such as that of `by(…)`: there literals select no columns and nothing is left out.
pub(super) fn value(expression: &FieldExpr) -> Result<Expr, EvalError> {
    Ok(match expression {
        FieldExpr::Static(value) => Expr::Const(value.into()),
        FieldExpr::Attribute(attribute) => Expr::Attribute(Place::of(attribute)?),
        FieldExpr::Unary { op, operand } => Expr::Unary(*op, Box::new(value(operand)?)),
        FieldExpr::Binary { op, left, right } => binary(*op, left, value(left)?, right, || value(right))?,
        FieldExpr::IsNil(operand) => Expr::Condition(Box::new(is_nil(operand)?)),
        FieldExpr::NotNil(operand) => Expr::NotNil(Box::new(value(operand)?)),
    })
}

/// An operator with its left operand compiled already; of a regex the right one is no operand.
fn binary(
    op: BinaryOp,
    left: &FieldExpr,
    compiled_left: Expr,
    right: &FieldExpr,
    compile_right: impl FnOnce() -> Result<Expr, EvalError>,
) -> Result<Expr, EvalError> {
    match (op, left, right) {
        (BinaryOp::Regex | BinaryOp::NotRegex, _, FieldExpr::Static(Static::Str(pattern))) => {
            Ok(Expr::Regex(Box::new(compiled_left), literal::regex_test(op, pattern)?))
        }
        _ => Ok(Expr::Binary(op, Box::new(compiled_left), Box::new(compile_right()?))),
    }
}

fn is_nil(operand: &FieldExpr) -> Result<Node, EvalError> {
    // On anything but an attribute it is never true (§6.5).
    match operand {
        FieldExpr::Attribute(attribute) => Ok(Node::Leaf(Leaf { place: Place::of(attribute)?, asks: Asks::IsNil })),
        _ => Ok(Node::Const(false)),
    }
}

fn present(attribute: &Attribute) -> Result<Leaf, EvalError> {
    Ok(Leaf::present(Place::of(attribute)?))
}

/// Whether the spans of the filter have to fulfil all of its conditions (§7 item 1).
fn is_conjunction(expression: &FieldExpr) -> bool {
    match expression {
        FieldExpr::Static(_) => true,
        FieldExpr::Attribute(attribute) => !matches!(attribute, Attribute::Scoped { scope: Scope::None, .. }),
        FieldExpr::Unary { operand, .. } | FieldExpr::IsNil(operand) | FieldExpr::NotNil(operand) => is_conjunction(operand),
        FieldExpr::Binary { op, left, right } => *op != BinaryOp::Or && is_conjunction(left) && is_conjunction(right),
    }
}

/// Every condition in an expression: comparisons with literals, and for other uses of an attribute its presence.
fn collect_leaves(expression: &FieldExpr, leaves: &mut Vec<Leaf>) -> Result<(), EvalError> {
    match expression {
        FieldExpr::Static(_) => {}
        FieldExpr::Attribute(attribute) => leaves.push(present(attribute)?),
        FieldExpr::Unary { operand, .. } | FieldExpr::NotNil(operand) => collect_leaves(operand, leaves)?,
        FieldExpr::IsNil(operand) => {
            if let Node::Leaf(leaf) = is_nil(operand)? {
                leaves.push(leaf);
            }
        }
        FieldExpr::Binary { op, left, right } => match comparison_with_literal(*op, left, right)? {
            Some(Node::Leaf(leaf)) => leaves.push(leaf),
            Some(_) => {}
            None => {
                collect_leaves(left, leaves)?;
                collect_leaves(right, leaves)?;
            }
        },
    }
    Ok(())
}

/// `attribute op literal` and `literal op attribute`; `None` for anything else.
fn comparison_with_literal(op: BinaryOp, left: &FieldExpr, right: &FieldExpr) -> Result<Option<Node>, EvalError> {
    let (attribute, value, is_literal_first) = match (left, right) {
        _ if op.is_arithmetic() || op.is_logical() => return Ok(None),
        (FieldExpr::Attribute(attribute), FieldExpr::Static(value)) => (attribute, value, false),
        (FieldExpr::Static(value), FieldExpr::Attribute(attribute)) => (attribute, value, true),
        _ => return Ok(None),
    };
    let place = Place::of(attribute)?;
    let test = literal::test(&place, op, value)?;
    let test = if is_literal_first { test.and_then(Test::with_literal_first) } else { test };
    Ok(Some(test.map_or(Node::Const(false), |test| Node::Leaf(Leaf { place, asks: Asks::Passes(test) }))))
}

/// Whether the value is a bool on every span, whatever the data.
fn is_boolean(expression: &FieldExpr) -> bool {
    match expression {
        FieldExpr::Static(value) => matches!(value, Static::Bool(_)),
        FieldExpr::Attribute(_) | FieldExpr::Unary { op: UnaryOp::Neg, .. } => false,
        FieldExpr::Unary { op: UnaryOp::Not, .. } | FieldExpr::IsNil(_) | FieldExpr::NotNil(_) => true,
        FieldExpr::Binary { op, .. } => op.is_boolean(),
    }
}

/// Compiles the conditions of one filter.
struct Conditions {
    is_conjunction: bool,
    is_correlated: bool,
}

impl Conditions {
    /// The whole filter. Only here is an attribute by itself not looked into when it is a list (§6.4).
    fn top(&self, expression: &FieldExpr) -> Result<Node, EvalError> {
        match expression {
            FieldExpr::Attribute(attribute) => bare(attribute, Test::True),
            _ => self.node(expression),
        }
    }

    fn node(&self, expression: &FieldExpr) -> Result<Node, EvalError> {
        match expression {
            FieldExpr::Static(value) => Ok(Node::Const(*value == Static::Bool(true))),
            FieldExpr::Attribute(attribute) => bare(attribute, Test::HasTrue),
            FieldExpr::Unary { op: UnaryOp::Not, operand } if is_boolean(operand) => Ok(not(self.node(operand)?)),
            FieldExpr::IsNil(operand) => is_nil(operand),
            FieldExpr::NotNil(operand) => match &**operand {
                FieldExpr::Static(value) => Ok(Node::Const(*value != Static::Nil)),
                FieldExpr::Attribute(attribute) => present(attribute).map(Node::Leaf),
                _ => self.computed(expression),
            },
            FieldExpr::Binary { op, left, right } => self.binary(*op, left, right, expression),
            FieldExpr::Unary { .. } => self.computed(expression),
        }
    }

    fn binary(&self, op: BinaryOp, left: &FieldExpr, right: &FieldExpr, expression: &FieldExpr) -> Result<Node, EvalError> {
        if op.is_logical() {
            return match (left, right) {
                // Two lists are an error (§6.6), which only the values can tell.
                (FieldExpr::Attribute(_), FieldExpr::Attribute(_)) => self.computed(expression),
                _ => self.chain(op, expression),
            };
        }
        if let Some(node) = comparison_with_literal(op, left, right)? {
            return Ok(node);
        }
        match (op, left, right) {
            (BinaryOp::Eq | BinaryOp::Ne, FieldExpr::Static(Static::Bool(bit)), other)
            | (BinaryOp::Eq | BinaryOp::Ne, other, FieldExpr::Static(Static::Bool(bit)))
                if is_boolean(other) =>
            {
                let node = self.node(other)?;
                Ok(if *bit == (op == BinaryOp::Eq) { node } else { not(node) })
            }
            _ => self.computed(expression),
        }
    }

    /// A chain of one logical operator: flat, constants gone, mergeable conditions merged, cheapest first.
    fn chain(&self, op: BinaryOp, expression: &FieldExpr) -> Result<Node, EvalError> {
        let mut operands = Vec::new();
        self.flatten(op, expression, &mut operands)?;
        // The value that decides the whole chain, and the one that has no effect.
        let decisive = op == BinaryOp::Or;
        if operands.iter().any(|node| matches!(node, Node::Const(bit) if *bit == decisive)) {
            return Ok(Node::Const(decisive));
        }
        operands.retain(|node| !matches!(node, Node::Const(_)));
        let mut operands = merged(operands, op == BinaryOp::And);
        if self.is_correlated {
            correlate(&mut operands, Detail::Event);
            correlate(&mut operands, Detail::Link);
        }
        if op == BinaryOp::And || !operands.iter().any(Node::can_fail) {
            operands.sort_by_key(Node::cost);
        }
        Ok(match operands.len() {
            0 => Node::Const(!decisive),
            1 => operands.swap_remove(0),
            _ if op == BinaryOp::And => Node::And(operands),
            _ => Node::Or(operands),
        })
    }

    fn flatten(&self, op: BinaryOp, expression: &FieldExpr, operands: &mut Vec<Node>) -> Result<(), EvalError> {
        match expression {
            FieldExpr::Binary { op: other, left, right }
                if *other == op && !matches!((&**left, &**right), (FieldExpr::Attribute(_), FieldExpr::Attribute(_))) =>
            {
                self.flatten(op, left, operands)?;
                self.flatten(op, right, operands)
            }
            _ => {
                match self.node(expression)? {
                    Node::And(inner) if op == BinaryOp::And => operands.extend(inner),
                    Node::Or(inner) if op == BinaryOp::Or => operands.extend(inner),
                    node => operands.push(node),
                }
                Ok(())
            }
        }
    }

    /// An expression that has to be computed row by row; see the top of the file for the conditions around it.
    fn computed(&self, expression: &FieldExpr) -> Result<Node, EvalError> {
        let computed = match self.operand_of(expression)? {
            Expr::Const(value) => return Ok(Node::Const(value.is_true())),
            computed => Node::Computed(computed),
        };
        if !self.is_conjunction {
            return Ok(computed);
        }
        let mut leaves = Vec::new();
        collect_leaves(expression, &mut leaves)?;
        leaves.retain(|leaf| !matches!((&leaf.asks, leaf.place.is_never_nil()), (Asks::Passes(Test::Present), true)));
        let mut operands: Vec<Node> = leaves.into_iter().map(Node::Leaf).collect();
        operands.sort_by_key(Node::cost);
        operands.push(computed);
        Ok(if operands.len() == 1 { operands.swap_remove(0) } else { Node::And(operands) })
    }

    /// The computed form of an expression whose operands may be conditions.
    fn operand_of(&self, expression: &FieldExpr) -> Result<Expr, EvalError> {
        let computed = match expression {
            FieldExpr::Unary { op, operand } => Expr::Unary(*op, Box::new(self.operand(operand)?)),
            FieldExpr::NotNil(operand) => Expr::NotNil(Box::new(self.operand(operand)?)),
            FieldExpr::Binary { op, left, right } => binary(*op, left, self.operand(left)?, right, || self.operand(right))?,
            other => value(other)?,
        };
        Ok(folded(computed))
    }

    fn operand(&self, expression: &FieldExpr) -> Result<Expr, EvalError> {
        match expression {
            FieldExpr::Static(_) | FieldExpr::Attribute(_) => value(expression),
            _ if is_boolean(expression) => self.node(expression).map(|node| Expr::Condition(Box::new(node))),
            _ => self.operand_of(expression),
        }
    }
}

/// A filter or operand that is just an attribute.
fn bare(attribute: &Attribute, test: Test) -> Result<Node, EvalError> {
    let place = Place::of(attribute)?;
    Ok(Node::Leaf(Leaf { place, asks: Asks::Passes(test) }))
}

fn not(node: Node) -> Node {
    match node {
        Node::Const(bit) => Node::Const(!bit),
        Node::Not(operand) => *operand,
        node => Node::Not(Box::new(node)),
    }
}

/// The value of an operation on constants; one that fails stays, to fail when a span is looked at (§6.8).
fn folded(expression: Expr) -> Expr {
    match &expression {
        Expr::Binary(op, left, right) => match (&**left, &**right) {
            (Expr::Const(left), Expr::Const(right)) => scalar::binary(*op, left, right).map_or(expression, Expr::Const),
            _ => expression,
        },
        Expr::Regex(operand, test) => match &**operand {
            Expr::Const(Scalar::Str(text)) => Expr::Const(Scalar::Bool(test.passes(text.as_bytes()))),
            _ => expression,
        },
        _ => expression,
    }
}

/// Replaces the conditions on events by one that asks all of them of the same event; likewise for links.
fn correlate(operands: &mut Vec<Node>, of: Detail) {
    let is_of = |node: &Node| matches!(node, Node::Leaf(Leaf { place: Place::Detail(detail, _), .. }) if *detail == of);
    if operands.iter().filter(|node| is_of(node)).count() < 2 {
        return;
    }
    let inner = |node: &Node| match node {
        Node::Leaf(leaf) => leaf.of_detail(of),
        _ => None,
    };
    let conditions = operands.iter().filter_map(inner).collect();
    operands.retain(|node| !is_of(node));
    operands.push(Node::SameDetail(of, conditions));
}

/// Joins the conditions on the same attribute that are one list (§6.9).
fn merged(operands: Vec<Node>, negated: bool) -> Vec<Node> {
    let mut out: Vec<Node> = Vec::with_capacity(operands.len());
    for mut node in operands {
        let is_merged = match &mut node {
            Node::Leaf(Leaf { place, asks: Asks::Passes(test) }) => out.iter_mut().any(|earlier| match earlier {
                Node::Leaf(Leaf { place: other, asks: Asks::Passes(into) }) if other == place => into.merge(test, negated),
                _ => false,
            }),
            _ => false,
        };
        if !is_merged {
            out.push(node);
        }
    }
    out
}

/// What one and the same event (or link) of a span has to fulfil for the span to be found; nothing where each condition may hold on
/// another one. In the terms of the details' own source.
pub(super) fn same_detail_conditions(query: &Query, of: Detail) -> Result<Vec<Leaf>, EvalError> {
    let Body::Pipeline(Pipeline { stages }) = &query.body else { return Ok(Vec::new()) };
    let mut filters = stages.iter().filter(|stage| !matches!(stage, Stage::Select(_) | Stage::Coalesce));
    let (Some(Stage::Spansets(SpansetExpr::Filter(filter))), None) = (filters.next(), filters.next()) else { return Ok(Vec::new()) };
    let mut leaves = Vec::new();
    if is_conjunction(filter) {
        collect_leaves(filter, &mut leaves)?;
    }
    Ok(leaves.iter().filter_map(|leaf| leaf.of_detail(of)).collect())
}

/// What one condition of [`super::result`] asks of its attribute; `None` if nothing passes.
pub(super) fn asks_of(condition: &FieldExpr) -> Result<Option<Asks>, EvalError> {
    let mut leaves = Vec::new();
    match condition {
        FieldExpr::NotNil(operand) => collect_leaves(operand, &mut leaves)?,
        _ => collect_leaves(condition, &mut leaves)?,
    }
    Ok(leaves.pop().map(|leaf| leaf.asks))
}
