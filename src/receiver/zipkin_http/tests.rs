use super::super::test_support::{Answer, distributor, send};
use super::*;
use axum::body::Body;

const SPAN: &str = r#"[{"traceId":"1","id":"2","name":"x"}]"#;
const LIMIT: usize = 4096;

fn service(tenancy: Tenancy) -> (Router, Arc<super::super::test_support::FakeTarget>) {
    let (distributor, target) = distributor(None);
    (router(ZipkinHttp { distributor, tenancy, max_body_bytes: LIMIT, tag_types: TagTypes::Text }), target)
}

async fn post(router: Router, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    send(router, http::Request::post(path).header(CONTENT_TYPE, content_type).body(body.into()).expect("a request")).await
}

#[tokio::test]
async fn every_path_and_type_takes_v2_json() {
    let (router, target) = service(Tenancy::Single);
    for path in ["/", "/api/v2/spans", "/api/v2/spans/", "/some/where"] {
        for content_type in ["application/json", "application/x-www-form-urlencoded", "application/x-protobuf; a=b"] {
            let answer = post(router.clone(), path, content_type, SPAN).await;
            assert_eq!((answer.status(), answer.header("content-type"), answer.body.len()), (202, "", 0), "{path} {content_type}");
        }
    }
    assert_eq!(target.pushed.lock().len(), 12);
}

#[test]
fn forms_are_told_by_path_and_exact_type() {
    for (path, content_type, form) in [
        ("/api/v1/spans", "application/x-thrift", Form::V1Thrift),
        ("/x/api/v1/spans/y", "text/plain", Form::V1Json),
        ("/", "application/x-protobuf", Form::V2Protobuf),
        ("/", "application/x-thrift", Form::V2Json),
    ] {
        let headers = [(CONTENT_TYPE, http::HeaderValue::from_static(content_type))].into_iter().collect();
        assert_eq!(Form::of(path, &headers), form);
    }
}

#[tokio::test]
async fn errors_of_the_sender_are_told_and_others_are_not() {
    let (router, _) = service(Tenancy::Single);
    for (path, content_type, body, status, text) in [
        ("/", "", "", 400, "unexpected end of JSON input\n"),
        ("/", "", r#"[{"id":"2"}]"#, 500, "\"Internal Server Error\""),
        ("/api/v1/spans", "application/x-thrift", "x", 400, "unknown data type 120\n"),
    ] {
        let answer = post(router.clone(), path, content_type, body).await;
        assert_eq!((answer.status(), answer.text()), (status, text));
        assert!(answer.header("content-type").starts_with("text/plain"));
    }
    let answer = post(router, "/", "application/json", " ".repeat(LIMIT + 1)).await;
    assert_eq!((answer.status(), answer.text()), (400, "unexpected end of JSON input\n"));
}

#[tokio::test]
async fn without_a_tenant_nothing_is_stored() {
    let (router, target) = service(Tenancy::Header);
    assert_eq!(post(router, "/", "application/json", SPAN).await.status(), 500);
    assert!(target.pushed.lock().is_empty());
}
