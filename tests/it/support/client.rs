//! Short words for what tests ask of a server over HTTP.

use super::data::TraceText;
use super::http::{Response, send, with_query};
use super::server::Server;
use serde_json::{Value, json};
use std::io;

/// The largest limit that a search may have.
pub const ALL: &str = "262144";

impl Server {
    /// Sends an `ExportTraceServiceRequest`; the spans are acknowledged if the status is 200.
    pub fn try_push(&self, request: &[u8]) -> io::Result<Response> {
        send(self.otlp_http, "POST", "/v1/traces", &[("Content-Type", "application/x-protobuf")], request)
    }

    /// Sends an `ExportTraceServiceRequest` that is accepted.
    pub fn push(&self, request: &[u8]) {
        let answer = self.try_push(request).expect("an answer");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"\x0a\x00"[..]), "{}", answer.text());
    }

    /// Asks for JSON.
    pub fn get(&self, path: &str) -> Response {
        self.get_as(path, "application/json")
    }

    /// Asks for a form.
    pub fn get_as(&self, path: &str, accept: &str) -> Response {
        send(self.api, "GET", path, &[("Accept", accept)], b"").expect("an answer")
    }

    /// Asks for JSON that is there.
    pub fn get_json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The traces that a search finds.
    pub fn search_with(&self, params: &[(&str, &str)]) -> Vec<Value> {
        let answer = self.get_json(&with_query("/api/search", params));
        answer["traces"].as_array().cloned().unwrap_or_default()
    }

    /// All traces that a query finds.
    pub fn search(&self, query: &str) -> Vec<Value> {
        self.search_with(&[("q", query), ("limit", ALL)])
    }

    /// Number of spans that a query finds.
    pub fn count(&self, query: &str) -> u64 {
        self.search(query).iter().map(matched).sum()
    }

    /// A trace by id in the form of version 1, if there is one.
    pub fn trace(&self, id: impl TraceText) -> Option<Value> {
        let answer = self.get(&format!("/api/traces/{}", id.text()));
        match answer.status {
            200 => Some(answer.json()),
            404 => None,
            status => panic!("{}: {status} {}", id.text(), answer.text()),
        }
    }

    /// Span ids of a trace as 16 hex digits, sorted, as often as they are shown.
    pub fn span_ids(&self, id: impl TraceText) -> Vec<String> {
        let mut ids: Vec<String> = self.trace(id).iter().flat_map(spans_of).map(|span| hex(&span["spanId"])).collect();
        ids.sort();
        ids
    }

    /// Turns everything recent into blocks.
    pub fn flush(&self) {
        let answer = self.try_flush().expect("an answer");
        assert!(matches!(answer.status, 200 | 204), "{} {}", answer.status, answer.text());
    }

    /// As [`flush`](Self::flush), of a server that may be gone.
    pub fn try_flush(&self) -> io::Result<Response> {
        send(self.api, "POST", "/flush", &[], b"")
    }

    /// A value in `/metrics`, summed over its labels; 0 if it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// Number of matching spans of a found trace.
pub fn matched(trace: &Value) -> u64 {
    let sets = trace["spanSets"].as_array().map(Vec::as_slice).unwrap_or_default();
    sets.iter().map(|set| set["matched"].as_u64().unwrap_or_default()).sum()
}

/// The spans of a trace by id, one entry per span with its resource and scope, so that it does not matter how they are grouped.
pub fn flattened(trace: &Value) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let trace = if trace["trace"].is_object() { &trace["trace"] } else { trace };
    let mut spans = Vec::new();
    for batch in list(&trace["batches"]).iter().chain(&list(&trace["resourceSpans"])) {
        for scope in list(&batch["scopeSpans"]) {
            let entry = |span: &Value| {
                json!({
                    "resource": batch["resource"],
                    "schemaUrl": batch["schemaUrl"],
                    "scope": scope["scope"],
                    "scopeSchemaUrl": scope["schemaUrl"],
                    "span": span,
                })
            };
            spans.extend(list(&scope["spans"]).iter().map(entry));
        }
    }
    Value::Array(spans)
}

/// All spans of a trace by id.
pub fn spans_of(trace: &Value) -> Vec<Value> {
    let entries = flattened(trace);
    entries.as_array().into_iter().flatten().map(|entry| entry["span"].clone()).collect()
}

/// An id in base64, as hex digits.
pub fn hex(id: &Value) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(id.as_str().unwrap_or_default()).expect("base64");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
