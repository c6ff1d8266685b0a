//! Zipkin's ids: hex digits in any case, read as numbers, so that short forms are padded with zeros on the left.

use crate::receiver::error::DecodeError;

/// A trace id of 1 to 32 significant digits (spec/ingest.md §4.3).
pub(super) fn parse_trace_id(text: &str) -> Result<u128, DecodeError> {
    if text.is_empty() {
        return Err(DecodeError::Invalid("valid traceId required".to_owned()));
    }
    parse_hex(text, u128::from_str_radix)
}

/// A span id of 1 to 16 significant digits.
pub(super) fn parse_span_id(text: &str) -> Result<u64, DecodeError> {
    parse_hex(text, u64::from_str_radix)
}

fn parse_hex<T>(text: &str, parse: fn(&str, u32) -> Result<T, std::num::ParseIntError>) -> Result<T, DecodeError> {
    // The parser of integers takes a sign, an id has none.
    if !text.bytes().all(|character| character.is_ascii_hexdigit()) {
        return Err(DecodeError::Invalid("id has characters that are not hex digits".to_owned()));
    }
    parse(text, 16).map_err(|error| DecodeError::Invalid(format!("bad id: {error}")))
}

/// The bytes of a span id as OTLP has them; none for 0.
pub(super) fn optional_id_bytes(id: u64) -> Vec<u8> {
    if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() }
}
