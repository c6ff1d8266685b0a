//! Attribute values.

use super::wire::{Field, Malformed, Reader, put_bytes, put_varint, split_varint};

/// Arrays and key-value lists must be nested less deeply than this. Protobuf decoders, prost among them, give up at 100
/// levels of messages; an array adds two, a list three that count as two here, and the value of an event in the answer to
/// a query lies eight levels deep itself. So whatever is accepted can be read by a client.
pub const MAX_DEPTH: usize = 45;

/// Which typed column a value belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ValueKind {
    /// Text.
    Str,
    /// 64-bit integer.
    Int,
    /// IEEE double.
    Double,
    /// Boolean.
    Bool,
    /// Array, key-value list, bytes or empty value: kept as the bytes of its `AnyValue` message.
    Any,
}

impl ValueKind {
    /// The word used in block metadata.
    pub fn name(self) -> &'static str {
        match self {
            ValueKind::Str => "string",
            ValueKind::Int => "int",
            ValueKind::Double => "double",
            ValueKind::Bool => "bool",
            ValueKind::Any => "any",
        }
    }

    /// The reverse of [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [ValueKind::Str, ValueKind::Int, ValueKind::Double, ValueKind::Bool, ValueKind::Any].into_iter().find(|k| k.name() == name)
    }
}

/// A value that owns its bytes.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Text.
    Str(Box<str>),
    /// 64-bit integer.
    Int(i64),
    /// IEEE double.
    Double(f64),
    /// Boolean.
    Bool(bool),
    /// The bytes of an `AnyValue` message of another kind.
    Any(Box<[u8]>),
}

/// A value that borrows from the message it was read from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ValueRef<'a> {
    /// Text, not yet checked to be UTF-8.
    Str(&'a [u8]),
    /// 64-bit integer.
    Int(i64),
    /// IEEE double.
    Double(f64),
    /// Boolean.
    Bool(bool),
    /// The bytes of an `AnyValue` message of another kind.
    Any(&'a [u8]),
}

impl<'a> ValueRef<'a> {
    /// Reads an `AnyValue` message; of several values the last counts.
    #[inline]
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut value = ValueRef::Any(message);
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match (number, field) {
                (1, Field::Bytes(text)) => value = ValueRef::Str(text),
                (2, Field::Varint(bit)) => value = ValueRef::Bool(bit != 0),
                (3, Field::Varint(int)) => value = ValueRef::Int(int as i64),
                (4, Field::Fixed64(bits)) => value = ValueRef::Double(f64::from_bits(bits)),
                (5..=7, Field::Bytes(_)) => value = ValueRef::Any(message),
                (1..=7, _) => return Err(Malformed::WireType(number)),
                _ => {}
            }
        }
        Ok(value)
    }

    /// The column that the value belongs to.
    #[inline]
    pub fn kind(&self) -> ValueKind {
        match self {
            ValueRef::Str(_) => ValueKind::Str,
            ValueRef::Int(_) => ValueKind::Int,
            ValueRef::Double(_) => ValueKind::Double,
            ValueRef::Bool(_) => ValueKind::Bool,
            ValueRef::Any(_) => ValueKind::Any,
        }
    }

    /// A copy that owns its bytes; text that is not UTF-8 is mended.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Str(text) => Value::Str(String::from_utf8_lossy(text).into()),
            ValueRef::Int(int) => Value::Int(int),
            ValueRef::Double(double) => Value::Double(double),
            ValueRef::Bool(bit) => Value::Bool(bit),
            ValueRef::Any(message) => Value::Any(message.into()),
        }
    }

    /// Appends the bytes of the `AnyValue` message that says this value.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            ValueRef::Str(text) => put_bytes(out, 1, text),
            ValueRef::Bool(bit) => {
                put_varint(out, 2 << 3);
                put_varint(out, u64::from(bit));
            }
            ValueRef::Int(int) => {
                put_varint(out, 3 << 3);
                put_varint(out, int as u64);
            }
            ValueRef::Double(double) => {
                put_varint(out, 4 << 3 | 1);
                out.extend_from_slice(&double.to_le_bytes());
            }
            ValueRef::Any(message) => out.extend_from_slice(message),
        }
    }
}

