//! Why the bytes of a request are not spans.

use super::thrift::ThriftError;

/// A body that cannot be turned into OTLP messages; the receiver refuses the whole request with 400.
///
/// The text is meant for the sender. Refusals of well-formed requests (all-zero ids, limits) are not errors of this type:
/// they belong to the distributor.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The JSON text ends before its document does; an empty body is the common case.
    #[error("unexpected end of JSON input")]
    Truncated,
    /// Not JSON, or JSON of another shape than the message.
    #[error(transparent)]
    Json(serde_json::Error),
    /// Not a protobuf encoding of the message.
    #[error(transparent)]
    Protobuf(#[from] prost::DecodeError),
    /// Not thrift.
    #[error(transparent)]
    Thrift(#[from] ThriftError),
    /// Well-formed, but a value in it means nothing; the text names it.
    #[error("{0}")]
    Invalid(String),
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_eof() { DecodeError::Truncated } else { DecodeError::Json(error) }
    }
}
