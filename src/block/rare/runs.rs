//! The rare attributes of a range of rows, as they lie in the table: which rows have them, and where their values are.

use super::read::RareColumns;
use super::{POSITION, ROW, ValueLeaf};
use crate::block::parquet::{ColumnReader, DecodedValues, FetchedRanges};
use crate::block::reader::{Block, BlockError, Table};
use std::ops::Range;

/// The cells of one attribute.
pub(in crate::block) struct StoredRun {
    /// The number of the attribute.
    pub entry: u32,
    /// The column of its values.
    pub leaf: ValueLeaf,
    /// The cells, among those of all attributes.
    pub cells: Range<usize>,
    /// The first of them in the table of rare attributes; the others follow it.
    first: u32,
}

impl StoredRun {
    fn wanted(&self) -> Range<u32> {
        self.first..self.first + self.cells.len() as u32
    }
}

/// All rare attributes of a range of rows.
#[derive(Default)]
pub(in crate::block) struct RareRuns<'a> {
    columns: Option<RareColumns<'a>>,
    /// The row of each cell, counted from the range's first.
    pub rows: Vec<u32>,
    /// By attribute; the rows of each ascend.
    pub runs: Vec<StoredRun>,
    /// What values and positions are decoded from.
    fetched: FetchedRanges,
}

impl<'a> RareRuns<'a> {
    /// Those of a range of rows of a row group of `table`, counted from its first. Waits for the store.
    pub fn read(block: &'a Block, table: &Table, group: usize, rows: &Range<usize>) -> Result<Self, BlockError> {
        let Some(columns) = RareColumns::open(block, table, group)?.filter(RareColumns::has_any) else { return Ok(RareRuns::default()) };
        let mut read = RareRuns::default();
        read.find(&columns, rows)?;
        if !read.rows.is_empty() {
            read.fetched = read.fetch(&columns)?;
        }
        read.columns = Some(columns);
        Ok(read)
    }

    /// Finds the cells of these rows.
    fn find(&mut self, columns: &RareColumns<'_>, rows: &Range<usize>) -> Result<(), BlockError> {
        let all = columns.all_rows()?;
        for entry in columns.entries() {
            let of_entry = columns.rows_of_entry(entry);
            let values = all.get(of_entry.clone()).ok_or_else(|| columns.mistyped(ROW))?;
            columns.check_rows(values)?;
            let first = values.partition_point(|&row| (row as usize) < rows.start);
            let num_cells = values[first..].partition_point(|&row| (row as usize) < rows.end);
            if num_cells == 0 {
                continue;
            }
            let start = self.rows.len();
            self.rows.extend(values[first..first + num_cells].iter().map(|row| row - rows.start as u32));
            let leaf = columns.leaf_of(entry)?;
            self.runs.push(StoredRun { entry: entry as u32, leaf, cells: start..self.rows.len(), first: (of_entry.start + first) as u32 });
        }
        Ok(())
    }

    fn fetch(&self, columns: &RareColumns<'_>) -> Result<FetchedRanges, BlockError> {
        let mut ranges = columns.column(POSITION)?.bytes_of_some(&wanted(self.runs.iter()));
        for leaf in ValueLeaf::ALL {
            let wanted = wanted(self.runs.iter().filter(|run| run.leaf == leaf));
            if !wanted.is_empty() {
                ranges.extend(columns.column(leaf.name())?.bytes_of_some(&wanted));
            }
        }
        columns.fetch(ranges)
    }

    /// For each cell which of its row's attributes without a column it is, from 0.
    pub fn positions(&self) -> Result<Vec<u32>, BlockError> {
        let Some(columns) = &self.columns else { return Ok(Vec::new()) };
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let decoded = self.decode_of(columns, POSITION, &wanted(self.runs.iter()))?;
        let is_negative = |values: &[i32]| values.iter().any(|position| *position < 0);
        match decoded {
            DecodedValues::Int32(values) if !is_negative(&values) => Ok(values.into_iter().map(|position| position as u32).collect()),
            _ => Err(columns.mistyped(POSITION)),
        }
    }

    /// The values of the cells of these runs, one after the other: of some of [`runs`](Self::runs), in their order, whose values are in one
    /// column. Its dictionary is decoded each time.
    pub fn decode<'r>(&self, leaf: ValueLeaf, runs: impl Iterator<Item = &'r StoredRun>) -> Result<Option<DecodedValues>, BlockError> {
        let wanted = wanted(runs);
        match &self.columns {
            Some(columns) if !wanted.is_empty() => self.decode_of(columns, leaf.name(), &wanted).map(Some),
            _ => Ok(None),
        }
    }

    fn decode_of(&self, columns: &RareColumns<'_>, leaf: &str, wanted: &[u32]) -> Result<DecodedValues, BlockError> {
        let column: ColumnReader = columns.column(leaf)?;
        let decoded = column.decode_some(&self.fetched, wanted).map_err(|error| columns.damage(&error))?;
        let is_complete = decoded.rows.is_some_and(|present| present.len() == wanted.len()) && decoded.values.len() == wanted.len();
        if is_complete { Ok(decoded.values) } else { Err(columns.mistyped(leaf)) }
    }
}

/// The rows in the table of rare attributes, ascending.
fn wanted<'r>(runs: impl Iterator<Item = &'r StoredRun>) -> Vec<u32> {
    runs.flat_map(StoredRun::wanted).collect()
}
