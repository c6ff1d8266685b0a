//! The outside surface: Tempo's query API over HTTP and gRPC (spec/query-api.md).
//!
//! A query passes, in this order: [`http`] (path to handler, size of the expression, tenant), `params` and `times` (texts to
//! values), one of `trace`, `search`, `tags`, `metrics_query` (checks in the order clients know, a call of the
//! [`Frontend`], an answer message), [`json`] or [`protobuf`] and `answer` (the form that was asked for, compressed).
//! [`streaming`] is the same over gRPC. `generated` and `prometheus` give out metrics made from spans. Every refusal is an [`ApiError`]; `error` is the one map to statuses.
//!
//! Three choices differ from Tempo: a request without a time range sees all data, the newest data are not hidden
//! (`query_end_cutoff` is 0), and lists of tags are not cut short in silence.

mod answer;
mod compat;
mod diff;
mod error;
mod filters;
mod generated;
mod health;
pub mod http;
pub mod json;
mod legacy;
mod metrics_query;
mod observed;
mod overrides_page;
mod page;
mod params;
mod pprof;
mod prometheus;
pub mod protobuf;
mod rights;
mod search;
mod status;
pub mod streaming;
mod tags;
mod tenant;
mod times;
mod trace;
mod trace_filter;
mod user_overrides;

#[cfg(test)]
mod test_support;

pub use error::{ApiError, ErrorKind};
pub use http::{grpc_router, http_router};
pub use pprof::MemoryHeld;
pub use rights::needs;
pub use status::{BuildInfo, ConfigPages, StatusPages};
pub use user_overrides::UserOverrides;

use crate::frontend::{Frontend, Tenants};
use crate::generator::Generator;
use crate::model::TenantId;
use crate::overrides::{Limits, Overrides};
use crate::telemetry::registry::Durations;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};

/// Settings of the query API; the defaults are those of spec/query-api.md §12, except for the cutoff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConfig {
    /// Prefix of every HTTP path, `""` or `/x` (`server.http_path_prefix`).
    pub http_path_prefix: String,
    /// Prefix of the `/api/…` paths, after the other one, `""` or `/x` (`http_api_prefix`).
    pub http_api_prefix: String,
    /// Whether each query must name its tenant.
    pub multitenancy_enabled: bool,
    /// Whether a query may name several tenants, `a|b`; default true (`query_frontend.multi_tenant_queries_enabled`).
    pub multi_tenant_queries_enabled: bool,
    /// Whether the HTTP router also answers the gRPC calls; default true, so that Grafana can stream.
    pub stream_over_http_enabled: bool,
    /// Traces that a search returns when it names no `limit`, default 20.
    pub default_result_limit: usize,
    /// Largest `limit` of a search, default 262144; `None` for no bound.
    pub max_result_limit: Option<usize>,
    /// Spans per span set when a search names no `spss`, default 3.
    pub default_spans_per_span_set: usize,
    /// Largest `spss` of a search, default 100; `None` for no bound.
    pub max_spans_per_span_set: Option<usize>,
    /// Most buckets of a metrics query, default 10000; 0 for no bound.
    pub max_metrics_intervals: u64,
    /// Longest TraceQL text in bytes, default 131072.
    pub max_query_expression_size_bytes: usize,
    /// How long a request over HTTP may take; zero for no bound.
    pub api_timeout: Duration,
    /// Newest data that search, tags and metrics leave out; default 0.
    pub query_end_cutoff: Duration,
    /// What the tenants that are asked may ask for; those of a query take the place of these.
    pub limits: Limits,
}

impl Default for ApiConfig {
    fn default() -> Self {
        ApiConfig {
            http_path_prefix: String::new(),
            http_api_prefix: String::new(),
            multitenancy_enabled: false,
            multi_tenant_queries_enabled: true,
            stream_over_http_enabled: true,
            default_result_limit: 20,
            max_result_limit: Some(262_144),
            default_spans_per_span_set: 3,
            max_spans_per_span_set: Some(100),
            max_metrics_intervals: 10_000,
            max_query_expression_size_bytes: 131_072,
            api_timeout: Duration::ZERO,
            query_end_cutoff: Duration::ZERO,
            limits: Limits {
                max_search_duration: Some(Duration::from_secs(168 * 3600)),
                max_metrics_duration: Some(Duration::from_secs(24 * 3600)),
                max_bytes_per_trace: Some(5_000_000),
                max_condition_groups: Some(100),
                ..Limits::default()
            },
        }
    }
}

/// What the process is doing, as `/ready` and the health service tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Reading its logs and block list.
    Starting,
    /// Answering.
    Ready,
    /// On its way out; balancers should look elsewhere.
    Stopping,
}

/// Why a flush did not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct FlushError(pub String);

/// The outcome of a flush, once what was asked for is in blocks.
pub type FlushFuture = Pin<Box<dyn Future<Output = Result<(), FlushError>> + Send>>;

/// Cuts and flushes the recent data of one tenant, or of all.
pub type Flush = Arc<dyn Fn(Option<TenantId>) -> FlushFuture + Send + Sync>;

/// The text of `/metrics`, in OpenMetrics form with its `# EOF`.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// What the handlers share.
pub struct ApiState {
    /// Settings.
    pub config: ApiConfig,
    /// URLs, path and query, that are refused (`query_frontend.url_deny_list`).
    pub denied_urls: regex::RegexSet,
    /// What each tenant may ask for.
    pub overrides: Arc<Overrides>,
    /// What tenants may set themselves, where they may (`/api/overrides`).
    pub user_overrides: Option<UserOverrides>,
    /// Who answers queries.
    pub frontend: Arc<Frontend>,
    /// Who has the metrics made from spans.
    pub generator: Arc<Generator>,
    /// Whether queries make sense yet; read by `/ready` and the health service only.
    pub readiness: watch::Receiver<Readiness>,
    /// Called by `/flush`.
    pub flush: Flush,
    /// How long requests took.
    pub durations: Durations,
    /// Told by `/shutdown`.
    pub shutdown: Arc<Notify>,
    /// Called by `/metrics`.
    pub metrics_text: MetricsText,
    /// One CPU profile is taken at a time.
    pub profiling: Semaphore,
    /// Asked by `/debug/pprof/heap`.
    pub memory_held: MemoryHeld,
    /// Called by `/usage_metrics`, where there is such.
    pub usage_text: Option<MetricsText>,
    /// What `/status` and `/api/status/buildinfo` show.
    pub status: StatusPages,
}

impl ApiState {
    /// The settings for a query: with the limits of its tenants, of each the strictest.
    fn config_for(&self, tenants: &Tenants) -> ApiConfig {
        let limits = tenants.iter().map(|tenant| self.overrides.limits_for(tenant));
        let strictest = limits.map(|limits| Limits::clone(&limits)).reduce(|limits, other| limits.and(&other));
        ApiConfig { limits: strictest.unwrap_or_default(), ..self.config.clone() }
    }
}
