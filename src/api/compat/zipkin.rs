//! Zipkin's query API, version 2, as its page and Grafana's data source for it ask.

use super::super::answer::Answer;
use super::super::filters::{all_of, compare};
use super::super::http::QueryRequest;
use super::super::params::Params;
use super::super::{ApiError, ApiState, ErrorKind};
use super::zipkin_json;
use super::{Asked, dependencies, json, of_name, of_service, service, tagged, traces, values};
use crate::model::{TimeRange, TraceId, UnixNanos};
use crate::traceql::ast::{Attribute, BinaryOp, FieldExpr, Intrinsic, Scope, Static, Status};
use std::sync::Arc;

/// Traces of a search that names no limit.
const DEFAULT_LIMIT: usize = 10;

/// How far back a query looks that does not say it.
const DEFAULT_LOOKBACK_MILLIS: u64 = 24 * 3600 * 1000;

/// `/zipkin/api/v2/services`.
pub(in crate::api) async fn services(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    json(&values(&state, &request.caller?, service(), None).await?)
}

/// `/zipkin/api/v2/spans?serviceName=…`: names of spans.
pub(in crate::api) async fn span_names(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let filter = request.params.get("serviceName").map(of_service);
    json(&values(&state, &request.caller?, Attribute::Intrinsic(Intrinsic::Name), filter).await?)
}

/// `/zipkin/api/v2/remoteServices?serviceName=…`: who is named as the other side of a call.
pub(in crate::api) async fn remote_services(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let filter = request.params.get("serviceName").map(of_service);
    json(&values(&state, &request.caller?, Attribute::scoped(Scope::Span, "peer.service"), filter).await?)
}

/// `/zipkin/api/v2/traces`.
pub(in crate::api) async fn search(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let asked = asked(&request.params, UnixNanos::now())?;
    let found = traces(&state, &request.caller?, asked).await?;
    json(&found.iter().map(|trace| zipkin_json::spans(&trace.resource_spans)).collect::<Vec<_>>())
}

/// `/zipkin/api/v2/trace/{id}`.
pub(in crate::api) async fn trace(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let id = TraceId::parse(&request.argument).map_err(|error| ApiError::invalid(error.to_string()))?;
    let found = state.frontend.find_trace(&request.caller?, id, None).await?;
    if found.resource_spans.is_empty() {
        return Err(ApiError::new(ErrorKind::NotFound, format!("{} not found", request.argument)));
    }
    json(&zipkin_json::spans(&found.resource_spans))
}

/// `/zipkin/api/v2/dependencies?endTs=…&lookback=…`.
pub(in crate::api) async fn service_dependencies(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let range = lookback_range(&request.params, UnixNanos::now())?;
    json(&dependencies(&state, &request.caller?, range).await?)
}

/// The range that ends at `endTs` and is `lookback` long, both in milliseconds.
pub(super) fn lookback_range(params: &Params, now: UnixNanos) -> Result<TimeRange, ApiError> {
    const NANOS_PER_MILLI: u64 = 1_000_000;
    let millis = |name: &str| params.read(name, |text| text.parse::<u64>().map_err(|error| error.to_string()));
    let end = millis("endTs")?.map_or(now, |millis| UnixNanos(millis.saturating_mul(NANOS_PER_MILLI)));
    let lookback = millis("lookback")?.unwrap_or(DEFAULT_LOOKBACK_MILLIS).saturating_mul(NANOS_PER_MILLI);
    Ok(TimeRange { start: UnixNanos(end.0.saturating_sub(lookback)), end })
}

/// What the parameters of a search ask for.
fn asked(params: &Params, now: UnixNanos) -> Result<Asked, ApiError> {
    let is_all = |name: &&str| *name != "all";
    let mut conditions = Vec::new();
    conditions.extend(params.get("serviceName").filter(is_all).map(of_service));
    conditions.extend(params.get("spanName").filter(is_all).map(of_name));
    conditions.extend(params.get("remoteServiceName").filter(is_all).map(|name| tagged("peer.service", name)));
    for (op, name) in [(BinaryOp::Ge, "minDuration"), (BinaryOp::Le, "maxDuration")] {
        if let Some(micros) = params.read(name, |text| text.parse::<i64>().map_err(|error| error.to_string()))? {
            let bound = Static::Duration(micros.saturating_mul(1000));
            conditions.push(compare(op, Attribute::Intrinsic(Intrinsic::Duration), bound));
        }
    }
    let terms = params.get("annotationQuery").unwrap_or_default().split(" and ").map(str::trim).filter(|term| !term.is_empty());
    conditions.extend(terms.map(condition));
    let limit = params.read("limit", |text| text.parse().map_err(|error: std::num::ParseIntError| error.to_string()))?;
    Ok(Asked { filter: all_of(conditions), range: lookback_range(params, now)?, limit: limit.unwrap_or(DEFAULT_LIMIT) })
}

/// A term of an annotation query: `key=value`, `error`, or a key that the span has.
fn condition(term: &str) -> FieldExpr {
    match term.split_once('=') {
        Some((key, value)) => tagged(key, value),
        None if term == "error" => compare(BinaryOp::Eq, Attribute::Intrinsic(Intrinsic::Status), Static::Status(Status::Error)),
        None => FieldExpr::NotNil(Box::new(FieldExpr::Attribute(Attribute::scoped(Scope::None, term)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<String, String> {
        let params = Params::of(&format!("/x?{query}").parse().expect("a URI"));
        let asked = asked(&params, UnixNanos(100_000_000_000_000)).map_err(|error| error.to_string())?;
        Ok(format!(
            "{} {} {}..{}",
            asked.filter.map_or("-".to_string(), |filter| filter.to_string()),
            asked.limit,
            asked.range.start.0,
            asked.range.end.0
        ))
    }

    #[test]
    fn searches_become_filters() {
        assert_eq!(filter(""), Ok("- 10 13600000000000..100000000000000".to_string()));
        assert_eq!(
            filter("serviceName=a&spanName=all&limit=7&endTs=9&lookback=4"),
            Ok("resource.service.name = `a` 7 5000000..9000000".to_string())
        );
        assert!(
            filter("annotationQuery=error+and+k%3Dv+and+x&minDuration=5").is_ok_and(|text| {
                text.contains("status = error")
                    && text.contains(".k = `v`")
                    && text.contains(".x != nil")
                    && text.contains("duration >= 5µs")
            }),
            "{:?}",
            filter("annotationQuery=error+and+k%3Dv+and+x&minDuration=5")
        );
        for bad in ["minDuration=x", "endTs=x", "limit=x", "lookback=-1"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
