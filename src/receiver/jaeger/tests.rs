use super::*;
use crate::columns::validate::validate;
use crate::proto::otlp::{ExportTraceServiceRequest, KeyValue, ResourceSpans, Span, SpanKind, StatusCode, Value};
use proptest::prelude::*;
use prost::Message;
use written::{JaegerBatch, JaegerSpan, Reference, TagValue, Tags, text_tag};

#[path = "../../../tests/it/support/jaeger.rs"]
mod written;

fn read(request: &[u8]) -> Vec<ResourceSpans> {
    ExportTraceServiceRequest::decode(request).expect("OTLP").resource_spans
}

/// What comes of a batch, which is the same in every form.
fn read_batch(batch: &JaegerBatch) -> Vec<ResourceSpans> {
    let request = decode_batch(&batch.body()).expect("a batch");
    for strict in [true, false] {
        assert_eq!(decode_binary_packet(&batch.binary_packet(strict)), Ok(request.clone()));
    }
    assert_eq!(decode_compact_packet(&batch.compact_packet()), Ok(request.clone()));
    read(&request)
}

fn batch_of(spans: Vec<JaegerSpan>) -> JaegerBatch {
    JaegerBatch { service: "svc".to_owned(), spans, ..JaegerBatch::default() }
}

fn one() -> JaegerSpan {
    JaegerSpan { trace: (2, 1), id: 3, name: "op".to_owned(), start: 10, duration: 5, ..JaegerSpan::default() }
}

fn read_span(span: JaegerSpan) -> Span {
    read_batch(&batch_of(vec![span]))[0].scope_spans[0].spans[0].clone()
}

fn value_of(pair: &KeyValue) -> Value {
    pair.value.as_ref().and_then(|any| any.value.clone()).expect("a value")
}

fn pairs(attributes: &[KeyValue]) -> Vec<(&str, Value)> {
    attributes.iter().map(|pair| (pair.key.as_str(), value_of(pair))).collect()
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

#[test]
fn ids_and_times() {
    let span = read_span(JaegerSpan { parent: 4, ..one() });
    assert_eq!(span.trace_id, (1u128 << 64 | 2).to_be_bytes());
    assert_eq!((span.span_id, span.parent_span_id), (3u64.to_be_bytes().to_vec(), 4u64.to_be_bytes().to_vec()));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (10_000, 15_000));
    let negative = read_span(JaegerSpan { trace: (-1, 0), id: -1, duration: -5, ..one() });
    assert_eq!(negative.trace_id, u128::from(u64::MAX).to_be_bytes());
    assert_eq!((negative.span_id, negative.end_time_unix_nano), (vec![0xff; 8], 5_000));
    let extreme = read_span(JaegerSpan { start: i64::MIN, duration: i64::MAX, ..one() });
    assert_eq!((extreme.start_time_unix_nano, extreme.end_time_unix_nano), (0, i64::MAX as u64));
}

#[test]
fn the_process_becomes_the_resource() {
    let tags = vec![
        text_tag("hostname", "h"),
        text_tag("jaeger.version", "Go-2.30"),
        ("n".to_owned(), TagValue::Long(5)),
        ("n".to_owned(), TagValue::Long(6)),
    ];
    let batches = read_batch(&JaegerBatch { tags, ..batch_of(vec![one()]) });
    let resource = batches[0].resource.as_ref().expect("a resource");
    let expected = [
        ("service.name", text("svc")),
        ("opencensus.exporterversion", text("Jaeger-Go-2.30")),
        ("host.name", text("h")),
        ("n", Value::IntValue(6)),
    ];
    assert_eq!(pairs(&resource.attributes), expected);
    let both = JaegerBatch { tags: vec![text_tag("hostname", "a"), text_tag("host.name", "b")], ..batch_of(vec![one()]) };
    let keys = |batches: &[ResourceSpans]| -> Vec<String> {
        batches[0].resource.iter().flat_map(|resource| &resource.attributes).map(|pair| pair.key.clone()).collect()
    };
    assert_eq!(keys(&read_batch(&both)), ["service.name", "hostname", "host.name"]);
    for nameless in ["", "OTLPResourceNoServiceName"] {
        assert_eq!(keys(&read_batch(&JaegerBatch { service: nameless.to_owned(), ..batch_of(vec![one()]) })), [""; 0]);
    }
}

#[test]
fn void_spans_are_left_out() {
    assert_eq!(read_batch(&batch_of(vec![JaegerSpan::default()])), []);
    assert_eq!(read_batch(&batch_of(vec![])), []);
    let started = JaegerSpan { start: 1, ..JaegerSpan::default() };
    assert_eq!(read_batch(&batch_of(vec![JaegerSpan::default(), started]))[0].scope_spans[0].spans.len(), 1);
}

