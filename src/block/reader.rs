//! An opened block: its footers, indexes and side tables in memory, its columns read on demand.

use super::bloom::TraceBloom;
use super::catalogue::Catalogue;
use super::index::TraceIndex;
use super::meta::{BlockMeta, FileMeta, RowGroupMeta};
use super::parquet::{ColumnReader, Decoded, DecodedValues, FetchedRanges, ReadError};
use super::schema::{
    ATTRIBUTES_METADATA, AttributeEntry, CATALOGUE_FILE, DATA_FILE, EVENTS_FILE, INDEX_FILE, LINKS_FILE, RESIDUAL_KEYS_METADATA,
    RESOURCES_FILE, SCOPES_FILE, TRACES_FILE, bloom_file,
};
use super::trace_table::{GroupTraces, TraceTable, load_origins};
use crate::columns::resources::{OriginKind, OriginTable};
use crate::model::{BlockId, TraceId};
use bytes::Bytes;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Seam: reads parts of a block's files. Called from threads that may wait.
pub trait RangeRead: Send + Sync + 'static {
    /// The bytes of each range, in order.
    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadFailure>;
}

/// A range could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ReadFailure(pub String);

/// A block cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlockError {
    /// The store failed; trying again may help.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// The file's bytes make no sense.
    #[error("{file} is damaged: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

fn damaged(file: &str, reason: impl std::fmt::Display) -> BlockError {
    BlockError::Damaged { file: file.to_string(), reason: reason.to_string() }
}

/// A block that can be searched.
pub struct Block {
    id: BlockId,
    meta: BlockMeta,
    files: Arc<dyn RangeRead>,
    index: TraceIndex,
    bloom: TraceBloom,
    data: Table,
    split: Vec<TraceId>,
    traces: OnceLock<TraceTable>,
    resources: OnceLock<OriginTable>,
    scopes: OnceLock<OriginTable>,
    repeated: OnceLock<Box<[TraceId]>>,
    catalogue: OnceLock<Option<Catalogue>>,
    side: SideTables,
}

/// Tables beside that of the spans. Their footers are read with the block, so that one without them is refused then, and not
/// in every query.
struct SideTables {
    traces: Table,
    resources: Table,
    scopes: Table,
    events: Option<Table>,
    links: Option<Table>,
}

impl SideTables {
    fn open(meta: &BlockMeta, files: &dyn RangeRead) -> Result<Self, BlockError> {
        let table = |file: &str| Table::open(meta, files, file);
        let if_there = |file: &str| meta.files.iter().any(|listed| listed.name == file).then(|| table(file)).transpose();
        Ok(SideTables {
            traces: table(TRACES_FILE)?,
            resources: table(RESOURCES_FILE)?,
            scopes: table(SCOPES_FILE)?,
            events: if_there(EVENTS_FILE)?,
            links: if_there(LINKS_FILE)?,
        })
    }
}

impl Block {
    /// Reads what every query needs: indexes and footers. Waits for the store.
    pub fn open(id: BlockId, meta: BlockMeta, files: Arc<dyn RangeRead>) -> Result<Self, BlockError> {
        let first = Arc::clone(&files);
        Self::open_with(id, meta, first.as_ref(), files)
    }

    /// As [`open`](Self::open), reading from `first` now and from `files` later: a writer has the files in memory.
    pub fn open_with(id: BlockId, meta: BlockMeta, first: &dyn RangeRead, files: Arc<dyn RangeRead>) -> Result<Self, BlockError> {
        let whole = |name: &str| read_whole(&meta, first, name);
        let index = TraceIndex::decode(whole(INDEX_FILE)?).map_err(|error| damaged(INDEX_FILE, error))?;
        let shards = (0..meta.bloom_shards as usize).map(|shard| whole(&bloom_file(shard))).collect::<Result<Vec<_>, _>>()?;
        let bloom = TraceBloom::decode(&shards).map_err(|error| damaged("bloom", error))?;
        let data = Table::open(&meta, first, DATA_FILE)?;
        check_row_groups(&meta, &data.metadata)?;
        check_traces(&meta, &index)?;
        let side = SideTables::open(&meta, first)?;
        let mut split: Vec<TraceId> = meta.split.iter().filter_map(|id| TraceId::parse(id).ok()).collect();
        split.sort_unstable();
        Ok(Block {
            id,
            files,
            index,
            bloom,
            data,
            split,
            meta,
            traces: OnceLock::new(),
            resources: OnceLock::new(),
            scopes: OnceLock::new(),
            repeated: OnceLock::new(),
            catalogue: OnceLock::new(),
            side,
        })
    }

