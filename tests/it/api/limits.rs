//! Limits of tenants, from the configuration and from a file that changes while the server runs.

use crate::support::data::{shop, span};
use crate::support::http::{Response, send};
use crate::support::server::{DataDir, Server};
use crate::support::stock::{export, wait};
use crate::support::until;
use tonic::Code;

fn server(data: &DataDir, keys: &str) -> Server {
    let file = data.path().join("tenants.yaml");
    let overrides = format!("overrides:\n  per_tenant_override_config: {}\n  per_tenant_override_period: 20ms\n{keys}", file.display());
    Server::start_with(data, &format!("multitenancy_enabled: true\n{}{overrides}", data.config()), &[])
}

fn write(data: &DataDir, text: &str) {
    // In one step, as editors and Kubernetes do.
    let (new, file) = (data.path().join("tenants.new"), data.path().join("tenants.yaml"));
    std::fs::write(&new, text).expect("writable");
    std::fs::rename(new, file).expect("writable");
}

fn push(server: &Server, tenant: &str) -> Response {
    let headers = [("Content-Type", "application/x-protobuf"), ("X-Scope-OrgID", tenant)];
    send(server.otlp_http, "POST", "/v1/traces", &headers, &shop(vec![span(1, 1, "a", 0)])).expect("an answer")
}

fn get(server: &Server, tenant: &str, path: &str) -> Response {
    send(server.api, "GET", path, &[("X-Scope-OrgID", tenant), ("Accept", "application/json")], b"").expect("an answer")
}

#[test]
fn a_file_changes_limits_while_the_server_runs() {
    let data = DataDir::new();
    write(&data, "overrides:\n  slow:\n    ingestion: {rate_limit_bytes: 1, burst_size_bytes: 10}\n");
    let mut server = server(&data, "  defaults:\n    read: {max_search_duration: 2h}\n");
    let refused = push(&server, "slow");
    assert_eq!((refused.status, refused.header("Retry-After")), (429, "5"));
    assert_eq!(push(&server, "other").status, 200);
    let refused = wait(export(server.otlp_grpc, "slow", &shop(vec![span(1, 1, "a", 0)]))).expect_err("over the limit");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().starts_with("RATE_LIMITED: batch size ("), "{}", refused.message());
    assert!(!refused.details().is_empty(), "RetryInfo");

    // The entry names other limits; what it does not name is the default.
    let long = "/api/search?q=%7B%7D&start=1000&end=11000";
    assert_eq!(get(&server, "slow", long).text(), "range specified by start and end exceeds 2h0m0s. received start=1000 end=11000");
    write(&data, "overrides:\n  slow:\n    read: {max_search_duration: 3h, left_pad_trace_ids: true}\n");
    until("new limits", || (get(&server, "slow", long).status == 200).then_some(()));
    assert_eq!((push(&server, "slow").status, get(&server, "other", long).status), (200, 400));
    let found = get(&server, "slow", "/api/search?q=%7B%7D").json();
    assert_eq!(found["traces"][0]["traceID"], "00000000000000000000000000000001");
    assert_eq!(get(&server, "other", "/api/search?q=%7B%7D").json()["traces"][0]["traceID"], "1");
    assert_eq!(get(&server, "slow|other", long).status, 400, "of several tenants the strictest holds");

    server.expect_log("the limits of tenants cannot be read");
    write(&data, "overrides:\n  slow:\n    reed: {}\n");
    until("the error", || (server.metric("tempo_runtime_config_last_reload_successful") == 0.0).then_some(()));
    assert_eq!(get(&server, "slow", long).status, 200, "what holds goes on to hold");
    write(&data, "overrides: {}\n");
    until("recovery", || (server.metric("tempo_runtime_config_last_reload_successful") == 1.0).then_some(()));
    assert_eq!(get(&server, "slow", long).status, 400);
}

#[test]
fn what_holds_can_be_seen() {
    let data = DataDir::new();
    write(&data, "overrides:\n  slow:\n    ingestion: {rate_limit_bytes: 7}\n");
    let server = server(&data, "");
    let page = get(&server, "", "/status/overrides").json();
    assert_eq!((&page["tenants"][0]["name"], &page["tenants"][0]["limits"]["ingestion_rate_limit_bytes"]), (&"slow".into(), &7.0.into()));
    assert_eq!(get(&server, "", "/status/overrides/other").json()["limits"]["ingestion_rate_limit_bytes"], 0.0);
    assert!(send(server.api, "GET", "/status/overrides", &[], b"").expect("an answer").text().contains("ingestion_rate_bytes"));
    assert!(get(&server, "", "/status/runtime_config").text().contains("slow:"));
    assert!(server.get("/metrics").text().contains("tempo_limits_overrides{limit_name=\"ingestion_rate_limit_bytes\",user=\"slow\"} 7"));
}

