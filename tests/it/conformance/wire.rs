//! The raw exchanges of `wire.jsonl.gz`: the same requests, over the same data, get the same content from this server.
//!
//! That every recorded message decodes without an unknown field is tested beside our messages (`src/proto`). Here both sides are
//! written as JSON, and compared but for the order of lists and what a query cost. Which span is an exemplar is nobody's promise.

use super::{assert_same, normalise, path, recording, text};
use crate::support::grpc;
use crate::support::http::{send, with_query};
use crate::support::server::Server;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conmoto::api::json;
use conmoto::proto::otlp::{ExportTraceServiceRequest, Value as AnyValue};
use conmoto::proto::tempopb as pb;
use prost::Message;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The second at which the data of `dataset.bin` start.
const DATASET_START: u64 = 1_790_000_040;
const SECOND: u64 = 1_000_000_000;
/// Traces of a search that names no limit.
const DEFAULT_LIMIT: usize = 20;

/// Cases that are meant to differ, with the reason.
const DEVIATIONS: [(&str, &str); 1] = [("json-buildinfo", "our own version")];

fn pushed(t0: u64) -> Server {
    let server = Server::fresh();
    let bytes = std::fs::read(path("dataset.bin")).expect("the data are there");
    let mut rest = &bytes[..];
    while let Some((length, after)) = rest.split_first_chunk() {
        let (request, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        server.push(&moved(request, t0));
        rest = after;
    }
    server
}

/// The same spans at the time of the recording.
fn moved(request: &[u8], t0: u64) -> Vec<u8> {
    let by = (t0 - DATASET_START) * SECOND;
    let mut request = ExportTraceServiceRequest::decode(request).expect("OTLP");
    let scopes = request.resource_spans.iter_mut().flat_map(|batch| &mut batch.scope_spans);
    for span in scopes.flat_map(|scope| &mut scope.spans) {
        span.start_time_unix_nano += by;
        span.end_time_unix_nano += by;
        span.events.iter_mut().for_each(|event| event.time_unix_nano += by);
        let urls = span.attributes.iter_mut().filter(|attribute| attribute.key == "http.url");
        for value in urls.filter_map(|url| url.value.as_mut()) {
            if let Some(AnyValue::StringValue(url)) = &mut value.value {
                *url = moved_url(url, by / 1_000_000);
            }
        }
    }
    request.encode_to_vec()
}

/// URLs of the data tell the moment in milliseconds.
fn moved_url(url: &str, by_millis: u64) -> String {
    let Some(at) = url.find("&t=").map(|at| at + 3) else { return url.to_string() };
    let millis: u64 = url[at..].parse().expect("the moment is the last");
    format!("{}{}", &url[..at], millis + by_millis)
}

/// Recorded or own bytes of a case, as JSON.
fn as_json(id: &str, content_type: &str, bytes: &[u8]) -> Value {
    fn of<M: Message + Default>(bytes: &[u8], write: impl Fn(&M) -> String) -> String {
        write(&M::decode(bytes).expect("a message"))
    }
    let text = if content_type.contains("json") {
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    } else if id.contains("trace-v1") {
        of(bytes, |trace: &pb::Trace| json::trace_v1(&trace.resource_spans))
    } else if id.contains("trace-v2") {
        of(bytes, json::trace_by_id)
    } else if id.contains("search") {
        of(bytes, json::search)
    } else if id.contains("tags-v2") {
        of(bytes, json::search_tags_v2)
    } else if id.contains("tags") {
        of(bytes, json::search_tags)
    } else if id.contains("values-v2") {
        of(bytes, json::search_tag_values_v2)
    } else if id.contains("values") {
        of(bytes, json::search_tag_values)
    } else if id.contains("instant") {
        of(bytes, json::query_instant)
    } else {
        of(bytes, json::query_range)
    };
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{id}: {error}: {text}"))
}

/// Without what differs between two servers that say the same. Of exemplars the sets of labels are left, of all series together:
/// how many there are, and of which spans, is nobody's promise.
fn comparable(mut answer: Value) -> Value {
    let mut label_sets = BTreeSet::new();
    if let Some(members) = answer.as_object_mut() {
        members.remove("metrics");
        members.remove("now");
        for series in members.get_mut("series").and_then(Value::as_array_mut).into_iter().flatten() {
            let exemplars = series.as_object_mut().and_then(|series| series.remove("exemplars")).unwrap_or_default();
            let keys = |exemplar: &Value| list(&exemplar["labels"]).iter().map(|label| text(label, "key").to_string()).collect();
            label_sets.extend(list(&exemplars).iter().map(keys).collect::<BTreeSet<BTreeSet<String>>>());
        }
    }
    serde_json::json!([answer, label_sets])
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Compares two answers. Of a search that has more traces than it may return, any may be returned: those in both are compared.
fn assert_same_content(id: &str, got: &[u8], wanted: &[u8], content_type: &str, t0: i64) {
    let [got, wanted] = [got, wanted].map(|body| as_json(id, content_type, body));
    if !id.contains("search") {
        return assert_same(&comparable(got), &comparable(wanted), id);
    }
    let traces = |answer: &Value| {
        let answer = normalise::answer("search", t0, 200, answer.to_string().as_bytes());
        let traces = list(&answer["body"]["traces"]).iter();
        traces.map(|trace| (text(trace, "traceID").to_string(), trace.clone())).collect::<BTreeMap<_, _>>()
    };
    let (got, wanted) = (traces(&got), traces(&wanted));
    assert_eq!(got.len(), wanted.len(), "{id}");
    let both: Vec<_> = wanted.iter().filter_map(|(id, wanted)| Some((got.get(id)?, wanted))).collect();
    assert!(both.len() == wanted.len() || wanted.len() == DEFAULT_LIMIT, "{id}");
    both.into_iter().for_each(|(got, wanted)| assert_same(got, wanted, id));
}

fn bytes_of(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).expect("base64")
}

fn t0_of(case: &Value) -> i64 {
    case["t0"].as_i64().expect("a second")
}

fn check_http(server: &Server, case: &Value) {
    let id = text(case, "id");
    let params = case["params"].as_object().expect("parameters").iter();
    let params: Vec<(&str, String)> =
        params.map(|(name, value)| (&**name, value.as_str().map_or_else(|| value.to_string(), str::to_string))).collect();
    let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (*name, &**value)).collect();
    let target = with_query(text(case, "path"), &params);
    let got = send(server.api, "GET", &target, &[("Accept", text(case, "accept"))], b"").expect("an answer");
    assert_eq!(
        (u64::from(got.status), got.header("content-type")),
        (case["status"].as_u64().expect("a status"), text(case, "content_type")),
        "{id}"
    );
    let wanted = bytes_of(&case["body"]);
    if wanted.is_empty() || got.body.is_empty() {
        return assert_eq!(got.body, wanted, "{id}");
    }
    let content_type = text(case, "content_type");
    if DEVIATIONS.iter().any(|(listed, _)| *listed == id) {
        let members = |body: &[u8]| as_json(id, content_type, body).as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_ne!(got.body, wanted, "{id} is listed as a deviation");
        return assert_eq!(members(&got.body), members(&wanted), "{id}");
    }
    assert_same_content(id, &got.body, &wanted, content_type, t0_of(case));
}

