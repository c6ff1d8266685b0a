use super::super::test_support::state;
use super::super::{ApiConfig, http_router};
use super::*;
use crate::proto::otlp::{AnyValue, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, Status, Value as AttributeValue};
use http_body_util::BodyExt;
use tower::ServiceExt;

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(AttributeValue::StringValue(value.to_string())) })
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_string(), value: text(value), ..KeyValue::default() }
}

fn service(name: &str, spans: Vec<Span>) -> ResourceSpans {
    let resource = Resource { attributes: vec![attribute("service.name", name)], ..Resource::default() };
    ResourceSpans { resource: Some(resource), scope_spans: vec![ScopeSpans { spans, ..Default::default() }], ..Default::default() }
}

fn span(id: u8, parent: u8, name: &str, millis: u64) -> Span {
    Span {
        trace_id: vec![id % 10; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_string(),
        start_time_unix_nano: u64::from(id),
        end_time_unix_nano: u64::from(id) + millis * 1_000_000,
        ..Span::default()
    }
}

fn failed(span: Span) -> Span {
    Span { status: Some(Status { code: 2, message: "no".to_string() }), ..span }
}

fn base() -> Vec<ResourceSpans> {
    let call = Span { attributes: vec![attribute("a", "1"), attribute("gone", "x")], ..span(2, 1, "call", 3) };
    vec![service("web", vec![span(1, 0, "get", 9), call, span(3, 1, "call", 1)]), service("db", vec![span(4, 2, "select", 2)])]
}

fn compare() -> Vec<ResourceSpans> {
    let call = Span { attributes: vec![attribute("a", "2"), attribute("new", "y")], ..failed(span(22, 21, "call", 5)) };
    vec![service("web", vec![span(21, 0, "get", 9), call]), service("db", vec![span(24, 22, "insert", 2)])]
}

#[test]
fn spans_are_matched_by_their_paths() {
    let (base, compare) = (base(), compare());
    let (base, compare) = (Tree::of(&base), Tree::of(&compare));
    let paths: Vec<&str> = base.nodes.keys().map(String::as_str).collect();
    let get = "/web:get:unspecified";
    let call = format!("{get}/web:call:unspecified");
    assert_eq!(paths, [get, &call, &format!("{call}/db:select:unspecified"), &format!("{call}[2]")]);
    let patch = told(&base, &compare, Format::Patch);
    let stats = ["matchedSpans", "modifiedSpans", "addedSpans", "removedSpans", "fieldChanges", "attributeChanges"];
    assert_eq!(stats.map(|name| patch["stats"][name].as_u64().expect("a number")), [2, 1, 1, 2, 3, 3]);
    let changes = patch["modified"][0]["changes"].as_array().expect("changes");
    let target = |key: &str| json!({"type": "attribute", "scope": "span", "key": key});
    assert!(changes.contains(&json!({"op": "replace", "target": target("a"), "before": "1", "after": "2"})), "{patch}");
    assert!(changes.contains(&json!({"op": "add", "target": target("new"), "after": "y"})), "{patch}");
    assert!(changes.contains(&json!({"op": "remove", "target": target("gone"), "before": "x"})), "{patch}");
    assert_eq!(patch["added"][0]["target"]["parentPath"], call.as_str());
    let same = told(&base, &base, Format::Patch);
    assert!(["modified", "added", "removed"].iter().all(|list| same[list] == json!([])), "{same}");
}

#[test]
fn a_summary_says_what_it_comes_to() {
    let (base, compare) = (base(), compare());
    let (base, compare) = (Tree::of(&base), Tree::of(&compare));
    let summary = told(&base, &compare, Format::Composed);
    assert_eq!(summary["changedServices"], json!(["db", "web"]));
    assert_eq!(summary["services"][1]["newErrors"], 1);
    assert_eq!((&summary["signals"]["errors"], &summary["signals"]["spanCount"]), (&json!("increased"), &json!("decreased")));
    assert_eq!((&summary["stats"]["sumSpanDurationDeltaMs"], &summary["base"]["rootName"]), (&json!(1.0), &json!("get")));
    assert!(summary["patch"].is_object() && told(&base, &compare, Format::Summary).get("patch").is_none());
}

#[test]
fn circles_end() {
    let trace = vec![service("a", vec![span(1, 2, "x", 1), span(2, 1, "y", 1), span(3, 3, "z", 1)])];
    assert_eq!(Tree::of(&trace).nodes.len(), 3);
}

async fn ask(method: &str, body: String) -> (u16, String) {
    let router = http_router(Arc::new(state(ApiConfig::default())));
    let request = http::Request::builder().method(method).uri("/api/v2/traces/diff").body(Body::from(body)).expect("a request");
    let response = router.oneshot(request).await.expect("routers do not fail");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("our own").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

#[tokio::test]
async fn errors() {
    let traces = |base: &str, compare: &str, format: &str| format!(r#"{{"base":{base},"compare":{compare},"format":"{format}"}}"#);
    let one = r#"{"traceId":"1"}"#;
    for (body, status, text) in [
        (traces("{}", one, ""), 400, "base.traceId is required"),
        (traces(one, "{}", ""), 400, "compare.traceId is required"),
        (traces(r#"{"traceId":"1","start":5,"end":5}"#, one, ""), 400, "base.start must be before end. received start=5 end=5"),
        (
            traces(one, one, "x"),
            400,
            "invalid format \"x\": must be one of trace-patch-v0, trace-summary-v0-native, trace-summary-v0-composed",
        ),
        (traces(one, one, ""), 404, "Not Found"),
        (" ".repeat(MAX_BODY_BYTES + 1), 413, "http: request body too large\n"),
    ] {
        assert_eq!(ask("POST", body).await, (status, text.to_string()));
    }
    assert_eq!(ask("GET", String::new()).await, (405, "Method Not Allowed".to_string()));
    let (status, text) = ask("POST", "{".to_string()).await;
    assert!(status == 400 && text.starts_with("invalid trace diff request body: "), "{text}");
    let (status, text) = ask("POST", traces(r#"{"traceId":"x"}"#, one, "")).await;
    assert!(status == 400 && text.starts_with("invalid base.traceId: "), "{text}");
}
