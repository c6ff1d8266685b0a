//! Newest first, in a total order, as many as were asked for.

use crate::support::client::{ALL, matched};
use crate::support::data::{self, SECOND, With, shop, span};
use crate::support::http::with_query;
use crate::support::rng::Rng;
use crate::support::server::Server;
use serde_json::Value;

const NUM_TRACES: u64 = 60;

/// Traces in the order in which searches show them: later first; of three that start together the smaller id first.
fn ids_in_order() -> Vec<(u128, u64)> {
    let mut traces: Vec<(u128, u64)> = (1..=NUM_TRACES).map(|id| (u128::from(id), id / 3 * SECOND)).collect();
    traces.sort_by_key(|(id, after)| (std::cmp::Reverse(*after), *id));
    traces
}

fn push_shuffled(server: &Server, mut meanwhile: impl FnMut(usize)) {
    let mut traces = ids_in_order();
    let mut rng = Rng::seeded(3);
    traces.sort_by_cached_key(|_| rng.next());
    for (at, (trace, after)) in traces.into_iter().enumerate() {
        let is_even = data::int((trace % 2) as i64);
        server.push(&shop((1..=5).map(|id| span(trace, id, "s", after + id).with("odd", is_even.clone())).collect()));
        meanwhile(at);
    }
}

fn ids(traces: &[Value]) -> Vec<u128> {
    traces.iter().map(|trace| u128::from_str_radix(trace["traceID"].as_str().unwrap_or_default(), 16).expect("hex")).collect()
}

fn check(server: &Server) {
    let all: Vec<u128> = ids_in_order().into_iter().map(|(id, _)| id).collect();
    let odd: Vec<u128> = all.iter().copied().filter(|id| id % 2 == 1).collect();
    for (query, wanted) in [("{ }", &all), ("{ span.odd = 1 }", &odd)] {
        for limit in ["1", "2", "7", "20", "59", ALL] {
            let wanted = &wanted[..wanted.len().min(limit.parse().expect("a number"))];
            assert_eq!(ids(&server.search_with(&[("q", query), ("limit", limit)])), wanted, "{query}, limit {limit}");
        }
        let by_default = server.search_with(&[("q", query)]);
        assert_eq!(ids(&by_default), wanted[..20], "{query}, no limit");
    }
    for (spss, shown) in [(None, 3), (Some("1"), 1), (Some("4"), 4), (Some("100"), 5)] {
        let params: Vec<(&str, &str)> = [("q", "{ }"), ("limit", "3")].into_iter().chain(spss.map(|spss| ("spss", spss))).collect();
        for trace in server.search_with(&params) {
            let spans = trace["spanSets"][0]["spans"].as_array().map(Vec::len);
            assert_eq!((matched(&trace), spans), (5, Some(shown)), "spss {spss:?}");
        }
    }
}

#[test]
fn in_the_head() {
    let server = Server::fresh();
    // Searches in between, so that there are several chunks.
    push_shuffled(&server, |at| {
        if at % 7 == 0 {
            server.search("{ }");
        }
    });
    check(&server);
}

#[test]
fn in_blocks_and_head() {
    let server = Server::fresh();
    push_shuffled(&server, |at| {
        if at % 17 == 16 {
            server.flush();
        }
    });
    check(&server);
    server.flush();
    check(&server);
}

#[test]
fn limits_are_checked() {
    let server = Server::fresh();
    for params in
        [&[("limit", "0")][..], &[("limit", "-1")], &[("limit", "x")], &[("limit", "262145")], &[("spss", "101")], &[("spss", "x")]]
    {
        let answer = server.get(&with_query("/api/search", &[&[("q", "{ }")], params].concat()));
        assert_eq!(answer.status, 400, "{params:?}: {}", answer.text());
        assert!(!answer.body.is_empty(), "{params:?}");
    }
}
