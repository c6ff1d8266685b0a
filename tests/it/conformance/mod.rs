//! Recorded answers of Tempo (tests/conformance), asked of this server.

mod compare;
mod normalise;
mod queries;
mod receivers;
mod wire;

use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// Sees that two answers are the same but for the order of lists.
pub fn assert_same(got: &Value, wanted: &Value, what: &str) {
    let (got, wanted) = (normalise::sorted_deep(got), normalise::sorted_deep(wanted));
    assert!(compare::close(&wanted, &got), "{what}: {}", compare::first_difference(&wanted, &got));
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance")).join(name)
}

/// One JSON object a line, gzipped.
pub fn recording(name: &str) -> Vec<Value> {
    let file = File::open(path(name)).expect("the recording is there");
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.expect("gzip")).expect("JSON")).collect()
}

/// The recorded data: requests, each after its length.
pub fn recorded_requests() -> Vec<Vec<u8>> {
    queries::requests()
}

/// Cases whose answer is meant to differ, with the reason: id, tab, reason.
fn deviations(name: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path(name)).expect("the list is there");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once('\t').unwrap_or_else(|| panic!("no tab in {line:?}")));
    pairs.map(|(id, reason)| (id.to_string(), reason.to_string())).collect()
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}
