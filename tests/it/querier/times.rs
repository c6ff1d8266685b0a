//! Time ranges: traces that share a moment with the range, wherever they lie.

use crate::support::data::{SECOND, T0, With, shop, span};
use crate::support::http::with_query;
use crate::support::server::Server;

/// Three traces of two seconds, ten seconds apart.
fn push_traces(server: &Server, mut meanwhile: impl FnMut()) {
    for trace in 1..=3 {
        server.push(&shop(vec![span(trace, 1, "s", trace as u64 * 10 * SECOND).lasting(2 * SECOND)]));
        meanwhile();
    }
}

fn check(server: &Server) {
    for (start, end, wanted) in [
        (0, 60, &["3", "2", "1"][..]),
        (0, 9, &[]),
        (33, 60, &[]),
        (15, 25, &["2"]),
        // A trace that began before the range and ends in it, and one that ends after it.
        (11, 15, &["1"]),
        (5, 11, &["1"]),
        (11, 21, &["2", "1"]),
        (11, 31, &["3", "2", "1"]),
    ] {
        let (start, end) = ((T0 + start).to_string(), (T0 + end).to_string());
        let found = server.search_with(&[("q", "{ }"), ("start", &start), ("end", &end)]);
        let ids: Vec<&str> = found.iter().filter_map(|trace| trace["traceID"].as_str()).collect();
        assert_eq!(ids, wanted, "{start}..{end}");
    }
    // Without a range everything is seen, however old.
    assert_eq!(server.search("{ }").len(), 3);
}

#[test]
fn over_head_and_blocks() {
    let server = Server::fresh();
    push_traces(&server, || {});
    check(&server);
    server.flush();
    check(&server);
    let server = Server::fresh();
    push_traces(&server, || server.flush());
    check(&server);
}

/// A late span makes a trace overlap a range that its first spans do not reach.
#[test]
fn late_spans_count() {
    let server = Server::fresh();
    server.push(&shop(vec![span(1, 1, "s", 10 * SECOND)]));
    server.flush();
    server.push(&shop(vec![span(1, 2, "late", 50 * SECOND).child_of(1)]));
    let (start, end) = ((T0 + 45).to_string(), (T0 + 60).to_string());
    let params = [("q", "{ }"), ("start", &*start), ("end", &*end)];
    let counts = || server.search_with(&params).iter().map(crate::support::client::matched).collect::<Vec<_>>();
    assert_eq!(counts(), [2], "a trace that overlaps is judged whole");
    server.flush();
    assert_eq!(counts(), [2], "in two blocks");
}

#[test]
fn ranges_are_checked() {
    let server = Server::fresh();
    for (start, end) in [("5", "5"), ("6", "5"), ("x", "5"), ("5", "x"), ("5", "604806"), ("", "5")] {
        let answer = server.get(&with_query("/api/search", &[("q", "{ }"), ("start", start), ("end", end)]));
        assert_eq!(answer.status, 400, "{start}..{end}: {}", answer.text());
    }
}
