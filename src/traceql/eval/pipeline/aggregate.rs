//! Aggregates over the values of a spanset, and values as keys of groups (spec/traceql.md §9).

use crate::traceql::ast::AggregateOp;
use crate::traceql::eval::Scalar;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// The aggregate of some values; `None` if all of them are nil.
pub(super) fn aggregate(op: AggregateOp, values: &[Scalar]) -> Option<Scalar> {
    let mut values = values.iter().filter(|value| !value.is_nil());
    let first = values.next()?;
    match op {
        AggregateOp::Max => Some(values.fold(first, |best, value| if order(value, best).is_gt() { value } else { best }).clone()),
        AggregateOp::Min => Some(values.fold(first, |best, value| if order(value, best).is_lt() { value } else { best }).clone()),
        AggregateOp::Sum => Some(sum(first, values).0),
        AggregateOp::Avg => {
            let (sum, count) = sum(first, values);
            Some(match sum {
                Scalar::Int(sum) => Scalar::Float(sum as f64 / count as f64),
                Scalar::Float(sum) => Scalar::Float(sum / count as f64),
                Scalar::Duration(sum) => Scalar::Duration(sum / count),
                other => other,
            })
        }
    }
}

/// The sum of the values of the first one's type, and the number of all values: those of other types are not added, but an
/// average is divided by their number, too (§17 item 25).
fn sum<'v>(first: &Scalar, rest: impl Iterator<Item = &'v Scalar>) -> (Scalar, i64) {
    rest.fold((first.clone(), 1), |(sum, count), value| {
        let sum = match (sum, value) {
            (Scalar::Int(sum), Scalar::Int(value)) => Scalar::Int(sum.wrapping_add(*value)),
            (Scalar::Float(sum), Scalar::Float(value)) => Scalar::Float(sum + value),
            (Scalar::Duration(sum), Scalar::Duration(value)) => Scalar::Duration(sum.saturating_add(*value)),
            (sum, _) => sum,
        };
        (sum, count + 1)
    })
}

/// Numbers by value whatever their type; others by type, then value.
fn order(a: &Scalar, b: &Scalar) -> Ordering {
    match (a, b) {
        (Scalar::Int(a) | Scalar::Duration(a), Scalar::Int(b) | Scalar::Duration(b)) => a.cmp(b),
        (Scalar::Str(a), Scalar::Str(b)) => a.cmp(b),
        (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => rank(a).cmp(&rank(b)),
        },
    }
}

fn number(value: &Scalar) -> Option<f64> {
    match value {
        Scalar::Int(number) | Scalar::Duration(number) => Some(*number as f64),
        Scalar::Float(number) => Some(*number),
        _ => None,
    }
}

fn rank(value: &Scalar) -> u8 {
    match value {
        Scalar::Nil => 0,
        Scalar::Int(_) => 1,
        Scalar::Float(_) => 2,
        Scalar::Str(_) => 3,
        Scalar::Bool(_) => 4,
        Scalar::Array(_) => 5,
        Scalar::Duration(_) => 6,
        Scalar::Status(_) => 7,
        Scalar::Kind(_) => 8,
    }
}

/// A value as the key of a group: the type counts, and a double is what its bits are, so that NaN is a group, too.
pub(super) struct GroupKey(pub(super) Scalar);

impl PartialEq for GroupKey {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for GroupKey {}

fn same(a: &Scalar, b: &Scalar) -> bool {
    match (a, b) {
        (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
        (Scalar::Array(a), Scalar::Array(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

impl Hash for GroupKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

fn hash<H: Hasher>(value: &Scalar, state: &mut H) {
    rank(value).hash(state);
    match value {
        Scalar::Nil => {}
        Scalar::Int(number) | Scalar::Duration(number) => number.hash(state),
        Scalar::Float(number) => number.to_bits().hash(state),
        Scalar::Str(text) => text.hash(state),
        Scalar::Bool(bit) => bit.hash(state),
        Scalar::Status(status) => status.as_str().hash(state),
        Scalar::Kind(kind) => kind.as_str().hash(state),
        Scalar::Array(elements) => elements.iter().for_each(|element| hash(element, state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AggregateOp::{Avg, Max, Min, Sum};

    #[test]
    fn nothing_but_nil_has_no_aggregate() {
        assert_eq!(aggregate(Sum, &[Scalar::Nil, Scalar::Nil]), None);
        assert_eq!(aggregate(Max, &[]), None);
    }

    #[test]
    fn numbers_of_all_types_are_ordered_by_value() {
        let values = [Scalar::Float(-2.5), Scalar::Int(-3), Scalar::Duration(7), Scalar::Float(-7.0)];
        assert_eq!(aggregate(Max, &values), Some(Scalar::Duration(7)));
        assert_eq!(aggregate(Min, &values), Some(Scalar::Float(-7.0)));
    }

    #[test]
    fn the_first_type_is_summed() {
        let values = [Scalar::Nil, Scalar::Int(-4), Scalar::Str("4".into()), Scalar::Int(1), Scalar::Float(9.0)];
        assert_eq!(aggregate(Sum, &values), Some(Scalar::Int(-3)));
        assert_eq!(aggregate(Avg, &values), Some(Scalar::Float(-0.75)));
    }

    #[test]
    fn averages_of_durations_are_whole_nanoseconds() {
        assert_eq!(aggregate(Avg, &[Scalar::Duration(10), Scalar::Duration(5)]), Some(Scalar::Duration(7)));
    }
}
