//! Traces by id, version 1 and 2 (spec/query-api.md §3).

use super::answer::{Answer, Format};
use super::http::QueryRequest;
use super::params::Params;
use super::times::signed;
use super::{ApiError, ApiState, ErrorKind, json, protobuf};
use crate::frontend::FoundTrace;
use crate::model::{BlockId, TimeRange, TraceId, UnixNanos};
use crate::proto::otlp::{ResourceSpans, ScopeSpans};
use crate::proto::tempopb::{PartialStatus, Trace, TraceByIdMetrics, TraceByIdResponse};
use crate::runtime::offload::offload;
use crate::traceql;
use crate::traceql::ast::{Body, FieldExpr, Query, SpansetExpr, Stage, Static};
use prost::Message;
use std::sync::Arc;

/// Bytes around a message within another: a tag and a length.
const FRAME_BYTES: usize = 5;

/// `/api/traces/{id}`.
pub(super) async fn version_1(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let format = request.format;
    let (FoundTrace { resource_spans, .. }, num_bytes) = find(&state, request).await?;
    if resource_spans.is_empty() {
        return Err(ApiError::new(ErrorKind::NotFound, ""));
    }
    if let Some(max) = state.config.max_bytes_per_trace.filter(|max| num_bytes as u64 > *max) {
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
    let format = request.format;
    check_filter(&request.params)?;
    let (FoundTrace { resource_spans, inspected_bytes }, num_bytes) = find(&state, request).await?;
    let cut_at = state.config.max_bytes_per_trace.filter(|max| num_bytes as u64 > *max);
    let write = move || {
        let (resource_spans, status, message) = match cut_at {
            None => (resource_spans, PartialStatus::Complete, String::new()),
            Some(max) => {
                let message = format!("Trace exceeds maximum size of {max} bytes, a partial trace is returned");
                (cut(resource_spans, usize::try_from(max).unwrap_or(usize::MAX)), PartialStatus::Partial, message)
            }
        };
        let trace = Some(Trace { resource_spans });
        let metrics = Some(TraceByIdMetrics { inspected_bytes, ..TraceByIdMetrics::default() });
        let response = TraceByIdResponse { trace, metrics, status: status.into(), message };
        match format {
            Format::Protobuf => Answer::protobuf(protobuf::trace_by_id(response)),
            Format::Json => Answer::json(json::trace_by_id(&response)),
            Format::Llm => Answer::llm(json::trace_by_id_llm(&response)),
        }
    };
    Ok(offload(num_bytes.saturating_mul(2), write).await?)
}

/// Checks id and parameters, looks the trace up and measures it, as one message.
async fn find(state: &ApiState, request: QueryRequest) -> Result<(FoundTrace, usize), ApiError> {
    let id = TraceId::parse(&request.argument).map_err(|error| ApiError::invalid(error.to_string()))?;
    let range = check_params(&request.params)?;
    let found = state.frontend.find_trace(&request.tenant?, id, range).await?;
    let num_bytes = found.resource_spans.iter().map(|batch| FRAME_BYTES + batch.encoded_len()).sum();
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

/// Judges `q` of version 2. A filter that leaves spans out is honestly refused rather than ignored.
fn check_filter(params: &Params) -> Result<(), ApiError> {
    let Some(text) = params.get("q").filter(|text| !text.trim().is_empty()) else { return Ok(()) };
    let invalid = |reason: &dyn std::fmt::Display| ApiError::invalid(format!("invalid TraceQL filter: {reason}"));
    let Query { body, .. } = traceql::compile(text).map_err(|error| invalid(&error))?;
    let only_filter = match &body {
        Body::Pipeline(pipeline) => match pipeline.stages.as_slice() {
            [Stage::Spansets(SpansetExpr::Filter(filter))] => Some(filter),
            _ => None,
        },
        _ => None,
    };
    match only_filter {
        Some(FieldExpr::Static(Static::Bool(true))) => Ok(()),
        Some(_) => Err(ApiError::new(ErrorKind::Unsupported, "filtering the spans of a trace is not implemented yet")),
        None => Err(invalid(&"only a single spanset filter is supported")),
    }
}

/// As much of the trace as fits, in its order: whole spans, with their resource and scope.
fn cut(mut batches: Vec<ResourceSpans>, max_bytes: usize) -> Vec<ResourceSpans> {
    let mut budget = max_bytes;
    let mut take = |num_bytes: usize| {
        let fits = num_bytes <= budget;
        budget = if fits { budget - num_bytes } else { 0 };
        fits
    };
    for batch in &mut batches {
        let scopes = std::mem::take(&mut batch.scope_spans);
        if take(2 * FRAME_BYTES + batch.encoded_len()) {
            batch.scope_spans = scopes.into_iter().filter_map(|scope| cut_scope(scope, &mut take)).collect();
        }
    }
    batches.retain(|batch| !batch.scope_spans.is_empty());
    batches
}

fn cut_scope(mut scope: ScopeSpans, take: &mut impl FnMut(usize) -> bool) -> Option<ScopeSpans> {
    let spans = std::mem::take(&mut scope.spans);
    if take(2 * FRAME_BYTES + scope.encoded_len()) {
        scope.spans = spans.into_iter().take_while(|span| take(FRAME_BYTES + span.encoded_len())).collect();
    }
    (!scope.spans.is_empty()).then_some(scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::Span;

    fn check(query: &str) -> Result<Option<(u64, u64)>, String> {
        let params = Params::of(&format!("/x?{query}").parse().expect("a URI"));
        let range = check_filter(&params).and_then(|()| check_params(&params)).map_err(|error| error.to_string())?;
        Ok(range.map(|range| (range.start.seconds(), range.end.seconds())))
    }

    #[test]
    fn parameters() {
        assert_eq!(check("start=1&end=2"), Ok(Some((1, 2))));
        assert_eq!(check("start=-9&end=2"), Ok(Some((0, 2))));
        for all in ["", "start=1", "end=2", "mode=blocks", "q=%20", "q={}", "q={true}"] {
            assert_eq!(check(all), Ok(None), "{all}");
        }
        for (query, error) in [
            ("start=x", "invalid start: strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("start=2&end=2", "http parameter start must be before end. received start=2 end=2"),
            ("mode=some", "invalid value for mode some"),
            ("blockStart=x", "invalid value for blockstart: invalid UUID \"x\""),
            ("blockEnd=x", "invalid value for blockEnd: invalid UUID \"x\""),
            ("q={}%26%26{}", "invalid TraceQL filter: only a single spanset filter is supported"),
            ("q={name=%22a%22}", "filtering the spans of a trace is not implemented yet"),
        ] {
            assert_eq!(check(query), Err(error.to_string()), "{query}");
        }
        assert!(check("q={").is_err_and(|error| error.starts_with("invalid TraceQL filter: parse error at")));
    }

    #[test]
    fn a_cut_trace_is_within_its_size() {
        let span = || Span { name: "x".repeat(50), ..Span::default() };
        let scope = || ScopeSpans { spans: vec![span(), span(), span()], ..ScopeSpans::default() };
        let batch = || ResourceSpans { scope_spans: vec![scope(), scope()], ..ResourceSpans::default() };
        let whole = Trace { resource_spans: vec![batch(), batch()] };
        let num_spans = |batches: &[ResourceSpans]| -> usize { batches.iter().flat_map(|b| &b.scope_spans).map(|s| s.spans.len()).sum() };
        let mut largest = 0;
        for max in 0..1200 {
            let trace = Trace { resource_spans: cut(whole.resource_spans.clone(), max) };
            assert!(trace.encoded_len() <= max);
            assert!(num_spans(&trace.resource_spans) >= largest);
            largest = num_spans(&trace.resource_spans);
        }
        assert_eq!(largest, 12);
    }
}
