//! OpenCensus's agent protocol, turned into OTLP bytes (spec/ingest.md §6).
//!
//! The messages of a stream build on each other: a message without a node or a resource means those of an earlier one.
//! [`Stream`] keeps them. `resource` tells who made the spans, `span` what they are.

mod attributes;
pub mod json;
mod resource;
mod span;
#[cfg(test)]
mod tests;

use super::otlp_writer::OtlpWriter;
use crate::columns::wire::{Malformed, Reader};
use bytes::Bytes;

/// Why a message of a stream cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Not an `ExportTraceServiceRequest` of OpenCensus.
    #[error("grpc: error unmarshalling request: unmarshal: {0}")]
    Malformed(#[from] Malformed),
    /// A client starts by saying who it is.
    #[error("protocol violation: Export's first message must have a Node")]
    NoNode,
}

/// What a stream has said so far.
#[derive(Debug, Default)]
pub struct Stream {
    /// The bytes of the last `Node`.
    node: Option<Vec<u8>>,
    /// The bytes of the last `Resource`.
    resource: Vec<u8>,
}

impl Stream {
    /// The spans of the next message, as an OTLP request; empty if it has none.
    ///
    /// # Errors
    ///
    /// [`StreamError`]; the stream is of no use after it.
    pub fn decode(&mut self, message: &[u8]) -> Result<Bytes, StreamError> {
        let mut spans = Vec::new();
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => self.node = Some(field.bytes(1)?.to_vec()),
                2 => spans.push(field.bytes(2)?),
                3 => self.resource = field.bytes(3)?.to_vec(),
                _ => {}
            }
        }
        let node = self.node.as_deref().ok_or(StreamError::NoNode)?;
        Ok(Bytes::from(translate(node, &self.resource, &spans)?))
    }
}

/// A span with a resource of its own gets `ResourceSpans` of its own.
fn translate(node: &[u8], resource: &[u8], spans: &[&[u8]]) -> Result<Vec<u8>, Malformed> {
    let (mut request, mut together) = (OtlpWriter::default(), OtlpWriter::default());
    // Also without spans: what is malformed is refused at once.
    let common = resource::write(node, resource)?;
    for message in spans {
        match span::own_resource(message)? {
            Some(own) => {
                let mut alone = OtlpWriter::default();
                span::write(&mut alone, message)?;
                write_resource_spans(&mut request, &resource::write(node, own)?, alone.as_bytes());
            }
            None => span::write(&mut together, message)?,
        }
    }
    if !together.as_bytes().is_empty() {
        write_resource_spans(&mut request, &common, together.as_bytes());
    }
    Ok(request.finish())
}

fn write_resource_spans(request: &mut OtlpWriter, resource: &[u8], spans: &[u8]) {
    request.message(1, |resource_spans| {
        resource_spans.raw(1, resource);
        resource_spans.message(2, |scope_spans| {
            scope_spans.raw(1, b"");
            scope_spans.append(spans);
        });
    });
}
