//! The rare attributes of a range of rows, as they lie in the table: which rows have them, and where their values are.

use super::read::RareColumns;
use super::{POSITION, ValueLeaf};
use crate::block::parquet::{ColumnReader, DecodedValues, FetchedRanges};
use crate::block::reader::BlockError;
use crate::block::row_source::RowSource;
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
    /// The row group of the table of rare attributes, if there is one.
    own: Option<RowSource<'a>>,
    /// The row of each cell, counted from the range's first.
    pub rows: Vec<u32>,
    /// By attribute; the rows of each ascend.
    pub runs: Vec<StoredRun>,
    /// What values and positions are decoded from.
    fetched: FetchedRanges,
}

impl<'a> RareRuns<'a> {
    /// Those of a range of rows, counted from the row group's first. Waits for the store.
    pub fn read(source: RowSource<'a>, rows: &Range<usize>) -> Result<Self, BlockError> {
        let Some(columns) = RareColumns::open(source.block, source.table, source.group)? else { return Ok(RareRuns::default()) };
        let Some(own) = columns.own(source.reuse) else { return Ok(RareRuns::default()) };
        let mut read = RareRuns { own: Some(own), ..RareRuns::default() };
        read.find(&columns, own, rows)?;
        if !read.rows.is_empty() {
            read.fetched = read.fetch(own)?;
        }
        Ok(read)
    }

    /// Finds the cells of these rows.
    fn find(&mut self, columns: &RareColumns<'_>, own: RowSource<'_>, rows: &Range<usize>) -> Result<(), BlockError> {
        let index = own.rare_index(|| columns.index())?;
        // The numbers of attributes that have cells, each with its first cell here and in the table.
        let mut firsts: Vec<(u32, usize, u32)> = Vec::new();
        index.visit(rows.start as u32..rows.end as u32, |entry, row, position| {
            if firsts.last().is_none_or(|(last, ..)| *last != entry) {
                firsts.push((entry, self.rows.len(), position));
            }
            self.rows.push(row - rows.start as u32);
        });
        let ends = firsts.iter().skip(1).map(|(_, start, _)| *start).chain([self.rows.len()]);
        for (&(entry, start, first), end) in firsts.iter().zip(ends) {
            self.runs.push(StoredRun { entry, leaf: columns.leaf_of(entry as usize)?, cells: start..end, first });
        }
        Ok(())
    }

    fn fetch(&self, own: RowSource<'_>) -> Result<FetchedRanges, BlockError> {
        let mut ranges = column(own, POSITION)?.bytes_of_some(&wanted(self.runs.iter()));
        for leaf in ValueLeaf::ALL {
            let wanted = wanted(self.runs.iter().filter(|run| run.leaf == leaf));
            if !wanted.is_empty() {
                ranges.extend(column(own, leaf.name())?.bytes_of_some(&wanted));
            }
        }
        own.fetch(ranges)
    }

    /// For each cell which of its row's attributes without a column it is, from 0.
    pub fn positions(&self) -> Result<Vec<u32>, BlockError> {
        let Some(own) = self.own else { return Ok(Vec::new()) };
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let decoded = self.decode_of(own, POSITION, &wanted(self.runs.iter()))?;
        let is_negative = |values: &[i32]| values.iter().any(|position| *position < 0);
        match decoded {
            DecodedValues::Int32(values) if !is_negative(&values) => Ok(values.into_iter().map(|position| position as u32).collect()),
            _ => Err(own.table.mistyped(POSITION)),
        }
    }

    /// The values of the cells of these runs, one after the other: of some of [`runs`](Self::runs), in their order, whose values are in one
    /// column. Its dictionary is decoded each time.
    pub fn decode<'r>(&self, leaf: ValueLeaf, runs: impl Iterator<Item = &'r StoredRun>) -> Result<Option<DecodedValues>, BlockError> {
        let wanted = wanted(runs);
        match self.own {
            Some(own) if !wanted.is_empty() => self.decode_of(own, leaf.name(), &wanted).map(Some),
            _ => Ok(None),
        }
    }

    fn decode_of(&self, own: RowSource<'_>, leaf: &str, wanted: &[u32]) -> Result<DecodedValues, BlockError> {
        let column = column(own, leaf)?;
        let decoded = column.decode_some(&self.fetched, wanted).map_err(|error| own.table.damage(&error))?;
        own.keep(&column);
        let is_complete = decoded.rows.is_some_and(|present| present.len() == wanted.len()) && decoded.values.len() == wanted.len();
        if is_complete { Ok(decoded.values) } else { Err(own.table.mistyped(leaf)) }
    }
}

/// A column that every table of rare attributes has.
fn column(own: RowSource<'_>, leaf: &str) -> Result<ColumnReader, BlockError> {
    own.column(leaf)?.ok_or_else(|| own.table.mistyped(leaf))
}

/// The rows in the table of rare attributes, ascending.
fn wanted<'r>(runs: impl Iterator<Item = &'r StoredRun>) -> Vec<u32> {
    runs.flat_map(StoredRun::wanted).collect()
}
