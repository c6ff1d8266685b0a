//! Several blocks become one, row group by row group.
//!
//! Traces that have pieces in several inputs are read back into chunks, joined, and written to small blocks in memory
//! ([`shared`]); these are inputs like the others from then on. So every trace comes from one input, whole, and its rows are
//! copied as they are: depth-first order, `parent_offset` and `subtree` say the same in any block. The inputs are sorted, so
//! their traces are taken as in a merge of sorted lists ([`order`]), and a row group of the output needs a range of rows of
//! each input. Column after column these ranges are decoded, put in order and encoded ([`rows`], [`gather`]); at no time is more
//! than one row group in memory encoded, and one of its columns decoded. Files go to a [`BlockSink`] as they are written.
//!
//! Which attributes get columns is decided anew, from the counts in the inputs' footers ([`attributes`]).
//!
//! An input is checked against its checksums first, so that damage ends the merge and is not copied under new ones.

mod attributes;
mod details;
mod gather;
mod ids;
mod moved;
mod order;
mod rare;
mod rows;
mod shared;
mod spans;
mod summaries;
mod verify;

use super::arrange::ROW_GROUP_ROWS;
use super::bloom::TraceBloom;
use super::catalogue::CatalogueWriter;
use super::meta::{BlockMeta, FORMAT, FileMeta, RowGroupMeta, VERSION};
use super::origins::{Origins, write_origins};
use super::output::BlockSink;
use super::parquet::MAX_ROWS;
use super::reader::{Block, BlockError, Table};
use super::schema::bloom_file;
use super::writer::{WriteError, write_whole};
use crate::columns::known::Holder;
use crate::columns::resources::OriginKind;
use crate::model::{BlockId, TenantId};
use details::DetailMerge;
use ids::OutputIds;
use order::{Inputs, Merging, OutputGroup};
use shared::SharedTraces;
use spans::SpanMerge;
use std::sync::Arc;
use summaries::SummaryMerge;

/// What is merged, and where to.
pub struct MergeInput<'a> {
    /// The new block's id.
    pub id: BlockId,
    /// Whose blocks they are.
    pub tenant: &'a TenantId,
    /// The blocks, at least one.
    pub inputs: &'a [Arc<Block>],
    /// Takes the files of the new block, all but `meta.json`.
    pub sink: &'a dyn BlockSink,
    /// Asked now and then whether to stop.
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// A block whose files are written.
pub struct Merged {
    /// Content of `meta.json`; `split` is the caller's to fill.
    pub meta: BlockMeta,
    /// Identical spans that were left out.
    pub num_duplicates: usize,
    /// Traces whose pieces were joined.
    pub num_joined: usize,
}

/// Blocks could not be merged; they are as they were.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// An input cannot be read.
    #[error("block {block}: {source}")]
    Input {
        /// The input.
        block: BlockId,
        /// What is wrong with it.
        source: BlockError,
    },
    /// The new block cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Together they are more than one block can hold.
    #[error("the blocks are too large to be one: {0}")]
    TooLarge(&'static str),
    /// It was told to stop.
    #[error("the merge was cancelled")]
    Cancelled,
}

impl MergeError {
    /// The input that is to blame, if one is.
    pub fn bad_input(&self) -> Option<BlockId> {
        match self {
            MergeError::Input { block, source: BlockError::Damaged { .. } } => Some(*block),
            _ => None,
        }
    }
}

impl From<parquet::errors::ParquetError> for MergeError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        MergeError::Write(error.into())
    }
}

impl From<std::io::Error> for MergeError {
    fn from(error: std::io::Error) -> Self {
        MergeError::Write(error.into())
    }
}

/// One of a block's tables, if the block has it.
type TableOf = fn(&Block) -> Result<Option<&Table>, BlockError>;

/// The error of reading this block.
fn of_block(block: &Block) -> impl Fn(BlockError) -> MergeError {
    let block = block.id();
    move |source| MergeError::Input { block, source }
}

/// Writes one block with the traces of all inputs. Waits for the store; takes long.
pub fn merge_blocks(input: &MergeInput<'_>) -> Result<Merged, MergeError> {
    merge_in_groups(input, ROW_GROUP_ROWS)
}

/// As [`merge_blocks`] with row groups of another size; tests lower it.
pub(super) fn merge_in_groups(input: &MergeInput<'_>, group_rows: usize) -> Result<Merged, MergeError> {
    let mut inputs = input.inputs.to_vec();
    // In the order of arrival: of the roots of a trace's pieces the first counts, as it does for a query that joins them.
    inputs.sort_by_key(|block| (block.meta().created_unix_nano, block.id()));
    check_sizes(&inputs)?;
    for block in &inputs {
        check_cancelled(input)?;
        verify::verify(block).map_err(of_block(block))?;
    }
    let shared = SharedTraces::find(&inputs)?;
    let num_joined = shared.len();
    let mut output = Output::start(input.sink, &inputs, shared.num_traces())?;
    let mut merging = Merging::new(inputs.clone(), shared, group_rows)?;
    while let Some(group) = merging.next_group(|block| output.origins.add(block))? {
        check_cancelled(input)?;
        output.write(merging.inputs(), &group)?;
    }
    let num_duplicates = merging.num_duplicates();
    let (files, row_groups, bloom_shards) = output.finish(&inputs)?;
    Ok(Merged { meta: meta(input, files, row_groups, bloom_shards), num_duplicates, num_joined })
}

fn check_cancelled(input: &MergeInput<'_>) -> Result<(), MergeError> {
    if (input.is_cancelled)() { Err(MergeError::Cancelled) } else { Ok(()) }
}

