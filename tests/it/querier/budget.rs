//! A query that takes too long ends with an error, and the server goes on.

use crate::support::data::{request, service, span};
use crate::support::server::{DataDir, Server};

#[test]
fn time_is_bounded() {
    let data = DataDir::new();
    let config = format!("{}querier:\n  search:\n    query_timeout: 1ns\n", data.config());
    let server = Server::start_with(&data, &config, &[]);
    server.push(&request(vec![service("shop", vec![span(1, 1, "sell", 0)])]));
    for path in ["/api/search?q=%7B%7D", "/api/v2/search/tags", "/api/v2/search/tag/name/values"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 504, "{path}: {}", answer.text());
        assert!(answer.text().contains("took longer than 1ns"), "{}", answer.text());
    }
    assert!(server.trace(1).is_some(), "a trace by id is no scan");
}
