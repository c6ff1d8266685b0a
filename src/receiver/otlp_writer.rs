//! Writes OTLP messages as protobuf bytes, without building them first.
//!
//! A nested message is written where it stands; its length is put in front of it once it is known, which moves the message
//! by the few bytes that the length takes. So nothing is allocated but the request itself.

use crate::columns::wire::{Field, put_bytes, put_field, put_varint};

/// A request, or a part of one, while it is written.
#[derive(Debug, Default)]
pub(super) struct OtlpWriter {
    out: Vec<u8>,
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// Text; where it is not UTF-8 it is mended when it is stored.
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
}

impl OtlpWriter {
    /// What was written.
    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// What was written so far.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// Starts anew, with the same memory.
    pub(super) fn clear(&mut self) {
        self.out.clear();
    }

    /// A nested message; an empty one is written, too.
    pub(super) fn message(&mut self, number: u32, fill: impl FnOnce(&mut Self)) {
        put_varint(&mut self.out, u64::from(number) << 3 | 2);
        let length_at = self.out.len();
        self.out.push(0);
        fill(self);
        let length = self.out.len() - length_at - 1;
        match u8::try_from(length) {
            Ok(short @ ..0x80) => self.out[length_at] = short,
            _ => self.insert_length(length_at, length),
        }
    }

    fn insert_length(&mut self, at: usize, length: usize) {
        let mut varint = [0; 10];
        let mut rest = length;
        let mut num_bytes = 0;
        while rest >= 0x80 {
            varint[num_bytes] = (rest as u8 & 0x7f) | 0x80;
            rest >>= 7;
            num_bytes += 1;
        }
        varint[num_bytes] = rest as u8;
        self.out.splice(at..=at, varint[..=num_bytes].iter().copied());
    }

    /// Text or bytes, unless they are empty.
    pub(super) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            put_bytes(&mut self.out, number, bytes);
        }
    }

    /// Messages or text that may be empty, as they are.
    pub(super) fn raw(&mut self, number: u32, bytes: &[u8]) {
        put_bytes(&mut self.out, number, bytes);
    }

    /// Fields that were written elsewhere.
    pub(super) fn append(&mut self, fields: &[u8]) {
        self.out.extend_from_slice(fields);
    }

    /// A number, unless it is 0.
    pub(super) fn varint(&mut self, number: u32, value: u64) {
        if value != 0 {
            put_field(&mut self.out, number, Field::Varint(value));
        }
    }

    /// A number of fixed width, unless it is 0.
    pub(super) fn fixed64(&mut self, number: u32, value: u64) {
        if value != 0 {
            put_field(&mut self.out, number, Field::Fixed64(value));
        }
    }

    /// A `KeyValue` in the field of that number.
    pub(super) fn attribute(&mut self, number: u32, key: &[u8], value: Value<'_>) {
        self.message(number, |pair| {
            pair.bytes(1, key);
            pair.message(2, |any| any.value(value));
        });
    }

    /// The one field of an `AnyValue`; zeros are written, for they are not the same as nothing.
    fn value(&mut self, value: Value<'_>) {
        let out = &mut self.out;
        match value {
            Value::Text(text) => put_bytes(out, 1, text),
            Value::Bool(flag) => put_field(out, 2, Field::Varint(flag.into())),
            Value::Int(number) => put_field(out, 3, Field::Varint(number.cast_unsigned())),
            Value::Double(number) => put_field(out, 4, Field::Fixed64(number.to_bits())),
            Value::Bytes(bytes) => put_bytes(out, 7, bytes),
        }
    }

    /// A `Status` in the field `status` of a span.
    pub(super) fn status(&mut self, code: crate::proto::otlp::StatusCode, message: &[u8]) {
        self.message(15, |status| {
            status.bytes(2, message);
            status.varint(3, (code as i32).cast_unsigned().into());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{KeyValue, Resource, Value as OtlpValue};
    use proptest::prelude::*;
    use prost::Message;

    fn resource(pairs: &[(String, Value<'_>)]) -> Resource {
        let mut writer = OtlpWriter::default();
        writer.message(1, |outer| pairs.iter().for_each(|(key, value)| outer.attribute(1, key.as_bytes(), *value)));
        let bytes = writer.finish();
        let mut reader = crate::columns::wire::Reader::new(&bytes);
        let (number, field) = reader.next_field().expect("well formed").expect("one field");
        assert_eq!((number, reader.next_field()), (1, Ok(None)));
        Resource::decode(field.bytes(1).expect("a message")).expect("a resource")
    }

    fn value_of(pair: &KeyValue) -> Option<&OtlpValue> {
        pair.value.as_ref()?.value.as_ref()
    }

    #[test]
    fn lengths_of_every_width() {
        for length in [0, 1, 120, 121, 122, 127, 128, 129, 16_000, 16_383, 16_384, 2_097_151, 2_097_152] {
            let text = "x".repeat(length);
            let read = resource(&[("key".to_owned(), Value::Text(text.as_bytes())), ("next".to_owned(), Value::Int(0))]);
            assert_eq!(value_of(&read.attributes[0]), Some(&OtlpValue::StringValue(text)), "{length}");
            assert_eq!(value_of(&read.attributes[1]), Some(&OtlpValue::IntValue(0)));
        }
    }

    proptest! {
        #[test]
        fn attributes_are_read_as_written(key: String, text: String, flag: bool, int: i64, double: f64, bytes: Vec<u8>) {
            let values = [Value::Text(text.as_bytes()), Value::Bool(flag), Value::Int(int), Value::Double(double), Value::Bytes(&bytes)];
            let read = resource(&values.map(|value| (key.clone(), value)));
            prop_assert!(read.attributes.iter().all(|pair| pair.key == key));
            let found: Vec<_> = read.attributes.iter().filter_map(value_of).cloned().collect();
            let expected = [OtlpValue::StringValue(text), OtlpValue::BoolValue(flag), OtlpValue::IntValue(int)];
            prop_assert_eq!(&found[..3], &expected[..]);
            prop_assert!(matches!(found[3], OtlpValue::DoubleValue(read) if read.to_bits() == double.to_bits()));
            prop_assert_eq!(&found[4], &OtlpValue::BytesValue(bytes));
        }
    }
}
