//! TraceQL metrics: the checks in the order clients know them, then the frontend (spec/query-api.md §6.1, §6.5).

use super::answer::{Answer, Format};
use super::http::QueryRequest;
use super::params::{Params, check_expression_size};
use super::times::{go_text, instant, nanos, prometheus_duration, unsigned};
use super::{ApiConfig, ApiError, ApiState, ErrorKind, json};
use crate::frontend::{Caller, MetricsParams};
use crate::model::UnixNanos;
use crate::proto::tempopb::{QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse};
use crate::traceql;
use crate::traceql::ast::{Body, Query};
use crate::traceql::metrics::{Buckets, MAX_BUCKETS, Request, default_step};
use std::sync::Arc;
use std::time::Duration;

/// How far back a query goes that does not say it.
const DEFAULT_SINCE_NANOS: u64 = 3600 * 1_000_000_000;

/// `/api/metrics/query_range`. The answer is JSON whatever is accepted (recorded).
pub(super) async fn query_range(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let now = UnixNanos::now();
    let params = MetricsArgs::of_params(&request.params, now, Some(step_of(&request.params)))?.check_range(&request.config, now)?;
    let response = run_range(&state, &request.caller?, params).await?;
    Answer::of_message(Format::Json, response, json::query_range).await
}

/// `/api/metrics/query`.
pub(super) async fn query_instant(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let now = UnixNanos::now();
    let params = MetricsArgs::of_params(&request.params, now, None)?.check_instant(&request.config, now)?;
    let response = run_instant(&state, &request.caller?, params).await?;
    Answer::of_message(Format::Json, response, json::query_instant).await
}

/// Runs a range query that was checked.
pub(super) async fn run_range(state: &ApiState, caller: &Caller, params: MetricsParams) -> Result<QueryRangeResponse, ApiError> {
    Ok(state.frontend.metrics_range(caller, params).await?)
}

/// Runs an instant query that was checked.
pub(super) async fn run_instant(state: &ApiState, caller: &Caller, params: MetricsParams) -> Result<QueryInstantResponse, ApiError> {
    Ok(state.frontend.metrics_instant(caller, params).await?)
}

/// A metrics query as HTTP and gRPC ask for it.
#[derive(Clone, Debug)]
pub(super) struct MetricsArgs {
    text: String,
    window: Window,
    /// Nanoseconds; `None` lets the server choose.
    step: Option<u64>,
    /// 0 for as many as there can be.
    exemplars: u32,
    /// 0 for no bound.
    max_series: u32,
}

impl MetricsArgs {
    /// Those of a URL. Numbers that are none are ignored, times are not.
    fn of_params(params: &Params, now: UnixNanos, step: Option<Result<Option<u64>, ApiError>>) -> Result<Self, ApiError> {
        let window = Window::of_params(params, now)?;
        let number = |name: &str| params.get(name).and_then(|text| unsigned(text).ok()).unwrap_or_default();
        Ok(MetricsArgs {
            text: params.get("q").or_else(|| params.get("query")).unwrap_or_default().to_string(),
            window,
            step: step.transpose()?.flatten(),
            exemplars: number("exemplars"),
            max_series: number("maxSeries"),
        })
    }

    /// Those of a gRPC range query, where 0 stands for absent.
    pub(super) fn of_range_message(message: QueryRangeRequest, now: UnixNanos) -> Self {
        let QueryRangeRequest { query, start, end, step, exemplars, max_series, .. } = message;
        let window = Window::of_message(start, end, now);
        MetricsArgs { text: query, window, step: (step > 0).then_some(step), exemplars, max_series }
    }

    /// Those of a gRPC instant query, where 0 stands for absent.
    pub(super) fn of_instant_message(message: QueryInstantRequest, now: UnixNanos) -> Self {
        let QueryInstantRequest { query, start, end } = message;
        MetricsArgs { text: query, window: Window::of_message(start, end, now), step: None, exemplars: 0, max_series: 0 }
    }

    /// Checks a range query.
    pub(super) fn check_range(self, config: &ApiConfig, now: UnixNanos) -> Result<MetricsParams, ApiError> {
        check_expression_size(&self.text, config.max_query_expression_size_bytes)?;
        self.window.check(config)?;
        self.window.check_step(self.step, config.max_metrics_intervals)?;
        traceql::parse(&self.text).map_err(|error| ApiError::new(ErrorKind::Unparsed, error.to_string()))?;
        let Window { start, end, .. } = self.window;
        let step = self.step.unwrap_or_else(|| default_step(end.0 - start.0));
        // The newest data are cut off only where that is asked for.
        let newest = (!config.query_end_cutoff.is_zero()).then(|| UnixNanos(now.0.saturating_sub(nanos(config.query_end_cutoff))));
        let buckets = Buckets::of_range(start, end, step, newest).filter(|buckets| buckets.len() <= MAX_BUCKETS);
        let buckets = buckets.ok_or_else(|| too_small(step, (end.0 - start.0) / MAX_BUCKETS as u64))?;
        let exemplars = Some(self.exemplars as usize);
        Ok(MetricsParams { query: meaning(&self.text)?, request: Request { buckets, exemplars, max_series: self.max_series as usize } })
    }

