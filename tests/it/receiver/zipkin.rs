//! Zipkin: the requests of an old blog post (seed 000), read back as spec/ingest.md §4.8 and §4.9 show; the names of address
//! attributes are those of the recorded answer, which is newer.

use crate::conformance::assert_same;
use crate::support::client::{flattened, matched};
use crate::support::http::{send, with_query};
use crate::support::server::{DataDir, Server};
use serde_json::{Value, json};

/// The three bodies of the post's curl commands; their path is the bare `/`.
const CURLS: [&str; 3] = [
    r#"[{
 "id": "1234",
 "traceId": "0123456789abcde0",
 "timestamp": 1625115600000000,
 "duration": 200000,
 "name": "span from bash!",
 "tags": {
    "http.method": "GET",
    "http.path": "/api"
  },
  "localEndpoint": {
    "serviceName": "shell script"
  }
}]"#,
    r#"[{
 "id": "5678",
 "traceId": "0123456789abcde0",
 "parentId": "1234",
 "timestamp": 1625115610000000,
 "duration": 150000,
 "name": "child span from bash!",
  "localEndpoint": {
    "serviceName": "shell script"
  }
}]"#,
    r#"[{
 "id": "6789",
 "traceId": "0123456789abcde0",
 "parentId": "5678",
 "timestamp": 1625115610100000,
 "duration": 350000,
 "name": "child span from bash!",
  "localEndpoint": {
    "serviceName": "shell script"
  }
}]"#,
];

/// The post's file, with a `log` member that Zipkin does not know.
const FILE: &str = include_str!("seed-000.json");

fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) {
    let answer = send(server.zipkin, "POST", path, headers, body.as_bytes()).expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (202, &b""[..]), "{path}");
}

/// Sends everything.
pub fn post_all(server: &Server) {
    CURLS.iter().for_each(|body| post(server, "/", &[("Content-Type", "application/json"), ("Accept", "*/*")], body));
    // curl -d without -H says that it is a form.
    post(server, "/api/v2/spans", &[("Content-Type", "application/x-www-form-urlencoded")], FILE);
}

fn string(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn int(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"intValue": value}})
}

fn entry(service: &str, span: Value) -> Value {
    json!({"resource": {"attributes": [string("service.name", service)]}, "schemaUrl": null, "scope": {}, "scopeSchemaUrl": null, "span": span})
}

fn wanted_of_curls() -> Value {
    let id = "AAAAAAAAAAABI0VniavN4A==";
    let attributes = [string("http.method", "GET"), string("http.path", "/api")];
    json!([
        entry(
            "shell script",
            json!({
                "traceId": id, "spanId": "AAAAAAAAEjQ=", "name": "span from bash!", "attributes": attributes, "status": {},
                "startTimeUnixNano": "1625115600000000000", "endTimeUnixNano": "1625115600200000000",
            })
        ),
        entry(
            "shell script",
            json!({
                "traceId": id, "spanId": "AAAAAAAAVng=", "parentSpanId": "AAAAAAAAEjQ=", "name": "child span from bash!", "status": {},
                "startTimeUnixNano": "1625115610000000000", "endTimeUnixNano": "1625115610150000000",
            })
        ),
        entry(
            "shell script",
            json!({
                "traceId": id, "spanId": "AAAAAAAAZ4k=", "parentSpanId": "AAAAAAAAVng=", "name": "child span from bash!", "status": {},
                "startTimeUnixNano": "1625115610100000000", "endTimeUnixNano": "1625115610450000000",
            })
        ),
    ])
}

