use super::super::opencensus_grpc;
use super::super::tenant::Tenancy;
use super::super::test_support::{Answer, FakeTarget, distributor, send};
use super::*;
use crate::distributor::PushError;
use crate::proto::otlp::{ExportTraceServiceRequest, SpanKind, Value};
use axum::body::Body;
use prost::Message;
use tokio::sync::watch;

/// What an exporter in a browser sends, in the names of the protocol.
const SNAKE: &str = r#"{"node": {"identifier": {"host_name": "web", "pid": 7, "start_timestamp": "2018-12-13T14:51:00Z"},
  "library_info": {"language": "WEB_JS", "exporter_version": "0.1"}, "service_info": {"name": "shop"}, "attributes": {"a": "b"}},
 "resource": {"type": "k8s", "labels": {"zone": "z1"}},
 "spans": [{"trace_id": "W47/95gDgQPSabYzgT/GDA==", "span_id": "7uGbfsPBsXM=", "parent_span_id": "AQIDBAUGBwg=",
   "name": {"value": "GET /", "truncated_byte_count": 3}, "kind": "SERVER",
   "start_time": "2018-12-13T14:51:00.5Z", "end_time": "2018-12-13T15:51:01+01:00",
   "attributes": {"attribute_map": {"n": {"int_value": "42"}, "t": {"string_value": {"value": "x"}}, "y": {"bool_value": true}, "d": {"double_value": 1.5}}},
   "time_events": {"time_event": [{"time": "2018-12-13T14:51:00.7Z", "annotation": {"description": {"value": "note"}}},
     {"time": "2018-12-13T14:51:00.8Z", "message_event": {"type": "SENT", "id": "9", "uncompressed_size": 10}}]},
   "status": {"code": 2, "message": "bad"}, "same_process_as_parent_span": true, "unknown": [1, {"b": null}]}]}"#;

async fn post(refusal: Option<PushError>, tenancy: Tenancy, body: &str) -> (Answer, Arc<FakeTarget>) {
    let (distributor, target) = distributor(refusal);
    let stopping = watch::channel(()).1;
    let router = opencensus_grpc::router(OpenCensusGrpc { distributor, tenancy, max_message_bytes: 1 << 20, stopping });
    let request = Request::post(TRACE_PATH).header(CONTENT_TYPE, "application/json").body(Body::from(body.to_owned()));
    (send(router, request.expect("a request")).await, target)
}

async fn stored(body: &str) -> Vec<ExportTraceServiceRequest> {
    let (answer, target) = post(None, Tenancy::Single, body).await;
    assert_eq!((answer.status(), answer.text()), (200, ""));
    target.pushed.lock().iter().map(|push| ExportTraceServiceRequest::decode(&push.request[..]).expect("OTLP")).collect()
}

#[tokio::test]
async fn every_field_of_a_message_arrives() {
    let request = &stored(SNAKE).await[0].resource_spans[0];
    let resource = request.resource.as_ref().expect("a resource");
    let text = |key: &str| {
        let pair = resource.attributes.iter().find(|pair| pair.key == key)?;
        match pair.value.clone()?.value? {
            Value::StringValue(text) => Some(text),
            Value::IntValue(int) => Some(int.to_string()),
            _ => None,
        }
    };
    let found: Vec<Option<String>> =
        ["service.name", "host.name", "process.pid", "a", "zone", "opencensus.resourcetype"].into_iter().map(text).collect();
    assert_eq!(found, ["shop", "web", "7", "b", "z1", "k8s"].map(|text| Some(text.to_owned())));
    let span = &request.scope_spans[0].spans[0];
    assert_eq!(span.trace_id, [0x5b, 0x8e, 0xff, 0xf7, 0x98, 0x03, 0x81, 0x03, 0xd2, 0x69, 0xb6, 0x33, 0x81, 0x3f, 0xc6, 0x0c]);
    assert_eq!(
        (span.parent_span_id.as_slice(), span.name.as_str(), span.kind()),
        (&[1, 2, 3, 4, 5, 6, 7, 8][..], "GET /", SpanKind::Server)
    );
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1_544_712_660_500_000_000, 1_544_712_661_000_000_000));
    assert_eq!((span.events.len(), span.events[0].name.as_str(), span.events[1].name.as_str()), (2, "note", "message"));
    assert_eq!(span.status.as_ref().map(|status| (status.code, status.message.as_str())), Some((2, "bad")));
    let mut keys: Vec<&str> = span.attributes.iter().map(|pair| pair.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["d", "n", "opencensus.same_process_as_parent_span", "t", "y"]);
}

#[tokio::test]
async fn camel_case_and_several_messages_are_the_same() {
    let camel = SNAKE.replace("trace_id", "traceId").replace("start_time\"", "startTime\"").replace("attribute_map", "attributeMap");
    assert_eq!(stored(&camel).await, stored(SNAKE).await);
    let two = r#"{"node": {}} {"spans": [{"traceId": "W47_95gDgQPSabYzgT_GDA", "spanId": "7uGbfsPBsXM"}]}"#;
    assert_eq!(stored(two).await[0].resource_spans[0].scope_spans[0].spans.len(), 1);
    assert!(stored("").await.is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let full = || Some(PushError::Unavailable("disk full".to_string()));
    for (refusal, tenancy, body, status, part) in [
        (None, Tenancy::Single, "{", 400, r#""code":3,"message":"EOF while parsing"#),
        (None, Tenancy::Single, "[]", 400, "bad value for field ExportTraceServiceRequest"),
        (None, Tenancy::Single, r#"{"node": {}, "spans": {}}"#, 400, "bad value for field spans"),
        (None, Tenancy::Single, r#"{"node": {}, "spans": [{"trace_id": "?"}]}"#, 400, "bad value for field trace_id"),
        (None, Tenancy::Single, r#"{"node": {}, "spans": [{"start_time": "noon"}]}"#, 400, "bad value for field start_time"),
        (None, Tenancy::Single, r#"{"spans": []}"#, 500, "protocol violation: Export's first message must have a Node"),
        (None, Tenancy::Header, r#"{"node": {}}"#, 503, "no org id"),
        (full(), Tenancy::Single, SNAKE, 503, "disk full"),
    ] {
        let (answer, _) = post(refusal, tenancy, body).await;
        assert_eq!(answer.status(), status, "{body}: {}", answer.text());
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
    }
    let deep = format!("{{\"node\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(post(None, Tenancy::Single, &deep).await.0.status(), 400);
}