    /// The block's id.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// The block's description.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Row groups, in order.
    pub fn row_groups(&self) -> &[RowGroupMeta] {
        &self.meta.row_groups
    }

    /// The ordinal of a trace, if the block has spans of it.
    pub fn find(&self, id: &TraceId) -> Option<u32> {
        if self.bloom.may_contain(id) { self.index.find(id) } else { None }
    }

    /// The trace of an ordinal.
    pub fn trace_id(&self, ordinal: u32) -> TraceId {
        self.index.id_of(ordinal)
    }

    /// Traces that were in earlier blocks when this one was written, ascending.
    pub fn split(&self) -> &[TraceId] {
        &self.split
    }

    /// A place for what readers find out about the split traces: which of them have a span that another block has too. Blocks do
    /// not change, so it is found out once.
    pub fn repeated(&self) -> &OnceLock<Box<[TraceId]>> {
        &self.repeated
    }

    /// Summaries of all traces.
    pub fn traces(&self) -> Result<&TraceTable, BlockError> {
        load_once(&self.traces, || TraceTable::load(&self.side.traces, self.files.as_ref(), &self.meta))
    }

    /// Summaries of the traces of one row group; nothing is kept.
    pub(super) fn group_traces(&self, group: usize) -> Result<GroupTraces, BlockError> {
        GroupTraces::load(&self.side.traces, self.files.as_ref(), &self.meta, group)
    }

    /// The traces in the order of their ids, each with its ordinal.
    pub fn sorted_traces(&self) -> impl Iterator<Item = (TraceId, u32)> + '_ {
        self.index.sorted()
    }

    /// Resources of all spans.
    pub fn resources(&self) -> Result<&OriginTable, BlockError> {
        load_once(&self.resources, || load_origins(&self.side.resources, self.files.as_ref(), OriginKind::Resource))
    }

    /// Instrumentation scopes of all spans.
    pub fn scopes(&self) -> Result<&OriginTable, BlockError> {
        load_once(&self.scopes, || load_origins(&self.side.scopes, self.files.as_ref(), OriginKind::Scope))
    }

    /// What the block tells of its columns and values; `None` if it was written without a catalogue, or with one of a later version.
    pub fn catalogue(&self) -> Result<Option<&Catalogue>, BlockError> {
        load_once(&self.catalogue, || match self.meta.files.iter().any(|listed| listed.name == CATALOGUE_FILE) {
            true => {
                let bytes = read_whole(&self.meta, self.files.as_ref(), CATALOGUE_FILE)?;
                Catalogue::decode(&bytes).map_err(|error| damaged(CATALOGUE_FILE, error))
            }
            false => Ok(None),
        })
        .map(Option::as_ref)
    }

    /// The table of spans.
    pub fn data(&self) -> &Table {
        &self.data
    }

    /// The table of events, if the block has any.
    pub fn events(&self) -> Option<&Table> {
        self.side.events.as_ref()
    }

    /// The table of links, if the block has any.
    pub fn links(&self) -> Option<&Table> {
        self.side.links.as_ref()
    }

    /// Where the block's files are read from.
    pub fn files(&self) -> &dyn RangeRead {
        self.files.as_ref()
    }
}

fn load_once<T>(cell: &OnceLock<T>, load: impl FnOnce() -> Result<T, BlockError>) -> Result<&T, BlockError> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = load()?;
    // Two readers may load at once; both loaded the same immutable file.
    Ok(cell.get_or_init(|| value))
}

