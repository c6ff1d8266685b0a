//! The recorded queries, over the same spans in every place where spans can be.
//!
//! `deviations.tsv` lists the cases that are meant to differ, each with its reason; one that does not is an error of the list.

use super::compare::{close, first_difference};
use super::{deviations, normalise, path, recording, text};
use crate::compactor::{eager, wait_for_rest};
use crate::support::http::{send, with_query};
use crate::support::server::{DataDir, Server};
use serde_json::Value;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The second at which the data start.
const START: i64 = 1_790_000_040;
/// The queried range in seconds before and after it.
const BEFORE: i64 = 60;
const AFTER: i64 = 420;
/// Cases that are asked at the same time.
const CONCURRENCY: usize = 3;
/// Spans in the data.
const NUM_SPANS: u64 = 3839;

#[test]
fn over_the_head() {
    let server = Server::fresh();
    requests().iter().for_each(|request| server.push(request));
    check(&server);
    assert_eq!(server.data.blocks(), [] as [std::path::PathBuf; 0]);
}

#[test]
fn over_blocks() {
    let server = Server::fresh();
    for request in requests() {
        server.push(&request);
        server.flush();
    }
    check(&server);
}

#[test]
fn over_one_block() {
    let server = Server::fresh();
    requests().iter().for_each(|request| server.push(request));
    server.flush();
    check(&server);
    assert_eq!(server.data.blocks().len(), 1);
}

#[test]
fn over_compacted_blocks() {
    let data = DataDir::new();
    let server = Server::start_with(&data, &eager(&data, ""), &[]);
    for request in requests() {
        server.push(&request);
        server.flush();
    }
    wait_for_rest(&server);
    assert!(server.data.blocks().len() < requests().len(), "some were merged");
    check(&server);
}

#[test]
fn over_compacted_block_and_head() {
    let data = DataDir::new();
    let server = Server::start_with(&data, &eager(&data, ""), &[]);
    let requests = requests();
    let (flushed, recent) = requests.split_at(3);
    for request in flushed {
        server.push(request);
        server.flush();
    }
    wait_for_rest(&server);
    recent.iter().for_each(|request| server.push(request));
    check(&server);
    assert!(server.data.blocks().len() < flushed.len(), "some were merged");
}

#[test]
fn over_head_and_block() {
    let server = half_and_half();
    check(&server);
    assert_eq!(server.data.blocks().len(), 1);
}

#[test]
fn after_kill_and_restart() {
    let server = half_and_half();
    let data = server.data.clone();
    server.kill();
    let server = Server::start(&data);
    check(&server);
}

/// Two requests in a block, two in the head.
fn half_and_half() -> Server {
    let server = Server::fresh();
    let requests = requests();
    let (flushed, recent) = requests.split_at(requests.len() / 2);
    flushed.iter().for_each(|request| server.push(request));
    server.flush();
    recent.iter().for_each(|request| server.push(request));
    server
}

/// The recorded data: requests, each after its length.
pub fn requests() -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path("dataset.bin")).expect("the data are there");
    let mut rest = &bytes[..];
    let mut requests = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (request, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(request.to_vec());
        rest = after;
    }
    assert_eq!(requests.len(), 4);
    requests
}

/// A recorded question with its answer.
struct Case {
    id: String,
    kind: String,
    query: String,
    wanted: Value,
}

/// Read once for all tests.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let case = |recorded: &Value| {
        let text = |member| text(recorded, member).to_string();
        Case { id: text("id"), kind: text("kind"), query: text("query"), wanted: normalise::recorded(recorded) }
    };
    recording("expected.jsonl.gz").iter().map(case).collect()
});

impl Case {
    /// The path that asks it.
    fn path(&self) -> String {
        let (start, end) = ((START - BEFORE).to_string(), (START + AFTER).to_string());
        let query = self.query.replace("{t0ms}", &(START * 1000).to_string());
        let range = [("start", &*start), ("end", &*end)];
        let asked = |path: &str, params: &[(&str, &str)]| with_query(path, &[params, &range].concat());
        match &*self.kind {
            "search" | "parse_error" | "validate_error" => asked("/api/search", &[("q", &query), ("limit", "5000"), ("spss", "12")]),
            "metrics" => asked("/api/metrics/query_range", &[("q", &query), ("step", "30s"), ("exemplars", "0")]),
            "instant" => asked("/api/metrics/query", &[("q", &query)]),
            "get" => query.replace("{start}", &start).replace("{end}", &end),
            "trace" => query,
            kind => panic!("unknown kind {kind}"),
        }
    }

    /// What is wrong with the server's answer, if anything is.
    fn difference(&self, server: &Server) -> Option<String> {
        let answer = send(server.api, "GET", &self.path(), &[("Accept", "application/json")], b"").expect("an answer");
        let got = normalise::answer(&self.kind, START, answer.status, &answer.body);
        (!close(&self.wanted, &got)).then(|| format!("{}: {}\n    {}", self.id, self.query, first_difference(&self.wanted, &got)))
    }
}

/// The cases with what is wrong with each, in no order.
fn differences(server: &Server) -> Vec<(&'static Case, Option<String>)> {
    let next = AtomicUsize::new(0);
    let ask = || std::iter::from_fn(|| CASES.get(next.fetch_add(1, Relaxed)).map(|case| (case, case.difference(server))));
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..CONCURRENCY).map(|_| scope.spawn(|| ask().collect::<Vec<_>>())).collect();
        askers.into_iter().flat_map(|asker| asker.join().expect("an asker")).collect()
    })
}

fn check(server: &Server) {
    assert_eq!(server.count("{ }"), NUM_SPANS);
    let meant = deviations("deviations.tsv");
    let (mut wrong, mut used) = (Vec::new(), 0);
    for (case, difference) in differences(server) {
        match (difference, meant.get(&case.id)) {
            (Some(difference), None) => wrong.push(difference),
            (None, Some(reason)) => {
                wrong.push(format!("{}: listed as a deviation ({reason}), but the answer is the recorded one", case.id))
            }
            (_, listed) => used += usize::from(listed.is_some()),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
    assert_eq!(used, meant.len(), "the list of deviations names cases that do not exist");
}
