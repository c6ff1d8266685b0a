//! The numbers that functions observe (spec/traceql.md §11.4, §11.6).

use super::keys::{Keys, NIL, Spans, is_of_parent};
use crate::columns::counting::exponent;
use crate::columns::view::{ColumnId, Values};
use crate::traceql::ast::{Attribute, Intrinsic, Scope, Type};
use crate::traceql::eval::result::AttributeReader;
use crate::traceql::eval::{EvalError, Scalar, each_position};

const NANOS_PER_SECOND: f64 = 1e9;

/// Powers of two from 2^0 to 2^63 that a value can be rounded up to.
const NUM_EXPONENTS: i64 = 64;

/// The value of an attribute on ascending rows, NaN where it is no number. `duration` is in seconds, other durations in
/// nanoseconds.
pub fn read(spans: Spans<'_>, attribute: &Attribute, rows: &[u32]) -> Result<Vec<f64>, EvalError> {
    let mut numbers = vec![f64::NAN; rows.len()];
    match attribute {
        Attribute::Intrinsic(Intrinsic::Duration) => each_duration(spans, rows, |index, nanos| {
            numbers[index] = nanos as f64 / NANOS_PER_SECOND;
        })?,
        Attribute::Scoped { scope: Scope::Span, key } => {
            let mut kinds = spans.source.attribute_kinds(key);
            kinds.sort_unstable();
            // Of a key that a span has twice, the value of the first kind counts, also where that is no number.
            let mut is_taken = vec![false; if kinds.len() > 1 { rows.len() } else { 0 }];
            for kind in kinds {
                let Some(column) = spans.source.column_of(ColumnId::Attribute { key, kind }, rows)? else { continue };
                each_position(rows, &column, |index, at| {
                    if is_taken.get(index) != Some(&true) {
                        numbers[index] = match &column.values {
                            Values::Int(values) => values[at] as f64,
                            Values::Double(values) => values[at],
                            _ => return is_taken.get_mut(index).into_iter().for_each(|taken| *taken = true),
                        };
                        is_taken.get_mut(index).into_iter().for_each(|taken| *taken = true);
                    }
                });
            }
        }
        attribute if is_of_parent(attribute) => {}
        attribute => each_scalar(spans, attribute, rows, |index, value| numbers[index] = plain_number(value))?,
    }
    Ok(numbers)
}

/// The whole numbers that a histogram is made of: ints, and durations in nanoseconds. 0 where there is none.
pub fn whole(spans: Spans<'_>, attribute: &Attribute, rows: &[u32]) -> Result<Vec<i64>, EvalError> {
    let mut numbers = vec![0; rows.len()];
    match attribute {
        Attribute::Intrinsic(Intrinsic::Duration) => each_duration(spans, rows, |index, nanos| numbers[index] = nanos)?,
        attribute if is_of_parent(attribute) => {}
        attribute => each_scalar(spans, attribute, rows, |index, value| {
            if let Scalar::Int(value) | Scalar::Duration(value) = value {
                numbers[index] = *value;
            }
        })?,
    }
    Ok(numbers)
}

/// The power of two that each number is rounded up to, as keys whose values are exponents. Numbers below 2 have none.
pub fn exponents(numbers: &[i64]) -> Keys<'static> {
    let codes = numbers.iter().map(|number| exponent_code(*number)).collect();
    Keys::of_codes(codes, (0..NUM_EXPONENTS).map(Scalar::Int).collect())
}

/// A number of a histogram as it is shown: in seconds if the attribute is a duration.
pub fn shown(attribute: &Attribute, number: f64) -> f64 {
    if attribute.static_type() == Type::Duration { number / NANOS_PER_SECOND } else { number }
}

/// 1 + the exponent of the smallest power of two that is not below the value; [`NIL`] below 2.
#[inline]
fn exponent_code(value: i64) -> u32 {
    match u64::try_from(value).map_or(0, exponent) {
        0 => NIL,
        exponent => 1 + u32::from(exponent),
    }
}

fn plain_number(value: &Scalar) -> f64 {
    match value {
        Scalar::Int(value) | Scalar::Duration(value) => *value as f64,
        Scalar::Float(value) => *value,
        _ => f64::NAN,
    }
}

/// Durations as TraceQL sees them: what wrapped reads as the largest.
fn each_duration(spans: Spans<'_>, rows: &[u32], mut found: impl FnMut(usize, i64)) -> Result<(), EvalError> {
    let Some(column) = spans.source.column_of(ColumnId::Duration, rows)? else { return Ok(()) };
    if let Values::U64(nanos) = &column.values {
        each_position(rows, &column, |index, at| found(index, i64::try_from(nanos[at]).unwrap_or(i64::MAX)));
    }
    Ok(())
}

fn each_scalar(spans: Spans<'_>, attribute: &Attribute, rows: &[u32], mut found: impl FnMut(usize, &Scalar)) -> Result<(), EvalError> {
    let values = AttributeReader::open_for(spans.source, spans.traces, attribute, rows)?.values(rows);
    values.iter().enumerate().for_each(|(index, value)| found(index, value));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_up_to_powers_of_two() {
        for (value, exponent) in [(2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (200, 8), (512, 9), (1 << 40, 40), (i64::MAX, 63)] {
            assert_eq!(exponent_code(value), 1 + exponent, "{value}");
        }
        for value in [1, 0, -1, i64::MIN] {
            assert_eq!(exponent_code(value), NIL, "{value}");
        }
    }

    #[test]
    fn bounds_of_durations_are_seconds() {
        assert_eq!(shown(&Attribute::Intrinsic(Intrinsic::Duration), 22f64.exp2()), 0.004194304);
        assert_eq!(shown(&Attribute::scoped(Scope::Span, "rows"), 512.0), 512.0);
    }
}
