//! TraceQL metrics: the parameters are checked as clients know it, then the honest answer is that there is no answer yet
//! (spec/query-api.md §6.1, §6.5).

use super::answer::Answer;
use super::http::QueryRequest;
use super::params::Params;
use super::times::{go_text, instant, nanos, prometheus_duration};
use super::{ApiConfig, ApiError, ApiState, ErrorKind};
use crate::model::UnixNanos;
use crate::traceql;
use crate::traceql::ast::Body;
use std::sync::Arc;
use std::time::Duration;

/// What both transports say to a metrics query that is in order.
pub(super) const NOT_IMPLEMENTED: &str = "TraceQL metrics are not implemented yet";

/// How far back a query goes that does not say it.
const DEFAULT_SINCE_NANOS: u64 = 3600 * 1_000_000_000;

/// `/api/metrics/query_range`.
pub(super) async fn query_range(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let text = expression(&request.params);
    let window = Window::of_params(&request.params, UnixNanos::now())?;
    window.check(&state.config)?;
    window.check_step(step_of(&request.params)?, state.config.max_metrics_intervals)?;
    traceql::parse(text).map_err(|error| ApiError::invalid(error.to_string()))?;
    answer(text, &request)
}

/// `/api/metrics/query`.
pub(super) async fn query_instant(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let window = Window::of_params(&request.params, UnixNanos::now())?;
    window.check(&state.config)?;
    answer(expression(&request.params), &request)
}

fn answer(text: &str, request: &QueryRequest) -> Result<Answer, ApiError> {
    check_meaning(text)?;
    request.tenant.clone()?;
    Err(ApiError::new(ErrorKind::Unsupported, NOT_IMPLEMENTED))
}

fn expression(params: &Params) -> &str {
    params.get("q").or_else(|| params.get("query")).unwrap_or_default()
}

fn check_meaning(text: &str) -> Result<(), ApiError> {
    let query = traceql::compile(text).map_err(|error| ApiError::invalid(format!("compiling query: {error}")))?;
    match query.body {
        Body::Metrics(_) | Body::Math(_) => Ok(()),
        Body::Pipeline(_) | Body::ScalarComparison(_) => Err(ApiError::invalid("not a metrics query")),
    }
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

    fn check(&self, config: &ApiConfig) -> Result<(), ApiError> {
        if self.start >= self.end {
            return Err(ApiError::invalid("end must be greater than start"));
        }
        let newest = self.now.0.saturating_sub(nanos(config.query_end_cutoff));
        let end = if config.query_end_cutoff.is_zero() { self.end.0 } else { self.end.0.min(newest) };
        if self.start.0 >= end {
            return Err(ApiError::invalid("query window falls entirely within query_end_cutoff"));
        }
        match config.max_metrics_duration {
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
        let [step, minimum] = [step, length / max_intervals].map(|nanos| go_text(Duration::from_nanos(nanos)));
        Err(ApiError::invalid(format!("step of {step} is too small, minimum step for given range is {minimum}")))
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

    fn check(query: &str) -> Result<(), String> {
        let params = Params::of(&format!("/x?{query}").parse().expect("a URI"));
        let check = || {
            let window = Window::of_params(&params, NOW)?;
            let config = ApiConfig::default();
            window.check(&config)?;
            window.check_step(step_of(&params)?, config.max_metrics_intervals)?;
            check_meaning(expression(&params))
        };
        check().map_err(|error| error.to_string())
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
            ("start=5&end=4&q={", "end must be greater than start".to_string()),
            ("start=5&end=5&q={", "end must be greater than start".to_string()),
            ("since=25h", "metrics query time range exceeds the maximum allowed duration of 24h0m0s".to_string()),
            ("since=1h&step=35ms", "step of 35ms is too small, minimum step for given range is 360ms".to_string()),
            ("q={}", "not a metrics query".to_string()),
        ] {
            assert_eq!(check(query), Err(error), "{query}");
        }
        assert!(check("q={").is_err_and(|error| error.starts_with("compiling query: parse error at line 1")));
        for query in ["q={}|rate()", "query={}|rate()&step=15s&since=3h", "q={}|rate()&start=1699999000&end=1700000000&step=0.5"] {
            assert_eq!(check(query), Ok(()), "{query}");
        }
    }
}
