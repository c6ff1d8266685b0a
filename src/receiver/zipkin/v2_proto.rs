//! v2 spans from protobuf, `zipkin.proto3` (spec/ingest.md §4.5). The messages are small enough to be declared by hand.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prost::Message;

use super::model::{Annotation, Endpoint, ZipkinSpan};
use crate::proto::otlp::SpanKind;
use crate::receiver::error::DecodeError;

/// The spans of a `ListOfSpans`.
///
/// # Errors
///
/// [`DecodeError::Protobuf`] for other bytes, [`DecodeError::Invalid`] for ids of a wrong length.
pub(super) fn parse(body: &[u8]) -> Result<Vec<ZipkinSpan<'static>>, DecodeError> {
    ListOfSpans::decode(body)?.spans.into_iter().map(ZipkinSpan::try_from).collect()
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListOfSpans {
    #[prost(message, repeated, tag = "1")]
    pub(super) spans: Vec<ProtoSpan>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProtoSpan {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) parent_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) id: Vec<u8>,
    #[prost(int32, tag = "4")]
    pub(super) kind: i32,
    #[prost(string, tag = "5")]
    pub(super) name: String,
    #[prost(fixed64, tag = "6")]
    pub(super) timestamp: u64,
    #[prost(uint64, tag = "7")]
    pub(super) duration: u64,
    #[prost(message, optional, tag = "8")]
    pub(super) local_endpoint: Option<ProtoEndpoint>,
    #[prost(message, optional, tag = "9")]
    pub(super) remote_endpoint: Option<ProtoEndpoint>,
    #[prost(message, repeated, tag = "10")]
    pub(super) annotations: Vec<ProtoAnnotation>,
    #[prost(btree_map = "string, string", tag = "11")]
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProtoEndpoint {
    #[prost(string, tag = "1")]
    pub(super) service_name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ipv4: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) ipv6: Vec<u8>,
    #[prost(int32, tag = "4")]
    pub(super) port: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProtoAnnotation {
    #[prost(fixed64, tag = "1")]
    pub(super) timestamp: u64,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

impl TryFrom<ProtoSpan> for ZipkinSpan<'static> {
    type Error = DecodeError;

    fn try_from(span: ProtoSpan) -> Result<Self, DecodeError> {
        Ok(ZipkinSpan {
            trace_id: trace_id(&span.trace_id)?,
            id: span_id(&span.id)?,
            parent_id: if span.parent_id.is_empty() { 0 } else { span_id(&span.parent_id)? },
            name: span.name.into(),
            kind: kind_by_number(span.kind),
            timestamp_micros: span.timestamp,
            duration_micros: span.duration,
            local_endpoint: span.local_endpoint.map(Endpoint::from).unwrap_or_default(),
            remote_endpoint: span.remote_endpoint.map(Endpoint::from).unwrap_or_default(),
            annotations: span.annotations.into_iter().map(Annotation::from).collect(),
            tags: span.tags.into_iter().map(|(key, text)| (key.into(), text.into())).collect(),
            mark_absent_start: false,
        })
    }
}

/// 16 bytes, or the 8 bytes of a 64-bit id.
fn trace_id(bytes: &[u8]) -> Result<u128, DecodeError> {
    if let Ok(bytes) = bytes.try_into() {
        return Ok(u128::from_be_bytes(bytes));
    }
    match bytes.try_into() {
        Ok(bytes) => Ok(u64::from_be_bytes(bytes).into()),
        Err(_) => Err(DecodeError::Invalid(format!("trace id of {} bytes, want 16", bytes.len()))),
    }
}

fn span_id(bytes: &[u8]) -> Result<u64, DecodeError> {
    match bytes.try_into() {
        Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
        Err(_) => Err(DecodeError::Invalid(format!("span id of {} bytes, want 8", bytes.len()))),
    }
}

/// Zipkin's numbers differ from OTLP's.
fn kind_by_number(kind: i32) -> SpanKind {
    match kind {
        1 => SpanKind::Client,
        2 => SpanKind::Server,
        3 => SpanKind::Producer,
        4 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

impl From<ProtoEndpoint> for Endpoint<'static> {
    /// Addresses of another length and ports out of range are no reason to refuse a span; they count as unknown.
    fn from(endpoint: ProtoEndpoint) -> Self {
        Endpoint {
            service_name: endpoint.service_name.into(),
            ipv4: <[u8; 4]>::try_from(endpoint.ipv4).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
            ipv6: <[u8; 16]>::try_from(endpoint.ipv6).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
            port: endpoint.port.try_into().unwrap_or_default(),
        }
    }
}

impl From<ProtoAnnotation> for Annotation<'static> {
    fn from(annotation: ProtoAnnotation) -> Self {
        Annotation { timestamp_micros: annotation.timestamp, value: annotation.value.into() }
    }
}
