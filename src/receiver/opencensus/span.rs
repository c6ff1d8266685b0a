//! A span of OpenCensus, written as one of OTLP while its fields are read.

use super::attributes::{Attributes, count, timestamp, tracestate, truncatable};
use crate::columns::wire::{Malformed, Reader};
use crate::proto::otlp::{SpanKind, StatusCode};
use crate::receiver::otlp_writer::{OtlpWriter, Value};

const RESOURCE: u32 = 16;

/// The bytes of the span's own `Resource`, if it has one.
pub(super) fn own_resource(message: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let mut own = None;
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number == RESOURCE {
            own = Some(field.bytes(RESOURCE)?);
        }
    }
    Ok(own)
}

/// Fields that are written after all others are read, for they say something of each other.
#[derive(Default)]
struct Rest<'a> {
    attributes: Attributes<'a>,
    kind: u64,
    status: Option<(i64, &'a [u8])>,
    same_process: Option<bool>,
    num_dropped_events: u64,
    num_dropped_links: u64,
}

/// Writes the span into the field `spans` of a `ScopeSpans`.
pub(super) fn write(out: &mut OtlpWriter, message: &[u8]) -> Result<(), Malformed> {
    let mut written = Ok(());
    out.message(2, |out| written = write_fields(out, message));
    written
}

fn write_fields(out: &mut OtlpWriter, message: &[u8]) -> Result<(), Malformed> {
    let mut rest = Rest::default();
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => trace_id = field.bytes(1)?,
            2 => span_id = field.bytes(2)?,
            3 => write_parent(out, field.bytes(3)?),
            4 => out.bytes(5, truncatable(field.bytes(4)?)?),
            5 => out.fixed64(7, timestamp(field.bytes(5)?)?),
            6 => out.fixed64(8, timestamp(field.bytes(6)?)?),
            7 => rest.attributes = Attributes::read(field.bytes(7)?)?,
            9 => write_events(out, field.bytes(9)?, &mut rest)?,
            10 => write_links(out, field.bytes(10)?, &mut rest)?,
            11 => rest.status = Some(read_status(field.bytes(11)?)?),
            12 => rest.same_process = Some(first_varint(field.bytes(12)?)? != 0),
            14 => rest.kind = field.varint(14)?,
            15 => out.bytes(3, &tracestate(field.bytes(15)?)?),
            _ => {}
        }
    }
    out.raw(1, &fixed::<16>(trace_id));
    out.raw(2, &fixed::<8>(span_id));
    write_rest(out, rest);
    Ok(())
}

/// An id of the right length: what is too long is cut, what is too short gets zeros on its right.
fn fixed<const N: usize>(id: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let length = id.len().min(N);
    bytes[..length].copy_from_slice(&id[..length]);
    bytes
}

fn write_parent(out: &mut OtlpWriter, id: &[u8]) {
    if id.iter().any(|byte| *byte != 0) {
        out.raw(4, &fixed::<8>(id));
    }
}

fn write_rest(out: &mut OtlpWriter, mut rest: Rest<'_>) {
    let kind = match rest.kind {
        1 => SpanKind::Server,
        2 => SpanKind::Client,
        _ => rest.attributes.take(b"span.kind", kind_by_name).unwrap_or_default(),
    };
    let overriding = rest.attributes.take(b"otel.status_code", |value| match value {
        Value::Int(code) => Some(i32::try_from(code).ok().and_then(|code| StatusCode::try_from(code).ok()).unwrap_or_default()),
        _ => None,
    });
    let (code, message) = rest.status.unwrap_or_default();
    let code = overriding.unwrap_or(if code == 0 { StatusCode::Unset } else { StatusCode::Error });
    out.varint(6, (kind as i32).cast_unsigned().into());
    rest.attributes.write(out, 9);
    if let Some(same_process) = rest.same_process {
        out.attribute(9, b"opencensus.same_process_as_parent_span", Value::Bool(same_process));
    }
    out.varint(10, rest.attributes.num_dropped);
    out.varint(12, rest.num_dropped_events);
    out.varint(14, rest.num_dropped_links);
    out.status(code, message);
}

