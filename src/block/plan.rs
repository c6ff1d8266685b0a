//! What all tables of a block are written from.

use super::arrange::{Arrangement, SourceRow};
use super::gather::RowMap;
use super::origins::Origins;
use crate::columns::Chunk;

/// The sources of a block and where their rows go.
pub(super) struct Plan<'a> {
    pub sources: &'a [&'a Chunk],
    pub arrangement: &'a Arrangement,
    /// For each source and row, the row in the block.
    pub row_map: &'a RowMap,
    pub resources: &'a Origins,
    pub scopes: &'a Origins,
}

impl Plan<'_> {
    /// The rows of a row group.
    pub fn rows_of(&self, group: usize) -> std::ops::Range<usize> {
        let traces = &self.arrangement.traces[self.arrangement.row_groups[group].clone()];
        let (Some(first), Some(last)) = (traces.first(), traces.last()) else { return 0..0 };
        first.first_row as usize..(last.first_row + last.num_rows) as usize
    }

    /// Where the rows of a row group come from.
    pub fn source_rows(&self, group: usize) -> &[SourceRow] {
        &self.arrangement.rows[self.rows_of(group)]
    }

    /// Number of rows.
    pub fn num_spans(&self) -> usize {
        self.arrangement.rows.len()
    }

    /// Number of row groups.
    pub fn num_groups(&self) -> usize {
        self.arrangement.row_groups.len()
    }
}
