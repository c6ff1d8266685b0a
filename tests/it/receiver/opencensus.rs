//! OpenCensus: a stream as the Go agent's exporter opens it, as in emojivoto of seed 003.

use crate::support::client::flattened;
use crate::support::grpc;
use crate::support::http::send;
use crate::support::opencensus::{Export, Node, Service, span};
use crate::support::server::Server;
use prost::Message;
use serde_json::json;
use tonic::Code;

const EXPORT: &str = "/opencensus.proto.agent.trace.v1.TraceService/Export";

fn messages(service: &str) -> [Vec<u8>; 3] {
    let node = Some(Node { service_info: Some(Service { name: service.to_string() }), ..Node::default() });
    let spans = |id| Export { spans: vec![span(7, id)], ..Export::default() };
    [Export { node, ..Export::default() }, spans(1), spans(2)].map(|message| message.encode_to_vec())
}

#[test]
fn a_stream_of_spans() {
    let server = Server::fresh();
    let answer = grpc::stream(server.opencensus, EXPORT, &messages("emoji-svc"));
    assert_eq!((answer.code, answer.messages.len()), (Code::Ok, 0), "{}", answer.message);
    let trace = u128::from_be_bytes([7; 16]);
    assert_eq!(server.span_ids(trace), ["0101010101010101", "0202020202020202"]);
    let stored = flattened(&server.trace(trace).expect("it was stored"));
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "emoji-svc"}}]});
    assert_eq!((&stored[0]["resource"], &stored[0]["span"]["name"]), (&resource, &json!("op")));
    assert_eq!(server.count("{ resource.service.name = \"emoji-svc\" }"), 2);
}

#[test]
fn a_stream_without_a_node_is_ended() {
    let server = Server::fresh();
    let [_, spans, _] = messages("");
    let answer = grpc::stream(server.opencensus, EXPORT, &[spans]);
    assert_eq!((answer.code, answer.message.as_str()), (Code::Unknown, "protocol violation: Export's first message must have a Node"));
    assert_eq!(server.count("{ }"), 0);
}

#[test]
fn an_open_stream_does_not_hold_up_the_end() {
    let server = Server::fresh();
    let open = grpc::open_stream(server.opencensus, EXPORT, &messages("open"));
    crate::support::until("the spans", || (server.count("{ }") == 2).then_some(()));
    assert!(server.terminate().success());
    assert!(!server.log().contains("still under way"), "{}", server.log());
    drop(open);
}

#[test]
fn json_over_http_on_the_same_port() {
    let server = Server::fresh();
    let body = r#"{"node": {"serviceInfo": {"name": "web"}}, "spans": [{"traceId": "BwcHBwcHBwcHBwcHBwcHBw==", "spanId": "AQEBAQEBAQE=",
        "name": {"value": "click"}, "startTime": "2026-11-21T08:00:00Z", "endTime": "2026-11-21T08:00:01Z"}]}"#;
    let answer = send(server.opencensus, "POST", "/v1/trace", &[("Content-Type", "application/json")], body.as_bytes()).expect("an answer");
    assert_eq!((answer.status, answer.text().to_string()), (200, String::new()));
    assert_eq!(server.span_ids(u128::from_be_bytes([7; 16])), ["0101010101010101"]);
    let answer = send(server.opencensus, "POST", "/v1/trace", &[], br#"{"spans": []}"#).expect("an answer");
    assert_eq!((answer.status, &answer.json()["message"]), (500, &json!("protocol violation: Export's first message must have a Node")));
    assert_eq!(send(server.opencensus, "GET", "/v1/trace", &[], b"").expect("an answer").status, 405);
}
