//! v2 spans from JSON (spec/ingest.md §4.3): keys in any case, nulls and unknown keys ignored.

use std::fmt;
use std::net::IpAddr;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::ids;
use super::model::{Annotation, Endpoint, Tags, ZipkinSpan};
use crate::proto::otlp::SpanKind;
use crate::receiver::error::DecodeError;
use crate::receiver::otlp_json::reader::{Field, JsonObject, List, Text};

/// The spans of a JSON array.
///
/// # Errors
///
/// [`DecodeError`] for anything but an array of spans, for text after it, and for a span without an id.
pub(super) fn parse(json: &str) -> Result<Vec<ZipkinSpan<'_>>, DecodeError> {
    let mut spans: Vec<ZipkinSpan<'_>> = parse_array(json)?;
    if spans.iter().any(|span| span.id == 0) {
        return Err(DecodeError::Invalid("valid span id required".to_owned()));
    }
    if spans.iter().flat_map(|span| &span.annotations).any(|annotation| annotation.timestamp_micros == 0) {
        return Err(DecodeError::Invalid("valid annotation timestamp required".to_owned()));
    }
    spans.iter_mut().for_each(|span| span.mark_absent_start = true);
    Ok(spans)
}

/// As long as the longest key of a message.
const LONGEST_KEY: usize = "remoteEndpoint".len();

/// A key in lower case, in memory that is there already; empty for one that no message has.
fn lower_case<'a>(key: &str, space: &'a mut [u8; LONGEST_KEY]) -> &'a [u8] {
    let Some(space) = space.get_mut(..key.len()) else { return &[] };
    space.copy_from_slice(key.as_bytes());
    space.make_ascii_lowercase();
    space
}

/// The objects of a JSON array; `null` is an empty one, and nulls in it are left out.
pub(super) fn parse_array<'de, M: JsonObject<'de>>(json: &'de str) -> Result<Vec<M>, DecodeError> {
    let list: Option<List<M>> = serde_json::from_str(json)?;
    Ok(list.map(|list| list.0).unwrap_or_default())
}

impl<'de> JsonObject<'de> for ZipkinSpan<'de> {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match lower_case(key, &mut [0; LONGEST_KEY]) {
            b"traceid" => self.trace_id = trace_id(field)?,
            b"id" => self.id = field.optional::<Text<'_>>()?.map_or(Ok(0), |id| ids::parse_span_id(&id.0)).map_err(A::Error::custom)?,
            b"parentid" => self.parent_id = parent_id(field)?,
            b"name" => self.name = field.borrowed_text()?,
            b"kind" => self.kind = kind_by_name(&field.borrowed_text()?),
            b"timestamp" => self.timestamp_micros = field.number()?,
            b"duration" => self.duration_micros = field.number()?,
            b"localendpoint" => self.local_endpoint = field.object()?.unwrap_or_default(),
            b"remoteendpoint" => self.remote_endpoint = field.object()?.unwrap_or_default(),
            b"annotations" => self.annotations = field.list()?,
            b"tags" => self.tags = field.optional()?.unwrap_or_default(),
            _ => field.skip()?,
        }
        Ok(())
    }
}

/// A trace id; absent is not the same as empty, which is an error.
pub(super) fn trace_id<'de, A: MapAccess<'de>>(field: Field<'_, A>) -> Result<u128, A::Error> {
    match field.optional::<Text<'_>>()? {
        Some(text) => ids::parse_trace_id(&text.0).map_err(A::Error::custom),
        None => Ok(0),
    }
}

fn parent_id<'de, A: MapAccess<'de>>(field: Field<'_, A>) -> Result<u64, A::Error> {
    match &*field.borrowed_text()? {
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

impl<'de> JsonObject<'de> for Endpoint<'de> {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match lower_case(key, &mut [0; LONGEST_KEY]) {
            b"servicename" => self.service_name = field.borrowed_text()?,
            b"ipv4" => self.ipv4 = ip_address(field)?,
            b"ipv6" => self.ipv6 = ip_address(field)?,
            b"port" => self.port = field.number()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

fn ip_address<'de, A: MapAccess<'de>>(field: Field<'_, A>) -> Result<Option<IpAddr>, A::Error> {
    match &*field.borrowed_text()? {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| A::Error::custom(format!("invalid IP address: {text}"))),
    }
}

impl<'de> JsonObject<'de> for Annotation<'de> {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match lower_case(key, &mut [0; LONGEST_KEY]) {
            b"timestamp" => self.timestamp_micros = field.number()?,
            b"value" => self.value = field.borrowed_text()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

/// The object `tags`: every key is a tag, its value a text or null.
impl<'de> Deserialize<'de> for Tags<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TagsVisitor)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags<'de>, A::Error> {
        let mut pairs = Vec::with_capacity(TAGS_EXPECTED);
        while let Some((Text(key), text)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
            pairs.push((key, text.unwrap_or_default().0));
        }
        Ok(Tags::new(pairs))
    }
}

/// Tags of a usual span, for which memory is asked once.
const TAGS_EXPECTED: usize = 8;
