//! Long attributes, cut where the operator wants it so (`distributor.max_attribute_bytes`, spec/ingest.md §9.6).
//!
//! Keys and text values of resources, scopes, spans, events and links are cut to so many bytes, at the boundary of a
//! character. Bytes, arrays, lists of pairs, names and messages of a status stay whole. Messages that have nothing to cut
//! are not copied.

use crate::columns::wire::{Field, Malformed, Reader, put_bytes};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What an attribute belongs to, as the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttributeScope {
    /// A resource.
    Resource,
    /// An instrumentation scope.
    Scope,
    /// A span.
    Span,
    /// An event of a span.
    Event,
    /// A link of a span.
    Link,
}

impl AttributeScope {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            AttributeScope::Resource => "resource",
            AttributeScope::Scope => "scope",
            AttributeScope::Span => "span",
            AttributeScope::Event => "event",
            AttributeScope::Link => "link",
        }
    }
}

/// Numbers of keys and values that were cut.
pub(super) type Cuts = BTreeMap<AttributeScope, usize>;

/// The request with its attributes cut to `max_bytes`, and how many were.
///
/// # Errors
/// [`Malformed`] for bytes that did not pass validation.
pub(super) fn truncate(request: Bytes, max_bytes: usize) -> Result<(Bytes, Cuts), Malformed> {
    let mut cutter = Cutter { max_bytes, cuts: Cuts::default() };
    let cut = cutter.cut(Part::Request, &request)?;
    Ok((cut.map_or(request, Bytes::from), cutter.cuts))
}

/// A part of a request in which there may be attributes.
#[derive(Clone, Copy)]
enum Part {
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
    /// A resource, scope, event or link; the number of its field `attributes`.
    Holder(AttributeScope, u32),
    Attribute(AttributeScope),
    Value(AttributeScope),
    Text(AttributeScope),
}

impl Part {
    /// What the field of that number is; `None` if there is nothing to cut in it.
    fn field(self, number: u32) -> Option<Part> {
        use AttributeScope::{Event, Link, Resource, Scope, Span};
        Some(match (self, number) {
            (Part::Request, 1) => Part::ResourceSpans,
            (Part::ResourceSpans, 1) => Part::Holder(Resource, 1),
            (Part::ResourceSpans, 2 | LIBRARY_SPANS) => Part::ScopeSpans,
            (Part::ScopeSpans, 1) => Part::Holder(Scope, 3),
            (Part::ScopeSpans, 2) => Part::Span,
            (Part::Span, 9) => Part::Attribute(Span),
            (Part::Span, 11) => Part::Holder(Event, 3),
            (Part::Span, 13) => Part::Holder(Link, 4),
            (Part::Holder(scope, attributes), number) if number == attributes => Part::Attribute(scope),
            (Part::Attribute(scope), 1) => Part::Text(scope),
            (Part::Attribute(scope), 2) => Part::Value(scope),
            (Part::Value(scope), 1) => Part::Text(scope),
            _ => return None,
        })
    }
}

/// Field number of the deprecated `instrumentation_library_spans` in `ResourceSpans`.
const LIBRARY_SPANS: u32 = 1000;

struct Cutter {
    max_bytes: usize,
    cuts: Cuts,
}

impl Cutter {
    /// The part without what is too long; `None` if it stays as it is. As deep as parts are nested, which is eight.
    fn cut(&mut self, part: Part, bytes: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        // What is short itself holds nothing long.
        if bytes.len() <= self.max_bytes {
            return Ok(None);
        }
        if let Part::Text(scope) = part {
            *self.cuts.entry(scope).or_default() += 1;
            return Ok(Some(shortened(bytes, self.max_bytes).to_vec()));
        }
        let (mut reader, mut start) = (Reader::new(bytes), 0);
        let mut out: Option<Vec<u8>> = None;
        while let Some((number, field)) = reader.next_field()? {
            let end = bytes.len() - reader.remaining();
            let cut = match (part.field(number), field) {
                (Some(inner), Field::Bytes(inner_bytes)) => self.cut(inner, inner_bytes)?,
                _ => None,
            };
            match (cut, &mut out) {
                (Some(inner), out) => put_bytes(out.get_or_insert_with(|| bytes[..start].to_vec()), number, &inner),
                (None, Some(out)) => out.extend_from_slice(&bytes[start..end]),
                (None, None) => {}
            }
            start = end;
        }
        Ok(out)
    }
}