/// Kind, status, message and the keys of attributes that tags come to.
fn meaning(tags: Tags) -> (SpanKind, StatusCode, String, Vec<String>) {
    let span = read_span(JaegerSpan { tags, ..one() });
    let (kind, status) = (span.kind(), span.status.clone().expect("always set"));
    (kind, status.code(), status.message, span.attributes.into_iter().map(|pair| pair.key).collect())
}

#[test]
fn the_status_is_found_in_the_order_of_its_tags() {
    use SpanKind::{Client, Server, Unspecified};
    use StatusCode::{Error, Ok, Unset};
    let flag = |key: &str, value| (key.to_owned(), TagValue::Bool(value));
    let long = |key: &str, value| (key.to_owned(), TagValue::Long(value));
    let kind = |name| text_tag("span.kind", name);
    for (tags, expected) in [
        (vec![flag("error", true), text_tag("http.status_message", "m")], (Unspecified, Error, "m", vec!["http.status_message"])),
        (
            vec![flag("error", true), text_tag("otel.status_code", "OK"), text_tag("otel.status_description", "d")],
            (Unspecified, Error, "d", vec![]),
        ),
        (vec![flag("error", false)], (Unspecified, Unset, "", vec!["error"])),
        (vec![text_tag("error", "true")], (Unspecified, Unset, "", vec!["error"])),
        (vec![text_tag("otel.status_code", "ok"), long("http.status_code", 500)], (Unspecified, Ok, "", vec!["http.status_code"])),
        (vec![text_tag("otel.status_code", "UNSET"), long("http.status_code", 500)], (Unspecified, Unset, "", vec!["http.status_code"])),
        (vec![text_tag("otel.status_description", "d")], (Unspecified, Unset, "", vec!["otel.status_description"])),
        (vec![long("http.status_code", 399)], (Unspecified, Error, "", vec!["http.status_code"])),
        (vec![long("http.status_code", 200), kind("client")], (Client, Unset, "", vec!["http.status_code"])),
        (vec![text_tag("http.status_code", "404"), kind("client")], (Client, Error, "", vec!["http.status_code"])),
        (vec![text_tag("http.status_code", "404"), kind("server")], (Server, Unset, "", vec!["http.status_code"])),
        (vec![long("http.status_code", 500), kind("server")], (Server, Error, "", vec!["http.status_code"])),
        (vec![long("http.status_code", 99)], (Unspecified, Error, "", vec!["http.status_code"])),
        (vec![kind("nothing")], (Unspecified, Unset, "", vec![])),
    ] {
        let found = meaning(tags.clone());
        assert_eq!((found.0, found.1, found.2.as_str(), found.3.iter().map(String::as_str).collect()), expected, "{tags:?}");
    }
}

#[test]
fn references_are_parents_or_links() {
    let (child_of, follows) = (|trace, id| Reference(0, trace, 1, id), |trace, id| Reference(1, trace, 1, id));
    for (parent, references, expected_parent, links) in [
        (0, vec![child_of(2, 9)], 9, vec![]),
        (0, vec![follows(2, 8), child_of(2, 9)], 9, vec![("follows_from", 8)]),
        (0, vec![follows(2, 8)], 8, vec![("follows_from", 8)]),
        (0, vec![child_of(5, 9)], 0, vec![("child_of", 9)]),
        (7, vec![child_of(2, 7), child_of(2, 9)], 7, vec![("child_of", 9)]),
    ] {
        let span = read_span(JaegerSpan { parent, references: references.clone(), ..one() });
        let parent = span.parent_span_id.try_into().map_or(0, u64::from_be_bytes);
        let found: Vec<(String, u64)> = span
            .links
            .iter()
            .map(|link| {
                let Value::StringValue(kind) = value_of(&link.attributes[0]) else { panic!("no text") };
                assert_eq!(link.attributes[0].key, "opentracing.ref_type");
                (kind, u64::from_be_bytes(link.span_id.clone().try_into().expect("8 bytes")))
            })
            .collect();
        assert_eq!(parent, expected_parent, "{references:?}");
        assert_eq!(found.iter().map(|(kind, id)| (kind.as_str(), *id)).collect::<Vec<_>>(), links, "{references:?}");
    }
}

#[test]
fn logs_become_events() {
    let named = vec![text_tag("event", "e"), ("n".to_owned(), TagValue::Long(1))];
    let numbered = vec![("event".to_owned(), TagValue::Long(1))];
    let span = read_span(JaegerSpan { logs: vec![(7, named), (8, numbered), (9, vec![])], ..one() });
    let events: Vec<_> = span.events.iter().map(|event| (event.time_unix_nano, event.name.as_str(), pairs(&event.attributes))).collect();
    let one = || Value::IntValue(1);
    assert_eq!(events, [(7_000, "e", vec![("n", one())]), (8_000, "", vec![("event", one())]), (9_000, "", vec![])]);
}

