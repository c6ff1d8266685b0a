//! Which rows of a row group have which rare attributes, in memory: two bytes each, so that a lookup finds those of a trace
//! without decoding the row numbers of the row group.

use crate::block::parts::Weighed;
use std::ops::Range;

/// Rows of so many are told apart by 16 bits.
const HIGH_SHIFT: u32 = 16;

/// The rows that have each attribute, by their positions in the table of rare attributes.
pub struct RareIndex {
    /// The lower halves of the row numbers.
    low: Vec<u16>,
    /// The attributes that the row group has.
    entries: Vec<u32>,
    /// For each of them and each upper half, where its rows end.
    ends: Vec<u32>,
    /// Number of upper halves.
    num_highs: usize,
}

impl RareIndex {
    /// For a row group of so many rows. Attributes follow in the order of their numbers.
    pub fn new(num_rows: usize, num_cells: usize) -> Self {
        RareIndex { low: Vec::with_capacity(num_cells), entries: Vec::new(), ends: Vec::new(), num_highs: (num_rows >> HIGH_SHIFT) + 1 }
    }

    /// Adds the ascending rows of an attribute, none of which is after the row group's last.
    pub fn add(&mut self, entry: u32, rows: &[u32]) {
        let first = self.low.len();
        self.entries.push(entry);
        self.low.extend(rows.iter().map(|row| *row as u16));
        let end = |high: usize| first + rows.partition_point(|row| (row >> HIGH_SHIFT) as usize <= high);
        self.ends.extend((0..self.num_highs).map(|high| end(high) as u32));
    }

    /// Calls with each attribute of these rows: its number, its row, and its position in the table; by number, then by row.
    pub fn visit(&self, rows: Range<u32>, mut visit: impl FnMut(u32, u32, u32)) {
        let Some(last) = rows.end.checked_sub(1).filter(|last| *last >= rows.start) else { return };
        for (at, entry) in self.entries.iter().enumerate() {
            for high in rows.start >> HIGH_SHIFT..=last >> HIGH_SHIFT {
                let base = high << HIGH_SHIFT;
                let (first, values) = self.part(at, high as usize);
                let from = values.partition_point(|low| base | u32::from(*low) < rows.start);
                let wanted = values[from..].iter().map(|low| base | u32::from(*low)).take_while(|row| *row < rows.end);
                wanted.zip(first + from as u32..).for_each(|(row, position)| visit(*entry, row, position));
            }
        }
    }

    /// The rows of an attribute with one upper half, and the position of the first.
    fn part(&self, at: usize, high: usize) -> (u32, &[u16]) {
        let number = at * self.num_highs + high;
        let first = number.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(0));
        let end = self.ends.get(number).filter(|_| high < self.num_highs).copied().unwrap_or(first);
        (first, self.low.get(first as usize..end as usize).unwrap_or_default())
    }
}

impl Weighed for RareIndex {
    fn memory(&self) -> usize {
        2 * self.low.capacity() + 4 * (self.entries.capacity() + self.ends.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn every_row_is_found(
            attributes in prop::collection::vec(prop::collection::btree_set(0u32..200_000, 1..40), 0..6),
            start in 0u32..200_000,
            len in 0u32..150_000,
        ) {
            let mut index = RareIndex::new(200_000, 0);
            for (entry, rows) in attributes.iter().enumerate() {
                index.add(3 * entry as u32, &rows.iter().copied().collect::<Vec<_>>());
            }
            let all = attributes.iter().enumerate().flat_map(|(entry, rows): (usize, &BTreeSet<u32>)| rows.iter().map(move |row| (3 * entry as u32, *row)));
            let wanted = start..(start + len).min(200_000);
            let expected: Vec<_> =
                all.zip(0u32..).filter(|((_, row), _)| wanted.contains(row)).map(|((entry, row), position)| (entry, row, position)).collect();
            let mut found = Vec::new();
            index.visit(wanted, |entry, row, position| found.push((entry, row, position)));
            prop_assert_eq!(found, expected);
        }
    }
}
