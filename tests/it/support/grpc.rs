//! A small gRPC client over h2c: one call, one connection, blocking outside.

use super::DEADLINE;
use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tonic::{Code, Status};

/// What a call came to.
#[derive(Debug)]
pub struct Answer {
    pub code: Code,
    pub message: String,
    /// The messages before the status, without their frames.
    pub messages: Vec<Bytes>,
}

/// Path of the call that takes spans.
pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Path of the call that searches.
pub const SEARCH: &str = "/tempopb.StreamingQuerier/Search";

/// Calls with one message; `encoding` is how it is compressed already.
pub fn call(address: SocketAddr, path: &str, encoding: Option<&str>, message: &[u8]) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = runtime.block_on(async { tokio::time::timeout(DEADLINE, send(address, path, encoding, message)).await });
    answer.expect("an answer in time")
}

async fn send(address: SocketAddr, path: &str, encoding: Option<&str>, message: &[u8]) -> Answer {
    let stream = TcpStream::connect(address).await.expect("listening");
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut request =
        http::Request::post(format!("http://{address}{path}")).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let frame = [&[u8::from(encoding.is_some())][..], &length, message].concat();
    let request = request.body(Full::new(Bytes::from(frame))).expect("a request");
    let (head, body) = sender.send_request(request).await.expect("an answer").into_parts();
    assert_eq!(head.status, 200, "{path}");
    let collected = body.collect().await.expect("a whole answer");
    let status = collected.trailers().and_then(Status::from_header_map).or_else(|| Status::from_header_map(&head.headers));
    let status = status.expect("a status");
    Answer { code: status.code(), message: status.message().to_string(), messages: unframe(collected.to_bytes()) }
}

fn unframe(mut bytes: Bytes) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while bytes.has_remaining() {
        assert_eq!(bytes.get_u8(), 0, "answers are not compressed unless asked for");
        let length = bytes.get_u32() as usize;
        messages.push(bytes.split_to(length));
    }
    messages
}
