//! Arbitrary OTLP requests, other bytes that say the same, and spans in a form that can be compared.

use crate::proto::otlp::{
    AnyValue, ArrayValue, EntityRef, Event, ExportTraceServiceRequest, InstrumentationScope, KeyValue, KeyValueList, Link, Resource,
    ResourceSpans, ScopeSpans, Span, Status, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

/// A character whose four bytes [`spoil`] turns into bytes that are no UTF-8.
pub(crate) const MARK: char = '\u{10fffd}';

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(String::new()),
        6 => prop::sample::select(vec!["GET", "POST", "child_of", "follows_from", "a", "b", "checkout", "é\u{301}", "\u{0}", "数", "\u{feff}x", "👩‍👩‍👧"])
            .prop_map(str::to_string),
        2 => any::<String>(),
        1 => Just(format!("a{MARK}b")),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => prop::sample::select(vec!["a", "b", "c", "a:int", "a:string", "A", "http.status_code", "opentracing.ref_type", "service.name", "", "ключ"])
            .prop_map(str::to_string),
        1 => any::<String>(),
        1 => Just(format!("k{MARK}")),
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0u64..300, 1 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(i64::MIN as u64), 1 => Just(i64::MAX as u64)]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0), 1 => 0u32..5, 1 => any::<u32>()]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(f64::INFINITY), any::<u64>().prop_map(f64::from_bits), Just(1.5)]
}

fn leaf_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => text().prop_map(Value::StringValue),
        4 => number().prop_map(|number| Value::IntValue(number as i64)),
        2 => any::<bool>().prop_map(Value::BoolValue),
        2 => double().prop_map(Value::DoubleValue),
        1 => vec(any::<u8>(), 0..6).prop_map(Value::BytesValue),
        1 => any::<i32>().prop_map(Value::StringValueStrindex),
    ]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![20 => leaf_value().prop_map(Some), 1 => Just(None)].prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 8, 3, |inner| {
        let pair = (key(), prop::option::of(inner.clone())).prop_map(|(key, value)| KeyValue { key, value, key_strindex: 0 });
        prop_oneof![
            vec(inner, 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(pair, 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

/// Attributes; keys repeat often, and some have no value.
pub(crate) fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let value = prop_oneof![12 => any_value().prop_map(Some), 1 => Just(None)];
    vec((key(), value).prop_map(|(key, value)| KeyValue { key, value, key_strindex: 0 }), 0..5)
}

fn status() -> impl Strategy<Value = Option<Status>> {
    prop::option::of((text(), prop_oneof![3 => 0i32..3, 1 => any::<i32>()]).prop_map(|(message, code)| Status { message, code }))
}

/// One of few traces, so that requests share them.
fn trace_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => (1u8..5).prop_map(|n| [vec![n], vec![0; 14], vec![5 - n]].concat()),
        1 => any::<[u8; 16]>().prop_filter("not zero", |id| *id != [0; 16]).prop_map(Vec::from),
    ]
}

/// One of few spans, so that there are parents, cycles and pairs.
fn span_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (1u64..12).prop_map(|n| n.to_be_bytes().to_vec()),
        1 => (1u64..).prop_map(|n| n.to_be_bytes().to_vec()),
    ]
}

fn parent_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![2 => Just(Vec::new()), 1 => Just(vec![0; 8]), 6 => span_id()]
}

fn time() -> impl Strategy<Value = u64> {
    // Within a few minutes of each other, so that the minute, and not only it, decides the order of traces.
    prop_oneof![8 => (0u64..8).prop_map(|n| 1_700_000_000_000_000_000 + n * 20_000_000_000), 1 => number()]
}

fn event() -> impl Strategy<Value = Event> {
    (time(), text(), attributes(), count()).prop_map(|(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
        time_unix_nano,
        name,
        attributes,
        dropped_attributes_count,
    })
}

fn link_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let reference = prop_oneof![Just("child_of"), Just("follows_from")].prop_map(|kind| KeyValue {
        key: "opentracing.ref_type".to_string(),
        value: Some(AnyValue { value: Some(Value::StringValue(kind.to_string())) }),
        key_strindex: 0,
    });
    (attributes(), vec(reference, 0..3)).prop_map(|(mut attributes, references)| {
        attributes.extend(references);
        attributes
    })
}

