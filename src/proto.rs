//! The messages on the wire: those of the Tempo query API, generated from `proto/tempopb`, those of
//! Prometheus' remote write, generated from `proto/prometheus`, and those of OTLP, taken
//! from the crate `opentelemetry-proto`. No logic here; JSON is written by `api::json`.

#[cfg(test)]
pub(crate) mod tests;

/// Messages and the gRPC service of the Tempo query API (spec/proto-facts.md §1, §2).
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
pub mod tempopb {
    tonic::include_proto!("tempopb");
}

/// The messages of Prometheus' remote write 1.0 (spec/metrics-generator.md §9).
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
pub mod prometheus {
    tonic::include_proto!("prometheus");
}

/// The OTLP trace messages, all under one name.
pub mod otlp {
    pub use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    pub use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value, any_value::Value,
    };
    pub use opentelemetry_proto::tonic::resource::v1::Resource;
    pub use opentelemetry_proto::tonic::trace::v1::{
        ResourceSpans, ScopeSpans, Span, SpanFlags, Status, TracesData, span, span::Event, span::Link, span::SpanKind, status,
        status::StatusCode,
    };
}
