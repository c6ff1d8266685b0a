//! What retention has deleted does not come back from the log, whose segments others may still need.

use crate::support::data::{shop, span};
use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use crate::support::until;

fn config(data: &DataDir, retention: &str) -> String {
    format!(
        "multitenancy_enabled: true\n{}compactor:\n  compaction:\n    compaction_cycle: 150ms\n    block_retention: {retention}\n",
        data.config()
    )
}

fn push(server: &Server, tenant: &str, request: &[u8]) {
    let headers = [("Content-Type", "application/x-protobuf"), ("X-Scope-OrgID", tenant)];
    assert_eq!(send(server.otlp_http, "POST", "/v1/traces", &headers, request).expect("an answer").status, 200);
}

/// Spans of trace 1 that a tenant has.
fn num_spans(server: &Server, tenant: &str) -> usize {
    let answer = send(server.api, "GET", "/api/search?q=%7B%7D", &[("X-Scope-OrgID", tenant)], b"").expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let traces = answer.json()["traces"].as_array().cloned().unwrap_or_default();
    traces.iter().map(|trace| crate::support::client::matched(trace) as usize).sum()
}

/// The head of `other` pins the only segment; the spans of `old` are in a block.
fn started(data: &DataDir, retention: &str, failpoint: Option<&str>) -> Server {
    let variables: Vec<_> = failpoint.map(|failpoint| ("CONMOTO_FAILPOINT", failpoint)).into_iter().collect();
    let server = Server::start_loading(data, &config(data, retention), &variables);
    push(&server, "old", &shop((1..=20).map(|id| span(1, id, "old", id)).collect()));
    push(&server, "other", &shop(vec![span(1, 1, "recent", 1)]));
    // It may die as soon as the block is there.
    let _ = send(server.api, "POST", "/flush?tenant=old", &[("X-Scope-OrgID", "old")], b"");
    server
}

#[test]
fn deleted_spans_stay_away_while_another_head_pins_their_segment() {
    let data = DataDir::new();
    let server = started(&data, "1s", None);
    until("end of the block", || data.blocks().is_empty().then_some(()));
    assert_eq!((num_spans(&server, "old"), num_spans(&server, "other")), (0, 1));
    server.kill();
    drop(server);
    let server = Server::start_with(&data, &config(&data, "336h"), &[]);
    assert_eq!((num_spans(&server, "old"), num_spans(&server, "other")), (0, 1));
    assert_eq!(server.metric("conmoto_wal_replayed_records_total"), 2.0, "the log still has both");
    send(server.api, "POST", "/flush", &[("X-Scope-OrgID", "other")], b"").expect("an answer");
    server.kill();
    drop(server);
    let server = Server::start_with(&data, &config(&data, "336h"), &[]);
    assert_eq!((num_spans(&server, "old"), num_spans(&server, "other")), (0, 1));
    let left = std::fs::read_dir(data.path().join("wal")).expect("a log").map(|entry| entry.expect("readable").file_name());
    let ledgers: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("flush-")).collect();
    assert!(ledgers.is_empty(), "ledgers go with the segments that they are about: {ledgers:?}");
}

#[test]
fn a_death_between_the_mark_and_the_deletion_leaves_the_block() {
    let data = DataDir::new();
    let server = started(&data, "1s", Some("wal.settled"));
    until("death", || server.process.ended());
    drop(server);
    let server = Server::start_with(&data, &config(&data, "336h"), &[]);
    assert_eq!((num_spans(&server, "old"), num_spans(&server, "other")), (20, 1));
}
