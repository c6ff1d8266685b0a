//! Decoded columns in the form in which the query engine reads columns.

use super::error::ReadError;
use super::values::{Decoded, DecodedValues};
use crate::columns::view::{Column, Rows, Strings, Values};
use std::borrow::Cow;

/// What the values of a column mean; the physical type alone does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Byte strings that are text.
    Text,
    /// Byte strings that are `AnyValue` messages.
    Any,
    /// `INT64` that are signed numbers.
    Int,
    /// `DOUBLE`.
    Double,
    /// `BOOLEAN`.
    Bool,
    /// `INT32` that are OTLP enum numbers.
    Enum,
    /// `INT32` that are bit patterns of unsigned numbers.
    U32,
    /// `INT64` that are bit patterns of unsigned numbers, or fixed strings of eight bytes that are such, big-endian.
    U64,
}

impl Decoded {
    /// The column, in the same memory (big-endian strings aside).
    ///
    /// Error: `Misuse` if values of this type cannot have the role.
    pub fn into_column(self, role: Role) -> Result<Column<'static>, ReadError> {
        let values = match (role, self.values) {
            (Role::Text, DecodedValues::Codes(codes, table)) => Values::Text(Cow::Owned(codes), Strings::Shared(table)),
            (Role::Any, DecodedValues::Codes(codes, table)) => Values::Any(Cow::Owned(codes), Strings::Shared(table)),
            (Role::Int, DecodedValues::Int64(values)) => Values::Int(Cow::Owned(values)),
            (Role::Double, DecodedValues::Double(values)) => Values::Double(Cow::Owned(values)),
            (Role::Bool, DecodedValues::Bool(values)) => Values::Bool(Cow::Owned(values)),
            (Role::Enum, DecodedValues::Int32(values)) => Values::Enum(Cow::Owned(values)),
            (role, values) => unsigned(role, values)?,
        };
        let rows = self.rows.map_or(Rows::All, |rows| Rows::Some(Cow::Owned(rows)));
        Ok(Column { rows, values })
    }
}

fn unsigned(role: Role, values: DecodedValues) -> Result<Values<'static>, ReadError> {
    let unsigned = match role {
        Role::U64 => values.to_u64_big_endian().or_else(|| values.into_u64()).map(|values| Values::U64(Cow::Owned(values))),
        Role::U32 => values.into_u32().map(|values| Values::U32(Cow::Owned(values))),
        _ => None,
    };
    unsigned.ok_or_else(|| ReadError::misuse(format!("column of another type than {role:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_numbers_keep_their_bits() {
        let decoded = |values| Decoded { rows: Some(vec![3]), values };
        let column = decoded(DecodedValues::Int64(vec![-1])).into_column(Role::U64).expect("fits");
        assert!(matches!(column.values, Values::U64(values) if values[..] == [u64::MAX]));
        assert!(matches!(column.rows, Rows::Some(rows) if rows[..] == [3]));
        let column = decoded(DecodedValues::Fixed(vec![0, 0, 0, 0, 0, 0, 1, 2], 8)).into_column(Role::U64).expect("fits");
        assert!(matches!(column.values, Values::U64(values) if values[..] == [258]));
        let column = decoded(DecodedValues::Int32(vec![-2])).into_column(Role::U32).expect("fits");
        assert!(matches!(column.values, Values::U32(values) if values[..] == [u32::MAX - 1]));
        assert!(decoded(DecodedValues::Bool(vec![true])).into_column(Role::U32).is_err());
    }
}
