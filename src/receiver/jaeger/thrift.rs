//! Batches in thrift (spec/ingest.md §5.4). Fields of an unexpected type count as unknown, and are passed over.

use super::PacketError;
use super::model::{Form, Log, Process, Reference, Span, Tag};
use super::translate::Batches;
use crate::receiver::otlp_writer::Value;
use crate::receiver::thrift::{Fields, Kind, Reader, ThriftError};
use bytes::Bytes;

/// Types of messages that carry a batch: a call with and without an answer.
const CALL: u8 = 1;
const ONEWAY: u8 = 4;

/// A message `emitBatch` with its arguments.
pub(super) fn decode_packet<'a>(reader: &mut impl Reader<'a>) -> Result<Bytes, PacketError> {
    let (kind, method) = reader.message()?;
    if !matches!(kind, CALL | ONEWAY) || method != b"emitBatch" {
        return Err(PacketError::Method);
    }
    let mut batches = Batches::new(Form::Thrift);
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::Struct) => batch(reader, &mut batches)?,
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(batches.finish())
}

/// A bare `Batch`. What follows it is not looked at.
pub(super) fn decode_batch<'a>(reader: &mut impl Reader<'a>) -> Result<Bytes, ThriftError> {
    let mut batches = Batches::new(Form::Thrift);
    batch(reader, &mut batches)?;
    Ok(batches.finish())
}

fn batch<'a>(reader: &mut impl Reader<'a>, batches: &mut Batches) -> Result<(), ThriftError> {
    let mut read = Span::default();
    let mut made_by = Process::default();
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::Struct) => made_by = process(reader)?,
            (2, Kind::List) => reader.structs(|reader| {
                span(reader, &mut read)?;
                batches.add(&mut read);
                Ok(())
            })?,
            (_, other) => reader.skip(other)?,
        }
    }
    batches.made_by(&mut made_by);
    Ok(())
}

fn process<'a>(reader: &mut impl Reader<'a>) -> Result<Process<'a>, ThriftError> {
    let mut process = Process::default();
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::Bytes) => process.service_name = reader.bytes()?,
            (2, Kind::List) => tags(reader, &mut process.tags)?,
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(process)
}

fn span<'a>(reader: &mut impl Reader<'a>, span: &mut Span<'a>) -> Result<(), ThriftError> {
    span.clear();
    let (mut low, mut high, mut flags) = (0, 0, 0);
    let (mut start_micros, mut duration_micros) = (0, 0);
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::I64) => low = reader.i64()?,
            (2, Kind::I64) => high = reader.i64()?,
            (3, Kind::I64) => span.id = reader.i64()?.cast_unsigned(),
            (4, Kind::I64) => span.parent_id = reader.i64()?.cast_unsigned(),
            (5, Kind::Bytes) => span.name = reader.bytes()?,
            (6, Kind::List) => reader.structs(|reader| {
                span.references.push(reference(reader)?);
                Ok(())
            })?,
            (7, Kind::I32) => flags = reader.i32()?,
            (8, Kind::I64) => start_micros = reader.i64()?,
            (9, Kind::I64) => duration_micros = reader.i64()?,
            (10, Kind::List) => tags(reader, &mut span.tags)?,
            (11, Kind::List) => reader.structs(|reader| log(reader, span))?,
            (_, other) => reader.skip(other)?,
        }
    }
    span.trace_id = trace_id(high, low);
    span.start_nanos = nanos(start_micros);
    span.end_nanos = span.start_nanos.saturating_add_signed(duration_micros.saturating_mul(1000));
    span.says_something = flags != 0 || start_micros != 0 || duration_micros != 0;
    Ok(())
}

fn trace_id(high: i64, low: i64) -> u128 {
    u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned())
}

/// Nanoseconds of microseconds since 1970; what lies before is taken for 1970.
fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
}

fn reference<'a>(reader: &mut impl Reader<'a>) -> Result<Reference, ThriftError> {
    let (mut kind_number, mut low, mut high, mut span_id) = (0, 0, 0, 0);
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::I32) => kind_number = reader.i32()?,
            (2, Kind::I64) => low = reader.i64()?,
            (3, Kind::I64) => high = reader.i64()?,
            (4, Kind::I64) => span_id = reader.i64()?,
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(Reference { is_child_of: kind_number == 0, trace_id: trace_id(high, low), span_id: span_id.cast_unsigned() })
}

fn log<'a>(reader: &mut impl Reader<'a>, span: &mut Span<'a>) -> Result<(), ThriftError> {
    let first = span.log_fields.len();
    let mut time_micros = 0;
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::I64) => time_micros = reader.i64()?,
            (2, Kind::List) => tags(reader, &mut span.log_fields)?,
            (_, other) => reader.skip(other)?,
        }
    }
    span.logs.push(Log { time_nanos: nanos(time_micros), fields: first..span.log_fields.len() });
    Ok(())
}

fn tags<'a>(reader: &mut impl Reader<'a>, tags: &mut Vec<Tag<'a>>) -> Result<(), ThriftError> {
    reader.structs(|reader| {
        tags.push(tag(reader)?);
        Ok(())
    })
}

/// A tag; a value that its type asks for and that is not there is zero or empty. Types that we do not know are text.
fn tag<'a>(reader: &mut impl Reader<'a>) -> Result<Tag<'a>, ThriftError> {
    let (mut key, mut kind_number): (&[u8], i32) = (&[], 0);
    let (mut text, mut double, mut flag, mut int, mut bytes): (&[u8], f64, bool, i64, &[u8]) = (&[], 0.0, false, 0, &[]);
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::Bytes) => key = reader.bytes()?,
            (2, Kind::I32) => kind_number = reader.i32()?,
            (3, Kind::Bytes) => text = reader.bytes()?,
            (4, Kind::Double) => double = reader.double()?,
            (5, Kind::Bool | Kind::True | Kind::False) => flag = reader.bool(kind)?,
            (6, Kind::I64) => int = reader.i64()?,
            (7, Kind::Bytes) => bytes = reader.bytes()?,
            (_, other) => reader.skip(other)?,
        }
    }
    let value = match kind_number {
        1 => Value::Double(double),
        2 => Value::Bool(flag),
        3 => Value::Int(int),
        4 => Value::Bytes(bytes),
        _ => Value::Text(text),
    };
    Ok(Tag { key, value, is_taken: false })
}
