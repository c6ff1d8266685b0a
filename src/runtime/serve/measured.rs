//! How long the requests of a receiver take, under the names that Tempo's dashboards ask for (spec/operations.md §6.1).

use super::Router;
use crate::telemetry::registry::Durations;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use std::time::Instant;

/// The same service, with each request measured up to the first byte of its answer's body. What no route serves counts under the
/// receiver's `name`, since paths are the client's invention.
pub fn measured(router: Router, durations: Durations, name: &'static str) -> Router {
    router.layer(from_fn_with_state(Measure { durations, name }, measure))
}

#[derive(Clone)]
struct Measure {
    durations: Durations,
    name: &'static str,
}

async fn measure(State(measure): State<Measure>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let is_call = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let method = if is_call { "gRPC" } else { method_word(request.method()) };
    let route = match request.extensions().get::<MatchedPath>() {
        Some(path) if path.as_str() == "/v1/traces" => "otlp_v1_traces".to_string(),
        Some(path) => route(path.as_str()),
        None => measure.name.to_string(),
    };
    let response = next.run(request).await;
    let status_code = if is_call { call_status(&response) } else { status_word(response.status()) };
    let labels = vec![("method", method.to_string()), ("route", route), ("status_code", status_code), ("ws", "false".to_string())];
    measure.durations.observe(labels, started.elapsed().as_secs_f64());
    response
}

/// `/opentelemetry.proto.….TraceService/Export` as `opentelemetry_proto_…_traceservice_export`.
fn route(template: &str) -> String {
    template.trim_matches('/').replace(['/', '.'], "_").replace(['{', '}', '*'], "").to_lowercase()
}

/// Clients may send any word as their method; the words of labels must be few.
pub fn method_word(method: &Method) -> &'static str {
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    let words = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.iter().zip(words).find(|(known, _)| *known == method).map_or("other", |(_, word)| word)
}

fn status_word(status: StatusCode) -> String {
    status.as_str().to_string()
}

/// An answer that begins with its end has failed; of others only the trailers tell, which come later.
pub fn call_status(response: &Response) -> String {
    let status = response.headers().get("grpc-status").map(|status| status.as_bytes());
    if status.is_none_or(|status| status == b"0") { "success" } else { "error" }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_have_the_names_of_dashboards() {
        for (template, name) in [
            ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", "opentelemetry_proto_collector_trace_v1_traceservice_export"),
            ("/api/traces", "api_traces"),
        ] {
            assert_eq!(route(template), name);
        }
        assert_eq!((method_word(&Method::PATCH), method_word(&Method::from_bytes(b"BREW").expect("a word"))), ("PATCH", "other"));
    }
}
