//! Jaeger's query API, as its page and Grafana's data source for it ask.

use super::super::answer::Answer;
use super::super::filters::{all_of, compare};
use super::super::http::QueryRequest;
use super::super::params::Params;
use super::super::times::go_duration;
use super::super::{ApiError, ApiState};
use super::jaeger_json::{self, Envelope};
use super::{Asked, dependencies, json, of_name, of_service, service, tagged, traces, values};
use crate::model::{TimeRange, TraceId, UnixNanos};
use crate::traceql::ast::{Attribute, BinaryOp, FieldExpr, Intrinsic, Kind, Static, Status};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Traces of a search that names no limit.
const DEFAULT_LIMIT: usize = 100;

/// `/jaeger/api/services`.
pub(in crate::api) async fn services(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    json(&Envelope::of(values(&state, &request.caller?, service(), None).await?))
}

/// `/jaeger/api/services/{service}/operations`.
pub(in crate::api) async fn operation_names(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let filter = of_service(&request.argument);
    json(&Envelope::of(values(&state, &request.caller?, Attribute::Intrinsic(Intrinsic::Name), Some(filter)).await?))
}

/// A name of spans with their kind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: String,
    span_kind: &'static str,
}

/// `/jaeger/api/operations?service=…&spanKind=…`.
pub(in crate::api) async fn operations(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let caller = request.caller?;
    let service = request.params.get("service").ok_or_else(|| jaeger_json::bad_parameter("service", "parameter is required"))?;
    let asked = request.params.get("spanKind").map(str::to_lowercase);
    let mut operations = Vec::new();
    for kind in [Kind::Client, Kind::Consumer, Kind::Internal, Kind::Producer, Kind::Server, Kind::Unspecified] {
        let word = if kind == Kind::Unspecified { "" } else { kind.as_str() };
        if asked.as_ref().is_some_and(|asked| asked != word) {
            continue;
        }
        let of_kind = compare(BinaryOp::Eq, Attribute::Intrinsic(Intrinsic::Kind), Static::Kind(kind));
        let filter = all_of(vec![of_service(service), of_kind]);
        let names = values(&state, &caller, Attribute::Intrinsic(Intrinsic::Name), filter).await?;
        operations.extend(names.into_iter().map(|name| Operation { name, span_kind: word }));
    }
    json(&Envelope::of(operations))
}

/// `/jaeger/api/traces`: a search, or with `traceID` the traces of these ids.
pub(in crate::api) async fn search(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let caller = request.caller?;
    if let Some(id) = request.params.get("traceID") {
        let id = TraceId::parse(id).map_err(|error| ApiError::invalid(error.to_string()))?;
        let found = state.frontend.find_trace(&caller, id, None).await?;
        let found = [found.resource_spans].into_iter().filter(|trace| !trace.is_empty());
        return json(&Envelope::of(found.map(|trace| jaeger_json::trace(&trace)).collect::<Vec<_>>()));
    }
    let found = traces(&state, &caller, asked(&request.params, UnixNanos::now())?).await?;
    json(&Envelope::of(found.iter().map(|trace| jaeger_json::trace(&trace.resource_spans)).collect::<Vec<_>>()))
}

/// `/jaeger/api/traces/{id}`.
pub(in crate::api) async fn trace(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let id = TraceId::parse(&request.argument).map_err(|error| ApiError::invalid(error.to_string()))?;
    let found = state.frontend.find_trace(&request.caller?, id, None).await?;
    if found.resource_spans.is_empty() {
        return Err(jaeger_json::not_found());
    }
    json(&Envelope::of(vec![jaeger_json::trace(&found.resource_spans)]))
}

/// `/jaeger/api/dependencies?endTs=…&lookback=…`, both in milliseconds.
pub(in crate::api) async fn service_dependencies(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let range = super::zipkin::lookback_range(&request.params, UnixNanos::now())?;
    json(&Envelope::of(dependencies(&state, &request.caller?, range).await?))
}

