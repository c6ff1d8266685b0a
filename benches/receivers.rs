//! What a request in another format than OTLP costs before it is pushed: from its bytes to OTLP bytes.
//!
//! `cargo bench --bench receivers`. The spans look like those of a web service: six tags, two endpoints, an annotation.

use conmoto::receiver::jaeger;
use conmoto::receiver::zipkin::{self, TagTypes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jaeger_client::{JaegerBatch, JaegerSpan, TagValue, text_tag};
use serde_json::json;
use std::hint::black_box;

// Shared with tests/it, which uses all of it.
#[allow(dead_code)]
#[path = "../tests/it/support/jaeger.rs"]
mod jaeger_client;

const NUM_SPANS: u64 = 1000;

/// When the first span starts, in microseconds.
const START: u64 = 1_790_000_000_000_000;

fn zipkin_json() -> Vec<u8> {
    let span = |number: u64| {
        json!({
            "traceId": format!("{:032x}", number / 10 + 1), "id": format!("{:016x}", number + 1), "parentId": format!("{:016x}", number / 10 + 1),
            "kind": "SERVER", "name": "get /api/v1/orders/{id}", "timestamp": START + number * 17, "duration": 1500 + number,
            "localEndpoint": {"serviceName": format!("service-{}", number % 5), "ipv4": "10.42.0.17", "port": 8080},
            "remoteEndpoint": {"ipv4": "10.42.0.9", "port": 43210},
            "annotations": [{"timestamp": START + number * 17 + 5, "value": "wr"}],
            "tags": {
                "http.method": "GET", "http.path": format!("/api/v1/orders/{number}"), "http.status_code": "200",
                "mvc.controller.class": "OrderController", "mvc.controller.method": "getOrder", "user.id": format!("user-{}", number % 97),
            },
        })
    };
    serde_json::to_vec(&(0..NUM_SPANS).map(span).collect::<Vec<_>>()).expect("JSON")
}

fn jaeger_batch() -> JaegerBatch {
    let span = |number: i64| JaegerSpan {
        trace: (number / 10 + 1, 0),
        id: number + 1,
        parent: number / 10,
        name: "HTTP GET /api/v1/orders".to_owned(),
        start: START as i64 + number * 17,
        duration: 1500 + number,
        tags: vec![
            text_tag("span.kind", "server"),
            text_tag("http.method", "GET"),
            text_tag("http.url", &format!("/api/v1/orders/{number}")),
            ("http.status_code".to_owned(), TagValue::Long(200)),
            text_tag("component", "net/http"),
            text_tag("user.id", &format!("user-{}", number % 97)),
        ],
        logs: vec![(START as i64 + number, vec![text_tag("event", "acquired lock"), text_tag("waited", "12ms")])],
        ..JaegerSpan::default()
    };
    JaegerBatch { service: "orders".to_owned(), tags: vec![text_tag("hostname", "box")], spans: (0..NUM_SPANS as i64).map(span).collect() }
}

fn decoders(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receivers");
    let body = zipkin_json();
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("Zipkin JSON", |bencher| {
        bencher.iter(|| zipkin::decode_v2_json(black_box(&body), TagTypes::Text).expect("good spans"));
    });
    let batch = jaeger_batch();
    let (body, packet) = (batch.body(), batch.compact_packet());
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("Jaeger binary thrift", |bencher| bencher.iter(|| jaeger::decode_batch(black_box(&body)).expect("a batch")));
    group.throughput(Throughput::Bytes(packet.len() as u64));
    group.bench_function("Jaeger compact thrift", |bencher| {
        bencher.iter(|| jaeger::decode_compact_packet(black_box(&packet)).expect("a batch"));
    });
    group.finish();
}

criterion_group!(benches, decoders);
criterion_main!(benches);
