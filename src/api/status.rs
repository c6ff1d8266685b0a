//! What operators and balancers ask: readiness, build, state, metrics, flush (spec/query-api.md §8).

use super::{ApiState, Readiness};
use crate::api::tenant::{TenantError, tenants_of};
use crate::model::TenantId;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `/status/endpoints`.
const ENDPOINTS: &str = "\
/api/traces/{traceID}
/api/v2/traces/{traceID}
/api/v2/traces/diff
/api/search
/api/search/tags
/api/v2/search/tags
/api/search/tag/{tagName}/values
/api/v2/search/tag/{tagName}/values
/api/metrics/query_range
/api/metrics/query
/api/echo
/api/status/buildinfo
/jaeger/api/{services,services/{service}/operations,operations,traces,traces/{traceID},dependencies}
/zipkin/api/v2/{services,spans,remoteServices,traces,trace/{traceID},dependencies}
/tempopb.StreamingQuerier/{Search,SearchTags,SearchTagsV2,SearchTagValues,SearchTagValuesV2,MetricsQueryRange,MetricsQueryInstant}
/ready
/metrics
/usage_metrics
/flush
/shutdown
/debug/pprof/{profile,heap}
/status
/status/{version,services,endpoints,runtime_config,config,overrides,overrides/{tenant},usage-stats}
";

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The release of Tempo whose API this is: old Grafana versions decide by it what they may ask for.
const API_VERSION: &str = "3.0.0";

/// The members of `/api/status/buildinfo`; what is not known is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildInfo {
    /// A version of Tempo that has the same API, and ours after a plus sign.
    pub version: String,
    /// Commit.
    pub revision: String,
    /// Branch.
    pub branch: String,
    /// Who built it.
    pub build_user: String,
    /// When it was built.
    pub build_date: String,
    /// Always empty: clients look for the member, and there is no Go here.
    pub go_version: String,
}

impl Default for BuildInfo {
    fn default() -> Self {
        BuildInfo {
            version: format!("{API_VERSION}+conmoto.{}", env!("CARGO_PKG_VERSION")),
            revision: String::new(),
            branch: String::new(),
            build_user: String::new(),
            build_date: String::new(),
            go_version: String::new(),
        }
    }
}

/// The pages under `/status`.
#[derive(Clone)]
pub struct StatusPages {
    /// For `/status/version` and `/api/status/buildinfo`.
    pub build: BuildInfo,
    /// For `/status/config`.
    pub config: ConfigPages,
    /// Parts of the process with their state, asked anew for every request.
    pub services: Arc<dyn Fn() -> Vec<(String, String)> + Send + Sync>,
}

/// YAML of settings, without secrets.
#[derive(Clone, Debug, Default)]
pub struct ConfigPages {
    /// Those in effect.
    pub all: String,
    /// Those of them that are no defaults.
    pub diff: String,
    /// The defaults.
    pub defaults: String,
}

/// `/ready`.
pub(super) async fn ready(State(state): State<Arc<ApiState>>) -> Response {
    let readiness = *state.readiness.borrow();
    match readiness {
        Readiness::Ready => text(StatusCode::OK, "ready\n"),
        Readiness::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "Some services are not Running:\nStarting: 1\n"),
        Readiness::Stopping => text(StatusCode::SERVICE_UNAVAILABLE, "Application is stopping\n"),
    }
}

/// `/api/echo`: Grafana's "save and test".
pub(super) async fn echo() -> Response {
    text(StatusCode::OK, "echo\n")
}

/// `/api/status/buildinfo`.
pub(super) async fn build_info(State(state): State<Arc<ApiState>>) -> Response {
    match serde_json::to_string(&state.status.build) {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json + "\n").into_response(),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// `/metrics`.
pub(super) async fn metrics(State(state): State<Arc<ApiState>>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], (state.metrics_text)()).into_response()
}

