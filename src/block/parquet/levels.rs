//! Definition levels: which rows of a page have a value.
//!
//! In a flat schema the level is 1 where the row has a value and 0 where it is null, written in the hybrid of [`super::rle`] at one bit.
//! Randomly filled columns come as tens of thousands of short runs a row group, so the runs are first written into a bitmap without
//! branching on their contents, and everything else is asked of the bitmap.

use super::bits::write_bits;
use super::error::ReadError;
use super::varint::Cursor;
use std::ops::Range;

/// Which rows of a page have a value.
#[derive(Debug, Default)]
pub(super) struct Bitmap {
    /// Bit `row % 64` of word `row / 64`, with spare words and possibly garbage after the last row.
    words: Vec<u64>,
    num_rows: usize,
}

impl Bitmap {
    /// Replaces the contents by the first `num_rows` levels of a page.
    ///
    /// Error: `CorruptPage` if there are fewer, or a level is neither 0 nor 1.
    pub(super) fn read_levels(&mut self, levels: &[u8], num_rows: usize) -> Result<(), ReadError> {
        self.num_rows = num_rows;
        self.words.clear();
        // The last run may write up to seven rows too many, and every write may touch the word after its own.
        self.words.resize(num_rows / 64 + 3, 0);
        let mut cursor = Cursor::new(levels);
        let mut row = 0;
        while row < num_rows {
            let header = cursor.size()?;
            row = if header & 1 == 1 {
                self.read_packed(&mut cursor, header >> 1, row)?
            } else {
                let end = (header >> 1).saturating_add(row).min(num_rows);
                match cursor.byte()? {
                    0 => {}
                    1 => self.set(row..end),
                    other => return Err(ReadError::corrupt(format!("definition level {other}"))),
                }
                end
            };
        }
        Ok(())
    }

    /// Copies groups of eight rows, eight groups at a time; gives the row after them.
    fn read_packed(&mut self, cursor: &mut Cursor<'_>, num_groups: usize, mut row: usize) -> Result<usize, ReadError> {
        let mut num_groups = num_groups.min((self.num_rows - row).div_ceil(8));
        while num_groups > 0 {
            let num_bytes = num_groups.min(8);
            let bits = cursor.word_of(num_bytes)?;
            let (index, shift) = (row / 64, row % 64);
            self.words[index] |= bits << shift;
            // In two steps, since a shift by 64 is none.
            self.words[index + 1] |= bits >> 1 >> (63 - shift);
            row += num_bytes * 8;
            num_groups -= num_bytes;
        }
        Ok(row)
    }

    /// Sets the bits of the rows.
    fn set(&mut self, rows: Range<usize>) {
        for (index, mask) in masks(rows) {
            self.words[index] |= mask;
        }
    }

    /// How many rows of the range have a value.
    pub(super) fn count(&self, rows: Range<usize>) -> usize {
        masks(rows).map(|(index, mask)| (self.words[index] & mask).count_ones() as usize).sum()
    }

    /// Appends the rows of the range that have a value (`num_present` of them), ascending; the first row of the range is written as `base`.
    pub(super) fn push_present(&self, rows: Range<usize>, num_present: usize, base: u32, out: &mut Vec<u32>) {
        let start = rows.start;
        let mut at = out.len();
        // `write_bits` wants room for a whole word.
        out.resize(at + num_present + 64, 0);
        for (index, mask) in masks(rows) {
            let word = self.words[index] & mask;
            // Wraps below zero when the word begins before the range; the bit numbers bring it back.
            let first = base.wrapping_add((index * 64) as u32).wrapping_sub(start as u32);
            at = write_bits(word, first, out, at);
        }
        out.truncate(at);
    }
}

/// Words that hold the bits of a range, with a mask of these bits.
fn masks(bits: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let words = if bits.is_empty() { 0..0 } else { bits.start / 64..bits.end.div_ceil(64) };
    words.map(move |index| {
        let lowest = index * 64;
        let from_start = u64::MAX << bits.start.saturating_sub(lowest);
        let to_end = u64::MAX >> (lowest + 64).saturating_sub(bits.end);
        (index, from_start & to_end)
    })
}

