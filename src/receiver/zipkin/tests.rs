//! What the recorded requests do not show: tolerated input, tags that must not get lost, v1 and protobuf in detail.

use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::*;
use crate::proto::otlp::{Event, KeyValue, Resource, ResourceSpans, Span, SpanKind, Status, StatusCode, Value};

/// A span with the members of `extra` added or replaced.
fn span_with(extra: Json) -> Json {
    let mut span = json!({"traceId": "0abc0000000000000000000000010001", "id": "1111111111111111", "name": "op",
        "timestamp": 1790000100000000u64, "duration": 1500, "localEndpoint": {"serviceName": "svc"}});
    merge(&mut span, extra);
    span
}

fn merge(object: &mut Json, extra: Json) {
    let (Json::Object(object), Json::Object(extra)) = (object, extra) else { panic!("objects are merged") };
    object.extend(extra);
}

fn resource_spans(request: Bytes) -> Vec<ResourceSpans> {
    ExportTraceServiceRequest::decode(request).expect("OTLP").resource_spans
}

fn decode_v2(spans: &Json) -> Result<Vec<ResourceSpans>, DecodeError> {
    decode_v2_json(spans.to_string().as_bytes(), TagTypes::Text).map(resource_spans)
}

fn decode_v1(spans: &Json) -> Result<Vec<ResourceSpans>, DecodeError> {
    decode_v1_json(spans.to_string().as_bytes(), TagTypes::Text, 7_000).map(|request| request.resource_spans)
}

fn read_span(extra: Json) -> Span {
    let batches = decode_v2(&json!([span_with(extra.clone())])).unwrap_or_else(|error| panic!("{extra}: {error}"));
    batches[0].scope_spans[0].spans[0].clone()
}

fn refusal(extra: Json) -> String {
    decode_v2(&json!([span_with(extra.clone())])).expect_err(&extra.to_string()).to_string()
}

/// Key and text, or any other value as Rust prints it, in the order of the keys.
fn pairs(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    let mut pairs: Vec<_> = attributes
        .iter()
        .map(|attribute| match attribute.value.clone().and_then(|value| value.value) {
            Some(Value::StringValue(text)) => (attribute.key.as_str(), text),
            other => (attribute.key.as_str(), format!("{other:?}")),
        })
        .collect();
    pairs.sort();
    pairs
}

fn resource_pairs(batch: &ResourceSpans) -> Vec<(&str, String)> {
    pairs(&batch.resource.as_ref().expect("every batch has a resource").attributes)
}

#[test]
fn v1_is_told_by_the_path() {
    assert!(is_v1_path("/api/v1/spans") && is_v1_path("/zipkin/api/v1/spans/"));
    assert!(!is_v1_path("/api/v2/spans") && !is_v1_path("/"));
}

#[test]
fn keys_are_read_in_any_case() {
    let span = json!([{"TRACEID": "a", "Id": "b", "parentID": "C", "Tags": {"Key": "v"}, "LocalEndPoint": {"servicename": "svc"}}]);
    let batches = decode_v2(&span).expect("keys of any case");
    let span = &batches[0].scope_spans[0].spans[0];
    assert_eq!((span.trace_id[15], span.span_id[7], span.parent_span_id[7]), (0x0a, 0x0b, 0x0c));
    assert_eq!(pairs(&span.attributes)[0], ("Key", "v".to_owned()));
    assert_eq!(resource_pairs(&batches[0]), [("service.name", "svc".to_owned())]);
}

#[test]
fn ids_are_numbers_in_hex() {
    let span = read_span(json!({"traceId": "00000000000000000000000000000000000ABC", "id": "00000000000000000001"}));
    assert_eq!(u128::from_be_bytes(span.trace_id.try_into().expect("16 bytes")), 0xabc);
    assert_eq!(u64::from_be_bytes(span.span_id.try_into().expect("8 bytes")), 1);
    for parent in [json!(null), json!(""), json!("0"), json!("0000000000000000"), json!("1111111111111111")] {
        assert!(read_span(json!({"parentId": parent})).parent_span_id.is_empty(), "{parent}");
    }
    assert_eq!(refusal(json!({"id": null})), "valid span id required");
    assert_eq!(read_span(json!({"traceId": null})).trace_id, [0; 16]);
    for extra in [json!({"id": ""}), json!({"id": "0x1"}), json!({"id": "+1"}), json!({"parentId": "z"}), json!({"id": 1})] {
        refusal(extra);
    }
    assert!(refusal(json!({"traceId": ""})).contains("valid traceId required"));
}

