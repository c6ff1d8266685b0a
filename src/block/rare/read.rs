//! Reading rare attributes: one of a row group, or all of some of its rows.

use super::{ROW, RareIndex, RareList, RareRuns, ValueLeaf};
use crate::block::parquet::{ColumnReader, Decoded, DecodedValues, FetchedRanges};
use crate::block::reader::{Block, BlockError, Table};
use crate::block::row_source::{Reuse, RowSource};
use crate::columns::ValueKind;
use crate::columns::value::ValueRef;
use std::ops::Range;
use std::sync::OnceLock;

/// The rare attributes of a row group of a table of spans, events or links.
pub struct RareColumns<'a> {
    block: &'a Block,
    /// The table of rare attributes.
    table: &'a Table,
    list: &'a RareList,
    /// The row group of the table that the attributes are of, and its first row.
    group: usize,
    rows: Range<usize>,
    /// Columns that were asked for, by leaf: their dictionaries are decoded once.
    columns: [OnceLock<ColumnReader>; ValueLeaf::ALL.len()],
}

impl<'a> RareColumns<'a> {
    /// Those of a row group of `table`; `None` if it has none. Waits for the store the first time.
    pub fn open(block: &'a Block, table: &Table, group: usize) -> Result<Option<Self>, BlockError> {
        let Some(rare) = block.rare_of(table)? else { return Ok(None) };
        let first_row = (0..group).map(|group| table.num_rows(group)).sum();
        let rows = first_row..first_row + table.num_rows(group);
        Ok(Some(RareColumns { block, table: rare, list: rare.rare_list(), group, rows, columns: Default::default() }))
    }

    /// The number of an attribute that the row group has.
    pub fn find(&self, key: &str, kind: ValueKind) -> Option<usize> {
        self.list.find(self.group, key, kind)
    }

    /// The keys of the attributes that the row group has; one with values of several kinds several times.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.list.entries_of(self.group).map(|entry| self.list.entries[entry].key.as_str())
    }

    /// The keys of all attributes of the table, by number.
    pub fn all_keys(&self) -> impl Iterator<Item = &'a str> {
        self.list.entries.iter().map(|entry| entry.key.as_str())
    }

    /// An attribute as if it had a column of its own, by its number: rows are counted from the row group's first.
    pub fn decode(&self, entry: usize) -> Result<Decoded, BlockError> {
        let wanted = self.list.rows(self.group, entry);
        let leaf = self.leaf_of(entry)?;
        let (rows, values) = (self.column(ROW)?, self.kept_column(leaf)?);
        let ranges = [&rows, values].into_iter().flat_map(|column| column.bytes_of_rows(wanted.clone()));
        let fetched = self.fetch(ranges.collect())?;
        let decode = |column: &ColumnReader| column.decode_rows(&fetched, wanted.clone()).map_err(|error| self.table.damage(&error));
        let rows = self.rows_of(decode(&rows)?)?;
        self.check_rows(&rows)?;
        let Decoded { rows: present, values } = decode(values)?;
        if present.is_some_and(|present| present.len() != rows.len()) {
            return Err(self.table.mistyped(leaf.name()));
        }
        Ok(Decoded { rows: Some(rows), values })
    }

    fn own_group(&self) -> Result<usize, BlockError> {
        self.list.own_group(self.group).ok_or_else(|| self.table.mistyped(ROW))
    }

    /// The row group of the table of rare attributes; `None` if there are none.
    pub(super) fn own(&self, reuse: Reuse) -> Option<RowSource<'a>> {
        let group = self.list.own_group(self.group)?;
        Some(RowSource { block: self.block, table: self.table, group, reuse })
    }

    /// Which rows have which attributes. Waits for the store.
    pub(super) fn index(&self) -> Result<RareIndex, BlockError> {
        let column = self.column(ROW)?;
        let fetched = self.fetch(column.bytes_of_all())?;
        let all = self.rows_of(column.decode_all(&fetched).map_err(|error| self.table.damage(&error))?)?;
        let mut index = RareIndex::new(self.rows.len(), all.len());
        for entry in self.list.entries_of(self.group) {
            let rows = all.get(self.list.rows(self.group, entry)).ok_or_else(|| self.table.mistyped(ROW))?;
            self.check_rows(rows)?;
            index.add(entry as u32, rows);
        }
        Ok(index)
    }

    /// The column of an attribute's values.
    pub(super) fn leaf_of(&self, entry: usize) -> Result<ValueLeaf, BlockError> {
        let entry = self.list.entries.get(entry).ok_or_else(|| self.table.mistyped(ROW))?;
        Ok(ValueLeaf::of(entry.kind().ok_or_else(|| self.table.mistyped(&entry.key))?, entry.unique))
    }

    /// A column of the row group of the table of rare attributes.
    fn column(&self, leaf: &str) -> Result<ColumnReader, BlockError> {
        self.table.column(self.own_group()?, leaf)?.ok_or_else(|| self.table.mistyped(leaf))
    }

    fn kept_column(&self, leaf: ValueLeaf) -> Result<&ColumnReader, BlockError> {
        let kept = &self.columns[leaf as usize];
        match kept.get() {
            Some(column) => Ok(column),
            None => {
                let column = self.column(leaf.name())?;
                Ok(kept.get_or_init(|| column))
            }
        }
    }

    /// Fetches these ranges of the file. Waits for the store.
    fn fetch(&self, mut ranges: Vec<Range<u64>>) -> Result<FetchedRanges, BlockError> {
        ranges.sort_unstable_by_key(|range| range.start);
        self.table.fetch(self.block.files(), ranges)
    }

    /// Row numbers, counted from the row group's first.
    fn rows_of(&self, decoded: Decoded) -> Result<Vec<u32>, BlockError> {
        let Decoded { rows: None, values: DecodedValues::Int32(rows) } = decoded else { return Err(self.table.mistyped(ROW)) };
        Ok(rows.into_iter().map(|row| (row as u32).wrapping_sub(self.rows.start as u32)).collect())
    }

    /// The rows of an attribute ascend, and are the row group's.
    fn check_rows(&self, rows: &[u32]) -> Result<(), BlockError> {
        let is_within = rows.last().is_none_or(|last| (*last as usize) < self.rows.len());
        if is_within && rows.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(self.table.mistyped(ROW)) }
    }
}

