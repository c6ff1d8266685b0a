//! From chunks to the files of a block, in memory.
//!
//! [`arrange`] decides the order of rows; then each table is written row group by row group and column by column, so
//! that only one column of one row group is expanded at a time. Putting the files into a store, `meta.json` last, is the
//! caller's work.

use super::arrange::{Arrangement, ROW_GROUP_ROWS, arrange};
use super::bloom::{BloomError, TraceBloom};
use super::catalogue::CatalogueWriter;
use super::details::write_details;
use super::gather::{NOT_TAKEN, RowMap};
use super::index;
use super::meta::{BlockMeta, FORMAT, FileMeta, RowGroupMeta, VERSION};
use super::origins::{Origins, write_origins};
use super::output::{BlockSink, MemoryFiles, Output};
use super::plan::Plan;
use super::schema::{INDEX_FILE, bloom_file};
use super::spans::write_spans;
use super::summaries::write_traces;
use crate::columns::Chunk;
use crate::columns::known::Holder;
use crate::model::{BlockId, TenantId, TraceId, UnixNanos};
use bytes::Bytes;
use parquet::errors::ParquetError;
use std::io::Write;

/// What a new block is made of.
pub struct BlockInput<'a> {
    /// The block's id.
    pub id: BlockId,
    /// Whose spans they are.
    pub tenant: &'a TenantId,
    /// Chunks to take spans from.
    pub sources: &'a [&'a Chunk],
    /// Which traces to take; all their spans in the sources are taken.
    pub takes: &'a dyn Fn(&TraceId) -> bool,
    /// When the block is written.
    pub created: UnixNanos,
}

/// The files of a block, not yet stored.
pub struct NewBlock {
    /// Content of `meta.json`; `split` is the caller's to fill.
    pub meta: BlockMeta,
    /// The other files by name.
    pub files: Vec<(String, Bytes)>,
    /// The traces in it, in ordinal order.
    pub trace_ids: Vec<TraceId>,
    /// Identical spans that were left out.
    pub num_duplicates: usize,
}

/// A block could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The Parquet writer refused.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// A file could not be written.
    #[error("a file of the block could not be written: {0}")]
    Output(#[from] std::io::Error),
    /// The Bloom filter could not be built.
    #[error(transparent)]
    Bloom(#[from] BloomError),
}

/// Writes a block; `None` if no span is taken.
pub fn write_block(input: &BlockInput<'_>) -> Result<Option<NewBlock>, WriteError> {
    write_in_groups(input, ROW_GROUP_ROWS)
}

/// As [`write_block`] with row groups of another size; tests lower it.
pub(super) fn write_in_groups(input: &BlockInput<'_>, group_rows: usize) -> Result<Option<NewBlock>, WriteError> {
    let arrangement = arrange(input.sources, input.takes, group_rows);
    if arrangement.rows.is_empty() {
        return Ok(None);
    }
    let row_map = row_map(input.sources, &arrangement);
    let resources = Origins::collect(input.sources.iter().map(|chunk| &chunk.resources));
    let scopes = Origins::collect(input.sources.iter().map(|chunk| &chunk.scopes));
    let plan = Plan { sources: input.sources, arrangement: &arrangement, row_map: &row_map, resources: &resources, scopes: &scopes };
    let sink = MemoryFiles::default();
    let mut catalogue = CatalogueWriter::new(plan.num_spans());
    let mut listed = write_spans(&plan, &sink, &mut catalogue)?;
    let details = write_details(&plan, &sink, &mut catalogue)?;
    listed.extend(details.files);
    listed.push(write_traces(&plan, &details.counts, &sink)?);
    listed.push(write_origins(&resources, &sink)?);
    listed.push(write_origins(&scopes, &sink)?);
    catalogue.add_origins(Holder::Resource, resources.entries());
    catalogue.add_origins(Holder::Instrumentation, scopes.entries());
    listed.push(catalogue.write(&sink)?);
    let trace_ids: Vec<TraceId> = arrangement.traces.iter().map(|trace| trace.id).collect();
    listed.push(write_whole(&sink, INDEX_FILE, &index::encode(&trace_ids))?);
    let shards = TraceBloom::build(&trace_ids)?.encode();
    let bloom_shards = shards.len() as u32;
    for (shard, bytes) in shards.iter().enumerate() {
        listed.push(write_whole(&sink, &bloom_file(shard), bytes)?);
    }
    let row_groups = row_group_metas(&plan, &details.counts);
    let meta = meta(input, &arrangement, row_groups, bloom_shards, listed);
    Ok(Some(NewBlock { meta, files: sink.take(), trace_ids, num_duplicates: arrangement.num_duplicates }))
}

fn row_map(sources: &[&Chunk], arrangement: &Arrangement) -> RowMap {
    let mut map: RowMap = sources.iter().map(|chunk| vec![NOT_TAKEN; chunk.num_rows()]).collect();
    for (row, origin) in arrangement.rows.iter().enumerate() {
        map[origin.source as usize][origin.row as usize] = row as u32;
    }
    map
}

fn row_group_metas(plan: &Plan<'_>, counts: &[(u32, u32)]) -> Vec<RowGroupMeta> {
    let of_group = |ordinals: &std::ops::Range<usize>| {
        let traces = &plan.arrangement.traces[ordinals.clone()];
        RowGroupMeta {
            num_spans: traces.iter().map(|trace| trace.num_rows).sum(),
            num_traces: traces.len() as u32,
            num_events: counts[ordinals.clone()].iter().map(|(events, _)| events).sum(),
            num_links: counts[ordinals.clone()].iter().map(|(_, links)| links).sum(),
            start_unix_nano: traces.iter().map(|trace| trace.start).min().unwrap_or(0),
            newest_start_unix_nano: traces.iter().map(|trace| trace.start).max().unwrap_or(0),
            end_unix_nano: traces.iter().map(|trace| trace.end).max().unwrap_or(0),
        }
    };
    plan.arrangement.row_groups.iter().map(of_group).collect()
}

/// Writes a file that is in memory.
pub(super) fn write_whole(sink: &dyn BlockSink, name: &str, bytes: &[u8]) -> std::io::Result<FileMeta> {
    let mut output = Output::create(sink, name)?;
    output.write_all(bytes)?;
    output.finish()
}

fn meta(
    input: &BlockInput<'_>,
    arrangement: &Arrangement,
    row_groups: Vec<RowGroupMeta>,
    bloom_shards: u32,
    files: Vec<FileMeta>,
) -> BlockMeta {
    BlockMeta {
        format: FORMAT.to_string(),
        version: VERSION,
        block_id: input.id.to_string(),
        tenant: input.tenant.to_string(),
        start_unix_nano: arrangement.traces.iter().map(|trace| trace.start).min().unwrap_or(0),
        end_unix_nano: arrangement.traces.iter().map(|trace| trace.end).max().unwrap_or(0),
        created_unix_nano: input.created.0,
        num_spans: arrangement.rows.len() as u64,
        num_traces: arrangement.traces.len() as u64,
        level: 0,
        bloom_shards,
        replaces: Vec::new(),
        split: Vec::new(),
        row_groups,
        files,
    }
}
