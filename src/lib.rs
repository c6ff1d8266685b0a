//! Conmoto: a trace backend in one binary.

pub mod block;
pub mod columns;
pub mod config;
pub mod distributor;
pub mod frontend;
pub mod ingester;
pub mod model;
pub mod proto;
pub mod store;
pub mod traceql;
