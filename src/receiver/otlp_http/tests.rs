use super::super::test_support::{Answer, distributor, one_span, send};
use super::*;
use crate::distributor::PushError;
use std::io::Write;
use std::time::Duration;

const LIMIT: usize = 4096;

fn service(refusal: Option<PushError>, tenancy: Tenancy) -> Router {
    router(OtlpHttp { distributor: distributor(refusal).0, tenancy, max_body_bytes: LIMIT, path: "/v1/traces".to_owned() })
}

async fn post(router: Router, content_type: &str, body: impl Into<Body>) -> Answer {
    let request = http::Request::post("/v1/traces").header(CONTENT_TYPE, content_type).body(body.into());
    send(router, request.expect("a request")).await
}

async fn post_protobuf(refusal: Option<PushError>) -> Answer {
    post(service(refusal, Tenancy::Single), "application/x-protobuf", one_span()).await
}

#[tokio::test]
async fn protobuf_reaches_the_distributor_as_it_came() {
    let (distributor, target) = distributor(None);
    let service = router(OtlpHttp { distributor, tenancy: Tenancy::Single, max_body_bytes: LIMIT, path: "/v1/traces".to_owned() });
    for content_type in ["application/x-protobuf", "application/protobuf", "Application/X-Protobuf; a=b"] {
        let answer = post(service.clone(), content_type, one_span()).await;
        assert_eq!((answer.status(), answer.header("content-type")), (200, "application/x-protobuf"));
        assert_eq!(answer.body, ACCEPTED_PROTOBUF);
    }
    let pushed = target.pushed.lock();
    assert_eq!((pushed.len(), pushed[0].num_spans), (3, 1));
    assert!(pushed.iter().all(|push| push.request == one_span() && push.tenant.as_str() == "single-tenant"));
}

#[tokio::test]
async fn refusals_of_the_push_keep_their_message() {
    let overloaded = PushError::Overloaded { message: "RATE_LIMITED: x".to_string(), retry_after: Duration::from_millis(1500) };
    let answer = post_protobuf(Some(overloaded)).await;
    assert_eq!((answer.status(), answer.header("retry-after")), (429, "2"));
    assert!(answer.body.starts_with(b"\x08\x08\x12\x0fRATE_LIMITED: x"));
    let answer = post_protobuf(Some(PushError::Unavailable("disk full".to_string()))).await;
    assert_eq!((answer.status(), &*answer.body), (503, &b"\x08\x0e\x12\x09disk full"[..]));
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let answer = post(service(None, Tenancy::Single), "application/x-protobuf", vec![0; LIMIT + 1]).await;
    assert_eq!((answer.status(), &*answer.body), (400, &b"\x08\x03\x12\x1chttp: request body too large"[..]));
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; LIMIT + 1]).expect("memory");
    let request = http::Request::post("/v1/traces").header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, "gzip");
    let request = request.body(Body::from(bomb.finish().expect("memory"))).expect("a request");
    let answer = send(service(None, Tenancy::Single), request).await;
    assert_eq!((answer.status(), answer.text()), (400, r#"{"code":3,"message":"http: request body too large"}"#));
}

#[tokio::test]
async fn an_unknown_compression_is_told_in_the_senders_format() {
    for (content_type, status, body) in [
        ("application/json", 400, r#"{"code":3,"message":"unsupported Content-Encoding: br"}"#),
        ("text/plain", 500, r#"{"code": 13, "message": "failed to marshal error message"}"#),
    ] {
        let request = http::Request::post("/v1/traces").header(CONTENT_TYPE, content_type).header(CONTENT_ENCODING, "br");
        let answer = send(service(None, Tenancy::Single), request.body(Body::from("x")).expect("a request")).await;
        assert_eq!((answer.status(), answer.header("content-type"), answer.text()), (status, "application/json", body));
    }
}

#[tokio::test]
async fn a_missing_tenant_is_worth_another_try_and_a_wrong_one_is_not() {
    let service = service(None, Tenancy::Header);
    let answer = post(service.clone(), "application/json", "{}").await;
    assert_eq!((answer.status(), answer.text()), (503, r#"{"code":14,"message":"no org id"}"#));
    let request = http::Request::post("/v1/traces").header(CONTENT_TYPE, "application/json").header("x-scope-orgid", "a/b");
    let answer = send(service, request.body(Body::from("{}")).expect("a request")).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn errors_before_the_format_is_known_are_text() {
    for (method, path, status, body) in [
        ("POST", "/v1/metrics", 404, "404 page not found\n"),
        ("GET", "/v1/traces", 405, "405 method not allowed, supported: [POST]"),
        ("POST", "/v1/traces", 415, "415 unsupported media type, supported: [application/json, application/x-protobuf]"),
    ] {
        let request = http::Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let answer = send(service(None, Tenancy::Single), request).await;
        assert_eq!((answer.status(), answer.text()), (status, body));
        assert!(answer.header("content-type").starts_with("text/plain"));
    }
}
