//! The queries that Grafana sends for its service graph, answered without a Prometheus (spec/metrics-generator.md §13).

use super::{call, started, wait_for};
use crate::support::data::request;
use crate::support::http::{send, with_query};
use crate::support::server::Server;
use crate::support::until;
use serde_json::{Value, json};

const GRAPH: [&str; 4] = [
    "traces_service_graph_request_total",
    "traces_service_graph_request_failed_total",
    "traces_service_graph_request_server_seconds_sum",
    "traces_service_graph_request_server_seconds_bucket",
];

/// Ten calls, and two collections after them.
fn asked() -> Server {
    let server = started("  processor: {service_graphs: {wait: 1s}}\n", "");
    (0..10).for_each(|trace| server.push(&request(call(trace + 1))));
    wait_for(&server, "traces_service_graph_request_total", ("client", "user"), 10.0);
    wait_for(&server, "traces_service_graph_request_total", ("client", "shop"), 10.0);
    let before = server.metric("tempo_metrics_generator_registry_collections_total");
    until("two collections", || (server.metric("tempo_metrics_generator_registry_collections_total") >= before + 2.0).then_some(()));
    server
}

fn query(server: &Server, query: &str) -> Value {
    server.get_json(&with_query("/prometheus/api/v1/query", &[("query", query)]))["data"].clone()
}

/// Labels and values of an instant query.
fn vector(server: &Server, text: &str) -> Vec<(Value, f64)> {
    let data = query(server, text);
    assert_eq!(data["resultType"], "vector", "{text}: {data}");
    let one = |one: &Value| (one["metric"].clone(), one["value"][1].as_str().expect("a text").parse().expect("a number"));
    data["result"].as_array().expect("a list").iter().map(one).collect()
}

#[test]
fn the_service_graph_has_its_nodes_and_edges() {
    let server = asked();
    for metric in GRAPH {
        let rates = vector(&server, &format!("sum by (client, server) (rate({metric}[3600s]))"));
        let edges: Vec<&Value> = rates.iter().map(|(labels, _)| labels).collect();
        let failed_edges = [&json!({"client": "shop", "server": "cart"})];
        match metric {
            "traces_service_graph_request_failed_total" => assert_eq!(edges, failed_edges),
            _ => assert_eq!(edges, [&json!({"client": "shop", "server": "cart"}), &json!({"client": "user", "server": "shop"})]),
        }
        assert!(rates.iter().all(|(_, rate)| *rate > 0.0), "{metric}: {rates:?}");
        let groups = vector(&server, &format!("group by (client, connection_type, server) ({metric})"));
        assert!(groups.iter().all(|(_, value)| *value == 1.0) && groups.len() == edges.len(), "{metric}: {groups:?}");
    }
    let labels = "group by (client, connection_type, server) (traces_service_graph_request_total{client=\"user\"})";
    assert_eq!(vector(&server, labels), [(json!({"client": "user", "connection_type": "virtual_node", "server": "shop"}), 1.0)]);
    let filtered = "sum by (client, server) (rate(traces_service_graph_request_total{client=\"shop\"}[3600s])) OR \
                    sum by (client, server) (rate(traces_service_graph_request_total{server=\"shop\"}[3600s]))";
    assert_eq!(vector(&server, filtered).len(), 2);
    let names =
        "sum by (client, server, client_service_namespace, server_service_namespace) (rate(traces_service_graph_request_total[3600s]))";
    assert_eq!(vector(&server, names).len(), 2, "namespaces that no edge has do no harm");
}

#[test]
fn the_table_and_the_links_have_rates_errors_and_durations() {
    let server = asked();
    let by_name =
        vector(&server, "topk(5, sum(rate(traces_spanmetrics_calls_total{span_kind=\"SPAN_KIND_SERVER\"}[3600s])) by (span_name))");
    let mut names: Vec<&str> = by_name.iter().filter_map(|(labels, _)| labels["span_name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Cart.Get", "GET /"]);
    let errors = "topk(5, sum(rate(traces_spanmetrics_calls_total{status_code=\"STATUS_CODE_ERROR\",span_name=~\"Cart.Get|GET /\"}[3600s])) by (span_name))";
    assert_eq!(vector(&server, errors).len(), 1);
    let p90 =
        vector(&server, "histogram_quantile(.9, sum(rate(traces_spanmetrics_latency_bucket{span_name=~\"Cart.Get\"}[3600s])) by (le))");
    // Spans of 5 ms lie between 4 and 8.
    assert!(p90.len() == 1 && (0.004..=0.008).contains(&p90[0].1), "{p90:?}");
    let link = "histogram_quantile(0.9, sum(rate(traces_service_graph_request_server_seconds_bucket{client=\"shop\", server=\"cart\"}[1m])) by (le, client, server))";
    assert!(vector(&server, link).iter().all(|(labels, _)| *labels == json!({"client": "shop", "server": "cart"})));
}

#[test]
fn labels_series_and_ranges() {
    let server = asked();
    let list = |path: &str, params: &[(&str, &str)]| {
        let data = server.get_json(&with_query(&format!("/prometheus/api/v1/{path}"), params))["data"].clone();
        data.as_array().cloned().unwrap_or_default()
    };
    let available = "{__name__=~\"traces_service_graph_request_server_seconds_sum|traces_service_graph_request_total\"}";
    assert_eq!(list("labels", &[("match[]", available)]), ["__name__", "client", "connection_type", "server"]);
    assert_eq!(list("label/client/values", &[("match[]", "traces_service_graph_request_total")]), ["shop", "user"]);
    assert_eq!(list("series", &[("match[]", "traces_service_graph_request_failed_total")]).len(), 1);
    assert!(list("label/__name__/values", &[]).contains(&json!("traces_spanmetrics_latency_bucket")));

    let now = super::now_nanos() / 1_000_000_000;
    let (start, end) = ((now - 60).to_string(), (now + 60).to_string());
    let range = [("query", "sum(traces_spanmetrics_calls_total)"), ("start", &start), ("end", &end), ("step", "15s")];
    let data = server.get_json(&with_query("/prometheus/api/v1/query_range", &range))["data"].clone();
    assert_eq!(data["resultType"], "matrix");
    let values = data["result"][0]["values"].as_array().expect("values");
    assert_eq!(values.last().map(|point| point[1].clone()), Some(json!("30")), "{data}");

    let form = b"query=1%2B1&time=1790000000";
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = send(server.api, "POST", "/prometheus/api/v1/query", &headers, form).expect("an answer");
    assert_eq!(answer.json()["data"], json!({"resultType": "scalar", "result": [1_790_000_000, "2"]}), "{}", answer.text());
}

#[test]
fn what_is_not_answered_is_refused_with_what_is() {
    let server = Server::fresh();
    for (query, message) in [
        ("deriv(traces_spanmetrics_calls_total[5m])", "function deriv is not supported"),
        ("a and b", "operator and is not supported"),
        ("rate(a[5m:1m])", "a subquery is not supported"),
        ("rate(a[5m] offset 1h)", "an offset is not supported"),
        ("sum(", "parse error at char 5: unexpected end of input"),
        ("{a=~\".*\"}", "must have a matcher that does not accept the empty text"),
        ("sum by (a (b)", "parse error"),
    ] {
        let answer = server.get(&with_query("/prometheus/api/v1/query", &[("query", query)]));
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && error.contains(message), "{query}: {} {error}", answer.status);
    }
    assert_eq!(server.get("/prometheus/api/v1/alerts").status, 404);
    assert_eq!(server.get("/prometheus/api/v1/query?query=up").json()["data"]["result"], json!([]));
}
