//! Attribute names and values, complete wherever the spans are.

use crate::support::data::{self, SECOND, T0, With, request, service, span, text};
use crate::support::http::with_query;
use crate::support::server::Server;
use serde_json::Value;

fn first() -> Vec<u8> {
    let span = span(1, 1, "GET /", 0).with("http.method", text("GET")).with("http.status", data::int(200));
    request(vec![service("front", vec![span])])
}

fn second() -> Vec<u8> {
    let root = span(2, 1, "POST /", 20 * SECOND).with("http.method", text("POST")).with("paid", data::int(1)).failed();
    request(vec![
        service("front", vec![root]),
        service("store", vec![span(2, 2, "insert", 20 * SECOND).child_of(1).with("paid", text("yes"))]),
    ])
}

fn texts(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> = value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect();
    texts.sort();
    texts
}

/// Names of one scope.
fn names(server: &Server, params: &[(&str, &str)], scope: &str) -> Vec<String> {
    let answer = server.get_json(&with_query("/api/v2/search/tags", params));
    let scopes = answer["scopes"].as_array().cloned().unwrap_or_default();
    scopes.iter().filter(|named| named["name"] == scope).flat_map(|named| texts(&named["tags"])).collect()
}

/// Values with their types, sorted.
fn values(server: &Server, tag: &str, params: &[(&str, &str)]) -> Vec<String> {
    let answer = server.get_json(&with_query(&format!("/api/v2/search/tag/{tag}/values"), params));
    let values = answer["tagValues"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| format!("{} {}", value["type"].as_str().unwrap_or_default(), value["value"].as_str().unwrap_or_default());
    let mut values: Vec<String> = values.iter().map(text).collect();
    values.sort();
    values
}

fn check(server: &Server) {
    assert_eq!(names(server, &[], "span"), ["http.method", "http.status", "paid"]);
    assert_eq!(names(server, &[], "resource"), ["service.name"]);
    assert_eq!(names(server, &[("scope", "resource")], "span"), [] as [&str; 0]);
    assert!(names(server, &[], "intrinsic").contains(&"traceDuration".to_string()));
    assert_eq!(names(server, &[("q", "{ resource.service.name = \"store\" }")], "span"), ["paid"]);

    let flat = server.get_json("/api/search/tags");
    assert!(["http.method", "paid", "service.name"].iter().all(|name| texts(&flat["tagNames"]).contains(&name.to_string())), "{flat}");
    assert_eq!(texts(&server.get_json("/api/search/tag/http.method/values")["tagValues"]), ["GET", "POST"]);

    for (tag, params, wanted) in [
        ("resource.service.name", &[][..], &["string front", "string store"][..]),
        ("span.http.method", &[], &["string GET", "string POST"]),
        (".http.method", &[], &["string GET", "string POST"]),
        ("span.http.status", &[], &["int 200"]),
        ("span.paid", &[], &["int 1", "string yes"]),
        ("name", &[], &["string GET /", "string POST /", "string insert"]),
        ("status", &[], &["keyword error", "keyword ok", "keyword unset"]),
        ("rootName", &[], &["string GET /", "string POST /"]),
        ("span.nothing", &[], &[]),
        ("name", &[("q", "{ resource.service.name = \"store\" }")], &["string insert"]),
        ("resource.service.name", &[("q", "{ span.http.status = 200 }")], &["string front"]),
    ] {
        assert_eq!(values(server, tag, params), wanted, "{tag} {params:?}");
    }
    check_ranges(server);
}

/// Of a range, everything in it is shown, and nothing if it has no data. It is looked at block by block, so that what lies
/// beside it may be shown too.
fn check_ranges(server: &Server) {
    for (after, name, value) in [(0, "http.status", "string GET"), (20, "paid", "string POST")] {
        let (start, end) = ((T0 + after).to_string(), (T0 + after + 5).to_string());
        let range = [("start", &*start), ("end", &*end)];
        assert!(names(server, &range, "span").contains(&name.to_string()), "{after}");
        assert!(values(server, "span.http.method", &range).contains(&value.to_string()), "{after}");
    }
    let (start, end) = ((T0 + 100).to_string(), (T0 + 200).to_string());
    let empty = [("start", &*start), ("end", &*end)];
    assert_eq!((names(server, &empty, "span").len(), values(server, "span.http.method", &empty).len()), (0, 0));
}

#[test]
fn names_and_values() {
    let server = Server::fresh();
    server.push(&first());
    server.push(&second());
    check(&server);
    server.flush();
    check(&server);
    let server = Server::fresh();
    server.push(&first());
    server.flush();
    server.push(&second());
    check(&server);
    server.flush();
    check(&server);
}

#[test]
fn without_data() {
    let server = Server::fresh();
    assert_eq!(names(&server, &[], "span"), [] as [&str; 0]);
    assert_eq!(values(&server, "span.http.method", &[]), [] as [&str; 0]);
    for path in ["/api/v2/search/tags?scope=nonsense", "/api/v2/search/tag/unscoped/values", "/api/search/tags?scope=nonsense"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
}
