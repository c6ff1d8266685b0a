use super::*;
use crate::columns::validate::{Refusal, validate};
use crate::proto::otlp::{ExportTraceServiceRequest, KeyValue as OtlpPair, ResourceSpans, SpanKind, StatusCode, Value};
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;
use written::*;

#[path = "../../../tests/it/support/opencensus.rs"]
mod written;

fn pairs(attributes: &[OtlpPair]) -> Vec<(&str, Value)> {
    let value = |pair: &OtlpPair| pair.value.as_ref().and_then(|any| any.value.clone()).expect("a value");
    attributes.iter().map(|pair| (pair.key.as_str(), value(pair))).collect()
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn read(bytes: &[u8]) -> Vec<ResourceSpans> {
    ExportTraceServiceRequest::decode(bytes).expect("OTLP").resource_spans
}

fn decode(stream: &mut Stream, request: &Export) -> Vec<ResourceSpans> {
    read(&stream.decode(&request.encode_to_vec()).expect("a request"))
}

fn resource_of(batch: &ResourceSpans) -> Vec<(&str, Value)> {
    pairs(&batch.resource.as_ref().expect("a resource").attributes)
}

fn one_span(span: Span) -> crate::proto::otlp::Span {
    let request = Export { node: Some(Node::default()), spans: vec![span], resource: None };
    decode(&mut Stream::default(), &request)[0].scope_spans[0].spans[0].clone()
}

#[test]
fn the_node_and_the_resource_become_the_resource() {
    let node = Node {
        identifier: Some(Identifier { host_name: "h".into(), pid: 7, start_timestamp: Some(Time { seconds: 1, nanos: 500_000_000 }) }),
        library_info: Some(Library { language: 4, exporter_version: "e".into(), core_library_version: "c".into() }),
        service_info: Some(Service { name: "svc".into() }),
        attributes: BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]),
    };
    let labels = BTreeMap::from([("cloud.zone".into(), "z".into()), ("b".into(), "3".into())]);
    let resource = Some(Resource { kind: "k8s".into(), labels });
    let request = Export { node: Some(node), spans: vec![span(1, 1)], resource };
    let batches = decode(&mut Stream::default(), &request);
    let mut found = resource_of(&batches[0]);
    found.sort_by_key(|(key, _)| *key);
    let expected = [
        ("a", text("1")),
        ("b", text("3")),
        ("cloud.availability_zone", text("z")),
        ("host.name", text("h")),
        ("opencensus.exporterversion", text("e")),
        ("opencensus.resourcetype", text("k8s")),
        ("opencensus.starttime", text("1970-01-01T00:00:01.5Z")),
        ("process.pid", Value::IntValue(7)),
        ("service.name", text("svc")),
        ("telemetry.sdk.language", text("go")),
        ("telemetry.sdk.version", text("c")),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_stream_remembers_who_speaks() {
    let mut stream = Stream::default();
    assert_eq!(stream.decode(&Export::default().encode_to_vec()), Err(StreamError::NoNode));
    let node = |name: &str| Some(Node { service_info: Some(Service { name: name.into() }), ..Node::default() });
    let labelled = |label: &str| Some(Resource { kind: String::new(), labels: BTreeMap::from([("l".into(), label.into())]) });
    // The Go agent's exporter begins with its node alone.
    assert_eq!(decode(&mut stream, &Export { node: node("first"), ..Export::default() }), []);
    let spans = || vec![span(1, 1)];
    let later = decode(&mut stream, &Export { spans: spans(), ..Export::default() });
    assert_eq!(resource_of(&later[0]), [("service.name", text("first"))]);
    let described = decode(&mut stream, &Export { spans: spans(), resource: labelled("x"), ..Export::default() });
    assert_eq!(resource_of(&described[0]), [("service.name", text("first")), ("l", text("x"))]);
    let renamed = decode(&mut stream, &Export { node: node("second"), spans: spans(), ..Export::default() });
    assert_eq!(resource_of(&renamed[0]), [("service.name", text("second")), ("l", text("x"))]);
    let own = Span { resource: labelled("own"), ..span(1, 2) };
    let both = decode(&mut stream, &Export { spans: vec![own, span(1, 1)], ..Export::default() });
    assert_eq!(resource_of(&both[0]), [("service.name", text("second")), ("l", text("own"))]);
    assert_eq!((resource_of(&both[1])[1].1.clone(), both.len()), (text("x"), 2));
}

#[test]
fn every_field_has_its_place() {
    let attribute_map = BTreeMap::from([
        ("s".into(), Attribute { value: Some(AttributeValue::Text(cut("x"))) }),
        ("i".into(), Attribute { value: Some(AttributeValue::Int(-5)) }),
        ("b".into(), Attribute { value: Some(AttributeValue::Bool(false)) }),
        ("d".into(), Attribute { value: Some(AttributeValue::Double(1.5)) }),
    ]);
    let attributes = Some(Attributes { attribute_map, dropped_attributes_count: 3 });
    let annotation = TimeEvent {
        time: Some(Time { seconds: 6, nanos: 1 }),
        value: Some(TimeEventValue::Annotation(Annotation { description: Some(cut("note")), attributes: attributes.clone() })),
    };
    let message = MessageEvent { kind: 2, id: 9, uncompressed_size: 10, compressed_size: 11 };
    let message = TimeEvent { time: None, value: Some(TimeEventValue::Message(message)) };
    let time_events =
        Some(TimeEvents { time_event: vec![annotation, message], dropped_annotations_count: 1, dropped_message_events_count: 2 });
    let link = Link { trace_id: vec![7; 16], span_id: vec![8; 8], kind: 1, attributes: attributes.clone(), tracestate: None };
    let entries = vec![Entry { key: "a".into(), value: "1".into() }, Entry { key: "b".into(), value: "2".into() }];
    let read = one_span(Span {
        parent_span_id: vec![3; 8],
        attributes,
        time_events,
        links: Some(Links { link: vec![link], dropped_links_count: 4 }),
        status: Some(Status { code: 5, message: "not found".into() }),
        same_process_as_parent_span: Some(BoolValue { value: true }),
        child_span_count: Some(BoolValue { value: true }),
        kind: 2,
        tracestate: Some(Tracestate { entries }),
        ..span(1, 2)
    });
    assert_eq!((read.trace_id, read.span_id), (vec![1; 16], vec![2; 8]));
    assert_eq!((&read.parent_span_id[..], read.name.as_str(), read.trace_state.as_str()), (&[3; 8][..], "op", "a=1,b=2"));
    assert_eq!((read.start_time_unix_nano, read.end_time_unix_nano), (5_000_000_000, 7_000_000_009));
    let typed = [("b", Value::BoolValue(false)), ("d", Value::DoubleValue(1.5)), ("i", Value::IntValue(-5)), ("s", text("x"))];
    let same_process = ("opencensus.same_process_as_parent_span", Value::BoolValue(true));
    assert_eq!(pairs(&read.attributes), [&typed[..], &[same_process]].concat());
    assert_eq!((read.dropped_attributes_count, read.dropped_events_count, read.dropped_links_count), (3, 3, 4));
    assert_eq!((read.events[0].name.as_str(), read.events[0].time_unix_nano), ("note", 6_000_000_001));
    assert_eq!((pairs(&read.events[0].attributes), read.events[0].dropped_attributes_count), (typed.to_vec(), 3));
    assert_eq!(read.events[1].name, "message");
    let expected = [
        ("message.type", text("RECEIVED")),
        ("messaging.message_id", Value::IntValue(9)),
        ("messaging.message_payload_size_bytes", Value::IntValue(10)),
        ("messaging.message_payload_compressed_size_bytes", Value::IntValue(11)),
    ];
    assert_eq!(pairs(&read.events[1].attributes), expected);
    assert_eq!((&read.links[0].trace_id[..], &read.links[0].span_id[..]), (&[7; 16][..], &[8; 8][..]));
    assert_eq!((pairs(&read.links[0].attributes), read.links[0].dropped_attributes_count), (typed.to_vec(), 3));
    let status = read.status.expect("always set");
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "not found"));
    assert_eq!(SpanKind::try_from(read.kind), Ok(SpanKind::Client));
}

