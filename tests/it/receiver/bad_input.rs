//! What senders should not send: how it is answered, that nothing of it is stored, and that the server goes on.

use crate::support::data::{self, gzip, shop, span};
use crate::support::grpc::{self, EXPORT};
use crate::support::http::{Response, send};
use crate::support::server::Server;
use conmoto::proto::otlp::Span;
use prost::Message;
use tonic::Code;

const MIB: usize = 1 << 20;
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// What a body must be.
#[derive(Debug)]
enum Body {
    Empty,
    /// Some text.
    Text,
    Exactly(&'static str),
    /// `google.rpc.Status` with code 3, in the content type's form, with this in its message.
    Status(&'static str),
}

struct Case {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    status: u16,
    content_type: &'static str,
    answer: Body,
}

fn good() -> Span {
    span(1, 1, "refused", 0)
}

/// A request with a good span and one whose ids have these bytes.
fn with_ids(trace: &[u8], id: &[u8]) -> Vec<u8> {
    shop(vec![good(), Span { trace_id: trace.to_vec(), span_id: id.to_vec(), ..good() }])
}

fn json_with_ids(trace: &str, id: &str) -> Vec<u8> {
    let span = |trace: &str, id: &str| format!(r#"{{"traceId":"{trace}","spanId":"{id}","name":"refused","startTimeUnixNano":"1"}}"#);
    let (first, second) = (span("00000000000000000000000000000001", "0000000000000001"), span(trace, id));
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{first},{second}]}}]}}]}}"#).into_bytes()
}

fn otlp(what: &'static str, content_type: &'static str, body: Vec<u8>, message: &'static str) -> Case {
    let headers: &[_] = if content_type == JSON { &[("Content-Type", JSON)] } else { &[("Content-Type", PROTOBUF)] };
    Case { what, method: "POST", path: "/v1/traces", headers, body, status: 400, content_type, answer: Body::Status(message) }
}

fn otlp_cases() -> Vec<Case> {
    let mut cutoff = shop(vec![good()]);
    cutoff.truncate(cutoff.len() - 3);
    let base = |what, headers| Case { what, headers, ..otlp(what, PROTOBUF, shop(vec![good()]), "") };
    let no_media_type = "415 unsupported media type, supported: [application/json, application/x-protobuf]";
    let plain = |case: Case, status, answer| Case { status, content_type: TEXT, answer: Body::Exactly(answer), ..case };
    vec![
        otlp("garbage", PROTOBUF, b"\xff\xff\xff".to_vec(), ""),
        otlp("cut off", PROTOBUF, cutoff, ""),
        otlp("JSON garbage", JSON, b"{\"resourceSpans\":[".to_vec(), ""),
        otlp("JSON of another kind", JSON, b"[1]".to_vec(), ""),
        otlp("an empty JSON body", JSON, Vec::new(), ""),
        otlp("over 20 MiB", PROTOBUF, vec![0; 21 * MIB], "http: request body too large"),
        otlp("over 20 MiB of JSON", JSON, vec![b' '; 21 * MIB], "http: request body too large"),
        Case {
            headers: &[("Content-Type", PROTOBUF), ("Content-Encoding", "gzip")],
            ..otlp("over 20 MiB when unpacked", PROTOBUF, gzip(&vec![0; 21 * MIB]), "http: request body too large")
        },
        Case { headers: &[("Content-Type", PROTOBUF), ("Content-Encoding", "gzip")], ..otlp("not gzip", PROTOBUF, shop(vec![good()]), "") },
        Case {
            headers: &[("Content-Type", PROTOBUF), ("Content-Encoding", "br")],
            ..otlp("an unknown compression", PROTOBUF, shop(vec![good()]), "unsupported Content-Encoding: br")
        },
        otlp("a zero trace id", PROTOBUF, with_ids(&[0; 16], &[1; 8]), "trace ids must be 128 bit"),
        otlp("no trace id", PROTOBUF, with_ids(&[], &[1; 8]), "trace ids must be 128 bit"),
        otlp("a trace id of 15 bytes", PROTOBUF, with_ids(&[1; 15], &[1; 8]), ""),
        otlp("a trace id of 8 bytes", PROTOBUF, with_ids(&[1; 8], &[1; 8]), ""),
        otlp("a zero span id", PROTOBUF, with_ids(&[1; 16], &[0; 8]), "span ids must be 64 bit and not all zero"),
        otlp("no span id", PROTOBUF, with_ids(&[1; 16], &[]), "span ids must be 64 bit and not all zero"),
        otlp("a span id of 9 bytes", PROTOBUF, with_ids(&[1; 16], &[1; 9]), ""),
        otlp("a zero trace id in JSON", JSON, json_with_ids(&"0".repeat(32), "0000000000000002"), "trace ids must be 128 bit"),
        otlp("a short trace id in JSON", JSON, json_with_ids("abcd", "0000000000000002"), "length mismatch"),
        otlp("no hex in JSON", JSON, json_with_ids(&"x".repeat(32), "0000000000000002"), ""),
        otlp("an empty span id in JSON", JSON, json_with_ids(&"1".repeat(32), ""), "span ids must be 64 bit and not all zero"),
        plain(base("another content type", &[("Content-Type", "text/xml")]), 415, no_media_type),
        plain(base("no content type", &[]), 415, no_media_type),
        plain(Case { method: "PUT", ..base("PUT", &[("Content-Type", PROTOBUF)]) }, 405, "405 method not allowed, supported: [POST]"),
        plain(Case { path: "/v1/metrics", ..base("another path", &[("Content-Type", PROTOBUF)]) }, 404, "404 page not found"),
    ]
}

