//! Replacing text that is not UTF-8 in messages, before they are stored: no OTLP client could read them otherwise.

use super::wire::{Field, Reader, put_bytes, put_field};
use std::borrow::Cow;

/// What the bytes of a field are, as far as text lies in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Text itself.
    Text,
    /// An `AnyValue` message.
    AnyValue,
    /// An `ArrayValue` message.
    Array,
    /// A `KeyValueList` message.
    KeyValueList,
    /// A `KeyValue` message.
    KeyValue,
    /// A `Resource` message.
    Resource,
    /// An `InstrumentationScope` message.
    Scope,
    /// An `EntityRef` message.
    EntityRef,
}

impl Shape {
    fn of_field(self, number: u32) -> Option<Shape> {
        match (self, number) {
            (Shape::AnyValue | Shape::KeyValue, 1) | (Shape::Scope, 1 | 2) | (Shape::EntityRef, 1..=4) => Some(Shape::Text),
            (Shape::KeyValue, 2) | (Shape::Array, 1) => Some(Shape::AnyValue),
            (Shape::KeyValueList | Shape::Resource, 1) | (Shape::Scope, 3) => Some(Shape::KeyValue),
            (Shape::AnyValue, 5) => Some(Shape::Array),
            (Shape::AnyValue, 6) => Some(Shape::KeyValueList),
            (Shape::Resource, 3) => Some(Shape::EntityRef),
            _ => None,
        }
    }
}

/// The same bytes, with replacement characters where text is not UTF-8. What is mended needs no further mending.
pub fn mend(shape: Shape, bytes: &[u8]) -> Cow<'_, [u8]> {
    if is_sound(shape, bytes) {
        return Cow::Borrowed(bytes);
    }
    if shape == Shape::Text {
        return Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes());
    }
    let mut mended = Vec::with_capacity(bytes.len() + 16);
    let mut reader = Reader::new(bytes);
    while let Ok(Some((number, field))) = reader.next_field() {
        match (shape.of_field(number), field) {
            (Some(inner), Field::Bytes(bytes)) => put_bytes(&mut mended, number, &mend(inner, bytes)),
            (_, field) => put_field(&mut mended, number, field),
        }
    }
    Cow::Owned(mended)
}

fn is_sound(shape: Shape, bytes: &[u8]) -> bool {
    if shape == Shape::Text {
        return std::str::from_utf8(bytes).is_ok();
    }
    let mut reader = Reader::new(bytes);
    while let Ok(Some((number, field))) = reader.next_field() {
        if let (Some(inner), Field::Bytes(bytes)) = (shape.of_field(number), field)
            && !is_sound(inner, bytes)
        {
            return false;
        }
    }
    true
}