/// `/usage_metrics`: whose spans take how much.
pub(super) async fn usage_metrics(State(state): State<Arc<ApiState>>) -> Response {
    match &state.usage_text {
        Some(usage_text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], usage_text()).into_response(),
        None => super::http::no_such_page(),
    }
}

/// The parameter of `/flush`.
#[derive(Default, Deserialize)]
pub(super) struct FlushQuery {
    tenant: Option<String>,
}

/// `/flush`: answers once the recent data are in blocks; of the tenant named in the query or the header, or of all.
pub(super) async fn flush(State(state): State<Arc<ApiState>>, Query(query): Query<FlushQuery>, headers: HeaderMap) -> Response {
    let named = query.tenant.filter(|tenant| !tenant.is_empty()).map(|tenant| TenantId::parse(&tenant));
    let tenant = match (named, tenants_of(&headers, state.config.multitenancy_enabled, false)) {
        (Some(Ok(tenant)), _) => Some(tenant),
        (Some(Err(error)), _) => return text(StatusCode::BAD_REQUEST, error.to_string()),
        _ if !state.config.multitenancy_enabled => None,
        (None, Ok(tenants)) => tenants.single().cloned(),
        (None, Err(TenantError::Missing)) => None,
        (None, Err(error)) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match (state.flush)(tenant).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// `/shutdown`: everything recent becomes blocks and the process ends, as an ingester of Tempo 2 did.
pub(super) async fn shutdown(State(state): State<Arc<ApiState>>) -> StatusCode {
    state.shutdown.notify_one();
    StatusCode::NO_CONTENT
}

/// `/status/usage-stats`: nothing is ever reported to anybody.
pub(super) async fn usage_stats() -> Response {
    text(StatusCode::OK, "usage-stats is not enabled\n")
}

/// `/status`: all pages.
pub(super) async fn all_pages(State(state): State<Arc<ApiState>>) -> Response {
    let pages = ["version", "services", "endpoints", "runtime_config"].map(|name| page(&state, name).unwrap_or_default());
    let pages = [&pages[..], &[config_page(&state.status.config.all)]].concat();
    text(StatusCode::OK, pages.join("\n"))
}

/// The parameter of `/status/config`.
#[derive(Default, Deserialize)]
pub(super) struct ConfigQuery {
    mode: Option<String>,
}

/// `/status/config`: all settings, or those that differ from the defaults, or the defaults.
pub(super) async fn config(State(state): State<Arc<ApiState>>, Query(query): Query<ConfigQuery>) -> Response {
    let ConfigPages { all, diff, defaults } = &state.status.config;
    match query.mode.as_deref() {
        None | Some("") => text(StatusCode::OK, config_page(all)),
        Some("diff") => text(StatusCode::OK, config_page(diff)),
        Some("defaults") => text(StatusCode::OK, config_page(defaults)),
        Some(mode) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("unknown value for mode query parameter: {mode}")),
    }
}

fn config_page(yaml: &str) -> String {
    format!("GET /status/config\n---\n{}\n", yaml.trim_end())
}

/// `/status/{name}`.
pub(super) async fn one_page(State(state): State<Arc<ApiState>>, Path(name): Path<String>) -> Response {
    match page(&state, &name) {
        Some(page) => text(StatusCode::OK, page),
        None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

fn page(state: &ApiState, name: &str) -> Option<String> {
    let StatusPages { build, services, .. } = &state.status;
    let mut page = format!("GET /status/{name}\n");
    match name {
        "version" => page += &format!("conmoto, version {}\n  revision: {}\n", build.version, build.revision),
        "services" => page.extend(services().into_iter().map(|(service, state)| format!("{service}: {state}\n"))),
        "endpoints" => page += ENDPOINTS,
        "runtime_config" => page.extend(state.overrides.entries().iter().map(|(name, limits)| format!("---\n{name}:\n{limits:#?}\n"))),
        _ => return None,
    }
    Some(page)
}

fn text(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [(CONTENT_TYPE, TEXT)], body.into()).into_response()
}
