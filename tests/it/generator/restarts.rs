//! What a restart does, and spans that are late.

use super::{call, config, now_nanos, scrape, span_now, total, wait_for};
use crate::support::data::{request, service};
use crate::support::server::{DataDir, Server};
use crate::support::until;
use conmoto::proto::otlp::SpanKind;

const CALLS: &str = "traces_spanmetrics_calls_total";

#[test]
fn replayed_spans_are_not_counted_again() {
    let data = DataDir::new();
    let server = Server::start_with(&data, &config(&data, "", ""), &[]);
    server.push(&request(call(1)));
    wait_for(&server, CALLS, ("service", "shop"), 2.0);
    server.kill();
    let server = Server::start_with(&data, &config(&data, "", ""), &[]);
    assert_eq!(server.count("{ }"), 3, "the log brought them back");
    server.push(&request(call(2)));
    wait_for(&server, CALLS, ("service", "shop"), 2.0);
    // A query seals the chunk that has old and new rows.
    assert_eq!(server.count("{ }"), 6);
    server.push(&request(call(3)));
    wait_for(&server, CALLS, ("service", "shop"), 4.0);
    assert_eq!(server.metric("tempo_metrics_generator_spans_received_total"), 6.0);
}

#[test]
fn late_and_early_spans_are_left_out_and_counted() {
    let server = super::started("", "");
    let mut late = span_now(1, 1, "late", SpanKind::Server);
    late.end_time_unix_nano = now_nanos() - 40_000_000_000;
    late.start_time_unix_nano = late.end_time_unix_nano - 1;
    let mut early = span_now(1, 2, "early", SpanKind::Server);
    early.end_time_unix_nano = now_nanos() + 600_000_000_000;
    // It began long ago, and ended just now.
    let mut long = span_now(1, 3, "long", SpanKind::Server);
    long.start_time_unix_nano -= 3_600_000_000_000;
    server.push(&request(vec![service("shop", vec![late, early, long])]));
    wait_for(&server, CALLS, ("span_name", "long"), 1.0);
    assert_eq!(server.metric("tempo_metrics_generator_spans_discarded_total"), 2.0);
    assert!(!scrape(&server, &[]).keys().any(|key| key.get("span_name").is_some_and(|name| name != "long")));
}

#[test]
fn spans_are_counted_once_wherever_they_go() {
    let server = super::started("", "");
    for trace in 0..20 {
        server.push(&request(call(trace + 1)));
        match trace % 3 {
            0 => drop(server.count("{ }")),
            1 => server.flush(),
            _ => {}
        }
    }
    wait_for(&server, CALLS, ("service", "cart"), 20.0);
}

#[test]
fn tenants_are_kept_apart() {
    let data = DataDir::new();
    let server = Server::start_with(&data, &config(&data, "", "multitenancy_enabled: true\n"), &[]);
    for (tenant, num) in [("a", 1), ("b", 2)] {
        for trace in 0..num {
            let headers = [("Content-Type", "application/x-protobuf"), ("X-Scope-OrgID", tenant)];
            let answer = crate::support::http::send(server.otlp_http, "POST", "/v1/traces", &headers, &request(call(trace + 1)));
            assert_eq!(answer.expect("an answer").status, 200);
        }
    }
    for (tenant, wanted) in [("a", 1.0), ("b", 2.0), ("c", 0.0)] {
        let headers = [("X-Scope-OrgID", tenant)];
        until("the calls of a tenant", || (total(&server, &headers, CALLS, ("service", "cart")) == wanted).then_some(()));
    }
    assert_eq!(server.get("/metrics/generated").status, 401);
    assert_eq!(server.get("/prometheus/api/v1/labels").status, 401);
}
