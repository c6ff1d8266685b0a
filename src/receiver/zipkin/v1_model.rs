//! Zipkin's v1 span as both wire forms are read into it.

use std::collections::BTreeMap;

use super::model::Endpoint;
use crate::proto::otlp::Value;
use crate::receiver::error::DecodeError;

/// Key and text pairs; of a repeated key the last one was kept.
pub(super) type Tags = BTreeMap<String, String>;

/// A v1 span. It has neither kind nor owner: both follow from its annotations.
#[derive(Debug, Default)]
pub(super) struct V1Span {
    pub(super) trace_id: u128,
    pub(super) id: u64,
    /// 0 for a root.
    pub(super) parent_id: u64,
    pub(super) name: String,
    /// When the span started; 0 if unknown.
    pub(super) timestamp_micros: u64,
    /// 0 if unknown.
    pub(super) duration_micros: u64,
    pub(super) annotations: Vec<V1Annotation>,
    pub(super) binary_annotations: Vec<BinaryAnnotation>,
}

/// Something that happened, and who saw it.
#[derive(Debug, Default)]
pub(super) struct V1Annotation {
    /// 0 if unknown.
    pub(super) timestamp_micros: u64,
    pub(super) value: String,
    pub(super) endpoint: Option<Endpoint<'static>>,
}

/// What v2 calls a tag, and who set it.
#[derive(Debug, Default)]
pub(super) struct BinaryAnnotation {
    pub(super) key: String,
    /// As text, whatever its type is.
    pub(super) value: String,
    /// Its value where the sender gave it another type than text.
    pub(super) typed: Option<Value>,
    pub(super) endpoint: Option<Endpoint<'static>>,
}

/// Refuses spans without ids.
///
/// # Errors
///
/// [`DecodeError::Invalid`] with the name of the id.
pub(super) fn check_ids(spans: &[V1Span]) -> Result<(), DecodeError> {
    for span in spans {
        let missing = match (span.trace_id, span.id) {
            (0, _) => "traceId",
            (_, 0) => "spanId",
            _ => continue,
        };
        return Err(DecodeError::Invalid(format!("zipkinV1 span {missing}: missing or zero")));
    }
    Ok(())
}
