//! Shared words: what every stage means by an id, a moment, a size. No IO, no async.

pub mod gofmt;
pub mod ids;
pub mod time;
pub mod trace;

pub use ids::{BlockId, SpanId, TenantId, TraceId};
pub use time::{TimeRange, UnixNanos};
