//! OTLP over HTTP and gRPC: whatever the form, the same spans come out.

use crate::support::client::flattened;
use crate::support::data::{self, SECOND, T0, TraceText, With, gzip, request, service, shop, span};
use crate::support::grpc::{self, EXPORT};
use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use conmoto::proto::otlp::span::Event;
use serde_json::{Value, json};
use tonic::Code;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The spans that every form carries.
fn protobuf(trace: u128) -> Vec<u8> {
    let event = Event { time_unix_nano: T0 * SECOND + 7, name: "note".to_string(), ..Event::default() };
    let mut root = span(trace, 1, "root", 0).lasting(5 * SECOND).with("http.method", data::text("GET")).with("size", data::int(7));
    root.kind = 2;
    root.events.push(event);
    let child = span(trace, 2, "child", SECOND).lasting(SECOND).child_of(1).failed();
    request(vec![service("shop", vec![root, child])])
}

/// The same as JSON, with the freedoms that senders take: snake case, numbers as text or not, names of enums, upper case.
fn json(trace: u128) -> Vec<u8> {
    let (id, upper) = (trace.text(), trace.text().to_uppercase());
    let at = |after: u64| T0 * SECOND + after;
    let scopes = json!([{"scope": {"name": "it"}, "spans": [
        {
            "traceId": id, "spanId": "0000000000000001", "name": "root", "kind": "SPAN_KIND_SERVER",
            "startTimeUnixNano": at(0).to_string(), "endTimeUnixNano": at(5 * SECOND),
            "attributes": [{"key": "http.method", "value": {"stringValue": "GET"}}, {"key": "size", "value": {"intValue": "7"}}],
            "events": [{"timeUnixNano": at(7).to_string(), "name": "note"}],
        },
        {
            "trace_id": upper, "span_id": "0000000000000002", "parent_span_id": "0000000000000001", "name": "child",
            "start_time_unix_nano": at(SECOND), "end_time_unix_nano": at(2 * SECOND).to_string(),
            "status": {"code": "STATUS_CODE_ERROR", "message": "it failed"}, "unknown": {"a": [1]},
        },
    ]}]);
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}).to_string().into_bytes()
}

/// How the spans are sent: over gRPC if there is no content type.
struct Form {
    content_type: Option<&'static str>,
    encoding: Option<&'static str>,
    body: fn(u128) -> Vec<u8>,
}

const FORMS: [Form; 8] = [
    Form { content_type: Some(PROTOBUF), encoding: None, body: protobuf },
    Form { content_type: Some(PROTOBUF), encoding: Some("gzip"), body: |trace| gzip(&protobuf(trace)) },
    Form { content_type: Some("application/protobuf"), encoding: None, body: protobuf },
    Form { content_type: Some(JSON), encoding: None, body: json },
    Form { content_type: Some("application/json; charset=utf-8"), encoding: None, body: json },
    Form { content_type: Some(JSON), encoding: Some("gzip"), body: |trace| gzip(&json(trace)) },
    Form { content_type: None, encoding: None, body: protobuf },
    Form { content_type: None, encoding: Some("gzip"), body: |trace| gzip(&protobuf(trace)) },
];

fn send_as(server: &Server, form: &Form, trace: u128) {
    let body = (form.body)(trace);
    let Some(content_type) = form.content_type else {
        let answer = grpc::call(server.otlp_grpc, EXPORT, form.encoding, &body);
        assert_eq!((answer.code, answer.messages.len()), (Code::Ok, 1), "{}", answer.message);
        return;
    };
    let mut headers = vec![("Content-Type", content_type)];
    headers.extend(form.encoding.map(|encoding| ("Content-Encoding", encoding)));
    let answer = send(server.otlp_http, "POST", "/v1/traces", &headers, &body).expect("an answer");
    let expected: (&str, &[u8]) = match content_type.starts_with(JSON) {
        true => (JSON, br#"{"partialSuccess":{}}"#),
        false => (PROTOBUF, b"\x0a\0"),
    };
    assert_eq!((answer.status, answer.content_type(), &answer.body[..]), (200, expected.0, expected.1));
}

/// A trace by id, without its id.
fn read_back(server: &Server, trace: u128) -> Value {
    let mut spans = flattened(&server.trace(trace).expect("it was acknowledged"));
    spans.as_array_mut().into_iter().flatten().for_each(|entry| entry["span"]["traceId"] = Value::Null);
    spans
}

#[test]
fn every_form_gives_the_same_spans() {
    let server = Server::fresh();
    for (form, trace) in FORMS.iter().zip(1..) {
        send_as(&server, form, trace);
        // What is acknowledged is there: nothing waits here.
        assert_eq!(server.span_ids(trace), ["0000000000000001", "0000000000000002"]);
        assert_eq!(read_back(&server, trace), read_back(&server, 1), "form {trace}");
    }
    check_content(&server);
    server.flush();
    for trace in 1..=FORMS.len() as u128 {
        assert_eq!(read_back(&server, trace), read_back(&server, 1), "form {trace}, flushed");
    }
    check_content(&server);
}

fn check_content(server: &Server) {
    let spans = read_back(server, 1);
    let root = &spans[0];
    assert_eq!(root["resource"]["attributes"], json!([{"key": "service.name", "value": {"stringValue": "shop"}}]));
    assert_eq!(root["scope"], json!({"name": "it"}));
    assert_eq!((&root["span"]["name"], &root["span"]["kind"]), (&json!("root"), &json!("SPAN_KIND_SERVER")));
    assert_eq!(root["span"]["events"][0]["name"], "note");
    assert_eq!(spans[1]["span"]["status"], json!({"code": "STATUS_CODE_ERROR", "message": "it failed"}));
    let all = FORMS.len() as u64;
    for (query, count) in [
        ("{ }", 2 * all),
        ("{ span.http.method = \"GET\" && span.size = 7 && kind = server }", all),
        ("{ resource.service.name = \"shop\" && status = error && statusMessage = \"it failed\" }", all),
    ] {
        assert_eq!(server.count(query), count, "{query}");
    }
}

#[test]
fn browsers_may_send_where_the_operator_lets_them() {
    let data = DataDir::new();
    let keys = "\n          cors: {allowed_origins: ['https://*.example.com'], allowed_headers: [X-Scope-OrgID], max_age: 600}\n          \
                response_headers: {X-From: conmoto}\n          traces_url_path: /spans";
    let config =
        data.config().replacen("http:\n          endpoint: 127.0.0.1:0", &format!("http:\n          endpoint: 127.0.0.1:0{keys}"), 1);
    let server = Server::start_with(&data, &config, &[]);
    let preflight = [("Origin", "https://shop.example.com"), ("Access-Control-Request-Method", "POST")];
    let answer = send(server.otlp_http, "OPTIONS", "/spans", &preflight, b"").expect("an answer");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "https://shop.example.com"));
    let headers = [("Origin", "https://shop.example.com"), ("Content-Type", "application/x-protobuf")];
    let answer = send(server.otlp_http, "POST", "/spans", &headers, &shop(vec![span(1, 1, "a", 0)])).expect("an answer");
    assert_eq!((answer.status, answer.header("access-control-allow-origin"), answer.header("x-from")), (200, headers[0].1, "conmoto"));
    let answer = send(server.otlp_http, "POST", "/v1/traces", &headers, b"").expect("an answer");
    assert_eq!((answer.status, answer.header("x-from")), (404, "conmoto"));
}
