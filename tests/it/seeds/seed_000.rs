//! Seed 000: Zipkin by curl, and OpenTelemetry's Python SDK 1.3 with its exporters for Jaeger and Zipkin.

use super::start;
use crate::receiver::zipkin;
use crate::support::client::{flattened, hex};
use crate::support::http::send;
use crate::support::until;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::UdpSocket;

/// What the exporter for Jaeger sends for the document's snippet, and the one for Zipkin: three spans, each in the other.
const JAEGER_PACKET: &[u8] = include_bytes!("seed-000-jaeger-compact.bin");
const ZIPKIN_BODY: &[u8] = include_bytes!("seed-000-zipkin.json");

const ZIPKIN_ONLY: [(&str, &str); 1] = [("zipkin:\n", "zipkin: {endpoint: '127.0.0.1:0'}\n")];

#[test]
fn the_curl_commands_and_the_file() {
    let server = start("seed-000.yaml", &ZIPKIN_ONLY);
    assert!(!server.banner().contains("OTLP"), "only Zipkin is named: {}", server.banner());
    zipkin::post_all(&server);
    zipkin::check_by_id(&server);
    zipkin::check_search(&server);
}

#[test]
fn the_sample_of_the_data_model() {
    let server = start("seed-000.yaml", &ZIPKIN_ONLY);
    let recorded = crate::conformance::recording("ingest.jsonl.gz");
    let sample = recorded.iter().find(|case| case["id"] == "zipkin-v2-seed-docs").expect("it was recorded");
    let body = STANDARD.decode(sample["body"].as_str().expect("text")).expect("base64");
    let answer = send(server.zipkin, "POST", "/", &[("Content-Type", "application/json")], &body).expect("an answer");
    assert_eq!(answer.status, 202);
    let trace = server.trace("5982fe77008310cc80f1da5e10147517").expect("it was stored");
    assert_eq!(flattened(&trace).as_array().map(Vec::len), Some(5));
    assert_eq!(server.count("{ resource.service.name = \"zipkin-query\" && name = \"query\" && span.sa = \"true\" }"), 3);
    assert_eq!(server.count("{ span.lc = \"JDBCSpanStore\" } >> { event:name = \"cs\" }"), 3);
}

/// Names of the spans with those of their parents, and the shared resource and scope.
fn check_snippet(trace: &Value, service: &str) {
    let entries = flattened(trace);
    let entries = entries.as_array().expect("a list");
    let name_of = |id: &Value| {
        let parent = entries.iter().find(|entry| entry["span"]["spanId"] == *id);
        parent.map_or(Value::Null, |entry| entry["span"]["name"].clone())
    };
    let mut pairs: Vec<_> = entries.iter().map(|entry| (entry["span"]["name"].clone(), name_of(&entry["span"]["parentSpanId"]))).collect();
    pairs.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(pairs, [("bar", json!("foo")), ("baz", json!("bar")), ("foo", Value::Null)].map(|(name, parent)| (json!(name), parent)));
    for entry in entries {
        let attributes = entry["resource"]["attributes"].as_array().expect("a list");
        assert!(attributes.contains(&json!({"key": "service.name", "value": {"stringValue": service}})), "{entry}");
        assert_eq!(entry["span"]["status"], json!({}));
    }
}

#[test]
fn the_python_exporter_for_zipkin() {
    let server = start("seed-000.yaml", &ZIPKIN_ONLY);
    let headers = [("Content-Type", "application/json"), ("User-Agent", "python-requests/2.34.2"), ("Accept", "*/*")];
    let answer = send(server.zipkin, "POST", "/api/v2/spans", &headers, ZIPKIN_BODY).expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    let trace = server.trace("6245658ce8f47f3504abb68b0b30d8a0").expect("it was stored");
    check_snippet(&trace, "my-helloworld-service");
    assert_eq!(flattened(&trace)[0]["scope"], json!({"name": "__main__"}));
    assert_eq!(server.count("{ resource.telemetry.sdk.version = \"1.3.0\" && name = \"baz\" }"), 1);
}

/// The document sends these to Tempo's port for Jaeger, which its configuration does not open; without a receivers' section
/// it is open.
#[test]
fn the_python_exporter_for_jaeger() {
    let receivers = "jaeger: {protocols: {thrift_compact: {endpoint: '127.0.0.1:0'}}}\n";
    let server = start("seed-000.yaml", &[("zipkin:\n", receivers)]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.send_to(JAEGER_PACKET, server.jaeger_compact).expect("a local address");
    let found = until("the trace", || server.search("{ name = \"foo\" }").first().cloned());
    let id = format!("{:0>32}", found["traceID"].as_str().expect("text"));
    let trace = server.trace(id.as_str()).expect("it was found");
    check_snippet(&trace, "my-helloworld-service");
    let first = &flattened(&trace)[0]["span"];
    assert_eq!((hex(&first["traceId"]), &first["kind"]), (id, &json!("SPAN_KIND_INTERNAL")));
    // The SDK writes its resource onto every span, and its scope has no place in thrift but a tag.
    assert_eq!(server.count("{ span.telemetry.sdk.name = \"opentelemetry\" && span.otel.library.name = \"__main__\" }"), 3);
}