fn listed<'m>(meta: &'m BlockMeta, name: &str) -> Result<&'m FileMeta, BlockError> {
    let listed = meta.files.iter().find(|file| file.name == name);
    listed.ok_or_else(|| damaged(super::schema::META_FILE, format!("{name} is not listed")))
}

/// No index, filter or footer comes near this; a larger length in `meta.json` must not become an allocation.
const MAX_PART_BYTES: u64 = 1 << 30;

fn read_whole(meta: &BlockMeta, files: &dyn RangeRead, name: &str) -> Result<Bytes, BlockError> {
    let listed = listed(meta, name)?;
    if listed.bytes > MAX_PART_BYTES {
        return Err(damaged(super::schema::META_FILE, format!("{name} cannot have {} bytes", listed.bytes)));
    }
    let mut read = files.read(name, std::slice::from_ref(&(0..listed.bytes)))?;
    let part = read.pop().filter(|part| part.len() as u64 == listed.bytes).ok_or_else(|| damaged(name, "it is too short"))?;
    if crc32c::crc32c(&part) == listed.crc32c { Ok(part) } else { Err(damaged(name, "its checksum is wrong")) }
}

fn check_row_groups(meta: &BlockMeta, metadata: &ParquetMetaData) -> Result<(), BlockError> {
    let rows = metadata.row_groups().iter().map(|group| group.num_rows());
    let listed = meta.row_groups.iter().map(|group| i64::from(group.num_spans));
    if rows.eq(listed) { Ok(()) } else { Err(damaged(DATA_FILE, "its row groups are not those of meta.json")) }
}

/// All parts must agree on the number of traces, so that an ordinal of one is an ordinal of all.
fn check_traces(meta: &BlockMeta, index: &TraceIndex) -> Result<(), BlockError> {
    let num_traces: u64 = meta.row_groups.iter().map(|group| u64::from(group.num_traces)).sum();
    if num_traces == meta.num_traces && num_traces == index.len() as u64 {
        return Ok(());
    }
    Err(damaged(INDEX_FILE, format!("it has {} traces, meta.json {} and {num_traces} in row groups", index.len(), meta.num_traces)))
}

/// One Parquet file of a block: its footer, and where its columns are.
pub struct Table {
    file: String,
    metadata: Arc<ParquetMetaData>,
    leaves: HashMap<String, usize>,
    attributes: Vec<AttributeEntry>,
    residual_keys: Vec<String>,
}