fn link() -> impl Strategy<Value = Link> {
    let trace_id = prop_oneof![6 => trace_id(), 1 => Just(Vec::new()), 1 => Just(vec![0; 16])];
    (trace_id, parent_id(), text(), link_attributes(), count(), count()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (trace_id(), span_id(), parent_id());
    let fields = (text(), prop_oneof![4 => 0i32..6, 1 => any::<i32>()], time(), time(), text(), count());
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    (ids, fields, lists, (count(), count(), count()), status()).prop_map(|(ids, fields, lists, dropped, status)| Span {
        trace_id: ids.0,
        span_id: ids.1,
        parent_span_id: ids.2,
        name: fields.0,
        kind: fields.1,
        start_time_unix_nano: fields.2,
        end_time_unix_nano: fields.3,
        trace_state: fields.4,
        flags: fields.5,
        attributes: lists.0,
        events: lists.1,
        links: lists.2,
        dropped_attributes_count: dropped.0,
        dropped_events_count: dropped.1,
        dropped_links_count: dropped.2,
        status,
    })
}

fn entity() -> impl Strategy<Value = EntityRef> {
    (text(), text(), vec(key(), 0..2), vec(key(), 0..2)).prop_map(|(schema_url, r#type, id_keys, description_keys)| EntityRef {
        schema_url,
        r#type,
        id_keys,
        description_keys,
    })
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let fields = (attributes(), count(), vec(entity(), 0..2));
    prop::option::of(fields.prop_map(|(attributes, dropped_attributes_count, entity_refs)| Resource {
        attributes,
        dropped_attributes_count,
        entity_refs,
    }))
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let fields = (text(), text(), attributes(), count());
    prop::option::of(fields.prop_map(|(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
        name,
        version,
        attributes,
        dropped_attributes_count,
    }))
}

/// Requests that the server has to take.
pub(crate) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope_spans = (scope(), vec(span(), 0..5), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    let resource_spans = (resource(), vec(scope_spans, 0..3), text()).prop_map(|(resource, scope_spans, schema_url)| ResourceSpans {
        resource,
        scope_spans,
        schema_url,
    });
    vec(resource_spans, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// A request with the bytes that say it, in the usual or another order of fields, and some of the text spoilt.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// What has to come back.
    pub(crate) message: ExportTraceServiceRequest,
    /// What is sent.
    pub(crate) bytes: Vec<u8>,
}

/// Requests as they arrive.
pub(crate) fn sent() -> impl Strategy<Value = Sent> {
    (request(), prop::option::of(any::<u64>()), any::<bool>()).prop_map(|(message, seed, is_spoilt)| {
        let bytes = message.encode_to_vec();
        let bytes = seed.map_or(bytes.clone(), |seed| shuffle(Shape::Request, &bytes, &mut Random(seed)));
        if is_spoilt { Sent { message: mended(message), bytes: spoil(bytes) } } else { Sent { message, bytes } }
    })
}

/// Overwrites each [`MARK`] with four bytes that are no UTF-8.
fn spoil(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut mark = [0; 4];
    MARK.encode_utf8(&mut mark);
    for at in 0..bytes.len().saturating_sub(3) {
        if bytes[at..at + 4] == mark {
            bytes[at..at + 4].fill(0xff);
        }
    }
    bytes
}

/// What [`spoil`] makes of a message: four replacement characters for each mark.
fn mended(mut request: ExportTraceServiceRequest) -> ExportTraceServiceRequest {
    let mend = |text: &mut String| *text = text.replace(MARK, "\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
    for resource_spans in &mut request.resource_spans {
        mend(&mut resource_spans.schema_url);
        if let Some(resource) = &mut resource_spans.resource {
            mend_attributes(&mut resource.attributes, &mend);
            for entity in &mut resource.entity_refs {
                [&mut entity.schema_url, &mut entity.r#type].into_iter().for_each(mend);
                entity.id_keys.iter_mut().chain(&mut entity.description_keys).for_each(mend);
            }
        }
        for scope_spans in &mut resource_spans.scope_spans {
            mend(&mut scope_spans.schema_url);
            if let Some(scope) = &mut scope_spans.scope {
                [&mut scope.name, &mut scope.version].into_iter().for_each(mend);
                mend_attributes(&mut scope.attributes, &mend);
            }
            scope_spans.spans.iter_mut().for_each(|span| mend_span(span, &mend));
        }
    }
    request
}

fn mend_span(span: &mut Span, mend: &dyn Fn(&mut String)) {
    [&mut span.name, &mut span.trace_state].into_iter().for_each(mend);
    span.status.iter_mut().for_each(|status| mend(&mut status.message));
    mend_attributes(&mut span.attributes, mend);
    for event in &mut span.events {
        mend(&mut event.name);
        mend_attributes(&mut event.attributes, mend);
    }
    for link in &mut span.links {
        mend(&mut link.trace_state);
        mend_attributes(&mut link.attributes, mend);
    }
}

fn mend_attributes(attributes: &mut [KeyValue], mend: &dyn Fn(&mut String)) {
    for attribute in attributes {
        mend(&mut attribute.key);
        attribute.value.iter_mut().for_each(|value| mend_value(value, mend));
    }
}

fn mend_value(value: &mut AnyValue, mend: &dyn Fn(&mut String)) {
    match &mut value.value {
        Some(Value::StringValue(text)) => mend(text),
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(|value| mend_value(value, mend)),
        Some(Value::KvlistValue(list)) => mend_attributes(&mut list.values, mend),
        _ => {}
    }
}

/// A small generator of numbers; the seed comes from proptest.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Request,
    ResourceSpans,
    ScopeSpans,
    Resource,
    Scope,
    Span,
    Event,
    Link,
    KeyValue,
    Other,
}

fn shape_of_field(shape: Shape, number: u64) -> Shape {
    match (shape, number) {
        (Shape::Request, 1) => Shape::ResourceSpans,
        (Shape::ResourceSpans, 1) => Shape::Resource,
        (Shape::ResourceSpans, 2) => Shape::ScopeSpans,
        (Shape::ScopeSpans, 1) => Shape::Scope,
        (Shape::ScopeSpans, 2) => Shape::Span,
        (Shape::Span, 11) => Shape::Event,
        (Shape::Span, 13) => Shape::Link,
        (Shape::Resource, 1) | (Shape::Scope, 3) | (Shape::Span, 9) | (Shape::Event, 3) | (Shape::Link, 4) => Shape::KeyValue,
        _ => Shape::Other,
    }
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    prost::encoding::decode_varint(bytes).expect("prost wrote it")
}

/// The same message with its fields in another order; those of one number stay in theirs.
fn shuffle(shape: Shape, message: &[u8], random: &mut Random) -> Vec<u8> {
    let mut rest = message;
    let mut fields: Vec<(u64, Vec<u8>)> = Vec::new();
    while !rest.is_empty() {
        let tag = read_varint(&mut rest);
        let mut field = Vec::new();
        prost::encoding::encode_varint(tag, &mut field);
        let length = match tag & 7 {
            0 => {
                prost::encoding::encode_varint(read_varint(&mut rest), &mut field);
                0
            }
            1 => 8,
            5 => 4,
            _ => {
                let length = read_varint(&mut rest) as usize;
                prost::encoding::encode_varint(length as u64, &mut field);
                length
            }
        };
        let (payload, after) = rest.split_at(length);
        rest = after;
        match shape_of_field(shape, tag >> 3) {
            Shape::Other => field.extend_from_slice(payload),
            inner => field.extend(shuffle(inner, payload, random)),
        }
        fields.push((tag >> 3, field));
    }
    let mut numbers: Vec<u64> = fields.iter().map(|(number, _)| *number).collect();
    (1..numbers.len()).rev().for_each(|at| numbers.swap(at, random.below(at + 1)));
    let mut out = Vec::new();
    for number in numbers {
        let at = fields.iter().position(|(other, _)| *other == number).expect("as many as there are");
        out.extend(fields.remove(at).1);
    }
    out
}

/// The deepest nesting that the server takes: an array in an array and so on.
pub(crate) fn nested_arrays(depth: usize) -> AnyValue {
    (0..depth).fold(AnyValue { value: Some(Value::StringValue("core".to_string())) }, |inner, _| AnyValue {
        value: Some(Value::ArrayValue(ArrayValue { values: vec![inner] })),
    })
}

/// A span with all that belongs to it, as bytes: resource, its schema URL, scope, its schema URL, span. Two are equal if and only if
/// nothing differs, the bits of doubles included.
pub(crate) type Told = (Vec<u8>, String, Vec<u8>, String, Vec<u8>);

/// All spans of these messages in their order, with the documented exceptions of `columns/mod.rs` made alike.
pub(crate) fn told(batches: &[ResourceSpans]) -> Vec<Told> {
    let mut all = Vec::new();
    for batch in batches {
        let resource = batch.resource.clone().unwrap_or_default().encode_to_vec();
        for group in &batch.scope_spans {
            let scope = group.scope.clone().unwrap_or_default().encode_to_vec();
            for span in &group.spans {
                let span = plain(span.clone()).encode_to_vec();
                all.push((resource.clone(), batch.schema_url.clone(), scope.clone(), group.schema_url.clone(), span));
            }
        }
    }
    all
}

fn plain(mut span: Span) -> Span {
    let absent = |id: &mut Vec<u8>| {
        if id.iter().all(|byte| *byte == 0) {
            id.clear();
        }
    };
    absent(&mut span.parent_span_id);
    for link in &mut span.links {
        absent(&mut link.trace_id);
        absent(&mut link.span_id);
    }
    span.status = Some(span.status.unwrap_or_default());
    span
}

/// As [`told`], sorted.
pub(crate) fn sorted(batches: &[ResourceSpans]) -> Vec<Told> {
    let mut all = told(batches);
    all.sort();
    all
}
