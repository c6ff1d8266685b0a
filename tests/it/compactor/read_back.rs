//! What was sent comes back: every trace by id, span by span, every field, before and after its blocks are merged.

use super::{eager, wait_for_rest};
use crate::support::data::{T0, request};
use crate::support::http::send;
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use conmoto::proto::otlp::{
    AnyValue, ArrayValue, Event, ExportTraceServiceRequest, InstrumentationScope, KeyValue, KeyValueList, Link, Resource, ResourceSpans,
    ScopeSpans, Span, Status, TracesData, Value,
};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Spans by trace, each as bytes together with its resource and scope: equal bytes are equal fields.
type Traces = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

fn add(traces: &mut Traces, resource_spans: &[ResourceSpans]) {
    for of_resource in resource_spans {
        for of_scope in &of_resource.scope_spans {
            for span in &of_scope.spans {
                // An empty message says no more than none.
                let mut span = Span { status: Some(span.status.clone().unwrap_or_default()), ..span.clone() };
                // What is joined of several pieces comes in this order.
                span.events.sort_by(|a, b| (a.time_unix_nano, &a.name).cmp(&(b.time_unix_nano, &b.name)));
                span.links.sort_by(|a, b| (&a.trace_id, &a.span_id).cmp(&(&b.trace_id, &b.span_id)));
                let id = span.trace_id.clone();
                let scope = Some(of_scope.scope.clone().unwrap_or_default());
                let alone = ResourceSpans {
                    resource: Some(of_resource.resource.clone().unwrap_or_default()),
                    scope_spans: vec![ScopeSpans { scope, spans: vec![span], schema_url: of_scope.schema_url.clone() }],
                    schema_url: of_resource.schema_url.clone(),
                };
                traces.entry(id).or_default().insert(alone.encode_to_vec());
            }
        }
    }
}

fn only_span(bytes: &[u8]) -> Span {
    let alone = ResourceSpans::decode(bytes).expect("made here");
    alone.scope_spans.into_iter().flat_map(|scope| scope.spans).next().expect("made here")
}

/// Compares every trace with what was sent.
fn check(server: &Server, sent: &Traces, place: &str) {
    for (id, spans) in sent {
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = send(server.api, "GET", &format!("/api/traces/{id}"), &[("Accept", "application/protobuf")], b"").expect("an answer");
        assert_eq!(answer.status, 200, "{place}: {id}");
        let mut found = Traces::new();
        // Version 1 is a `Trace`, of which the batches have the number that they have in `TracesData`.
        add(&mut found, &TracesData::decode(&answer.body[..]).expect("a trace").resource_spans);
        let found = found.into_values().next().unwrap_or_default();
        assert_eq!(found.len(), spans.len(), "{place}: spans of {id}");
        if let Some(foreign) = found.difference(spans).next() {
            let id_of = |bytes: &[u8]| only_span(bytes).span_id;
            let twin = spans.iter().find(|sent| id_of(sent) == id_of(foreign)).map(|sent| only_span(sent));
            assert_eq!(Some(only_span(foreign)), twin, "{place}: {id}, or its resource or scope differs");
            panic!("{place}: the resource or scope of a span of {id} differs");
        }
    }
}

/// Traces of any size are given out.
const LONG_TRACES: &str = "overrides:\n  defaults:\n    global:\n      max_bytes_per_trace: 0\n";

/// Sends requests to one server in several blocks, checks, lets another one merge them, and checks again.
fn read_back(requests: &[Vec<u8>]) {
    let data = DataDir::new();
    let server = Server::start_with(&data, &format!("{}compactor:\n  disabled: true\n{LONG_TRACES}", data.config()), &[]);
    let mut sent = Traces::new();
    let part = requests.len().div_ceil(5).max(1);
    for requests in requests.chunks(part) {
        for request in requests {
            server.push(request);
            add(&mut sent, &ExportTraceServiceRequest::decode(&request[..]).expect("ours").resource_spans);
        }
        server.flush();
    }
    check(&server, &sent, "flushed");
    let num_blocks = data.blocks().len();
    assert!(num_blocks > 1);
    assert!(server.terminate().success());
    drop(server);
    let server = Server::start_with(&data, &format!("{}{LONG_TRACES}", eager(&data, "")), &[]);
    wait_for_rest(&server);
    assert!(data.blocks().len() < num_blocks, "{} of {num_blocks} blocks", data.blocks().len());
    check(&server, &sent, "merged");
}

/// A value of any kind; `depth` bounds nesting.
fn value(rng: &mut Rng, depth: u64) -> Option<Value> {
    Some(match rng.below(if depth == 0 { 6 } else { 8 }) {
        0 => return None,
        1 => Value::StringValue(["", "a", "ünïcode", "long "][rng.below(4) as usize].repeat(rng.below(9) as usize)),
        2 => Value::IntValue(rng.next() as i64 >> rng.below(64)),
        3 => Value::DoubleValue([0.0, -0.0, f64::INFINITY, 1.5, f64::MIN_POSITIVE][rng.below(5) as usize]),
        4 => Value::BoolValue(rng.below(2) == 0),
        5 => Value::BytesValue(rng.next().to_be_bytes()[..rng.below(9) as usize].to_vec()),
        6 => Value::ArrayValue(ArrayValue { values: (0..rng.below(4)).map(|_| AnyValue { value: value(rng, depth - 1) }).collect() }),
        _ => Value::KvlistValue(KeyValueList { values: attributes(rng, depth - 1) }),
    })
}

