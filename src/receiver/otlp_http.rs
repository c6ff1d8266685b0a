//! OTLP over HTTP: `POST /v1/traces` in protobuf and JSON (spec/ingest.md §3).
//!
//! A request is judged in this order: path, method, compression, content type, body, tenant, spans. Every refusal after
//! the content type is written in the sender's own format, as a `google.rpc.Status`. `application/protobuf` is taken too,
//! which Tempo refuses.

use super::body::{BodyError, Encoding};
use super::collect::{header_text, read};
use super::otlp_json;
use super::status::{RpcStatus, partial_success};
use super::tenant::Tenancy;
use crate::distributor::{Distributor, Pushed};
use crate::runtime::offload::offload;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, StatusCode};
use prost::Message;
use std::sync::Arc;

/// `ExportTraceServiceResponse` with an empty `partial_success`, as Tempo answers (spec/ingest.md §2).
const ACCEPTED_PROTOBUF: &[u8] = &[0x0a, 0x00];
const ACCEPTED_JSON: &str = r#"{"partialSuccess":{}}"#;

/// What the receiver needs.
#[derive(Clone)]
pub struct OtlpHttp {
    /// Where spans go.
    pub distributor: Distributor,
    /// How the tenant is found.
    pub tenancy: Tenancy,
    /// Largest body, compressed and decompressed alike (`max_request_body_size`).
    pub max_body_bytes: usize,
    /// The only path (`traces_url_path`).
    pub path: String,
}

/// The service of the OTLP HTTP port.
pub fn router(receiver: OtlpHttp) -> Router {
    Router::new().route(&receiver.path, any(export)).fallback(not_found).with_state(Arc::new(receiver))
}

/// The two formats of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// The format that `Content-Type` names; parameters such as a charset do not matter.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = header_text(headers, &CONTENT_TYPE)?;
        match text.split(';').next()?.trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Form::Protobuf),
            "application/json" => Some(Form::Json),
            _ => None,
        }
    }

    fn accepted(self, pushed: &Pushed) -> Response {
        match self {
            _ if pushed.num_refused > 0 => self.partly_accepted(pushed),
            Form::Protobuf => self.answer(StatusCode::OK, ACCEPTED_PROTOBUF),
            Form::Json => self.answer(StatusCode::OK, ACCEPTED_JSON),
        }
    }

    fn partly_accepted(self, pushed: &Pushed) -> Response {
        if self == Form::Protobuf {
            return self.answer(StatusCode::OK, partial_success(pushed));
        }
        // 64-bit numbers are texts in JSON, and a text is always representable.
        let message = serde_json::to_string(&pushed.message).unwrap_or_default();
        self.answer(
            StatusCode::OK,
            format!(r#"{{"partialSuccess":{{"rejectedSpans":"{}","errorMessage":{message}}}}}"#, pushed.num_refused),
        )
    }

    fn refused(self, status: &RpcStatus) -> Response {
        let mut response = match self {
            Form::Protobuf => self.answer(status.http_status(), status.to_protobuf()),
            Form::Json => self.answer(status.http_status(), status.to_json()),
        };
        if let Some(seconds) = status.retry_after_seconds() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn answer(self, status: StatusCode, body: impl Into<Body>) -> Response {
        let content_type = match self {
            Form::Protobuf => "application/x-protobuf",
            Form::Json => "application/json",
        };
        (status, [(CONTENT_TYPE, content_type)], body.into()).into_response()
    }
}

async fn export(State(receiver): State<Arc<OtlpHttp>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return plain_text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed, supported: [POST]");
    }
    let encoding = Encoding::from_header(header_text(&head.headers, &CONTENT_ENCODING).as_deref());
    let Some(form) = Form::of(&head.headers) else { return unknown_form(encoding, body, receiver.max_body_bytes).await };
    match store(&receiver, form, encoding, &head.headers, body).await {
        Ok(pushed) => form.accepted(&pushed),
        Err(status) => form.refused(&status),
    }
}

async fn store(
    receiver: &OtlpHttp,
    form: Form,
    encoding: Result<Encoding, BodyError>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Pushed, RpcStatus> {
    let body = read(body, encoding?, receiver.max_body_bytes).await?;
    let request = match form {
        Form::Protobuf => body,
        Form::Json => from_json(body).await?,
    };
    // The tenant comes after the body: what cannot be decoded is refused for good, whoever sent it.
    let tenant = receiver.tenancy.tenant_of(headers)?;
    Ok(receiver.distributor.push(tenant, request).await?)
}

async fn from_json(body: Bytes) -> Result<Bytes, RpcStatus> {
    let translated = offload(body.len(), move || otlp_json::decode(&body).map(|request| request.encode_to_vec())).await?;
    Ok(Bytes::from(translated?))
}

/// A body in a format that we do not know. Tempo unpacks before it looks at the format, so that a body that cannot be
/// unpacked is told so first.
async fn unknown_form(encoding: Result<Encoding, BodyError>, body: Body, limit: usize) -> Response {
    let unpacked = match encoding {
        Ok(Encoding::Identity) => Ok(()),
        Ok(encoding) => read(body, encoding, limit).await.map(drop),
        Err(error) => Err(error.into()),
    };
    match unpacked {
        Ok(()) => plain_text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "415 unsupported media type, supported: [application/json, application/x-protobuf]",
        ),
        Err(_) => Form::Json.answer(StatusCode::INTERNAL_SERVER_ERROR, r#"{"code": 13, "message": "failed to marshal error message"}"#),
    }
}

async fn not_found() -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

fn plain_text(status: StatusCode, body: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain")], body).into_response()
}

#[cfg(test)]
mod tests;
