//! Traces by id, version 1 and 2 (spec/query-api.md §3).

use super::answer::{Answer, Format};
use super::http::QueryRequest;
use super::params::Params;
use super::times::signed;
use super::trace_filter::{FILTERED, TraceFilter};
use super::{ApiError, ApiState, ErrorKind, json, protobuf};
use crate::frontend::FoundTrace;
use crate::model::trace::{encoded_bytes, truncate};
use crate::model::{BlockId, TimeRange, TraceId, UnixNanos};
use crate::proto::tempopb::{PartialStatus, Trace, TraceByIdMetrics, TraceByIdResponse};
use crate::runtime::offload::offload;
use std::sync::Arc;

/// `/api/traces/{id}`.
pub(super) async fn version_1(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let (format, max_bytes) = (request.format, request.config.limits.max_bytes_per_trace);
    let (FoundTrace { resource_spans, .. }, num_bytes) = find(&state, request).await?;
    if resource_spans.is_empty() {
        return Err(ApiError::new(ErrorKind::NotFound, ""));
    }
    if let Some(max) = max_bytes.filter(|max| num_bytes as u64 > *max) {
        return Err(ApiError::new(ErrorKind::TooLarge, format!("trace exceeds max size (max bytes: {max})")));
    }
    let write = move || match format {
        Format::Protobuf => Answer::protobuf(protobuf::trace_v1(resource_spans)),
        Format::Json => Answer::json(json::trace_v1(&resource_spans)),
        // There is no such form of version 1, but clients are told that there is.
        Format::Llm => Answer::json(json::trace_v1(&resource_spans)).named("application/vnd.grafana.llm"),
    };
    Ok(offload(num_bytes.saturating_mul(2), write).await?)
}

/// `/api/v2/traces/{id}`.
pub(super) async fn version_2(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let (format, max_bytes) = (request.format, request.config.limits.max_bytes_per_trace);
    let filter = TraceFilter::of_params(&request.params)?;
    let (FoundTrace { resource_spans, inspected_bytes, gaps, charges }, num_bytes) = find(&state, request).await?;
    let write = move || {
        let _until_written = charges;
        let mut resource_spans = resource_spans;
        let mut messages = Vec::new();
        if gaps.are_any() {
            messages.push(gaps.message());
        }
        if let Some(filter) = &filter
            && filter.apply(&mut resource_spans)?
        {
            messages.push(FILTERED.to_string());
        }
        if let Some(max) = max_bytes.filter(|max| encoded_bytes(&resource_spans) as u64 > *max) {
            truncate(&mut resource_spans, usize::try_from(max).unwrap_or(usize::MAX));
            messages.push(format!("Trace exceeds maximum size of {max} bytes, a partial trace is returned"));
        }
        let status = if messages.is_empty() { PartialStatus::Complete } else { PartialStatus::Partial };
        let trace = Some(Trace { resource_spans });
        let metrics = Some(TraceByIdMetrics { inspected_bytes, ..TraceByIdMetrics::default() });
        let response = TraceByIdResponse { trace, metrics, status: status.into(), message: messages.join("; ") };
        Ok::<_, ApiError>(match format {
            Format::Protobuf => Answer::protobuf(protobuf::trace_by_id(response)),
            Format::Json => Answer::json(json::trace_by_id(&response)),
            Format::Llm => Answer::llm(json::trace_by_id_llm(&response)),
        })
    };
    offload(num_bytes.saturating_mul(2), write).await?
}

/// Checks id and parameters, looks the trace up and measures it, as one message.
async fn find(state: &ApiState, request: QueryRequest) -> Result<(FoundTrace, usize), ApiError> {
    let id = TraceId::parse(&request.argument).map_err(|error| ApiError::invalid(error.to_string()))?;
    let range = check_params(&request.params)?;
    let found = state.frontend.find_trace(&request.caller?, id, range).await?;
    let num_bytes = encoded_bytes(&found.resource_spans);
    Ok((found, num_bytes))
}

/// The range, if both of its ends are given; a shard of the blocks is no longer asked for by anybody, but still checked.
fn check_params(params: &Params) -> Result<Option<TimeRange>, ApiError> {
    let start = params.read("start", signed)?;
    let end = params.read("end", signed)?;
    let mode = params.get("mode").unwrap_or("all");
    if !["all", "ingesters", "blocks", "external"].contains(&mode) {
        return Err(ApiError::invalid(format!("invalid value for mode {mode}")));
    }
    for (parameter, name) in [("blockStart", "blockstart"), ("blockEnd", "blockEnd")] {
        if let Some(text) = params.get(parameter).filter(|text| BlockId::parse(text).is_none()) {
            return Err(ApiError::invalid(format!("invalid value for {name}: invalid UUID {text:?}")));
        }
    }
    let (Some(start), Some(end)) = (start, end) else { return Ok(None) };
    if start >= end {
        return Err(ApiError::invalid(format!("http parameter start must be before end. received start={start} end={end}")));
    }
    let moment = |seconds: i64| UnixNanos::from_seconds(u64::try_from(seconds).unwrap_or_default());
    Ok(Some(TimeRange { start: moment(start), end: moment(end) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str) -> Result<Option<(u64, u64)>, String> {
        let params = Params::of(&format!("/x?{query}").parse().expect("a URI"));
        let range = check_params(&params).map_err(|error| error.to_string())?;
        Ok(range.map(|range| (range.start.seconds(), range.end.seconds())))
    }

    #[test]
    fn parameters() {
        assert_eq!(check("start=1&end=2"), Ok(Some((1, 2))));
        assert_eq!(check("start=-9&end=2"), Ok(Some((0, 2))));
        for all in ["", "start=1", "end=2", "mode=blocks"] {
            assert_eq!(check(all), Ok(None), "{all}");
        }
        for (query, error) in [
            ("start=x", "invalid start: strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("start=2&end=2", "http parameter start must be before end. received start=2 end=2"),
            ("mode=some", "invalid value for mode some"),
            ("blockStart=x", "invalid value for blockstart: invalid UUID \"x\""),
            ("blockEnd=x", "invalid value for blockEnd: invalid UUID \"x\""),
        ] {
            assert_eq!(check(query), Err(error.to_string()), "{query}");
        }
    }
}