impl Table {
    fn open(meta: &BlockMeta, files: &dyn RangeRead, file: &str) -> Result<Self, BlockError> {
        let metadata = read_footer(files, listed(meta, file)?)?;
        let schema = metadata.file_metadata().schema_descr();
        let leaves = (0..schema.num_columns()).map(|leaf| (schema.column(leaf).name().to_string(), leaf)).collect();
        let listed = metadata_entry(&metadata, ATTRIBUTES_METADATA).unwrap_or("[]");
        let attributes = serde_json::from_str(listed).map_err(|error| damaged(file, error))?;
        let listed = metadata_entry(&metadata, RESIDUAL_KEYS_METADATA).unwrap_or("[]");
        let residual_keys = serde_json::from_str(listed).map_err(|error| damaged(file, error))?;
        Ok(Table { file: file.to_string(), metadata, leaves, attributes, residual_keys })
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The names of its columns.
    pub fn leaf_names(&self) -> impl Iterator<Item = &str> {
        self.leaves.keys().map(String::as_str)
    }

    /// Attribute columns; a column's position is its ordinal in the order of attributes.
    pub fn attributes(&self) -> &[AttributeEntry] {
        &self.attributes
    }

    /// Keys of attributes of which some values have no column of their own.
    pub fn residual_keys(&self) -> &[String] {
        &self.residual_keys
    }

    /// Number of row groups.
    pub fn num_row_groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Number of rows of a row group.
    pub fn num_rows(&self, group: usize) -> usize {
        self.metadata.row_groups().get(group).map_or(0, |group| group.num_rows().max(0) as usize)
    }

    /// A text entry of the file's metadata.
    pub fn metadata_entry(&self, key: &str) -> Option<&str> {
        metadata_entry(&self.metadata, key)
    }

    /// A reader for one column of one row group; `None` if the file has no such leaf.
    pub fn column(&self, group: usize, leaf: &str) -> Result<Option<ColumnReader>, BlockError> {
        let Some(&leaf) = self.leaves.get(leaf) else { return Ok(None) };
        ColumnReader::new(Arc::clone(&self.metadata), group, leaf).map(Some).map_err(|error| self.damage(&error))
    }

    /// Reads and decodes a column of a row group whole; `None` if the file has no such leaf.
    pub fn decode(&self, files: &dyn RangeRead, group: usize, leaf: &str) -> Result<Option<Decoded>, BlockError> {
        let Some(column) = self.column(group, leaf)? else { return Ok(None) };
        let fetched = self.fetch(files, column.bytes_of_all())?;
        column.decode_all(&fetched).map(Some).map_err(|error| self.damage(&error))
    }

    /// As [`decode`](Self::decode), only some ascending rows.
    pub fn decode_some(&self, files: &dyn RangeRead, group: usize, leaf: &str, rows: &[u32]) -> Result<Option<Decoded>, BlockError> {
        let Some(column) = self.column(group, leaf)? else { return Ok(None) };
        let fetched = self.fetch(files, column.bytes_of_some(rows))?;
        column.decode_some(&fetched, rows).map(Some).map_err(|error| self.damage(&error))
    }

    /// As [`decode`](Self::decode) for a column that every such file has.
    pub fn decode_required(&self, files: &dyn RangeRead, group: usize, leaf: &str) -> Result<Decoded, BlockError> {
        self.decode(files, group, leaf)?.ok_or_else(|| damaged(&self.file, format!("column {leaf} is missing")))
    }

    /// As [`decode_required`](Self::decode_required) for a column that has a value in every row.
    pub fn decode_dense(&self, files: &dyn RangeRead, group: usize, leaf: &str) -> Result<DecodedValues, BlockError> {
        let decoded = self.decode_required(files, group, leaf)?;
        if decoded.rows.is_none() { Ok(decoded.values) } else { Err(self.mistyped(leaf)) }
    }

    /// Reads ranges of the file.
    pub fn fetch(&self, files: &dyn RangeRead, ranges: Vec<Range<u64>>) -> Result<FetchedRanges, BlockError> {
        if ranges.is_empty() {
            return Ok(FetchedRanges::new(Vec::new()));
        }
        let parts = files.read(&self.file, &ranges)?;
        Ok(FetchedRanges::new(ranges.iter().map(|range| range.start).zip(parts).collect()))
    }

    /// The error for bytes of this file that make no sense.
    pub fn damage(&self, error: &ReadError) -> BlockError {
        damaged(&self.file, error)
    }

    /// The error for a column of another type than it should have.
    pub fn mistyped(&self, leaf: &str) -> BlockError {
        damaged(&self.file, format!("column {leaf} has another type"))
    }
}

fn metadata_entry<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    entries.iter().find(|entry| entry.key == key)?.value.as_deref()
}

fn read_footer(files: &dyn RangeRead, listed: &FileMeta) -> Result<Arc<ParquetMetaData>, BlockError> {
    let file = &listed.name;
    let no_footer = || damaged(super::schema::META_FILE, format!("the footer of {file} is not listed"));
    let footer = listed.footer.filter(|footer| footer.bytes <= listed.bytes.min(MAX_PART_BYTES)).ok_or_else(no_footer)?;
    let range = listed.bytes - footer.bytes..listed.bytes;
    let part = files.read(file, std::slice::from_ref(&range))?.pop().unwrap_or_default();
    if part.len() as u64 != footer.bytes || crc32c::crc32c(&part) != footer.crc32c {
        return Err(damaged(file, "the checksum of its footer is wrong"));
    }
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    reader.try_parse_sized(&part, listed.bytes).map_err(|error| damaged(file, error))?;
    reader.finish().map(Arc::new).map_err(|error| damaged(file, error))
}
