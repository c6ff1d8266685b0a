//! What senders and askers send.

use crate::Target;
use conmoto::columns::{Chunk, decode, export, validate};
use conmoto::receiver::otlp_json;
use conmoto::receiver::zipkin::{self, TagTypes};
use conmoto::traceql;

/// The export requests of the shared data set: each a 4-byte big-endian length and its protobuf bytes.
pub fn requests() -> Vec<Vec<u8>> {
    let mut bytes = &include_bytes!("../conformance/dataset.bin")[..];
    let mut requests = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (request, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(request.to_vec());
        bytes = rest;
    }
    requests.sort_by_key(Vec::len);
    requests.truncate(40);
    requests
}

const OTLP_JSON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},
"scopeSpans":[{"scope":{"name":"s","version":"1"},"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708",
"parentSpanId":"","name":"n","kind":2,"startTimeUnixNano":"1788220800000000000","endTimeUnixNano":1788220801000000000,
"attributes":[{"key":"i","value":{"intValue":"7"}},{"key":"d","value":{"doubleValue":1.5e300}},{"key":"b","value":{"boolValue":true}},
{"key":"l","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"x","value":{"bytesValue":"AAE="}}]}}]}}}],
"events":[{"timeUnixNano":"1","name":"e","attributes":[]}],"links":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"}],
"status":{"code":"STATUS_CODE_ERROR","message":"\u00e9\ud83d\ude00"}}]}]}]}"#;
const ZIPKIN_V2: &str = r#"[{"traceId":"48485a3953bb6124","id":"48485a3953bb6124","parentId":"1","kind":"CLIENT","name":"get","timestamp":1788220800000000,
"duration":1000,"localEndpoint":{"serviceName":"a","ipv4":"127.0.0.1","port":80},"remoteEndpoint":{"ipv6":"::1"},
"annotations":[{"timestamp":1788220800000001,"value":"x"}],"tags":{"http.path":"/","error":"true"},"shared":true,"debug":false}]"#;
const ZIPKIN_V1: &str = r#"[{"traceId":"48485a3953bb6124","id":"48485a3953bb6124","name":"get","timestamp":1788220800000000,"duration":1000,
"annotations":[{"timestamp":1788220800000000,"value":"cs","endpoint":{"serviceName":"a","ipv4":"127.0.0.1","port":80}}],
"binaryAnnotations":[{"key":"k","value":"v","type":"STRING","endpoint":{"serviceName":"a"}}]}]"#;
/// One `Span` of a `ListOfSpans`: ids, kind, name, times, endpoint, annotation, tag.
const ZIPKIN_PROTO: &[u8] = b"\x0a\x08\x48\x48\x5a\x39\x53\xbb\x61\x24\x1a\x08\x48\x48\x5a\x39\x53\xbb\x61\x24\x20\x01\x2a\x03get\
\x31\x00\x40\x5a\x1b\xcb\x57\x06\x00\x38\xe8\x07\x42\x09\x0a\x01a\x12\x04\x7f\x00\x00\x01\x52\x0c\x09\x01\x00\x00\x00\x00\x00\x00\x00\x12\x01x\
\x5a\x06\x0a\x01k\x12\x01v";

fn queries() -> Vec<Vec<u8>> {
    let cases = include_str!("../traceql/cases.tsv");
    cases.lines().filter_map(|line| line.split('\t').nth(3)).map(|query| query.as_bytes().to_vec()).collect()
}

pub fn targets() -> Vec<Target> {
    let text = |text: &str| vec![text.as_bytes().to_vec()];
    vec![
        Target { name: "otlp protobuf", seeds: requests(), run: Box::new(otlp) },
        Target { name: "otlp json", seeds: text(OTLP_JSON), run: Box::new(|input| otlp_json::decode(input).is_ok()) },
        Target {
            name: "zipkin v2 json",
            seeds: text(ZIPKIN_V2),
            run: Box::new(|input| zipkin::decode_v2_json(input, TagTypes::Guessed).is_ok()),
        },
        Target {
            name: "zipkin v1 json",
            seeds: text(ZIPKIN_V1),
            run: Box::new(|input| zipkin::decode_v1_json(input, TagTypes::Guessed, 7).is_ok()),
        },
        Target {
            name: "zipkin protobuf",
            seeds: vec![[&[0x0a, ZIPKIN_PROTO.len() as u8], ZIPKIN_PROTO].concat()],
            run: Box::new(|input| zipkin::decode_v2_proto(input, TagTypes::Guessed).is_ok()),
        },
        Target { name: "traceql", seeds: queries(), run: Box::new(query) },
    ]
}

/// What passes validation can be decoded: it is in the log by then, and a start must not fail on it.
fn otlp(input: &[u8]) -> bool {
    let Ok(validated) = validate::validate(input) else { return false };
    let mut chunk = Chunk::default();
    let num_spans = decode::append(&mut chunk, input, 0, None).expect("a validated request can be decoded");
    assert_eq!(num_spans, validated.num_spans);
    export::export(&chunk, 0..chunk.num_rows() as u32);
    true
}

/// What is accepted prints as something that means the same.
fn query(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let Ok(query) = traceql::parse(&text) else { return false };
    let printed = query.to_string();
    let again = traceql::parse(&printed).unwrap_or_else(|error| panic!("{text} prints as {printed}: {error}"));
    assert_eq!(again.to_string(), printed, "{text}");
    // It may be against the rules of types; that is an answer, too.
    let _ = traceql::compile(&text);
    true
}