fn check_call(server: &Server, case: &Value) {
    let id = text(case, "id");
    let method = format!("/tempopb.StreamingQuerier/{}", text(case, "method"));
    let address = if case["port"] == 3200 { server.api } else { server.grpc };
    let got = grpc::call(address, &method, None, &bytes_of(&case["request"]));
    let code = format!("{:?}", got.code).to_uppercase();
    assert_eq!((code, &*got.message), (text(case, "code").replace('_', ""), text(case, "details")), "{id}");
    let wanted = case["messages"].as_array().expect("messages");
    // Each recorded call has one message, the complete answer; on a slow machine ours may have progress before it.
    assert_eq!((wanted.len(), wanted.is_empty()), (wanted.len().min(1), got.messages.is_empty()), "{id}");
    if let (Some(got), Some(wanted)) = (got.messages.last(), wanted.first()) {
        assert_same_content(id, got, &bytes_of(wanted), "protobuf", t0_of(case));
    }
}

fn check(server: &Server, cases: &[Value]) {
    for case in cases {
        match text(case, "transport") {
            "http" => check_http(server, case),
            _ => check_call(server, case),
        }
    }
}

#[test]
fn the_same_requests_get_the_same_content() {
    let cases = recording("wire.jsonl.gz");
    let server = pushed(t0_of(&cases[0]) as u64);
    check(&server, &cases);
    server.flush();
    check(&server, &cases);
}
