//! OpenCensus in JSON over HTTP, on the port of its streams: `POST /v1/trace` (spec/ingest.md §6).
//!
//! A body is a stream of its own: one message, or several, the first of which says who sends. Nothing is answered but the status;
//! a refusal is worded as the gateway did that stood there.

use super::body::Encoding;
use super::collect::{header_text, read};
use super::opencensus::{Stream, StreamError, json};
use super::opencensus_grpc::OpenCensusGrpc;
use super::status::RpcStatus;
use crate::runtime::offload::offload;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use std::sync::Arc;
use tonic::Code;

const TRACE_PATH: &str = "/v1/trace";

/// The route of it.
pub(super) fn routes(receiver: Arc<OpenCensusGrpc>) -> Router {
    Router::new().route(TRACE_PATH, post(export)).with_state(receiver)
}

async fn export(State(receiver): State<Arc<OpenCensusGrpc>>, request: Request) -> Response {
    match store(&receiver, request).await {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")]).into_response(),
        Err(status) => {
            let message = serde_json::to_string(&status.message).unwrap_or_default();
            let body = format!(r#"{{"error":{message},"code":{},"message":{message}}}"#, status.code as i32);
            (status.http_status(), [(CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}

async fn store(receiver: &OpenCensusGrpc, request: Request) -> Result<(), RpcStatus> {
    let (head, body) = request.into_parts();
    let encoding = Encoding::from_header(header_text(&head.headers, &CONTENT_ENCODING).as_deref())?;
    let body = read(body, encoding, receiver.max_message_bytes).await?;
    let requests = offload(body.len(), move || translate(&body)).await??;
    let tenant = receiver.tenancy.tenant_of(&head.headers)?;
    for request in requests {
        receiver.distributor.push(tenant.clone(), request).await?;
    }
    Ok(())
}

fn translate(body: &[u8]) -> Result<Vec<Bytes>, RpcStatus> {
    let messages = json::messages(body).map_err(|error| RpcStatus::new(Code::InvalidArgument, error.to_string()))?;
    let mut stream = Stream::default();
    let decoded = messages.iter().map(|message| stream.decode(message));
    decoded.collect::<Result<_, _>>().map_err(|error| match error {
        StreamError::Malformed(_) => RpcStatus::new(Code::InvalidArgument, error.to_string()),
        StreamError::NoNode => RpcStatus::new(Code::Unknown, error.to_string()),
    })
}

#[cfg(test)]
mod tests;
