//! v1 spans from thrift (spec/ingest.md §4.7). Fields of an unexpected type count as unknown, and are passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::model::Endpoint;
use super::v1_model::{BinaryAnnotation, V1Annotation, V1Span, check_ids};
use crate::proto::otlp::Value;
use crate::receiver::error::DecodeError;
use crate::receiver::thrift::{Binary, Fields, Kind, Reader, ThriftError};

/// The spans of a list. What follows it is not looked at.
///
/// # Errors
///
/// [`DecodeError`] for anything but a list of structs, and for ids that are missing or zero.
pub(super) fn parse(body: &[u8]) -> Result<Vec<V1Span>, DecodeError> {
    let mut reader = Binary::new(body);
    let (kind, count) = reader.list()?;
    if kind != Kind::Struct {
        return Err(DecodeError::Invalid("not a list of spans".to_owned()));
    }
    let spans = (0..count).map(|_| span(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    check_ids(&spans)?;
    Ok(spans)
}

fn span<'a>(reader: &mut impl Reader<'a>) -> Result<V1Span, ThriftError> {
    let mut span = V1Span::default();
    let (mut low, mut high) = (0, 0);
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::I64) => low = reader.i64()?.cast_unsigned(),
            (3, Kind::Bytes) => span.name = text(reader)?,
            (4, Kind::I64) => span.id = reader.i64()?.cast_unsigned(),
            (5, Kind::I64) => span.parent_id = reader.i64()?.cast_unsigned(),
            (6, Kind::List) => reader.structs(|reader| {
                span.annotations.push(annotation(reader)?);
                Ok(())
            })?,
            (8, Kind::List) => reader.structs(|reader| {
                span.binary_annotations.push(binary_annotation(reader)?);
                Ok(())
            })?,
            (10, Kind::I64) => span.timestamp_micros = micros(reader)?,
            (11, Kind::I64) => span.duration_micros = micros(reader)?,
            (12, Kind::I64) => high = reader.i64()?.cast_unsigned(),
            (_, other) => reader.skip(other)?,
        }
    }
    span.trace_id = u128::from(high) << 64 | u128::from(low);
    Ok(span)
}

fn text<'a>(reader: &mut impl Reader<'a>) -> Result<String, ThriftError> {
    reader.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// A time or a length; a negative one counts as unknown.
fn micros<'a>(reader: &mut impl Reader<'a>) -> Result<u64, ThriftError> {
    reader.i64().map(|micros| u64::try_from(micros).unwrap_or(0))
}

fn annotation<'a>(reader: &mut impl Reader<'a>) -> Result<V1Annotation, ThriftError> {
    let mut annotation = V1Annotation::default();
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::I64) => annotation.timestamp_micros = micros(reader)?,
            (2, Kind::Bytes) => annotation.value = text(reader)?,
            (3, Kind::Struct) => annotation.endpoint = Some(endpoint(reader)?),
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(annotation)
}

fn binary_annotation<'a>(reader: &mut impl Reader<'a>) -> Result<BinaryAnnotation, ThriftError> {
    let mut annotation = BinaryAnnotation::default();
    let (mut bytes, mut kind_number): (&[u8], i32) = (&[], 0);
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::Bytes) => annotation.key = text(reader)?,
            (2, Kind::Bytes) => bytes = reader.bytes()?,
            (3, Kind::I32) => kind_number = reader.i32()?,
            (4, Kind::Struct) => annotation.endpoint = Some(endpoint(reader)?),
            (_, other) => reader.skip(other)?,
        }
    }
    (annotation.value, annotation.typed) = value(kind_number, bytes);
    Ok(annotation)
}

/// A value as text, and in its type if that is not text. Bytes that are not as long as their type are base64, as bytes of
/// no type are.
fn value(kind: i32, bytes: &[u8]) -> (String, Option<Value>) {
    const STRING: i32 = 6;
    let integer = |number: i64| (number.to_string(), Some(Value::IntValue(number)));
    match (kind, bytes) {
        (STRING, text) => (String::from_utf8_lossy(text).into_owned(), None),
        (0, [flag]) => ((*flag != 0).to_string(), Some(Value::BoolValue(*flag != 0))),
        (2, &[a, b]) => integer(i16::from_be_bytes([a, b]).into()),
        (3, &[a, b, c, d]) => integer(i32::from_be_bytes([a, b, c, d]).into()),
        (4, _) if let Ok(bytes) = bytes.try_into() => integer(i64::from_be_bytes(bytes)),
        (5, _) if let Ok(bytes) = bytes.try_into() => {
            let number = f64::from_be_bytes(bytes);
            (number.to_string(), Some(Value::DoubleValue(number)))
        }
        _ => (STANDARD.encode(bytes), None),
    }
}

fn endpoint<'a>(reader: &mut impl Reader<'a>) -> Result<Endpoint<'static>, ThriftError> {
    let mut endpoint = Endpoint::default();
    let mut fields = Fields::default();
    while let Some((id, kind)) = reader.field(&mut fields)? {
        match (id, kind) {
            (1, Kind::I32) => {
                let address = reader.i32()?.cast_unsigned();
                endpoint.ipv4 = (address != 0).then(|| IpAddr::V4(Ipv4Addr::from_bits(address)));
            }
            // Thrift has no unsigned numbers, ports are.
            (2, Kind::I16) => endpoint.port = reader.i16()?.cast_unsigned(),
            (3, Kind::Bytes) => endpoint.service_name = text(reader)?.into(),
            (4, Kind::Bytes) => endpoint.ipv6 = <[u8; 16]>::try_from(reader.bytes()?).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests;
