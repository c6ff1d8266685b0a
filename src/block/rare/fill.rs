//! One column of values of the table for one row group, filled source by source, so that only one of these is in memory.

use super::ValueLeaf;
use super::placed::{CellRun, Placed};
use crate::block::gather::NOT_TAKEN;
use crate::block::recode::{CodeSpace, Recoder, StringsRef};
use bytes::Bytes;
use parquet::data_type::ByteArray;

/// Values of a source, all of one kind.
#[derive(Clone, Copy)]
pub(in crate::block) enum Stream<'a> {
    Int(&'a [i64]),
    Double(&'a [f64]),
    Bool(&'a [bool]),
    /// Texts or `AnyValue` messages: codes, and the strings that these are positions in.
    Bytes(&'a [u32], StringsRef<'a>),
}

/// The values of the column.
pub(super) enum LeafValues {
    Int(Vec<i64>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
    /// Codes of the recoder.
    Coded(Vec<u32>, Box<Recoder>),
    Unique(Vec<ByteArray>),
}

/// A column under construction.
pub(in crate::block) struct LeafFill<'g> {
    leaf: ValueLeaf,
    /// The column of each attribute's values.
    leaf_of: &'g [ValueLeaf],
    placed: &'g Placed,
    /// For each attribute of the column, what lies before it in the table and in other columns.
    skipped: Vec<u32>,
    /// Number of cells of the column, and of those that got their values.
    num_cells: usize,
    num_filled: usize,
    values: LeafValues,
}

impl<'g> LeafFill<'g> {
    pub(super) fn new(leaf: ValueLeaf, leaf_of: &'g [ValueLeaf], placed: &'g Placed) -> Self {
        let (mut num_skipped, mut num_cells) = (0, 0);
        let mut skipped = Vec::with_capacity(leaf_of.len());
        for (entry, other) in leaf_of.iter().enumerate() {
            skipped.push(num_skipped);
            let of_entry = placed.of_entry(entry).len();
            if *other == leaf { num_cells += of_entry } else { num_skipped += of_entry as u32 }
        }
        let values = match leaf {
            ValueLeaf::Int => LeafValues::Int(vec![0; num_cells]),
            ValueLeaf::Double => LeafValues::Double(vec![0.0; num_cells]),
            ValueLeaf::Bool => LeafValues::Bool(vec![false; num_cells]),
            ValueLeaf::Text | ValueLeaf::Any => LeafValues::Coded(vec![0; num_cells], Box::default()),
            ValueLeaf::UniqueText | ValueLeaf::UniqueAny => LeafValues::Unique(vec![ByteArray::default(); num_cells]),
        };
        LeafFill { leaf, leaf_of, placed, skipped, num_cells, num_filled: 0, values }
    }

    /// Whether the column has the values of an attribute.
    pub fn wants(&self, entry: u32) -> bool {
        self.leaf_of.get(entry as usize) == Some(&self.leaf)
    }

    /// Number of cells of the column.
    pub(super) fn num_cells(&self) -> usize {
        self.num_cells
    }

    /// Puts values of a source into their places. Each of the runs is one of [`Cells::runs`](super::Cells) whose attribute the column
    /// [wants](Self::wants); `value_of` tells which value of the stream a cell has, being told the cell and its number among those of these
    /// runs. `None` if the stream is of another kind, or has not that value.
    pub fn fill<'r>(
        &mut self,
        stream: Stream<'_>,
        runs: impl Iterator<Item = &'r CellRun>,
        value_of: impl Fn(usize, usize) -> usize,
    ) -> Option<()> {
        let (places, skipped) = (&self.placed.places, &self.skipped);
        let mut num_filled = 0;
        // A place in the column, and the value that goes there.
        let all = runs.flat_map(|run| run.cells.clone().map(|cell| (skipped[run.entry as usize], cell))).enumerate();
        let cells = all.filter(|(_, (_, cell))| places[*cell] != NOT_TAKEN).map(|(nth, (skipped, cell))| {
            num_filled += 1;
            ((places[cell] - skipped) as usize, value_of(cell, nth))
        });
        match (&mut self.values, stream) {
            (LeafValues::Int(out), Stream::Int(values)) => scatter(out, values, cells)?,
            (LeafValues::Double(out), Stream::Double(values)) => scatter(out, values, cells)?,
            (LeafValues::Bool(out), Stream::Bool(values)) => scatter(out, values, cells)?,
            (LeafValues::Coded(out, recoder), Stream::Bytes(codes, strings)) => {
                let space = CodeSpace::of_strings(vec![strings]);
                recoder.enter(&space);
                for (place, value) in cells {
                    out[place] = recoder.code(&space, *codes.get(value)?);
                }
            }
            (LeafValues::Unique(out), Stream::Bytes(codes, strings)) => {
                let space = CodeSpace::of_strings(vec![strings]);
                let (mut bytes, mut ends) = (Vec::new(), Vec::new());
                for (place, value) in cells {
                    bytes.extend_from_slice(space.get(*codes.get(value)?));
                    ends.push((place, bytes.len()));
                }
                let bytes = Bytes::from(bytes);
                let mut start = 0;
                for (place, end) in ends {
                    out[place] = bytes.slice(start..end).into();
                    start = end;
                }
            }
            _ => return None,
        }
        self.num_filled += num_filled;
        Some(())
    }

    /// The values; `None` if some are missing.
    pub(super) fn finish(self) -> Option<LeafValues> {
        (self.num_filled == self.num_cells).then_some(self.values)
    }
}

fn scatter<T: Copy>(out: &mut [T], values: &[T], cells: impl Iterator<Item = (usize, usize)>) -> Option<()> {
    for (place, value) in cells {
        out[place] = *values.get(value)?;
    }
    Some(())
}
