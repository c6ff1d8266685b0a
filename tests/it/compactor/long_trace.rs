//! A trace of 300,000 spans in head, blocks and merged blocks, found whole by id and by search, in bounded memory.
//!
//! With a million spans, against a release build:
//! `CONMOTO_BINARY=… cargo test --test it long_trace -- --ignored --nocapture`.

use super::{eager, wait_for_rest};
use crate::support::client::matched;
use crate::support::data::{MILLISECOND, With, shop, span, text};
use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use conmoto::proto::otlp::TracesData;
use prost::Message;
use std::collections::HashSet;

const TRACE: u128 = 0x5eed_0000_0000_0001;
const SPANS_OF_A_REQUEST: u64 = 5_000;

/// A tree that is wide at the top and deep at the side.
fn request(first: u64) -> Vec<u8> {
    let one = |id: u64| {
        let started = span(TRACE, id, ["read", "write", "wait"][id as usize % 3], id * MILLISECOND);
        let placed = if id == 1 { started } else { started.child_of((id / 3).max(1)) };
        placed.with("step", text(&format!("step {}", id % 1000)))
    };
    shop((first..first + SPANS_OF_A_REQUEST).map(one).collect())
}

/// Every span once by id, all by search and by a count.
fn check(server: &Server, num_spans: u64, place: &str) {
    let path = format!("/api/traces/{TRACE:032x}");
    let answer = send(server.api, "GET", &path, &[("Accept", "application/protobuf")], b"").expect("an answer");
    assert_eq!(answer.status, 200, "{place}: {}", answer.text().chars().take(200).collect::<String>());
    // Version 1 is a `Trace`, of which the batches have the number that they have in `TracesData`.
    let trace = TracesData::decode(&answer.body[..]).expect("a trace");
    let scopes = trace.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let ids: Vec<Vec<u8>> = scopes.flat_map(|scope| scope.spans.iter().map(|span| span.span_id.clone())).collect();
    assert_eq!((ids.len() as u64, ids.iter().collect::<HashSet<_>>().len() as u64), (num_spans, num_spans), "{place}");
    let found = server.search("{ .step = \"step 7\" }");
    assert_eq!(found.iter().map(matched).collect::<Vec<_>>(), [num_spans / 1000], "{place}");
    let whole = server.search("{ } | count() > 1");
    assert_eq!(whole.iter().map(matched).collect::<Vec<_>>(), [num_spans], "{place}");
}

/// In so many pieces, each in a block of its own.
fn run(num_spans: u64, num_pieces: u64) -> usize {
    let data = DataDir::new();
    // A trace that is given out whole counts about a kilobyte for each span.
    let unbounded = "overrides:\n  defaults:\n    global:\n      max_bytes_per_trace: 0\nmemory_limit_bytes: 4294967296\nquery_memory_limit_bytes: 3221225472\nquerier:\n  trace_by_id:\n    query_timeout: 2m\n";
    let server = Server::start_with(&data, &format!("{}{unbounded}compactor:\n  disabled: true\n", data.config()), &[]);
    for number in 0..num_spans / SPANS_OF_A_REQUEST {
        server.push(&request(number * SPANS_OF_A_REQUEST + 1));
        if (number + 1) % (num_spans / SPANS_OF_A_REQUEST / num_pieces) == 0 && number + 1 < num_spans / SPANS_OF_A_REQUEST {
            server.flush();
        }
    }
    check(&server, num_spans, "in head and blocks");
    server.flush();
    check(&server, num_spans, "in blocks");
    assert!(data.blocks().len() >= num_pieces as usize);
    let unmerged = server.peak_bytes();
    assert!(server.terminate().success());
    drop(server);

    let server = Server::start_with(&data, &eager(&data, unbounded), &[]);
    wait_for_rest(&server);
    assert_eq!(data.blocks().len(), 1);
    check(&server, num_spans, "in a merged block");
    println!("{num_spans} spans of one trace: at most {} MiB in head and blocks, {} MiB merged", unmerged >> 20, server.peak_bytes() >> 20);
    unmerged.max(server.peak_bytes())
}

#[test]
fn a_trace_of_300_000_spans() {
    // The answer by id alone has 40 MB, and is made of messages that take several times as much.
    assert!(run(300_000, 3) < 1 << 30);
}

#[test]
#[ignore = "takes a minute; the command is at the top of this file"]
fn a_trace_of_a_million_spans() {
    assert!(run(1_000_000, 4) < 3 << 30);
}
