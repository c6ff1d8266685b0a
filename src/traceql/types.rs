//! The type rules: which operands match, and which operators each type has (spec/traceql.md §4).

use super::ast::{BinaryOp, FieldExpr, Type, UnaryOp};

/// Whether the two types can stand on both sides of an operator.
pub(super) fn types_match(left: Type, right: Type) -> bool {
    let matches_everything = |side: Type| matches!(side, Type::Attribute | Type::Nil);
    left == right || (left.is_number() && right.is_number()) || matches_everything(left) || matches_everything(right)
}

/// Whether the type has the operator; an operation needs it from both sides.
pub(super) fn type_allows(side: Type, op: BinaryOp) -> bool {
    use BinaryOp::{And, Eq, Ge, Gt, Le, Lt, Ne, NotRegex, Or, Regex};
    match side {
        Type::Attribute => true,
        Type::Bool => matches!(op, And | Or | Eq | Ne),
        Type::Int | Type::Float | Type::Duration => op.is_arithmetic() || matches!(op, Eq | Ne | Lt | Le | Gt | Ge),
        Type::String => matches!(op, Eq | Ne | Regex | NotRegex | Lt | Le | Gt | Ge),
        Type::Status | Type::Kind | Type::Nil => matches!(op, Eq | Ne),
    }
}

/// Whether the type has the operator.
pub(super) fn type_allows_unary(operand: Type, op: UnaryOp) -> bool {
    match op {
        UnaryOp::Not => matches!(operand, Type::Bool | Type::Attribute),
        UnaryOp::Neg => operand.is_number() || operand == Type::Attribute,
    }
}

impl FieldExpr {
    /// The type known before evaluation. Arithmetic has the type of its first operand that has one.
    pub fn static_type(&self) -> Type {
        match self {
            Self::Static(value) => value.static_type(),
            Self::Attribute(attribute) => attribute.static_type(),
            Self::Unary { op: UnaryOp::Not, .. } | Self::IsNil(_) | Self::NotNil(_) => Type::Bool,
            Self::Unary { op: UnaryOp::Neg, operand } => operand.static_type(),
            Self::Binary { op, .. } if op.is_boolean() => Type::Bool,
            Self::Binary { left, right, .. } => match left.static_type() {
                Type::Attribute => right.static_type(),
                known => known,
            },
        }
    }

    /// Whether the value can differ between spans: some attribute or intrinsic is in it.
    pub fn references_span(&self) -> bool {
        match self {
            Self::Static(_) => false,
            Self::Attribute(_) => true,
            Self::Unary { operand, .. } | Self::IsNil(operand) | Self::NotNil(operand) => operand.references_span(),
            Self::Binary { left, right, .. } => left.references_span() || right.references_span(),
        }
    }
}
