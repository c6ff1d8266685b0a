//! Senders that got no answer send again: identical spans are one span.

use crate::support::client::matched;
use crate::support::data::{shop, span};
use crate::support::server::{DataDir, Server};
use serde_json::json;

/// Where a span that was sent more than once is shown more than once.
#[derive(Default)]
struct Doubled(Vec<String>);

impl Doubled {
    fn look(&mut self, server: &Server, place: &str) {
        let ids = server.span_ids(1);
        if ids != ["0000000000000001", "0000000000000002"] {
            self.0.push(format!("{place}: by id: {ids:?}"));
        }
        let traces = server.search("{ }");
        let counts: Vec<u64> = traces.iter().map(matched).collect();
        if counts != [2] {
            self.0.push(format!("{place}: by search: {counts:?}"));
        }
        let stats = &traces[0]["serviceStats"];
        if *stats != json!({"shop": {"spanCount": 2}}) {
            self.0.push(format!("{place}: in the counts by service: {stats}"));
        }
    }

    fn assert_nowhere(&self) {
        assert!(self.0.is_empty(), "shown more than once:\n{}", self.0.join("\n"));
    }
}

#[test]
fn a_request_sent_twice_is_stored_once() {
    let request = shop(vec![span(1, 1, "a", 0), span(1, 2, "b", 5)]);
    let data = DataDir::new();
    let server = Server::start(&data);
    let mut doubled = Doubled::default();
    server.push(&request);
    server.push(&request);
    doubled.look(&server, "in the head");
    server.push(&request);
    doubled.look(&server, "in two chunks of the head");
    server.flush();
    doubled.look(&server, "in a block");
    server.push(&request);
    doubled.look(&server, "in a block and the head");
    server.flush();
    doubled.look(&server, "in two blocks");
    server.push(&request);
    server.kill();
    doubled.look(&Server::start(&data), "after a restart");
    doubled.assert_nowhere();
}

#[test]
fn a_span_twice_in_a_request_is_stored_once() {
    let server = Server::fresh();
    let mut doubled = Doubled::default();
    server.push(&shop(vec![span(1, 1, "a", 0), span(1, 2, "b", 5), span(1, 1, "a", 0)]));
    doubled.look(&server, "in the head");
    server.flush();
    doubled.look(&server, "in a block");
    doubled.assert_nowhere();
}
