//! Answers before and after a merge.

use super::{eager, wait_for_rest};
use crate::support::client::{flattened, matched};
use crate::support::data::{self, MILLISECOND, With, request, service, span};
use crate::support::server::{DataDir, Server};
use crate::support::until;
use serde_json::Value;

const NUM_TRACES: u128 = 40;

/// The spans of a round: each trace goes on in the next one.
fn round(number: u64) -> Vec<u8> {
    let spans = (1..=NUM_TRACES).map(|trace| {
        let id = number * 100 + 1;
        let started = span(trace, id, "work", number * 7 * MILLISECOND + trace as u64 * MILLISECOND);
        let started = if number == 0 { started } else { started.child_of(1) };
        started.with("round", data::int(number as i64)).with("trace", data::text(&format!("t{trace}")))
    });
    request(vec![service(["front", "store", "pay"][number as usize % 3], spans.collect())])
}

/// All answers that must not change.
fn answers(server: &Server) -> Vec<Value> {
    let mut all = Vec::new();
    for trace in 1..=NUM_TRACES {
        let mut spans: Vec<String> = match flattened(&server.trace(trace).expect("it was sent")) {
            Value::Array(spans) => spans.iter().map(Value::to_string).collect(),
            other => panic!("no list: {other}"),
        };
        spans.sort();
        all.push(spans.into());
    }
    for query in [
        "{ }",
        "{ .round = 3 }",
        "{ .trace = \"t7\" }",
        "{ resource.service.name = \"pay\" }",
        "{ traceDuration > 30ms }",
        "{ name = \"no\" }",
    ] {
        let found = server.search(query);
        all.push(found.iter().map(matched).sum::<u64>().into());
        all.push(Value::Array(found.iter().map(|trace| trace["traceID"].clone()).collect()));
        all.push(Value::Array(found.iter().map(|trace| trace["serviceStats"].clone()).collect()));
        all.push(Value::Array(found.iter().map(|trace| trace["durationMs"].clone()).collect()));
        all.push(Value::Array(found.iter().map(|trace| trace["rootTraceName"].clone()).collect()));
    }
    all.push(server.get_json("/api/search/tags")["tagNames"].clone());
    all.push(server.get_json("/api/search/tag/trace/values")["tagValues"].clone());
    all
}

#[test]
fn answers_stay_the_same() {
    let data = DataDir::new();
    let server = Server::start_with(&data, &format!("{}compactor:\n  disabled: true\n", data.config()), &[]);
    for number in 0..6 {
        server.push(&round(number));
        server.flush();
    }
    // What is sent again after its block was cut is in two blocks.
    server.push(&round(2));
    server.flush();
    assert_eq!(data.blocks().len(), 7);
    let before = answers(&server);
    assert!(server.terminate().success());
    drop(server);

    let server = Server::start_with(&data, &eager(&data, ""), &[]);
    wait_for_rest(&server);
    assert_eq!(data.blocks().len(), 1);
    assert_eq!(answers(&server), before);
    assert_eq!(server.metric("conmoto_compaction_duplicate_spans_total"), NUM_TRACES as f64);
    assert!(server.terminate().success());
    drop(server);
    assert_eq!(answers(&Server::start(&data)), before);
}

#[test]
fn late_spans_find_their_trace_in_a_merged_block() {
    let data = DataDir::new();
    let server = Server::start_with(&data, &eager(&data, ""), &[]);
    for number in 0..3 {
        server.push(&round(number));
        server.flush();
    }
    wait_for_rest(&server);
    server.push(&round(3));
    assert_eq!((server.count("{ }"), server.span_ids(1).len()), (4 * NUM_TRACES as u64, 4));
    server.flush();
    assert_eq!((server.count("{ }"), server.span_ids(1).len()), (4 * NUM_TRACES as u64, 4));
    wait_for_rest(&server);
    assert_eq!((server.count("{ }"), server.span_ids(1).len(), data.blocks().len()), (4 * NUM_TRACES as u64, 4, 1));
}

#[test]
fn blocks_are_deleted_when_their_time_is_over() {
    let data = DataDir::new();
    let server = Server::start_with(&data, &eager(&data, "    block_retention: 2s\n"), &[]);
    server.push(&round(0));
    server.flush();
    // The spans are weeks old and have just arrived.
    assert_eq!(server.count("{ }"), NUM_TRACES as u64);
    until("retention", || (server.count("{ }") == 0 && data.blocks().is_empty()).then_some(()));
    assert_eq!(server.metric("tempodb_retention_deleted_total"), 1.0);
}

/// The log may still have records of blocks that were merged, and even merged again; they are not taken for new ones.
#[test]
fn merged_spans_do_not_come_back_from_the_log() {
    let data = DataDir::new();
    for _ in 0..2 {
        let server = Server::start_with(&data, &eager(&data, ""), &[]);
        for number in 0..3 {
            server.push(&round(number));
            server.flush();
        }
        wait_for_rest(&server);
        server.kill();
        let server = Server::start_with(&data, &eager(&data, ""), &[]);
        let held = server.get("/metrics").text();
        let held: Vec<&str> = held.lines().filter(|line| line.starts_with("conmoto_head_bytes{") && !line.ends_with(" 0.0")).collect();
        assert!(held.is_empty(), "{held:?}");
        server.kill();
    }
}
