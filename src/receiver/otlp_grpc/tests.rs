use super::super::grpc::ACCEPTED_ENCODINGS;
use super::super::test_support::{Answer, distributor, one_span, send};
use super::*;
use crate::runtime::serve::{ServeOptions, serve};
use bytes::{BufMut, Bytes};
use http::Version;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io::Write;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

const LIMIT: usize = 4096;

fn service(refusal: Option<PushError>, tenancy: Tenancy) -> Router {
    router(OtlpGrpc { distributor: distributor(refusal).0, tenancy, max_message_bytes: LIMIT })
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.put_u32(u32::try_from(message.len()).expect("short"));
    frame.extend_from_slice(message);
    frame
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

async fn call(router: Router, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = http::Request::post(path).version(Version::HTTP_2).header(CONTENT_TYPE, "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::from(body)).expect("a request")).await
}

/// Code and message, wherever the answer has them.
fn status(answer: &Answer) -> (Code, String) {
    assert_eq!((answer.status(), answer.header("content-type")), (200, "application/grpc"));
    let status = Status::from_header_map(&answer.trailers).or_else(|| Status::from_header_map(&answer.head.headers));
    let status = status.expect("every answer has a status");
    (status.code(), status.message().to_string())
}

async fn export(headers: &[(&str, &str)], body: Vec<u8>) -> (Code, String) {
    status(&call(service(None, Tenancy::Single), EXPORT_PATH, headers, body).await)
}

#[tokio::test]
async fn the_message_reaches_the_distributor_as_it_came() {
    let (distributor, target) = distributor(None);
    let service = router(OtlpGrpc { distributor, tenancy: Tenancy::Single, max_message_bytes: LIMIT });
    let zstd = zstd::encode_all(&*one_span(), 1).expect("memory");
    for (encoding, body) in [
        ("identity", frame(0, &one_span())),
        ("gzip", frame(0, &one_span())),
        ("gzip", frame(1, &gzip(&one_span()))),
        ("zstd", frame(1, &zstd)),
    ] {
        let answer = call(service.clone(), EXPORT_PATH, &[("grpc-encoding", encoding)], body).await;
        assert_eq!(status(&answer), (Code::Ok, String::new()), "{encoding}");
        assert_eq!(&*answer.body, b"\0\0\0\0\x02\x0a\0");
    }
    let pushed = target.pushed.lock();
    assert_eq!(pushed.len(), 4);
    assert!(pushed.iter().all(|push| push.request == one_span() && push.num_spans == 1));
}

#[tokio::test]
async fn an_empty_request_is_accepted() {
    assert_eq!(export(&[], frame(0, b"")).await.0, Code::Ok);
}

#[tokio::test]
async fn what_no_unary_call_looks_like_is_internal() {
    let two = [frame(0, b""), frame(0, b"")].concat();
    for (body, text) in [
        (Vec::new(), "missing request message"),
        (vec![0, 0], "unexpected EOF"),
        (frame(0, b"abc")[..7].to_vec(), "unexpected EOF"),
        (two, "received more than one message in a unary call"),
        (frame(7, b""), "grpc: received unexpected payload format 7"),
        (frame(1, b"x"), "grpc: compressed flag set with identity or empty encoding"),
        (frame(0, b"\x0a\x7f\x0a"), "grpc: error unmarshalling request: unmarshal: unexpected EOF"),
    ] {
        assert_eq!(export(&[], body).await, (Code::Internal, text.to_string()));
    }
    assert_eq!(export(&[("grpc-encoding", "gzip")], frame(1, b"nope")).await.0, Code::Internal);
}

#[tokio::test]
async fn messages_over_the_limit_are_dropped_by_senders() {
    let expected = (Code::ResourceExhausted, format!("grpc: received message larger than max ({} vs. {LIMIT})", LIMIT + 1));
    assert_eq!(export(&[], frame(0, &vec![0; LIMIT + 1])).await, expected);
    assert_eq!(export(&[("grpc-encoding", "gzip")], frame(1, &gzip(&vec![0; LIMIT + 9]))).await, expected);
}

#[tokio::test]
async fn an_unknown_compression_is_unimplemented() {
    let answer = call(service(None, Tenancy::Single), EXPORT_PATH, &[("grpc-encoding", "br")], frame(1, b"x")).await;
    let text = "grpc: Decompressor is not installed for grpc-encoding \"br\"".to_string();
    assert_eq!(status(&answer), (Code::Unimplemented, text));
    assert_eq!(answer.header("grpc-accept-encoding"), ACCEPTED_ENCODINGS);
}

#[tokio::test]
async fn other_services_are_unimplemented() {
    for (path, text) in [
        (
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            "unknown service opentelemetry.proto.collector.metrics.v1.MetricsService",
        ),
        (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
            "unknown method Import for service opentelemetry.proto.collector.trace.v1.TraceService",
        ),
    ] {
        let answer = call(service(None, Tenancy::Single), path, &[], frame(0, b"")).await;
        assert_eq!(status(&answer), (Code::Unimplemented, text.to_string()));
    }
    let request = http::Request::get("/").body(Body::empty()).expect("a request");
    assert_eq!(send(service(None, Tenancy::Single), request).await.status(), 415);
}

#[tokio::test]
async fn refusals_of_the_push_and_of_the_tenant() {
    let overloaded = PushError::Overloaded { message: "RATE_LIMITED: x".to_string(), retry_after: Duration::from_secs(5) };
    let answer = call(service(Some(overloaded), Tenancy::Single), EXPORT_PATH, &[], frame(0, &one_span())).await;
    assert_eq!(status(&answer), (Code::ResourceExhausted, "RATE_LIMITED: x".to_string()));
    let details = Status::from_header_map(&answer.head.headers).expect("trailers only").details().to_vec();
    assert!(details.windows(9).any(|bytes| bytes == b"RetryInfo"));
    let unavailable = Some(PushError::Unavailable("disk full".to_string()));
    let answer = call(service(unavailable, Tenancy::Single), EXPORT_PATH, &[], frame(0, &one_span())).await;
    assert_eq!(status(&answer), (Code::Unavailable, "disk full".to_string()));
    let answer = call(service(None, Tenancy::Header), EXPORT_PATH, &[], frame(0, &one_span())).await;
    assert_eq!(status(&answer), (Code::Unavailable, "no org id".to_string()));
    let answer = call(service(None, Tenancy::Header), EXPORT_PATH, &[("x-scope-orgid", "a/b")], frame(0, &one_span())).await;
    assert_eq!(status(&answer).0, Code::InvalidArgument);
}

/// Sends one call over a real connection.
async fn call_over_tcp(address: std::net::SocketAddr, body: Vec<u8>) -> Answer {
    let stream = TcpStream::connect(address).await.expect("listening");
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}{EXPORT_PATH}"))
        .header(CONTENT_TYPE, "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", "gzip");
    let response = sender.send_request(request.body(Full::new(Bytes::from(body))).expect("a request")).await.expect("an answer");
    Answer::of(response.map(Body::new)).await
}

#[tokio::test]
async fn gzip_over_a_real_connection() {
    const MIB: usize = 1 << 20;
    let (distributor, target) = distributor(None);
    let router = router(OtlpGrpc { distributor, tenancy: Tenancy::Single, max_message_bytes: 4 * MIB });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(serve(listener, router, ServeOptions::named("test"), std::future::pending()));

    let answer = call_over_tcp(address, frame(1, &gzip(&one_span()))).await;
    assert_eq!((status(&answer).0, &*answer.body), (Code::Ok, &b"\0\0\0\0\x02\x0a\0"[..]));
    assert_eq!(target.pushed.lock()[0].request, one_span());

    // Larger than the windows: it arrives in many pieces.
    let large = one_span().repeat(3 * MIB / one_span().len());
    assert_eq!(status(&call_over_tcp(address, frame(0, &large)).await).0, Code::Ok);
    assert_eq!(target.pushed.lock()[1].request, large);

    let (code, message) = status(&call_over_tcp(address, frame(0, &vec![0; 5 * MIB])).await);
    assert_eq!((code, &*message), (Code::ResourceExhausted, "grpc: received message larger than max (5242880 vs. 4194304)"));
    server.abort();
}
