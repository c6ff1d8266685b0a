//! Spans to send.

use conmoto::proto::otlp::{
    AnyValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, Status, Value,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use std::io::Write;

/// A second in the past that tests count from: 1 Sep 2026.
pub const T0: u64 = 1_788_220_800;
/// Nanoseconds of a second and of a millisecond.
pub const SECOND: u64 = 1_000_000_000;
pub const MILLISECOND: u64 = 1_000_000;

/// A trace id as clients write it.
pub trait TraceText: Copy {
    fn text(self) -> String;
}

impl TraceText for u128 {
    fn text(self) -> String {
        format!("{self:032x}")
    }
}

impl TraceText for &str {
    fn text(self) -> String {
        self.to_string()
    }
}

/// A span of 1 ms that starts `after` nanoseconds after [`T0`].
pub fn span(trace: u128, id: u64, name: &str, after: u64) -> Span {
    let start = T0 * SECOND + after;
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: name.to_string(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + MILLISECOND,
        ..Span::default()
    }
}

/// Changes of a span, to be chained.
pub trait With: Sized {
    fn lasting(self, nanos: u64) -> Self;
    fn child_of(self, parent: u64) -> Self;
    fn failed(self) -> Self;
    fn with(self, key: &str, value: impl Into<Value>) -> Self;
}

impl With for Span {
    fn lasting(mut self, nanos: u64) -> Self {
        self.end_time_unix_nano = self.start_time_unix_nano + nanos;
        self
    }

    fn child_of(mut self, parent: u64) -> Self {
        self.parent_span_id = parent.to_be_bytes().to_vec();
        self
    }

    fn failed(mut self) -> Self {
        self.status = Some(Status { code: 2, message: "it failed".to_string() });
        self
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attributes.push(attribute(key, value.into()));
        self
    }
}

/// A string value.
pub fn text(value: &str) -> Value {
    Value::StringValue(value.to_string())
}

/// A whole number.
pub fn int(value: i64) -> Value {
    Value::IntValue(value)
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_string(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Spans of one service.
pub fn service(name: &str, spans: Vec<Span>) -> ResourceSpans {
    let resource = Resource { attributes: vec![attribute("service.name", text(name))], ..Resource::default() };
    let scope = InstrumentationScope { name: "it".to_string(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }
}

/// A request with the spans of some services.
pub fn request(resource_spans: Vec<ResourceSpans>) -> Vec<u8> {
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// A request with spans of the service `shop`.
pub fn shop(spans: Vec<Span>) -> Vec<u8> {
    request(vec![service("shop", spans)])
}

/// Compressed bytes.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
