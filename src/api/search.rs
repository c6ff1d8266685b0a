//! Search: the checks in the order clients know them, then the frontend (spec/query-api.md §4).

use super::answer::Answer;
use super::http::QueryRequest;
use super::legacy::{LegacySearch, parse_tags};
use super::params::{Params, check_expression_size};
use super::times::{RangeArgs, RangeRules, go_duration, strict_seconds, unsigned};
use super::{ApiConfig, ApiError, ApiState, ErrorKind, json};
use crate::frontend::{Caller, SearchParams};
use crate::model::{TimeRange, UnixNanos};
use crate::proto::tempopb::{SearchRequest, SearchResponse};
use crate::traceql;
use crate::traceql::ast::{Body, Query};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a `spss` of 0 means, whatever the default is.
const ZERO_SPANS_PER_SPAN_SET: usize = 3;

/// `/api/search`.
pub(super) async fn search(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let checked = SearchArgs::of_params(&request.params)?.check(&request.config, UnixNanos::now())?;
    let response = checked.run(&state, &request.caller?).await?;
    Answer::of_message(request.format, response, json::search).await
}

/// A search as HTTP and gRPC ask for it; numbers may still be out of their bounds, and texts no queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SearchArgs {
    /// First and last second; 0 is none.
    start: u32,
    end: u32,
    since: Option<String>,
    /// TraceQL; empty is none.
    query: String,
    legacy: LegacySearch,
    limit: Option<u32>,
    spans_per_span_set: Option<u32>,
}

impl SearchArgs {
    /// Those of a URL, checked as far as rows 1 to 6 of spec/query-api.md §4.1 go.
    fn of_params(params: &Params) -> Result<Self, ApiError> {
        let start = params.read("start", strict_seconds)?.unwrap_or_default();
        let end = params.read("end", strict_seconds)?.unwrap_or_default();
        let query = params.get("q").unwrap_or_default().to_string();
        let tags = params.get("tags").unwrap_or_default();
        if !query.is_empty() && !tags.is_empty() {
            return Err(ApiError::invalid("invalid request: can't specify tags and q in the same query"));
        }
        let tags = parse_tags(tags).map_err(|error| ApiError::invalid(format!("invalid tags: {error}")))?;
        let min_duration_ms = params.read("minDuration", millis)?.unwrap_or_default();
        let max_duration_ms = params.read("maxDuration", millis)?.unwrap_or_default();
        if max_duration_ms > 0 && min_duration_ms > max_duration_ms {
            return Err(ApiError::invalid("invalid maxDuration: must be greater than minDuration"));
        }
        let limit = params.read("limit", unsigned)?;
        if limit == Some(0) {
            return Err(ApiError::invalid("invalid limit: must be a positive number"));
        }
        let spans_per_span_set = params.read("spss", unsigned)?;
        let legacy = LegacySearch { tags, min_duration_ms, max_duration_ms };
        let since = params.get("since").map(str::to_string);
        Ok(SearchArgs { start, end, since, query, legacy, limit, spans_per_span_set })
    }

    /// Those of a gRPC request, where 0 stands for absent.
    pub(super) fn of_message(message: SearchRequest) -> Self {
        let SearchRequest { tags, min_duration_ms, max_duration_ms, limit, start, end, query, spans_per_span_set, .. } = message;
        SearchArgs {
            start,
            end,
            since: None,
            query,
            legacy: LegacySearch { tags, min_duration_ms, max_duration_ms },
            limit: Some(limit).filter(|limit| *limit > 0),
            spans_per_span_set: Some(spans_per_span_set).filter(|number| *number > 0),
        }
    }