/// The wanted rows of a page, and which of them have a value.
pub(super) struct PageRows<'a> {
    /// The wanted rows, counted from the start of the page.
    range: Range<usize>,
    /// Number of the first of them in the answer.
    pub(super) base: u32,
    /// `None` if the column is required.
    bitmap: Option<&'a Bitmap>,
    /// How many values of the page lie before the wanted ones.
    pub(super) skip: usize,
    /// How many values the wanted rows have.
    pub(super) take: usize,
}

impl<'a> PageRows<'a> {
    /// The bitmap holds the levels of at least the rows up to the end of the range.
    pub(super) fn new(range: Range<usize>, base: u32, bitmap: Option<&'a Bitmap>) -> Self {
        let (skip, take) = match bitmap {
            None => (range.start, range.len()),
            Some(bitmap) => (bitmap.count(0..range.start), bitmap.count(range.clone())),
        };
        Self { range, base, bitmap, skip, take }
    }

    /// For each of some ascending wanted rows that has a value, the row and the number of its value within the page.
    pub(super) fn values_of(&self, rows: impl Iterator<Item = usize>, mut found: impl FnMut(usize, usize)) {
        let Some(bitmap) = self.bitmap else { return rows.for_each(|row| found(row, self.skip + row)) };
        // Values before the word at hand; those before the range begin in the words before it.
        let (mut index, mut before) = (0, 0);
        for row in rows {
            let at = self.range.start + row;
            while index < at / 64 {
                before += bitmap.words[index].count_ones() as usize;
                index += 1;
            }
            let (word, bit) = (bitmap.words[index], at % 64);
            if word >> bit & 1 == 1 {
                found(row, before + (word & !(u64::MAX << bit)).count_ones() as usize);
            }
        }
    }

    /// Number of wanted rows.
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// True if every wanted row has a value.
    pub(super) fn is_full(&self) -> bool {
        self.take == self.range.len()
    }

    /// Appends the rows that have a value, as they are numbered in the answer.
    pub(super) fn push_present(&self, out: &mut Vec<u32>) {
        match self.bitmap {
            Some(bitmap) if !self.is_full() => bitmap.push_present(self.range.clone(), self.take, self.base, out),
            _ => out.extend(self.base..self.base + self.len() as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rle::tests::{runs, values, write};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_present_rows(runs in runs(1), start in 0usize..250, len in 0usize..250, step in 1usize..70) {
            let expected = values(&runs);
            let bytes = write(&runs, 1);
            let range = start.min(expected.len())..(start + len).min(expected.len());
            let mut bitmap = Bitmap { words: vec![u64::MAX; 9], num_rows: 3 };
            prop_assert!(bitmap.read_levels(&bytes, range.end).is_ok());
            prop_assert!(bitmap.read_levels(&bytes, expected.len()).is_ok());
            let present: Vec<u32> = range.clone().filter(|&row| expected[row] == 1).map(|row| (row - range.start) as u32 + 9).collect();
            let rows = PageRows::new(range.clone(), 9, Some(&bitmap));
            prop_assert_eq!((rows.skip, rows.take), (expected[..range.start].iter().sum::<u32>() as usize, present.len()));
            let mut out = vec![1, 2];
            rows.push_present(&mut out);
            prop_assert_eq!(&out[2..], present);
            let wanted: Vec<usize> = (0..range.len()).step_by(step).collect();
            let value = |row: &usize| (expected[range.start + row] == 1).then(|| expected[..range.start + row].iter().sum::<u32>() as usize);
            let with_values: Vec<(usize, usize)> = wanted.iter().filter_map(|row| Some((*row, value(row)?))).collect();
            let mut found = Vec::new();
            rows.values_of(wanted.iter().copied(), |row, value| found.push((row, value)));
            prop_assert_eq!(found, with_values);
            prop_assert!(bitmap.read_levels(&bytes, expected.len() + 1).is_err());
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40), num_rows in 0usize..400) {
            let mut bitmap = Bitmap::default();
            let _ = bitmap.read_levels(&bytes, num_rows);
        }
    }
}