    /// Checks an instant query.
    pub(super) fn check_instant(self, config: &ApiConfig, now: UnixNanos) -> Result<MetricsParams, ApiError> {
        check_expression_size(&self.text, config.max_query_expression_size_bytes)?;
        self.window.check(config)?;
        let query = meaning(&self.text)?;
        let Window { start, end, .. } = self.window;
        let end =
            if config.query_end_cutoff.is_zero() { end } else { end.min(UnixNanos(now.0.saturating_sub(nanos(config.query_end_cutoff)))) };
        let buckets = Buckets::of_instant(start, end).ok_or_else(|| ApiError::invalid("end must be greater than start"))?;
        Ok(MetricsParams { query, request: Request { buckets, exemplars: None, max_series: self.max_series as usize } })
    }
}

fn meaning(text: &str) -> Result<Query, ApiError> {
    let query = traceql::compile(text).map_err(|error| ApiError::invalid(format!("compiling query: {error}")))?;
    match query.body {
        Body::Metrics(_) | Body::Math(_) => Ok(query),
        Body::Pipeline(_) | Body::ScalarComparison(_) => Err(ApiError::invalid("not a metrics query")),
    }
}

fn too_small(step: u64, minimum: u64) -> ApiError {
    let [step, minimum] = [step, minimum].map(|nanos| go_text(Duration::from_nanos(nanos)));
    ApiError::invalid(format!("step of {step} is too small, minimum step for given range is {minimum}"))
}

/// The time that a query covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    start: UnixNanos,
    end: UnixNanos,
    now: UnixNanos,
}

impl Window {
    /// `end` is now unless given, `start` lies `since` before both of them.
    fn of_params(params: &Params, now: UnixNanos) -> Result<Self, ApiError> {
        let start = read(params, "start", instant)?;
        let end = read(params, "end", instant)?.unwrap_or(now);
        let since = read(params, "since", prometheus_duration)?.unwrap_or(DEFAULT_SINCE_NANOS);
        let start = start.unwrap_or_else(|| UnixNanos(end.min(now).0.saturating_sub(since)));
        Ok(Window { start, end, now })
    }

    /// Of a gRPC request in nanoseconds, where 0 stands for absent.
    fn of_message(start: u64, end: u64, now: UnixNanos) -> Self {
        let end = if end > 0 { UnixNanos(end) } else { now };
        let start = if start > 0 { start } else { end.min(now).0.saturating_sub(DEFAULT_SINCE_NANOS) };
        Window { start: UnixNanos(start), end, now }
    }

    fn check(&self, config: &ApiConfig) -> Result<(), ApiError> {
        if self.start >= self.end {
            return Err(ApiError::invalid("end must be greater than start"));
        }
        let newest = self.now.0.saturating_sub(nanos(config.query_end_cutoff));
        let end = if config.query_end_cutoff.is_zero() { self.end.0 } else { self.end.0.min(newest) };
        if self.start.0 >= end {
            return Err(ApiError::invalid("query window falls entirely within query_end_cutoff"));
        }
        match config.limits.max_metrics_duration {
            Some(max) if end - self.start.0 > nanos(max) => {
                Err(ApiError::invalid(format!("metrics query time range exceeds the maximum allowed duration of {}", go_text(max))))
            }
            _ => Ok(()),
        }
    }

    /// A step that is given must cut the range into no more than so many pieces; one that is not is chosen by the server.
    fn check_step(&self, step_nanos: Option<u64>, max_intervals: u64) -> Result<(), ApiError> {
        let Some(step) = step_nanos else { return Ok(()) };
        let length = self.end.0 - self.start.0;
        if max_intervals == 0 || (step > 0 && length / step <= max_intervals) {
            return Ok(());
        }
        Err(too_small(step, length / max_intervals))
    }
}

