//! The recorded receiver cases (tests/conformance/ingest.jsonl.gz): status, content type and body. What becomes of the
//! spans is compared by the integration tests.

use super::jaeger_http::{self, JaegerHttp};
use super::otlp_http::{self, OtlpHttp};
use super::tenant::Tenancy;
use super::test_support::{Answer, distributor, send};
use super::zipkin::TagTypes;
use super::zipkin_http::{self, ZipkinHttp};
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use http::Request;
use serde_json::Value;
use std::io::{BufRead, BufReader};

/// Where spec/ingest.md marks something better than Tempo ("→ P:") and it shows in the answer.
const DEVIATIONS: &[(&str, &str)] = &[("otlp-application-protobuf", "§3.1: application/protobuf is accepted")];

fn cases() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/ingest.jsonl.gz");
    let file = std::fs::File::open(path).expect("the recording is there");
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.expect("gzip")).expect("JSON")).collect()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_default()
}

fn bytes(case: &Value, name: &str) -> Vec<u8> {
    STANDARD.decode(text(case, name)).expect("recorded as base64")
}

fn request(case: &Value) -> Request<Body> {
    let mut request = Request::builder().method(text(case, "method")).uri(text(case, "path"));
    for (name, value) in case["headers"].as_object().expect("an object") {
        request = request.header(name, value.as_str().expect("text"));
    }
    request.body(Body::from(bytes(case, "body"))).expect("a request")
}

/// A body as far as a client can notice: JSON as JSON, of an error text only that there is one.
fn comparable(status: u16, body: &[u8]) -> Value {
    match serde_json::from_slice(body) {
        Ok(Value::Object(mut members)) => {
            if let Some(message) = members.get_mut("message") {
                *message = Value::Bool(message.as_str().is_some_and(|text| !text.is_empty()));
            }
            Value::Object(members)
        }
        Ok(json) => json,
        Err(_) if matches!(status, 200 | 202) => Value::from(body.to_vec()),
        Err(_) => Value::Bool(!body.is_empty()),
    }
}

fn difference(case: &Value, answer: &Answer) -> Option<String> {
    let want = &case["expect"];
    let wanted = (u16::try_from(want["status"].as_u64()?).ok()?, text(want, "content_type"), bytes(want, "body"));
    let content_type = answer.header("content-type").split(';').next().unwrap_or_default();
    let same =
        answer.status() == wanted.0 && content_type == wanted.1 && comparable(wanted.0, &answer.body) == comparable(wanted.0, &wanted.2);
    let found = (answer.status(), content_type, answer.body.escape_ascii().to_string());
    (!same).then(|| format!("{}: wanted {wanted:?}, got {found:?}", text(case, "id")))
}

#[tokio::test]
async fn recorded_answers_are_ours() {
    let (distributor, _) = distributor(None);
    let tenancy = Tenancy::Single;
    let max_body_bytes = 20 << 20;
    let otlp = otlp_http::router(OtlpHttp { distributor: distributor.clone(), tenancy, max_body_bytes, path: "/v1/traces".to_owned() });
    let zipkin = zipkin_http::router(ZipkinHttp { distributor: distributor.clone(), tenancy, max_body_bytes, tag_types: TagTypes::Text });
    let jaeger = jaeger_http::router(JaegerHttp { distributor, tenancy, max_body_bytes });
    let mut num_compared = 0;
    let mut differences = Vec::new();
    for case in cases() {
        let id = text(&case, "id");
        let router = match text(&case, "port") {
            "otlp" => otlp.clone(),
            "jaeger" => jaeger.clone(),
            _ => zipkin.clone(),
        };
        let found = difference(&case, &send(router, request(&case)).await);
        match DEVIATIONS.iter().find(|(name, _)| *name == id) {
            Some((_, reason)) => assert!(found.is_some(), "{id} deviates no more ({reason})"),
            None => differences.extend(found),
        }
        num_compared += 1;
    }
    assert!(num_compared >= 149, "only {num_compared} cases found");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
