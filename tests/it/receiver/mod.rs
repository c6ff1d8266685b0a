//! Spans in, in every form that senders have.

mod bad_input;
mod bombs;
mod jaeger;
mod limits;
mod opencensus;
mod otlp;
mod tls;
mod trace_limits;
pub mod zipkin;