#[test]
fn attributes_may_say_kind_and_status() {
    let with = |key: &str, value: AttributeValue, code: i32| {
        let attribute_map = BTreeMap::from([(key.to_owned(), Attribute { value: Some(value) })]);
        let attributes = Some(Attributes { attribute_map, dropped_attributes_count: 0 });
        let status = Some(Status { code, message: String::new() });
        let read = one_span(Span { attributes, status, ..span(1, 1) });
        (read.kind(), read.status.clone().expect("always set").code(), read.attributes.len())
    };
    let kind = |name| AttributeValue::Text(cut(name));
    assert_eq!(with("span.kind", kind("producer"), 0), (SpanKind::Producer, StatusCode::Unset, 0));
    assert_eq!(with("span.kind", kind("other"), 1), (SpanKind::Unspecified, StatusCode::Error, 1));
    assert_eq!(with("otel.status_code", AttributeValue::Int(1), 5), (SpanKind::Unspecified, StatusCode::Ok, 0));
    assert_eq!(with("otel.status_code", kind("1"), 0), (SpanKind::Unspecified, StatusCode::Unset, 1));
}

#[test]
fn ids_get_their_length() {
    let read = one_span(Span { trace_id: vec![1; 20], span_id: vec![2; 3], parent_span_id: vec![0; 8], ..span(1, 1) });
    assert_eq!((read.trace_id, read.span_id, read.parent_span_id), (vec![1; 16], vec![2, 2, 2, 0, 0, 0, 0, 0], vec![]));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(first: Vec<u8>, second: Vec<u8>, edits in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..5)) {
        let mut request = Export { node: Some(Node::default()), spans: vec![span(1, 1), span(2, 2)], resource: None }.encode_to_vec();
        for (at, byte) in edits {
            let at = at.index(request.len());
            request[at] = byte;
        }
        let mut stream = Stream::default();
        for message in [request, first, second] {
            let refusal = stream.decode(&message).ok().and_then(|decoded| validate(&decoded).err());
            prop_assert!(!matches!(refusal, Some(Refusal::Malformed(_))), "{:?}", refusal);
        }
    }
}
