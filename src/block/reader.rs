//! An opened block: its footers, indexes and side tables in memory while there is room, its columns read on demand.

use super::bloom::TraceBloom;
use super::catalogue::{Catalogue, SpanCounts};
pub use super::footer::Table;
use super::index::TraceIndex;
use super::meta::{BlockMeta, FileMeta, RowGroupMeta};
use super::parts::{PartCache, PartKind, Weighed};
use super::schema::{CATALOGUE_FILE, DATA_FILE, EVENTS_FILE, INDEX_FILE, LINKS_FILE, TABLE_FILES, bloom_file};
use super::trace_table::{GroupTraces, TraceTable, load_origins};
use crate::columns::resources::{OriginKind, OriginTable};
use crate::model::{BlockId, TraceId};
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};

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

pub(super) fn damaged(file: &str, reason: impl std::fmt::Display) -> BlockError {
    BlockError::Damaged { file: file.to_string(), reason: reason.to_string() }
}

/// A block that can be searched, as one reader sees it: what it has looked at stays until it is dropped. Parts come from the
/// cache that all blocks share, or from the files.
pub struct Block {
    opened: Arc<OpenedBlock>,
    parts: Parts,
}

/// What there is of a block once, however many read it.
pub struct OpenedBlock {
    id: BlockId,
    meta: BlockMeta,
    files: Arc<dyn RangeRead>,
    split: Vec<TraceId>,
    repeated: OnceLock<Box<[TraceId]>>,
    damage: Arc<Damage>,
    /// Where parts are kept for other readers, and the block's number there.
    cache: Option<(Arc<PartCache>, u64)>,
}

impl Drop for OpenedBlock {
    fn drop(&mut self) {
        if let Some((cache, number)) = &self.cache {
            cache.remove(*number);
        }
    }
}

/// The first thing in a block that made no sense.
#[derive(Default)]
pub(super) struct Damage(OnceLock<String>);

impl Damage {
    pub(super) fn error(&self, file: &str, reason: impl std::fmt::Display) -> BlockError {
        let error = damaged(file, reason);
        let _ = self.0.set(error.to_string());
        error
    }
}

/// The parts that a reader has looked at.
#[derive(Default)]
struct Parts {
    bloom: OnceLock<Arc<TraceBloom>>,
    index: OnceLock<Arc<TraceIndex>>,
    tables: [OnceLock<Arc<Table>>; NUM_TABLES],
    traces: OnceLock<Arc<TraceTable>>,
    resources: OnceLock<Arc<OriginTable>>,
    scopes: OnceLock<Arc<OriginTable>>,
    catalogue: OnceLock<Arc<CataloguePart>>,
}

/// A catalogue, unless it is of a later version.
struct CataloguePart {
    catalogue: Option<Catalogue>,
    num_bytes: usize,
}

impl Weighed for CataloguePart {
    /// Maps with texts of their own take about three times the file.
    fn memory(&self) -> usize {
        3 * self.num_bytes
    }
}

/// Number of Parquet files of a block.
pub(super) const NUM_TABLES: usize = TABLE_FILES.len();

/// Tables, each with that of its rare attributes: both may be absent, but for the first.
const RARE_OF: [(&str, usize); 3] = [(DATA_FILE, 6), (EVENTS_FILE, 7), (LINKS_FILE, 8)];

/// Positions in [`TABLE_FILES`].
const DATA: usize = 0;
const EVENTS: usize = 1;
const LINKS: usize = 2;
const TRACES: usize = 3;
const RESOURCES: usize = 4;
const SCOPES: usize = 5;

impl Block {
    /// Reads what every query needs: indexes and footers. Waits for the store.
    pub fn open(id: BlockId, meta: BlockMeta, files: Arc<dyn RangeRead>) -> Result<Self, BlockError> {
        let first = Arc::clone(&files);
        Self::open_with(id, meta, first.as_ref(), files, None)
    }

