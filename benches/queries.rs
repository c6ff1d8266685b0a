//! What queries of each family cost over recent spans and over a block.
//!
//! `cargo bench --bench queries`. The data set 40 times: 153,560 spans.

mod data;

use conmoto::model::{TimeRange, UnixNanos};
use conmoto::querier::metrics::{Limits, MetricsParams, metrics};
use conmoto::querier::search::{SearchParams, search};

use conmoto::querier::Snapshot;
use conmoto::traceql;
use conmoto::traceql::metrics::{Buckets, Request};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;

const COPIES: u8 = 40;

const SEARCHES: [(&str, &str); 8] = [
    ("search by service", r#"{ resource.service.name = "checkout" }"#),
    ("search by attribute", "{ span.http.status_code >= 500 }"),
    ("search for what is not there", r#"{ span.http.url = "no such url" }"#),
    ("search by regex", r#"{ name =~ ".*no such name.*" }"#),
    ("search by duration", "{ duration > 5s }"),
    ("search by structure", "{ status = error } >> { kind = client }"),
    ("search by count", "{ status = error } | count() > 3"),
    ("search by average", "{ } | by(resource.service.name) | avg(duration) > 1s"),
];

const METRICS: [(&str, &str); 4] = [
    ("rate by service", "{ } | rate() by (resource.service.name)"),
    ("p99 by name", "{ } | quantile_over_time(duration, 0.99) by (name)"),
    ("rate of errors by service and name", "{ status = error } | rate() by (resource.service.name, name)"),
    ("compare errors", "{ } | compare({ status = error })"),
];

fn at(after: u64) -> UnixNanos {
    UnixNanos((data::START_SECONDS + after) * 1_000_000_000)
}

fn metrics_params(query: &str) -> MetricsParams {
    let buckets = Buckets::of_range(at(0), at(330), 15_000_000_000, None).expect("few buckets");
    let query = traceql::compile(query).expect("a query");
    MetricsParams { query, request: Request { buckets, exemplars: Some(0), max_series: 0 } }
}

fn search_params(query: &str) -> SearchParams {
    let range = TimeRange { start: at(0), end: at(3600) };
    SearchParams { query: Some(traceql::compile(query).expect("a query")), limit: 20, spans_per_span_set: 3, range }
}

fn queries(criterion: &mut Criterion) {
    let chunk = Arc::new(data::chunk(0..COPIES));
    let block = data::open(data::write(&chunk));
    let head = Snapshot { chunks: vec![Arc::clone(&chunk)], ..Snapshot::default() };
    let blocks = Snapshot { blocks: Arc::new(vec![block]), ..Snapshot::default() };
    for (place, snapshot) in [("recent spans", head), ("a block", blocks)] {
        let mut group = criterion.benchmark_group(format!("queries over {place}"));
        group.throughput(Throughput::Elements(chunk.num_rows() as u64));
        for (name, query) in SEARCHES {
            let params = search_params(query);
            group.bench_function(name, |bencher| bencher.iter(|| search(&snapshot, &params).expect("supported").traces.len()));
        }
        for (name, query) in METRICS {
            let params = metrics_params(query);
            group.bench_function(name, |bencher| bencher.iter(|| metrics(&snapshot, &params, Limits::default()).expect("supported")));
        }
        group.finish();
    }
}

criterion_group!(benches, queries);
criterion_main!(benches);
