//! The Zipkin port: every path and every method takes spans (spec/ingest.md §4.1, §4.2).

use super::body::{BodyError, Encoding};
use super::collect::{ReadError, header_text, read};
use super::error::DecodeError;
use super::tenant::Tenancy;
use super::zipkin::{self, TagTypes};
use crate::distributor::{Distributor, Origin};
use crate::model::UnixNanos;
use crate::runtime::offload::offload;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, X_CONTENT_TYPE_OPTIONS};
use prost::Message;
use std::sync::Arc;

/// The label `receiver` in metrics of spans; the label `transport` tells the form of the body.
pub const RECEIVER: &str = "zipkin/zipkin_receiver";

/// What the receiver needs.
#[derive(Clone)]
pub struct ZipkinHttp {
    /// Where spans go.
    pub distributor: Distributor,
    /// How the tenant is found.
    pub tenancy: Tenancy,
    /// Largest body, compressed and decompressed alike (`max_request_body_size`).
    pub max_body_bytes: usize,
    /// What becomes of the text of tags (`parse_string_tags`).
    pub tag_types: TagTypes,
}

/// The service of the Zipkin port.
pub fn router(receiver: ZipkinHttp) -> Router {
    Router::new().fallback(collect_spans).with_state(Arc::new(receiver))
}

/// The forms of a body, told by path and content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    V1Json,
    V1Thrift,
    V2Json,
    V2Protobuf,
}

impl Form {
    /// Content types are compared as they stand, parameters and all; whatever is not known is JSON.
    fn of(path: &str, headers: &HeaderMap) -> Self {
        let content_type = header_text(headers, &CONTENT_TYPE);
        match (zipkin::is_v1_path(path), content_type.as_deref()) {
            (true, Some("application/x-thrift")) => Form::V1Thrift,
            (true, _) => Form::V1Json,
            (false, Some("application/x-protobuf")) => Form::V2Protobuf,
            (false, _) => Form::V2Json,
        }
    }

    fn origin(self) -> Origin {
        let transport = match self {
            Form::V1Json => "http_v1_json",
            Form::V1Thrift => "http_v1_thrift",
            Form::V2Json => "http_v2_json",
            Form::V2Protobuf => "http_v2_proto",
        };
        Origin { receiver: RECEIVER, transport }
    }

    /// The body as an OTLP request.
    fn translate(self, body: &[u8], types: TagTypes) -> Result<Bytes, DecodeError> {
        let request = match self {
            Form::V1Json => zipkin::decode_v1_json(body, types, UnixNanos::now().0)?,
            Form::V1Thrift => zipkin::decode_v1_thrift(body, types, UnixNanos::now().0)?,
            Form::V2Json => return zipkin::decode_v2_json(body, types),
            Form::V2Protobuf => return zipkin::decode_v2_proto(body, types),
        };
        Ok(Bytes::from(request.encode_to_vec()))
    }
}

/// Why spans were not stored.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// Tempo reads no further than the limit, so that what it sees is a text that ends too soon. So do its clients.
    #[error("unexpected end of JSON input")]
    TooLarge,
    #[error(transparent)]
    Body(BodyError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Tenant, ids, limits, shutdown: Zipkin senders are told nothing about these.
    #[error("\"Internal Server Error\"")]
    NotStored,
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Body(BodyError::TooLarge) => Refusal::TooLarge,
            ReadError::Body(error) => Refusal::Body(error),
            ReadError::Stopping(_) => Refusal::NotStored,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        const TEXT: &str = "text/plain; charset=utf-8";
        let body = self.to_string();
        let status = match self {
            Refusal::NotStored => return (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, TEXT)], body).into_response(),
            Refusal::TooLarge | Refusal::Body(_) | Refusal::Decode(_) => StatusCode::BAD_REQUEST,
        };
        (status, [(CONTENT_TYPE, TEXT), (X_CONTENT_TYPE_OPTIONS, "nosniff")], body + "\n").into_response()
    }
}

async fn collect_spans(State(receiver): State<Arc<ZipkinHttp>>, request: Request) -> Response {
    match store(&receiver, request).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn store(receiver: &ZipkinHttp, request: Request) -> Result<(), Refusal> {
    let (head, body) = request.into_parts();
    let form = Form::of(head.uri.path(), &head.headers);
    let encoding = Encoding::from_header(header_text(&head.headers, &CONTENT_ENCODING).as_deref()).map_err(Refusal::Body)?;
    let body = read(body, encoding, receiver.max_body_bytes).await?;
    let types = receiver.tag_types;
    let translated = offload(body.len(), move || form.translate(&body, types)).await.map_err(|_| Refusal::NotStored)??;
    let tenant = receiver.tenancy.tenant_of(&head.headers).map_err(|_| Refusal::NotStored)?;
    match receiver.distributor.for_origin(form.origin()).push(tenant, translated).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::NotStored),
    }
}

#[cfg(test)]
mod tests;