/// What the parameters of a search ask for. Times are microseconds.
fn asked(params: &Params, now: UnixNanos) -> Result<Asked, ApiError> {
    let mut conditions = Vec::new();
    conditions.extend(params.get("service").map(of_service));
    conditions.extend(params.get("operation").filter(|name| *name != "all").map(of_name));
    for (op, name) in [(BinaryOp::Ge, "minDuration"), (BinaryOp::Le, "maxDuration")] {
        if let Some(nanos) = params.read(name, go_duration)?.filter(|nanos| *nanos > 0) {
            conditions.push(compare(op, Attribute::Intrinsic(Intrinsic::Duration), Static::Duration(nanos)));
        }
    }
    conditions.extend(tags(params)?);
    let micros = |name: &str| params.read(name, |text| text.parse::<u64>().map_err(|error| error.to_string()));
    let moment = |micros: u64| UnixNanos(micros.saturating_mul(1000));
    let range = match (micros("start")?, micros("end")?) {
        (None, None) => TimeRange::ALL,
        (start, end) => TimeRange { start: moment(start.unwrap_or_default()), end: end.map_or(now, moment) },
    };
    let limit = params.read("limit", |text| text.parse().map_err(|error: std::num::ParseIntError| error.to_string()))?;
    Ok(Asked { filter: all_of(conditions), range, limit: limit.unwrap_or(DEFAULT_LIMIT) })
}

/// `tags={"key":"value"}` and `tag=key:value`.
fn tags(params: &Params) -> Result<Vec<FieldExpr>, ApiError> {
    let listed = params.read("tags", |text| serde_json::from_str::<BTreeMap<String, String>>(text).map_err(|error| error.to_string()))?;
    let mut tags: Vec<(String, String)> = listed.unwrap_or_default().into_iter().collect();
    for tag in params.all("tag") {
        let (key, value) = tag
            .split_once(':')
            .ok_or_else(|| ApiError::invalid(format!("malformed 'tag' parameter, expecting key:value, received: {tag}")))?;
        tags.push((key.to_string(), value.to_string()));
    }
    Ok(tags.iter().map(|(key, value)| condition(key, value)).collect())
}

/// Jaeger says some things of a span as tags that are fields here.
fn condition(key: &str, value: &str) -> FieldExpr {
    match (key, value) {
        ("error", "true") | ("otel.status_code", "ERROR") => {
            compare(BinaryOp::Eq, Attribute::Intrinsic(Intrinsic::Status), Static::Status(Status::Error))
        }
        ("span.kind", word) => match [Kind::Client, Kind::Consumer, Kind::Internal, Kind::Producer, Kind::Server]
            .into_iter()
            .find(|kind| kind.as_str() == word)
        {
            Some(kind) => compare(BinaryOp::Eq, Attribute::Intrinsic(Intrinsic::Kind), Static::Kind(kind)),
            None => FieldExpr::Static(Static::Bool(false)),
        },
        _ => tagged(key, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<String, String> {
        let params = Params::of(&format!("/x?{query}").parse().expect("a URI"));
        let asked = asked(&params, UnixNanos(9_000_000)).map_err(|error| error.to_string())?;
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
        let all = TimeRange::ALL;
        let ever = format!("{}..{}", all.start.0, all.end.0);
        assert_eq!(filter(""), Ok(format!("- 100 {ever}")));
        assert_eq!(filter("service=a&operation=all&limit=7&lookback=1h"), Ok(format!("resource.service.name = `a` 7 {ever}")));
        assert_eq!(filter("operation=b&start=5&end=8"), Ok("name = `b` 100 5000..8000".to_string()));
        assert_eq!(filter("operation=b&start=5"), Ok("name = `b` 100 5000..9000000".to_string()));
        assert!(filter("tags=%7B%22error%22%3A%22true%22%7D").is_ok_and(|text| text.starts_with("status = error")));
        assert!(filter("tag=span.kind:server&tag=n:5").is_ok_and(|text| text.contains("kind = server") && text.contains(".n = 5")));
        for bad in ["minDuration=x", "start=x", "limit=x", "tags=x", "tag=x"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
