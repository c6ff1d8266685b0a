//! Recorded requests at Tempo's receivers and the spans it stored for them (tests/conformance/ingest.jsonl.gz).
//!
//! Only what these modules decide is compared: which bodies are refused, and what is in the messages. Traces are compared as
//! the recording has them: jsonpb, one entry per span with its resource and scope, order ignored.

use std::collections::BTreeMap;
use std::io::Read;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use prost::Message as _;
use serde_json::{Map, Value as Json, json};

use crate::proto::otlp::{AnyValue, Event, ExportTraceServiceRequest, KeyValue, Link, Span, SpanKind, StatusCode, Value};
use crate::receiver::body::{self, Encoding};
use crate::receiver::zipkin::TagTypes;
use crate::receiver::{otlp_json, zipkin};

const BODY_LIMIT: usize = 20 << 20;

#[derive(Clone, Copy)]
enum Format {
    OtlpJson,
    ZipkinV1Json,
    ZipkinV2Json,
    ZipkinV2Proto,
}

struct Case(Json);

impl Case {
    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    fn id(&self) -> &str {
        self.text("/id")
    }

    fn header(&self, name: &str) -> &str {
        self.0["headers"][name].as_str().unwrap_or_default()
    }

    /// The bytes of a base64 field.
    fn bytes(&self, pointer: &str) -> Vec<u8> {
        BASE64_STANDARD.decode(self.text(pointer)).expect("the recording is base64")
    }

    fn was_accepted(&self) -> bool {
        matches!(self.0["expect"]["status"].as_u64(), Some(200 | 202))
    }

    /// True if a receiver refused the body; what the distributor refuses is well-formed here.
    fn was_refused_as_malformed(&self) -> bool {
        let answer = self.bytes("/expect/body");
        let message = String::from_utf8_lossy(&answer);
        self.0["expect"]["status"] == 400 && !message.contains("must be 128 bit") && !message.contains("must be 64 bit")
    }

    /// What decodes the body; `None` for other formats and for requests refused because of their path, method or type.
    fn format(&self) -> Option<Format> {
        let content_type = self.header("Content-Type");
        match self.text("/port") {
            "otlp" if self.0["expect"]["status"].as_u64() < Some(404) && content_type.starts_with("application/json") => {
                Some(Format::OtlpJson)
            }
            "zipkin" if zipkin::is_v1_path(self.text("/path")) => (content_type != "application/x-thrift").then_some(Format::ZipkinV1Json),
            "zipkin" if content_type == "application/x-protobuf" => Some(Format::ZipkinV2Proto),
            "zipkin" => Some(Format::ZipkinV2Json),
            _ => None,
        }
    }

    fn decode(&self, format: Format) -> Result<ExportTraceServiceRequest, String> {
        let encoding = Encoding::from_header(Some(self.header("Content-Encoding"))).map_err(|error| error.to_string())?;
        let body = body::decompress(encoding, self.bytes("/body").into(), BODY_LIMIT).map_err(|error| error.to_string())?;
        let request = match format {
            Format::OtlpJson => otlp_json::decode(&body),
            Format::ZipkinV1Json => zipkin::decode_v1_json(&body, TagTypes::Text, 0),
            Format::ZipkinV2Json => zipkin::decode_v2_json(&body, TagTypes::Text).map(decode_otlp),
            Format::ZipkinV2Proto => zipkin::decode_v2_proto(&body, TagTypes::Text).map(decode_otlp),
        };
        request.map_err(|error| error.to_string())
    }
}

fn decode_otlp(request: bytes::Bytes) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(request).expect("OTLP")
}

fn recorded_cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/ingest.jsonl.gz");
    let file = std::fs::File::open(path).expect("the recording is part of the source tree");
    let mut lines = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut lines).expect("the recording is gzipped text");
    lines.lines().map(|line| Case(serde_json::from_str(line).expect("a line is a case"))).collect()
}

