//! The routes of the HTTP port and of the gRPC port, and what all queries have in common (spec/query-api.md §1).
//!
//! Queries answer to every method and never read a body. A tenant that is missing is told before anything else, a tenant
//! with an illegal name where the handler first needs it.

use super::answer::{Answer, Format, accepts_gzip};
use super::compat::{jaeger, zipkin};
use super::params::Params;
use super::tenant::{TenantError, caller_of};
use super::{
    ApiConfig, ApiError, ApiState, ErrorKind, diff, generated, health, metrics_query, observed, overrides_page, page, pprof, prometheus,
    search, status, streaming, tags, trace, user_overrides,
};
use crate::frontend::{Caller, Gaps};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use http::header::{CONTENT_TYPE, HeaderMap, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// Header of an answer that may lack the spans of blocks that cannot be read; one of our own.
const PARTIAL: HeaderName = HeaderName::from_static("x-conmoto-partial");

/// The HTTP port: every path of the API, and the gRPC calls if `stream_over_http_enabled`.
pub fn http_router(state: Arc<ApiState>) -> Router {
    let (path_prefix, api_prefix) = (literal(&state.config.http_path_prefix), literal(&state.config.http_api_prefix));
    let mut router = queries(&format!("{path_prefix}{api_prefix}"))
        .merge(operations(&path_prefix))
        .merge(compatible(&path_prefix))
        .merge(prometheus::routes(&path_prefix))
        .merge(page::routes(&path_prefix, &state.config));
    if state.config.stream_over_http_enabled {
        router = router.merge(calls(&state));
    }
    let observe = middleware::from_fn_with_state(Arc::clone(&state), observed::observe);
    router.layer(observe).fallback(not_found).with_state(state)
}

/// The gRPC port: the calls and nothing else.
pub fn grpc_router(state: Arc<ApiState>) -> Router {
    let observe = middleware::from_fn_with_state(Arc::clone(&state), observed::observe);
    calls(&state).layer(observe).fallback(unknown_call).with_state(state)
}

/// A prefix as part of a route: braces in it are braces.
fn literal(prefix: &str) -> String {
    prefix.trim_end_matches('/').replace('{', "{{").replace('}', "}}")
}

fn queries(prefix: &str) -> Router<Arc<ApiState>> {
    Router::new()
        .route(&format!("{prefix}/api/traces/{{traceID}}"), query(trace::version_1))
        .route(&format!("{prefix}/api/v2/traces/{{traceID}}"), query(trace::version_2))
        .route(&format!("{prefix}/api/v2/traces/diff"), any(diff::diff))
        .route(&format!("{prefix}/api/search"), query(search::search))
        .route(&format!("{prefix}/api/search/tags"), query(tags::names_version_1))
        .route(&format!("{prefix}/api/v2/search/tags"), query(tags::names_version_2))
        .route(&format!("{prefix}/api/search/tag/{{*tagName}}"), query(|state, request| of_tag(state, request, tags::values_version_1)))
        .route(&format!("{prefix}/api/v2/search/tag/{{*tagName}}"), query(|state, request| of_tag(state, request, tags::values_version_2)))
        .route(&format!("{prefix}/api/metrics/query_range"), query(metrics_query::query_range))
        .route(&format!("{prefix}/api/metrics/query"), query(metrics_query::query_instant))
        .route(&format!("{prefix}/api/overrides"), any(user_overrides::overrides))
        .route(&format!("{prefix}/api/echo"), any(status::echo))
        .route(&format!("{prefix}/api/status/buildinfo"), get(status::build_info))
        .route(&format!("{prefix}/status/usage-stats"), any(status::usage_stats))
}

/// The query APIs of Jaeger and Zipkin.
fn compatible(prefix: &str) -> Router<Arc<ApiState>> {
    let (jaeger, zipkin) = (format!("{prefix}/jaeger/api"), format!("{prefix}/zipkin/api/v2"));
    Router::new()
        .route(&format!("{jaeger}/services"), query(jaeger::services))
        .route(&format!("{jaeger}/services/{{service}}/operations"), query(jaeger::operation_names))
        .route(&format!("{jaeger}/operations"), query(jaeger::operations))
        .route(&format!("{jaeger}/traces"), query(jaeger::search))
        .route(&format!("{jaeger}/traces/{{id}}"), query(jaeger::trace))
        .route(&format!("{jaeger}/dependencies"), query(jaeger::service_dependencies))
        .route(&format!("{zipkin}/services"), query(zipkin::services))
        .route(&format!("{zipkin}/spans"), query(zipkin::span_names))
        .route(&format!("{zipkin}/remoteServices"), query(zipkin::remote_services))
        .route(&format!("{zipkin}/traces"), query(zipkin::search))
        .route(&format!("{zipkin}/trace/{{id}}"), query(zipkin::trace))
        .route(&format!("{zipkin}/dependencies"), query(zipkin::service_dependencies))
}

fn operations(prefix: &str) -> Router<Arc<ApiState>> {
    Router::new()
        .route(&format!("{prefix}/ready"), any(status::ready))
        .route(&format!("{prefix}/metrics"), any(status::metrics))
        .route(&format!("{prefix}/usage_metrics"), any(status::usage_metrics))
        .route(&format!("{prefix}/metrics/generated"), any(generated::generated))
        .route(&format!("{prefix}/flush"), get(status::flush).post(status::flush))
        .route(&format!("{prefix}/shutdown"), get(status::shutdown).post(status::shutdown))
        .route(&format!("{prefix}/debug/pprof"), any(pprof::index))
        .route(&format!("{prefix}/debug/pprof/"), any(pprof::index))
        .route(&format!("{prefix}/debug/pprof/{{profile}}"), any(pprof::profile))
        .route(&format!("{prefix}/status"), get(status::all_pages))
        .route(&format!("{prefix}/status/overrides"), get(overrides_page::all))
        .route(&format!("{prefix}/status/overrides/{{tenant}}"), get(overrides_page::one))
        .route(&format!("{prefix}/status/config"), get(status::config))
        .route(&format!("{prefix}/status/{{page}}"), get(status::one_page))
}

fn calls(state: &Arc<ApiState>) -> Router<Arc<ApiState>> {
    health::routes().route_service("/tempopb.StreamingQuerier/{*method}", streaming::service(Arc::clone(state)))
}

/// A query over HTTP, as its handler sees it.
pub(super) struct QueryRequest {
    /// What the URL asks for.
    pub(super) params: Params,
    /// How the answer is to be written.
    pub(super) format: Format,
    /// Whose data are asked for.
    pub(super) caller: Result<Caller, TenantError>,
    /// The settings for its tenants.
    pub(super) config: ApiConfig,
    /// The variable part of the path, percent-decoded once; empty if the route has none.
    pub(super) argument: String,
}

/// A route with everything around a handler that queries have in common.
fn query<H, F>(handler: H) -> MethodRouter<Arc<ApiState>>
where
    H: Fn(Arc<ApiState>, QueryRequest) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
{
    any(async move |State(state): State<Arc<ApiState>>, argument: Option<Path<String>>, request: Request| {
        let (head, _) = request.into_parts();
        let accepts_gzip = accepts_gzip(&head.headers);
        let caller = caller_of(&head.headers, &state.config).ok();
        let gaps = || caller.as_ref().map(|caller| state.frontend.gaps(&caller.tenants)).unwrap_or_default();
        let before = gaps();
        let answer = async {
            check_url(&state, &head.uri)?;
            let argument = argument.map(|Path(argument)| argument).unwrap_or_default();
            let request = query_request(&state, Params::of(&head.uri), &head.headers, argument)?;
            handler(Arc::clone(&state), request).await?.respond(accepts_gzip).await
        };
        let mut response = within(state.config.api_timeout, answer).await.unwrap_or_else(ApiError::into_response);
        tell_partial(&mut response, before.or(gaps()));
        response
    })
}

fn check_url(state: &ApiState, uri: &Uri) -> Result<(), ApiError> {
    let url = uri.path_and_query().map_or("", |url| url.as_str());
    if !state.denied_urls.is_match(url) {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Invalid request {url}. This query has been identified as one that destabilizes our system. Contact your system administrator for \
         more information"
    )))
}

