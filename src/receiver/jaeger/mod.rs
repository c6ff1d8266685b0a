//! Jaeger's batches of spans, in thrift and in protobuf, turned into OTLP bytes (spec/ingest.md §5).
//!
//! `thrift` and `proto` read the two wire forms into the span of `model`, which borrows from the request and is used again
//! for the next span; `translate` writes each span as OTLP at once, `tags` looks at the tags that mean something. What the
//! two forms are taken differently in (trace state, scope, spans with a process of their own) is said by [`model::Form`].
//!
//! Whether ids are all zero is the distributor's question.

mod model;
mod proto;
mod tags;
#[cfg(test)]
mod tests;
mod thrift;
mod translate;

use super::thrift::{Binary, Compact, ThriftError};
use crate::columns::wire::Malformed;
use bytes::Bytes;

/// The spans of a bare `Batch` struct in the binary format, as they are sent over HTTP (spec/ingest.md §5.2).
///
/// # Errors
///
/// [`ThriftError`] for bytes that are no such struct.
pub fn decode_batch(body: &[u8]) -> Result<Bytes, ThriftError> {
    thrift::decode_batch(&mut Binary::new(body))
}

/// The spans of a datagram in the compact format: a message `emitBatch` (spec/ingest.md §5.3).
///
/// # Errors
///
/// [`PacketError`] for anything else.
pub fn decode_compact_packet(packet: &[u8]) -> Result<Bytes, PacketError> {
    thrift::decode_packet(&mut Compact::new(packet))
}

/// The spans of a datagram in the binary format, strict or old: a message `emitBatch` (spec/ingest.md §5.3).
///
/// # Errors
///
/// [`PacketError`] for anything else.
pub fn decode_binary_packet(packet: &[u8]) -> Result<Bytes, PacketError> {
    thrift::decode_packet(&mut Binary::new(packet))
}

/// The spans of a `jaeger.api_v2.PostSpansRequest` (spec/ingest.md §5.1).
///
/// # Errors
///
/// [`Malformed`] for bytes that are no such message.
pub fn decode_post_spans(message: &[u8]) -> Result<Bytes, Malformed> {
    proto::decode_post_spans(message)
}

/// Why a datagram has no spans for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Not thrift.
    #[error(transparent)]
    Thrift(#[from] ThriftError),
    /// Another method than `emitBatch`, or an answer.
    #[error("not a call of emitBatch")]
    Method,
}
