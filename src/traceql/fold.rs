//! Operations on constants and their replacement by the value while parsing (spec/traceql.md §6.2, §6.7 and §6.8).
//!
//! The functions on [`Static`] are also the meaning of these operators at run time.

use std::cmp::Ordering;

use super::ast::{BinaryOp, FieldExpr, Static, Type, UnaryOp};
use super::regex::compile_regex;
use super::types::{type_allows, types_match};

/// `left op right`, or its value if both are constants that the operator can be applied to.
pub(super) fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    if let (FieldExpr::Static(left), FieldExpr::Static(right)) = (&left, &right)
        && let Some(value) = evaluate(op, left, right)
    {
        return FieldExpr::Static(value);
    }
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// `op operand`, or its value if that is a constant of a fitting type.
pub(super) fn unary(op: UnaryOp, operand: FieldExpr) -> FieldExpr {
    match (op, operand) {
        (UnaryOp::Not, FieldExpr::Static(Static::Bool(value))) => FieldExpr::Static(Static::Bool(!value)),
        (UnaryOp::Neg, FieldExpr::Static(value @ (Static::Int(_) | Static::Float(_) | Static::Duration(_)))) => {
            FieldExpr::Static(negate(value))
        }
        (op, operand) => FieldExpr::Unary { op, operand: Box::new(operand) },
    }
}

/// The number with the opposite sign, wrapping at 64 bits; anything else as it is.
pub(super) fn negate(value: Static) -> Static {
    match value {
        Static::Int(value) => Static::Int(value.wrapping_neg()),
        Static::Float(value) => Static::Float(-value),
        Static::Duration(value) => Static::Duration(value.wrapping_neg()),
        other => other,
    }
}

/// The value of an operation on constants; `None` if the type rules forbid it or it fails.
fn evaluate(op: BinaryOp, left: &Static, right: &Static) -> Option<Static> {
    let (left_type, right_type) = (left.static_type(), right.static_type());
    if !types_match(left_type, right_type) || !type_allows(left_type, op) || !type_allows(right_type, op) {
        return None;
    }
    if op.is_arithmetic() {
        return arithmetic(op, left, right);
    }
    match (op, left, right) {
        (BinaryOp::And, Static::Bool(left), Static::Bool(right)) => Some(*left && *right),
        (BinaryOp::Or, Static::Bool(left), Static::Bool(right)) => Some(*left || *right),
        (BinaryOp::Regex | BinaryOp::NotRegex, Static::Str(text), Static::Str(pattern)) => {
            let is_match = compile_regex(pattern).ok()?.is_match(text.as_bytes());
            Some(is_match == (op == BinaryOp::Regex))
        }
        _ => compare(op, left, right),
    }
    .map(Static::Bool)
}

/// `+ - * / % ^` on two numbers (§6.7): ints stay ints, every other mix is computed as doubles, durations in nanoseconds.
///
/// `None` for anything that is no number and for division or modulo of ints by zero. Int `^` is computed in written order, unlike
/// Tempo (§17 item 5).
pub fn arithmetic(op: BinaryOp, left: &Static, right: &Static) -> Option<Static> {
    if let (Static::Int(left), Static::Int(right)) = (left, right) {
        return int_arithmetic(op, *left, *right).map(Static::Int);
    }
    let (left, right) = (left.as_f64()?, right.as_f64()?);
    let value = match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        _ => return None,
    };
    Some(Static::Float(value))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // the language computes int powers through doubles
fn int_arithmetic(op: BinaryOp, left: i64, right: i64) -> Option<i64> {
    match op {
        BinaryOp::Add => Some(left.wrapping_add(right)),
        BinaryOp::Sub => Some(left.wrapping_sub(right)),
        BinaryOp::Mul => Some(left.wrapping_mul(right)),
        BinaryOp::Div if right != 0 => Some(left.wrapping_div(right)),
        BinaryOp::Mod if right != 0 => Some(left.wrapping_rem(right)),
        BinaryOp::Pow => Some((left as f64).powf(right as f64) as i64),
        _ => None,
    }
}