    /// As [`open`](Self::open), reading from `first` now and from `files` later: a writer has the files in memory. With a cache,
    /// what was read is there for other readers of the block.
    pub fn open_with(
        id: BlockId,
        meta: BlockMeta,
        first: &dyn RangeRead,
        files: Arc<dyn RangeRead>,
        cache: Option<Arc<PartCache>>,
    ) -> Result<Self, BlockError> {
        let mut split: Vec<TraceId> = meta.split.iter().filter_map(|id| TraceId::parse(id).ok()).collect();
        split.sort_unstable();
        let cache = cache.map(|cache| (Arc::clone(&cache), cache.number_block()));
        let (repeated, damage) = (OnceLock::new(), Arc::default());
        let block = Block { opened: Arc::new(OpenedBlock { id, meta, files, split, repeated, damage, cache }), parts: Parts::default() };
        // All of them now, so that a block without one is refused now, and not in every query.
        block.index_from(first)?;
        block.bloom_from(first)?;
        block.catalogue_from(first)?;
        for (at, file) in TABLE_FILES.iter().enumerate() {
            if block.has_file(file) || matches!(at, DATA | TRACES | RESOURCES | SCOPES) {
                block.table_from(first, at)?;
            }
        }
        Ok(block)
    }

    /// The same block for another reader, who has not looked at anything.
    pub fn for_reader(&self) -> Block {
        Block { opened: Arc::clone(&self.opened), parts: Parts::default() }
    }

    /// Alive as long as somebody reads the block, or has it in a list.
    pub fn readers(&self) -> Weak<OpenedBlock> {
        Arc::downgrade(&self.opened)
    }

    /// What made no sense in the block's files, if anything did so far.
    pub fn damage(&self) -> Option<&str> {
        self.opened.damage.0.get().map(String::as_str)
    }

    /// The block's id.
    pub fn id(&self) -> BlockId {
        self.opened.id
    }

    /// The block's description.
    pub fn meta(&self) -> &BlockMeta {
        &self.opened.meta
    }

    /// Row groups, in order.
    pub fn row_groups(&self) -> &[RowGroupMeta] {
        &self.opened.meta.row_groups
    }

    /// The ordinal of a trace, if the block has spans of it.
    pub fn find(&self, id: &TraceId) -> Result<Option<u32>, BlockError> {
        if self.bloom_from(self.files())?.may_contain(id) { Ok(self.index()?.find(id)) } else { Ok(None) }
    }

    /// Trace ids and ordinals.
    pub fn index(&self) -> Result<&TraceIndex, BlockError> {
        self.index_from(self.files())
    }

    /// The trace of an ordinal.
    pub fn trace_id(&self, ordinal: u32) -> Result<TraceId, BlockError> {
        Ok(self.index()?.id_of(ordinal))
    }

    /// Traces that were in earlier blocks when this one was written, ascending.
    pub fn split(&self) -> &[TraceId] {
        &self.opened.split
    }

    /// A place for what readers find out about the split traces: which of them have a span that another block has too. Blocks do
    /// not change, so it is found out once.
    pub fn repeated(&self) -> &OnceLock<Box<[TraceId]>> {
        &self.opened.repeated
    }

    /// Summaries of all traces.
    pub fn traces(&self) -> Result<&TraceTable, BlockError> {
        self.part(&self.parts.traces, PartKind::Traces, || TraceTable::load(self.table(TRACES)?, self.files(), self.meta()))
    }

    /// Summaries of the traces of one row group; nothing is kept.
    pub(super) fn group_traces(&self, group: usize) -> Result<GroupTraces, BlockError> {
        GroupTraces::load(self.table(TRACES)?, self.files(), self.meta(), group)
    }

    /// Resources of all spans.
    pub fn resources(&self) -> Result<&OriginTable, BlockError> {
        let load = || load_origins(self.table(RESOURCES)?, self.files(), OriginKind::Resource);
        self.part(&self.parts.resources, PartKind::Resources, load)
    }

