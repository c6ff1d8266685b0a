//! What merging blocks costs.
//!
//! `cargo bench --bench compaction`. The data are the 3,839 spans of tests/conformance/dataset.bin, sixteen times with other trace
//! ids.

use conmoto::block::merge::{MergeInput, merge_blocks};
use conmoto::block::output::{FilesInMemory, MemoryFiles};
use conmoto::block::reader::Block;
use conmoto::block::{BlockInput, write_block};
use conmoto::columns::{Chunk, decode};
use conmoto::model::{BlockId, TenantId, UnixNanos};
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

/// Blocks that share few traces, as a server cuts them.
fn blocks() -> Vec<Arc<Block>> {
    let mut chunks: Vec<Chunk> = (0..NUM_BLOCKS).map(|_| Chunk::default()).collect();
    let requests = requests();
    for number in 0..COPIES {
        let chunk = &mut chunks[usize::from(number) * NUM_BLOCKS / usize::from(COPIES)];
        for request in &requests {
            decode::append(chunk, &copy(request.clone(), number), 0, None).expect("well formed");
        }
    }
    let tenant = TenantId::single();
    let block = |chunk: &Chunk| {
        let id = BlockId::random();
        let input = BlockInput { id, tenant: &tenant, sources: &[chunk], takes: &|_| true, created: UnixNanos(0) };
        let new = write_block(&input).expect("the chunk can be encoded").expect("it has spans");
        Arc::new(Block::open(id, new.meta, Arc::new(FilesInMemory(new.files))).expect("our own"))
    };
    chunks.iter().map(block).collect()
}

fn compaction(criterion: &mut Criterion) {
    let (inputs, tenant) = (blocks(), TenantId::single());
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

criterion_group!(benches, compaction);
criterion_main!(benches);
