//! `jaeger.api_v2`, declared for prost, so that another encoder than our reader's writes what is read.

use super::{read, text, value_of};
use crate::columns::wire::Malformed;
use crate::proto::otlp::{ResourceSpans, Span, SpanKind, StatusCode, Value};
use crate::receiver::jaeger::decode_post_spans;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct PostSpansRequest {
    #[prost(message, optional, tag = "1")]
    batch: Option<Batch>,
}

#[derive(Clone, PartialEq, Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<ProtoSpan>,
    #[prost(message, optional, tag = "2")]
    process: Option<Process>,
}

#[derive(Clone, PartialEq, Message)]
struct Process {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(message, repeated, tag = "2")]
    tags: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    operation_name: String,
    #[prost(message, repeated, tag = "4")]
    references: Vec<SpanRef>,
    #[prost(uint32, tag = "5")]
    flags: u32,
    #[prost(message, optional, tag = "6")]
    start_time: Option<Time>,
    #[prost(message, optional, tag = "7")]
    duration: Option<Time>,
    #[prost(message, repeated, tag = "8")]
    tags: Vec<KeyValue>,
    #[prost(message, repeated, tag = "9")]
    logs: Vec<Log>,
    #[prost(message, optional, tag = "10")]
    process: Option<Process>,
    #[prost(string, tag = "11")]
    process_id: String,
    #[prost(string, repeated, tag = "12")]
    warnings: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct SpanRef {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(int32, tag = "3")]
    ref_type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Log {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(int32, tag = "2")]
    v_type: i32,
    #[prost(string, tag = "3")]
    v_str: String,
    #[prost(bool, tag = "4")]
    v_bool: bool,
    #[prost(int64, tag = "5")]
    v_int64: i64,
    #[prost(double, tag = "6")]
    v_float64: f64,
    #[prost(bytes = "vec", tag = "7")]
    v_binary: Vec<u8>,
}

fn text_tag(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), v_str: value.to_owned(), ..KeyValue::default() }
}

fn process(name: &str) -> Process {
    Process { service_name: name.to_owned(), tags: vec![text_tag("hostname", "h")] }
}

fn one() -> ProtoSpan {
    ProtoSpan {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        operation_name: "op".to_owned(),
        references: vec![SpanRef { trace_id: vec![1; 16], span_id: vec![3; 8], ref_type: 0 }],
        flags: 1,
        start_time: Some(Time { seconds: 5, nanos: 7 }),
        duration: Some(Time { seconds: 0, nanos: 9 }),
        tags: vec![
            text_tag("s", "x"),
            KeyValue { key: "b".to_owned(), v_type: 1, v_bool: true, ..KeyValue::default() },
            KeyValue { key: "i".to_owned(), v_type: 2, v_int64: -5, ..KeyValue::default() },
            KeyValue { key: "d".to_owned(), v_type: 3, v_float64: 1.5, ..KeyValue::default() },
            KeyValue { key: "bin".to_owned(), v_type: 4, v_binary: vec![1, 2], ..KeyValue::default() },
        ],
        logs: vec![Log { timestamp: Some(Time { seconds: 6, nanos: 0 }), fields: vec![text_tag("event", "e"), text_tag("k", "v")] }],
        warnings: vec!["w".to_owned()],
        ..ProtoSpan::default()
    }
}

fn request_of(spans: Vec<ProtoSpan>) -> PostSpansRequest {
    PostSpansRequest { batch: Some(Batch { spans, process: Some(process("svc")) }) }
}

pub(super) fn request() -> PostSpansRequest {
    request_of(vec![one()])
}

fn read_request(request: &PostSpansRequest) -> Vec<ResourceSpans> {
    read(&decode_post_spans(&request.encode_to_vec()).expect("a request"))
}

fn read_span(span: ProtoSpan) -> Span {
    read_request(&request_of(vec![span]))[0].scope_spans[0].spans[0].clone()
}

#[test]
fn every_field_has_its_place() {
    let batches = read_request(&request());
    let resource = batches[0].resource.as_ref().expect("a resource");
    assert_eq!(resource.attributes.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["service.name", "host.name"]);
    let span = &batches[0].scope_spans[0].spans[0];
    assert_eq!((&span.trace_id[..], &span.span_id[..], &span.parent_span_id[..]), (&[1; 16][..], &[2; 8][..], &[3; 8][..]));
    assert_eq!((span.name.as_str(), span.start_time_unix_nano, span.end_time_unix_nano), ("op", 5_000_000_007, 5_000_000_016));
    let values: Vec<Value> = span.attributes.iter().map(value_of).collect();
    let expected = [text("x"), Value::BoolValue(true), Value::IntValue(-5), Value::DoubleValue(1.5), Value::BytesValue(vec![1, 2])];
    assert_eq!(values, expected);
    assert_eq!((span.events[0].name.as_str(), span.events[0].time_unix_nano), ("e", 6_000_000_000));
    assert_eq!((span.events[0].attributes.len(), span.links.len()), (1, 0));
}

#[test]
fn trace_state_and_scope_are_tags() {
    let tags = ["w3c.tracestate", "otel.library.name", "otel.scope.version"].map(|key| text_tag(key, key)).to_vec();
    let batches = read_request(&request_of(vec![ProtoSpan { tags, ..one() }, one()]));
    let scopes: Vec<_> = batches[0].scope_spans.iter().map(|scope| scope.scope.clone().expect("a scope")).collect();
    assert_eq!(scopes.iter().map(|scope| scope.name.as_str()).collect::<Vec<_>>(), ["", "otel.library.name"]);
    assert_eq!(scopes[1].version, "otel.scope.version");
    let span = &batches[0].scope_spans[1].spans[0];
    assert_eq!((span.trace_state.as_str(), span.attributes.len()), ("w3c.tracestate", 0));
}

#[test]
fn spans_may_have_a_process_of_their_own() {
    let own = ProtoSpan { process: Some(process("other")), ..one() };
    let batches = read_request(&request_of(vec![own.clone(), one(), own]));
    let found: Vec<(Value, usize)> = batches
        .iter()
        .map(|batch| {
            let resource = batch.resource.as_ref().expect("a resource");
            (value_of(&resource.attributes[0]), batch.scope_spans[0].spans.len())
        })
        .collect();
    assert_eq!(found, [(text("svc"), 1), (text("other"), 2)]);
}

#[test]
fn short_trace_ids_are_padded_and_others_refused() {
    let short = read_span(ProtoSpan { trace_id: vec![9; 8], references: vec![], ..one() });
    assert_eq!(short.trace_id, [[0; 8], [9; 8]].concat());
    let bad = |span: ProtoSpan| decode_post_spans(&request_of(vec![span]).encode_to_vec());
    assert_eq!(bad(ProtoSpan { trace_id: vec![1; 15], ..one() }), Err(Malformed::TraceIdLength));
    assert_eq!(bad(ProtoSpan { span_id: vec![1; 7], ..one() }), Err(Malformed::SpanIdLength));
    assert_eq!(decode_post_spans(b"\x0a\xff\xff\xff\xff\x07"), Err(Malformed::Truncated));
}

#[test]
fn the_kind_and_the_status_are_tags() {
    let failed = KeyValue { key: "error".to_owned(), v_type: 1, v_bool: true, ..KeyValue::default() };
    let span = read_span(ProtoSpan { tags: vec![failed, text_tag("span.kind", "producer")], ..one() });
    assert_eq!((span.kind(), span.status.expect("always set").code()), (SpanKind::Producer, StatusCode::Error));
    assert_eq!(span.attributes, []);
}
