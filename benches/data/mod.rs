//! What all benches work on: the 3,839 spans of tests/conformance/dataset.bin, as often as wanted under other trace ids.

// Each bench uses a part of it.
#![allow(dead_code)]

use conmoto::block::output::FilesInMemory;
use conmoto::block::reader::Block;
use conmoto::block::{BlockInput, NewBlock, write_block};
use conmoto::columns::{Chunk, decode};
use conmoto::model::{BlockId, TenantId, UnixNanos};
use conmoto::proto::otlp::ExportTraceServiceRequest;
use prost::Message;
use std::sync::Arc;

/// The first second in which a span starts.
pub const START_SECONDS: u64 = 1_790_000_040;

/// The export requests of the data set: each a 4-byte big-endian length and its protobuf bytes.
pub fn requests() -> Vec<Vec<u8>> {
    let mut bytes = &std::fs::read("tests/conformance/dataset.bin").expect("run in the package's root")[..];
    let mut requests = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (request, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(request.to_vec());
        bytes = rest;
    }
    requests
}

/// The same traces under other ids.
fn copy(request: &[u8], number: u8) -> Vec<u8> {
    let mut request = ExportTraceServiceRequest::decode(request).expect("recorded requests are well formed");
    let groups = request.resource_spans.iter_mut().flat_map(|batch| &mut batch.scope_spans);
    groups.flat_map(|group| &mut group.spans).for_each(|span| span.trace_id[0] ^= number);
    request.encode_to_vec()
}

/// A chunk with the data set once for each number, under other ids each time.
pub fn chunk(numbers: std::ops::Range<u8>) -> Chunk {
    let mut chunk = Chunk::default();
    let requests = requests();
    for request in numbers.flat_map(|number| requests.iter().map(move |request| copy(request, number))) {
        decode::append(&mut chunk, &request, 0, None).expect("recorded requests are well formed");
    }
    chunk
}

/// Cuts a block.
pub fn write(chunk: &Chunk) -> NewBlock {
    let tenant = TenantId::single();
    let input = BlockInput { id: BlockId::random(), tenant: &tenant, sources: &[chunk], takes: &|_| true, created: UnixNanos(0) };
    write_block(&input).expect("the chunk can be encoded").expect("it has spans")
}

/// Opens a block in memory.
pub fn open(new: NewBlock) -> Arc<Block> {
    let id = BlockId::parse(&new.meta.block_id).expect("our own");
    Arc::new(Block::open(id, new.meta, Arc::new(FilesInMemory(new.files))).expect("our own"))
}
