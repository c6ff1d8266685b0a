//! How long requests take, under the names that Tempo's dashboards ask for (spec/operations.md §6.1).

use super::ApiState;
use crate::runtime::serve::measured::{call_status, method_word};
use crate::telemetry::spans::own_span;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// The calls of the streaming API; any other path below it is the client's invention.
const CALLS: [&str; 7] =
    ["Search", "SearchTags", "SearchTagsV2", "SearchTagValues", "SearchTagValuesV2", "MetricsQueryRange", "MetricsQueryInstant"];

/// Measures a request up to the first byte of its answer's body. What no route serves is not counted.
pub(super) async fn observe(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let template = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_string());
    let (method, path) = (method_word(request.method()), request.uri().path().to_string());
    let span = template.as_deref().filter(|template| is_traced(template)).map(|template| {
        let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let name = if template.contains("StreamingQuerier") { path.trim_start_matches('/').to_string() } else { format!("{method} {template}") };
        own_span!("request", otel_name = %name, is_server = true, traceparent = parent, http_route = template, http_response_status_code = Empty)
    });
    let span = span.unwrap_or_else(Span::none);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http_response_status_code", response.status().as_u16());
    span.record("is_error", response.status().is_server_error());
    if let Some(template) = template {
        let (method, route, status_code) = match path.rsplit_once('/') {
            Some((_, call)) if template.contains("StreamingQuerier") => ("gRPC", call_route(call), call_status(&response)),
            _ => (method, route(&template), response.status().as_u16().to_string()),
        };
        let labels = vec![("method", method.to_string()), ("route", route), ("status_code", status_code), ("ws", "false".to_string())];
        state.durations.observe(labels, started.elapsed().as_secs_f64());
    }
    response
}

fn call_route(call: &str) -> String {
    let call = if CALLS.contains(&call) { call } else { "unknown" };
    format!("/tempopb.StreamingQuerier/{call}")
}

/// Whether requests are part of the server's own traces: not those that come every few seconds.
fn is_traced(template: &str) -> bool {
    !["/ready", "/metrics", "/api/echo"].iter().any(|polled| template.ends_with(polled)) && !template.contains("grpc.health")
}

/// `/api/traces/{traceID}` as `api_traces_traceid`.
fn route(template: &str) -> String {
    let named = template.trim_matches('/').replace("{*tagName}", "tagname_values").replace('/', "_");
    named.replace(['{', '}', '*'], "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_have_the_names_of_dashboards() {
        for (template, name) in [
            ("/api/traces/{traceID}", "api_traces_traceid"),
            ("/api/v2/search/tag/{*tagName}", "api_v2_search_tag_tagname_values"),
            ("/api/metrics/query_range", "api_metrics_query_range"),
        ] {
            assert_eq!(route(template), name);
        }
        assert_eq!(call_route("Search"), "/tempopb.StreamingQuerier/Search");
        assert_eq!(call_route("../x"), "/tempopb.StreamingQuerier/unknown");
    }
}