/// At most so many bytes, without the beginning of a character whose end they would lack.
fn shortened(text: &[u8], max_bytes: usize) -> &[u8] {
    let is_inside = |at: usize| text[at] & 0xc0 == 0x80;
    // A character has four bytes at most; what has more of this kind is no text anyway.
    let end = (max_bytes.saturating_sub(3)..=max_bytes).rev().find(|at| !is_inside(*at)).unwrap_or(max_bytes);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{AnyValue, ExportTraceServiceRequest, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, Value};
    use crate::proto::otlp::{ArrayValue, Event, InstrumentationScope, Link};
    use proptest::prelude::*;
    use prost::Message;

    fn pair(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }

    /// One of everything, each with these attributes.
    fn request(attributes: &[KeyValue]) -> ExportTraceServiceRequest {
        let attributes = || attributes.to_vec();
        let span = Span {
            name: "a name that is longer than the limit".to_owned(),
            attributes: attributes(),
            events: vec![Event { attributes: attributes(), ..Event::default() }],
            links: vec![Link { attributes: attributes(), ..Link::default() }],
            ..Span::default()
        };
        let scope = InstrumentationScope { attributes: attributes(), ..InstrumentationScope::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans: vec![span.clone(), span], ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes: attributes(), ..Resource::default() });
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }] }
    }

    fn truncated(request: &ExportTraceServiceRequest, max_bytes: usize) -> (ExportTraceServiceRequest, Cuts) {
        let (bytes, cuts) = truncate(request.encode_to_vec().into(), max_bytes).expect("well formed");
        (ExportTraceServiceRequest::decode(bytes).expect("well formed"), cuts)
    }

    #[test]
    fn keys_and_texts_are_cut_everywhere_and_nothing_else() {
        let text = |text: &str| Value::StringValue(text.to_owned());
        let list = || Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(text("a long text in a list")) }] });
        let long = [
            pair("a long key", text("short")),
            pair("key", text("a long text")),
            pair("bytes", Value::BytesValue(vec![7; 40])),
            pair("list", list()),
            pair("number", Value::IntValue(5)),
        ];
        let cut = [
            pair("a long k", text("short")),
            pair("key", text("a long t")),
            pair("bytes", Value::BytesValue(vec![7; 40])),
            pair("list", list()),
            pair("number", Value::IntValue(5)),
        ];
        let (request_cut, cuts) = truncated(&request(&long), 8);
        assert_eq!(request_cut, request(&cut));
        use AttributeScope::{Event, Link, Resource, Scope, Span};
        assert_eq!(cuts.into_iter().collect::<Vec<_>>(), [(Resource, 2), (Scope, 2), (Span, 4), (Event, 4), (Link, 4)]);
    }

    #[test]
    fn characters_stay_whole() {
        for (text, max_bytes, cut) in [
            ("aä€𝄞", 10, "aä€𝄞"),
            ("aä€𝄞", 9, "aä€"),
            ("aä€𝄞", 6, "aä€"),
            ("aä€𝄞", 5, "aä"),
            ("aä€𝄞", 2, "a"),
            ("𝄞", 3, ""),
            ("ab", 1, "a"),
        ] {
            let (request_cut, _) = truncated(&request(&[pair("", Value::StringValue(text.to_owned()))]), max_bytes);
            assert_eq!(request_cut, request(&[pair("", Value::StringValue(cut.to_owned()))]), "{text} {max_bytes}");
        }
        // No text at all: cut by bytes.
        assert_eq!(shortened(&[0x80; 9], 6), &[0x80; 6]);
    }

    #[test]
    fn what_is_short_is_not_copied() {
        let bytes = Bytes::from(request(&[pair("key", Value::StringValue("x".repeat(64)))]).encode_to_vec());
        let (same, cuts) = truncate(bytes.clone(), 64).expect("well formed");
        assert!(std::ptr::eq(same.as_ptr(), bytes.as_ptr()) && cuts.is_empty());
    }

    proptest! {
        #[test]
        fn all_bytes_are_cut_or_refused(bytes: Vec<u8>, max_bytes in 1usize..8) {
            let _ = truncate(Bytes::from(bytes), max_bytes);
        }

        #[test]
        fn cutting_keeps_the_beginnings(pairs in prop::collection::vec(("\\PC{0,9}", "\\PC{0,30}"), 0..6), max_bytes in 4usize..20) {
            let of = |limit: usize| -> Vec<KeyValue> {
                let cut = |text: &str| String::from_utf8(if text.len() > limit { shortened(text.as_bytes(), limit).to_vec() } else { text.into() });
                let pairs = pairs.iter();
                pairs.map(|(key, text)| pair(&cut(key).expect("whole characters"), Value::StringValue(cut(text).expect("whole characters")))).collect()
            };
            prop_assert_eq!(truncated(&request(&of(usize::MAX)), max_bytes).0, request(&of(max_bytes)));
        }
    }
}
