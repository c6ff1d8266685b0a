//! OpenCensus's attributes, tracestates and cut texts.

use crate::columns::wire::{Field, Malformed, Reader};
use crate::receiver::otlp_writer::{OtlpWriter, Value};

/// Attributes by key, in the order of their first mention; a later mention of a key goes before an earlier one.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    pairs: Vec<(&'a [u8], Value<'a>)>,
    pub(super) num_dropped: u64,
}

impl<'a> Attributes<'a> {
    /// Sets an attribute that may have been set before; for the few of a resource.
    pub(super) fn set(&mut self, key: &'a [u8], value: Value<'a>) {
        match self.pairs.iter_mut().find(|(known, _)| *known == key) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((key, value)),
        }
    }

    /// Takes out the attribute with that key if `read` makes something of it.
    pub(super) fn take<T>(&mut self, key: &[u8], read: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        let at = self.pairs.iter().position(|(known, _)| *known == key)?;
        let read = read(self.pairs[at].1)?;
        self.pairs.remove(at);
        Some(read)
    }

    /// Writes them as `KeyValue`s into the field of that number.
    pub(super) fn write(&self, out: &mut OtlpWriter, number: u32) {
        self.pairs.iter().for_each(|(key, value)| out.attribute(number, key, *value));
    }

    /// `Attributes { map<string, AttributeValue> attribute_map = 1; int32 dropped_attributes_count = 2 }`.
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut attributes = Attributes::default();
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => {
                    let (key, value) = entry(field.bytes(1)?)?;
                    // A value of no kind that we know says nothing. Encoders write each key of a map once.
                    if let Some(value) = attribute_value(value)? {
                        attributes.pairs.push((key, value));
                    }
                }
                2 => attributes.num_dropped = count(field.varint(2)?),
                _ => {}
            }
        }
        Ok(attributes)
    }
}

/// A count that is declared as signed; nobody counts below 0.
pub(super) fn count(varint: u64) -> u64 {
    u64::try_from(varint.cast_signed()).map_or(0, |count| count.min(u32::MAX.into()))
}

/// Key and value of an entry of a map, both length-delimited.
pub(super) fn entry(message: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => key = field.bytes(1)?,
            2 => value = field.bytes(2)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// `AttributeValue { TruncatableString = 1; int64 = 2; bool = 3; double = 4 }`, one of them.
fn attribute_value(message: &[u8]) -> Result<Option<Value<'_>>, Malformed> {
    let mut value = None;
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match (number, field) {
            (1, _) => value = Some(Value::Text(truncatable(field.bytes(1)?)?)),
            (2, _) => value = Some(Value::Int(field.varint(2)?.cast_signed())),
            (3, _) => value = Some(Value::Bool(field.varint(3)? != 0)),
            (4, Field::Fixed64(bits)) => value = Some(Value::Double(f64::from_bits(bits))),
            (4, _) => return Err(Malformed::WireType(4)),
            _ => {}
        }
    }
    Ok(value)
}

/// `TruncatableString { string value = 1; int32 truncated_byte_count = 2 }`.
pub(super) fn truncatable(message: &[u8]) -> Result<&[u8], Malformed> {
    let mut value: &[u8] = &[];
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            value = field.bytes(1)?;
        }
    }
    Ok(value)
}

/// `Tracestate { repeated Entry { key = 1; value = 2 } entries = 1 }` as the header has it: `k=v,k=v`.
pub(super) fn tracestate(message: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut text = Vec::new();
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            let (key, value) = entry(field.bytes(1)?)?;
            if !text.is_empty() {
                text.push(b',');
            }
            text.extend_from_slice(key);
            text.push(b'=');
            text.extend_from_slice(value);
        }
    }
    Ok(text)
}

/// `google.protobuf.Timestamp` as nanoseconds since 1970; what lies before is taken for 1970.
pub(super) fn timestamp(message: &[u8]) -> Result<u64, Malformed> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => seconds = field.varint(1)?.cast_signed(),
            2 => nanos = i64::from((field.varint(2)? as u32).cast_signed()),
            _ => {}
        }
    }
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Ok(u64::try_from(total.max(0)).unwrap_or(u64::MAX))
}
