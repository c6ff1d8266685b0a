//! Jaeger: a batch as its clients send it, over every one of its ports, read back by id and by search.

use crate::conformance::assert_same;
use crate::support::client::flattened;
use crate::support::grpc;
use crate::support::http::send;
use crate::support::jaeger::{JaegerBatch, JaegerSpan, Reference, TagValue, text_tag};
use crate::support::server::Server;
use crate::support::until;
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use tonic::Code;

/// 20 Sep 2026 in microseconds.
const START: i64 = 1_789_862_400_000_000;

/// A server's span and its client's, the parent of one as a reference.
fn batch(trace: i64) -> JaegerBatch {
    let root = JaegerSpan {
        trace: (trace, 0x77),
        id: 1,
        name: "HTTP GET /dispatch".to_string(),
        flags: 1,
        start: START,
        duration: 700_000,
        tags: vec![
            text_tag("span.kind", "server"),
            text_tag("http.method", "GET"),
            ("http.status_code".to_string(), TagValue::Long(200)),
            ("sampler.param".to_string(), TagValue::Bool(true)),
            ("ratio".to_string(), TagValue::Double(0.25)),
            ("raw".to_string(), TagValue::Binary(vec![1, 2])),
        ],
        logs: vec![(START + 5, vec![text_tag("event", "Searching"), text_tag("customer_id", "123")])],
        ..JaegerSpan::default()
    };
    let child = JaegerSpan {
        trace: root.trace,
        id: 2,
        name: "SQL SELECT".to_string(),
        references: vec![Reference(0, trace, 0x77, 1)],
        start: START + 100_000,
        duration: 300_000,
        tags: vec![text_tag("span.kind", "client"), ("error".to_string(), TagValue::Bool(true))],
        ..JaegerSpan::default()
    };
    let tags = vec![text_tag("hostname", "box"), text_tag("jaeger.version", "Go-2.30.0")];
    JaegerBatch { service: "frontend".to_string(), tags, spans: vec![root, child] }
}

fn wanted() -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let resource = json!({"attributes": [
        text("host.name", "box"), text("opencensus.exporterversion", "Jaeger-Go-2.30.0"), text("service.name", "frontend")]});
    let entry = |span: Value| json!({"resource": resource, "schemaUrl": null, "scope": {}, "scopeSchemaUrl": null, "span": span});
    json!([
        entry(json!({
            "traceId": null, "spanId": "AAAAAAAAAAE=", "name": "HTTP GET /dispatch", "kind": "SPAN_KIND_SERVER", "status": {},
            "startTimeUnixNano": "1789862400000000000", "endTimeUnixNano": "1789862400700000000",
            "attributes": [
                text("http.method", "GET"), {"key": "http.status_code", "value": {"intValue": "200"}},
                {"key": "sampler.param", "value": {"boolValue": true}}, {"key": "ratio", "value": {"doubleValue": 0.25}},
                {"key": "raw", "value": {"bytesValue": "AQI="}}],
            "events": [{"timeUnixNano": "1789862400000005000", "name": "Searching", "attributes": [text("customer_id", "123")]}],
        })),
        entry(json!({
            "traceId": null, "spanId": "AAAAAAAAAAI=", "parentSpanId": "AAAAAAAAAAE=", "name": "SQL SELECT", "kind": "SPAN_KIND_CLIENT",
            "startTimeUnixNano": "1789862400100000000", "endTimeUnixNano": "1789862400400000000",
            "status": {"code": "STATUS_CODE_ERROR"},
        })),
    ])
}

fn id(trace: i64) -> u128 {
    0x77 << 64 | u128::from(trace.cast_unsigned())
}

/// What is stored of a batch, once it is; datagrams are not answered.
fn check(server: &Server, trace: i64, what: &str) {
    let mut found = until(what, || server.trace(id(trace)).map(|trace| flattened(&trace)));
    found.as_array_mut().into_iter().flatten().for_each(|entry| entry["span"]["traceId"] = Value::Null);
    assert_same(&found, &wanted(), what);
}

fn send_packet(address: SocketAddr, packet: &[u8]) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    assert_eq!(socket.send_to(packet, address).expect("a local address"), packet.len());
}

