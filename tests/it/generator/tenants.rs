//! Settings of single tenants, from a file that changes while the server runs.

use super::{SeriesKey, call, config, scrape, total};
use crate::support::data::request;
use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use crate::support::until;

const CALLS: &str = "traces_spanmetrics_calls_total";
const GRAPH: &str = "traces_service_graph_request_total";

fn write(data: &DataDir, text: &str) {
    // In one step, as editors and Kubernetes do.
    let (new, file) = (data.path().join("tenants.new"), data.path().join("tenants.yaml"));
    std::fs::write(&new, text).expect("writable");
    std::fs::rename(new, file).expect("writable");
}

fn push(server: &Server, tenant: &str, trace: u128) {
    let headers = [("Content-Type", "application/x-protobuf"), ("X-Scope-OrgID", tenant)];
    let answer = send(server.otlp_http, "POST", "/v1/traces", &headers, &request(call(trace))).expect("an answer");
    assert_eq!(answer.status, 200);
}

fn of(server: &Server, tenant: &str, name: &str) -> Vec<(SeriesKey, f64)> {
    scrape(server, &[("X-Scope-OrgID", tenant)]).into_iter().filter(|(key, _)| key["__name__"] == name).collect()
}

fn calls(server: &Server, tenant: &str, service: &str) -> f64 {
    total(server, &[("X-Scope-OrgID", tenant)], CALLS, ("service", service))
}

#[test]
fn each_tenant_has_its_own_and_a_reload_changes_only_what_it_names() {
    let data = DataDir::new();
    // No processor runs by default here, so that the file switches one on.
    let file = format!(
        "overrides:\n  per_tenant_override_config: {}\n  per_tenant_override_period: 20ms\n  defaults: {{metrics_generator: {{processors: []}}}}\n",
        data.path().join("tenants.yaml").display()
    );
    write(&data, "overrides:\n  a:\n    metrics_generator: {processors: [span-metrics]}\n");
    let server = Server::start_with(&data, &format!("multitenancy_enabled: true\n{}", config(&data, "", &file)), &[]);
    push(&server, "a", 1);
    push(&server, "b", 1);
    until("calls of a", || (calls(&server, "a", "shop") == 2.0).then_some(()));
    assert!(of(&server, "a", GRAPH).is_empty() && of(&server, "b", CALLS).is_empty());

    let with_both = "overrides:\n  a:\n    metrics_generator:\n      processors: [span-metrics, service-graphs]\n  b:\n    \
                     metrics_generator_processors: [span-metrics]\n    metrics_generator_processor_span_metrics_dimensions: [service.name]\n";
    write(&data, with_both);
    let active = |processor: &str, tenant: &str| {
        let parts = [format!("tenant=\"{tenant}\""), format!("processor=\"{processor}\"")];
        let text = send(server.api, "GET", "/metrics", &[], b"").expect("an answer").text().to_string();
        let mut lines = text.lines().filter(|line| line.starts_with("tempo_metrics_generator_active_processors{"));
        let line = lines.find(|line| parts.iter().all(|part| line.contains(part)))?;
        line.rsplit_once(' ')?.1.parse().is_ok_and(|value: f64| value == 1.0).then_some(())
    };
    until("a to have both", || active("service-graphs", "a"));
    until("b to have one", || active("span-metrics", "b"));
    push(&server, "a", 2);
    push(&server, "b", 2);
    until("calls of both", || (calls(&server, "a", "shop") == 4.0 && calls(&server, "b", "shop") == 2.0).then_some(()));
    until("an edge of a", || (of(&server, "a", GRAPH).iter().any(|(key, value)| key["server"] == "cart" && *value == 1.0)).then_some(()));
    assert!(of(&server, "b", GRAPH).is_empty());
    assert!(of(&server, "b", CALLS).iter().all(|(key, _)| key["service_name"] == key["service"]), "{:?}", of(&server, "b", CALLS));

    // A file that is wrong changes nothing.
    let mut server = server;
    server.expect_log("the limits of tenants cannot be read");
    write(&data, "overrides:\n  a:\n    metrics_generator: {processors: [span-metric]}\n");
    until("the error", || (server.metric("tempo_runtime_config_last_reload_successful") == 0.0).then_some(()));
    push(&server, "a", 3);
    until("calls of a", || (calls(&server, "a", "shop") == 6.0).then_some(()));
}
