//! The rare attributes of chunks, by the row groups of the block that is cut from them.

use super::{RareCell, RareGroup, RareWriter, Stream};
use crate::block::catalogue::ColumnCollector;
use crate::block::choice::Place;
use crate::block::gather::{AttributePlan, NOT_TAKEN, RowMap};
use crate::block::meta::FileMeta;
use crate::block::output::BlockSink;
use crate::block::recode::CodeSpace;
use crate::columns::{AttributeTable, ColumnValues, Dictionary};
use parquet::errors::ParquetError;
use std::ops::Range;

/// The table of rare attributes of a table that is made of chunks, written beside that.
pub struct RareOfChunks<'a> {
    cells: ChunkCells<'a>,
    /// The row groups not yet written, as ranges of rows.
    groups: std::vec::IntoIter<(usize, Range<usize>)>,
    writer: Option<RareWriter>,
}

impl<'a> RareOfChunks<'a> {
    /// Starts the table for the attributes of `plan`; `groups` are the row groups as ranges of rows, one after the other.
    pub fn start(
        sink: &dyn BlockSink,
        file: &str,
        plan: &AttributePlan<'a>,
        map: &RowMap,
        groups: Vec<Range<usize>>,
        num_spans: usize,
    ) -> Result<Self, ParquetError> {
        let cells = ChunkCells::collect(plan, map, &groups);
        let groups = groups.into_iter().enumerate().collect::<Vec<_>>().into_iter();
        Ok(RareOfChunks { cells, groups, writer: RareWriter::start(sink, file, &plan.choice.rare, num_spans)? })
    }

    /// Writes the attributes of the next row group.
    pub fn write_next(&mut self) -> Result<(), ParquetError> {
        match (self.groups.next(), &mut self.writer) {
            (Some((group, rows)), Some(writer)) => writer.write(self.cells.take(group), rows.start),
            _ => Ok(()),
        }
    }

    /// Ends the file, if there is one; adds what the catalogue is to have.
    pub fn finish(self, collected: &mut Vec<ColumnCollector>) -> Result<Option<FileMeta>, ParquetError> {
        let Some(writer) = self.writer else { return Ok(None) };
        let (file, of_rare) = writer.finish()?;
        collected.extend(of_rare);
        Ok(Some(file))
    }
}

/// The rare attributes of chunks.
struct ChunkCells<'a> {
    /// The attributes of each row group, rows counted from its first.
    groups: Vec<Vec<RareCell>>,
    streams: Vec<Stream<'a>>,
    dictionaries: Vec<&'a Dictionary>,
    /// Entries of all dictionaries so far.
    num_strings: u32,
}

/// A rare attribute of a row.
#[derive(Clone, Copy)]
struct Element {
    /// Its column in the source.
    column: usize,
    entry: u32,
    position: u32,
    stream: u32,
}

impl<'a> ChunkCells<'a> {
    /// Collects them.
    fn collect(plan: &AttributePlan<'a>, map: &RowMap, groups: &[Range<usize>]) -> Self {
        let groups_of = vec![Vec::new(); groups.len()];
        let mut all = ChunkCells { groups: groups_of, streams: Vec::new(), dictionaries: Vec::new(), num_strings: 0 };
        if !plan.choice.rare.is_empty() {
            for ((table, places), map) in plan.sources().zip(map) {
                let streams = all.add_streams(table, places);
                all.add_cells(table, places, &streams, map, groups);
            }
        }
        all
    }

    /// Makes a stream of each rare column of a source; returns their numbers by column.
    fn add_streams(&mut self, table: &'a AttributeTable, places: &[Option<Place>]) -> Vec<u32> {
        let mut numbers = vec![0; table.columns().len()];
        for (at, column) in table.columns().iter().enumerate().filter(|(at, _)| matches!(places[*at], Some(Place::Rare(_)))) {
            numbers[at] = self.streams.len() as u32;
            self.streams.push(match &column.values {
                ColumnValues::Int(values) => Stream::Int(values),
                ColumnValues::Double(values) => Stream::Double(values),
                ColumnValues::Bool(values) => Stream::Bool(values),
                ColumnValues::Str(codes, dictionary) | ColumnValues::Any(codes, dictionary) => {
                    let base = self.num_strings;
                    self.num_strings += dictionary.len() as u32;
                    self.dictionaries.push(dictionary);
                    Stream::Bytes(base, codes)
                }
            });
        }
        numbers
    }

    fn add_cells(&mut self, table: &AttributeTable, places: &[Option<Place>], streams: &[u32], map: &[u32], groups: &[Range<usize>]) {
        let mut shapes: Vec<Option<Box<[Element]>>> = vec![None; table.num_shapes()];
        // A column has a value for each row whose shape names it, in the order of rows.
        let mut next = vec![0u32; table.columns().len()];
        for (row, &block_row) in map.iter().enumerate() {
            let shape = &mut shapes[table.shape_of(row as u32) as usize];
            let elements = shape.get_or_insert_with(|| elements(table, places, streams, row as u32));
            let group = || groups.partition_point(|rows| rows.end <= block_row as usize);
            let group = if elements.is_empty() || block_row == NOT_TAKEN { None } else { Some(group()) };
            for &Element { column, entry, position, stream } in &**elements {
                let value = next[column];
                next[column] += 1;
                if let Some(group) = group {
                    self.groups[group].push(RareCell { entry, row: block_row - groups[group].start as u32, position, stream, value });
                }
            }
        }
    }

    /// The attributes of a row group, once.
    fn take(&mut self, group: usize) -> RareGroup<'a> {
        let cells = std::mem::take(&mut self.groups[group]);
        RareGroup { cells, streams: self.streams.clone(), space: CodeSpace::new(self.dictionaries.clone()) }
    }
}

/// The rare attributes of a row.
fn elements(table: &AttributeTable, places: &[Option<Place>], streams: &[u32], row: u32) -> Box<[Element]> {
    let (mut elements, mut position) = (Vec::new(), 0);
    for element in table.order_of(row) {
        match element.and_then(|column| Some((column, places[column]?))) {
            Some((_, Place::Column(_))) => continue,
            Some((column, Place::Rare(entry))) => elements.push(Element { column, entry, position, stream: streams[column] }),
            None => {}
        }
        position += 1;
    }
    elements.into()
}
