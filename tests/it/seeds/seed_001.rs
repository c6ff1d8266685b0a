//! Seed 001: the Helm chart, a Collector that sends OTLP over gRPC with gzip, one TraceQL query, and the layout of blocks.

use super::{ANY_PORT, start};
use crate::support::data::{With, gzip, int, shop, span};
use crate::support::grpc::{self, EXPORT};
use std::path::Path;
use tonic::Code;

#[test]
fn a_collector_and_the_query_of_the_document() {
    let ports = [14250, 6832, 6831, 14268, 4317, 4318].map(|port| format!("0.0.0.0:{port}"));
    let mut moved: Vec<(&str, &str)> = ports.iter().map(|endpoint| (endpoint.as_str(), ANY_PORT)).collect();
    moved.push(("opencensus: null", "opencensus: {endpoint: '127.0.0.1:0'}"));
    let server = start("seed-001-rendered.yaml", &moved);
    for receiver in ["OTLP gRPC", "OTLP HTTP", "Jaeger gRPC", "Jaeger HTTP", "Jaeger compact", "Jaeger binary", "OpenCensus"] {
        assert!(server.banner().contains(receiver), "no {receiver} in {}", server.banner());
    }
    let spans = vec![
        span(1, 1, "HTTP POST", 0).with("http.response.status_code", int(500)),
        span(1, 2, "HTTP GET", 0).child_of(1).with("http.response.status_code", int(200)),
        span(2, 1, "HTTP GET", 0).with("http.response.status_code", int(200)),
    ];
    let answer = grpc::call(server.otlp_grpc, EXPORT, Some("gzip"), &gzip(&shop(spans)));
    assert_eq!(answer.code, Code::Ok, "{}", answer.message);
    for stage in ["recent", "in a block"] {
        let found = server.search("{span.http.response.status_code=500}");
        assert_eq!((found.len(), found[0]["rootTraceName"].as_str()), (1, Some("HTTP POST")), "{stage}");
        assert_eq!(server.span_ids(1).len(), 2);
        server.flush();
    }
    check_layout(server.data.path());
}

/// `<bucket>/<tenant>/<block>/` with its meta.json, index, data and Bloom filters.
fn check_layout(data: &Path) {
    let blocks: Vec<_> = std::fs::read_dir(data.join("blocks/single-tenant")).expect("a tenant").collect();
    let block = blocks.first().expect("a block").as_ref().expect("readable").path();
    let files: Vec<String> = std::fs::read_dir(block)
        .expect("a folder")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    for name in ["meta.json", "index", "data.parquet", "bloom-0"] {
        assert!(files.iter().any(|file| file == name), "no {name} in {files:?}");
    }
}
