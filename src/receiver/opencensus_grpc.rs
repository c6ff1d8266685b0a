//! OpenCensus's agent port: streams of spans over gRPC (spec/ingest.md §6).
//!
//! A client opens a stream and sends on it as long as it lives; nothing is sent back but the status at the end. A push that
//! is refused ends the stream with its status, and the client opens another. Two more streams that clients open are taken
//! and thrown away: the one that would configure them, and the one with metrics, whose loss some take for the loss
//! of the connection.

use super::grpc::{Messages, encoding_of, only_grpc, response, unknown_method};
use super::opencensus::{Stream, StreamError};
use super::opencensus_http;
use super::status::RpcStatus;
use super::tenant::Tenancy;
use crate::distributor::Distributor;
use crate::runtime::offload::offload;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use http_body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::watch;
use tonic::Status;

const EXPORT_PATH: &str = "/opencensus.proto.agent.trace.v1.TraceService/Export";
const CONFIG_PATH: &str = "/opencensus.proto.agent.trace.v1.TraceService/Config";
const METRICS_PATH: &str = "/opencensus.proto.agent.metrics.v1.MetricsService/Export";
const SERVICE: &str = "opencensus.proto.agent.trace.v1.TraceService";

/// What the receiver needs.
#[derive(Clone)]
pub struct OpenCensusGrpc {
    /// Where spans go.
    pub distributor: Distributor,
    /// How the tenant is found.
    pub tenancy: Tenancy,
    /// Largest message, compressed and decompressed alike (`max_recv_msg_size_mib`).
    pub max_message_bytes: usize,
    /// Changes, or loses its sender, when the server stops: streams do not end by themselves.
    pub stopping: watch::Receiver<()>,
}

/// The service of the port: streams, and beside them JSON.
pub fn router(receiver: OpenCensusGrpc) -> Router {
    let receiver = Arc::new(receiver);
    let calls = Router::new()
        .route(EXPORT_PATH, any(export))
        .route(CONFIG_PATH, any(discard))
        .route(METRICS_PATH, any(discard))
        .fallback(other_method)
        .with_state(Arc::clone(&receiver));
    calls.layer(from_fn(only_grpc)).merge(opencensus_http::routes(receiver))
}

async fn export(State(receiver): State<Arc<OpenCensusGrpc>>, request: Request) -> Response {
    ending_with(async move {
        let mut stopping = receiver.stopping.clone();
        tokio::select! {
            stored = store(&receiver, request) => stored,
            _ = stopping.changed() => Err(Status::unavailable("server is shutting down")),
        }
    })
}

async fn store(receiver: &OpenCensusGrpc, request: Request) -> Result<(), Status> {
    let (head, body) = request.into_parts();
    let tenant = receiver.tenancy.tenant_of(&head.headers).map_err(|error| RpcStatus::from(error).to_grpc())?;
    let mut messages = Messages::new(body, encoding_of(&head.headers)?, receiver.max_message_bytes);
    let mut stream = Stream::default();
    while let Some(message) = messages.next().await? {
        let decoding = offload(message.len(), move || (stream.decode(&message), stream));
        let (decoded, same_stream) = decoding.await.map_err(|error| RpcStatus::from(error).to_grpc())?;
        stream = same_stream;
        let request = decoded.map_err(status_of_stream)?;
        receiver.distributor.push(tenant.clone(), request).await.map_err(|error| RpcStatus::from(error).to_grpc())?;
    }
    Ok(())
}

fn status_of_stream(error: StreamError) -> Status {
    match error {
        StreamError::Malformed(_) => Status::internal(error.to_string()),
        StreamError::NoNode => Status::unknown(error.to_string()),
    }
}

/// Takes a stream that nobody listens to, until the client ends it.
async fn discard(State(receiver): State<Arc<OpenCensusGrpc>>, request: Request) -> Response {
    ending_with(async move {
        let mut stopping = receiver.stopping.clone();
        let (head, body) = request.into_parts();
        let mut messages = Messages::new(body, encoding_of(&head.headers)?, receiver.max_message_bytes);
        let reading = async {
            while messages.next().await?.is_some() {}
            Ok(())
        };
        tokio::select! {
            read = reading => read,
            _ = stopping.changed() => Err(Status::unavailable("server is shutting down")),
        }
    })
}

async fn other_method(uri: Uri) -> Response {
    unknown_method(&uri, SERVICE)
}

/// An answer whose head goes out at once, and whose only content is the status that `work` comes to.
fn ending_with(work: impl Future<Output = Result<(), Status>> + Send + 'static) -> Response {
    response(Body::new(StatusBody { work: Some(Box::pin(work)) }))
}

/// What a call comes to.
type Work = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

struct StatusBody {
    /// `None` once its status was written.
    work: Option<Work>,
}

impl http_body::Body for StatusBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let status = ready!(work.as_mut().poll(context)).err().unwrap_or_else(|| Status::ok(""));
        self.work = None;
        let mut trailers = HeaderMap::new();
        // A text that is no header value is left out there; the code is always written.
        if status.add_header(&mut trailers).is_err() {
            trailers.insert(Status::GRPC_STATUS, (status.code() as i32).into());
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

#[cfg(test)]
mod tests;
