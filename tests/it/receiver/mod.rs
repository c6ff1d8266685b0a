//! Spans in, in every form that senders have.

mod bad_input;
mod otlp;
mod zipkin;