/// Reads a time parameter; errors carry the wrapping that clients see.
fn read<T>(params: &Params, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, ApiError> {
    params.get(name).map(parse).transpose().map_err(|error| wrapped(&format!("could not parse '{name}' parameter: {error}")))
}

fn wrapped(message: &str) -> ApiError {
    ApiError::invalid(format!("rpc error: code = Code(400) desc = {message}"))
}

/// `step` in nanoseconds: float seconds or a duration, above 0; `None` lets the server choose.
fn step_of(params: &Params) -> Result<Option<u64>, ApiError> {
    let Some(text) = params.get("step") else { return Ok(None) };
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let step = match seconds {
        Some(seconds) if seconds.abs() * 1e9 > i64::MAX as f64 => {
            return Err(wrapped(&format!("cannot parse {text:?} to a valid duration. It overflows int64")));
        }
        // Within 64 bits, as the line above has seen to.
        #[allow(clippy::cast_possible_truncation)]
        Some(seconds) => (seconds * 1e9) as i64,
        None => super::times::go_duration(text).map_err(|_| wrapped(&format!("cannot parse {text:?} to a valid duration")))?,
    };
    match u64::try_from(step) {
        Ok(0) => Ok(None),
        Ok(step) => Ok(Some(step)),
        Err(_) => Err(wrapped(&format!("cannot parse {text:?}: step must be positive"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

    fn check(query: &str) -> Result<MetricsParams, String> {
        let params = Params::of(&format!("/x?{query}").parse().expect("a URI"));
        let checked =
            MetricsArgs::of_params(&params, NOW, Some(step_of(&params))).and_then(|args| args.check_range(&ApiConfig::default(), NOW));
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn errors_come_in_their_order() {
        let wrapped = "rpc error: code = Code(400) desc = ";
        for (query, error) in [
            ("start=x", format!("{wrapped}could not parse 'start' parameter: cannot parse \"x\" to a valid timestamp")),
            ("since=x", format!("{wrapped}could not parse 'since' parameter: not a valid duration string: \"x\"")),
            ("step=x", format!("{wrapped}cannot parse \"x\" to a valid duration")),
            ("step=1e300", format!("{wrapped}cannot parse \"1e300\" to a valid duration. It overflows int64")),
            ("step=-5", format!("{wrapped}cannot parse \"-5\": step must be positive")),
            ("start=5&end=4&step=x", format!("{wrapped}cannot parse \"x\" to a valid duration")),
            ("start=5&end=4&q={", "end must be greater than start".to_string()),
            ("start=5&end=5&q={", "end must be greater than start".to_string()),
            ("since=25h", "metrics query time range exceeds the maximum allowed duration of 24h0m0s".to_string()),
            ("since=1h&step=35ms", "step of 35ms is too small, minimum step for given range is 360ms".to_string()),
            ("q={}", "not a metrics query".to_string()),
        ] {
            assert_eq!(check(query).map(drop), Err(error), "{query}");
        }
        assert!(check("q={").is_err_and(|error| error.starts_with("parse error at line 1")));
        assert!(check("q={1}|rate()").is_err_and(|error| error.starts_with("compiling query: ")));
    }

    #[test]
    fn what_is_asked() {
        let seconds = |nanos: (u64, u64)| (nanos.0 / 1_000_000_000, nanos.1 / 1_000_000_000);
        let asked = |query: &str| check(query).expect("in order").request;
        let hour = asked("q={}|rate()");
        assert_eq!((seconds(hour.buckets.span()), hour.buckets.len()), ((1_699_996_380, 1_700_000_010), 242));
        assert_eq!((hour.exemplars, hour.max_series), (Some(0), 0));
        let given = asked("query={}|rate()&start=1699999000&end=1700000000&step=0.5&exemplars=7&maxSeries=3");
        assert_eq!((given.buckets.len(), given.exemplars, given.max_series), (2001, Some(7), 3));
        assert_eq!(asked("q={}|rate()&exemplars=x&maxSeries=-1").exemplars, Some(0));
    }

    #[test]
    fn no_step_is_too_small_for_memory() {
        let config = ApiConfig { max_metrics_intervals: 0, ..ApiConfig::default() };
        let args = MetricsArgs::of_range_message(QueryRangeRequest { query: "{}|rate()".to_string(), step: 1, ..Default::default() }, NOW);
        let error = args.check_range(&config, NOW).expect_err("too many buckets").to_string();
        assert!(error.starts_with("step of 1ns is too small"), "{error}");
    }

    #[test]
    fn an_instant_query_covers_what_was_asked() {
        let message = |start, end| QueryInstantRequest { query: "{}|rate()".to_string(), start, end };
        let check = |start, end| MetricsArgs::of_instant_message(message(start, end), NOW).check_instant(&ApiConfig::default(), NOW);
        let request = check(5, 9).expect("in order").request;
        assert_eq!((request.buckets.span(), request.buckets.len(), request.exemplars), ((5, 9), 1, None));
        assert_eq!(check(0, 0).expect("an hour").request.buckets.span(), (NOW.0 - DEFAULT_SINCE_NANOS, NOW.0));
        assert!(check(9, 5).is_err());
    }
}
