//! Bytes on the wire become OTLP bytes and go to the distributor; its answer goes back in the sender's own terms.
//!
//! A request passes, in this order: its head is judged (`otlp_http`, `otlp_grpc`, `zipkin_http`, `jaeger_http` and others:
//! method, path, content type; [`tenant`]: whose spans), its body is read within the limit (`collect`, `grpc`), unpacked
//! ([`body`]) and, where it is not OTLP protobuf already, translated ([`otlp_json`], [`zipkin`], [`jaeger`]). OTLP protobuf
//! is handed over as it came, never decoded into messages. A refusal becomes one status (`status`) that each protocol words
//! in its own way.
//!
//! The limit holds while reading: a body is never held beyond it, compressed or decompressed. What costs more than half
//! a millisecond leaves the event loop. When a sender goes away its request is dropped wherever it waits; whether it was
//! stored by then is decided by the push alone.
//!
//! Each protocol is a function from its settings to an `axum::Router`, to be served by `runtime::serve`; only
//! [`jaeger_udp`] serves its socket itself.

pub mod body;
mod collect;
pub mod edge;
pub mod error;
mod grpc;
pub mod jaeger;
pub mod jaeger_grpc;
pub mod jaeger_http;
pub mod jaeger_udp;
pub mod opencensus;
pub mod opencensus_grpc;
mod opencensus_http;
pub mod otlp_grpc;
pub mod otlp_http;
pub mod otlp_json;
mod otlp_writer;
mod status;
pub mod tenant;
mod thrift;
pub mod zipkin;
pub mod zipkin_http;

#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod test_support;
