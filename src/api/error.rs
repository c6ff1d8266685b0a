//! The one map from kinds of errors to HTTP and gRPC (spec/query-api.md §1.5).

use super::tenant::TenantError;
use crate::frontend::QueryError;
use crate::runtime::offload::Stopping;
use crate::runtime::serve::admission::{RETRY_AFTER_SECONDS, exhausted_status};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use tonic::{Code, Status};

/// What is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request.
    Invalid,
    /// The query text of a metrics range query is none, which calls over gRPC tell otherwise than other refusals.
    Unparsed,
    /// The request names no tenant although it must.
    NoTenant,
    /// There is no such trace, which is told without any text, or no such path.
    NotFound,
    /// The trace is larger than allowed, or what the query has to hold.
    TooLarge,
    /// The request makes sense, but this version has no answer to it.
    Unsupported,
    /// Data, store or server.
    Internal,
    /// The server ends, or has no time for the request.
    Stopping,
    /// The query took longer than it may.
    TimedOut,
    /// Too much is asked at once.
    TooMany,
    /// Nobody waits for the answer.
    Abandoned,
}

/// Why a query has no answer. The message is meant for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    kind: ErrorKind,
    message: String,
}

impl ApiError {
    /// An error of that kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        ApiError { kind, message: message.into() }
    }

    /// The request is at fault.
    pub fn invalid(message: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::Invalid, message)
    }

    /// What is at fault.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn http_status(&self) -> StatusCode {
        match self.kind {
            ErrorKind::Invalid | ErrorKind::Unparsed => StatusCode::BAD_REQUEST,
            ErrorKind::NoTenant => StatusCode::UNAUTHORIZED,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::TooLarge => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
            // The word that proxies have for it; the number has no name in the standard.
            ErrorKind::Abandoned => StatusCode::from_u16(499).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn grpc_code(&self) -> Code {
        match self.kind {
            ErrorKind::Invalid => Code::InvalidArgument,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::NoTenant | ErrorKind::TooLarge | ErrorKind::Unparsed => Code::Unknown,
            ErrorKind::Unsupported => Code::Unimplemented,
            ErrorKind::Internal => Code::Internal,
            ErrorKind::Stopping => Code::Unavailable,
            ErrorKind::TimedOut => Code::DeadlineExceeded,
            ErrorKind::TooMany => Code::ResourceExhausted,
            ErrorKind::Abandoned => Code::Cancelled,
        }
    }
}

impl IntoResponse for ApiError {
    /// The bare message without a line end; only the missing tenant is told by Go's helper, which adds one.
    fn into_response(self) -> Response {
        const TEXT: &str = "text/plain; charset=utf-8";
        let status = self.http_status();
        match self.kind {
            ErrorKind::NotFound if self.message.is_empty() => status.into_response(),
            ErrorKind::NoTenant => {
                let headers = [(CONTENT_TYPE, TEXT), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
                (status, headers, self.message + "\n").into_response()
            }
            ErrorKind::TooMany => {
                let headers = [(CONTENT_TYPE, HeaderValue::from_static(TEXT)), (RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))];
                (status, headers, self.message).into_response()
            }
            _ => (status, [(CONTENT_TYPE, TEXT)], Body::from(self.message)).into_response(),
        }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        match error.grpc_code() {
            Code::ResourceExhausted => exhausted_status(error.message),
            code => Status::new(code, error.message),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let kind = match error {
            QueryError::Invalid(_) => ErrorKind::Invalid,
            QueryError::Unsupported(_) => ErrorKind::Unsupported,
            QueryError::Internal(_) => ErrorKind::Internal,
            QueryError::TimedOut(_) => ErrorKind::TimedOut,
            QueryError::TooLarge { .. } => ErrorKind::TooLarge,
            QueryError::QueueFull | QueryError::NoMemory(_) => ErrorKind::TooMany,
            QueryError::Abandoned => ErrorKind::Abandoned,
        };
        if kind == ErrorKind::Internal {
            tracing::error!(%error, "query failed");
        }
        ApiError::new(kind, error.to_string())
    }
}

impl From<TenantError> for ApiError {
    fn from(error: TenantError) -> Self {
        let kind = match error {
            TenantError::Missing => ErrorKind::NoTenant,
            TenantError::Illegal(_) | TenantError::Several => ErrorKind::Invalid,
        };
        ApiError::new(kind, error.to_string())
    }
}

impl From<Stopping> for ApiError {
    fn from(error: Stopping) -> Self {
        ApiError::new(ErrorKind::Stopping, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn written(error: ApiError) -> (u16, String, String) {
        let response = error.into_response();
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).map(|value| value.to_str().expect("ours").to_string());
        let body = response.into_body().collect().await.expect("ours").to_bytes();
        (status, content_type.unwrap_or_default(), String::from_utf8(body.to_vec()).expect("ours"))
    }

    #[tokio::test]
    async fn bodies_are_bare_texts() {
        let text = "text/plain; charset=utf-8".to_string();
        for (error, status, content_type, body) in [
            (ApiError::invalid("bad"), 400, &text, "bad"),
            (TenantError::Missing.into(), 401, &text, "no org id\n"),
            (ApiError::new(ErrorKind::NotFound, ""), 404, &String::new(), ""),
            (QueryError::Unsupported("later".to_string()).into(), 501, &text, "later"),
            (Stopping.into(), 503, &text, "server is shutting down"),
        ] {
            assert_eq!(written(error).await, (status, content_type.clone(), body.to_string()));
        }
    }

    #[test]
    fn grpc_keeps_the_message() {
        let status = Status::from(ApiError::from(QueryError::Invalid("bad".to_string())));
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "bad"));
        assert_eq!(Status::from(ApiError::from(TenantError::Missing)).code(), Code::Unknown);
    }
}
