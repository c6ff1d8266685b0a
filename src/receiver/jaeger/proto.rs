//! Batches in protobuf, `jaeger.api_v2` (spec/ingest.md §5.1). The fields are read where they lie, as those of OTLP are.

use super::model::{Form, Log, Process, Reference, Span, Tag};
use super::translate::Batches;
use crate::columns::wire::{Field, Malformed, Reader};
use crate::receiver::otlp_writer::Value;
use bytes::Bytes;

/// The spans of a `PostSpansRequest { Batch batch = 1 }`.
pub(super) fn decode_post_spans(message: &[u8]) -> Result<Bytes, Malformed> {
    let mut batches = Batches::new(Form::Proto);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            batch(field.bytes(1)?, &mut batches)?;
        }
    }
    Ok(batches.finish())
}

/// `Batch { repeated Span spans = 1; Process process = 2 }`.
fn batch(message: &[u8], batches: &mut Batches) -> Result<(), Malformed> {
    let mut read = Span::default();
    let mut made_by = Process::default();
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => match span(field.bytes(1)?, &mut read)? {
                Some(own) => batches.add_with_process(&mut read, &mut process(own)?),
                None => batches.add(&mut read),
            },
            2 => made_by = process(field.bytes(2)?)?,
            _ => {}
        }
    }
    batches.made_by(&mut made_by);
    Ok(())
}

/// `Process { string service_name = 1; repeated KeyValue tags = 2 }`.
fn process(message: &[u8]) -> Result<Process<'_>, Malformed> {
    let mut process = Process::default();
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => process.service_name = field.bytes(1)?,
            2 => process.tags.push(tag(field.bytes(2)?)?),
            _ => {}
        }
    }
    Ok(process)
}

/// A `Span`; the message of its own process is returned, if it has one.
fn span<'a>(message: &'a [u8], span: &mut Span<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    span.clear();
    let (mut process, mut duration, mut flags) = (None, Time::default(), 0);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => span.trace_id = trace_id(field.bytes(1)?)?,
            2 => span.id = span_id(field.bytes(2)?)?,
            3 => span.name = field.bytes(3)?,
            4 => span.references.push(reference(field.bytes(4)?)?),
            5 => flags = field.varint(5)?,
            6 => span.start_nanos = time(field.bytes(6)?)?.since_1970(),
            7 => duration = time(field.bytes(7)?)?,
            8 => span.tags.push(tag(field.bytes(8)?)?),
            9 => log(field.bytes(9)?, span)?,
            10 => process = Some(field.bytes(10)?),
            _ => {}
        }
    }
    span.end_nanos = span.start_nanos.saturating_add_signed(duration.nanos());
    span.says_something = flags != 0 || span.start_nanos != 0 || duration.nanos() != 0 || process.is_some();
    Ok(process)
}

/// 16 bytes, or the 8 bytes of a 64-bit id; none is no id.
fn trace_id(bytes: &[u8]) -> Result<u128, Malformed> {
    match (<[u8; 16]>::try_from(bytes), <[u8; 8]>::try_from(bytes)) {
        (Ok(bytes), _) => Ok(u128::from_be_bytes(bytes)),
        (_, Ok(bytes)) => Ok(u64::from_be_bytes(bytes).into()),
        _ if bytes.is_empty() => Ok(0),
        _ => Err(Malformed::TraceIdLength),
    }
}

fn span_id(bytes: &[u8]) -> Result<u64, Malformed> {
    match <[u8; 8]>::try_from(bytes) {
        Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
        Err(_) if bytes.is_empty() => Ok(0),
        Err(_) => Err(Malformed::SpanIdLength),
    }
}

/// `google.protobuf.Timestamp` and `Duration`, which have the same fields.
#[derive(Clone, Copy, Default)]
struct Time {
    seconds: i64,
    nanos: i32,
}

impl Time {
    fn nanos(self) -> i64 {
        self.seconds.saturating_mul(1_000_000_000).saturating_add(self.nanos.into())
    }

    /// What lies before 1970 is taken for 1970.
    fn since_1970(self) -> u64 {
        u64::try_from(self.nanos()).unwrap_or(0)
    }
}

fn time(message: &[u8]) -> Result<Time, Malformed> {
    let mut time = Time::default();
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => time.seconds = field.varint(1)?.cast_signed(),
            // Negative numbers of 32 bits are sent with 64, of which the lower half says it all.
            2 => time.nanos = (field.varint(2)? as u32).cast_signed(),
            _ => {}
        }
    }
    Ok(time)
}

/// `SpanRef { bytes trace_id = 1; bytes span_id = 2; SpanRefType ref_type = 3 }`.
fn reference(message: &[u8]) -> Result<Reference, Malformed> {
    let mut reference = Reference { is_child_of: true, trace_id: 0, span_id: 0 };
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => reference.trace_id = trace_id(field.bytes(1)?)?,
            2 => reference.span_id = span_id(field.bytes(2)?)?,
            3 => reference.is_child_of = field.varint(3)? == 0,
            _ => {}
        }
    }
    Ok(reference)
}

/// `Log { Timestamp timestamp = 1; repeated KeyValue fields = 2 }`.
fn log<'a>(message: &'a [u8], span: &mut Span<'a>) -> Result<(), Malformed> {
    let first = span.log_fields.len();
    let mut time_nanos = 0;
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => time_nanos = time(field.bytes(1)?)?.since_1970(),
            2 => span.log_fields.push(tag(field.bytes(2)?)?),
            _ => {}
        }
    }
    span.logs.push(Log { time_nanos, fields: first..span.log_fields.len() });
    Ok(())
}

/// `KeyValue { key = 1; v_type = 2; v_str = 3; v_bool = 4; v_int64 = 5; v_float64 = 6; v_binary = 7 }`: the type says which
/// value counts. Its numbers are not those of thrift. Types that we do not know are text.
fn tag(message: &[u8]) -> Result<Tag<'_>, Malformed> {
    let (mut key, mut kind): (&[u8], u64) = (&[], 0);
    let (mut text, mut flag, mut int, mut double, mut bytes): (&[u8], bool, i64, f64, &[u8]) = (&[], false, 0, 0.0, &[]);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match (number, field) {
            (1, _) => key = field.bytes(1)?,
            (2, _) => kind = field.varint(2)?,
            (3, _) => text = field.bytes(3)?,
            (4, _) => flag = field.varint(4)? != 0,
            (5, _) => int = field.varint(5)?.cast_signed(),
            (6, Field::Fixed64(bits)) => double = f64::from_bits(bits),
            (6, _) => return Err(Malformed::WireType(6)),
            (7, _) => bytes = field.bytes(7)?,
            _ => {}
        }
    }
    let value = match kind {
        1 => Value::Bool(flag),
        2 => Value::Int(int),
        3 => Value::Double(double),
        4 => Value::Bytes(bytes),
        _ => Value::Text(text),
    };
    Ok(Tag { key, value, is_taken: false })
}