#[test]
fn times_are_whole_microseconds() {
    assert_eq!(read_span(json!({"timestamp": 1.79e15})).start_time_unix_nano, 1_790_000_000_000_000_000);
    assert_eq!(read_span(json!({"timestamp": u64::MAX, "duration": u64::MAX})).end_time_unix_nano, u64::MAX);
    for extra in [json!({"timestamp": "5"}), json!({"duration": 0.5}), json!({"timestamp": -1}), json!({"timestamp": 1e20})] {
        refusal(extra);
    }
}

#[test]
fn a_missing_start_is_marked() {
    for timestamp in [json!(null), json!(0)] {
        let span = read_span(json!({"timestamp": timestamp}));
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (0, 1_500_000));
        assert_eq!(span.attributes[0].key, "otel.zipkin.absentField.startTime");
    }
}

#[test]
fn a_kind_that_zipkin_lacks_is_told_by_a_tag() {
    let tags = json!({"span.kind": "internal"});
    let span = read_span(json!({"tags": tags.clone()}));
    assert_eq!((span.kind(), span.attributes.len()), (SpanKind::Internal, 0));
    let span = read_span(json!({"tags": tags, "kind": "CLIENT"}));
    assert_eq!((span.kind(), span.attributes.len()), (SpanKind::Client, 1));
}

#[test]
fn the_status_is_found_in_tags() {
    let status = |tags: Json| {
        let span = read_span(json!({"tags": tags}));
        let Status { message, code } = span.status.expect("always set");
        (StatusCode::try_from(code).expect("a known code"), message, span.attributes.len())
    };
    assert_eq!(status(json!({"otel.status_code": "Ok", "otel.status_description": "d"})), (StatusCode::Ok, "d".into(), 0));
    assert_eq!(status(json!({"otel.status_code": "STATUS_CODE_ERROR"})), (StatusCode::Error, "".into(), 0));
    assert_eq!(status(json!({"otel.status_code": "ERROR"})), (StatusCode::Error, "".into(), 0));
    assert_eq!(status(json!({"otel.status_code": "unset"})), (StatusCode::Unset, "".into(), 0));
    assert_eq!(status(json!({"otel.status_code": "Ok", "error": "true"})), (StatusCode::Error, "".into(), 0));
    assert_eq!(status(json!({"error": "timeout"})), (StatusCode::Error, "".into(), 1));
    assert_eq!(status(json!({"otel.status_description": "d"})), (StatusCode::Unset, "".into(), 1));
}

#[test]
fn endpoints_become_attributes() {
    let local = json!({"serviceName": "svc", "ipv6": "::ffff:10.0.0.1", "port": 80});
    let span = read_span(json!({"localEndpoint": local, "remoteEndpoint": {"serviceName": "db"}, "tags": {"service.peer.name": "x"}}));
    let expected = [
        ("net.host.port", "Some(IntValue(80))".to_owned()),
        ("network.local.address", "10.0.0.1".to_owned()),
        ("service.peer.name", "db".to_owned()),
    ];
    assert_eq!(pairs(&span.attributes), expected);
    assert!(refusal(json!({"localEndpoint": {"port": 65536}})).contains("out of range"));
    assert!(refusal(json!({"localEndpoint": {"ipv6": "fe80::1%eth0"}})).contains("invalid IP address"));
}

