//! Bearer tokens at every door, from a file that changes while the server runs.

use crate::support::data::{T0, shop, span};
use crate::support::grpc::{self, EXPORT, SEARCH};
use crate::support::http::send;
use crate::support::jaeger::JaegerBatch;
use crate::support::server::{DataDir, Server};
use crate::support::until;
use conmoto::proto::tempopb::SearchRequest;
use prost::Message;
use std::net::SocketAddr;
use tonic::Code;

const WRITER: &str = "anna-may-write-000";
const READER: &str = "anna-may-read-0000";
const ROOT: &str = "root-may-everything";

const TOKENS: &str = "\
tokens:
- {name: agent of anna, token: anna-may-write-000, tenants: [anna], scopes: [write]}
- {token: anna-may-read-0000, tenants: [anna], scopes: [read]}
- {token: root-may-everything, tenants: ['*'], scopes: [write, read, admin]}
";

fn write(data: &DataDir, text: &str) {
    let (new, file) = (data.path().join("tokens.new"), data.path().join("tokens.yaml"));
    std::fs::write(&new, text).expect("writable");
    std::fs::rename(new, file).expect("writable");
}

fn server(data: &DataDir) -> Server {
    let keys = format!("bearer_tokens:\n  file: {}\n  reload_interval: 20ms\n", data.path().join("tokens.yaml").display());
    let mut server = Server::start_with(data, &format!("multitenancy_enabled: true\n{keys}{}", data.config()), &[]);
    server.expect_log("datagrams carry no token");
    server
}

/// Status of a request over HTTP.
fn http(address: SocketAddr, method: &str, path: &str, token: &str, tenant: &str, kind: &str, body: &[u8]) -> u16 {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("Content-Type", kind)];
    if !token.is_empty() {
        headers.push(("Authorization", bearer.as_str()));
    }
    if !tenant.is_empty() {
        headers.push(("X-Scope-OrgID", tenant));
    }
    send(address, method, path, &headers, body).expect("an answer").status
}

/// Code of a call.
fn call(address: SocketAddr, path: &str, token: &str, tenant: &str, message: &[u8]) -> Code {
    let bearer = format!("Bearer {token}");
    grpc::call_with(address, path, &[("authorization", &bearer), ("x-scope-orgid", tenant)], message).code
}

/// What a receiver answers a token and a tenant.
type Door<'s> = (&'static str, Box<dyn Fn(&str, &str) -> bool + 's>);

/// All doors for spans: whether each lets a token in.
fn doors(server: &Server) -> Vec<Door<'_>> {
    let spans = || shop(vec![span(1, 1, "a", 0)]);
    let zipkin = format!(r#"[{{"traceId":"{:032x}","id":"{:016x}","name":"a","timestamp":{T0}000000}}]"#, 1, 2);
    let jaeger = JaegerBatch::default().body();
    let is_in = |status: u16| match status {
        200..=299 | 400 => true,
        401 | 403 => false,
        other => panic!("{other}"),
    };
    let is_called = |code: Code| !matches!(code, Code::Unauthenticated | Code::PermissionDenied);
    vec![
        (
            "OTLP HTTP",
            Box::new(move |token, tenant| {
                is_in(http(server.otlp_http, "POST", "/v1/traces", token, tenant, "application/x-protobuf", &spans()))
            }),
        ),
        ("OTLP gRPC", Box::new(move |token, tenant| is_called(call(server.otlp_grpc, EXPORT, token, tenant, &spans())))),
        (
            "Zipkin",
            Box::new(move |token, tenant| {
                is_in(http(server.zipkin, "POST", "/api/v2/spans", token, tenant, "application/json", zipkin.as_bytes()))
            }),
        ),
        (
            "Jaeger HTTP",
            Box::new(move |token, tenant| {
                is_in(http(server.jaeger_http, "POST", "/api/traces", token, tenant, "application/x-thrift", &jaeger))
            }),
        ),
        (
            "Jaeger gRPC",
            Box::new(move |token, tenant| {
                is_called(call(server.jaeger_grpc, "/jaeger.api_v2.CollectorService/PostSpans", token, tenant, b""))
            }),
        ),
        (
            "OpenCensus",
            Box::new(move |token, tenant| {
                is_called(call(server.opencensus, "/opencensus.proto.agent.trace.v1.TraceService/Export", token, tenant, b""))
            }),
        ),
    ]
}

#[test]
fn every_receiver_asks_for_a_token_that_may_write() {
    let data = DataDir::new();
    write(&data, TOKENS);
    let server = server(&data);
    for (name, lets_in) in doors(&server) {
        for (token, tenant, expected) in [
            ("", "anna", false),
            ("somebody-elses-token", "anna", false),
            (READER, "anna", false),
            (WRITER, "bert", false),
            (WRITER, "anna", true),
            (ROOT, "bert", true),
        ] {
            assert_eq!(lets_in(token, tenant), expected, "{name}: {token} for {tenant}");
        }
    }
    assert_eq!(server.jaeger_compact.port(), 0, "datagrams are not taken");
    // The token says whose spans they are, if nothing else does.
    assert_eq!(http(server.otlp_http, "POST", "/v1/traces", WRITER, "", "application/x-protobuf", &shop(vec![span(3, 1, "a", 0)])), 200);
    assert_eq!(http(server.api, "GET", "/api/traces/3", READER, "", "", b""), 200);
    assert_eq!(http(server.api, "GET", "/api/traces/3", ROOT, "bert", "", b""), 404);
}

