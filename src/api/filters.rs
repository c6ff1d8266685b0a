//! Building blocks of queries that clients ask for without TraceQL.

use crate::traceql::ast::{Attribute, BinaryOp, Body, FieldExpr, Pipeline, Query, SpansetExpr, Stage, Static};

/// `attribute op value`.
pub(super) fn compare(op: BinaryOp, attribute: Attribute, value: Static) -> FieldExpr {
    binary(op, FieldExpr::Attribute(attribute), FieldExpr::Static(value))
}

/// `left op right`.
pub(super) fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// All conditions in a tree as flat as possible: its depth is bounded, however many a request names. `None` if there are none.
pub(super) fn all_of(conditions: Vec<FieldExpr>) -> Option<FieldExpr> {
    joined(BinaryOp::And, conditions)
}

/// As [`all_of`], but one of them is enough.
pub(super) fn any_of(conditions: Vec<FieldExpr>) -> Option<FieldExpr> {
    joined(BinaryOp::Or, conditions)
}

fn joined(op: BinaryOp, mut conditions: Vec<FieldExpr>) -> Option<FieldExpr> {
    if conditions.len() < 2 {
        return conditions.pop();
    }
    let right = conditions.split_off(conditions.len() / 2);
    Some(binary(op, joined(op, conditions)?, joined(op, right)?))
}

/// A query of one filter.
pub(super) fn query(filter: FieldExpr) -> Query {
    let pipeline = Pipeline { stages: vec![Stage::Spansets(SpansetExpr::Filter(filter))] };
    Query { body: Body::Pipeline(pipeline), hints: Vec::new() }
}
