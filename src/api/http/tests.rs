use super::super::test_support::{Answer, send, state};
use super::super::{ApiConfig, Readiness};
use super::*;
use tokio::sync::watch;

fn router(config: ApiConfig) -> Router {
    http_router(Arc::new(state(config)))
}

async fn get_as(uri: &str, accept: &str) -> Answer {
    send(&router(ApiConfig::default()), "GET", uri, &[("accept", accept)]).await
}

async fn get_json(uri: &str) -> (u16, String) {
    let answer = get_as(uri, "application/json").await;
    let kind = if answer.status == 200 { "application/json" } else { "text/plain; charset=utf-8" };
    assert_eq!(answer.header("content-type"), if answer.body.is_empty() { "" } else { kind }, "{uri}");
    (answer.status, answer.text().to_string())
}

#[tokio::test]
async fn answers_over_an_empty_store() {
    for (uri, body) in [
        ("/api/v2/traces/1", r#"{"trace":{},"metrics":{}}"#),
        ("/api/search", r#"{"traces":[],"metrics":{}}"#),
        ("/api/search?q=%7B%7D&limit=5&spss=0", r#"{"traces":[],"metrics":{}}"#),
        ("/api/search?tags=service.name%3Dx&minDuration=0s&maxDuration=1s", r#"{"traces":[],"metrics":{}}"#),
        ("/api/search/tags", r#"{"tagNames":[],"metrics":{}}"#),
        ("/api/v2/search/tags?scope=span", r#"{"scopes":[],"metrics":{}}"#),
        ("/api/search/tag/service.name/values", r#"{"tagValues":[],"metrics":{}}"#),
        ("/api/search/tag/a/b%2Fc/values", r#"{"tagValues":[],"metrics":{}}"#),
        ("/api/search/tag/status.code/values", r#"{"tagValues":["error","ok","unset"],"metrics":{}}"#),
        ("/api/v2/search/tag/span.a%2Fb/values?q=%7Bbroken&tag=x", r#"{"tagValues":[],"metrics":{}}"#),
        ("/api/v2/search/tag/duration/values", r#"{"tagValues":[],"metrics":{}}"#),
        ("/api/metrics/query?q=%7B%7D%7Crate()", r#"{"metrics":{}}"#),
        ("/api/metrics/query_range?q=%7B%7D%7Crate()", r#"{"series":[],"metrics":{}}"#),
    ] {
        assert_eq!(get_json(uri).await, (200, body.to_string()), "{uri}");
    }
}

#[tokio::test]
async fn refusals_are_bare_texts() {
    for (uri, status, body) in [
        ("/api/traces/1", 404, ""),
        ("/api/traces/nothex", 400, "trace IDs can only contain hex characters: invalid character 'n' at position 1"),
        ("/api/v2/traces/111111111111111111111111111111111", 400, "trace IDs can't be larger than 128 bits"),
        ("/api/v2/traces/", 404, "404 page not found\n"),
        ("/api/search?limit=0", 400, "invalid limit: must be a positive number"),
        ("/api/search/tags?scope=nonsense&start=5", 400, "invalid scope: nonsense"),
        ("/api/search/tag//values", 400, "please provide a non-empty tagName"),
        ("/api/search/tag/x", 404, "404 page not found\n"),
        (
            "/api/v2/search/tag/app.user.id/values",
            400,
            "please provide a valid tagName: failed to parse identifier app.user.id: parse error at line 1, col 2: unknown identifier: app",
        ),
        ("/api/metrics/query_range?q=%7B%7D%7Crate()&start=5&end=4", 400, "end must be greater than start"),
        ("/api/metrics/query_range?start=4&end=5", 400, "parse error : syntax error: unexpected $end"),
        ("/api/metrics/query?q=%7B%7D&start=4&end=5", 400, "not a metrics query"),
        ("/api/nothing", 404, "404 page not found\n"),
        ("/nothing", 404, "404 page not found\n"),
    ] {
        assert_eq!(get_json(uri).await, (status, body.to_string()), "{uri}");
    }
}

#[tokio::test]
async fn the_client_chooses_the_format() {
    let answer = get_as("/api/v2/traces/1", "application/protobuf").await;
    assert_eq!((answer.header("content-type"), &*answer.body), ("application/protobuf", &b"\x0a\x00\x12\x00"[..]));
    let answer = get_as("/api/v2/traces/1", "application/vnd.grafana.llm").await;
    assert_eq!(answer.header("content-type"), "application/vnd.grafana.llm+json");
    let answer = get_as("/api/v2/search/tag/status/values", "application/vnd.grafana.llm").await;
    assert!(answer.text().starts_with(r#"{"tagValues":{"keyword":["error","ok","unset"]}"#), "{}", answer.text());
    let answer = get_as("/api/search", "application/vnd.grafana.llm").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("vary"), "Accept-Encoding");
}

#[tokio::test]
async fn queries_take_any_method_and_every_size_but_too_large() {
    let router = router(ApiConfig::default());
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(send(&router, method, "/api/search", &[]).await.status, 200, "{method}");
    }
    let answer = send(&router, "GET", &format!("/api/search/tags?query={}", "x".repeat(50_000)), &[]).await;
    assert_eq!(answer.status, 200);
    let small = ApiConfig { max_query_expression_size_bytes: 5, ..ApiConfig::default() };
    let answer = send(&self::router(small), "GET", "/api/v2/traces/1?q=123456", &[]).await;
    assert!(answer.status == 400 && answer.text().starts_with("TraceQL expression exceeds the configured maximum size of 5 bytes"));
}

#[tokio::test]
async fn with_multitenancy_the_tenant_is_asked_for_first() {
    let router = router(ApiConfig { multitenancy_enabled: true, ..ApiConfig::default() });
    let answer = send(&router, "GET", "/api/search?limit=0", &[]).await;
    assert_eq!((answer.status, answer.text()), (401, "no org id\n"));
    let answer = send(&router, "GET", "/api/search?limit=0", &[("x-scope-orgid", "a/b")]).await;
    assert_eq!((answer.status, answer.text()), (400, "invalid limit: must be a positive number"));
    let answer = send(&router, "GET", "/api/search", &[("x-scope-orgid", "a/b")]).await;
    assert_eq!((answer.status, answer.text()), (400, "tenant ID 'a/b' contains unsupported character '/'"));
    assert_eq!(send(&router, "GET", "/api/search", &[("x-scope-orgid", "a|b")]).await.status, 200);
    assert_eq!(send(&router, "GET", "/api/search", &[("x-scope-orgid", "a")]).await.status, 200);
    for open in ["/api/echo", "/ready", "/metrics", "/flush"] {
        assert!(send(&router, "GET", open, &[]).await.status < 300, "{open}");
    }
    assert_eq!(send(&router, "POST", "/flush", &[("x-scope-orgid", "broken")]).await.status, 500);
}

#[tokio::test]
async fn operators_are_answered() {
    let router = router(ApiConfig::default());
    for (method, uri, status, body) in [
        ("POST", "/api/echo", 200, "echo\n"),
        ("GET", "/ready", 200, "ready\n"),
        ("GET", "/metrics", 200, "# EOF\n"),
        ("GET", "/flush", 204, ""),
        ("POST", "/flush", 204, ""),
        ("DELETE", "/flush", 405, ""),
        ("GET", "/status/usage-stats", 200, "usage-stats is not enabled\n"),
        ("POST", "/api/status/buildinfo", 405, ""),
        ("GET", "/status/services", 200, "GET /status/services\ningester: Running\n"),
        ("GET", "/status/config", 200, "GET /status/config\n---\na: 1\n"),
        ("GET", "/status/config?mode=diff", 200, "GET /status/config\n---\nb: 2\n"),
        ("GET", "/status/config?mode=defaults", 200, "GET /status/config\n---\nc: 3\n"),
        ("GET", "/status/config?mode=all", 500, "unknown value for mode query parameter: all"),
        ("GET", "/status/nothing", 404, "404 page not found\n"),
    ] {
        let answer = send(&router, method, uri, &[]).await;
        assert_eq!((answer.status, answer.text()), (status, body), "{method} {uri}");
    }
    let build = send(&router, "GET", "/api/status/buildinfo", &[]).await;
    assert!(build.text().starts_with(r#"{"version":"3.0.0+conmoto."#) && build.text().ends_with("\"goVersion\":\"\"}\n"));
    assert!(send(&router, "GET", "/status", &[]).await.text().contains("GET /status/version\nconmoto, version 3.0.0+"));
}

#[tokio::test]
async fn readiness_follows_the_process() {
    let (sender, readiness) = watch::channel(Readiness::Starting);
    let router = http_router(Arc::new(ApiState { readiness, ..state(ApiConfig::default()) }));
    for (now, status, body) in [
        (Readiness::Starting, 503, "Some services are not Running:\nStarting: 1\n"),
        (Readiness::Ready, 200, "ready\n"),
        (Readiness::Stopping, 503, "Application is stopping\n"),
    ] {
        sender.send_replace(now);
        let answer = send(&router, "GET", "/ready", &[]).await;
        assert_eq!((answer.status, answer.text()), (status, body));
    }
}

#[tokio::test]
async fn prefixes_go_in_front() {
    let config = ApiConfig { http_path_prefix: "/all/".into(), http_api_prefix: "/{tempo}".into(), ..ApiConfig::default() };
    let router = router(config);
    for (uri, status) in
        [("/all/%7Btempo%7D/api/echo", 404), ("/all/{tempo}/api/echo", 200), ("/all/ready", 200), ("/ready", 404), ("/api/echo", 404)]
    {
        assert_eq!(send(&router, "GET", uri, &[]).await.status, status, "{uri}");
    }
}

#[tokio::test]
async fn unknown_calls_are_unimplemented_on_both_ports() {
    let shared = Arc::new(state(ApiConfig::default()));
    for router in [http_router(Arc::clone(&shared)), grpc_router(shared)] {
        let answer = send(&router, "POST", "/a.B/C", &[("content-type", "application/grpc")]).await;
        assert_eq!((answer.status, answer.header("grpc-status"), answer.header("grpc-message")), (200, "12", "unknown%20service%20a.B"));
    }
    let apart = router(ApiConfig { stream_over_http_enabled: false, ..ApiConfig::default() });
    let answer = send(&apart, "POST", "/tempopb.StreamingQuerier/Search", &[("content-type", "application/grpc")]).await;
    assert_eq!(answer.header("grpc-status"), "12");
}

#[tokio::test]
async fn some_urls_are_refused() {
    let router = router(ApiConfig::default());
    let answer = send(&router, "GET", "/api/search/tag/deny/values?q=1", &[]).await;
    let text = "Invalid request /api/search/tag/deny/values?q=1. This query has been identified as one that destabilizes our system. \
                Contact your system administrator for more information";
    assert_eq!((answer.status, answer.text()), (400, text));
}

#[tokio::test(start_paused = true)]
async fn a_request_may_take_so_long() {
    let never = within(Duration::from_secs(5), std::future::pending::<Result<(), ApiError>>()).await.expect_err("late");
    assert_eq!(never.to_string(), "unable to process request in the configured timeout");
    assert_eq!(never.into_response().status(), 503);
    assert!(within(Duration::ZERO, async { Ok(()) }).await.is_ok());
}
