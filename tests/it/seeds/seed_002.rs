//! Seed 002: a Flask service with OpenTelemetry's Python SDK, over a Collector.

use super::start;
use crate::support::client::{flattened, spans_of};
use crate::support::data::gzip;
use crate::support::grpc::{self, EXPORT};
use serde_json::json;
use tonic::Code;

/// What the SDK makes of the document's five spans.
const REQUEST: &[u8] = include_bytes!("seed-002-otlp.bin");

#[test]
fn the_reservation() {
    let moved = [("grpc:\n", "grpc: {endpoint: '127.0.0.1:0'}\n")];
    let server = start("seed-002.yaml", &moved);
    // As the SDK sends it, and as the Collector sends it on.
    for (encoding, message) in [(None, REQUEST.to_vec()), (Some("gzip"), gzip(REQUEST))] {
        let answer = grpc::call(server.otlp_grpc, EXPORT, encoding, &message);
        assert_eq!(answer.code, Code::Ok, "{}", answer.message);
    }
    let found = server.search("{ resource.service.name = \"reservations-service\" && name = \"reservations_handler\" }");
    assert_eq!(found.len(), 1);
    let id = format!("{:0>32}", found[0]["traceID"].as_str().expect("text"));
    let trace = server.trace(id.as_str()).expect("it was found");
    let spans = spans_of(&trace);
    // Sent twice, shown once.
    let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().expect("text")).collect();
    assert_eq!((names.len(), names.iter().filter(|name| **name == "reservations_handler").count()), (5, 1));
    let root = spans.iter().find(|span| span["name"] == "reservations_handler").expect("it is there");
    let children = spans.iter().filter(|span| span["parentSpanId"] == root["spanId"]).count();
    assert_eq!((children, &root["kind"]), (4, &json!("SPAN_KIND_INTERNAL")));
    assert_eq!(flattened(&trace)[0]["scope"], json!({"name": "reservations-service"}));
    assert_eq!(server.count("{ name = \"reservations_handler\" } > { }"), 4);
}
