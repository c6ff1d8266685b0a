//! Jaeger's collector over gRPC: `jaeger.api_v2.CollectorService/PostSpans` (spec/ingest.md §5.1).

use super::grpc::{answered, encoding_of, only_grpc, read_message, unknown_method};
use super::jaeger;
use super::status::RpcStatus;
use super::tenant::{Tenancy, TenantError};
use crate::distributor::{Distributor, PushError};
use crate::runtime::offload::offload;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::any;
use http::Uri;
use std::sync::Arc;
use tonic::Status;

const POST_SPANS_PATH: &str = "/jaeger.api_v2.CollectorService/PostSpans";
const SERVICE: &str = "jaeger.api_v2.CollectorService";

/// An uncompressed frame with a `PostSpansResponse`, which has no fields.
const ACCEPTED: &[u8] = &[0, 0, 0, 0, 0];

/// What the receiver needs.
#[derive(Clone)]
pub struct JaegerGrpc {
    /// Where spans go.
    pub distributor: Distributor,
    /// How the tenant is found.
    pub tenancy: Tenancy,
    /// Largest message, compressed and decompressed alike (`max_recv_msg_size_mib`).
    pub max_message_bytes: usize,
}

/// The service of the port.
pub fn router(receiver: JaegerGrpc) -> Router {
    let calls = Router::new().route(POST_SPANS_PATH, any(post_spans)).fallback(other_method).with_state(Arc::new(receiver));
    calls.layer(from_fn(only_grpc))
}

async fn post_spans(State(receiver): State<Arc<JaegerGrpc>>, request: Request) -> Response {
    match store(&receiver, request).await {
        Ok(()) => answered(ACCEPTED),
        Err(status) => status.into_http::<Body>(),
    }
}

async fn store(receiver: &JaegerGrpc, request: Request) -> Result<(), Status> {
    let (head, body) = request.into_parts();
    let encoding = encoding_of(&head.headers)?;
    let message = read_message(body, encoding, receiver.max_message_bytes).await?;
    let decoded = offload(message.len(), move || jaeger::decode_post_spans(&message)).await;
    let request = decoded
        .map_err(|error| RpcStatus::from(error).to_grpc())?
        .map_err(|error| Status::internal(format!("grpc: error unmarshalling request: unmarshal: {error}")))?;
    let tenant = receiver.tenancy.tenant_of(&head.headers).map_err(status_of_tenant)?;
    let pushed: Result<_, PushError> = receiver.distributor.push(tenant, request).await;
    pushed.map(drop).map_err(|error| RpcStatus::from(error).to_grpc())
}

/// This receiver has no code of its own for a missing tenant (spec/ingest.md §8).
fn status_of_tenant(error: TenantError) -> Status {
    match error {
        TenantError::Missing => Status::unknown(error.to_string()),
        other => RpcStatus::from(other).to_grpc(),
    }
}

async fn other_method(uri: Uri) -> Response {
    unknown_method(&uri, SERVICE)
}

#[cfg(test)]
mod tests;
