//! Seed 003: Traefik's Zipkin with shared spans and ids of 128 bits, emojivoto's OpenCensus, all receivers of the chart, and
//! spans in the log.
//!
//! Blocks are on local disk here; the bucket is what `tests/s3` is about. Traefik's request is written after the fields that
//! its Zipkin library has, not recorded.

use super::{ANY_PORT, start};
use crate::support::client::{hex, spans_of};
use crate::support::grpc;
use crate::support::http::send;
use crate::support::opencensus::{Export, Node, Service, span};
use crate::support::server::Server;
use prost::Message;
use serde_json::json;

fn start_seed() -> Server {
    let ports = ["0.0.0.0:6831", "0.0.0.0:14268", "0.0.0.0:55678", "0.0.0.0:4317", "0.0.0.0:55681", "0.0.0.0:9411"];
    let mut moved: Vec<(&str, &str)> = ports.iter().map(|endpoint| (*endpoint, ANY_PORT)).collect();
    moved.push(("backend: s3", "backend: local"));
    start("seed-003-rendered.yaml", &moved)
}

#[test]
fn traefik_and_the_service_behind_it() {
    let server = start_seed();
    let trace = "463ac35c9f6413ad48485a3953bb6124";
    let spans = |kind: &str, service: &str, shared: bool| {
        json!([{"traceId": trace, "id": "48485a3953bb6124", "kind": kind, "name": "emojivoto.example.com", "timestamp": 1_669_900_000_000_000_u64,
            "duration": 5000, "shared": shared, "localEndpoint": {"serviceName": service, "ipv4": "10.42.0.7"},
            "remoteEndpoint": {"ipv4": "10.42.0.9", "port": 8080}, "tags": {"http.method": "GET", "span.kind": "client"}}])
    };
    let child = json!([{"traceId": trace, "id": "72485a3953bb6124", "parentId": "48485a3953bb6124", "name": "list", "timestamp": 1_669_900_000_001_000_u64,
        "duration": 100, "localEndpoint": {"serviceName": "web"}}]);
    for body in [spans("CLIENT", "traefik", false), spans("SERVER", "web", true), child] {
        let headers = [("Content-Type", "application/json"), ("X-B3-TraceId", trace)];
        let answer = send(server.zipkin, "POST", "/api/v2/spans", &headers, body.to_string().as_bytes()).expect("an answer");
        assert_eq!(answer.status, 202);
    }
    // The id as Traefik's access log has it.
    let stored = spans_of(&server.trace(trace).expect("it was stored"));
    let mut shown: Vec<_> = stored.iter().map(|span| (hex(&span["spanId"]), span["kind"].clone())).collect();
    shown.sort_by(|one, other| one.0.cmp(&other.0));
    let (client, server_side) = (json!("SPAN_KIND_CLIENT"), json!("SPAN_KIND_SERVER"));
    let ids = ["0000000000000001", "48485a3953bb6124", "72485a3953bb6124"].map(str::to_string);
    assert_eq!(shown, ids.into_iter().zip([server_side, client, json!(null)]).collect::<Vec<_>>());
    let parent_of = |id: &str| stored.iter().find(|span| hex(&span["spanId"]) == id).map(|span| hex(&span["parentSpanId"]));
    assert_eq!(parent_of("0000000000000001").as_deref(), Some("48485a3953bb6124"));
    assert_eq!(parent_of("72485a3953bb6124").as_deref(), Some("0000000000000001"));
    // The configuration has spans logged.
    let logged = |id: &str| server.log().contains(&format!("msg=received spanid={id} traceid={trace}"));
    assert!(logged("48485a3953bb6124") && logged("72485a3953bb6124"), "{}", server.log());
}

#[test]
fn emojivoto_over_opencensus() {
    let server = start_seed();
    let node = Some(Node { service_info: Some(Service { name: "voting-svc".to_string() }), ..Node::default() });
    let messages = [Export { node, ..Export::default() }, Export { spans: vec![span(3, 1), span(3, 2)], ..Export::default() }]
        .map(|message| message.encode_to_vec());
    let answer = grpc::stream(server.opencensus, "/opencensus.proto.agent.trace.v1.TraceService/Export", &messages);
    assert_eq!(answer.code, tonic::Code::Ok, "{}", answer.message);
    assert_eq!(server.count("{ resource.service.name = \"voting-svc\" }"), 2);
    // The exporter opens this, too, and must not be turned away.
    let metrics = grpc::stream(server.opencensus, "/opencensus.proto.agent.metrics.v1.MetricsService/Export", &messages);
    assert_eq!(metrics.code, tonic::Code::Ok);
}
