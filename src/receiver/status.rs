//! One status for every refusal, and its three written forms: gRPC trailers, `google.rpc.Status` in protobuf, the same in JSON.

use super::body::BodyError;
use super::collect::ReadError;
use super::error::DecodeError;
use super::tenant::TenantError;
use crate::distributor::{PushError, Pushed};
use crate::proto::otlp::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use crate::runtime::offload::Stopping;
use http::StatusCode;
use prost::Message;
use std::time::Duration;
use tonic::{Code, Status};

const RETRY_INFO_TYPE: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Why a request was not stored, in the terms of gRPC.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RpcStatus {
    /// The gRPC code.
    pub(super) code: Code,
    /// For the people who run the sender.
    pub(super) message: String,
    /// When to try again, if the sender is told to; written as `RetryInfo` and `Retry-After`.
    pub(super) retry_after: Option<Duration>,
}

impl RpcStatus {
    /// A status without a time to try again.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        RpcStatus { code, message: message.into(), retry_after: None }
    }

    /// The HTTP status for the code (spec/ingest.md §3.1, last rows).
    pub(super) fn http_status(&self) -> StatusCode {
        match self.code {
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unimplemented => StatusCode::NOT_FOUND,
            Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::OutOfRange | Code::Unavailable | Code::DataLoss => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The value of `Retry-After`: whole seconds, rounded up so that no sender comes too early.
    pub(super) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|delay| delay.as_secs() + u64::from(delay.subsec_nanos() > 0))
    }

    /// A `google.rpc.Status` message.
    pub(super) fn to_protobuf(&self) -> Vec<u8> {
        let details = self.retry_after.map(retry_info).into_iter().collect();
        GoogleStatus { code: self.code as i32, message: self.message.clone(), details }.encode_to_vec()
    }

    /// The same as JSON.
    pub(super) fn to_json(&self) -> String {
        // A text is always representable as JSON.
        let message = serde_json::to_string(&self.message).unwrap_or_default();
        let details = self.retry_after.map_or_else(String::new, |delay| {
            let seconds = delay.as_secs_f64();
            format!(r#","details":[{{"@type":"{RETRY_INFO_TYPE}","retryDelay":"{seconds}s"}}]"#)
        });
        format!(r#"{{"code":{},"message":{message}{details}}}"#, self.code as i32)
    }

    /// The status for the trailers of a gRPC answer. Only one that has something to say beyond code and message gets details.
    pub(super) fn to_grpc(&self) -> Status {
        match self.retry_after {
            Some(_) => Status::with_details(self.code, self.message.clone(), self.to_protobuf().into()),
            None => Status::new(self.code, self.message.clone()),
        }
    }
}

/// An `ExportTraceServiceResponse` that says how many spans were not stored, and why.
pub(super) fn partial_success(pushed: &Pushed) -> Vec<u8> {
    let rejected_spans = i64::try_from(pushed.num_refused).unwrap_or(i64::MAX);
    let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message: pushed.message.clone() });
    ExportTraceServiceResponse { partial_success }.encode_to_vec()
}

impl From<PushError> for RpcStatus {
    fn from(error: PushError) -> Self {
        let message = error.to_string();
        match error {
            PushError::Refused(_) => RpcStatus::new(Code::InvalidArgument, message),
            PushError::Overloaded { retry_after, .. } | PushError::RateLimited { retry_after, .. } => {
                let retry_after = Some(retry_after).filter(|delay| !delay.is_zero());
                RpcStatus { code: Code::ResourceExhausted, message, retry_after }
            }
            PushError::Unavailable(_) => RpcStatus::new(Code::Unavailable, message),
        }
    }
}

impl From<TenantError> for RpcStatus {
    fn from(error: TenantError) -> Self {
        let code = match error {
            // Tempo's senders try again (spec/ingest.md §8): a proxy that adds the header may be back by then.
            TenantError::Missing => Code::Unavailable,
            TenantError::Several | TenantError::Illegal(_) => Code::InvalidArgument,
        };
        RpcStatus::new(code, error.to_string())
    }
}

impl From<BodyError> for RpcStatus {
    fn from(error: BodyError) -> Self {
        RpcStatus::new(Code::InvalidArgument, error.to_string())
    }
}

impl From<ReadError> for RpcStatus {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Body(error) => error.into(),
            ReadError::Stopping(error) => error.into(),
        }
    }
}

impl From<DecodeError> for RpcStatus {
    fn from(error: DecodeError) -> Self {
        RpcStatus::new(Code::InvalidArgument, error.to_string())
    }
}

impl From<Stopping> for RpcStatus {
    fn from(error: Stopping) -> Self {
        RpcStatus::new(Code::Unavailable, error.to_string())
    }
}

fn retry_info(delay: Duration) -> Any {
    let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    let delay = ProtoDuration { seconds, nanos: delay.subsec_nanos().cast_signed() };
    Any { type_url: RETRY_INFO_TYPE.to_string(), value: RetryInfo { retry_delay: Some(delay) }.encode_to_vec() }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct GoogleStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overloaded(retry_after: Duration) -> RpcStatus {
        PushError::Overloaded { message: "RATE_LIMITED: \"x\"".to_string(), retry_after }.into()
    }

    #[test]
    fn the_recorded_bytes_of_a_refusal() {
        assert_eq!(RpcStatus::new(Code::InvalidArgument, "unexpected EOF").to_protobuf(), b"\x08\x03\x12\x0eunexpected EOF");
        assert_eq!(RpcStatus::new(Code::InvalidArgument, "a \"b\"").to_json(), r#"{"code":3,"message":"a \"b\""}"#);
    }

    #[test]
    fn an_overload_says_when_to_come_again() {
        let status = overloaded(Duration::from_millis(4_500));
        assert_eq!(status.retry_after_seconds(), Some(5));
        assert_eq!(status.http_status(), StatusCode::TOO_MANY_REQUESTS);
        let written = GoogleStatus::decode(&*status.to_protobuf()).expect("our own bytes");
        let info = RetryInfo::decode(&*written.details[0].value).expect("our own bytes");
        assert_eq!(info.retry_delay, Some(ProtoDuration { seconds: 4, nanos: 500_000_000 }));
        assert_eq!(status.to_grpc().details(), status.to_protobuf());
        assert!(status.to_json().ends_with(r#""details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"4.5s"}]}"#));
    }

    #[test]
    fn without_a_delay_there_are_no_details() {
        let status = overloaded(Duration::ZERO);
        assert_eq!((status.retry_after, status.code), (None, Code::ResourceExhausted));
        assert!(status.to_grpc().details().is_empty());
    }
}
