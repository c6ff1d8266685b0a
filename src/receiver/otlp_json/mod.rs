//! OTLP trace messages from their JSON form (spec/ingest.md §3.2).
//!
//! The JSON is decoded straight into the protobuf messages: `reader` walks objects and scalars, `message` and `value`
//! say which key fills which field. Everything a sender may get wrong without losing meaning is accepted: both spellings
//! of a key, numbers as text and text as numbers, nulls, keys of the future.
//!
//! Nesting is limited by `serde_json` to 128 arrays and objects, about 38 levels of array values; deeper documents are
//! refused, except below unknown keys, which are skipped without recursion.

mod message;
pub(in crate::receiver) mod reader;
#[cfg(test)]
mod tests;
mod value;

use serde::Deserialize;

use crate::proto::otlp::ExportTraceServiceRequest;
use crate::receiver::error::DecodeError;
use reader::Object;

/// The request in a JSON body; bytes after the document are ignored, and `null` is an empty request.
///
/// Ids are kept as sent: 16 or 8 bytes, or none for an empty text. Whether they are all zero is not looked at.
///
/// # Errors
///
/// [`DecodeError::Truncated`] when the document does not end, [`DecodeError::Json`] when it is no JSON, nested too deep or
/// holds a value that its field cannot take; for ids of another length the text mentions `length mismatch`.
pub fn decode(body: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    let text = reader::repair_text(body);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let request = Option::<Object<ExportTraceServiceRequest>>::deserialize(&mut deserializer)?;
    Ok(request.unwrap_or_default().0)
}
