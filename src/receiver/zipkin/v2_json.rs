//! v2 spans from JSON (spec/ingest.md §4.3): keys in any case, nulls and unknown keys ignored.

use std::net::IpAddr;

use serde::de::{Error, MapAccess};

use super::ids;
use super::model::{Annotation, Endpoint, Tags, ZipkinSpan};
use crate::proto::otlp::SpanKind;
use crate::receiver::error::DecodeError;
use crate::receiver::otlp_json::reader::{Field, JsonObject, List, repair_text};

/// The spans of a JSON array.
///
/// # Errors
///
/// [`DecodeError`] for anything but an array of spans, for text after it, and for a span without an id.
pub(super) fn parse(body: &[u8]) -> Result<Vec<ZipkinSpan>, DecodeError> {
    let spans: Vec<ZipkinSpan> = parse_array(body)?;
    if spans.iter().any(|span| span.id == 0) {
        return Err(DecodeError::Invalid("valid span id required".to_owned()));
    }
    if spans.iter().flat_map(|span| &span.annotations).any(|annotation| annotation.timestamp_micros == 0) {
        return Err(DecodeError::Invalid("valid annotation timestamp required".to_owned()));
    }
    Ok(spans.into_iter().map(|span| ZipkinSpan { mark_absent_start: true, ..span }).collect())
}

/// The objects of a JSON array; `null` is an empty one, and nulls in it are left out.
pub(super) fn parse_array<M: JsonObject>(body: &[u8]) -> Result<Vec<M>, DecodeError> {
    let list: Option<List<M>> = serde_json::from_str(&repair_text(body))?;
    Ok(list.map(|list| list.0).unwrap_or_default())
}

impl JsonObject for ZipkinSpan {
    fn read_field<'de, A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key.to_ascii_lowercase().as_str() {
            "traceid" => self.trace_id = trace_id(field)?,
            "id" => self.id = field.optional::<String>()?.map_or(Ok(0), |id| ids::parse_span_id(&id)).map_err(A::Error::custom)?,
            "parentid" => self.parent_id = parent_id(field)?,
            "name" => self.name = field.text()?,
            "kind" => self.kind = kind_by_name(&field.text()?),
            "timestamp" => self.timestamp_micros = field.number()?,
            "duration" => self.duration_micros = field.number()?,
            "localendpoint" => self.local_endpoint = field.object()?.unwrap_or_default(),
            "remoteendpoint" => self.remote_endpoint = field.object()?.unwrap_or_default(),
            "annotations" => self.annotations = field.list()?,
            "tags" => self.tags = field.object::<TagsObject>()?.unwrap_or_default().0,
            _ => field.skip()?,
        }
        Ok(())
    }
}

/// A trace id; absent is not the same as empty, which is an error.
pub(super) fn trace_id<'de, A: MapAccess<'de>>(field: Field<'_, A>) -> Result<u128, A::Error> {
    match field.optional::<String>()? {
        Some(text) => ids::parse_trace_id(&text).map_err(A::Error::custom),
        None => Ok(0),
    }
}

fn parent_id<'de, A: MapAccess<'de>>(field: Field<'_, A>) -> Result<u64, A::Error> {
    match field.text()?.as_str() {
        "" => Ok(0),
        text => ids::parse_span_id(text).map_err(A::Error::custom),
    }
}

/// The four kinds in capitals; any other word is no kind.
fn kind_by_name(name: &str) -> SpanKind {
    match name {
        "CLIENT" => SpanKind::Client,
        "SERVER" => SpanKind::Server,
        "PRODUCER" => SpanKind::Producer,
        "CONSUMER" => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

impl JsonObject for Endpoint {
    fn read_field<'de, A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key.to_ascii_lowercase().as_str() {
            "servicename" => self.service_name = field.text()?,
            "ipv4" => self.ipv4 = ip_address(field)?,
            "ipv6" => self.ipv6 = ip_address(field)?,
            "port" => self.port = field.number()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

fn ip_address<'de, A: MapAccess<'de>>(field: Field<'_, A>) -> Result<Option<IpAddr>, A::Error> {
    match field.text()?.as_str() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| A::Error::custom(format!("invalid IP address: {text}"))),
    }
}

impl JsonObject for Annotation {
    fn read_field<'de, A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key.to_ascii_lowercase().as_str() {
            "timestamp" => self.timestamp_micros = field.number()?,
            "value" => self.value = field.text()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

/// The object `tags`: every key is a tag, its value a text or null.
#[derive(Default)]
struct TagsObject(Tags);

impl JsonObject for TagsObject {
    fn read_field<'de, A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        self.0.insert(key.to_owned(), field.text()?);
        Ok(())
    }
}
