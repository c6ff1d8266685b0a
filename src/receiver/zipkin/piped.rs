//! Texts in which OTLP exporters for Zipkin pack more than Zipkin has fields for, separated by `|`.
//!
//! | text | parts |
//! |---|---|
//! | annotation value | name, attributes as a JSON object, number of dropped attributes |
//! | tag `otlp.link.N` | trace id, span id, trace state, attributes as a JSON object, number of dropped attributes |
//!
//! The object may contain `|` itself: it is everything between the parts before and the last one.

use std::borrow::Cow;

use prost::Message;

use super::attributes;
use super::model::{Annotation, Tags, micros_to_nanos};
use crate::proto::otlp::{Event, KeyValue, Link};
use crate::receiver::error::DecodeError;
use crate::receiver::otlp_json::reader::decode_hex;
use crate::receiver::otlp_writer::OtlpWriter;

/// How many links a span may have.
const MAX_LINKS: usize = 128;

/// Writes an annotation as an event of a span.
///
/// A text that is not packed is the name as it stands. That includes texts with bars which only look packed: Tempo
/// refuses the request or loses the rest of the text then (spec/ingest.md §4.4, "Annotation hazard").
pub(super) fn write_event(span: &mut OtlpWriter, annotation: &Annotation<'_>) {
    let time_unix_nano = micros_to_nanos(annotation.timestamp_micros);
    match unpack_event(&annotation.value) {
        Some((name, attributes, dropped_attributes_count)) => {
            span.raw(EVENTS, &Event { time_unix_nano, name, attributes, dropped_attributes_count }.encode_to_vec());
        }
        None => span.message(EVENTS, |event| {
            event.fixed64(1, time_unix_nano);
            event.bytes(2, annotation.value.as_bytes());
        }),
    }
}

/// The field `events` of a span.
const EVENTS: u32 = 11;

fn unpack_event(text: &str) -> Option<(String, Vec<KeyValue>, u32)> {
    let (name, rest) = text.split_once('|')?;
    let (attributes, num_dropped) = unpack_attributes(rest)?;
    Some((name.to_owned(), attributes, num_dropped))
}

/// Takes the links out of `tags`: `otlp.link.0`, `otlp.link.1` and so on up to the first gap.
///
/// A tag with too few parts stays a tag.
///
/// # Errors
///
/// [`DecodeError::Invalid`] when a tag has all parts but one of them is malformed.
pub(super) fn take_links(tags: &mut Tags<'_>) -> Result<Vec<Link>, DecodeError> {
    let mut links = Vec::new();
    for index in 0..MAX_LINKS {
        let key = if index == 0 { Cow::Borrowed("otlp.link.0") } else { Cow::Owned(format!("otlp.link.{index}")) };
        let Some(text) = tags.get(&key) else { break };
        if let [trace_id, span_id, trace_state, rest] = text.splitn(4, '|').collect::<Vec<_>>()[..]
            && rest.contains('|')
        {
            links.push(unpack_link(trace_id, span_id, trace_state, rest).ok_or_else(|| malformed(&key))?);
            tags.remove(&key);
        }
    }
    Ok(links)
}

fn malformed(key: &str) -> DecodeError {
    DecodeError::Invalid(format!("malformed link in tag {key}"))
}

fn unpack_link(trace_id: &str, span_id: &str, trace_state: &str, rest: &str) -> Option<Link> {
    let (attributes, dropped_attributes_count) = unpack_attributes(rest)?;
    Some(Link {
        trace_id: decode_hex(trace_id).filter(|id| id.len() == 16)?,
        span_id: decode_hex(span_id).filter(|id| id.len() == 8)?,
        trace_state: trace_state.to_owned(),
        attributes,
        dropped_attributes_count,
        ..Link::default()
    })
}

/// The last two parts of both texts.
fn unpack_attributes(text: &str) -> Option<(Vec<KeyValue>, u32)> {
    let (object, num_dropped) = text.rsplit_once('|')?;
    let object: serde_json::Map<_, _> = serde_json::from_str(object).ok()?;
    Some((attributes::from_json_object(object), num_dropped.parse().ok()?))
}
