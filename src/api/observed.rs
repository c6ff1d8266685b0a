//! How long requests take, under the names that Tempo's dashboards ask for (spec/operations.md §6.1).

use super::ApiState;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use std::sync::Arc;
use std::time::Instant;

/// The calls of the streaming API; any other path below it is the client's invention.
const CALLS: [&str; 7] =
    ["Search", "SearchTags", "SearchTagsV2", "SearchTagValues", "SearchTagValuesV2", "MetricsQueryRange", "MetricsQueryInstant"];

/// Measures a request up to the first byte of its answer's body. What no route serves is not counted.
pub(super) async fn observe(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let template = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_string());
    let (method, path) = (method_word(request.method()), request.uri().path().to_string());
    let response = next.run(request).await;
    if let Some(template) = template {
        let (method, route, status_code) = match path.rsplit_once('/') {
            Some((_, call)) if template.contains("StreamingQuerier") => ("gRPC", call_route(call), grpc_status(&response)),
            _ => (method, route(&template), response.status().as_u16().to_string()),
        };
        let labels = vec![("method", method.to_string()), ("route", route), ("status_code", status_code), ("ws", "false".to_string())];
        state.durations.observe(labels, started.elapsed().as_secs_f64());
    }
    response
}

/// Clients may send any word as their method; the words of labels must be few.
fn method_word(method: &Method) -> &'static str {
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    let words = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.iter().zip(words).find(|(known, _)| *known == method).map_or("other", |(_, word)| word)
}

fn call_route(call: &str) -> String {
    let call = if CALLS.contains(&call) { call } else { "unknown" };
    format!("/tempopb.StreamingQuerier/{call}")
}

/// An answer that begins with its end has failed; of others only the trailers tell, which come later.
fn grpc_status(response: &Response) -> String {
    if response.headers().contains_key("grpc-status") { "error" } else { "success" }.to_string()
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
        assert_eq!((method_word(&Method::PATCH), method_word(&Method::from_bytes(b"BREW").expect("a word"))), ("PATCH", "other"));
        assert_eq!(call_route("Search"), "/tempopb.StreamingQuerier/Search");
        assert_eq!(call_route("../x"), "/tempopb.StreamingQuerier/unknown");
    }
}