/// A few attributes of many keys; now and then a key twice, or a key without a value.
fn attributes(rng: &mut Rng, depth: u64) -> Vec<KeyValue> {
    let attribute = |rng: &mut Rng| {
        let number = if rng.below(2) == 0 { rng.below(6) } else { rng.below(700) };
        let any = (rng.below(20) > 0).then(|| AnyValue { value: value(rng, depth) });
        KeyValue { key: format!("key.{number}"), value: any, ..KeyValue::default() }
    };
    (0..rng.below(7)).map(|_| attribute(rng)).collect()
}

fn count(rng: &mut Rng) -> u32 {
    if rng.below(5) == 0 { rng.below(1000) as u32 } else { 0 }
}

fn wild_span(rng: &mut Rng, trace: u64, id: u64) -> Span {
    let start = T0 * 1_000_000_000 + trace * 1_000_000 + rng.below(1_000_000);
    let event = |rng: &mut Rng| Event {
        time_unix_nano: start + rng.below(1000),
        name: format!("event {}", rng.below(3)),
        attributes: attributes(rng, 1),
        dropped_attributes_count: count(rng),
    };
    let link = |rng: &mut Rng| Link {
        trace_id: u128::from(rng.below(400) + 1).to_be_bytes().to_vec(),
        span_id: (rng.below(30) + 1).to_be_bytes().to_vec(),
        trace_state: ["", "a=b"][rng.below(2) as usize].to_string(),
        attributes: attributes(rng, 1),
        dropped_attributes_count: count(rng),
        flags: count(rng),
    };
    Span {
        trace_id: u128::from(trace).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        trace_state: ["", "vendor=1"][rng.below(2) as usize].to_string(),
        // Some parents never arrive, some are in other blocks, some come later.
        parent_span_id: if rng.below(6) == 0 { Vec::new() } else { (rng.below(40) + 1).to_be_bytes().to_vec() },
        flags: count(rng),
        name: ["", "GET /", "SELECT", "work"][rng.below(4) as usize].to_string(),
        kind: rng.below(6) as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + rng.below(1 << 30),
        attributes: attributes(rng, 2),
        dropped_attributes_count: count(rng),
        events: (0..rng.below(3)).map(|_| event(rng)).collect(),
        dropped_events_count: count(rng),
        links: (0..rng.below(2)).map(|_| link(rng)).collect(),
        dropped_links_count: count(rng),
        status: Some(Status { code: rng.below(3) as i32, message: ["", "failed"][rng.below(2) as usize].to_string() }),
    }
}

fn wild_requests(num_traces: u64) -> Vec<Vec<u8>> {
    let mut rng = Rng::seeded(11);
    let rng = &mut rng;
    let mut requests = Vec::new();
    // Three rounds, so that most traces go on in later blocks.
    for round in 0..3 {
        for trace in 1..=num_traces {
            let ids = round * 12 + 1..round * 12 + 2 + rng.below(10);
            let spans: Vec<Span> = ids.map(|id| wild_span(rng, trace, id)).collect();
            let scope = InstrumentationScope {
                name: format!("scope {}", rng.below(3)),
                version: ["", "1"][rng.below(2) as usize].to_string(),
                attributes: attributes(rng, 1),
                dropped_attributes_count: count(rng),
            };
            let resource = Resource { attributes: attributes(rng, 2), dropped_attributes_count: count(rng), ..Resource::default() };
            let scope_spans =
                vec![ScopeSpans { scope: Some(scope), spans, schema_url: ["", "https://s/1"][rng.below(2) as usize].to_string() }];
            let sent = request(vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() }]);
            // A sender that saw no answer sends again.
            requests.extend(std::iter::repeat_n(sent, 1 + usize::from(rng.below(10) == 0)));
        }
    }
    requests
}

#[test]
fn every_field_comes_back() {
    read_back(&wild_requests(150));
}

/// Requests of a file: four bytes big-endian length, then the message, again and again.
fn requests_of(file: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(file).expect("readable");
    let mut rest = &bytes[..];
    let mut requests = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (request, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(request.to_vec());
        rest = after;
    }
    requests
}

/// The long form, over a file of `tracebench write --wild`; see CONTRIBUTING.md.
#[test]
#[ignore = "needs a file of requests, named by CONMOTO_REQUESTS"]
fn every_field_of_a_file_comes_back() {
    let file = std::env::var_os("CONMOTO_REQUESTS").expect("CONMOTO_REQUESTS names a file");
    let requests = requests_of(Path::new(&file));
    assert!(!requests.is_empty());
    read_back(&requests);
}
