//! Where the cells of a row group go in the table: sorted by attribute and row.

use crate::block::gather::NOT_TAKEN;
use std::ops::Range;

/// Cells of one attribute that follow each other in a source.
pub(in crate::block) struct CellRun {
    /// The number of the attribute.
    pub entry: u32,
    /// The cells, among those of all sources.
    pub cells: Range<usize>,
}

/// The cells of a row group as their sources have them, those of one source after those of the other.
#[derive(Default)]
pub(in crate::block) struct Cells {
    /// The row of each, counted from the row group's first; or [`NOT_TAKEN`].
    pub rows: Vec<u32>,
    /// For each which of the row's attributes without a column it is, from 0.
    pub positions: Vec<u32>,
    /// Every cell is in one of these.
    pub runs: Vec<CellRun>,
}

/// The same in the order of the table.
pub(super) struct Placed {
    /// Where the cells of each attribute begin, and where the last end.
    pub starts: Vec<u32>,
    /// The row of each cell, counted from the row group's first.
    pub rows: Vec<u32>,
    /// For each cell as the sources have them, its place in the table; or [`NOT_TAKEN`].
    pub places: Vec<u32>,
}

impl Placed {
    /// Sorts cells of `num_entries` attributes by attribute and row; `None` if a row has an attribute twice.
    pub fn sort(mut rows: Vec<u32>, runs: &[CellRun], num_entries: usize) -> Option<Self> {
        let mut by_entry: Vec<&CellRun> = runs.iter().collect();
        by_entry.sort_by_key(|run| run.entry);
        let mut placed = Placed { starts: vec![0], rows: Vec::with_capacity(rows.len()), places: Vec::new() };
        let mut sorter = RowSorter::default();
        let mut rest = by_entry.as_slice();
        for entry in 0..num_entries as u32 {
            let of_entry = rest.iter().take_while(|run| run.entry == entry).count();
            let (here, after) = rest.split_at(of_entry);
            rest = after;
            let cells = here.iter().flat_map(|run| run.cells.clone()).filter(|cell| rows[*cell] != NOT_TAKEN);
            sorter.cells.clear();
            sorter.cells.extend(cells.map(|cell| (rows[cell], cell as u32)));
            sorter.sort();
            if !sorter.cells.is_sorted_by(|a, b| a.0 < b.0) {
                return None;
            }
            for (row, cell) in &sorter.cells {
                rows[*cell as usize] = placed.rows.len() as u32;
                placed.rows.push(*row);
            }
            placed.starts.push(placed.rows.len() as u32);
        }
        placed.places = rows;
        rest.is_empty().then_some(placed)
    }

    /// Number of cells in the table.
    pub fn num_cells(&self) -> usize {
        self.starts[self.starts.len() - 1] as usize
    }

    /// Where the cells of an attribute are in the table.
    pub fn of_entry(&self, entry: usize) -> Range<usize> {
        self.starts[entry] as usize..self.starts[entry + 1] as usize
    }
}

/// Sorts pairs of a row and a cell by row.
#[derive(Default)]
struct RowSorter {
    cells: Vec<(u32, u32)>,
    /// A bit for each row that has a cell.
    bits: Vec<u64>,
    /// The cell of each such row.
    cell_of: Vec<u32>,
}

/// With fewer cells for each word of the bitmap than one in so many, comparing them takes less time than to look through it.
const WORDS_OF_ONE_CELL: usize = 16;

impl RowSorter {
    /// Of cells that have the same row only one may be left, several times.
    fn sort(&mut self) {
        if self.cells.is_sorted_by_key(|(row, _)| *row) {
            return;
        }
        let num_rows = self.cells.iter().map(|(row, _)| *row as usize + 1).max().unwrap_or(0);
        let num_words = num_rows.div_ceil(64);
        if self.cells.len() * WORDS_OF_ONE_CELL < num_words {
            return self.cells.sort_unstable();
        }
        self.bits.clear();
        self.bits.resize(num_words, 0);
        self.cell_of.resize(self.cell_of.len().max(num_rows), 0);
        for (row, cell) in &self.cells {
            self.bits[*row as usize / 64] |= 1 << (row % 64);
            self.cell_of[*row as usize] = *cell;
        }
        let num_cells = self.cells.len();
        self.cells.clear();
        for (word, &bits) in self.bits.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let row = word as u32 * 64 + bits.trailing_zeros();
                self.cells.push((row, self.cell_of[row as usize]));
                bits &= bits - 1;
            }
        }
        // Rows that came twice are to be seen as such.
        if let Some(last) = self.cells.last().copied() {
            self.cells.resize(num_cells, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn cells_are_sorted_by_attribute_and_row(sources in prop::collection::vec((0u32..5, prop::collection::btree_set(0u32..9000, 0..300)), 0..12)) {
            let (mut rows, mut runs, mut expected, mut is_twice) = (Vec::new(), Vec::new(), BTreeMap::new(), false);
            for (entry, of_run) in sources {
                let first = rows.len();
                for row in of_run {
                    // Some rows are left out.
                    let is_taken = row % 7 != 0;
                    is_twice |= is_taken && expected.insert((entry, row), rows.len()).is_some();
                    rows.push(if is_taken { row } else { NOT_TAKEN });
                }
                runs.push(CellRun { entry, cells: first..rows.len() });
            }
            let given = rows.clone();
            let placed = Placed::sort(rows, &runs, 5);
            prop_assert_eq!(placed.is_none(), is_twice);
            let Some(placed) = placed else { return Ok(()) };
            let found: Vec<(u32, u32)> = (0..5).flat_map(|entry| placed.of_entry(entry).map(move |at| (entry as u32, at))).map(|(entry, at)| (entry, placed.rows[at])).collect();
            prop_assert_eq!(found, expected.keys().copied().collect::<Vec<_>>());
            for (cell, place) in placed.places.iter().enumerate() {
                prop_assert_eq!(given[cell], placed.rows.get(*place as usize).copied().unwrap_or(NOT_TAKEN));
            }
        }
    }
}
