//! Attributes of OTLP from the values that Zipkin knows.

use crate::proto::otlp::{AnyValue, ArrayValue, KeyValue, KeyValueList, Value};

/// One attribute.
pub(super) fn attribute(key: impl Into<String>, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// One attribute with a text.
pub(super) fn text_attribute(key: impl Into<String>, text: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(text.into()))
}

/// The members of a JSON object as attributes of the types that they have there.
pub(super) fn from_json_object(object: serde_json::Map<String, serde_json::Value>) -> Vec<KeyValue> {
    object.into_iter().map(|(key, value)| KeyValue { key, value: Some(from_json(value)), ..KeyValue::default() }).collect()
}

/// Recursion is bounded: `serde_json` reads no value that is nested deeper than 128 levels.
fn from_json(json: serde_json::Value) -> AnyValue {
    use serde_json::Value as Json;
    let value = match json {
        Json::Null => None,
        Json::Bool(value) => Some(Value::BoolValue(value)),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Some(Value::IntValue(integer)),
            (None, float) => float.map(Value::DoubleValue),
        },
        Json::String(text) => Some(Value::StringValue(text)),
        Json::Array(items) => Some(Value::ArrayValue(ArrayValue { values: items.into_iter().map(from_json).collect() })),
        Json::Object(object) => Some(Value::KvlistValue(KeyValueList { values: from_json_object(object) })),
    };
    AnyValue { value }
}
