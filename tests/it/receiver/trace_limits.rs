//! Traces that are too large, or too many: the rest is stored, the sender is told if its protocol can, and it is counted.

use crate::support::data::{With, request, service, shop, span, text};
use crate::support::http::{Response, send};
use crate::support::server::{DataDir, Server};
use crate::support::stock::{export, wait};
use crate::support::until;

fn write(data: &DataDir, text: &str) {
    // In one step, as editors and Kubernetes do.
    let (new, file) = (data.path().join("tenants.new"), data.path().join("tenants.yaml"));
    std::fs::write(&new, text).expect("writable");
    std::fs::rename(new, file).expect("writable");
}

fn server(data: &DataDir, keys: &str) -> Server {
    let file = data.path().join("tenants.yaml");
    let overrides = format!("overrides:\n  per_tenant_override_config: {}\n  per_tenant_override_period: 20ms\n{keys}", file.display());
    Server::start_with(data, &format!("multitenancy_enabled: true\n{}{overrides}", data.config()), &[])
}

fn post(server: &Server, tenant: &str, request: &[u8]) -> Response {
    let headers = [("Content-Type", "application/x-protobuf"), ("X-Scope-OrgID", tenant)];
    send(server.otlp_http, "POST", "/v1/traces", &headers, request).expect("an answer")
}

fn names(server: &Server, tenant: &str, trace: u128) -> Vec<String> {
    let path = format!("/api/v2/traces/{trace:032x}");
    let answer = send(server.api, "GET", &path, &[("X-Scope-OrgID", tenant), ("Accept", "application/json")], b"").expect("an answer");
    if answer.status == 404 {
        return Vec::new();
    }
    let mut names: Vec<String> = crate::support::client::spans_of(&answer.json()["trace"])
        .iter()
        .map(|span| span["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

fn discarded(server: &Server, reason: &str) -> f64 {
    let text = server.get("/metrics").text();
    let lines =
        text.lines().filter(|line| line.starts_with("tempo_discarded_spans_total{") && line.contains(&format!("reason=\"{reason}\"")));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// A span with an attribute of a thousand bytes.
fn large(trace: u128, id: u64, name: &str) -> conmoto::proto::otlp::Span {
    span(trace, id, name, 0).with("padding", text(&"x".repeat(1000)))
}

#[test]
fn of_a_trace_that_is_too_large_the_rest_is_refused_and_told() {
    let data = DataDir::new();
    write(&data, "overrides:\n  other:\n    global: {max_bytes_per_trace: 0}\n");
    let mut server = server(&data, "  defaults: {global: {max_bytes_per_trace: 2500}}\n");
    server.expect_log("spans beyond it are not stored");
    assert!(server.log().contains("spans beyond it are not stored"), "it is said at start:\n{}", server.log());
    let two = |id| request(vec![service("shop", vec![large(1, id, "large"), span(2, id, "small", 0)])]);
    for id in [1, 2] {
        assert_eq!(post(&server, "a", &two(id)).body, [0x0a, 0x00]);
    }
    // Trace 1 would have three thousand bytes now.
    let answer = post(&server, "a", &two(3));
    assert_eq!(answer.status, 200);
    let told = wait(export(server.otlp_grpc, "a", &two(4))).expect("accepted").partial_success.expect("told");
    assert_eq!(told.rejected_spans, 1);
    assert!(told.error_message.starts_with("TRACE_TOO_LARGE max size of trace (2500) exceeded while adding "), "{}", told.error_message);
    assert!(told.error_message.ends_with("to trace 00000000000000000000000000000001 for tenant a"), "{}", told.error_message);
    assert!(answer.body.windows(15).any(|part| part == b"TRACE_TOO_LARGE"));
    assert_eq!((names(&server, "a", 1), names(&server, "a", 2).len()), (vec!["large".to_owned(), "large".to_owned()], 4));
    assert_eq!(discarded(&server, "trace_too_large"), 2.0);
    // A sender that cannot be told has success all the same.
    let zipkin = format!(r#"[{{"traceId": "1", "id": "9", "name": "large", "tags": {{"a": "{}"}}}}]"#, "x".repeat(1000));
    let answer = send(server.zipkin, "POST", "/api/v2/spans", &[("X-Scope-OrgID", "a")], zipkin.as_bytes()).expect("an answer");
    assert_eq!((answer.status, discarded(&server, "trace_too_large")), (202, 3.0));
    let whole = request(vec![service("shop", (1..=5).map(|id| large(1, id, "large")).collect())]);
    assert_eq!(post(&server, "other", &whole).body, [0x0a, 0x00], "its entry lifts the limit");
    assert_eq!(names(&server, "other", 1).len(), 5);
    // In JSON a sender reads it, too.
    let span = format!(r#"{{"traceId": "{:032x}", "spanId": "0000000000000007", "name": "{}"}}"#, 1, "n".repeat(1000));
    let json = format!(r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{span}]}}]}}]}}"#);
    let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", "a")];
    let answer = send(server.otlp_http, "POST", "/v1/traces", &headers, json.as_bytes()).expect("an answer");
    assert_eq!((answer.status, &answer.json()["partialSuccess"]["rejectedSpans"]), (200, &"1".into()));
    assert!(server.terminate().success());
}

#[test]
fn limits_of_a_tenant_change_while_the_server_runs() {
    let data = DataDir::new();
    write(&data, "overrides:\n  a:\n    ingestion: {max_traces_per_user: 1, max_attribute_bytes: 4}\n");
    let server = server(&data, "");
    let one = |trace| shop(vec![span(trace, 1, "a", 0).with("word", text("abcdefgh"))]);
    assert_eq!(post(&server, "a", &one(1)).body, [0x0a, 0x00]);
    let told = wait(export(server.otlp_grpc, "a", &one(2))).expect("accepted").partial_success.expect("told");
    assert_eq!((told.rejected_spans, &told.error_message[..20]), (1, "LIVE_TRACES_EXCEEDED"));
    assert_eq!((names(&server, "a", 1).len(), names(&server, "a", 2).len(), discarded(&server, "live_traces_exceeded")), (1, 0, 1.0));
    assert_eq!(post(&server, "b", &one(2)).body, [0x0a, 0x00]);
    let word = |server: &Server, tenant: &str, trace: u128| {
        let path = format!("/api/search/tag/word/values?q=%7B%7D&trace={trace}");
        send(server.api, "GET", &path, &[("X-Scope-OrgID", tenant), ("Accept", "application/json")], b"").expect("an answer").json()["tagValues"].clone()
    };
    assert_eq!((word(&server, "a", 1), word(&server, "b", 2)), (serde_json::json!(["abcd"]), serde_json::json!(["abcdefgh"])));
    write(&data, "overrides: {}\n");
    until("no limit any more", || (post(&server, "a", &one(2)).body == [0x0a, 0x00]).then_some(()));
    assert_eq!(names(&server, "a", 2).len(), 1);
    assert_eq!(word(&server, "a", 2), serde_json::json!(["abcd", "abcdefgh"]));
}