    /// Instrumentation scopes of all spans.
    pub fn scopes(&self) -> Result<&OriginTable, BlockError> {
        let load = || load_origins(self.table(SCOPES)?, self.files(), OriginKind::Scope);
        self.part(&self.parts.scopes, PartKind::Scopes, load)
    }

    /// What the block tells of its columns and values; `None` if it was written without a catalogue, or with one of a later version.
    pub fn catalogue(&self) -> Result<Option<&Catalogue>, BlockError> {
        self.catalogue_from(self.files())
    }

    /// How many spans the block has of which kinds, if it tells; they are read anew each time.
    pub fn span_counts(&self) -> Result<Option<SpanCounts>, BlockError> {
        let Some(catalogue) = self.catalogue()? else { return Ok(None) };
        catalogue.span_counts().map_err(|error| self.opened.damage.error(CATALOGUE_FILE, error))
    }

    fn catalogue_from(&self, files: &dyn RangeRead) -> Result<Option<&Catalogue>, BlockError> {
        if !self.has_file(CATALOGUE_FILE) {
            return Ok(None);
        }
        let OpenedBlock { meta, damage, .. } = &*self.opened;
        let part = self.part(&self.parts.catalogue, PartKind::Catalogue, || {
            let bytes = read_whole(meta, files, CATALOGUE_FILE, damage)?;
            let catalogue = Catalogue::decode(&bytes).map_err(|error| damage.error(CATALOGUE_FILE, error))?;
            Ok(CataloguePart { catalogue, num_bytes: bytes.len() })
        })?;
        Ok(part.catalogue.as_ref())
    }

    /// The table of spans.
    pub fn data(&self) -> Result<&Table, BlockError> {
        self.table(DATA)
    }

    /// The table of events, if the block has any.
    pub fn events(&self) -> Result<Option<&Table>, BlockError> {
        self.has_file(EVENTS_FILE).then(|| self.table(EVENTS)).transpose()
    }

    /// The table of links, if the block has any.
    pub fn links(&self) -> Result<Option<&Table>, BlockError> {
        self.has_file(LINKS_FILE).then(|| self.table(LINKS)).transpose()
    }

    /// The rare attributes of the table of spans, of events or of links, if it has any.
    pub(super) fn rare_of(&self, table: &Table) -> Result<Option<&Table>, BlockError> {
        let Some((_, at)) = RARE_OF.into_iter().find(|(file, _)| *file == table.file()) else { return Ok(None) };
        if !self.has_file(TABLE_FILES[at]) {
            return Ok(None);
        }
        let rare = self.table(at)?;
        if rare.rare_list().num_groups() == table.num_row_groups() { Ok(Some(rare)) } else { Err(rare.mistyped("row")) }
    }

    /// Where parts are kept for other readers, and the block's number there.
    pub(super) fn cache(&self) -> Option<(&Arc<PartCache>, u64)> {
        self.opened.cache.as_ref().map(|(cache, number)| (cache, *number))
    }

    /// The keys of the attributes of the table of spans, of events or of links, those without a column included; some several
    /// times.
    pub fn attribute_keys(&self, table: &Table) -> Result<impl Iterator<Item = String>, BlockError> {
        let rare = self.rare_of(table)?.map_or(&[][..], |rare| &rare.rare_list().entries);
        let columns = table.attributes().iter().map(|entry| entry.key.clone());
        let keys = columns.chain(table.residual_keys().iter().cloned()).chain(rare.iter().map(|entry| entry.key.clone()));
        Ok(keys.collect::<Vec<_>>().into_iter())
    }

    /// Where the block's files are read from.
    pub fn files(&self) -> &dyn RangeRead {
        self.opened.files.as_ref()
    }

