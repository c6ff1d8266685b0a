//! A small gRPC client over h2c: one call, one connection, blocking outside.

use super::DEADLINE;
use bytes::{Buf, Bytes};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
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
    let metadata: Vec<_> = encoding.map(|encoding| ("grpc-encoding", encoding)).into_iter().collect();
    wait(send(address, path, &metadata, frame(encoding.is_some(), message)))
}

/// Calls with one message and some metadata.
pub fn call_with(address: SocketAddr, path: &str, metadata: &[(&str, &str)], message: &[u8]) -> Answer {
    wait(send(address, path, metadata, frame(false, message)))
}

/// Calls with these bytes instead of a frame.
pub fn call_with_frame(address: SocketAddr, path: &str, frame: &[u8]) -> Answer {
    wait(send(address, path, &[], frame.to_vec()))
}

/// Sends messages on a stream and ends it.
pub fn stream(address: SocketAddr, path: &str, messages: &[Vec<u8>]) -> Answer {
    wait(send(address, path, &[], messages.iter().flat_map(|message| frame(false, message)).collect()))
}

/// Sends messages on a stream that stays open until what is returned is dropped.
pub fn open_stream(address: SocketAddr, path: &'static str, messages: &[Vec<u8>]) -> impl Sized + use<> {
    let frames: Vec<u8> = messages.iter().flat_map(|message| frame(false, message)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.spawn(async move {
        let first = tokio_stream::once(Ok::<_, Infallible>(Frame::data(Bytes::from(frames))));
        let body = StreamBody::new(first.chain(tokio_stream::pending()));
        // However it ends.
        let _ = begin(address, path, &[], body).await;
    });
    runtime
}

fn wait(answer: impl Future<Output = Answer>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = runtime.block_on(async { tokio::time::timeout(DEADLINE, answer).await });
    answer.expect("an answer in time")
}

fn frame(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[u8::from(compressed)][..], &length, message].concat()
}

async fn begin<B>(address: SocketAddr, path: &str, metadata: &[(&str, &str)], body: B) -> http::Response<hyper::body::Incoming>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(address).await.expect("listening");
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut request =
        http::Request::post(format!("http://{address}{path}")).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in metadata {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(body).expect("a request")).await.expect("an answer")
}

async fn send(address: SocketAddr, path: &str, metadata: &[(&str, &str)], frames: Vec<u8>) -> Answer {
    let (head, body) = begin(address, path, metadata, Full::new(Bytes::from(frames))).await.into_parts();
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