#[test]
fn other_messages_are_refused() {
    let packet = batch_of(vec![one()]).compact_packet();
    let name_at = packet.windows(9).position(|bytes| bytes == b"emitBatch").expect("the method");
    let renamed = [&packet[..name_at], b"emitOther", &packet[name_at + 9..]].concat();
    assert_eq!(decode_compact_packet(&renamed), Err(PacketError::Method));
    let mut answer = packet.clone();
    answer[1] = 2 << 5 | 1;
    assert_eq!(decode_compact_packet(&answer), Err(PacketError::Method));
    assert_eq!(decode_binary_packet(&packet), Err(PacketError::Thrift(ThriftError::Version)));
}

fn any_tags() -> impl Strategy<Value = Tags> {
    let value = prop_oneof![
        any::<String>().prop_map(TagValue::Text),
        any::<f64>().prop_map(TagValue::Double),
        any::<bool>().prop_map(TagValue::Bool),
        any::<i64>().prop_map(TagValue::Long),
        any::<Vec<u8>>().prop_map(TagValue::Binary),
    ];
    // Keys that mean nothing in particular, each once.
    prop::collection::btree_map("x[a-z]{0,3}", value, 0..30).prop_map(|map| map.into_iter().collect())
}

fn any_span() -> impl Strategy<Value = JaegerSpan> {
    let ids = (any::<(i64, i64)>(), 1i64.., any::<i64>(), any::<String>());
    let rest = (0..i64::MAX / 4000, 0..i64::MAX / 4000, any_tags(), prop::collection::vec((0..i64::MAX / 1000, any_tags()), 0..3));
    (ids, rest).prop_map(|((trace, id, parent, name), (start, duration, tags, logs))| JaegerSpan {
        trace,
        id,
        parent,
        name,
        start,
        duration,
        tags,
        logs,
        ..JaegerSpan::default()
    })
}

fn same(tags: &Tags, attributes: &[KeyValue]) -> bool {
    tags.len() == attributes.len()
        && tags.iter().zip(attributes).all(|((key, value), pair)| {
            let same = match (value, value_of(pair)) {
                (TagValue::Text(text), Value::StringValue(read)) => *text == read,
                (TagValue::Double(number), Value::DoubleValue(read)) => number.to_bits() == read.to_bits(),
                (TagValue::Bool(flag), Value::BoolValue(read)) => *flag == read,
                (TagValue::Long(number), Value::IntValue(read)) => *number == read,
                (TagValue::Binary(bytes), Value::BytesValue(read)) => *bytes == read,
                _ => false,
            };
            same && *key == pair.key
        })
}

/// Whatever is decoded can be stored, unless an id is zero.
fn check_output(decoded: Option<Bytes>) {
    let refusal = decoded.and_then(|request| validate(&request).err());
    assert!(!matches!(refusal, Some(crate::columns::validate::Refusal::Malformed(_))), "{refusal:?}");
}

fn decode_all_ways(bytes: &[u8]) {
    check_output(decode_batch(bytes).ok());
    check_output(decode_compact_packet(bytes).ok());
    check_output(decode_binary_packet(bytes).ok());
    check_output(decode_post_spans(bytes).ok());
}

proptest! {
    #[test]
    fn what_a_client_writes_comes_out(service in "[a-z]{1,8}", tags in any_tags(), spans in prop::collection::vec(any_span(), 1..5)) {
        let batches = read_batch(&JaegerBatch { service, tags: tags.clone(), spans: spans.clone() });
        prop_assert!(same(&tags, &batches[0].resource.as_ref().expect("a resource").attributes[1..]));
        prop_assert_eq!(batches[0].scope_spans[0].spans.len(), spans.len());
        for (sent, read) in spans.iter().zip(&batches[0].scope_spans[0].spans) {
            let trace_id = [sent.trace.1.to_be_bytes(), sent.trace.0.to_be_bytes()].concat();
            prop_assert_eq!((&read.trace_id, &read.span_id, &read.name), (&trace_id, &sent.id.to_be_bytes().to_vec(), &sent.name));
            prop_assert_eq!(read.parent_span_id.is_empty(), sent.parent == 0);
            let (start, end) = (sent.start as u64 * 1000, (sent.start + sent.duration) as u64 * 1000);
            prop_assert_eq!((read.start_time_unix_nano, read.end_time_unix_nano), (start, end));
            prop_assert!(same(&sent.tags, &read.attributes));
            prop_assert_eq!(sent.logs.len(), read.events.len());
            prop_assert!(sent.logs.iter().zip(&read.events).all(|((_, fields), event)| same(fields, &event.attributes)));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        decode_all_ways(&bytes);
    }

    #[test]
    fn damaged_batches_are_read_or_refused(span in any_span(), edits in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..6)) {
        let batch = batch_of(vec![span, one()]);
        for mut bytes in [batch.body(), batch.compact_packet(), batch.binary_packet(false), proto::request().encode_to_vec()] {
            for (at, byte) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            decode_all_ways(&bytes);
        }
    }
}

mod proto;