/// The kinds that OpenCensus has no numbers for.
fn kind_by_name(value: Value<'_>) -> Option<SpanKind> {
    match value {
        Value::Text(b"consumer") => Some(SpanKind::Consumer),
        Value::Text(b"producer") => Some(SpanKind::Producer),
        Value::Text(b"internal") => Some(SpanKind::Internal),
        _ => None,
    }
}

/// `Status { int32 code = 1; string message = 2 }`.
fn read_status(message: &[u8]) -> Result<(i64, &[u8]), Malformed> {
    let (mut code, mut text): (i64, &[u8]) = (0, &[]);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => code = field.varint(1)?.cast_signed(),
            2 => text = field.bytes(2)?,
            _ => {}
        }
    }
    Ok((code, text))
}

/// The value of a wrapper such as `BoolValue`.
fn first_varint(message: &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            value = field.varint(1)?;
        }
    }
    Ok(value)
}

/// `TimeEvents { repeated TimeEvent time_event = 1; dropped_annotations_count = 2; dropped_message_events_count = 3 }`.
fn write_events(out: &mut OtlpWriter, message: &[u8], rest: &mut Rest<'_>) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => {
                let event = field.bytes(1)?;
                let mut written = Ok(());
                out.message(11, |out| written = write_event(out, event));
                written?;
            }
            2 | 3 => rest.num_dropped_events += count(field.varint(number)?),
            _ => {}
        }
    }
    Ok(())
}

/// `TimeEvent { time = 1; annotation = 2 | message_event = 3 }`.
fn write_event(out: &mut OtlpWriter, message: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => out.fixed64(1, timestamp(field.bytes(1)?)?),
            2 => write_annotation(out, field.bytes(2)?)?,
            3 => write_message_event(out, field.bytes(3)?)?,
            _ => {}
        }
    }
    Ok(())
}

/// `Annotation { TruncatableString description = 1; Attributes attributes = 2 }`.
fn write_annotation(out: &mut OtlpWriter, message: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => out.bytes(2, truncatable(field.bytes(1)?)?),
            2 => {
                let attributes = Attributes::read(field.bytes(2)?)?;
                attributes.write(out, 3);
                out.varint(4, attributes.num_dropped);
            }
            _ => {}
        }
    }
    Ok(())
}

/// `MessageEvent { type = 1; id = 2; uncompressed_size = 3; compressed_size = 4 }`.
fn write_message_event(out: &mut OtlpWriter, message: &[u8]) -> Result<(), Malformed> {
    out.bytes(2, b"message");
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        let (key, value): (&[u8], Value<'_>) = match number {
            1 => match field.varint(1)? {
                1 => (b"message.type", Value::Text(b"SENT")),
                2 => (b"message.type", Value::Text(b"RECEIVED")),
                _ => continue,
            },
            2 => (b"messaging.message_id", Value::Int(field.varint(2)?.cast_signed())),
            3 => (b"messaging.message_payload_size_bytes", Value::Int(field.varint(3)?.cast_signed())),
            4 => (b"messaging.message_payload_compressed_size_bytes", Value::Int(field.varint(4)?.cast_signed())),
            _ => continue,
        };
        out.attribute(3, key, value);
    }
    Ok(())
}

/// `Links { repeated Link link = 1; dropped_links_count = 2 }`.
fn write_links(out: &mut OtlpWriter, message: &[u8], rest: &mut Rest<'_>) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => {
                let link = field.bytes(1)?;
                let mut written = Ok(());
                out.message(13, |out| written = write_link(out, link));
                written?;
            }
            2 => rest.num_dropped_links += count(field.varint(2)?),
            _ => {}
        }
    }
    Ok(())
}

/// `Link { trace_id = 1; span_id = 2; type = 3; attributes = 4; tracestate = 5 }`.
fn write_link(out: &mut OtlpWriter, message: &[u8]) -> Result<(), Malformed> {
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => trace_id = field.bytes(1)?,
            2 => span_id = field.bytes(2)?,
            4 => {
                let attributes = Attributes::read(field.bytes(4)?)?;
                attributes.write(out, 4);
                out.varint(5, attributes.num_dropped);
            }
            5 => out.bytes(3, &tracestate(field.bytes(5)?)?),
            _ => {}
        }
    }
    out.raw(1, &fixed::<16>(trace_id));
    out.raw(2, &fixed::<8>(span_id));
    Ok(())
}
