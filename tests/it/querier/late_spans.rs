//! A trace whose spans lie in several places is one trace.

use crate::support::client::matched;
use crate::support::data::{MILLISECOND, SECOND, T0, With, request, service, shop, span};
use crate::support::server::{DataDir, Server};
use serde_json::{Value, json};

const TRACE: u128 = 0xabc;

/// The early spans: no root yet.
fn early() -> Vec<u8> {
    let call = span(TRACE, 2, "call", 10 * MILLISECOND).child_of(1).lasting(20 * MILLISECOND);
    let query = span(TRACE, 3, "query", 12 * MILLISECOND).child_of(2).failed();
    request(vec![service("front", vec![call]), service("store", vec![query])])
}

/// The late ones: the root, which starts first, and a span that ends last.
fn late() -> Vec<u8> {
    let root = span(TRACE, 1, "root", 0).lasting(40 * MILLISECOND);
    let email = span(TRACE, 4, "email", 900 * MILLISECOND).child_of(1).lasting(100 * MILLISECOND);
    request(vec![service("front", vec![root, email])])
}

/// What a search must say of the trace before the late spans come.
fn check_early(server: &Server) {
    let found = only_trace(server, "{ }");
    assert_eq!((&found["rootServiceName"], &found["rootTraceName"]), (&json!("<root span not yet received>"), &Value::Null));
    assert_eq!((&found["durationMs"], matched(&found)), (&json!(20), 2));
}

/// What every answer must say of the whole trace.
fn check_whole(server: &Server, place: &str) {
    let found = only_trace(server, "{ }");
    let start = (T0 * SECOND).to_string();
    assert_eq!((&found["rootServiceName"], &found["rootTraceName"]), (&json!("front"), &json!("root")), "{place}");
    assert_eq!((&found["startTimeUnixNano"], &found["durationMs"]), (&json!(start), &json!(1000)), "{place}");
    assert_eq!(found["serviceStats"], json!({"front": {"spanCount": 3}, "store": {"spanCount": 1, "errorCount": 1}}), "{place}");
    for (query, count) in [
        ("{ }", 4),
        ("{ name = \"query\" }", 1),
        ("{ name = \"email\" }", 1),
        ("{ resource.service.name = \"front\" }", 3),
        // What is asked of the trace as a whole holds for its early and its late spans.
        ("{ rootName = \"root\" }", 4),
        ("{ rootServiceName = \"front\" && status = error }", 1),
        ("{ traceDuration = 1s && name = \"call\" }", 1),
        ("{ trace:duration > 999ms }", 4),
        ("{ traceDuration < 500ms }", 0),
    ] {
        assert_eq!(server.count(query), count, "{place}: {query}");
        if count > 0 {
            assert_eq!(only_trace(server, query)["serviceStats"]["front"]["spanCount"], 3, "{place}: {query}");
        }
    }
    assert_eq!(server.span_ids(TRACE).len(), 4, "{place}");
    let shown = server.search_with(&[("q", "{ }"), ("spss", "3")]);
    assert_eq!((matched(&shown[0]), shown[0]["spanSets"][0]["spans"].as_array().map(Vec::len)), (4, Some(3)), "{place}");
}

fn only_trace(server: &Server, query: &str) -> Value {
    let mut traces = server.search(query);
    assert_eq!(traces.len(), 1, "{query}");
    traces.remove(0)
}

#[test]
fn late_spans_join_their_trace() {
    let data = DataDir::new();
    let server = Server::start(&data);
    server.push(&early());
    check_early(&server);
    server.flush();
    check_early(&server);
    server.push(&late());
    check_whole(&server, "in a block and the head");
    server.flush();
    check_whole(&server, "in two blocks");
    assert_eq!(data.blocks().len(), 2);
    server.kill();
    check_whole(&Server::start(&data), "in two blocks after a restart");
}

#[test]
fn early_and_late_spans_in_the_head() {
    let server = Server::fresh();
    server.push(&late());
    // A search between them puts them into different chunks.
    assert_eq!(server.count("{ }"), 2);
    server.push(&early());
    check_whole(&server, "in two chunks of the head");
    server.flush();
    check_whole(&server, "in one block");
}

/// A trace in a block, in the head, and in the log of a process that was killed.
#[test]
fn late_spans_survive_a_restart() {
    let data = DataDir::new();
    let server = Server::start(&data);
    server.push(&early());
    server.flush();
    server.push(&late());
    server.kill();
    drop(server);
    let server = Server::start(&data);
    check_whole(&server, "in a block and replayed");
    // Another trace changes nothing of it.
    server.push(&shop(vec![span(1, 1, "other", 0)]));
    assert_eq!(server.search("{ traceDuration = 1s }").len(), 1);
    server.flush();
    assert_eq!((server.search("{ }").len(), server.span_ids(TRACE).len()), (2, 4));
}
