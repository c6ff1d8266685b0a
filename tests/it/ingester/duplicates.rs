//! Senders that got no answer send again: identical spans are one span.

use crate::support::client::matched;
use crate::support::data::{shop, span};
use crate::support::server::{DataDir, Server};

fn assert_shown_once(server: &Server, place: &str) {
    assert_eq!(server.span_ids(1), ["0000000000000001", "0000000000000002"], "{place}: by id");
    let traces = server.search("{ }");
    assert_eq!(traces.iter().map(matched).collect::<Vec<_>>(), [2], "{place}: by search");
    assert_eq!(traces[0]["serviceStats"]["shop"]["spanCount"], 2, "{place}: in the counts by service");
}

#[test]
fn a_request_sent_twice_is_stored_once() {
    let request = shop(vec![span(1, 1, "a", 0), span(1, 2, "b", 5)]);
    let data = DataDir::new();
    let server = Server::start(&data);
    server.push(&request);
    server.push(&request);
    assert_shown_once(&server, "in the head");
    server.push(&request);
    assert_shown_once(&server, "in two chunks of the head");
    server.flush();
    assert_shown_once(&server, "in a block");
    server.push(&request);
    assert_shown_once(&server, "in a block and the head");
    server.flush();
    assert_shown_once(&server, "in two blocks");
    server.push(&request);
    server.kill();
    assert_shown_once(&Server::start(&data), "after a restart");
}

#[test]
fn a_span_twice_in_a_request_is_stored_once() {
    let server = Server::fresh();
    server.push(&shop(vec![span(1, 1, "a", 0), span(1, 2, "b", 5), span(1, 1, "a", 0)]));
    assert_shown_once(&server, "in the head");
    server.flush();
    assert_shown_once(&server, "in a block");
}
