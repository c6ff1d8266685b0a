//! What a sender's request costs on its way into a block: checking it, the log, the head, the cut.
//!
//! `cargo bench --bench ingest`. A pass is the whole data set once: 3,839 spans in five requests.

mod data;

use conmoto::columns::{Chunk, decode, validate};
use conmoto::ingester::wal::{Frame, Options, Start, SyncMode, Wal};
use conmoto::model::TenantId;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use data::{chunk, requests, write};

fn append(chunk: &mut Chunk, requests: &[Vec<u8>]) -> usize {
    requests.iter().map(|request| decode::append(chunk, request, 0, None).expect("recorded requests are well formed")).sum()
}

/// Checks, frames and stores each request, all at a time, as senders do that wait for nobody.
async fn acknowledge(wal: &Wal, tenant: &TenantId, requests: &[Vec<u8>]) -> usize {
    let frames = requests.iter().map(|request| Frame::encode(tenant, request).expect("no request is too large"));
    let receipts = frames.map(|frame| wal.append(frame)).collect::<Vec<_>>();
    let mut pins = Vec::new();
    for receipt in receipts {
        let receipt = receipt.await.expect("the directory can be written");
        pins.push((receipt.segment, 1));
    }
    wal.release(&pins);
    pins.len()
}

fn ingest(criterion: &mut Criterion) {
    let requests = requests();
    let whole = chunk(0..1);
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(whole.num_rows() as u64));
    group.bench_function("check requests", |bencher| {
        bencher.iter(|| requests.iter().map(|request| validate::validate(request).expect("well formed").num_spans).sum::<usize>());
    });
    group.bench_function("take requests into the head", |bencher| bencher.iter(|| append(&mut Chunk::default(), &requests)));
    group.bench_function("write a block", |bencher| bencher.iter(|| write(&whole).meta.total_bytes()));
    group.finish();
}

fn log(criterion: &mut Criterion) {
    let requests = requests();
    let (tenant, runtime) = (TenantId::single(), tokio::runtime::Runtime::new().expect("threads can be started"));
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(chunk(0..1).num_rows() as u64));
    for (name, sync) in [("acknowledge requests, synced", SyncMode::Group), ("acknowledge requests, not synced", SyncMode::None)] {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let options = Options { sync, ..Options::default() };
        let wal = Wal::open(dir.path(), options, Start::default()).expect("an empty directory");
        group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(acknowledge(&wal, &tenant, &requests))));
    }
    group.finish();
}

criterion_group!(benches, ingest, log);
criterion_main!(benches);
