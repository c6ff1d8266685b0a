//! One user query becomes units of work over head and blocks, then one answer.

use crate::model::{TenantId, TimeRange, TraceId};
use crate::proto::otlp::ResourceSpans;
use crate::proto::tempopb;
use crate::traceql::ast::{Attribute, FieldExpr, Query};

/// A search as the API has checked it.
#[derive(Clone, Debug)]
pub struct SearchParams {
    /// The query; `None` matches every trace and answers without span sets (the legacy form without `q` and `tags`).
    pub query: Option<Query>,
    /// Largest number of traces in the answer, at least 1.
    pub limit: usize,
    /// Largest number of spans in a span set, at least 1.
    pub spans_per_span_set: usize,
    /// Only traces that overlap it.
    pub range: TimeRange,
}

/// Which tag names or values are asked for.
#[derive(Clone, Debug, Default)]
pub struct TagParams {
    /// Only of spans that match; `None` means all.
    pub filter: Option<FieldExpr>,
    /// Only of data that overlaps it; `None` means all.
    pub range: Option<TimeRange>,
    /// Largest number of names per scope, or of values; 0 means no limit.
    pub limit: usize,
}

/// Names of one scope; `scope` is `resource`, `span`, `event`, `link`, `instrumentation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTags {
    /// The scope's word.
    pub scope: &'static str,
    /// Names without scope prefix, sorted.
    pub tags: Vec<String>,
}

/// A trace with what it cost to find it.
#[derive(Clone, Debug, Default)]
pub struct FoundTrace {
    /// The joined, deduplicated trace; empty if there is none.
    pub resource_spans: Vec<ResourceSpans>,
    /// Bytes read for it.
    pub inspected_bytes: u64,
}

/// Why a query has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The query is at fault: HTTP 400, gRPC InvalidArgument.
    #[error("{0}")]
    Invalid(String),
    /// The language has it, this version does not: HTTP 501, gRPC Unimplemented.
    #[error("{0}")]
    Unsupported(String),
    /// The data or the store is at fault: HTTP 500, gRPC Internal.
    #[error("{0}")]
    Internal(String),
}

/// Answers queries over everything that is stored.
pub struct Frontend {}

impl Frontend {
    /// The whole trace, from head and blocks; those outside `range` may be left out.
    pub async fn find_trace(&self, _tenant: &TenantId, _id: TraceId, _range: Option<TimeRange>) -> Result<FoundTrace, QueryError> {
        Ok(FoundTrace::default())
    }

    /// Traces that match, newest first.
    pub async fn search(&self, _tenant: &TenantId, _params: SearchParams) -> Result<tempopb::SearchResponse, QueryError> {
        Ok(tempopb::SearchResponse::default())
    }

    /// Attribute names by scope; without the intrinsics, which are the API's constant.
    pub async fn tag_names(&self, _tenant: &TenantId, _params: TagParams) -> Result<Vec<ScopeTags>, QueryError> {
        Ok(Vec::new())
    }

    /// Typed values of an attribute or intrinsic, sorted by type and text.
    pub async fn tag_values(&self, _tenant: &TenantId, _tag: &Attribute, _params: TagParams) -> Result<Vec<tempopb::TagValue>, QueryError> {
        Ok(Vec::new())
    }
}
