//! `conmoto demo` has something to look at.

use crate::support::server::{DataDir, Server};
use crate::support::until;

#[test]
fn the_demo_makes_traces() {
    let data = DataDir::new();
    let mut server = Server::start_with(&data, &data.config(), &["demo"]);
    // Its feed is not told to stop, so that it may be refused at the end.
    server.expect_log("demo traces were not stored");
    let trace = until("trace", || server.search_with(&[("q", "{ kind = server }"), ("limit", "1")]).into_iter().next());
    let id = trace["traceID"].as_str().expect("an id").to_string();
    assert!(!server.span_ids(&*id).is_empty());
    let services = server.get_json("/api/v2/search/tag/resource.service.name/values");
    assert!(services["tagValues"].as_array().is_some_and(|values| values.len() > 1), "{services}");
    assert!(server.terminate().success());
}

#[test]
fn without_demo_there_is_nothing() {
    let server = Server::fresh();
    assert!(server.search("{ }").is_empty());
    assert!(server.terminate().success());
}