/// An attribute of a row.
#[derive(Clone, Copy, Default)]
pub struct RareCell {
    /// The number of the attribute.
    pub entry: u32,
    /// Which of the row's attributes without a column it is, from 0.
    pub position: u32,
    /// The stream that has its value.
    stream: u32,
    /// The value's position there.
    value: u32,
}

/// All rare attributes of a range of rows with their values, row by row.
#[derive(Default)]
pub struct RareRows {
    /// By row and position.
    cells: Vec<RareCell>,
    /// For each row, where its cells begin, and where the last end.
    starts: Vec<u32>,
    /// The values that cells refer to, and their columns.
    streams: Vec<(ValueLeaf, DecodedValues)>,
}

impl RareRows {
    /// Those of a range of rows, counted from the row group's first. Waits for the store.
    pub fn read(source: RowSource<'_>, rows: &Range<usize>) -> Result<Self, BlockError> {
        let runs = RareRuns::read(source, rows)?;
        let mut read = RareRows { starts: starts(&runs.rows, rows.len()), ..RareRows::default() };
        read.cells.resize(runs.rows.len(), RareCell::default());
        let (positions, mut next) = (runs.positions()?, read.starts.clone());
        for leaf in ValueLeaf::ALL {
            let of_leaf = || runs.runs.iter().filter(move |run| run.leaf == leaf);
            let Some(values) = runs.decode(leaf, of_leaf())? else { continue };
            let stream = read.streams.len() as u32;
            for ((run, cell), value) in of_leaf().flat_map(|run| run.cells.clone().map(move |cell| (run, cell))).zip(0..) {
                let place = &mut next[runs.rows[cell] as usize];
                read.cells[*place as usize] = RareCell { entry: run.entry, position: positions[cell], stream, value };
                *place += 1;
            }
            read.streams.push((leaf, values));
        }
        for bounds in read.starts.windows(2) {
            read.cells[bounds[0] as usize..bounds[1] as usize].sort_unstable_by_key(|cell| cell.position);
        }
        Ok(read)
    }

    /// The attributes of a row, by their positions.
    pub fn of_row(&self, row: u32) -> &[RareCell] {
        match self.starts.get(row as usize..row as usize + 2) {
            Some([start, end]) => &self.cells[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// The value of a cell; `None` if the file holds one of another kind.
    pub fn value(&self, cell: &RareCell) -> Option<ValueRef<'_>> {
        let ((leaf, values), at) = (self.streams.get(cell.stream as usize)?, cell.value as usize);
        match values {
            DecodedValues::Int64(values) => values.get(at).map(|value| ValueRef::Int(*value)),
            DecodedValues::Double(values) => values.get(at).map(|value| ValueRef::Double(*value)),
            DecodedValues::Bool(values) => values.get(at).map(|value| ValueRef::Bool(*value)),
            DecodedValues::Codes(codes, strings) => {
                let code = *codes.get(at)? as usize;
                let start = if code == 0 { 0 } else { *strings.0.get(code - 1)? as usize };
                let bytes = strings.1.get(start..*strings.0.get(code)? as usize)?;
                Some(if matches!(leaf, ValueLeaf::Text | ValueLeaf::UniqueText) { ValueRef::Str(bytes) } else { ValueRef::Any(bytes) })
            }
            _ => None,
        }
    }
}

/// For each of so many rows, where its cells begin when they are in the order of rows, and where the last end.
fn starts(rows: &[u32], num_rows: usize) -> Vec<u32> {
    let mut starts = vec![0; num_rows + 1];
    rows.iter().for_each(|row| starts[*row as usize + 1] += 1);
    for row in 0..num_rows {
        starts[row + 1] += starts[row];
    }
    starts
}
