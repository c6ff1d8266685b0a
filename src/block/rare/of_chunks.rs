//! The rare attributes of chunks, by the row groups of the block that is cut from them.

use super::{CellRun, Cells, LeafFill, RareWriter, Stream};
use crate::block::catalogue::ColumnCollector;
use crate::block::choice::Place;
use crate::block::gather::{AttributePlan, NOT_TAKEN, RowMap};
use crate::block::meta::FileMeta;
use crate::block::output::BlockSink;
use crate::columns::{AttributeColumn, AttributeTable, ColumnValues};
use parquet::errors::ParquetError;
use std::ops::Range;

/// The table of rare attributes of a table that is made of chunks, written beside that.
pub struct RareOfChunks<'a> {
    columns: Vec<RareColumn<'a>>,
    /// The row groups not yet written, as ranges of rows.
    groups: std::vec::IntoIter<Range<usize>>,
    writer: Option<RareWriter>,
}

/// A column of a chunk whose attribute is rare in the block.
struct RareColumn<'a> {
    entry: u32,
    column: &'a AttributeColumn,
    /// The block row of each row of the chunk.
    map: &'a [u32],
    /// For each value which of its row's attributes without a column it is, from 0.
    positions: Vec<u32>,
}

impl<'a> RareOfChunks<'a> {
    /// Starts the table for the attributes of `plan`; `groups` are the row groups as ranges of rows, one after the other.
    pub fn start(
        sink: &dyn BlockSink,
        file: &str,
        plan: &AttributePlan<'a>,
        map: &'a RowMap,
        groups: Vec<Range<usize>>,
        num_spans: usize,
    ) -> Result<Self, ParquetError> {
        let mut columns = Vec::new();
        if !plan.choice.rare.is_empty() {
            for ((table, places), map) in plan.sources().zip(map) {
                let positions = positions(table, places);
                for ((column, place), positions) in table.columns().iter().zip(places).zip(positions) {
                    if let Some(Place::Rare(entry)) = *place {
                        columns.push(RareColumn { entry, column, map, positions });
                    }
                }
            }
        }
        Ok(RareOfChunks { columns, groups: groups.into_iter(), writer: RareWriter::start(sink, file, &plan.choice.rare, num_spans)? })
    }

    /// Writes the attributes of the next row group.
    pub fn write_next(&mut self) -> Result<(), ParquetError> {
        let (Some(rows), Some(writer)) = (self.groups.next(), &mut self.writer) else { return Ok(()) };
        let mut cells = Cells::default();
        // For each cell, the value of the column that it has.
        let mut values: Vec<u32> = Vec::new();
        for rare in &self.columns {
            let first = values.len();
            for (value, (&row, &position)) in rare.column.rows.iter().zip(&rare.positions).enumerate() {
                let block_row = rare.map[row as usize];
                if block_row != NOT_TAKEN && rows.contains(&(block_row as usize)) {
                    cells.rows.push(block_row - rows.start as u32);
                    cells.positions.push(position);
                    values.push(value as u32);
                }
            }
            cells.runs.push(CellRun { entry: rare.entry, cells: first..values.len() });
        }
        let columns = &self.columns;
        writer.write(cells, rows.start, |fill: &mut LeafFill<'_>, cells: &Cells| {
            let rare = columns.iter().zip(&cells.runs).filter(|(rare, _)| fill.wants(rare.entry)).collect::<Vec<_>>();
            for (rare, run) in rare {
                let filled = fill.fill(stream(rare.column), std::iter::once(run), |cell, _| values[cell] as usize);
                filled.ok_or_else(|| ParquetError::General("a column of attributes is of another kind".to_string()))?;
            }
            Ok(())
        })
    }

    /// Ends the file, if there is one; adds what the catalogue is to have.
    pub fn finish(self, collected: &mut Vec<ColumnCollector>) -> Result<Option<FileMeta>, ParquetError> {
        let Some(writer) = self.writer else { return Ok(None) };
        let (file, of_rare) = writer.finish()?;
        collected.extend(of_rare);
        Ok(Some(file))
    }
}

fn stream(column: &AttributeColumn) -> Stream<'_> {
    match &column.values {
        ColumnValues::Int(values) => Stream::Int(values),
        ColumnValues::Double(values) => Stream::Double(values),
        ColumnValues::Bool(values) => Stream::Bool(values),
        ColumnValues::Str(codes, dictionary) | ColumnValues::Any(codes, dictionary) => Stream::Bytes(codes, dictionary.parts()),
    }
}

/// For each column that is rare, the positions of its values among their rows' attributes without a column; none for others.
fn positions(table: &AttributeTable, places: &[Option<Place>]) -> Vec<Vec<u32>> {
    let mut positions: Vec<Vec<u32>> = vec![Vec::new(); places.len()];
    let mut has_none = vec![false; table.num_shapes()];
    // A column has a value for each row whose shape names it, in the order of rows.
    for row in 0..table.num_rows() as u32 {
        let shape = table.shape_of(row) as usize;
        if has_none[shape] {
            continue;
        }
        let (mut position, mut is_any_rare) = (0, false);
        for element in table.order_of(row) {
            match element.and_then(|column| Some((column, places[column]?))) {
                Some((_, Place::Column(_))) => continue,
                Some((column, Place::Rare(_))) => {
                    positions[column].push(position);
                    is_any_rare = true;
                }
                None => {}
            }
            position += 1;
        }
        has_none[shape] = !is_any_rare;
    }
    positions
}
