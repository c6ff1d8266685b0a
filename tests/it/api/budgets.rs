//! What one query may cost: past it a clear refusal, and the others live on.

use crate::support::data::{self, MILLISECOND, T0, With, shop, span};
use crate::support::http::{Response, send, with_query};
use crate::support::server::{DataDir, Server};
use crate::support::stock::{messages, querier, wait};
use crate::support::until;
use conmoto::proto::tempopb as pb;
use tonic::Code;

/// Traces that are sent, and the spans of each.
const TRACES: u128 = 400;
const SPANS: u64 = 100;

fn server(keys: &str) -> Server {
    let data = DataDir::new();
    let server = Server::start_with(&data, &format!("{keys}{}", data.config()), &[]);
    for trace in 1..=TRACES {
        let value = |id: u64| format!("{trace}-{id}-{}", "long ".repeat(30));
        let one = |id: u64| span(trace, id, "work", trace as u64 * MILLISECOND).with("unique", data::text(&value(id)));
        server.push(&shop((1..=SPANS).map(one).collect()));
    }
    server
}

fn ask(server: &Server, path: &str, params: &[(&str, &str)]) -> Response {
    send(server.api, "GET", &with_query(path, params), &[], b"").expect("an answer")
}

/// The query with the most to show, and one with little.
const GREEDY: [(&str, &str); 3] = [("q", "{ }"), ("limit", "1000"), ("spss", "100")];
const MODEST: [(&str, &str); 3] = [("q", "{ name = `work` }"), ("limit", "3"), ("spss", "1")];

fn refused(answer: &Response) {
    let text = answer.text();
    assert_eq!(answer.status, 422, "{text}");
    assert!(text.starts_with("the query needs more than 1 MiB of memory") && text.ends_with("(query_memory_limit_bytes)"), "{text}");
}

#[test]
fn a_query_that_needs_too_much_is_refused_and_others_are_answered() {
    let server = server("query_memory_limit_bytes: 1048576\n");
    for flushed in [false, true] {
        if flushed {
            server.flush();
        }
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| refused(&ask(&server, "/api/search", &GREEDY)));
                scope.spawn(|| assert_eq!(ask(&server, "/api/search", &MODEST).json()["traces"].as_array().map(Vec::len), Some(3)));
            }
        });
        refused(&ask(&server, "/api/v2/search/tag/span.unique/values", &[]));
        assert_eq!(ask(&server, "/api/v2/search/tag/resource.service.name/values", &[]).status, 200);

        // Groups that do not fit are left out, and the answer says so.
        let (start, end) = (T0.to_string(), (T0 + 60).to_string());
        let by_value =
            ask(&server, "/api/metrics/query", &[("q", "{ } | count_over_time() by (span.unique)"), ("start", &start), ("end", &end)]);
        assert_eq!((by_value.status, &by_value.json()["status"]), (200, &"PARTIAL".into()));
        let all = ask(&server, "/api/metrics/query", &[("q", "{ } | count_over_time()"), ("start", &start), ("end", &end)]).json();
        assert_eq!((all["series"][0]["value"].as_f64(), all.get("status")), (Some(TRACES as f64 * SPANS as f64), None));
    }
    let asked = pb::SearchRequest { query: "{ }".to_string(), limit: 1000, spans_per_span_set: 100, ..Default::default() };
    let status = wait(async { messages(querier(server.grpc).await.search(asked).await).await }).expect_err("too much");
    assert_eq!(status.code(), Code::Unknown, "{}", status.message());
    until("all to be given back", || (server.metric("conmoto_memory_held_bytes{use=\"queries\"}") == 0.0).then_some(()));
}

/// A trace is read span by span into messages, whatever limit of its size holds afterwards.
#[test]
fn a_trace_that_is_too_large_to_be_read_is_refused() {
    let data = DataDir::new();
    let server = Server::start_with(&data, &format!("query_memory_limit_bytes: 1048576\n{}", data.config()), &[]);
    server.push(&shop((1..=2000).map(|id| span(1, id, "work", 0)).collect()));
    server.push(&shop(vec![span(2, 1, "work", 0)]));
    for _ in 0..2 {
        refused(&ask(&server, "/api/traces/1", &[]));
        refused(&ask(&server, "/api/v2/traces/1", &[]));
        assert_eq!(ask(&server, "/api/traces/2", &[]).status, 200);
        server.flush();
    }
}

#[test]
fn where_the_process_has_no_room_a_query_may_come_again() {
    // Of 64 MiB queries have 16 for themselves, all together share 26.
    let server = server(&format!("memory_limit_bytes: {}\nquery_memory_limit_bytes: {}\n", 64 << 20, 1 << 30));
    let answer = ask(&server, "/api/search", &GREEDY);
    let text = answer.text();
    assert_eq!((answer.status, answer.header("Retry-After")), (429, "5"), "{text}");
    assert!(text.starts_with("no memory for the query now, try again later: "), "{text}");
    let asked = pb::SearchRequest { query: "{ }".to_string(), limit: 1000, spans_per_span_set: 100, ..Default::default() };
    let status = wait(async { messages(querier(server.grpc).await.search(asked).await).await }).expect_err("no room");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(!status.details().is_empty(), "RetryInfo");
    assert_eq!(ask(&server, "/api/search", &MODEST).status, 200);
}

/// A timeout of no time at all ends scans and lookups alike, with the key that sets it.
#[test]
fn time_is_bounded_for_each_kind() {
    let data = DataDir::new();
    let keys = "querier:\n  search: {query_timeout: 1ns}\n  trace_by_id: {query_timeout: 1ns}\n";
    let server = Server::start_with(&data, &format!("{keys}{}", data.config()), &[]);
    server.push(&shop(vec![span(1, 1, "work", 0)]));
    for (path, key) in [("/api/search", "querier.search.query_timeout"), ("/api/traces/1", "querier.trace_by_id.query_timeout")] {
        let answer = ask(&server, path, &[]);
        assert_eq!(answer.status, 504);
        assert!(answer.text().ends_with(&format!("({key})")), "{}", answer.text());
    }
}
