//! Jaeger's collector port for thrift over HTTP: `POST /api/traces` (spec/ingest.md §5.2).

use super::body::{BodyError, Encoding};
use super::collect::{ReadError, header_text, read};
use super::jaeger;
use super::status::RpcStatus;
use super::tenant::Tenancy;
use super::thrift::ThriftError;
use crate::distributor::Distributor;
use crate::runtime::offload::offload;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, X_CONTENT_TYPE_OPTIONS};
use std::sync::Arc;

/// The only path; its query, in which old clients name the format, does not matter.
const PATH: &str = "/api/traces";

/// What the receiver needs.
#[derive(Clone)]
pub struct JaegerHttp {
    /// Where spans go.
    pub distributor: Distributor,
    /// How the tenant is found.
    pub tenancy: Tenancy,
    /// Largest body, compressed and decompressed alike (`max_request_body_size`).
    pub max_body_bytes: usize,
}

/// The service of the port.
pub fn router(receiver: JaegerHttp) -> Router {
    Router::new().route(PATH, post(collect_spans)).fallback(not_found).with_state(Arc::new(receiver))
}

/// Why spans were not stored.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("Cannot parse content type: mime: no media type")]
    NoContentType,
    #[error("Unsupported content type: {0}")]
    ContentType(String),
    #[error("{0}")]
    Encoding(BodyError),
    #[error("Unable to process request body: {0}")]
    Decode(#[from] ThriftError),
    /// Too large, or broken off.
    #[error("Unable to process request body: {0}")]
    Body(BodyError),
    #[error("Cannot submit Jaeger batch: rpc error: code = {:?} desc = {}", .0.code, .0.message)]
    NotStored(RpcStatus),
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Body(error) => Refusal::Body(error),
            ReadError::Stopping(error) => Refusal::NotStored(error.into()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Refusal::Body(_) | Refusal::NotStored(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::NoContentType | Refusal::ContentType(_) | Refusal::Encoding(_) | Refusal::Decode(_) => StatusCode::BAD_REQUEST,
        };
        text(status, &self.to_string())
    }
}

async fn collect_spans(State(receiver): State<Arc<JaegerHttp>>, request: Request) -> Response {
    match store(&receiver, request).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn store(receiver: &JaegerHttp, request: Request) -> Result<(), Refusal> {
    let (head, body) = request.into_parts();
    let encoding = Encoding::from_header(header_text(&head.headers, &CONTENT_ENCODING).as_deref()).map_err(Refusal::Encoding)?;
    let body = read(body, encoding, receiver.max_body_bytes).await?;
    check_content_type(&head.headers)?;
    let decoded = offload(body.len(), move || jaeger::decode_batch(&body)).await;
    let request = decoded.map_err(|error| Refusal::NotStored(error.into()))??;
    let tenant = receiver.tenancy.tenant_of(&head.headers).map_err(|error| Refusal::NotStored(error.into()))?;
    match receiver.distributor.push(tenant, request).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::NotStored(error.into())),
    }
}

/// Parameters of the media type do not matter.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let header = header_text(headers, &CONTENT_TYPE).unwrap_or_default();
    let media_type = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/x-thrift" | "application/vnd.apache.thrift.binary" => Ok(()),
        "" => Err(Refusal::NoContentType),
        _ => Err(Refusal::ContentType(media_type)),
    }
}

async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found")
}

fn text(status: StatusCode, body: &str) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, format!("{body}\n")).into_response()
}

#[cfg(test)]
mod tests;
