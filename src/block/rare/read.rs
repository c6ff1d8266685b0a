//! Reading rare attributes: one of a row group, or all of some of its rows.

use super::{NUM_LEAVES, POSITION, ROW, RareCell, RareIndex, RareList, ValueLeaf};
use crate::block::parquet::{ColumnReader, Decoded, DecodedValues, FetchedRanges};
use crate::block::reader::{Block, BlockError, Table};
use crate::block::row_source::RowSource;
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
    columns: [OnceLock<ColumnReader>; NUM_LEAVES],
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
        let own = self.own_group()?;
        let leaf = self.leaf_of(entry)?;
        let (rows, values) = (self.column(own, ROW)?, self.kept_column(own, leaf)?);
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

    /// Which rows have which attributes.
    fn index(&self) -> Result<RareIndex, BlockError> {
        let column = self.column(self.own_group()?, ROW)?;
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

    fn own_group(&self) -> Result<usize, BlockError> {
        self.list.own_group(self.group).ok_or_else(|| self.table.mistyped(ROW))
    }

    fn leaf_of(&self, entry: usize) -> Result<ValueLeaf, BlockError> {
        let entry = self.list.entries.get(entry).ok_or_else(|| self.table.mistyped(ROW))?;
        Ok(ValueLeaf::of(entry.kind().ok_or_else(|| self.table.mistyped(&entry.key))?, entry.unique))
    }

    fn column(&self, own: usize, leaf: &str) -> Result<ColumnReader, BlockError> {
        self.table.column(own, leaf)?.ok_or_else(|| self.table.mistyped(leaf))
    }

    fn kept_column(&self, own: usize, leaf: ValueLeaf) -> Result<&ColumnReader, BlockError> {
        let kept = &self.columns[leaf as usize];
        match kept.get() {
            Some(column) => Ok(column),
            None => {
                let column = self.column(own, leaf.name())?;
                Ok(kept.get_or_init(|| column))
            }
        }
    }

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

/// All rare attributes of a range of rows, counted from its first.
#[derive(Default)]
pub struct RareRows {
    /// By row and position.
    pub cells: Vec<RareCell>,
    /// The values that cells refer to.
    pub streams: Vec<DecodedValues>,
    /// The leaf of each stream.
    leaves: Vec<ValueLeaf>,
}

impl RareRows {
    /// Those of a range of rows, counted from the row group's first.
    pub fn read(source: RowSource<'_>, rows: &Range<usize>) -> Result<Self, BlockError> {
        let RowSource { block, table, group, reuse } = source;
        let mut read = RareRows::default();
        let Some(columns) = RareColumns::open(block, table, group)? else { return Ok(read) };
        let Some(own_group) = columns.list.own_group(group) else { return Ok(read) };
        let own = RowSource { block, table: columns.table, group: own_group, reuse };
        let index = own.rare_index(|| columns.index())?;
        let mut wanted = Vec::new();
        index.visit(rows.start as u32..rows.end as u32, |entry, row, position| {
            read.cells.push(RareCell { entry, row: row - rows.start as u32, position: 0, stream: 0, value: 0 });
            wanted.push(position);
        });
        if !wanted.is_empty() {
            read.read_values(&columns, own, &wanted)?;
            read.cells.sort_unstable_by_key(|cell| u64::from(cell.row) << 32 | u64::from(cell.position));
        }
        Ok(read)
    }

    /// Reads the values of the cells, which are at these ascending rows of `own`.
    fn read_values(&mut self, columns: &RareColumns<'_>, own: RowSource<'_>, wanted: &[u32]) -> Result<(), BlockError> {
        // The rows of each stream's values; cells of an attribute follow each other.
        let mut rows_of: Vec<Vec<u32>> = Vec::new();
        for (cells, rows) in self.cells.chunk_by_mut(|a, b| a.entry == b.entry).scan(wanted, split_like) {
            let leaf = columns.leaf_of(cells[0].entry as usize)?;
            let stream = self.leaves.iter().position(|other| *other == leaf).unwrap_or(self.leaves.len());
            if stream == self.leaves.len() {
                self.leaves.push(leaf);
                rows_of.push(Vec::new());
            }
            for (cell, value) in cells.iter_mut().zip(rows_of[stream].len() as u32..) {
                (cell.stream, cell.value) = (stream as u32, value);
            }
            rows_of[stream].extend_from_slice(rows);
        }
        let column = |leaf: &str| own.column(leaf)?.ok_or_else(|| own.table.mistyped(leaf));
        let position = column(POSITION)?;
        let leaves = self.leaves.iter().zip(&rows_of).map(|(leaf, rows)| Ok((*leaf, rows, column(leaf.name())?)));
        let leaves = leaves.collect::<Result<Vec<_>, BlockError>>()?;
        let ranges = leaves.iter().flat_map(|(_, rows, column)| column.bytes_of_some(rows)).chain(position.bytes_of_some(wanted));
        let fetched = own.fetch(ranges.collect())?;
        let decode = |column: &ColumnReader, rows: &[u32], leaf: &str| {
            let decoded = column.decode_some(&fetched, rows).map_err(|error| columns.table.damage(&error))?;
            own.keep(column);
            let is_complete = decoded.rows.is_some_and(|present| present.len() == rows.len()) && decoded.values.len() == rows.len();
            if is_complete { Ok(decoded.values) } else { Err(columns.table.mistyped(leaf)) }
        };
        let DecodedValues::Int32(positions) = decode(&position, wanted, POSITION)? else { return Err(columns.table.mistyped(POSITION)) };
        for (cell, position) in self.cells.iter_mut().zip(positions) {
            cell.position = u32::try_from(position).map_err(|_| columns.table.mistyped(POSITION))?;
        }
        for (leaf, rows, column) in leaves {
            self.streams.push(decode(&column, rows, leaf.name())?);
        }
        Ok(())
    }

    /// The attributes of a row, by their positions.
    pub fn of_row(&self, row: u32) -> &[RareCell] {
        let first = self.cells.partition_point(|cell| cell.row < row);
        let len = self.cells[first..].iter().take_while(|cell| cell.row == row).count();
        &self.cells[first..first + len]
    }

    /// The value of a cell; `None` if the file holds one of another kind.
    pub fn value(&self, cell: &RareCell) -> Option<ValueRef<'_>> {
        let (leaf, at) = (self.leaves.get(cell.stream as usize)?, cell.value as usize);
        match self.streams.get(cell.stream as usize)? {
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

/// The front of `rest` that belongs to `cells`, with these.
fn split_like<'r, 'c>(rest: &mut &'r [u32], cells: &'c mut [RareCell]) -> Option<(&'c mut [RareCell], &'r [u32])> {
    let (rows, after) = rest.split_at_checked(cells.len())?;
    *rest = after;
    Some((cells, rows))
}
