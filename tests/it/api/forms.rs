//! JSON and protobuf by `Accept`, and answers where there is nothing.

use crate::support::client::spans_of;
use crate::support::data::{self, SECOND, With, shop, span};
use crate::support::http::Response;
use crate::support::server::Server;
use conmoto::proto::tempopb::{SearchResponse, SearchTagValuesV2Response, SearchTagsV2Response, Trace, TraceByIdResponse};
use prost::Message;
use serde_json::json;

const PROTOBUF: &str = "application/protobuf";
const TRACE: &str = "0000000000000000000000000000002a";

fn server() -> Server {
    let server = Server::fresh();
    let root = span(42, 1, "root", 0).lasting(2 * SECOND).with("size", data::int(7));
    server.push(&shop(vec![root, span(42, 2, "child", SECOND).child_of(1).failed()]));
    server
}

/// An answer in protobuf.
fn decoded<M: Message + Default>(server: &Server, path: &str) -> M {
    let answer: Response = server.get_as(path, PROTOBUF);
    assert_eq!((answer.status, answer.content_type()), (200, PROTOBUF), "{path}");
    M::decode(&answer.body[..]).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn check_traces(server: &Server) {
    for path in [format!("/api/traces/{TRACE}"), format!("/api/v2/traces/{TRACE}")] {
        let json = server.get_json(&path);
        let trace = match path.contains("/v2/") {
            true => decoded::<TraceByIdResponse>(server, &path).trace.expect("a trace"),
            false => decoded::<Trace>(server, &path),
        };
        let spans: Vec<_> = trace.resource_spans.iter().flat_map(|batch| &batch.scope_spans).flat_map(|scope| &scope.spans).collect();
        let names = |names: Vec<String>| {
            let mut names = names;
            names.sort();
            names
        };
        let from_json = spans_of(&json).iter().map(|span| span["name"].as_str().unwrap_or_default().to_string()).collect();
        let from_protobuf = spans.iter().map(|span| span.name.clone()).collect();
        assert_eq!(names(from_json), ["child", "root"], "{path}");
        assert_eq!(names(from_protobuf), ["child", "root"], "{path}");
        assert!(spans.iter().all(|span| span.trace_id.ends_with(&[42])), "{path}");
    }
}

fn check_searches(server: &Server) {
    let path = "/api/search?q=%7Bspan.size%3D7%7D";
    let json = server.get_json(path);
    let found = decoded::<SearchResponse>(server, path).traces.remove(0);
    assert_eq!(json["traces"][0]["traceID"], found.trace_id);
    assert_eq!((found.root_service_name, found.duration_ms, found.service_stats["shop"].error_count), ("shop".to_string(), 2000, 1));
    assert_eq!(json["traces"][0]["spanSets"][0]["spans"][0]["spanID"], found.span_sets[0].spans[0].span_id);
    assert_eq!(json["traces"][0]["spanSets"][0]["spans"][0]["attributes"], json!([{"key": "size", "value": {"intValue": "7"}}]));

    let scopes = decoded::<SearchTagsV2Response>(server, "/api/v2/search/tags").scopes;
    assert!(scopes.iter().any(|scope| scope.name == "span" && scope.tags == ["size"]), "{scopes:?}");
    let values = decoded::<SearchTagValuesV2Response>(server, "/api/v2/search/tag/span.size/values").tag_values;
    let values: Vec<(&str, &str)> = values.iter().map(|value| (&*value.r#type, &*value.value)).collect();
    assert_eq!(values, [("int", "7")]);
}

#[test]
fn json_and_protobuf_say_the_same() {
    let server = server();
    check_traces(&server);
    check_searches(&server);
    server.flush();
    check_traces(&server);
    check_searches(&server);
}

#[test]
fn what_is_not_there() {
    let server = server();
    for (path, status) in [
        (format!("/api/traces/{TRACE}"), 200),
        ("/api/traces/2a".to_string(), 200),
        ("/api/traces/2b".to_string(), 404),
        // Version 2 answers with an empty trace.
        ("/api/v2/traces/2b".to_string(), 200),
        ("/api/traces/xyz".to_string(), 400),
        (format!("/api/traces/1{TRACE}"), 400),
        ("/api/search?q=%7B".to_string(), 400),
        ("/api/nothing".to_string(), 404),
        ("/trace/2a".to_string(), 404),
    ] {
        for accept in ["application/json", PROTOBUF] {
            assert_eq!(server.get_as(&path, accept).status, status, "{path} as {accept}");
        }
    }
    assert!(spans_of(&server.get_json("/api/v2/traces/2b")).is_empty());
    assert!(server.search("{ name = \"nobody\" }").is_empty());
    server.flush();
    assert_eq!((server.get("/api/traces/2b").status, server.get("/api/traces/2a").status), (404, 200));
}

#[test]
fn what_operators_ask() {
    let server = server();
    assert_eq!((server.get("/api/echo").text(), server.get("/ready").text()), ("echo\n".to_string(), "ready\n".to_string()));
    let build = server.get_json("/api/status/buildinfo");
    assert!(build["version"].as_str().is_some_and(|version| version.ends_with(env!("CARGO_PKG_VERSION"))), "{build}");
    assert_eq!(server.metric("tempo_distributor_spans_received_total"), 2.0);
    assert_eq!(server.metric("tempodb_blocklist_length"), 0.0);
    server.flush();
    assert_eq!(server.metric("tempodb_blocklist_length"), 1.0);
    assert_eq!(server.metric("tempo_ingester_blocks_flushed_total"), 1.0);
    // A flush with nothing to flush writes nothing.
    server.flush();
    assert_eq!(server.data.blocks().len(), 1);
}