#[test]
fn requests_are_measured_by_route() {
    let data = DataDir::new();
    let server = Server::start(&data);
    assert_eq!(server.get("/api/search?q=%7B%7D").status, 200);
    assert_eq!(server.get("/api/traces/1").status, 404);
    server.push(&shop(vec![span(1, 1, "a", 0)]));
    wait(export(server.otlp_grpc, "any", &shop(vec![span(1, 2, "a", 0)]))).expect("accepted");
    let zipkin = send(server.zipkin, "POST", "/api/v2/spans", &[("Content-Type", "application/json")], b"{").expect("an answer");
    let text = server.get("/metrics").text();
    for line in [
        "tempo_request_duration_seconds_count{method=\"POST\",route=\"otlp_v1_traces\",status_code=\"200\",ws=\"false\"} 1",
        "route=\"opentelemetry_proto_collector_trace_v1_traceservice_export\",status_code=\"success\",ws=\"false\"} 1",
        &format!("{{method=\"POST\",route=\"zipkin\",status_code=\"{}\",ws=\"false\"}} 1", zipkin.status),
        "tempo_request_duration_seconds_count{method=\"GET\",route=\"api_search\",status_code=\"200\",ws=\"false\"} 1",
        "tempo_request_duration_seconds_count{method=\"GET\",route=\"api_traces_traceid\",status_code=\"404\",ws=\"false\"} 1",
        "tempo_query_frontend_queries_total{tenant=\"single-tenant\",op=\"search\",result=\"completed\"} 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn bytes_are_told_apart_by_attributes() {
    let data = DataDir::new();
    assert_eq!(Server::start(&data).get("/usage_metrics").status, 404);
    write(&data, "overrides:\n  other:\n    cost_attribution: {dimensions: {service.name: team, span.missing: \"\"}}\n");
    let config = data.config().replace("distributor:\n", "distributor:\n  usage: {cost_attribution: {enabled: true}}\n");
    let file = data.path().join("tenants.yaml");
    let overrides = format!("overrides:\n  per_tenant_override_config: {}\n", file.display());
    let server = Server::start_with(&data, &format!("multitenancy_enabled: true\n{config}{overrides}"), &[]);
    assert_eq!((push(&server, "other").status, push(&server, "untracked").status), (200, 200));
    let size = shop(vec![span(1, 1, "a", 0)]).len();
    let page = server.get("/usage_metrics");
    let lines: Vec<String> = page.text().lines().filter(|line| !line.starts_with('#')).map(str::to_string).collect();
    // Of the request, the batch counts without its own tag and length.
    let labels = "tenant=\"other\",tracker=\"cost-attribution\",team=\"shop\",missing=\"__missing__\"";
    assert_eq!(
        (page.content_type(), lines),
        ("text/plain", vec![format!("tempo_usage_tracker_bytes_received_total{{{labels}}} {}", size - 2)])
    );
}

#[test]
fn settings_are_shown_as_yaml() {
    let data = DataDir::new();
    let server = Server::start(&data);
    let diff = server.get("/status/config?mode=diff").text();
    assert!(diff.starts_with("GET /status/config\n---\n") && diff.contains("\n  http_listen_address: \"127.0.0.1\"\n"), "{diff}");
    assert!(!diff.contains("log_level") && server.get("/status/config?mode=defaults").text().contains("  http_listen_port: 3200\n"));
    assert!(server.get("/status").text().contains("GET /status/config\n---\n"));
}

/// As the ingesters of Tempo 2: what is recent becomes blocks, then the process ends.
#[test]
fn shutdown_flushes_and_ends() {
    let data = DataDir::new();
    let server = Server::start(&data);
    server.push(&shop(vec![span(1, 1, "a", 0)]));
    let answer = send(server.api, "POST", "/shutdown", &[], b"").expect("an answer");
    assert_eq!(answer.status, 204);
    assert!(server.wait().success());
    assert_eq!(data.blocks().len(), 1);
}
