//! What a sender's request costs: checking it, taking it into the head, turning heads into a block.
//!
//! `cargo bench --bench ingest`. The data are the 3,839 spans of tests/conformance/dataset.bin.

use conmoto::block::{BlockInput, write_block};
use conmoto::columns::{Chunk, decode, validate};
use conmoto::model::{BlockId, TenantId, UnixNanos};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The export requests of the shared data set: each a 4-byte big-endian length and its protobuf bytes.
fn requests() -> Vec<Vec<u8>> {
    let mut bytes = &std::fs::read("tests/conformance/dataset.bin").expect("run in the package's root")[..];
    let mut requests = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (request, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(request.to_vec());
        bytes = rest;
    }
    requests
}

fn chunk_of(requests: &[Vec<u8>]) -> Chunk {
    let mut chunk = Chunk::default();
    for request in requests {
        decode::append(&mut chunk, request, 0, None).expect("recorded requests are well formed");
    }
    chunk
}

fn ingest(criterion: &mut Criterion) {
    let requests = requests();
    let chunk = chunk_of(&requests);
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(chunk.num_rows() as u64));
    group.bench_function("check requests", |bencher| {
        bencher.iter(|| requests.iter().map(|request| validate::validate(request).expect("well formed").num_spans).sum::<usize>());
    });
    group.bench_function("take requests into the head", |bencher| bencher.iter(|| chunk_of(&requests).num_rows()));
    group.bench_function("write a block", |bencher| {
        let tenant = TenantId::single();
        let sources = [&chunk];
        bencher.iter(|| {
            let input = BlockInput { id: BlockId::random(), tenant: &tenant, sources: &sources, takes: &|_| true, created: UnixNanos(0) };
            write_block(&input).expect("the chunk can be encoded").map(|block| block.meta.total_bytes())
        });
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