/// Rows are numbered with 31 bits in the files.
fn check_sizes(inputs: &[Arc<Block>]) -> Result<(), MergeError> {
    let total = |count: fn(&RowGroupMeta) -> u32| -> u64 {
        inputs.iter().flat_map(|block| block.row_groups()).map(|group| u64::from(count(group))).sum()
    };
    let counts: [fn(&RowGroupMeta) -> u32; 3] = [|group| group.num_spans, |group| group.num_events, |group| group.num_links];
    if counts.into_iter().any(|count| total(count) > i32::MAX as u64) {
        return Err(MergeError::TooLarge("there would be more than 2^31 rows"));
    }
    Ok(())
}

/// Spans of all inputs, those that are stored twice twice.
fn num_spans(inputs: &[Arc<Block>]) -> usize {
    inputs.iter().map(|block| block.meta().num_spans as usize).sum()
}

/// Resources and scopes of all inputs, numbered anew.
struct MergedOrigins {
    resources: Origins,
    scopes: Origins,
}

impl MergedOrigins {
    fn add(&mut self, block: &Block) -> Result<(), MergeError> {
        self.resources.add(block.resources().map_err(of_block(block))?);
        self.scopes.add(block.scopes().map_err(of_block(block))?);
        Ok(())
    }
}

/// The files under construction.
struct Output<'a> {
    sink: &'a dyn BlockSink,
    origins: MergedOrigins,
    spans: SpanMerge,
    events: Option<DetailMerge>,
    links: Option<DetailMerge>,
    summaries: SummaryMerge,
    bloom: TraceBloom,
    ids: OutputIds,
    row_groups: Vec<RowGroupMeta>,
}

impl<'a> Output<'a> {
    fn start(sink: &'a dyn BlockSink, inputs: &[Arc<Block>], num_traces: usize) -> Result<Self, MergeError> {
        let mut origins = MergedOrigins { resources: Origins::new(OriginKind::Resource), scopes: Origins::new(OriginKind::Scope) };
        inputs.iter().try_for_each(|block| origins.add(block))?;
        Ok(Output {
            sink,
            origins,
            spans: SpanMerge::start(sink, inputs)?,
            events: DetailMerge::start_events(sink, inputs)?,
            links: DetailMerge::start_links(sink, inputs)?,
            summaries: SummaryMerge::start(sink)?,
            bloom: TraceBloom::sized(num_traces).map_err(WriteError::from)?,
            ids: OutputIds::new(inputs),
            row_groups: Vec::new(),
        })
    }

    fn write(&mut self, inputs: &Inputs, group: &OutputGroup) -> Result<(), MergeError> {
        if group.num_spans() as usize > MAX_ROWS {
            return Err(MergeError::TooLarge("a trace has more spans than a row group can have"));
        }
        self.spans.write(inputs, group, &self.origins)?;
        if let Some(events) = &mut self.events {
            events.write(inputs, &group.events, group)?;
        }
        if let Some(links) = &mut self.links {
            links.write(inputs, &group.links, group)?;
        }
        self.summaries.write(group)?;
        for trace in &group.traces {
            self.bloom.insert(&trace.id);
            self.ids.add(trace);
        }
        self.row_groups.push(group.meta());
        Ok(())
    }

    fn finish(self, inputs: &[Arc<Block>]) -> Result<(Vec<FileMeta>, Vec<RowGroupMeta>, u32), MergeError> {
        let mut catalogue = CatalogueWriter::new(num_spans(inputs));
        let mut files = self.spans.finish(&mut catalogue)?;
        files.push(self.summaries.finish()?);
        for (holder, details) in [(Holder::Event, self.events), (Holder::Link, self.links)] {
            files.extend(details.map(|details| details.finish(holder, &mut catalogue)).transpose()?.into_iter().flatten());
        }
        catalogue.add_origins(Holder::Resource, self.origins.resources.entries());
        catalogue.add_origins(Holder::Instrumentation, self.origins.scopes.entries());
        files.push(catalogue.write(self.sink)?);
        files.push(write_origins(&self.origins.resources, self.sink)?);
        files.push(write_origins(&self.origins.scopes, self.sink)?);
        files.push(self.ids.write(inputs, self.sink)?);
        let shards = self.bloom.encode();
        for (shard, bytes) in shards.iter().enumerate() {
            files.push(write_whole(self.sink, &bloom_file(shard), bytes)?);
        }
        Ok((files, self.row_groups, shards.len() as u32))
    }
}

fn meta(input: &MergeInput<'_>, files: Vec<FileMeta>, row_groups: Vec<RowGroupMeta>, bloom_shards: u32) -> BlockMeta {
    let metas = || input.inputs.iter().map(|block| block.meta());
    BlockMeta {
        format: FORMAT.to_string(),
        version: VERSION,
        block_id: input.id.to_string(),
        tenant: input.tenant.to_string(),
        start_unix_nano: row_groups.iter().map(|group| group.start_unix_nano).min().unwrap_or(0),
        end_unix_nano: row_groups.iter().map(|group| group.end_unix_nano).max().unwrap_or(0),
        // Retention counts from the arrival of spans; merging must not put it off.
        created_unix_nano: metas().map(|meta| meta.created_unix_nano).max().unwrap_or(0),
        num_spans: row_groups.iter().map(|group| u64::from(group.num_spans)).sum(),
        num_traces: row_groups.iter().map(|group| u64::from(group.num_traces)).sum(),
        level: metas().map(|meta| meta.level).max().unwrap_or(0).saturating_add(1),
        bloom_shards,
        replaces: metas().flat_map(|meta| std::iter::once(&meta.block_id).chain(&meta.replaces)).cloned().collect(),
        split: Vec::new(),
        row_groups,
        files,
    }
}
