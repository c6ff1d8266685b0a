//! What it costs to write a block, to find a trace in blocks, and to merge them.
//!
//! `cargo bench --bench compaction`. The data are the 3,839 spans of tests/conformance/dataset.bin, sixteen times with other trace
//! ids.

use conmoto::block::merge::{MergeInput, merge_blocks};
use conmoto::block::output::{FilesInMemory, MemoryFiles};
use conmoto::block::reader::Block;
use conmoto::block::{BlockInput, NewBlock, write_block};
use conmoto::columns::{Chunk, decode};
use conmoto::model::{BlockId, TenantId, TraceId, UnixNanos};
use conmoto::proto::otlp::ExportTraceServiceRequest;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;
use std::sync::Arc;

const COPIES: u8 = 16;
const NUM_BLOCKS: usize = 8;

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

/// The same traces under other ids.
fn copy(mut request: ExportTraceServiceRequest, number: u8) -> Vec<u8> {
    let groups = request.resource_spans.iter_mut().flat_map(|batch| &mut batch.scope_spans);
    groups.flat_map(|group| &mut group.spans).for_each(|span| span.trace_id[0] ^= number);
    request.encode_to_vec()
}

/// Chunks that share few traces, as a server cuts them.
fn chunks() -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = (0..NUM_BLOCKS).map(|_| Chunk::default()).collect();
    let requests = requests();
    for number in 0..COPIES {
        let chunk = &mut chunks[usize::from(number) * NUM_BLOCKS / usize::from(COPIES)];
        for request in &requests {
            decode::append(chunk, &copy(request.clone(), number), 0, None).expect("well formed");
        }
    }
    chunks
}

fn write(chunk: &Chunk) -> NewBlock {
    let tenant = TenantId::single();
    let input = BlockInput { id: BlockId::random(), tenant: &tenant, sources: &[chunk], takes: &|_| true, created: UnixNanos(0) };
    write_block(&input).expect("the chunk can be encoded").expect("it has spans")
}

fn open(new: NewBlock) -> Arc<Block> {
    let id = BlockId::parse(&new.meta.block_id).expect("our own");
    Arc::new(Block::open(id, new.meta, Arc::new(FilesInMemory(new.files))).expect("our own"))
}

fn writing(criterion: &mut Criterion) {
    let chunks = chunks();
    let mut group = criterion.benchmark_group("writing");
    group.throughput(Throughput::Elements(chunks[0].num_rows() as u64));
    group.bench_function("write a block", |bencher| bencher.iter(|| write(&chunks[0]).meta.total_bytes()));
    group.finish();
}

fn finding(criterion: &mut Criterion) {
    let blocks: Vec<Arc<Block>> = chunks().iter().map(write).map(open).collect();
    let (there, missing) = (blocks[3].trace_id(7).expect("in memory"), TraceId(*b"no such trace id"));
    let find = |id: &TraceId| {
        let found = blocks.iter().filter_map(|block| Some((block, block.find(id).expect("in memory")?)));
        found.map(|(block, trace)| block.read_trace(trace).expect("our own").num_rows()).sum::<usize>()
    };
    let mut group = criterion.benchmark_group("finding");
    group.bench_function("find a trace in one of eight blocks", |bencher| bencher.iter(|| find(&there)));
    group.bench_function("look for a trace that is not there", |bencher| bencher.iter(|| find(&missing)));
    group.finish();
}

fn compaction(criterion: &mut Criterion) {
    let inputs: Vec<Arc<Block>> = chunks().iter().map(write).map(open).collect();
    let tenant = TenantId::single();
    let num_spans: u64 = inputs.iter().map(|block| block.meta().num_spans).sum();
    let mut group = criterion.benchmark_group("compaction");
    group.throughput(Throughput::Elements(num_spans));
    group.bench_function("merge eight blocks", |bencher| {
        bencher.iter(|| {
            let sink = MemoryFiles::default();
            let input = MergeInput { id: BlockId::random(), tenant: &tenant, inputs: &inputs, sink: &sink, is_cancelled: &|| false };
            merge_blocks(&input).expect("own blocks can be merged").meta.total_bytes()
        });
    });
    group.finish();
}

criterion_group!(benches, writing, finding, compaction);
criterion_main!(benches);