impl Value {
    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Str(text) => ValueRef::Str(text.as_bytes()),
            Value::Int(int) => ValueRef::Int(*int),
            Value::Double(double) => ValueRef::Double(*double),
            Value::Bool(bit) => ValueRef::Bool(*bit),
            Value::Any(message) => ValueRef::Any(message),
        }
    }
}

/// The parts of a `KeyValue` message; `value` is `None` if the field is absent. Of a repeated part the last counts.
#[derive(Clone, Copy)]
pub struct KeyValueRef<'a> {
    /// The key's bytes, not yet checked to be UTF-8.
    pub key: &'a [u8],
    /// The bytes of the `AnyValue` message.
    pub value: Option<&'a [u8]>,
}

/// Reads a `KeyValue` message as nearly every sender writes it: the key, then one value of one field, each once, lengths
/// below 128. `None` for any other form, well formed or not; the general readers judge it. One look at six bytes in
/// place of three loops over fields, so ingest takes half the time over attributes.
#[inline]
pub fn read_plain(message: &[u8]) -> Option<(&[u8], ValueRef<'_>)> {
    let [0x0a, key_len @ 0..0x80, rest @ ..] = message else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_len))?;
    let [0x12, value_len @ 0..0x80, value @ ..] = rest else { return None };
    if value.len() != usize::from(*value_len) {
        return None;
    }
    let value = match value {
        [0x0a, len @ 0..0x80, text @ ..] if text.len() == usize::from(*len) => ValueRef::Str(text),
        [0x18, varint @ ..] => ValueRef::Int(split_varint(varint).filter(|(_, rest)| rest.is_empty())?.0 as i64),
        [0x10, bit @ 0..=1] => ValueRef::Bool(*bit == 1),
        [0x21, bits @ ..] => ValueRef::Double(f64::from_bits(u64::from_le_bytes(bits.try_into().ok()?))),
        _ => return None,
    };
    Some((key, value))
}

impl<'a> KeyValueRef<'a> {
    /// Reads a `KeyValue` message.
    #[inline]
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut parts = KeyValueRef { key: &[], value: None };
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => parts.key = field.bytes(1)?,
                2 => parts.value = Some(field.bytes(2)?),
                _ => {}
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{AnyValue, KeyValue, any_value};
    use proptest::prelude::*;
    use prost::Message;

    fn value() -> impl Strategy<Value = Option<any_value::Value>> {
        proptest::option::of(prop_oneof![
            ".{0,200}".prop_map(any_value::Value::StringValue),
            any::<i64>().prop_map(any_value::Value::IntValue),
            any::<f64>().prop_map(any_value::Value::DoubleValue),
            any::<bool>().prop_map(any_value::Value::BoolValue),
            any::<Vec<u8>>().prop_map(any_value::Value::BytesValue),
        ])
    }

    /// What the general readers say of a message, in a form that compares doubles by their bits.
    fn general(message: &[u8]) -> Option<(Vec<u8>, String)> {
        let parts = KeyValueRef::read(message).ok()?;
        let value = ValueRef::read(parts.value?).ok()?;
        Some((parts.key.to_vec(), form(value)))
    }

    fn form(value: ValueRef<'_>) -> String {
        match value {
            ValueRef::Double(double) => format!("double {:x}", double.to_bits()),
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn plain_messages_read_as_the_general_readers_read_them(key in ".{0,150}", value in value()) {
            let is_plain = key.len() < 128 && !matches!(value, None | Some(any_value::Value::BytesValue(_)));
            let message = KeyValue { key: key.clone(), value: Some(AnyValue { value }), ..KeyValue::default() }.encode_to_vec();
            match read_plain(&message) {
                Some((key, value)) => prop_assert_eq!(general(&message), Some((key.to_vec(), form(value)))),
                // prost leaves out an empty key.
                None => prop_assert!(!is_plain || key.is_empty() || message.len() > 128),
            }
        }

        #[test]
        fn other_bytes_are_left_to_the_general_readers(mut bytes: Vec<u8>, start in 0usize..4) {
            const STARTS: [&[u8]; 4] = [b"", b"\x0a\x01k\x12\x02\x10", b"\x0a\x01k\x12\x03\x0a\x01", b"\x0a\x01k\x12"];
            bytes.splice(0..0, STARTS[start].iter().copied());
            if let Some((key, value)) = read_plain(&bytes) {
                prop_assert_eq!(general(&bytes), Some((key.to_vec(), form(value))));
            }
        }
    }
}
