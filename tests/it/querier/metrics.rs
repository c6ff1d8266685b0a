//! Metrics queries: every stored span counts once, at every moment and wherever it lies.

use crate::support::data::{self, MILLISECOND, SECOND, T0, With, service, span};
use crate::support::http::with_query;
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// The range of all queries, in seconds.
const RANGE: (u64, u64) = (T0 - 60, T0 + 600);

impl Server {
    /// The one value of an instant query.
    fn instant(&self, query: &str) -> f64 {
        let (start, end) = (RANGE.0.to_string(), RANGE.1.to_string());
        let answer = self.get_json(&with_query("/api/metrics/query", &[("q", query), ("start", &start), ("end", &end)]));
        answer["series"][0]["value"].as_f64().unwrap_or_default()
    }

    /// The samples of all series of a range query, summed up.
    fn sum_over_range(&self, query: &str) -> f64 {
        let (start, end) = (RANGE.0.to_string(), RANGE.1.to_string());
        let params = [("q", query), ("start", &*start), ("end", &*end), ("step", "10s")];
        let answer = self.get_json(&with_query("/api/metrics/query_range", &params));
        let series = answer["series"].as_array().cloned().unwrap_or_default();
        let samples = series.iter().flat_map(|series| series["samples"].as_array().cloned().unwrap_or_default());
        samples.map(|sample| sample["value"].as_f64().unwrap_or_default()).sum()
    }
}

/// A request with spans of some of eight traces, so that traces come in pieces.
fn some_request(rng: &mut Rng, number: u64, keys: &mut HashSet<(u128, u64)>) -> Vec<u8> {
    let num_spans = 1 + rng.below(6);
    let spans = (0..num_spans).map(|at| {
        let (trace, id) = (1 + u128::from(rng.below(8)), number * 16 + at + 1);
        keys.insert((trace, id));
        let span = span(trace, id, if id % 3 == 0 { "third" } else { "other" }, id * MILLISECOND);
        if id % 5 == 0 { span.failed() } else { span.with("n", data::int(1)) }
    });
    data::request(vec![service("shop", spans.collect())])
}

#[test]
fn every_span_counts_once_wherever_it_lies() {
    let data = DataDir::new();
    let mut server = Server::start(&data);
    let mut rng = Rng::seeded(7);
    let (mut keys, mut requests) = (HashSet::new(), Vec::<Vec<u8>>::new());
    for step in 0..60 {
        match rng.below(10) {
            0 => server.flush(),
            1 if step > 10 => {
                server.kill();
                server = Server::start(&data);
            }
            2..=4 if !requests.is_empty() => server.push(&requests[rng.below(requests.len() as u64) as usize]),
            _ => {
                requests.push(some_request(&mut rng, step, &mut keys));
                server.push(requests.last().expect("just pushed"));
            }
        }
        let count = |keep: &dyn Fn(u64) -> bool| keys.iter().filter(|(_, id)| keep(*id)).count() as f64;
        assert_eq!(server.instant("{ } | count_over_time()"), count(&|_| true), "after step {step}");
        assert_eq!(server.instant("{ status = error } | count_over_time()"), count(&|id| id % 5 == 0), "after step {step}");
        assert_eq!(server.sum_over_range("{ } | sum_over_time(span.n) by (name)"), count(&|id| id % 5 != 0), "after step {step}");
        // What blocks have counted is added to what is counted in the head.
        for (query, expected) in [
            ("{ } | count_over_time() by (name, resource.service.name)", count(&|_| true)),
            ("{ name = \"third\" } | histogram_over_time(duration)", count(&|id| id % 3 == 0)),
            ("{ status = error } | count_over_time() by (name)", count(&|id| id % 5 == 0)),
        ] {
            assert_eq!(server.sum_over_range(query), expected, "{query} after step {step}");
        }
    }
    assert!(data.blocks().len() > 1, "the steps should have left blocks behind");
}

#[test]
fn exemplars_do_not_depend_on_where_spans_lie() {
    let server = Server::fresh();
    let request = |part: u64| {
        let spans = (0..100u64).map(|at| {
            let (id, name) = (part * 100 + at + 1, if at % 3 == 0 { "third" } else { "other" });
            // Two spans each start at the same moment; traces are in both parts.
            span(u128::from(at / 4 + 1), id, name, (at / 2 * 7 + part) * SECOND)
        });
        data::shop(spans.collect())
    };
    let queries = [
        "{ } | rate()",
        "{ name = \"third\" } | count_over_time() by (name)",
        "{ } | quantile_over_time(duration, 0.5)",
        "{ span.n = nil || true } | rate()",
    ];
    let ask = |query: &str| {
        let (start, end) = (T0.to_string(), (T0 + 400).to_string());
        let answer =
            server.get_json(&with_query("/api/metrics/query_range", &[("q", query), ("start", &start), ("end", &end), ("step", "10s")]));
        let series = answer["series"].as_array().expect("series").clone();
        series.into_iter().map(|series| series["exemplars"].clone()).collect::<Vec<_>>()
    };
    server.push(&request(0));
    server.push(&request(1));
    let in_head = queries.map(ask);
    let num = |exemplars: &[serde_json::Value]| exemplars.iter().filter_map(|of_series| of_series.as_array()).flatten().count();
    assert!(in_head.iter().all(|exemplars| num(exemplars) >= 10), "{in_head:?}");
    server.flush();
    assert_eq!(queries.map(ask), in_head, "in a block");
    server.push(&request(1));
    assert_eq!(queries.map(ask), in_head, "in a block and again in the head");
    server.flush();
    assert_eq!(queries.map(ask), in_head, "in two blocks");
}

