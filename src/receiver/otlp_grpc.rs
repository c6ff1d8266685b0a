//! OTLP over gRPC: `TraceService/Export` (spec/ingest.md §2).
//!
//! The message is not decoded here: the distributor takes it as it is. A call is judged in this order: content type, path,
//! compression, frame, tenant, spans.

use super::grpc::{answered, encoding_of, framed, only_grpc, read_message, unknown_method};
use super::status::{RpcStatus, partial_success};
use super::tenant::Tenancy;
use crate::columns::validate::Refusal;
use crate::distributor::{Distributor, PushError, Pushed};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::any;
use http::Uri;
use std::sync::Arc;
use tonic::Status;

const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const SERVICE: &str = "opentelemetry.proto.collector.trace.v1.TraceService";

/// An uncompressed frame with `ExportTraceServiceResponse { partial_success {} }`.
const ACCEPTED: &[u8] = &[0, 0, 0, 0, 2, 0x0a, 0x00];

/// What the receiver needs.
#[derive(Clone)]
pub struct OtlpGrpc {
    /// Where spans go.
    pub distributor: Distributor,
    /// How the tenant is found.
    pub tenancy: Tenancy,
    /// Largest message, compressed and decompressed alike (`max_recv_msg_size_mib`).
    pub max_message_bytes: usize,
}

/// The service of the OTLP gRPC port.
pub fn router(receiver: OtlpGrpc) -> Router {
    let calls = Router::new().route(EXPORT_PATH, any(export)).fallback(other_method).with_state(Arc::new(receiver));
    calls.layer(from_fn(only_grpc))
}

async fn export(State(receiver): State<Arc<OtlpGrpc>>, request: Request) -> Response {
    match store(&receiver, request).await {
        Ok(pushed) if pushed.num_refused > 0 => answered(framed(&partial_success(&pushed))),
        Ok(_) => answered(ACCEPTED),
        Err(status) => status.into_http::<Body>(),
    }
}

async fn store(receiver: &OtlpGrpc, request: Request) -> Result<Pushed, Status> {
    let (head, body) = request.into_parts();
    let encoding = encoding_of(&head.headers)?;
    let message = read_message(body, encoding, receiver.max_message_bytes).await?;
    let tenant = receiver.tenancy.tenant_of(&head.headers).map_err(|error| RpcStatus::from(error).to_grpc())?;
    match receiver.distributor.push(tenant, message).await {
        Ok(pushed) => Ok(pushed),
        // Tempo's decoder comes before its distributor, and has a code of its own.
        Err(PushError::Refused(Refusal::Malformed(error))) => {
            Err(Status::internal(format!("grpc: error unmarshalling request: unmarshal: {error}")))
        }
        Err(error) => Err(RpcStatus::from(error).to_grpc()),
    }
}

/// Metrics, logs and everything else: senders are told once and stop sending it.
async fn other_method(uri: Uri) -> Response {
    unknown_method(&uri, SERVICE)
}

#[cfg(test)]
mod tests;