#[test]
fn the_query_api_tells_reading_from_governing() {
    let data = DataDir::new();
    write(&data, TOKENS);
    let server = server(&data);
    let get = |path: &str, token: &str, tenant: &str| http(server.api, "GET", path, token, tenant, "", b"");
    let statuses = |path: &str| ["", WRITER, READER, ROOT].map(|token| get(path, token, "anna"));
    for path in ["/api/search", "/api/v2/search/tags", "/jaeger/api/services", "/zipkin/api/v2/services", "/metrics/generated", "/api/echo"]
    {
        assert_eq!(statuses(path), [401, 403, 200, 200], "{path}");
    }
    for path in ["/metrics", "/status/config", "/status/overrides", "/debug/pprof/heap", "/status"] {
        assert_eq!(statuses(path), [401, 403, 403, 200], "{path}");
    }
    for path in ["/ready", "/"] {
        assert_eq!(statuses(path), [200; 4], "{path}");
    }
    assert_eq!(statuses("/nowhere"), [401, 403, 403, 404]);
    assert_eq!((get("/api/search", READER, "anna|bert"), get("/api/search", ROOT, "anna|bert")), (403, 200));
    assert_eq!(http(server.api, "POST", "/flush", READER, "anna", "", b""), 403);
    let search = SearchRequest { query: "{ }".to_string(), ..Default::default() }.encode_to_vec();
    for address in [server.grpc, server.api] {
        let codes = [("", "anna"), (WRITER, "anna"), (READER, "bert"), (READER, "anna")]
            .map(|(token, tenant)| call(address, SEARCH, token, tenant, &search));
        assert_eq!(codes, [Code::Unauthenticated, Code::PermissionDenied, Code::PermissionDenied, Code::Ok]);
        assert_eq!(grpc::call(address, "/grpc.health.v1.Health/Check", None, b"").code, Code::Ok);
    }
    let refused = send(server.api, "GET", "/api/search", &[], b"").expect("an answer");
    assert_eq!(
        (refused.header("WWW-Authenticate"), refused.text()),
        ("Bearer", "no token, or an unknown one: send Authorization: Bearer\n".to_string())
    );
}

#[test]
fn tokens_change_while_the_server_runs_and_are_never_shown() {
    let data = DataDir::new();
    write(&data, TOKENS);
    let mut server = server(&data);
    let get = |server: &Server, token: &str| http(server.api, "GET", "/api/search", token, "anna", "", b"");
    assert_eq!((get(&server, READER), get(&server, "a-new-token-of-anna")), (200, 401));
    let digest = "5cbf1a1dc9b2a2b2cd6e0b8f6cf4b1d2c14e7d3d9aee40f9d0f8b6f7a5f31d11";
    write(
        &data,
        &format!(
            "tokens:\n- {{token: a-new-token-of-anna, tenants: [anna], scopes: [read]}}\n- {{sha256: {digest}, tenants: ['*'], scopes: [admin]}}\n"
        ),
    );
    until("the new token", || (get(&server, "a-new-token-of-anna") == 200).then_some(()));
    assert_eq!((get(&server, READER), get(&server, digest)), (401, 401), "a digest is no token");
    server.expect_log("the tokens of clients cannot be read");
    write(&data, "tokens:\n- {token: broken-but-secret-token, tenants: [anna], scopes: [sing]}\n");
    until("the error", || server.log().contains("cannot be read").then_some(()));
    assert_eq!(get(&server, "a-new-token-of-anna"), 200, "what holds goes on to hold");
    write(&data, TOKENS);
    until("recovery", || (get(&server, READER) == 200).then_some(()));
    let shown = send(server.api, "GET", "/status/config", &[("Authorization", &format!("Bearer {ROOT}"))], b"").expect("an answer").text();
    assert!(shown.contains("tokens.yaml"), "{shown}");
    for secret in [WRITER, READER, ROOT, "a-new-token-of-anna", digest, "broken-but-secret-token"] {
        assert!(!server.log().contains(secret) && !shown.contains(secret) && !server.banner().contains(secret), "{secret}");
    }
}

#[test]
fn a_file_that_cannot_be_read_stops_the_start() {
    let data = DataDir::new();
    let keys = format!("bearer_tokens:\n  file: {}\n", data.path().join("missing.yaml").display());
    let process = data.spawn("conmoto", &format!("{keys}{}", data.config()), &[]);
    assert!(!process.wait().success() && process.log().contains("bearer_tokens.file"), "{}", process.log());
}
