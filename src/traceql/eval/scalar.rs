//! The value of an expression on one span, and what the operators make of two of them (spec/traceql.md §4, §6.2-§6.7).

use super::EvalError;
use crate::columns::value::{Value, ValueRef};
use crate::columns::wire::{Field, Malformed, Reader};
use crate::traceql::ast::{BinaryOp, Kind, Static, Status, UnaryOp};
use crate::traceql::fold;
use std::cmp::Ordering;
use std::sync::Arc;

/// A value as TraceQL sees it.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Scalar {
    /// The attribute is missing, or its value is invisible (spec/traceql.md §1).
    #[default]
    Nil,
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// A text.
    Str(Arc<str>),
    /// A truth value.
    Bool(bool),
    /// Nanoseconds; a duration that wrapped because the end lies before the start reads as the largest one.
    Duration(i64),
    /// The status of a span.
    Status(Status),
    /// The kind of a span.
    Kind(Kind),
    /// At least two values, all ints, all doubles, all texts or all bools.
    Array(Arc<[Scalar]>),
}

/// The part of §4's types that decides which operands fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Nil,
    Number,
    Text,
    Bool,
    Status,
    Kind,
}

impl From<&Static> for Scalar {
    fn from(value: &Static) -> Self {
        match value {
            Static::Nil => Scalar::Nil,
            Static::Int(int) => Scalar::Int(*int),
            Static::Float(double) => Scalar::Float(*double),
            Static::Str(text) => Scalar::Str(text.as_str().into()),
            Static::Bool(bit) => Scalar::Bool(*bit),
            Static::Duration(nanos) => Scalar::Duration(*nanos),
            Static::Status(status) => Scalar::Status(*status),
            Static::Kind(kind) => Scalar::Kind(*kind),
        }
    }
}

impl From<ValueRef<'_>> for Scalar {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Str(text) => Scalar::text(text),
            ValueRef::Int(int) => Scalar::Int(int),
            ValueRef::Double(double) => Scalar::Float(double),
            ValueRef::Bool(bit) => Scalar::Bool(bit),
            // Bytes were checked when they were stored; should they be malformed all the same, the value is invisible.
            ValueRef::Any(message) => array(message).unwrap_or_default(),
        }
    }
}

impl From<&Value> for Scalar {
    fn from(value: &Value) -> Self {
        value.as_ref().into()
    }
}

/// What is visible of an `AnyValue` message that is no plain value (§1): arrays whose elements are of one plain type. One element
/// reads as that element; an empty array, a key-value list, bytes and mixed arrays read as nil.
fn array(message: &[u8]) -> Result<Scalar, Malformed> {
    let mut elements = None;
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match (number, field) {
            (5, Field::Bytes(values)) => elements = Some(values),
            (1..=7, _) => elements = None,
            _ => {}
        }
    }
    let mut scalars = Vec::new();
    let mut reader = Reader::new(elements.unwrap_or_default());
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            match ValueRef::read(field.bytes(number)?)? {
                ValueRef::Any(_) => return Ok(Scalar::Nil),
                plain => scalars.push(Scalar::from(plain)),
            }
        }
    }
    let is_uniform = scalars.windows(2).all(|pair| std::mem::discriminant(&pair[0]) == std::mem::discriminant(&pair[1]));
    Ok(match scalars.len() {
        _ if !is_uniform => Scalar::Nil,
        0 | 1 => scalars.pop().unwrap_or_default(),
        _ => Scalar::Array(scalars.into()),
    })
}

impl Scalar {
    /// A text from stored bytes.
    pub fn text(bytes: &[u8]) -> Self {
        Scalar::Str(String::from_utf8_lossy(bytes).into())
    }

