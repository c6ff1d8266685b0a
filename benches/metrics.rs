//! What metrics queries cost over recent spans and over a block.
//!
//! `cargo bench --bench metrics`. The data are the 3,839 spans of tests/conformance/dataset.bin, taken 40 times with other ids.

use bytes::Bytes;
use conmoto::block::reader::{Block, RangeRead, ReadFailure};
use conmoto::block::{BlockInput, write_block};
use conmoto::columns::{Chunk, decode};
use conmoto::model::{BlockId, TenantId, UnixNanos};
use conmoto::proto::otlp::ExportTraceServiceRequest;
use conmoto::querier::Snapshot;
use conmoto::querier::metrics::{Limits, MetricsParams, metrics};
use conmoto::traceql;
use conmoto::traceql::metrics::{Buckets, Request};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

const START_SECONDS: u64 = 1_790_000_040;
const COPIES: u8 = 40;
const QUERIES: [(&str, &str); 4] = [
    ("rate by service", "{ } | rate() by (resource.service.name)"),
    ("p99 by name", "{ } | quantile_over_time(duration, 0.99) by (name)"),
    ("rate of errors by service and name", "{ status = error } | rate() by (resource.service.name, name)"),
    ("compare errors", "{ } | compare({ status = error })"),
];

/// The export requests of the shared data set: each a 4-byte big-endian length and its protobuf bytes.
fn requests() -> Vec<ExportTraceServiceRequest> {
    let mut bytes = &std::fs::read("tests/conformance/dataset.bin").expect("run in the package's root")[..];
    let mut requests = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (request, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(ExportTraceServiceRequest::decode(request).expect("recorded requests are well formed"));
        bytes = rest;
    }
    requests
}

/// All spans, `COPIES` times, each time with other trace ids.
fn chunk() -> Chunk {
    let mut chunk = Chunk::default();
    for copy in 0..COPIES {
        for mut request in requests() {
            for span in request.resource_spans.iter_mut().flat_map(|spans| &mut spans.scope_spans).flat_map(|scope| &mut scope.spans) {
                span.trace_id[0] ^= copy;
            }
            decode::append(&mut chunk, &request.encode_to_vec(), 0, None).expect("recorded requests are well formed");
        }
    }
    chunk
}

/// The files of a block in memory.
struct Files(HashMap<String, Bytes>);

impl RangeRead for Files {
    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadFailure> {
        let bytes = self.0.get(file).ok_or_else(|| ReadFailure(format!("no file {file}")))?;
        Ok(ranges.iter().map(|range| bytes.slice(range.start as usize..range.end as usize)).collect())
    }
}

fn block(chunk: &Chunk) -> Block {
    let tenant = TenantId::single();
    let id = BlockId::random();
    let input = BlockInput { id, tenant: &tenant, sources: &[chunk], takes: &|_| true, created: UnixNanos(0) };
    let written = write_block(&input).expect("the chunk can be encoded").expect("there are spans");
    let files = Files(written.files.into_iter().map(|(name, bytes)| (name.to_string(), bytes)).collect());
    Block::open(id, written.meta, Arc::new(files)).expect("just written")
}

fn params(query: &str) -> MetricsParams {
    let at = |after: u64| UnixNanos((START_SECONDS + after) * 1_000_000_000);
    let buckets = Buckets::of_range(at(0), at(330), 15_000_000_000, None).expect("few buckets");
    let query = traceql::compile(query).expect("a query");
    MetricsParams { query, request: Request { buckets, exemplars: Some(0), max_series: 0 } }
}

fn queries(criterion: &mut Criterion) {
    let chunk = Arc::new(chunk());
    let block = Arc::new(block(&chunk));
    let head = Snapshot { chunks: vec![Arc::clone(&chunk)], ..Snapshot::default() };
    let blocks = Snapshot { blocks: Arc::new(vec![block]), ..Snapshot::default() };
    for (place, snapshot) in [("recent", head), ("block", blocks)] {
        let mut group = criterion.benchmark_group(format!("metrics over {place}"));
        group.throughput(Throughput::Elements(chunk.num_rows() as u64));
        for (name, query) in QUERIES {
            let params = params(query);
            group.bench_function(name, |bencher| bencher.iter(|| metrics(&snapshot, &params, Limits::default()).expect("supported")));
        }
        group.finish();
    }
}

criterion_group!(benches, queries);
criterion_main!(benches);
