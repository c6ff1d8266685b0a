//! Walking a request before anything of it is stored: is it well formed, are its ids legal, how many spans has it?

use super::value::{MAX_DEPTH, read_plain};
use super::wire::{Field, Malformed, Reader};

/// What the walk found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validated {
    /// Number of spans in the request.
    pub num_spans: usize,
}

/// Why a request is refused as a whole; the messages are those of spec/ingest.md §2 and §9.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes cannot be decoded.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// A span without a trace id, or with an all-zero one, which also reads as 0 bits.
    #[error("trace ids must be 128 bit, received {bits} bits")]
    TraceId {
        /// Bits received.
        bits: usize,
    },
    /// A span without a span id, or with an all-zero one.
    #[error("span ids must be 64 bit and not all zero, received {bits} bits")]
    SpanId {
        /// Bits received.
        bits: usize,
    },
}

/// Field number of the deprecated `instrumentation_library_spans` in `ResourceSpans` (spec/ingest.md §2).
pub(super) const LIBRARY_SPANS: u32 = 1000;

/// Walks an `ExportTraceServiceRequest`. Malformed bytes anywhere win over an illegal id, as in a decoder that builds
/// the message first.
pub fn validate(request: &[u8]) -> Result<Validated, Refusal> {
    let mut walk = Walk { num_spans: 0, refusal: None };
    let mut reader = Reader::new(request);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            walk.resource_spans(field.bytes(1)?)?;
        }
    }
    match walk.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(Validated { num_spans: walk.num_spans }),
    }
}

struct Walk {
    num_spans: usize,
    /// The first illegal id.
    refusal: Option<Refusal>,
}

impl Walk {
    fn resource_spans(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(message);
        let (mut has_scope_spans, mut has_library_spans) = (false, false);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => resource(field.bytes(1)?)?,
                2 => {
                    has_scope_spans = true;
                    self.scope_spans(field.bytes(2)?)?;
                }
                3 => drop(field.bytes(3)?),
                LIBRARY_SPANS => has_library_spans = true,
                _ => {}
            }
        }
        match (has_library_spans, has_scope_spans) {
            (true, false) => self.library_spans(message),
            // These are not stored, so only their form counts.
            (true, true) => Walk { num_spans: 0, refusal: None }.library_spans(message),
            (false, _) => Ok(()),
        }
    }

    fn library_spans(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if number == LIBRARY_SPANS {
                self.scope_spans(field.bytes(number)?)?;
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => attributes_in(field.bytes(1)?, 3, &[(1, Wire::Bytes), (2, Wire::Bytes), (4, Wire::Varint)])?,
                2 => self.span(field.bytes(2)?)?,
                3 => drop(field.bytes(3)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn span(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => trace_id = trace_id_bytes(field.bytes(1)?)?,
                2 => span_id = span_id_bytes(field.bytes(2)?)?,
                4 => drop(span_id_bytes(field.bytes(4)?)?),
                3 | 5 => drop(field.bytes(number)?),
                7 | 8 => drop(field.fixed64(number)?),
                6 | 10 | 12 | 14 => drop(field.varint(number)?),
                9 => key_value(field.bytes(9)?, 0)?,
                11 => attributes_in(field.bytes(11)?, 3, &[(1, Wire::Fixed64), (2, Wire::Bytes), (4, Wire::Varint)])?,
                13 => link(field.bytes(13)?)?,
                15 => fields_in(field.bytes(15)?, &[(2, Wire::Bytes), (3, Wire::Varint)])?,
                16 => drop(field.fixed32(16)?),
                _ => {}
            }
        }
        self.num_spans += 1;
        if self.refusal.is_none() {
            self.refusal = refusal_of(trace_id, span_id);
        }
        Ok(())
    }
}

fn refusal_of(trace_id: &[u8], span_id: &[u8]) -> Option<Refusal> {
    if trace_id.iter().all(|byte| *byte == 0) {
        return Some(Refusal::TraceId { bits: 0 });
    }
    span_id.iter().all(|byte| *byte == 0).then_some(Refusal::SpanId { bits: 8 * span_id.len() })
}

fn trace_id_bytes(bytes: &[u8]) -> Result<&[u8], Malformed> {
    matches!(bytes.len(), 0 | 16).then_some(bytes).ok_or(Malformed::TraceIdLength)
}

fn span_id_bytes(bytes: &[u8]) -> Result<&[u8], Malformed> {
    matches!(bytes.len(), 0 | 8).then_some(bytes).ok_or(Malformed::SpanIdLength)
}

#[derive(Clone, Copy, PartialEq)]
enum Wire {
    Varint,
    Fixed64,
    Bytes,
}

fn has_wire(field: Field<'_>, wire: Wire) -> bool {
    matches!((field, wire), (Field::Varint(_), Wire::Varint) | (Field::Fixed64(_), Wire::Fixed64) | (Field::Bytes(_), Wire::Bytes))
}

fn fields_in(message: &[u8], expected: &[(u32, Wire)]) -> Result<(), Malformed> {
    attributes_in(message, 0, expected)
}

/// Checks a message whose field `attributes` holds `KeyValue`s and whose other known fields have the wire types given.
fn attributes_in(message: &[u8], attributes: u32, expected: &[(u32, Wire)]) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number == attributes {
            key_value(field.bytes(number)?, 0)?;
        } else if expected.iter().any(|(known, wire)| *known == number && !has_wire(field, *wire)) {
            return Err(Malformed::WireType(number));
        }
    }
    Ok(())
}

fn resource(message: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => key_value(field.bytes(1)?, 0)?,
            2 => drop(field.varint(2)?),
            3 => fields_in(field.bytes(3)?, &[1, 2, 3, 4].map(|text| (text, Wire::Bytes)))?,
            _ => {}
        }
    }
    Ok(())
}

fn link(message: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => drop(trace_id_bytes(field.bytes(1)?)?),
            2 => drop(span_id_bytes(field.bytes(2)?)?),
            3 => drop(field.bytes(3)?),
            4 => key_value(field.bytes(4)?, 0)?,
            5 => drop(field.varint(5)?),
            6 => drop(field.fixed32(6)?),
            _ => {}
        }
    }
    Ok(())
}

#[inline]
fn key_value(message: &[u8], depth: usize) -> Result<(), Malformed> {
    if read_plain(message).is_some() {
        return Ok(());
    }
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => drop(field.bytes(1)?),
            2 => any_value(field.bytes(2)?, depth + 1)?,
            3 => drop(field.varint(3)?),
            _ => {}
        }
    }
    Ok(())
}

#[inline]
fn any_value(message: &[u8], depth: usize) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match (number, field) {
            (1 | 7, Field::Bytes(_)) | (2 | 3 | 8, Field::Varint(_)) | (4, Field::Fixed64(_)) => {}
            (5 | 6, Field::Bytes(list)) => values_in(number, list, depth)?,
            (1..=8, _) => return Err(Malformed::WireType(number)),
            _ => {}
        }
    }
    Ok(())
}

/// The values of an array (5) or the pairs of a key-value list (6).
fn values_in(kind: u32, list: &[u8], depth: usize) -> Result<(), Malformed> {
    if depth >= MAX_DEPTH {
        return Err(Malformed::Depth);
    }
    let mut reader = Reader::new(list);
    while let Some((number, field)) = reader.next_field()? {
        match (number, kind) {
            (1, 5) => any_value(field.bytes(1)?, depth + 1)?,
            (1, _) => key_value(field.bytes(1)?, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}
