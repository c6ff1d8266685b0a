//! Remote write to a receiver in the test: what is sent, again if need be, and never in the way of spans.

use super::{call, started, wait_for};
use crate::support::data::request;
use crate::support::until;
use conmoto::proto::prometheus::{TimeSeries, WriteRequest};
use prost::Message;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request that came.
struct Came {
    head: String,
    message: WriteRequest,
}

/// A receiver that answers with the given statuses, then with 204.
fn receiver(statuses: &'static [u16]) -> (SocketAddr, Arc<Mutex<Vec<Came>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let came: Arc<Mutex<Vec<Came>>> = Arc::default();
    let keep = Arc::clone(&came);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let status = statuses.get(number).copied().unwrap_or(204);
            if let Some(one) = stream.ok().and_then(|stream| receive(stream, status)) {
                keep.lock().expect("nobody panics with it").push(one);
            }
        }
    });
    (address, came)
}

/// One request a connection; nothing if it breaks off.
fn receive(mut stream: TcpStream, status: u16) -> Option<Came> {
    let mut bytes = Vec::new();
    let mut part = [0; 65536];
    loop {
        let num = stream.read(&mut part).ok().filter(|num| *num > 0)?;
        bytes.extend_from_slice(&part[..num]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
        let body = &bytes[end + 4..];
        if body.len() < length {
            continue;
        }
        let message = snap::raw::Decoder::new().decompress_vec(body).expect("snappy");
        let message = WriteRequest::decode(&message[..]).expect("a write request");
        stream.write_all(format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok()?;
        return Some(Came { head, message });
    }
}

fn label<'s>(series: &'s TimeSeries, name: &str) -> &'s str {
    series.labels.iter().find(|label| label.name == name).map_or("", |label| &label.value)
}

fn remote(address: SocketAddr, more: &str) -> String {
    format!("  storage:\n    remote_write:\n      - url: http://{address}/api/v1/write\n        headers: {{X-Test: yes}}\n{more}")
}

#[test]
fn samples_are_sent_and_sent_again() {
    let (address, came) = receiver(&[503, 429, 204]);
    let mut server = started(&remote(address, ""), "");
    server.expect_log("remote write fails");
    server.push(&request(call(1)));
    let is_it = |series: &&TimeSeries| label(series, "__name__") == "traces_spanmetrics_calls_total" && label(series, "service") == "cart";
    until("a sample and its zero", || {
        let came = came.lock().expect("nobody panics with it");
        let samples: Vec<f64> =
            came.iter().skip(2).flat_map(|one| one.message.timeseries.iter().filter(is_it)).map(|series| series.samples[0].value).collect();
        (samples.first() == Some(&0.0) && samples.get(1) == Some(&1.0)).then_some(())
    });
    let came = came.lock().expect("nobody panics with it");
    for one in came.iter() {
        for header in
            ["content-type: application/x-protobuf", "content-encoding: snappy", "x-prometheus-remote-write-version: 0.1.0", "x-test: yes"]
        {
            assert!(one.head.contains(header), "{}", one.head);
        }
        assert!(!one.head.contains("x-scope-orgid"), "the single tenant has no name");
        for series in &one.message.timeseries {
            assert!(series.labels.is_sorted_by(|one, other| one.name < other.name), "{:?}", series.labels);
            assert!(!label(series, "__metrics_gen_instance").is_empty());
        }
    }
    let sizes: Vec<usize> = came.iter().take(3).map(|one| one.message.timeseries.len()).collect();
    assert!(sizes.windows(2).all(|pair| pair[0] == pair[1]), "the same request three times: {sizes:?}");
    let exemplars = came.iter().flat_map(|one| &one.message.timeseries).flat_map(|series| &series.exemplars);
    assert!(
        exemplars.into_iter().any(|exemplar| exemplar.labels[0].name == "traceID" && exemplar.labels[0].value == format!("{:032x}", 1))
    );
}

#[test]
fn native_histograms_are_sent_when_asked_for() {
    let (address, came) = receiver(&[]);
    let native = "overrides: {defaults: {metrics_generator: {generate_native_histograms: native}}}\n";
    let server = started(&remote(address, ""), native);
    server.push(&request(call(1)));
    let found = until("a native histogram", || {
        let came = came.lock().expect("nobody panics with it");
        let series = came.iter().flat_map(|one| &one.message.timeseries);
        let is_it = |series: &&TimeSeries| label(series, "__name__") == "traces_spanmetrics_latency" && label(series, "service") == "cart";
        series.into_iter().find(is_it).cloned()
    });
    let histogram = &found.histograms[0];
    assert_eq!((histogram.schema, histogram.positive_spans.len(), &histogram.positive_deltas[..]), (3, 1, &[1][..]));
    // 5 ms lie in the bucket that ends at 2^(-61/8).
    assert_eq!(histogram.positive_spans[0].offset, -61);
    let came = came.lock().expect("nobody panics with it");
    let is_classic = |series: &TimeSeries| label(series, "__name__").ends_with("_bucket");
    assert!(!came.iter().flat_map(|one| &one.message.timeseries).any(is_classic));
}

#[test]
fn an_unreachable_receiver_is_in_nobodys_way() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let mut server = started(&remote(address, "    remote_write_flush_deadline: 1h\n"), "");
    server.expect_log("remote write fails");
    for trace in 0..50 {
        server.push(&request(call(trace + 1)));
    }
    wait_for(&server, "traces_spanmetrics_calls_total", ("service", "cart"), 50.0);
    until("tries", || (server.metric("prometheus_remote_storage_samples_retried_total") > 0.0).then_some(()));
    assert!(server.metric("conmoto_remote_write_queue_bytes") > 0.0, "samples wait on disk");
    assert_eq!(server.metric("prometheus_remote_storage_samples_dropped_total"), 0.0);
    // A stop does not wait for it either.
    assert!(server.terminate().success());
}

#[test]
fn a_receiver_gets_the_labels_that_its_rules_say() {
    let (address, came) = receiver(&[]);
    let rules = "        write_relabel_configs:\n          - {source_labels: [__name__], regex: traces_spanmetrics_calls_total, action: keep}\n          \
                 - {source_labels: [service, span_name], separator: '@', target_label: where}\n          \
                 - {regex: span_.*, action: labeldrop}\n";
    let server = started(&remote(address, rules), "");
    server.push(&request(call(1)));
    until("a sample", || came.lock().expect("nobody panics with it").iter().any(|one| !one.message.timeseries.is_empty()).then_some(()));
    for one in came.lock().expect("nobody panics with it").iter() {
        for series in &one.message.timeseries {
            let names: Vec<&str> = series.labels.iter().map(|label| label.name.as_str()).collect();
            assert_eq!(names, ["__metrics_gen_instance", "__name__", "service", "status_code", "where"]);
            assert_eq!(label(series, "__name__"), "traces_spanmetrics_calls_total");
            assert!(["shop@GET /", "shop@call", "cart@Cart.Get"].contains(&label(series, "where")), "{series:?}");
        }
    }
}
