//! `POST /api/v2/traces/diff`: how two traces differ (spec/query-api.md §3.6).
//!
//! [`tree`] gives each span a path, by which spans of the two traces are matched; [`patch`] lists every difference, [`summary`] says
//! what they come to. The endpoint is experimental in Tempo, and its texts are not recorded: members have the known names, words
//! and paths inside them are ours.

mod patch;
mod summary;
mod tree;

use super::answer::{Answer, accepts_gzip};
use super::tenant::{TenantError, caller_of};
use super::{ApiError, ApiState, ErrorKind};
use crate::frontend::{Caller, FoundTrace};
use crate::model::trace::encoded_bytes;
use crate::model::{TimeRange, TraceId, UnixNanos};
use crate::runtime::offload::offload;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tree::Tree;

/// Longest body; two ids need far less.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Largest patch that comes with a summary.
const MAX_COMPOSED_PATCH_BYTES: usize = 64 << 10;

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    base: Side,
    #[serde(default)]
    compare: Side,
    #[serde(default)]
    format: String,
}

/// One of the two traces, with seconds between which to look for it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Side {
    trace_id: String,
    start: Option<i64>,
    end: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Patch,
    Summary,
    Composed,
}

impl Format {
    const ALL: [(&'static str, Format); 3] =
        [("trace-patch-v0", Format::Patch), ("trace-summary-v0-native", Format::Summary), ("trace-summary-v0-composed", Format::Composed)];

    fn of(name: &str) -> Result<Self, ApiError> {
        let known = Self::ALL.into_iter().find(|(known, _)| *known == name || (name.is_empty() && *known == "trace-patch-v0"));
        known.map(|(_, format)| format).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            ApiError::invalid(format!("invalid format {name:?}: must be one of {names}"))
        })
    }
}

/// The endpoint.
pub(super) async fn diff(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answer = async {
        let caller = match caller_of(&head.headers, &state.config) {
            Err(TenantError::Missing) => return Err(TenantError::Missing.into()),
            caller => caller,
        };
        if head.method != Method::POST {
            return Ok((StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").into_response());
        }
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            return Ok((StatusCode::PAYLOAD_TOO_LARGE, "http: request body too large\n").into_response());
        };
        let asked = Asked::of(&body)?;
        answer(&state, &caller?, asked).await?.respond(accepts_gzip(&head.headers)).await
    };
    let answer: Result<Response<Body>, ApiError> = answer.await;
    answer.unwrap_or_else(ApiError::into_response)
}

/// What is to be compared, and how it is told.
struct Asked {
    base: (TraceId, Option<TimeRange>),
    compare: (TraceId, Option<TimeRange>),
    format: Format,
}

impl Asked {
    fn of(body: &[u8]) -> Result<Self, ApiError> {
        let body: Question =
            serde_json::from_slice(body).map_err(|error| ApiError::invalid(format!("invalid trace diff request body: {error}")))?;
        let (base, compare) = (side("base", &body.base)?, side("compare", &body.compare)?);
        Ok(Asked { base, compare, format: Format::of(&body.format)? })
    }
}

fn side(name: &str, side: &Side) -> Result<(TraceId, Option<TimeRange>), ApiError> {
    if side.trace_id.is_empty() {
        return Err(ApiError::invalid(format!("{name}.traceId is required")));
    }
    let id = TraceId::parse(&side.trace_id).map_err(|error| ApiError::invalid(format!("invalid {name}.traceId: {error}")))?;
    let (Some(start), Some(end)) = (side.start, side.end) else { return Ok((id, None)) };
    if start >= end {
        return Err(ApiError::invalid(format!("{name}.start must be before end. received start={start} end={end}")));
    }
    let moment = |seconds: i64| UnixNanos::from_seconds(u64::try_from(seconds).unwrap_or_default());
    Ok((id, Some(TimeRange { start: moment(start), end: moment(end) })))
}

async fn answer(state: &ApiState, caller: &Caller, asked: Asked) -> Result<Answer, ApiError> {
    let base = find(state, caller, asked.base).await?;
    let compare = find(state, caller, asked.compare).await?;
    let num_bytes = encoded_bytes(&base.resource_spans) + encoded_bytes(&compare.resource_spans);
    let max = state.config_for(&caller.tenants).limits.max_bytes_per_trace;
    if let Some(max) = max.filter(|max| num_bytes as u64 > *max) {
        return Err(ApiError::new(
            ErrorKind::TooMany,
            format!("trace diff input too large: {num_bytes} bytes exceeds limit of {max} bytes"),
        ));
    }
    let write = move || {
        let (base, compare) = (Tree::of(&base.resource_spans), Tree::of(&compare.resource_spans));
        Answer::json(told(&base, &compare, asked.format).to_string())
    };
    Ok(offload(num_bytes.saturating_mul(2), write).await?)
}

async fn find(state: &ApiState, caller: &Caller, (id, range): (TraceId, Option<TimeRange>)) -> Result<FoundTrace, ApiError> {
    let found = state.frontend.find_trace(caller, id, range).await?;
    if found.gaps.are_any() {
        return Err(ApiError::new(ErrorKind::TooLarge, format!("trace {id}: partial traces cannot be diffed")));
    }
    if found.resource_spans.is_empty() {
        return Err(ApiError::new(ErrorKind::NotFound, "Not Found"));
    }
    Ok(found)
}

fn told(base: &Tree<'_>, compare: &Tree<'_>, format: Format) -> Value {
    let patch = patch::patch(base, compare);
    if format == Format::Patch {
        return patch;
    }
    let mut summary = summary::summary(base, compare, &patch);
    if format == Format::Composed {
        let bytes = patch.to_string().len();
        summary["version"] = "trace-summary-v0-composed".into();
        match bytes <= MAX_COMPOSED_PATCH_BYTES {
            true => summary["patch"] = patch,
            false => summary["patchOmitted"] = json!({"bytes": bytes, "reason": "over_budget"}),
        }
    }
    summary
}

#[cfg(test)]
mod tests;
