//! What the API's tests have in common: a state over an empty store, and requests.

use super::{ApiConfig, ApiState, BuildInfo, ConfigPages, FlushError, FlushFuture, Readiness, StatusPages};
use crate::frontend::{Caller, Frontend, FrontendConfig, Tenants};
use crate::generator::settings::{GeneratorConfig, Settings, TenantSettings};
use crate::generator::{Generator, NewRows, SpanFeed};
use crate::model::{TenantId, TraceId};
use crate::overrides::Overrides;
use crate::querier::{RecentSource, RecentTrace, Snapshot};
use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt;

/// A store without data.
struct Empty;

impl RecentSource for Empty {
    fn snapshot(&self, _: &TenantId) -> Snapshot {
        Snapshot::default()
    }

    fn find_trace(&self, _: &TenantId, _: &TraceId, _: usize) -> RecentTrace {
        RecentTrace::default()
    }
}

/// Spans that never come.
struct NoSpans;

impl SpanFeed for NoSpans {
    fn tenants(&self) -> Vec<TenantId> {
        Vec::new()
    }

    fn visit(&self, _: &TenantId, _: &mut dyn FnMut(NewRows<'_>)) {}

    fn num_missed(&self, _: &TenantId) -> u64 {
        0
    }
}

/// Who asks where there is one tenant only.
pub(super) fn caller() -> Caller {
    Tenants::from(TenantId::single()).into()
}

/// A ready server without data. Its flush fails for the tenant `broken`.
pub(super) fn state(config: ApiConfig) -> ApiState {
    let flush = |tenant: Option<TenantId>| -> FlushFuture {
        let broken = tenant.is_some_and(|tenant| tenant.as_str() == "broken");
        Box::pin(std::future::ready(if broken { Err(FlushError("disk full".to_string())) } else { Ok(()) }))
    };
    ApiState {
        overrides: Arc::new(Overrides::new(config.limits.clone())),
        user_overrides: None,
        config,
        frontend: Arc::new(Frontend::new(Arc::new(Empty), FrontendConfig::default())),
        generator: Generator::new(GeneratorConfig::default(), Arc::new(TenantSettings::new(Settings::default())), Arc::new(NoSpans), None),
        readiness: watch::channel(Readiness::Ready).1,
        flush: Arc::new(flush),
        denied_urls: regex::RegexSet::new(["/api/search/tag/deny.*"]).expect("a pattern"),
        durations: crate::telemetry::registry::Durations::default(),
        shutdown: Arc::default(),
        metrics_text: Arc::new(|| "# EOF\n".to_string()),
        usage_text: None,
        memory_held: Arc::new(Vec::new),
        profiling: tokio::sync::Semaphore::new(1),
        status: StatusPages {
            build: BuildInfo::default(),
            config: ConfigPages { all: "a: 1\n".to_string(), diff: "b: 2\n".to_string(), defaults: "c: 3\n".to_string() },
            services: Arc::new(|| vec![("ingester".to_string(), "Running".to_string())]),
        },
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("our own body").to_bytes().to_vec();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible characters"))
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

/// Sends one request to a router.
pub(super) async fn send(router: &Router, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    Answer::of(router.clone().oneshot(request).await.expect("routers do not fail")).await
}