#[test]
fn annotations_may_carry_attributes() {
    let event = |value: &str| read_span(json!({"annotations": [{"timestamp": 5, "value": value}]})).events[0].clone();
    let packed = event(r#"retry|{"n":1,"why":"a|b","f":0.5,"ok":true,"list":[null,{"k":"v"}]}|3"#);
    assert_eq!((packed.name.as_str(), packed.time_unix_nano, packed.dropped_attributes_count), ("retry", 5_000, 3));
    let values = pairs(&packed.attributes);
    assert_eq!(values[0], ("f", "Some(DoubleValue(0.5))".to_owned()));
    assert_eq!(values[2], ("n", "Some(IntValue(1))".to_owned()));
    assert_eq!(values[4], ("why", "a|b".to_owned()));
    for plain in ["", "a", "a|b", "a|b|c", "a|{}|x", "a|{}|-1", "|", "a|[]|0", "a|{|0", "a||"] {
        assert_eq!(event(plain), Event { time_unix_nano: 5_000, name: plain.to_owned(), ..Event::default() });
    }
    assert_eq!(refusal(json!({"annotations": [{"value": "a"}]})), "valid annotation timestamp required");
}

#[test]
fn links_are_read_up_to_the_first_gap() {
    let link = "5982fe77008310cc80f1da5e10147517|bd7a977555f6b982||{}|1";
    let span = read_span(json!({"tags": {"otlp.link.0": link, "otlp.link.1": "a|b|c|d", "otlp.link.2": link, "otlp.link.4": link}}));
    assert_eq!(span.links.len(), 2);
    assert_eq!(span.links[1].dropped_attributes_count, 1);
    assert_eq!(span.attributes.iter().map(|attribute| attribute.key.as_str()).collect::<Vec<_>>(), ["otlp.link.1", "otlp.link.4"]);
    for malformed in ["00|bd7a977555f6b982||{}|1", "a||||", "5982fe77008310cc80f1da5e10147517|bd7a977555f6b982||{}|x"] {
        assert!(refusal(json!({"tags": {"otlp.link.0": malformed}})).contains("otlp.link.0"));
    }
}

#[test]
fn groups_are_services_and_libraries_in_order() {
    let of = |service: &str, library: &str, version: &str| {
        let tags = json!({"otel.library.name": library, "otel.library.version": version});
        span_with(json!({"localEndpoint": {"serviceName": service}, "tags": tags, "name": format!("{service}{library}")}))
    };
    let batches = decode_v2(&json!([of("b", "y", "1"), of("a", "z", "1"), of("b", "x", "2"), of("b", "y", "1")])).expect("four spans");
    let names = |batch: &ResourceSpans| {
        let scopes = batch.scope_spans.iter();
        scopes.map(|s| (s.scope.clone().expect("set").name, s.spans.len(), s.spans[0].name.clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(&batches[0]), [("z".to_owned(), 1, "az".to_owned())]);
    assert_eq!(names(&batches[1]), [("x".to_owned(), 1, "bx".to_owned()), ("y".to_owned(), 2, "by".to_owned())]);
}

#[test]
fn resource_tags_move_to_the_resource_and_none_is_lost() {
    let spans = [json!({"host.name": "h1", "k": "v"}), json!({"host.name": "h1"}), json!({"host.name": "h2", "os.type": "linux"})];
    let batches = decode_v2(&spans.iter().map(|tags| span_with(json!({"tags": tags}))).collect()).expect("three spans");
    assert_eq!(resource_pairs(&batches[0]), [("host.name", "h1".to_owned()), ("service.name", "svc".to_owned())]);
    let left: Vec<_> = batches[0].scope_spans[0].spans.iter().map(|span| pairs(&span.attributes)).collect();
    assert_eq!(left[0], [("k", "v".to_owned())]);
    assert_eq!(left[1], []);
    assert_eq!(left[2], [("host.name", "h2".to_owned()), ("os.type", "linux".to_owned())]);
}

#[test]
fn without_a_service_the_resource_is_empty_and_the_span_keeps_its_tags() {
    let batches = decode_v2(&json!([span_with(json!({"localEndpoint": {}, "tags": {"host.name": "h1"}}))])).expect("one span");
    assert_eq!(batches[0].resource, Some(Resource::default()));
    assert_eq!(pairs(&batches[0].scope_spans[0].spans[0].attributes), [("host.name", "h1".to_owned())]);
}

#[test]
fn the_service_name_may_go_under_another_key() {
    let tags = json!({"otlp.service.name.source": "process.command", "service.name": "mine"});
    let batches = decode_v2(&json!([span_with(json!({"tags": tags}))])).expect("one span");
    assert_eq!(resource_pairs(&batches[0]), [("process.command", "svc".to_owned()), ("service.name", "mine".to_owned())]);
}

#[test]
fn text_after_the_array_is_refused() {
    assert!(decode_v2_json(b"[] []", TagTypes::Text).is_err());
    assert!(matches!(decode_v2_json(b"[{", TagTypes::Text), Err(DecodeError::Truncated)));
    assert_eq!(decode_v2_json(b" null ", TagTypes::Text).expect("no spans"), Bytes::new());
    assert_eq!(decode_v2_json(b"[null]", TagTypes::Text).expect("no spans"), Bytes::new());
}

/// The span of [`span_with`] in protobuf.
fn proto_span() -> v2_proto::ProtoSpan {
    v2_proto::ProtoSpan {
        trace_id: vec![0x0a, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1],
        id: vec![0x11; 8],
        name: "op".to_owned(),
        timestamp: 1790000100000000,
        duration: 1500,
        local_endpoint: Some(v2_proto::ProtoEndpoint { service_name: "svc".to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

fn decode_proto(span: v2_proto::ProtoSpan) -> Result<Vec<ResourceSpans>, DecodeError> {
    decode_v2_proto(&v2_proto::ListOfSpans { spans: vec![span] }.encode_to_vec(), TagTypes::Text).map(resource_spans)
}

#[test]
fn protobuf_and_json_say_the_same() {
    let mut span = proto_span();
    span.kind = 2;
    span.parent_id = vec![0x22; 8];
    span.tags = [("k".to_owned(), "v".to_owned())].into();
    span.annotations = vec![v2_proto::ProtoAnnotation { timestamp: 5, value: "a".to_owned() }];
    let remote = v2_proto::ProtoEndpoint { ipv4: vec![10, 0, 0, 1], ipv6: vec![1, 2, 3], port: 80, ..Default::default() };
    span.remote_endpoint = Some(remote);
    let json = span_with(json!({"kind": "SERVER", "parentId": "2222222222222222", "tags": {"k": "v"},
        "annotations": [{"timestamp": 5, "value": "a"}], "remoteEndpoint": {"ipv4": "10.0.0.1", "port": 80}}));
    assert_eq!(decode_proto(span).expect("one span"), decode_v2(&json!([json])).expect("one span"));
}

#[test]
fn protobuf_ids_have_their_length() {
    let short = v2_proto::ProtoSpan { trace_id: vec![0xaa; 8], ..proto_span() };
    let batches = decode_proto(short).expect("64-bit ids are padded");
    assert_eq!(batches[0].scope_spans[0].spans[0].trace_id, [[0; 8], [0xaa; 8]].concat());
    for bytes in [vec![], vec![1; 4], vec![1; 16]] {
        assert!(decode_proto(v2_proto::ProtoSpan { id: bytes.clone(), ..proto_span() }).is_err());
        assert!(bytes.is_empty() || decode_proto(v2_proto::ProtoSpan { parent_id: bytes, ..proto_span() }).is_err());
    }
    assert!(decode_proto(v2_proto::ProtoSpan { trace_id: vec![], ..proto_span() }).is_err());
    let no_time = decode_proto(v2_proto::ProtoSpan { timestamp: 0, ..proto_span() }).expect("a span without a start");
    assert_eq!(no_time[0].scope_spans[0].spans[0].attributes, []);
}

/// A v1 span with the members of `extra`.
fn v1_span_with(extra: Json) -> Json {
    let mut span = json!({"traceId": "1111111111111111", "id": "2222222222222222", "name": "op"});
    merge(&mut span, extra);
    span
}

fn read_v1(extra: Json) -> (ResourceSpans, Span) {
    let batches = decode_v1(&json!([v1_span_with(extra.clone())])).unwrap_or_else(|error| panic!("{extra}: {error}"));
    (batches[0].clone(), batches[0].scope_spans[0].spans[0].clone())
}

#[test]
fn v1_core_annotations_give_kind_service_and_times() {
    let front = json!({"serviceName": "front", "ipv4": "10.0.0.1", "ipv6": "::1", "port": 80});
    let (batch, span) = read_v1(json!({"annotations": [
        {"timestamp": 3, "value": "cs", "endpoint": front}, {"timestamp": 9, "value": "cr", "endpoint": {"serviceName": "other"}},
        {"timestamp": 5, "value": "a|b"}]}));
    let expected = [("ipv4", "10.0.0.1"), ("ipv6", "::1"), ("port", "80"), ("service.name", "front")];
    assert_eq!(resource_pairs(&batch), expected.map(|(key, value)| (key, value.to_owned())));
    assert_eq!((span.kind(), span.start_time_unix_nano, span.end_time_unix_nano), (SpanKind::Client, 3_000, 9_000));
    assert_eq!(span.events, [Event { time_unix_nano: 5_000, name: "a|b".to_owned(), ..Event::default() }]);
    assert_eq!(span.trace_id, [[0; 8], [0x11; 8]].concat());
}

#[test]
fn v1_spans_without_core_annotations_belong_to_the_last_binary_one() {
    let endpoint = |name: &str| json!({"serviceName": name});
    let binary = json!([{"key": "a", "value": "1", "endpoint": endpoint("x")}, {"key": "lc", "value": "c", "endpoint": endpoint("y")}]);
    let (batch, span) = read_v1(json!({"binaryAnnotations": binary}));
    assert_eq!(resource_pairs(&batch), [("service.name", "y".to_owned())]);
    assert_eq!(pairs(&span.attributes)[..2], [("a", "1".to_owned()), ("component", "c".to_owned())]);
    let (batch, _) = read_v1(json!({"binaryAnnotations": [{"key": "lc", "value": "c"}]}));
    assert_eq!(resource_pairs(&batch), [("service.name", "c".to_owned())]);
}

#[test]
fn v1_spans_without_times_start_on_arrival() {
    let (_, span) = read_v1(json!({"duration": 2}));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (7_000, 9_000));
    assert_eq!(pairs(&span.attributes), [("otel.zipkin.absentField.startTime", "Some(BoolValue(true))".to_owned())]);
    let (_, span) = read_v1(json!({"timestamp": 2, "duration": 2, "annotations": [{"timestamp": 9, "value": "sr"}]}));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (2_000, 4_000));
}

#[test]
fn v1_statuses_are_found_in_the_order_of_their_tags() {
    let status = |tags: &[(&str, &str)]| {
        let binary: Vec<Json> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let (_, span) = read_v1(json!({"timestamp": 1, "binaryAnnotations": binary}));
        let status = span.status.expect("always set");
        (status.code(), status.message, span.attributes.len())
    };
    assert_eq!(
        status(&[("census.status_code", "0"), ("error", "e"), ("opencensus.status_description", "m")]),
        (StatusCode::Ok, "m".into(), 1)
    );
    assert_eq!(status(&[("otel.status_code", "2"), ("otel.status_description", "m")]), (StatusCode::Error, "m".into(), 0));
    assert_eq!(status(&[("error", "false"), ("http.status_code", "200")]), (StatusCode::Error, "".into(), 1));
    assert_eq!(status(&[("http.status_code", "398"), ("http.status_message", "m")]), (StatusCode::Unset, "m".into(), 2));
    for code in ["99", "399", "404", "500"] {
        assert_eq!(status(&[("http.status_code", code)]).0, StatusCode::Error);
    }
    assert_eq!(status(&[("otel.status_code", "Error"), ("http.status_code", "x")]), (StatusCode::Unset, "".into(), 2));
}

#[test]
fn v1_ids_have_their_length() {
    for (key, text) in [("traceId", "1"), ("traceId", "0000000000000000"), ("traceId", "z111111111111111"), ("id", "1"), ("parentId", "1")]
    {
        assert!(decode_v1(&json!([v1_span_with(json!({key: text}))])).is_err(), "{key} {text}");
    }
    for extra in [json!({"traceId": null}), json!({"id": null}), json!({"parentId": "0000000000000000"})] {
        assert!(decode_v1(&json!([v1_span_with(extra)])).is_err());
    }
    let (_, span) = read_v1(json!({"traceId": "11111111111111112222222222222222", "parentId": ""}));
    assert_eq!((span.trace_id[0], span.parent_span_id), (0x11, vec![]));
}

fn decode_all_ways(body: &[u8]) {
    let _ = decode_v2_json(body, TagTypes::Text);
    let _ = decode_v2_proto(body, TagTypes::Guessed);
    let _ = decode_v1_json(body, TagTypes::Guessed, u64::MAX);
    let _ = decode_v1_thrift(body, TagTypes::Text, 0);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body: Vec<u8>) {
        decode_all_ways(&body);
    }

    #[test]
    fn mutated_spans_never_panic(edits in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4)) {
        let span = span_with(json!({"parentId": "1", "kind": "CLIENT", "remoteEndpoint": {"ipv4": "1.2.3.4", "port": 5},
            "annotations": [{"timestamp": 5, "value": "a|{\"b\":1}|2", "endpoint": {"ipv6": "::1"}}],
            "binaryAnnotations": [{"key": "k", "value": "v", "endpoint": {"serviceName": "s"}}],
            "tags": {"error": "true", "otlp.link.0": "5982fe77008310cc80f1da5e10147517|bd7a977555f6b982||{}|1", "host.name": "h"}}));
        for mut body in [json!([span]).to_string().into_bytes(), v2_proto::ListOfSpans { spans: vec![proto_span()] }.encode_to_vec()] {
            for (position, byte) in &edits {
                let position = position.index(body.len());
                body[position] = *byte;
            }
            decode_all_ways(&body);
        }
    }

    #[test]
    fn every_tag_is_kept_as_text(tags: std::collections::BTreeMap<String, String>) {
        let span = read_span(json!({"tags": tags}));
        prop_assert_eq!(pairs(&span.attributes), tags.iter().map(|(key, value)| (key.as_str(), value.clone())).collect::<Vec<_>>());
    }
}