    /// A duration from stored nanoseconds.
    pub fn duration(nanos: u64) -> Self {
        Scalar::Duration(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// Whether there is no value.
    pub fn is_nil(&self) -> bool {
        matches!(self, Scalar::Nil)
    }

    /// Whether this is the bool true.
    pub fn is_true(&self) -> bool {
        matches!(self, Scalar::Bool(true))
    }

    /// Whether this stands for true as an operand of `&&` and `||`, where a list of bools counts by its elements (§6.6).
    fn has_true(&self) -> bool {
        match self {
            Scalar::Array(elements) => elements.iter().any(Scalar::is_true),
            scalar => scalar.is_true(),
        }
    }

    /// The type of the value, or of the elements.
    fn family(&self) -> Family {
        match self {
            Scalar::Nil => Family::Nil,
            Scalar::Int(_) | Scalar::Float(_) | Scalar::Duration(_) => Family::Number,
            Scalar::Str(_) => Family::Text,
            Scalar::Bool(_) => Family::Bool,
            Scalar::Status(_) => Family::Status,
            Scalar::Kind(_) => Family::Kind,
            Scalar::Array(elements) => elements.first().map_or(Family::Nil, Scalar::family),
        }
    }

    /// The number as the constant that it would be in a query.
    fn number(&self) -> Option<Static> {
        match self {
            Scalar::Int(int) => Some(Static::Int(*int)),
            Scalar::Float(double) => Some(Static::Float(*double)),
            Scalar::Duration(nanos) => Some(Static::Duration(*nanos)),
            _ => None,
        }
    }
}

/// The bool that `left op right` yields for `&&` and `||`, with no matter which of the two is looked at first (§6.2 rule 3).
fn logical(op: BinaryOp, left: &Scalar, right: &Scalar) -> Result<bool, EvalError> {
    if matches!((left, right), (Scalar::Array(_), Scalar::Array(_))) {
        return Err(EvalError::array_pair());
    }
    Ok(match op {
        BinaryOp::And => left.has_true() && right.has_true(),
        _ => left.has_true() || right.has_true(),
    })
}

/// `left op right` by the rules of §6.2 to §6.7. Regexes are no matter of two values and yield false.
pub(super) fn binary(op: BinaryOp, left: &Scalar, right: &Scalar) -> Result<Scalar, EvalError> {
    if op.is_logical() {
        return logical(op, left, right).map(Scalar::Bool);
    }
    let family = left.family();
    if left.is_nil() || right.is_nil() {
        return Ok(Scalar::Bool(false));
    }
    match (left, right) {
        (Scalar::Array(_), Scalar::Array(_)) => Err(EvalError::array_pair()),
        _ if family != right.family() || !allows(family, op) => Ok(Scalar::Bool(false)),
        (Scalar::Array(_), _) | (_, Scalar::Array(_)) if op.is_arithmetic() => Err(EvalError::array_arithmetic()),
        (Scalar::Array(elements), _) => Ok(each(op, elements, |element| compare(op, element, right))),
        (_, Scalar::Array(elements)) => Ok(each(op, elements, |element| compare(op, left, element))),
        _ if op.is_arithmetic() => arithmetic(op, left, right),
        _ => Ok(Scalar::Bool(compare(op, left, right))),
    }
}

/// Whether values of a type have the operator (§4).
fn allows(family: Family, op: BinaryOp) -> bool {
    use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
    match family {
        Family::Number => op.is_arithmetic() || matches!(op, Eq | Ne | Lt | Le | Gt | Ge),
        Family::Text => matches!(op, Eq | Ne | Lt | Le | Gt | Ge),
        Family::Bool | Family::Status | Family::Kind => matches!(op, Eq | Ne),
        Family::Nil => false,
    }
}

/// §6.6: every element for `!=`, some element for the other comparisons.
fn each(op: BinaryOp, elements: &[Scalar], passes: impl Fn(&Scalar) -> bool) -> Scalar {
    Scalar::Bool(match op {
        BinaryOp::Ne => elements.iter().all(passes),
        _ => elements.iter().any(passes),
    })
}

fn compare(op: BinaryOp, left: &Scalar, right: &Scalar) -> bool {
    op.as_comparison().is_some_and(|comparison| comparison.holds(order(left, right)))
}

/// The order of two values of one family; `None` if one is NaN.
fn order(left: &Scalar, right: &Scalar) -> Option<Ordering> {
    match (left, right) {
        (Scalar::Int(left) | Scalar::Duration(left), Scalar::Int(right) | Scalar::Duration(right)) => Some(left.cmp(right)),
        (Scalar::Str(left), Scalar::Str(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Scalar::Bool(left), Scalar::Bool(right)) => Some(left.cmp(right)),
        (Scalar::Status(left), Scalar::Status(right)) => Some(left.otlp_code().cmp(&right.otlp_code())),
        (Scalar::Kind(left), Scalar::Kind(right)) => Some(left.otlp_kind().cmp(&right.otlp_kind())),
        _ => left.number()?.as_f64()?.partial_cmp(&right.number()?.as_f64()?),
    }
}

fn arithmetic(op: BinaryOp, left: &Scalar, right: &Scalar) -> Result<Scalar, EvalError> {
    let (Some(left), Some(right)) = (left.number(), right.number()) else {
        return Ok(Scalar::Bool(false));
    };
    match (fold::arithmetic(op, &left, &right), op) {
        (Some(value), _) => Ok(Scalar::from(&value)),
        // Of numbers, only ints by zero have no result.
        (None, BinaryOp::Mod) => Err(EvalError::Runtime("modulo by zero".to_owned())),
        (None, _) => Err(EvalError::Runtime("division by zero".to_owned())),
    }
}

/// `op operand` (§6.4); an operand of another type is an error.
pub(super) fn unary(op: UnaryOp, operand: &Scalar) -> Result<Scalar, EvalError> {
    match (op, operand) {
        (UnaryOp::Not, Scalar::Bool(bit)) => Ok(Scalar::Bool(!bit)),
        (UnaryOp::Neg, Scalar::Int(int)) => Ok(Scalar::Int(int.wrapping_neg())),
        (UnaryOp::Neg, Scalar::Float(double)) => Ok(Scalar::Float(-double)),
        (UnaryOp::Neg, Scalar::Duration(nanos)) => Ok(Scalar::Duration(nanos.wrapping_neg())),
        (UnaryOp::Not, _) => Err(EvalError::Runtime("expression (!) expected a boolean".to_owned())),
        (UnaryOp::Neg, _) => Err(EvalError::Runtime("expression (-) expected a numeric".to_owned())),
    }
}