/// `= != < <= > >=` on two constants (§6.2): numbers across their types, texts bytewise, nil always false.
///
/// `None` if the operator is no comparison; false if the types cannot be compared.
pub fn compare(op: BinaryOp, left: &Static, right: &Static) -> Option<bool> {
    let op = op.as_comparison()?;
    Some(compatible(left, right) && op.holds(order(left, right)))
}

fn compatible(left: &Static, right: &Static) -> bool {
    let (left, right) = (left.static_type(), right.static_type());
    (left == right && left != Type::Nil) || (left.is_number() && right.is_number())
}

impl super::ast::CompareOp {
    /// Whether the comparison holds for two values in this order; `None` is the order of NaN, which is unequal to everything.
    pub fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Eq => order == Some(Ordering::Equal),
            Self::Ne => order != Some(Ordering::Equal),
            Self::Lt => order == Some(Ordering::Less),
            Self::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Gt => order == Some(Ordering::Greater),
            Self::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

fn order(left: &Static, right: &Static) -> Option<Ordering> {
    match (left, right) {
        (Static::Int(left) | Static::Duration(left), Static::Int(right) | Static::Duration(right)) => Some(left.cmp(right)),
        (Static::Str(left), Static::Str(right)) => Some(left.cmp(right)),
        (Static::Bool(left), Static::Bool(right)) => Some(left.cmp(right)),
        (Static::Status(left), Static::Status(right)) => Some((*left as u8).cmp(&(*right as u8))),
        (Static::Kind(left), Static::Kind(right)) => Some((*left as u8).cmp(&(*right as u8))),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_wrap_and_truncate() {
        let int = |op, left, right| arithmetic(op, &Static::Int(left), &Static::Int(right));
        assert_eq!(int(BinaryOp::Add, i64::MAX, 1), Some(Static::Int(i64::MIN)));
        assert_eq!(int(BinaryOp::Div, -7, 2), Some(Static::Int(-3)));
        assert_eq!(int(BinaryOp::Mod, -7, 4), Some(Static::Int(-3)));
        assert_eq!(int(BinaryOp::Div, i64::MIN, -1), Some(Static::Int(i64::MIN)));
        assert_eq!(int(BinaryOp::Mod, i64::MIN, -1), Some(Static::Int(0)));
        assert_eq!(int(BinaryOp::Div, 1, 0), None);
        assert_eq!(int(BinaryOp::Pow, 2, 3), Some(Static::Int(8)));
    }

    #[test]
    fn anything_with_a_duration_is_a_double_of_nanoseconds() {
        let sum = arithmetic(BinaryOp::Add, &Static::Duration(1_000), &Static::Duration(500));
        assert_eq!(sum, Some(Static::Float(1_500.0)));
        assert_eq!(arithmetic(BinaryOp::Add, &Static::Int(1), &Static::Bool(true)), None);
    }

    #[test]
    fn numbers_compare_across_types() {
        let holds = |op, left, right| compare(op, &left, &right) == Some(true);
        assert!(holds(BinaryOp::Eq, Static::Int(1), Static::Float(1.0)));
        assert!(holds(BinaryOp::Eq, Static::Duration(1_000_000_000), Static::Int(1_000_000_000)));
        assert!(holds(BinaryOp::Ne, Static::Float(f64::NAN), Static::Int(1)));
        assert!(!holds(BinaryOp::Eq, Static::Float(f64::NAN), Static::Float(f64::NAN)));
        assert!(!holds(BinaryOp::Ne, Static::Str("a".to_owned()), Static::Int(1)));
        assert!(!holds(BinaryOp::Ne, Static::Nil, Static::Nil));
        assert!(holds(BinaryOp::Gt, Static::Int(i64::MAX), Static::Int(i64::MAX - 1)));
    }

    #[test]
    fn operations_that_cannot_be_applied_stay() {
        let text = |text: &str| FieldExpr::Static(Static::Str(text.to_owned()));
        assert!(matches!(binary(BinaryOp::Add, text("a"), text("b")), FieldExpr::Binary { .. }));
        assert!(matches!(binary(BinaryOp::Regex, text("a"), text("(")), FieldExpr::Binary { .. }));
        assert_eq!(binary(BinaryOp::NotRegex, text("abc"), text("a")), FieldExpr::Static(Static::Bool(true)));
        assert!(matches!(unary(UnaryOp::Neg, text("a")), FieldExpr::Unary { .. }));
    }
}