fn zipkin(what: &'static str, body: &[u8], status: u16, answer: Body) -> Case {
    let content_type = TEXT;
    Case {
        what,
        method: "POST",
        path: "/api/v2/spans",
        headers: &[("Content-Type", JSON)],
        body: body.to_vec(),
        status,
        content_type,
        answer,
    }
}

fn zipkin_span(members: &str) -> Vec<u8> {
    let good = r#"{"traceId":"1","id":"1","name":"refused","timestamp":1}"#;
    format!(r#"[{good},{{"name":"refused","timestamp":1,{members}}}]"#).into_bytes()
}

fn zipkin_cases() -> Vec<Case> {
    let refused = || Body::Exactly("\"Internal Server Error\"");
    vec![
        zipkin("an empty body", b"", 400, Body::Text),
        zipkin("garbage", b"[{]", 400, Body::Text),
        zipkin("an object", br#"{"traceId":"1","id":"1"}"#, 400, Body::Text),
        zipkin("over 20 MiB", &vec![b' '; 21 * MIB], 400, Body::Exactly("unexpected end of JSON input")),
        zipkin("no trace id", &zipkin_span(r#""id":"1""#), 500, refused()),
        zipkin("a zero trace id", &zipkin_span(r#""traceId":"0","id":"1""#), 500, refused()),
        zipkin("an empty trace id", &zipkin_span(r#""traceId":"","id":"1""#), 400, Body::Text),
        zipkin("a long trace id", &zipkin_span(r#""traceId":"111111111111111111111111111111111","id":"1""#), 400, Body::Text),
        zipkin("no id", &zipkin_span(r#""traceId":"1""#), 400, Body::Text),
        zipkin("a zero id", &zipkin_span(r#""traceId":"1","id":"0""#), 400, Body::Text),
        zipkin("a long id", &zipkin_span(r#""traceId":"1","id":"11111111111111111""#), 400, Body::Text),
        zipkin("no hex", &zipkin_span(r#""traceId":"xyz","id":"1""#), 400, Body::Text),
        Case { headers: &[("Content-Encoding", "br")], ..zipkin("an unknown compression", b"[]", 400, Body::Text) },
        Case { headers: &[("Content-Encoding", "gzip")], ..zipkin("not gzip", b"[]", 400, Body::Text) },
        Case { headers: &[("Content-Type", PROTOBUF)], ..zipkin("no protobuf", b"\xff\xff\xff", 400, Body::Text) },
        Case {
            path: "/api/v1/spans",
            ..zipkin("short ids in version 1", br#"[{"traceId":"1","id":"1","name":"refused"}]"#, 400, Body::Text)
        },
        // Nothing is wrong with these, and nothing is in them.
        Case { content_type: "", ..zipkin("no spans", b"[]", 202, Body::Empty) },
        Case { content_type: "", ..zipkin("null", b"null", 202, Body::Empty) },
    ]
}

#[derive(Clone, PartialEq, Message)]
struct GoogleStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn status_of(answer: &Response) -> (i64, String) {
    if answer.content_type() == JSON {
        let status = answer.json();
        return (status["code"].as_i64().unwrap_or_default(), status["message"].as_str().unwrap_or_default().to_string());
    }
    let status = GoogleStatus::decode(&answer.body[..]).expect("a status");
    (status.code.into(), status.message)
}

fn check(case: &Case, answer: &Response) {
    let what = case.what;
    assert_eq!((answer.status, answer.content_type()), (case.status, case.content_type), "{what}: {}", answer.text());
    match &case.answer {
        Body::Empty => assert!(answer.body.is_empty(), "{what}: {}", answer.text()),
        Body::Text => assert!(!answer.text().trim().is_empty(), "{what}: no text"),
        Body::Exactly(text) => assert_eq!(answer.text().trim_end(), *text, "{what}"),
        Body::Status(part) => {
            let (code, message) = status_of(answer);
            assert!(code == 3 && !message.is_empty() && message.contains(part), "{what}: {code} {message}");
        }
    }
}

/// Nothing was stored, and what is good is still accepted.
fn check_unharmed(server: &Server) {
    assert_eq!(server.search("{ }"), [] as [serde_json::Value; 0], "something of a refused request is stored");
    assert_eq!((server.trace(1), server.metric("tempo_distributor_spans_received_total")), (None, 0.0));
    server.push(&shop(vec![span(7, 1, "good", 0)]));
    assert_eq!((server.count("{ }"), server.span_ids(7).len()), (1, 1));
    server.flush();
    assert_eq!(server.count("{ }"), 1);
}

#[test]
fn over_http() {
    let server = Server::fresh();
    for (address, cases) in [(server.otlp_http, otlp_cases()), (server.zipkin, zipkin_cases())] {
        for case in cases {
            let answer = send(address, case.method, case.path, case.headers, &case.body);
            check(&case, &answer.unwrap_or_else(|error| panic!("{}: {error}", case.what)));
        }
    }
    // An empty message has no spans, and nothing is wrong with it.
    server.push(b"");
    check_unharmed(&server);
}

#[test]
fn over_grpc() {
    let server = Server::fresh();
    let too_large = "grpc: received message larger than max (5242880 vs. 4194304)";
    for (what, encoding, message, code, text) in [
        ("garbage", None, b"\xff\xff\xff".to_vec(), Code::Internal, "grpc: error unmarshalling request"),
        ("a trace id of 15 bytes", None, with_ids(&[1; 15], &[1; 8]), Code::Internal, "invalid TraceID length"),
        ("a span id of 9 bytes", None, with_ids(&[1; 16], &[1; 9]), Code::Internal, "invalid SpanID length"),
        ("a zero trace id", None, with_ids(&[0; 16], &[1; 8]), Code::InvalidArgument, "trace ids must be 128 bit"),
        ("no trace id", None, with_ids(&[], &[1; 8]), Code::InvalidArgument, "trace ids must be 128 bit"),
        ("a zero span id", None, with_ids(&[1; 16], &[0; 8]), Code::InvalidArgument, "span ids must be 64 bit and not all zero"),
        ("over 4 MiB", None, vec![0; 5 * MIB], Code::ResourceExhausted, too_large),
        ("over 4 MiB when unpacked", Some("gzip"), gzip(&vec![0; 5 * MIB]), Code::ResourceExhausted, "received message larger than max"),
        ("not gzip", Some("gzip"), shop(vec![good()]), Code::Internal, ""),
        ("an unknown compression", Some("br"), shop(vec![good()]), Code::Unimplemented, "grpc-encoding"),
        ("an empty message", None, Vec::new(), Code::Ok, ""),
    ] {
        let answer = grpc::call(server.otlp_grpc, EXPORT, encoding, &message);
        assert_eq!(answer.code, code, "{what}: {}", answer.message);
        assert!(answer.message.contains(text), "{what}: {}", answer.message);
    }
    let metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    assert_eq!(grpc::call(server.otlp_grpc, metrics, None, b"").code, Code::Unimplemented);
    check_unharmed(&server);
}

/// A refused request must not come back from the log either.
#[test]
fn nothing_of_a_refused_request_survives_a_restart() {
    let server = Server::fresh();
    let answer = server.try_push(&with_ids(&[0; 16], &[1; 8])).expect("an answer");
    assert_eq!(answer.status, 400);
    server.push(&shop(vec![span(7, 1, "good", data::SECOND)]));
    server.kill();
    let server = Server::start(&server.data.clone());
    assert_eq!((server.count("{ }"), server.trace(1)), (1, None));
}
