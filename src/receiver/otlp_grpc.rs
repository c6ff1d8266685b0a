//! OTLP over gRPC: `TraceService/Export` (spec/ingest.md §2).
//!
//! The message is not decoded here, so there is no use for a generated service: one unary call is one frame of five bytes
//! and a message, and the distributor takes the message as it is. Reading the frame ourselves also gives what tonic's
//! decoder does not: the statuses and texts that senders know (§1.6), snappy, and a buffer of exactly the right size.
//! Statuses are tonic's.
//!
//! A call is judged in this order: content type, path, compression, frame, tenant, spans.

use super::body::{BodyError, Encoding, decompress};
use super::collect::{CollectError, Collector, header_text};
use super::status::RpcStatus;
use super::tenant::Tenancy;
use crate::columns::validate::Refusal;
use crate::distributor::{Distributor, PushError};
use crate::runtime::offload::offload;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use std::sync::Arc;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const SERVICE: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// What `grpc-accept-encoding` tells a sender whose compression we do not know.
const ACCEPTED_ENCODINGS: &str = "gzip,zstd,snappy,deflate,identity";

/// A flag that says whether the message is compressed, and its length.
const FRAME_HEADER_BYTES: usize = 5;

/// An uncompressed frame with `ExportTraceServiceResponse { partial_success {} }`.
const ACCEPTED: &[u8] = &[0, 0, 0, 0, 2, 0x0a, 0x00];

/// How much longer than compressed a message is taken to be before that is known.
const TYPICAL_RATIO: usize = 8;

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
    let calls = Router::new().route(EXPORT_PATH, any(export)).fallback(unknown_method).with_state(Arc::new(receiver));
    calls.layer(from_fn(only_grpc))
}

/// Turns away what cannot be a gRPC call, in plain HTTP.
async fn only_grpc(request: Request, next: Next) -> Response {
    let content_type = header_text(request.headers(), &CONTENT_TYPE).unwrap_or_default();
    if !content_type.starts_with("application/grpc") {
        let text = format!("invalid gRPC request content-type {content_type:?}\n");
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    if request.version() < Version::HTTP_2 {
        return (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC requires HTTP/2\n").into_response();
    }
    next.run(request).await
}

async fn export(State(receiver): State<Arc<OtlpGrpc>>, request: Request) -> Response {
    match store(&receiver, request).await {
        Ok(()) => accepted(),
        Err(status) => status.into_http::<Body>(),
    }
}

async fn store(receiver: &OtlpGrpc, request: Request) -> Result<(), Status> {
    let (head, body) = request.into_parts();
    let encoding = encoding_of(&head.headers)?;
    let message = read_message(body, encoding, receiver.max_message_bytes).await?;
    let tenant = receiver.tenancy.tenant_of(&head.headers).map_err(|error| RpcStatus::from(error).to_grpc())?;
    match receiver.distributor.push(tenant, message).await {
        Ok(_) => Ok(()),
        // Tempo's decoder comes before its distributor, and has a code of its own.
        Err(PushError::Refused(Refusal::Malformed(error))) => {
            Err(Status::internal(format!("grpc: error unmarshalling request: unmarshal: {error}")))
        }
        Err(error) => Err(RpcStatus::from(error).to_grpc()),
    }
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Status> {
    let name = header_text(headers, &GRPC_ENCODING);
    Encoding::from_header(name.as_deref()).map_err(|_| {
        let name = name.unwrap_or_default();
        let mut status = Status::unimplemented(format!("grpc: Decompressor is not installed for grpc-encoding {name:?}"));
        status.metadata_mut().insert("grpc-accept-encoding", MetadataValue::from_static(ACCEPTED_ENCODINGS));
        status
    })
}

/// The one message of a unary call, decompressed.
async fn read_message(body: Body, encoding: Encoding, limit: usize) -> Result<Bytes, Status> {
    let mut collector = Collector::new(body, limit.saturating_add(FRAME_HEADER_BYTES));
    while collector.arrived().len() < FRAME_HEADER_BYTES {
        if !collector.more().await.map_err(|error| broken_stream(&error, limit))? {
            let text = if collector.arrived().is_empty() { "missing request message" } else { "unexpected EOF" };
            return Err(Status::internal(text));
        }
    }
    let (compressed, length) = frame_header(collector.arrived())?;
    if length > limit {
        return Err(too_large(length, limit));
    }
    let frame_length = FRAME_HEADER_BYTES + length;
    collector.reserve(frame_length);
    while collector.more().await.map_err(|error| broken_stream(&error, limit))? {}
    let message = match collector.finish() {
        frame if frame.len() < frame_length => return Err(Status::internal("unexpected EOF")),
        frame if frame.len() > frame_length => return Err(Status::internal("received more than one message in a unary call")),
        frame => frame.slice(FRAME_HEADER_BYTES..),
    };
    match (compressed, encoding) {
        (false, _) => Ok(message),
        (true, Encoding::Identity) => Err(Status::internal("grpc: compressed flag set with identity or empty encoding")),
        (true, _) => unpack(message, encoding, limit).await,
    }
}

async fn unpack(message: Bytes, encoding: Encoding, limit: usize) -> Result<Bytes, Status> {
    let cost = message.len().saturating_mul(TYPICAL_RATIO);
    match offload(cost, move || decompress(encoding, message, limit)).await {
        Ok(Ok(message)) => Ok(message),
        // How long it would have become is not known: unpacking stops at the limit.
        Ok(Err(BodyError::TooLarge)) => Err(too_large(limit.saturating_add(1), limit)),
        Ok(Err(error)) => Err(Status::internal(format!("grpc: failed to decompress the received message: {error}"))),
        Err(error) => Err(RpcStatus::from(error).to_grpc()),
    }
}

/// Whether the message is compressed, and its length.
fn frame_header(arrived: &[u8]) -> Result<(bool, usize), Status> {
    match *arrived {
        [flag @ (0 | 1), a, b, c, d, ..] => Ok((flag == 1, u32::from_be_bytes([a, b, c, d]) as usize)),
        [flag, ..] => Err(Status::internal(format!("grpc: received unexpected payload format {flag}"))),
        [] => Err(Status::internal("missing request message")),
    }
}

fn too_large(length: usize, limit: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({length} vs. {limit})"))
}

fn broken_stream(error: &CollectError, limit: usize) -> Status {
    match error {
        // The length in the frame was within the limit, or not read yet, and more came than any legal frame has.
        CollectError::TooLarge => too_large(limit.saturating_add(1), limit),
        CollectError::Interrupted(error) => Status::cancelled(error.to_string()),
        CollectError::Stalled => Status::cancelled(error.to_string()),
    }
}

fn accepted() -> Response {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::Ok as i32));
    let body = Full::new(Bytes::from_static(ACCEPTED)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Metrics, logs and everything else: senders are told once and stop sending it.
async fn unknown_method(uri: Uri) -> Response {
    let text = match uri.path().strip_prefix('/').and_then(|path| path.rsplit_once('/')) {
        Some((SERVICE, method)) => format!("unknown method {method} for service {SERVICE}"),
        Some((service, _)) => format!("unknown service {service}"),
        None => format!("malformed method name: {:?}", uri.path()),
    };
    Status::unimplemented(text).into_http::<Body>()
}

#[cfg(test)]
mod tests;
