//! Attributes of OTLP from the values that Zipkin knows.

use crate::proto::otlp::{AnyValue, ArrayValue, KeyValue, KeyValueList, Value};
use crate::receiver::otlp_writer;

/// One attribute.
pub(super) fn attribute(key: impl Into<String>, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// One attribute with a text.
pub(super) fn text_attribute(key: impl Into<String>, text: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(text.into()))
}

/// What becomes of the text of a tag (`parse_string_tags`, spec/ingest.md §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagTypes {
    /// It stays text.
    #[default]
    Text,
    /// Digits become a number, with a point a fraction; `true` and `false` become truth values.
    Guessed,
}

impl TagTypes {
    /// The text of a tag as the value of an attribute.
    pub(super) fn value(self, text: &str) -> otlp_writer::Value<'_> {
        use otlp_writer::Value as Written;
        let guessed = if self == TagTypes::Guessed { guess(text.to_owned()) } else { return Written::Text(text.as_bytes()) };
        match guessed {
            Value::BoolValue(flag) => Written::Bool(flag),
            Value::IntValue(number) => Written::Int(number),
            Value::DoubleValue(number) => Written::Double(number),
            _ => Written::Text(text.as_bytes()),
        }
    }

    /// A tag as an attribute.
    pub(super) fn attribute(self, key: String, text: String) -> KeyValue {
        match self {
            TagTypes::Text => text_attribute(key, text),
            TagTypes::Guessed => attribute(key, guess(text)),
        }
    }
}

fn guess(text: String) -> Value {
    match text.as_str() {
        "true" => return Value::BoolValue(true),
        "false" => return Value::BoolValue(false),
        _ => {}
    }
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(&text);
    let number = match unsigned.split_once('.') {
        Some((whole, fraction)) if is_digits(whole) && is_digits(fraction) => text.parse().ok().map(Value::DoubleValue),
        None if is_digits(unsigned) => text.parse().ok().map(Value::IntValue),
        _ => None,
    };
    number.unwrap_or(Value::StringValue(text))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_guessed_from_the_whole_text() {
        for (text, value) in [
            ("true", Value::BoolValue(true)),
            ("false", Value::BoolValue(false)),
            ("-12", Value::IntValue(-12)),
            ("007", Value::IntValue(7)),
            ("-1.50", Value::DoubleValue(-1.5)),
        ] {
            assert_eq!(guess(text.to_owned()), value);
        }
        for text in ["", "-", "1.", ".5", "1e3", "+1", "True", " 1", "1.2.3", "99999999999999999999", "NaN"] {
            assert_eq!(guess(text.to_owned()), Value::StringValue(text.to_owned()));
        }
    }
}
