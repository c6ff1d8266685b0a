//! OpenCensus's messages in JSON, turned into their protobuf form (spec/ingest.md §6; the JSON mapping of proto3).
//!
//! Names of fields come as they stand in the protocol or in lower camel case, unknown ones are left out, and numbers of 64 bits
//! come as text or number.

use crate::columns::wire::{put_bytes, put_varint};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use prost::Message;
use prost_types::Timestamp;
use serde_json::{Deserializer, Map, Value};

/// Both alphabets are taken, each with or without the `=` at the end.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// Why a text is no message.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is no JSON.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
    /// A value is not of the kind that its field has.
    #[error("bad value for field {0}")]
    Value(String),
}

/// What a field holds.
enum Kind {
    Text,
    Bytes,
    /// A whole number, signed or not.
    Number,
    Bool,
    Double,
    /// A number or the name that stands for it.
    Enum(&'static [(&'static str, u64)]),
    /// A moment as RFC 3339 has it.
    Timestamp,
    /// A message that only wraps a value, which stands for it.
    Wrapped(&'static Kind),
    Message(&'static [Field]),
    /// Texts by names.
    Texts,
    /// Messages by names.
    Messages(&'static [Field]),
}

/// A field: its name, its number, what it holds, and whether there may be several.
struct Field(&'static str, u32, Kind, bool);

const fn one(name: &'static str, number: u32, kind: Kind) -> Field {
    Field(name, number, kind, false)
}

const fn many(name: &'static str, number: u32, kind: Kind) -> Field {
    Field(name, number, kind, true)
}

static LANGUAGES: &[(&str, u64)] = &[
    ("LANGUAGE_UNSPECIFIED", 0),
    ("CPP", 1),
    ("C_SHARP", 2),
    ("ERLANG", 3),
    ("GO_LANG", 4),
    ("JAVA", 5),
    ("NODE_JS", 6),
    ("PHP", 7),
    ("PYTHON", 8),
    ("RUBY", 9),
    ("WEB_JS", 10),
];

static REQUEST: &[Field] =
    &[one("node", 1, Kind::Message(NODE)), many("spans", 2, Kind::Message(SPAN)), one("resource", 3, Kind::Message(RESOURCE))];

static NODE: &[Field] = &[
    one(
        "identifier",
        1,
        Kind::Message(&[one("host_name", 1, Kind::Text), one("pid", 2, Kind::Number), one("start_timestamp", 3, Kind::Timestamp)]),
    ),
    one(
        "library_info",
        2,
        Kind::Message(&[
            one("language", 1, Kind::Enum(LANGUAGES)),
            one("exporter_version", 2, Kind::Text),
            one("core_library_version", 3, Kind::Text),
        ]),
    ),
    one("service_info", 3, Kind::Message(&[one("name", 1, Kind::Text)])),
    one("attributes", 4, Kind::Texts),
];

static RESOURCE: &[Field] = &[one("type", 1, Kind::Text), one("labels", 2, Kind::Texts)];

static TRUNCATABLE: &[Field] = &[one("value", 1, Kind::Text), one("truncated_byte_count", 2, Kind::Number)];

static SPAN: &[Field] = &[
    one("trace_id", 1, Kind::Bytes),
    one("span_id", 2, Kind::Bytes),
    one("parent_span_id", 3, Kind::Bytes),
    one("name", 4, Kind::Message(TRUNCATABLE)),
    one("start_time", 5, Kind::Timestamp),
    one("end_time", 6, Kind::Timestamp),
    one("attributes", 7, Kind::Message(ATTRIBUTES)),
    one(
        "time_events",
        9,
        Kind::Message(&[
            many("time_event", 1, Kind::Message(TIME_EVENT)),
            one("dropped_annotations_count", 2, Kind::Number),
            one("dropped_message_events_count", 3, Kind::Number),
        ]),
    ),
    one("links", 10, Kind::Message(&[many("link", 1, Kind::Message(LINK)), one("dropped_links_count", 2, Kind::Number)])),
    one("status", 11, Kind::Message(&[one("code", 1, Kind::Number), one("message", 2, Kind::Text)])),
    one("same_process_as_parent_span", 12, Kind::Wrapped(&Kind::Bool)),
    one("child_span_count", 13, Kind::Wrapped(&Kind::Number)),
    one("kind", 14, Kind::Enum(&[("SPAN_KIND_UNSPECIFIED", 0), ("SERVER", 1), ("CLIENT", 2)])),
    one("tracestate", 15, Kind::Message(TRACESTATE)),
    one("resource", 16, Kind::Message(RESOURCE)),
];

static ATTRIBUTES: &[Field] = &[
    one(
        "attribute_map",
        1,
        Kind::Messages(&[
            one("string_value", 1, Kind::Message(TRUNCATABLE)),
            one("int_value", 2, Kind::Number),
            one("bool_value", 3, Kind::Bool),
            one("double_value", 4, Kind::Double),
        ]),
    ),
    one("dropped_attributes_count", 2, Kind::Number),
];

static TIME_EVENT: &[Field] = &[
    one("time", 1, Kind::Timestamp),
    one(
        "annotation",
        2,
        Kind::Message(&[one("description", 1, Kind::Message(TRUNCATABLE)), one("attributes", 2, Kind::Message(ATTRIBUTES))]),
    ),
    one(
        "message_event",
        3,
        Kind::Message(&[
            one("type", 1, Kind::Enum(&[("TYPE_UNSPECIFIED", 0), ("SENT", 1), ("RECEIVED", 2)])),
            one("id", 2, Kind::Number),
            one("uncompressed_size", 3, Kind::Number),
            one("compressed_size", 4, Kind::Number),
        ]),
    ),
];

static LINK: &[Field] = &[
    one("trace_id", 1, Kind::Bytes),
    one("span_id", 2, Kind::Bytes),
    one("type", 3, Kind::Enum(&[("TYPE_UNSPECIFIED", 0), ("CHILD_LINKED_SPAN", 1), ("PARENT_LINKED_SPAN", 2)])),
    one("attributes", 4, Kind::Message(ATTRIBUTES)),
    one("tracestate", 5, Kind::Message(TRACESTATE)),
];

static TRACESTATE: &[Field] = &[many("entries", 1, Kind::Message(&[one("key", 1, Kind::Text), one("value", 2, Kind::Text)]))];

/// The messages of a body, one after the other, each in protobuf.
///
/// # Errors
/// [`JsonError`].
pub fn messages(body: &[u8]) -> Result<Vec<Vec<u8>>, JsonError> {
    let mut messages = Vec::new();
    for value in Deserializer::from_slice(body).into_iter::<Value>() {
        let Value::Object(members) = value? else { return Err(JsonError::Value("ExportTraceServiceRequest".to_owned())) };
        messages.push(message(REQUEST, &members)?);
    }
    Ok(messages)
}

fn message(fields: &[Field], members: &Map<String, Value>) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    for Field(name, number, kind, is_repeated) in fields {
        let value = members.get(*name).or_else(|| members.get(&camel_case(name))).filter(|value| !value.is_null());
        let Some(value) = value else { continue };
        let bad = || JsonError::Value((*name).to_owned());
        match (value, is_repeated) {
            (Value::Array(values), true) => values.iter().try_for_each(|value| put(&mut out, *number, kind, value, name))?,
            (_, true) => return Err(bad()),
            (value, false) => put(&mut out, *number, kind, value, name)?,
        }
    }
    Ok(out)
}

fn put(out: &mut Vec<u8>, number: u32, kind: &Kind, value: &Value, name: &str) -> Result<(), JsonError> {
    let bad = || JsonError::Value(name.to_owned());
    match kind {
        Kind::Text => put_bytes(out, number, value.as_str().ok_or_else(bad)?.as_bytes()),
        Kind::Bytes => put_bytes(out, number, &bytes(value).ok_or_else(bad)?),
        Kind::Number => put_number(out, number, whole(value).ok_or_else(bad)?),
        Kind::Bool => put_number(out, number, u64::from(value.as_bool().ok_or_else(bad)?)),
        Kind::Double => {
            put_varint(out, u64::from(number) << 3 | 1);
            out.extend_from_slice(&double(value).ok_or_else(bad)?.to_le_bytes());
        }
        Kind::Enum(names) => {
            let named = value.as_str().and_then(|text| names.iter().find(|(name, _)| *name == text)).map(|(_, number)| *number);
            put_number(out, number, named.or_else(|| value.as_u64()).ok_or_else(bad)?);
        }
        Kind::Timestamp => put_bytes(out, number, &timestamp(value).ok_or_else(bad)?),
        Kind::Wrapped(kind) => {
            let mut wrapped = Vec::new();
            put(&mut wrapped, 1, kind, value, name)?;
            put_bytes(out, number, &wrapped);
        }
        Kind::Message(fields) => put_bytes(out, number, &message(fields, value.as_object().ok_or_else(bad)?)?),
        Kind::Texts | Kind::Messages(_) => {
            for (key, value) in value.as_object().ok_or_else(bad)? {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                let kind = if let Kind::Messages(fields) = kind { &Kind::Message(fields) } else { &Kind::Text };
                put(&mut entry, 2, kind, value, name)?;
                put_bytes(out, number, &entry);
            }
        }
    }
    Ok(())
}

fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// A whole number in the form in which protobuf writes it.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse::<i64>().map(i64::cast_unsigned).or_else(|_| text.parse()).ok(),
        value => value.as_i64().map(i64::cast_unsigned).or_else(|| value.as_u64()),
    }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        value => value.as_f64(),
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

fn timestamp(value: &Value) -> Option<Vec<u8>> {
    value.as_str()?.parse::<Timestamp>().ok().map(|moment| moment.encode_to_vec())
}

/// `trace_id` as `traceId`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}