/// Cases whose trace differs on purpose, each with its own test below.
const DEVIATIONS: [&str; 4] = [
    // The recording shows ids as rewritten for the answer; the stored ids are compared.
    "zipkin-v2-shared-parent",
    // Tempo accepts spans of instrumentation libraries and loses them (spec/ingest.md §3.2).
    "otlp-json-old-library",
    // Tempo leaves the status of these unset (spec/ingest.md §4.4).
    "zipkin-v2-tag-otel-error",
    "zipkin-v2-tag-otel-ok",
];

#[test]
fn recorded_bodies_are_refused_or_become_the_recorded_traces() {
    let mut stored: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut num_compared = 0;
    for case in recorded_cases() {
        let Some(format) = case.format() else { continue };
        let decoded = case.decode(format);
        if decoded.is_err() != case.was_refused_as_malformed() {
            failures.push(format!("{}: {:?}", case.id(), decoded.as_ref().err()));
        }
        num_compared += 1;
        let Some(request) = decoded.ok().filter(|_| case.was_accepted()) else {
            continue;
        };
        for (trace_id, entry) in flatten(&request) {
            stored.entry(trace_id).or_default().push(entry);
        }
        let Some(expected) = case.0.pointer("/expect/trace/spans").filter(|_| !DEVIATIONS.contains(&case.id())) else {
            continue;
        };
        let trace = stored.get(&format!("{:0>32}", case.text("/trace"))).cloned().unwrap_or_default();
        let (expected, trace) = (sorted(expected.clone()), sorted(trace.into()));
        if expected != trace {
            failures.push(format!("{}\n  expected {expected}\n  got      {trace}", case.id()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(num_compared > 90, "only {num_compared} cases were compared");
}

fn decode_recorded(id: &str) -> Vec<Span> {
    let case = recorded_cases().into_iter().find(|case| case.id() == id).expect("a recorded case");
    let request = case.decode(case.format().expect("a format we read")).expect("an accepted case");
    request.resource_spans.into_iter().flat_map(|batch| batch.scope_spans).flat_map(|batch| batch.spans).collect()
}

#[test]
fn shared_spans_keep_their_id() {
    let spans: Vec<_> = decode_recorded("zipkin-v2-shared-parent").into_iter().map(|s| (s.kind(), s.span_id, s.parent_span_id)).collect();
    let expected = [
        (SpanKind::Client, vec![0x33; 8], vec![0x44; 8]),
        (SpanKind::Server, vec![0x33; 8], vec![0x44; 8]),
        (SpanKind::Unspecified, vec![0x55; 8], vec![0x33; 8]),
    ];
    assert_eq!(spans, expected);
}

#[test]
fn spans_of_instrumentation_libraries_are_not_lost() {
    let spans = decode_recorded("otlp-json-old-library");
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].name, "op");
}

#[test]
fn statuses_of_opentelemetry_count() {
    for (id, code) in [("zipkin-v2-tag-otel-error", StatusCode::Error), ("zipkin-v2-tag-otel-ok", StatusCode::Ok)] {
        assert_eq!(decode_recorded(id)[0].status.clone().expect("always set").code(), code);
    }
}

/// Trace id in hex and entry of every span.
fn flatten(request: &ExportTraceServiceRequest) -> Vec<(String, Json)> {
    let mut entries = Vec::new();
    for batch in &request.resource_spans {
        let resource = batch.resource.as_ref().map(|resource| object([("attributes", attributes(&resource.attributes))]));
        for scope_spans in &batch.scope_spans {
            let scope = scope_spans.scope.clone().unwrap_or_default();
            let scope =
                object([("name", json!(scope.name)), ("version", json!(scope.version)), ("attributes", attributes(&scope.attributes))]);
            for span in &scope_spans.spans {
                // Tempo does not store schema urls, so their keys are always null.
                let entry = json!({"resource": resource.clone().unwrap_or(json!({})), "schemaUrl": null, "scope": scope, "scopeSchemaUrl": null,
                    "span": span_json(span)});
                entries.push((span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect(), entry));
            }
        }
    }
    entries
}

/// An object without the members that jsonpb leaves out.
fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    let is_default = |value: &Json| *value == json!(0) || *value == json!("") || *value == json!("0") || *value == json!([]);
    Json::Object(members.into_iter().filter(|(_, value)| !is_default(value)).map(|(key, value)| (key.to_owned(), value)).collect())
}

fn span_json(span: &Span) -> Json {
    let status = span.status.clone().unwrap_or_default();
    let code = if status.code() == StatusCode::Unset { "" } else { status.code().as_str_name() };
    let kind = if span.kind() == SpanKind::Unspecified { "" } else { span.kind().as_str_name() };
    object([
        ("traceId", base64(&span.trace_id)),
        ("spanId", base64(&span.span_id)),
        ("parentSpanId", base64(&span.parent_span_id)),
        ("traceState", json!(span.trace_state)),
        ("flags", json!(span.flags)),
        ("name", json!(span.name)),
        ("kind", json!(kind)),
        ("startTimeUnixNano", json!(span.start_time_unix_nano.to_string())),
        ("endTimeUnixNano", json!(span.end_time_unix_nano.to_string())),
        ("attributes", attributes(&span.attributes)),
        ("droppedAttributesCount", json!(span.dropped_attributes_count)),
        ("events", span.events.iter().map(event_json).collect()),
        ("droppedEventsCount", json!(span.dropped_events_count)),
        ("links", span.links.iter().map(link_json).collect()),
        ("droppedLinksCount", json!(span.dropped_links_count)),
        ("status", object([("code", json!(code)), ("message", json!(status.message))])),
    ])
}

fn event_json(event: &Event) -> Json {
    object([
        ("timeUnixNano", json!(event.time_unix_nano.to_string())),
        ("name", json!(event.name)),
        ("attributes", attributes(&event.attributes)),
        ("droppedAttributesCount", json!(event.dropped_attributes_count)),
    ])
}

fn link_json(link: &Link) -> Json {
    object([
        ("traceId", base64(&link.trace_id)),
        ("spanId", base64(&link.span_id)),
        ("traceState", json!(link.trace_state)),
        ("flags", json!(link.flags)),
        ("attributes", attributes(&link.attributes)),
        ("droppedAttributesCount", json!(link.dropped_attributes_count)),
    ])
}

fn base64(bytes: &[u8]) -> Json {
    json!(BASE64_STANDARD.encode(bytes))
}

fn attributes(attributes: &[KeyValue]) -> Json {
    attributes.iter().map(key_value_json).collect()
}

fn key_value_json(attribute: &KeyValue) -> Json {
    object([("key", json!(attribute.key)), ("value", attribute.value.as_ref().map_or(json!({}), any_value_json))])
}

fn any_value_json(value: &AnyValue) -> Json {
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => json!({}),
        Some(Value::StringValue(text)) => json!({"stringValue": text}),
        Some(Value::BoolValue(value)) => json!({"boolValue": value}),
        Some(Value::IntValue(number)) => json!({"intValue": number.to_string()}),
        Some(Value::DoubleValue(number)) if number.is_nan() => json!({"doubleValue": "NaN"}),
        Some(Value::DoubleValue(number)) => json!({"doubleValue": number}),
        Some(Value::BytesValue(bytes)) => json!({"bytesValue": base64(bytes)}),
        Some(Value::ArrayValue(array)) => {
            json!({"arrayValue": object([("values", array.values.iter().map(any_value_json).collect())])})
        }
        Some(Value::KvlistValue(list)) => json!({"kvlistValue": object([("values", attributes(&list.values))])}),
    }
}

/// The same JSON with every array in one order, as the recording was made.
fn sorted(json: Json) -> Json {
    match json {
        Json::Array(items) => {
            let mut items: Vec<Json> = items.into_iter().map(sorted).collect();
            items.sort_by_key(Json::to_string);
            Json::Array(items)
        }
        Json::Object(members) => Json::Object(members.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>()),
        scalar => scalar,
    }
}
