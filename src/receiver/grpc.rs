//! One call of gRPC: its head, its frames, its status (spec/ingest.md §1.3, §1.5, §1.6).
//!
//! Messages are not decoded here, so there is no use for generated services: a message is a frame of five bytes and what
//! follows. Reading the frame ourselves also gives what tonic's decoder does not: the statuses and texts that senders know,
//! snappy, and a buffer of exactly the right size. Statuses are tonic's.

use super::body::{BodyError, Encoding, decompress};
use super::collect::{CollectError, Collector, header_text};
use super::status::RpcStatus;
use crate::runtime::offload::offload;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// What `grpc-accept-encoding` tells a sender whose compression we do not know.
pub(super) const ACCEPTED_ENCODINGS: &str = "gzip,zstd,snappy,deflate,identity";

/// A flag that says whether the message is compressed, and its length.
const FRAME_HEADER_BYTES: usize = 5;

/// How much longer than compressed a message is taken to be before that is known.
const TYPICAL_RATIO: usize = 8;

/// Turns away what cannot be a gRPC call, in plain HTTP.
pub(super) async fn only_grpc(request: Request, next: Next) -> Response {
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

/// How the messages of a call are compressed.
///
/// # Errors
///
/// UNIMPLEMENTED for a compression that we do not know, with those that we do.
pub(super) fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Status> {
    let name = header_text(headers, &GRPC_ENCODING);
    Encoding::from_header(name.as_deref()).map_err(|_| {
        let name = name.unwrap_or_default();
        let mut status = Status::unimplemented(format!("grpc: Decompressor is not installed for grpc-encoding {name:?}"));
        status.metadata_mut().insert("grpc-accept-encoding", MetadataValue::from_static(ACCEPTED_ENCODINGS));
        status
    })
}

/// The one message of a unary call, decompressed.
///
/// # Errors
///
/// RESOURCE_EXHAUSTED beyond the limit, INTERNAL for what is no such call, CANCELLED for a stream that broke.
pub(super) async fn read_message(body: Body, encoding: Encoding, limit: usize) -> Result<Bytes, Status> {
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
    decompressed(message, compressed, encoding, limit).await
}

/// The messages of a stream that the client sends, one by one. A client may be silent for as long as it likes.
pub(super) struct Messages {
    body: Body,
    arrived: BytesMut,
    encoding: Encoding,
    limit: usize,
}

impl Messages {
    /// Messages of at most `limit` bytes, compressed and decompressed alike.
    pub(super) fn new(body: Body, encoding: Encoding, limit: usize) -> Self {
        Messages { body, arrived: BytesMut::new(), encoding, limit }
    }

    /// The next message, decompressed; `None` at the orderly end of the stream.
    ///
    /// # Errors
    ///
    /// As [`read_message`]; there is no message after an error.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if self.arrived.len() >= FRAME_HEADER_BYTES {
                let (compressed, length) = frame_header(&self.arrived)?;
                if length > self.limit {
                    return Err(too_large(length, self.limit));
                }
                if self.arrived.len() >= FRAME_HEADER_BYTES + length {
                    let message = self.arrived.split_to(FRAME_HEADER_BYTES + length).freeze().slice(FRAME_HEADER_BYTES..);
                    return decompressed(message, compressed, self.encoding, self.limit).await.map(Some);
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) => frame.data_ref().into_iter().for_each(|piece| self.arrived.extend_from_slice(piece)),
                Some(Err(error)) => return Err(Status::cancelled(error.to_string())),
                None if self.arrived.is_empty() => return Ok(None),
                None => return Err(Status::internal("unexpected EOF")),
            }
        }
    }
}

async fn decompressed(message: Bytes, compressed: bool, encoding: Encoding, limit: usize) -> Result<Bytes, Status> {
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

/// A message in an uncompressed frame.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + message.len());
    frame.extend_from_slice(&[0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame.freeze()
}

/// The end of a call that went well, after the frame of its answer.
pub(super) fn answered(frame: impl Into<Bytes>) -> Response {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::Ok as i32));
    let body = Full::new(frame.into()).with_trailers(std::future::ready(Some(Ok(trailers))));
    response(Body::new(body))
}

/// An answer with that body, which has frames and the status.
pub(super) fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Says that a call is of no method of `service`, the one that is served.
pub(super) fn unknown_method(uri: &Uri, service: &str) -> Response {
    let text = match uri.path().strip_prefix('/').and_then(|path| path.rsplit_once('/')) {
        Some((named, method)) if named == service => format!("unknown method {method} for service {service}"),
        Some((named, _)) => format!("unknown service {named}"),
        None => format!("malformed method name: {:?}", uri.path()),
    };
    Status::unimplemented(text).into_http::<Body>()
}
