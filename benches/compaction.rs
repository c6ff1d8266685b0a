//! What it costs to find a trace in blocks, and to merge them.
//!
//! `cargo bench --bench compaction`. The data set sixteen times, in eight blocks.

mod data;

use conmoto::block::merge::{MergeInput, merge_blocks};
use conmoto::block::output::MemoryFiles;
use conmoto::block::reader::Block;
use conmoto::model::{BlockId, TenantId, TraceId};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;

/// Blocks that share few traces, as a server cuts them.
fn blocks() -> Vec<Arc<Block>> {
    (0..8).map(|number| data::open(data::write(&data::chunk(2 * number..2 * number + 2)))).collect()
}

fn finding(criterion: &mut Criterion) {
    let blocks = blocks();
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
    let inputs = blocks();
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

criterion_group!(benches, finding, compaction);
criterion_main!(benches);
