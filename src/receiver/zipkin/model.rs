//! Zipkin's v2 span as both wire forms are read into it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::proto::otlp::SpanKind;

/// Key and text pairs; of a repeated key the last one was kept.
///
/// A sorted map, so that the many look-ups of the translation stay cheap whatever a request holds.
pub(super) type Tags = BTreeMap<String, String>;

/// A v2 span. Absent numbers are 0 and absent texts empty, as in Zipkin's own protobuf form.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ZipkinSpan {
    /// A shorter id fills the low bits; 0 if absent, which the distributor refuses.
    pub(super) trace_id: u128,
    pub(super) id: u64,
    /// 0 for a root.
    pub(super) parent_id: u64,
    pub(super) name: String,
    /// Unspecified unless one of Zipkin's four kinds.
    pub(super) kind: SpanKind,
    /// When the span started; 0 if unknown.
    pub(super) timestamp_micros: u64,
    pub(super) duration_micros: u64,
    pub(super) local_endpoint: Endpoint,
    pub(super) remote_endpoint: Endpoint,
    pub(super) annotations: Vec<Annotation>,
    pub(super) tags: Tags,
    /// Marks a span without a timestamp by an attribute; JSON spans are marked, protobuf spans are not.
    pub(super) mark_absent_start: bool,
}

/// A side of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    pub(super) service_name: String,
    /// What the sender wrote as its IPv4 address; nothing checks the family.
    pub(super) ipv4: Option<IpAddr>,
    /// What the sender wrote as its IPv6 address.
    pub(super) ipv6: Option<IpAddr>,
    /// 0 if unknown.
    pub(super) port: u16,
}

/// Something that happened during a span.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Annotation {
    pub(super) timestamp_micros: u64,
    pub(super) value: String,
}

/// Nanoseconds from microseconds; times beyond the year 2554 stop there.
pub(super) fn micros_to_nanos(micros: u64) -> u64 {
    micros.saturating_mul(1000)
}
