//! v1 spans from JSON (spec/ingest.md §4.6): ids of full length only, keys in any case, nulls and unknown keys ignored.

use serde::de::{Error, MapAccess};

use super::ids;
use super::model::Endpoint;
use super::v1_model::{BinaryAnnotation, V1Annotation, V1Span, check_ids};
use super::v2_json::parse_array;
use crate::receiver::error::DecodeError;
use crate::receiver::otlp_json::reader::{Field, JsonObject, repair_text};

/// The spans of a JSON array.
///
/// # Errors
///
/// [`DecodeError`] for anything but an array of spans and for ids that are missing, zero or of a wrong length.
pub(super) fn parse(body: &[u8]) -> Result<Vec<V1Span>, DecodeError> {
    let spans: Vec<V1Span> = parse_array(&repair_text(body))?;
    check_ids(&spans)?;
    Ok(spans)
}

impl<'de> JsonObject<'de> for V1Span {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key.to_ascii_lowercase().as_str() {
            "traceid" => self.trace_id = trace_id(&field.text()?).map_err(A::Error::custom)?,
            "id" => self.id = span_id("spanId", &field.text()?).map_err(A::Error::custom)?,
            "parentid" => {
                let text = field.text()?;
                self.parent_id = if text.is_empty() { 0 } else { parent_id(&text).map_err(A::Error::custom)? };
            }
            "name" => self.name = field.text()?,
            "timestamp" => self.timestamp_micros = field.number()?,
            "duration" => self.duration_micros = field.number()?,
            "annotations" => self.annotations = field.list()?,
            "binaryannotations" => self.binary_annotations = field.list()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

fn trace_id(text: &str) -> Result<u128, DecodeError> {
    if !matches!(text.len(), 16 | 32) {
        return Err(DecodeError::Invalid("zipkinV1 span traceId: want 16 or 32 hex digits".to_owned()));
    }
    ids::parse_trace_id(text)
}

fn span_id(field_name: &str, text: &str) -> Result<u64, DecodeError> {
    if text.len() != 16 {
        return Err(DecodeError::Invalid(format!("zipkinV1 span {field_name}: want 16 hex digits")));
    }
    ids::parse_span_id(text)
}

fn parent_id(text: &str) -> Result<u64, DecodeError> {
    match span_id("parentId", text)? {
        0 => Err(DecodeError::Invalid("zipkinV1 span parentId: zero".to_owned())),
        id => Ok(id),
    }
}

impl<'de> JsonObject<'de> for V1Annotation {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key.to_ascii_lowercase().as_str() {
            "timestamp" => self.timestamp_micros = field.number()?,
            "value" => self.value = field.text()?,
            "endpoint" => self.endpoint = field.object()?.map(Endpoint::into_owned),
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for BinaryAnnotation {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key.to_ascii_lowercase().as_str() {
            "key" => self.key = field.text()?,
            "value" => self.value = field.text()?,
            "endpoint" => self.endpoint = field.object()?.map(Endpoint::into_owned),
            _ => field.skip()?,
        }
        Ok(())
    }
}
