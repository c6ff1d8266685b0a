//! The recorded requests at the receivers: the answers, and the traces that came of them.
//!
//! `ingest-deviations.tsv` lists the cases that are meant to differ; one that does not is an error of the list.

use super::compare::{close, first_difference};
use super::normalise::sorted_deep;
use super::{deviations, recording, text};
use crate::support::client::flattened;
use crate::support::http::{Response, send};
use crate::support::server::Server;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The case that differs in nothing but schema URLs, which Tempo does not keep.
const ONLY_SCHEMA_URLS: &str = "otlp-json-events-links";

#[test]
fn recorded_requests() {
    let server = Server::fresh();
    let meant = deviations("ingest-deviations.tsv");
    let (mut num_compared, mut wrong, mut used) = (0, Vec::new(), 0);
    // One after the other: some add to the trace of the one before.
    for case in recording("ingest.jsonl.gz").iter() {
        let id = text(case, "id");
        let (wanted, got) = (comparable(&case["expect"]), comparable(&answered(&server, case)));
        if id == ONLY_SCHEMA_URLS {
            assert!(close(&without_schema_urls(&wanted), &without_schema_urls(&got)), "{id}: {}", first_difference(&wanted, &got));
        }
        match (close(&wanted, &got), meant.get(id)) {
            (false, None) => wrong.push(format!("{id}: {}", first_difference(&wanted, &got))),
            (true, Some(reason)) => wrong.push(format!("{id}: listed as a deviation ({reason}), but the answer is the recorded one")),
            (_, listed) => used += usize::from(listed.is_some()),
        }
        num_compared += 1;
    }
    assert!(wrong.is_empty(), "{} of {num_compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(num_compared >= 149, "only {num_compared} cases");
    assert_eq!(used, meant.len(), "the list of deviations names cases that do not exist");
}

/// What came of a case, in the form of the recording.
fn answered(server: &Server, case: &Value) -> Value {
    let address = match text(case, "port") {
        "otlp" => server.otlp_http,
        "jaeger" => server.jaeger_http,
        _ => server.zipkin,
    };
    let headers: Vec<(&str, &str)> =
        case["headers"].as_object().expect("an object").iter().map(|(name, value)| (&**name, value.as_str().expect("text"))).collect();
    let body = STANDARD.decode(text(case, "body")).expect("base64");
    let answer = send(address, text(case, "method"), text(case, "path"), &headers, &body)
        .unwrap_or_else(|error| panic!("{}: {error}", text(case, "id")));
    let mut got = json!({"status": answer.status, "content_type": answer.content_type(), "body": STANDARD.encode(&answer.body)});
    let trace = text(case, "trace");
    if !trace.is_empty() {
        got["trace"] = read_back(&server.get(&format!("/api/traces/{trace}")));
    }
    got
}

fn read_back(answer: &Response) -> Value {
    match answer.status {
        200 => json!({"status": 200, "spans": flattened(&answer.json())}),
        status => json!({"status": status}),
    }
}

/// What a client can notice: JSON as JSON; of an error text only that there is one.
fn comparable(answer: &Value) -> Value {
    let mut out = answer.clone();
    let raw = STANDARD.decode(text(answer, "body")).expect("base64");
    let is_success = matches!(answer["status"].as_u64(), Some(200 | 202));
    out["body"] = match serde_json::from_slice::<Value>(&raw) {
        Ok(mut body) => {
            if let Some(message) = body.get_mut("message") {
                *message = json!(message.as_str().is_some_and(|text| !text.is_empty()));
            }
            body
        }
        Err(_) if is_success => json!(raw),
        Err(_) => json!(!raw.is_empty()),
    };
    if let Some(trace) = answer.get("trace") {
        out["trace"] = sorted_deep(trace);
    }
    out
}

fn without_schema_urls(answer: &Value) -> Value {
    let mut out = answer.clone();
    for entry in out["trace"]["spans"].as_array_mut().into_iter().flatten() {
        entry["schemaUrl"] = Value::Null;
        entry["scopeSchemaUrl"] = Value::Null;
    }
    out["trace"] = sorted_deep(&out["trace"]);
    out
}
