//! Metrics made from spans: scraped, asked for, written remotely.

mod limits;
mod queries;
mod recorded;
mod remote_write;
mod restarts;
mod tenants;

use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use crate::support::until;
use conmoto::proto::otlp::{ResourceSpans, Span, SpanKind};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Labels, the name among them.
pub type SeriesKey = BTreeMap<String, String>;

/// A server that collects every second; `more` are keys of `metrics_generator` and of the root.
fn config(data: &DataDir, generator: &str, more: &str) -> String {
    format!("{}metrics_generator:\n  registry:\n    collection_interval: 1s\n{generator}{more}", data.config())
}

fn started(generator: &str, more: &str) -> Server {
    let data = DataDir::new();
    Server::start_with(&data, &config(&data, generator, more), &[])
}

/// The samples of a scrape of one tenant.
fn scrape(server: &Server, headers: &[(&str, &str)]) -> BTreeMap<SeriesKey, f64> {
    let answer = send(server.api, "GET", "/metrics/generated", headers, b"").expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

/// No value in these tests has a quote or a brace in it.
fn sample(line: &str) -> (SeriesKey, f64) {
    let (series, value) = line.rsplit_once("} ").expect("a value");
    let (name, labels) = series.split_once('{').expect("labels");
    let labels = labels.strip_suffix('"').unwrap_or_default();
    let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    (pairs.chain([("__name__".to_owned(), name.to_owned())]).collect(), value.parse().expect("a number"))
}

/// Sum of a metric over the series that have a label.
fn total(server: &Server, headers: &[(&str, &str)], name: &str, label: (&str, &str)) -> f64 {
    let is_it = |key: &SeriesKey| key["__name__"] == name && key.get(label.0).is_some_and(|value| value == label.1);
    scrape(server, headers).iter().filter(|(key, _)| is_it(key)).map(|(_, value)| value).sum()
}

/// Waits until a metric has a value.
fn wait_for(server: &Server, name: &str, label: (&str, &str), wanted: f64) {
    let mut last = 0.0;
    until(&format!("{name} of {wanted}"), || {
        last = total(server, &[], name, label);
        (last >= wanted).then_some(())
    });
    assert_eq!(last, wanted);
}

/// Now, in nanoseconds.
fn now_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
}

/// A span that ends now.
fn span_now(trace: u128, id: u64, name: &str, kind: SpanKind) -> Span {
    let end = now_nanos();
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: end - 5_000_000,
        end_time_unix_nano: end,
        ..Span::default()
    }
}

/// A call of `cart` by `shop`, which has no caller itself.
fn call(trace: u128) -> Vec<ResourceSpans> {
    use crate::support::data::{With, service};
    let root = span_now(trace, 1, "GET /", SpanKind::Server);
    let client = span_now(trace, 2, "call", SpanKind::Client).child_of(1);
    let server = span_now(trace, 3, "Cart.Get", SpanKind::Server).child_of(2).failed();
    vec![service("shop", vec![root, client]), service("cart", vec![server])]
}
