//! Conmoto: a trace backend in one binary.
//!
//! ```text
//! receiver ─ distributor ─ ingester (WAL, head) ─ block ─ store          a span's way in
//! api ─ frontend ─ querier (head and blocks) ─ traceql over columns      a query's way out
//! ingester (head) ─ generator ─ api, remote write                        metrics from spans
//! ```
//!
//! docs/ARCHITECTURE.md says where everything is. Modules in reading order; imports go from later to earlier only.

pub mod proto;
pub mod telemetry;

pub mod model;
pub mod runtime;

pub mod columns;
pub mod overrides;
pub mod traceql;

pub mod block;
pub mod store;

pub mod compactor;
pub mod generator;
pub mod ingester;
pub mod querier;

pub mod distributor;
pub mod frontend;

pub mod api;
pub mod receiver;

pub mod config;
pub mod demo;

pub mod app;