/// The answer, if it is there in time (`query_frontend.api_timeout`).
async fn within<T>(timeout: Duration, answer: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    if timeout.is_zero() {
        return answer.await;
    }
    let late = |_| ApiError::new(ErrorKind::Stopping, "unable to process request in the configured timeout");
    tokio::time::timeout(timeout, answer).await.map_err(late)?
}

/// Says that spans may be missing. Most answers have no member for that, and clients read strictly.
fn tell_partial(response: &mut Response, gaps: Gaps) {
    if gaps.are_any()
        && let Ok(told) = HeaderValue::try_from(gaps.message())
    {
        response.headers_mut().insert(PARTIAL, told);
    }
}

fn query_request(state: &ApiState, params: Params, headers: &HeaderMap, argument: String) -> Result<QueryRequest, ApiError> {
    let caller = match caller_of(headers, &state.config) {
        Err(TenantError::Missing) => return Err(TenantError::Missing.into()),
        caller => caller,
    };
    params.check_expression_size(state.config.max_query_expression_size_bytes)?;
    let config = caller.as_ref().map_or_else(|_| state.config.clone(), |caller| state.config_for(&caller.tenants));
    Ok(QueryRequest { config, params, format: Format::of(headers), caller, argument })
}

/// `…/tag/{tag}/values`, where the tag may have slashes, so that a route cannot tell it from what follows.
async fn of_tag<F>(
    state: Arc<ApiState>,
    mut request: QueryRequest,
    handler: impl FnOnce(Arc<ApiState>, QueryRequest) -> F,
) -> Result<Answer, ApiError>
where
    F: Future<Output = Result<Answer, ApiError>>,
{
    match request.argument.strip_suffix("/values") {
        Some(tag) => request.argument = tag.to_string(),
        None => return Err(ApiError::new(ErrorKind::NotFound, "404 page not found\n")),
    }
    handler(state, request).await
}

async fn not_found(headers: HeaderMap, request: Request) -> Response {
    let is_call = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if is_call {
        return unknown_call(request).await;
    }
    no_such_page()
}

/// What is told of a path that is none, or is switched off.
pub(super) fn no_such_page() -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

async fn unknown_call(request: Request) -> Response {
    let path = request.uri().path();
    let service = path.trim_start_matches('/').rsplit_once('/').map_or(path, |(service, _)| service);
    Status::unimplemented(format!("unknown service {service}")).into_http::<Body>()
}

#[cfg(test)]
mod tests;
