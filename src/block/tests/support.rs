//! Blocks in memory, and what a block of given requests has to hold.

use crate::block::meta::BlockMeta;
use crate::block::reader::{Block, BlockError, RangeRead, ReadFailure};
use crate::block::writer::{BlockInput, NewBlock, write_in_groups};
use crate::columns::Chunk;
use crate::columns::tests::requests::{Sent, Told, told};
use crate::columns::tests::{batches_of, chunk_of, is_root};
use crate::model::{BlockId, TenantId, TraceId, UnixNanos};
use crate::proto::otlp::{Resource, Span, Value};
use bytes::Bytes;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// Files in memory.
pub(super) struct Memory(pub(super) HashMap<String, Bytes>);

impl RangeRead for Memory {
    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadFailure> {
        let bytes = self.0.get(file).ok_or_else(|| ReadFailure(format!("no file {file}")))?;
        let part = |range: &Range<u64>| {
            let is_within = range.start <= range.end && range.end <= bytes.len() as u64;
            is_within.then(|| bytes.slice(range.start as usize..range.end as usize))
        };
        let parts: Option<Vec<Bytes>> = ranges.iter().map(part).collect();
        parts.ok_or_else(|| ReadFailure(format!("{file} ends before {ranges:?}")))
    }
}

/// Writes what `takes` accepts with row groups of that size.
pub(super) fn write_some(chunks: &[&Chunk], group_rows: usize, takes: &dyn Fn(&TraceId) -> bool) -> Option<NewBlock> {
    let tenant = TenantId::parse("someone").expect("legal");
    let input = BlockInput { id: BlockId::random(), tenant: &tenant, sources: chunks, takes, created: UnixNanos(77) };
    write_in_groups(&input, group_rows).expect("chunks can be written")
}

/// Writes everything.
pub(super) fn write(chunks: &[Chunk], group_rows: usize) -> Option<NewBlock> {
    write_some(&chunks.iter().collect::<Vec<_>>(), group_rows, &|_| true)
}

/// Opens these files, with `meta.json` printed and parsed on the way.
pub(super) fn open(block: &NewBlock) -> Block {
    let meta = BlockMeta::parse(&block.meta.to_json()).expect("our own");
    open_files(meta, block.files.iter().cloned().collect()).expect("our own")
}

/// Opens any files.
pub(super) fn open_files(meta: BlockMeta, files: HashMap<String, Bytes>) -> Result<Block, BlockError> {
    let id = BlockId::parse(&meta.block_id).expect("checked when it was parsed");
    Block::open(id, meta, Arc::new(Memory(files)))
}

/// A chunk for each run of requests.
pub(super) fn chunks_of(runs: &[Vec<Sent>]) -> Vec<Chunk> {
    runs.iter().map(|run| chunk_of(run)).collect()
}

/// What a block has to know of a trace.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Expected {
    /// Its spans, identical ones once.
    pub(super) spans: BTreeSet<Told>,
    /// Number of spans, identical ones as often as they came.
    pub(super) num_sent: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Service and name of the root: the last one of the last run that has one.
    pub(super) root: Option<(String, String)>,
    /// Service and name of the first span.
    pub(super) first: (String, String),
}

impl Expected {
    /// Service and name that the trace is ordered by.
    pub(super) fn key(&self) -> &(String, String) {
        self.root.as_ref().unwrap_or(&self.first)
    }

    /// Spans and errors by service.
    pub(super) fn services(&self) -> BTreeMap<String, (u32, u32)> {
        let mut services: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for told in &self.spans {
            let counts = services.entry(service_of(told)).or_default();
            counts.0 += 1;
            counts.1 += u32::from(span_of(told).status.is_some_and(|status| status.code == 2));
        }
        services
    }
}

/// The span of what was told.
pub(super) fn span_of(told: &Told) -> Span {
    Span::decode(&told.4[..]).expect("it was a span")
}

/// `service.name` as spec/traceql.md §1 reads it; of several the first that has a value counts.
pub(super) fn service_of(told: &Told) -> String {
    let resource = Resource::decode(&told.0[..]).expect("it was a resource");
    let values = resource.attributes.into_iter().filter(|attribute| attribute.key == "service.name");
    match values.filter_map(|attribute| attribute.value).next().and_then(|value| value.value) {
        Some(Value::StringValue(name)) => name,
        _ => String::new(),
    }
}

/// What a block of these runs has to hold.
pub(super) fn expected(runs: &[Vec<Sent>]) -> BTreeMap<TraceId, Expected> {
    let mut traces: BTreeMap<TraceId, Expected> = BTreeMap::new();
    for told in runs.iter().flat_map(|run| told(&batches_of(run))) {
        let span = span_of(&told);
        let name = (service_of(&told), span.name.clone());
        let trace = traces.entry(TraceId::from_slice(&span.trace_id).expect("16 bytes")).or_insert_with(|| Expected {
            start: u64::MAX,
            first: name.clone(),
            ..Expected::default()
        });
        trace.start = trace.start.min(span.start_time_unix_nano);
        trace.end = trace.end.max(span.end_time_unix_nano);
        trace.num_sent += 1;
        if is_root(&span) {
            trace.root = Some(name);
        }
        trace.spans.insert(told);
    }
    traces
}