fn wanted_of_file() -> Value {
    let id = "AAAAAAAAAAABI0VniavN4Q==";
    let call = [string("http.method", "GET"), string("http.path", "/api")];
    let task = [&call[..], &[string("params.func", "dfasdf"), string("params.diskname", "\\w0032423\\Backup")]].concat();
    let peers =
        [string("network.local.address", "192.168.1.2"), int("net.host.port", "9411"), string("service.peer.name", "spanstore-jdbc")];
    let remote = [&task[..], &peers, &[string("network.peer.address", "127.0.0.1"), int("net.peer.port", "3306")]].concat();
    let failed = json!({"code": "STATUS_CODE_ERROR"});
    json!([
        entry(
            "add syncdb",
            json!({
                "traceId": id, "spanId": "AAAAAAAAEjQ=", "name": "test", "attributes": call, "status": {},
                "startTimeUnixNano": "1625188800000000000", "endTimeUnixNano": "1625188820000000000",
            })
        ),
        entry(
            "add disk",
            json!({
                "traceId": id, "spanId": "AAAAAAAAVng=", "parentSpanId": "AAAAAAAAEjQ=", "name": "async", "attributes": task, "status": failed,
                "startTimeUnixNano": "1625188801000000000", "endTimeUnixNano": "1625188806000000000",
            })
        ),
        entry(
            "restore_db",
            json!({
                "traceId": id, "spanId": "AAAAAAAAZ4k=", "parentSpanId": "AAAAAAAAEjQ=", "name": "async", "attributes": remote, "status": failed,
                "startTimeUnixNano": "1625188806000000000", "endTimeUnixNano": "1625188809000000000",
            })
        ),
    ])
}

/// Every trace is what was sent, by each form of its id.
pub fn check_by_id(server: &Server) {
    for (ids, wanted) in [
        (["0123456789abcde0", "00000000000000000123456789abcde0", "0123456789ABCDE0", "123456789abcde0"], wanted_of_curls()),
        (["0123456789abcde1", "00000000000000000123456789abcde1", "0123456789ABCDE1", "123456789abcde1"], wanted_of_file()),
    ] {
        for id in ids {
            let answer = server.get(&format!("/api/traces/{id}"));
            assert_eq!((answer.status, answer.content_type()), (200, "application/json"), "{id}");
            assert_same(&flattened(&answer.json()), &wanted, id);
            let wrapped = server.get_json(&format!("/api/v2/traces/{id}"));
            assert!(wrapped["trace"]["resourceSpans"].is_array(), "{wrapped}");
            assert_same(&flattened(&wrapped), &wanted, &format!("{id}, version 2"));
        }
    }
}

/// Searches find what was sent.
pub fn check_search(server: &Server) {
    for (query, counts) in [
        ("{ }", vec![3, 3]),
        ("{ name = \"span from bash!\" }", vec![1]),
        ("{ resource.service.name = \"shell script\" }", vec![3]),
        ("{ span.http.path = \"/api\" }", vec![3, 1]),
        ("{ status = error && span.params.diskname = \"\\\\w0032423\\\\Backup\" }", vec![2]),
        ("{ span.net.peer.port = 3306 && span.service.peer.name = \"spanstore-jdbc\" }", vec![1]),
        ("{ resource.service.name = \"add disk\" && duration = 5s }", vec![1]),
        ("{ .log != nil }", vec![]),
    ] {
        assert_eq!(server.search(query).iter().map(matched).collect::<Vec<_>>(), counts, "{query}");
    }
    let traces = server.search("{ rootName = \"span from bash!\" }");
    let trace = &traces[0];
    // The shown length is that of the trace as a whole: the last child ends long after the root.
    let shown = ["traceID", "rootServiceName", "rootTraceName", "startTimeUnixNano", "durationMs"].map(|member| trace[member].clone());
    let wanted = [json!("123456789abcde0"), json!("shell script"), json!("span from bash!"), json!("1625115600000000000"), json!(10450)];
    assert_eq!(shown, wanted);
    assert_eq!(trace["serviceStats"], json!({"shell script": {"spanCount": 3}}));
    let by_tags = server.search_with(&[("tags", "service.name=\"shell script\" http.method=GET"), ("limit", "5")]);
    assert_eq!(by_tags.len(), 1);
    let at_the_time = [("q", "{ }"), ("start", "1625115600"), ("end", "1625115601")];
    assert_eq!(server.get_json(&with_query("/api/search", &at_the_time))["traces"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_requests_of_seed_000() {
    let data = DataDir::new();
    let server = Server::start(&data);
    post_all(&server);
    check_by_id(&server);
    check_search(&server);
    server.flush();
    check_by_id(&server);
    check_search(&server);
    server.kill();
    let server = Server::start(&data);
    check_by_id(&server);
    check_search(&server);
}
