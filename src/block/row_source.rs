//! Columns of a row group that are read for a few rows each: what lookups of traces share of them.
//!
//! A dictionary serves all rows of its row group and a page thousands of them, and decoding both costs more than anything else
//! in a lookup. So lookups keep them in the cache of parts. Merges do not: they come by once.

use super::parquet::{ColumnReader, Decoded, Dictionary, FetchedRanges, SharedPage, SharedPages};
use super::parts::{PartCache, PartKind, Weighed};
use super::rare::RareIndex;
use super::reader::{Block, BlockError, Table};
use super::schema::TABLE_FILES;
use std::ops::Range;
use std::sync::Arc;

/// Whether what is decoded will be of use to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// It stays for other readers, as long as there is room.
    Likely,
    /// It goes with its reader.
    Unlikely,
}

/// A row group of a table.
#[derive(Clone, Copy)]
pub(super) struct RowSource<'a> {
    pub block: &'a Block,
    pub table: &'a Table,
    pub group: usize,
    pub reuse: Reuse,
}

impl RowSource<'_> {
    /// A column, with what is in memory of it; `None` if the table has no such leaf.
    pub fn column(&self, leaf: &str) -> Result<Option<ColumnReader>, BlockError> {
        let Some(column) = self.table.column(self.group, leaf)? else { return Ok(None) };
        let Some(chunk) = self.cached(&column) else { return Ok(Some(column)) };
        let dictionary = chunk.cache.get(chunk.block, chunk.dictionary());
        let column = column.with_shared_pages(Arc::new(chunk));
        Ok(Some(match dictionary {
            Some(dictionary) => column.with_dictionary(dictionary),
            None => column,
        }))
    }

    /// Fetches what all columns need of a range of rows with one request, and decodes it.
    pub fn decode<'c>(
        &self,
        columns: impl Iterator<Item = &'c ColumnReader> + Clone,
        rows: &Range<usize>,
    ) -> Result<Vec<Decoded>, BlockError> {
        let fetched = self.fetch(columns.clone().flat_map(|column| column.bytes_of_rows(rows.clone())).collect())?;
        let decode = |column: &ColumnReader| {
            let decoded = column.decode_rows(&fetched, rows.clone()).map_err(|error| self.table.damage(&error));
            self.keep(column);
            decoded
        };
        columns.map(decode).collect()
    }

    /// Fetches ranges of the file, given in any order.
    pub fn fetch(&self, mut ranges: Vec<Range<u64>>) -> Result<FetchedRanges, BlockError> {
        ranges.sort_unstable_by_key(|range| range.start);
        self.table.fetch(self.block.files(), ranges)
    }

    /// Keeps what was decoded of a column's dictionary.
    pub fn keep(&self, column: &ColumnReader) {
        let (Some(chunk), Some(dictionary)) = (self.cached(column), column.decoded_dictionary()) else { return };
        // Nobody else has it, so it is not in the cache.
        if Arc::strong_count(dictionary) == 1 {
            chunk.cache.insert(chunk.block, chunk.dictionary(), dictionary);
        }
    }

    /// Of a table of rare attributes: which rows have which, from memory or loaded.
    pub fn rare_index(&self, load: impl FnOnce() -> Result<RareIndex, BlockError>) -> Result<Arc<RareIndex>, BlockError> {
        let Some((cache, block, table)) = self.cache() else { return load().map(Arc::new) };
        let kind = PartKind::RareRows(table, self.group as u32);
        if let Some(index) = cache.get(block, kind) {
            return Ok(index);
        }
        let index = Arc::new(load()?);
        cache.insert(block, kind, &index);
        Ok(index)
    }

    /// Where others find what is decoded here, with the numbers of block and table; `None` where none will look for it.
    fn cache(&self) -> Option<(&Arc<PartCache>, u64, u8)> {
        let (cache, block) = self.block.cache().filter(|_| self.reuse == Reuse::Likely)?;
        let table = TABLE_FILES.iter().position(|file| *file == self.table.file())?;
        Some((cache, block, table as u8))
    }

    fn cached(&self, column: &ColumnReader) -> Option<CachedChunk> {
        let (cache, block, table) = self.cache()?;
        let (group, leaf) = column.place();
        Some(CachedChunk { cache: Arc::clone(cache), block, table, group: group as u32, leaf: leaf as u32 })
    }
}

/// What the cache has of a column chunk.
struct CachedChunk {
    cache: Arc<PartCache>,
    block: u64,
    table: u8,
    group: u32,
    leaf: u32,
}

impl CachedChunk {
    fn dictionary(&self) -> PartKind {
        PartKind::Dictionary(self.table, self.group, self.leaf)
    }

    fn page(&self, page: usize) -> PartKind {
        PartKind::Page(self.table, self.group, self.leaf, page as u32)
    }
}

impl SharedPages for CachedChunk {
    fn get(&self, page: usize) -> Option<Arc<SharedPage>> {
        self.cache.get(self.block, self.page(page))
    }

    fn put(&self, page: usize, shared: Arc<SharedPage>) {
        self.cache.insert(self.block, self.page(page), &shared);
    }
}

impl Weighed for SharedPage {
    fn memory(&self) -> usize {
        SharedPage::memory(self)
    }
}

impl Weighed for Dictionary {
    fn memory(&self) -> usize {
        Dictionary::memory(self)
    }
}
