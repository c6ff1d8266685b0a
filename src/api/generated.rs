//! `/metrics/generated`: the metrics made from a tenant's spans, to be scraped instead of written remotely.

use super::tenant::tenant_of;
use super::{ApiError, ApiState};
use crate::generator::exposition::{TextFormat, empty, text};
use crate::runtime::offload::offload;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use std::sync::Arc;

/// Writing thousands of series is not done on the event loop.
const ALWAYS_ELSEWHERE: usize = usize::MAX;

/// The scrape of the tenant that the headers name.
pub(super) async fn generated(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let name = tenant_of(&headers, state.config.multitenancy_enabled)?;
    let accept = headers.get(ACCEPT).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    let format = if accept.contains("application/openmetrics-text") { TextFormat::OpenMetrics } else { TextFormat::Prometheus };
    let body = match state.generator.tenant(&name) {
        Some(tenant) => offload(ALWAYS_ELSEWHERE, move || text(&tenant.lock(), format)).await?,
        None => empty(format),
    };
    let content_type = match format {
        TextFormat::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        TextFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    };
    Ok(([(CONTENT_TYPE, content_type)], body).into_response())
}
