//! Attributes that are cut, and what is counted of requests.

use crate::support::client::spans_of;
use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use serde_json::{Value, json};

const TRACE: &str = "00000000000000000000000000000abc";

/// Posts one span with a tag and gives back the status.
fn post(server: &Server, id: &str, tag: &str) -> u16 {
    let span = json!([{"traceId": TRACE, "id": id, "name": "a long name stays", "timestamp": 1_790_000_000_000_000_u64,
        "localEndpoint": {"serviceName": "shop"}, "tags": {"note": tag}}]);
    let body = span.to_string();
    send(server.zipkin, "POST", "/api/v2/spans", &[("Content-Type", "application/json")], body.as_bytes()).expect("an answer").status
}

/// The line of a metric with these labels, without its name.
fn line(server: &Server, labels: &str) -> Option<String> {
    let text = server.get("/metrics").text();
    text.lines().find_map(|line| line.strip_prefix(labels)).map(|value| value.trim().to_owned())
}

fn note_of(server: &Server) -> Value {
    let spans = spans_of(&server.trace(TRACE).expect("stored"));
    let attributes = spans[0]["attributes"].as_array().expect("attributes").clone();
    attributes.into_iter().find(|pair| pair["key"] == "note").expect("the tag")["value"]["stringValue"].clone()
}

#[test]
fn long_attributes_are_cut_only_where_that_is_asked_for() {
    let long = "x".repeat(5000);
    let whole = Server::fresh();
    assert_eq!(post(&whole, "1", &long), 202);
    assert_eq!(note_of(&whole), json!(long));
    assert!(whole.terminate().success());

    for key in ["max_attribute_bytes", "max_span_attr_byte"] {
        let data = DataDir::new();
        let config = data.config().replace("distributor:\n", &format!("distributor:\n  {key}: 2048\n"));
        let server = Server::start_with(&data, &config, &[]);
        assert_eq!(post(&server, "1", &format!("{}€", "x".repeat(2047))), 202);
        assert_eq!(note_of(&server), json!("x".repeat(2047)));
        let counted = line(&server, r#"tempo_distributor_attributes_truncated_total{scope="span",tenant="single-tenant"}"#);
        assert_eq!(counted.as_deref(), Some("1.0"));
        assert!(server.terminate().success());
    }
}

#[test]
fn spans_are_counted_by_receiver_and_transport() {
    let server = Server::fresh();
    let count = |name: &str, labels: &str| line(&server, &format!("{name}{{{labels}}}")).and_then(|text| text.parse::<f64>().ok());
    let v2_json = r#"receiver="zipkin/zipkin_receiver",transport="http_v2_json""#;
    assert_eq!(count("tempo_receiver_accepted_spans", v2_json), None);
    assert_eq!((post(&server, "1", "a"), post(&server, "2", "b")), (202, 202));
    let no_trace_id = r#"[{"id": "1"}]"#;
    let answer = send(server.zipkin, "POST", "/api/v2/spans", &[], no_trace_id.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 500);
    assert_eq!(count("tempo_receiver_accepted_spans", v2_json), Some(2.0));
    assert_eq!(count("tempo_receiver_refused_spans", v2_json), Some(1.0));
    let otlp = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "00000000000000000000000000000def", "spanId": "0000000000000001"}]}]}]}"#;
    let answer = send(server.otlp_http, "POST", "/v1/traces", &[("Content-Type", "application/json")], otlp).expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(count("tempo_receiver_accepted_spans", r#"receiver="otlp/otlp_receiver",transport="http""#), Some(1.0));
    assert!(server.terminate().success());
}

#[test]
fn spans_can_be_counted_by_name_for_debugging() {
    let data = DataDir::new();
    let config = data.config().replace("distributor:\n", "distributor:\n  metric_received_spans: {enabled: true}\n");
    let server = Server::start_with(&data, &config, &[]);
    assert_eq!((post(&server, "1", "a"), post(&server, "2", "b")), (202, 202));
    let labels = r#"{tenant="single-tenant",name="a long name stays",service="shop"}"#;
    assert_eq!(line(&server, &format!("tempo_distributor_debug_spans_received_total{labels}")).as_deref(), Some("2.0"));
    let ingress =
        line(&server, r#"tempo_distributor_ingress_bytes_total{tenant="single-tenant"}"#).and_then(|text| text.parse::<f64>().ok());
    assert!(ingress.is_some_and(|bytes| bytes > 100.0), "{ingress:?}");
    let pushes = line(&server, "tempo_distributor_push_duration_seconds_count{}").and_then(|text| text.parse::<f64>().ok());
    assert_eq!(pushes, Some(2.0));
    assert!(server.terminate().success());
}
