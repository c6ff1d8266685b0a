//! The recorded series of Tempo's generator, and what becomes of spans that come late or in pieces.

mod changes;
mod processors;

use super::exposition::{TextFormat, text};
use super::settings::{IntrinsicDimensions, ServiceGraphSettings, Settings, SpanMetricsSettings};
use super::{NewRows, Tenant};
use crate::columns::{Chunk, decode};
use crate::model::{TenantId, UnixNanos};
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

/// The second at which the data start, and how long they go on.
const START: u64 = 1_790_000_040;
const LENGTH: u64 = 310;

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance")).join(name)
}

fn requests() -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path("dataset.bin")).expect("the data are there");
    let (mut rest, mut requests) = (&bytes[..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk() {
        let (request, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(request.to_vec());
        rest = after;
    }
    requests
}

fn default_settings() -> Settings {
    Settings {
        time_range_slack: Duration::from_secs(7200),
        service_graphs: ServiceGraphSettings { wait: Duration::from_secs(5), ..ServiceGraphSettings::default() },
        ..Settings::default()
    }
}

fn rich_settings() -> Settings {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let mut settings = default_settings();
    settings.service_graphs = ServiceGraphSettings {
        dimensions: texts(&["cloud.region"]),
        client_server_prefix: true,
        virtual_node_label: true,
        messaging_latency: true,
        ..settings.service_graphs
    };
    settings.span_metrics = SpanMetricsSettings {
        dimensions: texts(&["http.method", "http.status_code", "deployment.environment"]),
        intrinsic: IntrinsicDimensions { status_message: true, ..IntrinsicDimensions::default() },
        target_info: true,
        buckets: vec![0.001, 0.01, 0.1, 1.0],
        ..SpanMetricsSettings::default()
    };
    settings
}

fn at(seconds: u64) -> UnixNanos {
    UnixNanos::from_seconds(START + LENGTH + seconds)
}

/// A tenant that has seen the data, in batches of some rows, and waited for edges.
fn tenant(settings: Settings, rows_at_once: u32) -> Tenant {
    let mut tenant = Tenant::new(TenantId::single(), settings);
    for (serial, request) in (0..).zip(requests()) {
        let mut chunk = Chunk::default();
        decode::append(&mut chunk, &request, 0, None).expect("well formed");
        let num_rows = chunk.num_rows() as u32;
        for start in (0..num_rows).step_by(rows_at_once as usize) {
            let end = num_rows.min(start + rows_at_once);
            tenant.consume(NewRows { chunk: &chunk, serial, rows: start..end, is_last: end == num_rows }, at(0));
        }
    }
    tenant.collect(at(6), usize::MAX);
    tenant
}

type SeriesKey = BTreeMap<String, String>;

/// The samples of a scrape.
fn scraped(tenant: &Tenant) -> BTreeMap<SeriesKey, f64> {
    let text = text(tenant, TextFormat::Prometheus);
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

/// No value of the data has a quote or a brace in it.
fn sample(line: &str) -> (SeriesKey, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = series.split_once('{').expect("labels");
    let labels = labels.strip_suffix('}').expect("labels end").strip_suffix('"').unwrap_or_default();
    let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let key = pairs.chain([("__name__".to_owned(), name.to_owned())]).filter(|(name, _)| !["job", "instance"].contains(&name.as_str()));
    (key.collect(), value.parse().expect("a number"))
}

fn recorded(name: &str) -> BTreeMap<SeriesKey, f64> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path(name)).expect("the recording is there")).read_to_string(&mut text).expect("gzip");
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let key = serde_json::from_value(line["series"].clone()).expect("labels");
        (key, line["value"].as_f64().expect("a number"))
    };
    text.lines().map(line).collect()
}

fn deviations(name: &str) -> Vec<SeriesKey> {
    let text = std::fs::read_to_string(path("generator-deviations.tsv")).expect("the list is there");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let of_file = lines.map(|line| line.split('\t').collect::<Vec<_>>()).filter(|parts| parts[0] == name);
    of_file.map(|parts| serde_json::from_str(parts[1]).expect("JSON")).collect()
}

fn check(name: &str, settings: Settings, rows_at_once: u32) {
    let (got, wanted, meant) = (scraped(&tenant(settings, rows_at_once)), recorded(name), deviations(name));
    let close = |one: f64, other: f64| (one - other).abs() <= 1e-6 * one.abs().max(1.0);
    let mut wrong = Vec::new();
    for key in got.keys().chain(wanted.keys().filter(|key| !got.contains_key(*key))) {
        let is_same = matches!((got.get(key), wanted.get(key)), (Some(got), Some(wanted)) if close(*got, *wanted));
        if is_same == meant.contains(key) {
            wrong.push(format!("{key:?}: got {:?}, recorded {:?}", got.get(key), wanted.get(key)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} series differ or are listed wrongly:\n{}", wrong.len(), wanted.len(), wrong.join("\n"));
    assert!(meant.iter().all(|key| got.contains_key(key) || wanted.contains_key(key)), "the list names series that do not exist");
}

#[test]
fn recorded_series_of_the_default_settings() {
    check("generator-default.jsonl.gz", default_settings(), u32::MAX);
}

#[test]
fn recorded_series_of_rich_settings() {
    check("generator-rich.jsonl.gz", rich_settings(), u32::MAX);
}

#[test]
fn it_does_not_matter_in_which_pieces_rows_come() {
    check("generator-rich.jsonl.gz", rich_settings(), 7);
}
