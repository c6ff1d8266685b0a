//! Columns of a row group that are read for a few rows each: what lookups of traces share of them.
//!
//! A dictionary serves all rows of its row group, and decoding it costs more than decoding the page that a trace lies in. So
//! lookups keep dictionaries in the cache of parts. Merges do not: they come by once.

use super::parquet::{ColumnReader, Decoded, FetchedRanges};
use super::reader::{Block, BlockError, Table};
use std::ops::Range;

/// What becomes of the dictionaries that are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dictionaries {
    /// They stay for other readers, as long as there is room.
    Kept,
    /// They go with their reader.
    Dropped,
}

/// A row group of a table.
#[derive(Clone, Copy)]
pub(super) struct RowSource<'a> {
    pub block: &'a Block,
    pub table: &'a Table,
    pub group: usize,
    pub dictionaries: Dictionaries,
}

impl RowSource<'_> {
    /// A column, with its dictionary if that is in memory; `None` if the table has no such leaf.
    pub fn column(&self, leaf: &str) -> Result<Option<ColumnReader>, BlockError> {
        let Some(column) = self.table.column(self.group, leaf)? else { return Ok(None) };
        Ok(Some(match self.block.kept_dictionary(self.table, &column) {
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
        if self.dictionaries == Dictionaries::Kept {
            self.block.keep_dictionary(self.table, column);
        }
    }
}
