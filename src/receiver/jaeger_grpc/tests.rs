use super::super::test_support::{Answer, distributor, send};
use super::*;
use bytes::BufMut;
use http::Version;
use http::header::CONTENT_TYPE;
use tonic::Code;

/// A request with a span that has ids, one whose ids are missing, and one with an id of 15 bytes.
const GOOD: &[u8] = b"\x0a\x16\x0a\x14\x0a\x081234\x35678\x12\x0812345678";
const NO_IDS: &[u8] = b"\x0a\x05\x0a\x03\x1a\x01x";
const BAD_ID: &[u8] = b"\x0a\x13\x0a\x11\x0a\x0f123456789012345";
const LIMIT: usize = 4096;

async fn call(refusal: Option<PushError>, tenancy: Tenancy, path: &str, message: &[u8]) -> (Code, String, usize) {
    let (distributor, target) = distributor(refusal);
    let router = router(JaegerGrpc { distributor, tenancy, max_message_bytes: LIMIT });
    let mut frame = vec![0];
    frame.put_u32(u32::try_from(message.len()).expect("short"));
    frame.extend_from_slice(message);
    let request = http::Request::post(path).version(Version::HTTP_2).header(CONTENT_TYPE, "application/grpc");
    let answer = send(router, request.body(Body::from(frame)).expect("a request")).await;
    let (code, message) = status(&answer);
    let num_pushed = target.pushed.lock().len();
    assert_eq!(code == Code::Ok, &*answer.body == ACCEPTED);
    (code, message, num_pushed)
}

fn status(answer: &Answer) -> (Code, String) {
    let status = Status::from_header_map(&answer.trailers).or_else(|| Status::from_header_map(&answer.head.headers));
    let status = status.expect("every answer has a status");
    (status.code(), status.message().to_string())
}

#[tokio::test]
async fn spans_are_stored() {
    assert_eq!(call(None, Tenancy::Single, POST_SPANS_PATH, GOOD).await, (Code::Ok, String::new(), 1));
    assert_eq!(call(None, Tenancy::Single, POST_SPANS_PATH, b"").await, (Code::Ok, String::new(), 0));
}

#[tokio::test]
async fn refusals_have_their_code() {
    let unavailable = Some(PushError::Unavailable("disk full".to_string()));
    for (refusal, tenancy, path, message, code, text) in [
        (None, Tenancy::Single, POST_SPANS_PATH, NO_IDS, Code::InvalidArgument, "trace ids must be 128 bit, received 0 bits"),
        (
            None,
            Tenancy::Single,
            POST_SPANS_PATH,
            BAD_ID,
            Code::Internal,
            "grpc: error unmarshalling request: unmarshal: invalid TraceID length",
        ),
        (unavailable, Tenancy::Single, POST_SPANS_PATH, GOOD, Code::Unavailable, "disk full"),
        (None, Tenancy::Header, POST_SPANS_PATH, GOOD, Code::Unknown, "no org id"),
        (
            None,
            Tenancy::Single,
            "/jaeger.api_v2.SamplingManager/GetSamplingStrategy",
            GOOD,
            Code::Unimplemented,
            "unknown service jaeger.api_v2.SamplingManager",
        ),
    ] {
        let (found, message, _) = call(refusal, tenancy, path, message).await;
        assert_eq!((found, message.as_str()), (code, text));
    }
}