/// `PostSpansRequest` with the same batch.
fn post_spans_request(trace: i64) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let mut out = vec![number << 3 | 2];
        conmoto::columns::wire::put_varint(&mut out, bytes.len() as u64);
        [out, bytes.to_vec()].concat()
    };
    let varint = |number: u8, value: u64| {
        let mut out = vec![number << 3];
        conmoto::columns::wire::put_varint(&mut out, value);
        out
    };
    let tag = |(key, value): &(String, TagValue)| {
        let value = match value {
            TagValue::Text(text) => field(3, text.as_bytes()),
            TagValue::Bool(flag) => [varint(2, 1), varint(4, u64::from(*flag))].concat(),
            TagValue::Long(number) => [varint(2, 2), varint(5, number.cast_unsigned())].concat(),
            TagValue::Double(number) => [varint(2, 3), vec![6 << 3 | 1], number.to_le_bytes().to_vec()].concat(),
            TagValue::Binary(bytes) => [varint(2, 4), field(7, bytes)].concat(),
        };
        [field(1, key.as_bytes()), value].concat()
    };
    let time = |micros: i64| {
        let micros = micros.cast_unsigned();
        [varint(1, micros / 1_000_000), varint(2, micros % 1_000_000 * 1000)].concat()
    };
    let batch = batch(trace);
    let span = |span: &JaegerSpan| {
        let mut out = [field(1, &id(trace).to_be_bytes()), field(2, &span.id.to_be_bytes()), field(3, span.name.as_bytes())].concat();
        for reference in &span.references {
            out.extend(field(4, &[field(1, &id(trace).to_be_bytes()), field(2, &reference.3.to_be_bytes())].concat()));
        }
        out.extend([field(6, &time(span.start)), field(7, &time(span.duration))].concat());
        span.tags.iter().for_each(|pair| out.extend(field(8, &tag(pair))));
        for (at, fields) in &span.logs {
            let fields: Vec<u8> = fields.iter().flat_map(|pair| field(2, &tag(pair))).collect();
            out.extend(field(9, &[field(1, &time(*at)), fields].concat()));
        }
        field(1, &out)
    };
    let process: Vec<u8> = [field(1, batch.service.as_bytes()), batch.tags.iter().flat_map(|pair| field(2, &tag(pair))).collect()].concat();
    field(1, &[batch.spans.iter().flat_map(span).collect(), field(2, &process)].concat())
}

#[test]
fn every_port_gives_the_same_spans() {
    let server = Server::fresh();
    let thrift = [("Content-Type", "application/x-thrift")];
    let answer = send(server.jaeger_http, "POST", "/api/traces?format=jaeger.thrift", &thrift, &batch(1).body()).expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    check(&server, 1, "thrift over HTTP");
    send_packet(server.jaeger_compact, &batch(2).compact_packet());
    check(&server, 2, "compact thrift over UDP");
    send_packet(server.jaeger_binary, &batch(3).binary_packet(true));
    check(&server, 3, "binary thrift over UDP");
    send_packet(server.jaeger_binary, &batch(4).binary_packet(false));
    check(&server, 4, "binary thrift over UDP in its old form");
    let answer = grpc::call(server.jaeger_grpc, "/jaeger.api_v2.CollectorService/PostSpans", None, &post_spans_request(5));
    assert_eq!((answer.code, answer.messages.len()), (Code::Ok, 1), "{}", answer.message);
    check(&server, 5, "protobuf over gRPC");
    assert_eq!(server.count("{ resource.service.name = \"frontend\" && span.http.method = \"GET\" && kind = server }"), 5);
    server.flush();
    for trace in 1..=5 {
        check(&server, trace, "flushed");
    }
    assert_eq!(server.count("{ resource.host.name = \"box\" && status = error } && { event:name = \"Searching\" }"), 10);
}

#[test]
fn bad_datagrams_harm_nobody() {
    let mut server = Server::fresh();
    server.expect_log("datagrams with Jaeger spans were lost");
    for packet in [b"nope".to_vec(), batch(1).binary_packet(true), batch(1).compact_packet()[..40].to_vec(), Vec::new()] {
        send_packet(server.jaeger_compact, &packet);
    }
    send_packet(server.jaeger_compact, &batch(2).compact_packet());
    check(&server, 2, "the good datagram");
    assert_eq!(server.search("{ }").len(), 1);
}
