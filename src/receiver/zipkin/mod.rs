//! Zipkin spans, v1 and v2, turned into OTLP (spec/ingest.md §4): v2 into its bytes, without copies of texts that lie in the
//! request, v1 into its messages.
//!
//! `v2_json` and `v2_proto` read the two forms of v2 into the span of `model`; `translate` groups these spans by service
//! and maps them to OTLP with the help of `resource` (tags that describe the resource), `status` and `piped` (links and
//! event attributes packed into text). `v1_json` and `v1_thrift` read the two forms of the older format and
//! `v1_translate` maps it; the two versions have ids and endpoints in common, little else.
//!
//! Tags become string attributes and are not type-inferred unless [`TagTypes`] says so. Ids are kept as sent; whether they are all zero is the
//! distributor's question. Shared spans keep their id: only answers rewrite it.

mod attributes;
mod ids;
mod model;
mod piped;
#[cfg(test)]
mod recorded_tests;
mod resource;
mod status;
#[cfg(test)]
mod tests;
mod translate;
mod v1_json;
mod v1_model;
mod v1_thrift;
mod v1_translate;
mod v2_json;
mod v2_proto;

pub use attributes::TagTypes;

use crate::proto::otlp::ExportTraceServiceRequest;
use crate::receiver::error::DecodeError;
use crate::receiver::otlp_json::reader::repair_text;
use bytes::Bytes;

/// True if requests to `path` carry v1 spans; every other path takes v2 (spec/ingest.md §4.1).
pub fn is_v1_path(path: &str) -> bool {
    path.contains("api/v1/spans")
}

/// The spans of a v2 JSON array (spec/ingest.md §4.3), as the bytes of an `ExportTraceServiceRequest`; `null` is an empty array.
///
/// # Errors
///
/// [`DecodeError`] for anything but an array of spans; one bad span refuses the whole array. A trace id that is missing
/// is no error here: it becomes the all-zero id.
pub fn decode_v2_json(body: &[u8], types: TagTypes) -> Result<Bytes, DecodeError> {
    translate::to_otlp(v2_json::parse(&repair_text(body))?, types)
}

/// The spans of a protobuf `zipkin.proto3.ListOfSpans` (spec/ingest.md §4.5), as the bytes of an `ExportTraceServiceRequest`.
///
/// # Errors
///
/// [`DecodeError`] for bytes that are no such message and for ids of a wrong length.
pub fn decode_v2_proto(body: &[u8], types: TagTypes) -> Result<Bytes, DecodeError> {
    translate::to_otlp(v2_proto::parse(body)?, types)
}

/// The spans of a v1 JSON array (spec/ingest.md §4.6); `null` is an empty array.
///
/// `now_unix_nanos` is the time of arrival: spans without any time of their own start then.
///
/// # Errors
///
/// [`DecodeError`] for anything but an array of spans; one bad span refuses the whole array.
pub fn decode_v1_json(body: &[u8], types: TagTypes, now_unix_nanos: u64) -> Result<ExportTraceServiceRequest, DecodeError> {
    Ok(v1_translate::to_otlp(v1_json::parse(body)?, types, now_unix_nanos))
}

/// The spans of a v1 list in thrift's binary format, without a message around it (spec/ingest.md §4.7).
///
/// `now_unix_nanos` as in [`decode_v1_json`].
///
/// # Errors
///
/// [`DecodeError`] for bytes that are no list of structs and for ids that are missing or zero; one bad span refuses the
/// whole list.
pub fn decode_v1_thrift(body: &[u8], types: TagTypes, now_unix_nanos: u64) -> Result<ExportTraceServiceRequest, DecodeError> {
    Ok(v1_translate::to_otlp(v1_thrift::parse(body)?, types, now_unix_nanos))
}
