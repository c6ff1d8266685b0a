use super::super::test_support::{Answer, FakeTarget, distributor, send};
use super::*;
use crate::distributor::PushError;
use axum::body::Body;
use http::Request;

const THRIFT: &str = "application/x-thrift";

/// A batch with a span that has ids, and one without.
const GOOD: &[u8] = b"\x0f\0\x02\x0c\0\0\0\x01\x0a\0\x01\0\0\0\0\0\0\0\x01\x0a\0\x03\0\0\0\0\0\0\0\x02\0\0";
const NO_ID: &[u8] = b"\x0f\0\x02\x0c\0\0\0\x01\x0a\0\x01\0\0\0\0\0\0\0\x01\0\0";
const LIMIT: usize = 4096;

async fn call(refusal: Option<PushError>, tenancy: Tenancy, request: Request<Body>) -> (Answer, std::sync::Arc<FakeTarget>) {
    let (distributor, target) = distributor(refusal);
    (send(router(JaegerHttp { distributor, tenancy, max_body_bytes: LIMIT }), request).await, target)
}

fn post_to(path: &str, content_type: &str, body: &[u8]) -> Request<Body> {
    let request = Request::post(path).header(CONTENT_TYPE, content_type);
    request.body(Body::from(body.to_vec())).expect("a request")
}

#[tokio::test]
async fn a_batch_is_stored() {
    for (path, content_type) in [
        ("/api/traces", THRIFT),
        ("/api/traces?format=jaeger.thrift", "application/vnd.apache.thrift.binary"),
        ("/api/traces", "Application/X-Thrift; charset=utf-8"),
    ] {
        let (answer, target) = call(None, Tenancy::Single, post_to(path, content_type, GOOD)).await;
        assert_eq!((answer.status(), &*answer.body, target.pushed.lock().len()), (202, &b""[..], 1), "{content_type}");
    }
}

#[tokio::test]
async fn refusals_have_their_status_and_text() {
    let too_large = vec![0; LIMIT + 1];
    for (request, status, text) in [
        (post_to("/api/traces", "", GOOD), 400, "Cannot parse content type: mime: no media type"),
        (post_to("/api/traces", "application/json", GOOD), 400, "Unsupported content type: application/json"),
        (post_to("/api/traces", THRIFT, b"nope"), 400, "Unable to process request body: unknown data type 110"),
        (post_to("/api/traces", THRIFT, b""), 400, "Unable to process request body: unexpected EOF"),
        (post_to("/api/traces", THRIFT, &too_large), 500, "Unable to process request body: http: request body too large"),
        (
            post_to("/api/traces", THRIFT, NO_ID),
            500,
            "Cannot submit Jaeger batch: rpc error: code = InvalidArgument desc = span ids must be 64 bit and not all zero, received 64 bits",
        ),
        (post_to("/api/sampling", THRIFT, GOOD), 404, "404 page not found"),
    ] {
        let (answer, target) = call(None, Tenancy::Single, request).await;
        assert_eq!((answer.status(), answer.text().trim_end()), (status, text));
        assert_eq!(target.pushed.lock().len(), 0);
    }
    let get = Request::get("/api/traces").header(CONTENT_TYPE, THRIFT).body(Body::empty()).expect("a request");
    let (answer, _) = call(None, Tenancy::Single, get).await;
    assert_eq!((answer.status(), &*answer.body), (405, &b""[..]));
}

#[tokio::test]
async fn what_the_push_and_the_tenant_say_is_told() {
    let full = PushError::Unavailable("disk full".to_string());
    let (answer, _) = call(Some(full), Tenancy::Single, post_to("/api/traces", THRIFT, GOOD)).await;
    let wanted = "Cannot submit Jaeger batch: rpc error: code = Unavailable desc = disk full\n";
    assert_eq!((answer.status(), answer.text()), (500, wanted));
    let (answer, _) = call(None, Tenancy::Header, post_to("/api/traces", THRIFT, GOOD)).await;
    assert_eq!(answer.status(), 500);
    assert!(answer.text().contains("no org id"), "{}", answer.text());
}

#[tokio::test]
async fn bodies_may_be_packed() {
    let packed = zstd::encode_all(GOOD, 1).expect("memory");
    let request = |encoding: &str| {
        let request = Request::post("/api/traces").header(CONTENT_TYPE, THRIFT).header(CONTENT_ENCODING, encoding);
        request.body(Body::from(packed.clone())).expect("a request")
    };
    assert_eq!(call(None, Tenancy::Single, request("zstd")).await.0.status(), 202);
    assert_eq!(call(None, Tenancy::Single, request("br")).await.0.status(), 400);
    assert_eq!(call(None, Tenancy::Single, request("gzip")).await.0.status(), 500);
}
