//! Short spellings of OTLP attributes.

use crate::proto::otlp::{AnyValue, ArrayValue, KeyValue, Value};

/// A text.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

/// A whole number.
pub(super) fn int(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}

/// A number with a fraction.
pub(super) fn double(key: &str, value: f64) -> KeyValue {
    pair(key, Value::DoubleValue(value))
}

/// A truth value.
pub(super) fn boolean(key: &str, value: bool) -> KeyValue {
    pair(key, Value::BoolValue(value))
}

/// A list of texts.
pub(super) fn texts(key: &str, values: &[&str]) -> KeyValue {
    let values = values.iter().map(|value| AnyValue { value: Some(Value::StringValue((*value).to_owned())) }).collect();
    pair(key, Value::ArrayValue(ArrayValue { values }))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