    /// The rest of the checks, in their order.
    pub(super) fn check(self, config: &ApiConfig, now: UnixNanos) -> Result<CheckedSearch, ApiError> {
        check_expression_size(&self.query, config.max_query_expression_size_bytes)?;
        if self.start > 0 && self.end <= self.start {
            let SearchArgs { start, end, .. } = self;
            return Err(ApiError::invalid(format!("http parameter start must be before end. received start={start} end={end}")));
        }
        let limit = self.limit.map_or(config.default_result_limit, |limit| limit as usize);
        if let Some(max) = config.max_result_limit.filter(|max| limit > *max) {
            return Err(ApiError::invalid(format!("limit {limit} exceeds max limit {max}")));
        }
        let (query, legacy) = match self.query.as_str() {
            "" => (self.legacy.to_query(), true),
            text => (Some(searched(text)?), false),
        };
        let range = self.range(config, now)?;
        let spans_per_span_set = match self.spans_per_span_set {
            None => config.default_spans_per_span_set,
            Some(0) => ZERO_SPANS_PER_SPAN_SET,
            Some(number) => number as usize,
        };
        if config.max_spans_per_span_set.is_some_and(|max| spans_per_span_set > max) {
            let max = config.max_spans_per_span_set.unwrap_or_default();
            return Err(ApiError::invalid(format!("spans per span set exceeds {max}. received {spans_per_span_set}")));
        }
        let left_pad = config.limits.left_pad_trace_ids;
        let params = SearchParams { query, limit: limit.max(1), spans_per_span_set: spans_per_span_set.max(1), range };
        Ok(CheckedSearch { params, form: Form { legacy, left_pad } })
    }

    fn range(&self, config: &ApiConfig, now: UnixNanos) -> Result<TimeRange, ApiError> {
        let rules = RangeRules { now, cutoff: config.query_end_cutoff, max_duration: config.limits.max_search_duration };
        let args = RangeArgs { since: self.since.clone(), ..RangeArgs::of_seconds(self.start, self.end) };
        let Some(range) = args.rewritten(&rules)? else { return Ok(TimeRange::ALL) };
        RangeArgs::check_length(&range, &rules)?;
        Ok(range)
    }
}

/// A Go duration in whole milliseconds; nobody's trace is shorter than nothing.
fn millis(text: &str) -> Result<u32, String> {
    Ok(u32::try_from(go_duration(text)?.max(0) / 1_000_000).unwrap_or(u32::MAX))
}

/// The part of a query that is searched: of a metrics query everything before its function.
fn searched(text: &str) -> Result<Query, ApiError> {
    let query = traceql::compile(text).map_err(|error| ApiError::invalid(format!("invalid TraceQL query: {error}")))?;
    match query.body {
        Body::Metrics(metrics) => Ok(Query { body: Body::Pipeline(metrics.pipeline), hints: query.hints }),
        Body::Math(_) => Err(ApiError::new(ErrorKind::Internal, "math expressions not supported")),
        Body::Pipeline(_) | Body::ScalarComparison(_) => Ok(query),
    }
}

/// A search that makes sense.
#[derive(Clone, Debug)]
pub(super) struct CheckedSearch {
    params: SearchParams,
    form: Form,
}

/// How the answer of a search is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Asked for without TraceQL: the answer has neither span sets nor counts by service (spec/query-api.md §4.3).
    legacy: bool,
    /// Ids of traces keep their leading zeros (`read.left_pad_trace_ids`).
    left_pad: bool,
}

impl CheckedSearch {
    /// How its answer is written.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Searches.
    pub(super) async fn run(self, state: &ApiState, caller: &Caller) -> Result<SearchResponse, ApiError> {
        let form = self.form;
        Ok(form.shape(state.frontend.search(caller, self.params).await?))
    }

    /// As [`run`](Self::run); what is found on the way is sent to `partial`.
    pub(super) async fn run_streamed(
        self,
        state: &ApiState,
        caller: &Caller,
        partial: mpsc::Sender<SearchResponse>,
    ) -> Result<SearchResponse, ApiError> {
        let form = self.form;
        Ok(form.shape(state.frontend.search_streamed(caller, self.params, partial).await?))
    }
}

