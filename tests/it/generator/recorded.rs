//! Every series that Tempo's generator wrote for the shared data, from the server itself (`src/generator/tests.rs` has the same
//! without a server).

use super::{SeriesKey, scrape, started};
use crate::conformance::{recorded_requests, recording};
use crate::support::server::Server;
use crate::support::until;
use serde_json::Value;
use std::collections::BTreeMap;

/// The recorder took off what tells one instance from another.
const NOT_RECORDED: [&str; 2] = ["job", "instance"];

const DEFAULT: &str = "  metrics_ingestion_time_range_slack: 900000h
  processor:
    service_graphs:
      wait: 5s
";

const RICH: &str = "  metrics_ingestion_time_range_slack: 900000h
  processor:
    service_graphs:
      wait: 5s
      dimensions: [cloud.region]
      enable_client_server_prefix: true
      enable_virtual_node_label: true
      enable_messaging_system_latency_histogram: true
    span_metrics:
      dimensions: [http.method, http.status_code, deployment.environment]
      intrinsic_dimensions: {status_message: true}
      enable_target_info: true
      histogram_buckets: [0.001, 0.01, 0.1, 1]
";

#[test]
fn default_settings() {
    check(&started(DEFAULT, ""), "generator-default.jsonl.gz");
}

#[test]
fn rich_settings() {
    check(&started(RICH, ""), "generator-rich.jsonl.gz");
}

fn check(server: &Server, name: &str) {
    recorded_requests().iter().for_each(|request| server.push(request));
    let wanted = wanted(name);
    let mut difference = String::new();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(40);
    until("the recorded series", || {
        difference = first_difference(&got(server), &wanted).unwrap_or_default();
        (difference.is_empty() || std::time::Instant::now() > end).then_some(())
    });
    assert_eq!(difference, "");
}

fn got(server: &Server) -> BTreeMap<SeriesKey, f64> {
    let without = |(mut key, value): (SeriesKey, f64)| {
        NOT_RECORDED.iter().for_each(|label| drop(key.remove(*label)));
        (key, value)
    };
    scrape(server, &[]).into_iter().map(without).collect()
}

fn wanted(name: &str) -> BTreeMap<SeriesKey, f64> {
    let line = |line: &Value| (serde_json::from_value(line["series"].clone()).expect("labels"), line["value"].as_f64().expect("a number"));
    recording(name).iter().map(line).collect()
}

fn first_difference(got: &BTreeMap<SeriesKey, f64>, wanted: &BTreeMap<SeriesKey, f64>) -> Option<String> {
    let close = |one: f64, other: f64| (one - other).abs() <= 1e-6 * one.abs().max(1.0);
    let keys = wanted.keys().chain(got.keys().filter(|key| !wanted.contains_key(*key)));
    let differs = |key: &&SeriesKey| !matches!((got.get(*key), wanted.get(*key)), (Some(got), Some(wanted)) if close(*got, *wanted));
    keys.into_iter().find(differs).map(|key| format!("{key:?}: got {:?}, wanted {:?}", got.get(key), wanted.get(key)))
}
