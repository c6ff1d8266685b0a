use super::super::test_support::{Answer, FakeTarget, distributor, send};
use super::*;
use crate::distributor::PushError;
use http::Version;
use http::header::CONTENT_TYPE;
use http_body_util::StreamBody;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

/// A message with a node only, and one with a span only.
const NODE: &[u8] = b"\0\0\0\0\x02\x0a\0";
const SPAN: &[u8] = b"\0\0\0\0\x1e\x12\x1c\x0a\x101234567812345678\x12\x0812345678";

fn service(refusal: Option<PushError>, tenancy: Tenancy) -> (Router, Arc<FakeTarget>, watch::Sender<()>) {
    let (distributor, target) = distributor(refusal);
    let (stop, stopping) = watch::channel(());
    (router(OpenCensusGrpc { distributor, tenancy, max_message_bytes: 4096, stopping }), target, stop)
}

fn request(path: &str, body: Body) -> Request {
    let request = Request::post(path).version(Version::HTTP_2).header(CONTENT_TYPE, "application/grpc");
    request.body(body).expect("a request")
}

fn status(answer: &Answer) -> (Code, String) {
    let status = Status::from_header_map(&answer.trailers).or_else(|| Status::from_header_map(&answer.head.headers));
    let status = status.expect("every answer has a status");
    (status.code(), status.message().to_string())
}

async fn export(refusal: Option<PushError>, tenancy: Tenancy, body: Vec<u8>) -> ((Code, String), usize) {
    let (router, target, _stop) = service(refusal, tenancy);
    let answer = send(router, request(EXPORT_PATH, Body::from(body))).await;
    let num_pushed = target.pushed.lock().len();
    (status(&answer), num_pushed)
}

#[tokio::test]
async fn messages_are_stored_one_by_one() {
    let (found, num_pushed) = export(None, Tenancy::Single, [NODE, SPAN, SPAN].concat()).await;
    assert_eq!((found, num_pushed), ((Code::Ok, String::new()), 2));
    assert_eq!(export(None, Tenancy::Single, Vec::new()).await.0.0, Code::Ok);
}

#[tokio::test]
async fn a_stream_ends_with_what_goes_wrong() {
    let full = || Some(PushError::Unavailable("disk full".to_string()));
    for (refusal, tenancy, body, code, text) in [
        (None, Tenancy::Single, SPAN.to_vec(), Code::Unknown, "protocol violation: Export's first message must have a Node"),
        (full(), Tenancy::Single, [NODE, SPAN].concat(), Code::Unavailable, "disk full"),
        (None, Tenancy::Header, NODE.to_vec(), Code::Unavailable, "no org id"),
        (None, Tenancy::Single, NODE[..6].to_vec(), Code::Internal, "unexpected EOF"),
        (
            None,
            Tenancy::Single,
            b"\0\0\0\0\x01\x0a".to_vec(),
            Code::Internal,
            "grpc: error unmarshalling request: unmarshal: unexpected EOF",
        ),
        (
            None,
            Tenancy::Single,
            b"\0\x7f\xff\xff\xff".to_vec(),
            Code::ResourceExhausted,
            "grpc: received message larger than max (2147483647 vs. 4096)",
        ),
    ] {
        let (found, _) = export(refusal, tenancy, body).await;
        assert_eq!((found.0, found.1.as_str()), (code, text));
    }
}

#[tokio::test]
async fn spans_are_stored_while_the_stream_is_open() {
    let (router, target, stop) = service(None, Tenancy::Single);
    let (pieces, body) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(8);
    let body = Body::new(StreamBody::new(ReceiverStream::new(body)));
    let answer = tokio::spawn(send(router, request(EXPORT_PATH, body)));
    // In pieces that are no messages.
    for piece in [&NODE[..3], &NODE[3..], &SPAN[..1], &SPAN[1..20], &SPAN[20..]] {
        pieces.send(Ok(Frame::data(Bytes::from_static(piece)))).await.expect("it is read");
    }
    while target.pushed.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!answer.is_finished());
    // The server stops; the client would go on.
    drop(stop);
    let answer = answer.await.expect("no panic");
    assert_eq!(status(&answer), (Code::Unavailable, "server is shutting down".to_string()));
}

#[tokio::test]
async fn metrics_and_configuration_are_taken_and_thrown_away() {
    for path in [METRICS_PATH, CONFIG_PATH] {
        let (router, target, _stop) = service(None, Tenancy::Single);
        let answer = send(router, request(path, Body::from([NODE, SPAN].concat()))).await;
        assert_eq!((status(&answer).0, target.pushed.lock().len()), (Code::Ok, 0));
    }
    let (router, _, _stop) = service(None, Tenancy::Single);
    let answer = send(router, request("/opencensus.proto.agent.trace.v1.TraceService/Other", Body::empty())).await;
    assert_eq!(status(&answer).0, Code::Unimplemented);
}
