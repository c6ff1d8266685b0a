//! Requests with spans are let in as far as memory goes; the others are told to come again before their body is read.

use crate::runtime::memory::{Exhausted, Memory, Use};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tonic::{Code, Status};

/// How long a request waits for others to be done.
const PATIENCE: Duration = Duration::from_secs(1);
/// When a request that was refused for want of something should come again.
pub const RETRY_AFTER_SECONDS: u64 = 5;
/// What a request is taken to have that does not say how long it is, as over gRPC.
const TYPICAL_BYTES: u64 = 256 << 10;

/// The same service for as many requests at once as fit into `memory`.
pub fn within(router: Router, memory: Memory) -> Router {
    router.layer(from_fn_with_state(memory, admit))
}

async fn admit(State(memory): State<Memory>, request: Request, next: Next) -> Response {
    let factor = factor(request.headers());
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let wanted = announced.unwrap_or(TYPICAL_BYTES).saturating_mul(factor);
    let reservation = match memory.reserve(Use::Requests, wanted, PATIENCE).await {
        Ok(reservation) => Arc::new(reservation),
        Err(exhausted) => return refused(request.headers(), &exhausted),
    };
    let (arrived, counted) = (AtomicU64::new(0), Arc::clone(&reservation));
    let count = move |frame: http_body::Frame<Bytes>| {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        counted.raise_to((arrived.fetch_add(bytes, Relaxed) + bytes).saturating_mul(factor));
        frame
    };
    let response = next.run(request.map(|body| Body::new(body.map_frame(count)))).await;
    drop(reservation);
    response
}

/// Bytes of memory that a byte of the body takes at most times: as it came, unpacked, translated, and framed for the log.
fn factor(headers: &HeaderMap) -> u64 {
    let text = |name| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let is_packed = |encoding: &[u8]| !matches!(encoding, b"" | b"identity");
    let unpacked = if is_packed(text(CONTENT_ENCODING.as_str())) || is_packed(text("grpc-encoding")) { 8 } else { 1 };
    let translated = if text(CONTENT_TYPE.as_str()).starts_with(b"application/json") { 4 } else { 2 };
    unpacked * translated
}

/// 429, or RESOURCE_EXHAUSTED to a client that speaks gRPC, and when to come again.
fn refused(headers: &HeaderMap, exhausted: &Exhausted) -> Response {
    let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        return exhausted_status(exhausted.to_string()).into_http();
    }
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))], exhausted.to_string()).into_response()
}

/// RESOURCE_EXHAUSTED with RetryInfo, without which clients take it for final.
pub fn exhausted_status(message: String) -> Status {
    let details = retry_details(&message);
    Status::with_details(Code::ResourceExhausted, message, details)
}

/// `google.rpc.Status { 1: code, 2: message, 3: Any { 1: type, 2: RetryInfo { 1: Duration { 1: seconds } } } }`.
fn retry_details(message: &str) -> Bytes {
    let field = |number: u8, bytes: &[u8]| {
        let mut field = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend_from_slice(bytes);
        field
    };
    let retry_info = field(1, &[1 << 3, RETRY_AFTER_SECONDS as u8]);
    let any = [field(1, b"type.googleapis.com/google.rpc.RetryInfo"), field(2, &retry_info)].concat();
    let code = vec![1 << 3, Code::ResourceExhausted as u8];
    [code, field(2, message.as_bytes()), field(3, &any)].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::any;
    use tower::ServiceExt;

    fn service(memory: &Memory) -> Router {
        let seen = memory.clone();
        let handler = move |body: Bytes| async move { format!("{} {}", body.len(), seen.held_bytes(Use::Requests)) };
        within(Router::new().fallback(any(handler)), memory.clone())
    }

    async fn answer(memory: &Memory, headers: &[(&str, &str)], body: &'static str) -> Response {
        let mut request = http::Request::post("/v1/traces");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        service(memory).oneshot(request.body(Body::from(body)).expect("a request")).await.expect("an answer")
    }

    async fn text(response: Response) -> String {
        let body = response.into_body().collect().await.expect("memory").to_bytes();
        String::from_utf8_lossy(&body).into_owned()
    }

    #[tokio::test]
    async fn a_request_counts_until_it_is_answered() {
        let memory = Memory::new(1 << 30);
        assert_eq!(text(answer(&memory, &[("content-length", "5")], "12345").await).await, "5 10");
        let packed = [("content-length", "5"), ("content-encoding", "gzip"), ("content-type", "application/json")];
        assert_eq!(text(answer(&memory, &packed, "12345").await).await, "5 160");
        assert_eq!(text(answer(&memory, &[], "12345").await).await, format!("5 {}", 2 * TYPICAL_BYTES));
        // More came than was said.
        assert_eq!(text(answer(&memory, &[("content-length", "1")], "12345").await).await, "5 10");
        assert_eq!(memory.held_bytes(Use::Requests), 0);
    }

    #[tokio::test]
    async fn without_room_it_is_told_to_come_again() {
        let memory = Memory::new(64 << 20);
        memory.set(Use::Heads, 64 << 20);
        let refused = answer(&memory, &[], "12345").await;
        assert_eq!((refused.status(), &refused.headers()[RETRY_AFTER]), (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from(5)));
        let refused = answer(&memory, &[("content-type", "application/grpc+proto")], "12345").await;
        let status = Status::from_header_map(refused.headers()).expect("a status");
        assert_eq!((refused.status(), status.code()), (StatusCode::OK, Code::ResourceExhausted));
        let retry_info = b"\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x05";
        assert!(status.details().ends_with(retry_info), "{:?}", status.details());
        assert_eq!(memory.num_refused(), 2);
    }
}
