//! The server's own traces: sent to another server, and to itself without an echo.

use crate::support::client::{flattened, hex};
use crate::support::data::{shop, span};
use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use crate::support::until;
use serde_json::Value;

fn spans_of(server: &Server, trace: &str) -> Option<Vec<Value>> {
    let answer = server.get(&format!("/api/traces/{trace}"));
    (answer.status == 200).then(|| flattened(&answer.json()).as_array().expect("spans").clone())
}

fn named<'s>(spans: &'s [Value], name: &str) -> Option<&'s Value> {
    spans.iter().map(|one| &one["span"]).find(|span| span["name"] == name)
}

#[test]
fn a_query_is_a_trace_with_its_stages() {
    let (collector, data) = (Server::fresh(), DataDir::new());
    let endpoint = format!("http://{}", collector.otlp_http);
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_SERVICE_NAME", "observed")];
    let server = Server::of(&data, data.spawn_with("conmoto", &data.config(), &[], &variables)).unwrap_or_else(|_| panic!("it ended"));
    server.push(&shop(vec![span(1, 1, "a", 0)]));
    server.flush();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = send(server.api, "GET", "/api/search?q=%7B%7D", &[("traceparent", &parent)], b"").expect("an answer");
    assert_eq!(answer.status, 200);
    let spans = until("the trace", || spans_of(&collector, trace).filter(|spans| named(spans, "GET /api/search").is_some()));
    let request = named(&spans, "GET /api/search").expect("just seen");
    assert_eq!((hex(&request["parentSpanId"]), &request["kind"]), ("b7ad6b7169203331".to_string(), &"SPAN_KIND_SERVER".into()));
    let run = named(&spans, "query.run").expect("the query");
    assert_eq!(run["parentSpanId"], request["spanId"]);
    for stage in ["query.snapshot", "query.evaluate"] {
        assert_eq!(named(&spans, stage).expect(stage)["parentSpanId"], run["spanId"], "{stage}");
    }
    assert!(named(&spans, "query.turn").is_some());
    assert_eq!(spans[0]["resource"]["attributes"][0]["value"]["stringValue"], "observed");
    until("the flush", || (collector.count("{ name = \"flush.encode\" && resource.service.name = \"observed\" }") == 1).then_some(()));
    // What is left is sent at the end.
    assert_eq!(server.get("/api/v2/search/tags").status, 200);
    assert!(server.terminate().success());
    assert_eq!(collector.count("{ name = \"GET /api/v2/search/tags\" }"), 1);
}

#[test]
fn a_server_that_sends_to_itself_makes_no_echo() {
    let data = DataDir::new();
    // Its port is not known before it listens, so that it is chosen here, from those of this suite.
    let endpoint = "http://127.0.0.1:25318";
    let config =
        data.config().replacen("        http:\n          endpoint: 127.0.0.1:0", "        http:\n          endpoint: 127.0.0.1:25318", 1);
    let process = data.spawn_with("conmoto", &config, &[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
    let server = Server::of(&data, process).unwrap_or_else(|process| panic!("it ended: {}", process.log()));
    assert_eq!(server.get("/api/v2/search/tags").status, 200);
    let received = || server.metric("tempo_receiver_accepted_spans");
    let first = until("its own spans", || Some(received()).filter(|number| *number > 0.0));
    // Longer than spans wait to be sent; nobody asks for anything that is traced.
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(received(), first);
}

#[test]
fn what_cannot_be_done_is_said_and_the_server_runs() {
    let data = DataDir::new();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let mut server = Server::of(&data, data.spawn_with("conmoto", &data.config(), &[], &variables)).unwrap_or_else(|_| panic!("it ended"));
    server.expect_log("own traces are sent as http/protobuf only");
    assert!(server.log().contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"));
}
