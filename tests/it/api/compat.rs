//! The query APIs of Jaeger and Zipkin.

use crate::support::data::{self, MILLISECOND, SECOND, T0, With, request, service, span};
use crate::support::http::with_query;
use crate::support::server::Server;
use serde_json::{Value, json};

const TRACE: &str = "0000000000000000000000000000002a";

/// A call from `web` to `shop`, in which something fails, and another trace.
fn server() -> Server {
    let server = Server::fresh();
    let root = span(42, 1, "GET /", 0).lasting(2 * SECOND).with("size", data::int(7));
    let mut call = span(42, 2, "buy", SECOND).child_of(1).failed().lasting(30 * MILLISECOND).with("db", data::text("pg"));
    call.kind = 2;
    server.push(&request(vec![service("web", vec![root]), service("shop", vec![call])]));
    server.push(&request(vec![service("cron", vec![span(43, 3, "tick", 5 * SECOND)])]));
    server
}

fn check_both(check: impl Fn(&Server)) {
    let server = server();
    check(&server);
    server.flush();
    check(&server);
}

fn ids(answer: &Value) -> Vec<&str> {
    let traces = answer["data"].as_array().expect("a list");
    traces.iter().map(|trace| trace["traceID"].as_str().expect("an id")).collect()
}

#[test]
fn jaeger_lists_and_searches() {
    check_both(|server| {
        assert_eq!(server.get_json("/jaeger/api/services")["data"], json!(["cron", "shop", "web"]));
        assert_eq!(server.get_json("/jaeger/api/services/shop/operations")["data"], json!(["buy"]));
        let operations = server.get_json("/jaeger/api/operations?service=shop");
        assert_eq!(operations["data"], json!([{"name": "buy", "spanKind": "server"}]));
        assert_eq!(server.get_json("/jaeger/api/operations?service=shop&spanKind=client")["data"], json!([]));
        let micros = |seconds: u64| ((T0 + seconds) * 1_000_000).to_string();
        for (params, wanted) in [
            (vec![("service", "web")], vec![TRACE]),
            (vec![("service", "web"), ("operation", "tick")], vec![]),
            (vec![("service", "shop"), ("tags", r#"{"error":"true","db":"pg"}"#)], vec![TRACE]),
            (vec![("tag", "size:7")], vec![TRACE]),
            (vec![("minDuration", "1s")], vec![TRACE]),
            (vec![("start", &micros(4)), ("end", &micros(9))], vec!["0000000000000000000000000000002b"]),
            (vec![], vec!["0000000000000000000000000000002b", TRACE]),
            (vec![("limit", "1")], vec!["0000000000000000000000000000002b"]),
            (vec![("traceID", "2a")], vec![TRACE]),
        ] {
            assert_eq!(ids(&server.get_json(&with_query("/jaeger/api/traces", &params))), wanted, "{params:?}");
        }
    });
}

#[test]
fn jaeger_shows_a_trace() {
    check_both(|server| {
        let answer = server.get_json("/jaeger/api/traces/2a");
        let trace = &answer["data"][0];
        let spans = trace["spans"].as_array().expect("spans");
        let call = spans.iter().find(|span| span["operationName"] == "buy").expect("the call");
        assert_eq!(call["references"], json!([{"refType": "CHILD_OF", "traceID": TRACE, "spanID": "0000000000000001"}]));
        assert_eq!((&call["startTime"], &call["duration"]), (&json!((T0 + 1) * 1_000_000), &json!(30_000)));
        for tag in [
            json!({"key": "db", "type": "string", "value": "pg"}),
            json!({"key": "span.kind", "type": "string", "value": "server"}),
            json!({"key": "error", "type": "bool", "value": true}),
        ] {
            assert!(call["tags"].as_array().expect("tags").contains(&tag), "{tag} in {call}");
        }
        let process = call["processID"].as_str().expect("a process");
        assert_eq!(trace["processes"][process]["serviceName"], "shop");
        let missing = server.get("/jaeger/api/traces/ff");
        assert_eq!((missing.status, &missing.json()["errors"][0]["msg"]), (404, &json!("trace not found")));
        let ends = format!("/jaeger/api/dependencies?endTs={}000&lookback=3600000", T0 + 60);
        assert_eq!(server.get_json(&ends)["data"], json!([{"parent": "web", "child": "shop", "callCount": 1}]));
    });
}

#[test]
fn zipkin_lists_searches_and_shows() {
    check_both(|server| {
        assert_eq!(server.get_json("/zipkin/api/v2/services"), json!(["cron", "shop", "web"]));
        assert_eq!(server.get_json("/zipkin/api/v2/spans?serviceName=shop"), json!(["buy"]));
        assert_eq!(server.get_json("/zipkin/api/v2/remoteServices?serviceName=shop"), json!([]));
        let end = format!("{}000", T0 + 60);
        for (params, num_traces) in [
            (vec![("serviceName", "shop")], 1),
            (vec![("serviceName", "shop"), ("spanName", "tick")], 0),
            (vec![("annotationQuery", "error and db=pg")], 1),
            (vec![("annotationQuery", "size")], 1),
            (vec![("minDuration", "1500000")], 1),
            (vec![], 2),
            (vec![("limit", "1")], 1),
            (vec![("lookback", "1")], 0),
        ] {
            let params = [params.clone(), vec![("endTs", &*end)]].concat();
            let found = server.get_json(&with_query("/zipkin/api/v2/traces", &params));
            assert_eq!(found.as_array().map(Vec::len), Some(num_traces), "{params:?}");
        }
        let trace = server.get_json("/zipkin/api/v2/trace/2a");
        let call = trace.as_array().expect("spans").iter().find(|span| span["name"] == "buy").expect("the call");
        let wanted = json!({
            "traceId": TRACE, "id": "0000000000000002", "parentId": "0000000000000001", "kind": "SERVER", "name": "buy",
            "timestamp": (T0 + 1) * 1_000_000, "duration": 30_000, "localEndpoint": {"serviceName": "shop"},
            "tags": {"db": "pg", "error": "it failed", "otel.status_code": "ERROR"},
        });
        assert_eq!(*call, wanted);
        assert_eq!(server.get("/zipkin/api/v2/trace/ff").status, 404);
        let dependencies = server.get_json(&format!("/zipkin/api/v2/dependencies?endTs={end}&lookback=3600000"));
        assert_eq!(dependencies, json!([{"parent": "web", "child": "shop", "callCount": 1}]));
    });
}