impl Form {
    /// Gives an answer its form.
    pub(super) fn shape(self, mut response: SearchResponse) -> SearchResponse {
        for trace in &mut response.traces {
            if self.legacy {
                trace.span_set = None;
                trace.span_sets.clear();
                trace.service_stats.clear();
            }
            if self.left_pad {
                trace.trace_id = format!("{:0>32}", trace.trace_id);
            }
        }
        response.metrics.get_or_insert_default();
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    fn check(query: &str) -> Result<CheckedSearch, String> {
        let params = Params::of(&format!("/api/search?{query}").parse().expect("a URI"));
        let checked = SearchArgs::of_params(&params).and_then(|args| args.check(&ApiConfig::default(), NOW));
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn errors_come_in_their_order() {
        let too_late = "http parameter start must be before end. received start=5 end=";
        for (query, error) in [
            ("start=x&end=y&limit=z", "invalid start: strconv.ParseUint: parsing \"x\": invalid syntax"),
            ("end=y&limit=z", "invalid end: strconv.ParseUint: parsing \"y\": invalid syntax"),
            ("start=4294967296", "invalid start: strconv.ParseUint: parsing \"4294967296\": value out of range"),
            ("q={}&tags=a%3Db&limit=0", "invalid request: can't specify tags and q in the same query"),
            ("tags=a%3Db+a%3Dc&minDuration=x", "invalid tags: tag a has been set twice"),
            ("minDuration=x&limit=0", "invalid minDuration: time: invalid duration \"x\""),
            ("minDuration=2s&maxDuration=1s", "invalid maxDuration: must be greater than minDuration"),
            ("limit=0&spss=x", "invalid limit: must be a positive number"),
            ("limit=-1", "invalid limit: strconv.ParseUint: parsing \"-1\": invalid syntax"),
            ("spss=x&start=5", "invalid spss: strconv.ParseUint: parsing \"x\": invalid syntax"),
            ("start=5&limit=300000", &format!("{too_late}0")),
            ("start=5&end=5", &format!("{too_late}5")),
            ("limit=262145&q={", "limit 262145 exceeds max limit 262144"),
            ("end=5&spss=101", "error parsing date range: only one of start and end provided: must provide both or neither"),
            ("start=5&end=604806&spss=101", "range specified by start and end exceeds 168h0m0s. received start=5 end=604806"),
            ("spss=101", "spans per span set exceeds 100. received 101"),
        ] {
            assert_eq!(check(query).map(drop), Err(error.to_string()), "{query}");
        }
        for (query, prefix) in [("q={&end=5", "invalid TraceQL query: parse error at line 1, col"), ("q={1}", "invalid TraceQL query: ")] {
            assert!(check(query).is_err_and(|error| error.starts_with(prefix)), "{query}");
        }
    }

    #[test]
    fn defaults() {
        let checked = check("").expect("matches everything");
        assert!(checked.form.legacy && checked.params.query.is_none());
        assert_eq!((checked.params.limit, checked.params.spans_per_span_set, checked.params.range), (20, 3, TimeRange::ALL));
        let checked = check("q={}&spss=0&limit=7&minDuration=0s&maxDuration=0s&unknown=x").expect("as tempo-query asks");
        assert!(!checked.form.legacy);
        assert_eq!((checked.params.limit, checked.params.spans_per_span_set), (7, 3));
        let checked = check("since=1h").expect("a range");
        assert_eq!(checked.params.range.end, NOW);
    }

    #[test]
    fn of_a_metrics_query_the_filter_is_searched() {
        let checked = check("q={name%3D%22a%22}|rate()").expect("a query");
        assert!(matches!(checked.params.query, Some(Query { body: Body::Pipeline(_), .. })));
        assert!(check("q=({}|rate())*2").is_err());
    }

    #[test]
    fn grpc_requests_use_0_for_absent() {
        let check = |message| SearchArgs::of_message(message).check(&ApiConfig::default(), NOW);
        let checked = check(SearchRequest { query: "{}".to_string(), ..SearchRequest::default() }).expect("defaults");
        assert_eq!((checked.params.limit, checked.params.spans_per_span_set, checked.params.range), (20, 3, TimeRange::ALL));
        let error = check(SearchRequest { start: 9, end: 3, ..SearchRequest::default() }).expect_err("no range");
        assert_eq!(error.to_string(), "http parameter start must be before end. received start=9 end=3");
    }
}