    fn has_file(&self, name: &str) -> bool {
        self.meta().files.iter().any(|listed| listed.name == name)
    }

    fn index_from(&self, files: &dyn RangeRead) -> Result<&TraceIndex, BlockError> {
        let OpenedBlock { meta, damage, .. } = &*self.opened;
        self.part(&self.parts.index, PartKind::Index, || {
            let bytes = read_whole(meta, files, INDEX_FILE, damage)?;
            let index = TraceIndex::decode(bytes).map_err(|error| damage.error(INDEX_FILE, error))?;
            check_traces(meta, &index).map(|()| index)
        })
    }

    fn bloom_from(&self, files: &dyn RangeRead) -> Result<&TraceBloom, BlockError> {
        let OpenedBlock { meta, damage, .. } = &*self.opened;
        self.part(&self.parts.bloom, PartKind::Bloom, || {
            let shards = (0..meta.bloom_shards as usize).map(|shard| read_whole(meta, files, &bloom_file(shard), damage));
            TraceBloom::decode(&shards.collect::<Result<Vec<_>, _>>()?).map_err(|error| damage.error("bloom", error))
        })
    }

    fn table(&self, at: usize) -> Result<&Table, BlockError> {
        self.table_from(self.files(), at)
    }

    fn table_from(&self, files: &dyn RangeRead, at: usize) -> Result<&Table, BlockError> {
        let OpenedBlock { meta, damage, .. } = &*self.opened;
        self.part(&self.parts.tables[at], PartKind::Table(at as u8), || {
            let table = Table::open(meta, files, TABLE_FILES[at], damage)?;
            if at == DATA { check_row_groups(meta, table.metadata()).map(|()| table) } else { Ok(table) }
        })
    }

    /// A part, from where it is found first: what this reader has seen, the cache, the files.
    fn part<'a, T: Weighed>(
        &self,
        seen: &'a OnceLock<Arc<T>>,
        kind: PartKind,
        load: impl FnOnce() -> Result<T, BlockError>,
    ) -> Result<&'a T, BlockError> {
        if let Some(part) = seen.get() {
            return Ok(part);
        }
        let cached = self.opened.cache.as_ref().and_then(|(cache, number)| cache.get(*number, kind));
        let part = match cached {
            Some(part) => part,
            // Two readers may load at once; both load the same immutable file.
            None => {
                let part = Arc::new(load()?);
                if let Some((cache, number)) = &self.opened.cache {
                    cache.insert(*number, kind, &part);
                }
                part
            }
        };
        Ok(seen.get_or_init(|| part))
    }
}

pub(super) fn listed<'m>(meta: &'m BlockMeta, name: &str) -> Result<&'m FileMeta, BlockError> {
    let listed = meta.files.iter().find(|file| file.name == name);
    listed.ok_or_else(|| damaged(super::schema::META_FILE, format!("{name} is not listed")))
}

/// No index, filter or footer comes near this; a larger length in `meta.json` must not become an allocation.
pub(super) const MAX_PART_BYTES: u64 = 1 << 30;

fn read_whole(meta: &BlockMeta, files: &dyn RangeRead, name: &str, damage: &Damage) -> Result<Bytes, BlockError> {
    let listed = listed(meta, name)?;
    if listed.bytes > MAX_PART_BYTES {
        return Err(damaged(super::schema::META_FILE, format!("{name} cannot have {} bytes", listed.bytes)));
    }
    let mut read = files.read(name, std::slice::from_ref(&(0..listed.bytes)))?;
    let part = read.pop().filter(|part| part.len() as u64 == listed.bytes).ok_or_else(|| damage.error(name, "it is too short"))?;
    if crc32c::crc32c(&part) == listed.crc32c { Ok(part) } else { Err(damage.error(name, "its checksum is wrong")) }
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

impl Weighed for OriginTable {
    fn memory(&self) -> usize {
        OriginTable::memory(self)
    }
}
