//! Which rows of the inputs make a row group of the output, and their bytes.

use super::order::Inputs;
use super::{MergeError, TableOf, of_block};
use crate::block::parquet::{Decoded, FetchedRanges};
use crate::block::reader::{Block, BlockError, Table};
use std::collections::HashMap;
use std::ops::Range;

/// A range of rows of one row group of an input.
pub(super) struct Part {
    pub input: usize,
    /// Row group of the table in question.
    pub group: usize,
    /// Rows, counted from the row group's first.
    pub rows: Range<usize>,
}

/// Rows that stay together.
pub(super) struct Run {
    pub part: usize,
    /// Rows, counted from the first of the part's row group.
    pub rows: Range<usize>,
    /// What is added to the number of a span's row in the input to get that in the output.
    pub shift: i64,
}

/// The rows of one table for one row group of the output, in order.
#[derive(Default)]
pub(super) struct TableRows {
    pub parts: Vec<Part>,
    pub runs: Vec<Run>,
    pub num_rows: usize,
    /// The part that each input is in.
    current: HashMap<usize, usize>,
}

impl TableRows {
    /// Adds rows; those of one input come in its order.
    pub fn push(&mut self, input: usize, group: usize, rows: Range<u32>, shift: i64) {
        if rows.is_empty() {
            return;
        }
        let rows = rows.start as usize..rows.end as usize;
        self.num_rows += rows.len();
        let part = self.part(input, group, rows.start);
        self.parts[part].rows.end = rows.end;
        match self.runs.last_mut() {
            Some(last) if last.part == part && last.rows.end == rows.start && last.shift == shift => last.rows.end = rows.end,
            _ => self.runs.push(Run { part, rows, shift }),
        }
    }

    fn part(&mut self, input: usize, group: usize, first: usize) -> usize {
        match self.current.get(&input) {
            Some(&part) if self.parts[part].group == group => part,
            _ => {
                self.parts.push(Part { input, group, rows: first..first });
                self.current.insert(input, self.parts.len() - 1);
                self.parts.len() - 1
            }
        }
    }

    /// Rows of a run within its part.
    pub fn within(&self, run: &Run) -> Range<usize> {
        let first = self.parts[run.part].rows.start;
        run.rows.start - first..run.rows.end - first
    }
}

/// The bytes of a part, all columns, as they are in the file.
pub(super) struct PartBytes<'a> {
    pub block: &'a Block,
    pub table: &'a Table,
    pub input: usize,
    pub group: usize,
    pub rows: Range<usize>,
    fetched: FetchedRanges,
}

impl<'a> PartBytes<'a> {
    /// Fetches every column that `is_needed`, with one request.
    pub fn fetch(block: &'a Block, table: &'a Table, part: &Part, is_needed: &dyn Fn(&str) -> bool) -> Result<Self, BlockError> {
        if part.rows.end > table.num_rows(part.group) {
            let reason = format!("row group {} has not the rows that traces count", part.group);
            return Err(BlockError::Damaged { file: table.file().to_string(), reason });
        }
        let mut ranges = Vec::new();
        for leaf in table.leaf_names().filter(|leaf| is_needed(leaf)) {
            if let Some(column) = table.column(part.group, leaf)? {
                ranges.extend(column.bytes_of_rows(part.rows.clone()));
            }
        }
        ranges.sort_unstable_by_key(|range| range.start);
        let fetched = table.fetch(block.files(), ranges)?;
        Ok(PartBytes { block, table, input: part.input, group: part.group, rows: part.rows.clone(), fetched })
    }

    /// Decodes a column that was needed; `None` if the file has no such leaf. Its dictionary is not kept: there are many parts.
    pub fn decode(&self, leaf: &str) -> Result<Option<Decoded>, MergeError> {
        let Some(column) = self.table.column(self.group, leaf).map_err(|error| self.failed(error))? else { return Ok(None) };
        let decoded = column.decode_rows(&self.fetched, self.rows.clone());
        decoded.map(Some).map_err(|error| self.failed(self.table.damage(&error)))
    }

    /// The error for a column that is missing or of another type.
    pub fn mistyped(&self, leaf: &str) -> MergeError {
        self.failed(self.table.mistyped(leaf))
    }

    /// An error of reading this input.
    pub fn failed(&self, error: BlockError) -> MergeError {
        of_block(self.block)(error)
    }
}

/// Fetches all parts of a table.
pub(super) fn fetch_parts<'a>(
    inputs: &'a Inputs,
    rows: &TableRows,
    table: TableOf,
    is_needed: &dyn Fn(&str) -> bool,
) -> Result<Vec<PartBytes<'a>>, MergeError> {
    let fetch = |part: &Part| {
        let block = inputs.get(part.input);
        // Rows of a table that is not there cannot have been counted.
        let missing = || BlockError::Damaged { file: "meta.json".to_string(), reason: "a table is not listed".to_string() };
        let table = table(block).and_then(|table| table.ok_or_else(missing)).map_err(of_block(block))?;
        PartBytes::fetch(block, table, part, is_needed).map_err(of_block(block))
    };
    rows.parts.iter().map(fetch).collect()
}