#[test]
fn nothing_is_missed_or_counted_twice_while_spans_arrive() {
    let server = Server::fresh();
    let (sent, acknowledged, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for id in 1..=300u64 {
                let request = data::shop(vec![span(u128::from(id / 7 + 1), id, "a", id * MILLISECOND)]);
                sent.store(id, SeqCst);
                server.push(&request);
                // Again, as a sender does that got no answer.
                server.push(&request);
                acknowledged.store(id, SeqCst);
            }
            is_over.store(true, SeqCst);
        });
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                server.flush();
            }
        });
        while !is_over.load(SeqCst) {
            let least = acknowledged.load(SeqCst) as f64;
            let count = server.instant("{ } | count_over_time()");
            let most = sent.load(SeqCst) as f64;
            assert!((least..=most).contains(&count), "{count} spans, but {least} were acknowledged before and {most} sent after");
        }
    });
    assert_eq!(server.instant("{ } | count_over_time()"), 300.0);
}

#[test]
fn a_span_counts_in_the_bucket_of_its_start() {
    let server = Server::fresh();
    server.push(&data::shop(vec![span(1, 1, "on the edge", 10 * SECOND), span(1, 2, "after it", 10 * SECOND + 1)]));
    for _ in 0..2 {
        let (start, end) = (T0.to_string(), (T0 + 20).to_string());
        let params = [("q", "{ } | count_over_time() by (name)"), ("start", &*start), ("end", &*end), ("step", "10s"), ("exemplars", "1")];
        let answer = server.get_json(&with_query("/api/metrics/query_range", &params));
        let series = answer["series"].as_array().expect("series");
        let samples = |at: usize| -> Vec<(i64, f64)> {
            let samples = series[at]["samples"].as_array().expect("samples").iter();
            samples
                .map(|sample| {
                    let millis: i64 = sample["timestampMs"].as_str().expect("a text").parse().expect("a number");
                    (millis / 1000 - T0 as i64, sample["value"].as_f64().unwrap_or_default())
                })
                .collect()
        };
        assert_eq!(series[0]["labels"][0]["value"]["stringValue"], "after it");
        assert_eq!(samples(0), [(0, 0.0), (10, 0.0), (20, 1.0)]);
        assert_eq!(samples(1), [(0, 0.0), (10, 1.0), (20, 0.0)]);
        let exemplars: Vec<_> = series.iter().filter_map(|series| series["exemplars"].as_array()).flatten().collect();
        assert_eq!(exemplars.len(), 1, "one of the trace");
        assert_eq!(exemplars[0]["labels"][0], serde_json::json!({"key": "trace:id", "value": {"stringValue": "1"}}));
        server.flush();
    }
}

/// The row group's traces are all over by then, by their ends.
#[test]
fn a_span_that_ends_before_it_starts_counts_at_its_start() {
    let server = Server::fresh();
    let mut late = span(1, 2, "late", 100 * SECOND);
    late.end_time_unix_nano = late.start_time_unix_nano - 90 * SECOND;
    server.push(&data::shop(vec![span(1, 1, "early", 10 * SECOND), late]));
    for _ in 0..2 {
        let (start, end) = ((T0 + 90).to_string(), (T0 + 100).to_string());
        let params = [("q", "{ } | count_over_time() by (name)"), ("start", &*start), ("end", &*end), ("step", "10s")];
        let answer = server.get_json(&with_query("/api/metrics/query_range", &params));
        let names: Vec<_> =
            answer["series"].as_array().expect("series").iter().map(|series| &series["labels"][0]["value"]["stringValue"]).collect();
        assert_eq!(names, ["late"]);
        server.flush();
    }
}

#[test]
fn roots_are_found_without_their_numbers() {
    let server = Server::fresh();
    let mut child = span(1, 2, "child", 11 * SECOND);
    child.parent_span_id = 1u64.to_be_bytes().to_vec();
    let mut orphan = span(2, 3, "orphan", 12 * SECOND);
    orphan.parent_span_id = 77u64.to_be_bytes().to_vec();
    let mut grandchild = span(2, 4, "below it", 13 * SECOND);
    grandchild.parent_span_id = 3u64.to_be_bytes().to_vec();
    server.push(&data::shop(vec![span(1, 1, "root", 10 * SECOND), child, orphan, grandchild, span(3, 5, "alone", 14 * SECOND)]));
    for _ in 0..2 {
        for (filter, expected) in [
            ("nestedSetParent < 0", &["alone", "root"][..]),
            ("nestedSetParent = -1", &["alone", "root"]),
            ("nestedSetParent < 1", &["alone", "below it", "orphan", "root"]),
            ("nestedSetParent != -1", &["below it", "child", "orphan"]),
        ] {
            let (query, start, end) = (format!("{{ {filter} }} | rate() by (name)"), T0.to_string(), (T0 + 20).to_string());
            let params = [("q", &*query), ("start", &*start), ("end", &*end), ("step", "10s")];
            let answer = server.get_json(&with_query("/api/metrics/query_range", &params));
            let series = answer["series"].as_array().expect("series").iter();
            let mut names: Vec<&str> = series.filter_map(|series| series["labels"][0]["value"]["stringValue"].as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{filter}");
        }
        server.flush();
    }
}
